//! The history of calls.

use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::{
    Columns as _, Store, StoreError, duration, limits, micros, millis, money, stamp, word,
};
use crate::call::record::hint;
use crate::call::snapshot::{Cost, Direction, Latency, Line, Outcome, Snapshot, Status};
use crate::cost::{Bill, MicroUsd};
use crate::realtime::event::Usage;

/// What is known of a call's line to the callee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineState {
    /// Nobody was dialled.
    None,
    /// Twilio is being asked, or was when this was written.
    Dialling,
    /// The answer was lost: the phone may ring.
    Unknown,
    /// It is known by its SID.
    Open,
    /// It is over.
    Over,
}

/// What is to be kept of a call that has changed.
#[derive(Debug, Clone)]
pub struct Saved {
    /// As the agent sees it, without its transcript.
    pub snapshot: Snapshot,
    /// The lines that have changed, each with its place in the conversation.
    pub lines: Vec<(u32, Line)>,
    /// When it came to each status that is not written down yet.
    pub history: Vec<(Status, DateTime<Utc>)>,
    /// Its line.
    pub line: LineState,
    /// What it used of the limits, once that is known.
    pub settled: Option<Duration>,
    /// The model that speaks, and what it used, if that is not written down yet.
    pub usage: Option<(String, Usage)>,
    /// What it cost so far, if that is known.
    pub bill: Option<Bill>,
    /// What its day is to be charged; more than that as long as the model may cost more.
    pub charge: Option<MicroUsd>,
}

/// A call from the store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredCall {
    /// As the agent sees it.
    pub snapshot: Snapshot,
    /// Who answers for it.
    pub process: Uuid,
    /// The Twilio account that it was made with.
    pub account: String,
    /// Its line.
    pub line: LineState,
    /// The cap on its duration, as granted.
    pub max_duration: Duration,
    /// After this moment Twilio has ended it, whatever became of us.
    pub over_by: DateTime<Utc>,
}

/// Which calls to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// At most so many.
    pub limit: u32,
    /// Placed after this moment.
    pub after: Option<DateTime<Utc>>,
    /// In this status.
    pub status: Option<Status>,
    /// To this number, E.164.
    pub to: Option<String>,
}

/// A call in a list.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Listed {
    /// UUID.
    #[schemars(extend("x-listed" = true))]
    pub call_id: String,
    /// The callee.
    #[schemars(extend("x-listed" = true))]
    pub to: String,
    /// Where it stands.
    pub status: Status,
    /// How it went, once it is over.
    pub outcome: Option<Outcome>,
    /// What happened, once it is over.
    pub summary: Option<String>,
    /// When it was placed.
    #[serde(serialize_with = "crate::call::snapshot::millis")]
    pub started_at: DateTime<Utc>,
    /// When it ended.
    #[serde(serialize_with = "crate::call::snapshot::millis_or_null")]
    pub ended_at: Option<DateTime<Utc>>,
    /// Seconds from the answer to the end, or to now.
    pub duration_s: f64,
    /// What it cost, in US dollars.
    pub cost_usd: Option<f64>,
}

/// How a call ends whose process died.
#[derive(Debug, Clone)]
pub struct Closing {
    /// A final status, unless it has one.
    pub status: Status,
    /// What broke.
    pub error: String,
    /// When it was answered, unless that is known.
    pub answered_at: Option<DateTime<Utc>>,
    /// When it ended, if that is known.
    pub ended_at: Option<DateTime<Utc>>,
    /// From the answer to the end.
    pub duration: Duration,
    /// What it used of the limits.
    pub used: Duration,
}

impl Store {
    /// Remembers that Twilio is about to be asked to dial. Nobody may be dialled before.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then nobody must be dialled.
    pub async fn dialling(&self, call: Uuid) -> Result<(), StoreError> {
        let writing = async {
            let mut turn = self.writing().await?;
            let done = sqlx::query(
                "UPDATE call SET line = 'dialling' WHERE id = ? AND process = ? AND line = 'none'",
            )
            .bind(call.to_string())
            .bind(self.process.to_string())
            .execute(&mut *turn)
            .await?;
            if done.rows_affected() == 0 {
                return Err(StoreError::Failed("the call is not there".to_owned()));
            }
            Ok(turn.commit().await?)
        };
        self.asked(writing).await
    }

