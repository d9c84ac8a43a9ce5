//! Environment and flags become one validated [`Config`]; secrets stay secret.
//!
//! [`settings`] holds the table of all settings, from which the flags come too; [`Values`]
//! is what was given; reading turns it into types and collects whatever is wrong, so that
//! a first start shows every mistake and not only the first. After that nothing reads the
//! environment any more. No file is opened and no address resolved here.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::phone::{E164, Prefix};
use crate::secret::Secret;

mod endpoint;
mod load;
mod read;
pub mod settings;
mod values;

pub use endpoint::{InvalidPublicUrl, PublicUrl};
pub use read::{ConfigError, Problem};
pub use settings::{SETTINGS, Setting, command};
pub use values::Values;

use read::Reader;

/// The voices that were known when this was written. Others are accepted, since voices
/// are added without notice; `doctor` warns about them.
pub const KNOWN_VOICES: &[&str] = &[
    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar",
];

/// What stands for a real account: never read in the sandbox.
const ACCOUNT_SETTINGS: &[&str] = &[
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_FROM_NUMBER",
    "TWILIO_API_KEY",
    "TWILIO_API_SECRET",
    "OPENAI_API_KEY",
    "OPENAGENT_PHONE_PUBLIC_URL",
    "TELEGRAM_BOT_TOKEN",
    "DISCORD_BOT_TOKEN",
    "GREEN_API_ID",
    "GREEN_API_TOKEN",
    "OPENAI_BASE_URL",
    "TWILIO_API_BASE_URL",
    "TELEGRAM_API_BASE_URL",
    "DISCORD_API_BASE_URL",
    "GREEN_API_BASE_URL",
];

/// The whole configuration. `Debug` shows neither secrets nor full phone numbers.
#[derive(Debug, Clone)]
pub struct Config {
    /// The carrier account; none unless account SID, auth token and from-number are all set.
    pub twilio: Option<Twilio>,
    /// The voice model.
    pub openai: OpenAi,
    /// Calls, their limits and their webhook server.
    pub phone: Phone,
    /// Telegram, Discord and WhatsApp.
    pub channels: Channels,
    /// The log filter: levels, and levels of targets, between commas; known to parse.
    pub log_filter: String,
    /// Settings that arrived as an unexpanded `${NAME}` and therefore count as unset.
    pub placeholders: Vec<&'static str>,
    /// Account settings that are unset, to tell what a tool family lacks.
    unset: Vec<&'static str>,
}

/// A Twilio account.
#[derive(Debug, Clone)]
pub struct Twilio {
    /// The account: `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// Authenticates requests if there is no API key, and verifies webhooks in any case.
    pub auth_token: Secret,
    /// The account's own number.
    pub from: E164,
    /// API key (`SK…`) and its secret, used for requests in place of the auth token.
    pub api_key: Option<(String, Secret)>,
    /// The REST root, possibly with a trailing slash.
    pub base_url: Url,
}

/// The voice model's account and choice.
#[derive(Debug, Clone)]
pub struct OpenAi {
    /// The key; calls cannot be placed without it.
    pub api_key: Option<Secret>,
    /// The API root, possibly with a trailing slash.
    pub base_url: Url,
    /// The realtime model.
    pub model: String,
    /// The realtime voice, possibly none of [`KNOWN_VOICES`].
    pub voice: String,
}

impl OpenAi {
    /// The realtime socket for the configured model: `<base>/realtime?model=<model>`, with
    /// `wss` for `https` and `ws` for `http`.
    pub fn realtime_url(&self) -> Url {
        endpoint::realtime_url(&self.base_url, &self.model)
    }
}

/// Calls and messages: limits, timing, and the webhook server.
#[derive(Debug, Clone)]
pub struct Phone {
    /// Where Twilio reaches the webhook server; calls cannot be placed without it.
    pub public_url: Option<PublicUrl>,
    /// The local port of the webhook server; 0 picks a free one.
    pub port: u16,
    /// The local address of the webhook server.
    pub bind: IpAddr,
    /// What calls and messages may go to. Empty: nothing, but see `admit_unlisted`.
    pub allow: Vec<Prefix>,
    /// What is refused even if allowed.
    pub deny: Vec<Prefix>,
    /// An empty allow-list admits everything: in the sandbox only.
    pub admit_unlisted: bool,
    /// Longest call, 1 s to 4 h.
    pub max_duration: Duration,
    /// Longest sum of all calls per UTC day; zero places none.
    pub max_daily: Duration,
    /// Calls to one number per UTC day; zero places none.
    pub max_daily_calls_per_number: u32,
    /// Messages per UTC day; zero sends none.
    pub max_daily_sms: u32,
    /// Calls in flight at once, 1 to 1000.
    pub max_concurrent: usize,
    /// Longest wait for the callee to speak first, up to 30 s; zero greets at once.
    pub greeting_wait: Duration,
    /// Silence after which the agent asks whether anybody is there, 1 s to 10 min.
    pub silence: Duration,
    /// The callee interrupts the agent after being heard this long; zero: the model decides.
    pub interrupt_after: Duration,
    /// How loud is speech, 0 to 1.
    pub vad_threshold: f64,
    /// Audio kept from before speech was noticed, milliseconds.
    pub vad_prefix_ms: u32,
    /// Silence that ends a turn, milliseconds.
    pub vad_silence_ms: u32,
    /// Longest wait for the host's answer to a question, 1 s to 10 min.
    pub ask_host: Duration,
    /// Longest time on hold, 1 s to 1 h.
    pub hold: Duration,
    /// Whether the user is asked before each dial.
    pub confirm: Confirm,
    /// Whether machines are told from people.
    pub machine_detection: MachineDetection,
    /// The `SQLite` file for history and budget; none keeps both in memory.
    pub db: Option<PathBuf>,
    /// Age at which stored calls and messages are erased, in days, 1 to 3650.
    pub retention_days: u32,
    /// Highest cost of calls and messages per UTC day, in millionths of a US dollar; none
    /// sets no cap, zero allows nothing that costs.
    pub max_daily_usd: Option<u64>,
    /// TOML file that overrides the built-in prices.
    pub prices: Option<PathBuf>,
    /// Where Prometheus metrics are served.
    pub metrics: Option<SocketAddr>,
}

