//! The metrics as a scraper sees them: valid, equal to what the calls say, and nowhere else.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openagent_messaging::app::App;
use openagent_messaging::call::session::Session;
use openagent_messaging::call::snapshot::{Snapshot, Status};
use openagent_messaging::sandbox::{Answer, Callee, ModelOptions, Options, Step};
use support::{CALLEE, Stage, ended, order, snapshot, soon, values};
use tokio_util::sync::CancellationToken;

const PREFIX: &str = "openagent_messaging_";
const ON: (&str, &str) = ("OPENAGENT_PHONE_METRICS", "127.0.0.1:0");

async fn get(port: u16, path: &str) -> (u16, String, String) {
    let request = support::http().get(format!("http://127.0.0.1:{port}{path}"));
    let response = soon("an answer", request.send()).await.unwrap();
    let kind = response
        .headers()
        .get("content-type")
        .map_or(String::new(), |kind| kind.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    (status, kind, response.text().await.unwrap())
}

/// Samples by name and labels, as `calls_total{status="busy"}`, without the prefix. Fails over
/// whatever is not as `OpenMetrics` 1.0 has it.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.last(), Some(&"# EOF"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let (mut kinds, mut samples) = (BTreeMap::new(), BTreeMap::new());
    for line in &lines[..lines.len() - 1] {
        if let Some(described) = line.strip_prefix("# ") {
            let mut words = described.splitn(3, ' ');
            let (what, name) = (words.next().unwrap(), words.next().unwrap());
            let rest = words.next().unwrap();
            match what {
                "TYPE" => assert_eq!(kinds.insert(name, rest), None, "twice: {line}"),
                "HELP" => assert!(!rest.is_empty(), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let bare = name.split('{').next().unwrap();
        let (family, kind) = kinds
            .iter()
            .filter(|(family, _)| bare.starts_with(**family))
            .max_by_key(|(family, _)| family.len())
            .unwrap_or_else(|| panic!("without a type: {line}"));
        let ending = &bare[family.len()..];
        let allowed: &[&str] = match *kind {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("{other}: {line}"),
        };
        assert!(allowed.contains(&ending), "{kind}: {line}");
        if let Some((_, labels)) = name.split_once('{') {
            let labels = labels.strip_suffix('}').unwrap();
            for label in labels.split(',') {
                let (key, value) = label.split_once('=').unwrap();
                assert!(key.bytes().all(|b| b.is_ascii_lowercase()), "{line}");
                assert!(value.starts_with('"') && value.ends_with('"'), "{line}");
            }
        }
        let name = name.strip_prefix(PREFIX).expect(line).to_owned();
        let value: f64 = value.parse().unwrap();
        assert!(value >= 0.0, "{line}");
        assert_eq!(samples.insert(name, value), None, "twice: {line}");
    }
    for histogram in ["first_word_seconds", "turn_seconds"] {
        let bucket = format!("{histogram}_bucket{{le=\"+Inf\"}}");
        let count = samples[&format!("{histogram}_count")];
        assert!(near(samples[&bucket], count), "{histogram}");
    }
    samples
}

async fn scrape(app: &App) -> BTreeMap<String, f64> {
    let (status, kind, text) = get(app.metrics_port.unwrap(), "/metrics").await;
    assert_eq!(status, 200, "{text}");
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(
        !text.contains(&CALLEE[1..]) && !text.contains("415555"),
        "{text}"
    );
    parse(&text)
}

async fn place(app: &App, to: &str) -> Arc<Session> {
    let placing = app.board.as_ref().unwrap().place(order(to));
    soon("the call", placing).await.unwrap().here().unwrap()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6
}

#[tokio::test]
async fn a_scrape_agrees_with_what_the_calls_say() {
    let talker = Callee::person(vec![
        Step::say("Hello?"),
        Step::WaitForAgentToFinish,
        Step::say("We are open until eight."),
        Step::WaitForAgentToFinish,
        Step::HangUp,
    ]);
    let busy = "+14155550150";
    let options = Options {
        default_callee: talker,
        callees: [(busy.to_owned(), Callee::unreachable(Answer::Busy))].into(),
        frame_interval: Duration::from_millis(5),
        model: ModelOptions {
            first_byte: Duration::from_millis(20),
            delta: Duration::from_millis(2),
            transcription: Duration::from_millis(100),
            ..ModelOptions::default()
        },
        ..Options::default()
    };
    let settings = [
        ON,
        ("OPENAGENT_PHONE_MAX_DAILY_CALLS_PER_NUMBER", "1"),
        ("OPENAGENT_PHONE_MAX_DAILY_USD", "50"),
    ];
    let stop = CancellationToken::new();
    let started = App::start_sandboxed(&values(&settings), options, stop).await;
    let (app, _sandbox) = started.unwrap();
    assert!(scrape(&app).await["live_calls"] < 0.5);

    let mut sessions = Vec::new();
    for to in [CALLEE, "+14155550151", busy] {
        sessions.push(place(&app, to).await);
    }
    assert!(scrape(&app).await["live_calls"] > 0.5);
    let again = app.board.as_ref().unwrap().place(order(CALLEE)).await;
    assert!(again.is_err());
    for session in &sessions {
        ended(session).await;
    }
    let seen = scrape(&app).await;
    let snapshots: Vec<Snapshot> = sessions.iter().map(|session| snapshot(session)).collect();
    for status in [Status::Completed, Status::Busy, Status::Failed] {
        let count = snapshots
            .iter()
            .filter(|call| call.status == status)
            .count();
        let word = serde_json::to_value(status).unwrap();
        let name = format!("calls_total{{status={word}}}");
        let shown = seen.get(&name).copied().unwrap_or_default();
        assert!(
            near(shown, f64::from(u32::try_from(count).unwrap())),
            "{name}: {seen:?}"
        );
    }
    let latencies: Vec<_> = snapshots
        .iter()
        .filter_map(|call| call.latency.as_ref())
        .collect();
    assert_eq!(latencies.len(), 2);
    assert!(near(seen["first_word_seconds_count"], 2.0));
    let turns: usize = latencies.iter().map(|latency| latency.turns).sum();
    assert!(turns > 0);
    assert!(near(
        seen["turn_seconds_count"],
        f64::from(u32::try_from(turns).unwrap())
    ));
    let refused = "refused_requests_total{what=\"call\",reason=\"calls_to_number\"}";
    assert!(near(seen[refused], 1.0), "{seen:?}");
    assert!(near(seen["live_calls"], 0.0));
    assert!(near(seen["budget_usd_cap"], 50.0));
    assert!(seen["budget_usd_used"] > 0.0);
    app.shut_down(support::PATIENCE).await;
}

#[tokio::test]
async fn strangers_and_failures_are_counted() {
    let mut stage = Stage::with(&[ON]).await;
    // The listener that the tunnel leads to knows no metrics, and counts that it was asked.
    assert_eq!(get(stage.port, "/tel/metrics").await.0, 404);
    assert_eq!(get(stage.port, "/metrics").await.0, 404);
    let unsigned = support::post_form(stage.port, "/tel/status/x", &[("CallSid", "CA1")], None);
    assert_eq!(unsigned.await.0, 403);
    let call = stage.place().await;
    let stranger = stage.socket().await;
    stranger.start(&call.id, "no-token", &call.sid);
    let first = stage.connect(&call).await;
    support::until(&call.session, "the answer", |now| now.answered_at.is_some()).await;
    first.stop();
    let _second = stage.connect(&call).await;
    stage.rest.fail();
    assert!(stage.board().place(order("+447700900123")).await.is_err());
    soon("all of it", async {
        loop {
            let seen = scrape(&stage.app).await;
            let is = |name: &str, value| near(seen.get(name).copied().unwrap_or_default(), value);
            if is("webhook_errors_total{status=\"404\"}", 2.0)
                && is("webhook_errors_total{status=\"403\"}", 1.0)
                && is("webhook_errors_total{status=\"stream_refused\"}", 1.0)
                && is("reattachments_total{of=\"carrier\"}", 1.0)
                && is(
                    "refused_requests_total{what=\"call\",reason=\"destination\"}",
                    1.0,
                )
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    stage.app.shut_down(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn the_listener_shows_metrics_and_nothing_else() {
    let stage = Stage::with(&[ON]).await;
    let port = stage.app.metrics_port.unwrap();
    assert_ne!(port, stage.port);
    for path in [
        "/",
        "/healthz",
        "/metrics/",
        "/media",
        "/status/x",
        "/twiml/x",
    ] {
        assert_eq!(get(port, path).await.0, 404, "{path}");
    }
    let posted = support::post_form(port, "/metrics", &[], None).await;
    assert_eq!(posted.0, 405);
    let off = Stage::start().await;
    assert_eq!(off.app.metrics_port, None);
}

#[tokio::test]
async fn an_address_that_is_taken_is_said_and_does_no_harm() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut stage = Stage::with(&[("OPENAGENT_PHONE_METRICS", &address)]).await;
    let warned = stage.app.warnings.join(" ");
    assert!(
        warned.contains("OPENAGENT_PHONE_METRICS") && warned.contains(&address),
        "{warned}"
    );
    stage.place().await;
}
