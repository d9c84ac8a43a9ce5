//! A phone call.

pub mod audio;
pub mod bridge;
pub mod disclosure;
pub mod drive;
pub mod language;
pub mod record;
pub mod registry;
pub mod session;
pub mod snapshot;
pub mod switchboard;
pub mod token;
pub mod tool;
mod transcript;
pub(crate) mod untrusted;
