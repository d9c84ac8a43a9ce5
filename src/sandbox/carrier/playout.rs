//! Twilio's playout buffer of one media stream: audio waits its turn, marks come back when the
//! audio before them was played.
//!
//! Source: <https://www.twilio.com/docs/voice/media-streams/websocket-messages>.

use std::collections::VecDeque;

/// Ten minutes of audio; what exceeds it is discarded (error 31931).
const MOST: usize = 10 * 60 * 8_000;

/// The buffer was full and the audio is gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

/// Audio and marks in the order in which they came.
#[derive(Default)]
pub(crate) struct Playout {
    audio: VecDeque<u8>,
    /// Name, and how much audio must have been played before it comes back.
    marks: VecDeque<(String, u64)>,
    received: u64,
    played: u64,
}

impl Playout {
    /// Queues audio of any length.
    pub(crate) fn media(&mut self, audio: &[u8]) -> Result<(), Overflow> {
        if self.audio.len() + audio.len() > MOST {
            return Err(Overflow);
        }
        self.received += audio.len() as u64;
        self.audio.extend(audio);
        Ok(())
    }

    /// Queues a mark behind all audio so far.
    pub(crate) fn mark(&mut self, name: String) {
        self.marks.push_back((name, self.received));
    }

    /// Takes up to `samples` of audio out of the buffer and into the ear.
    pub(crate) fn play(&mut self, samples: usize) -> Vec<u8> {
        let available = self.audio.len().min(samples);
        self.played += available as u64;
        self.audio.drain(..available).collect()
    }

    /// The marks that have become due, in order.
    pub(crate) fn due(&mut self) -> Vec<String> {
        let due = self
            .marks
            .iter()
            .take_while(|(_, at)| *at <= self.played)
            .count();
        self.marks.drain(..due).map(|(name, _)| name).collect()
    }

    /// Throws the audio away; all pending marks become due.
    pub(crate) fn clear(&mut self) {
        self.audio.clear();
        self.played = self.received;
    }

    /// No audio was ever queued.
    pub(crate) fn is_untouched(&self) -> bool {
        self.received == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_return_when_the_audio_before_them_was_played() {
        let mut playout = Playout::default();
        playout.mark("nothing before".into());
        assert_eq!(playout.due(), ["nothing before"]);
        playout.media(&[1; 200]).unwrap();
        playout.mark("a".into());
        playout.media(&[2; 100]).unwrap();
        playout.mark("b".into());
        assert_eq!(playout.play(160), [1; 160]);
        assert!(playout.due().is_empty());
        assert_eq!(playout.play(160).len(), 140);
        assert_eq!(playout.due(), ["a", "b"]);
    }

    #[test]
    fn clear_returns_all_marks_and_keeps_nothing() {
        let mut playout = Playout::default();
        playout.media(&[1; 500]).unwrap();
        playout.mark("a".into());
        playout.mark("b".into());
        playout.clear();
        assert_eq!(playout.due(), ["a", "b"]);
        assert!(playout.play(160).is_empty());
        playout.media(&[3; 10]).unwrap();
        playout.mark("c".into());
        assert!(playout.due().is_empty());
    }

    #[test]
    fn more_than_ten_minutes_is_discarded() {
        let mut playout = Playout::default();
        assert_eq!(playout.media(&vec![0; MOST]), Ok(()));
        assert_eq!(playout.media(&[0]), Err(Overflow));
        playout.play(1);
        assert_eq!(playout.media(&[0]), Ok(()));
    }
}
