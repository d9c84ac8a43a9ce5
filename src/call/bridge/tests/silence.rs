//! Nobody says anything.

use super::*;

fn quiet() -> Stage {
    Stage::with(|settings| settings.silence = ms(10_000))
        .prepared()
        .greeted()
}

/// Lets the agent say what it was asked to say, until it was heard.
fn spoken(stage: &mut Stage, from: u64, response: &str, item: &str) -> Vec<Output> {
    let sent = stage.agent_says(from, response, item, "Hello?", 800);
    stage.at(from + 150, CarrierEvent::Played(last_mark(&sent)))
}

#[test]
fn the_agent_asks_once_and_then_says_goodbye() {
    let mut stage = quiet();
    assert_eq!(asked(&stage.run_until(12_199)), 0, "quiet since 2200");
    let out = stage.run_until(12_210);
    let [ToModel::Respond(ask)] = to_model(&out)[..] else {
        panic!("{out:?}");
    };
    assert!(ask.speech_only && ask.instructions.as_ref().unwrap().contains("still there"));
    spoken(&mut stage, 12_300, "r1", "a");
    assert_eq!(asked(&stage.run_until(27_449)), 0, "1.5 times as long");
    let out = stage.run_until(27_460);
    assert!(to_model(&out).contains(&&ToModel::Turns(Turns::Ours)));
    assert_eq!(asked(&out), 1, "{out:?}");
    let out = spoken(&mut stage, 27_500, "r2", "b");
    assert_eq!(hung_up(&out), Some(&End::Completed));
}

#[test]
fn a_word_of_the_callee_starts_it_anew() {
    let mut stage = quiet();
    stage.run_until(12_210);
    spoken(&mut stage, 12_300, "r1", "a");
    stage.callee_says(20_000, 20_500, "here");
    spoken(&mut stage, 20_600, "r2", "b");
    assert_eq!(asked(&stage.run_until(30_700)), 0);
    assert_eq!(asked(&stage.run_until(30_800)), 1, "it asks again");
}

#[test]
fn speech_of_either_side_is_no_silence() {
    let mut stage = quiet();
    stage.at(3_000, ModelEvent::SpeechStarted);
    assert_eq!(asked(&stage.run_until(60_000)), 0, "the callee speaks");
    stage.at(60_000, ModelEvent::SpeechStopped);
    stage.at(60_000, ModelEvent::Committed { item: "q" });
    stage.at(60_100, ModelEvent::ResponseStarted { response: "r" });
    assert_eq!(asked(&stage.run_until(90_000)), 0, "the model thinks");
    stage.at(90_000, audio("r", "a", 800_000));
    stage.at(90_010, ended("r"));
    assert_eq!(asked(&stage.run_until(150_000)), 0, "the agent is heard");
}

#[test]
fn a_lost_stream_stops_the_clock() {
    let mut stage = quiet();
    stage.at(11_000, CarrierEvent::Detached);
    assert_eq!(asked(&stage.run_until(12_500)), 0);
    stage.at(12_600, ATTACHED);
    stage.at(12_700, ModelEvent::Configured);
    stage.at(12_700, ModelEvent::Configured);
    assert_eq!(asked(&stage.run_until(22_500)), 0, "it starts anew");
    assert_eq!(asked(&stage.run_until(22_800)), 1);
}
