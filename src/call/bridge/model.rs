//! The model's session comes and goes, the conversation stays: a session that is lost is replaced
//! within seconds, one that grows old in a quiet moment, and the new one is told what was said.

use std::time::Duration;

use super::Bridge;
use super::event::{Change, End, Output, ToCarrier, ToModel};
use super::opening::Opening;
use crate::call::audio::SAMPLES_PER_MS;

/// A session that is lost must be replaced within this time.
const RETURNS: Duration = Duration::from_secs(8);

/// Between two attempts to open one; doubled each time.
const PAUSE: Duration = Duration::from_millis(250);

/// A callee who waits longer than this for a lost model hears "one moment, please".
const MOMENT: Duration = Duration::from_millis(1_500);

/// The callee was heard for this long while the model was gone: they wait for an answer.
const SPOKE: Duration = Duration::from_millis(250);

/// The mean magnitude of a frame with speech in it; lines hiss below this.
const VOICE: u32 = 600;

/// A session that begins by hearing what was said before takes this long at most to notice it.
const CATCHES_UP: Duration = Duration::from_millis(1_500);

/// Sessions last an hour at most. From this age on, one is replaced when nobody speaks.
const OLD: Duration = Duration::from_secs(55 * 60);

/// By this age it is replaced, whoever speaks.
const TOO_OLD: Duration = Duration::from_secs(59 * 60);

/// After an attempt to replace an old session that failed.
const AGAIN: Duration = Duration::from_secs(30);

/// The model's session, as an attachment.
#[derive(Debug)]
pub(super) struct Session {
    /// Sessions are counted: the output of a function means something to the one that called it.
    pub(super) number: u32,
    /// When the present one was configured.
    since: Option<Duration>,
    /// There is none: what is said to it goes nowhere.
    loss: Option<Loss>,
    /// Another one is being opened.
    opening: bool,
    /// It is open, and waits to take over.
    offered: bool,
    /// When the next attempt to open one is due.
    next_attempt: Option<Duration>,
    attempts: u32,
    /// Until then, speech that the session hears may be what was said before it was there.
    catching_up: Option<Duration>,
}

/// A session was lost.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one loss"
)]
struct Loss {
    since: Duration,
    why: String,
    /// The goodbye was said already, so nothing is missed.
    for_good: bool,
    /// The callee is owed an answer.
    due: bool,
    /// How long the callee was heard since, and whether they are just now.
    voiced: Duration,
    voiced_now: bool,
    moment_played: bool,
}

impl Default for Session {
    /// The first one, which is always there: what is said to it before it is open waits for it.
    fn default() -> Self {
        Self {
            number: 0,
            since: None,
            loss: None,
            opening: false,
            offered: false,
            next_attempt: None,
            attempts: 0,
            catching_up: None,
        }
    }
}

impl Bridge {
    /// Says something to the model, if there is one.
    pub(super) fn send(&mut self, to: ToModel) {
        if self.session.loss.is_none() {
            self.out.push_back(Output::Model(to));
        }
    }

    pub(super) fn model_is_lost(&self) -> bool {
        self.session.loss.is_some()
    }

    /// The first session has accepted its configuration.
    pub(super) fn session_begins(&mut self) {
        self.session.since = Some(self.now);
    }

    /// The session is gone; with `returns`, another one would work.
    pub(super) fn model_lost(&mut self, why: &str, returns: bool) {
        if self.session.loss.is_some() {
            return;
        }
        let goodbye_said = self.ending.is_some() && self.agent_spoke_last && !self.gate.is_asking();
        let worked = self.session.since.is_some();
        if !(goodbye_said || returns && worked) {
            return self.hang_up(End::ModelGone(why.to_owned()));
        }
        self.forget_session();
        let due = std::mem::take(&mut self.answer_due);
        self.session.loss = Some(Loss {
            since: self.now,
            why: why.to_owned(),
            for_good: goodbye_said,
            due,
            voiced: Duration::ZERO,
            voiced_now: false,
            moment_played: false,
        });
        if goodbye_said {
            // What was said of it is heard to its end, and nobody can talk us out of it any more.
            self.kept_line = true;
            self.decide_nothing_more();
            self.gate.drop_queue();
            return;
        }
        if std::mem::take(&mut self.session.offered) {
            return self.take_over();
        }
        self.session.attempts = 0;
        self.open_session();
    }

