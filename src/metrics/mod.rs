//! Metrics for operators: what is counted, and under which names. [`serve`] shows them.
//!
//! Labels are words of this program alone: no number, no text, nothing that a stranger can choose.

mod serve;

pub use self::serve::{bind, serve};

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::call::snapshot::Status;
use crate::call::switchboard::PlaceError;
use crate::safety::budget::{Limits, OverBudget, Used};
use crate::sms::SendError;
use crate::store::limits::Refused;
use crate::twilio::rest::TwilioError;

/// What every name begins with.
const PREFIX: &str = "openagent_messaging";

/// Upper bounds, in seconds. A turn is good below 1 s; the first word also waits for a "hello".
const LATENCIES: [f64; 12] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 4.0, 8.0];

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    calls: Family<Labels<1>, Counter>,
    first_word: Histogram,
    turns: Histogram,
    barge_ins: Counter,
    truncations: Counter,
    reattachments: Family<Labels<1>, Counter>,
    refused: Family<Labels<2>, Counter>,
    webhook_errors: Family<Labels<1>, Counter>,
    twilio_errors: Family<Labels<1>, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            first_word: Histogram::new(LATENCIES),
            turns: Histogram::new(LATENCIES),
            barge_ins: Counter::default(),
            truncations: Counter::default(),
            reattachments: Family::default(),
            refused: Family::default(),
            webhook_errors: Family::default(),
            twilio_errors: Family::default(),
        }
    }
}

/// What comes and goes in a call whose conversation stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The carrier's stream.
    Carrier,
    /// The model's session.
    Model,
}

impl Metrics {
    /// A call that was dialled has ended.
    pub fn call_ended(&self, status: Status) {
        let status = match status {
            Status::Completed => "completed",
            Status::Busy => "busy",
            Status::Failed => "failed",
            Status::NoAnswer => "no_answer",
            Status::Canceled => "canceled",
            Status::Voicemail => "voicemail",
            Status::HungUpByAgent => "hung_up_by_agent",
            Status::TimedOut => "timed_out",
            Status::Initiated | Status::Ringing | Status::InProgress => return,
        };
        self.calls.get_or_create(&[("status", status)]).inc();
    }

    /// The agent's first sound came this long after the answer.
    pub fn first_word(&self, after: Duration) {
        self.first_word.observe(after.as_secs_f64());
    }

    /// The agent answered this long after the callee had stopped speaking.
    pub fn turn(&self, after: Duration) {
        self.turns.observe(after.as_secs_f64());
    }

    /// The callee interrupted the agent so often.
    pub fn barged_in(&self, times: u64) {
        self.barge_ins.inc_by(times);
    }

    /// The model was told that only a part of what it said was heard.
    pub fn truncated(&self) {
        self.truncations.inc();
    }

    /// A call goes on with another stream or session.
    pub fn reattached(&self, peer: Peer) {
        let of = match peer {
            Peer::Carrier => "carrier",
            Peer::Model => "model",
        };
        self.reattachments.get_or_create(&[("of", of)]).inc();
    }

    /// A call was not placed.
    pub fn call_refused(&self, why: &PlaceError) {
        let reason = match why {
            PlaceError::Refused(_) => "destination",
            PlaceError::Limit(refused) => limit(refused),
            PlaceError::Erased | PlaceError::SameKeyBusy => "idempotency_key",
            PlaceError::NotReady(_) => "not_ready",
            PlaceError::Unconfirmed(_) => "unconfirmed",
            PlaceError::Model(_) => "model",
            PlaceError::Twilio(_) => "twilio",
            PlaceError::Unknown { .. } => "unknown",
            PlaceError::Stopping => "stopping",
            PlaceError::Internal => "internal",
        };
        self.refused("call", reason);
    }

    /// A message was not sent.
    pub fn message_refused(&self, why: &SendError) {
        let reason = match why {
            SendError::Refused(_) => "destination",
            SendError::Limit(refused) => limit(refused),
            SendError::SameKeyBusy => "idempotency_key",
            SendError::Twilio(_) => "twilio",
            SendError::Unknown(_) | SendError::WasUnknown => "unknown",
            SendError::Internal => "internal",
        };
        self.refused("message", reason);
    }

