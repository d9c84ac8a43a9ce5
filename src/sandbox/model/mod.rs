//! The embedded model: as much of OpenAI's Realtime service as a call of this project touches.
//!
//! - `session`: one session without its socket, `response`: what it answers;
//! - `config` (checked by `check`), `items` (changed by `edit`), `shape`: what clients may say, and the
//!   refusals;
//! - `vad`: when somebody speaks, `mind` (and `reading`): what is said; `record`: what tests look at;
//! - `loss`: sessions that break off.

mod check;
mod config;
mod edit;
mod items;
pub(crate) mod loss;
mod mind;
mod reading;
pub(crate) mod record;
mod response;
mod session;
mod shape;
mod vad;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, sleep, sleep_until, timeout};

use self::loss::{Doorkeeper, Loss, Parting};
use self::record::{ModelSession, Record};
use self::session::Session;
use super::complaints::Complaints;
use super::hex32;
use super::mishap::{Mishap, Mishaps};
use super::net::Tasks;

/// The models that can be talked to.
const MODELS: &[&str] = &[
    "gpt-realtime-2.1",
    "gpt-realtime-2.1-mini",
    "gpt-realtime-2",
    "gpt-realtime-1.5",
    "gpt-realtime",
    "gpt-realtime-2025-08-28",
    "gpt-realtime-mini",
];

/// An append may carry 15 MiB of base64.
const LONGEST_FRAME: usize = 16 * 1024 * 1024;

/// How long a client may take to read what it is sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// The server pings this often.
const PING: Duration = Duration::from_secs(20);

/// Sessions that are remembered; beyond it the oldest that is closed is forgotten.
const MOST_SESSIONS: usize = 1_000;

/// Something that goes wrong with the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelFault {
    /// Every key is wrong.
    RefusesKey,
    /// The handshake succeeds, then nothing is ever sent.
    NeverAnswers,
    /// Configuration is applied but never confirmed.
    NeverConfirms,
    /// Responses are asked for and never begin.
    StaysSilent,
    /// Every response fails.
    FailsResponses,
    /// So many times, told what to say exactly, it keeps to itself that it is an AI.
    HidesItself(u32),
    /// Each sentence of a response is an audio item of its own. The service may do so, too; few
    /// expect it.
    SplitsAnswers,
    /// The first audio of each response takes this long.
    SlowFirstByte(Duration),
    /// The first session closes with this code after so many responses; later ones are sound.
    ClosesAfter {
        /// Finished responses, whatever their status.
        responses: u32,
        /// Close code.
        code: u16,
    },
    /// Sessions break off in the middle of the call.
    Loses(Loss),
}

/// How the model behaves.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// From the request to the first audio of a response.
    pub first_byte: Duration,
    /// Between two deltas (of 200 ms of audio each, so anything below 200 ms is faster than speech).
    pub delta: Duration,
    /// From the end of a turn to its transcription, which may well be after the answer has begun.
    pub transcription: Duration,
    /// The longest session; then it expires.
    pub session: Duration,
    /// What goes wrong.
    pub fault: Option<ModelFault>,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_millis(250),
            delta: Duration::from_millis(15),
            transcription: Duration::from_millis(400),
            session: Duration::from_secs(60 * 60),
            fault: None,
        }
    }
}

/// The model: all sessions, and what they need.
pub(crate) struct Model {
    key: String,
    options: ModelOptions,
    keep_audio: bool,
    complaints: Complaints,
    mishaps: Mishaps,
    tasks: Tasks,
    sessions: Mutex<Vec<Arc<Record>>>,
    opened: watch::Sender<usize>,
    door: Doorkeeper,
}

impl Model {
    pub(crate) fn new(
        key: String,
        options: ModelOptions,
        keep_audio: bool,
        complaints: Complaints,
        mishaps: Mishaps,
        tasks: Tasks,
    ) -> Arc<Self> {
        Arc::new(Self {
            key,
            options,
            keep_audio,
            complaints,
            mishaps,
            tasks,
            sessions: Mutex::default(),
            opened: watch::Sender::new(0),
            door: Doorkeeper::default(),
        })
    }

