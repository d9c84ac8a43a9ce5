//! A new session begins by hearing what the callee said while there was none. What it notices in that
//! is over since long, so it interrupts nobody; it is answered like any other turn, and an answer that
//! was owed is owed for it. Only if nothing is noticed, the answer is asked for.

use std::time::Duration;

use super::opening::Opening;
use super::{Bridge, UNINTELLIGIBLE};

/// A session takes this long at most to notice what it hears first.
const CATCHES_UP: Duration = Duration::from_millis(1_500);

/// Tells the model what it has missed for good.
const MISSED: &str = "The other person has just said something that could not be made out. Ask them \
                      to say it again.";

/// See the module.
#[derive(Debug)]
pub(super) struct CatchUp {
    until: Duration,
    /// A turn of the callee is in it.
    has_turn: bool,
    /// The callee waits for an answer.
    pub(super) owed: bool,
    /// The session has noticed that somebody spoke.
    noticed: bool,
}

impl Bridge {
    /// The session has been given what was kept of the callee.
    pub(super) fn begin_catching_up(&mut self, has_turn: bool, owed: bool) {
        self.session.catching_up = Some(CatchUp {
            until: self.now + CATCHES_UP,
            has_turn,
            owed: owed && matches!(self.opening, Opening::Done),
            noticed: false,
        });
    }

    /// What the session hears may be over since long.
    pub(super) fn is_catching_up(&self) -> bool {
        self.catching_up_deadline()
            .is_some_and(|until| self.now < until)
    }

    pub(super) fn catching_up_deadline(&self) -> Option<Duration> {
        self.session.catching_up.as_ref().map(|what| what.until)
    }

    /// It hears a turn of the callee.
    pub(super) fn speech_is_noticed(&mut self) {
        if let Some(what) = &mut self.session.catching_up {
            what.noticed = true;
        }
    }

    /// It has heard a turn to its end: the next one is said now.
    pub(super) fn has_caught_up(&mut self) {
        self.session.catching_up = None;
    }

    /// The session is gone. Returns whether it had not heard a turn that is kept, and whether it owed
    /// an answer all the same.
    pub(super) fn give_up_catching_up(&mut self) -> Option<(bool, bool)> {
        let what = self.session.catching_up.take()?;
        (self.now < what.until).then_some((what.has_turn, what.owed))
    }

    /// Nothing was noticed: an answer that was owed is asked for.
    pub(super) fn catching_up_on_time(&mut self) {
        if self.catching_up_deadline().is_none_or(|at| at > self.now) {
            return;
        }
        let Some(what) = self.session.catching_up.take() else {
            return;
        };
        if what.noticed {
            return;
        }
        self.utterance.clear();
        let missed = self.speech.take();
        if let Some((slot, at)) = missed {
            self.callee_line(slot, at, UNINTELLIGIBLE);
        }
        if what.owed {
            if missed.is_some() {
                self.tell(MISSED);
            }
            let answer = self.gate.owe_answer();
            self.tell_model(answer);
        }
    }
}
