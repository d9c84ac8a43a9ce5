//! The socket to the voice model.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};
use url::Url;

use crate::secret::Secret;
use crate::socket::{READ_BUFFER, Socket, WRITE_BUFFER};

/// An open socket to a model.
pub type ModelSocket = Socket<WebSocketStream<MaybeTlsStream<TcpStream>>>;

/// A message on it.
pub type ModelMessage = Message;

/// The longest message that is read: an audio delta is some kilobytes, a session some tens.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// What may wait to be written: 20 s of the callee's voice. A model that does not read for so long
/// is not in the conversation any more. All that a new session is told at once fits into it.
pub(crate) const MAX_UNWRITTEN: usize = 256 * 1024;

/// Why there is no socket. Sentences for the call's `error`.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The key was refused at the handshake.
    #[error("The voice model refused the key (HTTP {0}): check OPENAI_API_KEY.")]
    Refused(StatusCode),
    /// The server answered, but not with a websocket.
    #[error(
        "The voice model answered HTTP {0} instead of opening a connection: check OPENAI_BASE_URL and OPENAGENT_PHONE_MODEL."
    )]
    NoWebSocket(StatusCode),
    /// Nothing was there, or it broke.
    #[error("The voice model could not be reached: {0}. Check the network and OPENAI_BASE_URL.")]
    Unreachable(String),
    /// The key cannot stand in a header.
    #[error("OPENAI_API_KEY contains characters that no key has: check how it was set.")]
    KeyUnusable,
}

impl ConnectError {
    /// Another attempt may work.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused(_) | Self::KeyUnusable => false,
            // Too many requests, or too slow a one, may be right in a moment.
            Self::NoWebSocket(status) => {
                status.is_server_error() || matches!(status.as_u16(), 408 | 429)
            }
            Self::Unreachable(_) => true,
        }
    }
}

/// Whether a session that was closed with this code, or without any, can be had again (RFC 6455,
/// 7.4.1): the service goes away, broke, or has too much to do. Others of its codes say that key or
/// model are no good.
pub fn is_worth_reopening(code: Option<u16>) -> bool {
    code.is_none_or(|code| matches!(code, 1001 | 1005 | 1006 | 1011 | 1012 | 1013 | 1015))
}

/// The TLS settings of every model socket: made once, because reading the system's certificates
/// takes tens of milliseconds, and shared, so that sessions resume.
///
/// # Errors
///
/// The system's certificates cannot be read.
pub fn tls() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Opens a socket to the model at `url` (`wss://…/realtime?model=…`, or `ws://` on loopback, where
/// `tls` is not used). The key is judged only later, by an event on the socket.
///
/// # Errors
///
/// [`ConnectError`] says what the user can do. There is no timeout in here.
pub async fn connect(
    url: &Url,
    key: &Secret,
    tls: Option<Arc<ClientConfig>>,
) -> Result<ModelSocket, ConnectError> {
    let unreachable = |error: tungstenite::Error| ConnectError::Unreachable(error.to_string());
    let mut request = url.as_str().into_client_request().map_err(unreachable)?;
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", key.reveal()))
        .map_err(|_| ConnectError::KeyUnusable)?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .max_write_buffer_size(MAX_UNWRITTEN)
        .write_buffer_size(WRITE_BUFFER);
    let connector = match tls {
        Some(tls) => Connector::Rustls(tls),
        None => Connector::Plain,
    };
    // `true`: no Nagle. A frame of speech must not wait for the one after it.
    let opened = tokio_tungstenite::connect_async_tls_with_config(
        request,
        Some(config),
        true,
        Some(connector),
    )
    .await;
    match opened {
        Ok((socket, _)) => Ok(Socket::new(socket)),
        Err(tungstenite::Error::Http(answer)) => Err(match answer.status() {
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                ConnectError::Refused(status)
            }
            status => ConnectError::NoWebSocket(status),
        }),
        Err(error) => Err(unreachable(error)),
    }
}
