//! What goes into the bridge and what comes out of it, in words of our own: no JSON of any
//! carrier or model is known here. `twilio::frame` and `realtime::event` translate.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::moment::Recording;
use crate::call::audio::Audio;
use crate::call::snapshot::{Outcome, Role, Status};

/// Something happened. Ids and texts are borrowed from the message they came in.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<'a> {
    /// From the carrier's media stream.
    Carrier(CarrierEvent),
    /// From the voice model.
    Model(ModelEvent<'a>),
    /// From us: the host, the carrier's callbacks, the shutdown.
    Command(Command),
    /// A deadline given by [`Bridge::deadline`](super::Bridge::deadline) has passed.
    Tick,
}

impl From<CarrierEvent> for Input<'_> {
    fn from(event: CarrierEvent) -> Self {
        Input::Carrier(event)
    }
}

impl<'a> From<ModelEvent<'a>> for Input<'a> {
    fn from(event: ModelEvent<'a>) -> Self {
        Input::Model(event)
    }
}

impl From<Command> for Input<'_> {
    fn from(command: Command) -> Self {
        Input::Command(command)
    }
}

/// What a carrier's media stream reports.
#[derive(Debug, Clone, PartialEq)]
pub enum CarrierEvent {
    /// A media stream is attached: the callee can hear and be heard.
    Attached(Stream),
    /// A frame of the callee's voice; `at` is its position in the stream.
    Audio {
        /// Time since the start of this stream.
        at: Duration,
        /// The frame.
        audio: Audio,
    },
    /// All audio sent before this mark has been played (or cleared).
    Played(Mark),
    /// The callee pressed a key.
    Key(char),
    /// The stream ended, with or without a word.
    Detached,
}

/// What a media stream was connected for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The callee has answered, or an earlier stream is lost.
    Usual,
    /// Keys were pressed: those of the [`Output::PressKeys`] with this number.
    AfterKeys(u32),
}

/// A name sent behind audio, which comes back when that audio has been played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Raised by every clear and every new stream; marks of an older one mean nothing.
    pub generation: u32,
    /// Counts the marks of a conversation.
    pub sequence: u32,
}

/// What a voice model reports.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelEvent<'a> {
    /// The oldest unconfirmed [`ToModel::Configure`] or [`ToModel::Turns`] is in force.
    Configured,
    /// The model hears the callee speak.
    SpeechStarted,
    /// The callee has stopped speaking.
    SpeechStopped,
    /// What the callee said is now an item of the conversation: its place is fixed.
    Committed {
        /// The callee's item.
        item: &'a str,
    },
    /// What the callee said, in words; late, and in any order.
    CallerWords {
        /// The item from [`ModelEvent::Committed`].
        item: &'a str,
        /// The words.
        text: Cow<'a, str>,
    },
    /// The words of this item could not be made out.
    CallerWordsFailed {
        /// The item from [`ModelEvent::Committed`].
        item: &'a str,
    },
    /// A response has begun; there is one at a time.
    ResponseStarted {
        /// The response.
        response: &'a str,
    },
    /// A response beside the conversation has begun, as was asked for with [`Respond::aside`].
    AsideStarted {
        /// The response.
        response: &'a str,
    },
    /// Agent audio.
    Audio {
        /// The response it belongs to.
        response: &'a str,
        /// The item it belongs to; a response can have several.
        item: &'a str,
        /// The audio.
        audio: Audio,
    },
    /// The item has all its audio.
    AudioDone {
        /// The item.
        item: &'a str,
    },
    /// A piece of what the agent says, in words, near the audio that says it.
    Words {
        /// The item.
        item: &'a str,
        /// The piece.
        text: Cow<'a, str>,
    },
    /// All words of the item.
    WordsDone {
        /// The item.
        item: &'a str,
        /// All of them.
        text: Cow<'a, str>,
    },
    /// The model calls one of our functions; complete and final.
    ToolCall {
        /// The response that calls it.
        response: &'a str,
        /// What [`ToModel::ToolOutput`] must name.
        call: &'a str,
        /// The function.
        name: &'a str,
        /// Its arguments, JSON.
        arguments: Cow<'a, str>,
    },
    /// The response is over.
    ResponseEnded {
        /// The response.
        response: &'a str,
        /// How it ended.
        ending: ResponseEnding<'a>,
    },
    /// The model refused something we sent, or reports trouble of its own.
    Error {
        /// What it was about, if it was about something we sent.
        about: Option<Request>,
        /// What follows from it.
        kind: ErrorKind,
        /// The model's words for it.
        message: Cow<'a, str>,
    },
    /// The model's session is gone.
    Lost {
        /// A sentence for the call's `error`.
        why: &'a str,
        /// Another session would work.
        returns: bool,
    },
    /// Another session is open, configured as [`ToModel::Configure`] does, and waits for
    /// [`Output::TakeModel`].
    Offered,
    /// The session that was offered is gone, before it took over.
    Withdrawn,
    /// No other session could be opened.
    NotOpened {
        /// A sentence for the call's `error`.
        why: &'a str,
        /// A later attempt may do.
        returns: bool,
    },
}

