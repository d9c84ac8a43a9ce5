use super::*;

fn order(to: &str) -> Value {
    json!({"to": to, "mission": "Ask when they open on Sunday."})
}

fn revision(snapshot: &Value) -> u64 {
    snapshot["revision"].as_u64().unwrap()
}

#[tokio::test]
async fn a_call_is_followed_line_by_line_to_its_outcome() {
    let sandbox = sandbox(hurried()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    let order = json!({
        "to": "+390612345678",
        "mission": "Move the appointment of Maria Rossi to the week after.",
        "caller_identity": "Maria Rossi",
        "language": "en-GB",
        "success_criteria": "A new day is confirmed.",
        "max_duration_seconds": 300,
    });
    let placed = server.call("phone_call_place", order.clone()).await;
    assert_eq!(placed["max_duration_seconds"], json!(300));
    let mut since = revision(&placed);
    let mut lines: Vec<Value> = Vec::new();
    let mut statuses = vec![placed["status"].clone()];
    let last = loop {
        let asked = json!({
            "call_id": placed["call_id"], "wait": true, "since": since, "transcript": "new",
        });
        let snapshot = server.call("phone_call_status", asked).await;
        assert!(revision(&snapshot) > since, "woken without a change");
        since = revision(&snapshot);
        for line in snapshot["transcript"].as_array().unwrap() {
            assert!(!lines.contains(line), "told twice: {line}");
            // A line that changed replaces what it was.
            lines.retain(|old| (&old["t"], &old["role"]) != (&line["t"], &line["role"]));
            lines.push(line.clone());
        }
        if statuses.last() != Some(&snapshot["status"]) {
            statuses.push(snapshot["status"].clone());
        }
        if snapshot["ended_at"] != Value::Null {
            break snapshot;
        }
    };
    assert_eq!(statuses.last(), Some(&json!("completed")));
    let stages = ["initiated", "ringing", "in_progress", "completed"];
    let mut passed = stages.iter();
    assert!(statuses.iter().all(|s| passed.any(|stage| s == stage)));

    let asked = json!({"call_id": placed["call_id"]});
    let full = server.call("phone_call_status", asked).await;
    let mut expected = full["transcript"].as_array().unwrap().clone();
    let by_time = |line: &Value| line["t"].as_str().unwrap().to_owned();
    assert!(expected.is_sorted_by_key(by_time), "{expected:#?}");
    // Words that were transcribed late come late; their time tells where they belong.
    lines.sort_by_key(by_time);
    expected.sort_by_key(by_time);
    assert_eq!(lines, expected);
    let said_by = |role: &str| {
        let lines = lines.iter().filter(|line| line["role"] == role);
        lines
            .map(|line| line["text"].as_str().unwrap())
            .collect::<Vec<_>>()
    };
    assert!(said_by("caller").contains(&"Tuesday at ten works for us."));
    let greeting = said_by("agent")[0];
    assert!(
        greeting.contains("AI") && greeting.contains("Maria Rossi"),
        "{greeting}"
    );

    assert_eq!(last["outcome"], "success");
    assert_eq!(last["error"], Value::Null);
    assert!(last["summary"].as_str().unwrap().contains("Tuesday"));
    assert_eq!(last["notes"], json!(["Tuesday at ten works for us."]));
    assert!(last["disclosed_at"].is_string() && last["answered_at"].is_string());
    assert!(last["duration_s"].as_f64().unwrap() > 0.0);
    for name in ["to", "mission", "language"] {
        assert_eq!(last[name], order[name], "{name}");
    }
    assert_eq!(last["from"], sandbox.from_number());
    assert_eq!(last["twilio_sid"], sandbox.calls()[0].sid);
    let phone = server.phone().await;
    assert_eq!(phone["active_calls"], json!(0));
    assert!(phone["daily_seconds_used"].as_u64().unwrap() < 300);
    assert_eq!(sandbox.complaints(), [""; 0]);
}

#[tokio::test]
async fn what_new_full_and_none_show() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let id = server.place(BRIEF).await;
    let over = server.reach(&id, "completed").await;
    let all = over["transcript"].as_array().unwrap().clone();
    assert!(all.len() >= 2, "{over:#}");
    for (more, expected) in [
        (json!({}), all.clone()),
        (
            json!({"transcript": "full", "since": revision(&over)}),
            all.clone(),
        ),
        (
            json!({"transcript": "new", "since": revision(&over)}),
            vec![],
        ),
        (json!({"transcript": "new", "since": 0}), all.clone()),
        (json!({"transcript": "new"}), all.clone()),
        (json!({"transcript": "none"}), vec![]),
    ] {
        let mut asked = more.clone();
        asked["call_id"] = json!(id);
        let snapshot = server.call("phone_call_status", asked).await;
        assert_eq!(snapshot["transcript"], json!(expected), "{more}");
        assert_eq!(snapshot["summary"], over["summary"]);
    }
}

