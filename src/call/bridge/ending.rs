//! The ending: the goodbye is heard to its end, then the line is hung up, once.

use std::time::Duration;

use super::event::{Change, End, Output, Respond};
use super::gate::Closed;
use super::{Bridge, earliest};
use crate::call::snapshot::Outcome;

/// How long the end of a goodbye may be confirmed after it should have been heard.
const CONFIRMATION: Duration = Duration::from_secs(2);

/// How long the model may take to begin a goodbye.
const GOODBYE_BEGINS: Duration = Duration::from_secs(6);

/// How long before its maximum a call is told to wrap up.
const WRAP_UP: Duration = Duration::from_secs(20);

/// Calls shorter than this are not told.
const WRAP_UP_FROM: Duration = Duration::from_secs(25);

/// What a last sentence may take beyond the maximum.
const LAST_SENTENCE: Duration = Duration::from_secs(5);

/// A callee who speaks this long during the goodbye has more to say.
const INSISTS: Duration = Duration::from_millis(1_500);

/// Tells the model that the call goes on.
const KEPT: &str = "The line was not hung up, because the other person is still speaking. Answer \
                    them. When you are done, say goodbye and call end_call again.";

/// Asks for a goodbye that the model forgot.
const GOODBYE: &str = "Say goodbye in one short, friendly sentence in the language of the call. \
                       Say nothing else.";

/// Tells the model that the end is near.
const WRAP_UP_NOW: &str = "The call must end in 20 seconds. Wrap up now: say what was agreed, say \
                           goodbye, and call end_call.";

/// Asks for the last sentence of a call that has reached its maximum.
const TIME_IS_UP: &str = "The time for this call is up. Say so and say goodbye, in one short \
                          sentence in the language of the call.";

/// A call that is about to end.
#[derive(Debug)]
pub(super) struct Ending {
    end: End,
    began: Duration,
    /// The goodbye is over by then, or the line is hung up without it.
    deadline: Duration,
    /// Nothing moves the deadline beyond this.
    latest: Duration,
    /// The response that decided to end the call is still going on; what it says may be the goodbye.
    deciding: bool,
}

impl Ending {
    /// It is that of a message for a mailbox.
    pub(super) fn is_voicemail(&self) -> bool {
        self.end == End::Voicemail
    }
}

impl Bridge {
    /// The model ends the call.
    pub(super) fn model_ends(&mut self, summary: String, outcome: Outcome) {
        self.publish(Change::Verdict { summary, outcome });
        if self.ending.is_some() {
            return;
        }
        let end = if outcome == Outcome::Voicemail {
            End::Voicemail
        } else {
            End::Completed
        };
        self.begin_ending(end, self.now + 5 * GOODBYE_BEGINS);
        if let Some(ending) = &mut self.ending {
            ending.deciding = self.gate.active().is_some();
        }
    }

    pub(super) fn begin_ending(&mut self, end: End, latest: Duration) {
        let deadline =
            (self.now + self.ledger.queued() + CONFIRMATION + GOODBYE_BEGINS).min(latest);
        self.ending = Some(Ending {
            end,
            began: self.now,
            deadline,
            latest,
            deciding: false,
        });
        self.gate.drop_queue();
        let close = self.gate.close(Closed::Ending);
        self.tell_model(close);
    }

    /// The response that ended the call is over: if nothing was said since the callee spoke, a
    /// goodbye is asked for.
    pub(super) fn decide_goodbye(&mut self) {
        let Some(ending) = self.ending.as_mut().filter(|ending| ending.deciding) else {
            return;
        };
        ending.deciding = false;
        if self.agent_spoke_last {
            self.goodbye_moves();
        } else {
            self.ask_for(GOODBYE);
        }
    }

    pub(super) fn ask_for(&mut self, instructions: &str) {
        let ask = self.gate.ask(Respond {
            instructions: Some(instructions.into()),
            speech_only: true,
            aside: false,
        });
        self.tell_model(ask);
    }

    /// The model is gone, and its goodbye is all there is.
    pub(super) fn decide_nothing_more(&mut self) {
        if let Some(ending) = &mut self.ending {
            ending.deciding = false;
        }
        self.goodbye_moves();
    }

    /// What was asked for is under way, and nothing of it has come.
    pub(super) fn goodbye_is_due(&self) -> bool {
        let decided = self.ending.as_ref().is_some_and(|ending| !ending.deciding);
        decided && self.gate.is_granted() && !self.response.spoke
    }

    /// The model is gone for so long at most; what is still to be said has its time after that.
    pub(super) fn goodbye_waits(&mut self, gone: Duration) {
        let by = self.now + gone + GOODBYE_BEGINS + CONFIRMATION;
        if let Some(ending) = &mut self.ending {
            ending.deadline = ending.deadline.max(by).min(ending.latest);
        }
    }

    /// Another session is there while the call ends: what is missing of the last words is asked of it.
    pub(super) fn goodbye_goes_on(&mut self) {
        self.goodbye_waits(Duration::ZERO);
        if !self.message_again() {
            self.decide_goodbye();
        }
    }

    /// The stream is back while the call ends: of the last words, what was lost with it is said again.
    pub(super) fn goodbye_again(&mut self) {
        self.goodbye_waits(Duration::ZERO);
        if !self.message_again() && !self.gate.is_busy() && !self.model_is_lost() {
            self.ask_for(GOODBYE);
        }
    }

