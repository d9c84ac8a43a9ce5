//! From the ringing to the end of the greeting.

use std::time::Duration;

use super::{Scenario, asks, callee, person, then_agrees, then_agrees_to};
use crate::call::snapshot::{Outcome, Role, Status};
use crate::sandbox::{Answer, Callee, ModelFault, ModelOptions, Options, Step};

const LONG_HELLO: &str = "Good morning, this is the dental practice of Doctor Bianchi and partners, \
                          you are speaking with Chiara, I hope that you are having a nice day, and \
                          I would like to know what we can do for you today?";

const ENDLESS_HELLO: &str = "Good morning. If this is about an appointment, please have your \
    insurance number at hand. If this is about an invoice, please have the number of the invoice \
    at hand. If you are in pain, please come by without an appointment, at any time between eight \
    and twelve. Our practice is closed on Wednesday afternoons and on the first Friday of each \
    month, and in the two weeks after Christmas. One of our friendly colleagues is going to be with \
    you shortly.";

/// A model that takes 400 ms to its first byte.
const SLOWER: Duration = Duration::from_millis(400);

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "appointment",
        about: "an appointment is moved; the callee asks, interrupts, agrees and says goodbye",
        haste: 2,
        also: |seen, checks| {
            checks.same("the carrier's verdict", seen.verdict(), "human");
            checks.same("clears", seen.clears(), 1);
            checks.same("notes", seen.snapshot.notes.len(), 1);
            let whole = seen.heard().ends_with("Have a nice day. Goodbye.");
            checks.that("the goodbye was heard to its end", whole);
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "silent-callee",
        about: "nobody says hello: the agent speaks after the wait of one second",
        settings: &[("OPENAGENT_PHONE_GREETING_WAIT_MS", None)],
        options: || {
            let mut options = person(then_agrees(vec![
                Step::WaitForAgentToFinish,
                Step::say("Yes, speaking. What is it about?"),
            ]));
            options.model.first_byte = SLOWER;
            options
        },
        also: |seen, checks| {
            let waited = seen.first_word_ms();
            let fact = format!("first word about a second after the answer ({waited} ms)");
            checks.that(fact, (1_000..2_000).contains(&waited));
            let first = seen.place(Role::Agent, "AI assistant");
            checks.that("nothing stands before the greeting", first == Some(0));
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "long-hello",
        about: "the callee answers with a long sentence: the greeting waits for its end",
        haste: 1,
        options: || {
            person(then_agrees(vec![
                Step::say(LONG_HELLO),
                Step::WaitForAgentToFinish,
                Step::say("Yes, please. What is it about?"),
            ]))
        },
        also: |seen, checks| {
            let waited = seen.first_word_ms();
            let fact = format!("first word after the hello ({waited} ms)");
            checks.that(fact, (3_500..6_000).contains(&waited));
            checks.that("the hello is whole", seen.callee_said(LONG_HELLO));
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "endless-hello",
        about: "the callee does not stop: the greeting comes after six seconds, and what was said is answered",
        // Otherwise the carrier's verdict on so long a hello is waited for.
        settings: &[("OPENAGENT_PHONE_MACHINE_DETECTION", Some("off"))],
        haste: 1,
        // The greeting may end after the hello, and is no answer.
        options: || {
            let hello = vec![Step::say(ENDLESS_HELLO)];
            person(then_agrees_to(hello, "Would that be possible?"))
        },
        also: |seen, checks| {
            let waited = seen.first_word_ms();
            let fact = format!("first word six seconds after the hello began ({waited} ms)");
            checks.that(fact, (6_000..8_000).contains(&waited));
            checks.same("clears", seen.clears(), 0);
            checks.that("it was answered", seen.hears("for the following reason"));
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "recording",
        about: "the first words are a recording: not greeted after six seconds, as nobody knows yet who speaks, but at their end",
        haste: 1,
        options: || {
            person(then_agrees(vec![
                Step::say(ENDLESS_HELLO),
                Step::WaitForAgentToFinish,
                Step::say("Yes, please. What is it about?"),
            ]))
        },
        also: |seen, checks| {
            let waited = seen.first_word_ms();
            let lasts = ENDLESS_HELLO.len() * 16;
            let fact = format!("first word at the end of {lasts} ms ({waited} ms)");
            checks.that(fact, (7_000..10_000).contains(&waited));
            checks.that("the recording is whole", seen.callee_said(ENDLESS_HELLO));
            let hello = seen.place(Role::Caller, ENDLESS_HELLO);
            let greeting = seen.place(Role::Agent, "this is an AI assistant");
            checks.that(
                "nothing was said over it",
                hello == Some(0) && greeting == Some(1),
            );
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "nobody-knows",
        about: "the carrier does not find out who answered: nothing changes",
        haste: 2,
        options: || {
            person(then_agrees(vec![
                Step::WaitForAgentToFinish,
                // Whoever says nothing for five seconds cannot be told apart.
                Step::Pause(Duration::from_secs(4)),
                Step::say("Yes, speaking. What is it about?"),
            ]))
        },
        also: |seen, checks| {
            checks.same("the carrier's verdict", seen.verdict(), "unknown");
            checks.same("clears", seen.clears(), 0);
            checks.same("lines cut off", seen.cut_off().len(), 0);
            let whole = seen.heard().ends_with("Have a nice day. Goodbye.");
            checks.that("the goodbye was heard to its end", whole);
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "instant-pickup",
        about: "the phone is picked up before the greeting is ready: it comes as soon as it is",
        haste: 1,
        options: || Options {
            model: ModelOptions {
                fault: Some(ModelFault::SlowFirstByte(Duration::from_secs(2))),
                ..ModelOptions::default()
            },
            ..callee(Callee {
                answer: Answer::Answers {
                    after: Duration::ZERO,
                },
                ..Callee::person(then_agrees(vec![
                    Step::say("Hello?"),
                    Step::Pause(Duration::from_millis(700)),
                    Step::say("Hello, anybody there?"),
                    Step::WaitForAgentToFinish,
                    Step::say("Yes, speaking. What is it about?"),
                ]))
            })
        },
        also: |seen, checks| {
            let waited = seen.first_word_ms();
            let fact = format!("first word as soon as it was there ({waited} ms)");
            checks.that(fact, seen.picked_up_too_early() && waited < 4_000);
            checks.same("disclosures asked for", seen.asked_for_disclosure(), 1);
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "talks-over-greeting",
        about: "the callee talks over the greeting: it is not cut, and they are answered after it, once",
        haste: 1,
        options: || {
            let over = vec![
                Step::say("Hello?"),
                Step::InterruptAfter {
                    heard: 20,
                    say: "Who is calling, please?".to_owned(),
                },
            ];
            person(then_agrees_to(over, "Would that be possible?"))
        },
        also: |seen, checks| {
            checks.same("clears", seen.clears(), 0);
            let answers = seen.heard().matches("for the following reason").count();
            checks.same("answers", answers, 1);
            checks.that("the question is kept", seen.callee_said("Who is calling"));
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "no-disclosure",
        about: "the model keeps to itself that it is an AI: tried three times, never connected",
        haste: 1,
        options: || Options {
            model: ModelOptions {
                fault: Some(ModelFault::HidesItself(u32::MAX)),
                ..ModelOptions::default()
            },
            ..callee(Callee {
                answer: Answer::Answers {
                    after: Duration::from_secs(5),
                },
                ..Callee::person(asks())
            })
        },
        status: Status::Failed,
        outcome: Outcome::Failure,
        greeted: false,
        also: |seen, checks| {
            checks.same("disclosures asked for", seen.asked_for_disclosure(), 3);
            checks.that("the callee heard nothing", seen.heard().is_empty());
            let error = seen.snapshot.error.as_deref().unwrap_or_default();
            checks.that(
                "the error says so",
                error.contains("did not say that it is an AI"),
            );
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "disclosure-second-try",
        about: "the first greeting does not say that it is an AI: only the second one is ever heard",
        haste: 1,
        options: || Options {
            model: ModelOptions {
                fault: Some(ModelFault::HidesItself(1)),
                ..ModelOptions::default()
            },
            ..person(then_agrees(asks()))
        },
        also: |seen, checks| {
            checks.same("disclosures asked for", seen.asked_for_disclosure(), 2);
            checks.that("the first was never heard", !seen.hears("for a friend"));
        },
        ..Scenario::GOOD
    },
];
