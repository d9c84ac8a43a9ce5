//! `whatsapp_send_message`, `whatsapp_send_file`.

use std::borrow::Cow;
use std::sync::Arc;

use rmcp::handler::server::wrapper::Json;
use rmcp::{tool, tool_router};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::channel::{Failed, message_schema, set_up};
use super::{Parameters, Server};
use crate::channel::whatsapp::{Chat, NewFile, WhatsApp};
use crate::channel::{Provider, Source};
use crate::error::ToolError;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendArguments {
    /// Like +393331234567, or a group like 120363@g.us.
    phone: String,
    /// Like: On my way.
    text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendFileArguments {
    /// Like +393331234567, or a group like 120363@g.us.
    phone: String,
    /// Absolute, like /tmp/a.pdf; up to 100 MB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    path: Option<String>,
    /// Like `https://example.com/a.pdf`; up to 100 MB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    url: Option<String>,
    /// Up to 1024 characters, like: The report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    caption: Option<String>,
    /// Shown name, like report.pdf; its ending decides how it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    filename: Option<String>,
}

/// A message as Green API has it.
#[derive(Debug, Serialize)]
struct WhatsAppMessage(Map<String, Value>);

impl JsonSchema for WhatsAppMessage {
    fn schema_name() -> Cow<'static, str> {
        "WhatsAppMessage".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        message_schema(
            "string",
            &[
                ("idMessage", "string", "The message."),
                (
                    "urlFile",
                    "string",
                    "Where Green API keeps a file that was uploaded.",
                ),
            ],
        )
    }
}

#[tool_router(router = whatsapp_tools, vis = "pub(super)")]
impl Server {
    #[tool(
        name = "whatsapp_send_message",
        title = "Send WhatsApp message",
        description = "Send a text from the user's WhatsApp account; over 20000 characters as several (message_ids). Accepted is \
                       not delivered.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            open_world_hint = true
        )
    )]
    async fn whatsapp_send_message(
        &self,
        Parameters(args): Parameters<SendArguments>,
    ) -> Result<Json<WhatsAppMessage>, Failed> {
        let whatsapp = Arc::clone(self.whatsapp()?);
        let chat = Chat::parse(&args.phone)?;
        let sending = async move { whatsapp.send_message(&chat, &args.text).await };
        let sent = self.app.channels.send(Provider::GreenApi, sending).await?;
        Ok(Json(WhatsAppMessage(sent.into_object())))
    }

    #[tool(
        name = "whatsapp_send_file",
        title = "Send file by WhatsApp",
        description = "Send a file (path or url) from the user's WhatsApp account. Accepted is not delivered.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            open_world_hint = true
        )
    )]
    async fn whatsapp_send_file(
        &self,
        Parameters(args): Parameters<SendFileArguments>,
    ) -> Result<Json<WhatsAppMessage>, Failed> {
        let whatsapp = Arc::clone(self.whatsapp()?);
        let new = NewFile {
            chat: Chat::parse(&args.phone)?,
            source: Source::new(args.path, args.url.as_deref())?,
            caption: args.caption.filter(|caption| !caption.is_empty()),
            filename: args.filename.filter(|name| !name.is_empty()),
        };
        let sending = async move { whatsapp.send_file(&new).await };
        let sent = self.app.channels.send(Provider::GreenApi, sending).await?;
        Ok(Json(WhatsAppMessage(sent.into_object())))
    }
}

impl Server {
    fn whatsapp(&self) -> Result<&Arc<WhatsApp>, ToolError> {
        set_up("WhatsApp", self.app.channels.whatsapp.as_ref())
    }
}
