//! The playback ledger: what the agent said, how much of it was sent, and how much of it the
//! callee has heard. Marks are the only witness of the last.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::event::{Mark, ToCarrier};
use crate::call::audio::{Audio, SAMPLES_PER_MS};

/// Samples between two marks at the most: how precisely "heard" is known.
pub(super) const MARK_EVERY: u64 = 200 * SAMPLES_PER_MS;

/// Items and marks that wait to be heard: more than this (ten minutes) is no conversation.
const ITEMS: usize = 256;
const MARKS: usize = 3_000;

/// Pieces of text of one item.
const PIECES: usize = 4_096;

/// Items that left during one response and are remembered.
const OVER: usize = 64;

/// Ends the line of a turn that was cut off.
const CUT_OFF: &str = "—";

/// One audio item of the model on its way to the callee's ear.
#[derive(Debug)]
struct Item {
    id: Arc<str>,
    /// Its line in the transcript, once its first sound was sent.
    line: Option<(u32, Duration)>,
    received: u64,
    sent: u64,
    heard: u64,
    /// All its audio has been received.
    complete: bool,
    /// The present session of the model does not know it.
    foreign: bool,
    /// Its text as far as it has come.
    words: String,
    /// The pieces that it came in: the audio position at which each arrived, and its end in the text.
    pieces: Vec<(u64, usize)>,
    /// Its whole text, when the model has given it.
    text: Option<String>,
}

/// A line of the transcript that has become certain.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spoken {
    pub(super) slot: u32,
    pub(super) at: Duration,
    pub(super) text: String,
}

/// How much of an item was heard when it was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    /// Whole milliseconds.
    Part(u64),
    All,
}

/// What became of an item that was cut off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CutItem {
    pub(super) id: String,
    pub(super) heard: Heard,
    /// The present session of the model does not know it.
    pub(super) foreign: bool,
    /// What was said aloud, if anything was.
    pub(super) spoken: Option<Spoken>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    generation: u32,
    sequence: u32,
    /// In the order in which they are played; finished ones leave. There are one or two, and every
    /// frame looks at all of them: of a `VecDeque` that would cost several times as much.
    items: Vec<Item>,
    /// Marks that have not come back: the item they follow, and its position in samples.
    marks: VecDeque<(Mark, Arc<str>, u64)>,
    since_mark: u64,
    /// The item that audio was sent of last.
    latest: String,
    /// Items of this response that have left.
    over: Vec<Arc<str>>,
}

impl Ledger {
    /// Where the item stands; it is new if it is not known.
    fn place(&mut self, id: &str) -> usize {
        let known = self.items.iter().position(|item| *item.id == *id);
        known.unwrap_or_else(|| {
            self.items.push(Item::new(id));
            self.items.len() - 1
        })
    }

    fn item(&mut self, id: &str) -> &mut Item {
        let place = self.place(id);
        &mut self.items[place]
    }

    /// Whether this item has no sound yet, so that it needs a line.
    pub(super) fn is_new(&self, id: &str) -> bool {
        !self
            .items
            .iter()
            .any(|item| *item.id == *id && item.line.is_some())
    }

    /// Whether the item was heard to its end, and the model said that this was all.
    pub(super) fn is_over(&self, id: &str) -> bool {
        self.over.iter().any(|over| **over == *id)
    }

    /// More waits to be heard than a callee can want to hear.
    pub(super) fn is_full(&self) -> bool {
        self.items.len() >= ITEMS || self.marks.len() >= MARKS
    }

    /// The item begins to be played: its line stands at `slot`.
    pub(super) fn begin(&mut self, id: &str, slot: u32, at: Duration) {
        self.item(id).line = Some((slot, at));
    }

    /// Sends audio of an item, with marks in between.
    pub(super) fn send(&mut self, id: &str, audio: &Audio, mut to: impl FnMut(ToCarrier)) {
        if self.latest != id {
            // A mark is about one item.
            if self.since_mark > 0 {
                self.mark(&mut to);
            }
            id.clone_into(&mut self.latest);
        }
        let place = self.place(id);
        self.items[place].received += audio.samples();
        for piece in audio.pieces(MARK_EVERY) {
            if self.since_mark > 0 && self.since_mark + piece.samples() > MARK_EVERY {
                self.mark(&mut to);
            }
            self.since_mark += piece.samples();
            self.items[place].sent += piece.samples();
            to(ToCarrier::Audio(piece));
        }
    }

    /// The item has all its audio: a mark tells when it has been played.
    pub(super) fn complete(&mut self, id: &str, mut to: impl FnMut(ToCarrier)) {
        let item = self.item(id);
        item.complete = true;
        if item.heard < item.sent && self.since_mark > 0 {
            self.mark(&mut to);
        }
    }

