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
    /// E.164, like +14155550123.
    to: String,
    /// 1-1600 characters, like: See you at 5.
    text: String,
    /// Like a UUID; the same never sends twice in 24 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    idempotency_key: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendFileArguments {
    /// E.164, like +14155550123.
    to: String,
    /// Public, like `https://example.com/a.jpg`; images up to 5 MB, others 500 KB.
    url: String,
    /// Up to 1600 characters, like: The map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    text: Option<String>,
    /// Like a UUID; the same never sends twice in 24 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    idempotency_key: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StatusArguments {
    /// From `sms_send`, like SM0123….
    sid: String,
}

/// A message that Twilio has taken.
#[derive(Debug, Serialize, JsonSchema)]
struct Sent {
    /// For `sms_status`.
    #[schemars(extend("x-listed" = true))]
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
    /// Names the message.
    sid: String,
    /// queued, sending, sent, delivered, undelivered or failed.
    #[schemars(extend("x-listed" = true))]
    status: String,
    /// The recipient.
    to: String,
    /// The sender.
    from: String,
    /// Parts it is billed as, if Twilio has counted them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    segments: Option<u32>,
    /// Twilio's code, if it was not delivered.
    error_code: Option<u32>,
    /// Why it did not arrive.
    #[schemars(extend("x-listed" = true))]
    error_message: Option<String>,
    /// When this last changed, RFC 3339.
    updated_at: Option<String>,
}

#[tool_router(router = sms_tools, vis = "pub(super)")]
impl Server {
    #[tool(
        name = "sms_send",
        title = "Send SMS",
        description = "Send an SMS from the user's number, to allowed numbers. sms_status tells whether it arrived.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
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
        description = "Send a file by MMS from the user's number. US and Canada only; elsewhere send a link by sms_send.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
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
        description = "Whether an SMS or MMS arrived, and if not, why.",
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
        let (error_code, error_message) = (found.error_code, found.error_message.clone());
        let Sent {
            sid,
            status,
            to,
            from,
            segments,
        } = sent(found, None, messenger);
        Ok(Json(Delivery {
            sid,
            status,
            to,
            from,
            segments,
            error_code,
            error_message: explained.or(error_message),
            updated_at: updated_at.map(|date| {
                date.to_utc()
                    .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            }),
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
