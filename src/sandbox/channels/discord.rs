//! Discord's API, version 10 (<https://discord.com/developers/docs/resources/message>): who the bot
//! is, and messages with and without a file.

use axum::http::{Method, header};
use axum::response::Response;
use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};

use super::form::Fields;
use super::{Asked, ChannelFile, ChannelMessage, Messengers, json as answer, plain};

const LARGEST_FILE: usize = 10 * 1024 * 1024;

/// The bot's own id, and the first of all others.
const BOT: u64 = 1_000_000_000_000_000_001;

pub(super) fn serve(messengers: &Messengers, asked: &Asked) -> Response {
    let named = |name| {
        asked
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let expected = format!("Bot {}", messengers.discord_token);
    if named(header::AUTHORIZATION) != Some(&expected) {
        return refuse(401, 0, "401: Unauthorized");
    }
    let agent = named(header::USER_AGENT).unwrap_or_default();
    if !agent.starts_with("DiscordBot (http") {
        let complaint = format!("discord: User-Agent {agent:?}");
        messengers.complaints.add(complaint);
    }
    let segments: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
    match (&asked.method, &segments[..]) {
        (&Method::GET, ["users", "@me"]) => answer(200, &me()),
        (&Method::POST, ["channels", channel, "messages"]) => create(messengers, channel, asked),
        _ => refuse(404, 0, "404: Not Found"),
    }
}

fn create(messengers: &Messengers, channel: &str, asked: &Asked) -> Response {
    if channel.parse::<u64>().is_err() {
        return form_error("channel_id", "Value is not snowflake.");
    }
    if let Some(response) = fails(messengers, channel) {
        return response;
    }
    let Some(fields) = Fields::read(asked) else {
        return refuse(400, 50_109, "The request body contains invalid JSON.");
    };
    // In a form, the message is a field of its own.
    let mut message = Value::Object(fields.values.clone());
    if let Some(payload) = fields.text("payload_json") {
        match serde_json::from_str(&payload) {
            Ok(payload) => message = payload,
            Err(_) => return refuse(400, 50_109, "The request body contains invalid JSON."),
        }
    }
    let content = message["content"].as_str().unwrap_or_default();
    if content.chars().count() > 2000 {
        return form_error("content", "Must be 2000 or fewer in length.");
    }
    if content.trim().is_empty() && fields.files.is_empty() {
        return refuse(400, 50_006, "Cannot send an empty message");
    }
    if fields.files.iter().any(|file| file.length > LARGEST_FILE) {
        return refuse(413, 40_005, "Request entity too large");
    }
    for (index, attachment) in message["attachments"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let field = format!("files[{}]", attachment["id"]);
        if fields.file(&field).is_none() {
            return form_error(&format!("attachments.{index}.id"), "Unknown attachment");
        }
    }
    let id = (BOT + messengers.next_id()).to_string();
    let attachments: Vec<Value> = fields
        .files
        .iter()
        .map(|file| {
            let url = format!(
                "https://cdn.discordapp.com/attachments/{channel}/{id}/{}",
                file.name
            );
            json!({
                "id": (BOT + messengers.next_id()).to_string(), "filename": file.name,
                "size": file.length, "content_type": file.mime, "url": url, "proxy_url": url,
            })
        })
        .collect();
    messengers.take(ChannelMessage {
        channel: "discord",
        to: channel.to_owned(),
        text: content.to_owned(),
        file: fields.files.first().map(|file| ChannelFile {
            kind: "file",
            name: file.name.clone(),
            length: Some(file.length),
        }),
    });
    // Without a list of what may be notified, everything is.
    let parsed = &message["allowed_mentions"]["parse"];
    let may_notify = parsed
        .as_array()
        .is_none_or(|all| all.contains(&json!("everyone")));
    let object = json!({
        "id": id, "type": 0, "channel_id": channel, "content": content, "author": me(),
        "attachments": attachments, "embeds": [], "components": [], "mentions": [],
        "mention_roles": [], "mention_everyone": may_notify && content.contains("@everyone"),
        "timestamp": Utc::now().to_rfc3339_opts(SecondsFormat::Micros, false),
        "edited_timestamp": null, "pinned": false, "tts": false, "flags": 0,
    });
    answer(200, &object)
}

/// Channels that fail on purpose.
fn fails(messengers: &Messengers, channel: &str) -> Option<Response> {
    let later = |seconds: f64| {
        let body = json!({
            "message": "You are being rate limited.", "retry_after": seconds, "global": false,
        });
        answer(429, &body)
    };
    match channel {
        "10003" => Some(refuse(404, 10_003, "Unknown Channel")),
        "50001" => Some(refuse(403, 50_001, "Missing Access")),
        "50013" => Some(refuse(403, 50_013, "Missing Permissions")),
        "429" if messengers.limits("discord 429") => Some(later(0.3)),
        "4290" => Some(later(60.0)),
        "502" => Some(plain(502, "<html>Bad Gateway</html>")),
        _ => None,
    }
}

fn me() -> Value {
    json!({
        "id": BOT.to_string(), "username": "sandbox", "discriminator": "0000", "avatar": null,
        "bot": true,
    })
}

fn refuse(status: u16, code: u32, message: &str) -> Response {
    answer(status, &json!({"message": message, "code": code}))
}

fn form_error(field: &str, message: &str) -> Response {
    let body = json!({
        "message": "Invalid Form Body", "code": 50_035,
        "errors": {field: {"_errors": [{"code": "INVALID", "message": message}]}},
    });
    answer(400, &body)
}
