//! `discord_send_message`, `discord_send_file`.

use std::borrow::Cow;
use std::sync::Arc;

use rmcp::handler::server::wrapper::Json;
use rmcp::{tool, tool_router};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::channel::{Failed, message_schema, set_up};
use super::{Parameters, Server};
use crate::channel::discord::{ChannelId, Discord, NewFile};
use crate::channel::{Provider, Source};
use crate::error::ToolError;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendArguments {
    /// Channel or thread, like 1234567890123456789.
    channel_id: String,
    /// Markdown, like `**Done**`.
    text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendFileArguments {
    /// Channel or thread, like 1234567890123456789.
    channel_id: String,
    /// Absolute, like /tmp/a.pdf; up to 10 MB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    path: Option<String>,
    /// Like `https://example.com/a.pdf`; up to 10 MB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    url: Option<String>,
    /// Up to 2000 characters, like: The report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    text: Option<String>,
}

/// A message as Discord has it.
#[derive(Debug, Serialize)]
struct DiscordMessage(Map<String, Value>);

impl JsonSchema for DiscordMessage {
    fn schema_name() -> Cow<'static, str> {
        "DiscordMessage".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        message_schema(
            "string",
            &[
                ("id", "string", "The message."),
                ("channel_id", "string", "Where it was sent."),
                ("timestamp", "string", "When it was sent, RFC 3339."),
                ("content", "string", "What it says."),
            ],
        )
    }
}

#[tool_router(router = discord_tools, vis = "pub(super)")]
impl Server {
    #[tool(
        name = "discord_send_message",
        title = "Send Discord message",
        description = "Send a text from the user's Discord bot; over 2000 characters as several (message_ids). Mentions notify nobody.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            open_world_hint = true
        )
    )]
    async fn discord_send_message(
        &self,
        Parameters(args): Parameters<SendArguments>,
    ) -> Result<Json<DiscordMessage>, Failed> {
        let discord = Arc::clone(self.discord()?);
        let channel = ChannelId::parse(&args.channel_id)?;
        let sending = async move { discord.send_message(&channel, &args.text).await };
        let sent = self.app.channels.send(Provider::Discord, sending).await?;
        Ok(Json(DiscordMessage(sent.into_object())))
    }

    #[tool(
        name = "discord_send_file",
        title = "Send file by Discord",
        description = "Send a file (path or url) from the user's Discord bot.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            open_world_hint = true
        )
    )]
    async fn discord_send_file(
        &self,
        Parameters(args): Parameters<SendFileArguments>,
    ) -> Result<Json<DiscordMessage>, Failed> {
        let discord = Arc::clone(self.discord()?);
        let new = NewFile {
            channel: ChannelId::parse(&args.channel_id)?,
            source: Source::new(args.path, args.url.as_deref())?,
            text: args.text.filter(|text| !text.is_empty()),
        };
        let sending = async move { discord.send_file(&new).await };
        let sent = self.app.channels.send(Provider::Discord, sending).await?;
        Ok(Json(DiscordMessage(sent.into_object())))
    }
}

impl Server {
    fn discord(&self) -> Result<&Arc<Discord>, ToolError> {
        set_up("Discord", self.app.channels.discord.as_ref())
    }
}
