//! One Realtime session without its socket: client events and time in, server events out.
//!
//! Source: <https://platform.openai.com/docs/api-reference/realtime-client-events> and
//! `realtime-server-events` beside it. Responses are in `response`,
//! changes of the conversation in `edit`.

use std::collections::VecDeque;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::config::{Config, TurnDetection};
use super::items::{Conversation, Item, Kind};
use super::loss::{Loss, LossMoment, Parting};
use super::mind::{Mind, News};
use super::record::Record;
use super::response::Active;
use super::shape::{Refusal, object, string};
use super::vad::{Edge, Vad};
use super::{ModelFault, ModelOptions};
use crate::sandbox::complaints::Complaints;
use crate::sandbox::hex32;
use crate::sandbox::speech::Decoder;

/// Audio in one append: 15 MiB.
const LONGEST_APPEND: usize = 15 * 1024 * 1024;

/// A transcription that will arrive.
struct Transcription {
    due: Instant,
    item_id: String,
    text: String,
    audio_ms: u64,
}

/// A session.
pub(crate) struct Session {
    pub(super) options: ModelOptions,
    pub(super) config: Config,
    pub(super) conversation: Conversation,
    pub(super) mind: Mind,
    pub(super) news: Vec<News>,
    pub(super) active: Option<Active>,
    /// A turn ended while a response was active: it is answered after that.
    pub(super) owed: bool,
    pub(super) finished: u32,
    /// Times that [`ModelFault::HidesItself`] has struck.
    pub(super) hidden: u32,
    pub(super) record: Arc<Record>,
    parting: Option<Parting>,
    /// When a session that is to be lost at a certain time is lost.
    lost_at: Option<Instant>,
    /// Turns begun, functions called.
    turns_begun: u32,
    pub(super) tools_called: u32,
    /// Responses begun.
    pub(super) begun: u32,
    pub(super) complaints: Complaints,
    out: Vec<Value>,
    vad: Vad,
    ear: Decoder,
    understood: String,
    /// The turn that is being spoken: the id of the item to be, and where it began.
    turn: Option<(String, u64)>,
    transcriptions: VecDeque<Transcription>,
    events: u64,
}

impl Session {
    pub(crate) fn new(
        model: &str,
        options: ModelOptions,
        record: Arc<Record>,
        complaints: Complaints,
    ) -> Self {
        Self {
            options,
            config: Config::new(model),
            conversation: Conversation::default(),
            mind: Mind::default(),
            news: Vec::new(),
            active: None,
            owed: false,
            finished: 0,
            hidden: 0,
            record,
            parting: None,
            lost_at: None,
            turns_begun: 0,
            tools_called: 0,
            begun: 0,
            complaints,
            out: Vec::new(),
            vad: Vad::default(),
            ear: Decoder::default(),
            understood: String::new(),
            turn: None,
            transcriptions: VecDeque::new(),
            events: 0,
        }
    }

    /// The first event.
    pub(crate) fn greet(&mut self, id: &str, expires_at: i64) {
        let mut session = self.config.json().clone();
        session["id"] = json!(id);
        session["expires_at"] = json!(expires_at);
        self.emit("session.created", json!({"session": session}));
    }

    /// Events to be sent, in order.
    pub(crate) fn take_output(&mut self) -> Vec<Value> {
        let is_item = |event: &Value| {
            let kind = event["type"].as_str().unwrap_or_default();
            kind.starts_with("conversation.item.")
        };
        if self.out.iter().any(is_item) {
            let context = self.conversation.json();
            self.record.update(|record| record.context = context);
        }
        std::mem::take(&mut self.out)
    }

    /// How the session breaks off, once everything before it was sent.
    pub(crate) fn parting(&self) -> Option<Parting> {
        self.parting
    }

    /// Breaks off if this is the moment of the session's fault.
    pub(super) fn lose_if(&mut self, is: impl FnOnce(&LossMoment) -> bool) {
        match self.options.fault {
            Some(ModelFault::Loses(loss)) if is(&loss.at) => self.parting = Some(loss.how),
            _ => {}
        }
    }

    /// Breaks off with this close code.
    pub(super) fn close_with(&mut self, code: u16) {
        self.parting = Some(Parting::Closes(code));
    }

