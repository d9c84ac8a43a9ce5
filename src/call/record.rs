//! One call as it is known to the outside: its state, the revision that each visible change
//! raises, and those who wait for one.

mod cost;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uuid::Uuid;

use self::cost::Account;
use super::bridge::event::{Change, End};
use super::host::{HostError, Questions};
use super::journal::Changes;
use super::language::Language;
use super::snapshot::{
    Cost, Direction, Latency, Line, Outcome, PendingQuestion, Role, Snapshot, Status,
};
use super::transcript::Transcript;
use crate::cost::{Bill, MicroUsd, Tariff};
use crate::metrics::Metrics;
use crate::phone::E164;
use crate::realtime::event::Usage;
use crate::twilio::rest::is_call_sid;

/// Latencies of a call that are kept for its percentiles.
const TURNS_MEASURED: usize = 500;

/// The revision of a call that was just placed.
pub const FIRST_REVISION: u64 = 1;

/// What is fixed when a call is placed.
#[derive(Debug, Clone)]
pub struct Brief {
    /// Whom to call.
    pub to: E164,
    /// The account's number.
    pub from: E164,
    /// What the call is for.
    pub mission: Arc<str>,
    /// The language it is held in.
    pub language: Language,
    /// The cap on its duration, as granted.
    pub max_duration: Duration,
}

/// A call, shared by its driver, the webhooks and the tools.
#[derive(Debug)]
pub struct Call {
    /// Our own id.
    pub id: Uuid,
    /// What was asked for.
    pub brief: Brief,
    state: Mutex<State>,
    revisions: watch::Sender<Revisions>,
    /// The line is hung up, or Twilio has reported its end.
    line_over: watch::Sender<bool>,
    /// Where changes are noted, to be written down.
    changes: Arc<Changes>,
    /// What things cost, if anybody wants to know.
    tariff: Option<Tariff>,
    /// The model must not cost more than its share.
    capped: bool,
    metrics: Arc<Metrics>,
}

/// The numbers that waiters watch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Revisions {
    /// Raised by every visible change.
    pub latest: u64,
    /// The latest one that deserves attention: a status, a question, an error, the end.
    pub attention: u64,
    /// The call has ended.
    pub is_final: bool,
}

#[derive(Debug)]
struct State {
    status: Status,
    twilio_sid: Option<String>,
    /// The highest sequence number among Twilio's status callbacks.
    sequence: Option<u64>,
    transcript: Transcript,
    notes: Vec<String>,
    questions: Questions,
    verdict: Option<(String, Outcome)>,
    /// Summary and outcome are the model's own.
    judged: bool,
    /// The model was gone before the callee was.
    model_gone: bool,
    summary: Option<String>,
    outcome: Option<Outcome>,
    error: Option<String>,
    callee_spoke: bool,
    account: Account,
    /// When it came to each status.
    history: Vec<(Status, DateTime<Utc>)>,
    started_at: DateTime<Utc>,
    answered_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    disclosed_at: Option<DateTime<Utc>>,
    first_word: Option<Duration>,
    /// The fastest first.
    turns: Vec<Duration>,
}

/// Which lines of the transcript a snapshot carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// All.
    All,
    /// Those added or changed after this revision.
    After(u64),
    /// None.
    None,
}

/// Notes beyond this number are not kept: something loops.
const NOTES: usize = 200;

impl Call {
    /// A call that is about to be dialled.
    pub fn new(id: Uuid, brief: Brief, now: DateTime<Utc>, changes: Arc<Changes>) -> Self {
        let state = State {
            status: Status::Initiated,
            twilio_sid: None,
            sequence: None,
            transcript: Transcript::default(),
            notes: Vec::new(),
            questions: Questions::default(),
            verdict: None,
            judged: false,
            model_gone: false,
            summary: None,
            outcome: None,
            error: None,
            callee_spoke: false,
            account: Account::default(),
            history: vec![(Status::Initiated, now)],
            started_at: now,
            answered_at: None,
            ended_at: None,
            disclosed_at: None,
            first_word: None,
            turns: Vec::new(),
        };
        let first = Revisions {
            latest: FIRST_REVISION,
            attention: FIRST_REVISION,
            is_final: false,
        };
        Self {
            id,
            brief,
            state: Mutex::new(state),
            revisions: watch::Sender::new(first),
            line_over: watch::Sender::new(false),
            changes,
            tariff: None,
            capped: false,
            metrics: Arc::default(),
        }
    }

