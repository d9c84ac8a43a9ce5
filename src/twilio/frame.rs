//! The messages of a media stream (Twilio, "Media Streams, WebSocket messages"): what Twilio sends
//! is parsed, what it takes is written.
//!
//! A call has fifty of these a second in either direction, so parsing borrows from the message,
//! and the audio of both directions stays the base64 text it is.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::call::audio::Audio;
use crate::call::bridge::event::{CarrierEvent, Mark, ToCarrier};
use crate::json::{self, Plain, once};

/// No call lasts longer (the maximum of Twilio's `TimeLimit`), so no audio is further into one.
const LONGEST_CALL_MS: u64 = 24 * 60 * 60 * 1_000;

/// What a message of Twilio means.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame<'a> {
    /// The socket is open; `start` follows.
    Connected,
    /// A stream begins: this is what it belongs to.
    Start(Start<'a>),
    /// Something for the bridge.
    Event(CarrierEvent),
    /// Nothing that concerns us: an event we do not know, the other track, a mark of somebody else.
    Ignored,
}

/// The stream that begins, and what our own TwiML gave it to carry.
#[derive(Clone, PartialEq, Eq)]
pub struct Start<'a> {
    /// What messages to this stream must name (`MZ…`).
    pub stream_sid: Cow<'a, str>,
    /// The call (`CA…`).
    pub call_sid: Cow<'a, str>,
    /// The stream parameter `call_id`: our own id of the call.
    pub call_id: Option<Cow<'a, str>>,
    /// The stream parameter `token`, a secret: compare it in constant time.
    pub token: Option<Cow<'a, str>>,
    /// The audio is what we carry: 8 kHz mono mu-law. So it is if the message does not say; a
    /// stream for which this is false must be refused, because we would pass on noise.
    pub is_mu_law: bool,
}

impl fmt::Debug for Start<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("stream_sid", &self.stream_sid)
            .field("call_sid", &self.call_sid)
            .field("call_id", &self.call_id)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("is_mu_law", &self.is_mu_law)
            .finish()
    }
}

/// The message cannot be understood; the text says why and shows nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed media stream message: {0}")]
pub struct Malformed(&'static str);

/// Parses one text message of Twilio.
///
/// # Errors
///
/// [`Malformed`] if it is not JSON, or an event we know without what it needs. An event we do not
/// know is [`Frame::Ignored`], whatever it contains.
pub fn parse(message: &Bytes) -> Result<Frame<'_>, Malformed> {
    match plain_media(message) {
        Some(frame) => Ok(Frame::Event(frame)),
        None => parse_any(message),
    }
}

/// A frame of the callee as Twilio writes it: what [`parse_any`] makes of it, at a fraction of the
/// cost. `None` for everything else, be it a message of another kind or one that is written in another
/// way.
fn plain_media(message: &Bytes) -> Option<CarrierEvent> {
    let (mut event, mut stream_sid, mut media) = (None, None, None);
    let (mut track, mut timestamp, mut payload) = (None, None, None);
    let mut json = Plain::new(message);
    json.object(|json, name| match name {
        b"event" => once(&mut event, json.text()?),
        b"streamSid" => once(&mut stream_sid, json.text()?),
        b"media" => {
            once(&mut media, ())?;
            json.object(|json, name| match name {
                b"track" => once(&mut track, json.text()?),
                b"timestamp" => once(&mut timestamp, json::number(json.text()?)?),
                // Base64 has neither quotation marks nor anything that would need an escape.
                b"payload" => once(&mut payload, json.unjudged()?),
                _ => json.skip(),
            })
        }
        b"mark" | b"dtmf" | b"start" => None,
        _ => json.skip(),
    })?;
    json.end()?;
    let (payload, ms) = (payload.filter(|payload| !payload.is_empty())?, timestamp?);
    if event? != b"media" || track? != b"inbound" || ms > LONGEST_CALL_MS {
        return None;
    }
    let audio = Audio::within(message, payload).ok()?;
    let at = Duration::from_millis(ms);
    Some(CarrierEvent::Audio { at, audio })
}

