//! Who can be called in the sandbox: how the phone is answered, and a script of what is said into it.
//! `person` lives the script.

use std::time::Duration;

/// Audio bytes in 20 ms, the frame in which a line lives.
pub(crate) const FRAME: usize = 160;

/// Call time of one frame.
pub(crate) const FRAME_TIME: Duration = Duration::from_millis(20);

/// How long the beep of an answering machine sounds.
const BEEP: Duration = Duration::from_millis(500);

/// Somebody who can be called.
#[derive(Debug, Clone)]
pub struct Callee {
    /// What happens to the ringing phone.
    pub answer: Answer,
    /// What is said and done once it was answered; after the last step the person stays on the line.
    pub script: Vec<Step>,
    /// What machine detection makes of this callee, as `DetectMessageEnd` words it: `human`,
    /// `machine_end_beep`, `machine_end_silence`, `machine_end_other`, `fax` or `unknown`. When it
    /// does is decided by what is heard of the script.
    pub answered_by: String,
}

/// What happens to the ringing phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is picked up after this much call time.
    Answers {
        /// How long it rings.
        after: Duration,
    },
    /// The line is engaged.
    Busy,
    /// It rings until the caller's `Timeout`.
    NoAnswer,
    /// It rings until the callee's network gives up, after this much call time.
    GivesUp {
        /// How long it rings.
        after: Duration,
    },
    /// The network cannot connect the call.
    Rejects,
}

/// One thing that the person on the line does. Times are call time (audio time).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Says this to the end, whatever the agent does meanwhile.
    Say(String),
    /// Waits until the agent has said something and then been silent for 600 ms.
    WaitForAgentToFinish,
    /// Waits until the agent has said these words and then been silent for 600 ms.
    WaitForWords(String),
    /// Listens until this many characters were heard, then talks over the agent; if the agent
    /// finishes earlier, speaks then.
    InterruptAfter {
        /// Characters to hear first.
        heard: usize,
        /// What is said.
        say: String,
    },
    /// Listens until this many characters were heard, be it in the middle of a sentence.
    Hear(usize),
    /// Presses one key of the phone.
    PressKey(char),
    /// Reads a menu and waits for keys.
    Menu(Menu),
    /// A tone without words: a beep, a fax.
    Tone(Duration),
    /// Hold music: mostly soft, with a loud bar now and then, and without words.
    Music(Duration),
    /// Stays silent.
    Pause(Duration),
    /// Stays silent while the line swallows everything: these frames never reach the caller.
    BadLine(Duration),
    /// The media stream breaks off without a `stop`, and nobody has hung up: the carrier goes on
    /// with the next TwiML verb.
    LoseStream,
    /// The whole line goes dead: the media stream breaks off without a `stop`, and so much later the
    /// carrier finds that the callee is gone and ends the call.
    LoseLine(Duration),
    /// Hangs up.
    HangUp,
    /// Stays silent until the line is hung up.
    WaitForever,
}

/// A menu that is read, and read again to whoever presses a wrong key, or none for five seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Menu {
    /// What is read.
    pub says: String,
    /// Keys, and what follows once they are pressed, be it while the menu is still being read.
    pub options: Vec<(String, Vec<Step>)>,
}

impl Step {
    /// [`Step::Say`].
    pub fn say(text: &str) -> Self {
        Self::Say(text.to_owned())
    }
}

impl Callee {
    /// A person who picks up after half a second and follows `script`.
    pub fn person(script: Vec<Step>) -> Self {
        Self {
            answer: Answer::Answers {
                after: Duration::from_millis(500),
            },
            script,
            answered_by: "human".to_owned(),
        }
    }

    /// A phone that is never picked up, for the given reason.
    pub fn unreachable(answer: Answer) -> Self {
        Self {
            answer,
            ..Self::person(Vec::new())
        }
    }

    fn detected(answered_by: &str, script: Vec<Step>) -> Self {
        Self {
            answered_by: answered_by.to_owned(),
            ..Self::person(script)
        }
    }

    /// An answering machine: a greeting, a beep, then silence.
    pub fn machine() -> Self {
        let greeting = "You have reached the mailbox. Please leave a message after the tone.";
        Self::machine_with(greeting)
    }

    /// An answering machine with this greeting, a beep, then silence.
    pub fn machine_with(greeting: &str) -> Self {
        let script = vec![
            Step::say(greeting),
            Step::Pause(Duration::from_millis(300)),
            Step::Tone(BEEP),
            Step::WaitForever,
        ];
        Self::detected("machine_end_beep", script)
    }

    /// An answering machine that records without a beep.
    pub fn machine_without_beep() -> Self {
        let greeting = "Nobody can take your call at the moment. Please leave a message.";
        let script = vec![Step::say(greeting), Step::WaitForever];
        Self::detected("machine_end_silence", script)
    }

