//! The conversation itself.

use super::*;

#[test]
fn with_the_gate_open_the_model_answers_and_audio_flows_both_ways() {
    let mut stage = Stage::open();
    let frame = sound(160);
    let out = stage.at(
        3_000,
        CarrierEvent::Audio {
            at: ms(2_000),
            audio: frame.clone(),
        },
    );
    assert_eq!(out, [Output::Model(ToModel::Audio(frame))]);
    assert_eq!(asked(&stage.callee_says(3_000, 3_500, "q")), 0);
    let out = stage.agent_says(3_600, "r", "a", "Yes.", 1_600);
    assert!(
        out.contains(&Output::Publish(Change::TurnLatency(ms(120)))),
        "{out:?}"
    );
    let out = stage.at(4_000, CarrierEvent::Played(last_mark(&out)));
    assert_eq!(lines(&out), [(2, Role::Agent, "Yes.")]);
}

#[test]
fn late_words_of_the_callee_stand_where_they_were_said() {
    let mut stage = Stage::open();
    stage.callee_says(3_000, 3_500, "q");
    let said = stage.agent_says(3_600, "r", "a", "Yes.", 1_600);
    let first = stage.at(4_000, CarrierEvent::Played(last_mark(&said)));
    let late = stage.at(
        5_000,
        ModelEvent::CallerWords {
            item: "q",
            text: " Is it? ".into(),
        },
    );
    assert_eq!(lines(&first), [(2, Role::Agent, "Yes.")]);
    assert_eq!(lines(&late), [(1, Role::Caller, "Is it?")]);
    let twice = stage.at(
        5_100,
        ModelEvent::CallerWords {
            item: "q",
            text: "Is it?".into(),
        },
    );
    assert_eq!(twice, [], "a turn has its words once");
}

#[test]
fn words_that_cannot_be_made_out_leave_a_line() {
    let mut stage = Stage::open();
    stage.callee_says(3_000, 3_500, "q");
    let out = stage.at(5_000, ModelEvent::CallerWordsFailed { item: "q" });
    assert_eq!(lines(&out), [(1, Role::Caller, "(unintelligible)")]);
}

#[test]
fn marks_come_at_least_every_200_ms_and_no_byte_is_lost() {
    let mut stage = Stage::open();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    let raw: Vec<u8> = (0..10_007_u32).map(|i| i.to_le_bytes()[0]).collect();
    let mut out = Vec::new();
    for piece in raw.chunks(997) {
        let audio = Audio::from_samples(piece);
        out.extend(stage.at(
            3_010,
            ModelEvent::Audio {
                response: "r",
                item: "a",
                audio,
            },
        ));
    }
    out.extend(stage.at(3_020, ModelEvent::AudioDone { item: "a" }));
    let (mut played, mut since_mark) = (Vec::new(), 0);
    for output in &out {
        match output {
            Output::Carrier(ToCarrier::Audio(audio)) => {
                played.extend(audio.decode());
                since_mark += audio.samples();
                assert!(since_mark <= 1_600);
            }
            Output::Carrier(ToCarrier::Mark(_)) => since_mark = 0,
            _ => {}
        }
    }
    assert_eq!(played, raw);
    assert_eq!(since_mark, 0, "the end has a mark");
}

#[test]
fn keys_reach_the_transcript_and_the_model_as_one_entry() {
    let mut stage = Stage::open();
    let mut out = stage.at(3_000, CarrierEvent::Key('4'));
    out.extend(stage.at(3_500, CarrierEvent::Key('2')));
    assert_eq!(
        lines(&out),
        [
            (1, Role::System, "Keys pressed: 4"),
            (1, Role::System, "Keys pressed: 42")
        ]
    );
    let out = stage.run_until(6_000);
    let [ToModel::Tell(told), ToModel::Respond(_)] = to_model(&out)[..] else {
        panic!("{out:?}")
    };
    assert!(told.contains("42"));
}

#[test]
fn a_hole_in_the_callees_audio_is_filled_with_silence() {
    let mut stage = Stage::open();
    let frame = |at| CarrierEvent::Audio {
        at: ms(at),
        audio: sound(160),
    };
    assert_eq!(
        to_model(&stage.at(3_000, frame(1_000))).len(),
        1,
        "where it begins is no hole"
    );
    assert_eq!(to_model(&stage.at(3_020, frame(1_020))).len(), 1);
    let out = stage.at(3_200, frame(1_200));
    assert!(out.contains(&Output::Publish(Change::GapFilled(ms(160)))));
    let [ToModel::Audio(silence), ToModel::Audio(_)] = to_model(&out)[..] else {
        panic!("{out:?}")
    };
    assert_eq!(
        silence.samples(),
        1_281,
        "160 ms, rounded up to a whole group"
    );
    assert!(silence.decode().iter().all(|byte| *byte == 0xFF));
    let out = stage.at(9_000, frame(60_000));
    assert!(
        out.contains(&Output::Publish(Change::GapFilled(ms(2_000)))),
        "bounded"
    );
    assert_eq!(
        to_model(&stage.at(9_020, frame(5))).len(),
        1,
        "time that goes back fills nothing"
    );
}

