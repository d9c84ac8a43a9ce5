//! The two kinds of URL in the configuration: where we call, and where we are called.

use url::{Host, Url};

/// What [`base_url`] accepts, for errors.
pub(super) const BASE_URL: &str = "an https:// URL without user, query or fragment (http:// only \
                                   for a loopback host such as 127.0.0.1: keys would travel in \
                                   clear)";

/// The public base URL that Twilio reaches us at.
///
/// Kept as it was written, trailing slashes aside: Twilio signs requests over the URL it
/// was given, so that a default port taken away or a host name lower-cased would make
/// every signature wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

/// A public URL that would not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an https:// URL as Twilio reaches it, such as https://calls.example.com/phone (http:// only \
     for a loopback host); here {0}"
)]
pub struct InvalidPublicUrl(&'static str);

impl PublicUrl {
    /// Reads a base URL: `https`, or `http` on a loopback host; a path prefix is kept.
    ///
    /// # Errors
    ///
    /// Another scheme, credentials, a query, a fragment, a host name with an underscore
    /// (Twilio refuses to call back there), or anything that a URL parser would rewrite.
    pub fn parse(text: &str) -> Result<Self, InvalidPublicUrl> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or(InvalidPublicUrl("it does not begin with https://"))?;
        if rest.contains(['?', '#']) {
            return Err(InvalidPublicUrl("it has a query or a fragment"));
        }
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(InvalidPublicUrl("it has a user name"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an IPv6 address stand before its bracket.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        if host.contains('_') {
            return Err(InvalidPublicUrl(
                "the host name has an underscore, which Twilio refuses",
            ));
        }
        let url = Url::parse(text).map_err(|_| InvalidPublicUrl("it is not a valid URL"))?;
        let same_host = url.host_str().is_some_and(|h| h.eq_ignore_ascii_case(host));
        let path = path.trim_end_matches('/');
        if !same_host || port == Some("") || url.path().trim_end_matches('/') != path {
            return Err(InvalidPublicUrl(
                "it is not in the plain form that Twilio would sign: no spaces, no \"..\", \
                 non-ASCII host names as xn--…",
            ));
        }
        // Others mean something to the router, or to a tunnel.
        let plain = |c: char| c.is_ascii_alphanumeric() || "._~-/".contains(c);
        if !path.chars().all(plain) {
            return Err(InvalidPublicUrl(
                "its path may have letters, digits and ._~- only",
            ));
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(InvalidPublicUrl("http:// names a host beyond this machine"));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// The URL as configured, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL of a route, such as `https://x/p/twiml/ID` for `twiml/ID` or `/twiml/ID`.
    pub fn join(&self, path: &str) -> String {
        format!("{}/{}", self.0, path.trim_start_matches('/'))
    }

    /// The path under which everything stands, such as `/p`; empty if there is none.
    pub fn path_prefix(&self) -> &str {
        let authority = self.0.find("://").map_or(0, |at| at + 3);
        self.0[authority..]
            .find('/')
            .map_or("", |slash| &self.0[authority + slash..])
    }

    /// The URL of the media stream: `wss://…/media`, or `ws://…/media` behind `http`.
    pub fn stream(&self) -> String {
        // "https" and "http" differ where "wss" and "ws" do.
        let rest = self.0.strip_prefix("http").unwrap_or(&self.0);
        format!("ws{rest}/media")
    }
}

/// Reads the root of an API. Requests to it carry keys, hence no plain `http` beyond this
/// machine.
pub(super) fn base_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let safe = match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(&url),
        _ => false,
    };
    (bare && safe).then_some(url)
}

/// The socket of a realtime model behind an API root: `https` becomes `wss`, `http` `ws`.
pub(super) fn realtime_url(base: &Url, model: &str) -> Url {
    let mut url = base.clone();
    let scheme = if base.scheme() == "http" { "ws" } else { "wss" };
    // Among the web's own schemes a change is always possible.
    let _always_ok = url.set_scheme(scheme);
    let path = format!("{}/realtime", base.path().trim_end_matches('/'));
    url.set_path(&path);
    url.query_pairs_mut().clear().append_pair("model", model);
    url
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_kept_as_written() {
        for (text, join, stream) in [
            (
                "https://x.example",
                "https://x.example/a/b",
                "wss://x.example/media",
            ),
            (
                "https://x.example/",
                "https://x.example/a/b",
                "wss://x.example/media",
            ),
            (
                "https://x.example/p/",
                "https://x.example/p/a/b",
                "wss://x.example/p/media",
            ),
            (
                "https://x.example/p//",
                "https://x.example/p/a/b",
                "wss://x.example/p/media",
            ),
            (
                "https://X.Example:443",
                "https://X.Example:443/a/b",
                "wss://X.Example:443/media",
            ),
            (
                "https://x.example:8443/p",
                "https://x.example:8443/p/a/b",
                "wss://x.example:8443/p/media",
            ),
            (
                "http://127.0.0.1:80",
                "http://127.0.0.1:80/a/b",
                "ws://127.0.0.1:80/media",
            ),
            (
                "http://localhost:3000/p",
                "http://localhost:3000/p/a/b",
                "ws://localhost:3000/p/media",
            ),
            (
                "http://[::1]:3000",
                "http://[::1]:3000/a/b",
                "ws://[::1]:3000/media",
            ),
            (
                "https://http.example",
                "https://http.example/a/b",
                "wss://http.example/media",
            ),
        ] {
            let url = PublicUrl::parse(text).unwrap();
            assert_eq!(url.as_str(), text.trim_end_matches('/'));
            assert_eq!(url.join("a/b"), join);
            assert_eq!(url.join("/a/b"), join);
            assert_eq!(url.stream(), stream);
        }
    }

    #[test]
    fn a_public_url_that_would_not_work_is_refused_with_its_reason() {
        for (text, why) in [
            ("x.example", "does not begin with https://"),
            ("wss://x.example", "does not begin with https://"),
            ("HTTPS://x.example", "does not begin with https://"),
            ("https://", "not a valid URL"),
            ("https:///p", "plain form"),
            ("https://x.example?a=b", "query"),
            ("https://x.example/p?", "query"),
            ("https://x.example/#f", "query or a fragment"),
            ("https://u:p@x.example", "user name"),
            ("https://@x.example", "user name"),
            ("https://my_host.example", "underscore"),
            ("http://x.example", "beyond this machine"),
            ("http://192.168.1.2:3000", "beyond this machine"),
            ("http://127.0.0.1.example", "beyond this machine"),
            ("http://localhost.example", "beyond this machine"),
            ("https://x.example:", "plain form"),
            ("https://x.example:70000", "not a valid URL"),
            ("https://x.example:port", "not a valid URL"),
            ("https://x.example/a/../b", "plain form"),
            ("https://x.example/a b", "plain form"),
            ("https://x.example\\p", "plain form"),
            ("https://ex ample", "not a valid URL"),
            ("https://bücher.example", "plain form"),
            ("http://0x7f.1", "plain form"),
        ] {
            let error = PublicUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn an_api_root_is_https_or_on_this_machine() {
        for good in [
            "https://api.example/v1",
            "https://api.example/v1/",
            "http://127.0.0.1:9/v1",
            "http://127.8.9.10",
            "http://localhost:9",
            "http://[::1]:9",
        ] {
            assert!(base_url(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "api.example",
            "http://api.example",
            "http://localhost.example",
            "http://0.0.0.0:9",
            "http://10.0.0.1",
            "ws://127.0.0.1",
            "file:///etc",
            "https://",
            "https://u@api.example",
            "https://:p@api.example",
            "https://api.example?x=y",
            "https://api.example#f",
        ] {
            assert!(base_url(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_realtime_socket_stands_under_the_root() {
        for (base, model, expected) in [
            (
                "https://api.example/v1",
                "m",
                "wss://api.example/v1/realtime?model=m",
            ),
            (
                "https://api.example/v1/",
                "m",
                "wss://api.example/v1/realtime?model=m",
            ),
            (
                "http://127.0.0.1:9",
                "m",
                "ws://127.0.0.1:9/realtime?model=m",
            ),
            (
                "https://api.example",
                "a/b&c",
                "wss://api.example/realtime?model=a%2Fb%26c",
            ),
        ] {
            let url = realtime_url(&base_url(base).unwrap(), model);
            assert_eq!(url.as_str(), expected);
        }
    }
}
