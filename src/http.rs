//! What the clients of other people's services share: an HTTP client that repeats nothing by itself,
//! and answers that are read with a bound.

use std::time::Duration;

use reqwest::{Response, header};
use url::{Host, Url};

/// For a connection to a service.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Shorter than usual, to give a connection up before the other side does: a request on one that
/// is just being closed would end with an unknown result.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A client for the service at `base_url`; `answer` is for one attempt, from connecting to the last
/// byte. Building it loads the certificates of the system, which takes some 50 ms.
///
/// # Errors
///
/// Those of the library.
pub(crate) fn client(
    user_agent: &str,
    answer: Duration,
    base_url: &Url,
) -> reqwest::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(user_agent)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(answer)
        .pool_idle_timeout(IDLE_TIMEOUT)
        // A redirect would take a request, or our credentials, who knows where.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // What may be repeated, whoever asks decides.
        .retry(reqwest::retry::never());
    if is_loopback(base_url) {
        builder = builder.no_proxy();
    }
    builder.build()
}

/// Why a body could not be read.
pub(crate) enum BodyError {
    /// It is longer than anybody expects.
    TooLong,
    /// The connection broke.
    Broken(reqwest::Error),
}

/// Reads a body of no more than `most` bytes.
pub(crate) async fn read_bounded(
    mut response: Response,
    most: usize,
) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > most {
            return Err(BodyError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The seconds that `Retry-After` asks for; its other form, a date, is used by no service here.
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    seconds(text.trim().parse().ok()?)
}

/// A time from outside. What is too long for us is very long; what is no time is none.
pub(crate) fn seconds(seconds: f64) -> Option<Duration> {
    let is_time = seconds >= 0.0;
    is_time.then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// An error of the HTTP client with its causes, and without the URL, which may name an account or
/// have a token in it.
pub(crate) fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        let what = if error.is_connect() {
            "no connection in time"
        } else {
            "no answer in time"
        };
        return what.to_owned();
    }
    let mut why = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        why.push_str(": ");
        why.push_str(&error.to_string());
        cause = error.source();
    }
    why
}

/// A stand-in on this machine, which no proxy could reach.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_error_names_the_url() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/bot123", listener.local_addr().unwrap());
        drop(listener);
        let error = reqwest::get(url).await.unwrap_err();
        assert!(error.to_string().contains("bot123"));
        let why = reason(error);
        assert!(!why.contains("bot123") && !why.is_empty(), "{why}");
    }
}
