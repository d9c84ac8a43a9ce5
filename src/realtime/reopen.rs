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
    let mut text = BytesMut::new();
    event::write(&ToModel::Configure, setup, &mut text);
    let text = tungstenite::Utf8Bytes::try_from(text.freeze())
        .map_err(|error| NotReopened::new(error.to_string(), false))?;
    socket.send(ModelMessage::Text(text)).map_err(broke)?;
    loop {
        let Some(text) = unless_over(socket.recv().await)? else {
            continue;
        };
        match event::parse(&text) {
            Ok(Parsed::Event(ModelEvent::Configured)) => return Ok(socket),
            Ok(Parsed::Event(ModelEvent::Error {
                about: Some(Request::Configure),
                message,
                ..
            })) => {
                let why = format!("The voice model refused: {message}");
                return Err(NotReopened::new(why, false));
            }
            _ => {}
        }
    }
}

/// What came from a session that is not in use yet: the text of an event, or nothing that matters.
///
/// # Errors
///
/// [`NotReopened`] if that session is over.
pub fn unless_over(
    message: Option<Result<ModelMessage, tungstenite::Error>>,
) -> Result<Option<Bytes>, NotReopened> {
    match message {
        None => Err(NotReopened::new(closed(None, ""), true)),
        Some(Err(error)) => Err(broke(error)),
        Some(Ok(ModelMessage::Close(frame))) => {
            let code = frame.as_ref().map(|frame| u16::from(frame.code));
            let why = closed(code, frame.as_ref().map_or("", |frame| &frame.reason));
            Err(NotReopened::new(why, is_worth_reopening(code)))
        }
        Some(Ok(ModelMessage::Text(text))) => {
            let text = Bytes::from(text);
            match event::parse(&text) {
                Ok(Parsed::Event(ModelEvent::Error {
                    kind: kind @ (ErrorKind::Fatal | ErrorKind::Expired),
                    message,
                    ..
                })) => {
                    let why = format!("The voice model refused: {message}");
                    Err(NotReopened::new(why, kind == ErrorKind::Expired))
                }
                _ => Ok(Some(text)),
            }
        }
        Some(Ok(_)) => Ok(None),
    }
}

fn broke(error: impl std::fmt::Display) -> NotReopened {
    NotReopened::new(
        format!("The connection to the voice model broke: {error}."),
        true,
    )
}

/// The sentence for a socket that the model has closed.
pub fn closed(code: Option<u16>, reason: &str) -> String {
    match code {
        Some(code) => format!("The voice model closed the connection ({code}: {reason})."),
        None => "The voice model closed the connection.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;

    use super::*;

    fn error(code: &str, about: Option<&str>) -> ModelMessage {
        let error = json!({
            "type": "error",
            "error": {"type": "t", "code": code, "message": "m", "param": null, "event_id": about},
        });
        ModelMessage::Text(error.to_string().into())
    }

    fn close(code: u16) -> ModelMessage {
        ModelMessage::Close(Some(CloseFrame {
            code: code.into(),
            reason: "r".into(),
        }))
    }

    #[test]
    fn a_session_that_is_not_in_use_yet_is_over_when_it_says_so() {
        let over = [
            (Some(Ok(close(1001))), true),
            (Some(Ok(close(3000))), false),
            (Some(Ok(ModelMessage::Close(None))), true),
            (None, true),
            (Some(Err(tungstenite::Error::ConnectionClosed)), true),
            (Some(Ok(error("session_expired", None))), true),
            (Some(Ok(error("insufficient_quota", None))), false),
        ];
        for (message, returns) in over {
            let shown = format!("{message:?}");
            let gone = unless_over(message).expect_err(&shown);
            assert_eq!(gone.returns, returns, "{shown}");
        }
        let stays = [
            error("unknown_parameter", Some("turns")),
            ModelMessage::Text(json!({"type": "rate_limits.updated"}).to_string().into()),
            ModelMessage::Ping(Bytes::new()),
        ];
        for message in stays {
            assert!(unless_over(Some(Ok(message))).is_ok());
        }
    }
}
