//! Turning text into values, and collecting everything that is wrong with it.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::settings::Setting;
use super::values::Values;
use crate::phone::Prefix;
use crate::secret::Secret;

/// How much of a rejected value an error repeats, in characters.
const SHOWN_CHARS: usize = 80;
/// From this length on, a word of letters and digits may be a credential in the wrong
/// place, and an error shows its beginning only.
const CREDENTIAL_CHARS: usize = 20;
/// The most dollars a daily cap may name; more is a typing slip.
const MAX_USD: u64 = 1_000_000;

/// Everything that is wrong with the configuration, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// The single problems, in the order of reading.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One setting that cannot be used. It never holds the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The variable.
    pub name: &'static str,
    /// What is wrong with it; the value, unless it is secret.
    pub fault: String,
    /// What would be accepted.
    pub accepted: String,
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; give {}", self.name, self.fault, self.accepted)
    }
}

/// A value that could not be read. The problem itself is in the [`Reader`], so that
/// reading goes on and all problems are told at once. Nothing else makes one.
#[derive(Debug)]
pub(super) struct Reported(());

/// Reads settings one by one and keeps what is wrong with them.
pub(super) struct Reader<'a> {
    values: &'a Values,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(values: &'a Values) -> Self {
        let problems = values
            .unreadable()
            .map(|name| Problem {
                name,
                fault: "its value is not valid UTF-8".to_owned(),
                accepted: "plain text".to_owned(),
            })
            .collect();
        Self { values, problems }
    }

    /// What was read, if nothing was wrong anywhere.
    pub(super) fn finish<T>(self, read: Result<T, Reported>) -> Result<T, ConfigError> {
        match read {
            Ok(value) if self.problems.is_empty() => Ok(value),
            _ => Err(ConfigError {
                problems: self.problems,
            }),
        }
    }

    /// Records a problem that concerns more than one value.
    pub(super) fn report(&mut self, name: &'static str, fault: &str, accepted: &str) -> Reported {
        self.problems.push(Problem {
            name,
            fault: fault.to_owned(),
            accepted: accepted.to_owned(),
        });
        Reported(())
    }

    /// Records a value that is not accepted.
    fn reject(&mut self, name: &'static str, value: &str, accepted: &str) -> Reported {
        let fault = if Setting::find(name).is_none_or(|setting| setting.secret) {
            "its value (secret, not shown) is not accepted".to_owned()
        } else {
            format!("{:?} is not accepted", shown(value))
        };
        self.report(name, &fault, accepted)
    }

    /// What was given, else the default of the table.
    fn text(&self, name: &str) -> Option<&'a str> {
        self.values.get(name).or_else(|| {
            let default = Setting::find(name)?.default;
            (!default.is_empty()).then_some(default)
        })
    }

    /// A setting that may be absent. `parse` answers with what would be accepted instead.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Reported> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match parse(text) {
            Ok(value) => Ok(Some(value)),
            Err(accepted) => Err(self.reject(name, text, &accepted)),
        }
    }

    /// A setting that has a default.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Reported> {
        match self.optional(name, parse)? {
            Some(value) => Ok(value),
            None => Err(self.report(name, "it is not set", "a value")),
        }
    }

    /// A whole number within a range.
    pub(super) fn number<T: FromStr + PartialOrd + Display>(
        &mut self,
        name: &'static str,
        range: RangeInclusive<T>,
    ) -> Result<T, Reported> {
        self.required(name, |text| {
            let number = text.parse().ok().filter(|number| range.contains(number));
            number
                .ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// A time span given in whole seconds.
    pub(super) fn seconds(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<Duration, Reported> {
        self.number(name, range).map(Duration::from_secs)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: [(&str, T); 2],
    ) -> Result<T, Reported> {
        self.required(name, |text| {
            let found = choices.iter().find(|(word, _)| *word == text);
            found
                .map(|(_, value)| *value)
                .ok_or_else(|| format!("{} or {}", choices[0].0, choices[1].0))
        })
    }

    /// A credential, for a header or a key.
    pub(super) fn secret(&mut self, name: &'static str) -> Result<Option<Secret>, Reported> {
        self.optional(name, |text| {
            if text.bytes().all(|b| b.is_ascii_graphic()) {
                Ok(Secret::new(text))
            } else {
                Err("the credential alone, in ASCII and without spaces".to_owned())
            }
        })
    }

    /// A credential that becomes part of a URL's path, which it must not break out of.
    pub(super) fn path_secret(&mut self, name: &'static str) -> Result<Option<Secret>, Reported> {
        self.optional(name, |text| {
            if is_word(text) {
                Ok(Secret::new(text))
            } else {
                Err("the token alone: letters, digits and : . _ - only".to_owned())
            }
        })
    }

    /// A comma-separated list of number prefixes; every wrong entry is a problem.
    pub(super) fn prefixes(&mut self, name: &'static str) -> Result<Vec<Prefix>, Reported> {
        let mut prefixes = Vec::new();
        let mut failed = None;
        for entry in self.text(name).unwrap_or_default().split(',') {
            // A comma too many harms nobody.
            let entry = entry.trim();
            if entry.is_empty() {
                continue;
            }
            if let Ok(prefix) = Prefix::parse(entry) {
                prefixes.push(prefix);
            } else {
                let accepted = "prefixes of + and 1 to 15 digits, the first not 0, separated by \
                                commas, such as +39,+1415";
                failed = Some(self.reject(name, entry, accepted));
            }
        }
        failed.map_or(Ok(prefixes), Err)
    }

    /// The path of a file. Nothing is looked up here.
    pub(super) fn path(&mut self, name: &'static str) -> Result<Option<PathBuf>, Reported> {
        self.optional(name, |text| {
            if text.starts_with('~') {
                Err("a path without ~, which only a shell expands".to_owned())
            } else {
                Ok(PathBuf::from(text))
            }
        })
    }

    /// An amount of money, in millionths of a US dollar.
    pub(super) fn micro_usd(&mut self, name: &'static str) -> Result<Option<u64>, Reported> {
        self.optional(name, |text| {
            parse_micro_usd(text).ok_or_else(|| {
                format!("US dollars from 0 to {MAX_USD} as a plain number, such as 5 or 2.50")
            })
        })
    }
}

/// Letters, digits and the few signs that names of voices, models and tokens have.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b":._-".contains(&b))
}

/// Decimal dollars without the rounding of floating point; at most six decimals.
fn parse_micro_usd(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let micros: u64 = format!("{decimals:0<6}").parse().ok()?;
    let sum = whole.checked_mul(1_000_000)?.checked_add(micros)?;
    (sum <= MAX_USD * 1_000_000).then_some(sum)
}

/// As much of a rejected value as an error may show: whole, unless it is long or could
/// carry a credential that was put into the wrong variable or into a URL.
fn shown(value: &str) -> String {
    if let Some((scheme, rest)) = value.split_once("://") {
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let rest = rest.rsplit('@').next().unwrap_or_default();
        let cut = scheme.len() + "://".len() + rest.len() < value.len();
        let gap = if cut { "…" } else { "" };
        return clipped(&format!("{scheme}://{rest}{gap}"), SHOWN_CHARS);
    }
    // Not a whole class of settings is left out, only what looks like a key: an address
    // has few letters and digits in a row.
    let longest = value
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .map(str::len)
        .max()
        .unwrap_or_default();
    if longest >= CREDENTIAL_CHARS {
        let length = value.chars().count();
        return format!("{} ({length} characters)", clipped(value, 4));
    }
    clipped(value, SHOWN_CHARS)
}

fn clipped(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_exactly() {
        for (text, micros) in [
            ("0", Some(0)),
            ("5", Some(5_000_000)),
            ("2.5", Some(2_500_000)),
            ("2.50", Some(2_500_000)),
            ("0.000001", Some(1)),
            ("1000000", Some(1_000_000_000_000)),
            ("1000000.000001", None),
            ("0.0000001", None),
            ("99999999999999999999", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("-1", None),
            ("+1", None),
            ("$5", None),
            ("5 USD", None),
            ("1e3", None),
            ("1,5", None),
            ("NaN", None),
        ] {
            assert_eq!(parse_micro_usd(text), micros, "{text:?}");
        }
    }

    #[test]
    fn what_looks_like_a_credential_is_not_shown_whole() {
        for (value, expected) in [
            ("70000", "70000"),
            ("five minutes", "five minutes"),
            ("sk-proj-0123456789abcdef", "sk-p… (24 characters)"),
            (
                "123456:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc",
                "1234… (42 characters)",
            ),
            (
                "https://u:p@host.example/x?key=k",
                "https://host.example/x…",
            ),
            ("https://host.example/x", "https://host.example/x"),
            ("ftp://host.example", "ftp://host.example"),
        ] {
            assert_eq!(shown(value), expected);
        }
        assert_eq!(shown(&"a b ".repeat(100)).chars().count(), SHOWN_CHARS + 1);
    }
}
