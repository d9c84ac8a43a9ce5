//! Orphans: calls whose process died. They are hung up and closed with the truth, never taken up
//! again; nothing found here causes a dial.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::Switchboard;
use crate::call::session::Session;
use crate::call::snapshot::Status;
use crate::store::calls::{Closing, LineState, StoredCall};
use crate::store::processes::{BEAT, Watch};
use crate::twilio::rest::{CallResource, TwilioError};

/// How often to look for dead processes while this one has no calls and sees no others.
const AT_EASE: Duration = Duration::from_secs(5);

/// How long after the start to look every [`BEAT`].
const ON_ALERT: Duration = Duration::from_secs(10);

/// How often what is too old is looked for.
const PURGE: Duration = Duration::from_secs(60 * 60);

/// Between two questions about an orphan that Twilio has not ended yet, or cannot answer for;
/// doubled each time.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The longest such pause.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(30);

/// A webhook about a call of a process that may have died waits this long for that to come out.
const CLAIMED: Duration = Duration::from_secs(8);

/// Webhooks at once about calls that are not of this process: each is looked up in the store, and may
/// wait. More are told to come back, and take nothing from the calls that are.
const STRAYS: usize = 32;

/// At the least, to ask Twilio about an orphan.
const PATIENCE: chrono::Duration = chrono::Duration::minutes(2);

/// What the agent reads of an orphan.
const DIED: &str = "process ended during the call";

/// What the agent reads of an orphan of which nobody knows whether it was dialled.
const DIED_DIALLING: &str = "process ended during the call: it is unknown whether the phone rang";

/// The orphans that this process answers for.
#[derive(Debug)]
pub(super) struct Orphans {
    known: Mutex<HashMap<Uuid, Arc<Orphan>>>,
    claimed: Notify,
    look: Notify,
    strays: Semaphore,
}

impl Default for Orphans {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            claimed: Notify::new(),
            look: Notify::new(),
            strays: Semaphore::new(STRAYS),
        }
    }
}

/// What Twilio has told of an orphan.
#[derive(Debug)]
struct Orphan {
    sid: watch::Sender<Option<String>>,
}

impl Orphans {
    /// This process has a call: others must see that it lives.
    pub(super) fn look(&self) {
        self.look.notify_one();
    }

    /// Room for one more webhook about a call that is not of this process.
    pub(super) fn place_for_a_stray(&self) -> Option<SemaphorePermit<'_>> {
        self.strays.try_acquire().ok()
    }

    fn get(&self, id: Uuid) -> Option<Arc<Orphan>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).cloned()
    }

    fn claim(&self, call: &StoredCall) -> Option<(Uuid, Arc<Orphan>)> {
        let id = Uuid::try_parse(&call.snapshot.call_id).ok()?;
        let orphan = Arc::new(Orphan {
            sid: watch::Sender::new(call.snapshot.twilio_sid.clone()),
        });
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(id, Arc::clone(&orphan));
        drop(known);
        self.claimed.notify_waiters();
        Some((id, orphan))
    }

    fn close(&self, id: Uuid) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&id);
    }

    /// Waits until this process answers for a call.
    async fn claimed(&self, id: Uuid) -> Arc<Orphan> {
        loop {
            let mut news = std::pin::pin!(self.claimed.notified());
            news.as_mut().enable();
            if let Some(orphan) = self.get(id) {
                return orphan;
            }
            news.await;
        }
    }
}

