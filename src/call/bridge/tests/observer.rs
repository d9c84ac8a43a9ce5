//! Watches what goes into a bridge and what comes out of it, and objects. It keeps books of its own
//! and knows nothing of the bridge's.

// With its path, because the fuzz target includes this file from elsewhere.
#[path = "observer/outputs.rs"]
mod outputs;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::questions::Questions;
use super::world::{item_number, word_item};
use super::*;

/// Samples that one mark may stand for.
const MARK_EVERY: u64 = 1_600;

/// Samples beyond which a greeting is not the sentence that was asked for: 30 s.
const LONGEST_GREETING: u64 = 240_000;

/// For a response that was asked for to begin.
const SWALLOWED: Duration = Duration::from_secs(10);

/// For a response to go on.
const STALLS: Duration = Duration::from_secs(15);

/// For a lost session to be replaced by one that works, and how soon that shows.
const RETURNS: Duration = Duration::from_secs(8);
const PROVEN: Duration = Duration::from_secs(5);

/// What may be said beyond the maximum duration.
const LAST_SENTENCE: Duration = Duration::from_secs(5);

/// Fails with a sentence, unless.
macro_rules! ensure {
    ($holds:expr, $($sentence:tt)+) => {
        if !$holds {
            return Err(format!($($sentence)+));
        }
    };
}
pub(super) use ensure;

/// What was seen of an item of the agent.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one item"
)]
struct Seen {
    response: String,
    received: u64,
    /// By the carrier, in this playing of it.
    sent: u64,
    /// In any playing.
    aloud: bool,
    /// Of that, what marks have witnessed.
    confirmed: u64,
    complete: bool,
    /// It was complete once, but more came.
    was_complete: bool,
    /// The model was told that it was not heard to its end.
    gone: bool,
    /// The present session of the model does not know it.
    foreign: bool,
}

#[derive(Debug)]
enum Sent {
    Audio(u8, u64),
    Mark(Mark),
}

/// See the module.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one conversation"
)]
pub(super) struct Observer {
    pub(super) over: Option<End>,
    attached: bool,
    answered: Option<Duration>,
    /// How late the timers were, all in all.
    pub(super) stalled: Duration,

    /// The response under way at the model.
    pub(super) active: Option<String>,
    /// The model's session is gone.
    lost: bool,
    /// Since when, and since when there is another one, which has not answered anything.
    lost_since: Option<Duration>,
    replaced: Option<Duration>,
    /// Another one is being opened.
    opening: bool,
    /// The call is about to end, and its goodbye may have been said.
    ending: bool,
    max_duration: Duration,
    /// Responses beside the conversation.
    asides: BTreeSet<String>,
    moment_kept: bool,
    aside_words: BTreeSet<String>,
    /// What a response beside the conversation made is being played.
    aside_played: Option<String>,
    /// One was asked for and has neither begun nor been refused; since when, and how often.
    asked: Option<(Respond, Duration, u8)>,
    now: Duration,
    /// When something of a response came.
    response_heard: Duration,
    /// Responses of which something was not sent: nothing more of them may be.
    dead: BTreeSet<String>,

    /// Sent and not yet confirmed.
    stream: VecDeque<Sent>,
    since_mark: u64,
    /// The latest mark, and the generation that the next must have at least.
    latest_mark: Option<Mark>,
    generation: u32,

    items: BTreeMap<u8, Seen>,
    /// The words of the agent: where they stand in the audio of their item.
    words: BTreeMap<String, u64>,
    /// Who owns a line of the transcript.
    lines: BTreeMap<u32, (Role, Option<u8>)>,
    /// The response that is the greeting, while it is played and afterwards.
    greeting: Option<String>,
    pub(super) disclosed: bool,
    /// What the response under way says in words, and whether it has just ended as a good greeting.
    said: String,
    well_said: bool,
    /// Responses that have said it at some time.
    disclosures: BTreeSet<String>,

