//! What the sandbox found wrong in what it was sent, although the real service would let it pass.

use std::sync::{Arc, Mutex, PoisonError};

/// Enough to see what is wrong; a client that never stops erring must not fill the memory.
const MOST: usize = 1_000;

/// A shared list of complaints.
#[derive(Clone, Default)]
pub(crate) struct Complaints(Arc<Mutex<Vec<String>>>);

impl Complaints {
    /// Adds one.
    pub(crate) fn add(&self, complaint: impl Into<String>) {
        let complaint = complaint.into();
        tracing::debug!(%complaint, "sandbox complaint");
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() < MOST {
            list.push(complaint);
        }
    }

    /// All so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
