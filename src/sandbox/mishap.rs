//! What goes wrong now and then, by chance: for soaks, in which every kind of trouble meets every
//! stage of a call. A fault that a test wants at one place stands in [`super::CarrierFault`] and
//! [`super::ModelFault`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How likely each thing is to go wrong, from 0 (never, as by default) to 1 (always).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Odds {
    /// A REST request that neither calls nor writes anybody is answered with 503, and nothing
    /// happens.
    pub rest_error: f64,
    /// One that does is answered with 503, and nothing happens. Whoever asked cannot know that.
    pub create_error: f64,
    /// A REST request is answered with 429, code 20429, and nothing happens.
    pub rest_throttled: f64,
    /// A REST request is answered late, after 0.5 to 4 s.
    pub rest_slow: f64,
    /// A REST request takes effect, and is answered with 500.
    pub rest_error_after: f64,
    /// A REST request takes effect, and the connection is closed without an answer.
    pub rest_answer_lost: f64,
    /// A media stream breaks off without a `stop`, after 0.5 to 10 s; the call goes on with the
    /// next TwiML verb.
    pub stream_lost: f64,
    /// A model session is lost after 0.5 to 15 s: half of them by a close frame with 1011, half of
    /// them without a word.
    pub model_lost: f64,
    /// A webhook is sent 0.5 to 3 s late, and what follows it in the same call with it.
    pub webhook_slow: f64,
    /// A status callback is delivered twice.
    pub callback_twice: f64,
    /// A status callback is overtaken by those behind it, by 0.5 to 3 s.
    pub callback_overtaken: f64,
}

/// One kind of mishap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    RestError,
    CreateError,
    RestThrottled,
    RestSlow,
    RestErrorAfter,
    RestAnswerLost,
    StreamLost,
    ModelLost,
    WebhookSlow,
    CallbackTwice,
    CallbackOvertaken,
}

/// All kinds, with the names under which they are counted.
const KINDS: [(Mishap, &str); 11] = [
    (Mishap::RestError, "rest_error"),
    (Mishap::CreateError, "create_error"),
    (Mishap::RestThrottled, "rest_throttled"),
    (Mishap::RestSlow, "rest_slow"),
    (Mishap::RestErrorAfter, "rest_error_after"),
    (Mishap::RestAnswerLost, "rest_answer_lost"),
    (Mishap::StreamLost, "stream_lost"),
    (Mishap::ModelLost, "model_lost"),
    (Mishap::WebhookSlow, "webhook_slow"),
    (Mishap::CallbackTwice, "callback_twice"),
    (Mishap::CallbackOvertaken, "callback_overtaken"),
];

impl Odds {
    fn of(&self, mishap: Mishap) -> f64 {
        match mishap {
            Mishap::RestError => self.rest_error,
            Mishap::CreateError => self.create_error,
            Mishap::RestThrottled => self.rest_throttled,
            Mishap::RestSlow => self.rest_slow,
            Mishap::RestErrorAfter => self.rest_error_after,
            Mishap::RestAnswerLost => self.rest_answer_lost,
            Mishap::StreamLost => self.stream_lost,
            Mishap::ModelLost => self.model_lost,
            Mishap::WebhookSlow => self.webhook_slow,
            Mishap::CallbackTwice => self.callback_twice,
            Mishap::CallbackOvertaken => self.callback_overtaken,
        }
    }
}

/// Decides what goes wrong, and counts it.
#[derive(Clone)]
pub(crate) struct Mishaps {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    happened: [AtomicU64; KINDS.len()],
}

struct State {
    odds: Odds,
    chance: Chance,
}

/// A source of chance (splitmix64): the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Another seed, other numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// At least 0 and less than 1.
    pub fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let high = u32::try_from(mixed >> 32).unwrap_or_default();
        f64::from(high) / 4_294_967_296.0
    }

    /// Whether something happens that does so with these odds, from 0 to 1.
    pub fn strikes(&mut self, odds: f64) -> bool {
        self.draw() < odds
    }

    /// A time between these two, in milliseconds.
    pub fn between(&mut self, least: u32, most: u32) -> Duration {
        let span = f64::from(most.saturating_sub(least));
        Duration::from_millis(least.into()) + Duration::from_secs_f64(self.draw() * span / 1_000.0)
    }
}

impl Mishaps {
    pub(crate) fn new(odds: Odds, seed: u64) -> Self {
        let chance = Chance::new(seed);
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(State { odds, chance }),
                happened: Default::default(),
            }),
        }
    }

    /// From now on these odds hold.
    pub(crate) fn set(&self, odds: Odds) {
        self.state(|state| state.odds = odds);
    }

    /// Whether this goes wrong now. If so, it is counted.
    pub(crate) fn strikes(&self, mishap: Mishap) -> bool {
        let strikes = self.state(|state| {
            let odds = state.odds.of(mishap);
            odds > 0.0 && state.chance.strikes(odds)
        });
        if strikes && let Some(at) = KINDS.iter().position(|(kind, _)| *kind == mishap) {
            self.inner.happened[at].fetch_add(1, Ordering::Relaxed);
        }
        strikes
    }

    /// A time between these two, in milliseconds.
    pub(crate) fn between(&self, least: u32, most: u32) -> Duration {
        self.state(|state| state.chance.between(least, most))
    }

    /// How often each kind has happened.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = self.inner.happened.iter();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        KINDS.iter().map(|(_, name)| *name).zip(counts).collect()
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let state = self.inner.state.lock();
        act(&mut state.unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_are_kept_and_counted() {
        let odds = Odds {
            stream_lost: 0.25,
            rest_error: 1.0,
            ..Odds::default()
        };
        let mishaps = Mishaps::new(odds, 7);
        let often = |mishap| (0..4_000).filter(|_| mishaps.strikes(mishap)).count();
        assert!((800..1_200).contains(&often(Mishap::StreamLost)));
        assert_eq!(often(Mishap::RestError), 4_000);
        assert_eq!(often(Mishap::ModelLost), 0);
        let counts = mishaps.counts();
        assert!(counts.contains(&("rest_error", 4_000)) && counts.contains(&("model_lost", 0)));
        mishaps.set(Odds::default());
        assert!(!mishaps.strikes(Mishap::RestError));
    }

    #[test]
    fn the_same_seed_is_the_same_story() {
        let story = |seed| {
            let mishaps = Mishaps::new(Odds::default(), seed);
            let times = (0..9).map(|_| mishaps.between(500, 4_000));
            times.collect::<Vec<_>>()
        };
        assert_eq!(story(1), story(1));
        assert_ne!(story(1), story(2));
        assert!(
            story(3)
                .iter()
                .all(|time| (500..4_000).contains(&time.as_millis()))
        );
    }
}
