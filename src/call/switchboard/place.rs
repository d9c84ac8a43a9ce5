//! Placing a call: every check, then the model, then the phone.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Switchboard, VoiceLine};
use crate::call::bridge::event::End;
use crate::call::bridge::{self, Bridge};
use crate::call::disclosure::{self, Disclosure};
use crate::call::drive::Driver;
use crate::call::language::Language;
use crate::call::record::{Brief, Lines};
use crate::call::session::{Dial, Session};
use crate::config::Confirm;
use crate::config::MachineDetection;
use crate::idempotency::{Begun, KeyReused};
use crate::phone::E164;
use crate::realtime::prompt;
use crate::realtime::setup::{Setup, TurnDetection};
use crate::safety::budget::OverBudget;
use crate::safety::destination::Refusal;
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
    /// A limit is reached.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// The key was used for another call.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
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
    pub async fn place(self: &Arc<Self>, order: Order) -> Result<Arc<Session>, PlaceError> {
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
    ) -> Result<Arc<Session>, PlaceError> {
        let ticket = match &order.idempotency_key {
            None => None,
            Some(key) => match self.keys.begin(key, &order.fingerprint()).await? {
                Begun::Repeat(session) => return Ok(session),
                Begun::First(ticket) => Some(ticket),
            },
        };
        if self.config.phone.confirm == Confirm::Always {
            self.would_dial(&order)?;
            confirmed.await?;
        }
        // In a task of its own: a request that is cancelled half way must neither leave a call
        // behind that nobody knows of, nor release its key.
        let board = Arc::clone(self);
        let dialling = self.tasks.spawn(async move {
            let result = board.dial(&order).await;
            let dialled = match &result {
                Ok(session) => Some(Arc::clone(session)),
                Err(PlaceError::Unknown { call_id, .. }) => board.registry.get(*call_id),
                Err(_) => None,
            };
            if let (Some(ticket), Some(session)) = (ticket, dialled) {
                ticket.done(session);
            }
            result
        });
        dialling.await.unwrap_or(Err(PlaceError::Internal))
    }

    /// Whether there is any point in asking the user: nothing is held or counted by this.
    fn would_dial(&self, order: &Order) -> Result<(), PlaceError> {
        self.destinations.check(&order.to)?;
        if let Err(missing) = &self.line {
            return Err(PlaceError::NotReady(missing.clone()));
        }
        let cap = self.config.phone.max_duration;
        let wanted = order.max_duration.map_or(cap, |asked| asked.min(cap));
        let probe = self.budget.reserve_call(&order.to, wanted, Utc::now())?;
        self.budget.settle(&probe, Duration::ZERO);
        self.budget.uncount_call(&probe);
        Ok(())
    }

    async fn dial(self: &Arc<Self>, order: &Order) -> Result<Arc<Session>, PlaceError> {
        if self.stop.is_cancelled() {
            return Err(PlaceError::Stopping);
        }
        self.destinations.check(&order.to)?;
        let line = self
            .line
            .as_ref()
            .map_err(|missing| PlaceError::NotReady(missing.clone()))?;
        let cap = self.config.phone.max_duration;
        let wanted = order.max_duration.map_or(cap, |asked| asked.min(cap));
        let now = Utc::now();
        let reservation = self.budget.reserve_call(&order.to, wanted, now)?;
        let granted = reservation.granted();
        let brief = Brief {
            to: order.to.clone(),
            from: self.from.clone(),
            mission: order.mission.clone(),
            language: order.language.clone(),
            max_duration: granted,
        };
        let (session, orders) = Session::new(brief, reservation, now);
        let _undecided = Undecided(Arc::clone(&session));
        self.registry.insert(Arc::clone(&session), now);
        if self.stop.is_cancelled() {
            // The shutdown may have looked at the live calls before this one was among them.
            session.end(End::Shutdown);
        }

        let disclosure = Disclosure::new(&order.language, order.caller_identity.as_deref());
        let instructions = prompt::instructions(&prompt::Brief {
            mission: &order.mission,
            caller_identity: order.caller_identity.as_deref(),
            language: &order.language,
            success_criteria: order.success_criteria.as_deref(),
            max_duration: granted,
            disclosure: &disclosure,
        });
        let phone = &self.config.phone;
        let setup = Setup {
            model: self.config.openai.model.clone(),
            voice: self.config.openai.voice.clone(),
            language: order.language.clone(),
            instructions,
            turn_detection: TurnDetection {
                threshold: phone.vad_threshold,
                prefix_ms: phone.vad_prefix_ms,
                silence_ms: phone.vad_silence_ms,
                interrupts: phone.interrupt_after.is_zero(),
            },
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
            one_moment: Some(disclosure::one_moment(&order.language)),
            connect_within: Duration::from_secs(RING_TIMEOUT_S.into()) + CONNECT_MARGIN,
        });
        let (ready, is_ready) = oneshot::channel();
        let driver = Driver::new(Arc::clone(&session), bridge, setup, orders, ready);
        self.tasks
            .spawn(Arc::clone(self).run(Arc::clone(&session), driver));

        if let Ok(answer) = tokio::time::timeout(MODEL_READY, is_ready).await {
            let answer = answer.unwrap_or_else(|_| Err("the call's task failed".into()));
            if let Err(why) = answer {
                return Err(self.never_dialled(&session, why));
            }
        }
        if session.call.is_final() {
            // It ended while we were looking at the model: nobody need be rung.
            let error = session.call.snapshot(Lines::None, Utc::now()).error;
            let why = error.unwrap_or_else(|| "the call was ended before it was placed".into());
            return Err(self.never_dialled(&session, why));
        }
        self.dial_twilio(line, &session).await?;
        Ok(session)
    }

    /// Nobody was rung: the call leaves no trace.
    fn never_dialled(&self, session: &Session, why: String) -> PlaceError {
        session.dialled(Dial::Never);
        self.registry.remove(session.call.id);
        self.budget.uncount_call(&session.reservation);
        if self.stop.is_cancelled() {
            PlaceError::Stopping
        } else {
            PlaceError::Model(why)
        }
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
        match created {
            Ok(created) => {
                call.learn_sid(&created.sid);
                session.dialled(Dial::Placed);
                tracing::info!(call = %call.id, to = %call.brief.to.masked(), "call placed");
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
                session.dialled(Dial::Never);
                self.registry.remove(call.id);
                self.budget.uncount_call(&session.reservation);
                Err(PlaceError::Twilio(error))
            }
        }
    }
}
