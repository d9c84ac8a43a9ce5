//! `status`: which channels are set up, what is missing, and what is left of today's limits.

use chrono::Utc;
use rmcp::handler::server::wrapper::Json;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::Serialize;

use super::{NoArguments, Parameters, Server};
use crate::cost::MicroUsd;
use crate::error::ToolError;
use crate::phone::Prefix;
use crate::safety::budget::Used;

/// All channels.
#[derive(Debug, Serialize, JsonSchema)]
struct Status {
    #[schemars(extend("x-listed" = true))]
    telegram: Channel,
    #[schemars(extend("x-listed" = true))]
    discord: Channel,
    #[schemars(extend("x-listed" = true))]
    whatsapp: Channel,
    /// SMS and calls.
    #[schemars(extend("x-listed" = true))]
    phone: Phone,
}

// A channel without details. No description, because those who flatten it would inherit it.
#[derive(Debug, Serialize, JsonSchema)]
struct Channel {
    /// It can be used.
    #[schemars(extend("x-listed" = true))]
    enabled: bool,
    /// Their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    tools: Option<Vec<String>>,
    /// If not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-listed" = true))]
    how_to_enable: Option<String>,
}

/// SMS and phone calls.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct Phone {
    #[serde(flatten)]
    channel: Channel,
    #[serde(flatten)]
    #[schemars(with = "PhoneDetails")]
    details: Option<PhoneDetails>,
}

// The state of an enabled phone channel. No description either.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(extend("required" = []))]
struct PhoneDetails {
    /// The account's number.
    from_number: String,
    /// Calls can be placed; SMS do not need this.
    #[schemars(extend("x-listed" = true))]
    voice_ready: bool,
    /// What calls still need; SMS do not.
    voice_missing: Vec<String>,
    /// Where Twilio reaches this server; null if that is not set.
    public_url: Option<String>,
    /// The port it listens on; null if it does not.
    local_port: Option<u16>,
    /// Who may be reached.
    #[schemars(extend("x-listed" = true))]
    allow_prefixes: Vec<String>,
    /// The cap of a single call.
    max_call_duration_seconds: u64,
    /// The cap of calls in flight.
    max_concurrent_calls: usize,
    /// Calls in flight.
    active_calls: usize,
    /// Call time used or reserved today (UTC).
    daily_seconds_used: u64,
    /// The cap of it.
    daily_seconds_cap: u64,
    /// What calls and messages have cost today (UTC), in US dollars, with the most that live calls may
    /// cost.
    daily_usd_used: f64,
    /// The cap of it; null if there is none.
    daily_usd_cap: Option<f64>,
    /// The voice model.
    realtime_model: String,
    /// Its voice.
    realtime_voice: String,
    /// What the user should know.
    warnings: Vec<String>,
}

#[tool_router(router = status_tools, vis = "pub(super)")]
impl Server {
    #[tool(
        name = "status",
        title = "Messaging status",
        description = "Which channels are set up, how to enable the others, who may be reached, what is left of today's limits. \
                       Use it first, and when a tool refuses.",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    async fn status(&self, _: Parameters<NoArguments>) -> Result<Json<Status>, ToolError> {
        let has = &self.app.channels;
        Ok(Json(Status {
            telegram: self.channel(has.telegram.is_some(), "telegram_", || {
                let missing = self.named(&["TELEGRAM_BOT_TOKEN"]);
                format!("Set {missing} (from @BotFather).")
            }),
            discord: self.channel(has.discord.is_some(), "discord_", || {
                let missing = self.named(&["DISCORD_BOT_TOKEN"]);
                format!("Set {missing} (Discord developer portal, Bot).")
            }),
            whatsapp: self.channel(has.whatsapp.is_some(), "whatsapp_", || {
                let missing = self.named(&self.app.config.green_missing());
                format!("Set {missing} (green-api.com).")
            }),
            phone: self.phone().await,
        }))
    }
}

impl Server {
    /// A channel with its tools, whose names begin so.
    fn channel(&self, enabled: bool, prefix: &str, how: impl Fn() -> String) -> Channel {
        let names = self.tools().into_iter().map(|tool| tool.name.into_owned());
        let own = names.filter(|name| name.starts_with(prefix));
        Channel {
            enabled,
            tools: enabled.then(|| own.collect()),
            how_to_enable: (!enabled).then(how),
        }
    }

    /// Names settings; those that a host forgot to fill in are marked.
    fn named(&self, settings: &[&'static str]) -> String {
        let placeholders = &self.app.config.placeholders;
        let named = settings.iter().map(|name| {
            let mark = if placeholders.contains(name) {
                " (arrived as an unexpanded placeholder)"
            } else {
                ""
            };
            format!("{name}{mark}")
        });
        named.collect::<Vec<_>>().join(", ")
    }

    async fn phone(&self) -> Phone {
        let Some((board, messenger)) = self.app.board.as_ref().zip(self.app.messenger.as_ref())
        else {
            let missing = self.named(&self.app.config.twilio_missing());
            return Phone {
                channel: Channel {
                    enabled: false,
                    tools: None,
                    how_to_enable: Some(format!(
                        "Set {missing} (Twilio Console); calls also need OPENAI_API_KEY and OPENAGENT_PHONE_PUBLIC_URL."
                    )),
                },
                details: None,
            };
        };
        let phone = &self.app.config.phone;
        let used = board.used(Utc::now()).await;
        let mut warnings = self.app.warnings.clone();
        // A limit that cannot be checked, or not be written down, is reached.
        if let Some(error) = used.as_ref().err().cloned().or_else(|| board.trouble()) {
            warnings.push(format!("Calls and messages are refused: {error}."));
        }
        let cap = phone.max_daily_usd.map(MicroUsd::new);
        let used = used.unwrap_or_else(|_| Used {
            time: phone.max_daily,
            cost: cap.unwrap_or_default(),
            in_flight: board.live(),
            ..Used::default()
        });
        let mut tools: Vec<String> = self
            .tools()
            .into_iter()
            .map(|tool| tool.name.into_owned())
            .collect();
        tools.retain(|name| name.starts_with("sms_") || name.starts_with("phone_"));
        Phone {
            channel: Channel {
                enabled: true,
                tools: Some(tools),
                how_to_enable: None,
            },
            details: Some(PhoneDetails {
                from_number: messenger.from().as_str().to_owned(),
                voice_ready: board.missing().is_empty(),
                voice_missing: board.missing().to_vec(),
                public_url: phone.public_url.as_ref().map(|url| url.as_str().to_owned()),
                local_port: self.app.local_port,
                allow_prefixes: phone
                    .allow
                    .iter()
                    .map(Prefix::as_str)
                    .map(str::to_owned)
                    .collect(),
                max_call_duration_seconds: phone.max_duration.as_secs(),
                max_concurrent_calls: phone.max_concurrent,
                active_calls: used.in_flight,
                daily_seconds_used: used.time.as_secs(),
                daily_seconds_cap: phone.max_daily.as_secs(),
                daily_usd_used: used.cost.dollars(),
                daily_usd_cap: cap.map(MicroUsd::dollars),
                realtime_model: self.app.config.openai.model.clone(),
                realtime_voice: self.app.config.openai.voice.clone(),
                warnings,
            }),
        }
    }
}
