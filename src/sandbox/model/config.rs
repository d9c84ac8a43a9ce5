//! The session's configuration that is in force, and how an update changes it.
//!
//! Source: <https://platform.openai.com/docs/api-reference/realtime-client-events/session/update>.
//! One fault anywhere leaves the whole configuration as it was.

use serde_json::{Value, json};

use super::check::check_session;
use super::shape::Refusal;

/// Transcription models that do not go with turn detection by the server.
const WITHOUT_VAD: &[&str] = &["gpt-live-transcribe", "gpt-realtime-whisper"];

/// How the server finds the end of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TurnDetection {
    pub(crate) prefix_padding_ms: u64,
    pub(crate) silence_duration_ms: u64,
    pub(crate) create_response: bool,
    pub(crate) interrupt_response: bool,
}

/// The configuration in force.
pub(crate) struct Config {
    model: String,
    session: Value,
    updated: bool,
}

impl Config {
    /// What a session starts with.
    pub(crate) fn new(model: &str) -> Self {
        let session = json!({
            "type": "realtime",
            "object": "realtime.session",
            "model": model,
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "truncation": "auto",
            "prompt": null,
            "tracing": null,
            "include": null,
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24_000},
                    "transcription": null,
                    "noise_reduction": null,
                    "turn_detection": full_detection(&json!({"type": "server_vad"})),
                },
                "output": {
                    "format": {"type": "audio/pcm", "rate": 24_000},
                    "voice": "alloy",
                    "speed": 1.0,
                },
            },
        });
        Self {
            model: model.to_owned(),
            session,
            updated: false,
        }
    }

    /// The `session` object of `session.created` and `session.updated`.
    pub(crate) fn json(&self) -> &Value {
        &self.session
    }

    /// At least one update was applied.
    pub(crate) fn is_updated(&self) -> bool {
        self.updated
    }

    pub(crate) fn instructions(&self) -> &str {
        self.session["instructions"].as_str().unwrap_or_default()
    }

    pub(crate) fn tools(&self) -> &Value {
        &self.session["tools"]
    }

    pub(crate) fn tool_choice(&self) -> &Value {
        &self.session["tool_choice"]
    }

    pub(crate) fn transcribes(&self) -> bool {
        self.session["audio"]["input"]["transcription"].is_object()
    }

    /// Audio is mu-law in both directions.
    pub(crate) fn is_telephone(&self) -> bool {
        ["input", "output"]
            .iter()
            .all(|way| self.session["audio"][way]["format"]["type"] == "audio/pcmu")
    }

    /// `None` if turn detection is off.
    pub(crate) fn turn_detection(&self) -> Option<TurnDetection> {
        let detection = self.session["audio"]["input"]["turn_detection"].as_object()?;
        let ms = |key: &str, default| {
            detection
                .get(key)
                .and_then(Value::as_u64)
                .unwrap_or(default)
        };
        let flag = |key: &str| detection.get(key).and_then(Value::as_bool).unwrap_or(true);
        Some(TurnDetection {
            prefix_padding_ms: ms("prefix_padding_ms", 300),
            // Semantic detection is taken as a fixed silence: the sandbox understands no pauses.
            silence_duration_ms: ms("silence_duration_ms", 500),
            create_response: flag("create_response"),
            interrupt_response: flag("interrupt_response"),
        })
    }

    /// Applies the `session` of an update, or nothing of it.
    pub(crate) fn apply(&mut self, update: &Value, voice_locked: bool) -> Result<(), Refusal> {
        check_session(update, &self.model)?;
        let voice = &update["audio"]["output"]["voice"];
        if voice_locked && voice.is_string() && *voice != self.session["audio"]["output"]["voice"] {
            return Err(Refusal::new(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
            ));
        }
        let mut next = self.session.clone();
        for (key, value) in entries(update) {
            if key != "audio" {
                next[key] = value.clone();
            }
        }
        for way in ["input", "output"] {
            for (key, value) in entries(&update["audio"][way]) {
                next["audio"][way][key] = match key.as_str() {
                    "turn_detection" if value.is_object() => full_detection(value),
                    _ => value.clone(),
                };
            }
        }
        let input = &next["audio"]["input"];
        let transcriber = input["transcription"]["model"].as_str().unwrap_or_default();
        if WITHOUT_VAD.contains(&transcriber) && input["turn_detection"].is_object() {
            let path = "session.audio.input.transcription.model";
            return Err(Refusal::value(path, &json!(transcriber)));
        }
        self.session = next;
        self.updated = true;
        Ok(())
    }
}

