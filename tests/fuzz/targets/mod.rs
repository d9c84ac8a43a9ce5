//! One body per fuzz target: `check` takes any bytes and panics if a promise is broken.

pub mod bridge;
pub mod carrier;
pub mod config;
pub mod conversation;
pub mod model;
pub mod number;
pub mod webhook;
