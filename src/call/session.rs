//! A session: what the webhooks and the tools hold of a live call. Its driver holds the rest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::sync::watch;

use super::bridge::event::{AnsweredBy, End};
use super::drive::CarrierStream;
use super::host::HostError;
use super::orders::{Giver, Order, Orders, orders};
use super::record::Call;
use super::token::StreamTokens;
use crate::realtime::event::Usage;
use crate::store::calls::{LineState, Saved};

/// What became of the request to dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dial {
    /// It is not answered yet, or not even made.
    Pending,
    /// The line is known by its SID.
    Placed,
    /// Nobody was dialled.
    Never,
    /// The answer was lost: the phone may ring.
    Unknown,
}

/// What of a call is written down, so that the rest is written alone.
#[derive(Debug, Default)]
struct Written {
    /// This revision, and everything before it.
    revision: u64,
    /// So many of the statuses that it came to.
    statuses: usize,
    /// What the model had used by then; none: not even that it has used nothing.
    usage: Option<Usage>,
    /// That the line is over and the limits are settled.
    complete: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    /// What the call is, and how it stands.
    pub call: Call,
    /// Lets media streams in.
    pub tokens: StreamTokens,
    /// The model that speaks.
    model: String,
    /// What the call used of the limits, once that is known.
    settled: OnceLock<Duration>,
    /// What of it is written down.
    written: Mutex<Written>,
    /// What became of the request to dial.
    dial: watch::Sender<Dial>,
    /// Somebody sees to it that a line that showed up late is hung up.
    late_hang_up: AtomicBool,
    orders: Giver,
}

impl Session {
    /// A session, and the orders that its driver must follow.
    pub(super) fn new(call: Call, model: String) -> (Arc<Self>, Orders) {
        let (giver, orders) = orders();
        let session = Self {
            call,
            tokens: StreamTokens::default(),
            model,
            settled: OnceLock::new(),
            written: Mutex::default(),
            dial: watch::Sender::new(Dial::Pending),
            late_hang_up: AtomicBool::new(false),
            orders: giver,
        };
        (Arc::new(session), orders)
    }

    /// Connects a media stream that has shown its token. Returns false if nobody takes it any more.
    pub fn attach(&self, stream: CarrierStream) -> bool {
        self.orders.carrier(Order::Attach(Box::new(stream))).is_ok()
    }

    /// Ends the call for this reason, unless it is ending already.
    pub fn end(&self, end: End) {
        if let Err(end) = self.orders.end(end) {
            // The driver is gone.
            self.call.finish(&end, Utc::now());
        }
    }

    /// A line that showed up late must be hung up: whether that is for the caller to do.
    pub(super) fn first_late_hang_up(&self) -> bool {
        !self.late_hang_up.swap(true, Ordering::Relaxed)
    }

    /// Tells the conversation who answered the phone.
    pub(super) fn answered_by(&self, who: AnsweredBy) {
        if self.orders.carrier(Order::Answered(who)).is_err() {
            tracing::debug!(call = %self.call.id, "who answered is known too late");
        }
    }

    /// Brings the host's answer to a question of the agent on the line.
    ///
    /// # Errors
    ///
    /// [`HostError`] says why it is not wanted.
    pub fn answer(&self, question: &str, text: &str) -> Result<(), HostError> {
        self.call.answer(question, text, || {
            let (question, text) = (question.to_owned(), text.to_owned());
            self.orders.host(Order::Answer { question, text }).is_ok()
        })
    }

    /// Brings an instruction of the host to the agent on the line.
    ///
    /// # Errors
    ///
    /// [`HostError`] says why it is not heard.
    pub fn instruct(&self, text: &str) -> Result<(), HostError> {
        self.call
            .instruct(|| self.orders.host(Order::Instruct(text.to_owned())).is_ok())
    }

    /// Remembers what became of the request to dial; what was known first stays.
    pub(super) fn dialled(&self, dial: Dial) {
        self.dial.send_if_modified(|known| {
            let news = *known == Dial::Pending;
            if news {
                *known = dial;
            }
            news
        });
        self.call.changed_unseen();
    }

    /// Gives back what the call does not use of the limits; the first time counts.
    pub(super) fn settle(&self, used: Duration) {
        if self.settled.set(used).is_ok() {
            self.call.changed_unseen();
        }
    }

    /// What is to be written down now.
    pub(super) fn unsaved(&self) -> Saved {
        let written = self.written();
        let mut unsaved = self.call.unsaved(written.revision, Utc::now());
        unsaved.history.drain(..written.statuses);
        let used = Some(unsaved.usage).filter(|used| written.usage != Some(*used));
        drop(written);
        let over = !self.call.line_may_be_open();
        let line = match self.dial() {
            _ if over => LineState::Over,
            Dial::Pending | Dial::Never => LineState::None,
            Dial::Placed => LineState::Open,
            Dial::Unknown => LineState::Unknown,
        };
        Saved {
            snapshot: unsaved.snapshot,
            lines: unsaved.lines,
            history: unsaved.history,
            line,
            settled: self.settled.get().copied(),
            usage: used.map(|used| (self.model.clone(), used)),
            bill: unsaved.bill,
            // Of a line that may or may not exist, the cost is not known.
            charge: unsaved.charge.filter(|_| self.dial() != Dial::Unknown),
        }
    }

    /// This is written down.
    pub(super) fn is_saved(&self, saved: &Saved) {
        let mut written = self.written();
        written.revision = saved.snapshot.revision;
        written.statuses += saved.history.len();
        if let Some((_, used)) = &saved.usage {
            written.usage = Some(*used);
        }
        written.complete |= saved.settled.is_some() && saved.line == LineState::Over;
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing more will happen to the call, and all that has happened is written down.
    pub(super) fn is_written(&self) -> bool {
        let latest = self.call.watch().borrow().latest;
        let written = self.written();
        written.complete && written.revision >= latest
    }

    /// What became of the request to dial, as far as is known.
    pub(super) fn dial(&self) -> Dial {
        *self.dial.borrow()
    }

    /// Waits until that is known.
    pub(super) async fn wait_dialled(&self) {
        // The sender lives as long as the session.
        let mut dial = self.dial.subscribe();
        let _ = dial.wait_for(|dial| *dial != Dial::Pending).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::record::Brief;
    use crate::call::snapshot::Status;
    use crate::phone::E164;

    #[test]
    fn what_is_written_down_is_not_written_again() {
        let brief = Brief {
            to: E164::parse("+390612345678").unwrap(),
            from: E164::parse("+15005550006").unwrap(),
            mission: "m".into(),
            language: "it-IT".parse().unwrap(),
            max_duration: Duration::from_secs(600),
        };
        let call = Call::new(uuid::Uuid::new_v4(), brief, Utc::now(), Arc::default());
        let (session, _orders) = Session::new(call, "model".into());
        let statuses = |saved: &Saved| saved.history.iter().map(|(to, _)| *to).collect::<Vec<_>>();

        let first = session.unsaved();
        assert_eq!(statuses(&first), [Status::Initiated]);
        assert!(first.usage.is_some(), "that nothing was used is known");
        let again = session.unsaved();
        assert_eq!(statuses(&again), [Status::Initiated], "it was not written");
        session.is_saved(&first);
        let nothing = session.unsaved();
        assert!(nothing.history.is_empty() && nothing.usage.is_none());
        session.is_saved(&nothing);

        session.call.finish(&End::Busy, Utc::now());
        assert_eq!(statuses(&session.unsaved()), [Status::Busy]);
    }
}
