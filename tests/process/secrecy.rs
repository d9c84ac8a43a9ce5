use super::*;

/// Recognisable, and of the shape that their settings demand.
const SECRETS: [(&str, &str); 6] = [
    ("TWILIO_AUTH_TOKEN", "tok0Zebra0tok0Zebra0tok0Zebra0xx"),
    ("TWILIO_API_SECRET", "sec0Okapi0sec0Okapi0sec0Okapi0xx"),
    ("OPENAI_API_KEY", "sk-key0Gnu0key0Gnu0key0Gnu0key0"),
    ("TELEGRAM_BOT_TOKEN", "123456:tel0Yak0tel0Yak0tel0Yak0"),
    ("DISCORD_BOT_TOKEN", "dis0Ibex0dis0Ibex0dis0Ibex0"),
    ("GREEN_API_TOKEN", "gre0Lynx0gre0Lynx0gre0Lynx0"),
];

/// Neither whole, nor in part, nor as it travels in a header.
fn assert_secret(what: &str, printed: &str) {
    use base64::Engine as _;
    let standard = base64::engine::general_purpose::STANDARD;
    for (name, secret) in SECRETS {
        for user in [
            "AC00000000000000000000000000000000",
            "SK00000000000000000000000000000000",
        ] {
            let basic = standard.encode(format!("{user}:{secret}"));
            assert!(!printed.contains(&basic), "{what} shows {name} as {basic}");
        }
        let core = &secret[secret.len() / 2..];
        assert!(!printed.contains(core), "{what} shows {name}: {printed}");
    }
}

fn with_secrets(mut setup: Setup) -> Setup {
    for (name, secret) in SECRETS {
        setup = setup.env(name, secret);
    }
    setup
        .env("TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000000")
        .env("TWILIO_API_KEY", "SK00000000000000000000000000000000")
        .env("GREEN_API_ID", "1101000001")
        .env("RUST_LOG", "trace")
}

#[tokio::test]
async fn nothing_shows_a_secret_while_calls_and_messages_fail() {
    let sandbox = sandbox(Options::default()).await;
    let setup = |setup: Setup| with_secrets(setup);
    let mut server = calling(&sandbox, setup).await;
    let order = json!({"to": NOBODY, "mission": "Say hello."});
    // The model does not know the key, the carrier not the token.
    let why = server.refused("phone_call_place", order).await;
    assert!(
        why.contains("OPENAI_API_KEY") || why.contains("API key"),
        "{why}"
    );
    let message = json!({"to": "+14155550123", "text": "Good morning"});
    let why = server.refused("sms_send", message).await;
    assert!(why.contains("20003"), "{why}");
    let sid = json!({"sid": "SM00000000000000000000000000000000"});
    server.refused("sms_status", sid).await;
    server.phone().await;
    let seen = server.end().await;
    assert!(seen.stderr.contains("TRACE"));
    assert_secret("stderr", &seen.stderr);
    assert_secret("stdout", &format!("{:?}", seen.messages));
}

#[tokio::test]
async fn nothing_shows_a_secret_while_a_call_works() {
    let sandbox = sandbox(hurried()).await;
    let setup = |setup: Setup| setup.env("RUST_LOG", "trace");
    let mut server = calling(&sandbox, setup).await;
    let id = server.place(BRIEF).await;
    server.reach(&id, "completed").await;
    let seen = server.end().await;
    let printed = format!("{} {:?}", seen.stderr, seen.messages);
    for secret in [sandbox.auth_token(), sandbox.openai_key()] {
        assert!(!printed.contains(secret));
    }
}

#[tokio::test]
async fn an_error_about_a_secret_does_not_show_it() {
    for (name, secret) in SECRETS {
        // Two words are not accepted, and both of them are secret, also when they are short.
        for value in [format!("{secret} {secret}"), "kiwi moa".to_owned()] {
            let setup = with_secrets(Setup::bare()).env(name, &value);
            let output = setup.run().await;
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{name}: {said}");
            assert!(said.contains(name), "{said}");
            assert!(!said.contains("kiwi") && !said.contains("moa"), "{said}");
            assert!(!said.contains(&secret[..4]), "{said}");
            assert_secret(name, &said);
            assert_eq!(text(&output.stdout), "");
        }
    }
}

#[tokio::test]
async fn a_secret_in_the_wrong_place_is_not_shown() {
    for (_, secret) in SECRETS {
        let url = format!("https://user:{secret}@api.example.com/?key={secret}");
        for (name, value) in [
            ("TWILIO_ACCOUNT_SID", secret),
            ("TWILIO_FROM_NUMBER", secret),
            ("OPENAGENT_PHONE_PORT", secret),
            ("OPENAGENT_PHONE_ALLOW_PREFIXES", secret),
            ("TWILIO_API_BASE_URL", &url),
            ("OPENAI_BASE_URL", &url),
            ("OPENAGENT_PHONE_PUBLIC_URL", &url),
        ] {
            let output = Setup::bare().env(name, value).run().await;
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{name}: {said}");
            assert!(said.contains(name), "{said}");
            assert_secret(name, &said);
        }
    }
}

#[tokio::test]
async fn a_flag_for_a_secret_does_not_exist_and_does_not_show_it() {
    let (name, secret) = SECRETS[0];
    let flag = name.to_lowercase().replace('_', "-");
    let args = [format!("--{flag}={secret}"), format!("--{flag}")];
    for arg in &args {
        let output = Setup::bare().arg(arg).arg(secret).run().await;
        assert_eq!(output.status.code(), Some(2));
        assert_secret(arg, &text(&output.stderr));
    }
}

#[tokio::test]
async fn the_usual_log_says_what_happened_and_to_nobody_whom_it_concerned() {
    for quiet in [true, false] {
        let sandbox = sandbox(hurried()).await;
        // What is usual without the variable, and with it.
        let usual = |setup: Setup| {
            if quiet {
                setup
            } else {
                setup.env("RUST_LOG", "info")
            }
        };
        let mut server = calling(&sandbox, usual).await;
        let message = json!({"to": "+393331234567", "text": "The zebra is at the door."});
        server.call("sms_send", message).await;
        let message = json!({"to": "+447700900123", "text": "The zebra is at the door."});
        server.refused("sms_send", message).await;
        let order = json!({
            "to": "+390612345678",
            "mission": "Ask for the okapi and its keeper.",
            "caller_identity": "Gerlinde Gnu",
            "success_criteria": "The lynx is found.",
        });
        let placed = server.call("phone_call_place", order).await;
        let id = placed["call_id"].as_str().unwrap();
        let over = server.reach(id, "completed").await;
        let bad = json!({"to": "+390612345670", "mission": "okapi", "extra": "yak"});
        server.refused("phone_call_place", bad).await;
        let bad = json!({"to": ["+390612345670"], "mission": "okapi"});
        server.refused("phone_call_place", bad).await;
        let log = server.end().await.stderr;
        for word in ["INFO", "message sent", "call placed", "call ended", id] {
            assert!(log.contains(word), "{word}: {log}");
        }
        let lower = log.to_lowercase();
        for private in [
            "3331234567",
            "7700900123",
            "0612345678",
            "0612345670",
            "15005550006",
            "zebra",
            "okapi",
            "gnu",
            "lynx",
            "yak",
        ] {
            assert!(!lower.contains(private), "{private}: {log}");
        }
        for line in over["transcript"].as_array().unwrap() {
            let said = line["text"].as_str().unwrap();
            assert!(!log.contains(said), "{said}: {log}");
        }
    }
}
