//! Whole calls through the sandbox: an embedded carrier and an embedded model that behave like the
//! real ones, and the ways in which either of them can fail.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod conversation;
mod limits;
mod nobody_is_reached;
#[path = "../support/mod.rs"]
mod support;
mod the_host_hangs_up;
mod the_host_steers;
mod the_model_fails;
mod the_same_key;
mod time_is_up;
mod twilio_fails;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use openagent_messaging::app::App;
use openagent_messaging::call::session::Session;
use openagent_messaging::call::snapshot::{Outcome, Role, Snapshot, Status};
use openagent_messaging::call::switchboard::{Order, PlaceError, Switchboard};
use openagent_messaging::phone::E164;
use openagent_messaging::safety::budget::{OverBudget, Used};
use openagent_messaging::sandbox::{
    Answer, Call, CallStatus, Callee, CarrierFault, Loss, LossMoment, ModelFault, ModelOptions,
    ModelSession, Options, Parting, Reconnect, Sandbox, Step,
};
use openagent_messaging::store::limits::Refused;
use support::{CALLEE, Stage, ended, order, snapshot, soon, until, values};
use tokio_util::sync::CancellationToken;

const OTHER: &str = "+14155550143";

/// Four times as fast as life.
fn options(callee: Callee) -> Options {
    Options {
        default_callee: callee,
        frame_interval: Duration::from_millis(5),
        model: ModelOptions {
            first_byte: Duration::from_millis(20),
            delta: Duration::from_millis(2),
            transcription: Duration::from_millis(100),
            ..ModelOptions::default()
        },
        ..Options::default()
    }
}

fn faulty_model(callee: Callee, fault: ModelFault) -> Options {
    let mut options = options(callee);
    options.model.fault = Some(fault);
    options
}

fn faulty_carrier(fault: CarrierFault) -> Options {
    Options {
        carrier_fault: Some(fault),
        ..options(patient())
    }
}

/// Somebody who says hello and then listens for ever.
fn patient() -> Callee {
    Callee::person(vec![Step::say("Hello?"), Step::WaitForever])
}

/// A phone that rings for as long as a test can take.
fn ringing() -> Options {
    Options {
        frame_interval: Duration::from_millis(20),
        ..options(Callee::unreachable(Answer::NoAnswer))
    }
}

/// The product in its sandbox.
struct Scene {
    app: Arc<App>,
    sandbox: Sandbox,
}

impl Scene {
    async fn start(options: Options) -> Self {
        Self::with(options, &[]).await
    }

    async fn with(options: Options, settings: &[(&str, &str)]) -> Self {
        let stop = CancellationToken::new();
        let (app, sandbox) = App::start_sandboxed(&values(settings), options, stop)
            .await
            .unwrap();
        Self { app, sandbox }
    }

    fn board(&self) -> &Arc<Switchboard> {
        self.app.board.as_ref().unwrap()
    }

    async fn place(&self) -> Arc<Session> {
        self.place_order(order(CALLEE)).await.unwrap()
    }

    async fn place_order(&self, order: Order) -> Result<Arc<Session>, PlaceError> {
        let placed = soon("the call to be placed", self.board().place(order)).await?;
        Ok(placed.here().unwrap())
    }

    async fn place_error(&self, order: Order) -> PlaceError {
        match self.place_order(order).await {
            Ok(_) => panic!("the call was placed"),
            Err(error) => error,
        }
    }

    /// The end of the call, with all that hangs on it: the line is over as well, and the product was
    /// told so.
    async fn over(&self, session: &Session) -> (Snapshot, Call) {
        let end = ended(session).await;
        let sid = end.twilio_sid.clone().unwrap();
        let told = |call: &Call| {
            let last = call.status.as_str();
            call.status.is_final() && call.callbacks.iter().any(|(label, _)| label == last)
        };
        let call = soon("the end of the line", self.sandbox.wait_call(&sid, told)).await;
        (end, call.unwrap())
    }

    fn requests(&self, to: &str) -> usize {
        let all = self.sandbox.requests();
        all.iter().filter(|sent| *sent == to).count()
    }

    fn dials(&self) -> usize {
        self.requests("POST Calls.json")
    }

    /// How often a line was asked to be hung up.
    fn hang_ups(&self, sid: &str) -> usize {
        self.requests(&format!("POST Calls/{sid}.json"))
    }

    async fn used(&self) -> Used {
        self.board().used(Utc::now()).await.unwrap()
    }

    /// Nothing is held of any limit.
    async fn assert_nothing_is_held(&self) {
        let used = self.used().await;
        assert_eq!((used.time, used.in_flight), (Duration::ZERO, 0));
    }

    async fn model(&self, met: impl FnMut(&ModelSession) -> bool) -> ModelSession {
        soon("the model", self.sandbox.wait_model_session(0, met))
            .await
            .unwrap()
    }

    /// Looks for complaints, and stops the product, so that nothing is under way any more.
    async fn assert_no_complaints(&self) {
        assert_eq!(self.sandbox.complaints(), Vec::<String>::new());
        for mut session in self.sandbox.model_sessions() {
            // A response that ends in the moment in which it is cancelled; no harm is done.
            let crossed = |error: &serde_json::Value| error["code"] == "response_cancel_not_active";
            session.errors.retain(|error| !crossed(error));
            assert_eq!(session.errors, Vec::<serde_json::Value>::new());
        }
        self.app.shut_down(support::PATIENCE).await;
    }

    /// There were so many sessions with the model, and none of them is left open.
    async fn assert_models_are_gone(&self, count: usize) {
        for index in 0..count {
            let gone = self
                .sandbox
                .wait_model_session(index, |session| session.closed);
            soon("the end of the model's session", gone).await.unwrap();
        }
        assert_eq!(self.sandbox.model_sessions().len(), count);
    }
}

fn mission(to: &str, mission: &str) -> Order {
    Order {
        mission: mission.to_owned(),
        ..order(to)
    }
}

fn texts(snapshot: &Snapshot, role: Role) -> Vec<&str> {
    let lines = snapshot.transcript.iter().filter(|line| line.role == role);
    lines.map(|line| line.text.as_str()).collect()
}
