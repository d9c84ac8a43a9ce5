//! Text that is longer than one message becomes several, cut where a reader would pause.
//!
//! A text is looked at as a row of [`Glyph`]s: how much each character counts towards the
//! provider's limit, and whether a message may end before it. Plain text may be cut almost anywhere;
//! [`super::markup`] forbids it within formatting.

/// What a provider counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Units of UTF-16, so that most emoji count twice.
    Utf16,
    /// Unicode characters.
    Characters,
}

impl Unit {
    /// How much a character counts.
    pub(super) fn of(self, c: char) -> usize {
        match self {
            Self::Utf16 => c.len_utf16(),
            Self::Characters => 1,
        }
    }

    /// How much a text counts.
    pub(super) fn count(self, text: &str) -> usize {
        text.chars().map(|c| self.of(c)).sum()
    }
}

/// A character of a text that may have to be split.
#[derive(Debug, Clone, Copy)]
pub(super) struct Glyph {
    /// Where it stands, in bytes.
    pub(super) at: usize,
    /// The character itself.
    pub(super) is: char,
    /// What it counts towards the limit; nothing if it is never shown.
    pub(super) width: usize,
    /// A message may end before it.
    pub(super) cut: bool,
}

/// There is no place where the text may be cut.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoPlace;

/// Splits plain text into parts of at most `limit`. A block of code between lines of three
/// backquotes stays whole if it can.
pub(super) fn plain(text: &str, unit: Unit, limit: usize) -> Vec<&str> {
    if unit.count(text) <= limit {
        return vec![text];
    }
    let mut glyphs = glyphs(text, unit);
    let anywhere = glyphs.clone();
    keep_code_whole(text, &mut glyphs);
    at(text, &glyphs, limit)
        .or_else(|NoPlace| at(text, &anywhere, limit))
        // Not even one character fits: then nobody can help.
        .unwrap_or_else(|NoPlace| vec![text])
}

fn glyphs(text: &str, unit: Unit) -> Vec<Glyph> {
    let mut before = None;
    text.char_indices()
        .map(|(at, is)| {
            let cut = !joins(is) && before != Some(JOINER);
            before = Some(is);
            Glyph {
                at,
                is,
                width: unit.of(is),
                cut,
            }
        })
        .collect()
}

/// Makes one emoji of several.
const JOINER: char = '\u{200d}';

/// Belongs to the character before it: accents, variations, skin tones, joiners.
pub(super) fn joins(c: char) -> bool {
    matches!(
        c,
        '\u{0300}'..='\u{036f}'
            | '\u{20d0}'..='\u{20ff}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{1f3fb}'..='\u{1f3ff}'
            | JOINER
    )
}

fn keep_code_whole(text: &str, glyphs: &mut [Glyph]) {
    let mut inside = false;
    let mut fence_ends = 0;
    for glyph in glyphs {
        if glyph.at < fence_ends {
            glyph.cut = false;
        } else if text[glyph.at..].starts_with("```") {
            // Before an opening fence is a good place, before a closing one is none.
            glyph.cut &= !inside;
            inside = !inside;
            fence_ends = glyph.at + 3;
        } else {
            glyph.cut &= !inside;
        }
    }
}

/// How good a place for the end of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    InAWord,
    Space,
    Sentence,
    Line,
    Paragraph,
}

/// Splits a text into parts of at most `limit`, only where its glyphs allow it. White space at the
/// seams is dropped, the indentation of a line is not.
pub(super) fn at<'a>(
    text: &'a str,
    glyphs: &[Glyph],
    limit: usize,
) -> Result<Vec<&'a str>, NoPlace> {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < glyphs.len() {
        let end = start + end(&glyphs[start..], limit)?;
        let stop = glyphs.get(end).map_or(text.len(), |glyph| glyph.at);
        let part = text[glyphs[start].at..stop].trim_end();
        if !part.is_empty() {
            parts.push(part);
        }
        start = end + seam(&glyphs[start..end], &glyphs[end..]);
    }
    Ok(parts)
}

/// How many glyphs the next message takes.
fn end(glyphs: &[Glyph], limit: usize) -> Result<usize, NoPlace> {
    let mut width = 0;
    let mut best = None;
    for (index, glyph) in glyphs.iter().enumerate() {
        if index > 0 && glyph.cut {
            // A good place near the beginning would only make many short messages.
            let place = place(glyphs, index);
            let candidate = (width * 2 >= limit, place, index);
            let is_better = |(late, kind, _): (bool, Place, usize)| match (late, candidate.0) {
                // Anything but the middle of a word is better than that, however early.
                (false, true) => place > Place::InAWord || kind == Place::InAWord,
                _ => place >= kind,
            };
            if best.is_none_or(is_better) {
                best = Some(candidate);
            }
        }
        width += glyph.width;
        if width > limit {
            return best.map(|(_, _, index)| index).ok_or(NoPlace);
        }
    }
    Ok(glyphs.len())
}

