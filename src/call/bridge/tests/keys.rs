//! Keys that the agent presses.

use super::*;

const PRESS: &str = r#"{"digits":"1w#"}"#;

/// The agent says something of a second, and wants keys pressed. Returns the last mark.
fn wanting_keys() -> (Stage, Mark) {
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "menu");
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, words("a", "One moment."));
    let mut sent = stage.at(3_020, audio("r", "a", 8_000));
    sent.extend(stage.at(3_030, ModelEvent::AudioDone { item: "a" }));
    let out = stage.at(3_040, tool("r", "press_keys", PRESS));
    assert_eq!(
        to_model(&out),
        [&ToModel::Turns(Turns::Ours)],
        "nobody answers meanwhile, and the function has no output yet"
    );
    let out = stage.at(3_050, ended("r"));
    assert_eq!((pressed(&out), asked(&out)), (None, 0));
    (stage, last_mark(&sent))
}

/// The carrier has been asked to press them, at 4020.
fn pressing() -> Stage {
    let (mut stage, end) = wanting_keys();
    let out = stage.at(4_020, CarrierEvent::Played(end));
    assert_eq!(pressed(&out), Some("1w#"), "{out:?}");
    stage
}

fn pressed(outputs: &[Output]) -> Option<&str> {
    outputs.iter().find_map(|output| match output {
        Output::PressKeys { digits, .. } => Some(digits.as_str()),
        _ => None,
    })
}

/// The stream that follows the keys with this number.
fn after_keys(number: u32) -> CarrierEvent {
    CarrierEvent::Attached(Stream::AfterKeys(number))
}

fn output(outputs: &[Output]) -> Option<&str> {
    to_model(outputs).into_iter().find_map(|to| match to {
        ToModel::ToolOutput { call, output } if call == "call_1" => Some(output.as_str()),
        _ => None,
    })
}

fn keys(answer: KeysAnswer) -> Input<'static> {
    Input::Command(Command::Keys(answer))
}