fn parse_any(message: &Bytes) -> Result<Frame<'_>, Malformed> {
    let json = match serde_json::from_slice::<Message<'_>>(message) {
        Ok(json) => json,
        // An event we do not know may use the names we know for something else.
        Err(_) if is_unknown_event(message) => return Ok(Frame::Ignored),
        Err(_) => return Err(Malformed("not the JSON of an event")),
    };
    match &*json.event {
        "media" => {
            let media = json.media.ok_or(Malformed("media is missing"))?;
            media.into_frame(message)
        }
        "mark" => {
            let mark = json.mark.ok_or(Malformed("mark is missing"))?;
            Ok(read_mark(&mark.name).map_or(Frame::Ignored, |mark| {
                Frame::Event(CarrierEvent::Played(mark))
            }))
        }
        "dtmf" => {
            let dtmf = json.dtmf.ok_or(Malformed("dtmf is missing"))?;
            Ok(dtmf
                .digit
                .0
                .map_or(Frame::Ignored, |key| Frame::Event(CarrierEvent::Key(key))))
        }
        "connected" => Ok(Frame::Connected),
        "start" => {
            let start = json.start.ok_or(Malformed("start is missing"))?;
            start.into_frame(json.stream_sid)
        }
        "stop" => Ok(Frame::Event(CarrierEvent::Detached)),
        _ => Ok(Frame::Ignored),
    }
}

/// Appends the message that tells stream `stream_sid` to do this: JSON, for one text frame.
pub fn write(to: &ToCarrier, stream_sid: &str, into: &mut BytesMut) {
    let event = match to {
        ToCarrier::Audio(_) => "media",
        ToCarrier::Mark(_) => "mark",
        ToCarrier::Clear => "clear",
    };
    into.put_slice(b"{\"event\":\"");
    into.put_slice(event.as_bytes());
    into.put_slice(b"\",\"streamSid\":\"");
    push_escaped(stream_sid, into);
    into.put_u8(b'"');
    match to {
        ToCarrier::Audio(audio) => {
            into.put_slice(b",\"media\":{\"payload\":\"");
            // Audio has made sure that this is base64, which needs no escaping.
            into.put_slice(audio.base64());
            into.put_slice(b"\"}");
        }
        ToCarrier::Mark(Mark {
            generation,
            sequence,
        }) => {
            // Writing to memory does not fail.
            let _ = write!(into, ",\"mark\":{{\"name\":\"g{generation}-{sequence}\"}}");
        }
        ToCarrier::Clear => {}
    }
    into.put_u8(b'}');
}

/// Reads the name that [`write()`] gives a mark, and no other.
fn read_mark(name: &str) -> Option<Mark> {
    let (generation, sequence) = name.strip_prefix('g')?.split_once('-')?;
    let number = |digits: &str| {
        let plain = digits.bytes().all(|b| b.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        plain.then(|| digits.parse().ok()).flatten()
    };
    Some(Mark {
        generation: number(generation)?,
        sequence: number(sequence)?,
    })
}

/// Appends `text` as the inside of a JSON string.
fn push_escaped(text: &str, into: &mut BytesMut) {
    let (plain, rest) = text.split_at(json::plain_length(text.as_bytes()));
    into.put_slice(plain.as_bytes());
    for c in rest.chars() {
        match c {
            '"' => into.put_slice(br#"\""#),
            '\\' => into.put_slice(br"\\"),
            '\u{0}'..='\u{1F}' => {
                // Writing to memory does not fail.
                let _ = write!(into, "\\u{:04x}", u32::from(c));
            }
            c => into.put_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Whether the message is the JSON of an event that has no meaning here.
fn is_unknown_event(message: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Name<'a> {
        #[serde(borrow)]
        event: Cow<'a, str>,
    }
    const KNOWN: [&str; 6] = ["connected", "start", "media", "dtmf", "mark", "stop"];
    serde_json::from_slice::<Name<'_>>(message).is_ok_and(|name| !KNOWN.contains(&&*name.event))
}

/// Any message, flat: a tagged enum would have to buffer the whole of it before it knew the tag.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default, rename = "streamSid")]
    stream_sid: Cow<'a, str>,
    #[serde(borrow)]
    media: Option<Media<'a>>,
    #[serde(borrow)]
    mark: Option<MarkName<'a>>,
    dtmf: Option<Dtmf>,
    #[serde(borrow)]
    start: Option<Begin<'a>>,
}

#[derive(Deserialize)]
struct Media<'a> {
    #[serde(borrow, default = "inbound")]
    track: Cow<'a, str>,
    #[serde(default)]
    timestamp: Number,
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

fn inbound() -> Cow<'static, str> {
    Cow::Borrowed("inbound")
}

impl Media<'_> {
    fn into_frame(self, message: &Bytes) -> Result<Frame<'_>, Malformed> {
        if self.track != "inbound" || self.payload.is_empty() {
            return Ok(Frame::Ignored);
        }
        let audio = match self.payload {
            Cow::Borrowed(part) => Audio::within(message, part.as_bytes()),
            // Something in it was escaped (`\/` is a way to write a slash), so it was copied.
            Cow::Owned(text) => Audio::from_base64(&text),
        };
        let audio = audio.map_err(|_| Malformed("payload is not base64"))?;
        // Audio without a position, or with an absurd one, counts as from the very start: what is
        // not later than the audio before it leaves no gap that anybody would fill with silence.
        let at = self.timestamp.0.filter(|ms| *ms <= LONGEST_CALL_MS);
        let at = Duration::from_millis(at.unwrap_or(0));
        Ok(Frame::Event(CarrierEvent::Audio { at, audio }))
    }
}