    pub(crate) fn sessions(&self) -> Vec<Arc<Record>> {
        self.sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Adds a session; whether it is the first.
    fn remember(&self, record: &Arc<Record>) -> bool {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let first = sessions.is_empty();
        if sessions.len() >= MOST_SESSIONS
            && let Some(over) = sessions.iter().position(|known| known.is_closed())
        {
            sessions.remove(over);
        }
        sessions.push(Arc::clone(record));
        first
    }

    /// Connections that were refused at the handshake after a loss.
    pub(crate) fn refused(&self) -> usize {
        self.door.refused()
    }

    pub(crate) fn opened(&self) -> watch::Receiver<usize> {
        self.opened.subscribe()
    }

    /// What is wrong with a connection: the `error` event's code and message, and the close code.
    fn judge(
        &self,
        model: Option<&str>,
        headers: &HeaderMap,
    ) -> Option<(Option<&str>, String, u16)> {
        let key = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let refused = self.options.fault == Some(ModelFault::RefusesKey);
        match key {
            None => {
                let message = "Missing bearer or basic authentication in header";
                return Some((None, message.to_owned(), 3000));
            }
            Some(key) if key != self.key || refused => {
                let message = "Incorrect API key provided. You can find your API key at \
                    https://platform.openai.com/account/api-keys.";
                return Some((Some("invalid_api_key"), message.to_owned(), 3000));
            }
            Some(_) => {}
        }
        if headers.contains_key("OpenAI-Beta") {
            let message = "The Realtime Beta API is no longer supported.";
            return Some((Some("beta_api_shape_disabled"), message.to_owned(), 4000));
        }
        match model {
            None => {
                let message = "You must provide a model parameter.";
                Some((Some("missing_model"), message.to_owned(), 4000))
            }
            Some(model) if !MODELS.contains(&model) => {
                let message = format!("Model \"{model}\" is not supported in realtime mode.");
                Some((Some("invalid_model"), message, 4000))
            }
            Some(_) => None,
        }
    }
}

/// The routes.
pub(crate) fn router(model: Arc<Model>) -> Router {
    Router::new()
        .route("/v1/realtime", get(connect))
        .with_state(model)
}

async fn connect(
    State(model): State<Arc<Model>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let query = query.unwrap_or_default();
    let wanted = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "model")
        .map(|(_, value)| value.into_owned());
    if let Some(ModelFault::Loses(loss)) = &model.options.fault
        && model.door.refuses(loss, Instant::now())
    {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    upgrade
        .max_message_size(LONGEST_FRAME)
        .max_frame_size(LONGEST_FRAME)
        .on_upgrade(async move |socket| {
            let tasks = model.tasks.clone();
            tasks.tie(serve(model, socket, wanted, headers)).await;
        })
}

/// One connection from handshake to close.
async fn serve(
    model: Arc<Model>,
    mut socket: WebSocket,
    wanted: Option<String>,
    headers: HeaderMap,
) {
    let refusal = model.judge(wanted.as_deref(), &headers);
    let id = match refusal {
        Some(_) => String::new(),
        None => format!("sess_{}", &hex32()[..21]),
    };
    let identifier = headers.get("OpenAI-Safety-Identifier");
    let state = ModelSession {
        id: id.clone(),
        model: wanted.clone(),
        safety_identifier: identifier.and_then(|v| v.to_str().ok().map(str::to_owned)),
        ..ModelSession::default()
    };
    let record = Arc::new(Record::new(state, model.keep_audio));
    let first = model.remember(&record);
    model.opened.send_modify(|opened| *opened += 1);
    // Judged only now, after the 101, as the service does.
    match refusal {
        _ if model.options.fault == Some(ModelFault::NeverAnswers) => {
            while let Some(Ok(_)) = socket.recv().await {}
        }
        Some((code, message, close)) => {
            refuse(&mut socket, &record, code, &message, close).await;
        }
        None => {
            let mut options = model.options.clone();
            options.fault = options.fault.filter(|fault| match fault {
                ModelFault::ClosesAfter { .. } => first,
                ModelFault::Loses(loss) => model.door.is_doomed(loss),
                _ => true,
            });
            let complaints = model.complaints.clone();
            let wanted = wanted.unwrap_or_default();
            let mut session = Session::new(&wanted, options, Arc::clone(&record), complaints);
            let longest = model.options.session;
            let expires = chrono::Utc::now() + longest;
            session.greet(&id, expires.timestamp());
            let lost = model.mishaps.strikes(Mishap::ModelLost);
            let lost_after = lost.then(|| model.mishaps.between(500, 15_000));
            tokio::select! {
                over = converse(&mut session, &mut socket, &record, longest) => {
                    if over == Over::Lost {
                        model.door.lost(Instant::now());
                        part(&session, socket, &record).await;
                    }
                }
                () = sleep(lost_after.unwrap_or(longest)), if lost => {
                    if lost_after.is_some_and(|after| after.as_millis() % 2 == 0) {
                        close(&mut socket, &record, Some((1_011, String::new()))).await;
                    }
                }
            }
        }
    }
    record.update(|record| record.closed = true);
}

async fn refuse(
    socket: &mut WebSocket,
    record: &Record,
    code: Option<&str>,
    message: &str,
    close_code: u16,
) {
    let error = json!({
        "type": "invalid_request_error", "code": code, "message": message, "param": null,
        "event_id": null,
    });
    record.update(|record| record.errors.push(error.clone()));
    let event = json!({"type": "error", "event_id": "event_000001", "error": error});
    let reason = format!("invalid_request_error.{}", code.unwrap_or("unauthorized"));
    if send(socket, &event).await {
        close(socket, record, Some((close_code, reason))).await;
    }
}

/// Whether a session came to its end or broke off.
#[derive(PartialEq, Eq)]
enum Over {
    Ended,
    Lost,
}

async fn converse(
    session: &mut Session,
    socket: &mut WebSocket,
    record: &Record,
    longest: Duration,
) -> Over {
    let mut ping = interval_at(Instant::now() + PING, PING);
    let end = Instant::now() + longest;
    loop {
        for event in session.take_output() {
            if !send(socket, &event).await {
                return Over::Ended;
            }
        }
        if session.parting().is_some() {
            return Over::Lost;
        }
        let due = session.due();
        tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => session.text(&text, Instant::now()),
                Some(Ok(Message::Binary(_))) => session.binary(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Over::Ended,
            },
            () = sleep_until(due.unwrap_or(end)), if due.is_some() => {
                session.advance(Instant::now());
            }
            _ = ping.tick() => {
                if socket.send(Message::Ping(Vec::new().into())).await.is_err() {
                    return Over::Ended;
                }
            }
            () = sleep_until(end) => {
                expire(socket, record).await;
                return Over::Ended;
            }
        }
    }
}

