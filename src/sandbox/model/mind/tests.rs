use super::*;

const SESSION: &str = "# Role\nYou call people.\n\n# Goal of the call\nBook a table for two. \
    On Tuesday at 10.30. Nothing else.\n\n# Tone\nCalm.";

fn reply(mind: &mut Mind, own: Option<&str>, tools: &[&str], news: &[News]) -> Vec<Part> {
    let tools: Vec<String> = tools.iter().map(ToString::to_string).collect();
    let ask = Ask {
        own,
        session: SESSION,
        tools: &tools,
        written: false,
    };
    mind.reply(&ask, news)
}

fn heard(text: &str) -> Vec<News> {
    vec![News::Heard(text.to_owned())]
}

#[test]
fn a_whole_conversation() {
    let tools = ["note", "end_call"];
    let mind = &mut Mind::default();
    let greeting = "Say exactly the following: \"Hello, I am an AI.\"";
    assert_eq!(
        reply(mind, Some(greeting), &[], &[]),
        [Part::Say("Hello, I am an AI.".into())]
    );
    let parts = reply(mind, None, &tools, &heard("Yes. What is it about?"));
    assert_eq!(
        parts,
        [Part::Say(format!(
            "Thank you. {REASON} Book a table for two. On Tuesday at 10.30. Would that be possible?"
        ))]
    );
    let parts = reply(mind, None, &tools, &heard("Sorry, which day?"));
    assert!(matches!(&parts[..], [Part::Say(text)] if text.contains("Tuesday")));
    let parts = reply(mind, None, &tools, &heard("Tuesday works."));
    let note = json!({"text": "Tuesday works."});
    assert_eq!(parts, call("note", note));
    let returned = News::Returned {
        tool: "note".into(),
        output: "ok".into(),
    };
    let parts = reply(mind, None, &tools, &[returned]);
    let [
        Part::Say(words),
        Part::Call {
            name: "end_call",
            arguments,
        },
    ] = &parts[..]
    else {
        panic!("{parts:?}");
    };
    assert!(words.contains("Tuesday works.") && words.ends_with("Goodbye."));
    assert_eq!(arguments["outcome"], "success");
}

#[test]
fn tools_that_may_not_be_called_are_not() {
    let mind = &mut Mind::default();
    reply(mind, None, &[], &heard("Yes?"));
    let parts = reply(mind, None, &[], &heard("Tuesday works."));
    assert!(matches!(&parts[..], [Part::Say(_)]));
}

#[test]
fn keywords_and_instructions() {
    let mind = &mut Mind::default();
    let all = ["wait", "press_keys", "ask_host", "end_call"];
    assert_eq!(
        reply(mind, None, &all, &heard("For the bar, press 2.")),
        call("press_keys", json!({"digits": "2"}))
    );
    for nobody in ["One moment, please.", ""] {
        assert!(matches!(
            &reply(mind, None, &all, &heard(nobody))[..],
            [Part::Call { name: "wait", .. }]
        ));
    }
    assert_eq!(reply(mind, None, &[], &heard("")), []);
    assert!(matches!(
        &reply(mind, None, &all, &heard("Please hold on."))[..],
        [Part::Call { name: "wait", .. }]
    ));
    let parts = reply(mind, Some("Wrap up and say goodbye."), &all, &[]);
    assert!(matches!(&parts[..], [Part::Say(text)] if text.ends_with("Goodbye.")));
    let told = News::Told("Mention the garden.".into());
    assert_eq!(
        reply(mind, None, &all, &[told]),
        [Part::Say("One more thing: Mention the garden.".into())]
    );
}

#[test]
fn machines_small_sounds_and_afterthoughts() {
    let all = ["note", "end_call"];
    let mind = &mut Mind::default();
    let machine = heard("Please leave a message after the tone.");
    let parts = reply(mind, None, &all, &machine);
    assert!(
        matches!(&parts[..], [Part::Say(_), Part::Call { name: "end_call", arguments }]
        if arguments["outcome"] == "voicemail")
    );
    reply(mind, None, &all, &heard("Yes?"));
    let listening = say("I am listening.".into());
    assert_eq!(reply(mind, None, &all, &heard("Mhm, mhm.")), listening);
    reply(mind, None, &all, &heard("Tuesday works."));
    reply(mind, None, &all, &[]);
    let parts = reply(mind, None, &all, &heard("And her insurance card?"));
    assert!(matches!(&parts[..], [Part::Say(text)] if text.contains("pass it on")));
    let told = News::Told("The callee pressed these keys on their phone: 42".into());
    let seen = say("I see that you pressed 42.".into());
    assert_eq!(reply(mind, None, &all, &[told]), seen);
}

#[test]
fn speech_in_sentences() {
    let parts = sentences(Part::Say("Thank you. On Tuesday at 10.30! Yes?".into()));
    let expected = ["Thank you.", "On Tuesday at 10.30!", "Yes?"];
    assert_eq!(parts, expected.map(|text| Part::Say(text.to_owned())));
    let call = || Part::Call {
        name: "note",
        arguments: json!({}),
    };
    assert_eq!(sentences(call()), [call()]);
}

