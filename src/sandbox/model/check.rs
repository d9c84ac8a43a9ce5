//! What `session.update` and `response.create` may say.
//!
//! Source: <https://platform.openai.com/docs/api-reference/realtime-client-events/session/update>.

use serde_json::{Map, Value, json};

use super::shape::{Refusal, boolean, choice, number, object, string};

const VOICES: &[&str] = &[
    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar",
];

/// Transcription models, and whether they take `languages` (a list) rather than `language`.
const TRANSCRIBERS: &[(&str, bool)] = &[
    ("gpt-transcribe", true),
    ("gpt-live-transcribe", true),
    ("gpt-realtime-whisper", false),
    ("whisper-1", false),
    ("gpt-4o-transcribe", false),
    ("gpt-4o-mini-transcribe", false),
    ("gpt-4o-transcribe-diarize", false),
];

type Check = Result<(), Refusal>;

/// Checks the `session` of an update for a session with this model.
pub(crate) fn check_session(update: &Value, own_model: &str) -> Check {
    let map = object(
        update,
        "session",
        &[
            "type",
            "output_modalities",
            "instructions",
            "reasoning",
            "parallel_tool_calls",
            "audio",
            "tools",
            "tool_choice",
            "max_output_tokens",
            "model",
            "include",
            "tracing",
            "truncation",
            "prompt",
        ],
    )?;
    choice(map, "session", "type", &["realtime"])?;
    if let Some(model) = map.get("model").filter(|model| **model != own_model) {
        return Err(Refusal::value("session.model", model));
    }
    if map.contains_key("instructions") {
        string(map, "session", "instructions")?;
    }
    for key in ["reasoning", "parallel_tool_calls"] {
        // Only the 2.x models reason.
        if map.contains_key(key) && !own_model.starts_with("gpt-realtime-2") {
            return Err(Refusal::unknown(&format!("session.{key}")));
        }
    }
    check_common(map, "session")?;
    match map.get("audio") {
        Some(audio) => check_audio(audio, "session.audio"),
        None => Ok(()),
    }
}

/// What a session and a single response configure alike.
pub(crate) fn check_common(map: &Map<String, Value>, path: &str) -> Check {
    if let Some(modalities) = map.get("output_modalities") {
        let valid = [json!(["audio"]), json!(["text"])];
        if !valid.contains(modalities) {
            return Err(Refusal::value(
                &format!("{path}.output_modalities"),
                modalities,
            ));
        }
    }
    if let Some(reasoning) = map.get("reasoning") {
        let path = format!("{path}.reasoning");
        let reasoning = object(reasoning, &path, &["effort"])?;
        let efforts = ["none", "minimal", "low", "medium", "high", "xhigh"];
        choice(reasoning, &path, "effort", &efforts)?;
    }
    boolean(map, path, "parallel_tool_calls")?;
    if let Some(limit) = map.get("max_output_tokens")
        && limit != "inf"
    {
        number(map, path, "max_output_tokens", 1.0..=4_096.0)?;
    }
    if let Some(tools) = map.get("tools") {
        check_tools(tools, &format!("{path}.tools"))?;
    }
    match map.get("tool_choice") {
        None => Ok(()),
        Some(Value::String(choice)) if ["auto", "none", "required"].contains(&choice.as_str()) => {
            Ok(())
        }
        Some(choice) if choice.is_object() => {
            let path = format!("{path}.tool_choice");
            string(object(choice, &path, &["type", "name"])?, &path, "name").map(|_| ())
        }
        Some(other) => Err(Refusal::value(&format!("{path}.tool_choice"), other)),
    }
}

fn check_tools(tools: &Value, path: &str) -> Check {
    let list = tools
        .as_array()
        .ok_or_else(|| Refusal::wrong_type(path, "an array"))?;
    for (index, tool) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let tool = object(tool, &path, &["type", "name", "description", "parameters"])?;
        choice(tool, &path, "type", &["function"])?;
        let name = string(tool, &path, "name")?;
        let valid = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(valid) {
            return Err(Refusal::value(&format!("{path}.name"), &json!(name)));
        }
        if !tool.get("parameters").is_none_or(Value::is_object) {
            return Err(Refusal::wrong_type(
                &format!("{path}.parameters"),
                "an object",
            ));
        }
    }
    Ok(())
}

