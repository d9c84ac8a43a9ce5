use super::*;

#[tokio::test]
async fn a_call_moves_forward_through_its_live_states() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    assert_eq!(snapshot(&call.session).status, Status::Initiated);
    for (sequence, status, expected) in [
        (0, "initiated", Status::Initiated),
        (1, "ringing", Status::Ringing),
        (2, "in-progress", Status::InProgress),
    ] {
        assert_eq!(stage.report(&call, status, sequence).await, 204);
        assert_eq!(snapshot(&call.session).status, expected);
    }
    let now = snapshot(&call.session);
    assert!(now.answered_at.is_some_and(|at| at >= now.started_at));
    assert_eq!((now.outcome, now.summary, now.ended_at), (None, None, None));
}

#[tokio::test]
async fn late_duplicate_and_unknown_reports_change_nothing() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    assert_eq!(stage.report(&call, "ringing", 1).await, 204);
    let ringing = standing(&call.session);
    // The same again, what was before it, and what nobody knows.
    for (status, sequence) in [
        ("ringing", 1),
        ("initiated", 0),
        ("queued", 0),
        ("in-progress", 1),
        ("teleported", 2),
        ("", 3),
        ("RINGING", 4),
        ("completed ", 5),
    ] {
        assert_eq!(stage.report(&call, status, sequence).await, 204);
        assert_eq!(standing(&call.session), ringing, "{status} {sequence}");
    }
    assert_eq!(stage.report(&call, "in-progress", 7).await, 204);
    let talking = standing(&call.session);
    assert_eq!(talking["status"], "in_progress");
    for (status, sequence) in [
        ("ringing", 2),
        ("ringing", 8),
        ("initiated", 9),
        ("queued", 10),
    ] {
        assert_eq!(stage.report(&call, status, sequence).await, 204);
        assert_eq!(standing(&call.session), talking, "{status} {sequence}");
    }
}

#[tokio::test]
async fn reports_with_odd_or_missing_fields_are_harmless() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let path = format!("/status/{}", call.id);
    let before = standing(&call.session);
    for sent in [
        vec![],
        vec![("CallSid", &*call.sid)],
        vec![("CallStatus", "")],
        vec![("CallSid", &*call.sid), ("CallStatus", "\u{0}\n")],
        vec![("CallSid", ""), ("CallStatus", "ringing")],
        vec![("CallStatus", "busy")],
    ] {
        let (status, _) = stage.post(&path, &sent).await;
        assert_eq!(status, 204, "{}", form(&sent));
        assert_eq!(standing(&call.session), before, "{}", form(&sent));
    }
    // Without a usable sequence number, the order of arrival counts.
    for sequence in ["", "-1", "x", "99999999999999999999999"] {
        let sent = [
            ("CallSid", &*call.sid),
            ("CallStatus", "ringing"),
            ("SequenceNumber", sequence),
        ];
        assert_eq!(stage.post(&path, &sent).await.0, 204);
        assert_eq!(snapshot(&call.session).status, Status::Ringing);
    }
}

#[tokio::test]
async fn a_report_about_another_call_is_ignored() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let other = stage.place().await;
    let before = [standing(&call.session), standing(&other.session)];
    for status in ["ringing", "in-progress", "completed", "busy", "failed"] {
        for sid in [
            &*other.sid,
            "CA00000000000000000000000000000000",
            "nonsense",
        ] {
            assert_eq!(stage.report_as(&call, sid, status, 9).await, 204);
        }
    }
    let answer = stage.twiml_as(&call, &other.sid).await;
    assert!(answer.contains("<Hangup/>") && token_in(&answer).is_none());
    assert_eq!([standing(&call.session), standing(&other.session)], before);
    assert_eq!(stage.report(&call, "ringing", 0).await, 204);
    assert_eq!(
        snapshot(&call.session).status,
        Status::Ringing,
        "the foreign sequence numbers do not count"
    );
}

#[tokio::test]
async fn every_final_report_ends_the_call_with_its_status_outcome_and_summary() {
    let mut stage = Stage::start().await;
    for (index, (report, status, outcome, errs)) in [
        ("busy", Status::Busy, Outcome::NoAnswer, false),
        ("no-answer", Status::NoAnswer, Outcome::NoAnswer, false),
        ("failed", Status::Failed, Outcome::Failure, true),
        ("canceled", Status::Canceled, Outcome::Failure, false),
        ("completed", Status::Completed, Outcome::Failure, false),
    ]
    .into_iter()
    .enumerate()
    {
        let call = stage.place_to(&format!("+1415555014{index}")).await;
        assert_eq!(stage.report(&call, "ringing", 1).await, 204);
        // Looks at the call all the time: no look may find a final status without its outcome.
        let over = Arc::new(AtomicBool::new(false));
        let looking = {
            let (session, over) = (Arc::clone(&call.session), Arc::clone(&over));
            tokio::task::spawn_blocking(move || {
                while !over.load(Ordering::Relaxed) {
                    let now = snapshot(&session);
                    let ended = now.status.is_final();
                    assert_eq!(now.outcome.is_some(), ended, "{now:#?}");
                    assert_eq!(now.summary.is_some(), ended, "{now:#?}");
                    assert_eq!(now.ended_at.is_some(), ended, "{now:#?}");
                }
            })
        };
        let before = snapshot(&call.session).revision;
        assert_eq!(stage.report(&call, report, 2).await, 204);
        let end = ended(&call.session).await;
        over.store(true, Ordering::Relaxed);
        looking.await.unwrap();
        assert_eq!(end.status, status);
        assert_eq!(end.outcome, Some(outcome), "{report}");
        assert_eq!(end.error.is_some(), errs, "{report}: {:?}", end.error);
        assert_eq!(end.revision, before + 1, "all of it in one revision");
        assert!(end.duration_s.abs() < f64::EPSILON && end.answered_at.is_none());
        // Whatever is reported afterwards, it is over.
        let over = standing(&call.session);
        for (late, sequence) in [
            ("in-progress", 3),
            ("completed", 4),
            ("busy", 5),
            ("failed", 6),
            ("ringing", 0),
        ] {
            assert_eq!(stage.report(&call, late, sequence).await, 204);
            assert_eq!(standing(&call.session), over, "{late} after {report}");
        }
        assert_eq!(
            stage.rest.hang_ups(&call.sid),
            0,
            "Twilio said that it is over"
        );
    }
}

#[tokio::test]
async fn an_end_is_an_end_even_if_later_reports_came_before_it() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    assert_eq!(stage.report(&call, "in-progress", 9).await, 204);
    assert_eq!(stage.report(&call, "completed", 3).await, 204);
    assert_eq!(ended(&call.session).await.status, Status::Completed);
}

#[tokio::test]
async fn the_first_reason_to_end_a_call_wins() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    assert_eq!(stage.report(&call, "ringing", 1).await, 204);
    soon("the hang-up", stage.board().hang_up(&call.session)).await;
    assert_eq!(snapshot(&call.session).status, Status::HungUpByAgent);
    stage.rest.hung_up(1).await;
    let over = standing(&call.session);
    for status in ["canceled", "no-answer", "completed", "in-progress"] {
        assert_eq!(stage.report(&call, status, 9).await, 204);
        assert_eq!(standing(&call.session), over, "{status}");
    }
    assert_eq!(stage.rest.hang_ups(&call.sid), 1);
}