    /// Keeps what has changed, all of it or nothing. Returns the calls that are not this process's
    /// any more: erased, or taken over by another process.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then nothing was kept.
    pub async fn save(&self, calls: &[Saved]) -> Result<Vec<String>, StoreError> {
        let writing = async {
            let mut turn = self.writing().await?;
            let mut strangers = Vec::new();
            for call in calls {
                if !self.save_one(&mut turn, call).await? {
                    strangers.push(call.snapshot.call_id.clone());
                }
            }
            turn.commit().await?;
            Ok(strangers)
        };
        self.asked(writing).await
    }

    async fn save_one(
        &self,
        turn: &mut SqliteConnection,
        saved: &Saved,
    ) -> Result<bool, StoreError> {
        let call = &saved.snapshot;
        let latency = call.latency.as_ref();
        let figure = |of: Option<u64>| of.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        let updated = sqlx::query(
            // Once Twilio is being asked, nothing takes that back.
            "UPDATE call SET line = coalesce(nullif(?, 'none'), line), twilio_sid = ?, status = ?, summary = ?, outcome = ?, error = ?,
                    answered_at = ?, ended_at = ?, disclosed_at = ?, duration_ms = ?, first_word_ms = ?,
                    turn_p50_ms = ?, turn_p95_ms = ?, turns = ?, model_micro_usd = ?, carrier_micro_usd = ?,
                    cost_estimated = ?, revision = ?
             WHERE id = ? AND process = ?",
        )
        .bind(word(saved.line))
        .bind(&call.twilio_sid)
        .bind(word(call.status))
        .bind(&call.summary)
        .bind(call.outcome.map(word))
        .bind(&call.error)
        .bind(call.answered_at.map(stamp))
        .bind(call.ended_at.map(stamp))
        .bind(call.disclosed_at.map(stamp))
        .bind(millis(Duration::from_secs_f64(call.duration_s.max(0.0))))
        .bind(figure(latency.map(|known| known.first_word_ms)))
        .bind(figure(latency.and_then(|known| known.turn_p50_ms)))
        .bind(figure(latency.and_then(|known| known.turn_p95_ms)))
        .bind(latency.map_or(0, |known| i64::try_from(known.turns).unwrap_or(0)))
        .bind(saved.bill.map(|bill| micros(bill.model)))
        .bind(saved.bill.map(|bill| micros(bill.carrier)))
        .bind(saved.bill.is_none_or(|bill| bill.estimated))
        .bind(figure(Some(call.revision)))
        .bind(&call.call_id)
        .bind(self.process.to_string())
        .execute(&mut *turn)
        .await?;
        if updated.rows_affected() == 0 {
            return Ok(false);
        }
        for (position, line) in &saved.lines {
            sqlx::query("INSERT OR REPLACE INTO line (call_id, position, t, role, text) VALUES (?, ?, ?, ?, ?)")
                .bind(&call.call_id)
                .bind(*position)
                .bind(stamp(line.t))
                .bind(word(line.role))
                .bind(&line.text)
                .execute(&mut *turn)
                .await?;
        }
        if !call.notes.is_empty() {
            save_notes(turn, call).await?;
        }
        for (status, at) in &saved.history {
            sqlx::query(
                "INSERT OR IGNORE INTO status_change (call_id, status, at) VALUES (?, ?, ?)",
            )
            .bind(&call.call_id)
            .bind(word(status))
            .bind(stamp(*at))
            .execute(&mut *turn)
            .await?;
        }
        if let Some((model, usage)) = &saved.usage {
            let tokens = |of: u64| i64::try_from(of).unwrap_or(i64::MAX);
            sqlx::query("INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
                .bind(&call.call_id)
                .bind(model)
                .bind(tokens(usage.text_in))
                .bind(tokens(usage.cached_text_in))
                .bind(tokens(usage.audio_in))
                .bind(tokens(usage.cached_audio_in))
                .bind(tokens(usage.text_out))
                .bind(tokens(usage.audio_out))
                .execute(&mut *turn)
                .await?;
        }
        match (saved.settled, Uuid::try_parse(&call.call_id)) {
            (Some(used), Ok(id)) => limits::settle(turn, id, used, saved.charge).await?,
            _ => {
                if let Some(cost) = saved.charge {
                    limits::outgrow(turn, &call.call_id, cost).await?;
                }
            }
        }
        Ok(true)
    }

    /// The call with this id.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn call(&self, id: Uuid) -> Result<Option<StoredCall>, StoreError> {
        let reading = async {
            let mut turn = self.reading().await?;
            let found = sqlx::query("SELECT * FROM call WHERE id = ?")
                .bind(id.to_string())
                .fetch_optional(&mut *turn)
                .await?;
            match found {
                Some(row) => Ok(Some(read(&mut turn, &row).await?)),
                None => Ok(None),
            }
        };
        self.looked(reading).await
    }

