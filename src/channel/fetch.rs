//! Fetching a file from the web, in order to send it on: Discord takes no addresses.
//!
//! Whoever makes an agent name a URL would make this machine ask for it. So only `https://` is
//! fetched, and only from addresses of the public internet: every name is looked up here and every
//! redirect checked like the first URL. A proxy is not used, since it would look names up itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Response, header};
use url::{Host, Url, form_urlencoded};

use super::file::{Limit, Progress, fit_name};
use crate::http::{CONNECT_TIMEOUT, is_loopback, reason};

/// Without a byte of the file or of its announcement.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Redirects that are followed.
const REDIRECTS: usize = 5;

/// Why a file could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Not a public address of the web.
    #[error(
        "url leads to {host}, which is not fetched: {why}. Nothing was sent. Give a public https:// URL, or the file as path."
    )]
    Refused {
        /// Where it leads, possibly after redirects.
        host: String,
        /// The rule.
        why: &'static str,
    },
    /// The other side has no file there.
    #[error(
        "The file could not be fetched: {host} answered HTTP {http_status}. Nothing was sent. Check the url; it must work without a login."
    )]
    Status {
        /// Who answered.
        host: String,
        /// What.
        http_status: u16,
    },
    /// The network.
    #[error(
        "The file could not be fetched from {host} ({why}). Nothing was sent. Check the url, then try again."
    )]
    Failed {
        /// Who was asked.
        host: String,
        /// In the words of the network.
        why: String,
    },
}

const NOT_PUBLIC: &str = "it is not an address of the public internet";
const NOT_HTTPS: &str = "only https:// is";

/// Fetches files.
#[derive(Debug)]
pub(super) struct Fetcher {
    http: OnceLock<reqwest::Client>,
    /// The provider is a stand-in on this machine; then files may come from it, too.
    loopback: bool,
    /// Asked in place of the web, in the sandbox.
    web: Option<Url>,
}

/// A file whose announcement has come.
pub(super) struct Fetched {
    response: Response,
    host: String,
    /// Bytes, if the other side said so.
    pub(super) length: Option<u64>,
    /// Its media type, if the other side said so.
    pub(super) mime: Option<String>,
}

impl Fetcher {
    /// A fetcher for the provider at `base_url`; `web` is asked in place of the web.
    pub(super) fn new(base_url: &Url, web: Option<Url>) -> Self {
        Self {
            http: OnceLock::new(),
            loopback: is_loopback(base_url),
            web,
        }
    }

    /// Asks for a file, and checks the size that is announced.
    pub(super) async fn open(
        &self,
        url: &Url,
        limit: Limit,
    ) -> Result<Fetched, super::ChannelError> {
        let response = self.follow(url).await?;
        let host = host(response.url());
        if !response.status().is_success() {
            return Err(FetchError::Status {
                host,
                http_status: response.status().as_u16(),
            }
            .into());
        }
        let length = response.content_length();
        limit.check(|| format!("The file at {host}"), length.unwrap_or_default())?;
        let mime = response.headers().get(header::CONTENT_TYPE);
        let mime = mime.and_then(|mime| mime.to_str().ok()).map(str::to_owned);
        Ok(Fetched {
            response,
            host,
            length,
            mime,
        })
    }

    async fn follow(&self, url: &Url) -> Result<Response, FetchError> {
        let mut url = self.instead(url);
        for _ in 0..=REDIRECTS {
            self.check(&url)?;
            let failed = |error| FetchError::Failed {
                host: host(&url),
                why: reason(error),
            };
            let http = self.http().map_err(failed)?;
            let response = http.get(url.clone()).send().await;
            let response = response.map_err(|error| {
                // The resolver has no other way to say it.
                if is_refused(&error) {
                    let host = host(&url);
                    FetchError::Refused {
                        host,
                        why: NOT_PUBLIC,
                    }
                } else {
                    failed(error)
                }
            })?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let target = response.headers().get(header::LOCATION);
            let target = target.and_then(|target| target.to_str().ok());
            let Some(target) = target.and_then(|target| url.join(target).ok()) else {
                return Ok(response);
            };
            url = target;
        }
        Err(FetchError::Failed {
            host: host(&url),
            why: format!("more than {REDIRECTS} redirects"),
        })
    }

