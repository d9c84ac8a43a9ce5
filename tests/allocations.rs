//! A frame of audio costs no allocation in our code: neither the callee's on its way to the model nor
//! the agent's on its way back. One test alone in its program: the allocator counts for all of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub,
    dead_code
)]

#[path = "../benches/support/mod.rs"]
mod support;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::Conversation;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn audio_passes_without_an_allocation() {
    let mut conversation = Conversation::new();
    let region = Region::new(ALLOCATOR);
    for _ in 0..1_000 {
        conversation.frame_in();
        conversation.delta_in();
    }
    let counted = region.change();
    assert_eq!(
        counted.allocations + counted.reallocations,
        0,
        "in 2,000 frames: {counted:?}"
    );
    assert!(conversation.has_passed_all());
}
