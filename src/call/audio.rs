//! Mu-law audio as it travels: base64 text that is passed on as it is. It is decoded only to measure
//! how loud it is, on the side.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// Mu-law samples in a second; one sample is one byte.
pub const SAMPLES_PER_SECOND: u64 = 8_000;

/// Mu-law samples in a millisecond.
pub const SAMPLES_PER_MS: u64 = SAMPLES_PER_SECOND / 1_000;

/// The mu-law byte of silence.
pub const SILENCE: u8 = 0xFF;

/// Groups of four characters that are decoded at once: more than a frame has.
const GROUPS: usize = 64;

/// A piece of 8 kHz mu-law audio, held as the base64 text it arrived in.
///
/// Cloning is cheap: the text is shared with the websocket message it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Audio {
    base64: Bytes,
    samples: u64,
}

/// The text was not padded standard base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("audio payload is not base64")]
pub struct NotBase64;

impl Audio {
    /// Takes a copy of `text`.
    ///
    /// # Errors
    ///
    /// [`NotBase64`] if `text` is not padded standard base64.
    pub fn from_base64(text: &str) -> Result<Self, NotBase64> {
        Self::checked(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Shares `part`, which must lie inside `message`, without copying it.
    ///
    /// # Errors
    ///
    /// [`NotBase64`] if `part` is not padded standard base64.
    ///
    /// # Panics
    ///
    /// If `part` does not lie inside `message`.
    pub fn within(message: &Bytes, part: &[u8]) -> Result<Self, NotBase64> {
        Self::checked(message.slice_ref(part))
    }

    /// Encodes raw mu-law bytes, for audio that is made here.
    pub fn from_samples(samples: &[u8]) -> Self {
        Self {
            base64: Bytes::from(STANDARD.encode(samples)),
            samples: samples.len() as u64,
        }
    }

    /// Silence of the given length, rounded up to a whole base64 group (3 samples).
    pub fn silence(samples: u64) -> Self {
        let groups = samples.div_ceil(3);
        let text = "/".repeat(usize::try_from(groups * 4).unwrap_or(0));
        Self {
            base64: Bytes::from(text),
            samples: groups * 3,
        }
    }

    fn checked(base64: Bytes) -> Result<Self, NotBase64> {
        let body = &base64[..base64.len() - padding(&base64)];
        if !base64.len().is_multiple_of(4) || !is_base64(body) {
            return Err(NotBase64);
        }
        let samples = body.len() as u64 * 3 / 4;
        Ok(Self { base64, samples })
    }

    /// What was the base64 text of audio before.
    fn again(base64: Bytes) -> Self {
        let samples = (base64.len() - padding(&base64)) as u64 * 3 / 4;
        Self { base64, samples }
    }

    /// The same in memory of its own. Audio that is held for long must not hold the message it came
    /// in, which is a part of its socket's read buffer.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            base64: Bytes::copy_from_slice(&self.base64),
            samples: self.samples,
        }
    }

    /// The base64 text: ASCII, free of quotes and backslashes, so it may stand in JSON as it is.
    pub fn base64(&self) -> &[u8] {
        &self.base64
    }

    /// Length in mu-law samples (= bytes once decoded).
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Nothing to play.
    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// Cuts the audio into pieces of at most `max_samples`, still without decoding it: base64 may be
    /// cut after every fourth character, which is every third sample.
    pub fn pieces(&self, max_samples: u64) -> impl Iterator<Item = Audio> + '_ {
        let group = if self.samples <= max_samples {
            self.base64.len().max(1)
        } else {
            usize::try_from((max_samples / 3).max(1) * 4).unwrap_or(usize::MAX)
        };
        (0..self.base64.len()).step_by(group).map(move |from| {
            let to = self.base64.len().min(from.saturating_add(group));
            Self::again(self.base64.slice(from..to))
        })
    }

    /// How loud it is: the mean magnitude of its samples on a linear scale, 0 to 32124.
    pub fn loudness(&self) -> u32 {
        let mut decoded = [0; 3 * GROUPS];
        let sum: u64 = self
            .base64
            .chunks(4 * GROUPS)
            .filter_map(|text| {
                let length = STANDARD.decode_slice(text, &mut decoded).ok()?;
                Some(decoded[..length].iter().map(|s| magnitude(*s)).sum::<u64>())
            })
            .sum();
        let mean = sum.checked_div(self.samples).unwrap_or(0);
        u32::try_from(mean).unwrap_or(u32::MAX)
    }

    /// The raw mu-law bytes. What is passed on is never made from them.
    pub fn decode(&self) -> Vec<u8> {
        STANDARD.decode(&self.base64).unwrap_or_default()
    }
}

