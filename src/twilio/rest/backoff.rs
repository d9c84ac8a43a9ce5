//! When a request may be repeated, this says how often and how soon.

use std::time::Duration;

/// How often and how soon a request is repeated.
#[derive(Clone, Copy)]
pub(super) struct Backoff {
    /// With the first.
    pub(super) attempts: u32,
    /// Before the second attempt, on average; doubled each time.
    pub(super) first: Duration,
    /// After this, no further attempt is begun: somebody waits for the answer.
    pub(super) patience: Duration,
}

impl Backoff {
    pub(super) const USUAL: Self = Self {
        attempts: 4,
        first: Duration::from_millis(500),
        patience: Duration::from_secs(6),
    };

    /// How long to wait after so many `attempts`, the first of which began `elapsed` ago; `None`
    /// to give up. `at_least` is what the other side asked for.
    pub(super) fn delay(
        &self,
        attempts: u32,
        elapsed: Duration,
        at_least: Option<Duration>,
    ) -> Option<Duration> {
        if attempts >= self.attempts {
            return None;
        }
        let step = self.first * 2_u32.pow(attempts.saturating_sub(1));
        // Between half and one and a half of the step, so that those who were refused together do
        // not come back together.
        let chance = getrandom::u32().map_or(0.5, |n| f64::from(n) / f64::from(u32::MAX));
        let delay = step.mul_f64(0.5 + chance).max(at_least.unwrap_or_default());
        (elapsed.saturating_add(delay) <= self.patience).then_some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends() {
        let usual = Backoff::USUAL;
        for _ in 0..100 {
            let delays = [1, 2, 3].map(|n| usual.delay(n, Duration::ZERO, None).unwrap());
            for (delay, step) in delays.into_iter().zip([500, 1_000, 2_000]) {
                let step = Duration::from_millis(step);
                assert!(delay >= step / 2 && delay <= step * 3 / 2, "{delay:?}");
            }
            assert!(delays.iter().sum::<Duration>() < usual.patience);
        }
        assert_eq!(usual.delay(4, Duration::ZERO, None), None);
        assert_eq!(usual.delay(1, Duration::from_secs(6), None), None);
        let asked = |seconds| usual.delay(1, Duration::ZERO, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(5), Some(Duration::from_secs(5)));
        assert_eq!(asked(7), None);
        assert_eq!(asked(u64::MAX), None);
    }
}
