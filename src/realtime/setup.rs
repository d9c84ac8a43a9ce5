//! What is set once per call.

use serde_json::{Value, json};

use super::prompt::{self, Brief};
use crate::call::bridge::event::Turns;
use crate::call::tool;

/// Mu-law at 8 kHz, as the carrier has it; this format takes no `rate`.
const AUDIO_FORMAT: &str = "audio/pcmu";

/// Turns the callee's speech into the text of the transcript. Its successors refuse server VAD.
pub const TRANSCRIPTION_MODEL: &str = "gpt-transcribe";

/// Silence that ends a turn where a recorded menu speaks, milliseconds: it rests between its options.
const PATIENT_SILENCE_MS: u32 = 1_500;

/// The model's side of one call, fixed before the phone rings.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The realtime model, by its API name; chosen by the socket's address, needed here to know
    /// which settings it takes.
    pub model: String,
    /// The voice; locked once it has spoken.
    pub voice: String,
    /// What the instructions are written from; its language helps the transcription along.
    pub brief: Brief,
    /// When the callee speaks, and when they have finished.
    pub turn_detection: TurnDetection,
}

/// How the service tells speech from noise, and the end of a turn from a pause (`OpenAI`,
/// "Realtime VAD", `server_vad`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TurnDetection {
    /// How loud is speech, 0 to 1. Lines are noisy, but people also mumble.
    pub threshold: f64,
    /// Audio kept from before speech was noticed, milliseconds, so that the "n" of "no" is not
    /// lost.
    pub prefix_ms: u32,
    /// Silence that ends a turn, milliseconds. Less cuts people off while they think or spell out a
    /// number; every bit more is added to each answer.
    pub silence_ms: u32,
    /// Whether the service stops its response as soon as it hears speech, however short. If not,
    /// we cancel it when the speech is long enough.
    pub interrupts: bool,
}

impl Setup {
    /// The `session` of the first `session.update`.
    ///
    /// One key that the service does not know makes it refuse the whole update, and `null` does
    /// not mean "default" but "off": there is nothing here that is not needed, and no `null`.
    /// `noise_reduction` is left out: it is off by default, which is what we want, since carriers
    /// already clean up a call, and cleaning twice eats quiet words.
    pub(super) fn configuration(&self) -> Value {
        let mut transcription = json!({"model": TRANSCRIPTION_MODEL});
        if let Some(code) = self.brief.language.iso_639_1() {
            transcription["languages"] = json!([code]);
        }
        let mut session = json!({
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": prompt::instructions(&self.brief),
            "audio": {
                "input": {
                    "format": {"type": AUDIO_FORMAT},
                    "transcription": transcription,
                    "turn_detection": self.turn_detection.with(Turns::Ours),
                },
                "output": {
                    "format": {"type": AUDIO_FORMAT},
                    "voice": self.voice,
                    "speed": 1.0,
                },
            },
            "tools": tool::declarations(),
            "tool_choice": "auto",
        });
        if reasons(&self.model) {
            // A caller waits for the thinking, too.
            session["reasoning"] = json!({"effort": "low"});
            // Two at once could be a note and a goodbye: one after the other is easier to follow.
            session["parallel_tool_calls"] = json!(false);
        }
        session
    }

    /// The `session` of an update that changes who answers, and nothing else.
    pub(super) fn turns(&self, turns: Turns) -> Value {
        json!({
            "type": "realtime",
            "audio": {"input": {"turn_detection": self.turn_detection.with(turns)}},
        })
    }
}

/// What suits a phone line.
impl Default for TurnDetection {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            prefix_ms: 300,
            silence_ms: 500,
            interrupts: true,
        }
    }
}

impl TurnDetection {
    /// Always whole: the service replaces it as a unit.
    fn with(self, turns: Turns) -> Value {
        let by_the_model = turns != Turns::Ours;
        let silence_ms = match turns {
            Turns::ModelsPatiently => self.silence_ms.max(PATIENT_SILENCE_MS),
            Turns::Ours | Turns::Models => self.silence_ms,
        };
        json!({
            "type": "server_vad",
            "threshold": self.threshold,
            "prefix_padding_ms": self.prefix_ms,
            "silence_duration_ms": silence_ms,
            "create_response": by_the_model,
            "interrupt_response": by_the_model && self.interrupts,
        })
    }
}

