//! From the ringing to the end of the greeting.

use super::*;

#[test]
fn the_disclosure_is_asked_for_as_soon_as_the_model_is_configured() {
    let mut stage = Stage::new();
    let out = stage.at(10, ModelEvent::Configured);
    let [
        ToModel::Respond(Respond {
            instructions: Some(instructions),
            speech_only: true,
            aside: false,
        }),
    ] = to_model(&out)[..]
    else {
        panic!("{out:?}");
    };
    assert!(instructions.contains(GREETING), "{instructions}");
}

#[test]
fn nothing_is_played_while_the_phone_rings() {
    let mut stage = Stage::ringing();
    assert_eq!(stage.run_until(50_000), []);
}

#[test]
fn a_silent_callee_is_greeted_after_the_wait() {
    let mut stage = Stage::ringing();
    assert_eq!(stage.at(1_000, ATTACHED), []);
    assert_eq!(stage.bridge.deadline(), Some(ms(2_000)));
    assert_eq!(stage.tick(1_999), []);
    let out = stage.tick(2_000);
    assert_eq!(out[0], Output::Publish(Change::FirstWord(ms(1_000))));
    assert!(is_audio(&out[1]));
}

#[test]
fn without_a_wait_the_greeting_comes_at_once() {
    let mut stage = Stage::with(|settings| settings.greeting_wait = ms(0)).prepared();
    assert!(stage.at(1_000, ATTACHED).iter().any(is_audio));
}

#[test]
fn the_callee_finishes_their_hello_first() {
    let mut stage = Stage::ringing();
    stage.at(1_000, ATTACHED);
    stage.at(1_500, ModelEvent::SpeechStarted);
    assert_eq!(stage.run_until(3_900), [], "they are still speaking");
    let out = stage.at(4_000, ModelEvent::SpeechStopped);
    assert!(out.iter().any(is_audio), "{out:?}");
}

#[test]
fn a_hello_without_end_is_waited_for_six_seconds() {
    let mut stage = Stage::ringing();
    stage.at(1_000, ATTACHED);
    stage.at(1_500, ModelEvent::SpeechStarted);
    assert_eq!(stage.run_until(7_499), []);
    assert!(stage.tick(7_500).iter().any(is_audio));
}

#[test]
fn the_hello_is_answered_by_the_greeting_alone_and_stands_before_it() {
    let mut stage = Stage::ringing();
    stage.at(1_000, ATTACHED);
    let greeted = stage.callee_says(1_200, 1_600, "hello");
    assert!(greeted.iter().any(is_audio));
    let mut out = stage.at(
        1_700,
        ModelEvent::CallerWords {
            item: "hello",
            text: "Hello?".into(),
        },
    );
    out.extend(stage.at(1_900, CarrierEvent::Played(last_mark(&greeted))));
    out.extend(stage.at(1_910, ModelEvent::Configured));
    out.extend(stage.run_until(20_000));
    assert_eq!(
        lines(&out),
        [(0, Role::Caller, "Hello?"), (1, Role::Agent, GREETING)]
    );
    assert_eq!(asked(&out), 0, "no second greeting");
}

#[test]
fn what_is_said_over_the_greeting_does_not_cut_it_and_is_answered_once() {
    let mut stage = Stage::ringing();
    stage.at(1_000, ATTACHED);
    let greeted = stage.tick(2_000);
    let over = stage.callee_says(2_050, 2_150, "over");
    assert!(
        !over.contains(&Output::Carrier(ToCarrier::Clear)),
        "{over:?}"
    );
    assert_eq!(asked(&over), 0);
    let heard = stage.at(2_200, CarrierEvent::Played(last_mark(&greeted)));
    assert_eq!(
        asked(&heard),
        0,
        "not before the model confirms who takes the turns"
    );
    assert_eq!(asked(&stage.at(2_250, ModelEvent::Configured)), 1);
    stage.at(2_300, ModelEvent::ResponseStarted { response: "r" });
    assert_eq!(asked(&stage.at(2_400, ended("r"))), 0);
}

#[test]
fn the_disclosure_counts_when_its_last_mark_has_come_back() {
    let mut stage = Stage::with(|_| {});
    stage.at(10, ModelEvent::Configured);
    stage.at(20, ModelEvent::ResponseStarted { response: "greet" });
    stage.at(30, words("g", GREETING));
    stage.at(40, audio("greet", "g", 8_000));
    stage.at(60, ended("greet"));
    stage.at(1_000, ATTACHED);
    let greeted = marks(&stage.tick(2_000));
    assert_eq!(greeted.len(), 6, "one in 200 ms, and one at the end");
    for mark in &greeted[..5] {
        assert_eq!(stage.at(2_500, CarrierEvent::Played(*mark)), []);
    }
    let out = stage.at(3_000, CarrierEvent::Played(greeted[5]));
    assert!(out.contains(&Output::Publish(Change::Disclosed)));
}

