//! The process is killed at every step of a call, and another is started on the same file. It never
//! dials: the requests to do so are counted each time.

use super::*;

/// What a reader learns who asks in vain.
const DIED: &str = "process ended during the call";

/// The contract allows 10 s from the start of the next process to the end of every line; a machine
/// that is busy with other things is given some more.
const CLEARED: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_no_line_open_and_no_limit_taken() {
    side_by_side([
        ("not dialled yet", Box::pin(not_dialled_yet())),
        ("dialling", Box::pin(dialling())),
        (
            "dialling, and nobody ever hears of it",
            Box::pin(never_heard_of()),
        ),
        ("the answer lost", Box::pin(answer_lost())),
        ("ringing", Box::pin(ringing())),
        ("in conversation", Box::pin(in_conversation())),
        ("saying goodbye", Box::pin(saying_goodbye())),
        ("hanging up", Box::pin(hanging_up())),
    ])
    .await;
}

/// One call to each number, so that what is counted shows.
fn once_each(setup: Setup) -> Setup {
    setup.env("OPENAGENT_PHONE_MAX_DAILY_CALLS_PER_NUMBER", "1")
}

async fn assert_nothing_is_taken(server: &mut Server, used: u64) {
    let phone = server.phone().await;
    assert_eq!(phone["active_calls"], json!(0), "{phone}");
    assert_eq!(phone["daily_seconds_used"], json!(used), "{phone}");
    assert_eq!(phone["warnings"], json!([]), "{phone}");
}

async fn assert_was_counted(server: &mut Server, to: &str) {
    let why = server.refused("phone_call_place", order(to)).await;
    assert!(why.contains("already called 1 times"), "{why}");
}

/// Every line that was seen is there, in its place, with its words.
fn assert_kept(after: &Value, seen: &Value) {
    let (after, seen) = (&after["transcript"], &seen["transcript"]);
    for (index, line) in seen.as_array().unwrap().iter().enumerate() {
        let kept = &after[index];
        assert_eq!(kept["role"], line["role"], "{after:#}");
        let (kept, seen) = (
            kept["text"].as_str().unwrap(),
            line["text"].as_str().unwrap(),
        );
        assert!(kept.starts_with(seen), "{kept:?} was {seen:?}");
    }
}

/// Waits until the line is over, and says how long that took.
async fn cleared(stage: &Stage, sid: &str, began: Instant) {
    soon("the end of the line", stage.sandbox.wait_call_over(sid))
        .await
        .unwrap();
    let took = began.elapsed();
    assert!(took < CLEARED, "{took:?}");
}

async fn not_dialled_yet() {
    // After a while the product dials although the model is not ready: then once more.
    for _ in 0..5 {
        let stage = Stage::new(hurried()).await;
        let mut first = stage.server().await;
        stage.model.set(Mode::Held);
        first
            .begin("phone_call_place", order_with_key(NOBODY, "k"))
            .await;
        let intent = "SELECT count(*) FROM call WHERE line = 'none'";
        stage.file.until("an intent", intent, 1).await;
        kill(first).await;
        if dials(&stage) > 0 {
            continue;
        }
        assert_eq!(stage.file.number(intent).await, 1);
        let id = stage.file.text("SELECT id FROM call").await.unwrap();
        stage.model.set(Mode::Through);
        let mut next = stage.server_with(once_each).await;
        let gone = "SELECT count(*) FROM call";
        stage.file.until("the intent to be gone", gone, 0).await;
        assert_nothing_is_taken(&mut next, 0).await;
        let why = next
            .refused("phone_call_status", json!({"call_id": id}))
            .await;
        assert!(why.contains("no call"), "{why}");
        assert_eq!(dials(&stage), 0);
        // Neither the number nor the key was used.
        let other = json!({"to": NOBODY, "mission": "Something else.", "idempotency_key": "k"});
        let placed = next.call("phone_call_place", other).await;
        assert_ne!(placed["call_id"], json!(id));
        assert_eq!(dials(&stage), 1);
        return;
    }
    panic!("it always dials before it can be killed");
}

