//! How much may be called and sent: caps that calls placed at once cannot overshoot, because each
//! reserves its share before anything leaves the machine.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};

use crate::phone::E164;

/// Less than this left of the day, and no call is placed (unless it wants even less).
const SHORTEST_CALL: Duration = Duration::from_secs(30);

/// The caps.
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
    /// Enough calls are in flight.
    #[error(
        "Refused: {0} calls are already in flight. Wait until one has ended (phone_call_status with wait and wake_on: \
         \"final\"), or ask the user to raise OPENAGENT_PHONE_MAX_CONCURRENT_CALLS."
    )]
    Concurrent(usize),
    /// The clock shows a day before one that was already charged.
    #[error(
        "Refused: the computer's clock went back to {now} after {seen}, so the daily limits cannot be checked. Ask the \
         user to set the clock."
    )]
    ClockWentBack {
        /// The day it shows.
        now: NaiveDate,
        /// The latest day it showed before.
        seen: NaiveDate,
    },
}

/// What one call holds of the budget, from before it is dialled until it is settled.
#[derive(Debug)]
#[must_use = "a reservation must be settled"]
pub struct Reservation {
    day: NaiveDate,
    to: E164,
    granted: Duration,
}

impl Reservation {
    /// What the call may last: what was asked for, or what is left of the day.
    pub fn granted(&self) -> Duration {
        self.granted
    }
}

/// The account of the day.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The latest day that was seen, and what was used on it.
    today: Option<NaiveDate>,
    used: Duration,
    reserved: Duration,
    calls: HashMap<String, u32>,
    sms: u32,
    /// Of any day.
    in_flight: usize,
}

