//! Telegram's Bot API, as far as sending needs it (<https://core.telegram.org/bots/api>).

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::file::{Limit, LocalFile, Source, extension};
use super::http::{Answer, Content, FileOf, Http, Upload, Verdict};
use super::markup::{self, ParseMode};
use super::split::{self, NoPlace, Unit};
use super::{ChannelError, MOST_PARTS, Provider, Refusal, Sent, check_caption, parts, too_long};
use crate::http::seconds;
use crate::secret::Secret;

/// Of a message, in units of UTF-16, after the formatting was read.
const LONGEST_TEXT: usize = 4_096;

/// Of a caption.
const LONGEST_CAPTION: usize = 1_024;

/// Bytes of a photo.
const LARGEST_PHOTO: u64 = 10 * 1024 * 1024;

/// Bytes of any other file.
const LARGEST_FILE: u64 = 50 * 1024 * 1024;

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatId(Value);

impl ChatId {
    /// A chat by its number.
    pub fn number(number: i64) -> Self {
        Self(json!(number))
    }

    /// A number as text, or the `@name` of a public group or channel.
    ///
    /// # Errors
    ///
    /// [`ChannelError::Argument`].
    pub fn parse(text: &str) -> Result<Self, ChannelError> {
        let text = text.trim();
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_number = digits.bytes().all(|b| b.is_ascii_digit()) && text.parse::<i64>().is_ok();
        let is_name = text.strip_prefix('@').is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        });
        if is_number || is_name {
            Ok(Self(json!(text)))
        } else {
            Err(ChannelError::Argument(format!(
                "chat_id {text:?} is neither a number, such as 123456789 or -1001234567890, nor the \
                 @name of a public group or channel."
            )))
        }
    }

    /// As a field of a form.
    fn text(&self) -> String {
        self.0
            .as_str()
            .map_or_else(|| self.0.to_string(), str::to_owned)
    }
}

/// How a file is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Compressed, and shown at once.
    Photo,
    /// As it is.
    Document,
    /// A voice message.
    Voice,
    /// A video with a player.
    Video,
}

impl FileKind {
    /// By the ending of the name; a document if it says nothing.
    fn guess(name: &str, length: Option<u64>) -> Self {
        match extension(name).as_deref() {
            // What is too large for a photo may still be sent as it is.
            Some("jpg" | "jpeg" | "png") if length.unwrap_or(0) <= LARGEST_PHOTO => Self::Photo,
            Some("ogg" | "oga" | "opus") => Self::Voice,
            Some("mp4") => Self::Video,
            _ => Self::Document,
        }
    }

    fn method(self) -> &'static str {
        match self {
            Self::Photo => "sendPhoto",
            Self::Document => "sendDocument",
            Self::Voice => "sendVoice",
            Self::Video => "sendVideo",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Document => "document",
            Self::Voice => "voice",
            Self::Video => "video",
        }
    }

    fn limit(self) -> Limit {
        match self {
            Self::Photo => Limit {
                of: "a photo for Telegram",
                bytes: LARGEST_PHOTO,
            },
            _ => Limit {
                of: "Telegram",
                bytes: LARGEST_FILE,
            },
        }
    }
}

/// A file to be sent.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// To whom.
    pub chat: ChatId,
    /// What.
    pub source: Source,
    /// A text below it.
    pub caption: Option<String>,
    /// How it is shown; guessed by its name if nothing is said.
    pub kind: Option<FileKind>,
}

/// A bot.
#[derive(Debug)]
pub struct Telegram {
    http: Http,
    token: Secret,
}

impl Telegram {
    /// The bot of `token`.
    pub fn new(base_url: Url, token: Secret, stop: CancellationToken) -> Self {
        Self {
            http: Http::new(Provider::Telegram, base_url, &token, judge, stop),
            token,
        }
    }

    /// The first half of every path.
    fn bot(&self) -> String {
        format!("bot{}", self.token.reveal())
    }

    /// Sends a text (`sendMessage`), as several messages if it is long.
    ///
    /// # Errors
    ///
    /// [`ChannelError`].
    pub async fn send_message(
        &self,
        chat: &ChatId,
        text: &str,
        mode: Option<ParseMode>,
    ) -> Result<Sent, ChannelError> {
        let texts = match mode {
            // Formatting only makes it shorter.
            _ if Unit::Utf16.count(text) <= LONGEST_TEXT => vec![text],
            None if Unit::Utf16.count(text) > MOST_PARTS * LONGEST_TEXT => {
                return Err(too_long());
            }
            // However much of it is not shown, nobody means to send that.
            Some(_) if text.len() > MOST_PARTS * LONGEST_TEXT * 4 => return Err(too_long()),
            None => split::plain(text, Unit::Utf16, LONGEST_TEXT),
            Some(mode) => {
                split::at(text, &markup::glyphs(text, mode), LONGEST_TEXT).map_err(|NoPlace| {
                    ChannelError::Argument(format!(
                        "text is longer than one message ({LONGEST_TEXT} characters) and cannot be \
                         split, because one formatting spans more than that: shorten the formatted \
                         passages, close what is open, or leave parse_mode out."
                    ))
                })?
            }
        };
        let parts = parts(&texts, |text| {
            let mut body = json!({"chat_id": chat.0, "text": text});
            if let Some(mode) = mode {
                body["parse_mode"] = json!(mode.as_str());
            }
            body
        })?;
        let path = [self.bot(), "sendMessage".to_owned()];
        let path = path.each_ref().map(String::as_str);
        self.http.post_parts(&path, parts, "message_id").await
    }

