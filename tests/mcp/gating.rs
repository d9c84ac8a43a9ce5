use super::*;

#[tokio::test]
async fn without_an_account_there_is_status_alone() {
    let mut server = Server::start(&Setup::bare()).await;
    assert_eq!(server.list_tools().await, ["status"]);
    let status = server.call("status", json!({})).await;
    for (channel, settings) in [
        ("telegram", &["TELEGRAM_BOT_TOKEN"][..]),
        ("discord", &["DISCORD_BOT_TOKEN"]),
        ("whatsapp", &["GREEN_API_ID", "GREEN_API_TOKEN"]),
        (
            "phone",
            &[
                "TWILIO_ACCOUNT_SID",
                "TWILIO_AUTH_TOKEN",
                "TWILIO_FROM_NUMBER",
            ],
        ),
    ] {
        assert_eq!(status[channel]["enabled"], json!(false), "{channel}");
        let how = status[channel]["how_to_enable"].as_str().unwrap();
        for setting in settings {
            assert!(how.contains(setting), "{channel}: {how}");
        }
    }
}

#[tokio::test]
async fn a_part_of_an_account_is_none_and_status_names_the_rest() {
    let sandbox = sandbox(Options::default()).await;
    let all = [
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "TWILIO_FROM_NUMBER",
    ];
    for missing in all {
        let setup = Setup::voice(&sandbox).port(free_port()).without(missing);
        let mut server = Server::start(&setup).await;
        assert_eq!(server.list_tools().await, ["status"], "without {missing}");
        let phone = server.phone().await;
        assert_eq!(phone["enabled"], json!(false));
        let how = phone["how_to_enable"].as_str().unwrap();
        for name in all {
            assert_eq!(how.contains(name), name == missing, "{how}");
        }
    }
}

#[tokio::test]
async fn a_tool_that_is_not_registered_cannot_be_called() {
    let mut server = Server::start(&Setup::bare()).await;
    for tool in ["sms_send", "phone_call_place", "no_such_tool"] {
        let id = server.begin(tool, json!({"to": NOBODY, "text": "x"})).await;
        let answer = server.answer(id).await;
        assert!(answer["error"]["code"].is_i64(), "{answer}");
    }
    server.phone().await;
}

#[tokio::test]
async fn an_account_without_a_voice_sends_sms_and_says_what_calls_need() {
    let sandbox = sandbox(Options::default()).await;
    let url = "https://calls.example.com";
    for (openai, public, missing) in [
        (
            false,
            false,
            &["OPENAI_API_KEY", "OPENAGENT_PHONE_PUBLIC_URL"][..],
        ),
        (false, true, &["OPENAI_API_KEY"]),
        (true, false, &["OPENAGENT_PHONE_PUBLIC_URL"]),
    ] {
        let mut setup = Setup::account(&sandbox);
        if openai {
            setup = setup.env("OPENAI_API_KEY", sandbox.openai_key());
        }
        if public {
            setup = setup.env("OPENAGENT_PHONE_PUBLIC_URL", url);
        }
        let mut server = Server::start(&setup).await;
        assert_eq!(server.list_tools().await, TWILIO_TOOLS);
        let phone = server.phone().await;
        assert_eq!(phone["enabled"], json!(true));
        assert_eq!(phone["voice_ready"], json!(false));
        let said = phone["voice_missing"].as_array().unwrap();
        assert_eq!(said.len(), missing.len(), "{said:?}");
        let order = json!({"to": NOBODY, "mission": "Say hello."});
        let why = server.refused("phone_call_place", order).await;
        for (name, said) in missing.iter().zip(said) {
            assert!(said.as_str().unwrap().contains(name), "{said}");
            assert!(why.contains(name), "{why}");
        }
        let message = json!({"to": "+14155550123", "text": "Good morning"});
        server.call("sms_send", message).await;
    }
    assert_eq!(sandbox.calls().len(), 0);
    assert_eq!(sandbox.messages().len(), 3);
}

#[tokio::test]
async fn the_sandbox_has_every_tool_and_ignores_real_accounts() {
    let setup = Setup::sandboxed()
        .env("TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000000")
        .env("TWILIO_FROM_NUMBER", "+14155550199")
        // Nobody listens there.
        .env("TWILIO_API_BASE_URL", "http://127.0.0.1:9");
    let mut server = Server::start(&setup).await;
    assert_eq!(server.list_tools().await, EVERY_TOOL);
    let phone = server.phone().await;
    assert_eq!(phone["voice_ready"], json!(true), "{phone}");
    assert_ne!(phone["from_number"], "+14155550199");
    let listed: Vec<_> = TWILIO_TOOLS
        .into_iter()
        .filter(|t| *t != "status")
        .collect();
    assert_eq!(phone["tools"], json!(listed));
    let message = json!({"to": "+14155550123", "text": "Good morning"});
    server.call("sms_send", message).await;
}

#[tokio::test]
async fn status_shows_the_settings_that_bound_a_call() {
    let sandbox = sandbox(Options::default()).await;
    let port = free_port();
    let setup = Setup::voice(&sandbox)
        .env("OPENAGENT_PHONE_MAX_DURATION_SECONDS", "120")
        .env("OPENAGENT_PHONE_MAX_DAILY_SECONDS", "240")
        .env("OPENAGENT_PHONE_MAX_CONCURRENT_CALLS", "3")
        .env("OPENAGENT_PHONE_VOICE", "marin")
        .port(port);
    let mut server = Server::start(&setup).await;
    let phone = server.phone().await;
    for (name, expected) in [
        ("from_number", json!(sandbox.from_number())),
        ("public_url", json!(format!("http://127.0.0.1:{port}"))),
        ("allow_prefixes", json!(["+1", "+39"])),
        ("max_call_duration_seconds", json!(120)),
        ("max_concurrent_calls", json!(3)),
        ("active_calls", json!(0)),
        ("daily_seconds_used", json!(0)),
        ("daily_seconds_cap", json!(240)),
        ("realtime_model", json!("gpt-realtime-2.1")),
        ("realtime_voice", json!("marin")),
        ("warnings", json!([])),
    ] {
        assert_eq!(phone[name], expected, "{name}");
    }
}
