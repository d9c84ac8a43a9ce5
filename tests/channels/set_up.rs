//! Which tools there are, and what `status` and `doctor` say of them.

use super::*;

const TELEGRAM: [&str; 2] = ["telegram_send_file", "telegram_send_message"];
const DISCORD: [&str; 2] = ["discord_send_file", "discord_send_message"];
const WHATSAPP: [&str; 2] = ["whatsapp_send_file", "whatsapp_send_message"];

#[tokio::test]
async fn each_channel_is_there_with_its_credentials_and_without_twilio() {
    let bare = Setup::bare;
    for (setup, name, tools) in [
        (
            bare().env("TELEGRAM_BOT_TOKEN", TELEGRAM_TOKEN),
            "telegram",
            TELEGRAM,
        ),
        (
            bare().env("DISCORD_BOT_TOKEN", DISCORD_TOKEN),
            "discord",
            DISCORD,
        ),
        (
            bare()
                .env("GREEN_API_ID", GREEN_ID)
                .env("GREEN_API_TOKEN", GREEN_TOKEN),
            "whatsapp",
            WHATSAPP,
        ),
    ] {
        let mut server = Server::start(&setup).await;
        let mut expected = vec!["status"];
        expected.extend(tools);
        expected.sort_unstable();
        assert_eq!(server.list_tools().await, expected);
        let status = server.call("status", json!({})).await;
        assert_eq!(status[name], json!({"enabled": true, "tools": tools}));
        for other in ["telegram", "discord", "whatsapp", "phone"] {
            assert_eq!(status[other]["enabled"], json!(other == name), "{other}");
        }
    }
}

#[tokio::test]
async fn half_of_green_api_is_none_and_status_names_the_rest() {
    for (set, value, missing) in [
        ("GREEN_API_ID", GREEN_ID, "GREEN_API_TOKEN"),
        ("GREEN_API_TOKEN", GREEN_TOKEN, "GREEN_API_ID"),
    ] {
        let setup = Setup::bare().env(set, value);
        let mut server = Server::start(&setup).await;
        assert_eq!(server.list_tools().await, ["status"]);
        let status = server.call("status", json!({})).await;
        let how = status["whatsapp"]["how_to_enable"].as_str().unwrap();
        assert!(
            how.contains(missing) && !how.contains(&format!("{set} ")),
            "{how}"
        );
        let output = setup.arg("doctor").run().await;
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stdout).unwrap();
        let is_it = |line: &str| line.starts_with("BAD") && line.contains(missing);
        assert!(said.lines().any(is_it), "{said}");
    }
}

#[tokio::test]
async fn a_placeholder_is_no_token_and_status_says_so() {
    let setup = Setup::bare().env("TELEGRAM_BOT_TOKEN", "${TELEGRAM_BOT_TOKEN}");
    let mut server = Server::start(&setup).await;
    assert_eq!(server.list_tools().await, ["status"]);
    let status = server.call("status", json!({})).await;
    let how = status["telegram"]["how_to_enable"].as_str().unwrap();
    assert_says(how, &["TELEGRAM_BOT_TOKEN", "placeholder"]);
}

/// What `doctor` prints about the channels, and whether all is well.
async fn doctor(setup: Setup) -> (bool, Vec<String>) {
    let output = setup.arg("doctor").run().await;
    let said = String::from_utf8(output.stdout).unwrap();
    let channels = ["telegram:", "discord:", "whatsapp:"];
    let lines = said
        .lines()
        .filter(|line| channels.iter().any(|name| line.contains(name)));
    (
        output.status.code() == Some(0),
        lines.map(str::to_owned).collect(),
    )
}

#[tokio::test]
async fn doctor_asks_each_channel_who_it_is() {
    let answer = json!({
        "ok": true, "result": {"id": 1, "is_bot": true, "username": "some_bot"},
        "id": "1", "username": "some-bot", "stateInstance": "authorized",
    });
    let stand_in = StandIn::start(vec![Reply::Json(200, answer)]).await;
    let (healthy, lines) = doctor(telegram_setup(&stand_in)).await;
    assert!(healthy);
    assert_eq!(
        lines[0],
        "ok    telegram: the token is accepted; the bot is @some_bot"
    );
    assert_eq!(stand_in.only().path, format!("/bot{TELEGRAM_TOKEN}/getMe"));
    let (healthy, lines) = doctor(discord_setup(&stand_in)).await;
    assert!(healthy);
    assert_eq!(
        lines[1],
        "ok    discord: the token is accepted; the bot is some-bot"
    );
    assert_eq!(stand_in.seen()[1].path, "/api/v10/users/@me");
    let (healthy, lines) = doctor(whatsapp_setup(&stand_in)).await;
    assert!(healthy);
    assert_eq!(lines[2], "ok    whatsapp: the instance is connected");
    let path = format!("/waInstance{GREEN_ID}/getStateInstance/{GREEN_TOKEN}");
    assert_eq!(stand_in.seen()[2].path, path);
    assert!(stand_in.seen().iter().all(|seen| seen.method == "GET"));
}

#[tokio::test]
async fn doctor_finds_what_is_wrong() {
    let wrong = json!({"ok": false, "error_code": 401, "description": "Unauthorized"});
    let stand_in = StandIn::start(vec![Reply::Json(401, wrong)]).await;
    for (setup, index, setting) in [
        (telegram_setup(&stand_in), 0, "TELEGRAM_BOT_TOKEN"),
        (discord_setup(&stand_in), 1, "DISCORD_BOT_TOKEN"),
        (whatsapp_setup(&stand_in), 2, "GREEN_API_TOKEN"),
    ] {
        let (healthy, lines) = doctor(setup).await;
        assert!(!healthy && lines[index].starts_with("BAD"), "{lines:?}");
        assert_says(&lines[index], &["401", setting]);
    }
    for (state, word) in [("notAuthorized", "QR code"), ("yellowCard", "restricted")] {
        let stand_in =
            StandIn::start(vec![Reply::Json(200, json!({"stateInstance": state}))]).await;
        let (healthy, lines) = doctor(whatsapp_setup(&stand_in)).await;
        assert!(!healthy);
        assert_says(&lines[2], &["BAD", state, word]);
    }
    // Somebody else answers there, or nobody.
    let stand_in = StandIn::start(vec![Reply::Plain(200, vec![], b"<html>".to_vec())]).await;
    let nobody = format!("http://127.0.0.1:{}", support_mcp::free_port());
    for base_url in [stand_in.url(), nobody] {
        let setup = telegram_setup(&stand_in).env("TELEGRAM_API_BASE_URL", &base_url);
        let (healthy, lines) = doctor(setup).await;
        assert!(!healthy);
        assert_says(&lines[0], &["BAD", "TELEGRAM_API_BASE_URL"]);
    }
}
