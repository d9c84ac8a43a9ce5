use super::support_mcp::schema;
use super::*;

#[tokio::test]
async fn every_tool_is_described_in_full() {
    let server = Server::start(&Setup::sandboxed()).await;
    assert_eq!(server.tools.len(), EVERY_TOOL.len());
    for (name, tool) in &server.tools {
        assert!(!tool["title"].as_str().unwrap().is_empty(), "{name}");
        let description = tool["description"].as_str().unwrap();
        assert!(description.len() > 40, "{name}: {description}");
        let input = &tool["inputSchema"];
        assert_eq!(input["type"], "object", "{name}");
        assert_eq!(input["additionalProperties"], json!(false), "{name}");
        assert_eq!(tool["outputSchema"]["type"], "object", "{name}");
        // Rust's own formats: hosts write a warning for each.
        assert!(!tool.to_string().contains(r#""format":"uint"#), "{name}");
    }
}

#[tokio::test]
async fn annotations_tell_what_a_tool_may_do() {
    let server = Server::start(&Setup::sandboxed()).await;
    for (name, read_only, destructive, open) in [
        ("status", true, None, false),
        ("sms_send", false, Some(false), true),
        ("sms_send_file", false, Some(false), true),
        ("sms_status", true, None, true),
        ("phone_call_place", false, Some(true), true),
        ("phone_call_status", true, None, false),
        ("phone_call_hangup", false, Some(true), true),
        ("phone_call_instruct", false, Some(false), true),
        ("phone_call_answer", false, Some(false), true),
        ("telegram_send_message", false, Some(false), true),
        ("telegram_send_file", false, Some(false), true),
        ("discord_send_message", false, Some(false), true),
        ("discord_send_file", false, Some(false), true),
        ("whatsapp_send_message", false, Some(false), true),
        ("whatsapp_send_file", false, Some(false), true),
    ] {
        let annotations = &server.tools[name]["annotations"];
        assert_eq!(annotations["readOnlyHint"], json!(read_only), "{name}");
        assert_eq!(annotations["openWorldHint"], json!(open), "{name}");
        if let Some(destructive) = destructive {
            assert_eq!(annotations["destructiveHint"], json!(destructive), "{name}");
        }
    }
}

#[tokio::test]
async fn arguments_are_those_of_the_contract() {
    let server = Server::start(&Setup::sandboxed()).await;
    for (tool, required, optional) in [
        ("status", &[][..], &[][..]),
        ("sms_send", &["to", "text"], &["idempotency_key"]),
        (
            "sms_send_file",
            &["to", "url"],
            &["text", "idempotency_key"],
        ),
        ("sms_status", &["sid"], &[]),
        (
            "phone_call_place",
            &["to", "mission"],
            &[
                "caller_identity",
                "language",
                "success_criteria",
                "max_duration_seconds",
                "idempotency_key",
            ],
        ),
        (
            "phone_call_status",
            &["call_id"],
            &["wait", "since", "timeout_seconds", "wake_on", "transcript"],
        ),
        ("phone_call_hangup", &["call_id"], &[]),
        ("phone_call_instruct", &["call_id", "text"], &[]),
        (
            "phone_call_answer",
            &["call_id", "question_id", "text"],
            &[],
        ),
        (
            "telegram_send_message",
            &["chat_id", "text"],
            &["parse_mode"],
        ),
        (
            "telegram_send_file",
            &["chat_id"],
            &["path", "url", "caption", "type"],
        ),
        ("discord_send_message", &["channel_id", "text"], &[]),
        (
            "discord_send_file",
            &["channel_id"],
            &["path", "url", "text"],
        ),
        ("whatsapp_send_message", &["phone", "text"], &[]),
        (
            "whatsapp_send_file",
            &["phone"],
            &["path", "url", "caption", "filename"],
        ),
    ] {
        let input = &server.tools[tool]["inputSchema"];
        let none = serde_json::Map::new();
        let properties = input["properties"].as_object().unwrap_or(&none);
        let mut names: Vec<&str> = properties.keys().map(String::as_str).collect();
        let mut expected = [required, optional].concat();
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected, "{tool}");
        for name in &names {
            let is_required = input["required"]
                .as_array()
                .is_some_and(|names| names.contains(&json!(name)));
            assert_eq!(is_required, required.contains(name), "{tool}.{name}");
            let property = &properties[*name];
            // Strict linters of schemas take neither a list of types nor a null.
            assert!(
                property["type"].is_string() || property["enum"].is_array(),
                "{tool}.{name}: {property}"
            );
            assert!(
                schema::types(&property["type"]).all(|t| t != "null"),
                "{tool}.{name}"
            );
            let described = property["description"].as_str().unwrap_or_default();
            assert!(!described.is_empty(), "{tool}.{name}");
        }
    }
}

#[tokio::test]
async fn arguments_that_are_not_of_the_schema_are_refused_by_name() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let id = "00000000-0000-4000-8000-000000000000";
    for (tool, arguments, named) in [
        ("status", json!({"verbose": true}), "verbose"),
        ("sms_send", json!({"to": NOBODY}), "text"),
        ("sms_send", json!({"text": "x"}), "to"),
        (
            "sms_send",
            json!({"to": NOBODY, "text": "x", "from": "+1"}),
            "from",
        ),
        ("sms_send_file", json!({"to": NOBODY, "text": "x"}), "url"),
        (
            "sms_send_file",
            json!({"to": NOBODY, "url": "https://a.example/b", "urls": []}),
            "urls",
        ),
        ("sms_status", json!({}), "sid"),
        ("sms_status", json!({"sid": "SM1", "id": 1}), "id"),
        ("phone_call_place", json!({"to": NOBODY}), "mission"),
        (
            "phone_call_place",
            json!({"to": NOBODY, "mission": "x", "voice": "y"}),
            "voice",
        ),
        ("phone_call_status", json!({"wait": true}), "call_id"),
        (
            "phone_call_status",
            json!({"call_id": id, "transcript": "some"}),
            "some",
        ),
        (
            "phone_call_status",
            json!({"call_id": id, "wake_on": "never"}),
            "never",
        ),
        (
            "phone_call_status",
            json!({"call_id": id, "until": 1}),
            "until",
        ),
        ("phone_call_hangup", json!({}), "call_id"),
        (
            "phone_call_hangup",
            json!({"call_id": id, "why": "x"}),
            "why",
        ),
        ("phone_call_instruct", json!({"call_id": id}), "text"),
        (
            "phone_call_answer",
            json!({"call_id": id, "text": "x"}),
            "question_id",
        ),
        (
            "phone_call_instruct",
            json!({"call_id": id, "text": "x", "question_id": "q1"}),
            "question_id",
        ),
    ] {
        let why = server.refused(tool, arguments.clone()).await;
        let quoted = [format!("`{named}`"), format!("\"{named}\"")];
        assert!(
            quoted.iter().any(|named| why.contains(named)),
            "{tool} {arguments}: {why}"
        );
    }
    server.phone().await;
}

