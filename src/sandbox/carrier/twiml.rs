//! Reads the part of TwiML that the sandbox can act on.
//!
//! Source: <https://www.twilio.com/docs/voice/twiml>. A reader of well-formed XML without
//! namespaces, doctypes and CDATA, which is all that a call in this project needs.

/// One verb of a `<Response>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verb {
    /// `<Connect><Stream url="…">`
    Connect(Stream),
    /// `<Redirect>url</Redirect>`
    Redirect(String),
    /// `<Hangup/>`
    Hangup,
    /// `<Say>text</Say>`
    Say(String),
    /// `<Play digits="…"/>`
    PlayDigits(String),
    /// `<Pause length="seconds"/>`
    Pause(u64),
}

/// `<Stream>` with its parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    /// `ws://` or `wss://`.
    pub(crate) url: String,
    /// `<Parameter name value>` in order.
    pub(crate) parameters: Vec<(String, String)>,
    /// `statusCallback`
    pub(crate) status_callback: Option<String>,
}

struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// An attribute that is dropped silently would be a lie about what the sandbox does.
    fn only(&self, allowed: &[&str]) -> Result<(), String> {
        let unknown = |(name, _): &&(String, String)| !allowed.contains(&name.as_str());
        match self.attributes.iter().find(unknown) {
            Some((name, _)) => Err(format!("<{}>: attribute {name}", self.name)),
            None => Ok(()),
        }
    }
}

/// Reads a document; the error says what the sandbox could not understand.
pub(crate) fn read(document: &str) -> Result<Vec<Verb>, String> {
    let mut reader = Reader { rest: document };
    let root = reader.element()?;
    reader.skip_misc()?;
    if !reader.rest.is_empty() {
        return Err("text after the root element".to_owned());
    }
    if root.name != "Response" {
        return Err(format!("root element <{}>, not <Response>", root.name));
    }
    root.only(&[])?;
    root.children.iter().map(verb).collect()
}

fn verb(element: &Element) -> Result<Verb, String> {
    match element.name.as_str() {
        "Connect" => connect(element),
        "Redirect" => {
            element.only(&["method"])?;
            Ok(Verb::Redirect(element.text.trim().to_owned()))
        }
        "Hangup" => element.only(&[]).map(|()| Verb::Hangup),
        "Say" => {
            element.only(&["voice", "language"])?;
            Ok(Verb::Say(element.text.trim().to_owned()))
        }
        "Play" => {
            element.only(&["digits"])?;
            let digits = element.attribute("digits").unwrap_or_default();
            let valid = |c: char| "0123456789*#wWABCD".contains(c);
            if digits.is_empty() || !digits.chars().all(valid) {
                return Err(format!("<Play digits={digits:?}>"));
            }
            Ok(Verb::PlayDigits(digits.to_owned()))
        }
        "Pause" => {
            element.only(&["length"])?;
            let length = element.attribute("length").unwrap_or("1");
            let seconds = length.parse().map_err(|_| format!("<Pause {length:?}>"))?;
            Ok(Verb::Pause(seconds))
        }
        other => Err(format!("verb <{other}>")),
    }
}

