//! The model behind TLS: a certificate that this run makes, and that the program is told to trust as
//! operators would tell it, with `SSL_CERT_FILE`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{CipherSuite, HandshakeKind, ServerConfig};

use crate::Failure;

/// How the model's end is set.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tls {
    /// Only this cipher; else the usual ones, of which AES-256 is the first.
    pub cipher: Option<CipherSuite>,
    /// No tickets, so that no session is resumed.
    pub no_resumption: bool,
    /// The longest record that it writes, bytes of plain text.
    pub record: Option<usize>,
}

static FULL: AtomicU64 = AtomicU64::new(0);
static RESUMED: AtomicU64 = AtomicU64::new(0);

pub fn count(kind: Option<HandshakeKind>) {
    let counter = match kind {
        Some(HandshakeKind::Resumed) => &RESUMED,
        _ => &FULL,
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Handshakes so far: full ones, and resumed ones.
pub fn handshakes() -> (u64, u64) {
    (
        FULL.load(Ordering::Relaxed),
        RESUMED.load(Ordering::Relaxed),
    )
}

/// The name of a cipher on the command line.
pub fn cipher(name: &str) -> Result<CipherSuite, Failure> {
    match name {
        "aes128" => Ok(CipherSuite::TLS13_AES_128_GCM_SHA256),
        "aes256" => Ok(CipherSuite::TLS13_AES_256_GCM_SHA384),
        "chacha20" => Ok(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
        _ => Err("ciphers are aes128, aes256 and chacha20".into()),
    }
}

/// The server's end, and the file with its certificate.
pub fn server(tls: &Tls) -> Result<(TlsAcceptor, PathBuf), Failure> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    let mut provider = aws_lc_rs::default_provider();
    if let Some(only) = tls.cipher {
        provider.cipher_suites.retain(|suite| suite.suite() == only);
    }
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)?;
    if tls.no_resumption {
        config.send_tls13_tickets = 0;
    }
    config.max_fragment_size = tls.record.map(|plain| plain + 5);
    let file = std::env::temp_dir().join(format!(
        "openagent-messaging-load-{}.pem",
        std::process::id()
    ));
    std::fs::write(&file, cert.pem())?;
    Ok((TlsAcceptor::from(Arc::new(config)), file))
}
