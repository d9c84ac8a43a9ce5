use super::*;

/// A server in the middle of a conversation, and the carrier's name for the call.
async fn in_conversation(sandbox: &Sandbox) -> (Server, String, String) {
    let mut server = calling(sandbox, |setup| setup).await;
    let id = server.place("+390612345678").await;
    let live = server.reach(&id, "in_progress").await;
    (server, id, live["twilio_sid"].as_str().unwrap().to_owned())
}

/// The program has ended well and in time, and the line was hung up by it.
async fn assert_hung_up(sandbox: &Sandbox, sid: &str, server: &mut Server) {
    let (status, took) = server.exit().await;
    assert_eq!(status.code(), Some(0), "{:?}", server.seen());
    assert!(took < END, "{took:?}");
    let hung_up = format!("POST Calls/{sid}.json");
    assert!(sandbox.requests().contains(&hung_up), "it did not hang up");
    sandbox.wait_call_over(sid).await.unwrap();
}

#[tokio::test]
async fn input_that_ends_before_it_begins_is_no_failure() {
    for setup in [
        Setup::bare(),
        Setup::sandboxed(),
        Setup::bare().arg("serve"),
    ] {
        let output = setup.run().await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[tokio::test]
async fn input_that_ends_after_the_handshake_is_no_failure() {
    let mut server = Server::start(&Setup::sandboxed()).await;
    server.close_stdin();
    let (status, took) = server.exit().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < END, "{took:?}");
}

#[tokio::test]
async fn the_end_of_input_hangs_up_a_conversation() {
    let sandbox = sandbox(Options::default()).await;
    let (mut server, _, sid) = in_conversation(&sandbox).await;
    server.close_stdin();
    assert_hung_up(&sandbox, &sid, &mut server).await;
}

#[tokio::test]
async fn the_end_of_input_hangs_up_a_ringing_phone() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    server.ring().await;
    let sid = sandbox.calls()[0].sid.clone();
    server.close_stdin();
    assert_hung_up(&sandbox, &sid, &mut server).await;
}

#[tokio::test]
async fn the_end_of_input_hangs_up_every_call() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    for to in [NOBODY, "+14155560002", "+390612345678", "+390612345679"] {
        server.place(to).await;
    }
    server.close_stdin();
    for call in sandbox.calls() {
        assert_hung_up(&sandbox, &call.sid, &mut server).await;
    }
    assert_eq!(sandbox.calls().len(), 4);
}

#[tokio::test]
async fn a_wait_is_answered_when_the_input_ends() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    let (id, since) = server.ring().await;
    let wait = json!({"call_id": id, "wait": true, "since": since, "timeout_seconds": 50});
    let wait = server.begin("phone_call_status", wait).await;
    server.phone().await;
    server.close_stdin();
    let sid = sandbox.calls()[0].sid.clone();
    assert_hung_up(&sandbox, &sid, &mut server).await;
    let snapshot = server.result("phone_call_status", wait).await;
    assert_eq!(snapshot["call_id"], json!(id));
}

#[tokio::test]
async fn a_call_that_is_being_placed_is_not_left_behind() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    let order = json!({"to": NOBODY, "mission": "Say hello."});
    server.begin("phone_call_place", order).await;
    server.close_stdin();
    let (status, took) = server.exit().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < END, "{took:?}");
    // It may or may not have been dialled; if it was, it is over.
    for call in sandbox.calls() {
        let hung_up = format!("POST Calls/{}.json", call.sid);
        assert!(sandbox.requests().contains(&hung_up), "it rings on");
    }
}

#[tokio::test]
async fn a_host_that_stops_reading_is_gone() {
    let sandbox = sandbox(Options::default()).await;
    let (mut server, id, sid) = in_conversation(&sandbox).await;
    server.close_stdout().await;
    let asked = json!({"call_id": id});
    server.begin("phone_call_status", asked).await;
    assert_hung_up(&sandbox, &sid, &mut server).await;
}

#[tokio::test]
async fn a_host_that_hangs_does_not_keep_it() {
    let sandbox = sandbox(Options::default()).await;
    let (mut server, id, sid) = in_conversation(&sandbox).await;
    let asked = json!({"call_id": id, "wait": true, "timeout_seconds": 50, "wake_on": "final"});
    server.begin("phone_call_status", asked).await;
    server.phone().await;
    let deaf = server.stop_reading().await;
    // Far more than fits into a pipe.
    for _ in 0..100 {
        server.send("tools/list", json!({})).await;
    }
    server.close_stdin();
    assert_hung_up(&sandbox, &sid, &mut server).await;
    drop(deaf);
}

#[tokio::test]
async fn a_carrier_that_falls_silent_does_not_keep_it() {
    let sandbox = sandbox(Options::default()).await;
    let (url, silent) = relay(&sandbox.carrier_url()).await;
    let through = |setup: Setup| setup.env("TWILIO_API_BASE_URL", &url);
    let mut server = calling(&sandbox, through).await;
    server.ring().await;
    silent.cancel();
    server.close_stdin();
    let (status, took) = server.exit().await;
    assert_eq!(status.code(), Some(0));
    // A host waits so long before it kills.
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// A way to `url` that can be made to swallow everything.
async fn relay(url: &str) -> (String, CancellationToken) {
    let target = url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let silent = CancellationToken::new();
    let stop = silent.clone();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (target, stop) = (target.clone(), stop.clone());
            tokio::spawn(async move {
                let mut far = TcpStream::connect(target).await.unwrap();
                let passing = copy_bidirectional(&mut near, &mut far);
                if stop.run_until_cancelled(passing).await.is_none() {
                    // The connections stay open.
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (format!("http://{address}"), silent)
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_hangs_up_a_conversation() {
    for name in ["TERM", "INT"] {
        let sandbox = sandbox(Options::default()).await;
        let (mut server, _, sid) = in_conversation(&sandbox).await;
        server.signal(name).await;
        assert_hung_up(&sandbox, &sid, &mut server).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_answers_a_wait_and_hangs_up() {
    let sandbox = sandbox(Options::default()).await;
    let mut server = calling(&sandbox, |setup| setup).await;
    let (id, since) = server.ring().await;
    let wait = json!({"call_id": id, "wait": true, "since": since, "timeout_seconds": 50});
    let wait = server.begin("phone_call_status", wait).await;
    server.phone().await;
    server.signal("TERM").await;
    let sid = sandbox.calls()[0].sid.clone();
    assert_hung_up(&sandbox, &sid, &mut server).await;
    server.result("phone_call_status", wait).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_a_server_without_calls() {
    for setup in [Setup::bare(), Setup::sandboxed()] {
        let mut server = Server::start(&setup).await;
        server.signal("TERM").await;
        let (status, took) = server.exit().await;
        assert_eq!(status.code(), Some(0), "{:?}", server.seen());
        assert!(took < END, "{took:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_server_that_answers_listens_to_signals() {
    // Not every time does it begin to listen too late.
    for _ in 0..40 {
        let mut server = Server::spawn(&Setup::sandboxed());
        server.ask("ping", json!({})).await;
        server.signal("TERM").await;
        let (status, took) = server.exit().await;
        assert_eq!(status.code(), Some(0), "{:?}", server.seen());
        assert!(took < END, "{took:?}");
    }
}
