//! What holds even if the agent has been talked into misusing us.
//!
//! - [`destination`]: which numbers may be reached at all; `plans` are its tables.
//! - [`budget`]: how often and how long.

pub mod budget;
pub mod destination;
mod plans;

use self::budget::Limits;
use self::destination::Destinations;

/// What may be called and written to, and how much.
#[derive(Debug)]
pub struct Rules {
    /// Whom.
    pub destinations: Destinations,
    /// How much.
    pub limits: Limits,
}
