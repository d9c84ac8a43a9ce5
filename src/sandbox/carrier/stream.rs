//! A bidirectional media stream, as Twilio speaks it.
//!
//! Source: <https://www.twilio.com/docs/voice/media-streams/websocket-messages>. Sequence numbers,
//! chunks and timestamps are strings there.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use url::Url;

use super::CarrierFault;
use super::call::rfc2822;
use super::line::{Leg, Line, within};
use super::playout::Playout;
use super::twiml;
use super::webhook::is_loopback;
use crate::sandbox::callee::FRAME;
use crate::sandbox::hex32;
use crate::sandbox::mishap::Mishap;
use crate::sandbox::person::Break;

/// How long the product may take for the handshake, for reading a frame, for closing.
const PATIENCE: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<TcpStream>;

/// Connects the line to the product until either side ends it.
pub(crate) async fn run(line: &mut Line, stream: &twiml::Stream) -> Leg {
    let sid = format!("MZ{}", hex32());
    let connecting = within(PATIENCE, connect(line, &stream.url)).await;
    let mut socket = match connecting.unwrap_or_else(|| Err("no answer".to_owned())) {
        Ok(socket) => socket,
        Err(error) => {
            let complaint = format!("stream {}: {error}", stream.url);
            line.carrier.complaints.add(complaint);
            tell(line, stream, &sid, "stream-error", Some(&error));
            return Leg::Next;
        }
    };
    line.call.update(|call| call.streams += 1);
    tell(line, stream, &sid, "stream-started", None);
    let mishaps = &line.carrier.mishaps;
    let breaks = mishaps.strikes(Mishap::StreamLost);
    let mut leg = Connected {
        breaks_after: breaks.then(|| mishaps.between(500, 10_000)),
        sid,
        sequence: 0,
        chunk: 0,
        frames: 0,
        broke: false,
        line_died: false,
        playout: Playout::default(),
    };
    let end = leg.run(line, stream, &mut socket).await;
    if !leg.broke {
        // Aside: the call does not wait for the product to answer a close frame.
        line.carrier.tasks.spawn(close(socket));
    }
    tell(line, stream, &leg.sid, "stream-stopped", None);
    if leg.line_died {
        // Until the callee is found to be gone.
        return line.pause(PATIENCE).await;
    }
    end
}