    /// What was fed: an item's audio (and how much of it was passed on), or the end of something.
    passing: Option<(u8, String, u64)>,
    /// The audio is of an item that was complete, which may be dropped.
    late: bool,
    audio_done: Option<u8>,
    response_done: bool,
    must_end: bool,
    must_end_as: Option<End>,
    /// A stream has just come that follows keys.
    after_keys: bool,
    /// Times that the model wanted keys pressed, and they were not.
    keys_wanted: u32,
    /// The carrier says that a mailbox answered; just now, or ever. It is disclosed to once more.
    mailbox_now: bool,
    mailbox: bool,
    /// The model says that it is one.
    voicemail: bool,
    /// The disclosure is being played to it.
    again: bool,
    /// A generation ended, so that lines may be cut short.
    cut: bool,
    questions: Questions,
}

impl Observer {
    /// Of a call that lasts this long at most.
    pub(super) fn of(max_duration: Duration) -> Self {
        Self {
            max_duration,
            ..Self::default()
        }
    }

    /// Something is about to be fed.
    pub(super) fn fed(&mut self, now: Duration, input: &Input<'_>) {
        self.now = now;
        self.passing = None;
        self.late = false;
        self.mailbox_now = false;
        self.after_keys = false;
        self.well_said = false;
        self.audio_done = None;
        self.response_done = false;
        self.must_end = false;
        self.must_end_as = None;
        self.cut = false;
        if self.over.is_some() {
            return;
        }
        self.questions.fed(now, input);
        if !self.lost && is_of_a_response(input) {
            self.response_heard = now;
        }
        match input {
            Input::Carrier(CarrierEvent::Attached(stream)) => {
                self.after_keys = *stream != Stream::Usual;
                self.stream_is_lost();
                self.attached = true;
                self.answered.get_or_insert(now);
            }
            Input::Carrier(CarrierEvent::Detached) if self.attached => {
                self.stream_is_lost();
                self.attached = false;
            }
            Input::Carrier(CarrierEvent::Played(mark)) => self.played(*mark),
            Input::Model(ModelEvent::Lost { returns, .. }) if !self.lost => {
                self.must_end = !returns && !self.ending && !self.mailbox && !self.time_is_up();
                self.session_is_gone();
                self.session_is_lost();
            }
            Input::Model(ModelEvent::Offered | ModelEvent::NotOpened { .. }) => {
                self.opening = false;
            }
            Input::Model(event) if !self.lost => self.fed_by_model(event),
            Input::Command(Command::Answered(who)) => {
                self.mailbox_now = matches!(who, AnsweredBy::Tone | AnsweredBy::Mailbox);
                self.mailbox |= self.mailbox_now;
            }
            Input::Command(Command::End(end)) => {
                self.must_end = true;
                self.must_end_as = Some(end.clone());
            }
            _ => {}
        }
    }

    fn fed_by_model(&mut self, event: &ModelEvent<'_>) {
        match event {
            ModelEvent::ResponseStarted { response } => {
                if self.active.as_deref() != Some(response) {
                    self.said.clear();
                }
                self.active = Some((*response).to_owned());
                self.asked = None;
            }
            ModelEvent::AsideStarted { response } => {
                self.said.clear();
                self.active = Some((*response).to_owned());
                self.asides.insert((*response).to_owned());
            }
            ModelEvent::ResponseEnded { response, ending }
                if self.active.as_deref() == Some(response) =>
            {
                let items = self.items.values();
                let received: u64 = items
                    .filter(|seen| seen.response == *response)
                    .map(|seen| seen.received)
                    .sum();
                self.well_said = self.said.contains(GREETING)
                    && *ending == ResponseEnding::Completed
                    && (1..=LONGEST_GREETING).contains(&received);
                if !matches!(ending, ResponseEnding::Failed { .. }) {
                    self.replaced = None;
                }
                self.active = None;
                self.response_done = true;
                for seen in self.items.values_mut() {
                    seen.complete = true;
                }
            }
            ModelEvent::Audio {
                response,
                item,
                audio,
            } => {
                let item = item_number(item);
                if self.active.as_deref() == Some(response) {
                    let seen = self.items.entry(item).or_default();
                    if seen.response.is_empty() {
                        (*response).clone_into(&mut seen.response);
                    }
                    seen.received += audio.samples();
                    seen.was_complete |= std::mem::take(&mut seen.complete);
                    self.late = seen.was_complete;
                }
                self.passing = Some((item, (*response).to_owned(), audio.samples()));
            }
            ModelEvent::AudioDone { item } => {
                let item = item_number(item);
                self.audio_done = Some(item);
                if let Some(seen) = self.items.get_mut(&item).filter(|seen| seen.sent > 0) {
                    seen.complete = true;
                }
            }
            ModelEvent::WordsDone { text, .. } if self.active.is_some() => {
                (**text).clone_into(&mut self.said);
            }
            ModelEvent::Words { text, .. } => {
                if let Some(active) = &self.active {
                    self.said.push_str(text);
                    if text.contains(GREETING) {
                        self.disclosures.insert(active.clone());
                    }
                }
                for word in text.split_whitespace() {
                    let aside = self.active.as_ref();
                    if aside.is_some_and(|active| self.asides.contains(active)) {
                        // It is one, whatever items the model made it of.
                        self.aside_words.insert(word.to_owned());
                    } else if let Some(item) = word_item(word) {
                        let at = self.items.get(&item).map_or(0, |seen| seen.received);
                        self.words.insert(word.to_owned(), at);
                    }
                }
            }
            ModelEvent::Error { about, kind, .. } => {
                if *about == Some(Request::Respond) {
                    self.asked = None;
                }
                self.must_end |= *kind == ErrorKind::Fatal;
            }
            ModelEvent::ToolCall {
                name: "press_keys", ..
            } => self.keys_wanted += 1,
            _ => {}
        }
    }

