//! Twilio's requests about calls: who may ask, and what each report does to a call.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bounds;
mod reports;
mod strays;
#[path = "../support/mod.rs"]
mod support;
mod twiml;
mod who_answered;
mod who_may_ask;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openagent_messaging::call::session::Session;
use openagent_messaging::call::snapshot::{Outcome, Status};
use support::{
    ACCOUNT, AUTH_TOKEN, CALLEE, Carrier, Model, PUBLIC_URL, Placed, Stage, ended, form, http,
    post_form, sign, snapshot, soon, standing, token_in, until,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What Twilio sends at the least.
fn params<'a>(sid: &'a str, status: &'a str) -> [(&'a str, &'a str); 3] {
    [
        ("AccountSid", ACCOUNT),
        ("CallSid", sid),
        ("CallStatus", status),
    ]
}

#[tokio::test]
async fn a_taken_port_leaves_everything_else_working_and_says_so() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let settings = [
        ("TWILIO_ACCOUNT_SID", ACCOUNT),
        ("TWILIO_AUTH_TOKEN", AUTH_TOKEN),
        ("TWILIO_FROM_NUMBER", support::FROM),
        ("OPENAI_API_KEY", "sk-test"),
        ("OPENAGENT_PHONE_PUBLIC_URL", PUBLIC_URL),
        ("OPENAGENT_PHONE_ALLOW_PREFIXES", "+1"),
        ("OPENAGENT_PHONE_PORT", &port),
        ("TWILIO_API_BASE_URL", "http://127.0.0.1:9"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1"),
    ];
    let config = openagent_messaging::config::Config::load(&support::values(&settings)).unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let app = openagent_messaging::app::App::start(config, stop).await;
    assert!(app.messenger.is_some());
    let board = app.board.as_ref().unwrap();
    assert!(
        board.missing().iter().any(|why| why.contains(&port)),
        "{:?}",
        board.missing()
    );
    let refused = board.place(support::order(CALLEE)).await.unwrap_err();
    assert!(
        refused.to_string().contains("OPENAGENT_PHONE_PORT"),
        "{refused}"
    );
    let used = board.used(chrono::Utc::now()).await.unwrap();
    assert_eq!((used.in_flight, used.time), (0, Duration::ZERO));
}
