//! The conversation: its items, and what clients may add to it.
//!
//! Source: <https://platform.openai.com/docs/api-reference/realtime-client-events/conversation/item>.

use serde_json::{Map, Value, json};

use super::shape::{Refusal, choice, object, string};
use crate::sandbox::hex32;

/// One item of the conversation.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    /// `in_progress`, `completed` or `incomplete`.
    pub(crate) status: &'static str,
}

/// What an item is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A turn of the callee, heard.
    Heard {
        /// Known only once it was transcribed.
        transcript: Option<String>,
    },
    /// Text from the client: role and text.
    Written { role: &'static str, text: String },
    /// Speech of the model.
    Spoken {
        /// `None` after a truncation.
        transcript: Option<String>,
        /// Samples sent so far, less what was cut off.
        samples: u64,
    },
    /// Written answer of the model.
    Text { text: String },
    /// A call of a tool.
    Call {
        call_id: String,
        name: String,
        arguments: String,
    },
    /// What a tool returned.
    Output { call_id: String, output: String },
}

impl Item {
    /// The item as events carry it.
    pub(crate) fn json(&self) -> Value {
        let message = |role: &str, part: Value| {
            json!({
                "id": self.id, "object": "realtime.item", "type": "message", "role": role,
                "status": self.status, "content": [part],
            })
        };
        match &self.kind {
            Kind::Heard { transcript } => message(
                "user",
                json!({"type": "input_audio", "transcript": transcript}),
            ),
            Kind::Written { role, text } => {
                let kind = if *role == "assistant" {
                    "output_text"
                } else {
                    "input_text"
                };
                message(role, json!({"type": kind, "text": text}))
            }
            Kind::Spoken { transcript, .. } => message(
                "assistant",
                json!({"type": "output_audio", "transcript": transcript}),
            ),
            Kind::Text { text } => {
                message("assistant", json!({"type": "output_text", "text": text}))
            }
            Kind::Call {
                call_id,
                name,
                arguments,
            } => json!({
                "id": self.id, "object": "realtime.item", "type": "function_call",
                "status": self.status, "call_id": call_id, "name": name, "arguments": arguments,
            }),
            Kind::Output { call_id, output } => json!({
                "id": self.id, "object": "realtime.item", "type": "function_call_output",
                "status": self.status, "call_id": call_id, "output": output,
            }),
        }
    }

    /// The item as it stands when it is added to a response: without content.
    pub(crate) fn empty_json(&self) -> Value {
        let mut item = self.json();
        if item.get("content").is_some() {
            item["content"] = json!([]);
        }
        item
    }

    /// Length of its words, for token counts.
    fn letters(&self) -> usize {
        match &self.kind {
            Kind::Heard { .. } => 0,
            Kind::Written { text, .. } | Kind::Text { text } => text.len(),
            Kind::Spoken { transcript, .. } => transcript.as_ref().map_or(0, String::len),
            Kind::Call { arguments, .. } => arguments.len(),
            Kind::Output { output, .. } => output.len(),
        }
    }
}

/// All items in order.
#[derive(Default)]
pub(crate) struct Conversation {
    items: Vec<Item>,
}

impl Conversation {
    /// Appends an item and returns the id of the one before it.
    pub(crate) fn push(&mut self, item: Item) -> Option<String> {
        let previous = self.items.last().map(|item| item.id.clone());
        self.items.push(item);
        previous
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Item> {
        self.items.iter_mut().find(|item| item.id == id)
    }

    /// The id of the item before `id`.
    pub(crate) fn before(&self, id: &str) -> Option<String> {
        let at = self.items.iter().position(|item| item.id == id)?;
        Some(self.items.get(at.checked_sub(1)?)?.id.clone())
    }

    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let before = self.items.len();
        self.items.retain(|item| item.id != id);
        self.items.len() < before
    }

    /// The tool behind a call id.
    pub(crate) fn tool(&self, id: &str) -> Option<String> {
        self.items.iter().find_map(|item| match &item.kind {
            Kind::Call { call_id, name, .. } if call_id == id => Some(name.clone()),
            _ => None,
        })
    }

