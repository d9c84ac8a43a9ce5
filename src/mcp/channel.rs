//! What the tools of Telegram, Discord and WhatsApp share: their results and failures.

use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};
use schemars::{Schema, json_schema};
use serde_json::{Value, json};

use super::listing::LISTED;
use crate::channel::ChannelError;
use crate::error::ToolError;

/// A message that was not sent: in words, and in fields for programs.
pub(super) struct Failed(ChannelError);

impl From<ChannelError> for Failed {
    fn from(error: ChannelError) -> Self {
        Self(error)
    }
}

impl From<ToolError> for Failed {
    fn from(error: ToolError) -> Self {
        Self(ChannelError::Argument(error.to_string()))
    }
}

impl IntoCallToolResult for Failed {
    fn into_call_tool_result(self) -> Result<CallToolResponse, rmcp::ErrorData> {
        let text = self.0.to_string();
        let mut result = CallToolResult::structured_error(Value::Object(self.0.details()));
        result.content = vec![ContentBlock::text(text)];
        Ok(result.into())
    }
}

/// The schema of a result, of a provider whose ids are of this type: its object with the fields that
/// matter most (the message's id first), all others admitted, and what is added when a text made
/// several messages or none. No field is required, because hosts may check failures against it, too.
pub(super) fn message_schema(id_type: &str, described: &[(&str, &str, &str)]) -> Schema {
    let mut properties = serde_json::Map::new();
    for (index, (name, kind, meaning)) in described.iter().enumerate() {
        properties.insert(
            (*name).into(),
            json!({"type": kind, "description": meaning, LISTED: index == 0}),
        );
    }
    for (name, kind, meaning) in [
        (
            "parts",
            "integer",
            "If the text made several messages: how many.",
        ),
        ("error", "string", "In a failure: the same as the text."),
        (
            "may_have_been_delivered",
            "boolean",
            "In a failure: whether it may have been delivered all the same.",
        ),
        ("code", "integer", "In a failure: the provider's code."),
        ("http_status", "integer", "In a failure: the HTTP status."),
        (
            "retry_after_seconds",
            "number",
            "In a failure: how long the provider wants to be left alone.",
        ),
    ] {
        properties.insert(name.into(), json!({"type": kind, "description": meaning}));
    }
    properties.insert(
        "message_ids".into(),
        json!({
            "type": "array",
            "items": {"type": id_type},
            "description": "If the text made several messages: the ids of those that were sent, in order.",
        }),
    );
    json_schema!({
        "type": "object",
        "properties": properties,
        "additionalProperties": true,
    })
}

/// A channel that may not be set up.
pub(super) fn set_up<'a, T>(name: &str, channel: Option<&'a T>) -> Result<&'a T, ToolError> {
    channel.ok_or_else(|| ToolError::new(format_args!("{name} is not set up: see status.")))
}
