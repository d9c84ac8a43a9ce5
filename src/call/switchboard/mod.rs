//! The switchboard: places calls, passes on what Twilio reports about them, and ends them.
//!
//! - [`place`]: the only place that dials.
//! - [`attach`]: what keeps carrier and model attached to a conversation.
//! - [`report`]: Twilio's webhooks and media streams.
//! - [`history`]: calls that have ended, here or in another process.
//! - [`orphans`]: calls of processes that have died.
//! - [`price`]: what Twilio charges for a call, once it knows.

mod attach;
mod history;
mod orphans;
mod place;
mod price;
mod report;

pub use self::history::HistoryError;
pub use self::place::{Order, PlaceError, Placed, Unconfirmed};
pub use self::report::Stray;

use self::orphans::Orphans;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use rustls::ClientConfig;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use super::bridge::event::End;
use super::disclosure;
use super::drive::Driver;
use super::journal::{self, Changes};
use super::moments::Moments;
use super::record::Call;
use super::registry::Registry;
use super::session::{Dial, Session};
use crate::config::{Config, PublicUrl};
use crate::cost::prices::Prices;
use crate::idempotency::Keys;
use crate::metrics::Metrics;
use crate::phone::E164;
use crate::realtime::socket::{self, ConnectError, ModelSocket};
use crate::safety::Rules;
use crate::safety::budget::{Limits, Used};
use crate::secret::Secret;
use crate::store::{Store, StoreError};
use crate::twilio::rest::Client;
use crate::twilio::twiml;

/// After a first failed attempt to hang up, which can do no harm twice; doubled each time.
const HANG_UP_PAUSE: Duration = Duration::from_millis(300);

/// The longest pause between two attempts.
const HANG_UP_PAUSE_MAX: Duration = Duration::from_secs(20);

/// How long the end of a call may wait for its share of the limits to be given back on the disk.
const SETTLING: Duration = Duration::from_millis(500);

/// The same for the last words of all calls when the program stops.
const LAST_WORDS: Duration = Duration::from_millis(700);

/// How long the apology of the carrier's voice may take before we hang up ourselves.
const APOLOGY: Duration = Duration::from_secs(12);

/// How long the model may think about a call that is over.
const AFTERMATH: Duration = Duration::from_secs(5);

/// What only calls need, once it is all there.
#[derive(Debug)]
struct VoiceLine {
    public_url: PublicUrl,
    openai_key: Secret,
    tls: OnceLock<Arc<ClientConfig>>,
}

