//! What a response used, for the cost of a call.

use std::ops::AddAssign;

use serde::Deserialize;

/// Tokens, by price. No token is in two fields, so a cost is a plain sum of products.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Text read, not from the cache.
    pub text_in: u64,
    /// Text read from the cache.
    pub cached_text_in: u64,
    /// Audio heard, not from the cache; a token is 100 ms.
    pub audio_in: u64,
    /// Audio heard, from the cache.
    pub cached_audio_in: u64,
    /// Text written: thoughts, transcript, function calls.
    pub text_out: u64,
    /// Audio spoken; a token is 50 ms.
    pub audio_out: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        self.text_in = self.text_in.saturating_add(more.text_in);
        self.cached_text_in = self.cached_text_in.saturating_add(more.cached_text_in);
        self.audio_in = self.audio_in.saturating_add(more.audio_in);
        self.cached_audio_in = self.cached_audio_in.saturating_add(more.cached_audio_in);
        self.text_out = self.text_out.saturating_add(more.text_out);
        self.audio_out = self.audio_out.saturating_add(more.audio_out);
    }
}

/// The usage in a `response.done`, cancelled responses included; `None` in every other event and
/// where it cannot be read. Apart from [`parse`](super::parse), because an odd bill must not hide
/// that a response has ended.
pub fn usage(message: &[u8]) -> Option<Usage> {
    let done: Done = serde_json::from_slice(message).ok()?;
    let usage = done.response.usage?;

    // Where the breakdown is missing, the dearer reading is taken: an estimate that a spending
    // cap hangs on must err upwards.
    let heard = usage.input_token_details.unwrap_or(Details {
        audio_tokens: usage.input_tokens,
        ..Details::default()
    });
    let said = usage.output_token_details.unwrap_or(Details {
        audio_tokens: usage.output_tokens,
        ..Details::default()
    });
    let cached = heard.cached_tokens_details.unwrap_or(Cached {
        text_tokens: heard.cached_tokens,
        audio_tokens: heard.cached_tokens.saturating_sub(heard.text_tokens),
    });
    // A subset, says the reference; a subtraction should not depend on it.
    let cached_text = cached.text_tokens.min(heard.text_tokens);
    let cached_audio = cached.audio_tokens.min(heard.audio_tokens);
    Some(Usage {
        text_in: heard.text_tokens - cached_text,
        cached_text_in: cached_text,
        audio_in: heard.audio_tokens - cached_audio,
        cached_audio_in: cached_audio,
        text_out: said.text_tokens,
        audio_out: said.audio_tokens,
    })
}

/// What a transcription of the callee used. Services count it in either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transcribed {
    /// Time, where that is what was counted, milliseconds.
    pub millis: u64,
    /// Text read.
    pub text_in: u64,
    /// Audio heard; a token is 100 ms.
    pub audio_in: u64,
    /// Text written.
    pub text_out: u64,
}

impl AddAssign for Transcribed {
    fn add_assign(&mut self, more: Self) {
        self.millis = self.millis.saturating_add(more.millis);
        self.text_in = self.text_in.saturating_add(more.text_in);
        self.audio_in = self.audio_in.saturating_add(more.audio_in);
        self.text_out = self.text_out.saturating_add(more.text_out);
    }
}

/// The usage in a `conversation.item.input_audio_transcription.completed`; `None` in every other
/// event and where it cannot be read.
pub fn transcribed(message: &[u8]) -> Option<Transcribed> {
    let heard: Heard = serde_json::from_slice(message).ok()?;
    Some(match heard.usage? {
        HeardUsage::Duration { seconds } => {
            let millis = (seconds * 1_000.0).ceil();
            if !(0.0..=86_400_000.0).contains(&millis) {
                return None;
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked above"
            )]
            let millis = millis as u64;
            Transcribed {
                millis,
                ..Transcribed::default()
            }
        }
        HeardUsage::Tokens {
            input_tokens,
            input_token_details,
            output_tokens,
        } => {
            let heard = input_token_details.unwrap_or(Details {
                audio_tokens: input_tokens,
                ..Details::default()
            });
            Transcribed {
                millis: 0,
                text_in: heard.text_tokens,
                audio_in: heard.audio_tokens,
                text_out: output_tokens,
            }
        }
    })
}

/// Whether a response that is over must have cost something: one that failed need not have.
pub fn is_billed(message: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Ended {
        response: Status,
    }
    #[derive(Deserialize)]
    struct Status {
        status: String,
    }
    let ended: Option<Ended> = serde_json::from_slice(message).ok();
    ended.is_none_or(|ended| ended.response.status != "failed")
}

