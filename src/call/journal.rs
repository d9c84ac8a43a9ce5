//! The journal: writes what changes about calls into the store, off the path of the audio.
//!
//! Changes are noted by the id of their call alone; what is written is the call as it stands when
//! its turn comes. So nothing queues up however long the disk takes, and a batch that failed is
//! simply written later.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::bridge::event::End;
use super::registry::Registry;
use super::session::{Dial, Session};
use crate::store::Store;

/// Between two batches. A line of the transcript is on the disk this long after it was published,
/// plus what the disk needs.
const BATCH: Duration = Duration::from_millis(100);

/// After a batch that failed, before the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// Calls in one batch.
const CALLS: usize = 100;

/// The calls that have changed since they were last written.
#[derive(Debug, Default)]
pub struct Changes {
    state: Mutex<Noted>,
    wake: Notify,
    /// Somebody waits for the next batch.
    urgent: Notify,
    /// The number of the latest change that is written, and everything before it.
    written: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Noted {
    calls: HashSet<Uuid>,
    /// Changes so far.
    number: u64,
}

impl Changes {
    /// Something about this call has changed.
    pub fn note(&self, call: Uuid) {
        let mut noted = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        noted.number += 1;
        noted.calls.insert(call);
        drop(noted);
        self.wake.notify_one();
    }

    /// Waits until everything noted so far is written, no longer than `patience`. Returns whether
    /// it is.
    pub async fn flush(&self, patience: Duration) -> bool {
        let number = {
            let noted = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            noted.number
        };
        self.urgent.notify_one();
        let mut written = self.written.subscribe();
        let waiting = written.wait_for(|written| *written >= number);
        matches!(tokio::time::timeout(patience, waiting).await, Ok(Ok(_)))
    }

    /// The calls to write now, and the number of the change that all is written up to afterwards.
    fn take(&self) -> (Vec<Uuid>, u64) {
        let mut noted = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let some: Vec<Uuid> = noted.calls.iter().take(CALLS).copied().collect();
        for id in &some {
            noted.calls.remove(id);
        }
        // As long as calls are left, the numbers of their changes are open.
        if noted.calls.is_empty() {
            return (some, noted.number);
        }
        drop(noted);
        self.wake.notify_one();
        (some, 0)
    }

    fn put_back(&self, calls: &[Uuid]) {
        let mut noted = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        noted.calls.extend(calls);
        drop(noted);
        self.wake.notify_one();
    }
}

/// Writes until it is dropped.
pub(super) async fn keep(changes: Arc<Changes>, registry: Arc<Registry>, store: Arc<Store>) {
    loop {
        changes.wake.notified().await;
        let (ids, number) = changes.take();
        let failed = write(&ids, &registry, &store).await;
        if failed.is_empty() {
            changes.written.send_if_modified(|written| {
                let more = number > *written;
                *written = number.max(*written);
                more
            });
        } else {
            changes.put_back(&failed);
        }
        let pause = if failed.is_empty() { BATCH } else { RETRY };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = changes.urgent.notified(), if failed.is_empty() => {}
        }
    }
}

/// Writes these calls. Returns those that could not be written.
async fn write(ids: &[Uuid], registry: &Registry, store: &Store) -> Vec<Uuid> {
    let sessions: Vec<Arc<Session>> = ids.iter().filter_map(|id| registry.get(*id)).collect();
    let (never, dialled): (Vec<_>, Vec<_>) = sessions
        .into_iter()
        .partition(|session| session.dial() == Dial::Never);
    let mut failed = Vec::new();
    for session in never {
        let id = session.call.id;
        match store.forget_call(id).await {
            Ok(()) => registry.remove(id),
            Err(_) => failed.push(id),
        }
    }
    if dialled.is_empty() {
        return failed;
    }
    let batch: Vec<_> = dialled.iter().map(|session| session.unsaved()).collect();
    match store.save(&batch).await {
        Ok(strangers) => {
            for (session, saved) in dialled.iter().zip(&batch) {
                session.is_saved(saved);
                if strangers.contains(&saved.snapshot.call_id) && !session.call.is_final() {
                    let why =
                        "This process stood still for so long that another one ended its calls.";
                    session.end(End::Failed(why.to_owned()));
                }
            }
        }
        // The store has said why in the log.
        Err(_) => failed.extend(dialled.iter().map(|session| session.call.id)),
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn a_change_during_a_batch_belongs_to_the_next() {
        let (changes, call) = (Changes::default(), Uuid::new_v4());
        changes.note(call);
        changes.note(call);
        assert_eq!(changes.take(), (vec![call], 2));
        changes.note(call);
        assert_eq!(changes.take(), (vec![call], 3));
        assert_eq!(changes.take(), (vec![], 3));
    }

    #[test]
    fn nothing_counts_as_written_while_calls_are_left() {
        let changes = Changes::default();
        for _ in 0..=CALLS {
            changes.note(Uuid::new_v4());
        }
        let woken = |changes: &Changes| changes.wake.notified().now_or_never().is_some();
        assert!(woken(&changes));
        let (first, number) = changes.take();
        assert_eq!((first.len(), number), (CALLS, 0));
        assert!(woken(&changes), "the rest has its turn, too");
        let (second, number) = changes.take();
        assert_eq!((second.len(), number), (1, 101));
        assert!(!woken(&changes));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_waits_for_what_was_noted_and_not_for_ever() {
        let changes = Changes::default();
        assert!(changes.flush(Duration::ZERO).await, "nothing to write");
        changes.note(Uuid::new_v4());
        assert!(!changes.flush(Duration::from_secs(1)).await);
        changes.written.send_replace(1);
        assert!(changes.flush(Duration::ZERO).await);
    }
}
