//! Stream tokens: each `/twiml` answer carries one, and one media stream may show it. What the stream
//! is for goes with the token: what a stream says about itself counts for nothing.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::bridge::event::Stream;

/// The token of a `/twiml` answer is good for this long.
pub const LIFETIME: Duration = Duration::from_secs(30);

/// Tokens of one call that may be outstanding; more are asked for only if something loops.
const OUTSTANDING: usize = 4;

/// Why a media stream is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream token is unknown, used, too old, or belongs to another call")]
pub struct BadToken;

/// The tokens of one call.
#[derive(Debug, Default)]
pub struct StreamTokens {
    minted: Mutex<Vec<Minted>>,
}

struct Minted {
    token: String,
    call_sid: String,
    stream: Stream,
    until: Instant,
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Minted(…)")
    }
}

impl StreamTokens {
    /// A new token for this `stream` of the Twilio call `call_sid`, good for `lifetime`; 256 random bits,
    /// hexadecimal.
    ///
    /// # Errors
    ///
    /// The system has no randomness to give.
    pub fn mint(
        &self,
        call_sid: &str,
        stream: Stream,
        lifetime: Duration,
        now: Instant,
    ) -> Result<String, getrandom::Error> {
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random)?;
        let token = random
            .iter()
            .fold(String::with_capacity(64), |mut hex, byte| {
                // Writing to a string does not fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        minted.retain(|known| now < known.until);
        if minted.len() == OUTSTANDING {
            minted.remove(0);
        }
        minted.push(Minted {
            token: token.clone(),
            call_sid: call_sid.to_owned(),
            stream,
            until: now + lifetime,
        });
        Ok(token)
    }

    /// Uses a token up. Returns what its stream is for.
    ///
    /// # Errors
    ///
    /// [`BadToken`] for any reason; which one is nobody's business.
    pub fn spend(&self, token: &str, call_sid: &str, now: Instant) -> Result<Stream, BadToken> {
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &Minted| bool::from(known.token.as_bytes().ct_eq(token.as_bytes()));
        let at = minted.iter().position(same).ok_or(BadToken)?;
        // Whoever shows it for the wrong call has it from somewhere it should not be: it is burnt.
        let known = minted.remove(at);
        if now < known.until && known.call_sid == call_sid {
            Ok(known.stream)
        } else {
            Err(BadToken)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::bridge::keys_take;
    use crate::call::tool::MAX_KEYS;

    const USUAL: Stream = Stream::Usual;

    fn mint(tokens: &StreamTokens, now: Instant) -> String {
        tokens.mint("CA1", USUAL, LIFETIME, now).unwrap()
    }

    #[test]
    fn a_token_is_good_once_for_its_call_and_for_a_while() {
        let (tokens, now) = (StreamTokens::default(), Instant::now());
        let token = mint(&tokens, now);
        assert_eq!(token.len(), 64);
        assert_eq!(tokens.spend("", "CA1", now), Err(BadToken));
        assert_eq!(tokens.spend(&token, "CA1", now), Ok(USUAL));
        assert_eq!(tokens.spend(&token, "CA1", now), Err(BadToken), "replayed");

        let token = mint(&tokens, now);
        assert_eq!(
            tokens.spend(&token, "CA2", now),
            Err(BadToken),
            "another call"
        );
        assert_eq!(tokens.spend(&token, "CA1", now), Err(BadToken), "burnt");

        let token = mint(&tokens, now);
        assert_eq!(
            tokens.spend(&token, "CA1", now + LIFETIME),
            Err(BadToken),
            "too old"
        );
    }

    #[test]
    fn a_stream_after_keys_is_admitted_for_as_long_as_it_is_waited_for() {
        for keys in 0..=MAX_KEYS {
            let (tokens, now) = (StreamTokens::default(), Instant::now());
            let (stream, lifetime) = (Stream::AfterKeys(7), keys_take(keys));
            let token = tokens.mint("CA1", stream, lifetime, now).unwrap();
            // The request, the keys, and the new stream, each as slow as it may be.
            let keys = u32::try_from(keys).unwrap();
            let request = crate::twilio::rest::longest_request();
            let pressed = request + Duration::from_millis(500) * (keys + 2);
            let connected = now + pressed + Duration::from_secs(5);
            assert_eq!(tokens.spend(&token, "CA1", connected), Ok(stream));
        }
    }

    #[test]
    fn tokens_do_not_pile_up() {
        let (tokens, now) = (StreamTokens::default(), Instant::now());
        let first = mint(&tokens, now);
        for _ in 0..OUTSTANDING {
            mint(&tokens, now);
        }
        assert_eq!(tokens.spend(&first, "CA1", now), Err(BadToken));
        assert_eq!(tokens.minted.lock().unwrap().len(), OUTSTANDING);
    }

    #[test]
    fn tokens_are_not_shown() {
        let tokens = StreamTokens::default();
        let token = mint(&tokens, Instant::now());
        assert!(!format!("{tokens:?}").contains(&token));
    }
}
