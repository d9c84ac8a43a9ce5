//! The limits of the day, as all processes that share the store have used them. Each check and what
//! it takes are one transaction, begun with the right to write: two that ask at the same moment
//! come one after the other.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use sha2::{Digest as _, Sha256};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::keys::{Key, KeyReused, Known};
use super::{Columns as _, Store, StoreError, day, duration, keys, micros, millis, money, stamp};
use crate::call::record::Brief;
use crate::call::snapshot::Status;
use crate::cost::{MicroUsd, Unpriced, WorstCase};
use crate::phone::E164;
use crate::safety::budget::{Limits, OverBudget, Used};

/// A call that wants to be placed.
#[derive(Debug, Clone, Copy)]
pub struct NewCall<'a> {
    /// What will be known of it; its `max_duration` is what was asked for.
    pub brief: &'a Brief,
    /// The Twilio account that it is made with.
    pub account: &'a str,
    /// The key that must not lead to a second call.
    pub key: Option<&'a Key>,
    /// From now until Twilio has certainly ended the call, without the call itself.
    pub overhead: Duration,
    /// The most that it may cost.
    pub worst: Result<WorstCase, Unpriced>,
}

/// What came of asking for a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Reserved {
    /// It may be placed, under this id and for this long. It holds its share until it is
    /// [settled](Store::settle) or [forgotten](Store::forget_call).
    New(Uuid, Duration),
    /// The key led to this call before.
    Before(Uuid),
}

/// Why the store refuses a call or a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A limit is reached.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// The key was used for something else.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// A limit that cannot be checked is reached.
    #[error(
        "Refused, because the limits cannot be checked: {0}. Tell the user; the tools that need no limits go on working."
    )]
    Unchecked(#[from] StoreError),
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::Unchecked(error.into())
    }
}

impl Store {
    /// Reserves a call: its share of the day, one of the calls in flight, one of the calls to its
    /// number. From then on the call is known, and so is its key.
    ///
    /// # Errors
    ///
    /// [`Refused`]; then nothing is held.
    pub async fn reserve_call(
        &self,
        new: NewCall<'_>,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Result<Reserved, Refused> {
        let id = Uuid::new_v4();
        let reserving = async {
            let mut turn = self.writing().await?;
            let taken = self.try_to_take(&mut turn, id, new, limits, now).await?;
            if let Ok(Reserved::New(..)) = taken {
                turn.commit().await?;
            }
            Ok(taken)
        };
        let reserved = self.asked(reserving).await;
        if reserved.is_err() {
            self.abandon(id);
        }
        reserved?
    }

