use super::*;

#[tokio::test]
async fn which_ends_the_call_with_an_error_that_says_so() {
    let mut stage = Stage::start().await;
    for (code, reason, says) in [
        (1011, "overloaded", "1011"),
        (1001, "", "1001"),
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
    call.model.close(1011, "overloaded");
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
    call.model.close(1011, "overloaded");
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
