//! Idempotency keys within this process: the same request twice acts once, and the second waits for
//! the first while it is under way. [`crate::store::keys`] knows them beyond the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a key is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// Keys that are remembered at the most; the oldest finished ones make room.
const KEYS: usize = 10_000;

/// The key was used before, for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reused;

/// The keys of one tool, with the result that each led to.
#[derive(Debug)]
pub struct Keys<T> {
    known: Arc<Mutex<HashMap<String, Entry<T>>>>,
}

#[derive(Debug)]
struct Entry<T> {
    /// A hash of what stands for the arguments, which may be long, and are other people's words.
    fingerprint: [u8; 32],
    since: Instant,
    result: watch::Receiver<Option<T>>,
}

/// What a key leads to.
#[derive(Debug)]
pub enum Begun<T> {
    /// The first request with it: act, then [`Ticket::done`].
    First(Ticket<T>),
    /// It was acted on before, with this result.
    Repeat(T),
}

/// The right to act on a key. Dropped without [`done`](Self::done), it releases the key.
#[derive(Debug)]
pub struct Ticket<T> {
    known: Arc<Mutex<HashMap<String, Entry<T>>>>,
    key: String,
    result: watch::Sender<Option<T>>,
}

impl<T> Default for Keys<T> {
    fn default() -> Self {
        Self {
            known: Arc::default(),
        }
    }
}

impl<T: Clone> Keys<T> {
    /// Looks a key up, waiting for a first request that is still under way. `fingerprint` stands for
    /// the arguments.
    ///
    /// # Errors
    ///
    /// [`Reused`] if the key came with other arguments before.
    pub async fn begin(&self, key: &str, fingerprint: &str) -> Result<Begun<T>, Reused> {
        loop {
            let mut pending = match self.look_up(key, fingerprint)? {
                Ok(ticket) => return Ok(Begun::First(ticket)),
                Err(pending) => pending,
            };
            // An error means that the first request was refused and released the key: our turn.
            if let Ok(result) = pending.wait_for(Option::is_some).await
                && let Some(result) = result.clone()
            {
                return Ok(Begun::Repeat(result));
            }
        }
    }

    /// The right to act, or the result to wait for.
    fn look_up(
        &self,
        key: &str,
        fingerprint: &str,
    ) -> Result<Result<Ticket<T>, watch::Receiver<Option<T>>>, Reused> {
        let fingerprint = Sha256::digest(fingerprint).into();
        let mut known = lock(&self.known);
        forget(&mut known);
        if let Some(entry) = known.get(key)
            && entry.since.elapsed() < REMEMBERED
            && !entry.is_released()
        {
            return if entry.fingerprint == fingerprint {
                Ok(Err(entry.result.clone()))
            } else {
                Err(Reused)
            };
        }
        let (result, receiver) = watch::channel(None);
        let entry = Entry {
            fingerprint,
            since: Instant::now(),
            result: receiver,
        };
        known.insert(key.to_owned(), entry);
        Ok(Ok(Ticket {
            known: Arc::clone(&self.known),
            key: key.to_owned(),
            result,
        }))
    }
}

impl<T> Entry<T> {
    /// The first request gave its right up without a result.
    fn is_released(&self) -> bool {
        self.result.has_changed().is_err() && self.result.borrow().is_none()
    }
}

impl<T> Ticket<T> {
    /// The request was acted on: the key leads to this result from now on.
    pub fn done(self, result: T) {
        self.result.send_replace(Some(result));
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        if self.result.borrow().is_none() {
            lock(&self.known).remove(&self.key);
        }
    }
}

fn lock<T>(known: &Mutex<HashMap<String, Entry<T>>>) -> MutexGuard<'_, HashMap<String, Entry<T>>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes room: what is too old goes, and the oldest if there are too many.
fn forget<T>(known: &mut HashMap<String, Entry<T>>) {
    if known.len() < KEYS {
        return;
    }
    known.retain(|_, entry| entry.since.elapsed() < REMEMBERED);
    while known.len() >= KEYS {
        let oldest = known
            .iter()
            .filter(|(_, entry)| entry.result.borrow().is_some())
            .min_by_key(|(_, entry)| entry.since)
            .map(|(key, _)| key.clone());
        let Some(oldest) = oldest else { return };
        known.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first<T>(begun: Result<Begun<T>, Reused>) -> Ticket<T> {
        match begun {
            Ok(Begun::First(ticket)) => ticket,
            _ => panic!("not the first"),
        }
    }

    #[tokio::test]
    async fn the_second_request_waits_for_the_first_and_gets_its_result() {
        let keys = Arc::new(Keys::default());
        let ticket = first(keys.begin("k", "a").await);
        let second = tokio::spawn({
            let keys = keys.clone();
            async move { keys.begin("k", "a").await }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        ticket.done(7);
        assert!(matches!(second.await.unwrap(), Ok(Begun::Repeat(7))));
        assert!(matches!(keys.begin("k", "a").await, Ok(Begun::Repeat(7))));
    }

    #[tokio::test]
    async fn a_refusal_releases_the_key_to_whoever_waits() {
        let keys = Arc::new(Keys::<u8>::default());
        let ticket = first(keys.begin("k", "a").await);
        let second = tokio::spawn({
            let keys = keys.clone();
            async move { matches!(keys.begin("k", "a").await, Ok(Begun::First(_))) }
        });
        tokio::task::yield_now().await;
        drop(ticket);
        assert!(second.await.unwrap());
    }

    #[tokio::test]
    async fn other_arguments_are_an_error() {
        let keys = Keys::default();
        first(keys.begin("k", "a").await).done(1);
        assert!(matches!(keys.begin("k", "b").await, Err(Reused)));
        assert!(matches!(
            keys.begin("other", "b").await,
            Ok(Begun::First(_))
        ));
    }
}