/// Audio that is kept for a while, copied out of the messages that it came in. A message is a part of
/// its socket's read buffer: kept, it would keep all of that, and the socket would need another.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    base64: VecDeque<u8>,
    lengths: VecDeque<usize>,
}

impl Kept {
    /// Nothing, with room for so many pieces that have so much base64 text together.
    pub fn with_capacity(pieces: usize, bytes: usize) -> Self {
        Self {
            base64: VecDeque::with_capacity(bytes),
            lengths: VecDeque::with_capacity(pieces),
        }
    }

    /// Pieces that are kept.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Keeps another piece.
    pub fn push(&mut self, audio: &Audio) {
        self.base64.extend(&audio.base64);
        self.lengths.push_back(audio.base64.len());
    }

    /// Length of the base64 text of all of it.
    pub fn bytes(&self) -> usize {
        self.base64.len()
    }

    /// Forgets the oldest piece. Returns its length in samples; 0 if there was none.
    pub fn forget_oldest(&mut self) -> u64 {
        let length = self.lengths.pop_front().unwrap_or(0);
        let is_padding = |at: &usize| self.base64.get(*at) == Some(&b'=');
        let padding = (length.saturating_sub(2)..length)
            .filter(is_padding)
            .count();
        self.base64.drain(..length);
        (length - padding) as u64 * 3 / 4
    }

    /// Forgets all, and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// All of it, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Audio> + '_ {
        let (front, back) = self.base64.as_slices();
        let mut from = 0;
        self.lengths.iter().map(move |length| {
            let (start, end) = (from, from + length);
            from = end;
            // A piece may lie across the place where the ring begins again.
            let in_front = &front[start.min(front.len())..end.min(front.len())];
            let in_back = &back[start.saturating_sub(front.len())..end.saturating_sub(front.len())];
            Audio::again(Bytes::from([in_front, in_back].concat()))
        })
    }
}

/// How many characters at the end of base64 text stand for nothing.
fn padding(base64: &[u8]) -> usize {
    match base64 {
        [.., b'=', b'='] => 2,
        [.., b'='] => 1,
        _ => 0,
    }
}

/// The highest bit of each of eight bytes.
const HIGHEST: u64 = u64::from_ne_bytes([0x80; 8]);

/// Whether there is nothing but base64 in it, padding left out. Without a way out in the middle:
/// frames are many, and nearly all are well.
fn is_base64(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk() else {
        let single = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
        return text.iter().all(single);
    };
    // The last eight may have been among those before in part.
    let all = text
        .as_chunks()
        .0
        .iter()
        .fold(base64_bytes(*last), |all, eight| all & base64_bytes(*eight));
    all & HIGHEST == HIGHEST
}

/// Of eight bytes, the highest bit is set of those that are base64. It is not of any that is no ASCII,
/// whatever becomes of the bytes beside that one. The other bits mean nothing.
fn base64_bytes(eight: [u8; 8]) -> u64 {
    let eight = u64::from_le_bytes(eight);
    // Sets the highest bit of the bytes that are not below this one, if they are ASCII.
    let from = |byte: u8, eight: u64| eight.wrapping_add(u64::from_ne_bytes([0x80 - byte; 8]));
    // Letters are the same in both cases, but for this bit, and nothing else becomes one by it.
    let lower = eight | u64::from_ne_bytes([0x20; 8]);
    // The highest bit is set by the beginning of a range, and taken back by what lies behind it.
    let letters = from(b'a', lower) ^ from(b'z' + 1, lower);
    let digits_and_slash = from(b'/', eight) ^ from(b'9' + 1, eight);
    let plus = from(b'+', eight) ^ from(b'+' + 1, eight);
    (letters ^ digits_and_slash ^ plus) & !eight
}

