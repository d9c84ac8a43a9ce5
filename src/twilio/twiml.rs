//! TwiML: what we answer when Twilio asks what to do with a call (Twilio, "TwiML for Programmable
//! Voice").
//!
//! Every value is escaped, whoever chose it.

/// The declaration that every answer starts with.
const DECLARATION: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// Connects the call to our media stream at `stream_url` (`wss://…`, without a query string,
/// which Twilio would drop); `call_id` and the one-time `token` come back in the stream's `start`.
///
/// When the stream ends and the call does not, Twilio asks `redirect_url` how to go on. Without
/// it, a lost socket would end the call.
pub fn connect(stream_url: &str, call_id: &str, token: &str, redirect_url: &str) -> String {
    let stream = stream(stream_url, call_id, token, redirect_url);
    format!("{DECLARATION}<Response>{stream}</Response>")
}

/// Presses keys (`0-9*#`, `w` is half a second), and then connects the call as [`connect`] does.
pub fn press_keys(
    digits: &str,
    stream_url: &str,
    call_id: &str,
    token: &str,
    redirect_url: &str,
) -> String {
    let digits = escaped(digits);
    let stream = stream(stream_url, call_id, token, redirect_url);
    // The line needs a moment between the stream that ends and the first key.
    format!("{DECLARATION}<Response><Play digits=\"ww{digits}\"/>{stream}</Response>")
}

fn stream(stream_url: &str, call_id: &str, token: &str, redirect_url: &str) -> String {
    let [stream_url, call_id, token, redirect_url] =
        [stream_url, call_id, token, redirect_url].map(escaped);
    format!(
        "<Connect><Stream url=\"{stream_url}\">\
         <Parameter name=\"call_id\" value=\"{call_id}\"/>\
         <Parameter name=\"token\" value=\"{token}\"/>\
         </Stream></Connect><Redirect method=\"POST\">{redirect_url}</Redirect>"
    )
}

/// Ends the call.
pub fn hang_up() -> String {
    format!("{DECLARATION}<Response><Hangup/></Response>")
}

/// Has Twilio's own voice say `text` (at most 4096 characters) in `language` (BCP 47, `en-US`),
/// and then ends the call: for when no model can speak.
pub fn say_and_hang_up(text: &str, language: &str) -> String {
    let [text, language] = [text, language].map(escaped);
    format!("{DECLARATION}<Response><Say language=\"{language}\">{text}</Say><Hangup/></Response>")
}

/// `value` as it may stand between tags and between quotes alike.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // A parser turns these into spaces in an attribute unless they are written like this.
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            // XML 1.0 has no place for these, not even escaped: one of them spoils the document.
            '\u{0}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_connected_to_the_stream() {
        assert_eq!(
            connect(
                "wss://voice.example.com/media",
                "7f3c2a",
                "t0ken",
                "https://voice.example.com/twiml/7f3c2a",
            ),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Connect>\
             <Stream url=\"wss://voice.example.com/media\">\
             <Parameter name=\"call_id\" value=\"7f3c2a\"/>\
             <Parameter name=\"token\" value=\"t0ken\"/></Stream></Connect>\
             <Redirect method=\"POST\">https://voice.example.com/twiml/7f3c2a</Redirect></Response>"
        );
    }

    #[test]
    fn keys_are_pressed_before_the_stream_goes_on() {
        assert_eq!(
            press_keys(
                "1w#",
                "wss://v.example.com/media",
                "7f3c2a",
                "t0ken",
                "https://v.example.com/twiml/7"
            ),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Play digits=\"ww1w#\"/><Connect>\
             <Stream url=\"wss://v.example.com/media\">\
             <Parameter name=\"call_id\" value=\"7f3c2a\"/>\
             <Parameter name=\"token\" value=\"t0ken\"/></Stream></Connect>\
             <Redirect method=\"POST\">https://v.example.com/twiml/7</Redirect></Response>"
        );
    }

    #[test]
    fn a_call_is_hung_up() {
        assert_eq!(
            hang_up(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Hangup/></Response>"
        );
    }

    #[test]
    fn a_sentence_is_said_before_hanging_up() {
        assert_eq!(
            say_and_hang_up("Ci scusiamo: l'assistente è giù.", "it-IT"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Say language=\"it-IT\">\
             Ci scusiamo: l&apos;assistente è giù.</Say><Hangup/></Response>"
        );
    }

    #[test]
    fn no_value_can_break_out() {
        let hostile = "\"/></Stream><Dial>+1900</Dial>&amp;'\u{0}\u{1b}\u{ffff}\r\n";
        let clean =
            "&quot;/&gt;&lt;/Stream&gt;&lt;Dial&gt;+1900&lt;/Dial&gt;&amp;amp;&apos;&#13;&#10;";
        let answers = [
            connect(hostile, "", "", ""),
            connect("", hostile, "", ""),
            connect("", "", hostile, ""),
            connect("", "", "", hostile),
            press_keys(hostile, "", "", "", ""),
            say_and_hang_up(hostile, ""),
            say_and_hang_up("", hostile),
        ];
        for answer in answers {
            assert!(answer.contains(clean), "{answer}");
            assert!(!answer.contains("<Dial"), "{answer}");
            assert!(!answer.contains(['\u{0}', '\u{1b}', '\u{ffff}']));
        }
    }
}
