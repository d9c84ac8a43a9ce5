//! What the model says: a handful of rules that hold a plausible conversation about any mission,
//! the same one every time.
//!
//! A response with instructions of its own follows those, as far as they ask for a fixed sentence
//! or a goodbye. Otherwise the conversation goes from the reason for the call, over answers to
//! questions, to an answer that is noted, confirmed, and ends the call. A callee who says "one
//! moment" is waited for, one who says "press 1" gets that key pressed, one who says "ask your
//! client" makes it ask, and a machine that says "leave a message" gets one.

use serde_json::{Value, json};

/// A part of a response, which becomes one item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    /// Speech.
    Say(String),
    /// Written text.
    Text(String),
    /// A function call.
    Call {
        /// The tool.
        name: &'static str,
        /// Its arguments.
        arguments: Value,
    },
}

/// What happened in the conversation since the last response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// The callee said this.
    Heard(String),
    /// A system message says this.
    Told(String),
    /// A tool returned.
    Returned {
        /// The tool.
        tool: String,
        /// What it returned.
        output: String,
    },
}

/// A response to be given.
pub(crate) struct Ask<'a> {
    /// Instructions for this response alone.
    pub(crate) own: Option<&'a str>,
    /// Instructions of the session.
    pub(crate) session: &'a str,
    /// Tools that may be called.
    pub(crate) tools: &'a [String],
    /// Written, outside the conversation.
    pub(crate) aside: bool,
}

impl Ask<'_> {
    fn may(&self, tool: &str) -> bool {
        self.tools.iter().any(|name| name == tool)
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Opening,
    Explained,
    Noted,
    Confirmed,
}

const REASON: &str = "I am calling for the following reason:";
const NOTED: &str = "Thank you, I have noted that:";

/// The memory behind the rules.
#[derive(Debug, Default)]
pub(crate) struct Mind {
    stage: Stage,
    answer: Option<String>,
}

impl Mind {
    /// Takes up a conversation that another session began: its own sentences tell how far it was.
    pub(crate) fn recall(&mut self, said: &str) {
        if said.contains(REASON) {
            self.stage = self.stage.max(Stage::Explained);
        }
        if said.contains(NOTED) {
            self.stage = Stage::Confirmed;
        }
    }

    /// Thinks of a response.
    pub(crate) fn reply(&mut self, ask: &Ask<'_>, news: &[News]) -> Vec<Part> {
        if ask.aside {
            let (summary, outcome) = self.result();
            let report = json!({"summary": summary, "outcome": outcome});
            return vec![Part::Text(report.to_string())];
        }
        if let Some(parts) = ask.own.and_then(|own| follow(own, ask)) {
            return parts;
        }
        match news.last() {
            Some(News::Told(text)) => match text.split_once("pressed these keys on their phone:") {
                Some((_, keys)) => say(format!("I see that you pressed {}.", keys.trim())),
                None => follow(text, ask).unwrap_or_else(|| say(format!("One more thing: {text}"))),
            },
            Some(News::Returned { tool, output }) => self.returned(tool, output, ask),
            Some(News::Heard(text)) => self.heard(text, ask),
            None => self.go_on(ask),
        }
    }

    fn returned(&mut self, tool: &str, output: &str, ask: &Ask<'_>) -> Vec<Part> {
        match tool {
            "ask_host" => say(format!("I have asked. The answer is: {output}")),
            // Keys, waiting and the end of the call need no words.
            "press_keys" | "wait" | "end_call" => Vec::new(),
            _ => self.go_on(ask),
        }
    }

