//! What goes wrong around the program: it is killed, shares its file with others, finds a file that
//! is not its own, a disk that is full, a carrier that hangs. The real program runs as a process of
//! its own; carrier, model and file outlive it.
//!
//! Orphans are found after some seconds of real time, so cases run side by side.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod disk;
mod durable;
mod file;
mod files;
mod keys;
mod killed;
mod relay;
mod stage;
mod stopped;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support_mcp/mod.rs"]
mod support_mcp;
mod two;

use std::pin::Pin;
use std::time::{Duration, Instant};

use openagent_messaging::sandbox::{Callee, Options, Step};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use relay::Mode;
use stage::{Stage, attempt, dials, final_of, kill, order, order_with_key, said, seconds, talking};
use support::soon;
use support_mcp::{NOBODY, Server, Setup, hurried};

type Case = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs cases at the same time, and says which of them failed.
async fn side_by_side<const N: usize>(cases: [(&'static str, Case); N]) {
    let mut running = JoinSet::new();
    let named: Vec<_> = cases
        .into_iter()
        .map(|(name, case)| (name, running.spawn(case).id()))
        .collect();
    let mut failed = Vec::new();
    while let Some(ended) = running.join_next_with_id().await {
        if let Err(error) = ended {
            let name = named.iter().find(|(_, id)| *id == error.id());
            failed.push(name.map_or("?", |(name, _)| name));
        }
    }
    assert!(failed.is_empty(), "failed: {}", failed.join("; "));
}
