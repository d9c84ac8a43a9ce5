//! The bridge, fed with events in any order and with anything in them. Here nobody behaves, so less is
//! promised than in a conversation, but that must always hold.
//!
//! Five bytes are the settings of the call. Each step after them is what happens, when, and what the
//! event is made of.

use std::time::Duration;

use openagent_messaging::call::audio::Audio;
use openagent_messaging::call::bridge::event::{
    AnsweredBy, CarrierEvent, Change, Command, End, ErrorKind, Input, KeysAnswer, Mark, ModelEvent,
    Output, Request, ResponseEnding, Stream, ToCarrier,
};
use openagent_messaging::call::bridge::{Bridge, OneMoment, Settings};
use openagent_messaging::call::disclosure::Disclosure;
use openagent_messaging::call::language::Language;

/// Outputs of one event: the longest greeting in the smallest pieces, each with a mark, and some more.
const MOST_OUTPUTS: usize = 10_000;

/// Samples that one mark may stand for.
const MARK_EVERY: u64 = 1_600;

/// Ticks at the same instant that are no busy loop.
const TICKS_AT_ONCE: u32 = 10;

/// What may be said beyond the maximum duration.
const LAST_SENTENCE: Duration = Duration::from_secs(5);

/// How long the carrier may take to connect the call.
const CONNECT_WITHIN: Duration = Duration::from_secs(120);

/// Events in a row that are the same.
const FLOOD: u32 = 300;

/// All that a bridge holds, as text, bytes: audio is held elsewhere.
const MOST_STATE: usize = 2 * 1024 * 1024;

pub fn check(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut line = Line::new(settings(&mut bytes));
    line.drain();
    while let Some(kind) = bytes.next() {
        line.pass(&mut bytes);
        let mut event = Event::read(kind, &mut bytes);
        let times = if bytes.byte() == u8::MAX { FLOOD } else { 1 };
        for time in 0..times {
            if time > 0 {
                event.rename(time);
            }
            line.feed(event.input());
        }
    }
    line.end();
}

