//! The webhook server: Twilio's requests about calls, and its media streams.
//!
//! Everything it accepts comes from the internet, by way of a tunnel, so everything has a bound:
//! connections, header time, bodies, frames, and what a socket may do before it has shown a token.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{self, Body};
use axum::extract::ws::{self, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::form_urlencoded;
use uuid::Uuid;

use crate::call::bridge::event::Stream;
use crate::call::drive::CarrierStream;
use crate::call::session::Session;
use crate::call::switchboard::{Stray, Switchboard};
use crate::config::PublicUrl;
use crate::secret::Secret;
use crate::socket::{READ_BUFFER, Socket, WRITE_BUFFER};
use crate::twilio::frame::{self, Frame};
use crate::twilio::signature;
use crate::twilio::twiml;

/// What `/healthz` answers; `doctor` knows us by it.
pub const HEALTHY: &str = "openagent-messaging is up\n";

/// Connections at once; a call needs two at most, and Twilio keeps few. Most systems give a process
/// 1,024 open files: whoever fills this up must leave enough for calls and for the store.
const CONNECTIONS: usize = 512;

/// Media sockets at once that have shown neither a valid signature nor a token.
const STRANGERS: usize = 64;

/// Media sockets at once whose handshake was signed, and that have not shown a token.
const INTRODUCTIONS: usize = 256;

/// What those hear for whom there is no room.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
    Connection: close\r\nContent-Length: 0\r\n\r\n";

/// From the start of a connection, or of the wait for the next request, to the end of its head.
const HEADER_TIME: Duration = Duration::from_secs(5);

/// For the body of a request.
const BODY_TIME: Duration = Duration::from_secs(5);

/// The head of a request, bytes. hyper takes no less.
const MAX_HEAD: usize = 16 * 1024;

/// A form of Twilio has 2 KiB or so.
const MAX_BODY: usize = 64 * 1024;

/// A frame of Twilio's has 300 bytes or so; this is also what a stranger may send in all.
const MAX_FRAME: usize = 64 * 1024;

/// A stranger must show its token within this time.
const TOKEN_TIME: Duration = Duration::from_secs(5);

/// Agent audio that may wait for the carrier's socket: more than three minutes of speech.
const MAX_UNWRITTEN: usize = 2 * 1024 * 1024;

/// Lines about strangers that are logged as warnings.
const NOISE_LOGGED: u32 = 50;

/// Said of a webhook without a valid signature.
const UNSIGNED: &str = "refused a request without a valid Twilio signature: if it was Twilio's, \
                        OPENAGENT_PHONE_PUBLIC_URL or TWILIO_AUTH_TOKEN is not what Twilio uses";

/// The close code for a stream that is not ours (RFC 6455: policy violation).
const NOT_ADMITTED: u16 = 1008;

struct Shared {
    board: Arc<Switchboard>,
    auth_token: Secret,
    public_url: PublicUrl,
    strangers: Arc<Semaphore>,
    introductions: Arc<Semaphore>,
    noise: Noise,
}

/// Serves Twilio on `listener` until `stop` is cancelled.
pub async fn serve(
    listener: TcpListener,
    board: Arc<Switchboard>,
    auth_token: Secret,
    public_url: PublicUrl,
    stop: CancellationToken,
) {
    let prefix = public_url.path_prefix().to_owned();
    let shared = Arc::new(Shared {
        board,
        auth_token,
        public_url,
        strangers: Arc::new(Semaphore::new(STRANGERS)),
        introductions: Arc::new(Semaphore::new(INTRODUCTIONS)),
        noise: Noise::default(),
    });
    let routes = Router::new()
        .route("/twiml/{call_id}", post(answer_twiml))
        .route("/status/{call_id}", post(status))
        .route("/amd/{call_id}", post(answered_by))
        .route("/media", get(media))
        .route("/healthz", get(async || HEALTHY))
        .with_state(Arc::clone(&shared));
    let counting = Arc::clone(&shared);
    let routes =
        under(&prefix, routes).layer(middleware::map_response(move |response: Response| {
            let shared = Arc::clone(&counting);
            async move {
                shared
                    .board
                    .metrics()
                    .webhook_error(response.status().as_u16());
                response
            }
        }));
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Most often too many open files: come back when some are closed.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            shared
                .noise
                .note("too many connections; one was refused", "");
            // As much as goes out without waiting, which is all of it on a new connection.
            let _ = stream.try_write(FULL);
            continue;
        };
        let (routes, stop) = (routes.clone(), stop.clone());
        tasks.spawn(async move {
            connection(stream, routes, stop).await;
            drop(permit);
        });
    }
    tasks.close();
}

