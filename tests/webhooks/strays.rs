use super::*;

use chrono::Utc;
use futures_util::future::join_all;
use openagent_messaging::call::language::Language;
use openagent_messaging::call::record::Brief;
use openagent_messaging::cost::Unpriced;
use openagent_messaging::phone::E164;
use openagent_messaging::safety::budget::Limits;
use openagent_messaging::store::limits::{NewCall, Reserved};
use openagent_messaging::store::{Place, Store};

/// Webhooks that are looked into at once (docs/architecture.md).
const STRAYS: usize = 32;

/// A signed status of a call.
async fn report(stage: &Stage, call: &str) -> u16 {
    let sid = "CA00000000000000000000000000000001";
    let path = format!("/status/{call}");
    stage.post(&path, &params(sid, "ringing")).await.0
}

#[tokio::test]
async fn about_calls_that_nobody_knows_are_told_so_however_many_they_are() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let ids: Vec<String> = (0..300).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    let flood = join_all(ids.iter().map(|id| report(&stage, id)));
    let (flood, ours) = tokio::join!(flood, stage.report(&call, "ringing", 1));
    assert_eq!(ours, 204);
    assert!(
        flood.iter().all(|status| [404, 503].contains(status)),
        "{flood:?}"
    );
    until(&call.session, "the ringing", |now| {
        now.status == Status::Ringing
    })
    .await;
    assert_eq!(report(&stage, &ids[0]).await, 404, "it is over");
}

/// A call that another process on the store has begun to place.
async fn call_of_another_process(file: &std::path::Path) -> String {
    let store = Store::new(Place::File(file.to_owned()));
    let brief = Brief {
        to: E164::parse(CALLEE).unwrap(),
        from: E164::parse(support::FROM).unwrap(),
        mission: "Ask for the opening hours.".into(),
        language: Language::default(),
        max_duration: Duration::from_secs(60),
    };
    let new = NewCall {
        brief: &brief,
        account: "AC00000000000000000000000000000000",
        key: None,
        overhead: Duration::from_secs(180),
        worst: Err(Unpriced::Model),
    };
    let limits = Limits {
        daily: Duration::from_secs(3_600),
        daily_calls_per_number: 10,
        daily_sms: 10,
        concurrent: 10,
        daily_cost: None,
    };
    match store.reserve_call(new, &limits, Utc::now()).await.unwrap() {
        Reserved::New(id, _) => id.to_string(),
        Reserved::Before(_) => unreachable!(),
    }
}

#[tokio::test]
async fn that_wait_for_another_process_are_bounded_and_keep_no_call_waiting() {
    let name = format!("openagent-messaging-strays-{}.db", uuid::Uuid::new_v4());
    let file = std::env::temp_dir().join(name);
    let theirs = call_of_another_process(&file).await;
    let path = file.to_str().unwrap();
    let mut stage = Stage::with(&[("OPENAGENT_PHONE_DB", path)]).await;
    let call = stage.place().await;
    // Whether that process lives comes out in some seconds; until then those who ask wait.
    let flood = join_all((0..STRAYS + 20).map(|_| report(&stage, &theirs)));
    let ours = async {
        for (sequence, status) in [(1, "ringing"), (2, "in-progress")] {
            assert_eq!(stage.report(&call, status, sequence).await, 204);
        }
        let mut carrier = stage.connect(&call).await;
        carrier.say(&[7; 160]);
        call.model.heard(160).await;
    };
    let (flood, ()) = tokio::join!(flood, ours);
    let turned_away = flood.iter().filter(|status| **status == 503).count();
    assert!((1..=20).contains(&turned_away), "{flood:?}");
    drop(stage);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{path}{ending}"));
    }
}
