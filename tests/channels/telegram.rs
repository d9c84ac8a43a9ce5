use super::*;

fn message(id: u64, text: &str) -> Value {
    json!({"ok": true, "result": {
        "message_id": id, "date": 1_700_000_000, "text": text,
        "chat": {"id": 42, "type": "private"}, "from": {"id": 123_456, "is_bot": true},
    }})
}

fn sent(id: u64) -> Reply {
    Reply::Json(200, message(id, "x"))
}

fn refused(code: u16, description: &str) -> Reply {
    let body = json!({"ok": false, "error_code": code, "description": description});
    Reply::Json(code, body)
}

fn limited(seconds: f64) -> Reply {
    let body = json!({
        "ok": false, "error_code": 429, "description": "Too Many Requests: retry later",
        "parameters": {"retry_after": seconds},
    });
    Reply::Json(429, body)
}

fn path(method: &str) -> String {
    format!("/bot{TELEGRAM_TOKEN}/{method}")
}

fn hello() -> Value {
    json!({"chat_id": "42", "text": "Good morning"})
}

#[tokio::test]
async fn a_text_arrives_as_telegram_wants_it() {
    for (arguments, body) in [
        (hello(), json!({"chat_id": "42", "text": "Good morning"})),
        (
            json!({"chat_id": -1_001_234_567_890_i64, "text": "è 👍\n"}),
            json!({"chat_id": -1_001_234_567_890_i64, "text": "è 👍\n"}),
        ),
        (
            json!({"chat_id": "@some_channel", "text": "<b>x</b>", "parse_mode": "HTML"}),
            json!({"chat_id": "@some_channel", "text": "<b>x</b>", "parse_mode": "HTML"}),
        ),
        (
            json!({"chat_id": "42", "text": "*x*", "parse_mode": "MarkdownV2"}),
            json!({"chat_id": "42", "text": "*x*", "parse_mode": "MarkdownV2"}),
        ),
    ] {
        let stand_in = StandIn::start(vec![sent(17)]).await;
        let mut server = telegram(&stand_in).await;
        let result = server.call("telegram_send_message", arguments).await;
        // Telegram's own object and nothing else.
        assert_eq!(result, message(17, "x")["result"]);
        let seen = stand_in.only();
        assert_eq!(
            (&*seen.method, seen.path.clone()),
            ("POST", path("sendMessage"))
        );
        assert_eq!(seen.json(), body);
    }
}

#[tokio::test]
async fn a_path_of_the_base_url_is_kept() {
    let stand_in = StandIn::start(vec![sent(17)]).await;
    let base_url = format!("{}/proxy/", stand_in.url());
    let setup = telegram_setup(&stand_in).env("TELEGRAM_API_BASE_URL", &base_url);
    let mut server = Server::start(&setup).await;
    server.call("telegram_send_message", hello()).await;
    assert_eq!(
        stand_in.only().path,
        format!("/proxy{}", path("sendMessage"))
    );
}

/// `count` paragraphs of `length` characters each, told apart by their first letter.
fn paragraphs(count: u8, length: usize) -> Vec<String> {
    let paragraph = |n| char::from(b'a' + n).to_string() + &" word".repeat(length / 5);
    (0..count).map(paragraph).collect()
}

#[tokio::test]
async fn a_long_text_becomes_several_messages_in_order() {
    let stand_in = StandIn::start(vec![sent(17), sent(18), sent(19)]).await;
    let mut server = telegram(&stand_in).await;
    let paragraphs = paragraphs(3, 3_000);
    let text = paragraphs.join("\n\n");
    let long = json!({"chat_id": "42", "text": text});
    let result = server.call("telegram_send_message", long).await;
    assert_eq!(result["parts"], json!(3));
    assert_eq!(result["message_ids"], json!([17, 18, 19]));
    assert_eq!(result["message_id"], json!(19));
    let bodies: Vec<Value> = stand_in.seen().iter().map(Seen::json).collect();
    let texts: Vec<&str> = bodies.iter().map(|b| b["text"].as_str().unwrap()).collect();
    assert_eq!(texts, paragraphs);
    assert!(bodies.iter().all(|body| body["chat_id"] == "42"));
}

#[tokio::test]
async fn the_limit_is_counted_as_telegram_counts() {
    // 2048 emoji are 4096 units of UTF-16; one more is too many.
    for (count, messages) in [(2_048, 1), (2_049, 2)] {
        let stand_in = StandIn::start(vec![sent(17)]).await;
        let mut server = telegram(&stand_in).await;
        let text = json!({"chat_id": "42", "text": "👍".repeat(count)});
        server.call("telegram_send_message", text).await;
        assert_eq!(stand_in.seen().len(), messages, "{count}");
    }
}