fn place(glyphs: &[Glyph], index: usize) -> Place {
    let is = |index: usize| glyphs.get(index).map(|glyph| glyph.is);
    let (before, here) = (index.checked_sub(1).and_then(is), is(index));
    let earlier = index.checked_sub(2).and_then(is);
    match (before, here) {
        (Some('\n'), _) if earlier == Some('\n') => Place::Paragraph,
        (_, Some('\n')) if is(index + 1) == Some('\n') => Place::Paragraph,
        (Some('\n'), _) | (_, Some('\n')) => Place::Line,
        (Some('.' | '!' | '?' | '…'), Some(c)) if c.is_whitespace() => Place::Sentence,
        (Some('。' | '！' | '？'), _) => Place::Sentence,
        (Some(c), _) | (_, Some(c)) if c.is_whitespace() => Place::Space,
        (_, Some(c)) if c.is_whitespace() => Place::Space,
        _ => Place::InAWord,
    }
}

/// How many glyphs of white space are dropped after a cut.
fn seam(before: &[Glyph], after: &[Glyph]) -> usize {
    let space = after
        .iter()
        .take_while(|glyph| glyph.is.is_whitespace())
        .count();
    let is_newline = |glyph: &Glyph| glyph.is == '\n';
    match after[..space].iter().rposition(is_newline) {
        Some(newline) => newline + 1,
        None if before.last().is_some_and(is_newline) => 0,
        None => space,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &str, limit: usize) -> Vec<&str> {
        plain(text, Unit::Characters, limit)
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        assert_eq!(split(" a\n", 3), [" a\n"]);
        assert_eq!(split("", 3), [""]);
        assert_eq!(plain("👍👍", Unit::Utf16, 4), ["👍👍"]);
    }

    #[test]
    fn a_text_is_cut_where_a_reader_pauses() {
        for (text, limit, parts) in [
            (
                "one two\n\nthree\nfour five",
                18,
                &["one two", "three\nfour five"][..],
            ),
            (
                "one two three\nfour five",
                18,
                &["one two three", "four five"],
            ),
            ("One two. Three four", 14, &["One two.", "Three four"]),
            ("one two three", 9, &["one two", "three"]),
            ("一二三。四五六", 5, &["一二三。", "四五六"]),
            ("abcdefgh", 3, &["abc", "def", "gh"]),
            // The paragraph is so early that the line is better.
            (
                "a\n\nbcdefgh ij\nkl mno pqr",
                16,
                &["a\n\nbcdefgh ij", "kl mno pqr"],
            ),
            // A word that does not fit into the rest goes to the next message.
            ("ab cdefghij", 8, &["ab", "cdefghij"]),
            ("one\n    two", 8, &["one", "    two"]),
        ] {
            assert_eq!(split(text, limit), parts, "{text:?}");
        }
    }

    #[test]
    fn what_belongs_together_is_not_torn() {
        // Thumbs up with a skin tone, twice; a family; an accent of its own.
        let thumb = "👍🏽";
        assert_eq!(split(&thumb.repeat(2), 3), [thumb, thumb]);
        let family = "👩\u{200d}👧";
        assert_eq!(split(&format!("ab{family}"), 4), ["ab", family]);
        assert_eq!(split("abe\u{301}", 3), ["ab", "e\u{301}"]);
    }

    #[test]
    fn a_block_of_code_stays_whole_if_it_can() {
        let text = "See here, please:\n```\na b\n\nc d\n```\nDone.";
        assert_eq!(
            split(text, 30),
            ["See here, please:", "```\na b\n\nc d\n```\nDone."]
        );
        let long = format!("```\n{}```", "a b\n".repeat(10));
        assert!(split(&long, 20).len() > 1);
    }

    proptest! {
        #[test]
        fn nothing_but_white_space_is_lost(text in "[a-c .\n👍`\u{301}]{0,300}", limit in 3_usize..40) {
            for unit in [Unit::Utf16, Unit::Characters] {
                let parts = plain(&text, unit, limit);
                let kept: String = parts.concat();
                let solid = |text: &str| text.split_whitespace().collect::<String>();
                prop_assert_eq!(solid(&kept), solid(&text));
                let torn = text.contains("\u{301}\u{301}");
                for part in &parts {
                    prop_assert!(torn || unit.count(part) <= limit, "{:?}", part);
                }
                if parts.len() > 1 {
                    prop_assert!(parts.iter().all(|part| !part.trim().is_empty()));
                }
            }
        }
    }
}
