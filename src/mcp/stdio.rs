//! Serving on stdin and stdout, and stopping in time: a host waits 5 s after it has closed our
//! input, so everything is over in 4.

use std::sync::Arc;
use std::time::Duration;

use rmcp::service::{RunningService, ServerInitializeError};
use rmcp::transport::io::stdio_pipes;
use rmcp::{RoleServer, ServiceExt as _};

use super::Server;
use crate::app::App;
use crate::shutdown::Watched;

/// For hanging up and writing everything down, at the end.
const SHUT_DOWN: Duration = Duration::from_millis(3_200);

/// For answers that are still on their way to the host.
const DRAIN: Duration = Duration::from_millis(500);

/// Serves one host until its input ends or the program is told to stop; then hangs up whatever is
/// live.
///
/// # Errors
///
/// The host spoke something that is not MCP, or something broke inside.
pub async fn serve(app: Arc<App>) -> Result<(), String> {
    let stop = app.stop.clone();
    let served = speak(&app).await;
    // In whatever way it ended, the host is gone.
    stop.cancel();
    let answering = async {
        if let Ok(Some(mut running)) = served {
            // Tools that wait answer now, because they watch the same token.
            let _ = running.close_with_timeout(DRAIN).await;
            return Ok(());
        }
        served.map(|_| ())
    };
    let (served, ()) = tokio::join!(answering, app.shut_down(SHUT_DOWN));
    served?;
    if app.is_broken() {
        return Err("an internal error; the log has the details".to_owned());
    }
    Ok(())
}

/// Speaks until it is time to stop; the service is returned as long as it can still answer.
async fn speak(app: &Arc<App>) -> Result<Option<RunningService<RoleServer, Server>>, String> {
    let stop = &app.stop;
    let (stdin, stdout) = stdio_pipes();
    let pipes = Watched::both(stdin, stdout, stop);
    let started = tokio::select! {
        started = Server::new(Arc::clone(app)).serve(pipes) => started,
        () = stop.cancelled() => return Ok(None),
    };
    let running = match started {
        Ok(running) => running,
        // The host went away before it said anything: that is its right.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => {
            return Ok(None);
        }
        Err(error) => return Err(format!("The host did not begin as MCP demands: {error}")),
    };
    stop.cancelled().await;
    Ok(Some(running))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Values};
    use tokio_util::sync::CancellationToken;

    #[test]
    fn a_part_that_fails_ends_the_program_with_an_error() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let served = runtime.block_on(async {
            let config = Config::load(&Values::default()).unwrap();
            let app = App::start(config, CancellationToken::new()).await;
            app.keep_up("a part", async { panic!("as it is meant to in this test") });
            app.stop.cancelled().await;
            tokio::time::timeout(Duration::from_secs(30), serve(app)).await
        });
        // It may still be reading the test's own input.
        runtime.shutdown_background();
        assert!(served.unwrap().unwrap_err().contains("internal error"));
    }
}