    fn heard(&mut self, text: &str, ask: &Ask<'_>) -> Vec<Part> {
        let lower = text.to_lowercase();
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
        if says(&["one moment", "hold on", "please hold", "hold the line"]) && ask.may("wait") {
            return call("wait", json!({"reason": text}));
        }
        if let Some(keys) = keys_to_press(&lower).filter(|_| ask.may("press_keys")) {
            return call("press_keys", json!({"digits": keys}));
        }
        if says(&["ask your client", "ask them"]) && ask.may("ask_host") {
            return call("ask_host", json!({"question": text}));
        }
        if says(&["leave a message", "after the tone"]) {
            return leave_message(ask);
        }
        if says(&["goodbye", "bye bye"]) {
            return self.end(ask, "Goodbye.".to_owned());
        }
        if lower.trim_end().trim_end_matches('.').ends_with("mhm") {
            return say("I am listening.".to_owned());
        }
        if self.stage == Stage::Confirmed && text.trim_end().ends_with('?') {
            return say("That I do not know, but I will pass it on.".to_owned());
        }
        if self.stage == Stage::Explained && text.trim_end().ends_with('?') {
            let mission = mission(ask.session);
            return say(format!("Certainly. It is about this: {mission}"));
        }
        if self.stage == Stage::Explained {
            self.stage = Stage::Noted;
            self.answer = Some(text.trim().to_owned());
            if ask.may("note") {
                return call("note", json!({"text": text.trim()}));
            }
        }
        self.go_on(ask)
    }

    /// Says what the stage of the conversation calls for.
    fn go_on(&mut self, ask: &Ask<'_>) -> Vec<Part> {
        match self.stage {
            Stage::Opening => {
                self.stage = Stage::Explained;
                let mission = mission(ask.session);
                say(format!(
                    "Thank you. {REASON} {mission} Would that be possible?"
                ))
            }
            Stage::Explained => say("I am listening.".to_owned()),
            Stage::Noted => {
                self.stage = Stage::Confirmed;
                let answer = self.answer.clone().unwrap_or_default();
                self.end(ask, format!("{NOTED} {answer} Have a nice day. Goodbye."))
            }
            Stage::Confirmed => self.end(ask, "Goodbye.".to_owned()),
        }
    }

    fn end(&self, ask: &Ask<'_>, words: String) -> Vec<Part> {
        let mut parts = say(words);
        if ask.may("end_call") {
            let (summary, outcome) = self.result();
            parts.extend(call(
                "end_call",
                json!({"summary": summary, "outcome": outcome}),
            ));
        }
        parts
    }

    fn result(&self) -> (String, &'static str) {
        match (&self.answer, self.stage) {
            (Some(answer), _) => (format!("The callee answered: {answer}"), "success"),
            (None, Stage::Confirmed) => ("The callee answered.".to_owned(), "success"),
            (None, Stage::Opening) => ("Nothing was discussed.".to_owned(), "failure"),
            (None, _) => ("The callee gave no answer.".to_owned(), "partial"),
        }
    }
}

/// What is said to an answering machine.
fn leave_message(ask: &Ask<'_>) -> Vec<Part> {
    let mission = mission(ask.session);
    let mut parts = say(format!("This is a message. {REASON} {mission} Goodbye."));
    if ask.may("end_call") {
        let arguments = json!({"summary": "A message was left.", "outcome": "voicemail"});
        parts.extend(call("end_call", arguments));
    }
    parts
}

fn say(text: String) -> Vec<Part> {
    vec![Part::Say(text)]
}

fn call(name: &'static str, arguments: Value) -> Vec<Part> {
    vec![Part::Call { name, arguments }]
}

const EXACTLY: &str = "Say exactly the following:";

/// Whether instructions leave no choice of words.
pub(super) fn is_exact(instructions: &str) -> bool {
    instructions.contains(EXACTLY)
}

/// Speech in one part for each of its sentences; anything else as it is.
pub(super) fn sentences(part: Part) -> Vec<Part> {
    let Part::Say(text) = part else {
        return vec![part];
    };
    let mut parts = Vec::new();
    let mut rest = text.as_str();
    while let Some(end) = rest.find(['.', '!', '?']) {
        let sentence;
        (sentence, rest) = rest.split_at(end + 1);
        // A stop inside a number or an abbreviation ends no sentence; the last one ends the text.
        match parts.last_mut() {
            Some(before) if !sentence.starts_with(' ') => *before = format!("{before}{sentence}"),
            _ => parts.push(sentence.to_owned()),
        }
    }
    if !rest.is_empty() {
        parts.push(rest.to_owned());
    }
    let trimmed = parts.iter().map(|sentence| sentence.trim().to_owned());
    trimmed.map(Part::Say).collect()
}

