//! The carrier: machine detection, keys, menus, streams that break off.

use std::time::Duration;

use openagent_messaging::sandbox::speech::Decoder;
use openagent_messaging::sandbox::{Callee, CarrierFault, Menu, Options, Sandbox, Step};
use serde_json::json;

use super::product::*;
use super::*;

const ANY: &str = "+390699999999";

/// A sandbox whose callee at [`ANY`] is this one.
async fn with(callee: Callee) -> Sandbox {
    let mut options = fast(vec![]);
    options.callees.insert(ANY.to_owned(), callee);
    Sandbox::start(options).await.unwrap()
}

/// What machine detection reports of this callee, and after how many milliseconds of the call.
async fn detected(callee: Callee, mode: &str, extra: &[(&str, &str)]) -> (String, u64) {
    let sandbox = with(callee).await;
    let mut product = Product::start(&sandbox).await;
    let rest = Rest::new(&sandbox);
    let amd = format!("{}/amd/1", product.url);
    let mut fields = vec![
        ("To", ANY),
        ("MachineDetection", mode),
        ("AsyncAmd", "true"),
        ("AsyncAmdStatusCallback", &amd),
        ("AsyncAmdStatusCallbackMethod", "POST"),
        ("StatusCallbackEvent", "completed"),
    ];
    fields.extend_from_slice(extra);
    let sid = rest.call(&product, &fields).await;
    product.hook("/twiml/1").await;
    // Read all along: an audio stream that nobody reads backs up.
    let mut media = product.media().await;
    let reading = tokio::spawn(async move { while media.next().await.is_some() {} });
    let fields = product.hook("/amd/1").await;
    assert_eq!(fields["CallSid"], sid);
    let shown = rest.get(&format!("Calls/{sid}.json")).await;
    assert_eq!(shown["answered_by"], fields["AnsweredBy"]);
    rest.update(&sid, &[("Status", "completed")]).await;
    reading.await.unwrap();
    over(&sandbox, &sid).await;
    told(&sandbox, &sid).await;
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
    let after = fields["MachineDetectionDuration"].parse().unwrap();
    (fields["AnsweredBy"].clone(), after)
}

#[tokio::test]
async fn machine_detection_reports_what_was_heard_when_it_was_heard() {
    let human = Callee::person(vec![Step::say("Hello?"), Step::WaitForever]);
    let silent = Callee::person(vec![Step::WaitForever]);
    let speechless = Callee {
        answered_by: "unknown".to_owned(),
        ..human.clone()
    };
    let end = "DetectMessageEnd";
    let early = [("MachineDetectionTimeout", "3")];
    // Greetings of 0.3 to 1.2 s of audio; a second of it takes a tenth of a second here.
    for (callee, mode, extra, by, at_least) in [
        (human, end, &[][..], "human", 1_200),
        (silent, end, &[], "unknown", 5_000),
        (Callee::machine(), end, &[], "machine_end_beep", 1_900),
        (Callee::machine(), "Enable", &[], "machine_start", 1_100),
        (
            Callee::machine_without_beep(),
            end,
            &[],
            "machine_end_silence",
            3_000,
        ),
        (Callee::menu(), end, &[], "machine_end_other", 2_400),
        (Callee::fax(), end, &[], "fax", 1_000),
        (speechless, end, &early, "unknown", 3_000),
    ] {
        let (verdict, after) = detected(callee, mode, extra).await;
        assert_eq!(verdict, by);
        assert!(after >= at_least, "{by} after {after} ms");
    }
}

#[tokio::test]
async fn machine_detection_that_makes_no_sense_is_refused() {
    let sandbox = with(Callee::default()).await;
    let product = Product::start(&sandbox).await;
    let rest = Rest::new(&sandbox);
    let (own, url) = (sandbox.from_number(), format!("{}/twiml/1", product.url));
    let call = async |extra: &[(&str, &str)]| {
        let mut fields = vec![("To", ANY), ("From", own), ("Url", url.as_str())];
        fields.extend_from_slice(extra);
        rest.post("Calls.json", &fields).await
    };
    for refused in [
        [("MachineDetection", "Always"), ("AsyncAmd", "true")],
        [("MachineDetection", "Enable"), ("AsyncAmd", "maybe")],
        [
            ("MachineDetection", "Enable"),
            ("MachineDetectionTimeout", "2"),
        ],
        [
            ("MachineDetection", "Enable"),
            ("MachineDetectionTimeout", "60"),
        ],
        [("AsyncAmd", "true"), ("AsyncAmdStatusCallback", "ftp://x/")],
    ] {
        let (status, body) = call(&refused).await;
        assert_eq!(status, 400, "{refused:?}: {body}");
    }
    assert!(sandbox.calls().is_empty());
    // Twilio would do it, but hold the call up until the verdict.
    let (status, _) = call(&[("MachineDetection", "Enable")]).await;
    assert_eq!((status, sandbox.complaints().len()), (201, 1));
}

