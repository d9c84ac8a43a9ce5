use super::*;

#[tokio::test]
async fn the_days_seconds_are_reserved_and_what_is_not_used_is_given_back() {
    let cap = [("OPENAGENT_PHONE_MAX_DAILY_SECONDS", "100")];
    let scene = Scene::with(ringing(), &cap).await;
    let sixty = Order {
        max_duration: Some(Duration::from_secs(60)),
        ..order(CALLEE)
    };
    let first = scene.place_order(sixty).await.unwrap();
    let second = scene.place().await;
    assert_eq!(second.call.brief.max_duration, Duration::from_secs(40));
    let error = scene.place_error(order(OTHER)).await;
    let PlaceError::Limit(Refused::OverBudget(OverBudget::Seconds { left: 0, cap: 100 })) = error
    else {
        panic!("{error}");
    };
    assert!(
        error
            .to_string()
            .contains("OPENAGENT_PHONE_MAX_DAILY_SECONDS")
    );
    assert_eq!(scene.dials(), 2);
    // It was never answered, so all of it comes back.
    soon("the hang-up", scene.board().hang_up(&first)).await;
    // Whoever has heard of the end finds the rest given back.
    assert_eq!(scene.used().await.time, Duration::from_secs(40));
    let third = scene.place_order(order(OTHER)).await.unwrap();
    assert_eq!(third.call.brief.max_duration, Duration::from_secs(60));
    scene.assert_no_complaints().await;
    scene.assert_nothing_is_held().await;
}

#[tokio::test]
async fn calls_placed_at_once_cannot_overshoot_the_day() {
    let caps = [
        ("OPENAGENT_PHONE_MAX_DAILY_SECONDS", "100"),
        ("OPENAGENT_PHONE_MAX_DURATION_SECONDS", "50"),
    ];
    let scene = Scene::with(ringing(), &caps).await;
    let placing = (0..6).map(|last| scene.place_order(order(&format!("+1415555015{last}"))));
    let placed = futures_util::future::join_all(placing).await;
    assert_eq!(placed.iter().filter(|result| result.is_ok()).count(), 2);
    assert_eq!(scene.dials(), 2);
    scene.assert_no_complaints().await;
}

#[tokio::test]
async fn calls_to_one_number_are_counted_answered_or_not() {
    let cap = [("OPENAGENT_PHONE_MAX_DAILY_CALLS_PER_NUMBER", "2")];
    let scene = Scene::with(options(Callee::unreachable(Answer::Busy)), &cap).await;
    for _ in 0..2 {
        let session = scene.place().await;
        assert_eq!(ended(&session).await.status, Status::Busy);
    }
    let error = scene.place_error(order(CALLEE)).await;
    assert!(
        matches!(
            error,
            PlaceError::Limit(Refused::OverBudget(OverBudget::CallsToNumber(2)))
        ),
        "{error}"
    );
    assert_eq!(scene.dials(), 2);
    let other = scene.place_order(order(OTHER)).await.unwrap();
    ended(&other).await;
}

#[tokio::test]
async fn no_more_calls_are_in_flight_than_are_allowed() {
    let cap = [("OPENAGENT_PHONE_MAX_CONCURRENT_CALLS", "1")];
    let scene = Scene::with(ringing(), &cap).await;
    let session = scene.place().await;
    let error = scene.place_error(order(OTHER)).await;
    assert!(
        matches!(
            error,
            PlaceError::Limit(Refused::OverBudget(OverBudget::Concurrent(1)))
        ),
        "{error}"
    );
    assert_eq!(scene.dials(), 1);
    // Whoever hears of the end can place the next call.
    soon("the hang-up", scene.board().hang_up(&session)).await;
    assert_eq!(scene.used().await.in_flight, 0);
    scene.place_order(order(OTHER)).await.unwrap();
    scene.assert_no_complaints().await;
}
