//! Peers that are lost in the middle of a call, and come back or do not.

use std::time::Duration;

use super::{
    Scenario, agrees_at_once, asks, asks_and, callee, person, then_agrees, then_agrees_to,
};
use crate::call::snapshot::{Outcome, Role, Status};
use crate::sandbox::{
    Callee, Loss, LossMoment, Menu, ModelFault, ModelOptions, Options, Parting, Reconnect, Step,
};

/// A model whose first sessions are lost.
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

/// For so long after a stream was lost the carrier does not know that the callee is gone.
const DEAD_FOR: Duration = Duration::from_millis(500);

/// The same, for longer than anybody waits for another stream.
const AWAY_FOR: Duration = Duration::from_secs(30);

/// Asks the agent to wait and comes back after `time`. Meanwhile the line sends next to nothing, as one
/// that leaves silence out.
fn comes_back_after(time: Duration) -> Vec<Step> {
    let (nothing, alive) = (Duration::from_millis(3_960), Duration::from_millis(40));
    let mut script = vec![
        Step::say("Dental practice."),
        Step::WaitForAgentToFinish,
        Step::say("One moment, please."),
    ];
    let mut waited = Duration::ZERO;
    while waited < time {
        script.extend([Step::BadLine(nothing), Step::Pause(alive)]);
        waited += nothing + alive;
    }
    let back = Step::say("Hello, this is the reception. How can I help you?");
    script.extend(then_agrees(vec![back]));
    script
}

/// What is said in a call that goes well, and that each session must be told.
const ALL_SAID: &[(Role, &str)] = &[
    (Role::Agent, "this is an AI assistant"),
    (Role::Caller, "What is it about?"),
    (Role::Agent, "for the following reason"),
    (Role::Caller, "Tuesday at ten works"),
    (Role::Agent, "I have noted that"),
];

