//! A file to be sent: checked before anything leaves the machine, and streamed, never read whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use url::Url;

use super::error::ChannelError;

/// For looking at a file and opening it: a network drive may never answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Read from a file at once.
const CHUNK: usize = 64 * 1024;

/// The longest file name that is passed on, in characters.
const LONGEST_NAME: usize = 200;

/// Where a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file of this machine.
    Path(PathBuf),
    /// A file of the web.
    Url(Url),
}

impl Source {
    /// Exactly one of the two. An empty text is none: models like to fill in every argument.
    ///
    /// # Errors
    ///
    /// [`ChannelError::Argument`] for none, both, or what is no URL.
    pub fn new(path: Option<String>, url: Option<&str>) -> Result<Self, ChannelError> {
        let path = path.filter(|path| !path.is_empty());
        match (path, url.filter(|url| !url.is_empty())) {
            (Some(path), None) => Ok(Self::Path(path.into())),
            (None, Some(url)) => match Url::parse(url) {
                Ok(url) if matches!(url.scheme(), "https" | "http") && url.host().is_some() => {
                    Ok(Self::Url(url))
                }
                _ => Err(ChannelError::Argument(
                    "url must be an https:// URL that can be fetched without a login; for a file of \
                     this machine, give path."
                        .into(),
                )),
            },
            (None, None) => Err(ChannelError::Argument(
                "Give the file as path (absolute, on this machine) or as url.".into(),
            )),
            (Some(_), Some(_)) => Err(ChannelError::Argument(
                "Give either path or url, not both.".into(),
            )),
        }
    }
}

/// Why a local file cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It would depend on where the server was started.
    #[error("path must be absolute, and {path:?} is not: write the whole path, from the root.")]
    Relative {
        /// As it was given.
        path: PathBuf,
    },
    /// There is nothing.
    #[error(
        "There is no file {path:?}: check the path; it is read on the machine on which this server runs."
    )]
    Missing {
        /// As it was given.
        path: PathBuf,
    },
    /// A directory, a pipe, a device.
    #[error("{path:?} is {what}, not a regular file: only files can be sent.")]
    NotAFile {
        /// As it was given.
        path: PathBuf,
        /// What it is, with its article.
        what: &'static str,
    },
    /// There is something, and we may not read it.
    #[error("{path:?} cannot be read ({why}): check its permissions.")]
    Unreadable {
        /// As it was given.
        path: PathBuf,
        /// In the words of the operating system.
        why: String,
    },
    /// Providers refuse it. What the system makes up when it is read (`/proc`) looks like this, too.
    #[error("{path:?} is empty: there is nothing to send.")]
    Empty {
        /// As it was given.
        path: PathBuf,
    },
    /// Beyond the provider's limit.
    #[error("{what} has {}, and {limit_of} takes at most {}: make it smaller, or send a link to it.", megabytes(*length), megabytes(*limit))]
    TooLarge {
        /// The file, for the beginning of a sentence.
        what: String,
        /// Bytes it has, or had so far.
        length: u64,
        /// Whose limit, as in "Telegram takes".
        limit_of: &'static str,
        /// Bytes it may have.
        limit: u64,
    },
    /// Somebody wrote to it while it was sent.
    #[error(
        "{path:?} changed while it was being sent, so nothing was delivered: send it when it is complete."
    )]
    Changed {
        /// As it was given.
        path: PathBuf,
    },
}

/// Bytes as people read them, with enough digits to tell a file from its limit.
fn megabytes(bytes: u64) -> String {
    const MB: u64 = 1024 * 1024;
    if bytes.is_multiple_of(MB) {
        format!("{} MB", bytes / MB)
    } else {
        format!("{bytes} bytes")
    }
}

/// A size limit and whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// As in "Telegram takes".
    pub(super) of: &'static str,
    /// Bytes.
    pub(super) bytes: u64,
}

impl Limit {
    pub(super) fn check(self, what: impl FnOnce() -> String, length: u64) -> Result<(), FileError> {
        if length > self.bytes {
            return Err(FileError::TooLarge {
                what: what(),
                length,
                limit_of: self.of,
                limit: self.bytes,
            });
        }
        Ok(())
    }
}

