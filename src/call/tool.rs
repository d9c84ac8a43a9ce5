//! The functions the model on the line can call.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::snapshot::Outcome;

/// Longest note, in characters; what is longer is cut.
pub const MAX_NOTE: usize = 2_000;

/// Longest summary, in characters; what is longer is cut.
pub const MAX_SUMMARY: usize = 4_000;

/// Most keys pressed at once; the carrier takes no more.
pub const MAX_KEYS: usize = 32;

/// Longest reason to wait, in characters; what is longer is cut.
pub const MAX_REASON: usize = 200;

/// Longest question to the host, in characters; what is longer is cut.
pub const MAX_QUESTION: usize = 500;

/// A call of one of our functions, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tool {
    /// `note`: write this down for the agent that placed the call.
    Note {
        /// What.
        text: String,
    },
    /// `end_call`: play out what is being said, then hang up.
    EndCall {
        /// What happened.
        summary: String,
        /// How it went.
        outcome: Outcome,
    },
    /// `press_keys`: press these keys of the phone, as a caller would.
    PressKeys {
        /// `0-9*#w`.
        digits: String,
    },
    /// `wait`: say nothing until a person speaks to the agent.
    Wait {
        /// Why.
        reason: String,
    },
    /// `ask_host`: ask the agent that placed the call, who may ask the user.
    AskHost {
        /// What.
        question: String,
    },
}

/// The functions as a `session.update` declares them.
///
/// The schemas are closed (every field required, no others). The session's function objects know
/// no `strict` key: it would be refused, so the arguments are checked in [`Tool::parse`].
pub fn declarations() -> Value {
    json!([
        {
            "type": "function",
            "name": "note",
            "description": "Silently write down one fact for the person you are calling for. \
                Use it as soon as you learn something the goal needs: a confirmed date, time, \
                price, name, address, reference number, or a promise to call back. \
                Do not use it for small talk, for things you already noted, or for the summary \
                of the call. The other person does not hear it: do not announce it and do not \
                wait for it.",
            "parameters": {
                "type": "object",
                "properties": {
                    "text": {
                        "type": "string",
                        "description": "One self-contained fact with its exact figures and \
                            spellings, at most two sentences.",
                    },
                },
                "required": ["text"],
                "additionalProperties": false,
            },
        },
        {
            "type": "function",
            "name": "end_call",
            "description": "Hang up. Use it once, after you have said goodbye: the goal is \
                reached or clearly cannot be, the other person wants to end the call, or you \
                have left a voicemail message. Your goodbye is played to its end before the \
                line is cut. Do not use it in the middle of an exchange, while a question of \
                the other person is open, or before saying goodbye.",
            "parameters": {
                "type": "object",
                "properties": {
                    "summary": {
                        "type": "string",
                        "description": "What happened, for someone who did not hear the call: \
                            two to four sentences with every agreed detail and what is left to \
                            do.",
                    },
                    "outcome": {
                        "type": "string",
                        "enum": ["success", "partial", "failure", "no_answer", "voicemail"],
                        "description": "success: the goal was reached. partial: some of it, or \
                            they will call back. failure: not reached. no_answer: nobody ever \
                            spoke. voicemail: you reached a machine.",
                    },
                },
                "required": ["summary", "outcome"],
                "additionalProperties": false,
            },
        },
        {
            "type": "function",
            "name": "press_keys",
            "description": "Press keys of the phone, for a recorded menu that asks for it. Use it \
                when you have heard all options of the menu and one of them brings you nearer to \
                the goal, or when an extension is asked for. What you are saying is heard first, \
                then the keys are pressed; afterwards listen, and say nothing until you are spoken \
                to. Do not use it with a person, and never to enter card numbers, bank details, \
                passwords or codes.",
            "parameters": {
                "type": "object",
                "properties": {
                    "digits": {
                        "type": "string",
                        "description": "At most 32 of 0-9, * and #, in the order in which they are \
                            pressed; w waits half a second.",
                    },
                },
                "required": ["digits"],
                "additionalProperties": false,
            },
        },
        {
            "type": "function",
            "name": "wait",
            "description": "Stay on the line and say nothing. Use it when you are asked to wait or \
                are put on hold, and again each time that what you have heard since was music, an \
                announcement, or people who do not speak to you. Do not use it when a person \
                speaks to you: answer them.",
            "parameters": {
                "type": "object",
                "properties": {
                    "reason": {
                        "type": "string",
                        "description": "What you are waiting for, in a few words.",
                    },
                },
                "required": ["reason"],
                "additionalProperties": false,
            },
        },
        ask_host(),
    ])
}

