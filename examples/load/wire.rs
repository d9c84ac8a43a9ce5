//! Websocket frames by hand, for the stand-ins: they have one core for what the program does on the
//! other, and must not be what limits it. The program and the floor use their libraries.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::Failure;

/// Read at once, at most.
const CHUNK: usize = 16 * 1024;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;

/// One end of a websocket.
pub struct Wire<S> {
    stream: S,
    inbox: Vec<u8>,
    read_to: usize,
    outbox: Vec<u8>,
    /// Clients mask what they send (RFC 6455, 5.3). The mask here is zero, which saves the work on
    /// this side; the other side undoes it like any other.
    masks: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Opens one, as a client.
    pub async fn connect(mut stream: S, path: &str, signature: &str) -> Result<Self, Failure> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             X-Twilio-Signature: {signature}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut wire = Self::new(stream, true);
        let head = wire.head().await?;
        if !head.starts_with("HTTP/1.1 101") {
            return Err(format!("no websocket: {head}").into());
        }
        Ok(wire)
    }

    /// Accepts one, and says which path was asked for.
    pub async fn accept(stream: S) -> Result<(Self, String), Failure> {
        let mut wire = Self::new(stream, false);
        let head = wire.head().await?;
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("sec-websocket-key")
                .then(|| value.trim().to_owned())
        });
        let accept = derive_accept_key(key.ok_or("no key")?.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        wire.stream.write_all(answer.as_bytes()).await?;
        wire.stream.flush().await?;
        Ok((wire, path))
    }

    fn new(stream: S, masks: bool) -> Self {
        Self {
            stream,
            inbox: Vec::with_capacity(CHUNK),
            read_to: 0,
            outbox: Vec::with_capacity(1024),
            masks,
        }
    }

    async fn head(&mut self) -> Result<String, Failure> {
        loop {
            if let Some(end) = find(&self.inbox, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.inbox[..end]).into_owned();
                self.read_to = end + 4;
                return Ok(head);
            }
            self.read().await?;
        }
    }

    /// Reads what there is. Safe to cancel.
    pub async fn read(&mut self) -> Result<(), Failure> {
        if self.read_to > 0 {
            self.inbox.drain(..self.read_to);
            self.read_to = 0;
        }
        self.inbox.reserve(CHUNK);
        match self.stream.read_buf(&mut self.inbox).await? {
            0 => Err("the other side has closed".into()),
            _ => Ok(()),
        }
    }

    /// The next whole text that was read. Whoever wants to know when it came looks at the clock.
    pub fn next(&mut self) -> Option<&[u8]> {
        loop {
            let unread = &self.inbox[self.read_to..];
            let [first, second, ..] = *unread else {
                return None;
            };
            let (length, mut at) = match second & 0x7F {
                126 => (
                    usize::from(u16::from_be_bytes([*unread.get(2)?, *unread.get(3)?])),
                    4,
                ),
                127 => {
                    let bytes = unread.get(2..10)?.try_into().ok()?;
                    (usize::try_from(u64::from_be_bytes(bytes)).ok()?, 10)
                }
                short => (usize::from(short), 2),
            };
            let mut mask = [0; 4];
            if second & 0x80 != 0 {
                mask.copy_from_slice(unread.get(at..at + 4)?);
                at += 4;
            }
            if unread.len() < at + length {
                return None;
            }
            let (from, to) = (self.read_to + at, self.read_to + at + length);
            self.read_to = to;
            match first & 0x0F {
                TEXT => {
                    let text = &mut self.inbox[from..to];
                    if mask != [0; 4] {
                        for four in text.chunks_mut(4) {
                            for (byte, key) in four.iter_mut().zip(mask) {
                                *byte ^= key;
                            }
                        }
                    }
                    return Some(text);
                }
                CLOSE => return None,
                _ => {}
            }
        }
    }

    /// Queues a text.
    pub fn queue(&mut self, text: &[u8]) {
        self.outbox.push(0x80 | TEXT);
        let mask = if self.masks { 0x80 } else { 0 };
        match (u8::try_from(text.len()), u16::try_from(text.len())) {
            (Ok(short @ ..=125), _) => self.outbox.push(mask + short),
            (_, Ok(long)) => {
                self.outbox.push(mask + 126);
                self.outbox.extend_from_slice(&long.to_be_bytes());
            }
            _ => {
                self.outbox.push(mask + 127);
                self.outbox
                    .extend_from_slice(&(text.len() as u64).to_be_bytes());
            }
        }
        if self.masks {
            self.outbox.extend_from_slice(&[0; 4]);
        }
        self.outbox.extend_from_slice(text);
    }

    /// Sends what is queued.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        if !self.outbox.is_empty() {
            self.stream.write_all(&self.outbox).await?;
            self.stream.flush().await?;
            self.outbox.clear();
        }
        Ok(())
    }
}

/// Where `part` begins.
pub fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// What stands between `before` and the next quotation mark.
pub fn quoted<'a>(text: &'a [u8], before: &[u8]) -> Option<&'a [u8]> {
    let rest = &text[find(text, before)? + before.len()..];
    let end = rest.iter().position(|byte| *byte == b'"')?;
    Some(&rest[..end])
}