    /// The URL to ask in the sandbox: `<web>/<host>/<path>`.
    fn instead(&self, url: &Url) -> Url {
        let Some(web) = self.web.as_ref().filter(|_| !is_loopback(url)) else {
            return url.clone();
        };
        let mut instead = web.clone();
        if let Ok(mut segments) = instead.path_segments_mut() {
            segments.pop_if_empty().push(&host(url));
            segments.extend(url.path_segments().into_iter().flatten());
        }
        instead
    }

    /// What can be judged without looking a name up.
    fn check(&self, url: &Url) -> Result<(), FetchError> {
        let refused = |why| {
            let host = host(url);
            Err(FetchError::Refused { host, why })
        };
        if self.loopback && is_loopback(url) && matches!(url.scheme(), "http" | "https") {
            return Ok(());
        }
        if url.scheme() != "https" {
            return refused(NOT_HTTPS);
        }
        // Names are judged when they are looked up; addresses are not looked up.
        let public = match url.host() {
            Some(Host::Ipv4(address)) => is_public(address.into()),
            Some(Host::Ipv6(address)) => is_public(address.into()),
            Some(Host::Domain(_)) => true,
            None => false,
        };
        if public { Ok(()) } else { refused(NOT_PUBLIC) }
    }

    fn http(&self) -> reqwest::Result<&reqwest::Client> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("openagent-messaging/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            // A connection that is kept would only be looked up once.
            .pool_max_idle_per_host(0)
            .dns_resolver(PublicOnly {
                loopback: self.loopback,
            })
            .build()?;
        Ok(self.http.get_or_init(|| http))
    }
}

impl Fetched {
    /// The file's bytes, as they come, up to the limit.
    pub(super) fn into_body(self, limit: Limit) -> (reqwest::Body, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        let passing = Passing {
            response: self.response,
            host: self.host,
            limit,
            passed: 0,
            progress: Arc::clone(&progress),
        };
        (reqwest::Body::wrap_stream(passing.stream()), progress)
    }
}

struct Passing {
    response: Response,
    host: String,
    limit: Limit,
    passed: u64,
    progress: Arc<Progress>,
}

impl Passing {
    fn stream(self) -> impl Stream<Item = std::io::Result<Bytes>> {
        stream::try_unfold(self, async |mut passing| {
            let chunk = passing.next().await?;
            Ok(chunk.map(|chunk| (chunk, passing)))
        })
    }

    async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        let chunk = self.response.chunk().await.map_err(|error| {
            self.progress.fail(FetchError::Failed {
                host: self.host.clone(),
                why: reason(error),
            })
        })?;
        let Some(chunk) = chunk else {
            self.progress.finish();
            return Ok(None);
        };
        self.passed += chunk.len() as u64;
        let what = || format!("The file at {}", self.host);
        let checked = self.limit.check(what, self.passed);
        checked.map_err(|error| self.progress.fail(error))?;
        Ok(Some(chunk))
    }
}

/// Where a URL leads, without what could be private in it.
fn host(url: &Url) -> String {
    url.host_str().unwrap_or("nowhere").to_owned()
}

/// The file's name, as far as the URL has one.
pub(super) fn name(url: &Url) -> String {
    let segment = url.path_segments().and_then(|mut all| all.next_back());
    let segment = segment.filter(|segment| !segment.is_empty());
    // The decoder is made for queries, where + is a blank.
    let query = format!("n={}", segment.unwrap_or("file").replace('+', "%2B"));
    let decoded = form_urlencoded::parse(query.as_bytes()).next();
    fit_name(&decoded.map_or_else(|| "file".into(), |(_, name)| name))
}

/// Looks names up and leaves out whatever is not public.
struct PublicOnly {
    loopback: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("{NOT_PUBLIC}")]