    /// A fax machine: three tones, and it hangs up.
    pub fn fax() -> Self {
        let tone = Step::Tone(Duration::from_secs(2));
        let pause = Step::Pause(Duration::from_secs(1));
        let script = vec![
            tone.clone(),
            pause.clone(),
            tone.clone(),
            pause.clone(),
            tone,
            pause,
            Step::HangUp,
        ];
        Self::detected("fax", script)
    }

    /// A phone menu. Key 2 leads to a person, who agrees and waits for the agent to hang up; key 1
    /// to a recording, which hangs up.
    pub fn menu() -> Self {
        let person = vec![
            Step::Pause(Duration::from_secs(1)),
            Step::say("Reception, good morning. How can I help you?"),
            Step::WaitForAgentToFinish,
            Step::say("Tuesday at ten works for us."),
            Step::WaitForAgentToFinish,
            Step::WaitForever,
        ];
        let closed = vec![
            Step::say("The billing office is closed. Thank you for your call."),
            Step::HangUp,
        ];
        let menu = Menu {
            says: "Welcome to the dental practice. For invoices, press 1. For an appointment, press 2."
                .to_owned(),
            options: vec![("1".to_owned(), closed), ("2".to_owned(), person)],
        };
        Self::detected("machine_end_other", vec![Step::Menu(menu)])
    }

    /// A person who puts the caller on hold: music and an announcement, then somebody else, who
    /// agrees and waits for the agent to hang up.
    pub fn on_hold() -> Self {
        Self::person(vec![
            Step::say("Dental practice, one moment, please."),
            Step::Music(Duration::from_secs(6)),
            Step::say("All lines are busy. Please hold the line."),
            Step::Music(Duration::from_secs(5)),
            Step::Pause(Duration::from_millis(600)),
            Step::say("Hello, this is the reception. How can I help you?"),
            Step::WaitForAgentToFinish,
            Step::say("Tuesday at ten works for us."),
            Step::WaitForAgentToFinish,
            Step::WaitForever,
        ])
    }

    /// A person whose line breaks while the agent explains, and comes back on the carrier's next
    /// verb; they ask, agree, and wait for the agent to hang up.
    pub fn with_a_broken_line() -> Self {
        Self::person(vec![
            Step::say("Hello?"),
            Step::WaitForAgentToFinish,
            Step::say("Yes, speaking. What is it about?"),
            Step::Hear(40),
            Step::LoseStream,
            Step::Pause(Duration::from_secs(1)),
            Step::say("Are you there? What was it about?"),
            Step::WaitForAgentToFinish,
            Step::say("Tuesday at ten works for us."),
            Step::WaitForAgentToFinish,
            Step::WaitForever,
        ])
    }

    /// The callee behind a number that no script was given for: numbers ending in `0001` are busy,
    /// `0002` never answer, `0003` cannot be connected, `0004` hang up after the greeting, `0005`
    /// are answering machines, `0006` are phone menus, `0007` put the caller on hold, `0008` are on
    /// a line that breaks, `0009` are fax machines; `None` for all others.
    pub(crate) fn by_ending(number: &str) -> Option<Self> {
        Some(match number.get(number.len().saturating_sub(4)..)? {
            "0001" => Self::unreachable(Answer::Busy),
            "0002" => Self::unreachable(Answer::NoAnswer),
            "0003" => Self::unreachable(Answer::Rejects),
            "0004" => Self::person(vec![
                Step::say("Hello?"),
                Step::WaitForAgentToFinish,
                Step::HangUp,
            ]),
            "0005" => Self::machine(),
            "0006" => Self::menu(),
            "0007" => Self::on_hold(),
            "0008" => Self::with_a_broken_line(),
            "0009" => Self::fax(),
            _ => return None,
        })
    }
}

impl Default for Callee {
    /// Answers, asks what it is about, interrupts the explanation once, agrees, says goodbye, and
    /// leaves it to the caller to hang up, for eight seconds.
    fn default() -> Self {
        Self::person(vec![
            Step::say("Hello?"),
            Step::WaitForAgentToFinish,
            Step::say("Yes, speaking. What is it about?"),
            Step::InterruptAfter {
                heard: 40,
                say: "Sorry, which day was that?".to_owned(),
            },
            Step::WaitForAgentToFinish,
            Step::say("Tuesday at ten works for us."),
            Step::WaitForAgentToFinish,
            Step::say("Goodbye."),
            Step::Pause(Duration::from_secs(8)),
            Step::HangUp,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_a_script_go_by_their_ending() {
        assert!(Callee::by_ending("+390612345678").is_none());
        assert!(Callee::by_ending("1").is_none());
        let busy = Callee::by_ending("+14155550001").map(|c| c.answer);
        assert_eq!(busy, Some(Answer::Busy));
        let by = Callee::by_ending("+14155550006").map(|c| c.answered_by);
        assert_eq!(by.as_deref(), Some("machine_end_other"));
    }
}
