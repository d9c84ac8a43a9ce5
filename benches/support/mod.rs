//! What the benches run: each case does once what the program does fifty times a second, or once for
//! each question of an agent. The same cases are timed by `micro` and counted by `instructions`.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use openagent_messaging::call::bridge::event::{
    CarrierEvent, Change, Input, Mark, ModelEvent, Output, ResponseEnding, Stream, ToCarrier,
    ToModel,
};
use openagent_messaging::call::bridge::{Bridge, Settings};
use openagent_messaging::call::disclosure::Disclosure;
use openagent_messaging::call::language::Language;
use openagent_messaging::call::record::{Brief, Call, Lines};
use openagent_messaging::call::snapshot::Role;
use openagent_messaging::phone::E164;
use openagent_messaging::realtime::event::{self as model_wire, Parsed};
use openagent_messaging::realtime::prompt;
use openagent_messaging::realtime::setup::{Setup, TurnDetection};
use openagent_messaging::secret::Secret;
use openagent_messaging::twilio::frame::{self as carrier_wire, Frame};
use openagent_messaging::twilio::signature;
use tokio::runtime::Runtime;
use uuid::Uuid;

const STREAM: &str = "MZ00000000000000000000000000000001";

/// Time between two events: so little that no deadline of the conversation passes, however many rounds a
/// bench takes. (A response of which nothing comes for 15 s, say, loses the model.)
const STEP: Duration = Duration::from_micros(1);

/// A message as a socket hands it over: a part of a larger buffer.
fn message(text: &str) -> Bytes {
    let mut read = BytesMut::with_capacity(8 * 1024);
    read.extend_from_slice(text.as_bytes());
    read.split().freeze()
}

/// 20 ms of audio, base64.
fn payload() -> String {
    format!("{}==", "f39/".repeat(54).split_at(214).0)
}

/// A conversation under way, with both wires.
pub struct Conversation {
    bridge: Bridge,
    setup: Setup,
    now: Duration,
    buffer: BytesMut,
    frame: Bytes,
    delta: Bytes,
    marks: Vec<Mark>,
    /// Frames that were put in, and those that came out on the other side.
    frames: u64,
    passed: u64,
}

