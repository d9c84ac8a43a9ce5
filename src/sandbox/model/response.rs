//! Responses: a plan of small steps, each due a little after the one before it, so that the client
//! sees events in the order and at the pace of the service, and can cancel between any two.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::ModelFault;
use super::items::{Item, Kind};
use super::loss::LossMoment;
use super::mind::{self, Ask, Part};
use super::session::{Session, obfuscation};
use crate::sandbox::hex32;
use crate::sandbox::speech;

/// Audio in one delta: 200 ms.
const DELTA: usize = 1_600;

/// Samples behind one token of output audio: 50 ms.
const SAMPLES_PER_TOKEN: u64 = 400;

/// One step of a response.
enum Step {
    Open(Item),
    Word(String),
    Audio(Vec<u8>),
    Letters(String),
    Arguments(String),
    Close,
    Finish,
}

/// The response that is being given.
pub(crate) struct Active {
    id: String,
    /// `conversation: "none"`
    aside: bool,
    /// Text, no audio.
    written: bool,
    metadata: Value,
    steps: VecDeque<(Duration, Step)>,
    next: Instant,
    /// The item that is open, its place in the response, and what was sent of it.
    open: Option<Item>,
    output: Vec<Value>,
    audio_samples: u64,
    letters: u64,
}

impl Active {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// When the next step is to be taken; never, for one that stays silent.
    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.steps.is_empty()).then_some(self.next)
    }
}

impl Session {
    /// Begins a response; `request` is the body of `response.create`.
    pub(super) fn start(&mut self, request: Option<&Value>, now: Instant) {
        let request = request.unwrap_or(&Value::Null);
        let aside = request["conversation"] == "none";
        let news = if aside {
            Vec::new()
        } else {
            std::mem::take(&mut self.news)
        };
        if self.options.fault == Some(ModelFault::StaysSilent) {
            return;
        }
        self.begun += 1;
        let id = format!("resp_{}", &hex32()[..21]);
        let parts = {
            let tools = self.tools(request);
            let ask = Ask {
                own: request["instructions"].as_str(),
                session: self.config.instructions(),
                tools: &tools,
                written: request["output_modalities"] == json!(["text"]),
            };
            if aside {
                // Outside the conversation, it leaves no trace in it.
                self.mind.clone().reply(&ask, &news)
            } else {
                self.mind.reply(&ask, &news)
            }
        };
        let parts = self.distort(parts, request["instructions"].as_str());
        let steps = self.plan(parts);
        let active = Active {
            id,
            aside,
            written: request["output_modalities"] == json!(["text"]),
            metadata: request["metadata"].clone(),
            next: now + steps.front().map_or(Duration::ZERO, |(wait, _)| *wait),
            steps,
            open: None,
            output: Vec::new(),
            audio_samples: 0,
            letters: 0,
        };
        let response = self.response_json(&active, "in_progress", &Value::Null);
        self.active = Some(active);
        self.emit("response.created", json!({"response": response}));
        if self.options.fault == Some(ModelFault::FailsResponses) {
            let error = json!({
                "type": "server_error", "code": "server_error",
                "message": "The server had an error while processing your request.",
            });
            self.finish("failed", &json!({"type": "failed", "error": error}));
        }
    }

    /// What becomes of an answer in a model with faults.
    fn distort(&mut self, mut parts: Vec<Part>, own: Option<&str>) -> Vec<Part> {
        if let Some(ModelFault::HidesItself(times)) = self.options.fault
            && self.hidden < times
            && own.is_some_and(mind::is_exact)
        {
            self.hidden += 1;
            parts = vec![Part::Say("Hello, I am calling for a friend.".to_owned())];
        }
        if self.options.fault == Some(ModelFault::SplitsAnswers) {
            parts = parts.into_iter().flat_map(mind::sentences).collect();
        }
        parts
    }

