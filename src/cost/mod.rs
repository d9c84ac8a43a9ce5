//! What calls and messages cost: prices, the metering of a call, and the most that one may come to.
//!
//! - [`money`]: amounts, in whole micro-dollars.
//! - [`prices`]: the table, and the owner's file over it.
//! - [`check`]: which prices a configuration lacks.
//!
//! A price that is not known gives no cost at all, never a wrong one. `docs/costs.md` shows the
//! arithmetic.

pub mod check;
pub mod money;
pub mod prices;

use std::time::Duration;

pub use self::money::MicroUsd;
use self::money::PicoUsd;
use self::prices::{MessagePrice, ModelPrices, TranscriptionPrice};
use crate::realtime::event::{Transcribed, Usage};

/// Tokens of audio heard in a minute: one each 100 ms.
const HEARD_PER_MINUTE: u64 = 600;

/// Tokens of audio spoken in a minute: one each 50 ms.
const SPOKEN_PER_MINUTE: u64 = 1_200;

/// Tokens of text written in a minute, at most: a fast speaker's words, and as many thoughts and
/// function calls again.
const WRITTEN_PER_MINUTE: u64 = 1_000;

/// Tokens of the context that are read again in a minute, at most: ten turns of 20,000.
const REREAD_PER_MINUTE: u64 = 200_000;

/// Once a call: instructions, read anew for drafts and judgement.
const INSTRUCTED: u64 = 10_000;

/// Once a call: drafts of the first sentence that are spoken to nobody.
const DRAFTED: u64 = 1_200;

/// Once a call: the judgement after the end.
const JUDGED: u64 = 1_500;

/// Once a call: the context of that judgement.
const JUDGED_CONTEXT: u64 = 40_000;

/// What a call may last beyond its maximum until Twilio ends it.
const OVERTIME: Duration = Duration::from_secs(30);

/// What must be left of a call's share when it is told to wrap up: the time that takes, at the
/// highest rate, and a last sentence.
const WRAP_UP: Duration = Duration::from_secs(25);

/// How long a call goes on that is told to wrap up.
const WRAPPING_UP: Duration = Duration::from_secs(20);

/// The prices that hold for one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tariff {
    model: Option<ModelPrices>,
    transcription: Option<TranscriptionPrice>,
    voice_per_minute: Option<MicroUsd>,
    stream_per_minute: MicroUsd,
    detection: MicroUsd,
}

/// What a call has used that costs money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter {
    /// Tokens of the model.
    pub tokens: Usage,
    /// What of the callee was transcribed.
    pub transcribed: Transcribed,
    /// The service did not say what something had cost; so nobody can say it of the call.
    pub untold: bool,
    /// The connection was lost, or the call over, before the service said what a response had cost:
    /// the figures are a little low.
    pub partial: bool,
    /// Twilio's own price for the voice line.
    pub carrier: Option<MicroUsd>,
}

/// What a call has cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bill {
    /// The voice model, with the transcription.
    pub model: MicroUsd,
    /// The carrier.
    pub carrier: MicroUsd,
    /// Some of it is our own reckoning.
    pub estimated: bool,
}

impl Bill {
    /// Both.
    pub fn total(&self) -> MicroUsd {
        self.model + self.carrier
    }
}

/// A price that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpriced {
    /// Of the voice model.
    Model,
    /// Of the transcription.
    Transcription,
    /// Of calls to this number.
    Voice,
    /// Of text messages to this number.
    Sms,
    /// Of messages with media to this number.
    Mms,
}

impl std::fmt::Display for Unpriced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Model => "no price is known for the voice model",
            Self::Transcription => "no price is known for the transcription of calls",
            Self::Voice => "no price is known for calls to this number",
            Self::Sms => "no price is known for text messages to this number",
            Self::Mms => "no price is known for messages with media to this number",
        })
    }
}

/// The most that a call may come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorstCase {
    model_once: MicroUsd,
    model_per_minute: MicroUsd,
    judgement: MicroUsd,
    carrier_once: MicroUsd,
    carrier_per_minute: MicroUsd,
}

impl WorstCase {
    /// Of a call that may last so long.
    pub fn of(&self, longest: Duration) -> MicroUsd {
        let minutes = started_minutes(longest + OVERTIME);
        self.model(longest) + self.carrier_once + self.carrier_per_minute.times(minutes)
    }

    /// The model's part of it.
    fn model(&self, longest: Duration) -> MicroUsd {
        let speaking = PicoUsd::minutes(millis(longest + OVERTIME), self.model_per_minute);
        self.model_once + speaking.round_up()
    }

    /// How long a call with this maximum may go on whose model has cost so much: for ever, a moment
    /// to wrap up, or not at all. The carrier's part runs with the clock, which the maximum bounds.
    pub fn time_left(&self, longest: Duration, model: MicroUsd) -> Option<Duration> {
        let left = self.model(longest).less(self.judgement).less(model);
        let wrap_up = PicoUsd::minutes(millis(WRAP_UP), self.model_per_minute).round_up();
        if left == MicroUsd::ZERO {
            Some(Duration::ZERO)
        } else if left <= wrap_up {
            Some(WRAPPING_UP)
        } else {
            None
        }
    }

    /// What the model may still cost after the end of a call.
    pub fn judgement(&self) -> MicroUsd {
        self.judgement
    }
}

impl Tariff {
    /// What has been used so far by a call that was answered so long ago; none if it was not, or if
    /// a price is not known.
    pub fn bill(&self, meter: &Meter, answered: Option<Duration>) -> Option<Bill> {
        Some(Bill {
            model: self.model(meter)?,
            carrier: self.carrier(meter, answered)?,
            estimated: meter.carrier.is_none() || meter.partial,
        })
    }

