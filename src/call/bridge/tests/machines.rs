//! A machine answers, or somebody who sounds like one.

use super::*;

fn listening() -> Stage {
    Stage::with(|settings| settings.detects_machines = true)
}

fn answered(who: AnsweredBy) -> Input<'static> {
    Input::Command(Command::Answered(who))
}

fn heard_audio(outputs: &[Output]) -> u64 {
    let audio = outputs.iter().map(|output| match output {
        Output::Carrier(ToCarrier::Audio(audio)) => audio.samples(),
        _ => 0,
    });
    audio.sum()
}

fn tells(outputs: &[Output], words: &str) -> bool {
    let told = |to: &&ToModel| matches!(to, ToModel::Tell(text) if text.contains(words));
    to_model(outputs).iter().any(told)
}

/// From the verdict at `from` on: the disclosure at once and whole, then the message, then the end.
fn leaves_a_message(stage: &mut Stage, from: u64, disclosing: &[Output]) {
    assert_eq!(heard_audio(disclosing), 1_600, "all of it: {disclosing:?}");
    let heard = stage.at(from + 300, CarrierEvent::Played(last_mark(disclosing)));
    let [ToModel::Tell(told), ToModel::Respond(respond)] = to_model(&heard)[..] else {
        panic!("{heard:?}");
    };
    assert!(told.contains("Leave one message"));
    assert_eq!(
        respond.instructions, None,
        "the mission is in the session's"
    );
    assert!(respond.speech_only);
    let sent = stage.agent_says(from + 500, "m", "message", "Please call back.", 8_000);
    assert_eq!(hung_up(&sent), None);
    let out = stage.at(from + 2_000, CarrierEvent::Played(last_mark(&sent)));
    assert!(lines(&out).iter().any(|line| line.2 == "Please call back."));
    assert!(
        out.iter().any(|output| matches!(
            output,
            Output::Publish(Change::Verdict { summary, outcome: Outcome::Voicemail })
                if summary.contains("was left")
        )),
        "{out:?}"
    );
    assert_eq!(hung_up(&out), Some(&End::Voicemail));
}

#[test]
fn a_mailbox_hears_the_disclosure_after_its_tone_and_one_message() {
    let mut stage = listening().prepared().greeted();
    // Its text went on while it was greeted; nothing of that was recorded.
    stage.at(2_300, ModelEvent::SpeechStarted);
    let out = stage.at(5_000, answered(AnsweredBy::Mailbox));
    leaves_a_message(&mut stage, 5_000, &out);
}

#[test]
fn a_tone_in_the_middle_of_the_greeting_starts_it_anew() {
    let mut stage = listening().prepared();
    stage.at(1_000, ATTACHED);
    let greeted = stage.tick(2_000);
    stage.at(2_100, ModelEvent::SpeechStarted);
    let out = stage.at(2_150, answered(AnsweredBy::Mailbox));
    assert!(out.contains(&Output::Carrier(ToCarrier::Clear)));
    assert_eq!(
        stage.at(2_200, CarrierEvent::Played(last_mark(&greeted))),
        [],
        "what was cleared discloses nothing"
    );
    leaves_a_message(&mut stage, 2_150, &out);
}

#[test]
fn a_tone_in_the_middle_of_an_answer_cuts_it_off() {
    let mut stage = listening().prepared().greeted();
    stage.at(2_300, ModelEvent::SpeechStarted);
    stage.at(2_900, ModelEvent::SpeechStopped);
    stage.at(2_900, ModelEvent::Committed { item: "q" });
    stage.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_010, words("a", "I am calling because"));
    stage.at(3_020, audio("r", "a", 24_000));
    let out = stage.at(3_500, answered(AnsweredBy::Mailbox));
    assert!(out.contains(&Output::Carrier(ToCarrier::Clear)));
    assert!(to_model(&out).contains(&&ToModel::Cancel));
    assert!(to_model(&out).contains(&&ToModel::Delete { item: "a".into() }));
    stage.at(3_510, ended("r"));
    leaves_a_message(&mut stage, 3_500, &out);
}

