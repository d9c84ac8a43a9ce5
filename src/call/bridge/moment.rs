//! "One moment, please", in the agent's own voice: made while the phone rings, outside the
//! conversation, and kept for the moment when the model is gone and the callee waits.

use super::Bridge;
use super::event::{Respond, ToModel};
use super::opening::{Draft, Opening};
use crate::call::audio::{Audio, SAMPLES_PER_SECOND};

/// Longer than this is not what was asked for.
const LONGEST: u64 = 5 * SAMPLES_PER_SECOND;

/// The same in words, bytes.
const LONGEST_TEXT: usize = 120;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Moment {
    /// It is being made.
    draft: Option<Draft>,
    asked: bool,
    /// It has not begun.
    awaited: bool,
    held: Option<(String, Vec<Audio>)>,
    played: u32,
}

impl Moment {
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    pub(super) fn draft(&mut self) -> Option<&mut Draft> {
        self.draft.as_mut()
    }

    /// The session that was making it is gone.
    pub(super) fn forget_draft(&mut self) {
        self.awaited = false;
        self.draft = None;
    }

    /// Once more: under which name, what it says, and how it sounds.
    pub(super) fn next(&mut self) -> Option<(String, String, Vec<Audio>)> {
        let (text, audio) = self.held.clone()?;
        self.played += 1;
        Some((format!("moment-{}", self.played), text, audio))
    }
}

impl Bridge {
    /// Has it made, if the phone still rings.
    pub(super) fn prepare_moment(&mut self) {
        let Some(instructions) = &self.settings.one_moment else {
            return;
        };
        if self.moment.asked || self.carrier.attached.is_some() || self.gate.is_busy() {
            return;
        }
        self.moment.asked = true;
        self.moment.awaited = true;
        self.moment.draft = Some(Draft::default());
        // The gate does not wait for it: nothing depends on this.
        let ask = ToModel::Respond(Respond {
            instructions: Some(instructions.clone()),
            speech_only: true,
            aside: true,
        });
        self.send(ask);
    }

    /// Whether a response that begins must be it, although the model does not say so: nobody else is
    /// asked to say anything before the conversation.
    pub(super) fn must_be_moment(&self) -> bool {
        let private = matches!(self.opening, Opening::Held(_) | Opening::Playing { .. });
        self.moment.awaited && private && !self.gate.has_asked()
    }

    /// It is being made.
    pub(super) fn aside_started(&mut self, response: &str) {
        self.moment.awaited = false;
        self.response = super::Response::default();
        self.gate.started_aside(response);
        if let Some(draft) = self.draft() {
            draft.restart();
        }
    }

    /// It was made; there is no second try: a call goes well without it.
    pub(super) fn review_moment(&mut self, completed: bool) {
        let Some(draft) = self.moment.draft.take() else {
            return;
        };
        let text = draft.text().trim().to_owned();
        let sounds = (1..=LONGEST).contains(&draft.samples());
        let says = (1..=LONGEST_TEXT).contains(&text.len());
        if completed && sounds && says {
            self.moment.held = Some((text, draft.into_audio()));
        }
    }
}
