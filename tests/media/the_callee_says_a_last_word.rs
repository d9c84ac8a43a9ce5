use super::*;
#[tokio::test]
async fn and_hangs_up_and_it_is_in_the_transcript_all_the_same() {
    let mut stage = Stage::start().await;
    let (call, carrier) = talking(&mut stage).await;
    for kind in ["speech_started", "speech_stopped", "committed"] {
        let kind = format!("input_audio_buffer.{kind}");
        call.model.send(&json!({"type": kind, "item_id": "item_u"}));
    }
    call.model.begin("resp_1");
    call.model.speak("resp_1", "item_1", &noise(160, 1));
    // What follows is sent when the model's turn has arrived.
    let mut carrier = carrier;
    while carrier.frame().await["event"] != "media" {}
    carrier.stop();
    assert_eq!(stage.report(&call, "completed", 3).await, 204);
    call.model.send(&json!({
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": "item_u", "content_index": 0, "transcript": "Tuesday at ten. Bye.",
    }));
    let late = until(&call.session, "the last word", |now| {
        now.status.is_final() && now.transcript.iter().any(|line| line.role == Role::Caller)
    });
    let end = late.await;
    assert_eq!(end.status, Status::Completed);
    // The line comes after the end, in a revision of its own.
    let revisions = *call.session.call.watch().borrow();
    assert!(revisions.latest > revisions.attention, "{revisions:?}");
    let said = end.transcript.iter().find(|line| line.role == Role::Caller);
    assert_eq!(said.unwrap().text, "Tuesday at ten. Bye.");
}
