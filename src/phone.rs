//! Phone numbers in E.164 form, and the prefixes that allow- and deny-lists are made of.
//!
//! A number is a person's data: the types here show it whole only to code that asks for
//! it by name ([`E164::as_str`]), never to a formatter.

use std::fmt;

use serde::{Serialize, Serializer};

/// The fewest digits a number may have, country code included.
const MIN_DIGITS: usize = 7;
/// The most digits E.164 allows, country code included.
const MAX_DIGITS: usize = 15;
/// How many digits [`E164::masked`] hides at least: fewer could be guessed.
const HIDDEN_DIGITS: usize = 5;
/// How much of a rejected text an error repeats, in characters.
const SHOWN_CHARS: usize = 40;

/// A phone number: `+`, the country code and the national number, 7 to 15 digits in all.
///
/// There is no `Display`, so that a number cannot slip into a log line; `Debug` shows it
/// [masked](E164::masked). It serialises as the plain string, for the agent and the store.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct E164(String);

impl E164 {
    /// Reads a number that is written in exactly this form: no spaces, no dashes.
    ///
    /// Nothing is repaired. A number that needs guessing could reach the wrong person.
    ///
    /// # Errors
    ///
    /// [`InvalidNumber`] says what was wrong and what is accepted.
    pub fn parse(text: &str) -> Result<Self, InvalidNumber> {
        match fault(text, MIN_DIGITS) {
            None => Ok(Self(text.to_owned())),
            Some(why) => Err(InvalidNumber {
                value: shown(text),
                why,
            }),
        }
    }

    /// The number itself, `+` included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number for a log line, such as `+39…4567`: enough to recognise a call by, not
    /// enough to find the person. At least five digits stay hidden, so that little or
    /// nothing is left of the end of a short number.
    pub fn masked(&self) -> String {
        masked(&self.0)
    }

    /// The digits after `+1`, if the number is one of the North American Numbering Plan,
    /// which the US and Canada share with some twenty other countries.
    pub fn nanp(&self) -> Option<&str> {
        self.0.strip_prefix("+1")
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Serialize for E164 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

/// The beginning of numbers: `+` and 1 to 15 digits, such as `+39` or `+1415`.
///
/// It may be as long as a whole number, when someone allows a single person's. Therefore
/// `Debug` masks what is long enough to be one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(String);

impl Prefix {
    /// Reads a prefix that is written in exactly this form.
    ///
    /// # Errors
    ///
    /// [`InvalidPrefix`] says what was wrong and what is accepted.
    pub fn parse(text: &str) -> Result<Self, InvalidPrefix> {
        match fault(text, 1) {
            None => Ok(Self(text.to_owned())),
            Some(why) => Err(InvalidPrefix {
                value: shown(text),
                why,
            }),
        }
    }

    /// The prefix itself, `+` included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the number begins with this prefix, digit by digit.
    ///
    /// What may be *called* is more than that: see
    /// [`Destinations`](crate::safety::destination::Destinations).
    pub fn covers(&self, number: &E164) -> bool {
        number.0.starts_with(&self.0)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() > MIN_DIGITS {
            f.write_str(&masked(&self.0))
        } else {
            f.write_str(&self.0)
        }
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

/// A text that is not a phone number. The text is repeated: whoever sent it can then see
/// the slip, and a text that is no number identifies nobody reliably.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{value:?} is not a phone number: {why}. Accepted is + and 7 to 15 digits, country code \
     first, without spaces or dashes, such as +393331234567. If the country code is not \
     known, ask for it instead of guessing"
)]
pub struct InvalidNumber {
    value: String,
    why: &'static str,
}

/// A text that is not the beginning of a phone number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{value:?} is not a number prefix: {why}. Accepted is + and 1 to 15 digits, such as +39 \
     or +1415"
)]
pub struct InvalidPrefix {
    value: String,
    why: &'static str,
}

/// What keeps a text from being `+` and `fewest` to 15 digits, the first of them not 0.
fn fault(text: &str, fewest: usize) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    let Some(digits) = text.strip_prefix('+') else {
        return Some("it does not begin with + and the country code");
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Some("it has something other than digits after the +");
    }
    if digits.starts_with('0') {
        return Some("no country code begins with 0");
    }
    if digits.len() < fewest {
        return Some("it has too few digits");
    }
    if digits.len() > MAX_DIGITS {
        return Some("it has more than 15 digits");
    }
    None
}

