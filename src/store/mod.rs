//! What outlives the process: calls, messages, limits and idempotency keys, in `SQLite`.
//!
//! - [`open`]: which files are ours, and which are left alone.
//! - [`calls`], [`messages`]: history; [`erase`]: the end of it.
//! - [`limits`]: what each day's limits have left, and what live calls hold of them.
//! - [`keys`]: idempotency keys.
//! - [`processes`]: who else uses the file, and who died over it.
//!
//! Without a file, the same tables are kept in memory and go with the process: there is one set of
//! rules, not two. The schema is described in `docs/store.md`.

pub mod calls;
pub mod erase;
pub mod keys;
pub mod limits;
pub mod messages;
mod open;
pub mod processes;
#[cfg(test)]
mod tests;

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{ColumnIndex, Decode, Row as _, Sqlite, Transaction, Type};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::cost::MicroUsd;

/// Nobody waits longer than this for the disk; whoever asked is told that it does not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Requests that were given up on and are still to be taken back.
const ABANDONED: usize = 1_000;

/// Where things are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: it goes with the process.
    Memory,
    /// In this file, which is made if there is none.
    File(PathBuf),
}

/// Why the store cannot be used. The text is for the agent and the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The file is something else.
    #[error(
        "the file that OPENAGENT_PHONE_DB names is not a database; it was left untouched. Name another file, or move \
         this one away"
    )]
    NotADatabase,
    /// The file is a database of another program.
    #[error(
        "the file that OPENAGENT_PHONE_DB names is a database of another program; it was left untouched. Name another \
         file"
    )]
    Foreign,
    /// A later version of this program has changed the schema.
    #[error(
        "the file that OPENAGENT_PHONE_DB names was written by a newer version of this program; it was left untouched. \
         Update this program, or name another file"
    )]
    Newer,
    /// Pages of the file are broken.
    #[error(
        "the database that OPENAGENT_PHONE_DB names is damaged; it was left untouched. Restore it from a backup, or \
         move it away to begin anew"
    )]
    Damaged,
    /// Another program holds it.
    #[error(
        "the database that OPENAGENT_PHONE_DB names is locked by another program. Close that program"
    )]
    Locked,
    /// There is no room.
    #[error("the disk of the database that OPENAGENT_PHONE_DB names is full. Make room on it")]
    Full,
    /// It cannot be written.
    #[error(
        "the database that OPENAGENT_PHONE_DB names cannot be written to. Give this program the right to write the file \
         and its folder"
    )]
    ReadOnly,
    /// It cannot be opened.
    #[error(
        "the database that OPENAGENT_PHONE_DB names cannot be opened ({0}). Check the path and its permissions"
    )]
    CannotOpen(String),
    /// The disk hangs.
    #[error("the database that OPENAGENT_PHONE_DB names does not answer. Check its disk")]
    Slow,
    /// The schema is of this program, but not as it made it.
    #[error(
        "the schema of the database that OPENAGENT_PHONE_DB names was changed by somebody else. Restore it from a \
         backup, or move it away to begin anew"
    )]
    Changed,
    /// Something else.
    #[error("the database that OPENAGENT_PHONE_DB names failed ({0})")]
    Failed(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::PoolTimedOut = error {
            return Self::Slow;
        }
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<i32>().ok());
        // The low byte is the primary result code (SQLite, "Result and Error Codes").
        match code.map(|code| code & 0xff) {
            Some(5 | 6) => Self::Locked,
            Some(8) => Self::ReadOnly,
            Some(11) => Self::Damaged,
            Some(13) => Self::Full,
            Some(14) => Self::CannotOpen("no such folder, or no permission".to_owned()),
            Some(26) => Self::NotADatabase,
            Some(code) => Self::Failed(format!("SQLite error {code}")),
            None => Self::Failed("unexpected content".to_owned()),
        }
    }
}

/// See the module. Nothing is opened before it is needed.
#[derive(Debug)]
pub struct Store {
    place: Place,
    /// Names this process in the file.
    process: Uuid,
    pool: OnceCell<SqlitePool>,
    trouble: Mutex<Option<StoreError>>,
    /// Those of this process who want to write, in the order in which they came. The database lets
    /// in whoever happens to ask at the right moment: on a slow disk some would wait in vain.
    turns: tokio::sync::Mutex<()>,
    /// Calls and messages that were refused because the store did not answer, and that it may have
    /// written down all the same.
    abandoned: Mutex<Vec<Uuid>>,
}

