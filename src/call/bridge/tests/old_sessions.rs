//! Sessions last an hour at most: an old one is replaced, if possible when nobody speaks.

use super::sessions::{GONE, NOT_YET, recalled, said};
use super::*;

const MINUTE: u64 = 60_000;

fn long_call() -> Stage {
    let mut stage = Stage::with(|settings| settings.max_duration = ms(4 * 60 * MINUTE))
        .prepared()
        .greeted();
    assert!(!stage.run_until(54 * MINUTE).contains(&Output::OpenModel));
    stage
}

fn understood(stage: &mut Stage, at: u64, item: &str) -> Vec<Output> {
    let text = "And then?".into();
    stage.at(at, ModelEvent::CallerWords { item, text })
}

#[test]
fn an_old_session_is_replaced_in_a_quiet_moment() {
    let mut stage = long_call();
    // 55 minutes after it was configured, somebody speaks.
    stage.at(55 * MINUTE - 1_000, ModelEvent::SpeechStarted);
    assert!(!stage.run_until(56 * MINUTE).contains(&Output::OpenModel));
    stage.at(56 * MINUTE, ModelEvent::SpeechStopped);
    stage.at(56 * MINUTE, ModelEvent::Committed { item: "q" });
    let sent = stage.agent_says(56 * MINUTE + 100, "r", "a", "Yes.", 1_600);
    let out = stage.at(56 * MINUTE + 450, CarrierEvent::Played(last_mark(&sent)));
    assert!(!out.contains(&Output::OpenModel), "words are on their way");
    let out = understood(&mut stage, 56 * MINUTE + 500, "q");
    assert!(out.contains(&Output::OpenModel), "{out:?}");
    // By the time it is open, somebody speaks again.
    stage.at(56 * MINUTE + 600, ModelEvent::SpeechStarted);
    assert_eq!(stage.at(56 * MINUTE + 700, ModelEvent::Offered), []);
    stage.at(56 * MINUTE + 900, ModelEvent::SpeechStopped);
    stage.at(56 * MINUTE + 900, ModelEvent::Committed { item: "q2" });
    let sent = stage.agent_says(56 * MINUTE + 1_000, "r2", "b", "Yes.", 1_600);
    assert!(!sent.contains(&Output::TakeModel));
    stage.at(56 * MINUTE + 1_450, CarrierEvent::Played(last_mark(&sent)));
    let out = understood(&mut stage, 56 * MINUTE + 1_500, "q2");
    assert!(out.contains(&Output::TakeModel));
    assert_eq!(recalled(&out).last(), Some(&&said("Yes.")));
    assert_eq!(
        asked(&stage.at(56 * MINUTE + 1_600, ModelEvent::Configured)),
        0
    );
    assert!(
        !stage.run_until(111 * MINUTE).contains(&Output::OpenModel),
        "the new one is young"
    );
    assert!(stage.run_until(112 * MINUTE).contains(&Output::OpenModel));
}

#[test]
fn a_session_that_is_gone_before_it_takes_over_is_forgotten() {
    let mut stage = long_call();
    stage.run_until(55 * MINUTE - 1_000);
    stage.at(55 * MINUTE - 500, ModelEvent::SpeechStarted);
    assert!(
        stage
            .run_until(58 * MINUTE + 40_000)
            .contains(&Output::OpenModel)
    );
    stage.at(58 * MINUTE + 41_000, ModelEvent::Offered);
    assert_eq!(stage.at(58 * MINUTE + 42_000, ModelEvent::Withdrawn), []);
    let out = stage.run_until(59 * MINUTE + 11_000);
    assert!(!out.contains(&Output::TakeModel));
    assert!(!out.contains(&Output::OpenModel));
    let out = stage.run_until(59 * MINUTE + 12_100);
    assert!(out.contains(&Output::OpenModel), "half a minute later");
    // Lost meanwhile, nothing is offered that could take over at once.
    assert_eq!(stage.at(59 * MINUTE + 13_000, GONE), []);
    let out = stage.at(59 * MINUTE + 13_100, ModelEvent::Offered);
    assert!(out.contains(&Output::TakeModel));
}

#[test]
fn a_session_that_is_too_old_is_replaced_whoever_speaks() {
    let mut stage = long_call();
    stage.at(54 * MINUTE, ModelEvent::SpeechStarted);
    let out = stage.run_until(59 * MINUTE);
    assert!(out.contains(&Output::OpenModel), "in time");
    stage.at(59 * MINUTE, ModelEvent::Offered);
    let out = stage.run_until(59 * MINUTE + 10);
    assert!(out.contains(&Output::TakeModel), "{out:?}");
}

#[test]
fn an_old_session_stays_until_another_can_be_had() {
    let mut stage = long_call();
    assert!(
        stage
            .run_until(55 * MINUTE + 10)
            .contains(&Output::OpenModel)
    );
    assert_eq!(stage.at(55 * MINUTE + 100, NOT_YET), []);
    assert_eq!(stage.run_until(55 * MINUTE + 30_000), []);
    assert!(
        stage
            .run_until(55 * MINUTE + 30_200)
            .contains(&Output::OpenModel)
    );
}
