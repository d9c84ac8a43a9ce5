//! What keeps a conversation attached to carrier and model while it goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Switchboard;
use crate::call::bridge::event::{KeysAnswer, Stream};
use crate::call::bridge::{Recording, keys_take};
use crate::call::session::Session;
use crate::realtime::reopen::{self, NotReopened};
use crate::realtime::setup::Setup;
use crate::realtime::socket::ModelSocket;
use crate::twilio::twiml;

/// For one attempt to open another session of the model, its configuration included.
const REOPEN: Duration = Duration::from_secs(3);

impl Switchboard {
    /// Opens another session of the model for a call that has begun.
    pub(in crate::call) async fn reopen_model(
        &self,
        setup: &Setup,
    ) -> Result<ModelSocket, NotReopened> {
        let opening = async { reopen::configure(self.connect_model().await?, setup).await };
        let opened = tokio::time::timeout(REOPEN, opening).await;
        opened.unwrap_or_else(|_| {
            Err(NotReopened {
                why: "The voice model did not answer in 3 s.".to_owned(),
                returns: true,
            })
        })
    }

    /// Keeps "one moment, please" for calls to come.
    pub(in crate::call) fn keep_moment(&self, setup: &Setup, recording: Arc<Recording>) {
        self.moments.keep(setup, recording);
    }

    /// Has Twilio press keys towards the callee; a new stream of the same conversation follows.
    ///
    /// It is asked once: keys that are pressed twice choose something that nobody chose.
    pub(in crate::call) async fn press_keys(
        &self,
        session: &Session,
        number: u32,
        digits: &str,
    ) -> KeysAnswer {
        let call = &session.call;
        let (Ok(line), Some(sid)) = (&self.line, call.twilio_sid()) else {
            return KeysAnswer::Refused("the call is not known to the phone network yet".into());
        };
        let (stream, lifetime) = (Stream::AfterKeys(number), keys_take(digits.len()));
        let token = match (session.tokens).mint(&sid, stream, lifetime, Instant::now()) {
            Ok(token) => token,
            Err(error) => return KeysAnswer::Refused(error.to_string()),
        };
        let twiml = twiml::press_keys(
            digits,
            &line.public_url.stream(),
            &call.id.to_string(),
            &token,
            &line.public_url.join(&format!("twiml/{}", call.id)),
        );
        match self.twilio.redirect_call(&sid, &twiml).await {
            Ok(()) => KeysAnswer::Taken,
            Err(error) if error.may_have_reached() => {
                tracing::warn!(%error, "it is unknown whether keys were pressed");
                KeysAnswer::Unknown
            }
            Err(error) => {
                tracing::warn!(%error, "keys could not be pressed");
                KeysAnswer::Refused(error.to_string())
            }
        }
    }
}
