//! What can go wrong with a message, told so that an AI agent knows what to do next, and above all
//! whether the message may have been delivered.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::fetch::FetchError;
use super::file::FileError;

/// Descriptions are the provider's; this many characters of one are enough to understand it.
const LONGEST_DESCRIPTION: usize = 400;

/// Of a part that was not sent, shown so that the agent finds it again, in characters.
const SHOWN_OF_REST: usize = 40;

/// A provider of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Telegram's Bot API.
    Telegram,
    /// Discord's API.
    Discord,
    /// Green API, which carries WhatsApp messages.
    GreenApi,
}

impl Provider {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Telegram => "Telegram",
            Self::Discord => "Discord",
            Self::GreenApi => "Green API",
        }
    }

    /// The setting that says where it is.
    pub fn base_url_setting(self) -> &'static str {
        match self {
            Self::Telegram => "TELEGRAM_API_BASE_URL",
            Self::Discord => "DISCORD_API_BASE_URL",
            Self::GreenApi => "GREEN_API_BASE_URL",
        }
    }
}

/// Why a message was not sent, or not certainly. Its text is for the agent and never shows a
/// credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// An argument that cannot be used; nothing was sent.
    #[error("{0}")]
    Argument(String),
    /// A local file that cannot be sent; nothing was sent.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that could not be fetched in order to be sent on; nothing was sent.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// There was no connection: nothing left this machine.
    #[error(
        "{} could not be reached ({why}) and nothing was sent: check the network (and {}, if it is \
         set), then try again.", provider.name(), provider.base_url_setting()
    )]
    Unreachable {
        /// Who.
        provider: Provider,
        /// What failed, in the words of the network.
        why: String,
    },
    /// The connection broke before the whole file was out: the provider cannot have delivered it.
    #[error("The upload to {} broke off ({why}) and nothing was delivered: try again.", provider.name())]
    Interrupted {
        /// To whom.
        provider: Provider,
        /// What failed, in the words of the network.
        why: String,
    },
    /// The request went out and no answer came back: the result is unknown.
    #[error(
        "{} did not answer ({why}), so the message may have been delivered: do not send it again \
         before the user has looked.", provider.name()
    )]
    NoAnswer {
        /// Who.
        provider: Provider,
        /// What failed, in the words of the network.
        why: String,
    },
    /// The provider accepted the message, and what it answered makes no sense.
    #[error(
        "{} accepted the message (HTTP {http_status}), but its answer cannot be read: it was \
         probably delivered, so do not send it again; check {} if it is set.",
        provider.name(), provider.base_url_setting()
    )]
    Unreadable {
        /// Who.
        provider: Provider,
        /// The HTTP status.
        http_status: u16,
    },
    /// The provider answered with an error.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    /// A long text went out in part.
    #[error("{}", PartlySentence { sent, total: *total, rest, why })]
    Partly {
        /// The ids of the messages that were sent, in order.
        sent: Vec<Value>,
        /// How many messages the text makes.
        total: usize,
        /// The first part that was not sent.
        rest: String,
        /// What went wrong with it.
        why: Box<ChannelError>,
    },
    /// A bug.
    #[error(
        "An internal error interrupted the sending, so the message may have been delivered: do not \
         send it again before the user has looked. The server's log has the details."
    )]
    Internal,
}

impl ChannelError {
    /// Whether the message (or the first part that is missing) may have been delivered all the same.
    pub fn may_have_been_delivered(&self) -> bool {
        match self {
            Self::Argument(_)
            | Self::File(_)
            | Self::Fetch(_)
            | Self::Unreachable { .. }
            | Self::Interrupted { .. } => false,
            Self::NoAnswer { .. } | Self::Unreadable { .. } | Self::Internal => true,
            Self::Refused(refusal) => !refusal.is_certain(),
            Self::Partly { why, .. } => why.may_have_been_delivered(),
        }
    }

    /// The same for programs: `error`, the text; `may_have_been_delivered`; and what applies of
    /// `code`, `http_status`, `retry_after_seconds`, `parts`, `message_ids`.
    pub fn details(&self) -> Map<String, Value> {
        let mut details = Map::new();
        let mut set = |name: &str, value: Value| details.insert(name.to_owned(), value);
        let mut cause = self;
        if let Self::Partly {
            sent, total, why, ..
        } = self
        {
            set("parts", json!(total));
            set("message_ids", json!(sent));
            cause = why;
        }
        if let Self::Refused(refusal) = cause {
            set("http_status", json!(refusal.http_status));
            if let Some(code) = refusal.code {
                set("code", json!(code));
            }
            if let Some(pause) = refusal.retry_after {
                set("retry_after_seconds", json!(pause.as_secs_f64()));
            }
        }
        set("error", json!(self.to_string()));
        set(
            "may_have_been_delivered",
            json!(self.may_have_been_delivered()),
        );
        details
    }
}

