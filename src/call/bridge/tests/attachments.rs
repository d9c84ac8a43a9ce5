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
    let back = stage.at(6_000, CarrierEvent::Attached);
    assert_eq!(back, [Output::Model(ToModel::Turns(Turns::Models))]);
    let out = stage.run_until(30_000);
    assert_eq!(hung_up(&out), None);
    assert!(!out.iter().any(is_audio));
    let late = stage.at(31_000, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(late, []);
}

#[test]
fn a_greeting_that_was_not_heard_in_full_is_played_again_from_its_start() {
    let mut stage = Stage::ringing();
    stage.at(1_000, CarrierEvent::Attached);
    let first = stage.tick(2_000);
    stage.at(2_050, CarrierEvent::Detached);
    let mut again = stage.at(3_000, CarrierEvent::Attached);
    again.extend(stage.run_until(4_000));
    assert_eq!(again.iter().filter(|o| is_audio(o)).count(), 2);
    let old = stage.at(4_100, CarrierEvent::Played(last_mark(&first)));
    assert_eq!(old, [], "the old stream's mark does not disclose");
    let out = stage.at(4_200, CarrierEvent::Played(last_mark(&again)));
    assert!(out.contains(&Output::Publish(Change::Disclosed)));
}

#[test]
fn the_model_keeps_a_greeting_that_will_be_played_again() {
    let mut stage = Stage::ringing();
    stage.at(1_000, CarrierEvent::Attached);
    stage.tick(2_000);
    let lost = stage.at(2_050, CarrierEvent::Detached);
    assert_eq!(to_model(&lost), Vec::<&ToModel>::new());
}

#[test]
fn a_greeting_in_the_making_survives_the_loss_of_the_stream() {
    let mut stage = Stage::new();
    stage.at(10, ModelEvent::Configured);
    stage.at(20, CarrierEvent::Attached);
    stage.at(30, ModelEvent::ResponseStarted { response: "greet" });
    stage.at(40, CarrierEvent::Detached);
    stage.at(50, words("g", GREETING));
    stage.at(60, audio("greet", "g", 1_600));
    assert_eq!(stage.at(70, ended("greet")), []);
    stage.at(80, CarrierEvent::Attached);
    assert!(stage.run_until(1_080).iter().any(is_audio));
}

#[test]
fn a_response_that_begins_while_nobody_listens_is_not_heard_from_its_middle() {
    let mut stage = Stage::open();
    stage.at(3_000, CarrierEvent::Detached);
    let out = stage.at(3_100, ModelEvent::ResponseStarted { response: "r" });
    assert_eq!(out, [Output::Model(ToModel::Cancel)]);
    assert_eq!(stage.at(3_110, audio("r", "a", 1_600)), []);
    stage.at(3_200, CarrierEvent::Attached);
    assert_eq!(stage.at(3_210, audio("r", "a", 1_600)), []);
}
