//! WhatsApp through Green API, as far as sending needs it (<https://green-api.com/en/docs/api/>).
//!
//! Green API takes a message into a queue and answers at once; it goes out when the instance is
//! connected, within a day. So an answer without an error means "accepted", not "delivered".

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::file::{Limit, LocalFile, Source, extension, fit_name};
use super::http::{Answer, Content, FileOf, Http, Upload, Verdict};
use super::split::{self, Unit};
use super::{ChannelError, MOST_PARTS, Provider, Refusal, Sent, check_caption, parts, too_long};
use crate::secret::Secret;

/// Of a message.
const LONGEST_TEXT: usize = 20_000;

/// Of a caption: what WhatsApp itself takes.
const LONGEST_CAPTION: usize = 1_024;

/// Bytes of a file.
const LARGEST_FILE: u64 = 100 * 1024 * 1024;

const LIMIT: Limit = Limit {
    of: "Green API",
    bytes: LARGEST_FILE,
};

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat(String);

impl Chat {
    /// A phone number with its country code, however it is written, or the id of a chat
    /// (`…@c.us`) or group (`…@g.us`).
    ///
    /// # Errors
    ///
    /// [`ChannelError::Argument`].
    pub fn parse(text: &str) -> Result<Self, ChannelError> {
        let text = text.trim();
        if let Some((name, domain)) = text.split_once('@') {
            let known = matches!(domain, "c.us" | "g.us");
            let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit() || b == b'-');
            if known && named {
                return Ok(Self(text.to_owned()));
            }
        } else {
            let number = text.strip_prefix('+').unwrap_or(text);
            let written = number
                .chars()
                .all(|c| c.is_ascii_digit() || " -.()/\u{a0}".contains(c));
            let digits: String = number.chars().filter(char::is_ascii_digit).collect();
            // With 0 at the beginning the country code is missing, or spelled as it is dialled.
            if written && (7..=15).contains(&digits.len()) && !digits.starts_with('0') {
                return Ok(Self(format!("{digits}@c.us")));
            }
        }
        Err(ChannelError::Argument(format!(
            "phone {:?} is neither a phone number with its country code, such as +393331234567, nor \
             the id of a chat (…@c.us) or group (…@g.us).",
            text.chars().take(80).collect::<String>()
        )))
    }
}

/// A file to be sent.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// To whom.
    pub chat: Chat,
    /// What.
    pub source: Source,
    /// A text below it.
    pub caption: Option<String>,
    /// The name under which it arrives, in place of its own. Its ending decides how it is shown.
    pub filename: Option<String>,
}

/// An instance of Green API: one WhatsApp account.
#[derive(Debug)]
pub struct WhatsApp {
    http: Http,
    instance: String,
    token: Secret,
}

impl WhatsApp {
    /// The instance `id`.
    pub fn new(base_url: Url, id: &str, token: &Secret, stop: CancellationToken) -> Self {
        Self {
            http: Http::new(Provider::GreenApi, base_url, token, judge, stop),
            instance: format!("waInstance{id}"),
            token: token.clone(),
        }
    }