fn check_audio(audio: &Value, path: &str) -> Check {
    let audio = object(audio, path, &["input", "output"])?;
    if let Some(input) = audio.get("input") {
        let path = format!("{path}.input");
        let keys = [
            "format",
            "noise_reduction",
            "transcription",
            "turn_detection",
        ];
        let input = object(input, &path, &keys)?;
        check_format(input, &path)?;
        // Null switches these three off; absent leaves them alone.
        let set = |key: &str| input.get(key).filter(|value| !value.is_null());
        if let Some(reduction) = set("noise_reduction") {
            let path = format!("{path}.noise_reduction");
            let reduction = object(reduction, &path, &["type"])?;
            choice(reduction, &path, "type", &["near_field", "far_field"])?;
        }
        if let Some(transcription) = set("transcription") {
            check_transcription(transcription, &format!("{path}.transcription"))?;
        }
        if let Some(detection) = set("turn_detection") {
            check_detection(detection, &format!("{path}.turn_detection"))?;
        }
    }
    if let Some(output) = audio.get("output") {
        let path = format!("{path}.output");
        let output = object(output, &path, &["format", "voice", "speed"])?;
        check_format(output, &path)?;
        if output.contains_key("voice") {
            choice(output, &path, "voice", VOICES)?;
        }
        number(output, &path, "speed", 0.25..=1.5)?;
    }
    Ok(())
}

fn check_format(parent: &Map<String, Value>, path: &str) -> Check {
    let Some(format) = parent.get("format") else {
        return Ok(());
    };
    let path = format!("{path}.format");
    // Only linear audio has a choice of rates.
    let keys: &[&str] = match format["type"].as_str() {
        Some("audio/pcm") => &["type", "rate"],
        _ => &["type"],
    };
    let types = ["audio/pcm", "audio/pcmu", "audio/pcma"];
    choice(object(format, &path, keys)?, &path, "type", &types).map(|_| ())
}

fn check_transcription(transcription: &Value, path: &str) -> Check {
    let keys = ["model", "language", "languages", "prompt"];
    let transcription = object(transcription, path, &keys)?;
    let model = string(transcription, path, "model")?;
    let Some((_, lists)) = TRANSCRIBERS.iter().find(|(name, _)| *name == model) else {
        return Err(Refusal::value(&format!("{path}.model"), &json!(model)));
    };
    let wrong = if *lists { "language" } else { "languages" };
    if transcription.contains_key(wrong) {
        return Err(Refusal::unknown(&format!("{path}.{wrong}")));
    }
    let codes: Vec<&Value> = match (
        transcription.get("language"),
        transcription.get("languages"),
    ) {
        (Some(one), _) => vec![one],
        (None, Some(Value::Array(list))) => list.iter().collect(),
        (None, Some(_)) => {
            return Err(Refusal::wrong_type(
                &format!("{path}.languages"),
                "an array",
            ));
        }
        (None, None) => Vec::new(),
    };
    // ISO-639-1: "en", not "en-US".
    let valid = |code: &&str| code.len() == 2 && code.bytes().all(|b| b.is_ascii_lowercase());
    match codes
        .iter()
        .find(|code| !code.as_str().as_ref().is_some_and(valid))
    {
        Some(code) => Err(Refusal::value(
            &format!("{path}.{}", if *lists { "languages" } else { "language" }),
            code,
        )),
        None => Ok(()),
    }
}

fn check_detection(detection: &Value, path: &str) -> Check {
    let kind = detection.get("type").and_then(Value::as_str);
    let keys: &[&str] = match kind {
        Some("server_vad") => &[
            "type",
            "threshold",
            "prefix_padding_ms",
            "silence_duration_ms",
            "create_response",
            "interrupt_response",
            "idle_timeout_ms",
        ],
        Some("semantic_vad") => &["type", "eagerness", "create_response", "interrupt_response"],
        _ => {
            let map = detection
                .as_object()
                .ok_or_else(|| Refusal::wrong_type(path, "an object"))?;
            return choice(map, path, "type", &[]).map(|_| ());
        }
    };
    let map = object(detection, path, keys)?;
    number(map, path, "threshold", 0.0..=1.0)?;
    number(map, path, "prefix_padding_ms", 0.0..=10_000.0)?;
    number(map, path, "silence_duration_ms", 0.0..=10_000.0)?;
    if map
        .get("idle_timeout_ms")
        .is_some_and(|value| !value.is_null())
    {
        number(map, path, "idle_timeout_ms", 5_000.0..=30_000.0)?;
    }
    if map.contains_key("eagerness") {
        choice(map, path, "eagerness", &["low", "medium", "high", "auto"])?;
    }
    boolean(map, path, "create_response")?;
    boolean(map, path, "interrupt_response")
}
