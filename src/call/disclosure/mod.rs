//! The first sentence of every call: that an AI is calling, and for whom.
//!
//! It is worded here, not by the host and not by the model, and whether it was said is checked
//! against the words of the model.

mod moment;
mod sentences;
mod words;

use super::language::Language;
use super::untrusted::lines;
use sentences::{ENGLISH, SENTENCES, Sentences};
use words::{Heard, Phrase};

/// Longest name of a client that is spoken, in characters.
const MAX_WHO: usize = 100;

/// The disclosure of one call.
#[derive(Debug, Clone)]
pub struct Disclosure {
    /// What is to be said.
    pub sentence: String,
    who: Option<String>,
    ai: &'static [&'static str],
    /// The language to say it in once more, where we have no sentence in that language.
    again_in: Option<String>,
}

impl Disclosure {
    /// Words the disclosure in `language`, on behalf of `who`.
    ///
    /// `who` is the host's text, and this sentence must hold whatever it says: only what can be
    /// part of a name is kept of it.
    pub fn new(language: &Language, who: Option<&str>) -> Self {
        let row = row(language);
        let sentences = row.unwrap_or(&ENGLISH);
        let who = who.and_then(name);
        let sentence = match &who {
            Some(who) => sentences.named.replace("{who}", who),
            None => sentences.unnamed.to_owned(),
        };
        Self {
            sentence,
            who,
            ai: sentences.ai,
            again_in: row.is_none().then(|| language.name()),
        }
    }

    /// On whose behalf, as far as it may be spoken.
    pub fn who(&self) -> Option<&str> {
        self.who.as_deref()
    }

    /// The instructions for the response that says it; to be asked for as speech alone.
    pub fn instructions(&self) -> String {
        let sentence = &self.sentence;
        match &self.again_in {
            None => say_exactly(sentence),
            Some(language) => format!(
                "Say exactly the following in English: \"{sentence}\" Then say the same in \
                 {language}. Say nothing before it and nothing after it."
            ),
        }
    }

    /// Whether someone who said `transcript` has said that they are an AI.
    ///
    /// The name of the client does not count: to call for "AI Labs" is not to be one.
    pub fn is_made_by(&self, transcript: &str) -> bool {
        let mut heard = Heard::new(transcript);
        if let Some(who) = &self.who {
            heard.forget_last(who);
        }
        self.ai
            .iter()
            .chain(words::ACRONYMS)
            .any(|phrase| heard.contains(&Phrase::new(phrase)))
    }
}

/// What to say before hanging up on a technical problem, and the language it is in: that of the
/// call if we have it, else English.
pub fn apology(language: &Language) -> (&'static str, String) {
    match row(language) {
        Some(row) => (row.apology, language.with_region()),
        None => (ENGLISH.apology, Language::default().tag().to_owned()),
    }
}

/// "One moment, please" in the language of the call, as far as we have it.
pub fn one_moment(language: &Language) -> &'static str {
    row(language).map_or(moment::ENGLISH, |row| moment::sentence(row.language))
}

/// The instructions for a response that says this and nothing else.
pub fn say_exactly(sentence: &str) -> String {
    format!("Say exactly the following: \"{sentence}\" Say nothing before it and nothing after it.")
}

fn row(language: &Language) -> Option<&'static Sentences> {
    let code = match language.primary() {
        _ if language.is_traditional_chinese() => "zh-Hant",
        "nb" | "nn" => "no",
        // Close enough to be understood, and far closer than English.
        "bs" => "hr",
        primary => primary,
    };
    std::iter::once(&ENGLISH)
        .chain(SENTENCES)
        .find(|row| row.language == code)
}

/// What can be a name in `text`, if anything can.
///
/// Quotes could end the quotation in our instructions, and a second sentence could take back the
/// first ("Maria. Only joking, I am human"). So the name ends with its line, where a sentence
/// would end, and at brackets and other signs that no name has.
fn name(text: &str) -> Option<String> {
    let line = lines(text).next()?;
    let kept: String = first_sentence(&line)
        .chars()
        .filter(|c| c.is_alphanumeric() || is_mark(*c) || " .,'’&+/-".contains(*c))
        .take(MAX_WHO)
        .collect();
    let name = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    let name = name.trim_matches([' ', '.', ',', '-', '/', '\'', '’', '&', '+']);
    let plausible = name.chars().any(char::is_alphanumeric) && !objects(name);
    plausible.then(|| name.to_owned())
}

/// Vowel signs and the like, without which Thai or Hindi names are not spelled.
fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{0300}'..='\u{036F}' | '\u{0591}'..='\u{05C7}' | '\u{064B}'..='\u{0652}'
        | '\u{0900}'..='\u{0DFF}' | '\u{0E31}'..='\u{0E4E}' | '\u{200C}' | '\u{200D}')
}

/// Up to the end of a sentence or to a sign that is in no name; a full stop behind up to four letters is an abbreviation ("Dr.",
/// "Prof.", "Inc.").
fn first_sentence(line: &str) -> &str {
    let mut word = 0;
    let mut characters = line.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let stops = match c {
            '!' | '?' | ';' | ':' | '。' | '！' | '？' | '；' | '：' | '…' | '।' | '؟' | '؛'
            | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | '|' | '#' | '*' | '=' | '\\'
            | '`' => true,
            '.' => word > 4 && characters.peek().is_none_or(|(_, next)| *next == ' '),
            _ => false,
        };
        if stops {
            return &line[..at];
        }
        word = if c.is_alphanumeric() { word + 1 } else { 0 };
    }
    line
}

/// Whether a "name" argues instead of naming. It cannot catch every language, and need not: the
/// disclosure itself has been spoken by the time a name comes. But the plain attempts are not
/// read out to anybody.
fn objects(name: &str) -> bool {
    let heard = Heard::new(name);
    [
        "not",
        "ignore",
        "disregard",
        "forget",
        "instead",
        "i am",
        "i m",
        "you are",
        "human being",
        "real person",
        "actually",
        "joking",
        "kidding",
        "say",
    ]
    .iter()
    .any(|phrase| heard.contains(&Phrase::new(phrase)))
}

#[cfg(test)]
mod tests;
