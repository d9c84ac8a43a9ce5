//! What clients change in the conversation: items created, truncated, deleted.

use serde_json::{Map, Value, json};

use super::items::Kind;
use super::mind::News;
use super::session::Session;
use super::shape::{Refusal, string};

impl Session {
    pub(super) fn create(&mut self, event: &Map<String, Value>) -> Result<(), Refusal> {
        let item = event.get("item").ok_or_else(|| Refusal::missing("item"))?;
        let item = self.conversation.read(item)?;
        if event
            .get("previous_item_id")
            .is_some_and(|id| !id.is_null())
        {
            self.complaints
                .add("model: the sandbox appends items, whatever previous_item_id says");
        }
        match &item.kind {
            Kind::Written {
                role: "system",
                text,
            } => self.news.push(News::Told(text.clone())),
            Kind::Written { role: "user", text } => {
                self.mind.hears(text);
                self.news.push(News::Heard(text.clone()));
            }
            Kind::Written { text, .. } => {
                // A conversation that is replayed: what came before this was answered by it.
                self.mind.recall(text);
                self.news.clear();
            }
            Kind::Call {
                name, arguments, ..
            } => {
                self.mind.recall_call(name, arguments);
                self.news.clear();
            }
            Kind::Output { call_id, output } => self.news.push(News::Returned {
                tool: self.conversation.tool(call_id).unwrap_or_default(),
                output: output.clone(),
            }),
            _ => {}
        }
        let json = item.json();
        let previous = self.conversation.push(item);
        self.added(&json, previous.as_deref());
        Ok(())
    }

    pub(super) fn truncate(&mut self, event: &Map<String, Value>) -> Result<(), Refusal> {
        let id = string(event, "event", "item_id").map_err(|_| Refusal::missing("item_id"))?;
        let index = event
            .get("content_index")
            .ok_or_else(|| Refusal::missing("content_index"))?;
        if *index != 0 {
            return Err(Refusal::value("content_index", index));
        }
        let end = event
            .get("audio_end_ms")
            .ok_or_else(|| Refusal::missing("audio_end_ms"))?;
        let end = end
            .as_u64()
            .ok_or_else(|| Refusal::wrong_type("audio_end_ms", "an integer"))?;
        let Some(item) = self.conversation.get_mut(id) else {
            let message = format!("Error truncating item: the item with id '{id}' does not exist.");
            return Err(Refusal::new("item_truncate_invalid_item_id", message).at("item_id"));
        };
        let Kind::Spoken {
            transcript,
            samples,
        } = &mut item.kind
        else {
            let message = "Only model output audio messages can be truncated.";
            return Err(Refusal::new("invalid_value", message).at("item_id"));
        };
        let has = *samples / 8;
        if end > has {
            let message = format!("Audio content of {has}ms is already shorter than {end}ms");
            return Err(Refusal::new("invalid_value", message).at("audio_end_ms"));
        }
        if end == 0 {
            self.complaints
                .add("model: truncated to 0 ms; an unheard item is deleted");
        }
        *samples = end * 8;
        *transcript = None;
        self.record
            .update(|record| record.truncations.push((id.to_owned(), end)));
        self.emit(
            "conversation.item.truncated",
            json!({"item_id": id, "content_index": 0, "audio_end_ms": end}),
        );
        Ok(())
    }

    pub(super) fn delete(&mut self, event: &Map<String, Value>) -> Result<(), Refusal> {
        let id = string(event, "event", "item_id").map_err(|_| Refusal::missing("item_id"))?;
        if !self.conversation.remove(id) {
            let message = format!("Error deleting item: the item with id '{id}' does not exist.");
            return Err(Refusal::new("item_delete_invalid_item_id", message).at("item_id"));
        }
        self.record
            .update(|record| record.deletions.push(id.to_owned()));
        self.emit("conversation.item.deleted", json!({"item_id": id}));
        Ok(())
    }
}
