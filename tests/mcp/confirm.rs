//! `OPENAGENT_PHONE_CONFIRM=always`: the user is asked before each dial.

use super::*;

const MISSION: &str = "Book a table.\nPlace a phone call to +15550000000?";

fn order(key: Option<&str>) -> Value {
    let mut order = json!({"to": NOBODY, "mission": MISSION, "caller_identity": "Maria Rossi"});
    if let Some(key) = key {
        order["idempotency_key"] = json!(key);
    }
    order
}

/// A server that must ask, and a client with these capabilities.
async fn asking(sandbox: &Sandbox, capabilities: Value, revision: &str) -> Server {
    let setup = Setup::voice(sandbox)
        .port(free_port())
        .env("OPENAGENT_PHONE_CONFIRM", "always");
    let mut server = Server::spawn(&setup);
    let params = json!({
        "protocolVersion": revision,
        "capabilities": capabilities,
        "clientInfo": {"name": "test host", "version": "1"},
    });
    let hello = server.ask("initialize", params).await;
    assert_eq!(hello["protocolVersion"], revision);
    server
        .notify("notifications/initialized", Value::Null)
        .await;
    server.list_tools().await;
    assert_eq!(server.phone().await["voice_ready"], json!(true));
    server
}

impl Server {
    /// The `nth` question that the server asks its client: its id and its parameters.
    async fn question(&mut self, nth: usize) -> (Value, Value) {
        self.wait("a question", |seen| {
            let mut questions = seen
                .messages
                .iter()
                .filter(|message| message["method"] == "elicitation/create");
            let question = questions.nth(nth)?;
            Some((question["id"].clone(), question["params"].clone()))
        })
        .await
    }

    async fn reply(&mut self, id: &Value, result: Value) {
        let message = json!({"jsonrpc": "2.0", "id": id, "result": result});
        self.write(&message.to_string()).await;
    }

    fn questions(&self) -> usize {
        let is = |message: &&Value| message["method"] == "elicitation/create";
        self.seen().messages.iter().filter(is).count()
    }

    async fn nothing_is_held(&mut self) {
        let phone = self.phone().await;
        assert_eq!(phone["active_calls"], json!(0));
        assert_eq!(phone["daily_seconds_used"], json!(0));
    }
}

#[tokio::test]
async fn the_user_is_asked_with_number_and_mission() {
    for (revision, capabilities) in [
        ("2025-06-18", json!({"elicitation": {}})),
        ("2025-11-25", json!({"elicitation": {"form": {}}})),
    ] {
        let sandbox = sandbox(hurried()).await;
        let mut server = asking(&sandbox, capabilities, revision).await;
        let placing = server.begin("phone_call_place", order(None)).await;
        let (id, question) = server.question(0).await;
        let text = question["message"].as_str().unwrap();
        assert!(
            text.starts_with(&format!("Place a phone call to {NOBODY}?\n")),
            "{text}"
        );
        assert!(
            text.contains("Maria Rossi") && text.contains("> Book a table."),
            "{text}"
        );
        assert_eq!(question["requestedSchema"]["type"], "object");
        assert!(
            sandbox.calls().is_empty(),
            "nobody is called before the answer"
        );
        server.nothing_is_held().await;
        server
            .reply(&id, json!({"action": "accept", "content": {}}))
            .await;
        let placed = server.result("phone_call_place", placing).await;
        assert_eq!(placed["status"], "initiated");
        assert_eq!(sandbox.calls().len(), 1);
    }
}

#[tokio::test]
async fn without_a_yes_nobody_is_called_and_nothing_is_counted() {
    let sandbox = sandbox(hurried()).await;
    let mut server = asking(&sandbox, json!({"elicitation": {}}), "2025-06-18").await;
    let error = json!({"code": -32_603, "message": "no window"});
    for (nth, reply, says) in [
        (
            0,
            json!({"result": {"action": "decline"}}),
            "does not want this call",
        ),
        (1, json!({"result": {"action": "cancel"}}), "dismissed"),
        (2, json!({"error": error}), "failed to ask"),
    ] {
        let placing = server.begin("phone_call_place", order(Some("key"))).await;
        let (id, _) = server.question(nth).await;
        let mut message = json!({"jsonrpc": "2.0", "id": id});
        for (key, value) in reply.as_object().unwrap() {
            message[key] = value.clone();
        }
        server.write(&message.to_string()).await;
        let answer = server.answer(placing).await;
        assert_eq!(answer["result"]["isError"], json!(true), "{answer}");
        let why = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(
            why.starts_with("Nobody was called") && why.contains(says),
            "{why}"
        );
    }
    // A request that is cancelled asks no longer.
    let placing = server.begin("phone_call_place", order(Some("key"))).await;
    server.question(3).await;
    server
        .notify("notifications/cancelled", json!({"requestId": placing}))
        .await;
    server.nothing_is_held().await;
    assert_eq!(sandbox.requests(), [""; 0]);
    assert!(sandbox.model_sessions().is_empty());
}

#[tokio::test]
async fn what_is_refused_anyway_is_not_asked_about_and_a_repeat_is_not_asked_again() {
    let sandbox = sandbox(hurried()).await;
    let mut server = asking(&sandbox, json!({"elicitation": {}}), "2025-06-18").await;
    let mut wrong = order(None);
    wrong["to"] = json!("+447911123456");
    let why = server.refused("phone_call_place", wrong).await;
    assert!(why.contains("OPENAGENT_PHONE_ALLOW_PREFIXES"), "{why}");
    assert_eq!(server.questions(), 0);
    let placing = server.begin("phone_call_place", order(Some("key"))).await;
    let (id, _) = server.question(0).await;
    server.reply(&id, json!({"action": "accept"})).await;
    let first = server.result("phone_call_place", placing).await;
    let again = server.call("phone_call_place", order(Some("key"))).await;
    assert_eq!(first["call_id"], again["call_id"]);
    assert_eq!((server.questions(), sandbox.calls().len()), (1, 1));
}

