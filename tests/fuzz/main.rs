//! The bodies of the fuzz targets, run over every input that is kept: seeds, and what was found once.
//! `fuzz/` runs the same bodies over inputs that it makes up.
// The targets are public for `fuzz/`, where they are a library.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub
)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

// The conversation's world is part of the product's own tests, where these names stand at the root.
use openagent_messaging::{call, phone};

mod targets;

fn inputs() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fuzz", "inputs"]
        .iter()
        .collect()
}

/// Runs `check` over all inputs of the target, and names those that it does not survive.
fn replay(target: &str, check: fn(&[u8])) {
    let mut paths: Vec<PathBuf> = fs::read_dir(inputs().join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 3, "{target} has lost its inputs");
    paths.retain(|path| {
        let input = fs::read(path).unwrap();
        catch_unwind(AssertUnwindSafe(|| check(&input))).is_err()
    });
    assert!(paths.is_empty(), "see above: {paths:#?}");
}

#[test]
fn carrier_frames() {
    replay("carrier", targets::carrier::check);
}

#[test]
fn model_events() {
    replay("model", targets::model::check);
}

#[test]
fn webhooks() {
    replay("webhook", targets::webhook::check);
}

#[test]
fn phone_numbers() {
    replay("number", targets::number::check);
}

#[test]
fn configurations() {
    replay("config", targets::config::check);
}

#[test]
fn bridges() {
    replay("bridge", targets::bridge::check);
}

#[test]
fn conversations() {
    replay("conversation", targets::conversation::check);
}

#[test]
fn every_target_is_replayed() {
    let mut names: Vec<String> = fs::read_dir(inputs())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let here = [
        "bridge",
        "carrier",
        "config",
        "conversation",
        "model",
        "number",
        "webhook",
    ];
    assert_eq!(names, here);

    // What makes up inputs for them is no part of the package, so it may be missing here.
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.is_dir() {
        return;
    }
    let mut programs: Vec<String> = fs::read_dir(fuzz.join("fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    programs.sort();
    assert_eq!(programs, here.map(|name| format!("{name}.rs")));

    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let mut bins: Vec<(&str, &str)> = manifest["bin"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bin| (bin["name"].as_str().unwrap(), bin["path"].as_str().unwrap()))
        .collect();
    bins.sort_unstable();
    let paths = here.map(|name| format!("fuzz_targets/{name}.rs"));
    let expected: Vec<(&str, &str)> = here
        .into_iter()
        .zip(paths.iter().map(String::as_str))
        .collect();
    assert_eq!(bins, expected);
}
