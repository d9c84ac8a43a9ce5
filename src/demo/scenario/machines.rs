//! Machines that answer: mailboxes, menus, faxes; and lines on hold.

use std::time::Duration;

use super::{Scenario, agrees_at_once, callee, person};
use crate::call::snapshot::{Outcome, Role, Status};
use crate::sandbox::{Callee, CarrierFault, Menu, Options, Step};

/// Somebody who answers in person, and then plays a menu: the greeting is over by then.
fn with_menu(menu: Menu) -> Callee {
    Callee::person(vec![
        Step::say("Dental practice."),
        Step::WaitForAgentToFinish,
        Step::Menu(menu),
    ])
}

/// A menu whose key 2 leads to the reception.
fn short_menu() -> Menu {
    Menu {
        says: "For an appointment, press 2.".to_owned(),
        options: vec![("2".to_owned(), agrees_at_once("Reception, good morning."))],
    }
}

/// A menu that is all there is behind each of its keys.
fn circle() -> Menu {
    let menu = |then: Vec<Step>| Menu {
        says: "For an appointment, press 2. For anything else, press 1.".to_owned(),
        options: vec![("1".to_owned(), then.clone()), ("2".to_owned(), then)],
    };
    let rounds = 0..6;
    rounds.fold(menu(vec![Step::WaitForever]), |inner, _| {
        menu(vec![Step::Menu(inner)])
    })
}

