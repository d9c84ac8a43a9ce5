//! A small server in the product's place, and a client of the carrier's REST API.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use openagent_messaging::sandbox::{Call, Sandbox};
use serde_json::{Value, json};
use sha1::Sha1;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;

pub(crate) struct Hook {
    pub path: String,
    pub fields: HashMap<String, String>,
}

#[derive(Clone)]
pub(crate) struct Shared {
    pub token: String,
    pub url: String,
    pub twiml: Arc<Mutex<String>>,
    pub hooks: mpsc::Sender<Hook>,
    pub sockets: mpsc::Sender<WebSocket>,
}

pub(crate) struct Product {
    pub url: String,
    pub twiml: Arc<Mutex<String>>,
    pub hooks: mpsc::Receiver<Hook>,
    pub sockets: mpsc::Receiver<WebSocket>,
}

pub(crate) fn sign(token: &str, data: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(data.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

pub(crate) async fn hook(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> impl IntoResponse {
    let mut fields: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    fields.sort();
    let mut data = format!("{}{uri}", shared.url);
    for (name, value) in &fields {
        write!(data, "{name}{value}").unwrap();
    }
    if headers["X-Twilio-Signature"] != sign(&shared.token, &data) {
        return (StatusCode::FORBIDDEN, String::new());
    }
    let path = uri.path().to_owned();
    let twiml = path.starts_with("/twiml");
    let fields = fields.into_iter().collect();
    shared.hooks.send(Hook { path, fields }).await.unwrap();
    if twiml {
        (StatusCode::OK, shared.twiml.lock().unwrap().clone())
    } else {
        (StatusCode::NO_CONTENT, String::new())
    }
}

pub(crate) async fn media(
    State(shared): State<Shared>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> impl IntoResponse {
    let url = shared.url.replace("http://", "ws://") + "/media";
    if headers["X-Twilio-Signature"] != sign(&shared.token, &url) {
        return StatusCode::FORBIDDEN.into_response();
    }
    upgrade.on_upgrade(async move |socket| shared.sockets.send(socket).await.unwrap())
}

impl Product {
    /// What it answers from now on has the carrier ask again when the stream is over.
    pub(crate) fn asks_to_be_asked_again(&self) {
        let again = format!("</Connect><Redirect>{}/twiml/1</Redirect>", self.url);
        let mut twiml = self.twiml.lock().unwrap();
        *twiml = twiml.replace("</Connect>", &again);
    }

    pub(crate) async fn start(sandbox: &Sandbox) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (hooks, hooks_seen) = mpsc::channel(64);
        let (sockets, sockets_seen) = mpsc::channel(4);
        let stream = format!("{}/media", url.replace("http://", "ws://"));
        let twiml = format!(
            "<Response><Connect><Stream url=\"{stream}\">\
             <Parameter name=\"token\" value=\"t&amp;1\"/></Stream></Connect></Response>"
        );
        let shared = Shared {
            token: sandbox.auth_token().to_owned(),
            url: url.clone(),
            twiml: Arc::new(Mutex::new(twiml)),
            hooks,
            sockets,
        };
        let twiml = Arc::clone(&shared.twiml);
        let app = Router::new()
            .route("/media", get(media))
            .fallback(post(hook))
            .with_state(shared);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            url,
            twiml,
            hooks: hooks_seen,
            sockets: sockets_seen,
        }
    }

    pub(crate) async fn hook(&mut self, path: &str) -> HashMap<String, String> {
        let hook = soon(path, self.hooks.recv()).await.unwrap();
        assert_eq!(hook.path, path);
        hook.fields
    }

    pub(crate) async fn media(&mut self) -> Media {
        let mut media = Media {
            socket: soon("media socket", self.sockets.recv()).await.unwrap(),
            sid: String::new(),
            audio: Vec::new(),
            keys: String::new(),
            chunks: 0,
            gap_ms: 0,
            sequence: 0,
            was_closed: false,
        };
        let hello = media.next().await.unwrap();
        assert_eq!(
            hello,
            json!({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        );
        let start = media.next().await.unwrap();
        assert_eq!(start["event"], "start");
        assert_eq!(start["start"]["customParameters"], json!({"token": "t&1"}));
        assert_eq!(start["start"]["mediaFormat"]["encoding"], "audio/x-mulaw");
        start["streamSid"]
            .as_str()
            .unwrap()
            .clone_into(&mut media.sid);
        media
    }
}

/// The product's end of a media stream.
pub(crate) struct Media {
    pub socket: WebSocket,
    pub sid: String,
    pub audio: Vec<u8>,
    pub keys: String,
    pub chunks: u64,
    /// What the timestamps have skipped.
    pub gap_ms: u64,
    pub sequence: u64,
    /// A close frame came.
    pub was_closed: bool,
}

impl Media {
    /// The next frame; audio is collected on the way.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let text = match soon("media frame", self.socket.recv()).await? {
                Ok(Message::Text(text)) => text,
                Ok(Message::Close(_)) => {
                    self.was_closed = true;
                    return None;
                }
                Err(_) => return None,
                Ok(_) => continue,
            };
            let frame: Value = serde_json::from_str(&text).unwrap();
            if frame["event"] != "connected" {
                self.sequence += 1;
                assert_eq!(
                    frame["sequenceNumber"],
                    self.sequence.to_string(),
                    "{frame}"
                );
            }
            if frame["event"] == "dtmf" {
                assert_eq!(frame["dtmf"]["track"], "inbound_track");
                self.keys += frame["dtmf"]["digit"].as_str().unwrap();
            }
            if frame["event"] == "media" {
                let media = &frame["media"];
                let at: u64 = media["timestamp"].as_str().unwrap().parse().unwrap();
                self.gap_ms += at - (self.chunks * 20 + self.gap_ms);
                self.chunks += 1;
                assert_eq!(media["chunk"], self.chunks.to_string());
                let payload = media["payload"].as_str().unwrap();
                self.audio.extend(STANDARD.decode(payload).unwrap());
            }
            return Some(frame);
        }
    }

    pub(crate) async fn until(&mut self, event: &str) -> Value {
        loop {
            let frame = self
                .next()
                .await
                .unwrap_or_else(|| panic!("closed before {event}"));
            if frame["event"] == event {
                return frame;
            }
        }
    }

    /// The names of the next marks.
    pub(crate) async fn marks(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        while names.len() < count {
            let mark = self.until("mark").await;
            names.push(mark["mark"]["name"].as_str().unwrap().to_owned());
        }
        names
    }

    pub(crate) async fn send(&mut self, mut frame: Value) {
        frame["streamSid"] = json!(self.sid);
        self.socket
            .send(Message::text(frame.to_string()))
            .await
            .unwrap();
    }

    pub(crate) async fn play(&mut self, audio: &[u8]) {
        self.send(json!({"event": "media", "media": {"payload": STANDARD.encode(audio)}}))
            .await;
    }

    pub(crate) async fn mark(&mut self, name: &str) {
        self.send(json!({"event": "mark", "mark": {"name": name}}))
            .await;
    }
}

pub(crate) struct Rest<'a> {
    pub sandbox: &'a Sandbox,
    pub client: reqwest::Client,
}

