//! The bodies of the targets, which the product's own tests run, too.

// Some of them include tests of the product, where these names stand at the root.
use openagent_messaging::{call, phone};

#[path = "../../tests/fuzz/targets/mod.rs"]
pub mod targets;
