use super::*;

/// What may be on its way to a peer that does not read: our own buffer, the system's on both sides.
const MORE_THAN_FITS: usize = 24 * 1024 * 1024;

/// Both parties of a call hear each other.
async fn assert_talks(call: &Placed, carrier: &mut Carrier, seed: u32) {
    let said = noise(160, seed);
    let before = call.model.heard_so_far();
    carrier.say(&said);
    let heard = call.model.heard(before + said.len()).await;
    assert_same_audio(&heard[before..], &said);
    let response = format!("resp_{seed}");
    let spoken = noise(1_600, seed + 1);
    let (item, words) = (format!("item_{seed}"), "Yes.");
    call.model
        .respond(&response, &item, words, std::slice::from_ref(&spoken));
    assert_same_audio(&carrier.hear(spoken.len()).await, &spoken);
    assert_eq!(snapshot(&call.session).status, Status::InProgress);
}

#[tokio::test]
async fn a_carrier_that_takes_no_audio_ends_its_own_call_and_no_other() {
    let mut stage = Stage::start().await;
    let (call, carrier) = talking(&mut stage).await;
    let (other, mut others) = talking(&mut stage).await;
    carrier.stop_reading();
    call.model.begin("resp_1");
    // The model speaks much faster than anybody listens.
    let speech = noise(12_000, 3);
    let pour = async {
        for _ in 0..MORE_THAN_FITS / speech.len() {
            call.model.speak("resp_1", "item_1", &speech);
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        end = ended(&call.session) => end,
        () = pour => unreachable!(),
    };
    assert_eq!(end.status, Status::Failed);
    let error = end.error.unwrap();
    assert!(error.contains("did not take the agent's audio"), "{error}");
    stage.rest.hung_up(1).await;
    assert_eq!(stage.rest.hang_ups(&call.sid), 1);
    assert_talks(&other, &mut others, 40).await;
}

#[tokio::test]
async fn a_model_that_takes_no_audio_ends_its_own_call_and_no_other() {
    let mut stage = Stage::start().await;
    let (call, mut carrier) = talking(&mut stage).await;
    let (other, mut others) = talking(&mut stage).await;
    call.model.stop_reading();
    let speech = noise(12_000, 5);
    let pour = async {
        for _ in 0..MORE_THAN_FITS / speech.len() {
            carrier.say(&speech);
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        end = ended(&call.session) => end,
        () = pour => unreachable!(),
    };
    assert_eq!(end.status, Status::Failed);
    let error = end.error.unwrap();
    assert!(error.contains("did not take the callee's audio"), "{error}");
    // The callee hears an apology from the carrier's own voice.
    stage.rest.redirected(&call.sid).await;
    assert_eq!(stage.report(&call, "completed", 9).await, 204);
    assert_talks(&other, &mut others, 50).await;
}
