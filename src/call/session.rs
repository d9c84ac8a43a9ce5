//! A session: what the webhooks and the tools hold of a live call. Its driver holds the rest.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, watch};

use super::bridge::event::{AnsweredBy, End};
use super::drive::{CarrierStream, Order};
use super::host::HostError;
use super::record::{Brief, Call};
use super::token::StreamTokens;
use crate::safety::budget::Reservation;

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
    /// What the call holds of the budget.
    pub(super) reservation: Reservation,
    /// What became of the request to dial.
    dial: watch::Sender<Dial>,
    orders: mpsc::Sender<Order>,
}

impl Session {
    /// A session, and the orders that its driver must follow.
    pub(super) fn new(
        brief: Brief,
        reservation: Reservation,
        now: DateTime<Utc>,
    ) -> (Arc<Self>, mpsc::Receiver<Order>) {
        let (orders, receiver) = mpsc::channel(ORDERS);
        let session = Self {
            call: Call::new(brief, now),
            tokens: StreamTokens::default(),
            reservation,
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

    /// Tells the conversation who answered the phone.
    pub(super) fn answered_by(&self, who: AnsweredBy) {
        if self.orders.try_send(Order::Answered(who)).is_err() {
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
            self.orders
                .try_send(Order::Answer { question, text })
                .is_ok()
        })
    }

    /// Brings an instruction of the host to the agent on the line.
    ///
    /// # Errors
    ///
    /// [`HostError`] says why it is not heard.
    pub fn instruct(&self, text: &str) -> Result<(), HostError> {
        self.call.instruct(|| {
            self.orders
                .try_send(Order::Instruct(text.to_owned()))
                .is_ok()
        })
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
