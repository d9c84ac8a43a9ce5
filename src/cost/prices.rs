//! The price table: what is built in, and what the owner's TOML file puts over it. It is described,
//! with its date and sources, in `docs/costs.md`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Tariff;
use super::money::MicroUsd;
use crate::phone::{E164, Prefix};
use crate::safety::destination::{AREA_ENTRY_LEN, beyond_us_and_canada};

/// When the built-in table was written.
pub const AS_OF: &str = "2026-11";

/// A price file that is longer than this is something else, bytes.
const LONGEST_FILE: u64 = 256 * 1024;

/// Area codes behind `+1` for which the built-in price of the United States is not known to hold:
/// Canada, Alaska, Hawaii, toll-free numbers and those without a place. Other countries and
/// territories behind `+1` are left out by the list that the allow-list has, too.
const NOT_AT_THE_US_PRICE: &str = "204 226 236 249 250 257 263 289 306 343 354 365 367 368 382 387 403 416 418 428 431 \
     437 438 450 460 468 474 506 514 519 537 548 568 579 581 584 587 604 613 639 647 672 683 705 709 742 753 778 780 \
     782 807 819 825 867 873 879 902 905 942 907 808 800 833 844 855 866 877 888 600 622 633 644 655 677 688 700 710 \
     500 521 522 523 524 525 526 527 528 529 533 544 566 577 588 670 671 684 340 787 939";

/// What one model costs, each per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrices {
    /// Text read, not from the cache.
    pub text_in: Amount,
    /// Text read from the cache.
    pub cached_text_in: Amount,
    /// Text written.
    pub text_out: Amount,
    /// Audio heard, not from the cache.
    pub audio_in: Amount,
    /// Audio heard, from the cache.
    pub cached_audio_in: Amount,
    /// Audio spoken.
    pub audio_out: Amount,
}

/// What the transcription of the callee costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum TranscriptionPrice {
    /// By the time that was transcribed.
    Time(PerMinute),
    /// By tokens, each per million.
    Tokens(PerToken),
}

/// A price by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerMinute {
    /// For each minute of audio, and the same share of it for a part of one.
    pub per_minute: Amount,
}

/// A price by tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerToken {
    /// Text read.
    pub text_in: Amount,
    /// Audio heard.
    pub audio_in: Amount,
    /// Text written.
    pub text_out: Amount,
}

/// A price in a table: dollars with at most six decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Amount(MicroUsd);

impl Amount {
    /// What is built in.
    const fn micros(micros: u64) -> Self {
        Self(MicroUsd::new(micros))
    }

    /// The price itself.
    pub const fn get(self) -> MicroUsd {
        self.0
    }
}

impl TryFrom<f64> for Amount {
    type Error = &'static str;

    fn try_from(dollars: f64) -> Result<Self, Self::Error> {
        MicroUsd::from_dollars(dollars)
            .map(Self)
            .ok_or("a price is a number of US dollars, 0 or more, with at most six decimals, such as 0.0045")
    }
}

/// Prices by the beginning of the number; the longest that fits counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, Amount>")]
struct ByPrefix {
    of: Vec<(Prefix, MicroUsd)>,
    other: Option<MicroUsd>,
}

/// Stands for every number that no prefix covers.
const OTHER: &str = "other";

impl TryFrom<BTreeMap<String, Amount>> for ByPrefix {
    type Error = String;

    fn try_from(table: BTreeMap<String, Amount>) -> Result<Self, Self::Error> {
        let mut prices = Self::default();
        for (key, price) in table {
            if key == OTHER {
                prices.other = Some(price.get());
            } else {
                let prefix = Prefix::parse(&key).map_err(|_| {
                    format!("{key:?} is no beginning of numbers: write + and digits such as \"+39\", or {OTHER}")
                })?;
                prices.of.push((prefix, price.get()));
            }
        }
        Ok(prices)
    }
}

impl ByPrefix {
    fn find(&self, to: &E164) -> Option<MicroUsd> {
        // As in the allow-list: what is cheap in the US may be dear in Jamaica.
        let least = beyond_us_and_canada(to).map_or(0, |_| AREA_ENTRY_LEN);
        self.of
            .iter()
            .filter(|(prefix, _)| prefix.as_str().len() >= least && prefix.covers(to))
            .max_by_key(|(prefix, _)| prefix.as_str().len())
            .map(|(_, price)| *price)
            .or(self.other)
    }

