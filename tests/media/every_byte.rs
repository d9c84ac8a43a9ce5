use super::*;

#[tokio::test]
async fn of_the_callees_audio_reaches_the_model() {
    let mut stage = Stage::start().await;
    let (call, mut carrier) = talking(&mut stage).await;
    let said = chunks(100);
    for chunk in &said {
        carrier.say(chunk);
    }
    let said = said.concat();
    assert!((0..=255).all(|byte| said.contains(&byte)));
    assert_same_audio(&call.model.heard(said.len()).await, &said);
    // Nothing comes behind it: the next byte to arrive is the next that is said.
    carrier.say(&[0x42]);
    let heard = call.model.heard(said.len() + 1).await;
    assert_same_audio(&heard, &[said, vec![0x42]].concat());
}

#[tokio::test]
async fn of_the_agents_audio_reaches_the_callee_with_a_mark_every_200_ms() {
    let mut stage = Stage::start().await;
    let (call, mut carrier) = talking(&mut stage).await;
    let spoken = chunks(200);
    call.model
        .respond("resp_1", "item_1", "All of it.", &spoken);
    let all = spoken.concat();
    assert!((0..=255).all(|byte| all.contains(&byte)));
    assert_same_audio(&carrier.hear(all.len()).await, &all);
    let now = until(&call.session, "the line", |now| now.transcript.len() == 2).await;
    assert_eq!(now.transcript[1].text, "All of it.");
    // Two items in one response, one after the other.
    let (one, two) = (noise(4_001, 8), noise(777, 9));
    call.model.begin("resp_2");
    call.model.speak("resp_2", "item_2", &one);
    call.model.speak("resp_2", "item_3", &two);
    call.model.finish("resp_2", "item_3", "And more.");
    let both = [one, two].concat();
    assert_same_audio(&carrier.hear(both.len()).await, &both);
}

#[tokio::test]
async fn of_a_greeting_that_was_made_while_the_phone_rang_is_played() {
    let mut stage = Stage::start().await;
    let mut call = stage.place().await;
    let greeting = chunks(300);
    call.model.greet(&greeting).await;
    // The phone rings on, and the callee speaks into a stream only now.
    assert_eq!(stage.report(&call, "ringing", 1).await, 204);
    let mut carrier = stage.connect(&call).await;
    let all = greeting.concat();
    assert_same_audio(&carrier.hear(all.len()).await, &all);
    let now = until(&call.session, "the disclosure", |now| {
        now.disclosed_at.is_some()
    })
    .await;
    assert_eq!(now.transcript.len(), 1);
    assert_eq!(now.transcript[0].text, support::GREETING);
    assert_eq!(now.transcript[0].role, Role::Agent);
}

#[tokio::test]
async fn that_is_said_before_the_model_is_ready_is_held_and_delivered_in_order() {
    let mut stage = Stage::start().await;
    let board = Arc::clone(stage.board());
    // The model takes its time: the phone rings all the same.
    let placing = tokio::spawn(async move { board.place(order(CALLEE)).await });
    let mut model = stage.model().await;
    model.configuration().await;
    let session = soon("the call", placing).await.unwrap().unwrap();
    let call = Stage::placed(session.here().unwrap(), model);
    let mut carrier = stage.connect(&call).await;
    let early = chunks(400);
    let early: Vec<_> = early
        .into_iter()
        .filter(|chunk| chunk.len() < 4_000)
        .collect();
    for chunk in &early {
        carrier.say(chunk);
    }
    // Once this key has arrived, everything before it has.
    carrier.press('1');
    until(&call.session, "the key", |now| !now.transcript.is_empty()).await;
    assert_eq!(call.model.heard_so_far(), 0, "it was not ready");
    call.model.confirm();
    let mut all = early.concat();
    assert_same_audio(&call.model.heard(all.len()).await, &all);
    for chunk in chunks(500) {
        carrier.say(&chunk);
        all.extend(chunk);
    }
    assert_same_audio(&call.model.heard(all.len()).await, &all);
}
