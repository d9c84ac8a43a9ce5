//! Finding words in a transcript, whatever its spelling: case, punctuation and accents are up to
//! whoever wrote it down.

/// Abbreviations that mean one thing in every language, as long as they are capitals or have
/// dots: "ai" alone is a word in Italian, French, Portuguese, Romanian, Finnish and Vietnamese.
pub(super) const ACRONYMS: &[&str] = &["AI", "a.i", "i.a"];

/// A phrase to look for.
///
/// In the tables, a `*` at an end means that the phrase may be part of a longer word there, for
/// inflected endings, attached articles, and scripts without spaces. A phrase with capitals is
/// looked for as it is written, all others regardless of case and accents.
pub(super) struct Phrase {
    text: String,
    as_written: bool,
    open_start: bool,
    open_end: bool,
}

impl Phrase {
    pub(super) fn new(pattern: &str) -> Self {
        let text = pattern.trim_matches('*');
        let as_written = text.chars().any(char::is_uppercase);
        let spaced = spaced(text);
        Self {
            text: if as_written { spaced } else { folded(&spaced) },
            as_written,
            open_start: pattern.starts_with('*'),
            open_end: pattern.ends_with('*'),
        }
    }
}

/// A transcript, made ready to be searched.
pub(super) struct Heard {
    written: String,
    folded: String,
}

impl Heard {
    pub(super) fn new(transcript: &str) -> Self {
        let written = spaced(transcript);
        let folded = folded(&written);
        Self { written, folded }
    }

    pub(super) fn contains(&self, phrase: &Phrase) -> bool {
        let text = if phrase.as_written {
            &self.written
        } else {
            &self.folded
        };
        text.match_indices(&phrase.text)
            .any(|(at, found)| fits(text, at, found, phrase.open_start, phrase.open_end))
    }

    /// Takes out the last mention of `name`. The last, because the disclosure ends with the name,
    /// and a client called "AI" must not take the AI out of it.
    pub(super) fn forget_last(&mut self, name: &str) {
        let name = spaced(name);
        forget(&mut self.written, &name);
        forget(&mut self.folded, &folded(&name));
    }
}

fn forget(text: &mut String, name: &str) {
    // Scripts without spaces have no ends of words to look for.
    let open = name.chars().next().is_some_and(|c| !is_latin(c));
    let last = text
        .rmatch_indices(name)
        .find(|(at, found)| !found.is_empty() && fits(text, *at, found, open, open));
    if let Some((at, found)) = last {
        let end = at + found.len();
        // A bar is no letter: the words on both sides do not become neighbours.
        text.replace_range(at..end, "|");
    }
}

/// Whether the words end where the match does. A letter of another alphabet is no continuation:
/// in "AIアシスタント", "AI" is a word.
fn fits(text: &str, at: usize, found: &str, open_start: bool, open_end: bool) -> bool {
    let joined = |outside: Option<char>, inside: Option<char>| match (outside, inside) {
        (Some(outside), Some(inside)) => {
            outside.is_alphanumeric() && is_latin(outside) == is_latin(inside)
        }
        _ => false,
    };
    let before = text[..at].chars().next_back();
    let after = text[at + found.len()..].chars().next();
    (open_start || !joined(before, found.chars().next()))
        && (open_end || !joined(after, found.chars().next_back()))
}

fn is_latin(c: char) -> bool {
    c < '\u{0250}' || ('\u{1E00}'..='\u{1EFF}').contains(&c)
}

/// Words with one blank between them, and no punctuation but the dots of initials: "A.I." is
/// "A.I". Combining marks, which some writers use where others have one character, are dropped.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().filter(|c| !is_combining(*c)).peekable();
    let mut letters_in_word = 0;
    while let Some(c) = characters.next() {
        if c.is_alphanumeric() {
            out.push(c);
            letters_in_word += 1;
            continue;
        }
        let next_is_letter = characters.peek().is_some_and(|next| next.is_alphabetic());
        if c == '.' && letters_in_word == 1 && next_is_letter {
            out.push('.');
        } else if !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
        letters_in_word = 0;
    }
    out.truncate(out.trim_end().len());
    out
}

