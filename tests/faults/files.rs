//! Files that cannot be used: each is named for what it is, and is left as it was. Calls and messages
//! are refused, because their limits cannot be checked; all else works.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;
use crate::file::File;

type Made = Pin<Box<dyn Future<Output = ()> + Send>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_used_is_left_alone() {
    side_by_side([
        (
            "text",
            Box::pin(unusable("not a database", |file| {
                text(&file.path());
                Box::pin(async {})
            })),
        ),
        (
            "short text",
            Box::pin(unusable("not a database", |file| {
                std::fs::write(file.path(), "hello").unwrap();
                Box::pin(async {})
            })),
        ),
        (
            "another program's",
            Box::pin(unusable("another program", |file| {
                Box::pin(foreign(
                    file.path(),
                    "PRAGMA application_id = 7; CREATE TABLE note (text)",
                ))
            })),
        ),
        (
            "nobody's",
            Box::pin(unusable("another program", |file| {
                Box::pin(foreign(
                    file.path(),
                    "CREATE TABLE call (id); CREATE TABLE day (day)",
                ))
            })),
        ),
        (
            "newer",
            Box::pin(unusable("newer version", |file| {
                Box::pin(ours(
                    file.path(),
                    "INSERT INTO _sqlx_migrations VALUES (9999, 'x', '2030-01-01', 1, x'00', 1)",
                ))
            })),
        ),
        (
            "changed",
            Box::pin(unusable("changed by somebody", |file| {
                Box::pin(ours(
                    file.path(),
                    "UPDATE _sqlx_migrations SET checksum = x'00'",
                ))
            })),
        ),
        (
            "damaged",
            Box::pin(unusable("damaged", |file| Box::pin(damaged(file.path())))),
        ),
        (
            "cut off",
            Box::pin(unusable("damaged", |file| Box::pin(cut_off(file.path())))),
        ),
    ])
    .await;
}

fn text(path: &std::path::Path) {
    std::fs::write(path, "Dear diary, today I saw a zebra.\n".repeat(1_000)).unwrap();
}

async fn sql(path: &std::path::Path, sql: &'static str) {
    use sqlx::{ConnectOptions as _, Connection as _};
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let mut file = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut file).await.unwrap();
    file.close().await.unwrap();
}

async fn foreign(path: std::path::PathBuf, tables: &'static str) {
    sql(&path, tables).await;
}

/// A file that the program has made, changed by `change`.
async fn ours(path: std::path::PathBuf, change: &'static str) {
    let stage = Stage::new(hurried()).await;
    let mut server = stage.server().await;
    for n in 0..40 {
        let text = json!({"to": "+14155550123", "text": format!("{n} {}", "zebra ".repeat(200))});
        server.call("sms_send", text).await;
    }
    server.end().await;
    sql(&stage.file.path(), change).await;
    std::fs::copy(stage.file.path(), path).unwrap();
}

async fn damaged(path: std::path::PathBuf) {
    ours(path.clone(), "VACUUM").await;
    let mut bytes = std::fs::read(&path).unwrap();
    // Neither the header nor the schema on the first page: what comes later.
    let (from, to) = (bytes.len() / 4, bytes.len() * 3 / 4);
    bytes[from..to].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}

