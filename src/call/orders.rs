//! What a driver is told from outside: by the carrier, by the host, and that the call is to end.
//!
//! A queue of our own, because it is looked at with every frame of a call. It is one lock that nobody
//! else holds; channels would each keep a list of wakers, and memory for orders that never come.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::bridge::event::{AnsweredBy, End};
use super::drive::CarrierStream;

/// Orders that may wait for a driver, which takes them at once: of the carrier, and as many of the host.
const ORDERS: usize = 8;

/// What a session tells its driver.
#[derive(Debug)]
pub(super) enum Order {
    /// The carrier has connected a stream.
    Attach(Box<CarrierStream>),
    /// The carrier knows who answered the phone.
    Answered(AnsweredBy),
    /// The host answers a question of the model.
    Answer { question: String, text: String },
    /// The host instructs the model.
    Instruct(String),
    /// End the call.
    End(End),
}

/// Nobody takes the order: the queue is full, or the driver is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotTaken;

/// The end where orders are given.
#[derive(Debug)]
pub(super) struct Giver(Arc<Mutex<Waiting>>);

/// The end where they are taken.
#[derive(Debug)]
pub(super) struct Orders(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    ending: Ending,
    carriers: VecDeque<Order>,
    /// What the host says waits by itself: it must not displace a stream, nor who answered.
    hosts: VecDeque<Order>,
    /// The driver is gone.
    closed: bool,
    driver: Option<Waker>,
}

/// The order to end the call. Not among the others: it must not find their queue full.
#[derive(Debug, Default)]
enum Ending {
    #[default]
    Open,
    Ordered(End),
    Taken,
}

/// Both ends.
pub(super) fn orders() -> (Giver, Orders) {
    let waiting = Arc::<Mutex<Waiting>>::default();
    (Giver(Arc::clone(&waiting)), Orders(waiting))
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Giver {
    /// An order of the carrier.
    pub(super) fn carrier(&self, order: Order) -> Result<(), NotTaken> {
        self.give(order, |waiting| &mut waiting.carriers)
    }

    /// An order of the host.
    pub(super) fn host(&self, order: Order) -> Result<(), NotTaken> {
        self.give(order, |waiting| &mut waiting.hosts)
    }

    fn give(
        &self,
        order: Order,
        queue: impl FnOnce(&mut Waiting) -> &mut VecDeque<Order>,
    ) -> Result<(), NotTaken> {
        let mut waiting = lock(&self.0);
        if waiting.closed {
            return Err(NotTaken);
        }
        let queue = queue(&mut waiting);
        if queue.len() == ORDERS {
            return Err(NotTaken);
        }
        queue.push_back(order);
        waiting.wake();
        Ok(())
    }

    /// The order to end the call; the first one counts. Gives it back if the driver is gone.
    pub(super) fn end(&self, end: End) -> Result<(), End> {
        let mut waiting = lock(&self.0);
        if waiting.closed {
            return Err(end);
        }
        if let Ending::Open = waiting.ending {
            waiting.ending = Ending::Ordered(end);
            waiting.wake();
        }
        Ok(())
    }
}

impl Waiting {
    fn wake(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    fn next(&mut self) -> Option<Order> {
        if let Ending::Ordered(_) = self.ending
            && let Ending::Ordered(end) = std::mem::replace(&mut self.ending, Ending::Taken)
        {
            return Some(Order::End(end));
        }
        self.carriers.pop_front().or_else(|| self.hosts.pop_front())
    }
}

impl Orders {
    /// The next order, the end before all others, and the host's last.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Order> {
        let mut waiting = lock(&self.0);
        if let Some(order) = waiting.next() {
            return Poll::Ready(order);
        }
        match &mut waiting.driver {
            Some(driver) => driver.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        let mut waiting = lock(&self.0);
        waiting.closed = true;
        let left = (
            std::mem::take(&mut waiting.carriers),
            std::mem::take(&mut waiting.hosts),
            // It would hold the task's memory for as long as the session is remembered.
            waiting.driver.take(),
        );
        drop(waiting);
        // Streams among them close their sockets, which is no work for under a lock.
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn next(orders: &mut Orders) -> Order {
        poll_fn(|cx| orders.poll_next(cx)).await
    }

    #[tokio::test]
    async fn a_host_that_floods_a_call_displaces_nothing_of_the_carrier() {
        let (giver, mut orders) = orders();
        while giver.host(Order::Instruct("And more.".into())).is_ok() {}
        assert_eq!(giver.carrier(Order::Answered(AnsweredBy::Fax)), Ok(()));
        let first = next(&mut orders).await;
        assert!(matches!(first, Order::Answered(AnsweredBy::Fax)));
        for _ in 0..ORDERS {
            assert!(matches!(next(&mut orders).await, Order::Instruct(_)));
        }
    }

    #[tokio::test]
    async fn the_first_end_comes_before_all_else_and_once() {
        let (giver, mut orders) = orders();
        while giver.carrier(Order::Answered(AnsweredBy::Fax)).is_ok() {}
        assert_eq!(giver.end(End::HostHungUp), Ok(()));
        assert_eq!(giver.end(End::Shutdown), Ok(()));
        let first = next(&mut orders).await;
        assert!(matches!(first, Order::End(End::HostHungUp)));
        assert_eq!(giver.end(End::Shutdown), Ok(()), "it is known already");
        for _ in 0..ORDERS {
            assert!(matches!(next(&mut orders).await, Order::Answered(_)));
        }
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_each_kind_of_order() {
        let (giver, mut orders) = orders();
        let kinds: [fn(&Giver); 3] = [
            |giver| assert_eq!(giver.carrier(Order::Answered(AnsweredBy::Fax)), Ok(())),
            |giver| assert_eq!(giver.host(Order::Instruct("Ask.".into())), Ok(())),
            |giver| assert_eq!(giver.end(End::Shutdown), Ok(())),
        ];
        for order in kinds {
            let waits = tokio::spawn(async move {
                next(&mut orders).await;
                orders
            });
            tokio::task::yield_now().await;
            order(&giver);
            orders = waits.await.unwrap();
        }
    }

    #[test]
    fn who_is_gone_takes_nothing() {
        let (giver, orders) = orders();
        assert_eq!(giver.host(Order::Instruct("Ask.".into())), Ok(()));
        drop(orders);
        assert_eq!(
            giver.carrier(Order::Answered(AnsweredBy::Fax)),
            Err(NotTaken)
        );
        assert_eq!(giver.host(Order::Instruct("Ask.".into())), Err(NotTaken));
        assert_eq!(giver.end(End::Shutdown), Err(End::Shutdown));
    }
}
