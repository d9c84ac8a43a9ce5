//! Opening: a file of ours is brought to the present schema, a new one is made, and anything else
//! is left exactly as it is.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _};

use super::{Place, StoreError};

/// Marks a file as ours (`SQLite`, "PRAGMA `application_id`"): `OAmg`.
const APPLICATION_ID: i32 = 0x4f41_6d67;

/// How long a writer waits for another process's turn to end.
const BUSY: Duration = Duration::from_secs(2);

/// Connections to a file: one that writes, and some that read meanwhile.
const CONNECTIONS: u32 = 4;

/// The schema, step by step. What was released is never changed, only added to.
const STEPS: [(i64, &str, &str); 1] = [(
    1,
    "calls, messages, limits",
    include_str!("migrations/1_calls_messages_limits.sql"),
)];

pub(super) async fn open(place: &Place) -> Result<SqlitePool, StoreError> {
    let options = SqliteConnectOptions::new()
        .busy_timeout(BUSY)
        .foreign_keys(true)
        // What is deleted is overwritten: these are other people's numbers and words.
        .pragma("secure_delete", "ON")
        // KiB for each connection, in place of 2 MiB: what is read twice is little.
        .pragma("cache_size", "-256")
        .disable_statement_logging();
    match place {
        Place::Memory => {
            // Each connection would have a memory of its own, so there is one, for ever.
            let one = SqlitePoolOptions::new()
                .max_connections(1)
                .idle_timeout(None)
                .max_lifetime(None);
            let pool = one.connect_with(options.in_memory(true)).await?;
            migrate(&mut *pool.acquire().await?).await?;
            Ok(pool)
        }
        Place::File(path) => {
            let options = options.filename(path);
            let file = path.clone();
            let identified = tokio::task::spawn_blocking(move || identify(&file)).await;
            identified.unwrap_or(Err(StoreError::Slow))?;
            let mut first = options.clone().connect().await?;
            let checked = prepare(&mut first).await;
            let _ = first.close().await;
            checked?;
            // A commit is on the disk when it returns, so that no power cut forgets a call.
            let options = options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full);
            let pool = SqlitePoolOptions::new()
                .max_connections(CONNECTIONS)
                .acquire_timeout(super::PATIENCE)
                .idle_timeout(Duration::from_secs(60))
                // A disk that fails ends a transaction behind the library's back, which then
                // believes for ever that it goes on, and begins no other.
                .before_acquire(|connection, _| {
                    let is_usable = !connection.is_in_transaction();
                    Box::pin(async move { Ok(is_usable) })
                });
            Ok(pool.connect_with(options).await?)
        }
    }
}

/// Whose file this is, from its first bytes alone (`SQLite`, "Database File Format"): a file of
/// somebody else is not even opened as a database. A new file is made here, for the user alone.
fn identify(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| unopened(&error))?;
    if !file.metadata().map_err(|error| unopened(&error))?.is_file() {
        return Err(StoreError::CannotOpen("it is not a file".to_owned()));
    }
    let mut header = Vec::new();
    let read = file.by_ref().take(100).read_to_end(&mut header);
    read.map_err(|error| unopened(&error))?;
    match (header.get(..16), header.get(68..72)) {
        _ if header.is_empty() => {}
        (Some(b"SQLite format 3\0"), Some(id)) if *id == APPLICATION_ID.to_be_bytes() => {}
        (Some(b"SQLite format 3\0"), _) => return Err(StoreError::Foreign),
        _ => return Err(StoreError::NotADatabase),
    }
    // The files beside it take its permissions.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let only_user = std::fs::Permissions::from_mode(0o600);
        file.set_permissions(only_user)
            .map_err(|error| unopened(&error))?;
    }
    Ok(())
}

fn unopened(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly,
        io::ErrorKind::StorageFull => StoreError::Full,
        kind => StoreError::CannotOpen(kind.to_string()),
    }
}

/// Brings the file up to date. Several processes may do so at once: the lock is taken first, and
/// whoever comes second finds it done.
async fn prepare(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut turn = connection.begin_with("BEGIN EXCLUSIVE").await?;
    let sound: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(&mut *turn)
        .await?;
    if sound != "ok" {
        return Err(StoreError::Damaged);
    }
    migrate(&mut turn).await?;
    turn.commit().await?;
    Ok(())
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("PRAGMA application_id = 1329687911")
        .execute(&mut *connection)
        .await?;
    let steps = STEPS.map(|(version, name, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(version, name.into(), kind, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(steps.to_vec());
    // The library has no lock for SQLite; the caller holds ours.
    migrator.set_locking(false);
    migrator
        .run_direct(None, connection, false)
        .await
        .map_err(|error| match error {
            MigrateError::VersionMissing(_) => StoreError::Newer,
            MigrateError::VersionMismatch(_) | MigrateError::Dirty(_) => StoreError::Changed,
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => StoreError::Failed(other.to_string()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_the_one_that_is_set() {
        assert_eq!(APPLICATION_ID, 1_329_687_911);
    }
}
