use super::*;

/// A request that is refused, and what its refusal must name.
type Refusal<'a> = (&'a str, Value, &'a [&'a str]);

fn to(number: &str) -> Value {
    json!({"to": number, "text": "Good morning"})
}

#[tokio::test]
async fn a_message_is_sent_and_followed_to_its_delivery() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = Server::start(&Setup::account(&sandbox)).await;
    let text = "Good morning, è martedì";
    let message = json!({"to": "+390612345678", "text": text});
    let sent = server.call("sms_send", message).await;
    assert!(sent["sid"].as_str().unwrap().starts_with("SM"), "{sent}");
    assert_eq!(sent["to"], "+390612345678");
    assert_eq!(sent["from"], sandbox.from_number());
    assert_eq!(sent["status"], "queued");
    let [message] = &sandbox.messages()[..] else {
        panic!("{:?}", sandbox.messages());
    };
    assert_eq!((message.body.as_str(), message.media.len()), (text, 0));
    // The carrier delivers while one looks.
    let sid = json!({"sid": sent["sid"]});
    let status = server.call("sms_status", sid.clone()).await;
    assert_eq!(status["status"], "sent");
    let status = server.call("sms_status", sid).await;
    assert_eq!(status["status"], "delivered");
    assert_eq!(status["sid"], sent["sid"]);
    assert_eq!(status["error_code"], Value::Null);
    let updated = status["updated_at"].as_str().unwrap();
    assert!(chrono::DateTime::parse_from_rfc3339(updated).is_ok());
    assert_eq!(sandbox.complaints(), [""; 0]);
}

#[tokio::test]
async fn a_file_is_sent_with_and_without_a_text() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = Server::start(&Setup::account(&sandbox)).await;
    let url = "https://files.example.com/map.png?size=2&x=%20";
    let file = json!({"to": "+14155550123", "url": url});
    let sent = server.call("sms_send_file", file).await;
    assert!(sent["sid"].as_str().unwrap().starts_with("MM"), "{sent}");
    let file = json!({"to": "+14155550123", "url": url, "text": "The map"});
    server.call("sms_send_file", file).await;
    let sent = sandbox.messages();
    let sent: Vec<_> = sent.iter().map(|m| (&*m.body, m.media.clone())).collect();
    let media = vec![url.to_owned()];
    assert_eq!(sent, [("", media.clone()), ("The map", media)]);
    assert_eq!(sandbox.complaints(), [""; 0]);
}

#[tokio::test]
async fn an_api_key_takes_the_place_of_the_auth_token() {
    let sandbox = sandbox(Options::default()).await;
    let setup = Setup::account(&sandbox)
        .env("TWILIO_AUTH_TOKEN", "00000000000000000000000000000000")
        .env("TWILIO_API_KEY", sandbox.api_key())
        .env("TWILIO_API_SECRET", sandbox.api_secret());
    let mut server = Server::start(&setup).await;
    server.call("sms_send", to("+14155550123")).await;
}

#[tokio::test]
async fn a_text_is_counted_in_characters_and_may_have_1600() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = Server::start(&Setup::account(&sandbox)).await;
    let longest = json!({"to": "+14155550123", "text": "è".repeat(1_600)});
    server.call("sms_send", longest).await;
    assert_eq!(sandbox.messages().len(), 1);
}

