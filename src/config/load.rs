//! Which setting becomes which field, and what each of them accepts.
//!
//! Everything is read before anything is given up (first the `let`s, then the `?`s), so
//! that all that is wrong gets reported.

use std::time::Duration;

use tracing_subscriber::filter::Targets;
use url::Url;

use super::read::{Reader, Reported, is_word};
use super::{
    ACCOUNT_SETTINGS, Channels, Config, Confirm, KNOWN_VOICES, MachineDetection, OpenAi, Phone,
    PublicUrl, Twilio, Values, endpoint,
};
use crate::phone::E164;

pub(super) fn config(reader: &mut Reader<'_>, values: &Values) -> Result<Config, Reported> {
    let twilio = twilio(reader);
    let openai = openai(reader);
    let phone = phone(reader);
    let channels = channels(reader);
    let log_filter = reader.required("RUST_LOG", |text| match text.parse::<Targets>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("a log filter such as info or warn,openagent_messaging=debug".to_owned()),
    });
    Ok(Config {
        twilio: twilio?,
        openai: openai?,
        phone: phone?,
        channels: channels?,
        log_filter: log_filter?,
        placeholders: values.placeholders().to_vec(),
        unset: ACCOUNT_SETTINGS
            .iter()
            .copied()
            .filter(|name| values.get(name).is_none())
            .collect(),
    })
}

fn twilio(reader: &mut Reader<'_>) -> Result<Option<Twilio>, Reported> {
    let account_sid = reader.optional("TWILIO_ACCOUNT_SID", |text| sid(text, "AC"));
    let auth_token = reader.secret("TWILIO_AUTH_TOKEN");
    let from = reader.optional("TWILIO_FROM_NUMBER", |text| {
        E164::parse(text).map_err(|_| "+ and 7 to 15 digits, such as +14155550123".to_owned())
    });
    let key = reader.optional("TWILIO_API_KEY", |text| sid(text, "SK"));
    let secret = reader.secret("TWILIO_API_SECRET");
    let base_url = base_url(reader, "TWILIO_API_BASE_URL");

    let both = "both or neither";
    let api_key = match (key?, secret?) {
        (Some(key), Some(secret)) => Some((key, secret)),
        (None, None) => None,
        (Some(_), None) => {
            let fault = "it is not set, although TWILIO_API_KEY is";
            return Err(reader.report("TWILIO_API_SECRET", fault, both));
        }
        (None, Some(_)) => {
            let fault = "it is not set, although TWILIO_API_SECRET is";
            return Err(reader.report("TWILIO_API_KEY", fault, both));
        }
    };
    let base_url = base_url?;
    Ok(match (account_sid?, auth_token?, from?) {
        (Some(account_sid), Some(auth_token), Some(from)) => Some(Twilio {
            account_sid,
            auth_token,
            from,
            api_key,
            base_url,
        }),
        _ => None,
    })
}

fn openai(reader: &mut Reader<'_>) -> Result<OpenAi, Reported> {
    let api_key = reader.secret("OPENAI_API_KEY");
    let base_url = base_url(reader, "OPENAI_BASE_URL");
    let model = reader.required("OPENAGENT_PHONE_MODEL", |text| {
        // Deployments and gateways name models freely, as in "vendor/model".
        if text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(text.to_owned())
        } else {
            Err("a model name without spaces, such as gpt-realtime-2.1".to_owned())
        }
    });
    let voice = reader.required("OPENAGENT_PHONE_VOICE", |text| {
        if is_word(text) {
            Ok(text.to_owned())
        } else {
            Err(format!(
                "the name of a voice, such as {}",
                KNOWN_VOICES.join(", ")
            ))
        }
    });
    Ok(OpenAi {
        api_key: api_key?,
        base_url: base_url?,
        model: model?,
        voice: voice?,
    })
}