    fn covers(&self, wanted: &Prefix) -> bool {
        let covers = |(known, _): &(Prefix, _)| wanted.as_str().starts_with(known.as_str());
        self.other.is_some() || self.of.iter().any(covers)
    }
}

/// What a text message costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessagePrice {
    /// For each segment of text.
    PerSegment(MicroUsd),
    /// For the whole message, whatever is in it.
    PerMessage(MicroUsd),
}

/// All prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    models: BTreeMap<String, ModelPrices>,
    transcription: BTreeMap<String, TranscriptionPrice>,
    media_stream_per_minute: MicroUsd,
    machine_detection_per_call: MicroUsd,
    /// Of the built-in table, which knows the United States alone.
    us_voice_per_minute: MicroUsd,
    voice_per_minute: ByPrefix,
    sms_per_segment: ByPrefix,
    mms_per_message: ByPrefix,
}

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    models: BTreeMap<String, ModelPrices>,
    transcription: BTreeMap<String, TranscriptionPrice>,
    carrier: GivenCarrier,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct GivenCarrier {
    media_stream_per_minute: Option<Amount>,
    machine_detection_per_call: Option<Amount>,
    voice_per_minute: ByPrefix,
    sms_per_segment: ByPrefix,
    mms_per_message: ByPrefix,
}

/// Why a price file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PricesError {
    /// It cannot be read.
    #[error(
        "OPENAGENT_PHONE_PRICES names {path:?}, which cannot be read ({why}); name a TOML file with prices, or none"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It is not what it should be.
    #[error(
        "OPENAGENT_PHONE_PRICES names {path:?}, whose prices cannot be used: {why}\nWhat is accepted is shown in docs/costs.md."
    )]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
}

impl Prices {
    /// The built-in table.
    pub fn built_in() -> Self {
        // Text in, cached, out; audio in, cached, out: US dollars per million tokens, in cents.
        let models = [
            ("gpt-realtime-2.1", [400, 40, 2_400, 3_200, 40, 6_400]),
            ("gpt-realtime-2", [400, 40, 2_400, 3_200, 40, 6_400]),
            ("gpt-realtime-2.1-mini", [60, 6, 240, 1_000, 30, 2_000]),
            ("gpt-realtime-1.5", [400, 40, 1_600, 3_200, 40, 6_400]),
        ];
        let models = models.into_iter().map(|(name, cents)| {
            let [
                text_in,
                cached_text_in,
                text_out,
                audio_in,
                cached_audio_in,
                audio_out,
            ] = cents.map(|cents| Amount::micros(cents * 10_000));
            let prices = ModelPrices {
                text_in,
                cached_text_in,
                text_out,
                audio_in,
                cached_audio_in,
                audio_out,
            };
            (name.to_owned(), prices)
        });
        let per_minute = Amount::micros(4_500);
        let transcription = TranscriptionPrice::Time(PerMinute { per_minute });
        Self {
            models: models.collect(),
            transcription: BTreeMap::from([("gpt-transcribe".to_owned(), transcription)]),
            media_stream_per_minute: MicroUsd::new(4_000),
            machine_detection_per_call: MicroUsd::new(7_500),
            us_voice_per_minute: MicroUsd::new(14_000),
            voice_per_minute: ByPrefix::default(),
            sms_per_segment: ByPrefix::default(),
            mms_per_message: ByPrefix::default(),
        }
    }

    /// No price at all: what the user wants to replace is not theirs, and what they wrote cannot be
    /// read.
    pub fn none() -> Self {
        Self {
            models: BTreeMap::new(),
            transcription: BTreeMap::new(),
            ..Self::built_in()
        }
    }

    /// The built-in table, with what the embedded carrier of the sandbox charges for calls and
    /// messages, which it does alike for the whole world.
    pub fn of_sandbox() -> Self {
        let alike = |micros| ByPrefix {
            of: Vec::new(),
            other: Some(MicroUsd::new(micros)),
        };
        Self {
            voice_per_minute: alike(14_000),
            sms_per_segment: alike(8_000),
            mms_per_message: alike(20_000),
            ..Self::built_in()
        }
    }

