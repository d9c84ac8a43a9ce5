//! A websocket whose pending writes move on while it is read: sending never waits, so a call's one
//! task serves both of its sockets, and a peer that does not read fills its own buffer only.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Sink, Stream};

/// Bytes read from a socket at once: two frames of 20 ms, which is what Twilio sends. Longer deltas of
/// the model take a few reads each, and come that much less often. What a socket keeps for it grows to
/// twice this, or to its longest message; the library's default costs a quarter of a megabyte a call.
pub const READ_BUFFER: usize = 1024;

/// Bytes that are gathered before they are written, where much is sent at once. What a socket keeps
/// for it grows to this and its longest message, and stays so.
pub const WRITE_BUFFER: usize = 1024;

/// A websocket of either side of a call.
#[derive(Debug)]
pub struct Socket<W> {
    inner: W,
    unflushed: bool,
}

impl<W> Socket<W> {
    /// Wraps an open websocket.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            unflushed: false,
        }
    }

    /// Queues a message in the socket's write buffer, which is bounded by its configuration.
    ///
    /// # Errors
    ///
    /// The buffer is full, or the socket is gone.
    pub fn send<M, E>(&mut self, message: M) -> Result<(), E>
    where
        W: Sink<M, Error = E> + Unpin,
    {
        // Both websocket libraries queue without asking `poll_ready` first: a socket that would
        // block keeps the message and reports an error only once its buffer is full.
        self.unflushed = true;
        Pin::new(&mut self.inner).start_send(message)
    }

    /// Writes what was queued.
    ///
    /// # Errors
    ///
    /// The socket is gone.
    pub fn poll_flush<M, E>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>>
    where
        W: Sink<M, Error = E> + Unpin,
    {
        if !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        if flushed.is_ready() {
            self.unflushed = false;
        }
        flushed
    }

    /// The next message, while what was queued is being written.
    pub fn poll_recv<M, E>(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<M, E>>>
    where
        W: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    {
        if let Poll::Ready(Err(gone)) = self.poll_flush(cx) {
            return Poll::Ready(Some(Err(gone)));
        }
        Pin::new(&mut self.inner).poll_next(cx)
    }

    /// The next message, while what was queued is being written. Safe to cancel.
    pub async fn recv<M, E>(&mut self) -> Option<Result<M, E>>
    where
        W: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Writes what is queued and closes the socket.
    ///
    /// # Errors
    ///
    /// The socket is gone.
    pub async fn close<M, E>(&mut self) -> Result<(), E>
    where
        W: Sink<M, Error = E> + Unpin,
    {
        poll_fn(|cx| Pin::new(&mut self.inner).poll_close(cx)).await
    }
}
