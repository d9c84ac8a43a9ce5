//! How a session is lost: when, in which way, and whether the next one is let in.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A session that is lost in the middle of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// When it happens.
    pub at: LossMoment,
    /// How the client learns of it.
    pub how: Parting,
    /// So many sessions are lost like this, from the first on; those after them are sound.
    pub sessions: usize,
    /// Whether the next connection is accepted.
    pub then: Reconnect,
}

/// When a session is lost. Numbers count from 1, within the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossMoment {
    /// So long after the configuration was confirmed.
    After(Duration),
    /// In the response with this number, after so many deltas of audio (of 200 ms each).
    InResponse {
        /// Which response.
        number: u32,
        /// Deltas of audio that still arrive.
        deltas: u32,
    },
    /// When so many responses are over.
    AfterResponses(u32),
    /// When this turn of the callee begins.
    CalleeSpeaks(u32),
    /// When this call of a function was sent, before its output can come.
    ToolCalled(u32),
}

/// How the end of a session looks to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// A close frame with this code. 1005 is a close frame without a code, and 1006 none at all:
    /// the connection is gone.
    Closes(u16),
    /// `error{code:"session_expired"}`, then a close frame with 1001.
    Expires,
}

/// What happens to connections after a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// They are accepted.
    Accepted,
    /// So many are refused at the handshake (HTTP 503), those after them are accepted.
    RefusedTimes(usize),
    /// All are refused at the handshake for so long.
    RefusedFor(Duration),
}

/// Remembers losses, for those who want to come back.
#[derive(Default)]
pub(super) struct Doorkeeper(Mutex<Door>);

#[derive(Default)]
struct Door {
    lost: usize,
    /// When the last session was lost.
    at: Option<Instant>,
    /// Connections refused since then, and in all.
    refused_since: usize,
    refused: usize,
}

impl Doorkeeper {
    /// Whether the session that begins now is one of those that get lost.
    pub(super) fn is_doomed(&self, loss: &Loss) -> bool {
        self.door(|door| door.lost < loss.sessions)
    }

    pub(super) fn lost(&self, now: Instant) {
        self.door(|door| {
            door.lost += 1;
            door.at = Some(now);
            door.refused_since = 0;
        });
    }

    /// Whether a connection at `now` is refused.
    pub(super) fn refuses(&self, loss: &Loss, now: Instant) -> bool {
        self.door(|door| {
            let Some(at) = door.at else { return false };
            let refuses = match loss.then {
                Reconnect::Accepted => false,
                Reconnect::RefusedTimes(times) => door.refused_since < times,
                Reconnect::RefusedFor(time) => now < at + time,
            };
            if refuses {
                door.refused_since += 1;
                door.refused += 1;
            }
            refuses
        })
    }

    /// Connections refused so far.
    pub(super) fn refused(&self) -> usize {
        self.door(|door| door.refused)
    }

    fn door<T>(&self, act: impl FnOnce(&mut Door) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_or_for_so_long() {
        let loss = |then| Loss {
            at: LossMoment::AfterResponses(1),
            how: Parting::Closes(1011),
            sessions: 2,
            then,
        };
        let now = Instant::now();
        let door = Doorkeeper::default();
        let times = loss(Reconnect::RefusedTimes(2));
        assert!(!door.refuses(&times, now), "nothing was lost yet");
        for _ in 0..2 {
            assert!(door.is_doomed(&times));
            door.lost(now);
            let refused = [0; 4].map(|_| door.refuses(&times, now));
            assert_eq!(refused, [true, true, false, false]);
        }
        assert!(!door.is_doomed(&times));
        assert_eq!(door.refused(), 4);
        let time = loss(Reconnect::RefusedFor(Duration::from_secs(1)));
        assert!(door.refuses(&time, now));
        assert!(!door.refuses(&time, now + Duration::from_secs(1)));
    }
}
