//! `doctor`: one line for everything that the configuration names, and an exit code that can be
//! relied upon.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support_mcp;

use openagent_messaging::sandbox::{ModelFault, ModelOptions, Options, Sandbox};

use support_mcp::{Setup, free_port, sandbox};

/// What it printed, and whether it found all well.
struct Findings {
    healthy: bool,
    text: String,
}

impl Findings {
    /// The marks of the lines that have this word in them.
    fn marks(&self, word: &str) -> Vec<&str> {
        let lines = self.text.lines().filter(|line| line.contains(word));
        lines.filter_map(|line| line.split("  ").next()).collect()
    }

    /// The one line about a thing is a complaint, and says what to do with these words.
    fn assert_bad(&self, thing: &str, words: &[&str]) {
        assert!(!self.healthy, "{}", self.text);
        let is_it = |line: &&str| line.starts_with("BAD") && line.contains(thing);
        let lines: Vec<&str> = self.text.lines().filter(is_it).collect();
        let [line] = lines[..] else {
            panic!("{thing}: {}", self.text);
        };
        for word in words {
            assert!(line.contains(word), "{line:?} lacks {word:?}");
        }
    }

    fn assert_good(&self, thing: &str) {
        assert_eq!(self.marks(thing), ["ok"], "{thing}: {}", self.text);
    }

    fn count_bad(&self) -> usize {
        let bad = |line: &&str| line.starts_with("BAD");
        self.text.lines().filter(bad).count()
    }
}

async fn doctor(setup: &Setup) -> Findings {
    let output = setup.clone().arg("doctor").run().await;
    let text = String::from_utf8(output.stdout).unwrap();
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{code:?} {text}");
    assert!(text.lines().count() > 3, "{text}");
    Findings {
        healthy: code == Some(0),
        text,
    }
}

/// Everything set up, with a port that is free.
fn complete(sandbox: &Sandbox) -> Setup {
    Setup::voice(sandbox).port(free_port())
}

/// An address where nobody listens.
fn nobody() -> String {
    format!("http://127.0.0.1:{}", free_port())
}

#[tokio::test]
async fn all_is_well() {
    let sandbox = sandbox(Options::default()).await;
    let port = free_port();
    let found = doctor(&Setup::voice(&sandbox).port(port)).await;
    assert!(found.healthy, "{}", found.text);
    assert_eq!(found.count_bad(), 0);
    for thing in ["configuration", "twilio", "openai", "webhooks"] {
        found.assert_good(thing);
    }
    assert!(found.text.contains(sandbox.from_number()));
    assert!(found.text.contains(&port.to_string()));
    for channel in ["telegram", "discord", "whatsapp"] {
        assert_eq!(found.marks(channel), ["off"], "{}", found.text);
    }
    // Looking must neither call nor write to anybody.
    assert_eq!((sandbox.calls().len(), sandbox.messages().len()), (0, 0));
    assert!(sandbox.requests().iter().all(|r| r.starts_with("GET ")));
}

#[tokio::test]
async fn an_api_key_is_checked_in_place_of_the_token() {
    let sandbox = sandbox(Options::default()).await;
    let setup = complete(&sandbox)
        .env("TWILIO_AUTH_TOKEN", "00000000000000000000000000000000")
        .env("TWILIO_API_KEY", sandbox.api_key());
    let right = setup.clone().env("TWILIO_API_SECRET", sandbox.api_secret());
    assert!(doctor(&right).await.healthy);
    let wrong = setup.env("TWILIO_API_SECRET", "00000000000000000000000000000000");
    doctor(&wrong)
        .await
        .assert_bad("twilio", &["20003", "TWILIO_API_SECRET"]);
}

#[tokio::test]
async fn a_wrong_token_is_found() {
    let sandbox = sandbox(Options::default()).await;
    let token = "00000000000000000000000000000000";
    let found = doctor(&complete(&sandbox).env("TWILIO_AUTH_TOKEN", token)).await;
    found.assert_bad("twilio", &["20003", "TWILIO_AUTH_TOKEN"]);
    found.assert_good("openai");
    assert_eq!(found.count_bad(), 1);
    assert!(!found.text.contains(token));
}

#[tokio::test]
async fn a_wrong_account_is_found() {
    let sandbox = sandbox(Options::default()).await;
    let account = "AC00000000000000000000000000000000";
    let found = doctor(&complete(&sandbox).env("TWILIO_ACCOUNT_SID", account)).await;
    found.assert_bad("twilio", &["20003", "TWILIO_ACCOUNT_SID"]);
}

#[tokio::test]
async fn an_account_that_the_api_key_does_not_belong_to_is_found() {
    let sandbox = sandbox(Options::default()).await;
    let setup = complete(&sandbox)
        .env("TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000000")
        .env("TWILIO_API_KEY", sandbox.api_key())
        .env("TWILIO_API_SECRET", sandbox.api_secret());
    doctor(&setup)
        .await
        .assert_bad("twilio", &["TWILIO_ACCOUNT_SID"]);
}

#[tokio::test]
async fn a_server_that_is_not_twilio_is_found() {
    let sandbox = sandbox(Options::default()).await;
    let setup = complete(&sandbox).env("TWILIO_API_BASE_URL", &sandbox.model_url());
    doctor(&setup)
        .await
        .assert_bad("twilio", &["TWILIO_API_BASE_URL"]);
}

#[tokio::test]
async fn a_wrong_key_is_found() {
    let sandbox = sandbox(Options::default()).await;
    let key = "sk-0000000000000000000000000000";
    let found = doctor(&complete(&sandbox).env("OPENAI_API_KEY", key)).await;
    found.assert_bad("openai", &["key"]);
    found.assert_good("twilio");
    assert_eq!(found.count_bad(), 1);
    assert!(!found.text.contains(key));
}