/// See the module.
#[derive(Debug)]
pub struct Switchboard {
    config: Arc<Config>,
    from: E164,
    twilio: Client,
    rules: Arc<Rules>,
    prices: Arc<Prices>,
    metrics: Arc<Metrics>,
    store: Arc<Store>,
    changes: Arc<Changes>,
    registry: Arc<Registry>,
    keys: Keys<Uuid>,
    orphans: Orphans,
    moments: Moments,
    line: Result<VoiceLine, Vec<String>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Switchboard {
    /// A switchboard for the account of `config`. `missing` names what else keeps calls from being
    /// placed, such as a webhook port that is taken.
    pub fn new(
        config: Arc<Config>,
        from: E164,
        twilio: Client,
        rules: Arc<Rules>,
        store: Arc<Store>,
        mut missing: Vec<String>,
        stop: CancellationToken,
    ) -> Self {
        missing.extend(
            config
                .voice_missing_settings()
                .iter()
                .map(|name| format!("{name} is not set")),
        );
        let line = match (&config.phone.public_url, &config.openai.api_key) {
            (Some(public_url), Some(openai_key)) if missing.is_empty() => Ok(VoiceLine {
                public_url: public_url.clone(),
                openai_key: openai_key.clone(),
                tls: OnceLock::new(),
            }),
            _ => Err(missing),
        };
        Self {
            config,
            from,
            twilio,
            rules,
            prices: Arc::new(Prices::built_in()),
            metrics: Arc::default(),
            store,
            changes: Arc::default(),
            registry: Arc::default(),
            keys: Keys::default(),
            orphans: Orphans::default(),
            moments: Moments::default(),
            line,
            tasks: TaskTracker::new(),
            stop,
        }
    }

    /// The same, with these prices in place of the built-in ones.
    #[must_use]
    pub fn with_prices(mut self, prices: Arc<Prices>) -> Self {
        self.prices = prices;
        self
    }

    /// The same, counting there.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Where everything about calls is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What of calls and messages is allowed.
    pub fn limits(&self) -> &Limits {
        &self.rules.limits
    }

    /// What keeps calls from being placed; empty if nothing does.
    pub fn missing(&self) -> &[String] {
        self.line.as_ref().err().map_or(&[], Vec::as_slice)
    }

    /// Writes down what changes about calls, until it is dropped.
    pub async fn keep_journal(&self) {
        let (changes, registry) = (Arc::clone(&self.changes), Arc::clone(&self.registry));
        journal::keep(changes, registry, Arc::clone(&self.store)).await;
    }

    /// What of today's limits is taken, by this process and all others on the store.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: then it cannot be known.
    pub async fn used(&self, now: DateTime<Utc>) -> Result<Used, StoreError> {
        self.store.used(now).await
    }

    /// What keeps calls and messages from being written down, and so from being placed and sent.
    pub fn trouble(&self) -> Option<StoreError> {
        self.store.trouble()
    }

    fn account(&self) -> &str {
        let twilio = self.config.twilio.as_ref();
        twilio.map_or("", |twilio| twilio.account_sid.as_str())
    }

    /// Live calls of this process.
    pub fn live(&self) -> usize {
        self.registry.live().len()
    }

    /// The session with this id.
    pub fn session(&self, id: Uuid) -> Option<Arc<Session>> {
        self.registry.get(id)
    }

    /// The life of a call, from before it is dialled to after it is hung up.
    async fn run(self: Arc<Self>, session: Arc<Session>, mut driver: Box<Driver>) {
        // A bug in one call must neither leave its line open nor touch another call.
        let story = driver.story();
        let running = Box::pin(AssertUnwindSafe(driver.run(&self)).catch_unwind());
        let ended = running.await;
        let end = ended.unwrap_or_else(|_| End::Failed("An internal error ended the call.".into()));
        // In a box: while a call goes on, nothing is held for its end.
        let winding_up = self.wind_up(&session, &mut driver, &end);
        Box::pin(winding_up.instrument(story)).await;
    }

    /// What follows the end of a conversation.
    async fn wind_up(self: &Arc<Self>, session: &Arc<Session>, driver: &mut Driver, end: &End) {
        // What the model still has to say about the call is welcome, but not waited for when the
        // program stops. Nothing that goes wrong in it may keep the line from being hung up.
        let model = async {
            if driver.is_responding() {
                session.call.await_usage();
            }
            let aftermath = AssertUnwindSafe(driver.aftermath()).catch_unwind();
            tokio::select! {
                _ = tokio::time::timeout(AFTERMATH, aftermath) => {}
                () = self.stop.cancelled() => {}
            }
            driver.close_model().await;
            session.call.close_model();
        };
        // In this order: the call is final before the model is asked.
        let counted = self.conclude(session, end).await;
        tokio::join!(self.clear_line(session), model);
        if !counted && session.dial() != Dial::Never {
            self.metrics.call_ended(session.call.status());
        }
        if session.dial() == Dial::Unknown {
            let settling = Arc::clone(self).settle_unknown(Arc::clone(session));
            self.tasks.spawn(settling);
        }
        if session.call.was_answered() {
            let asking = Arc::clone(self).learn_price(Arc::clone(session));
            self.tasks.spawn(asking);
        }
        // Last: a stream that we close sends Twilio on to what follows in its TwiML.
        driver.close_carrier().await;
    }

    /// Opens a socket to the model. There is no timeout in here.
    pub(super) async fn connect_model(&self) -> Result<ModelSocket, ConnectError> {
        let Ok(line) = &self.line else {
            return Err(ConnectError::Unreachable("calls are not configured".into()));
        };
        let url = self.config.openai.realtime_url();
        let tls = match url.scheme() {
            "wss" => Some(self.tls(line).await?),
            _ => None,
        };
        socket::connect(&url, &line.openai_key, tls).await
    }

    async fn tls(&self, line: &VoiceLine) -> Result<Arc<ClientConfig>, ConnectError> {
        if let Some(tls) = line.tls.get() {
            return Ok(Arc::clone(tls));
        }
        // Reading the system's certificates blocks for tens of milliseconds.
        let made = tokio::task::spawn_blocking(socket::tls).await;
        let made = made
            .map_err(|error| error.to_string())
            .and_then(|tls| tls.map_err(|error| error.to_string()));
        let made = made.map_err(|why| ConnectError::Unreachable(format!("no TLS: {why}")))?;
        Ok(Arc::clone(line.tls.get_or_init(|| made)))
    }

    /// Makes an end final, and gives back what the call did not use. Returns whether it was counted as
    /// a call: one that is being dialled at this moment is not yet.
    async fn conclude(&self, session: &Session, end: &End) -> bool {
        let (call, now) = (&session.call, Utc::now());
        if matches!(session.dial(), Dial::Placed | Dial::Never) {
            session.settle(call.duration(now));
            // Before anybody hears of the end, so that whoever does can place the next call.
            self.changes.flush(SETTLING).await;
        }
        // One that is being dialled at this moment may turn out never to have been.
        let dialled = matches!(session.dial(), Dial::Placed | Dial::Unknown);
        if dialled {
            // Before anybody hears of it; unless its session ended it already, for another reason.
            let known = call.is_final().then(|| call.status());
            self.metrics.call_ended(known.unwrap_or(end.status()));
        }
        call.finish(end, now);
        tracing::info!(call = %call.id, status = ?call.status(), seconds = call.duration(now).as_secs(), "call ended");
        dialled
    }

    /// Sees to it that the line of a call that has ended is hung up.
    async fn clear_line(&self, session: &Session) {
        let call = &session.call;
        // If it ended while it was being dialled, whether there is a line comes out in a moment.
        session.wait_dialled().await;
        // One of which nobody knows whether it was dialled holds its share until that comes out.
        if session.dial() != Dial::Unknown {
            session.settle(call.duration(Utc::now()));
        }
        let Some(sid) = call.twilio_sid().filter(|_| call.line_may_be_open()) else {
            return;
        };
        if call.owes_apology() && !self.stop.is_cancelled() {
            self.apologise(call, &sid).await;
        }
        if call.line_may_be_open() {
            self.hang_up_line(call, &sid).await;
        }
    }

    /// The callee hears from the carrier's own voice why nobody speaks any more.
    async fn apologise(&self, call: &Call, sid: &str) {
        let twiml = apology(call);
        if let Err(error) = self.twilio.redirect_call(sid, &twiml).await {
            tracing::warn!(%error, "could not apologise to the callee");
            return;
        }
        tokio::select! {
            () = call.wait_line_over() => {}
            () = tokio::time::sleep(APOLOGY) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Hangs up until that has worked, or until Twilio's own time limit has done it.
    async fn hang_up_line(&self, call: &Call, sid: &str) {
        let by = Instant::now() + call.brief.max_duration + place::OVERHEAD;
        let mut pause = HANG_UP_PAUSE;
        while call.line_may_be_open() && Instant::now() < by {
            match self.twilio.hang_up(sid).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(%error, "could not hang up; Twilio's own time limit still holds");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = call.wait_line_over() => {}
            }
            pause = (pause * 2).min(HANG_UP_PAUSE_MAX);
        }
        call.line_is_over();
    }

    /// Ends a call on behalf of the host, and waits until that is certain.
    pub async fn hang_up(&self, session: &Session) {
        session.end(End::HostHungUp);
        let mut watch = session.call.watch();
        let _ = watch.wait_for(|revisions| revisions.is_final).await;
    }

    /// Hangs every live call up, all at once, and writes the last words down, in no more than
    /// `patience`.
    pub async fn shut_down(&self, patience: Duration) {
        self.stop.cancel();
        for session in self.registry.live() {
            session.end(End::Shutdown);
        }
        self.tasks.close();
        let lines = patience.saturating_sub(LAST_WORDS);
        if tokio::time::timeout(lines, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                "stopping before every call was confirmed as hung up; Twilio's time limit still holds"
            );
        }
        if !self.changes.flush(LAST_WORDS).await {
            tracing::warn!("stopping before everything was written to the store");
        }
    }
}

/// What the carrier's own voice says to a callee whose model is gone, and hangs up behind it.
fn apology(call: &Call) -> String {
    let (sentence, language) = disclosure::apology(&call.brief.language);
    twiml::say_and_hang_up(sentence, &language)
}
