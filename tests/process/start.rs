use super::*;

#[tokio::test]
async fn a_wrong_setting_ends_the_start_and_is_named_with_what_is_accepted() {
    for (name, value, accepted) in [
        ("OPENAGENT_PHONE_PORT", "70000", "0 to 65535"),
        (
            "OPENAGENT_PHONE_MAX_DURATION_SECONDS",
            "ten",
            "whole number",
        ),
        ("OPENAGENT_PHONE_BIND", "localhost", "127.0.0.1"),
        (
            "OPENAGENT_PHONE_PUBLIC_URL",
            "http://calls.example.com",
            "https://",
        ),
        ("OPENAGENT_PHONE_ALLOW_PREFIXES", "+1,0039", "+39"),
        ("OPENAGENT_PHONE_CONFIRM", "sometimes", "always"),
        ("OPENAGENT_PHONE_MACHINE_DETECTION", "on", "detect"),
        ("TWILIO_FROM_NUMBER", "415 555 0123", "+14155550123"),
        ("TWILIO_ACCOUNT_SID", "XY123", "AC followed by"),
        (
            "TWILIO_API_BASE_URL",
            "http://twilio.example.com",
            "https://",
        ),
        ("RUST_LOG", "openagent_messaging=loud", "info"),
    ] {
        let output = Setup::bare().env(name, value).run().await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        let wrong = value.rsplit(',').next().unwrap();
        for part in [name, wrong, accepted] {
            assert!(said.contains(part), "{said:?} lacks {part:?}");
        }
        assert_eq!(text(&output.stdout), "");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let setup = Setup::bare()
        .env("OPENAGENT_PHONE_PORT", "x")
        .env("OPENAGENT_PHONE_VOICE", "a voice")
        .env("TELEGRAM_BOT_TOKEN", "a/b");
    let output = setup.run().await;
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    for name in [
        "OPENAGENT_PHONE_PORT",
        "OPENAGENT_PHONE_VOICE",
        "TELEGRAM_BOT_TOKEN",
    ] {
        assert!(said.contains(name), "{said}");
    }
}

#[tokio::test]
async fn the_sandbox_does_not_even_read_real_credentials_but_it_minds_its_settings() {
    let wrong = [
        ("TWILIO_ACCOUNT_SID", "XY123"),
        ("TELEGRAM_BOT_TOKEN", "a/b"),
    ];
    let setup = Setup::sandboxed()
        .env(wrong[0].0, wrong[0].1)
        .env(wrong[1].0, wrong[1].1);
    let output = setup.run().await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = Setup::sandboxed()
        .env("OPENAGENT_PHONE_PORT", "x")
        .run()
        .await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("OPENAGENT_PHONE_PORT"));
}

#[tokio::test]
async fn an_unknown_flag_or_word_is_an_error_of_usage() {
    for arg in ["--no-such-flag", "dance"] {
        let output = Setup::bare().arg(arg).run().await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(arg));
        assert_eq!(text(&output.stdout), "");
    }
}

#[tokio::test]
async fn a_flag_wins_over_its_variable() {
    let setup = Setup::sandboxed()
        .env("OPENAGENT_PHONE_MAX_CONCURRENT_CALLS", "not a number")
        .arg("--phone-max-concurrent-calls")
        .arg("4");
    let mut server = Server::start(&setup).await;
    assert_eq!(server.phone().await["max_concurrent_calls"], json!(4));
}

#[tokio::test]
async fn version_and_help_go_to_stdout() {
    for arg in ["--version", "-V"] {
        let output = Setup::bare().arg(arg).run().await;
        assert_eq!(output.status.code(), Some(0));
        let version = concat!("openagent-messaging ", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!(text(&output.stdout), version);
    }
    for arg in ["--help", "-h"] {
        let output = Setup::bare().arg(arg).run().await;
        assert_eq!(output.status.code(), Some(0));
        let said = text(&output.stdout);
        for word in [
            "--sandbox",
            "demo",
            "doctor",
            "--phone-port",
            "TWILIO_AUTH_TOKEN",
        ] {
            assert!(said.contains(word), "{arg} lacks {word}");
        }
        assert_eq!(text(&output.stderr), "");
    }
}

#[tokio::test]
async fn a_placeholder_counts_as_unset_and_is_named() {
    let sandbox = sandbox(Options::default()).await;
    let names = [
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "TWILIO_FROM_NUMBER",
    ];
    let mut setup = Setup::account(&sandbox);
    for name in names {
        setup = setup.env(name, &format!("${{{name}}}"));
    }
    let mut server = Server::start(&setup).await;
    assert_eq!(server.list_tools().await, ["status"]);
    let phone = server.phone().await;
    let how = phone["how_to_enable"].as_str().unwrap();
    for name in names {
        assert!(how.contains(name), "{how}");
    }

    let setup = Setup::account(&sandbox)
        .env("OPENAI_API_KEY", "${OPENAI_API_KEY}")
        .env("OPENAGENT_PHONE_PORT", "${PORT}");
    let mut server = Server::start(&setup).await;
    let phone = server.phone().await;
    assert!(
        phone["voice_missing"]
            .to_string()
            .contains("OPENAI_API_KEY")
    );
    let warnings = phone["warnings"].to_string();
    for name in ["OPENAI_API_KEY", "OPENAGENT_PHONE_PORT"] {
        assert!(
            warnings.contains(name) && warnings.contains("placeholder"),
            "{warnings}"
        );
    }
}

#[tokio::test]
async fn a_taken_port_leaves_sms_working() {
    let sandbox = sandbox(Options::default()).await;
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut server = Server::start(&Setup::voice(&sandbox).port(port)).await;
    let phone = server.phone().await;
    assert_eq!(phone["voice_ready"], json!(false));
    let missing = phone["voice_missing"].to_string();
    for word in [&*port.to_string(), "OPENAGENT_PHONE_PORT"] {
        assert!(missing.contains(word), "{missing}");
    }
    let order = json!({"to": NOBODY, "mission": "Say hello."});
    let why = server.refused("phone_call_place", order).await;
    assert!(why.contains("OPENAGENT_PHONE_PORT"), "{why}");
    let message = json!({"to": "+14155550123", "text": "Good morning"});
    server.call("sms_send", message).await;
    assert_eq!(sandbox.calls().len(), 0);
}