async fn cut_off(path: std::path::PathBuf) {
    ours(path.clone(), "VACUUM").await;
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

/// All that a process does without a file that it can use.
async fn assert_refuses(server: &mut Server, stage: &Stage, what: &str) {
    let phone = server.phone().await;
    let warnings = phone["warnings"].to_string();
    assert!(
        warnings.contains(what) && warnings.contains("are refused"),
        "{phone}"
    );
    // Limits that cannot be checked are reached.
    assert_eq!(
        phone["daily_seconds_used"], phone["daily_seconds_cap"],
        "{phone}"
    );
    for (tool, request) in [
        ("phone_call_place", order(NOBODY)),
        ("phone_call_place", order_with_key(NOBODY, "k")),
        ("sms_send", json!({"to": "+14155550123", "text": "Hello"})),
        (
            "sms_send_file",
            json!({"to": "+14155550123", "url": "https://example.com/zebra.png"}),
        ),
    ] {
        let why = server.refused(tool, request).await;
        assert!(
            why.contains(what) && why.contains("OPENAGENT_PHONE_DB"),
            "{tool}: {why}"
        );
    }
    assert_eq!(dials(stage), 0);
    assert!(stage.sandbox.messages().is_empty());
    let sid = json!({"sid": "SM00000000000000000000000000000000"});
    let why = server.refused("sms_status", sid).await;
    assert!(why.contains("20404"), "{why}");
}

async fn unusable(what: &str, make: impl Fn(&File) -> Made) {
    let stage = Stage::new(hurried()).await;
    make(&stage.file).await;
    let path = stage.file.path();
    let before = std::fs::read(&path).unwrap();
    let mut server = stage.server().await;
    assert_refuses(&mut server, &stage, what).await;
    server.end().await;
    assert!(
        std::fs::read(&path).unwrap() == before,
        "the file was changed"
    );
    let beside: Vec<_> = std::fs::read_dir(stage.file.folder()).unwrap().collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_cannot_be_used_is_named() {
    side_by_side([
        ("a folder", Box::pin(wrong_path(".", "cannot be opened"))),
        (
            "in a folder that is missing",
            Box::pin(wrong_path("no/such/folder.db", "cannot be opened")),
        ),
        ("locked", Box::pin(locked())),
        ("read-only", Box::pin(read_only())),
        ("private", Box::pin(is_private())),
    ])
    .await;
}

async fn wrong_path(below: &'static str, what: &str) {
    let stage = Stage::new(hurried()).await;
    let path = stage.file.folder().join(below);
    let there = |setup: Setup| setup.env("OPENAGENT_PHONE_DB", path.to_str().unwrap());
    let mut server = stage.server_with(there).await;
    assert_refuses(&mut server, &stage, what).await;
    server.end().await;
    assert_eq!(std::fs::read_dir(stage.file.folder()).unwrap().count(), 0);
}

async fn locked() {
    let stage = Stage::new(hurried()).await;
    stage.server().await.end().await;
    let lock = stage.file.lock().await;
    let mut server = stage.server().await;
    assert_refuses(&mut server, &stage, "locked").await;
    drop(lock);
    let text = json!({"to": "+14155550123", "text": "Hello"});
    server.call("sms_send", text).await;
    server.place(NOBODY).await;
    let phone = server.phone().await;
    assert_eq!(phone["warnings"], json!([]), "{phone}");
}

async fn read_only() {
    let stage = Stage::new(hurried()).await;
    stage.server().await.end().await;
    let folder = stage.file.folder();
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&stage.file.path(), 0o400);
    mode(folder, 0o500);
    // The superuser may do all the same.
    let hindered = std::fs::OpenOptions::new()
        .write(true)
        .open(stage.file.path())
        .is_err();
    if hindered {
        let mut server = stage.server().await;
        assert_refuses(&mut server, &stage, "cannot be written to").await;
        server.end().await;
    }
    mode(folder, 0o700);
}

/// These are other people's numbers and words.
async fn is_private() {
    let stage = Stage::new(hurried()).await;
    let assert_private = || {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(stage.file.folder()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().mode() & 0o777;
            assert_eq!(mode, 0o600, "{entry:?}: {mode:o}");
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        names
    };
    let text = json!({"to": "+14155550123", "text": "Hello"});
    // Whatever the user's mask lets others do.
    let mut server = stage.server_with(|setup| setup.after("umask 000")).await;
    server.call("sms_send", text.clone()).await;
    assert_eq!(
        assert_private(),
        ["phone.db", "phone.db-shm", "phone.db-wal"]
    );
    server.end().await;
    let open = std::fs::Permissions::from_mode(0o664);
    std::fs::set_permissions(stage.file.path(), open).unwrap();
    let mut server = stage.server_with(|setup| setup.after("umask 000")).await;
    server.call("sms_send", text).await;
    assert_private();
    server.end().await;
}
