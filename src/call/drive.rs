//! The driver: one task a call, which connects the bridge to its sockets, its timers and its record.
//! It decides nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite;

use super::bridge::Bridge;
use super::bridge::event::{
    AnsweredBy, CarrierEvent, Change, Command, End, ErrorKind, Input, KeysAnswer, ModelEvent,
    Output, Request, Stream, ToCarrier, ToModel,
};
use super::session::{Orders, Session};
use super::switchboard::Switchboard;
use super::trace;
use crate::metrics::Peer;
use crate::realtime::debrief::{self, Answer};
use crate::realtime::event::{self as model_wire, Parsed};
use crate::realtime::reopen::{NotReopened, closed, unless_over};
use crate::realtime::setup::Setup;
use crate::realtime::socket::{ConnectError, ModelMessage, ModelSocket, is_worth_reopening};
use crate::socket::Socket;
use crate::twilio::frame::{self as carrier_wire, Frame};

/// How long the model may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Both peers send something at least this often (Twilio 50 frames a second, the model a ping every
/// 20 s). One that was silent for two of these is gone, whatever TCP believes.
const PULSE: Duration = Duration::from_secs(30);

/// The same for the carrier alone: its stream never rests.
const CARRIER_PULSE: Duration = Duration::from_secs(5);

/// How long closing a socket politely may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// Messages that wait for the model's socket: its configuration, and little else.
const UNSENT: usize = 64;

/// Outgoing frames are written here; what is longer gets memory of its own. Bytes.
const FRAME_BUFFER: usize = 3 * 1024;

/// Malformed messages in one call that are logged; the rest are counted.
const MALFORMED_LOGGED: u32 = 3;

/// A media stream that has shown its token.
#[derive(Debug)]
pub struct CarrierStream {
    /// The websocket.
    pub socket: Socket<ws::WebSocket>,
    /// Twilio's id of the stream (MZ…), which every frame to it names.
    pub stream_sid: String,
    /// What its token was made for.
    pub purpose: Stream,
}

/// What a session tells its driver.
#[derive(Debug)]
pub(super) enum Order {
    /// The carrier has connected a stream.
    Attach(Box<CarrierStream>),
    /// The carrier knows who answered the phone.
    Answered(AnsweredBy),
    /// The host answers a question of the model.
    Answer { question: String, text: String },
    /// The host instructs the model.
    Instruct(String),
    /// End the call.
    End(End),
}

/// Something that takes its time beside the conversation.
type UnderWay<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// See the module.
pub(super) struct Driver {
    session: Arc<Session>,
    bridge: Bridge,
    setup: Setup,
    orders: Orders,
    /// Told once: the model has accepted its configuration, or why the call cannot be.
    ready: Option<oneshot::Sender<Result<(), String>>>,
    carrier: Option<CarrierStream>,
    model: Option<ModelSocket>,
    /// Another session of the model is being opened.
    opening: Option<UnderWay<Result<ModelSocket, NotReopened>>>,
    /// It is open, and the conversation may move to it.
    offered: Option<ModelSocket>,
    /// The carrier is being asked to press keys.
    pressing: Option<UnderWay<KeysAnswer>>,
    /// What the bridge wants to tell the model before there is a socket; none once there was one.
    unsent: Option<Vec<ToModel>>,
    began: Instant,
    began_at: DateTime<Utc>,
    /// Outgoing messages are cut from this buffer, so that a frame costs no allocation of its own.
    buffer: BytesMut,
    malformed: u32,
    /// The carrier has connected a stream before.
    attached: bool,
    carrier_heard: bool,
    model_heard: bool,
}

impl Driver {
    pub(super) fn new(
        session: Arc<Session>,
        bridge: Bridge,
        setup: Setup,
        orders: Orders,
        ready: oneshot::Sender<Result<(), String>>,
    ) -> Self {
        Self {
            session,
            bridge,
            setup,
            orders,
            ready: Some(ready),
            carrier: None,
            model: None,
            opening: None,
            offered: None,
            pressing: None,
            unsent: Some(Vec::new()),
            began: Instant::now(),
            began_at: Utc::now(),
            buffer: BytesMut::new(),
            malformed: 0,
            attached: false,
            carrier_heard: false,
            model_heard: false,
        }
    }