    fn open_session(&mut self) {
        self.session.next_attempt = None;
        if !std::mem::replace(&mut self.session.opening, true) {
            self.out.push_back(Output::OpenModel);
        }
    }

    /// What was under way in the session does not come any more.
    fn forget_session(&mut self) {
        // A response of which all sound has come misses nothing.
        let whole = self.response.spoke && self.ledger.is_complete();
        let making = self.draft().is_some();
        let cut_short = self.is_saying() && !whole && !making;
        let owed = self.gate.leave(self.response.spoke);
        self.answer_due = (owed || cut_short || self.awaiting_answer.is_some())
            && matches!(self.opening, Opening::Done);
        if making {
            self.gate.drop_queue();
        }
        self.moment.forget_draft();
        self.response = super::Response::default();
        self.stale_response = None;
        self.unanswerable = false;
        self.sound = None;
        self.model_ready = false;
        let out = &mut self.out;
        self.ledger
            .end_response(|to| out.push_back(Output::Carrier(to)));
        self.ledger.disown();
        self.keep_last_turn();
    }

    /// What the callee said and was not answered is said again to the next session. Of earlier turns
    /// the words do not come any more.
    fn keep_last_turn(&mut self) {
        // Also one whose answer has only begun, and whose words have not come.
        let unanswered = self.awaiting_answer.is_some() || self.answer_due;
        let mut turns = std::mem::take(&mut self.callee_turns);
        let heard = !self.utterance.is_empty();
        if unanswered
            && heard
            && let Some((_, slot, at)) = turns.pop_back()
        {
            self.speech.get_or_insert((slot, at));
        }
        for (_, slot, at) in turns {
            self.callee_line(slot, at, super::UNINTELLIGIBLE);
        }
        if self.speech.is_some() {
            self.early = self.utterance.iter().collect();
        }
        self.utterance.clear();
        self.early_samples = self.early.iter().map(super::Audio::samples).sum();
    }

    /// Another session is open and configured.
    pub(super) fn model_offered(&mut self) {
        if !std::mem::take(&mut self.session.opening) {
            return;
        }
        match &self.session.loss {
            Some(loss) if loss.for_good => {}
            Some(_) => self.take_over(),
            None => self.session.offered = true,
        }
    }

    /// No other session could be opened.
    pub(super) fn model_not_opened(&mut self, why: &str, returns: bool) {
        if !std::mem::take(&mut self.session.opening) {
            return;
        }
        let pause = match &self.session.loss {
            Some(_) if !returns => return self.hang_up(End::ModelGone(why.to_owned())),
            Some(_) => PAUSE * 2_u32.saturating_pow(self.session.attempts.min(8)),
            None => AGAIN,
        };
        self.session.attempts += 1;
        self.session.next_attempt = Some(self.now + pause);
    }

    /// The new session becomes the model of this conversation.
    fn take_over(&mut self) {
        if self.session.loss.is_none() {
            self.forget_session();
        }
        let lost = self.session.loss.take();
        let due = lost.map_or(self.answer_due, |loss| loss.due);
        self.answer_due = false;
        self.out.push_back(Output::TakeModel);
        self.session.number = self.session.number.wrapping_add(1);
        self.session.since = Some(self.now);
        self.session.offered = false;
        self.session.next_attempt = None;
        self.session.attempts = 0;
        self.model_ready = true;
        for item in self.memory.replay(self.ledger.saying()) {
            self.send(item);
        }
        if !self.early.is_empty() {
            self.session.catching_up = Some(self.now + CATCHES_UP);
        }
        for audio in std::mem::take(&mut self.early) {
            self.send(ToModel::Audio(audio));
        }
        self.early_samples = 0;
        let turns = self.gate.join(due);
        self.tell_model(turns);
        match &self.opening {
            Opening::Waiting => self.prepare_greeting(0),
            Opening::Preparing(draft) => {
                let attempt = draft.attempt();
                self.prepare_greeting(attempt);
            }
            _ => {
                let next = self.gate.go_on();
                self.tell_model(next);
            }
        }
    }

