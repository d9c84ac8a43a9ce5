//! Messaging for AI agents, served over MCP: messages by SMS, Telegram, Discord and WhatsApp, and phone
//! calls in which an AI holds the conversation.
//!
//! # How a call flows
//!
//! 1. [`mcp::calls`] takes the order and hands it to the [`call::switchboard`], which asks
//!    [`safety`] whether the number may be called and how long, connects the voice model, and has
//!    [`twilio::rest`] dial.
//! 2. While the phone rings, the first sentence (that an AI is calling, and for whom) is generated,
//!    checked and held.
//! 3. Twilio asks [`server`] what to do and connects a media stream, which shows a one-time token.
//!    From then on [`call::drive`] owns both sockets and passes every frame through
//!    [`call::bridge`], a pure state machine that decides who speaks.
//! 4. What becomes visible goes to [`call::record`], each change with a new revision, and whoever
//!    waits in [`mcp::calls`] is woken.
//! 5. Whatever ends the call first decides its final status; the switchboard hangs the line up.
//!
//! # Modules
//!
//! | module | holds |
//! |---|---|
//! | [`app`] | puts the parts together |
//! | [`mcp`] | the tools, and stdio |
//! | [`call`] | a call from the order to the last word |
//! | [`sms`] | text messages by phone |
//! | [`channel`] | messages by Telegram, Discord and WhatsApp |
//! | [`safety`] | what may be called and how much |
//! | [`cost`] | what it costs |
//! | [`store`] | what outlives the process |
//! | [`twilio`], [`realtime`] | the wire formats of the carrier and of the model |
//! | [`metrics`] | what operators see |
//! | [`server`] | webhooks and media streams |
//! | [`sandbox`] | stand-ins for all services, for trying and testing |
//! | [`demo`], [`doctor`] | two commands for people |
//! | [`config`], [`secret`], [`phone`], [`error`], [`idempotency`], [`http`], [`json`], [`log`], [`socket`], [`shutdown`] | what the others share |

pub mod app;
pub mod call;
pub mod channel;
pub mod config;
pub mod cost;
pub mod demo;
pub mod doctor;
pub mod error;
mod http;
pub mod idempotency;
mod json;
pub mod log;
pub mod mcp;
pub mod metrics;
pub mod phone;
pub mod realtime;
pub mod safety;
pub mod sandbox;
pub mod secret;
pub mod server;
pub mod shutdown;
pub mod sms;
pub mod socket;
pub mod store;
pub mod twilio;
