//! The response gate: who may make the model speak, and when.
//!
//! Open, the model's own turn detection answers the callee and stops when it is interrupted,
//! without a round trip to us. Closed, the model only listens. Either way one response is active
//! at a time; further ones queue.

use std::collections::VecDeque;

use super::event::{Respond, ToModel, Turns};

/// Responses that may wait for their turn; more than this means something loops.
const QUEUE: usize = 4;

/// A model that refuses the same request this often will not grant it.
const REFUSALS: u8 = 3;

/// Changes of turn taking that may be on their way to the model.
const UNCONFIRMED: usize = 8;

/// Why the gate is closed. It is open when no reason is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// The disclosure has not been played in full.
    Greeting,
    /// Nobody is there to hear: the carrier's stream is lost.
    Detached,
    /// A machine is suspected, or gets its message.
    Machine,
    /// On hold: the model is asked about each turn it hears, and says nothing by itself.
    Hold,
    /// Keys are about to be pressed, or are being pressed.
    Keys,
    /// The call is ending.
    Ending,
}

/// See the module.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one session"
)]
pub(super) struct Gate {
    closed: Vec<Closed>,
    /// There is a session.
    present: bool,
    /// Open, the model waits longer for the end of a turn.
    patient: bool,
    /// In force at the model.
    confirmed: Turns,
    /// Sent and not yet confirmed, oldest first.
    unconfirmed: VecDeque<Turns>,
    /// The response under way at the model.
    active: Option<String>,
    /// It stands beside the conversation.
    aside: bool,
    /// A response was asked for and has not begun.
    asked: Option<Respond>,
    /// What was asked for when the active response began, which is taken for it. If the model then
    /// says that it was busy, it was not.
    presumed: Option<Respond>,
    /// Counts what was asked for.
    requests: u32,
    /// It was asked for twice: of the two, one may be refused because the other is answered.
    repeated: bool,
    queue: VecDeque<Respond>,
    /// Refusals in a row of what we asked for.
    refusals: u8,
    callee_speaks: bool,
    /// The callee said something that nobody has answered, and the model will not by itself.
    unanswered: bool,
}

