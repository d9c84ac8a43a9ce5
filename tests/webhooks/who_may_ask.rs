use super::*;

/// Sends what would end the call, if it were let in, and expects to be sent away.
async fn is_refused(stage: &Stage, call: &Placed, why: &str, signature: Option<&str>) {
    let before = standing(&call.session);
    for route in ["twiml", "status", "amd"] {
        let path = format!("/{route}/{}", call.id);
        let sent = post_form(stage.port, &path, &params(&call.sid, "busy"), signature).await;
        assert_eq!(sent.0, 403, "{route}: {why}");
        assert!(!sent.1.contains("Stream"), "{route}: {why}: {}", sent.1);
    }
    assert_eq!(standing(&call.session), before, "{why}");
}

#[tokio::test]
async fn a_request_without_a_valid_signature_is_refused_and_changes_nothing() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let other = stage.place().await;
    let sent = params(&call.sid, "busy");
    let url = |path: &str| format!("{PUBLIC_URL}{path}/{}", call.id);
    let status = url("/status");
    let real = sign(AUTH_TOKEN, &status, &sent);
    let mut forged = real.clone();
    forged.replace_range(..1, if real.starts_with('A') { "B" } else { "A" });
    let foreign = sign("ffffffffffffffffffffffffffffffff", &status, &sent);
    let tampered = sign(AUTH_TOKEN, &status, &params(&call.sid, "ringing"));
    let body_unsigned = sign(AUTH_TOKEN, &status, &[]);
    let plain = sign(AUTH_TOKEN, &status.replacen("https", "http", 1), &sent);
    let without_prefix = sign(AUTH_TOKEN, &status.replacen("/tel", "", 1), &sent);
    let other_host = sign(
        AUTH_TOKEN,
        &status.replacen("voice.example.test", "evil.example.test", 1),
        &sent,
    );
    let other_call = sign(
        AUTH_TOKEN,
        &format!("{PUBLIC_URL}/status/{}", other.id),
        &sent,
    );
    let other_route = sign(AUTH_TOKEN, &url("/media"), &sent);
    let with_query = sign(AUTH_TOKEN, &format!("{status}?a=1"), &sent);
    for (why, signature) in [
        ("missing", None),
        ("empty", Some("")),
        ("garbage", Some("not base64 at all!")),
        ("cut short", Some(&real[..real.len() - 1])),
        ("one letter off", Some(&*forged)),
        ("another account's token", Some(&*foreign)),
        ("another body", Some(&*tampered)),
        ("the URL alone", Some(&*body_unsigned)),
        ("http in place of https", Some(&*plain)),
        ("without the path prefix", Some(&*without_prefix)),
        ("another host", Some(&*other_host)),
        ("another call", Some(&*other_call)),
        ("another route", Some(&*other_route)),
        ("a query that was not sent", Some(&*with_query)),
    ] {
        is_refused(&stage, &call, why, signature).await;
    }
    // A signature for one route is none for the other; for its own it is good.
    let path = format!("/twiml/{}", call.id);
    let (crossed, _) = post_form(stage.port, &path, &sent, Some(&real)).await;
    assert_eq!(crossed, 403);
    assert_eq!(snapshot(&call.session).status, Status::Initiated);
    let path = format!("/status/{}", call.id);
    let (accepted, _) = post_form(stage.port, &path, &sent, Some(&real)).await;
    assert_eq!(accepted, 204);
    assert_eq!(ended(&call.session).await.status, Status::Busy);
    assert_eq!(snapshot(&other.session).status, Status::Initiated);
}

#[tokio::test]
async fn the_path_prefix_may_come_through_the_tunnel_or_be_taken_off_by_it() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let sent = params(&call.sid, "in-progress");
    let url = format!("{PUBLIC_URL}/twiml/{}", call.id);
    for url in [url.clone(), url.replacen(".test/", ".test:443/", 1)] {
        let signature = sign(AUTH_TOKEN, &url, &sent);
        for path in [
            format!("/twiml/{}", call.id),
            format!("/tel/twiml/{}", call.id),
        ] {
            let answer = post_form(stage.port, &path, &sent, Some(&signature)).await;
            assert_eq!(answer.0, 200, "{path} signed over {url}");
            assert!(answer.1.contains("<Connect>"));
        }
    }
}

#[tokio::test]
async fn a_call_that_does_not_exist_is_not_found_and_strangers_do_not_learn_even_that() {
    let stage = Stage::start().await;
    let unknown = uuid::Uuid::new_v4().to_string();
    let malformed = [
        "1",
        "not-a-uuid",
        "%00",
        "00000000-0000-0000-0000-00000000000g",
        "..%2F..%2Fetc",
    ];
    for id in std::iter::once(&*unknown).chain(malformed) {
        for route in ["twiml", "status", "amd"] {
            let path = format!("/{route}/{id}");
            let sent = params("CA1", "ringing");
            let (signed, body) = stage.post(&path, &sent).await;
            assert_eq!((signed, &*body), (404, ""), "{path}");
            let (unsigned, _) = post_form(stage.port, &path, &sent, None).await;
            assert_eq!(unsigned, 403, "{path}");
        }
    }
}

#[tokio::test]
async fn other_methods_and_other_paths_are_refused() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let before = standing(&call.session);
    for (method, path, expected) in [
        ("GET", format!("/twiml/{}", call.id), 405),
        ("PUT", format!("/twiml/{}", call.id), 405),
        ("DELETE", format!("/status/{}", call.id), 405),
        ("GET", format!("/status/{}", call.id), 405),
        ("POST", "/healthz".to_owned(), 405),
        ("POST", "/media".to_owned(), 405),
        ("GET", "/".to_owned(), 404),
        ("POST", "/twiml".to_owned(), 404),
        ("POST", format!("/twiml/{}/more", call.id), 404),
    ] {
        let url = format!("{PUBLIC_URL}{path}");
        let response = http()
            .request(
                method.parse().unwrap(),
                format!("http://127.0.0.1:{}{path}", stage.port),
            )
            .header("X-Twilio-Signature", sign(AUTH_TOKEN, &url, &[]))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), expected, "{method} {path}");
    }
    // A media stream without a handshake is no websocket.
    let media = http()
        .get(format!("http://127.0.0.1:{}/media", stage.port))
        .send()
        .await
        .unwrap();
    assert!(media.status().is_client_error(), "{media:?}");
    assert_eq!(standing(&call.session), before);
}

#[tokio::test]
async fn health_is_told_to_everybody_and_says_nothing_about_calls() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let token = stage.token(&call).await;
    for path in ["/healthz", "/tel/healthz"] {
        let url = format!("http://127.0.0.1:{}{path}", stage.port);
        let response = http().get(url).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        let told = format!(
            "{:?} {}",
            response.headers().clone(),
            response.text().await.unwrap()
        );
        for secret in [
            AUTH_TOKEN, ACCOUNT, "sk-test", CALLEE, &call.id, &call.sid, &token, PUBLIC_URL,
        ] {
            assert!(!told.contains(secret), "{told}");
        }
        assert!(told.len() < 300, "{told}");
    }
}