    /// What [`reserve_call`](Self::reserve_call) would say now; nothing is held.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn probe_call(
        &self,
        new: NewCall<'_>,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Result<Reserved, Refused> {
        let probing = async {
            // Not committed: what is dropped did not happen.
            let mut turn = self.writing().await?;
            self.try_to_take(&mut turn, Uuid::new_v4(), new, limits, now)
                .await
        };
        self.asked(probing).await?
    }

    async fn try_to_take(
        &self,
        turn: &mut SqliteConnection,
        id: Uuid,
        new: NewCall<'_>,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Result<Result<Reserved, Refused>, StoreError> {
        Ok(match keys::look_up(turn, new.key, now).await? {
            Known::Reused => Err(KeyReused.into()),
            Known::Led(target) => Ok(Reserved::Before(target)),
            Known::New => {
                let taken = self.take(turn, id, new, limits, now).await?;
                taken.map_err(Refused::from)
            }
        })
    }

    async fn take(
        &self,
        turn: &mut SqliteConnection,
        id: Uuid,
        new: NewCall<'_>,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Result<Result<Reserved, OverBudget>, StoreError> {
        let today = now.date_naive();
        let brief = new.brief;
        let number = number_of_day(turn, today, &brief.to).await?;
        let used = used(turn, today, Some(&number)).await?;
        let granted = match limits.grant(brief.max_duration, &used, today) {
            Ok(granted) => granted,
            Err(over) => return Ok(Err(over)),
        };
        let most = new.worst.map(|worst| worst.of(granted));
        let held = match limits.admit_cost(most, &used) {
            Ok(held) => held,
            Err(over) => return Ok(Err(over)),
        };
        let name = id.to_string();
        sqlx::query(
            "INSERT INTO reservation (call_id, day, number, granted_ms, micro_usd) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&name)
        .bind(day(today))
        .bind(&number)
        .bind(millis(granted))
        .bind(micros(held))
        .execute(&mut *turn)
        .await?;
        sqlx::query(
            "INSERT INTO day_number (day, number, calls) VALUES (?, ?, 1)
             ON CONFLICT DO UPDATE SET calls = calls + 1",
        )
        .bind(day(today))
        .bind(&number)
        .execute(&mut *turn)
        .await?;
        sqlx::query(
            "INSERT INTO call (id, process, account, line, to_number, from_number, mission, language,
                               max_duration_ms, over_by, status, started_at, revision)
             VALUES (?, ?, ?, 'none', ?, ?, ?, ?, ?, ?, ?, ?, 1)",
        )
        .bind(&name)
        .bind(self.process.to_string())
        .bind(new.account)
        .bind(brief.to.as_str())
        .bind(brief.from.as_str())
        .bind(brief.mission.as_ref())
        .bind(brief.language.tag())
        .bind(millis(granted))
        .bind(stamp(now + granted + new.overhead))
        .bind(super::word(Status::Initiated))
        .bind(stamp(now))
        .execute(&mut *turn)
        .await?;
        sqlx::query("INSERT OR IGNORE INTO process (id, beat) VALUES (?, 0)")
            .bind(self.process.to_string())
            .execute(&mut *turn)
            .await?;
        keys::remember(turn, new.key, id, now).await?;
        Ok(Ok(Reserved::New(id, granted)))
    }

    /// Gives back what a call did not use of its share, once. What it used is charged to the day on
    /// which it was placed; `cost` again whenever it turns out to be another, and the whole share if
    /// it is not known.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; it holds its whole share then.
    pub async fn settle(
        &self,
        call: Uuid,
        used: Duration,
        cost: Option<MicroUsd>,
    ) -> Result<(), StoreError> {
        let settling = async {
            let mut turn = self.writing().await?;
            settle(&mut turn, call, used, cost).await?;
            Ok(turn.commit().await?)
        };
        self.asked(settling).await
    }

    /// Takes everything back that a call held: it was never dialled.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; whoever finds it later sees that it was not dialled.
    pub async fn forget_call(&self, call: Uuid) -> Result<(), StoreError> {
        let forgetting = async {
            let mut turn = self.writing().await?;
            forget(&mut turn, call).await?;
            Ok(turn.commit().await?)
        };
        self.asked(forgetting).await
    }

    /// Call time and money used and reserved today, calls in flight, and messages, of all processes.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn used(&self, now: DateTime<Utc>) -> Result<Used, StoreError> {
        let reading = async {
            let mut turn = self.reading().await?;
            used(&mut turn, now.date_naive(), None).await
        };
        self.looked(reading).await
    }
}

pub(super) async fn settle(
    turn: &mut SqliteConnection,
    call: Uuid,
    used: Duration,
    cost: Option<MicroUsd>,
) -> Result<(), StoreError> {
    let held = sqlx::query("DELETE FROM reservation WHERE call_id = ? RETURNING day, micro_usd")
        .bind(call.to_string())
        .fetch_optional(&mut *turn)
        .await?;
    let mut share = None;
    if let Some(held) = held {
        sqlx::query("UPDATE day SET spoken_ms = spoken_ms + ? WHERE day = ?")
            .bind(millis(used))
            .bind(held.col::<String>("day")?)
            .execute(&mut *turn)
            .await?;
        share = Some(money(held.col("micro_usd")?));
    }
    // What nobody knows may have been all of it.
    match cost.or(share) {
        Some(charge_now) => charge(turn, call, charge_now).await,
        None => Ok(()),
    }
}

/// Counts what a call has cost among what its day has spent, in place of what was counted before.
async fn charge(turn: &mut SqliteConnection, call: Uuid, cost: MicroUsd) -> Result<(), StoreError> {
    let name = call.to_string();
    sqlx::query(
        "UPDATE day SET spent_micro_usd = max(0, spent_micro_usd + ?1
                 - (SELECT charged_micro_usd FROM call WHERE id = ?2))
         WHERE day = (SELECT substr(started_at, 1, 10) FROM call WHERE id = ?2)",
    )
    .bind(micros(cost))
    .bind(&name)
    .execute(&mut *turn)
    .await?;
    sqlx::query("UPDATE call SET charged_micro_usd = ? WHERE id = ?")
        .bind(micros(cost))
        .bind(&name)
        .execute(turn)
        .await?;
    Ok(())
}

