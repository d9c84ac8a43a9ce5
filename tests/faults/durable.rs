use super::*;

/// The contract says 250 ms. A machine that does other things as well is given more.
const DURABLE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_is_in_the_file_as_soon_as_it_is_told() {
    let callee = talking(&[
        "Yes, speaking. What is it about?",
        "Tuesday at ten works for us.",
    ]);
    let stage = Stage::new(Options {
        default_callee: callee,
        ..hurried()
    })
    .await;
    let mut server = stage.server().await;
    let id = server.place("+390612345678").await;
    let mut file = stage.file.open().await;
    let (mut took, mut since) = (Vec::new(), 0);
    while took.len() < 6 {
        let asked = json!({"call_id": id, "wait": true, "since": since, "timeout_seconds": 15});
        let snapshot = server.call("phone_call_status", asked).await;
        let told = Instant::now();
        since = snapshot["revision"].as_u64().unwrap();
        let lines = snapshot["transcript"].as_array().unwrap();
        let Some(line) = lines.get(took.len()) else {
            assert_eq!(snapshot["ended_at"], Value::Null, "{snapshot:#}");
            continue;
        };
        let words = line["text"].as_str().unwrap();
        let written = async {
            // It may have grown meanwhile.
            let kept = "SELECT count(*) FROM line WHERE substr(text, 1, length(?1)) = ?1";
            while sqlx::query_scalar::<_, i64>(kept)
                .bind(words)
                .fetch_one(&mut file)
                .await
                .unwrap()
                == 0
            {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        soon("a line in the file", written).await;
        took.push(told.elapsed());
    }
    assert!(took.iter().all(|took| *took < DURABLE), "{took:?}");
}
