//! Twilio's REST API, as far as calls and messages need it (Twilio, "REST API, 2010-04-01").
//!
//! A request that could dial or send is repeated only if Twilio certainly did nothing with it:
//! there was no connection, or it was told to come back later. Whatever else goes wrong, the
//! caller decides, with the help of [`TwilioError::may_have_reached`].

mod backoff;
mod error;
mod resource;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use crate::http::{self, BodyError, read_bounded, reason, retry_after};
use crate::metrics::Metrics;
use crate::secret::Secret;

use backoff::Backoff;
pub use error::{TwilioError, hint};
pub use resource::{CallResource, MessageResource, is_call_sid, is_message_sid};

/// For one attempt, from connecting to the last byte of the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest that a request may take, with all its attempts.
#[cfg(test)]
pub(crate) fn longest_request() -> Duration {
    Backoff::USUAL.patience + ANSWER_TIMEOUT
}

/// The resources we read have 2 KiB or so.
const LONGEST_ANSWER: usize = 64 * 1024;

const USER_AGENT: &str = concat!("openagent-messaging/", env!("CARGO_PKG_VERSION"));
/// Twilio gives up finding out who answered after this many seconds.
const DETECTION_TIMEOUT_S: &str = "30";

/// What the log shows in place of the account's SID.
const ACCOUNT_PATH: &str = "/2010-04-01/Accounts/AC…";

/// Whose calls and messages these are, and where the API is.
#[derive(Clone)]
pub struct Account {
    /// `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// Authenticates requests, unless there is an API key.
    pub auth_token: Secret,
    /// An API key (`SK…`) and its secret: authenticates requests in place of the token.
    pub api_key: Option<(String, Secret)>,
    /// The root, `https://api.twilio.com`; a path prefix is kept.
    pub base_url: Url,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URL may have a password in it, and an SID is half of a credential.
        f.debug_struct("Account")
            .field("host", &self.base_url.host_str())
            .field("api_key", &self.api_key.is_some())
            .finish_non_exhaustive()
    }
}

/// A call to be placed.
#[derive(Debug, Clone, Copy)]
pub struct NewCall<'a> {
    /// The number to call, E.164.
    pub to: &'a str,
    /// The number to call from, E.164.
    pub from: &'a str,
    /// Where Twilio asks what to do, once the call is answered.
    pub url: &'a str,
    /// Where Twilio reports how the call is doing.
    pub status_callback: &'a str,
    /// Where Twilio reports who answered, a person or a machine; none: it does not find out.
    pub answered_callback: Option<&'a str>,
    /// Seconds it may ring, at most 600.
    pub ring_timeout_s: u32,
    /// Seconds after which Twilio ends the call, whatever has become of this process.
    pub time_limit_s: u32,
}

/// A message to be sent; it needs a body or media.
#[derive(Debug, Clone, Copy)]
pub struct NewMessage<'a> {
    /// The number to write to, E.164.
    pub to: &'a str,
    /// The number to write from, E.164.
    pub from: &'a str,
    /// The text, at most 1600 characters.
    pub body: Option<&'a str>,
    /// A file that Twilio fetches and sends along.
    pub media_url: Option<&'a str>,
}

/// A client of one account. Cloning is cheap: clones share their connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    account: Account,
    http: OnceLock<reqwest::Client>,
    backoff: Backoff,
    metrics: OnceLock<Arc<Metrics>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.inner.account).finish()
    }
}

impl Client {
    /// A client for this account. Opens nothing yet: the first request loads the certificates of
    /// the system, which takes too long for a program that has to start fast.
    pub fn new(account: Account) -> Self {
        Self::with_backoff(account, Backoff::USUAL)
    }

    /// Counts failures there from now on, for this client and its clones.
    pub fn measured(&self, metrics: Arc<Metrics>) {
        let _ = self.inner.metrics.set(metrics);
    }

    fn with_backoff(mut account: Account, backoff: Backoff) -> Self {
        // Only what we put in ourselves belongs in a request. None of these fail for http(s), and
        // for other schemes there is nothing to remove.
        let _ = account.base_url.set_username("");
        let _ = account.base_url.set_password(None);
        account.base_url.set_query(None);
        account.base_url.set_fragment(None);
        Self {
            inner: Arc::new(Inner {
                account,
                http: OnceLock::new(),
                backoff,
                metrics: OnceLock::new(),
            }),
        }
    }

