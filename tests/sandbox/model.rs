//! The model: sessions, responses, turns, refusals.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use openagent_messaging::sandbox::speech::{self};
use openagent_messaging::sandbox::{ModelFault, Sandbox};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::*;

pub(crate) struct Client {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    pub(crate) async fn dial(
        sandbox: &Sandbox,
        query: &str,
        headers: &[(&'static str, String)],
    ) -> Self {
        let url = sandbox.model_url().replace("http://", "ws://") + "/realtime" + query;
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        Self { socket }
    }

    /// Connects, and configures the session as for a call, with `tools`.
    pub(crate) async fn open(sandbox: &Sandbox, tools: &[&str], detection: Value) -> Self {
        let key = format!("Bearer {}", sandbox.openai_key());
        let mut client = Self::dial(
            sandbox,
            "?model=gpt-realtime-2.1",
            &[("Authorization", key)],
        )
        .await;
        let created = client.next().await;
        assert_eq!(created["type"], "session.created");
        assert!(
            created["session"]["id"]
                .as_str()
                .unwrap()
                .starts_with("sess_")
        );
        let tools: Vec<Value> = tools
            .iter()
            .map(|name| json!({"type": "function", "name": name, "parameters": {"type": "object"}}))
            .collect();
        client
            .send(
                json!({"type": "session.update", "event_id": "cfg_1", "session": {
                    "type": "realtime",
                    "instructions": "# Goal\nBook a table for two. On Tuesday.\n# Tone\nCalm.",
                    "audio": {
                        "input": {
                            "format": {"type": "audio/pcmu"}, "noise_reduction": null,
                            "transcription": {"model": "gpt-transcribe", "languages": ["en"]},
                            "turn_detection": detection,
                        },
                        "output": {"format": {"type": "audio/pcmu"}, "voice": "alloy"},
                    },
                    "tools": tools,
                }}),
            )
            .await;
        assert_eq!(client.next().await["type"], "session.updated");
        client
    }

    pub(crate) async fn send(&mut self, event: Value) {
        self.socket
            .send(WsMessage::text(event.to_string()))
            .await
            .unwrap();
    }

    pub(crate) async fn hear(&mut self, audio: &[u8]) {
        let audio = STANDARD.encode(audio);
        self.send(json!({"type": "input_audio_buffer.append", "audio": audio}))
            .await;
    }

    /// Speech with the silence that ends the turn.
    pub(crate) async fn hear_turn(&mut self, text: &str) {
        let mut audio = speech::encode(text);
        audio.extend([speech::SILENCE; 5_000]);
        self.hear(&audio).await;
    }

    /// The next event, or the code of the close frame.
    pub(crate) async fn event(&mut self) -> Result<Value, u16> {
        loop {
            match soon("model event", self.socket.next()).await {
                Some(Ok(WsMessage::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(WsMessage::Close(frame))) => return Err(frame.map_or(0, |f| f.code.into())),
                Some(Ok(_)) => {}
                Some(Err(WsError::ConnectionClosed)) | None => return Err(0),
                Some(Err(error)) => panic!("{error}"),
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Value {
        self.event().await.unwrap()
    }

    /// All events up to and with the first of this type.
    pub(crate) async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await;
            let last = event["type"] == kind;
            events.push(event);
            if last {
                return events;
            }
        }
    }

    pub(crate) async fn last(&mut self, kind: &str) -> Value {
        self.until(kind).await.pop().unwrap()
    }

    pub(crate) async fn refusal(&mut self, event: Value) -> (String, Value) {
        self.send(event).await;
        let error = self.last("error").await["error"].take();
        (error["code"].as_str().unwrap_or_default().to_owned(), error)
    }
}

pub(crate) fn vad(create: bool, interrupt: bool) -> Value {
    json!({
        "type": "server_vad", "silence_duration_ms": 500, "create_response": create,
        "interrupt_response": interrupt,
    })
}

pub(crate) fn say(text: &str) -> Value {
    let instructions = format!("Say exactly the following: \"{text}\"");
    json!({"type": "response.create", "response": {"instructions": instructions, "tool_choice": "none"}})
}

pub(crate) fn types(events: &[Value]) -> Vec<&str> {
    let mut types: Vec<&str> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
    types.dedup();
    types
}

pub(crate) fn audio_of(events: &[Value]) -> Vec<u8> {
    let deltas = events
        .iter()
        .filter(|e| e["type"] == "response.output_audio.delta");
    deltas
        .flat_map(|e| STANDARD.decode(e["delta"].as_str().unwrap()).unwrap())
        .collect()
}

#[tokio::test]
async fn the_model_judges_after_the_handshake() {
    let sandbox = Sandbox::start(fast(vec![])).await.unwrap();
    let key = ("Authorization", format!("Bearer {}", sandbox.openai_key()));
    let wrong = ("Authorization", "Bearer sk-wrong".to_owned());
    let beta = ("OpenAI-Beta", "realtime=v1".to_owned());
    for (query, headers, code, close) in [
        (
            "?model=gpt-realtime-2.1",
            vec![wrong],
            json!("invalid_api_key"),
            3000,
        ),
        ("?model=gpt-realtime-2.1", vec![], Value::Null, 3000),
        (
            "?model=gpt-5",
            vec![key.clone()],
            json!("invalid_model"),
            4000,
        ),
        ("", vec![key.clone()], json!("missing_model"), 4000),
        (
            "?model=gpt-realtime-2.1",
            vec![key, beta],
            json!("beta_api_shape_disabled"),
            4000,
        ),
    ] {
        let mut client = Client::dial(&sandbox, query, &headers).await;
        let error = client.next().await;
        assert_eq!(
            (&error["type"], &error["error"]["code"]),
            (&json!("error"), &code)
        );
        assert_eq!(client.event().await, Err(close));
    }
    assert_eq!(sandbox.model_sessions().len(), 5);
}

#[tokio::test]
async fn the_model_refuses_what_the_service_refuses() {
    let sandbox = Sandbox::start(fast(vec![])).await.unwrap();
    let mut client = Client::open(&sandbox, &[], vad(false, false)).await;
    let update = json!({"type": "session.update", "event_id": "e7", "session": {"type": "realtime", "temperature": 1}});
    let (code, error) = client.refusal(update).await;
    assert_eq!(
        (code.as_str(), &error["event_id"]),
        ("unknown_parameter", &json!("e7"))
    );
    assert_eq!(error["param"], "session.temperature");
    for (event, code) in [
        (
            json!({"type": "session.update", "session": {"instructions": "x"}}),
            "missing_required_parameter",
        ),
        (
            json!({"type": "output_audio_buffer.clear"}),
            "invalid_value",
        ),
        (
            json!({"type": "response.cancel"}),
            "response_cancel_not_active",
        ),
        (
            json!({"type": "response.create", "response": {"modalities": ["audio"]}}),
            "unknown_parameter",
        ),
        (
            json!({"type": "response.create", "respond": {}}),
            "unknown_parameter",
        ),
        (
            json!({"type": "input_audio_buffer.append", "audio": "?"}),
            "invalid_value",
        ),
        (
            json!({"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 1}),
            "item_truncate_invalid_item_id",
        ),
        (
            json!({"type": "conversation.item.delete", "item_id": "x"}),
            "item_delete_invalid_item_id",
        ),
        (
            json!({"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "c", "output": ""}}),
            "invalid_tool_call_id",
        ),
    ] {
        assert_eq!(client.refusal(event.clone()).await.0, code, "{event}");
    }
    client.socket.send(WsMessage::binary("x")).await.unwrap();
    assert_eq!(client.last("error").await["error"]["code"], "invalid_event");
    // Nothing of this was fatal.
    client.send(say("Hello")).await;
    client.until("response.done").await;
    let session = &sandbox.model_sessions()[0];
    assert_eq!((session.errors.len(), session.events.len()), (11, 11));
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_response_comes_in_order() {
    let sandbox = Sandbox::start(fast(vec![])).await.unwrap();
    let mut client = Client::open(&sandbox, &[], vad(false, false)).await;
    client.send(say("Good morning, this is a test.")).await;
    let events = client.until("rate_limits.updated").await;
    assert!(types(&events).ends_with(&[
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]));
    client.send(say("Hi!")).await;
    let events = client.until("rate_limits.updated").await;
    assert_eq!(
        types(&events)[..6],
        [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio_transcript.delta",
            "response.output_audio.delta",
        ]
    );
    assert_eq!(audio_of(&events), speech::encode("Hi!"));
    let done = events
        .iter()
        .find(|e| e["type"] == "response.done")
        .unwrap();
    let usage = &done["response"]["usage"];
    assert!(usage["input_token_details"]["text_tokens"].as_u64() > Some(0));
    let ids: Vec<&str> = events
        .iter()
        .map(|e| e["event_id"].as_str().unwrap())
        .collect();
    assert!(ids.is_sorted() && ids.iter().all(|id| id.starts_with("event_")));
    // Outside the conversation: written, and no item of it appears there.
    let aside = json!({"conversation": "none", "output_modalities": ["text"], "instructions": "Summarise."});
    client
        .send(json!({"type": "response.create", "response": aside}))
        .await;
    let events = client.until("response.done").await;
    assert!(
        !types(&events)
            .iter()
            .any(|t| t.starts_with("conversation."))
    );
    let output = &events.last().unwrap()["response"]["output"][0]["content"][0]["text"];
    let result: Value = serde_json::from_str(output.as_str().unwrap()).unwrap();
    assert_eq!(result["outcome"], "failure");
}

#[tokio::test]
async fn turns_are_found_transcribed_late_and_interrupt() {
    let mut options = fast(vec![]);
    // Slow enough to be interrupted for certain.
    options.model.delta = Duration::from_secs(5);
    let sandbox = Sandbox::start(options).await.unwrap();
    let mut client = Client::open(&sandbox, &[], vad(true, true)).await;
    client.hear(&[speech::SILENCE; 8_000]).await;
    client.hear_turn("Yes, what is it about?").await;
    let started = client.next().await;
    // One second of silence less the padding of 300 ms.
    assert_eq!(
        (&started["type"], &started["audio_start_ms"]),
        (&json!("input_audio_buffer.speech_started"), &json!(700))
    );
    let events = client
        .until("conversation.item.input_audio_transcription.completed")
        .await;
    assert_eq!(
        types(&events),
        [
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio_transcript.delta",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
        ]
    );
    let transcribed = events.last().unwrap();
    assert_eq!(transcribed["transcript"], "Yes, what is it about?");
    assert_eq!(transcribed["item_id"], started["item_id"]);
    client.hear(&speech::encode("Sorry, who?")).await;
    let events = client.until("response.done").await;
    assert_eq!(types(&events)[0], "input_audio_buffer.speech_started");
    let response = &events.last().unwrap()["response"];
    assert_eq!(response["status"], "cancelled");
    assert_eq!(
        response["status_details"],
        json!({"type": "cancelled", "reason": "turn_detected"})
    );
    assert_eq!(response["output"][0]["status"], "incomplete");
    // Switched off, speech neither interrupts nor is answered.
    client
        .send(json!({"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": vad(false, false)}}}}))
        .await;
    client.until("session.updated").await;
    client.hear(&[speech::SILENCE; 8_000]).await;
    client.until("input_audio_buffer.committed").await;
    client.send(say("A sentence that takes its time")).await;
    client.until("response.content_part.added").await;
    let (code, _) = client.refusal(say("Too early")).await;
    assert_eq!(code, "conversation_already_has_active_response");
    client.hear_turn("Not now").await;
    client.until("input_audio_buffer.committed").await;
    client.send(json!({"type": "response.cancel"})).await;
    let done = client.last("response.done").await;
    assert_eq!(
        done["response"]["status_details"]["reason"],
        "client_cancelled"
    );
    let session = &sandbox.model_sessions()[0];
    assert_eq!(
        session.turns,
        ["Yes, what is it about?", "Sorry, who?", "Not now"]
    );
    assert_eq!((session.errors.len(), session.appends), (1, 5));
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn truncation_stays_within_what_was_sent() {
    let sandbox = Sandbox::start(fast(vec![])).await.unwrap();
    let mut client = Client::open(&sandbox, &[], vad(false, false)).await;
    client.send(say("0123456789")).await;
    let done = client.last("response.done").await;
    let id = done["response"]["output"][0]["id"].as_str().unwrap();
    let truncate = |ms: u64| json!({"type": "conversation.item.truncate", "item_id": id, "content_index": 0, "audio_end_ms": ms});
    let (_, error) = client.refusal(truncate(161)).await;
    assert_eq!(
        error["message"],
        "Audio content of 160ms is already shorter than 161ms"
    );
    client.send(truncate(100)).await;
    assert_eq!(
        client.last("conversation.item.truncated").await["audio_end_ms"],
        100
    );
    let (_, error) = client.refusal(truncate(101)).await;
    assert_eq!(
        error["message"],
        "Audio content of 100ms is already shorter than 101ms"
    );
    client
        .send(json!({"type": "conversation.item.delete", "item_id": id}))
        .await;
    client.until("conversation.item.deleted").await;
    assert_eq!(
        client.refusal(truncate(1)).await.0,
        "item_truncate_invalid_item_id"
    );
    let session = &sandbox.model_sessions()[0];
    assert_eq!(session.truncations, [(id.to_owned(), 100)]);
    assert_eq!(session.deletions, [id]);
}

#[tokio::test]
async fn tools_are_called_and_their_output_goes_on() {
    let sandbox = Sandbox::start(fast(vec![])).await.unwrap();
    let mut client = Client::open(&sandbox, &["note", "end_call"], vad(true, true)).await;
    client.hear_turn("Yes?").await;
    client.until("rate_limits.updated").await;
    client.hear_turn("Tuesday at ten is fine.").await;
    let events = client.until("rate_limits.updated").await;
    let from = events
        .iter()
        .position(|e| e["type"] == "response.created")
        .unwrap();
    let mut of_response = types(&events[from..]);
    // The transcription of the turn comes when it likes.
    of_response.retain(|kind| !kind.contains("transcription"));
    of_response.dedup();
    assert_eq!(
        of_response,
        [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
            "rate_limits.updated",
        ]
    );
    let call = events
        .iter()
        .find(|e| e["type"] == "response.output_item.done")
        .unwrap()["item"]
        .clone();
    assert_eq!(
        (&call["name"], &call["status"]),
        (&json!("note"), &json!("completed"))
    );
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"text": "Tuesday at ten is fine."}));
    let output =
        json!({"type": "function_call_output", "call_id": call["call_id"], "output": "{}"});
    client
        .send(json!({"type": "conversation.item.create", "item": output}))
        .await;
    client.send(json!({"type": "response.create"})).await;
    let done = client.last("response.done").await;
    let output = &done["response"]["output"];
    assert!(
        output[0]["content"][0]["transcript"]
            .as_str()
            .unwrap()
            .contains("Tuesday at ten")
    );
    assert_eq!(
        (&output[1]["name"], output.as_array().unwrap().len()),
        (&json!("end_call"), 2)
    );
}

#[tokio::test]
async fn faults_of_the_model() {
    let start = async |fault| {
        let mut options = fast(vec![]);
        options.model.fault = Some(fault);
        Sandbox::start(options).await.unwrap()
    };
    let query = "?model=gpt-realtime-2.1";
    let key = |sandbox: &Sandbox| [("Authorization", format!("Bearer {}", sandbox.openai_key()))];

    let sandbox = start(ModelFault::RefusesKey).await;
    let mut client = Client::dial(&sandbox, query, &key(&sandbox)).await;
    assert_eq!(client.next().await["error"]["code"], "invalid_api_key");

    let sandbox = start(ModelFault::FailsResponses).await;
    let mut client = Client::open(&sandbox, &[], vad(true, true)).await;
    client.send(say("x")).await;
    let done = client.last("response.done").await;
    assert_eq!(done["response"]["status"], "failed");
    assert_eq!(
        done["response"]["status_details"]["error"]["code"],
        "server_error"
    );

    let fault = ModelFault::ClosesAfter {
        responses: 1,
        code: 1012,
    };
    let sandbox = start(fault).await;
    let mut client = Client::open(&sandbox, &[], vad(true, true)).await;
    client.send(say("x")).await;
    client.until("rate_limits.updated").await;
    assert_eq!(client.event().await, Err(1012));
    let closed = sandbox.wait_model_session(0, |session| session.closed);
    soon("the end of the session", closed).await.unwrap();
    let mut client = Client::open(&sandbox, &[], vad(true, true)).await;
    for _ in 0..2 {
        client.send(say("x")).await;
        client.until("rate_limits.updated").await;
    }

    let sandbox = start(ModelFault::NeverConfirms).await;
    let mut client = Client::dial(&sandbox, query, &key(&sandbox)).await;
    client.next().await;
    client
        .send(json!({"type": "session.update", "session": {"type": "realtime"}}))
        .await;
    client.send(say("x")).await;
    assert_eq!(client.next().await["type"], "response.created");

    let sandbox = start(ModelFault::StaysSilent).await;
    let mut client = Client::open(&sandbox, &[], vad(true, true)).await;
    client.send(say("x")).await;
    assert_eq!(
        client.refusal(json!({"type": "response.cancel"})).await.0,
        "response_cancel_not_active"
    );
}

#[tokio::test]
async fn a_model_that_hides_itself_or_splits_its_answers() {
    let transcripts = |done: &Value| -> Vec<String> {
        let output = done["response"]["output"].as_array().unwrap().iter();
        let texts = output.map(|item| item["content"][0]["transcript"].as_str().unwrap());
        texts.map(str::to_owned).collect()
    };
    let mut options = fast(vec![]);
    options.model.fault = Some(ModelFault::HidesItself(1));
    let sandbox = Sandbox::start(options).await.unwrap();
    let mut client = Client::open(&sandbox, &[], vad(true, true)).await;
    for expected in ["Hello, I am calling for a friend.", "I am an AI."] {
        client.send(say("I am an AI.")).await;
        let done = client.last("response.done").await;
        assert_eq!(transcripts(&done), [expected]);
    }

    let mut options = fast(vec![]);
    options.model.fault = Some(ModelFault::SplitsAnswers);
    let sandbox = Sandbox::start(options).await.unwrap();
    let mut client = Client::open(&sandbox, &[], vad(true, true)).await;
    client.send(say("Good morning. Who is there?")).await;
    let events = client.until("response.done").await;
    let done = events.last().unwrap();
    assert_eq!(transcripts(done), ["Good morning.", "Who is there?"]);
    let opened = types(&events);
    let opened = opened
        .iter()
        .filter(|t| **t == "response.output_item.added");
    assert_eq!(opened.count(), 2);
}