    /// The same call, counted there.
    #[must_use]
    pub fn measured(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Where it is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Raises the revision, with the state still locked, so that snapshot and revision agree.
    fn changed(&self, state: &State, attention: bool) {
        self.revisions.send_modify(|revisions| {
            revisions.latest += 1;
            if attention {
                revisions.attention = revisions.latest;
            }
            revisions.is_final = state.status.is_final();
        });
        self.changes.note(self.id);
    }

    /// Something that nobody sees has changed, but is to be written down.
    pub(super) fn changed_unseen(&self) {
        self.changes.note(self.id);
    }

    fn next_revision(&self) -> u64 {
        self.revisions.borrow().latest + 1
    }

    /// The present revisions, and every later one.
    pub fn watch(&self) -> watch::Receiver<Revisions> {
        self.revisions.subscribe()
    }

    /// The call has ended.
    pub fn is_final(&self) -> bool {
        self.state().status.is_final()
    }

    /// Where the call stands.
    pub fn status(&self) -> Status {
        self.state().status
    }

    /// Twilio's id, once known.
    pub fn twilio_sid(&self) -> Option<String> {
        self.state().twilio_sid.clone()
    }

    /// When it ended, if it did.
    pub fn ended_at(&self) -> Option<DateTime<Utc>> {
        self.state().ended_at
    }

    /// Twilio still has a line to hang up.
    pub fn line_may_be_open(&self) -> bool {
        !*self.line_over.borrow()
    }

    /// Remembers that the line is hung up, or that Twilio has reported its end.
    pub fn line_is_over(&self) {
        if !self.line_over.send_replace(true) {
            self.changed_unseen();
        }
    }

    /// Waits until Twilio has reported the end of the line.
    pub async fn wait_line_over(&self) {
        // The sender lives as long as the call.
        let _ = self.line_over.subscribe().wait_for(|over| *over).await;
    }

    /// Remembers Twilio's id. Returns false if the call is already known under another one.
    pub fn learn_sid(&self, sid: &str) -> bool {
        let mut state = self.state();
        if let Some(known) = &state.twilio_sid {
            return known == sid;
        }
        if !is_call_sid(sid) {
            return false;
        }
        state.twilio_sid = Some(sid.to_owned());
        self.changed(&state, false);
        true
    }

    /// Whether a status callback with this sequence number is news.
    pub fn is_news(&self, sequence: Option<u64>) -> bool {
        let mut state = self.state();
        match (sequence, state.sequence) {
            (Some(new), Some(known)) if new <= known => false,
            (Some(new), _) => {
                state.sequence = Some(new);
                true
            }
            (None, _) => true,
        }
    }

    /// A live status; it never moves backwards, and a final one is never left.
    pub fn advance(&self, to: Status, now: DateTime<Utc>) {
        let mut state = self.state();
        if state.status.is_final() || to <= state.status || to.is_final() {
            return;
        }
        state.status = to;
        state.history.push((to, now));
        tracing::debug!(call = %self.id, status = ?to, "status");
        if to == Status::InProgress {
            state.answered_at = Some(now);
        }
        self.changed(&state, true);
    }

    /// A change from the conversation. `began` is the time that the bridge calls zero.
    pub fn apply(&self, change: Change, began: DateTime<Utc>, now: DateTime<Utc>) {
        let mut state = self.state();
        // The callee's last words may still be on their way when the call is over.
        let late_words = matches!(
            change,
            Change::Line {
                role: Role::Caller,
                ..
            }
        );
        if state.status.is_final() && !late_words {
            return;
        }
        let mut attention = false;
        let visible = match change {
            Change::Line {
                slot,
                at,
                role,
                text,
            } => {
                let t = began + chrono::Duration::from_std(at).unwrap_or_default();
                let revision = self.next_revision();
                state.transcript.set(slot, Line { t, role, text }, revision)
            }
            Change::Note(note) => {
                let room = state.notes.len() < NOTES;
                if room {
                    state.notes.push(note);
                }
                room
            }
            Change::Asked { id, text } => {
                state.questions.ask(id, text, now);
                attention = true;
                true
            }
            Change::NotAnswered { id } => {
                attention = state.questions.expire(&id);
                attention
            }
            Change::Verdict { summary, outcome } => {
                state.verdict = Some((summary, outcome));
                false
            }
            Change::VerdictWithdrawn => {
                state.verdict = None;
                false
            }
            Change::Disclosed => {
                state.disclosed_at = Some(now);
                true
            }
            Change::CalleeSpoke => {
                state.callee_spoke = true;
                false
            }
            // A greeting that was cut off is played again: the callee has heard the agent before.
            Change::FirstWord(_) if state.first_word.is_some() => false,
            Change::FirstWord(latency) => {
                state.first_word = Some(latency);
                self.metrics.first_word(latency);
                true
            }
            Change::TurnLatency(latency) => {
                self.metrics.turn(latency);
                if state.turns.len() < TURNS_MEASURED {
                    let at = state.turns.partition_point(|known| *known < latency);
                    state.turns.insert(at, latency);
                }
                true
            }
            Change::EarlyAudioDropped(_) | Change::GapFilled(_) => false,
        };
        if visible {
            self.changed(&state, attention);
        }
    }

    /// The host answers a question of the agent on the line; `deliver` brings it there.
    ///
    /// # Errors
    ///
    /// [`HostError`] says why the answer is not wanted.
    pub fn answer(
        &self,
        question: &str,
        text: &str,
        deliver: impl FnOnce() -> bool,
    ) -> Result<(), HostError> {
        let mut state = self.live()?;
        if state.questions.answer(question, text, deliver)? {
            self.changed(&state, false);
        }
        Ok(())
    }

    /// The host instructs the agent on the line; `deliver` brings it there.
    ///
    /// # Errors
    ///
    /// [`HostError`] says why it is not heard.
    pub fn instruct(&self, deliver: impl FnOnce() -> bool) -> Result<(), HostError> {
        self.live()?.questions.instruct(deliver)
    }

    fn live(&self) -> Result<MutexGuard<'_, State>, HostError> {
        let state = self.state();
        if state.status.is_final() {
            return Err(HostError::Over);
        }
        Ok(state)
    }

