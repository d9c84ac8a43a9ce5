//! Talking to a provider: one request at a time, tokens kept out of everything that is told, short
//! rate limits waited out, and nothing sent twice that may have been delivered.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, header};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::error::{ChannelError, Provider, Refusal};
use super::fetch::Fetcher;
use super::file::{Limit, LocalFile, Progress};
use super::redact::Redactor;
use super::{Part as TextPart, Sent};
use crate::http::{self, read_bounded, reason, retry_after};
use crate::secret::Secret;

/// For a request without a file; Telegram may fetch one meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The slowest line on which a file is still sent, bytes per second.
const SLOWEST_UPLOAD: u64 = 128 * 1024;

/// Bytes of an answer; a message of 4096 characters with all its formatting has a tenth of that.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// For rate limits, per request.
const PATIENCE: Duration = Duration::from_secs(10);

/// If the provider does not say how long to wait.
const USUAL_PAUSE: Duration = Duration::from_secs(1);

/// Providers that name no time, or none to speak of, are asked so often.
const ATTEMPTS: u32 = 5;

/// A provider's answer, as far as it can be read.
pub(super) struct Answer {
    pub(super) http_status: u16,
    /// The JSON in it; null for anything else.
    pub(super) body: Value,
    /// The `Retry-After` header.
    pub(super) retry_after: Option<Duration>,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.http_status)
    }

    /// A text of the body.
    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer).and_then(Value::as_str)
    }
}

/// Reads a provider's answer: the object that was asked for, or why there is none.
pub(super) type Judge = fn(&Answer) -> Result<Map<String, Value>, Verdict>;

/// Why there is no object in an answer.
pub(super) enum Verdict {
    Refused(Refusal),
    /// It should be there and is not.
    Unreadable,
}

/// What a request carries.
pub(super) enum Content<'a> {
    /// Only a question.
    Nothing,
    Json(&'a Value),
    /// A file, after some fields.
    Upload(Upload<'a>),
}

/// A form with a file in it.
pub(super) struct Upload<'a> {
    /// What stands before the file.
    pub(super) fields: &'a [(&'static str, String)],
    /// The name of the file's field.
    pub(super) field: &'static str,
    /// The name under which the file arrives.
    pub(super) name: &'a str,
    pub(super) file: FileOf<'a>,
    pub(super) limit: Limit,
}

/// Where the file of an upload is.
#[derive(Clone, Copy)]
pub(super) enum FileOf<'a> {
    Disk(&'a LocalFile),
    Web(&'a Fetcher, &'a Url),
}

/// A provider, and the way to it.
pub(super) struct Http {
    provider: Provider,
    base_url: Url,
    user_agent: &'static str,
    authorization: Option<Secret>,
    redactor: Redactor,
    judge: Judge,
    client: OnceLock<reqwest::Client>,
    stop: CancellationToken,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("provider", &self.provider)
            .field("host", &self.base_url.host_str())
            .finish_non_exhaustive()
    }
}

impl Http {
    pub(super) fn new(
        provider: Provider,
        base_url: Url,
        secret: &Secret,
        judge: Judge,
        stop: CancellationToken,
    ) -> Self {
        Self {
            provider,
            base_url,
            user_agent: concat!("openagent-messaging/", env!("CARGO_PKG_VERSION")),
            authorization: None,
            redactor: Redactor::new(secret),
            judge,
            client: OnceLock::new(),
            stop,
        }
    }

    /// With a header `Authorization`, and a name of its own.
    pub(super) fn identified(mut self, user_agent: &'static str, authorization: Secret) -> Self {
        self.user_agent = user_agent;
        self.authorization = Some(authorization);
        self
    }

    pub(super) fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// Asks for something that changes nothing.
    pub(super) async fn get(&self, path: &[&str]) -> Result<Map<String, Value>, ChannelError> {
        self.request(&Method::GET, path, &Content::Nothing).await
    }

    /// Sends one message.
    pub(super) async fn post(
        &self,
        path: &[&str],
        content: Content<'_>,
    ) -> Result<Map<String, Value>, ChannelError> {
        self.request(&Method::POST, path, &content).await
    }