    /// Names of the tools that this response may call.
    fn tools(&self, request: &Value) -> Vec<String> {
        let choice = request
            .get("tool_choice")
            .unwrap_or(self.config.tool_choice());
        if choice == "none" {
            return Vec::new();
        }
        let tools = request.get("tools").unwrap_or(self.config.tools());
        let names = tools.as_array().into_iter().flatten();
        names
            .filter_map(|tool| tool["name"].as_str().map(str::to_owned))
            .filter(|name| choice["name"].as_str().is_none_or(|only| only == name))
            .collect()
    }

    fn plan(&self, parts: Vec<Part>) -> VecDeque<(Duration, Step)> {
        let pace = self.options.delta;
        let first = match self.options.fault {
            Some(ModelFault::SlowFirstByte(wait)) => wait,
            _ => self.options.first_byte,
        };
        let mut steps = VecDeque::new();
        for part in parts {
            let kind = match &part {
                Part::Say(_) => Kind::Spoken {
                    transcript: Some(String::new()),
                    samples: 0,
                },
                Part::Text(_) => Kind::Text {
                    text: String::new(),
                },
                Part::Call { name, .. } => Kind::Call {
                    call_id: format!("call_{}", &hex32()[..16]),
                    name: (*name).to_owned(),
                    arguments: String::new(),
                },
            };
            let item = Item {
                id: format!("item_{}", &hex32()[..21]),
                kind,
                status: "in_progress",
            };
            steps.push_back((pace, Step::Open(item)));
            match part {
                Part::Say(text) => plan_speech(&text, pace, &mut steps),
                Part::Text(text) => {
                    let words = text.split_inclusive(' ');
                    steps.extend(words.map(|word| (pace, Step::Letters(word.to_owned()))));
                }
                Part::Call { arguments, .. } => {
                    let text = arguments.to_string();
                    let pieces = text.split_inclusive(' ');
                    steps.extend(pieces.map(|piece| (pace, Step::Arguments(piece.to_owned()))));
                }
            }
            steps.push_back((Duration::ZERO, Step::Close));
        }
        steps.push_back((Duration::ZERO, Step::Finish));
        if let Some((wait, _)) = steps.front_mut() {
            *wait = first;
        }
        steps
    }

    /// Takes the next step.
    pub(super) fn step(&mut self, now: Instant) {
        let Some(active) = &mut self.active else {
            return;
        };
        let Some((_, step)) = active.steps.pop_front() else {
            return;
        };
        // From the due time, not from now: a late step does not slow down those after it.
        active.next += active
            .steps
            .front()
            .map_or(Duration::ZERO, |(wait, _)| *wait);
        match step {
            Step::Open(item) => self.open(item),
            Step::Word(word) => {
                self.delta("response.output_audio_transcript.delta", &word);
                self.grow(&word, 0);
            }
            Step::Audio(audio) => {
                self.delta("response.output_audio.delta", &STANDARD.encode(&audio));
                self.grow("", audio.len() as u64);
                let (number, deltas) = (self.begun, self.deltas_sent());
                self.lose_if(|at| *at == LossMoment::InResponse { number, deltas });
            }
            Step::Letters(letters) => {
                self.delta("response.output_text.delta", &letters);
                self.grow(&letters, 0);
            }
            Step::Arguments(piece) => {
                self.delta("response.function_call_arguments.delta", &piece);
                self.grow(&piece, 0);
            }
            Step::Close => {
                self.close("completed");
                let called = self.tools_called;
                self.lose_if(|at| *at == LossMoment::ToolCalled(called));
            }
            Step::Finish => {
                self.finish("completed", &Value::Null);
                if std::mem::take(&mut self.owed) && self.parting().is_none() {
                    self.start(None, now);
                }
            }
        }
    }

    /// Deltas of audio sent in this response.
    fn deltas_sent(&self) -> u32 {
        let samples = self
            .active
            .as_ref()
            .map_or(0, |active| active.audio_samples);
        u32::try_from(samples.div_ceil(DELTA as u64)).unwrap_or(u32::MAX)
    }

