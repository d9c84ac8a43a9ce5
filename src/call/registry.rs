//! All calls of this process: the live ones, and the finished ones of the last day or more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::session::Session;

/// Finished calls are kept at least this long, hours.
const KEPT_HOURS: i64 = 24;

/// Beyond this number of finished calls, the oldest may go even before that: the store knows it as
/// well. A day of calls at the default limits is far below it.
const KEPT: usize = 200;

/// See the module.
#[derive(Debug, Default)]
pub struct Registry {
    calls: Mutex<HashMap<Uuid, Arc<Session>>>,
}

impl Registry {
    fn calls(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Session>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a call, and lets go of finished ones that are old enough.
    pub fn insert(&self, session: Arc<Session>, now: DateTime<Utc>) {
        let mut calls = self.calls();
        let old = now - chrono::Duration::hours(KEPT_HOURS);
        // What is not written down yet is known here alone.
        let is_old = |known: &Session| {
            known.is_written() && known.call.ended_at().is_some_and(|ended| ended <= old)
        };
        calls.retain(|_, known| !is_old(known));
        let finished = calls
            .values()
            .filter(|known| known.is_written())
            .filter_map(|known| Some((known.call.ended_at()?, known.call.id)));
        let (count, oldest) = finished.fold((0, None), |(count, oldest), this| {
            (
                count + 1,
                Some(oldest.map_or(this, |oldest| this.min(oldest))),
            )
        });
        if count >= KEPT
            && let Some((_, id)) = oldest
        {
            calls.remove(&id);
        }
        calls.insert(session.call.id, session);
    }

    /// Takes a call out that was never dialled.
    pub fn remove(&self, id: Uuid) {
        self.calls().remove(&id);
    }

    /// The call with this id.
    pub fn get(&self, id: Uuid) -> Option<Arc<Session>> {
        self.calls().get(&id).cloned()
    }

    /// Some call has not ended, or its line may still be open.
    pub fn has_unfinished(&self) -> bool {
        let calls = self.calls();
        calls
            .values()
            .any(|session| !session.call.is_final() || session.call.line_may_be_open())
    }

    /// The calls that have not ended.
    pub fn live(&self) -> Vec<Arc<Session>> {
        self.calls()
            .values()
            .filter(|session| !session.call.is_final())
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::bridge::event::End;
    use crate::call::language::Language;
    use crate::call::record::{Brief, Call};
    use crate::call::snapshot::Outcome;
    use crate::phone::E164;
    use std::time::Duration;

    fn call(hour: i64) -> Arc<Session> {
        let number = E164::parse("+15005550006").unwrap();
        let brief = Brief {
            to: number.clone(),
            from: number,
            mission: "".into(),
            language: Language::default(),
            max_duration: Duration::from_secs(60),
        };
        let call = Call::new(Uuid::new_v4(), brief, at(hour), Arc::default());
        Session::new(call, String::new()).0
    }

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + hour * 3_600, 0).unwrap()
    }

    /// It ends, and that is written down.
    fn end(session: &Session, hour: i64) {
        session.call.finish(&End::Busy, at(hour));
        session.call.line_is_over();
        session.settle(Duration::ZERO);
        session.is_saved(&session.unsaved());
    }

    #[test]
    fn finished_calls_stay_for_a_day_and_live_ones_for_ever() {
        let registry = Registry::default();
        let (live, done) = (call(0), call(0));
        registry.insert(live.clone(), at(0));
        registry.insert(done.clone(), at(0));
        end(&done, 1);
        registry.insert(call(24), at(24));
        assert!(registry.get(done.call.id).is_some());
        registry.insert(call(26), at(26));
        assert!(registry.get(done.call.id).is_none());
        assert!(registry.get(live.call.id).is_some());
        assert_eq!(registry.live().len(), 3);
    }

    #[test]
    fn the_number_of_finished_calls_is_bounded() {
        let registry = Registry::default();
        for _ in 0..KEPT + 10 {
            let call = call(0);
            registry.insert(call.clone(), at(0));
            end(&call, 0);
        }
        assert_eq!(registry.calls().len(), KEPT);
    }

    #[test]
    fn what_is_not_written_down_is_kept() {
        let registry = Registry::default();
        let (unwritten, refined) = (call(0), call(0));
        for call in [&unwritten, &refined] {
            registry.insert(Arc::clone(call), at(0));
        }
        unwritten.call.finish(&End::Busy, at(0));
        end(&refined, 0);
        refined
            .call
            .refine("It was closed.".to_owned(), Outcome::Success);
        registry.insert(call(30), at(30));
        assert!(registry.get(unwritten.call.id).is_some());
        assert!(
            registry.get(refined.call.id).is_some(),
            "its verdict is new"
        );
        end(&unwritten, 1);
        registry.insert(call(30), at(30));
        assert!(registry.get(unwritten.call.id).is_none());
    }
}