    /// Puts the prices of a file over this table. The text is TOML.
    ///
    /// # Errors
    ///
    /// What is wrong and where: a price that is none, or a key that nothing is known of.
    pub fn with(mut self, text: &str) -> Result<Self, String> {
        let given: Given = toml::from_str(text).map_err(|error| error.to_string())?;
        self.models.extend(given.models);
        self.transcription.extend(given.transcription);
        let carrier = given.carrier;
        if let Some(price) = carrier.media_stream_per_minute {
            self.media_stream_per_minute = price.get();
        }
        if let Some(price) = carrier.machine_detection_per_call {
            self.machine_detection_per_call = price.get();
        }
        for (mine, given) in [
            (&mut self.voice_per_minute, carrier.voice_per_minute),
            (&mut self.sms_per_segment, carrier.sms_per_segment),
            (&mut self.mms_per_message, carrier.mms_per_message),
        ] {
            mine.other = given.other.or(mine.other);
            mine.of.extend(given.of);
        }
        Ok(self)
    }

    /// The same with the file that the owner names, if they name one.
    ///
    /// # Errors
    ///
    /// [`PricesError`] names the file and what is wrong with it.
    pub fn with_file(self, path: Option<&Path>) -> Result<Self, PricesError> {
        let Some(path) = path else { return Ok(self) };
        let text = read(path).map_err(|why| PricesError::Unreadable {
            path: path.to_owned(),
            why,
        })?;
        self.with(&text).map_err(|why| PricesError::Invalid {
            path: path.to_owned(),
            why,
        })
    }

    /// The prices of a call to `to`. `detects`: Twilio is asked to tell machines from people.
    pub fn tariff(&self, model: &str, transcription: &str, to: &E164, detects: bool) -> Tariff {
        Tariff {
            model: self.models.get(model).copied(),
            transcription: self.transcription.get(transcription).copied(),
            voice_per_minute: self.voice(to),
            stream_per_minute: self.media_stream_per_minute,
            detection: if detects {
                self.machine_detection_per_call
            } else {
                MicroUsd::ZERO
            },
        }
    }

    /// What a message to `to` costs, if that is known.
    pub fn message(&self, to: &E164, has_media: bool) -> Option<MessagePrice> {
        if has_media {
            self.mms_per_message.find(to).map(MessagePrice::PerMessage)
        } else {
            self.sms_per_segment.find(to).map(MessagePrice::PerSegment)
        }
    }

    /// Whether all that calls with these models cost OpenAI's side is known.
    pub fn knows_models(&self, model: &str, transcription: &str) -> bool {
        self.models.contains_key(model) && self.transcription.contains_key(transcription)
    }

    /// Whether there is a price for calls to numbers that begin so, by and large.
    pub fn knows_calls_to(&self, prefix: &Prefix) -> bool {
        let area = prefix.as_str().strip_prefix("+1");
        let us = area.is_some_and(|area| area.len() < 3 || is_at_us_price(area));
        us || self.voice_per_minute.covers(prefix)
    }

    /// The same for messages, with or without media.
    pub fn knows_messages_to(&self, prefix: &Prefix) -> bool {
        self.sms_per_segment.covers(prefix) && self.mms_per_message.covers(prefix)
    }

    fn voice(&self, to: &E164) -> Option<MicroUsd> {
        let us = to
            .nanp()
            .is_some_and(|area| is_at_us_price(area) && beyond_us_and_canada(to).is_none());
        let built_in = us.then_some(self.us_voice_per_minute);
        // A default of the owner's is not meant for the one country that has a price.
        let given = ByPrefix {
            other: None,
            of: self.voice_per_minute.of.clone(),
        };
        given.find(to).or(built_in).or(self.voice_per_minute.other)
    }
}

