use super::*;

#[tokio::test]
async fn and_the_line_is_hung_up_when_that_was_heard_and_not_before() {
    let mut stage = Stage::start().await;
    let (mut call, mut carrier) = talking(&mut stage).await;
    call.model.begin("resp_1");
    call.model.speak("resp_1", "item_1", &noise(80_000, 1));
    call.model.send(&json!({
        "type": "response.output_item.done", "response_id": "resp_1", "output_index": 1,
        "item": {"id": "fc_1", "type": "function_call", "status": "completed",
            "name": "end_call", "call_id": "call_1",
            "arguments": "{\"summary\":\"All is settled.\",\"outcome\":\"success\"}"},
    }));
    call.model.finish("resp_1", "item_1", "Thank you, goodbye.");
    let output = call.model.event("conversation.item.create").await;
    assert_eq!(output["item"]["call_id"], "call_1");
    let marks = carrier.hear_without_marks(80_000).await;
    let (last, others) = marks.split_last().unwrap();
    for (name, _) in others {
        carrier.return_mark(name);
    }
    carrier.press('1');
    until(&call.session, "the key", |now| now.transcript.len() == 2).await;
    let now = snapshot(&call.session);
    assert_eq!((now.status, now.outcome), (Status::InProgress, None));
    assert_eq!(stage.rest.hang_ups(&call.sid), 0);
    carrier.return_mark(&last.0);
    let end = ended(&call.session).await;
    assert_eq!(end.status, Status::Completed);
    assert_eq!(end.outcome, Some(Outcome::Success));
    assert_eq!(end.summary.as_deref(), Some("All is settled."));
    assert!(
        end.transcript
            .iter()
            .any(|line| line.text == "Thank you, goodbye.")
    );
    stage.rest.hung_up(1).await;
    assert_eq!(stage.rest.hang_ups(&call.sid), 1);
    // Both sockets are closed.
    carrier.closed().await;
}