/// The kinds of things we send that a model can refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// [`ToModel::Configure`]
    Configure,
    /// [`ToModel::Turns`]
    Turns,
    /// [`ToModel::Respond`]
    Respond,
    /// [`ToModel::Cancel`]
    Cancel,
    /// [`ToModel::Truncate`]
    Truncate,
    /// [`ToModel::Delete`]
    Delete,
    /// [`ToModel::ToolOutput`]
    ToolOutput,
    /// [`ToModel::Tell`]
    Tell,
    /// [`ToModel::Recall`]
    Recall,
}

/// What follows from an error of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A response was asked for while another was active.
    Busy,
    /// The session is over; another one would work.
    Expired,
    /// The session cannot go on, and no other could.
    Fatal,
    /// Nothing, beyond that the request was not carried out.
    Harmless,
}

/// How a response ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseEnding<'a> {
    /// All said.
    Completed,
    /// Interrupted, by the callee or by us.
    Cancelled,
    /// Cut short by a limit or a filter.
    Incomplete,
    /// The model could not.
    Failed {
        /// Asking again is pointless (credit used up, key withdrawn).
        fatal: bool,
        /// The model's words.
        message: Cow<'a, str>,
    },
}

/// What we tell the bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// End the call now, for this reason.
    End(End),
    /// The call's money is running out: end it within this time, as at its maximum duration.
    EndWithin(Duration),
    /// What became of [`Output::PressKeys`], as far as the carrier has answered.
    Keys(KeysAnswer),
    /// The carrier has found out who answered the phone.
    Answered(AnsweredBy),
    /// The host answers a question of the model.
    Answer {
        /// Its id, from [`Change::Asked`].
        question: String,
        /// The answer.
        text: String,
    },
    /// The host has something to say to the model.
    Instruct(String),
}

/// The carrier's answer to [`Output::PressKeys`]. That the keys were pressed is known only by
/// [`Stream::AfterKeys`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysAnswer {
    /// They are being pressed.
    Taken,
    /// They are not; a sentence that says why.
    Refused(String),
    /// Nobody knows.
    Unknown,
}

/// Who answered the phone, as the carrier heard it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredBy {
    /// A person, or nobody can tell: the conversation is right for both.
    Person,
    /// An answering machine that has given its tone: it records from now on.
    Tone,
    /// An answering machine that has fallen silent, and takes a message as far as anybody can tell.
    Mailbox,
    /// A machine that has finished a recorded text and takes no message: a menu, most often.
    Menu,
    /// A fax.
    Fax,
}

/// What the bridge wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send this on the carrier's stream.
    Carrier(ToCarrier),
    /// Send this to the model.
    Model(ToModel),
    /// Open another session of the model, beside the present one if there is one still.
    OpenModel,
    /// From here on, the session that was offered is the model; the old one is over.
    TakeModel,
    /// Press keys towards the callee. A new stream follows, [`Stream::AfterKeys`].
    PressKeys {
        /// Counts these requests.
        number: u32,
        /// `0-9*#`; `w` is half a second.
        digits: String,
    },
    /// "One moment, please" was made: later calls of the same voice, model and language can be given it.
    KeepMoment(Arc<Recording>),
    /// Show this to whoever watches the call.
    Publish(Change),
    /// The call is over: hang up the line. Sent once; nothing follows it.
    HangUp(End),
}

/// What a carrier's media stream takes.
#[derive(Debug, Clone, PartialEq)]
pub enum ToCarrier {
    /// Play this after what is queued.
    Audio(Audio),
    /// Report back when everything before this has been played.
    Mark(Mark),
    /// Forget what is queued and not yet played.
    Clear,
}

