//! Discord's API, version 10, as far as sending needs it
//! (<https://discord.com/developers/docs/resources/message#create-message>).
//!
//! A text cannot notify anybody: `allowed_mentions` is empty, so `@everyone`, roles and people stay
//! what they look like and no phone rings. An agent that repeats what it has read must not be able to
//! wake a whole server.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::fetch::{self, Fetcher};
use super::file::{Limit, LocalFile, Source};
use super::http::{Answer, Content, FileOf, Http, Upload, Verdict};
use super::split::{self, Unit};
use super::{ChannelError, MOST_PARTS, Provider, Refusal, Sent, check_caption, parts, too_long};
use crate::http::seconds;
use crate::secret::Secret;

/// Of a message.
const LONGEST_TEXT: usize = 2_000;

/// Bytes of a file. Boosted servers take more, which a bot cannot see beforehand.
const LARGEST_FILE: u64 = 10 * 1024 * 1024;

const LIMIT: Limit = Limit {
    of: "Discord",
    bytes: LARGEST_FILE,
};

/// Faults of single fields that are shown.
const FAULTS_SHOWN: usize = 3;

/// Discord wants bots to say who they are, in this form.
const USER_AGENT: &str = concat!(
    "DiscordBot (https://modelcontextprotocol.io, ",
    env!("CARGO_PKG_VERSION"),
    ") openagent-messaging"
);

/// Where a message goes: a channel, a thread, or the channel of direct messages with somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelId(String);

impl ChannelId {
    /// Reads an id, which is a long number.
    ///
    /// # Errors
    ///
    /// [`ChannelError::Argument`].
    pub fn parse(text: &str) -> Result<Self, ChannelError> {
        let text = text.trim();
        if text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u64>().is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(ChannelError::Argument(format!(
                "channel_id {text:?} is not the id of a channel, which is a long number such as \
                 1234567890123456789: in Discord, developer mode shows \"Copy Channel ID\"."
            )))
        }
    }
}

/// A file to be sent.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Where.
    pub channel: ChannelId,
    /// What.
    pub source: Source,
    /// A text above it.
    pub text: Option<String>,
}

/// A bot.
#[derive(Debug)]
pub struct Discord {
    http: Http,
    fetcher: Fetcher,
}

impl Discord {
    /// The bot of `token`. `web` is asked for files in place of the web.
    pub fn new(base_url: Url, web: Option<Url>, token: &Secret, stop: CancellationToken) -> Self {
        let authorization = Secret::new(format!("Bot {}", token.reveal()));
        let http = Http::new(Provider::Discord, base_url, token, judge, stop)
            .identified(USER_AGENT, authorization);
        let fetcher = Fetcher::new(http.base_url(), web);
        Self { http, fetcher }
    }

    /// Sends a text, as several messages if it is long.
    ///
    /// # Errors
    ///
    /// [`ChannelError`].
    pub async fn send_message(
        &self,
        channel: &ChannelId,
        text: &str,
    ) -> Result<Sent, ChannelError> {
        if Unit::Characters.count(text) > MOST_PARTS * LONGEST_TEXT {
            return Err(too_long());
        }
        let texts = split::plain(text, Unit::Characters, LONGEST_TEXT);
        let parts = parts(&texts, |text| message(Some(text)))?;
        let path = ["channels", &channel.0, "messages"];
        self.http.post_parts(&path, parts, "id").await
    }

    /// Sends a file. Discord does not fetch URLs, so a file of the web is fetched here and passed on
    /// as it comes.
    ///
    /// # Errors
    ///
    /// [`ChannelError`].
    pub async fn send_file(&self, new: &NewFile) -> Result<Sent, ChannelError> {
        check_caption("text", new.text.as_deref(), Unit::Characters, LONGEST_TEXT)?;
        let local;
        let (file, name) = match &new.source {
            Source::Path(path) => {
                local = LocalFile::find(path).await?;
                local.check(LIMIT)?;
                (FileOf::Disk(&local), local.name.clone())
            }
            Source::Url(url) => (FileOf::Web(&self.fetcher, url), fetch::name(url)),
        };
        let mut payload = message(new.text.as_deref());
        payload["attachments"] = json!([{"id": 0, "filename": name}]);
        let upload = Upload {
            fields: &[("payload_json", payload.to_string())],
            field: "files[0]",
            name: &name,
            file,
            limit: LIMIT,
        };
        let path = ["channels", &new.channel.0, "messages"];
        let message = self.http.post(&path, Content::Upload(upload)).await?;
        Ok(Sent::one(message))
    }

    /// Checks the token (`users/@me`); returns the bot's name.
    ///
    /// # Errors
    ///
    /// [`ChannelError`].
    pub async fn check(&self) -> Result<String, ChannelError> {
        let me = self.http.get(&["users", "@me"]).await?;
        let name = me.get("username").and_then(Value::as_str);
        Ok(name.unwrap_or("?").to_owned())
    }
}

fn message(text: Option<&str>) -> Value {
    let mut message = json!({"allowed_mentions": {"parse": []}});
    if let Some(text) = text {
        message["content"] = json!(text);
    }
    message
}

