//! Speech that carries its own text: loud mu-law audio from which the other side can read, byte by
//! byte, what was said.
//!
//! Real voices would need a synthesiser and a recogniser to test what a call is about: who heard
//! which words, and where an interruption cut them. Here every UTF-8 byte of the text becomes one
//! symbol of [`SYMBOL`] samples: a header that nothing else contains, the byte's two halves, and a
//! tone loud enough for any energy detector. Audio cut anywhere still reads as the text up to the
//! cut.

/// Samples (= bytes) that one byte of text takes: 16 ms, about four times as fast as a person, and
/// deliberately not a multiple of the 20 ms frame.
pub const SYMBOL: usize = 128;

/// The mu-law byte of silence.
pub const SILENCE: u8 = 0xFF;

/// The two loudest samples mu-law has. The sequence does not overlap itself, so a header that was
/// cut short can never hide the one that follows it.
const HEADER: [u8; 4] = [0x00, 0x00, 0x80, 0x80];

/// Marks of the upper and the lower half of a byte.
const HIGH: u8 = 0x40;
const LOW: u8 = 0x50;

/// One period of a loud 500 Hz tone that avoids the header's samples and the marks of the halves.
const TONE: [u8; 16] = [
    0xA0, 0x90, 0x8C, 0x8A, 0x88, 0x8A, 0x8C, 0x90, 0x20, 0x10, 0x0C, 0x0A, 0x08, 0x0A, 0x0C, 0x10,
];

/// Speaks `text`.
pub fn encode(text: &str) -> Vec<u8> {
    let mut audio = Vec::with_capacity(text.len() * SYMBOL);
    for byte in text.bytes() {
        audio.extend_from_slice(&HEADER);
        audio.push(HIGH | (byte >> 4));
        audio.push(LOW | (byte & 0x0F));
        let filler = SYMBOL - HEADER.len() - 2;
        audio.extend(TONE.iter().cycle().take(filler));
    }
    audio
}

/// A tone without words, as loud as speech.
pub fn tone(samples: usize) -> Vec<u8> {
    TONE.iter().copied().cycle().take(samples).collect()
}

/// Music without words: in every two seconds 300 ms are as loud as speech, the rest is soft.
pub fn music(samples: usize) -> Vec<u8> {
    let tune = tone(samples).into_iter().enumerate();
    // A far lower exponent in the inverted code: some 36 dB softer.
    let soft = |sample: u8| sample | 0x60;
    tune.map(|(at, sample)| {
        if at % 16_000 < 2_400 {
            sample
        } else {
            soft(sample)
        }
    })
    .collect()
}

/// Whether more than half of `audio` is loud.
pub fn is_speech(audio: &[u8]) -> bool {
    // Mu-law stores the magnitude inverted in the lower seven bits.
    let loud = audio.iter().filter(|b| !**b & 0x7F > 0x30).count();
    loud * 2 > audio.len()
}

/// Reads text out of audio that arrives in chunks of any size.
#[derive(Debug, Default)]
pub struct Decoder {
    window: [u8; 4],
    expect: Expect,
    /// Bytes of a character that is not complete yet.
    pending: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy)]
enum Expect {
    #[default]
    Header,
    High,
    Low(u8),
}

impl Decoder {
    /// Listens to the next chunk and returns the characters it completed.
    pub fn feed(&mut self, audio: &[u8]) -> String {
        let mut heard = String::new();
        for &sample in audio {
            self.window.rotate_left(1);
            self.window[3] = sample;
            self.expect = match (self.expect, sample & 0xF0) {
                (Expect::High, HIGH) => Expect::Low(sample << 4),
                (Expect::Low(high), LOW) => {
                    self.byte(high | (sample & 0x0F), &mut heard);
                    Expect::Header
                }
                _ if self.window == HEADER => Expect::High,
                _ => Expect::Header,
            };
        }
        heard
    }

    fn byte(&mut self, byte: u8, heard: &mut String) {
        self.pending.push(byte);
        match std::str::from_utf8(&self.pending) {
            Ok(text) => {
                heard.push_str(text);
                self.pending.clear();
            }
            // The middle of a character: wait for the rest.
            Err(error) if error.error_len().is_none() => {}
            // A cut took a part of a character away; what is left of it is noise.
            Err(_) => {
                self.pending.clear();
                if byte.is_ascii() {
                    heard.push(char::from(byte));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(audio: &[u8]) -> String {
        Decoder::default().feed(audio)
    }

    #[test]
    fn what_is_said_is_heard_in_chunks_of_any_size() {
        let text = "Buongiorno, è per martedì? 你好 🙂";
        let audio = encode(text);
        assert_eq!(audio.len(), text.len() * SYMBOL);
        for size in [1, 3, 127, 160, 1_600, audio.len()] {
            let mut decoder = Decoder::default();
            let heard: String = audio.chunks(size).map(|c| decoder.feed(c)).collect();
            assert_eq!(heard, text, "chunks of {size}");
        }
    }

    #[test]
    fn a_cut_anywhere_leaves_a_prefix_and_spoils_nothing_after_it() {
        let audio = encode("Hello");
        let next = encode("Bye");
        for cut in 0..audio.len() {
            let whole = cut / SYMBOL;
            let begun = usize::from(cut % SYMBOL >= 6);
            assert_eq!(decode(&audio[..cut]), "Hello"[..whole + begun]);
            let mut both = audio[..cut].to_vec();
            both.extend_from_slice(&next);
            assert!(decode(&both).ends_with("Bye"), "cut at {cut}");
        }
    }

    #[test]
    fn speech_is_loud_and_silence_is_not() {
        assert!(is_speech(&encode("a")));
        assert!(encode("a b").chunks(20).all(is_speech));
        assert!(tone(160).len() == 160 && is_speech(&tone(160)));
        let music = music(16_000);
        assert!(is_speech(&music[..2_400]) && !is_speech(&music[2_400..]));
        assert_eq!(decode(&music) + &decode(&tone(8_000)), "");
        assert!(!is_speech(&[SILENCE; 160]));
        assert!(!is_speech(&[0x7F; 160]));
        assert!(!is_speech(&[]));
    }
}