/// What a voice model takes.
#[derive(Debug, Clone, PartialEq)]
pub enum ToModel {
    /// Set the session up: instructions, voice, tools, and [`Turns::Ours`]. Sent first.
    Configure,
    /// Change who answers the callee.
    Turns(Turns),
    /// The callee's voice.
    Audio(Audio),
    /// Say something now.
    Respond(Respond),
    /// Stop the response that is under way.
    Cancel,
    /// Of this item, the callee heard no more than this.
    Truncate {
        /// The item.
        item: String,
        /// Milliseconds of it that were heard.
        heard_ms: u64,
    },
    /// Of this item, the callee heard nothing.
    Delete {
        /// The item.
        item: String,
    },
    /// The result of a function.
    ToolOutput {
        /// From [`ModelEvent::ToolCall`].
        call: String,
        /// JSON.
        output: String,
    },
    /// Something the model must know, not said by the callee.
    Tell(String),
    /// Something that happened in an earlier session of the same conversation.
    Recall(Recall),
}

/// What was said before a new session of the model was there. What the model was told, and what its
/// functions did, comes as [`ToModel::Tell`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recall {
    /// The callee heard this of the agent.
    Said(String),
    /// The callee said this.
    Heard(String),
}

/// Who answers when the callee has spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    /// We do: the model listens, transcribes and waits to be asked.
    Ours,
    /// The model does, and it stops by itself when it is interrupted.
    Models,
    /// The same, after a longer pause: a recorded menu rests between its options.
    ModelsPatiently,
}

/// A request for a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Respond {
    /// For this response, instead of the session's instructions.
    pub instructions: Option<String>,
    /// Speech alone: no function may be called.
    pub speech_only: bool,
    /// Beside the conversation, which does not know of it.
    pub aside: bool,
}

/// A visible change of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A line of the transcript, or its new text. Lines stand in the order of their slots.
    Line {
        /// Its place in the conversation.
        slot: u32,
        /// When it began to be said, since the session began.
        at: Duration,
        /// Who said it.
        role: Role,
        /// What.
        text: String,
    },
    /// A note of the model.
    Note(String),
    /// The model's own judgement of the call.
    Verdict {
        /// What happened.
        summary: String,
        /// How it went.
        outcome: Outcome,
    },
    /// The call goes on after all: the judgement was early.
    VerdictWithdrawn,
    /// The model asks the host something.
    Asked {
        /// Names the question.
        id: String,
        /// What it asks.
        text: String,
    },
    /// That question waits no longer.
    NotAnswered {
        /// Which.
        id: String,
    },
    /// The disclosure has been played in full.
    Disclosed,
    /// The callee has said something.
    CalleeSpoke,
    /// The first sound of the agent was sent this long after the callee answered.
    FirstWord(Duration),
    /// The agent's answer was sent this long after the callee had stopped speaking.
    TurnLatency(Duration),
    /// This much of what the callee said was lost, because no model listened for too long.
    EarlyAudioDropped(Duration),
    /// Audio missing in the callee's stream was replaced by this much silence towards the model.
    GapFilled(Duration),
}

/// Why a call ended; the first reason wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The model ended it, and the goodbye was played.
    Completed,
    /// The callee hung up, or the line dropped.
    CalleeHungUp,
    /// The model spoke to a machine.
    Voicemail,
    /// The host asked for it.
    HostHungUp,
    /// This program is stopping.
    Shutdown,
    /// The call reached its maximum duration.
    TimedOut,
    /// The line was busy.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// The carrier took the call back before it was answered.
    Canceled,
    /// The voice model is gone, or never worked; a sentence that says why. The callee, if there is
    /// one already, deserves a word from the carrier.
    ModelGone(String),
    /// Something else broke; a sentence that says what.
    Failed(String),
}

impl End {
    /// The final status this reason gives a call.
    pub fn status(&self) -> Status {
        match self {
            Self::Completed | Self::CalleeHungUp => Status::Completed,
            Self::Voicemail => Status::Voicemail,
            Self::HostHungUp | Self::Shutdown => Status::HungUpByAgent,
            Self::TimedOut => Status::TimedOut,
            Self::Busy => Status::Busy,
            Self::NoAnswer => Status::NoAnswer,
            Self::Canceled => Status::Canceled,
            Self::ModelGone(_) | Self::Failed(_) => Status::Failed,
        }
    }

    /// What broke, if that is why the call ended.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::ModelGone(why) | Self::Failed(why) => Some(why),
            _ => None,
        }
    }
}
