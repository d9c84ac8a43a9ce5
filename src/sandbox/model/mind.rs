//! What the model says: a handful of rules that hold a plausible conversation about any mission,
//! the same one every time.
//!
//! A response with instructions of its own follows those, as far as they ask for a fixed sentence
//! or a goodbye. Otherwise the conversation goes from the reason for the call, over answers to
//! questions, to an answer that is noted, confirmed, and ends the call. A callee who says "one
//! moment" is waited for, one who says "press 1" gets that key pressed, one who says "ask your
//! client" makes it ask, and a machine that says "leave a message" gets one. On hold, music and
//! announcements are nobody. What it does about a menu that comes back, the session's instructions
//! say: without any, it presses the same key for ever.
//!
//! A mind knows nothing but what its own session has heard, said or been told: what another session
//! knew must be replayed to it.

use serde_json::{Value, json};

use super::reading::{MenuRules, is_announcement, menu_options, mission, tagged, unquoted};

/// What was heard and is remembered, in turns.
const MEMORY: usize = 100;

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
    /// A written report, not speech.
    pub(crate) written: bool,
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
const MORE: &str = "One more thing:";
const ASKED: &str = "I have asked. The answer is:";
const NOTED: &str = "Thank you, I have noted that:";

/// The memory behind the rules.
#[derive(Debug, Default, Clone)]
pub(crate) struct Mind {
    stage: Stage,
    answer: Option<String>,
    /// What it was told to say and has not said.
    instruction: Option<String>,
    /// What the callee said, latest last.
    heard: Vec<String>,
    /// Keys that it had pressed, each with the menu that offered them.
    pressed: Vec<(String, String)>,
    /// It has tried again to press keys that were refused.
    tried_again: bool,
}

impl Mind {
    /// Takes up a conversation that another session began: its own sentences tell how far it was.
    pub(crate) fn recall(&mut self, said: &str) {
        if said.contains(REASON) {
            self.stage = self.stage.max(Stage::Explained);
        }
        if let Some((_, answer)) = said.split_once(NOTED) {
            self.stage = Stage::Confirmed;
            let answer = answer.split("Have a nice day").next().unwrap_or_default();
            self.answer.get_or_insert(answer.trim().to_owned());
        }
    }

    /// The same for a function that the other session has called.
    pub(crate) fn recall_call(&mut self, tool: &str, arguments: &str) {
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        if tool == "note" {
            self.stage = self.stage.max(Stage::Noted);
            self.answer = arguments["text"].as_str().map(str::to_owned);
        }
        if let ("press_keys", Some(keys)) = (tool, arguments["digits"].as_str()) {
            let menu = self.heard.last().cloned().unwrap_or_default();
            self.pressed.push((menu, keys.to_owned()));
        }
    }

    /// Remembers what the callee said.
    pub(crate) fn hears(&mut self, text: &str) {
        if self.heard.len() == MEMORY {
            self.heard.remove(0);
        }
        self.heard.push(text.trim().to_owned());
    }

    /// Thinks of a response.
    pub(crate) fn reply(&mut self, ask: &Ask<'_>, news: &[News]) -> Vec<Part> {
        if ask.written {
            let (summary, outcome) = self.result();
            let report = json!({"summary": summary, "outcome": outcome});
            return vec![Part::Text(report.to_string())];
        }
        for news in news {
            if let News::Told(text) = news
                && let Some(instruction) = tagged("instruction", text)
            {
                self.instruction = Some(instruction.to_owned());
            }
        }
        if let Some(parts) = ask.own.and_then(|own| follow(own, ask)) {
            return parts;
        }
        let mut parts = match news.last() {
            Some(News::Told(text)) if tagged("instruction", text).is_some() => Vec::new(),
            Some(News::Told(text)) => told(text, ask),
            Some(News::Returned { tool, output }) => {
                let heard = news.iter().rev().find_map(|news| match news {
                    News::Heard(text) => Some(text.as_str()),
                    _ => None,
                });
                self.returned(tool, output, heard, ask)
            }
            Some(News::Heard(text)) => self.listen(text, ask),
            None => self.go_on(ask),
        };
        self.carry_out(&mut parts);
        parts
    }

    /// Adds what it was told to say, if it says anything or has nothing else to say.
    fn carry_out(&mut self, parts: &mut Vec<Part>) {
        let Some(instruction) = self.instruction.take() else {
            return;
        };
        let more = format!("{MORE} {instruction}");
        if parts.is_empty() {
            *parts = say(more);
            return;
        }
        match parts.iter_mut().rfind(|part| matches!(part, Part::Say(_))) {
            Some(Part::Say(words)) => *words = format!("{words} {more}"),
            _ => self.instruction = Some(instruction),
        }
    }

