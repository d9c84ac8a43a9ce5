//! Server events.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;

use super::text::Text;
use super::write::{ASIDE, request};
use crate::call::audio::{Audio, NotBase64};
use crate::call::bridge::event::{ErrorKind, ModelEvent, ResponseEnding};
use crate::json::{Plain, once};

/// What a message turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed<'a> {
    /// Something for the bridge.
    Event(ModelEvent<'a>),
    /// Nothing that concerns a call: greetings, rate limits, echoes of items, events newer than this
    /// program.
    Ignored,
}

/// A message that is not an event, or a known event that lacks what makes it useful.
///
/// Says where, never what: messages carry what people said, and errors are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not JSON, or JSON of an impossible shape.
    #[error("not a JSON event (near byte {0})")]
    Json(usize),
    /// A known event without a field it cannot do without.
    #[error("an event without `{0}`")]
    Lacks(&'static str),
    /// Audio that is not audio.
    #[error(transparent)]
    Audio(#[from] NotBase64),
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.column())
    }
}

/// The event that brings audio.
const AUDIO: &str = "response.output_audio.delta";

/// After an `error` event with one of these codes, no further message of ours will be accepted,
/// and a new session would end the same way.
fn is_fatal(code: &str) -> bool {
    matches!(
        code,
        "invalid_api_key"
            | "insufficient_quota"
            | "invalid_model"
            | "missing_model"
            | "beta_api_shape_disabled"
    )
}

/// The fields that stand at the top of events. Read from every message, in one pass and without
/// copying: nine of ten messages are audio, and this is all they have.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Top<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    response_id: Text<'a>,
    #[serde(borrow)]
    item_id: Text<'a>,
    #[serde(borrow)]
    delta: Text<'a>,
    #[serde(borrow)]
    transcript: Text<'a>,
}

/// The objects of the rare events, read in a second pass.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Nested<'a> {
    #[serde(borrow)]
    response: Object<'a>,
    #[serde(borrow)]
    item: Object<'a>,
    #[serde(borrow)]
    error: Object<'a>,
}

/// A response, an item or an error: together they have few enough fields to share a struct.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Object<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    call_id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Text<'a>,
    #[serde(borrow)]
    code: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    event_id: Text<'a>,
}

/// Where a response says what it was asked for; apart from [`Object`] for the same reason as
/// [`Failed`].
#[derive(Deserialize, Default)]
#[serde(default)]
struct Created<'a> {
    #[serde(borrow)]
    response: CreatedResponse<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CreatedResponse<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    purpose: Text<'a>,
}

/// Where a failed response says why; apart from [`Object`], so that an odd explanation does not
/// hide the end of the response.
#[derive(Deserialize, Default)]
struct Failed<'a> {
    #[serde(borrow)]
    response: FailedResponse<'a>,
}

#[derive(Deserialize, Default)]
struct FailedResponse<'a> {
    #[serde(borrow)]
    status_details: Details<'a>,
}

#[derive(Deserialize, Default)]
struct Details<'a> {
    #[serde(borrow)]
    error: Object<'a>,
}

/// Reads one message of the model.
///
/// # Errors
///
/// [`Malformed`] if it is not an event; unknown events are [`Parsed::Ignored`].
pub fn parse(message: &Bytes) -> Result<Parsed<'_>, Malformed> {
    match plain_audio(message) {
        Some(audio) => Ok(Parsed::Event(audio)),
        None => parse_any(message),
    }
}

/// Audio as the model writes it: what [`parse_any`] makes of it, at a fraction of the cost. `None` for
/// everything else, be it another event or one that is written in another way.
fn plain_audio(message: &Bytes) -> Option<ModelEvent<'_>> {
    let (mut kind, mut response, mut item, mut delta) = (None, None, None, None);
    let mut json = Plain::new(message);
    json.object(|json, name| match name {
        b"type" => {
            once(&mut kind, json.text()?)?;
            // Most other events are known by their first words.
            (kind? == AUDIO.as_bytes()).then_some(())
        }
        b"response_id" => once(&mut response, json.text()?),
        b"item_id" => once(&mut item, json.text()?),
        // Base64 has neither quotation marks nor anything that would need an escape.
        b"delta" => once(&mut delta, json.unjudged()?),
        b"transcript" => None,
        _ => json.skip(),
    })?;
    json.end()?;
    kind?;
    Some(ModelEvent::Audio {
        response: str::from_utf8(response?).ok()?,
        item: str::from_utf8(item?).ok()?,
        audio: Audio::within(message, delta?).ok()?,
    })
}

