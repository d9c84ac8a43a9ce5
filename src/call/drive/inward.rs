//! What comes in: messages of the carrier and of the model, and their ends.

use axum::extract::ws;
use bytes::Bytes;
use tokio_tungstenite::tungstenite;

use super::Driver;
use crate::call::bridge::event::{CarrierEvent, Command, ErrorKind, Input, ModelEvent, Request};
use crate::call::trace;
use crate::realtime::event::{self as model_wire, Parsed};
use crate::realtime::reopen::{NotReopened, closed, unless_over};
use crate::realtime::socket::{ModelMessage, is_worth_reopening};
use crate::twilio::frame::{self as carrier_wire, Frame, Malformed};

/// Malformed messages in one call that are logged; the rest are counted.
const MALFORMED_LOGGED: u32 = 3;

impl Driver {
    pub(super) fn carrier_message(&mut self, message: Option<Result<ws::Message, axum::Error>>) {
        self.carrier_pulse.heard = true;
        if let Some(Ok(ws::Message::Text(text))) = message {
            let text = Bytes::from(text);
            match carrier_wire::parse(&text) {
                Ok(Frame::Event(event @ CarrierEvent::Audio { .. })) => {
                    self.input(Input::Carrier(event));
                }
                frame => self.in_story(|driver| driver.carrier_frame(frame)),
            }
        } else {
            self.in_story(|driver| driver.carrier_wordless(message));
        }
    }

    fn carrier_frame(&mut self, frame: Result<Frame<'_>, Malformed>) {
        match frame {
            Ok(Frame::Event(event)) => {
                trace::from_carrier(&event);
                let gone = event == CarrierEvent::Detached;
                self.input(Input::Carrier(event));
                if gone {
                    self.carrier = None;
                }
            }
            Ok(_) => {}
            Err(error) => self.count_malformed("carrier", &error),
        }
    }

    /// A message without text, or the end of the stream.
    fn carrier_wordless(&mut self, message: Option<Result<ws::Message, axum::Error>>) {
        match message {
            Some(Ok(ws::Message::Binary(_))) => self.count_malformed("carrier", &"a binary frame"),
            Some(Ok(ws::Message::Close(_))) | None => self.carrier_gone(),
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "carrier stream broke");
                self.carrier_gone();
            }
        }
    }

    pub(super) fn model_message(
        &mut self,
        message: Option<Result<ModelMessage, tungstenite::Error>>,
    ) {
        self.model_pulse.heard = true;
        if let Some(Ok(ModelMessage::Text(text))) = message {
            let text = Bytes::from(text);
            match model_wire::parse(&text) {
                Ok(Parsed::Event(event @ ModelEvent::Audio { .. })) => {
                    self.input(Input::Model(event));
                }
                Ok(Parsed::Ignored) => {}
                parsed => self.in_story(|driver| driver.model_event(parsed, &text)),
            }
        } else {
            self.in_story(|driver| driver.model_wordless(message));
        }
    }

    /// A message without text, or the end of the session.
    fn model_wordless(&mut self, message: Option<Result<ModelMessage, tungstenite::Error>>) {
        match message {
            Some(Ok(ModelMessage::Binary(_))) => self.count_malformed("model", &"a binary frame"),
            Some(Ok(ModelMessage::Close(frame))) => {
                let code = frame.as_ref().map(|frame| u16::from(frame.code));
                let why = closed(code, frame.as_ref().map_or("", |frame| &frame.reason));
                self.lost(&why, is_worth_reopening(code));
            }
            None => self.lost(&closed(None, ""), true),
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                let why = format!("The connection to the voice model broke: {error}.");
                self.lost(&why, true);
            }
        }
    }

    /// A session that waits to take over is read, so that its pings are answered and its end is known.
    pub(super) fn offered_message(
        &mut self,
        message: Option<Result<ModelMessage, tungstenite::Error>>,
    ) {
        if let Err(NotReopened { why, .. }) = unless_over(message) {
            tracing::warn!(why, "the other session of the model is gone");
            self.offered = None;
            self.input(Input::Model(ModelEvent::Withdrawn));
        }
    }

    fn model_event(&mut self, parsed: Result<Parsed<'_>, model_wire::Malformed>, text: &Bytes) {
        match parsed {
            Ok(Parsed::Event(event)) => {
                if event == ModelEvent::Configured {
                    self.answer_ready(Ok(()));
                }
                if let ModelEvent::Error {
                    about,
                    kind,
                    message,
                } = &event
                {
                    // The model's words may quote what was said: not above trace. That it was answering
                    // already when we asked it to, or had ended when we cut it off, happens in any
                    // conversation: its events and ours cross on the way.
                    let crossed = matches!(
                        (about, kind),
                        (_, ErrorKind::Busy) | (Some(Request::Cancel), ErrorKind::Harmless)
                    );
                    if crossed {
                        tracing::debug!(?about, ?kind, "the voice model had moved on");
                    } else {
                        tracing::warn!(?about, ?kind, "the voice model refused something");
                    }
                    tracing::trace!(%message, harmless = *kind == ErrorKind::Harmless, "its words");
                }
                let left = self.session.call.meter(&event, text);
                self.input(Input::Model(event));
                if let Some(left) = left {
                    self.input(Input::Command(Command::EndWithin(left)));
                }
            }
            Ok(Parsed::Ignored) => {}
            Err(error) => self.count_malformed("model", &error),
        }
    }

    fn count_malformed(&mut self, whose: &str, what: &dyn std::fmt::Display) {
        self.malformed += 1;
        if self.malformed <= MALFORMED_LOGGED {
            tracing::warn!(whose, %what, count = self.malformed, "malformed message ignored");
        }
    }

    pub(super) fn carrier_gone(&mut self) {
        self.carrier = None;
        self.input(Input::Carrier(CarrierEvent::Detached));
    }

    /// The model's socket is gone; with `returns`, another one would work.
    pub(super) fn lost(&mut self, why: &str, returns: bool) {
        if self.is_responding() {
            self.session.call.lose_usage();
        }
        let known = self.model.take().is_none() && self.unsent.take().is_none();
        if known {
            return;
        }
        tracing::warn!(why, returns, "the voice model is lost");
        self.input(Input::Model(ModelEvent::Lost { why, returns }));
    }
}
