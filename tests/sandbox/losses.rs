//! The model: sessions that break off, and new ones that are told what was said before.

use std::time::Duration;

use openagent_messaging::sandbox::speech;
use openagent_messaging::sandbox::{Loss, LossMoment, ModelFault, Parting, Reconnect, Sandbox};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::model::*;
use super::*;

async fn losing(at: LossMoment, how: Parting, then: Reconnect) -> Sandbox {
    let mut options = fast(vec![]);
    options.model.fault = Some(ModelFault::Loses(Loss {
        at,
        how,
        sessions: 1,
        then,
    }));
    Sandbox::start(options).await.unwrap()
}

/// All events until the connection ends, and the close code: 0 for a connection that just ends.
async fn to_the_end(client: &mut Client) -> (Vec<Value>, u16) {
    let mut events = Vec::new();
    loop {
        match client.event().await {
            Ok(event) => events.push(event),
            Err(code) => return (events, code),
        }
    }
}

fn count(events: &[Value], kind: &str) -> usize {
    events.iter().filter(|event| event["type"] == kind).count()
}

#[tokio::test]
async fn a_session_breaks_off_at_the_named_moment() {
    let delta = "response.output_audio.delta";
    let talk = [
        say("A sentence of more than one second."),
        say("Another one."),
    ];
    for (at, deltas, done) in [
        (
            LossMoment::InResponse {
                number: 1,
                deltas: 2,
            },
            2,
            0,
        ),
        (
            LossMoment::InResponse {
                number: 2,
                deltas: 1,
            },
            4,
            1,
        ),
        (LossMoment::AfterResponses(1), 3, 1),
    ] {
        let sandbox = losing(at, Parting::Closes(1011), Reconnect::Accepted).await;
        let mut client = Client::open(&sandbox, &[], vad(false, false)).await;
        client.send(talk[0].clone()).await;
        let mut events = Vec::new();
        let code = loop {
            match client.event().await {
                Ok(event) => {
                    let next = event["type"] == "rate_limits.updated" && done < 2;
                    events.push(event);
                    if next && at != LossMoment::AfterResponses(1) {
                        client.send(talk[1].clone()).await;
                    }
                }
                Err(code) => break code,
            }
        };
        assert_eq!(code, 1011, "{at:?}");
        assert_eq!(count(&events, delta), deltas, "{at:?}");
        assert_eq!(count(&events, "response.done"), done, "{at:?}");
        assert_eq!(count(&events, "error"), 0);
    }

    let at = LossMoment::CalleeSpeaks(2);
    let sandbox = losing(at, Parting::Closes(1011), Reconnect::Accepted).await;
    let mut client = Client::open(&sandbox, &[], vad(false, false)).await;
    client.hear_turn("Hello?").await;
    client.hear(&speech::encode("Hello again?")).await;
    let (events, code) = to_the_end(&mut client).await;
    assert_eq!(
        (code, count(&events, "input_audio_buffer.speech_started")),
        (1011, 2)
    );
    assert_eq!(count(&events, "input_audio_buffer.committed"), 1);

    let at = LossMoment::ToolCalled(1);
    let sandbox = losing(at, Parting::Closes(1011), Reconnect::Accepted).await;
    let mut client = Client::open(&sandbox, &["wait"], vad(true, true)).await;
    client.hear_turn("One moment, please.").await;
    let (events, code) = to_the_end(&mut client).await;
    let (last, kind) = (events.last().unwrap(), "response.output_item.done");
    assert_eq!(
        (code, &last["type"], &last["item"]["name"]),
        (1011, &json!(kind), &json!("wait"))
    );

    let at = LossMoment::After(Duration::from_millis(50));
    let sandbox = losing(at, Parting::Closes(1012), Reconnect::Accepted).await;
    let mut client = Client::open(&sandbox, &[], vad(true, true)).await;
    assert_eq!(to_the_end(&mut client).await, (vec![], 1012));
}

