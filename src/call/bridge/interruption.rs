//! Whether a sound of the callee is long enough to interrupt the agent. An "mhm" is not.
//!
//! The model's turn detection says that somebody speaks, but not for how long before they have
//! been silent for half a second. So while that question is open, and only then, we measure the
//! loudness of the callee's frames ourselves, in relation to the last half second.

use std::time::Duration;

use crate::call::audio::{Audio, Kept, SAMPLES_PER_MS};

/// What is kept of the callee's audio, to find where a sound began: 500 ms in frames of 20 ms.
const HISTORY: usize = 25;

/// A callee who is said to speak for this long does, however quietly.
pub(super) const AT_LEAST: Duration = Duration::from_secs(2);

/// What a frame of 20 ms has in base64. Others take more room, when they come.
const FRAME: usize = 216;

/// The latest frames of the callee.
#[derive(Debug)]
pub(super) struct History(Kept);

impl Default for History {
    fn default() -> Self {
        Self(Kept::with_capacity(HISTORY, HISTORY * FRAME))
    }
}

impl History {
    pub(super) fn push(&mut self, frame: &Audio) {
        if self.0.len() == HISTORY {
            self.0.forget_oldest();
        }
        self.0.push(frame);
    }

    /// All of them, oldest first.
    pub(super) fn frames(&self) -> impl Iterator<Item = Audio> + '_ {
        self.0.iter()
    }
}

/// A sound over the agent's words.
#[derive(Debug)]
pub(super) struct Sound {
    pub(super) since: Duration,
    quietest: u32,
    loudest: u32,
    voiced: Duration,
}

impl Sound {
    /// A sound that the model has noticed at `since`; it began a little earlier.
    pub(super) fn new(since: Duration, history: &History) -> Self {
        let levels: Vec<(u32, Duration)> = history.0.iter().map(|frame| level(&frame)).collect();
        let loudnesses = || levels.iter().map(|(loudness, _)| *loudness);
        let mut sound = Self {
            since,
            quietest: loudnesses().min().unwrap_or(0),
            loudest: loudnesses().max().unwrap_or(0),
            voiced: Duration::ZERO,
        };
        if levels.is_empty() {
            // There is nothing to measure: the model's word counts.
            sound.voiced = Duration::MAX;
            return sound;
        }
        // Back from the end, until it was quiet.
        let loud = levels
            .iter()
            .rev()
            .skip_while(|(level, _)| !sound.is_voice(*level));
        sound.voiced = loud
            .take_while(|(level, _)| sound.is_voice(*level))
            .map(|(_, length)| *length)
            .sum();
        sound
    }

    /// Takes another frame into account.
    pub(super) fn hear(&mut self, frame: &Audio) {
        let (loudness, length) = level(frame);
        self.quietest = self.quietest.min(loudness);
        self.loudest = self.loudest.max(loudness);
        if self.is_voice(loudness) {
            self.voiced = self.voiced.saturating_add(length);
        }
    }

    /// How long the callee was heard in it.
    pub(super) fn voiced(&self) -> Duration {
        self.voiced
    }

    /// Louder than the background by a quarter of the way to the loudest. On a line so noisy, or
    /// so even, that there is no telling, everything counts.
    fn is_voice(&self, loudness: u32) -> bool {
        let range = self.loudest - self.quietest;
        range < self.quietest || loudness >= self.quietest + range / 4
    }
}

fn level(frame: &Audio) -> (u32, Duration) {
    let length = Duration::from_millis(frame.samples() / SAMPLES_PER_MS);
    (frame.loudness(), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(level: u8, count: usize) -> Vec<Audio> {
        vec![Audio::from_samples(&[level; 160]); count]
    }

    /// A history of these frames, oldest first.
    fn history(frames: &[Audio]) -> History {
        let mut history = History::default();
        for frame in frames {
            history.push(frame);
        }
        history
    }

    const LOUD: u8 = 0x90;
    const FAINT: u8 = 0xF0;

    #[test]
    fn a_sound_counts_from_where_it_began() {
        let before = [frames(FAINT, 20), frames(LOUD, 5)].concat();
        let mut sound = Sound::new(Duration::ZERO, &history(&before));
        assert_eq!(sound.voiced(), Duration::from_millis(100));
        for frame in frames(LOUD, 3) {
            sound.hear(&frame);
        }
        assert_eq!(sound.voiced(), Duration::from_millis(160));
        for frame in frames(FAINT, 30) {
            sound.hear(&frame);
        }
        assert_eq!(sound.voiced(), Duration::from_millis(160), "over");
    }

    #[test]
    fn a_sound_that_was_over_before_it_was_noticed_counts_what_it_was() {
        let before = [frames(FAINT, 10), frames(LOUD, 4), frames(FAINT, 6)].concat();
        let sound = Sound::new(Duration::ZERO, &history(&before));
        assert_eq!(sound.voiced(), Duration::from_millis(80));
    }

    #[test]
    fn where_there_is_nothing_to_measure_the_models_word_counts() {
        let mut sound = Sound::new(Duration::ZERO, &History::default());
        assert_eq!(sound.voiced(), Duration::MAX);
        sound.hear(&frames(LOUD, 1)[0]);
        assert_eq!(sound.voiced(), Duration::MAX);
    }

    #[test]
    fn where_there_is_no_telling_everything_counts() {
        let mut sound = Sound::new(Duration::ZERO, &history(&frames(LOUD, 25)));
        assert_eq!(sound.voiced(), Duration::from_millis(500));
        for frame in frames(LOUD, 5) {
            sound.hear(&frame);
        }
        assert_eq!(sound.voiced(), Duration::from_millis(600));
    }
}