    fn path<'a>(&'a self, method: &'a str) -> [&'a str; 3] {
        [&self.instance, method, self.token.reveal()]
    }

    /// Sends a text (`sendMessage`), as several messages if it is long.
    ///
    /// # Errors
    ///
    /// [`ChannelError`].
    pub async fn send_message(&self, chat: &Chat, text: &str) -> Result<Sent, ChannelError> {
        if Unit::Characters.count(text) > MOST_PARTS * LONGEST_TEXT {
            return Err(too_long());
        }
        let texts = split::plain(text, Unit::Characters, LONGEST_TEXT);
        let parts = parts(&texts, |text| json!({"chatId": chat.0, "message": text}))?;
        let path = self.path("sendMessage");
        self.http.post_parts(&path, parts, "idMessage").await
    }

    /// Sends a file: `sendFileByUpload`, or `sendFileByUrl`, which Green API fetches.
    ///
    /// # Errors
    ///
    /// [`ChannelError`].
    pub async fn send_file(&self, new: &NewFile) -> Result<Sent, ChannelError> {
        let caption = new.caption.as_deref();
        check_caption("caption", caption, Unit::Characters, LONGEST_CAPTION)?;
        let given = new.filename.as_deref().map(fit_name);
        if given
            .as_deref()
            .is_some_and(|name| extension(name).is_none())
        {
            return Err(ChannelError::Argument(
                "filename needs an ending, such as .pdf: it decides how the file is shown.".into(),
            ));
        }
        let message = match &new.source {
            Source::Url(url) => {
                let name = given.unwrap_or_else(|| super::fetch::name(url));
                if extension(&name).is_none() {
                    return Err(ChannelError::Argument(
                        "The url does not end in a file name with an ending: give filename, such as \
                         report.pdf; its ending decides how the file is shown."
                            .into(),
                    ));
                }
                let mut body =
                    json!({"chatId": new.chat.0, "urlFile": url.as_str(), "fileName": name});
                if let Some(caption) = caption {
                    body["caption"] = json!(caption);
                }
                let path = self.path("sendFileByUrl");
                self.http.post(&path, Content::Json(&body)).await?
            }
            Source::Path(path) => {
                let file = LocalFile::find(path).await?;
                file.check(LIMIT)?;
                let name = given.unwrap_or_else(|| file.name.clone());
                let mut fields = vec![("chatId", new.chat.0.clone())];
                fields.push(("fileName", name.clone()));
                fields.extend(caption.map(|caption| ("caption", caption.to_owned())));
                let upload = Upload {
                    fields: &fields,
                    field: "file",
                    name: &name,
                    file: FileOf::Disk(&file),
                    limit: LIMIT,
                };
                let path = self.path("sendFileByUpload");
                self.http.post(&path, Content::Upload(upload)).await?
            }
        };
        Ok(Sent::one(message))
    }

    /// Asks how the instance is (`getStateInstance`), which checks the token, too: `authorized` if
    /// it can send, else see [`state_hint`].
    ///
    /// # Errors
    ///
    /// [`ChannelError`].
    pub async fn state(&self) -> Result<String, ChannelError> {
        let state = self.http.get(&self.path("getStateInstance")).await?;
        let state = state.get("stateInstance").and_then(Value::as_str);
        Ok(state.unwrap_or("unknown").to_owned())
    }
}

/// What to do about an instance in this state.
pub fn state_hint(state: &str) -> &'static str {
    match state {
        "notAuthorized" => {
            "link it again: scan its QR code in the Green API console with WhatsApp on the phone"
        }
        "blocked" => "WhatsApp has banned this account",
        "sleepMode" => "the phone is off or out of reach: switch it on",
        "starting" => "it is starting, which takes up to five minutes: try again then",
        "yellowCard" | "suspended" => {
            "WhatsApp has restricted this account for sending too much: send less, and reboot the \
             instance in the Green API console"
        }
        _ => "look at it in the Green API console",
    }
}

/// An object, or `{"statusCode": 400, "message": "…", "path": "…"}` (the path has the token in it),
/// or for a quota `{"invokeStatus": {…}, "correspondentsStatus": {"description": "…"}}`.
fn judge(answer: &Answer) -> Result<Map<String, Value>, Verdict> {
    if answer.is_success() {
        let object = answer.body.as_object();
        return object.cloned().ok_or(Verdict::Unreadable);
    }
    let quota = ["/correspondentsStatus", "/invokeStatus"]
        .into_iter()
        .find(|status| {
            let status = answer.text(&format!("{status}/status"));
            status.is_some_and(|status| status.contains("EXCEEDED"))
        });
    let description = quota
        .and_then(|status| answer.text(&format!("{status}/description")))
        .or_else(|| answer.text("/message"))
        .or_else(|| answer.text("/error"))
        .or_else(|| answer.body.as_str())
        .unwrap_or_default();
    Err(Verdict::Refused(Refusal {
        provider: Provider::GreenApi,
        http_status: answer.http_status,
        code: None,
        hint: hint(answer.http_status, &description.to_lowercase()).map(Cow::Borrowed),
        description: description.to_owned(),
        retry_after: answer.retry_after,
    }))
}

