//! The one table of settings. Flags, help and the check of the documentation come from it.

use std::sync::LazyLock;

use clap::{Arg, ArgAction, Command};

/// One setting: an environment variable and, unless it is secret, a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// A credential: it has no flag, since other users of a machine can read command
    /// lines, and no error shows its value.
    pub secret: bool,
    /// What counts if it is not set; empty if there is no default.
    pub default: &'static str,
    /// What it does, as a clause for help and documentation.
    pub meaning: &'static str,
}

impl Setting {
    /// The flag without its dashes, such as `phone-port` for `OPENAGENT_PHONE_PORT`; none
    /// for a secret.
    pub fn flag(&self) -> Option<String> {
        if self.secret {
            return None;
        }
        let name = self.name.strip_prefix("OPENAGENT_").unwrap_or(self.name);
        Some(name.to_ascii_lowercase().replace('_', "-"))
    }

    /// The setting of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }
}

const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting {
        name,
        secret: false,
        default,
        meaning,
    }
}

const fn secret(name: &'static str, meaning: &'static str) -> Setting {
    Setting {
        name,
        secret: true,
        default: "",
        meaning,
    }
}

/// Every setting there is, in the order in which help shows them.
pub const SETTINGS: &[Setting] = &[
    plain(
        "TWILIO_ACCOUNT_SID",
        "",
        "Twilio account (AC…); with the auth token and the from-number it enables SMS and calls",
    ),
    secret(
        "TWILIO_AUTH_TOKEN",
        "Twilio auth token; webhooks are verified with it",
    ),
    plain(
        "TWILIO_FROM_NUMBER",
        "",
        "the account's own number in E.164 form, which calls and messages come from",
    ),
    plain(
        "TWILIO_API_KEY",
        "",
        "Twilio API key (SK…), used for requests in place of the auth token",
    ),
    secret("TWILIO_API_SECRET", "the secret of that API key"),
    secret("OPENAI_API_KEY", "OpenAI key; needed to place calls"),
    plain(
        "OPENAGENT_PHONE_PUBLIC_URL",
        "",
        "public base URL that Twilio reaches, https:// (http:// for loopback); needed to place calls",
    ),
    plain(
        "OPENAGENT_PHONE_PORT",
        "0",
        "local port of the webhook server; 0 picks a free one",
    ),
    plain(
        "OPENAGENT_PHONE_BIND",
        "127.0.0.1",
        "local address of the webhook server",
    ),
    plain(
        "OPENAGENT_PHONE_ALLOW_PREFIXES",
        "",
        "comma-separated E.164 prefixes that calls and SMS may go to, such as +39,+1415; empty \
         allows none; a bare +1 is the US and Canada only",
    ),
    plain(
        "OPENAGENT_PHONE_DENY_PREFIXES",
        "",
        "further prefixes that are refused even if allowed",
    ),
    plain(
        "OPENAGENT_PHONE_MAX_DURATION_SECONDS",
        "600",
        "longest call, in seconds",
    ),
    plain(
        "OPENAGENT_PHONE_MAX_DAILY_SECONDS",
        "3600",
        "longest sum of all calls per UTC day, in seconds",
    ),
    plain(
        "OPENAGENT_PHONE_MAX_DAILY_CALLS_PER_NUMBER",
        "10",
        "calls to one number per UTC day, answered or not",
    ),
    plain(
        "OPENAGENT_PHONE_MAX_DAILY_SMS",
        "100",
        "messages per UTC day",
    ),
    plain(
        "OPENAGENT_PHONE_MAX_CONCURRENT_CALLS",
        "10",
        "calls in flight at once",
    ),
    plain("OPENAGENT_PHONE_VOICE", "alloy", "realtime voice"),
    plain(
        "OPENAGENT_PHONE_MODEL",
        "gpt-realtime-2.1",
        "realtime model",
    ),
    plain(
        "OPENAGENT_PHONE_GREETING_WAIT_MS",
        "1000",
        "longest wait for the callee to speak first, in milliseconds; 0 greets at once",
    ),
    plain(
        "OPENAGENT_PHONE_SILENCE_SECONDS",
        "10",
        "silence after which the agent asks whether anybody is there, in seconds",
    ),
    plain(
        "OPENAGENT_PHONE_INTERRUPT_MS",
        "250",
        "the callee must be heard this long to interrupt the agent, in milliseconds, so that an \
         \"mhm\" does not; 0 = the model decides at once",
    ),
    plain(
        "OPENAGENT_PHONE_VAD_THRESHOLD",
        "0.5",
        "how loud is speech, 0 to 1: higher for noisy lines",
    ),
    plain(
        "OPENAGENT_PHONE_VAD_PREFIX_MS",
        "300",
        "audio kept from before speech was noticed, in milliseconds",
    ),
    plain(
        "OPENAGENT_PHONE_VAD_SILENCE_MS",
        "500",
        "silence that ends a turn of the callee, in milliseconds",
    ),
    plain(
        "OPENAGENT_PHONE_ASK_HOST_SECONDS",
        "60",
        "longest wait for the answer to a pending question, in seconds",
    ),
    plain(
        "OPENAGENT_PHONE_HOLD_SECONDS",
        "300",
        "longest time on hold, in seconds",
    ),
    plain(
        "OPENAGENT_PHONE_CONFIRM",
        "never",
        "always: the user is asked before each dial; never: they are not",
    ),
    plain(
        "OPENAGENT_PHONE_MACHINE_DETECTION",
        "detect",
        "detect: find out whether a machine answered; off: do not",
    ),
    plain(
        "OPENAGENT_PHONE_DB",
        "",
        "SQLite file for call history and the daily budget; none keeps both in memory",
    ),
    plain(
        "OPENAGENT_PHONE_RETENTION_DAYS",
        "90",
        "age at which stored calls and messages are erased, in days",
    ),
    plain(
        "OPENAGENT_PHONE_MAX_DAILY_USD",
        "",
        "highest cost of calls and messages per UTC day, in US dollars; none sets no cap",
    ),
    plain(
        "OPENAGENT_PHONE_PRICES",
        "",
        "TOML file that overrides the built-in prices",
    ),
    plain(
        "OPENAGENT_PHONE_METRICS",
        "",
        "address for Prometheus metrics, such as 127.0.0.1:9464; none serves none",
    ),
    secret("TELEGRAM_BOT_TOKEN", "enables the Telegram tools"),
    secret("DISCORD_BOT_TOKEN", "enables the Discord tools"),
    plain(
        "GREEN_API_ID",
        "",
        "Green API instance; with its token it enables the WhatsApp tools",
    ),
    secret("GREEN_API_TOKEN", "the token of that instance"),
    plain(
        "OPENAI_BASE_URL",
        "https://api.openai.com/v1",
        "OpenAI root; the realtime socket is <root>/realtime",
    ),
    plain(
        "TWILIO_API_BASE_URL",
        "https://api.twilio.com",
        "Twilio REST root",
    ),
    plain(
        "TELEGRAM_API_BASE_URL",
        "https://api.telegram.org",
        "Telegram root",
    ),
    plain(
        "DISCORD_API_BASE_URL",
        "https://discord.com/api/v10",
        "Discord root",
    ),
    plain(
        "GREEN_API_BASE_URL",
        "https://api.green-api.com",
        "Green API root",
    ),
    plain("RUST_LOG", "info", "log filter; logs go to stderr"),
];

