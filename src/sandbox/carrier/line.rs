//! The life of one call: rings, is answered, does what TwiML says, ends.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep, timeout};

use super::Carrier;
use super::amd::Detection;
use super::call::{CallHandle, CallStatus, Command, Source, rfc2822};
use super::stream;
use super::twiml::{self, Verb};
use super::webhook::{Callback, Callbacks, Fields};
use crate::sandbox::callee::{Answer, Callee, FRAME};
use crate::sandbox::person::{Moment, Person};
use crate::sandbox::speech;

/// What the request that places a call asks for.
pub(crate) struct Order {
    pub(crate) source: Source,
    pub(crate) status_callback: Option<String>,
    pub(crate) events: Vec<String>,
    /// `Timeout` and `TimeLimit`, in seconds.
    pub(crate) ring_time: u64,
    pub(crate) time_limit: Option<u64>,
    pub(crate) send_digits: String,
    pub(crate) detection: Option<MachineDetection>,
}

/// Asynchronous answering machine detection.
pub(crate) struct MachineDetection {
    pub(crate) callback: String,
    pub(crate) detection: Detection,
}

/// Why a call is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    status: CallStatus,
    sip: u16,
}

impl End {
    pub(crate) const COMPLETED: Self = Self::new(CallStatus::Completed, 200);
    const CANCELED: Self = Self::new(CallStatus::Canceled, 487);

    const fn new(status: CallStatus, sip: u16) -> Self {
        Self { status, sip }
    }
}

/// What comes after a verb, or a part of one.
pub(crate) enum Leg {
    /// The next verb.
    Next,
    /// Other TwiML.
    Redirect(Source),
    /// Nothing.
    End(End),
}

/// A call under way.
pub(crate) struct Line {
    pub(crate) carrier: Arc<Carrier>,
    pub(crate) call: Arc<CallHandle>,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// One tick per frame of audio.
    pub(crate) clock: Interval,
    order: Order,
    answer: Answer,
    person: Person,
    answered_by: String,
    callbacks: Callbacks,
    sequence: u32,
    answered: Option<Instant>,
}

impl Line {
    pub(crate) fn new(
        carrier: Arc<Carrier>,
        call: Arc<CallHandle>,
        commands: mpsc::Receiver<Command>,
        order: Order,
        callee: Callee,
    ) -> Self {
        let callbacks = Callbacks::start(
            carrier.webhooks.clone(),
            Arc::clone(&call),
            carrier.complaints.clone(),
            &carrier.mishaps,
            &carrier.tasks,
        );
        let mut clock = tokio::time::interval(carrier.behaviour.frame_interval);
        // Late frames are made up for: a phone line does not slow down.
        clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
        Self {
            carrier,
            call,
            commands,
            clock,
            order,
            answer: callee.answer,
            person: Person::new(callee.script),
            answered_by: callee.answered_by,
            callbacks,
            sequence: 0,
            answered: None,
        }
    }

    /// Lives the call to its end.
    pub(crate) async fn run(mut self) {
        self.report("initiated", "initiated", &[]);
        let end = match self.ring().await {
            None => self.talk().await,
            Some(end) => end,
        };
        let duration = self.call_time();
        self.call.update(|call| {
            call.status = end.status;
            call.ended_at = Some(Utc::now());
            call.duration = duration;
        });
        let seconds = self.call.read(super::call::Call::seconds);
        let extra = [
            ("CallDuration", seconds.to_string()),
            ("SipResponseCode", end.sip.to_string()),
        ];
        self.report("completed", end.status.as_str(), &extra);
    }

    /// Rings until somebody answers (`None`) or nobody will.
    async fn ring(&mut self) -> Option<End> {
        let (wait, then) = match self.answer {
            Answer::Rejects => return Some(End::new(CallStatus::Failed, 404)),
            Answer::Busy => (Duration::ZERO, Some(End::new(CallStatus::Busy, 486))),
            Answer::NoAnswer => (Duration::MAX, None),
            Answer::GivesUp { after } => (after, Some(End::new(CallStatus::NoAnswer, 480))),
            Answer::Answers { after } => (after, None),
        };
        self.call.update(|call| call.status = CallStatus::Ringing);
        self.report("ringing", "ringing", &[]);
        let patience = Duration::from_secs(self.order.ring_time);
        let unanswered = (wait > patience).then_some(End::new(CallStatus::NoAnswer, 480));
        let ringing = sleep(self.carrier.wall(wait.min(patience)));
        tokio::pin!(ringing);
        loop {
            tokio::select! {
                () = &mut ringing => return then.or(unanswered),
                command = self.commands.recv() => match command {
                    Some(Command::HangUp | Command::Cancel) | None => return Some(End::CANCELED),
                    Some(Command::TimeLimit(seconds)) => self.limit(seconds),
                    // Refused before it gets here.
                    Some(Command::Redirect(_)) => {}
                },
            }
        }
    }

