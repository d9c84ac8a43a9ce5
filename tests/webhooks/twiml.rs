use super::*;

#[tokio::test]
async fn an_answered_call_is_connected_to_the_stream_with_a_token_of_its_own() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let twiml = stage.twiml(&call).await;
        let token = token_in(&twiml).unwrap();
        assert!(token.len() >= 32 && token.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_eq!(
            twiml,
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Connect>\
                 <Stream url=\"wss://voice.example.test/tel/media\">\
                 <Parameter name=\"call_id\" value=\"{id}\"/>\
                 <Parameter name=\"token\" value=\"{token}\"/></Stream></Connect>\
                 <Redirect method=\"POST\">{PUBLIC_URL}/twiml/{id}</Redirect></Response>",
                id = call.id,
            )
        );
        assert!(!tokens.contains(&token), "a token was given out twice");
        tokens.push(token);
    }
    assert_eq!(snapshot(&call.session).status, Status::InProgress);
}

#[tokio::test]
async fn it_is_served_as_xml() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let path = format!("/twiml/{}", call.id);
    let sent = params(&call.sid, "in-progress");
    let response = http()
        .post(format!("http://127.0.0.1:{}{path}", stage.port))
        .header(
            "X-Twilio-Signature",
            sign(AUTH_TOKEN, &format!("{PUBLIC_URL}{path}"), &sent),
        )
        .form(&sent)
        .send()
        .await
        .unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap();
    assert!(kind.starts_with("text/xml"), "{kind}");
}

#[tokio::test]
async fn a_call_that_is_over_is_hung_up() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let token = stage.token(&call).await;
    assert_eq!(stage.report(&call, "busy", 1).await, 204);
    ended(&call.session).await;
    let over = standing(&call.session);
    let hang_up = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Hangup/></Response>";
    assert_eq!(stage.twiml(&call).await, hang_up);
    assert_eq!(standing(&call.session), over);
    // A token from before is of no use either.
    let mut carrier = Carrier::open(stage.port, None).await;
    carrier.start(&call.id, &token, &call.sid);
    assert_eq!(carrier.closed().await, Some(1008));
    assert_eq!(standing(&call.session), over);
}

#[tokio::test]
async fn the_request_that_dials_names_the_routes_and_the_limits() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let requests = stage.rest.requests();
    let [(path, sent)] = requests.as_slice() else {
        panic!("{requests:?}");
    };
    assert_eq!(path, "Calls.json");
    let sent: Vec<(String, String)> = url::form_urlencoded::parse(sent.as_bytes())
        .into_owned()
        .collect();
    let all = |name: &str| -> Vec<&str> {
        let named = sent.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(all("To"), [CALLEE]);
    assert_eq!(all("From"), [support::FROM]);
    assert_eq!(all("Url"), [format!("{PUBLIC_URL}/twiml/{}", call.id)]);
    assert_eq!(
        all("StatusCallback"),
        [format!("{PUBLIC_URL}/status/{}", call.id)]
    );
    assert_eq!(
        all("StatusCallbackEvent"),
        ["initiated", "ringing", "answered", "completed"]
    );
    assert_eq!(all("TimeLimit"), ["630"], "the cap of 600 s and 30 s");
}

/// Places a call that Twilio takes its time to answer; also the path of its status callbacks,
/// which Twilio knows from the request.
async fn dialling(stage: &mut Stage) -> (tokio::task::JoinHandle<Arc<Session>>, Model, String) {
    stage.rest.hold(true);
    let board = Arc::clone(stage.board());
    let placing = tokio::spawn(async move {
        let placed = board.place(support::order(CALLEE)).await;
        placed.unwrap().here().unwrap()
    });
    let mut model = stage.model().await;
    model.configuration().await;
    model.confirm();
    stage.rest.dialled(1).await;
    let (_, sent) = stage.rest.requests().remove(0);
    let (_, url) = url::form_urlencoded::parse(sent.as_bytes())
        .find(|(name, _)| name == "StatusCallback")
        .unwrap();
    let path = url.strip_prefix(PUBLIC_URL).unwrap().to_owned();
    (placing, model, path)
}
#[tokio::test]
async fn a_report_without_a_call_sid_does_not_name_the_call() {
    let mut stage = Stage::start().await;
    let (placing, _model, path) = dialling(&mut stage).await;
    for sid in ["", "nonsense"] {
        let (status, _) = stage.post(&path, &params(sid, "ringing")).await;
        assert_eq!(status, 204);
    }
    stage.rest.hold(false);
    let session = soon("the call", placing).await.unwrap();
    let sid = snapshot(&session).twilio_sid.unwrap();
    assert!(sid.starts_with("CA"), "{sid:?}");
    soon("the hang-up", stage.board().hang_up(&session)).await;
    stage.rest.hung_up(1).await;
}

#[tokio::test]
async fn a_report_that_outruns_the_answer_to_our_dialling_is_understood() {
    let mut stage = Stage::start().await;
    let (placing, _model, path) = dialling(&mut stage).await;
    let sid = "CA11111111111111111111111111111111";
    let (status, _) = stage.post(&path, &params(sid, "busy")).await;
    assert_eq!(status, 204);
    stage.rest.hold(false);
    let session = soon("the call", placing).await.unwrap();
    let end = until(&session, "its end", |now| now.status.is_final()).await;
    assert_eq!(end.status, Status::Busy);
    assert_eq!(end.twilio_sid.as_deref(), Some(sid));
}