#[tokio::test]
async fn the_end_looks_as_the_service_makes_it_look() {
    let now = LossMoment::After(Duration::ZERO);
    for (how, code) in [
        (Parting::Closes(1001), 1001),
        (Parting::Closes(1013), 1013),
        (Parting::Closes(1005), 0),
        (Parting::Expires, 1001),
    ] {
        let sandbox = losing(now, how, Reconnect::Accepted).await;
        let mut client = Client::open(&sandbox, &[], vad(true, true)).await;
        let (events, closed) = to_the_end(&mut client).await;
        assert_eq!(closed, code, "{how:?}");
        let expired = events
            .iter()
            .any(|event| event["error"]["code"] == "session_expired");
        assert_eq!(expired, how == Parting::Expires);
    }
    // 1006 is no frame at all.
    let sandbox = losing(now, Parting::Closes(1006), Reconnect::Accepted).await;
    let mut client = Client::open(&sandbox, &[], vad(true, true)).await;
    let end = soon("the end", futures_util::StreamExt::next(&mut client.socket)).await;
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    assert!(client.socket.close(None).await.is_err());

    let mut options = fast(vec![]);
    options.model.session = Duration::from_millis(200);
    let sandbox = Sandbox::start(options).await.unwrap();
    let mut client = Client::open(&sandbox, &[], vad(true, true)).await;
    let (events, code) = to_the_end(&mut client).await;
    assert_eq!(events[0]["error"]["code"], "session_expired");
    assert_eq!(code, 1001);
}

/// The HTTP status of a handshake.
async fn knock(sandbox: &Sandbox) -> u16 {
    let url = sandbox.model_url().replace("http://", "ws://") + "/realtime?model=gpt-realtime-2.1";
    match tokio_tungstenite::connect_async(url.into_client_request().unwrap()).await {
        Ok(_) => 101,
        Err(WsError::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn reconnects_are_refused_as_often_or_as_long_as_asked() {
    let now = LossMoment::After(Duration::ZERO);
    let sandbox = losing(now, Parting::Closes(1011), Reconnect::RefusedTimes(2)).await;
    let mut client = Client::open(&sandbox, &[], vad(true, true)).await;
    to_the_end(&mut client).await;
    for status in [503, 503, 101] {
        assert_eq!(knock(&sandbox).await, status);
    }
    assert_eq!(sandbox.refused_connections(), 2);
    // The session after that is sound.
    let mut client = Client::open(&sandbox, &[], vad(true, true)).await;
    client.send(say("Hello.")).await;
    client.until("response.done").await;

    let for_ever = Reconnect::RefusedFor(Duration::from_secs(3_600));
    let sandbox = losing(now, Parting::Closes(1011), for_ever).await;
    let mut client = Client::open(&sandbox, &[], vad(true, true)).await;
    to_the_end(&mut client).await;
    for _ in 0..3 {
        assert_eq!(knock(&sandbox).await, 503);
    }
}

fn message(role: &str, text: &str) -> Value {
    let kind = if role == "assistant" {
        "output_text"
    } else {
        "input_text"
    };
    json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]})
}

impl Client {
    async fn replay(&mut self, item: Value) {
        self.send(json!({"type": "conversation.item.create", "item": item}))
            .await;
        let done = self.last("conversation.item.done").await;
        assert_eq!(done["item"]["status"], "completed");
    }

    /// What is said to `text`.
    async fn answer(&mut self, text: &str) -> String {
        self.hear_turn(text).await;
        let done = self.last("response.done").await;
        let output = done["response"]["output"].as_array().unwrap();
        let said = output
            .iter()
            .filter_map(|item| item["content"][0]["transcript"].as_str());
        said.collect()
    }
}

