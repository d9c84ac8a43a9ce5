//! Literal events in, literal outputs out. Times are milliseconds since the session began.

mod attachments;
mod barge_in;
mod ending;
mod hold;
mod host;
mod keys;
mod machines;
mod observer;
mod old_sessions;
mod opening;
mod property;
mod questions;
mod sessions;
mod shorthand;
mod silence;
mod story;
mod turns;
mod unsteady;
mod world;

use std::time::Duration;

use self::shorthand::{END_CALL, GREETING, ended, ms, tool, words};
use super::event::{
    AnsweredBy, ErrorKind, KeysAnswer, Mark, Recall, Request, Respond, ResponseEnding, Stream,
    ToCarrier, Turns,
};
use super::*;
use crate::call::audio::Audio;
use crate::call::language::Language;
use crate::call::snapshot::Outcome;

const ATTACHED: CarrierEvent = CarrierEvent::Attached(Stream::Usual);

/// A bridge with a clock that is read off the table.
struct Stage {
    bridge: Bridge,
}

impl Stage {
    /// A session that has just begun.
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            disclosure: Disclosure::new(&Language::default(), Some("Ada")),
            greeting_wait: ms(1_000),
            max_duration: ms(600_000),
            interrupt_after: ms(0),
            silence: ms(3_600_000),
            hold: ms(300_000),
            ask_host: ms(60_000),
            detects_machines: false,
            one_moment: None,
            connect_within: ms(120_000),
        };
        change(&mut settings);
        let mut bridge = Bridge::new(settings);
        assert_eq!(bridge.poll(), Some(Output::Model(ToModel::Configure)));
        Self { bridge }
    }

    /// The disclosure is held, the phone rings.
    fn ringing() -> Self {
        Self::new().prepared()
    }

    fn prepared(mut self) -> Self {
        self.at(10, ModelEvent::Configured);
        self.at(20, ModelEvent::ResponseStarted { response: "greet" });
        self.at(30, words("g", GREETING));
        self.at(40, audio("greet", "g", 1_600));
        self.at(50, ModelEvent::AudioDone { item: "g" });
        self.at(60, ended("greet"));
        self
    }

    /// The callee answered at 1000 and was greeted at 2000; the conversation is open at 2200.
    fn open() -> Self {
        Self::ringing().greeted()
    }

    fn greeted(mut self) -> Self {
        self.at(1_000, ATTACHED);
        let greeted = self.tick(2_000);
        assert_eq!(
            greeted.iter().filter(|o| is_audio(o)).count(),
            1,
            "{greeted:?}"
        );
        let heard = self.at(2_200, CarrierEvent::Played(last_mark(&greeted)));
        assert!(
            heard.contains(&Output::Model(ToModel::Turns(Turns::Models))),
            "{heard:?}"
        );
        assert_eq!(self.at(2_210, ModelEvent::Configured), []);
        self
    }

    fn at<'a>(&mut self, time: u64, input: impl Into<Input<'a>>) -> Vec<Output> {
        self.bridge.handle(ms(time), input.into());
        std::iter::from_fn(|| self.bridge.poll()).collect()
    }

    fn tick(&mut self, time: u64) -> Vec<Output> {
        self.at(time, Input::Tick)
    }

    /// Lets timers fire one by one, up to `time`.
    fn run_until(&mut self, time: u64) -> Vec<Output> {
        let mut all = Vec::new();
        while let Some(due) = self.bridge.deadline().filter(|due| *due <= ms(time)) {
            let due = u64::try_from(due.as_millis()).unwrap();
            all.extend(self.tick(due));
        }
        all.extend(self.tick(time));
        all
    }

    /// The callee says something, which becomes `item`.
    fn callee_says(&mut self, from: u64, to: u64, item: &str) -> Vec<Output> {
        let mut all = self.at(from, ModelEvent::SpeechStarted);
        all.extend(self.at(to, ModelEvent::SpeechStopped));
        all.extend(self.at(to, ModelEvent::Committed { item }));
        all
    }

    /// The agent says something within 100 ms, `samples` long. Returns what was sent.
    fn agent_says(
        &mut self,
        from: u64,
        response: &str,
        item: &str,
        text: &str,
        samples: usize,
    ) -> Vec<Output> {
        let mut all = self.at(from, ModelEvent::ResponseStarted { response });
        all.extend(self.at(from + 10, words(item, text)));
        all.extend(self.at(from + 20, audio(response, item, samples)));
        all.extend(self.at(
            from + 30,
            ModelEvent::WordsDone {
                item,
                text: text.into(),
            },
        ));
        all.extend(self.at(from + 40, ModelEvent::AudioDone { item }));
        all.extend(self.at(from + 50, ended(response)));
        all
    }
}

fn sound(samples: usize) -> Audio {
    Audio::from_samples(&vec![7; samples])
}

fn audio<'a>(response: &'a str, item: &'a str, samples: usize) -> ModelEvent<'a> {
    ModelEvent::Audio {
        response,
        item,
        audio: sound(samples),
    }
}

fn is_audio(output: &Output) -> bool {
    matches!(output, Output::Carrier(ToCarrier::Audio(_)))
}

fn marks(outputs: &[Output]) -> Vec<Mark> {
    let marks = outputs.iter().filter_map(|output| match output {
        Output::Carrier(ToCarrier::Mark(mark)) => Some(*mark),
        _ => None,
    });
    marks.collect()
}

fn last_mark(outputs: &[Output]) -> Mark {
    *marks(outputs).last().expect("no mark was sent")
}

fn lines(outputs: &[Output]) -> Vec<(u32, Role, &str)> {
    let lines = outputs.iter().filter_map(|output| match output {
        Output::Publish(Change::Line {
            slot, role, text, ..
        }) => Some((*slot, *role, text.as_str())),
        _ => None,
    });
    lines.collect()
}

fn to_model(outputs: &[Output]) -> Vec<&ToModel> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Model(message) => Some(message),
        _ => None,
    });
    sent.collect()
}

fn asked(outputs: &[Output]) -> usize {
    to_model(outputs)
        .iter()
        .filter(|message| matches!(message, ToModel::Respond(_)))
        .count()
}

fn hung_up(outputs: &[Output]) -> Option<&End> {
    outputs.iter().find_map(|output| match output {
        Output::HangUp(end) => Some(end),
        _ => None,
    })
}
