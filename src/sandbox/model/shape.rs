//! Refusals of the Realtime service, and checks of JSON that is sent to it.

use serde_json::{Map, Value};

/// The inner part of an `error` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// `None` is sent as null.
    pub(crate) code: Option<&'static str>,
    pub(crate) message: String,
    pub(crate) param: Option<String>,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: Some(code),
            message: message.into(),
            param: None,
        }
    }

    pub(crate) fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn unknown(path: &str) -> Self {
        Self::new("unknown_parameter", format!("Unknown parameter: '{path}'.")).at(path)
    }

    pub(crate) fn missing(path: &str) -> Self {
        let message = format!("Missing required parameter: '{path}'.");
        Self::new("missing_required_parameter", message).at(path)
    }

    pub(crate) fn value(path: &str, value: &Value) -> Self {
        Self::new(
            "invalid_value",
            format!("Invalid value: {value} for '{path}'."),
        )
        .at(path)
    }

    pub(crate) fn wrong_type(path: &str, expected: &str) -> Self {
        let message = format!("Invalid type for '{path}': expected {expected}.");
        Self::new("invalid_type", message).at(path)
    }
}

/// `value` as an object with no keys but `allowed`.
pub(crate) fn object<'a>(
    value: &'a Value,
    path: &str,
    allowed: &[&str],
) -> Result<&'a Map<String, Value>, Refusal> {
    let map = value
        .as_object()
        .ok_or_else(|| Refusal::wrong_type(path, "an object"))?;
    match map.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(Refusal::unknown(&format!("{path}.{key}"))),
        None => Ok(map),
    }
}

/// A string that must be there.
pub(crate) fn string<'a>(
    map: &'a Map<String, Value>,
    path: &str,
    key: &str,
) -> Result<&'a str, Refusal> {
    let path = || format!("{path}.{key}");
    let value = map.get(key).ok_or_else(|| Refusal::missing(&path()))?;
    value
        .as_str()
        .ok_or_else(|| Refusal::wrong_type(&path(), "a string"))
}

/// A string that must be there and be one of `allowed`.
pub(crate) fn choice<'a>(
    map: &'a Map<String, Value>,
    path: &str,
    key: &str,
    allowed: &[&str],
) -> Result<&'a str, Refusal> {
    let chosen = string(map, path, key)?;
    if !allowed.contains(&chosen) {
        return Err(Refusal::value(&format!("{path}.{key}"), &map[key]));
    }
    Ok(chosen)
}

/// A number in `range`, if it is there.
pub(crate) fn number(
    map: &Map<String, Value>,
    path: &str,
    key: &str,
    range: std::ops::RangeInclusive<f64>,
) -> Result<(), Refusal> {
    let Some(value) = map.get(key) else {
        return Ok(());
    };
    let path = format!("{path}.{key}");
    let number = value
        .as_f64()
        .ok_or_else(|| Refusal::wrong_type(&path, "a number"))?;
    if range.contains(&number) {
        Ok(())
    } else {
        Err(Refusal::value(&path, value))
    }
}

/// A boolean, if it is there.
pub(crate) fn boolean(map: &Map<String, Value>, path: &str, key: &str) -> Result<(), Refusal> {
    match map.get(key) {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(_) => Err(Refusal::wrong_type(&format!("{path}.{key}"), "a boolean")),
    }
}