/// An input, from its front to its back; zeros behind it.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn number(&mut self) -> u64 {
        u64::from(u32::from_le_bytes([0; 4].map(|_: u8| self.byte())))
    }

    fn some(&mut self, most: u8) -> String {
        let length = usize::from(self.byte().min(most)).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    /// A name of a response, an item, a call or a question.
    fn name(&mut self) -> String {
        match self.byte() {
            known @ 0..=199 => {
                ["a", "b", "c", "d", "q1", "q2", "", "é—"][usize::from(known % 8)].into()
            }
            _ => self.some(24),
        }
    }

    /// Words that do not say that an AI is calling: they have no letters but one.
    fn words(&mut self) -> String {
        let plain = |c: char| if c.is_alphanumeric() { 'e' } else { c };
        match self.byte() {
            0..=40 => "Yes. ".into(),
            41..=80 => "mhm".into(),
            81..=90 => "é".repeat(5_000),
            _ => self.some(64).chars().map(plain).collect(),
        }
    }

    fn arguments(&mut self) -> String {
        match self.byte() % 10 {
            0 | 1 => r#"{"summary":"Done.","outcome":"success"}"#.into(),
            2 => r#"{"summary":"A machine.","outcome":"voicemail"}"#.into(),
            3 => r#"{"text":"Tuesday","digits":"1w","reason":"music","question":"When?"}"#.into(),
            4 => r#"{"digits":"ww12*#"}"#.into(),
            5 => format!(r#"{{"text":"{}"}}"#, "é".repeat(5_000)),
            6 => format!(r#"{{"question":"{}"}}"#, "\u{2028}<".repeat(1_000)),
            7 => "{".into(),
            _ => self.some(64),
        }
    }

    fn audio(&mut self) -> Audio {
        let samples = match self.byte() {
            0..=99 => 160,
            100..=159 => 1_600,
            160..=199 => 4_000,
            200..=209 => 0,
            210..=219 => 1,
            220..=229 => 1_601,
            230..=234 => 24_000,
            // Not what an encoder writes, but base64.
            235 => return Audio::from_base64("AB==").expect("base64"),
            small => usize::from(small),
        };
        Audio::from_samples(&vec![self.byte(); samples])
    }

    fn mark(&mut self) -> Mark {
        let wide = self.byte() == u8::MAX;
        let mut number = || {
            let small = u32::from(self.byte());
            if wide { u32::MAX - small } else { small }
        };
        Mark {
            generation: number(),
            sequence: number(),
        }
    }

    fn end(&mut self) -> End {
        match self.byte() % 6 {
            0 => End::HostHungUp,
            1 => End::CalleeHungUp,
            2 => End::Shutdown,
            3 => End::Busy,
            4 => End::TimedOut,
            _ => End::Failed(self.some(20)),
        }
    }
}

/// Within what the configuration accepts.
fn settings(bytes: &mut Bytes<'_>) -> Settings {
    let [short, long, waits, rest, who] = [0; 5].map(|_: u8| bytes.byte());
    let pick = |byte: u8, choices: [u64; 4]| choices[usize::from(byte % 4)];
    let who = ["Ada", "AI Labs", "", "Maria. Only joking, I am human"][usize::from(who % 4)];
    Settings {
        disclosure: Disclosure::new(&Language::default(), Some(who)),
        greeting_wait: Duration::from_millis(pick(short, [1_000, 0, 5_000, 30_000])),
        max_duration: Duration::from_secs(pick(long, [600, 1, 20, 14_400])),
        interrupt_after: Duration::from_millis(pick(short / 4, [250, 0, 1, 2_000])),
        silence: Duration::from_secs(pick(waits, [10, 1, 60, 600])),
        hold: Duration::from_secs(pick(waits / 4, [300, 1, 10, 3_600])),
        ask_host: Duration::from_secs(pick(waits / 16, [60, 1, 5, 600])),
        detects_machines: rest % 2 == 0,
        one_moment: (rest / 2 % 2 == 0).then_some(OneMoment::Make("One moment, please.")),
        connect_within: CONNECT_WITHIN,
    }
}

/// What an input is made of, so that it can borrow from it.
enum Event {
    Carrier(CarrierEvent),
    Command(Command),
    Model {
        what: Model,
        response: String,
        item: String,
        text: String,
        audio: Option<Audio>,
    },
    Tick,
}

#[derive(Clone, Copy)]
enum Model {
    Configured,
    SpeechStarted,
    SpeechStopped,
    Committed,
    CallerWords,
    CallerWordsFailed,
    Started,
    AsideStarted,
    Audio,
    AudioDone,
    Words,
    Discloses,
    WordsDone,
    Called(u8),
    Ended(u8),
    Refused(u8, u8),
    Lost(bool),
    Offered,
    Withdrawn,
    NotOpened(bool),
}

impl Event {
    fn read(kind: u8, bytes: &mut Bytes<'_>) -> Self {
        let what = match kind % 64 {
            0..=2 => Model::Configured,
            3..=4 => Model::SpeechStarted,
            5..=6 => Model::SpeechStopped,
            7..=8 => Model::Committed,
            9 => Model::CallerWords,
            10 => Model::CallerWordsFailed,
            11..=14 => Model::Started,
            15 => Model::AsideStarted,
            16..=21 => Model::Audio,
            22..=23 => Model::AudioDone,
            24..=25 => Model::Words,
            26..=27 => Model::Discloses,
            28..=29 => Model::WordsDone,
            30..=32 => Model::Called(bytes.byte()),
            33..=36 => Model::Ended(bytes.byte()),
            37 => Model::Refused(bytes.byte(), bytes.byte()),
            38 => Model::Lost(bytes.byte() != 0),
            39 => Model::Offered,
            40 => Model::NotOpened(bytes.byte() != 0),
            41 => return Self::Carrier(CarrierEvent::Attached(Stream::Usual)),
            42 => {
                let stream = Stream::AfterKeys(u32::from(bytes.byte()));
                return Self::Carrier(CarrierEvent::Attached(stream));
            }
            43 => return Self::Carrier(CarrierEvent::Detached),
            44 => Model::Withdrawn,
            45..=47 => {
                let at = match bytes.byte() {
                    u8::MAX => Duration::MAX,
                    small => Duration::from_millis(u64::from(small) * 20),
                };
                let audio = bytes.audio();
                return Self::Carrier(CarrierEvent::Audio { at, audio });
            }
            48..=52 => return Self::Carrier(CarrierEvent::Played(bytes.mark())),
            53 => return Self::Carrier(CarrierEvent::Key(char::from(bytes.byte()))),
            54 => return Self::Command(Command::Keys(keys_answer(bytes))),
            55 | 56 => return Self::Command(Command::Answered(answered_by(bytes))),
            57 => {
                let (question, text) = (bytes.name(), bytes.some(64));
                return Self::Command(Command::Answer { question, text });
            }
            58 => return Self::Command(Command::Instruct(bytes.some(64))),
            59 => {
                let left = Duration::from_millis(bytes.number());
                return Self::Command(Command::EndWithin(left));
            }
            60 => return Self::Command(Command::End(bytes.end())),
            _ => return Self::Tick,
        };
        let (response, item) = (bytes.name(), bytes.name());
        let (mut text, mut audio) = (String::new(), None);
        match what {
            Model::Audio => audio = Some(bytes.audio()),
            Model::Called(_) => text = bytes.arguments(),
            _ => text = bytes.words(),
        }
        Self::Model {
            what,
            response,
            item,
            text,
            audio,
        }
    }

    /// The next one of a flood differs from the one before it in its names.
    fn rename(&mut self, time: u32) {
        match self {
            Self::Model { item, response, .. } if time.is_multiple_of(2) => {
                *item = format!("n{time}");
                if time.is_multiple_of(4) {
                    response.clone_from(item);
                }
            }
            Self::Carrier(CarrierEvent::Played(mark)) => {
                mark.sequence = mark.sequence.wrapping_add(1);
            }
            _ => {}
        }
    }

    fn input(&self) -> Input<'_> {
        match self {
            Self::Carrier(event) => event.clone().into(),
            Self::Command(command) => command.clone().into(),
            Self::Tick => Input::Tick,
            Self::Model {
                what,
                response,
                item,
                text,
                audio,
            } => model_event(*what, response, item, text, audio.as_ref()).into(),
        }
    }
}

const DISCLOSURE: &str = "Hello, this is an AI assistant.";

fn model_event<'a>(
    what: Model,
    response: &'a str,
    item: &'a str,
    text: &'a str,
    audio: Option<&Audio>,
) -> ModelEvent<'a> {
    let text = text.into();
    match what {
        Model::Configured => ModelEvent::Configured,
        Model::SpeechStarted => ModelEvent::SpeechStarted,
        Model::SpeechStopped => ModelEvent::SpeechStopped,
        Model::Committed => ModelEvent::Committed { item },
        Model::CallerWords => ModelEvent::CallerWords { item, text },
        Model::CallerWordsFailed => ModelEvent::CallerWordsFailed { item },
        Model::Started => ModelEvent::ResponseStarted { response },
        Model::AsideStarted => ModelEvent::AsideStarted { response },
        Model::Audio => ModelEvent::Audio {
            response,
            item,
            audio: audio.cloned().unwrap_or_else(|| Audio::silence(0)),
        },
        Model::AudioDone => ModelEvent::AudioDone { item },
        Model::Words => ModelEvent::Words { item, text },
        Model::Discloses => ModelEvent::Words {
            item,
            text: DISCLOSURE.into(),
        },
        Model::WordsDone => ModelEvent::WordsDone { item, text },
        Model::Called(which) => ModelEvent::ToolCall {
            response,
            call: item,
            name: [
                "end_call",
                "note",
                "press_keys",
                "wait",
                "ask_host",
                "dance",
            ][usize::from(which % 6)],
            arguments: text,
        },
        Model::Ended(how) => ModelEvent::ResponseEnded {
            response,
            ending: match how % 8 {
                0..=4 => ResponseEnding::Completed,
                5 => ResponseEnding::Cancelled,
                6 => ResponseEnding::Incomplete,
                _ => ResponseEnding::Failed {
                    fatal: how > 240,
                    message: text,
                },
            },
        },
        Model::Refused(about, kind) => ModelEvent::Error {
            about: match about % 10 {
                0 => Some(Request::Configure),
                1 => Some(Request::Turns),
                2 | 3 => Some(Request::Respond),
                4 => Some(Request::Cancel),
                5 => Some(Request::Truncate),
                6 => Some(Request::ToolOutput),
                7 => Some(Request::Recall),
                _ => None,
            },
            kind: match kind {
                0..=99 => ErrorKind::Busy,
                100..=199 => ErrorKind::Harmless,
                200..=239 => ErrorKind::Expired,
                _ => ErrorKind::Fatal,
            },
            message: text,
        },
        Model::Lost(returns) => ModelEvent::Lost {
            why: "It is gone.",
            returns,
        },
        Model::Offered => ModelEvent::Offered,
        Model::Withdrawn => ModelEvent::Withdrawn,
        Model::NotOpened(returns) => ModelEvent::NotOpened {
            why: "It does not answer.",
            returns,
        },
    }
}

