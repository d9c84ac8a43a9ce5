//! The transcript: one line a turn, in the order of the conversation, however late the words come.

use std::collections::{BTreeMap, BTreeSet};

use super::snapshot::Line;

/// Lines of a call: more are no conversation.
const LINES: usize = 2_000;

/// Characters of a line; the rest is cut.
const MAX_LINE: usize = 10_000;

/// Lines by their slot, each with the revision in which it last changed.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    lines: BTreeMap<u32, (u64, Line)>,
    /// The same by their revision, so that to show what is new costs no more in a long call.
    by_revision: BTreeSet<(u64, u32)>,
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
        if let Some((before, _)) = self.lines.insert(slot, (revision, line)) {
            self.by_revision.remove(&(before, slot));
        }
        self.by_revision.insert((revision, slot));
        true
    }

    /// The slots of the lines added or changed after `revision`, in the order of the conversation.
    fn newer(&self, revision: u64) -> BTreeSet<u32> {
        let newer = self.by_revision.range((revision.saturating_add(1), 0)..);
        newer.map(|(_, slot)| *slot).collect()
    }

    /// The same, each line with its slot.
    pub(super) fn changed(&self, revision: u64) -> Vec<(u32, Line)> {
        let line = |slot| Some((slot, self.lines.get(&slot)?.1.clone()));
        self.newer(revision).into_iter().filter_map(line).collect()
    }

    /// The lines added or changed after `revision`; all of them after revision 0.
    pub(super) fn since(&self, revision: u64) -> Vec<Line> {
        if revision == 0 {
            return self.lines.values().map(|(_, line)| line.clone()).collect();
        }
        let newer = self.changed(revision);
        newer.into_iter().map(|(_, line)| line).collect()
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
