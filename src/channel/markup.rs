//! Where a formatted Telegram text may be split, and how much of it is shown.
//!
//! Telegram counts what is left after it has read the formatting (Bot API, "Formatting options"),
//! and formatting cannot go on from one message to the next. So tags, escapes and addresses of links
//! count nothing, and a message may only end where no formatting is open. Signs such as `*` are
//! counted although they are not shown: rather a message too short than one that is refused.

use super::split::{Glyph, Unit, joins};

/// How a Telegram text is formatted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseMode {
    /// `MarkdownV2`.
    MarkdownV2,
    /// `HTML`.
    Html,
    /// `Markdown`, the older and poorer form.
    Markdown,
}

impl ParseMode {
    /// As Telegram calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MarkdownV2 => "MarkdownV2",
            Self::Html => "HTML",
            Self::Markdown => "Markdown",
        }
    }
}

/// The glyphs of a formatted text.
pub(super) fn glyphs(text: &str, mode: ParseMode) -> Vec<Glyph> {
    match mode {
        ParseMode::Html => html(text),
        ParseMode::MarkdownV2 => markdown(text, true),
        ParseMode::Markdown => markdown(text, false),
    }
}

/// Longer than any character reference, such as `&quot;` or `&#128512;`.
const LONGEST_REFERENCE: usize = 12;

fn html(text: &str) -> Vec<Glyph> {
    let mut glyphs = Vec::new();
    let mut open = 0_usize;
    // What is being read goes on up to here.
    let mut hidden_until = 0;
    let last_end = text.rfind('>').unwrap_or_default();
    for (at, is) in text.char_indices() {
        if at < hidden_until {
            glyphs.push(hidden(at, is));
            continue;
        }
        let rest = &text[at..];
        let mut glyph = shown(at, is, open == 0);
        match is {
            '<' if at < last_end => {
                if let Some(end) = rest.find('>') {
                    hidden_until = at + end + 1;
                    glyph.width = 0;
                    if rest.starts_with("</") {
                        open = open.saturating_sub(1);
                        glyph.cut = false;
                    } else {
                        open += 1;
                    }
                }
            }
            '&' => {
                if let Some(length) = reference(rest) {
                    hidden_until = at + length;
                    // It may stand for an emoji.
                    glyph.width = 2;
                }
            }
            _ => {}
        }
        glyphs.push(glyph);
    }
    glyphs
}

/// The bytes of the character reference at the beginning of `text`.
fn reference(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().take(LONGEST_REFERENCE);
    let end = bytes.position(|byte| byte == b';')?;
    let name = &text[1..end];
    let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'#');
    named.then_some(end + 1)
}

/// The signs that open and close formatting, longer ones first.
const SIGNS_V2: &[&str] = &["__", "||", "_", "*", "~"];
const SIGNS_V1: &[&str] = &["_", "*"];

fn markdown(text: &str, v2: bool) -> Vec<Glyph> {
    let signs = if v2 { SIGNS_V2 } else { SIGNS_V1 };
    let mut glyphs = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    let (mut code, mut link) = (None::<&str>, false);
    // What follows belongs to a sign, or is an address or an escaped character.
    let (mut sign_until, mut hidden_until, mut escaped) = (0, 0, false);
    for (at, is) in text.char_indices() {
        let rest = &text[at..];
        if at < hidden_until {
            glyphs.push(hidden(at, is));
            continue;
        }
        let free = open.is_empty() && code.is_none() && !link;
        let mut glyph = shown(at, is, free && at >= sign_until && !escaped);
        if escaped || at < sign_until {
            escaped = false;
        } else if is == '\\' && rest[1..].starts_with(|c: char| c.is_ascii_punctuation()) {
            glyph.width = 0;
            escaped = true;
        } else if let Some(fence) = code {
            if rest.starts_with(fence) {
                sign_until = at + fence.len();
                code = None;
            }
        } else if rest.starts_with("```") {
            code = Some("```");
            sign_until = at + 3;
        } else if is == '`' {
            code = Some("`");
        } else if is == '[' {
            link = true;
        } else if link && is == ']' {
            link = false;
            if rest[1..].starts_with('(') {
                hidden_until = at + rest.find(')').map_or(rest.len(), |end| end + 1);
            }
        } else if let Some(sign) = signs.iter().find(|sign| rest.starts_with(**sign)) {
            sign_until = at + sign.len();
            if let Some(index) = open.iter().position(|known| known == sign) {
                open.remove(index);
            } else {
                open.push(sign);
            }
        }
        glyphs.push(glyph);
    }
    glyphs
}