#[tokio::test]
async fn what_must_not_be_sent_is_refused_by_rule_and_never_reaches_the_carrier() {
    let sandbox = sandbox(Options::default()).await;
    let setup = Setup::account(&sandbox).env("OPENAGENT_PHONE_DENY_PREFIXES", "+1212");
    let mut server = Server::start(&setup).await;
    let allow: &[&str] = &["OPENAGENT_PHONE_ALLOW_PREFIXES"];
    let long = "a".repeat(1_601);
    let url = "https://files.example.com/map.png";
    let ok = "+14155550123";
    let refusals: Vec<Refusal<'_>> = vec![
        ("sms_send", to("+447700900123"), allow),
        (
            "sms_send",
            to("+18765550123"),
            &["876", "OPENAGENT_PHONE_ALLOW_PREFIXES"],
        ),
        (
            "sms_send",
            to("+12125550123"),
            &["OPENAGENT_PHONE_DENY_PREFIXES"],
        ),
        ("sms_send", to("+15005550006"), &["TWILIO_FROM_NUMBER"]),
        ("sms_send", to("+19005550123"), &["premium", "no setting"]),
        ("sms_send", to("+14159115555"), &["emergency", "no setting"]),
        ("sms_send", to("+39899123456"), &["no setting"]),
        ("sms_send", to("+39112"), &["+39112", "not a phone number"]),
        ("sms_send", to("4155550123"), &["not a phone number"]),
        ("sms_send", to("+1 415 555 0123"), &["not a phone number"]),
        ("sms_send", to("+1415555O123"), &["not a phone number"]),
        ("sms_send", to(""), &["not a phone number"]),
        (
            "sms_send",
            json!({"to": ok, "text": ""}),
            &["text", "empty"],
        ),
        (
            "sms_send",
            json!({"to": ok, "text": " \n"}),
            &["text", "empty"],
        ),
        (
            "sms_send",
            json!({"to": ok, "text": long}),
            &["text", "1601", "1600"],
        ),
        (
            "sms_send",
            json!({"to": ok, "text": "x", "idempotency_key": ""}),
            &["idempotency_key"],
        ),
        (
            "sms_send",
            json!({"to": ok, "text": "x", "idempotency_key": "k".repeat(201)}),
            &["idempotency_key", "200"],
        ),
        (
            "sms_send_file",
            json!({"to": ok, "url": "http://files.example.com/map.png"}),
            &["url", "https"],
        ),
        (
            "sms_send_file",
            json!({"to": ok, "url": "map.png"}),
            &["url", "https"],
        ),
        (
            "sms_send_file",
            json!({"to": ok, "url": "file:///etc/hostname"}),
            &["url", "https"],
        ),
        (
            "sms_send_file",
            json!({"to": ok, "url": "https://"}),
            &["url", "https"],
        ),
        (
            "sms_send_file",
            json!({"to": ok, "url": url, "text": long}),
            &["text", "1601"],
        ),
        (
            "sms_send_file",
            json!({"to": "+447700900123", "url": url}),
            allow,
        ),
    ];
    for (tool, arguments, named) in refusals {
        let why = server.refused(tool, arguments.clone()).await;
        for name in named {
            assert!(why.contains(name), "{arguments}: {why:?} lacks {name:?}");
        }
    }
    assert_eq!(sandbox.requests(), [""; 0]);
}

#[tokio::test]
async fn only_the_sid_of_a_message_is_looked_up() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = Server::start(&Setup::account(&sandbox)).await;
    for sid in [
        "CA00000000000000000000000000000000",
        "SM../../Calls",
        "SM",
        "SM0000000000000000000000000000000?",
        "",
    ] {
        let why = server.refused("sms_status", json!({"sid": sid})).await;
        assert!(why.contains("SID") && why.contains("SM"), "{why}");
    }
    assert_eq!(sandbox.requests(), [""; 0]);
}

#[tokio::test]
async fn an_empty_allow_list_allows_nobody() {
    let sandbox = sandbox(Options::default()).await;
    let setup = Setup::account(&sandbox).env("OPENAGENT_PHONE_ALLOW_PREFIXES", "");
    let mut server = Server::start(&setup).await;
    let why = server.refused("sms_send", to("+14155550123")).await;
    assert!(why.contains("OPENAGENT_PHONE_ALLOW_PREFIXES"), "{why}");
    let warnings = server.phone().await["warnings"].to_string();
    assert!(warnings.contains("OPENAGENT_PHONE_ALLOW_PREFIXES"));
    assert_eq!(sandbox.requests(), [""; 0]);
}

