//! How long small things take, and what they allocate.
//!
//! ```sh
//! cargo bench --bench micro
//! ```
#![allow(missing_docs, unreachable_pub)]

mod support;

use divan::{AllocProfiler, Bencher};
use support::{Conversation, Told, Watched, Webhook};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench]
fn frame_in_to_append_out(bencher: Bencher<'_, '_>) {
    let mut conversation = Conversation::new();
    bencher.bench_local(|| conversation.frame_in());
    assert!(conversation.has_passed_all());
}

#[divan::bench]
fn delta_in_to_media_out(bencher: Bencher<'_, '_>) {
    let mut conversation = Conversation::new();
    bencher.bench_local(|| conversation.delta_in());
    assert!(conversation.has_passed_all());
}

#[divan::bench]
fn signature_check(bencher: Bencher<'_, '_>) {
    let webhook = Webhook::new();
    bencher.bench_local(|| assert!(webhook.is_valid()));
}

#[divan::bench]
fn snapshot_of_500_lines(bencher: Bencher<'_, '_>) {
    let told = Told::new(500);
    bencher.bench_local(|| told.whole());
}

/// What a poll with `since` gets, by the length of the call before it.
#[divan::bench(args = [10, 100, 500, 1_000, 2_000])]
fn snapshot_of_the_newest_line(bencher: Bencher<'_, '_>, lines: u32) {
    let told = Told::new(lines);
    bencher.bench_local(|| told.newest());
}

#[divan::bench]
fn publish_to_100_waiters(bencher: Bencher<'_, '_>) {
    let mut watched = Watched::new(100);
    bencher.bench_local(|| watched.publish());
}
