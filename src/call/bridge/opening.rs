//! The opening: the disclosure is generated and checked while the phone rings, held, and played
//! when the callee has said "hello", or says nothing. It is played in full, whatever happens, and
//! until then nothing else is said.

use std::time::Duration;

use super::Bridge;
use super::event::{Change, End, Respond, ToModel};
use super::gate::Closed;
use crate::call::audio::{Audio, Kept, SAMPLES_PER_SECOND};

/// The greeting waits for the end of the callee's "hello", but not longer than this.
const HELLO: Duration = Duration::from_secs(6);

/// An opening sentence longer than this is not the sentence that was asked for.
const LONGEST: u64 = 30 * SAMPLES_PER_SECOND;

/// The same in pieces: 10 ms are the least that models send at once.
const PIECES: usize = 3_000;

/// The same for its words, in bytes.
const LONGEST_TEXT: usize = 16 * 1_024;

/// Items of a response that are kept apart.
const MOST_PARTS: usize = 8;

/// How often the disclosure is generated before the call is given up.
const ATTEMPTS: u8 = 3;

/// The callee has answered and there is still no greeting: longer than this is a dead line.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much later than its length the end of the greeting may be confirmed.
const CONFIRMATION: Duration = Duration::from_secs(10);

/// Where the opening stands.
#[derive(Debug)]
pub(super) enum Opening {
    /// The model is not configured yet.
    Waiting,
    /// The model is saying it, to us alone.
    Preparing(Draft),
    /// It is ready to be played.
    Held(Draft),
    /// It is being played.
    Playing {
        /// Kept, in case the stream is lost before it was heard.
        greeting: Draft,
        /// By when its last mark must have come back.
        confirmed_by: Duration,
    },
    /// It was heard in full.
    Done,
}

/// A greeting in the making.
#[derive(Debug, Default)]
pub(super) struct Draft {
    attempt: u8,
    /// One, as a rule; a response may have several audio items.
    parts: Vec<Part>,
    samples: u64,
}

/// One item of a greeting.
#[derive(Debug)]
struct Part {
    item: String,
    audio: Kept,
    text: String,
}

/// What the callee does before the greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hello {
    Silent,
    Speaking { since: Duration },
    Said { until: Duration },
}

impl Bridge {
    /// Asks for the disclosure; the first time, or again after a draft that will not do.
    pub(super) fn prepare_greeting(&mut self, attempt: u8) {
        self.opening = Opening::Preparing(Draft {
            attempt,
            ..Draft::default()
        });
        let ask = self.gate.ask(Respond {
            instructions: Some(self.settings.disclosure.instructions()),
            speech_only: true,
            aside: false,
        });
        self.tell_model(ask);
    }

    /// The draft being made, if the greeting is still in the making.
    pub(super) fn draft(&mut self) -> Option<&mut Draft> {
        match &mut self.opening {
            Opening::Preparing(draft) => Some(draft),
            _ if self.gate.is_aside() => self.moment.draft(),
            _ => None,
        }
    }

    /// The response with the disclosure is over: is it what was asked for?
    pub(super) fn review_greeting(&mut self, completed: bool, failure: Option<&str>) {
        let Opening::Preparing(draft) = std::mem::replace(&mut self.opening, Opening::Waiting)
        else {
            return;
        };
        let discloses = self.settings.disclosure.is_made_by(&draft.text());
        if completed && discloses && draft.samples > 0 && draft.samples <= LONGEST {
            self.opening = Opening::Held(draft);
            return self.prepare_moment();
        }
        for part in draft.parts {
            let delete = ToModel::Delete { item: part.item };
            self.send(delete);
        }
        if draft.attempt + 1 < ATTEMPTS {
            self.prepare_greeting(draft.attempt + 1);
        } else if let Some(message) = failure {
            self.hang_up(End::ModelGone(format!("The voice model failed: {message}")));
        } else {
            self.hang_up(End::ModelGone(
                "The voice model did not say that it is an AI, so it was not connected to the callee. \
                 Try again, or use another OPENAGENT_PHONE_MODEL."
                    .into(),
            ));
        }
    }

    /// When the greeting is to be played, as far as is known now.
    fn greeting_due(&self) -> Option<Duration> {
        let attached = self
            .carrier
            .attached
            .filter(|_| !matches!(self.opening, Opening::Done))?;
        if self.settings.greeting_wait.is_zero() || self.speaks_to_mailbox() {
            return Some(attached);
        }
        Some(match self.hello {
            Hello::Silent => attached + self.settings.greeting_wait,
            // A recording, perhaps: it is known soon.
            Hello::Speaking { since } => self.verdict_due().unwrap_or(since + HELLO),
            Hello::Said { until } => until.max(attached),
        })
    }

    /// The next moment at which the opening must act.
    pub(super) fn opening_deadline(&self) -> Option<Duration> {
        match &self.opening {
            Opening::Done => None,
            Opening::Playing { confirmed_by, .. } => Some(*confirmed_by),
            Opening::Held(_) => self.greeting_due(),
            Opening::Waiting | Opening::Preparing(_) => {
                self.carrier.attached.map(|at| at + PATIENCE)
            }
        }
    }

