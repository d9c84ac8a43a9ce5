//! Messages as Twilio writes them, and as it never would.

use super::*;
use crate::json::tests::objects;
use proptest::prelude::*;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Whatever is parsed is put in words, so that it need not outlive its message.
fn outcome(text: &str) -> String {
    match parse(&bytes(text)) {
        Ok(frame) => format!("{frame:?}"),
        Err(Malformed(why)) => format!("malformed: {why}"),
    }
}

fn media(body: &str) -> String {
    format!(r#"{{"event":"media","sequenceNumber":"4","media":{body},"streamSid":"MZ1"}}"#)
}

fn written(to: &ToCarrier, stream_sid: &str) -> String {
    let mut text = BytesMut::new();
    write(to, stream_sid, &mut text);
    String::from_utf8(text.to_vec()).unwrap()
}

const START: &str = r#"{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1",
    "streamSid":"MZ1","callSid":"CA1","tracks":["inbound"],"mediaFormat":{"encoding":
    "audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{"call_id":"7f3c2a",
    "token":"s3cret"}},"streamSid":"MZ1"}"#;

#[test]
fn a_stream_begins() {
    let message = bytes(START);
    let Ok(Frame::Start(start)) = parse(&message) else {
        panic!("not a start");
    };
    assert_eq!(start.stream_sid, "MZ1");
    assert_eq!(start.call_sid, "CA1");
    assert_eq!(start.call_id.as_deref(), Some("7f3c2a"));
    assert_eq!(start.token.as_deref(), Some("s3cret"));
    assert!(start.is_mu_law);
    assert!(!format!("{start:?}").contains("s3cret"));
}

#[test]
fn a_start_may_lack_all_but_the_stream_and_the_call() {
    let bare = r#"{"event":"start","start":{"callSid":"CA1"},"streamSid":"MZ1"}"#;
    assert_eq!(
        parse(&bytes(bare)),
        Ok(Frame::Start(Start {
            stream_sid: "MZ1".into(),
            call_sid: "CA1".into(),
            call_id: None,
            token: None,
            is_mu_law: true,
        }))
    );
    for incomplete in [
        r#"{"event":"start","start":{"callSid":"CA1"}}"#,
        r#"{"event":"start","start":{"streamSid":"MZ1"}}"#,
        r#"{"event":"start","streamSid":"MZ1"}"#,
    ] {
        assert!(parse(&bytes(incomplete)).is_err(), "{incomplete}");
    }
}

#[test]
fn audio_of_another_kind_is_reported() {
    for (from, to, is_mu_law) in [
        ("audio/x-mulaw", "audio/x-alaw", false),
        ("8000", "16000", false),
        ("8000", "\"8000\"", true),
        ("\"channels\":1", "\"channels\":2", false),
        ("\"channels\":1", "\"channels\":\"1\"", true),
    ] {
        let message = bytes(&START.replace(from, to));
        let Ok(Frame::Start(start)) = parse(&message) else {
            panic!("not a start");
        };
        assert_eq!(start.is_mu_law, is_mu_law, "{from} -> {to}");
    }
}

#[test]
fn audio_is_shared_with_its_message() {
    let payload = Audio::from_samples(&[7; 160]);
    let text = std::str::from_utf8(payload.base64()).unwrap();
    let message = bytes(&media(&format!(
        r#"{{"track":"inbound","chunk":"2","timestamp":"40","payload":"{text}"}}"#
    )));
    let Ok(Frame::Event(CarrierEvent::Audio { at, audio })) = parse(&message) else {
        panic!("not audio");
    };
    assert_eq!(at, Duration::from_millis(40));
    assert_eq!(audio, payload);
    assert!(message.as_ptr_range().contains(&audio.base64().as_ptr()));
}

/// A frame as Twilio's own description of the protocol has it, but for its payload.
const MEDIA: &str = r#"{"event":"media","sequenceNumber":"4","media":{"track":"inbound","chunk":"2","timestamp":"5","payload":"//4A"},"streamSid":"MZ18ad3ab5a668481ce02b83e7395059f0"}"#;