/// Closes the socket properly, whoever was first.
async fn close(mut socket: Socket) {
    within(PATIENCE, async {
        // An error is a socket that is closed already.
        let _ = socket.close(None).await;
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
}

async fn connect(line: &Line, url: &str) -> Result<Socket, String> {
    if url.contains('?') {
        // Twilio drops it without a word.
        line.carrier
            .complaints
            .add(format!("stream {url}: query string"));
    }
    let signed = url.split('?').next().unwrap_or_default();
    let parsed = Url::parse(signed).map_err(|error| error.to_string())?;
    if !is_loopback(&parsed) {
        return Err("the sandbox stays on this machine".to_owned());
    }
    let host = parsed.host_str().unwrap_or_default();
    let port = parsed.port_or_known_default().unwrap_or(80);
    let tcp = TcpStream::connect((host.trim_matches(['[', ']']), port))
        .await
        .map_err(|error| error.to_string())?;
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    // TwiML says wss; on loopback there is nothing to encrypt. The signature covers what TwiML says.
    let plain = signed.replacen("wss://", "ws://", 1);
    let mut request = plain
        .into_client_request()
        .map_err(|error| error.to_string())?;
    let signature = line.carrier.webhooks.sign_handshake(signed);
    let signature = HeaderValue::from_str(&signature).map_err(|error| error.to_string())?;
    request
        .headers_mut()
        .insert("X-Twilio-Signature", signature);
    let agent = HeaderValue::from_static("TwilioProxy/1.1");
    request.headers_mut().insert("User-Agent", agent);
    let config = WebSocketConfig::default().read_buffer_size(8 * 1024);
    let (socket, _) = tokio_tungstenite::client_async_with_config(request, tcp, Some(config))
        .await
        .map_err(|error| error.to_string())?;
    Ok(socket)
}

/// `<Stream statusCallback>`
fn tell(line: &Line, stream: &twiml::Stream, sid: &str, event: &str, error: Option<&str>) {
    let Some(url) = stream.status_callback.clone() else {
        return;
    };
    let mut fields = vec![
        ("AccountSid".to_owned(), line.carrier.account.sid.clone()),
        (
            "CallSid".to_owned(),
            line.call.read(|call| call.sid.clone()),
        ),
        ("StreamSid".to_owned(), sid.to_owned()),
        ("StreamEvent".to_owned(), event.to_owned()),
        ("Timestamp".to_owned(), rfc2822(chrono::Utc::now())),
    ];
    if let Some(error) = error {
        fields.push(("StreamError".to_owned(), error.to_owned()));
    }
    line.callback(event, url, fields);
}

/// A stream under way.
struct Connected {
    sid: String,
    /// Call time after which chance ends it.
    breaks_after: Option<Duration>,
    sequence: u64,
    chunk: u64,
    /// Frames of call time so far, also those that got lost.
    frames: u64,
    /// The stream was lost on the way: nobody closes it.
    broke: bool,
    /// And the whole line with it.
    line_died: bool,
    playout: Playout,
}

/// The socket is of no more use.
struct Gone;

impl Connected {
    async fn run(&mut self, line: &mut Line, stream: &twiml::Stream, socket: &mut Socket) -> Leg {
        let hello = json!({"event": "connected", "protocol": "Call", "version": "1.0.0"});
        let start = self.start(line, stream);
        for frame in [hello, start] {
            if send(socket, &frame).await.is_err() {
                return Leg::Next;
            }
        }
        line.clock.reset();
        line.call.update(|call| {
            call.stream_began.get_or_insert_with(Instant::now);
        });
        loop {
            let went = tokio::select! {
                biased;
                command = line.commands.recv() => match line.obey(command) {
                    Some(leg) => {
                        self.stop(line, socket).await;
                        return leg;
                    }
                    None => Ok(()),
                },
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.receive(line, socket, &text).await,
                    Some(Ok(Message::Binary(_))) => {
                        line.carrier.complaints.add("media stream: binary frame");
                        Ok(())
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Gone),
                },
                _ = line.clock.tick() => match self.tick(line, socket).await {
                    Ok(Some(end)) => {
                        self.stop(line, socket).await;
                        return Leg::End(end);
                    }
                    Ok(None) => Ok(()),
                    Err(gone) => Err(gone),
                },
            };
            if went.is_err() {
                return Leg::Next;
            }
        }
    }

    fn start(&mut self, line: &Line, stream: &twiml::Stream) -> Value {
        let parameters: Map<String, Value> = stream
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        json!({
            "event": "start",
            "sequenceNumber": self.next_sequence(),
            "start": {
                "accountSid": line.carrier.account.sid,
                "streamSid": self.sid,
                "callSid": line.call.read(|call| call.sid.clone()),
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8_000, "channels": 1},
                "customParameters": parameters,
            },
            "streamSid": self.sid,
        })
    }

    async fn stop(&mut self, line: &Line, socket: &mut Socket) {
        let stop = json!({
            "event": "stop",
            "sequenceNumber": self.next_sequence(),
            "streamSid": self.sid,
            "stop": {
                "accountSid": line.carrier.account.sid,
                "callSid": line.call.read(|call| call.sid.clone()),
            },
        });
        // If the product is gone, it does not need to know.
        let _ = send(socket, &stop).await;
    }

    /// 20 ms of the call.
    async fn tick(
        &mut self,
        line: &mut Line,
        socket: &mut Socket,
    ) -> Result<Option<super::line::End>, Gone> {
        if self.is_lost(line) {
            self.broke = true;
            return Err(Gone);
        }
        let played = self.playout.play(FRAME);
        let (moment, over) = line.live(&played);
        if let Some(breaks) = moment.breaks {
            line.call.record(&played, &[], &moment.understood);
            self.broke = true;
            self.line_died = breaks == Break::Line;
            return Err(Gone);
        }
        let said: &[u8] = if moment.lost { &[] } else { &moment.said };
        line.call.record(&played, said, &moment.understood);
        // Half of the call time may have passed in one frame: the marks first, they are older.
        self.return_marks(line, socket).await?;
        let timestamp = self.frames * 20;
        self.frames += 1;
        if !moment.lost {
            self.chunk += 1;
            let media = json!({
                "event": "media",
                "sequenceNumber": self.next_sequence(),
                "media": {
                    "track": "inbound",
                    "chunk": self.chunk.to_string(),
                    "timestamp": timestamp.to_string(),
                    "payload": STANDARD.encode(&moment.said),
                },
                "streamSid": self.sid,
            });
            send(socket, &media).await?;
        }
        if let Some(key) = moment.key {
            let dtmf = json!({
                "event": "dtmf",
                "streamSid": self.sid,
                "sequenceNumber": self.next_sequence(),
                "dtmf": {"track": "inbound_track", "digit": key.to_string()},
            });
            send(socket, &dtmf).await?;
        }
        Ok(over)
    }

    /// [`CarrierFault::LosesStream`] has happened, or [`Mishap::StreamLost`].
    fn is_lost(&self, line: &Line) -> bool {
        let lived = Duration::from_millis(self.frames * 20);
        if self.breaks_after.is_some_and(|after| lived >= after) {
            return true;
        }
        match line.carrier.behaviour.fault {
            Some(CarrierFault::LosesStream(after)) => {
                let first = line.call.read(|call| call.streams == 1);
                first && lived >= after
            }
            _ => false,
        }
    }

    async fn receive(
        &mut self,
        line: &mut Line,
        socket: &mut Socket,
        text: &Utf8Bytes,
    ) -> Result<(), Gone> {
        if let Err(complaint) = self.understand(line, text.as_str()) {
            line.carrier
                .complaints
                .add(format!("media stream: {complaint}"));
        }
        self.return_marks(line, socket).await
    }

    fn understand(&mut self, line: &Line, text: &str) -> Result<(), String> {
        let frame: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let event = frame["event"].as_str().unwrap_or_default();
        if frame["streamSid"].as_str() != Some(&self.sid) {
            return Err(format!("{event}: streamSid {}", frame["streamSid"]));
        }
        let known: &[&str] = match event {
            "media" | "mark" => &["event", "streamSid", event],
            "clear" => &["event", "streamSid"],
            _ => return Err(format!("unknown event {event:?}")),
        };
        let keys = frame.as_object().map(Map::keys).into_iter().flatten();
        if let Some(key) = keys.into_iter().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("{event}: unknown field {key}"));
        }
        match event {
            "media" => {
                let payload = frame["media"]["payload"].as_str();
                let payload = payload.ok_or("media without payload")?;
                let audio = STANDARD
                    .decode(payload)
                    .map_err(|error| format!("media: {error}"))?;
                if audio.is_empty() {
                    return Err("media without audio".to_owned());
                }
                if self.playout.is_untouched() {
                    line.call.update(|call| {
                        call.first_audio.get_or_insert_with(Instant::now);
                    });
                }
                self.playout
                    .media(&audio)
                    .map_err(|_| "31931: more than ten minutes of audio are waiting".to_owned())
            }
            "mark" => {
                let name = frame["mark"]["name"].as_str().ok_or("mark without name")?;
                self.playout.mark(name.to_owned());
                // It comes back all the same, but confirms nothing.
                if self.playout.is_untouched() {
                    return Err(format!("mark {name:?} without audio"));
                }
                Ok(())
            }
            _ => {
                self.playout.clear();
                line.call.update(|call| call.clears += 1);
                Ok(())
            }
        }
    }

    async fn return_marks(&mut self, line: &Line, socket: &mut Socket) -> Result<(), Gone> {
        for name in self.playout.due() {
            let mark = json!({
                "event": "mark",
                "sequenceNumber": self.next_sequence(),
                "streamSid": self.sid,
                "mark": {"name": name},
            });
            line.call.update(|call| call.marks.push(name));
            send(socket, &mark).await?;
        }
        Ok(())
    }

    fn next_sequence(&mut self) -> String {
        self.sequence += 1;
        self.sequence.to_string()
    }
}

async fn send(socket: &mut Socket, frame: &Value) -> Result<(), Gone> {
    let message = Message::text(frame.to_string());
    match within(PATIENCE, socket.send(message)).await {
        Some(Ok(())) => Ok(()),
        _ => Err(Gone),
    }
}
