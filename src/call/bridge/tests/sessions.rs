//! The model's session is lost, or grows old; the conversation goes on in another.

use super::*;

pub(super) const GONE: ModelEvent<'_> = ModelEvent::Lost {
    why: "It is gone.",
    returns: true,
};

pub(super) const NOT_YET: ModelEvent<'_> = ModelEvent::NotOpened {
    why: "It does not answer.",
    returns: true,
};

/// "One moment, please" is held, of a second; greeted at 2000, open since 2200.
pub(super) fn with_moment() -> Stage {
    let (stage, out) = makes_moment("One moment please", 8_000, ResponseEnding::Completed);
    assert!(matches!(out[..], [Output::KeepMoment(_)]), "{out:?}");
    stage.greeted()
}

/// "One moment, please" was asked for and came like this, at 100, while the phone rings; and what
/// followed from it.
fn makes_moment(text: &str, samples: usize, ending: ResponseEnding<'_>) -> (Stage, Vec<Output>) {
    let mut stage = with_wanted_moment();
    stage.at(80, words("m", text));
    assert_eq!(stage.at(90, audio("moment", "m", samples)), []);
    let response = "moment";
    let out = stage.at(100, ModelEvent::ResponseEnded { response, ending });
    (stage, out)
}

/// A call whose "one moment, please" is being made.
fn with_wanted_moment() -> Stage {
    let mut stage = Stage::with(|settings| {
        settings.one_moment = Some(OneMoment::Make("One moment, please."));
    });
    stage.at(10, ModelEvent::Configured);
    stage.at(20, ModelEvent::ResponseStarted { response: "greet" });
    stage.at(30, words("g", GREETING));
    stage.at(40, audio("greet", "g", 1_600));
    let out = stage.at(60, ended("greet"));
    let [ToModel::Respond(ask)] = to_model(&out)[..] else {
        panic!("{out:?}");
    };
    assert!(ask.aside && ask.speech_only);
    let says = "Say exactly the following: \"One moment, please.\"";
    assert!(ask.instructions.as_ref().unwrap().starts_with(says));
    stage.at(70, ModelEvent::AsideStarted { response: "moment" });
    stage
}

/// How much the callee hears of it when the model is lost, samples.
fn moment_heard(stage: Stage) -> u64 {
    let mut stage = stage.greeted();
    stage.callee_says(2_500, 2_900, "q");
    stage.at(3_000, GONE);
    samples(&stage.run_until(4_600))
}

/// To the callee.
fn samples(outputs: &[Output]) -> u64 {
    let audio = outputs.iter().map(|output| match output {
        Output::Carrier(ToCarrier::Audio(audio)) => audio.samples(),
        _ => 0,
    });
    audio.sum()
}

pub(super) fn recalled(outputs: &[Output]) -> Vec<&Recall> {
    let all = to_model(outputs).into_iter().filter_map(|to| match to {
        ToModel::Recall(recall) => Some(recall),
        _ => None,
    });
    all.collect()
}

pub(super) fn said(text: &str) -> Recall {
    Recall::Said(text.into())
}

pub(super) fn heard(text: &str) -> Recall {
    Recall::Heard(text.into())
}

pub(super) fn to_listen(outputs: &[Output]) -> u64 {
    let audio = to_model(outputs).into_iter().map(|to| match to {
        ToModel::Audio(audio) => audio.samples(),
        _ => 0,
    });
    audio.sum()
}

pub(super) fn frame(at: u64, level: u8) -> CarrierEvent {
    CarrierEvent::Audio {
        at: ms(at),
        audio: Audio::from_samples(&[level; 160]),
    }
}

