//! On hold.

use super::*;

const WAIT: &str = r#"{"reason":"to be put through"}"#;

/// Asked to wait at 2900, and waiting since 3000.
fn held() -> Stage {
    let mut stage = Stage::with(|settings| {
        settings.silence = ms(10_000);
        settings.hold = ms(60_000);
    })
    .prepared()
    .greeted();
    stage.callee_says(2_500, 2_900, "moment");
    stage.at(2_950, ModelEvent::ResponseStarted { response: "r" });
    let out = stage.at(3_000, tool("r", "wait", WAIT));
    assert_eq!(
        lines(&out),
        [(2, Role::System, "On hold: to be put through")]
    );
    assert!(
        matches!(
            to_model(&out)[..],
            [ToModel::ToolOutput { .. }, ToModel::Turns(Turns::Ours)]
        ),
        "{out:?}"
    );
    let out = stage.at(3_010, ended("r"));
    assert_eq!(asked(&out), 0, "nothing is said");
    assert_eq!(asked(&stage.at(3_020, ModelEvent::Configured)), 0);
    stage
}

/// The model is asked about what was heard, and answers by waiting on.
fn waits_on(stage: &mut Stage, at: u64, item: &str) {
    let out = stage.callee_says(at, at + 500, item);
    assert_eq!(asked(&out), 1, "the model decides on each turn: {out:?}");
    stage.at(at + 600, ModelEvent::ResponseStarted { response: "w" });
    let out = stage.at(at + 610, tool("w", "wait", WAIT));
    assert_eq!(lines(&out), [], "it goes on");
    assert_eq!(asked(&stage.at(at + 620, ended("w"))), 0);
}

#[test]
fn nothing_is_said_until_a_person_speaks_to_the_agent() {
    let mut stage = held();
    assert_eq!(
        asked(&stage.run_until(30_000)),
        0,
        "the silence timer rests"
    );
    waits_on(&mut stage, 30_000, "announcement");
    waits_on(&mut stage, 35_000, "music");
    let out = stage.callee_says(40_000, 41_000, "person");
    assert_eq!(asked(&out), 1);
    let sent = stage.agent_says(41_100, "r2", "a", "Hello, it is about Thursday.", 1_600);
    assert!(
        to_model(&sent).contains(&&ToModel::Turns(Turns::Models)),
        "the hold is over: {sent:?}"
    );
    stage.at(41_200, ModelEvent::Configured);
    stage.at(41_500, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(
        asked(&stage.run_until(51_600)),
        1,
        "and the silence timer runs"
    );
}

#[test]
fn what_it_says_before_it_waits_does_not_end_the_hold() {
    let mut stage = held();
    stage.callee_says(5_000, 5_500, "still there");
    stage.at(5_600, ModelEvent::ResponseStarted { response: "w" });
    let sent = stage.at(5_610, audio("w", "a", 800));
    stage.at(5_620, tool("w", "wait", WAIT));
    let mut out = stage.at(5_630, ended("w"));
    assert!(is_audio(&sent[1]) || is_audio(&sent[0]), "{sent:?}");
    out.extend(stage.run_until(30_000));
    assert_eq!(asked(&out), 0);
    assert!(!to_model(&out).contains(&&ToModel::Turns(Turns::Models)));
}

#[test]
fn the_hold_is_bounded_and_ends_with_a_goodbye() {
    let mut stage = held();
    assert_eq!(asked(&stage.run_until(62_999)), 0);
    // Music plays: the model hears somebody speak, and they do not keep the line.
    stage.at(62_999, ModelEvent::SpeechStarted);
    let out = stage.run_until(63_000);
    let [.., ToModel::Respond(ask)] = to_model(&out)[..] else {
        panic!("{out:?}");
    };
    assert!(ask.instructions.as_ref().unwrap().contains("goodbye"));
    let sent = stage.agent_says(63_100, "bye", "b", "I will call again. Goodbye.", 16_000);
    assert_eq!(hung_up(&sent), None);
    let out = stage.at(65_200, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(hung_up(&out), Some(&End::Completed));
}

#[test]
fn time_on_hold_adds_up() {
    let mut stage = held();
    stage.callee_says(43_000, 43_100, "person");
    let sent = stage.agent_says(43_110, "r2", "a", "Yes.", 1_600);
    stage.at(43_500, CarrierEvent::Played(last_mark(&sent)));
    stage.callee_says(44_000, 44_100, "moment again");
    stage.at(44_110, ModelEvent::ResponseStarted { response: "r3" });
    stage.at(44_120, tool("r3", "wait", WAIT));
    stage.at(44_130, ended("r3"));
    // 40.16 s were on hold before.
    assert_eq!(asked(&stage.run_until(63_900)), 0);
    assert_eq!(asked(&stage.run_until(64_000)), 1);
}

#[test]
fn a_mailbox_is_no_line_that_asks_to_wait() {
    let mut stage = Stage::with(|settings| settings.detects_machines = true)
        .prepared()
        .greeted();
    stage.callee_says(2_500, 2_900, "please hold the line");
    stage.at(2_950, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_000, tool("r", "wait", WAIT));
    stage.at(3_010, ended("r"));
    let verdict = Input::Command(Command::Answered(AnsweredBy::Mailbox));
    assert_eq!(stage.at(4_000, verdict), []);
}
