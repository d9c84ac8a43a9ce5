use super::*;

#[tokio::test]
async fn what_is_no_beginning_of_a_stream_is_closed() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let before = standing(&call.session);
    let media = stage.socket().await.media_frame(0, &[1; 160]);
    for text in [
        "",
        "garbage",
        "{",
        "[]",
        "null",
        "7",
        "{\"event\":7}",
        "{\"event\":\"start\"}",
        "{\"event\":\"start\",\"start\":[]}",
        "{\"event\":\"start\",\"start\":{\"streamSid\":\"MZ1\"}}",
        "{\"event\":\"stop\"}",
        "{\"event\":\"dtmf\",\"dtmf\":{\"digit\":\"1\"}}",
        "{\"event\":\"mark\",\"mark\":{\"name\":\"g0-0\"}}",
        &media,
    ] {
        let mut carrier = stage.socket().await;
        carrier.text(text);
        assert_eq!(carrier.closed().await, NOT_ADMITTED, "{text}");
    }
    assert_eq!(standing(&call.session), before);
}

#[tokio::test]
async fn more_than_64_kib_without_a_token_is_closed() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let token = stage.token(&call).await;
    let before = standing(&call.session);
    let unknown = json!({"event": "new", "filler": "x".repeat(1_000)}).to_string();
    // In small frames, in one frame, in binary frames, in empty ones.
    let many = stage.socket().await;
    for _ in 0..70 {
        many.text(&unknown);
    }
    let one = stage.socket().await;
    one.text(&json!({"event": "new", "filler": "x".repeat(70 * 1024)}).to_string());
    let binary = stage.socket().await;
    for _ in 0..600 {
        binary.binary(vec![]);
    }
    let large_binary = stage.socket().await;
    large_binary.binary(vec![7; 70 * 1024]);
    for (why, mut carrier) in [
        ("many", many),
        ("one", one),
        ("binary", binary),
        ("large binary", large_binary),
    ] {
        // The token comes too late.
        carrier.start(&call.id, &token, &call.sid);
        let closed = carrier.closed().await;
        assert!(
            closed == NOT_ADMITTED || closed.is_none(),
            "{why}: {closed:?}"
        );
    }
    assert_eq!(standing(&call.session), before);
    // A little noise before the start does not matter.
    let mut carrier = stage.socket().await;
    for _ in 0..5 {
        carrier.text(&unknown);
        carrier.binary(vec![1, 2, 3]);
    }
    carrier.start(&call.id, &token, &call.sid);
    carrier.say(&noise(160, 1));
    assert_same_audio(&call.model.heard(160).await, &noise(160, 1));
}

#[tokio::test]
async fn a_socket_that_shows_no_token_for_5_s_is_closed() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let before = standing(&call.session);
    let began = Instant::now();
    let silent = stage.socket().await;
    // One that keeps talking gains no time by it.
    let chatty = stage.socket().await;
    let talk = async {
        loop {
            chatty.text(r#"{"event":"connected"}"#);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut quiet = silent;
    let closed = tokio::select! {
        closed = quiet.closed() => closed,
        () = talk => unreachable!(),
    };
    assert_eq!(closed, NOT_ADMITTED);
    assert!(
        began.elapsed() > Duration::from_secs(3),
        "a slow network has its time"
    );
    let mut chatty = chatty;
    assert_eq!(chatty.closed().await, NOT_ADMITTED);
    assert_eq!(standing(&call.session), before);
    // While strangers are waited for, streams with a token are let in.
    let strangers = [stage.socket().await, stage.socket().await];
    let mut carrier = stage.connect(&call).await;
    carrier.say(&noise(160, 1));
    assert_same_audio(&call.model.heard(160).await, &noise(160, 1));
    drop(strangers);
}
