//! The loss of a session, which is over only when another one has shown that it works: sessions that
//! are lost one after another are one loss, with one time limit and one "one moment, please".

use std::time::Duration;

use super::Bridge;
use super::event::{Output, ToCarrier};
use crate::call::audio::{Audio, SAMPLES_PER_MS};

/// A session that is lost must be replaced within this time.
pub(super) const RETURNS: Duration = Duration::from_secs(8);

/// A session that has lived for this long works, although it was asked for nothing.
const PROVEN: Duration = Duration::from_secs(5);

/// Between two attempts to open one; doubled each time.
const PAUSE: Duration = Duration::from_millis(250);

/// A callee who waits longer than this for a lost model hears "one moment, please".
const MOMENT: Duration = Duration::from_millis(1_500);

/// The callee was heard for this long while the model was gone: they wait for an answer.
const SPOKE: Duration = Duration::from_millis(250);

/// The mean magnitude of a frame with speech in it; lines hiss below this.
const VOICE: u32 = 600;

/// Whether there is a session, and how far it is trusted.
#[derive(Debug, Default)]
pub(super) enum Presence {
    /// There is one. So it is at the beginning: what is said to the first one before it is open waits
    /// for it.
    #[default]
    Sound,
    /// There is one in the place of one that was lost, and it has not shown yet that it works: until
    /// then, the loss is not over.
    Probation { loss: Loss, until: Duration },
    /// There is none: what is said to it goes nowhere.
    Absent(Loss),
    /// There is none, and none follows: all was said.
    Over,
}

/// A session was lost.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one loss"
)]
pub(super) struct Loss {
    pub(super) since: Duration,
    pub(super) why: String,
    /// Sessions that could not be opened, or were lost again.
    attempts: u32,
    /// The callee is owed an answer.
    pub(super) due: bool,
    /// It is owed to the host alone: the callee waits for nothing.
    for_host: bool,
    /// What is kept of the callee's audio has a turn of theirs in it.
    pub(super) has_turn: bool,
    /// How long the callee was heard since, and whether they are just now.
    voiced: Duration,
    voiced_now: bool,
    /// How long the callee was heard over the agent's words, of late.
    over_agent: Duration,
    moment_played: bool,
}

impl Loss {
    pub(super) fn new(since: Duration, why: &str) -> Self {
        Self {
            since,
            why: why.to_owned(),
            attempts: 0,
            due: false,
            for_host: false,
            has_turn: false,
            voiced: Duration::ZERO,
            voiced_now: false,
            over_agent: Duration::ZERO,
            moment_played: false,
        }
    }

    /// Another attempt has come to nothing: so long nothing is tried.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = PAUSE * 2_u32.saturating_pow(self.attempts.min(8));
        self.attempts += 1;
        pause
    }

    /// What the next session hears first has speech in it.
    pub(super) fn is_audible(&self) -> bool {
        self.has_turn || self.voiced >= SPOKE
    }

    /// It took over and is lost itself. What it `was_told` and had not heard yet is told again.
    pub(super) fn goes_on(mut self, why: &str, was_told: bool) -> Self {
        why.clone_into(&mut self.why);
        self.voiced_now = false;
        self.for_host = false;
        if !was_told {
            self.voiced = Duration::ZERO;
        }
        self
    }
}

impl Bridge {
    /// There is no session, or none any more.
    pub(super) fn model_is_lost(&self) -> bool {
        matches!(self.session.presence, Presence::Absent(_) | Presence::Over)
    }

    /// The loss that a session which is lost now belongs to, if it took the place of another.
    pub(super) fn unfinished_loss(&mut self) -> Option<Loss> {
        match std::mem::take(&mut self.session.presence) {
            Presence::Probation { loss, until } if self.now < until => Some(loss),
            _ => None,
        }
    }

    /// Another session is there; the loss is over if it stays.
    pub(super) fn begin_probation(&mut self, loss: Loss) {
        let until = self.now + PROVEN;
        self.session.presence = Presence::Probation { loss, until };
    }

    /// The session does what it is there for.
    pub(super) fn session_works(&mut self) {
        if let Presence::Probation { .. } = self.session.presence {
            self.session.presence = Presence::Sound;
        }
    }

    /// The next moment at which a loss must be acted upon.
    pub(super) fn loss_deadline(&self, loss: &Loss) -> Option<Duration> {
        let moment = (loss.since + MOMENT).max(self.now);
        [
            Some(loss.since + RETURNS),
            self.session.next_attempt,
            self.moment_is_due(loss).then_some(moment),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The callee waits, and nobody says anything.
    fn moment_is_due(&self, loss: &Loss) -> bool {
        !loss.moment_played
            && (loss.due && !loss.for_host || loss.voiced >= SPOKE)
            && !loss.voiced_now
            && self.moment.is_held()
            && self.is_conversing()
            && self.ledger.is_silent()
            && self.ending.is_none()
            && !self.is_on_hold()
            && self.pressing.is_none()
    }

    /// The next session will have something to say, with what it hears first or at once. False if there
    /// is a session.
    pub(super) fn session_owes(&mut self) -> bool {
        let Presence::Absent(loss) = &mut self.session.presence else {
            return false;
        };
        loss.for_host |= !loss.due;
        loss.due = true;
        true
    }

    /// A frame of the callee while no model listens. Nobody but us notices that they interrupt what
    /// is queued of the agent's words.
    pub(super) fn heard_by_nobody(&mut self, frame: &Audio) {
        if !self.model_is_lost() {
            return;
        }
        let agent_speaks = self.is_conversing() && !self.ledger.is_silent();
        let Presence::Absent(loss) = &mut self.session.presence else {
            return;
        };
        let length = Duration::from_millis(frame.samples() / SAMPLES_PER_MS);
        loss.voiced_now = frame.loudness() >= VOICE;
        if loss.voiced_now {
            loss.voiced = loss.voiced.saturating_add(length);
        }
        // Silence takes away what sounds have gathered: several "mhm"s are no sentence.
        loss.over_agent = match (agent_speaks, loss.voiced_now) {
            (true, true) => loss.over_agent.saturating_add(length),
            (true, false) => loss.over_agent.saturating_sub(length),
            (false, _) => Duration::ZERO,
        };
        // "On the first sound" is what the model hears as one.
        let long_enough = match self.settings.interrupt_after {
            Duration::ZERO => SPOKE,
            after => after,
        };
        if loss.over_agent >= long_enough {
            loss.over_agent = Duration::ZERO;
            self.barge_in();
        }
    }

    /// Says "one moment, please" to a callee who has waited for long enough.
    pub(super) fn moment_on_time(&mut self) {
        let Presence::Absent(loss) = &self.session.presence else {
            return;
        };
        if loss.since + MOMENT > self.now || !self.moment_is_due(loss) {
            return;
        }
        if let Presence::Absent(loss) = &mut self.session.presence {
            loss.moment_played = true;
        }
        self.play_moment();
    }

    /// Plays what was made for this while the phone rang, here or in an earlier call.
    fn play_moment(&mut self) {
        let Some((name, recording)) = self.moment.next() else {
            return;
        };
        for piece in recording.audio().iter() {
            self.send_audio(&name, &piece);
        }
        self.ledger.text(&name, recording.text());
        let out = &mut self.out;
        self.ledger
            .complete(&name, |to: ToCarrier| out.push_back(Output::Carrier(to)));
        // No session knows it as an item.
        self.ledger.disown();
    }
}
