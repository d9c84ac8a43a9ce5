//! Messages that were sent, each counted and written down before it leaves the machine.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::keys::{self, Key, KeyReused, Known};
use super::limits::{Refused, begin_day, used};
use super::{Columns as _, Store, StoreError, day, micros, stamp, word};
use crate::cost::{MicroUsd, Unpriced};
use crate::phone::E164;
use crate::safety::budget::Limits;
use crate::twilio::rest::MessageResource;

/// A message that wants to be sent.
#[derive(Debug, Clone, Copy)]
pub struct NewMessage<'a> {
    /// To whom.
    pub to: &'a E164,
    /// From which number.
    pub from: &'a E164,
    /// What it says.
    pub text: Option<&'a str>,
    /// What it carries.
    pub media_url: Option<&'a str>,
    /// What it costs.
    pub cost: Result<MicroUsd, Unpriced>,
    /// The key that must not lead to a second message.
    pub key: Option<&'a Key>,
}

/// What came of asking for a message.
#[derive(Debug, PartialEq)]
pub enum Counted {
    /// It may be sent, and is known under this id.
    New(Uuid),
    /// The key led to this message before.
    Before(SentBefore),
}

/// A message that an earlier request led to.
#[derive(Debug, PartialEq)]
pub enum SentBefore {
    /// Twilio took it.
    Accepted(MessageResource),
    /// Another process is sending it at this moment.
    Sending,
    /// Nobody knows whether it was sent.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Sending,
    Unknown,
    Accepted,
}

impl Store {
    /// Counts a message that is about to be sent, and writes it down.
    ///
    /// # Errors
    ///
    /// [`Refused`]; then it must not be sent.
    pub async fn count_message(
        &self,
        new: NewMessage<'_>,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Result<Counted, Refused> {
        let id = Uuid::new_v4();
        let counting = async {
            let mut turn = self.writing().await?;
            match keys::look_up(&mut turn, new.key, now).await? {
                Known::Reused => return Ok(Err(KeyReused.into())),
                Known::Led(id) => {
                    return Ok(Ok(Counted::Before(self.before(id, &mut turn).await?)));
                }
                Known::New => {}
            }
            let today = now.date_naive();
            let used = used(&mut turn, today, None).await?;
            if let Err(over) = limits.admit_message(&used, today) {
                return Ok(Err(over.into()));
            }
            let cost = match limits.admit_cost(new.cost, &used) {
                Ok(cost) => cost,
                Err(over) => return Ok(Err(over.into())),
            };
            begin_day(&mut turn, today).await?;
            sqlx::query(
                "UPDATE day SET messages = messages + 1, spent_micro_usd = spent_micro_usd + ? WHERE day = ?",
            )
            .bind(micros(cost))
            .bind(day(today))
            .execute(&mut *turn)
            .await?;
            sqlx::query(
                "INSERT INTO message (id, process, state, to_number, from_number, text, media_url, micro_usd, sent_at)
                 VALUES (?, ?, 'sending', ?, ?, ?, ?, ?, ?)",
            )
            .bind(id.to_string())
            .bind(self.process.to_string())
            .bind(new.to.as_str())
            .bind(new.from.as_str())
            .bind(new.text)
            .bind(new.media_url)
            .bind(micros(cost))
            .bind(stamp(now))
            .execute(&mut *turn)
            .await?;
            keys::remember(&mut turn, new.key, id, now).await?;
            sqlx::query("INSERT OR IGNORE INTO process (id, beat) VALUES (?, 0)")
                .bind(self.process.to_string())
                .execute(&mut *turn)
                .await?;
            turn.commit().await?;
            Ok(Ok(Counted::New(id)))
        };
        let counted = self.asked(counting).await;
        if counted.is_err() {
            self.abandon(id);
        }
        counted?
    }

