//! The model's JSON, in both directions.
//!
//! Names and shapes are those of the Realtime API reference (client events, server events) as of
//! November 2026; the beta names of 2024 are not known here, the service refuses them too.

mod read;
mod text;
mod usage;
mod write;

pub use read::{Malformed, Parsed, parse};
pub use usage::{Transcribed, Usage, is_billed, transcribed, usage};
pub use write::write;