#[test]
fn what_is_being_said_is_heard_first_and_the_conversation_goes_on_with_a_new_stream() {
    let mut stage = pressing();
    assert_eq!(stage.at(4_100, keys(KeysAnswer::Taken)), []);
    let away = stage.at(4_200, CarrierEvent::Detached);
    assert_eq!(to_model(&away), Vec::<&ToModel>::new(), "all was heard");
    assert_eq!(hung_up(&stage.run_until(8_000)), None, "no hang-up");
    let out = stage.at(8_100, after_keys(1));
    assert_eq!(
        lines(&out),
        [(3, Role::System, "Keys pressed by the agent: 1#")]
    );
    assert!(
        output(&out).unwrap().contains(r#""pressed":"1#""#),
        "{out:?}"
    );
    assert_eq!(
        to_model(&out).last(),
        Some(&&ToModel::Turns(Turns::ModelsPatiently)),
        "a menu rests between its options"
    );
    assert!(
        !to_model(&out)
            .iter()
            .any(|to| matches!(to, ToModel::Tell(_))),
        "no dropped line"
    );
    stage.at(8_110, ModelEvent::Configured);
    let out = stage.at(8_120, ModelEvent::Configured);
    assert_eq!(asked(&out), 0, "the menu speaks next");
    // The same transcript and the same conversation: what follows stands behind it.
    stage.callee_says(9_000, 10_000, "person");
    let sent = stage.agent_says(10_100, "r2", "b", "Hello.", 1_600);
    assert!(
        to_model(&sent).contains(&&ToModel::Turns(Turns::Models)),
        "it speaks again: the usual pace"
    );
    let heard = stage.at(10_500, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(lines(&heard), [(5, Role::Agent, "Hello.")]);
}

#[test]
fn a_new_stream_may_be_faster_than_the_answer_to_the_request() {
    let mut stage = pressing();
    let out = stage.at(4_100, after_keys(1));
    assert!(output(&out).unwrap().contains("pressed"));
    assert_eq!(stage.at(4_200, keys(KeysAnswer::Taken)), []);
    assert_eq!(hung_up(&stage.run_until(60_000)), None);
}

#[test]
fn keys_do_not_count_as_lost_streams() {
    let mut stage = Stage::open();
    for round in 0..6 {
        let time = 3_000 + 5_000 * u64::from(round);
        stage.at(time, ModelEvent::ResponseStarted { response: "r" });
        stage.at(time + 10, tool("r", "press_keys", PRESS));
        assert!(pressed(&stage.at(time + 20, ended("r"))).is_some());
        stage.at(time + 30, CarrierEvent::Detached);
        let back = stage.at(time + 1_000, after_keys(round + 1));
        assert_eq!(hung_up(&back), None);
    }
}

#[test]
fn keys_that_are_refused_are_explained_and_the_model_goes_on() {
    let mut stage = pressing();
    let out = stage.at(4_100, keys(KeysAnswer::Refused("Twilio said no.".into())));
    assert!(output(&out).unwrap().contains("Twilio said no."));
    stage.at(4_110, ModelEvent::Configured);
    assert_eq!(asked(&stage.at(4_120, ModelEvent::Configured)), 1);
    assert_eq!(
        hung_up(&stage.run_until(14_000)),
        None,
        "the old stream stands"
    );
}

#[test]
fn keys_whose_fate_is_unknown_are_not_pressed_again() {
    let mut stage = pressing();
    stage.at(4_100, keys(KeysAnswer::Unknown));
    let out = stage.run_until(20_000);
    assert_eq!(pressed(&out), None);
    assert!(output(&out).unwrap().contains("unknown whether"), "{out:?}");
}

#[test]
fn a_stream_that_does_not_come_back_after_keys_is_a_hang_up() {
    let mut stage = pressing();
    stage.at(4_100, keys(KeysAnswer::Taken));
    stage.at(4_200, CarrierEvent::Detached);
    assert_eq!(hung_up(&stage.run_until(12_500)), None);
    let out = stage.run_until(13_000);
    assert_eq!(hung_up(&out), Some(&End::CalleeHungUp));
}

#[test]
fn a_mark_that_never_comes_back_delays_the_keys_by_two_seconds() {
    let (mut stage, _) = wanting_keys();
    assert_eq!(pressed(&stage.run_until(6_040)), None);
    assert_eq!(pressed(&stage.run_until(6_060)), Some("1w#"));
}

#[test]
fn keys_are_not_pressed_twice_at_once_nor_when_the_call_ends() {
    let (mut stage, end) = wanting_keys();
    stage.at(3_100, ModelEvent::ResponseStarted { response: "auto" });
    stage.at(3_110, Command::End(End::HostHungUp));
    // The mark that the keys waited for comes back all the same.
    let out = stage.at(3_120, CarrierEvent::Played(end));
    assert_eq!(pressed(&out), None);

    let mut stage = Stage::open();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, tool("r", "press_keys", PRESS));
    let out = stage.at(3_020, tool("r", "press_keys", PRESS));
    assert!(output(&out).unwrap().contains("just being pressed"));
    let out = stage.at(3_030, tool("r", "end_call", END_CALL));
    assert!(output(&out).unwrap().contains("ok"));
    let out = stage.at(3_040, ended("r"));
    assert!(output(&out).is_none_or(|output| output.contains("ending")));
    assert_eq!(pressed(&out), None);
}

#[test]
fn an_answer_that_the_model_begins_by_itself_before_the_keys_is_not_heard() {
    let (mut stage, _) = wanting_keys();
    let out = stage.at(3_100, ModelEvent::ResponseStarted { response: "auto" });
    assert_eq!(out, [Output::Model(ToModel::Cancel)]);
    assert_eq!(stage.at(3_110, audio("auto", "x", 1_600)), []);
}

fn tells(outputs: &[Output], words: &str) -> bool {
    let told = |to: &&ToModel| matches!(to, ToModel::Tell(text) if text.contains(words));
    to_model(outputs).iter().any(told)
}

#[test]
fn a_stream_that_was_lost_while_the_carrier_is_asked_is_not_the_one_after_the_keys() {
    let mut stage = pressing();
    stage.at(4_050, CarrierEvent::Detached);
    // It comes back the usual way, before the carrier has answered.
    let back = stage.at(4_500, ATTACHED);
    assert_eq!(
        lines(&back),
        [(3, Role::System, "The line dropped for a moment.")]
    );
    assert_eq!(output(&back), None, "the keys are still on their way");
    assert!(!to_model(&back).contains(&&ToModel::Turns(Turns::ModelsPatiently)));
    stage.at(4_600, keys(KeysAnswer::Taken));
    stage.at(5_000, CarrierEvent::Detached);
    let out = stage.at(9_000, after_keys(1));
    assert!(output(&out).unwrap().contains(r#""pressed":"1#""#));
    assert_eq!(
        lines(&out),
        [(4, Role::System, "Keys pressed by the agent: 1#")]
    );
}

#[test]
fn a_usual_stream_after_keys_were_taken_leaves_open_whether_they_were_pressed() {
    for answer in [KeysAnswer::Taken, KeysAnswer::Unknown] {
        let mut stage = pressing();
        stage.at(4_100, keys(answer));
        stage.at(4_200, CarrierEvent::Detached);
        // What follows the keys was lost on its way, and the carrier asked again.
        let back = stage.at(8_000, ATTACHED);
        assert!(
            output(&back).unwrap().contains("unknown whether"),
            "{back:?}"
        );
        assert!(
            !lines(&back)
                .iter()
                .any(|line| line.2.contains("Keys pressed"))
        );
        assert_eq!(
            to_model(&back).last(),
            Some(&&ToModel::Turns(Turns::ModelsPatiently)),
            "it listens to what the line says"
        );
        stage.at(8_010, ModelEvent::Configured);
        let mut out = stage.at(8_020, ModelEvent::Configured);
        out.extend(stage.run_until(20_000));
        assert_eq!((asked(&out), pressed(&out), hung_up(&out)), (0, None, None));
    }
}

#[test]
fn keys_of_which_it_was_unknown_may_be_pressed_after_all() {
    let mut stage = pressing();
    stage.at(4_100, keys(KeysAnswer::Taken));
    // The old stream was lost just before, and the keys take the one that replaced it.
    let back = stage.at(4_200, ATTACHED);
    assert!(output(&back).unwrap().contains("unknown whether"));
    stage.at(4_300, CarrierEvent::Detached);
    assert_eq!(
        hung_up(&stage.run_until(8_900)),
        None,
        "keys take their time"
    );
    let out = stage.at(9_000, after_keys(1));
    assert_eq!(
        lines(&out),
        [(4, Role::System, "Keys pressed by the agent: 1#")]
    );
    assert!(tells(&out, "pressed after all: 1#"), "{out:?}");
    // Only as long as they may.
    let mut stage = pressing();
    stage.at(4_100, keys(KeysAnswer::Taken));
    stage.at(4_200, ATTACHED);
    stage.at(4_300, CarrierEvent::Detached);
    let out = stage.run_until(12_600);
    assert_eq!(hung_up(&out), Some(&End::CalleeHungUp));
}

#[test]
fn a_stream_of_older_keys_presses_none_of_the_newer_ones() {
    let mut stage = pressing();
    stage.at(4_100, keys(KeysAnswer::Unknown));
    let out = stage.run_until(20_000);
    assert!(output(&out).unwrap().contains("unknown whether"));
    stage.at(20_010, ModelEvent::Configured);
    stage.at(20_020, ModelEvent::Configured);
    stage.at(20_100, ModelEvent::ResponseStarted { response: "r2" });
    stage.at(20_110, tool("r2", "press_keys", r#"{"digits":"5"}"#));
    assert_eq!(pressed(&stage.at(20_120, ended("r2"))), Some("5"));
    let out = stage.at(20_200, after_keys(1));
    assert!(
        output(&out).is_none() && tells(&out, "after all: 1#"),
        "{out:?}"
    );
    let out = stage.at(22_000, after_keys(2));
    assert!(output(&out).unwrap().contains(r#""pressed":"5""#));
}

#[test]
fn a_stream_that_follows_keys_is_waited_for_no_longer_than_its_token_lives() {
    for length in [1, 32] {
        let mut stage = Stage::open();
        stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
        let digits = "1".repeat(length);
        let press = format!(r#"{{"digits":"{digits}"}}"#);
        stage.at(3_010, tool("r", "press_keys", &press));
        assert_eq!(pressed(&stage.at(3_020, ended("r"))), Some(&*digits));
        // The carrier takes as long as it may.
        assert_eq!(output(&stage.run_until(23_010)), None);
        stage.at(23_010, keys(KeysAnswer::Taken));
        stage.at(23_015, CarrierEvent::Detached);
        let lives = u64::try_from(keys_take(length).as_millis()).unwrap();
        assert_eq!(hung_up(&stage.run_until(3_020 + lives - 20)), None);
        assert_eq!(
            hung_up(&stage.run_until(3_020 + lives)),
            Some(&End::CalleeHungUp)
        );
    }
}

#[test]
fn a_menu_that_leads_nowhere_is_noted_and_left_with_a_goodbye() {
    let mut stage = Stage::open();
    for round in 0..2 {
        let time = 3_000 + 5_000 * u64::from(round);
        stage.callee_says(time, time + 1_000, "menu");
        stage.at(time + 1_100, ModelEvent::ResponseStarted { response: "r" });
        stage.at(time + 1_110, tool("r", "press_keys", PRESS));
        stage.at(time + 1_120, ended("r"));
        stage.at(time + 1_130, CarrierEvent::Detached);
        let back = stage.at(time + 2_000, after_keys(round + 1));
        assert!(output(&back).is_some_and(|output| output.contains("pressed")));
    }
    stage.callee_says(13_000, 14_000, "menu");
    stage.at(14_100, ModelEvent::ResponseStarted { response: "r" });
    let noted = stage.at(14_110, tool("r", "note", r#"{"text":"A circle."}"#));
    assert!(noted.contains(&Output::Publish(Change::Note("A circle.".into()))));
    stage.at(14_120, words("bye", "Goodbye."));
    let mut sent = stage.at(14_130, audio("r", "bye", 1_600));
    sent.extend(stage.at(14_135, ModelEvent::AudioDone { item: "bye" }));
    stage.at(14_140, tool("r", "end_call", END_CALL));
    let out = stage.at(14_150, ended("r"));
    assert_eq!((pressed(&out), hung_up(&out)), (None, None));
    let out = stage.at(14_400, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(hung_up(&out), Some(&End::Completed));
}
