//! A phone call.

pub mod audio;
pub mod bridge;
pub mod disclosure;
pub mod language;
pub mod record;
pub mod snapshot;
pub mod tool;
mod transcript;
pub(crate) mod untrusted;
