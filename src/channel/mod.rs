//! Messages by Telegram, Discord and WhatsApp.
//!
//! - [`telegram`], [`discord`], [`whatsapp`]: one client each, with the provider's own rules;
//! - `http`: talking to a provider, the same for all: tokens stay hidden, short rate limits are
//!   waited out, nothing is sent twice that may have been delivered;
//! - `redact`: tokens in what a provider says;
//! - `error`: what went wrong, and whether something was delivered;
//! - `file`, `fetch`: files of this machine and of the web, streamed;
//! - `split`, `markup`: long texts become several messages.
//!
//! A message is sent in a task of its own: a request that is cancelled half-way must not leave a
//! message half sent, and at the end the tasks get some time to finish.

pub mod discord;
mod error;
mod fetch;
mod file;
mod http;
mod markup;
mod redact;
mod split;
pub mod telegram;
pub mod whatsapp;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config;
use discord::Discord;
pub use error::{ChannelError, Provider, Refusal};
pub use fetch::FetchError;
pub use file::{FileError, Source};
pub use markup::ParseMode;
use telegram::Telegram;
use whatsapp::WhatsApp;

/// Messages that one text may become: more would be a flood.
const MOST_PARTS: usize = 20;

/// The channels that are set up.
#[derive(Debug)]
pub struct Channels {
    /// With `TELEGRAM_BOT_TOKEN`.
    pub telegram: Option<Arc<Telegram>>,
    /// With `DISCORD_BOT_TOKEN`.
    pub discord: Option<Arc<Discord>>,
    /// With `GREEN_API_ID` and `GREEN_API_TOKEN`.
    pub whatsapp: Option<Arc<WhatsApp>>,
    tasks: TaskTracker,
}

impl Channels {
    /// The channels for which there are credentials. `stop` ends the waiting for rate limits.
    pub fn new(config: &config::Channels, stop: &CancellationToken) -> Self {
        let telegram = config.telegram.as_ref().map(|token| {
            let base_url = config.telegram_base_url.clone();
            Arc::new(Telegram::new(base_url, token.clone(), stop.clone()))
        });
        let discord = config.discord.as_ref().map(|token| {
            let base_url = config.discord_base_url.clone();
            let web = config.web.clone();
            Arc::new(Discord::new(base_url, web, token, stop.clone()))
        });
        let whatsapp = config.green.as_ref().map(|(id, token)| {
            let base_url = config.green_base_url.clone();
            Arc::new(WhatsApp::new(base_url, id, token, stop.clone()))
        });
        Self {
            telegram,
            discord,
            whatsapp,
            tasks: TaskTracker::new(),
        }
    }

    /// Sends something to its end, even if nobody waits for the result any more.
    ///
    /// # Errors
    ///
    /// Those of `sending`, and [`ChannelError::Internal`] if it panics.
    pub async fn send(
        &self,
        provider: Provider,
        sending: impl Future<Output = Result<Sent, ChannelError>> + Send + 'static,
    ) -> Result<Sent, ChannelError> {
        let provider = provider.name();
        let sending = self.tasks.spawn(async move {
            let sent = sending.await;
            // Neither to whom nor what.
            match &sent {
                Ok(sent) => tracing::info!(provider, parts = sent.ids.len().max(1), "message sent"),
                Err(error) => tracing::debug!(provider, %error, "message not sent"),
            }
            sent
        });
        sending.await.unwrap_or(Err(ChannelError::Internal))
    }

    /// Waits for messages under way, no longer than `patience`.
    pub async fn shut_down(&self, patience: Duration) {
        self.tasks.close();
        if !self.tasks.is_empty() {
            tracing::debug!(under_way = self.tasks.len(), "messages are given time");
        }
        let _ = tokio::time::timeout(patience, self.tasks.wait()).await;
    }
}

/// What was sent.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// The provider's message object, of the last message if there are several.
    message: Map<String, Value>,
    /// The ids of all of them, in order.
    ids: Vec<Value>,
}

impl Sent {
    fn one(message: Map<String, Value>) -> Self {
        Self {
            message,
            ids: Vec::new(),
        }
    }

    /// The provider's message object as it is, for a single message. For several, that of the last
    /// one, with `parts`, their number, and `message_ids`, in order.
    pub fn into_object(self) -> Map<String, Value> {
        let mut object = self.message;
        if self.ids.len() > 1 {
            object.insert("parts".into(), json!(self.ids.len()));
            object.insert("message_ids".into(), json!(self.ids));
        }
        object
    }
}

/// A part of a text: what it says, and the request that sends it.
struct Part {
    text: String,
    body: Value,
}

/// Makes requests of texts, the parts of one.
fn parts(texts: &[&str], body: impl Fn(&str) -> Value) -> Result<Vec<Part>, ChannelError> {
    if texts.iter().all(|text| text.trim().is_empty()) {
        return Err(ChannelError::Argument(
            "text is empty: say what it should be.".into(),
        ));
    }
    if texts.len() > MOST_PARTS {
        return Err(too_long());
    }
    let part = |text: &&str| Part {
        text: (*text).to_owned(),
        body: body(text),
    };
    Ok(texts.iter().map(part).collect())
}

fn too_long() -> ChannelError {
    ChannelError::Argument(format!(
        "text would make more than {MOST_PARTS} messages: shorten it, or send it as a file."
    ))
}

/// Checks a text that goes with a file. It is not split.
fn check_caption(
    name: &str,
    text: Option<&str>,
    unit: split::Unit,
    most: usize,
) -> Result<(), ChannelError> {
    let length = text.map_or(0, |text| unit.count(text));
    if length > most {
        return Err(ChannelError::Argument(format!(
            "{name} has {length} characters; at most {most} go with a file. Shorten it, or send the \
             rest as a message of its own."
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    fn none() -> Channels {
        Channels {
            telegram: None,
            discord: None,
            whatsapp: None,
            tasks: TaskTracker::new(),
        }
    }

    #[tokio::test]
    async fn a_message_is_sent_to_its_end_although_nobody_waits_for_it() {
        let channels = none();
        let (release, released) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let sending = async move {
            released.await.unwrap();
            done.send(()).unwrap();
            Ok(Sent::default())
        };
        let mut waiting = Box::pin(channels.send(Provider::Telegram, sending));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(waiting);
        release.send(()).unwrap();
        is_done.await.unwrap();
        channels.shut_down(Duration::from_secs(60)).await;
        assert!(channels.tasks.is_empty());
    }

    #[tokio::test]
    async fn a_bug_is_told_as_an_unknown_result() {
        let sending = async { panic!("a bug") };
        let result = none().send(Provider::Discord, sending).await;
        assert!(result.unwrap_err().may_have_been_delivered());
    }
}