/// Whether the user is asked before each dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// The host's own approval is enough.
    Never,
    /// Ask by MCP elicitation; a client that cannot ask is refused.
    Always,
}

/// Whether Twilio is asked to tell machines from people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineDetection {
    /// Asynchronously, waiting for the end of a machine's greeting.
    Detect,
    /// Not at all.
    Off,
}

/// The messaging channels beside the phone.
#[derive(Debug, Clone)]
pub struct Channels {
    /// Telegram bot token.
    pub telegram: Option<Secret>,
    /// Discord bot token.
    pub discord: Option<Secret>,
    /// Green API (WhatsApp) instance and its token; none unless both are set.
    pub green: Option<(String, Secret)>,
    /// Telegram's root, possibly with a trailing slash.
    pub telegram_base_url: Url,
    /// Discord's root, possibly with a trailing slash.
    pub discord_base_url: Url,
    /// Green API's root, possibly with a trailing slash.
    pub green_base_url: Url,
    /// Asked for files in place of the web, so that nothing leaves the machine: in the sandbox only.
    pub web: Option<Url>,
}

/// What stands in for real accounts in the sandbox. It is validated like any other value.
#[derive(Debug, Clone, Copy)]
pub struct Sandboxed<'a> {
    /// `AC` and 32 hexadecimal digits.
    pub account_sid: &'a str,
    /// Signs the embedded carrier's webhooks.
    pub auth_token: &'a str,
    /// The number calls come from, in E.164 form.
    pub from: &'a str,
    /// The key that the embedded model expects.
    pub openai_key: &'a str,
    /// The embedded carrier's REST root.
    pub twilio_base_url: &'a str,
    /// The embedded model's API root.
    pub openai_base_url: &'a str,
    /// Where the embedded carrier reaches the webhook server, if that is known already.
    pub public_url: Option<&'a str>,
}

impl Config {
    /// Reads and validates everything.
    ///
    /// # Errors
    ///
    /// All settings that cannot be used, each with its value (unless it is secret) and
    /// what would be accepted. Credentials that are missing are no error: the tools that
    /// need them are then not offered.
    pub fn load(values: &Values) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(values);
        let config = load::config(&mut reader, values);
        reader.finish(config)
    }

    /// As [`Config::load`], with embedded providers in place of the real accounts: no
    /// credential and no provider URL of `values` is read, the other settings are. The
    /// messaging channels get no credentials here. An empty allow-list admits every number
    /// that is not refused otherwise.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn for_sandbox(values: &Values, sandboxed: &Sandboxed<'_>) -> Result<Self, ConfigError> {
        let mut values = values.clone();
        for name in ACCOUNT_SETTINGS {
            values.replace(name, None);
        }
        for (name, value) in [
            ("TWILIO_ACCOUNT_SID", sandboxed.account_sid),
            ("TWILIO_AUTH_TOKEN", sandboxed.auth_token),
            ("TWILIO_FROM_NUMBER", sandboxed.from),
            ("OPENAI_API_KEY", sandboxed.openai_key),
            ("TWILIO_API_BASE_URL", sandboxed.twilio_base_url),
            ("OPENAI_BASE_URL", sandboxed.openai_base_url),
        ] {
            values.replace(name, Some(value));
        }
        values.replace("OPENAGENT_PHONE_PUBLIC_URL", sandboxed.public_url);
        let mut config = Self::load(&values)?;
        config.phone.admit_unlisted = config.phone.allow.is_empty();
        Ok(config)
    }

    /// What keeps the `sms_*` and `phone_call_*` tools from being registered.
    pub fn twilio_missing(&self) -> Vec<&'static str> {
        self.unset_among(&[
            "TWILIO_ACCOUNT_SID",
            "TWILIO_AUTH_TOKEN",
            "TWILIO_FROM_NUMBER",
        ])
    }

    /// What keeps the `whatsapp_*` tools from being registered.
    pub fn green_missing(&self) -> Vec<&'static str> {
        self.unset_among(&["GREEN_API_ID", "GREEN_API_TOKEN"])
    }

    /// The settings that calls lack beside the Twilio account.
    pub fn voice_missing_settings(&self) -> Vec<&'static str> {
        // Asked of the values themselves, which the sandbox may fill in later.
        [
            ("OPENAI_API_KEY", self.openai.api_key.is_none()),
            (
                "OPENAGENT_PHONE_PUBLIC_URL",
                self.phone.public_url.is_none(),
            ),
        ]
        .into_iter()
        .filter_map(|(name, missing)| missing.then_some(name))
        .collect()
    }

    fn unset_among(&self, names: &[&'static str]) -> Vec<&'static str> {
        names
            .iter()
            .copied()
            .filter(|name| self.unset.contains(name))
            .collect()
    }
}