    async fn before(
        &self,
        id: Uuid,
        turn: &mut SqliteConnection,
    ) -> Result<SentBefore, StoreError> {
        let row = sqlx::query("SELECT * FROM message WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(turn)
            .await?;
        let Some(row) = row else {
            return Ok(SentBefore::Unknown);
        };
        let number = |name| {
            let number: Option<i64> = row.col(name)?;
            Ok::<_, StoreError>(number.and_then(|number| u32::try_from(number).ok()))
        };
        Ok(match row.word::<State>("state")? {
            State::Accepted => SentBefore::Accepted(MessageResource {
                sid: row.col::<Option<String>>("twilio_sid")?.unwrap_or_default(),
                status: row.col("status")?,
                to: row.col("to_number")?,
                from: row.col("from_number")?,
                num_segments: number("segments")?,
                ..MessageResource::default()
            }),
            State::Sending if row.col::<String>("process")? != self.process.to_string() => {
                SentBefore::Sending
            }
            State::Sending | State::Unknown => SentBefore::Unknown,
        })
    }

    /// Remembers what Twilio made of a message, and what it cost, if that was known no better before.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; later it is as if nobody knew whether the message was sent.
    pub async fn message_accepted(
        &self,
        id: Uuid,
        message: &MessageResource,
        cost: Option<MicroUsd>,
    ) -> Result<(), StoreError> {
        let writing = async {
            let mut turn = self.writing().await?;
            if let Some(cost) = cost {
                sqlx::query(
                    "UPDATE day SET spent_micro_usd = max(0, spent_micro_usd + ?1
                             - (SELECT micro_usd FROM message WHERE id = ?2))
                     WHERE day = (SELECT substr(sent_at, 1, 10) FROM message WHERE id = ?2)",
                )
                .bind(micros(cost))
                .bind(id.to_string())
                .execute(&mut *turn)
                .await?;
                sqlx::query("UPDATE message SET micro_usd = ? WHERE id = ?")
                    .bind(micros(cost))
                    .bind(id.to_string())
                    .execute(&mut *turn)
                    .await?;
            }
            sqlx::query(
                "UPDATE message SET state = ?, twilio_sid = ?, status = ?, segments = ? WHERE id = ?",
            )
            .bind(word(State::Accepted))
            .bind(&message.sid)
            .bind(&message.status)
            .bind(message.num_segments)
            .bind(id.to_string())
            .execute(&mut *turn)
            .await?;
            Ok(turn.commit().await?)
        };
        self.asked(writing).await
    }

    /// Remembers that nobody knows whether a message was sent. It stays counted.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; it is the same then.
    pub async fn message_unknown(&self, id: Uuid) -> Result<(), StoreError> {
        let writing = async {
            let mut turn = self.writing().await?;
            sqlx::query("UPDATE message SET state = ? WHERE id = ?")
                .bind(word(State::Unknown))
                .bind(id.to_string())
                .execute(&mut *turn)
                .await?;
            Ok(turn.commit().await?)
        };
        self.asked(writing).await
    }

    /// Takes a message back that was certainly not sent.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; it stays counted until the store can be written to again.
    pub async fn forget_message(&self, id: Uuid) -> Result<(), StoreError> {
        let forgetting = async {
            let mut turn = self.writing().await?;
            forget(&mut turn, id).await?;
            Ok(turn.commit().await?)
        };
        let forgotten = self.asked(forgetting).await;
        if forgotten.is_err() {
            self.abandon(id);
        }
        forgotten
    }
}

pub(super) async fn forget(turn: &mut SqliteConnection, id: Uuid) -> Result<(), StoreError> {
    let gone = sqlx::query("DELETE FROM message WHERE id = ? RETURNING sent_at, micro_usd")
        .bind(id.to_string())
        .fetch_optional(&mut *turn)
        .await?;
    if let Some(gone) = gone {
        let sent_at: String = gone.col("sent_at")?;
        sqlx::query(
            "UPDATE day SET messages = messages - 1,
                    spent_micro_usd = max(0, spent_micro_usd - ?) WHERE day = ?",
        )
        .bind(gone.col::<i64>("micro_usd")?)
        .bind(sent_at.get(..10))
        .execute(&mut *turn)
        .await?;
    }
    sqlx::query("DELETE FROM idempotency WHERE target = ?")
        .bind(id.to_string())
        .execute(turn)
        .await?;
    Ok(())
}