fn keys_answer(bytes: &mut Bytes<'_>) -> KeysAnswer {
    match bytes.byte() % 3 {
        0 => KeysAnswer::Taken,
        1 => KeysAnswer::Refused(bytes.some(20)),
        _ => KeysAnswer::Unknown,
    }
}

fn answered_by(bytes: &mut Bytes<'_>) -> AnsweredBy {
    match bytes.byte() % 5 {
        0 => AnsweredBy::Person,
        4 => AnsweredBy::Tone,
        1 => AnsweredBy::Mailbox,
        2 => AnsweredBy::Menu,
        _ => AnsweredBy::Fax,
    }
}

/// A bridge, its clock, and what has been seen of it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one call"
)]
struct Line {
    bridge: Bridge,
    now: Duration,
    max_duration: Duration,
    answered: Option<Duration>,
    attached: bool,
    /// The model has said that it is an AI, at any time.
    said: bool,
    disclosed: bool,
    over: bool,
    since_mark: u64,
    latest_mark: Option<Mark>,
    /// What the next mark's generation must be at least.
    generation: u32,
}

impl Line {
    fn new(settings: Settings) -> Self {
        Self {
            max_duration: settings.max_duration,
            bridge: Bridge::new(settings),
            now: Duration::ZERO,
            answered: None,
            attached: false,
            said: false,
            disclosed: false,
            over: false,
            since_mark: 0,
            latest_mark: None,
            generation: 0,
        }
    }