    /// Agent audio was sent while the call ends: the line stays until it has been heard.
    pub(super) fn goodbye_moves(&mut self) {
        if let Some(ending) = &mut self.ending {
            let heard = self.now + self.ledger.queued() + CONFIRMATION;
            ending.deadline = heard.min(ending.latest);
        }
    }

    /// The maximum comes sooner: the model is told at once, unless it was told or nothing is left.
    pub(super) fn end_within(&mut self, left: Duration) {
        let elapsed = self
            .now
            .saturating_sub(self.carrier.answered.unwrap_or(self.now));
        let sooner = elapsed.saturating_add(left);
        if sooner >= self.settings.max_duration {
            return;
        }
        self.settings.max_duration = sooner;
        let told = std::mem::replace(&mut self.wrapped_up, true);
        if !told && self.ending.is_none() && !left.is_zero() {
            self.tell(WRAP_UP_NOW);
        }
    }

    fn maximum(&self) -> Option<Duration> {
        Some(self.carrier.answered? + self.settings.max_duration)
    }

    fn wrap_up_at(&self) -> Option<Duration> {
        let told =
            self.wrapped_up || self.ending.is_some() || self.settings.max_duration < WRAP_UP_FROM;
        if told {
            None
        } else {
            Some(self.maximum()?.saturating_sub(WRAP_UP))
        }
    }

    fn time_up_at(&self) -> Option<Duration> {
        let first = self
            .ending
            .as_ref()
            .is_none_or(|ending| ending.end != End::TimedOut);
        if first {
            self.maximum().filter(|_| !self.time_up)
        } else {
            None
        }
    }

    /// The ending that the callee can still talk us out of: once a call, and only one that the
    /// model chose while there was time.
    fn withdrawable(&self) -> Option<&Ending> {
        let ending = self.ending.as_ref()?;
        (ending.end == End::Completed && !self.kept_line && !self.time_up).then_some(ending)
    }

    /// When the callee, who is speaking, will have spoken for so long that the line is kept.
    fn insists_at(&self) -> Option<Duration> {
        let ending = self.withdrawable()?;
        let (_, began) = self.speech.filter(|_| self.gate.callee_speaks())?;
        Some(began.max(ending.began) + INSISTS)
    }

    /// The next moment at which the ending must act.
    pub(super) fn ending_deadline(&self) -> Option<Duration> {
        let goodbye = self.ending.as_ref().map(|ending| ending.deadline);
        earliest([
            goodbye,
            self.insists_at(),
            self.wrap_up_at(),
            self.time_up_at(),
        ])
    }

    /// Wraps up, ends at the maximum, and hangs up when the goodbye has been heard.
    pub(super) fn ending_on_time(&mut self) {
        if self.wrap_up_at().is_some_and(|at| at <= self.now) {
            self.wrapped_up = true;
            self.tell(WRAP_UP_NOW);
        }
        if self.time_up_at().is_some_and(|at| at <= self.now) {
            self.end_for_time();
        }
        let Some(ending) = &self.ending else { return };
        let waits = self.model_is_lost() && self.message_is_due();
        // Without a stream nothing can be heard to its end; it has its own time to come back.
        let heard = self.ledger.is_silent() && self.carrier.attached.is_some();
        let said = !ending.deciding && !waits && !self.gate.is_busy() && heard;
        let over = said || ending.deadline <= self.now;
        let still_speaking = over && self.withdrawable().is_some() && self.gate.callee_speaks();
        if still_speaking || self.insists_at().is_some_and(|at| at <= self.now) {
            self.keep_line();
        } else if over {
            let end = ending.end.clone();
            self.hang_up(end);
        }
    }

    /// The callee has more to say: the hang-up is withdrawn.
    fn keep_line(&mut self) {
        self.ending = None;
        self.kept_line = true;
        self.barge_in();
        self.publish(Change::VerdictWithdrawn);
        self.tell(KEPT);
        let open = self.gate.open(Closed::Ending);
        self.tell_model(open);
    }

    /// Nobody says anything any more, and nobody reacted when asked: goodbye.
    pub(super) fn end_for_silence(&mut self, instructions: &str) {
        self.begin_ending(End::Completed, self.now + 5 * GOODBYE_BEGINS);
        self.ask_for(instructions);
    }

    fn end_for_time(&mut self) {
        self.time_up = true;
        let latest = self.now + LAST_SENTENCE;
        if let Some(ending) = &mut self.ending {
            ending.latest = latest;
            ending.deadline = ending.deadline.min(latest);
            return;
        }
        let speaking = self.gate.is_busy() || !self.ledger.is_silent();
        self.begin_ending(End::TimedOut, latest);
        if !speaking && self.is_conversing() {
            self.ask_for(TIME_IS_UP);
        }
    }

    /// Ends the call: publishes what was heard of the last words, and asks for the line to be hung
    /// up. Nothing is said or done after that.
    pub(super) fn hang_up(&mut self, end: End) {
        if self.over {
            return;
        }
        let leaves_message = (self.ending.as_ref()).is_some_and(|to| to.end == End::Voicemail);
        let end = match self.end_on_mailbox(end) {
            // A machine that cuts the line is still one.
            End::CalleeHungUp if leaves_message => End::Voicemail,
            end => end,
        };
        for cut in self.ledger.cut() {
            self.publish_spoken(cut.spoken);
        }
        self.out.push_back(Output::HangUp(end));
        self.over = true;
    }
}
