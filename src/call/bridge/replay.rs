//! What was said and done so far, for a session that was not there: sessions of a model end, the
//! conversation does not.

use std::collections::BTreeMap;

use super::event::{Recall, ToModel};
use crate::call::untrusted::{fenced, one_line};

/// Things that are remembered; the oldest go.
const THINGS: usize = 512;

/// Of one thing, in bytes: more than the longest message of the host has with its fence, whose end must
/// not be lost.
const LONGEST: usize = 8_000;

/// Of all that is told to a new session, in bytes as they go to it; the newest count. It must fit into
/// what may wait to be written to a socket, together with what the callee said meanwhile and with what
/// follows at once.
const TOLD: usize = 80 * 1_024;

/// Of each thing, beside its text.
const PER_THING: usize = 192;

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
    /// In a box: lines of the two are many, and short.
    Called(Box<Called>),
}

#[derive(Debug, Clone)]
struct Called {
    /// The session that called, which alone can take the output as one.
    session: u32,
    id: String,
    name: String,
    arguments: String,
    output: Option<String>,
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
        let called = Called {
            session,
            id: cut(id),
            name: cut(name),
            arguments: cut(arguments),
            output: None,
        };
        self.keep(place, Thing::Called(Box::new(called)));
    }

    /// A function has its output. Returns the function's name, if the call was made in another
    /// session than this one, which therefore knows nothing of it.
    pub(super) fn answered(&mut self, session: u32, call: &str, with: &str) -> Option<String> {
        let latest = self
            .things
            .values_mut()
            .rev()
            .find_map(|thing| match thing {
                Thing::Called(called) if called.id == call && called.output.is_none() => {
                    Some(called)
                }
                _ => None,
            });
        let called = latest?;
        called.output = Some(cut(with));
        (called.session != session).then(|| called.name.clone())
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
        let newest = things.into_values().rev().filter_map(Thing::recall);
        let newest = newest.take_while(|thing| {
            let fits = left.checked_sub(bytes(thing));
            left = fits.unwrap_or(0);
            fits.is_some()
        });
        let mut kept: Vec<ToModel> = newest.collect();
        kept.reverse();
        kept
    }
}

impl Thing {
    fn recall(self) -> Option<ToModel> {
        Some(match self {
            Self::Agent(text) => ToModel::Recall(Recall::Said(text)),
            Self::Callee(text) => ToModel::Recall(Recall::Heard(text)),
            Self::Told(text) => ToModel::Tell(text),
            Self::Called(called) => {
                let name = one_line(&called.name);
                let arguments = fenced("arguments", &called.arguments);
                let output = fenced("output", &called.output?);
                ToModel::Tell(format!(
                    "Earlier in this call you have called your function {name}:\n{arguments}\n{output}"
                ))
            }
        })
    }
}

/// What it takes on its way, at most. Quotes are escaped there, and control characters more so.
fn bytes(thing: &ToModel) -> usize {
    let (ToModel::Recall(Recall::Said(text) | Recall::Heard(text)) | ToModel::Tell(text)) = thing
    else {
        return PER_THING;
    };
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => 2,
        '\0'..='\x1F' => 6,
        c => c.len_utf8(),
    });
    PER_THING + escaped.sum::<usize>()
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
                ToModel::Tell(
                    "Earlier in this call you have called your function note:\n\
                     <arguments>\n{}\n</arguments>\n<output>\nok\n</output>"
                        .into()
                ),
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
        assert_eq!(replayed.len(), TOLD / (LONGEST + PER_THING));
    }
}
