use super::*;

#[tokio::test]
async fn lines_that_make_no_sense_do_not_end_the_server() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let long = format!(
        "{{\"jsonrpc\": \"2.0\", \"id\": 9, \"x\": \"{}\"}}",
        "a".repeat(200_000)
    );
    for line in [
        "",
        "this is not JSON",
        "{",
        "{}",
        "[]",
        "null",
        "\"initialize\"",
        r#"{"jsonrpc": "1.0", "id": 1, "method": "ping"}"#,
        r#"{"jsonrpc": "2.0", "id": 7000}"#,
        r#"{"jsonrpc": "2.0", "id": 7001, "method": 5}"#,
        r#"{"jsonrpc": "2.0", "id": 7002, "method": "tools/call"}"#,
        r#"{"jsonrpc": "2.0", "id": 7003, "method": "tools/call", "params": []}"#,
        r#"{"jsonrpc": "2.0", "id": 7004, "method": "no/such/method", "params": {}}"#,
        r#"{"jsonrpc": "2.0", "method": "notifications/no_such_thing"}"#,
        r#"{"jsonrpc": "2.0", "id": 7005, "result": {}}"#,
        "\u{feff}{}",
        "\\u0000\u{0}",
        &long,
    ] {
        server.write(line).await;
        server.phone().await;
    }
}

#[tokio::test]
async fn nonsense_before_the_handshake_does_not_end_the_server() {
    let mut server = Server::spawn(&Setup::bare());
    for line in ["", "GET / HTTP/1.1", "{\"a\": 1}"] {
        server.write(line).await;
    }
    server.initialize("2025-06-18").await;
    server.phone().await;
}

#[tokio::test]
async fn bytes_that_are_no_text_do_not_end_the_server() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    server.write_bytes(b"\xff\xfe{\"jsonrpc\"\x80\n").await;
    server.phone().await;
}

#[tokio::test]
async fn a_message_may_come_in_pieces() {
    let mut server = Server::start(&Setup::bare()).await;
    let message = json!({"jsonrpc": "2.0", "id": 500, "method": "ping"}).to_string();
    for byte in message.bytes() {
        server.write_bytes(&[byte]).await;
    }
    server.write_bytes(b"\r\n").await;
    let answer = server.answer(500).await;
    assert_eq!(answer["result"], json!({}));
}
