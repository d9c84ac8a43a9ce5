//! The listener of the metrics. It is one of its own, so that no tunnel shows them to the world.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use chrono::Utc;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::encoding::text::encode;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Now;
use crate::call::switchboard::Switchboard;

/// Connections at once; a scraper needs one.
const CONNECTIONS: usize = 16;

/// For the head of a request.
const HEADER_TIME: Duration = Duration::from_secs(5);

/// A connection lasts no longer than this, whatever is asked on it.
const CONNECTION_TIME: Duration = Duration::from_secs(60);

/// The head of a request, bytes. hyper takes no less.
const MAX_HEAD: usize = 16 * 1024;

/// After a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// What Prometheus expects of this format (`OpenMetrics` 1.0, "Protocol Negotiation").
const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Opens the address.
///
/// # Errors
///
/// A sentence for `status`.
pub fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    let opened = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    opened.map_err(|error| {
        format!(
            "OPENAGENT_PHONE_METRICS: {address} cannot be opened ({error}), so no metrics are served. Name a free address."
        )
    })
}

/// Serves `GET /metrics`, and nothing else, until `stop` is cancelled.
pub async fn serve(listener: TcpListener, board: Arc<Switchboard>, stop: CancellationToken) {
    let routes = Router::new().route("/metrics", get(show)).with_state(board);
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            continue;
        };
        let (routes, stop) = (routes.clone(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                _ = tokio::time::timeout(CONNECTION_TIME, connection(stream, routes)) => {}
                () = stop.cancelled() => {}
            }
            drop(permit);
        });
    }
    tasks.close();
}

async fn connection(stream: TcpStream, routes: Router) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    if let Err(error) = serving.await {
        tracing::debug!(%error, "connection of a scraper ended");
    }
}

async fn show(State(board): State<Arc<Switchboard>>) -> Response {
    let now = Now {
        live: board.live(),
        used: board.used(Utc::now()).await.ok(),
        limits: *board.limits(),
    };
    let mut text = String::new();
    match encode(&mut text, &board.metrics().registry(Some(&now))) {
        Ok(()) => ([(header::CONTENT_TYPE, FORMAT)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
