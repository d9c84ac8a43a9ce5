//! "One moment, please", in the agent's own voice: made while the phone rings, outside the
//! conversation, and kept for the moment when the model is gone and the callee waits. What one call has
//! made, later ones are given.

use std::fmt;
use std::sync::Arc;

use super::Bridge;
use super::event::{Output, Respond, ToModel};
use super::opening::{Draft, Opening};
use crate::call::audio::{Kept, SAMPLES_PER_SECOND};
use crate::call::disclosure;

/// Longer than this is not what was asked for.
const LONGEST: u64 = 5 * SAMPLES_PER_SECOND;

/// The sentence alone takes no longer; what does stays in its call.
const LONGEST_SHARED: u64 = 3 * SAMPLES_PER_SECOND;

/// The same in words, bytes.
const LONGEST_TEXT: usize = 120;

/// How a call comes by "one moment, please".
#[derive(Debug, Clone)]
pub enum OneMoment {
    /// The model says this sentence, once.
    Make(&'static str),
    /// An earlier call made it: [`Output::KeepMoment`].
    Made(Arc<Recording>),
}

/// A sentence as the model has said it.
#[derive(Clone)]
pub struct Recording {
    text: String,
    audio: Kept,
}

/// How a call stands with it.
#[derive(Debug, Default)]
pub(super) enum Moment {
    /// There is none, and there will be none.
    #[default]
    None,
    /// This sentence is to be said.
    Wanted(&'static str),
    /// It is being said, or was only asked for.
    Making {
        sentence: &'static str,
        draft: Draft,
        /// It has not begun.
        awaited: bool,
    },
    /// It is there, and was played so often.
    Held {
        recording: Arc<Recording>,
        played: u32,
    },
}

impl Moment {
    pub(super) fn new(how: Option<OneMoment>) -> Self {
        match how {
            None => Self::None,
            Some(OneMoment::Make(sentence)) => Self::Wanted(sentence),
            Some(OneMoment::Made(recording)) => Self::held(recording),
        }
    }

    fn held(recording: Arc<Recording>) -> Self {
        Self::Held {
            recording,
            played: 0,
        }
    }

    pub(super) fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }

    pub(super) fn draft(&mut self) -> Option<&mut Draft> {
        match self {
            Self::Making { draft, .. } => Some(draft),
            _ => None,
        }
    }

    /// The session that was making it is gone. There is no second try: a call goes well without it.
    pub(super) fn forget_draft(&mut self) {
        if let Self::Making { .. } = self {
            *self = Self::None;
        }
    }

    /// Once more: under which name, and what.
    pub(super) fn next(&mut self) -> Option<(String, Arc<Recording>)> {
        let Self::Held { recording, played } = self else {
            return None;
        };
        *played += 1;
        Some((format!("moment-{played}"), Arc::clone(recording)))
    }
}

impl Recording {
    /// What it says.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// How that sounds.
    pub(super) fn audio(&self) -> &Kept {
        &self.audio
    }

    /// One without sound.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            audio: Kept::default(),
        }
    }

    /// Whether it says this, and nothing else.
    fn says(&self, sentence: &str) -> bool {
        letters(&self.text).eq(letters(sentence))
    }
}

/// Punctuation and capitals are the transcription's own.
fn letters(text: &str) -> impl Iterator<Item = char> + '_ {
    let letters = text.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase)
}

impl PartialEq for Recording {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.audio.iter().eq(other.audio.iter())
    }
}

impl fmt::Debug for Recording {
    /// Without its sound.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("text", &self.text)
            .finish_non_exhaustive()
    }
}

impl Bridge {
    /// Has it made, if the phone still rings.
    pub(super) fn prepare_moment(&mut self) {
        let Moment::Wanted(sentence) = self.moment else {
            return;
        };
        if self.carrier.attached.is_some() || self.gate.is_busy() {
            return;
        }
        self.moment = Moment::Making {
            sentence,
            draft: Draft::default(),
            awaited: true,
        };
        // The gate does not wait for it: nothing depends on this.
        let ask = ToModel::Respond(Respond {
            instructions: Some(disclosure::say_exactly(sentence)),
            speech_only: true,
            aside: true,
        });
        self.send(ask);
    }

    /// Whether a response that begins must be it, although the model does not say so: nobody else is
    /// asked to say anything before the conversation.
    pub(super) fn must_be_moment(&self) -> bool {
        let private = matches!(self.opening, Opening::Held(_) | Opening::Playing { .. });
        let awaited = matches!(self.moment, Moment::Making { awaited: true, .. });
        awaited && private && !self.gate.has_asked()
    }

    /// It is being made.
    pub(super) fn aside_started(&mut self, response: &str) {
        if let Moment::Making { awaited, .. } = &mut self.moment {
            *awaited = false;
        }
        self.response = super::Response::default();
        self.gate.started_aside(response);
        if let Some(draft) = self.draft() {
            draft.restart();
        }
    }

    /// It was made; there is no second try: a call goes well without it.
    pub(super) fn review_moment(&mut self, completed: bool) {
        let (sentence, draft) = match std::mem::take(&mut self.moment) {
            Moment::Making {
                sentence, draft, ..
            } => (sentence, draft),
            other => {
                self.moment = other;
                return;
            }
        };
        let sounds = (1..=LONGEST).contains(&draft.samples());
        let may_be_shared = draft.is_of_one_piece() && draft.samples() <= LONGEST_SHARED;
        let (text, audio) = draft.into_spoken();
        let text = text.trim().to_owned();
        let says = (1..=LONGEST_TEXT).contains(&text.len());
        if !(completed && sounds && says) {
            return;
        }
        let recording = Arc::new(Recording { text, audio });
        // Another callee must not hear what was meant for this one, such as a name: not even if it was
        // said without its words having come, which makes it longer, or a part of its own.
        if may_be_shared && recording.says(sentence) {
            let keep = Output::KeepMoment(Arc::clone(&recording));
            self.out.push_back(keep);
        }
        self.moment = Moment::held(recording);
    }
}
