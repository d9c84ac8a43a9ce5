//! A session takes the place of a lost one and is lost itself, or has to find out first what was
//! said while there was none.

use super::sessions::{GONE, NOT_YET, frame, heard, recalled, to_listen, with_moment};
use super::*;
use crate::realtime::prompt::Brief;
use crate::realtime::setup::{Setup, TurnDetection};
use crate::realtime::socket::MAX_UNWRITTEN;

/// What a socket must have room for beside what a new session is told at once: a second of the
/// callee, twice over.
const LEFT: usize = 27 * 1_024;

/// The callee asks something from 2500 to 2900, in frames of 20 ms.
fn asked_something() -> Stage {
    ask_something(Stage::open())
}

fn ask_something(mut stage: Stage) -> Stage {
    stage.at(2_500, ModelEvent::SpeechStarted);
    for index in 0..20 {
        stage.at(2_500 + 20 * index, frame(20 * index, 0x90));
    }
    stage.at(2_900, ModelEvent::SpeechStopped);
    stage.at(2_900, ModelEvent::Committed { item: "q" });
    stage
}

fn understood(stage: &mut Stage, at: u64, item: &str) {
    let text = "What is it about?".into();
    stage.at(at, ModelEvent::CallerWords { item, text });
}

/// Frames of the callee, one every 20 ms, up to `until`.
fn frames(stage: &mut Stage, from: u64, until: u64, level: u8) -> Vec<Output> {
    let mut out = Vec::new();
    for at in (from..until).step_by(20) {
        out.extend(stage.at(at, frame(at - 2_500, level)));
    }
    out
}

#[test]
fn sessions_that_are_lost_one_after_another_are_one_loss() {
    let mut stage = Stage::open();
    let mut out = stage.at(3_000, GONE);
    let mut opened = Vec::new();
    let mut time = 3_000;
    while hung_up(&out).is_none() {
        assert!(time < 12_000, "it goes on for ever");
        if out.contains(&Output::OpenModel) {
            opened.push(time);
            let taken = stage.at(time + 100, ModelEvent::Offered);
            assert!(taken.contains(&Output::TakeModel));
            time += 200;
            out = stage.at(time, GONE);
        } else {
            time += 10;
            out = stage.run_until(time);
        }
    }
    assert_eq!(opened, [3_000, 3_450, 4_150, 5_350, 7_550]);
    assert_eq!(time, 11_000);
    assert!(
        matches!(hung_up(&out), Some(End::ModelGone(why)) if why.contains("It is gone.")),
        "{out:?}"
    );
}

#[test]
fn a_session_that_is_there_when_the_eight_seconds_are_over_may_stay() {
    let mut stage = Stage::open();
    stage.at(3_000, GONE);
    for time in [3_010, 3_270, 3_780, 4_790] {
        stage.at(time, NOT_YET);
        stage.run_until(time + 2_000);
    }
    stage.at(10_000, ModelEvent::Offered);
    assert_eq!(hung_up(&stage.run_until(12_000)), None);
    let out = stage.at(12_000, GONE);
    assert!(
        matches!(hung_up(&out), Some(End::ModelGone(_))),
        "but not if it is lost, too: {out:?}"
    );
}

#[test]
fn one_moment_please_is_said_once_in_a_row_of_losses() {
    let mut stage = with_moment();
    stage.callee_says(2_500, 2_900, "q");
    stage.at(3_000, GONE);
    let sent = stage.run_until(4_500);
    assert!(sent.iter().any(is_audio));
    stage.at(5_600, CarrierEvent::Played(last_mark(&sent)));
    stage.at(5_700, ModelEvent::Offered);
    stage.at(5_710, ModelEvent::Configured);
    stage.at(5_800, GONE);
    assert!(!stage.run_until(10_900).iter().any(is_audio));
}

