//! The sandbox's side of `tests/interop`, for the counterparts there that are not written in Rust.
//!
//! `cargo run --example interop -- WHAT`, where WHAT is one of
//!
//! - `events`: plays every scenario of `demo` that takes less than a minute, and prints every event
//!   that the model was sent, as lines of `{"scenario", "event"}`; of the audio, the first of each
//!   session;
//! - `parse`: reads events of the model, a line each, and prints for each `event`, `ignored` or what
//!   is wrong with it;
//! - `stand-ins`: starts a carrier and a model, whose callee has a question for the host; prints
//!   their settings as a line of JSON, and runs until its input ends;
//! - `schemas`: prints of each tool, by name, the schemas of its arguments and its result in full, of
//!   which hosts are listed a part, as a line of `{NAME: {"input", "output"}}`;
//! - `speech TEXT`: prints what that model understands as TEXT, mu-law in base64.
#![allow(missing_docs)]

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use openagent_messaging::config::{Values, command};
use openagent_messaging::demo;
use openagent_messaging::demo::scenario::{self, Scenario};
use openagent_messaging::mcp::reference;
use openagent_messaging::realtime::event::{Parsed, parse};
use openagent_messaging::sandbox::{Callee, ModelSession, Options, Sandbox, Step, speech};
use rmcp::model::Tool;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Scenarios mostly wait; but each has fifty frames a second to move, or several times as many.
const AT_ONCE: usize = 16;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let done = match asked[..] {
        ["events"] => events().await,
        ["parse"] => parse_lines(),
        ["stand-ins"] => stand_ins().await,
        ["schemas"] => schemas(),
        ["speech", text] => print(&STANDARD.encode(speech::encode(text))),
        _ => Err("one of: events, parse, stand-ins, schemas, speech TEXT".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn print(line: &impl std::fmt::Display) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

async fn events() -> Result<(), Failure> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = JoinSet::new();
    for scenario in scenario::all().filter(|scenario| scenario.minutes == 1) {
        let room = Arc::clone(&room);
        playing.spawn(async move {
            let _seat = room.acquire_owned().await?;
            Ok::<_, Failure>((scenario.name, sessions_of(scenario).await?))
        });
    }
    while let Some(played) = playing.join_next().await {
        let (name, sessions) = played??;
        for session in sessions {
            for event in session.first_append.iter().chain(&session.events) {
                print(&json!({"scenario": name, "event": event}))?;
            }
        }
    }
    Ok(())
}

async fn sessions_of(scenario: &Scenario) -> Result<Vec<ModelSession>, Failure> {
    let flags = command().get_matches_from(["interop"]);
    let values = Values::new(|_| None, &flags);
    let mut said = std::io::sink();
    let stop = CancellationToken::new();
    // Whether it went as expected is for others to judge: what was sent counts either way.
    let played = demo::play(scenario, &values, scenario.haste, &mut said, stop).await?;
    Ok(played.sessions)
}

fn parse_lines() -> Result<(), Failure> {
    for line in std::io::stdin().lock().lines() {
        let line = Bytes::from(line?);
        match parse(&line) {
            Ok(Parsed::Event(_)) => print(&"event")?,
            Ok(Parsed::Ignored) => print(&"ignored")?,
            Err(error) => print(&error)?,
        }
    }
    Ok(())
}

fn schemas() -> Result<(), Failure> {
    let of_tool = |tool: Tool| {
        let schemas = json!({"input": tool.input_schema, "output": tool.output_schema});
        (tool.name.into_owned(), schemas)
    };
    let schemas: Value = reference::in_full().into_iter().map(of_tool).collect();
    print(&schemas)
}

async fn stand_ins() -> Result<(), Failure> {
    let sandbox = Sandbox::start(Options {
        default_callee: Callee::person(vec![
            Step::say("Hello?"),
            Step::WaitForAgentToFinish,
            Step::say("Yes, speaking. What is it about?"),
            Step::WaitForAgentToFinish,
            Step::say("Does it have to be a morning? Could you ask your client?"),
            Step::WaitForWords("The answer is".to_owned()),
            Step::say("Tuesday at ten works for us."),
            Step::WaitForever,
        ]),
        ..Options::default()
    })
    .await?;
    print(&json!({
        "TWILIO_ACCOUNT_SID": sandbox.account_sid(),
        "TWILIO_AUTH_TOKEN": sandbox.auth_token(),
        "TWILIO_FROM_NUMBER": sandbox.from_number(),
        "TWILIO_API_BASE_URL": sandbox.carrier_url(),
        "OPENAI_API_KEY": sandbox.openai_key(),
        "OPENAI_BASE_URL": sandbox.model_url(),
    }))?;
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    let complaints = sandbox.complaints();
    sandbox.shutdown().await;
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(complaints.join("\n").into())
    }
}