impl Switchboard {
    /// Shows that this process lives, closes the calls of those that do not, and erases what is old
    /// enough, until it is dropped.
    pub async fn keep_watch(self: Arc<Self>, keep_for: Duration) {
        let (mut watch, started) = (Watch::default(), Instant::now());
        let mut purged: Option<Instant> = None;
        loop {
            // Also for a line that may be open after its call has ended: it is ours to close.
            let live = self.registry.has_unfinished();
            // Whether the trouble is over shows only when something is written.
            let trouble = self.store.trouble().is_some();
            if self.store.is_shared() {
                let beating = async {
                    if live || trouble {
                        // A beat that fails is missed by others, who cannot write either.
                        let _ = self.store.beat().await;
                    }
                };
                let now = (Instant::now(), Utc::now());
                let taking = self.store.take_over(&mut watch, self.account(), now);
                let ((), taken) = tokio::join!(beating, taking);
                for call in taken.unwrap_or_default() {
                    self.adopt(call);
                }
            }
            if purged.is_none_or(|at| at.elapsed() >= PURGE) {
                let now = Utc::now();
                let before = now - chrono::Duration::from_std(keep_for).unwrap_or_default();
                // In memory, nothing is opened for this alone.
                if (self.store.is_shared() || self.store.is_open())
                    && self.store.purge(before, now).await.is_ok()
                {
                    purged = Some(Instant::now());
                }
            }
            let alert = live || watch.sees_any() || started.elapsed() < ON_ALERT;
            let pause = match self.store.is_shared() {
                true if alert => BEAT,
                true => AT_EASE,
                false => PURGE,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.orphans.look.notified() => {}
            }
        }
    }

    fn adopt(self: &Arc<Self>, call: StoredCall) {
        tracing::warn!(call = %call.snapshot.call_id, "found a call whose process has died");
        let Some((id, orphan)) = self.orphans.claim(&call) else {
            return;
        };
        let board = Arc::clone(self);
        self.tasks.spawn(async move {
            tokio::select! {
                () = board.close_orphan(id, &call, &orphan) => {}
                // Whoever comes next finds it as we did.
                () = board.stop.cancelled() => {}
            }
            board.orphans.close(id);
        });
    }

    async fn close_orphan(&self, id: Uuid, call: &StoredCall, orphan: &Orphan) {
        if call.line == LineState::None {
            // Its process had not come to dialling.
            self.until_written(|| self.store.forget_call(id)).await;
            return;
        }
        // However long ago it was: Twilio, or the network, may need a moment.
        let over_by = call.over_by.max(Utc::now() + PATIENCE);
        let mut twilio_says = None;
        let mut sid = orphan.sid.subscribe();
        let told = sid.wait_for(Option::is_some);
        let sid = if let Ok(Ok(sid)) = tokio::time::timeout(until(call.over_by), told).await {
            sid.clone()
        } else {
            None
        };
        if let Some(sid) = &sid {
            self.until_written(|| self.store.learn_sid(id, sid)).await;
            // Of the call of another account, Twilio tells us nothing.
            if call.account == self.account() {
                twilio_says = self.end_line(sid, over_by).await;
            }
        }
        let closing = closing(call, sid.is_some(), twilio_says.as_ref());
        self.until_written(|| self.store.close_call(id, &closing, Utc::now()))
            .await;
        self.metrics.call_ended(closing.status);
        tracing::info!(call = %id, status = ?closing.status, "closed a call whose process had died");
    }