/// A local file that was there, regular and of a size that can be sent.
#[derive(Debug, Clone)]
pub(super) struct LocalFile {
    path: PathBuf,
    /// Without directories; fit for a header.
    pub(super) name: String,
    /// Bytes.
    pub(super) length: u64,
}

impl LocalFile {
    pub(super) async fn find(path: &Path) -> Result<Self, FileError> {
        let path = path.to_owned();
        if !path.is_absolute() {
            return Err(FileError::Relative { path });
        }
        let found = in_time(tokio::fs::metadata(&path)).await;
        let found = found.map_err(|error| failure(&path, &error))?;
        let kind = found.file_type();
        if !kind.is_file() {
            let what = if kind.is_dir() {
                "a directory"
            } else {
                "a pipe, a socket or a device"
            };
            return Err(FileError::NotAFile { path, what });
        }
        if found.len() == 0 {
            return Err(FileError::Empty { path });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self {
            name: fit_name(&name),
            length: found.len(),
            path,
        })
    }

    pub(super) fn check(&self, limit: Limit) -> Result<(), FileError> {
        limit.check(|| format!("\"{}\"", self.path.display()), self.length)
    }

    /// Opens it and begins to read. It must still be what was found.
    pub(super) async fn open(&self) -> Result<(reqwest::Body, Arc<Progress>), FileError> {
        let path = &self.path;
        let opened = in_time(async {
            let file = File::open(path).await?;
            let metadata = file.metadata().await?;
            Ok((file, metadata))
        });
        let (file, metadata) = opened.await.map_err(|error| failure(path, &error))?;
        if !metadata.is_file() || metadata.len() != self.length {
            return Err(FileError::Changed { path: path.clone() });
        }
        let progress = Arc::new(Progress::default());
        let reading = Reading {
            file,
            path: path.clone(),
            left: self.length,
            progress: Arc::clone(&progress),
        };
        Ok((reqwest::Body::wrap_stream(reading.stream()), progress))
    }
}

async fn in_time<T>(looking: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(OPEN_TIMEOUT, looking)
        .await
        .unwrap_or_else(|_| Err(io::Error::other("it takes too long")))
}

fn failure(path: &Path, error: &io::Error) -> FileError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => FileError::Missing { path },
        _ => FileError::Unreadable {
            path,
            why: error.to_string(),
        },
    }
}

/// A name that can stand in a header and on any file system.
pub(super) fn fit_name(name: &str) -> String {
    let length = name.chars().count();
    // What is too long loses its beginning: the end says what kind of file it is.
    name.chars()
        .skip(length.saturating_sub(LONGEST_NAME))
        .map(|c| {
            if c.is_control() || "\"\\/:*?<>|".contains(c) {
                '_'
            } else {
                c
            }
        })
        .collect()
}

/// The ending of a file name, in lower case.
pub(super) fn extension(name: &str) -> Option<String> {
    let extension = Path::new(name).extension()?.to_str()?;
    Some(extension.to_ascii_lowercase())
}

/// How far the streaming of a file has come, for whoever must judge a request that failed.
#[derive(Debug, Default)]
pub(super) struct Progress {
    finished: AtomicBool,
    fault: OnceLock<ChannelError>,
}

impl Progress {
    /// All of the file was handed to the connection.
    pub(super) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// Ends the stream, and with it the request, for a reason of ours.
    pub(super) fn fail(&self, fault: impl Into<ChannelError>) -> io::Error {
        let fault = fault.into();
        let error = io::Error::other(fault.to_string());
        let _ = self.fault.set(fault);
        error
    }

    pub(super) fn fault(&self) -> Option<&ChannelError> {
        self.fault.get()
    }
}

struct Reading {
    file: File,
    path: PathBuf,
    left: u64,
    progress: Arc<Progress>,
}

impl Reading {
    fn stream(self) -> impl Stream<Item = io::Result<Bytes>> {
        stream::try_unfold(self, async |mut reading| {
            let chunk = reading.next().await?;
            Ok(chunk.map(|chunk| (chunk, reading)))
        })
    }

