//! Client events.

use std::fmt::Write as _;

use bytes::BytesMut;
use serde_json::{Value, json};

use crate::call::bridge::event::{Recall, Request, Respond, ToModel};
use crate::realtime::setup::Setup;

/// The `metadata` of a response beside the conversation, which comes back when it begins.
pub(super) const ASIDE: &str = "aside";

/// The `event_id` of what we send. The service repeats it in the error it answers with, so that
/// the bridge can tell a harmless refusal (a cancel that came too late) from a serious one. One
/// name per kind is enough: what matters is what was refused, not which of them.
fn event_id(request: Request) -> &'static str {
    match request {
        Request::Configure => "configure",
        Request::Turns => "turns",
        Request::Respond => "respond",
        Request::Cancel => "cancel",
        Request::Truncate => "truncate",
        Request::Delete => "delete",
        Request::ToolOutput => "tool_output",
        Request::Tell => "tell",
        Request::Recall => "recall",
    }
}

/// What an `event_id` that came back in an error was about.
pub(super) fn request(event_id: &str) -> Option<Request> {
    use Request::{Cancel, Configure, Delete, Recall, Respond, Tell, ToolOutput, Truncate, Turns};
    [
        Configure, Turns, Respond, Cancel, Truncate, Delete, ToolOutput, Tell, Recall,
    ]
    .into_iter()
    .find(|request| self::event_id(*request) == event_id)
}

/// Appends one client event, as JSON text, to `into`.
///
/// Audio is fifty events a second and is put together by hand; everything else is rare.
pub fn write(to: &ToModel, setup: &Setup, into: &mut BytesMut) {
    let event = match to {
        ToModel::Audio(audio) => {
            const HEAD: &[u8] = br#"{"type":"input_audio_buffer.append","audio":""#;
            const TAIL: &[u8] = br#""}"#;
            let base64 = audio.base64();
            into.reserve(HEAD.len() + base64.len() + TAIL.len());
            into.extend_from_slice(HEAD);
            // Nothing in base64 needs escaping, and `Audio` holds nothing else.
            into.extend_from_slice(base64);
            into.extend_from_slice(TAIL);
            return;
        }
        ToModel::Configure => json!({
            "type": "session.update",
            "event_id": event_id(Request::Configure),
            "session": setup.configuration(),
        }),
        ToModel::Turns(turns) => json!({
            "type": "session.update",
            "event_id": event_id(Request::Turns),
            "session": setup.turns(*turns),
        }),
        ToModel::Respond(respond) => response_create(respond),
        ToModel::Cancel => json!({
            "type": "response.cancel",
            "event_id": event_id(Request::Cancel),
        }),
        ToModel::Truncate { item, heard_ms } => json!({
            "type": "conversation.item.truncate",
            "event_id": event_id(Request::Truncate),
            "item_id": item,
            "content_index": 0,
            "audio_end_ms": heard_ms,
        }),
        ToModel::Delete { item } => json!({
            "type": "conversation.item.delete",
            "event_id": event_id(Request::Delete),
            "item_id": item,
        }),
        ToModel::ToolOutput { call, output } => json!({
            "type": "conversation.item.create",
            "event_id": event_id(Request::ToolOutput),
            "item": {"type": "function_call_output", "call_id": call, "output": output},
        }),
        ToModel::Tell(text) => json!({
            "type": "conversation.item.create",
            "event_id": event_id(Request::Tell),
            "item": {
                "type": "message",
                "role": "system",
                "content": [{"type": "input_text", "text": text}],
            },
        }),
        ToModel::Recall(recall) => json!({
            "type": "conversation.item.create",
            "event_id": event_id(Request::Recall),
            "item": recalled(recall),
        }),
    };
    // A buffer that grows takes everything, and a `Value` has no way to fail.
    let _ = write!(into, "{event}");
}

fn recalled(recall: &Recall) -> Value {
    let message = |role, kind, text| json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]});
    match recall {
        Recall::Said(text) => message("assistant", "output_text", text),
        Recall::Heard(text) => message("user", "input_text", text),
    }
}