impl Store {
    /// A store that is kept in `place`.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            process: Uuid::new_v4(),
            pool: OnceCell::new(),
            trouble: Mutex::new(None),
            turns: tokio::sync::Mutex::default(),
            abandoned: Mutex::default(),
        }
    }

    /// Other processes may use it, and it is there when this one is gone.
    pub fn is_shared(&self) -> bool {
        self.place != Place::Memory
    }

    /// What was wrong the last time something was to be written, if that has not worked since.
    /// Reading proves nothing: it works on a disk that is full.
    pub fn trouble(&self) -> Option<StoreError> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Opens the store, unless it is open.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the next use tries again.
    pub async fn open(&self) -> Result<(), StoreError> {
        self.looked(async { Ok(()) }).await
    }

    /// Runs `work`, which writes, for no longer than anybody should wait, and remembers what came of
    /// it.
    async fn asked<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let result = self.in_time(work).await;
        self.remember(&result);
        result
    }

    /// Runs `work`, which only reads.
    async fn looked<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let result = self.in_time(work).await;
        if !self.is_open() {
            self.remember(&result);
        }
        result
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let opened_and_asked = async {
            self.pool().await?;
            work.await
        };
        let result = tokio::time::timeout(PATIENCE, opened_and_asked).await;
        // What is known already says more than that nothing came: where many ask, some wait for
        // their turn to be told the same.
        result.unwrap_or_else(|_| Err(self.trouble().unwrap_or(StoreError::Slow)))
    }

    fn remember<T>(&self, result: &Result<T, StoreError>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let now = result.as_ref().err().cloned();
        if *trouble != now {
            if let Some(error) = &now {
                tracing::error!(%error, "the store cannot be used: calls and messages are refused");
            } else {
                tracing::info!("the store can be used again");
            }
            *trouble = now;
        }
    }

    async fn pool(&self) -> Result<&SqlitePool, StoreError> {
        self.pool.get_or_try_init(|| open::open(&self.place)).await
    }

    /// A transaction that holds the only right to write from its beginning, so that what it reads
    /// is still true when it writes.
    async fn writing(&self) -> Result<Turn<'_>, StoreError> {
        let mut turn = self.turn().await?;
        let abandoned = self.abandoned().clone();
        if !abandoned.is_empty() {
            for id in &abandoned {
                limits::forget(&mut turn, *id).await?;
                messages::forget(&mut turn, *id).await?;
            }
            turn.commit().await?;
            self.abandoned().retain(|id| !abandoned.contains(id));
            turn = self.turn().await?;
        }
        Ok(turn)
    }

    async fn turn(&self) -> Result<Turn<'_>, StoreError> {
        let place = self.turns.lock().await;
        let transaction = self.pool().await?.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Turn {
            transaction,
            process: self.process,
            _place: place,
        })
    }

    fn abandoned(&self) -> MutexGuard<'_, Vec<Uuid>> {
        self.abandoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody was dialled or written to under this id, but the store may hold it: a commit that is
    /// given up on may still happen. It is taken back when next something is written.
    fn abandon(&self, id: Uuid) {
        let mut abandoned = self.abandoned();
        if abandoned.len() < ABANDONED {
            abandoned.push(id);
        }
    }

    /// The right to read; what is read is from one moment.
    async fn reading(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.pool().await?.begin().await?)
    }

    /// It has been used.
    pub fn is_open(&self) -> bool {
        self.pool.initialized()
    }
}

/// The right to write, until it is committed or dropped.
struct Turn<'a> {
    // Dropped first: the next one must find the database free.
    transaction: Transaction<'static, Sqlite>,
    process: Uuid,
    _place: tokio::sync::MutexGuard<'a, ()>,
}

impl Turn<'_> {
    async fn commit(mut self) -> Result<(), sqlx::Error> {
        // Whatever is written shows that this process lives.
        sqlx::query("UPDATE process SET beat = beat + 1 WHERE id = ?")
            .bind(self.process.to_string())
            .execute(&mut *self.transaction)
            .await?;
        self.transaction.commit().await
    }
}

impl Deref for Turn<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}

/// A moment, as the tables have it.
fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A day, as the tables have it.
fn day(day: NaiveDate) -> String {
    day.format("%Y-%m-%d").to_string()
}

/// A duration, as the tables have it.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// An amount, as the tables have it.
fn micros(amount: MicroUsd) -> i64 {
    i64::try_from(amount.micros()).unwrap_or(i64::MAX)
}

fn money(micros: i64) -> MicroUsd {
    MicroUsd::new(u64::try_from(micros).unwrap_or(0))
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// A word of the contract, such as `in_progress`.
fn word(of: impl Serialize) -> String {
    match serde_json::to_value(of) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Reads a row whose every value may be wrong: other programs can write to the file.
trait Columns {
    fn col<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(
        &'r self,
        name: &'static str,
    ) -> Result<T, StoreError>
    where
        &'static str: ColumnIndex<SqliteRow>;

    fn word<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, StoreError>;

    fn time(&self, name: &'static str) -> Result<Option<DateTime<Utc>>, StoreError>;
}

impl Columns for SqliteRow {
    fn col<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(
        &'r self,
        name: &'static str,
    ) -> Result<T, StoreError> {
        Ok(self.try_get(name)?)
    }

    fn word<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, StoreError> {
        let text: String = self.col(name)?;
        serde_json::from_value(Value::String(text))
            .map_err(|_| StoreError::Failed(format!("an unknown word in column {name}")))
    }

    fn time(&self, name: &'static str) -> Result<Option<DateTime<Utc>>, StoreError> {
        let text: Option<String> = self.col(name)?;
        text.map(|text| {
            DateTime::parse_from_rfc3339(&text)
                .map(|at| at.to_utc())
                .map_err(|_| StoreError::Failed(format!("no time in column {name}")))
        })
        .transpose()
    }
}
