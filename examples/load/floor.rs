//! The floor: what two sockets cost if nothing is done with what they carry. A process of its own,
//! with the program's runtime and buffers, and one task a call.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{accept_hdr_async_with_config, connect_async_with_config};

use crate::Failure;

/// What the program has for these, too (`socket::READ_BUFFER`, `socket::WRITE_BUFFER`).
const READ_BUFFER: usize = 1024;
const WRITE_BUFFER: usize = 1024;

/// Relays until its input ends; prints its port first.
pub fn run(model_port: u16) -> Result<(), Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.min(4))
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        crate::print(&format!("{}\n", listener.local_addr()?.port()));
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                if let Err(error) = relay(stream, model_port).await {
                    crate::complain(&format!("floor: {error}"));
                }
            });
        }
    })
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(2 * 1024 * 1024)
}

async fn relay(stream: TcpStream, model_port: u16) -> Result<(), Failure> {
    let mut path = String::new();
    #[expect(clippy::result_large_err, reason = "the signature of the library")]
    let look = |request: &Request, response: Response| {
        request.uri().path().clone_into(&mut path);
        Ok(response)
    };
    let mut carrier = accept_hdr_async_with_config(stream, look, Some(config())).await?;
    let request = format!("ws://127.0.0.1:{model_port}{path}").into_client_request()?;
    let (mut model, _) = connect_async_with_config(request, Some(config()), true).await?;
    loop {
        tokio::select! {
            message = carrier.next() => match message {
                Some(message) => model.send(message?).await?,
                None => return Ok(()),
            },
            message = model.next() => match message {
                Some(message) => carrier.send(message?).await?,
                None => return Ok(()),
            },
        }
    }
}
