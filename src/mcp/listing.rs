//! What a host lists of a tool. Models read all of it with every request, so that every word costs.
//!
//! The types describe arguments and results in full. Of that, [`shorten`] leaves what a model needs
//! before it calls: every argument, and those fields of the result that it acts on. The other fields
//! arrive with the result all the same; [`reference`](super::reference) has them.

use std::sync::Arc;

use rmcp::model::Tool;
use serde_json::{Map, Value, json};

/// Marks a field of a result that is listed: `#[schemars(extend("x-listed" = true))]`.
pub(super) const LISTED: &str = "x-listed";

/// The tool that a call is followed with.
pub(super) const STATUS: &str = "phone_call_status";

/// These return what [`STATUS`] returns. Listing that once is enough.
pub(super) const LIKE_STATUS: [&str; 3] = [
    "phone_call_answer",
    "phone_call_hangup",
    "phone_call_instruct",
];

/// Leaves of a tool what hosts list.
pub(super) fn shorten(tool: &mut Tool) {
    let input = Arc::make_mut(&mut tool.input_schema);
    tidy(input);
    // Some hosts refuse an object without it.
    input.entry("properties").or_insert_with(|| json!({}));
    if let Some(output) = &mut tool.output_schema {
        let output = Arc::make_mut(output);
        if LIKE_STATUS.contains(&&*tool.name)
            && let Some(Value::Object(fields)) = output.get_mut("properties")
        {
            fields.clear();
        }
        select(output);
        tidy(output);
    }
}

/// Leaves the fields that are marked. What a listed field means is said where it stands, not at its
/// type.
fn select(schema: &mut Map<String, Value>) {
    for keyword in ["required", "additionalProperties", "format"] {
        schema.remove(keyword);
    }
    if is_choice(schema) {
        schema.retain(|keyword, _| keyword == "description");
        schema.insert("type".into(), json!("string"));
    }
    if let Some(Value::Object(fields)) = schema.get_mut("properties") {
        fields.retain(|_, field| field[LISTED] == json!(true));
    }
    for (is_field, part) in parts(schema) {
        if !is_field {
            part.remove("description");
        }
        select(part);
    }
}

/// Takes out what tells a model nothing: the dialect, the width of numbers, marks for formatting.
fn tidy(schema: &mut Map<String, Value>) {
    split_types(schema);
    for keyword in ["$schema", LISTED] {
        schema.remove(keyword);
    }
    if ["integer", "number"].contains(&schema.get("type").and_then(Value::as_str).unwrap_or("")) {
        schema.remove("format");
        schema.retain(|keyword, value| keyword != "minimum" || *value != json!(0));
    }
    // What is left out is false anyway.
    schema.retain(|keyword, value| keyword != "default" || *value != json!(false));
    if let Some(Value::Array(choices)) = schema.get("oneOf")
        && let Some(values) = choices
            .iter()
            .map(|one| one.get("const").cloned())
            .collect()
    {
        schema.remove("oneOf");
        schema.insert("type".into(), json!("string"));
        schema.insert("enum".into(), Value::Array(values));
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = plain(description);
    }
    for (_, part) in parts(schema) {
        tidy(part);
    }
}

/// Several types become several schemas, which more hosts can read.
fn split_types(schema: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = schema.get("type").cloned() else {
        return;
    };
    let description = schema.remove_entry("description");
    let rest = std::mem::take(schema);
    let one = |kind: Value| {
        let mut one = match kind.as_str() {
            Some("null") => Map::new(),
            _ => rest.clone(),
        };
        one.insert("type".into(), kind);
        Value::Object(one)
    };
    schema.insert("anyOf".into(), types.into_iter().map(one).collect());
    schema.extend(description);
}

/// A sentence without Markdown, line breaks and the full stop at its end.
pub(super) fn plain(description: &str) -> String {
    let line = description.replace('`', "").replace('\n', " ");
    line.strip_suffix('.').map(str::to_owned).unwrap_or(line)
}

/// One of several words.
fn is_choice(schema: &Map<String, Value>) -> bool {
    let words = |choices: &Value| {
        let mut choices = choices.as_array().into_iter().flatten();
        choices.all(|one| one.get("const").is_some())
    };
    schema.contains_key("enum") || schema.get("oneOf").is_some_and(words)
}

/// The schemas directly in a schema, and whether each is that of a named field.
fn parts(schema: &mut Map<String, Value>) -> impl Iterator<Item = (bool, &mut Map<String, Value>)> {
    schema.iter_mut().flat_map(|(keyword, value)| {
        let inner: Vec<&mut Value> = match (keyword.as_str(), value) {
            ("properties" | "$defs", Value::Object(named)) => named.values_mut().collect(),
            ("anyOf" | "oneOf", Value::Array(several)) => several.iter_mut().collect(),
            ("items", one) => vec![one],
            _ => Vec::new(),
        };
        let is_field = keyword == "properties";
        let objects = inner.into_iter().filter_map(Value::as_object_mut);
        objects.map(move |part| (is_field, part))
    })
}