#[test]
fn a_verdict_before_the_stream_waits_for_it() {
    let mut stage = listening().prepared();
    assert_eq!(
        to_model(&stage.at(900, answered(AnsweredBy::Mailbox))),
        Vec::<&ToModel>::new()
    );
    let out = stage.at(1_000, ATTACHED);
    leaves_a_message(&mut stage, 1_000, &out);
}

#[test]
fn a_verdict_before_the_greeting_is_ready_waits_for_it() {
    let mut stage = listening();
    stage.at(10, ModelEvent::Configured);
    stage.at(20, ATTACHED);
    stage.at(30, ModelEvent::ResponseStarted { response: "greet" });
    stage.at(40, answered(AnsweredBy::Mailbox));
    stage.at(50, words("g", GREETING));
    stage.at(60, audio("greet", "g", 1_600));
    let out = stage.at(70, ended("greet"));
    leaves_a_message(&mut stage, 70, &out);
}

#[test]
fn a_mailbox_that_cuts_the_line_is_a_voicemail_all_the_same() {
    let mut stage = listening().prepared().greeted();
    stage.at(5_000, answered(AnsweredBy::Mailbox));
    let out = stage.at(5_100, Command::End(End::CalleeHungUp));
    assert!(
        out.iter().any(|output| matches!(
            output,
            Output::Publish(Change::Verdict { summary, .. }) if summary.contains("no whole message")
        )),
        "{out:?}"
    );
    assert_eq!(hung_up(&out), Some(&End::Voicemail));
    let mut stage = listening().prepared().greeted();
    stage.at(5_000, answered(AnsweredBy::Mailbox));
    let out = stage.at(5_100, Command::End(End::HostHungUp));
    assert_eq!(hung_up(&out), Some(&End::HostHungUp));
}

#[test]
fn a_mailbox_whose_message_does_not_begin_is_hung_up_on() {
    let mut stage = listening().prepared().greeted();
    let out = stage.at(5_000, answered(AnsweredBy::Mailbox));
    stage.at(5_300, CarrierEvent::Played(last_mark(&out)));
    assert_eq!(hung_up(&stage.run_until(13_000)), None);
    assert_eq!(hung_up(&stage.run_until(13_400)), Some(&End::Voicemail));
}

#[test]
fn a_person_who_is_taken_for_a_mailbox_late_is_not_hung_up_on() {
    let mut stage = listening().prepared().greeted();
    for round in 0..2 {
        let from = 3_000 + 3_000 * round;
        stage.callee_says(from, from + 500, "q");
        let item = ["a", "b"][usize::from(round == 1)];
        let sent = stage.agent_says(from + 600, "r", item, "Yes.", 1_600);
        stage.at(from + 1_000, CarrierEvent::Played(last_mark(&sent)));
    }
    for who in [AnsweredBy::Mailbox, AnsweredBy::Fax] {
        assert_eq!(stage.at(9_000, answered(who)), []);
    }
}

#[test]
fn a_mailbox_that_seems_to_talk_is_known_by_its_tone() {
    let mut stage = listening().prepared().greeted();
    // "You have reached …", a pause, "Please leave …", a pause.
    for round in 0..3 {
        let from = 3_000 + 3_000 * round;
        stage.callee_says(
            from,
            from + 500,
            ["p", "q", "s"][usize::try_from(round).unwrap()],
        );
        let item = ["a", "b", "c"][usize::try_from(round).unwrap()];
        let sent = stage.agent_says(from + 600, "r", item, "Yes?", 1_600);
        stage.at(from + 1_000, CarrierEvent::Played(last_mark(&sent)));
    }
    let out = stage.at(12_000, answered(AnsweredBy::Tone));
    leaves_a_message(&mut stage, 12_000, &out);
}

