//! A model, a carrier and a callee that react to a bridge as the real ones do, and at times do not.

// With its path, because the fuzz target includes this file from elsewhere.
#[path = "world/model.rs"]
mod model;

use std::collections::HashMap;
use std::fmt::Write as _;

use super::observer::{Observer, ensure};
use super::*;
use crate::call::record::{Brief, Call, Lines};
use crate::phone::E164;

/// One thing that happens. What makes no sense as the world stands does not happen, but for junk.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Time passes, timers fire.
    Wait(u64),
    /// Time passes, and the timer is late.
    Stall(u64),
    /// The next timer fires.
    Due,
    /// The model does what it would do next.
    Model(u8),
    Settle,
    RefuseTurns,
    RefuseResponse(u8),
    Begin,
    Say(u8),
    Word,
    NextItem,
    AudioDone,
    WordsDone,
    Finish(u8),
    CallTool(u8),
    Speaks,
    Stops,
    Commits,
    /// All three, and what the model does then.
    TakesTurn,
    Understood(u8),
    Frame(u8),
    Key,
    /// So many marks come back.
    Plays(u8),
    /// The carrier connects a stream: the one after keys, if there are any, or another.
    Attaches(u8),
    Detaches,
    /// The carrier answers the request to press keys.
    AnswersKeys(u8),
    /// The carrier has found out who answered.
    Answered(u8),
    LosesModel(u8),
    /// It is lost, replaced, and lost again at once; then another one comes.
    Flaps,
    /// The other session is open, or is not.
    OpensModel(u8),
    /// The host answers a question, or none that there is.
    HostAnswers(u8),
    Instructs,
    Ends(u8),
    /// What no peer should do.
    Junk(u8, u8),
}

/// A call to be lived through.
#[derive(Clone)]
pub(super) struct Story {
    pub(super) max_duration: u64,
    pub(super) greeting_wait: u64,
    pub(super) interrupt_after: u64,
    pub(super) silence: u64,
    pub(super) detects_machines: bool,
    pub(super) one_moment: bool,
    pub(super) steps: Vec<Step>,
}

impl std::fmt::Debug for Story {
    /// On one line: the trace tells more.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            max_duration,
            greeting_wait,
            interrupt_after,
            silence,
            detects_machines,
            one_moment,
            steps,
        } = self;
        write!(
            f,
            "max {max_duration}, wait {greeting_wait}, interrupt {interrupt_after}, \
             silence {silence}, machines {detects_machines}, moment {one_moment}: {steps:?}"
        )
    }
}

/// What the model is saying.
#[derive(Debug)]
struct Talk {
    id: String,
    greeting: bool,
    cancelled: bool,
    item: Option<u8>,
    text: String,
}

/// See the module.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one conversation"
)]
pub(super) struct World<'t> {
    bridge: Bridge,
    observer: Observer,
    record: Call,
    max_duration: Duration,
    trace: Option<&'t mut String>,
    now: Duration,

    /// The model has not confirmed these, oldest first.
    unsettled: VecDeque<ToModel>,
    models_turns: bool,
    asked: Option<Respond>,
    answers: bool,
    talk: Option<Talk>,
    responses: u32,
    items: u8,
    owners: HashMap<u8, String>,
    junk_items: u8,
    words: u32,

    has_model: bool,
    opening: bool,
    speaking: bool,
    uncommitted: bool,
    turns: u32,

    /// The latest keys that the carrier was asked to press.
    pressed: Option<u32>,

    marks: VecDeque<Mark>,
    /// Of generations that are over.
    old_marks: Vec<Mark>,
    frame: u64,
}

/// Ticks at the same instant that are no busy loop.
const TICKS_AT_ONCE: u32 = 10;

/// Item names of the agent: also the sample that its audio consists of.
pub(super) fn item_number(item: &str) -> u8 {
    item[1..].parse().unwrap_or(u8::MAX)
}

/// The item that says this word.
pub(super) fn word_item(word: &str) -> Option<u8> {
    word.strip_prefix('i')?.split_once('w')?.0.parse().ok()
}

/// The item that this audio belongs to.
pub(super) fn tag(audio: &Audio) -> u8 {
    let first = audio.pieces(3).next();
    first.map_or(u8::MAX, |group| group.decode()[0])
}

thread_local! {
    static AUDIO: std::cell::RefCell<HashMap<(u8, usize), Audio>> = std::cell::RefCell::default();
}

/// Audio of an item; made once, because encoding is what costs the most here.
fn audio_of(item: u8, samples: usize) -> Audio {
    AUDIO.with_borrow_mut(|made| {
        made.entry((item, samples))
            .or_insert_with(|| Audio::from_samples(&vec![item; samples]))
            .clone()
    })
}

fn at() -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::UNIX_EPOCH
}

impl<'t> World<'t> {
    /// Lives through a story, to the hang-up.
    pub(super) fn live(story: &Story, trace: Option<&'t mut String>) -> Result<(), String> {
        let mut world = Self::new(story, trace);
        world.drain()?;
        for step in &story.steps {
            world.step(*step)?;
            let progress = world.observer.over.is_some();
            ensure!(
                progress || world.bridge.deadline().is_some(),
                "nothing will ever end this call"
            );
        }
        world.end()
    }

