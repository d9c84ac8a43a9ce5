//! The host goes away, or somebody stops the program, in the middle of everything.

use super::*;

/// What the contract allows.
const END: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_comes_in_time_and_in_good_order() {
    side_by_side([
        ("the end of input", Box::pin(in_good_order(How::Input))),
        ("SIGTERM", Box::pin(in_good_order(How::Signal("TERM")))),
        ("SIGINT", Box::pin(in_good_order(How::Signal("INT")))),
        (
            "the host does not read any more",
            Box::pin(in_good_order(How::Pipe)),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_comes_in_time_whatever_hangs() {
    side_by_side([
        ("the carrier", Box::pin(the_carrier_hangs())),
        ("the disk", Box::pin(the_disk_hangs())),
        ("a second signal", Box::pin(a_second_signal())),
    ])
    .await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Input,
    Signal(&'static str),
    Pipe,
}

/// Three calls are live: one rings, two talk. A tool waits.
struct Busy {
    stage: Stage,
    server: Server,
    ids: Vec<String>,
    /// As the second call was seen last.
    seen: Value,
    waiting: u64,
}

async fn busy() -> Busy {
    let callee = talking(&["Yes, speaking. What is it about?"]);
    let stage = Stage::new(Options {
        default_callee: callee,
        ..hurried()
    })
    .await;
    let mut server = stage.server().await;
    let (ringing, since) = server.ring().await;
    let mut ids = vec![ringing.clone()];
    for to in ["+390612345678", "+390612345679"] {
        ids.push(server.place(to).await);
    }
    said(&mut server, &ids[2], 2).await;
    let seen = said(&mut server, &ids[1], 4).await;
    let wait = json!({"call_id": ringing, "wait": true, "since": since, "timeout_seconds": 50, "wake_on": "final"});
    let waiting = server.begin("phone_call_status", wait).await;
    server.phone().await;
    Busy {
        stage,
        server,
        ids,
        seen,
        waiting,
    }
}

async fn in_good_order(how: How) {
    let Busy {
        stage,
        mut server,
        ids,
        seen,
        waiting,
    } = busy().await;
    // One after the other, this would take too long.
    stage.carrier.set(Mode::Slow(Duration::from_millis(900)));
    match how {
        How::Input => server.close_stdin(),
        How::Signal(name) => server.signal(name).await,
        How::Pipe => {
            server.close_stdout().await;
            server.begin("status", json!({})).await;
        }
    }
    let (status, took) = server.exit().await;
    assert_eq!(status.code(), Some(0), "{:?}", server.seen());
    assert!(took < END, "{took:?}");
    if how != How::Pipe {
        server.result("phone_call_status", waiting).await;
    }
    let hang_ups = stage.sandbox.requests();
    for call in stage.sandbox.calls() {
        assert!(
            hang_ups.contains(&format!("POST Calls/{}.json", call.sid)),
            "{hang_ups:?}"
        );
        soon("the end of a line", stage.sandbox.wait_call_over(&call.sid))
            .await
            .unwrap();
    }
    let unfinished =
        "SELECT count(*) FROM call WHERE line <> 'over' OR ended_at IS NULL OR outcome IS NULL";
    assert_eq!(stage.file.number(unfinished).await, 0);
    assert_eq!(
        stage.file.number("SELECT count(*) FROM reservation").await,
        0
    );
    assert_eq!(stage.file.number("SELECT count(*) FROM process").await, 0);
    let mut next = stage.server().await;
    let kept = final_of(&mut next, &ids[1]).await;
    assert_eq!(
        kept["transcript"].as_array().unwrap()[..4],
        seen["transcript"].as_array().unwrap()[..4]
    );
    assert_eq!(dials(&stage), 3);
}

async fn the_carrier_hangs() {
    let Busy {
        stage,
        mut server,
        ids,
        seen,
        ..
    } = busy().await;
    stage.carrier.set(Mode::Held);
    stage.tunnel.set(Mode::Held);
    server.close_stdin();
    let (status, took) = server.exit().await;
    assert_eq!(status.code(), Some(0), "{:?}", server.seen());
    assert!(took < END, "{took:?}");
    // The next one ends them.
    assert!(
        stage
            .sandbox
            .calls()
            .iter()
            .all(|call| !call.status.is_final())
    );
    stage.carrier.set(Mode::Through);
    let mut next = stage.server().await;
    stage.tunnel.set(Mode::Through);
    for call in stage.sandbox.calls() {
        soon("the end of a line", stage.sandbox.wait_call_over(&call.sid))
            .await
            .unwrap();
    }
    let kept = final_of(&mut next, &ids[1]).await;
    assert_eq!(
        kept["transcript"].as_array().unwrap()[..4],
        seen["transcript"].as_array().unwrap()[..4]
    );
    assert_eq!(dials(&stage), 3);
}

async fn the_disk_hangs() {
    let Busy {
        stage,
        mut server,
        waiting,
        ..
    } = busy().await;
    let lock = stage.file.lock().await;
    server.close_stdin();
    let (status, took) = server.exit().await;
    assert_eq!(status.code(), Some(0), "{:?}", server.seen());
    assert!(took < END, "{took:?}");
    server.result("phone_call_status", waiting).await;
    for call in stage.sandbox.calls() {
        let hung_up = format!("POST Calls/{}.json", call.sid);
        assert!(stage.sandbox.requests().contains(&hung_up));
        soon("the end of a line", stage.sandbox.wait_call_over(&call.sid))
            .await
            .unwrap();
    }
    drop(lock);
    // What could not be written, the next one finds out.
    let mut next = stage.server().await;
    let settled = "SELECT count(*) FROM reservation";
    stage
        .file
        .until("all shares to be given back", settled, 0)
        .await;
    assert_eq!(next.phone().await["active_calls"], json!(0));
    assert_eq!(dials(&stage), 3);
}

async fn a_second_signal() {
    for (second, code) in [("TERM", 143), ("INT", 143)] {
        let Busy {
            stage, mut server, ..
        } = busy().await;
        stage.carrier.set(Mode::Held);
        server.signal("TERM").await;
        let heard = |seen: &support_mcp::Seen| seen.stderr.contains("once more").then_some(());
        server.wait("the first signal to be heard", heard).await;
        server.signal(second).await;
        // In good order, the exit code would be 0, and some seconds later.
        let (status, _) = server.exit().await;
        assert_eq!(status.code(), Some(code), "{:?}", server.seen());
    }
}