#[tokio::test]
async fn a_model_that_does_not_exist_is_found() {
    let sandbox = sandbox(Options::default()).await;
    let found = doctor(&complete(&sandbox).env("OPENAGENT_PHONE_MODEL", "gpt-nobody")).await;
    found.assert_bad("openai", &["gpt-nobody"]);
}

#[tokio::test]
async fn an_unknown_voice_is_noted() {
    let sandbox = sandbox(Options::default()).await;
    let found = doctor(&complete(&sandbox).env("OPENAGENT_PHONE_VOICE", "aloy")).await;
    assert_eq!(found.marks("OPENAGENT_PHONE_VOICE"), ["note"]);
    assert!(found.healthy, "{}", found.text);
}

#[tokio::test]
async fn a_model_that_says_nothing_is_found() {
    let options = Options {
        model: ModelOptions {
            fault: Some(ModelFault::NeverAnswers),
            ..ModelOptions::default()
        },
        ..Options::default()
    };
    let sandbox = sandbox(options).await;
    let found = doctor(&complete(&sandbox)).await;
    found.assert_bad("openai", &["OPENAI_BASE_URL"]);
}

#[tokio::test]
async fn what_cannot_be_reached_is_found_all_at_once() {
    let sandbox = sandbox(Options::default()).await;
    let setup = complete(&sandbox)
        .env("TWILIO_API_BASE_URL", &nobody())
        .env("OPENAI_BASE_URL", &nobody())
        .env("OPENAGENT_PHONE_PUBLIC_URL", &nobody());
    let found = doctor(&setup).await;
    found.assert_bad("twilio", &["TWILIO_API_BASE_URL"]);
    found.assert_bad("openai", &["reached"]);
    found.assert_bad("webhooks", &["reached", "tunnel"]);
    assert_eq!(found.count_bad(), 3, "{}", found.text);
}

#[tokio::test]
async fn a_public_url_that_leads_elsewhere_is_found() {
    let sandbox = sandbox(Options::default()).await;
    // Somebody answers there, but it is the carrier.
    let setup = complete(&sandbox).env("OPENAGENT_PHONE_PUBLIC_URL", &sandbox.carrier_url());
    doctor(&setup)
        .await
        .assert_bad("webhooks", &[&sandbox.carrier_url(), "404"]);
}

#[tokio::test]
async fn a_public_url_that_somebody_else_answers_is_found() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let sandbox = sandbox(Options::default()).await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // A page for everything, as parked domains and single-page applications have.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let page = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 7\r\n\r\nWelcome";
            let _ = stream.write_all(page.as_bytes()).await;
        }
    });
    let setup = complete(&sandbox).env("OPENAGENT_PHONE_PUBLIC_URL", &url);
    doctor(&setup).await.assert_bad("webhooks", &[&url]);
}

#[tokio::test]
async fn a_setting_that_keeps_calls_from_being_placed_is_found() {
    let sandbox = sandbox(Options::default()).await;
    let setup = complete(&sandbox)
        .env("OPENAGENT_PHONE_MAX_DAILY_USD", "5")
        .env("OPENAGENT_PHONE_MODEL", "gpt-realtime-0");
    let words = ["OPENAGENT_PHONE_MAX_DAILY_USD", "OPENAGENT_PHONE_PRICES"];
    doctor(&setup)
        .await
        .assert_bad("calls with the model gpt-realtime-0", &words);
}

#[tokio::test]
async fn a_public_url_without_a_fixed_port_is_found() {
    let sandbox = sandbox(Options::default()).await;
    let setup = complete(&sandbox).without("OPENAGENT_PHONE_PORT");
    doctor(&setup)
        .await
        .assert_bad("webhooks", &["OPENAGENT_PHONE_PORT"]);
}

#[tokio::test]
async fn an_empty_allow_list_is_found() {
    let sandbox = sandbox(Options::default()).await;
    let setup = complete(&sandbox).without("OPENAGENT_PHONE_ALLOW_PREFIXES");
    let found = doctor(&setup).await;
    found.assert_bad("OPENAGENT_PHONE_ALLOW_PREFIXES", &["+39"]);
    assert_eq!(found.count_bad(), 1);
}

#[tokio::test]
async fn a_part_of_an_account_is_found() {
    let sandbox = sandbox(Options::default()).await;
    let setup = complete(&sandbox).without("TWILIO_AUTH_TOKEN");
    let found = doctor(&setup).await;
    found.assert_bad("TWILIO_AUTH_TOKEN", &["not set"]);
}

#[tokio::test]
async fn what_is_not_set_up_is_not_missed() {
    let found = doctor(&Setup::bare()).await;
    assert!(found.healthy, "{}", found.text);
    assert_eq!(found.marks("TWILIO_ACCOUNT_SID"), ["off"]);
    let sandbox = sandbox(Options::default()).await;
    let found = doctor(&Setup::account(&sandbox)).await;
    assert!(found.healthy, "{}", found.text);
    assert_eq!(found.marks("OPENAI_API_KEY"), ["off"]);
}

#[tokio::test]
async fn a_placeholder_is_named() {
    let sandbox = sandbox(Options::default()).await;
    let setup = complete(&sandbox).env("OPENAI_API_KEY", "${OPENAI_API_KEY}");
    let found = doctor(&setup).await;
    let is_it = |line: &str| line.contains("OPENAI_API_KEY") && line.contains("placeholder");
    assert!(found.text.lines().any(is_it), "{}", found.text);
}

#[tokio::test]
async fn a_wrong_setting_is_an_error_of_usage() {
    let setup = Setup::bare().env("OPENAGENT_PHONE_PORT", "x").arg("doctor");
    let output = setup.run().await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("OPENAGENT_PHONE_PORT"), "{said}");
}
