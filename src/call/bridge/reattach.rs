//! The carrier's stream comes and goes, the conversation stays.

use std::collections::VecDeque;
use std::time::Duration;

use super::Bridge;
use super::event::{Change, End, Stream, ToModel};
use super::gate::Closed;
use super::opening::Opening;
use crate::call::snapshot::Role;

/// A lost stream is a hang-up, unless a new one comes within this time.
const REATTACH: Duration = Duration::from_secs(3);

/// A stream that is lost more often than this within [`PER`] is no line to talk on.
const REATTACHMENTS: usize = 3;

/// See [`REATTACHMENTS`].
const PER: Duration = Duration::from_secs(60);

/// In the transcript, where the stream was lost.
const DROPPED: &str = "The line dropped for a moment.";

/// Tells the model, too.
const DROPPED_SILENT: &str = "The line dropped for a moment and is back. Go on with the \
                              conversation; do not greet again.";

/// The same, if something of what it said was lost.
const DROPPED_SPEAKING: &str = "The line dropped for a moment and is back. The end of what you were \
                                saying was not heard: say it again, briefly; do not greet again.";

/// The carrier's stream, as an attachment.
#[derive(Debug, Default)]
pub(super) struct Carrier {
    /// When the present stream was attached.
    pub(super) attached: Option<Duration>,
    /// When the first one was.
    pub(super) answered: Option<Duration>,
    /// When the last one was lost, if that may be a hang-up.
    pub(super) lost: Option<Duration>,
    /// Something that the agent was saying was lost with it.
    lost_words: bool,
    /// Where in the stream the next frame should begin.
    pub(super) next_frame: Option<Duration>,
    /// When streams were replaced, at most a minute ago.
    replaced: VecDeque<Duration>,
}

impl Bridge {
    pub(super) fn attach(&mut self, stream: Stream) {
        // Whatever an older stream still held will not be heard on this one.
        if self.carrier.attached.is_some() {
            self.detach();
        }
        let again = self.carrier.answered.is_some();
        if again && stream == Stream::Usual && !self.may_replace() {
            return self.hang_up(End::Failed(format!(
                "The carrier's media stream was lost more than {REATTACHMENTS} times in a minute. \
                 Check the tunnel behind OPENAGENT_PHONE_PUBLIC_URL and the network, then call \
                 again."
            )));
        }
        self.carrier.attached = Some(self.now);
        self.carrier.answered.get_or_insert(self.now);
        self.carrier.lost = None;
        self.carrier.next_frame = None;
        match stream {
            Stream::AfterKeys(number) => self.keys_were_pressed(number),
            Stream::Usual if again => {
                self.line_is_back();
                self.keys_may_be_pressed();
            }
            Stream::Usual => {}
        }
        let open = self.gate.open(Closed::Detached);
        self.tell_model(open);
    }

    /// Counts a stream that replaces another; false if there were too many.
    fn may_replace(&mut self) -> bool {
        let replaced = &mut self.carrier.replaced;
        replaced.retain(|at| *at + PER > self.now);
        replaced.push_back(self.now);
        replaced.len() <= REATTACHMENTS
    }

    pub(super) fn line_is_back(&mut self) {
        let (slot, at) = (self.slot(), self.now);
        let text = DROPPED.to_owned();
        self.publish(Change::Line {
            slot,
            at,
            role: Role::System,
            text,
        });
        // Before the disclosure was heard there is no conversation to go on with.
        if !matches!(self.opening, Opening::Done) {
            return;
        }
        if std::mem::take(&mut self.carrier.lost_words) {
            self.tell(DROPPED_SPEAKING);
            if self.ending.is_some() {
                return self.goodbye_again();
            }
            let answer = self.gate.owe_answer();
            self.tell_model(answer);
        } else {
            self.tell(DROPPED_SILENT);
        }
    }

    pub(super) fn detach(&mut self) {
        if self.carrier.attached.take().is_none() {
            return;
        }
        // Keys take the stream away, and have a time limit of their own.
        self.carrier.lost = (!self.keys_are_sent()).then_some(self.now);
        self.carrier.lost_words = !self.ledger.is_silent() || self.is_saying();
        if !self.ledger.is_silent() {
            self.message_interrupted();
        }
        self.goodbye_waits(REATTACH);
        self.greeting_interrupted();
        let close = self.gate.close(Closed::Detached);
        self.tell_model(close);
        if self.gate.active().is_some() && self.draft().is_none() {
            self.send(ToModel::Cancel);
        }
        self.cut();
    }

    pub(super) fn hang_up_deadline(&self) -> Option<Duration> {
        let lost = self.carrier.lost?;
        // Keys that are pressed after all take the stream away, too.
        Some((lost + REATTACH).max(self.doubt_ends().unwrap_or(lost)))
    }

    /// Nobody came back: the callee has hung up.
    pub(super) fn hang_up_on_time(&mut self) {
        if self.hang_up_deadline().is_some_and(|at| at <= self.now) {
            self.hang_up(End::CalleeHungUp);
        }
    }
}
