//! What was seen of a call on both sockets, and the checks on it.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::call::snapshot::{Role, Snapshot};
use crate::sandbox::{self, ModelSession, speech};

/// The greeting waits for the end of a "hello", but no longer than this.
const LONGEST_HELLO: Duration = Duration::from_secs(6);

/// The same while the carrier may still find out who speaks.
const LONGEST_RECORDING: Duration = Duration::from_secs(35);

/// What every greeting says and nothing else does.
const GREETING: &str = "this is an AI assistant";

/// A call that is over, from all sides.
pub(super) struct Seen {
    /// As the agent sees it, judged by the model if it did.
    pub(super) snapshot: Snapshot,
    /// The summary at the moment of the end.
    pub(super) derived: Option<String>,
    /// As the carrier saw it; none if it was never placed.
    pub(super) line: Option<sandbox::Call>,
    /// How many sessions of the model it took.
    pub(super) sessions: usize,
    /// One of them reached its maximum duration and was ended by the model.
    pub(super) expired: bool,
    /// As the last of them saw it.
    pub(super) model: ModelSession,
    /// The configured wait for a "hello".
    pub(super) greeting_wait: Duration,
    /// What the sandbox found wrong.
    pub(super) complaints: Vec<String>,
}

impl Seen {
    /// What came out of the callee's receiver, in words.
    pub(super) fn heard(&self) -> &str {
        self.line.as_ref().map_or("", |line| line.heard.as_str())
    }

    pub(super) fn hears(&self, words: &str) -> bool {
        self.heard().contains(words)
    }

    /// How often the callee was greeted.
    pub(super) fn greetings(&self) -> usize {
        self.heard().matches(GREETING).count()
    }

    /// How many media streams the carrier connected.
    pub(super) fn streams(&self) -> u32 {
        self.line.as_ref().map_or(0, |line| line.streams)
    }

    /// The keys that the carrier pressed.
    pub(super) fn keys_pressed(&self) -> &str {
        self.line.as_ref().map_or("", |line| line.digits.as_str())
    }

    /// What the carrier found out about who answered.
    pub(super) fn verdict(&self) -> &str {
        let verdict = self
            .line
            .as_ref()
            .and_then(|line| line.answered_by.as_deref());
        verdict.unwrap_or("none")
    }

    /// How often what was queued at the carrier was cleared.
    pub(super) fn clears(&self) -> u32 {
        self.line.as_ref().map_or(0, |line| line.clears)
    }

    fn lines(&self, of: Role) -> impl Iterator<Item = &str> {
        let lines = self.snapshot.transcript.iter();
        lines
            .filter(move |line| line.role == of)
            .map(|line| line.text.as_str())
    }

    /// Where in the transcript a line with these words stands.
    pub(super) fn place(&self, of: Role, words: &str) -> Option<usize> {
        let mut lines = self.snapshot.transcript.iter();
        lines.position(|line| line.role == of && line.text.contains(words))
    }

    /// Checks that these lines stand in one transcript in this order, and that the session which was
    /// there at the end has these words in its context, in this order: what was said before and after
    /// something went wrong is one conversation.
    pub(super) fn is_one_conversation(
        &self,
        checks: &mut Checks,
        transcript: &[(Role, &str)],
        context: &[&str],
    ) {
        let lines = self.snapshot.transcript.iter();
        let missing = first_missing(lines, transcript, |line, (role, words)| {
            line.role == *role && line.text.contains(words)
        });
        let fact = match missing {
            None => "before and after stand in one transcript, in order".to_owned(),
            Some((_, words)) => format!("\"{words}\" stands in the transcript, in order"),
        };
        checks.that(fact, missing.is_none());
        let items = self.model.context.iter().map(Value::to_string);
        let missing = first_missing(items, context, |item, words| item.contains(words));
        let fact = match missing {
            None => "the same in the model's context".to_owned(),
            Some(words) => format!("\"{words}\" stands in the model's context, in order"),
        };
        checks.that(fact, missing.is_none());
    }

    /// Whether the transcript has a line of the callee with these words.
    pub(super) fn callee_said(&self, words: &str) -> bool {
        self.place(Role::Caller, words).is_some()
    }

    /// The agent's lines that were cut off.
    pub(super) fn cut_off(&self) -> Vec<&str> {
        let lines = self.lines(Role::Agent);
        lines.filter_map(|line| line.strip_suffix('—')).collect()
    }

    /// Whether every agent's line was said aloud, up to a word that was cut in the middle.
    pub(super) fn says_what_was_heard(&self) -> bool {
        self.lines(Role::Agent)
            .all(|line| match line.strip_suffix('—') {
                None => self.hears(line),
                Some(begun) => {
                    let whole = begun.rsplit_once(' ').map_or("", |(whole, _)| whole);
                    self.hears(whole)
                }
            })
    }

    /// How many events of this kind and content the model was sent.
    pub(super) fn sent(&self, kind: &str, words: &str) -> usize {
        let events = self.model.events.iter();
        events
            .filter(|event| event["type"] == kind && event.to_string().contains(words))
            .count()
    }

    /// Where the first of them stands among all that the model was sent.
    pub(super) fn first(&self, kind: &str, words: &str) -> Option<usize> {
        let mut events = self.model.events.iter();
        events.position(|event| event["type"] == kind && event.to_string().contains(words))
    }