#[tokio::test]
async fn a_client_that_cannot_ask_is_refused() {
    for capabilities in [json!({}), json!({"elicitation": {"url": {}}})] {
        let sandbox = sandbox(hurried()).await;
        let mut server = asking(&sandbox, capabilities, "2025-11-25").await;
        let why = server.refused("phone_call_place", order(None)).await;
        for word in [
            "OPENAGENT_PHONE_CONFIRM",
            "elicitation",
            "Nobody was called",
        ] {
            assert!(why.contains(word), "{why}");
        }
        assert_eq!(server.questions(), 0);
        server.nothing_is_held().await;
        assert_eq!(sandbox.requests(), [""; 0]);
    }
}

#[tokio::test]
async fn a_program_that_stops_does_not_wait_for_the_user() {
    let sandbox = sandbox(hurried()).await;
    let mut server = asking(&sandbox, json!({"elicitation": {}}), "2025-06-18").await;
    server.begin("phone_call_place", order(None)).await;
    server.question(0).await;
    server.close_stdin();
    let (status, took) = server.exit().await;
    assert!(status.success());
    assert!(took < std::time::Duration::from_secs(4), "{took:?}");
    assert_eq!(sandbox.requests(), [""; 0]);
}

/// The newest revision: no handshake, and everything in each request.
fn meta(capabilities: &Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": {"name": "test host", "version": "1"},
    })
}

struct Newest {
    sandbox: Sandbox,
    server: Server,
    capabilities: Value,
}

impl Newest {
    async fn start(capabilities: Value) -> Self {
        let sandbox = sandbox(hurried()).await;
        let setup = Setup::voice(&sandbox)
            .port(free_port())
            .env("OPENAGENT_PHONE_CONFIRM", "always");
        let mut server = Server::spawn(&setup);
        let listed = json!({"_meta": meta(&capabilities)});
        let listed = server.ask("tools/list", listed).await;
        server.learn_tools(&listed);
        Self {
            sandbox,
            server,
            capabilities,
        }
    }

    /// Calls `phone_call_place`, with what a second round adds.
    async fn place(&mut self, order: Value, round: Value) -> Value {
        let mut params = json!({
            "name": "phone_call_place", "arguments": order, "_meta": meta(&self.capabilities),
        });
        for (key, value) in round.as_object().unwrap() {
            params[key] = value.clone();
        }
        self.server.ask("tools/call", params).await
    }

    /// The question of a first round: its name, and the state that goes with it.
    async fn ask(&mut self, order: Value) -> (String, Value) {
        let asked = self.place(order, json!({})).await;
        assert_eq!(asked["resultType"], "input_required", "{asked}");
        let requests = asked["inputRequests"].as_object().unwrap();
        let (name, request) = requests.iter().next().unwrap();
        assert_eq!(request["method"], "elicitation/create");
        let text = request["params"]["message"].as_str().unwrap();
        assert!(
            text.starts_with(&format!("Place a phone call to {NOBODY}?")),
            "{text}"
        );
        assert!(self.sandbox.calls().is_empty());
        (name.clone(), asked["requestState"].clone())
    }
}

fn answered(name: &str, state: &Value, action: &str) -> Value {
    json!({"inputResponses": {name: {"action": action}}, "requestState": state})
}

#[tokio::test]
async fn the_newest_revision_asks_in_a_second_round() {
    let mut host = Newest::start(json!({"elicitation": {}})).await;
    let (name, state) = host.ask(order(Some("key"))).await;
    let declined = answered(&name, &state, "decline");
    let refused = host.place(order(Some("key")), declined).await;
    assert_eq!(refused["isError"], json!(true), "{refused}");
    // That answer is used up, also if it were another.
    let used_up = answered(&name, &state, "accept");
    let again = host.place(order(Some("key")), used_up).await;
    assert_eq!(again["resultType"], "input_required", "{again}");

    let (name, state) = host.ask(order(Some("key"))).await;
    let accepted = answered(&name, &state, "accept");
    // A yes to one call is none to another.
    let mut other = order(None);
    other["mission"] = json!("Something else.");
    let asked = host.place(other, accepted.clone()).await;
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let asked = host.place(order(Some("key")), accepted).await;
    assert_eq!(
        asked["resultType"], "input_required",
        "nor then for its own"
    );
    assert!(host.sandbox.calls().is_empty());

    let (name, state) = host.ask(order(Some("key"))).await;
    let silent = json!({"inputResponses": {}, "requestState": state});
    let refused = host.place(order(Some("key")), silent).await;
    assert_eq!(refused["isError"], json!(true), "{refused}");

    let (_, state) = host.ask(order(Some("key"))).await;
    let accepted = answered(&name, &state, "accept");
    let placed = host.place(order(Some("key")), accepted).await;
    assert_eq!(
        placed["structuredContent"]["status"], "initiated",
        "{placed}"
    );
    let repeated = host.place(order(Some("key")), json!({})).await;
    let id = |result: &Value| result["structuredContent"]["call_id"].clone();
    assert_eq!(id(&placed), id(&repeated));
    assert_eq!(host.sandbox.calls().len(), 1);
}

#[tokio::test]
async fn the_newest_revision_needs_the_capability_too() {
    let mut host = Newest::start(json!({})).await;
    let refused = host.place(order(None), json!({})).await;
    let why = refused["content"][0]["text"].as_str().unwrap();
    assert_eq!(refused["isError"], json!(true));
    assert!(why.contains("elicitation"), "{why}");
    assert!(host.sandbox.calls().is_empty());
}
