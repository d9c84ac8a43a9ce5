//! The conversation between a carrier and a voice model, as a pure state machine.
//!
//! Put in an [`Input`] with its time, then take out every [`Output`] with [`Bridge::poll`]. It opens
//! no socket, reads no clock and spawns nothing, so each hard case is a table of events. Four
//! notions carry them:
//!
//! - the **response gate** ([`gate`]): who may make the model speak;
//! - the **playback ledger** ([`ledger`]): what was received, sent and heard of each item;
//! - the **generation**: raised by every clear and every new stream; marks of an older one, and
//!   audio of a response that was cut off, mean nothing;
//! - the **attachments**: the carrier's stream and the model's session come and go, the
//!   conversation stays.
//!
//! [`opening`] and [`ending`] hold what is particular to the two ends of a call, [`callee`] and
//! [`agent`] what the two parties do in between, [`silence`] what happens if neither does.

mod agent;
mod callee;
mod catch_up;
mod ending;
pub mod event;
mod gate;
mod hold;
mod host;
mod interruption;
mod keys;
mod ledger;
mod loss;
mod machine;
mod model;
mod moment;
mod opening;
mod reattach;
mod replay;
mod silence;
mod swallowed;
mod tape;
#[cfg(test)]
mod tests;

pub(super) use self::keys::keys_take;
pub use self::moment::{OneMoment, Recording};

use std::collections::VecDeque;
use std::time::Duration;

use self::ending::Ending;
use self::event::{CarrierEvent, Change, Command, End, Input, ModelEvent, Output, ToModel};
use self::gate::Gate;
use self::hold::Hold;
use self::host::Host;
use self::interruption::{History, Sound};
use self::keys::{Doubtful, Pressing};
use self::ledger::{Ledger, Spoken};
use self::machine::Machine;
use self::model::Session;
use self::moment::Moment;
use self::opening::{Hello, Opening};
use self::reattach::Carrier;
use self::replay::Memory;
use self::swallowed::Request;
use self::tape::Tape;
use super::disclosure::Disclosure;
use super::snapshot::Role;

/// Room for what is to be done that is kept when all of it was: what a frame or a turn makes fits into
/// it, a greeting that is played at once does not.
const OUT: usize = 32;

/// The line of a turn whose words could not be made out.
const UNINTELLIGIBLE: &str = "(unintelligible)";

/// What a bridge must know of its call.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The first sentence, and how to recognise it.
    pub disclosure: Disclosure,
    /// Longest wait for the callee to start speaking.
    pub greeting_wait: Duration,
    /// Longest duration of the call, from the answer.
    pub max_duration: Duration,
    /// The callee interrupts the agent after being heard this long; zero: at once.
    pub interrupt_after: Duration,
    /// Nobody speaks this long: the agent asks whether anybody is there.
    pub silence: Duration,
    /// Longest time on hold, all in all.
    pub hold: Duration,
    /// Longest wait for the host's answer to a question.
    pub ask_host: Duration,
    /// The carrier tells who answered; for a while, that is waited for.
    pub detects_machines: bool,
    /// "One moment, please", for when the model is lost; none: nothing is said.
    pub one_moment: Option<OneMoment>,
    /// Longest time from the start of the session to the first media stream.
    pub connect_within: Duration,
}

/// The response under way.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one response"
)]
struct Response {
    /// It has sound.
    spoke: bool,
    /// When it began.
    began: Duration,
    /// It called a function, whose output it has not seen.
    called: bool,
    /// A function that it called did nothing, which it must learn even if it has spoken.
    refused: bool,
    /// It called a function after which nothing is to be said.
    waits: bool,
    /// It asked the host, whose answer comes later.
    asks_host: bool,
}

/// Keys that the callee is pressing.
#[derive(Debug)]
struct Keys {
    slot: u32,
    at: Duration,
    pressed: String,
    complete_at: Duration,
}

/// The first of these moments. (In words as plain as this, because every frame asks for it.)
fn earliest<const N: usize>(moments: [Option<Duration>; N]) -> Option<Duration> {
    let mut earliest: Option<Duration> = None;
    for moment in moments {
        if let Some(at) = moment
            && earliest.is_none_or(|earliest| at < earliest)
        {
            earliest = moment;
        }
    }
    earliest
}

