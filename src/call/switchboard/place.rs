//! Placing a call: every check, then the model, then the phone.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Switchboard, VoiceLine};
use crate::call::bridge::event::End;
use crate::call::bridge::{self, Bridge, OneMoment};
use crate::call::disclosure::{self, Disclosure};
use crate::call::drive::Driver;
use crate::call::language::Language;
use crate::call::record::{Brief, Call, Lines};
use crate::call::session::{Dial, Session};
use crate::config::{Confirm, MachineDetection};
use crate::cost::Tariff;
use crate::idempotency::{Begun, Reused};
use crate::phone::E164;
use crate::realtime::prompt;
use crate::realtime::setup::{Setup, TRANSCRIPTION_MODEL, TurnDetection};
use crate::safety::destination::Refusal;
use crate::store::calls::{LineState, StoredCall};
use crate::store::keys::{Key, KeyReused};
use crate::store::limits::{self, Refused, Reserved};
use crate::twilio::rest::{NewCall, TwilioError};

/// How long the model may take to accept its configuration before we dial all the same: it has
/// the ringing time as well. A refusal within this time means that nobody is rung.
const MODEL_READY: Duration = Duration::from_secs(2);

/// How long a phone rings, seconds.
const RING_TIMEOUT_S: u32 = 60;

/// Beyond the ringing: how long Twilio may take to queue the call and to connect its stream.
const CONNECT_MARGIN: Duration = Duration::from_secs(60);

/// Twilio ends the call this long after we should have, seconds.
const TIME_LIMIT_MARGIN_S: u64 = 30;

/// The least that Twilio takes as a `TimeLimit` and that makes sense as a backstop, seconds.
const TIME_LIMIT_MIN_S: u64 = 60;

/// From the order to the moment at which Twilio has certainly ended the call, without the call
/// itself: queueing, ringing, and the margin of its time limit.
pub(super) const OVERHEAD: Duration = Duration::from_secs(60 + 60 + TIME_LIMIT_MIN_S);

/// How long to wait for another process that is placing a call with the same key.
const SAME_KEY: Duration = Duration::from_secs(20);

/// How often to look whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// For writing down under which SID Twilio knows a call.
const SID_WRITTEN: Duration = Duration::from_millis(500);

/// For writing down that nobody was dialled.
const FORGETTING: Duration = Duration::from_secs(1);

/// A call that was placed.
#[derive(Debug, Clone)]
pub enum Placed {
    /// Just now.
    Now(Arc<Session>),
    /// With the same key, by this process.
    Before(Arc<Session>),
    /// With the same key, by an earlier process or another one.
    Elsewhere(Box<StoredCall>),
}

impl Placed {
    /// The session, if it is of this process.
    pub fn here(self) -> Option<Arc<Session>> {
        match self {
            Self::Now(session) | Self::Before(session) => Some(session),
            Self::Elsewhere(_) => None,
        }
    }
}

/// What the agent wants of a call.
#[derive(Debug, Clone)]
pub struct Order {
    /// Whom to call.
    pub to: E164,
    /// What for.
    pub mission: String,
    /// On whose behalf; spoken in the first sentence.
    pub caller_identity: Option<String>,
    /// The language of the call.
    pub language: Language,
    /// What counts as success.
    pub success_criteria: Option<String>,
    /// At most this long; clamped to the configured cap.
    pub max_duration: Option<Duration>,
    /// The same key never dials twice.
    pub idempotency_key: Option<String>,
}

impl Order {
    /// Stands for all that makes two orders the same.
    pub(crate) fn fingerprint(&self) -> String {
        format!("{} {self:?}", self.to.as_str())
    }

    fn key(&self) -> Option<Key> {
        let key = self.idempotency_key.as_deref()?;
        Some(Key::new("phone_call_place", key, &self.fingerprint()))
    }
}

/// The user has not confirmed a call that they must confirm; why, for the agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Nobody was called: {0}")]
pub struct Unconfirmed(pub String);