/// Models of the 2 family take `reasoning` and `parallel_tool_calls`, the others refuse them.
/// `gpt-realtime-2025-08-28` is a date, not a 2.
fn reasons(model: &str) -> bool {
    model
        .strip_prefix("gpt-realtime-2")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(model: &str, language: &str) -> Setup {
        Setup {
            model: model.into(),
            voice: "marin".into(),
            brief: Brief {
                language: language.parse().unwrap(),
                ..Brief::default()
            },
            turn_detection: TurnDetection::default(),
        }
    }

    #[test]
    fn the_update_is_the_one_the_reference_shows() {
        let mut session = session("gpt-realtime-2.1", "it-IT").configuration();
        assert_eq!(session["tools"].as_array().map(Vec::len), Some(5));
        session["tools"] = json!([]);
        let instructions = session["instructions"].take();
        assert!(instructions.as_str().unwrap().contains("Speak Italian"));
        assert_eq!(
            session,
            json!({
                "type": "realtime",
                "output_modalities": ["audio"],
                "instructions": null,
                "reasoning": {"effort": "low"},
                "parallel_tool_calls": false,
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcmu"},
                        "transcription": {"model": "gpt-transcribe", "languages": ["it"]},
                        "turn_detection": {
                            "type": "server_vad",
                            "threshold": 0.5,
                            "prefix_padding_ms": 300,
                            "silence_duration_ms": 500,
                            "create_response": false,
                            "interrupt_response": false,
                        },
                    },
                    "output": {"format": {"type": "audio/pcmu"}, "voice": "marin", "speed": 1.0},
                },
                "tools": [],
                "tool_choice": "auto",
            })
        );
    }

    /// Every key the service is known to take, and no other.
    const KEYS: &[&str] = &[
        "/type",
        "/output_modalities",
        "/instructions",
        "/reasoning",
        "/reasoning/effort",
        "/parallel_tool_calls",
        "/audio",
        "/audio/input",
        "/audio/input/format",
        "/audio/input/format/type",
        "/audio/input/transcription",
        "/audio/input/transcription/model",
        "/audio/input/transcription/languages",
        "/audio/input/turn_detection",
        "/audio/input/turn_detection/type",
        "/audio/input/turn_detection/threshold",
        "/audio/input/turn_detection/prefix_padding_ms",
        "/audio/input/turn_detection/silence_duration_ms",
        "/audio/input/turn_detection/create_response",
        "/audio/input/turn_detection/interrupt_response",
        "/audio/output",
        "/audio/output/format",
        "/audio/output/format/type",
        "/audio/output/voice",
        "/audio/output/speed",
        "/tools",
        "/tools/type",
        "/tools/name",
        "/tools/description",
        "/tools/parameters",
        "/tool_choice",
    ];

    fn check(value: &Value, path: &str) {
        match value {
            Value::Null => panic!("null at {path}"),
            Value::Object(fields) => {
                for (key, value) in fields {
                    let path = format!("{path}/{key}");
                    assert!(KEYS.contains(&path.as_str()), "unknown key {path}");
                    // Below lies JSON schema, which has keys of its own.
                    if path != "/tools/parameters" {
                        check(value, &path);
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| check(value, path)),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn no_null_and_no_unknown_key() {
        for model in ["gpt-realtime-2.1", "gpt-realtime-1.5", "something-else"] {
            for language in ["en-US", "fil-PH"] {
                check(&session(model, language).configuration(), "");
            }
        }
        check(&session("gpt-realtime-2.1", "en").turns(Turns::Models), "");
        check(&session("gpt-realtime-2.1", "en").turns(Turns::Ours), "");
        let patient = session("gpt-realtime-2.1", "en").turns(Turns::ModelsPatiently);
        check(&patient, "");
        let detection = &patient["audio"]["input"]["turn_detection"];
        assert_eq!(detection["silence_duration_ms"], 1_500);
        assert_eq!(detection["create_response"], true);
    }

    #[test]
    fn only_the_2_family_reasons() {
        for (model, expected) in [
            ("gpt-realtime-2", true),
            ("gpt-realtime-2.1", true),
            ("gpt-realtime-2.1-mini", true),
            ("gpt-realtime-2-2026-05-01", true),
            ("gpt-realtime", false),
            ("gpt-realtime-1.5", false),
            ("gpt-realtime-mini", false),
            ("gpt-realtime-2025-08-28", false),
            ("my-azure-deployment", false),
        ] {
            let session = session(model, "en").configuration();
            assert_eq!(session.get("reasoning").is_some(), expected, "{model}");
            assert_eq!(
                session.get("parallel_tool_calls").is_some(),
                expected,
                "{model}"
            );
        }
    }

    #[test]
    fn languages_without_a_two_letter_code_are_left_to_the_transcriber() {
        for (language, expected) in [
            ("en-GB", Some("en")),
            ("nb-NO", Some("no")),
            ("zh-Hant-TW", Some("zh")),
            ("fil", None),
            ("yue-HK", None),
            ("xx", None),
        ] {
            let session = session("gpt-realtime-2.1", language).configuration();
            let transcription = &session["audio"]["input"]["transcription"];
            let expected = expected.map(|code| json!([code]));
            assert_eq!(transcription.get("languages"), expected.as_ref());
        }
    }
}