/// TwiML that presses `keys` and connects the call again.
fn press(product: &Product, keys: &str) -> String {
    let connect = product.twiml.lock().unwrap().clone();
    connect.replace("<Connect>", &format!("<Play digits=\"{keys}\"/><Connect>"))
}

#[tokio::test]
async fn keys_reach_the_menu_and_the_conversation_goes_on_on_a_new_stream() {
    let menu = Menu {
        says: "For a person, press 2.".to_owned(),
        options: vec![(
            "2".to_owned(),
            vec![Step::say("Reception."), Step::WaitForever],
        )],
    };
    let sandbox = with(Callee::person(vec![Step::Menu(menu)])).await;
    let mut product = Product::start(&sandbox).await;
    let rest = Rest::new(&sandbox);
    let sid = rest.call(&product, &[("To", ANY)]).await;
    let mut first = product.media().await;
    let much = sandbox.wait_call(&sid, |call| call.said_audio.len() > 8_000);
    soon("some of the menu", much).await.unwrap();
    let (status, _) = rest.update(&sid, &[("Twiml", &press(&product, "9"))]).await;
    assert_eq!(status, 200);
    // The old socket is told, and closed.
    first.until("stop").await;
    assert!(first.next().await.is_none());
    assert!(first.was_closed);
    let mut second = product.media().await;
    assert_ne!(first.sid, second.sid);
    let began = sandbox.call(&sid).unwrap().said_audio.len();
    let again = "For a person, press 2.".len() * 128;
    let much = sandbox.wait_call(&sid, |call| call.said_audio.len() > began + again + 20_000);
    soon("the menu again", much).await.unwrap();
    rest.update(&sid, &[("Twiml", &press(&product, "ww2"))])
        .await;
    second.until("stop").await;
    let mut third = product.media().await;
    assert_eq!(third.sequence, 1);
    let mut ear = Decoder::default();
    let mut heard = String::new();
    let mut read = 0;
    while !heard.contains("Reception.") {
        third.until("media").await;
        heard.push_str(&ear.feed(&third.audio[read..]));
        read = third.audio.len();
    }
    let heard_before = Decoder::default().feed(&second.audio);
    assert!(heard_before.contains("For a person"), "{heard_before}");
    rest.update(&sid, &[("Status", "completed")]).await;
    let call = over(&sandbox, &sid).await;
    assert_eq!((call.digits.as_str(), call.streams), ("92", 3));
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn half_a_second_for_each_w() {
    let sandbox = with(Callee::person(vec![Step::WaitForever])).await;
    let mut product = Product::start(&sandbox).await;
    let rest = Rest::new(&sandbox);
    let sid = rest.call(&product, &[("To", ANY)]).await;
    let media = product.media().await;
    let hang_up = |keys| format!("<Response><Play digits=\"{keys}\"/><Hangup/></Response>");
    rest.update(&sid, &[("Twiml", &hang_up("wwww1wwww"))]).await;
    let call = over(&sandbox, &sid).await;
    drop(media);
    assert_eq!(call.digits, "1");
    assert!(
        call.duration >= Duration::from_secs(4),
        "{:?}",
        call.duration
    );
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn keys_that_no_phone_has_end_the_call() {
    for keys in ["1;2", "+39", "", "p"] {
        let sandbox = with(Callee::person(vec![Step::WaitForever])).await;
        let mut product = Product::start(&sandbox).await;
        let rest = Rest::new(&sandbox);
        let sid = rest.call(&product, &[("To", ANY)]).await;
        let media = product.media().await;
        rest.update(&sid, &[("Twiml", &press(&product, keys))])
            .await;
        let call = over(&sandbox, &sid).await;
        drop(media);
        assert_eq!((call.digits.as_str(), call.streams), ("", 1));
        assert!(sandbox.complaints()[0].contains("digits"), "{keys}");
    }
}

#[tokio::test]
async fn a_call_that_is_not_live_takes_no_twiml() {
    let sandbox = with(Callee::person(vec![Step::HangUp])).await;
    let mut product = Product::start(&sandbox).await;
    let rest = Rest::new(&sandbox);
    let sid = rest.call(&product, &[("To", ANY)]).await;
    drop(product.media().await);
    over(&sandbox, &sid).await;
    let bye = "<Response><Hangup/></Response>";
    let (status, body) = rest.update(&sid, &[("Twiml", bye)]).await;
    assert_eq!((status, &body["code"]), (400, &json!(21220)));
    let (status, _) = rest
        .update(&sid, &[("Twiml", bye), ("Url", "http://127.0.0.1:9/")])
        .await;
    assert_eq!(status, 400, "one or the other");
}

#[tokio::test]
async fn a_line_that_breaks_comes_back_by_the_redirect() {
    let sandbox = with(Callee::person(vec![
        Step::say("On Tuesday I"),
        Step::LoseStream,
        Step::say(" am free"),
        Step::WaitForever,
    ]))
    .await;
    let mut product = Product::start(&sandbox).await;
    product.asks_to_be_asked_again();
    let rest = Rest::new(&sandbox);
    let sid = rest.call(&product, &[("To", ANY)]).await;
    let mut first = product.media().await;
    // Neither a `stop` nor a close frame, and no hang-up.
    while let Some(frame) = first.next().await {
        assert_ne!(frame["event"], "stop");
    }
    assert!(!first.was_closed);
    assert_eq!(Decoder::default().feed(&first.audio), "On Tuesday I");
    let mut second = product.media().await;
    assert_ne!(first.sid, second.sid);
    let much = sandbox.wait_call(&sid, |call| {
        call.said_audio.len() > first.audio.len() + 2_000
    });
    soon("the rest", much).await.unwrap();
    rest.update(&sid, &[("Status", "completed")]).await;
    second.until("stop").await;
    assert!(
        Decoder::default()
            .feed(&second.audio)
            .starts_with(" am free")
    );
    assert_eq!(over(&sandbox, &sid).await.streams, 2);
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_line_that_goes_dead_ends_without_another_stream() {
    let sandbox = with(Callee::person(vec![
        Step::say("On Tuesday I"),
        Step::LoseLine(Duration::from_secs(1)),
        Step::say(" am free"),
    ]))
    .await;
    let mut product = Product::start(&sandbox).await;
    product.asks_to_be_asked_again();
    let rest = Rest::new(&sandbox);
    let sid = rest.call(&product, &[("To", ANY)]).await;
    let mut media = product.media().await;
    while let Some(frame) = media.next().await {
        assert_ne!(frame["event"], "stop");
    }
    assert!(!media.was_closed);
    let call = over(&sandbox, &sid).await;
    let late = call.duration >= Duration::from_millis(1_150);
    assert!(late, "the carrier did not know for a second: {call:?}");
    assert_eq!((call.status.as_str(), call.streams), ("completed", 1));
    assert_eq!(Decoder::default().feed(&call.said_audio), "On Tuesday I");
    assert!(told(&sandbox, &sid).await.contains(&"completed".to_owned()));
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn the_first_new_twiml_can_be_refused_or_lost_and_the_next_is_served() {
    for (fault, first) in [
        (CarrierFault::RefusesTwimlOnce, Some(400)),
        (CarrierFault::DropsTwimlOnce, None),
    ] {
        let sandbox = Sandbox::start(Options {
            carrier_fault: Some(fault),
            ..fast(vec![Step::WaitForever])
        })
        .await
        .unwrap();
        let mut product = Product::start(&sandbox).await;
        let rest = Rest::new(&sandbox);
        let sid = rest.call(&product, &[]).await;
        let mut media = product.media().await;
        let keys = [("Twiml", press(&product, "2"))];
        let request = rest.client.post(rest.url(&format!("Calls/{sid}.json")));
        let answer = request
            .form(&keys)
            .basic_auth(sandbox.account_sid(), Some(sandbox.auth_token()))
            .send()
            .await;
        assert_eq!(answer.ok().map(|a| a.status().as_u16()), first, "{fault:?}");
        // The stream goes on, and nothing was pressed.
        media.until("media").await;
        assert_eq!(sandbox.call(&sid).unwrap().digits, "");
        let [(name, keys)] = &keys;
        assert_eq!(rest.update(&sid, &[(*name, keys.as_str())]).await.0, 200);
        media.until("stop").await;
        let mut second = product.media().await;
        assert_eq!(sandbox.call(&sid).unwrap().digits, "2");
        rest.update(&sid, &[("Status", "completed")]).await;
        second.until("stop").await;
        over(&sandbox, &sid).await;
        assert_eq!(sandbox.complaints(), Vec::<String>::new());
    }
}
