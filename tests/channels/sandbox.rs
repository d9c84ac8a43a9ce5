//! The product against the sandbox's own stand-ins: every tool works without an account.

use openagent_messaging::sandbox::{ChannelFile, ChannelMessage, Options, Sandbox};

use super::*;

/// A sandbox in this process, and a server with its credentials.
async fn pair() -> (Sandbox, Server) {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let channels = sandbox.channels().unwrap();
    let (green_id, green_token) = channels.green.unwrap();
    let setup = Setup::bare()
        .env("TELEGRAM_BOT_TOKEN", channels.telegram.unwrap().reveal())
        .env("TELEGRAM_API_BASE_URL", channels.telegram_base_url.as_str())
        .env("DISCORD_BOT_TOKEN", channels.discord.unwrap().reveal())
        .env("DISCORD_API_BASE_URL", channels.discord_base_url.as_str())
        .env("GREEN_API_ID", &green_id)
        .env("GREEN_API_TOKEN", green_token.reveal())
        .env("GREEN_API_BASE_URL", channels.green_base_url.as_str());
    let server = Server::start(&setup).await;
    (sandbox, server)
}

fn message(channel: &'static str, to: &str, text: &str) -> ChannelMessage {
    ChannelMessage {
        channel,
        to: to.to_owned(),
        text: text.to_owned(),
        file: None,
    }
}

#[tokio::test]
async fn every_tool_works_and_the_sandbox_has_no_complaint() {
    let (sandbox, mut server) = pair().await;
    let scratch = Scratch::new();
    let path = scratch.file("map.png", &noise(5_000));
    let mut expected = Vec::new();
    for (channel, tool, to, name) in [
        ("telegram", "telegram_send", "42", "chat_id"),
        (
            "discord",
            "discord_send",
            "1234567890123456789",
            "channel_id",
        ),
        ("whatsapp", "whatsapp_send", "393331234567@c.us", "phone"),
    ] {
        let sent = server
            .call(&format!("{tool}_message"), json!({name: to, "text": "è"}))
            .await;
        assert!(sent.get("parts").is_none());
        server
            .call(&format!("{tool}_file"), json!({name: to, "path": path}))
            .await;
        expected.push(message(channel, to, "è"));
        let kind = if channel == "telegram" {
            "photo"
        } else {
            "file"
        };
        expected.push(ChannelMessage {
            file: Some(ChannelFile {
                kind,
                name: "map.png".to_owned(),
                length: Some(5_000),
            }),
            ..message(channel, to, "")
        });
    }
    assert_eq!(sandbox.channel_messages(), expected);
    assert_eq!(sandbox.complaints(), [""; 0]);
    // Formatting is read as Telegram reads it.
    for (text, mode) in [
        ("<b>a</b> &lt; b", "HTML"),
        (r"*a* \. [b](https://example.com/c)", "MarkdownV2"),
        ("*a* [b](https://example.com/c).", "Markdown"),
    ] {
        let formatted = json!({"chat_id": "42", "text": text, "parse_mode": mode});
        server.call("telegram_send_message", formatted).await;
    }
    for (text, mode) in [("<b>a", "HTML"), ("a.", "MarkdownV2"), ("*a", "Markdown")] {
        let formatted = json!({"chat_id": "42", "text": text, "parse_mode": mode});
        let why = server.refused("telegram_send_message", formatted).await;
        assert_says(&why, &["can't parse entities", "parse_mode"]);
    }
}

#[tokio::test]
async fn long_texts_pass_the_limits_of_the_stand_ins() {
    let (sandbox, mut server) = pair().await;
    let text = "Some words, and some more. 👍\n".repeat(1_000);
    for (tool, name, to, parts) in [
        ("telegram_send_message", "chat_id", "42", 8),
        ("discord_send_message", "channel_id", "42", 15),
        ("whatsapp_send_message", "phone", "393331234567", 2),
    ] {
        let result = server.call(tool, json!({name: to, "text": text})).await;
        assert_eq!(result["parts"], json!(parts), "{tool}");
        assert_eq!(result["message_ids"].as_array().unwrap().len(), parts);
    }
    assert_eq!(sandbox.channel_messages().len(), 25);
}

