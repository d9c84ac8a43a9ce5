//! The model's session comes and goes, the conversation stays: a session that is lost is replaced
//! within seconds, one that grows old in a quiet moment, and the new one is told what was said.

use std::time::Duration;

use super::catch_up::CatchUp;
use super::event::{Change, End, Output, ToModel};
use super::loss::{Loss, Presence, RETURNS};
use super::opening::Opening;
use super::{Bridge, earliest};

/// Sessions last an hour at most. From this age on, one is replaced when nobody speaks.
const OLD: Duration = Duration::from_secs(55 * 60);

/// By this age it is replaced, whoever speaks.
const TOO_OLD: Duration = Duration::from_secs(59 * 60);

/// After an attempt to replace an old session that failed.
const AGAIN: Duration = Duration::from_secs(30);

/// The model's session, as an attachment.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Sessions are counted: the output of a function means something to the one that called it.
    pub(super) number: u32,
    /// When the present one was configured.
    since: Option<Duration>,
    pub(super) presence: Presence,
    /// Another one is being opened.
    opening: bool,
    /// It is open, and waits to take over.
    offered: bool,
    /// When the next attempt to open one is due.
    pub(super) next_attempt: Option<Duration>,
    /// The present one hears what was said before it was there.
    pub(super) catching_up: Option<CatchUp>,
}

impl Bridge {
    /// Says something to the model, if there is one.
    pub(super) fn send(&mut self, to: ToModel) {
        if !self.model_is_lost() {
            self.out.push_back(Output::Model(to));
        }
    }

    /// The first session has accepted its configuration.
    pub(super) fn session_begins(&mut self) {
        self.session.since = Some(self.now);
    }

    /// The session is gone; with `returns`, another one would work.
    pub(super) fn model_lost(&mut self, why: &str, returns: bool) {
        if self.model_is_lost() {
            return;
        }
        if self.all_is_said() {
            self.forget_session();
            self.session.presence = Presence::Over;
            // What was said of it is heard to its end, and nobody can talk us out of it any more.
            self.kept_line = true;
            self.decide_nothing_more();
            self.gate.drop_queue();
            return;
        }
        let worked = self.session.since.is_some();
        if !(returns && worked) {
            return self.hang_up(End::ModelGone(why.to_owned()));
        }
        let was_catching_up = self.is_catching_up();
        let has_turn = self.forget_session();
        self.session.next_attempt = None;
        let mut loss = Loss::new(self.now, why);
        if let Some(unfinished) = self.unfinished_loss() {
            loss = unfinished.goes_on(why, was_catching_up);
            self.session.next_attempt = Some(self.now + loss.pause());
        }
        loss.due = std::mem::take(&mut self.answer_due);
        loss.has_turn = has_turn;
        self.session.presence = Presence::Absent(loss);
        self.goodbye_waits(RETURNS);
        if self.session.offered {
            self.take_over();
        } else if self.session.next_attempt.is_none() {
            self.open_session();
        }
    }

    /// The call ends, and what the agent had to say before that has all its sound.
    fn all_is_said(&self) -> bool {
        self.ending.is_some()
            && self.agent_spoke_last
            && !self.gate.is_asking()
            && !self.goodbye_is_due()
            && !self.message_is_due()
    }

    fn open_session(&mut self) {
        self.session.next_attempt = None;
        if !std::mem::replace(&mut self.session.opening, true) {
            self.out.push_back(Output::OpenModel);
        }
    }

    /// What was under way in the session does not come any more. Returns whether a turn of the callee
    /// is kept for the next one.
    fn forget_session(&mut self) -> bool {
        // A response of which all sound has come misses nothing.
        let whole = self.response.spoke && self.ledger.is_complete();
        let making = self.draft().is_some();
        let cut_short = self.is_saying() && !whole && !making;
        let owed = self.gate.leave(self.response.spoke);
        let caught_up = self.give_up_catching_up();
        self.answer_due = (owed
            || cut_short
            || self.awaiting_answer.is_some()
            || caught_up.is_some_and(|(_, owed)| owed))
            && matches!(self.opening, Opening::Playing { .. } | Opening::Done);
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
        self.keep_last_turn(caught_up.map(|(has_turn, _)| has_turn))
    }

    /// What the callee said and was not answered is said again to the next session. Of earlier turns
    /// the words do not come any more. `unheard` is what the session was given to hear and may not
    /// have heard, if so: with a turn in it or without. Returns whether a turn is kept.
    fn keep_last_turn(&mut self, unheard: Option<bool>) -> bool {
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
        if self.speech.is_some() || unheard.is_some() {
            self.early = std::mem::take(&mut self.utterance);
        } else {
            self.utterance.clear();
        }
        heard && (self.speech.is_some() || unheard == Some(true))
    }

