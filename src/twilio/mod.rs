//! Everything that Twilio's side of a phone call or text message looks like on the wire, and
//! nothing about what a call means.
//!
//! - [`rest`]: places calls, hangs them up, sends messages. The only module here that does I/O.
//! - [`signature`]: tells whether a request to us comes from Twilio.
//! - [`twiml`]: what we answer when Twilio asks what to do with a call.
//! - [`frame`]: the messages of a media stream, in both directions.

pub mod frame;
pub mod rest;
pub mod signature;
pub mod twiml;