    /// Runs the call until the bridge wants the line hung up, and says why. `board` opens the
    /// model's socket and has the carrier press keys.
    pub(super) async fn run(&mut self, board: &Arc<Switchboard>) -> End {
        let connecting = Arc::clone(board);
        // In a box that goes when it is done: what it takes to open a socket is not held for long.
        let mut connecting: Option<UnderWay<_>> = Some(Box::pin(async move {
            tokio::time::timeout(CONNECT, connecting.connect_model()).await
        }));
        let mut deadline = self.began + Duration::from_secs(86_400);
        let timer = tokio::time::sleep_until(deadline);
        tokio::pin!(timer);
        let mut model_pulse = self.began + PULSE;
        let mut carrier_pulse = self.began + CARRIER_PULSE;
        loop {
            if let Some(end) = self.drain(board) {
                let why = end
                    .error()
                    .unwrap_or("the call was ended before it was placed");
                self.answer_ready(Err(why.to_owned()));
                return end;
            }
            // One timer for everything, because each is looked at with every frame. Resetting it costs
            // more than comparing it, and most frames move no deadline.
            let due = self.bridge.deadline().map(|at| self.began + at);
            let pulse = model_pulse.min(carrier_pulse);
            let next = due.map_or(pulse, |due| due.min(pulse));
            if next != deadline {
                deadline = next;
                timer.as_mut().reset(deadline);
            }
            tokio::select! {
                order = self.orders.next() => self.order(order),
                opened = finished(&mut connecting) => {
                    self.connected(opened.unwrap_or_else(|_| Err(ConnectError::Unreachable("no answer in 10 s".into()))));
                }
                message = recv_carrier(&mut self.carrier) => self.carrier_message(message),
                message = recv_model(&mut self.model) => self.model_message(message),
                message = recv_model(&mut self.offered) => self.offered_message(message),
                answer = finished(&mut self.pressing) => {
                    self.input(Input::Command(Command::Keys(answer)));
                }
                opened = finished(&mut self.opening) => self.opened(opened),
                () = &mut timer => {
                    let now = Instant::now();
                    if carrier_pulse <= now {
                        carrier_pulse = now + CARRIER_PULSE;
                        self.feel_carrier();
                    }
                    if model_pulse <= now {
                        model_pulse = now + PULSE;
                        self.feel_model();
                    }
                    if due.is_some_and(|due| due <= now) {
                        self.input(Input::Tick);
                    }
                }
            }
        }
    }

    /// Whether the carrier has been heard since this was last asked.
    fn feel_carrier(&mut self) {
        if self.carrier.is_some() && !std::mem::take(&mut self.carrier_heard) {
            tracing::warn!("the carrier's stream fell silent");
            self.carrier_gone();
        }
    }

    /// The same of the model.
    fn feel_model(&mut self) {
        if self.model.is_some() && !std::mem::take(&mut self.model_heard) {
            let why = "The voice model fell silent: nothing came from it for half a minute.";
            self.lost(why, true);
        }
    }