    /// Sends the parts of a text, in order; `id` names the id in a message object.
    pub(super) async fn post_parts(
        &self,
        path: &[&str],
        parts: Vec<TextPart>,
        id: &str,
    ) -> Result<Sent, ChannelError> {
        let total = parts.len();
        let mut sent = Sent::default();
        for part in parts {
            match self.post(path, Content::Json(&part.body)).await {
                Ok(message) => {
                    sent.ids.push(message.get(id).cloned().unwrap_or_default());
                    sent.message = message;
                }
                Err(why) if sent.ids.is_empty() => return Err(why),
                Err(why) => {
                    return Err(ChannelError::Partly {
                        sent: sent.ids,
                        total,
                        rest: part.text,
                        why: Box::new(why),
                    });
                }
            }
        }
        Ok(sent)
    }

    /// Asks until there is an answer other than "later", or no patience left.
    async fn request(
        &self,
        method: &Method,
        path: &[&str],
        content: &Content<'_>,
    ) -> Result<Map<String, Value>, ChannelError> {
        let mut waited = Duration::ZERO;
        let mut attempts = 1;
        loop {
            let answer = self.attempt(method, path, content).await?;
            let refusal = match (self.judge)(&answer) {
                Ok(object) => return Ok(self.redactor.object(object)),
                Err(Verdict::Unreadable) if *method == Method::GET => {
                    return Err(ChannelError::Unreachable {
                        provider: self.provider,
                        why: format!("HTTP {}, but not the answer of its API", answer.http_status),
                    });
                }
                Err(Verdict::Unreadable) => {
                    return Err(ChannelError::Unreadable {
                        provider: self.provider,
                        http_status: answer.http_status,
                    });
                }
                Err(Verdict::Refused(mut refusal)) => {
                    refusal.description = self.redactor.text(&refusal.description);
                    refusal
                }
            };
            let pause = refusal.retry_after.unwrap_or(USUAL_PAUSE);
            waited = waited.saturating_add(pause);
            let again = refusal.is_throttling() && waited <= PATIENCE && attempts < ATTEMPTS;
            let refused = || Err(ChannelError::Refused(Box::new(refusal)));
            if !again {
                return refused();
            }
            tracing::debug!(provider = self.provider.name(), ?pause, "rate limit");
            attempts += 1;
            // At the end there is no time for this.
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return refused(),
            }
        }
    }

    async fn attempt(
        &self,
        method: &Method,
        path: &[&str],
        content: &Content<'_>,
    ) -> Result<Answer, ChannelError> {
        let began = tokio::time::Instant::now();
        let unreachable = |why| ChannelError::Unreachable {
            provider: self.provider,
            why,
        };
        let url = self.url(path).map_err(unreachable)?;
        let client = self.client().map_err(|error| unreachable(reason(error)))?;
        let mut request = client.request(method.clone(), url);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization.reveal());
        }
        let (request, progress) = self.fill(request, content).await?;
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(self.failed(error, method, progress.as_deref())),
        };
        let http_status = response.status().as_u16();
        let retry_after = retry_after(&response);
        let body = match read_bounded(response, LONGEST_ANSWER).await {
            Ok(body) => serde_json::from_slice(&body).unwrap_or_default(),
            // The status is what counts.
            Err(_) => Value::Null,
        };
        tracing::debug!(
            provider = self.provider.name(),
            %method,
            http_status,
            elapsed_ms = began.elapsed().as_millis(),
            "request"
        );
        Ok(Answer {
            http_status,
            body,
            retry_after,
        })
    }

    async fn fill(
        &self,
        request: RequestBuilder,
        content: &Content<'_>,
    ) -> Result<(RequestBuilder, Option<Arc<Progress>>), ChannelError> {
        let upload = match content {
            Content::Nothing => return Ok((request, None)),
            Content::Json(body) => return Ok((request.json(body), None)),
            Content::Upload(upload) => upload,
        };
        let (part, length, mime, progress) = match upload.file {
            FileOf::Disk(file) => {
                let (body, progress) = file.open().await?;
                let part = Part::stream_with_length(body, file.length);
                let mime = mime_guess::from_path(upload.name).first_raw();
                (part, file.length, mime.map(str::to_owned), progress)
            }
            FileOf::Web(fetcher, url) => {
                let found = fetcher.open(url, upload.limit).await?;
                let (length, mime) = (found.length, found.mime.clone());
                let (body, progress) = found.into_body(upload.limit);
                let part = match length {
                    Some(length) => Part::stream_with_length(body, length),
                    None => Part::stream(body),
                };
                (part, length.unwrap_or(upload.limit.bytes), mime, progress)
            }
        };
        let mut form = Form::new();
        for (field, value) in upload.fields {
            form = form.text(*field, value.clone());
        }
        let part = typed(part, mime.as_deref()).file_name(upload.name.to_owned());
        form = form.part(upload.field, part);
        let timeout = ANSWER_TIMEOUT + Duration::from_secs(length / SLOWEST_UPLOAD);
        Ok((request.timeout(timeout).multipart(form), Some(progress)))
    }

    /// What it means that there is no answer.
    fn failed(
        &self,
        error: reqwest::Error,
        method: &Method,
        progress: Option<&Progress>,
    ) -> ChannelError {
        let provider = self.provider;
        if let Some(fault) = progress.and_then(Progress::fault) {
            return fault.clone();
        }
        // A connection that was never made carried nothing. Neither did a request that could not be
        // built, and a question does no harm.
        let harmless = error.is_connect() || error.is_builder() || *method == Method::GET;
        let why = self.redactor.text(&reason(error));
        if harmless {
            ChannelError::Unreachable { provider, why }
        } else if progress.is_some_and(|progress| !progress.is_finished()) {
            ChannelError::Interrupted { provider, why }
        } else {
            ChannelError::NoAnswer { provider, why }
        }
    }

    fn url(&self, path: &[&str]) -> Result<Url, String> {
        let mut url = self.base_url.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => {
                segments.pop_if_empty().extend(path);
            }
            Err(()) => return Err("the base URL cannot have a path".to_owned()),
        }
        Ok(url)
    }

    /// The HTTP client, built when it is first needed: that takes some 50 ms.
    fn client(&self) -> reqwest::Result<&reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = http::client(self.user_agent, ANSWER_TIMEOUT, &self.base_url)?;
        // Two first requests at once may both have built one; either will do.
        Ok(self.client.get_or_init(|| client))
    }
}

