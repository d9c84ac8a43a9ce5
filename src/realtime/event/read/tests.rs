use proptest::prelude::*;

use super::*;
use crate::call::bridge::event::Request;
use crate::json::tests::objects;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Every event of the API reference that concerns a call, and what it means to the bridge.
#[expect(clippy::too_many_lines, reason = "a table")]
fn known() -> Vec<(&'static str, Parsed<'static>)> {
    let item = "item_u";
    let event = Parsed::Event;
    vec![
        (
            r#"{"type":"session.created","event_id":"event_1","session":{"id":"sess_1","expires_at":1756324625}}"#,
            Parsed::Ignored,
        ),
        (
            r#"{"type":"session.updated","event_id":"event_2","session":{"id":"sess_1","tools":[{"type":"function"}],"audio":{}}}"#,
            event(ModelEvent::Configured),
        ),
        (
            r#"{"type":"input_audio_buffer.speech_started","audio_start_ms":1000,"item_id":"item_u"}"#,
            event(ModelEvent::SpeechStarted),
        ),
        (
            r#"{"type":"input_audio_buffer.speech_stopped","audio_end_ms":2000,"item_id":"item_u"}"#,
            event(ModelEvent::SpeechStopped),
        ),
        (
            r#"{"type":"input_audio_buffer.committed","previous_item_id":null,"item_id":"item_u"}"#,
            event(ModelEvent::Committed { item }),
        ),
        (
            r#"{"type":"input_audio_buffer.timeout_triggered","audio_start_ms":13216,"audio_end_ms":19232,"item_id":"item_u"}"#,
            Parsed::Ignored,
        ),
        (
            r#"{"type":"conversation.item.added","previous_item_id":null,"item":{"id":"item_u","type":"message","role":"user","status":"completed","content":[{"type":"input_audio","transcript":null}]}}"#,
            Parsed::Ignored,
        ),
        (
            r#"{"type":"conversation.item.done","previous_item_id":null,"item":{"id":"fc_1","type":"function_call","status":"completed","name":"note","call_id":"call_1","arguments":"{}"}}"#,
            Parsed::Ignored,
        ),
        (
            r#"{"type":"conversation.item.truncated","item_id":"item_a","content_index":0,"audio_end_ms":1500}"#,
            Parsed::Ignored,
        ),
        (
            r#"{"type":"conversation.item.input_audio_transcription.delta","item_id":"item_u","content_index":0,"delta":"Hey"}"#,
            Parsed::Ignored,
        ),
        (
            r#"{"type":"conversation.item.input_audio_transcription.completed","item_id":"item_u","content_index":0,"transcript":"Hey","usage":{"type":"tokens","total_tokens":22,"input_tokens":13,"input_token_details":{"text_tokens":0,"audio_tokens":13},"output_tokens":9}}"#,
            event(ModelEvent::CallerWords {
                item,
                text: "Hey".into(),
            }),
        ),
        (
            r#"{"type":"conversation.item.input_audio_transcription.completed","item_id":"item_u","content_index":0,"transcript":"\"Caff\u00e8\"","usage":{"type":"duration","seconds":1.6}}"#,
            event(ModelEvent::CallerWords {
                item,
                text: "\"Caffè\"".into(),
            }),
        ),
        (
            r#"{"type":"conversation.item.input_audio_transcription.failed","item_id":"item_u","content_index":0,"error":{"type":"transcription_error","code":"audio_unintelligible","message":"…"}}"#,
            event(ModelEvent::CallerWordsFailed { item }),
        ),
        (
            r#"{"type":"response.created","event_id":"event_9","response":{"id":"resp_2","status":"in_progress","metadata":{"purpose":"aside"}}}"#,
            event(ModelEvent::AsideStarted { response: "resp_2" }),
        ),
        (
            r#"{"type":"response.created","response":{"id":"resp_3","metadata":{"purpose":7,"x":"y"}}}"#,
            event(ModelEvent::ResponseStarted { response: "resp_3" }),
        ),
        (
            r#"{"type":"response.created","response":{"id":"resp_1","status":"in_progress","output":[],"usage":null}}"#,
            event(ModelEvent::ResponseStarted { response: "resp_1" }),
        ),
        (
            r#"{"type":"response.output_item.added","response_id":"resp_1","output_index":0,"item":{"id":"item_a","type":"message","role":"assistant"}}"#,
            Parsed::Ignored,
        ),
        (
            r#"{"type":"response.output_audio.delta","event_id":"event_9","response_id":"resp_1","item_id":"item_a","output_index":0,"content_index":0,"delta":"f39/","obfuscation":"aBcD"}"#,
            event(ModelEvent::Audio {
                response: "resp_1",
                item: "item_a",
                audio: Audio::from_samples(&[0x7F; 3]),
            }),
        ),
        (
            r#"{"type":"response.output_audio.delta","response_id":"resp_1","item_id":"item_a","delta":""}"#,
            event(ModelEvent::Audio {
                response: "resp_1",
                item: "item_a",
                audio: Audio::from_samples(&[]),
            }),
        ),
        (
            r#"{"type":"response.output_audio.done","response_id":"resp_1","item_id":"item_a","output_index":0,"content_index":0}"#,
            event(ModelEvent::AudioDone { item: "item_a" }),
        ),
        (
            r#"{"type":"response.output_audio_transcript.delta","response_id":"resp_1","item_id":"item_a","output_index":0,"content_index":0,"delta":"Hello, "}"#,
            event(ModelEvent::Words {
                item: "item_a",
                text: "Hello, ".into(),
            }),
        ),
        (
            r#"{"type":"response.output_audio_transcript.done","response_id":"resp_1","item_id":"item_a","output_index":0,"content_index":0,"transcript":"Hello, there."}"#,
            event(ModelEvent::WordsDone {
                item: "item_a",
                text: "Hello, there.".into(),
            }),
        ),
        (
            r#"{"type":"response.function_call_arguments.done","response_id":"resp_1","item_id":"fc_1","output_index":0,"call_id":"call_1","name":"note","arguments":"{\"text\":\"x\"}"}"#,
            Parsed::Ignored,
        ),
        (
            r#"{"type":"response.output_item.done","response_id":"resp_1","output_index":0,"item":{"id":"fc_1","type":"function_call","status":"completed","name":"note","call_id":"call_1","arguments":"{\"text\":\"x\"}"}}"#,
            event(ModelEvent::ToolCall {
                response: "resp_1",
                call: "call_1",
                name: "note",
                arguments: r#"{"text":"x"}"#.into(),
            }),
        ),
        (
            r#"{"type":"response.output_item.done","response_id":"resp_1","output_index":0,"item":{"id":"fc_1","type":"function_call","status":"incomplete","name":"note","call_id":"call_1","arguments":"{\"te"}}"#,
            Parsed::Ignored,
        ),
        (
            r#"{"type":"response.output_item.done","response_id":"resp_1","output_index":0,"item":{"id":"item_a","type":"message","status":"completed","role":"assistant","content":[]}}"#,
            Parsed::Ignored,
        ),
        (
            r#"{"type":"rate_limits.updated","rate_limits":[{"name":"tokens","limit":1,"remaining":0.5}]}"#,
            Parsed::Ignored,
        ),
        (
            r#"{"type":"error","event_id":"event_7","error":{"type":"invalid_request_error","code":"unknown_parameter","message":"Unknown parameter: 'session.x'.","param":null,"event_id":"configure"}}"#,
            event(ModelEvent::Error {
                about: Some(Request::Configure),
                kind: ErrorKind::Harmless,
                message: "Unknown parameter: 'session.x'.".into(),
            }),
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","code":null,"message":"You \"must\"…","param":null,"event_id":null}}"#,
            event(ModelEvent::Error {
                about: None,
                kind: ErrorKind::Harmless,
                message: "You \"must\"…".into(),
            }),
        ),
        (
            r#"{"type":"error","error":"no object at all"}"#,
            event(ModelEvent::Error {
                about: None,
                kind: ErrorKind::Harmless,
                message: "".into(),
            }),
        ),
    ]
}

