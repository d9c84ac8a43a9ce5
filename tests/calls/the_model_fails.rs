use super::*;

#[tokio::test]
async fn when_it_refuses_the_key_nobody_is_rung() {
    let scene = Scene::start(faulty_model(patient(), ModelFault::RefusesKey)).await;
    let error = scene.place_error(order(CALLEE)).await;
    assert!(matches!(error, PlaceError::Model(_)), "{error}");
    let error = error.to_string();
    assert!(error.contains("Nobody was called"), "{error}");
    assert!(error.contains("API key"), "{error}");
    assert!(scene.sandbox.requests().is_empty());
    scene.assert_nothing_is_held().await;
}

#[tokio::test]
async fn when_it_is_not_there_nobody_is_rung() {
    let nothing = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", nothing.local_addr().unwrap());
    drop(nothing);
    let stage = Stage::with(&[("OPENAI_BASE_URL", &url)]).await;
    let error = soon("the answer", stage.board().place(order(CALLEE)))
        .await
        .unwrap_err();
    assert!(matches!(error, PlaceError::Model(_)), "{error}");
    assert!(error.to_string().contains("OPENAI_BASE_URL"), "{error}");
    assert!(stage.rest.requests().is_empty());
    let used = stage.board().used(Utc::now()).await.unwrap();
    assert_eq!(used.in_flight, 0);
}

#[tokio::test]
async fn when_it_closes_in_the_middle_for_good_the_call_fails_and_is_hung_up() {
    let callee = Callee::person(vec![
        Step::say("Hello?"),
        Step::WaitForAgentToFinish,
        Step::say("Yes, what is it about?"),
        Step::WaitForever,
    ]);
    let closes = ModelFault::ClosesAfter {
        // The greeting, "one moment, please", an answer.
        responses: 3,
        code: 3000,
    };
    let scene = Scene::start(faulty_model(callee, closes)).await;
    let session = scene.place().await;
    let (end, line) = scene.over(&session).await;
    assert_eq!(end.status, Status::Failed);
    assert_eq!(end.outcome, Some(Outcome::Failure));
    let error = end.error.as_deref().unwrap();
    assert!(error.contains("model") && error.contains("3000"), "{error}");
    assert!(end.disclosed_at.is_some());
    assert_eq!(scene.hang_ups(&line.sid), 1);
    scene.assert_no_complaints().await;
}

/// How often "one moment, please" was asked for: it is all that is said outside the conversation.
fn moments_asked(session: &ModelSession) -> usize {
    let asides = session.events.iter().filter(|event| {
        event["type"] == "response.create" && event["response"]["conversation"] == "none"
    });
    asides.count()
}

#[tokio::test]
async fn when_it_is_away_the_callee_hears_one_moment_please_which_an_earlier_call_made() {
    let answers = |then: Vec<Step>| {
        let begins = [Step::say("Hello?"), Step::WaitForAgentToFinish];
        Callee::person(begins.into_iter().chain(then).collect())
    };
    let away = ModelFault::Loses(Loss {
        // The first callee speaks only once.
        at: LossMoment::CalleeSpeaks(2),
        how: Parting::Closes(1013),
        sessions: 1,
        then: Reconnect::RefusedFor(Duration::from_secs(3)),
    });
    let mut options = faulty_model(answers(vec![Step::HangUp]), away);
    let asks = answers(vec![
        Step::say("Yes, what is it about?"),
        Step::WaitForWords("One moment, please.".to_owned()),
        Step::HangUp,
    ]);
    options.callees = HashMap::from([(OTHER.to_owned(), asks)]);
    let scene = Scene::start(options).await;
    let first = scene.place().await;
    let (_, line) = scene.over(&first).await;
    assert!(!line.heard.contains("One moment"), "{}", line.heard);
    assert_eq!(moments_asked(&scene.sandbox.model_sessions()[0]), 1);

    let second = scene.place_order(order(OTHER)).await.unwrap();
    let (end, line) = scene.over(&second).await;
    assert!(line.heard.contains("One moment, please."), "{}", line.heard);
    assert!(texts(&end, Role::Agent).contains(&"One moment, please."));
    let sessions = scene.sandbox.model_sessions();
    let asked: Vec<usize> = sessions.iter().map(moments_asked).collect();
    assert!(asked[1..].iter().all(|asked| *asked == 0), "{asked:?}");
    scene.assert_no_complaints().await;
}

#[tokio::test]
async fn when_it_never_speaks_the_call_fails_and_is_hung_up() {
    let scene = Scene::start(faulty_model(patient(), ModelFault::StaysSilent)).await;
    let session = scene.place().await;
    let (end, line) = scene.over(&session).await;
    assert_eq!(end.status, Status::Failed);
    assert!(end.error.as_deref().unwrap().contains("did not speak"));
    assert!(line.heard.contains("technical problem"), "{}", line.heard);
    assert_eq!(scene.hang_ups(&line.sid), 1);
    scene.assert_no_complaints().await;
}

#[tokio::test]
async fn when_it_never_confirms_its_configuration_the_call_fails_and_is_hung_up() {
    let scene = Scene::start(faulty_model(patient(), ModelFault::NeverConfirms)).await;
    let session = scene.place().await;
    let (end, line) = scene.over(&session).await;
    assert_eq!(end.status, Status::Failed);
    assert!(end.error.is_some());
    assert!(line.heard.contains("technical problem"), "{}", line.heard);
    assert_eq!(scene.hang_ups(&line.sid), 1);
    scene.assert_no_complaints().await;
}
#[tokio::test]
async fn when_its_responses_fail_the_error_says_what_it_said() {
    let scene = Scene::start(faulty_model(patient(), ModelFault::FailsResponses)).await;
    // Whether the phone was ringing by then does not matter.
    let error = match scene.place_order(order(CALLEE)).await {
        Ok(session) => {
            let (end, line) = scene.over(&session).await;
            assert_eq!(end.status, Status::Failed);
            assert_eq!(line.heard, "");
            end.error.unwrap()
        }
        Err(error) => error.to_string(),
    };
    assert!(error.contains("had an error while processing"), "{error}");
}
