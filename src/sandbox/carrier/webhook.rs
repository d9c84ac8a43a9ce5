//! The carrier's signed requests to the product, and the queue that keeps a call's callbacks in
//! order without holding up the call.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use url::{Host, Url};

use super::call::CallHandle;
use crate::sandbox::complaints::Complaints;
use crate::sandbox::mishap::{Mishap, Mishaps};
use crate::sandbox::net::Tasks;
use crate::sandbox::signing;

/// How long Twilio waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The longest TwiML document that Twilio reads.
const LONGEST: usize = 64 * 1024;

/// Callbacks of one call that may wait; a call has about ten.
const QUEUE: usize = 32;

/// Form fields.
pub(crate) type Fields = Vec<(String, String)>;

/// Posts forms and signs them.
#[derive(Clone)]
pub(crate) struct Webhooks {
    client: reqwest::Client,
    token: String,
    mishaps: Mishaps,
}

/// Whether `url` stays on this machine; the sandbox never talks to any other.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

impl Webhooks {
    pub(crate) fn new(token: &str, mishaps: Mishaps) -> std::io::Result<Self> {
        // No proxy from the environment: it would see requests that must not leave the machine.
        let client = reqwest::Client::builder()
            .no_proxy()
            // Plain HTTP on loopback: reading the system's certificates takes time and may fail.
            .tls_certs_only([])
            // A kept connection may be closed by the product just as the next request is sent on it.
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .map_err(std::io::Error::other)?;
        Ok(Self {
            client,
            token: token.to_owned(),
            mishaps,
        })
    }

    /// Signature over `url` alone, as on a websocket handshake.
    pub(crate) fn sign_handshake(&self, url: &str) -> String {
        signing::sign(&self.token, url, &[])
    }

    /// Posts `fields` and returns status and body, or what went wrong.
    pub(crate) async fn post(&self, url: &str, fields: &Fields) -> Result<(u16, String), String> {
        let target = Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
        if !is_loopback(&target) {
            return Err(format!("{url}: the sandbox stays on this machine"));
        }
        if self.mishaps.strikes(Mishap::WebhookSlow) {
            tokio::time::sleep(self.mishaps.between(500, 3_000)).await;
        }
        let request = self
            .client
            .post(target)
            .header(
                "X-Twilio-Signature",
                signing::sign(&self.token, url, fields),
            )
            .header("User-Agent", "TwilioProxy/1.1")
            .form(fields);
        let failed = |error: reqwest::Error| format!("{url}: {error}");
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                return Err(format!("{url}: answer over 64 KB"));
            }
        }
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// Posts one callback, and notes what came of it.
async fn deliver(
    webhooks: &Webhooks,
    call: &CallHandle,
    complaints: &Complaints,
    callback: Callback,
) {
    let answer = webhooks.post(&callback.url, &callback.fields).await;
    let status = match answer {
        Ok((status, _)) => status,
        Err(error) => {
            complaints.add(format!("callback {}: {error}", callback.label));
            0
        }
    };
    if status != 0 && !(200..300).contains(&status) {
        complaints.add(format!("callback {}: HTTP {status}", callback.label));
    }
    call.update(|call| call.callbacks.push((callback.label, status)));
}

/// One callback that waits for its turn.
#[derive(Clone)]
pub(crate) struct Callback {
    /// What it tells, for the record: a call status, `amd`, a stream event.
    pub(crate) label: String,
    pub(crate) url: String,
    pub(crate) fields: Fields,
}

/// The callbacks of one call, posted one after the other.
pub(crate) struct Callbacks {
    queue: mpsc::Sender<Callback>,
}

impl Callbacks {
    /// Starts the task that posts them; it ends when this is dropped and all are posted.
    pub(crate) fn start(
        webhooks: Webhooks,
        call: Arc<CallHandle>,
        complaints: Complaints,
        mishaps: &Mishaps,
        tasks: &Tasks,
    ) -> Self {
        let (queue, mut waiting) = mpsc::channel::<Callback>(QUEUE);
        let owner = tasks.clone();
        let post = move |callback: Callback| {
            let (webhooks, call) = (webhooks.clone(), Arc::clone(&call));
            let complaints = complaints.clone();
            async move { deliver(&webhooks, &call, &complaints, callback).await }
        };
        let mishaps = mishaps.clone();
        tasks.spawn(async move {
            while let Some(callback) = waiting.recv().await {
                if mishaps.strikes(Mishap::CallbackTwice) {
                    post(callback.clone()).await;
                }
                if mishaps.strikes(Mishap::CallbackOvertaken) {
                    let (late, posting) = (mishaps.between(500, 3_000), post(callback));
                    owner.spawn(async move {
                        tokio::time::sleep(late).await;
                        posting.await;
                    });
                } else {
                    post(callback).await;
                }
            }
        });
        Self { queue }
    }

    /// Posts `callback` after those before it; `false` if far too many wait.
    pub(crate) fn send(&self, callback: Callback) -> bool {
        self.queue.try_send(callback).is_ok()
    }
}