    fn new(story: &Story, trace: Option<&'t mut String>) -> Self {
        let settings = Settings {
            disclosure: Disclosure::new(&Language::default(), Some("Ada")),
            greeting_wait: ms(story.greeting_wait),
            max_duration: ms(story.max_duration),
            interrupt_after: ms(story.interrupt_after),
            silence: ms(story.silence),
            hold: ms(5_000),
            ask_host: ms(6_000),
            detects_machines: story.detects_machines,
            one_moment: story.one_moment.then_some(OneMoment::Make("One moment.")),
            connect_within: ms(60_000),
        };
        let brief = Brief {
            to: E164::parse("+390612345678").unwrap(),
            from: E164::parse("+15005550006").unwrap(),
            mission: "".into(),
            language: Language::default(),
            max_duration: settings.max_duration,
        };
        Self {
            max_duration: settings.max_duration,
            bridge: Bridge::new(settings),
            observer: Observer::of(ms(story.max_duration)),
            record: Call::new(uuid::Uuid::new_v4(), brief, at(), std::sync::Arc::default()),
            trace,
            now: Duration::ZERO,
            unsettled: VecDeque::new(),
            models_turns: false,
            asked: None,
            answers: false,
            talk: None,
            responses: 0,
            items: 0,
            owners: HashMap::new(),
            junk_items: 127,
            words: 0,
            has_model: true,
            opening: false,
            speaking: false,
            uncommitted: false,
            turns: 0,
            pressed: None,
            marks: VecDeque::new(),
            old_marks: Vec::new(),
            frame: 0,
        }
    }