    /// Another session is open and configured.
    pub(super) fn model_offered(&mut self) {
        if !std::mem::take(&mut self.session.opening) {
            return;
        }
        match &self.session.presence {
            Presence::Over => {}
            Presence::Absent(_) => self.take_over(),
            Presence::Sound | Presence::Probation { .. } => self.session.offered = true,
        }
    }

    /// The session that was offered is gone: another one is opened later.
    pub(super) fn model_withdrawn(&mut self) {
        if std::mem::take(&mut self.session.offered) {
            self.session.next_attempt = Some(self.now + AGAIN);
        }
    }

    /// No other session could be opened.
    pub(super) fn model_not_opened(&mut self, why: &str, returns: bool) {
        if !std::mem::take(&mut self.session.opening) {
            return;
        }
        let pause = match &mut self.session.presence {
            Presence::Absent(_) if !returns => {
                return self.hang_up(End::ModelGone(why.to_owned()));
            }
            Presence::Absent(loss) => loss.pause(),
            _ => AGAIN,
        };
        self.session.next_attempt = Some(self.now + pause);
    }

    /// The new session becomes the model of this conversation.
    fn take_over(&mut self) {
        let lost = std::mem::take(&mut self.session.presence);
        let (due, has_turn, is_audible);
        if let Presence::Absent(loss) = lost {
            (due, has_turn, is_audible) = (loss.due, loss.has_turn, loss.is_audible());
            self.begin_probation(loss);
        } else {
            has_turn = self.forget_session();
            is_audible = has_turn;
            due = std::mem::take(&mut self.answer_due);
        }
        self.out.push_back(Output::TakeModel);
        self.session.number = self.session.number.wrapping_add(1);
        self.session.since = Some(self.now);
        self.session.offered = false;
        self.session.next_attempt = None;
        self.model_ready = true;
        for item in self.memory.replay(self.ledger.saying()) {
            self.send(item);
        }
        self.recall_question();
        // Kept until it is answered: this session may be lost, too.
        self.utterance = std::mem::take(&mut self.early);
        for frame in self.utterance.frames() {
            self.out.push_back(Output::Model(ToModel::Audio(frame)));
        }
        // A turn that it hears is answered when it has heard it.
        let hears = is_audible && !self.utterance.is_empty();
        if !self.utterance.is_empty() {
            self.begin_catching_up(has_turn, hears && (due || has_turn));
        }
        let turns = self.gate.join(due && !hears);
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
        self.goodbye_goes_on();
    }

    /// Nobody speaks, and nobody is about to: a session may be replaced without anybody noticing.
    fn is_restful(&self) -> bool {
        self.model_ready
            && self.gate.is_settled()
            && !self.gate.callee_speaks()
            && !self.gate.is_busy()
            && self.awaiting_answer.is_none()
            && self.callee_turns.is_empty()
            && self.ledger.is_silent()
    }

    pub(super) fn session_deadline(&self) -> Option<Duration> {
        match &self.session.presence {
            Presence::Over => None,
            Presence::Absent(loss) => self.loss_deadline(loss),
            Presence::Sound | Presence::Probation { .. } => {
                earliest([self.catching_up_deadline(), self.renewal_deadline()])
            }
        }
    }

    /// When the present session is to be replaced because of its age, or another one opened for that.
    fn renewal_deadline(&self) -> Option<Duration> {
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
        match &self.session.presence {
            Presence::Over => {}
            Presence::Absent(loss) if loss.since + RETURNS <= self.now => {
                let why = format!("{} It did not come back.", loss.why);
                // A tape that waits for a message is no callee who waits for an apology.
                let end = if self.speaks_to_mailbox() {
                    End::Voicemail
                } else {
                    End::ModelGone(why)
                };
                self.hang_up(end);
            }
            Presence::Absent(_) => {
                if self.session.next_attempt.is_some_and(|at| at <= self.now) {
                    self.open_session();
                }
                self.moment_on_time();
            }
            Presence::Sound | Presence::Probation { .. } => {
                self.catching_up_on_time();
                if self.renewal_deadline().is_some_and(|at| at <= self.now) {
                    self.renew_session();
                }
            }
        }
    }

    fn renew_session(&mut self) {
        if self.session.offered {
            self.take_over();
        } else {
            self.open_session();
        }
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
