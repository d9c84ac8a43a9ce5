//! How much may be called and sent in a day. Here is the rule; [`crate::store::limits`] knows what was
//! used, and applies it in one transaction with what a call or message takes.

use std::time::Duration;

use chrono::NaiveDate;

use crate::cost::{MicroUsd, Unpriced};

/// Less than this left of the day, and no call is placed (unless it wants even less).
const SHORTEST_CALL: Duration = Duration::from_secs(30);

/// The limits, as configured.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Sum of call durations in a UTC day.
    pub daily: Duration,
    /// Calls to one number in a UTC day.
    pub daily_calls_per_number: u32,
    /// Messages in a UTC day.
    pub daily_sms: u32,
    /// Calls in flight at once.
    pub concurrent: usize,
    /// What calls and messages may cost in a UTC day, if that has a cap.
    pub daily_cost: Option<MicroUsd>,
}

/// Why the budget says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverBudget {
    /// The day's seconds are used up or reserved.
    #[error(
        "Refused: only {left} s are left of today's {cap} s for calls (UTC day). Wait until tomorrow, or ask the user \
         to raise OPENAGENT_PHONE_MAX_DAILY_SECONDS."
    )]
    Seconds {
        /// Seconds left.
        left: u64,
        /// The cap.
        cap: u64,
    },
    /// This number was called often enough today.
    #[error(
        "Refused: this number was already called {0} times today (UTC day). Do not call it again today; ask the user, \
         who may raise OPENAGENT_PHONE_MAX_DAILY_CALLS_PER_NUMBER."
    )]
    CallsToNumber(u32),
    /// Enough messages were sent today.
    #[error(
        "Refused: {0} messages were already sent today (UTC day). Wait until tomorrow, or ask the user to raise \
         OPENAGENT_PHONE_MAX_DAILY_SMS."
    )]
    Sms(u32),
    /// The day's money is spent or reserved.
    #[error(
        "Refused: this may cost up to {needed}, and {left} are left of today's {cap} (UTC day; live calls hold the most they \
         may cost). Ask for a shorter call (max_duration_seconds), wait until other calls have ended or until tomorrow, or \
         ask the user to raise OPENAGENT_PHONE_MAX_DAILY_USD."
    )]
    Cost {
        /// What it may come to.
        needed: MicroUsd,
        /// What is left.
        left: MicroUsd,
        /// The cap.
        cap: MicroUsd,
    },
    /// What it may cost is not known, so the cap cannot be kept.
    #[error(
        "Refused: OPENAGENT_PHONE_MAX_DAILY_USD caps the cost of the day, and {0}. Ask the user to write the price into \
         the file that OPENAGENT_PHONE_PRICES names (docs/costs.md shows how), or to take the cap away."
    )]
    Unpriced(Unpriced),
    /// Enough calls are in flight.
    #[error(
        "Refused: {0} calls are already in flight. Wait until one has ended (phone_call_status with wait and wake_on: \
         \"final\"), or ask the user to raise OPENAGENT_PHONE_MAX_CONCURRENT_CALLS."
    )]
    Concurrent(usize),
    /// The clock shows a day before one that was already charged.
    #[error(
        "Refused: the computer's clock went back to {now} after {seen}, so the daily limits cannot be checked. Ask the \
         user to set the clock; if it is right now and was wrong before, to name a new file in OPENAGENT_PHONE_DB."
    )]
    ClockWentBack {
        /// The day it shows.
        now: NaiveDate,
        /// The latest day it showed before.
        seen: NaiveDate,
    },
}

/// What of the limits is taken, by calls and messages of all processes that share the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// The latest UTC day of which anything is known.
    pub latest_day: Option<NaiveDate>,
    /// Call time of the day, used and reserved.
    pub time: Duration,
    /// Calls in flight, of any day.
    pub in_flight: usize,
    /// Calls of the day to the number that is asked about.
    pub calls_to_number: u32,
    /// Messages of the day.
    pub messages: u32,
    /// Money of the day, spent and reserved.
    pub cost: MicroUsd,
}

impl Limits {
    /// How long a call may be that wants `wanted`: that, or what is left of the day.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] names the limit that would be exceeded.
    pub fn grant(
        &self,
        wanted: Duration,
        used: &Used,
        today: NaiveDate,
    ) -> Result<Duration, OverBudget> {
        check_clock(used, today)?;
        if used.in_flight >= self.concurrent {
            return Err(OverBudget::Concurrent(used.in_flight));
        }
        if used.calls_to_number >= self.daily_calls_per_number {
            return Err(OverBudget::CallsToNumber(used.calls_to_number));
        }
        let left = self.daily.saturating_sub(used.time);
        if left < SHORTEST_CALL.min(wanted) || left.is_zero() {
            return Err(OverBudget::Seconds {
                left: left.as_secs(),
                cap: self.daily.as_secs(),
            });
        }
        Ok(wanted.min(left))
    }