/// The linear magnitude of a mu-law sample (ITU-T G.711).
fn magnitude(sample: u8) -> u64 {
    const BIAS: u64 = 0x84;
    let bits = !sample;
    let (exponent, mantissa) = ((bits >> 4) & 7, u64::from(bits & 15));
    (((mantissa << 3) + BIAS) << exponent) - BIAS
}

impl std::fmt::Debug for Audio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Audio({} samples)", self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_known_without_decoding() {
        for samples in 0..400_u16 {
            let raw: Vec<u8> = (0..samples).map(|i| i.to_le_bytes()[0]).collect();
            let audio = Audio::from_base64(&STANDARD.encode(&raw)).unwrap();
            assert_eq!(audio.samples(), u64::from(samples));
            assert_eq!(audio.decode(), raw);
        }
    }

    #[test]
    fn pieces_put_together_are_the_whole() {
        let raw: Vec<u8> = (0..4_001_u16).map(|i| i.to_le_bytes()[0]).collect();
        let audio = Audio::from_samples(&raw);
        let pieces: Vec<Audio> = audio.pieces(1_600).collect();
        assert!(pieces.iter().all(|p| p.samples() <= 1_600));
        let fits = Audio::from_samples(&raw[..1_600]);
        assert!(
            fits.pieces(1_600).eq([fits.clone()]),
            "one that fits is not cut"
        );
        assert_eq!(pieces.iter().map(Audio::samples).sum::<u64>(), 4_001);
        assert_eq!(
            pieces.iter().flat_map(Audio::decode).collect::<Vec<_>>(),
            raw
        );
    }

    #[test]
    fn what_is_kept_is_as_it_was() {
        let mut kept = Kept::default();
        let all: Vec<Audio> = (0..40_u8)
            .map(|i| Audio::from_samples(&vec![i; usize::from(i)]))
            .collect();
        for (at, audio) in all.iter().enumerate() {
            kept.push(audio);
            if at >= 10 {
                assert_eq!(kept.forget_oldest(), all[at - 10].samples());
            }
            let first = (at + 1).saturating_sub(10);
            assert!(kept.iter().eq(all[first..=at].iter().cloned()), "{at}");
        }
        kept.clear();
        assert!(kept.is_empty() && kept.iter().next().is_none());
    }

    #[test]
    fn silence_is_silent() {
        assert_eq!(Audio::silence(160).decode(), vec![SILENCE; 162]);
    }

    #[test]
    fn loudness_follows_g711() {
        assert_eq!(Audio::silence(160).loudness(), 0);
        assert_eq!(Audio::from_samples(&[0x00, 0x80]).loudness(), 32_124);
        assert_eq!(Audio::from_samples(&[0xFF, 0x80]).loudness(), 16_062);
        assert_eq!(Audio::from_samples(&[]).loudness(), 0);
    }

    #[test]
    fn base64_is_told_from_everything_else() {
        for length in [4, 8, 12, 16, 20] {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'z'; length];
                    text[at] = byte;
                    let is_audio = byte.is_ascii_alphanumeric()
                        || matches!(byte, b'+' | b'/')
                        || byte == b'=' && at + 1 == length;
                    let message = Bytes::from(text.clone());
                    assert_eq!(
                        Audio::within(&message, &message).is_ok(),
                        is_audio,
                        "{text:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn two_wrongs_make_no_base64() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let mut text = *b"AAAAAAAA";
                (text[3], text[4]) = (first, second);
                let single = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
                assert_eq!(
                    is_base64(&text),
                    single(first) && single(second),
                    "{text:?}"
                );
            }
        }
    }

    #[test]
    fn text_that_could_break_out_of_json_is_refused() {
        for bad in [
            "ab\"c", "a", "ab=c", "====", "a===", "ab c", "abc\\", "äbc", "ab-_",
        ] {
            assert_eq!(Audio::from_base64(bad), Err(NotBase64), "{bad}");
        }
    }
}
