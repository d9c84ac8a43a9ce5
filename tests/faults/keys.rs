//! The same request with the same key, before and after the end of a process.

use super::*;

fn message(text: &str) -> Value {
    json!({"to": "+14155550123", "text": text, "idempotency_key": "Tuesday"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_outlives_the_process() {
    side_by_side([
        ("a call, and a clean end", Box::pin(call_and_clean_end())),
        ("a call, killed while ringing", Box::pin(call_and_kill())),
        ("a call, killed while dialling", Box::pin(call_in_flight())),
        (
            "a message, and a clean end",
            Box::pin(message_and_clean_end()),
        ),
        (
            "a message, killed while sending",
            Box::pin(message_in_flight()),
        ),
    ])
    .await;
}

async fn assert_same_call(stage: &Stage, first: &Value) {
    let mut next = stage.server().await;
    let again = next
        .call("phone_call_place", order_with_key(NOBODY, "k"))
        .await;
    for what in ["call_id", "twilio_sid", "max_duration_seconds"] {
        assert_eq!(again[what], first[what], "{again} and {first}");
    }
    let other = order_with_key("+390612345678", "k");
    let why = next.refused("phone_call_place", other).await;
    assert!(why.contains("other arguments"), "{why}");
    assert_eq!(dials(stage), 1);
    // A key of calls is none of messages.
    let message = json!({"to": "+14155550123", "text": "Hello", "idempotency_key": "k"});
    next.call("sms_send", message).await;
}

async fn call_and_clean_end() {
    let stage = Stage::new(hurried()).await;
    let mut first = stage.server().await;
    let placed = first
        .call("phone_call_place", order_with_key(NOBODY, "k"))
        .await;
    first.end().await;
    assert_same_call(&stage, &placed).await;
}

async fn call_and_kill() {
    let stage = Stage::new(hurried()).await;
    let mut first = stage.server().await;
    let placed = first
        .call("phone_call_place", order_with_key(NOBODY, "k"))
        .await;
    kill(first).await;
    assert_same_call(&stage, &placed).await;
}

async fn call_in_flight() {
    let stage = Stage::new(hurried()).await;
    let mut first = stage.server().await;
    stage.tunnel.set(Mode::Refused);
    stage.carrier.set(Mode::AnswersHeld);
    first
        .begin("phone_call_place", order_with_key(NOBODY, "k"))
        .await;
    soon("a dial", stage.sandbox.wait_calls(1)).await.unwrap();
    kill(first).await;
    stage.carrier.set(Mode::Through);
    let id = stage.file.text("SELECT id FROM call").await.unwrap();
    // It turns out that nobody answers the first request any more: it is what it is.
    assert_same_call(
        &stage,
        &json!({"call_id": id, "twilio_sid": null, "max_duration_seconds": 600}),
    )
    .await;
}

async fn message_and_clean_end() {
    let stage = Stage::new(hurried()).await;
    let mut first = stage.server().await;
    let sent = first.call("sms_send", message("See you on Tuesday")).await;
    first.end().await;
    let mut next = stage.server().await;
    let again = next.call("sms_send", message("See you on Tuesday")).await;
    assert_eq!(again["sid"], sent["sid"]);
    let why = next
        .refused("sms_send", message("See you on Wednesday"))
        .await;
    assert!(why.contains("other arguments"), "{why}");
    assert_eq!(stage.sandbox.messages().len(), 1);
}

async fn message_in_flight() {
    let stage = Stage::new(hurried()).await;
    let mut first = stage.server().await;
    stage.carrier.set(Mode::AnswersHeld);
    first.begin("sms_send", message("See you on Tuesday")).await;
    let sent = async {
        while stage.sandbox.messages().is_empty() {
            tokio::time::sleep(file::LOOK).await;
        }
    };
    soon("the message", sent).await;
    kill(first).await;
    stage.carrier.set(Mode::Through);
    let mut next = stage.server().await;
    for _ in 0..2 {
        let why = next
            .refused("sms_send", message("See you on Tuesday"))
            .await;
        assert!(why.contains("unknown whether"), "{why}");
    }
    assert_eq!(stage.sandbox.messages().len(), 1);
}
