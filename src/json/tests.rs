//! What is read here is what `serde_json` reads; the callers' tests compare the same of messages.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Objects of these members in any order, with some of the `odd` ones among them, and of each its text
/// damaged in a few places or in none.
pub(crate) fn objects(
    usual: Vec<String>,
    odd: &'static [&'static str],
) -> impl Strategy<Value = Vec<u8>> {
    let odd = subsequence(odd.to_vec(), 0..=2.min(odd.len()));
    let members = odd.prop_map(move |odd| {
        let odd = odd.into_iter().map(str::to_owned);
        usual.iter().cloned().chain(odd).collect::<Vec<String>>()
    });
    (members.prop_shuffle(), vec(damage(), 0..=2)).prop_map(|(members, damages)| {
        let mut text = format!("{{{}}}", members.join(",")).into_bytes();
        for (at, damage) in damages {
            let at = at % (text.len() + 1);
            match damage {
                Damage::Insert(byte) => text.insert(at, byte),
                Damage::Replace(byte) => *text.get_mut(at).unwrap_or(&mut 0) = byte,
                Damage::End => text.truncate(at),
                Damage::Cut => drop(text.drain(at..text.len().min(at + 1))),
            }
        }
        text
    })
}

#[derive(Clone, Debug)]
enum Damage {
    Insert(u8),
    Replace(u8),
    End,
    Cut,
}

fn damage() -> impl Strategy<Value = (usize, Damage)> {
    let byte = || {
        prop_oneof![
            select(&b"\"\\{}[],:=/ 0159-+.eE\n\x7F\x80\xC3\xA4"[..]),
            any::<u8>()
        ]
    };
    let damage = prop_oneof![
        4 => byte().prop_map(Damage::Insert),
        8 => byte().prop_map(Damage::Replace),
        2 => Just(Damage::Cut),
        1 => Just(Damage::End),
    ];
    (any::<usize>(), damage)
}

/// The names and texts of an object, if it is plain; numbers as they were read.
fn read(message: &[u8]) -> Option<Vec<(String, String)>> {
    let own = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap();
    let mut members = Vec::new();
    let mut json = Plain::new(message);
    json.object(|json, name| {
        let value = match json.rest.first()? {
            b'"' => own(json.text()?),
            b'{' => {
                json.object(|json, _| json.skip())?;
                "object".to_owned()
            }
            _ => json.number()?.to_string(),
        };
        members.push((own(name), value));
        Some(())
    })?;
    json.end()?;
    Some(members)
}

#[test]
fn plain_objects_are_read() {
    let members = read(br#"{"a":"x y/z~","":0,"b":{"c":"1","d":123456789012345},"a":""}"#).unwrap();
    let expected = [("a", "x y/z~"), ("", "0"), ("b", "object"), ("a", "")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(members, expected);
}

#[test]
fn whatever_is_unusual_is_left_to_others() {
    for unusual in [
        "",
        "{",
        "{}",
        "[]",
        "\"a\"",
        " {\"a\":1}",
        "{\"a\":1} ",
        "{\"a\":1}}",
        "{\"a\":1,}",
        "{\"a\": 1}",
        "{\"a\":1 }",
        "{\"a\" :1}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a:1}",
        "{\"a\":\"b}",
        "{a:1}",
        "{\"a\":01}",
        "{\"a\":00}",
        "{\"a\":-1}",
        "{\"a\":1.5}",
        "{\"a\":1e3}",
        "{\"a\":1234567890123456}",
        "{\"a\":null}",
        "{\"a\":true}",
        "{\"a\":[1]}",
        "{\"a\":\"b\\n\"}",
        "{\"a\\u0062\":1}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"ä\"}",
        "{\"a\":1\"b\":2}",
    ] {
        assert_eq!(read(unusual.as_bytes()), None, "{unusual}");
    }
}

#[test]
fn plain_text_ends_before_what_is_not() {
    let is_plain = |b: u8| (b' '..0x80).contains(&b) && b != b'"' && b != b'\\';
    for length in 0..20 {
        for at in 0..length {
            for byte in 0..=u8::MAX {
                // Neighbours that differ from a quotation mark, and from a space, by one.
                for filling in [b'a', b'!', b'#', b' ', 0x7F] {
                    let mut text = vec![filling; length];
                    text[at] = byte;
                    let expected = if is_plain(byte) { length } else { at };
                    assert_eq!(plain_length(&text), expected, "{text:?}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_plain_is_json(
        message in objects(
            [r#""a":"b""#, r#""a":0"#, r#""c":123456"#, r#""longer_name":"and longer text""#]
                .map(str::to_owned)
                .into(),
            &[r#""d":{"e":"f"}"#, r#""g":007"#, r#""h":"\"""#, r#""i": 1"#, r#""j":null"#],
        )
    ) {
        if let Some(members) = read(&message) {
            let json: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(&message).unwrap();
            for (name, value) in &json {
                let last = members.iter().rev().find(|(known, _)| known == name).unwrap();
                let value = match value {
                    serde_json::Value::String(text) => text.clone(),
                    serde_json::Value::Object(_) => "object".to_owned(),
                    other => other.to_string(),
                };
                prop_assert_eq!(&value, &last.1);
            }
        }
    }

    #[test]
    fn plain_text_is_the_longest_there_is(text in vec(any::<u8>(), 0..40)) {
        let is_plain = |b: &&u8| (b' '..0x80).contains(*b) && !matches!(b, b'"' | b'\\');
        prop_assert_eq!(plain_length(&text), text.iter().take_while(is_plain).count());
    }
}