    /// What the session hears may be over since long, so that it interrupts nobody.
    pub(super) fn is_catching_up(&self) -> bool {
        self.session
            .catching_up
            .is_some_and(|until| self.now < until)
    }

    /// It has heard a turn to its end: the next one is said now.
    pub(super) fn has_caught_up(&mut self) {
        self.session.catching_up = None;
    }

    /// Nobody speaks, and nobody is about to: a session may be replaced without anybody noticing.
    fn is_restful(&self) -> bool {
        self.model_ready
            && self.gate.is_settled()
            && !self.gate.callee_speaks()
            && !self.gate.is_busy()
            && self.awaiting_answer.is_none()
            && self.ledger.is_silent()
    }

    pub(super) fn session_deadline(&self) -> Option<Duration> {
        if let Some(loss) = &self.session.loss {
            if loss.for_good {
                return None;
            }
            let moment = (loss.since + MOMENT).max(self.now);
            let waits = !loss.moment_played && self.moment_is_due(loss);
            return [
                Some(loss.since + RETURNS),
                self.session.next_attempt,
                waits.then_some(moment),
            ]
            .into_iter()
            .flatten()
            .min();
        }
        let since = self.session.since.filter(|_| self.ending.is_none())?;
        if self.session.next_attempt.is_some() {
            return self.session.next_attempt;
        }
        if self.session.opening {
            return None;
        }
        let due = if self.session.offered && self.is_restful() {
            since
        } else if self.session.offered {
            since + TOO_OLD
        } else if self.is_restful() {
            since + OLD
        } else {
            // A little earlier, so that it is open in time.
            (since + TOO_OLD).saturating_sub(AGAIN)
        };
        Some(due)
    }

    pub(super) fn session_on_time(&mut self) {
        if self.session_deadline().is_none_or(|at| at > self.now) {
            return;
        }
        let Some(loss) = &self.session.loss else {
            if self.session.offered {
                self.take_over();
            } else {
                self.open_session();
            }
            return;
        };
        if loss.since + RETURNS <= self.now {
            let why = format!("{} It did not come back.", loss.why);
            return self.hang_up(End::ModelGone(why));
        }
        if self.session.next_attempt.is_some_and(|at| at <= self.now) {
            return self.open_session();
        }
        let waits = loss.since + MOMENT <= self.now && !loss.moment_played;
        if waits && self.moment_is_due(loss) {
            if let Some(loss) = &mut self.session.loss {
                loss.moment_played = true;
            }
            self.play_moment();
        }
    }

    /// The callee waits, and nobody says anything.
    fn moment_is_due(&self, loss: &Loss) -> bool {
        (loss.due || loss.voiced >= SPOKE)
            && !loss.voiced_now
            && self.moment.is_held()
            && self.is_conversing()
            && self.ledger.is_silent()
            && self.ending.is_none()
            && !self.is_on_hold()
            && self.pressing.is_none()
    }

    /// A frame of the callee while no model listens.
    pub(super) fn heard_by_nobody(&mut self, frame: &super::Audio) {
        if let Some(loss) = &mut self.session.loss {
            loss.voiced_now = frame.loudness() >= VOICE;
            if loss.voiced_now {
                let length = Duration::from_millis(frame.samples() / SAMPLES_PER_MS);
                loss.voiced = loss.voiced.saturating_add(length);
            }
        }
    }

    /// Plays what was made for this while the phone rang.
    fn play_moment(&mut self) {
        let Some((name, text, audio)) = self.moment.next() else {
            return;
        };
        for piece in &audio {
            self.send_audio(&name, piece);
        }
        self.ledger.text(&name, &text);
        let out = &mut self.out;
        self.ledger
            .complete(&name, |to: ToCarrier| out.push_back(Output::Carrier(to)));
        // No session knows it as an item.
        self.ledger.disown();
    }

    /// A line of the callee, shown and remembered.
    pub(super) fn callee_line(&mut self, slot: u32, at: Duration, text: &str) {
        self.memory.callee(slot, text);
        self.publish(Change::Line {
            slot,
            at,
            role: super::Role::Caller,
            text: text.to_owned(),
        });
    }
}