    /// Plays the greeting if it is due, and gives up on one that does not come.
    pub(super) fn opening_on_time(&mut self) {
        if self
            .opening_deadline()
            .is_none_or(|deadline| deadline > self.now)
        {
            return;
        }
        match std::mem::replace(&mut self.opening, Opening::Waiting) {
            Opening::Held(greeting) => self.play_greeting(greeting),
            Opening::Playing { .. } => self.hang_up(End::Failed(
                "The carrier never confirmed that the opening sentence was played.".into(),
            )),
            Opening::Waiting | Opening::Preparing(_) => self.hang_up(End::ModelGone(
                "The callee answered, but the voice model did not speak in time.".into(),
            )),
            Opening::Done => self.opening = Opening::Done,
        }
    }

    fn play_greeting(&mut self, greeting: Draft) {
        // What was said before the greeting is answered by it; what is said over it, after it.
        self.gate.consider_answered();
        self.awaiting_answer = None;
        self.hello_pending = self.hello_pending && !self.gate.callee_speaks();
        if let Some(answered) = self.carrier.answered.filter(|_| !self.disclosed) {
            self.publish(Change::FirstWord(self.now.saturating_sub(answered)));
        }
        // To the callee it is one sentence, in however many items the model said it.
        let item = greeting.item().to_owned();
        for audio in greeting.parts.iter().flat_map(|part| part.audio.iter()) {
            self.send_audio(&item, &audio);
        }
        let out = &mut self.out;
        self.ledger.text(&item, &greeting.text());
        self.ledger.complete(&item, |to| {
            out.push_back(super::Output::Carrier(to));
        });
        let confirmed_by = self.now + self.ledger.queued() + CONFIRMATION;
        self.opening = Opening::Playing {
            greeting,
            confirmed_by,
        };
    }

    /// An item was heard to its end: if it is the greeting, the conversation is open.
    pub(super) fn greeting_heard(&mut self, heard: &str) {
        match &self.opening {
            Opening::Playing { greeting, .. } if greeting.item() == heard => {}
            _ => return,
        }
        if let Opening::Playing { greeting, .. } =
            std::mem::replace(&mut self.opening, Opening::Done)
        {
            if !std::mem::replace(&mut self.disclosed, true) {
                self.publish(Change::Disclosed);
                self.tell_held();
            }
            if self.mailbox_follows(greeting) {
                return;
            }
        }
        let open = self.gate.open(Closed::Greeting);
        self.tell_model(open);
    }

    /// The stream was lost: a greeting that was not heard in full is played again on the next one.
    pub(super) fn greeting_interrupted(&mut self) {
        self.opening = match std::mem::replace(&mut self.opening, Opening::Done) {
            Opening::Playing { greeting, .. } => Opening::Held(greeting),
            other => other,
        };
    }
}

impl Draft {
    /// Forgets what another response has said.
    pub(super) fn restart(&mut self) {
        *self = Self {
            attempt: self.attempt,
            ..Self::default()
        };
    }

    /// The part that this item is. More items than a few are not a sentence; the last takes it all.
    fn part(&mut self, item: &str) -> &mut Part {
        let known = self.parts.iter().position(|part| part.item == item);
        let at = known.unwrap_or_else(|| {
            if self.parts.len() < MOST_PARTS {
                self.parts.push(Part {
                    item: item.to_owned(),
                    audio: Kept::default(),
                    text: String::new(),
                });
            }
            self.parts.len() - 1
        });
        &mut self.parts[at]
    }

    pub(super) fn audio(&mut self, item: &str, audio: &Audio) {
        self.samples = self.samples.saturating_add(audio.samples());
        if self.part(item).audio.len() == PIECES {
            self.samples = u64::MAX;
        }
        if self.samples <= LONGEST {
            self.part(item).audio.push(audio);
        }
    }

    pub(super) fn words(&mut self, item: &str, piece: &str) {
        let part = self.part(item);
        if part.text.len() < LONGEST_TEXT {
            part.text.push_str(piece);
        }
    }

    pub(super) fn whole(&mut self, item: &str, whole: &str) {
        whole.clone_into(&mut self.part(item).text);
    }

    pub(super) fn attempt(&self) -> u8 {
        self.attempt
    }

    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// It is one item, with its sound and its words.
    pub(super) fn is_of_one_piece(&self) -> bool {
        matches!(&self.parts[..], [part] if !part.text.is_empty() && !part.audio.is_empty())
    }

    /// What was said with sound, and how it sounds, whatever the items.
    pub(super) fn into_spoken(self) -> (String, Kept) {
        let parts = self.parts.into_iter();
        let mut spoken = parts.filter(|part| !part.audio.is_empty());
        let Some(mut all) = spoken.next() else {
            return (String::new(), Kept::default());
        };
        for more in spoken {
            all.text.push(' ');
            all.text.push_str(&more.text);
            for piece in more.audio.iter() {
                all.audio.push(&piece);
            }
        }
        (all.text, all.audio)
    }

    /// What was said in all of them.
    pub(super) fn text(&self) -> String {
        let texts: Vec<&str> = self.parts.iter().map(|part| part.text.as_str()).collect();
        texts.join(" ")
    }

    /// The item that stands for all of them.
    fn item(&self) -> &str {
        self.parts.first().map_or("", |part| part.item.as_str())
    }
}