/// The same in the context of the last one.
const ALL_KNOWN: &[&str] = &[
    "this is an AI assistant",
    "What is it about?",
    "for the following reason",
    "Tuesday at ten works",
    "I have noted that",
];

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "broken-line",
        about: "the line breaks while the agent explains: it says what was lost again, and does not greet again",
        haste: 1,
        options: || callee(Callee::with_a_broken_line()),
        also: |seen, checks| {
            checks.same("streams", seen.streams(), 2);
            checks.same("sessions of the model", seen.sessions, 1);
            let told = seen.sent("conversation.item.create", "line dropped");
            checks.same("times the model was told", told, 1);
            seen.is_one_conversation(
                checks,
                &[
                    (Role::Agent, "this is an AI assistant"),
                    (Role::Caller, "What is it about?"),
                    (Role::Agent, "I am calling"),
                    (Role::System, "The line dropped for a moment."),
                    (Role::Agent, "we were cut off"),
                    (Role::Caller, "Are you there?"),
                    (Role::Caller, "Tuesday at ten works"),
                    (Role::Agent, "I have noted that"),
                ],
                &[
                    "this is an AI assistant",
                    "What is it about?",
                    "The line dropped for a moment",
                    "Are you there?",
                    "Tuesday at ten works",
                    "I have noted that",
                ],
            );
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "line-keeps-breaking",
        about: "the line breaks four times within a minute: the call ends, and says what to look at",
        haste: 2,
        options: || {
            let breaks = [Step::Pause(Duration::from_millis(1_500)), Step::LoseStream];
            let mut script = asks();
            script.extend(breaks.iter().cycle().take(4 * breaks.len()).cloned());
            script.push(Step::WaitForever);
            person(script)
        },
        status: Status::Failed,
        outcome: Outcome::Partial,
        also: |seen, checks| {
            checks.same("streams", seen.streams(), 5);
            let lines = seen.snapshot.transcript.iter();
            let dropped = lines
                .filter(|line| line.text.contains("The line dropped"))
                .count();
            checks.same("times it came back", dropped, 3);
            let error = seen.snapshot.error.as_deref().unwrap_or_default();
            checks.that(
                "the error says so",
                error.contains("more than 3 times in a minute"),
            );
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "line-goes-dead",
        about: "the stream is lost, and then the carrier says that the call is over: nobody waits for another",
        haste: 1,
        options: || person(asks_and([Step::Hear(40), Step::LoseLine(DEAD_FOR)])),
        outcome: Outcome::Partial,
        also: |seen, checks| {
            checks.same("streams", seen.streams(), 1);
            let line = seen
                .line
                .as_ref()
                .map_or(0.0, |line| line.duration.as_secs_f64());
            let more = seen.snapshot.duration_s - line;
            let fact = format!("over when the carrier said so ({more:.1} s after it)");
            // The three seconds of a stream that comes back would be two and a half more.
            checks.that(fact, more < 1.5);
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "line-stays-away",
        about: "the stream is lost, and no other comes: after three seconds the callee has hung up",
        haste: 1,
        options: || person(asks_and([Step::Hear(40), Step::LoseLine(AWAY_FOR)])),
        outcome: Outcome::Partial,
        also: |seen, checks| {
            checks.same("streams", seen.streams(), 1);
            let dropped = seen.place(Role::System, "The line dropped");
            checks.that("it does not come back", dropped.is_none());
            let cut_off = seen.cut_off().len();
            checks.same("sentences that were cut off", cut_off, 1);
            let lasted = seen.snapshot.duration_s;
            let fact = format!("over long before the carrier would have said so ({lasted} s)");
            checks.that(fact, lasted < 25.0);
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
            seen.is_one_conversation(
                checks,
                &[
                    (Role::Agent, "this is an AI assistant"),
                    (Role::Caller, "What is it about?"),
                    (Role::Agent, "for the following reason"),
                    (Role::Agent, "in the morning."),
                    (Role::Caller, "Tuesday at ten works"),
                    (Role::Agent, "I have noted that"),
                ],
                &[
                    "this is an AI assistant",
                    "for the following reason",
                    "What is it about?",
                    "in the morning.",
                    "Tuesday at ten works",
                    "I have noted that",
                ],
            );
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "model-lost-twice",
        about: "the model's session breaks whenever the callee speaks: the third one knows all that was said",
        haste: 2,
        options: || {
            let loss = Loss {
                at: LossMoment::CalleeSpeaks(2),
                how: Parting::Closes(1006),
                sessions: 2,
                then: Reconnect::RefusedTimes(1),
            };
            losing(loss, then_agrees_to(asks(), "Would that be possible?"))
        },
        also: |seen, checks| {
            checks.same("sessions of the model", seen.sessions, 3);
            seen.is_one_conversation(checks, ALL_SAID, ALL_KNOWN);
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "model-lost-at-keys",
        about: "the model's session breaks when it wants a key pressed: it is pressed once, and the next one learns of it",
        haste: 2,
        options: || {
            let loss = Loss {
                at: LossMoment::ToolCalled(1),
                how: Parting::Closes(1011),
                sessions: 1,
                then: Reconnect::Accepted,
            };
            let menu = Menu {
                says: "For an appointment, press 2.".to_owned(),
                options: vec![("2".to_owned(), agrees_at_once("Reception, good morning."))],
            };
            let script = [
                Step::say("Dental practice."),
                Step::WaitForAgentToFinish,
                Step::Menu(menu),
            ];
            losing(loss, script.into())
        },
        also: |seen, checks| {
            checks.same("sessions of the model", seen.sessions, 2);
            checks.same("keys pressed", seen.keys_pressed(), "2");
            seen.is_one_conversation(
                checks,
                &[
                    (Role::Agent, "this is an AI assistant"),
                    (Role::Caller, "press 2"),
                    (Role::System, "Keys pressed by the agent: 2"),
                    (Role::Caller, "Reception"),
                    (Role::Caller, "Tuesday at ten works"),
                ],
                &[
                    "this is an AI assistant",
                    "press 2",
                    "press_keys has returned",
                    "Reception",
                    "Tuesday at ten works",
                ],
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
            seen.is_one_conversation(checks, ALL_SAID, ALL_KNOWN);
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
            seen.is_one_conversation(checks, ALL_SAID, ALL_KNOWN);
        },
        ..Scenario::GOOD
    },
    Scenario {
        name: "session-grows-old",
        about: "on hold for 55 minutes: another session takes over before the hour, and knows why it is called",
        haste: 1,
        minutes: 57,
        settings: &[
            ("OPENAGENT_PHONE_HOLD_SECONDS", Some("3600")),
            ("OPENAGENT_PHONE_MAX_DURATION_SECONDS", Some("3600")),
        ],
        options: || person(comes_back_after(Duration::from_secs(55 * 60))),
        also: |seen, checks| {
            checks.same("sessions of the model", seen.sessions, 2);
            checks.same("streams", seen.streams(), 1);
            checks.that("the first was left in time", !seen.expired);
            let held = seen.place(Role::System, "On hold");
            checks.that("the host sees the hold", held.is_some());
            seen.is_one_conversation(
                checks,
                &[
                    (Role::Agent, "this is an AI assistant"),
                    (Role::Caller, "One moment, please."),
                    (Role::System, "On hold"),
                    (Role::Caller, "this is the reception"),
                    (Role::Caller, "Tuesday at ten works"),
                    (Role::Agent, "I have noted that"),
                ],
                &[
                    "this is an AI assistant",
                    "One moment, please.",
                    "wait",
                    "this is the reception",
                    "Tuesday at ten works",
                    "I have noted that",
                ],
            );
        },
        ..Scenario::GOOD
    },
];