    /// Exactly as many bytes as were announced. The last of them are only given away when it is
    /// certain that there are no more.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let read = (&mut self.file).take(self.left).read_buf(&mut chunk).await;
        let read = read.map_err(|error| self.progress.fail(failure(&self.path, &error)))?;
        self.left -= read as u64;
        let is_longer = self.left == 0 && !matches!(self.file.read(&mut [0]).await, Ok(0));
        if read == 0 || is_longer {
            let path = self.path.clone();
            return Err(self.progress.fail(FileError::Changed { path }));
        }
        if self.left == 0 {
            self.progress.finish();
        }
        Ok(Some(chunk.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt as _;

    /// A file of its own in a directory of its own, gone with the value.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(content: &[u8]) -> Self {
            let name = format!("openagent-file-{}", uuid::Uuid::new_v4());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, content).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    async fn reading(scratch: &Scratch, announced: u64) -> Reading {
        Reading {
            file: File::open(&scratch.0).await.unwrap(),
            path: scratch.0.clone(),
            left: announced,
            progress: Arc::default(),
        }
    }

    #[tokio::test]
    async fn a_file_is_read_in_pieces_to_its_end() {
        let content: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        let scratch = Scratch::new(&content);
        let reading = reading(&scratch, 200_000).await;
        let progress = Arc::clone(&reading.progress);
        let chunks: Vec<Bytes> = reading.stream().map(Result::unwrap).collect().await;
        assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK));
        assert_eq!(chunks.concat(), content);
        assert!(progress.is_finished() && progress.fault().is_none());
    }

    #[tokio::test]
    async fn a_file_that_changes_its_length_is_not_completed() {
        let scratch = Scratch::new(&[7; 100]);
        for announced in [99, 101] {
            let reading = reading(&scratch, announced).await;
            let progress = Arc::clone(&reading.progress);
            let chunks: Vec<_> = reading.stream().collect().await;
            let got: usize = chunks.iter().flatten().map(Bytes::len).sum();
            assert!(chunks.last().unwrap().is_err());
            assert!((got as u64) < announced, "{got}");
            assert!(!progress.is_finished());
            let path = scratch.0.clone();
            let changed = ChannelError::File(FileError::Changed { path });
            assert_eq!(progress.fault(), Some(&changed));
        }
    }

    #[tokio::test]
    async fn what_is_no_file_is_refused_by_name() {
        let scratch = Scratch::new(b"");
        let missing = scratch.0.with_extension("gone");
        for (path, words) in [
            (Path::new("notes.txt"), "absolute"),
            (&missing, "no file"),
            (&std::env::temp_dir(), "a directory"),
            (&scratch.0, "empty"),
        ] {
            let why = LocalFile::find(path).await.unwrap_err().to_string();
            assert!(why.contains(words), "{why}");
            let name = path.to_string_lossy();
            assert!(why.contains(&*name), "{why}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_device_is_not_read_and_neither_is_the_environment() {
        for path in ["/dev/zero", "/proc/self/environ"] {
            LocalFile::find(Path::new(path)).await.unwrap_err();
        }
    }

    #[test]
    fn names_are_made_fit() {
        assert_eq!(fit_name("a\"b\r\nc\\d/é.pdf"), "a_b__c_d_é.pdf");
        let long = format!("{}.pdf", "x".repeat(500));
        assert_eq!(fit_name(&long).chars().count(), LONGEST_NAME);
        assert_eq!(extension(&fit_name(&long)).as_deref(), Some("pdf"));
        assert_eq!(extension("A.B.JPG").as_deref(), Some("jpg"));
        assert_eq!(extension("noend"), None);
    }

    #[test]
    fn exactly_one_source() {
        let url = Some("https://example.com/a");
        assert!(Source::new(None, None).is_err());
        assert!(Source::new(Some("/a".into()), url).is_err());
        assert!(Source::new(None, Some("ftp://example.com/a")).is_err());
        assert!(Source::new(None, Some("/etc/hostname")).is_err());
        assert!(matches!(Source::new(None, url), Ok(Source::Url(_))));
    }
}