#[tokio::test]
async fn attention_and_final_wake_on_less_than_any() {
    let sandbox = sandbox(hurried()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    let id = server.place("+390612345678").await;
    let started = server.reach(&id, "in_progress").await;
    let ask = |wake_on: &str| {
        json!({
            "call_id": id, "wait": true, "since": revision(&started), "timeout_seconds": 50,
            "wake_on": wake_on,
        })
    };
    let any = server.begin("phone_call_status", ask("any")).await;
    let attention = server.begin("phone_call_status", ask("attention")).await;
    let last = server.begin("phone_call_status", ask("final")).await;
    // A line of the transcript is a change, yet nothing that needs attention.
    let any = server.result("phone_call_status", any).await;
    assert_eq!(any["status"], "in_progress");
    let attention = server.result("phone_call_status", attention).await;
    assert_eq!(attention["status"], "completed", "{attention:#}");
    let last = server.result("phone_call_status", last).await;
    assert_eq!(last["status"], "completed");
    assert!(revision(&last) > revision(&any) + 3);
}

#[tokio::test]
async fn attention_wakes_on_a_status_and_final_does_not() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let (id, since) = server.ring().await;
    let ask = |wake_on: &str| json!({"call_id": id, "wait": true, "since": since - 1, "timeout_seconds": 1, "wake_on": wake_on});
    let woken = server.call("phone_call_status", ask("attention")).await;
    assert_eq!(woken["status"], "ringing");
    let asleep = server.begin("phone_call_status", ask("final")).await;
    let awake = server.begin("phone_call_status", ask("attention")).await;
    server.answer(awake).await;
    assert!(server.seen().answer(asleep).is_none());
    let late = server.result("phone_call_status", asleep).await;
    assert_eq!(revision(&late), since);
}

#[tokio::test]
async fn a_wait_ends_unchanged_when_its_time_is_up() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let (id, since) = server.ring().await;
    for more in [
        json!({}),
        json!({"since": since}),
        json!({"since": since + 1_000}),
    ] {
        let mut asked = more;
        asked["call_id"] = json!(id);
        asked["wait"] = json!(true);
        asked["timeout_seconds"] = json!(1);
        let began = std::time::Instant::now();
        let snapshot = server.call("phone_call_status", asked.clone()).await;
        assert!(began.elapsed().as_secs_f64() >= 0.9, "{asked}");
        assert_eq!(
            (&snapshot["status"], revision(&snapshot)),
            (&json!("ringing"), since)
        );
    }
    // Without `wait` nothing is waited for, whatever else is said.
    let at_once = json!({"call_id": id, "since": since, "timeout_seconds": 50, "wait": false});
    server.call("phone_call_status", at_once).await;
}

/// The cost may be refined once after the end, which raises the revision.
fn but_cost(mut call: Value) -> Value {
    call["cost"] = Value::Null;
    call["revision"] = Value::Null;
    call
}

#[tokio::test]
async fn a_wait_for_a_call_that_is_over_ends_at_once() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let id = server.place("+14155550001").await;
    let over = server.reach(&id, "busy").await;
    assert_eq!(
        (&over["outcome"], &over["duration_s"]),
        (&json!("no_answer"), &json!(0.0))
    );
    for wake_on in ["any", "attention", "final"] {
        // Longer than the test waits.
        let asked = json!({"call_id": id, "wait": true, "since": revision(&over) + 5, "timeout_seconds": 50, "wake_on": wake_on});
        let again = server.call("phone_call_status", asked).await;
        assert_eq!(but_cost(again), but_cost(over.clone()), "{wake_on}");
    }
}