struct NotPublic;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let loopback = self.loopback;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let admitted: Vec<SocketAddr> = found
                .filter(|address| {
                    let ip = address.ip();
                    is_public(ip) || loopback && name.as_str() == "localhost" && ip.is_loopback()
                })
                .collect();
            if admitted.is_empty() {
                return Err(NotPublic.into());
            }
            let admitted: Addrs = Box::new(admitted.into_iter());
            Ok(admitted)
        })
    }
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<NotPublic>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether an address is one of the public internet (IANA, "Special-Purpose Address Registry", for
/// both families).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = a == 0
        || a >= 224
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let [a, b, rest @ .., low, lowest] = segments;
    let inner = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        // IPv4 in the clothes of IPv6, and translated (NAT64).
        (0, 0) if rest == [0, 0, 0, 0xffff] => inner(low, lowest),
        (0x64, 0xff9b) if rest == [0; 4] => inner(low, lowest),
        // 6to4 carries an IPv4 address, too.
        (0x2002, high) => inner(high, segments[2]),
        // Protocol assignments and Teredo, documentation.
        (0x2001, 0..=0x1ff | 0xdb8) | (0x3fff, 0..=0xfff) => false,
        // All that is assigned to the public.
        _ => (0x2000..0x4000).contains(&a),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetcher(base: &str) -> Fetcher {
        Fetcher::new(&Url::parse(base).unwrap(), None)
    }

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for (address, public) in [
            ("8.8.8.8", true),
            ("1.1.1.1", true),
            ("100.128.0.1", true),
            ("172.32.0.1", true),
            ("198.20.0.1", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("192.0.0.8", false),
            ("192.0.2.1", false),
            ("198.18.0.1", false),
            ("203.0.113.5", false),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:4700:4700::1111", true),
            ("2a00:1450:4001::1", true),
            ("::1", false),
            ("::", false),
            ("::ffff:8.8.8.8", true),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("64:ff9b::8.8.8.8", true),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b:1::1", false),
            ("2002:7f00:1::", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("fe80::1", false),
            ("fc00::1", false),
            ("fd12:3456::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
            ("::127.0.0.1", false),
        ] {
            let parsed: IpAddr = address.parse().unwrap();
            assert_eq!(is_public(parsed), public, "{address}");
        }
    }

    #[tokio::test]
    async fn what_is_not_public_is_not_asked() {
        let real = fetcher("https://discord.com/api/v10");
        for url in [
            "http://93.184.215.14/a.png",
            "https://127.0.0.1/a.png",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/a.png",
            "https://[::ffff:10.0.0.1]/a.png",
            "https://2130706433/a.png",
            "https://0x7f.1/a.png",
            "https://localhost/a.png",
            "ftp://example.com/a.png",
        ] {
            let error = real.follow(&Url::parse(url).unwrap()).await.unwrap_err();
            assert!(
                matches!(error, FetchError::Refused { .. }),
                "{url}: {error}"
            );
        }
        // A stand-in on this machine opens this machine, and nothing else.
        let test = fetcher("http://127.0.0.1:1");
        for url in [
            "http://10.0.0.1/a",
            "https://192.168.1.1/a",
            "http://8.8.8.8/a",
        ] {
            let error = test.follow(&Url::parse(url).unwrap()).await.unwrap_err();
            assert!(
                matches!(error, FetchError::Refused { .. }),
                "{url}: {error}"
            );
        }
    }

    #[test]
    fn a_file_is_named_by_its_url() {
        for (url, expected) in [
            ("https://example.com/a/b%20c+d.pdf?x=1#y", "b c+d.pdf"),
            ("https://example.com/", "file"),
            ("https://example.com", "file"),
            ("https://example.com/%2e%2e%2fetc", ".._etc"),
        ] {
            assert_eq!(name(&Url::parse(url).unwrap()), expected);
        }
    }

    #[test]
    fn in_the_sandbox_another_web_is_asked() {
        let base = Url::parse("http://127.0.0.1:9/").unwrap();
        let web = Url::parse("http://127.0.0.1:9/web").unwrap();
        let fetcher = Fetcher::new(&base, Some(web));
        let asked = |url: &str| fetcher.instead(&Url::parse(url).unwrap()).to_string();
        assert_eq!(
            asked("https://example.com/a/b.png?c"),
            "http://127.0.0.1:9/web/example.com/a/b.png"
        );
        assert_eq!(asked("http://127.0.0.1:8/a"), "http://127.0.0.1:8/a");
    }
}
