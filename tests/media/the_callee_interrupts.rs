use super::*;

/// Speech of so many bytes with its words, a second of speech to each.
fn speak(call: &Placed, response: &str, item: &str, words: &[&str]) {
    call.model.begin(response);
    for (word, seed) in words.iter().zip(1..) {
        call.model.send(&json!({
            "type": "response.output_audio_transcript.delta", "response_id": response,
            "item_id": item, "delta": word,
        }));
        call.model.speak(response, item, &noise(8_000, seed));
    }
}

fn callee_speaks(call: &Placed, item: &str) {
    let model = &call.model;
    model.send(&json!({"type": "input_audio_buffer.speech_started", "item_id": item}));
}

#[tokio::test]
async fn and_carrier_and_model_are_told_at_once_what_was_heard() {
    let mut stage = Stage::start().await;
    let (mut call, mut carrier) = talking(&mut stage).await;
    speak(&call, "resp_1", "item_1", &["One, ", "two, ", "three, "]);
    let marks = carrier.hear_without_marks(22_000).await;
    // 1.4 s of it were played.
    let (heard, _) = marks.iter().partition::<Vec<_>, _>(|(_, at)| *at <= 11_200);
    let played = heard.last().unwrap().1;
    assert!((9_600..=11_200).contains(&played));
    for (name, _) in &heard {
        carrier.return_mark(name);
    }
    // Once this key has arrived, the marks have.
    carrier.press('1');
    call.model.event("conversation.item.create").await;
    callee_speaks(&call, "item_u");
    while carrier.frame().await["event"] != "clear" {}
    let cut = call.model.event("conversation.item.truncate").await;
    assert_eq!(cut["item_id"], "item_1");
    assert_eq!(cut["content_index"], 0);
    assert_eq!(cut["audio_end_ms"], json!(played / 8));
    let now = until(&call.session, "the line", |now| {
        now.transcript.iter().any(|line| line.text.ends_with('—'))
    })
    .await;
    assert!(now.transcript.iter().any(|line| line.text == "One, two,—"));

    // What the interrupted response still says is not played, nor do its marks mean anything.
    call.model.speak("resp_1", "item_1", &noise(8_000, 9));
    for (name, _) in &marks {
        carrier.return_mark(name);
    }
    call.model.send(&json!({
        "type": "response.done", "response": {"id": "resp_1", "status": "cancelled"},
    }));
    for kind in ["speech_stopped", "committed"] {
        let kind = format!("input_audio_buffer.{kind}");
        call.model.send(&json!({"type": kind, "item_id": "item_u"}));
    }
    let answer = noise(3_000, 10);
    call.model
        .respond("resp_2", "item_2", "Yes?", std::slice::from_ref(&answer));
    assert_same_audio(&carrier.hear(answer.len()).await, &answer);
}

#[tokio::test]
async fn also_when_the_model_finished_long_before_the_carrier() {
    let mut stage = Stage::start().await;
    let (mut call, mut carrier) = talking(&mut stage).await;
    speak(&call, "resp_1", "item_1", &["One, ", "two, ", "three."]);
    call.model.finish("resp_1", "item_1", "One, two, three.");
    let marks = carrier.hear_without_marks(24_000).await;
    let (first, played) = &marks[0];
    carrier.return_mark(first);
    carrier.press('1');
    call.model.event("conversation.item.create").await;
    callee_speaks(&call, "item_u");
    while carrier.frame().await["event"] != "clear" {}
    let cut = call.model.event("conversation.item.truncate").await;
    assert_eq!(cut["audio_end_ms"], json!(played / 8));
}

#[tokio::test]
async fn before_anything_was_heard_and_the_item_is_deleted() {
    let mut stage = Stage::start().await;
    let (mut call, mut carrier) = talking(&mut stage).await;
    speak(&call, "resp_1", "item_1", &["One, "]);
    carrier.hear_without_marks(6_400).await;
    callee_speaks(&call, "item_u");
    let deleted = call.model.event("conversation.item.delete").await;
    assert_eq!(deleted["item_id"], "item_1");
    while carrier.frame().await["event"] != "clear" {}
    assert_eq!(snapshot(&call.session).transcript.len(), 1);
}

#[tokio::test]
async fn the_greeting_which_is_played_to_its_end_all_the_same() {
    let mut stage = Stage::start().await;
    let mut call = stage.place().await;
    let greeting = noise(16_000, 1);
    call.model.greet(std::slice::from_ref(&greeting)).await;
    let mut carrier = stage.connect(&call).await;
    // The callee speaks at its very beginning.
    callee_speaks(&call, "item_u");
    let marks = carrier.hear_without_marks(greeting.len()).await;
    for (name, _) in &marks {
        carrier.return_mark(name);
    }
    let now = until(&call.session, "the disclosure", |now| {
        now.disclosed_at.is_some()
    })
    .await;
    assert_eq!(now.transcript[0].text, support::GREETING);
}
