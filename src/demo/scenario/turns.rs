//! The conversation itself.

use std::time::Duration;

use super::{Scenario, asks, asks_and, person, then_agrees, then_agrees_to};
use crate::call::snapshot::{Outcome, Role};
use crate::sandbox::{CarrierFault, ModelFault, ModelOptions, Options, Step};

/// How the agent's answer to a question about the mission ends.
const IN_FULL: &str = "in the morning.";

fn interrupts(heard: usize, say: &str) -> Vec<Step> {
    let say = say.to_owned();
    asks_and([Step::InterruptAfter { heard, say }])
}

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "interruption",
        about: "the callee interrupts: the agent falls silent, and knows what was heard",
        haste: 2,
        settings: &[("OPENAGENT_PHONE_INTERRUPT_MS", None)],
        options: || {
            person(then_agrees_to(
                interrupts(50, "Sorry, which day was that?"),
                IN_FULL,
            ))
        },
        also: |seen, checks| {
            checks.same("clears", seen.clears(), 1);
            checks.same("truncations", seen.model.truncations.len(), 1);
            checks.same("lines cut off", seen.cut_off().len(), 1);
            checks.that("the question is answered", seen.hears("Certainly."));
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "interruption-at-once",
        about: "the same with OPENAGENT_PHONE_INTERRUPT_MS=0: the model itself decides, on the first sound",
        haste: 2,
        settings: &[("OPENAGENT_PHONE_INTERRUPT_MS", Some("0"))],
        options: || {
            person(then_agrees_to(
                interrupts(50, "Sorry, which day was that?"),
                IN_FULL,
            ))
        },
        also: |seen, checks| {
            checks.same("clears", seen.clears(), 1);
            checks.same("truncations", seen.model.truncations.len(), 1);
            checks.same("cancelled by us", seen.sent("response.cancel", "cancel"), 0);
            checks.that("the question is answered", seen.hears("Certainly."));
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "mhm",
        about: "an \"mhm\" while the agent speaks: it neither stops nor answers it",
        settings: &[("OPENAGENT_PHONE_INTERRUPT_MS", None)],
        haste: 2,
        options: || person(then_agrees(interrupts(50, "Mhm, mhm."))),
        also: |seen, checks| {
            checks.that("the mhm was understood", seen.callee_said("Mhm"));
            checks.same("clears", seen.clears(), 0);
            checks.same("lines cut off", seen.cut_off().len(), 0);
            checks.that("it is not answered", !seen.hears("I am listening"));
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "several-items",
        about: "one answer in several pieces is interrupted in the second: each piece is settled by itself",
        haste: 2,
        options: || Options {
            model: ModelOptions {
                fault: Some(ModelFault::SplitsAnswers),
                ..ModelOptions::default()
            },
            ..person(then_agrees_to(
                interrupts(40, "Sorry, which day was that?"),
                IN_FULL,
            ))
        },
        also: |seen, checks| {
            checks.same("clears", seen.clears(), 1);
            checks.same("pieces cut short", seen.model.truncations.len(), 1);
            checks.that(
                "pieces not heard are deleted",
                !seen.model.deletions.is_empty(),
            );
            let whole = seen.place(Role::Agent, "Thank you.");
            checks.that("the first piece stays", whole.is_some());
            checks.same("lines cut off", seen.cut_off().len(), 1);
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "keys",
        about: "the callee presses keys on their phone: the model learns of them as one entry",
        options: || {
            let press = [
                Step::WaitForAgentToFinish,
                Step::PressKey('4'),
                Step::Pause(Duration::from_millis(300)),
                Step::PressKey('2'),
            ];
            person(then_agrees(asks_and(press)))
        },
        also: |seen, checks| {
            let line = seen.place(Role::System, "Keys pressed: 42");
            checks.that("the transcript has them", line.is_some());
            checks.same(
                "times told",
                seen.sent("conversation.item.create", "phone: 42"),
                1,
            );
            checks.that("the agent reacts", seen.hears("you pressed 42"));
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "gap",
        about: "a second of the callee's audio never arrives: silence stands in for it, and the turn ends",
        options: || {
            let lost = Step::BadLine(Duration::from_secs(1));
            person(then_agrees(asks_and([lost])))
        },
        also: |seen, checks| {
            let padded = seen.padded_before("Tuesday").unwrap_or_default();
            checks.same("milliseconds filled in", padded, 1_000);
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "lost-stream",
        about: "the carrier's stream breaks and comes back: the conversation goes on, without a second greeting",
        haste: 1,
        options: || Options {
            carrier_fault: Some(CarrierFault::LosesStream(Duration::from_secs(5))),
            ..person(then_agrees(asks()))
        },
        also: |seen, checks| {
            checks.same("streams", seen.streams(), 2);
            checks.same("sessions of the model", seen.sessions, 1);
            seen.is_one_conversation(
                checks,
                &[
                    (Role::Agent, "this is an AI assistant"),
                    (Role::Caller, "What is it about?"),
                    (Role::System, "The line dropped for a moment."),
                    (Role::Caller, "Tuesday at ten works"),
                    (Role::Agent, "I have noted that"),
                ],
                &[
                    "this is an AI assistant",
                    "What is it about?",
                    "The line dropped for a moment",
                    "Tuesday at ten works",
                    "I have noted that",
                ],
            );
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "silence",
        about: "nobody speaks any more: the agent asks once, and then says goodbye",
        settings: &[("OPENAGENT_PHONE_SILENCE_SECONDS", Some("3"))],
        haste: 1,
        options: || {
            person(vec![
                Step::say("Hello?"),
                Step::WaitForAgentToFinish,
                Step::WaitForever,
            ])
        },
        outcome: Outcome::Failure,
        also: |seen, checks| {
            let asked = seen.heard().matches("Are you still there?").count();
            checks.same("times asked", asked, 1);
            checks.that("goodbye is said", seen.heard().ends_with("Goodbye."));
        },
        ..Scenario::GOOD
    },
];