async fn connection(stream: TcpStream, routes: Router, stop: CancellationToken) {
    // A frame of speech must not wait for the one after it.
    let _ = stream.set_nodelay(true);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .with_upgrades();
    tokio::select! {
        served = serving => {
            if let Err(error) = served {
                tracing::debug!(%error, "connection ended");
            }
        }
        () = stop.cancelled() => {}
    }
}

/// A request of Twilio about a call, its signature checked.
struct Webhook {
    session: Arc<Session>,
    params: Vec<(String, String)>,
}

impl Webhook {
    /// Reads the form and checks who sent it, before anything else is looked at.
    async fn read(shared: &Shared, call_id: &str, request: Request) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let body = read(body).await?;
        let params: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
        let url = signed_url(&shared.public_url, &parts.uri);
        let signed = signature_of(&parts.headers).is_some_and(|signature| {
            signature::is_valid_form(&shared.auth_token, &url, &params, signature)
        });
        if !signed {
            shared.noise.note(UNSIGNED, parts.uri.path());
            return Err(Refusal::Status(StatusCode::FORBIDDEN));
        }
        let session = Uuid::try_parse(call_id)
            .ok()
            .and_then(|id| shared.board.session(id));
        if let Some(session) = session {
            return Ok(Self { session, params });
        }
        match shared.board.stray(call_id, param(&params, "CallSid")).await {
            Stray::Orphan => Err(Refusal::Orphan),
            Stray::TooMany => Err(Refusal::Status(StatusCode::SERVICE_UNAVAILABLE)),
            Stray::Unknown => Err(Refusal::Status(StatusCode::NOT_FOUND)),
        }
    }

    fn param(&self, name: &str) -> &str {
        param(&self.params, name)
    }
}

fn param<'a>(params: &'a [(String, String)], name: &str) -> &'a str {
    let found = params.iter().find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value.as_str())
}

/// Why a request is not passed on to a call.
enum Refusal {
    Status(StatusCode),
    /// The call's process has died; the line must end.
    Orphan,
}

impl Refusal {
    /// The answer to a report.
    fn status(self) -> StatusCode {
        match self {
            Self::Status(status) => status,
            Self::Orphan => StatusCode::NO_CONTENT,
        }
    }
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        Self::Status(status)
    }
}

async fn read(body: Body) -> Result<Bytes, StatusCode> {
    match tokio::time::timeout(BODY_TIME, body::to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

fn signature_of(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-twilio-signature")?.to_str().ok()
}

/// The URL as Twilio knows it: the public one, whatever the tunnel made of it on the way.
fn signed_url(public_url: &PublicUrl, uri: &Uri) -> String {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let prefix = public_url.path_prefix();
    let path = match path.strip_prefix(prefix) {
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    };
    public_url.join(path.trim_start_matches('/'))
}

async fn answer_twiml(
    State(shared): State<Arc<Shared>>,
    Path(call_id): Path<String>,
    request: Request,
) -> Response {
    let answer = match Webhook::read(&shared, &call_id, request).await {
        Ok(webhook) => {
            let (sid, status) = (webhook.param("CallSid"), webhook.param("CallStatus"));
            shared.board.answer_twiml(&webhook.session, sid, status)
        }
        Err(Refusal::Orphan) => twiml::hang_up(),
        Err(Refusal::Status(status)) => return status.into_response(),
    };
    let xml = [(header::CONTENT_TYPE, "text/xml; charset=utf-8")];
    (xml, answer).into_response()
}

async fn status(
    State(shared): State<Arc<Shared>>,
    Path(call_id): Path<String>,
    request: Request,
) -> StatusCode {
    match Webhook::read(&shared, &call_id, request).await {
        Ok(webhook) => {
            let (sid, status) = (webhook.param("CallSid"), webhook.param("CallStatus"));
            let sequence = webhook.param("SequenceNumber").parse().ok();
            let seconds = webhook.param("CallDuration").parse().ok();
            shared
                .board
                .on_status(&webhook.session, sid, status, sequence, seconds);
            StatusCode::NO_CONTENT
        }
        Err(refusal) => refusal.status(),
    }
}

async fn answered_by(
    State(shared): State<Arc<Shared>>,
    Path(call_id): Path<String>,
    request: Request,
) -> StatusCode {
    match Webhook::read(&shared, &call_id, request).await {
        Ok(webhook) => {
            let (sid, who) = (webhook.param("CallSid"), webhook.param("AnsweredBy"));
            shared.board.on_answered_by(&webhook.session, sid, who);
            StatusCode::NO_CONTENT
        }
        Err(refusal) => refusal.status(),
    }
}

async fn media(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let signed = signature_of(&parts.headers).is_some_and(|signature| {
        let url = shared.public_url.stream();
        signature::is_valid_handshake(&shared.auth_token, &url, signature)
    });
    // What Twilio signs here differs between its own pages, so a stream without a valid signature
    // may be one of ours; the one-time token decides. But strangers share a few places, so that
    // they cannot keep out those who are signed.
    let places = if signed {
        &shared.introductions
    } else {
        shared.noise.note(
            "a media stream came without a valid handshake signature; its token decides",
            parts.uri.path(),
        );
        &shared.strangers
    };
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(refusal) => return refusal.into_response(),
    };
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_UNWRITTEN)
        .max_message_size(MAX_FRAME)
        .max_frame_size(MAX_FRAME)
        .on_upgrade(async move |socket| {
            let mut socket = Socket::new(socket);
            let start = introduce(&shared.board, &mut socket);
            let admitted = tokio::time::timeout(TOKEN_TIME, start).await;
            drop(place);
            if let Ok(Some((session, purpose, stream_sid))) = admitted {
                if session.call.is_final() {
                    // Its call ended while it was on its way, which is nothing to warn of.
                    return refuse(socket).await;
                }
                let stream = CarrierStream {
                    socket,
                    stream_sid,
                    purpose,
                };
                shared.board.attach(&session, stream);
            } else {
                let what = "a media stream was refused: it showed no valid token";
                shared.board.metrics().stream_refused();
                shared.noise.note(what, parts.uri.path());
                refuse(socket).await;
            }
        })
}