    fn refused(&self, what: &'static str, reason: &'static str) {
        let labels = [("what", what), ("reason", reason)];
        self.refused.get_or_create(&labels).inc();
    }

    /// A webhook was answered with an error.
    pub fn webhook_error(&self, http_status: u16) {
        let status = match http_status {
            403 => "403",
            404 => "404",
            405 => "405",
            408 => "408",
            413 => "413",
            503 => "503",
            500..=599 => "5xx",
            400..=499 => "4xx",
            _ => return,
        };
        self.webhook_errors
            .get_or_create(&[("status", status)])
            .inc();
    }

    /// A media stream showed no valid token.
    pub fn stream_refused(&self) {
        self.webhook_errors
            .get_or_create(&[("status", "stream_refused")])
            .inc();
    }

    /// A request to Twilio failed for good.
    pub fn twilio_error(&self, error: &TwilioError) {
        let kind = match error {
            TwilioError::Unreachable { .. } => "unreachable",
            TwilioError::NoAnswer { .. } => "no_answer",
            TwilioError::Unreadable { .. } => "unreadable",
            // Ours: nothing was asked.
            TwilioError::NotASid { .. } => return,
            TwilioError::Api { http_status, .. } => match http_status {
                401 | 403 => "credentials",
                404 => "not_found",
                429 => "throttled",
                500.. => "server",
                _ => "refused",
            },
        };
        self.twilio_errors.get_or_create(&[("kind", kind)]).inc();
    }

    /// All of it under its names, with what is true at this moment.
    fn registry(&self, now: Option<&Now>) -> Registry {
        let mut registry = Registry::with_prefix(PREFIX);
        let mut add = |name: &str, help: &str, metric: &dyn Register| {
            metric.register(&mut registry, name, help);
        };
        add(
            "calls",
            "Calls that were dialled, by final status",
            &self.calls,
        );
        add(
            "first_word_seconds",
            "From the answer to the agent's first sound",
            &self.first_word,
        );
        add(
            "turn_seconds",
            "From the end of the callee's turn to the agent's first sound",
            &self.turns,
        );
        add(
            "barge_ins",
            "Times that the callee interrupted the agent, counted at the end of each call",
            &self.barge_ins,
        );
        add(
            "truncations",
            "Times that the model was told what of its words was not heard",
            &self.truncations,
        );
        add(
            "reattachments",
            "Streams of the carrier and sessions of the model that took up a conversation",
            &self.reattachments,
        );
        add(
            "refused_requests",
            "Calls and messages that were refused or failed before they began, by reason",
            &self.refused,
        );
        add(
            "webhook_errors",
            "Requests to the webhook server that were answered with an error",
            &self.webhook_errors,
        );
        add(
            "twilio_errors",
            "Requests to Twilio that failed for good",
            &self.twilio_errors,
        );
        let Some(now) = now else { return registry };
        for (name, help, value) in now.gauges() {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        }
        registry
    }
}

/// What is not counted but looked up.
#[derive(Debug)]
pub struct Now {
    /// Live calls of this process.
    pub live: usize,
    /// What of the limits is taken, if that can be known.
    pub used: Option<Used>,
    /// The limits.
    pub limits: Limits,
}

impl Now {
    fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        let limits = &self.limits;
        let mut gauges = vec![
            ("live_calls", "Live calls of this process", count(self.live)),
            (
                "budget_seconds_cap",
                "Call time allowed in a UTC day",
                limits.daily.as_secs_f64(),
            ),
            (
                "budget_messages_cap",
                "Messages allowed in a UTC day",
                f64::from(limits.daily_sms),
            ),
            (
                "active_calls_cap",
                "Calls allowed in flight at once",
                count(limits.concurrent),
            ),
        ];
        if let Some(cap) = limits.daily_cost {
            let help = "US dollars that calls and messages may cost in a UTC day";
            gauges.push(("budget_usd_cap", help, cap.dollars()));
        }
        if let Some(used) = &self.used {
            gauges.extend([
                (
                    "active_calls",
                    "Calls that count towards the cap of calls in flight, of all processes",
                    count(used.in_flight),
                ),
                (
                    "budget_seconds_used",
                    "Call time used and reserved today",
                    used.time.as_secs_f64(),
                ),
                (
                    "budget_messages_used",
                    "Messages of today",
                    f64::from(used.messages),
                ),
                (
                    "budget_usd_used",
                    "US dollars spent and reserved today",
                    used.cost.dollars(),
                ),
            ]);
        }
        gauges
    }
}