/// A process that is killed when the carrier has dialled and nobody knows the call's SID.
async fn killed_while_dialling() -> (Stage, String, String) {
    let stage = Stage::new(hurried()).await;
    let mut first = stage.server().await;
    stage.tunnel.set(Mode::Refused);
    stage.carrier.set(Mode::AnswersHeld);
    first.begin("phone_call_place", order(NOBODY)).await;
    let call = soon("a dial", stage.sandbox.wait_calls(1)).await.unwrap();
    kill(first).await;
    stage.carrier.set(Mode::Through);
    let id = "SELECT id FROM call WHERE line = 'dialling' AND twilio_sid IS NULL";
    let id = stage.file.text(id).await.unwrap();
    (stage, id, call.sid)
}

/// Nothing is known of the call but that it was to be dialled; then the carrier asks about it.
async fn turns_up(stage: &Stage, id: &str, sid: &str) {
    let mut next = stage.server_with(once_each).await;
    let taken_over =
        |seen: &support_mcp::Seen| seen.stderr.contains("process has died").then_some(());
    next.wait("the orphan", taken_over).await;
    let phone = next.phone().await;
    assert_eq!(phone["active_calls"], json!(1), "{phone}");
    assert_eq!(phone["daily_seconds_used"], json!(600), "{phone}");

    let (port, path) = (stage::port(&phone), format!("/twiml/{id}"));
    let params = [("CallSid", sid), ("CallStatus", "in-progress")];
    let (unsigned, _) = support::post_form(port, &path, &params, None).await;
    assert_eq!(unsigned, 403);
    let forged = support::sign(
        "another token",
        &format!("{}{path}", stage.tunnel.url()),
        &params,
    );
    let (forged, _) = support::post_form(port, &path, &params, Some(&forged)).await;
    assert_eq!(forged, 403);
    assert_eq!(next.phone().await["active_calls"], json!(1));
    assert!(!stage.sandbox.call(sid).unwrap().status.is_final());

    let (status, twiml) = stage.post(port, &path, sid, "ringing").await;
    assert_eq!(status, 200);
    assert!(
        twiml.contains("<Hangup") && !twiml.contains("<Connect"),
        "{twiml}"
    );
    soon("the end of the line", stage.sandbox.wait_call_over(sid))
        .await
        .unwrap();
    let after = final_of(&mut next, id).await;
    assert!(after["error"].as_str().unwrap().contains(DIED), "{after:#}");
    assert_eq!(after["twilio_sid"], json!(sid));
    assert_eq!(after["duration_s"], json!(0.0));
    assert_nothing_is_taken(&mut next, 0).await;
    assert_was_counted(&mut next, NOBODY).await;
    assert_eq!(dials(stage), 1);
}

async fn dialling() {
    let (stage, id, sid) = killed_while_dialling().await;
    turns_up(&stage, &id, &sid).await;
}

