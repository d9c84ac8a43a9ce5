use super::*;

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_anything_is_checked() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let before = standing(&call.session);
    let filler = "x".repeat(80 * 1024);
    let path = format!("/status/{}", call.id);
    let mut sent = params(&call.sid, "busy").to_vec();
    sent.push(("Filler", &filler));
    let (status, _) = stage.post(&path, &sent).await;
    assert_eq!(status, 413, "although its signature is valid");
    let (status, _) = post_form(stage.port, &path, &sent, None).await;
    assert_eq!(status, 413);
    assert_eq!(standing(&call.session), before);
    // Most of the limit is allowed.
    let filler = "x".repeat(60 * 1024);
    let mut sent = params(&call.sid, "ringing").to_vec();
    sent.push(("Filler", &filler));
    let (status, _) = stage.post(&path, &sent).await;
    assert_eq!(status, 204);
}

/// Sends `head`, and then nothing; returns all that comes until the connection is closed.
async fn wait_for_the_end(port: u16, head: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = soon("the end of the connection", socket.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn who_sends_slowly_is_cut_off_and_keeps_nobody_else_waiting() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let port = stage.port;
    let slow_body = format!(
        "POST /status/{} HTTP/1.1\r\nHost: x\r\nX-Twilio-Signature: x\r\nContent-Length: 50\r\n\
         Connection: close\r\n\r\nCallSid=",
        call.id
    );
    let slow = tokio::spawn(async move {
        tokio::join!(
            wait_for_the_end(port, ""),
            wait_for_the_end(port, "POST /status/x HTTP/1.1\r\nHost: x\r\nX-Slow: "),
            wait_for_the_end(port, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
            wait_for_the_end(port, &slow_body),
        )
    });
    assert_eq!(stage.report(&call, "ringing", 1).await, 204);
    let (silent, head, idle, body) = slow.await.unwrap();
    assert!(!silent.contains("200") && !head.contains("200"));
    assert!(idle.contains("200 OK"), "{idle}");
    assert!(body.starts_with("HTTP/1.1 408"), "{body}");
}

#[tokio::test]
async fn an_endless_head_is_cut_off() {
    let stage = Stage::start().await;
    let head = format!(
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: {}",
        "x".repeat(40 * 1024)
    );
    let answer = wait_for_the_end(stage.port, &head).await;
    assert!(!answer.contains("200"), "{answer}");
}
