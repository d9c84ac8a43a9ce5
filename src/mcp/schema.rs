//! Schemas as hosts want them.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool};
use serde_json::{Value, json};

/// Writes a tool's schemas so that every host can read them; they mean what they meant.
pub(super) fn plain(tool: &mut Tool) {
    let schemas = [Some(&mut tool.input_schema), tool.output_schema.as_mut()];
    for schema in schemas.into_iter().flatten() {
        simplify(Arc::make_mut(schema));
    }
}

fn simplify(schema: &mut JsonObject) {
    drop_format_of_numbers(schema);
    split_types(schema);
    schema.values_mut().for_each(simplify_value);
}

fn simplify_value(value: &mut Value) {
    match value {
        Value::Object(object) => simplify(object),
        Value::Array(values) => values.iter_mut().for_each(simplify_value),
        _ => {}
    }
}

/// `uint64` and its like are Rust's own: JSON Schema has no formats for numbers, and the official
/// TypeScript client writes a line into its host's log for each that it does not know.
fn drop_format_of_numbers(schema: &mut JsonObject) {
    let is_text = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|name| name == "string"),
        Some(name) => name == "string",
        None => false,
    };
    if !is_text && schema.get("format").is_some_and(Value::is_string) {
        schema.remove("format");
    }
}

/// Something or null, as two branches: hosts that know one type a schema refuse a list of them.
fn split_types(schema: &mut JsonObject) {
    let Some([some, null]) = schema
        .get("type")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    else {
        return;
    };
    if null != "null" || schema.contains_key("anyOf") {
        return;
    }
    let some = some.clone();
    let is_about = |key: &str| matches!(key, "title" | "description" | "default" | "type");
    let (about, mut limits): (JsonObject, JsonObject) = std::mem::take(schema)
        .into_iter()
        .partition(|(key, _)| is_about(key));
    limits.insert("type".to_owned(), some);
    *schema = about;
    schema.remove("type");
    schema.insert("anyOf".to_owned(), json!([limits, {"type": "null"}]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_format_and_nothing_has_two_types() {
        let mut schema = json!({
            "type": "object",
            "properties": {
                "count": {"type": "integer", "format": "uint64", "minimum": 0},
                "price": {
                    "description": "In USD.", "type": ["number", "null"], "format": "double",
                },
                "when": {"type": ["string", "null"], "format": "date-time"},
                "name": {"type": "string", "format": "uri"},
                "format": {"anyOf": [{"type": "integer", "format": "int32"}]},
            },
            "$defs": {"Latency": {"properties": {"turns": {"type": "integer", "format": "uint"}}}},
        });
        simplify_value(&mut schema);
        let expected = json!({
            "type": "object",
            "properties": {
                "count": {"type": "integer", "minimum": 0},
                "price": {"description": "In USD.", "anyOf": [{"type": "number"}, {"type": "null"}]},
                "when": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
                "name": {"type": "string", "format": "uri"},
                "format": {"anyOf": [{"type": "integer"}]},
            },
            "$defs": {"Latency": {"properties": {"turns": {"type": "integer"}}}},
        });
        assert_eq!(schema, expected);
    }
}
