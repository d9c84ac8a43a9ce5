//! What the tests of calls share: a stand-in for each of the two services that only does what a test
//! tells it to, a carrier's media stream driven by hand, and a way to wait that fails loudly.
//!
//! Nothing here uses the product's own code for signatures, frames or events: one of the two being
//! wrong must show.
#![allow(dead_code, unreachable_pub, clippy::missing_panics_doc)]

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use futures_util::{SinkExt as _, StreamExt as _};
use hmac::{Hmac, Mac as _};
use openagent_messaging::app::App;
use openagent_messaging::call::language::Language;
use openagent_messaging::call::record::Lines;
use openagent_messaging::call::session::Session;
use openagent_messaging::call::snapshot::Snapshot;
use openagent_messaging::call::switchboard::{Order, Switchboard};
use openagent_messaging::config::{Config, Values, command};
use openagent_messaging::phone::E164;
use serde_json::{Value, json};
use sha1::Sha1;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;

/// Whatever is waited for has happened by then, on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub const AUTH_TOKEN: &str = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e";
pub const FROM: &str = "+15005550006";
pub const CALLEE: &str = "+14155550142";

/// Nobody is ever asked for this name: tests reach the local port, as a tunnel would.
pub const PUBLIC_URL: &str = "https://voice.example.test/tel";

/// Samples in 200 ms: marks are no further apart.
pub const MARK_EVERY: usize = 1_600;

/// A sentence that discloses the AI.
pub const GREETING: &str = "Hello, this is an AI assistant, calling on behalf of a client.";

/// Waits for `future`, and says what was waited for if it does not come.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let in_time = tokio::time::timeout(PATIENCE, future).await;
    in_time.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Settings as the environment would give them.
