//! Requests to the webhooks: a URL, a body and a claimed signature, one line each, the body last.

use openagent_messaging::config::PublicUrl;
use openagent_messaging::secret::Secret;
use openagent_messaging::twilio::signature::{
    is_valid_body, is_valid_form, is_valid_handshake, sign,
};
use openagent_messaging::twilio::twiml;
use url::form_urlencoded;

const TOKEN: &str = "12345";

pub fn check(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (url, claimed, body) = (part(), part(), part());
    let url = String::from_utf8_lossy(url);
    let claimed = String::from_utf8_lossy(claimed);
    let params: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let (token, other) = (Secret::new(TOKEN), Secret::new("54321"));

    let right = sign(&token, &url, &params);
    assert_eq!(right.len(), 28);
    // The fragment never reaches a server, and is not signed; nor is the case of the scheme kept.
    let plain = !url.contains('#') && !url.contains(|c: char| c.is_ascii_uppercase());
    assert!(
        !plain || is_valid_form(&token, &url, &params, &right),
        "our own signature"
    );
    assert!(
        !is_valid_form(&other, &url, &params, &right),
        "the token does not matter"
    );
    let mut more = params.clone();
    more.push(("CallStatus".into(), "completed\u{0}".into()));
    assert!(
        !is_valid_form(&token, &url, &more, &right),
        "a parameter may be added"
    );
    let mut turned = params.clone();
    turned.reverse();
    assert_eq!(sign(&token, &url, &turned), right, "the order matters");

    // A guess is right only if it is the signature, give or take a port.
    let guessed = is_valid_form(&token, &url, &params, &claimed);
    assert!(!guessed || claimed.len() == 28);
    let bare = sign(&token, &url, &[]);
    if is_valid_body(&token, &url, body, &bare) {
        assert!(url.contains("bodySHA256"), "nothing vouches for the body");
        let longer = [body, b"x"].concat();
        assert!(
            !is_valid_body(&token, &url, &longer, &bare),
            "the body does not matter"
        );
    }
    assert!(!is_valid_handshake(&other, &url, &bare));
    let _ = is_valid_handshake(&token, &url, &claimed);

    if let Ok(public) = PublicUrl::parse(&url) {
        let stream = public.stream();
        assert!(stream.starts_with("ws") && stream.ends_with("/media"));
        assert!(is_valid_handshake(
            &token,
            &stream,
            &sign(&token, &stream, &[])
        ));
        assert!(public.join("twiml/x").ends_with("/twiml/x"));
        assert!(public.as_str().ends_with(public.path_prefix()));
    }

    // Whatever is put into an answer stays where it was put.
    let text = String::from_utf8_lossy(body);
    let answer = twiml::connect(&url, &claimed, &text, &url);
    assert_eq!(answer.matches('<').count(), 11, "{answer}");
    assert_eq!(
        twiml::say_and_hang_up(&text, &claimed).matches('"').count(),
        6
    );
}