/// Accents, Hebrew and Arabic vowel points.
fn is_combining(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036F}' | '\u{0591}'..='\u{05C7}' | '\u{064B}'..='\u{0652}')
}

/// Lower case, without accents.
fn folded(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .filter(|c| !is_combining(*c))
        .map(plain)
        .collect()
}

/// The letter under the accents, for precomposed Latin (Unicode blocks Latin-1 to Extended-A, and
/// Vietnamese, all in alphabetical order), Greek, Cyrillic, and the variants of Arabic letters.
fn plain(c: char) -> char {
    match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' | '\u{1EA0}'..='\u{1EB7}' => 'a',
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => 'c',
        'ď' | 'đ' => 'd',
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | '\u{1EB8}'..='\u{1EC7}' => 'e',
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | '\u{1EC8}'..='\u{1ECB}' => 'i',
        'ķ' => 'k',
        'ĺ' | 'ļ' | 'ľ' | 'ł' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'ơ' | '\u{1ECC}'..='\u{1EE3}' => 'o',
        'ŕ' | 'ŗ' | 'ř' => 'r',
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => 's',
        'ţ' | 'ť' | 'ț' => 't',
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'ư' | '\u{1EE4}'..='\u{1EF1}' => {
            'u'
        }
        'ý' | 'ÿ' | '\u{1EF2}'..='\u{1EF9}' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        'ά' => 'α',
        'έ' => 'ε',
        'ή' => 'η',
        'ί' | 'ϊ' | 'ΐ' => 'ι',
        'ό' => 'ο',
        'ύ' | 'ϋ' | 'ΰ' => 'υ',
        'ώ' => 'ω',
        'ς' => 'σ',
        'ё' => 'е',
        'й' => 'и',
        'ї' => 'і',
        'أ' | 'إ' | 'آ' => 'ا',
        'ي' | 'ى' => 'ی',
        'ك' => 'ک',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(transcript: &str, pattern: &str) -> bool {
        Heard::new(transcript).contains(&Phrase::new(pattern))
    }

    #[test]
    fn spelling_does_not_matter() {
        for (transcript, pattern) in [
            ("This is an AI.", "ai"),
            ("this is an a.i. assistant", "a.i"),
            ("An A.I.", "a.i"),
            ("AI-assistent", "ai"),
            ("«Inteligência  ARTIFICIAL», sim", "inteligência artificial"),
            ("inteligencia artificial", "inteligência artificial"),
            ("YAPAY ZEKÂ ASİSTANI", "yapay zekâ*"),
            ("TRÍ TUỆ NHÂN TẠO", "trí tuệ nhân tạo"),
            (
                "tri\u{0301} tue\u{0323}\u{0302} nha\u{0302}n ta\u{0323}o",
                "trí tuệ nhân tạo",
            ),
            ("ΤΕΧΝΗΤΉΣ ΝΟΗΜΟΣΎΝΗΣ", "τεχνητής νοημοσύνης"),
            ("بالذكاء الإصطناعي", "*ذكاء الاصطناعي"),
            ("AIアシスタント", "ai"),
            ("저는 AI입니다", "AI"),
        ] {
            assert!(heard(transcript, pattern), "{pattern} in {transcript}");
        }
    }

    #[test]
    fn words_are_whole_unless_they_may_be_longer() {
        for (transcript, pattern) in [
            ("I said it again in Dubai.", "ai"),
            ("Parlo ai clienti", "AI"),
            ("tekoälyavustaja", "tekoäly"),
            ("Alpha. In a.", "a.i"),
            ("e a i", "ai"),
        ] {
            assert!(!heard(transcript, pattern), "{pattern} in {transcript}");
        }
        assert!(heard("tekoälyavustaja", "tekoäly*"));
    }

    #[test]
    fn a_name_is_forgotten_once() {
        let mut text = Heard::new("an AI for AI Labs, AI");
        text.forget_last("AI Labs");
        assert_eq!(text.folded, "an ai for | ai");
        text.forget_last("");
        text.forget_last("a");
        assert_eq!(text.written, "an AI for | AI");
    }
}
