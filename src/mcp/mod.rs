//! The MCP face: which tools there are, and how a host reaches them.
//!
//! - [`status`]: the tool that is always there.
//! - [`sms`], [`calls`], [`history`]: the tools of a Twilio account, one file a family.
//! - [`telegram`], [`discord`], [`whatsapp`]: those of the other channels; `channel` is what they share.
//! - [`steer`]: taking part in a live call; [`confirm`]: asking the user before one is placed.
//! - [`resources`]: calls as resources, with notifications.
//! - [`schema`]: schemas as hosts want them.
//! - [`stdio`]: serving on stdin and stdout, and stopping in time.

pub mod calls;
mod channel;
mod confirm;
pub mod discord;
pub mod history;
mod resources;
mod schema;
pub mod sms;
pub mod status;
pub mod stdio;
pub mod steer;
pub mod telegram;
pub mod whatsapp;

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use self::resources::Subscriptions;
use crate::app::App;
use crate::call::switchboard::HistoryError;
use crate::error::ToolError;
use crate::phone::E164;
use futures_util::FutureExt as _;
use rmcp::handler::server::common::FromContextPart;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::tool::ToolCallContext;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    ListResourceTemplatesResult, ListResourcesResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig,
    SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler, tool_handler};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Tool calls at once, most of which wait for something.
const AT_ONCE: usize = 1_000;

/// Hang-ups at once: those do not queue behind whatever else is under way.
const HANG_UPS_AT_ONCE: usize = 1_000;

/// How the tools belong together; every model that uses them reads this first.
const INSTRUCTIONS: &str = "\
Messaging and phone calls on the user's behalf. `status` tells which channels are set up, and how to enable the others.

A phone call is held by another AI on the line; you brief it and follow it:
1. phone_call_place with a complete mission: who is called, what to achieve, every fact the agent may need (names, dates, alternatives), and what counts as success. It returns at once with a call_id and a revision.
2. Follow it with phone_call_status: wait: true, since: <the last revision>, transcript: \"new\". Repeat until the status is final. If there is a pending_question, the agent on the line waits for you: answer it at once with phone_call_answer. phone_call_instruct tells the agent something new. wake_on: \"final\" waits for the end alone.
3. When it is final, tell the user its outcome and summary. `notes` hold the facts that were learned. phone_call_list finds earlier calls again.

Telegram, Discord and WhatsApp send texts and files. When a tool says that a message may have been delivered, do not send it again before the user has looked; when parts of a long text were sent, send only the rest.

Rules that are enforced and cannot be argued with: the agent says at once that it is an AI and for whom it calls; only numbers that the user's configuration allows are called or written to; calls have a maximum duration, and each day has its limits. When a tool refuses, tell the user the reason; do not try to get around it. Never place a call or send a message that the user has not asked for, and give a new idempotency_key to each new request so that a retry cannot act twice.";

/// The MCP server.
#[derive(Debug, Clone)]
pub struct Server {
    app: Arc<App>,
    tools: ToolRouter<Self>,
    subscriptions: Subscriptions,
    places: Arc<Semaphore>,
    places_to_hang_up: Arc<Semaphore>,
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
            tools += Self::history_tools();
        }
        if app.channels.telegram.is_some() {
            tools += Self::telegram_tools();
        }
        if app.channels.discord.is_some() {
            tools += Self::discord_tools();
        }
        if app.channels.whatsapp.is_some() {
            tools += Self::whatsapp_tools();
        }
        for route in tools.map.values_mut() {
            schema::plain(&mut route.attr);
        }
        Self {
            app,
            tools,
            subscriptions: Subscriptions::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            places_to_hang_up: Arc::new(Semaphore::new(HANG_UPS_AT_ONCE)),
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
        let can = ServerCapabilities::builder().enable_tools();
        let can = match self.app.board {
            Some(_) => can.enable_resources().enable_resources_subscribe().build(),
            None => can.build(),
        };
        ServerConfig::new(can)
            .with_server_info(about)
            .with_instructions(INSTRUCTIONS)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let places = match &*request.name {
            "phone_call_hangup" => &self.places_to_hang_up,
            _ => &self.places,
        };
        let Ok(_place) = places.try_acquire() else {
            let why = "Too many tool calls are under way at once, and this one was not begun. Wait until some of them have been answered.";
            return Ok(CallToolResult::error(vec![ContentBlock::text(why)]).into());
        };
        let call = self
            .tools
            .call(ToolCallContext::new(self, request, context));
        // Without this, a tool that panics would leave the host waiting for ever.
        AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|_| {
            let why = "An internal error occurred in the messaging server; its log has the details. Check what was done before you repeat this.";
            Ok(CallToolResult::error(vec![ContentBlock::text(why)]).into())
        })
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.resources().await
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(self.resource_templates())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.resource(&request.uri).await.map(Into::into)
    }

    // Protocol revisions before 2026-07-28 subscribe to one resource at a time,
    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscribe_to(request.uri, context.peer).await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.unsubscribe_from(&request.uri);
        Ok(())
    }

    // later ones listen to several for as long as a request lasts.
    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        let uris = requested.resource_subscriptions.clone();
        let accepted = SubscriptionFilter::builder()
            .resource_subscriptions(uris.unwrap_or_default())
            .build();
        Some(accepted)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.listen_to(&context).await;
        Ok(())
    }
}

/// Reads the id of a call that the agent gave.
fn call_id(text: &str) -> Result<Uuid, ToolError> {
    Uuid::try_parse(text).map_err(|_| ToolError::new(HistoryError::Unknown(text.to_owned())))
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