    /// Remembers Twilio's id of a call.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn learn_sid(&self, id: Uuid, sid: &str) -> Result<(), StoreError> {
        let writing = async {
            let mut turn = self.writing().await?;
            sqlx::query(
                "UPDATE call SET twilio_sid = ?, line = 'open' WHERE id = ? AND process = ?",
            )
            .bind(sid)
            .bind(id.to_string())
            .bind(self.process.to_string())
            .execute(&mut *turn)
            .await?;
            Ok(turn.commit().await?)
        };
        self.asked(writing).await
    }

    /// Remembers Twilio's id of a call of which nobody knew whether it was dialled, whoever answers
    /// for it. Returns whether there is such a call.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn found_unknown(&self, id: Uuid, sid: &str) -> Result<bool, StoreError> {
        let writing = async {
            let mut turn = self.writing().await?;
            let found = sqlx::query(
                "UPDATE call SET twilio_sid = ? WHERE id = ? AND line = 'unknown' AND twilio_sid IS NULL",
            )
            .bind(sid)
            .bind(id.to_string())
            .execute(&mut *turn)
            .await?;
            turn.commit().await?;
            Ok(found.rows_affected() > 0)
        };
        self.asked(writing).await
    }

    /// Closes a call whose process died, and gives back what it did not use.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; it is still open then.
    pub async fn close_call(
        &self,
        id: Uuid,
        closing: &Closing,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let writing = async {
            let mut turn = self.writing().await?;
            let name = id.to_string();
            let row = sqlx::query("SELECT status FROM call WHERE id = ? AND process = ?")
                .bind(&name)
                .bind(self.process.to_string())
                .fetch_optional(&mut *turn)
                .await?;
            let Some(row) = row else { return Ok(()) };
            if !row.word::<Status>("status")?.is_final() {
                // Without a verdict of the model, and with what the log of the line tells.
                let end = closing.status;
                let outcome = match end {
                    Status::Busy | Status::NoAnswer => Outcome::NoAnswer,
                    _ => Outcome::Failure,
                };
                sqlx::query(
                    "UPDATE call SET status = ?, outcome = ?, summary = ?, error = ?, ended_at = ?,
                            answered_at = coalesce(answered_at, ?), duration_ms = ?,
                            model_micro_usd = NULL, carrier_micro_usd = NULL,
                            revision = revision + 1 WHERE id = ?",
                )
                .bind(word(end))
                .bind(word(outcome))
                .bind("The messaging server ended during the call; see error and the transcript.")
                .bind(&closing.error)
                .bind(stamp(closing.ended_at.unwrap_or(now)))
                .bind(closing.answered_at.map(stamp))
                .bind(millis(closing.duration))
                .bind(&name)
                .execute(&mut *turn)
                .await?;
                sqlx::query(
                    "INSERT OR IGNORE INTO status_change (call_id, status, at) VALUES (?, ?, ?)",
                )
                .bind(&name)
                .bind(word(end))
                .bind(stamp(now))
                .execute(&mut *turn)
                .await?;
            }
            sqlx::query("UPDATE call SET line = 'over' WHERE id = ?")
                .bind(&name)
                .execute(&mut *turn)
                .await?;
            // What its process used last, it could not write down: all of its share is charged.
            limits::settle(&mut turn, id, closing.used, None).await?;
            Ok(turn.commit().await?)
        };
        self.asked(writing).await
    }

    /// Calls, newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn list(&self, filter: &Filter) -> Result<Vec<Listed>, StoreError> {
        let reading = async {
            let mut sql = QueryBuilder::<Sqlite>::new("SELECT * FROM call WHERE line <> 'none' ");
            if let Some(after) = filter.after {
                sql.push("AND started_at > ").push_bind(stamp(after));
            }
            if let Some(status) = filter.status {
                sql.push(" AND status = ").push_bind(word(status));
            }
            if let Some(to) = &filter.to {
                sql.push(" AND to_number = ").push_bind(to);
            }
            sql.push(" ORDER BY started_at DESC, id LIMIT ")
                .push_bind(filter.limit);
            let mut turn = self.reading().await?;
            let rows = sql.build().fetch_all(&mut *turn).await?;
            rows.iter().map(listed).collect()
        };
        self.looked(reading).await
    }
}

