//! The transcript: one line a turn, in the order of the conversation, however late the words come.

use std::collections::BTreeMap;

use super::snapshot::Line;

/// Lines of a call: more are no conversation.
const LINES: usize = 2_000;

/// Characters of a line; the rest is cut.
const MAX_LINE: usize = 10_000;

/// Lines by their slot, each with the revision in which it last changed.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    lines: BTreeMap<u32, (u64, Line)>,
}

impl Transcript {
    /// Adds a line, or changes it. Returns whether anything is different now.
    pub(super) fn set(&mut self, slot: u32, mut line: Line, revision: u64) -> bool {
        if self.lines.len() >= LINES && !self.lines.contains_key(&slot) {
            return false;
        }
        if let Some((end, _)) = line.text.char_indices().nth(MAX_LINE) {
            line.text.truncate(end);
        }
        if self
            .lines
            .get(&slot)
            .is_some_and(|(_, known)| *known == line)
        {
            return false;
        }
        self.lines.insert(slot, (revision, line));
        true
    }

    /// The same, each line with its slot.
    pub(super) fn changed(&self, revision: u64) -> Vec<(u32, Line)> {
        let newer = self
            .lines
            .iter()
            .filter(|(_, (changed, _))| *changed > revision);
        newer
            .map(|(slot, (_, line))| (*slot, line.clone()))
            .collect()
    }

    /// The lines added or changed after `revision`; all of them after revision 0.
    pub(super) fn since(&self, revision: u64) -> Vec<Line> {
        let newer = self
            .lines
            .values()
            .filter(|(changed, _)| *changed > revision);
        newer.map(|(_, line)| line.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::snapshot::Role;

    fn line(text: &str) -> Line {
        Line {
            t: chrono::DateTime::UNIX_EPOCH,
            role: Role::Caller,
            text: text.into(),
        }
    }

    #[test]
    fn late_words_stand_where_they_were_said() {
        let mut transcript = Transcript::default();
        transcript.set(1, line("the answer"), 1);
        transcript.set(0, line("the question"), 2);
        let texts: Vec<String> = transcript.since(0).into_iter().map(|l| l.text).collect();
        assert_eq!(texts, ["the question", "the answer"]);
    }

    #[test]
    fn lines_are_bounded_in_number_and_length() {
        let mut transcript = Transcript::default();
        for slot in 0..3_000 {
            transcript.set(slot, line("é"), 1);
        }
        assert_eq!(transcript.since(0).len(), LINES);
        assert!(transcript.set(0, line(&"é".repeat(MAX_LINE + 1)), 2));
        assert_eq!(transcript.since(1)[0].text.chars().count(), MAX_LINE);
    }

    #[test]
    fn only_what_changed_is_new() {
        let mut transcript = Transcript::default();
        assert!(transcript.set(0, line("a"), 1));
        assert!(transcript.set(1, line("b"), 2));
        assert!(
            !transcript.set(1, line("b"), 3),
            "the same again is no change"
        );
        assert!(transcript.set(0, line("a—"), 4));
        assert_eq!(transcript.since(2), [line("a—")]);
        assert_eq!(transcript.since(4), []);
    }
}
