use super::*;

const CHANNEL: &str = "1234567890123456789";

fn message(id: &str) -> Value {
    json!({
        "id": id, "channel_id": CHANNEL, "content": "x", "type": 0,
        "timestamp": "2026-11-22T17:32:03.123000+00:00", "author": {"id": "1", "bot": true},
    })
}

fn sent(id: &str) -> Reply {
    Reply::Json(200, message(id))
}

fn limited(seconds: f64) -> Reply {
    let body =
        json!({"message": "You are being rate limited.", "retry_after": seconds, "global": false});
    Reply::Json(429, body)
}

fn hello() -> Value {
    json!({"channel_id": CHANNEL, "text": "Good morning @everyone"})
}

fn assert_is_a_bot(seen: &Seen) {
    assert_eq!(seen.method, "POST");
    assert_eq!(seen.path, format!("/api/v10/channels/{CHANNEL}/messages"));
    let authorization = format!("Bot {DISCORD_TOKEN}");
    assert_eq!(seen.header("authorization"), Some(&*authorization));
    // Discord turns away whoever does not say it in this form.
    let agent = seen.header("user-agent").unwrap();
    let form = agent.strip_prefix("DiscordBot (https://").unwrap();
    assert!(
        form.contains(&format!(", {})", env!("CARGO_PKG_VERSION"))),
        "{agent}"
    );
}

#[tokio::test]
async fn a_text_arrives_as_discord_wants_it_and_notifies_nobody() {
    let stand_in = StandIn::start(vec![sent("17")]).await;
    let mut server = discord(&stand_in).await;
    let result = server.call("discord_send_message", hello()).await;
    assert_eq!(result, message("17"));
    let seen = stand_in.only();
    assert_is_a_bot(&seen);
    let body = json!({"content": "Good morning @everyone", "allowed_mentions": {"parse": []}});
    assert_eq!(seen.json(), body);
}

#[tokio::test]
async fn a_long_text_becomes_several_messages_in_order() {
    // Characters count, not bytes and not units of UTF-16.
    let stand_in = StandIn::start(vec![sent("17")]).await;
    let mut server = discord(&stand_in).await;
    let text = json!({"channel_id": CHANNEL, "text": "👍".repeat(2_000)});
    server.call("discord_send_message", text).await;
    assert_eq!(stand_in.seen().len(), 1);

    let stand_in = StandIn::start(vec![sent("17"), sent("18")]).await;
    let mut server = discord(&stand_in).await;
    let text = format!("{}\n{}", "a".repeat(1_500), "b".repeat(1_500));
    let long = json!({"channel_id": CHANNEL, "text": text});
    let result = server.call("discord_send_message", long).await;
    assert_eq!(result["parts"], json!(2));
    assert_eq!(result["message_ids"], json!(["17", "18"]));
    assert_eq!(result["id"], json!("18"));
    let texts: Vec<Value> = stand_in
        .seen()
        .iter()
        .map(|s| s.json()["content"].clone())
        .collect();
    assert_eq!(texts, ["a".repeat(1_500), "b".repeat(1_500)]);

    let stand_in = StandIn::start(vec![sent("17"), limited(60.0)]).await;
    let mut server = discord(&stand_in).await;
    let long = json!({"channel_id": CHANNEL, "text": text});
    let (said, fields) = failure(&mut server, "discord_send_message", long).await;
    assert_says(&said, &["Part 1 was sent", "17", "Part 2", "60 s", "\"bbb"]);
    assert_eq!(fields["message_ids"], json!(["17"]));
}

