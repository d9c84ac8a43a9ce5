//! The hosts: each places a call, follows it in its own way, and places the next.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openagent_messaging::sandbox::Chance;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::callees;
use crate::product::{Product, lock};

/// What the hosts have to do.
pub struct Day {
    pub product: Arc<Product>,
    pub until: Instant,
    pub seed: u64,
}

/// What they saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Every call that was placed, or of which that is unknown.
    pub calls: HashSet<String>,
    /// Calls that were not placed, by the reason that was given.
    pub refused: BTreeMap<String, u64>,
    /// Messages that were sent, and those that were not.
    pub messages: (u64, u64),
    /// The most calls that were in flight at once.
    pub most_at_once: u64,
    /// What must not be.
    pub wrong: Vec<String>,
}

/// Lives until the day is over and every host has hung up.
pub async fn live(day: &Day, hosts: usize) -> Seen {
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let mut tasks = JoinSet::new();
    for index in 0..hosts {
        let host = Host {
            product: Arc::clone(&day.product),
            until: day.until,
            seen: Arc::clone(&seen),
            chance: Chance::new(day.seed.wrapping_mul(1_000_003).wrapping_add(index as u64)),
        };
        tasks.spawn(host.live());
    }
    let (product, until, noted) = (Arc::clone(&day.product), day.until, Arc::clone(&seen));
    tasks.spawn(write_messages(product, until, noted));
    let (product, until, noted) = (Arc::clone(&day.product), day.until, Arc::clone(&seen));
    tasks.spawn(look_now_and_then(product, until, noted));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            lock(&seen).wrong.push(format!("a host failed: {error}"));
        }
    }
    std::mem::take(&mut *lock(&seen))
}

struct Host {
    product: Arc<Product>,
    until: Instant,
    seen: Arc<Mutex<Seen>>,
    chance: Chance,
}

impl Host {
    async fn live(mut self) {
        // Not all at once.
        sleep(self.chance.between(0, 10_000)).await;
        while Instant::now() < self.until {
            if let Some((call, revision)) = self.place().await {
                lock(&self.seen).calls.insert(call.clone());
                self.follow(&call, revision).await;
            }
            sleep(self.chance.between(0, 1_000)).await;
        }
    }

    /// Places a call; half of them with a key, and some of those twice at once.
    async fn place(&mut self) -> Option<(String, u64)> {
        let mut order = json!({
            "to": callees::anybody(&mut self.chance),
            "mission": "Book a table for two on Tuesday at ten.",
            "caller_identity": "Maria Rossi",
            "max_duration_seconds": self.chance.between(15_000, 40_000).as_secs(),
        });
        if self.chance.strikes(0.5) {
            let key = format!("{:?}", self.chance.between(0, u32::MAX));
            order["idempotency_key"] = json!(key + order["to"].as_str().unwrap_or_default());
        }
        let placing = self.product.tool("phone_call_place", order.clone());
        let placed = if order["idempotency_key"].is_string() && self.chance.strikes(0.3) {
            let again = self.product.tool("phone_call_place", order.clone());
            let (placed, again) = tokio::join!(placing, again);
            if let (Ok(placed), Ok(again)) = (&placed, &again)
                && placed["call_id"] != again["call_id"]
            {
                let what = format!("one key, two calls: {placed} {again}");
                lock(&self.seen).wrong.push(what);
            }
            // The first may have been refused, and the second come when there was room.
            placed.or(again)
        } else {
            placing.await
        };
        match placed {
            Ok(placed) => {
                let call = placed["call_id"].as_str()?.to_owned();
                Some((call, placed["revision"].as_u64()?))
            }
            Err(why) => {
                // The phone may ring: the call is known, and must come to its end as well.
                let unknown = why.split("call_id ").nth(1).and_then(|rest| rest.get(..36));
                *lock(&self.seen).refused.entry(reason(&why)).or_default() += 1;
                unknown.map(|call| (call.to_owned(), 0))
            }
        }
    }

    /// Waits in this way and that, until the call is over; hangs up if it takes too long.
    async fn follow(&mut self, call: &str, mut revision: u64) {
        let patience = if self.chance.strikes(0.3) {
            self.chance.between(0, 15_000)
        } else {
            Duration::from_mins(10)
        };
        let hang_up_at = (Instant::now() + patience).min(self.until);
        loop {
            if Instant::now() >= hang_up_at {
                if let Err(why) = self.hang_up(call).await {
                    lock(&self.seen).wrong.push(format!("hanging up: {why}"));
                }
                return;
            }
            let ask = match self.chance.between(0, 4).as_millis() {
                0 => json!({"call_id": call, "transcript": "full"}),
                1 => json!({"call_id": call, "wait": true, "since": revision, "transcript": "new",
                    "timeout_seconds": 1 + self.chance.between(0, 5_000).as_secs()}),
                2 => json!({"call_id": call, "wait": true, "since": revision, "wake_on": "final",
                    "timeout_seconds": 1 + self.chance.between(0, 9_000).as_secs()}),
                _ => json!({"call_id": call, "wait": true, "wake_on": "attention",
                    "timeout_seconds": 1 + self.chance.between(0, 5_000).as_secs()}),
            };
            match self.product.tool("phone_call_status", ask.clone()).await {
                Ok(now) => {
                    let newer = now["revision"].as_u64().unwrap_or_default();
                    if newer < revision {
                        let what = format!("{call}: revision {newer} after {revision}");
                        lock(&self.seen).wrong.push(what);
                    }
                    revision = newer;
                    if is_final(&now) {
                        return;
                    }
                }
                Err(why) => {
                    lock(&self.seen).wrong.push(format!("{ask}: {why}"));
                    return;
                }
            }
            sleep(self.chance.between(0, 500)).await;
        }
    }

    async fn hang_up(&self, call: &str) -> Result<(), String> {
        let ended = self
            .product
            .tool("phone_call_hangup", json!({"call_id": call}))
            .await?;
        if is_final(&ended) {
            Ok(())
        } else {
            Err(format!("not final: {ended}"))
        }
    }
}

/// The call is over, says its snapshot.
pub fn is_final(snapshot: &Value) -> bool {
    let live = ["initiated", "ringing", "in_progress"];
    snapshot["status"]
        .as_str()
        .is_some_and(|status| !live.contains(&status))
}

/// A refusal in a few words, without what is particular to one call.
fn reason(why: &str) -> String {
    let words = why
        .split([' ', ':', '.', '('])
        .filter(|word| !word.is_empty());
    let known = words.filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    known.take(12).collect::<Vec<_>>().join(" ")
}

async fn write_messages(product: Arc<Product>, until: Instant, seen: Arc<Mutex<Seen>>) {
    let mut chance = Chance::new(99);
    while Instant::now() < until {
        sleep(chance.between(200, 2_000)).await;
        let message = json!({"to": callees::anybody(&mut chance), "text": "The table is booked."});
        let sent = product.tool("sms_send", message).await;
        let mut seen = lock(&seen);
        match sent {
            Ok(_) => seen.messages.0 += 1,
            Err(_) => seen.messages.1 += 1,
        }
    }
}

async fn look_now_and_then(product: Arc<Product>, until: Instant, seen: Arc<Mutex<Seen>>) {
    while Instant::now() < until {
        sleep(Duration::from_millis(500)).await;
        match product.tool("status", json!({})).await {
            Ok(status) => {
                let active = status["phone"]["active_calls"].as_u64().unwrap_or_default();
                let mut seen = lock(&seen);
                seen.most_at_once = seen.most_at_once.max(active);
            }
            Err(why) => lock(&seen).wrong.push(format!("status: {why}")),
        }
    }
}
