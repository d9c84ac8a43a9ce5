//! Idempotency keys: which request a key stood for, and what it led to.

use chrono::{DateTime, Duration, Utc};
use sha2::{Digest as _, Sha256};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{Columns as _, Store, StoreError, stamp};

/// How long a key is remembered, hours.
const REMEMBERED_HOURS: i64 = 24;

/// The key was used before, for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "This idempotency_key was already used with other arguments. Use a new key for a new request, or the same arguments \
     to get the first result again."
)]
pub struct KeyReused;

/// A key and the arguments it came with; both are known by their hashes alone, because agents make
/// keys of names and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    tool: &'static str,
    name: Vec<u8>,
    arguments: Vec<u8>,
}

impl Key {
    /// The key of a request to `tool`; `arguments` stands for all that makes two requests the same.
    pub fn new(tool: &'static str, key: &str, arguments: &str) -> Self {
        let hash = |text: &str| Sha256::digest(text).to_vec();
        Self {
            tool,
            name: hash(key),
            arguments: hash(arguments),
        }
    }
}

/// What is known of a key.
pub(super) enum Known {
    /// Nothing.
    New,
    /// It came with other arguments.
    Reused,
    /// It led to this call or message.
    Led(Uuid),
}

pub(super) async fn look_up(
    turn: &mut SqliteConnection,
    key: Option<&Key>,
    now: DateTime<Utc>,
) -> Result<Known, StoreError> {
    let Some(key) = key else {
        return Ok(Known::New);
    };
    let found = sqlx::query(
        "SELECT arguments, target FROM idempotency WHERE tool = ? AND key = ? AND made_at > ?",
    )
    .bind(key.tool)
    .bind(&key.name)
    .bind(stamp(now - Duration::hours(REMEMBERED_HOURS)))
    .fetch_optional(turn)
    .await?;
    let Some(found) = found else {
        return Ok(Known::New);
    };
    if found.col::<Vec<u8>>("arguments")? != key.arguments {
        return Ok(Known::Reused);
    }
    let target: String = found.col("target")?;
    let target = Uuid::try_parse(&target);
    target
        .map(Known::Led)
        .map_err(|_| StoreError::Failed("an idempotency key leads nowhere".to_owned()))
}

pub(super) async fn remember(
    turn: &mut SqliteConnection,
    key: Option<&Key>,
    target: Uuid,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(key) = key else { return Ok(()) };
    sqlx::query(
        "INSERT OR REPLACE INTO idempotency (tool, key, arguments, made_at, target) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(key.tool)
    .bind(&key.name)
    .bind(&key.arguments)
    .bind(stamp(now))
    .bind(target.to_string())
    .execute(turn)
    .await?;
    Ok(())
}

impl Store {
    /// A key leads to this call or message.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn is_key_of(&self, target: Uuid) -> Result<bool, StoreError> {
        let reading = async {
            let mut turn = self.reading().await?;
            let keys: i64 = sqlx::query_scalar("SELECT count(*) FROM idempotency WHERE target = ?")
                .bind(target.to_string())
                .fetch_one(&mut *turn)
                .await?;
            Ok(keys > 0)
        };
        self.looked(reading).await
    }
}

/// Lets go of keys that are too old to count.
pub(super) async fn purge(
    turn: &mut SqliteConnection,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM idempotency WHERE made_at <= ?")
        .bind(stamp(now - Duration::hours(REMEMBERED_HOURS)))
        .execute(turn)
        .await?;
    Ok(())
}
