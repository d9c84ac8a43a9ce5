//! The stand-in for Twilio: takes orders to dial, asks for TwiML, connects a media stream, and is the
//! phone line from then on: a frame each way every 20 ms, marks when they have been played.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::json;
use sha1::Sha1;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, MissedTickBehavior};
use url::{Url, form_urlencoded};

use crate::Failure;
use crate::wire::{Wire, quoted};
use crate::world::{Call, FRAME, Payload, SAMPLES, Subject, World, age, now};

pub const ACCOUNT: &str = "AC00000000000000000000000000000000";
pub const TOKEN: &str = "00000000000000000000000000000000";
pub const FROM: &str = "+14155550000";

/// Samples in a nanosecond, the other way round.
const NANOS_PER_SAMPLE: u64 = 125_000;

/// The number of a call, from which it is known when it is dialled.
pub fn number(index: usize) -> String {
    format!("+1202{:07}", 3_000_000 + index)
}

fn index(number: &str) -> Option<usize> {
    number
        .strip_prefix("+1202")?
        .parse::<usize>()
        .ok()?
        .checked_sub(3_000_000)
}

/// Serves REST until it is dropped.
pub async fn serve(listener: TcpListener, world: Arc<World>) {
    let account = "/2010-04-01/Accounts/{account}";
    let routes = Router::new()
        .route(&format!("{account}/Calls.json"), post(create))
        .route(
            &format!("{account}/Calls/{{sid}}"),
            post(update).get(update),
        )
        .with_state(world);
    let _ = axum::serve(listener, routes).await;
}

