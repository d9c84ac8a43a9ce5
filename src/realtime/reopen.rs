//! Another session for a call that has begun: opened and configured before the conversation moves.

use bytes::{Bytes, BytesMut};
use tokio_tungstenite::tungstenite;

use super::event::{self, Parsed};
use super::setup::Setup;
use super::socket::{ConnectError, ModelMessage, ModelSocket, is_worth_reopening};
use crate::call::bridge::event::{ErrorKind, ModelEvent, Request, ToModel};

/// Why there is no other session.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct NotReopened {
    /// A sentence for the call's `error`.
    pub why: String,
    /// A later attempt may do.
    pub returns: bool,
}

impl NotReopened {
    fn new(why: impl Into<String>, returns: bool) -> Self {
        let why = why.into();
        Self { why, returns }
    }
}

impl From<ConnectError> for NotReopened {
    fn from(error: ConnectError) -> Self {
        Self::new(error.to_string(), error.may_pass())
    }
}

/// Configures a session on an open socket, and waits until the model has accepted that: it listens
/// then, and says nothing by itself. There is no timeout in here.
///
/// # Errors
///
/// [`NotReopened`] if the model refuses, or closes the socket.
pub async fn configure(mut socket: ModelSocket, setup: &Setup) -> Result<ModelSocket, NotReopened> {
    let broke = |error: tungstenite::Error| {
        NotReopened::new(
            format!("The connection to the voice model broke: {error}."),
            true,
        )
    };
    let mut text = BytesMut::new();
    event::write(&ToModel::Configure, setup, &mut text);
    let text = tungstenite::Utf8Bytes::try_from(text.freeze())
        .map_err(|error| NotReopened::new(error.to_string(), false))?;
    socket.send(ModelMessage::Text(text)).map_err(broke)?;
    loop {
        let message = match socket.recv().await {
            Some(message) => message.map_err(broke)?,
            None => {
                return Err(NotReopened::new(
                    "The voice model closed the connection.",
                    true,
                ));
            }
        };
        match message {
            ModelMessage::Text(text) => match event::parse(&Bytes::from(text)) {
                Ok(Parsed::Event(ModelEvent::Configured)) => return Ok(socket),
                Ok(Parsed::Event(ModelEvent::Error {
                    about,
                    kind,
                    message,
                })) if kind == ErrorKind::Fatal || about == Some(Request::Configure) => {
                    let why = format!("The voice model refused: {message}");
                    return Err(NotReopened::new(why, false));
                }
                _ => {}
            },
            ModelMessage::Close(frame) => {
                let code = frame.as_ref().map(|frame| u16::from(frame.code));
                let why = closed(code, frame.as_ref().map_or("", |frame| &frame.reason));
                return Err(NotReopened::new(why, is_worth_reopening(code)));
            }
            _ => {}
        }
    }
}

/// The sentence for a socket that the model has closed.
pub fn closed(code: Option<u16>, reason: &str) -> String {
    match code {
        Some(code) => format!("The voice model closed the connection ({code}: {reason})."),
        None => "The voice model closed the connection.".to_owned(),
    }
}
