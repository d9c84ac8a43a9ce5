//! The host at the wheel: questions that only the host can answer, and what it has to say to the
//! agent while the call goes on.
//!
//! What the host writes is told to the model in a fence, below the rules of the call, and never
//! before the disclosure was heard: no text of the host takes part in making that.

use std::time::Duration;

use serde_json::json;

use super::Bridge;
use super::event::{Change, ToModel};
use crate::call::host::INSTRUCTIONS;
use crate::call::snapshot::Role;
use crate::call::untrusted::{fenced, one_line};

/// Questions of one call; an agent that asks more than this is not up to its mission.
const QUESTIONS: u8 = 5;

/// Keeps the callee company while the host is being asked.
const COMPANY: &str = "The person you call for is being asked. Say in one short sentence, in the \
                       language of the call, that you are checking this and that it takes one \
                       moment. Say nothing else.";

/// The same, when that takes long.
const STILL_WAITING: &str = "The answer has not come yet. Say in one short sentence, in the \
                             language of the call, that you are still waiting for it, and thank \
                             the other person for their patience. Say nothing else.";

/// The output of a question that nobody has answered.
const NO_ANSWER: &str = "No answer came in time. Go on without it: say that you could not find \
                         out, that the person you call for will get back to them about it, and \
                         note the question.";

/// What goes with an answer.
const USE: &str = "This is from the person you call for. Go on with it, as far as the rules at the \
                   top allow.";

/// Before a question that is open when the model's session is replaced.
const ASKED: &str = "You have asked the person you call for this, and the answer has not come yet. Do \
                     not ask again: you will be told when it comes, or that it does not.";

/// Before an answer that came after that.
const LATE: &str = "An answer to this earlier question has come after all. Use it where it still \
                    helps, as far as the rules at the top allow.";

/// Before an instruction.
const INSTRUCTION: &str = "The person you call for sends this during the call. Nobody said it on \
                           the line. Follow it as far as the rules at the top allow; it changes \
                           none of them.";

/// What stands between the host and the conversation.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// All that were asked; their numbers are their ids.
    questions: Vec<String>,
    /// The one that waits for its answer.
    open: Option<Open>,
    /// What the host said before the conversation could take it.
    held: Vec<String>,
}

/// A question that waits for its answer.
#[derive(Debug)]
struct Open {
    /// The function call that awaits its output.
    call: String,
    id: String,
    /// Until then.
    by: Duration,
}

impl Bridge {
    /// The model asks the host. Its function call is answered when the host has answered, or has
    /// not in time.
    pub(super) fn ask_host(&mut self, call: &str, question: String) {
        let why_not = if self.ending.is_some() {
            Some("The call is ending; nobody was asked.")
        } else if self.host.open.is_some() {
            Some("An earlier question still waits for its answer; this one was not asked.")
        } else if self.host.questions.len() >= usize::from(QUESTIONS) {
            Some(
                "No more questions can be asked in this call. Go on without: say that the person \
                 you call for will get back to them about it, and note the question.",
            )
        } else {
            None
        };
        if let Some(why) = why_not {
            self.response.refused = true;
            return self.answer_call(call, &json!({ "error": why }));
        }
        // A function that is given its output later leaves nothing to follow up now.
        self.response.asks_host = true;
        let id = format!("q{}", self.host.questions.len() + 1);
        self.system_line(format!("Asked the host: {question}"));
        self.publish(Change::Asked {
            id: id.clone(),
            text: question.clone(),
        });
        self.host.questions.push(question);
        self.host.open = Some(Open {
            call: call.to_owned(),
            id,
            by: self.now + self.settings.ask_host,
        });
    }

    /// The response that asked is over: if it left the callee in silence, they are told why.
    pub(super) fn keep_company(&mut self, spoke: bool) {
        if !spoke && self.host_is_asked() && self.gate.is_open() && !self.gate.callee_speaks() {
            self.ask_for(COMPANY);
        }
    }

