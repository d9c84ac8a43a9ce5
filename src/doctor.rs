//! `doctor`: checks the configuration and everything it names, one line each.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::app::{App, client};
use crate::channel::whatsapp::state_hint;
use crate::channel::{ChannelError, Channels};
use crate::config::{Config, KNOWN_VOICES, OpenAi, Phone, PublicUrl};
use crate::cost::check;
use crate::realtime::event::{self, Parsed};
use crate::realtime::socket::{self, ModelMessage};
use crate::secret::Secret;
use crate::server;
use crate::store::{Place, Store};

/// For each thing that is reached out to.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a host that names it surely wants to work.
const NEEDED: &[&str] = &[
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_FROM_NUMBER",
    "OPENAI_API_KEY",
    "OPENAGENT_PHONE_PUBLIC_URL",
];

/// What a check came to.
enum Finding {
    Good(String),
    /// Works, but the user should know.
    Mind(String),
    /// Needed, and missing or broken.
    Bad(String),
    /// Not set up, and not needed.
    Off(String),
}

/// Writes the findings to `out`; returns whether nothing needed is missing.
///
/// # Errors
///
/// None; the signature is that of the other commands.
pub async fn run(config: Config, out: &mut impl Write) -> Result<bool, String> {
    let mut healthy = true;
    let mut note = |finding: Finding| {
        let (mark, text) = match &finding {
            Finding::Good(text) => ("ok  ", text),
            Finding::Mind(text) => ("note", text),
            Finding::Bad(text) => ("BAD ", text),
            Finding::Off(text) => ("off ", text),
        };
        healthy &= !matches!(finding, Finding::Bad(_));
        let _ = writeln!(out, "{mark}  {text}");
    };
    note(Finding::Good(
        "configuration: every value that is set can be used".into(),
    ));
    for name in &config.placeholders {
        let text = format!(
            "{name}: arrived as an unexpanded placeholder; define it where the host is started"
        );
        note(if NEEDED.contains(name) {
            Finding::Bad(text)
        } else {
            Finding::Mind(text)
        });
    }
    for finding in phone(&config).await {
        note(finding);
    }
    note(store(&config).await);
    for finding in channels(&config).await {
        note(finding);
    }
    Ok(healthy)
}

/// Opens the history as the server would.
async fn store(config: &Config) -> Finding {
    let Some(file) = &config.phone.db else {
        let why = "store: calls and limits are kept in memory (OPENAGENT_PHONE_DB)";
        return Finding::Off(why.into());
    };
    match Store::new(Place::File(file.clone())).open().await {
        Ok(()) => Finding::Good(format!("store: {} can be used", file.display())),
        Err(error) => Finding::Bad(format!("store: {error}")),
    }
}

/// The price file, and prices that are missing: without a cap, only the costs are not shown.
fn prices(config: &Config) -> Vec<Finding> {
    let prices = match App::prices(config) {
        Ok(prices) => prices,
        Err(error) => return vec![Finding::Bad(format!("prices: {error}"))],
    };
    let finding = match config.phone.max_daily_usd {
        Some(_) => Finding::Bad,
        None => Finding::Mind,
    };
    let gaps = check::gaps(config, &prices).into_iter();
    gaps.map(|gap| finding(format!("prices: {gap}"))).collect()
}

async fn phone(config: &Config) -> Vec<Finding> {
    let Some(twilio) = &config.twilio else {
        let missing = config.twilio_missing();
        let text = format!("sms and calls: {} not set", missing.join(", "));
        return vec![if missing.len() == 3 {
            Finding::Off(text)
        } else {
            Finding::Bad(text)
        }];
    };
    let mut findings = vec![match client(twilio).check().await {
        Ok(()) => Finding::Good(format!(
            "twilio: the account answers; it calls from {}",
            twilio.from.as_str()
        )),
        Err(error) if twilio.base_url.host_str() == Some("api.twilio.com") => {
            Finding::Bad(format!("twilio: {error}"))
        }
        Err(error) => Finding::Bad(format!(
            "twilio: {error} TWILIO_API_BASE_URL is set: does Twilio answer there?"
        )),
    }];
    if config.phone.allow.is_empty() {
        findings.push(Finding::Bad("OPENAGENT_PHONE_ALLOW_PREFIXES: empty, so no number may be called or written to; set it to prefixes such as +1,+39".into()));
    }
    findings.extend(prices(config));
    let missing = config.voice_missing_settings();
    if !missing.is_empty() {
        findings.push(Finding::Off(format!(
            "calls: {} not set; SMS work without",
            missing.join(", ")
        )));
    }
    if let Some(key) = &config.openai.api_key {
        findings.push(model(&config.openai, key).await);
        if !KNOWN_VOICES.contains(&config.openai.voice.as_str()) {
            findings.push(Finding::Mind(format!(
                "OPENAGENT_PHONE_VOICE: {:?} is not one of {}",
                config.openai.voice,
                KNOWN_VOICES.join(", ")
            )));
        }
    }
    if let Some(public_url) = &config.phone.public_url {
        findings.push(webhooks(&config.phone, public_url).await);
    }
    findings
}

