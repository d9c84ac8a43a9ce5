//! Files of this machine: what is not sent, and why.

use super::*;

/// A tool, its arguments without the file, and its limit in bytes.
fn tools() -> [(&'static str, Value, u64); 4] {
    const MB: u64 = 1024 * 1024;
    [
        (
            "telegram_send_file",
            json!({"chat_id": "42", "type": "photo"}),
            10 * MB,
        ),
        (
            "telegram_send_file",
            json!({"chat_id": "42", "type": "document"}),
            50 * MB,
        ),
        ("discord_send_file", json!({"channel_id": "42"}), 10 * MB),
        (
            "whatsapp_send_file",
            json!({"phone": "393331234567"}),
            100 * MB,
        ),
    ]
}

async fn everything(stand_in: &StandIn) -> Server {
    let setup = telegram_setup(stand_in)
        .env("DISCORD_BOT_TOKEN", DISCORD_TOKEN)
        .env("DISCORD_API_BASE_URL", &stand_in.url())
        .env("GREEN_API_ID", GREEN_ID)
        .env("GREEN_API_TOKEN", GREEN_TOKEN)
        .env("GREEN_API_BASE_URL", &stand_in.url());
    Server::start(&setup).await
}

fn with_path(arguments: &Value, path: &str) -> Value {
    let mut arguments = arguments.clone();
    arguments["path"] = json!(path);
    arguments
}

#[tokio::test]
async fn a_file_beyond_the_limit_is_refused_before_anything_leaves() {
    let stand_in = StandIn::start(vec![Reply::Hangup]).await;
    let mut server = everything(&stand_in).await;
    let scratch = Scratch::new();
    for (tool, arguments, limit) in tools() {
        let path = scratch.sparse("large.bin", limit + 1);
        let (said, fields) = failure(&mut server, tool, with_path(&arguments, &path)).await;
        let most = format!("{} MB", limit / 1024 / 1024);
        assert_says(&said, &["large.bin", &most, &(limit + 1).to_string()]);
        assert_eq!(fields["may_have_been_delivered"], json!(false));
    }
    assert_eq!(stand_in.seen().len(), 0);
}

#[tokio::test]
async fn a_picture_too_large_for_a_photo_goes_as_a_document() {
    let answer = json!({"ok": true, "result": {"message_id": 1}});
    let stand_in = StandIn::start(vec![Reply::Json(200, answer)]).await;
    let mut server = telegram(&stand_in).await;
    let scratch = Scratch::new();
    let path = scratch.sparse("large.png", 10 * 1024 * 1024 + 1);
    let file = json!({"chat_id": "42", "path": path});
    server.call("telegram_send_file", file).await;
    assert!(stand_in.only().path.ends_with("/sendDocument"));
}

#[tokio::test]
async fn what_is_no_file_is_refused_by_name() {
    let stand_in = StandIn::start(vec![Reply::Hangup]).await;
    let mut server = everything(&stand_in).await;
    let scratch = Scratch::new();
    let missing = scratch.0.join("missing.txt");
    let directory = scratch.0.to_str().unwrap();
    let empty = scratch.file("empty.txt", b"");
    for (path, words) in [
        ("notes.txt", &["notes.txt", "absolute"][..]),
        ("./notes.txt", &["absolute"]),
        ("~/notes.txt", &["absolute"]),
        ("", &["Give the file", "url"]),
        (missing.to_str().unwrap(), &["missing.txt", "no file"]),
        (directory, &["a directory"]),
        (&empty, &["empty.txt", "empty"]),
    ] {
        for (tool, arguments, _) in tools() {
            let why = server.refused(tool, with_path(&arguments, path)).await;
            assert_says(&why, words);
        }
    }
    assert_eq!(stand_in.seen().len(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn pipes_devices_and_the_process_itself_are_no_files() {
    let stand_in = StandIn::start(vec![Reply::Hangup]).await;
    let mut server = everything(&stand_in).await;
    let scratch = Scratch::new();
    let pipe = scratch.0.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for path in [pipe.to_str().unwrap(), "/dev/zero", "/proc/self/environ"] {
        for (tool, arguments, _) in tools() {
            let why = server.refused(tool, with_path(&arguments, path)).await;
            assert_says(&why, &[path]);
        }
    }
    assert_eq!(stand_in.seen().len(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_may_not_be_read_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let stand_in = StandIn::start(vec![Reply::Hangup]).await;
    let mut server = everything(&stand_in).await;
    let scratch = Scratch::new();
    let path = scratch.file("private.txt", b"x");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
    if std::fs::read(&path).is_ok() {
        // Whoever runs this may read everything.
        return;
    }
    for (tool, arguments, _) in tools() {
        let why = server.refused(tool, with_path(&arguments, &path)).await;
        assert_says(&why, &["private.txt", "cannot be read", "permissions"]);
    }
    assert_eq!(stand_in.seen().len(), 0);
}

#[tokio::test]
async fn an_upload_that_breaks_off_was_not_delivered() {
    // Far more than fits into the buffers on the way.
    let scratch = Scratch::new();
    let path = scratch.sparse("large.mp4", 30 * 1024 * 1024);
    let stand_in = StandIn::start(vec![Reply::HangupAfter(1_000_000)]).await;
    let mut server = telegram(&stand_in).await;
    let file = json!({"chat_id": "42", "path": path});
    let (said, fields) = failure(&mut server, "telegram_send_file", file).await;
    assert_says(&said, &["broke off", "nothing was delivered"]);
    assert_eq!(fields["may_have_been_delivered"], json!(false));
    assert_eq!(stand_in.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_whole_file_is_told_as_unknown() {
    let scratch = Scratch::new();
    let path = scratch.file("a.bin", &noise(100_000));
    let stand_in = StandIn::start(vec![Reply::Hangup]).await;
    let mut server = telegram(&stand_in).await;
    let file = json!({"chat_id": "42", "path": path});
    let (said, fields) = failure(&mut server, "telegram_send_file", file).await;
    assert_says(&said, &["may have been delivered"]);
    assert_eq!(fields["may_have_been_delivered"], json!(true));
    let seen = stand_in.only();
    assert!(seen.complete);
}
