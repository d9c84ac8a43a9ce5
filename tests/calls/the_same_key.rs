use super::*;

fn keyed(to: &str) -> Order {
    Order {
        idempotency_key: Some("appointment-17".to_owned()),
        ..order(to)
    }
}

#[tokio::test]
async fn twice_at_once_dials_once() {
    let scene = Scene::start(ringing()).await;
    let (one, two) = tokio::join!(
        scene.place_order(keyed(CALLEE)),
        scene.place_order(keyed(CALLEE)),
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!(scene.dials(), 1);
    soon("the hang-up", scene.board().hang_up(&one)).await;
    // The repeated answer shows the call as it stands by then.
    let again = scene.place_order(keyed(CALLEE)).await.unwrap();
    assert!(Arc::ptr_eq(&one, &again));
    assert_eq!(snapshot(&again).status, Status::HungUpByAgent);
    assert_eq!(scene.dials(), 1);
    scene.assert_no_complaints().await;
}

#[tokio::test]
async fn with_other_arguments_is_an_error() {
    let scene = Scene::start(ringing()).await;
    scene.place_order(keyed(CALLEE)).await.unwrap();
    for other in [
        keyed(OTHER),
        Order {
            mission: "Something else.".to_owned(),
            ..keyed(CALLEE)
        },
        Order {
            max_duration: Some(Duration::from_secs(30)),
            ..keyed(CALLEE)
        },
        Order {
            language: "it-IT".parse().unwrap(),
            ..keyed(CALLEE)
        },
        Order {
            caller_identity: Some("Maria".to_owned()),
            ..keyed(CALLEE)
        },
    ] {
        let error = scene.place_error(other).await;
        assert!(
            matches!(error, PlaceError::Limit(Refused::KeyReused(_))),
            "{error}"
        );
    }
    assert_eq!(scene.dials(), 1);
    scene.assert_no_complaints().await;
}

#[tokio::test]
async fn is_free_again_after_a_refusal() {
    let cap = [("OPENAGENT_PHONE_MAX_CONCURRENT_CALLS", "1")];
    let scene = Scene::with(options(Callee::unreachable(Answer::Busy)), &cap).await;
    let refused = Order {
        to: E164::parse("+15005550002").unwrap(),
        ..keyed(CALLEE)
    };
    let error = scene.place_error(refused).await;
    assert!(matches!(error, PlaceError::Twilio(_)), "{error}");
    let session = scene.place_order(keyed(CALLEE)).await.unwrap();
    assert_eq!(ended(&session).await.status, Status::Busy);
}

#[tokio::test]
async fn of_a_request_that_was_cancelled_half_way_leads_to_the_call_it_placed() {
    let mut stage = Stage::start().await;
    stage.rest.hold(true);
    let board = Arc::clone(stage.board());
    let placing = tokio::spawn(async move { board.place(keyed(CALLEE)).await });
    let mut model = stage.model().await;
    model.configuration().await;
    model.confirm();
    stage.rest.dialled(1).await;
    placing.abort();
    assert!(placing.await.unwrap_err().is_cancelled());
    let board = Arc::clone(stage.board());
    let again = tokio::spawn(async move { board.place(keyed(CALLEE)).await });
    stage.rest.hold(false);
    let placed = soon("the call", again).await.unwrap().unwrap();
    let session = placed.here().unwrap();
    let dials = stage.rest.requests();
    assert_eq!(dials.len(), 1, "{dials:?}");
    assert!(dials[0].1.contains(&session.call.id.to_string()));
}
