//! What a call costs, as it goes on.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Call, State};
use crate::call::bridge::event::ModelEvent;
use crate::cost::{Bill, Meter, MicroUsd, Tariff, WorstCase};
use crate::realtime::event::{is_billed, transcribed, usage};

/// What a call has used so far.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) meter: Meter,
    /// The cost has changed since the last revision.
    pub(super) moved: bool,
    /// The model has yet to say what its last response used.
    usage_due: bool,
    /// The model costs nothing any more.
    model_closed: bool,
}

impl Call {
    /// The same call, with what things cost. `capped`: the model must not cost more than the share
    /// that was reserved for it.
    #[must_use]
    pub fn priced(mut self, tariff: Tariff, capped: bool) -> Self {
        self.tariff = Some(tariff);
        self.capped = capped;
        self
    }

    /// Meters an event of the model, of which `text` is the whole: responses, cancelled ones
    /// included, and transcriptions. Returns how long the call may still go on, if what is left of
    /// its share says so.
    pub fn meter(&self, event: &ModelEvent<'_>, text: &[u8]) -> Option<Duration> {
        // Nine of ten events are audio.
        if !matches!(
            event,
            ModelEvent::ResponseEnded { .. } | ModelEvent::CallerWords { .. }
        ) {
            return None;
        }
        let mut state = self.state();
        match event {
            ModelEvent::ResponseEnded { .. } => match usage(text) {
                Some(used) => state.account.meter.tokens += used,
                None if is_billed(text) => state.account.meter.untold = true,
                None => return None,
            },
            ModelEvent::CallerWords { .. } => match transcribed(text) {
                Some(heard) => state.account.meter.transcribed += heard,
                None => state.account.meter.untold = true,
            },
            _ => return None,
        }
        let left = self.time_left(&state);
        drop(state);
        self.changed_unseen();
        left
    }

    /// A response is under way of which the model has yet to say what it used.
    pub(in crate::call) fn await_usage(&self) {
        self.state().account.usage_due = true;
    }

    /// The model's session was lost over a response: nobody says what that used.
    pub(in crate::call) fn lose_usage(&self) {
        self.state().account.meter.partial = true;
    }

    /// Meters an event after the end, when it does not matter any more what it is about. Returns
    /// whether a response said what it had used.
    pub fn meter_late(&self, text: &[u8]) -> bool {
        let (used, heard) = (usage(text), transcribed(text));
        if used.is_none() && heard.is_none() {
            return false;
        }
        let mut state = self.state();
        state.account.usage_due &= used.is_none();
        state.account.meter.tokens += used.unwrap_or_default();
        state.account.meter.transcribed += heard.unwrap_or_default();
        state.account.moved = true;
        drop(state);
        self.changed_unseen();
        used.is_some()
    }

    /// From now on the model costs nothing.
    pub(in crate::call) fn close_model(&self) {
        let mut state = self.state();
        state.account.model_closed = true;
        state.account.meter.partial |= std::mem::take(&mut state.account.usage_due);
        if std::mem::take(&mut state.account.moved) {
            self.changed(&state, false);
        } else {
            self.changed_unseen();
        }
    }

    /// Twilio's own price for the voice line, in place of our reckoning; once.
    pub fn learn_price(&self, price: MicroUsd) {
        let mut state = self.state();
        if state.account.meter.carrier.is_none() {
            state.account.meter.carrier = Some(price);
            self.changed(&state, false);
        }
    }

    /// Somebody was on the line, so that it is charged.
    pub fn was_answered(&self) -> bool {
        self.state().answered_at.is_some()
    }

    pub(super) fn bill(&self, state: &State, now: DateTime<Utc>) -> Option<Bill> {
        let answered = state.answered_at.map(|_| state.duration(now));
        self.tariff?.bill(&state.account.meter, answered)
    }

    /// What the day is to be charged for it: more than its bill, as long as the model may cost more.
    pub(super) fn charge(&self, state: &State, now: DateTime<Utc>) -> Option<MicroUsd> {
        let bill = self.bill(state, now)?;
        let late = if state.account.model_closed && !state.account.meter.partial {
            MicroUsd::ZERO
        } else {
            self.worst()?.judgement()
        };
        Some(bill.total() + late)
    }

    fn time_left(&self, state: &State) -> Option<Duration> {
        if !self.capped {
            return None;
        }
        // With a cap, there is a price for everything; what was not told may have been all of it.
        let spent = self.tariff?.model(&state.account.meter);
        match spent {
            Some(spent) => self.worst()?.time_left(self.brief.max_duration, spent),
            None => Some(Duration::ZERO),
        }
    }

    fn worst(&self) -> Option<WorstCase> {
        self.tariff?.worst_case().ok()
    }
}