/// Breaks off as the session wants it.
async fn part(session: &Session, mut socket: WebSocket, record: &Record) {
    match session.parting() {
        Some(Parting::Expires) => expire(&mut socket, record).await,
        Some(Parting::Closes(1_005)) => close(&mut socket, record, None).await,
        // Dropped without a word, as a router does that forgets a connection.
        Some(Parting::Closes(1_006)) | None => {}
        Some(Parting::Closes(code)) => {
            close(&mut socket, record, Some((code, String::new()))).await;
        }
    }
}

async fn expire(socket: &mut WebSocket, record: &Record) {
    let message = "Your session hit the maximum duration of 60 minutes.";
    refuse(socket, record, Some("session_expired"), message, 1_001).await;
}

/// `false` if the client no longer reads.
async fn send(socket: &mut WebSocket, event: &Value) -> bool {
    let message = Message::Text(event.to_string().into());
    matches!(timeout(PATIENCE, socket.send(message)).await, Ok(Ok(())))
}

/// Sends the close frame that ends the session, and waits for the answer to it, so that it is not lost.
async fn close(socket: &mut WebSocket, record: &Record, why: Option<(u16, String)>) {
    record.update(|record| record.closed = true);
    let frame = why.map(|(code, reason)| CloseFrame {
        code,
        reason: reason.into(),
    });
    if socket.send(Message::Close(frame)).await.is_ok() {
        let _ = timeout(PATIENCE, async {
            while let Some(Ok(_)) = socket.recv().await {}
        })
        .await;
    }
}