/// A media type that cannot be one is left out.
fn typed(part: Part, mime: Option<&str>) -> Part {
    let Some(mime) = mime.and_then(|mime| header::HeaderValue::from_str(mime).ok()) else {
        return part;
    };
    let mut headers = header::HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, mime);
    part.headers(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_that_is_not_answered_in_time_may_have_arrived() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let base_url = Url::parse(&url).unwrap();
        let token = Secret::new("token");
        let judge: Judge = |_| Err(Verdict::Unreadable);
        let stop = CancellationToken::new();
        let http = Http::new(Provider::GreenApi, base_url, &token, judge, stop);
        let patience = Duration::from_millis(50);
        let asked = http.client().unwrap().post(url).timeout(patience);
        // It is connected and written, and nobody reads it.
        let error = asked.body("x").send().await.unwrap_err();
        let unknown = http.failed(error, &Method::POST, None);
        assert!(unknown.may_have_been_delivered(), "{unknown}");
        assert!(unknown.to_string().contains("no answer in time"));
        // Of a file, the last byte must have been handed over for that.
        for finished in [true, false] {
            let progress = Progress::default();
            if finished {
                progress.finish();
            }
            let asked = http.client().unwrap().post(http.base_url().clone());
            let error = asked.timeout(patience).send().await.unwrap_err();
            let failed = http.failed(error, &Method::POST, Some(&progress));
            assert_eq!(failed.may_have_been_delivered(), finished, "{failed}");
        }
    }
}
