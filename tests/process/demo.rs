use super::*;

#[tokio::test]
async fn the_demo_succeeds_and_shows_the_call() {
    let output = Setup::bare().arg("demo").run().await;
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for word in [
        "ringing",
        "in progress",
        "agent ",
        "callee",
        "note",
        "outcome: success",
    ] {
        assert!(said.contains(word), "{said} lacks {word}");
    }
}