#[tokio::test]
async fn twilio_s_refusals_come_with_their_code_and_a_way_out() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = Server::start(&Setup::account(&sandbox)).await;
    for (number, code, hint) in [
        ("+15005550001", "21211", "E.164"),
        ("+15005550002", "21612", "sender"),
        ("+15005550003", "21408", "Geo Permissions"),
        ("+15005550004", "21610", "START"),
        ("+15005550009", "21614", "call it"),
    ] {
        let why = server.refused("sms_send", to(number)).await;
        assert!(why.contains(code) && why.contains(hint), "{why}");
    }
    assert_eq!(sandbox.messages().len(), 0);
    let sid = json!({"sid": "SM00000000000000000000000000000000"});
    let why = server.refused("sms_status", sid).await;
    assert!(why.contains("20404"), "{why}");
}

#[tokio::test]
async fn the_day_s_messages_are_counted_without_those_that_twilio_refused() {
    let sandbox = sandbox(Options::default()).await;
    let setup = Setup::account(&sandbox).env("OPENAGENT_PHONE_MAX_DAILY_SMS", "2");
    let mut server = Server::start(&setup).await;
    server.refused("sms_send", to("+15005550001")).await;
    server.refused("sms_send", to("+447700900123")).await;
    server.call("sms_send", to("+14155550123")).await;
    let url = "https://files.example.com/map.png";
    let file = json!({"to": "+14155550123", "url": url});
    server.call("sms_send_file", file.clone()).await;
    let before = sandbox.requests().len();
    for (tool, message) in [("sms_send", to("+14155550123")), ("sms_send_file", file)] {
        let why = server.refused(tool, message).await;
        assert!(why.contains("OPENAGENT_PHONE_MAX_DAILY_SMS"), "{why}");
        assert!(why.contains('2'), "{why}");
    }
    assert_eq!(sandbox.requests().len(), before);
}

#[tokio::test]
async fn a_limit_that_cannot_be_checked_is_a_no() {
    let sandbox = sandbox(Options::default()).await;
    let setup = Setup::account(&sandbox).env("OPENAGENT_PHONE_MAX_DAILY_USD", "0");
    let mut server = Server::start(&setup).await;
    let why = server.refused("sms_send", to("+14155550123")).await;
    assert!(why.contains("OPENAGENT_PHONE_MAX_DAILY_USD"), "{why}");
    assert_eq!(sandbox.requests(), [""; 0]);
}

#[tokio::test]
async fn a_key_sends_once_also_when_both_come_at_once() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = Server::start(&Setup::account(&sandbox)).await;
    let mut message = to("+14155550123");
    message["idempotency_key"] = json!("key 1");
    let ids = [
        server.begin("sms_send", message.clone()).await,
        server.begin("sms_send", message.clone()).await,
    ];
    let first = server.result("sms_send", ids[0]).await;
    let second = server.result("sms_send", ids[1]).await;
    let third = server.call("sms_send", message.clone()).await;
    assert_eq!(
        (&first["sid"], &first["sid"]),
        (&second["sid"], &third["sid"])
    );
    assert_eq!(sandbox.messages().len(), 1);

    for (name, other) in [("text", "Good evening"), ("to", "+14155550124")] {
        let mut changed = message.clone();
        changed[name] = json!(other);
        let why = server.refused("sms_send", changed).await;
        assert!(why.contains("idempotency_key"), "{why}");
    }
    let url = "https://files.example.com/map.png";
    let file = json!({"to": "+14155550123", "url": url, "idempotency_key": "key 1"});
    let why = server.refused("sms_send_file", file).await;
    assert!(why.contains("idempotency_key"), "{why}");
    assert_eq!(sandbox.messages().len(), 1);

    message["idempotency_key"] = json!("key 2");
    let other = server.call("sms_send", message).await;
    assert_ne!(other["sid"], first["sid"]);
    assert_eq!(sandbox.messages().len(), 2);
}

#[tokio::test]
async fn a_refusal_releases_its_key() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = Server::start(&Setup::account(&sandbox)).await;
    for refused in ["+447700900123", "+15005550001"] {
        let mut message = to(refused);
        message["idempotency_key"] = json!(refused);
        server.refused("sms_send", message.clone()).await;
        message["to"] = json!("+14155550123");
        server.call("sms_send", message).await;
    }
    assert_eq!(sandbox.messages().len(), 2);
}
