//! What Twilio answers (Twilio, "Call resource" and "Message resource"), as far as we read it.
//!
//! Nearly all values are strings, numbers included, and many are null until later: so a value of
//! another type than expected counts as absent, and only the SID must be there.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A call as Twilio sees it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct CallResource {
    /// `CA` and 32 hexadecimal digits.
    pub sid: String,
    /// queued, ringing, in-progress, completed, busy, failed, no-answer or canceled.
    #[serde(default, deserialize_with = "text")]
    pub status: Option<String>,
    /// The number called.
    #[serde(default, deserialize_with = "text")]
    pub to: Option<String>,
    /// The number it is called from.
    #[serde(default, deserialize_with = "text")]
    pub from: Option<String>,
    /// Seconds; known when the call is over.
    #[serde(default, deserialize_with = "number")]
    pub duration: Option<u32>,
    /// In [`price_unit`](Self::price_unit), negative for what is charged; known some time after
    /// the call is over, and without the price of streams and machine detection.
    #[serde(default, deserialize_with = "decimal")]
    pub price: Option<f64>,
    /// A currency, `USD`.
    #[serde(default, deserialize_with = "text")]
    pub price_unit: Option<String>,
    /// Who answered, if Twilio was asked to find out.
    #[serde(default, deserialize_with = "text")]
    pub answered_by: Option<String>,
    /// When it was answered, RFC 2822.
    #[serde(default, deserialize_with = "text")]
    pub start_time: Option<String>,
    /// When it ended, RFC 2822.
    #[serde(default, deserialize_with = "text")]
    pub end_time: Option<String>,
}

/// A message as Twilio sees it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct MessageResource {
    /// `SM`, or `MM` with media, and 32 hexadecimal digits.
    pub sid: String,
    /// queued, sending, sent, delivered, undelivered, failed and others.
    #[serde(default, deserialize_with = "text")]
    pub status: Option<String>,
    /// The number it goes to.
    #[serde(default, deserialize_with = "text")]
    pub to: Option<String>,
    /// The number it comes from.
    #[serde(default, deserialize_with = "text")]
    pub from: Option<String>,
    /// The parts it is sent and charged in.
    #[serde(default, deserialize_with = "number")]
    pub num_segments: Option<u32>,
    /// Why it was not delivered; [`hint`](super::hint) knows the common codes.
    #[serde(default, deserialize_with = "number")]
    pub error_code: Option<u32>,
    /// The same in words.
    #[serde(default, deserialize_with = "text")]
    pub error_message: Option<String>,
    /// In [`price_unit`](Self::price_unit), negative for what is charged; known some time later.
    #[serde(default, deserialize_with = "decimal")]
    pub price: Option<f64>,
    /// A currency, `USD`.
    #[serde(default, deserialize_with = "text")]
    pub price_unit: Option<String>,
    /// When its state last changed, RFC 2822.
    #[serde(default, deserialize_with = "text")]
    pub date_updated: Option<String>,
}

/// Whether this is `CA` followed by letters and digits (32 hexadecimal ones, at Twilio itself):
/// nothing else may become part of a path.
pub fn is_call_sid(text: &str) -> bool {
    is_sid(text, &["CA"])
}

/// Whether this is `SM` or `MM` followed by letters and digits: nothing else may become part of a
/// path.
pub fn is_message_sid(text: &str) -> bool {
    is_sid(text, &["SM", "MM"])
}

fn is_sid(text: &str, prefixes: &[&str]) -> bool {
    prefixes
        .iter()
        .filter_map(|prefix| text.strip_prefix(prefix))
        .any(|id| (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// A string, or a number as one.
pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// A whole number, or a string of one.
pub(super) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    Ok(text(from)?.and_then(|text| text.parse().ok()))
}

/// A number, or a string of one.
fn decimal<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Ok(text(from)?
        .and_then(|text| text.parse().ok())
        .filter(|number: &f64| number.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_numbers_are_read_alike() {
        let strings = r#"{"sid":"CA1","status":"completed","duration":"42","price":"-0.0140",
            "price_unit":"USD","to":"+1","unheard_of":{"a":[]}}"#;
        let numbers = r#"{"sid":"CA1","status":"completed","duration":42,"price":-0.014,
            "price_unit":"USD","to":"+1"}"#;
        let call: CallResource = serde_json::from_str(strings).unwrap();
        assert_eq!(call, serde_json::from_str(numbers).unwrap());
        assert_eq!(call.duration, Some(42));
        assert_eq!(call.price, Some(-0.014));

        let strings = r#"{"sid":"SM1","num_segments":"2","error_code":"30007"}"#;
        let numbers = r#"{"sid":"SM1","num_segments":2,"error_code":30007,"price":null}"#;
        let message: MessageResource = serde_json::from_str(strings).unwrap();
        assert_eq!(message, serde_json::from_str(numbers).unwrap());
        assert_eq!(message.error_code, Some(30_007));
    }

    #[test]
    fn only_the_sid_must_be_there() {
        let call: CallResource = serde_json::from_str(r#"{"sid":"CA1"}"#).unwrap();
        assert_eq!(call.status, None);
        let odd = r#"{"sid":"CA1","status":{},"duration":"-1","price":"NaN","to":[],"from":true}"#;
        assert_eq!(call, serde_json::from_str(odd).unwrap());
        assert!(serde_json::from_str::<CallResource>(r#"{"status":"queued"}"#).is_err());
    }

    #[test]
    fn a_sid_is_a_prefix_and_letters_and_digits() {
        let hex = "0123456789abcdefABCDEF0123456789";
        assert!(is_call_sid(&format!("CA{hex}")));
        assert!(is_message_sid(&format!("SM{hex}")));
        assert!(is_message_sid(&format!("MM{hex}")));
        assert!(!is_call_sid(&format!("SM{hex}")));
        assert!(!is_message_sid(&format!("CA{hex}")));
        for odd in [
            String::new(),
            "CA".to_owned(),
            format!("CA{}", hex.repeat(3)),
            format!("CA{hex}/"),
            format!("ca{hex}"),
            format!(" CA{hex}"),
            format!("CA../{}", &hex[3..]),
            format!("CA{}é", &hex[2..]),
            format!("CA{}\n", &hex[1..]),
        ] {
            assert!(!is_call_sid(&odd), "{odd}");
        }
    }
}
