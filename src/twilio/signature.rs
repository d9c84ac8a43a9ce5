//! `X-Twilio-Signature`: the proof that a request comes from Twilio (Twilio, "Webhooks security").
//!
//! The header is the base64 of an HMAC-SHA1, keyed with the account's auth token, over the URL
//! that Twilio was told to call and, for a form, its parameters. The URL is the public one, so the
//! caller passes what it is configured with and never what a proxy made of it.
//!
//! All checks take constant time with respect to the right signature, and none of them panics,
//! whatever it is given.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::secret::Secret;

/// The query parameter that carries the hash of a body which is not a form.
const BODY_HASH: &str = "bodySHA256";

/// The signature of a request to exactly this `url` with these form parameters (decoded, in any
/// order): base64, 28 characters.
///
/// A GET and a WebSocket handshake have no parameters.
pub fn sign(token: &Secret, url: &str, params: &[(String, String)]) -> String {
    // An HMAC key may have any length, so there always is one; a signature that is empty would
    // be the right one for nothing.
    digest(token, url, params)
        .map(|mac| STANDARD.encode(mac.finalize().into_bytes()))
        .unwrap_or_default()
}

/// Whether `signature` is right for a form POST, or with no `params` for a GET, to `url`.
///
/// Twilio has signed some URLs with the port and some without, so both are tried, as its own
/// libraries do. `params` are the decoded pairs, untrimmed, with the empty ones.
pub fn is_valid_form(
    token: &Secret,
    url: &str,
    params: &[(String, String)],
    signature: &str,
) -> bool {
    let mut valid = false;
    for form in with_and_without_port(url) {
        valid |= matches(token, &form, params, signature);
    }
    valid
}

/// Whether `signature` is right for a POST to `url` of a `body` that is not a form.
///
/// Twilio signs the URL alone then, and the URL's query has the hash of the body: lower-case hex
/// in `bodySHA256`, of which the first counts. Without it, nothing vouches for the body.
pub fn is_valid_body(token: &Secret, url: &str, body: &[u8], signature: &str) -> bool {
    let Some(claimed) = body_hash(url) else {
        return false;
    };
    let mut actual = String::with_capacity(64);
    for byte in Sha256::digest(body) {
        // Writing to a String does not fail.
        let _ = write!(actual, "{byte:02x}");
    }
    bool::from(claimed.as_bytes().ct_eq(actual.as_bytes()))
        & is_valid_form(token, url, &[], signature)
}

/// Whether `signature` is right for the handshake of a media stream that was told to connect to
/// `url` (`wss://…`, or `ws://…` on loopback).
///
/// What Twilio signs there differs between its own pages: the `wss` URL or the `https` one, with
/// or without a slash at the end. These four forms are accepted and no other, so not the port
/// variants of [`is_valid_form`].
pub fn is_valid_handshake(token: &Secret, url: &str, signature: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let schemes = match scheme.to_ascii_lowercase().as_str() {
        "wss" | "https" => ["wss", "https"],
        "ws" | "http" => ["ws", "http"],
        _ => return false,
    };
    let (path, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut valid = false;
    for scheme in schemes {
        for slash in ["", "/"] {
            let form = format!("{scheme}://{path}{slash}{query}");
            valid |= matches(token, &form, &[], signature);
        }
    }
    valid
}

/// Whether `signature` is right for exactly this `url`.
fn matches(token: &Secret, url: &str, params: &[(String, String)], signature: &str) -> bool {
    // The engine is strict: padding, alphabet and unused bits must be as an encoder leaves them.
    let Ok(claimed) = STANDARD.decode(signature) else {
        return false;
    };
    digest(token, url, params).is_some_and(|mac| mac.verify_slice(&claimed).is_ok())
}

/// The HMAC over the URL and then name and value of every parameter, sorted bytewise by name and
/// then value; a pair that comes twice counts once.
fn digest(token: &Secret, url: &str, params: &[(String, String)]) -> Option<Hmac<Sha1>> {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.reveal().as_bytes()).ok()?;
    mac.update(url.as_bytes());
    let mut sorted: Vec<(&str, &str)> = params.iter().map(|(n, v)| (&**n, &**v)).collect();
    sorted.sort_unstable();
    sorted.dedup();
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    Some(mac)
}

/// The URL without its fragment and with its scheme in lower case, and the same with a port if it
/// had none (443 for `https`, 80 for anything else, `wss` included, as Twilio's libraries have it)
/// or without if it had one.
///
/// This works on the text, because what was signed is the text: a URL parser would rewrite the
/// host, drop default ports and encode the path. For the same reason user and password stay.
fn with_and_without_port(url: &str) -> Vec<String> {
    let url = url.split('#').next().unwrap_or(url);
    let Some((scheme, rest)) = url.split_once("://") else {
        return vec![url.to_owned()];
    };
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let as_given = format!("{scheme}://{authority}{path}");

    // An IPv6 address has colons of its own, in brackets; a password may have one, before the @.
    let host_starts = authority.rfind('@').map_or(0, |at| at + 1);
    let name_ends = authority
        .rfind(']')
        .map_or(host_starts, |bracket| bracket.max(host_starts));
    let colon = authority[name_ends..].rfind(':').map(|at| name_ends + at);
    let other = match colon {
        Some(colon) => format!("{scheme}://{}{path}", &authority[..colon]),
        None if scheme == "https" => format!("{scheme}://{authority}:443{path}"),
        None => format!("{scheme}://{authority}:80{path}"),
    };
    vec![as_given, other]
}

/// The first `bodySHA256` in the query of `url`.
fn body_hash(url: &str) -> Option<String> {
    let (_, query) = url.split('#').next()?.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == BODY_HASH)
        .map(|(_, value)| value.into_owned())
}