/// Writes the notes that are new: notes are only ever added.
async fn save_notes(turn: &mut SqliteConnection, call: &Snapshot) -> Result<(), StoreError> {
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM note WHERE call_id = ?")
        .bind(&call.call_id)
        .fetch_one(&mut *turn)
        .await?;
    let kept = usize::try_from(kept).unwrap_or(0);
    for (position, note) in call.notes.iter().enumerate().skip(kept) {
        sqlx::query("INSERT INTO note (call_id, position, text) VALUES (?, ?, ?)")
            .bind(&call.call_id)
            .bind(i64::try_from(position).unwrap_or(i64::MAX))
            .bind(note)
            .execute(&mut *turn)
            .await?;
    }
    Ok(())
}

fn listed(row: &SqliteRow) -> Result<Listed, StoreError> {
    Ok(Listed {
        call_id: row.col("id")?,
        to: row.col("to_number")?,
        status: row.word("status")?,
        outcome: outcome(row)?,
        summary: row.col("summary")?,
        started_at: row.time("started_at")?.unwrap_or_default(),
        ended_at: row.time("ended_at")?,
        duration_s: seconds(row)?,
        cost_usd: bill(row)?.map(|bill| bill.total().dollars()),
    })
}

fn bill(row: &SqliteRow) -> Result<Option<Bill>, StoreError> {
    let amount = |name| Ok::<_, StoreError>(row.col::<Option<i64>>(name)?.map(money));
    let (model, carrier) = (amount("model_micro_usd")?, amount("carrier_micro_usd")?);
    let estimated = row.col("cost_estimated")?;
    Ok(model.zip(carrier).map(|(model, carrier)| Bill {
        model,
        carrier,
        estimated,
    }))
}

fn outcome(row: &SqliteRow) -> Result<Option<Outcome>, StoreError> {
    match row.col::<Option<String>>("outcome")? {
        Some(_) => row.word("outcome").map(Some),
        None => Ok(None),
    }
}

/// With one decimal.
fn seconds(row: &SqliteRow) -> Result<f64, StoreError> {
    let tenths = row.col::<i64>("duration_ms")? / 100;
    Ok(f64::from(i32::try_from(tenths).unwrap_or(i32::MAX)) / 10.0)
}

pub(super) async fn read(
    turn: &mut SqliteConnection,
    row: &SqliteRow,
) -> Result<StoredCall, StoreError> {
    let id: String = row.col("id")?;
    let lines = sqlx::query("SELECT t, role, text FROM line WHERE call_id = ? ORDER BY position")
        .bind(&id)
        .fetch_all(&mut *turn)
        .await?;
    let transcript = lines.iter().map(|line| {
        Ok(Line {
            t: line.time("t")?.unwrap_or_default(),
            role: line.word("role")?,
            text: line.col("text")?,
        })
    });
    let notes = sqlx::query_scalar("SELECT text FROM note WHERE call_id = ? ORDER BY position")
        .bind(&id)
        .fetch_all(turn)
        .await?;
    let status: Status = row.word("status")?;
    let number = |name| {
        Ok::<_, StoreError>(
            row.col::<Option<i64>>(name)?
                .map(|n| u64::try_from(n).unwrap_or(0)),
        )
    };
    let turns = number("turns")?.unwrap_or(0);
    let (turn_p50_ms, turn_p95_ms) = (number("turn_p50_ms")?, number("turn_p95_ms")?);
    let latency = number("first_word_ms")?.map(|first_word_ms| Latency {
        first_word_ms,
        turn_p50_ms,
        turn_p95_ms,
        turns: usize::try_from(turns).unwrap_or(0),
    });
    let revision = number("revision")?.unwrap_or(0);
    let process: String = row.col("process")?;
    Ok(StoredCall {
        snapshot: Snapshot {
            twilio_sid: row.col("twilio_sid")?,
            direction: Direction::Outbound,
            to: row.col("to_number")?,
            from: row.col("from_number")?,
            mission: row.col("mission")?,
            language: row.col("language")?,
            status,
            transcript: transcript.collect::<Result<_, StoreError>>()?,
            notes,
            summary: row.col("summary")?,
            outcome: outcome(row)?,
            error: row.col("error")?,
            started_at: row.time("started_at")?.unwrap_or_default(),
            answered_at: row.time("answered_at")?,
            ended_at: row.time("ended_at")?,
            pending_question: None,
            cost: bill(row)?.map(Cost::from),
            latency,
            disclosed_at: row.time("disclosed_at")?,
            duration_s: seconds(row)?,
            revision,
            hint: hint(status, revision),
            call_id: id,
        },
        process: Uuid::try_parse(&process).unwrap_or_default(),
        account: row.col("account")?,
        line: row.word("line")?,
        max_duration: duration(row.col("max_duration_ms")?),
        over_by: row.time("over_by")?.unwrap_or_default(),
    })
}