async fn create(State(world): State<Arc<World>>, body: String) -> Response {
    let form: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let field = |name| {
        form.iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let (Some(to), Some(url)) = (field("To"), field("Url")) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Some(call) = index(&to).and_then(|index| world.call(Subject::Product, index)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let sid = format!("CA{:032x}", call.index);
    let (call, world, answer) = (
        Arc::clone(call),
        Arc::clone(&world),
        resource(&sid, "queued"),
    );
    tokio::spawn(async move {
        if let Err(error) = dial(&world, &call, &sid, &url).await {
            crate::complain(&format!("call {}: {error}", call.index));
        }
        world.lost.fetch_add(1, Ordering::Relaxed);
    });
    answered(StatusCode::CREATED, &answer)
}

async fn update(Path((_, sid)): Path<(String, String)>) -> Response {
    let sid = sid.trim_end_matches(".json");
    answered(StatusCode::OK, &resource(sid, "completed"))
}

fn answered(status: StatusCode, resource: &serde_json::Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, resource.to_string()).into_response()
}

fn resource(sid: &str, status: &str) -> serde_json::Value {
    json!({"sid": sid, "account_sid": ACCOUNT, "status": status, "direction": "outbound-api"})
}

fn sign(url: &str, fields: &[(&str, &str)]) -> String {
    let mut text = url.to_owned();
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    for (name, value) in sorted {
        text.push_str(name);
        text.push_str(value);
    }
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(TOKEN.as_bytes()) else {
        return String::new();
    };
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The phone is picked up at once.
async fn dial(world: &World, call: &Call, sid: &str, url: &str) -> Result<(), Failure> {
    let fields = [
        ("AccountSid", ACCOUNT),
        ("CallSid", sid),
        ("CallStatus", "in-progress"),
    ];
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .pool_max_idle_per_host(0)
        .build()?;
    let twiml = client
        .post(url)
        .header("X-Twilio-Signature", sign(url, &fields))
        .form(&fields)
        .send()
        .await?
        .error_for_status()?
        .text()
        .await?;
    let value = |before: &str| {
        let found = quoted(twiml.as_bytes(), before.as_bytes()).map(String::from_utf8_lossy);
        found
            .map(std::borrow::Cow::into_owned)
            .ok_or("the TwiML connects no stream")
    };
    let (stream, id, token) = (
        value("<Stream url=\"")?,
        value("name=\"call_id\" value=\"")?,
        value("name=\"token\" value=\"")?,
    );
    let target = Url::parse(&stream)?;
    let port = target.port().ok_or("no port")?;
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    tcp.set_nodelay(true)?;
    let wire = Wire::connect(tcp, target.path(), &sign(&stream, &[])).await?;
    let stream_sid = format!("MZ{:032x}", call.index);
    let start = json!({
        "event": "start", "sequenceNumber": "1", "streamSid": stream_sid,
        "start": {
            "accountSid": ACCOUNT, "streamSid": stream_sid, "callSid": sid, "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8_000, "channels": 1},
            "customParameters": {"call_id": id, "token": token},
        },
    });
    line(world, call, wire, &[start.to_string()], &stream_sid).await
}

/// The line of a call through the floor.
pub async fn plain(world: &World, call: &Call, port: u16) -> Result<(), Failure> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    tcp.set_nodelay(true)?;
    let wire = Wire::connect(tcp, &format!("/{}", call.index), "").await?;
    let stream_sid = format!("MZ{:032x}", call.index);
    call.is_open.store(true, Ordering::Relaxed);
    line(world, call, wire, &[], &stream_sid).await
}

/// What the phone plays, and what is to be said when it has.
#[derive(Default)]
struct Playout {
    until: u64,
    marks: VecDeque<(u64, String)>,
}

async fn line(
    world: &World,
    call: &Call,
    mut wire: Wire<TcpStream>,
    hello: &[String],
    stream_sid: &str,
) -> Result<(), Failure> {
    if call.subject == Subject::Product {
        wire.queue(br#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#);
    }
    for text in hello {
        wire.queue(text.as_bytes());
    }
    wire.flush().await?;
    call.is_connected.store(true, Ordering::Relaxed);
    let began = Instant::now() + world.phase(call.index);
    let mut ticks = tokio::time::interval_at(began, FRAME);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut quiet = Payload::new(SAMPLES, false);
    let mut loud = Payload::new(SAMPLES, true);
    let mut playout = Playout::default();
    let (mut text, mut chunk) = (String::new(), 0_u64);
    loop {
        tokio::select! {
            read = wire.read() => {
                read?;
                while let Some(message) = wire.next() {
                    hear(world, call, message, &mut playout);
                }
            }
            _ = ticks.tick() => {
                let played = now();
                while playout.marks.front().is_some_and(|(due, _)| *due <= played) {
                    let (_, name) = playout.marks.pop_front().unwrap_or_default();
                    text.clear();
                    write!(text, r#"{{"event":"mark","sequenceNumber":"{chunk}","streamSid":"{stream_sid}","mark":{{"name":"{name}"}}}}"#)?;
                    wire.queue(text.as_bytes());
                }
                let rests = call.is_open.load(Ordering::Relaxed) && !world.is_active(call.subject);
                if !rests {
                    chunk += 1;
                    let timestamp = (chunk - 1) * 20;
                    let said = if call.is_loud.load(Ordering::Relaxed) { &mut loud } else { &mut quiet };
                    let payload = said.stamped();
                    text.clear();
                    write!(text, r#"{{"event":"media","sequenceNumber":"{chunk}","media":{{"track":"inbound","chunk":"{chunk}","timestamp":"{timestamp}","payload":"{payload}"}},"streamSid":"{stream_sid}"}}"#)?;
                    wire.queue(text.as_bytes());
                    world.note(call.subject, |samples| samples.frames += 1);
                }
                wire.flush().await?;
            }
        }
    }
}

/// The agent's side of the line.
fn hear(world: &World, call: &Call, message: &[u8], playout: &mut Playout) {
    let at = now();
    let begins = |with: &[u8]| message.starts_with(with);
    // The floor passes on what the model says, as it says it.
    let audio: Option<&[u8]> = if begins(br#"{"event":"media""#) {
        Some(br#""payload":""#)
    } else if begins(br#"{"type":"response.output_audio.delta""#) {
        Some(br#""delta":""#)
    } else {
        None
    };
    if let Some(before) = audio {
        let Some(payload) = quoted(message, before) else {
            return;
        };
        let due = call.due.swap(0, Ordering::Relaxed);
        if due > 0 && !call.is_open.load(Ordering::Relaxed) {
            world
                .samples(call.subject)
                .greeting
                .push(at.saturating_sub(due));
        }
        let samples = payload.len() as u64 * 3 / 4;
        playout.until = playout.until.max(at) + samples * NANOS_PER_SAMPLE;
        if let Some(age) = age(payload) {
            world.note(call.subject, |samples| samples.outbound.push(age));
        }
        world.note(call.subject, |samples| samples.frames += 1);
    } else if begins(br#"{"event":"mark""#) {
        let name = quoted(message, br#""name":""#).unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        playout.marks.push_back((playout.until, name));
    } else if begins(br#"{"event":"clear""#) {
        let due = call.due.swap(0, Ordering::Relaxed);
        if due > 0 {
            world
                .samples(call.subject)
                .clear
                .push(at.saturating_sub(due));
        }
        playout.until = at;
        for (due, _) in &mut playout.marks {
            *due = at;
        }
    }
}