    /// Places a call (`POST Calls.json`) whose every change of status is reported.
    ///
    /// # Errors
    ///
    /// Any [`TwilioError`]; if it [may have reached](TwilioError::may_have_reached) Twilio, the
    /// phone may be ringing.
    pub async fn create_call(&self, call: &NewCall<'_>) -> Result<CallResource, TwilioError> {
        let ring_timeout = call.ring_timeout_s.to_string();
        let time_limit = call.time_limit_s.to_string();
        let mut form = vec![
            ("To", call.to),
            ("From", call.from),
            ("Url", call.url),
            ("Method", "POST"),
            ("StatusCallback", call.status_callback),
            ("StatusCallbackMethod", "POST"),
            ("StatusCallbackEvent", "initiated"),
            ("StatusCallbackEvent", "ringing"),
            ("StatusCallbackEvent", "answered"),
            ("StatusCallbackEvent", "completed"),
            ("Timeout", &ring_timeout),
            ("TimeLimit", &time_limit),
        ];
        if let Some(callback) = call.answered_callback {
            // Asynchronous: the call goes on meanwhile. To the end: a message must not begin before
            // the tone.
            form.extend([
                ("MachineDetection", "DetectMessageEnd"),
                ("MachineDetectionTimeout", DETECTION_TIMEOUT_S),
                ("AsyncAmd", "true"),
                ("AsyncAmdStatusCallback", callback),
                ("AsyncAmdStatusCallbackMethod", "POST"),
            ]);
        }
        self.post("Calls.json", &form).await?.read()
    }

    /// Ends a call (`POST Calls/{sid}.json`), in whatever state it is. A call that is over
    /// already, or that Twilio no longer knows, is as good as ended. It does no harm to ask twice.
    ///
    /// # Errors
    ///
    /// Any [`TwilioError`]; the call may go on then.
    pub async fn hang_up(&self, sid: &str) -> Result<(), TwilioError> {
        let path = call_path(sid)?;
        match self.post(&path, &[("Status", "completed")]).await {
            Err(error) if !error.means_it_is_over() => Err(error),
            _ => Ok(()),
        }
    }

    /// Gives a call that is going on something else to do (`POST Calls/{sid}.json`): `twiml`, at
    /// most 4000 characters.
    ///
    /// # Errors
    ///
    /// Any [`TwilioError`]; the call may go on as it was.
    pub async fn redirect_call(&self, sid: &str, twiml: &str) -> Result<(), TwilioError> {
        self.post(&call_path(sid)?, &[("Twiml", twiml)]).await?;
        Ok(())
    }

    /// Looks a call up (`GET Calls/{sid}.json`).
    ///
    /// # Errors
    ///
    /// Any [`TwilioError`].
    pub async fn fetch_call(&self, sid: &str) -> Result<CallResource, TwilioError> {
        self.get(&call_path(sid)?).await?.read()
    }

    /// Checks that Twilio is there and takes the credentials, without a trace: asks for the latest
    /// call (`GET Calls.json`), which every kind of credential may read.
    ///
    /// # Errors
    ///
    /// Any [`TwilioError`].
    pub async fn check(&self) -> Result<(), TwilioError> {
        #[derive(serde::Deserialize)]
        struct List {
            #[serde(rename = "calls")]
            _calls: Vec<serde::de::IgnoredAny>,
        }
        let _: List = self.get("Calls.json?PageSize=1").await?.read()?;
        Ok(())
    }

    /// Sends a message (`POST Messages.json`).
    ///
    /// # Errors
    ///
    /// Any [`TwilioError`]; if it [may have reached](TwilioError::may_have_reached) Twilio, the
    /// message may be on its way.
    pub async fn send_message(
        &self,
        message: &NewMessage<'_>,
    ) -> Result<MessageResource, TwilioError> {
        let mut form = vec![("To", message.to), ("From", message.from)];
        form.extend(message.body.map(|body| ("Body", body)));
        form.extend(message.media_url.map(|url| ("MediaUrl", url)));
        self.post("Messages.json", &form).await?.read()
    }

    /// Looks a message up (`GET Messages/{sid}.json`).
    ///
    /// # Errors
    ///
    /// Any [`TwilioError`].
    pub async fn fetch_message(&self, sid: &str) -> Result<MessageResource, TwilioError> {
        if !is_message_sid(sid) {
            return Err(TwilioError::NotASid {
                of: "message",
                prefixes: "SM or MM",
            });
        }
        self.get(&format!("Messages/{sid}.json")).await?.read()
    }