/// What is pressed or done each time that this menu is heard, under these instructions.
fn in_a_circle(rules: &str, times: usize) -> Vec<String> {
    let menu = "For the bar, press 1. For a table, press 2. For a person, press 0.";
    let all = ["press_keys", "note", "end_call"].map(str::to_owned);
    let session = format!("{SESSION}\n\n# Menus\n{rules}");
    let ask = Ask {
        own: None,
        session: &session,
        tools: &all,
        written: false,
    };
    let mind = &mut Mind::default();
    let mut done = Vec::new();
    for _ in 0..times {
        for part in mind.reply(&ask, &heard(menu)) {
            match part {
                Part::Call { name, arguments } => {
                    let keys = arguments["digits"].as_str().unwrap_or(name);
                    done.push(keys.to_owned());
                }
                Part::Say(words) | Part::Text(words) => done.push(words),
            }
        }
    }
    done
}

#[test]
fn a_menu_that_comes_back_is_treated_as_the_instructions_say() {
    let another = "If the same menu comes back, try another option.";
    let limit = "At the third time, note that the menu leads nowhere, and end the call.";
    let both = format!("{another} {limit}");
    assert_eq!(
        in_a_circle(&both, 3),
        ["2", "1", "note", "Goodbye.", "end_call"]
    );
    assert_eq!(in_a_circle(limit, 2), ["2", "2"]);
    assert_eq!(in_a_circle(another, 5), ["2", "1", "0", "0", "0"]);
    assert_eq!(in_a_circle("Be patient.", 5), ["2"; 5], "nobody told it");
}

#[test]
fn keys_that_were_not_pressed_are_pressed_again_and_others_are_listened_for() {
    let output = |output: &str| News::Returned {
        tool: "press_keys".into(),
        output: output.into(),
    };
    let menu = "For the bar, press 2.";
    let refused = r#"{"error":"The keys were not pressed: no."}"#;
    let unknown = r#"{"error":"It is unknown whether the keys were pressed. Listen."}"#;
    let all = ["press_keys"];
    let mind = &mut Mind::default();
    let pressed = call("press_keys", json!({"digits": "2"}));
    assert_eq!(reply(mind, None, &all, &heard(menu)), pressed);
    assert_eq!(reply(mind, None, &all, &[output(refused)]), pressed);
    assert_eq!(reply(mind, None, &all, &[output(refused)]), [], "once");
    assert_eq!(reply(mind, None, &all, &heard(menu)), pressed);
    assert_eq!(reply(mind, None, &all, &[output(unknown)]), []);
    assert_eq!(reply(mind, None, &all, &heard(menu)), pressed);
    let again = [News::Heard(menu.into()), output(unknown)];
    assert_eq!(reply(mind, None, &all, &again), pressed);
}

#[test]
fn another_session_knows_what_is_replayed_and_nothing_else() {
    let all = ["note", "end_call"];
    let asked = heard("What did I say?");
    let fresh = &mut Mind::default();
    fresh.hears("What did I say?");
    assert_eq!(
        reply(fresh, None, &all, &asked),
        say("You said: nothing yet".into())
    );
    let mind = &mut Mind::default();
    mind.recall(&format!("Thank you. {REASON} Book a table."));
    mind.hears("Tuesday works.");
    mind.recall_call("note", r#"{"text":"Tuesday works."}"#);
    let parts = reply(mind, None, &all, &[]);
    assert!(
        matches!(&parts[..], [Part::Say(words), Part::Call { name: "end_call", .. }]
        if words.contains("Tuesday works."))
    );
    mind.hears("What did I say?");
    assert_eq!(
        reply(mind, None, &all, &asked),
        say("You said: Tuesday works.".into())
    );
    let mind = &mut Mind::default();
    mind.recall(&format!("{NOTED} Tuesday works. Have a nice day. Goodbye."));
    assert_eq!(mind.result().0, "The callee answered: Tuesday works.");
}

#[test]
fn the_host_is_listened_to() {
    let mind = &mut Mind::default();
    let told =
        News::Told("The host says:\n<instruction>\nAsk for the garden.\n</instruction>".into());
    let more = "One more thing: Ask for the garden.";
    assert_eq!(
        reply(mind, None, &[], std::slice::from_ref(&told)),
        say(more.into())
    );
    let parts = reply(mind, None, &[], &[told, News::Heard("Yes?".into())]);
    assert!(matches!(&parts[..], [Part::Say(words)] if words.ends_with(more)));
    let output = |output: &str| News::Returned {
        tool: "ask_host".into(),
        output: output.into(),
    };
    let answer = output(r#"{"answer":"Only mornings."}"#);
    let words = "I have asked. The answer is: Only mornings.";
    assert_eq!(reply(mind, None, &[], &[answer]), say(words.into()));
    let late = News::Told("Late: <answer>\nOnly mornings.\n</answer>".into());
    assert_eq!(reply(mind, None, &[], &[late]), say(words.into()));
    let none = reply(mind, None, &[], &[output(r#"{"error":"no answer"}"#)]);
    assert!(matches!(&none[..], [Part::Say(words)] if words.contains("could not find")));
}