#[tokio::test]
async fn waits_have_1_to_50_seconds() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let id = server.place("+14155550001").await;
    server.reach(&id, "busy").await;
    for seconds in [0, 51, 1_800] {
        for wait in [true, false] {
            let asked = json!({"call_id": id, "wait": wait, "timeout_seconds": seconds});
            let why = server.refused("phone_call_status", asked).await;
            assert!(
                why.contains("timeout_seconds") && why.contains("50"),
                "{why}"
            );
        }
    }
    for seconds in [1, 50] {
        let asked = json!({"call_id": id, "wait": true, "timeout_seconds": seconds});
        server.call("phone_call_status", asked).await;
    }
}

#[tokio::test]
async fn how_calls_end_that_nobody_answers() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    for (number, status, outcome) in [
        ("+14155550001", "busy", "no_answer"),
        ("+14155550003", "failed", "failure"),
    ] {
        let id = server.place(number).await;
        let over = server.reach(&id, status).await;
        assert_eq!(over["outcome"], outcome);
        assert!(over["summary"].is_string() && over["ended_at"].is_string());
        assert_eq!(over["error"].is_string(), status == "failed");
        assert_eq!(over["answered_at"], Value::Null);
    }
}

#[tokio::test]
async fn a_call_is_hung_up_while_it_rings_and_stays_so() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    let (id, since) = server.ring().await;
    assert_eq!(server.phone().await["active_calls"], json!(1));
    let waiting = json!({"call_id": id, "wait": true, "since": since, "timeout_seconds": 50, "wake_on": "final"});
    let waiting = server.begin("phone_call_status", waiting).await;
    let over = server
        .call("phone_call_hangup", json!({"call_id": id}))
        .await;
    assert_eq!(over["status"], "hung_up_by_agent");
    assert_eq!(over["outcome"], "failure");
    let woken = server.result("phone_call_status", waiting).await;
    assert_eq!(woken["status"], "hung_up_by_agent");
    let sid = over["twilio_sid"].as_str().unwrap();
    // Twilio's own report comes later and changes nothing; nor does a second hangup.
    let reported = |call: &Call| {
        let is_end = |(what, _): &(String, u16)| what == call.status.as_str();
        call.status.is_final() && call.callbacks.iter().any(is_end)
    };
    sandbox.wait_call(sid, reported).await.unwrap();
    let again = server
        .call("phone_call_hangup", json!({"call_id": id}))
        .await;
    assert_eq!(but_cost(again), but_cost(over));
    let phone = server.phone().await;
    assert_eq!(
        (&phone["active_calls"], &phone["daily_seconds_used"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn a_conversation_is_hung_up() {
    let sandbox = sandbox(hurried()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    let id = server.place("+390612345678").await;
    server.reach(&id, "in_progress").await;
    let over = server
        .call("phone_call_hangup", json!({"call_id": id}))
        .await;
    assert_eq!(over["status"], "hung_up_by_agent");
    let sid = over["twilio_sid"].as_str().unwrap();
    let line = sandbox.wait_call_over(sid).await.unwrap();
    assert_eq!(line.status.as_str(), "completed");
    let hung_up = format!("POST Calls/{sid}.json");
    assert!(
        sandbox.requests().contains(&hung_up),
        "{:?}",
        sandbox.requests()
    );
}

#[tokio::test]
async fn an_id_that_names_no_call_is_refused() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    let place = server.place("+14155550001").await;
    for id in [
        "00000000-0000-4000-8000-000000000000",
        "CA00000000000000000000000000000000",
        "",
        "../twiml",
        &place[..35],
    ] {
        for tool in ["phone_call_status", "phone_call_hangup"] {
            let why = server.refused(tool, json!({"call_id": id})).await;
            assert!(why.contains("phone_call_place"), "{why}");
            assert!(why.contains(id), "{why}");
        }
    }
}

#[tokio::test]
async fn an_order_that_makes_no_sense_is_refused_by_name_and_nothing_is_dialled() {
    let sandbox = sandbox(Options::default()).await;
    let setup = |setup: Setup| setup.env("OPENAGENT_PHONE_DENY_PREFIXES", "+1212");
    let mut server = calling(&sandbox, setup).await;
    let with = |name: &str, value: Value| {
        let mut order = order("+14155550123");
        order[name] = value;
        order
    };
    for (arguments, named) in [
        (with("mission", json!("")), &["mission", "empty"][..]),
        (with("mission", json!(" \t")), &["mission", "empty"]),
        (
            with("mission", json!("è".repeat(4_001))),
            &["mission", "4001", "4000"],
        ),
        (with("caller_identity", json!("")), &["caller_identity"]),
        (
            with("caller_identity", json!("x".repeat(1_001))),
            &["caller_identity"],
        ),
        (with("success_criteria", json!(" ")), &["success_criteria"]),
        (
            with("max_duration_seconds", json!(0)),
            &["max_duration_seconds"],
        ),
        (with("idempotency_key", json!("")), &["idempotency_key"]),
        (
            with("language", json!("Italian language")),
            &["Italian language"],
        ),
        (with("language", json!("")), &["language"]),
        (
            with("to", json!("0612345678")),
            &["not a phone number", "0612345678"],
        ),
        (
            with("to", json!("+44 7700 900123")),
            &["not a phone number"],
        ),
        (
            with("to", json!("+447700900123")),
            &["OPENAGENT_PHONE_ALLOW_PREFIXES"],
        ),
        (
            with("to", json!("+12125550123")),
            &["OPENAGENT_PHONE_DENY_PREFIXES"],
        ),
        (
            with("to", json!("+18095550123")),
            &["809", "OPENAGENT_PHONE_ALLOW_PREFIXES"],
        ),
        (with("to", json!("+19005550123")), &["premium"]),
        (with("to", json!("+870123456789")), &["satellite"]),
        (
            with("to", json!(sandbox.from_number())),
            &["TWILIO_FROM_NUMBER"],
        ),
    ] {
        let why = server.refused("phone_call_place", arguments.clone()).await;
        for name in named {
            assert!(why.contains(name), "{arguments}: {why:?} lacks {name:?}");
        }
    }
    let phone = server.phone().await;
    assert_eq!(
        (&phone["active_calls"], &phone["daily_seconds_used"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(sandbox.requests(), [""; 0]);
    assert_eq!(sandbox.model_sessions().len(), 0);
}

#[tokio::test]
async fn the_longest_texts_are_taken_and_durations_only_shorten() {
    let sandbox = sandbox(Options::default()).await;
    let setup = |setup: Setup| setup.env("OPENAGENT_PHONE_MAX_DURATION_SECONDS", "90");
    let mut server = calling(&sandbox, setup).await;
    for (wanted, granted, limit) in [
        (None, 90, 120),
        (Some(u64::MAX), 90, 120),
        (Some(20), 20, 60),
    ] {
        let mut order = json!({"to": NOBODY, "mission": "è".repeat(4_000), "caller_identity": "è".repeat(1_000)});
        if let Some(wanted) = wanted {
            order["max_duration_seconds"] = json!(wanted);
        }
        let placed = server.call("phone_call_place", order).await;
        assert_eq!(placed["max_duration_seconds"], json!(granted));
        let call = sandbox
            .call(placed["twilio_sid"].as_str().unwrap())
            .unwrap();
        assert_eq!(call.time_limit, Some(limit));
    }
    assert_eq!(server.phone().await["daily_seconds_used"], json!(200));
    assert_eq!(sandbox.complaints(), [""; 0]);
}

#[tokio::test]
async fn limits_are_refused_by_name_and_nothing_is_dialled() {
    for (name, value, hang_up) in [
        ("OPENAGENT_PHONE_MAX_CONCURRENT_CALLS", "1", false),
        ("OPENAGENT_PHONE_MAX_DAILY_CALLS_PER_NUMBER", "1", true),
        // The first call reserves all of it.
        ("OPENAGENT_PHONE_MAX_DAILY_SECONDS", "100", false),
    ] {
        let sandbox = sandbox(Options::default()).await;
        let mut server = calling(&sandbox, |setup| setup.env(name, value)).await;
        let (id, _) = server.ring().await;
        if hang_up {
            server
                .call("phone_call_hangup", json!({"call_id": id}))
                .await;
        }
        let why = server.refused("phone_call_place", order(NOBODY)).await;
        assert!(why.contains(name), "{why}");
        assert_eq!(sandbox.calls().len(), 1);
    }
}

#[tokio::test]
async fn twilio_s_refusals_to_dial_come_with_their_code_and_hold_nothing() {
    let sandbox = sandbox(Options::default()).await;
    let setup = |setup: Setup| setup.env("OPENAGENT_PHONE_MAX_DAILY_CALLS_PER_NUMBER", "1");
    let mut server = calling(&sandbox, setup).await;
    for (number, code) in [
        ("+15005550001", "21217"),
        ("+15005550002", "21214"),
        ("+15005550003", "21215"),
        ("+15005550004", "21216"),
        // It was not called, so it may be tried again.
        ("+15005550004", "21216"),
    ] {
        let why = server.refused("phone_call_place", order(number)).await;
        assert!(why.contains(code), "{why}");
    }
    let phone = server.phone().await;
    assert_eq!(
        (&phone["active_calls"], &phone["daily_seconds_used"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn a_key_dials_once_and_shows_the_first_call_as_it_stands() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    let mut order = order(NOBODY);
    order["idempotency_key"] = json!("key 1");
    let ids = [
        server.begin("phone_call_place", order.clone()).await,
        server.begin("phone_call_place", order.clone()).await,
    ];
    let first = server.result("phone_call_place", ids[0]).await;
    let second = server.result("phone_call_place", ids[1]).await;
    assert_eq!(first["call_id"], second["call_id"]);
    assert_eq!(first["twilio_sid"], second["twilio_sid"]);
    for (name, other) in [
        ("mission", json!("Ask something else.")),
        ("to", json!("+14155560002")),
        ("max_duration_seconds", json!(60)),
        ("caller_identity", json!("Maria Rossi")),
        ("success_criteria", json!("They say when.")),
        ("language", json!("it-IT")),
    ] {
        let mut changed = order.clone();
        changed[name] = other;
        let why = server.refused("phone_call_place", changed).await;
        assert!(why.contains("idempotency_key"), "{name}: {why}");
    }
    let call = json!({"call_id": first["call_id"]});
    server.call("phone_call_hangup", call).await;
    let again = server.call("phone_call_place", order.clone()).await;
    assert_eq!(again["call_id"], first["call_id"]);
    assert_eq!(again["status"], "hung_up_by_agent");
    assert_eq!(sandbox.calls().len(), 1);
    order["idempotency_key"] = json!("key 2");
    let other = server.call("phone_call_place", order).await;
    assert_ne!(other["call_id"], first["call_id"]);
    assert_eq!(sandbox.calls().len(), 2);
}

#[tokio::test]
async fn a_refusal_releases_its_key() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    for refused in ["+447700900123", "+15005550003"] {
        let mut order = order(refused);
        order["idempotency_key"] = json!(refused);
        server.refused("phone_call_place", order.clone()).await;
        order["to"] = json!(NOBODY);
        server.call("phone_call_place", order).await;
    }
    assert_eq!(sandbox.calls().len(), 2);
}

#[tokio::test]
async fn an_order_that_is_cancelled_half_way_is_found_again_by_its_key() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    let mut order = order(NOBODY);
    order["idempotency_key"] = json!("key 1");
    let id = server.begin("phone_call_place", order.clone()).await;
    let cancel = json!({"requestId": id, "reason": "changed my mind"});
    server.notify("notifications/cancelled", cancel).await;
    let placed = server.call("phone_call_place", order).await;
    assert!(placed["twilio_sid"].is_string());
    assert_eq!(sandbox.calls().len(), 1);
}
