//! The situations that `demo` can play, and what is expected of each. `docs/conversation.md` says
//! the same in prose, and which test drives each of them without sockets.

mod endings;
mod hiccups;
mod host;
mod machines;
mod openings;
mod turns;

use super::seen::{Checks, Seen};
use super::word;
use crate::call::snapshot::{Outcome, Status};
use crate::sandbox::{Callee, Options, Step};

/// What plain `demo` plays.
pub const DEFAULT: &str = "appointment";

/// A situation on the phone.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What happens in it, in a line.
    pub about: &'static str,
    /// So many times faster than real time it may be played without a change to what happens:
    /// the waits of the conversation itself do not go faster.
    pub haste: u32,
    /// So many minutes it takes at most. One that takes more than one must wait for something that
    /// takes its time, such as the hour of a session.
    pub minutes: u64,
    /// Settings that it needs; none is "not set".
    pub(super) settings: &'static [(&'static str, Option<&'static str>)],
    /// Callee, carrier and model.
    pub(super) options: fn() -> Options,
    /// What the host does meanwhile.
    pub(super) host: Host,
    status: Status,
    outcome: Outcome,
    /// The callee is greeted: once, and in full.
    greeted: bool,
    /// A machine's own words and tones may cut the greeting off, or come after it.
    begun_twice: bool,
    also: fn(&Seen, &mut Checks),
}

/// What the host does during a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Host {
    /// Nothing.
    Waits,
    /// Hangs up when the callee has heard these words.
    HangsUpAfter(&'static str),
    /// Answers the agent's question with the second, once the callee has heard the first to its end.
    AnswersAfter(&'static str, &'static str),
    /// Tells the agent this while the phone still rings.
    InstructsAtOnce(&'static str),
    /// Once the callee has heard the first to its end, tells the agent the second.
    InstructsAfter(&'static str, &'static str),
}

impl Scenario {
    /// A call that goes well.
    const GOOD: Self = Self {
        name: "",
        about: "",
        haste: 4,
        minutes: 1,
        settings: &[],
        options: Options::default,
        host: Host::Waits,
        status: Status::Completed,
        outcome: Outcome::Success,
        greeted: true,
        begun_twice: false,
        also: |_, _| {},
    };

    /// Checks a call of this scenario.
    pub(super) fn check(&self, seen: &Seen, checks: &mut Checks) {
        let (status, outcome) = (word(&seen.snapshot.status), word(&seen.snapshot.outcome));
        checks.same("status", status.as_str(), &word(&self.status));
        checks.same("outcome", outcome.as_str(), &word(&self.outcome));
        let disclosed = seen.snapshot.disclosed_at.is_some();
        if self.begun_twice {
            checks.that("not greeted more than twice", seen.greetings() <= 2);
        } else {
            checks.same("greetings", seen.greetings(), usize::from(self.greeted));
        }
        if self.greeted {
            checks.that("the disclosure was heard in full", disclosed);
        } else if !self.begun_twice {
            checks.that("nothing was disclosed", !disclosed);
        }
        checks.that(
            "the transcript has what was said aloud",
            seen.says_what_was_heard(),
        );
        (self.also)(seen, checks);
        checks.in_order(seen);
    }
}

/// All of them, in the order of a call.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    let middle = turns::ALL.iter().chain(host::ALL).chain(hiccups::ALL);
    let middle = middle.chain(machines::ALL);
    openings::ALL.iter().chain(middle).chain(endings::ALL)
}

/// The one with this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    all().find(|scenario| scenario.name == name)
}

/// A callee who picks up and follows this script.
fn person(script: Vec<Step>) -> Options {
    callee(Callee::person(script))
}

fn callee(callee: Callee) -> Options {
    Options {
        default_callee: callee,
        ..Options::default()
    }
}

/// After `before`: the callee listens, agrees, and stays on the line until the agent hangs up.
fn then_agrees(before: Vec<Step>) -> Vec<Step> {
    agrees_after(before, Step::WaitForAgentToFinish)
}

/// The same, when these words have been said, whatever is said before them.
fn then_agrees_to(before: Vec<Step>, words: &str) -> Vec<Step> {
    agrees_after(before, Step::WaitForWords(words.to_owned()))
}

fn agrees_after(mut before: Vec<Step>, wait: Step) -> Vec<Step> {
    before.extend([
        wait,
        Step::say("Tuesday at ten works for us."),
        Step::WaitForAgentToFinish,
        Step::WaitForever,
    ]);
    before
}

/// The callee says hello, is greeted, and asks what it is about.
fn asks() -> Vec<Step> {
    vec![
        Step::say("Hello?"),
        Step::WaitForAgentToFinish,
        Step::say("Yes, speaking. What is it about?"),
    ]
}

/// The same, and what else the callee does.
fn asks_and(after: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let mut script = asks();
    script.extend(after);
    script
}

/// What a callee says who was reached at last: agrees, and waits for the agent to hang up.
fn agrees_at_once(who: &str) -> Vec<Step> {
    then_agrees(vec![Step::say(who)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_differ() {
        let mut names: Vec<&str> = all().map(|scenario| scenario.name).collect();
        assert_eq!(names.first(), Some(&DEFAULT));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for Scenario { name, about, .. } in all() {
            let plain = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(!name.is_empty() && name.chars().all(plain), "{name}");
            assert!(!about.is_empty() && !about.contains('\n'), "{name}");
        }
    }
}
