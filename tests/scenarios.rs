//! Every situation that `demo` can play goes as expected, and `docs/conversation.md` tells of
//! exactly these.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use openagent_messaging::config::{Values, command};
use openagent_messaging::demo;
use openagent_messaging::demo::scenario::{self, Scenario};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Scenarios mostly wait; but each has fifty frames a second to move, or several times as many.
const AT_ONCE: usize = 8;

/// These take longest, so they begin first.
const LONG: &[&str] = &["time-limit", "instant-pickup", "goodbye-kept"];

/// What a scenario printed, and whether it went as expected.
async fn played(scenario: &'static Scenario) -> (bool, String) {
    let flags = command().get_matches_from(["openagent-messaging"]);
    let values = Values::new(|_| None, &flags);
    let mut out = Vec::new();
    let stop = CancellationToken::new();
    let played = demo::play(scenario, &values, scenario.haste, &mut out, stop).await;
    let result = played.and_then(|played| played.result);
    let mut printed = String::from_utf8_lossy(&out).into_owned();
    if let Err(error) = &result {
        printed.push_str(error);
    }
    (result == Ok(true), printed)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_goes_as_expected() {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = JoinSet::new();
    let mut scenarios: Vec<&Scenario> = scenario::all().collect();
    scenarios.sort_by_key(|scenario| !LONG.contains(&scenario.name));
    for scenario in scenarios {
        let room = Arc::clone(&room);
        playing.spawn(async move {
            let _seat = room.acquire_owned().await.unwrap();
            (scenario.name, played(scenario).await)
        });
    }
    let mut failed = Vec::new();
    while let Some(done) = playing.join_next().await {
        let (name, (well, printed)) = done.unwrap();
        let last = printed.lines().last().unwrap_or_default();
        println!("{name}: {last}");
        if let Some(timing) = printed.lines().find(|line| line.contains("was due")) {
            println!("    {timing}");
        }
        if !well {
            failed.push(format!("--- {name}\n{printed}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The cells of the table: situation, what happens, test, scenario.
fn rows() -> Vec<[String; 4]> {
    let text = read("docs/conversation.md");
    let rows = text.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells = row.trim_matches('|').split('|');
        let cells: Vec<String> = cells.map(|cell| cell.trim().to_owned()).collect();
        cells.try_into().unwrap_or_else(|_| panic!("{row}"))
    })
    .collect()
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn code(cell: &str) -> &str {
    let inner = cell
        .strip_prefix('`')
        .and_then(|cell| cell.strip_suffix('`'));
    inner.unwrap_or_else(|| panic!("not code: {cell}"))
}

#[test]
fn the_page_names_every_scenario_and_no_other() {
    let rows = rows();
    let named: BTreeSet<&str> = rows.iter().map(|row| code(&row[3])).collect();
    let there: BTreeSet<&str> = scenario::all().map(|scenario| scenario.name).collect();
    assert_eq!(named, there);
}

#[test]
fn every_test_on_the_page_exists() {
    for row in rows() {
        let (file, name) = code(&row[2]).split_once("::").unwrap();
        let source = read(&format!("src/call/bridge/tests/{file}.rs"));
        let test = format!("#[test]\nfn {name}() {{");
        assert!(source.contains(&test), "{file}::{name}");
    }
}

#[test]
fn every_setting_on_the_page_exists() {
    let page = read("docs/conversation.md");
    let settings = page
        .split('`')
        .filter(|word| word.starts_with("OPENAGENT_"));
    for name in settings {
        assert!(
            openagent_messaging::config::Setting::find(name).is_some(),
            "{name}"
        );
    }
}
