//! A phone call, from the order to the last word.
//!
//! - [`switchboard`]: places calls, passes on what the carrier reports, ends them.
//! - [`session`]: what webhooks and tools hold of a call, and [`orders`] they give its driver;
//!   [`registry`] keeps them all, [`token`] lets their media streams in.
//! - [`record`]: how a call stands, as [`snapshot`] shows it; the transcript is kept in order here.
//! - [`host`]: what the agent that placed the call may do to it while it goes on.
//! - [`bridge`]: the conversation between carrier and model, a pure state machine; [`drive`]
//!   connects it to sockets and timers, [`audio`] is what flows through it, [`trace`] tells of it.
//! - [`moments`]: what one call has made and others can use.
//! - [`disclosure`], [`language`], [`tool`]: what is said first, in which language, and what the
//!   model on the line can call.

pub mod audio;
pub mod bridge;
pub mod disclosure;
pub mod drive;
pub mod host;
pub mod journal;
pub mod language;
mod moments;
mod orders;
pub mod record;
pub mod registry;
pub mod session;
pub mod snapshot;
pub mod switchboard;
pub mod token;
pub mod tool;
mod trace;
mod transcript;
pub(crate) mod untrusted;
