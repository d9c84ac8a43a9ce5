use super::*;

#[tokio::test]
async fn what_a_host_says_beside_its_requests_is_not_in_the_usual_log() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let private = "the zebra of +390612345678";
    let cancel = json!({"requestId": 77, "reason": private});
    server.notify("notifications/cancelled", cancel).await;
    let custom = json!({"note": private});
    server.notify("notifications/custom", custom.clone()).await;
    for (method, params) in [
        ("custom/request", custom),
        ("tools/call", json!({"name": private})),
        (
            "tools/call",
            json!({"name": "sms_send", "arguments": private}),
        ),
        ("prompts/get", json!({"name": private})),
        ("resources/read", json!({"uri": private})),
    ] {
        let id = server.send(method, params).await;
        server.answer(id).await;
    }
    let log = server.end().await.stderr;
    assert!(
        !log.contains("zebra") && !log.contains("0612345678"),
        "{log}"
    );
}