/// What strangers make us say: the first lines are for the operator, who may have a setting wrong;
/// more of them would only fill the disk.
#[derive(Default)]
struct Noise {
    lines: AtomicU32,
}

impl Noise {
    fn note(&self, what: &str, path: &str) {
        let path: String = path.chars().take(80).collect();
        if self.lines.fetch_add(1, Ordering::Relaxed) < NOISE_LOGGED {
            tracing::warn!(?path, "{what}");
        } else {
            tracing::debug!(?path, "{what}");
        }
    }
}

/// Waits for the `start` that shows whose stream this is.
async fn introduce(
    board: &Switchboard,
    socket: &mut Socket<ws::WebSocket>,
) -> Option<(Arc<Session>, Stream, String)> {
    let mut left = MAX_FRAME;
    loop {
        let message: ws::Message = socket.recv().await?.ok()?;
        let ws::Message::Text(text) = message else {
            // Twilio sends text alone; pings are answered by the library, and cost their share.
            left = left.checked_sub(128)?;
            continue;
        };
        left = left.checked_sub(text.len().max(1))?;
        let text = Bytes::from(text);
        match frame::parse(&text) {
            Ok(Frame::Start(start)) if start.is_mu_law => {
                let (session, purpose) = board.admit(&start)?;
                return Some((session, purpose, start.stream_sid.into_owned()));
            }
            Ok(Frame::Connected | Frame::Ignored) => {}
            _ => return None,
        }
    }
}

async fn refuse(mut socket: Socket<ws::WebSocket>) {
    let frame = ws::CloseFrame {
        code: NOT_ADMITTED,
        reason: "not admitted".into(),
    };
    let _ = socket.send(ws::Message::Close(Some(frame)));
    let _ = tokio::time::timeout(Duration::from_secs(1), socket.close()).await;
}

/// Opens the local port.
///
/// # Errors
///
/// A sentence that names the address, for `voice_missing`.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        format!("the webhook port {address} cannot be opened ({error}): set OPENAGENT_PHONE_PORT to a free one, or stop what uses it")
    })
}

/// Answers `/healthz` on `listener`, with or without the prefix of the public URL, until it is
/// aborted: for `doctor`.
pub async fn serve_health(listener: TcpListener, prefix: String) {
    let health = Router::new().route("/healthz", get(async || HEALTHY));
    if let Err(error) = axum::serve(listener, under(&prefix, health)).await {
        tracing::debug!(%error, "health server ended");
    }
}

/// A tunnel may pass the prefix of the public URL on, or take it off.
fn under(prefix: &str, routes: Router) -> Router {
    match prefix {
        "" => routes,
        prefix => Router::new().nest(prefix, routes.clone()).merge(routes),
    }
}
