//! The carrier: calls, streams, messages, refusals.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::ws::Message;
use openagent_messaging::sandbox::speech::{self, Decoder};
use openagent_messaging::sandbox::{
    Answer, Call, CallStatus, Callee, CarrierFault, Options, Sandbox, Step,
};
use serde_json::{Value, json};

use super::product::*;
use super::*;

#[tokio::test]
async fn a_call_is_reported_in_order_and_audio_passes_unchanged() {
    let script = vec![
        Step::say("Pronto, chi è?"),
        Step::PressKey('5'),
        Step::WaitForever,
    ];
    let sandbox = Sandbox::start(fast(script)).await.unwrap();
    let mut product = Product::start(&sandbox).await;
    let rest = Rest::new(&sandbox);
    let sid = rest.call(&product, &[("TimeLimit", "600")]).await;
    for (number, status) in ["initiated", "ringing", "in-progress"].iter().enumerate() {
        let mut fields = product.hook_of("/status/1", &sid).await;
        assert_eq!(fields["CallStatus"], *status);
        assert_eq!(fields["SequenceNumber"], number.to_string());
        assert!(chrono::DateTime::parse_from_rfc2822(&fields["Timestamp"]).is_ok());
        assert_eq!(fields.remove("CallDuration"), None);
    }
    let mut media = product.media().await;
    // Odd lengths on purpose: nothing promises frames of 160 bytes.
    let audio = speech::encode("Good morning.");
    for chunk in audio.chunks(333) {
        media.play(chunk).await;
    }
    media.mark("end").await;
    assert_eq!(media.marks(1).await, ["end"]);
    while media.keys.is_empty() {
        media.next().await.unwrap();
    }
    assert_eq!(media.keys, "5");
    media.mark("nothing waits").await;
    media.marks(1).await;
    assert_eq!(
        rest.get(&format!("Calls/{sid}.json")).await["status"],
        "in-progress"
    );
    let (status, _) = rest.update(&sid, &[("Status", "completed")]).await;
    assert_eq!(status, 200);
    let stop = media.until("stop").await;
    assert_eq!(stop["stop"]["callSid"], sid);
    assert!(media.next().await.is_none());
    let call = over(&sandbox, &sid).await;
    assert_eq!(
        (call.status, call.time_limit),
        (CallStatus::Completed, Some(600))
    );
    assert_eq!(call.heard, "Good morning.");
    assert_eq!(call.heard_audio, audio);
    assert_eq!(call.said_audio, media.audio);
    assert_eq!(call.marks, ["end", "nothing waits"]);
    assert_eq!(Decoder::default().feed(&media.audio), "Pronto, chi è?");
    let fields = product.hook_of("/status/1", &sid).await;
    assert_eq!(fields["CallStatus"], "completed");
    assert_eq!(fields["SipResponseCode"], "200");
    // Call time, which runs on while a busy machine is late.
    assert!(fields["CallDuration"].parse::<u64>().unwrap() >= 1);
    told(&sandbox, &sid).await;
    // Over: nothing to hang up, and the price is known at the second look.
    let (status, body) = rest.update(&sid, &[("Status", "completed")]).await;
    assert_eq!((status, &body["code"]), (400, &json!(21220)));
    let path = format!("Calls/{sid}.json");
    assert_eq!(rest.get(&path).await["price"], Value::Null);
    assert_eq!(rest.get(&path).await["price"], "-0.01400");
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
    sandbox.shutdown().await;
}

impl Product {
    /// The next callback of a call, passing over the request for TwiML.
    async fn hook_of(&mut self, path: &str, sid: &str) -> HashMap<String, String> {
        loop {
            let hook = soon(path, self.hooks.recv()).await.unwrap();
            assert_eq!(hook.fields["CallSid"], sid);
            assert_eq!(hook.fields["Direction"], "outbound-api");
            if hook.path == path {
                return hook.fields;
            }
        }
    }
}

