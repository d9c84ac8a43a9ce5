use super::*;

/// Strangers that are let in at once (docs/architecture.md).
const STRANGERS: usize = 64;

#[tokio::test]
async fn is_kept_out_and_keeps_no_call_waiting() {
    let mut stage = Stage::start().await;
    let (call, mut carrier) = talking(&mut stage).await;
    let mut crowd = Vec::new();
    let mut refused = 0;
    for _ in 0..STRANGERS + 8 {
        match Carrier::ask(stage.port, None).await {
            Ok(stranger) => crowd.push(stranger),
            Err(status) => {
                assert_eq!(status, 503);
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "all of them were let in");
    assert!(crowd.len() >= STRANGERS, "{}", crowd.len());
    // A call that is there goes on, and another one finds its way in between them.
    carrier.say(&noise(160, 1));
    assert_same_audio(&call.model.heard(160).await, &noise(160, 1));
    let (other, mut others) = talking(&mut stage).await;
    others.say(&noise(160, 2));
    assert_same_audio(&other.model.heard(160).await, &noise(160, 2));
    // When they have shown no token for long enough, there is room again.
    for mut stranger in crowd {
        stranger.closed().await;
    }
    Carrier::open(stage.port, None).await;
}
