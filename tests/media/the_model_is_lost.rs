use super::*;

#[tokio::test]
async fn which_ends_the_call_with_an_error_that_says_so() {
    let mut stage = Stage::start().await;
    for (code, reason, says) in [
        (4000, "invalid_request_error.invalid_model", "4000"),
        (3000, "invalid_request_error.invalid_api_key", "3000"),
    ] {
        let (call, mut carrier) = talking(&mut stage).await;
        call.model.close(code, reason);
        let end = ended(&call.session).await;
        assert_eq!(end.status, Status::Failed);
        assert_eq!(end.outcome, Some(Outcome::Failure));
        let error = end.error.unwrap();
        assert!(
            error.contains("voice model") && error.contains(says),
            "{error}"
        );
        // The carrier's own voice says sorry, and hangs up behind that.
        let apology = stage.rest.redirected(&call.sid).await;
        assert!(
            apology.contains("technical+problem") && apology.contains("Hangup"),
            "{apology}"
        );
        assert_eq!(stage.report(&call, "completed", 9).await, 204);
        carrier.closed().await;
    }
    assert_eq!(stage.rest.hung_up_lines(), 0, "they were over");
}

#[tokio::test]
async fn and_the_stream_stays_open_until_the_carrier_has_taken_the_apology() {
    let mut stage = Stage::start().await;
    let (call, mut carrier) = talking(&mut stage).await;
    stage.rest.hold(true);
    call.model
        .close(3000, "invalid_request_error.invalid_api_key");
    stage.rest.redirected(&call.sid).await;
    ended(&call.session).await;
    // Closing it would send the carrier on to the next verb before it knows what to say. There is
    // no event for what does not happen: a slow machine only makes this look less closely.
    let early = tokio::time::timeout(Duration::from_millis(700), carrier.closed());
    assert!(
        early.await.is_err(),
        "closed before the carrier had answered"
    );
    // If the carrier comes back by itself, it is told the same.
    assert!(stage.twiml(&call).await.contains("technical problem"));
    stage.rest.hold(false);
    assert_eq!(stage.report(&call, "completed", 9).await, 204);
    carrier.closed().await;
}

#[tokio::test]
async fn and_a_carrier_that_does_not_say_that_it_has_hung_up_is_told_to() {
    let mut stage = Stage::start().await;
    let (call, _carrier) = talking(&mut stage).await;
    call.model
        .close(3000, "invalid_request_error.invalid_api_key");
    stage.rest.redirected(&call.sid).await;
    // After the time that an apology takes.
    stage.rest.hung_up(1).await;
    assert_eq!(stage.rest.hang_ups(&call.sid), 1);
}

#[tokio::test]
async fn by_an_error_that_nothing_can_follow() {
    let mut stage = Stage::start().await;
    let (call, _carrier) = talking(&mut stage).await;
    call.model.send(&json!({"type": "error", "error": {
        "type": "insufficient_quota", "code": "insufficient_quota",
        "message": "You exceeded your current quota.", "event_id": null,
    }}));
    let end = ended(&call.session).await;
    assert_eq!(end.status, Status::Failed);
    assert!(end.error.unwrap().contains("exceeded your current quota"));
    stage.rest.redirected(&call.sid).await;
    assert_eq!(stage.report(&call, "completed", 9).await, 204);
}

/// The session that take the place of a lost one, configured.
async fn another(stage: &mut Stage) -> Model {
    let mut model = stage.model().await;
    model.configuration().await;
    model.confirm();
    model
}

