//! The driver: one task a call, which connects the bridge to its sockets, its timers and its record.
//! It decides nothing.
//!
//! [`inward`] is what comes in, [`outward`] what goes out, [`aftermath`] what follows the end.

mod aftermath;
mod inward;
mod outward;

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ws;
use bytes::BytesMut;
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};
use tracing::{Instrument as _, Span};

use super::bridge::Bridge;
use super::bridge::event::{
    CarrierEvent, Command, End, Input, KeysAnswer, ModelEvent, Stream, ToModel,
};
use super::orders::{Order, Orders};
use super::session::Session;
use super::switchboard::Switchboard;
use crate::metrics::Peer;
use crate::realtime::reopen::NotReopened;
use crate::realtime::setup::Setup;
use crate::realtime::socket::{ConnectError, ModelSocket};
use crate::socket::Socket;

/// How long the model may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Both peers send something at least this often (Twilio 50 frames a second, the model a ping every
/// 20 s). One that was silent for two of these is gone, whatever TCP believes.
const PULSE: Duration = Duration::from_secs(30);

/// The same for the carrier alone: its stream never rests.
const CARRIER_PULSE: Duration = Duration::from_secs(5);

/// Messages that are taken from one socket before it is the other's turn: a peer that floods its own
/// must not keep the call from the other, nor from its timers.
const IN_A_ROW: usize = 16;

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

/// Something that takes its time beside the conversation.
type UnderWay<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// See the module.
pub(super) struct Driver {
    session: Arc<Session>,
    /// The span in which the call's lines stand in the log.
    story: Span,
    bridge: Bridge,
    setup: Setup,
    orders: Orders,
    /// Told once: the model has accepted its configuration, or why the call cannot be.
    ready: Option<oneshot::Sender<Result<(), String>>>,
    carrier: Option<CarrierStream>,
    /// The first session of the model is being opened.
    connecting: Option<UnderWay<Result<ModelSocket, ConnectError>>>,
    model: Option<ModelSocket>,
    /// Another session of the model is being opened.
    opening: Option<UnderWay<Result<ModelSocket, NotReopened>>>,
    /// It is open, and the conversation may move to it.
    offered: Option<Box<ModelSocket>>,
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
    carrier_pulse: Pulse,
    model_pulse: Pulse,
    /// Something was begun, or is left, that nobody would wake this task for.
    looks_again: bool,
}

impl Driver {
    pub(super) fn new(
        session: Arc<Session>,
        bridge: Bridge,
        setup: Setup,
        orders: Orders,
        ready: oneshot::Sender<Result<(), String>>,
    ) -> Self {
        let began = Instant::now();
        Self {
            story: tracing::info_span!("call", id = %session.call.id),
            session,
            bridge,
            setup,
            orders,
            ready: Some(ready),
            carrier: None,
            connecting: None,
            model: None,
            opening: None,
            offered: None,
            pressing: None,
            unsent: Some(Vec::new()),
            began,
            began_at: Utc::now(),
            buffer: BytesMut::new(),
            malformed: 0,
            attached: false,
            carrier_pulse: Pulse::new(CARRIER_PULSE, began),
            model_pulse: Pulse::new(PULSE, began),
            looks_again: false,
        }
    }

    /// Runs the call until the bridge wants the line hung up, and says why. `board` opens the
    /// model's socket and has the carrier press keys.
    pub(super) async fn run(&mut self, board: &Arc<Switchboard>) -> End {
        let connecting = Arc::clone(board);
        let connecting = async move {
            let opened = tokio::time::timeout(CONNECT, connecting.connect_model()).await;
            opened.unwrap_or_else(|_| Err(ConnectError::Unreachable("no answer in 10 s".into())))
        };
        self.connecting = Some(self.under_way(connecting));
        let timer = tokio::time::sleep_until(self.began);
        tokio::pin!(timer);
        let end = poll_fn(|cx| self.turn(cx, timer.as_mut(), board)).await;
        // What was under way has no use any more, and nobody would ask about it.
        (self.connecting, self.opening, self.pressing) = (None, None, None);
        self.offered = None;
        let why = end
            .error()
            .unwrap_or("the call was ended before it was placed");
        self.answer_ready(Err(why.to_owned()));
        end
    }

