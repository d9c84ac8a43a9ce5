//! Erasing: what is deleted is gone from the file itself.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use uuid::Uuid;

use super::calls::LineState;
use super::{Columns as _, Store, StoreError, keys, stamp};
use crate::call::snapshot::Status;

/// Attempts to empty the write-ahead log after something was erased, while others read it.
const CHECKPOINTS: u32 = 10;

/// Between two of them.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(100);

/// What became of a call that was to be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// It is gone, from the file itself.
    Gone,
    /// There is none.
    Unknown,
    /// It has not ended.
    Live,
}

impl Store {
    /// Erases a call that has ended. What it used of the limits stays counted.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; it may be that the call is gone, but traces of it are in the log beside the
    /// file.
    pub async fn erase(&self, id: Uuid) -> Result<Erased, StoreError> {
        let erasing = async {
            let mut turn = self.writing().await?;
            let call = sqlx::query("SELECT status, line FROM call WHERE id = ?")
                .bind(id.to_string())
                .fetch_optional(&mut *turn)
                .await?;
            let Some(call) = call else {
                drop(turn);
                // An earlier attempt may have come no further than this.
                self.checkpoint().await?;
                return Ok(Erased::Unknown);
            };
            let line: LineState = call.word("line")?;
            let held: i64 =
                sqlx::query_scalar("SELECT count(*) FROM reservation WHERE call_id = ?")
                    .bind(id.to_string())
                    .fetch_one(&mut *turn)
                    .await?;
            // What a call still holds of the limits would never be given back without it, and a line
            // that may be open could not be hung up by anybody else.
            let open = !matches!(line, LineState::None | LineState::Over);
            if held > 0 || open || !call.word::<Status>("status")?.is_final() {
                return Ok(Erased::Live);
            }
            sqlx::query("DELETE FROM call WHERE id = ?")
                .bind(id.to_string())
                .execute(&mut *turn)
                .await?;
            turn.commit().await?;
            self.checkpoint().await?;
            Ok(Erased::Gone)
        };
        self.in_time(erasing).await
    }

    /// Erases calls and messages from before `before`, and what nobody needs any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn purge(&self, before: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), StoreError> {
        let purging = async {
            let mut turn = self.writing().await?;
            let old = sqlx::query(
                "DELETE FROM call WHERE started_at < ? AND line IN ('none', 'over')
                 AND id NOT IN (SELECT call_id FROM reservation)",
            )
            .bind(stamp(before))
            .execute(&mut *turn)
            .await?
            .rows_affected();
            let older = sqlx::query("DELETE FROM message WHERE sent_at < ?")
                .bind(stamp(before))
                .execute(&mut *turn)
                .await?
                .rows_affected();
            let yesterday = now.date_naive().pred_opt().unwrap_or_default();
            sqlx::query("DELETE FROM day_number WHERE day < ?")
                .bind(super::day(yesterday))
                .execute(&mut *turn)
                .await?;
            sqlx::query(
                "DELETE FROM process WHERE id <> ? AND id NOT IN (SELECT process FROM call WHERE line <> 'over')
                 AND id NOT IN (SELECT process FROM message WHERE state = 'sending')",
            )
            .bind(self.process.to_string())
            .execute(&mut *turn)
            .await?;
            // Without its salt, a hash that is still somewhere stands for nobody.
            sqlx::query("UPDATE day SET salt = x'' WHERE day < ?")
                .bind(super::day(yesterday))
                .execute(&mut *turn)
                .await?;
            keys::purge(&mut turn, now).await?;
            turn.commit().await?;
            if old + older > 0 {
                tracing::info!(calls = old, messages = older, "erased what was old enough");
                self.checkpoint().await?;
            }
            Ok(())
        };
        self.asked(purging).await
    }

    /// Brings the write-ahead log into the file and empties it, so that what was deleted, and
    /// overwritten in the file, is not in the log either.
    async fn checkpoint(&self) -> Result<(), StoreError> {
        for _ in 0..CHECKPOINTS {
            let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                .fetch_one(self.pool().await?)
                .await?;
            if row.try_get::<i64, _>(0)? == 0 {
                return Ok(());
            }
            // Another process reads from the log. It will be done in a moment.
            tokio::time::sleep(CHECKPOINT_PAUSE).await;
        }
        Err(StoreError::Locked)
    }
}
