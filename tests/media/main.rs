//! Media streams: which are let in, what they may send, and that every byte of audio arrives.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod a_crowd_of_strangers;
mod a_peer_does_not_read;
mod before_the_token;
mod every_byte;
mod on_the_line;
#[path = "../support/mod.rs"]
mod support;
mod the_agent_says_goodbye;
mod the_callee_interrupts;
mod the_callee_says_a_last_word;
mod the_model_is_lost;
mod the_stream_is_lost;
mod who_is_let_in;

use std::sync::Arc;
use std::time::{Duration, Instant};

use openagent_messaging::call::snapshot::{Outcome, Role, Status};
use serde_json::{Value, json};
use support::{
    CALLEE, Carrier, Model, Placed, Stage, assert_same_audio, ended, noise, order, snapshot, soon,
    standing, until,
};

/// The close code of a stream that is not let in.
const NOT_ADMITTED: Option<u16> = Some(1008);

/// Chunks of many sizes, the odd ones above all; together less than any buffer on the way.
fn chunks(seed: u32) -> Vec<Vec<u8>> {
    let small = 1..=40;
    let odd = [
        79, 159, 160, 161, 255, 256, 257, 319, 320, 799, 801, 1_599, 1_600, 1_601, 1_602, 1_999,
        3_199, 3_200, 3_201, 4_095, 4_097, 4_999, 5_000,
    ];
    small
        .chain(odd)
        .map(|size| noise(size, seed + u32::try_from(size).unwrap()))
        .collect()
}

/// A call whose greeting was heard, with its stream.
async fn talking(stage: &mut Stage) -> (Placed, Carrier) {
    let mut call = stage.place().await;
    let greeting = noise(2_000, 1);
    call.model.greet(std::slice::from_ref(&greeting)).await;
    let mut carrier = stage.connect(&call).await;
    assert_same_audio(&carrier.hear(greeting.len()).await, &greeting);
    call.model.update("turns").await;
    call.model.confirm();
    until(&call.session, "the disclosure", |now| {
        now.disclosed_at.is_some()
    })
    .await;
    (call, carrier)
}