#[tokio::test]
async fn and_another_session_takes_its_place_knowing_what_was_said_and_hearing_every_byte() {
    let mut stage = Stage::start().await;
    for (code, reason) in [(1011, "overloaded"), (1001, "")] {
        let (call, mut carrier) = talking(&mut stage).await;
        let before = noise(320, 7);
        carrier.say(&before);
        assert_same_audio(&call.model.heard(before.len()).await, &before);
        call.model.close(code, reason);
        let mut model = stage.model().await;
        model.configuration().await;
        // Nobody listens yet.
        let meanwhile = noise(1_600, 8);
        carrier.say(&meanwhile);
        model.confirm();
        let said = model.event("conversation.item.create").await;
        assert_eq!(said["item"]["role"], "assistant");
        assert_eq!(said["item"]["content"][0]["text"], support::GREETING);
        model.update("turns").await;
        model.confirm();
        let after = noise(320, 9);
        carrier.say(&after);
        let all = [meanwhile, after].concat();
        assert_same_audio(&model.heard(all.len()).await, &all);
        let spoken = noise(2_000, 10);
        model.respond(
            "resp_2",
            "item_2",
            "Here I am.",
            std::slice::from_ref(&spoken),
        );
        assert_same_audio(&carrier.hear(spoken.len()).await, &spoken);
        let now = until(&call.session, "the line", |now| now.transcript.len() == 2).await;
        assert_eq!(now.status, Status::InProgress);
        assert_eq!(now.transcript[1].text, "Here I am.");
        assert_eq!(stage.report(&call, "completed", 9).await, 204);
        ended(&call.session).await;
    }
}

#[tokio::test]
async fn and_the_call_ends_if_no_other_session_accepts_its_configuration() {
    let mut stage = Stage::start().await;
    let (call, _carrier) = talking(&mut stage).await;
    call.model.close(1011, "overloaded");
    let mut model = stage.model().await;
    model.configuration().await;
    model.send(&json!({"type": "error", "error": {
        "type": "invalid_request_error", "code": "unknown_parameter",
        "message": "Unknown parameter.", "event_id": "configure",
    }}));
    let end = ended(&call.session).await;
    assert_eq!(end.status, Status::Failed);
    assert!(end.error.unwrap().contains("Unknown parameter."));
}

#[tokio::test]
async fn because_its_hour_is_over_which_costs_the_call_nothing() {
    let mut stage = Stage::start().await;
    let (call, mut carrier) = talking(&mut stage).await;
    call.model.send(&json!({"type": "error", "error": {
        "type": "invalid_request_error", "code": "session_expired",
        "message": "Your session hit the maximum duration of 60 minutes.", "event_id": null,
    }}));
    let model = another(&mut stage).await;
    carrier.say(&noise(160, 3));
    assert_same_audio(&model.heard(160).await, &noise(160, 3));
    assert_eq!(snapshot(&call.session).status, Status::InProgress);
}

#[tokio::test]
async fn and_another_that_is_lost_at_once_loses_nothing_of_what_the_callee_said() {
    let mut stage = Stage::start().await;
    let (call, mut carrier) = talking(&mut stage).await;
    call.model.close(1011, "overloaded");
    let mut model = stage.model().await;
    model.configuration().await;
    let meanwhile = noise(1_600, 8);
    carrier.say(&meanwhile);
    // What is said by then was said while there was no session.
    carrier.press('5');
    until(&call.session, "the key", |now| now.transcript.len() == 2).await;
    for _ in 0..2 {
        model.confirm();
        assert_same_audio(&model.heard(meanwhile.len()).await, &meanwhile);
        model.close(1011, "overloaded");
        model = stage.model().await;
        model.configuration().await;
    }
    model.confirm();
    assert_same_audio(&model.heard(meanwhile.len()).await, &meanwhile);
    assert_eq!(snapshot(&call.session).status, Status::InProgress);
    assert_eq!(stage.report(&call, "completed", 9).await, 204);
    ended(&call.session).await;
}

#[tokio::test]
async fn and_sessions_that_are_lost_one_after_another_end_the_call_after_eight_seconds() {
    let mut stage = Stage::start().await;
    let (call, _carrier) = talking(&mut stage).await;
    let lost = Instant::now();
    call.model.close(1011, "overloaded");
    let mut sessions = 0;
    let end = loop {
        tokio::select! {
            end = ended(&call.session) => break end,
            mut model = stage.model() => {
                sessions += 1;
                model.configuration().await;
                model.confirm();
                model.close(1011, "overloaded");
            }
        }
    };
    assert!(lost.elapsed() >= Duration::from_secs(8));
    // At once, and then after 250 ms, 500 ms and so on, however fast they are lost.
    assert!((3..=6).contains(&sessions), "{sessions}");
    assert_eq!(end.status, Status::Failed);
    assert!(end.error.unwrap().contains("did not come back"));
    stage.rest.redirected(&call.sid).await;
    assert_eq!(stage.report(&call, "completed", 9).await, 204);
}