    /// All of it, as events carry it.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.items.iter().map(Item::json).collect()
    }

    /// Whether the model was heard already.
    pub(crate) fn has_speech(&self) -> bool {
        let spoken = |item: &Item| matches!(item.kind, Kind::Spoken { samples: 1.., .. });
        self.items.iter().any(spoken)
    }

    pub(crate) fn letters(&self) -> usize {
        self.items.iter().map(Item::letters).sum()
    }

    /// Checks the `item` of `conversation.item.create`.
    pub(crate) fn read(&self, item: &Value) -> Result<Item, Refusal> {
        let kinds = ["message", "function_call", "function_call_output"];
        let any = item
            .as_object()
            .ok_or_else(|| Refusal::wrong_type("item", "an object"))?;
        let kind = match choice(any, "item", "type", &kinds)? {
            "message" => read_message(item)?,
            "function_call" => {
                let keys = [
                    "id",
                    "object",
                    "type",
                    "status",
                    "call_id",
                    "name",
                    "arguments",
                ];
                let map = object(item, "item", &keys)?;
                Kind::Call {
                    call_id: string(map, "item", "call_id")?.to_owned(),
                    name: string(map, "item", "name")?.to_owned(),
                    arguments: string(map, "item", "arguments")?.to_owned(),
                }
            }
            _ => {
                let keys = ["id", "object", "type", "status", "call_id", "output"];
                let map = object(item, "item", &keys)?;
                let call_id = string(map, "item", "call_id")?;
                let output = string(map, "item", "output")?;
                if self.tool(call_id).is_none() {
                    let message = format!("Tool call ID '{call_id}' not found in conversation.");
                    let refusal = Refusal::new("invalid_tool_call_id", message);
                    return Err(refusal.at("item.call_id"));
                }
                Kind::Output {
                    call_id: call_id.to_owned(),
                    output: output.to_owned(),
                }
            }
        };
        let id = if any.contains_key("id") {
            let id = string(any, "item", "id")?;
            if id.is_empty() || id.len() > 32 || self.items.iter().any(|item| item.id == id) {
                return Err(Refusal::value("item.id", &json!(id)));
            }
            id.to_owned()
        } else {
            format!("item_{}", &hex32()[..21])
        };
        Ok(Item {
            id,
            kind,
            status: "completed",
        })
    }
}

fn read_message(item: &Value) -> Result<Kind, Refusal> {
    let keys = ["id", "object", "type", "role", "status", "content"];
    let map = object(item, "item", &keys)?;
    let role = match choice(map, "item", "role", &["system", "user", "assistant"])? {
        "system" => "system",
        "user" => "user",
        _ => "assistant",
    };
    let expected = if role == "assistant" {
        "output_text"
    } else {
        "input_text"
    };
    let parts = map
        .get("content")
        .ok_or_else(|| Refusal::missing("item.content"))?
        .as_array()
        .filter(|parts| !parts.is_empty())
        .ok_or_else(|| Refusal::wrong_type("item.content", "a non-empty array"))?;
    let mut text = String::new();
    for (index, part) in parts.iter().enumerate() {
        let path = format!("item.content[{index}]");
        let part: &Map<String, Value> = object(part, &path, &["type", "text"])?;
        choice(part, &path, "type", &[expected])?;
        text.push_str(string(part, &path, "text")?);
    }
    Ok(Kind::Written { role, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_clients_are_checked() {
        let mut conversation = Conversation::default();
        let message = |role: &str, kind: &str| {
            let content = [json!({"type": kind, "text": "x"})];
            json!({"type": "message", "role": role, "content": content})
        };
        for (item, good) in [
            (message("system", "input_text"), true),
            (message("user", "input_text"), true),
            (message("assistant", "output_text"), true),
            (message("assistant", "input_text"), false),
            (message("user", "output_text"), false),
            (message("robot", "input_text"), false),
            (
                json!({"type": "message", "role": "user", "content": []}),
                false,
            ),
            (json!({"type": "message", "role": "user"}), false),
            (json!({"role": "user"}), false),
            (
                json!({"type": "function_call_output", "call_id": "c", "output": "x"}),
                false,
            ),
        ] {
            assert_eq!(conversation.read(&item).is_ok(), good, "{item}");
        }
        let call = json!({"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"});
        let call = conversation.read(&call).unwrap();
        conversation.push(call);
        let output = json!({"type": "function_call_output", "call_id": "c", "output": "x"});
        assert!(conversation.read(&output).is_ok());
        let object = json!({"type": "function_call_output", "call_id": "c", "output": {}});
        assert!(conversation.read(&object).is_err());
    }
}