/// Why a call was not placed. The text is for the agent.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The number must not be called.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A limit is reached or cannot be checked, or the key was used for another call.
    #[error(transparent)]
    Limit(#[from] Refused),
    /// The call that this key led to was erased.
    #[error(
        "A call was already placed with this idempotency_key, and has been deleted since; nobody was called again. Use a \
         new key for a new call."
    )]
    Erased,
    /// Another process is placing a call with the same key, and takes its time.
    #[error(
        "Another run of the server is placing a call with this idempotency_key right now; nobody was called again. \
         Repeat this in a moment, with the same key."
    )]
    SameKeyBusy,
    /// Something that calls need is not there.
    #[error("Calls are not possible now: {}. Tell the user; the other messaging tools are not affected.", .0.join("; "))]
    NotReady(Vec<String>),
    /// The user must confirm the call, and has not.
    #[error(transparent)]
    Unconfirmed(#[from] Unconfirmed),
    /// The model does not take the call.
    #[error("Nobody was called, because the voice model is not available: {0}")]
    Model(String),
    /// Twilio does not take the call.
    #[error("{0}")]
    Twilio(TwilioError),
    /// Whether Twilio dialled is unknown.
    #[error(
        "It is unknown whether the phone was called ({error}). Do not place the call again before you have looked: \
         phone_call_status with call_id {call_id}. If it does ring, it is hung up at once."
    )]
    Unknown {
        /// The call, which is known under this id.
        call_id: Uuid,
        /// What happened.
        error: TwilioError,
    },
    /// The program is stopping.
    #[error("The messaging server is stopping; nobody was called.")]
    Stopping,
    /// A bug.
    #[error(
        "An internal error interrupted the placing of the call, and it is unknown whether the phone was called: do not \
         place it again before the user has looked. The server's log has the details."
    )]
    Internal,
}

/// Whatever happens while dialling (a bug, say), the end of the call need not wait for ever to learn
/// what became of it.
struct Undecided(Arc<Session>);

impl Drop for Undecided {
    fn drop(&mut self) {
        self.0.dialled(Dial::Unknown);
    }
}

impl Switchboard {
    /// Places a call: checks it, prepares the model, dials. With a known idempotency key, returns
    /// the call that was placed with it.
    ///
    /// # Errors
    ///
    /// [`PlaceError`]; unless it is [`PlaceError::Unknown`], nothing was dialled and nothing is
    /// held of any limit.
    pub async fn place(self: &Arc<Self>, order: Order) -> Result<Placed, PlaceError> {
        self.place_if(order, async {
            let why = "OPENAGENT_PHONE_CONFIRM=always demands a confirmation, and there is nobody to ask.";
            Err(Unconfirmed(why.to_owned()))
        })
        .await
    }

    /// The same; where the user must confirm each call, `confirmed` asks them. They are asked after
    /// the cheap checks, and not about a repeated request.
    ///
    /// # Errors
    ///
    /// As those of [`place`](Self::place).
    pub async fn place_if(
        self: &Arc<Self>,
        order: Order,
        confirmed: impl Future<Output = Result<(), Unconfirmed>> + Send,
    ) -> Result<Placed, PlaceError> {
        let placed = self.try_to_place(order, confirmed).await;
        if let Err(error) = &placed {
            self.metrics.call_refused(error);
        }
        placed
    }

