//! The program as an operating system sees it: how it starts, what it prints, how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod chatter;
mod demo;
mod end;
mod input;
mod load;
mod secrecy;
mod start;
#[path = "../support_mcp/mod.rs"]
mod support_mcp;

use std::time::Duration;

use openagent_messaging::sandbox::{Options, Sandbox};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use support_mcp::{BRIEF, NOBODY, Server, Setup, calling, hurried, sandbox};

/// What the contract allows for an end with a live call.
const END: Duration = Duration::from_secs(4);

/// What was printed.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