    /// The voice model's part.
    pub fn model(&self, meter: &Meter) -> Option<MicroUsd> {
        if meter.untold {
            return None;
        }
        let prices = self.model?;
        let tokens = &meter.tokens;
        let parts = [
            (tokens.text_in, prices.text_in),
            (tokens.cached_text_in, prices.cached_text_in),
            (tokens.text_out, prices.text_out),
            (tokens.audio_in, prices.audio_in),
            (tokens.cached_audio_in, prices.cached_audio_in),
            (tokens.audio_out, prices.audio_out),
        ];
        let spoken = parts
            .into_iter()
            .map(|(count, price)| PicoUsd::tokens(count, price.get()));
        let heard = self.transcription(&meter.transcribed)?;
        Some(spoken.chain([heard]).sum::<PicoUsd>().round_up())
    }

    fn transcription(&self, heard: &Transcribed) -> Option<PicoUsd> {
        match self.transcription? {
            TranscriptionPrice::Time(price) => {
                let audio = heard.audio_in.saturating_mul(100);
                let millis = heard.millis.saturating_add(audio);
                Some(PicoUsd::minutes(millis, price.per_minute.get()))
            }
            // Tokens cannot be told from a time.
            TranscriptionPrice::Tokens(_) if heard.millis > 0 => None,
            TranscriptionPrice::Tokens(price) => {
                let parts = [
                    (heard.text_in, price.text_in),
                    (heard.audio_in, price.audio_in),
                    (heard.text_out, price.text_out),
                ];
                Some(
                    parts
                        .into_iter()
                        .map(|(count, price)| PicoUsd::tokens(count, price.get()))
                        .sum(),
                )
            }
        }
    }

    /// The carrier's part: voice, which is Twilio's own price once that is known, media stream and
    /// machine detection.
    fn carrier(&self, meter: &Meter, answered: Option<Duration>) -> Option<MicroUsd> {
        let Some(answered) = answered else {
            // Ringing is free.
            return Some(meter.carrier.unwrap_or_default());
        };
        let minutes = started_minutes(answered);
        let voice = match meter.carrier {
            Some(price) => price,
            None => self.voice_per_minute?.times(minutes),
        };
        Some(voice + self.stream_per_minute.times(minutes) + self.detection)
    }

    /// The most that a call may come to.
    ///
    /// # Errors
    ///
    /// A price that is missing.
    pub fn worst_case(&self) -> Result<WorstCase, Unpriced> {
        let model = self.model.ok_or(Unpriced::Model)?;
        let transcription = self.transcription.ok_or(Unpriced::Transcription)?;
        let voice = self.voice_per_minute.ok_or(Unpriced::Voice)?;
        // Whatever is read again, it is the dearer of the two.
        let reread = model.cached_text_in.get().max(model.cached_audio_in.get());
        let sum = |parts: &[(u64, MicroUsd)]| {
            let parts = parts
                .iter()
                .map(|&(count, price)| PicoUsd::tokens(count, price));
            parts.sum::<PicoUsd>().round_up()
        };
        let heard = match transcription {
            TranscriptionPrice::Time(price) => price.per_minute.get(),
            TranscriptionPrice::Tokens(price) => sum(&[
                (HEARD_PER_MINUTE, price.audio_in.get()),
                (WRITTEN_PER_MINUTE, price.text_in.get()),
                (WRITTEN_PER_MINUTE, price.text_out.get()),
            ]),
        };
        let judgement = sum(&[(JUDGED, model.text_out.get()), (JUDGED_CONTEXT, reread)]);
        Ok(WorstCase {
            model_once: sum(&[
                (INSTRUCTED, model.text_in.get()),
                (DRAFTED, model.audio_out.get()),
            ]) + judgement,
            model_per_minute: heard
                + sum(&[
                    (HEARD_PER_MINUTE, model.audio_in.get()),
                    (SPOKEN_PER_MINUTE, model.audio_out.get()),
                    (WRITTEN_PER_MINUTE, model.text_out.get()),
                    (REREAD_PER_MINUTE, reread),
                ]),
            judgement,
            carrier_once: self.detection,
            carrier_per_minute: voice + self.stream_per_minute,
        })
    }
}

/// What a message comes to.
pub fn message(price: MessagePrice, text: Option<&str>) -> MicroUsd {
    match price {
        MessagePrice::PerMessage(price) => price,
        MessagePrice::PerSegment(price) => price.times(segments(text.unwrap_or_default())),
    }
}

/// Parts that a text is sent and charged in: 160 characters of the GSM alphabet or 70 others, and a
/// little less of each once there are several.
pub fn segments(text: &str) -> u64 {
    let septets = text.chars().try_fold(0, |sum, c| Some(sum + gsm(c)?));
    let (length, alone, each) = match septets {
        Some(septets) => (septets, 160, 153),
        None => (text.encode_utf16().count() as u64, 70, 67),
    };
    if length <= alone {
        1
    } else {
        length.div_ceil(each)
    }
}

/// Places that a character takes in the GSM alphabet (3GPP TS 23.038), if it is in it.
fn gsm(c: char) -> Option<u64> {
    const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
    const EXTENDED: &str = "^{}\\[~]|€\u{c}";
    if BASIC.contains(c) {
        Some(1)
    } else {
        EXTENDED.contains(c).then_some(2)
    }
}

/// Minutes as the carrier counts them; the first begins with the answer.
fn started_minutes(duration: Duration) -> u64 {
    millis(duration).div_ceil(60_000).max(1)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
