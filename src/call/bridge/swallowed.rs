//! A request for a response that the model neither begins nor refuses, and a response that it begins
//! and does not end. Without limits, either would leave the agent mute until the call's maximum.

use std::time::Duration;

use super::event::End;
use super::{Bridge, earliest};

/// For a response to begin that was asked for. Then it is asked for once more, and then the session is
/// replaced.
const BEGINS: Duration = Duration::from_secs(10);

/// A response of which nothing comes for so long does not end any more. It comes faster than it is
/// spoken.
const GOES_ON: Duration = Duration::from_secs(15);

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
        let begins = self.request.as_ref().map(|request| request.since + BEGINS);
        earliest([begins, self.stalls_at()])
    }

    /// When the response under way will have said nothing for too long.
    fn stalls_at(&self) -> Option<Duration> {
        let active = self.gate.active().filter(|_| !self.model_is_lost());
        active.map(|_| self.response_heard + GOES_ON)
    }

    /// Keeps the time of the request, and acts when it has lasted too long.
    pub(super) fn request_on_time(&mut self) {
        if self.stalls_at().is_some_and(|at| at <= self.now) {
            return self.model_lost("The voice model stopped in the middle of an answer.", true);
        }
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