#[test]
fn a_session_on_probation_is_talked_to_as_any_other() {
    let mut stage = asked_something();
    stage.at(3_000, GONE);
    stage.at(3_300, ModelEvent::Offered);
    stage.at(3_310, ModelEvent::Configured);
    let out = stage.at(3_400, frame(400, 0xF8));
    assert_eq!(to_listen(&out), 160);
    let out = stage.at(3_500, CarrierEvent::Detached);
    assert!(to_model(&out).contains(&&ToModel::Turns(Turns::Ours)));
}

#[test]
fn a_session_has_proven_itself_with_its_first_response_or_after_five_seconds() {
    let replaced = || {
        let mut stage = Stage::open();
        stage.at(3_000, GONE);
        stage.at(3_100, ModelEvent::Offered);
        stage.at(3_110, ModelEvent::Configured);
        stage
    };
    // Lost at `at`: whether that is a loss of its own, with eight seconds of its own.
    let is_new = |mut stage: Stage, at: u64| {
        let at_once = stage.at(at, GONE).contains(&Output::OpenModel);
        let patient = hung_up(&stage.run_until(at + 7_990)).is_none();
        assert_eq!(at_once, patient);
        at_once
    };
    let mut answers = replaced();
    answers.agent_says(3_200, "r", "a", "Here I am.", 1_600);
    assert!(is_new(answers, 3_300));
    let mut fails = replaced();
    fails.at(3_200, ModelEvent::ResponseStarted { response: "r" });
    fails.at(
        3_210,
        ModelEvent::ResponseEnded {
            response: "r",
            ending: ResponseEnding::Failed {
                fatal: false,
                message: "overloaded".into(),
            },
        },
    );
    assert!(!is_new(fails, 3_300));
    assert!(!is_new(replaced(), 8_090));
    assert!(is_new(replaced(), 8_100));
}

#[test]
fn what_the_callee_said_survives_a_second_loss() {
    let mut stage = asked_something();
    stage.at(3_000, GONE);
    let back = stage.at(3_300, ModelEvent::Offered);
    assert_eq!(to_listen(&back), 20 * 160);
    // Before the new session has noticed anything.
    stage.at(3_320, GONE);
    stage.run_until(3_600);
    let back = stage.at(3_700, ModelEvent::Offered);
    assert_eq!(to_listen(&back), 20 * 160, "{back:?}");
    // When it is just noticing it, and the callee goes on.
    stage.at(3_720, ModelEvent::SpeechStarted);
    frames(&mut stage, 3_720, 3_800, 0x90);
    stage.at(3_800, GONE);
    stage.run_until(4_400);
    let back = stage.at(4_400, ModelEvent::Offered);
    assert_eq!(to_listen(&back), 24 * 160, "{back:?}");
    // When it has heard it, and is about to answer.
    stage.at(4_410, ModelEvent::SpeechStarted);
    stage.at(4_420, ModelEvent::SpeechStopped);
    stage.at(4_430, ModelEvent::Committed { item: "q2" });
    stage.at(4_440, GONE);
    stage.run_until(5_500);
    let back = stage.at(5_500, ModelEvent::Offered);
    assert_eq!(to_listen(&back), 24 * 160, "{back:?}");
    stage.at(5_510, ModelEvent::SpeechStarted);
    stage.at(5_520, ModelEvent::SpeechStopped);
    stage.at(5_530, ModelEvent::Committed { item: "q3" });
    assert_eq!(asked(&stage.at(5_540, ModelEvent::Configured)), 1);
    let text = "What is it about?".into();
    let out = stage.at(5_550, ModelEvent::CallerWords { item: "q3", text });
    assert_eq!(
        lines(&out),
        [(1, Role::Caller, "What is it about?")],
        "one line, where it was said"
    );
}

