//! What the tests, the random stories and the fuzz targets write often.

use super::*;

pub(super) const GREETING: &str = "Hello, this is an AI assistant, calling on behalf of Ada.";

pub(super) const END_CALL: &str = r#"{"summary":"Moved to Tuesday.","outcome":"success"}"#;

pub(super) fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

pub(super) fn words<'a>(item: &'a str, text: &'a str) -> ModelEvent<'a> {
    ModelEvent::Words {
        item,
        text: text.into(),
    }
}

pub(super) fn ended(response: &str) -> ModelEvent<'_> {
    ModelEvent::ResponseEnded {
        response,
        ending: ResponseEnding::Completed,
    }
}

pub(super) fn tool<'a>(response: &'a str, name: &'a str, arguments: &'a str) -> ModelEvent<'a> {
    ModelEvent::ToolCall {
        response,
        call: "call_1",
        name,
        arguments: arguments.into(),
    }
}
