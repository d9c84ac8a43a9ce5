//! How calls end.

use std::time::Duration;

use super::{Host, Scenario, asks, asks_and, callee, person};
use crate::call::disclosure;
use crate::call::language::Language;
use crate::call::snapshot::{Outcome, Status};
use crate::sandbox::{Answer, Callee, ModelFault, ModelOptions, Options, Step};

const AFTERTHOUGHT: &str = "Oh wait, before you hang up, there is one more thing that I forgot to \
                            ask, namely whether her insurance card is still the same one?";

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "goodbye-kept",
        about: "the callee speaks over the goodbye: the line is kept, once, until a second goodbye",
        haste: 1,
        options: || {
            person(asks_and([
                Step::WaitForAgentToFinish,
                Step::say("Tuesday at ten works for us."),
                Step::InterruptAfter {
                    heard: 40,
                    say: AFTERTHOUGHT.to_owned(),
                },
                Step::WaitForAgentToFinish,
                Step::say("Thank you, goodbye."),
                Step::WaitForever,
            ]))
        },
        also: |seen, checks| {
            let told = seen.sent("conversation.item.create", "was not hung up");
            checks.same("times the line was kept", told, 1);
            checks.that("the afterthought is answered", seen.hears("pass it on"));
            checks.that(
                "a second goodbye is said",
                seen.heard().ends_with("Goodbye."),
            );
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "callee-hangs-up",
        about: "the callee hangs up: there is a summary at once, and a better one when the model was asked",
        options: || person(asks_and([Step::WaitForAgentToFinish, Step::HangUp])),
        outcome: Outcome::Partial,
        also: |seen, checks| {
            checks.that("the first summary was refined", seen.is_refined());
            let better = seen.snapshot.summary.as_deref().unwrap_or_default();
            checks.same("it is now", better, "The callee gave no answer.");
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "host-hangs-up",
        about: "the host hangs up in the middle of a sentence",
        options: || person(asks()),
        host: Host::HangsUpAfter("for the following reason"),
        status: Status::HungUpByAgent,
        outcome: Outcome::Partial,
        also: |seen, checks| {
            checks.same("lines cut off", seen.cut_off().len(), 1);
            checks.that("the first summary was refined", seen.is_refined());
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "time-limit",
        about: "the maximum of 25 s is reached: told to wrap up before, one last sentence at the end",
        settings: &[
            ("OPENAGENT_PHONE_MAX_DURATION_SECONDS", Some("25")),
            ("OPENAGENT_PHONE_SILENCE_SECONDS", Some("60")),
        ],
        haste: 1,
        options: || {
            person(asks_and([
                Step::WaitForAgentToFinish,
                Step::Pause(Duration::from_secs(4)),
                Step::say("And from which day is it to be moved?"),
                Step::WaitForAgentToFinish,
                Step::say("Would you mind if I have a look at the book?"),
                Step::WaitForAgentToFinish,
                Step::WaitForever,
            ]))
        },
        status: Status::TimedOut,
        outcome: Outcome::Partial,
        also: |seen, checks| {
            let told = seen.sent("conversation.item.create", "Wrap up now");
            checks.same("times told to wrap up", told, 1);
            let last = "I have to end the call now. Thank you for your time. Goodbye.";
            checks.that("a last sentence is said", seen.heard().ends_with(last));
            let lasted = seen.snapshot.duration_s;
            let fact = format!("no more than five seconds too many ({lasted} s)");
            checks.that(fact, (25.0..=30.5).contains(&lasted));
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "model-gone",
        about: "the model closes its connection for good: the carrier's own voice apologises",
        options: || Options {
            model: ModelOptions {
                fault: Some(ModelFault::ClosesAfter {
                    // The greeting, "one moment, please", an answer.
                    responses: 3,
                    code: 3000,
                }),
                ..ModelOptions::default()
            },
            ..person(asks())
        },
        status: Status::Failed,
        outcome: Outcome::Failure,
        also: |seen, checks| {
            let (apology, _) = disclosure::apology(&Language::default());
            checks.that(
                "the callee hears an apology",
                seen.heard().ends_with(apology),
            );
            checks.that("the error says why", seen.snapshot.error.is_some());
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "busy",
        about: "the line is engaged",
        options: || callee(Callee::unreachable(Answer::Busy)),
        status: Status::Busy,
        outcome: Outcome::NoAnswer,
        greeted: false,
        ..Scenario::GOOD
    },
    Scenario {
        name: "no-answer",
        about: "nobody picks up, until the callee's network gives up",
        options: || {
            callee(Callee::unreachable(Answer::GivesUp {
                after: Duration::from_secs(6),
            }))
        },
        status: Status::NoAnswer,
        outcome: Outcome::NoAnswer,
        greeted: false,
        ..Scenario::GOOD
    },
    Scenario {
        name: "voicemail",
        about: "an answering machine: the agent leaves a message and hangs up",
        haste: 1,
        options: || {
            person(vec![
                Step::say("This is the mailbox of Doctor Bianchi."),
                Step::Pause(Duration::from_millis(800)),
                Step::say("Please leave a message after the tone."),
                Step::WaitForever,
            ])
        },
        status: Status::Voicemail,
        outcome: Outcome::Voicemail,
        also: |seen, checks| {
            checks.that("a message is left", seen.hears("This is a message."));
            checks.that("it is whole", seen.heard().ends_with("Goodbye."));
        },
        ..Scenario::GOOD
    },
];