impl Gate {
    /// As a session begins: closed for the greeting.
    pub(super) fn new() -> Self {
        Self {
            closed: vec![Closed::Greeting],
            present: true,
            patient: false,
            confirmed: Turns::Ours,
            unconfirmed: VecDeque::from([Turns::Ours]),
            active: None,
            aside: false,
            asked: None,
            presumed: None,
            requests: 0,
            repeated: false,
            queue: VecDeque::new(),
            refusals: 0,
            callee_speaks: false,
            unanswered: false,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.closed.is_empty()
    }

    /// The model cancels its response by itself when the callee speaks.
    pub(super) fn model_yields(&self) -> bool {
        self.confirmed != Turns::Ours && self.unconfirmed.is_empty()
    }

    pub(super) fn callee_speaks(&self) -> bool {
        self.callee_speaks
    }

    /// A response is under way or asked for.
    pub(super) fn is_busy(&self) -> bool {
        self.active.is_some() || self.asked.is_some() || !self.queue.is_empty()
    }

    pub(super) fn active(&self) -> Option<&str> {
        self.active.as_deref()
    }

    /// A response was asked for and has not begun.
    pub(super) fn has_asked(&self) -> bool {
        self.asked.is_some()
    }

    pub(super) fn close(&mut self, why: Closed) -> Option<ToModel> {
        if !self.closed.contains(&why) {
            self.closed.push(why);
        }
        self.align()
    }

    pub(super) fn open(&mut self, why: Closed) -> Option<ToModel> {
        self.closed.retain(|reason| *reason != why);
        self.align()
    }

    /// Whether the model is to wait longer for the end of a turn.
    pub(super) fn be_patient(&mut self, patient: bool) -> Option<ToModel> {
        self.patient = patient;
        self.align()
    }

    pub(super) fn is_patient(&self) -> bool {
        self.patient
    }

    /// Asks the model for the turn taking that the gate demands, unless that is on its way.
    fn align(&mut self) -> Option<ToModel> {
        let wanted = match (self.is_open(), self.patient) {
            (false, _) => Turns::Ours,
            (true, false) => Turns::Models,
            (true, true) => Turns::ModelsPatiently,
        };
        let coming = self.unconfirmed.back().copied().unwrap_or(self.confirmed);
        (self.present && wanted != coming && self.unconfirmed.len() < UNCONFIRMED).then(|| {
            self.unconfirmed.push_back(wanted);
            ToModel::Turns(wanted)
        })
    }

    /// The model confirmed the oldest change of turn taking, or refused it.
    pub(super) fn settled(&mut self, accepted: bool) -> Option<ToModel> {
        if let Some(turns) = self.unconfirmed.pop_front()
            && accepted
        {
            self.confirmed = turns;
        }
        // A refusal is not repeated: the model would refuse again.
        let wanted = if accepted { self.align() } else { None };
        wanted.or_else(|| self.answer_if_due())
    }

    pub(super) fn speech_started(&mut self) {
        self.callee_speaks = true;
    }

    pub(super) fn speech_stopped(&mut self) {
        self.callee_speaks = false;
    }

    /// A turn of the callee is complete. With the turns in the model's hand it answers by itself;
    /// the order of its events tells which setting this turn fell under.
    pub(super) fn callee_turn(&mut self) -> Option<ToModel> {
        if self.confirmed == Turns::Ours {
            self.unanswered = true;
        }
        self.answer_if_due()
    }

    /// The model must say something, as soon as it may.
    pub(super) fn owe_answer(&mut self) -> Option<ToModel> {
        self.unanswered = true;
        self.answer_if_due()
    }

    /// What the callee said so far needs no answer of its own (the greeting answers a "hello?").
    pub(super) fn consider_answered(&mut self) {
        self.unanswered = false;
    }

    /// Answers what was said while the gate was closed, once, as soon as it is open at the model. On
    /// hold, every turn is answered by us: perhaps by waiting on.
    fn answer_if_due(&mut self) -> Option<ToModel> {
        let open = self.closed.iter().all(|why| *why == Closed::Hold);
        let settled = self.unconfirmed.is_empty();
        if !self.present
            || !self.unanswered
            || !open
            || !settled
            || self.callee_speaks
            || self.is_busy()
        {
            return None;
        }
        self.ask(Respond::default())
    }

    /// Makes the model speak, after what it is saying now.
    pub(super) fn ask(&mut self, respond: Respond) -> Option<ToModel> {
        if !self.present || self.active.is_some() || self.asked.is_some() {
            if self.queue.len() < QUEUE {
                self.queue.push_back(respond);
            }
            return None;
        }
        self.unanswered = false;
        self.repeated = false;
        self.requests = self.requests.wrapping_add(1);
        self.asked = Some(respond.clone());
        Some(ToModel::Respond(respond))
    }

    /// What was asked for and has not begun, by its number.
    pub(super) fn request(&self) -> Option<u32> {
        self.asked.as_ref().map(|_| self.requests)
    }

    /// Asks for it once more: perhaps nobody has heard.
    pub(super) fn ask_again(&mut self) -> Option<ToModel> {
        let respond = self.asked.clone()?;
        self.repeated = true;
        Some(ToModel::Respond(respond))
    }

    /// Makes the model go on after a function or a key, unless the callee is speaking: then the
    /// answer to the callee covers it.
    pub(super) fn follow_up(&mut self) -> Option<ToModel> {
        if self.callee_speaks {
            return None;
        }
        self.ask(Respond::default())
    }

    /// A response has begun. Returns whether it is one that we asked for.
    pub(super) fn started(&mut self, response: &str) -> bool {
        self.active = Some(response.to_owned());
        self.aside = false;
        self.unanswered = false;
        self.presumed = self.asked.take();
        self.presumed.is_some()
    }

    /// A response is over; the next in the queue may follow.
    pub(super) fn ended(&mut self, response: &str) -> Option<ToModel> {
        if self.active.as_deref() == Some(response) {
            self.active = None;
            if self.presumed.take().is_some() {
                self.refusals = 0;
            }
        }
        self.next()
    }

    /// The model refused the response we asked for: another one was active. It keeps its place.
    pub(super) fn put_back(&mut self) -> Option<ToModel> {
        if self.asked.is_none() && std::mem::take(&mut self.repeated) {
            return self.next();
        }
        if let Some(respond) = self.asked.take().or_else(|| self.presumed.take()) {
            self.refusals += 1;
            if self.refusals < REFUSALS {
                self.queue.push_front(respond);
            }
        }
        self.next()
    }

    /// The model refused the response we asked for, for good.
    pub(super) fn give_up(&mut self) -> Option<ToModel> {
        self.asked = None;
        self.next()
    }

    /// The response under way stands beside the conversation.
    pub(super) fn is_aside(&self) -> bool {
        self.aside && self.active.is_some()
    }

    /// A response beside the conversation has begun: the model is busy with it, no more.
    pub(super) fn started_aside(&mut self, response: &str) {
        self.active = Some(response.to_owned());
        self.aside = true;
    }

    /// Something that was asked for has not begun.
    pub(super) fn is_asking(&self) -> bool {
        self.asked.is_some() || !self.queue.is_empty()
    }

    /// The active response is one that we asked for.
    pub(super) fn is_granted(&self) -> bool {
        self.active.is_some() && self.presumed.is_some()
    }

    /// Nothing about turn taking is on its way.
    pub(super) fn is_settled(&self) -> bool {
        self.unconfirmed.is_empty()
    }

    /// The session is gone, and with it what it was about to say: what was asked for in certain words
    /// is asked for again, unless some of it `was_heard`. Returns whether the callee awaits an answer.
    pub(super) fn leave(&mut self, was_heard: bool) -> bool {
        let begun = self.presumed.take().filter(|_| !was_heard);
        let mut owed = std::mem::take(&mut self.unanswered);
        // Whatever it is about, one answer covers it.
        let waiting = self.queue.len();
        self.queue.retain(|respond| *respond != Respond::default());
        owed |= self.queue.len() < waiting;
        for respond in [begun, self.asked.take()].into_iter().flatten() {
            if respond == Respond::default() {
                owed = true;
            } else if self.queue.len() < QUEUE {
                self.queue.push_front(respond);
            }
        }
        self.present = false;
        self.active = None;
        self.aside = false;
        self.confirmed = Turns::Ours;
        self.unconfirmed.clear();
        self.refusals = 0;
        self.repeated = false;
        self.callee_speaks = false;
        owed
    }

    /// A new session is there, which listens and waits to be asked.
    pub(super) fn join(&mut self, owed: bool) -> Option<ToModel> {
        self.present = true;
        self.unanswered |= owed;
        self.align()
    }

    /// Asks for what waits.
    pub(super) fn go_on(&mut self) -> Option<ToModel> {
        self.next()
    }

    /// Drops what waits: the conversation has moved on.
    pub(super) fn drop_queue(&mut self) {
        self.queue.clear();
    }

    fn next(&mut self) -> Option<ToModel> {
        if !self.present || self.active.is_some() || self.asked.is_some() {
            return None;
        }
        match self.queue.pop_front() {
            Some(respond) => self.ask(respond),
            None => self.answer_if_due(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_gate() -> Gate {
        let mut gate = Gate::new();
        assert_eq!(gate.settled(true), None);
        assert_eq!(
            gate.open(Closed::Greeting),
            Some(ToModel::Turns(Turns::Models))
        );
        assert_eq!(gate.settled(true), None);
        gate
    }

    #[test]
    fn one_response_at_a_time() {
        let mut gate = open_gate();
        assert!(gate.ask(Respond::default()).is_some());
        assert!(
            gate.ask(Respond::default()).is_none(),
            "asked for, not yet begun"
        );
        assert!(gate.started("r1"));
        assert!(gate.ask(Respond::default()).is_none());
        assert!(gate.ended("r1").is_some(), "the first that waited");
        assert!(gate.started("r2"));
        assert!(gate.ended("r2").is_some(), "the second");
    }

    #[test]
    fn a_refused_response_waits_for_the_one_in_its_way() {
        let mut gate = open_gate();
        assert!(gate.ask(Respond::default()).is_some());
        // The model answered the callee at the same moment, and announces that first.
        assert!(gate.started("theirs"), "as far as one can tell");
        assert_eq!(gate.put_back(), None);
        assert!(gate.ended("theirs").is_some());
    }

    #[test]
    fn what_was_said_behind_the_closed_gate_is_answered_once() {
        let mut gate = Gate::new();
        gate.settled(true);
        gate.speech_started();
        gate.speech_stopped();
        assert_eq!(gate.callee_turn(), None);
        assert_eq!(
            gate.open(Closed::Greeting),
            Some(ToModel::Turns(Turns::Models))
        );
        assert!(gate.settled(true).is_some());
        gate.started("r1");
        assert_eq!(gate.ended("r1"), None);
    }

    #[test]
    fn what_was_to_follow_up_in_a_lost_session_is_one_answer_in_the_next() {
        let mut gate = open_gate();
        gate.started("r1");
        gate.follow_up();
        gate.follow_up();
        let goodbye = Respond {
            instructions: Some("Say goodbye.".into()),
            ..Respond::default()
        };
        gate.ask(goodbye.clone());
        assert!(gate.leave(true), "an answer is owed");
        assert!(gate.join(false).is_some(), "the turns");
        assert_eq!(gate.go_on(), Some(ToModel::Respond(goodbye)), "and no more");
        gate.started("r2");
        assert_eq!(gate.ended("r2"), None);
    }

    #[test]
    fn a_turn_that_the_model_answers_by_itself_is_not_answered_by_us() {
        let mut gate = open_gate();
        assert_eq!(gate.callee_turn(), None);
        assert!(!gate.started("theirs"));
        assert_eq!(gate.ended("theirs"), None);
    }

    #[test]
    fn opening_and_closing_in_a_row_tells_the_model_each_once() {
        let mut gate = open_gate();
        assert_eq!(
            gate.close(Closed::Ending),
            Some(ToModel::Turns(Turns::Ours))
        );
        assert_eq!(gate.close(Closed::Ending), None);
        assert_eq!(gate.close(Closed::Greeting), None);
        assert_eq!(
            gate.open(Closed::Ending),
            None,
            "still closed for the greeting"
        );
        assert_eq!(
            gate.open(Closed::Greeting),
            Some(ToModel::Turns(Turns::Models))
        );
    }
}