impl<'a> Rest<'a> {
    pub(crate) fn new(sandbox: &'a Sandbox) -> Self {
        Self {
            sandbox,
            client: reqwest::Client::new(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let (base, sid) = (self.sandbox.carrier_url(), self.sandbox.account_sid());
        format!("{base}/2010-04-01/Accounts/{sid}/{path}")
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let (sid, token) = (self.sandbox.account_sid(), self.sandbox.auth_token());
        let response = request.basic_auth(sid, Some(token)).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        self.send(self.client.post(self.url(path)).form(fields))
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(self.client.get(self.url(path))).await;
        assert_eq!(status, 200);
        body
    }

    /// Places a call with all callbacks and returns its sid.
    pub(crate) async fn call(&self, product: &Product, extra: &[(&str, &str)]) -> String {
        let (twiml, status) = (
            format!("{}/twiml/1", product.url),
            format!("{}/status/1", product.url),
        );
        let mut fields = vec![
            ("To", TO),
            ("From", self.sandbox.from_number()),
            ("Url", &twiml),
            ("StatusCallback", &status),
        ];
        fields.extend(
            ["initiated", "ringing", "answered", "completed"].map(|e| ("StatusCallbackEvent", e)),
        );
        for (name, value) in extra {
            fields.retain(|(n, _)| n != name);
            fields.push((name, value));
        }
        let (status, body) = self.post("Calls.json", &fields).await;
        assert_eq!(
            (status, &body["status"], &body["price"]),
            (201, &json!("queued"), &Value::Null)
        );
        body["sid"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn update(&self, sid: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        self.post(&format!("Calls/{sid}.json"), fields).await
    }
}

pub(crate) async fn over(sandbox: &Sandbox, sid: &str) -> Call {
    soon("end of the call", sandbox.wait_call_over(sid))
        .await
        .unwrap()
}

/// Waits until the last callback is answered, and returns what was told.
pub(crate) async fn told(sandbox: &Sandbox, sid: &str) -> Vec<String> {
    let ends = ["completed", "busy", "failed", "no-answer", "canceled"];
    let last = |call: &Call| {
        call.callbacks
            .last()
            .is_some_and(|(s, _)| ends.contains(&s.as_str()))
    };
    let call = soon("callbacks", sandbox.wait_call(sid, last))
        .await
        .unwrap();
    assert!(
        call.callbacks.iter().all(|(_, status)| *status == 204),
        "{:?}",
        call.callbacks
    );
    call.callbacks.into_iter().map(|(what, _)| what).collect()
}
