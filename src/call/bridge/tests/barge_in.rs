//! The callee speaks over the agent.

use super::*;

/// The agent has said 1 s in one item, of which 400 ms were heard.
fn interrupted() -> (Stage, Vec<Mark>) {
    let mut stage = Stage::open();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    let mut out = Vec::new();
    for (word, at) in [
        ("one ", 0),
        ("two ", 1),
        ("three ", 2),
        ("four ", 3),
        ("five", 4),
    ] {
        out.extend(stage.at(3_010 + at, words("a", word)));
        out.extend(stage.at(3_010 + at, audio("r", "a", 1_600)));
    }
    let sent = marks(&out);
    stage.at(3_450, CarrierEvent::Played(sent[1]));
    (stage, sent)
}

#[test]
fn what_is_queued_is_cleared_and_the_model_learns_what_was_heard() {
    let (mut stage, sent) = interrupted();
    let out = stage.at(3_500, ModelEvent::SpeechStarted);
    assert_eq!(out[0], Output::Carrier(ToCarrier::Clear));
    assert_eq!(
        to_model(&out),
        [&ToModel::Truncate {
            item: "a".into(),
            heard_ms: 400
        }]
    );
    assert_eq!(lines(&out), [(1, Role::Agent, "one two—")]);
    let late = stage.at(3_510, CarrierEvent::Played(sent[2]));
    assert_eq!(late, [], "a mark of the old generation says nothing");
    let late = stage.at(3_520, audio("r", "a", 1_600));
    assert_eq!(
        late,
        [],
        "neither does audio of the response that was cut off"
    );
}

#[test]
fn the_model_cancels_by_itself_once_it_has_the_turns() {
    let (mut stage, _) = interrupted();
    let out = stage.at(3_500, ModelEvent::SpeechStarted);
    assert!(!to_model(&out).contains(&&ToModel::Cancel));
}

#[test]
fn before_the_model_has_the_turns_we_cancel() {
    let mut stage = Stage::ringing();
    stage.at(1_000, ATTACHED);
    let greeted = stage.tick(2_000);
    stage.at(2_200, CarrierEvent::Played(last_mark(&greeted)));
    stage.at(2_210, ModelEvent::ResponseStarted { response: "r" });
    stage.at(2_220, audio("r", "a", 1_600));
    let out = stage.at(2_230, ModelEvent::SpeechStarted);
    assert!(to_model(&out).contains(&&ToModel::Cancel), "{out:?}");
}

#[test]
fn an_item_that_was_not_heard_at_all_is_deleted_and_leaves_no_line() {
    let mut stage = Stage::open();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, words("a", "Nobody hears this."));
    stage.at(3_020, audio("r", "a", 1_600));
    let out = stage.at(3_030, ModelEvent::SpeechStarted);
    assert_eq!(to_model(&out), [&ToModel::Delete { item: "a".into() }]);
    assert_eq!(lines(&out), []);
}

#[test]
fn audio_that_the_carrier_still_holds_is_cut_off_after_the_response_has_ended() {
    let mut stage = Stage::open();
    let sent = stage.agent_says(3_000, "r", "a", "A long speech.", 80_000);
    stage.at(3_300, CarrierEvent::Played(marks(&sent)[0]));
    let out = stage.at(3_400, ModelEvent::SpeechStarted);
    assert_eq!(out[0], Output::Carrier(ToCarrier::Clear));
    assert!(
        matches!(to_model(&out)[..], [ToModel::Truncate { .. }]),
        "no cancel: nothing is active"
    );
}

#[test]
fn several_items_are_cut_one_by_one() {
    let mut stage = Stage::open();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    let mut sent = Vec::new();
    for item in ["a", "b", "c"] {
        stage.at(3_010, words(item, item));
        sent.extend(stage.at(3_010, audio("r", item, 1_590)));
        sent.extend(stage.at(3_010, ModelEvent::AudioDone { item }));
    }
    let sent = marks(&sent);
    let out = stage.at(3_300, CarrierEvent::Played(sent[0]));
    assert_eq!(lines(&out), [], "its words may still grow");
    let out = stage.at(3_400, ModelEvent::SpeechStarted);
    assert_eq!(
        lines(&out),
        [(1, Role::Agent, "a")],
        "heard to its end: no dash"
    );
    let deleted = |item: &str| ToModel::Delete { item: item.into() };
    assert_eq!(to_model(&out), [&deleted("b"), &deleted("c")]);
}

#[test]
fn speech_while_the_agent_is_silent_clears_nothing() {
    let mut stage = Stage::open();
    let said = stage.agent_says(3_000, "r", "a", "Yes.", 800);
    stage.at(3_500, CarrierEvent::Played(last_mark(&said)));
    let out = stage.at(4_000, ModelEvent::SpeechStarted);
    assert_eq!(out, [Output::Publish(Change::CalleeSpoke)]);
}