#[test]
fn a_note_without_speech_makes_the_model_go_on_and_one_with_speech_does_not() {
    let mut stage = Stage::open();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r1" });
    let out = stage.at(3_010, tool("r1", "note", r#"{"text":"Tuesday"}"#));
    assert!(out.contains(&Output::Publish(Change::Note("Tuesday".into()))));
    assert!(matches!(to_model(&out)[..], [ToModel::ToolOutput { .. }]));
    assert_eq!(asked(&stage.at(3_020, ended("r1"))), 1);

    stage.at(3_030, ModelEvent::ResponseStarted { response: "r2" });
    stage.at(3_040, audio("r2", "a", 800));
    stage.at(3_050, tool("r2", "note", r#"{"text":"ten"}"#));
    assert_eq!(asked(&stage.at(3_060, ended("r2"))), 0);
}

#[test]
fn an_unknown_function_or_bad_arguments_are_explained_to_the_model() {
    let mut stage = Stage::open();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r1" });
    for (name, arguments) in [("dance", "{}"), ("note", "{"), ("end_call", "{}")] {
        let out = stage.at(3_010, tool("r1", name, arguments));
        let [ToModel::ToolOutput { output, .. }] = to_model(&out)[..] else {
            panic!("{out:?}")
        };
        assert!(output.contains("error"), "{output}");
    }
}

#[test]
fn a_response_that_fails_is_asked_for_again_once() {
    let failed = || ModelEvent::ResponseEnded {
        response: "r",
        ending: ResponseEnding::Failed {
            fatal: false,
            message: "overloaded".into(),
        },
    };
    let mut stage = Stage::open();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    assert_eq!(asked(&stage.at(3_100, failed())), 1);
    stage.at(3_200, ModelEvent::ResponseStarted { response: "r" });
    let out = stage.at(3_300, failed());
    assert!(matches!(hung_up(&out), Some(End::ModelGone(why)) if why.contains("overloaded")));
}

#[test]
fn a_model_that_keeps_the_turns_is_answered_for_by_us() {
    let mut stage = Stage::ringing();
    stage.at(1_000, ATTACHED);
    let greeted = stage.tick(2_000);
    stage.at(2_200, CarrierEvent::Played(last_mark(&greeted)));
    let refused = ModelEvent::Error {
        about: Some(Request::Turns),
        kind: ErrorKind::Harmless,
        message: "unsupported".into(),
    };
    assert_eq!(stage.at(2_300, refused), []);
    assert_eq!(asked(&stage.callee_says(3_000, 3_500, "q")), 1);
}

#[test]
fn a_response_that_is_over_says_nothing_and_does_not_end_twice() {
    let mut stage = Stage::open();
    stage.agent_says(3_000, "r", "a", "Yes.", 1_600);
    for time in [3_100, 3_200] {
        let failed = ModelEvent::ResponseEnded {
            response: "r",
            ending: ResponseEnding::Failed {
                fatal: false,
                message: "overloaded".into(),
            },
        };
        assert_eq!(stage.at(time, failed), []);
    }
    assert_eq!(stage.at(3_300, audio("r", "b", 1_600)), []);
    assert_eq!(stage.at(3_400, tool("r", "end_call", END_CALL)), []);
}

#[test]
fn refusals_of_nothing_are_not_counted() {
    let mut stage = Stage::open();
    for time in 3_000..3_300 {
        let refused = ModelEvent::Error {
            about: Some(Request::Respond),
            kind: ErrorKind::Busy,
            message: "no".into(),
        };
        assert_eq!(stage.at(time, refused), []);
    }
}

#[test]
fn an_item_without_sound_was_not_said() {
    let mut stage = Stage::open();
    let out = stage.agent_says(3_000, "r", "a", "Nobody hears this.", 0);
    assert_eq!(lines(&out), []);
    assert_eq!(lines(&stage.run_until(3_100)), []);
}

#[test]
fn no_time_is_too_far_away() {
    let mut stage = Stage::open();
    let far = CarrierEvent::Audio {
        at: Duration::MAX,
        audio: sound(160),
    };
    let passed_on = stage.at(3_000, far.clone());
    assert_eq!(passed_on, [Output::Model(ToModel::Audio(sound(160)))]);
    assert_eq!(stage.at(3_020, far), passed_on);
    assert_eq!(stage.at(3_040, Command::EndWithin(Duration::MAX)), []);
}

#[test]
fn a_function_that_fails_is_followed_up_although_the_agent_has_spoken() {
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "q");
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, words("a", "I will press one."));
    stage.at(3_020, audio("r", "a", 1_600));
    let out = stage.at(3_030, tool("r", "press_keys", r#"{"digits":"one"}"#));
    assert!(matches!(
        to_model(&out)[..],
        [ToModel::ToolOutput { output, .. }] if output.contains("error")
    ));
    assert_eq!(asked(&stage.at(3_040, ended("r"))), 1);
}

#[test]
fn a_turn_that_was_answered_by_silence_is_not_waited_for_any_more() {
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "hold on");
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, tool("r", "wait", r#"{"reason":"a moment"}"#));
    stage.at(3_020, ended("r"));
    stage.at(3_030, ModelEvent::Configured);
    // A minute later it has something to say: that is no answer.
    let said = stage.agent_says(63_000, "r2", "a", "I am still here.", 1_600);
    let latency = |output: &Output| matches!(output, Output::Publish(Change::TurnLatency(_)));
    assert!(!said.iter().any(latency), "{said:?}");
    // A note is no answer either, but one follows.
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "Tuesday");
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, tool("r", "note", r#"{"text":"Tuesday"}"#));
    assert_eq!(asked(&stage.at(3_020, ended("r"))), 1);
    let said = stage.agent_says(3_500, "r2", "a", "Noted.", 1_600);
    let latency = Output::Publish(Change::TurnLatency(ms(620)));
    assert!(said.contains(&latency), "{said:?}");
}
