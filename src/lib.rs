//! Messaging for AI agents, served over MCP: text messages, and phone calls in which an AI holds
//! the conversation.

pub mod app;
pub mod call;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod error;
pub mod idempotency;
pub mod mcp;
pub mod phone;
pub mod realtime;
pub mod safety;
pub mod sandbox;
pub mod secret;
pub mod server;
pub mod shutdown;
pub mod sms;
pub mod socket;
pub mod twilio;