#[test]
fn what_is_said_only_while_there_is_no_session_survives_a_second_loss_too() {
    let mut stage = Stage::open();
    stage.at(2_500, GONE);
    frames(&mut stage, 2_500, 3_000, 0x90);
    let back = stage.at(3_000, ModelEvent::Offered);
    assert_eq!(to_listen(&back), 25 * 160);
    stage.at(3_050, GONE);
    stage.run_until(3_400);
    let back = stage.at(3_400, ModelEvent::Offered);
    assert_eq!(to_listen(&back), 25 * 160);
    // Long heard, and nothing in it was speech: it is not said once more.
    frames(&mut stage, 5_000, 5_100, 0xF8);
    stage.at(5_100, GONE);
    stage.run_until(5_700);
    let back = stage.at(5_700, ModelEvent::Offered);
    assert_eq!(to_listen(&back), 0);
}

#[test]
fn a_turn_that_the_new_session_hears_is_answered_by_it_and_not_by_us() {
    let mut stage = asked_something();
    stage.at(3_000, GONE);
    let back = stage.at(3_300, ModelEvent::Offered);
    assert_eq!(to_listen(&back), 20 * 160);
    // It has the turns before it has noticed that somebody spoke.
    let mut out = stage.at(3_310, ModelEvent::Configured);
    out.extend(stage.callee_says(3_320, 3_330, "q2"));
    out.extend(stage.agent_says(3_400, "r", "a", "About Thursday.", 1_600));
    out.extend(stage.run_until(6_000));
    assert_eq!(asked(&out), 0, "{out:?}");
}

#[test]
fn a_turn_that_it_does_not_notice_is_answered_all_the_same_once() {
    let mut stage = asked_something();
    stage.at(3_000, GONE);
    stage.at(3_300, ModelEvent::Offered);
    assert_eq!(asked(&stage.at(3_310, ModelEvent::Configured)), 0);
    assert_eq!(asked(&stage.run_until(4_790)), 0);
    let out = stage.run_until(4_800);
    assert_eq!(lines(&out), [(1, Role::Caller, "(unintelligible)")]);
    assert!(
        matches!(to_model(&out)[0], ToModel::Tell(text) if text.contains("say it again")),
        "{out:?}"
    );
    assert_eq!(asked(&out), 1);
    stage.at(4_900, ModelEvent::ResponseStarted { response: "r" });
    assert_eq!(asked(&stage.at(5_000, ended("r"))), 0);
}

#[test]
fn a_turn_that_is_known_in_words_is_answered_at_once_by_us() {
    let mut stage = asked_something();
    understood(&mut stage, 2_950, "q");
    stage.at(3_000, GONE);
    let mut out = frames(&mut stage, 3_000, 3_300, 0xF8);
    let back = stage.at(3_300, ModelEvent::Offered);
    assert_eq!(recalled(&back).last(), Some(&&heard("What is it about?")));
    out.extend(stage.at(3_310, ModelEvent::Configured));
    assert_eq!(asked(&out), 1, "a hissing line keeps nobody waiting");
    stage.at(3_400, ModelEvent::ResponseStarted { response: "r" });
    let mut out = stage.at(3_500, ended("r"));
    out.extend(stage.run_until(6_000));
    assert_eq!(asked(&out), 0, "once");
}

#[test]
fn who_asks_again_while_there_is_no_session_is_answered_once() {
    let mut stage = asked_something();
    understood(&mut stage, 2_950, "q");
    stage.at(3_000, GONE);
    frames(&mut stage, 3_000, 3_600, 0x90);
    stage.at(3_600, ModelEvent::Offered);
    let mut out = stage.at(3_610, ModelEvent::Configured);
    // "Hello?", which it answers by itself, knowing the question.
    out.extend(stage.callee_says(3_700, 3_800, "q2"));
    out.extend(stage.agent_says(3_900, "r", "a", "About Thursday.", 1_600));
    out.extend(stage.run_until(6_000));
    assert_eq!(asked(&out), 0, "{out:?}");
}

