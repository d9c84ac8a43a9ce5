use super::*;

fn call() -> Call {
    let brief = Brief {
        to: E164::parse("+390612345678").unwrap(),
        from: E164::parse("+15005550006").unwrap(),
        mission: "m".into(),
        language: "it-IT".parse().unwrap(),
        max_duration: Duration::from_secs(600),
    };
    Call::new(Uuid::new_v4(), brief, at(0), Arc::default())
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

#[test]
fn a_live_status_never_moves_backwards_and_a_final_one_is_never_left() {
    let call = call();
    call.advance(Status::InProgress, at(1));
    call.advance(Status::Ringing, at(2));
    assert_eq!(call.status(), Status::InProgress);
    assert!(call.finish(&End::HostHungUp, at(3)));
    assert!(
        !call.finish(&End::CalleeHungUp, at(4)),
        "the first reason wins"
    );
    call.advance(Status::InProgress, at(5));
    call.apply(Change::Note("late".into()), at(0), at(5));
    let snapshot = call.snapshot(Lines::All, at(60));
    assert_eq!(snapshot.status, Status::HungUpByAgent);
    assert!(snapshot.notes.is_empty());
    assert!(
        (snapshot.duration_s - 2.0).abs() < f64::EPSILON,
        "from the answer to the end"
    );
}

#[test]
fn the_outcome_comes_in_the_revision_of_the_end() {
    let ends = [
        (End::Busy, false, Status::Busy, Outcome::NoAnswer),
        (End::NoAnswer, false, Status::NoAnswer, Outcome::NoAnswer),
        (End::Voicemail, false, Status::Voicemail, Outcome::Voicemail),
        (
            End::Failed("x".into()),
            true,
            Status::Failed,
            Outcome::Failure,
        ),
        (End::Canceled, false, Status::Canceled, Outcome::Failure),
        (End::CalleeHungUp, true, Status::Completed, Outcome::Partial),
        (
            End::CalleeHungUp,
            false,
            Status::Completed,
            Outcome::Failure,
        ),
        (End::TimedOut, true, Status::TimedOut, Outcome::Partial),
        (
            End::HostHungUp,
            false,
            Status::HungUpByAgent,
            Outcome::Failure,
        ),
    ];
    for (end, spoke, status, outcome) in ends {
        let call = call();
        let before = call.watch().borrow().latest;
        if spoke {
            call.apply(Change::CalleeSpoke, at(0), at(0));
        }
        call.finish(&end, at(9));
        let snapshot = call.snapshot(Lines::All, at(9));
        assert_eq!(snapshot.revision, before + 1, "{end:?}");
        assert_eq!(
            (snapshot.status, snapshot.outcome),
            (status, Some(outcome)),
            "{end:?}"
        );
        assert!(snapshot.summary.is_some());
        assert_eq!(snapshot.error.as_deref(), end.error());
        assert!(snapshot.duration_s.abs() < f64::EPSILON, "never answered");
    }
}

#[test]
fn an_agent_that_gave_up_was_not_hung_up_on() {
    for spoke in [false, true] {
        let call = call();
        if spoke {
            call.apply(Change::CalleeSpoke, at(0), at(0));
        }
        call.finish(&End::Completed, at(9));
        let summary = call.snapshot(Lines::All, at(9)).summary.unwrap();
        assert!(summary.contains("the agent said goodbye"), "{summary}");
    }
}

#[test]
fn the_models_own_verdict_comes_first() {
    let call = call();
    call.apply(
        Change::Verdict {
            summary: "Moved to Tuesday.".into(),
            outcome: Outcome::Success,
        },
        at(0),
        at(0),
    );
    call.finish(&End::CalleeHungUp, at(1));
    let snapshot = call.snapshot(Lines::All, at(1));
    assert_eq!(snapshot.outcome, Some(Outcome::Success));
    assert_eq!(snapshot.summary.as_deref(), Some("Moved to Tuesday."));
}

#[test]
fn callbacks_of_twilio_in_any_order() {
    let call = call();
    assert!(call.is_news(Some(2)));
    assert!(!call.is_news(Some(1)), "overtaken");
    assert!(!call.is_news(Some(2)), "sent twice");
    assert!(call.is_news(None), "no number: judged by the status alone");
    assert!(call.learn_sid("CA1") && call.learn_sid("CA1"));
    assert!(!call.learn_sid("CA2"));
}

#[test]
fn new_lines_are_those_after_a_revision() {
    let call = call();
    let line = |slot, text: &str| Change::Line {
        slot,
        at: Duration::ZERO,
        role: Role::Agent,
        text: text.into(),
    };
    call.apply(line(0, "one"), at(0), at(0));
    let seen = call.snapshot(Lines::None, at(0)).revision;
    call.apply(line(1, "two"), at(0), at(0));
    let new = call.snapshot(Lines::After(seen), at(0)).transcript;
    assert_eq!(
        new.iter().map(|l| l.text.as_str()).collect::<Vec<_>>(),
        ["two"]
    );
}

#[test]
fn the_first_word_is_the_first() {
    let call = call();
    call.advance(Status::InProgress, at(1));
    // The greeting is cut off, and played again.
    for first_word in [300, 4_000] {
        let latency = Change::FirstWord(Duration::from_millis(first_word));
        call.apply(latency, at(0), at(2));
    }
    let latency = call.snapshot(Lines::None, at(3)).latency.unwrap();
    assert_eq!(latency.first_word_ms, 300);
}