    /// The span in which the call's lines stand in the log.
    pub(super) fn story(&self) -> Span {
        self.story.clone()
    }

    /// What is logged in `act` stands in the story of the call. Audio passes outside of it: to enter
    /// and leave a span is a good part of what a frame would cost.
    fn in_story<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        self.story.clone().in_scope(|| act(self))
    }

    fn under_way<T>(&self, work: impl Future<Output = T> + Send + 'static) -> UnderWay<T> {
        Box::pin(work.instrument(self.story.clone()))
    }

    /// Does all there is to do, and sees to it that this task is woken for what comes next.
    fn turn(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        board: &Arc<Switchboard>,
    ) -> Poll<End> {
        loop {
            match self.look(cx, timer.as_mut(), board) {
                ControlFlow::Break(end) => return Poll::Ready(end),
                ControlFlow::Continue(()) if self.looks_again => {}
                ControlFlow::Continue(()) => return Poll::Pending,
            }
        }
    }

    /// Looks once at everything that the call waits for. Each source is asked until it has nothing
    /// more, and by then has noted whom to wake; so a frame costs one look at each, where a `select`
    /// would cost two. Breaks when the call is over.
    fn look(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        board: &Arc<Switchboard>,
    ) -> ControlFlow<End> {
        self.looks_again = false;
        // What the bridge wants before anything has happened.
        self.drain(board)?;
        while let Poll::Ready(order) = self.orders.poll_next(cx) {
            self.in_story(|driver| driver.order(order));
            self.drain(board)?;
        }
        if let Poll::Ready(opened) = poll_done(&mut self.connecting, cx) {
            self.in_story(|driver| driver.connected(opened));
            self.drain(board)?;
        }
        if let Poll::Ready(answer) = poll_done(&mut self.pressing, cx) {
            self.in_story(|driver| driver.input(Input::Command(Command::Keys(answer))));
            self.drain(board)?;
        }
        if let Poll::Ready(opened) = poll_done(&mut self.opening, cx) {
            self.in_story(|driver| driver.opened(opened));
            self.drain(board)?;
        }
        self.hear_carrier(cx, board)?;
        self.hear_model(cx, board)?;
        self.watch_time(cx, timer.as_mut(), board)?;
        self.flush(cx, board)
    }

    fn hear_carrier(&mut self, cx: &mut Context<'_>, board: &Arc<Switchboard>) -> ControlFlow<End> {
        for _ in 0..IN_A_ROW {
            let Some(stream) = &mut self.carrier else {
                return ControlFlow::Continue(());
            };
            let Poll::Ready(message) = stream.socket.poll_recv(cx) else {
                return ControlFlow::Continue(());
            };
            self.carrier_message(message);
            self.drain(board)?;
        }
        self.looks_again = true;
        ControlFlow::Continue(())
    }

    /// The session that the conversation is in, and the one that waits to take over.
    fn hear_model(&mut self, cx: &mut Context<'_>, board: &Arc<Switchboard>) -> ControlFlow<End> {
        for _ in 0..IN_A_ROW {
            if let Some(socket) = &mut self.model
                && let Poll::Ready(message) = socket.poll_recv(cx)
            {
                self.model_message(message);
            } else if let Some(socket) = &mut self.offered
                && let Poll::Ready(message) = socket.poll_recv(cx)
            {
                self.offered_message(message);
            } else {
                return ControlFlow::Continue(());
            }
            self.drain(board)?;
        }
        self.looks_again = true;
        ControlFlow::Continue(())
    }

    /// One timer for everything, because each is looked at with every frame. Resetting it costs more
    /// than comparing it, and most frames move no deadline.
    fn watch_time(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        board: &Arc<Switchboard>,
    ) -> ControlFlow<End> {
        let due = self.bridge.deadline().map(|at| self.began + at);
        let pulse = self.model_pulse.due.min(self.carrier_pulse.due);
        let next = due.map_or(pulse, |due| due.min(pulse));
        if next != timer.deadline() {
            timer.as_mut().reset(next);
        }
        if timer.poll(cx).is_pending() {
            return ControlFlow::Continue(());
        }
        // It must be set anew.
        self.looks_again = true;
        self.in_story(|driver| driver.on_time(due));
        self.drain(board)
    }

    fn on_time(&mut self, due: Option<Instant>) {
        let now = Instant::now();
        if self.carrier_pulse.stopped(now) && self.carrier.is_some() {
            tracing::warn!("the carrier's stream fell silent");
            self.carrier_gone();
        }
        if self.model_pulse.stopped(now) && self.model.is_some() {
            let why = "The voice model fell silent: nothing came from it for half a minute.";
            self.lost(why, true);
        }
        if due.is_some_and(|due| due <= now) {
            self.input(Input::Tick);
        }
    }

    /// Has both sockets write what was queued for them meanwhile.
    fn flush(&mut self, cx: &mut Context<'_>, board: &Arc<Switchboard>) -> ControlFlow<End> {
        if let Some(stream) = &mut self.carrier
            && let Poll::Ready(Err(error)) = stream.socket.poll_flush(cx)
        {
            self.carrier_message(Some(Err(error)));
            self.looks_again = true;
        }
        if let Some(socket) = &mut self.model
            && let Poll::Ready(Err(error)) = socket.poll_flush(cx)
        {
            self.model_message(Some(Err(error)));
            self.looks_again = true;
        }
        self.drain(board)
    }

    /// The model was saying something when the call ended.
    pub(super) fn is_responding(&self) -> bool {
        self.model.is_some() && self.bridge.is_responding()
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

    fn answer_ready(&mut self, answer: Result<(), String>) {
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(answer);
        }
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Attach(stream) => {
                tracing::debug!(stream = %stream.stream_sid, "carrier stream attached");
                if std::mem::replace(&mut self.attached, true) {
                    self.session.call.metrics().reattached(Peer::Carrier);
                }
                let purpose = stream.purpose;
                self.carrier = Some(*stream);
                self.carrier_pulse.heard = true;
                self.input(Input::Carrier(CarrierEvent::Attached(purpose)));
            }
            Order::Answered(who) => {
                tracing::debug!(?who, "who answered");
                self.input(Input::Command(Command::Answered(who)));
            }
            Order::Answer { question, text } => {
                self.input(Input::Command(Command::Answer { question, text }));
            }
            Order::Instruct(text) => self.input(Input::Command(Command::Instruct(text))),
            Order::End(end) => self.input(Input::Command(Command::End(end))),
        }
    }

    fn connected(&mut self, opened: Result<ModelSocket, ConnectError>) {
        match opened {
            Ok(socket) => {
                self.model = Some(socket);
                self.model_pulse.heard = true;
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
                self.offered = Some(Box::new(socket));
                self.input(Input::Model(ModelEvent::Offered));
            }
            Err(NotReopened { why, returns }) => {
                tracing::warn!(why, returns, "no other session of the model");
                let why = &why;
                self.input(Input::Model(ModelEvent::NotOpened { why, returns }));
            }
        }
    }
}

/// Whether a peer is still there, looked at every so often.
#[derive(Debug)]
struct Pulse {
    every: Duration,
    due: Instant,
    /// Since it was last looked at.
    heard: bool,
}

impl Pulse {
    fn new(every: Duration, began: Instant) -> Self {
        Self {
            every,
            due: began + every,
            heard: false,
        }
    }

    /// It is time to look, and nothing was heard since the last time.
    fn stopped(&mut self, now: Instant) -> bool {
        if self.due > now {
            return false;
        }
        self.due = now + self.every;
        !std::mem::take(&mut self.heard)
    }
}

/// The result of what is under way, once.
fn poll_done<T>(under_way: &mut Option<UnderWay<T>>, cx: &mut Context<'_>) -> Poll<T> {
    let Some(work) = under_way else {
        return Poll::Pending;
    };
    let done = work.as_mut().poll(cx);
    if done.is_ready() {
        *under_way = None;
    }
    done
}