    /// The call is at its maximum, and its last sentence may be all that is left of it.
    fn time_is_up(&self) -> bool {
        self.answered
            .is_some_and(|at| at + self.max_duration <= self.now)
    }

    /// Sessions that are lost one after another are one loss.
    fn session_is_lost(&mut self) {
        self.lost = true;
        let works = self.replaced.is_none_or(|at| at + PROVEN <= self.now);
        if works || self.lost_since.is_none() {
            self.lost_since = Some(self.now);
        }
    }

    /// Nothing more comes of it, and no other session knows what it said.
    fn session_is_gone(&mut self) {
        self.active = None;
        self.asked = None;
        self.response_done = true;
        self.said.clear();
        for seen in self.items.values_mut() {
            seen.complete = true;
            seen.foreign = true;
        }
    }

    fn stream_is_lost(&mut self) {
        if !self.disclosed {
            self.greeting = None;
        }
        self.new_generation();
    }

    /// What is queued is gone, and so is the response that was being said.
    fn new_generation(&mut self) {
        self.stream.clear();
        self.again = false;
        self.aside_played = None;
        self.since_mark = 0;
        self.generation = self.latest_mark.map_or(0, |mark| mark.generation + 1);
        self.dead.extend(self.active.clone());
        self.cut = true;
    }

    fn played(&mut self, mark: Mark) {
        let is_pending = |sent: &Sent| matches!(sent, Sent::Mark(pending) if *pending == mark);
        let Some(at) = self.stream.iter().position(is_pending) else {
            return;
        };
        for sent in self.stream.drain(..=at) {
            if let Sent::Audio(item, samples) = sent {
                self.items.entry(item).or_default().confirmed += samples;
            }
        }
    }