#[tokio::test]
async fn a_new_session_knows_what_is_replayed_and_nothing_else() {
    let sandbox = Sandbox::start(fast(vec![])).await.unwrap();
    let tools = ["note", "end_call"];
    let mut first = Client::open(&sandbox, &tools, vad(true, true)).await;
    first.answer("Yes?").await;
    first.answer("Tuesday at ten.").await;
    // Another session of the same client: nothing of that is known.
    let mut second = Client::open(&sandbox, &tools, vad(true, true)).await;
    assert_eq!(
        second.answer("What did I say?").await,
        "You said: nothing yet"
    );

    let mut third = Client::open(&sandbox, &tools, vad(true, true)).await;
    third.replay(message("user", "Yes?")).await;
    let reason = "Thank you. I am calling for the following reason: Book a table.";
    third.replay(message("assistant", reason)).await;
    third.replay(message("user", "Tuesday at ten.")).await;
    let arguments = json!({"text": "Tuesday at ten."}).to_string();
    let call = json!({"type": "function_call", "call_id": "call_1", "name": "note", "arguments": arguments});
    third.replay(call).await;
    let output = json!({"type": "function_call_output", "call_id": "call_1", "output": "{}"});
    third.replay(output).await;
    third
        .replay(message("system", "The line dropped for a moment."))
        .await;
    let mut sorry = say("");
    sorry["response"] = json!({});
    third.send(sorry).await;
    let done = third.last("response.done").await;
    let said = &done["response"]["output"][0]["content"][0]["transcript"];
    assert_eq!(said, "Sorry, we were cut off for a moment.");
    assert_eq!(
        third.answer("What did I say?").await,
        "You said: Tuesday at ten."
    );
    let said = third.answer("So?").await;
    assert!(
        said.contains("I have noted that: Tuesday at ten."),
        "{said}"
    );
    // All of it stands in its context, and nothing of the others.
    let context = sandbox.model_sessions()[2].context.clone();
    let kinds = context.iter().map(|item| item["type"].as_str().unwrap());
    let kinds: Vec<&str> = kinds.take(6).collect();
    let message = "message";
    let replayed = [
        message,
        message,
        message,
        "function_call",
        "function_call_output",
        message,
    ];
    assert_eq!(kinds, replayed);
    assert_eq!(context[2]["content"][0]["text"], "Tuesday at ten.");
    assert_eq!(
        context[6]["content"][0]["transcript"],
        "Sorry, we were cut off for a moment."
    );
    let first = sandbox.model_sessions()[0].context.clone();
    assert!(!first.contains(&context[2]));
    // An output needs its call, in this session.
    let orphan = json!({"type": "function_call_output", "call_id": "call_9", "output": "{}"});
    let create = json!({"type": "conversation.item.create", "item": orphan});
    assert_eq!(third.refusal(create).await.0, "invalid_tool_call_id");
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn audio_can_be_had_outside_the_conversation() {
    let sandbox = Sandbox::start(fast(vec![])).await.unwrap();
    let mut client = Client::open(&sandbox, &["note"], vad(true, true)).await;
    let mut aside = say("One moment, please.");
    aside["response"]["conversation"] = json!("none");
    aside["response"]["metadata"] = json!({"purpose": "hold"});
    client.send(aside).await;
    let events = client.until("response.done").await;
    assert!(
        types(&events)
            .iter()
            .all(|kind| !kind.starts_with("conversation."))
    );
    assert_eq!(audio_of(&events), speech::encode("One moment, please."));
    let response = &events.last().unwrap()["response"];
    assert_eq!(response["conversation_id"], Value::Null);
    assert_eq!(response["metadata"]["purpose"], "hold");
    // It has left no trace: this would be another answer otherwise.
    let mut aside = json!({"type": "response.create", "response": {"conversation": "none"}});
    aside["response"]["instructions"] = json!("Say something nice.");
    client.send(aside).await;
    client.until("response.done").await;
    assert!(
        client
            .answer("Yes?")
            .await
            .contains("for the following reason")
    );
}