/// The agent speaks for 5 s from 3000 on, of which 200 ms were heard, to a callee who must be
/// heard for 250 ms to interrupt.
fn patient() -> (Stage, Vec<Mark>) {
    let mut stage = Stage::with(|settings| settings.interrupt_after = ms(250))
        .prepared()
        .greeted();
    let sent = marks(&stage.agent_says(3_000, "r", "a", "A long speech.", 40_000));
    stage.at(3_200, CarrierEvent::Played(sent[0]));
    for frame in 0..25 {
        stage.at(3_200 + frame * 20, frame_of(0xF8, 3_200 + frame * 20));
    }
    (stage, sent)
}

/// 20 ms of the callee at this loudness.
fn frame_of(level: u8, time: u64) -> CarrierEvent {
    CarrierEvent::Audio {
        at: ms(time - 1_000),
        audio: Audio::from_samples(&[level; 160]),
    }
}

/// The callee makes a sound of this length from 3700 on, which is noticed after 100 ms.
fn sound_of(stage: &mut Stage, frames: u64) -> Vec<Output> {
    let mut out = Vec::new();
    for frame in 0..60 {
        let time = 3_700 + frame * 20;
        let level = if frame < frames { 0x90 } else { 0xF8 };
        out.extend(stage.at(time, frame_of(level, time)));
        if frame == 5 {
            out.extend(stage.at(time, ModelEvent::SpeechStarted));
        }
    }
    out
}

#[test]
fn an_mhm_does_not_cut_the_agent_off_and_is_not_answered() {
    let (mut stage, sent) = patient();
    let mut out = sound_of(&mut stage, 10);
    out.extend(stage.at(4_900, ModelEvent::SpeechStopped));
    out.extend(stage.at(4_900, ModelEvent::Committed { item: "mhm" }));
    assert!(!out.contains(&Output::Carrier(ToCarrier::Clear)), "{out:?}");
    let out = stage.at(4_910, ModelEvent::ResponseStarted { response: "extra" });
    assert_eq!(out, [Output::Model(ToModel::Cancel)]);
    assert_eq!(stage.at(4_920, audio("extra", "x", 1_600)), []);
    stage.at(4_930, ended("extra"));
    let out = stage.at(8_000, CarrierEvent::Played(*sent.last().unwrap()));
    assert_eq!(lines(&out), [(1, Role::Agent, "A long speech.")]);
}

#[test]
fn what_is_said_after_an_mhm_is_no_slow_answer_to_it() {
    let (mut stage, _) = patient();
    sound_of(&mut stage, 10);
    stage.at(4_900, ModelEvent::SpeechStopped);
    stage.at(4_900, ModelEvent::Committed { item: "mhm" });
    stage.at(5_500, ModelEvent::ResponseStarted { response: "next" });
    stage.at(5_600, ended("next"));
    stage.at(5_700, ModelEvent::ResponseStarted { response: "more" });
    let out = stage.at(5_800, audio("more", "b", 800));
    assert!(out.iter().any(is_audio), "{out:?}");
    let measured = |output: &Output| matches!(output, Output::Publish(Change::TurnLatency(_)));
    assert!(!out.iter().any(measured), "{out:?}");
}

#[test]
fn a_sound_of_250_ms_interrupts() {
    let (mut stage, _) = patient();
    let out = sound_of(&mut stage, 60);
    assert!(out.contains(&Output::Carrier(ToCarrier::Clear)));
    assert!(to_model(&out).contains(&&ToModel::Truncate {
        item: "a".into(),
        heard_ms: 199
    }));
}

#[test]
fn a_short_answer_to_a_question_that_has_just_ended_is_answered() {
    let (mut stage, sent) = patient();
    sound_of(&mut stage, 10);
    stage.at(4_800, CarrierEvent::Played(*sent.last().unwrap()));
    stage.at(4_900, ModelEvent::SpeechStopped);
    stage.at(4_900, ModelEvent::Committed { item: "yes" });
    let out = stage.at(4_910, ModelEvent::ResponseStarted { response: "r2" });
    assert_eq!(out, [], "the model's own answer is welcome");
    assert!(stage.at(4_920, audio("r2", "b", 800)).iter().any(is_audio));
}

#[test]
fn a_callee_who_cannot_be_measured_interrupts_in_the_end() {
    let (mut stage, _) = patient();
    for frame in 0..3 {
        stage.at(3_700 + frame * 20, frame_of(0x90, 3_700 + frame * 20));
    }
    // Then no frames come any more, but the model believes that they go on.
    stage.at(3_800, ModelEvent::SpeechStarted);
    let out = stage.run_until(5_799);
    assert!(!out.contains(&Output::Carrier(ToCarrier::Clear)));
    let out = stage.run_until(5_800);
    assert!(out.contains(&Output::Carrier(ToCarrier::Clear)));
}

#[test]
fn we_cancel_what_the_model_would_not_stop_by_itself() {
    let mut stage = Stage::with(|settings| settings.interrupt_after = ms(250))
        .prepared()
        .greeted();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, audio("r", "a", 1_600));
    let out = stage.at(3_100, ModelEvent::SpeechStarted);
    assert!(to_model(&out).contains(&&ToModel::Cancel), "{out:?}");
}

