//! After a call that ended without the model's own verdict, the model is asked for one: out of band
//! (`conversation: "none"`), in writing, as JSON.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::json;

use crate::call::snapshot::Outcome;

/// Marks our response among others.
const PURPOSE: &str = "debrief";

const INSTRUCTIONS: &str = "\
The call is over. Judge it from the conversation, for the person you called for. Answer with one \
JSON object and nothing else: {\"summary\": \"what happened, what was agreed and what is open, in \
two to four sentences\", \"outcome\": \"success\" | \"partial\" | \"failure\" | \"voicemail\"}. \
success: the goal was reached. partial: some of it. failure: nothing of it. Do not invent anything \
that was not said.";

/// Longest summary, in characters; what is longer is cut.
const MAX_SUMMARY: usize = 4_000;

/// Sends the events that ask. A response that is under way is stopped first, because only one can
/// be active.
pub fn ask(is_responding: bool, mut send: impl FnMut(BytesMut)) {
    let cancel = json!({"type": "response.cancel", "event_id": "cancel"});
    let create = json!({
        "type": "response.create",
        "event_id": PURPOSE,
        "response": {
            "conversation": "none",
            "output_modalities": ["text"],
            "instructions": INSTRUCTIONS,
            "tool_choice": "none",
            "metadata": {"purpose": PURPOSE},
        },
    });
    for event in is_responding.then_some(cancel).into_iter().chain([create]) {
        let mut text = BytesMut::new();
        // Writing to memory does not fail.
        let _ = write!(text, "{event}");
        send(text);
    }
}

/// What a message says about it.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The verdict.
    Verdict(String, Outcome),
    /// There will be none.
    None,
    /// Something else; the answer may still come.
    NotYet,
}

#[derive(Deserialize)]
struct Done {
    #[serde(rename = "type")]
    kind: String,
    response: Option<Response>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    event_id: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    metadata: Option<Metadata>,
    #[serde(default)]
    output: Vec<Item>,
}

#[derive(Deserialize)]
struct Metadata {
    purpose: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    content: Vec<Content>,
}

#[derive(Deserialize)]
struct Content {
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    summary: String,
    outcome: Outcome,
}

/// Reads one message of the model.
pub fn read(message: &Bytes) -> Answer {
    let Ok(done) = serde_json::from_slice::<Done>(message) else {
        return Answer::NotYet;
    };
    match (done.kind.as_str(), done.response, done.error) {
        ("response.done", Some(response), _) if response.is_ours() => response.verdict(),
        ("error", _, Some(refusal)) if refusal.event_id.as_deref() == Some(PURPOSE) => Answer::None,
        _ => Answer::NotYet,
    }
}

impl Response {
    fn is_ours(&self) -> bool {
        let purpose = self.metadata.as_ref().and_then(|m| m.purpose.as_deref());
        purpose == Some(PURPOSE)
    }

    fn verdict(self) -> Answer {
        let texts = self.output.into_iter().flat_map(|item| item.content);
        let text: String = texts.filter_map(|content| content.text).collect();
        // Some models wrap JSON in a fence, whatever they were told.
        let json = text
            .trim()
            .trim_start_matches("```json")
            .trim_matches('`')
            .trim();
        match serde_json::from_str::<Verdict>(json) {
            Ok(verdict) if !verdict.summary.trim().is_empty() => {
                let summary = verdict.summary.trim().chars().take(MAX_SUMMARY).collect();
                Answer::Verdict(summary, verdict.outcome)
            }
            _ => Answer::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(text: &str) -> Bytes {
        let message = json!({
            "type": "response.done",
            "response": {
                "id": "resp_1",
                "status": "completed",
                "metadata": {"purpose": "debrief"},
                "output": [{"type": "message", "content": [{"type": "output_text", "text": text}]}],
            },
        });
        Bytes::from(message.to_string())
    }

    #[test]
    fn a_verdict_is_strict_json() {
        let verdict = Answer::Verdict("They will call back.".into(), Outcome::Partial);
        let json = r#"{"summary":"They will call back.","outcome":"partial"}"#;
        assert_eq!(read(&done(json)), verdict);
        assert_eq!(read(&done(&format!("```json\n{json}\n```"))), verdict);
        for bad in [
            "They will call back.",
            "{}",
            r#"{"summary":" ","outcome":"partial"}"#,
            r#"{"summary":"x","outcome":"great"}"#,
            r#"{"summary":"x","outcome":"partial","mood":"good"}"#,
        ] {
            assert_eq!(read(&done(bad)), Answer::None, "{bad}");
        }
    }

    #[test]
    fn other_messages_are_not_the_answer() {
        for other in [
            r#"{"type":"response.done","response":{"id":"r","status":"cancelled","output":[]}}"#,
            r#"{"type":"error","error":{"code":"response_cancel_not_active","event_id":"cancel"}}"#,
            r#"{"type":"rate_limits.updated"}"#,
            "garbage",
        ] {
            assert_eq!(read(&Bytes::from(other)), Answer::NotYet, "{other}");
        }
        let refused = r#"{"type":"error","error":{"code":"x","event_id":"debrief"}}"#;
        assert_eq!(read(&Bytes::from(refused)), Answer::None);
    }
}
