//! Telegram's Bot API (<https://core.telegram.org/bots/api>): `getMe`, `sendMessage` and the four ways
//! to send a file.

use axum::response::Response;
use chrono::Utc;
use serde_json::{Value, json};

use super::form::Fields;
use super::{Asked, ChannelFile, ChannelMessage, Messengers, json as answer, plain};
use crate::sandbox::hex32;

const LARGEST_PHOTO: usize = 10 * 1024 * 1024;
const LARGEST_FILE: usize = 50 * 1024 * 1024;

const SEND_MESSAGE: &[&str] = &[
    "chat_id",
    "text",
    "parse_mode",
    "entities",
    "link_preview_options",
    "disable_notification",
    "protect_content",
    "message_thread_id",
    "reply_parameters",
    "reply_markup",
];

pub(super) fn serve(messengers: &Messengers, token: &str, asked: &Asked) -> Response {
    if token != messengers.telegram_token {
        // What cannot be a token is no path at all.
        return if token.contains(':') {
            refuse(401, "Unauthorized")
        } else {
            refuse(404, "Not Found")
        };
    }
    let [method] = &asked.segments[..] else {
        return refuse(404, "Not Found");
    };
    let kind = match method.as_str() {
        "getMe" => return ok(&me(messengers)),
        "sendMessage" => None,
        "sendPhoto" => Some("photo"),
        "sendDocument" => Some("document"),
        "sendVoice" => Some("voice"),
        "sendVideo" => Some("video"),
        _ => return refuse(404, "Not Found"),
    };
    let Some(fields) = Fields::read(asked) else {
        return refuse(400, "Bad Request: can't parse the request");
    };
    let Some(chat) = fields.text("chat_id").filter(|chat| !chat.is_empty()) else {
        return refuse(400, "Bad Request: chat_id is empty");
    };
    if let Some(response) = fails(messengers, &chat) {
        return response;
    }
    let message = match kind {
        None => text_message(messengers, &fields),
        Some(kind) => file_message(kind, &fields),
    };
    match message {
        Ok((content, text, file)) => {
            messengers.take(ChannelMessage {
                channel: "telegram",
                to: chat.clone(),
                text,
                file,
            });
            let mut message = json!({
                "message_id": messengers.next_id(),
                "from": me(messengers),
                "chat": chat_object(&chat),
                "date": Utc::now().timestamp(),
            });
            for (name, value) in content.as_object().into_iter().flatten() {
                message[name] = value.clone();
            }
            ok(&message)
        }
        Err((code, description)) => refuse(code, &description),
    }
}

/// What is in the message object, the text, and the file.
type Content = (Value, String, Option<ChannelFile>);
type Refused = (u16, String);

fn bad(what: &str) -> Refused {
    (400, format!("Bad Request: {what}"))
}

fn text_message(messengers: &Messengers, fields: &Fields) -> Result<Content, Refused> {
    for name in fields.values.keys() {
        if !SEND_MESSAGE.contains(&name.as_str()) {
            let complaint = format!("telegram sendMessage: unknown parameter {name}");
            messengers.complaints.add(complaint);
        }
    }
    let text = fields.text("text").unwrap_or_default();
    let shown = match fields.text("parse_mode").as_deref() {
        None | Some("") => text.clone(),
        Some("HTML") => read_html(&text)?,
        Some("MarkdownV2") => read_markdown(&text, true)?,
        Some("Markdown") => read_markdown(&text, false)?,
        Some(_) => return Err(bad("unsupported parse_mode")),
    };
    if shown.trim().is_empty() {
        return Err(bad("message text is empty"));
    }
    if shown.encode_utf16().count() > 4096 {
        return Err(bad("message is too long"));
    }
    Ok((json!({"text": shown}), text, None))
}

fn file_message(kind: &'static str, fields: &Fields) -> Result<Content, Refused> {
    let caption = fields.text("caption").unwrap_or_default();
    if caption.encode_utf16().count() > 1024 {
        return Err(bad("message caption is too long"));
    }
    let (name, length, mime) = if let Some(file) = fields.file(kind) {
        let largest = if kind == "photo" {
            LARGEST_PHOTO
        } else {
            LARGEST_FILE
        };
        if file.length > largest {
            return Err((413, "Request Entity Too Large".into()));
        }
        if file.length == 0 {
            return Err(bad("file must be non-empty"));
        }
        (file.name.clone(), Some(file.length), file.mime.clone())
    } else {
        let url = fields.text(kind);
        let Some(url) = url.filter(|url| !url.is_empty()) else {
            return Err(bad(&format!("there is no {kind} in the request")));
        };
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(bad("wrong file identifier/HTTP URL specified"));
        }
        (url, None, String::new())
    };
    let mut object = json!({"file_id": hex32(), "file_unique_id": &hex32()[..15]});
    if let Some(length) = length {
        object["file_size"] = json!(length);
    }
    if !mime.is_empty() && kind != "photo" {
        object["mime_type"] = json!(mime);
    }
    match kind {
        "photo" => object = json!([object]),
        "document" => object["file_name"] = json!(name),
        _ => object["duration"] = json!(1),
    }
    let mut content = json!({kind: object});
    if !caption.is_empty() {
        content["caption"] = json!(caption);
    }
    let file = ChannelFile { kind, name, length };
    Ok((content, caption, Some(file)))
}