#[test]
fn a_sentence_that_does_not_disclose_is_never_played_and_tried_three_times() {
    let mut stage = Stage::new();
    stage.at(10, ModelEvent::Configured);
    for attempt in 1..=3 {
        let time = attempt * 100;
        stage.at(time, ModelEvent::ResponseStarted { response: "r" });
        stage.at(time + 1, words("g", "Hello, this is Ada."));
        stage.at(time + 2, audio("r", "g", 1_600));
        let out = stage.at(time + 3, ended("r"));
        assert!(to_model(&out).contains(&&ToModel::Delete { item: "g".into() }));
        if attempt < 3 {
            assert_eq!(asked(&out), 1);
        } else {
            assert!(
                matches!(hung_up(&out), Some(End::ModelGone(why)) if why.contains("AI")),
                "{out:?}"
            );
        }
    }
}

#[test]
fn a_second_try_that_discloses_is_the_only_one_that_is_heard() {
    let mut stage = Stage::new();
    stage.at(10, ModelEvent::Configured);
    stage.at(20, ModelEvent::ResponseStarted { response: "r1" });
    stage.at(30, words("g1", "Hello, this is Ada."));
    stage.at(40, audio("r1", "g1", 8_000));
    assert_eq!(asked(&stage.at(50, ended("r1"))), 1);
    stage.at(60, ModelEvent::ResponseStarted { response: "r2" });
    stage.at(70, words("g2", GREETING));
    stage.at(80, audio("r2", "g2", 1_600));
    stage.at(90, ended("r2"));
    stage.at(1_000, ATTACHED);
    let greeted = stage.tick(2_000);
    let played = greeted.iter().filter(|output| is_audio(output)).count();
    assert_eq!(played, 1, "200 ms of the second, none of the first");
    let out = stage.at(2_300, CarrierEvent::Played(last_mark(&greeted)));
    assert_eq!(lines(&out), [(0, Role::Agent, GREETING)]);
}

#[test]
fn the_greeting_answers_the_hello_so_what_comes_later_is_no_slow_answer() {
    let mut stage = Stage::ringing();
    stage.at(1_000, ATTACHED);
    let greeted = stage.callee_says(1_200, 1_600, "hello");
    stage.at(1_900, CarrierEvent::Played(last_mark(&greeted)));
    stage.at(1_910, ModelEvent::Configured);
    let out = stage.agent_says(12_000, "r", "a", "Are you still there?", 800);
    let measured = |output: &Output| matches!(output, Output::Publish(Change::TurnLatency(_)));
    assert!(!out.iter().any(measured), "{out:?}");
}

#[test]
fn an_answer_before_the_greeting_is_ready_is_greeted_when_it_is() {
    let mut stage = Stage::new();
    stage.at(10, ModelEvent::Configured);
    stage.at(1_000, ATTACHED);
    stage.at(4_000, ModelEvent::ResponseStarted { response: "greet" });
    stage.at(4_001, words("g", GREETING));
    assert_eq!(
        stage.at(4_002, audio("greet", "g", 1_600)),
        [],
        "not before it was checked"
    );
    assert!(stage.at(4_010, ended("greet")).iter().any(is_audio));
}

#[test]
fn a_model_that_does_not_speak_in_time_ends_the_call() {
    let mut stage = Stage::new();
    stage.at(1_000, ATTACHED);
    let out = stage.run_until(11_000);
    assert!(matches!(hung_up(&out), Some(End::ModelGone(_))), "{out:?}");
}

#[test]
fn a_stream_that_never_comes_ends_the_call() {
    let mut stage = Stage::ringing();
    let out = stage.run_until(120_000);
    assert!(
        matches!(hung_up(&out), Some(End::Failed(why)) if why.contains("OPENAGENT_PHONE_PUBLIC_URL"))
    );
}

#[test]
fn early_audio_is_held_and_delivered_in_order() {
    let mut stage = Stage::new();
    stage.at(10, ATTACHED);
    for frame in 0..3_u8 {
        let audio = Audio::from_samples(&[frame; 160]);
        let at = ms(u64::from(frame) * 20);
        assert_eq!(stage.at(20, CarrierEvent::Audio { at, audio }), []);
    }
    let out = stage.at(100, ModelEvent::Configured);
    let heard: Vec<Vec<u8>> = to_model(&out)
        .iter()
        .filter_map(|message| match message {
            ToModel::Audio(audio) => Some(audio.decode()),
            _ => None,
        })
        .collect();
    assert_eq!(heard, [vec![0; 160], vec![1; 160], vec![2; 160]]);
}