#[tokio::test]
async fn recipients_that_fail_on_purpose_do() {
    let (sandbox, mut server) = pair().await;
    for (tool, name, to, words) in [
        (
            "telegram_send_message",
            "chat_id",
            "404",
            &["chat not found"][..],
        ),
        ("telegram_send_message", "chat_id", "403", &["blocked"]),
        ("telegram_send_message", "chat_id", "4290", &["429", "60 s"]),
        (
            "telegram_send_message",
            "chat_id",
            "502",
            &["502", "may have been delivered"],
        ),
        (
            "telegram_send_message",
            "chat_id",
            "-100",
            &["-1001000000100"],
        ),
        (
            "discord_send_message",
            "channel_id",
            "10003",
            &["Unknown Channel"],
        ),
        (
            "discord_send_message",
            "channel_id",
            "50001",
            &["Missing Access"],
        ),
        (
            "discord_send_message",
            "channel_id",
            "50013",
            &["Missing Permissions"],
        ),
        (
            "discord_send_message",
            "channel_id",
            "4290",
            &["429", "60 s"],
        ),
        ("discord_send_message", "channel_id", "502", &["502"]),
        (
            "whatsapp_send_message",
            "phone",
            "15005550400",
            &["not authorized", "QR code"],
        ),
        (
            "whatsapp_send_message",
            "phone",
            "15005550466",
            &["466", "quota"],
        ),
        ("whatsapp_send_message", "phone", "15005550502", &["502"]),
    ] {
        let why = server.refused(tool, json!({name: to, "text": "x"})).await;
        assert_says(&why, words);
    }
    assert_eq!(sandbox.channel_messages(), []);
    // Once, and then no more.
    for (tool, name, to) in [
        ("telegram_send_message", "chat_id", "429"),
        ("discord_send_message", "channel_id", "429"),
        ("whatsapp_send_message", "phone", "15005550429"),
    ] {
        server.call(tool, json!({name: to, "text": "x"})).await;
    }
    assert_eq!(sandbox.channel_messages().len(), 3);
}

#[tokio::test]
async fn a_wrong_token_is_noticed() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let channels = sandbox.channels().unwrap();
    let setup = Setup::bare()
        .env("TELEGRAM_BOT_TOKEN", TELEGRAM_TOKEN)
        .env("TELEGRAM_API_BASE_URL", channels.telegram_base_url.as_str())
        .env("DISCORD_BOT_TOKEN", DISCORD_TOKEN)
        .env("DISCORD_API_BASE_URL", channels.discord_base_url.as_str())
        .env("GREEN_API_ID", &channels.green.unwrap().0)
        .env("GREEN_API_TOKEN", GREEN_TOKEN)
        .env("GREEN_API_BASE_URL", channels.green_base_url.as_str());
    let mut server = Server::start(&setup).await;
    for (tool, name, setting) in [
        ("telegram_send_message", "chat_id", "TELEGRAM_BOT_TOKEN"),
        ("discord_send_message", "channel_id", "DISCORD_BOT_TOKEN"),
        ("whatsapp_send_message", "phone", "GREEN_API_TOKEN"),
    ] {
        let why = server
            .refused(tool, json!({name: "393331234567", "text": "x"}))
            .await;
        assert_says(&why, &["401", setting]);
    }
    assert_eq!(sandbox.channel_messages(), []);
}

#[tokio::test]
async fn with_the_flag_real_tokens_are_ignored_and_nothing_leaves_the_machine() {
    let real = StandIn::start(vec![Reply::Hangup]).await;
    let setup = telegram_setup(&real)
        .env("DISCORD_BOT_TOKEN", DISCORD_TOKEN)
        .env("DISCORD_API_BASE_URL", &real.url())
        .arg("--sandbox");
    let mut server = Server::start(&setup).await;
    for (tool, arguments) in [
        (
            "telegram_send_message",
            json!({"chat_id": "@some_channel", "text": "x"}),
        ),
        (
            "telegram_send_file",
            json!({"chat_id": 42, "url": "https://example.com/a.pdf"}),
        ),
        (
            "discord_send_message",
            json!({"channel_id": "42", "text": "x"}),
        ),
        // Would have to be fetched, and the name does not exist.
        (
            "discord_send_file",
            json!({"channel_id": "42", "url": "https://files.invalid/a.png"}),
        ),
        (
            "whatsapp_send_message",
            json!({"phone": "+393331234567", "text": "x"}),
        ),
        (
            "whatsapp_send_file",
            json!({"phone": "+393331234567", "url": "https://example.com/a.pdf"}),
        ),
    ] {
        server.call(tool, arguments).await;
    }
    assert_eq!(real.seen().len(), 0);
}