fn shown(at: usize, is: char, cut: bool) -> Glyph {
    Glyph {
        at,
        is,
        width: Unit::Utf16.of(is),
        cut: cut && !joins(is),
    }
}

fn hidden(at: usize, is: char) -> Glyph {
    Glyph {
        at,
        is,
        width: 0,
        cut: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::split::{NoPlace, at};
    use super::*;
    use proptest::prelude::*;

    fn width(text: &str, mode: ParseMode) -> usize {
        glyphs(text, mode).iter().map(|glyph| glyph.width).sum()
    }

    fn split(text: &str, mode: ParseMode, limit: usize) -> Result<Vec<&str>, NoPlace> {
        at(text, &glyphs(text, mode), limit)
    }

    #[test]
    fn what_is_not_shown_does_not_count() {
        use ParseMode::{Html, Markdown, MarkdownV2};
        for (text, mode, expected) in [
            ("<b>ab</b>", Html, 2),
            ("<a href=\"https://example.com/?a=1&amp;b\">x</a>", Html, 1),
            ("a &lt; b", Html, 6),
            ("a & b; c", Html, 8),
            ("a < b", Html, 5),
            (r"1\.5\!", MarkdownV2, 4),
            ("[here](https://example.com/a)", MarkdownV2, 6),
            ("[here](https://example.com/a)", Markdown, 6),
            ("*b*", MarkdownV2, 3),
            ("👍", MarkdownV2, 2),
        ] {
            assert_eq!(width(text, mode), expected, "{text}");
        }
    }

    #[test]
    fn formatting_is_never_torn() {
        use ParseMode::{Html, Markdown, MarkdownV2};
        for (text, mode, parts) in [
            (
                "one <b>two three</b> four",
                Html,
                &["one", "<b>two three</b>", "four"][..],
            ),
            (
                "one two <i>three <b>four</b></i>",
                Html,
                &["one two", "<i>three <b>four</b></i>"],
            ),
            (
                "one *two three* four",
                MarkdownV2,
                &["one", "*two three*", "four"],
            ),
            (
                "one __two three_ _x__ y",
                MarkdownV2,
                &["one", "__two three_ _x__", "y"],
            ),
            (
                "one `two * three` four",
                MarkdownV2,
                &["one", "`two * three`", "four"],
            ),
            (
                r"one\* two\_ three four",
                MarkdownV2,
                &[r"one\* two\_", "three four"],
            ),
            (
                "one [two three](http://a.b/c d) four",
                Markdown,
                &["one", "[two three](http://a.b/c d)", "four"],
            ),
            (
                "one _two three_ four",
                Markdown,
                &["one", "_two three_", "four"],
            ),
        ] {
            let limit = match mode {
                Html => 12,
                _ if text.contains("__") => 17,
                _ => 13,
            };
            assert_eq!(split(text, mode, limit).unwrap(), parts, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_but_white_space_is_lost(text in "[ab .\n👍*_~|`<>/&;\\\\()\\[\\]]{0,200}", limit in 2_usize..60) {
            for mode in [ParseMode::Html, ParseMode::MarkdownV2, ParseMode::Markdown] {
                let all = glyphs(&text, mode);
                let Ok(parts) = at(&text, &all, limit) else {
                    continue;
                };
                let solid = |text: &str| text.split_whitespace().collect::<String>();
                prop_assert_eq!(solid(&parts.concat()), solid(&text));
                for part in parts {
                    let begin = part.as_ptr() as usize - text.as_ptr() as usize;
                    let own = begin..begin + part.len();
                    let own = all.iter().filter(|glyph| own.contains(&glyph.at));
                    prop_assert!(own.map(|glyph| glyph.width).sum::<usize>() <= limit);
                }
            }
        }
    }

    #[test]
    fn formatting_that_fills_a_message_cannot_be_split() {
        for (text, mode) in [
            ("<b>one two three four</b>", ParseMode::Html),
            ("*one two three four*", ParseMode::MarkdownV2),
            ("```\none two three four\n```", ParseMode::Markdown),
        ] {
            assert_eq!(split(text, mode, 10), Err(NoPlace), "{text}");
        }
    }
}
