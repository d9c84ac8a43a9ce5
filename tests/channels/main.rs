//! Telegram, Discord and WhatsApp, as an agent host and the providers see them: tools are called over
//! the program's pipes, and what arrives at a stand-in of the provider is looked at to the byte.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod discord;
mod end;
mod files;
mod memory;
mod sandbox;
mod secrecy;
mod set_up;
mod stand_in;
#[path = "../support_mcp/mod.rs"]
mod support_mcp;
mod telegram;
mod whatsapp;

use std::path::PathBuf;

use serde_json::{Value, json};
use stand_in::{Reply, Seen, StandIn};
use support_mcp::{Server, Setup};

const TELEGRAM_TOKEN: &str = "123456:AAtel0Yak0tel0Yak0tel0Yak0";
const DISCORD_TOKEN: &str = "dis0Ibex0.dis0.Ibex0dis0Ibex0";
const GREEN_ID: &str = "1101000001";
const GREEN_TOKEN: &str = "gre0Lynx0gre0Lynx0gre0Lynx0";

/// A server with a Telegram bot at the stand-in.
async fn telegram(stand_in: &StandIn) -> Server {
    Server::start(&telegram_setup(stand_in)).await
}

fn telegram_setup(stand_in: &StandIn) -> Setup {
    Setup::bare()
        .env("TELEGRAM_BOT_TOKEN", TELEGRAM_TOKEN)
        .env("TELEGRAM_API_BASE_URL", &stand_in.url())
}

/// A server with a Discord bot at the stand-in.
async fn discord(stand_in: &StandIn) -> Server {
    Server::start(&discord_setup(stand_in)).await
}

fn discord_setup(stand_in: &StandIn) -> Setup {
    let base_url = format!("{}/api/v10", stand_in.url());
    Setup::bare()
        .env("DISCORD_BOT_TOKEN", DISCORD_TOKEN)
        .env("DISCORD_API_BASE_URL", &base_url)
}

/// A server with an instance of Green API at the stand-in.
async fn whatsapp(stand_in: &StandIn) -> Server {
    Server::start(&whatsapp_setup(stand_in)).await
}

fn whatsapp_setup(stand_in: &StandIn) -> Setup {
    Setup::bare()
        .env("GREEN_API_ID", GREEN_ID)
        .env("GREEN_API_TOKEN", GREEN_TOKEN)
        .env("GREEN_API_BASE_URL", &stand_in.url())
}

/// Calls a tool that fails; returns what it says in words and in fields.
async fn failure(server: &mut Server, tool: &str, arguments: Value) -> (String, Value) {
    let id = server.begin(tool, arguments).await;
    let result = server.answer(id).await["result"].clone();
    assert_eq!(result["isError"], json!(true), "{result}");
    let said = result["content"][0]["text"].as_str().unwrap().to_owned();
    let fields = result["structuredContent"].clone();
    assert_eq!(fields["error"], json!(said));
    for schema in [
        &server.tools[tool]["outputSchema"],
        support_mcp::full_schema(tool),
    ] {
        support_mcp::schema::check(&fields, schema).unwrap();
    }
    (said, fields)
}

/// All of these words are in it.
fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{said:?} lacks {word:?}");
    }
}

/// A directory of its own, gone with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("openagent-channels-{}", uuid::Uuid::new_v4());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A file of this length that takes no room.
    fn sparse(&self, name: &str, length: u64) -> String {
        let path = self.file(name, b"");
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(length).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Bytes that no encoding leaves as they are by chance.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(length)
    .collect()
}
