//! Uses the library without MCP: starts everything with the embedded carrier and model, places one
//! call and follows it to its end.
//!
//! `cargo run --example place_call` needs no account and takes about 15 seconds. The exit code is
//! 1 if the call does not reach its goal.
#![allow(missing_docs)]

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use openagent_messaging::app::App;
use openagent_messaging::call::record::Lines;
use openagent_messaging::call::snapshot::Outcome;
use openagent_messaging::call::switchboard::Order;
use openagent_messaging::config::Values;
use openagent_messaging::phone::E164;
use openagent_messaging::sandbox::Options;
use tokio_util::sync::CancellationToken;

/// More than the call takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    let mut out = std::io::stdout();
    match place_and_follow(&mut out).await {
        Ok(Outcome::Success) => ExitCode::SUCCESS,
        Ok(other) => fail(&format!("the call ended with {other:?}")),
        Err(error) => fail(&error.to_string()),
    }
}

async fn place_and_follow(out: &mut impl Write) -> Result<Outcome, Box<dyn std::error::Error>> {
    // No settings at all: the sandbox brings its own account and its own key. The sandbox runs
    // until it is dropped.
    let values = Values::default();
    let (app, _sandbox) =
        App::start_sandboxed(&values, Options::default(), CancellationToken::new()).await?;
    let board = app.board.as_ref().ok_or("calls are not set up")?;

    let placed = board
        .place(Order {
            to: E164::parse("+14155550142")?,
            mission: "Book a table for two on Friday at eight.".to_owned(),
            caller_identity: Some("Maria Rossi".to_owned()),
            language: "en-US".parse()?,
            success_criteria: Some("A table and a time are confirmed.".to_owned()),
            max_duration: Some(Duration::from_secs(120)),
            idempotency_key: None,
        })
        .await?;
    let session = placed.here().ok_or("without a key, each call is new")?;
    let call = &session.call;
    writeln!(out, "placed {}", call.id)?;

    let follow = async {
        // Every visible change raises the revision; a wait for a later one loses none.
        let mut revisions = call.watch();
        let mut seen = 0;
        loop {
            let now = call.snapshot(Lines::After(seen), Utc::now());
            for line in &now.transcript {
                writeln!(out, "{:?}: {}", line.role, line.text)?;
            }
            if now.status.is_final() {
                return Ok::<_, Box<dyn std::error::Error>>(now);
            }
            seen = now.revision;
            revisions.wait_for(|known| known.latest > seen).await?;
        }
    };
    let last = tokio::time::timeout(PATIENCE, follow).await??;
    let summary = last.summary.as_deref().unwrap_or("none");
    writeln!(
        out,
        "{:?} after {} s: {summary}",
        last.status, last.duration_s
    )?;

    // Hangs up whatever is live, and stops the webhook server.
    app.shut_down(Duration::from_secs(3)).await;
    last.outcome
        .ok_or_else(|| last.error.unwrap_or_default().into())
}

fn fail(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{why}");
    ExitCode::FAILURE
}
