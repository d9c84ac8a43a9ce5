//! Goodbyes, time limits, failures.

use super::*;
use crate::call::snapshot::Status;

#[test]
fn the_goodbye_is_heard_to_its_end_before_the_line_is_cut() {
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "bye");
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, words("a", "Goodbye."));
    let mut sent = stage.at(3_020, audio("r", "a", 8_000));
    sent.extend(stage.at(3_030, ModelEvent::AudioDone { item: "a" }));
    let out = stage.at(3_040, tool("r", "end_call", END_CALL));
    let verdict = Change::Verdict {
        summary: "Moved to Tuesday.".into(),
        outcome: Outcome::Success,
    };
    assert!(out.contains(&Output::Publish(verdict)));
    assert!(
        to_model(&out).contains(&&ToModel::Turns(Turns::Ours)),
        "nobody answers any more"
    );
    assert_eq!(hung_up(&stage.at(3_050, ended("r"))), None);
    assert_eq!(hung_up(&stage.run_until(4_000)), None);
    let out = stage.at(4_020, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(lines(&out), [(2, Role::Agent, "Goodbye.")]);
    assert_eq!(hung_up(&out), Some(&End::Completed));
}

#[test]
fn a_call_ended_without_a_word_gets_a_goodbye_once() {
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "bye");
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, tool("r", "end_call", END_CALL));
    let out = stage.at(3_020, ended("r"));
    let [
        ToModel::Respond(Respond {
            instructions: Some(text),
            speech_only: true,
            aside: false,
        }),
    ] = to_model(&out)[..]
    else {
        panic!("{out:?}");
    };
    assert!(text.contains("goodbye"));
    let sent = stage.agent_says(3_100, "r2", "b", "Goodbye.", 1_600);
    assert_eq!(asked(&sent), 0);
    let out = stage.at(3_500, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(hung_up(&out), Some(&End::Completed));
}

#[test]
fn a_goodbye_in_an_earlier_response_is_enough() {
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "bye");
    let sent = stage.agent_says(3_000, "r1", "a", "Goodbye.", 1_600);
    stage.at(3_300, CarrierEvent::Played(last_mark(&sent)));
    stage.at(3_400, ModelEvent::ResponseStarted { response: "r2" });
    stage.at(3_410, tool("r2", "end_call", END_CALL));
    assert_eq!(
        hung_up(&stage.at(3_420, ended("r2"))),
        Some(&End::Completed)
    );
}

#[test]
fn a_mark_that_never_comes_back_delays_the_end_by_two_seconds() {
    let mut stage = Stage::open();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_020, audio("r", "a", 8_000));
    stage.at(3_040, tool("r", "end_call", END_CALL));
    stage.at(3_050, ended("r"));
    assert_eq!(hung_up(&stage.run_until(6_048)), None);
    let out = stage.run_until(6_060);
    assert_eq!(
        hung_up(&out),
        Some(&End::Completed),
        "a second of audio, and two"
    );
}

#[test]
fn a_machine_is_a_voicemail() {
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "please leave a message");
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, words("a", "Please call back."));
    let mut sent = stage.at(3_020, audio("r", "a", 8_000));
    sent.extend(stage.at(3_030, ModelEvent::AudioDone { item: "a" }));
    let out = stage.at(
        3_040,
        tool(
            "r",
            "end_call",
            r#"{"summary":"Left a message.","outcome":"voicemail"}"#,
        ),
    );
    assert!(out.iter().any(|output| matches!(
        output,
        Output::Publish(Change::Verdict { outcome: Outcome::Voicemail, summary })
            if summary == "Left a message."
    )));
    sent.extend(stage.at(3_050, ended("r")));
    sent.extend(stage.run_until(4_000));
    assert_eq!(hung_up(&sent), None, "the message is heard to its end");
    assert_eq!(asked(&sent), 0, "and no goodbye is asked for");
    let out = stage.at(4_050, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(lines(&out), [(2, Role::Agent, "Please call back.")]);
    assert_eq!(hung_up(&out), Some(&End::Voicemail));
}

