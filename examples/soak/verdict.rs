//! What is left when the hosts have gone: everything must be over, known, written down and paid.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use openagent_messaging::sandbox::Sandbox;
use openagent_messaging::store::calls::LineState;
use openagent_messaging::store::{Place, Store};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::hosts::{Seen, is_final};
use crate::memory::average;
use crate::product::{Product, Settings};
use crate::{Failure, Task};

/// Seconds for which a call may hold its share that was perhaps never placed: its own maximum of
/// 40 s, and the 180 s after which Twilio has certainly ended it, with some to spare.
pub const LONGEST_HELD: u64 = 240;

/// Memory may grow by this much from the third minute to the last; in a short run, which still
/// warms up in its second quarter, from that to the last.
const GROWTH: f64 = 1.1;
const GROWTH_IN_SHORT: f64 = 1.2;

/// Warnings that have an injected cause: how they begin, and the mishaps that lead to them.
const EXPLAINED: [(&str, &[&str]); 7] = [
    (
        "could not hang up; Twilio's own time limit still holds",
        &[
            "rest_error",
            "rest_error_after",
            "rest_answer_lost",
            "rest_throttled",
        ],
    ),
    (
        "could not apologise to the callee",
        &[
            "rest_error",
            "rest_error_after",
            "rest_answer_lost",
            "rest_throttled",
        ],
    ),
    (
        "could not hang up a call that must not go on",
        &[
            "rest_error",
            "rest_error_after",
            "rest_answer_lost",
            "rest_throttled",
        ],
    ),
    (
        "call placed, says Twilio's webhook",
        &["rest_answer_lost", "rest_error_after"],
    ),
    ("the voice model is lost", &["model_lost"]),
    ("no other session of the model", &["model_lost"]),
    (
        "could not ask about a call",
        &[
            "rest_error",
            "rest_error_after",
            "rest_answer_lost",
            "rest_throttled",
        ],
    ),
];

/// The result of a soak.
#[derive(Debug, Default)]
pub struct Verdict {
    report: Vec<String>,
    wrong: Vec<String>,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty()
    }

    fn say(&mut self, line: impl Into<String>) {
        self.report.push(line.into());
    }

    fn demand(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(otherwise());
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.report {
            writeln!(f, "{line}")?;
        }
        // Of each kind, the first few.
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for wrong in &self.wrong {
            let kind = kinds
                .entry(&wrong[..wrong.find([':', '(', '-', '{']).unwrap_or(0)])
                .or_default();
            *kind += 1;
            if *kind <= 6 {
                writeln!(f, "WRONG   {wrong}")?;
            }
        }
        match self.wrong.len() {
            0 => writeln!(f, "all well"),
            wrong => writeln!(f, "{wrong} things are wrong"),
        }
    }
}

/// Waits until everything is over, and looks at it.
pub async fn reach(
    task: &Task,
    settings: &Settings,
    sandbox: &Sandbox,
    product: Arc<Product>,
    seen: &mut Seen,
    memory: Vec<u64>,
) -> Result<Verdict, Failure> {
    let mut verdict = Verdict::default();
    verdict.say(format!(
        "soak    {} s, {} calls at once, seed {}",
        task.seconds, task.calls, task.seed
    ));
    let settled = settled(&product).await;
    verdict.say(format!(
        "settled {} s after the last host had gone",
        settled.as_secs()
    ));
    let active = active(&product).await;
    verdict.demand(active == Some(0), || {
        format!("active calls at the end: {active:?}")
    });

    let (snapshots, unknown) = snapshots(&product, &seen.calls).await;
    let scraped = product.scrape().await?;
    calls(&mut verdict, &snapshots, &unknown, &scraped);
    latencies(&mut verdict, &product, &snapshots);
    hosts(&mut verdict, task, seen);
    carrier(&mut verdict, sandbox, &snapshots, seen).await;
    let ended = product.end().await;
    verdict.demand(ended.is_ok(), || format!("the program: {ended:?}"));
    log(&mut verdict, sandbox, &product);
    flatness(&mut verdict, task, &memory);
    store(&mut verdict, settings, &snapshots).await?;
    Ok(verdict)
}

