//! Keys that the agent presses: what it is saying is heard first, then the carrier presses them and
//! the conversation goes on with a new stream.

use std::time::Duration;

use serde_json::json;

use super::Bridge;
use super::event::{Change, End, KeysAnswer, Output, ToModel};
use super::gate::Closed;
use crate::call::snapshot::Role;

/// For what is being said to be heard, before keys are pressed all the same.
const HEARD_WITHIN: Duration = Duration::from_secs(20);

/// How much later than its length the end of what is said may be confirmed.
const CONFIRMATION: Duration = Duration::from_secs(2);

/// For the carrier to answer the request, tries included.
const CARRIER_ANSWERS: Duration = Duration::from_secs(20);

/// For the new stream, beyond the time that the keys take.
const STREAM_FOLLOWS: Duration = Duration::from_secs(6);

/// A key takes no longer than this, and a pause exactly this long.
const PER_KEY: Duration = Duration::from_millis(500);

/// The output of keys that may or may not have been pressed.
const UNKNOWN: &str = "It is unknown whether the keys were pressed. Listen to what you hear before you \
                       press them again.";

/// Tells the model what it was told to be unknown.
const AFTER_ALL: &str = "The keys of which it was unknown have been pressed after all:";

/// How long after the request for them a stream may come that follows so many keys and pauses.
pub(in crate::call) fn keys_take(keys: usize) -> Duration {
    CARRIER_ANSWERS + stream_follows(keys)
}

/// The same after the carrier's answer.
fn stream_follows(keys: usize) -> Duration {
    let keys = u32::try_from(keys).unwrap_or(u32::MAX);
    PER_KEY * keys.saturating_add(2) + STREAM_FOLLOWS
}

/// Keys on their way to the callee.
#[derive(Debug)]
pub(super) struct Pressing {
    number: u32,
    /// The function call that asked for it, which awaits its output.
    call: String,
    digits: String,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// What the agent is saying is heard first, but not longer than this is waited.
    Queued { latest: Duration },
    /// The carrier was asked, and answers by then.
    Sent { by: Duration },
    /// It has answered, and `sure`ly will press them; a new stream must follow by then.
    Taken { by: Duration, sure: bool },
}

/// Keys of which the model was told that nobody knows whether they were pressed.
#[derive(Debug)]
pub(super) struct Doubtful {
    number: u32,
    digits: String,
    /// A stream that follows them comes by then, if it does.
    by: Duration,
}

impl Bridge {
    /// The model wants keys pressed. Its function call is answered when they were.
    pub(super) fn press_keys(&mut self, call: &str, digits: String) {
        let why_not = if self.ending.is_some() {
            Some("The call is ending; nothing was pressed.")
        } else if self.pressing.is_some() {
            Some("Other keys are just being pressed; these were not.")
        } else {
            None
        };
        if let Some(why) = why_not {
            return self.answer_call(call, &json!({ "error": why }));
        }
        self.presses = self.presses.wrapping_add(1);
        self.pressing = Some(Pressing {
            number: self.presses,
            call: call.to_owned(),
            digits,
            stage: Stage::Queued {
                latest: self.now + HEARD_WITHIN,
            },
        });
        let close = self.gate.close(Closed::Keys);
        self.tell_model(close);
        let patience = self.gate.be_patient(true);
        self.tell_model(patience);
    }

    /// The response that wanted keys is over: so much is left to be heard.
    pub(super) fn keys_follow(&mut self) {
        let heard = self.now + self.ledger.queued() + CONFIRMATION;
        if let Some(Pressing {
            stage: Stage::Queued { latest },
            ..
        }) = &mut self.pressing
        {
            *latest = heard.min(*latest);
        }
    }

    /// The carrier was asked to press keys: the stream goes away, and that is no hang-up.
    pub(super) fn keys_are_sent(&self) -> bool {
        let stage = self.pressing.as_ref().map(|pressing| &pressing.stage);
        matches!(stage, Some(Stage::Sent { .. } | Stage::Taken { .. }))
    }

    pub(super) fn keys_deadline(&self) -> Option<Duration> {
        match self.pressing.as_ref()?.stage {
            // A lost stream comes back, or the call ends.
            Stage::Queued { latest } => self.carrier.attached.map(|_| latest),
            Stage::Sent { by } | Stage::Taken { by, .. } => Some(by),
        }
    }

    pub(super) fn keys_on_time(&mut self) {
        let Some(pressing) = &self.pressing else {
            return;
        };
        match pressing.stage {
            Stage::Queued { .. } if self.ending.is_some() => {
                self.keys_failed("The call is ending; nothing was pressed.");
            }
            Stage::Queued { .. } if self.carrier.attached.is_none() => {}
            Stage::Queued { latest } => {
                let heard = self.ledger.is_silent() && !self.gate.is_busy();
                if heard || latest <= self.now {
                    self.send_keys();
                }
            }
            Stage::Sent { by } | Stage::Taken { by, .. } if by > self.now => {}
            Stage::Sent { .. } | Stage::Taken { .. } if self.carrier.attached.is_none() => {
                self.hang_up(End::CalleeHungUp);
            }
            Stage::Taken { sure: true, .. } => self.keys_failed(
                "The phone network took the keys, but nothing shows that it pressed them. Listen \
                 to what you hear before you press them again.",
            ),
            Stage::Sent { .. } | Stage::Taken { .. } => self.keys_failed(UNKNOWN),
        }
    }