    /// Ends the response early, if there is one.
    pub(super) fn cancel(&mut self, reason: &str) {
        if self.active.is_some() {
            self.close("incomplete");
            self.finish("cancelled", &json!({"type": "cancelled", "reason": reason}));
        }
    }

    fn open(&mut self, item: Item) {
        let Some(active) = &mut self.active else {
            return;
        };
        let (aside, place) = (active.aside, active.output.len());
        let response_id = active.id.clone();
        active.open = Some(item.clone());
        let empty = item.empty_json();
        let id = item.id.clone();
        let part = match &item.kind {
            Kind::Spoken { .. } => Some(json!({"type": "audio", "transcript": ""})),
            Kind::Text { .. } => Some(json!({"type": "text", "text": ""})),
            _ => None,
        };
        self.emit(
            "response.output_item.added",
            json!({"response_id": response_id, "output_index": place, "item": empty}),
        );
        if !aside {
            let previous = self.conversation.push(item);
            self.emit(
                "conversation.item.added",
                json!({"previous_item_id": previous, "item": empty}),
            );
        }
        if let Some(part) = part {
            self.emit(
                "response.content_part.added",
                json!({
                    "response_id": response_id, "item_id": id, "output_index": place,
                    "content_index": 0, "part": part,
                }),
            );
        }
    }

    /// The ids that events about the open item carry.
    fn place(&self) -> Option<Value> {
        let active = self.active.as_ref()?;
        let item = active.open.as_ref()?;
        let mut place = json!({
            "response_id": active.id, "item_id": item.id, "output_index": active.output.len(),
        });
        match &item.kind {
            Kind::Call { call_id, .. } => place["call_id"] = json!(call_id),
            _ => place["content_index"] = json!(0),
        }
        Some(place)
    }

    fn delta(&mut self, kind: &str, delta: &str) {
        if let Some(mut event) = self.place() {
            event["delta"] = json!(delta);
            event["obfuscation"] = json!(obfuscation(delta));
            self.emit(kind, event);
        }
    }

    /// Adds to the open item, and to the conversation's copy of it.
    fn grow(&mut self, words: &str, audio: u64) {
        let Some(active) = &mut self.active else {
            return;
        };
        active.audio_samples += audio;
        active.letters += words.len() as u64;
        let Some(open) = &mut active.open else {
            return;
        };
        let copy = self.conversation.get_mut(&open.id);
        for item in std::iter::once(open).chain(copy) {
            match &mut item.kind {
                Kind::Spoken {
                    transcript,
                    samples,
                } => {
                    *samples += audio;
                    // A truncation in the middle of the response has deleted it.
                    if let Some(transcript) = transcript {
                        transcript.push_str(words);
                    }
                }
                Kind::Text { text: grown }
                | Kind::Call {
                    arguments: grown, ..
                } => {
                    grown.push_str(words);
                }
                _ => {}
            }
        }
    }

    /// Closes the open item, if there is one.
    fn close(&mut self, status: &'static str) {
        let Some(place) = self.place() else {
            return;
        };
        let Some(active) = &mut self.active else {
            return;
        };
        let Some(mut item) = active.open.take() else {
            return;
        };
        item.status = status;
        let json = item.json();
        let (response_id, index, aside) = (active.id.clone(), active.output.len(), active.aside);
        active.output.push(json.clone());
        if let Some(copy) = self.conversation.get_mut(&item.id) {
            copy.status = status;
        }
        let with = |key: &str, value: &Value| {
            let mut event = place.clone();
            event[key] = value.clone();
            event
        };
        match &item.kind {
            Kind::Spoken { transcript, .. } => {
                let part = json!({"type": "audio", "transcript": transcript});
                self.emit("response.output_audio.done", place.clone());
                self.emit(
                    "response.output_audio_transcript.done",
                    with("transcript", &json!(transcript)),
                );
                self.emit("response.content_part.done", with("part", &part));
            }
            Kind::Text { text } => {
                let part = json!({"type": "text", "text": text});
                self.emit("response.output_text.done", with("text", &json!(text)));
                self.emit("response.content_part.done", with("part", &part));
            }
            Kind::Call {
                name, arguments, ..
            } => {
                let mut event = with("arguments", &json!(arguments));
                event["name"] = json!(name);
                self.emit("response.function_call_arguments.done", event);
            }
            _ => {}
        }
        if matches!(item.kind, Kind::Call { .. }) && status == "completed" {
            self.tools_called += 1;
        }
        if !aside {
            let previous = self.conversation.before(&item.id);
            self.emit(
                "conversation.item.done",
                json!({"previous_item_id": previous, "item": json}),
            );
        }
        self.emit(
            "response.output_item.done",
            json!({"response_id": response_id, "output_index": index, "item": json}),
        );
    }

