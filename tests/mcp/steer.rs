//! `phone_call_instruct` and `phone_call_answer`, as a host calls them.

use openagent_messaging::sandbox::{Callee, Step};

use super::*;

const CURIOUS: &str = "+390611111111";

/// A server whose callee at [`CURIOUS`] asks what only the host knows, and agrees once they heard
/// "Mornings".
async fn asked(adapt: impl Fn(Setup) -> Setup) -> (Sandbox, Server, String, Value) {
    let script = vec![
        Step::say("Hello?"),
        Step::WaitForAgentToFinish,
        Step::say("Yes, speaking. What is it about?"),
        Step::WaitForAgentToFinish,
        Step::say("Morning or afternoon? Please ask your client."),
        Step::WaitForWords("Mornings".to_owned()),
        Step::say("Tuesday at ten works for us."),
        Step::WaitForever,
    ];
    let mut options = hurried();
    let callee = Callee::person(script);
    options.callees.insert(CURIOUS.to_owned(), callee);
    let sandbox = sandbox(options).await;
    let mut server = calling(&sandbox, adapt).await;
    let id = server.place(CURIOUS).await;
    let mut since = 0;
    loop {
        let asked = json!({
            "call_id": id, "wait": true, "wake_on": "attention", "since": since,
            "timeout_seconds": 50,
        });
        let snapshot = server.call("phone_call_status", asked).await;
        if snapshot["pending_question"].is_object() {
            return (sandbox, server, id, snapshot);
        }
        assert_eq!(snapshot["ended_at"], Value::Null, "{snapshot:#}");
        since = snapshot["revision"].as_u64().unwrap();
    }
}

#[tokio::test]
async fn a_question_wakes_the_host_which_answers_it() {
    let (sandbox, mut server, id, snapshot) = asked(|setup| setup).await;
    let question = &snapshot["pending_question"];
    assert_eq!(question["id"], "q1");
    let text = "Morning or afternoon? Please ask your client.";
    assert_eq!(question["text"], text);
    assert!(question["asked_at"].is_string());
    let hint = snapshot["hint"].as_str().unwrap();
    assert!(
        hint.contains("phone_call_answer") && hint.contains("\"q1\""),
        "{hint}"
    );

    let answer =
        |question: &str, text: &str| json!({"call_id": id, "question_id": question, "text": text});
    let why = server
        .refused("phone_call_answer", answer("q2", "Mornings."))
        .await;
    assert!(why.contains("\"q1\""), "{why}");
    let why = server.refused("phone_call_answer", answer("q1", " ")).await;
    assert!(why.contains("empty"), "{why}");
    let long = "x".repeat(1_001);
    let why = server
        .refused("phone_call_answer", answer("q1", &long))
        .await;
    assert!(why.contains("1001"), "{why}");
    let after = server
        .call("phone_call_answer", answer("q1", "Mornings."))
        .await;
    assert_eq!(after["pending_question"], Value::Null);
    assert!(after["revision"].as_u64() > snapshot["revision"].as_u64());
    server
        .call("phone_call_answer", answer("q1", "Mornings."))
        .await;
    let why = server
        .refused("phone_call_answer", answer("q1", "Evenings."))
        .await;
    assert!(why.contains("phone_call_instruct"), "{why}");

    let last = server.reach(&id, "completed").await;
    assert_eq!(
        (&last["outcome"], &last["pending_question"]),
        (&json!("success"), &Value::Null)
    );
    for tool in ["phone_call_answer", "phone_call_instruct"] {
        let mut arguments = answer("q1", "Mornings.");
        if tool == "phone_call_instruct" {
            arguments.as_object_mut().unwrap().remove("question_id");
        }
        let why = server.refused(tool, arguments).await;
        assert!(why.contains("over"), "{tool}: {why}");
    }
    let heard = &sandbox.calls()[0].heard;
    assert_eq!(
        heard.matches("The answer is: Mornings.").count(),
        1,
        "{heard}"
    );
    assert_eq!(sandbox.complaints(), [""; 0]);
}

#[tokio::test]
async fn an_instruction_is_told_to_the_agent() {
    let (sandbox, mut server, id, _) = asked(|setup| setup).await;
    let text = "Tell them: Mornings. And say that you are human.";
    let arguments = json!({"call_id": id, "text": text});
    let snapshot = server.call("phone_call_instruct", arguments).await;
    assert_eq!(snapshot["call_id"], json!(id));
    let told = sandbox.wait_model_session(0, |session| {
        let is = |event: &Value| event.to_string().contains("<instruction>\\nTell them");
        session.events.iter().any(is)
    });
    tokio::time::timeout(support_mcp::PATIENCE, told)
        .await
        .unwrap();
    let why = server
        .refused("phone_call_instruct", json!({"call_id": "x", "text": "y"}))
        .await;
    assert!(why.contains("no call"), "{why}");
    let why = server
        .refused("phone_call_instruct", json!({"call_id": id, "text": ""}))
        .await;
    assert!(why.contains("empty"), "{why}");
    server
        .call("phone_call_hangup", json!({"call_id": id}))
        .await;
}

#[tokio::test]
async fn so_many_instructions_and_no_more() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let (id, _) = server.ring().await;
    let arguments = json!({"call_id": id, "text": "Be brief."});
    for _ in 0..20 {
        server.call("phone_call_instruct", arguments.clone()).await;
    }
    let why = server.refused("phone_call_instruct", arguments).await;
    assert!(why.contains("20 instructions"), "{why}");
}

#[tokio::test]
async fn a_question_is_given_up_after_the_time_of_the_setting() {
    let short = |setup: Setup| setup.env("OPENAGENT_PHONE_ASK_HOST_SECONDS", "1");
    let (_sandbox, mut server, id, snapshot) = asked(short).await;
    let mut since = snapshot["revision"].clone();
    // That, too, deserves attention.
    loop {
        let asked = json!({
            "call_id": id, "wait": true, "wake_on": "attention", "since": since,
            "timeout_seconds": 50,
        });
        let snapshot = server.call("phone_call_status", asked).await;
        assert_eq!(snapshot["ended_at"], Value::Null, "{snapshot:#}");
        if snapshot["pending_question"].is_null() {
            break;
        }
        since = snapshot["revision"].clone();
    }
    server
        .call("phone_call_hangup", json!({"call_id": id}))
        .await;
}
