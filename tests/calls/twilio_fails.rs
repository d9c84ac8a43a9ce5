use super::*;

#[tokio::test]
async fn once_for_too_many_requests_and_the_second_one_dials() {
    let scene = Scene::start(faulty_carrier(CarrierFault::RateLimitOnce)).await;
    let session = scene.place().await;
    assert_eq!(scene.dials(), 2);
    assert_eq!(scene.sandbox.calls().len(), 1);
    soon("the hang-up", scene.board().hang_up(&session)).await;
    scene.assert_no_complaints().await;
}

#[tokio::test]
async fn without_an_answer_and_is_not_asked_again_and_the_budget_is_kept() {
    for fault in [
        CarrierFault::DropConnection,
        CarrierFault::LoseAnswer,
        CarrierFault::ServerError(500),
        CarrierFault::ServerError(503),
    ] {
        let scene = Scene::start(faulty_carrier(fault)).await;
        let error = scene.place_error(order(CALLEE)).await;
        let PlaceError::Unknown { call_id, .. } = error else {
            panic!("{fault:?}: {error}");
        };
        let text = error.to_string();
        assert!(text.contains("unknown whether"), "{text}");
        assert!(text.contains(&call_id.to_string()), "{text}");
        let session = scene.board().session(call_id).expect("the call is known");
        let end = ended(&session).await;
        assert_eq!(end.status, Status::Failed);
        assert!(end.error.is_some());
        // It may be talking for all we know: it is in flight, and holds what it asked for, until
        // Twilio reports its end.
        let held = match fault {
            CarrierFault::LoseAnswer => {
                soon("the end of the line", session.call.wait_line_over()).await;
                (Duration::ZERO, 0)
            }
            _ => (Duration::from_secs(600), 1),
        };
        scene.app.shut_down(support::PATIENCE).await;
        assert_eq!(scene.dials(), 1, "{fault:?}");
        let used = scene.used().await;
        assert_eq!((used.time, used.in_flight), held, "{fault:?}");
    }
}

#[tokio::test]
async fn without_an_answer_although_it_dials_and_the_line_is_hung_up() {
    let scene = Scene::start(faulty_carrier(CarrierFault::LoseAnswer)).await;
    let error = scene.place_error(order(CALLEE)).await;
    assert!(matches!(error, PlaceError::Unknown { .. }), "{error}");
    let line = soon("the call", scene.sandbox.wait_calls(1)).await.unwrap();
    let line = soon("its end", scene.sandbox.wait_call_over(&line.sid))
        .await
        .unwrap();
    assert_eq!(line.heard, "", "nobody spoke to them");
    assert_eq!(line.streams, 0);
    assert!(scene.hang_ups(&line.sid) >= 1);
    assert_eq!(scene.dials(), 1);
}
#[tokio::test]
async fn without_an_answer_after_the_call_has_ended_and_the_budget_is_kept_all_the_same() {
    let mut stage = Stage::start().await;
    stage.rest.hold(true);
    let board = Arc::clone(stage.board());
    let placing = tokio::spawn(async move { board.place(order(CALLEE)).await });
    let mut model = stage.model().await;
    model.configuration().await;
    model.confirm();
    stage.rest.dialled(1).await;
    model.close(1011, "");
    soon("the end of the model's socket", model.gone()).await;
    stage.rest.fail();
    stage.rest.hold(false);
    let error = soon("the answer", placing).await.unwrap().unwrap_err();
    assert!(matches!(error, PlaceError::Unknown { .. }), "{error}");
    stage.app.shut_down(support::PATIENCE).await;
    let used = stage.board().used(Utc::now()).await.unwrap().time;
    assert_eq!(used, Duration::from_secs(600));
}

#[tokio::test]
async fn without_an_answer_and_the_key_is_not_free_for_another_dial() {
    let scene = Scene::start(faulty_carrier(CarrierFault::LoseAnswer)).await;
    let keyed = Order {
        idempotency_key: Some("key".to_owned()),
        ..order(CALLEE)
    };
    let error = scene.place_error(keyed.clone()).await;
    let PlaceError::Unknown { call_id, .. } = error else {
        panic!("{error}");
    };
    let again = scene.place_order(keyed).await.unwrap();
    assert_eq!(again.call.id, call_id);
    assert_eq!(scene.dials(), 1);
}