fn parse_any(message: &Bytes) -> Result<Parsed<'_>, Malformed> {
    let top: Top<'_> = serde_json::from_slice(message)?;
    let kind = top.kind.plain().ok_or(Malformed::Lacks("type"))?;
    let event = match kind {
        AUDIO => ModelEvent::Audio {
            response: id(&top.response_id, "response_id")?,
            item: id(&top.item_id, "item_id")?,
            audio: audio(message, top.delta)?,
        },
        "response.output_audio.done" => ModelEvent::AudioDone {
            item: id(&top.item_id, "item_id")?,
        },
        "response.output_audio_transcript.delta" => ModelEvent::Words {
            item: id(&top.item_id, "item_id")?,
            text: words(top.delta, "delta")?,
        },
        "response.output_audio_transcript.done" => ModelEvent::WordsDone {
            item: id(&top.item_id, "item_id")?,
            text: words(top.transcript, "transcript")?,
        },
        "input_audio_buffer.speech_started" => ModelEvent::SpeechStarted,
        "input_audio_buffer.speech_stopped" => ModelEvent::SpeechStopped,
        "input_audio_buffer.committed" => ModelEvent::Committed {
            item: id(&top.item_id, "item_id")?,
        },
        "conversation.item.input_audio_transcription.completed" => ModelEvent::CallerWords {
            item: id(&top.item_id, "item_id")?,
            text: words(top.transcript, "transcript")?,
        },
        "conversation.item.input_audio_transcription.failed" => ModelEvent::CallerWordsFailed {
            item: id(&top.item_id, "item_id")?,
        },
        "response.created" => started(message)?,
        "response.done" => ended(message)?,
        "response.output_item.done" => return called(message, &top),
        // An error that cannot be read is still an error.
        "error" => refused(nested(message).unwrap_or_default().error),
        "session.updated" => ModelEvent::Configured,
        _ => return Ok(Parsed::Ignored),
    };
    Ok(Parsed::Event(event))
}

fn nested(message: &Bytes) -> Result<Nested<'_>, Malformed> {
    Ok(serde_json::from_slice(message)?)
}

fn id<'a>(text: &Text<'a>, field: &'static str) -> Result<&'a str, Malformed> {
    text.plain().ok_or(Malformed::Lacks(field))
}

fn words<'a>(text: Text<'a>, field: &'static str) -> Result<Cow<'a, str>, Malformed> {
    text.into_text().ok_or(Malformed::Lacks(field))
}

/// Shares the payload with the message where it stands there as it is. JSON may write `/`, which
/// is base64, as `\/`; then there is nothing to share.
fn audio(message: &Bytes, delta: Text<'_>) -> Result<Audio, Malformed> {
    match words(delta, "delta")? {
        Cow::Borrowed(text) => Ok(Audio::within(message, text.as_bytes())?),
        Cow::Owned(text) => Ok(Audio::from_base64(&text)?),
    }
}

fn started(message: &Bytes) -> Result<ModelEvent<'_>, Malformed> {
    let response = id(&nested(message)?.response.id, "response.id")?;
    let asked: Created<'_> = serde_json::from_slice(message).unwrap_or_default();
    let purpose = asked.response.metadata.purpose;
    Ok(if purpose.plain() == Some(ASIDE) {
        ModelEvent::AsideStarted { response }
    } else {
        ModelEvent::ResponseStarted { response }
    })
}

fn ended(message: &Bytes) -> Result<ModelEvent<'_>, Malformed> {
    let response = nested(message)?.response;
    let ending = match response.status.plain() {
        Some("completed") | None => ResponseEnding::Completed,
        Some("cancelled" | "canceled") => ResponseEnding::Cancelled,
        Some("failed") => {
            let why: Failed<'_> = serde_json::from_slice(message).unwrap_or_default();
            let error = why.response.status_details.error;
            ResponseEnding::Failed {
                fatal: error.code.plain().is_some_and(is_fatal),
                message: error.message.into_text().unwrap_or_default(),
            }
        }
        // "incomplete", and whatever else is not a full response.
        Some(_) => ResponseEnding::Incomplete,
    };
    Ok(ModelEvent::ResponseEnded {
        response: id(&response.id, "response.id")?,
        ending,
    })
}

/// `response.function_call_arguments.done` would come earlier, but it also fires when the call is
/// interrupted, with half of its arguments; only a completed item is a call.
fn called<'a>(message: &'a Bytes, top: &Top<'a>) -> Result<Parsed<'a>, Malformed> {
    let item = nested(message)?.item;
    if item.kind.plain() != Some("function_call") || item.status.plain() != Some("completed") {
        return Ok(Parsed::Ignored);
    }
    Ok(Parsed::Event(ModelEvent::ToolCall {
        response: id(&top.response_id, "response_id")?,
        call: id(&item.call_id, "item.call_id")?,
        name: id(&item.name, "item.name")?,
        arguments: words(item.arguments, "item.arguments")?,
    }))
}

fn refused(error: Object<'_>) -> ModelEvent<'_> {
    ModelEvent::Error {
        about: error.event_id.plain().and_then(request),
        kind: match error.code.plain() {
            Some("conversation_already_has_active_response") => ErrorKind::Busy,
            Some("session_expired") => ErrorKind::Expired,
            Some(code) if is_fatal(code) => ErrorKind::Fatal,
            _ => ErrorKind::Harmless,
        },
        message: error.message.into_text().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
