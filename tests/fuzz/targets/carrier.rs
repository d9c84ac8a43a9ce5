//! Messages of a media stream, which anybody on the internet can send.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use openagent_messaging::call::audio::Audio;
use openagent_messaging::call::bridge::event::{CarrierEvent, Mark, ToCarrier};
use openagent_messaging::twilio::frame::{Frame, parse, write};
use serde_json::Value;

pub fn check(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    let Ok(frame) = parse(&message) else { return };
    // What we do not look at may be wrong in ways that only a full reading shows.
    let Ok(json) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    match frame {
        Frame::Start(start) => {
            assert!(!start.stream_sid.is_empty() && !start.call_sid.is_empty());
            let shown = format!("{start:?}");
            let token = start.token.as_deref().unwrap_or_default();
            let others = [&start.stream_sid, &start.call_sid].map(|text| format!("{text:?}"));
            let elsewhere = others.iter().any(|text| text.contains(token))
                || start
                    .call_id
                    .as_ref()
                    .is_some_and(|id| format!("{id:?}").contains(token));
            assert!(
                token.len() < 8 || elsewhere || !shown.contains(token),
                "a token is shown"
            );
            comes_back(&ToCarrier::Clear, &start.stream_sid);
        }
        Frame::Event(CarrierEvent::Audio { at, audio }) => {
            assert!(at <= Duration::from_secs(86_400));
            assert_eq!(
                json["media"]["payload"].as_str().map(str::as_bytes),
                Some(audio.base64()),
                "audio was changed"
            );
            is_sound(&audio);
            comes_back(&ToCarrier::Audio(audio), "MZ");
        }
        Frame::Event(CarrierEvent::Played(mark)) => {
            let name = comes_back(&ToCarrier::Mark(mark), "MZ");
            assert_eq!(name["mark"]["name"], json["mark"]["name"], "{mark:?}");
        }
        Frame::Event(CarrierEvent::Key(key)) => {
            assert!("0123456789ABCD*#".contains(key));
        }
        Frame::Event(event) => assert_eq!(event, CarrierEvent::Detached),
        Frame::Connected | Frame::Ignored => {}
    }
}

/// What flows on is cut and measured without decoding, and must still be what it was.
pub fn is_sound(audio: &Audio) {
    let pieces: Vec<Audio> = audio.pieces(1_600).collect();
    assert!(pieces.iter().all(|piece| piece.samples() <= 1_600));
    let samples: u64 = pieces.iter().map(Audio::samples).sum();
    assert_eq!(samples, audio.samples());
    assert!(audio.loudness() <= 32_124);
}

/// What we write is JSON that says what was meant.
fn comes_back(to: &ToCarrier, stream_sid: &str) -> Value {
    let mut text = BytesMut::new();
    write(to, stream_sid, &mut text);
    let json: Value = serde_json::from_slice(&text).expect("we wrote what is not JSON");
    assert_eq!(json["streamSid"], stream_sid);
    if let ToCarrier::Mark(Mark { .. }) = to {
        let back = text.freeze();
        let Ok(Frame::Event(CarrierEvent::Played(mark))) = parse(&back) else {
            panic!("our own mark is not known: {back:?}");
        };
        assert_eq!(ToCarrier::Mark(mark), *to);
    }
    json
}