    fn feed<'a>(&mut self, input: impl Into<Input<'a>>) -> Result<(), String> {
        let input = input.into();
        if let Some(trace) = &mut self.trace {
            let _ = writeln!(trace, "{:>8} > {input:?}", self.now.as_millis());
        }
        if let Input::Carrier(CarrierEvent::Attached(_) | CarrierEvent::Detached) = input {
            self.old_marks.extend(self.marks.drain(..));
        }
        self.observer.fed(self.now, &input);
        self.bridge.handle(self.now, input);
        self.drain()
    }

    fn drain(&mut self) -> Result<(), String> {
        while let Some(output) = self.bridge.poll() {
            if let Some(trace) = &mut self.trace {
                let _ = writeln!(trace, "         < {output:?}");
            }
            self.observer.came(&output)?;
            self.react(output)?;
        }
        self.observer.settled()
    }

    /// What the peers make of it.
    fn react(&mut self, output: Output) -> Result<(), String> {
        match output {
            Output::Carrier(ToCarrier::Mark(mark)) => self.marks.push_back(mark),
            Output::Carrier(ToCarrier::Clear) => self.old_marks.extend(self.marks.drain(..)),
            Output::Model(message @ (ToModel::Configure | ToModel::Turns(_))) => {
                self.unsettled.push_back(message);
            }
            Output::Model(ToModel::Respond(respond)) => self.asked = Some(respond),
            Output::Model(ToModel::Cancel) => {
                if let Some(talk) = &mut self.talk {
                    talk.cancelled = true;
                }
            }
            Output::PressKeys { number, .. } => self.pressed = Some(number),
            Output::OpenModel => self.opening = true,
            Output::TakeModel => {
                self.forget();
                self.has_model = true;
            }
            Output::Publish(change) => self.record.apply(change, at(), at()),
            Output::HangUp(end) => self.record_ends(&end)?,
            _ => {}
        }
        Ok(())
    }

    /// A new session of the model knows nothing.
    fn forget(&mut self) {
        self.unsettled.clear();
        self.models_turns = false;
        self.asked = None;
        self.answers = false;
        self.talk = None;
        self.speaking = false;
        self.uncommitted = false;
    }

    fn record_ends(&self, end: &End) -> Result<(), String> {
        let before = self.record.snapshot(Lines::None, at());
        ensure!(self.record.finish(end, at()), "ended twice");
        let after = self.record.snapshot(Lines::All, at());
        ensure!(
            !before.status.is_final() && after.status == end.status(),
            "status {:?} after {end:?}",
            after.status
        );
        ensure!(
            after.outcome.is_some() && after.summary.is_some(),
            "ended without outcome or summary"
        );
        ensure!(
            after.revision == before.revision + 1,
            "the end in two revisions"
        );
        self.record.apply(Change::Note("late".into()), at(), at());
        let late = self.record.finish(&End::Busy, at());
        let last = self.record.snapshot(Lines::All, at());
        ensure!(!late && last == after, "something changed after the end");
        Ok(())
    }

    /// Time passes; timers fire as they are due.
    fn wait(&mut self, until: Duration) -> Result<(), String> {
        let mut at_once = 0;
        while let Some(due) = self.bridge.deadline().filter(|due| *due <= until) {
            at_once = if due > self.now { 0 } else { at_once + 1 };
            ensure!(at_once <= TICKS_AT_ONCE, "a busy loop at {due:?}");
            self.now = self.now.max(due);
            self.feed(Input::Tick)?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// Nothing happens any more but time.
    fn end(&mut self) -> Result<(), String> {
        if self.observer.over.is_none() {
            let latest = self.observer.latest_end(self.max_duration);
            self.wait(latest.unwrap_or(ms(60_000)).max(self.now))?;
            ensure!(self.observer.over.is_some(), "the call does not end");
        }
        ensure!(
            self.bridge.deadline().is_none(),
            "a timer runs after the end"
        );
        self.feed(Input::Tick)?;
        self.feed(Command::End(End::Busy))
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Wait(time) => self.wait(self.now + ms(time)),
            Step::Stall(time) => {
                self.now += ms(time);
                self.observer.stalled += ms(time);
                self.feed(Input::Tick)
            }
            Step::Due => match self.bridge.deadline() {
                Some(due) if due < self.now + ms(15_000) => self.wait(due),
                _ => Ok(()),
            },
            Step::Plays(count) => {
                for _ in 0..count {
                    let Some(mark) = self.marks.pop_front() else {
                        break;
                    };
                    self.wait(self.now + ms(20))?;
                    self.feed(CarrierEvent::Played(mark))?;
                }
                Ok(())
            }
            Step::Attaches(kind) => {
                self.frame = 0;
                let stream = match (self.pressed, kind % 4) {
                    (Some(number), 0..=1) => Stream::AfterKeys(number),
                    (Some(number), 2) => Stream::AfterKeys(number.saturating_sub(1)),
                    _ => Stream::Usual,
                };
                self.feed(CarrierEvent::Attached(stream))
            }
            Step::Detaches => self.feed(CarrierEvent::Detached),
            Step::Key => self.feed(CarrierEvent::Key('5')),
            Step::Frame(kind) => self.frame(kind),
            Step::AnswersKeys(kind) => {
                let answer = match kind % 4 {
                    0 => KeysAnswer::Refused("No.".into()),
                    1 => KeysAnswer::Unknown,
                    _ => KeysAnswer::Taken,
                };
                self.feed(Command::Keys(answer))
            }
            Step::LosesModel(_) | Step::OpensModel(_) | Step::Flaps => self.sessions(step),
            Step::Answered(kind) => {
                let who = match kind {
                    0..=50 => AnsweredBy::Person,
                    51..=110 => AnsweredBy::Menu,
                    111..=120 => AnsweredBy::Fax,
                    121..=190 => AnsweredBy::Tone,
                    _ => AnsweredBy::Mailbox,
                };
                self.feed(Command::Answered(who))
            }
            Step::HostAnswers(number) => self.feed(Command::Answer {
                question: format!("q{}", number % 7),
                text: "Morning.".into(),
            }),
            Step::Instructs => self.feed(Command::Instruct("Ask for the price.".into())),
            Step::Ends(kind) => self.feed(Command::End(match kind % 4 {
                0 => End::HostHungUp,
                1 => End::CalleeHungUp,
                2 => End::Shutdown,
                _ => End::Failed("It broke.".into()),
            })),
            Step::TakesTurn => {
                for part in [Step::Speaks, Step::Wait(300), Step::Stops, Step::Commits] {
                    self.step(part)?;
                }
                self.natural(0)?;
                self.natural(0)
            }
            Step::Speaks | Step::Stops | Step::Commits | Step::Understood(_) => self.callee(step),
            Step::Junk(kind, arg) => self.junk(kind, arg),
            _ => self.model(step),
        }
    }

    fn frame(&mut self, kind: u8) -> Result<(), String> {
        // Now and then there is a hole.
        self.frame += if kind == 0 { 400 } else { 20 };
        self.wait(self.now + ms(20))?;
        let level = if self.speaking { 0x90 } else { 0xF8 };
        let (at, audio) = (ms(self.frame), audio_of(level, 160));
        self.feed(CarrierEvent::Audio { at, audio })
    }

    fn callee(&mut self, step: Step) -> Result<(), String> {
        if !self.has_model {
            return Ok(());
        }
        match step {
            Step::Speaks if !self.speaking => {
                self.speaking = true;
                self.answers = false;
                if let Some(talk) = self.talk.as_mut().filter(|_| self.models_turns) {
                    talk.cancelled = true;
                }
                self.feed(ModelEvent::SpeechStarted)
            }
            Step::Stops if self.speaking => {
                self.speaking = false;
                self.uncommitted = true;
                self.feed(ModelEvent::SpeechStopped)
            }
            Step::Commits if self.uncommitted => {
                self.uncommitted = false;
                self.answers = self.models_turns;
                self.turns += 1;
                let item = format!("c{}", self.turns);
                self.feed(ModelEvent::Committed { item: &item })
            }
            Step::Understood(back) => {
                let item = format!("c{}", self.turns.saturating_sub(u32::from(back % 4)));
                let text = "Well.".into();
                self.feed(ModelEvent::CallerWords { item: &item, text })
            }
            _ => Ok(()),
        }
    }
}
