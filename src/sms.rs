//! Text messages: checked, counted, sent once.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::cost::prices::{MessagePrice, Prices};
use crate::cost::{self, Unpriced};
use crate::idempotency::{Begun, Keys, Reused};
use crate::metrics::Metrics;
use crate::phone::E164;
use crate::safety::Rules;
use crate::safety::destination::Refusal;
use crate::store::Store;
use crate::store::keys::{Key, KeyReused};
use crate::store::limits::Refused;
use crate::store::messages::{self, Counted, SentBefore};
use crate::twilio::rest::{Client, MessageResource, NewMessage, TwilioError};

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// To whom.
    pub to: E164,
    /// What it says.
    pub text: Option<String>,
    /// A file for Twilio to fetch and attach.
    pub media_url: Option<String>,
    /// The same key never sends twice.
    pub idempotency_key: Option<String>,
}

impl Message {
    /// Stands for all that makes two messages the same.
    fn fingerprint(&self) -> String {
        format!("{} {self:?}", self.to.as_str())
    }
}

/// How long to wait for another process that is sending a message with the same key.
const SAME_KEY: Duration = Duration::from_secs(20);

/// How often to look whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Why a message was not sent. The text is for the agent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// The number must not be written to.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A limit is reached or cannot be checked, or the key was used for another message.
    #[error(transparent)]
    Limit(#[from] Refused),
    /// Twilio refused it, or could not be reached.
    #[error(transparent)]
    Twilio(TwilioError),
    /// Whether it was sent is unknown.
    #[error(
        "It is unknown whether the message was sent: do not send it again before the user has looked. {0}"
    )]
    Unknown(TwilioError),
    /// An earlier run of the server was sending it when it ended.
    #[error(
        "A message was already being sent with this idempotency_key when the server ended, and it is unknown whether it \
         was sent: do not send it again before the user has looked."
    )]
    WasUnknown,
    /// Another process is sending it, and takes its time.
    #[error(
        "Another run of the server is sending a message with this idempotency_key right now; it was not sent again. \
         Repeat this in a moment, with the same key."
    )]
    SameKeyBusy,
    /// A bug.
    #[error(
        "An internal error interrupted the sending, and it is unknown whether the message was sent: do not send it again \
         before the user has looked. The server's log has the details."
    )]
    Internal,
}

/// Sends messages from the account's number.
#[derive(Debug)]
pub struct Messenger {
    twilio: Client,
    from: E164,
    rules: Arc<Rules>,
    store: Arc<Store>,
    prices: Arc<Prices>,
    metrics: Arc<Metrics>,
    keys: Keys<Result<MessageResource, SendError>>,
    tasks: TaskTracker,
}

impl Messenger {
    /// A messenger for the account behind `twilio`.
    pub fn new(
        twilio: Client,
        from: E164,
        rules: Arc<Rules>,
        store: Arc<Store>,
        prices: Arc<Prices>,
    ) -> Self {
        Self {
            twilio,
            from,
            rules,
            store,
            prices,
            metrics: Arc::default(),
            keys: Keys::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// The same, counting there.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Sends a message; with a known idempotency key, returns what came of it the first time.
    ///
    /// # Errors
    ///
    /// [`SendError`]; unless it is [`SendError::Unknown`], nothing was sent.
    pub async fn send(self: &Arc<Self>, message: Message) -> Result<MessageResource, SendError> {
        let sent = self.try_to_send(message).await;
        if let Err(error) = &sent {
            self.metrics.message_refused(error);
        }
        sent
    }

    async fn try_to_send(self: &Arc<Self>, message: Message) -> Result<MessageResource, SendError> {
        let ticket = match &message.idempotency_key {
            None => None,
            Some(key) => match self.keys.begin(key, &message.fingerprint()).await {
                Err(Reused) => return Err(Refused::from(KeyReused).into()),
                Ok(Begun::Repeat(result)) => return result,
                Ok(Begun::First(ticket)) => Some(ticket),
            },
        };
        // In a task of its own: a cancelled request must not release the key of a message that is
        // on its way.
        let messenger = Arc::clone(self);
        let sending = self.tasks.spawn(async move {
            let result = messenger.send_once(&message).await;
            if let (Some(ticket), Ok(_) | Err(SendError::Unknown(_))) = (ticket, &result) {
                ticket.done(result.clone());
            }
            result
        });
        sending.await.unwrap_or(Err(SendError::Internal))
    }

    async fn send_once(&self, message: &Message) -> Result<MessageResource, SendError> {
        self.rules.destinations.check(&message.to)?;
        let key = message.idempotency_key.as_deref();
        let key = key.map(|key| Key::new("sms", key, &message.fingerprint()));
        let id = match self.count(message, key.as_ref()).await? {
            Counted::New(id) => id,
            Counted::Before(SentBefore::Accepted(sent)) => return Ok(sent),
            Counted::Before(SentBefore::Sending) => return Err(SendError::SameKeyBusy),
            Counted::Before(SentBefore::Unknown) => return Err(SendError::WasUnknown),
        };
        let new = NewMessage {
            to: message.to.as_str(),
            from: self.from.as_str(),
            body: message.text.as_deref(),
            media_url: message.media_url.as_deref(),
        };
        // A store that fails now leaves the message counted, and as one of which nobody knows
        // whether it was sent: that errs on the safe side.
        match self.twilio.send_message(&new).await {
            Ok(sent) => {
                tracing::info!(to = %message.to.masked(), "message sent");
                // Twilio counts segments as it charges them.
                let counted = match (self.price(message), sent.num_segments) {
                    (Ok(MessagePrice::PerSegment(price)), Some(segments)) => {
                        Some(price.times(segments.into()))
                    }
                    _ => None,
                };
                let _ = self.store.message_accepted(id, &sent, counted).await;
                Ok(sent)
            }
            Err(error) if error.may_have_reached() => {
                let _ = self.store.message_unknown(id).await;
                Err(SendError::Unknown(error))
            }
            Err(error) => {
                let _ = self.store.forget_message(id).await;
                Err(SendError::Twilio(error))
            }
        }
    }

    fn price(&self, message: &Message) -> Result<MessagePrice, Unpriced> {
        let media = message.media_url.is_some();
        let price = self.prices.message(&message.to, media);
        price.ok_or(if media { Unpriced::Mms } else { Unpriced::Sms })
    }

    /// Counts a message, once no other process is sending it.
    async fn count(&self, message: &Message, key: Option<&Key>) -> Result<Counted, SendError> {
        let started = Instant::now();
        loop {
            let new = messages::NewMessage {
                to: &message.to,
                from: &self.from,
                text: message.text.as_deref(),
                media_url: message.media_url.as_deref(),
                cost: self
                    .price(message)
                    .map(|price| cost::message(price, message.text.as_deref())),
                key,
            };
            match self
                .store
                .count_message(new, &self.rules.limits, Utc::now())
                .await?
            {
                Counted::Before(SentBefore::Sending) if started.elapsed() < SAME_KEY => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                counted => return Ok(counted),
            }
        }
    }

    /// How a message is doing.
    ///
    /// # Errors
    ///
    /// [`TwilioError`], also if `sid` cannot be one.
    pub async fn status(&self, sid: &str) -> Result<MessageResource, TwilioError> {
        self.twilio.fetch_message(sid).await
    }

    /// Waits for messages under way, no longer than `patience`.
    pub async fn shut_down(&self, patience: Duration) {
        self.tasks.close();
        let _ = tokio::time::timeout(patience, self.tasks.wait()).await;
    }

    /// The number that messages come from.
    pub fn from(&self) -> &E164 {
        &self.from
    }
}