    fn send_keys(&mut self) {
        let by = self.now + CARRIER_ANSWERS;
        if let Some(pressing) = &mut self.pressing {
            pressing.stage = Stage::Sent { by };
            let (number, digits) = (pressing.number, pressing.digits.clone());
            self.out.push_back(Output::PressKeys { number, digits });
        }
    }

    /// The carrier has answered, or nobody knows whether it has heard.
    pub(super) fn keys_answered(&mut self, answer: KeysAnswer) {
        let Some(pressing) = &mut self.pressing else {
            return;
        };
        let Stage::Sent { .. } = &pressing.stage else {
            return;
        };
        if let KeysAnswer::Refused(why) = answer {
            if self.carrier.attached.is_none() {
                self.carrier.lost = Some(self.now);
            }
            return self.keys_failed(&format!("The keys were not pressed: {why}"));
        }
        pressing.stage = Stage::Taken {
            by: self.now + stream_follows(pressing.digits.len()),
            sure: answer == KeysAnswer::Taken,
        };
    }

    /// The stream is there that follows these keys.
    pub(super) fn keys_were_pressed(&mut self, number: u32) {
        let awaited = (self.pressing.take_if(|keys| keys.number == number))
            .ok_or_else(|| self.doubtful.take_if(|keys| keys.number == number));
        let pressing = match awaited {
            Ok(pressing) => pressing,
            Err(Some(keys)) => {
                let keys = self.keys_line(&keys.digits);
                return self.tell(&format!("{AFTER_ALL} {keys}"));
            }
            // Older ones, of which the model has heard all that is known.
            Err(None) => return self.line_is_back(),
        };
        let keys = self.keys_line(&pressing.digits);
        self.answer_call(
            &pressing.call,
            &json!({
                "pressed": keys,
                "next": "Listen. What was said while the keys were pressed could not be heard.",
            }),
        );
        // What the menu said before is answered by the keys.
        self.gate.consider_answered();
        self.awaiting_answer = None;
        let open = self.gate.open(Closed::Keys);
        self.tell_model(open);
    }

    /// In the transcript, what was pressed, which it returns.
    fn keys_line(&mut self, digits: &str) -> String {
        let keys = digits.replace('w', "");
        let (slot, at) = (self.slot(), self.now);
        let text = format!("Keys pressed by the agent: {keys}");
        self.publish(Change::Line {
            slot,
            at,
            role: Role::System,
            text,
        });
        keys
    }

    /// A stream is there that does not follow the keys. If the carrier has taken them, it may be what
    /// came after the stream that did and was lost, or they may be pressed in a moment: nobody can
    /// tell, and the model hears what the line says. A carrier that has not answered yet will.
    pub(super) fn keys_may_be_pressed(&mut self) {
        let taken = |keys: &mut Pressing| matches!(keys.stage, Stage::Taken { .. });
        if let Some(pressing) = self.pressing.take_if(taken) {
            self.keys_in_doubt(pressing, UNKNOWN);
        }
    }

    /// Nothing was pressed, as far as is known: the model must find another way.
    fn keys_failed(&mut self, why: &str) {
        let Some(pressing) = self.pressing.take() else {
            return;
        };
        self.keys_in_doubt(pressing, why);
        if self.ending.is_none() {
            let answer = self.gate.owe_answer();
            self.tell_model(answer);
        }
    }

    fn keys_in_doubt(&mut self, pressing: Pressing, why: &str) {
        self.answer_call(&pressing.call, &json!({ "error": why }));
        let by = match pressing.stage {
            Stage::Taken { by, .. } => Some(by),
            Stage::Sent { by } => Some(by).filter(|by| *by <= self.now),
            Stage::Queued { .. } => None,
        };
        if let Some(by) = by {
            let Pressing { number, digits, .. } = pressing;
            self.doubtful = Some(Doubtful { number, digits, by });
        }
        let open = self.gate.open(Closed::Keys);
        self.tell_model(open);
    }

    /// Until when a stream that is lost may have been taken away by keys.
    pub(super) fn doubt_ends(&self) -> Option<Duration> {
        self.doubtful.as_ref().map(|keys| keys.by)
    }

    /// Gives a function call of the model its output. A session that did not make the call learns of
    /// it in words.
    pub(super) fn answer_call(&mut self, call: &str, output: &serde_json::Value) {
        let (call, output) = (call.to_owned(), output.to_string());
        let lost = self.model_is_lost();
        match self.memory.answered(self.session.number, &call, &output) {
            // It is replayed with its output.
            _ if lost => {}
            None => self.send(ToModel::ToolOutput { call, output }),
            Some(name) => self.tell(&format!("Your function {name} has returned: {output}")),
        }
    }
}
