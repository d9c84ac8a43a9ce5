use super::*;

#[tokio::test]
async fn and_the_agent_says_a_last_sentence_before_the_line_is_hung_up() {
    let scene = Scene::start(options(patient())).await;
    let session = scene
        .place_order(Order {
            max_duration: Some(Duration::from_secs(4)),
            ..order(CALLEE)
        })
        .await
        .unwrap();
    assert_eq!(session.call.brief.max_duration, Duration::from_secs(4));
    let (end, line) = scene.over(&session).await;
    assert_eq!(end.status, Status::TimedOut);
    assert_eq!(end.outcome, Some(Outcome::Partial));
    assert_eq!(end.error, None);
    assert!(end.duration_s >= 3.9, "{}", end.duration_s);
    let last = "I have to end the call now. Thank you for your time. Goodbye.";
    assert!(
        line.heard.ends_with(last),
        "it was heard in full: {}",
        line.heard
    );
    assert_eq!(texts(&end, Role::Agent).last(), Some(&last));
    assert_eq!(
        line.time_limit,
        Some(60),
        "Twilio's own limit is the backstop"
    );
    assert_eq!(scene.hang_ups(&line.sid), 1);
    scene.assert_no_complaints().await;
}

#[tokio::test]
async fn and_a_model_that_says_nothing_does_not_keep_the_line_open() {
    let mut stage = Stage::start().await;
    let board = Arc::clone(stage.board());
    let short = Order {
        max_duration: Some(Duration::from_secs(2)),
        ..order(CALLEE)
    };
    let placing = tokio::spawn(async move { board.place(short).await });
    let mut model = stage.model().await;
    model.configuration().await;
    model.confirm();
    let session = soon("the call", placing).await.unwrap().unwrap();
    let mut call = Stage::placed(session.here().unwrap(), model);
    let greeting = support::noise(800, 1);
    call.model.greet(std::slice::from_ref(&greeting)).await;
    let mut carrier = stage.connect(&call).await;
    carrier.hear(greeting.len()).await;
    // It is asked for a goodbye and does not answer.
    let asked = call.model.event("response.create").await;
    assert_eq!(asked["response"]["tool_choice"], "none");
    let end = ended(&call.session).await;
    assert_eq!(end.status, Status::TimedOut);
    stage.rest.hung_up(1).await;
}

#[tokio::test]
async fn a_longer_call_than_is_configured_is_cut_down_to_it() {
    let cap = [("OPENAGENT_PHONE_MAX_DURATION_SECONDS", "120")];
    let scene = Scene::with(ringing(), &cap).await;
    for (asked, granted) in [(600, 120), (45, 45)] {
        let session = scene
            .place_order(Order {
                max_duration: Some(Duration::from_secs(asked)),
                ..order(CALLEE)
            })
            .await
            .unwrap();
        let granted_time = Duration::from_secs(granted);
        assert_eq!(session.call.brief.max_duration, granted_time);
        let sid = session.call.twilio_sid().unwrap();
        let line = scene.sandbox.call(&sid).unwrap();
        assert_eq!(line.time_limit, Some(granted + 30));
    }
    scene.assert_no_complaints().await;
}
