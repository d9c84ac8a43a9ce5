//! The server as an agent host meets it: over its pipes, tool by tool.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod calls;
mod confirm;
mod gating;
mod handshake;
mod history;
mod schemas;
mod sms;
mod steer;
#[path = "../support_mcp/mod.rs"]
mod support_mcp;
mod waiting;

use openagent_messaging::sandbox::{Call, Options, Sandbox};
use serde_json::{Value, json};

use support_mcp::{
    BRIEF, EVERY_TOOL, NOBODY, Server, Setup, TWILIO_TOOLS, calling, free_port, hurried, sandbox,
};