async fn answer_lost() {
    let stage = Stage::new(hurried()).await;
    let mut first = stage.server().await;
    stage.tunnel.set(Mode::Refused);
    stage.carrier.set(Mode::AnswersLost);
    let why = first.refused("phone_call_place", order(NOBODY)).await;
    assert!(why.contains("unknown whether"), "{why}");
    let unknown = "SELECT count(*) FROM call WHERE line = 'unknown' AND status = 'failed'";
    stage.file.until("the lost answer", unknown, 1).await;
    kill(first).await;
    stage.carrier.set(Mode::Through);
    let id = stage.file.text("SELECT id FROM call").await.unwrap();
    let sid = stage.sandbox.calls()[0].sid.clone();

    let mut next = stage.server().await;
    let taken_over =
        |seen: &support_mcp::Seen| seen.stderr.contains("process has died").then_some(());
    next.wait("the orphan", taken_over).await;
    let phone = next.phone().await;
    assert_eq!(phone["active_calls"], json!(1), "{phone}");
    // This time a report tells of it.
    let path = format!("/status/{id}");
    let (status, _) = stage
        .post(stage::port(&phone), &path, &sid, "ringing")
        .await;
    assert_eq!(status, 204);
    soon("the end of the line", stage.sandbox.wait_call_over(&sid))
        .await
        .unwrap();
    let settled = "SELECT count(*) FROM reservation";
    stage
        .file
        .until("its share to be given back", settled, 0)
        .await;
    assert_nothing_is_taken(&mut next, 0).await;
    // It had ended before.
    let after = final_of(&mut next, &id).await;
    assert_eq!(after["status"], json!("failed"));
    assert!(
        after["error"].as_str().unwrap().contains("unknown whether"),
        "{after:#}"
    );
    assert_eq!(dials(&stage), 1);
}

async fn never_heard_of() {
    let (stage, id, sid) = killed_while_dialling().await;
    let past = "UPDATE call SET over_by = '2020-01-01T00:00:00.000Z'";
    stage.file.run(past).await;
    let mut next = stage.server().await;
    let after = final_of(&mut next, &id).await;
    let error = after["error"].as_str().unwrap();
    assert!(
        error.contains(DIED) && error.contains("unknown whether"),
        "{error}"
    );
    assert_eq!(after["twilio_sid"], Value::Null);
    // It may have used all that it was granted.
    assert_nothing_is_taken(&mut next, 600).await;
    // Nobody looks for a call by its number.
    assert_eq!(stage.sandbox.requests(), ["POST Calls.json"]);
    assert!(!stage.sandbox.call(&sid).unwrap().status.is_final());
}

async fn ringing() {
    let stage = Stage::new(hurried()).await;
    let mut first = stage.server().await;
    let (id, _) = first.ring().await;
    let row = "SELECT count(*) FROM call WHERE status = 'ringing' AND twilio_sid IS NOT NULL";
    stage.file.until("the ringing call", row, 1).await;
    kill(first).await;
    let sid = stage.sandbox.calls()[0].sid.clone();
    assert!(!stage.sandbox.call(&sid).unwrap().status.is_final());

    let mut next = stage.server_with(once_each).await;
    let began = Instant::now();
    cleared(&stage, &sid, began).await;
    let after = final_of(&mut next, &id).await;
    assert_eq!(after["status"], json!("canceled"), "{after:#}");
    assert_eq!(after["error"], json!(DIED));
    assert_eq!(after["outcome"], json!("failure"));
    assert_eq!(after["duration_s"], json!(0.0));
    assert_nothing_is_taken(&mut next, 0).await;
    assert_was_counted(&mut next, NOBODY).await;
    assert_eq!(dials(&stage), 1);
}

async fn in_conversation() {
    let callee = talking(&["Yes, speaking. What is it about?"]);
    let stage = Stage::new(Options {
        default_callee: callee,
        ..hurried()
    })
    .await;
    let mut first = stage.server().await;
    let to = "+390612345678";
    let id = first.place(to).await;
    let seen = said(&mut first, &id, 4).await;
    // What was seen so long ago is on the disk, whatever happens.
    tokio::time::sleep(Duration::from_millis(250)).await;
    let sid = seen["twilio_sid"].as_str().unwrap().to_owned();
    // The carrier's next question waits for an answer, so that it does not hang up by itself.
    stage.tunnel.set(Mode::Held);
    kill(first).await;
    assert!(!stage.sandbox.call(&sid).unwrap().status.is_final());

    let mut next = stage.server_with(once_each).await;
    let began = Instant::now();
    stage.tunnel.set(Mode::Through);
    assert!(!stage.sandbox.call(&sid).unwrap().status.is_final());
    cleared(&stage, &sid, began).await;
    let after = final_of(&mut next, &id).await;
    assert_eq!(after["status"], json!("failed"), "{after:#}");
    assert_eq!(after["error"], json!(DIED));
    assert_eq!(after["twilio_sid"], json!(sid));
    assert_kept(&after, &seen);
    let charged = seconds(&stage, &sid);
    assert!(charged > 0);
    assert_eq!(after["duration_s"], json!(f64::from(charged)));
    assert_nothing_is_taken(&mut next, charged.into()).await;
    assert_was_counted(&mut next, to).await;
    assert_eq!(dials(&stage), 1);
}

