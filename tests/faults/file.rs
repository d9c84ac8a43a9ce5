//! The file itself, as another program sees it.
#![allow(unreachable_pub)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr};

use crate::support::PATIENCE;

/// Between two looks at the file.
pub const LOOK: Duration = Duration::from_millis(10);

/// A folder that goes with the test, and the file in it.
pub struct File {
    folder: PathBuf,
}

impl File {
    pub fn new() -> Self {
        let folder =
            std::env::temp_dir().join(format!("openagent-faults-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        Self { folder }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.join("phone.db")
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A connection that changes nothing of itself.
    pub async fn open(&self) -> SqliteConnection {
        self.try_open().await.unwrap()
    }

    async fn try_open(&self) -> sqlx::Result<SqliteConnection> {
        let options = SqliteConnectOptions::new().filename(self.path());
        options.busy_timeout(PATIENCE).connect().await
    }

    /// The value that `sql` asks for.
    pub async fn text(&self, sql: &'static str) -> Option<String> {
        let mut file = self.open().await;
        let found = sqlx::query_scalar(sql).fetch_optional(&mut file).await;
        file.close().await.unwrap();
        found.unwrap()
    }

    pub async fn number(&self, sql: &'static str) -> i64 {
        let mut file = self.open().await;
        let found = sqlx::query_scalar(sql).fetch_one(&mut file).await;
        file.close().await.unwrap();
        found.unwrap()
    }

    pub async fn run(&self, sql: impl SqlSafeStr) {
        let mut file = self.open().await;
        sqlx::raw_sql(sql).execute(&mut file).await.unwrap();
        file.close().await.unwrap();
    }

    /// Waits until `sql`, which asks for a number, finds this one. There may be no file yet.
    pub async fn until(&self, what: &str, sql: &'static str, number: i64) {
        let look = async {
            loop {
                if let Ok(mut file) = self.try_open().await {
                    loop {
                        let found = sqlx::query_scalar::<_, i64>(sql);
                        match found.fetch_one(&mut file).await {
                            Ok(found) if found == number => return,
                            Ok(_) => tokio::time::sleep(LOOK).await,
                            Err(_) => break,
                        }
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        crate::soon(what, look).await;
    }

    /// Nobody else can write until this is dropped.
    pub async fn lock(&self) -> SqliteConnection {
        let mut file = self.open().await;
        let lock = sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut file);
        lock.await.unwrap();
        file
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