fn is_at_us_price(area: &str) -> bool {
    let Some(area) = area.get(..3) else {
        return true;
    };
    !NOT_AT_THE_US_PRICE
        .split_whitespace()
        .any(|other| other == area)
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_FILE + 1).read_to_string(&mut text))
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST_FILE {
        return Err("it is far longer than a list of prices".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> E164 {
        E164::parse(text).unwrap()
    }

    fn voice(prices: &Prices, to: &str) -> Option<u64> {
        prices.voice(&number(to)).map(MicroUsd::micros)
    }

    #[test]
    fn the_built_in_table_knows_calls_to_the_united_states_alone() {
        let prices = Prices::built_in();
        assert_eq!(voice(&prices, "+14155550142"), Some(14_000));
        for elsewhere in [
            "+390612345678",
            "+16045550142", // British Columbia
            "+18765550142", // Jamaica
            "+17875550142", // Puerto Rico
            "+19075550142", // Alaska
            "+18005550142", // toll-free
        ] {
            assert_eq!(voice(&prices, elsewhere), None, "{elsewhere}");
        }
        assert_eq!(prices.message(&number("+14155550142"), false), None);
    }

    #[test]
    fn the_longest_prefix_counts() {
        let given = r#"
            [carrier.voice_per_minute]
            "+39" = 0.02
            "+393" = 0.05
            "+1" = 0.03
            other = 0.5
        "#;
        let prices = Prices::built_in().with(given).unwrap();
        for (to, micros) in [
            ("+390612345678", 20_000),
            ("+393331234567", 50_000),
            ("+14155550142", 30_000),
            ("+16045550142", 30_000),
            ("+18765550142", 500_000),
            ("+4930123456", 500_000),
        ] {
            assert_eq!(voice(&prices, to), Some(micros), "{to}");
        }
        let prices = Prices::built_in()
            .with("[carrier.voice_per_minute]\nother = 0.5")
            .unwrap();
        assert_eq!(voice(&prices, "+14155550142"), Some(14_000));
    }

    #[test]
    fn what_is_given_replaces_what_is_built_in_and_nothing_else() {
        let given = r#"
            [models."gpt-realtime-2.1"]
            text_in = 1
            cached_text_in = 0.1
            text_out = 2
            audio_in = 3.5
            cached_audio_in = 0
            audio_out = 4

            [transcription.mine]
            text_in = 1
            audio_in = 2
            text_out = 3

            [carrier]
            media_stream_per_minute = 0.005
        "#;
        let (plain, prices) = (Prices::built_in(), Prices::built_in().with(given).unwrap());
        let model = prices.models["gpt-realtime-2.1"];
        assert_eq!(model.audio_in, Amount::micros(3_500_000));
        assert_eq!(model.cached_audio_in, Amount::micros(0));
        assert_eq!(
            prices.models["gpt-realtime-2"],
            plain.models["gpt-realtime-2"]
        );
        assert!(prices.knows_models("gpt-realtime-2.1", "mine"));
        assert!(!plain.knows_models("gpt-realtime-2.1", "mine"));
        assert_eq!(prices.media_stream_per_minute, MicroUsd::new(5_000));
        assert_eq!(prices.machine_detection_per_call, MicroUsd::new(7_500));
        assert_eq!(Prices::built_in().with("").unwrap(), plain);
    }

    #[test]
    fn mistakes_in_a_file_are_named() {
        for (given, named) in [
            ("[carrier]\nmedia_stream = 1", "media_stream"),
            ("[carier]", "carier"),
            ("[carrier]\nmedia_stream_per_minute = -0.004", "0 or more"),
            ("[carrier]\nmedia_stream_per_minute = nan", "0 or more"),
            (
                "[carrier]\nmedia_stream_per_minute = 0.0000005",
                "six decimals",
            ),
            ("[carrier]\nmedia_stream_per_minute = \"1\"", "string"),
            ("[carrier.voice_per_minute]\nitaly = 1", "italy"),
            ("[models.x]\ntext_in = 1", "missing field"),
            ("[models.x]\nper_token = 1", "per_token"),
            ("[transcription.x]\nper_hour = 1", "transcription"),
            ("models = 7", "models"),
            ("[carrier", "TOML"),
        ] {
            let why = Prices::built_in().with(given).unwrap_err();
            assert!(why.contains(named), "{given}: {why}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_an_error() {
        let missing = Prices::built_in().with_file(Some(Path::new("/nowhere/prices.toml")));
        let why = missing.unwrap_err().to_string();
        assert!(
            why.contains("OPENAGENT_PHONE_PRICES") && why.contains("/nowhere"),
            "{why}"
        );
        assert!(Prices::built_in().with_file(None).is_ok());
    }
}
