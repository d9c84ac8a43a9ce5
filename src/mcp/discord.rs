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
    /// The channel or thread, as text: a long number such as 1234567890123456789.
    #[schemars(regex(pattern = "^[0-9]{1,20}$"))]
    channel_id: String,
    /// The text, in Discord's Markdown. More than 2000 characters are sent as several messages.
    /// Mentions are shown, but notify nobody.
    #[schemars(length(min = 1))]
    text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendFileArguments {
    /// The channel or thread, as text: a long number such as 1234567890123456789.
    #[schemars(regex(pattern = "^[0-9]{1,20}$"))]
    channel_id: String,
    /// A file of the machine on which this server runs: its absolute path. At most 10 MB. Give either
    /// path or url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    path: Option<String>,
    /// A file of the public web (https), at most 10 MB, which is fetched and passed on. Give either
    /// path or url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    url: Option<String>,
    /// A text above it, at most 2000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 2000))]
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
        description = "Send a text from the user's Discord bot to a channel or thread. A long text becomes several messages; the \
                       result then has parts and message_ids. Mentions such as @everyone notify nobody.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
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
        description = "Send a file from the user's Discord bot to a channel or thread, either one of this machine (path) or one \
                       of the public web (url), with an optional text.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
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