pub fn values(settings: &[(&str, &str)]) -> Values {
    let flags = command().get_matches_from(["openagent-messaging"]);
    let lookup = |name: &str| {
        let found = settings.iter().rfind(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    Values::new(lookup, &flags)
}

/// An order for a plain call.
pub fn order(to: &str) -> Order {
    Order {
        to: E164::parse(to).unwrap(),
        mission: "Ask for the opening hours.".to_owned(),
        caller_identity: None,
        language: Language::default(),
        success_criteria: None,
        max_duration: None,
        idempotency_key: None,
    }
}

/// The call as the agent would see it now.
pub fn snapshot(session: &Session) -> Snapshot {
    session.call.snapshot(Lines::All, Utc::now())
}

/// Waits until `met` is true of the call.
pub async fn until(
    session: &Session,
    what: &str,
    mut met: impl FnMut(&Snapshot) -> bool,
) -> Snapshot {
    let mut watch = session.call.watch();
    let waiting = async {
        loop {
            watch.borrow_and_update();
            let now = snapshot(session);
            if met(&now) {
                return now;
            }
            watch.changed().await.unwrap();
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, waiting).await;
    in_time.unwrap_or_else(|_| panic!("waited in vain for {what}: {:#?}", snapshot(session)))
}

/// Waits until the call is over.
pub async fn ended(session: &Session) -> Snapshot {
    until(session, "the end of the call", |now| now.status.is_final()).await
}

/// Every visible detail of a call that is not a running clock.
pub fn standing(session: &Session) -> Value {
    let mut now = serde_json::to_value(snapshot(session)).unwrap();
    now["duration_s"] = Value::Null;
    now
}

/// `X-Twilio-Signature`, as Twilio's documentation describes it.
pub fn sign(token: &str, url: &str, params: &[(&str, &str)]) -> String {
    let mut sorted = params.to_vec();
    sorted.sort_unstable();
    let mut data = url.to_owned();
    for (name, value) in sorted {
        data.push_str(name);
        data.push_str(value);
    }
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(data.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// A form as it is sent.
pub fn form(params: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(params)
        .finish()
}

/// A client without a pool: tests run on runtimes of their own, connections do not outlive them.
pub fn http() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(PATIENCE)
            .build()
            .unwrap()
    })
}

/// Sends a form with this signature, or with none, and returns status and body.
pub async fn post_form(
    port: u16,
    path: &str,
    params: &[(&str, &str)],
    signature: Option<&str>,
) -> (u16, String) {
    let mut request = http()
        .post(format!("http://127.0.0.1:{port}{path}"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form(params));
    if let Some(signature) = signature {
        request = request.header("X-Twilio-Signature", signature);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Different bytes for each seed, all 256 values among them if there are enough.
pub fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut bytes: Vec<u8> = (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_be_bytes()[0]
        })
        .collect();
    for (byte, value) in bytes.iter_mut().zip(0..=255_u8) {
        *byte = value.wrapping_add(seed.to_le_bytes()[0]);
    }
    bytes
}

/// Fails with the place of the first difference, not with a page of bytes.
#[track_caller]
pub fn assert_same_audio(got: &[u8], wanted: &[u8]) {
    let differs = got.iter().zip(wanted).position(|(a, b)| a != b);
    assert_eq!(differs, None, "audio differs at this byte");
    assert_eq!(got.len(), wanted.len(), "audio has another length");
}

/// Twilio's REST interface: takes every call and every hang-up, and remembers them.
pub struct Rest {
    url: String,
    seen: watch::Sender<Vec<(String, String)>>,
    held: watch::Sender<bool>,
    broken: Arc<AtomicBool>,
    price: Arc<Mutex<Option<&'static str>>>,
}

#[derive(Clone)]
struct RestState {
    seen: watch::Sender<Vec<(String, String)>>,
    held: watch::Sender<bool>,
    broken: Arc<AtomicBool>,
    price: Arc<Mutex<Option<&'static str>>>,
}

impl Rest {
    async fn start() -> Self {
        let state = RestState {
            seen: watch::Sender::default(),
            held: watch::Sender::new(false),
            broken: Arc::default(),
            price: Arc::default(),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let rest = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            seen: state.seen.clone(),
            held: state.held.clone(),
            broken: Arc::clone(&state.broken),
            price: Arc::clone(&state.price),
        };
        let routes = Router::new().fallback(answer_rest).with_state(state);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        rest
    }

    /// Lets requests wait for their answer, or not any more.
    pub fn hold(&self, hold: bool) {
        self.held.send_replace(hold);
    }

    /// From now on every answer is an internal error: what became of the request is unknown.
    pub fn fail(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// From now on, whoever asks about a call is told that it is over and what it cost, such as
    /// `-0.014`.
    pub fn bill(&self, price: &'static str) {
        *self.price.lock().unwrap() = Some(price);
    }

    /// All requests so far: `Calls.json` or `Calls/CA….json`, and the form.
    pub fn requests(&self) -> Vec<(String, String)> {
        self.seen.borrow().clone()
    }

    /// How often the line was hung up.
    pub fn hang_ups(&self, sid: &str) -> usize {
        let path = format!("Calls/{sid}.json");
        let seen = self.seen.borrow();
        seen.iter()
            .filter(|(to, form)| *to == path && form == "Status=completed")
            .count()
    }

    /// How many requests to hang up any line there were.
    pub fn hung_up_lines(&self) -> usize {
        let seen = self.seen.borrow();
        seen.iter()
            .filter(|(_, form)| form == "Status=completed")
            .count()
    }

    /// Waits until there were so many requests that place a call.
    pub async fn dialled(&self, count: usize) {
        let mut seen = self.seen.subscribe();
        let dials =
            |seen: &Vec<(String, String)>| seen.iter().filter(|(to, _)| to == "Calls.json").count();
        soon(
            "a request to dial",
            seen.wait_for(|seen| dials(seen) >= count),
        )
        .await
        .unwrap();
    }

    /// Waits until the line was given something else to do, and returns that: `Twiml=…`, encoded.
    pub async fn redirected(&self, sid: &str) -> String {
        let path = format!("Calls/{sid}.json");
        let mut seen = self.seen.subscribe();
        let twiml = |seen: &Vec<(String, String)>| {
            let mut forms = seen
                .iter()
                .filter(|(to, _)| *to == path)
                .map(|(_, form)| form);
            forms.find(|form| form.starts_with("Twiml=")).cloned()
        };
        let seen = soon("a redirect", seen.wait_for(|seen| twiml(seen).is_some()));
        let seen = seen.await.unwrap();
        twiml(&seen).unwrap()
    }

    /// Waits until any line was hung up so often.
    pub async fn hung_up(&self, count: usize) {
        let mut seen = self.seen.subscribe();
        let hang_ups = |seen: &Vec<(String, String)>| {
            seen.iter()
                .filter(|(_, form)| form == "Status=completed")
                .count()
        };
        soon("a hang-up", seen.wait_for(|seen| hang_ups(seen) >= count))
            .await
            .unwrap();
    }
}

async fn answer_rest(
    State(state): State<RestState>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    let root = format!("/2010-04-01/Accounts/{ACCOUNT}/");
    let billed = uri
        .path()
        .strip_prefix(&root)
        .zip(*state.price.lock().unwrap());
    if let (&Method::GET, Some((path, price))) = (&method, billed) {
        let sid = path.trim_start_matches("Calls/").trim_end_matches(".json");
        let call = json!({"sid": sid, "status": "completed", "price": price, "price_unit": "USD"});
        let json = [(header::CONTENT_TYPE, "application/json")];
        return (json, call.to_string()).into_response();
    }
    let (true, Some(path)) = (method == Method::POST, uri.path().strip_prefix(&root)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let form = String::from_utf8_lossy(&body).into_owned();
    state
        .seen
        .send_modify(|seen| seen.push((path.to_owned(), form)));
    let mut held = state.held.subscribe();
    let _ = held.wait_for(|held| !held).await;
    if state.broken.load(Ordering::Relaxed) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let (status, sid) = if let Some(sid) = path.strip_prefix("Calls/") {
        (StatusCode::OK, sid.trim_end_matches(".json").to_owned())
    } else {
        let sid = format!("CA{}", uuid::Uuid::new_v4().simple());
        (StatusCode::CREATED, sid)
    };
    let body = json!({"sid": sid, "status": "queued"}).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A websocket whose peer is the product, with a task that reads and writes it.
struct Wire {
    out: mpsc::UnboundedSender<Message>,
    task: JoinHandle<()>,
    deaf: Arc<AtomicBool>,
}

impl Wire {
    /// `take` is given each text frame; at the end, the close code, if there was one.
    fn start<S>(
        mut socket: WebSocketStream<S>,
        mut take: impl FnMut(Result<Value, Option<u16>>) + Send + 'static,
        pulse: Arc<AtomicBool>,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (out, mut waiting) = mpsc::unbounded_channel::<Message>();
        let deaf = Arc::new(AtomicBool::new(false));
        let is_deaf = Arc::clone(&deaf);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    message = socket.next(), if !is_deaf.load(Ordering::Relaxed) => match message {
                        Some(Ok(Message::Text(text))) => {
                            take(Ok(serde_json::from_str(&text).unwrap()));
                        }
                        Some(Ok(Message::Binary(_))) => panic!("the product sent a binary frame"),
                        Some(Ok(Message::Close(frame))) => {
                            // Answered by the library as it is read further.
                            let _ = socket.next().await;
                            return take(Err(frame.map(|frame| frame.code.into())));
                        }
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return take(Err(None)),
                    },
                    message = waiting.recv() => {
                        let Some(message) = message else { return };
                        if socket.send(message).await.is_err() {
                            // What the product said before it hung up can still be read.
                            waiting.close();
                        }
                    }
                    _ = ticks.tick(), if pulse.load(Ordering::Relaxed) => {
                        let _ = socket.send(Message::text(r#"{"event":"still-here"}"#)).await;
                    }
                }
            }
        });
        Self { out, task, deaf }
    }

    fn send(&self, message: Message) {
        let _ = self.out.send(message);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The model's end of a session's socket.
pub struct Model {
    wire: Wire,
    events: mpsc::UnboundedReceiver<Value>,
    heard: watch::Receiver<Vec<u8>>,
}

impl Model {
    fn new(socket: WebSocketStream<TcpStream>) -> Self {
        let (event, events) = mpsc::unbounded_channel();
        let (ear, heard) = watch::channel(Vec::new());
        let take = move |message: Result<Value, Option<u16>>| {
            let Ok(message) = message else { return };
            if message["type"] == "input_audio_buffer.append" {
                let audio = STANDARD.decode(message["audio"].as_str().unwrap()).unwrap();
                ear.send_modify(|heard| heard.extend(audio));
            } else {
                let _ = event.send(message);
            }
        };
        Self {
            wire: Wire::start(socket, take, Arc::default()),
            events,
            heard,
        }
    }

    /// Reads nothing any more, once one more message has come.
    pub fn stop_reading(&self) {
        self.wire.deaf.store(true, Ordering::Relaxed);
    }

    /// Sends one event.
    pub fn send(&self, event: &Value) {
        self.wire.send(Message::text(event.to_string()));
    }

    /// Closes the socket with this code.
    pub fn close(&self, code: u16, reason: &'static str) {
        use tokio_tungstenite::tungstenite::protocol::CloseFrame;
        self.wire.send(Message::Close(Some(CloseFrame {
            code: code.into(),
            reason: reason.into(),
        })));
    }

    /// The next event of this type; others before it are passed over.
    pub async fn event(&mut self, kind: &str) -> Value {
        soon(kind, async {
            loop {
                let event = self
                    .events
                    .recv()
                    .await
                    .expect("the model's socket is gone");
                if event["type"] == kind {
                    return event;
                }
            }
        })
        .await
    }

    /// The next update of the session, whose event id tells what it is about.
    pub async fn update(&mut self, about: &str) -> Value {
        loop {
            let update = self.event("session.update").await;
            if update["event_id"] == about {
                return update;
            }
        }
    }

    /// Waits for the configuration without answering it.
    pub async fn configuration(&mut self) -> Value {
        self.send(&json!({"type": "session.created", "session": {"id": "sess_1"}}));
        self.update("configure").await
    }

    /// Confirms the configuration, or a change of it.
    pub fn confirm(&self) {
        self.send(&json!({"type": "session.updated", "session": {"type": "realtime"}}));
    }

    /// A whole response with one item of speech.
    pub fn respond(&self, response: &str, item: &str, text: &str, chunks: &[Vec<u8>]) {
        self.begin(response);
        for chunk in chunks {
            self.speak(response, item, chunk);
        }
        self.finish(response, item, text);
    }

    pub fn begin(&self, response: &str) {
        self.send(&json!({"type": "response.created", "response": {"id": response}}));
    }

    pub fn speak(&self, response: &str, item: &str, audio: &[u8]) {
        self.send(&json!({
            "type": "response.output_audio.delta", "response_id": response, "item_id": item,
            "output_index": 0, "content_index": 0, "delta": STANDARD.encode(audio),
            "obfuscation": "x",
        }));
    }

    pub fn finish(&self, response: &str, item: &str, text: &str) {
        let ids = json!({"response_id": response, "item_id": item});
        let mut done = ids.clone();
        done["type"] = json!("response.output_audio.done");
        self.send(&done);
        let mut words = ids;
        words["type"] = json!("response.output_audio_transcript.done");
        words["transcript"] = json!(text);
        self.send(&words);
        self.send(&json!({
            "type": "response.done", "response": {"id": response, "status": "completed"},
        }));
    }

    /// Gives the greeting that is asked for.
    pub async fn greet(&mut self, chunks: &[Vec<u8>]) {
        self.event("response.create").await;
        self.respond("resp_greeting", "item_greeting", GREETING, chunks);
    }

    /// Waits until so much of the callee's audio has come, and returns all of it.
    pub async fn heard(&self, bytes: usize) -> Vec<u8> {
        let mut heard = self.heard.clone();
        let waiting = heard.wait_for(|heard| heard.len() >= bytes);
        if let Ok(heard) = tokio::time::timeout(PATIENCE, waiting).await {
            return heard.unwrap().clone();
        }
        panic!("the model heard {} of {bytes} bytes", self.heard_so_far());
    }

    /// Waits until the product has closed the socket.
    pub async fn gone(&mut self) {
        while self.events.recv().await.is_some() {}
    }

    /// What has come so far.
    pub fn heard_so_far(&self) -> usize {
        self.heard.borrow().len()
    }
}

/// The carrier's end of a media stream.
pub struct Carrier {
    wire: Wire,
    frames: mpsc::UnboundedReceiver<Result<Value, Option<u16>>>,
    pulse: Arc<AtomicBool>,
    sid: String,
    said: usize,
    /// Bytes since the last mark.
    unmarked: usize,
}

impl Carrier {
    /// Opens the socket; nothing is sent on it yet.
    pub async fn open(port: u16, signature: Option<&str>) -> Self {
        Self::ask(port, signature).await.unwrap()
    }

    /// The same, or the HTTP status of a refusal.
    pub async fn ask(port: u16, signature: Option<&str>) -> Result<Self, u16> {
        let mut request = format!("ws://127.0.0.1:{port}/media")
            .into_client_request()
            .unwrap();
        if let Some(signature) = signature {
            let value = HeaderValue::from_str(signature).unwrap();
            request.headers_mut().insert("X-Twilio-Signature", value);
        }
        // With little room for what is not read yet: a test that reads nothing need not fill it.
        let stream = TcpSocket::new_v4().unwrap();
        stream.set_recv_buffer_size(64 * 1024).unwrap();
        let stream = stream.connect((Ipv4Addr::LOCALHOST, port).into()).await;
        let stream = stream.unwrap();
        stream.set_nodelay(true).unwrap();
        let opening = tokio_tungstenite::client_async(request, stream);
        let (socket, _) = match soon("a media socket", opening).await {
            Ok(opened) => opened,
            Err(tungstenite::Error::Http(refusal)) => return Err(refusal.status().as_u16()),
            Err(error) => panic!("no media socket: {error}"),
        };
        let (frame, frames) = mpsc::unbounded_channel();
        let pulse = Arc::new(AtomicBool::new(false));
        let take = move |message| {
            let _ = frame.send(message);
        };
        Ok(Self {
            wire: Wire::start(socket, take, Arc::clone(&pulse)),
            frames,
            pulse,
            sid: format!("MZ{}", uuid::Uuid::new_v4().simple()),
            said: 0,
            unmarked: 0,
        })
    }

    /// The `start` that Twilio would send.
    pub fn start_frame(&self, call_sid: &str, parameters: &Value) -> Value {
        json!({
            "event": "start",
            "sequenceNumber": "1",
            "start": {
                "accountSid": ACCOUNT,
                "streamSid": self.sid,
                "callSid": call_sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8_000, "channels": 1},
                "customParameters": parameters,
            },
            "streamSid": self.sid,
        })
    }

    /// Shows the token.
    pub fn start(&self, call_id: &str, token: &str, twilio_sid: &str) {
        let frame = self.start_frame(twilio_sid, &json!({"call_id": call_id, "token": token}));
        self.text(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#);
        self.text(&frame.to_string());
        // A carrier's stream never rests; this one says something at least every second.
        self.pulse.store(true, Ordering::Relaxed);
    }

    /// Reads nothing any more, once one more frame has come.
    pub fn stop_reading(&self) {
        self.wire.deaf.store(true, Ordering::Relaxed);
    }

    /// Stops showing signs of life.
    pub fn hush(&self) {
        self.pulse.store(false, Ordering::Relaxed);
    }

    pub fn text(&self, text: &str) {
        self.wire.send(Message::text(text.to_owned()));
    }

    pub fn binary(&self, bytes: Vec<u8>) {
        self.wire.send(Message::binary(bytes));
    }

    /// One frame of the callee's voice, in step with those before it.
    pub fn say(&mut self, audio: &[u8]) {
        let at = self.said / 8;
        self.said += audio.len();
        self.text(&self.media_frame(at, audio));
    }

    /// A media frame at a position in the stream, in milliseconds.
    pub fn media_frame(&self, at: usize, audio: &[u8]) -> String {
        let media = json!({
            "event": "media", "sequenceNumber": "9", "streamSid": self.sid,
            "media": {
                "track": "inbound", "chunk": "1", "timestamp": at.to_string(),
                "payload": STANDARD.encode(audio),
            },
        });
        media.to_string()
    }

    pub fn press(&self, digit: char) {
        let dtmf = json!({
            "event": "dtmf", "streamSid": self.sid, "sequenceNumber": "5",
            "dtmf": {"track": "inbound_track", "digit": digit.to_string()},
        });
        self.text(&dtmf.to_string());
    }

    pub fn stop(&self) {
        let stop = json!({"event": "stop", "streamSid": self.sid, "sequenceNumber": "6"});
        self.text(&stop.to_string());
    }

    pub fn return_mark(&self, name: &str) {
        let mark = json!({
            "event": "mark", "sequenceNumber": "4", "streamSid": self.sid, "mark": {"name": name},
        });
        self.text(&mark.to_string());
    }

    /// The next frame, or the close code.
    pub async fn next(&mut self) -> Result<Value, Option<u16>> {
        let next = soon("a frame to the carrier", self.frames.recv()).await;
        next.unwrap_or(Err(None))
    }

    /// The next frame, which must name this stream.
    pub async fn frame(&mut self) -> Value {
        let frame = self.next().await.expect("the stream was closed");
        assert_eq!(frame["streamSid"], self.sid.as_str(), "{frame}");
        frame
    }

    /// Listens until so many bytes of audio have come and are followed by a mark; returns each mark
    /// as soon as it comes, as an empty buffer would. No mark may be more than 200 ms of audio behind
    /// the one before it.
    pub async fn hear(&mut self, bytes: usize) -> Vec<u8> {
        let mut heard = Vec::new();
        while heard.len() < bytes || self.unmarked > 0 {
            let frame = self.frame().await;
            if let Some(audio) = self.take(&frame) {
                heard.extend(audio);
            }
        }
        heard
    }

    /// Listens to so many bytes without returning any mark; the names of the marks, each with the
    /// number of bytes before it.
    pub async fn hear_without_marks(&mut self, bytes: usize) -> Vec<(String, usize)> {
        let (mut heard, mut marks) = (0, Vec::new());
        loop {
            let frame = self.frame().await;
            match frame["event"].as_str() {
                Some("media") => {
                    let payload = frame["media"]["payload"].as_str().unwrap();
                    heard += STANDARD.decode(payload).unwrap().len();
                }
                Some("mark") => {
                    marks.push((frame["mark"]["name"].as_str().unwrap().to_owned(), heard));
                    if heard >= bytes {
                        return marks;
                    }
                }
                _ => panic!("unexpected: {frame}"),
            }
        }
    }

    /// The audio in a frame; a mark is returned.
    fn take(&mut self, frame: &Value) -> Option<Vec<u8>> {
        match frame["event"].as_str() {
            Some("media") => {
                let audio = STANDARD
                    .decode(frame["media"]["payload"].as_str().unwrap())
                    .unwrap();
                assert!(!audio.is_empty(), "a media frame without audio");
                self.unmarked += audio.len();
                assert!(
                    self.unmarked <= MARK_EVERY,
                    "{} bytes without a mark",
                    self.unmarked
                );
                Some(audio)
            }
            Some("mark") => {
                assert!(self.unmarked > 0, "a mark that follows no audio");
                self.unmarked = 0;
                self.return_mark(frame["mark"]["name"].as_str().unwrap());
                None
            }
            _ => panic!("unexpected: {frame}"),
        }
    }

    /// Waits until the product closes the socket; frames before that are passed over.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }

    /// Breaks the connection off without a word.
    pub fn cut(self) {
        drop(self);
    }
}

/// The product between two stand-ins that do nothing of themselves.
pub struct Stage {
    pub app: Arc<App>,
    pub rest: Rest,
    pub port: u16,
    sockets: mpsc::UnboundedReceiver<Model>,
}

/// A call that was placed.
pub struct Placed {
    pub session: Arc<Session>,
    pub id: String,
    /// Twilio's id.
    pub sid: String,
    pub model: Model,
}

impl Stage {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts with these settings in addition.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let rest = Rest::start().await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let model_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (opened, sockets) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let opened = opened.clone();
                tokio::spawn(async move {
                    if let Ok(socket) = tokio_tungstenite::accept_async(stream).await {
                        let _ = opened.send(Model::new(socket));
                    }
                });
            }
        });
        let mut all = vec![
            ("TWILIO_ACCOUNT_SID", ACCOUNT),
            ("TWILIO_AUTH_TOKEN", AUTH_TOKEN),
            ("TWILIO_FROM_NUMBER", FROM),
            ("OPENAI_API_KEY", "sk-test"),
            ("OPENAGENT_PHONE_PUBLIC_URL", PUBLIC_URL),
            ("OPENAGENT_PHONE_ALLOW_PREFIXES", "+1"),
            ("OPENAGENT_PHONE_GREETING_WAIT_MS", "0"),
            ("TWILIO_API_BASE_URL", &rest.url),
            ("OPENAI_BASE_URL", &model_url),
        ];
        all.extend(settings);
        let config = Config::load(&values(&all)).unwrap();
        let app = App::start(config, CancellationToken::new()).await;
        let port = app.local_port.expect("the webhook server is up");
        Self {
            app,
            rest,
            port,
            sockets,
        }
    }

    pub fn board(&self) -> &Arc<Switchboard> {
        self.app.board.as_ref().unwrap()
    }

    /// The next socket that the product opens to the model.
    pub async fn model(&mut self) -> Model {
        soon("a model socket", self.sockets.recv()).await.unwrap()
    }

    /// No further socket was opened to the model.
    pub fn no_other_model(&mut self) -> bool {
        self.sockets.try_recv().is_err()
    }

    /// Places a call; the model has accepted its configuration, and nothing else has happened.
    pub async fn place(&mut self) -> Placed {
        self.place_to(CALLEE).await
    }

    pub async fn place_to(&mut self, to: &str) -> Placed {
        let board = Arc::clone(self.board());
        let order = order(to);
        let placing = tokio::spawn(async move { board.place(order).await });
        let mut model = self.model().await;
        model.configuration().await;
        model.confirm();
        let placed = placing.await.unwrap().unwrap();
        Self::placed(placed.here().unwrap(), model)
    }

    pub fn placed(session: Arc<Session>, model: Model) -> Placed {
        Placed {
            id: session.call.id.to_string(),
            sid: session.call.twilio_sid().unwrap(),
            session,
            model,
        }
    }

    /// A signed request of Twilio: `path` stands below the public URL.
    pub async fn post(&self, path: &str, params: &[(&str, &str)]) -> (u16, String) {
        let signature = sign(AUTH_TOKEN, &format!("{PUBLIC_URL}{path}"), params);
        post_form(self.port, path, params, Some(&signature)).await
    }

    /// A status callback about a call.
    pub async fn report(&self, call: &Placed, status: &str, sequence: u32) -> u16 {
        self.report_as(call, &call.sid, status, sequence).await
    }

    /// The same, with any `CallSid`.
    pub async fn report_as(&self, call: &Placed, sid: &str, status: &str, sequence: u32) -> u16 {
        let sequence = sequence.to_string();
        let params = [
            ("AccountSid", ACCOUNT),
            ("CallSid", sid),
            ("CallStatus", status),
            ("CallbackSource", "call-progress-events"),
            ("From", FROM),
            ("SequenceNumber", &sequence),
            ("Timestamp", "Sun, 22 Nov 2026 17:32:03 +0000"),
            ("To", CALLEE),
        ];
        self.post(&format!("/status/{}", call.id), &params).await.0
    }

    /// Asks what to do with a call that was answered.
    pub async fn twiml(&self, call: &Placed) -> String {
        self.twiml_as(call, &call.sid).await
    }

    /// The same, with any `CallSid`.
    pub async fn twiml_as(&self, call: &Placed, sid: &str) -> String {
        let params = [
            ("AccountSid", ACCOUNT),
            ("CallSid", sid),
            ("CallStatus", "in-progress"),
        ];
        let (status, body) = self.post(&format!("/twiml/{}", call.id), &params).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// A fresh stream token.
    pub async fn token(&self, call: &Placed) -> String {
        let twiml = self.twiml(call).await;
        token_in(&twiml).unwrap_or_else(|| panic!("no token: {twiml}"))
    }

    /// A media socket that has shown nothing yet.
    pub async fn socket(&self) -> Carrier {
        Carrier::open(self.port, Some(&handshake_signature())).await
    }

    /// A media stream that has shown a fresh token.
    pub async fn connect(&self, call: &Placed) -> Carrier {
        let token = self.token(call).await;
        let carrier = self.socket().await;
        carrier.start(&call.id, &token, &call.sid);
        carrier
    }
}

/// What Twilio signs on the handshake of a media stream.
pub fn handshake_signature() -> String {
    let url = PUBLIC_URL.replacen("https://", "wss://", 1);
    sign(AUTH_TOKEN, &format!("{url}/media"), &[])
}

/// The token parameter of a TwiML document.
pub fn token_in(twiml: &str) -> Option<String> {
    let (_, rest) = twiml.split_once("name=\"token\" value=\"")?;
    Some(rest.split_once('"')?.0.to_owned())
}
