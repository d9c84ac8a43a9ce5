//! What holds even if the agent has been talked into misusing us.
//!
//! - [`destination`]: which numbers may be reached at all; `plans` are its tables.
//! - [`budget`]: how often and how long.

pub mod budget;
pub mod destination;
mod plans;