    /// Hangs up until Twilio says that the call is over, and returns what it says; nothing if it
    /// does not know the call, or says nothing until the call is over anyway.
    pub(super) async fn end_line(&self, sid: &str, over_by: DateTime<Utc>) -> Option<CallResource> {
        let mut pause = ASK_AGAIN;
        loop {
            match self.twilio.fetch_call(sid).await {
                Ok(call) if is_over(&call) => return Some(call),
                Ok(_) => {
                    if let Err(error) = self.twilio.hang_up(sid).await {
                        tracing::warn!(%error, "could not hang up a call that must not go on");
                    }
                }
                Err(TwilioError::Api {
                    http_status: 404, ..
                }) => return None,
                Err(error) => {
                    tracing::warn!(%error, "could not ask about a call that must not go on");
                }
            }
            if Utc::now() > over_by {
                return None;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(ASK_AGAIN_MAX);
        }
    }

    /// Tries until the store takes it: what is known of an orphan must not be lost to a full disk.
    async fn until_written<T, E, F: Future<Output = Result<T, E>>>(&self, write: impl Fn() -> F) {
        let mut pause = ASK_AGAIN;
        while write().await.is_err() {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(ASK_AGAIN_MAX);
        }
    }

    /// A call of another process rings or talks, says a signed request. Returns false if that is
    /// none of this process's business.
    pub(super) async fn is_orphan(self: &Arc<Self>, id: Uuid, sid: &str) -> bool {
        let Ok(Some(call)) = self.store.call(id).await else {
            return false;
        };
        if call.line == LineState::Over {
            return true;
        }
        self.orphans.look();
        let claimed = tokio::time::timeout(CLAIMED, self.orphans.claimed(id)).await;
        let Ok(orphan) = claimed else {
            return self.is_orphan_of_another(id, sid, call.over_by).await;
        };
        let matches = orphan.sid.send_if_modified(|known| {
            let news = known.is_none();
            if news {
                *known = Some(sid.to_owned());
            }
            news
        });
        matches || orphan.sid.borrow().as_deref() == Some(sid)
    }

    /// The same of a call that another living process answers for: if nobody knew whether it was
    /// dialled, it is hung up from here, because here is where Twilio asks.
    async fn is_orphan_of_another(
        self: &Arc<Self>,
        id: Uuid,
        sid: &str,
        over_by: DateTime<Utc>,
    ) -> bool {
        if !matches!(self.store.found_unknown(id, sid).await, Ok(true)) {
            return false;
        }
        let (board, sid) = (Arc::clone(self), sid.to_owned());
        self.tasks.spawn(async move {
            tokio::select! {
                _ = board.end_line(&sid, over_by) => {}
                () = board.stop.cancelled() => {}
            }
        });
        true
    }

    /// Waits until it is known what became of a call whose dialling was not answered, or until it
    /// must be over, and gives back what it did not use.
    pub(super) async fn settle_unknown(self: Arc<Self>, session: Arc<Session>) {
        let longest = session.call.brief.max_duration;
        tokio::select! {
            () = session.call.wait_line_over() => {}
            () = tokio::time::sleep(longest + super::place::OVERHEAD) => session.call.line_is_over(),
            // Held by the store, it is settled by whoever comes next.
            () = self.stop.cancelled() => return,
        }
        session.settle(longest);
    }
}

fn until(moment: DateTime<Utc>) -> Duration {
    (moment - Utc::now()).to_std().unwrap_or_default()
}

fn is_over(call: &CallResource) -> bool {
    matches!(
        call.status.as_deref(),
        Some("completed" | "busy" | "failed" | "no-answer" | "canceled")
    )
}

/// How a call ends whose process died, as far as Twilio knows.
fn closing(call: &StoredCall, was_dialled: bool, twilio_says: Option<&CallResource>) -> Closing {
    let status = match twilio_says.and_then(|call| call.status.as_deref()) {
        Some("busy") => Status::Busy,
        Some("no-answer") => Status::NoAnswer,
        Some("canceled") => Status::Canceled,
        _ => Status::Failed,
    };
    let known = twilio_says.and_then(|call| call.duration);
    let known = known.map(|seconds| Duration::from_secs(seconds.into()));
    let talked = known.unwrap_or_else(|| {
        let answered = call.snapshot.answered_at;
        let until_now = answered.map(|at| (Utc::now() - at).to_std().unwrap_or_default());
        until_now.unwrap_or_default().min(call.max_duration)
    });
    let moment = |text: Option<&str>| {
        let at = DateTime::parse_from_rfc2822(text?).ok()?;
        Some(at.to_utc())
    };
    let answered_at = twilio_says
        .filter(|_| !talked.is_zero())
        .and_then(|call| moment(call.start_time.as_deref()));
    let ended_at = twilio_says
        .and_then(|call| moment(call.end_time.as_deref()))
        .or_else(|| Some(call.snapshot.answered_at.or(answered_at)? + talked));
    Closing {
        status,
        error: if was_dialled { DIED } else { DIED_DIALLING }.to_owned(),
        answered_at,
        ended_at,
        duration: talked,
        // What nobody knows may have been all of it.
        used: if twilio_says.is_some() {
            talked
        } else {
            call.max_duration
        },
    }
}