    async fn talk(&mut self) -> End {
        self.answered = Some(Instant::now());
        self.call.update(|call| {
            call.status = CallStatus::InProgress;
            call.answered_at = Some(Utc::now());
        });
        self.report("answered", "in-progress", &[]);
        let digits = std::mem::take(&mut self.order.send_digits);
        if !digits.is_empty()
            && let Leg::End(end) = self.press(&digits).await
        {
            return end;
        }
        let mut source = self.order.source.clone();
        'document: loop {
            let verbs = match self.load(&source).await {
                Ok(verbs) => verbs,
                Err(Leg::Redirect(other)) => {
                    source = other;
                    continue;
                }
                Err(Leg::End(end)) => return end,
                Err(Leg::Next) => return End::COMPLETED,
            };
            for verb in &verbs {
                match self.perform(verb).await {
                    Leg::Next => {}
                    Leg::End(end) => return end,
                    Leg::Redirect(other) => {
                        source = other;
                        continue 'document;
                    }
                }
            }
            return End::COMPLETED;
        }
    }

    /// Gets TwiML. Without any Twilio reads an apology to the callee and hangs up ([`Leg::Next`]).
    async fn load(&mut self, source: &Source) -> Result<Vec<Verb>, Leg> {
        let document = match source {
            Source::Inline(document) => document.clone(),
            Source::Fetch(url) => {
                let fields = self.fields("in-progress");
                let webhooks = self.carrier.webhooks.clone();
                let fetch = webhooks.post(url, &fields);
                tokio::pin!(fetch);
                let answer = loop {
                    tokio::select! {
                        answer = &mut fetch => break answer,
                        command = self.commands.recv() => {
                            if let Some(leg) = self.obey(command) {
                                return Err(leg);
                            }
                        }
                    }
                };
                match answer {
                    Ok((200..=299, body)) => body,
                    Ok((status, _)) => return Err(self.complain(&format!("{url}: HTTP {status}"))),
                    Err(error) => return Err(self.complain(&error)),
                }
            }
        };
        twiml::read(&document).map_err(|error| self.complain(&format!("TwiML: {error}")))
    }

    fn complain(&self, complaint: &str) -> Leg {
        self.carrier.complaints.add(complaint);
        Leg::Next
    }

    async fn perform(&mut self, verb: &Verb) -> Leg {
        match verb {
            Verb::Connect(stream) => stream::run(self, stream).await,
            Verb::Redirect(url) => Leg::Redirect(Source::Fetch(url.clone())),
            Verb::Hangup => Leg::End(End::COMPLETED),
            Verb::Say(text) => self.play(&speech::encode(text)).await,
            Verb::Pause(seconds) => self.pause(Duration::from_secs(*seconds)).await,
            Verb::PlayDigits(digits) => self.press(digits).await,
        }
    }

    /// Presses keys towards the callee: half a second for each `w`, a whole one for each `W`.
    async fn press(&mut self, digits: &str) -> Leg {
        for digit in digits.chars() {
            let time = match digit {
                'w' => 500,
                'W' => 1_000,
                key => {
                    self.call.update(|call| call.digits.push(key));
                    self.person.hear_key(key);
                    200
                }
            };
            match self.pause(Duration::from_millis(time)).await {
                Leg::Next => {}
                other => return other,
            }
        }
        Leg::Next
    }

    pub(crate) async fn pause(&mut self, time: Duration) -> Leg {
        let samples = usize::try_from(time.as_millis() * 8).unwrap_or(usize::MAX);
        self.play(&vec![speech::SILENCE; samples.min(8 * 60_000)])
            .await
    }

    /// Plays audio of the carrier's own; what the callee says meanwhile goes nowhere.
    async fn play(&mut self, audio: &[u8]) -> Leg {
        self.clock.reset();
        for frame in audio.chunks(FRAME) {
            loop {
                tokio::select! {
                    command = self.commands.recv() => {
                        if let Some(leg) = self.obey(command) {
                            return leg;
                        }
                    }
                    _ = self.clock.tick() => break,
                }
            }
            let (moment, over) = self.live(frame);
            self.call.record(&[], &[], &moment.understood);
            if let Some(end) = over {
                return Leg::End(end);
            }
        }
        Leg::Next
    }

    /// One frame of the call: what the callee does while `played` is heard, and whether it is over.
    pub(crate) fn live(&mut self, played: &[u8]) -> (Moment, Option<End>) {
        let moment = self.person.live(played);
        self.detect();
        let limit = self.order.time_limit.map(Duration::from_secs);
        let too_long = limit.is_some_and(|limit| self.call_time() >= limit);
        let over = (too_long || moment.hangs_up).then_some(End::COMPLETED);
        (moment, over)
    }

    /// Does what REST asks for; a leg if it ends the present one.
    pub(crate) fn obey(&mut self, command: Option<Command>) -> Option<Leg> {
        match command {
            Some(Command::Redirect(source)) => Some(Leg::Redirect(source)),
            Some(Command::HangUp) | None => Some(Leg::End(End::COMPLETED)),
            Some(Command::TimeLimit(seconds)) => {
                self.limit(seconds);
                None
            }
            // Came while the phone was being picked up: "will not affect calls in progress".
            Some(Command::Cancel) => None,
        }
    }

    fn limit(&mut self, seconds: u64) {
        self.order.time_limit = Some(seconds);
        self.call.update(|call| call.time_limit = Some(seconds));
    }

    fn detect(&mut self) {
        let Some(MachineDetection {
            callback,
            detection,
        }) = &self.order.detection
        else {
            return;
        };
        let at = self.call_time();
        let heard = self.person.impression();
        let Some(verdict) = detection.verdict(&self.answered_by, heard, at) else {
            return;
        };
        let verdict = verdict.to_owned();
        self.call
            .update(|call| call.answered_by = Some(verdict.clone()));
        let url = callback.clone();
        let fields = vec![
            (
                "CallSid".to_owned(),
                self.call.read(|call| call.sid.clone()),
            ),
            ("AccountSid".to_owned(), self.carrier.account.sid.clone()),
            ("AnsweredBy".to_owned(), verdict),
            (
                "MachineDetectionDuration".to_owned(),
                at.as_millis().to_string(),
            ),
        ];
        self.callback("amd", url, fields);
        self.order.detection = None;
    }

    /// Call time since the answer.
    pub(crate) fn call_time(&self) -> Duration {
        let since = self.answered.map(|at| at.elapsed());
        self.carrier.call_time(since.unwrap_or_default())
    }

    /// The fields that every request about this call carries.
    pub(crate) fn fields(&self, status: &str) -> Fields {
        let (sid, to, from) = self
            .call
            .read(|call| (call.sid.clone(), call.to.clone(), call.from.clone()));
        [
            ("CallSid", sid),
            ("AccountSid", self.carrier.account.sid.clone()),
            ("From", from.clone()),
            ("To", to.clone()),
            ("Caller", from),
            ("Called", to),
            ("CallStatus", status.to_owned()),
            ("Direction", "outbound-api".to_owned()),
            ("ApiVersion", "2010-04-01".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Posts a status callback, if it was asked for.
    fn report(&mut self, event: &str, status: &str, extra: &[(&str, String)]) {
        let Some(url) = self.order.status_callback.clone() else {
            return;
        };
        if !self.order.events.iter().any(|asked| asked == event) {
            return;
        }
        let mut fields = self.fields(status);
        let more = [
            ("Timestamp", rfc2822(Utc::now())),
            ("SequenceNumber", self.sequence.to_string()),
            ("CallbackSource", "call-progress-events".to_owned()),
        ];
        for (name, value) in more.into_iter().chain(extra.iter().cloned()) {
            fields.push((name.to_owned(), value));
        }
        self.sequence += 1;
        self.callback(status, url, fields);
    }

    pub(crate) fn callback(&self, label: &str, url: String, fields: Fields) {
        let callback = Callback {
            label: label.to_owned(),
            url,
            fields,
        };
        if !self.callbacks.send(callback) {
            self.carrier
                .complaints
                .add(format!("callback {label}: queue full"));
        }
    }
}

/// Runs `future`, but not for ever: the far end may have stopped reading.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    timeout(limit, future).await.ok()
}