#[test]
fn a_follow_up_that_waited_does_not_come_on_top_of_a_turn_that_is_heard_again() {
    let mut stage = asked_something();
    stage.at(2_950, ModelEvent::ResponseStarted { response: "r" });
    // The host says something while that response is under way, and a key was pressed.
    stage.at(2_960, Command::Instruct("Ask for the price.".into()));
    stage.at(2_970, CarrierEvent::Key('1'));
    stage.run_until(4_500);
    stage.at(4_510, GONE);
    stage.at(4_600, ModelEvent::Offered);
    let out = stage.at(4_610, ModelEvent::Configured);
    assert_eq!(asked(&out), 0, "{out:?}");
}

#[test]
fn a_new_session_knows_of_the_question_to_the_host() {
    let mut stage = asked_something();
    understood(&mut stage, 2_950, "q");
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    let ask = r#"{"question":"Morning or afternoon?"}"#;
    stage.at(3_010, tool("r", "ask_host", ask));
    stage.at(3_020, ended("r"));
    stage.at(3_100, GONE);
    let back = stage.at(3_200, ModelEvent::Offered);
    let known = to_model(&back).into_iter().any(|to| {
        matches!(to, ToModel::Tell(text) if text.contains("Morning or afternoon?") && text.contains("not ask again"))
    });
    assert!(known, "{back:?}");
    let out = stage.at(
        3_300,
        Command::Answer {
            question: "q1".into(),
            text: "Morning.".into(),
        },
    );
    assert!(
        matches!(to_model(&out)[0], ToModel::Tell(text) if text.contains("Morning.")),
        "{out:?}"
    );
}

#[test]
fn a_session_that_is_lost_after_end_call_is_replaced_to_say_goodbye() {
    let mut stage = asked_something();
    understood(&mut stage, 2_950, "q");
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, tool("r", "end_call", END_CALL));
    assert_eq!(stage.at(3_020, GONE), [Output::OpenModel]);
    for time in [3_030, 3_290, 3_800, 4_810, 6_820] {
        assert_eq!(hung_up(&stage.run_until(time)), None);
        stage.at(time, NOT_YET);
    }
    assert_eq!(hung_up(&stage.run_until(10_830)), None);
    let back = stage.at(10_900, ModelEvent::Offered);
    let goodbye = to_model(&back).into_iter().any(|to| {
        matches!(to, ToModel::Respond(Respond { instructions: Some(text), .. }) if text.contains("goodbye"))
    });
    assert!(goodbye, "{back:?}");
    let sent = stage.agent_says(12_000, "r2", "b", "Goodbye.", 1_600);
    let out = stage.at(12_300, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(hung_up(&out), Some(&End::Completed));
}

