//! Tokens stand in the URLs of Telegram and Green API. Nothing shows them, whatever goes wrong.

use super::*;

/// Not whole, not their secret half, not as they may stand in a URL.
fn assert_secret(what: &str, printed: &str) {
    for token in [TELEGRAM_TOKEN, DISCORD_TOKEN, GREEN_TOKEN] {
        let core = &token[token.len() / 2..];
        assert!(!printed.contains(core), "{what} shows {token}: {printed}");
    }
}

/// Every tool with arguments that are well.
fn calls(path: &str, web: &str) -> Vec<(&'static str, Value)> {
    vec![
        (
            "telegram_send_message",
            json!({"chat_id": "42", "text": "x"}),
        ),
        ("telegram_send_file", json!({"chat_id": "42", "path": path})),
        (
            "telegram_send_file",
            json!({"chat_id": "42", "url": "https://example.com/a.pdf"}),
        ),
        (
            "discord_send_message",
            json!({"channel_id": "42", "text": "x"}),
        ),
        (
            "discord_send_file",
            json!({"channel_id": "42", "path": path}),
        ),
        ("discord_send_file", json!({"channel_id": "42", "url": web})),
        (
            "whatsapp_send_message",
            json!({"phone": "393331234567", "text": "x"}),
        ),
        (
            "whatsapp_send_file",
            json!({"phone": "393331234567", "path": path}),
        ),
        (
            "whatsapp_send_file",
            json!({"phone": "393331234567", "url": "https://example.com/a.pdf"}),
        ),
    ]
}

fn setup(base_url: &str) -> Setup {
    Setup::bare()
        .env("TELEGRAM_BOT_TOKEN", TELEGRAM_TOKEN)
        .env("TELEGRAM_API_BASE_URL", base_url)
        .env("DISCORD_BOT_TOKEN", DISCORD_TOKEN)
        .env("DISCORD_API_BASE_URL", base_url)
        .env("GREEN_API_ID", GREEN_ID)
        .env("GREEN_API_TOKEN", GREEN_TOKEN)
        .env("GREEN_API_BASE_URL", base_url)
        .env("RUST_LOG", "trace")
}

/// What a provider says that repeats its token wherever it can: the beginning of its tools, and that.
fn echoes() -> [(&'static str, &'static str, String); 3] {
    let encoded = TELEGRAM_TOKEN.replace(':', "%3A");
    [
        (
            "telegram_",
            TELEGRAM_TOKEN,
            format!("/bot{TELEGRAM_TOKEN}/x /bot{encoded}/x"),
        ),
        (
            "discord_",
            DISCORD_TOKEN,
            format!("Bot {DISCORD_TOKEN} is none"),
        ),
        (
            "whatsapp_",
            GREEN_TOKEN,
            format!("/waInstance1/x/{GREEN_TOKEN}"),
        ),
    ]
}

/// Everything that can go wrong with a request, and one that is well.
fn replies(echo: &str) -> Vec<Reply> {
    let location = format!("http://127.0.0.1:9{echo}").replace(' ', "/");
    vec![
        Reply::Hangup,
        Reply::HangupAfter(0),
        Reply::Plain(200, vec![], b"<html>".to_vec()),
        Reply::Plain(302, vec![("location", location)], vec![]),
        Reply::Json(
            400,
            json!({
                "ok": false, "error_code": 400, "code": 50_035, "message": echo, "description": echo,
                "path": echo, "errors": {echo: {"_errors": [{"message": echo}]}},
            }),
        ),
        Reply::Json(500, json!({"message": echo, "description": echo})),
        Reply::Json(
            429,
            json!({
                "message": echo, "description": echo, "retry_after": 60,
                "parameters": {"retry_after": 60},
            }),
        ),
        Reply::Json(
            200,
            json!({
                "ok": true, "result": {"message_id": 1, "text": echo, echo: [echo]},
                "id": "1", "content": echo, "idMessage": "A", "urlFile": echo,
            }),
        ),
    ]
}

