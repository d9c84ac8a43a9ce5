//! Voice activity detection in audio time: it counts samples, never reads a clock, and so finds the
//! same turns however fast the audio comes.

use super::config::TurnDetection;
use crate::sandbox::speech;

/// 20 ms of audio, the unit of decision.
const WINDOW: usize = 160;

/// Loud windows in a row that are speech; fewer are a click.
const SPEECH: u64 = 3;

/// A boundary of speech, in milliseconds of audio since the session began.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// `audio_start_ms`, prefix padding included.
    Started(u64),
    /// `audio_end_ms`, the silence that proved it included.
    Stopped(u64),
}

/// The detector.
#[derive(Default)]
pub(crate) struct Vad {
    rest: Vec<u8>,
    windows: u64,
    loud: u64,
    quiet: u64,
    speaking: bool,
    /// End of the last turn: padding does not reach into it.
    last_end_ms: u64,
}

impl Vad {
    /// Milliseconds of audio heard so far.
    pub(crate) fn position_ms(&self) -> u64 {
        self.windows * 20 + self.rest.len() as u64 / 8
    }

    /// Listens to audio of any length.
    pub(crate) fn feed(&mut self, audio: &[u8], settings: &TurnDetection) -> Vec<Edge> {
        let mut edges = Vec::new();
        self.rest.extend_from_slice(audio);
        let whole = self.rest.len() / WINDOW * WINDOW;
        let windows: Vec<u8> = self.rest.drain(..whole).collect();
        for window in windows.chunks(WINDOW) {
            self.windows += 1;
            if speech::is_speech(window) {
                self.loud += 1;
                self.quiet = 0;
            } else {
                self.quiet += 1;
                self.loud = 0;
            }
            let now = self.windows * 20;
            if !self.speaking && self.loud >= SPEECH {
                self.speaking = true;
                let start = (now - self.loud * 20).saturating_sub(settings.prefix_padding_ms);
                edges.push(Edge::Started(start.max(self.last_end_ms)));
            } else if self.speaking
                && self.quiet > 0
                && self.quiet * 20 >= settings.silence_duration_ms
            {
                self.speaking = false;
                self.last_end_ms = now;
                edges.push(Edge::Stopped(now));
            }
        }
        edges
    }

    /// Passes over audio while detection is off.
    pub(crate) fn skip(&mut self, samples: usize) {
        let off = TurnDetection {
            prefix_padding_ms: 0,
            silence_duration_ms: 0,
            create_response: false,
            interrupt_response: false,
        };
        self.feed(&vec![speech::SILENCE; samples], &off);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::speech::{SILENCE, encode};

    const SETTINGS: TurnDetection = TurnDetection {
        prefix_padding_ms: 300,
        silence_duration_ms: 500,
        create_response: true,
        interrupt_response: true,
    };

    #[test]
    fn the_same_turns_in_chunks_of_any_size() {
        let mut audio = vec![SILENCE; 8_000];
        audio.extend(encode("0123456789012345678901234")); // 400 ms
        audio.extend(vec![SILENCE; 8_000]);
        audio.extend(encode("0123456789")); // 160 ms
        audio.extend(vec![SILENCE; 8_000]);
        for size in [1, 160, 200, 1_600, audio.len()] {
            let mut vad = Vad::default();
            let edges: Vec<Edge> = audio
                .chunks(size)
                .flat_map(|chunk| vad.feed(chunk, &SETTINGS))
                .collect();
            assert_eq!(
                edges,
                [
                    Edge::Started(700),
                    Edge::Stopped(1_900),
                    Edge::Started(2_100),
                    Edge::Stopped(3_060),
                ],
                "chunks of {size}"
            );
            assert_eq!(vad.position_ms(), 3_560);
        }
    }

    #[test]
    fn a_click_is_not_speech_and_padding_stays_in_the_audio() {
        let mut vad = Vad::default();
        let mut click = vec![SILENCE; 320];
        click.extend(encode("ab"));
        click.extend(vec![SILENCE; 320]);
        assert_eq!(vad.feed(&click, &SETTINGS), []);
        let mut vad = Vad::default();
        assert_eq!(vad.feed(&encode("Hello"), &SETTINGS), [Edge::Started(0)]);
    }
}
