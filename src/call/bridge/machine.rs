//! Who answered: a person, a mailbox, a menu, a fax. The carrier listens and tells, sometimes late.

use std::time::Duration;

use super::Bridge;
use super::ending::Ending;
use super::event::{AnsweredBy, Change, End, Output, Respond, ToCarrier, ToModel};
use super::gate::Closed;
use super::opening::{Draft, Opening};
use crate::call::snapshot::Outcome;

/// Nobody's first words take longer than this: a recording, perhaps.
const SUSPECT: Duration = Duration::from_secs(4);

/// For the carrier to find out, from the first word on; it gives up itself before that.
const VERDICT: Duration = Duration::from_secs(35);

/// Exchanges after which this is a conversation, whatever the carrier believes, unless it has heard a
/// tone.
const CONVERSATION: u8 = 2;

/// The longest message, from the disclosure's end on.
const MESSAGE: Duration = Duration::from_secs(60);

/// Asks for the message.
const LEAVE_MESSAGE: &str = "You have reached an answering machine, and it is recording now. You \
                             have just said that you are an AI assistant and on whose behalf you \
                             call. Leave one message now, in two or three short sentences in the \
                             language of the call: why you call, and what you would like them to \
                             do. Ask nothing, and wait for no answer.";

/// Asks for it once more.
const MESSAGE_AGAIN: &str = "Your message for the answering machine was cut off. It is still recording. \
                             Leave the whole message again, from its beginning, in two or three short \
                             sentences.";

/// Tells a model that waits.
const TONE_ON_HOLD: &str = "A tone was heard. If you are waiting for the tone of an answering machine, it is \
                            recording now: leave your message, say in it that you are an AI assistant \
                            and on whose behalf you call, and call end_call with outcome voicemail. If \
                            this is a line that asks you to hold, say nothing and call wait again.";

/// Tells the model what it has probably reached.
const MENU: &str = "A recorded menu seems to have answered. Hear it to its end before you choose, \
                    press the keys it offers, and speak only if it listens for words or a person \
                    answers.";

/// What is known of who answered.
#[derive(Debug, Default)]
pub(super) struct Machine {
    /// What the carrier found out; the first time counts.
    verdict: Option<AnsweredBy>,
    /// The callee's first words have begun then, and have not ended.
    first_words: Option<Duration>,
    /// They take so long that the verdict is waited for.
    suspected: bool,
    /// The agent said something, was heard out, and only then the callee spoke: so often.
    exchanges: u8,
    /// The disclosure, for a machine that did not record it the first time.
    greeting: Option<Draft>,
    message: Message,
}

/// The message for a mailbox.
#[derive(Debug, Default, PartialEq, Eq)]
enum Message {
    #[default]
    None,
    /// The disclosure comes first.
    Disclosing,
    /// It was asked for.
    Asked,
    /// It is being said.
    Begun,
    /// It was said to its end, though not heard yet.
    Said,
}

impl Bridge {
    /// A verdict may still come.
    pub(super) fn awaits_verdict(&self) -> bool {
        self.settings.detects_machines && self.machine.verdict.is_none()
    }

    /// The carrier knows who answered.
    pub(super) fn answered_by(&mut self, who: AnsweredBy) {
        if !self.awaits_verdict() {
            return;
        }
        self.machine.verdict = Some(who);
        self.suspicion_over();
        if who == AnsweredBy::Tone && self.is_on_hold() {
            self.tone_on_hold();
        }
        let machine_speaks = matches!(who, AnsweredBy::Tone | AnsweredBy::Mailbox);
        // Tones are part of menus, and of lines that ask to wait.
        let beyond = self.gate.is_patient()
            || self.presses > 0
            || self.was_on_hold()
            || self.ending.is_some() && !(machine_speaks && self.left_message_early());
        // Who has talked with somebody does not hang up on them because of a detector. But a mailbox
        // that pauses seems to talk, too, and nobody else gives a tone.
        let conversing = self.machine.exchanges >= CONVERSATION && who != AnsweredBy::Tone;
        match who {
            AnsweredBy::Person => {}
            _ if beyond || conversing => {}
            AnsweredBy::Tone | AnsweredBy::Mailbox => {
                let withdrawn = self.withdraw_early_message();
                self.disclose_to_mailbox();
                if withdrawn {
                    let open = self.gate.open(Closed::Ending);
                    self.tell_model(open);
                }
            }
            AnsweredBy::Menu => {
                let patience = self.gate.be_patient(true);
                self.tell_model(patience);
                self.tell(MENU);
            }
            AnsweredBy::Fax => self.hang_up(End::Failed(
                "A fax machine answered, so there was nobody to speak to.".into(),
            )),
        }
        if self.machine.message == Message::None {
            self.machine.greeting = None;
        }
    }

    /// The model has taken a pause in the mailbox's text for its end, and the call ends with what it
    /// said into that. Only the maximum duration leaves no time for another message.
    fn left_message_early(&self) -> bool {
        !self.time_up && self.ending.as_ref().is_some_and(Ending::is_voicemail)
    }

    /// The tape would hold no more than the tail of it, and not who speaks. Returns whether there was one.
    fn withdraw_early_message(&mut self) -> bool {
        let withdrawn = self.ending.take().is_some();
        if withdrawn {
            self.publish(Change::VerdictWithdrawn);
            // What this response has called is followed by the message, and by nothing else.
            self.response.waits = true;
        }
        withdrawn
    }

