//! Parameters of Twilio's REST requests, and the errors they are refused with.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use url::Url;

use crate::sandbox::complaints::Complaints;

/// An error as Twilio words it (<https://www.twilio.com/docs/api/errors>).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RestError {
    status: u16,
    code: u32,
    message: String,
}

impl RestError {
    /// Any error.
    pub(crate) fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// A parameter that is refused: HTTP 400.
    pub(crate) fn bad(code: u32, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    /// Nothing there: HTTP 404.
    pub(crate) fn not_found(path: &str) -> Self {
        let message = format!("The requested resource {path} was not found");
        Self::new(404, 20404, message)
    }

    /// The response.
    pub(crate) fn response(&self) -> Response {
        answer(
            self.status,
            &json!({
                "code": self.code,
                "message": self.message,
                "more_info": format!("https://www.twilio.com/docs/errors/{}", self.code),
                "status": self.status,
            }),
        )
    }
}

/// A JSON response.
pub(crate) fn answer(status: u16, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The decoded fields of a form.
pub(crate) struct Form(pub(crate) Vec<(String, String)>);

impl Form {
    pub(crate) fn parse(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    /// The value of a field; empty is absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let named = |(n, v): &&(String, String)| n == name && !v.is_empty();
        self.0.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// The values of a field that may be repeated.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self
            .0
            .iter()
            .filter(move |(n, v)| n == name && !v.is_empty());
        named.map(|(_, value)| value.as_str())
    }

    /// Twilio ignores names it does not know; whoever sends one has mistaken it for another.
    pub(crate) fn complain(&self, known: &[&str], repeated: &[&str], complaints: &Complaints) {
        for (index, (name, _)) in self.0.iter().enumerate() {
            let before = self.0[..index].iter().any(|(n, _)| n == name);
            if !known.contains(&name.as_str()) {
                complaints.add(format!("unknown parameter {name}"));
            } else if before && !repeated.contains(&name.as_str()) {
                complaints.add(format!("parameter {name} more than once"));
            }
        }
    }

    /// A number in `range`.
    pub(crate) fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, RestError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            // The page of errors has no number for this; 20001 is Twilio's general one.
            _ => Err(RestError::bad(
                20001,
                format!("{name} '{value}' is invalid"),
            )),
        }
    }

    /// An absolute HTTP URL, else the error `code`.
    pub(crate) fn url(&self, name: &str, code: u32) -> Result<Option<String>, RestError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let valid = Url::parse(value).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.host_str().is_some_and(|host| !host.contains('_'))
        });
        if !valid || value.len() > 4_000 {
            return Err(RestError::bad(
                code,
                format!("{name} is not a valid URL: {value}"),
            ));
        }
        Ok(Some(value.to_owned()))
    }
}

/// Whether `number` looks like E.164.
pub(crate) fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (8..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_unknown_and_empty_fields() {
        let form = Form::parse(b"To=%2B1&E=a&E=b&X=&Too=1&To=2");
        assert_eq!(form.get("To"), Some("+1"));
        assert_eq!(form.all("E").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(form.get("X"), None);
        let complaints = Complaints::default();
        form.complain(&["To", "E", "X"], &["E"], &complaints);
        assert_eq!(
            complaints.all(),
            ["unknown parameter Too", "parameter To more than once"]
        );
    }

    #[test]
    fn numbers_and_urls() {
        assert!(is_e164("+390612345678"));
        for bad in [
            "390612345678",
            "+0123456789",
            "+12345",
            "+1415555x001",
            "+1234567890123456",
        ] {
            assert!(!is_e164(bad), "{bad}");
        }
        let form =
            Form::parse(b"a=http%3A%2F%2Flocalhost%2Fx&b=ftp%3A%2F%2Fx&c=http%3A%2F%2Fa_b%2F&n=61");
        assert!(form.url("a", 1).is_ok_and(|url| url.is_some()));
        assert!(form.url("b", 1).is_err() && form.url("c", 1).is_err());
        assert_eq!(form.url("d", 1), Ok(None));
        assert_eq!(form.number("n", 1..=61), Ok(Some(61)));
        assert!(form.number("n", 1..=60).is_err());
    }
}
