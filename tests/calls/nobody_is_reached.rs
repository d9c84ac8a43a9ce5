use super::*;

#[tokio::test]
async fn busy_unanswered_and_unconnected_calls_say_so() {
    let mut fast = options(Callee::default());
    // The phone rings for a minute.
    fast.frame_interval = Duration::from_millis(1);
    let scene = Scene::start(fast).await;
    let place = async |last: &str| scene.place_order(order(&format!("+1415555{last}"))).await;
    let (busy, unanswered, unconnected) = tokio::join!(place("0001"), place("0002"), place("0003"));
    for (session, status, outcome) in [
        (busy, Status::Busy, Outcome::NoAnswer),
        (unanswered, Status::NoAnswer, Outcome::NoAnswer),
        (unconnected, Status::Failed, Outcome::Failure),
    ] {
        let session = session.unwrap();
        let (end, line) = scene.over(&session).await;
        assert_eq!((end.status, end.outcome), (status, Some(outcome)));
        assert_eq!(end.error.is_some(), status == Status::Failed);
        assert!(end.duration_s.abs() < f64::EPSILON && end.answered_at.is_none());
        assert!(end.transcript.is_empty() && end.disclosed_at.is_none());
        assert_eq!(scene.hang_ups(&line.sid), 0, "there is no line");
    }
    scene.assert_no_complaints().await;
    scene.assert_nothing_is_held().await;
    scene.assert_models_are_gone(3).await;
}

#[tokio::test]
async fn a_callee_who_hangs_up_after_the_greeting_completes_the_call() {
    let scene = Scene::start(options(Callee::default())).await;
    let session = scene.place_order(order("+14155550004")).await.unwrap();
    let (end, line) = scene.over(&session).await;
    assert_eq!(end.status, Status::Completed);
    assert_eq!(end.outcome, Some(Outcome::Partial), "the callee spoke");
    assert_eq!(end.error, None);
    assert!(end.disclosed_at.is_some());
    assert_eq!(texts(&end, Role::Agent).len(), 1);
    assert_eq!(scene.hang_ups(&line.sid), 0, "they did that themselves");
    scene.assert_no_complaints().await;
}

#[tokio::test]
async fn twilio_refuses_the_number_and_says_why() {
    let scene = Scene::start(options(Callee::default())).await;
    for (last, code, hint) in [
        ("1", "21217", "not valid"),
        ("2", "21214", "cannot be reached"),
        ("3", "21215", "Geographic Permissions"),
        ("4", "21216", "do not try it again"),
    ] {
        let before = scene.sandbox.requests().len();
        let error = scene
            .place_error(order(&format!("+1500555000{last}")))
            .await;
        assert!(matches!(error, PlaceError::Twilio(_)), "{error}");
        let error = error.to_string();
        assert!(error.contains(code) && error.contains(hint), "{error}");
        assert_eq!(scene.sandbox.requests().len(), before + 1, "asked once");
    }
    scene.assert_no_complaints().await;
    scene.assert_nothing_is_held().await;
    assert!(scene.sandbox.calls().is_empty());
    scene.assert_models_are_gone(4).await;
}

#[tokio::test]
async fn a_refused_call_does_not_count_as_one_to_its_number() {
    let limit = [("OPENAGENT_PHONE_MAX_DAILY_CALLS_PER_NUMBER", "1")];
    let scene = Scene::with(options(Callee::default()), &limit).await;
    for _ in 0..2 {
        let error = scene.place_error(order("+15005550002")).await;
        assert!(matches!(error, PlaceError::Twilio(_)), "{error}");
    }
}

#[tokio::test]
async fn forbidden_numbers_are_asked_of_nobody() {
    let allow = [("OPENAGENT_PHONE_ALLOW_PREFIXES", "+39,+1900555")];
    let scene = Scene::with(options(Callee::default()), &allow).await;
    for number in [CALLEE, "+19005550123", "+15005550006", "+39899123456"] {
        let error = scene.place_error(order(number)).await;
        assert!(matches!(error, PlaceError::Refused(_)), "{number}: {error}");
    }
    assert!(scene.sandbox.requests().is_empty());
    assert!(scene.sandbox.model_sessions().is_empty());
    scene.assert_nothing_is_held().await;
}
