//! Calls beyond the live ones of this process: those that have ended, and those of other processes
//! on the same store.

use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;
use uuid::Uuid;

use super::Switchboard;
use crate::call::record::Lines;
use crate::store::StoreError;
use crate::store::calls::{Filter, Listed, StoredCall};
use crate::store::erase::Erased;
use crate::twilio::rest::TwilioError;

/// How often to look at a call of another process that somebody waits for.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// For the line of a call that has just ended, before it is erased.
const LINE_CLOSED: Duration = Duration::from_secs(3);

/// For writing down what has changed about a call, before it is listed or erased.
const UP_TO_DATE: Duration = Duration::from_millis(500);

/// Why a call cannot be shown or erased. The text is for the agent.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is no such call.
    #[error(
        "There is no call {0:?}. Use the call_id that phone_call_place or phone_call_list returned; calls are erased \
         after a while, and without OPENAGENT_PHONE_DB they are forgotten when the server stops."
    )]
    Unknown(String),
    /// It has not ended.
    #[error(
        "This call has not ended, or its line is still being closed: phone_call_hangup ends it, then it can be deleted."
    )]
    Live,
    /// It does not end as it should.
    #[error(
        "The call is held by another run of the server, and has not ended yet. Try once more; it ends by itself at its \
         maximum duration."
    )]
    NotEnded,
    /// The store failed.
    #[error("The history of calls cannot be read or changed: {0}. Tell the user.")]
    Store(#[from] StoreError),
    /// Twilio did not hang up.
    #[error("{0}")]
    Twilio(TwilioError),
}

impl Switchboard {
    /// A call that this process did not place, or has let go of.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub async fn earlier(&self, id: Uuid) -> Result<StoredCall, HistoryError> {
        let found = self.store.call(id).await?;
        found.ok_or_else(|| HistoryError::Unknown(id.to_string()))
    }

    /// The same, once `done` is true of it, or when `patience` is over, or the program stops.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub async fn earlier_once(
        &self,
        id: Uuid,
        patience: Duration,
        mut done: impl FnMut(&StoredCall) -> bool,
    ) -> Result<StoredCall, HistoryError> {
        let until = Instant::now() + patience;
        loop {
            let call = self.earlier(id).await?;
            let final_or_late = call.snapshot.status.is_final() || Instant::now() >= until;
            if final_or_late || self.stop.is_cancelled() || done(&call) {
                return Ok(call);
            }
            tokio::select! {
                () = tokio::time::sleep_until(until.min(Instant::now() + LOOK_AGAIN)) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Hangs up a call of another process, which notices, and says how it ended.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub async fn hang_up_earlier(
        &self,
        id: Uuid,
        patience: Duration,
    ) -> Result<StoredCall, HistoryError> {
        let call = self.earlier(id).await?;
        if !call.snapshot.status.is_final()
            && let Some(sid) = &call.snapshot.twilio_sid
        {
            self.twilio
                .hang_up(sid)
                .await
                .map_err(HistoryError::Twilio)?;
        }
        let call = self.earlier_once(id, patience, |_| false).await?;
        if call.snapshot.status.is_final() {
            Ok(call)
        } else {
            Err(HistoryError::NotEnded)
        }
    }

    /// Calls of all processes on the store, newest first.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub async fn list(&self, filter: &Filter) -> Result<Vec<Listed>, HistoryError> {
        self.changes.flush(UP_TO_DATE).await;
        let mut listed = self.store.list(filter).await?;
        // Time and cost of a live call run on between two changes.
        for call in &mut listed {
            let id = Uuid::try_parse(&call.call_id).unwrap_or_default();
            if let Some(session) = self.registry.get(id) {
                let now = session.call.snapshot(Lines::None, Utc::now());
                call.duration_s = now.duration_s;
                call.cost_usd = now.cost.map(|cost| cost.total_usd);
            }
        }
        Ok(listed)
    }

    /// Erases a call that has ended.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub async fn erase(&self, id: Uuid) -> Result<(), HistoryError> {
        let here = self.registry.get(id);
        if here.as_ref().is_some_and(|here| !here.call.is_final()) {
            return Err(HistoryError::Live);
        }
        if let Some(here) = &here {
            let _ = tokio::time::timeout(LINE_CLOSED, here.call.wait_line_over()).await;
        }
        // Its last words, or what it used, must not come after it.
        self.changes.flush(UP_TO_DATE).await;
        match self.store.erase(id).await? {
            Erased::Live => return Err(HistoryError::Live),
            Erased::Unknown if here.is_none() => return Err(HistoryError::Unknown(id.to_string())),
            Erased::Unknown | Erased::Gone => {}
        }
        self.registry.remove(id);
        Ok(())
    }
}
