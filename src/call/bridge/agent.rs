//! The agent's side: what the model says, calls and refuses.

use std::time::Duration;

use serde_json::json;

use super::event::{Change, End, ErrorKind, Output, Request, ResponseEnding, ToModel};
use super::{Bridge, Response};
use crate::call::audio::Audio;
use crate::call::tool::Tool;

impl Bridge {
    pub(super) fn configured(&mut self) {
        let turn = self.gate.settled(true);
        self.tell_model(turn);
        if self.model_ready {
            return;
        }
        self.model_ready = true;
        self.session_begins();
        self.prepare_greeting(0);
        for frame in std::mem::take(&mut self.early).frames() {
            self.send(ToModel::Audio(frame));
        }
    }

    pub(super) fn response_started(&mut self, response: &str) {
        if self.gate.active() == Some(response) {
            return;
        }
        if self.must_be_moment() {
            return self.aside_started(response);
        }
        let ours = self.gate.started(response);
        self.response = Response {
            began: self.now,
            ..Response::default()
        };
        let in_private = match self.draft() {
            Some(draft) => {
                draft.restart();
                true
            }
            None => false,
        };
        let unheard = !in_private && !self.is_conversing();
        // The model answers by itself what needs no answer: an "mhm" that the agent is talking
        // through, or a last word that it heard before it learned that the call is ending.
        let needless = std::mem::take(&mut self.unanswerable);
        let unwanted = !ours && (self.ending.is_some() || self.pressing.is_some() || needless);
        if unheard || unwanted {
            self.stale_response = Some(response.to_owned());
            self.send(ToModel::Cancel);
        }
        if unheard {
            let later = self.gate.owe_answer();
            self.tell_model(later);
        }
    }

    /// A response to the callee is under way, and was not cut off.
    pub(super) fn is_saying(&self) -> bool {
        !self.gate.is_aside()
            && self.gate.active().is_some()
            && self.gate.active() != self.stale_response.as_deref()
    }

    fn is_current(&self, response: &str) -> bool {
        self.gate.active() == Some(response) && self.is_saying()
    }

    pub(super) fn agent_audio(&mut self, response: &str, item: &str, audio: &Audio) {
        if self.gate.active() != Some(response) || audio.is_empty() {
            return;
        }
        self.response.spoke = true;
        if let Some(draft) = self.draft() {
            draft.audio(item, audio);
            return;
        }
        if !self.is_saying() || self.ledger.is_over(item) {
            return;
        }
        if !self.is_conversing() {
            // It was taken for one that is made in private, and is not.
            self.stale_response = Some(response.to_owned());
            return self.send(ToModel::Cancel);
        }
        if self.ledger.is_full() {
            let why = "The voice model said more at once than anybody can listen to.";
            return self.hang_up(End::ModelGone(why.into()));
        }
        if let Some(asked) = self.awaiting_answer.take() {
            self.publish(Change::TurnLatency(self.now.saturating_sub(asked)));
        }
        self.send_audio(item, audio);
        self.message_begins();
        self.goodbye_moves();
    }

    pub(super) fn send_audio(&mut self, item: &str, audio: &Audio) {
        self.agent_spoke_last = true;
        if self.ledger.is_new(item) {
            let slot = self.slot();
            self.ledger.begin(item, slot, self.now);
        }
        let out = &mut self.out;
        self.ledger
            .send(item, audio, |to| out.push_back(Output::Carrier(to)));
    }

    pub(super) fn tool_call(&mut self, response: &str, call: &str, name: &str, arguments: &str) {
        // A note needs no sound: it counts although the rest of its response was cut off.
        let silent = name == "note" && self.gate.active() == Some(response);
        if !(silent || self.is_current(response)) || self.draft().is_some() {
            return;
        }
        self.response.called = true;
        let session = self.session.number;
        self.memory
            .called(self.slots, session, call, name, arguments);
        let output = match Tool::parse(name, arguments) {
            Ok(Tool::Note { text }) => {
                self.publish(Change::Note(text));
                json!({"ok": true})
            }
            Ok(Tool::EndCall { summary, outcome }) => {
                self.model_ends(summary, outcome);
                json!({"ok": true})
            }
            Ok(Tool::PressKeys { digits }) => {
                self.response.waits = true;
                return self.press_keys(call, digits);
            }
            Ok(Tool::Wait { reason }) => {
                self.response.waits = true;
                return self.wait(call, &reason);
            }
            Ok(Tool::AskHost { question }) => return self.ask_host(call, question),
            Err(why) => {
                self.response.refused = self.is_current(response);
                json!({ "error": why })
            }
        };
        self.answer_call(call, &output);
    }

