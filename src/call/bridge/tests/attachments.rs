//! The carrier's stream is lost and comes back.

use super::*;

#[test]
fn a_lost_stream_is_a_hang_up_unless_a_new_one_comes() {
    let mut stage = Stage::open();
    stage.at(5_000, CarrierEvent::Detached);
    assert_eq!(hung_up(&stage.run_until(7_999)), None);
    assert_eq!(hung_up(&stage.run_until(8_000)), Some(&End::CalleeHungUp));
}

#[test]
fn a_new_stream_continues_the_conversation_without_a_second_greeting() {
    let mut stage = Stage::open();
    let sent = stage.agent_says(4_000, "r", "a", "Half of this is lost.", 8_000);
    stage.at(4_300, CarrierEvent::Played(marks(&sent)[0]));
    let lost = stage.at(4_400, CarrierEvent::Detached);
    assert!(
        to_model(&lost).contains(&&ToModel::Truncate {
            item: "a".into(),
            heard_ms: 199
        }),
        "{lost:?}"
    );
    assert!(to_model(&lost).contains(&&ToModel::Turns(Turns::Ours)));
    let back = stage.at(6_000, ATTACHED);
    assert_eq!(
        lines(&back),
        [(2, Role::System, "The line dropped for a moment.")]
    );
    let [ToModel::Tell(told), ToModel::Turns(Turns::Models)] = to_model(&back)[..] else {
        panic!("{back:?}");
    };
    assert!(told.contains("was not heard") && told.contains("do not greet again"));
    stage.at(6_010, ModelEvent::Configured);
    let on = stage.at(6_020, ModelEvent::Configured);
    assert_eq!(asked(&on), 1, "what was lost is said again: {on:?}");
    let out = stage.run_until(15_000);
    assert_eq!(hung_up(&out), None);
    assert!(!out.iter().any(is_audio));
    let late = stage.at(15_100, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(late, []);
}

#[test]
fn a_stream_that_comes_back_while_nobody_spoke_makes_the_agent_say_nothing() {
    let mut stage = Stage::open();
    stage.at(4_000, CarrierEvent::Detached);
    let back = stage.at(5_000, ATTACHED);
    assert!(matches!(to_model(&back)[0], ToModel::Tell(told) if told.contains("is back")));
    stage.at(5_010, ModelEvent::Configured);
    assert_eq!(asked(&stage.at(5_020, ModelEvent::Configured)), 0);
    assert_eq!(asked(&stage.run_until(30_000)), 0);
}

#[test]
fn the_fourth_new_stream_in_a_minute_ends_the_call_with_an_error() {
    let mut stage = Stage::open();
    for time in [10_000, 20_000, 30_000] {
        stage.at(time, CarrierEvent::Detached);
        let back = stage.at(time + 1_000, ATTACHED);
        assert_eq!(hung_up(&back), None);
    }
    stage.at(71_100, CarrierEvent::Detached);
    let back = stage.at(71_200, ATTACHED);
    assert_eq!(hung_up(&back), None, "the first is more than a minute ago");
    // Also one that comes while the old one still stands.
    let out = stage.at(72_000, ATTACHED);
    assert!(
        matches!(hung_up(&out), Some(End::Failed(why)) if why.contains("more than 3 times")),
        "{out:?}"
    );
}

#[test]
fn what_the_old_stream_still_reports_means_nothing() {
    let mut stage = Stage::open();
    let sent = stage.agent_says(4_000, "r", "a", "Half of this is lost.", 8_000);
    let swapped = stage.at(4_300, ATTACHED);
    let told = to_model(&swapped);
    assert!(
        told.contains(&&ToModel::Delete { item: "a".into() }),
        "{swapped:?}"
    );
    for mark in marks(&sent) {
        assert_eq!(stage.at(4_400, CarrierEvent::Played(mark)), []);
    }
    assert_eq!(
        hung_up(&stage.run_until(20_000)),
        None,
        "no stream is missing"
    );
}

#[test]
fn a_greeting_that_was_not_heard_in_full_is_played_again_from_its_start() {
    let mut stage = Stage::ringing();
    stage.at(1_000, ATTACHED);
    let first = stage.tick(2_000);
    stage.at(2_050, CarrierEvent::Detached);
    let mut again = stage.at(3_000, ATTACHED);
    again.extend(stage.run_until(4_000));
    assert_eq!(again.iter().filter(|o| is_audio(o)).count(), 1);
    let old = stage.at(4_100, CarrierEvent::Played(last_mark(&first)));
    assert_eq!(old, [], "the old stream's mark does not disclose");
    let out = stage.at(4_200, CarrierEvent::Played(last_mark(&again)));
    assert!(out.contains(&Output::Publish(Change::Disclosed)));
}

#[test]
fn the_model_keeps_a_greeting_that_will_be_played_again() {
    let mut stage = Stage::ringing();
    stage.at(1_000, ATTACHED);
    stage.tick(2_000);
    let lost = stage.at(2_050, CarrierEvent::Detached);
    assert_eq!(to_model(&lost), Vec::<&ToModel>::new());
}

#[test]
fn a_greeting_in_the_making_survives_the_loss_of_the_stream() {
    let mut stage = Stage::new();
    stage.at(10, ModelEvent::Configured);
    stage.at(20, ATTACHED);
    stage.at(30, ModelEvent::ResponseStarted { response: "greet" });
    stage.at(40, CarrierEvent::Detached);
    stage.at(50, words("g", GREETING));
    stage.at(60, audio("greet", "g", 1_600));
    assert_eq!(stage.at(70, ended("greet")), []);
    stage.at(80, ATTACHED);
    assert!(stage.run_until(1_080).iter().any(is_audio));
}

#[test]
fn a_response_that_begins_while_nobody_listens_is_not_heard_from_its_middle() {
    let mut stage = Stage::open();
    stage.at(3_000, CarrierEvent::Detached);
    let out = stage.at(3_100, ModelEvent::ResponseStarted { response: "r" });
    assert_eq!(out, [Output::Model(ToModel::Cancel)]);
    assert_eq!(stage.at(3_110, audio("r", "a", 1_600)), []);
    stage.at(3_200, ATTACHED);
    assert_eq!(stage.at(3_210, audio("r", "a", 1_600)), []);
}

#[test]
fn a_call_that_the_carrier_ends_while_the_stream_is_lost_is_over_at_once() {
    let mut stage = Stage::open();
    stage.at(5_000, CarrierEvent::Detached);
    let out = stage.at(5_500, Command::End(End::CalleeHungUp));
    assert_eq!(hung_up(&out), Some(&End::CalleeHungUp), "{out:?}");
}

#[test]
fn a_goodbye_that_broke_off_with_the_stream_is_said_again() {
    let mut stage = Stage::open();
    let mut sent = stage.agent_says(4_000, "r", "a", "Thank you, goodbye.", 8_000);
    stage.at(4_050, ModelEvent::ResponseStarted { response: "r2" });
    stage.at(4_060, tool("r2", "end_call", END_CALL));
    sent.extend(stage.at(4_070, ended("r2")));
    stage.at(4_300, CarrierEvent::Played(marks(&sent)[0]));
    let lost = stage.at(4_400, CarrierEvent::Detached);
    assert_eq!(hung_up(&lost), None, "it has its time to come back");
    let mut back = stage.at(6_000, ATTACHED);
    back.extend(stage.at(6_010, ModelEvent::Configured));
    assert_eq!(asked(&back), 1, "{back:?}");
    let again = stage.agent_says(6_500, "r3", "b", "Goodbye.", 1_600);
    assert_eq!(hung_up(&again), None);
    let out = stage.at(7_000, CarrierEvent::Played(last_mark(&again)));
    assert_eq!(hung_up(&out), Some(&End::Completed));
}
