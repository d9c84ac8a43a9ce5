//! Who can be called: people of every kind, and machines.

use std::collections::HashMap;
use std::time::Duration;

use openagent_messaging::sandbox::{Answer, Callee, Chance, Step};

/// So many numbers, so that hardly ever two calls reach the same one at once.
const NUMBERS: usize = 2_000;

/// The number with this index.
pub fn number(index: usize) -> String {
    format!("+1415{:07}", 2_000_000 + index % NUMBERS)
}

/// Any number.
pub fn anybody(chance: &mut Chance) -> String {
    number(usize::try_from(chance.between(0, 1_000_000).as_millis()).unwrap_or_default())
}

/// Everybody, by number.
pub fn all(seed: u64) -> HashMap<String, Callee> {
    let mut chance = Chance::new(seed ^ 0x0ca1_1ee5);
    let everybody = (0..NUMBERS).map(|index| (number(index), somebody(index, &mut chance)));
    everybody.collect()
}

fn somebody(index: usize, chance: &mut Chance) -> Callee {
    let mut callee = match index % 12 {
        0 => Callee::unreachable(Answer::Busy),
        1 => Callee::unreachable(Answer::GivesUp {
            after: chance.between(2_000, 12_000),
        }),
        2 => Callee::unreachable(Answer::Rejects),
        3 => Callee::machine(),
        // Picks up and says nothing.
        4 => Callee::person(vec![Step::WaitForever]),
        // Has second thoughts.
        5 => Callee::person(vec![
            Step::say("Hello?"),
            Step::Pause(chance.between(0, 4_000)),
            Step::HangUp,
        ]),
        6 => interrupting(chance),
        7 | 8 => talkative(chance),
        // The line is bad now and then.
        9 => Callee::person(vec![
            Step::say("Hello?"),
            Step::BadLine(chance.between(200, 2_000)),
            Step::WaitForAgentToFinish,
            Step::PressKey('1'),
            Step::say("Tuesday at ten works for us."),
            Step::BadLine(chance.between(200, 1_000)),
            Step::WaitForAgentToFinish,
            Step::say("Goodbye."),
            Step::Pause(Duration::from_secs(8)),
            Step::HangUp,
        ]),
        _ => Callee::default(),
    };
    if let Answer::Answers { after } = &mut callee.answer {
        *after = chance.between(200, 4_000);
    }
    callee
}

/// Never stops of their own accord.
fn talkative(chance: &mut Chance) -> Callee {
    let mut script = vec![Step::say("Hello?")];
    for turn in 0..40 {
        script.push(Step::WaitForAgentToFinish);
        script.push(Step::Pause(chance.between(0, 1_500)));
        script.push(Step::say(match turn % 4 {
            0 => "Well, that depends on a number of things, as you can imagine.",
            1 => "Let me think about that for a moment.",
            2 => "No, that is not what I meant. Which day was it again?",
            _ => "And what is it about, if I may ask?",
        }));
    }
    Callee::person(script)
}

/// Lets nobody finish.
fn interrupting(chance: &mut Chance) -> Callee {
    let mut script = vec![Step::say("Hello?"), Step::WaitForAgentToFinish];
    for _ in 0..10 {
        script.push(Step::say("Yes, speaking."));
        script.push(Step::InterruptAfter {
            heard: 10 + usize::try_from(chance.between(0, 60).as_millis()).unwrap_or_default(),
            say: "Sorry, which day was that?".to_owned(),
        });
        script.push(Step::WaitForAgentToFinish);
    }
    script.push(Step::HangUp);
    Callee::person(script)
}