fn response_create(respond: &Respond) -> Value {
    let mut response = serde_json::Map::new();
    if let Some(instructions) = &respond.instructions {
        response.insert("instructions".into(), json!(instructions));
    }
    if respond.speech_only {
        response.insert("tool_choice".into(), json!("none"));
    }
    if respond.aside {
        response.insert("conversation".into(), json!("none"));
        response.insert("metadata".into(), json!({"purpose": ASIDE}));
    }
    let mut event = json!({"type": "response.create", "event_id": event_id(Request::Respond)});
    if !response.is_empty() {
        event["response"] = Value::Object(response);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::audio::Audio;
    use crate::call::bridge::event::Turns;
    use crate::realtime::prompt::Brief;
    use crate::realtime::setup::TurnDetection;

    fn written(to: &ToModel) -> Value {
        let session = Setup {
            model: "gpt-realtime-2.1".into(),
            voice: "alloy".into(),
            brief: Brief::default(),
            turn_detection: TurnDetection::default(),
        };
        let mut text = BytesMut::new();
        write(to, &session, &mut text);
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn audio_is_passed_on_to_the_byte() {
        let session = Setup {
            model: String::new(),
            voice: String::new(),
            brief: Brief::default(),
            turn_detection: TurnDetection::default(),
        };
        let mut text = BytesMut::from(&b"before "[..]);
        let audio = Audio::from_base64("f39/+w==").unwrap();
        write(&ToModel::Audio(audio), &session, &mut text);
        assert_eq!(
            &text[..],
            br#"before {"type":"input_audio_buffer.append","audio":"f39/+w=="}"#
        );
    }

    #[test]
    fn every_event_is_written_as_the_reference_has_it() {
        let turn_detection = |by_the_model: bool| {
            json!({"type": "session.update", "event_id": "turns", "session": {
                "type": "realtime",
                "audio": {"input": {"turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "create_response": by_the_model,
                    "interrupt_response": by_the_model,
                }}},
            }})
        };
        let respond = |instructions: Option<&str>, speech_only| {
            ToModel::Respond(Respond {
                instructions: instructions.map(str::to_owned),
                speech_only,
                aside: false,
            })
        };
        let item = || "item_a".to_owned();
        let table = [
            (ToModel::Turns(Turns::Ours), turn_detection(false)),
            (ToModel::Turns(Turns::Models), turn_detection(true)),
            (
                respond(None, false),
                json!({"type": "response.create", "event_id": "respond"}),
            ),
            (
                respond(Some("Say \"hi\""), true),
                json!({"type": "response.create", "event_id": "respond",
                    "response": {"instructions": "Say \"hi\"", "tool_choice": "none"}}),
            ),
            (
                respond(None, true),
                json!({"type": "response.create", "event_id": "respond",
                    "response": {"tool_choice": "none"}}),
            ),
            (
                ToModel::Respond(Respond {
                    instructions: Some("Say it".into()),
                    speech_only: true,
                    aside: true,
                }),
                json!({"type": "response.create", "event_id": "respond",
                    "response": {"instructions": "Say it", "tool_choice": "none",
                        "conversation": "none", "metadata": {"purpose": "aside"}}}),
            ),
            (
                ToModel::Recall(Recall::Said("Hello.".into())),
                json!({"type": "conversation.item.create", "event_id": "recall",
                    "item": {"type": "message", "role": "assistant",
                        "content": [{"type": "output_text", "text": "Hello."}]}}),
            ),
            (
                ToModel::Recall(Recall::Heard("Yes?".into())),
                json!({"type": "conversation.item.create", "event_id": "recall",
                    "item": {"type": "message", "role": "user",
                        "content": [{"type": "input_text", "text": "Yes?"}]}}),
            ),
            (
                ToModel::Cancel,
                json!({"type": "response.cancel", "event_id": "cancel"}),
            ),
            (
                ToModel::Truncate {
                    item: item(),
                    heard_ms: 1500,
                },
                json!({"type": "conversation.item.truncate", "event_id": "truncate",
                    "item_id": "item_a", "content_index": 0, "audio_end_ms": 1500}),
            ),
            (
                ToModel::Delete { item: item() },
                json!({"type": "conversation.item.delete", "event_id": "delete",
                    "item_id": "item_a"}),
            ),
            (
                ToModel::ToolOutput {
                    call: "call_1".into(),
                    output: r#"{"ok":true}"#.into(),
                },
                json!({"type": "conversation.item.create", "event_id": "tool_output",
                    "item": {"type": "function_call_output", "call_id": "call_1",
                        "output": "{\"ok\":true}"}}),
            ),
            (
                ToModel::Tell("Twenty seconds left.".into()),
                json!({"type": "conversation.item.create", "event_id": "tell",
                    "item": {"type": "message", "role": "system",
                        "content": [{"type": "input_text", "text": "Twenty seconds left."}]}}),
            ),
        ];
        for (to, expected) in table {
            assert_eq!(written(&to), expected, "{to:?}");
        }
    }

    #[test]
    fn configure_carries_the_whole_session() {
        let event = written(&ToModel::Configure);
        assert_eq!(event["type"], "session.update");
        assert_eq!(event["event_id"], "configure");
        let instructions = event["session"]["instructions"].as_str().unwrap();
        assert!(instructions.starts_with("# Role and objective"));
    }
}