#[tokio::test]
async fn discord_s_refusals_come_with_their_code_and_a_way_out() {
    for (status, body, words) in [
        (
            401,
            json!({"message": "401: Unauthorized", "code": 0}),
            &["401", "DISCORD_BOT_TOKEN"][..],
        ),
        (
            404,
            json!({"message": "Unknown Channel", "code": 10_003}),
            &["10003", "Unknown Channel", "channel_id"],
        ),
        (
            403,
            json!({"message": "Missing Access", "code": 50_001}),
            &["50001", "View Channel"],
        ),
        (
            403,
            json!({"message": "Missing Permissions", "code": 50_013}),
            &["50013", "Send Messages"],
        ),
        (
            413,
            json!({"message": "Request entity too large", "code": 40_005}),
            &["40005", "too large"],
        ),
        (
            400,
            json!({"message": "Invalid Form Body", "code": 50_035, "errors": {"content": {"_errors": [
                {"code": "BASE_TYPE_BAD_LENGTH", "message": "Must be between 1 and 2000 in length."}]}}}),
            &["50035", "content: Must be between 1 and 2000"],
        ),
    ] {
        let stand_in = StandIn::start(vec![Reply::Json(status, body)]).await;
        let mut server = discord(&stand_in).await;
        let (said, fields) = failure(&mut server, "discord_send_message", hello()).await;
        assert_says(&said, words);
        assert_eq!(fields["may_have_been_delivered"], json!(false));
        assert_eq!(stand_in.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_short_rate_limit_is_waited_out_and_a_long_one_reported() {
    let header = vec![("retry-after", "0".to_owned())];
    let by_header = Reply::Plain(429, header, b"<html>".to_vec());
    let stand_in = StandIn::start(vec![limited(0.05), by_header, sent("17")]).await;
    let mut server = discord(&stand_in).await;
    server.call("discord_send_message", hello()).await;
    assert_eq!(stand_in.seen().len(), 3);

    let stand_in = StandIn::start(vec![limited(10.5), sent("17")]).await;
    let mut server = discord(&stand_in).await;
    let (said, fields) = failure(&mut server, "discord_send_message", hello()).await;
    assert_says(&said, &["429", "wait 11 s"]);
    assert_eq!(fields["retry_after_seconds"], json!(10.5));
    assert_eq!(stand_in.seen().len(), 1);
}

#[tokio::test]
async fn what_may_have_been_delivered_is_not_sent_again() {
    for reply in [Reply::Hangup, Reply::Plain(502, vec![], Vec::new())] {
        let stand_in = StandIn::start(vec![reply, sent("17")]).await;
        let mut server = discord(&stand_in).await;
        let (said, fields) = failure(&mut server, "discord_send_message", hello()).await;
        assert_says(&said, &["may have been delivered"]);
        assert_eq!(fields["may_have_been_delivered"], json!(true));
        assert_eq!(stand_in.seen().len(), 1);
    }
}

#[tokio::test]
async fn arguments_that_cannot_be_meant_are_not_sent() {
    let stand_in = StandIn::start(vec![sent("17")]).await;
    let mut server = discord(&stand_in).await;
    let scratch = Scratch::new();
    let file = scratch.file("a.txt", b"x");
    for (tool, arguments, words) in [
        (
            "message",
            json!({"channel_id": CHANNEL, "text": " "}),
            &["text", "empty"][..],
        ),
        (
            "message",
            json!({"channel_id": "general", "text": "x"}),
            &["channel_id", "number"],
        ),
        (
            "message",
            json!({"channel_id": "1/../2", "text": "x"}),
            &["channel_id"],
        ),
        (
            "message",
            json!({"channel_id": 12, "text": "x"}),
            &["channel_id"],
        ),
        ("message", json!({"text": "x"}), &["channel_id"]),
        (
            "message",
            json!({"channel_id": CHANNEL, "text": "x", "tts": true}),
            &["tts"],
        ),
        (
            "file",
            json!({"channel_id": CHANNEL, "text": "x"}),
            &["path", "url"],
        ),
        (
            "file",
            json!({"channel_id": CHANNEL, "path": file, "url": "https://example.com"}),
            &["not both"],
        ),
        (
            "file",
            json!({"channel_id": CHANNEL, "path": file, "text": "x".repeat(2_001)}),
            &["text", "2000"],
        ),
    ] {
        let tool = format!("discord_send_{tool}");
        let why = server.refused(&tool, arguments).await;
        assert_says(&why, words);
    }
    assert_eq!(stand_in.seen().len(), 0);
}

fn assert_form(seen: &Seen, text: Option<&str>, name: &str, content: &[u8]) {
    assert_is_a_bot(seen);
    let mut payload = json!({
        "attachments": [{"id": 0, "filename": name}], "allowed_mentions": {"parse": []},
    });
    if let Some(text) = text {
        payload["content"] = json!(text);
    }
    let fields = seen.fields();
    assert_eq!(fields.len(), 1);
    assert_eq!(fields[0].0, "payload_json");
    assert_eq!(
        serde_json::from_str::<Value>(&fields[0].1).unwrap(),
        payload
    );
    let file = seen.file();
    assert_eq!(file.parameter("name").as_deref(), Some("files[0]"));
    assert_eq!(file.parameter("filename").as_deref(), Some(name));
    assert!(file.content == content, "other bytes");
}

#[tokio::test]
async fn a_file_of_this_machine_is_uploaded_to_the_byte() {
    let scratch = Scratch::new();
    let content = noise(300_000);
    for text in [None, Some("The map, è")] {
        let stand_in = StandIn::start(vec![sent("17")]).await;
        let mut server = discord(&stand_in).await;
        let mut arguments =
            json!({"channel_id": CHANNEL, "path": scratch.file("map.png", &content)});
        if let Some(text) = text {
            arguments["text"] = json!(text);
        }
        let result = server.call("discord_send_file", arguments).await;
        assert_eq!(result, message("17"));
        let seen = stand_in.only();
        assert_form(&seen, text, "map.png", &content);
        assert_eq!(seen.file().mime(), Some("image/png"));
    }
}

#[tokio::test]
async fn a_file_of_the_web_is_fetched_and_passed_on_to_the_byte() {
    let content = noise(300_000);
    let mime = vec![("content-type", "image/webp".to_owned())];
    for (reply, mime) in [
        (Reply::Plain(200, mime, content.clone()), Some("image/webp")),
        (
            Reply::Pieces(content.chunks(70_000).map(<[u8]>::to_vec).collect()),
            None,
        ),
    ] {
        let web = StandIn::start(vec![reply]).await;
        let stand_in = StandIn::start(vec![sent("17")]).await;
        let mut server = discord(&stand_in).await;
        let url = format!("{}/some/m%20ap.webp?size=2", web.url());
        let file = json!({"channel_id": CHANNEL, "url": url, "text": "The map"});
        server.call("discord_send_file", file).await;
        let asked = web.only();
        assert_eq!(
            (&*asked.method, &*asked.path),
            ("GET", "/some/m%20ap.webp?size=2")
        );
        // The token is for Discord alone.
        assert_eq!(asked.header("authorization"), None);
        let seen = stand_in.only();
        assert_form(&seen, Some("The map"), "m ap.webp", &content);
        assert_eq!(seen.file().mime(), mime);
    }
}

#[tokio::test]
async fn redirects_are_followed_to_where_one_may_fetch() {
    let content = noise(1_000);
    let target = StandIn::start(vec![Reply::Plain(200, vec![], content.clone())]).await;
    for location in [
        format!("{}/b", target.url()),
        format!("//127.0.0.1:{}/b", target.port()),
    ] {
        let web = StandIn::start(vec![Reply::Plain(
            302,
            vec![("location", location)],
            vec![],
        )])
        .await;
        let stand_in = StandIn::start(vec![sent("17")]).await;
        let mut server = discord(&stand_in).await;
        let file = json!({"channel_id": CHANNEL, "url": format!("{}/a.bin", web.url())});
        server.call("discord_send_file", file).await;
        assert_form(&stand_in.only(), None, "a.bin", &content);
    }
    for location in [
        "http://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/a",
        "https://[fd00::1]/a",
        "http://example.com/a",
        "file:///etc/hostname",
    ] {
        let redirect = Reply::Plain(302, vec![("location", location.to_owned())], vec![]);
        let web = StandIn::start(vec![redirect]).await;
        let stand_in = StandIn::start(vec![sent("17")]).await;
        let mut server = discord(&stand_in).await;
        let file = json!({"channel_id": CHANNEL, "url": format!("{}/a.bin", web.url())});
        let why = server.refused("discord_send_file", file).await;
        assert_says(&why, &["not fetched", "Nothing was sent"]);
        assert_eq!(stand_in.seen().len(), 0);
    }
    // Around in circles.
    let web = StandIn::start(vec![Reply::Plain(
        302,
        vec![("location", "/a".into())],
        vec![],
    )])
    .await;
    let stand_in = StandIn::start(vec![sent("17")]).await;
    let mut server = discord(&stand_in).await;
    let file = json!({"channel_id": CHANNEL, "url": format!("{}/a", web.url())});
    let why = server.refused("discord_send_file", file).await;
    assert_says(&why, &["redirects"]);
    assert_eq!(stand_in.seen().len(), 0);
}

#[tokio::test]
async fn this_machine_is_not_fetched_from_unless_the_provider_is_here_too() {
    let web = StandIn::start(vec![Reply::Plain(200, vec![], vec![1])]).await;
    // Nothing is sent there: the file comes first.
    let setup = Setup::bare()
        .env("DISCORD_BOT_TOKEN", DISCORD_TOKEN)
        .env("DISCORD_API_BASE_URL", "https://discord.invalid/api/v10");
    let mut server = Server::start(&setup).await;
    for url in [
        format!("{}/a", web.url()),
        format!("https://127.0.0.1:{}/a", web.port()),
        format!("https://localhost:{}/a", web.port()),
        format!("https://[::ffff:127.0.0.1]:{}/a", web.port()),
        "http://169.254.169.254/latest/meta-data".to_owned(),
    ] {
        let file = json!({"channel_id": CHANNEL, "url": url});
        let why = server.refused("discord_send_file", file).await;
        assert_says(&why, &["not fetched", "Nothing was sent"]);
    }
    assert_eq!(web.seen().len(), 0);
}

#[tokio::test]
async fn a_file_of_the_web_that_is_not_there_or_too_large_is_not_sent() {
    let large = 10 * 1024 * 1024 + 1;
    let pieces: Vec<Vec<u8>> = vec![vec![0; 1_000_000]; 11];
    for (reply, words, requests) in [
        (
            Reply::Plain(404, vec![], vec![]),
            &["HTTP 404", "url"][..],
            0,
        ),
        (Reply::Hangup, &["could not be fetched"], 0),
        // The size is announced.
        (
            Reply::Plain(200, vec![], vec![0; large]),
            &["10 MB", "10485761"],
            0,
        ),
        // It is not, so the upload has begun; it is never completed.
        (Reply::Pieces(pieces), &["10 MB"], 1),
    ] {
        let web = StandIn::start(vec![reply]).await;
        let stand_in = StandIn::start(vec![sent("17")]).await;
        let mut server = discord(&stand_in).await;
        let file = json!({"channel_id": CHANNEL, "url": format!("{}/a.bin", web.url())});
        let (said, fields) = failure(&mut server, "discord_send_file", file).await;
        assert_says(&said, words);
        assert_eq!(fields["may_have_been_delivered"], json!(false));
        if requests > 0 {
            stand_in.wait(requests).await;
        }
        let seen = stand_in.seen();
        assert_eq!(seen.len(), requests);
        assert!(seen.iter().all(|seen| !seen.complete));
    }
}