impl Conversation {
    /// The greeting was heard, and the model answers the callee by itself.
    pub fn new() -> Self {
        let language = Language::default();
        let disclosure = Disclosure::new(&language, None);
        let sentence = disclosure.sentence.clone();
        let settings = Settings {
            disclosure,
            greeting_wait: Duration::ZERO,
            max_duration: Duration::from_secs(3_600),
            interrupt_after: Duration::from_millis(250),
            silence: Duration::from_secs(600),
            hold: Duration::from_secs(300),
            ask_host: Duration::from_secs(60),
            detects_machines: false,
            one_moment: None,
            connect_within: Duration::from_secs(60),
        };
        let setup = Setup {
            model: "gpt-realtime-2.1".into(),
            voice: "alloy".into(),
            brief: prompt::Brief::default(),
            turn_detection: TurnDetection::default(),
        };
        let payload = payload();
        let frame = format!(
            r#"{{"event":"media","sequenceNumber":"4242","media":{{"track":"inbound","chunk":"4241","timestamp":"84800","payload":"{payload}"}},"streamSid":"{STREAM}"}}"#
        );
        let delta = format!(
            r#"{{"type":"response.output_audio.delta","event_id":"event_00000000000000004242","response_id":"resp_2","item_id":"item_2","output_index":0,"content_index":0,"delta":"{payload}","obfuscation":"aBcDeFgH"}}"#
        );
        let mut this = Self {
            bridge: Bridge::new(settings),
            setup,
            now: Duration::ZERO,
            buffer: BytesMut::with_capacity(8 * 1024),
            frame: message(&frame),
            delta: message(&delta),
            marks: Vec::with_capacity(64),
            frames: 0,
            passed: 0,
        };
        this.model(r#"{"type":"session.updated"}"#);
        this.say("resp_1", "item_1", &sentence);
        this.input(Input::Carrier(CarrierEvent::Attached(Stream::Usual)));
        this.hear();
        this.model(r#"{"type":"session.updated"}"#);
        this.model(r#"{"type":"response.created","response":{"id":"resp_2"}}"#);
        for _ in 0..100 {
            this.frame_in();
            this.delta_in();
        }
        (this.frames, this.passed) = (0, 0);
        this
    }

    /// Every frame that was put in came out on the other side.
    pub fn has_passed_all(&self) -> bool {
        self.frames > 0 && self.frames == self.passed
    }

    fn say(&mut self, response: &str, item: &str, text: &str) {
        self.model(&format!(
            r#"{{"type":"response.created","response":{{"id":"{response}"}}}}"#
        ));
        let payload = payload();
        self.model(&format!(
            r#"{{"type":"response.output_audio.delta","response_id":"{response}","item_id":"{item}","delta":"{payload}"}}"#
        ));
        self.model(&format!(
            r#"{{"type":"response.output_audio.done","item_id":"{item}"}}"#
        ));
        let text = text.into();
        self.input(Input::Model(ModelEvent::WordsDone { item, text }));
        let ending = ResponseEnding::Completed;
        self.input(Input::Model(ModelEvent::ResponseEnded { response, ending }));
    }

    fn model(&mut self, text: &str) {
        let text = message(text);
        if let Ok(Parsed::Event(event)) = model_wire::parse(&text) {
            self.input(Input::Model(event));
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.now += STEP;
        self.bridge.handle(self.now, input);
        while let Some(output) = self.bridge.poll() {
            match output {
                Output::Carrier(to) => {
                    carrier_wire::write(&to, STREAM, &mut self.buffer);
                    match to {
                        ToCarrier::Audio(_) => self.passed += 1,
                        ToCarrier::Mark(mark) => self.marks.push(mark),
                        ToCarrier::Clear => {}
                    }
                }
                Output::Model(to) => {
                    model_wire::write(&to, &self.setup, &mut self.buffer);
                    self.passed += u64::from(matches!(to, ToModel::Audio(_)));
                }
                _ => {}
            }
        }
        std::hint::black_box(self.bridge.deadline());
        // So that nothing is left out by the optimiser.
        std::hint::black_box(self.buffer.split().freeze());
    }

    /// Everything was played.
    fn hear(&mut self) {
        while let Some(mark) = self.marks.pop() {
            self.input(Input::Carrier(CarrierEvent::Played(mark)));
        }
    }

    /// A frame of the callee, from Twilio's message to the model's.
    pub fn frame_in(&mut self) {
        self.frames += 1;
        let frame = self.frame.clone();
        if let Ok(Frame::Event(event)) = carrier_wire::parse(&frame) {
            self.input(Input::Carrier(event));
        }
    }

    /// 20 ms of the agent, from the model's message to Twilio's; every tenth with its mark, there and
    /// back.
    pub fn delta_in(&mut self) {
        self.frames += 1;
        let delta = self.delta.clone();
        if let Ok(Parsed::Event(event)) = model_wire::parse(&delta) {
            self.input(Input::Model(event));
        }
        self.hear();
    }
}

/// A webhook whose signature is checked.
pub struct Webhook {
    token: Secret,
    url: String,
    fields: Vec<(String, String)>,
    signature: String,
}

impl Webhook {
    pub fn new() -> Self {
        let names = [
            "AccountSid",
            "ApiVersion",
            "CallSid",
            "CallStatus",
            "Called",
            "CalledCity",
            "CalledCountry",
            "CalledState",
            "CalledZip",
            "Caller",
            "CallerCity",
            "CallerCountry",
            "CallerState",
            "CallerZip",
            "Direction",
            "From",
            "FromCity",
            "FromCountry",
            "FromState",
            "FromZip",
            "SequenceNumber",
            "Timestamp",
            "To",
            "ToCity",
            "ToCountry",
            "ToState",
            "ToZip",
        ];
        let fields: Vec<(String, String)> = names
            .map(|name| (name.to_owned(), "CA000000000000000000000000000".to_owned()))
            .into();
        let token = Secret::new("00000000000000000000000000000000");
        let url = "https://calls.example.com/status/7f3c2a".to_owned();
        let signature = signature::sign(&token, &url, &fields);
        Self {
            token,
            url,
            fields,
            signature,
        }
    }

    pub fn is_valid(&self) -> bool {
        signature::is_valid_form(&self.token, &self.url, &self.fields, &self.signature)
    }
}

/// A call with so many lines.
pub struct Told {
    call: Call,
    lines: u32,
    now: DateTime<Utc>,
}

impl Told {
    pub fn new(lines: u32) -> Self {
        let number = |text| E164::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let brief = Brief {
            to: number("+12023000001"),
            from: number("+14155550100"),
            mission: "Move my appointment to Tuesday.".into(),
            language: Language::default(),
            max_duration: Duration::from_secs(3_600),
        };
        let now = DateTime::UNIX_EPOCH;
        // The same id every time: how maps and formats treat it must not differ between runs.
        let call = Call::new(Uuid::from_u128(1), brief, now, Arc::default());
        let mut told = Self {
            call,
            lines: 0,
            now,
        };
        for _ in 0..lines {
            told.line();
        }
        told
    }

    /// One more.
    pub fn line(&mut self) {
        let line = Change::Line {
            slot: self.lines,
            at: Duration::from_secs(u64::from(self.lines)),
            role: Role::Caller,
            text: "Would Tuesday at half past nine suit you, or rather the afternoon?".into(),
        };
        self.lines += 1;
        self.call.apply(line, self.now, self.now);
    }

    /// What `phone_call_status` sends, all lines included.
    pub fn whole(&self) -> usize {
        self.show(Lines::All)
    }

    /// The same with the one line that is new.
    pub fn newest(&self) -> usize {
        let latest = self.call.watch().borrow().latest;
        self.show(Lines::After(latest - 1))
    }

    fn show(&self, lines: Lines) -> usize {
        let snapshot = self.call.snapshot(lines, self.now);
        serde_json::to_string(&snapshot).map_or(0, |text| text.len())
    }
}

/// A call whose every revision others wait for.
pub struct Watched {
    call: Arc<Call>,
    runtime: Runtime,
    done: tokio::sync::watch::Receiver<usize>,
    waiters: usize,
    notes: usize,
}

impl Watched {
    pub fn new(waiters: usize) -> Self {
        let call = Arc::new(Told::new(0).call);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap_or_else(|error| panic!("{error}"));
        let (woken, done) = tokio::sync::watch::channel(0);
        let woken = Arc::new(woken);
        for _ in 0..waiters {
            let (mut revisions, woken) = (call.watch(), Arc::clone(&woken));
            runtime.spawn(async move {
                while revisions.changed().await.is_ok() {
                    revisions.borrow_and_update();
                    woken.send_modify(|woken| *woken += 1);
                }
            });
        }
        Self {
            call,
            runtime,
            done,
            waiters,
            notes: 0,
        }
    }

    /// A change, until everybody knows.
    pub fn publish(&mut self) {
        self.notes += 1;
        let (at, now) = (Duration::from_secs(1), DateTime::UNIX_EPOCH);
        let line = Change::Line {
            slot: 0,
            at,
            role: Role::Agent,
            text: self.notes.to_string(),
        };
        let all = self.notes * self.waiters;
        let (call, done) = (&self.call, &mut self.done);
        self.runtime.block_on(async {
            // So that they wait before there is something to wait for.
            tokio::task::yield_now().await;
            call.apply(line, now, now);
            let _ = done.wait_for(|woken| *woken == all).await;
        });
    }
}