/// A provider's "no", or its failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whose.
    pub provider: Provider,
    /// The HTTP status.
    pub http_status: u16,
    /// The provider's own code, if it has one beside the status.
    pub code: Option<i64>,
    /// The provider's words; without any, the name of the HTTP status.
    pub description: String,
    /// What to do about it: the end of a sentence.
    pub hint: Option<Cow<'static, str>>,
    /// How long the provider wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Whether the request was understood and not acted upon. A redirect or a time-out (408) does
    /// not say, and a failure (5xx, 499) may come after the deed.
    pub fn is_certain(&self) -> bool {
        (400..499).contains(&self.http_status) && self.http_status != 408
    }

    /// Too many requests: nothing was done, and would be later.
    pub fn is_throttling(&self) -> bool {
        self.http_status == 429
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.is_certain() {
            "refused this"
        } else {
            "failed"
        };
        write!(f, "{} {verb} (", self.provider.name())?;
        if let Some(code) = self.code {
            write!(f, "error {code}, ")?;
        }
        write!(f, "HTTP {})", self.http_status)?;
        let description = tidy(&self.description);
        let description = description.trim_end_matches('.');
        if !description.is_empty() {
            write!(f, ": {description}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        match (&self.hint, self.retry_after) {
            (_, Some(pause)) if self.is_throttling() => {
                let seconds = pause.as_secs_f64().ceil();
                write!(
                    f,
                    "; too many messages, so wait {seconds} s before you send this again"
                )?;
            }
            (None, _) if self.is_throttling() => {
                f.write_str("; too many messages, so wait a minute before you send this again")?;
            }
            (None, _) if (300..400).contains(&self.http_status) => write!(
                f,
                "; {} must be the address that answers, so check it",
                self.provider.base_url_setting()
            )?,
            _ => {}
        }
        if !self.is_certain() {
            f.write_str(
                "; the message may have been delivered, so do not send it again before the user has looked",
            )?;
        }
        f.write_str(".")
    }
}

/// The sentences of [`ChannelError::Partly`].
struct PartlySentence<'a> {
    sent: &'a [Value],
    total: usize,
    rest: &'a str,
    why: &'a ChannelError,
}

impl fmt::Display for PartlySentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            total,
            rest,
            why,
        } = self;
        let ids: Vec<String> = sent.iter().map(id_text).collect();
        let shown: String = rest.chars().take(SHOWN_OF_REST).collect();
        let done = match sent.len() {
            1 => "Part 1 was sent".to_owned(),
            count => format!("Parts 1 to {count} were sent"),
        };
        write!(
            f,
            "{done} (of {total}; message ids: {}): do not send that again. Part {} failed: {why} {} {:?}.",
            ids.join(", "),
            sent.len() + 1,
            if why.may_have_been_delivered() {
                "Have the user look whether it arrived, and send only what is missing; that part begins with"
            } else {
                "Send the rest only; it begins with"
            },
            tidy(&shown)
        )
    }
}

/// An id as people write it.
fn id_text(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

/// One line of bounded length, whatever the other side sent.
fn tidy(text: &str) -> String {
    text.trim()
        .chars()
        .take(LONGEST_DESCRIPTION)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(http_status: u16) -> Refusal {
        Refusal {
            provider: Provider::Telegram,
            http_status,
            code: None,
            description: "Bad Request: chat not found.\n".into(),
            hint: None,
            retry_after: None,
        }
    }

    #[test]
    fn only_a_refusal_is_certain() {
        for (status, certain) in [
            (400, true),
            (403, true),
            (429, true),
            (466, true),
            (408, false),
            (499, false),
            (302, false),
            (500, false),
            (502, false),
        ] {
            let error = ChannelError::Refused(Box::new(refusal(status)));
            assert_eq!(!error.may_have_been_delivered(), certain, "{status}");
            let warned = error.to_string().contains("may have been delivered");
            assert_eq!(!warned, certain, "{status}");
        }
    }

    #[test]
    fn a_refusal_is_one_sentence_with_a_way_out() {
        let mut refusal = refusal(400);
        refusal.hint = Some("check chat_id".into());
        assert_eq!(
            refusal.to_string(),
            "Telegram refused this (HTTP 400): Bad Request: chat not found; check chat_id."
        );
        refusal.description = "é\u{0}\n".repeat(10_000);
        assert!(refusal.to_string().chars().count() < 500);
    }

    #[test]
    fn what_went_out_before_a_failure_is_told() {
        let mut why = refusal(429);
        why.retry_after = Some(Duration::from_millis(34_200));
        let error = ChannelError::Partly {
            sent: vec![json!(17), json!("18")],
            total: 4,
            rest: "Third part".into(),
            why: Box::new(ChannelError::Refused(Box::new(why))),
        };
        assert_eq!(
            error.to_string(),
            "Parts 1 to 2 were sent (of 4; message ids: 17, 18): do not send that again. Part 3 \
             failed: Telegram refused this (HTTP 429): Bad Request: chat not found; too many \
             messages, so wait 35 s before you send this again. Send the rest only; it begins with \
             \"Third part\"."
        );
        let details = Value::Object(error.details());
        assert_eq!(details["message_ids"], json!([17, "18"]));
        assert_eq!(details["retry_after_seconds"], json!(34.2));
        assert_eq!(details["may_have_been_delivered"], json!(false));
    }

    #[test]
    fn a_part_that_may_have_arrived_is_not_to_be_sent_again() {
        let error = ChannelError::Partly {
            sent: vec![json!(17)],
            total: 3,
            rest: "Second part".into(),
            why: Box::new(ChannelError::NoAnswer {
                provider: Provider::Telegram,
                why: "no answer in time".into(),
            }),
        };
        let text = error.to_string();
        assert!(text.contains("send only what is missing"), "{text}");
        assert!(!text.contains("Send the rest"), "{text}");
    }
}
