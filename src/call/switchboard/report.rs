//! What Twilio reports and asks about calls.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;
use uuid::Uuid;

use super::place::OVERHEAD;
use super::{Switchboard, apology};
use crate::call::bridge::event::{AnsweredBy, End, Stream};
use crate::call::drive::CarrierStream;
use crate::call::session::{Dial, Session};
use crate::call::snapshot::Status;
use crate::call::token::LIFETIME;
use crate::twilio::frame::Start;
use crate::twilio::rest::is_call_sid;
use crate::twilio::twiml;

impl Switchboard {
    /// Twilio asks what to do with a call: the answer is TwiML.
    pub fn answer_twiml(
        self: &Arc<Self>,
        session: &Arc<Session>,
        call_sid: &str,
        status: &str,
    ) -> String {
        let call = &session.call;
        let (Ok(line), true) = (&self.line, call.learn_sid(call_sid)) else {
            return twiml::hang_up();
        };
        if call.is_final() {
            self.hang_up_late(session, call_sid);
            return if call.owes_apology() {
                apology(call)
            } else {
                twiml::hang_up()
            };
        }
        if let Some(CallStatus::Live(status)) = CallStatus::parse(status) {
            call.advance(status, Utc::now());
        }
        let stream = Stream::Usual;
        match (session.tokens).mint(call_sid, stream, LIFETIME, Instant::now()) {
            Ok(token) => twiml::connect(
                &line.public_url.stream(),
                &call.id.to_string(),
                &token,
                &line.public_url.join(&format!("twiml/{}", call.id)),
            ),
            Err(error) => {
                session.end(End::Failed(format!(
                    "The system has no randomness for a stream token: {error}"
                )));
                twiml::hang_up()
            }
        }
    }

    /// Twilio reports how a call is doing; `seconds` is its duration, once it is over.
    pub fn on_status(
        self: &Arc<Self>,
        session: &Arc<Session>,
        call_sid: &str,
        status: &str,
        sequence: Option<u64>,
        seconds: Option<u64>,
    ) {
        let call = &session.call;
        let Some(status) = CallStatus::parse(status) else {
            tracing::debug!(call = %call.id, "unknown call status ignored");
            return;
        };
        if !call.learn_sid(call_sid) {
            tracing::warn!(call = %call.id, "status of another call ignored");
            return;
        }
        // An end is an end, however late it comes; of the others, only the newest counts.
        let is_news = call.is_news(sequence);
        match status {
            CallStatus::Over(end) => {
                if session.dial() == Dial::Unknown
                    && let Some(seconds) = seconds
                {
                    session.settle(Duration::from_secs(seconds));
                }
                call.line_is_over();
                if !call.is_final() {
                    session.end(end);
                }
            }
            CallStatus::Live(_) if call.is_final() => self.hang_up_late(session, call_sid),
            CallStatus::Live(status) if is_news => call.advance(status, Utc::now()),
            CallStatus::Live(_) => {}
        }
    }

    /// Twilio reports who answered.
    pub fn on_answered_by(&self, session: &Session, call_sid: &str, answered_by: &str) {
        let call = &session.call;
        let Some(who) = read_answered_by(answered_by) else {
            tracing::debug!(call = %call.id, "unknown kind of callee ignored");
            return;
        };
        if !call.learn_sid(call_sid) {
            tracing::warn!(call = %call.id, "who answered another call ignored");
            return;
        }
        if !call.is_final() {
            session.answered_by(who);
        }
    }

    /// A call that has ended here shows signs of life at Twilio, for instance because the answer to
    /// our dialling was lost.
    fn hang_up_late(self: &Arc<Self>, session: &Arc<Session>, call_sid: &str) {
        if session.dial() != Dial::Unknown || !session.first_late_hang_up() {
            // Its end already hung it up, and what arrives now was under way at that moment; or an
            // earlier sign of life is seen to.
            return;
        }
        let (board, session) = (Arc::clone(self), Arc::clone(session));
        let sid = call_sid.to_owned();
        self.tasks.spawn(async move {
            let call = &session.call;
            let over_by = Utc::now() + call.brief.max_duration + OVERHEAD;
            let ended = board.end_line(&sid, over_by).await;
            if let Some(seconds) = ended.and_then(|ended| ended.duration) {
                session.settle(Duration::from_secs(seconds.into()));
            }
            call.line_is_over();
        });
    }

    /// Twilio asks or tells about a call that is not known here: it may be one of a process that
    /// has died, and if so, it is hung up.
    pub async fn stray(self: &Arc<Self>, call_id: &str, sid: &str) -> Stray {
        let Ok(id) = Uuid::try_parse(call_id) else {
            return Stray::Unknown;
        };
        if !is_call_sid(sid) {
            return Stray::Unknown;
        }
        let Some(_place) = self.orphans.place_for_a_stray() else {
            return Stray::TooMany;
        };
        if self.is_orphan(id, sid).await {
            Stray::Orphan
        } else {
            Stray::Unknown
        }
    }

    /// A media stream has begun: is it one that we asked for? Then this is its session, which may
    /// have ended meanwhile, and what we asked for it for.
    pub fn admit(&self, start: &Start<'_>) -> Option<(Arc<Session>, Stream)> {
        let id = Uuid::try_parse(start.call_id.as_deref()?).ok()?;
        let session = self.registry.get(id)?;
        let token = start.token.as_deref()?;
        let spent = (session.tokens).spend(token, &start.call_sid, Instant::now());
        let stream = spent.ok()?;
        Some((session, stream))
    }

    /// Connects an admitted stream to its conversation.
    pub fn attach(&self, session: &Arc<Session>, stream: CarrierStream) {
        session.call.advance(Status::InProgress, Utc::now());
        if !session.attach(stream) {
            tracing::debug!(call = %session.call.id, "stream of a call that is over");
        }
    }
}

/// Whose a call is that is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// Nobody's, or that of another process that lives.
    Unknown,
    /// A call of a process that has died; it must end.
    Orphan,
    /// Whose is not looked up: too many are asking at once.
    TooMany,
}

/// Twilio's `AnsweredBy`, in our words; `None` for one that it invents tomorrow.
fn read_answered_by(answered_by: &str) -> Option<AnsweredBy> {
    Some(match answered_by {
        "human" | "unknown" | "machine_start" => AnsweredBy::Person,
        "machine_end_beep" => AnsweredBy::Tone,
        "machine_end_silence" => AnsweredBy::Mailbox,
        "machine_end_other" => AnsweredBy::Menu,
        "fax" => AnsweredBy::Fax,
        _ => return None,
    })
}

/// Twilio's `CallStatus`, in our words.
enum CallStatus {
    Live(Status),
    Over(End),
}

impl CallStatus {
    /// `None` for a status that Twilio invents tomorrow.
    fn parse(status: &str) -> Option<Self> {
        Some(match status {
            "queued" | "initiated" => Self::Live(Status::Initiated),
            "ringing" => Self::Live(Status::Ringing),
            "in-progress" | "answered" => Self::Live(Status::InProgress),
            "completed" => Self::Over(End::CalleeHungUp),
            "busy" => Self::Over(End::Busy),
            "no-answer" => Self::Over(End::NoAnswer),
            "canceled" => Self::Over(End::Canceled),
            "failed" => Self::Over(End::Failed(
                "Twilio could not connect the call: check the number, and the call's log in the Twilio Console.".into(),
            )),
            _ => return None,
        })
    }
}
