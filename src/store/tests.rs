use std::sync::Arc;

use chrono::TimeDelta;
use tokio::time::Instant;

use super::calls::{Closing, Filter, LineState, Saved};
use super::erase::Erased;
use super::keys::{Key, KeyReused};
use super::limits::{NewCall, Refused, Reserved};
use super::messages::{Counted, NewMessage, SentBefore};
use super::processes::Watch;
use super::*;
use crate::call::record::{Brief, hint};
use crate::call::snapshot::{Cost, Direction, Line, Outcome, Role, Snapshot, Status};
use crate::cost::prices::Prices;
use crate::cost::{Bill, Unpriced};
use crate::phone::E164;
use crate::safety::budget::{Limits, OverBudget};
use crate::twilio::rest::MessageResource;

const LIMITS: Limits = Limits {
    daily: Duration::from_secs(1_000),
    daily_calls_per_number: 2,
    daily_sms: 2,
    concurrent: 3,
    daily_cost: None,
};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("openagent-store-{}", Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("phone.db")
    }

    fn store(&self) -> Store {
        Store::new(Place::File(self.file()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn at(hours: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_057_600, 0).unwrap() + TimeDelta::hours(hours)
}

fn number(last: u8) -> E164 {
    E164::parse(&format!("+39061234567{last}")).unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn brief(to: u8, seconds: u64) -> Brief {
    Brief {
        to: number(to),
        from: E164::parse("+15005550006").unwrap(),
        mission: "Ask for Ada.".into(),
        language: "it-IT".parse().unwrap(),
        max_duration: secs(seconds),
    }
}

async fn reserve(store: &Store, to: u8, seconds: u64, hour: i64) -> Result<Reserved, Refused> {
    reserve_as(store, to, seconds, hour, None).await
}

async fn reserve_as(
    store: &Store,
    to: u8,
    seconds: u64,
    hour: i64,
    key: Option<&Key>,
) -> Result<Reserved, Refused> {
    let new = NewCall {
        brief: &brief(to, seconds),
        account: "AC1",
        key,
        overhead: secs(180),
        worst: Err(Unpriced::Model),
    };
    store.reserve_call(new, &LIMITS, at(hour)).await
}

fn id(reserved: Result<Reserved, Refused>) -> Uuid {
    match reserved {
        Ok(Reserved::New(id, _)) => id,
        other => panic!("{other:?}"),
    }
}

/// A call as its session would have it written down.
fn saved(id: Uuid, status: Status, line: LineState) -> Saved {
    Saved {
        snapshot: Snapshot {
            call_id: id.to_string(),
            twilio_sid: Some("CA1".to_owned()),
            direction: Direction::Outbound,
            to: number(1).as_str().to_owned(),
            from: "+15005550006".to_owned(),
            mission: "Ask for Ada.".into(),
            language: "it-IT".to_owned(),
            status,
            transcript: Vec::new(),
            notes: vec!["Tuesday".to_owned()],
            summary: None,
            outcome: status.is_final().then_some(Outcome::Partial),
            error: None,
            started_at: at(0),
            answered_at: Some(at(0)),
            ended_at: None,
            pending_question: None,
            cost: None,
            latency: None,
            disclosed_at: None,
            duration_s: 12.3,
            revision: 7,
            hint: hint(status, 7),
        },
        lines: vec![(3, said("How can I help?"))],
        history: vec![(Status::Initiated, at(0))],
        line,
        settled: None,
        usage: None,
        bill: None,
        charge: None,
    }
}

fn said(text: &str) -> Line {
    Line {
        t: at(0),
        role: Role::Caller,
        text: text.to_owned(),
    }
}

#[tokio::test]
async fn a_call_is_found_again_as_it_was_written() {
    let folder = Folder::new();
    let store = folder.store();
    let id = id(reserve(&store, 1, 600, 0).await);
    store.dialling(id).await.unwrap();
    let live = saved(id, Status::InProgress, LineState::Open);
    assert!(store.save(&[live]).await.unwrap().is_empty());
    let mut more = saved(id, Status::Completed, LineState::Over);
    more.lines = vec![(3, said("How can I help you?")), (1, said("Hello?"))];
    more.snapshot.notes.push("at nine".to_owned());
    more.settled = Some(secs(12));
    store.save(std::slice::from_ref(&more)).await.unwrap();
    drop(store);

    let found = folder.store().call(id).await.unwrap().unwrap();
    let mut expected = more.snapshot;
    expected.transcript = vec![said("Hello?"), said("How can I help you?")];
    assert_eq!(found.snapshot, expected);
    assert_eq!(found.line, LineState::Over);
    assert_eq!(found.max_duration, secs(600));
    let listed = folder
        .store()
        .list(&Filter {
            limit: 9,
            ..Filter::default()
        })
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].outcome, Some(Outcome::Partial));
}

#[tokio::test]
async fn reservations_of_all_processes_count_and_each_is_settled_once() {
    let folder = Folder::new();
    let (one, other) = (folder.store(), folder.store());
    let first = id(reserve(&one, 1, 960, 0).await);
    let second = reserve(&other, 2, 600, 0).await.unwrap();
    let Reserved::New(second, granted) = second else {
        panic!("{second:?}")
    };
    assert_eq!(granted, secs(40), "what is left");
    other.settle(second, secs(20), None).await.unwrap();
    other.settle(second, secs(20), None).await.unwrap();
    one.settle(first, secs(100), None).await.unwrap();
    let used = other.used(at(0)).await.unwrap();
    assert_eq!((used.time, used.in_flight), (secs(120), 0));
    assert_eq!(one.used(at(24)).await.unwrap().time, secs(0), "a new day");
}

#[tokio::test]
async fn a_call_over_midnight_is_charged_to_its_day() {
    let store = Store::new(Place::Memory);
    let night = id(reserve(&store, 1, 900, 0).await);
    let used = store.used(at(24)).await.unwrap();
    assert_eq!((used.time, used.in_flight), (secs(0), 1));
    id(reserve(&store, 1, 600, 24).await);
    store.settle(night, secs(900), None).await.unwrap();
    assert_eq!(store.used(at(24)).await.unwrap().time, secs(600));
    assert_eq!(store.used(at(0)).await.unwrap().time, secs(900));
    let refused = reserve(&store, 2, 60, 0).await.unwrap_err();
    assert!(
        matches!(
            refused,
            Refused::OverBudget(OverBudget::ClockWentBack { .. })
        ),
        "a limit that cannot be checked is reached: {refused}"
    );
}

#[tokio::test]
async fn what_was_never_dialled_leaves_no_trace_and_what_was_counts() {
    let store = Store::new(Place::Memory);
    let key = Key::new("tool", "key", "arguments");
    let never = id(reserve_as(&store, 1, 60, 0, Some(&key)).await);
    store.forget_call(never).await.unwrap();
    assert_eq!(store.call(never).await.unwrap(), None);
    let first = id(reserve_as(&store, 1, 60, 0, Some(&key)).await);
    let second = id(reserve(&store, 1, 60, 0).await);
    for call in [first, second] {
        store.settle(call, secs(0), None).await.unwrap();
    }
    let refused = reserve(&store, 1, 60, 0).await.unwrap_err();
    assert_eq!(refused, Refused::OverBudget(OverBudget::CallsToNumber(2)));
    assert_eq!(
        reserve_as(&store, 1, 60, 0, Some(&key)).await.unwrap(),
        Reserved::Before(first),
        "a repeated request is no new call"
    );
}

#[tokio::test]
async fn a_key_is_known_to_every_process_for_a_day() {
    let folder = Folder::new();
    let key = Key::new("tool", "key", "arguments");
    let first = id(reserve_as(&folder.store(), 1, 60, 0, Some(&key)).await);
    let store = folder.store();
    let again = reserve_as(&store, 1, 60, 23, Some(&key)).await.unwrap();
    assert_eq!(again, Reserved::Before(first));
    let other = Key::new("tool", "key", "other arguments");
    let refused = reserve_as(&store, 1, 60, 1, Some(&other))
        .await
        .unwrap_err();
    assert_eq!(refused, Refused::KeyReused(KeyReused));
    let elsewhere = Key::new("other tool", "key", "other arguments");
    id(reserve_as(&store, 1, 60, 1, Some(&elsewhere)).await);
    assert_ne!(id(reserve_as(&store, 1, 60, 24, Some(&key)).await), first);
}

#[tokio::test]
async fn a_call_that_was_not_written_down_must_not_be_dialled() {
    let store = Store::new(Place::Memory);
    assert!(store.dialling(Uuid::new_v4()).await.is_err());
    let call = id(reserve(&store, 1, 60, 0).await);
    store.dialling(call).await.unwrap();
    assert!(store.dialling(call).await.is_err(), "once is enough");
    // What a slower writer knew before does not take that back.
    store
        .save(&[saved(call, Status::Initiated, LineState::None)])
        .await
        .unwrap();
    assert_eq!(
        store.call(call).await.unwrap().unwrap().line,
        LineState::Dialling
    );
}

#[tokio::test]
async fn messages_are_counted_and_kept_and_given_back() {
    let store = Store::new(Place::Memory);
    let (to, from) = (number(1), number(2));
    let key = Key::new("sms", "key", "arguments");
    let count = async |hour, key| {
        let new = NewMessage {
            to: &to,
            from: &from,
            text: Some("Hello"),
            media_url: None,
            cost: Err(Unpriced::Sms),
            key,
        };
        store.count_message(new, &LIMITS, at(hour)).await
    };
    let new = |counted: Result<Counted, Refused>| match counted {
        Ok(Counted::New(id)) => id,
        other => panic!("{other:?}"),
    };
    let refused = new(count(0, Some(&key)).await);
    store.forget_message(refused).await.unwrap();
    let sent = new(count(0, Some(&key)).await);
    let resource = MessageResource {
        sid: "SM1".to_owned(),
        status: Some("queued".to_owned()),
        to: Some(to.as_str().to_owned()),
        from: Some(from.as_str().to_owned()),
        num_segments: Some(1),
        ..MessageResource::default()
    };
    store.message_accepted(sent, &resource, None).await.unwrap();
    let again = count(0, Some(&key)).await.unwrap();
    assert_eq!(again, Counted::Before(SentBefore::Accepted(resource)));
    let lost = new(count(0, None).await);
    store.message_unknown(lost).await.unwrap();
    let refused = count(0, None).await.unwrap_err();
    assert_eq!(refused, Refused::OverBudget(OverBudget::Sms(2)));
    new(count(24, None).await);
}

#[tokio::test]
async fn lists_are_newest_first_and_filtered() {
    let store = Store::new(Place::Memory);
    let mut calls = Vec::new();
    for (hour, to, status) in [
        (0, 1, Status::Completed),
        (1, 2, Status::Busy),
        (2, 1, Status::Busy),
    ] {
        let call = id(reserve(&store, to, 60, hour).await);
        store.dialling(call).await.unwrap();
        store
            .save(&[saved(call, status, LineState::Over)])
            .await
            .unwrap();
        store.settle(call, secs(0), None).await.unwrap();
        calls.push(call.to_string());
    }
    id(reserve(&store, 3, 60, 3).await);
    let all = Filter {
        limit: 10,
        ..Filter::default()
    };
    let list = async |filter: Filter| {
        let listed = store.list(&filter).await.unwrap();
        listed
            .into_iter()
            .map(|call| call.call_id)
            .collect::<Vec<_>>()
    };
    let [a, b, c] = [0, 1, 2].map(|n: usize| calls[n].clone());
    assert_eq!(
        list(all.clone()).await,
        [&c, &b, &a].map(Clone::clone),
        "not what is not dialled"
    );
    assert_eq!(
        list(Filter {
            limit: 1,
            ..all.clone()
        })
        .await,
        std::slice::from_ref(&c)
    );
    let busy = Filter {
        status: Some(Status::Busy),
        ..all.clone()
    };
    assert_eq!(list(busy).await, [c.clone(), b.clone()]);
    let to = Filter {
        to: Some(number(1).as_str().to_owned()),
        ..all.clone()
    };
    assert_eq!(list(to).await, [c, a]);
    assert_eq!(
        list(Filter {
            after: Some(at(2)),
            ..all
        })
        .await,
        [""; 0]
    );
}

#[tokio::test]
async fn an_erased_call_is_not_in_the_file_and_its_time_stays_counted() {
    let folder = Folder::new();
    let store = folder.store();
    let key = Key::new("tool", "call +390612345671", "arguments");
    let call = id(reserve_as(&store, 1, 60, 0, Some(&key)).await);
    store.dialling(call).await.unwrap();
    store
        .save(&[saved(call, Status::InProgress, LineState::Open)])
        .await
        .unwrap();
    assert_eq!(store.erase(call).await.unwrap(), Erased::Live);
    let mut end = saved(call, Status::Completed, LineState::Over);
    end.settled = Some(secs(17));
    store.save(std::slice::from_ref(&end)).await.unwrap();
    let content = || {
        let files = std::fs::read_dir(&folder.0).unwrap();
        let bytes = files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap());
        String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
    };
    let personal = ["0612345671", "Ask for Ada", "How can I help", "Tuesday"];
    assert!(personal.iter().all(|text| content().contains(text)));
    assert_eq!(store.erase(call).await.unwrap(), Erased::Gone);
    let left: Vec<_> = personal
        .into_iter()
        .filter(|text| content().contains(text))
        .collect();
    assert_eq!(left, [""; 0]);
    assert_eq!(store.erase(call).await.unwrap(), Erased::Unknown);
    // Late words do not bring it back.
    assert_eq!(store.save(&[end]).await.unwrap(), [call.to_string()]);
    assert_eq!(store.call(call).await.unwrap(), None);
    let used = store.used(at(0)).await.unwrap();
    assert_eq!(used.time, secs(17));
    // Nor is the key free again, or the number forgotten.
    let again = reserve_as(&store, 1, 60, 0, Some(&key)).await.unwrap();
    assert_eq!(again, Reserved::Before(call));
    id(reserve(&store, 1, 60, 0).await);
    assert!(reserve(&store, 1, 60, 0).await.is_err());
}