#[test]
fn items_that_are_mixed_up_are_told_apart() {
    let mut stage = Stage::open();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, words("b", "Words before any sound."));
    let mut sent = stage.at(3_010, audio("r", "a", 1_599));
    for item in ["b", "a"] {
        sent.extend(stage.at(3_020, audio("r", item, 1_599)));
    }
    stage.at(3_300, CarrierEvent::Played(marks(&sent)[0]));
    let out = stage.at(3_400, ModelEvent::SpeechStarted);
    let truncated = ToModel::Truncate {
        item: "a".into(),
        heard_ms: 199,
    };
    let deleted = ToModel::Delete { item: "b".into() };
    assert_eq!(to_model(&out), [&deleted, &truncated]);
}

#[test]
fn audio_after_the_end_of_an_item_does_not_unsay_it() {
    let mut stage = Stage::open();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    let mut sent = stage.at(3_010, audio("r", "a", 1_600));
    stage.at(
        3_020,
        ModelEvent::WordsDone {
            item: "a",
            text: "Yes.".into(),
        },
    );
    sent.extend(stage.at(3_030, ModelEvent::AudioDone { item: "a" }));
    let out = stage.at(3_300, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(lines(&out), [(1, Role::Agent, "Yes.")]);
    assert_eq!(stage.at(3_310, audio("r", "a", 1_600)), []);
    assert_eq!(stage.at(3_320, words("a", "And no.")), []);
    let out = stage.at(3_400, ModelEvent::SpeechStarted);
    assert_eq!(to_model(&out), Vec::<&ToModel>::new());
}

#[test]
fn an_agent_who_begins_while_the_callee_speaks_is_interrupted_too() {
    let mut stage = Stage::with(|settings| settings.interrupt_after = ms(250))
        .prepared()
        .greeted();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r1" });
    stage.at(3_010, tool("r1", "note", r#"{"text":"Tuesday"}"#));
    assert_eq!(asked(&stage.at(3_020, ended("r1"))), 1);
    // The callee goes on before the response that was asked for begins.
    for frame in 0..25 {
        stage.at(3_030 + frame, frame_of(0xF8, 3_030 + frame * 20));
    }
    stage.at(3_060, ModelEvent::SpeechStarted);
    for frame in 25..45 {
        stage.at(3_060 + frame, frame_of(0x90, 3_030 + frame * 20));
    }
    let out = stage.at(3_200, ModelEvent::ResponseStarted { response: "r2" });
    assert_eq!(out, [Output::Model(ToModel::Cancel)]);
    let out = stage.at(3_210, audio("r2", "b", 1_600));
    assert_eq!(out, [], "nobody talks over the callee");
}

/// The model is lost at 3100, in the middle of a sentence of three seconds of which all was sent.
fn lost_in_mid_sentence() -> Stage {
    let mut stage = Stage::with(|settings| settings.interrupt_after = ms(250))
        .prepared()
        .greeted();
    stage.agent_says(3_000, "r", "a", "It is about Thursday.", 24_000);
    stage.at(3_100, super::sessions::GONE);
    stage
}

/// The callee is heard from 3200 on, in frames of 20 ms.
fn hears(stage: &mut Stage, levels: &[u8]) -> Vec<Output> {
    let mut out = Vec::new();
    for (index, level) in (0..).zip(levels) {
        let at = 20 * index;
        out.extend(stage.at(3_200 + at, super::sessions::frame(at, *level)));
    }
    out
}

#[test]
fn a_callee_who_speaks_over_the_agent_while_the_model_is_lost_interrupts_it_too() {
    let mut stage = lost_in_mid_sentence();
    let clear = Output::Carrier(ToCarrier::Clear);
    assert!(!hears(&mut stage, &[0x90; 12]).contains(&clear), "240 ms");
    let out = stage.at(3_440, super::sessions::frame(240, 0x90));
    assert!(out.contains(&clear), "260 ms: {out:?}");
    assert_eq!(stage.bridge.interruptions(), 1);
    let back = stage.at(3_600, ModelEvent::Offered);
    assert!(
        !super::sessions::recalled(&back)
            .contains(&&super::sessions::said("It is about Thursday.")),
        "nobody has heard it: {back:?}"
    );
    assert_eq!(
        super::sessions::to_listen(&back),
        13 * 160,
        "what they said is heard"
    );
}

#[test]
fn an_mhm_while_the_model_is_lost_does_not_cut_the_agent_off() {
    let mut stage = lost_in_mid_sentence();
    let mhms = [[0x90; 10], [0xF8; 10]].concat().repeat(5);
    let out = hears(&mut stage, &mhms);
    assert!(!out.contains(&Output::Carrier(ToCarrier::Clear)));
}

#[test]
fn nobody_interrupts_the_disclosure_while_the_model_is_lost() {
    let mut stage = Stage::ringing();
    stage.at(1_000, ATTACHED);
    stage.tick(2_000);
    stage.at(2_050, super::sessions::GONE);
    let out = hears(&mut stage, &[0x90; 50]);
    assert!(!out.contains(&Output::Carrier(ToCarrier::Clear)));
}