    fn mark(&mut self, to: &mut impl FnMut(ToCarrier)) {
        let Some(item) = self.items.iter().find(|item| *item.id == *self.latest) else {
            return;
        };
        let mark = Mark {
            generation: self.generation,
            sequence: self.sequence,
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.marks
            .push_back((mark, Arc::clone(&item.id), item.sent));
        self.since_mark = 0;
        to(ToCarrier::Mark(mark));
    }

    /// A mark came back: everything up to it was heard. Marks of an older generation only say that
    /// the buffer was cleared.
    pub(super) fn played(&mut self, mark: Mark) {
        if mark.generation != self.generation {
            return;
        }
        let Some(last) = self.marks.iter().position(|(pending, ..)| *pending == mark) else {
            return;
        };
        for (_, id, position) in self.marks.drain(..=last) {
            if let Some(item) = self.items.iter_mut().find(|item| item.id == id) {
                item.heard = position;
            }
        }
    }

    /// A piece of what the item says.
    pub(super) fn words(&mut self, id: &str, text: &str) {
        if self.is_full() {
            return;
        }
        let item = self.item(id);
        if item.pieces.len() < PIECES {
            item.words.push_str(text);
            item.pieces.push((item.received, item.words.len()));
        }
    }

    /// All that the item says.
    pub(super) fn text(&mut self, id: &str, text: &str) {
        if self.is_full() {
            return;
        }
        self.item(id).text = Some(text.to_owned());
    }

    /// Takes out the items that have been heard to their end, oldest first.
    pub(super) fn take_heard(&mut self) -> Option<(String, Option<Spoken>)> {
        let front = self.items.first()?;
        // The words may come after the sound, at the latest with the end of the response.
        if !front.heard_out() || front.text.is_none() {
            return None;
        }
        let item = self.items.remove(0);
        if self.over.len() == OVER {
            self.over.remove(0);
        }
        self.over.push(Arc::clone(&item.id));
        let text = item.text.unwrap_or_default();
        let spoken = item.line.map(|(slot, at)| Spoken { slot, at, text });
        Some((
            item.id.as_ref().to_owned(),
            spoken.filter(|line| !line.text.trim().is_empty()),
        ))
    }

    /// Ends the generation: nothing of what is queued will be heard.
    pub(super) fn cut(&mut self) -> Vec<CutItem> {
        self.generation = self.generation.wrapping_add(1);
        self.marks.clear();
        self.since_mark = 0;
        self.items.drain(..).map(Item::cut).collect()
    }

    /// The response is over: its items get no more audio and no more words.
    pub(super) fn end_response(&mut self, mut to: impl FnMut(ToCarrier)) {
        self.over.clear();
        self.items.retain(|item| item.received > 0);
        for item in &mut self.items {
            item.complete = true;
            if item.text.is_none() {
                item.text = Some(item.words.clone());
            }
        }
        if self.since_mark > 0 {
            self.mark(&mut to);
        }
    }

    /// The session that said all this is gone: no other knows it.
    pub(super) fn disown(&mut self) {
        for item in &mut self.items {
            item.foreign = true;
        }
    }

    /// All that has begun to be said has all its audio.
    pub(super) fn is_complete(&self) -> bool {
        self.items.iter().all(|item| item.complete)
    }

    /// What the callee is just hearing, by the line it will be.
    pub(super) fn saying(&self) -> Vec<(u32, String)> {
        let lines = self.items.iter().filter_map(|item| {
            let (slot, _) = item.line?;
            let text = item.text.as_ref().unwrap_or(&item.words).clone();
            (!text.trim().is_empty()).then_some((slot, text))
        });
        lines.collect()
    }

    /// Nothing is waiting to be heard.
    pub(super) fn is_silent(&self) -> bool {
        self.items
            .iter()
            .all(|item| item.sent == 0 || item.heard_out())
    }

    /// How long the queued audio lasts.
    pub(super) fn queued(&self) -> Duration {
        let samples: u64 = self.items.iter().map(|item| item.sent - item.heard).sum();
        Duration::from_millis(samples / SAMPLES_PER_MS)
    }
}

impl Item {
    fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            line: None,
            received: 0,
            sent: 0,
            heard: 0,
            complete: false,
            foreign: false,
            words: String::new(),
            pieces: Vec::new(),
            text: None,
        }
    }

    fn heard_out(&self) -> bool {
        self.complete && self.heard == self.received
    }

    /// Of an item that was cut off, what was heard and what it says in the transcript.
    fn cut(self) -> CutItem {
        let heard = match self.heard / SAMPLES_PER_MS {
            _ if self.heard_out() => Heard::All,
            0 => Heard::Nothing,
            ms => Heard::Part(ms),
        };
        let text = match heard {
            Heard::Nothing => None,
            Heard::Part(_) => Some(format!(
                "{}{CUT_OFF}",
                self.words_until(self.heard).trim_end()
            )),
            Heard::All => Some(self.text.as_ref().unwrap_or(&self.words).clone()),
        };
        let spoken = self
            .line
            .zip(text)
            .map(|((slot, at), text)| Spoken { slot, at, text });
        CutItem {
            id: self.id.as_ref().to_owned(),
            heard,
            foreign: self.foreign,
            spoken,
        }
    }

    /// The words whose sound begins before `heard`.
    fn words_until(&self, heard: u64) -> &str {
        let pieces = self.pieces.partition_point(|(at, _)| *at < heard);
        let end = pieces.checked_sub(1).map_or(0, |last| self.pieces[last].1);
        &self.words[..end]
    }
}
