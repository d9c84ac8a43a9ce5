//! SMS: created, then delivered while one looks.
//!
//! Source: <https://www.twilio.com/docs/messaging/api/message-resource>.

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::call::rfc2822;
use super::form::{Form, RestError, answer, is_e164};
use super::{Carrier, lock};
use crate::sandbox::hex32;

const CREATE: &[&str] = &[
    "To",
    "From",
    "MessagingServiceSid",
    "Body",
    "MediaUrl",
    "StatusCallback",
    "ValidityPeriod",
    "SmartEncoded",
];

/// The way of a message, one step for every look at it.
const STATUSES: [&str; 3] = ["queued", "sent", "delivered"];

/// A message as the sandbox saw it.
#[derive(Debug, Clone)]
pub struct Message {
    /// `SM…`, or `MM…` with media.
    pub sid: String,
    /// The recipient.
    pub to: String,
    /// The sender: a number or a messaging service.
    pub from: String,
    /// The text.
    pub body: String,
    /// The media it carries.
    pub media: Vec<String>,
    /// `queued`, `sent` or `delivered`.
    pub status: &'static str,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

impl Message {
    fn json(&self, account: &str) -> Value {
        let uri = format!("/2010-04-01/Accounts/{account}/Messages/{}", self.sid);
        let service = self.from.starts_with("MG").then_some(&self.from);
        json!({
            "sid": self.sid,
            "account_sid": account,
            "messaging_service_sid": service,
            "to": self.to,
            "from": service.is_none().then_some(&self.from),
            "body": self.body,
            "status": self.status,
            "direction": "outbound-api",
            "num_segments": segments(&self.body).to_string(),
            "num_media": self.media.len().to_string(),
            "error_code": null,
            "error_message": null,
            "price": null,
            "price_unit": "USD",
            "api_version": "2010-04-01",
            "date_created": rfc2822(self.created_at),
            "date_updated": rfc2822(Utc::now()),
            "date_sent": (self.status != STATUSES[0]).then(|| rfc2822(self.created_at)),
            "uri": format!("{uri}.json"),
            "subresource_uris": {"media": format!("{uri}/Media.json")},
        })
    }
}

/// `POST Messages.json`
pub(crate) fn create(carrier: &Carrier, form: &Form) -> Result<Response, RestError> {
    form.complain(CREATE, &["MediaUrl"], &carrier.complaints);
    let bad = |code, message: &str| Err(RestError::bad(code, message));
    let Some(to) = form.get("To") else {
        return bad(21604, "A 'To' phone number is required.");
    };
    let Some(from) = form.get("From").or_else(|| form.get("MessagingServiceSid")) else {
        return bad(21603, "A 'From' phone number is required.");
    };
    let body = form.get("Body").unwrap_or_default();
    let media: Vec<String> = form.all("MediaUrl").map(str::to_owned).collect();
    if body.is_empty() && media.is_empty() {
        return bad(21602, "Message body is required.");
    }
    if body.chars().count() > 1_600 {
        return bad(
            21617,
            "The concatenated message body exceeds the 1600 character limit.",
        );
    }
    if media.len() > 10 {
        return bad(21623, "Number of media files exceeds allowed limit.");
    }
    if media
        .iter()
        .any(|url| !url.starts_with("https://") && !url.starts_with("http://"))
    {
        return bad(21620, "Invalid media URL(s).");
    }
    if !is_e164(to) {
        let message = format!("The 'To' number {to} is not a valid phone number.");
        return bad(21211, &message);
    }
    match from {
        "+15005550001" => return bad(21212, "The 'From' number is not a valid phone number."),
        "+15005550008" => return bad(21611, "This 'From' number has exceeded the queue limit."),
        own if own == carrier.account.number || own.starts_with("MG") => {}
        other if is_e164(other) => {
            return bad(
                21606,
                "The 'From' phone number is not a valid, SMS-capable number.",
            );
        }
        _ => return bad(21212, "The 'From' number is not a valid phone number."),
    }
    match to {
        "+15005550001" => return bad(21211, "The 'To' number is not a valid phone number."),
        "+15005550002" => return bad(21612, "The 'To' phone number cannot be reached."),
        "+15005550003" => return bad(21408, "Permission to send an SMS has not been enabled."),
        "+15005550004" => return bad(21610, "Attempt to send to unsubscribed recipient"),
        "+15005550009" => return bad(21614, "'To' number is not a valid mobile number"),
        _ => {}
    }
    let prefix = if media.is_empty() { "SM" } else { "MM" };
    let message = Message {
        sid: format!("{prefix}{}", hex32()),
        to: to.to_owned(),
        from: from.to_owned(),
        body: body.to_owned(),
        media,
        status: STATUSES[0],
        created_at: Utc::now(),
    };
    let body = message.json(&carrier.account.sid);
    lock(&carrier.messages).push(message);
    Ok(answer(201, &body))
}

/// `GET Messages/SM….json`
pub(crate) fn show(carrier: &Carrier, sid: &str, path: &str) -> Result<Response, RestError> {
    let mut messages = lock(&carrier.messages);
    let message = messages
        .iter_mut()
        .find(|message| message.sid == sid)
        .ok_or_else(|| RestError::not_found(path))?;
    let now = STATUSES
        .iter()
        .position(|s| *s == message.status)
        .unwrap_or(0);
    message.status = STATUSES[(now + 1).min(STATUSES.len() - 1)];
    Ok(answer(200, &message.json(&carrier.account.sid)))
}

/// Characters of the GSM-7 alphabet beyond ASCII letters and digits, then those that take two.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";
const GSM_DOUBLE: &str = "^{}\\[~]|€";

/// 160 or 153 GSM-7 characters, 70 or 67 UCS-2 units.
fn segments(body: &str) -> usize {
    let gsm = body.chars().try_fold(0, |sum, c| {
        if c.is_ascii_alphanumeric() || GSM.contains(c) {
            Some(sum + 1)
        } else {
            GSM_DOUBLE.contains(c).then_some(sum + 2)
        }
    });
    let (length, single, part) = match gsm {
        Some(length) => (length, 160, 153),
        None => (body.encode_utf16().count(), 70, 67),
    };
    if length <= single {
        1
    } else {
        length.div_ceil(part)
    }
}

#[cfg(test)]
mod tests {
    use super::segments;

    #[test]
    fn segments_by_alphabet() {
        assert_eq!(segments(""), 1);
        assert_eq!(segments(&"a".repeat(160)), 1);
        assert_eq!(segments(&"a".repeat(161)), 2);
        assert_eq!(segments(&"€".repeat(81)), 2);
        assert_eq!(segments(&"你".repeat(70)), 1);
        assert_eq!(segments(&"你".repeat(71)), 2);
    }
}
