use super::*;

#[tokio::test]
async fn garbage_binary_frames_and_unknown_events_do_no_harm() {
    let mut stage = Stage::start().await;
    let (call, mut carrier) = talking(&mut stage).await;
    let before = standing(&call.session);
    let first = noise(1_000, 5);
    carrier.say(&first);
    for text in [
        "",
        "garbage",
        "{",
        "[1,2]",
        "null",
        "\"media\"",
        "{\"event\":null}",
        "{\"event\":\"media\"}",
        "{\"event\":\"media\",\"media\":{}}",
        "{\"event\":\"media\",\"media\":{\"payload\":\"not base64!\"}}",
        "{\"event\":\"media\",\"media\":{\"payload\":\"\"}}",
        "{\"event\":\"media\",\"media\":{\"track\":\"outbound\",\"payload\":\"AAAA\"}}",
        "{\"event\":\"mark\"}",
        "{\"event\":\"mark\",\"mark\":{\"name\":\"somebody else's\"}}",
        "{\"event\":\"mark\",\"mark\":{\"name\":\"g4294967295-4294967295\"}}",
        "{\"event\":\"mark\",\"mark\":{\"name\":\"g99999999999-1\"}}",
        "{\"event\":\"dtmf\"}",
        "{\"event\":\"dtmf\",\"dtmf\":{\"digit\":\"star\"}}",
        "{\"event\":\"connected\"}",
        "{\"event\":\"brand-new\",\"media\":7,\"mark\":[],\"start\":\"x\",\"dtmf\":{}}",
    ] {
        carrier.text(text);
    }
    carrier.binary(vec![0; 5_000]);
    carrier.binary(vec![]);
    // A second start changes nothing, not even with another call's name.
    let start = carrier.start_frame("CA1", &json!({"call_id": "x", "token": "x"}));
    carrier.text(&start.to_string());
    let second = noise(1_000, 6);
    carrier.say(&second);
    let heard = call.model.heard(2_000).await;
    assert_same_audio(&heard, &[first, second].concat());
    assert_eq!(standing(&call.session), before);
    // And in the other direction.
    let spoken = noise(3_000, 7);
    call.model
        .respond("resp_1", "item_1", "Fine.", std::slice::from_ref(&spoken));
    assert_same_audio(&carrier.hear(spoken.len()).await, &spoken);
}

#[tokio::test]
async fn garbage_and_unknown_events_of_the_model_do_no_harm() {
    let mut stage = Stage::start().await;
    let (call, mut carrier) = talking(&mut stage).await;
    for event in [
        json!({}),
        json!([]),
        json!("text"),
        json!({"type": 7}),
        json!({"type": "brand.new", "response": 7, "item": [], "delta": {}}),
        json!({"type": "response.output_audio.delta"}),
        json!({"type": "response.output_audio.delta", "response_id": "r", "item_id": "i",
            "delta": "not base64"}),
        json!({"type": "response.output_audio.delta", "response_id": "r", "item_id": "i",
            "delta": ""}),
        json!({"type": "response.created"}),
        json!({"type": "response.done"}),
        json!({"type": "response.output_item.done", "item": {"type": "function_call"}}),
        json!({"type": "conversation.item.input_audio_transcription.completed",
            "item_id": "nobody", "transcript": "x"}),
        json!({"type": "input_audio_buffer.committed"}),
        json!({"type": "error", "error": {"code": "who_knows", "message": "?"}}),
        json!({"type": "error"}),
        json!({"type": "rate_limits.updated", "rate_limits": []}),
    ] {
        call.model.send(&event);
    }
    let spoken = noise(3_000, 7);
    call.model
        .respond("resp_1", "item_1", "Fine.", std::slice::from_ref(&spoken));
    assert_same_audio(&carrier.hear(spoken.len()).await, &spoken);
    let now = until(&call.session, "the line", |now| now.transcript.len() == 2).await;
    assert_eq!(now.status, Status::InProgress);
    assert_eq!(now.transcript[1].text, "Fine.");
    carrier.say(&noise(160, 3));
    assert_same_audio(&call.model.heard(160).await, &noise(160, 3));
}

#[tokio::test]
async fn an_oversized_frame_costs_the_stream_but_not_the_call() {
    let mut stage = Stage::start().await;
    let (call, mut carrier) = talking(&mut stage).await;
    carrier.text(&json!({"event": "new", "filler": "x".repeat(70 * 1024)}).to_string());
    carrier.closed().await;
    let mut carrier = stage.connect(&call).await;
    carrier.say(&noise(160, 3));
    assert_same_audio(&call.model.heard(160).await, &noise(160, 3));
    assert_eq!(snapshot(&call.session).status, Status::InProgress);
}

#[tokio::test]
async fn a_key_reaches_the_transcript_and_the_model() {
    let mut stage = Stage::start().await;
    let (mut call, carrier) = talking(&mut stage).await;
    for key in ['4', '2', '#'] {
        carrier.press(key);
    }
    let told = call.model.event("conversation.item.create").await;
    assert_eq!(told["item"]["role"], "system");
    let text = told["item"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("42#"), "{text}");
    call.model.event("response.create").await;
    let lines = snapshot(&call.session).transcript;
    assert_eq!(lines.last().unwrap().role, Role::System);
    assert!(lines.last().unwrap().text.contains("42#"));
}

#[tokio::test]
async fn a_hole_in_the_callees_audio_is_filled_with_silence() {
    let mut stage = Stage::start().await;
    let (call, carrier) = talking(&mut stage).await;
    let (first, second) = (noise(160, 1), noise(160, 2));
    carrier.text(&carrier.media_frame(0, &first));
    // 100 ms are missing.
    carrier.text(&carrier.media_frame(120, &second));
    let heard = call.model.heard(160 + 800 + 160).await;
    assert_same_audio(&heard[..160], &first);
    assert_same_audio(&heard[heard.len() - 160..], &second);
    let filled = &heard[160..heard.len() - 160];
    assert!(filled.iter().all(|byte| *byte == 0xFF));
    assert!(filled.len().abs_diff(800) <= 2, "{}", filled.len());
}
