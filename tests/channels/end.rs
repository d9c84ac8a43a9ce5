//! The host goes away while a message is under way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::*;

/// What the contract allows for an end.
const END: Duration = Duration::from_secs(4);

fn message() -> Value {
    json!({"ok": true, "result": {"message_id": 1}})
}

#[tokio::test]
async fn a_message_under_way_is_sent_to_its_end() {
    let release = Arc::new(Notify::new());
    let held = Reply::Held(Arc::clone(&release), message());
    let stand_in = StandIn::start(vec![held, Reply::Json(200, message())]).await;
    let setup = telegram_setup(&stand_in).env("RUST_LOG", "debug");
    let mut server = Server::start(&setup).await;
    let text = format!("{}\n{}", "a".repeat(3_000), "b".repeat(3_000));
    let long = json!({"chat_id": "42", "text": text});
    server.begin("telegram_send_message", long).await;
    stand_in.wait(1).await;
    server.close_stdin();
    // Only messages keep it by now.
    let waits = |seen: &support_mcp::Seen| seen.stderr.contains("are given time").then_some(());
    server.wait("the wait for messages", waits).await;
    release.notify_one();
    // The second half follows although nobody will read the result.
    stand_in.wait(2).await;
    let (status, took) = server.exit().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < END, "{took:?}");
}

#[tokio::test]
async fn a_provider_that_does_not_answer_does_not_keep_it() {
    let never = Reply::Held(Arc::new(Notify::new()), message());
    let stand_in = StandIn::start(vec![never]).await;
    let mut server = telegram(&stand_in).await;
    let text = json!({"chat_id": "42", "text": "x"});
    server.begin("telegram_send_message", text).await;
    stand_in.wait(1).await;
    server.close_stdin();
    let (status, took) = server.exit().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < END, "{took:?}");
}

#[tokio::test]
async fn a_rate_limit_is_not_waited_for_at_the_end() {
    let limited = json!({
        "ok": false, "error_code": 429, "description": "Too Many Requests",
        "parameters": {"retry_after": 9},
    });
    let stand_in = StandIn::start(vec![Reply::Json(429, limited)]).await;
    let setup = telegram_setup(&stand_in).env("RUST_LOG", "debug");
    let mut server = Server::start(&setup).await;
    let text = json!({"chat_id": "42", "text": "x"});
    server.begin("telegram_send_message", text).await;
    let waits = |seen: &support_mcp::Seen| seen.stderr.contains("rate limit").then_some(());
    server.wait("the rate limit", waits).await;
    // It is given up, not cut off by the end of the program.
    let seen = server.end().await;
    assert!(seen.stderr.contains("message not sent"), "{}", seen.stderr);
    assert_eq!(stand_in.seen().len(), 1);
}

#[tokio::test]
async fn a_request_that_is_cancelled_does_not_tear_a_message() {
    let release = Arc::new(Notify::new());
    let held = Reply::Held(Arc::clone(&release), message());
    let stand_in = StandIn::start(vec![held, Reply::Json(200, message())]).await;
    let mut server = telegram(&stand_in).await;
    let text = format!("{}\n{}", "a".repeat(3_000), "b".repeat(3_000));
    let long = json!({"chat_id": "42", "text": text});
    let id = server.begin("telegram_send_message", long).await;
    stand_in.wait(1).await;
    let cancelled = json!({"requestId": id, "reason": "the user has changed their mind"});
    server.notify("notifications/cancelled", cancelled).await;
    // It is cancelled when the next request is answered.
    server.call("status", json!({})).await;
    release.notify_one();
    stand_in.wait(2).await;
}