    /// When [`Session::advance`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        let response = self.active.as_ref().and_then(Active::due);
        let transcription = self.transcriptions.front().map(|t| t.due);
        let lost = self.lost_at;
        [response, transcription, lost].into_iter().flatten().min()
    }

    /// Does what is due by `now`.
    pub(crate) fn advance(&mut self, now: Instant) {
        while let Some(due) = self.due().filter(|due| *due <= now)
            && self.parting.is_none()
        {
            if self.lost_at.is_some_and(|at| at <= due) {
                self.lose_if(|_| true);
            } else if self.transcriptions.front().is_some_and(|t| t.due <= due) {
                if let Some(transcription) = self.transcriptions.pop_front() {
                    self.transcribe(&transcription);
                }
            } else {
                self.step(now);
            }
        }
    }

    /// A text frame.
    pub(crate) fn text(&mut self, text: &str, now: Instant) {
        let event: Value = match serde_json::from_str(text) {
            Ok(event) => event,
            Err(error) => {
                let refusal = Refusal::new("invalid_json", format!("Not JSON: {error}"));
                return self.refuse(&refusal, &Value::Null);
            }
        };
        self.record.event(&event);
        if let Err(refusal) = self.handle(&event, now) {
            self.refuse(&refusal, &event["event_id"]);
        }
    }

    /// A binary frame: refused, but not fatal.
    pub(crate) fn binary(&mut self) {
        let refusal = Refusal::new("invalid_event", "Binary frames are not supported.");
        self.refuse(&refusal, &Value::Null);
    }

    fn handle(&mut self, event: &Value, now: Instant) -> Result<(), Refusal> {
        let Some(any) = event.as_object() else {
            return Err(Refusal::new("invalid_event", "An event is an object."));
        };
        let kind = string(any, "event", "type").map_err(|_| Refusal::missing("type"))?;
        let keys: &[&str] = match kind {
            "session.update" => &["session"],
            "input_audio_buffer.append" => &["audio"],
            "conversation.item.create" => &["item", "previous_item_id"],
            "conversation.item.truncate" => &["item_id", "content_index", "audio_end_ms"],
            "conversation.item.delete" => &["item_id"],
            "response.create" => &["response"],
            "response.cancel" => &["response_id"],
            other => {
                let message = format!("Invalid value: '{other}'.");
                return Err(Refusal::new("invalid_value", message).at("type"));
            }
        };
        let unknown = |key: &&String| {
            !["type", "event_id"].contains(&key.as_str()) && !keys.contains(&key.as_str())
        };
        if let Some(key) = any.keys().find(unknown) {
            return Err(Refusal::unknown(key));
        }
        match kind {
            "session.update" => self.update(any, now),
            "input_audio_buffer.append" => self.append(any, now),
            "conversation.item.create" => self.create(any),
            "conversation.item.truncate" => self.truncate(any),
            "conversation.item.delete" => self.delete(any),
            "response.create" => self.respond(any.get("response"), now),
            _ => self.cancel_by_client(any),
        }
    }

    fn update(&mut self, event: &Map<String, Value>, now: Instant) -> Result<(), Refusal> {
        let session = event
            .get("session")
            .ok_or_else(|| Refusal::missing("session"))?;
        self.config.apply(session, self.conversation.has_speech())?;
        if let Some(ModelFault::Loses(Loss {
            at: LossMoment::After(time),
            ..
        })) = self.options.fault
        {
            self.lost_at.get_or_insert(now + time);
        }
        if self.options.fault != Some(ModelFault::NeverConfirms) {
            let session = self.config.json().clone();
            self.emit("session.updated", json!({"session": session}));
        }
        Ok(())
    }

    fn append(&mut self, event: &Map<String, Value>, now: Instant) -> Result<(), Refusal> {
        let text = event
            .get("audio")
            .ok_or_else(|| Refusal::missing("audio"))?;
        let text = text
            .as_str()
            .ok_or_else(|| Refusal::wrong_type("audio", "a string"))?;
        let audio = STANDARD
            .decode(text)
            .map_err(|_| Refusal::new("invalid_value", "Audio is not base64.").at("audio"))?;
        if text.len() > LONGEST_APPEND {
            return Err(Refusal::new("invalid_value", "Audio over 15 MiB.").at("audio"));
        }
        if !self.config.is_updated() {
            self.complaints.add("model: audio before session.update");
        } else if !self.config.is_telephone() {
            self.complaints
                .add("model: the sandbox hears and speaks audio/pcmu only");
        }
        self.record.audio(&audio);
        let Some(detection) = self.config.turn_detection() else {
            self.vad.skip(audio.len());
            return Ok(());
        };
        self.understood.push_str(&self.ear.feed(&audio));
        for edge in self.vad.feed(&audio, &detection) {
            match edge {
                Edge::Started(at_ms) => self.turn_begins(at_ms, &detection, now),
                Edge::Stopped(at_ms) => self.turn_ends(at_ms, &detection, now),
            }
        }
        Ok(())
    }

    fn turn_begins(&mut self, at_ms: u64, detection: &TurnDetection, now: Instant) {
        self.record
            .update(|record| record.turn_began.push(now.into_std()));
        let id = format!("item_{}", &hex32()[..21]);
        self.emit(
            "input_audio_buffer.speech_started",
            json!({"audio_start_ms": at_ms, "item_id": id}),
        );
        self.turn = Some((id, at_ms));
        self.turns_begun += 1;
        let turn = self.turns_begun;
        self.lose_if(|at| *at == LossMoment::CalleeSpeaks(turn));
        if detection.interrupt_response {
            self.owed = false;
            self.cancel("turn_detected");
        }
    }

    fn turn_ends(&mut self, at_ms: u64, detection: &TurnDetection, now: Instant) {
        let Some((id, began_ms)) = self.turn.take() else {
            return;
        };
        self.emit(
            "input_audio_buffer.speech_stopped",
            json!({"audio_end_ms": at_ms, "item_id": id}),
        );
        let text = std::mem::take(&mut self.understood);
        let item = Item {
            id: id.clone(),
            kind: Kind::Heard { transcript: None },
            status: "completed",
        };
        let json = item.json();
        let previous = self.conversation.push(item);
        self.emit(
            "input_audio_buffer.committed",
            json!({"previous_item_id": previous, "item_id": id}),
        );
        self.added(&json, previous.as_deref());
        self.record.update(|record| {
            record.turn_ended.push(now.into_std());
            record.turns.push(text.clone());
        });
        self.mind.hears(&text);
        self.news.push(News::Heard(text.clone()));
        if self.config.transcribes() {
            self.transcriptions.push_back(Transcription {
                due: now + self.options.transcription,
                item_id: id,
                text,
                audio_ms: at_ms - began_ms,
            });
        }
        if detection.create_response {
            if self.active.is_some() {
                // What the service does here is not documented; nobody stays without an answer.
                self.owed = true;
            } else {
                self.start(None, now);
            }
        }
    }

    fn transcribe(&mut self, transcription: &Transcription) {
        let Transcription { item_id, text, .. } = transcription;
        if let Some(Kind::Heard { transcript }) =
            self.conversation.get_mut(item_id).map(|i| &mut i.kind)
        {
            *transcript = Some(text.clone());
        }
        for word in text.split_inclusive(' ') {
            self.emit(
                "conversation.item.input_audio_transcription.delta",
                json!({
                    "item_id": item_id, "content_index": 0, "delta": word,
                    "obfuscation": obfuscation(word),
                }),
            );
        }
        // One token per 100 ms of audio, one per four letters.
        let audio = transcription.audio_ms.div_ceil(100);
        let output = text.len() as u64 / 4 + 1;
        self.emit(
            "conversation.item.input_audio_transcription.completed",
            json!({
                "item_id": item_id, "content_index": 0, "transcript": text,
                "usage": {
                    "type": "tokens", "total_tokens": audio + output, "input_tokens": audio,
                    "input_token_details": {"text_tokens": 0, "audio_tokens": audio},
                    "output_tokens": output,
                },
            }),
        );
    }

    fn respond(&mut self, response: Option<&Value>, now: Instant) -> Result<(), Refusal> {
        if let Some(response) = response {
            let map = object(
                response,
                "response",
                &[
                    "instructions",
                    "input",
                    "tools",
                    "tool_choice",
                    "metadata",
                    "conversation",
                    "output_modalities",
                    "max_output_tokens",
                    "reasoning",
                    "parallel_tool_calls",
                    "audio",
                ],
            )?;
            super::check::check_common(map, "response")?;
            if map.contains_key("instructions") {
                string(map, "response", "instructions")?;
            }
            if let Some(to) = map
                .get("conversation")
                .filter(|to| *to != "auto" && *to != "none")
            {
                return Err(Refusal::value("response.conversation", to));
            }
            if let Some(input) = map.get("input").filter(|input| !input.is_array()) {
                return Err(Refusal::value("response.input", input));
            }
        }
        if let Some(active) = &self.active {
            let message = format!(
                "Conversation already has an active response in progress: {}. \
                 Wait until the response is finished before creating a new one.",
                active.id()
            );
            return Err(Refusal::new(
                "conversation_already_has_active_response",
                message,
            ));
        }
        self.start(response, now);
        Ok(())
    }

    fn cancel_by_client(&mut self, event: &Map<String, Value>) -> Result<(), Refusal> {
        let wanted = event.get("response_id").and_then(Value::as_str);
        match self.active.as_ref().map(Active::id) {
            Some(id) if wanted.is_none_or(|wanted| wanted == id) => {
                self.cancel("client_cancelled");
                Ok(())
            }
            _ => {
                let message = "Cancellation failed: no active response found";
                Err(Refusal::new("response_cancel_not_active", message))
            }
        }
    }

    /// `conversation.item.added` and `.done` of an item that is complete from the start.
    pub(super) fn added(&mut self, item: &Value, previous: Option<&str>) {
        for event in ["conversation.item.added", "conversation.item.done"] {
            self.emit(event, json!({"previous_item_id": previous, "item": item}));
        }
    }

    pub(super) fn refuse(&mut self, refusal: &Refusal, event_id: &Value) {
        let error = json!({
            "type": "invalid_request_error",
            "code": refusal.code,
            "message": refusal.message,
            "param": refusal.param,
            "event_id": event_id,
        });
        self.record
            .update(|record| record.errors.push(error.clone()));
        self.emit("error", json!({"error": error}));
    }

    pub(super) fn emit(&mut self, kind: &str, mut event: Value) {
        self.events += 1;
        event["type"] = json!(kind);
        event["event_id"] = json!(format!("event_{:06}", self.events));
        self.out.push(event);
    }

    /// Milliseconds of audio heard so far.
    pub(super) fn heard_ms(&self) -> u64 {
        self.vad.position_ms()
    }
}

/// Padding that hides the length of a delta from those who watch the encrypted line.
pub(super) fn obfuscation(delta: &str) -> String {
    "aZ3kQ9xLm2Rt7VbN"
        .chars()
        .take(16 - delta.len() % 16)
        .collect()
}
