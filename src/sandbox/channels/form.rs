//! What a request carries: JSON, or a form with a file (RFC 7578).

use axum::http::header;
use serde_json::{Map, Value};

use super::Asked;

/// Fields, and files that came with them.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) values: Map<String, Value>,
    pub(super) files: Vec<FilePart>,
}

/// A file of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FilePart {
    pub(super) field: String,
    pub(super) name: String,
    pub(super) mime: String,
    pub(super) length: usize,
}

impl Fields {
    /// Reads the body by its content type; `None` if it is not what that says.
    pub(super) fn read(asked: &Asked) -> Option<Self> {
        let kind = asked.headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        if kind.starts_with("application/json") {
            let values = serde_json::from_slice(&asked.body).ok()?;
            return Some(Self {
                values,
                files: Vec::new(),
            });
        }
        let boundary = kind.strip_prefix("multipart/form-data;")?;
        let boundary = boundary.trim().strip_prefix("boundary=")?.trim_matches('"');
        parts(&asked.body, boundary)
    }

    /// A text, or a number as text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.values.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    pub(super) fn file(&self, field: &str) -> Option<&FilePart> {
        self.files.iter().find(|file| file.field == field)
    }
}

/// Takes a form apart. It must be complete, with its last boundary.
fn parts(body: &[u8], boundary: &str) -> Option<Fields> {
    let mut fields = Fields::default();
    let first = format!("--{boundary}");
    let next = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(first.as_bytes())?;
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let head_end = find(part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&part[..head_end]).ok()?;
        let content = &part[head_end + 4..];
        let end = find(content, next.as_bytes())?;
        let disposition = head
            .lines()
            .find(|line| has_name(line, "content-disposition"))?;
        let field = parameter(disposition, "name")?.to_owned();
        if let Some(name) = parameter(disposition, "filename") {
            let mime = head.lines().find(|line| has_name(line, "content-type"));
            let mime = mime.and_then(|line| line.split_once(':'));
            fields.files.push(FilePart {
                field,
                name: name.to_owned(),
                mime: mime.map_or("", |(_, mime)| mime.trim()).to_owned(),
                length: end,
            });
        } else {
            let text = std::str::from_utf8(&content[..end]).ok()?;
            fields.values.insert(field, text.into());
        }
        rest = &content[end + next.len()..];
    }
    rest.starts_with(b"--").then_some(fields)
}

fn has_name(line: &str, name: &str) -> bool {
    let known = line.split_once(':').map(|(known, _)| known);
    known.is_some_and(|known| known.eq_ignore_ascii_case(name))
}

fn parameter<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = format!("; {name}=\"");
    let at = line.find(&start)? + start.len();
    line[at..].split('"').next()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle.first()?;
    let mut from = 0;
    loop {
        from += haystack[from..].iter().position(|byte| byte == first)?;
        if haystack[from..].starts_with(needle) {
            return Some(from);
        }
        from += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_taken_apart() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n2\r\n--x\r\n\
            Content-Disposition: form-data; name=\"f\"; filename=\"n.bin\"\r\nContent-Type: a/b\r\n\r\n\
            \r\n-\x00\r\n--x--\r\n";
        let fields = parts(body, "x").unwrap();
        assert_eq!(fields.text("a").as_deref(), Some("1\r\n2"));
        let file = FilePart {
            field: "f".into(),
            name: "n.bin".into(),
            mime: "a/b".into(),
            length: 4,
        };
        assert_eq!(fields.files, [file]);
        for end in 1..body.len() - 3 {
            assert!(parts(&body[..end], "x").is_none(), "{end}");
        }
    }
}