#[tokio::test]
async fn arguments_of_a_wrong_type_are_refused() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let id = "00000000-0000-4000-8000-000000000000";
    for (tool, arguments) in [
        ("sms_send", json!({"to": 14_155_550_123_u64, "text": "x"})),
        ("sms_send", json!({"to": NOBODY, "text": ["x"]})),
        (
            "phone_call_place",
            json!({"to": NOBODY, "mission": {"goal": "x"}}),
        ),
        (
            "phone_call_place",
            json!({"to": NOBODY, "mission": "x", "max_duration_seconds": -1}),
        ),
        (
            "phone_call_place",
            json!({"to": NOBODY, "mission": "x", "max_duration_seconds": "60"}),
        ),
        ("phone_call_status", json!({"call_id": 7})),
        (
            "phone_call_status",
            json!({"call_id": id, "wait": true, "since": -1}),
        ),
        (
            "phone_call_status",
            json!({"call_id": id, "timeout_seconds": 1.5}),
        ),
        ("phone_call_status", json!({"call_id": id, "wait": "yes"})),
    ] {
        let why = server.refused(tool, arguments.clone()).await;
        let known = "There is no call";
        assert!(!why.contains(known), "{tool} {arguments}: {why}");
    }
    let phone = server.phone().await;
    assert_eq!(phone["active_calls"], json!(0));
}

#[tokio::test]
async fn an_argument_of_a_wrong_type_is_named() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    for (tool, arguments, name) in [
        ("sms_send", json!({"to": NOBODY, "text": 5}), "text"),
        (
            "phone_call_place",
            json!({"to": NOBODY, "mission": "x", "max_duration_seconds": "60"}),
            "max_duration_seconds",
        ),
        (
            "phone_call_status",
            json!({"call_id": "x", "since": -1}),
            "since",
        ),
    ] {
        let why = server.refused(tool, arguments).await;
        assert!(why.contains(name), "{name}: {why}");
    }
}

#[test]
fn the_checker_of_results_finds_what_is_wrong() {
    let schema = json!({
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/A"},
            "b": {"type": ["integer", "null"], "minimum": 0},
            "c": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
        },
        "required": ["a", "b"],
        "additionalProperties": false,
        "$defs": {"A": {"oneOf": [{"const": "x"}, {"const": "y"}]}},
    });
    assert!(schema::check(&json!({"a": "x", "b": null, "c": ["s", null]}), &schema).is_ok());
    for wrong in [
        json!([]),
        json!({"a": "x"}),
        json!({"a": "z", "b": 1}),
        json!({"a": "x", "b": "1"}),
        json!({"a": "x", "b": -1}),
        json!({"a": "x", "b": 1, "c": [2]}),
        json!({"a": "x", "b": 1, "d": 1}),
    ] {
        assert!(schema::check(&wrong, &schema).is_err(), "{wrong}");
    }
    assert!(schema::check(&json!(1), &json!({"multipleOf": 2})).is_err());
}