impl Budget {
    /// An account with nothing used.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
        }
    }

    /// The account, turned to the day of `now`.
    fn on(&self, now: DateTime<Utc>) -> Result<MutexGuard<'_, State>, OverBudget> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let day = now.date_naive();
        match state.today {
            Some(today) if day < today => {
                return Err(OverBudget::ClockWentBack {
                    now: day,
                    seen: today,
                });
            }
            Some(today) if day == today => {}
            _ => {
                *state = State {
                    today: Some(day),
                    in_flight: state.in_flight,
                    ..State::default()
                }
            }
        }
        Ok(state)
    }

    /// Reserves the smaller of `wanted` and what is left of the day, one of the calls in flight, and
    /// one of the calls to this number.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] names the cap that would be exceeded; nothing is reserved then.
    pub fn reserve_call(
        &self,
        to: &E164,
        wanted: Duration,
        now: DateTime<Utc>,
    ) -> Result<Reservation, OverBudget> {
        let mut state = self.on(now)?;
        if state.in_flight >= self.limits.concurrent {
            return Err(OverBudget::Concurrent(state.in_flight));
        }
        let calls = state.calls.get(to.as_str()).copied().unwrap_or(0);
        if calls >= self.limits.daily_calls_per_number {
            return Err(OverBudget::CallsToNumber(calls));
        }
        let left = self
            .limits
            .daily
            .saturating_sub(state.used + state.reserved);
        if left < SHORTEST_CALL.min(wanted) || left.is_zero() {
            return Err(OverBudget::Seconds {
                left: left.as_secs(),
                cap: self.limits.daily.as_secs(),
            });
        }
        let granted = wanted.min(left);
        state.in_flight += 1;
        state.reserved += granted;
        state.calls.insert(to.as_str().to_owned(), calls + 1);
        Ok(Reservation {
            day: now.date_naive(),
            to: to.clone(),
            granted,
        })
    }

    /// Gives back what a call did not use. It is charged to the day on which it was placed.
    pub fn settle(&self, reservation: &Reservation, used: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_flight = state.in_flight.saturating_sub(1);
        if state.today == Some(reservation.day) {
            state.reserved = state.reserved.saturating_sub(reservation.granted);
            state.used += used;
        }
    }

    /// A settled call was never dialled: it does not count as one to its number either.
    pub fn uncount_call(&self, reservation: &Reservation) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.today == Some(reservation.day)
            && let Some(calls) = state.calls.get_mut(reservation.to.as_str())
        {
            *calls = calls.saturating_sub(1);
        }
    }

    /// Counts a message that is about to be sent.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] if the day's messages are used up.
    pub fn count_sms(&self, now: DateTime<Utc>) -> Result<(), OverBudget> {
        let mut state = self.on(now)?;
        if state.sms >= self.limits.daily_sms {
            return Err(OverBudget::Sms(state.sms));
        }
        state.sms += 1;
        Ok(())
    }

    /// A message counted on the day of `counted` was not sent.
    pub fn uncount_sms(&self, counted: DateTime<Utc>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.today == Some(counted.date_naive()) {
            state.sms = state.sms.saturating_sub(1);
        }
    }

    /// Used and reserved of today's call time.
    pub fn used_today(&self, now: DateTime<Utc>) -> Duration {
        self.on(now)
            .map_or(self.limits.daily, |state| state.used + state.reserved)
    }

    /// Calls in flight.
    pub fn in_flight(&self) -> usize {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .in_flight
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
    };

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_057_600 + hours * 3_600, 0).unwrap()
    }

    fn number(last: u8) -> E164 {
        E164::parse(&format!("+39061234567{last}")).unwrap()
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn calls_placed_at_once_cannot_overshoot_the_day() {
        let budget = std::sync::Arc::new(Budget::new(Limits {
            concurrent: 100,
            ..LIMITS
        }));
        let threads: Vec<_> = (0..16)
            .map(|i| {
                let budget = budget.clone();
                std::thread::spawn(move || {
                    budget
                        .reserve_call(&number(i % 10), secs(300), at(0))
                        .map_or(secs(0), |r| r.granted())
                })
            })
            .collect();
        let granted: Duration = threads.into_iter().map(|t| t.join().unwrap()).sum();
        assert_eq!(granted, secs(1_000));
    }

    #[test]
    fn a_call_gets_what_is_left_and_no_stub_of_it() {
        let budget = Budget::new(LIMITS);
        let first = budget.reserve_call(&number(1), secs(960), at(0)).unwrap();
        let second = budget.reserve_call(&number(2), secs(600), at(0)).unwrap();
        assert_eq!(second.granted(), secs(40));
        budget.settle(&second, secs(20));
        let refused = budget
            .reserve_call(&number(2), secs(600), at(0))
            .unwrap_err();
        assert_eq!(
            refused,
            OverBudget::Seconds {
                left: 20,
                cap: 1_000
            }
        );
        assert_eq!(
            budget
                .reserve_call(&number(2), secs(15), at(0))
                .unwrap()
                .granted(),
            secs(15)
        );
        budget.settle(&first, secs(100));
        assert_eq!(budget.used_today(at(0)), secs(135));
    }

    #[test]
    fn numbers_and_lines_are_counted() {
        let budget = Budget::new(LIMITS);
        let one = budget.reserve_call(&number(1), secs(60), at(0)).unwrap();
        budget.settle(&one, secs(0));
        budget.uncount_call(&one);
        let one = budget.reserve_call(&number(1), secs(60), at(0)).unwrap();
        let two = budget.reserve_call(&number(1), secs(60), at(0)).unwrap();
        assert_eq!(
            budget
                .reserve_call(&number(1), secs(60), at(0))
                .unwrap_err(),
            OverBudget::CallsToNumber(2),
            "answered or not; only what was never dialled is given back"
        );
        let three = budget.reserve_call(&number(2), secs(60), at(0)).unwrap();
        assert_eq!(
            budget
                .reserve_call(&number(3), secs(60), at(0))
                .unwrap_err(),
            OverBudget::Concurrent(3)
        );
        for reservation in [one, two, three] {
            budget.settle(&reservation, secs(0));
        }
        assert_eq!(budget.in_flight(), 0);
    }

    #[test]
    fn a_call_over_midnight_is_charged_to_its_day() {
        let budget = Budget::new(LIMITS);
        let night = budget.reserve_call(&number(1), secs(900), at(0)).unwrap();
        assert_eq!(budget.used_today(at(24)), secs(0), "a new day");
        budget.settle(&night, secs(900));
        assert_eq!(budget.used_today(at(24)), secs(0));
        assert_eq!(budget.in_flight(), 0);
        let refused = budget
            .reserve_call(&number(1), secs(60), at(0))
            .unwrap_err();
        assert!(
            matches!(refused, OverBudget::ClockWentBack { .. }),
            "a limit that cannot be checked is reached"
        );
    }

    #[test]
    fn messages_are_counted_and_given_back() {
        let budget = Budget::new(LIMITS);
        budget.count_sms(at(0)).unwrap();
        budget.count_sms(at(0)).unwrap();
        assert_eq!(budget.count_sms(at(0)).unwrap_err(), OverBudget::Sms(2));
        budget.uncount_sms(at(0));
        budget.count_sms(at(0)).unwrap();
        budget.count_sms(at(24)).unwrap();
    }

    #[test]
    fn no_seconds_means_no_calls() {
        let budget = Budget::new(Limits {
            daily: secs(0),
            ..LIMITS
        });
        assert!(budget.reserve_call(&number(1), secs(10), at(0)).is_err());
    }
}