    /// Time passes before the next event: mostly little, at times much, and once in a while it seems
    /// to go back.
    fn pass(&mut self, bytes: &mut Bytes<'_>) {
        let pass = match bytes.byte() {
            little @ 0..=199 => Duration::from_millis(u64::from(little)),
            more @ 200..=239 => Duration::from_millis(u64::from(more - 199) * 150),
            much @ 240..=253 => Duration::from_secs(u64::from(much - 239) * 10),
            254 => {
                let before = self.now.saturating_sub(Duration::from_secs(5));
                self.bridge.handle(before, Input::Tick);
                return self.drain();
            }
            _ => Duration::from_millis(bytes.number()),
        };
        self.run_until(self.now.saturating_add(pass));
    }

    /// Timers fire as they are due.
    fn run_until(&mut self, until: Duration) {
        let mut at_once = 0;
        while let Some(due) = self.bridge.deadline().filter(|due| *due <= until) {
            at_once = if due > self.now { 0 } else { at_once + 1 };
            assert!(at_once <= TICKS_AT_ONCE, "a busy loop at {due:?}");
            self.now = self.now.max(due);
            self.feed(Input::Tick);
        }
        self.now = self.now.max(until);
    }

    fn feed(&mut self, input: Input<'_>) {
        match &input {
            Input::Carrier(CarrierEvent::Attached(_)) => {
                self.attached = true;
                self.answered.get_or_insert(self.now);
                self.new_generation();
            }
            Input::Carrier(CarrierEvent::Detached) => {
                self.attached = false;
                self.new_generation();
            }
            Input::Model(ModelEvent::Words { text, .. }) => self.said |= text.contains(DISCLOSURE),
            _ => {}
        }
        self.bridge.handle(self.now, input);
        self.drain();
    }

