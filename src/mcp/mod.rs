//! The MCP face: which tools there are, and how a host reaches them.
//!
//! - [`status`]: the tool that is always there.
//! - [`sms`], [`calls`]: the tools of a Twilio account, one file a family.
//! - [`steer`]: taking part in a live call; [`confirm`]: asking the user before one is placed.
//! - [`stdio`]: serving on stdin and stdout, and stopping in time.

pub mod calls;
mod confirm;
pub mod sms;
pub mod status;
pub mod stdio;
pub mod steer;

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use crate::app::App;
use crate::error::ToolError;
use crate::phone::E164;
use futures_util::FutureExt as _;
use rmcp::handler::server::common::FromContextPart;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::tool::ToolCallContext;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, tool_handler};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How the tools belong together; every model that uses them reads this first.
const INSTRUCTIONS: &str = "\
Messaging and phone calls on the user's behalf. `status` tells which channels are set up, and how to enable the others.

A phone call is held by another AI on the line; you brief it and follow it:
1. phone_call_place with a complete mission: who is called, what to achieve, every fact the agent may need (names, dates, alternatives), and what counts as success. It returns at once with a call_id and a revision.
2. Follow it with phone_call_status: wait: true, since: <the last revision>, transcript: \"new\". Repeat until the status is final. If there is a pending_question, the agent on the line waits for you: answer it at once with phone_call_answer. phone_call_instruct tells the agent something new. wake_on: \"final\" waits for the end alone.
3. When it is final, tell the user its outcome and summary. `notes` hold the facts that were learned.

Rules that are enforced and cannot be argued with: the agent says at once that it is an AI and for whom it calls; only numbers that the user's configuration allows are called or written to; calls have a maximum duration, and each day has its limits. When a tool refuses, tell the user the reason; do not try to get around it. Never place a call or send a message that the user has not asked for, and give a new idempotency_key to each new request so that a retry cannot act twice.";

/// The MCP server.
#[derive(Debug, Clone)]
pub struct Server {
    app: Arc<App>,
    tools: ToolRouter<Self>,
    confirmations: Arc<confirm::Confirmations>,
}

impl Server {
    /// A server with the tools that the configuration allows for.
    pub fn new(app: Arc<App>) -> Self {
        let mut tools = Self::status_tools();
        if app.messenger.is_some() {
            tools += Self::sms_tools();
        }
        if app.board.is_some() {
            tools += Self::call_tools();
            tools += Self::steering_tools();
        }
        Self {
            app,
            tools,
            confirmations: Arc::default(),
        }
    }

    /// The tools by name, as a host lists them.
    pub fn tools(&self) -> Vec<rmcp::model::Tool> {
        self.tools.list_all()
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let about = Implementation::new("openagent-messaging", env!("CARGO_PKG_VERSION"));
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(about)
            .with_instructions(INSTRUCTIONS)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let call = self
            .tools
            .call(ToolCallContext::new(self, request, context));
        // Without this, a tool that panics would leave the host waiting for ever.
        AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|_| {
            let why = "An internal error occurred in the messaging server; its log has the details. Check what was done before you repeat this.";
            Ok(CallToolResult::error(vec![ContentBlock::text(why)]).into())
        })
    }
}

/// The arguments of a tool. Unlike the library's own wrapper, it says which of them is wrong.
struct Parameters<P>(P);

impl<P: JsonSchema> JsonSchema for Parameters<P> {
    fn schema_name() -> Cow<'static, str> {
        P::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        P::json_schema(generator)
    }
}

impl<P: DeserializeOwned> FromContextPart<ToolCallContext<'_, Server>> for Parameters<P> {
    fn from_context_part(context: &mut ToolCallContext<'_, Server>) -> Result<Self, ErrorData> {
        let arguments = Value::Object(context.arguments.take().unwrap_or_default());
        serde_path_to_error::deserialize(arguments)
            .map(Parameters)
            .map_err(|error| {
                let what = error.inner();
                let which = match error.path().to_string().as_str() {
                    "." => String::new(),
                    path => format!(" `{path}`:"),
                };
                // This beginning is what makes the library answer with a tool error.
                let why = format!(
                    "failed to deserialize parameters:{which} {what}. Correct it and call again."
                );
                ErrorData::invalid_params(why, None)
            })
    }
}

/// No arguments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoArguments {}

/// Reads a number that the agent gave.
fn number(text: &str) -> Result<E164, ToolError> {
    E164::parse(text).map_err(ToolError::new)
}

/// Checks the length of a text that the agent gave, in characters.
fn within(name: &str, text: &str, most: usize) -> Result<(), ToolError> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        return Err(ToolError::new(format_args!(
            "{name} is empty: say what it should be."
        )));
    }
    if length > most {
        return Err(ToolError::new(format_args!(
            "{name} has {length} characters; at most {most} are possible. Shorten it."
        )));
    }
    Ok(())
}

/// Checks an idempotency key that the agent gave.
fn key(key: Option<&str>) -> Result<(), ToolError> {
    key.map_or(Ok(()), |key| within("idempotency_key", key, 200))
}
