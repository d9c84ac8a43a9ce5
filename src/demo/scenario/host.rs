//! The host takes part in the call.

use super::{Host, Scenario, asks_and, person, then_agrees_to};
use crate::call::snapshot::Role;
use crate::sandbox::Step;

/// Asks what only the host can know.
const ASK: &str = "Does it have to be a morning? Could you ask your client?";

fn wants_to_know() -> Vec<Step> {
    asks_and([Step::WaitForAgentToFinish, Step::say(ASK)])
}

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "ask-host",
        about: "the callee wants to know what only the host knows: it is asked, and answers in time",
        haste: 2,
        options: || person(then_agrees_to(wants_to_know(), "The answer is")),
        host: Host::AnswersAfter("One moment, please.", "Yes, mornings only."),
        also: |seen, checks| {
            let company = seen.heard().matches("One moment, please.").count();
            checks.same("times the callee is kept company", company, 1);
            let told = seen.sent("conversation.item.create", "Yes, mornings only.");
            checks.same("times the model learns the answer", told, 1);
            checks.that("the callee learns it", seen.hears("Yes, mornings only."));
            let asked = seen.place(Role::System, "Asked the host");
            let answered = seen.place(Role::System, "The host answered");
            checks.that(
                "the transcript has both",
                asked.is_some() && asked < answered,
            );
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "ask-host-unanswered",
        about: "the same, and nobody answers: the callee is not left in silence, and the agent goes on without",
        haste: 1,
        settings: &[
            ("OPENAGENT_PHONE_ASK_HOST_SECONDS", Some("7")),
            ("OPENAGENT_PHONE_SILENCE_SECONDS", Some("3")),
        ],
        options: || person(then_agrees_to(wants_to_know(), "could not find that out")),
        also: |seen, checks| {
            checks.that(
                "they hear that it takes a while",
                seen.hears("still waiting"),
            );
            checks.that("nobody says goodbye meanwhile", !seen.hears("still there"));
            let given_up = seen.place(Role::System, "did not answer in time");
            checks.that("the transcript says so", given_up.is_some());
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "ask-host-late",
        about: "the answer comes after the agent has given up: it is still told, and passed on",
        haste: 1,
        settings: &[("OPENAGENT_PHONE_ASK_HOST_SECONDS", Some("3"))],
        options: || person(then_agrees_to(wants_to_know(), "The answer is")),
        host: Host::AnswersAfter("could not find that out", "Yes, mornings only."),
        also: |seen, checks| {
            let told = seen.sent("conversation.item.create", "<answer>");
            checks.same("times told as news", told, 1);
            checks.that("the callee learns it", seen.hears("Yes, mornings only."));
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "instruct-early",
        about: "the host instructs the agent before the greeting: it learns of it when that was heard",
        haste: 2,
        options: || person(then_agrees_to(asks_and([]), "parking is free")),
        host: Host::InstructsAtOnce("Ask whether parking is free."),
        also: |seen, checks| {
            let told = seen.first("conversation.item.create", "<instruction>");
            let greeting = seen.first("response.create", "Say exactly");
            checks.that("not before the greeting was asked for", greeting < told);
            let open = seen.first("session.update", "\"create_response\":true");
            checks.that("but before it may answer", told.is_some() && told < open);
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "instruct",
        about: "the host instructs the agent while nobody is speaking: it acts on it at once",
        haste: 2,
        options: || person(then_agrees_to(asks_and([]), "parking is free")),
        host: Host::InstructsAfter("Would that be possible?", "Ask whether parking is free."),
        also: |seen, checks| {
            let told = seen.sent("conversation.item.create", "<instruction>");
            checks.same("times told", told, 1);
            let line = seen.place(Role::System, "The host instructs: Ask whether");
            checks.that("the transcript has it", line.is_some());
        },
        ..Scenario::GOOD
    },
];
