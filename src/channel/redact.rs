//! Keeping a token out of what a provider says: Green API, for one, repeats the path of a request that
//! it refuses, and the token stands in it.

use serde_json::{Map, Value};

use crate::secret::Secret;

/// What stands in place of a token.
const HIDDEN: &str = "[hidden]";

/// Hides one token in every spelling.
pub(super) struct Redactor {
    spellings: Vec<String>,
}

impl Redactor {
    /// As the token is, as it may stand in a URL, and the secret half of a Telegram token.
    pub(super) fn new(token: &Secret) -> Self {
        let token = token.reveal();
        let mut spellings = vec![token.to_owned()];
        if let Some((_, secret)) = token.split_once(':') {
            spellings.extend(["%3A", "%3a"].map(|colon| token.replace(':', colon)));
            // Less than that would be found in harmless words.
            if secret.len() >= 8 {
                spellings.push(secret.to_owned());
            }
        }
        Self { spellings }
    }

    pub(super) fn text(&self, text: &str) -> String {
        let hide = |text: String, spelling: &String| text.replace(spelling.as_str(), HIDDEN);
        self.spellings.iter().fold(text.to_owned(), hide)
    }

    pub(super) fn object(&self, object: Map<String, Value>) -> Map<String, Value> {
        object
            .into_iter()
            .map(|(name, value)| (self.text(&name), self.value(value)))
            .collect()
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(values) => values.into_iter().map(|value| self.value(value)).collect(),
            Value::Object(object) => Value::Object(self.object(object)),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_is_hidden_in_every_spelling_and_place() {
        let redactor = Redactor::new(&Secret::new("123456:AAEhBOweik6ad9r"));
        let said = "x 123456:AAEhBOweik6ad9r 123456%3AAAEhBOweik6ad9r 123456%3aAAEhBOweik6ad9r AAEhBOweik6ad9r y";
        let hidden = redactor.text(said);
        assert_eq!(hidden, "x [hidden] [hidden] [hidden] [hidden] y");
        let object = json!({"a": [{said: said}], "b": 1});
        let hidden = redactor.object(object.as_object().cloned().unwrap());
        let hidden = Value::Object(hidden).to_string();
        assert!(
            !hidden.contains("AAEhBO") && hidden.contains("\"b\":1"),
            "{hidden}"
        );
        // The number of a bot is no secret.
        assert_eq!(redactor.text("123456"), "123456");
    }
}