    /// Ends the call, unless it has ended: the first reason wins. Outcome and summary are set in the
    /// same revision. Returns whether this was the end.
    pub fn finish(&self, end: &End, now: DateTime<Utc>) -> bool {
        let mut state = self.state();
        if state.status.is_final() {
            return false;
        }
        state.status = end.status();
        state.history.push((end.status(), now));
        state.ended_at = Some(now);
        state.error = end.error().map(str::to_owned);
        state.model_gone = matches!(end, End::ModelGone(_));
        let (summary, outcome) = match state.verdict.take() {
            Some(verdict) => {
                state.judged = true;
                verdict
            }
            None => derive(end, state.callee_spoke),
        };
        state.summary = Some(summary);
        state.outcome = Some(outcome);
        self.changed(&state, true);
        true
    }

    /// The call is over, the callee spoke, and the model did not say what came of it.
    pub fn needs_debriefing(&self) -> bool {
        let state = self.state();
        state.status.is_final() && state.callee_spoke && !state.judged
    }

    /// The model has judged the call after all; once.
    pub fn refine(&self, summary: String, outcome: Outcome) {
        let mut state = self.state();
        if !state.status.is_final() || state.judged {
            return;
        }
        state.judged = true;
        state.summary = Some(summary);
        state.outcome = Some(outcome);
        state.account.moved = false;
        self.changed(&state, false);
    }

    /// The callee had answered when the model was gone: they deserve a word from the carrier.
    pub fn owes_apology(&self) -> bool {
        let state = self.state();
        state.model_gone && state.answered_at.is_some()
    }

    /// Seconds from the answer to the end, or to now.
    pub fn duration(&self, now: DateTime<Utc>) -> Duration {
        self.state().duration(now)
    }

    /// What is to be written down: the call as it stands, and the lines changed after `revision`.
    pub(super) fn unsaved(&self, revision: u64, now: DateTime<Utc>) -> Unsaved {
        let state = self.state();
        Unsaved {
            snapshot: self.show(&state, Vec::new(), now),
            lines: state.transcript.changed(revision),
            history: state.history.clone(),
            usage: state.account.meter.tokens,
            bill: self.bill(&state, now),
            charge: self.charge(&state, now),
        }
    }

    /// The call as the agent sees it.
    pub fn snapshot(&self, lines: Lines, now: DateTime<Utc>) -> Snapshot {
        let state = self.state();
        let transcript = match lines {
            Lines::All => state.transcript.since(0),
            Lines::After(revision) => state.transcript.since(revision),
            Lines::None => Vec::new(),
        };
        self.show(&state, transcript, now)
    }