/// Chats that fail on purpose.
fn fails(messengers: &Messengers, chat: &str) -> Option<Response> {
    let later = |seconds: u32| {
        let body = json!({
            "ok": false, "error_code": 429,
            "description": format!("Too Many Requests: retry after {seconds}"),
            "parameters": {"retry_after": seconds},
        });
        answer(429, &body)
    };
    match chat {
        "404" => Some(refuse(400, "Bad Request: chat not found")),
        "403" => Some(refuse(403, "Forbidden: bot was blocked by the user")),
        "429" if messengers.limits("telegram 429") => Some(later(1)),
        "4290" => Some(later(60)),
        "502" => Some(plain(502, "<html>Bad Gateway</html>")),
        "-100" => {
            let body = json!({
                "ok": false, "error_code": 400,
                "description": "Bad Request: group chat was upgraded to a supergroup chat",
                "parameters": {"migrate_to_chat_id": -1_001_000_000_100_i64},
            });
            Some(answer(400, &body))
        }
        _ => None,
    }
}

fn me(messengers: &Messengers) -> Value {
    let id = messengers.telegram_token.split(':').next();
    let id = id.and_then(|id| id.parse::<u64>().ok());
    json!({"id": id, "is_bot": true, "first_name": "Sandbox", "username": "sandbox_bot"})
}

fn chat_object(chat: &str) -> Value {
    match chat.parse::<i64>() {
        Ok(id) if id > 0 => json!({"id": id, "type": "private", "first_name": "Somebody"}),
        Ok(id) => json!({"id": id, "type": "supergroup", "title": "Some group"}),
        Err(_) => json!({
            "id": -1_001_000_000_001_i64, "type": "channel", "title": "Some channel",
            "username": chat.trim_start_matches('@'),
        }),
    }
}

fn ok(result: &Value) -> Response {
    answer(200, &json!({"ok": true, "result": result}))
}

fn refuse(code: u16, description: &str) -> Response {
    let body = json!({"ok": false, "error_code": code, "description": description});
    answer(code, &body)
}

/// What is shown of a text with tags: they must be known, and closed in order.
fn read_html(text: &str) -> Result<String, Refused> {
    const TAGS: &[&str] = &[
        "b",
        "strong",
        "i",
        "em",
        "u",
        "ins",
        "s",
        "strike",
        "del",
        "span",
        "tg-spoiler",
        "a",
        "tg-emoji",
        "code",
        "pre",
        "blockquote",
    ];
    let wrong = |what: String| Err(bad(&format!("can't parse entities: {what}")));
    let (mut shown, mut open, mut rest) = (String::new(), Vec::new(), text);
    while let Some(at) = rest.find('<') {
        shown.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('>') else {
            return wrong("Unclosed start tag".into());
        };
        let tag = &rest[at + 1..at + end];
        rest = &rest[at + end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name.trim()) {
                return wrong(format!("Unmatched end tag \"{name}\""));
            }
        } else {
            let name = tag.split_whitespace().next().unwrap_or_default();
            if !TAGS.contains(&name) {
                return wrong(format!("Unsupported start tag \"{name}\""));
            }
            open.push(name);
        }
    }
    if let Some(name) = open.last() {
        return wrong(format!(
            "Can't find end tag corresponding to start tag \"{name}\""
        ));
    }
    shown.push_str(rest);
    for (reference, sign) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&amp;", "&"),
    ] {
        shown = shown.replace(reference, sign);
    }
    Ok(shown)
}

/// What is shown of a text with signs: they must come in pairs, and the others be escaped.
fn read_markdown(text: &str, v2: bool) -> Result<String, Refused> {
    const RESERVED: &str = "()>#+-=|{}.!";
    let wrong = |what: String| Err(bad(&format!("can't parse entities: {what}")));
    let (mut shown, mut open, mut code) = (String::new(), Vec::new(), false);
    let mut characters = text.chars().peekable();
    let mut at_line = true;
    while let Some(c) = characters.next() {
        let begins_line = std::mem::replace(&mut at_line, c == '\n');
        match c {
            '\\' => shown.extend(characters.next()),
            '`' => {
                while characters.next_if_eq(&'`').is_some() {}
                code = !code;
            }
            _ if code => shown.push(c),
            '*' | '_' | '~' | '|' if v2 || "*_".contains(c) => {
                let doubled = v2 && "_|".contains(c) && characters.next_if_eq(&c).is_some();
                if c == '|' && !doubled {
                    return wrong("Character '|' is reserved and must be escaped".into());
                }
                let sign = (c, doubled);
                if let Some(index) = open.iter().position(|known| *known == sign) {
                    open.remove(index);
                } else {
                    open.push(sign);
                }
            }
            ']' if characters.next_if_eq(&'(').is_some() => {
                if !characters.by_ref().any(|c| c == ')') {
                    return wrong("Can't find end of a URL".into());
                }
            }
            '[' | ']' => {}
            '>' if begins_line => {}
            _ if v2 && RESERVED.contains(c) => {
                let what = format!(
                    "Character '{c}' is reserved and must be escaped with the preceding '\\'"
                );
                return wrong(what);
            }
            _ => shown.push(c),
        }
    }
    if code || !open.is_empty() {
        return wrong("Can't find end of the entity".into());
    }
    Ok(shown)
}