    /// Sends a file (`sendPhoto`, `sendDocument`, `sendVoice`, `sendVideo`). A URL is fetched by
    /// Telegram: photos up to 5 MB, others up to 20 MB.
    ///
    /// # Errors
    ///
    /// [`ChannelError`].
    pub async fn send_file(&self, new: &NewFile) -> Result<Sent, ChannelError> {
        let caption = new.caption.as_deref();
        check_caption("caption", caption, Unit::Utf16, LONGEST_CAPTION)?;
        let bot = self.bot();
        let message = match &new.source {
            Source::Url(url) => {
                let name = super::fetch::name(url);
                let kind = new.kind.unwrap_or_else(|| FileKind::guess(&name, None));
                let mut body = json!({"chat_id": new.chat.0, kind.field(): url.as_str()});
                if let Some(caption) = caption {
                    body["caption"] = json!(caption);
                }
                let path = [bot.as_str(), kind.method()];
                self.http.post(&path, Content::Json(&body)).await?
            }
            Source::Path(path) => {
                let file = LocalFile::find(path).await?;
                let length = Some(file.length);
                let guess = || FileKind::guess(&file.name, length);
                let kind = new.kind.unwrap_or_else(guess);
                file.check(kind.limit())?;
                let mut fields = vec![("chat_id", new.chat.text())];
                fields.extend(caption.map(|caption| ("caption", caption.to_owned())));
                let upload = Upload {
                    fields: &fields,
                    field: kind.field(),
                    name: &file.name,
                    file: FileOf::Disk(&file),
                    limit: kind.limit(),
                };
                let path = [bot.as_str(), kind.method()];
                self.http.post(&path, Content::Upload(upload)).await?
            }
        };
        Ok(Sent::one(message))
    }

    /// Checks the token (`getMe`); returns the bot's name.
    ///
    /// # Errors
    ///
    /// [`ChannelError`].
    pub async fn check(&self) -> Result<String, ChannelError> {
        let me = self.http.get(&[&self.bot(), "getMe"]).await?;
        let name = me.get("username").and_then(Value::as_str);
        Ok(format!("@{}", name.unwrap_or("?")))
    }
}

/// `{"ok": true, "result": {…}}`, or `{"ok": false, "error_code": 400, "description": "…",
/// "parameters": {"retry_after": 5, "migrate_to_chat_id": -100…}}`.
fn judge(answer: &Answer) -> Result<Map<String, Value>, Verdict> {
    let ok = answer.body.get("ok").and_then(Value::as_bool);
    if answer.is_success() && ok != Some(false) {
        let result = answer.body.get("result").and_then(Value::as_object);
        return result.cloned().ok_or(Verdict::Unreadable);
    }
    let code = answer.body.get("error_code").and_then(Value::as_u64);
    let http_status = code
        .and_then(|code| u16::try_from(code).ok())
        .unwrap_or(answer.http_status);
    let description = answer.text("/description").unwrap_or_default().to_owned();
    let parameter = |name: &str| answer.body.pointer(&format!("/parameters/{name}"));
    let retry_after = parameter("retry_after").and_then(Value::as_f64);
    let moved_to = parameter("migrate_to_chat_id").filter(|id| id.is_i64() || id.is_string());
    let hint = match moved_to {
        Some(id) => Some(Cow::Owned(format!(
            "the group has become a supergroup: use chat_id {id} from now on"
        ))),
        None => hint(http_status, &description.to_lowercase()).map(Cow::Borrowed),
    };
    Err(Verdict::Refused(Refusal {
        provider: Provider::Telegram,
        http_status,
        code: None,
        hint,
        description,
        retry_after: retry_after.and_then(seconds).or(answer.retry_after),
    }))
}

