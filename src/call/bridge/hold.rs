//! On hold: the agent says nothing until a person speaks to it. The model judges that on each turn
//! it hears, and music or an announcement is none.

use std::time::Duration;

use serde_json::json;

use super::Bridge;
use super::event::Change;
use super::gate::Closed;
use crate::call::snapshot::Role;

/// Says goodbye to a line on which nobody comes back.
const HELD_TOO_LONG: &str = "You have been on hold for too long. Say in one short sentence, in the \
                             language of the call, that you will try again another time, and \
                             goodbye. Say nothing else.";

/// Time on hold, all in all.
#[derive(Debug, Default)]
pub(super) struct Hold {
    since: Option<Duration>,
    before: Duration,
}

impl Bridge {
    pub(super) fn is_on_hold(&self) -> bool {
        self.hold.since.is_some()
    }

    /// The model has taken it for a line that asks to wait, now or before.
    pub(super) fn was_on_hold(&self) -> bool {
        self.is_on_hold() || !self.hold.before.is_zero()
    }

    /// The model waits, or goes on waiting.
    pub(super) fn wait(&mut self, call: &str, reason: &str) {
        let going_on = self.is_on_hold();
        if self.ending.is_some() {
            return self.answer_call(call, &json!({ "error": "The call is ending." }));
        }
        self.answer_call(
            call,
            &json!({
                "waiting": true,
                "next": "Say nothing. Each time something is heard you are asked: call wait again \
                         unless a person speaks to you.",
            }),
        );
        if going_on {
            return;
        }
        self.hold.since = Some(self.now);
        let (slot, at) = (self.slot(), self.now);
        self.publish(Change::Line {
            slot,
            at,
            role: Role::System,
            text: match reason {
                "" => "On hold.".to_owned(),
                reason => format!("On hold: {reason}"),
            },
        });
        let close = self.gate.close(Closed::Hold);
        self.tell_model(close);
    }

    /// A response is over that did not ask to wait: if it said or did something, the hold is over.
    pub(super) fn hold_is_over(&mut self) {
        let Some(since) = self.hold.since.take() else {
            return;
        };
        self.hold.before += self.now.saturating_sub(since);
        let open = self.gate.open(Closed::Hold);
        self.tell_model(open);
    }

    pub(super) fn hold_deadline(&self) -> Option<Duration> {
        let since = self.hold.since.filter(|_| self.ending.is_none())?;
        Some(since + self.settings.hold.saturating_sub(self.hold.before))
    }

    pub(super) fn hold_on_time(&mut self) {
        if self.hold_deadline().is_some_and(|at| at <= self.now) {
            self.hold_is_over();
            // Music does not keep the line.
            self.kept_line = true;
            self.end_for_silence(HELD_TOO_LONG);
        }
    }
}