async fn saying_goodbye() {
    let callee = talking(&["Goodbye."]);
    for _ in 0..5 {
        let stage = Stage::new(Options {
            default_callee: callee.clone(),
            ..Options::default()
        })
        .await;
        let mut first = stage.server().await;
        let id = first.place("+390612345678").await;
        let ends = |session: &openagent_messaging::sandbox::ModelSession| {
            let mut responses = session.responses.iter();
            responses.any(|response| response.to_string().contains("end_call"))
        };
        let session = stage.sandbox.wait_model_session(0, ends);
        soon("the goodbye", session).await.unwrap();
        stage.tunnel.set(Mode::Held);
        kill(first).await;
        let sid = stage.sandbox.calls()[0].sid.clone();
        if stage
            .file
            .number("SELECT count(*) FROM call WHERE status = 'in_progress'")
            .await
            == 0
        {
            continue;
        }
        assert!(!stage.sandbox.call(&sid).unwrap().status.is_final());
        let mut next = stage.server().await;
        let began = Instant::now();
        stage.tunnel.set(Mode::Through);
        cleared(&stage, &sid, began).await;
        let after = final_of(&mut next, &id).await;
        assert_eq!(after["error"], json!(DIED), "{after:#}");
        assert_nothing_is_taken(&mut next, seconds(&stage, &sid).into()).await;
        assert_eq!(dials(&stage), 1);
        return;
    }
    panic!("the call always ends before the process can be killed");
}

async fn hanging_up() {
    let callee = talking(&[]);
    let stage = Stage::new(Options {
        default_callee: callee,
        ..hurried()
    })
    .await;
    let mut first = stage.server().await;
    let id = first.place("+390612345678").await;
    said(&mut first, &id, 2).await;
    // The carrier is not reached any more.
    stage.carrier.set(Mode::Held);
    let before = first
        .call("phone_call_hangup", json!({"call_id": id}))
        .await;
    let over = "SELECT count(*) FROM call WHERE status = 'hung_up_by_agent' AND line = 'open'";
    stage.file.until("the end to be written", over, 1).await;
    stage.tunnel.set(Mode::Held);
    kill(first).await;
    let sid = stage.sandbox.calls()[0].sid.clone();
    assert!(!stage.sandbox.call(&sid).unwrap().status.is_final());

    stage.carrier.set(Mode::Through);
    let mut next = stage.server().await;
    let began = Instant::now();
    stage.tunnel.set(Mode::Through);
    cleared(&stage, &sid, began).await;
    let closed = "SELECT count(*) FROM call WHERE line = 'over'";
    stage.file.until("the line to be closed", closed, 1).await;
    let after = final_of(&mut next, &id).await;
    // A final status stays what it was. (What came of it, the model may have refined meanwhile.)
    for what in ["status", "error", "ended_at", "duration_s"] {
        assert_eq!(after[what], before[what], "{what}");
    }
    let used = before["duration_s"].as_f64().unwrap();
    let phone = next.phone().await;
    let counted = phone["daily_seconds_used"].as_f64().unwrap();
    assert!((counted - used).abs() <= 1.0, "{counted} for {used}");
    assert_eq!(phone["active_calls"], json!(0));
    assert_eq!(dials(&stage), 1);
}
