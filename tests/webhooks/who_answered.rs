use super::*;

/// Reports who answered, as Twilio does.
async fn report_answered(stage: &Stage, call: &Placed, sid: &str, who: &str) -> u16 {
    let sent = [
        ("AccountSid", ACCOUNT),
        ("AnsweredBy", who),
        ("CallSid", sid),
        ("MachineDetectionDuration", "3600"),
    ];
    stage.post(&format!("/amd/{}", call.id), &sent).await.0
}

#[tokio::test]
async fn a_fax_ends_the_call() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    assert_eq!(report_answered(&stage, &call, &call.sid, "fax").await, 204);
    let end = ended(&call.session).await;
    assert_eq!(end.status, Status::Failed);
    assert!(end.error.unwrap().contains("fax"));
    assert_eq!(
        report_answered(&stage, &call, &call.sid, "human").await,
        204,
        "late"
    );
}

#[tokio::test]
async fn another_call_and_unknown_words_change_nothing() {
    let mut stage = Stage::start().await;
    let call = stage.place().await;
    let other = format!("CA{}", "0".repeat(32));
    assert_eq!(report_answered(&stage, &call, &other, "fax").await, 204);
    for who in ["", "FAX", "alien", "unknown", "human", "machine_start"] {
        assert_eq!(report_answered(&stage, &call, &call.sid, who).await, 204);
    }
    // What was ordered before it has been done by then.
    stage.token(&call).await;
    let now = snapshot(&call.session);
    assert_eq!((now.status, now.error), (Status::InProgress, None));
}

#[tokio::test]
async fn twilio_is_asked_to_find_out_unless_it_is_switched_off() {
    for (setting, asked) in [("detect", true), ("off", false)] {
        let mut stage = Stage::with(&[("OPENAGENT_PHONE_MACHINE_DETECTION", setting)]).await;
        let call = stage.place().await;
        let (_, form) = &stage.rest.requests()[0];
        assert_eq!(form.contains("MachineDetection=DetectMessageEnd"), asked);
        assert_eq!(form.contains("AsyncAmd=true"), asked, "{form}");
        let path = format!("%2Ftel%2Famd%2F{}", call.id);
        assert_eq!(form.contains(&path), asked, "{form}");
    }
}