#[test]
fn the_conversation_goes_on_in_another_session_that_knows_what_was_said() {
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "q");
    let text = "What is it about?".into();
    stage.at(3_000, ModelEvent::CallerWords { item: "q", text });
    stage.at(3_010, ModelEvent::ResponseStarted { response: "n" });
    stage.at(3_020, tool("n", "note", r#"{"text":"curious"}"#));
    stage.at(3_030, ended("n"));
    let sent = stage.agent_says(3_100, "r", "a", "About Thursday.", 1_600);
    stage.at(3_500, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(stage.at(4_000, GONE), [Output::OpenModel]);
    assert_eq!(
        stage.at(4_100, ended("r")),
        [],
        "an old session means nothing"
    );
    let back = stage.at(4_300, ModelEvent::Offered);
    assert_eq!(back[0], Output::TakeModel);
    assert_eq!(
        recalled(&back),
        [
            &said(GREETING),
            &heard("What is it about?"),
            &said("About Thursday."),
        ]
    );
    let note = to_model(&back)[2];
    assert!(
        matches!(note, ToModel::Tell(text) if text.contains("note") && text.contains("curious")),
        "what it did is told in words: {back:?}"
    );
    assert_eq!(
        to_model(&back).last(),
        Some(&&ToModel::Turns(Turns::Models))
    );
    assert_eq!(
        asked(&stage.at(4_400, ModelEvent::Configured)),
        0,
        "nothing was owed"
    );
    // What follows stands in the same transcript.
    stage.callee_says(5_000, 5_500, "q2");
    let sent = stage.agent_says(5_600, "r2", "b", "Yes.", 1_600);
    let out = stage.at(6_000, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(lines(&out), [(4, Role::Agent, "Yes.")]);
}

#[test]
fn what_the_callee_says_meanwhile_is_heard_by_the_new_session() {
    let mut stage = Stage::open();
    for index in 0..50 {
        stage.at(3_000 + 20 * index, frame(20 * index, 0xF8));
    }
    stage.at(4_000, ModelEvent::SpeechStarted);
    stage.at(4_000, frame(1_000, 0x90));
    stage.at(4_010, GONE);
    let mut out = Vec::new();
    for index in 0..50 {
        out.extend(stage.at(4_020 + 20 * index, frame(1_020 + 20 * index, 0x90)));
    }
    assert_eq!(to_listen(&out), 0);
    let back = stage.at(5_100, ModelEvent::Offered);
    assert_eq!(
        to_listen(&back),
        (25 + 1 + 50) * 160,
        "half a second from before they spoke, and all since"
    );
    // Its place in the transcript is where it began.
    stage.at(5_200, ModelEvent::Configured);
    stage.at(5_200, ModelEvent::SpeechStarted);
    stage.at(5_600, ModelEvent::SpeechStopped);
    stage.at(5_600, ModelEvent::Committed { item: "q" });
    let text = "Hello?".into();
    let out = stage.at(5_700, ModelEvent::CallerWords { item: "q", text });
    let [Output::Publish(Change::Line { slot: 1, at, .. })] = out[..] else {
        panic!("{out:?}");
    };
    assert_eq!(at, ms(4_000));
}

#[test]
fn what_is_lost_beyond_ten_seconds_is_told() {
    let mut stage = Stage::open();
    stage.at(3_000, GONE);
    let mut out = Vec::new();
    for index in 0..375 {
        out.extend(stage.at(3_000 + 20 * index, frame(20 * index, 0x90)));
    }
    assert!(
        !out.iter()
            .any(|output| matches!(output, Output::Publish(_)))
    );
    let long = Audio::from_samples(&vec![0x90; 24_000]);
    let out = stage.at(
        10_900,
        CarrierEvent::Audio {
            at: ms(7_500),
            audio: long,
        },
    );
    let lost = out
        .iter()
        .find(|output| matches!(output, Output::Publish(Change::EarlyAudioDropped(_))));
    assert!(lost.is_some(), "{out:?}");
}

#[test]
fn a_question_without_an_answer_is_heard_again_and_answered_once() {
    let mut stage = Stage::open();
    stage.at(2_500, ModelEvent::SpeechStarted);
    for index in 0..20 {
        stage.at(2_500 + 20 * index, frame(20 * index, 0x90));
    }
    stage.at(2_900, ModelEvent::SpeechStopped);
    stage.at(2_900, ModelEvent::Committed { item: "q" });
    stage.at(3_000, GONE);
    let back = stage.at(3_300, ModelEvent::Offered);
    assert_eq!(to_listen(&back), 20 * 160, "{back:?}");
    assert_eq!(recalled(&back), [&said(GREETING)]);
    // The new session finds the turn in it before it takes over answering.
    stage.at(3_310, ModelEvent::SpeechStarted);
    stage.at(3_310, ModelEvent::SpeechStopped);
    stage.at(3_310, ModelEvent::Committed { item: "q2" });
    let out = stage.at(3_320, ModelEvent::Configured);
    assert_eq!(asked(&out), 1);
    stage.at(3_330, ModelEvent::ResponseStarted { response: "r" });
    assert_eq!(asked(&stage.at(3_500, ended("r"))), 0, "once");
}

#[test]
fn an_answer_that_broke_off_is_taken_up_and_what_was_sent_of_it_is_heard() {
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "q");
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, words("a", "It is about"));
    let mut sent = stage.at(3_020, audio("r", "a", 8_000));
    sent.extend(stage.at(3_100, GONE));
    let marked: u64 = 8_000;
    assert!(
        marks(&sent).len() >= 5,
        "all {marked} have a mark: {sent:?}"
    );
    assert!(!sent.contains(&Output::Carrier(ToCarrier::Clear)));
    let back = stage.at(3_400, ModelEvent::Offered);
    assert_eq!(recalled(&back).last(), Some(&&said("It is about")));
    assert_eq!(asked(&stage.at(3_500, ModelEvent::Configured)), 1);
    let out = stage.at(4_100, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(lines(&out), [(2, Role::Agent, "It is about")]);
}

#[test]
fn a_question_whose_answer_broke_off_before_its_words_came_is_heard_again() {
    let mut stage = Stage::open();
    stage.at(2_500, ModelEvent::SpeechStarted);
    for index in 0..20 {
        stage.at(2_500 + 20 * index, frame(20 * index, 0x90));
    }
    stage.at(2_900, ModelEvent::SpeechStopped);
    stage.at(2_900, ModelEvent::Committed { item: "q" });
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_020, audio("r", "a", 8_000));
    let lost = stage.at(3_100, GONE);
    assert_eq!(lines(&lost), [], "its words may still come");
    let back = stage.at(3_300, ModelEvent::Offered);
    assert_eq!(to_listen(&back), 20 * 160);
    let out = stage.at(3_310, ModelEvent::SpeechStarted);
    assert!(
        !out.contains(&Output::Carrier(ToCarrier::Clear)),
        "it was said before"
    );
    stage.at(3_310, ModelEvent::SpeechStopped);
    stage.at(3_310, ModelEvent::Committed { item: "q2" });
    let out = stage.at(3_320, ModelEvent::SpeechStarted);
    assert!(
        out.contains(&Output::Carrier(ToCarrier::Clear)),
        "this is said now"
    );
    let text = "What is it about?".into();
    let out = stage.at(3_400, ModelEvent::CallerWords { item: "q2", text });
    assert_eq!(lines(&out), [(1, Role::Caller, "What is it about?")]);
}

#[test]
fn an_interrupted_sentence_of_an_old_session_is_not_truncated_in_the_new_one() {
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "q");
    let sent = stage.agent_says(3_000, "r", "a", "It is about Thursday.", 24_000);
    stage.at(3_300, CarrierEvent::Played(marks(&sent)[0]));
    stage.at(3_400, GONE);
    stage.at(3_600, ModelEvent::Offered);
    stage.at(3_700, ModelEvent::Configured);
    let out = stage.at(3_800, ModelEvent::SpeechStarted);
    assert!(out.contains(&Output::Carrier(ToCarrier::Clear)));
    let [ToModel::Tell(told)] = to_model(&out)[..] else {
        panic!("{out:?}");
    };
    assert!(told.contains("cut off"), "{told}");
}