fn ask_host() -> Value {
    json!({
        "type": "function",
        "name": "ask_host",
        "description": "Ask the person you are calling for, who is not on the line. Use it when \
            the other person needs a decision or a fact now that the goal does not give you \
            and that you must not make up. Tell them that you are checking; the answer may \
            take a minute, and you can go on talking meanwhile. Do not use it for what the \
            goal already says, for what can wait until after the call, or more often than \
            needed: one question at a time, five in a call.",
        "parameters": {
            "type": "object",
            "properties": {
                "question": {
                    "type": "string",
                    "description": "One question that can be answered in one sentence by \
                        somebody who does not hear the call, with the choices there are.",
                },
            },
            "required": ["question"],
            "additionalProperties": false,
        },
    })
}

#[derive(Deserialize)]
struct NoteArguments {
    text: String,
}

#[derive(Deserialize)]
struct EndCallArguments {
    summary: String,
    outcome: Outcome,
}

impl Tool {
    /// Checks a function call of the model.
    ///
    /// Fields beyond those declared are let pass: on a live call, a word too many is no reason to lose
    /// what was meant.
    ///
    /// # Errors
    ///
    /// A sentence for the model, which can then do it right.
    pub fn parse(name: &str, arguments: &str) -> Result<Self, String> {
        match name {
            "note" => {
                let NoteArguments { text } = read(name, arguments)?;
                let text = cut(text, MAX_NOTE);
                if text.is_empty() {
                    return Err("The note is empty; nothing was written down.".to_owned());
                }
                Ok(Tool::Note { text })
            }
            "end_call" => {
                let EndCallArguments { summary, outcome } = read(name, arguments)?;
                Ok(Tool::EndCall {
                    summary: cut(summary, MAX_SUMMARY),
                    outcome,
                })
            }
            "press_keys" => {
                let PressKeysArguments { digits } = read(name, arguments)?;
                keys(&digits).map(|digits| Tool::PressKeys { digits })
            }
            "wait" => {
                let WaitArguments { reason } = read(name, arguments)?;
                Ok(Tool::Wait {
                    reason: cut(reason, MAX_REASON),
                })
            }
            "ask_host" => {
                let AskHostArguments { question } = read(name, arguments)?;
                let question = cut(question, MAX_QUESTION);
                if question.is_empty() {
                    return Err("The question is empty; nobody was asked.".to_owned());
                }
                Ok(Tool::AskHost { question })
            }
            _ => Err(
                "There is no such function; there are `note`, `end_call`, `press_keys`, `wait` \
                 and `ask_host`."
                    .to_owned(),
            ),
        }
    }
}

#[derive(Deserialize)]
struct PressKeysArguments {
    digits: String,
}

#[derive(Deserialize)]
struct WaitArguments {
    reason: String,
}

#[derive(Deserialize)]
struct AskHostArguments {
    question: String,
}

/// The keys, without the blanks and hyphens that models like to put between them.
fn keys(digits: &str) -> Result<String, String> {
    let keys: String = digits
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .collect();
    if !keys.chars().all(|c| "0123456789*#w".contains(c)) {
        return Err(
            "There are only the keys 0-9, * and #, and w to wait; nothing was pressed.".to_owned(),
        );
    }
    if keys.len() > MAX_KEYS {
        return Err(format!(
            "These are {} keys, and {MAX_KEYS} is the most at once; nothing was pressed.",
            keys.len()
        ));
    }
    if keys.chars().all(|c| c == 'w') {
        return Err("There is no key in it; nothing was pressed.".to_owned());
    }
    Ok(keys)
}

fn read<'a, T: Deserialize<'a>>(name: &str, arguments: &'a str) -> Result<T, String> {
    serde_json::from_str(arguments).map_err(|error| {
        format!(
            "The arguments of `{name}` could not be read ({error}); call it again with corrected ones."
        )
    })
}