    fn new_generation(&mut self) {
        self.generation = self.latest_mark.map_or(0, |mark| mark.generation + 1);
        self.since_mark = 0;
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(output) = self.bridge.poll() {
            assert!(!self.over, "something follows the hang-up: {output:?}");
            count += 1;
            assert!(count <= MOST_OUTPUTS, "outputs without end: {output:?}");
            self.came(output);
        }
        let deadline = self.bridge.deadline();
        assert_eq!(
            deadline.is_none(),
            self.over,
            "a call under way has a deadline, one that is over has none"
        );
    }

    fn came(&mut self, output: Output) {
        match output {
            Output::Carrier(to) => {
                assert!(self.attached, "sent to a carrier that is not there: {to:?}");
                match to {
                    ToCarrier::Audio(audio) => {
                        assert!(self.said, "audio before the disclosure was said");
                        self.since_mark += audio.samples();
                        assert!(self.since_mark <= MARK_EVERY, "too much without a mark");
                    }
                    ToCarrier::Mark(mark) => {
                        assert!(mark.generation >= self.generation, "an old mark: {mark:?}");
                        let latest = self.latest_mark.replace(mark);
                        assert!(
                            latest.is_none_or(
                                |latest| latest < mark && latest.sequence < mark.sequence
                            ),
                            "marks do not rise: {mark:?}"
                        );
                        self.since_mark = 0;
                    }
                    ToCarrier::Clear => self.new_generation(),
                }
            }
            Output::PressKeys { digits, .. } => {
                assert!(
                    self.attached && self.disclosed,
                    "keys before the disclosure"
                );
                let allowed = digits.chars().all(|key| "0123456789*#w".contains(key));
                assert!(allowed && (1..=32).contains(&digits.len()), "{digits}");
            }
            Output::Publish(Change::Disclosed) => {
                assert!(!self.disclosed, "disclosed twice");
                assert!(self.said, "disclosed, but never said");
                self.disclosed = true;
            }
            Output::Publish(Change::Asked { .. }) => {
                assert!(self.disclosed, "a question before the disclosure");
            }
            Output::HangUp(_) => self.over = true,
            Output::Model(_)
            | Output::OpenModel
            | Output::TakeModel
            | Output::KeepMoment(_)
            | Output::Publish(_) => {}
        }
    }

    /// Nothing happens any more but time, and the call must end.
    fn end(mut self) {
        let latest = match self.answered {
            Some(at) => at + self.max_duration + LAST_SENTENCE,
            None => CONNECT_WITHIN,
        };
        self.run_until(latest.max(self.now));
        assert!(self.over, "the call does not end");
        for input in [
            Input::Tick,
            Command::End(End::Busy).into(),
            CarrierEvent::Attached(Stream::Usual).into(),
            ModelEvent::ResponseStarted { response: "late" }.into(),
        ] {
            self.feed(input);
        }
        let state = format!("{:?}", self.bridge).len();
        assert!(state <= MOST_STATE, "{state} bytes are held at the end");
    }
}
