use super::*;

fn sent(id: &str) -> Reply {
    Reply::Json(200, json!({"idMessage": id}))
}

fn path(method: &str) -> String {
    format!("/waInstance{GREEN_ID}/{method}/{GREEN_TOKEN}")
}

fn refused(status: u16, message: &str) -> Reply {
    // As Green API does, with the whole path.
    let body = json!({
        "statusCode": status, "timestamp": "2026-11-22T17:32:03.123Z", "path": path("sendMessage"),
        "message": message,
    });
    Reply::Json(status, body)
}

fn hello() -> Value {
    json!({"phone": "+39 333 123-4567", "text": "Good morning"})
}

#[tokio::test]
async fn a_text_arrives_as_green_api_wants_it() {
    for (phone, chat) in [
        ("+39 333 123-4567", "393331234567@c.us"),
        ("393331234567", "393331234567@c.us"),
        ("393331234567@c.us", "393331234567@c.us"),
        ("120363043968066561@g.us", "120363043968066561@g.us"),
    ] {
        let stand_in = StandIn::start(vec![sent("3EB0")]).await;
        let mut server = whatsapp(&stand_in).await;
        let arguments = json!({"phone": phone, "text": "è 👍"});
        let result = server.call("whatsapp_send_message", arguments).await;
        assert_eq!(result, json!({"idMessage": "3EB0"}));
        let seen = stand_in.only();
        assert_eq!(
            (&*seen.method, seen.path.clone()),
            ("POST", path("sendMessage"))
        );
        assert_eq!(seen.json(), json!({"chatId": chat, "message": "è 👍"}));
    }
}

#[tokio::test]
async fn a_long_text_becomes_several_messages_in_order() {
    let stand_in = StandIn::start(vec![sent("A"), sent("B")]).await;
    let mut server = whatsapp(&stand_in).await;
    let parts = ["a".repeat(15_000), "b".repeat(15_000)];
    let long = json!({"phone": "393331234567", "text": parts.join("\n")});
    let result = server.call("whatsapp_send_message", long).await;
    assert_eq!(
        result,
        json!({"idMessage": "B", "parts": 2, "message_ids": ["A", "B"]})
    );
    let texts: Vec<Value> = stand_in
        .seen()
        .iter()
        .map(|s| s.json()["message"].clone())
        .collect();
    assert_eq!(texts, parts);
}

