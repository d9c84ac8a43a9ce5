//! "One moment, please" as the model has said it: made in one call, and given to later ones of the same
//! voice, model and language, which need not ask for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bridge::Recording;
use super::language::Language;
use crate::realtime::setup::Setup;

/// Voices, models and languages of which one is kept; the oldest goes.
const KEPT: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Moments(Mutex<VecDeque<Moment>>);

#[derive(Debug)]
struct Moment {
    model: String,
    voice: String,
    language: Language,
    recording: Arc<Recording>,
}

impl Moments {
    /// The one for a call that is set up like this.
    pub(super) fn of(&self, setup: &Setup) -> Option<Arc<Recording>> {
        let all = self.all();
        let found = all.iter().find(|moment| moment.suits(setup))?;
        Some(Arc::clone(&found.recording))
    }

    /// Keeps what a call has made that was set up like this. Of calls that were made at once, the first
    /// one's stays.
    pub(super) fn keep(&self, setup: &Setup, recording: Arc<Recording>) {
        let mut all = self.all();
        if all.iter().any(|moment| moment.suits(setup)) {
            return;
        }
        if all.len() == KEPT {
            all.pop_front();
        }
        all.push_back(Moment {
            model: setup.model.clone(),
            voice: setup.voice.clone(),
            language: setup.brief.language.clone(),
            recording,
        });
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Moment>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Moment {
    fn suits(&self, setup: &Setup) -> bool {
        self.voice == setup.voice
            && self.model == setup.model
            && self.language == setup.brief.language
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::prompt::Brief;
    use crate::realtime::setup::TurnDetection;

    fn setup(model: &str, voice: &str, language: &str) -> Setup {
        Setup {
            model: model.into(),
            voice: voice.into(),
            brief: Brief {
                language: language.parse().unwrap(),
                ..Brief::default()
            },
            turn_detection: TurnDetection::default(),
        }
    }

    fn recording(text: &str) -> Arc<Recording> {
        Arc::new(Recording::of(text))
    }

    #[test]
    fn what_was_made_first_is_given_to_calls_that_sound_the_same() {
        let moments = Moments::default();
        let this = setup("m", "ada", "it-IT");
        assert_eq!(moments.of(&this), None);
        moments.keep(&this, recording("first"));
        moments.keep(&this, recording("second"));
        assert_eq!(moments.of(&this), Some(recording("first")));
        for other in [
            setup("n", "ada", "it-IT"),
            setup("m", "bea", "it-IT"),
            setup("m", "ada", "it-CH"),
        ] {
            assert_eq!(moments.of(&other), None, "{other:?}");
        }
    }

    #[test]
    fn the_oldest_goes() {
        let moments = Moments::default();
        let voices: Vec<Setup> = (0..=KEPT)
            .map(|voice| setup("m", &voice.to_string(), "en"))
            .collect();
        for voice in &voices {
            moments.keep(voice, recording(&voice.voice));
        }
        assert_eq!(moments.of(&voices[0]), None);
        for voice in &voices[1..] {
            assert_eq!(moments.of(voice), Some(recording(&voice.voice)));
        }
        assert_eq!(moments.all().len(), KEPT);
    }
}
