//! The disk fails while a call is under way. The call does not notice, and nothing is forgotten.

use super::*;

const TO: &str = "+390612345678";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_ends_no_call_and_loses_nothing() {
    side_by_side([
        #[cfg(target_os = "linux")]
        ("full", Box::pin(full())),
        #[cfg(not(target_os = "linux"))]
        ("full", Box::pin(async {})),
        ("locked", Box::pin(locked())),
    ])
    .await;
}

fn callee() -> Options {
    let callee = talking(&[
        "Yes, speaking. What is it about?",
        "Tuesday at ten works for us.",
        "Goodbye.",
    ]);
    Options {
        default_callee: callee,
        ..hurried()
    }
}

/// Waits until `status` warns, or does not warn any more.
async fn warned(server: &mut Server, word: Option<&str>) -> Value {
    let began = Instant::now();
    loop {
        let phone = server.phone().await;
        let warnings = phone["warnings"].to_string();
        let as_wanted = match word {
            Some(word) => warnings.contains("are refused") && warnings.contains(word),
            None => warnings == "[]",
        };
        if as_wanted {
            return phone;
        }
        assert!(began.elapsed() < support::PATIENCE, "{word:?}: {phone}");
        tokio::time::sleep(file::LOOK).await;
    }
}

/// The disk has just failed; the call goes on to its goodbye.
async fn goes_on(stage: &Stage, server: &mut Server, id: &str, word: &str) -> Value {
    warned(server, Some(word)).await;
    let why = server.refused("phone_call_place", order(NOBODY)).await;
    assert!(
        why.contains(word) && why.contains("limits cannot be checked"),
        "{why}"
    );
    let text = json!({"to": "+14155550123", "text": "Hello", "idempotency_key": "k"});
    let why = server.refused("sms_send", text).await;
    assert!(
        why.contains(word) && why.contains("limits cannot be checked"),
        "{why}"
    );
    let over = server.reach(id, "completed").await;
    assert_eq!(over["outcome"], json!("success"), "{over:#}");
    let sid = over["twilio_sid"].as_str().unwrap();
    soon("the end of the line", stage.sandbox.wait_call_over(sid))
        .await
        .unwrap();
    assert_eq!(over["error"], Value::Null);
    warned(server, Some(word)).await;
    assert_eq!(dials(stage), 1);
    assert!(stage.sandbox.messages().is_empty());
    over
}

/// The disk works again: all is written after all, and calls are placed again.
async fn is_made_good(stage: &Stage, mut server: Server, over: &Value) {
    warned(&mut server, None).await;
    let settled = "SELECT count(*) FROM reservation";
    stage
        .file
        .until("its share to be given back", settled, 0)
        .await;
    stage
        .file
        .until(
            "its line to be closed",
            "SELECT count(*) FROM call WHERE line = 'over'",
            1,
        )
        .await;
    let text = json!({"to": "+14155550123", "text": "Hello", "idempotency_key": "k"});
    server.call("sms_send", text).await;
    let id = server.place(NOBODY).await;
    server
        .call("phone_call_hangup", json!({"call_id": id}))
        .await;
    server.end().await;
    let mut next = stage.server().await;
    let asked = json!({"call_id": over["call_id"]});
    let kept = next.call("phone_call_status", asked).await;
    for what in [
        "status",
        "outcome",
        "summary",
        "notes",
        "error",
        "ended_at",
        "transcript",
    ] {
        assert_eq!(kept[what], over[what], "{what}");
    }
    let phone = next.phone().await;
    let used = phone["daily_seconds_used"].as_f64().unwrap();
    assert!(
        (used - over["duration_s"].as_f64().unwrap()).abs() <= 1.0,
        "{phone}"
    );
    assert_eq!(phone["active_calls"], json!(0));
}

/// From now on, no file of the process grows beyond this, bytes; or any size again.
#[cfg(target_os = "linux")]
async fn allow(server: &Server, size: &str) {
    let set = tokio::process::Command::new("prlimit")
        .args([
            &format!("--pid={}", server.pid()),
            &format!("--fsize={size}:"),
        ])
        .status();
    assert!(set.await.unwrap().success());
}

#[cfg(target_os = "linux")]
async fn full() {
    let stage = Stage::new(callee()).await;
    // The signal would end the process; a disk that is full sends none.
    let mut server = stage.server_with(|setup| setup.after("trap '' XFSZ")).await;
    let id = server.place(TO).await;
    said(&mut server, &id, 1).await;
    allow(&server, "1").await;
    let over = goes_on(&stage, &mut server, &id, "failed").await;
    let unwritten = "SELECT count(*) FROM call WHERE status = 'completed'";
    assert_eq!(stage.file.number(unwritten).await, 0);
    allow(&server, "unlimited").await;
    is_made_good(&stage, server, &over).await;
}

async fn locked() {
    let stage = Stage::new(callee()).await;
    let mut server = stage.server().await;
    let id = server.place(TO).await;
    said(&mut server, &id, 1).await;
    let lock = stage.file.lock().await;
    let over = goes_on(&stage, &mut server, &id, "locked").await;
    drop(lock);
    is_made_good(&stage, server, &over).await;
}