/// Waits until no call holds anything any more, and says how long that took.
async fn settled(product: &Product) -> Duration {
    let began = Instant::now();
    while active(product).await != Some(0) && began.elapsed().as_secs() < LONGEST_HELD {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    began.elapsed()
}

async fn active(product: &Product) -> Option<u64> {
    let status = product.tool("status", json!({})).await.ok()?;
    status["phone"]["active_calls"].as_u64()
}

async fn snapshots(product: &Product, calls: &HashSet<String>) -> (Vec<Value>, Vec<String>) {
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for call in calls {
        match product
            .tool("phone_call_status", json!({"call_id": call}))
            .await
        {
            Ok(snapshot) => found.push(snapshot),
            Err(why) => unknown.push(format!("{call}: {why}")),
        }
    }
    (found, unknown)
}

/// The counters of the metrics agree with the calls as they are shown.
fn metrics(
    verdict: &mut Verdict,
    scraped: &BTreeMap<String, f64>,
    by_status: &BTreeMap<&str, u64>,
) {
    let counted = scraped.iter().filter_map(|(name, count)| {
        let status = name.strip_prefix("openagent_messaging_calls_total{status=\"")?;
        Some((status.strip_suffix("\"}")?, count.round()))
    });
    let counted: BTreeMap<&str, u64> = counted
        .filter(|(_, count)| *count > 0.0)
        .filter_map(|(status, count)| Some((status, format!("{count}").parse().ok()?)))
        .collect();
    verdict.demand(counted == *by_status, || {
        format!("the metrics count other calls: {counted:?}")
    });
}

fn calls(
    verdict: &mut Verdict,
    snapshots: &[Value],
    unknown: &[String],
    scraped: &BTreeMap<String, f64>,
) {
    let mut by_status: BTreeMap<&str, u64> = BTreeMap::new();
    for call in snapshots {
        *by_status
            .entry(call["status"].as_str().unwrap_or_default())
            .or_default() += 1;
        let complete = is_final(call)
            && ["outcome", "summary", "ended_at"]
                .iter()
                .all(|field| call[field].is_string());
        verdict.demand(complete, || format!("not at its end: {call}"));
    }
    verdict.say(format!("calls   {}: {by_status:?}", snapshots.len()));
    metrics(verdict, scraped, &by_status);
    for call in unknown {
        verdict
            .wrong
            .push(format!("a call is not known any more: {call}"));
    }
}

fn latencies(verdict: &mut Verdict, product: &Product, snapshots: &[Value]) {
    let (answered, placed) = product.latencies();
    let turns = snapshots
        .iter()
        .filter_map(|call| call["latency"]["turn_p50_ms"].as_u64());
    let turns = turns.map(Duration::from_millis).collect();
    for (what, times) in [
        ("status answered", answered),
        ("call placed", placed),
        ("turn answered (median of each call)", turns),
    ] {
        verdict.say(format!("time    {what}: {}", percentiles(times)));
    }
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).map_or(0, Duration::as_millis)
    };
    format!("p50 {} ms, p99 {} ms, of {}", at(50), at(99), times.len())
}

fn hosts(verdict: &mut Verdict, task: &Task, seen: &mut Seen) {
    verdict.say(format!("at once {} calls at the most", seen.most_at_once));
    verdict.demand(seen.most_at_once <= task.calls as u64, || {
        format!(
            "{} calls at once, {} are allowed",
            seen.most_at_once, task.calls
        )
    });
    verdict.say(format!("not placed: {:?}", seen.refused));
    let (sent, unsent) = seen.messages;
    verdict.say(format!("texts   {sent} sent, {unsent} not"));
    verdict.wrong.append(&mut seen.wrong);
}

