//! What can go wrong with a request to Twilio, told so that an AI agent knows what to do next.

use std::fmt;

use serde::Deserialize;

use super::resource::{number, text};

/// Messages are Twilio's; this many characters of one are enough to understand it.
const LONGEST_MESSAGE: usize = 300;

/// Why a request to Twilio came to nothing. Its text is one sentence, with what to do about it,
/// and never shows a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TwilioError {
    /// There was no connection: nothing left this machine.
    #[error(
        "Twilio could not be reached ({why}) and nothing was sent: check the network (and \
         TWILIO_API_BASE_URL, if it is set), then try again."
    )]
    Unreachable {
        /// What failed, in the words of the network.
        why: String,
    },
    /// The request went out and no complete answer came back: the result is unknown.
    #[error(
        "Twilio did not answer ({why}), so it is unknown whether the request took effect: find \
         that out before you repeat it."
    )]
    NoAnswer {
        /// What failed, in the words of the network.
        why: String,
    },
    /// Twilio answered with an error.
    #[error("{}", ApiSentence { http_status: *http_status, code: *code, message })]
    Api {
        /// The HTTP status.
        http_status: u16,
        /// Twilio's error code, if it gave one; [`hint`] knows the common ones.
        code: Option<u32>,
        /// Twilio's words; without any, the name of the HTTP status.
        message: String,
    },
    /// Twilio accepted the request, and what it answered makes no sense.
    #[error(
        "Twilio accepted the request (HTTP {http_status}), but its answer cannot be read ({why}): \
         a call or message is on its way all the same, so do not place or send it again; check \
         TWILIO_API_BASE_URL if it is set."
    )]
    Unreadable {
        /// The HTTP status.
        http_status: u16,
        /// What is wrong with the answer.
        why: &'static str,
    },
    /// The identifier cannot be one of Twilio's, so nothing was sent.
    #[error("This is not the SID of a {of}, which is {prefixes} followed by letters and digits.")]
    NotASid {
        /// What was asked for: `call` or `message`.
        of: &'static str,
        /// The prefixes it may have.
        prefixes: &'static str,
    },
}

impl TwilioError {
    /// Whether Twilio may have acted on the request all the same: then nothing may be given back
    /// (a budget, an idempotency key) and nothing repeated before somebody has looked.
    pub fn may_have_reached(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NotASid { .. } => false,
            Self::NoAnswer { .. } | Self::Unreadable { .. } => true,
            Self::Api { http_status, .. } => !is_refusal(*http_status),
        }
    }

    /// Twilio's error code, if that is what this is.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Api { code, .. } => *code,
            _ => None,
        }
    }

    /// Too many requests at once: Twilio did nothing, and would later.
    pub(super) fn is_throttled(&self) -> bool {
        match self {
            Self::Api {
                http_status, code, ..
            } => is_refusal(*http_status) && (*http_status == 429 || *code == Some(20_429)),
            _ => false,
        }
    }

    /// As the answer to hanging up: there is nothing left to hang up. What Twilio says about the
    /// call it has just ended need not be readable.
    pub(super) fn means_it_is_over(&self) -> bool {
        match self {
            Self::Unreadable { .. } => true,
            Self::Api {
                http_status, code, ..
            } => *http_status == 404 || matches!(code, Some(20_404 | 21_220)),
            _ => false,
        }
    }

    /// Reads the answer to a request that failed (Twilio, "Errors and warnings dictionary":
    /// `{"code": 21211, "message": "…", "more_info": "…", "status": 400}`). Any other answer, a
    /// proxy's page of HTML for instance, counts by its status alone.
    pub(super) fn from_answer(status: reqwest::StatusCode, body: &[u8]) -> Self {
        let body: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
        let message = body
            .message
            .or_else(|| status.canonical_reason().map(str::to_owned))
            .unwrap_or_default();
        Self::Api {
            http_status: status.as_u16(),
            code: body.code,
            message: tidy(&message),
        }
    }
}

/// What to do about one of Twilio's error codes, for requests and for messages that could not be
/// delivered: the end of a sentence. `None` for a code that its own message explains.
pub fn hint(code: u32) -> Option<&'static str> {
    Some(match code {
        20_003 => {
            "check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN (or TWILIO_API_KEY and \
             TWILIO_API_SECRET), and that the account is active"
        }
        20_404 => "this account has no such call or message: check its SID, and TWILIO_ACCOUNT_SID",
        20_429 => "too many requests at once, so wait a few seconds and try again",
        21_210 | 21_212 => {
            "TWILIO_FROM_NUMBER cannot place calls: it must be a voice number of this account, or \
             a verified caller ID, in E.164 form"
        }
        21_211 | 21_217 => {
            "the number to reach is not valid: check it, in E.164 form with its country code"
        }
        21_214 => "the number cannot be reached from Twilio: check it, or use another",
        21_215 => {
            "calls to this country or range are not enabled: allow them in the Twilio Console under \
             Voice, Geographic Permissions"
        }
        21_216 => "Twilio blocks calls to this number, so do not try it again",
        21_219 => {
            "a trial account may call verified numbers only: verify it in the Twilio Console, or \
             upgrade the account"
        }
        21_220 => "the call is over already, so there is nothing left to do",
        21_408 => {
            "messages to this country are not enabled: allow it in the Twilio Console under \
             Messaging, Geo Permissions"
        }
        21_606 => {
            "TWILIO_FROM_NUMBER cannot send messages to this number: it must be a number of this \
             account that can send SMS"
        }
        21_608 => {
            "a trial account may write to verified numbers only: verify it in the Twilio Console, \
             or upgrade the account"
        }
        21_610 => {
            "the recipient has opted out with STOP, so do not write again until they send START"
        }
        21_611 => "too many messages of this sender are waiting, so try again in some minutes",
        21_612 => {
            "no route from this sender to this number: use a sender of another kind or country"
        }
        21_614 => "this is not a mobile number, so call it instead",
        21_617 => "the text is longer than 1600 characters: shorten it, or send it in parts",
        30_003 => "the phone is off or out of reach, so try again later",
        30_005 => "the number is unknown or no longer in use, so check it",
        30_006 => "this is a landline or cannot get SMS, so call it instead",
        30_007 => {
            "the message was filtered as unwanted: write it more plainly, without shortened links, \
             and do not just send it again"
        }
        30_034 => {
            "the sender is not registered for messages to the US (A2P 10DLC): register it in the \
             Twilio Console"
        }
        31_931 => "more than ten minutes of audio were waiting on the stream and were dropped",
        572_006 => {
            "a trial account may send Twilio's own templates only: upgrade the account to send \
             text and to hold calls"
        }
        _ => return None,
    })
}