#[test]
fn who_waits_longer_hears_one_moment_please_in_the_agents_voice() {
    let mut stage = with_moment();
    stage.callee_says(2_500, 2_900, "q");
    stage.at(3_000, GONE);
    assert!(!stage.run_until(4_499).iter().any(is_audio));
    let sent = stage.run_until(4_500);
    assert_eq!(samples(&sent), 8_000, "{sent:?}");
    assert!(!stage.run_until(6_000).iter().any(is_audio), "once");
    let out = stage.at(6_000, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(lines(&out), [(2, Role::Agent, "One moment please")]);
    let back = stage.at(6_100, ModelEvent::Offered);
    assert_eq!(
        recalled(&back).last(),
        Some(&&said("One moment please")),
        "the new session knows that it was said"
    );
    assert_eq!(asked(&stage.at(6_200, ModelEvent::Configured)), 1);
}

#[test]
fn what_was_made_is_kept_for_other_calls_if_it_says_what_was_asked_for_and_no_more() {
    use ResponseEnding::{Cancelled, Completed, Incomplete};
    let sentence = "One moment, please.";
    let named = "One moment, please, Ada.";
    let long = "One moment, please. ".repeat(7);
    for (text, length, ending, heard, kept) in [
        (sentence, 8_000, Completed, 8_000, true),
        ("one moment please", 24_000, Completed, 24_000, true),
        // Meant for this callee.
        (named, 8_000, Completed, 8_000, false),
        ("One moment.", 8_000, Completed, 8_000, false),
        // So long that more may have been said than its words tell.
        (sentence, 24_001, Completed, 24_001, false),
        // Not what was asked for.
        ("", 8_000, Completed, 0, false),
        (&long, 8_000, Completed, 0, false),
        (sentence, 40_001, Completed, 0, false),
        (sentence, 0, Completed, 0, false),
        (sentence, 8_000, Cancelled, 0, false),
        (sentence, 8_000, Incomplete, 0, false),
    ] {
        let shown = format!("{text:?}, {length}, {ending:?}");
        let (stage, out) = makes_moment(text, length, ending);
        let keeps = matches!(out[..], [Output::KeepMoment(_)]);
        assert!(
            keeps == kept && (kept || out.is_empty()),
            "{shown}: {out:?}"
        );
        assert_eq!(moment_heard(stage), heard, "{shown}");
    }
}

#[test]
fn what_was_made_in_several_pieces_stays_in_its_call() {
    let mut stage = with_wanted_moment();
    stage.at(80, words("m", "One moment, please."));
    stage.at(90, audio("moment", "m", 8_000));
    // Nobody can tell what this is.
    stage.at(95, audio("moment", "n", 4_000));
    assert_eq!(stage.at(100, ended("moment")), []);
    assert_eq!(moment_heard(stage), 12_000);
}

#[test]
fn what_an_earlier_call_has_made_is_played_and_not_asked_for() {
    let (earlier, out) = makes_moment("One moment, please.", 8_000, ResponseEnding::Completed);
    let [Output::KeepMoment(recording)] = &out[..] else {
        panic!("{out:?}");
    };
    let recording = std::sync::Arc::clone(recording);
    // It outlives that call.
    drop(earlier);
    let mut stage = Stage::with(|settings| settings.one_moment = Some(OneMoment::Made(recording)));
    stage.at(10, ModelEvent::Configured);
    stage.at(20, ModelEvent::ResponseStarted { response: "greet" });
    stage.at(30, words("g", GREETING));
    stage.at(40, audio("greet", "g", 1_600));
    assert_eq!(stage.at(60, ended("greet")), []);
    let mut stage = stage.greeted();
    stage.callee_says(2_500, 2_900, "q");
    stage.at(3_000, GONE);
    let sent = stage.run_until(4_500);
    assert_eq!(samples(&sent), 8_000, "{sent:?}");
    let out = stage.at(6_000, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(lines(&out), [(2, Role::Agent, "One moment, please.")]);
}

#[test]
fn who_does_not_wait_hears_nothing() {
    let mut stage = with_moment();
    stage.at(3_000, GONE);
    assert!(
        !stage.run_until(6_000).iter().any(is_audio),
        "nobody asked anything"
    );
    let mut stage = with_moment();
    stage.at(3_000, GONE);
    for index in 0..100 {
        let out = stage.at(3_000 + 20 * index, frame(20 * index, 0x90));
        assert!(!out.iter().any(is_audio), "they are speaking");
    }
    let out = stage.at(5_000, frame(2_000, 0xF8));
    assert!(out.iter().any(is_audio), "now they wait");
}

#[test]
fn a_moment_that_is_cut_off_is_unknown_to_the_model() {
    let mut stage = with_moment();
    stage.callee_says(2_500, 2_900, "q");
    stage.at(3_000, GONE);
    stage.run_until(4_500);
    stage.at(4_600, ModelEvent::Offered);
    stage.at(4_700, ModelEvent::Configured);
    let out = stage.at(4_800, ModelEvent::SpeechStarted);
    assert!(out.contains(&Output::Carrier(ToCarrier::Clear)));
    assert!(
        !to_model(&out)
            .iter()
            .any(|to| matches!(to, ToModel::Truncate { .. } | ToModel::Delete { .. })),
        "{out:?}"
    );
}

#[test]
fn it_is_tried_again_for_eight_seconds() {
    let mut stage = Stage::open();
    assert_eq!(stage.at(3_000, GONE), [Output::OpenModel]);
    let mut attempts = Vec::new();
    let mut out = stage.at(3_010, NOT_YET);
    for time in (3_020..11_000).step_by(10) {
        out.extend(stage.run_until(time));
        if out.contains(&Output::OpenModel) {
            attempts.push(time);
            out = stage.at(time, NOT_YET);
        }
        assert_eq!(hung_up(&out), None, "{time}");
    }
    assert_eq!(attempts, [3_260, 3_760, 4_760, 6_760, 10_760]);
    let out = stage.run_until(11_000);
    assert!(
        matches!(hung_up(&out), Some(End::ModelGone(why)) if why.contains("It is gone.")),
        "{out:?}"
    );
}

#[test]
fn a_refusal_to_open_another_ends_the_call() {
    let mut stage = Stage::open();
    stage.at(3_000, GONE);
    let why = "The key was withdrawn.";
    let out = stage.at(
        3_100,
        ModelEvent::NotOpened {
            why,
            returns: false,
        },
    );
    assert_eq!(hung_up(&out), Some(&End::ModelGone(why.into())));
}

#[test]
fn an_expired_session_is_replaced() {
    let mut stage = Stage::open();
    let expired = ModelEvent::Error {
        about: None,
        kind: ErrorKind::Expired,
        message: "60 minutes".into(),
    };
    assert_eq!(stage.at(3_000, expired), [Output::OpenModel]);
    assert_eq!(stage.at(3_010, GONE), [], "its close says nothing new");
    let back = stage.at(3_300, ModelEvent::Offered);
    assert_eq!(back[0], Output::TakeModel);
    assert_eq!(recalled(&back), [&said(GREETING)]);
    stage.at(3_400, ModelEvent::Configured);
    stage.callee_says(4_000, 4_500, "q");
    let sent = stage.agent_says(4_600, "r", "a", "Yes.", 1_600);
    let out = stage.at(5_000, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(lines(&out), [(2, Role::Agent, "Yes.")]);
    assert_eq!(hung_up(&stage.run_until(60_000)), None);
}

#[test]
fn a_goodbye_that_is_queued_is_played_although_the_model_is_lost() {
    for returns in [true, false] {
        let mut stage = Stage::open();
        stage.callee_says(2_500, 2_900, "bye");
        stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
        stage.at(3_010, words("a", "Goodbye."));
        let mut sent = stage.at(3_020, audio("r", "a", 8_000));
        stage.at(3_040, tool("r", "end_call", END_CALL));
        sent.extend(stage.at(
            3_050,
            ModelEvent::Lost {
                why: "It is gone.",
                returns,
            },
        ));
        assert!(!sent.contains(&Output::OpenModel));
        assert_eq!(hung_up(&sent), None);
        let out = stage.at(4_050, CarrierEvent::Played(last_mark(&sent)));
        assert_eq!(lines(&out), [(2, Role::Agent, "Goodbye.")]);
        assert_eq!(hung_up(&out), Some(&End::Completed));
    }
}

#[test]
fn keys_that_were_pressed_meanwhile_are_told_in_words() {
    let mut stage = Stage::open();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, tool("r", "press_keys", r#"{"digits":"1"}"#));
    let out = stage.at(3_020, ended("r"));
    let (number, digits) = (1, "1".into());
    assert!(out.contains(&Output::PressKeys { number, digits }));
    stage.at(3_030, GONE);
    let back = stage.at(3_200, ModelEvent::Offered);
    assert_eq!(
        recalled(&back),
        [&said(GREETING)],
        "a function without output is left out"
    );
    let out = stage.at(3_300, CarrierEvent::Attached(Stream::AfterKeys(1)));
    let told = to_model(&out);
    assert!(
        matches!(told[0], ToModel::Tell(text) if text.contains("press_keys") && text.contains("pressed")),
        "{out:?}"
    );
    assert!(
        !told
            .iter()
            .any(|to| matches!(to, ToModel::ToolOutput { .. }))
    );
}

#[test]
fn a_session_that_is_lost_while_the_phone_rings_makes_the_greeting_again() {
    let mut stage = Stage::new();
    stage.at(10, ModelEvent::Configured);
    stage.at(20, ModelEvent::ResponseStarted { response: "greet" });
    stage.at(30, words("g", "Hello, this is"));
    assert_eq!(stage.at(40, GONE), [Output::OpenModel]);
    let back = stage.at(100, ModelEvent::Offered);
    assert_eq!(asked(&back), 1);
    stage.at(110, ModelEvent::ResponseStarted { response: "again" });
    stage.at(120, words("h", GREETING));
    stage.at(130, audio("again", "h", 1_600));
    stage.at(140, ended("again"));
    stage.greeted();

    let mut held = Stage::ringing();
    held.at(100, GONE);
    assert_eq!(
        asked(&held.at(200, ModelEvent::Offered)),
        0,
        "it is held already"
    );
    held.greeted();
}

#[test]
fn a_first_session_that_never_worked_is_not_tried_again() {
    let mut stage = Stage::new();
    let out = stage.at(10, GONE);
    assert!(matches!(hung_up(&out), Some(End::ModelGone(_))));
}

#[test]
fn a_lost_model_stops_the_clock_of_silence() {
    let mut stage = Stage::with(|settings| settings.silence = ms(5_000))
        .prepared()
        .greeted();
    stage.at(3_000, GONE);
    assert_eq!(asked(&stage.run_until(10_000)), 0);
    stage.at(10_000, ModelEvent::Offered);
    stage.at(10_100, ModelEvent::Configured);
    assert_eq!(asked(&stage.run_until(14_990)), 0);
    assert_eq!(asked(&stage.run_until(15_000)), 1);
}

#[test]
fn the_third_session_knows_what_was_said_in_the_first_two() {
    let mut stage = Stage::open();
    let mut time = 3_000;
    for (question, answer) in [
        ("What is it about?", "About Thursday."),
        ("When?", "At ten."),
    ] {
        stage.callee_says(time, time + 400, question);
        let text = question.into();
        let item = question;
        stage.at(time + 500, ModelEvent::CallerWords { item, text });
        let sent = stage.agent_says(time + 600, answer, answer, answer, 1_600);
        stage.at(time + 1_000, CarrierEvent::Played(last_mark(&sent)));
        assert_eq!(stage.at(time + 1_100, GONE), [Output::OpenModel]);
        let back = stage.at(time + 1_200, ModelEvent::Offered);
        assert_eq!(recalled(&back).last(), Some(&&said(answer)));
        if question == "When?" {
            assert_eq!(
                recalled(&back),
                [
                    &said(GREETING),
                    &heard("What is it about?"),
                    &said("About Thursday."),
                    &heard("When?"),
                    &said("At ten."),
                ]
            );
        }
        assert_eq!(asked(&stage.at(time + 1_300, ModelEvent::Configured)), 0);
        time += 2_000;
    }
}
