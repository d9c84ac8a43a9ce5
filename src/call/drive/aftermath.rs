//! After the end: last words, the model's verdict, and polite goodbyes.

use std::time::Duration;

use bytes::Bytes;
use tokio_tungstenite::tungstenite;

use super::Driver;
use crate::call::bridge::event::ToModel;
use crate::realtime::debrief::{self, Answer};
use crate::realtime::event::{self as model_wire, Parsed};
use crate::realtime::socket::ModelMessage;

/// How long closing a socket politely may take.
const GOODBYE: Duration = Duration::from_millis(500);

impl Driver {
    /// After the end: waits for words of the callee that are still on their way, and has the model
    /// judge a call that it did not end itself. There is no timeout in here.
    pub(in crate::call) async fn aftermath(&mut self) {
        let mut verdict_due = self.session.call.needs_debriefing() && self.ask_for_verdict();
        let mut usage_due = self.is_responding();
        if usage_due && !verdict_due {
            // What it has said so far is charged, and it says how much that is when it stops.
            self.send_to_model(&ToModel::Cancel);
        }
        while verdict_due || usage_due || self.bridge.awaits_words() {
            let Some(socket) = &mut self.model else {
                return;
            };
            let Some(Ok(message)) = socket.recv().await else {
                return;
            };
            let ModelMessage::Text(text) = message else {
                continue;
            };
            let text = Bytes::from(text);
            usage_due &= !self.session.call.meter_late(&text);
            match debrief::read(&text) {
                Answer::Verdict(summary, outcome) => {
                    self.session.call.refine(summary, outcome);
                    verdict_due = false;
                }
                Answer::None => verdict_due = false,
                Answer::NotYet => self.late_words(&text),
            }
        }
    }

    fn ask_for_verdict(&mut self) -> bool {
        let Some(socket) = &mut self.model else {
            return false;
        };
        let mut sent = Ok(());
        debrief::ask(self.bridge.is_responding(), |text| {
            if let Ok(text) = tungstenite::Utf8Bytes::try_from(text.freeze()) {
                sent = socket.send(ModelMessage::Text(text));
            }
        });
        sent.is_ok()
    }

    fn late_words(&mut self, text: &Bytes) {
        let change = match model_wire::parse(text) {
            Ok(Parsed::Event(event)) => self.bridge.late_words(&event),
            _ => None,
        };
        if let Some(change) = change {
            self.publish(change);
        }
    }

    /// Closes the model's socket, politely but not for long.
    pub(in crate::call) async fn close_model(&mut self) {
        if let Some(socket) = &mut self.model {
            let _ = tokio::time::timeout(GOODBYE, socket.close()).await;
        }
        self.model = None;
    }

    /// Closes the carrier's stream likewise.
    pub(in crate::call) async fn close_carrier(&mut self) {
        if let Some(stream) = &mut self.carrier {
            let _ = tokio::time::timeout(GOODBYE, stream.socket.close()).await;
        }
        self.carrier = None;
    }
}