/// An object, or `{"code": 50001, "message": "…", "errors": {…}, "retry_after": 0.5}`.
fn judge(answer: &Answer) -> Result<Map<String, Value>, Verdict> {
    if answer.is_success() {
        let object = answer.body.as_object();
        return object.cloned().ok_or(Verdict::Unreadable);
    }
    // 0 is the code of those that have none.
    let code = answer.body.get("code").and_then(Value::as_i64);
    let code = code.filter(|code| *code != 0);
    let mut description = answer.text("/message").unwrap_or_default().to_owned();
    let mut faults = Vec::new();
    if let Some(errors) = answer.body.get("errors") {
        faults_in("", errors, &mut faults);
    }
    if !faults.is_empty() {
        description = format!("{} ({})", description, faults.join("; "));
    }
    let retry_after = answer.body.get("retry_after").and_then(Value::as_f64);
    let retry_after = retry_after.and_then(seconds).or(answer.retry_after);
    Err(Verdict::Refused(Refusal {
        provider: Provider::Discord,
        http_status: answer.http_status,
        code,
        hint: hint(answer.http_status, code).map(Cow::Borrowed),
        description,
        retry_after,
    }))
}

/// The faults of single fields: `{"content": {"_errors": [{"code": "…", "message": "…"}]}}`.
fn faults_in(path: &str, errors: &Value, faults: &mut Vec<String>) {
    for (name, inner) in errors.as_object().into_iter().flatten() {
        if faults.len() >= FAULTS_SHOWN {
            return;
        }
        if name == "_errors" {
            let messages = inner.as_array().into_iter().flatten();
            let messages = messages.filter_map(|fault| fault.get("message")?.as_str());
            faults.extend(messages.map(|message| format!("{path}: {message}")));
        } else {
            let dot = if path.is_empty() { "" } else { "." };
            faults_in(&format!("{path}{dot}{name}"), inner, faults);
        }
    }
}

/// What to do about one of Discord's codes ("Opcodes and status codes", JSON error codes).
fn hint(http_status: u16, code: Option<i64>) -> Option<&'static str> {
    Some(match (http_status, code) {
        (_, Some(10_003)) => {
            "there is no such channel, or the bot is not on its server: check channel_id"
        }
        (_, Some(50_001)) => {
            "the bot cannot see this channel: invite it to the server and give it View Channel"
        }
        (_, Some(50_013)) => {
            "the bot may not do this there: give its role Send Messages, and Attach Files for files"
        }
        (_, Some(50_007)) => {
            "this person does not take direct messages from the bot, so do not try again"
        }
        (_, Some(50_008)) => {
            "this kind of channel takes no messages: use a text channel or a thread"
        }
        (_, Some(50_006)) => "the message is empty: say something",
        (_, Some(50_083)) => "the thread is archived: somebody must open it again",
        (_, Some(50_035)) => "correct what is named and send it again",
        (_, Some(20_016 | 20_028 | 20_029)) => {
            "this channel is slowed down, so wait before you write there again"
        }
        (_, Some(40_002)) => "the bot's account must be verified first",
        (_, Some(200_000)) => "the server's rules blocked these words: write it differently",
        (413, _) | (_, Some(40_005)) => {
            "the file is too large for this server: make it smaller, or send a link to it"
        }
        (401, _) => {
            "check DISCORD_BOT_TOKEN: it is the token of Bot in the Discord developer portal, and it \
             changes when it is reset"
        }
        (403, _) => "the bot may not do this there: check its permissions",
        (404, _) => "check channel_id (and DISCORD_API_BASE_URL, if it is set)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_a_number() {
        assert!(ChannelId::parse("1234567890123456789").is_ok());
        for bad in [
            "",
            "general",
            "#1",
            "12/../34",
            "-1",
            "99999999999999999999999",
        ] {
            let why = ChannelId::parse(bad).unwrap_err().to_string();
            assert!(why.contains("channel_id"), "{why}");
        }
    }

    #[test]
    fn refusals_name_the_fields_and_say_what_to_do() {
        let answer = Answer {
            http_status: 400,
            body: json!({"code": 50035, "message": "Invalid Form Body", "errors": {"content": {
                "_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 2000 or fewer in length."}]}}}),
            retry_after: None,
        };
        let Err(Verdict::Refused(refusal)) = judge(&answer) else {
            panic!("not refused");
        };
        assert_eq!(
            refusal.to_string(),
            "Discord refused this (error 50035, HTTP 400): Invalid Form Body (content: Must be 2000 \
             or fewer in length.); correct what is named and send it again."
        );
        for (status, code, word) in [
            (404, 10_003, "channel_id"),
            (403, 50_001, "View Channel"),
            (403, 50_013, "Send Messages"),
            (413, 40_005, "too large"),
            (401, 0, "DISCORD_BOT_TOKEN"),
        ] {
            let hint = hint(status, Some(code)).unwrap();
            assert!(hint.contains(word), "{hint}");
        }
    }
}
