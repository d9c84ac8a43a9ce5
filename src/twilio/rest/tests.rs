//! The client against a stand-in of Twilio on loopback that records what it gets.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::Response as HttpResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const ACCOUNT_SID: &str = "AC00000000000000000000000000000001";
const CALL_SID: &str = "CA0123456789abcdef0123456789abcdef";
const MESSAGE_SID: &str = "SM0123456789abcdef0123456789abcdef";
const TOKEN: &str = "the-auth-token";
const SECRET: &str = "the-api-secret";

/// Fast enough for tests; the patience is the product's.
const FAST: Backoff = Backoff {
    first: Duration::from_millis(1),
    ..Backoff::USUAL
};

const CALL: NewCall<'_> = NewCall {
    to: "+390212345678",
    from: "+15005550006",
    url: "https://voice.example.com/twiml/7f3c2a",
    status_callback: "https://voice.example.com/status/7f3c2a",
    answered_callback: None,
    ring_timeout_s: 45,
    time_limit_s: 605,
};

/// What the stand-in got.
#[derive(Debug, Clone)]
struct Seen {
    line: String,
    authorization: String,
    form: Vec<(String, String)>,
}

/// What it shall answer: status, `Retry-After`, body.
type Reply = (u16, Option<&'static str>, String);

#[derive(Clone, Default)]
struct StandIn {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl StandIn {
    /// Answers with these, in order; the last one again and again.
    async fn start(replies: Vec<Reply>) -> (Self, SocketAddr) {
        let stand_in = Self {
            replies: Arc::new(Mutex::new(replies.into())),
            ..Self::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(answer).with_state(stand_in.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (stand_in, address)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(State(stand_in): State<StandIn>, request: Request) -> HttpResponse<Body> {
    let (head, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let header = |name: &str| {
        head.headers
            .get(name)
            .map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    };
    if head.method == Method::POST {
        assert_eq!(header("content-type"), "application/x-www-form-urlencoded");
    } else {
        assert!(body.is_empty());
    }
    stand_in.seen.lock().unwrap().push(Seen {
        line: format!("{} {}", head.method, head.uri),
        authorization: header("authorization"),
        form: url::form_urlencoded::parse(&body).into_owned().collect(),
    });
    let mut replies = stand_in.replies.lock().unwrap();
    let (status, retry_after, body) = if replies.len() > 1 {
        replies.pop_front().unwrap()
    } else {
        replies[0].clone()
    };
    let mut response = HttpResponse::builder().status(status);
    if let Some(seconds) = retry_after {
        response = response.header("Retry-After", seconds);
    }
    if status == 302 {
        response = response.header("Location", "/elsewhere");
    }
    response.body(Body::from(body)).unwrap()
}

fn account(address: SocketAddr) -> Account {
    Account {
        account_sid: ACCOUNT_SID.to_owned(),
        auth_token: Secret::new(TOKEN),
        api_key: None,
        base_url: format!("http://{address}").parse().unwrap(),
    }
}

fn client(address: SocketAddr) -> Client {
    Client::with_backoff(account(address), FAST)
}

fn created(sid: &str) -> Reply {
    let body = format!(r#"{{"sid":"{sid}","status":"queued","num_segments":"1","price":null}}"#);
    (201, None, body)
}

fn refused(status: u16, code: u32, message: &str) -> Reply {
    let body = format!(r#"{{"code":{code},"message":"{message}","status":{status}}}"#);
    (status, None, body)
}

fn pairs(form: &[(&str, &str)]) -> Vec<(String, String)> {
    form.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_call_is_placed_with_exactly_these_fields() {
    let (twilio, address) = StandIn::start(vec![created(CALL_SID)]).await;
    let call = client(address).create_call(&CALL).await.unwrap();
    assert_eq!(call.sid, CALL_SID);
    assert_eq!(call.status.as_deref(), Some("queued"));

    let [seen] = &twilio.seen()[..] else {
        panic!("not one request");
    };
    assert_eq!(
        seen.line,
        format!("POST /2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json")
    );
    let credentials = STANDARD.encode(format!("{ACCOUNT_SID}:{TOKEN}"));
    assert_eq!(seen.authorization, format!("Basic {credentials}"));
    assert_eq!(
        seen.form,
        pairs(&[
            ("To", "+390212345678"),
            ("From", "+15005550006"),
            ("Url", "https://voice.example.com/twiml/7f3c2a"),
            ("Method", "POST"),
            ("StatusCallback", "https://voice.example.com/status/7f3c2a"),
            ("StatusCallbackMethod", "POST"),
            ("StatusCallbackEvent", "initiated"),
            ("StatusCallbackEvent", "ringing"),
            ("StatusCallbackEvent", "answered"),
            ("StatusCallbackEvent", "completed"),
            ("Timeout", "45"),
            ("TimeLimit", "605"),
        ])
    );
}

#[tokio::test]
async fn who_answers_is_found_out_beside_the_call() {
    let (twilio, address) = StandIn::start(vec![created(CALL_SID)]).await;
    let callback = "https://voice.example.com/amd/7f3c2a";
    let call = NewCall {
        answered_callback: Some(callback),
        ..CALL
    };
    client(address).create_call(&call).await.unwrap();
    assert_eq!(
        twilio.seen()[0].form[12..],
        pairs(&[
            ("MachineDetection", "DetectMessageEnd"),
            ("MachineDetectionTimeout", "30"),
            ("AsyncAmd", "true"),
            ("AsyncAmdStatusCallback", callback),
            ("AsyncAmdStatusCallbackMethod", "POST"),
        ])
    );
}

#[tokio::test]
async fn an_api_key_replaces_the_token_and_a_path_prefix_is_kept() {
    let (twilio, address) = StandIn::start(vec![created(CALL_SID)]).await;
    let account = Account {
        api_key: Some(("SK1".to_owned(), Secret::new(SECRET))),
        base_url: format!("http://user:hidden@{address}/prefix/?q=1#f")
            .parse()
            .unwrap(),
        ..account(address)
    };
    let client = Client::with_backoff(account, FAST);
    client.fetch_call(CALL_SID).await.unwrap();

    let seen = &twilio.seen()[0];
    assert_eq!(
        seen.line,
        format!("GET /prefix/2010-04-01/Accounts/{ACCOUNT_SID}/Calls/{CALL_SID}.json")
    );
    let credentials = STANDARD.encode(format!("SK1:{SECRET}"));
    assert_eq!(seen.authorization, format!("Basic {credentials}"));
}

#[tokio::test]
async fn a_message_has_what_it_was_given() {
    let (twilio, address) = StandIn::start(vec![created(MESSAGE_SID)]).await;
    let client = client(address);
    let text = "Caffè & tè = 50% +1?\r\n";
    let mut message = NewMessage {
        to: "+390212345678",
        from: "+15005550006",
        body: Some(text),
        media_url: None,
    };
    let sent = client.send_message(&message).await.unwrap();
    assert_eq!(sent.sid, MESSAGE_SID);
    assert_eq!(sent.num_segments, Some(1));
    message.body = None;
    message.media_url = Some("https://example.com/a.png?x=1&y=2");
    client.send_message(&message).await.unwrap();
    client.fetch_message(MESSAGE_SID).await.unwrap();

    let seen = twilio.seen();
    let numbers = [("To", "+390212345678"), ("From", "+15005550006")];
    let form = |last| pairs(&[numbers[0], numbers[1], last]);
    assert_eq!(
        seen[0].line,
        format!("POST /2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json")
    );
    assert_eq!(seen[0].form, form(("Body", text)));
    assert_eq!(
        seen[1].form,
        form(("MediaUrl", "https://example.com/a.png?x=1&y=2"))
    );
    assert_eq!(
        seen[2].line,
        format!("GET /2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{MESSAGE_SID}.json")
    );
}

#[tokio::test]
async fn a_finished_call_counts_as_hung_up() {
    let replies = vec![
        (200, None, "not even JSON".to_owned()),
        (200, None, "x".repeat(LONGEST_ANSWER + 1)),
        refused(404, 20_404, "The requested resource was not found"),
        refused(400, 21_220, "Call is not in-progress. Cannot redirect."),
        refused(401, 20_003, "Authenticate"),
    ];
    let (twilio, address) = StandIn::start(replies).await;
    let client = client(address);
    for _ in 0..4 {
        assert_eq!(client.hang_up(CALL_SID).await, Ok(()));
    }
    let error = client.hang_up(CALL_SID).await.unwrap_err();
    assert_eq!(error.code(), Some(20_003));

    let seen = twilio.seen();
    assert_eq!(seen.len(), 5);
    assert_eq!(
        seen[0].line,
        format!("POST /2010-04-01/Accounts/{ACCOUNT_SID}/Calls/{CALL_SID}.json")
    );
    assert_eq!(seen[0].form, pairs(&[("Status", "completed")]));
}

#[tokio::test]
async fn what_is_not_a_sid_never_gets_into_a_path() {
    let (twilio, address) = StandIn::start(vec![created(CALL_SID)]).await;
    let client = client(address);
    for odd in ["", "../Messages", MESSAGE_SID, "CA1/../../x"] {
        let error = client.fetch_call(odd).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "This is not the SID of a call, which is CA followed by letters and digits."
        );
        assert_eq!(client.hang_up(odd).await, Err(error));
    }
    let error = client.fetch_message(CALL_SID).await.unwrap_err();
    assert!(!error.may_have_reached());
    assert!(twilio.seen().is_empty());
}

#[tokio::test]
async fn wrong_credentials_are_told_and_not_shown() {
    let (twilio, address) = StandIn::start(vec![refused(401, 20_003, "Authenticate")]).await;
    let client = client(address);
    let error = client.create_call(&CALL).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Twilio refused this (error 20003, HTTP 401): Authenticate; check TWILIO_ACCOUNT_SID and \
         TWILIO_AUTH_TOKEN (or TWILIO_API_KEY and TWILIO_API_SECRET), and that the account is \
         active."
    );
    assert!(!error.may_have_reached());
    assert_eq!(twilio.seen().len(), 1);
}

#[tokio::test]
async fn throttled_requests_are_repeated_a_few_times() {
    let throttled = || refused(429, 20_429, "Too Many Requests");
    let replies = vec![throttled(), throttled(), created(CALL_SID)];
    let (twilio, address) = StandIn::start(replies).await;
    assert!(client(address).create_call(&CALL).await.is_ok());
    assert_eq!(twilio.seen().len(), 3);

    let (twilio, address) = StandIn::start(vec![throttled()]).await;
    let error = client(address).create_call(&CALL).await.unwrap_err();
    assert!(!error.may_have_reached());
    assert!(error.to_string().contains("wait a few seconds"), "{error}");
    assert_eq!(twilio.seen().len(), 4);
}

#[tokio::test]
async fn retry_after_is_honoured_when_it_is_short() {
    let replies = vec![(429, Some("1"), String::new()), created(CALL_SID)];
    let (twilio, address) = StandIn::start(replies).await;
    let started = Instant::now();
    assert!(client(address).create_call(&CALL).await.is_ok());
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(twilio.seen().len(), 2);

    let (twilio, address) = StandIn::start(vec![(429, Some("60"), String::new())]).await;
    assert!(client(address).create_call(&CALL).await.is_err());
    assert_eq!(twilio.seen().len(), 1);
}

#[tokio::test]
async fn failures_and_redirects_are_not_repeated() {
    for status in [302, 408, 500, 502, 503] {
        let (twilio, address) = StandIn::start(vec![(status, Some("0"), String::new())]).await;
        let client = client(address);
        let error = client.create_call(&CALL).await.unwrap_err();
        assert!(error.may_have_reached(), "{error}");
        assert!(client.fetch_call(CALL_SID).await.is_err());
        assert_eq!(twilio.seen().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_does_not_hide_that_the_call_was_placed() {
    let fits = format!(r#"{{"sid":"{CALL_SID}","x":"{}"}}"#, "x".repeat(60_000));
    let long = format!(r#"{{"sid":"{CALL_SID}","x":"{}"}}"#, "x".repeat(70_000));
    let replies = vec![
        (201, None, fits),
        (201, None, long),
        (201, None, r#"{"status":"queued"}"#.to_owned()),
        (201, None, "<html>".to_owned()),
        (204, None, String::new()),
    ];
    let (twilio, address) = StandIn::start(replies).await;
    let client = client(address);
    assert!(client.create_call(&CALL).await.is_ok());
    for _ in 0..4 {
        let error = client.create_call(&CALL).await.unwrap_err();
        assert!(matches!(error, TwilioError::Unreadable { .. }), "{error}");
        assert!(error.may_have_reached());
    }
    assert_eq!(twilio.seen().len(), 5);

    let (_, address) = StandIn::start(vec![(400, None, "x".repeat(1 << 20))]).await;
    let client = Client::with_backoff(account(address), FAST);
    assert_eq!(
        client.create_call(&CALL).await.unwrap_err().to_string(),
        "Twilio refused this (HTTP 400): Bad Request."
    );
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let started = Instant::now();
    let patient = Backoff {
        first: Duration::from_millis(20),
        ..FAST
    };
    let client = Client::with_backoff(account(address), patient);
    let error = client.create_call(&CALL).await.unwrap_err();
    assert!(matches!(error, TwilioError::Unreachable { .. }), "{error}");
    assert!(!error.may_have_reached());
    assert!(error.to_string().contains("refused"), "{error}");
    // Three waits of at least half of 20, 40 and 80 ms.
    assert!(started.elapsed() >= Duration::from_millis(70));
}

/// Answers the first `good` requests of every connection, reads one more and closes without a
/// word, or with the beginning of an answer.
async fn closes_after(good: usize, last_words: &'static str) -> (Arc<Mutex<usize>>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            for request in 0..=good {
                // The requests of these tests are short enough to come in one piece.
                assert!(socket.read(&mut buffer).await.unwrap() > 0);
                *counted.lock().unwrap() += 1;
                let body = format!(r#"{{"sid":"{CALL_SID}"}}"#);
                let answer = if request < good {
                    format!(
                        "HTTP/1.1 201 C\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    )
                } else {
                    last_words.to_owned()
                };
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    (count, address)
}

#[tokio::test]
async fn a_request_without_an_answer_is_made_once() {
    for last_words in [
        "",
        "HTTP/1.1 201 Created\r\nContent-Le",
        "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"sid\":",
        "not HTTP\r\n\r\n",
    ] {
        let (count, address) = closes_after(0, last_words).await;
        let error = client(address).create_call(&CALL).await.unwrap_err();
        assert!(matches!(error, TwilioError::NoAnswer { .. }), "{error}");
        assert!(error.may_have_reached());
        assert_eq!(*count.lock().unwrap(), 1, "{last_words}");
    }
}

#[tokio::test]
async fn a_request_on_a_used_connection_is_made_once_too() {
    let (count, address) = closes_after(1, "").await;
    let client = client(address);
    assert!(client.create_call(&CALL).await.is_ok());
    let error = client.create_call(&CALL).await.unwrap_err();
    assert!(error.may_have_reached(), "{error}");
    assert_eq!(*count.lock().unwrap(), 2);
}

#[tokio::test]
async fn no_text_shows_a_credential_or_the_account() {
    let (_, address) = closes_after(0, "").await;
    let account = Account {
        api_key: Some(("SK1".to_owned(), Secret::new(SECRET))),
        base_url: format!("http://user:hidden@{address}/").parse().unwrap(),
        ..account(address)
    };
    let mut texts = vec![format!("{account:?}")];
    let client = Client::with_backoff(account, FAST);
    texts.push(format!("{client:?}"));
    let error = client.create_call(&CALL).await.unwrap_err();
    texts.push(format!("{error} {error:?}"));
    for text in texts {
        for hidden in [TOKEN, SECRET, "hidden", ACCOUNT_SID, "http"] {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
    }
}

#[test]
fn making_a_client_loads_nothing() {
    let client = Client::new(account(SocketAddr::from(([127, 0, 0, 1], 9))));
    assert!(client.inner.http.get().is_none());
}
