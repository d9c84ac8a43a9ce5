use super::*;

/// A folder of its own for the history, and a server that keeps it there.
fn keeping(folder: &std::path::Path) -> Setup {
    let file = folder.join("phone.db");
    Setup::sandboxed().env("OPENAGENT_PHONE_DB", file.to_str().unwrap())
}

fn folder() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("openagent-history-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    folder
}

#[tokio::test]
async fn a_later_run_knows_the_calls_of_an_earlier_one() {
    let folder = folder();
    let mut server = Server::start(&keeping(&folder)).await;
    let id = server.place(BRIEF).await;
    let over = server.reach(&id, "completed").await;
    server.end().await;

    let mut server = Server::start(&keeping(&folder)).await;
    let again = server
        .call("phone_call_status", json!({"call_id": id, "wait": true}))
        .await;
    assert_eq!(again, over);
    let hung_up = server
        .call("phone_call_hangup", json!({"call_id": id}))
        .await;
    assert_eq!(hung_up, over);
    let listed = server.call("phone_call_list", json!({})).await;
    let [call] = listed["calls"].as_array().unwrap().as_slice() else {
        panic!("{listed}")
    };
    assert_eq!(call["call_id"], json!(id));
    for same in [
        "to",
        "status",
        "outcome",
        "summary",
        "started_at",
        "ended_at",
        "duration_s",
    ] {
        assert_eq!(call[same], over[same], "{same}");
    }
    let status = server.phone().await;
    assert_eq!(status["active_calls"], json!(0));
    assert_eq!(status["warnings"], json!([]));

    assert_eq!(
        server
            .call("phone_call_delete", json!({"call_id": id}))
            .await,
        json!({"deleted": true})
    );
    let gone = server
        .refused("phone_call_status", json!({"call_id": id}))
        .await;
    assert!(gone.contains("There is no call"), "{gone}");
    let gone = server
        .refused("phone_call_delete", json!({"call_id": id}))
        .await;
    assert!(gone.contains("There is no call"), "{gone}");
    assert_eq!(
        server.call("phone_call_list", json!({})).await,
        json!({"calls": []})
    );
    server.end().await;
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test]
async fn without_a_file_the_calls_of_this_run_are_listed() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let brief = server.place(BRIEF).await;
    server.reach(&brief, "completed").await;
    let live = server.place(NOBODY).await;
    let ids = |listed: Value| -> Vec<String> {
        let calls = listed["calls"].as_array().unwrap();
        let id = |call: &Value| call["call_id"].as_str().unwrap().to_owned();
        calls.iter().map(id).collect()
    };
    let all = ids(server.call("phone_call_list", json!({})).await);
    assert_eq!(all, [live.clone(), brief.clone()]);
    for (filter, expected) in [
        (json!({"limit": 1}), vec![live.clone()]),
        (json!({"status": "completed"}), vec![brief.clone()]),
        (json!({"to": NOBODY}), vec![live.clone()]),
        (json!({"after": "2099-01-01T00:00:00Z"}), vec![]),
        (
            json!({"after": "2000-01-01T01:00:00+01:00", "to": BRIEF}),
            vec![brief.clone()],
        ),
    ] {
        let listed = ids(server.call("phone_call_list", filter.clone()).await);
        assert_eq!(listed, expected, "{filter}");
    }
    for (wrong, why) in [
        (json!({"limit": 0}), "between 1 and 100"),
        (json!({"limit": 101}), "between 1 and 100"),
        (json!({"after": "yesterday"}), "RFC 3339"),
        (json!({"status": "over"}), "status"),
        (json!({"to": "0612345"}), "phone number"),
    ] {
        let refused = server.refused("phone_call_list", wrong.clone()).await;
        assert!(refused.contains(why), "{wrong}: {refused}");
    }
    let refused = server
        .refused("phone_call_delete", json!({"call_id": live}))
        .await;
    assert!(refused.contains("phone_call_hangup"), "{refused}");
    server
        .call("phone_call_hangup", json!({"call_id": live}))
        .await;
    server
        .call("phone_call_delete", json!({"call_id": live}))
        .await;
    let left = ids(server.call("phone_call_list", json!({})).await);
    assert_eq!(left, [brief]);
}

#[tokio::test]
async fn a_call_is_a_resource_and_whoever_subscribes_hears_of_its_changes() {
    let sandbox = sandbox(hurried()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    let templates = server.ask("resources/templates/list", json!({})).await;
    assert_eq!(
        templates["resourceTemplates"][1]["uriTemplate"],
        "call://{call_id}/transcript"
    );
    let id = server.place("+390612345678").await;
    let (call, transcript) = (format!("call://{id}"), format!("call://{id}/transcript"));
    server
        .ask("resources/subscribe", json!({"uri": call}))
        .await;
    server.reach(&id, "in_progress").await;
    let told = server.wait("a notification", |seen| {
        seen.notifications("notifications/resources/updated")
            .first()
            .cloned()
    });
    assert_eq!(told.await["uri"], json!(call));

    let over = server.reach(&id, "completed").await;
    let listed = server.ask("resources/list", json!({})).await;
    let uris: Vec<&Value> = listed["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["uri"])
        .collect();
    assert_eq!(uris, [&json!(call), &json!(transcript)]);
    let read = server.ask("resources/read", json!({"uri": call})).await;
    let content = &read["contents"][0];
    assert_eq!(content["mimeType"], "application/json");
    let snapshot: Value = serde_json::from_str(content["text"].as_str().unwrap()).unwrap();
    assert_eq!(snapshot["call_id"], over["call_id"]);
    assert_eq!(snapshot["transcript"], over["transcript"]);
    let read = server
        .ask("resources/read", json!({"uri": transcript}))
        .await;
    let text = read["contents"][0]["text"].as_str().unwrap();
    assert_eq!(
        text.lines().count(),
        over["transcript"].as_array().unwrap().len()
    );
    assert!(
        text.contains("] Agent: ") && text.contains("] Callee: "),
        "{text}"
    );
    server
        .ask("resources/unsubscribe", json!({"uri": call}))
        .await;

    for uri in [
        "call://",
        "call://nonsense",
        "file:///etc/passwd",
        &format!("{call}/notes"),
    ] {
        for method in ["resources/read", "resources/subscribe"] {
            let id = server.send(method, json!({"uri": uri})).await;
            let answer = server.answer(id).await;
            assert!(
                answer["error"]["message"]
                    .as_str()
                    .unwrap()
                    .contains("no such resource"),
                "{answer}"
            );
        }
    }
}

#[tokio::test]
async fn the_newest_revision_listens_to_resources() {
    let sandbox = sandbox(hurried()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    let id = server.place("+390612345678").await;
    let uri = format!("call://{id}/transcript");
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test host", "version": "1"},
    });
    let filter = json!({"resourceSubscriptions": [uri]});
    let listening = server
        .send(
            "subscriptions/listen",
            json!({"notifications": filter, "_meta": meta}),
        )
        .await;
    let told = server.wait("a notification", |seen| {
        seen.notifications("notifications/resources/updated")
            .first()
            .cloned()
    });
    assert_eq!(told.await["uri"], json!(uri));
    server
        .notify("notifications/cancelled", json!({"requestId": listening}))
        .await;
    server.reach(&id, "completed").await;
}