/// What to do about a refusal, known by its words (in lower case): Telegram has no finer codes.
fn hint(http_status: u16, description: &str) -> Option<&'static str> {
    const HINTS: &[(&str, &str)] = &[
        (
            "chat not found",
            "check chat_id: a person is known by a number only, and only after they have written to \
             the bot; a group or channel after the bot was added to it",
        ),
        (
            "bot was blocked",
            "the person has blocked the bot, so do not write to them unless they unblock it",
        ),
        ("user is deactivated", "this account no longer exists"),
        (
            "can't initiate conversation",
            "the person must write to the bot first: ask the user to have them press Start",
        ),
        (
            "can't send messages to bots",
            "bots cannot write to bots: check chat_id",
        ),
        (
            "can't parse entities",
            "the formatting is not valid for this parse_mode: escape its special characters and \
             close what is open, or leave parse_mode out",
        ),
        ("not a member", "add the bot to this group or channel"),
        (
            "was kicked",
            "the bot was removed from this group or channel: somebody must add it again",
        ),
        (
            "rights",
            "the bot may not post there: give it the right to, as an administrator of the group or \
             channel",
        ),
        (
            "administrator",
            "the bot must be an administrator there to post",
        ),
        (
            "http url",
            "Telegram could not fetch the url: it must be public, at most 5 MB for photos and 20 MB \
             for others, and documents must be PDF, ZIP or GIF; download the file and give path \
             otherwise",
        ),
        (
            "web page content",
            "Telegram could not use what is at the url: it must be the file itself, at most 5 MB for \
             photos and 20 MB for others, and documents must be PDF, ZIP or GIF; download the file \
             and give path otherwise",
        ),
        ("photo_invalid", "send it with type document"),
        (
            "image_process_failed",
            "it is no picture that Telegram can show: send it with type document",
        ),
        (
            "voice_messages_forbidden",
            "this person takes no voice messages: send it with type document",
        ),
    ];
    let known = HINTS.iter().find(|(words, _)| description.contains(words));
    match http_status {
        401 => Some(
            "check TELEGRAM_BOT_TOKEN: @BotFather shows the valid one, and it changes when it is \
             revoked",
        ),
        // With a token that cannot be one, the whole path is unknown.
        404 => Some("check TELEGRAM_BOT_TOKEN (and TELEGRAM_API_BASE_URL, if it is set)"),
        413 => Some("the file is too large for Telegram: send a link to it"),
        _ => known.map(|(_, hint)| *hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_a_number_or_a_name() {
        for good in ["42", "-1001234567890", " 42 ", "@some_channel"] {
            assert_eq!(ChatId::parse(good).unwrap().text(), good.trim());
        }
        for bad in [
            "",
            "-",
            "@",
            "name",
            "+42",
            "4.2",
            "@a b",
            "99999999999999999999",
        ] {
            let why = ChatId::parse(bad).unwrap_err().to_string();
            assert!(why.contains("chat_id"), "{why}");
        }
    }

    #[test]
    fn the_kind_of_a_file_is_guessed_by_its_name() {
        for (name, length, kind) in [
            ("a.JPG", Some(1), FileKind::Photo),
            ("a.png", None, FileKind::Photo),
            ("a.png", Some(LARGEST_PHOTO + 1), FileKind::Document),
            ("a.gif", Some(1), FileKind::Document),
            ("a.ogg", Some(1), FileKind::Voice),
            ("a.mp4", Some(1), FileKind::Video),
            ("a.pdf", Some(1), FileKind::Document),
            ("a", Some(1), FileKind::Document),
        ] {
            assert_eq!(FileKind::guess(name, length), kind, "{name}");
        }
    }

    fn refusal(http_status: u16, body: Value) -> Refusal {
        let answer = Answer {
            http_status,
            body,
            retry_after: None,
        };
        match judge(&answer) {
            Err(Verdict::Refused(refusal)) => refusal,
            _ => panic!("not refused"),
        }
    }

    #[test]
    fn refusals_say_what_to_do() {
        for (code, description, word) in [
            (400, "Bad Request: chat not found", "written to"),
            (403, "Forbidden: bot was blocked by the user", "unblock"),
            (
                403,
                "Forbidden: bot can't initiate conversation with a user",
                "Start",
            ),
            (
                400,
                "Bad Request: can't parse entities: Character '.' is reserved",
                "escape",
            ),
            (
                400,
                "Bad Request: not enough rights to send text messages to the chat",
                "right to",
            ),
            (
                400,
                "Bad Request: wrong file identifier/HTTP URL specified",
                "5 MB",
            ),
            (400, "Bad Request: failed to get HTTP URL content", "5 MB"),
            (
                400,
                "Bad Request: wrong type of the web page content",
                "5 MB",
            ),
            (400, "Bad Request: PHOTO_INVALID_DIMENSIONS", "document"),
            (401, "Unauthorized", "TELEGRAM_BOT_TOKEN"),
            (404, "Not Found", "TELEGRAM_BOT_TOKEN"),
        ] {
            let body = json!({"ok": false, "error_code": code, "description": description});
            let said = refusal(code, body).to_string();
            assert!(said.contains(word) && said.contains(description), "{said}");
        }
        let body = json!({"ok": false, "error_code": 400,
            "description": "Bad Request: group chat was upgraded to a supergroup chat",
            "parameters": {"migrate_to_chat_id": -1_001_234_567_890_i64}});
        let said = refusal(400, body).to_string();
        assert!(said.contains("chat_id -1001234567890"), "{said}");
        // Not Telegram at all.
        let said = refusal(502, Value::Null).to_string();
        assert!(said.contains("may have been delivered"), "{said}");
    }
}
