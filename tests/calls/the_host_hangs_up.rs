use super::*;

#[tokio::test]
async fn while_the_phone_rings() {
    let scene = Scene::start(ringing()).await;
    let session = scene.place().await;
    until(&session, "the ringing", |now| now.status == Status::Ringing).await;
    soon("the hang-up", scene.board().hang_up(&session)).await;
    let (end, line) = scene.over(&session).await;
    assert_eq!(end.status, Status::HungUpByAgent);
    assert_eq!(end.outcome, Some(Outcome::Failure));
    assert!(end.duration_s.abs() < f64::EPSILON);
    assert_eq!(line.status, CallStatus::Canceled);
    scene.assert_no_complaints().await;
    assert_eq!(scene.hang_ups(&line.sid), 1);
    assert_eq!(snapshot(&session).status, Status::HungUpByAgent);
    scene.assert_nothing_is_held().await;
}

#[tokio::test]
async fn as_soon_as_the_call_is_placed() {
    let scene = Scene::start(ringing()).await;
    let session = scene.place().await;
    soon("the hang-up", scene.board().hang_up(&session)).await;
    let (end, line) = scene.over(&session).await;
    assert_eq!(end.status, Status::HungUpByAgent);
    assert_eq!(line.status, CallStatus::Canceled);
    scene.assert_no_complaints().await;
    assert_eq!(scene.hang_ups(&line.sid), 1);
}

#[tokio::test]
async fn while_the_agent_speaks() {
    // In real time, so that there is a middle of the sentence.
    let scene = Scene::start(Options {
        frame_interval: Duration::from_millis(20),
        ..options(patient())
    })
    .await;
    let session = scene.place().await;
    let sid = session.call.twilio_sid().unwrap();
    let speaking = scene
        .sandbox
        .wait_call(&sid, |call| call.heard.chars().count() >= 5);
    soon("the agent to speak", speaking).await.unwrap();
    soon("the hang-up", scene.board().hang_up(&session)).await;
    let (end, line) = scene.over(&session).await;
    assert_eq!(end.status, Status::HungUpByAgent);
    assert_eq!(end.outcome, Some(Outcome::Partial), "the callee said hello");
    assert_eq!(line.status, CallStatus::Completed);
    assert!(line.heard.len() < 60, "{}", line.heard);
    assert_eq!(end.disclosed_at, None);
    scene.assert_no_complaints().await;
    assert_eq!(scene.hang_ups(&line.sid), 1);
    // Twice is once.
    soon("the hang-up", scene.board().hang_up(&session)).await;
    assert_eq!(scene.hang_ups(&line.sid), 1);
}

#[tokio::test]
async fn by_stopping_with_calls_in_every_state() {
    let mut options = ringing();
    options.callees = HashMap::from([(OTHER.to_owned(), patient())]);
    let scene = Scene::start(options).await;
    let rings = scene.place().await;
    let talks = scene.place_order(order(OTHER)).await.unwrap();
    until(&rings, "the ringing", |now| now.status == Status::Ringing).await;
    until(&talks, "the disclosure", |now| now.disclosed_at.is_some()).await;
    soon("the shutdown", scene.app.shut_down(support::PATIENCE)).await;
    // Nothing more needs to be waited for: it returns when all lines are hung up.
    for session in [&rings, &talks] {
        let end = snapshot(session);
        assert_eq!(end.status, Status::HungUpByAgent);
        assert!(end.summary.is_some() && end.outcome.is_some());
        let sid = end.twilio_sid.unwrap();
        assert_eq!(scene.hang_ups(&sid), 1);
        soon("the end of the line", scene.sandbox.wait_call_over(&sid)).await;
    }
    let error = scene.place_error(order(CALLEE)).await;
    assert!(matches!(error, PlaceError::Stopping), "{error}");
    assert_eq!(scene.dials(), 2);
    assert_eq!(scene.used().await.in_flight, 0);
}
#[tokio::test]
async fn by_stopping_and_twilio_is_listened_to_until_the_lines_are_hung_up() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    stage.rest.hold(true);
    let app = Arc::clone(&stage.app);
    let stopping = tokio::spawn(async move { app.shut_down(support::PATIENCE).await });
    stage.rest.hung_up(1).await;
    assert_eq!(stage.report(&call, "completed", 4).await, 204);
    stage.rest.hold(false);
    soon("the shutdown", stopping).await.unwrap();
}

#[tokio::test]
async fn by_stopping_while_twilio_is_being_asked_to_dial() {
    let mut stage = Stage::start().await;
    stage.rest.hold(true);
    let board = Arc::clone(stage.board());
    let placing = tokio::spawn(async move { board.place(order(CALLEE)).await });
    let mut model = stage.model().await;
    model.configuration().await;
    model.confirm();
    stage.rest.dialled(1).await;
    let app = Arc::clone(&stage.app);
    let stopping = tokio::spawn(async move { app.shut_down(support::PATIENCE).await });
    // The model's socket is closed when the call is over here; only then does Twilio answer.
    soon("the end of the model's socket", model.gone()).await;
    stage.rest.hold(false);
    soon("the shutdown", stopping).await.unwrap();
    let session = soon("the call", placing).await.unwrap().unwrap();
    let end = snapshot(&session.here().unwrap());
    assert_eq!(end.status, Status::HungUpByAgent);
    assert_eq!(stage.rest.hang_ups(&end.twilio_sid.unwrap()), 1);
}