    async fn try_to_place(
        self: &Arc<Self>,
        order: Order,
        confirmed: impl Future<Output = Result<(), Unconfirmed>> + Send,
    ) -> Result<Placed, PlaceError> {
        let ticket = match &order.idempotency_key {
            None => None,
            Some(key) => match self.keys.begin(key, &order.fingerprint()).await {
                Err(Reused) => return Err(Refused::from(KeyReused).into()),
                Ok(Begun::Repeat(id)) => {
                    // In a box: it is rarely needed, and large.
                    let before = Box::pin(self.placed_before(id, Instant::now()));
                    return before.await?.ok_or(PlaceError::Erased);
                }
                Ok(Begun::First(ticket)) => Some(ticket),
            },
        };
        if self.config.phone.confirm == Confirm::Always {
            if let Some(placed) = Box::pin(self.would_dial(&order)).await? {
                return Ok(placed);
            }
            confirmed.await?;
        }
        // In a task of its own: a request that is cancelled half way must neither leave a call
        // behind that nobody knows of, nor release its key.
        let board = Arc::clone(self);
        let dialling = self.tasks.spawn(async move {
            let result = board.dial_once(&order).await;
            let dialled = match &result {
                Ok(Placed::Now(session)) => Some(session.call.id),
                Err(PlaceError::Unknown { call_id, .. }) => Some(*call_id),
                Ok(Placed::Before(_) | Placed::Elsewhere(_)) | Err(_) => None,
            };
            if let (Some(ticket), Some(id)) = (ticket, dialled) {
                ticket.done(id);
            }
            result
        });
        dialling.await.unwrap_or(Err(PlaceError::Internal))
    }

    /// Whether there is any point in asking the user: nothing is held or counted by this. Returns the
    /// call that the key led to before, if there is one.
    async fn would_dial(&self, order: &Order) -> Result<Option<Placed>, PlaceError> {
        self.rules.destinations.check(&order.to)?;
        if let Err(missing) = &self.line {
            return Err(PlaceError::NotReady(missing.clone()));
        }
        let (brief, key) = (self.brief(order), order.key());
        let new = self.new_call(&brief, key.as_ref());
        let now = Utc::now();
        match self.store.probe_call(new, &self.rules.limits, now).await? {
            Reserved::New(..) => Ok(None),
            Reserved::Before(id) => self.placed_before(id, Instant::now()).await,
        }
    }

    /// What will be known of a call; its duration is what is asked for.
    fn brief(&self, order: &Order) -> Brief {
        let cap = self.config.phone.max_duration;
        Brief {
            to: order.to.clone(),
            from: self.from.clone(),
            mission: order.mission.as_str().into(),
            language: order.language.clone(),
            max_duration: order.max_duration.map_or(cap, |asked| asked.min(cap)),
        }
    }