#[tokio::test]
async fn formatting_does_not_count_and_is_never_torn() {
    let stand_in = StandIn::start(vec![sent(17)]).await;
    let mut server = telegram(&stand_in).await;
    // 4096 characters are shown of more than 4096.
    let text = format!(
        "<a href=\"https://example.com/{}\">here</a>{}",
        "x".repeat(100),
        "a".repeat(4_092)
    );
    let one = json!({"chat_id": "42", "text": text, "parse_mode": "HTML"});
    server.call("telegram_send_message", one).await;
    assert_eq!(stand_in.only().json()["text"], json!(text));

    let bold = format!("<b>{}</b>", "word ".repeat(700));
    let text = format!("{bold} {bold} {bold}");
    let long = json!({"chat_id": "42", "text": text, "parse_mode": "HTML"});
    server.call("telegram_send_message", long).await;
    let seen = stand_in.seen();
    let texts: Vec<Value> = seen[1..].iter().map(|s| s.json()["text"].clone()).collect();
    assert_eq!(texts, [bold.as_str(); 3]);
    assert!(seen[1..].iter().all(|s| s.json()["parse_mode"] == "HTML"));

    // What cannot be split is not sent at all.
    let text = format!("<i>{}</i>", "word ".repeat(1_000));
    let long = json!({"chat_id": "42", "text": text, "parse_mode": "HTML"});
    let why = server.refused("telegram_send_message", long).await;
    assert_says(&why, &["4096", "parse_mode"]);
    assert_eq!(stand_in.seen().len(), 4);
}

#[tokio::test]
async fn if_a_part_fails_the_agent_learns_which_went_out() {
    for (reply, delivered) in [
        (
            refused(403, "Forbidden: bot was blocked by the user"),
            false,
        ),
        (Reply::Hangup, true),
    ] {
        let stand_in = StandIn::start(vec![sent(17), sent(18), reply]).await;
        let mut server = telegram(&stand_in).await;
        let text = paragraphs(4, 3_000).join("\n\n");
        let long = json!({"chat_id": "42", "text": text});
        let (said, fields) = failure(&mut server, "telegram_send_message", long).await;
        assert_says(
            &said,
            &[
                "Parts 1 to 2 were sent",
                "of 4",
                "17, 18",
                "Part 3",
                "\"c word",
            ],
        );
        assert_eq!(fields["message_ids"], json!([17, 18]));
        assert_eq!(fields["parts"], json!(4));
        assert_eq!(fields["may_have_been_delivered"], json!(delivered));
        assert_eq!(
            stand_in.seen().len(),
            3,
            "nothing is sent after a failure, or twice"
        );
    }
}

#[tokio::test]
async fn a_text_that_would_be_a_flood_is_refused() {
    let stand_in = StandIn::start(vec![sent(17)]).await;
    let mut server = telegram(&stand_in).await;
    let flood = json!({"chat_id": "42", "text": "a ".repeat(50_000)});
    let why = server.refused("telegram_send_message", flood).await;
    assert_says(&why, &["20 messages", "file"]);
    assert_eq!(stand_in.seen().len(), 0);
}