/// A live call has cost more than its share: others must not count on the rest.
pub(super) async fn outgrow(
    turn: &mut SqliteConnection,
    call: &str,
    cost: MicroUsd,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE reservation SET micro_usd = ?1 WHERE call_id = ?2 AND micro_usd < ?1")
        .bind(micros(cost))
        .bind(call)
        .execute(turn)
        .await?;
    Ok(())
}

pub(super) async fn forget(turn: &mut SqliteConnection, call: Uuid) -> Result<(), StoreError> {
    let name = call.to_string();
    let held = sqlx::query("DELETE FROM reservation WHERE call_id = ? RETURNING day, number")
        .bind(&name)
        .fetch_optional(&mut *turn)
        .await?;
    if let Some(held) = held {
        sqlx::query("UPDATE day_number SET calls = calls - 1 WHERE day = ? AND number = ?")
            .bind(held.col::<String>("day")?)
            .bind(held.col::<Vec<u8>>("number")?)
            .execute(&mut *turn)
            .await?;
    }
    for sql in [
        "DELETE FROM call WHERE id = ?",
        "DELETE FROM idempotency WHERE target = ?",
    ] {
        sqlx::query(sql).bind(&name).execute(&mut *turn).await?;
    }
    Ok(())
}

/// What the limits of `today` have left.
pub(super) async fn used(
    turn: &mut SqliteConnection,
    today: NaiveDate,
    number: Option<&[u8]>,
) -> Result<Used, StoreError> {
    let latest: Option<String> = sqlx::query_scalar("SELECT max(day) FROM day")
        .fetch_one(&mut *turn)
        .await?;
    let row = sqlx::query(
        "SELECT coalesce((SELECT spoken_ms FROM day WHERE day = ?1), 0) AS spoken,
                coalesce((SELECT messages FROM day WHERE day = ?1), 0) AS messages,
                coalesce((SELECT sum(granted_ms) FROM reservation WHERE day = ?1), 0) AS reserved,
                coalesce((SELECT spent_micro_usd FROM day WHERE day = ?1), 0) AS spent,
                coalesce((SELECT sum(micro_usd) FROM reservation WHERE day = ?1), 0) AS held,
                (SELECT count(*) FROM reservation) AS in_flight,
                coalesce((SELECT calls FROM day_number WHERE day = ?1 AND number = ?2), 0) AS calls",
    )
    .bind(day(today))
    .bind(number)
    .fetch_one(turn)
    .await?;
    let count = |name| Ok::<_, StoreError>(u32::try_from(row.col::<i64>(name)?).unwrap_or(0));
    Ok(Used {
        latest_day: latest.and_then(|day| day.parse().ok()),
        time: duration(row.col("spoken")?) + duration(row.col("reserved")?),
        in_flight: usize::try_from(row.col::<i64>("in_flight")?).unwrap_or(0),
        calls_to_number: count("calls")?,
        messages: count("messages")?,
        cost: money(row.col("spent")?) + money(row.col("held")?),
    })
}

/// What stands for a number on a day. Who was called must be countable also when the call itself is
/// erased, but not be told from the file once the day, and with it its salt, is gone.
async fn number_of_day(
    turn: &mut SqliteConnection,
    today: NaiveDate,
    number: &E164,
) -> Result<Vec<u8>, StoreError> {
    begin_day(turn, today).await?;
    let salt: Vec<u8> = sqlx::query_scalar("SELECT salt FROM day WHERE day = ?")
        .bind(day(today))
        .fetch_one(turn)
        .await?;
    let hash = Sha256::new()
        .chain_update(salt)
        .chain_update(number.as_str());
    Ok(hash.finalize().to_vec())
}

pub(super) async fn begin_day(
    turn: &mut SqliteConnection,
    today: NaiveDate,
) -> Result<(), StoreError> {
    sqlx::query("INSERT OR IGNORE INTO day (day, salt) VALUES (?, randomblob(32))")
        .bind(day(today))
        .execute(turn)
        .await?;
    Ok(())
}
