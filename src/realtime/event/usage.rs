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
