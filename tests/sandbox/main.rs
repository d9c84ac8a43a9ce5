//! The sandbox against the wire formats: a small server and a small client, written here by hand,
//! stand in for the product.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod both;
mod carrier;
mod keys_and_machines;
mod losses;
mod model;
mod product;

use std::future::Future;
use std::time::Duration;

use openagent_messaging::sandbox::{Callee, ModelOptions, Options, Step};

const TO: &str = "+390612345678";

/// Nothing here takes this long; what does has failed.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .unwrap_or_else(|_| panic!("{what}: too long"))
}

fn fast(script: Vec<Step>) -> Options {
    Options {
        default_callee: Callee::person(script),
        frame_interval: Duration::from_millis(2),
        model: ModelOptions {
            first_byte: Duration::ZERO,
            delta: Duration::from_millis(1),
            transcription: Duration::from_millis(5),
            ..ModelOptions::default()
        },
        ..Options::default()
    }
}