    /// A question waits for its answer: silence has a reason.
    pub(super) fn host_is_asked(&self) -> bool {
        self.host.open.is_some()
    }

    /// A session that did not ask learns that a question waits for its answer.
    pub(super) fn recall_question(&mut self) {
        if let (Some(_), Some(question)) = (&self.host.open, self.host.questions.last()) {
            let question = fenced("question", question);
            self.send(ToModel::Tell(format!("{ASKED}\n{question}")));
        }
    }

    /// The silence has lasted long, and the answer has not come.
    pub(super) fn reassure(&mut self) {
        self.ask_for(STILL_WAITING);
    }

    /// The host answers a question, in time or late.
    pub(super) fn host_answers(&mut self, id: &str, text: &str) {
        let asked = |number: usize| format!("q{}", number + 1) == id;
        let Some(number) = (0..self.host.questions.len()).find(|number| asked(*number)) else {
            return;
        };
        self.system_line(format!("The host answered: {}", one_line(text)));
        if let Some(open) = self.host.open.take_if(|open| open.id == id) {
            let output = json!({ "answer": one_line(text), "next": USE });
            self.answer_call(&open.call, &output);
            return self.go_on();
        }
        let question = fenced("question", &self.host.questions[number]);
        let answer = fenced("answer", text);
        self.host_says(format!("{LATE}\n{question}\n{answer}"));
    }

    /// The host has something to say to the agent.
    pub(super) fn host_instructs(&mut self, text: &str) {
        self.system_line(format!("The host instructs: {}", one_line(text)));
        let instruction = fenced("instruction", text);
        self.host_says(format!("{INSTRUCTION}\n{instruction}"));
    }

    /// Tells the model. It acts on it at once if nobody is speaking and nothing is under way, and as
    /// soon as the line and the model are there; else with what it says next.
    fn host_says(&mut self, message: String) {
        if !self.disclosed {
            if self.host.held.len() < INSTRUCTIONS {
                self.host.held.push(message);
            }
            return;
        }
        self.tell(&message);
        if self.host_is_asked() {
            return;
        }
        if self.is_quiet() && self.awaiting_answer.is_none() {
            let now = self.gate.follow_up();
            self.tell_model(now);
        } else if !self.is_conversing() || self.model_is_lost() {
            self.act_when_back();
        }
    }

    /// The line or the model is away. Who is on hold, or has pressed keys, listens first.
    fn act_when_back(&mut self) {
        if self.ending.is_some() || self.is_on_hold() || self.pressing.is_some() {
            return;
        }
        if !self.session_owes() {
            let later = self.gate.owe_answer();
            self.tell_model(later);
        }
    }

    /// The disclosure was heard: what the host said before may be told.
    pub(super) fn tell_held(&mut self) {
        for message in std::mem::take(&mut self.host.held) {
            self.tell(&message);
        }
    }

    /// The model goes on with what it has learned, as soon as it may speak. On hold, and while the
    /// call ends, it does not.
    fn go_on(&mut self) {
        if self.ending.is_some() || self.is_on_hold() {
            return;
        }
        let answer = if self.gate.is_open() {
            self.gate.follow_up()
        } else {
            self.gate.owe_answer()
        };
        self.tell_model(answer);
    }

    pub(super) fn host_deadline(&self) -> Option<Duration> {
        self.host.open.as_ref().map(|open| open.by)
    }

    /// Gives up on an answer that does not come.
    pub(super) fn host_on_time(&mut self) {
        let Some(open) = self.host.open.take_if(|open| open.by <= self.now) else {
            return;
        };
        self.system_line("The host did not answer in time.".to_owned());
        self.publish(Change::NotAnswered { id: open.id });
        self.answer_call(&open.call, &json!({ "error": NO_ANSWER }));
        self.go_on();
    }

    fn system_line(&mut self, text: String) {
        let (slot, at) = (self.slot(), self.now);
        self.publish(Change::Line {
            slot,
            at,
            role: Role::System,
            text,
        });
    }
}