/// Each channel is asked who it is, which checks its token.
async fn channels(config: &Config) -> Vec<Finding> {
    let channels = Channels::new(&config.channels, &CancellationToken::new());
    let off = |name: &str, how: &str| Finding::Off(format!("{name}: not set up ({how})"));
    let telegram = async {
        match &channels.telegram {
            None => off("telegram", "TELEGRAM_BOT_TOKEN"),
            Some(telegram) => match in_time(telegram.check()).await {
                Ok(name) => Finding::Good(format!(
                    "telegram: the token is accepted; the bot is {name}"
                )),
                Err(why) => Finding::Bad(format!("telegram: {why}")),
            },
        }
    };
    let discord = async {
        match &channels.discord {
            None => off("discord", "DISCORD_BOT_TOKEN"),
            Some(discord) => match in_time(discord.check()).await {
                Ok(name) => {
                    Finding::Good(format!("discord: the token is accepted; the bot is {name}"))
                }
                Err(why) => Finding::Bad(format!("discord: {why}")),
            },
        }
    };
    let whatsapp = async {
        match &channels.whatsapp {
            None => match config.green_missing()[..] {
                [missing] => Finding::Bad(format!("whatsapp: {missing} not set")),
                _ => off("whatsapp", "GREEN_API_ID and GREEN_API_TOKEN"),
            },
            Some(whatsapp) => match in_time(whatsapp.state()).await {
                Ok(state) if state == "authorized" => {
                    Finding::Good("whatsapp: the instance is connected".into())
                }
                Ok(state) => Finding::Bad(format!(
                    "whatsapp: the instance is in the state {state:?}; {}",
                    state_hint(&state)
                )),
                Err(why) => Finding::Bad(format!("whatsapp: {why}")),
            },
        }
    };
    let (telegram, discord, whatsapp) = tokio::join!(telegram, discord, whatsapp);
    vec![telegram, discord, whatsapp]
}

async fn in_time<T>(asking: impl Future<Output = Result<T, ChannelError>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("no answer in 10 s; check the network and the base URL".into()),
    }
}

/// The key and the model's name are judged on the socket, after it has opened.
async fn model(openai: &OpenAi, key: &Secret) -> Finding {
    let asked = async {
        let url = openai.realtime_url();
        let tls = match url.scheme() {
            "wss" => Some(socket::tls().map_err(|error| error.to_string())?),
            _ => None,
        };
        let mut socket = socket::connect(&url, key, tls)
            .await
            .map_err(|error| error.to_string())?;
        loop {
            match socket.recv().await {
                Some(Ok(ModelMessage::Text(text))) => match event::parse(&Bytes::from(text)) {
                    Ok(Parsed::Event(crate::call::bridge::event::ModelEvent::Error {
                        message,
                        ..
                    })) => {
                        return Err(message.into_owned());
                    }
                    // The first message of a session that was accepted.
                    Ok(_) => return Ok(()),
                    Err(error) => return Err(error.to_string()),
                },
                Some(Ok(ModelMessage::Close(_))) | None => {
                    return Err("it closed the connection".to_owned());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.to_string()),
            }
        }
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(())) => Finding::Good(format!(
            "openai: the key is accepted, and {} answers",
            openai.model
        )),
        Ok(Err(why)) => Finding::Bad(format!("openai: {why}")),
        Err(_) => {
            Finding::Bad("openai: no answer in 10 s; check the network and OPENAI_BASE_URL".into())
        }
    }
}

/// Twilio must reach our server from outside, so we go around through the public URL.
async fn webhooks(phone: &Phone, public_url: &PublicUrl) -> Finding {
    let address = SocketAddr::new(phone.bind, phone.port);
    let name = format!("webhooks: {}", public_url.as_str());
    if phone.port == 0 {
        return Finding::Bad(format!(
            "{name}: OPENAGENT_PHONE_PORT is not set, so the server takes a random port and a tunnel cannot know it; set it to the port your tunnel forwards to"
        ));
    }
    // If the port is taken, the server may be running already; then it answers.
    let serving = server::bind(address).await.ok().map(|listener| {
        tokio::spawn(server::serve_health(
            listener,
            public_url.path_prefix().to_owned(),
        ))
    });
    let answer = ask_health(public_url).await;
    if let Some(serving) = serving {
        serving.abort();
    }
    match answer {
        Ok((_, body)) if body == server::HEALTHY => {
            Finding::Good(format!("{name} leads to port {}", phone.port))
        }
        Ok((status, _)) => Finding::Bad(format!(
            "{name} is answered by something else (HTTP {status}): does the tunnel forward to {address}?"
        )),
        Err(error) => Finding::Bad(format!(
            "{name} cannot be reached ({}): is the tunnel running?",
            causes(&error.without_url())
        )),
    }
}

async fn ask_health(public_url: &PublicUrl) -> reqwest::Result<(StatusCode, String)> {
    let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let answer = http.get(public_url.join("healthz")).send().await?;
    Ok((answer.status(), answer.text().await?))
}

/// An error with what caused it: the HTTP library keeps the telling part for the causes.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
