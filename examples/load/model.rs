//! The stand-in for the voice model: takes its configuration, says what it is asked to say, and then
//! holds a conversation by the clock, the same with everybody: a turn of the callee every 20 s, and
//! in between an answer that lasts until shortly before the next one.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_rustls::TlsAcceptor;

use crate::Failure;
use crate::wire::{Wire, find, quoted};
use crate::world::{Call, FRAME, Payload, Subject, World, age, now};

/// A turn and its answer, in frames: 20 s.
const CYCLE: usize = 1_000;
/// The callee has spoken by then, and the answer begins.
const ANSWER: usize = 15;
/// The words of the callee come.
const WORDS: usize = 60;
/// The answer is over; its last audio has been played when the next turn begins.
const OVER: usize = 975;
/// Every so many frames of the answer one more, which makes it as many frames as the cycle has.
const EXTRA: usize = 24;
/// A piece of the answer's words.
const PIECE: usize = 10;

/// Where an interruption stands, in frames since the callee has begun to speak over the agent.
const NOTICED: usize = 25;
const STOPPED: usize = 40;

/// What marks a call in the mission.
pub const MISSION: &str = "load-call-";

/// Serves sessions until it is dropped.
pub async fn serve(
    listener: TcpListener,
    world: Arc<World>,
    subject: Subject,
    tls: Option<TlsAcceptor>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let (world, tls) = (Arc::clone(&world), tls.clone());
        tokio::spawn(async move {
            let served = match tls {
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => {
                        let resumed = stream.get_ref().1.handshake_kind();
                        crate::tls::count(resumed);
                        Box::pin(session(&world, stream, subject)).await
                    }
                    Err(error) => Err(error.into()),
                },
                None => Box::pin(session(&world, stream, subject)).await,
            };
            if let Err(error) = served {
                crate::complain(&format!("model: {error}"));
            }
            world.lost.fetch_add(1, Ordering::Relaxed);
        });
    }
}

async fn session<S: AsyncRead + AsyncWrite + Unpin>(
    world: &World,
    stream: S,
    subject: Subject,
) -> Result<(), Failure> {
    let (mut wire, path) = Wire::accept(stream).await?;
    let index = match subject {
        Subject::Floor => path.trim_start_matches('/').parse()?,
        Subject::Product => configured(&mut wire).await?,
    };
    let call = world.call(subject, index).ok_or("no such call")?;
    let mut ticks = tokio::time::interval_at(Instant::now() + world.phase(index), FRAME);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut session = Session {
        world,
        call,
        // Conversations of a machine are not all at the same point.
        at: index * 7_919 % CYCLE,
        greeting: Greeting::Awaited,
        interruption: None,
        has_interrupted: false,
        responses: 0,
        is_responding: false,
        audio: Payload::new(usize::try_from(world.delta.as_millis())? * 8, false),
        text: String::new(),
        greeted: Payload::new(800, false),
    };
    loop {
        tokio::select! {
            read = wire.read() => {
                read?;
                let mut answers = Vec::new();
                while let Some(message) = wire.next() {
                    session.hear(message, &mut answers);
                }
                for answer in &answers {
                    wire.queue(answer.as_bytes());
                }
            }
            _ = ticks.tick() => session.tick(&mut wire)?,
        }
        wire.flush().await?;
    }
}