    /// A tool has returned, and meanwhile this was heard.
    fn returned(
        &mut self,
        tool: &str,
        output: &str,
        heard: Option<&str>,
        ask: &Ask<'_>,
    ) -> Vec<Part> {
        match tool {
            "ask_host" => answered(output),
            "press_keys" => self.keys_returned(output, heard, ask),
            // Waiting and the end of the call need no words.
            "wait" | "end_call" => Vec::new(),
            _ => self.go_on(ask),
        }
    }

    /// Keys that were pressed need no words. Those that were certainly not are pressed again, once;
    /// of others, what was heard since, or is heard next, tells whether they were.
    fn keys_returned(&mut self, output: &str, heard: Option<&str>, ask: &Ask<'_>) -> Vec<Part> {
        let output: Value = serde_json::from_str(output).unwrap_or_default();
        let Some(error) = output["error"].as_str() else {
            return Vec::new();
        };
        let last = self.pressed.pop();
        let refused = error.contains("were not pressed");
        match last {
            Some((menu, keys)) if refused && !std::mem::replace(&mut self.tried_again, true) => {
                self.press(menu, keys)
            }
            _ if refused => Vec::new(),
            _ => heard.map_or_else(Vec::new, |text| self.listen(text, ask)),
        }
    }

    fn press(&mut self, menu: String, keys: String) -> Vec<Part> {
        let arguments = json!({"digits": keys});
        self.pressed.push((menu, keys));
        call("press_keys", arguments)
    }

    /// Chooses from a menu: another option each time that it comes back, until it is to be given up.
    fn choose(&mut self, menu: &str, options: &[String], ask: &Ask<'_>) -> Vec<Part> {
        let rules = MenuRules::of(ask.session);
        let tried = self.pressed.iter().filter(|(of, _)| of == menu).count();
        if rules.given_up_at.is_some_and(|limit| tried + 1 >= limit) {
            return self.give_up_menu(ask);
        }
        let which = if rules.another { tried } else { 0 };
        match options.get(which).or(options.last()) {
            Some(keys) => self.press(menu.to_owned(), keys.clone()),
            None => Vec::new(),
        }
    }

    /// Answers what was heard, unless it is nobody.
    fn listen(&mut self, text: &str, ask: &Ask<'_>) -> Vec<Part> {
        let nobody = is_announcement(text);
        if nobody && ask.may("wait") {
            return call("wait", json!({"reason": text}));
        }
        if text.trim().is_empty() {
            return Vec::new();
        }
        self.answer_to(text, ask)
    }

    fn answer_to(&mut self, text: &str, ask: &Ask<'_>) -> Vec<Part> {
        let lower = text.to_lowercase();
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
        let options = menu_options(text, &mission(ask.session));
        if !options.is_empty() && ask.may("press_keys") {
            return self.choose(text.trim(), &options, ask);
        }
        if says(&["what did i say"]) {
            let before = self.heard.iter().rev().nth(1);
            let before = before.map_or("nothing yet", String::as_str);
            return say(format!("You said: {before}"));
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

    fn give_up_menu(&mut self, ask: &Ask<'_>) -> Vec<Part> {
        let mut parts = call(
            "note",
            json!({"text": "The menu came back again and again."}),
        );
        parts.extend(self.end(ask, "Goodbye.".to_owned()));
        parts
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

/// What is said to a system message.
fn told(text: &str, ask: &Ask<'_>) -> Vec<Part> {
    if let Some((_, keys)) = text.split_once("pressed these keys on their phone:") {
        return say(format!("I see that you pressed {}.", keys.trim()));
    }
    if let Some(answer) = tagged("answer", text) {
        return say(format!("{ASKED} {answer}"));
    }
    follow(text, ask).unwrap_or_else(|| say(format!("{MORE} {text}")))
}

/// What is said when the host's answer has come, or has not.
fn answered(output: &str) -> Vec<Part> {
    let output: Value = serde_json::from_str(output).unwrap_or_default();
    match output["answer"].as_str() {
        Some(answer) => say(format!("{ASKED} {answer}")),
        None => say("I am afraid I could not find that out.".to_owned()),
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
    if lower.contains("leave") && lower.contains("message") {
        let mission = mission(ask.session);
        return Some(say(format!(
            "This is a message. {REASON} {mission} Goodbye."
        )));
    }
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
    let phrases = [
        ("still there", "Are you still there?"),
        (
            "still waiting",
            "I am still waiting for the answer. Thank you for your patience.",
        ),
        ("one moment", "Let me check that. One moment, please."),
        ("dropped", "Sorry, we were cut off for a moment."),
    ];
    let (_, words) = phrases.iter().find(|(phrase, _)| lower.contains(phrase))?;
    Some(say((*words).to_owned()))
}

#[cfg(test)]
mod tests;
