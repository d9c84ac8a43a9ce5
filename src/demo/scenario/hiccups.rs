//! Machines, menus, hold, and peers that are lost in the middle of a call.

use std::time::Duration;

use super::{Scenario, asks, callee, person, then_agrees, then_agrees_to};
use crate::call::snapshot::{Outcome, Role, Status};
use crate::sandbox::{
    Callee, Loss, LossMoment, ModelFault, ModelOptions, Options, Parting, Reconnect, Step,
};

/// A model whose first session is lost.
fn losing(loss: Loss, script: Vec<Step>) -> Options {
    Options {
        model: ModelOptions {
            fault: Some(ModelFault::Loses(loss)),
            ..ModelOptions::default()
        },
        ..person(script)
    }
}

/// In the middle of the answer that gives the reason for the call: the greeting and "one moment,
/// please" come before it.
const IN_THE_ANSWER: LossMoment = LossMoment::InResponse {
    number: 3,
    deltas: 4,
};

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "mailbox",
        about: "an answering machine, found out by the carrier: disclosure and message after its tone",
        haste: 1,
        options: || callee(Callee::machine()),
        status: Status::Voicemail,
        outcome: Outcome::Voicemail,
        begun_twice: true,
        also: |seen, checks| {
            checks.that("a message is left", seen.hears("This is a message."));
            checks.that("it is whole", seen.heard().ends_with("Goodbye."));
            let summary = seen.snapshot.summary.as_deref().unwrap_or_default();
            checks.that("the summary says so", summary.contains("message was left"));
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "fax",
        about: "a fax machine: hung up on",
        options: || callee(Callee::fax()),
        status: Status::Failed,
        outcome: Outcome::Failure,
        greeted: false,
        begun_twice: true,
        also: |seen, checks| {
            let error = seen.snapshot.error.as_deref().unwrap_or_default();
            checks.that("the error says so", error.contains("fax"));
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "menu",
        about: "a recorded menu: the agent presses a key, and talks to the person behind it",
        haste: 1,
        options: || callee(Callee::menu()),
        also: |seen, checks| {
            let line = seen.line.as_ref();
            let keys = line.map_or("", |line| line.digits.as_str());
            checks.same("keys pressed", keys, "2");
            checks.same("streams", line.map_or(0, |line| line.streams), 2);
            let pressed = seen.place(Role::System, "Keys pressed by the agent: 2");
            let before = seen.place(Role::Caller, "For an appointment");
            let after = seen.place(Role::Caller, "Tuesday at ten works");
            checks.that(
                "menu, keys and person stand in one transcript, in this order",
                before.is_some() && before < pressed && pressed < after,
            );
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "hold",
        about: "put on hold: silent through music and announcements, until a person speaks",
        haste: 1,
        options: || callee(Callee::on_hold()),
        also: |seen, checks| {
            let held = seen.place(Role::System, "On hold");
            checks.that("the host sees it", held.is_some());
            checks.that(
                "nobody is asked whether they are there",
                !seen.hears("still there"),
            );
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "broken-line",
        about: "the line breaks while the agent explains: it says what was lost again, and does not greet again",
        haste: 1,
        options: || callee(Callee::with_a_broken_line()),
        also: |seen, checks| {
            let streams = seen.line.as_ref().map_or(0, |line| line.streams);
            checks.same("streams", streams, 2);
            let dropped = seen.place(Role::System, "The line dropped for a moment.");
            checks.that("the transcript says so", dropped.is_some());
            let told = seen.sent("conversation.item.create", "line dropped");
            checks.same("times the model was told", told, 1);
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "model-lost",
        about: "the model's session breaks in mid-sentence: another one goes on, and knows what was said",
        haste: 1,
        options: || {
            let loss = Loss {
                at: IN_THE_ANSWER,
                how: Parting::Closes(1011),
                sessions: 1,
                then: Reconnect::Accepted,
            };
            losing(loss, then_agrees_to(asks(), "in the morning."))
        },
        also: |seen, checks| {
            checks.same("sessions of the model", seen.sessions, 2);
            let told = seen.sent("conversation.item.create", "this is an AI assistant");
            checks.same("the second one is told of the greeting", told, 1);
            checks.that(
                "what was asked before is not lost",
                seen.callee_said("What is it about?"),
            );
            let before = seen.place(Role::Agent, "this is an AI assistant");
            let after = seen.place(Role::Caller, "Tuesday at ten works");
            checks.that(
                "before and after stand in one transcript",
                before.is_some() && before < after,
            );
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "one-moment",
        about: "the model is away for three seconds: the callee hears \"one moment, please\" in the agent's voice",
        haste: 1,
        options: || {
            let loss = Loss {
                at: LossMoment::CalleeSpeaks(2),
                how: Parting::Closes(1013),
                sessions: 1,
                then: Reconnect::RefusedFor(Duration::from_secs(3)),
            };
            losing(loss, then_agrees_to(asks(), "Would that be possible?"))
        },
        also: |seen, checks| {
            checks.same("sessions of the model", seen.sessions, 2);
            let said = seen.heard().matches("One moment, please.").count();
            checks.same("times it is said", said, 1);
            let line = seen.place(Role::Agent, "One moment, please.");
            checks.that("the transcript has it", line.is_some());
            checks.that(
                "what the callee said meanwhile was heard",
                seen.callee_said("What is it about?"),
            );
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "session-expires",
        about: "the model's session reaches its maximum: the call goes on in another",
        haste: 1,
        options: || {
            let loss = Loss {
                at: LossMoment::AfterResponses(3),
                how: Parting::Expires,
                sessions: 1,
                then: Reconnect::Accepted,
            };
            losing(loss, then_agrees(asks()))
        },
        also: |seen, checks| {
            checks.same("sessions of the model", seen.sessions, 2);
            checks.same("lines cut off", seen.cut_off().len(), 0);
        },
        ..Scenario::GOOD
    },
];