#[test]
fn frames_as_twilio_writes_them_are_read_the_short_way() {
    let reordered = r#"{"streamSid":"MZ1","media":{"payload":"//4Afw==","timestamp":"86400000","track":"inbound"},"event":"media","new":7}"#;
    for text in [MEDIA, reordered] {
        let message = bytes(text);
        let frame = plain_media(&message).expect(text);
        assert_eq!(parse_any(&message), Ok(Frame::Event(frame.clone())));
        assert_eq!(parse(&message), Ok(Frame::Event(frame)), "{text}");
    }
}

#[test]
fn frames_that_are_unusual_are_read_the_long_way() {
    for (usual, unusual, expected) in [
        ("inbound", "outbound", "Ignored"),
        ("//4A", "", "Ignored"),
        (
            "\"//4A\"",
            "\"\\/\\/4A\"",
            "Event(Audio { at: 5ms, audio: Audio(3 samples) })",
        ),
        (
            "\"5\"",
            "5",
            "Event(Audio { at: 5ms, audio: Audio(3 samples) })",
        ),
        (
            "\"5\"",
            "\"05\"",
            "Event(Audio { at: 5ms, audio: Audio(3 samples) })",
        ),
        (
            "\"5\"",
            "\"86400001\"",
            "Event(Audio { at: 0ns, audio: Audio(3 samples) })",
        ),
        ("media\"", "medium\"", "Ignored"),
        ("//4A", "//4", "malformed: payload is not base64"),
        (
            "\"4\"",
            "[4]",
            "Event(Audio { at: 5ms, audio: Audio(3 samples) })",
        ),
        (
            "\"chunk\"",
            "\"track\"",
            "malformed: not the JSON of an event",
        ),
        (
            "sequenceNumber",
            "event",
            "malformed: not the JSON of an event",
        ),
        (
            "sequenceNumber",
            "mark",
            "malformed: not the JSON of an event",
        ),
    ] {
        let text = MEDIA.replacen(usual, unusual, 1);
        assert!(plain_media(&bytes(&text)).is_none(), "{text}");
        assert_eq!(outcome(&text), expected, "{text}");
    }
}

