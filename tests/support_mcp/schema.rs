//! As much of JSON Schema as tools are described with. A keyword that is not known here is an error,
//! so that nothing is let pass that was not looked at.

use serde_json::{Map, Value};

/// Checks a value against a schema; says where it differs.
pub fn check(value: &Value, schema: &Value) -> Result<(), String> {
    at("$", value, schema, schema)
}

fn at(path: &str, value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    let rules = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Object(rules) => rules,
        other => return Err(format!("{path}: {other} is no schema")),
    };
    for (keyword, rule) in rules {
        let fits = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" | "x-listed" => {
                true
            }
            "$ref" => {
                let name = rule.as_str().and_then(|name| name.strip_prefix('#'));
                let target = name.and_then(|name| root.pointer(name));
                let target = target.ok_or_else(|| format!("{path}: {rule} leads nowhere"))?;
                at(path, value, target, root)?;
                true
            }
            "type" => types(rule).any(|name| is(value, name)),
            "const" => value == rule,
            "enum" => array(rule).contains(value),
            "anyOf" => matching(path, value, rule, root) > 0,
            "oneOf" => matching(path, value, rule, root) == 1,
            "minimum" => value.as_f64().is_none_or(|n| Some(n) >= rule.as_f64()),
            "maximum" => value.as_f64().is_none_or(|n| Some(n) <= rule.as_f64()),
            "required" => value.as_object().is_none_or(|object| {
                let mut names = array(rule).iter().filter_map(Value::as_str);
                names.all(|name| object.contains_key(name))
            }),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    at(&format!("{path}[{index}]"), item, rule, root)?;
                }
                true
            }
            "properties" => {
                for (name, rule) in rule.as_object().into_iter().flatten() {
                    if let Some(member) = value.get(name) {
                        at(&format!("{path}.{name}"), member, rule, root)?;
                    }
                }
                true
            }
            "additionalProperties" => *rule == Value::Bool(true) || only_known(value, rules),
            other => return Err(format!("{path}: unknown keyword {other}")),
        };
        if !fits {
            return Err(format!("{path}: {value} against {keyword}: {rule}"));
        }
    }
    Ok(())
}

fn matching(path: &str, value: &Value, rules: &Value, root: &Value) -> usize {
    let fitting = |rule: &&Value| at(path, value, rule, root).is_ok();
    array(rules).iter().filter(fitting).count()
}

fn only_known(value: &Value, rules: &Map<String, Value>) -> bool {
    let known = rules.get("properties").and_then(Value::as_object);
    value.as_object().is_none_or(|object| {
        let is_known = |name: &String| known.is_some_and(|known| known.contains_key(name));
        object.keys().all(is_known)
    })
}

/// The names that `type` allows.
pub fn types(rule: &Value) -> impl Iterator<Item = &str> {
    let one = std::slice::from_ref(rule);
    rule.as_array()
        .map_or(one, Vec::as_slice)
        .iter()
        .filter_map(Value::as_str)
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

fn array(rule: &Value) -> &[Value] {
    rule.as_array().map_or(&[], Vec::as_slice)
}
