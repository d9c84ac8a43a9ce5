//! What the environment and the flags may say, and which numbers may be reached.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::ffi::OsString;
use std::time::Duration;

use openagent_messaging::config::{
    Config, ConfigError, Confirm, KNOWN_VOICES, MachineDetection, SETTINGS, Sandboxed, Setting,
    Values, command,
};
use openagent_messaging::phone::Prefix;

const SID: &str = "AC0123456789abcdef0123456789ABCDEF";
const KEY: &str = "SK0123456789abcdef0123456789abcdef";

fn values(environment: &[(&str, &str)], args: &[&str]) -> Values {
    let args = std::iter::once(&"openagent-messaging").chain(args);
    let flags = command().try_get_matches_from(args).unwrap();
    let lookup = |name: &str| {
        let found = environment.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    Values::new(lookup, &flags)
}

fn load(environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(&values(environment, &[]))
}

mod defaults {
    use super::*;

    /// The contract's table, written out once more on purpose.
    const CONTRACT: &[(&str, &str)] = &[
        ("TWILIO_ACCOUNT_SID", ""),
        ("TWILIO_AUTH_TOKEN", ""),
        ("TWILIO_FROM_NUMBER", ""),
        ("TWILIO_API_KEY", ""),
        ("TWILIO_API_SECRET", ""),
        ("OPENAI_API_KEY", ""),
        ("OPENAGENT_PHONE_PUBLIC_URL", ""),
        ("OPENAGENT_PHONE_PORT", "0"),
        ("OPENAGENT_PHONE_BIND", "127.0.0.1"),
        ("OPENAGENT_PHONE_ALLOW_PREFIXES", ""),
        ("OPENAGENT_PHONE_DENY_PREFIXES", ""),
        ("OPENAGENT_PHONE_MAX_DURATION_SECONDS", "600"),
        ("OPENAGENT_PHONE_MAX_DAILY_SECONDS", "3600"),
        ("OPENAGENT_PHONE_MAX_DAILY_CALLS_PER_NUMBER", "10"),
        ("OPENAGENT_PHONE_MAX_DAILY_SMS", "100"),
        ("OPENAGENT_PHONE_MAX_CONCURRENT_CALLS", "10"),
        ("OPENAGENT_PHONE_VOICE", "alloy"),
        ("OPENAGENT_PHONE_MODEL", "gpt-realtime-2.1"),
        ("OPENAGENT_PHONE_GREETING_WAIT_MS", "1000"),
        ("OPENAGENT_PHONE_SILENCE_SECONDS", "10"),
        ("OPENAGENT_PHONE_INTERRUPT_MS", "250"),
        ("OPENAGENT_PHONE_VAD_THRESHOLD", "0.5"),
        ("OPENAGENT_PHONE_VAD_PREFIX_MS", "300"),
        ("OPENAGENT_PHONE_VAD_SILENCE_MS", "500"),
        ("OPENAGENT_PHONE_ASK_HOST_SECONDS", "60"),
        ("OPENAGENT_PHONE_HOLD_SECONDS", "300"),
        ("OPENAGENT_PHONE_CONFIRM", "never"),
        ("OPENAGENT_PHONE_MACHINE_DETECTION", "detect"),
        ("OPENAGENT_PHONE_DB", ""),
        ("OPENAGENT_PHONE_RETENTION_DAYS", "90"),
        ("OPENAGENT_PHONE_MAX_DAILY_USD", ""),
        ("OPENAGENT_PHONE_PRICES", ""),
        ("OPENAGENT_PHONE_METRICS", ""),
        ("TELEGRAM_BOT_TOKEN", ""),
        ("DISCORD_BOT_TOKEN", ""),
        ("GREEN_API_ID", ""),
        ("GREEN_API_TOKEN", ""),
        ("OPENAI_BASE_URL", "https://api.openai.com/v1"),
        ("TWILIO_API_BASE_URL", "https://api.twilio.com"),
        ("TELEGRAM_API_BASE_URL", "https://api.telegram.org"),
        ("DISCORD_API_BASE_URL", "https://discord.com/api/v10"),
        ("GREEN_API_BASE_URL", "https://api.green-api.com"),
        ("RUST_LOG", "info"),
    ];

    #[test]
    fn the_table_is_the_contracts() {
        let table: Vec<_> = SETTINGS.iter().map(|s| (s.name, s.default)).collect();
        assert_eq!(table, CONTRACT);
        let secrets: Vec<_> = SETTINGS
            .iter()
            .filter(|s| s.secret)
            .map(|s| s.name)
            .collect();
        assert_eq!(
            secrets,
            [
                "TWILIO_AUTH_TOKEN",
                "TWILIO_API_SECRET",
                "OPENAI_API_KEY",
                "TELEGRAM_BOT_TOKEN",
                "DISCORD_BOT_TOKEN",
                "GREEN_API_TOKEN"
            ]
        );
    }

    #[test]
    fn every_setting_has_a_flag_unless_it_is_secret() {
        let command = command();
        for setting in SETTINGS {
            let long = command
                .get_arguments()
                .find(|arg| arg.get_id() == setting.name)
                .map(|arg| arg.get_long().unwrap().to_owned());
            assert_eq!(long, setting.flag(), "{}", setting.name);
            assert_eq!(long.is_none(), setting.secret, "{}", setting.name);
        }
    }

    #[test]
    fn nothing_set_is_a_valid_configuration() {
        let config = load(&[]).unwrap();
        assert!(config.twilio.is_none());
        assert!(config.openai.api_key.is_none());
        assert_eq!(
            config.openai.realtime_url().as_str(),
            "wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1"
        );
        assert_eq!(config.openai.voice, "alloy");
        assert!(KNOWN_VOICES.contains(&"alloy"));
        let phone = config.phone;
        assert!(phone.public_url.is_none());
        assert_eq!(
            (phone.port, phone.bind.to_string().as_str()),
            (0, "127.0.0.1")
        );
        assert!(phone.allow.is_empty() && phone.deny.is_empty() && !phone.admit_unlisted);
        assert_eq!(phone.max_duration, Duration::from_secs(600));
        assert_eq!(phone.max_daily, Duration::from_secs(3600));
        assert_eq!(phone.max_daily_calls_per_number, 10);
        assert_eq!(phone.max_daily_sms, 100);
        assert_eq!(phone.max_concurrent, 10);
        assert_eq!(phone.greeting_wait, Duration::from_secs(1));
        assert_eq!(phone.silence, Duration::from_secs(10));
        assert_eq!(phone.ask_host, Duration::from_secs(60));
        assert_eq!(phone.hold, Duration::from_secs(300));
        assert_eq!(phone.confirm, Confirm::Never);
        assert_eq!(phone.machine_detection, MachineDetection::Detect);
        assert!(phone.db.is_none() && phone.prices.is_none() && phone.metrics.is_none());
        assert_eq!(phone.retention_days, 90);
        assert_eq!(phone.max_daily_usd, None);
        let channels = config.channels;
        assert!(channels.telegram.is_none() && channels.discord.is_none());
        assert!(channels.green.is_none());
        assert_eq!(config.log_filter, "info");
        assert!(config.placeholders.is_empty());
    }
}

mod reading {
    use super::*;

    #[test]
    fn everything_set_arrives() {
        let config = load(&[
            ("TWILIO_ACCOUNT_SID", SID),
            ("TWILIO_AUTH_TOKEN", "auth"),
            ("TWILIO_FROM_NUMBER", "+14155550100"),
            ("TWILIO_API_KEY", KEY),
            ("TWILIO_API_SECRET", "key-secret"),
            ("OPENAI_API_KEY", "sk-test"),
            ("OPENAGENT_PHONE_PUBLIC_URL", "https://calls.example/phone/"),
            ("OPENAGENT_PHONE_PORT", "8080"),
            ("OPENAGENT_PHONE_BIND", "::1"),
            ("OPENAGENT_PHONE_ALLOW_PREFIXES", "+39, +1415,"),
            ("OPENAGENT_PHONE_DENY_PREFIXES", "+39333"),
            ("OPENAGENT_PHONE_MAX_DURATION_SECONDS", "14400"),
            ("OPENAGENT_PHONE_MAX_DAILY_SECONDS", "0"),
            ("OPENAGENT_PHONE_MAX_DAILY_CALLS_PER_NUMBER", "0"),
            ("OPENAGENT_PHONE_MAX_DAILY_SMS", "0"),
            ("OPENAGENT_PHONE_MAX_CONCURRENT_CALLS", "1000"),
            ("OPENAGENT_PHONE_VOICE", "some_new-voice"),
            ("OPENAGENT_PHONE_MODEL", "vendor/model:1"),
            ("OPENAGENT_PHONE_GREETING_WAIT_MS", "0"),
            ("OPENAGENT_PHONE_SILENCE_SECONDS", "3"),
            ("OPENAGENT_PHONE_ASK_HOST_SECONDS", "5"),
            ("OPENAGENT_PHONE_HOLD_SECONDS", "3600"),
            ("OPENAGENT_PHONE_CONFIRM", "always"),
            ("OPENAGENT_PHONE_MACHINE_DETECTION", "off"),
            ("OPENAGENT_PHONE_DB", "/var/lib/calls.db"),
            ("OPENAGENT_PHONE_RETENTION_DAYS", "3650"),
            ("OPENAGENT_PHONE_MAX_DAILY_USD", "2.50"),
            ("OPENAGENT_PHONE_PRICES", "prices.toml"),
            ("OPENAGENT_PHONE_METRICS", "127.0.0.1:9464"),
            ("TELEGRAM_BOT_TOKEN", "123:abc_DEF-9"),
            ("DISCORD_BOT_TOKEN", "MTk4.Nj.x"),
            ("GREEN_API_ID", "1101000001"),
            ("GREEN_API_TOKEN", "green"),
            ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1"),
            ("TWILIO_API_BASE_URL", "http://localhost:9"),
            ("TELEGRAM_API_BASE_URL", "https://telegram.example"),
            ("DISCORD_API_BASE_URL", "https://discord.example/"),
            ("GREEN_API_BASE_URL", "https://green.example/x"),
            ("RUST_LOG", "warn,openagent_messaging=debug"),
        ])
        .unwrap();
        let twilio = config.twilio.as_ref().unwrap();
        assert_eq!(twilio.account_sid, SID);
        assert_eq!(twilio.auth_token.reveal(), "auth");
        assert_eq!(twilio.from.as_str(), "+14155550100");
        let (key, secret) = twilio.api_key.as_ref().unwrap();
        assert_eq!((key.as_str(), secret.reveal()), (KEY, "key-secret"));
        assert_eq!(twilio.base_url.as_str(), "http://localhost:9/");
        assert_eq!(
            config.openai.realtime_url().as_str(),
            "ws://127.0.0.1:9/v1/realtime?model=vendor%2Fmodel%3A1"
        );
        let phone = &config.phone;
        let url = phone.public_url.as_ref().unwrap();
        assert_eq!(url.join("twiml/ID"), "https://calls.example/phone/twiml/ID");
        let allow: Vec<_> = phone.allow.iter().map(Prefix::as_str).collect();
        assert_eq!(allow, ["+39", "+1415"]);
        assert_eq!(phone.max_daily_usd, Some(2_500_000));
        assert_eq!(phone.confirm, Confirm::Always);
        assert_eq!(phone.machine_detection, MachineDetection::Off);
        assert_eq!(config.channels.green.as_ref().unwrap().0, "1101000001");
        assert!(config.twilio_missing().is_empty());
        assert!(config.voice_missing_settings().is_empty());
        assert!(config.green_missing().is_empty());

        let debug = format!("{config:?}");
        for hidden in [
            "auth\"",
            "key-secret",
            "sk-test",
            "abc_DEF",
            "MTk4",
            "green\"",
            "4155550",
        ] {
            assert!(!debug.contains(hidden), "{hidden} in {debug}");
        }
    }

    #[test]
    fn a_flag_wins_over_its_variable() {
        let environment = [
            ("OPENAGENT_PHONE_SILENCE_SECONDS", "20"),
            ("RUST_LOG", "warn"),
        ];
        let args = ["doctor", "--phone-silence-seconds", "30"];
        let config = Config::load(&values(&environment, &args)).unwrap();
        assert_eq!(config.phone.silence, Duration::from_secs(30));
        assert_eq!(config.log_filter, "warn");
    }

    #[test]
    fn a_secret_has_no_flag() {
        let args = ["openagent-messaging", "--openai-api-key", "sk-test"];
        assert!(command().try_get_matches_from(args).is_err());
    }

    #[test]
    fn partial_accounts_are_no_error_and_say_what_they_lack() {
        let config = load(&[("TWILIO_ACCOUNT_SID", SID), ("GREEN_API_TOKEN", "t")]).unwrap();
        assert!(config.twilio.is_none() && config.channels.green.is_none());
        assert_eq!(
            config.twilio_missing(),
            ["TWILIO_AUTH_TOKEN", "TWILIO_FROM_NUMBER"]
        );
        assert_eq!(config.green_missing(), ["GREEN_API_ID"]);
        assert_eq!(
            config.voice_missing_settings(),
            ["OPENAI_API_KEY", "OPENAGENT_PHONE_PUBLIC_URL"]
        );
    }

    #[test]
    fn a_placeholder_is_unset_and_named() {
        let config = load(&[
            ("TWILIO_AUTH_TOKEN", "${TWILIO_AUTH_TOKEN}"),
            ("OPENAGENT_PHONE_PORT", "${PORT}"),
            ("OPENAGENT_PHONE_VOICE", "  "),
        ])
        .unwrap();
        assert_eq!(
            config.placeholders,
            ["TWILIO_AUTH_TOKEN", "OPENAGENT_PHONE_PORT"]
        );
        assert_eq!(config.twilio_missing().len(), 3);
        assert_eq!(config.phone.port, 0);
        assert_eq!(config.openai.voice, "alloy");
    }
}

mod refusing {
    use super::*;

    /// For every setting a value that it must not take.
    const BAD: &[(&str, &str, &str)] = &[
        (
            "TWILIO_ACCOUNT_SID",
            "SK123",
            "AC followed by letters and digits",
        ),
        ("TWILIO_AUTH_TOKEN", "two words", "without spaces"),
        ("TWILIO_FROM_NUMBER", "0039 333", "such as +14155550123"),
        (
            "TWILIO_API_KEY",
            "AC123",
            "SK followed by letters and digits",
        ),
        ("TWILIO_API_SECRET", "two words", "without spaces"),
        ("OPENAI_API_KEY", "two words", "without spaces"),
        ("OPENAGENT_PHONE_PUBLIC_URL", "http://x.example", "https://"),
        ("OPENAGENT_PHONE_PORT", "65536", "from 0 to 65535"),
        ("OPENAGENT_PHONE_BIND", "localhost", "127.0.0.1"),
        ("OPENAGENT_PHONE_ALLOW_PREFIXES", "39", "such as +39"),
        (
            "OPENAGENT_PHONE_DENY_PREFIXES",
            "+1;+39",
            "separated by commas",
        ),
        (
            "OPENAGENT_PHONE_MAX_DURATION_SECONDS",
            "0",
            "from 1 to 14400",
        ),
        ("OPENAGENT_PHONE_MAX_DAILY_SECONDS", "-1", "from 0"),
        (
            "OPENAGENT_PHONE_MAX_DAILY_CALLS_PER_NUMBER",
            "many",
            "from 0",
        ),
        ("OPENAGENT_PHONE_MAX_DAILY_SMS", "1.5", "from 0"),
        (
            "OPENAGENT_PHONE_MAX_CONCURRENT_CALLS",
            "0",
            "from 1 to 1000",
        ),
        ("OPENAGENT_PHONE_VOICE", "two words", "alloy, ash"),
        ("OPENAGENT_PHONE_MODEL", "two words", "gpt-realtime-2.1"),
        (
            "OPENAGENT_PHONE_GREETING_WAIT_MS",
            "30001",
            "from 0 to 30000",
        ),
        ("OPENAGENT_PHONE_SILENCE_SECONDS", "0", "from 1 to 600"),
        ("OPENAGENT_PHONE_INTERRUPT_MS", "2001", "from 0 to 2000"),
        ("OPENAGENT_PHONE_VAD_THRESHOLD", "1.5", "from 0 to 1"),
        ("OPENAGENT_PHONE_VAD_PREFIX_MS", "-1", "from 0 to 2000"),
        ("OPENAGENT_PHONE_VAD_SILENCE_MS", "199", "from 200 to 5000"),
        ("OPENAGENT_PHONE_ASK_HOST_SECONDS", "0", "from 1 to 600"),
        ("OPENAGENT_PHONE_HOLD_SECONDS", "0", "from 1 to 3600"),
        ("OPENAGENT_PHONE_CONFIRM", "Always", "never or always"),
        ("OPENAGENT_PHONE_MACHINE_DETECTION", "on", "detect or off"),
        ("OPENAGENT_PHONE_DB", "~/calls.db", "without ~"),
        ("OPENAGENT_PHONE_RETENTION_DAYS", "0", "from 1 to 3650"),
        ("OPENAGENT_PHONE_MAX_DAILY_USD", "$5", "such as 5 or 2.50"),
        ("OPENAGENT_PHONE_PRICES", "~/prices.toml", "without ~"),
        ("OPENAGENT_PHONE_METRICS", "9464", "127.0.0.1:9464"),
        ("TELEGRAM_BOT_TOKEN", "123/../x", "the token alone"),
        ("DISCORD_BOT_TOKEN", "two words", "without spaces"),
        ("GREEN_API_ID", "1/2", "1101000001"),
        ("GREEN_API_TOKEN", "to/ken", "the token alone"),
        ("OPENAI_BASE_URL", "http://api.example", "https://"),
        ("TWILIO_API_BASE_URL", "api.example", "https://"),
        ("TELEGRAM_API_BASE_URL", "ftp://api.example", "https://"),
        (
            "DISCORD_API_BASE_URL",
            "https://api.example?x",
            "without user",
        ),
        (
            "GREEN_API_BASE_URL",
            "https://u@api.example",
            "without user",
        ),
        (
            "RUST_LOG",
            "info=nonsense=x",
            "warn,openagent_messaging=debug",
        ),
    ];

    #[test]
    fn each_bad_value_is_named_with_what_is_accepted() {
        for (name, value, accepted) in BAD {
            let error = load(&[(*name, *value)]).unwrap_err();
            let [problem] = error.problems() else {
                panic!("{name}: {error}");
            };
            assert_eq!(problem.name, *name);
            assert!(problem.accepted.contains(accepted), "{error}");
            let line = error.to_string();
            assert!(line.starts_with(name) && !line.contains('\n'), "{line}");
            let secret = Setting::find(name).unwrap().secret;
            let shown = value.split(['?', '@']).next().unwrap();
            let shown = if value.contains('@') {
                "https://api.example"
            } else {
                shown
            };
            assert_eq!(line.contains(shown), !secret, "{line}");
            assert!(
                !format!("{error:?}").contains(value) || !secret,
                "{error:?}"
            );
        }
    }

    #[test]
    fn all_of_them_are_told_at_once() {
        let environment: Vec<_> = BAD.iter().map(|(name, value, _)| (*name, *value)).collect();
        let error = load(&environment).unwrap_err();
        let mut named: Vec<_> = error.problems().iter().map(|p| p.name).collect();
        let mut all: Vec<_> = SETTINGS.iter().map(|s| s.name).collect();
        named.sort_unstable();
        named.dedup();
        all.sort_unstable();
        assert_eq!(named, all);
        assert_eq!(error.to_string().lines().count(), error.problems().len());
    }

    #[test]
    fn every_wrong_prefix_is_named() {
        let error = load(&[("OPENAGENT_PHONE_ALLOW_PREFIXES", "+39,*,0044")]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("\"*\"") && text.contains("\"0044\""),
            "{text}"
        );
        assert!(!text.contains("\"+39\""), "{text}");
    }

    #[test]
    fn half_an_api_key_is_an_error() {
        for (given, value, lacking) in [
            ("TWILIO_API_KEY", KEY, "TWILIO_API_SECRET"),
            ("TWILIO_API_SECRET", "key-secret", "TWILIO_API_KEY"),
        ] {
            let error = load(&[(given, value)]).unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with(lacking), "{text}");
            assert!(
                text.contains(given) && text.contains("both or neither"),
                "{text}"
            );
            assert!(!text.contains("key-secret"), "{text}");
        }
    }

    #[test]
    fn a_credential_in_the_wrong_place_is_not_shown() {
        let token = "0123456789abcdef0123456789abcdef";
        for name in [
            "TWILIO_ACCOUNT_SID",
            "TWILIO_FROM_NUMBER",
            "OPENAGENT_PHONE_PORT",
        ] {
            let text = load(&[(name, token)]).unwrap_err().to_string();
            assert!(text.contains("0123…"), "{text}");
            assert!(!text.contains(&token[..8]), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_named() {
        use std::os::unix::ffi::OsStringExt;
        let flags = command()
            .try_get_matches_from(["openagent-messaging"])
            .unwrap();
        let lookup = |name: &str| {
            (name == "OPENAGENT_PHONE_DB").then(|| OsString::from_vec(vec![b'/', 0xff]))
        };
        let error = Config::load(&Values::new(lookup, &flags)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("OPENAGENT_PHONE_DB: ") && text.contains("UTF-8"),
            "{text}"
        );
    }
}

mod sandbox {
    use super::*;

    const EMBEDDED: Sandboxed<'static> = Sandboxed {
        account_sid: "AC00000000000000000000000000000000",
        auth_token: "sandbox-token",
        from: "+15005550006",
        openai_key: "sandbox-key",
        twilio_base_url: "http://127.0.0.1:4001",
        openai_base_url: "http://127.0.0.1:4002/v1",
        public_url: Some("http://127.0.0.1:4003"),
    };

    #[test]
    fn real_accounts_are_not_even_read() {
        let environment = [
            ("TWILIO_ACCOUNT_SID", "not valid"),
            ("TWILIO_AUTH_TOKEN", "real-token"),
            ("TWILIO_API_KEY", KEY),
            ("OPENAI_API_KEY", "real-key"),
            ("OPENAGENT_PHONE_PUBLIC_URL", "https://real.example"),
            ("TELEGRAM_BOT_TOKEN", "real"),
            ("DISCORD_BOT_TOKEN", "real"),
            ("GREEN_API_ID", "real"),
            ("GREEN_API_TOKEN", "real"),
            ("TELEGRAM_API_BASE_URL", "https://real.example"),
            ("OPENAGENT_PHONE_SILENCE_SECONDS", "20"),
        ];
        let config = Config::for_sandbox(&values(&environment, &[]), &EMBEDDED).unwrap();
        let twilio = config.twilio.as_ref().unwrap();
        assert_eq!(twilio.account_sid, EMBEDDED.account_sid);
        assert_eq!(twilio.auth_token.reveal(), "sandbox-token");
        assert!(twilio.api_key.is_none());
        assert_eq!(twilio.base_url.as_str(), "http://127.0.0.1:4001/");
        assert_eq!(
            config.openai.api_key.as_ref().unwrap().reveal(),
            "sandbox-key"
        );
        let url = config.phone.public_url.as_ref().unwrap();
        assert_eq!(url.stream(), "ws://127.0.0.1:4003/media");
        let channels = &config.channels;
        assert!(channels.telegram.is_none() && channels.discord.is_none());
        assert!(channels.green.is_none());
        assert_eq!(
            channels.telegram_base_url.as_str(),
            "https://api.telegram.org/"
        );
        assert_eq!(config.phone.silence, Duration::from_secs(20));
        assert!(config.phone.admit_unlisted);
    }

    #[test]
    fn an_allow_list_counts_there_too_and_so_do_mistakes() {
        let environment = [("OPENAGENT_PHONE_ALLOW_PREFIXES", "+39")];
        let config = Config::for_sandbox(&values(&environment, &[]), &EMBEDDED).unwrap();
        assert!(!config.phone.admit_unlisted);
        let environment = [("OPENAGENT_PHONE_PORT", "x")];
        assert!(Config::for_sandbox(&values(&environment, &[]), &EMBEDDED).is_err());
    }

    #[test]
    fn the_public_url_may_come_later() {
        let later = Sandboxed {
            public_url: None,
            ..EMBEDDED
        };
        let environment = [("OPENAGENT_PHONE_PUBLIC_URL", "https://real.example")];
        let config = Config::for_sandbox(&values(&environment, &[]), &later).unwrap();
        assert_eq!(
            config.voice_missing_settings(),
            ["OPENAGENT_PHONE_PUBLIC_URL"]
        );
    }
}