    /// On hold it may be anything. The model knows what it waits for, and silence follows a tone.
    fn tone_on_hold(&mut self) {
        if self.ending.is_some() {
            return;
        }
        self.tell(TONE_ON_HOLD);
        let answer = self.gate.owe_answer();
        self.tell_model(answer);
    }

    /// What was said so far, the machine did not record: from the start, then.
    fn disclose_to_mailbox(&mut self) {
        self.machine.message = Message::Disclosing;
        self.gate.drop_queue();
        self.gate.consider_answered();
        let close = self.gate.close(Closed::Machine);
        self.tell_model(close);
        let speaking = !self.ledger.is_silent();
        if speaking && self.carrier.attached.is_some() {
            self.out.push_back(Output::Carrier(ToCarrier::Clear));
        }
        if self.is_saying() && self.draft().is_none() {
            self.send(ToModel::Cancel);
        }
        self.cut();
        self.greeting_interrupted();
        if !matches!(self.opening, Opening::Done) {
            return;
        }
        match self.machine.greeting.take() {
            Some(greeting) => self.opening = Opening::Held(greeting),
            // Nothing is left on a tape without saying who speaks.
            None => self.hang_up(End::Voicemail),
        }
    }

    /// A mailbox hears the disclosure at once, and no callee is waited for.
    pub(super) fn speaks_to_mailbox(&self) -> bool {
        self.machine.message != Message::None
    }

    /// The disclosure was heard. Returns whether a mailbox heard it, which gets its message now.
    pub(super) fn mailbox_follows(&mut self, greeting: Draft) -> bool {
        if self.machine.message == Message::Disclosing {
            self.say_message();
            return true;
        }
        if self.awaits_verdict() {
            self.machine.greeting = Some(greeting);
        }
        false
    }

    fn say_message(&mut self) {
        if self.ending.is_some() {
            // The maximum duration was reached meanwhile.
            return;
        }
        self.machine.message = Message::Asked;
        self.begin_ending(End::Voicemail, self.now + MESSAGE);
        self.tell(LEAVE_MESSAGE);
        self.ask_for_message();
    }

    fn ask_for_message(&mut self) {
        let ask = self.gate.ask(Respond {
            instructions: None,
            speech_only: true,
            aside: false,
        });
        self.tell_model(ask);
    }

    /// It was asked for, and not said to its end.
    pub(super) fn message_is_due(&self) -> bool {
        matches!(self.machine.message, Message::Asked | Message::Begun)
    }

    /// Has it said again, if it was not said to its end and nothing is under way. Returns whether it
    /// will be.
    pub(super) fn message_again(&mut self) -> bool {
        if !self.message_is_due() || self.gate.is_busy() {
            return false;
        }
        if std::mem::replace(&mut self.machine.message, Message::Asked) == Message::Begun {
            self.tell(MESSAGE_AGAIN);
        }
        self.ask_for_message();
        true
    }

    /// Agent audio was sent.
    pub(super) fn message_begins(&mut self) {
        if self.machine.message == Message::Asked {
            self.machine.message = Message::Begun;
        }
    }

    /// The response that says it has come to its end.
    pub(super) fn message_said(&mut self) {
        if self.machine.message == Message::Begun {
            self.machine.message = Message::Said;
        }
    }

    /// The stream was lost before all of it was heard.
    pub(super) fn message_interrupted(&mut self) {
        if self.machine.message == Message::Said {
            self.machine.message = Message::Begun;
        }
    }

    /// A call that ends on a mailbox is a voicemail, whoever cut the line, and its summary says
    /// what the mailbox has.
    pub(super) fn end_on_mailbox(&mut self, end: End) -> End {
        if !self.speaks_to_mailbox() || !matches!(end, End::Voicemail | End::CalleeHungUp) {
            return end;
        }
        let left = self.machine.message == Message::Said && self.ledger.is_silent();
        let summary = if left {
            "An answering machine answered, and a message was left; see the transcript."
        } else {
            "An answering machine answered; no whole message could be left."
        };
        self.publish(Change::Verdict {
            summary: summary.to_owned(),
            outcome: Outcome::Voicemail,
        });
        End::Voicemail
    }

    pub(super) fn first_words_begin(&mut self) {
        if !self.callee_spoke && self.awaits_verdict() {
            self.machine.first_words = Some(self.now);
        }
    }

    pub(super) fn first_words_end(&mut self) {
        self.suspicion_over();
    }

    /// The callee begins to speak after the agent was heard out: this is how conversations go.
    pub(super) fn count_exchange(&mut self) {
        self.machine.exchanges = self.machine.exchanges.saturating_add(1);
    }

    fn suspicion_over(&mut self) {
        self.machine.first_words = None;
        if std::mem::take(&mut self.machine.suspected) {
            let open = self.gate.open(Closed::Machine);
            self.tell_model(open);
        }
    }

    /// Until when first words that do not end keep the greeting waiting for the verdict.
    pub(super) fn verdict_due(&self) -> Option<Duration> {
        let since = self.machine.first_words.filter(|_| self.awaits_verdict())?;
        Some(since + VERDICT)
    }

    pub(super) fn machine_deadline(&self) -> Option<Duration> {
        let since = self.machine.first_words?;
        let next = if self.machine.suspected {
            VERDICT
        } else {
            SUSPECT
        };
        Some(since + next)
    }

    pub(super) fn machine_on_time(&mut self) {
        while self.machine_deadline().is_some_and(|at| at <= self.now) {
            if self.machine.suspected {
                self.suspicion_over();
                return;
            }
            self.machine.suspected = true;
            let close = self.gate.close(Closed::Machine);
            self.tell_model(close);
        }
    }
}
