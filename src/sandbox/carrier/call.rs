//! The record of one sandbox call: what REST shows of it, and what tests look at.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

/// Longest recording of one direction of one call: ten minutes.
const LONGEST_RECORDING: usize = 10 * 60 * 8_000;

/// Status of a call as the REST interface names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallStatus {
    /// `queued`
    Queued,
    /// `ringing`
    Ringing,
    /// `in-progress`
    InProgress,
    /// `completed`
    Completed,
    /// `busy`
    Busy,
    /// `failed`
    Failed,
    /// `no-answer`
    NoAnswer,
    /// `canceled`
    Canceled,
}

impl CallStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::NoAnswer => "no-answer",
            Self::Canceled => "canceled",
        }
    }

    /// The call is over.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Ringing | Self::InProgress)
    }
}

impl fmt::Display for CallStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call as the sandbox saw it.
#[derive(Debug, Clone)]
pub struct Call {
    /// `CA…`
    pub sid: String,
    /// The number that was dialled.
    pub to: String,
    /// The number that dialled.
    pub from: String,
    /// Where the call stands.
    pub status: CallStatus,
    /// All form fields of the request that placed it.
    pub parameters: Vec<(String, String)>,
    /// What the callee understood, all sentences of the agent (and of `<Say>`) in one string.
    pub heard: String,
    /// The agent's audio that really reached the callee's ear; silence where none came is left out.
    pub heard_audio: Vec<u8>,
    /// All audio sent to the product, silence included, over all streams of the call.
    pub said_audio: Vec<u8>,
    /// Names of the marks that were returned, in order.
    pub marks: Vec<String>,
    /// `clear` frames received.
    pub clears: u32,
    /// When the first media stream began, and when the first of the agent's audio came on it.
    pub stream_began: Option<Instant>,
    /// See `stream_began`.
    pub first_audio: Option<Instant>,
    /// Media streams opened.
    pub streams: u32,
    /// Digits played to the callee by `<Play digits>`.
    pub digits: String,
    /// What machine detection made of the callee.
    pub answered_by: Option<String>,
    /// `TimeLimit` in seconds, if one was set.
    pub time_limit: Option<u64>,
    /// Callbacks in the order of their delivery: what they told, and the HTTP status of the answer
    /// (0: none). `initiated`, `ringing`… for the call, `amd`, `stream-started`…
    pub callbacks: Vec<(String, u16)>,
    /// When the request came, the phone was picked up, and the call ended.
    pub created_at: DateTime<Utc>,
    /// See `created_at`.
    pub answered_at: Option<DateTime<Utc>>,
    /// See `created_at`.
    pub ended_at: Option<DateTime<Utc>>,
    /// Call time from answer to end.
    pub duration: Duration,
}

impl Call {
    pub(crate) fn new(sid: String, to: String, from: String) -> Self {
        Self {
            sid,
            to,
            from,
            status: CallStatus::Queued,
            parameters: Vec::new(),
            heard: String::new(),
            heard_audio: Vec::new(),
            said_audio: Vec::new(),
            marks: Vec::new(),
            clears: 0,
            stream_began: None,
            first_audio: None,
            streams: 0,
            digits: String::new(),
            answered_by: None,
            time_limit: None,
            callbacks: Vec::new(),
            created_at: Utc::now(),
            answered_at: None,
            ended_at: None,
            duration: Duration::ZERO,
        }
    }

    /// Whole seconds, as Twilio counts them.
    pub(crate) fn seconds(&self) -> u64 {
        self.duration
            .as_millis()
            .div_ceil(1_000)
            .try_into()
            .unwrap_or(0)
    }

    /// The call resource (<https://www.twilio.com/docs/voice/api/call-resource>): nearly all values
    /// are strings.
    pub(crate) fn json(&self, account: &str, billed: bool) -> Value {
        let over = self.status.is_final();
        // USD 0.014 per started minute of outbound voice; negative, and late.
        let minutes = self.seconds().div_ceil(60);
        let price = format!("-{}.{:03}00", minutes * 14 / 1_000, minutes * 14 % 1_000);
        let uri = format!("/2010-04-01/Accounts/{account}/Calls/{}", self.sid);
        json!({
            "sid": self.sid,
            "account_sid": account,
            "to": self.to,
            "to_formatted": self.to,
            "from": self.from,
            "from_formatted": self.from,
            "status": self.status.as_str(),
            "direction": "outbound-api",
            "api_version": "2010-04-01",
            "date_created": rfc2822(self.created_at),
            "date_updated": rfc2822(self.ended_at.unwrap_or_else(Utc::now)),
            "start_time": self.answered_at.map(rfc2822),
            "end_time": self.ended_at.map(rfc2822),
            "duration": over.then(|| self.seconds().to_string()),
            "price": (over && billed && minutes > 0).then_some(price),
            "price_unit": "USD",
            "answered_by": self.answered_by,
            "annotation": null,
            "caller_name": null,
            "forwarded_from": null,
            "group_sid": null,
            "parent_call_sid": null,
            "phone_number_sid": "",
            "queue_time": "0",
            "trunk_sid": "",
            "uri": format!("{uri}.json"),
            "subresource_uris": {"recordings": format!("{uri}/Recordings.json")},
        })
    }
}

/// Twilio writes all dates like `Sun, 22 Nov 2026 17:32:03 +0000`.
pub(crate) fn rfc2822(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// What REST may ask of a call that is under way.
#[derive(Debug)]
pub(crate) enum Command {
    /// `Status=completed`
    HangUp,
    /// `Status=canceled`
    Cancel,
    /// New TwiML for a live call.
    Redirect(Source),
    /// A new `TimeLimit` in seconds.
    TimeLimit(u64),
}

/// Where TwiML comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// `Twiml=`
    Inline(String),
    /// `Url=`
    Fetch(String),
}

/// A call and the way to its line.
pub(crate) struct CallHandle {
    state: watch::Sender<Call>,
    commands: mpsc::Sender<Command>,
    keep_audio: bool,
    /// Somebody has looked at the call since it ended.
    looked: AtomicBool,
}

impl CallHandle {
    pub(crate) fn new(call: Call, commands: mpsc::Sender<Command>, keep_audio: bool) -> Self {
        Self {
            state: watch::Sender::new(call),
            commands,
            keep_audio,
            looked: AtomicBool::new(false),
        }
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&Call) -> T) -> T {
        read(&self.state.borrow())
    }

    /// Whether this is not the first look at the ended call.
    pub(crate) fn looked_at_the_end(&self) -> bool {
        self.read(|call| call.status.is_final()) && self.looked.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn update(&self, update: impl FnOnce(&mut Call)) {
        self.state.send_modify(update);
    }

    /// Records audio in both directions, as far as recordings are kept.
    pub(crate) fn record(&self, heard: &[u8], said: &[u8], understood: &str) {
        self.update(|call| {
            call.heard.push_str(understood);
            for (record, audio) in [(&mut call.heard_audio, heard), (&mut call.said_audio, said)] {
                if self.keep_audio && record.len() < LONGEST_RECORDING {
                    record.extend_from_slice(audio);
                }
            }
        });
    }

    /// `false` if the line no longer listens.
    pub(crate) fn command(&self, command: Command) -> bool {
        self.commands.try_send(command).is_ok()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Call> {
        self.state.subscribe()
    }
}
