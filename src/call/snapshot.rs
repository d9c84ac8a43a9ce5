//! The call as the agent sees it: the words of the contract, and the shape of a snapshot.

use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cost::Bill;

/// Where a call stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Status {
    /// Dialling.
    Initiated,
    /// The callee's phone rings.
    Ringing,
    /// The callee has answered.
    InProgress,
    /// It ended as calls do: a goodbye, or the callee hung up.
    Completed,
    /// The line was busy.
    Busy,
    /// Something broke; `error` says what.
    Failed,
    /// Nobody answered.
    NoAnswer,
    /// Taken back before it was answered.
    Canceled,
    /// A machine answered.
    Voicemail,
    /// The host ended it.
    HungUpByAgent,
    /// It reached its maximum duration.
    TimedOut,
}

impl Status {
    /// Final states never change again.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Initiated | Self::Ringing | Self::InProgress)
    }
}

/// How a call went, seen from its mission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Outcome {
    /// The mission was accomplished.
    Success,
    /// A part of it was.
    Partial,
    /// It was not.
    Failure,
    /// Nobody was reached.
    NoAnswer,
    /// A machine was reached.
    Voicemail,
}

/// Who said a line of the transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Role {
    /// The AI on the line.
    Agent,
    /// The person who was called.
    Caller,
    /// Neither: keys pressed, the line dropping.
    System,
}

/// Calls are placed, not received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Direction {
    /// We called.
    Outbound,
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Line {
    /// When it began to be said.
    #[serde(serialize_with = "millis")]
    pub t: DateTime<Utc>,
    /// agent, caller or system.
    #[schemars(extend("x-listed" = true))]
    pub role: Role,
    /// Ends in — if cut off.
    #[schemars(extend("x-listed" = true))]
    pub text: String,
}

/// RFC 3339 with milliseconds, as everywhere in the contract.
pub(crate) fn millis<S: serde::Serializer>(t: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&t.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// A question of the agent on the line that only the host can answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct PendingQuestion {
    /// Pass it as `question_id`.
    #[schemars(extend("x-listed" = true))]
    pub id: String,
    /// The question.
    #[schemars(extend("x-listed" = true))]
    pub text: String,
    /// When it was asked.
    #[serde(serialize_with = "millis")]
    pub asked_at: DateTime<Utc>,
}

/// What a call cost, in US dollars.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Cost {
    /// The voice model.
    pub model_usd: f64,
    /// The carrier.
    pub carrier_usd: f64,
    /// Both.
    pub total_usd: f64,
    /// False once the carrier has named its price for the call.
    pub estimated: bool,
}

impl From<Bill> for Cost {
    fn from(bill: Bill) -> Self {
        Self {
            model_usd: bill.model.dollars(),
            carrier_usd: bill.carrier.dollars(),
            total_usd: bill.total().dollars(),
            estimated: bill.estimated,
        }
    }
}

/// How fast the agent spoke, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Latency {
    /// From the answer to the first sound; includes the wait for the callee's "hello".
    pub first_word_ms: u64,
    /// From the end of the callee's turn to the agent's first sound: the median.
    pub turn_p50_ms: Option<u64>,
    /// The same: 95 of 100 are faster.
    pub turn_p95_ms: Option<u64>,
    /// Turns measured.
    pub turns: usize,
}

impl Latency {
    /// The figures of a call, once the agent has spoken; `turns` in ascending order.
    pub(super) fn of(first_word: Option<Duration>, turns: &[Duration]) -> Option<Self> {
        let ms = |duration: &Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        // Nearest rank: the smallest figure that at least this share of the turns does not exceed.
        let rank = |percent: usize| {
            turns
                .get((turns.len() * percent).div_ceil(100).saturating_sub(1))
                .map(ms)
        };
        Some(Self {
            first_word_ms: ms(&first_word?),
            turn_p50_ms: rank(50),
            turn_p95_ms: rank(95),
            turns: turns.len(),
        })
    }
}

/// A call as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Snapshot {
    /// Names the call in every other tool.
    pub call_id: String,
    /// Twilio's id (CA…), once known.
    pub twilio_sid: Option<String>,
    /// Who called.
    pub direction: Direction,
    /// The callee, E.164.
    pub to: String,
    /// The account's number, E.164.
    pub from: String,
    /// What the call is for.
    pub mission: String,
    /// BCP 47 tag.
    pub language: String,
    /// Final unless initiated, ringing or `in_progress`.
    #[schemars(extend("x-listed" = true))]
    pub status: Status,
    /// One line a turn.
    #[schemars(extend("x-listed" = true))]
    pub transcript: Vec<Line>,
    /// Facts learned.
    #[schemars(extend("x-listed" = true))]
    pub notes: Vec<String>,
    /// What happened.
    #[schemars(extend("x-listed" = true))]
    pub summary: Option<String>,
    /// success, partial, failure, `no_answer` or voicemail.
    #[schemars(extend("x-listed" = true))]
    pub outcome: Option<Outcome>,
    /// What broke.
    pub error: Option<String>,
    /// When it was placed.
    #[serde(serialize_with = "millis")]
    pub started_at: DateTime<Utc>,
    /// When the callee answered.
    #[serde(serialize_with = "millis_or_null")]
    pub answered_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(serialize_with = "millis_or_null")]
    pub ended_at: Option<DateTime<Utc>>,
    /// Answer it at once by `phone_call_answer`.
    #[schemars(extend("x-listed" = true))]
    pub pending_question: Option<PendingQuestion>,
    /// What it cost so far; null if a price is not known.
    pub cost: Option<Cost>,
    /// How fast the agent spoke.
    pub latency: Option<Latency>,
    /// When the sentence that discloses the AI had been played in full.
    #[serde(serialize_with = "millis_or_null")]
    pub disclosed_at: Option<DateTime<Utc>>,
    /// Seconds from the answer to the end, or to now.
    pub duration_s: f64,
    /// Pass it as since.
    #[schemars(extend("x-listed" = true))]
    pub revision: u64,
    /// What to do next.
    #[schemars(extend("x-listed" = true))]
    pub hint: String,
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(crate) fn millis_or_null<S: serde::Serializer>(
    t: &Option<DateTime<Utc>>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match t {
        Some(t) => millis(t, to),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_turns_that_happened() {
        let ms: Vec<Duration> = [100, 200, 300, 400].map(Duration::from_millis).to_vec();
        let latency = Latency::of(Some(Duration::from_millis(7)), &ms).unwrap();
        assert_eq!(
            (latency.turn_p50_ms, latency.turn_p95_ms, latency.turns),
            (Some(200), Some(400), 4)
        );
        assert_eq!(Latency::of(None, &ms), None);
        assert_eq!(
            Latency::of(Some(Duration::ZERO), &[]).unwrap().turn_p50_ms,
            None
        );
    }
}