    fn finish(&mut self, status: &str, details: &Value) {
        let Some(active) = self.active.take() else {
            return;
        };
        let response = self.response_json(&active, status, details);
        self.record.update(|record| {
            record.response_ended.push(std::time::Instant::now());
            record.responses.push(response.clone());
        });
        self.emit("response.done", json!({"response": response}));
        let limits = json!([
            {"name": "requests", "limit": 1_000, "remaining": 999, "reset_seconds": 0.06},
            {"name": "tokens", "limit": 50_000, "remaining": 49_000, "reset_seconds": 1.2},
        ]);
        self.emit("rate_limits.updated", json!({"rate_limits": limits}));
        self.finished += 1;
        if let Some(ModelFault::ClosesAfter { responses, code }) = self.options.fault
            && self.finished >= responses
        {
            self.close_with(code);
        }
        let finished = self.finished;
        self.lose_if(|at| *at == LossMoment::AfterResponses(finished));
    }

    fn response_json(&self, active: &Active, status: &str, details: &Value) -> Value {
        let usage = if status == "in_progress" {
            Value::Null
        } else {
            self.usage(active)
        };
        json!({
            "object": "realtime.response",
            "id": active.id,
            "status": status,
            "status_details": details,
            "output": active.output,
            "conversation_id": if active.aside { Value::Null } else { json!("conv_sandbox") },
            "output_modalities": [if active.written { "text" } else { "audio" }],
            "max_output_tokens": "inf",
            "metadata": active.metadata,
            "usage": usage,
        })
    }

    /// Token counts of the right order of magnitude: four letters, 100 ms in, 50 ms out.
    fn usage(&self, active: &Active) -> Value {
        let letters = self.config.instructions().len() + self.conversation.letters();
        let text_in = letters as u64 / 4 + 20;
        let audio_in = self.heard_ms() / 100;
        // The context of the response before is cached, in blocks of 64.
        let cached = if self.finished > 0 {
            text_in / 64 * 64
        } else {
            0
        };
        let text_out = active.letters / 4;
        let audio_out = active.audio_samples / SAMPLES_PER_TOKEN;
        json!({
            "total_tokens": text_in + audio_in + text_out + audio_out,
            "input_tokens": text_in + audio_in,
            "output_tokens": text_out + audio_out,
            "input_token_details": {
                "text_tokens": text_in, "audio_tokens": audio_in, "image_tokens": 0,
                "cached_tokens": cached,
                "cached_tokens_details": {
                    "text_tokens": cached, "audio_tokens": 0, "image_tokens": 0,
                },
            },
            "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
        })
    }
}

/// Each word is transcribed just before the delta in which it begins to sound.
fn plan_speech(text: &str, pace: Duration, steps: &mut VecDeque<(Duration, Step)>) {
    let audio = speech::encode(text);
    let mut words = text.split_inclusive(' ').peekable();
    let mut word_starts = 0;
    for (index, chunk) in audio.chunks(DELTA).enumerate() {
        let end = (index + 1) * DELTA;
        while let Some(word) = words.next_if(|_| word_starts < end) {
            word_starts += word.len() * speech::SYMBOL;
            steps.push_back((Duration::ZERO, Step::Word(word.to_owned())));
        }
        steps.push_back((pace, Step::Audio(chunk.to_vec())));
    }
}