#[tokio::test]
async fn what_is_too_old_is_erased_and_what_is_open_stays() {
    let folder = Folder::new();
    let store = folder.store();
    let mut calls = Vec::new();
    for (hour, line) in [
        (0, LineState::Over),
        (1, LineState::Open),
        (48, LineState::Over),
    ] {
        let call = id(reserve(&store, 1, 60, hour).await);
        store.dialling(call).await.unwrap();
        let mut end = saved(call, Status::Completed, line);
        end.settled = Some(secs(1));
        store.save(&[end]).await.unwrap();
        calls.push(call);
    }
    store.purge(at(24), at(50)).await.unwrap();
    assert_eq!(store.call(calls[0]).await.unwrap(), None);
    assert!(store.call(calls[1]).await.unwrap().is_some());
    assert!(store.call(calls[2]).await.unwrap().is_some());
    assert_eq!(store.used(at(50)).await.unwrap().time, secs(1));
}

#[tokio::test]
async fn the_calls_of_a_process_that_stands_still_are_taken_over_once() {
    let folder = Folder::new();
    let (dead, one, other) = (folder.store(), folder.store(), folder.store());
    let call = id(reserve(&dead, 1, 60, 0).await);
    dead.dialling(call).await.unwrap();
    let mut watches = (Watch::default(), Watch::default());
    let start = Instant::now();
    let take = async |store: &Store, watch: &mut Watch, seconds| {
        let now = (start + secs(seconds), at(0));
        store.take_over(watch, "AC1", now).await.unwrap()
    };
    assert_eq!(take(&one, &mut watches.0, 0).await, []);
    assert_eq!(take(&other, &mut watches.1, 0).await, []);
    dead.beat().await.unwrap();
    assert_eq!(take(&one, &mut watches.0, 6).await, [], "it lives");
    assert_eq!(
        take(&one, &mut watches.0, 10).await,
        [],
        "not for long enough"
    );
    assert_eq!(take(&one, &mut watches.0, 11).await.len(), 1);
    assert_eq!(take(&other, &mut watches.1, 11).await, [], "once");
    // The one that stood still learns that the call is not its own any more.
    let strangers = dead
        .save(&[saved(call, Status::InProgress, LineState::Open)])
        .await;
    assert_eq!(strangers.unwrap(), [call.to_string()]);
    let closing = Closing {
        status: Status::Failed,
        error: "process ended during the call".to_owned(),
        answered_at: None,
        ended_at: None,
        duration: secs(7),
        used: secs(7),
    };
    one.close_call(call, &closing, at(1)).await.unwrap();
    let closed = other.call(call).await.unwrap().unwrap();
    assert_eq!(closed.snapshot.status, Status::Failed);
    assert_eq!(closed.line, LineState::Over);
    let used = other.used(at(0)).await.unwrap();
    assert_eq!((used.time, used.in_flight), (secs(7), 0));
}