/// Instructions for one response that leave no choice.
fn follow(instructions: &str, ask: &Ask<'_>) -> Option<Vec<Part>> {
    if let Some((_, text)) = instructions.split_once(EXACTLY) {
        return Some(say(unquoted(text).to_owned()));
    }
    let lower = instructions.to_lowercase();
    if ["goodbye", "wrap up", "wrap-up"]
        .iter()
        .any(|phrase| lower.contains(phrase))
    {
        let mut parts =
            say("I have to end the call now. Thank you for your time. Goodbye.".to_owned());
        if lower.contains("end_call") && ask.may("end_call") {
            let arguments = json!({"summary": "The call had to end.", "outcome": "partial"});
            parts.extend(call("end_call", arguments));
        }
        return Some(parts);
    }
    lower
        .contains("still there")
        .then(|| say("Are you still there?".to_owned()))
}

/// What stands in quotation marks, without what follows them; all of it, if there are none.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    for (open, close) in [('"', '"'), ('“', '”'), ('«', '»')] {
        let quoted = text.strip_prefix(open).and_then(|t| t.rsplit_once(close));
        if let Some((inner, _)) = quoted {
            return inner.trim();
        }
    }
    text
}

/// The keys after "press", spelt as digits.
fn keys_to_press(text: &str) -> Option<String> {
    let (_, after) = text.split_once("press ")?;
    let keys: String = after
        .chars()
        .take_while(|c| c.is_ascii_digit() || "*#".contains(*c))
        .collect();
    (!keys.is_empty()).then_some(keys)
}