/// See the module.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one conversation"
)]
pub struct Bridge {
    settings: Settings,
    now: Duration,
    out: VecDeque<Output>,
    over: bool,

    gate: Gate,
    ledger: Ledger,
    opening: Opening,
    ending: Option<Ending>,

    machine: Machine,
    hold: Hold,
    host: Host,
    /// The disclosure was heard in full.
    disclosed: bool,

    carrier: Carrier,
    session: Session,
    memory: Memory,
    moment: Moment,
    /// A session was left that owed the callee an answer.
    answer_due: bool,
    /// It listens.
    model_ready: bool,
    /// What the callee says before a session is there to hear it.
    early: Tape,
    /// What the callee is saying, or has said without being answered.
    utterance: Tape,

    /// Lines of the transcript so far.
    slots: u32,
    /// Turns of the callee whose words are awaited: item, line, and when it was begun.
    callee_turns: VecDeque<(String, u32, Duration)>,
    keys: Option<Keys>,
    /// Keys that the agent presses, and how often it has.
    pressing: Option<Pressing>,
    presses: u32,
    /// Keys that may or may not have been pressed.
    doubtful: Option<Doubtful>,

    hello: Hello,
    /// What the callee is saying began before the greeting, which answers it.
    hello_pending: bool,
    callee_spoke: bool,
    /// The callee's latest frames.
    history: History,
    /// What the callee says over the agent may turn out to be no more than an "mhm".
    sound: Option<Sound>,
    /// The callee's last turn was an "mhm" that the agent talked through.
    unanswerable: bool,
    /// The line of what the callee is saying, and when it was begun.
    speech: Option<(u32, Duration)>,
    /// The callee has stopped speaking and awaits an answer since then.
    awaiting_answer: Option<Duration>,
    /// The agent has said something since the callee's last turn.
    agent_spoke_last: bool,
    response: Response,
    /// What was asked for and has not begun.
    request: Option<Request>,
    /// A session was replaced because it swallowed a request, and nothing was answered since.
    swallows: bool,
    /// When the latest of a response came.
    response_heard: Duration,
    /// What this response still sends belongs to an older generation.
    stale_response: Option<String>,
    failed_responses: u8,
    /// How often the callee has interrupted the agent.
    interruptions: u64,
    wrapped_up: bool,
    time_up: bool,
    /// The callee has talked us out of an ending.
    kept_line: bool,
    /// Nobody speaks since then.
    quiet_since: Option<Duration>,
    /// The agent has asked whether anybody is there, and nobody has answered.
    asked_if_there: bool,
}

impl Bridge {
    /// A bridge whose time begins now, at zero. It asks for the model's configuration at once.
    pub fn new(mut settings: Settings) -> Self {
        let moment = Moment::new(settings.one_moment.take());
        Self {
            settings,
            now: Duration::ZERO,
            out: VecDeque::from([Output::Model(ToModel::Configure)]),
            over: false,
            gate: Gate::new(),
            ledger: Ledger::default(),
            opening: Opening::Waiting,
            ending: None,
            machine: Machine::default(),
            hold: Hold::default(),
            host: Host::default(),
            disclosed: false,
            carrier: Carrier::default(),
            session: Session::default(),
            memory: Memory::default(),
            moment,
            answer_due: false,
            model_ready: false,
            early: Tape::default(),
            utterance: Tape::default(),
            slots: 0,
            callee_turns: VecDeque::new(),
            keys: None,
            pressing: None,
            presses: 0,
            doubtful: None,
            hello: Hello::Silent,
            hello_pending: false,
            callee_spoke: false,
            history: History::default(),
            sound: None,
            unanswerable: false,
            speech: None,
            awaiting_answer: None,
            agent_spoke_last: false,
            response: Response::default(),
            request: None,
            swallows: false,
            response_heard: Duration::ZERO,
            stale_response: None,
            failed_responses: 0,
            interruptions: 0,
            wrapped_up: false,
            time_up: false,
            kept_line: false,
            quiet_since: None,
            asked_if_there: false,
        }
    }