#[test]
fn a_goodbye_that_was_asked_for_and_not_begun_is_asked_for_again() {
    let mut stage = Stage::with(|settings| settings.max_duration = ms(60_000))
        .prepared()
        .greeted();
    stage.callee_says(30_000, 30_500, "q");
    let sent = stage.agent_says(31_000, "r", "a", "Yes.", 1_600);
    stage.at(31_500, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(asked(&stage.run_until(61_000)), 1, "time is up");
    stage.at(61_010, ModelEvent::ResponseStarted { response: "bye" });
    assert!(stage.at(61_020, GONE).contains(&Output::OpenModel));
    assert_eq!(asked(&stage.at(61_500, ModelEvent::Offered)), 1);
}

#[test]
fn a_loss_does_not_wait_for_the_next_attempt_to_replace_an_old_session() {
    let mut stage = Stage::with(|settings| settings.max_duration = ms(4 * 3_600_000))
        .prepared()
        .greeted();
    let old = 55 * 60_000 + 10;
    assert!(stage.run_until(old).contains(&Output::OpenModel));
    stage.at(old + 10, NOT_YET);
    assert_eq!(stage.at(old + 20, GONE), [Output::OpenModel]);
}

/// How much a session is told at once when it takes over, in bytes on its socket, each message with
/// its frame. Only the wire's own words can tell.
fn takes(outputs: &[Output]) -> usize {
    let setup = Setup {
        model: "gpt-realtime-2.1".into(),
        voice: "alloy".into(),
        brief: Brief::default(),
        turn_detection: TurnDetection::default(),
    };
    let mut text = bytes::BytesMut::new();
    let mut frames = 0;
    for message in to_model(outputs) {
        frames += 14;
        crate::realtime::event::write(message, &setup, &mut text);
    }
    text.len() + frames
}

#[test]
fn what_a_new_session_is_told_at_once_fits_into_its_socket() {
    // What takes the most room: long, short, and full of what must be escaped.
    let texts = [
        "\u{1}".repeat(8_000),
        "\"".repeat(8_000),
        "è".repeat(4_000),
        "a".into(),
    ];
    for (kind, text) in texts.iter().enumerate() {
        for functions in [false, true] {
            // Frames of the usual length, and once crumbs and blocks.
            let odd: &[usize] = if kind == 2 { &[1, 16_000] } else { &[] };
            for samples in [&[160], odd].concat() {
                let takes = takes(&replaced_with(text, functions, samples));
                assert!(
                    takes + LEFT <= MAX_UNWRITTEN,
                    "{takes} bytes: {samples}, {kind}, {functions}"
                );
            }
        }
    }
}

/// What comes out when a session takes over after a long conversation of such texts, said or noted,
/// and while the callee is speaking in frames of so many samples.
fn replaced_with(text: &str, functions: bool, samples: usize) -> Vec<Output> {
    let mut stage = Stage::open();
    stage.at(2_300, ModelEvent::ResponseStarted { response: "r" });
    for number in 0..600 {
        let item = format!("q{number}");
        if functions {
            let arguments = serde_json::json!({ "text": text }).to_string();
            stage.at(2_310, tool("r", "note", &arguments));
        } else {
            stage.at(2_310, ModelEvent::Committed { item: &item });
            let text = text.into();
            stage.at(2_310, ModelEvent::CallerWords { item: &item, text });
        }
    }
    for _ in 0..20 {
        let text = text.chars().take(1_000).collect();
        stage.at(2_320, Command::Instruct(text));
    }
    stage.at(2_400, ModelEvent::SpeechStarted);
    stage.at(2_500, GONE);
    for number in 0..2_500 {
        let (at, audio) = (ms(number * 20), sound(samples));
        stage.at(2_600, CarrierEvent::Audio { at, audio });
    }
    let back = stage.at(2_700, ModelEvent::Offered);
    assert!(to_listen(&back) > 2_000 && back.len() > 8);
    back
}

/// The model notes something silently, and was asked to go on at 3020, which it ignores.
fn ignored() -> Stage {
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "q");
    understood(&mut stage, 2_950, "q");
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, tool("r", "note", r#"{"text":"Tuesday"}"#));
    assert_eq!(asked(&stage.at(3_020, ended("r"))), 1);
    assert_eq!(asked(&stage.run_until(13_010)), 0);
    stage
}

#[test]
fn a_request_that_is_swallowed_is_repeated_once_and_then_the_session_is_replaced() {
    let mut stage = ignored();
    assert_eq!(asked(&stage.run_until(13_020)), 1, "once more");
    assert_eq!(stage.run_until(23_010), []);
    assert_eq!(stage.run_until(23_020), [Output::OpenModel]);
    stage.at(23_100, ModelEvent::Offered);
    assert_eq!(asked(&stage.at(23_110, ModelEvent::Configured)), 1);
    // If that one swallows it, too, no other will do better.
    assert_eq!(asked(&stage.run_until(33_110)), 1);
    let out = stage.run_until(43_110);
    assert!(
        matches!(hung_up(&out), Some(End::ModelGone(why)) if why.contains("does not answer")),
        "{out:?}"
    );
}

#[test]
fn a_session_that_has_answered_since_is_replaced_again() {
    let mut stage = ignored();
    stage.run_until(23_020);
    stage.at(23_100, ModelEvent::Offered);
    stage.at(23_110, ModelEvent::Configured);
    stage.at(23_200, ModelEvent::ResponseStarted { response: "r2" });
    stage.at(23_210, tool("r2", "note", r#"{"text":"Tuesday"}"#));
    assert_eq!(asked(&stage.at(23_220, ended("r2"))), 1);
    assert!(stage.run_until(43_220).contains(&Output::OpenModel));
}

#[test]
fn a_request_that_was_late_is_not_answered_twice() {
    let mut stage = ignored();
    stage.run_until(13_020);
    let mut out = stage.at(13_100, ModelEvent::ResponseStarted { response: "late" });
    // The second request finds the model busy with the first.
    out.extend(stage.at(
        13_110,
        ModelEvent::Error {
            about: Some(Request::Respond),
            kind: ErrorKind::Busy,
            message: "busy".into(),
        },
    ));
    out.extend(stage.at(13_120, audio("late", "a", 1_600)));
    out.extend(stage.at(13_200, ended("late")));
    out.extend(stage.run_until(30_000));
    assert_eq!(asked(&out), 0, "{out:?}");
}

#[test]
fn a_long_turn_that_the_new_session_still_hears_is_not_answered_before_its_end() {
    let mut stage = asked_something();
    stage.at(3_000, GONE);
    stage.at(3_300, ModelEvent::Offered);
    stage.at(3_310, ModelEvent::Configured);
    stage.at(3_320, ModelEvent::SpeechStarted);
    let mut out = frames(&mut stage, 3_400, 5_400, 0x90);
    out.extend(stage.at(5_400, ModelEvent::SpeechStopped));
    out.extend(stage.at(5_500, ModelEvent::Committed { item: "q2" }));
    assert_eq!((asked(&out), lines(&out)), (0, vec![]), "{out:?}");
    understood(&mut stage, 5_600, "q2");
    let out = stage.agent_says(5_700, "r", "a", "About Thursday.", 1_600);
    assert_eq!(asked(&out), 0);
}

#[test]
fn a_response_that_stops_in_the_middle_is_not_waited_for_without_end() {
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "q");
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(4_000, audio("r", "a", 1_600));
    assert!(!stage.run_until(18_990).contains(&Output::OpenModel));
    assert!(stage.run_until(19_000).contains(&Output::OpenModel));
    let back = stage.at(19_200, ModelEvent::Offered);
    assert!(back.contains(&Output::TakeModel));
    // What was begun is taken up, once.
    assert_eq!(asked(&stage.at(19_300, ModelEvent::Configured)), 1);
}

#[test]
fn a_question_over_the_greeting_outlives_the_session_that_heard_it() {
    let mut stage = Stage::ringing();
    stage.at(1_000, ATTACHED);
    let greeted = stage.tick(2_000);
    ask_something_from(&mut stage, 2_020, "q");
    understood(&mut stage, 2_400, "q");
    assert!(stage.at(2_450, GONE).contains(&Output::OpenModel));
    let back = stage.at(2_500, ModelEvent::Offered);
    assert!(
        recalled(&back).contains(&&heard("What is it about?")),
        "{back:?}"
    );
    assert_eq!(asked(&back), 0, "the greeting comes first");
    stage.at(2_510, ModelEvent::Configured);
    let mut out = stage.at(2_600, CarrierEvent::Played(last_mark(&greeted)));
    out.extend(stage.at(2_620, ModelEvent::Configured));
    out.extend(stage.run_until(5_000));
    assert_eq!(asked(&out), 1, "{out:?}");
}

fn ask_something_from(stage: &mut Stage, at: u64, item: &str) {
    stage.at(at, ModelEvent::SpeechStarted);
    stage.at(at + 300, ModelEvent::SpeechStopped);
    stage.at(at + 300, ModelEvent::Committed { item });
}
