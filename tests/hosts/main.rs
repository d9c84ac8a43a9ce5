//! Hosts other than a test: the configurations of docs/hosts.md, and the launcher for Node.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod launcher;
mod snippets;
#[path = "../support_mcp/mod.rs"]
mod support_mcp;

use serde_json::{Value, json};
use support_mcp::{EVERY_TOOL, SERVER, Server, Setup};

fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}
