//! Messages of the voice model: its events, its bills, and its verdict on a call.

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use openagent_messaging::call::bridge::event::{ModelEvent, Recall, ToModel};
use openagent_messaging::call::disclosure::Disclosure;
use openagent_messaging::call::language::Language;
use openagent_messaging::call::tool::Tool;
use openagent_messaging::realtime::debrief::{self, Answer};
use openagent_messaging::realtime::event::{Parsed, is_billed, parse, transcribed, usage, write};
use openagent_messaging::realtime::prompt::Brief;
use openagent_messaging::realtime::setup::{Setup, TurnDetection};
use serde_json::Value;

use super::carrier::is_sound;

static SETUP: LazyLock<Setup> = LazyLock::new(|| Setup {
    model: "gpt-realtime-2.1".into(),
    voice: "alloy".into(),
    brief: Brief::default(),
    turn_detection: TurnDetection::default(),
});

static DISCLOSURE: LazyLock<Disclosure> =
    LazyLock::new(|| Disclosure::new(&Language::default(), Some("Ada")));

pub fn check(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    if let Some(used) = usage(data) {
        let mut twice = used;
        twice += used;
        assert!(twice.audio_out >= used.audio_out);
    }
    if let Some(heard) = transcribed(data) {
        assert!(heard.millis <= 86_400_000);
        let mut twice = heard;
        twice += heard;
    }
    let _ = is_billed(data);
    if let Answer::Verdict(summary, _) = debrief::read(&message) {
        assert!(!summary.is_empty() && summary.chars().count() <= 4_000);
    }
    match parse(&message) {
        Ok(Parsed::Event(event)) => means_something(event),
        Ok(Parsed::Ignored) => {}
        // It goes to the log, which must not quote a conversation.
        Err(error) => assert!(error.to_string().len() < 60, "{error}"),
    }
}

fn means_something(event: ModelEvent<'_>) {
    match event {
        ModelEvent::Audio { audio, .. } => {
            is_sound(&audio);
            let payload = audio.base64().to_vec();
            let json = written(&ToModel::Audio(audio));
            assert_eq!(
                json["audio"].as_str().map(str::as_bytes),
                Some(&payload[..])
            );
        }
        ModelEvent::Words { text, .. } | ModelEvent::WordsDone { text, .. } => {
            let _ = DISCLOSURE.is_made_by(&text);
            let json = written(&ToModel::Recall(Recall::Said(text.clone().into_owned())));
            assert_eq!(json["item"]["content"][0]["text"], *text);
        }
        ModelEvent::CallerWords { item, text } => {
            let json = written(&ToModel::Recall(Recall::Heard(text.clone().into_owned())));
            assert_eq!(json["item"]["content"][0]["text"], *text);
            let item = item.to_owned();
            assert_eq!(
                written(&ToModel::Delete { item: item.clone() })["item_id"],
                item
            );
        }
        ModelEvent::ToolCall {
            call,
            name,
            arguments,
            ..
        } => {
            match Tool::parse(name, &arguments) {
                Ok(Tool::PressKeys { digits }) => {
                    assert!(
                        digits.len() <= 32 && digits.chars().all(|c| "0123456789*#w".contains(c))
                    );
                }
                Ok(_) => {}
                Err(why) => assert!(!why.is_empty()),
            }
            let output = arguments.clone().into_owned();
            let json = written(&ToModel::ToolOutput {
                call: call.to_owned(),
                output,
            });
            assert_eq!(json["item"]["output"], *arguments);
        }
        _ => {}
    }
}

fn written(to: &ToModel) -> Value {
    let mut text = BytesMut::new();
    write(to, &SETUP, &mut text);
    serde_json::from_slice(&text).expect("we wrote what is not JSON")
}
