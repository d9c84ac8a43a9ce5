//! Where settings come from: flags first, then the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::ArgMatches;

use super::settings::SETTINGS;

/// The settings as they were given: trimmed, and without those that count as unset.
///
/// It holds secrets, hence no `Debug`.
#[derive(Clone, Default)]
pub struct Values {
    given: BTreeMap<&'static str, Given>,
    placeholders: Vec<&'static str>,
}

/// One setting as it was given.
#[derive(Clone)]
enum Given {
    Text(String),
    NotUtf8,
}

impl Values {
    /// Reads every setting of the table once.
    ///
    /// `lookup` answers for the environment, such as `|name| std::env::var_os(name)`. A
    /// flag wins over its variable, also with a value that means "unset": so a variable
    /// can be taken back for one run. Flags are found before and after the subcommand.
    ///
    /// An empty value, blanks, and a placeholder that the host did not expand (`${…}` and
    /// nothing else) mean "unset". Nothing fails here: what cannot be read is reported by
    /// [`Config::load`](super::Config::load), together with everything else.
    pub fn new(lookup: impl Fn(&str) -> Option<OsString>, flags: &ArgMatches) -> Self {
        let flags = flags.subcommand().map_or(flags, |(_, matches)| matches);
        let mut values = Self::default();
        for setting in SETTINGS {
            let flag = match flags.try_get_one::<String>(setting.name) {
                Ok(Some(text)) => Some(OsString::from(text)),
                // Secrets have no flag.
                Ok(None) | Err(_) => None,
            };
            if let Some(value) = flag.or_else(|| lookup(setting.name)) {
                values.insert(setting.name, value);
            }
        }
        values
    }

    /// The text of a setting, if it is set and readable.
    pub fn get(&self, name: &str) -> Option<&str> {
        match self.given.get(name)? {
            Given::Text(text) => Some(text),
            Given::NotUtf8 => None,
        }
    }

    /// The settings whose value was a placeholder that the host did not expand.
    pub fn placeholders(&self) -> &[&'static str] {
        &self.placeholders
    }

    /// The settings whose value is not valid UTF-8.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = &'static str> {
        self.given
            .iter()
            .filter(|(_, given)| matches!(given, Given::NotUtf8))
            .map(|(name, _)| *name)
    }

    /// Puts another value, or none, in the place of what was given.
    pub(crate) fn replace(&mut self, name: &'static str, value: Option<&str>) {
        match value {
            Some(text) => self.given.insert(name, Given::Text(text.to_owned())),
            None => self.given.remove(name),
        };
    }

    fn insert(&mut self, name: &'static str, value: OsString) {
        let Ok(text) = value.into_string() else {
            self.given.insert(name, Given::NotUtf8);
            return;
        };
        let text = text.trim();
        if is_placeholder(text) {
            self.placeholders.push(name);
        } else if !text.is_empty() {
            self.given.insert(name, Given::Text(text.to_owned()));
        }
    }
}

/// `${…}` and nothing else.
fn is_placeholder(text: &str) -> bool {
    text.strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|name| !name.contains(['{', '}']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::command;

    fn values(environment: &[(&str, &str)], args: &[&str]) -> Values {
        let args = std::iter::once(&"openagent-messaging").chain(args);
        let flags = command().try_get_matches_from(args).unwrap();
        let lookup = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Values::new(lookup, &flags)
    }

    #[test]
    fn blanks_and_placeholders_are_unset() {
        for unset in ["", " ", "\t\n", "${PORT}", " ${PORT} ", "${}", "${PORT:-1}"] {
            let values = values(&[("OPENAGENT_PHONE_PORT", unset)], &[]);
            assert_eq!(values.get("OPENAGENT_PHONE_PORT"), None, "{unset:?}");
        }
        for set in ["${A}${B}", "x${A}", "$A", "{A}"] {
            let values = values(&[("OPENAGENT_PHONE_MODEL", set)], &[]);
            assert_eq!(values.get("OPENAGENT_PHONE_MODEL"), Some(set));
            assert!(values.placeholders().is_empty());
        }
    }

    #[test]
    fn placeholders_are_remembered() {
        let values = values(
            &[("OPENAI_API_KEY", "${KEY}"), ("TWILIO_AUTH_TOKEN", "${T}")],
            &["--phone-db", "${DB}"],
        );
        assert_eq!(
            values.placeholders(),
            ["TWILIO_AUTH_TOKEN", "OPENAI_API_KEY", "OPENAGENT_PHONE_DB"]
        );
    }

    #[test]
    fn a_flag_wins_wherever_it_stands() {
        let environment = [("OPENAGENT_PHONE_PORT", "1")];
        for (args, expected) in [
            (&[][..], Some("1")),
            (&["--phone-port", "2"], Some("2")),
            (&["--phone-port=2", "serve"], Some("2")),
            (&["serve", "--phone-port", "2"], Some("2")),
            (&["doctor", "--sandbox", "--phone-port", "2"], Some("2")),
            (&["--phone-port", ""], None),
        ] {
            let values = values(&environment, args);
            assert_eq!(values.get("OPENAGENT_PHONE_PORT"), expected, "{args:?}");
        }
    }

    #[test]
    fn surrounding_blanks_do_not_count() {
        let values = values(&[("OPENAI_API_KEY", " sk-test\n")], &[]);
        assert_eq!(values.get("OPENAI_API_KEY"), Some("sk-test"));
    }
}
