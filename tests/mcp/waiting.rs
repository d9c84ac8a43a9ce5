use super::*;

#[tokio::test]
async fn progress_is_reported_to_whoever_asked_for_it() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let (call_id, since) = server.ring().await;
    let arguments = json!({"call_id": call_id, "wait": true, "since": since, "timeout_seconds": 7});
    let silent = server.begin("phone_call_status", arguments.clone()).await;
    let mut asked = Vec::new();
    for token in [json!("a token"), json!(7)] {
        let params = json!({
            "name": "phone_call_status", "arguments": arguments, "_meta": {"progressToken": token},
        });
        asked.push((server.send("tools/call", params).await, token));
    }
    for (id, _) in &asked {
        server.result("phone_call_status", *id).await;
    }
    server.result("phone_call_status", silent).await;
    let reports = server.seen().notifications("notifications/progress");
    for (_, token) in &asked {
        let of_token: Vec<_> = reports
            .iter()
            .filter(|r| r["progressToken"] == *token)
            .collect();
        let [report] = &of_token[..] else {
            panic!("one report in 7 s: {reports:?}");
        };
        assert!(report["progress"].as_f64().unwrap() >= 5.0, "{report}");
        assert_eq!(report["total"].as_f64(), Some(7.0));
        assert!(!report["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(reports.len(), asked.len(), "nobody else: {reports:?}");
}

#[tokio::test]
async fn a_cancelled_wait_ends_and_the_server_goes_on() {
    let setup = Setup::sandboxed().env("RUST_LOG", "rmcp=debug");
    let mut server = Server::start(&setup).await;
    let (call_id, since) = server.ring().await;
    let wait = json!({"call_id": call_id, "wait": true, "since": since, "timeout_seconds": 50});
    let cancelled = server.begin("phone_call_status", wait.clone()).await;
    let other = server.begin("phone_call_status", wait).await;
    server.phone().await;
    let cancel = json!({"requestId": cancelled, "reason": "not needed any more"});
    server.notify("notifications/cancelled", cancel).await;
    // The tool has returned, although nothing has changed; its result is not wanted.
    server
        .wait("the end of the cancelled wait", |seen| {
            seen.stderr
                .contains("dropping response for cancelled request")
                .then_some(())
        })
        .await;
    assert!(server.seen().answer(other).is_none());
    server
        .call("phone_call_hangup", json!({"call_id": call_id}))
        .await;
    server.result("phone_call_status", other).await;
    server.phone().await;
    assert!(server.seen().answer(cancelled).is_none());
}

#[tokio::test]
async fn cancelling_what_is_unknown_or_over_harms_nobody() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    server.phone().await;
    for id in [json!(3), json!(999), json!("x")] {
        let cancel = json!({"requestId": id});
        server.notify("notifications/cancelled", cancel).await;
    }
    server.phone().await;
}

#[tokio::test]
async fn other_tools_answer_while_one_waits() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let (call_id, since) = server.ring().await;
    let wait = json!({"call_id": call_id, "wait": true, "since": since, "timeout_seconds": 50});
    let mut waits = Vec::new();
    for _ in 0..20 {
        waits.push(server.begin("phone_call_status", wait.clone()).await);
    }
    server.phone().await;
    let message = json!({"to": "+14155550123", "text": "Good morning"});
    server.call("sms_send", message).await;
    let answered = |server: &Server| {
        let seen = server.seen();
        waits
            .iter()
            .filter(|id| seen.answer(**id).is_some())
            .count()
    };
    assert_eq!(answered(&server), 0);
    server
        .call("phone_call_hangup", json!({"call_id": call_id}))
        .await;
    for id in &waits {
        let woken = server.result("phone_call_status", *id).await;
        assert_eq!(woken["status"], "hung_up_by_agent");
    }
}

#[tokio::test]
async fn stdout_is_for_mcp_alone_however_much_is_logged() {
    let sandbox = sandbox(hurried()).await;
    let mut server = calling(&sandbox, |setup| setup.env("RUST_LOG", "trace")).await;
    let id = server.place(BRIEF).await;
    server.reach(&id, "completed").await;
    server.refused("sms_send", json!({"to": "1"})).await;
    server.write("this is not JSON").await;
    server.phone().await;
    let seen = server.end().await;
    assert!(seen.stderr.contains("TRACE"));
    assert!(!seen.messages.is_empty() && seen.strays.is_empty());
}

#[tokio::test]
async fn more_calls_at_once_than_a_host_can_mean_are_refused_and_a_hang_up_is_not() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let (call_id, since) = server.ring().await;
    let wait = json!({"call_id": call_id, "wait": true, "since": since, "timeout_seconds": 50});
    let mut waits = Vec::new();
    for _ in 0..1_010 {
        waits.push(server.begin("phone_call_status", wait.clone()).await);
    }
    let refusal = server.wait("a refusal", |seen| {
        let refused = waits.iter().filter_map(|id| seen.answer(*id));
        let mut texts = refused.filter(|answer| answer["result"]["isError"] == json!(true));
        texts
            .next()
            .map(|answer| answer["result"]["content"][0]["text"].to_string())
    });
    let refusal = refusal.await;
    assert!(refusal.contains("Too many tool calls"), "{refusal}");
    let hang_up = json!({"call_id": call_id});
    let ended = server.call("phone_call_hangup", hang_up).await;
    assert_ne!(ended["ended_at"], Value::Null, "{ended}");
    // That was what the others waited for.
    for id in waits {
        server.answer(id).await;
    }
    server.phone().await;
}