/// The first two sentences under the heading that announces the goal.
fn mission(instructions: &str) -> String {
    let announces = |line: &&str| {
        let lower = line.to_lowercase();
        line.starts_with('#') && (lower.contains("goal") || lower.contains("mission"))
    };
    let mut lines = instructions.lines().skip_while(|line| !announces(line));
    lines.next();
    let section: Vec<&str> = lines
        .take_while(|line| !line.starts_with('#'))
        .map(str::trim)
        .collect();
    // What is set apart by a tag is the mission; what stands before it explains the tag.
    let from = section
        .iter()
        .position(|line| line.starts_with('<'))
        .unwrap_or(0);
    let text = section[from..]
        .iter()
        .copied()
        // Fences and tags that set the mission apart are not part of it.
        .filter(|line| !line.starts_with("```") && !line.starts_with('<'))
        .collect::<Vec<_>>()
        .join(" ");
    let mut ends = text.char_indices().filter(|(at, c)| {
        ".!?".contains(*c)
            && text[at + 1..]
                .chars()
                .next()
                .is_none_or(char::is_whitespace)
    });
    let end = match (ends.next(), ends.next()) {
        (_, Some((second, _))) => second + 1,
        _ => text.len(),
    };
    let text = text[..end].trim();
    let short: String = text.chars().take(300).collect();
    match short.chars().last() {
        None => "a short question.".to_owned(),
        Some('.' | '!' | '?') => short,
        Some(_) => short + ".",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "# Role\nYou call people.\n\n# Goal of the call\nBook a table for two. \
        On Tuesday at 10.30. Nothing else.\n\n# Tone\nCalm.";

    fn reply(mind: &mut Mind, own: Option<&str>, tools: &[&str], news: &[News]) -> Vec<Part> {
        let tools: Vec<String> = tools.iter().map(ToString::to_string).collect();
        let ask = Ask {
            own,
            session: SESSION,
            tools: &tools,
            aside: false,
        };
        mind.reply(&ask, news)
    }

    fn heard(text: &str) -> Vec<News> {
        vec![News::Heard(text.to_owned())]
    }

    #[test]
    fn a_whole_conversation() {
        let tools = ["note", "end_call"];
        let mind = &mut Mind::default();
        let greeting = "Say exactly the following: \"Hello, I am an AI.\"";
        assert_eq!(
            reply(mind, Some(greeting), &[], &[]),
            [Part::Say("Hello, I am an AI.".into())]
        );
        let parts = reply(mind, None, &tools, &heard("Yes. What is it about?"));
        assert_eq!(
            parts,
            [Part::Say(format!(
                "Thank you. {REASON} Book a table for two. On Tuesday at 10.30. Would that be possible?"
            ))]
        );
        let parts = reply(mind, None, &tools, &heard("Sorry, which day?"));
        assert!(matches!(&parts[..], [Part::Say(text)] if text.contains("Tuesday")));
        let parts = reply(mind, None, &tools, &heard("Tuesday works."));
        let note = json!({"text": "Tuesday works."});
        assert_eq!(parts, call("note", note));
        let returned = News::Returned {
            tool: "note".into(),
            output: "ok".into(),
        };
        let parts = reply(mind, None, &tools, &[returned]);
        let [
            Part::Say(words),
            Part::Call {
                name: "end_call",
                arguments,
            },
        ] = &parts[..]
        else {
            panic!("{parts:?}");
        };
        assert!(words.contains("Tuesday works.") && words.ends_with("Goodbye."));
        assert_eq!(arguments["outcome"], "success");
    }

    #[test]
    fn tools_that_may_not_be_called_are_not() {
        let mind = &mut Mind::default();
        reply(mind, None, &[], &heard("Yes?"));
        let parts = reply(mind, None, &[], &heard("Tuesday works."));
        assert!(matches!(&parts[..], [Part::Say(_)]));
    }

    #[test]
    fn keywords_and_instructions() {
        let mind = &mut Mind::default();
        let all = ["wait", "press_keys", "ask_host", "end_call"];
        assert_eq!(
            reply(mind, None, &all, &heard("For the bar, press 2.")),
            call("press_keys", json!({"digits": "2"}))
        );
        assert!(matches!(
            &reply(mind, None, &all, &heard("One moment, please."))[..],
            [Part::Call { name: "wait", .. }]
        ));
        let parts = reply(mind, Some("Wrap up and say goodbye."), &all, &[]);
        assert!(matches!(&parts[..], [Part::Say(text)] if text.ends_with("Goodbye.")));
        let told = News::Told("Mention the garden.".into());
        assert_eq!(
            reply(mind, None, &all, &[told]),
            [Part::Say("One more thing: Mention the garden.".into())]
        );
    }

    #[test]
    fn machines_small_sounds_and_afterthoughts() {
        let all = ["note", "end_call"];
        let mind = &mut Mind::default();
        let machine = heard("Please leave a message after the tone.");
        let parts = reply(mind, None, &all, &machine);
        assert!(
            matches!(&parts[..], [Part::Say(_), Part::Call { name: "end_call", arguments }]
            if arguments["outcome"] == "voicemail")
        );
        reply(mind, None, &all, &heard("Yes?"));
        let listening = say("I am listening.".into());
        assert_eq!(reply(mind, None, &all, &heard("Mhm, mhm.")), listening);
        reply(mind, None, &all, &heard("Tuesday works."));
        reply(mind, None, &all, &[]);
        let parts = reply(mind, None, &all, &heard("And her insurance card?"));
        assert!(matches!(&parts[..], [Part::Say(text)] if text.contains("pass it on")));
        let told = News::Told("The callee pressed these keys on their phone: 42".into());
        let seen = say("I see that you pressed 42.".into());
        assert_eq!(reply(mind, None, &all, &[told]), seen);
    }

    #[test]
    fn speech_in_sentences() {
        let parts = sentences(Part::Say("Thank you. On Tuesday at 10.30! Yes?".into()));
        let expected = ["Thank you.", "On Tuesday at 10.30!", "Yes?"];
        assert_eq!(parts, expected.map(|text| Part::Say(text.to_owned())));
        let call = || Part::Call {
            name: "note",
            arguments: json!({}),
        };
        assert_eq!(sentences(call()), [call()]);
    }

    #[test]
    fn the_mission_without_a_heading_or_an_end() {
        assert_eq!(mission("Be nice."), "a short question.");
        assert_eq!(mission("## Mission\nask for Anna"), "ask for Anna.");
    }
}