#[test]
fn a_tone_in_a_menu_or_after_keys_or_on_hold_is_none_of_a_mailbox() {
    let mut keys = listening().prepared().greeted();
    keys.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    keys.at(3_010, tool("r", "press_keys", r#"{"digits":"1"}"#));
    keys.at(3_020, ended("r"));
    keys.at(4_000, CarrierEvent::Attached(Stream::AfterKeys(1)));
    let said = keys.agent_says(5_000, "r2", "a", "Hello?", 1_600);
    keys.at(5_500, CarrierEvent::Played(last_mark(&said)));
    let mut hold = listening().prepared().greeted();
    hold.at(3_000, ModelEvent::ResponseStarted { response: "r" });
    hold.at(3_010, tool("r", "wait", r#"{"reason":"music"}"#));
    hold.at(3_020, ended("r"));
    for mut stage in [keys, hold] {
        let out = stage.at(6_000, answered(AnsweredBy::Tone));
        assert!(
            !tells(&out, "Leave one message") && !out.iter().any(is_audio),
            "{out:?}"
        );
        assert_eq!(hung_up(&out), None);
    }
}

/// The model waits for the tone, as it was told to.
fn waiting_for_the_tone() -> Stage {
    let mut stage = listening().prepared().greeted();
    stage.callee_says(2_500, 2_900, "please leave a message");
    stage.at(2_950, ModelEvent::ResponseStarted { response: "r" });
    stage.at(3_000, tool("r", "wait", r#"{"reason":"the beep"}"#));
    stage.at(3_010, ended("r"));
    stage.at(3_020, ModelEvent::Configured);
    stage
}

#[test]
fn a_model_that_waits_for_the_tone_is_told_of_it_and_asked() {
    let mut stage = waiting_for_the_tone();
    let out = stage.at(6_000, answered(AnsweredBy::Tone));
    let [ToModel::Tell(told), ToModel::Respond(respond)] = to_model(&out)[..] else {
        panic!("{out:?}");
    };
    assert!(told.contains("tone"), "{told}");
    assert_eq!(respond, &Respond::default(), "it may also wait on");
    let said = stage.agent_says(6_100, "m", "message", "Please call back.", 1_600);
    assert_eq!(asked(&said), 0, "once");
    // Its own end is a tape's, too.
    stage.at(6_200, ModelEvent::ResponseStarted { response: "e" });
    stage.at(6_210, tool("e", "end_call", VOICEMAIL));
    stage.at(6_220, ended("e"));
    let out = stage.at(6_500, CarrierEvent::Played(last_mark(&said)));
    assert_eq!(hung_up(&out), Some(&End::Voicemail));
}

#[test]
fn a_line_that_asks_to_wait_and_gives_a_tone_is_waited_on() {
    let mut stage = waiting_for_the_tone();
    stage.at(6_000, answered(AnsweredBy::Tone));
    stage.at(6_100, ModelEvent::ResponseStarted { response: "w" });
    stage.at(6_110, tool("w", "wait", r#"{"reason":"music"}"#));
    let mut out = stage.at(6_120, ended("w"));
    out.extend(stage.run_until(60_000));
    assert_eq!(asked(&out), 0, "{out:?}");
    assert_eq!(hung_up(&out), None);
}

const VOICEMAIL: &str = r#"{"summary":"Left a message.","outcome":"voicemail"}"#;

/// A pause in the mailbox's text is taken for its end: message and `end_call`, three seconds long.
/// Returns what was sent of it.
fn too_early(stage: &mut Stage, is_over: bool) -> Vec<Output> {
    stage.callee_says(2_500, 2_900, "please leave a message");
    stage.at(2_950, ModelEvent::ResponseStarted { response: "r" });
    stage.at(2_960, words("early", "Please call back."));
    let mut sent = stage.at(2_970, audio("r", "early", 24_000));
    stage.at(2_980, tool("r", "end_call", VOICEMAIL));
    if is_over {
        sent.extend(stage.at(2_990, ended("r")));
    }
    sent
}

#[test]
fn a_tone_after_the_model_has_left_its_message_too_early_begins_it_anew() {
    for who in [AnsweredBy::Tone, AnsweredBy::Mailbox] {
        for is_over in [true, false] {
            let mut stage = listening().prepared().greeted();
            too_early(&mut stage, is_over);
            let out = stage.at(4_000, answered(who));
            assert!(out.contains(&Output::Carrier(ToCarrier::Clear)), "{out:?}");
            assert_eq!(to_model(&out).contains(&&ToModel::Cancel), !is_over);
            assert!(
                out.contains(&Output::Publish(Change::VerdictWithdrawn)),
                "no message was left: {out:?}"
            );
            assert_eq!(hung_up(&out), None);
            if !is_over {
                assert_eq!(asked(&stage.at(4_050, ended("r"))), 0);
            }
            // The deadline of the first ending means nothing any more.
            leaves_a_message(&mut stage, 4_000, &out);
        }
    }
}

#[test]
fn a_tone_in_a_silent_end_call_is_followed_by_the_message_alone() {
    let mut stage = listening().prepared().greeted();
    stage.callee_says(2_500, 2_900, "please leave a message");
    stage.agent_says(2_950, "r", "early", "Please call back.", 24_000);
    stage.at(3_100, ModelEvent::ResponseStarted { response: "e" });
    stage.at(3_110, tool("e", "end_call", VOICEMAIL));
    let out = stage.at(3_200, answered(AnsweredBy::Tone));
    assert_eq!(asked(&stage.at(3_250, ended("e"))), 0);
    leaves_a_message(&mut stage, 3_200, &out);
}

#[test]
fn a_tone_does_not_take_back_another_end() {
    let mut goodbye = listening().prepared().greeted();
    goodbye.callee_says(2_500, 2_900, "bye");
    let sent = goodbye.agent_says(3_000, "r", "a", "Goodbye.", 8_000);
    goodbye.at(3_100, ModelEvent::ResponseStarted { response: "e" });
    goodbye.at(3_110, tool("e", "end_call", END_CALL));
    goodbye.at(3_120, ended("e"));
    assert_eq!(goodbye.at(3_500, answered(AnsweredBy::Tone)), []);
    let out = goodbye.at(4_100, CarrierEvent::Played(last_mark(&sent)));
    assert_eq!(hung_up(&out), Some(&End::Completed));
    // Nor the maximum, of which a message would be no part.
    let mut stage = Stage::with(|settings| {
        settings.detects_machines = true;
        settings.max_duration = ms(2_500);
    })
    .prepared()
    .greeted();
    too_early(&mut stage, true);
    stage.run_until(3_600);
    assert_eq!(stage.at(3_700, answered(AnsweredBy::Tone)), []);
}

#[test]
fn a_verdict_counts_once() {
    let mut stage = listening().prepared().greeted();
    assert_eq!(stage.at(3_000, answered(AnsweredBy::Person)), []);
    assert_eq!(stage.at(3_100, answered(AnsweredBy::Mailbox)), []);
}

#[test]
fn a_person_changes_nothing() {
    let mut stage = listening().prepared();
    stage.at(1_000, ATTACHED);
    assert_eq!(stage.at(1_500, answered(AnsweredBy::Person)), []);
    assert_eq!(heard_audio(&stage.run_until(2_000)), 1_600);
}

#[test]
fn a_menu_is_heard_patiently() {
    let mut stage = listening().prepared().greeted();
    let out = stage.at(3_000, answered(AnsweredBy::Menu));
    assert!(to_model(&out).contains(&&ToModel::Turns(Turns::ModelsPatiently)));
    assert!(tells(&out, "recorded menu"));
    assert_eq!(hung_up(&out), None);
}

#[test]
fn a_fax_is_hung_up_on() {
    let mut stage = listening().prepared();
    stage.at(1_000, ATTACHED);
    let out = stage.at(1_500, answered(AnsweredBy::Fax));
    assert!(matches!(hung_up(&out), Some(End::Failed(why)) if why.contains("fax")));
}

#[test]
fn first_words_without_end_are_waited_for_until_it_is_known_who_says_them() {
    let hello = || {
        let mut stage = listening().prepared();
        stage.at(1_000, ATTACHED);
        stage.at(1_500, ModelEvent::SpeechStarted);
        assert_eq!(heard_audio(&stage.run_until(20_000)), 0);
        stage
    };
    let mut person = hello();
    let out = person.at(20_100, answered(AnsweredBy::Person));
    assert_eq!(heard_audio(&out), 1_600, "six seconds are long over");
    let mut ends = hello();
    assert_eq!(
        heard_audio(&ends.at(20_100, ModelEvent::SpeechStopped)),
        1_600
    );
    let mut mailbox = hello();
    let out = mailbox.at(20_100, answered(AnsweredBy::Mailbox));
    leaves_a_message(&mut mailbox, 20_100, &out);
    let mut nobody_knows = hello();
    assert_eq!(heard_audio(&nobody_knows.run_until(36_499)), 0);
    assert_eq!(heard_audio(&nobody_knows.run_until(36_500)), 1_600);
}

#[test]
fn first_words_over_the_greeting_keep_the_gate_closed_after_four_seconds() {
    let mut stage = listening().prepared();
    stage.at(1_000, ATTACHED);
    let greeted = stage.tick(2_000);
    stage.at(2_100, ModelEvent::SpeechStarted);
    let out = stage.at(2_200, CarrierEvent::Played(last_mark(&greeted)));
    assert!(to_model(&out).contains(&&ToModel::Turns(Turns::Models)));
    stage.at(2_210, ModelEvent::Configured);
    assert_eq!(to_model(&stage.run_until(6_099)), Vec::<&ToModel>::new());
    let out = stage.run_until(6_100);
    assert_eq!(to_model(&out), [&ToModel::Turns(Turns::Ours)]);
    let out = stage.at(9_000, ModelEvent::SpeechStopped);
    assert_eq!(to_model(&out), [&ToModel::Turns(Turns::Models)]);
}

/// The mailbox has heard the disclosure; the message was asked for at 5300.
fn at_the_message() -> Stage {
    let mut stage = listening().prepared().greeted();
    let out = stage.at(5_000, answered(AnsweredBy::Mailbox));
    let out = stage.at(5_300, CarrierEvent::Played(last_mark(&out)));
    assert_eq!(asked(&out), 1);
    stage
}

/// The summary with which the call ends, and how it does.
fn told_in_the_end(outputs: &[Output]) -> (&str, &End) {
    let summary = outputs.iter().find_map(|output| match output {
        Output::Publish(Change::Verdict { summary, outcome }) => {
            assert_eq!(*outcome, Outcome::Voicemail);
            Some(summary.as_str())
        }
        _ => None,
    });
    (
        summary.expect("a verdict"),
        hung_up(outputs).expect("an end"),
    )
}

#[test]
fn a_message_that_the_mailbox_cut_off_is_not_reported_as_left() {
    let mut stage = at_the_message();
    // All of it was said at once; a second of it is heard before the line is cut.
    stage.agent_says(5_400, "m", "message", "Please call back.", 24_000);
    let mut out = stage.at(6_400, CarrierEvent::Detached);
    assert_eq!(hung_up(&out), None);
    out.extend(stage.at(6_500, Command::End(End::CalleeHungUp)));
    let (summary, end) = told_in_the_end(&out);
    assert!(summary.contains("no whole message"), "{summary}");
    assert_eq!(end, &End::Voicemail);
}

#[test]
fn a_message_that_was_cut_short_is_not_reported_as_left() {
    for ending in [ResponseEnding::Incomplete, ResponseEnding::Cancelled] {
        let mut stage = at_the_message();
        stage.at(5_400, ModelEvent::ResponseStarted { response: "m" });
        stage.at(5_410, words("message", "Please call"));
        let mut sent = stage.at(5_420, audio("m", "message", 8_000));
        let response = "m";
        sent.extend(stage.at(5_500, ModelEvent::ResponseEnded { response, ending }));
        let out = stage.at(6_600, CarrierEvent::Played(last_mark(&sent)));
        let (summary, end) = told_in_the_end(&out);
        assert!(summary.contains("no whole message"), "{summary}");
        assert_eq!(end, &End::Voicemail);
    }
}

#[test]
fn a_message_that_fails_is_begun_again() {
    let mut stage = at_the_message();
    stage.at(5_400, ModelEvent::ResponseStarted { response: "m" });
    stage.at(5_410, words("message", "Please call"));
    let first = stage.at(5_420, audio("m", "message", 1_600));
    let out = stage.at(
        5_500,
        ModelEvent::ResponseEnded {
            response: "m",
            ending: ResponseEnding::Failed {
                fatal: false,
                message: "overloaded".into(),
            },
        },
    );
    let again = to_model(&out).into_iter().any(|to| {
        matches!(
            to,
            ToModel::Respond(Respond {
                speech_only: true,
                ..
            })
        )
    });
    assert!(again, "{out:?}");
    assert!(marks(&first).is_empty());
    stage.at(5_800, CarrierEvent::Played(last_mark(&out)));
    let sent = stage.agent_says(6_000, "n", "again", "Please call back.", 8_000);
    let out = stage.at(7_500, CarrierEvent::Played(last_mark(&sent)));
    assert!(told_in_the_end(&out).0.contains("was left"));
}

#[test]
fn a_message_is_left_although_the_model_was_lost_before_its_end() {
    // Before it has begun; while it is begun, silently; and in its middle.
    for words_said in [None, Some(0), Some(1_600)] {
        let mut stage = at_the_message();
        if let Some(samples) = words_said {
            stage.at(5_400, ModelEvent::ResponseStarted { response: "m" });
            stage.at(5_410, audio("m", "message", samples));
        }
        let lost = stage.at(5_500, super::sessions::GONE);
        assert!(lost.contains(&Output::OpenModel), "{lost:?}");
        if let Some(mark) = marks(&lost).last() {
            let out = stage.at(5_800, CarrierEvent::Played(*mark));
            assert_eq!(hung_up(&out), None, "{words_said:?}");
        }
        for time in [5_900, 6_200, 6_800, 7_900] {
            stage.run_until(time);
            stage.at(time, super::sessions::NOT_YET);
        }
        assert_eq!(hung_up(&stage.run_until(13_000)), None, "{words_said:?}");
        let back = stage.at(13_100, ModelEvent::Offered);
        assert_eq!(asked(&back), 1, "{words_said:?}: {back:?}");
        let sent = stage.agent_says(15_000, "n", "again", "Please call back.", 8_000);
        let out = stage.at(16_500, CarrierEvent::Played(last_mark(&sent)));
        assert!(told_in_the_end(&out).0.contains("was left"));
    }
}

#[test]
fn a_model_that_does_not_come_back_has_left_no_message() {
    let mut stage = at_the_message();
    stage.at(5_400, ModelEvent::ResponseStarted { response: "m" });
    stage.at(5_410, audio("m", "message", 1_600));
    stage.at(5_500, super::sessions::GONE);
    let out = stage.run_until(14_000);
    let (summary, end) = told_in_the_end(&out);
    assert!(summary.contains("no whole message"), "{summary}");
    assert_eq!(end, &End::Voicemail);
}

#[test]
fn a_message_whose_sound_has_all_come_is_left_without_the_model() {
    let mut stage = at_the_message();
    stage.at(5_400, ModelEvent::ResponseStarted { response: "m" });
    stage.at(5_410, words("message", "Please call back."));
    let mut sent = stage.at(5_420, audio("m", "message", 8_000));
    sent.extend(stage.at(5_430, ModelEvent::AudioDone { item: "message" }));
    sent.extend(stage.at(5_440, ended("m")));
    let lost = stage.at(5_500, super::sessions::GONE);
    assert_eq!(lost, []);
    let out = stage.at(6_600, CarrierEvent::Played(last_mark(&sent)));
    assert!(told_in_the_end(&out).0.contains("was left"));
}

#[test]
fn a_mailbox_without_a_tone_is_told_after_its_silence_what_it_did_not_record() {
    let mut stage = listening().prepared();
    stage.at(1_000, ATTACHED);
    // Its words are over: the greeting answers them, and is heard while the carrier still listens.
    let greeted = stage.callee_says(1_200, 2_000, "leave a message");
    assert_eq!(heard_audio(&greeted), 1_600);
    stage.at(2_300, CarrierEvent::Played(last_mark(&greeted)));
    let out = stage.at(3_500, answered(AnsweredBy::Mailbox));
    assert_eq!(hung_up(&out), None);
    leaves_a_message(&mut stage, 3_500, &out);
}