/// See [`E164::masked`]. The text is `+` and at least seven digits.
fn masked(number: &str) -> String {
    let digits = number.len() - 1;
    // Country codes 1 and 7 are the ones of a single digit.
    let head = if number.starts_with("+1") || number.starts_with("+7") {
        1
    } else {
        2
    };
    let tail = digits.saturating_sub(head + HIDDEN_DIGITS).min(4);
    // All of it is ASCII, so that these positions lie between characters.
    format!("{}…{}", &number[..=head], &number[number.len() - tail..])
}

/// The start of a text, for an error that must stay readable whatever was sent.
fn shown(text: &str) -> String {
    if text.chars().count() <= SHOWN_CHARS {
        return text.to_owned();
    }
    text.chars().take(SHOWN_CHARS).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_seven_to_fifteen_digits_and_nothing_else() {
        for good in ["+1234567", "+393331234567", "+123456789012345"] {
            assert_eq!(E164::parse(good).unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("", "it is empty"),
            ("+", "too few"),
            ("+123456", "too few"),
            ("+1911", "too few"),
            ("+44999", "too few"),
            ("+49110", "too few"),
            ("+1234567890123456", "more than 15"),
            ("00393331234567", "begin with +"),
            ("393331234567", "begin with +"),
            (" +393331234567", "begin with +"),
            ("+0393331234567", "begins with 0"),
            ("+39 333 1234567", "other than digits"),
            ("+39-333-1234567", "other than digits"),
            ("++393331234567", "other than digits"),
            ("+393331234567\n", "other than digits"),
            ("+39333123456x", "other than digits"),
            ("+39333١٢٣٤٥٦٧", "other than digits"),
        ] {
            let error = E164::parse(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{bad:?}: {error}");
            assert!(error.contains("such as +39"), "{bad:?}: {error}");
        }
    }

    #[test]
    fn an_error_repeats_the_text_but_stays_readable() {
        let error = E164::parse("0039 333").unwrap_err().to_string();
        assert!(error.starts_with("\"0039 333\" is not"), "{error}");
        let error = E164::parse(&"ü\n".repeat(5000)).unwrap_err().to_string();
        assert!(error.len() < 500, "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn a_mask_hides_at_least_five_digits() {
        for (number, masked) in [
            ("+393331234567", "+39…4567"),
            ("+14155550123", "+1…0123"),
            ("+79161234567", "+7…4567"),
            ("+6834000", "+68…"),
            ("+35312345", "+35…5"),
            ("+123456789012345", "+1…2345"),
        ] {
            let number = E164::parse(number).unwrap();
            assert_eq!(number.masked(), masked);
            assert_eq!(format!("{number:?}"), masked);
        }
    }

    #[test]
    fn serialises_as_the_plain_number() {
        let number = E164::parse("+393331234567").unwrap();
        assert_eq!(serde_json::to_string(&number).unwrap(), "\"+393331234567\"");
        let prefix = Prefix::parse("+39").unwrap();
        assert_eq!(serde_json::to_string(&prefix).unwrap(), "\"+39\"");
    }

    #[test]
    fn a_prefix_covers_what_begins_with_it() {
        let number = E164::parse("+393331234567").unwrap();
        for (prefix, covers) in [
            ("+3", true),
            ("+39", true),
            ("+393331234567", true),
            ("+3933312345678", false),
            ("+38", false),
        ] {
            assert_eq!(Prefix::parse(prefix).unwrap().covers(&number), covers);
        }
        for bad in [
            "",
            "+",
            "39",
            "+0",
            "+39*",
            "+ 39",
            "*",
            "+1234567890123456",
        ] {
            let error = Prefix::parse(bad).unwrap_err().to_string();
            assert!(error.contains("such as +39"), "{bad:?}: {error}");
        }
    }

    #[test]
    fn a_prefix_that_may_be_a_whole_number_is_masked() {
        let debug = |text| format!("{:?}", Prefix::parse(text).unwrap());
        assert_eq!(debug("+39"), "+39");
        assert_eq!(debug("+141555"), "+141555");
        assert_eq!(debug("+393331234567"), "+39…4567");
    }

    #[test]
    fn tells_the_north_american_plan() {
        let nanp = |text| E164::parse(text).unwrap().nanp().map(str::to_owned);
        assert_eq!(nanp("+14155550123").as_deref(), Some("4155550123"));
        assert_eq!(nanp("+393331234567"), None);
    }
}
