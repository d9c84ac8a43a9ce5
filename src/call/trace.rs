//! A call's story for a person who reads the log at `debug`: what passes between the bridge and its
//! two peers, without what is said. The lines stand in the span of their call.

use super::bridge::event::{CarrierEvent, Respond, ToCarrier, ToModel};

/// What is sent to the model, beside audio.
pub(super) fn to_model(to: &ToModel) {
    let what = match to {
        ToModel::Audio(_) => return,
        ToModel::Configure => "configure",
        ToModel::Turns(turns) => return tracing::debug!(?turns, "who answers the callee"),
        ToModel::Respond(Respond { speech_only, .. }) => {
            return tracing::debug!(speech_only, "a response is asked for");
        }
        ToModel::Cancel => "stop the response",
        ToModel::Truncate { heard_ms, .. } => {
            return tracing::debug!(heard_ms, "a part of it was heard");
        }
        ToModel::Delete { .. } => "nothing of it was heard",
        ToModel::ToolOutput { .. } => "the output of a function",
        ToModel::Tell(_) => "something it must know",
        ToModel::Recall(_) => "what was said before",
    };
    tracing::debug!("to the model: {what}");
}

/// What is sent to the carrier, beside audio.
pub(super) fn to_carrier(to: &ToCarrier) {
    match to {
        ToCarrier::Audio(_) => {}
        ToCarrier::Mark(mark) => tracing::debug!(
            generation = mark.generation,
            sequence = mark.sequence,
            "mark sent"
        ),
        ToCarrier::Clear => tracing::debug!("queued audio cleared"),
    }
}

/// What the carrier reports, beside audio.
pub(super) fn from_carrier(event: &CarrierEvent) {
    match event {
        CarrierEvent::Played(mark) => tracing::debug!(
            generation = mark.generation,
            sequence = mark.sequence,
            "mark played"
        ),
        CarrierEvent::Key(_) => tracing::debug!("the callee pressed a key"),
        CarrierEvent::Detached => tracing::debug!("the carrier's stream ended"),
        CarrierEvent::Attached(_) | CarrierEvent::Audio { .. } => {}
    }
}
