//! What the callee says, kept for a session that is not there to hear it: the newest of it.

use std::time::Duration;

use crate::call::audio::{Audio, Kept, SAMPLES_PER_MS, SAMPLES_PER_SECOND};

/// The longest that is kept.
const LONGEST: u64 = 10 * SAMPLES_PER_SECOND;

/// The same in bytes, as they go to a model: frames of 20 ms take 140 kB, and a carrier that cuts its
/// audio into crumbs must not make more of it than a socket takes at once.
const BYTES: usize = 144 * 1_024;

/// Of each frame, beside its audio.
const PER_FRAME: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tape {
    frames: Kept,
    samples: u64,
}

impl Tape {
    /// Keeps another frame. Returns how much of the oldest audio had to go for it.
    pub(super) fn push(&mut self, frame: &Audio) -> Duration {
        self.samples += frame.samples();
        self.frames.push(frame);
        let mut lost = 0;
        while self.samples - lost > LONGEST || self.bytes() > BYTES {
            lost += self.frames.forget_oldest();
        }
        self.samples -= lost;
        Duration::from_millis(lost / SAMPLES_PER_MS)
    }

    fn bytes(&self) -> usize {
        self.frames.bytes() + self.frames.len() * PER_FRAME
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// All of it, oldest first.
    pub(super) fn frames(&self) -> impl Iterator<Item = Audio> + '_ {
        self.frames.iter()
    }
}

impl FromIterator<Audio> for Tape {
    fn from_iter<I: IntoIterator<Item = Audio>>(frames: I) -> Self {
        let mut tape = Self::default();
        for frame in frames {
            tape.push(&frame);
        }
        tape
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_ten_seconds_stay() {
        let mut tape = Tape::default();
        for number in 0..600_u16 {
            let lost = tape.push(&Audio::from_samples(&[number.to_le_bytes()[0]; 160]));
            let full = number >= 500;
            assert_eq!(lost, Duration::from_millis(if full { 20 } else { 0 }));
        }
        assert_eq!(tape.frames().count(), 500, "in frames of 20 ms");
        assert_eq!(tape.frames().next().unwrap().decode()[0], 100);
    }

    #[test]
    fn crumbs_and_blocks_are_bounded_too() {
        for samples in [1, 24_000] {
            let frame = Audio::from_samples(&vec![7; samples]);
            let tape: Tape = std::iter::repeat_n(frame, 10_000).collect();
            let length: u64 = tape.frames().map(|frame| frame.samples()).sum();
            let bytes = tape.bytes();
            assert!((1..=LONGEST).contains(&length) && bytes <= BYTES);
        }
    }
}
