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
        Output::PressKeys(digits) => Some(digits.as_str()),
        _ => None,
    })
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
    let out = stage.at(8_100, CarrierEvent::Attached);
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
    let out = stage.at(4_100, CarrierEvent::Attached);
    assert!(output(&out).unwrap().contains("pressed"));
    assert_eq!(stage.at(4_200, keys(KeysAnswer::Taken)), []);
    assert_eq!(hung_up(&stage.run_until(60_000)), None);
}

#[test]
fn keys_do_not_count_as_lost_streams() {
    let mut stage = Stage::open();
    for round in 0..6 {
        let time = 3_000 + 5_000 * round;
        stage.at(time, ModelEvent::ResponseStarted { response: "r" });
        stage.at(time + 10, tool("r", "press_keys", PRESS));
        assert!(pressed(&stage.at(time + 20, ended("r"))).is_some());
        stage.at(time + 30, CarrierEvent::Detached);
        let back = stage.at(time + 1_000, CarrierEvent::Attached);
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

#[test]
fn a_menu_that_leads_nowhere_is_noted_and_left_with_a_goodbye() {
    let mut stage = Stage::open();
    for round in 0..2 {
        let time = 3_000 + 5_000 * round;
        stage.callee_says(time, time + 1_000, "menu");
        stage.at(time + 1_100, ModelEvent::ResponseStarted { response: "r" });
        stage.at(time + 1_110, tool("r", "press_keys", PRESS));
        stage.at(time + 1_120, ended("r"));
        stage.at(time + 1_130, CarrierEvent::Detached);
        let back = stage.at(time + 2_000, CarrierEvent::Attached);
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