#[tokio::test]
async fn telegram_s_refusals_come_with_a_way_out() {
    for (code, description, words) in [
        (401, "Unauthorized", &["401", "TELEGRAM_BOT_TOKEN"][..]),
        (404, "Not Found", &["404", "TELEGRAM_BOT_TOKEN"]),
        (
            400,
            "Bad Request: chat not found",
            &["400", "chat not found", "chat_id"],
        ),
        (
            403,
            "Forbidden: bot was blocked by the user",
            &["403", "blocked", "unblock"],
        ),
        (
            400,
            "Bad Request: can't parse entities: Character '.' is reserved",
            &["Character '.' is reserved", "escape", "parse_mode"],
        ),
    ] {
        let stand_in = StandIn::start(vec![refused(code, description)]).await;
        let mut server = telegram(&stand_in).await;
        let (said, fields) = failure(&mut server, "telegram_send_message", hello()).await;
        assert_says(&said, words);
        assert_eq!(fields["http_status"], json!(code));
        assert_eq!(fields["may_have_been_delivered"], json!(false));
        assert_eq!(stand_in.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_group_that_moved_says_where_to() {
    let body = json!({
        "ok": false, "error_code": 400,
        "description": "Bad Request: group chat was upgraded to a supergroup chat",
        "parameters": {"migrate_to_chat_id": -1_001_234_567_890_i64},
    });
    let stand_in = StandIn::start(vec![Reply::Json(400, body)]).await;
    let mut server = telegram(&stand_in).await;
    let why = server.refused("telegram_send_message", hello()).await;
    assert_says(&why, &["-1001234567890", "chat_id"]);
}

#[tokio::test]
async fn a_short_rate_limit_is_waited_out_and_a_long_one_reported() {
    let stand_in = StandIn::start(vec![limited(0.05), limited(0.05), sent(17)]).await;
    let mut server = telegram(&stand_in).await;
    let result = server.call("telegram_send_message", hello()).await;
    assert_eq!(result["message_id"], json!(17));
    assert_eq!(stand_in.seen().len(), 3);

    for seconds in [11.0, 35.0, 1e300] {
        let stand_in = StandIn::start(vec![limited(seconds), sent(17)]).await;
        let mut server = telegram(&stand_in).await;
        let (said, fields) = failure(&mut server, "telegram_send_message", hello()).await;
        assert_says(&said, &["429", "wait"]);
        assert_eq!(stand_in.seen().len(), 1);
        if seconds < 1e3 {
            assert_says(&said, &[&format!("{seconds} s")]);
            assert_eq!(fields["retry_after_seconds"], json!(seconds));
        }
    }

    // It ends, however short each limit is.
    let stand_in = StandIn::start(vec![limited(0.0)]).await;
    let mut server = telegram(&stand_in).await;
    let why = server.refused("telegram_send_message", hello()).await;
    assert_says(&why, &["429"]);
    assert!(stand_in.seen().len() <= 5, "{}", stand_in.seen().len());
}

#[tokio::test]
async fn what_may_have_been_delivered_is_not_sent_again() {
    for reply in [
        Reply::Hangup,
        Reply::Plain(502, vec![], b"<html>".to_vec()),
        Reply::Plain(200, vec![], b"<html>".to_vec()),
        Reply::Json(
            500,
            json!({"ok": false, "error_code": 500, "description": "Internal"}),
        ),
    ] {
        let stand_in = StandIn::start(vec![reply.clone(), sent(17)]).await;
        let mut server = telegram(&stand_in).await;
        let (said, fields) = failure(&mut server, "telegram_send_message", hello()).await;
        assert_says(&said, &["delivered", "do not send it again"]);
        assert_eq!(fields["may_have_been_delivered"], json!(true), "{reply:?}");
        assert_eq!(stand_in.seen().len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn nobody_there_is_told_as_nothing_sent() {
    let setup = Setup::bare().env("TELEGRAM_BOT_TOKEN", TELEGRAM_TOKEN).env(
        "TELEGRAM_API_BASE_URL",
        &format!("http://127.0.0.1:{}", support_mcp::free_port()),
    );
    let mut server = Server::start(&setup).await;
    let (said, fields) = failure(&mut server, "telegram_send_message", hello()).await;
    assert_says(&said, &["nothing was sent", "TELEGRAM_API_BASE_URL"]);
    assert_eq!(fields["may_have_been_delivered"], json!(false));
}

#[tokio::test]
async fn arguments_that_cannot_be_meant_are_not_sent() {
    let stand_in = StandIn::start(vec![sent(17)]).await;
    let mut server = telegram(&stand_in).await;
    let scratch = Scratch::new();
    let file = scratch.file("a.txt", b"x");
    for (tool, arguments, words) in [
        (
            "message",
            json!({"chat_id": "42", "text": ""}),
            &["text", "empty"][..],
        ),
        (
            "message",
            json!({"chat_id": "42", "text": " \n"}),
            &["text", "empty"],
        ),
        (
            "message",
            json!({"chat_id": "somebody", "text": "x"}),
            &["chat_id", "@name"],
        ),
        ("message", json!({"chat_id": "", "text": "x"}), &["chat_id"]),
        (
            "message",
            json!({"chat_id": 1.5, "text": "x"}),
            &["chat_id"],
        ),
        (
            "message",
            json!({"chat_id": null, "text": "x"}),
            &["chat_id"],
        ),
        ("message", json!({"text": "x"}), &["chat_id"]),
        ("message", json!({"chat_id": "42"}), &["text"]),
        (
            "message",
            json!({"chat_id": "42", "text": "x", "parse_mode": "BBCode"}),
            &["parse_mode", "HTML"],
        ),
        (
            "message",
            json!({"chat_id": "42", "text": "x", "silent": true}),
            &["silent"],
        ),
        ("file", json!({"chat_id": "42"}), &["path", "url"]),
        (
            "file",
            json!({"chat_id": "42", "path": file, "url": "https://example.com/a"}),
            &["not both"],
        ),
        (
            "file",
            json!({"chat_id": "42", "path": file, "type": "sticker"}),
            &["type", "sticker"],
        ),
        (
            "file",
            json!({"chat_id": "42", "path": file, "caption": "x".repeat(1_025)}),
            &["caption", "1024"],
        ),
        (
            "file",
            json!({"chat_id": "42", "url": "ftp://example.com/a"}),
            &["url", "https://"],
        ),
        (
            "file",
            json!({"chat_id": "42", "url": file}),
            &["url", "path"],
        ),
    ] {
        let tool = format!("telegram_send_{tool}");
        let why = server.refused(&tool, arguments).await;
        assert_says(&why, words);
    }
    assert_eq!(stand_in.seen().len(), 0);
}

#[tokio::test]
async fn a_file_of_this_machine_is_uploaded_to_the_byte() {
    let scratch = Scratch::new();
    let content = noise(300_000);
    for (name, kind, method, field, mime) in [
        ("photo.jpg", None, "sendPhoto", "photo", "image/jpeg"),
        (
            "photo.jpg",
            Some("document"),
            "sendDocument",
            "document",
            "image/jpeg",
        ),
        ("talk.ogg", None, "sendVoice", "voice", "audio/ogg"),
        ("film.mp4", None, "sendVideo", "video", "video/mp4"),
        (
            "à b.pdf",
            None,
            "sendDocument",
            "document",
            "application/pdf",
        ),
        (
            "talk.mp3",
            Some("voice"),
            "sendVoice",
            "voice",
            "audio/mpeg",
        ),
    ] {
        let stand_in = StandIn::start(vec![sent(17)]).await;
        let mut server = telegram(&stand_in).await;
        let mut arguments =
            json!({"chat_id": -42, "path": scratch.file(name, &content), "caption": "è"});
        if let Some(kind) = kind {
            arguments["type"] = json!(kind);
        }
        let result = server.call("telegram_send_file", arguments).await;
        assert_eq!(result, message(17, "x")["result"]);
        let seen = stand_in.only();
        assert_eq!((&*seen.method, seen.path.clone()), ("POST", path(method)));
        let fields = [("chat_id", "-42"), ("caption", "è")];
        assert_eq!(
            seen.fields(),
            fields.map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        let file = seen.file();
        assert_eq!(file.parameter("name").as_deref(), Some(field));
        assert_eq!(file.parameter("filename").as_deref(), Some(name));
        assert_eq!(file.mime(), Some(mime));
        assert!(file.content == content, "other bytes");
        // The provider is told how much comes.
        let length = seen.header("content-length").unwrap();
        assert_eq!(length, seen.body.len().to_string());
    }
}

#[tokio::test]
async fn a_file_of_the_web_is_left_to_telegram() {
    for (url, kind, method, field) in [
        (
            "https://example.com/a.png?x=1&y=%20",
            None,
            "sendPhoto",
            "photo",
        ),
        (
            "https://example.com/a.pdf",
            None,
            "sendDocument",
            "document",
        ),
        ("http://example.com/a", Some("video"), "sendVideo", "video"),
    ] {
        let stand_in = StandIn::start(vec![sent(17)]).await;
        let mut server = telegram(&stand_in).await;
        let mut arguments = json!({"chat_id": "42", "url": url, "caption": "The map"});
        if let Some(kind) = kind {
            arguments["type"] = json!(kind);
        }
        server.call("telegram_send_file", arguments).await;
        let seen = stand_in.only();
        assert_eq!(seen.path, path(method));
        let body = json!({"chat_id": "42", field: url, "caption": "The map"});
        assert_eq!(seen.json(), body);
    }
}

#[tokio::test]
async fn what_telegram_cannot_fetch_is_explained() {
    for description in [
        "Bad Request: failed to get HTTP URL content",
        "Bad Request: wrong type of the web page content",
    ] {
        let stand_in = StandIn::start(vec![refused(400, description)]).await;
        let mut server = telegram(&stand_in).await;
        let file = json!({"chat_id": "42", "url": "https://example.com/a.docx"});
        let why = server.refused("telegram_send_file", file).await;
        assert_says(&why, &["20 MB", "path", description]);
    }
}

#[tokio::test]
async fn a_rate_limit_of_an_upload_is_waited_out_with_the_whole_file() {
    let scratch = Scratch::new();
    let content = noise(200_000);
    let stand_in = StandIn::start(vec![limited(0.05), sent(17)]).await;
    let mut server = telegram(&stand_in).await;
    let file = json!({"chat_id": "42", "path": scratch.file("a.bin", &content)});
    server.call("telegram_send_file", file).await;
    let seen = stand_in.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.file().content == content));
}