#[test]
fn early_audio_is_bounded_and_keeps_the_latest() {
    let mut stage = Stage::new();
    stage.at(0, ATTACHED);
    for frame in 0..600_u64 {
        let audio = Audio::from_samples(&[u8::try_from(frame % 251).unwrap(); 160]);
        stage.bridge.handle(
            ms(1),
            CarrierEvent::Audio {
                at: ms(frame * 20),
                audio,
            }
            .into(),
        );
    }
    let out = stage.at(2, ModelEvent::Configured);
    let frames: Vec<_> = to_model(&out)
        .into_iter()
        .filter(|m| matches!(m, ToModel::Audio(_)))
        .collect();
    assert_eq!(frames.len(), 500, "ten seconds");
    let ToModel::Audio(last) = frames[499] else {
        panic!()
    };
    assert_eq!(last.decode()[0], u8::try_from(599 % 251).unwrap());
}

#[test]
fn nothing_but_the_greeting_is_heard_before_it() {
    let mut stage = Stage::ringing();
    stage.at(1_000, ATTACHED);
    let out = stage.at(1_100, ModelEvent::ResponseStarted { response: "extra" });
    assert_eq!(out, [Output::Model(ToModel::Cancel)]);
    assert_eq!(stage.at(1_110, audio("extra", "x", 1_600)), []);
}

#[test]
fn words_without_a_response_do_not_stand_in_the_way_of_the_greeting() {
    let mut stage = Stage::ringing();
    stage.at(900, words("x", "Nonsense."));
    stage.greeted();
}

#[test]
fn the_greeting_cannot_end_the_call() {
    let mut stage = Stage::new();
    stage.at(10, ModelEvent::Configured);
    stage.at(20, ModelEvent::ResponseStarted { response: "greet" });
    assert_eq!(stage.at(25, tool("greet", "end_call", END_CALL)), []);
    stage.at(30, words("g", GREETING));
    stage.at(40, audio("greet", "g", 1_600));
    stage.at(60, ended("greet"));
    assert_eq!(hung_up(&stage.greeted().run_until(60_000)), None);
}

#[test]
fn what_the_model_says_twice_or_about_nothing_does_not_spoil_the_greeting() {
    let mut stage = Stage::new();
    stage.at(10, ModelEvent::Configured);
    stage.at(15, ended("nothing"));
    stage.at(20, ModelEvent::ResponseStarted { response: "greet" });
    stage.at(30, words("g", GREETING));
    stage.at(40, audio("greet", "g", 1_600));
    let refused = ModelEvent::Error {
        about: Some(Request::Respond),
        kind: ErrorKind::Harmless,
        message: "no".into(),
    };
    assert_eq!(stage.at(45, refused), []);
    assert_eq!(
        stage.at(50, ModelEvent::ResponseStarted { response: "greet" }),
        []
    );
    assert_eq!(stage.at(60, ended("greet")), []);
    stage.greeted();
}

#[test]
fn words_that_nobody_asked_for_do_not_stand_before_the_greeting() {
    let mut stage = Stage::ringing();
    stage.at(100, ModelEvent::AsideStarted { response: "stray" });
    stage.at(110, words("s", "Hm."));
    stage.at(120, audio("stray", "s", 1_600));
    stage.at(1_000, ATTACHED);
    let greeted = stage.tick(2_000);
    let heard = stage.at(2_200, CarrierEvent::Played(last_mark(&greeted)));
    assert!(
        heard.contains(&Output::Publish(Change::Disclosed)),
        "{heard:?}"
    );
}

#[test]
fn what_a_greeting_takes_to_be_played_at_once_is_given_back() {
    let mut stage = Stage::new();
    stage.at(10, ModelEvent::Configured);
    stage.at(20, ModelEvent::ResponseStarted { response: "greet" });
    stage.at(30, words("g", GREETING));
    for _ in 0..200 {
        stage.at(40, audio("greet", "g", 160));
    }
    stage.at(60, ended("greet"));
    stage.at(1_000, ATTACHED);
    let sent = stage.tick(2_000);
    assert!(sent.len() > 200, "{}", sent.len());
    assert!(stage.bridge.out.capacity() <= OUT);
}