    /// Something came out.
    pub(super) fn came(&mut self, output: &Output) -> Result<(), String> {
        ensure!(self.over.is_none(), "something follows the hang-up");
        self.questions.came(output, self.disclosed)?;
        match output {
            Output::Carrier(to) => {
                ensure!(self.attached, "sent to a carrier that is not there");
                match to {
                    ToCarrier::Audio(audio) => self.audio_sent(audio),
                    ToCarrier::Mark(mark) => self.mark_sent(*mark),
                    ToCarrier::Clear => {
                        let greeting = self.greeting.is_some() && !self.disclosed;
                        ensure!(!greeting || self.mailbox_now, "the disclosure is cleared");
                        if !self.disclosed {
                            self.greeting = None;
                        }
                        self.new_generation();
                        Ok(())
                    }
                }
            }
            Output::Model(to) => self.model_told(to),
            Output::OpenModel => {
                ensure!(!self.opening, "two sessions are opened at once");
                self.opening = true;
                if !self.lost {
                    // It answered nothing: no call here is so long that its session grows old.
                    let swallowed = self.asked.take();
                    let twice = swallowed.is_some_and(|(_, since, times)| {
                        times == 1 && since + SWALLOWED <= self.now
                    });
                    let stalls = self.active.is_some() && self.response_heard + STALLS <= self.now;
                    ensure!(twice || stalls, "a session that works is left");
                    self.session_is_gone();
                    self.questions.lost();
                    self.session_is_lost();
                }
                Ok(())
            }
            Output::KeepMoment(_) => {
                ensure!(!self.asides.is_empty(), "a moment that nobody has made");
                let first = !std::mem::replace(&mut self.moment_kept, true);
                ensure!(first, "a moment is kept twice");
                Ok(())
            }
            Output::TakeModel => {
                ensure!(!self.opening, "a session is taken that is not open");
                self.dead.extend(self.active.clone());
                self.session_is_gone();
                self.lost = false;
                self.replaced = Some(self.now);
                Ok(())
            }
            Output::PressKeys { .. } => {
                ensure!(self.attached, "keys without a line");
                ensure!(self.disclosed, "keys before the disclosure");
                let wanted = self.keys_wanted.checked_sub(1);
                self.keys_wanted = wanted.ok_or("keys that nobody wanted, or twice")?;
                Ok(())
            }
            Output::Publish(Change::Line {
                slot, role, text, ..
            }) => self.line(*slot, *role, text),
            Output::Publish(Change::Disclosed) => self.disclosure(),
            Output::Publish(Change::Verdict { outcome, .. }) => {
                self.ending = true;
                self.voicemail |= *outcome == Outcome::Voicemail;
                Ok(())
            }
            Output::Publish(_) => Ok(()),
            Output::HangUp(end) => {
                self.over = Some(end.clone());
                Ok(())
            }
        }
    }

    /// Everything that follows from what was fed has come out.
    pub(super) fn settled(&mut self) -> Result<(), String> {
        if std::mem::take(&mut self.must_end) {
            ensure!(self.over.is_some(), "the call should have ended");
            let mut end = self.must_end_as.take();
            if (self.mailbox || self.voicemail) && self.over == Some(End::Voicemail) {
                // Also if it cut the line itself.
                end = end.filter(|end| *end != End::CalleeHungUp);
            }
            ensure!(
                end.is_none() || self.over == end,
                "ended with {:?}, not with {end:?}",
                self.over
            );
        }
        if self.over.is_some() {
            return Ok(());
        }
        self.questions.settled()?;
        let patient = self.lost && !self.ending && !self.mailbox && !self.time_is_up();
        let since = self.lost_since.filter(|_| patient);
        ensure!(
            since.is_none_or(|since| self.now < since + RETURNS + self.stalled),
            "waits too long for a session"
        );
        let tail = |sent: &&Sent| matches!(sent, Sent::Audio(..));
        let mut unmarked = self.stream.iter().rev().take_while(tail);
        if self.response_done || self.passing.is_none() {
            let done = self.audio_done;
            let missing = unmarked.any(|sent| match sent {
                Sent::Audio(item, _) => {
                    self.response_done || done == Some(*item) || !self.disclosed
                }
                Sent::Mark(_) => false,
            });
            ensure!(!missing, "no mark at the end");
        }
        if let Some((_, response, left)) = self.passing.take()
            && left > 0
            && !self.late
        {
            self.dead.insert(response);
        }
        Ok(())
    }

    /// By when the call must have ended, if the callee has answered.
    pub(super) fn latest_end(&self, max_duration: Duration) -> Option<Duration> {
        Some(self.answered? + max_duration + LAST_SENTENCE + self.stalled)
    }
}

fn is_of_a_response(input: &Input<'_>) -> bool {
    matches!(
        input,
        Input::Model(
            ModelEvent::ResponseStarted { .. }
                | ModelEvent::AsideStarted { .. }
                | ModelEvent::Audio { .. }
                | ModelEvent::AudioDone { .. }
                | ModelEvent::Words { .. }
                | ModelEvent::WordsDone { .. }
                | ModelEvent::ToolCall { .. }
        )
    )
}
