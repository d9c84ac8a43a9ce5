//! What was said and done so far, for a session that was not there: sessions of a model end, the
//! conversation does not.

use std::collections::BTreeMap;

use super::event::{Recall, ToModel};

/// Things that are remembered; the oldest go.
const THINGS: usize = 512;

/// Of one thing, in bytes: more than the longest message of the host has with its fence, whose end must
/// not be lost.
const LONGEST: usize = 8_000;

/// Of all that is told to a new session, in bytes; the newest count.
const TOLD: usize = 64 * 1_024;

/// Where something stands in the conversation: after so many lines, and in which order there.
type Place = (u32, u32);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memory {
    things: BTreeMap<Place, Thing>,
    order: u32,
}

#[derive(Debug, Clone)]
enum Thing {
    /// What the callee heard of the agent.
    Agent(String),
    Callee(String),
    /// What the model was told by us.
    Told(String),
    Called {
        /// The session that called, which alone can take the output as one.
        session: u32,
        id: String,
        name: String,
        arguments: String,
        output: Option<String>,
    },
}

impl Memory {
    /// A line of the agent, or its new text.
    pub(super) fn agent(&mut self, slot: u32, text: &str) {
        self.keep((slot + 1, 0), Thing::Agent(cut(text)));
    }

    pub(super) fn callee(&mut self, slot: u32, text: &str) {
        self.keep((slot + 1, 0), Thing::Callee(cut(text)));
    }

    /// Something the model was told, after so many lines.
    pub(super) fn told(&mut self, lines: u32, text: &str) {
        let place = self.next(lines);
        self.keep(place, Thing::Told(cut(text)));
    }

    pub(super) fn called(
        &mut self,
        lines: u32,
        session: u32,
        id: &str,
        name: &str,
        arguments: &str,
    ) {
        let place = self.next(lines);
        let called = Thing::Called {
            session,
            id: cut(id),
            name: cut(name),
            arguments: cut(arguments),
            output: None,
        };
        self.keep(place, called);
    }

    /// A function has its output. Returns the function's name, if the call was made in another
    /// session than this one, which therefore knows nothing of it.
    pub(super) fn answered(&mut self, session: u32, call: &str, with: &str) -> Option<String> {
        let latest = self
            .things
            .values_mut()
            .rev()
            .find_map(|thing| match thing {
                Thing::Called {
                    session,
                    id,
                    name,
                    output,
                    ..
                } if id == call && output.is_none() => Some((*session, name, output)),
                _ => None,
            });
        let (called_in, name, output) = latest?;
        *output = Some(cut(with));
        (called_in != session).then(|| name.clone())
    }

    fn next(&mut self, lines: u32) -> Place {
        self.order = self.order.wrapping_add(1);
        (lines, self.order)
    }

    fn keep(&mut self, place: Place, thing: Thing) {
        self.things.insert(place, thing);
        if self.things.len() > THINGS {
            self.things.pop_first();
        }
    }

    /// All of it in its order, for a session that knows nothing. `saying` are lines that the callee
    /// is just hearing. Functions without an output are left out: their output comes as a message.
    pub(super) fn replay(&self, saying: Vec<(u32, String)>) -> Vec<ToModel> {
        let mut things = self.things.clone();
        for (slot, text) in saying {
            things.insert((slot + 1, 0), Thing::Agent(cut(&text)));
        }
        let mut left = TOLD;
        let newest = things.into_values().rev();
        let newest = newest.take_while(|thing| {
            let fits = left.checked_sub(thing.length());
            left = fits.unwrap_or(0);
            fits.is_some()
        });
        let kept: Vec<Thing> = newest.collect();
        kept.into_iter().rev().flat_map(Thing::recall).collect()
    }
}

impl Thing {
    fn length(&self) -> usize {
        match self {
            Self::Agent(text) | Self::Callee(text) | Self::Told(text) => text.len(),
            Self::Called {
                arguments, output, ..
            } => arguments.len() + output.as_ref().map_or(0, String::len),
        }
    }

    fn recall(self) -> Vec<ToModel> {
        match self {
            Self::Agent(text) => vec![ToModel::Recall(Recall::Said(text))],
            Self::Callee(text) => vec![ToModel::Recall(Recall::Heard(text))],
            Self::Told(text) => vec![ToModel::Tell(text)],
            Self::Called {
                id: call,
                name,
                arguments,
                output: Some(output),
                ..
            } => vec![
                ToModel::Recall(Recall::Called {
                    call: call.clone(),
                    name,
                    arguments,
                }),
                ToModel::ToolOutput { call, output },
            ],
            Self::Called { .. } => Vec::new(),
        }
    }
}

/// Not more of it than anybody needs to know.
fn cut(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> ToModel {
        ToModel::Recall(Recall::Said(text.into()))
    }

    #[test]
    fn everything_stands_where_it_was_said() {
        let mut memory = Memory::default();
        memory.agent(0, "Hello.");
        memory.told(2, "They pressed 4.");
        memory.called(2, 0, "c1", "note", "{}");
        assert_eq!(memory.answered(0, "c1", "ok"), None);
        memory.called(2, 0, "c2", "press_keys", "{}");
        memory.agent(2, "Thank you.");
        // Words come late.
        memory.callee(1, "Hm?");
        let replayed = memory.replay(vec![(3, "And".into())]);
        assert_eq!(
            replayed,
            [
                said("Hello."),
                ToModel::Recall(Recall::Heard("Hm?".into())),
                ToModel::Tell("They pressed 4.".into()),
                ToModel::Recall(Recall::Called {
                    call: "c1".into(),
                    name: "note".into(),
                    arguments: "{}".into(),
                }),
                ToModel::ToolOutput {
                    call: "c1".into(),
                    output: "ok".into(),
                },
                said("Thank you."),
                said("And"),
            ]
        );
        // The function that was under way: its output is news to the new session.
        let pending = memory.answered(1, "c2", "pressed");
        assert_eq!(pending.as_deref(), Some("press_keys"));
        assert_eq!(memory.answered(1, "nobody", "x"), None);
    }

    #[test]
    fn it_is_bounded_and_the_newest_stays() {
        let mut memory = Memory::default();
        for slot in 0..2_000 {
            memory.agent(slot, &"è".repeat(5_000));
        }
        assert_eq!(memory.things.len(), THINGS);
        let replayed = memory.replay(vec![(2_000, "last".into())]);
        assert_eq!(replayed.last(), Some(&said("last")));
        assert_eq!(replayed.len(), TOLD / LONGEST + 1);
    }
}