/// A metric that can be shown by several registries: one is made for each look.
trait Register {
    fn register(&self, registry: &mut Registry, name: &str, help: &str);
}

impl<M> Register for M
where
    M: prometheus_client::registry::Metric + Clone,
{
    fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.clone());
    }
}

fn limit(refused: &Refused) -> &'static str {
    match refused {
        Refused::OverBudget(over) => match over {
            OverBudget::Seconds { .. } => "daily_seconds",
            OverBudget::CallsToNumber(_) => "calls_to_number",
            OverBudget::Sms(_) => "daily_messages",
            OverBudget::Cost { .. } => "daily_usd",
            OverBudget::Unpriced(_) => "no_price",
            OverBudget::Concurrent(_) => "concurrent_calls",
            OverBudget::ClockWentBack { .. } => "clock",
        },
        Refused::KeyReused(_) => "idempotency_key",
        Refused::Unchecked(_) => "store",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prometheus_client::encoding::text::encode;

    use super::*;
    use crate::cost::MicroUsd;

    /// Everything that can be shown, with the endings of a histogram taken off.
    fn names() -> BTreeSet<String> {
        let metrics = Metrics::default();
        metrics.call_ended(Status::Completed);
        metrics.reattached(Peer::Model);
        metrics.message_refused(&SendError::Internal);
        metrics.webhook_error(404);
        metrics.twilio_error(&TwilioError::Api {
            http_status: 500,
            code: None,
            message: String::new(),
        });
        let now = Now {
            live: 1,
            used: Some(Used::default()),
            limits: Limits {
                daily: Duration::ZERO,
                daily_calls_per_number: 0,
                daily_sms: 0,
                concurrent: 0,
                daily_cost: Some(MicroUsd::ZERO),
            },
        };
        let mut text = String::new();
        encode(&mut text, &metrics.registry(Some(&now))).unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let name = |line: &str| line.split(['{', ' ']).next().unwrap().to_owned();
        let base = |name: String| {
            let ends = ["_bucket", "_sum", "_count"];
            let found = ends.iter().find_map(|end| name.strip_suffix(end));
            found.map_or(name.clone(), str::to_owned)
        };
        samples.map(name).map(base).collect()
    }

    /// Words that begin like our names, without the endings of a histogram.
    fn mentioned(text: &str) -> BTreeSet<String> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| word.starts_with(PREFIX) && word.len() > PREFIX.len() + 1)
            .map(|word| {
                let ends = ["_bucket", "_sum", "_count"];
                let base = ends.iter().find_map(|end| word.strip_suffix(end));
                base.unwrap_or(word).to_owned()
            })
            .collect()
    }

    #[test]
    fn the_dashboard_shows_what_there_is() {
        let dashboard = include_str!("../../examples/grafana-dashboard.json");
        let parsed: serde_json::Value = serde_json::from_str(dashboard).unwrap();
        let panels = parsed["panels"].as_array().unwrap();
        let queries: Vec<&str> = panels
            .iter()
            .flat_map(|panel| panel["targets"].as_array().unwrap())
            .map(|target| target["expr"].as_str().unwrap())
            .collect();
        assert_eq!(mentioned(&queries.join(" ")), names());
    }

    #[test]
    fn the_documentation_names_what_there_is() {
        let page = include_str!("../../docs/metrics.md");
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        let named: BTreeSet<String> = rows
            .flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
            .map(|name| format!("{PREFIX}_{name}"))
            .collect();
        assert_eq!(named, names());
    }
}