    /// Takes in what happened at `now`, the time since the bridge was made. After it, [`poll`](Self::poll)
    /// until empty. Once [`Output::HangUp`] was given out, everything is ignored.
    pub fn handle(&mut self, now: Duration, input: Input<'_>) {
        self.now = self.now.max(now);
        if self.over {
            return;
        }
        match input {
            Input::Carrier(event) => self.carrier_event(event),
            Input::Model(event) => self.model_event(event),
            Input::Command(Command::End(end)) => self.hang_up(end),
            Input::Command(Command::EndWithin(left)) => self.end_within(left),
            Input::Command(Command::Keys(answer)) => self.keys_answered(answer),
            Input::Command(Command::Answered(who)) => self.answered_by(who),
            Input::Command(Command::Answer { question, text }) => {
                self.host_answers(&question, &text);
            }
            Input::Command(Command::Instruct(text)) => self.host_instructs(&text),
            Input::Tick => {}
        }
        self.on_time();
    }

    /// The next thing to do, oldest first.
    pub fn poll(&mut self) -> Option<Output> {
        let next = self.out.pop_front();
        match next {
            Some(Output::HangUp(_)) => self.out.clear(),
            None if self.out.capacity() > OUT => self.out.shrink_to(0),
            _ => {}
        }
        next
    }

    /// The model is saying something, or was when the call ended.
    pub fn is_responding(&self) -> bool {
        self.gate.active().is_some()
    }

    /// How often the callee has interrupted the agent.
    pub fn interruptions(&self) -> u64 {
        self.interruptions
    }

    /// Words of the callee are still on their way.
    pub fn awaits_words(&self) -> bool {
        self.model_ready && !self.callee_turns.is_empty()
    }

    /// The line that late words make, after the end of the call.
    pub fn late_words(&mut self, event: &ModelEvent<'_>) -> Option<Change> {
        match event {
            ModelEvent::CallerWords { item, text } => self.words_of(item, text.trim()),
            ModelEvent::CallerWordsFailed { item } => self.words_of(item, UNINTELLIGIBLE),
            _ => None,
        }
    }

    /// When [`Input::Tick`] is due, if nothing else happens before.
    pub fn deadline(&self) -> Option<Duration> {
        if self.over {
            return None;
        }
        earliest([
            self.opening_deadline(),
            self.ending_deadline(),
            self.silence_deadline(),
            self.interruption_deadline(),
            self.connect_deadline(),
            self.hang_up_deadline(),
            self.keys_deadline(),
            self.machine_deadline(),
            self.hold_deadline(),
            self.session_deadline(),
            self.host_deadline(),
            self.request_deadline(),
            self.keys.as_ref().map(|keys| keys.complete_at),
        ])
    }

    fn connect_deadline(&self) -> Option<Duration> {
        self.carrier
            .answered
            .is_none()
            .then_some(self.settings.connect_within)
    }

    fn on_time(&mut self) {
        while let Some((item, spoken)) = self.ledger.take_heard() {
            self.publish_spoken(spoken);
            self.greeting_heard(&item);
        }
        if self.connect_deadline().is_some_and(|at| at <= self.now) {
            self.hang_up(End::Failed(
                "The carrier never connected the call's audio. Check that Twilio can reach \
                 OPENAGENT_PHONE_PUBLIC_URL (openagent-messaging doctor helps)."
                    .into(),
            ));
        }
        self.hang_up_on_time();
        if self
            .keys
            .as_ref()
            .is_some_and(|keys| keys.complete_at <= self.now)
        {
            self.keys_complete();
        }
        self.machine_on_time();
        self.host_on_time();
        self.interruption_on_time();
        self.opening_on_time();
        self.silence_on_time();
        self.hold_on_time();
        self.ending_on_time();
        self.keys_on_time();
        self.session_on_time();
        // Last: it sees what all others have asked for.
        self.request_on_time();
    }

