//! Money in whole numbers: no amount passes through floating point on its way to a limit.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// Millionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MicroUsd(u64);

impl MicroUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many millionths of a dollar.
    pub const fn new(micros: u64) -> Self {
        Self(micros)
    }

    /// Millionths of a dollar.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Dollars, for people and JSON.
    pub fn dollars(self) -> f64 {
        // Exact up to nine billion dollars.
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let micros = self.0 as f64;
        micros / 1e6
    }

    /// An amount that was written in dollars with at most six decimals; none if it has more, or is
    /// negative, infinite or absurd.
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let micros = dollars * 1e6;
        let whole = micros.round();
        let is_amount = (0.0..=1e12).contains(&whole) && dollars >= 0.0;
        // What a decimal with six places differs from its nearest double by is far below this.
        let is_exact = (micros - whole).abs() < 1e-3;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        (is_amount && is_exact).then_some(Self(whole as u64))
    }

    /// This amount so many times.
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// What is left of this amount without `other`; nothing if that is more.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for MicroUsd {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl AddAssign for MicroUsd {
    fn add_assign(&mut self, more: Self) {
        *self = *self + more;
    }
}

impl Sum for MicroUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Dollars with as many decimals as are needed, two at least.
impl std::fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let decimals = format!("{:06}", self.0 % 1_000_000);
        let kept = decimals.trim_end_matches('0').len().max(2);
        write!(f, "${}.{}", self.0 / 1_000_000, &decimals[..kept])
    }
}

/// A sum that is still being added up, in millionths of a [`MicroUsd`]: a token costs fractions of
/// a micro-dollar, which are rounded once, at the end and upwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PicoUsd(u128);

impl PicoUsd {
    /// Tokens, at a price per million of them.
    pub(super) fn tokens(count: u64, per_million: MicroUsd) -> Self {
        Self(u128::from(count) * u128::from(per_million.0))
    }

    /// Time, at a price per minute that is charged for each part of one.
    pub(super) fn minutes(millis: u64, per_minute: MicroUsd) -> Self {
        let pico_per_minute = u128::from(per_minute.0) * 1_000_000;
        Self((u128::from(millis) * pico_per_minute).div_ceil(60_000))
    }

    /// Rounded up.
    pub(super) fn round_up(self) -> MicroUsd {
        MicroUsd(u64::try_from(self.0.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

impl Sum for PicoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), |sum, more| {
            Self(sum.0.saturating_add(more.0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_become_exact_micros_or_nothing() {
        for (dollars, micros) in [
            (0.0, 0),
            (0.0045, 4_500),
            (0.1 + 0.2, 300_000),
            (64.0, 64_000_000),
            (0.000_001, 1),
            (1_000_000.0, 1_000_000_000_000),
        ] {
            assert_eq!(
                MicroUsd::from_dollars(dollars),
                Some(MicroUsd(micros)),
                "{dollars}"
            );
        }
        for odd in [
            -0.01,
            -1e-9,
            0.000_000_5,
            0.014_000_2,
            1e7,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ] {
            assert_eq!(MicroUsd::from_dollars(odd), None, "{odd}");
        }
    }

    #[test]
    fn fractions_are_rounded_once_and_up() {
        let price = MicroUsd::new(60_000);
        // Three tokens at 0.06 micro-dollars each: 0.18, not three times 1.
        let three: PicoUsd = (0..3).map(|_| PicoUsd::tokens(1, price)).sum();
        assert_eq!(three.round_up(), MicroUsd(1));
        assert_eq!(PicoUsd::default().round_up(), MicroUsd::ZERO);
        assert_eq!(
            PicoUsd::tokens(1_000_000, price).round_up(),
            price,
            "no rounding where none is due"
        );
        assert_eq!(
            PicoUsd::minutes(60_000, MicroUsd(4_500)).round_up(),
            MicroUsd(4_500)
        );
        assert_eq!(
            PicoUsd::minutes(1_600, MicroUsd(4_500)).round_up(),
            MicroUsd(120)
        );
    }

    #[test]
    fn nothing_overflows() {
        let much = MicroUsd(u64::MAX);
        assert_eq!(much + much, much);
        assert_eq!(much.times(2), much);
        assert_eq!(PicoUsd::tokens(u64::MAX, much).round_up(), much);
        assert_eq!(MicroUsd(1).less(MicroUsd(2)), MicroUsd::ZERO);
    }

    #[test]
    fn amounts_are_shown_as_people_write_them() {
        for (micros, shown) in [
            (0, "$0.00"),
            (2_500_000, "$2.50"),
            (4_500, "$0.0045"),
            (12_000_001, "$12.000001"),
        ] {
            assert_eq!(MicroUsd(micros).to_string(), shown);
        }
    }
}