#[test]
fn every_event_says_what_it_says() {
    for (json, expected) in known() {
        assert_eq!(parse(&bytes(json)), Ok(expected), "{json}");
    }
}

#[test]
fn responses_end_in_their_own_way() {
    let failed = |fatal, message: &'static str| ResponseEnding::Failed {
        fatal,
        message: message.into(),
    };
    let table = [
        (
            r#""status":"completed","status_details":null"#,
            ResponseEnding::Completed,
        ),
        (
            r#""status":"cancelled","status_details":{"type":"cancelled","reason":"turn_detected"}"#,
            ResponseEnding::Cancelled,
        ),
        (
            r#""status":"cancelled","status_details":{"type":"cancelled","reason":"client_cancelled"}"#,
            ResponseEnding::Cancelled,
        ),
        (
            r#""status":"incomplete","status_details":{"type":"incomplete","reason":"content_filter"}"#,
            ResponseEnding::Incomplete,
        ),
        (
            r#""status":"failed","status_details":{"type":"failed","error":{"type":"server_error","code":"rate_limit_exceeded","message":"Slow down."}}"#,
            failed(false, "Slow down."),
        ),
        (
            r#""status":"failed","status_details":null"#,
            failed(false, ""),
        ),
        (
            r#""status":"failed","status_details":"why not""#,
            failed(false, ""),
        ),
        (r#""status":"paused""#, ResponseEnding::Incomplete),
        (r#""output":[]"#, ResponseEnding::Completed),
        (
            r#""status":"completed","usage":"free","metadata":{"a":[1,{"b":null}]}"#,
            ResponseEnding::Completed,
        ),
    ];
    for (fields, ending) in table {
        let message = bytes(&format!(
            r#"{{"type":"response.done","response":{{"id":"resp_9",{fields}}}}}"#
        ));
        let event = ModelEvent::ResponseEnded {
            response: "resp_9",
            ending,
        };
        assert_eq!(parse(&message), Ok(Parsed::Event(event)), "{fields}");
    }
}

#[test]
fn audio_is_shared_with_the_message() {
    let message = bytes(
        r#"{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"////"}"#,
    );
    let Ok(Parsed::Event(ModelEvent::Audio { audio, .. })) = parse(&message) else {
        panic!("no audio");
    };
    assert!(
        message
            .as_ptr_range()
            .contains(&audio.base64().as_ptr_range().start)
    );
}

#[test]
fn audio_with_escapes_is_read_all_the_same() {
    let message = bytes(
        r#"{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"\/\/\/\/"}"#,
    );
    let Ok(Parsed::Event(ModelEvent::Audio { audio, .. })) = parse(&message) else {
        panic!("no audio");
    };
    assert_eq!(audio.decode(), [0xFF; 3]);
}

#[test]
fn what_is_new_is_ignored() {
    for json in [
        r#"{"type":"response.hologram.delta","delta":{"x":[1,2,{"y":null}]},"item_id":7,"transcript":[]}"#,
        r#"{"type":"response.output_text.delta","response_id":"r","item_id":"i","delta":"hi"}"#,
        r#"{"type":"response.content_part.done","item_id":true,"response_id":1.5,"delta":-4}"#,
        r#"{"type":"","session":null}"#,
    ] {
        assert_eq!(parse(&bytes(json)), Ok(Parsed::Ignored), "{json}");
    }
}

#[test]
fn what_lacks_the_needful_is_malformed() {
    let table = [
        ("", Malformed::Json(0)),
        ("nonsense", Malformed::Json(2)),
        (r#"{"event_id":"event_1"}"#, Malformed::Lacks("type")),
        (r#"{"type":["error"]}"#, Malformed::Lacks("type")),
        (
            r#"{"type":"input_audio_buffer.committed","item_id":null}"#,
            Malformed::Lacks("item_id"),
        ),
        (
            r#"{"type":"response.done","response":{}}"#,
            Malformed::Lacks("response.id"),
        ),
        (
            r#"{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"a\"b"}"#,
            Malformed::Audio(NotBase64),
        ),
        (
            r#"{"type":"response.output_audio.delta","response_id":"r","item_id":"i"}"#,
            Malformed::Lacks("delta"),
        ),
    ];
    for (json, expected) in table {
        assert_eq!(parse(&bytes(json)), Err(expected), "{json}");
    }
}

#[test]
fn a_malformed_message_is_not_quoted() {
    let error = parse(&bytes(r#""my card number is 4111""#)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("4111"));
}

#[test]
fn some_errors_end_the_session() {
    for code in [
        "invalid_api_key",
        "insufficient_quota",
        "invalid_model",
        "beta_api_shape_disabled",
        "missing_model",
    ] {
        assert!(is_fatal(code), "{code}");
    }
    for code in [
        "response_cancel_not_active",
        "conversation_already_has_active_response",
        "unknown_parameter",
        "invalid_event",
        "session_expired",
        "",
    ] {
        assert!(!is_fatal(code), "{code}");
    }
}

#[test]
fn an_expired_session_can_be_had_again() {
    let expired = bytes(r#"{"type":"error","error":{"code":"session_expired","message":"over"}}"#);
    let Ok(Parsed::Event(ModelEvent::Error { kind, .. })) = parse(&expired) else {
        panic!("no error");
    };
    assert_eq!(kind, ErrorKind::Expired);
}

#[test]
fn a_message_cut_anywhere_is_no_panic() {
    for (json, _) in known() {
        for end in 0..json.len() {
            let _ = parse(&Bytes::copy_from_slice(&json.as_bytes()[..end]));
        }
    }
}

/// Audio as the API reference has it, and as the service writes it.
const DELTAS: [&str; 2] = [
    r#"{"type":"response.output_audio.delta","response_id":"resp_1","item_id":"item_a","output_index":0,"content_index":0,"delta":"f39/"}"#,
    r#"{"type":"response.output_audio.delta","event_id":"event_9","response_id":"resp_1","item_id":"item_a","output_index":0,"content_index":0,"delta":"f39/f3==","obfuscation":"aBcD"}"#,
];

#[test]
fn audio_as_the_model_writes_it_is_read_the_short_way() {
    for text in DELTAS {
        let message = bytes(text);
        let audio = plain_audio(&message).expect(text);
        assert_eq!(parse_any(&message), Ok(Parsed::Event(audio.clone())));
        assert_eq!(parse(&message), Ok(Parsed::Event(audio)), "{text}");
    }
}

#[test]
fn nothing_else_is_read_the_short_way() {
    for (text, expected) in known() {
        let is_audio = matches!(expected, Parsed::Event(ModelEvent::Audio { .. }));
        assert_eq!(plain_audio(&bytes(text)).is_some(), is_audio, "{text}");
    }
    for (usual, unusual) in [
        ("f39/", "f39"),
        ("f39/", "f39\\/"),
        ("resp_1", "resp\\u005f1"),
        ("resp_1", "räsp"),
        ("\"item_a\"", "7"),
        ("output_index", "item_id"),
        ("output_index", "transcript"),
        ("output_index\":0", "output_index\":null"),
        ("output_index\":0", "output_index\":-1"),
        (":\"", ": \""),
    ] {
        let text = DELTAS[0].replacen(usual, unusual, 1);
        assert_eq!(plain_audio(&bytes(&text)), None, "{text}");
    }
}

/// Audio deltas of all sorts, most of them well.
fn any_delta() -> impl Strategy<Value = Vec<u8>> {
    let usual = [
        r#""type":"response.output_audio.delta""#,
        r#""response_id":"resp_1""#,
        r#""item_id":"item_a""#,
        r#""content_index":0"#,
        r#""delta":"f39/f39/f38=""#,
        r#""obfuscation":"aBcD""#,
    ];
    let odd = &[
        r#""type":"response.output_audio.done""#,
        r#""item_id":7"#,
        r#""transcript":{"a":null}"#,
        r#""transcript":"x""#,
        r#""transcript":"y""#,
        r#""delta":"a\/b=""#,
        r#""new":12"#,
        r#""newer":[1]"#,
    ];
    objects(usual.map(str::to_owned).into(), odd)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_short_way_leads_where_the_long_one_does(message in any_delta()) {
        let message = Bytes::from(message);
        prop_assert_eq!(parse(&message), parse_any(&message));
    }

    #[test]
    fn the_short_way_is_only_for_what_may_go_it(at in 0..DELTAS[0].len(), byte in any::<u8>()) {
        let mut message = DELTAS[0].as_bytes().to_vec();
        message[at] = byte;
        let message = Bytes::from(message);
        prop_assert_eq!(parse(&message), parse_any(&message));
    }
}

proptest! {
    #[test]
    fn garbage_is_no_panic(message in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&Bytes::from(message));
    }

    #[test]
    fn a_damaged_event_is_no_panic(which in 0..20_usize, at in any::<usize>(), byte in any::<u8>()) {
        let mut message = known()[which].0.as_bytes().to_vec();
        let at = at % message.len();
        message[at] = byte;
        let _ = parse(&Bytes::from(message));
    }
}
