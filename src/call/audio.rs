//! Mu-law audio as it travels: base64 text that is passed on as it is. It is decoded only to measure
//! how loud it is, on the side.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// Mu-law samples in a second; one sample is one byte.
pub const SAMPLES_PER_SECOND: u64 = 8_000;

/// Mu-law samples in a millisecond.
pub const SAMPLES_PER_MS: u64 = SAMPLES_PER_SECOND / 1_000;

/// The mu-law byte of silence.
pub const SILENCE: u8 = 0xFF;

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
    pub fn within(message: &Bytes, part: &str) -> Result<Self, NotBase64> {
        Self::checked(message.slice_ref(part.as_bytes()))
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
        let body = match base64.as_ref() {
            [.., b'=', b'='] => &base64[..base64.len() - 2],
            [.., b'='] => &base64[..base64.len() - 1],
            all => all,
        };
        let alphabet = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
        if !base64.len().is_multiple_of(4) || !body.iter().all(alphabet) {
            return Err(NotBase64);
        }
        let samples = body.len() as u64 * 3 / 4;
        Ok(Self { base64, samples })
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
        let group = usize::try_from((max_samples / 3).max(1) * 4).unwrap_or(usize::MAX);
        (0..self.base64.len()).step_by(group).map(move |from| {
            let to = self.base64.len().min(from.saturating_add(group));
            let base64 = self.base64.slice(from..to);
            let padding = base64.iter().rev().take_while(|b| **b == b'=').count();
            let samples = (base64.len() - padding) as u64 * 3 / 4;
            Audio { base64, samples }
        })
    }

    /// How loud it is: the mean magnitude of its samples on a linear scale, 0 to 32124.
    pub fn loudness(&self) -> u32 {
        let samples = self.decode();
        let sum: u64 = samples.iter().map(|sample| magnitude(*sample)).sum();
        let mean = sum.checked_div(samples.len() as u64).unwrap_or(0);
        u32::try_from(mean).unwrap_or(u32::MAX)
    }

    /// The raw mu-law bytes. What is passed on is never made from them.
    pub fn decode(&self) -> Vec<u8> {
        STANDARD.decode(&self.base64).unwrap_or_default()
    }
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
        assert_eq!(pieces.iter().map(Audio::samples).sum::<u64>(), 4_001);
        assert_eq!(
            pieces.iter().flat_map(Audio::decode).collect::<Vec<_>>(),
            raw
        );
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
    fn text_that_could_break_out_of_json_is_refused() {
        for bad in [
            "ab\"c", "a", "ab=c", "====", "a===", "ab c", "abc\\", "äbc", "ab-_",
        ] {
            assert_eq!(Audio::from_base64(bad), Err(NotBase64), "{bad}");
        }
    }
}
