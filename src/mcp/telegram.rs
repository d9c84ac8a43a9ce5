//! `telegram_send_message`, `telegram_send_file`.

use std::borrow::Cow;
use std::sync::Arc;

use rmcp::handler::server::wrapper::Json;
use rmcp::{tool, tool_router};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::channel::{Failed, message_schema, set_up};
use super::{Parameters, Server};
use crate::channel::telegram::{ChatId, FileKind, NewFile, Telegram};
use crate::channel::{ChannelError, ParseMode, Provider, Source};
use crate::error::ToolError;

/// Advertised as text alone: linters of schemas do not like two types.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a number, or text such as \"-1001234567890\" or \"@name\""
)]
enum Chat {
    Number(i64),
    Text(String),
}

impl Chat {
    fn id(&self) -> Result<ChatId, ChannelError> {
        match self {
            Self::Number(number) => Ok(ChatId::number(*number)),
            Self::Text(text) => ChatId::parse(text),
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(inline)]
enum Mode {
    #[serde(alias = "markdownv2")]
    MarkdownV2,
    #[serde(rename = "HTML", alias = "html", alias = "Html")]
    Html,
    #[serde(alias = "markdown")]
    Markdown,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Kind {
    Photo,
    Document,
    Voice,
    Video,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendArguments {
    /// Like 123456789, -1001234567 (group) or @name.
    #[schemars(with = "String")]
    chat_id: Chat,
    /// Like: Dinner at 8?
    text: String,
    /// Default: plain. Escape as Telegram demands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Mode")]
    parse_mode: Option<Mode>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendFileArguments {
    /// Like 123456789, -1001234567 (group) or @name.
    #[schemars(with = "String")]
    chat_id: Chat,
    /// Absolute, like /tmp/a.pdf; up to 50 MB, photos 10 MB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    path: Option<String>,
    /// Like `https://example.com/a.pdf`; up to 20 MB, photos 5 MB; documents only PDF, ZIP, GIF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    url: Option<String>,
    /// Up to 1024 characters, like: The report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    caption: Option<String>,
    /// Default: by file name.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Kind")]
    kind: Option<Kind>,
}

/// A message as Telegram has it.
#[derive(Debug, Serialize)]
struct TelegramMessage(Map<String, Value>);

impl JsonSchema for TelegramMessage {
    fn schema_name() -> Cow<'static, str> {
        "TelegramMessage".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        message_schema(
            "integer",
            &[
                ("message_id", "integer", "The message."),
                ("date", "integer", "When it was sent, as Unix time."),
                ("chat", "object", "Where it was sent."),
                ("text", "string", "What it says."),
            ],
        )
    }
}

#[tool_router(router = telegram_tools, vis = "pub(super)")]
impl Server {
    #[tool(
        name = "telegram_send_message",
        title = "Send Telegram message",
        description = "Send a text from the user's Telegram bot, to people only if they wrote to it before; over 4096 characters as \
                       several (message_ids).",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            open_world_hint = true
        )
    )]
    async fn telegram_send_message(
        &self,
        Parameters(args): Parameters<SendArguments>,
    ) -> Result<Json<TelegramMessage>, Failed> {
        let telegram = Arc::clone(self.telegram()?);
        let chat = args.chat_id.id()?;
        let mode = args.parse_mode.map(|mode| match mode {
            Mode::MarkdownV2 => ParseMode::MarkdownV2,
            Mode::Html => ParseMode::Html,
            Mode::Markdown => ParseMode::Markdown,
        });
        let sending = async move { telegram.send_message(&chat, &args.text, mode).await };
        let sent = self.app.channels.send(Provider::Telegram, sending).await?;
        Ok(Json(TelegramMessage(sent.into_object())))
    }

    #[tool(
        name = "telegram_send_file",
        title = "Send file by Telegram",
        description = "Send a file (path or url) from the user's Telegram bot.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            open_world_hint = true
        )
    )]
    async fn telegram_send_file(
        &self,
        Parameters(args): Parameters<SendFileArguments>,
    ) -> Result<Json<TelegramMessage>, Failed> {
        let telegram = Arc::clone(self.telegram()?);
        let new = NewFile {
            chat: args.chat_id.id()?,
            source: Source::new(args.path, args.url.as_deref())?,
            caption: args.caption.filter(|caption| !caption.is_empty()),
            kind: args.kind.map(|kind| match kind {
                Kind::Photo => FileKind::Photo,
                Kind::Document => FileKind::Document,
                Kind::Voice => FileKind::Voice,
                Kind::Video => FileKind::Video,
            }),
        };
        let sending = async move { telegram.send_file(&new).await };
        let sent = self.app.channels.send(Provider::Telegram, sending).await?;
        Ok(Json(TelegramMessage(sent.into_object())))
    }
}

impl Server {
    fn telegram(&self) -> Result<&Arc<Telegram>, ToolError> {
        set_up("Telegram", self.app.channels.telegram.as_ref())
    }
}
