//! `sms_send`, `sms_send_file`, `sms_status`.

use rmcp::handler::server::wrapper::Json;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Parameters, Server, key, number, within};
use crate::error::ToolError;
use crate::sms::{Message, Messenger};
use crate::twilio::rest::{MessageResource, hint};

/// Characters of one message that Twilio takes.
const MAX_TEXT: usize = 1_600;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendArguments {
    /// The recipient in E.164 form, such as +14155550123.
    #[schemars(regex(pattern = r"^\+[1-9][0-9]{6,14}$"))]
    to: String,
    /// The text, 1 to 1600 characters.
    #[schemars(length(min = 1, max = 1600))]
    text: String,
    /// A key of your own for this request, such as a UUID: the same key never sends twice (24 h).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 200))]
    idempotency_key: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendFileArguments {
    /// The recipient in E.164 form, such as +14155550123.
    #[schemars(regex(pattern = r"^\+[1-9][0-9]{6,14}$"))]
    to: String,
    /// The file's public https URL. Images (jpeg, png, gif) up to 5 MB, other files up to 500 KB.
    #[schemars(regex(pattern = "^https://"))]
    url: String,
    /// A text to go with it, at most 1600 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 1600))]
    text: Option<String>,
    /// A key of your own for this request, such as a UUID: the same key never sends twice (24 h).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 200))]
    idempotency_key: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StatusArguments {
    /// What `sms_send` returned, such as `SM0123456789abcdef0123456789abcdef`.
    #[schemars(regex(pattern = "^(SM|MM)[0-9A-Za-z]+$"))]
    sid: String,
}

/// A message that Twilio has taken.
#[derive(Debug, Serialize, JsonSchema)]
struct Sent {
    /// Names the message in `sms_status`.
    sid: String,
    /// How it is doing: queued, sending, sent, delivered, undelivered, failed.
    status: String,
    /// The recipient.
    to: String,
    /// The sender.
    from: String,
    /// Parts it is billed as, if Twilio has counted them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    segments: Option<u32>,
}

/// How a message is doing.
#[derive(Debug, Serialize, JsonSchema)]
struct Delivery {
    #[serde(flatten)]
    sent: Sent,
    /// Twilio's code, if it was not delivered.
    error_code: Option<u32>,
    /// What that means, and what to do.
    error_message: Option<String>,
    /// When this last changed, RFC 3339.
    updated_at: Option<String>,
}

#[tool_router(router = sms_tools, vis = "pub(super)")]
impl Server {
    #[tool(
        name = "sms_send",
        title = "Send SMS",
        description = "Send a text message (SMS) from the user's number. Only numbers that the user's configuration allows. \
                       Returns as soon as Twilio has taken it; sms_status tells whether it was delivered.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn sms_send(
        &self,
        Parameters(args): Parameters<SendArguments>,
    ) -> Result<Json<Sent>, ToolError> {
        within("text", &args.text, MAX_TEXT)?;
        key(args.idempotency_key.as_deref())?;
        let to = number(&args.to)?;
        let message = Message {
            to,
            text: Some(args.text),
            media_url: None,
            idempotency_key: args.idempotency_key,
        };
        self.send(message).await
    }

    #[tool(
        name = "sms_send_file",
        title = "Send MMS",
        description = "Send a picture or another file (MMS) from the user's number, from a public https URL, with an optional \
                       text. MMS reach phones in the US and Canada; elsewhere send a link with sms_send.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn sms_send_file(
        &self,
        Parameters(args): Parameters<SendFileArguments>,
    ) -> Result<Json<Sent>, ToolError> {
        if let Some(text) = &args.text {
            within("text", text, MAX_TEXT)?;
        }
        key(args.idempotency_key.as_deref())?;
        let to = number(&args.to)?;
        if !Url::parse(&args.url).is_ok_and(|url| url.scheme() == "https" && url.host().is_some()) {
            return Err(ToolError::new(
                "url must be an https:// URL that Twilio can fetch without a login.",
            ));
        }
        let message = Message {
            to,
            text: args.text,
            media_url: Some(args.url),
            idempotency_key: args.idempotency_key,
        };
        self.send(message).await
    }

    #[tool(
        name = "sms_status",
        title = "SMS status",
        description = "Whether a message sent with sms_send or sms_send_file was delivered, and if not, why.",
        annotations(read_only_hint = true, open_world_hint = true)
    )]
    async fn sms_status(
        &self,
        Parameters(args): Parameters<StatusArguments>,
    ) -> Result<Json<Delivery>, ToolError> {
        let messenger = self.messenger()?;
        let found = messenger.status(&args.sid).await.map_err(ToolError::new)?;
        let explained = found.error_code.and_then(hint).map(|hint| {
            found
                .error_message
                .as_ref()
                .map_or_else(|| hint.to_owned(), |message| format!("{message}; {hint}"))
        });
        let updated_at = found
            .date_updated
            .as_deref()
            .and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok());
        Ok(Json(Delivery {
            error_code: found.error_code,
            error_message: explained.or_else(|| found.error_message.clone()),
            updated_at: updated_at.map(|date| {
                date.to_utc()
                    .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            }),
            sent: sent(found, None, messenger),
        }))
    }
}

impl Server {
    fn messenger(&self) -> Result<&std::sync::Arc<Messenger>, ToolError> {
        self.app
            .messenger
            .as_ref()
            .ok_or_else(|| ToolError::new("SMS are not set up: see status."))
    }

    async fn send(&self, message: Message) -> Result<Json<Sent>, ToolError> {
        let messenger = self.messenger()?;
        let to = message.to.as_str().to_owned();
        let taken = messenger.send(message).await.map_err(ToolError::new)?;
        Ok(Json(sent(taken, Some(to), messenger)))
    }
}

/// Twilio leaves out what it does not know yet; what we asked for stands in for it.
fn sent(message: MessageResource, to: Option<String>, messenger: &Messenger) -> Sent {
    Sent {
        sid: message.sid,
        status: message.status.unwrap_or_else(|| "queued".into()),
        to: message.to.or(to).unwrap_or_default(),
        from: message
            .from
            .unwrap_or_else(|| messenger.from().as_str().to_owned()),
        segments: message.num_segments.filter(|segments| *segments > 0),
    }
}
