//! What one model session was sent and what it refused, for tests to look at.

use std::time::Instant;

use serde_json::Value;
use tokio::sync::watch;

/// Longest recording of a session: ten minutes.
const LONGEST_RECORDING: usize = 10 * 60 * 8_000;

/// Client events that are kept.
const MOST_EVENTS: usize = 10_000;

/// A model session as the sandbox saw it.
#[derive(Debug, Clone, Default)]
pub struct ModelSession {
    /// `sess_…`, or empty if it was refused before it began.
    pub id: String,
    /// The model that was asked for.
    pub model: Option<String>,
    /// `OpenAI-Safety-Identifier`, if it was sent.
    pub safety_identifier: Option<String>,
    /// Every client event in order, except `input_audio_buffer.append`.
    pub events: Vec<Value>,
    /// The first `input_audio_buffer.append` event; they differ in their audio alone.
    pub first_append: Option<Value>,
    /// Number of `input_audio_buffer.append` events.
    pub appends: u64,
    /// All audio of those, decoded and put together.
    pub audio: Vec<u8>,
    /// What was understood in each committed turn, in order.
    pub turns: Vec<String>,
    /// When the client was told that a turn began, that it ended, and that a response was over.
    pub turn_began: Vec<Instant>,
    /// See `turn_began`.
    pub turn_ended: Vec<Instant>,
    /// See `turn_began`.
    pub response_ended: Vec<Instant>,
    /// Truncated items with `audio_end_ms`.
    pub truncations: Vec<(String, u64)>,
    /// Items that were deleted.
    pub deletions: Vec<String>,
    /// The items of the conversation as they stand, in order: all that the model knows beside its
    /// instructions.
    pub context: Vec<Value>,
    /// The inner objects of all `error` events that were sent.
    pub errors: Vec<Value>,
    /// The `response` objects of all `response.done` events that were sent.
    pub responses: Vec<Value>,
    /// The socket is closed.
    pub closed: bool,
}

/// The writing end of a record.
pub(crate) struct Record {
    state: watch::Sender<ModelSession>,
    keep_audio: bool,
}

impl Record {
    pub(crate) fn new(session: ModelSession, keep_audio: bool) -> Self {
        Self {
            state: watch::Sender::new(session),
            keep_audio,
        }
    }

    pub(crate) fn update(&self, update: impl FnOnce(&mut ModelSession)) {
        self.state.send_modify(update);
    }

    pub(crate) fn event(&self, event: &Value) {
        self.update(|session| {
            if event["type"] == "input_audio_buffer.append" {
                session.first_append.get_or_insert_with(|| event.clone());
            } else if session.events.len() < MOST_EVENTS {
                session.events.push(event.clone());
            }
        });
    }

    pub(crate) fn audio(&self, audio: &[u8]) {
        self.update(|session| {
            session.appends += 1;
            if self.keep_audio && session.audio.len() < LONGEST_RECORDING {
                session.audio.extend_from_slice(audio);
            }
        });
    }

    pub(crate) fn snapshot(&self) -> ModelSession {
        self.state.borrow().clone()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<ModelSession> {
        self.state.subscribe()
    }
}