/// Trims, and cuts after `max` characters.
fn cut(text: String, max: usize) -> String {
    let trimmed = text.trim();
    match trimmed.char_indices().nth(max) {
        Some((end, _)) => trimmed[..end].to_owned(),
        None if trimmed.len() == text.len() => text,
        None => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_calls_are_understood() {
        assert_eq!(
            Tool::parse("note", r#"{"text":" Table for 4 at 8 pm "}"#),
            Ok(Tool::Note {
                text: "Table for 4 at 8 pm".into()
            })
        );
        for (word, outcome) in [
            ("success", Outcome::Success),
            ("partial", Outcome::Partial),
            ("failure", Outcome::Failure),
            ("no_answer", Outcome::NoAnswer),
            ("voicemail", Outcome::Voicemail),
        ] {
            let arguments = json!({"summary": "Done.", "outcome": word, "mood": "fine"});
            assert_eq!(
                Tool::parse("end_call", &arguments.to_string()),
                Ok(Tool::EndCall {
                    summary: "Done.".into(),
                    outcome
                })
            );
        }
    }

    #[test]
    fn keys_are_read_as_they_are_meant() {
        for (digits, keys) in [("1", "1"), ("ww0-9 *#", "ww09*#")] {
            let arguments = json!({ "digits": digits }).to_string();
            let pressed = Tool::PressKeys {
                digits: keys.into(),
            };
            assert_eq!(Tool::parse("press_keys", &arguments), Ok(pressed));
        }
    }

    #[test]
    fn bad_calls_are_explained() {
        for (name, arguments, mentions) in [
            ("hack", "{}", "no such function"),
            ("note", "", "could not be read"),
            ("note", "{\"te", "could not be read"),
            ("note", "{}", "`text`"),
            ("note", r#"{"text":7}"#, "could not be read"),
            ("note", r#"{"text":" \n"}"#, "empty"),
            ("end_call", r#"{"outcome":"success"}"#, "`summary`"),
            ("end_call", r#"{"summary":"x"}"#, "`outcome`"),
            (
                "end_call",
                r#"{"summary":"x","outcome":"great"}"#,
                "`no_answer`",
            ),
            ("press_keys", "{}", "`digits`"),
            ("press_keys", r#"{"digits":""}"#, "no key"),
            ("press_keys", r#"{"digits":"ww"}"#, "no key"),
            ("press_keys", r#"{"digits":"1A"}"#, "only the keys"),
            ("press_keys", r#"{"digits":"W1"}"#, "only the keys"),
            ("press_keys", r#"{"digits":"1\"/><Dial>"}"#, "only the keys"),
            (
                "press_keys",
                r#"{"digits":"123456789012345678901234567890123"}"#,
                "33 keys",
            ),
            ("wait", "{}", "`reason`"),
            ("ask_host", "{}", "`question`"),
            ("ask_host", r#"{"question":" "}"#, "empty"),
        ] {
            let told = Tool::parse(name, arguments).unwrap_err();
            assert!(told.contains(mentions), "{name} {arguments}: {told}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "è".repeat(5_000);
        let Ok(Tool::Note { text }) = Tool::parse("note", &json!({"text": long}).to_string())
        else {
            panic!("no note");
        };
        assert_eq!(text.chars().count(), MAX_NOTE);
        let arguments = json!({"summary": long, "outcome": "success"}).to_string();
        let Ok(Tool::EndCall { summary, .. }) = Tool::parse("end_call", &arguments) else {
            panic!("no end");
        };
        assert_eq!(summary.chars().count(), MAX_SUMMARY);
    }

    #[test]
    fn the_declared_outcomes_are_the_ones_of_the_snapshot() {
        let declared = &declarations()[1]["parameters"]["properties"]["outcome"]["enum"];
        let outcomes: Vec<Outcome> = serde_json::from_value(declared.clone()).unwrap();
        assert_eq!(outcomes.len(), 5);
    }

    #[test]
    fn schemas_are_closed() {
        let declared = declarations();
        for function in declared.as_array().unwrap() {
            let parameters = &function["parameters"];
            assert_eq!(parameters["additionalProperties"], false);
            let properties = parameters["properties"].as_object().unwrap();
            let required = parameters["required"].as_array().unwrap();
            assert_eq!(properties.len(), required.len());
            assert!(
                required
                    .iter()
                    .all(|name| { properties[name.as_str().unwrap()]["description"].is_string() })
            );
            let described = function["description"].as_str().unwrap();
            assert!(described.contains("Use it") && described.contains("Do not use it"));
        }
    }
}