#[tokio::test]
async fn no_error_log_or_result_shows_a_token() {
    let scratch = Scratch::new();
    let path = scratch.file("a.txt", b"x");
    let web = StandIn::start(vec![Reply::Plain(200, vec![], vec![1])]).await;
    let web = format!("{}/a.txt", web.url());
    for (prefix, token, echo) in echoes() {
        for reply in replies(&echo) {
            let what = format!("{prefix} {reply:?}");
            let stand_in = StandIn::start(vec![reply]).await;
            let mut server = Server::start(&setup(&stand_in.url())).await;
            for (tool, arguments) in calls(&path, &web) {
                if tool.starts_with(prefix) {
                    let id = server.begin(tool, arguments).await;
                    let answer = server.answer(id).await;
                    assert!(answer["result"].is_object(), "{answer}");
                }
            }
            // The token did travel.
            let travelled = stand_in.seen().iter().any(|seen| {
                let authorization = seen.header("authorization").unwrap_or_default();
                seen.path.contains(token) || authorization.contains(token)
            });
            assert!(travelled, "{what}");
            let seen = server.end().await;
            assert!(seen.stderr.contains("TRACE"));
            assert_secret(&format!("stderr, {what}"), &seen.stderr);
            assert_secret(&format!("stdout, {what}"), &format!("{:?}", seen.messages));
        }
    }
}

#[tokio::test]
async fn nobody_there_is_told_without_a_token() {
    let scratch = Scratch::new();
    let path = scratch.file("a.txt", b"x");
    let nobody = format!("http://127.0.0.1:{}", support_mcp::free_port());
    let mut server = Server::start(&setup(&nobody)).await;
    for (tool, arguments) in calls(&path, &format!("{nobody}/a.txt")) {
        server.refused(tool, arguments).await;
    }
    server.call("status", json!({})).await;
    let seen = server.end().await;
    assert_secret("stderr", &seen.stderr);
    assert_secret("stdout", &format!("{:?}", seen.messages));
}

#[tokio::test]
async fn the_usual_log_does_not_say_what_was_written_to_whom() {
    let answer = json!({"ok": true, "result": {"message_id": 1}, "id": "1", "idMessage": "A"});
    let stand_in = StandIn::start(vec![Reply::Json(200, answer)]).await;
    let setup = setup(&stand_in.url()).env("RUST_LOG", "info");
    let mut server = Server::start(&setup).await;
    for (tool, arguments) in [
        (
            "telegram_send_message",
            json!({"chat_id": "4711471147", "text": "The zebra is here"}),
        ),
        (
            "discord_send_message",
            json!({"channel_id": "4711471147", "text": "The zebra is here"}),
        ),
        (
            "whatsapp_send_message",
            json!({"phone": "+394711471147", "text": "The zebra is here"}),
        ),
    ] {
        server.call(tool, arguments).await;
    }
    let log = server.end().await.stderr;
    assert_eq!(log.matches("message sent").count(), 3, "{log}");
    assert!(
        !log.contains("zebra") && !log.contains("4711471147"),
        "{log}"
    );
}

#[tokio::test]
async fn doctor_does_not_show_a_token() {
    for ((_, token, echo), variable) in echoes().into_iter().zip([
        "TELEGRAM_API_BASE_URL",
        "DISCORD_API_BASE_URL",
        "GREEN_API_BASE_URL",
    ]) {
        for reply in [
            Reply::Hangup,
            Reply::Json(
                401,
                json!({"ok": false, "description": echo, "message": echo}),
            ),
            Reply::Json(
                200,
                json!({
                    "ok": true, "result": {"username": echo}, "username": echo, "stateInstance": echo,
                }),
            ),
        ] {
            let stand_in = StandIn::start(vec![reply]).await;
            let nobody = format!("http://127.0.0.1:{}", support_mcp::free_port());
            let setup = setup(&nobody).env(variable, &stand_in.url());
            let output = setup.arg("doctor").run().await;
            assert_eq!(stand_in.seen().len(), 1, "{token}");
            let printed = [output.stdout, output.stderr].concat();
            assert_secret("doctor", &String::from_utf8_lossy(&printed));
        }
    }
}