#[test]
fn the_model_is_told_to_wrap_up_and_gets_a_last_sentence() {
    let mut stage = Stage::with(|settings| settings.max_duration = ms(60_000))
        .prepared()
        .greeted();
    assert_eq!(to_model(&stage.run_until(40_999)).len(), 0);
    let out = stage.run_until(41_000);
    assert!(
        matches!(to_model(&out)[..], [ToModel::Tell(_)]),
        "answered at 1 s: {out:?}"
    );
    assert_eq!(to_model(&stage.run_until(60_999)).len(), 0, "once");
    let out = stage.run_until(61_000);
    assert_eq!(asked(&out), 1, "{out:?}");
    let sent = stage.agent_says(61_500, "r", "a", "Time is up. Goodbye.", 8_000);
    let out = stage.at(62_600, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(hung_up(&out), Some(&End::TimedOut));
}

#[test]
fn the_last_sentence_is_bounded() {
    let mut stage = Stage::with(|settings| settings.max_duration = ms(20_000))
        .prepared()
        .greeted();
    let out = stage.run_until(20_999);
    assert_eq!(
        to_model(&out).len(),
        0,
        "short calls are not told to wrap up"
    );
    stage.run_until(21_000);
    stage.agent_says(21_500, "r", "a", "And another thing…", 800_000);
    assert_eq!(hung_up(&stage.run_until(25_999)), None);
    assert_eq!(hung_up(&stage.run_until(26_000)), Some(&End::TimedOut));
}

#[test]
fn an_agent_that_speaks_at_the_maximum_may_finish_within_five_seconds() {
    let mut stage = Stage::with(|settings| settings.max_duration = ms(20_000))
        .prepared()
        .greeted();
    stage.run_until(20_900);
    let sent = stage.agent_says(20_900, "r", "a", "Well then, until Tuesday.", 8_000);
    let out = stage.run_until(21_000);
    assert_eq!(asked(&out), 0);
    let out = stage.at(22_000, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(hung_up(&out), Some(&End::TimedOut));
}

#[test]
fn the_hosts_hang_up_is_immediate_at_every_stage() {
    for mut stage in [Stage::new(), Stage::ringing(), Stage::open()] {
        let out = stage.at(5_000, Command::End(End::HostHungUp));
        assert_eq!(out, [Output::HangUp(End::HostHungUp)]);
    }
}

#[test]
fn a_phone_that_is_not_picked_up_ends_the_call_with_the_reason() {
    for (end, status) in [
        (End::Busy, Status::Busy),
        (End::NoAnswer, Status::NoAnswer),
        (End::Canceled, Status::Canceled),
    ] {
        let out = Stage::ringing().at(5_000, Command::End(end.clone()));
        assert_eq!(out, [Output::HangUp(end.clone())]);
        assert_eq!(end.status(), status);
    }
}

#[test]
fn nothing_follows_the_end() {
    let mut stage = Stage::open();
    stage.at(5_000, CarrierEvent::Key('1'));
    stage.at(5_000, Command::End(End::HostHungUp));
    let events: [Input<'_>; 6] = [
        CarrierEvent::Key('1').into(),
        ModelEvent::SpeechStarted.into(),
        audio("r", "a", 1_600).into(),
        Command::End(End::Busy).into(),
        ModelEvent::Lost {
            why: "x",
            returns: false,
        }
        .into(),
        Input::Tick,
    ];
    for event in events {
        assert_eq!(stage.at(9_000, event), []);
    }
    assert_eq!(stage.bridge.deadline(), None);
}

#[test]
fn what_was_heard_of_the_last_words_is_kept() {
    let mut stage = Stage::open();
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, words("a", "I would "));
    let mut sent = stage.at(3_010, audio("r", "a", 1_600));
    stage.at(3_020, words("a", "like"));
    sent.extend(stage.at(3_020, audio("r", "a", 1_600)));
    stage.at(3_300, CarrierEvent::Played(marks(&sent)[0]));
    let out = stage.at(3_400, Command::End(End::CalleeHungUp));
    assert_eq!(lines(&out), [(1, Role::Agent, "I would—")]);
    assert_eq!(out.last(), Some(&Output::HangUp(End::CalleeHungUp)));
}

#[test]
fn a_lost_model_ends_the_call_with_its_reason() {
    let mut stage = Stage::open();
    let out = stage.at(
        3_000,
        ModelEvent::Lost {
            why: "It is gone.",
            returns: false,
        },
    );
    assert_eq!(out, [Output::HangUp(End::ModelGone("It is gone.".into()))]);
}

#[test]
fn a_refused_configuration_ends_the_call_and_other_refusals_do_not() {
    let refused = |about, kind| ModelEvent::Error {
        about,
        kind,
        message: "no".into(),
    };
    for about in [
        None,
        Some(Request::Cancel),
        Some(Request::Truncate),
        Some(Request::Tell),
    ] {
        assert_eq!(
            Stage::open().at(3_000, refused(about, ErrorKind::Harmless)),
            []
        );
    }
    for (about, kind) in [
        (Some(Request::Configure), ErrorKind::Harmless),
        (None, ErrorKind::Fatal),
    ] {
        let out = Stage::open().at(3_000, refused(about, kind));
        assert!(matches!(hung_up(&out), Some(End::ModelGone(_))), "{out:?}");
    }
}

/// A goodbye of one second is being played, from 3000 on.
fn saying_goodbye() -> (Stage, Mark) {
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "bye");
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, words("a", "Goodbye."));
    let mut sent = stage.at(3_020, audio("r", "a", 24_000));
    sent.extend(stage.at(3_030, ModelEvent::AudioDone { item: "a" }));
    stage.at(3_040, tool("r", "end_call", END_CALL));
    stage.at(3_050, ended("r"));
    (stage, last_mark(&sent))
}

