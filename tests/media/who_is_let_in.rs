use super::*;

/// Sends `start` with these parameters on a new socket and expects it to be closed.
async fn is_refused(stage: &Stage, why: &str, call_sid: &str, parameters: Value) {
    let mut carrier = stage.socket().await;
    let frame = carrier.start_frame(call_sid, &parameters);
    carrier.text(&frame.to_string());
    assert_eq!(carrier.closed().await, NOT_ADMITTED, "{why}");
}

#[tokio::test]
async fn a_stream_without_a_good_token_is_closed_and_the_call_unaffected() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let other = stage.place().await;
    let token = stage.token(&call).await;
    let others_token = stage.token(&other).await;
    let before = [standing(&call.session), standing(&other.session)];
    let (id, sid) = (&*call.id, &*call.sid);
    let unknown = uuid::Uuid::new_v4().to_string();
    for (why, sid, parameters) in [
        ("no parameters", sid, json!({})),
        ("no parameters at all", sid, Value::Null),
        ("no token", sid, json!({"call_id": id})),
        ("no call", sid, json!({"token": token})),
        ("empty", sid, json!({"call_id": id, "token": ""})),
        (
            "wrong",
            sid,
            json!({"call_id": id, "token": "0".repeat(64)}),
        ),
        (
            "the beginning of it",
            sid,
            json!({"call_id": id, "token": token[..63]}),
        ),
        (
            "more than it",
            sid,
            json!({"call_id": id, "token": format!("{token}0")}),
        ),
        (
            "in capitals",
            sid,
            json!({"call_id": id, "token": format!("X{}", token[1..].to_uppercase())}),
        ),
        (
            "the token of another call",
            sid,
            json!({"call_id": id, "token": others_token}),
        ),
        (
            "another call with this token",
            &*other.sid,
            json!({"call_id": other.id, "token": token}),
        ),
        (
            "an unknown call",
            sid,
            json!({"call_id": unknown, "token": token}),
        ),
        (
            "a call id that is none",
            sid,
            json!({"call_id": "../..", "token": token}),
        ),
        (
            "a token that is no string",
            sid,
            json!({"call_id": id, "token": 7}),
        ),
    ] {
        is_refused(&stage, why, sid, parameters).await;
    }
    let after = [standing(&call.session), standing(&other.session)];
    assert_eq!(after, before);
    // Both tokens are as good as before: guessing uses nothing up.
    for (call, token) in [(&call, &token), (&other, &others_token)] {
        let mut carrier = stage.socket().await;
        carrier.start(&call.id, token, &call.sid);
        carrier.press('1');
        until(&call.session, "a sign of the stream", |now| {
            !now.transcript.is_empty()
        })
        .await;
        carrier.say(&[0xFF; 160]);
    }
}

#[tokio::test]
async fn a_token_is_good_once_and_its_second_use_does_not_disturb_the_first() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let token = stage.token(&call).await;
    let mut carrier = stage.socket().await;
    carrier.start(&call.id, &token, &call.sid);
    carrier.say(&noise(160, 1));
    call.model.heard(160).await;
    for _ in 0..3 {
        let parameters = json!({"call_id": call.id, "token": token});
        is_refused(&stage, "replayed", &call.sid, parameters).await;
    }
    carrier.say(&noise(160, 2));
    let heard = call.model.heard(320).await;
    assert_same_audio(&heard, &[noise(160, 1), noise(160, 2)].concat());
}

#[tokio::test]
async fn a_token_that_was_shown_for_another_twilio_call_is_burnt() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let token = stage.token(&call).await;
    let parameters = json!({"call_id": call.id, "token": token});
    let foreign = "CA00000000000000000000000000000000";
    is_refused(&stage, "foreign", foreign, parameters.clone()).await;
    is_refused(&stage, "burnt", &call.sid, parameters).await;
    assert_eq!(snapshot(&call.session).status, Status::InProgress);
    let mut carrier = stage.connect(&call).await;
    carrier.say(&noise(160, 1));
    assert_same_audio(&call.model.heard(160).await, &noise(160, 1));
}

#[tokio::test]
async fn only_what_we_can_carry_is_let_in() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    for (key, value) in [
        ("encoding", json!("audio/x-alaw")),
        ("encoding", json!("audio/l16")),
        ("sampleRate", json!(16_000)),
        ("sampleRate", json!("44100")),
        ("channels", json!(2)),
    ] {
        let token = stage.token(&call).await;
        let mut carrier = stage.socket().await;
        let parameters = json!({"call_id": call.id, "token": token});
        let mut frame = carrier.start_frame(&call.sid, &parameters);
        frame["start"]["mediaFormat"][key] = value.clone();
        carrier.text(&frame.to_string());
        assert_eq!(carrier.closed().await, NOT_ADMITTED, "{key}={value}");
    }
    // Twilio writes numbers as strings in some places.
    let token = stage.token(&call).await;
    let mut carrier = stage.socket().await;
    let parameters = json!({"call_id": call.id, "token": token});
    let mut frame = carrier.start_frame(&call.sid, &parameters);
    frame["start"]["mediaFormat"]["sampleRate"] = json!("8000");
    carrier.text(&frame.to_string());
    carrier.say(&noise(160, 1));
    assert_same_audio(&call.model.heard(160).await, &noise(160, 1));
}

#[tokio::test]
async fn the_token_decides_whatever_the_handshake_was_signed_with() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let mut heard = 0;
    let wrong = support::sign("another token", "wss://voice.example.test/tel/media", &[]);
    for signature in [None, Some("garbage"), Some(&*wrong), Some("")] {
        let token = stage.token(&call).await;
        let mut carrier = Carrier::open(stage.port, signature).await;
        carrier.start(&call.id, &token, &call.sid);
        carrier.say(&[0x11; 160]);
        heard += 160;
        call.model.heard(heard).await;
    }
    // And a good signature does not replace the token.
    let parameters = json!({"call_id": call.id});
    is_refused(&stage, "signed, no token", &call.sid, parameters).await;
}
