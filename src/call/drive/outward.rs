//! What goes out: the bridge's outputs are carried out.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::ws;
use bytes::BytesMut;
use chrono::Utc;
use tokio_tungstenite::tungstenite;

use super::Driver;
use crate::call::bridge::event::{Change, Command, End, Input, Output, ToCarrier, ToModel};
use crate::call::switchboard::Switchboard;
use crate::call::trace;
use crate::metrics::Peer;
use crate::realtime::event as model_wire;
use crate::realtime::socket::ModelMessage;
use crate::twilio::frame as carrier_wire;

/// Messages that wait for the model's socket: its configuration, and little else.
const UNSENT: usize = 64;

/// Outgoing frames are written here; what is longer gets memory of its own. Bytes.
const FRAME_BUFFER: usize = 1024;

impl Driver {
    /// Carries out what the bridge wants; breaks with why the call is over, once it is.
    pub(super) fn drain(&mut self, board: &Arc<Switchboard>) -> ControlFlow<End> {
        while let Some(output) = self.bridge.poll() {
            match output {
                Output::Carrier(to @ ToCarrier::Audio(_)) => self.send_to_carrier(&to),
                Output::Model(to @ ToModel::Audio(_)) => self.send_to_model(&to),
                other => self.in_story(|driver| driver.carry_out(other, board))?,
            }
        }
        ControlFlow::Continue(())
    }

    fn carry_out(&mut self, output: Output, board: &Arc<Switchboard>) -> ControlFlow<End> {
        match output {
            Output::Carrier(to) => {
                trace::to_carrier(&to);
                self.send_to_carrier(&to);
            }
            Output::Model(to) => {
                trace::to_model(&to);
                if let ToModel::Truncate { .. } = to {
                    self.session.call.metrics().truncated();
                }
                self.send_to_model(&to);
            }
            Output::OpenModel => {
                let (board, setup) = (Arc::clone(board), self.setup.clone());
                let opening = async move { board.reopen_model(&setup).await };
                self.opening = Some(self.under_way(opening));
                self.looks_again = true;
            }
            Output::TakeModel => {
                tracing::info!(call = %self.session.call.id, "the conversation goes on in another session of the model");
                self.session.call.metrics().reattached(Peer::Model);
                self.model = self.offered.take().map(|socket| *socket);
                self.model_pulse.heard = true;
                self.looks_again = true;
            }
            Output::PressKeys { number, digits } => {
                let (board, session) = (Arc::clone(board), Arc::clone(&self.session));
                let request = async move { board.press_keys(&session, number, &digits).await };
                self.pressing = Some(self.under_way(request));
                self.looks_again = true;
            }
            Output::KeepMoment(recording) => board.keep_moment(&self.setup, recording),
            Output::Publish(change) => self.publish(change),
            Output::HangUp(end) => {
                let metrics = self.session.call.metrics();
                metrics.barged_in(self.bridge.interruptions());
                return ControlFlow::Break(end);
            }
        }
        ControlFlow::Continue(())
    }

    fn send_to_carrier(&mut self, to: &ToCarrier) {
        let Some(stream) = &mut self.carrier else {
            return;
        };
        carrier_wire::write(to, &stream.stream_sid, &mut self.buffer);
        let Ok(text) = ws::Utf8Bytes::try_from(self.buffer.split().freeze()) else {
            return;
        };
        if let Err(error) = stream.socket.send(ws::Message::Text(text)) {
            self.in_story(|driver| driver.not_taken_by_carrier(error));
        }
    }

    fn not_taken_by_carrier(&mut self, error: axum::Error) {
        tracing::debug!(%error, "carrier stream does not take audio");
        let full = error.into_inner();
        let full = full.downcast_ref::<tungstenite::Error>();
        if let Some(tungstenite::Error::WriteBufferFull(_)) = full {
            let why = "The carrier's stream did not take the agent's audio: the connection to Twilio is too slow.";
            self.input(Input::Command(Command::End(End::Failed(why.into()))));
        } else {
            self.carrier_gone();
        }
    }

    pub(super) fn send_to_model(&mut self, to: &ToModel) {
        let Some(socket) = &mut self.model else {
            match &mut self.unsent {
                Some(unsent) if unsent.len() < UNSENT => unsent.push(to.clone()),
                Some(_) => self.in_story(|driver| {
                    let why = "The voice model was not connected when the conversation needed it.";
                    driver.lost(why, false);
                }),
                // It was said to a session that is gone, before the bridge knew.
                None => {}
            }
            return;
        };
        model_wire::write(to, &self.setup, &mut self.buffer);
        let text = self.buffer.split().freeze();
        if text.len() > FRAME_BUFFER {
            // Grown for one long message, its configuration as a rule: frames need far less.
            self.buffer = BytesMut::new();
        }
        let Ok(text) = tungstenite::Utf8Bytes::try_from(text) else {
            return;
        };
        if let Err(error) = socket.send(ModelMessage::Text(text)) {
            self.in_story(|driver| driver.not_taken_by_model(&error));
        }
    }

    fn not_taken_by_model(&mut self, error: &tungstenite::Error) {
        if let tungstenite::Error::WriteBufferFull(_) = error {
            self.lost("The voice model did not take the callee's audio: the connection to it is too slow.", true);
        } else {
            let why = format!("The connection to the voice model broke: {error}.");
            self.lost(&why, true);
        }
    }

    pub(super) fn publish(&mut self, change: Change) {
        match &change {
            Change::GapFilled(gap) => {
                tracing::debug!(?gap, "gap in the callee's audio filled with silence");
            }
            Change::FirstWord(latency) => tracing::debug!(?latency, "first word"),
            Change::TurnLatency(latency) => tracing::debug!(?latency, "turn"),
            Change::Disclosed => tracing::debug!("disclosure heard"),
            Change::Line { slot, .. } => tracing::debug!(slot, "transcript line"),
            Change::Note(_) => tracing::debug!("note"),
            Change::Verdict { outcome, .. } => tracing::debug!(?outcome, "the model ends the call"),
            Change::Asked { id, .. } => tracing::debug!(id, "the model asks the host"),
            Change::NotAnswered { id } => tracing::debug!(id, "the host did not answer"),
            Change::CalleeSpoke => {}
            Change::VerdictWithdrawn => tracing::debug!("the callee keeps the line"),
            Change::EarlyAudioDropped(lost) => {
                tracing::warn!(
                    ?lost,
                    "the model was not ready for the callee's first words"
                );
            }
        }
        self.session.call.apply(change, self.began_at, Utc::now());
    }
}
