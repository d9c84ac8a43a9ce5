//! Every situation that `demo` can play goes as expected, and `docs/conversation.md` tells of
//! exactly these.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openagent_messaging::config::{Values, command};
use openagent_messaging::demo;
use openagent_messaging::demo::scenario::{self, Scenario};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time;
use tokio_util::sync::CancellationToken;

/// Scenarios mostly wait: all together take a quarter of two cores for half a minute. But each has fifty
/// frames a second to move, or several times as many, and they say what they have to say in time.
const AT_ONCE: usize = 24;

/// These take longest, so they begin first; then what is played in real time.
const LONG: &[&str] = &[
    "time-limit",
    "keys-unknown",
    "menu",
    "hold",
    "ask-host-unanswered",
];

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
    let mut scenarios: Vec<&Scenario> = scenario::all().filter(|s| s.minutes == 1).collect();
    scenarios.sort_by_key(|scenario| (!LONG.contains(&scenario.name), scenario.haste));
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

/// A place to print to that tells when certain words were printed.
struct Watched {
    printed: Vec<u8>,
    words: &'static str,
    tell: Option<oneshot::Sender<()>>,
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.printed.extend_from_slice(bytes);
        let printed = String::from_utf8_lossy(&self.printed);
        if printed.contains(self.words)
            && let Some(tell) = self.tell.take()
        {
            let _ = tell.send(());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nobody waits for an hour here: once the agent is on hold, the clock is turned forward by the 55 minutes
/// after which its session is old, for all sides at once.
#[tokio::test]
async fn a_session_that_grows_old_is_replaced_while_nobody_speaks() {
    let scenario = scenario::find("session-grows-old").unwrap();
    let flags = command().get_matches_from(["openagent-messaging"]);
    let values = Values::new(|_| None, &flags);
    let (tell, held) = oneshot::channel();
    let mut out = Watched {
        printed: Vec::new(),
        words: "On hold",
        tell: Some(tell),
    };
    let later = async {
        held.await.unwrap();
        time::pause();
        time::advance(Duration::from_secs(55 * 60)).await;
        time::resume();
    };
    let stop = CancellationToken::new();
    let playing = demo::play(scenario, &values, 1, &mut out, stop);
    let (result, ()) = tokio::join!(playing, later);
    let printed = String::from_utf8_lossy(&out.printed);
    let result = result.and_then(|played| played.result);
    assert_eq!(result, Ok(true), "{printed}");
    println!("{printed}");
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
    let rows = rows();
    let in_rows = rows.iter().map(|row| code(&row[2]));
    // Below the table, too.
    let page = read("docs/conversation.md");
    let below = page.rsplit('|').next().unwrap_or_default();
    let in_words = below.split('`').filter(|word| word.contains("::"));
    for test in in_rows.chain(in_words) {
        let (file, name) = test.split_once("::").unwrap();
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