#[derive(Deserialize)]
struct Heard {
    usage: Option<HeardUsage>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum HeardUsage {
    Duration {
        seconds: f64,
    },
    Tokens {
        #[serde(default)]
        input_tokens: u64,
        input_token_details: Option<Details>,
        #[serde(default)]
        output_tokens: u64,
    },
}

#[derive(Deserialize)]
struct Done {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    usage: Option<Totals>,
}

#[derive(Deserialize)]
struct Totals {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    input_token_details: Option<Details>,
    output_token_details: Option<Details>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "the names are the service's")]
struct Details {
    text_tokens: u64,
    audio_tokens: u64,
    cached_tokens: u64,
    cached_tokens_details: Option<Cached>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Cached {
    text_tokens: u64,
    audio_tokens: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(usage_json: &str) -> Option<Usage> {
        let message = format!(
            r#"{{"type":"response.done","response":{{"id":"resp_1","usage":{usage_json}}}}}"#
        );
        usage(message.as_bytes())
    }

    #[test]
    fn cached_tokens_are_counted_once() {
        let used = of(
            r#"{"total_tokens":253,"input_tokens":132,"output_tokens":121,"input_token_details":{"text_tokens":119,"audio_tokens":13,"cached_tokens":64,"cached_tokens_details":{"text_tokens":64,"audio_tokens":0}},"output_token_details":{"text_tokens":30,"audio_tokens":91}}"#,
        );
        assert_eq!(
            used,
            Some(Usage {
                text_in: 55,
                cached_text_in: 64,
                audio_in: 13,
                cached_audio_in: 0,
                text_out: 30,
                audio_out: 91,
            })
        );
    }

    #[test]
    fn what_is_not_broken_down_is_taken_for_the_dearer_kind() {
        let used = of(r#"{"input_tokens":10,"output_tokens":20}"#).unwrap();
        assert_eq!((used.audio_in, used.audio_out), (10, 20));

        let used = of(
            r#"{"input_token_details":{"text_tokens":10,"audio_tokens":10,"cached_tokens":15}}"#,
        )
        .unwrap();
        assert_eq!((used.cached_text_in, used.cached_audio_in), (10, 5));
        assert_eq!((used.text_in, used.audio_in), (0, 5));
    }

    #[test]
    fn nonsense_is_no_usage() {
        for odd in ["null", "7", "\"much\"", r#"{"input_tokens":-1}"#, "{"] {
            assert_eq!(of(odd), None, "{odd}");
        }
        assert_eq!(usage(br#"{"type":"error","error":{}}"#), None);
        let too_much_cached = of(
            r#"{"input_token_details":{"text_tokens":1,"audio_tokens":1,"cached_tokens":9,"cached_tokens_details":{"text_tokens":5,"audio_tokens":5}}}"#,
        )
        .unwrap();
        assert_eq!((too_much_cached.text_in, too_much_cached.audio_in), (0, 0));
    }

    #[test]
    fn transcriptions_are_counted_by_time_or_by_tokens() {
        let of = |usage: &str| {
            transcribed(format!(r#"{{"type":"…","transcript":"Hey","usage":{usage}}}"#).as_bytes())
        };
        let by_time = of(r#"{"type":"duration","seconds":1.6}"#).unwrap();
        assert_eq!((by_time.millis, by_time.audio_in), (1_600, 0));
        let whole = of(r#"{"type":"tokens","input_tokens":13,"output_tokens":9}"#).unwrap();
        assert_eq!((whole.audio_in, whole.text_in, whole.text_out), (13, 0, 9));
        let split = of(
            r#"{"type":"tokens","input_tokens":13,"input_token_details":{"text_tokens":3,"audio_tokens":10},"output_tokens":9}"#,
        )
        .unwrap();
        assert_eq!((split.audio_in, split.text_in, split.millis), (10, 3, 0));
        for odd in [
            "null",
            "7",
            r#"{"type":"duration","seconds":-1}"#,
            r#"{"type":"duration"}"#,
            r#"{"type":"letters","letters":1}"#,
            r#"{"seconds":1}"#,
        ] {
            assert_eq!(of(odd), None, "{odd}");
        }
    }

    #[test]
    fn only_a_response_that_failed_may_cost_nothing() {
        let ended = |status: &str| {
            is_billed(format!(r#"{{"response":{{"status":"{status}","usage":null}}}}"#).as_bytes())
        };
        assert!(ended("completed") && ended("cancelled") && ended("incomplete"));
        assert!(!ended("failed"));
        assert!(is_billed(b"{"));
    }

    #[test]
    fn usages_add_up() {
        let one = Usage {
            text_in: 1,
            cached_text_in: 2,
            audio_in: 3,
            cached_audio_in: 4,
            text_out: 5,
            audio_out: 6,
        };
        let mut sum = one;
        sum += one;
        assert_eq!((sum.text_in, sum.audio_out), (2, 12));
    }
}