/// Every line is over, and each was dialled once, for a call that its host knows of.
async fn carrier(verdict: &mut Verdict, sandbox: &Sandbox, snapshots: &[Value], seen: &Seen) {
    let mut dialled = HashSet::new();
    let lines = sandbox.calls();
    for line in &lines {
        let over = sandbox.wait_call_over(&line.sid);
        let over = tokio::time::timeout(Duration::from_secs(10), over).await;
        verdict.demand(matches!(over, Ok(Some(_))), || {
            format!("a line is open: {line:?}")
        });
        let url = line.parameters.iter().find(|(name, _)| name == "Url");
        let call = url
            .and_then(|(_, url)| url.rsplit('/').next())
            .unwrap_or_default()
            .to_owned();
        verdict.demand(seen.calls.contains(&call), || {
            format!("nobody asked for this call: {call}")
        });
        verdict.demand(dialled.insert(call), || format!("dialled twice: {line:?}"));
    }
    verdict.say(format!(
        "lines   {} of {} calls, all over",
        lines.len(),
        snapshots.len()
    ));
    let texts = sandbox.messages().len() as u64;
    let (sent, unsent) = seen.messages;
    verdict.demand((sent..=sent + unsent).contains(&texts), || {
        format!("{texts} texts at the carrier, {sent} sent and {unsent} perhaps")
    });
    for complaint in sandbox.complaints() {
        verdict
            .wrong
            .push(format!("the sandbox complains: {complaint}"));
    }
}

/// A line of the log from its level on.
fn without_time(line: &str) -> &str {
    line.trim_start_matches(|c: char| !c.is_whitespace())
        .trim_start()
}

/// Every warning has an injected cause.
fn log(verdict: &mut Verdict, sandbox: &Sandbox, product: &Product) {
    let mishaps = sandbox.mishaps();
    verdict.say(format!("mishaps {mishaps:?}"));
    let happened = |name: &str| {
        mishaps
            .iter()
            .any(|(known, count)| *known == name && *count > 0)
    };
    let mut explained: BTreeMap<&str, u64> = BTreeMap::new();
    for line in product.complaints() {
        let cause = EXPLAINED.iter().find(|(message, _)| line.contains(message));
        match cause {
            Some((message, causes)) if causes.iter().any(|cause| happened(cause)) => {
                *explained.entry(message).or_default() += 1;
            }
            _ => verdict
                .wrong
                .push(format!("logged without a cause: {}", without_time(&line))),
        }
    }
    verdict.say(format!("logged  {explained:?}"));
}

fn flatness(verdict: &mut Verdict, task: &Task, memory: &[u64]) {
    let minutes: Vec<String> = memory
        .chunks(60)
        .map(|minute| format!("{:.1}", average(minute)))
        .collect();
    verdict.say(format!(
        "memory  {} MiB, minute by minute",
        minutes.join(" ")
    ));
    let long = task.seconds >= 300;
    let (early, late, allowed) = match memory.len() {
        all if long => (&memory[120..180], &memory[all.saturating_sub(60)..], GROWTH),
        all => (
            &memory[all / 4..all / 2],
            &memory[all * 3 / 4..],
            GROWTH_IN_SHORT,
        ),
    };
    let growth = average(late) / average(early);
    verdict.say(format!(
        "growth  {growth:.3} ({:.1} MiB to {:.1} MiB), at most {allowed}",
        average(early),
        average(late)
    ));
    verdict.demand(growth <= allowed, || format!("memory grows: {growth:.3}"));
}

/// What is on the disk says the same, and nothing is held.
async fn store(
    verdict: &mut Verdict,
    settings: &Settings,
    snapshots: &[Value],
) -> Result<(), Failure> {
    let store = Store::new(Place::File(settings.database.clone()));
    for call in snapshots {
        let id = Uuid::try_parse(call["call_id"].as_str().unwrap_or_default())?;
        let stored = store.call(id).await?;
        let Some(stored) = stored else {
            verdict.wrong.push(format!("not written down: {call}"));
            continue;
        };
        let same = stored.snapshot.status.is_final()
            && stored.snapshot.outcome.is_some()
            && stored.line == LineState::Over;
        verdict.demand(same, || format!("in the store: {stored:?}"));
        let lines = call["transcript"].as_array().map_or(0, Vec::len);
        let written = stored.snapshot.transcript.len();
        verdict.demand(written == lines, || {
            format!("{id}: {written} lines in the store, {lines} shown")
        });
    }
    let used = store.used(Utc::now()).await?;
    verdict.demand(used.in_flight == 0, || format!("still held: {used:?}"));
    let size = std::fs::metadata(&settings.database)?.len() / 1_024;
    verdict.say(format!(
        "store   {size} KiB, {} s used",
        used.time.as_secs()
    ));
    Ok(())
}