    fn new_call<'a>(&'a self, brief: &'a Brief, key: Option<&'a Key>) -> limits::NewCall<'a> {
        limits::NewCall {
            brief,
            account: self.account(),
            key,
            overhead: OVERHEAD,
            worst: self.tariff(&brief.to).worst_case(),
        }
    }

    /// What a call costs.
    fn tariff(&self, to: &E164) -> Tariff {
        let detects = self.config.phone.machine_detection == MachineDetection::Detect;
        let model = &self.config.openai.model;
        self.prices.tariff(model, TRANSCRIPTION_MODEL, to, detects)
    }

    async fn dial_once(self: &Arc<Self>, order: &Order) -> Result<Placed, PlaceError> {
        if self.stop.is_cancelled() {
            return Err(PlaceError::Stopping);
        }
        self.rules.destinations.check(&order.to)?;
        let line = self
            .line
            .as_ref()
            .map_err(|missing| PlaceError::NotReady(missing.clone()))?;
        let (mut brief, key) = (self.brief(order), order.key());
        let started = Instant::now();
        loop {
            let now = Utc::now();
            let new = self.new_call(&brief, key.as_ref());
            match self
                .store
                .reserve_call(new, &self.rules.limits, now)
                .await?
            {
                Reserved::New(id, granted) => {
                    brief.max_duration = granted;
                    let call = Call::new(id, brief, now, Arc::clone(&self.changes))
                        .measured(Arc::clone(&self.metrics))
                        .priced(
                            self.tariff(&order.to),
                            self.rules.limits.daily_cost.is_some(),
                        );
                    return self.dial(line, order, call).await.map(Placed::Now);
                }
                Reserved::Before(id) => {
                    if let Some(placed) = self.placed_before(id, started).await? {
                        return Ok(placed);
                    }
                }
            }
        }
    }

    /// The call that a key led to before; none if it turns out that nobody was dialled with it.
    async fn placed_before(
        &self,
        id: Uuid,
        started: Instant,
    ) -> Result<Option<Placed>, PlaceError> {
        let here = self.registry.get(id);
        // One that was never dialled is about to be forgotten, with its key.
        if let Some(session) = here.filter(|here| here.dial() != Dial::Never) {
            return Ok(Some(Placed::Before(session)));
        }
        loop {
            let found = self.store.call(id).await.map_err(Refused::from)?;
            match found {
                // Its key is gone with it, unless it was erased.
                None if self.store.is_key_of(id).await.map_err(Refused::from)? => {
                    return Err(PlaceError::Erased);
                }
                None => return Ok(None),
                Some(call) if !matches!(call.line, LineState::None | LineState::Dialling) => {
                    return Ok(Some(Placed::Elsewhere(Box::new(call))));
                }
                // The process that places it answers in a moment; one that has died is found out.
                Some(_) if self.stop.is_cancelled() => return Err(PlaceError::Stopping),
                Some(_) if started.elapsed() < SAME_KEY => tokio::time::sleep(LOOK_AGAIN).await,
                Some(_) => return Err(PlaceError::SameKeyBusy),
            }
        }
    }

    async fn dial(
        self: &Arc<Self>,
        line: &VoiceLine,
        order: &Order,
        call: Call,
    ) -> Result<Arc<Session>, PlaceError> {
        let granted = call.brief.max_duration;
        let now = Utc::now();
        let model = self.config.openai.model.clone();
        let (session, orders) = Session::new(call, model);
        let _undecided = Undecided(Arc::clone(&session));
        self.registry.insert(Arc::clone(&session), now);
        self.orphans.look();
        if self.stop.is_cancelled() {
            // The shutdown may have looked at the live calls before this one was among them.
            session.end(End::Shutdown);
        }

        let disclosure = Disclosure::new(&order.language, order.caller_identity.as_deref());
        let phone = &self.config.phone;
        let setup = Setup {
            model: self.config.openai.model.clone(),
            voice: self.config.openai.voice.clone(),
            brief: prompt::Brief {
                mission: Arc::clone(&session.call.brief.mission),
                caller_identity: order.caller_identity.clone(),
                language: order.language.clone(),
                success_criteria: order.success_criteria.clone(),
                max_duration: granted,
            },
            turn_detection: TurnDetection {
                threshold: phone.vad_threshold,
                prefix_ms: phone.vad_prefix_ms,
                silence_ms: phone.vad_silence_ms,
                interrupts: phone.interrupt_after.is_zero(),
            },
        };
        let one_moment = match self.moments.of(&setup) {
            Some(recording) => OneMoment::Made(recording),
            None => OneMoment::Make(disclosure::one_moment(&order.language)),
        };
        let bridge = Bridge::new(bridge::Settings {
            disclosure,
            greeting_wait: phone.greeting_wait,
            max_duration: granted,
            silence: phone.silence,
            interrupt_after: phone.interrupt_after,
            hold: phone.hold,
            ask_host: phone.ask_host,
            detects_machines: phone.machine_detection == MachineDetection::Detect,
            one_moment: Some(one_moment),
            connect_within: Duration::from_secs(RING_TIMEOUT_S.into()) + CONNECT_MARGIN,
        });
        let (ready, is_ready) = oneshot::channel();
        let driver = Driver::new(Arc::clone(&session), bridge, setup, orders, ready);
        let run = Arc::clone(self).run(Arc::clone(&session), Box::new(driver));
        self.tasks.spawn(run);

        if let Ok(answer) = tokio::time::timeout(MODEL_READY, is_ready).await {
            let answer = answer.unwrap_or_else(|_| Err("the call's task failed".into()));
            if let Err(why) = answer {
                return Err(self.never_dialled(&session, why).await);
            }
        }
        // If it ended while we were looking at the model, nobody need be rung.
        self.still_wanted(&session).await?;
        if let Err(error) = self.store.dialling(session.call.id).await {
            // A call that is not written down must not be made.
            session.end(End::Failed(error.to_string()));
            self.forget(&session).await;
            return Err(Refused::from(error).into());
        }
        // Nor if it did while it was being written down, which takes seconds on a bad disk.
        self.still_wanted(&session).await?;
        self.dial_twilio(line, &session).await?;
        Ok(session)
    }

    /// A call that has ended before it was dialled is not dialled any more.
    async fn still_wanted(&self, session: &Session) -> Result<(), PlaceError> {
        if self.stop.is_cancelled() {
            session.end(End::Shutdown);
        } else if !session.call.is_final() {
            return Ok(());
        }
        let error = session.call.snapshot(Lines::None, Utc::now()).error;
        let why = error.unwrap_or_else(|| "the call was ended before it was placed".into());
        Err(self.never_dialled(session, why).await)
    }

    async fn never_dialled(&self, session: &Session, why: String) -> PlaceError {
        self.forget(session).await;
        if self.stop.is_cancelled() {
            PlaceError::Stopping
        } else {
            PlaceError::Model(why)
        }
    }

    /// Nobody was rung: the call leaves no trace.
    async fn forget(&self, session: &Session) {
        session.dialled(Dial::Never);
        self.changes.flush(FORGETTING).await;
    }

    async fn dial_twilio(
        &self,
        line: &VoiceLine,
        session: &Arc<Session>,
    ) -> Result<(), PlaceError> {
        let call = &session.call;
        let time_limit =
            (call.brief.max_duration.as_secs() + TIME_LIMIT_MARGIN_S).max(TIME_LIMIT_MIN_S);
        let detects = self.config.phone.machine_detection == MachineDetection::Detect;
        let answered = line.public_url.join(&format!("amd/{}", call.id));
        let created = self
            .twilio
            .create_call(&NewCall {
                to: call.brief.to.as_str(),
                from: call.brief.from.as_str(),
                url: &line.public_url.join(&format!("twiml/{}", call.id)),
                status_callback: &line.public_url.join(&format!("status/{}", call.id)),
                answered_callback: detects.then_some(&*answered),
                ring_timeout_s: RING_TIMEOUT_S,
                time_limit_s: u32::try_from(time_limit).unwrap_or(u32::MAX),
            })
            .await;
        let created = created.and_then(|created| {
            let known = call.learn_sid(&created.sid);
            let why = "it names no call, or another one";
            known.then_some(()).ok_or(TwilioError::Unreadable {
                http_status: 201,
                why,
            })
        });
        match created {
            Ok(()) => {
                session.dialled(Dial::Placed);
                // Whoever finds the call after a crash can end it by its SID alone.
                self.changes.flush(SID_WRITTEN).await;
                tracing::info!(call = %call.id, to = %call.brief.to.masked(), "call placed");
                Ok(())
            }
            // The answer was lost, but Twilio has already asked about the call.
            Err(error) if error.may_have_reached() && call.twilio_sid().is_some() => {
                session.dialled(Dial::Placed);
                tracing::warn!(call = %call.id, %error, "call placed, says Twilio's webhook");
                Ok(())
            }
            Err(error) if error.may_have_reached() => {
                session.dialled(Dial::Unknown);
                session.end(End::Failed(format!(
                    "It is unknown whether the phone was called: {error}"
                )));
                Err(PlaceError::Unknown {
                    call_id: call.id,
                    error,
                })
            }
            Err(error) => {
                session.end(End::Failed(error.to_string()));
                self.forget(session).await;
                Err(PlaceError::Twilio(error))
            }
        }
    }
}
