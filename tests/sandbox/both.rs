//! Both together: a whole conversation.

use std::time::Duration;

use openagent_messaging::sandbox::{Callee, Sandbox};
use serde_json::{Value, json};

use super::model::*;
use super::product::*;
use super::*;

/// The least that connects a call to the model: enough for the default callee to have the whole
/// conversation, and for every link between the two stand-ins to be seen working.
async fn bridge(media: &mut Media, client: &mut Client) -> Vec<(String, Value)> {
    let mut calls = Vec::new();
    let mut hang_up = false;
    loop {
        tokio::select! {
            frame = media.next() => {
                let Some(frame) = frame else { return calls };
                match frame["event"].as_str().unwrap() {
                    "media" => {
                        let audio = &frame["media"]["payload"];
                        client.send(json!({"type": "input_audio_buffer.append", "audio": audio})).await;
                    }
                    "mark" if hang_up && frame["mark"]["name"] == "bye" => return calls,
                    _ => {}
                }
            }
            event = client.next() => match event["type"].as_str().unwrap() {
                "response.output_audio.delta" => {
                    media.send(json!({"event": "media", "media": {"payload": event["delta"]}})).await;
                }
                "input_audio_buffer.speech_started" => media.send(json!({"event": "clear"})).await,
                "response.output_item.done" if event["item"]["type"] == "function_call" => {
                    let item = &event["item"];
                    let name = item["name"].as_str().unwrap().to_owned();
                    let arguments = serde_json::from_str(item["arguments"].as_str().unwrap()).unwrap();
                    hang_up |= name == "end_call";
                    calls.push((name, arguments));
                    let output = json!({"type": "function_call_output", "call_id": item["call_id"], "output": "{}"});
                    client.send(json!({"type": "conversation.item.create", "item": output})).await;
                }
                "response.done" if hang_up => media.mark("bye").await,
                "response.done" => {
                    let response = &event["response"];
                    if response["output"][0]["type"] == "function_call" {
                        client.send(json!({"type": "response.create"})).await;
                    }
                }
                "error" => panic!("{event}"),
                _ => {}
            },
        }
    }
}

#[tokio::test]
async fn the_default_callee_and_the_model_hold_a_conversation() {
    let mut options = fast(vec![]);
    options.default_callee = Callee::default();
    // Slower than elsewhere: who is to speak when is decided by pauses.
    options.frame_interval = Duration::from_millis(5);
    let sandbox = Sandbox::start(options).await.unwrap();
    let mut product = Product::start(&sandbox).await;
    let mut client = Client::open(&sandbox, &["note", "end_call"], vad(true, true)).await;
    let rest = Rest::new(&sandbox);
    let sid = rest.call(&product, &[]).await;
    let mut media = product.media().await;
    let calls = soon("the conversation", bridge(&mut media, &mut client)).await;
    rest.update(&sid, &[("Status", "completed")]).await;
    media.until("stop").await;
    drop(media);
    let names: Vec<&str> = calls.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["note", "end_call"]);
    assert_eq!(calls[0].1["text"], "Tuesday at ten works for us.");
    assert_eq!(calls[1].1["outcome"], "success");
    let call = over(&sandbox, &sid).await;
    assert!(
        call.heard.contains("Book a table for two."),
        "{}",
        call.heard
    );
    assert!(call.heard.ends_with("Goodbye."), "{}", call.heard);
    let session = &sandbox.model_sessions()[0];
    assert!(call.said_audio.starts_with(&session.audio));
    assert_eq!(session.turns[0], "Hello?");
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
}