fn connect(element: &Element) -> Result<Verb, String> {
    element.only(&[])?;
    let [stream] = element.children.as_slice() else {
        return Err("<Connect> without exactly one <Stream>".to_owned());
    };
    if stream.name != "Stream" {
        return Err(format!("<Connect><{}>", stream.name));
    }
    stream.only(&["url", "name", "statusCallback", "statusCallbackMethod"])?;
    let mut parameters = Vec::new();
    for parameter in &stream.children {
        if parameter.name != "Parameter" {
            return Err(format!("<Stream><{}>", parameter.name));
        }
        parameter.only(&["name", "value"])?;
        let name = parameter.attribute("name").unwrap_or_default();
        let value = parameter.attribute("value").unwrap_or_default();
        if name.is_empty() || name.len() + value.len() >= 500 {
            return Err(format!("<Parameter name={name:?}>: name or length"));
        }
        parameters.push((name.to_owned(), value.to_owned()));
    }
    let url = stream.attribute("url").unwrap_or_default();
    if !url.starts_with("ws://") && !url.starts_with("wss://") {
        return Err(format!("<Stream url={url:?}>"));
    }
    Ok(Verb::Connect(Stream {
        url: url.to_owned(),
        parameters,
        status_callback: stream.attribute("statusCallback").map(str::to_owned),
    }))
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn eat(&mut self, token: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(token) else {
            return false;
        };
        self.rest = rest;
        true
    }

    fn until(&mut self, token: &str) -> Result<&'a str, String> {
        let (before, after) = self
            .rest
            .split_once(token)
            .ok_or_else(|| format!("no {token:?} before the end"))?;
        self.rest = after;
        Ok(before)
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// White space, comments, the `<?xml …?>` line.
    fn skip_misc(&mut self) -> Result<(), String> {
        loop {
            self.skip_space();
            if self.eat("<!--") {
                self.until("-->")?;
            } else if self.eat("<?") {
                self.until("?>")?;
            } else {
                return Ok(());
            }
        }
    }

    fn name(&mut self) -> Result<String, String> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c))
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        if name.is_empty() {
            return Err(format!("a name expected at {:?}", self.context()));
        }
        Ok(name.to_owned())
    }

    fn element(&mut self) -> Result<Element, String> {
        self.skip_misc()?;
        if !self.eat("<") {
            return Err(format!("an element expected at {:?}", self.context()));
        }
        let mut element = Element {
            name: self.name()?,
            attributes: Vec::new(),
            children: Vec::new(),
            text: String::new(),
        };
        loop {
            self.skip_space();
            if self.eat("/>") {
                return Ok(element);
            }
            if self.eat(">") {
                break;
            }
            let name = self.name()?;
            if !self.eat("=") {
                return Err(format!("attribute {name} without a value"));
            }
            let quote = if self.eat("\"") { "\"" } else { "'" };
            if quote == "'" && !self.eat("'") {
                return Err(format!("attribute {name} without quotes"));
            }
            let value = unescape(self.until(quote)?)?;
            element.attributes.push((name, value));
        }
        loop {
            let text = self.rest.find('<').ok_or("an element without an end")?;
            let (before, rest) = self.rest.split_at(text);
            element.text.push_str(&unescape(before)?);
            self.rest = rest;
            if self.eat("</") {
                if self.name()? != element.name {
                    return Err(format!("<{}> is closed by another name", element.name));
                }
                self.skip_space();
                if !self.eat(">") {
                    return Err(format!("</{} is not closed", element.name));
                }
                return Ok(element);
            }
            if self.eat("<!--") {
                self.until("-->")?;
            } else {
                element.children.push(self.element()?);
            }
        }
    }

    fn context(&self) -> &'a str {
        let end = self.rest.char_indices().nth(20);
        end.map_or(self.rest, |(end, _)| &self.rest[..end])
    }
}

fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (entity, after) = after.split_once(';').ok_or("& without ;")?;
        let number = match entity.strip_prefix('#') {
            Some(digits) => match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => digits.parse().ok(),
            },
            None => None,
        };
        plain.push(match (entity, number.and_then(char::from_u32)) {
            (_, Some(c)) => c,
            ("amp", _) => '&',
            ("lt", _) => '<',
            ("gt", _) => '>',
            ("quot", _) => '"',
            ("apos", _) => '\'',
            _ => return Err(format!("entity &{entity};")),
        });
        rest = after;
    }
    plain.push_str(rest);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_call_needs() {
        let document = r#"<?xml version="1.0" encoding="UTF-8"?>
            <!-- keys first -->
            <Response>
              <Play digits='ww1#'/><Say language='it-IT'>Ciao &amp; grazie</Say><Pause length="2"/>
              <Connect><Stream url="wss://127.0.0.1:1/media">
                <Parameter name="call_id" value="a&quot;&#98;&#x63;"/>
              </Stream></Connect>
              <Redirect method="POST">http://127.0.0.1/x?a=1&amp;b=2</Redirect><Hangup/>
            </Response>"#;
        let stream = Stream {
            url: "wss://127.0.0.1:1/media".into(),
            parameters: vec![("call_id".into(), "a\"bc".into())],
            status_callback: None,
        };
        assert_eq!(
            read(document).unwrap(),
            [
                Verb::PlayDigits("ww1#".into()),
                Verb::Say("Ciao & grazie".into()),
                Verb::Pause(2),
                Verb::Connect(stream),
                Verb::Redirect("http://127.0.0.1/x?a=1&b=2".into()),
                Verb::Hangup,
            ]
        );
    }

    #[test]
    fn refuses_what_it_cannot_act_on() {
        for bad in [
            "",
            "hello",
            "<Response>",
            "<Response/>x",
            "<Foo/>",
            "<Response><Dial>+1</Dial></Response>",
            "<Response><Connect><Stream url='https://x'/></Connect></Response>",
            "<Response><Connect/></Response>",
            "<Response><Play>http://x/a.mp3</Play></Response>",
            "<Response><Say loop='2'>a</Say></Response>",
            "<Response><Say>a & b</Say></Response>",
            "<Response><Say>a</Play></Response>",
            "<Response a=b/>",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(read("<Response/>"), Ok(vec![]));
    }
}
