//! One token ends everything: the end of input, or a signal, cancels it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at the first SIGINT or SIGTERM (Ctrl-C elsewhere). Listens from this call on, not
/// only when the future is first polled: a server that answers must already hear its signals.
///
/// The future ends at the second signal, for a user who does not want to wait, with the exit code.
pub fn signals(stop: CancellationToken) -> impl Future<Output = u8> {
    let mut codes = Signals::new();
    async move {
        let first = codes.next().await;
        tracing::info!("stopping; once more to stop at once");
        stop.cancel();
        let second = codes.next().await;
        second.max(first)
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
        }
    }

    /// The conventional exit code of the signal that came.
    async fn next(&mut self) -> u8 {
        async fn recv(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => {
                    let _ = signal.recv().await;
                }
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = recv(&mut self.interrupt) => 130,
            () = recv(&mut self.terminate) => 143,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) -> u8 {
        let _ = tokio::signal::ctrl_c().await;
        130
    }
}

/// Bytes of requests that are read without an answer being taken. A host that sends more than this
/// takes none, or sends a line without an end: each request would wait in memory.
const UNANSWERED: usize = 1024 * 1024;

/// A stream whose end, or failure, cancels a token: the MCP library would let requests in flight
/// run on for seconds after the host has gone.
#[derive(Debug)]
pub struct Watched<S> {
    inner: S,
    stop: CancellationToken,
    /// Bytes read since something was written last.
    unanswered: Arc<AtomicUsize>,
}

impl<S> Watched<S> {
    /// Watches both directions of a conversation: a peer that says a lot and takes in nothing is
    /// given up as well.
    pub fn both<W>(reader: S, writer: W, stop: &CancellationToken) -> (Self, Watched<W>) {
        let unanswered = Arc::new(AtomicUsize::new(0));
        let reader = Self {
            inner: reader,
            stop: stop.clone(),
            unanswered: Arc::clone(&unanswered),
        };
        let writer = Watched {
            inner: writer,
            stop: stop.clone(),
            unanswered,
        };
        (reader, writer)
    }

    fn note<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(_)) = &result {
            self.stop.cancel();
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let room = buf.remaining() > 0;
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        if matches!(result, Poll::Ready(Ok(()))) && room && read == 0 {
            self.stop.cancel();
        }
        if self.unanswered.fetch_add(read, Ordering::Relaxed) + read > UNANSWERED {
            tracing::error!("the host sends requests and takes no answers; stopping");
            self.stop.cancel();
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        self.note(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(1..)) = result {
            self.unanswered.store(0, Ordering::Relaxed);
        }
        self.note(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_flush(cx);
        self.note(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn the_end_of_input_cancels() {
        let stop = CancellationToken::new();
        let (mut watched, _) = Watched::both(&b"{}"[..], tokio::io::sink(), &stop);
        let mut text = [0; 2];
        watched.read_exact(&mut text).await.unwrap();
        assert!(!stop.is_cancelled());
        assert_eq!(watched.read(&mut text).await.unwrap(), 0);
        assert!(stop.is_cancelled());
    }

    #[tokio::test]
    async fn much_that_is_read_without_anything_being_taken_cancels() {
        let stop = CancellationToken::new();
        let endless = tokio::io::repeat(b'x');
        let (mut reader, mut writer) = Watched::both(endless, tokio::io::sink(), &stop);
        let mut text = vec![0; UNANSWERED / 2];
        for _ in 0..10 {
            reader.read_exact(&mut text).await.unwrap();
            writer.write_all(b"an answer").await.unwrap();
        }
        reader.read_exact(&mut text).await.unwrap();
        reader.read_exact(&mut text).await.unwrap();
        assert!(!stop.is_cancelled());
        assert!(reader.read_exact(&mut text).await.is_err());
        assert!(stop.is_cancelled());
    }

    #[tokio::test]
    async fn a_broken_pipe_cancels() {
        let stop = CancellationToken::new();
        let (ours, theirs) = tokio::io::duplex(16);
        let (_, mut watched) = Watched::both(tokio::io::empty(), ours, &stop);
        watched.write_all(b"x").await.unwrap();
        assert!(!stop.is_cancelled());
        drop(theirs);
        assert!(watched.write_all(b"x").await.is_err());
        assert!(stop.is_cancelled());
    }
}
