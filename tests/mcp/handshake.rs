use super::*;

const META: [&str; 3] = [
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/clientInfo",
];

#[tokio::test]
async fn every_revision_with_a_handshake_is_spoken_as_asked() {
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut server = Server::spawn(&Setup::bare());
        let hello = server.initialize(revision).await;
        assert_eq!(hello["protocolVersion"], revision);
        assert_eq!(hello["serverInfo"]["name"], "openagent-messaging");
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(hello["serverInfo"]["version"], version);
        assert!(hello["capabilities"]["tools"].is_object(), "{hello}");
        assert_instructions(&hello["instructions"]);
        server.phone().await;
    }
}

#[tokio::test]
async fn an_unknown_revision_is_answered_with_a_known_one() {
    for revision in ["1999-01-01", "2099-12-31", "2026-07-28", "draft"] {
        let mut server = Server::spawn(&Setup::bare());
        let hello = server.initialize(revision).await;
        assert_eq!(hello["protocolVersion"], "2025-11-25", "{revision}");
    }
}

#[tokio::test]
async fn the_newest_revision_needs_no_handshake() {
    let mut server = Server::spawn(&Setup::sandboxed());
    let meta = json!({
        META[0]: "2026-07-28",
        META[1]: {},
        META[2]: {"name": "test host", "version": "1"},
    });
    let found = server.ask("server/discover", json!({"_meta": meta})).await;
    let versions = found["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!("2026-07-28")), "{found}");
    assert_instructions(&found["instructions"]);
    let listed = server.ask("tools/list", json!({"_meta": meta})).await;
    assert_eq!(server.learn_tools(&listed), EVERY_TOOL);
    let params = json!({"name": "status", "arguments": {}, "_meta": meta});
    let id = server.send("tools/call", params).await;
    let status = server.result("status", id).await;
    assert_eq!(status["phone"]["voice_ready"], json!(true));
}

fn assert_instructions(text: &Value) {
    let text = text.as_str().unwrap();
    // The way of working, and what it needs.
    for word in [
        "phone_call_place",
        "phone_call_status",
        "since",
        "outcome",
        "idempotency_key",
    ] {
        assert!(text.contains(word), "{word}");
    }
}
