//! Silence on the line: the agent asks once whether anybody is there, and then says goodbye.

use std::time::Duration;

use super::Bridge;
use super::opening::Opening;

/// Asks whether anybody is there.
const STILL_THERE: &str = "Nobody has spoken for a while. Ask briefly, in the language of the call, \
                           whether the other person is still there. Say nothing else.";

/// Says goodbye to nobody.
const NOBODY_THERE: &str = "The other person does not react any more. Say goodbye in one short \
                            sentence in the language of the call. Say nothing else.";

impl Bridge {
    /// The greeting has been heard, a stream is there, and nobody is ending the call.
    pub(super) fn is_conversing(&self) -> bool {
        matches!(self.opening, Opening::Done) && self.carrier.attached.is_some()
    }

    /// Nobody speaks, and nobody is about to. What closes the gate (a lost stream, the end) also
    /// stops this clock.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_conversing()
            && !self.model_is_lost()
            && self.gate.is_open()
            && !self.gate.callee_speaks()
            && !self.gate.is_busy()
            && self.ledger.is_silent()
            && self.keys.is_none()
    }

    /// When the silence will have lasted too long.
    pub(super) fn silence_deadline(&self) -> Option<Duration> {
        let patience = if self.asked_if_there {
            self.settings.silence.mul_f64(1.5)
        } else {
            self.settings.silence
        };
        Some(self.quiet_since? + patience)
    }

    /// Keeps the time of the silence, and acts when it has lasted too long.
    pub(super) fn silence_on_time(&mut self) {
        if !self.is_quiet() {
            self.quiet_since = None;
            return;
        }
        self.quiet_since.get_or_insert(self.now);
        if self.silence_deadline().is_none_or(|at| at > self.now) {
            return;
        }
        self.quiet_since = None;
        if self.host_is_asked() {
            self.reassure();
        } else if self.asked_if_there {
            self.end_for_silence(NOBODY_THERE);
        } else {
            self.asked_if_there = true;
            self.ask_for(STILL_THERE);
        }
    }
}