#[derive(Deserialize)]
struct MarkName<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Dtmf {
    digit: Digit,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Begin<'a> {
    #[serde(borrow, default)]
    stream_sid: Cow<'a, str>,
    #[serde(borrow, default)]
    call_sid: Cow<'a, str>,
    #[serde(borrow)]
    custom_parameters: Option<Parameters<'a>>,
    #[serde(borrow)]
    media_format: Option<Format<'a>>,
}

#[derive(Default, Deserialize)]
struct Parameters<'a> {
    call_id: Option<Cow<'a, str>>,
    token: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Format<'a> {
    encoding: Option<Cow<'a, str>>,
    #[serde(default)]
    sample_rate: Number,
    #[serde(default)]
    channels: Number,
}

impl<'a> Begin<'a> {
    fn into_frame(self, outer_stream_sid: Cow<'a, str>) -> Result<Frame<'a>, Malformed> {
        let stream_sid = match self.stream_sid {
            sid if sid.is_empty() => outer_stream_sid,
            sid => sid,
        };
        if stream_sid.is_empty() || self.call_sid.is_empty() {
            return Err(Malformed("start names no stream or no call"));
        }
        let parameters = self.custom_parameters.unwrap_or_default();
        Ok(Frame::Start(Start {
            stream_sid,
            call_sid: self.call_sid,
            call_id: parameters.call_id,
            token: parameters.token,
            is_mu_law: self.media_format.is_none_or(|format| format.is_mu_law()),
        }))
    }
}

impl Format<'_> {
    fn is_mu_law(&self) -> bool {
        self.encoding
            .as_deref()
            .is_none_or(|e| e == "audio/x-mulaw")
            && self.sample_rate.0.is_none_or(|rate| rate == 8_000)
            && self.channels.0.is_none_or(|channels| channels == 1)
    }
}

/// A whole number, which Twilio writes as a string in some places and as a number in others;
/// `None` for what is neither.
#[derive(Default)]
struct Number(Option<u64>);

/// A key of a telephone, as a string or, the ten digits, as a number; `None` for any other.
struct Digit(Option<char>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or a string of one")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(Some(number)))
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<Number, E> {
                Ok(Number(None))
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Number, E> {
                Ok(Number(None))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                Ok(Number(text.parse().ok()))
            }
            fn visit_unit<E: Error>(self) -> Result<Number, E> {
                Ok(Number(None))
            }
        }
        from.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Digit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Digit;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key of a telephone")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Digit, E> {
                let digit = u32::try_from(number).ok();
                Ok(Digit(digit.and_then(|digit| char::from_digit(digit, 10))))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Digit, E> {
                let mut chars = text.chars();
                let key = match (chars.next(), chars.next()) {
                    (Some(key @ ('0'..='9' | 'A'..='D' | '*' | '#')), None) => Some(key),
                    _ => None,
                };
                Ok(Digit(key))
            }
        }
        from.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests;
