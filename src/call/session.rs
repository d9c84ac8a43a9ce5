//! A session: what the webhooks and the tools hold of a live call. Its driver holds the rest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::Utc;
use tokio::sync::{mpsc, watch};

use super::bridge::event::End;
use super::drive::{CarrierStream, Order};
use super::record::Call;
use super::token::StreamTokens;
use crate::store::calls::{LineState, Saved};

/// Orders that may wait for a driver, which takes them at once.
const ORDERS: usize = 8;

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
    /// The revision that is written down, and everything before it.
    saved: AtomicU64,
    /// What became of the request to dial.
    dial: watch::Sender<Dial>,
    orders: mpsc::Sender<Order>,
}

impl Session {
    /// A session, and the orders that its driver must follow.
    pub(super) fn new(call: Call, model: String) -> (Arc<Self>, mpsc::Receiver<Order>) {
        let (orders, receiver) = mpsc::channel(ORDERS);
        let session = Self {
            call,
            tokens: StreamTokens::default(),
            model,
            settled: OnceLock::new(),
            saved: AtomicU64::new(0),
            dial: watch::Sender::new(Dial::Pending),
            orders,
        };
        (Arc::new(session), receiver)
    }

    /// Connects a media stream that has shown its token. Returns false if nobody takes it any more.
    pub fn attach(&self, stream: CarrierStream) -> bool {
        self.orders
            .try_send(Order::Attach(Box::new(stream)))
            .is_ok()
    }

    /// Ends the call for this reason, unless it is ending already.
    pub fn end(&self, end: End) {
        if let Err(refused) = self.orders.try_send(Order::End(end)) {
            // The driver is gone, or so stuck that it does not take orders.
            if let Order::End(end) = refused.into_inner() {
                self.call.finish(&end, Utc::now());
            }
        }
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
        let unsaved = (self.call).unsaved(self.saved.load(Ordering::Relaxed), Utc::now());
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
            usage: Some((self.model.clone(), unsaved.usage)),
        }
    }

    /// This revision is written down.
    pub(super) fn is_saved(&self, revision: u64) {
        self.saved.store(revision, Ordering::Relaxed);
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
