//! Text messages: checked, counted, sent once.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio_util::task::TaskTracker;

use crate::idempotency::{Begun, KeyReused, Keys};
use crate::phone::E164;
use crate::safety::budget::{Budget, OverBudget};
use crate::safety::destination::{Destinations, Refusal};
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

/// Why a message was not sent. The text is for the agent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// The number must not be written to.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A limit is reached.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// The key was used for another message.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// A limit is set that cannot be checked.
    #[error("Messages are refused: {0}. Tell the user.")]
    Unchecked(String),
    /// Twilio refused it, or could not be reached.
    #[error(transparent)]
    Twilio(TwilioError),
    /// Whether it was sent is unknown.
    #[error(
        "It is unknown whether the message was sent: do not send it again before the user has looked. {0}"
    )]
    Unknown(TwilioError),
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
    destinations: Arc<Destinations>,
    budget: Arc<Budget>,
    /// A limit that cannot be checked counts as reached.
    refused: Option<String>,
    keys: Keys<Result<MessageResource, SendError>>,
    tasks: TaskTracker,
}

impl Messenger {
    /// A messenger for the account behind `twilio`; `refused` is a limit that cannot be checked.
    pub fn new(
        twilio: Client,
        from: E164,
        destinations: Arc<Destinations>,
        budget: Arc<Budget>,
        refused: Option<String>,
    ) -> Self {
        Self {
            twilio,
            from,
            destinations,
            budget,
            refused,
            keys: Keys::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Sends a message; with a known idempotency key, returns what came of it the first time.
    ///
    /// # Errors
    ///
    /// [`SendError`]; unless it is [`SendError::Unknown`], nothing was sent.
    pub async fn send(self: &Arc<Self>, message: Message) -> Result<MessageResource, SendError> {
        let ticket = match &message.idempotency_key {
            None => None,
            Some(key) => {
                let fingerprint = format!("{} {message:?}", message.to.as_str());
                match self.keys.begin(key, &fingerprint).await? {
                    Begun::Repeat(result) => return result,
                    Begun::First(ticket) => Some(ticket),
                }
            }
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
        self.destinations.check(&message.to)?;
        if let Some(limit) = &self.refused {
            return Err(SendError::Unchecked(limit.clone()));
        }
        let now = Utc::now();
        self.budget.count_sms(now)?;
        let new = NewMessage {
            to: message.to.as_str(),
            from: self.from.as_str(),
            body: message.text.as_deref(),
            media_url: message.media_url.as_deref(),
        };
        match self.twilio.send_message(&new).await {
            Ok(sent) => {
                tracing::info!(to = %message.to.masked(), "message sent");
                Ok(sent)
            }
            Err(error) if error.may_have_reached() => Err(SendError::Unknown(error)),
            Err(error) => {
                self.budget.uncount_sms(now);
                Err(SendError::Twilio(error))
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
