use super::*;

#[tokio::test]
async fn and_a_new_one_with_a_fresh_token_continues_the_same_call() {
    let mut stage = Stage::start().await;
    let (call, carrier) = talking(&mut stage).await;
    carrier.cut();
    let mut carrier = stage.connect(&call).await;
    let said = noise(4_000, 2);
    carrier.say(&said);
    assert_same_audio(&call.model.heard(said.len()).await, &said);
    call.model
        .respond("resp_1", "item_1", "Still here.", &chunks(50));
    let all = chunks(50).concat();
    assert_same_audio(&carrier.hear(all.len()).await, &all);
    let now = until(&call.session, "the line", |now| now.transcript.len() == 3).await;
    assert_eq!(now.status, Status::InProgress);
    assert_eq!(now.transcript[0].text, support::GREETING);
    assert_eq!(now.transcript[1].role, Role::System);
    assert_eq!(now.transcript[1].text, "The line dropped for a moment.");
    assert_eq!(now.transcript[2].text, "Still here.");
    assert!(
        stage.no_other_model(),
        "the conversation went on in its session"
    );
    assert_eq!(stage.rest.hang_ups(&call.sid), 0);
}

#[tokio::test]
async fn while_the_old_one_still_stands_and_only_the_new_one_counts() {
    let mut stage = Stage::start().await;
    let (call, mut old) = talking(&mut stage).await;
    let mut carrier = stage.connect(&call).await;
    carrier.say(&noise(160, 1));
    call.model.heard(160).await;
    old.say(&noise(160, 2));
    let spoken = noise(2_000, 3);
    call.model
        .respond("resp_1", "item_1", "Here.", std::slice::from_ref(&spoken));
    assert_same_audio(&carrier.hear(spoken.len()).await, &spoken);
    carrier.say(&noise(160, 4));
    let heard = call.model.heard(320).await;
    assert_same_audio(&heard, &[noise(160, 1), noise(160, 4)].concat());
    drop(old);
    carrier.say(&noise(160, 5));
    call.model.heard(480).await;
    assert_eq!(snapshot(&call.session).status, Status::InProgress);
}

#[tokio::test]
async fn during_the_greeting_which_is_then_played_again_in_full() {
    let mut stage = Stage::start().await;
    let mut call = stage.place().await;
    let greeting = chunks(600);
    call.model.greet(&greeting).await;
    let mut carrier = stage.connect(&call).await;
    // Some of it was sent, and no mark has come back.
    while carrier.frame().await["event"] != "mark" {}
    carrier.cut();
    let mut carrier = stage.connect(&call).await;
    let all = greeting.concat();
    assert_same_audio(&carrier.hear(all.len()).await, &all);
    let now = until(&call.session, "the disclosure", |now| {
        now.disclosed_at.is_some()
    })
    .await;
    assert_eq!(now.transcript.len(), 2, "{:#?}", now.transcript);
    assert_eq!(now.transcript[1].text, support::GREETING);
}

#[tokio::test]
async fn with_a_stop_and_without_a_new_one_which_ends_the_call() {
    let mut stage = Stage::start().await;
    let (call, carrier) = talking(&mut stage).await;
    call.model
        .send(&json!({"type": "input_audio_buffer.speech_started", "item_id": "u"}));
    carrier.stop();
    let end = ended(&call.session).await;
    assert_eq!(end.status, Status::Completed);
    assert_eq!(end.error, None);
    assert!(end.summary.is_some());
    // Twilio did not say that the line is over, so it is hung up.
    stage.rest.hung_up(1).await;
}

#[tokio::test]
async fn without_a_word_and_without_a_new_one_which_ends_the_call() {
    let mut stage = Stage::start().await;
    let (call, carrier) = talking(&mut stage).await;
    carrier.cut();
    let end = ended(&call.session).await;
    assert_eq!(end.status, Status::Completed);
    assert_eq!(
        end.outcome,
        Some(Outcome::Failure),
        "the callee said nothing"
    );
    stage.rest.hung_up(1).await;
    assert_eq!(stage.rest.hang_ups(&call.sid), 1);
}

#[tokio::test]
async fn because_nothing_comes_on_it_any_more() {
    let mut stage = Stage::start().await;
    let (call, carrier) = talking(&mut stage).await;
    carrier.hush();
    let end = ended(&call.session).await;
    assert_eq!(end.status, Status::Completed, "{:?}", end.error);
    stage.rest.hung_up(1).await;
    drop(carrier);
}
