//! Who may speak to the webhooks: cases on which both official libraries of Twilio agree, and
//! garbage.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use openagent_messaging::secret::Secret;
use openagent_messaging::twilio::signature::{
    is_valid_body, is_valid_form, is_valid_handshake, sign,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: u32,
    kind: String,
    url: String,
    params: Vec<(String, String)>,
    body: Option<String>,
    token: String,
    signature: String,
    expected: bool,
    notes: String,
}

const TOKEN: &str = "1f9a0c0de0123456789abcdef0123456";

fn token() -> Secret {
    Secret::new(TOKEN)
}

#[test]
fn agrees_with_the_official_libraries() {
    let file: File = serde_json::from_str(include_str!("data/twilio_signatures.json")).unwrap();
    assert_eq!(file.vectors.len(), 83);
    for v in file.vectors {
        let token = Secret::new(v.token);
        let valid = match v.kind.as_str() {
            "form" | "ws" => is_valid_form(&token, &v.url, &v.params, &v.signature),
            "body" => is_valid_body(&token, &v.url, v.body.unwrap().as_bytes(), &v.signature),
            other => panic!("vector {} is of the unknown kind {other}", v.id),
        };
        assert_eq!(valid, v.expected, "vector {}: {}", v.id, v.notes);
    }
}

#[test]
fn a_handshake_may_be_signed_in_four_forms_and_no_other() {
    let forms = [
        "wss://voice.example.com/base/media",
        "wss://voice.example.com/base/media/",
        "https://voice.example.com/base/media",
        "https://voice.example.com/base/media/",
    ];
    let others = [
        "ws://voice.example.com/base/media",
        "http://voice.example.com/base/media",
        "wss://voice.example.com:443/base/media",
        "wss://voice.example.com:80/base/media",
        "https://voice.example.com:443/base/media",
        "wss://voice.example.com/base/media//",
        "wss://voice.example.com/base/media?x=1",
        "wss://voice.example.com/media",
        "wss://other.example.com/base/media",
        "voice.example.com/base/media",
    ];
    for ours in forms {
        for signed in forms {
            let signature = sign(&token(), signed, &[]);
            assert!(is_valid_handshake(&token(), ours, &signature), "{signed}");
        }
        for signed in others {
            let signature = sign(&token(), signed, &[]);
            assert!(!is_valid_handshake(&token(), ours, &signature), "{signed}");
        }
    }
    let by_another = sign(&Secret::new("another"), forms[0], &[]);
    assert!(!is_valid_handshake(&token(), forms[0], &by_another));
    assert!(!is_valid_handshake(&token(), forms[0], ""));
}

#[test]
fn a_handshake_on_loopback_may_be_signed_as_ws_or_http() {
    let ours = "ws://127.0.0.1:8080/media";
    for signed in ["ws://127.0.0.1:8080/media", "http://127.0.0.1:8080/media/"] {
        assert!(is_valid_handshake(
            &token(),
            ours,
            &sign(&token(), signed, &[])
        ));
    }
    for signed in ["wss://127.0.0.1:8080/media", "ws://127.0.0.1/media"] {
        assert!(!is_valid_handshake(
            &token(),
            ours,
            &sign(&token(), signed, &[])
        ));
    }
}

#[test]
fn the_port_of_an_address_in_brackets_is_found() {
    for (seen, signed) in [
        ("http://[::1]:8080/status/1", "http://[::1]/status/1"),
        ("http://[::1]/status/1", "http://[::1]:80/status/1"),
        ("https://[::1]?x=1", "https://[::1]:443?x=1"),
        (
            "https://user:pass@voice.example.com:8443/t",
            "https://user:pass@voice.example.com/t",
        ),
    ] {
        let signature = sign(&token(), signed, &[]);
        assert!(is_valid_form(&token(), seen, &[], &signature), "{seen}");
    }
}

#[test]
fn a_body_without_a_hash_in_the_url_is_refused() {
    for url in [
        "https://voice.example.com/j",
        "https://voice.example.com/j?x=1",
        "https://voice.example.com/j?bodySHA256=",
        "https://voice.example.com/j?bodysha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "https://voice.example.com/j#?bodySHA256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ] {
        let signature = sign(&token(), url, &[]);
        assert!(!is_valid_body(&token(), url, b"", &signature), "{url}");
    }
}

#[test]
fn odd_urls_and_signatures_are_refused() {
    let urls = [
        "",
        ":",
        "://",
        "https://",
        "https://:",
        "https://@",
        "https://]:",
        "https://]:@[",
        "?",
        "#",
        "https://h:99999999/",
        "\u{0}",
        "é://ü:ß/",
        "https://[::1",
        "::::",
        "//",
    ];
    let signatures = [
        "",
        "=",
        "====",
        "A",
        "é",
        "\u{0}",
        "AAAA",
        "oHm9KIjjZZikVp7g3FQhEUcwOqE",
    ];
    for url in urls {
        for signature in signatures {
            assert!(!is_valid_form(&token(), url, &[], signature));
            assert!(!is_valid_body(&token(), url, b"{}", signature));
            assert!(!is_valid_handshake(&token(), url, signature));
        }
    }
    // Base64 whose unused bits are not zero decodes to the same bytes in lenient decoders.
    let url = "https://voice.example.com/";
    let right = sign(&token(), url, &[]);
    for last in 'A'..='z' {
        let other = format!("{}{last}=", &right[..26]);
        assert_eq!(is_valid_form(&token(), url, &[], &other), other == right);
    }
}

proptest! {
    #[test]
    fn whatever_is_signed_is_valid_in_any_order(
        token in ".{0,80}",
        path in "[a-zA-Z0-9/._~?=&%-]{0,40}",
        mut params in proptest::collection::vec((".{0,8}", ".{0,20}"), 0..8),
    ) {
        let token = Secret::new(token);
        let url = format!("https://voice.example.com/{path}");
        let signature = sign(&token, &url, &params);
        params.reverse();
        if let Some(first) = params.first().cloned() {
            params.push(first);
        }
        prop_assert!(is_valid_form(&token, &url, &params, &signature));
    }

    #[test]
    fn nothing_panics(url in ".{0,60}", signature in ".{0,40}", body in ".{0,20}") {
        prop_assert!(!is_valid_form(&token(), &url, &[(body.clone(), url.clone())], &signature));
        prop_assert!(!is_valid_body(&token(), &url, body.as_bytes(), &signature));
        prop_assert!(!is_valid_handshake(&token(), &url, &signature));
    }
}