/// Whether this HTTP status means that the request was understood and not acted upon. A redirect
/// or a time-out (408) does not say, and a failure (5xx) may come after the deed.
fn is_refusal(http_status: u16) -> bool {
    (400..500).contains(&http_status) && http_status != 408
}

/// The sentence of [`TwilioError::Api`].
struct ApiSentence<'a> {
    http_status: u16,
    code: Option<u32>,
    message: &'a str,
}

impl fmt::Display for ApiSentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = is_refusal(self.http_status);
        f.write_str(if refused {
            "Twilio refused this ("
        } else {
            "Twilio failed ("
        })?;
        if let Some(code) = self.code {
            write!(f, "error {code}, ")?;
        }
        write!(f, "HTTP {})", self.http_status)?;
        let message = self.message.trim_end_matches('.');
        if !message.is_empty() {
            write!(f, ": {message}")?;
        }
        let hint = self.code.and_then(hint).or(match self.http_status {
            401 | 403 => hint(20_003),
            404 => hint(20_404),
            429 => hint(20_429),
            300..=399 => Some("TWILIO_API_BASE_URL must be the address that answers, so check it"),
            _ => None,
        });
        if let Some(hint) = hint {
            write!(f, "; {hint}")?;
        }
        if !refused {
            f.write_str("; it may have taken effect, so find that out before you repeat it")?;
        }
        f.write_str(".")
    }
}

/// One line of bounded length, whatever the other side sent.
fn tidy(message: &str) -> String {
    message
        .trim()
        .chars()
        .take(LONGEST_MESSAGE)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    #[serde(deserialize_with = "number")]
    code: Option<u32>,
    #[serde(deserialize_with = "text")]
    message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;

    fn api(status: u16, body: &str) -> TwilioError {
        TwilioError::from_answer(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn a_refusal_says_what_was_wrong_and_what_to_do() {
        let body = r#"{"code":21211,"message":"Invalid 'To' Phone Number: +1555.",
            "more_info":"https://www.twilio.com/docs/errors/21211","status":400}"#;
        let error = api(400, body);
        assert_eq!(
            error.to_string(),
            "Twilio refused this (error 21211, HTTP 400): Invalid 'To' Phone Number: +1555; the \
             number to reach is not valid: check it, in E.164 form with its country code."
        );
        assert_eq!(error.code(), Some(21_211));
        assert!(!error.may_have_reached());
        assert_eq!(
            api(400, r#"{"code":12345,"message":"Something new"}"#).to_string(),
            "Twilio refused this (error 12345, HTTP 400): Something new."
        );
    }

    #[test]
    fn an_answer_of_any_kind_makes_an_error() {
        let number = api(429, r#"{"code":"20429","message":7}"#);
        assert_eq!(number.code(), Some(20_429));
        assert!(number.is_throttled() && !number.may_have_reached());
        for body in [
            "",
            "<html>",
            "null",
            "[]",
            "{}",
            r#"{"code":{},"message":[]}"#,
        ] {
            assert_eq!(
                api(400, body).to_string(),
                "Twilio refused this (HTTP 400): Bad Request."
            );
        }
        let long = format!(r#"{{"message":"{}\u0000\n"}}"#, "é".repeat(10_000));
        assert!(api(400, &long).to_string().chars().count() < 400);
    }

    #[test]
    fn only_a_refusal_is_certain() {
        for (status, certain) in [
            (400, true),
            (401, true),
            (404, true),
            (429, true),
            (408, false),
            (302, false),
            (500, false),
            (503, false),
        ] {
            let error = api(status, "");
            assert_eq!(!error.may_have_reached(), certain, "{status}");
            let warned = error.to_string().contains("may have taken effect");
            assert_eq!(!warned, certain, "{status}");
        }
        // Throttled by its code, yet with a status that says nothing: not to be repeated.
        assert!(!api(503, r#"{"code":20429}"#).is_throttled());
    }

    #[test]
    fn every_code_that_users_meet_has_a_hint() {
        for code in [
            20_003, 20_404, 20_429, 21_210, 21_211, 21_212, 21_214, 21_215, 21_216, 21_217, 21_219,
            21_220, 21_408, 21_606, 21_608, 21_610, 21_611, 21_612, 21_614, 21_617, 30_003, 30_005,
            30_006, 30_007, 30_034, 31_931, 572_006,
        ] {
            let hint = hint(code).unwrap_or_default();
            assert!(!hint.is_empty() && !hint.ends_with('.'), "{code}");
        }
        assert_eq!(hint(1), None);
    }
}