#[tokio::test]
async fn clear_returns_all_marks_and_what_was_not_played_is_not_heard() {
    let sandbox = Sandbox::start(fast(vec![Step::WaitForever])).await.unwrap();
    let mut product = Product::start(&sandbox).await;
    let rest = Rest::new(&sandbox);
    let sid = rest.call(&product, &[]).await;
    let mut media = product.media().await;
    let audio = speech::encode(&"a long story that nobody hears to its end ".repeat(40));
    media.play(&audio).await;
    media.mark("one").await;
    media.play(&[speech::SILENCE; 8_000]).await;
    media.mark("two").await;
    soon(
        "some of it heard",
        sandbox.wait_call(&sid, |call| call.heard.len() > 20),
    )
    .await
    .unwrap();
    media.send(json!({"event": "clear"})).await;
    assert_eq!(media.marks(2).await, ["one", "two"]);
    media.play(&speech::encode("!")).await;
    media.mark("three").await;
    assert_eq!(media.marks(1).await, ["three"]);
    // The product hangs up by closing: there is no next verb.
    drop(media);
    let call = over(&sandbox, &sid).await;
    assert_eq!(call.clears, 1);
    assert!(call.heard.ends_with('!'));
    let (heard, rest) = call
        .heard_audio
        .split_at(call.heard_audio.len() - speech::SYMBOL);
    assert!(heard.len() < audio.len() && audio.starts_with(heard));
    assert_eq!(rest, speech::encode("!"));
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn what_makes_no_sense_on_a_stream_is_complained_about() {
    let sandbox = Sandbox::start(fast(vec![Step::WaitForever])).await.unwrap();
    let mut product = Product::start(&sandbox).await;
    let sid = Rest::new(&sandbox).call(&product, &[("Frob", "1")]).await;
    let mut media = product.media().await;
    media.mark("early").await;
    media.marks(1).await;
    for frame in [
        json!({"event": "media", "media": {"payload": "!"}}),
        json!({"event": "media", "media": {"payload": ""}}),
        json!({"event": "media", "media": {}}),
        json!({"event": "mark"}),
        json!({"event": "dance"}),
        json!({"event": "clear", "now": true}),
    ] {
        media.send(frame).await;
    }
    media.socket.send(Message::binary("x")).await.unwrap();
    let sid_of_stream = std::mem::replace(&mut media.sid, "MZ0".to_owned());
    media.send(json!({"event": "clear"})).await;
    // Its return shows that all before it has arrived.
    media.sid = sid_of_stream;
    media.mark("late").await;
    media.marks(1).await;
    drop(media);
    over(&sandbox, &sid).await;
    assert_eq!(
        sandbox.complaints().len(),
        11,
        "{:#?}",
        sandbox.complaints()
    );
    assert_eq!(sandbox.call(&sid).unwrap().clears, 0);
}

#[tokio::test]
async fn a_bad_line_loses_frames_but_not_time() {
    let sandbox = Sandbox::start(fast(vec![
        Step::say("before"),
        Step::BadLine(Duration::from_millis(700)),
        Step::say("after"),
        Step::HangUp,
    ]))
    .await
    .unwrap();
    let mut product = Product::start(&sandbox).await;
    let rest = Rest::new(&sandbox);
    let sid = rest.call(&product, &[]).await;
    let mut media = product.media().await;
    media.until("stop").await;
    assert_eq!(media.gap_ms, 700);
    assert_eq!(Decoder::default().feed(&media.audio), "beforeafter");
    let recorded = over(&sandbox, &sid).await.said_audio;
    assert!(
        recorded.starts_with(&media.audio),
        "what was lost was not sent"
    );
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn new_twiml_on_a_live_call_opens_a_new_stream() {
    let sandbox = Sandbox::start(fast(vec![Step::WaitForever])).await.unwrap();
    let mut product = Product::start(&sandbox).await;
    let rest = Rest::new(&sandbox);
    let sid = rest.call(&product, &[]).await;
    let mut first = product.media().await;
    let connect = product.twiml.lock().unwrap().clone();
    let twiml = connect.replace("<Connect>", "<Play digits=\"ww1#\"/><Connect>");
    rest.update(&sid, &[("Twiml", &twiml)]).await;
    first.until("stop").await;
    let second = product.media().await;
    assert_ne!(first.sid, second.sid);
    let twiml = format!(
        "<Response><Redirect>{}/twiml/2</Redirect></Response>",
        product.url
    );
    rest.update(&sid, &[("Twiml", &twiml)]).await;
    let third = product.media().await;
    let bye = "<Response><Say>Goodbye then.</Say><Hangup/></Response>";
    rest.update(&sid, &[("Twiml", bye)]).await;
    let call = over(&sandbox, &sid).await;
    assert_eq!(
        (call.streams, call.digits.as_str(), call.heard.as_str()),
        (3, "1#", "Goodbye then.")
    );
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
    drop((second, third));
}

#[tokio::test]
async fn calls_that_end_otherwise() {
    let mut options = fast(vec![Step::Pause(Duration::from_millis(100)), Step::HangUp]);
    let slow = Callee {
        answer: Answer::Answers {
            after: Duration::from_secs(500),
        },
        ..Callee::default()
    };
    options.callees.insert("+390600000000".to_owned(), slow);
    let silent = Callee::person(vec![Step::WaitForever]);
    options.callees.insert("+390600000009".to_owned(), silent);
    let after = Duration::from_secs(2);
    let gone = Callee::unreachable(Answer::GivesUp { after });
    options.callees.insert("+390600000008".to_owned(), gone);
    let sandbox = Sandbox::start(options).await.unwrap();
    let product = Product::start(&sandbox).await;
    let rest = Rest::new(&sandbox);
    let ringing = ["initiated", "ringing"];
    for (to, extra, status, said) in [
        ("+390600000001", ("Timeout", "60"), CallStatus::Busy, "busy"),
        (
            "+390600000002",
            ("Timeout", "2"),
            CallStatus::NoAnswer,
            "no-answer",
        ),
        (
            "+390600000000",
            ("Timeout", "3"),
            CallStatus::NoAnswer,
            "no-answer",
        ),
        (
            "+390600000008",
            ("Timeout", "60"),
            CallStatus::NoAnswer,
            "no-answer",
        ),
        (TO, ("Timeout", "60"), CallStatus::Completed, "completed"),
        (
            "+390600000009",
            ("TimeLimit", "2"),
            CallStatus::Completed,
            "completed",
        ),
    ] {
        let sid = rest.call(&product, &[("To", to), extra]).await;
        let call = over(&sandbox, &sid).await;
        assert_eq!(call.status, status, "{to}");
        let said_all = told(&sandbox, &sid).await;
        assert!(
            said_all.starts_with(&ringing.map(str::to_owned)),
            "{said_all:?}"
        );
        assert_eq!(said_all.last().unwrap(), said);
    }
    let sid = rest.call(&product, &[("To", "+390600000003")]).await;
    over(&sandbox, &sid).await;
    assert_eq!(told(&sandbox, &sid).await, ["initiated", "failed"]);
    let sid = rest
        .call(&product, &[("To", "+390600000000"), ("Timeout", "600")])
        .await;
    let ringing = |call: &Call| call.status == CallStatus::Ringing;
    soon("ringing", sandbox.wait_call(&sid, ringing))
        .await
        .unwrap();
    let (status, _) = rest.update(&sid, &[("Twiml", "<Response/>")]).await;
    assert_eq!(status, 400);
    rest.update(&sid, &[("Status", "canceled")]).await;
    assert_eq!(over(&sandbox, &sid).await.status, CallStatus::Canceled);
    assert_eq!(
        told(&sandbox, &sid).await,
        ["initiated", "ringing", "canceled"]
    );
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn rest_refuses_what_twilio_refuses() {
    let sandbox = Sandbox::start(fast(vec![])).await.unwrap();
    let rest = Rest::new(&sandbox);
    let own = sandbox.from_number();
    let url = "http://127.0.0.1:9/twiml";
    for (to, from, url, code) in [
        ("12345", own, url, 21211),
        (TO, "x", url, 21212),
        (TO, "+15005550001", url, 21212),
        (TO, "+15005550007", url, 21210),
        (TO, own, "ftp://127.0.0.1/", 21205),
        (TO, own, "http://a_b/", 21205),
        (TO, own, "", 21205),
        ("", own, url, 21201),
        (TO, "", url, 21213),
        ("+15005550001", own, url, 21217),
        ("+15005550002", own, url, 21214),
        ("+15005550003", own, url, 21215),
        ("+15005550004", own, url, 21216),
    ] {
        let (status, body) = rest
            .post("Calls.json", &[("To", to), ("From", from), ("Url", url)])
            .await;
        assert_eq!(
            (status, &body["code"], &body["status"]),
            (400, &json!(code), &json!(400))
        );
        assert_eq!(
            body["more_info"],
            format!("https://www.twilio.com/docs/errors/{code}")
        );
    }
    for (to, from, body, code) in [
        ("+15005550001", own, "x", 21211),
        ("+15005550002", own, "x", 21612),
        ("+15005550003", own, "x", 21408),
        ("+15005550004", own, "x", 21610),
        ("+15005550009", own, "x", 21614),
        (TO, "+15005550007", "x", 21606),
        (TO, "+15005550008", "x", 21611),
        (TO, own, "", 21602),
        (TO, own, &"x".repeat(1_601), 21617),
    ] {
        let fields = [("To", to), ("From", from), ("Body", body)];
        let (status, answer) = rest.post("Messages.json", &fields).await;
        assert_eq!((status, &answer["code"]), (400, &json!(code)));
    }
    assert!(sandbox.calls().is_empty() && sandbox.messages().is_empty());
    let client = reqwest::Client::new();
    for (user, password, account, status, code) in [
        (
            sandbox.account_sid(),
            "wrong",
            sandbox.account_sid(),
            401,
            20003,
        ),
        (
            sandbox.account_sid(),
            sandbox.auth_token(),
            "AC0",
            404,
            20404,
        ),
        (
            sandbox.api_key(),
            sandbox.api_secret(),
            sandbox.account_sid(),
            404,
            20404,
        ),
    ] {
        let url = format!(
            "{}/2010-04-01/Accounts/{account}/Calls/CA0.json",
            sandbox.carrier_url()
        );
        let request = client.get(url).basic_auth(user, Some(password));
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.json::<Value>().await.unwrap()["code"], code);
    }
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn messages_are_delivered_while_one_looks() {
    let sandbox = Sandbox::start(fast(vec![])).await.unwrap();
    let rest = Rest::new(&sandbox);
    let fields = [
        ("To", TO),
        ("From", sandbox.from_number()),
        ("Body", "Hi €"),
        ("MediaUrl", "https://x.invalid/a.png"),
    ];
    let (status, body) = rest.post("Messages.json", &fields).await;
    assert_eq!(
        (status, &body["status"], &body["num_segments"]),
        (201, &json!("queued"), &json!("1"))
    );
    let sid = body["sid"].as_str().unwrap();
    assert!(sid.starts_with("MM"));
    for status in ["sent", "delivered", "delivered"] {
        let body = rest.get(&format!("Messages/{sid}.json")).await;
        assert_eq!(
            (&body["status"], &body["error_code"]),
            (&json!(status), &Value::Null)
        );
    }
    assert_eq!(sandbox.messages()[0].body, "Hi €");
}

#[tokio::test]
async fn faults_of_the_carrier() {
    for (fault, first, placed) in [
        (CarrierFault::ServerError(503), Some(503), 0),
        (CarrierFault::RateLimitOnce, Some(429), 0),
        (CarrierFault::DropConnection, None, 0),
        (CarrierFault::LoseAnswer, None, 1),
    ] {
        let options = Options {
            carrier_fault: Some(fault),
            ..fast(vec![])
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let rest = Rest::new(&sandbox);
        let fields = [("To", TO), ("From", sandbox.from_number()), ("Body", "x")];
        let request = rest.client.post(rest.url("Messages.json")).form(&fields);
        let answer = request
            .basic_auth(sandbox.account_sid(), Some(sandbox.auth_token()))
            .send()
            .await;
        assert_eq!(answer.ok().map(|a| a.status().as_u16()), first, "{fault:?}");
        assert_eq!(sandbox.messages().len(), placed, "{fault:?}");
        assert_eq!(sandbox.requests(), ["POST Messages.json"]);
        if fault == CarrierFault::RateLimitOnce {
            assert_eq!(rest.post("Messages.json", &fields).await.0, 201);
        }
    }
    let lost = CarrierFault::LosesStream(Duration::from_millis(100));
    let options = Options {
        carrier_fault: Some(lost),
        ..fast(vec![Step::WaitForever])
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let mut product = Product::start(&sandbox).await;
    product.asks_to_be_asked_again();
    let rest = Rest::new(&sandbox);
    let sid = rest.call(&product, &[]).await;
    let mut first = product.media().await;
    while let Some(frame) = first.next().await {
        assert_ne!(frame["event"], "stop");
    }
    let mut second = product.media().await;
    rest.update(&sid, &[("Status", "completed")]).await;
    second.until("stop").await;
}
