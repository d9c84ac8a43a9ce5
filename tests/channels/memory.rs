//! A file is passed on in pieces: the program's memory does not grow with it.
#![cfg(target_os = "linux")]

use super::*;

/// A line of `/proc/<pid>/status`, in bytes.
fn memory(server: &Server, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

#[tokio::test]
async fn a_file_of_45_mb_takes_less_than_8_mb_of_memory() {
    const LENGTH: usize = 45 * 1024 * 1024;
    let content = noise(LENGTH);
    let scratch = Scratch::new();
    let path = scratch.file("film.mp4", &content);
    let answer = json!({"ok": true, "result": {"message_id": 1}, "idMessage": "A"});
    let stand_in = StandIn::start(vec![Reply::Json(200, answer)]).await;
    let setup = telegram_setup(&stand_in)
        .env("GREEN_API_ID", GREEN_ID)
        .env("GREEN_API_TOKEN", GREEN_TOKEN)
        .env("GREEN_API_BASE_URL", &stand_in.url());
    for (tool, arguments) in [
        ("telegram_send_file", json!({"chat_id": "42", "path": path})),
        (
            "whatsapp_send_file",
            json!({"phone": "393331234567", "path": path}),
        ),
    ] {
        let mut server = Server::start(&setup).await;
        let before = memory(&server, "VmRSS:");
        server.call(tool, arguments).await;
        let grown = memory(&server, "VmHWM:").saturating_sub(before);
        println!("{tool}: grown by {} KiB at most", grown / 1024);
        assert!(grown < 8_000_000, "{tool}: grown by {grown} bytes");
    }
    let seen = stand_in.seen();
    assert_eq!(seen.len(), 2);
    for seen in seen {
        assert!(seen.complete && seen.body.len() > LENGTH);
        // The form ends with the file.
        let tail = &seen.body[seen.body.len() - 1_000_000..];
        let end = &content[LENGTH - 500_000..LENGTH - 499_000];
        assert!(tail.windows(1_000).any(|window| window == end));
    }
}
