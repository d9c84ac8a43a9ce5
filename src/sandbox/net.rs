//! What both stand-ins share of the network: owned tasks, and an accept loop that can hang up.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Every task of one sandbox: all end together.
#[derive(Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    token: CancellationToken,
}

impl Tasks {
    /// Runs `task` until it ends or the sandbox does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let token = self.token.clone();
        self.tracker.spawn(async move {
            token.run_until_cancelled(task).await;
        });
    }

    /// Ties a task that somebody else spawns (axum does, for upgraded sockets) to the sandbox.
    pub(crate) async fn tie(&self, task: impl Future<Output = ()>) {
        let owned = self.tracker.track_future(task);
        self.token.run_until_cancelled(owned).await;
    }

    /// Tells every task to stop.
    pub(crate) fn cancel(&self) {
        self.token.cancel();
        self.tracker.close();
    }

    /// Tells every task to stop and waits until all have.
    pub(crate) async fn shutdown(&self) {
        self.cancel();
        self.tracker.wait().await;
    }
}

/// A response extension: close the connection instead of answering.
#[derive(Clone)]
struct Unanswered;

/// The response of a server that dies before it answers.
pub(crate) fn unanswered() -> Response {
    let mut response = ().into_response();
    response.extensions_mut().insert(Unanswered);
    response
}

/// Serves `app`. Not `axum::serve`: that cannot close a connection without an answer, and its
/// connections belong to nobody.
pub(crate) async fn serve(listener: TcpListener, app: Router, tasks: Tasks) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: give others time to close theirs.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Audio frames are small and must not wait for each other.
        let _ = stream.set_nodelay(true);
        let app = TowerToHyperService::new(app.clone());
        let service = service_fn(move |request| {
            let answer = app.call(request);
            async move {
                match answer.await {
                    Ok(response) if response.extensions().get::<Unanswered>().is_some() => {
                        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
                    }
                    Ok(response) => Ok(response),
                    Err(never) => match never {},
                }
            }
        });
        tasks.spawn(async move {
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            // The error is the closed connection that was asked for, or the client's own doing.
            let _ = connection.await;
        });
    }
}
