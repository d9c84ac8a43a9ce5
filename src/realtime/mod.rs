//! The voice model: `OpenAI` Realtime, in the interface of November 2026.
//!
//! - [`event`]: its JSON, read into and written from the words of
//!   [`call::bridge::event`](crate::call::bridge::event).
//! - [`setup`]: what is set once per call: model, voice, instructions, turn detection.
//! - [`prompt`]: the instructions for one call, made from the agent's brief.
//! - [`debrief`]: what the model is asked after a call that it did not end itself.
//! - [`socket`]: the connection; [`reopen`]: another one, configured, when it is lost. The two modules
//!   here that do I/O.

pub mod debrief;
pub mod event;
pub mod prompt;
pub mod reopen;
pub mod setup;
pub mod socket;
