//! The embedded carrier: as much of Twilio as a call or a message of this project touches.
//!
//! - `rest`: the HTTP face for calls, `messages`: for SMS, `form`: their parameters;
//! - `call`: the record of a call, `line`: its life, `stream`: its media socket;
//! - `playout`, `twiml`, `amd` (machine detection): the pure parts; `webhook`: signed requests back to the product.

mod amd;
pub(crate) mod call;
mod form;
mod line;
pub(crate) mod messages;
mod playout;
mod rest;
mod stream;
mod twiml;
mod webhook;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use self::call::CallHandle;
use self::messages::Message;
use self::webhook::Webhooks;
use super::callee::{Callee, FRAME_TIME};
use super::complaints::Complaints;
use super::mishap::Mishaps;
use super::net::Tasks;
pub(crate) use rest::router;

/// Requests that are remembered.
const MOST_REQUESTS: usize = 10_000;

/// Something that goes wrong at the carrier; unless said otherwise, when a call or a message is
/// created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CarrierFault {
    /// Every request is answered with this HTTP status (5xx), and nothing happens.
    ServerError(u16),
    /// The connection is accepted and closed; nothing happens.
    DropConnection,
    /// The call is placed or the message sent, and the connection closed without an answer.
    LoseAnswer,
    /// The first request is answered with 429/20429, those after it are served.
    RateLimitOnce,
    /// The first media stream of each call breaks off after this much call time, without a `stop`;
    /// the call goes on with the next TwiML verb.
    LosesStream(Duration),
    /// The first update with new TwiML is refused with 400/21220, those after it are served.
    RefusesTwimlOnce,
    /// The connection of the first update with new TwiML is closed without an answer, and nothing
    /// happens; those after it are served.
    DropsTwimlOnce,
}

/// Who may use the carrier, and as whom.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) sid: String,
    pub(crate) token: String,
    pub(crate) api_key: String,
    pub(crate) api_secret: String,
    pub(crate) number: String,
}

/// How the carrier behaves.
pub(crate) struct Behaviour {
    pub(crate) callees: HashMap<String, Callee>,
    pub(crate) default_callee: Callee,
    pub(crate) frame_interval: Duration,
    pub(crate) keep_audio: bool,
    pub(crate) fault: Option<CarrierFault>,
}

/// The carrier: all calls and messages, and what they need.
pub(crate) struct Carrier {
    account: Account,
    behaviour: Behaviour,
    complaints: Complaints,
    mishaps: Mishaps,
    tasks: Tasks,
    webhooks: Webhooks,
    /// Bumped with every call, for those who wait for one.
    placed: watch::Sender<usize>,
    calls: Mutex<Vec<Arc<CallHandle>>>,
    messages: Mutex<Vec<Message>>,
    requests: Mutex<Vec<String>>,
    /// What happens once has happened.
    struck: Mutex<bool>,
}

impl Carrier {
    pub(crate) fn new(
        account: Account,
        behaviour: Behaviour,
        complaints: Complaints,
        mishaps: Mishaps,
        tasks: Tasks,
    ) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            webhooks: Webhooks::new(&account.token, mishaps.clone())?,
            account,
            behaviour,
            complaints,
            mishaps,
            tasks,
            placed: watch::Sender::new(0),
            calls: Mutex::default(),
            messages: Mutex::default(),
            requests: Mutex::default(),
            struck: Mutex::default(),
        }))
    }

    pub(crate) fn calls(&self) -> Vec<Arc<CallHandle>> {
        lock(&self.calls).clone()
    }

    pub(crate) fn call(&self, sid: &str) -> Option<Arc<CallHandle>> {
        let calls = lock(&self.calls);
        calls
            .iter()
            .find(|call| call.read(|c| c.sid == sid))
            .cloned()
    }

    pub(crate) fn placed(&self) -> watch::Receiver<usize> {
        self.placed.subscribe()
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        lock(&self.messages).clone()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        lock(&self.requests).clone()
    }

    fn note_request(&self, request: String) {
        let mut requests = lock(&self.requests);
        if requests.len() < MOST_REQUESTS {
            requests.push(request);
        }
    }

    /// Whether this is to go wrong, and did not before.
    fn strikes_once(&self, fault: CarrierFault) -> bool {
        self.behaviour.fault == Some(fault) && !std::mem::replace(&mut *lock(&self.struck), true)
    }

    fn callee(&self, number: &str) -> Callee {
        let scripted = self.behaviour.callees.get(number).cloned();
        scripted
            .or_else(|| Callee::by_ending(number))
            .unwrap_or_else(|| self.behaviour.default_callee.clone())
    }

    /// How long `call_time` takes on the wall.
    fn wall(&self, call_time: Duration) -> Duration {
        call_time.mul_f64(self.behaviour.frame_interval.div_duration_f64(FRAME_TIME))
    }

    /// How much call time passes in `wall`.
    fn call_time(&self, wall: Duration) -> Duration {
        wall.mul_f64(FRAME_TIME.div_duration_f64(self.behaviour.frame_interval))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