    /// After the end: waits for words of the callee that are still on their way, and has the model
    /// judge a call that it did not end itself. There is no timeout in here.
    pub(super) async fn aftermath(&mut self) {
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

    /// The model was saying something when the call ended.
    pub(super) fn is_responding(&self) -> bool {
        self.model.is_some() && self.bridge.is_responding()
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
    pub(super) async fn close_model(&mut self) {
        if let Some(socket) = &mut self.model {
            let _ = tokio::time::timeout(GOODBYE, socket.close()).await;
        }
        self.model = None;
    }

    /// Closes the carrier's stream likewise.
    pub(super) async fn close_carrier(&mut self) {
        if let Some(stream) = &mut self.carrier {
            let _ = tokio::time::timeout(GOODBYE, stream.socket.close()).await;
        }
        self.carrier = None;
    }

    fn input(&mut self, input: Input<'_>) {
        let ends = matches!(input, Input::Model(ModelEvent::ResponseEnded { .. }));
        let responding = self.is_responding();
        self.bridge.handle(self.began.elapsed(), input);
        if responding && !ends && !self.is_responding() {
            // Its session was given up: what it has used, nobody says.
            self.session.call.lose_usage();
        }
    }

    /// The model's socket is gone; with `returns`, another one would work.
    fn lost(&mut self, why: &str, returns: bool) {
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

    fn carrier_gone(&mut self) {
        self.carrier = None;
        self.input(Input::Carrier(CarrierEvent::Detached));
    }

    fn answer_ready(&mut self, answer: Result<(), String>) {
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(answer);
        }
    }

    fn order(&mut self, order: Option<Order>) {
        match order {
            Some(Order::Attach(stream)) => {
                tracing::debug!(stream = %stream.stream_sid, "carrier stream attached");
                if std::mem::replace(&mut self.attached, true) {
                    self.session.call.metrics().reattached(Peer::Carrier);
                }
                let purpose = stream.purpose;
                self.carrier = Some(*stream);
                self.carrier_heard = true;
                self.input(Input::Carrier(CarrierEvent::Attached(purpose)));
            }
            Some(Order::Answered(who)) => {
                tracing::debug!(?who, "who answered");
                self.input(Input::Command(Command::Answered(who)));
            }
            Some(Order::Answer { question, text }) => {
                self.input(Input::Command(Command::Answer { question, text }));
            }
            Some(Order::Instruct(text)) => self.input(Input::Command(Command::Instruct(text))),
            Some(Order::End(end)) => self.input(Input::Command(Command::End(end))),
            // The session outlives its driver; if it does not, nobody is left to talk for.
            None => self.input(Input::Command(Command::End(End::Shutdown))),
        }
    }

    fn connected(&mut self, opened: Result<ModelSocket, ConnectError>) {
        match opened {
            Ok(socket) => {
                self.model = Some(socket);
                self.model_heard = true;
                for message in self.unsent.take().into_iter().flatten() {
                    self.send_to_model(&message);
                }
            }
            Err(error) => self.lost(&error.to_string(), error.may_pass()),
        }
    }

    fn opened(&mut self, opened: Result<ModelSocket, NotReopened>) {
        match opened {
            Ok(socket) => {
                self.offered = Some(socket);
                self.input(Input::Model(ModelEvent::Offered));
            }
            Err(NotReopened { why, returns }) => {
                tracing::warn!(why, returns, "no other session of the model");
                let why = &why;
                self.input(Input::Model(ModelEvent::NotOpened { why, returns }));
            }
        }
    }

    fn carrier_message(&mut self, message: Option<Result<ws::Message, axum::Error>>) {
        self.carrier_heard = true;
        match message {
            Some(Ok(ws::Message::Text(text))) => {
                let text = Bytes::from(text);
                match carrier_wire::parse(&text) {
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
            Some(Ok(ws::Message::Ping(_) | ws::Message::Pong(_))) => {}
            Some(Ok(ws::Message::Binary(_))) => self.count_malformed("carrier", &"a binary frame"),
            Some(Ok(ws::Message::Close(_))) | None => self.carrier_gone(),
            Some(Err(error)) => {
                tracing::debug!(%error, "carrier stream broke");
                self.carrier_gone();
            }
        }
    }

    fn model_message(&mut self, message: Option<Result<ModelMessage, tungstenite::Error>>) {
        self.model_heard = true;
        match message {
            Some(Ok(ModelMessage::Text(text))) => self.model_text(&Bytes::from(text)),
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
    fn offered_message(&mut self, message: Option<Result<ModelMessage, tungstenite::Error>>) {
        if let Err(NotReopened { why, .. }) = unless_over(message) {
            tracing::warn!(why, "the other session of the model is gone");
            self.offered = None;
            self.input(Input::Model(ModelEvent::Withdrawn));
        }
    }

    fn model_text(&mut self, text: &Bytes) {
        match model_wire::parse(text) {
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

    /// Carries out what the bridge wants; returns why the call is over, once it is.
    fn drain(&mut self, board: &Arc<Switchboard>) -> Option<End> {
        while let Some(output) = self.bridge.poll() {
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
                    self.opening = Some(Box::pin(async move { board.reopen_model(&setup).await }));
                }
                Output::TakeModel => {
                    tracing::info!(call = %self.session.call.id, "the conversation goes on in another session of the model");
                    self.session.call.metrics().reattached(Peer::Model);
                    self.model = self.offered.take();
                    self.model_heard = true;
                }
                Output::PressKeys { number, digits } => {
                    let (board, session) = (Arc::clone(board), Arc::clone(&self.session));
                    let request = async move { board.press_keys(&session, number, &digits).await };
                    self.pressing = Some(Box::pin(request));
                }
                Output::KeepMoment(recording) => board.keep_moment(&self.setup, recording),
                Output::Publish(change) => self.publish(change),
                Output::HangUp(end) => {
                    let metrics = self.session.call.metrics();
                    metrics.barged_in(self.bridge.interruptions());
                    return Some(end);
                }
            }
        }
        None
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
    }

    fn send_to_model(&mut self, to: &ToModel) {
        let Some(socket) = &mut self.model else {
            match &mut self.unsent {
                Some(unsent) if unsent.len() < UNSENT => unsent.push(to.clone()),
                Some(_) => self.lost(
                    "The voice model was not connected when the conversation needed it.",
                    false,
                ),
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
        match socket.send(ModelMessage::Text(text)) {
            Ok(()) => {}
            Err(tungstenite::Error::WriteBufferFull(_)) => {
                self.lost("The voice model did not take the callee's audio: the connection to it is too slow.", true);
            }
            Err(error) => {
                let why = format!("The connection to the voice model broke: {error}.");
                self.lost(&why, true);
            }
        }
    }

    fn publish(&mut self, change: Change) {
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

/// Waits for ever while nothing is under way.
async fn finished<T>(under_way: &mut Option<UnderWay<T>>) -> T {
    match under_way {
        Some(work) => {
            let result = work.await;
            *under_way = None;
            result
        }
        None => std::future::pending().await,
    }
}

/// Waits for ever while there is no stream: the select then waits for the others.
async fn recv_carrier(
    carrier: &mut Option<CarrierStream>,
) -> Option<Result<ws::Message, axum::Error>> {
    match carrier {
        Some(stream) => stream.socket.recv().await,
        None => std::future::pending().await,
    }
}

async fn recv_model(
    model: &mut Option<ModelSocket>,
) -> Option<Result<ModelMessage, tungstenite::Error>> {
    match model {
        Some(socket) => socket.recv().await,
        None => std::future::pending().await,
    }
}