    /// How often the model was asked for the disclosure.
    pub(super) fn asked_for_disclosure(&self) -> usize {
        let events = self.model.events.iter();
        let asked = events.filter(|event| {
            let own = event["response"]["instructions"].as_str();
            event["type"] == "response.create"
                && event["response"]["conversation"] != "none"
                && own.is_some_and(|own| own.contains("Say exactly the following"))
        });
        asked.count()
    }

    /// The model was refused nothing, beyond a cancel that came too late.
    fn refusals(&self) -> Vec<&Value> {
        let errors = self.model.errors.iter();
        errors
            .filter(|error| error["code"] != "response_cancel_not_active")
            .collect()
    }

    /// The model judged the call after its end.
    pub(super) fn is_refined(&self) -> bool {
        self.derived != self.snapshot.summary
    }

    pub(super) fn first_word_ms(&self) -> u64 {
        let latency = self.snapshot.latency.as_ref();
        latency.map_or(0, |latency| latency.first_word_ms)
    }

    /// The callee was there before the model had said the greeting.
    pub(super) fn picked_up_too_early(&self) -> bool {
        let began = self.line.as_ref().and_then(|line| line.stream_began);
        let ready = self.model.response_ended.first();
        began
            .zip(ready)
            .is_some_and(|(began, ready)| began < *ready)
    }

    /// Silence that the model heard before these words of the callee although the carrier never
    /// sent it, in milliseconds.
    pub(super) fn padded_before(&self, words: &str) -> Option<usize> {
        let sound = speech::encode(words);
        let begin = |audio: &[u8]| audio.windows(sound.len()).position(|part| part == sound);
        let said = begin(&self.line.as_ref()?.said_audio)?;
        Some(begin(&self.model.audio)?.saturating_sub(said) / 8)
    }

    /// From the moment the greeting was due (at the end of the "hello" or of the wait for it, and
    /// not before it was ready) until the carrier had the first of it.
    pub(super) fn greeting_lateness(&self) -> Option<Duration> {
        let line = self.line.as_ref()?;
        let model = &self.model;
        let waited = line.stream_began? + self.greeting_wait;
        let mut due = waited;
        if let Some(hello) = model.turn_began.first().filter(|began| **began <= waited) {
            let detects = |(name, _): &(String, String)| name == "MachineDetection";
            let longest = if line.parameters.iter().any(detects) {
                LONGEST_RECORDING
            } else {
                LONGEST_HELLO
            };
            due = *hello + longest;
            due = model
                .turn_ended
                .first()
                .map_or(due, |ended| due.min(*ended));
        }
        let last_try = self.asked_for_disclosure().checked_sub(1)?;
        let ready = model.response_ended.get(last_try)?;
        line.first_audio?.checked_duration_since(due.max(*ready))
    }
}

/// The first of `wanted` that does not stand in `all` behind those before it.
fn first_missing<T, W>(
    mut all: impl Iterator<Item = T>,
    wanted: &[W],
    is: impl Fn(&T, &W) -> bool,
) -> Option<&W> {
    wanted.iter().find(|want| !all.any(|one| is(&one, want)))
}

/// Facts that should hold, and whether they do.
#[derive(Debug, Default)]
pub(super) struct Checks(Vec<(String, bool)>);

impl Checks {
    /// A fact.
    pub(super) fn that(&mut self, fact: impl Into<String>, holds: bool) {
        self.0.push((fact.into(), holds));
    }

    /// Something that should have a certain value.
    pub(super) fn same<T: PartialEq + fmt::Display + Copy>(
        &mut self,
        what: &str,
        is: T,
        should_be: T,
    ) {
        if is == should_be {
            self.that(format!("{what}: {is}"), true);
        } else {
            self.that(format!("{what}: {should_be} (but it was: {is})"), false);
        }
    }

    /// What must be true of every scenario.
    pub(super) fn in_order(&mut self, seen: &Seen) {
        let over = seen.line.as_ref().is_none_or(|line| line.status.is_final());
        self.that("the line is closed", over);
        self.same("complaints of the sandbox", seen.complaints.len(), 0);
        for refusal in seen.refusals() {
            self.that(format!("nothing refused by the model ({refusal})"), false);
        }
    }

    pub(super) fn all_held(&self) -> bool {
        self.0.iter().all(|(_, holds)| *holds)
    }
}

impl fmt::Display for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all_held = self.all_held();
        f.write_str(if all_held {
            "as expected: "
        } else {
            "NOT as expected: "
        })?;
        let told = self.0.iter().filter(|(_, holds)| *holds == all_held);
        for (index, (fact, _)) in told.enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(f, "{comma}{fact}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_counts() {
        let missing =
            |wanted: &'static [char]| first_missing("abcb".chars(), wanted, |a, b| a == b);
        assert_eq!(missing(&['a', 'c', 'b']), None);
        assert_eq!(missing(&['c', 'a']), Some(&'a'));
        assert_eq!(missing(&['a', 'a']), Some(&'a'), "each once");
    }

    #[test]
    fn what_failed_is_told_alone() {
        let mut checks = Checks::default();
        checks.same("status", "completed", "completed");
        checks.that("the line is closed", true);
        let told = "as expected: status: completed; the line is closed";
        assert_eq!(checks.to_string(), told);
        checks.same("greetings", 2, 1);
        let told = "NOT as expected: greetings: 1 (but it was: 2)";
        assert_eq!(checks.to_string(), told);
        assert!(!checks.all_held());
    }
}