fn phone(reader: &mut Reader<'_>) -> Result<Phone, Reported> {
    let public_url = reader.optional("OPENAGENT_PHONE_PUBLIC_URL", |text| {
        PublicUrl::parse(text).map_err(|error| error.to_string())
    });
    let port = reader.number("OPENAGENT_PHONE_PORT", 0..=u16::MAX);
    let bind = reader.required("OPENAGENT_PHONE_BIND", |text| {
        text.parse()
            .map_err(|_| "an IP address, such as 127.0.0.1 or ::1".to_owned())
    });
    let allow = reader.prefixes("OPENAGENT_PHONE_ALLOW_PREFIXES");
    let deny = reader.prefixes("OPENAGENT_PHONE_DENY_PREFIXES");
    // Twilio ends a call after four hours at the latest.
    let max_duration = reader.seconds("OPENAGENT_PHONE_MAX_DURATION_SECONDS", 1..=14_400);
    // A thousand calls around the clock: more cannot be used up.
    let max_daily = reader.seconds("OPENAGENT_PHONE_MAX_DAILY_SECONDS", 0..=86_400_000);
    let max_daily_calls_per_number =
        reader.number("OPENAGENT_PHONE_MAX_DAILY_CALLS_PER_NUMBER", 0..=10_000);
    let max_daily_sms = reader.number("OPENAGENT_PHONE_MAX_DAILY_SMS", 0..=1_000_000);
    let max_concurrent = reader.number("OPENAGENT_PHONE_MAX_CONCURRENT_CALLS", 1..=1000);
    let greeting_wait = reader
        .number("OPENAGENT_PHONE_GREETING_WAIT_MS", 0..=30_000)
        .map(Duration::from_millis);
    let silence = reader.seconds("OPENAGENT_PHONE_SILENCE_SECONDS", 1..=600);
    let interrupt_after = reader
        .number("OPENAGENT_PHONE_INTERRUPT_MS", 0..=2_000)
        .map(Duration::from_millis);
    let vad_threshold = reader.number("OPENAGENT_PHONE_VAD_THRESHOLD", 0.0..=1.0);
    let vad_prefix_ms = reader.number("OPENAGENT_PHONE_VAD_PREFIX_MS", 0..=2_000);
    let vad_silence_ms = reader.number("OPENAGENT_PHONE_VAD_SILENCE_MS", 200..=5_000);
    let ask_host = reader.seconds("OPENAGENT_PHONE_ASK_HOST_SECONDS", 1..=600);
    let hold = reader.seconds("OPENAGENT_PHONE_HOLD_SECONDS", 1..=3600);
    let confirm = reader.choice(
        "OPENAGENT_PHONE_CONFIRM",
        [("never", Confirm::Never), ("always", Confirm::Always)],
    );
    let machine_detection = reader.choice(
        "OPENAGENT_PHONE_MACHINE_DETECTION",
        [
            ("detect", MachineDetection::Detect),
            ("off", MachineDetection::Off),
        ],
    );
    let db = reader.path("OPENAGENT_PHONE_DB");
    let retention_days = reader.number("OPENAGENT_PHONE_RETENTION_DAYS", 1..=3650);
    let max_daily_usd = reader.micro_usd("OPENAGENT_PHONE_MAX_DAILY_USD");
    let prices = reader.path("OPENAGENT_PHONE_PRICES");
    let metrics = reader.optional("OPENAGENT_PHONE_METRICS", |text| {
        text.parse()
            .map_err(|_| "an IP address and a port, such as 127.0.0.1:9464".to_owned())
    });
    Ok(Phone {
        public_url: public_url?,
        port: port?,
        bind: bind?,
        allow: allow?,
        deny: deny?,
        admit_unlisted: false,
        max_duration: max_duration?,
        max_daily: max_daily?,
        max_daily_calls_per_number: max_daily_calls_per_number?,
        max_daily_sms: max_daily_sms?,
        max_concurrent: max_concurrent?,
        greeting_wait: greeting_wait?,
        silence: silence?,
        interrupt_after: interrupt_after?,
        vad_threshold: vad_threshold?,
        vad_prefix_ms: vad_prefix_ms?,
        vad_silence_ms: vad_silence_ms?,
        ask_host: ask_host?,
        hold: hold?,
        confirm: confirm?,
        machine_detection: machine_detection?,
        db: db?,
        retention_days: retention_days?,
        max_daily_usd: max_daily_usd?,
        prices: prices?,
        metrics: metrics?,
    })
}

fn channels(reader: &mut Reader<'_>) -> Result<Channels, Reported> {
    let telegram = reader.path_secret("TELEGRAM_BOT_TOKEN");
    let discord = reader.secret("DISCORD_BOT_TOKEN");
    let green_id = reader.optional("GREEN_API_ID", |text| {
        if is_word(text) {
            Ok(text.to_owned())
        } else {
            Err("the instance's number, such as 1101000001".to_owned())
        }
    });
    let green_token = reader.path_secret("GREEN_API_TOKEN");
    let telegram_base_url = base_url(reader, "TELEGRAM_API_BASE_URL");
    let discord_base_url = base_url(reader, "DISCORD_API_BASE_URL");
    let green_base_url = base_url(reader, "GREEN_API_BASE_URL");
    Ok(Channels {
        telegram: telegram?,
        discord: discord?,
        green: green_id?.zip(green_token?),
        telegram_base_url: telegram_base_url?,
        discord_base_url: discord_base_url?,
        green_base_url: green_base_url?,
        web: None,
    })
}

fn base_url(reader: &mut Reader<'_>, name: &'static str) -> Result<Url, Reported> {
    reader.required(name, |text| {
        endpoint::base_url(text).ok_or_else(|| endpoint::BASE_URL.to_owned())
    })
}

/// A Twilio identifier: two letters for its kind, then letters and digits. Twilio has 32
/// hexadecimal ones there, other services that speak its language have what they like.
fn sid(text: &str, kind: &str) -> Result<String, String> {
    let rest = text.strip_prefix(kind).unwrap_or_default();
    if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()) {
        Ok(text.to_owned())
    } else {
        Err(format!("{kind} followed by letters and digits"))
    }
}