/// What to do about a refusal (Green API, "Common errors"), known by its words in lower case.
fn hint(http_status: u16, description: &str) -> Option<&'static str> {
    Some(match http_status {
        400 if description.contains("not authorized") => state_hint("notAuthorized"),
        400 if description.contains("starting") => state_hint("starting"),
        400 if description.contains("expired") => {
            "the instance is not paid for: renew it in the Green API console"
        }
        400 if description.contains("deleted") => {
            "the instance was deleted: set GREEN_API_ID and GREEN_API_TOKEN of another"
        }
        400 if description.contains("chatid") => "check phone, with its country code",
        401 => "check GREEN_API_TOKEN: the Green API console shows the instance's apiTokenInstance",
        403 => "check GREEN_API_ID: the Green API console shows the instance's idInstance",
        404 => "check GREEN_API_ID and GREEN_API_BASE_URL",
        413 => "the file is too large: at most 100 MB can be sent",
        466 => {
            "the instance's plan allows no more this month, or only certain chats: change the plan in \
             the Green API console"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_number_becomes_a_chat() {
        for (phone, chat) in [
            ("+39 333 123-4567", "393331234567@c.us"),
            ("393331234567", "393331234567@c.us"),
            ("+1 (415) 555.0123", "14155550123@c.us"),
            ("393331234567@c.us", "393331234567@c.us"),
            ("120363043968066561@g.us", "120363043968066561@g.us"),
            ("79001234567-1581234048@g.us", "79001234567-1581234048@g.us"),
        ] {
            assert_eq!(Chat::parse(phone).unwrap().0, chat);
        }
        for bad in [
            "",
            "+",
            "12345",
            "00393331234567",
            "3331234567x",
            "120363043968066561",
            "1@s.whatsapp.net",
            "a@c.us",
            "@g.us",
            "1/../2@c.us",
        ] {
            let why = Chat::parse(bad).unwrap_err().to_string();
            assert!(why.contains("phone"), "{why}");
        }
    }

    #[test]
    fn a_quota_is_explained_in_green_api_s_words() {
        let answer = Answer {
            http_status: 466,
            body: json!({
                "invokeStatus": {"method": "sendmessage", "status": "QUOTE_ALLOWED"},
                "correspondentsStatus": {
                    "status": "CORRESPONDENTS_QUOTE_EXCEEDED",
                    "description": "Monthly quota has been exceeded.",
                },
            }),
            retry_after: None,
        };
        let Err(Verdict::Refused(refusal)) = judge(&answer) else {
            panic!("not refused");
        };
        let said = refusal.to_string();
        assert!(said.contains("Monthly quota has been exceeded;"), "{said}");
        assert!(said.contains("plan"), "{said}");
        assert!(refusal.is_certain());
    }

    #[test]
    fn refusals_say_what_to_do() {
        for (status, description, word) in [
            (400, "instance is starting or not authorized", "QR code"),
            (
                400,
                "instance in starting process try later",
                "five minutes",
            ),
            (
                400,
                "Instance account is expired. Renew your instance",
                "renew",
            ),
            (
                400,
                "Validation failed. Details: 'chatId' is required",
                "phone",
            ),
            (401, "Unauthorized", "GREEN_API_TOKEN"),
            (403, "", "GREEN_API_ID"),
        ] {
            let hint = hint(status, &description.to_lowercase()).unwrap();
            assert!(hint.contains(word), "{description}: {hint}");
        }
    }
}
