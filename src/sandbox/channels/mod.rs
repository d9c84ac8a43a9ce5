//! Embedded stand-ins for Telegram, Discord and Green API, on one loopback port, and of as much of the
//! web as Discord's files need.
//!
//! They check what the services check (token, required fields, lengths, sizes) and answer with
//! objects of their shape. Some recipients fail on purpose, see `docs/testing.md`.

mod discord;
mod form;
mod green;
mod telegram;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;

use super::complaints::Complaints;
use super::hex32;

/// More than any provider takes.
const MAX_BODY: usize = 110 * 1024 * 1024;

/// Messages and requests that are remembered.
const MOST: usize = 10_000;

/// A message that a channel of the sandbox took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelMessage {
    /// `telegram`, `discord` or `whatsapp`.
    pub channel: &'static str,
    /// The chat, channel or phone, as the provider knows it.
    pub to: String,
    /// The text or caption.
    pub text: String,
    /// The file, if there is one.
    pub file: Option<ChannelFile>,
}

/// A file in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelFile {
    /// How it is shown: `photo`, `document`, `voice`, `video`, or `file`.
    pub kind: &'static str,
    /// Its name, or the URL at which the provider fetches it.
    pub name: String,
    /// Bytes; none for a URL.
    pub length: Option<usize>,
}

/// The three providers.
pub(crate) struct Messengers {
    pub(crate) telegram_token: String,
    pub(crate) discord_token: String,
    pub(crate) green_id: String,
    pub(crate) green_token: String,
    complaints: Complaints,
    messages: Mutex<Vec<ChannelMessage>>,
    requests: Mutex<Vec<String>>,
    /// Recipients that were told to come back later.
    limited: Mutex<HashSet<String>>,
    last_id: AtomicU64,
}

impl Messengers {
    pub(crate) fn new(complaints: Complaints) -> Arc<Self> {
        Arc::new(Self {
            telegram_token: format!("1000000001:{}", hex32()),
            discord_token: format!("sandbox.{}", hex32()),
            green_id: "1101000001".to_owned(),
            green_token: hex32(),
            complaints,
            messages: Mutex::default(),
            requests: Mutex::default(),
            limited: Mutex::default(),
            last_id: AtomicU64::new(0),
        })
    }

    pub(crate) fn messages(&self) -> Vec<ChannelMessage> {
        lock(&self.messages).clone()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        lock(&self.requests).clone()
    }

    fn take(&self, message: ChannelMessage) {
        push(&self.messages, message);
    }

    fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether this recipient must be told for the first time to come back later.
    fn limits(&self, recipient: &str) -> bool {
        lock(&self.limited).insert(recipient.to_owned())
    }
}

/// A request, taken apart.
struct Asked {
    method: Method,
    headers: HeaderMap,
    /// Of the path, without the provider's prefix.
    segments: Vec<String>,
    body: Bytes,
}

pub(crate) fn router(messengers: Arc<Messengers>) -> Router {
    Router::new().fallback(serve).with_state(messengers)
}

async fn serve(State(messengers): State<Arc<Messengers>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        // It broke off, or nobody would take it.
        return plain(413, "Request Entity Too Large");
    };
    let path = head.uri.path().trim_start_matches('/').to_owned();
    let mut segments: Vec<String> = path.split('/').map(str::to_owned).collect();
    let first = segments.remove(0);
    let asked = |segments| Asked {
        method: head.method.clone(),
        headers: head.headers.clone(),
        segments,
        body: body.clone(),
    };
    if let Some(token) = first.strip_prefix("bot") {
        let method = segments.first().cloned().unwrap_or_default();
        push(&messengers.requests, format!("telegram {method}"));
        return telegram::serve(&messengers, token, &asked(segments));
    }
    if let Some(instance) = first.strip_prefix("waInstance") {
        let method = segments.first().cloned().unwrap_or_default();
        push(&messengers.requests, format!("whatsapp {method}"));
        return green::serve(&messengers, instance, &asked(segments));
    }
    if first == "api" && segments.first().is_some_and(|version| version == "v10") {
        segments.remove(0);
        let method = &head.method;
        let request = format!("discord {method} {}", segments.join("/"));
        push(&messengers.requests, request);
        return discord::serve(&messengers, &asked(segments));
    }
    if first == "web" && head.method == Method::GET {
        return web(&segments);
    }
    plain(404, "Not Found")
}

/// A file in place of the one that the web has.
fn web(segments: &[String]) -> Response {
    let url = segments.join("/");
    let mut response = plain(200, &format!("The sandbox has this in place of {url}.\n"));
    let mime = mime_guess::from_path(&url).first_raw();
    let mime = header::HeaderValue::from_static(mime.unwrap_or("application/octet-stream"));
    response.headers_mut().insert(header::CONTENT_TYPE, mime);
    response
}

fn plain(status: u16, text: &str) -> Response {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response
}

fn json(status: u16, body: &Value) -> Response {
    let mut response = plain(status, &body.to_string());
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn push<T>(list: &Mutex<Vec<T>>, item: T) {
    let mut list = lock(list);
    if list.len() < MOST {
        list.push(item);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