/// The flags' names. clap wants them for the life of the process.
static FLAGS: LazyLock<Vec<(&'static Setting, String)>> = LazyLock::new(|| {
    SETTINGS
        .iter()
        .filter_map(|setting| Some((setting, setting.flag()?)))
        .collect()
});

/// The command line: `serve` (also without a word), `demo`, `doctor`, `tools`, `--sandbox`, and a
/// flag for every setting that is not secret. Flags may stand before or after the word.
pub fn command() -> Command {
    Command::new("openagent-messaging")
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "Messaging for AI agents over MCP: SMS, Telegram, Discord, WhatsApp, and phone calls in \
             which an AI holds the conversation",
        )
        .after_help(secrets_help())
        .disable_help_subcommand(true)
        .subcommand(Command::new("serve").about(
            "MCP server on stdin and stdout; logs go to stderr. Also what runs without a word",
        ))
        .subcommand(
            Command::new("demo")
                .about("Places one call end to end through the sandbox and prints what happened"),
        )
        .subcommand(
            Command::new("doctor")
                .about("Checks the configuration and the reachability of everything it names"),
        )
        .subcommand(
            Command::new("tools")
                .about("Prints every tool, whatever is configured, as JSON as in MCP's tools/list")
                .arg(
                    Arg::new("markdown")
                        .long("markdown")
                        .action(ArgAction::SetTrue)
                        .help("Print a page for people instead: docs/tools.md"),
                ),
        )
        .arg(
            Arg::new("sandbox")
                .long("sandbox")
                .global(true)
                .action(ArgAction::SetTrue)
                .help(
                    "Use an embedded carrier, model and channel providers: every tool works \
                     without an account, real credentials are ignored, nothing leaves the machine",
                ),
        )
        .args(FLAGS.iter().map(|(setting, flag)| {
            Arg::new(setting.name)
                .long(flag.as_str())
                .value_name(setting.name)
                .global(true)
                .help_heading("Settings (a flag wins over the variable it names)")
                .help(flag_help(setting))
        }))
}

/// What `--help` says about a flag.
fn flag_help(setting: &Setting) -> String {
    if setting.default.is_empty() {
        setting.meaning.to_owned()
    } else {
        format!("{} [default: {}]", setting.meaning, setting.default)
    }
}

/// The settings that have no flag, for the end of `--help`.
fn secrets_help() -> String {
    let mut help = String::from("Secrets are read from the environment only:");
    for setting in SETTINGS.iter().filter(|setting| setting.secret) {
        help.push_str("\n  ");
        help.push_str(setting.name);
        help.push_str(": ");
        help.push_str(setting.meaning);
    }
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn flags_are_named_like_their_variables() {
        let flag = |name| Setting::find(name).unwrap().flag();
        for (name, expected) in [
            ("OPENAGENT_PHONE_PORT", "phone-port"),
            ("TWILIO_ACCOUNT_SID", "twilio-account-sid"),
            ("OPENAI_BASE_URL", "openai-base-url"),
            ("RUST_LOG", "rust-log"),
        ] {
            assert_eq!(flag(name).as_deref(), Some(expected));
        }
        assert_eq!(flag("TWILIO_AUTH_TOKEN"), None);
    }

    #[test]
    fn help_names_every_setting_and_default() {
        let help = command().render_long_help().to_string();
        // Lines are wrapped at the terminal's width.
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for setting in SETTINGS {
            assert!(help.contains(setting.name), "{}", setting.name);
            if !setting.default.is_empty() {
                let default = format!("[default: {}]", setting.default);
                assert!(help.contains(&default), "{}", setting.name);
            }
        }
    }
}