/// A menu that takes its time between its options; whoever does not wait presses the wrong key.
fn slow_menu() -> Callee {
    let wrong = [Step::say("The billing office is closed."), Step::HangUp];
    let second = Menu {
        says: "For an appointment, press 2.".to_owned(),
        options: vec![
            ("1".to_owned(), wrong.into()),
            ("2".to_owned(), agrees_at_once("Reception, good morning.")),
        ],
    };
    Callee {
        answered_by: "machine_end_other".to_owned(),
        ..Callee::person(vec![
            Step::say("Welcome to the dental practice."),
            Step::WaitForAgentToFinish,
            Step::Pause(Duration::from_secs(1)),
            Step::say("For invoices, press 1."),
            Step::Pause(Duration::from_secs(1)),
            Step::Menu(second),
        ])
    }
}

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
        name: "mailbox-without-tone",
        about: "an answering machine that records without a tone: its message after two seconds of silence",
        haste: 1,
        options: || callee(Callee::machine_without_beep()),
        status: Status::Voicemail,
        outcome: Outcome::Voicemail,
        begun_twice: true,
        also: |seen, checks| {
            checks.same(
                "the carrier's verdict",
                seen.verdict(),
                "machine_end_silence",
            );
            checks.that("a message is left", seen.hears("This is a message."));
            checks.that("it is whole", seen.heard().ends_with("Goodbye."));
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
            checks.same("keys pressed", seen.keys_pressed(), "2");
            checks.same("streams", seen.streams(), 2);
            checks.same("sessions of the model", seen.sessions, 1);
            seen.is_one_conversation(
                checks,
                &[
                    (Role::Agent, "this is an AI assistant"),
                    (Role::Caller, "For an appointment"),
                    (Role::System, "Keys pressed by the agent: 2"),
                    (Role::Caller, "Reception"),
                    (Role::Agent, "for the following reason"),
                    (Role::Caller, "Tuesday at ten works"),
                ],
                &[
                    "this is an AI assistant",
                    "For an appointment",
                    "press_keys",
                    "What was said while the keys were pressed",
                    "Reception",
                    "for the following reason",
                    "Tuesday at ten works",
                ],
            );
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "menu-found-out",
        about: "a menu that takes its time, found out by the carrier: heard to its end before a key is pressed",
        haste: 2,
        options: || callee(slow_menu()),
        also: |seen, checks| {
            checks.same("the carrier's verdict", seen.verdict(), "machine_end_other");
            let told = seen.sent("conversation.item.create", "A recorded menu seems to have");
            checks.same("times the model was told", told, 1);
            let patience = seen.first("session.update", "\"silence_duration_ms\":1500");
            checks.that("turns end later", patience.is_some());
            let turns = &seen.model.turns;
            let whole = |turn: &String| turn.contains("press 1") && turn.contains("press 2");
            checks.that(
                "both options are heard as one turn",
                turns.iter().any(whole),
            );
            checks.same("keys pressed", seen.keys_pressed(), "2");
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "menu-in-a-circle",
        about: "the same menu comes back: another option the second time, a note and goodbye the third",
        haste: 2,
        options: || callee(with_menu(circle())),
        outcome: Outcome::Failure,
        also: |seen, checks| {
            checks.same("keys pressed", seen.keys_pressed(), "21");
            let noted = seen.snapshot.notes.iter().any(|note| note.contains("menu"));
            checks.that("it is noted", noted);
            checks.that("goodbye is said", seen.heard().ends_with("Goodbye."));
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "keys-refused",
        about: "the carrier refuses to press a key: the model learns why, and tries again",
        haste: 2,
        options: || Options {
            carrier_fault: Some(CarrierFault::RefusesTwimlOnce),
            ..callee(with_menu(short_menu()))
        },
        also: |seen, checks| {
            let told = seen.sent("conversation.item.create", "The keys were not pressed:");
            checks.same("times the model was told", told, 1);
            checks.same("keys pressed", seen.keys_pressed(), "2");
            checks.same("sessions of the model", seen.sessions, 1);
            let dropped = seen.place(Role::System, "The line dropped");
            checks.that("nothing is said of a lost line", dropped.is_none());
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "keys-unknown",
        about: "nobody knows whether a key was pressed: it is not pressed again until the menu is heard again",
        haste: 1,
        options: || Options {
            carrier_fault: Some(CarrierFault::DropsTwimlOnce),
            ..callee(with_menu(short_menu()))
        },
        also: |seen, checks| {
            let told = seen.sent("conversation.item.create", "It is unknown whether the keys");
            checks.same("times the model was told", told, 1);
            checks.same("keys pressed", seen.keys_pressed(), "2");
            seen.is_one_conversation(
                checks,
                &[
                    (Role::Caller, "press 2"),
                    (Role::Caller, "press 2"),
                    (Role::System, "Keys pressed by the agent: 2"),
                    (Role::Caller, "Reception"),
                ],
                &[
                    "press_keys",
                    "For an appointment, press 2.",
                    "It is unknown whether the keys",
                    "press_keys",
                    "What was said while the keys were pressed",
                    "Reception",
                ],
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
            let person = seen.place(Role::Caller, "reception");
            let meanwhile = held.zip(person).map(|(from, to)| {
                let lines = seen.snapshot.transcript.iter();
                let lines = lines.skip(from).take(to.saturating_sub(from));
                lines.filter(|line| line.role == Role::Agent).count()
            });
            let silent = meanwhile == Some(0) && held < person;
            checks.that("the agent is silent until the person speaks", silent);
            checks.that(
                "nobody is asked whether they are there",
                !seen.hears("still there"),
            );
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "hold-too-long",
        about: "on hold for longer than OPENAGENT_PHONE_HOLD_SECONDS: the agent says goodbye",
        haste: 1,
        settings: &[("OPENAGENT_PHONE_HOLD_SECONDS", Some("4"))],
        options: || {
            person(vec![
                Step::say("Dental practice."),
                Step::WaitForAgentToFinish,
                Step::say("One moment, please."),
                Step::Music(Duration::from_secs(30)),
            ])
        },
        outcome: Outcome::Failure,
        also: |seen, checks| {
            let held = seen.place(Role::System, "On hold");
            checks.that("the host sees it", held.is_some());
            let told = seen.sent("response.create", "on hold for too long");
            checks.same("times told that it was too long", told, 1);
            checks.that("goodbye is said", seen.heard().ends_with("Goodbye."));
            let lasted = seen.snapshot.duration_s;
            let fact = format!("long before the music ends ({lasted} s)");
            checks.that(fact, lasted < 20.0);
        },
        ..Scenario::GOOD
    },
];