/// Waits for the configuration, confirms it, and finds out whose session it is.
async fn configured<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
) -> Result<usize, Failure> {
    wire.queue(br#"{"type":"session.created","event_id":"e","session":{"id":"sess_1"}}"#);
    wire.flush().await?;
    loop {
        while let Some(message) = wire.next() {
            if message.starts_with(br#"{"event_id":"configure""#)
                || find(message, MISSION.as_bytes()).is_some()
            {
                let at = find(message, MISSION.as_bytes()).ok_or("an unknown mission")?;
                let digits = &message[at + MISSION.len()..];
                let end = digits.iter().position(|byte| !byte.is_ascii_digit());
                let index = std::str::from_utf8(&digits[..end.unwrap_or(0)])?.parse()?;
                wire.queue(UPDATED);
                wire.flush().await?;
                return Ok(index);
            }
        }
        wire.read().await?;
    }
}

const UPDATED: &[u8] =
    br#"{"type":"session.updated","event_id":"e","session":{"type":"realtime"}}"#;

/// The callee says "hello" before the greeting; frames since the stream is connected.
enum Greeting {
    Awaited,
    Hello(usize),
    Due,
}

struct Session<'a> {
    world: &'a World,
    call: &'a Call,
    at: usize,
    greeting: Greeting,
    interruption: Option<usize>,
    has_interrupted: bool,
    responses: u64,
    is_responding: bool,
    audio: Payload,
    greeted: Payload,
    text: String,
}

impl Session<'_> {
    /// What the program sends.
    fn hear(&mut self, message: &[u8], answers: &mut Vec<String>) {
        let begins = |with: &[u8]| message.starts_with(with);
        let audio: Option<&[u8]> = if begins(br#"{"type":"input_audio_buffer.append""#) {
            Some(br#""audio":""#)
        } else if begins(br#"{"event":"media""#) {
            Some(br#""payload":""#)
        } else {
            None
        };
        if let Some(before) = audio {
            if let Some(age) = quoted(message, before).and_then(age) {
                self.world
                    .note(self.call.subject, |samples| samples.inbound.push(age));
            }
            return;
        }
        if self.call.subject == Subject::Floor {
            return;
        }
        let event: Value = serde_json::from_slice(message).unwrap_or_default();
        match event["type"].as_str() {
            Some("session.update") => {
                let turns = &event["session"]["audio"]["input"]["turn_detection"];
                if turns["create_response"] == json!(true) {
                    self.call.is_open.store(true, Ordering::Relaxed);
                }
                answers.push(String::from_utf8_lossy(UPDATED).into_owned());
            }
            Some("response.create") => self.say(&event["response"], answers),
            Some("response.cancel") if self.is_responding => {
                self.is_responding = false;
                answers.push(self.done("cancelled"));
            }
            _ => {}
        }
    }

    /// Says what stands in quotation marks, at once.
    fn say(&mut self, asked: &Value, answers: &mut Vec<String>) {
        let instructions = asked["instructions"].as_str().unwrap_or_default();
        let text = instructions.split('"').nth(1).unwrap_or("Yes.").to_owned();
        self.responses += 1;
        let (response, item) = self.ids();
        let audio = self.greeted.plain();
        let mut emit = |event: Value| answers.push(event.to_string());
        emit(json!({"type": "response.created", "event_id": "e",
            "response": {"id": response, "status": "in_progress", "metadata": asked["metadata"]}}));
        emit(
            json!({"type": "response.output_item.added", "event_id": "e", "response_id": response,
            "output_index": 0, "item": {"id": item, "type": "message", "role": "assistant"}}),
        );
        // 1.2 s, in pieces of 100 ms.
        for _ in 0..12 {
            emit(
                json!({"type": "response.output_audio.delta", "event_id": "e",
                "response_id": response, "item_id": item, "output_index": 0, "content_index": 0,
                "delta": audio}),
            );
        }
        emit(
            json!({"type": "response.output_audio.done", "event_id": "e", "response_id": response,
            "item_id": item, "output_index": 0, "content_index": 0}),
        );
        emit(
            json!({"type": "response.output_audio_transcript.done", "event_id": "e",
            "response_id": response, "item_id": item, "output_index": 0, "content_index": 0,
            "transcript": text}),
        );
        let done = self.done("completed");
        answers.push(done);
    }

    fn ids(&self) -> (String, String) {
        let (index, number) = (self.call.index, self.responses);
        (
            format!("resp_{index:010}_{number:010}"),
            format!("item_{index:010}_{number:010}"),
        )
    }

    fn done(&self, status: &str) -> String {
        let (response, _) = self.ids();
        json!({"type": "response.done", "event_id": "e", "response": {"id": response, "status": status,
            "usage": {"total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
                "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64},
                "output_token_details": {"text_tokens": 30, "audio_tokens": 91}}}})
        .to_string()
    }

    /// 20 ms of the conversation.
    fn tick<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
    ) -> Result<(), Failure> {
        if self.call.is_open.load(Ordering::Relaxed) {
            if self.world.is_active(self.call.subject) {
                self.converse(wire)?;
            }
        } else if self.call.is_connected.load(Ordering::Relaxed) {
            self.hello(wire);
        }
        Ok(())
    }

    /// The callee says "hello"; its end is the moment at which the greeting is due.
    fn hello<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>) {
        match &mut self.greeting {
            Greeting::Awaited => {
                self.greeting = Greeting::Hello(0);
                wire.queue(br#"{"type":"input_audio_buffer.speech_started","event_id":"e","audio_start_ms":0,"item_id":"item_hello"}"#);
            }
            Greeting::Hello(frames) if *frames < 10 => *frames += 1,
            Greeting::Hello(_) => {
                self.greeting = Greeting::Due;
                wire.queue(br#"{"type":"input_audio_buffer.speech_stopped","event_id":"e","audio_end_ms":200,"item_id":"item_hello"}"#);
                wire.queue(br#"{"type":"input_audio_buffer.committed","event_id":"e","item_id":"item_hello"}"#);
                self.call.due.store(now(), Ordering::Relaxed);
            }
            Greeting::Due => {}
        }
    }

    fn converse<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
    ) -> Result<(), Failure> {
        let inside = (ANSWER + 100..OVER - 100).contains(&self.at);
        if self.interruption.is_none()
            && !self.has_interrupted
            && inside
            && self.is_responding
            && self.world.interrupts.load(Ordering::Relaxed)
        {
            self.interruption = Some(0);
            self.has_interrupted = true;
        }
        if let Some(frame) = self.interruption {
            return self.interrupt(frame, wire);
        }
        match self.at {
            0 => self.speech_started(wire)?,
            ANSWER => self.speech_stopped(wire)?,
            _ => {}
        }
        if (ANSWER..OVER).contains(&self.at) {
            self.answer(wire)?;
        } else if self.is_responding {
            self.finish(wire)?;
        }
        if self.at == WORDS {
            self.text.clear();
            let (index, number) = (self.call.index, self.responses);
            write!(
                self.text,
                r#"{{"type":"conversation.item.input_audio_transcription.completed","event_id":"e","item_id":"callee_{index}_{number}","content_index":0,"transcript":"Yes, that would be possible.","usage":{{"type":"duration","seconds":0.5}}}}"#
            )?;
            wire.queue(self.text.as_bytes());
        }
        self.at = (self.at + 1) % CYCLE;
        Ok(())
    }

    /// The callee talks over the agent until it is silent.
    fn interrupt<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        frame: usize,
        wire: &mut Wire<S>,
    ) -> Result<(), Failure> {
        self.interruption = Some(frame + 1);
        match frame {
            0 => self.call.is_loud.store(true, Ordering::Relaxed),
            // The callee was heard for long enough: this is what decides.
            NOTICED => {
                self.speech_started(wire)?;
                self.call.due.store(now(), Ordering::Relaxed);
                return Ok(());
            }
            STOPPED => {
                self.call.is_loud.store(false, Ordering::Relaxed);
                if std::mem::take(&mut self.is_responding) {
                    let done = self.done("cancelled");
                    wire.queue(done.as_bytes());
                }
                self.interruption = None;
                self.at = ANSWER;
                return Ok(());
            }
            _ => {}
        }
        if frame < NOTICED {
            self.answer(wire)?;
        }
        Ok(())
    }

    fn speech_started<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
    ) -> Result<(), Failure> {
        self.text.clear();
        let (index, number) = (self.call.index, self.responses);
        write!(
            self.text,
            r#"{{"type":"input_audio_buffer.speech_started","event_id":"e","audio_start_ms":1000,"item_id":"callee_{index}_{number}"}}"#
        )?;
        wire.queue(self.text.as_bytes());
        Ok(())
    }

    fn speech_stopped<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
    ) -> Result<(), Failure> {
        let (index, number) = (self.call.index, self.responses);
        for event in [
            "speech_stopped\",\"audio_end_ms\":1500",
            "committed\",\"previous_item_id\":null",
        ] {
            self.text.clear();
            write!(
                self.text,
                r#"{{"type":"input_audio_buffer.{event},"event_id":"e","item_id":"callee_{index}_{number}"}}"#
            )?;
            wire.queue(self.text.as_bytes());
        }
        Ok(())
    }

    /// A frame of the answer, if one is due.
    fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
    ) -> Result<(), Failure> {
        if !self.is_responding {
            self.is_responding = true;
            self.responses += 1;
            let (response, item) = self.ids();
            self.text.clear();
            write!(
                self.text,
                r#"{{"type":"response.created","event_id":"e","response":{{"id":"{response}","status":"in_progress"}}}}"#
            )?;
            wire.queue(self.text.as_bytes());
            self.text.clear();
            write!(
                self.text,
                r#"{{"type":"response.output_item.added","event_id":"e","response_id":"{response}","output_index":0,"item":{{"id":"{item}","type":"message","role":"assistant"}}}}"#
            )?;
            wire.queue(self.text.as_bytes());
        }
        let every = usize::try_from(self.world.delta.as_millis())? / 20;
        let due = self.at.is_multiple_of(every);
        let extra = self.at.is_multiple_of(EXTRA * every);
        for _ in 0..usize::from(due) + usize::from(extra) {
            self.delta(wire)?;
        }
        if self.at.is_multiple_of(PIECE) {
            let (response, item) = self.ids();
            self.text.clear();
            write!(
                self.text,
                r#"{{"type":"response.output_audio_transcript.delta","event_id":"e","response_id":"{response}","item_id":"{item}","output_index":0,"content_index":0,"delta":" and so","obfuscation":"aBcDeFgH"}}"#
            )?;
            wire.queue(self.text.as_bytes());
        }
        Ok(())
    }

    fn delta<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
    ) -> Result<(), Failure> {
        let (index, number) = (self.call.index, self.responses);
        self.text.clear();
        write!(
            self.text,
            r#"{{"type":"response.output_audio.delta","event_id":"event_{:020}","response_id":"resp_{index:010}_{number:010}","item_id":"item_{index:010}_{number:010}","output_index":0,"content_index":0,"delta":""#,
            self.at
        )?;
        self.text.push_str(self.audio.stamped());
        self.text.push_str(r#"","obfuscation":"aBcDeFgH"}"#);
        wire.queue(self.text.as_bytes());
        Ok(())
    }

    fn finish<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
    ) -> Result<(), Failure> {
        self.is_responding = false;
        let (response, item) = self.ids();
        self.text.clear();
        write!(
            self.text,
            r#"{{"type":"response.output_audio.done","event_id":"e","response_id":"{response}","item_id":"{item}","output_index":0,"content_index":0}}"#
        )?;
        wire.queue(self.text.as_bytes());
        self.text.clear();
        write!(
            self.text,
            r#"{{"type":"response.output_audio_transcript.done","event_id":"e","response_id":"{response}","item_id":"{item}","output_index":0,"content_index":0,"transcript":"That is what I can say about it, and so on."}}"#
        )?;
        wire.queue(self.text.as_bytes());
        let done = self.done("completed");
        wire.queue(done.as_bytes());
        Ok(())
    }
}
