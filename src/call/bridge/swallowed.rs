//! A request for a response that the model neither begins nor refuses. Without a limit, a service that
//! swallows one would leave the agent mute until the call's maximum.

use std::time::Duration;

use super::Bridge;
use super::event::End;

/// For a response to begin that was asked for. Then it is asked for once more, and then the session is
/// replaced.
const BEGINS: Duration = Duration::from_secs(10);

/// What was asked for and has not begun.
#[derive(Debug)]
pub(super) struct Request {
    /// As the gate counts them.
    number: u32,
    since: Duration,
    /// It was asked for once more.
    repeated: bool,
}

impl Bridge {
    pub(super) fn request_deadline(&self) -> Option<Duration> {
        self.request.as_ref().map(|request| request.since + BEGINS)
    }

    /// Keeps the time of the request, and acts when it has lasted too long.
    pub(super) fn request_on_time(&mut self) {
        let Some(number) = self.gate.request() else {
            self.request = None;
            return;
        };
        let request = match self.request.take() {
            Some(request) if request.number == number => request,
            _ => Request {
                number,
                since: self.now,
                repeated: false,
            },
        };
        if request.since + BEGINS > self.now {
            self.request = Some(request);
        } else if !request.repeated {
            self.request = Some(Request {
                since: self.now,
                repeated: true,
                ..request
            });
            let again = self.gate.ask_again();
            self.tell_model(again);
        } else if std::mem::replace(&mut self.swallows, true) {
            self.hang_up(End::ModelGone(
                "The voice model does not answer, in another session neither.".into(),
            ));
        } else {
            self.model_lost("The voice model did not begin to answer.", true);
        }
    }
}