#[tokio::test]
async fn the_calls_of_another_account_wait_until_they_must_be_over() {
    let folder = Folder::new();
    let (dead, store) = (folder.store(), folder.store());
    let call = id(reserve(&dead, 1, 60, 0).await);
    let mut watch = Watch::default();
    let start = Instant::now();
    for (seconds, hour, expected) in [(0, 0, 0), (9, 0, 0), (18, 1, 1)] {
        let now = (start + secs(seconds), at(hour));
        let taken = store.take_over(&mut watch, "AC2", now).await.unwrap();
        assert_eq!(taken.len(), expected, "{call} after {seconds} s");
    }
}

/// `SQLite` itself, as another program would use it.
async fn raw(file: &std::path::Path) -> sqlx::SqliteConnection {
    use sqlx::ConnectOptions as _;
    let options = sqlx::sqlite::SqliteConnectOptions::new();
    options
        .filename(file)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap()
}

#[tokio::test]
async fn files_of_others_are_left_exactly_as_they_are() {
    let cases: [(&str, &[&'static str], StoreError); 3] = [
        (
            "another program's",
            &["PRAGMA application_id = 7", "CREATE TABLE t (x)"],
            StoreError::Foreign,
        ),
        ("nobody's", &["CREATE TABLE t (x)"], StoreError::Foreign),
        ("no database", &[], StoreError::NotADatabase),
    ];
    for (what, statements, expected) in cases {
        let folder = Folder::new();
        if statements.is_empty() {
            std::fs::write(folder.file(), "Dear diary, today nothing happened.").unwrap();
        }
        for statement in statements {
            let mut connection = raw(&folder.file()).await;
            sqlx::query(*statement)
                .execute(&mut connection)
                .await
                .unwrap();
        }
        let before = std::fs::read(folder.file()).unwrap();
        let store = folder.store();
        let refused = reserve(&store, 1, 60, 0).await.unwrap_err();
        assert_eq!(refused, Refused::Unchecked(expected.clone()), "{what}");
        assert_eq!(store.trouble(), Some(expected), "{what}");
        assert!(std::fs::read(folder.file()).unwrap() == before, "{what}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_not_touched_and_a_changed_one_is_noticed() {
    for (statement, expected) in [
        (
            "INSERT INTO _sqlx_migrations VALUES (99, 'later', '', 1, x'00', 0)",
            StoreError::Newer,
        ),
        (
            "UPDATE _sqlx_migrations SET checksum = x'00'",
            StoreError::Changed,
        ),
    ] {
        let folder = Folder::new();
        folder.store().open().await.unwrap();
        sqlx::query(statement)
            .execute(&mut raw(&folder.file()).await)
            .await
            .unwrap();
        assert_eq!(folder.store().open().await.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn a_damaged_file_is_noticed() {
    let folder = Folder::new();
    folder.store().open().await.unwrap();
    let mut connection = raw(&folder.file()).await;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut connection)
        .await
        .unwrap();
    drop(connection);
    let mut bytes = std::fs::read(folder.file()).unwrap();
    let middle = bytes.len() / 2;
    bytes[4_096..middle].fill(0x5a);
    std::fs::write(folder.file(), &bytes).unwrap();
    let _ = std::fs::remove_file(folder.0.join("phone.db-wal"));
    assert_eq!(
        folder.store().open().await.unwrap_err(),
        StoreError::Damaged
    );
    assert!(std::fs::read(folder.file()).unwrap() == bytes);
}

#[tokio::test]
async fn a_lock_is_waited_for_a_little_and_then_named() {
    let folder = Folder::new();
    let store = folder.store();
    store.open().await.unwrap();
    let mut holder = raw(&folder.file()).await;
    sqlx::query("BEGIN EXCLUSIVE")
        .execute(&mut holder)
        .await
        .unwrap();
    let refused = reserve(&store, 1, 60, 0).await.unwrap_err();
    assert_eq!(refused, Refused::Unchecked(StoreError::Locked));
    sqlx::query("ROLLBACK").execute(&mut holder).await.unwrap();
    id(reserve(&store, 1, 60, 0).await);
    assert_eq!(store.trouble(), None);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_user_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let store = folder.store();
    id(reserve(&store, 1, 60, 0).await);
    let mode = |file: std::fs::DirEntry| file.metadata().unwrap().permissions().mode() & 0o777;
    let modes = || -> Vec<u32> {
        let files = std::fs::read_dir(&folder.0).unwrap();
        files.map(|file| mode(file.unwrap())).collect()
    };
    assert!(modes().len() >= 2, "the log beside it, too");
    assert!(modes().iter().all(|mode| *mode == 0o600), "{:?}", modes());
    drop(store);
    let loose = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(folder.file(), loose).unwrap();
    folder.store().open().await.unwrap();
    assert!(modes().iter().all(|mode| *mode == 0o600), "{:?}", modes());
}

#[tokio::test]
async fn in_memory_nothing_is_written_anywhere() {
    let store = Arc::new(Store::new(Place::Memory));
    let tasks: Vec<_> = (0..4)
        .map(|to| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { reserve(&store, to, 60, 0).await.is_ok() })
        })
        .collect();
    let mut placed = 0;
    for task in tasks {
        placed += usize::from(task.await.unwrap());
    }
    assert_eq!(placed, 3, "one memory for all connections");
    assert!(!store.is_shared());
}

#[tokio::test]
async fn what_was_given_up_on_is_taken_back_with_the_next_write() {
    let folder = Folder::new();
    let store = folder.store();
    let key = Key::new("phone_call_place", "k", "a");
    // Refused, because the disk did not answer in time; then it did.
    let late = id(reserve_as(&store, 1, 600, 0, Some(&key)).await);
    store.abandon(late);
    assert_eq!(store.used(at(0)).await.unwrap().in_flight, 1);
    store.beat().await.unwrap();
    let used = store.used(at(0)).await.unwrap();
    assert_eq!((used.in_flight, used.time), (0, Duration::ZERO));
    assert!(store.call(late).await.unwrap().is_none());
    let again = id(reserve_as(&store, 1, 600, 0, Some(&key)).await);
    assert_ne!(again, late, "the key is free");
    // Once is enough: what came later stays.
    store.beat().await.unwrap();
    assert_eq!(store.used(at(0)).await.unwrap().in_flight, 1);
}

/// A call to the United States, of at most so long; what it may cost, is.
fn priced(brief: &Brief) -> NewCall<'_> {
    let us = E164::parse("+14155550142").unwrap();
    let tariff = Prices::built_in().tariff("gpt-realtime-2.1", "gpt-transcribe", &us, true);
    NewCall {
        brief,
        account: "AC1",
        key: None,
        overhead: secs(180),
        worst: tariff.worst_case(),
    }
}

fn capped(dollars: u64) -> Limits {
    Limits {
        daily_cost: Some(MicroUsd::new(dollars * 1_000_000)),
        daily: secs(86_400),
        daily_calls_per_number: 1_000,
        concurrent: 1_000,
        ..LIMITS
    }
}

/// 10 min at the built-in prices; `src/cost/tests.rs` adds it up.
const TEN_MINUTES: u64 = 2_147_250 + 168_800 + 198_000 + 7_500;

#[tokio::test]
async fn what_calls_may_cost_never_exceeds_the_day_whoever_asks_at_once() {
    let folder = Folder::new();
    let stores = [Arc::new(folder.store()), Arc::new(folder.store())];
    let mut asking = tokio::task::JoinSet::new();
    for round in 0..12 {
        let store = Arc::clone(&stores[round % 2]);
        asking.spawn(async move {
            let brief = brief(1, 600);
            store.reserve_call(priced(&brief), &capped(8), at(0)).await
        });
    }
    let mut granted = Vec::new();
    while let Some(done) = asking.join_next().await {
        match done.unwrap() {
            Ok(Reserved::New(id, _)) => granted.push(id),
            Err(Refused::OverBudget(OverBudget::Cost { .. })) => {}
            other => panic!("{other:?}"),
        }
    }
    // Three times 2.52155 fit into 8, four times do not.
    assert_eq!(granted.len(), 3);
    let held = MicroUsd::new(3 * TEN_MINUTES);
    assert_eq!(stores[0].used(at(0)).await.unwrap().cost, held);
    assert_eq!(stores[1].used(at(24)).await.unwrap().cost, MicroUsd::ZERO);

    // What was not spent is given back, and what was is still known after a restart.
    let spent = MicroUsd::new(300_000);
    for call in granted {
        stores[0].settle(call, secs(60), Some(spent)).await.unwrap();
    }
    drop(stores);
    let store = folder.store();
    assert_eq!(store.used(at(0)).await.unwrap().cost, spent.times(3));
    let brief = brief(1, 600);
    let again = |dollars| {
        let limits = capped(dollars);
        let store = &store;
        let new = priced(&brief);
        async move { store.reserve_call(new, &limits, at(0)).await }
    };
    let refused = again(3).await.unwrap_err();
    let (needed, left) = (MicroUsd::new(TEN_MINUTES), MicroUsd::new(2_100_000));
    let cap = MicroUsd::new(3_000_000);
    assert_eq!(
        refused,
        Refused::OverBudget(OverBudget::Cost { needed, left, cap })
    );
    again(4).await.unwrap();
}

#[tokio::test]
async fn a_cost_that_turns_out_to_be_another_replaces_what_was_charged() {
    let store = Store::new(Place::Memory);
    let brief = brief(1, 600);
    let call = id(store.reserve_call(priced(&brief), &capped(9), at(0)).await);
    store.dialling(call).await.unwrap();
    let cost = async || store.used(at(0)).await.unwrap().cost.micros();
    let write = async |line, settled, bill: Option<(u64, u64)>, charge: Option<u64>| {
        let mut saved = saved(call, Status::InProgress, line);
        saved.settled = settled;
        saved.bill = bill.map(|(model, carrier)| Bill {
            model: MicroUsd::new(model),
            carrier: MicroUsd::new(carrier),
            estimated: false,
        });
        saved.charge = charge.map(MicroUsd::new);
        store.save(&[saved]).await.unwrap();
    };
    write(LineState::Open, None, Some((1, 2)), Some(3)).await;
    assert_eq!(cost().await, TEN_MINUTES, "it holds its share");
    write(LineState::Open, None, Some((5_000_000, 0)), Some(5_000_000)).await;
    assert_eq!(cost().await, 5_000_000, "and more if it has cost more");
    write(LineState::Over, Some(secs(60)), Some((70, 30)), Some(150)).await;
    assert_eq!(cost().await, 150);
    write(LineState::Over, Some(secs(60)), Some((80, 20)), Some(100)).await;
    assert_eq!(cost().await, 100);
    let found = store.call(call).await.unwrap().unwrap();
    let shown = found.snapshot.cost.unwrap();
    assert_eq!(
        shown,
        Cost::from(Bill {
            model: MicroUsd::new(80),
            carrier: MicroUsd::new(20),
            estimated: false,
        })
    );
    let all = Filter {
        limit: 9,
        ..Filter::default()
    };
    let listed = store.list(&all).await.unwrap();
    assert_eq!(listed[0].cost_usd, Some(0.0001));
}

#[tokio::test]
async fn a_call_whose_cost_nobody_knows_has_used_all_of_its_share() {
    let store = Store::new(Place::Memory);
    let brief = brief(1, 600);
    let call = id(store.reserve_call(priced(&brief), &capped(9), at(0)).await);
    store.settle(call, secs(1), None).await.unwrap();
    store.settle(call, secs(1), None).await.unwrap();
    let used = store.used(at(0)).await.unwrap();
    assert_eq!(used.cost, MicroUsd::new(TEN_MINUTES));
    // Erased, the money stays counted.
    let ended = saved(call, Status::Completed, LineState::Over);
    store.save(&[ended]).await.unwrap();
    assert_eq!(store.erase(call).await.unwrap(), Erased::Gone);
    assert_eq!(store.used(at(0)).await.unwrap().cost, used.cost);
}

#[tokio::test]
async fn messages_share_the_money_of_the_day() {
    let store = Store::new(Place::Memory);
    let (to, from) = (number(1), number(2));
    let count = async |cost: Result<u64, Unpriced>, limits: &Limits| {
        let new = NewMessage {
            to: &to,
            from: &from,
            text: Some("Hello"),
            media_url: None,
            cost: cost.map(MicroUsd::new),
            key: None,
        };
        store.count_message(new, limits, at(0)).await
    };
    let limits = Limits {
        daily_cost: Some(MicroUsd::new(30_000)),
        daily_sms: 100,
        ..LIMITS
    };
    let Ok(Counted::New(first)) = count(Ok(8_000), &limits).await else {
        panic!("refused")
    };
    let Ok(Counted::New(second)) = count(Ok(8_000), &limits).await else {
        panic!("refused")
    };
    // It had two segments, says Twilio; the other was not sent.
    let sent = MessageResource::default();
    let twice = Some(MicroUsd::new(16_000));
    store.message_accepted(first, &sent, twice).await.unwrap();
    store.forget_message(second).await.unwrap();
    let used = store.used(at(0)).await.unwrap();
    assert_eq!(used.cost, MicroUsd::new(16_000));
    let refused = count(Ok(14_001), &limits).await.unwrap_err();
    assert!(matches!(
        refused,
        Refused::OverBudget(OverBudget::Cost { .. })
    ));
    let refused = count(Err(Unpriced::Sms), &limits).await.unwrap_err();
    let unpriced = OverBudget::Unpriced(Unpriced::Sms);
    assert_eq!(refused, Refused::OverBudget(unpriced));
    assert!(count(Err(Unpriced::Sms), &LIMITS).await.is_ok());
}