/// Media messages of all sorts, most of them well.
fn any_media() -> impl Strategy<Value = Vec<u8>> {
    let odd_inside = &[
        r#""track":"outbound""#,
        r#""timestamp":7"#,
        r#""payload":"a\/b=""#,
        r#""new":{"a":1}"#,
        r#""number":12"#,
    ];
    let inside = [
        r#""track":"inbound""#,
        r#""chunk":"2""#,
        r#""timestamp":"4020""#,
        r#""payload":"f39/f39/f38=""#,
    ];
    let odd = &[
        r#""event":"mark""#,
        r#""mark":{"name":"g0-1"}"#,
        r#""start":7"#,
        r#""streamSid":7"#,
        r#""sequenceNumber":4"#,
        r#""new":{"a":1}"#,
        r#""media":"x""#,
    ];
    objects(inside.map(str::to_owned).into(), odd_inside).prop_flat_map(|media| {
        let media = String::from_utf8_lossy(&media).into_owned();
        let usual = vec![
            r#""event":"media""#.to_owned(),
            r#""sequenceNumber":"4""#.to_owned(),
            format!(r#""media":{media}"#),
            r#""streamSid":"MZ1""#.to_owned(),
        ];
        objects(usual, odd)
    })
}

#[test]
fn every_byte_of_audio_arrives_unchanged() {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    for samples in [&all[..], &all[..255], &all[..254], &[0xFF; 161][..]] {
        let payload = String::from_utf8(Audio::from_samples(samples).base64().to_vec()).unwrap();
        let escaped = payload.replace('/', "\\/");
        for text in [payload, escaped] {
            let message = bytes(&media(&format!(r#"{{"payload":"{text}"}}"#)));
            let Ok(Frame::Event(CarrierEvent::Audio { audio, .. })) = parse(&message) else {
                panic!("not audio: {text}");
            };
            assert_eq!(audio.decode(), samples);
            assert_eq!(audio.samples(), samples.len() as u64);
        }
    }
}

#[test]
fn a_position_is_read_however_it_is_written() {
    for (timestamp, ms) in [
        (r#""5""#, 5),
        ("5", 5),
        (r#""86400000""#, 86_400_000),
        // Not believed, so no gap.
        (r#""86400001""#, 0),
        ("18446744073709551615", 0),
        ("18446744073709551616", 0),
        (r#""99999999999999999999999999""#, 0),
        ("1e300", 0),
        ("-1", 0),
        ("1.5", 0),
        (r#""""#, 0),
        ("null", 0),
    ] {
        let text = media(&format!(r#"{{"timestamp":{timestamp},"payload":"////"}}"#));
        let expected = format!(
            "Event(Audio {{ at: {:?}, audio: Audio(3 samples) }})",
            Duration::from_millis(ms)
        );
        assert_eq!(outcome(&text), expected, "{timestamp}");
    }
    assert_eq!(
        outcome(&media(r#"{"payload":"////"}"#)),
        "Event(Audio { at: 0ns, audio: Audio(3 samples) })"
    );
}

#[test]
fn the_other_track_and_empty_audio_are_ignored() {
    for body in [
        r#"{"track":"outbound","payload":"////"}"#,
        r#"{"track":"both_tracks","payload":"////"}"#,
        r#"{"track":"inbound","payload":""}"#,
    ] {
        assert_eq!(outcome(&media(body)), "Ignored", "{body}");
    }
}

#[test]
fn keys_are_the_sixteen_of_a_telephone() {
    let key = |digit: &str| {
        outcome(&format!(
            r#"{{"event":"dtmf","streamSid":"MZ1","sequenceNumber":"5","dtmf":{{"track":"inbound_track","digit":{digit}}}}}"#
        ))
    };
    for digit in "0123456789ABCD*#".chars() {
        assert_eq!(
            key(&format!("\"{digit}\"")),
            format!("Event(Key({digit:?}))")
        );
    }
    assert_eq!(key("7"), "Event(Key('7'))");
    for other in [
        r#""E""#,
        r#""a""#,
        r#""12""#,
        r#""""#,
        r#""٣""#,
        "10",
        "18446744073709551615",
    ] {
        assert_eq!(key(other), "Ignored", "{other}");
    }
}

#[test]
fn marks_come_back_as_they_were_sent() {
    for mark in [(0, 0), (1, 20), (u32::MAX, u32::MAX)] {
        let mark = Mark {
            generation: mark.0,
            sequence: mark.1,
        };
        let message = bytes(&written(&ToCarrier::Mark(mark), "MZ1"));
        assert_eq!(
            parse(&message),
            Ok(Frame::Event(CarrierEvent::Played(mark)))
        );
    }
    for name in [
        "",
        "x",
        "g",
        "g-",
        "g1",
        "g1-",
        "g-1",
        "g+1-2",
        "g1-+2",
        "g01-2",
        "g1-02",
        "g1-2 ",
        "G1-2",
        "g1-2-3",
        "g4294967296-1",
        "g1-4294967296",
        "g١-٢",
    ] {
        let text = format!(r#"{{"event":"mark","mark":{{"name":"{name}"}}}}"#);
        assert_eq!(outcome(&text), "Ignored", "{name}");
    }
}

#[test]
fn the_ends_of_a_stream_are_seen() {
    assert_eq!(
        outcome(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#),
        "Connected"
    );
    assert_eq!(
        outcome(
            r#"{"event":"stop","sequenceNumber":"5","streamSid":"MZ1","stop":{"accountSid":"AC1","callSid":"CA1"}}"#
        ),
        "Event(Detached)"
    );
}

#[test]
fn what_we_do_not_know_is_ignored() {
    for unknown in [
        r#"{"event":"video"}"#,
        r#"{"event":""}"#,
        r#"{"event":"m\u0065dia2","media":7}"#,
        r#"{"event":"quality","mark":"x","start":[1],"streamSid":{}}"#,
    ] {
        assert_eq!(outcome(unknown), "Ignored", "{unknown}");
    }
    let more = START.replace("\"tracks\"", "\"new\":{\"a\":[1,null]},\"tracks\"");
    assert!(outcome(&more).starts_with("Start("), "{more}");
    assert_eq!(outcome(r#"{"event":"\u0073top"}"#), "Event(Detached)");
}

#[test]
fn garbage_is_malformed() {
    for garbage in [
        "",
        " ",
        "null",
        "[]",
        "{}",
        "7",
        "\"media\"",
        "{\"event\":7}",
        "{\"event\":null}",
        "{\"event\":\"media\"}",
        "{\"event\":\"media\",\"media\":null}",
        "{\"event\":\"media\",\"media\":{}}",
        "{\"event\":\"media\",\"media\":7}",
        "{\"event\":\"mark\"}",
        "{\"event\":\"dtmf\",\"dtmf\":{}}",
        "{\"event\":\"start\"}",
        "{\"event\":\"stop\"} x",
        "{\"event\":\"stop\",\"event\":\"stop\"}",
        "\u{feff}{}",
    ] {
        assert!(parse(&bytes(garbage)).is_err(), "{garbage}");
    }
    assert!(parse(&Bytes::from_static(b"{\"event\":\"\xff\"}")).is_err());
    for payload in ["a", "ab\\\"c", "ab c", "ab-_", "\\u00e9bcd", "====", "\\n"] {
        let text = media(&format!(r#"{{"payload":"{payload}"}}"#));
        assert_eq!(
            outcome(&text),
            "malformed: payload is not base64",
            "{payload}"
        );
    }
    let deep = "[".repeat(100_000);
    assert!(parse(&bytes(&format!("{{\"event\":{deep}"))).is_err());
}

#[test]
fn a_truncated_message_is_malformed() {
    let whole = media(r#"{"track":"inbound","timestamp":"5","payload":"\/\/8A"}"#);
    for end in 0..whole.len() {
        assert!(parse(&bytes(&whole[..end])).is_err(), "{end}");
    }
}

#[test]
fn messages_to_twilio_are_exact() {
    let audio = Audio::from_samples(&[0xFF, 0xFE, 0x00, 0x7F]);
    assert_eq!(
        written(&ToCarrier::Audio(audio), "MZ1"),
        r#"{"event":"media","streamSid":"MZ1","media":{"payload":"//4Afw=="}}"#
    );
    let mark = Mark {
        generation: 3,
        sequence: 17,
    };
    assert_eq!(
        written(&ToCarrier::Mark(mark), "MZ1"),
        r#"{"event":"mark","streamSid":"MZ1","mark":{"name":"g3-17"}}"#
    );
    assert_eq!(
        written(&ToCarrier::Clear, "MZ1"),
        r#"{"event":"clear","streamSid":"MZ1"}"#
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_short_way_leads_where_the_long_one_does(message in any_media()) {
        let message = Bytes::from(message);
        if let Some(frame) = plain_media(&message) {
            prop_assert_eq!(parse_any(&message), Ok(Frame::Event(frame)));
        }
        prop_assert_eq!(parse(&message), parse_any(&message));
    }

    #[test]
    fn the_short_way_is_only_for_what_may_go_it(at in 0..MEDIA.len(), byte in any::<u8>()) {
        let mut message = MEDIA.as_bytes().to_vec();
        message[at] = byte;
        let message = Bytes::from(message);
        prop_assert_eq!(parse(&message), parse_any(&message));
    }
}

proptest! {
    #[test]
    fn any_stream_sid_makes_json(sid in any::<String>()) {
        let text = written(&ToCarrier::Clear, &sid);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(json["streamSid"].as_str(), Some(sid.as_str()));
    }

    #[test]
    fn no_message_panics(message in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&Bytes::from(message));
    }

    #[test]
    fn no_damaged_message_panics(at in 0..300_usize, byte in any::<u8>()) {
        let mut message = START.as_bytes().to_vec();
        let at = at % message.len();
        message[at] = byte;
        let _ = parse(&Bytes::from(message));
    }
}
