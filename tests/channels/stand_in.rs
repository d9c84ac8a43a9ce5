//! A server on loopback that keeps every request to the byte and answers what it was told to.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify, watch};

use super::support_mcp::PATIENCE;

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status and JSON.
    Json(u16, Value),
    /// A status, headers, and a body of a known length.
    Plain(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// A body in pieces, of which nobody knows how many there are.
    Pieces(Vec<Vec<u8>>),
    /// Nothing: the connection is closed.
    Hangup,
    /// The connection is closed when the head and this many bytes of the body have come.
    HangupAfter(usize),
    /// JSON, when it is released.
    Held(Arc<Notify>, Value),
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The body came to its end.
    pub(crate) complete: bool,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The parts of a form, in order.
    pub(crate) fn form(&self) -> Vec<FormPart> {
        let kind = self.header("content-type").unwrap();
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        let separator = format!("--{boundary}\r\n").into_bytes();
        let end = format!("--{boundary}--\r\n").into_bytes();
        let body = self
            .body
            .strip_suffix(&end[..])
            .expect("the form has an end");
        let mut rest = body.strip_prefix(&separator[..]).expect("and a beginning");
        let mut parts = Vec::new();
        loop {
            let next = find(rest, &separator);
            let part = &rest[..next.unwrap_or(rest.len())];
            let part = part.strip_suffix(b"\r\n").unwrap();
            let head = find(part, b"\r\n\r\n").unwrap();
            parts.push(FormPart {
                head: String::from_utf8(part[..head].to_vec()).unwrap(),
                content: part[head + 4..].to_vec(),
            });
            match next {
                Some(next) => rest = &rest[next + separator.len()..],
                None => return parts,
            }
        }
    }

    /// The form's fields without files, in order.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let parts = self.form();
        let fields = parts
            .iter()
            .filter(|part| part.parameter("filename").is_none());
        fields
            .map(|part| {
                let text = String::from_utf8(part.content.clone()).unwrap();
                (part.parameter("name").unwrap(), text)
            })
            .collect()
    }

    /// Its only file.
    pub(crate) fn file(&self) -> FormPart {
        let mut files = self.form();
        files.retain(|part| part.parameter("filename").is_some());
        assert_eq!(files.len(), 1);
        files.remove(0)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct FormPart {
    pub(crate) head: String,
    pub(crate) content: Vec<u8>,
}

impl FormPart {
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let start = format!("; {name}=\"");
        let at = self.head.find(&start)? + start.len();
        self.head[at..].split('"').next().map(str::to_owned)
    }

    pub(crate) fn mime(&self) -> Option<&str> {
        let lines = self.head.lines();
        lines.into_iter().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-type").then_some(value)
        })
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// A running stand-in; it ends with the test.
pub(crate) struct StandIn {
    address: SocketAddr,
    seen: watch::Receiver<Vec<Seen>>,
}

impl StandIn {
    /// Answers with these, in order; the last one again and again.
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = watch::channel(Vec::new());
        let replies = Arc::new(Mutex::new(VecDeque::from(replies)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, replies) = (sender.clone(), Arc::clone(&replies));
                tokio::spawn(async move {
                    let _ = serve(stream, &sender, &replies).await;
                });
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// The only request.
    pub(crate) fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{:?}", lines(&seen));
        seen.remove(0)
    }

    /// Waits for so many requests.
    pub(crate) async fn wait(&self, count: usize) {
        let mut seen = self.seen.clone();
        let there = seen.wait_for(|seen| seen.len() >= count);
        tokio::time::timeout(PATIENCE, there)
            .await
            .unwrap()
            .unwrap();
    }
}

fn lines(seen: &[Seen]) -> Vec<String> {
    let line = |seen: &Seen| format!("{} {}", seen.method, seen.path);
    seen.iter().map(line).collect()
}

async fn serve(
    stream: TcpStream,
    seen: &watch::Sender<Vec<Seen>>,
    replies: &Mutex<VecDeque<Reply>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let mut words = head.remove(0);
    words.truncate(words.len() - " HTTP/1.1".len());
    let (method, path) = words.split_once(' ').unwrap();
    let headers = head.iter().map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    });
    let mut request = Seen {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
        complete: false,
    };
    let reply = {
        let mut replies = replies.lock().await;
        let last = replies.len() <= 1;
        if last {
            replies.front().cloned()
        } else {
            replies.pop_front()
        }
    };
    let most = match &reply {
        Some(Reply::HangupAfter(most)) => Some(*most),
        _ => None,
    };
    request.complete = read_body(&mut stream, &mut request, most).await;
    let complete = request.complete;
    seen.send_modify(|seen| seen.push(request));
    if most.is_some() || !complete {
        return Ok(());
    }
    let answer = match reply {
        Some(Reply::Json(status, body)) => json(status, &body),
        Some(Reply::Plain(status, headers, body)) => plain(status, &headers, &body),
        Some(Reply::Pieces(pieces)) => {
            let mut answer =
                b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
                    .to_vec();
            for piece in &pieces {
                answer.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                answer.extend(piece);
                answer.extend(b"\r\n");
            }
            answer.extend(b"0\r\n\r\n");
            answer
        }
        Some(Reply::Held(release, body)) => {
            release.notified().await;
            json(200, &body)
        }
        _ => return Ok(()),
    };
    stream.get_mut().write_all(&answer).await?;
    stream.get_mut().shutdown().await?;
    // Until the other side has closed, too; else what it still sends would take the answer away.
    let rest = async { while stream.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {} };
    let _ = tokio::time::timeout(Duration::from_secs(5), rest).await;
    Ok(())
}

fn json(status: u16, body: &Value) -> Vec<u8> {
    let kind = ("content-type", "application/json".to_owned());
    plain(status, &[kind], body.to_string().as_bytes())
}

fn plain(status: u16, headers: &[(&'static str, String)], body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut answer =
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n");
    for (name, value) in headers {
        for text in [*name, ": ", value, "\r\n"] {
            answer.push_str(text);
        }
    }
    answer.push_str("\r\n");
    [answer.as_bytes(), body].concat()
}

/// Reads a body, or `most` bytes of it; whether it came to its end.
async fn read_body(
    stream: &mut BufReader<TcpStream>,
    request: &mut Seen,
    most: Option<usize>,
) -> bool {
    if request.header("transfer-encoding") == Some("chunked") {
        loop {
            let mut size = String::new();
            if !matches!(stream.read_line(&mut size).await, Ok(1..)) {
                return false;
            }
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            if stream.read_exact(&mut chunk).await.is_err() {
                return false;
            }
            request.body.extend(&chunk[..size]);
            if size == 0 {
                return true;
            }
        }
    }
    let length = request.header("content-length");
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    let wanted = most.unwrap_or(length).min(length);
    request.body = vec![0; wanted];
    let mut filled = 0;
    while filled < wanted {
        let Ok(read @ 1..) = stream.read(&mut request.body[filled..]).await else {
            request.body.truncate(filled);
            return false;
        };
        filled += read;
    }
    wanted == length
}