/// `turn_detection` is replaced as a whole: what an update leaves out gets its default back.
fn full_detection(detection: &Value) -> Value {
    let mut full = if detection["type"] == "semantic_vad" {
        json!({"eagerness": "auto", "create_response": true, "interrupt_response": true})
    } else {
        json!({
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
            "create_response": true,
            "interrupt_response": true,
            "idle_timeout_ms": null,
        })
    };
    for (key, value) in entries(detection) {
        full[key] = value.clone();
    }
    full
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(update: &Value) -> Result<Config, Refusal> {
        let mut config = Config::new("gpt-realtime-2.1");
        config.apply(update, false).map(|()| config)
    }

    #[test]
    fn the_example_of_the_documentation_is_taken() {
        let config = apply(&json!({
            "type": "realtime", "output_modalities": ["audio"], "instructions": "Hi",
            "reasoning": {"effort": "low"}, "parallel_tool_calls": false,
            "audio": {
                "input": {
                    "format": {"type": "audio/pcmu"}, "noise_reduction": null,
                    "transcription": {"model": "gpt-transcribe", "languages": ["en"]},
                    "turn_detection": {
                        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 200,
                        "silence_duration_ms": 400, "create_response": false,
                        "interrupt_response": false
                    }
                },
                "output": {"format": {"type": "audio/pcmu"}, "voice": "alloy", "speed": 1.0}
            },
            "tools": [{
                "type": "function", "name": "end_call", "description": "…",
                "parameters": {"type": "object", "properties": {}, "required": []}
            }],
            "tool_choice": "auto"
        }))
        .unwrap();
        assert!(config.is_telephone() && config.transcribes() && config.is_updated());
        assert_eq!(
            config.turn_detection(),
            Some(TurnDetection {
                prefix_padding_ms: 200,
                silence_duration_ms: 400,
                create_response: false,
                interrupt_response: false,
            })
        );
    }

    #[test]
    fn each_fault_is_named_and_nothing_is_applied() {
        let input = |input: Value| json!({"type": "realtime", "audio": {"input": input}});
        for (update, code, param) in [
            (json!({}), "missing_required_parameter", "session.type"),
            (
                json!({"type": "realtime", "temperature": 1}),
                "unknown_parameter",
                "session.temperature",
            ),
            (
                json!({"type": "realtime", "tool_choice": "maybe"}),
                "invalid_value",
                "session.tool_choice",
            ),
            (
                json!({"type": "realtime", "audio": {"output": {"voice": "bob"}}}),
                "invalid_value",
                "session.audio.output.voice",
            ),
            (
                input(json!({"format": {"type": "audio/pcmu", "rate": 8000}})),
                "unknown_parameter",
                "session.audio.input.format.rate",
            ),
            (
                input(json!({"turn_detection": {"create_response": true}})),
                "missing_required_parameter",
                "session.audio.input.turn_detection.type",
            ),
            (
                input(json!({"turn_detection": {"type": "semantic_vad", "idle_timeout_ms": 6000}})),
                "unknown_parameter",
                "session.audio.input.turn_detection.idle_timeout_ms",
            ),
            (
                input(json!({"transcription": {"model": "gpt-transcribe", "language": "en"}})),
                "unknown_parameter",
                "session.audio.input.transcription.language",
            ),
            (
                input(
                    json!({"transcription": {"model": "gpt-transcribe", "languages": ["en-US"]}}),
                ),
                "invalid_value",
                "session.audio.input.transcription.languages",
            ),
            (
                input(json!({"transcription": {"model": "gpt-live-transcribe"}})),
                "invalid_value",
                "session.audio.input.transcription.model",
            ),
        ] {
            let refusal = apply(&update).err().unwrap();
            assert_eq!(refusal.code, Some(code), "{update}");
            assert_eq!(refusal.param.as_deref(), Some(param), "{update}");
        }
        let mut old = Config::new("gpt-realtime-1.5");
        let update =
            json!({"type": "realtime", "instructions": "x", "reasoning": {"effort": "low"}});
        assert!(old.apply(&update, false).is_err());
        assert_eq!((old.instructions(), old.is_updated()), ("", false));
    }

    #[test]
    fn null_is_off_and_absent_is_unchanged() {
        let mut config = Config::new("gpt-realtime-2.1");
        let off = json!({"type": "realtime", "audio": {"input": {"turn_detection": null}}});
        config.apply(&off, false).unwrap();
        assert_eq!(config.turn_detection(), None);
        config.apply(&json!({"type": "realtime"}), false).unwrap();
        assert_eq!(config.turn_detection(), None);
        let on = json!({"type": "server_vad", "create_response": false});
        let on = json!({"type": "realtime", "audio": {"input": {"turn_detection": on}}});
        config.apply(&on, false).unwrap();
        let detection = config.turn_detection().unwrap();
        assert!(!detection.create_response && detection.interrupt_response);
    }

    #[test]
    fn the_voice_is_locked_once_it_was_heard() {
        let mut config = Config::new("gpt-realtime-2.1");
        let voice = |v: &str| json!({"type": "realtime", "audio": {"output": {"voice": v}}});
        config.apply(&voice("marin"), false).unwrap();
        assert!(config.apply(&voice("marin"), true).is_ok());
        let refusal = config.apply(&voice("cedar"), true).unwrap_err();
        assert_eq!(refusal.code, Some("cannot_update_voice"));
    }
}