#[test]
fn a_short_word_during_the_goodbye_does_not_keep_the_line() {
    let (mut stage, end) = saying_goodbye();
    let mut out = stage.callee_says(3_500, 4_200, "bye bye");
    out.extend(stage.run_until(5_900));
    assert!(!out.contains(&Output::Carrier(ToCarrier::Clear)));
    assert_eq!(asked(&out), 0);
    let out = stage.at(6_000, CarrierEvent::Played(end));
    assert_eq!(hung_up(&out), Some(&End::Completed));
}

#[test]
fn a_callee_who_speaks_for_long_keeps_the_line_once() {
    let (mut stage, _) = saying_goodbye();
    stage.at(3_500, ModelEvent::SpeechStarted);
    assert_eq!(to_model(&stage.run_until(4_999)).len(), 0);
    let out = stage.run_until(5_000);
    assert_eq!(out[0], Output::Carrier(ToCarrier::Clear), "{out:?}");
    let told = to_model(&out);
    assert!(
        told.iter()
            .any(|m| matches!(m, ToModel::Tell(text) if text.contains("not hung up")))
    );
    assert!(told.contains(&&ToModel::Turns(Turns::Models)));
    assert_eq!(hung_up(&stage.run_until(30_000)), None);
    stage.at(30_000, ModelEvent::SpeechStopped);
    stage.at(30_000, ModelEvent::Committed { item: "q" });

    let sent = stage.agent_says(31_000, "r2", "b", "Of course. Goodbye.", 24_000);
    stage.at(31_100, ModelEvent::ResponseStarted { response: "r3" });
    stage.at(31_110, tool("r3", "end_call", END_CALL));
    stage.at(31_120, ended("r3"));
    stage.at(31_200, ModelEvent::SpeechStarted);
    assert_eq!(hung_up(&stage.run_until(33_500)), None);
    let out = stage.at(34_100, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(
        hung_up(&out),
        Some(&End::Completed),
        "the second goodbye is final"
    );
}

#[test]
fn a_callee_who_still_speaks_when_the_goodbye_ends_keeps_the_line() {
    let (mut stage, end) = saying_goodbye();
    stage.at(5_500, ModelEvent::SpeechStarted);
    let out = stage.at(6_000, CarrierEvent::Played(end));
    assert_eq!(hung_up(&out), None);
    assert!(
        to_model(&out).contains(&&ToModel::Turns(Turns::Models)),
        "{out:?}"
    );
}

#[test]
fn nobody_is_let_talk_us_out_of_the_maximum_duration() {
    let mut stage = Stage::with(|settings| settings.max_duration = ms(20_000))
        .prepared()
        .greeted();
    stage.run_until(21_000);
    stage.at(21_100, ModelEvent::SpeechStarted);
    assert_eq!(hung_up(&stage.run_until(26_000)), Some(&End::TimedOut));
}

#[test]
fn an_answer_that_the_model_gives_by_itself_while_the_call_ends_is_not_heard() {
    let (mut stage, end) = saying_goodbye();
    let out = stage.at(3_600, ModelEvent::ResponseStarted { response: "extra" });
    assert_eq!(out, [Output::Model(ToModel::Cancel)]);
    assert_eq!(stage.at(3_610, audio("extra", "x", 1_600)), []);
    stage.at(3_620, ended("extra"));
    let out = stage.at(6_000, CarrierEvent::Played(end));
    assert_eq!(hung_up(&out), Some(&End::Completed));
}

#[test]
fn a_goodbye_at_the_maximum_duration_is_not_withdrawn_either() {
    let mut stage = Stage::with(|settings| settings.max_duration = ms(20_000))
        .prepared()
        .greeted();
    stage.run_until(20_900);
    stage.at(20_900, ModelEvent::ResponseStarted { response: "r" });
    stage.at(20_910, audio("r", "a", 24_000));
    stage.at(20_920, tool("r", "end_call", END_CALL));
    stage.at(20_930, ended("r"));
    stage.at(21_100, ModelEvent::SpeechStarted);
    assert_eq!(hung_up(&stage.run_until(26_000)), Some(&End::Completed));
}

#[test]
fn a_call_whose_money_runs_out_is_warned_and_ended_like_one_whose_time_is_up() {
    let mut stage = Stage::with(|settings| settings.max_duration = ms(600_000))
        .prepared()
        .greeted();
    let out = stage.at(41_000, Command::EndWithin(ms(20_000)));
    assert!(
        matches!(to_model(&out)[..], [ToModel::Tell(_)]),
        "at once: {out:?}"
    );
    let again = stage.at(42_000, Command::EndWithin(ms(20_000)));
    assert_eq!(to_model(&again).len(), 0, "the end does not move back");
    assert_eq!(to_model(&stage.run_until(60_999)).len(), 0);
    assert_eq!(asked(&stage.run_until(61_000)), 1);
    assert_eq!(hung_up(&stage.run_until(66_000)), Some(&End::TimedOut));
}

#[test]
fn a_call_whose_money_is_spent_says_goodbye_at_once() {
    let mut stage = Stage::with(|settings| settings.max_duration = ms(600_000))
        .prepared()
        .greeted();
    stage.at(41_000, Command::EndWithin(ms(20_000)));
    let out = stage.at(45_000, Command::EndWithin(Duration::ZERO));
    assert_eq!(asked(&out), 1, "{out:?}");
    assert_eq!(hung_up(&stage.run_until(50_000)), Some(&End::TimedOut));
}

#[test]
fn a_mailbox_that_cuts_the_line_during_the_goodbye_is_a_voicemail() {
    let mut stage = Stage::open();
    stage.callee_says(2_500, 2_900, "beep");
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, words("a", "Please call back."));
    stage.at(3_020, audio("r", "a", 8_000));
    let end_call = r#"{"summary":"Left a message.","outcome":"voicemail"}"#;
    stage.at(3_030, tool("r", "end_call", end_call));
    // The carrier's callback is faster than the end of its stream.
    let out = stage.at(3_500, Command::End(End::CalleeHungUp));
    assert_eq!(hung_up(&out), Some(&End::Voicemail));
    // Nobody else is made one.
    for (end, outcome) in [
        (End::HostHungUp, "voicemail"),
        (End::CalleeHungUp, "success"),
    ] {
        let mut stage = Stage::open();
        stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
        let end_call = format!(r#"{{"summary":"Done.","outcome":"{outcome}"}}"#);
        stage.at(3_030, tool("r", "end_call", &end_call));
        let out = stage.at(3_500, Command::End(end.clone()));
        assert_eq!(hung_up(&out), Some(&end));
    }
}
