//! Two processes that share a file.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_keep_to_the_limits_of_one() {
    side_by_side([
        ("calls at once", Box::pin(calls_at_once())),
        ("seconds of the day", Box::pin(seconds_of_the_day())),
        ("calls to a number", Box::pin(calls_to_a_number())),
        ("messages", Box::pin(messages())),
        ("one key", Box::pin(one_key())),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_lives_keeps_its_calls() {
    side_by_side([
        ("a conversation", Box::pin(a_conversation())),
        ("a lost answer", Box::pin(a_lost_answer())),
    ])
    .await;
}

/// Two processes that are started at the same moment on a file that is not there yet.
async fn pair(stage: &Stage, settings: &[(&str, &str)]) -> [Server; 2] {
    let with = |mut setup: Setup| {
        for (name, value) in settings {
            setup = setup.env(name, value);
        }
        setup
    };
    let (one, other) = tokio::join!(stage.another(with), stage.another(with));
    [one, other]
}

/// Has both processes do all of this at once; what came of it.
async fn at_once(
    servers: &mut [Server; 2],
    tool: &str,
    requests: &[Value],
) -> Vec<(usize, Result<Value, String>)> {
    let mut asked = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        let which = index % 2;
        asked.push((which, servers[which].begin(tool, request.clone()).await));
    }
    let mut came = Vec::new();
    for (which, id) in asked {
        came.push((which, attempt(&mut servers[which], id).await));
    }
    came
}

fn number(n: usize) -> String {
    format!("+14155{}0002", 20 + n)
}

/// Asserts that so many were admitted and the rest refused for `why`; hangs the calls up.
async fn admitted(
    servers: &mut [Server; 2],
    came: &[(usize, Result<Value, String>)],
    count: usize,
    why: &str,
) -> Vec<Value> {
    let placed: Vec<_> = came
        .iter()
        .filter_map(|(which, came)| Some((*which, came.as_ref().ok()?.clone())))
        .collect();
    assert_eq!(placed.len(), count, "{came:?}");
    for refusal in came.iter().filter_map(|(_, came)| came.as_ref().err()) {
        assert!(refusal.contains(why), "{refusal}");
    }
    for (which, call) in &placed {
        let id = json!({"call_id": call["call_id"]});
        servers[*which].call("phone_call_hangup", id).await;
    }
    placed.into_iter().map(|(_, call)| call).collect()
}

async fn calls_at_once() {
    let stage = Stage::new(hurried()).await;
    let mut both = pair(&stage, &[("OPENAGENT_PHONE_MAX_CONCURRENT_CALLS", "3")]).await;
    for round in 0..4 {
        let orders: Vec<_> = (0..6).map(|n| order(&number(10 * round + n))).collect();
        let came = at_once(&mut both, "phone_call_place", &orders).await;
        let phone = both[round % 2].phone().await;
        assert_eq!(phone["active_calls"], json!(3), "{phone}");
        admitted(&mut both, &came, 3, "already in flight").await;
        assert_eq!(dials(&stage), 3 * (round + 1));
    }
}

async fn seconds_of_the_day() {
    let stage = Stage::new(hurried()).await;
    let limits = [
        ("OPENAGENT_PHONE_MAX_DURATION_SECONDS", "60"),
        ("OPENAGENT_PHONE_MAX_DAILY_SECONDS", "150"),
    ];
    let mut both = pair(&stage, &limits).await;
    for round in 0..4 {
        let orders: Vec<_> = (0..6).map(|n| order(&number(10 * round + n))).collect();
        let came = at_once(&mut both, "phone_call_place", &orders).await;
        let placed = admitted(&mut both, &came, 3, "s are left of today's").await;
        let granted = placed
            .iter()
            .map(|call| call["max_duration_seconds"].as_u64());
        assert_eq!(granted.sum::<Option<u64>>(), Some(150));
        // Nobody answered, so nothing was used.
        assert_eq!(
            both[round % 2].phone().await["daily_seconds_used"],
            json!(0)
        );
    }
}

async fn calls_to_a_number() {
    let stage = Stage::new(hurried()).await;
    let limit = [("OPENAGENT_PHONE_MAX_DAILY_CALLS_PER_NUMBER", "2")];
    let mut both = pair(&stage, &limit).await;
    for round in 0..4 {
        let orders = vec![order(&number(round)); 5];
        let came = at_once(&mut both, "phone_call_place", &orders).await;
        admitted(&mut both, &came, 2, "already called 2 times").await;
    }
}

async fn messages() {
    let stage = Stage::new(hurried()).await;
    let mut both = pair(&stage, &[("OPENAGENT_PHONE_MAX_DAILY_SMS", "11")]).await;
    let mut sent = 0;
    for round in 0..4 {
        let text = |n| json!({"to": "+14155550123", "text": format!("{round} {n}")});
        let texts: Vec<_> = (0..6).map(text).collect();
        let came = at_once(&mut both, "sms_send", &texts).await;
        sent += came.iter().filter(|(_, came)| came.is_ok()).count();
        for why in came.iter().filter_map(|(_, came)| came.as_ref().err()) {
            assert!(why.contains("11 messages were already sent"), "{why}");
        }
        assert_eq!(sent, (6 * (round + 1)).min(11));
    }
    assert_eq!(stage.sandbox.messages().len(), 11);
}

async fn one_key() {
    let stage = Stage::new(hurried()).await;
    let mut both = pair(&stage, &[]).await;
    for round in 0..5 {
        let key = format!("key {round}");
        let orders = vec![order_with_key(&number(round), &key); 4];
        let came = at_once(&mut both, "phone_call_place", &orders).await;
        let first = came[0].1.as_ref().unwrap();
        for (_, same) in &came {
            let same = same.as_ref().unwrap();
            assert_eq!(same["call_id"], first["call_id"]);
            assert_eq!(same["twilio_sid"], first["twilio_sid"]);
            assert_ne!(same["twilio_sid"], Value::Null);
        }
        assert_eq!(dials(&stage), round + 1);
        both[0]
            .call("phone_call_hangup", json!({"call_id": first["call_id"]}))
            .await;

        let text = json!({"to": "+14155550123", "text": "Hello", "idempotency_key": key});
        let came = at_once(&mut both, "sms_send", &vec![text; 4]).await;
        let first = came[0].1.as_ref().unwrap();
        assert!(
            came.iter()
                .all(|(_, same)| same.as_ref().unwrap()["sid"] == first["sid"])
        );
        assert_eq!(stage.sandbox.messages().len(), round + 1);
    }
}

/// Longer than a dead process is given, for a second process that looks every second.
const LONG_ENOUGH: Duration = Duration::from_secs(8);

async fn a_conversation() {
    let callee = talking(&["Yes, speaking. What is it about?"]);
    let stage = Stage::new(Options {
        default_callee: callee,
        ..hurried()
    })
    .await;
    let mut one = stage.server().await;
    let id = one.place("+390612345678").await;
    let seen = said(&mut one, &id, 2).await;
    let sid = seen["twilio_sid"].as_str().unwrap();
    let mut other = stage.another(|setup| setup).await;
    tokio::time::sleep(LONG_ENOUGH).await;
    assert!(
        !other.seen().stderr.contains("has died"),
        "{}",
        other.seen().stderr
    );
    assert!(!stage.sandbox.call(sid).unwrap().status.is_final());
    // It shows there as it stands, and what changes.
    let there = said(&mut other, &id, 4).await;
    assert_eq!(there["status"], json!("in_progress"));
    assert_eq!(there["twilio_sid"], json!(sid));
    assert_eq!(other.phone().await["active_calls"], json!(1));
    let ended = other
        .call("phone_call_hangup", json!({"call_id": id}))
        .await;
    assert_ne!(ended["ended_at"], Value::Null, "{ended:#}");
    assert_eq!(ended["error"], Value::Null, "{ended:#}");
    assert!(stage.sandbox.call(sid).unwrap().status.is_final());
    let here = final_of(&mut one, &id).await;
    assert_eq!(here["status"], ended["status"]);
    assert_eq!(other.phone().await["active_calls"], json!(0));
    assert_eq!(dials(&stage), 1);
}

/// Nobody knows whether the phone was called, and the process that tried waits for an answer.
async fn a_lost_answer() {
    let stage = Stage::new(hurried()).await;
    let mut one = stage.server().await;
    stage.tunnel.set(Mode::Refused);
    stage.carrier.set(Mode::AnswersLost);
    one.refused("phone_call_place", order(NOBODY)).await;
    stage.carrier.set(Mode::Through);
    let mut other = stage.another(|setup| setup).await;
    tokio::time::sleep(LONG_ENOUGH).await;
    assert!(
        !other.seen().stderr.contains("has died"),
        "{}",
        other.seen().stderr
    );
    let phone = other.phone().await;
    assert_eq!(phone["active_calls"], json!(1), "{phone}");
    let id = stage.file.text("SELECT id FROM call").await.unwrap();
    let sid = stage.sandbox.calls()[0].sid.clone();
    let port = stage::port(&one.phone().await);
    stage
        .post(port, &format!("/status/{id}"), &sid, "ringing")
        .await;
    soon("the end of the line", stage.sandbox.wait_call_over(&sid))
        .await
        .unwrap();
    let settled = "SELECT count(*) FROM reservation";
    stage
        .file
        .until("its share to be given back", settled, 0)
        .await;
    let phone = other.phone().await;
    assert_eq!(phone["active_calls"], json!(0), "{phone}");
    assert_eq!(phone["daily_seconds_used"], json!(0), "{phone}");
}
