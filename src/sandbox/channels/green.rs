//! Green API (<https://green-api.com/en/docs/api/>): the state of the instance, texts, and files by
//! upload and by URL.

use axum::response::Response;
use chrono::Utc;
use serde_json::{Value, json};

use super::form::Fields;
use super::{Asked, ChannelFile, ChannelMessage, Messengers, json as answer, plain};
use crate::sandbox::hex32;

const LARGEST_FILE: usize = 100 * 1024 * 1024;

pub(super) fn serve(messengers: &Messengers, instance: &str, asked: &Asked) -> Response {
    if instance != messengers.green_id {
        return plain(403, "");
    }
    let [method, token] = &asked.segments[..] else {
        return plain(404, "");
    };
    if *token != messengers.green_token {
        return plain(401, "");
    }
    let path = format!("/waInstance{instance}/{method}/{token}");
    if method == "getStateInstance" {
        return answer(200, &json!({"stateInstance": "authorized"}));
    }
    let Some(fields) = Fields::read(asked) else {
        return refuse(&path, "bad request data");
    };
    let needed: &[&str] = match method.as_str() {
        "sendMessage" => &["chatId", "message"],
        "sendFileByUrl" => &["chatId", "urlFile", "fileName"],
        "sendFileByUpload" => &["chatId"],
        _ => return plain(404, ""),
    };
    for name in needed {
        if fields.text(name).is_none_or(|text| text.is_empty()) {
            let why = format!("Validation failed. Details: '{name}' is required");
            return refuse(&path, &why);
        }
    }
    let chat = fields.text("chatId").unwrap_or_default();
    let (name, domain) = chat.split_once('@').unwrap_or_default();
    if !matches!(domain, "c.us" | "g.us") || !name.bytes().all(|b| b.is_ascii_digit() || b == b'-')
    {
        return refuse(
            &path,
            "Validation failed. Details: 'chatId' must be one of the allowed formats",
        );
    }
    if let Some(response) = fails(messengers, &path, name) {
        return response;
    }
    match take(&fields, method) {
        Ok((text, file, url)) => {
            messengers.take(ChannelMessage {
                channel: "whatsapp",
                to: chat,
                text,
                file,
            });
            let mut object = json!({"idMessage": hex32()[..20].to_uppercase()});
            if let Some(url) = url {
                object["urlFile"] = json!(url);
            }
            answer(200, &object)
        }
        Err(why) => refuse(&path, &why),
    }
}

/// The text, the file, and where an upload is kept.
type Taken = (String, Option<ChannelFile>, Option<String>);

fn take(fields: &Fields, method: &str) -> Result<Taken, String> {
    let caption = fields.text("caption").unwrap_or_default();
    match method {
        "sendMessage" => {
            let text = fields.text("message").unwrap_or_default();
            if text.chars().count() > 20_000 {
                return Err(
                    "Validation failed. Details: 'message' length must be less than or equal to 20000 characters long".into(),
                );
            }
            Ok((text, None, None))
        }
        "sendFileByUrl" => {
            let file_name = fields.text("fileName").unwrap_or_default();
            if !file_name.contains('.') {
                return Err(
                    "Validation failed. Details: 'fileName' must contain the extension".into(),
                );
            }
            let file = ChannelFile {
                kind: "file",
                name: fields.text("urlFile").unwrap_or_default(),
                length: None,
            };
            Ok((caption, Some(file), None))
        }
        _ => {
            let Some(file) = fields.file("file") else {
                return Err("Validation failed. Details: 'file' is required".into());
            };
            if file.length > LARGEST_FILE {
                return Err("File exceeded max upload size. Limit: 100mb".into());
            }
            let name = fields.text("fileName").unwrap_or_else(|| file.name.clone());
            let url = format!("https://media.example.com/{}/{name}", hex32());
            let file = ChannelFile {
                kind: "file",
                name,
                length: Some(file.length),
            };
            Ok((caption, Some(file), Some(url)))
        }
    }
}

/// Phone numbers that fail on purpose.
fn fails(messengers: &Messengers, path: &str, number: &str) -> Option<Response> {
    match number {
        "15005550400" => Some(refuse(path, "instance is starting or not authorized")),
        "15005550429" if messengers.limits("whatsapp 429") => Some(plain(429, "")),
        "15005554290" => Some(plain(429, "")),
        "15005550466" => {
            let body = json!({
                "invokeStatus": {"method": "sendmessage", "used": 67, "total": 0, "status": "QUOTE_ALLOWED"},
                "correspondentsStatus": {
                    "method": "correspondents", "used": 3, "total": 3,
                    "status": "CORRESPONDENTS_QUOTE_EXCEEDED",
                    "description": "Monthly quota has been exceeded.",
                },
            });
            Some(answer(466, &body))
        }
        "15005550502" => Some(plain(502, "<html>Bad Gateway</html>")),
        _ => None,
    }
}

/// As the service does, with the whole path, token included.
fn refuse(path: &str, message: &str) -> Response {
    let body: Value = json!({
        "statusCode": 400, "timestamp": Utc::now().to_rfc3339(), "path": path, "message": message,
    });
    answer(400, &body)
}
