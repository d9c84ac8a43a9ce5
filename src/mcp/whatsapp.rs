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
    /// The recipient: a phone number with its country code, such as +393331234567, or the id of a
    /// group, such as 120363043968066561@g.us.
    phone: String,
    /// The text. More than 20000 characters are sent as several messages.
    #[schemars(length(min = 1))]
    text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendFileArguments {
    /// The recipient: a phone number with its country code, such as +393331234567, or the id of a
    /// group, such as 120363043968066561@g.us.
    phone: String,
    /// A file of the machine on which this server runs: its absolute path. At most 100 MB. Give either
    /// path or url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    path: Option<String>,
    /// A file of the web, at most 100 MB, which Green API fetches. Give either path or url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    url: Option<String>,
    /// A text below it, at most 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 1024))]
    caption: Option<String>,
    /// The name under which it arrives, with an ending such as .pdf, which decides how it is shown;
    /// the file's own name if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
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
        description = "Send a text from the user's WhatsApp account to a phone number or group. The answer means that it was \
                       accepted, not that it was delivered: it goes out when the account is connected.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
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
        description = "Send a picture, video, audio or document from the user's WhatsApp account to a phone number or group, \
                       either a file of this machine (path) or one of the web (url), with an optional caption.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
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