    pub(super) fn response_ended(&mut self, response: &str, ending: &ResponseEnding<'_>) {
        if self.gate.active() != Some(response) {
            return;
        }
        if !matches!(ending, ResponseEnding::Failed { .. }) {
            self.session_works();
            self.swallows = false;
        }
        let stale = self.stale_response.take_if(|stale| stale == response);
        let was = std::mem::take(&mut self.response);
        let aside = self.gate.is_aside();
        let next = self.gate.ended(response);
        self.tell_model(next);
        if aside {
            return self.review_moment(*ending == ResponseEnding::Completed);
        }
        if self.draft().is_some() {
            if let ResponseEnding::Failed {
                fatal: true,
                message,
            } = ending
            {
                return self.hang_up(End::ModelGone(format!("The voice model failed: {message}")));
            }
            let failure = match ending {
                ResponseEnding::Failed { message, .. } => Some(&**message),
                _ => None,
            };
            return self.review_greeting(*ending == ResponseEnding::Completed, failure);
        }
        let out = &mut self.out;
        self.ledger
            .end_response(|to| out.push_back(Output::Carrier(to)));
        if let ResponseEnding::Failed { fatal, message } = ending {
            self.failed_responses += 1;
            if *fatal || self.failed_responses > 1 {
                return self.hang_up(End::ModelGone(format!("The voice model failed: {message}")));
            }
            if self.message_again() {
                return;
            }
            let again = self.gate.follow_up();
            return self.tell_model(again);
        }
        self.failed_responses = 0;
        if *ending == ResponseEnding::Completed && stale.is_none() {
            self.message_said();
        }
        self.keys_follow();
        if !was.waits && was.spoke {
            self.hold_is_over();
        }
        if was.spoke && !was.waits && self.gate.is_patient() {
            // It speaks again: with a person, as far as anybody can tell.
            let usual = self.gate.be_patient(false);
            self.tell_model(usual);
        }
        if self.ending.is_some() {
            self.decide_goodbye();
        } else if was.asks_host {
            self.keep_company(was.spoke);
        } else if (was.refused || was.called && !was.spoke) && !was.waits {
            // A note that went with speech needs no further words; one without left the line silent.
            let follow_up = self.gate.follow_up();
            self.tell_model(follow_up);
        }
        let whole = stale.is_none() && *ending != ResponseEnding::Cancelled;
        if whole && !was.spoke && !self.gate.is_busy() {
            self.answered_by_silence(was.began);
        }
    }

    /// The model has decided to say nothing to what the callee had said by then.
    fn answered_by_silence(&mut self, by: Duration) {
        if self.awaiting_answer.is_some_and(|since| since <= by) {
            self.awaiting_answer = None;
        }
    }

    pub(super) fn model_error(&mut self, about: Option<Request>, kind: ErrorKind, message: &str) {
        match (about, kind) {
            (_, ErrorKind::Fatal) => {
                self.hang_up(End::ModelGone(format!(
                    "The voice model refused: {message}"
                )));
            }
            (_, ErrorKind::Expired) => {
                self.model_lost(&format!("The voice model's session ended: {message}"), true);
            }
            (Some(Request::Configure), _) => {
                self.hang_up(End::ModelGone(format!(
                    "The voice model refused its configuration: {message}"
                )));
            }
            (Some(Request::Turns), _) => {
                let answer = self.gate.settled(false);
                self.tell_model(answer);
            }
            (Some(Request::Respond), ErrorKind::Busy) => {
                let next = self.gate.put_back();
                self.tell_model(next);
            }
            (Some(Request::Respond), _) if self.gate.has_asked() => {
                let next = self.gate.give_up();
                self.tell_model(next);
                if self.draft().is_some() {
                    self.review_greeting(false, Some(message));
                }
            }
            _ => {}
        }
    }
}
