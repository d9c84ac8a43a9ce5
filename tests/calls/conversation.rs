use super::*;

#[tokio::test]
async fn the_demo_reaches_its_outcome_and_everything_about_it_is_told() {
    let mut options = options(Callee::default());
    // The callee's words come long after the answer to them has begun.
    options.model.transcription = Duration::from_millis(80);
    let scene = Scene::start(options).await;
    let session = scene
        .place_order(Order {
            caller_identity: Some("Maria Rossi".to_owned()),
            success_criteria: Some("A new date is confirmed.".to_owned()),
            ..mission(
                CALLEE,
                "Move the dental appointment from Thursday to the week after. Any morning will do.",
            )
        })
        .await
        .unwrap();
    assert!(!snapshot(&session).status.is_final());
    let (end, line) = scene.over(&session).await;
    assert_eq!(end.status, Status::Completed);
    assert_eq!(end.outcome, Some(Outcome::Success));
    assert_eq!(end.error, None);
    assert!(
        end.summary
            .unwrap()
            .contains("Tuesday at ten works for us.")
    );
    assert_eq!(end.notes, ["Tuesday at ten works for us."]);
    assert_eq!(end.twilio_sid.as_deref(), Some(&*line.sid));
    assert!(end.duration_s > 0.0 && end.answered_at.is_some());
    let disclosed = end.disclosed_at.unwrap();
    assert!(end.answered_at.unwrap() <= disclosed && disclosed <= end.ended_at.unwrap());

    // One line a turn, in the order of the conversation.
    let said: Vec<(Role, &str)> = end
        .transcript
        .iter()
        .map(|line| (line.role, line.text.as_str()))
        .collect();
    let greeting = "Hello, this is an AI assistant, calling on behalf of Maria Rossi.";
    assert_eq!(said[0], (Role::Caller, "Hello?"));
    assert_eq!(said[1], (Role::Agent, greeting));
    assert_eq!(said[2], (Role::Caller, "Yes, speaking. What is it about?"));
    assert_eq!(said[3].0, Role::Agent);
    assert!(
        said[3].1.starts_with("Thank you.") && said[3].1.ends_with('—'),
        "{said:#?}"
    );
    assert_eq!(said[4], (Role::Caller, "Sorry, which day was that?"));
    assert_eq!(said[5].0, Role::Agent);
    assert!(said[5].1.contains("dental appointment"), "{said:#?}");
    assert_eq!(said[6], (Role::Caller, "Tuesday at ten works for us."));
    assert_eq!(said[7].0, Role::Agent);
    assert!(said[7].1.ends_with("Goodbye."), "{said:#?}");
    assert!(
        said[8..].iter().all(|(role, _)| *role == Role::Caller),
        "{said:#?}"
    );
    assert!(end.transcript.is_sorted_by_key(|line| line.t));

    // The callee heard the same, and the line was hung up once.
    assert!(line.heard.starts_with(greeting), "{}", line.heard);
    assert!(line.heard.ends_with("Goodbye."), "{}", line.heard);
    assert!(line.clears >= 1);
    assert_eq!(line.status, CallStatus::Completed);
    assert_eq!(scene.dials(), 1);
    assert_eq!(scene.hang_ups(&line.sid), 1);
    scene.assert_no_complaints().await;
    assert_eq!(scene.hang_ups(&line.sid), 1);
    let used = scene.used().await;
    assert_eq!(used.in_flight, 0);
    assert!(used.time > Duration::ZERO && used.time < Duration::from_secs(60));
}

#[tokio::test]
async fn an_interruption_cuts_the_agent_off_where_the_callee_stopped_hearing_it() {
    let callee = Callee::person(vec![
        Step::say("Hello?"),
        Step::WaitForAgentToFinish,
        Step::say("Yes, what is it about?"),
        Step::InterruptAfter {
            heard: 60,
            say: "Stop, stop, stop.".to_owned(),
        },
        Step::Pause(Duration::from_secs(3)),
        Step::HangUp,
    ]);
    let scene = Scene::start(options(callee)).await;
    let long = "Ask whether the shop has a blue bicycle with twenty-eight inch wheels, two \
        baskets, a loud bell and a very comfortable saddle, and what all of that would cost.";
    let session = scene.place_order(mission(CALLEE, long)).await.unwrap();
    let (end, line) = scene.over(&session).await;
    assert!(line.clears >= 1, "the carrier had seconds of audio left");
    let model = scene.model(|model| !model.truncations.is_empty()).await;
    let (_, heard_ms) = &model.truncations[0];
    // The words that the callee heard of the interrupted sentence: 16 ms for each byte.
    let from = line.heard.find("Thank you.").unwrap();
    let sentence = format!("Thank you. I am calling for the following reason: {long}");
    let heard = sentence
        .bytes()
        .zip(line.heard[from..].bytes())
        .take_while(|(meant, heard)| meant == heard)
        .count();
    assert!(heard >= 60 && heard < sentence.len(), "{}", line.heard);
    let most = heard as u64 * 16 + 16;
    assert!(
        *heard_ms > 0 && *heard_ms <= most,
        "{heard_ms} ms, of {most} that were played"
    );
    let cut: Vec<&str> = texts(&end, Role::Agent)
        .into_iter()
        .filter(|text| text.ends_with('—'))
        .collect();
    assert!(!cut.is_empty(), "{:#?}", end.transcript);
    let kept = cut[0].trim_end_matches('—');
    assert!(sentence.starts_with(kept) && kept.len() < sentence.len());
    scene.assert_no_complaints().await;
}