    /// What to reserve for something that costs at most `most`: nothing, if that is not known and
    /// there is no cap.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] if it does not fit into what is left of the day, or cannot be known.
    pub fn admit_cost(
        &self,
        most: Result<MicroUsd, Unpriced>,
        used: &Used,
    ) -> Result<MicroUsd, OverBudget> {
        let Some(cap) = self.daily_cost else {
            return Ok(most.unwrap_or_default());
        };
        let needed = most.map_err(OverBudget::Unpriced)?;
        let left = cap.less(used.cost);
        if needed > left {
            return Err(OverBudget::Cost { needed, left, cap });
        }
        Ok(needed)
    }

    /// Whether one more message may be sent.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] if not.
    pub fn admit_message(&self, used: &Used, today: NaiveDate) -> Result<(), OverBudget> {
        check_clock(used, today)?;
        if used.messages >= self.daily_sms {
            return Err(OverBudget::Sms(used.messages));
        }
        Ok(())
    }
}

fn check_clock(used: &Used, today: NaiveDate) -> Result<(), OverBudget> {
    match used.latest_day {
        Some(seen) if today < seen => Err(OverBudget::ClockWentBack { now: today, seen }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        daily: Duration::from_secs(1_000),
        daily_calls_per_number: 2,
        daily_sms: 2,
        concurrent: 3,
        daily_cost: None,
    };

    fn today() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 22).unwrap()
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn used(seconds: u64) -> Used {
        Used {
            time: secs(seconds),
            ..Used::default()
        }
    }

    #[test]
    fn a_call_gets_what_is_left_and_no_stub_of_it() {
        let grant = |wanted, spent| LIMITS.grant(secs(wanted), &used(spent), today());
        assert_eq!(grant(600, 0), Ok(secs(600)));
        assert_eq!(grant(600, 960), Ok(secs(40)));
        assert_eq!(grant(600, 970), Ok(secs(30)));
        assert_eq!(
            grant(600, 971),
            Err(OverBudget::Seconds {
                left: 29,
                cap: 1_000
            })
        );
        assert_eq!(grant(15, 980), Ok(secs(15)), "a short one still fits");
        assert!(grant(15, 1_000).is_err());
        assert!(grant(15, 1_100).is_err(), "overdrawn");
        let none = Limits {
            daily: secs(0),
            ..LIMITS
        };
        assert!(none.grant(secs(0), &used(0), today()).is_err());
    }

    #[test]
    fn numbers_and_lines_are_counted() {
        let grant = |used: Used| LIMITS.grant(secs(60), &used, today());
        let calls = |calls_to_number| Used {
            calls_to_number,
            ..Used::default()
        };
        assert!(grant(calls(1)).is_ok());
        assert_eq!(grant(calls(2)), Err(OverBudget::CallsToNumber(2)));
        let lines = |in_flight| Used {
            in_flight,
            ..Used::default()
        };
        assert!(grant(lines(2)).is_ok());
        assert_eq!(grant(lines(3)), Err(OverBudget::Concurrent(3)));
    }

    #[test]
    fn messages_are_counted() {
        let sent = |messages| Used {
            messages,
            ..Used::default()
        };
        assert!(LIMITS.admit_message(&sent(1), today()).is_ok());
        assert_eq!(
            LIMITS.admit_message(&sent(2), today()),
            Err(OverBudget::Sms(2))
        );
    }

    #[test]
    fn what_may_cost_more_than_is_left_is_refused() {
        let usd = |cents: u64| MicroUsd::new(cents * 10_000);
        let capped = Limits {
            daily_cost: Some(usd(500)),
            ..LIMITS
        };
        let spent = |cents| Used {
            cost: usd(cents),
            ..Used::default()
        };
        assert_eq!(capped.admit_cost(Ok(usd(200)), &spent(300)), Ok(usd(200)));
        let error = capped.admit_cost(Ok(usd(200)), &spent(301));
        let (needed, left, cap) = (usd(200), usd(199), usd(500));
        assert_eq!(error, Err(OverBudget::Cost { needed, left, cap }));
        let unknown = Err(Unpriced::Model);
        let error = capped.admit_cost(unknown, &spent(0));
        assert_eq!(error, Err(OverBudget::Unpriced(Unpriced::Model)));
        assert!(
            capped.admit_cost(Ok(usd(1)), &spent(900)).is_err(),
            "overdrawn"
        );
        assert_eq!(LIMITS.admit_cost(unknown, &spent(0)), Ok(MicroUsd::ZERO));
        assert_eq!(LIMITS.admit_cost(Ok(usd(9)), &spent(0)), Ok(usd(9)));
        let nothing = Limits {
            daily_cost: Some(MicroUsd::ZERO),
            ..LIMITS
        };
        assert!(nothing.admit_cost(Ok(usd(1)), &spent(0)).is_err());
    }

    #[test]
    fn a_clock_that_went_back_checks_nothing() {
        let seen = |latest_day| Used {
            latest_day,
            ..Used::default()
        };
        let (yesterday, tomorrow) = (today().pred_opt(), today().succ_opt());
        assert!(LIMITS.grant(secs(60), &seen(yesterday), today()).is_ok());
        assert!(LIMITS.grant(secs(60), &seen(tomorrow), today()).is_err());
        assert!(LIMITS.admit_message(&seen(tomorrow), today()).is_err());
    }
}