#[tokio::test]
async fn green_api_s_refusals_come_with_a_way_out() {
    let quota = json!({
        "invokeStatus": {"method": "sendmessage", "used": 67, "total": 0, "status": "QUOTE_ALLOWED"},
        "correspondentsStatus": {"status": "CORRESPONDENTS_QUOTE_EXCEEDED",
            "description": "You can only write to these numbers: 1, 2, 3"},
    });
    for (reply, words) in [
        (
            Reply::Plain(401, vec![], vec![]),
            &["401", "GREEN_API_TOKEN"][..],
        ),
        (Reply::Plain(403, vec![], vec![]), &["403", "GREEN_API_ID"]),
        (
            refused(400, "instance is starting or not authorized"),
            &["not authorized", "QR code"],
        ),
        (
            refused(400, "Validation failed. Details: 'chatId' is required"),
            &["chatId", "phone"],
        ),
        (
            Reply::Json(466, quota),
            &["466", "these numbers: 1, 2, 3", "plan"],
        ),
    ] {
        let stand_in = StandIn::start(vec![reply]).await;
        let mut server = whatsapp(&stand_in).await;
        let (said, fields) = failure(&mut server, "whatsapp_send_message", hello()).await;
        assert_says(&said, words);
        assert_eq!(fields["may_have_been_delivered"], json!(false));
        assert_eq!(stand_in.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_short_rate_limit_is_waited_out_and_a_long_one_reported() {
    let limited =
        |seconds: &str| Reply::Plain(429, vec![("retry-after", seconds.to_owned())], vec![]);
    let stand_in = StandIn::start(vec![limited("0"), sent("A")]).await;
    let mut server = whatsapp(&stand_in).await;
    server.call("whatsapp_send_message", hello()).await;
    assert_eq!(stand_in.seen().len(), 2);

    // Without a word about the time, it is a second.
    let stand_in = StandIn::start(vec![Reply::Plain(429, vec![], vec![]), sent("A")]).await;
    let mut server = whatsapp(&stand_in).await;
    server.call("whatsapp_send_message", hello()).await;
    assert_eq!(stand_in.seen().len(), 2);

    let stand_in = StandIn::start(vec![limited("60"), sent("A")]).await;
    let mut server = whatsapp(&stand_in).await;
    let why = server.refused("whatsapp_send_message", hello()).await;
    assert_says(&why, &["429", "60 s"]);
    assert_eq!(stand_in.seen().len(), 1);
}

#[tokio::test]
async fn what_may_have_been_delivered_is_not_sent_again() {
    for reply in [
        Reply::Hangup,
        Reply::Plain(502, vec![], vec![]),
        Reply::Plain(499, vec![], vec![]),
    ] {
        let stand_in = StandIn::start(vec![reply, sent("A")]).await;
        let mut server = whatsapp(&stand_in).await;
        let (said, fields) = failure(&mut server, "whatsapp_send_message", hello()).await;
        assert_says(&said, &["may have been delivered"]);
        assert_eq!(fields["may_have_been_delivered"], json!(true));
        assert_eq!(stand_in.seen().len(), 1);
    }
}

#[tokio::test]
async fn arguments_that_cannot_be_meant_are_not_sent() {
    let stand_in = StandIn::start(vec![sent("A")]).await;
    let mut server = whatsapp(&stand_in).await;
    let scratch = Scratch::new();
    let file = scratch.file("a.txt", b"x");
    let phone = "393331234567";
    for (tool, arguments, words) in [
        (
            "message",
            json!({"phone": phone, "text": " "}),
            &["text", "empty"][..],
        ),
        (
            "message",
            json!({"phone": "somebody", "text": "x"}),
            &["phone", "country code"],
        ),
        (
            "message",
            json!({"phone": "003933312345", "text": "x"}),
            &["phone"],
        ),
        (
            "message",
            json!({"phone": "1/../2@c.us", "text": "x"}),
            &["phone"],
        ),
        (
            "message",
            json!({"phone": 393_331_234_567_u64, "text": "x"}),
            &["phone"],
        ),
        ("message", json!({"phone": phone}), &["text"]),
        (
            "message",
            json!({"phone": phone, "text": "x", "to": "y"}),
            &["to"],
        ),
        ("file", json!({"phone": phone}), &["path", "url"]),
        (
            "file",
            json!({"phone": phone, "path": file, "url": "https://example.com/a.b"}),
            &["not both"],
        ),
        (
            "file",
            json!({"phone": phone, "path": file, "caption": "x".repeat(1_025)}),
            &["caption", "1024"],
        ),
        (
            "file",
            json!({"phone": phone, "path": file, "filename": "report"}),
            &["filename", ".pdf"],
        ),
        (
            "file",
            json!({"phone": phone, "url": "https://example.com/download"}),
            &["filename"],
        ),
    ] {
        let tool = format!("whatsapp_send_{tool}");
        let why = server.refused(&tool, arguments).await;
        assert_says(&why, words);
    }
    assert_eq!(stand_in.seen().len(), 0);
}

#[tokio::test]
async fn a_file_of_this_machine_is_uploaded_to_the_byte() {
    let scratch = Scratch::new();
    let content = noise(300_000);
    for (filename, name) in [(None, "map.png"), (Some("a \"b\".png"), "a _b_.png")] {
        let answer = json!({"idMessage": "A", "urlFile": "https://media.example.com/1"});
        let stand_in = StandIn::start(vec![Reply::Json(200, answer.clone())]).await;
        let mut server = whatsapp(&stand_in).await;
        let mut arguments = json!({
            "phone": "+393331234567", "path": scratch.file("map.png", &content), "caption": "è",
        });
        if let Some(filename) = filename {
            arguments["filename"] = json!(filename);
        }
        let result = server.call("whatsapp_send_file", arguments).await;
        assert_eq!(result, answer);
        let seen = stand_in.only();
        assert_eq!(
            (&*seen.method, seen.path.clone()),
            ("POST", path("sendFileByUpload"))
        );
        let fields = [
            ("chatId", "393331234567@c.us"),
            ("fileName", name),
            ("caption", "è"),
        ];
        assert_eq!(
            seen.fields(),
            fields.map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        let file = seen.file();
        assert_eq!(file.parameter("name").as_deref(), Some("file"));
        assert_eq!(file.parameter("filename").as_deref(), Some(name));
        assert_eq!(file.mime(), Some("image/png"));
        assert!(file.content == content, "other bytes");
    }
}

#[tokio::test]
async fn a_file_of_the_web_is_left_to_green_api() {
    for (url, filename, name) in [
        ("https://example.com/a/m%20ap.png?x=1", None, "m ap.png"),
        ("https://example.com/download", Some("map.png"), "map.png"),
    ] {
        let stand_in = StandIn::start(vec![sent("A")]).await;
        let mut server = whatsapp(&stand_in).await;
        let mut arguments =
            json!({"phone": "120363043968066561@g.us", "url": url, "caption": "The map"});
        if let Some(filename) = filename {
            arguments["filename"] = json!(filename);
        }
        server.call("whatsapp_send_file", arguments).await;
        let seen = stand_in.only();
        assert_eq!(seen.path, path("sendFileByUrl"));
        let body = json!({
            "chatId": "120363043968066561@g.us", "urlFile": url, "fileName": name,
            "caption": "The map",
        });
        assert_eq!(seen.json(), body);
    }
}