#[tokio::test]
async fn keys_that_the_callee_presses_reach_transcript_and_model() {
    let callee = Callee::person(vec![
        Step::say("Hello?"),
        Step::WaitForAgentToFinish,
        Step::PressKey('5'),
        Step::PressKey('#'),
        Step::WaitForever,
    ]);
    let scene = Scene::start(options(callee)).await;
    let session = scene.place().await;
    let now = until(&session, "the keys", |now| {
        texts(now, Role::System)
            .iter()
            .any(|text| text.contains("5#"))
    })
    .await;
    assert_eq!(texts(&now, Role::System).len(), 1, "one line for one entry");
    let told = |model: &ModelSession| {
        model.events.iter().any(|event| {
            event["item"]["role"] == "system"
                && event["item"]["content"][0]["text"]
                    .as_str()
                    .is_some_and(|text| text.contains("5#"))
        })
    };
    scene.model(told).await;
    soon("the hang-up", scene.board().hang_up(&session)).await;
    scene.assert_no_complaints().await;
}

#[tokio::test]
async fn two_calls_at_once_do_not_mix() {
    let answers = |text: &str| {
        Callee::person(vec![
            Step::say("Hello?"),
            Step::WaitForAgentToFinish,
            Step::say("Go on."),
            Step::WaitForAgentToFinish,
            Step::say(text),
            Step::Pause(Duration::from_secs(30)),
        ])
    };
    let mut options = options(patient());
    options.callees = HashMap::from([
        (CALLEE.to_owned(), answers("Apples are fine.")),
        (OTHER.to_owned(), answers("Bread is sold out.")),
    ]);
    let scene = Scene::start(options).await;
    let (one, two) = tokio::join!(
        scene.place_order(mission(CALLEE, "Ask about the apples.")),
        scene.place_order(mission(OTHER, "Ask about the bread.")),
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.call.id, two.call.id);
    for (session, number, topic, answer, others) in [
        (&one, CALLEE, "apples", "Apples are fine.", "read"),
        (&two, OTHER, "bread", "Bread is sold out.", "pples"),
    ] {
        let (end, line) = scene.over(session).await;
        assert_eq!(end.status, Status::Completed);
        assert_eq!((end.to.as_str(), line.to.as_str()), (number, number));
        assert_eq!(end.notes, [answer]);
        assert!(
            line.heard.contains(topic) && !line.heard.contains(others),
            "{}",
            line.heard
        );
        for text in end.transcript.iter().map(|line| &line.text) {
            assert!(!text.contains(others), "{text}");
        }
        assert_eq!(scene.hang_ups(&line.sid), 1);
    }
    assert_eq!(scene.sandbox.model_sessions().len(), 2);
    scene.assert_no_complaints().await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_in_the_middle_is_taken_up_again() {
    let callee = Callee::person(vec![
        Step::say("Hello?"),
        Step::WaitForAgentToFinish,
        Step::Pause(Duration::from_secs(2)),
        Step::say("Yes, what is it about?"),
        Step::WaitForAgentToFinish,
        Step::HangUp,
    ]);
    let mut options = options(callee);
    options.carrier_fault = Some(CarrierFault::LosesStream(Duration::from_secs(3)));
    let scene = Scene::start(options).await;
    let session = scene.place().await;
    let (end, line) = scene.over(&session).await;
    assert_eq!(end.status, Status::Completed);
    assert_eq!(line.streams, 2);
    assert_eq!(scene.sandbox.model_sessions().len(), 1);
    assert!(end.disclosed_at.is_some());
    assert!(line.heard.contains("opening hours"), "{}", line.heard);
    scene.assert_no_complaints().await;
}
