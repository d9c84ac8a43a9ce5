use super::*;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Connections that are served at once (docs/architecture.md).
const CONNECTIONS: usize = 512;

/// What a new connection that says nothing is told, until it is closed.
async fn told(port: u16) -> String {
    let mut told = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
        let reading = stream.read_to_end(&mut told);
        let _ = tokio::time::timeout(support_mcp::PATIENCE, reading).await;
    }
    String::from_utf8_lossy(&told).into_owned()
}

#[tokio::test]
async fn a_crowd_at_the_webhook_port_is_told_to_come_back_and_harms_no_call() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    let id = server.place("+390612345678").await;
    server.reach(&id, "in_progress").await;
    let port = server.phone().await["local_port"].as_u64().unwrap();
    let port = u16::try_from(port).unwrap();
    let mut crowd = Vec::new();
    for _ in 0..CONNECTIONS {
        crowd.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    let late: Vec<_> = (0..20).map(|_| tokio::spawn(told(port))).collect();
    let mut turned_away = 0;
    for one in late {
        turned_away += usize::from(one.await.unwrap().starts_with("HTTP/1.1 503 "));
    }
    assert!(turned_away > 0, "all of them were let in");
    // The conversation goes on meanwhile, to its end.
    let ended = server.reach(&id, "completed").await;
    assert_eq!(ended["outcome"], json!("success"), "{ended}");
    // Those who say nothing are cut off, and there is room again.
    drop(crowd);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let ask = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_log_that_nobody_reads_brings_nothing_to_a_halt() {
    let setup = Setup::sandboxed().env("RUST_LOG", "trace,rmcp=trace");
    let mut server = Server::spawn_with_unread_log(&setup);
    server.initialize(support_mcp::REVISION).await;
    // Far more than fits into a pipe.
    for _ in 0..500 {
        server.phone().await;
    }
    server.close_stdin();
    let (status, took) = server.exit().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < END, "{took:?}");
}
