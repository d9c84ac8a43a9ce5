//! The processes that share the store. One that has calls raises its beat every second; where a beat
//! stands still, the process is dead, and another answers for its calls.
//!
//! A watcher compares beats, not clocks: a clock that jumps kills nobody.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::calls::{self, StoredCall};
use super::{Columns as _, Store, StoreError, stamp};

/// How often a process with calls raises its beat, and others look at it.
pub const BEAT: Duration = Duration::from_secs(1);

/// A beat that was seen to stand still for this long is that of a dead process.
const DEAD_AFTER: Duration = Duration::from_secs(5);

/// Stands for the beat of a process that has said that it is gone.
const LEFT: i64 = -1;

/// What was seen of the other processes.
#[derive(Debug, Default)]
pub struct Watch {
    /// The beat, and since when it has stood there.
    seen: HashMap<Uuid, (i64, Instant)>,
}

impl Watch {
    /// There are other processes with something unfinished.
    pub fn sees_any(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Takes note of a beat. Returns whether its process is dead.
    fn is_dead(&mut self, process: Uuid, beat: i64, now: Instant) -> bool {
        if beat == LEFT {
            return true;
        }
        let (known, since) = self.seen.entry(process).or_insert((beat, now));
        if *known != beat {
            (*known, *since) = (beat, now);
        }
        now.duration_since(*since) >= DEAD_AFTER
    }
}

impl Store {
    /// Says that this process lives.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn beat(&self) -> Result<(), StoreError> {
        let beating = async {
            let mut turn = self.writing().await?;
            sqlx::query(
                "INSERT INTO process (id, beat) VALUES (?, 1)
                 ON CONFLICT DO UPDATE SET beat = beat + 1",
            )
            .bind(self.process.to_string())
            .execute(&mut *turn)
            .await?;
            Ok(turn.commit().await?)
        };
        self.asked(beating).await
    }

    /// The calls of processes that have died, which are this process's from now on: those of
    /// `account`, and those of others once they must be over. A call is taken over once, whoever
    /// else looks at the same moment. That moment is told by two clocks: beats are compared by the
    /// one that never jumps.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn take_over(
        &self,
        watch: &mut Watch,
        account: &str,
        (seen, now): (Instant, DateTime<Utc>),
    ) -> Result<Vec<StoredCall>, StoreError> {
        let dead = self.looked(self.dead(watch, seen)).await?;
        if dead.is_empty() {
            return Ok(Vec::new());
        }
        let taking = async {
            let mut turn = self.writing().await?;
            let mut taken = Vec::new();
            // Whoever answers for calls must be seen to live.
            sqlx::query("INSERT OR IGNORE INTO process (id, beat) VALUES (?, 0)")
                .bind(self.process.to_string())
                .execute(&mut *turn)
                .await?;
            for (process, beat) in dead {
                // It may have come back to life since we looked.
                let gone = sqlx::query("DELETE FROM process WHERE id = ? AND beat = ?")
                    .bind(process.to_string())
                    .bind(beat)
                    .execute(&mut *turn)
                    .await?;
                let lives: i64 = sqlx::query_scalar("SELECT count(*) FROM process WHERE id = ?")
                    .bind(process.to_string())
                    .fetch_one(&mut *turn)
                    .await?;
                if gone.rows_affected() == 0 && lives > 0 {
                    continue;
                }
                sqlx::query(
                    "UPDATE message SET state = 'unknown' WHERE process = ? AND state = 'sending'",
                )
                .bind(process.to_string())
                .execute(&mut *turn)
                .await?;
                let rows = sqlx::query(
                    // A request to dial whose process is gone gets no answer any more.
                    "UPDATE call SET process = ?, line = CASE line WHEN 'dialling' THEN 'unknown' ELSE line END
                     WHERE process = ? AND (account = ? OR over_by < ?)
                     AND (line IN ('none', 'dialling', 'unknown', 'open')
                          OR id IN (SELECT call_id FROM reservation)) RETURNING *",
                )
                .bind(self.process.to_string())
                .bind(process.to_string())
                .bind(account)
                .bind(stamp(now))
                .fetch_all(&mut *turn)
                .await?;
                for row in rows {
                    taken.push(calls::read(&mut turn, &row).await?);
                }
            }
            turn.commit().await?;
            Ok(taken)
        };
        self.asked(taking).await
    }

    /// Processes whose beat stands still over something unfinished, with that beat.
    async fn dead(&self, watch: &mut Watch, now: Instant) -> Result<Vec<(Uuid, i64)>, StoreError> {
        let mut turn = self.reading().await?;
        let rows = sqlx::query(
            "SELECT owner.process, coalesce(process.beat, -1) AS beat FROM (
                 SELECT process FROM call WHERE line IN ('none', 'dialling', 'unknown', 'open')
                 UNION SELECT process FROM call JOIN reservation ON call_id = call.id
                 UNION SELECT process FROM message WHERE state = 'sending'
             ) AS owner LEFT JOIN process ON process.id = owner.process
             WHERE owner.process <> ?",
        )
        .bind(self.process.to_string())
        .fetch_all(&mut *turn)
        .await?;
        let mut seen = Vec::new();
        for row in rows {
            let process: String = row.col("process")?;
            seen.push((
                Uuid::try_parse(&process).unwrap_or_default(),
                row.col::<i64>("beat")?,
            ));
        }
        watch
            .seen
            .retain(|known, _| seen.iter().any(|(process, _)| process == known));
        seen.retain(|&(process, beat)| watch.is_dead(process, beat, now));
        Ok(seen)
    }

    /// Says that this process is gone, so that what it may have left behind is taken over at once.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; it is found out a little later then.
    pub async fn leave(&self) -> Result<(), StoreError> {
        if !self.is_shared() || !self.is_open() {
            return Ok(());
        }
        let leaving = async {
            let mut turn = self.writing().await?;
            sqlx::query("DELETE FROM process WHERE id = ?")
                .bind(self.process.to_string())
                .execute(&mut *turn)
                .await?;
            Ok(turn.commit().await?)
        };
        self.asked(leaving).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_that_stands_still_is_that_of_a_dead_process() {
        let (mut watch, now, process) = (Watch::default(), Instant::now(), Uuid::new_v4());
        let after = |seconds| now + Duration::from_secs(seconds);
        assert!(!watch.is_dead(process, 7, now));
        assert!(!watch.is_dead(process, 7, after(4)));
        assert!(!watch.is_dead(process, 8, after(5)), "it lives");
        assert!(!watch.is_dead(process, 8, after(9)));
        assert!(watch.is_dead(process, 8, after(10)));
    }
}