    fn carrier_event(&mut self, event: CarrierEvent) {
        match event {
            CarrierEvent::Attached(stream) => self.attach(stream),
            CarrierEvent::Audio { at, audio } => self.callee_audio(at, audio),
            CarrierEvent::Played(mark) => self.ledger.played(mark),
            CarrierEvent::Key(key) => self.key(key),
            CarrierEvent::Detached => self.detach(),
        }
    }

    fn model_event(&mut self, event: ModelEvent<'_>) {
        match event {
            ModelEvent::Lost { why, returns } => return self.model_lost(why, returns),
            ModelEvent::Offered => return self.model_offered(),
            ModelEvent::Withdrawn => return self.model_withdrawn(),
            ModelEvent::NotOpened { why, returns } => {
                return self.model_not_opened(why, returns);
            }
            // What a session still says that is gone.
            _ if self.model_is_lost() => return,
            ModelEvent::ResponseStarted { .. }
            | ModelEvent::AsideStarted { .. }
            | ModelEvent::Audio { .. }
            | ModelEvent::AudioDone { .. }
            | ModelEvent::Words { .. }
            | ModelEvent::WordsDone { .. }
            | ModelEvent::ToolCall { .. } => self.response_heard = self.now,
            _ => {}
        }
        match event {
            ModelEvent::Lost { .. }
            | ModelEvent::Offered
            | ModelEvent::Withdrawn
            | ModelEvent::NotOpened { .. } => {}
            ModelEvent::Configured => self.configured(),
            ModelEvent::SpeechStarted => self.speech_started(),
            ModelEvent::SpeechStopped => self.speech_stopped(),
            ModelEvent::Committed { item } => self.callee_turn(item),
            ModelEvent::CallerWords { item, text } => self.callee_words(item, text.trim()),
            ModelEvent::CallerWordsFailed { item } => self.callee_words(item, UNINTELLIGIBLE),
            ModelEvent::ResponseStarted { response } => self.response_started(response),
            ModelEvent::AsideStarted { response } => self.aside_started(response),
            ModelEvent::Audio {
                response,
                item,
                audio,
            } => self.agent_audio(response, item, &audio),
            ModelEvent::AudioDone { item } => {
                if self.draft().is_none() && !self.ledger.is_new(item) {
                    let out = &mut self.out;
                    self.ledger
                        .complete(item, |to| out.push_back(Output::Carrier(to)));
                }
            }
            ModelEvent::Words { .. } | ModelEvent::WordsDone { .. }
                if !self.is_saying() && !self.gate.is_aside() => {}
            ModelEvent::Words { item, text } => {
                if let Some(draft) = self.draft() {
                    draft.words(item, &text);
                } else if self.is_saying() && !self.ledger.is_over(item) {
                    self.ledger.words(item, &text);
                }
            }
            ModelEvent::WordsDone { item, text } => {
                if let Some(draft) = self.draft() {
                    draft.whole(item, &text);
                } else if self.is_saying() && !self.ledger.is_over(item) {
                    self.ledger.text(item, &text);
                }
            }
            ModelEvent::ToolCall {
                response,
                call,
                name,
                arguments,
            } => {
                self.tool_call(response, call, name, &arguments);
            }
            ModelEvent::ResponseEnded { response, ending } => {
                self.response_ended(response, &ending);
            }
            ModelEvent::Error {
                about,
                kind,
                message,
            } => self.model_error(about, kind, &message),
        }
    }

    fn slot(&mut self) -> u32 {
        self.slots += 1;
        self.slots - 1
    }

    fn publish(&mut self, change: Change) {
        self.out.push_back(Output::Publish(change));
    }

    fn publish_spoken(&mut self, spoken: Option<Spoken>) {
        if let Some(Spoken { slot, at, text }) = spoken {
            self.memory.agent(slot, &text);
            self.publish(Change::Line {
                slot,
                at,
                role: Role::Agent,
                text,
            });
        }
    }

    fn tell(&mut self, text: &str) {
        self.memory.told(self.slots, text);
        self.send(ToModel::Tell(text.to_owned()));
    }

    fn tell_model(&mut self, message: Option<ToModel>) {
        if let Some(message) = message {
            self.send(message);
        }
    }
}