    fn show(&self, state: &State, transcript: Vec<Line>, now: DateTime<Utc>) -> Snapshot {
        let revision = self.revisions.borrow().latest;
        let pending_question = state.open_question();
        Snapshot {
            call_id: self.id.to_string(),
            twilio_sid: state.twilio_sid.clone(),
            direction: Direction::Outbound,
            to: self.brief.to.as_str().to_owned(),
            from: self.brief.from.as_str().to_owned(),
            mission: self.brief.mission.as_ref().to_owned(),
            language: self.brief.language.tag().to_owned(),
            status: state.status,
            transcript,
            notes: state.notes.clone(),
            summary: state.summary.clone(),
            outcome: state.outcome,
            error: state.error.clone(),
            started_at: state.started_at,
            answered_at: state.answered_at,
            ended_at: state.ended_at,
            hint: match &pending_question {
                Some(question) => asks(&question.id),
                None => hint(state.status, revision),
            },
            pending_question,
            cost: self.bill(state, now).map(Cost::from),
            latency: Latency::of(state.first_word, &state.turns),
            disclosed_at: state.disclosed_at,
            duration_s: tenths(state.duration(now)),
            revision,
        }
    }
}

/// What is to be written down of a call.
pub(super) struct Unsaved {
    pub(super) snapshot: Snapshot,
    pub(super) lines: Vec<(u32, Line)>,
    pub(super) history: Vec<(Status, DateTime<Utc>)>,
    pub(super) usage: Usage,
    pub(super) bill: Option<Bill>,
    pub(super) charge: Option<MicroUsd>,
}

impl State {
    /// The question that waits for the host; it ends with the call.
    fn open_question(&self) -> Option<PendingQuestion> {
        let open = self.questions.open().filter(|_| !self.status.is_final());
        open.cloned()
    }

    fn duration(&self, now: DateTime<Utc>) -> Duration {
        let Some(answered) = self.answered_at else {
            return Duration::ZERO;
        };
        (self.ended_at.unwrap_or(now) - answered)
            .to_std()
            .unwrap_or_default()
    }
}

/// Seconds with one decimal.
fn tenths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}

/// What a call came to that the model did not judge itself.
fn derive(end: &End, callee_spoke: bool) -> (String, Outcome) {
    let talked = if callee_spoke {
        Outcome::Partial
    } else {
        Outcome::Failure
    };
    let (summary, outcome) = match end {
        End::Busy => ("The line was busy; nobody was reached.", Outcome::NoAnswer),
        End::NoAnswer => ("Nobody answered.", Outcome::NoAnswer),
        End::Voicemail => ("A machine answered.", Outcome::Voicemail),
        End::ModelGone(_) | End::Failed(_) => ("The call failed; see error.", Outcome::Failure),
        End::Canceled => (
            "The call was taken back before it was answered.",
            Outcome::Failure,
        ),
        // The model's own goodbye comes with a verdict; this one was said to nobody.
        End::Completed => (
            "Nobody spoke any more, and the agent said goodbye; see the transcript.",
            talked,
        ),
        End::CalleeHungUp if callee_spoke => (
            "The callee spoke and then hung up before the call was concluded; see the transcript.",
            talked,
        ),
        End::CalleeHungUp => ("The callee hung up without saying anything.", talked),
        End::TimedOut => (
            "The call reached its maximum duration; see the transcript.",
            talked,
        ),
        End::HostHungUp => (
            "The call was hung up on request; see the transcript.",
            talked,
        ),
        End::Shutdown => (
            "The call was hung up because the messaging server was stopping.",
            talked,
        ),
    };
    (summary.to_owned(), outcome)
}

/// What to do next while the agent on the line asks for something.
fn asks(question_id: &str) -> String {
    format!(
        "The agent on the line needs an answer while the other person waits: answer pending_question now with \
         phone_call_answer, question_id {question_id:?}; ask the user if you do not know, and say so if nobody does."
    )
}

/// What to do next, in one sentence.
pub fn hint(status: Status, revision: u64) -> String {
    let hint = match status {
        Status::Initiated | Status::Ringing => {
            return format!(
                "The phone is being called: follow it with phone_call_status, wait: true and \
                 since: {revision}."
            );
        }
        Status::InProgress => {
            return format!(
                "The conversation is going on: follow it with phone_call_status, wait: true, \
                 since: {revision} and transcript: \"new\"."
            );
        }
        Status::Completed | Status::Voicemail => {
            "The call is over: tell the user its summary and outcome; notes and transcript have \
             the details."
        }
        Status::HungUpByAgent => "The call was hung up: tell the user how far it came.",
        Status::TimedOut => {
            "The call reached its maximum duration: tell the user how far it came before placing \
             another."
        }
        Status::Busy | Status::NoAnswer => {
            "Nobody was reached: tell the user, and ask before calling the same number again."
        }
        Status::Failed | Status::Canceled => {
            "The call did not work: read error, and tell the user before trying again."
        }
    };
    hint.to_owned()
}

#[cfg(test)]
mod tests;