    async fn get(&self, path: &str) -> Result<Answer, TwilioError> {
        self.request(&Method::GET, path, &[]).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Answer, TwilioError> {
        self.request(&Method::POST, path, form).await
    }

    /// Asks until there is an answer, a failure that must not be repeated, or no patience left.
    async fn request(
        &self,
        method: &Method,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<Answer, TwilioError> {
        let url = self.url(path)?;
        let http = self.http()?;
        let started = Instant::now();
        let mut attempts = 0;
        loop {
            let attempted = Instant::now();
            let result = self.attempt(http, method, url.clone(), form).await;
            attempts += 1;
            let http_status = match &result {
                Ok(answer) => Some(answer.http_status),
                Err(failure) => failure.http_status(),
            };
            tracing::debug!(
                %method,
                path = format_args!("{ACCOUNT_PATH}/{path}"),
                http_status,
                attempts,
                elapsed_ms = attempted.elapsed().as_millis(),
                "request to Twilio"
            );
            let failure = match result {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let delay = failure.may_repeat.then(|| {
                let backoff = &self.inner.backoff;
                backoff.delay(attempts, started.elapsed(), failure.retry_after)
            });
            let Some(delay) = delay.flatten() else {
                if let Some(metrics) = self.inner.metrics.get() {
                    metrics.twilio_error(&failure.error);
                }
                return Err(failure.error);
            };
            tokio::time::sleep(delay).await;
        }
    }

    async fn attempt(
        &self,
        http: &reqwest::Client,
        method: &Method,
        url: Url,
        form: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        let account = &self.inner.account;
        let (user, password) = match &account.api_key {
            Some((key, secret)) => (key, secret),
            None => (&account.account_sid, &account.auth_token),
        };
        let mut request = http
            .request(method.clone(), url)
            .basic_auth(user, Some(password.reveal()));
        if !form.is_empty() {
            request = request.form(form);
        }
        let response = request.send().await.map_err(Failure::before_an_answer)?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let body = read_bounded(response, LONGEST_ANSWER).await;
        if !status.is_success() {
            let error = TwilioError::from_answer(status, &body.unwrap_or_default());
            return Err(Failure {
                may_repeat: error.is_throttled(),
                retry_after,
                error,
            });
        }
        Ok(Answer {
            http_status: status.as_u16(),
            body: body.map_err(|error| Failure::final_one(error.into_error(status)))?,
        })
    }

    /// `{base}/2010-04-01/Accounts/{account}/{path}`.
    fn url(&self, path: &str) -> Result<Url, TwilioError> {
        let account = &self.inner.account;
        let mut url = account.base_url.clone();
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        url.set_query(query);
        match url.path_segments_mut() {
            Ok(mut segments) => {
                segments
                    .pop_if_empty()
                    .extend(["2010-04-01", "Accounts", &account.account_sid])
                    .extend(path.split('/'));
            }
            Err(()) => {
                return Err(TwilioError::Unreachable {
                    why: "the base URL cannot have a path".to_owned(),
                });
            }
        }
        Ok(url)
    }

    /// The HTTP client, built when it is first needed. That blocks for some 50 ms, which nobody
    /// hears: before the first request there is no call.
    fn http(&self) -> Result<&reqwest::Client, TwilioError> {
        let inner = &*self.inner;
        if let Some(http) = inner.http.get() {
            return Ok(http);
        }
        let http = http::client(USER_AGENT, ANSWER_TIMEOUT, &inner.account.base_url)
            .map_err(|error| TwilioError::Unreachable { why: reason(error) })?;
        // Two first requests at once may both have built one; either will do.
        Ok(inner.http.get_or_init(|| http))
    }
}

/// Twilio said yes; this is what it said.
struct Answer {
    http_status: u16,
    body: Vec<u8>,
}

impl Answer {
    fn read<T: DeserializeOwned>(&self) -> Result<T, TwilioError> {
        // The parser's own words could show what it read, so they are left out.
        serde_json::from_slice(&self.body).map_err(|_| TwilioError::Unreadable {
            http_status: self.http_status,
            why: "it is not the resource that was asked for",
        })
    }
}

/// An attempt that came to nothing.
struct Failure {
    error: TwilioError,
    may_repeat: bool,
    retry_after: Option<Duration>,
}

impl Failure {
    fn final_one(error: TwilioError) -> Self {
        Self {
            error,
            may_repeat: false,
            retry_after: None,
        }
    }

    fn before_an_answer(error: reqwest::Error) -> Self {
        // A connection that was never made carried nothing. Neither did a request that could not
        // be built, but the next one would be no better.
        let no_connection = error.is_connect();
        let nothing_sent = no_connection || error.is_builder();
        let why = reason(error);
        Self {
            error: if nothing_sent {
                TwilioError::Unreachable { why }
            } else {
                TwilioError::NoAnswer { why }
            },
            may_repeat: no_connection,
            retry_after: None,
        }
    }

    fn http_status(&self) -> Option<u16> {
        match &self.error {
            TwilioError::Api { http_status, .. } | TwilioError::Unreadable { http_status, .. } => {
                Some(*http_status)
            }
            _ => None,
        }
    }
}

impl BodyError {
    /// What that means for a request that Twilio accepted.
    fn into_error(self, status: StatusCode) -> TwilioError {
        match self {
            Self::TooLong => TwilioError::Unreadable {
                http_status: status.as_u16(),
                why: "it is longer than 64 KiB",
            },
            Self::Broken(error) => TwilioError::NoAnswer { why: reason(error) },
        }
    }
}

fn call_path(sid: &str) -> Result<String, TwilioError> {
    if is_call_sid(sid) {
        Ok(format!("Calls/{sid}.json"))
    } else {
        Err(TwilioError::NotASid {
            of: "call",
            prefixes: "CA",
        })
    }
}
