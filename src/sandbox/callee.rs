//! The person (or machine) at the other end of a sandbox call: how the phone is answered, and a
//! script of what is said into it.

use std::collections::VecDeque;
use std::time::Duration;

use super::speech::{self, Decoder, SILENCE};

/// Audio bytes in 20 ms, the frame in which a line lives.
pub(crate) const FRAME: usize = 160;

/// Call time of one frame.
pub(crate) const FRAME_TIME: Duration = Duration::from_millis(20);

/// Frames of silence after which a person takes the other side to have finished (600 ms).
const FINISHED_AFTER: u32 = 30;

/// Characters that must be heard before silence counts as the end of a sentence. The agent may
/// still be audible for a moment after it was interrupted; that is no answer.
const SENTENCE: usize = 8;

/// Somebody who can be called.
#[derive(Debug, Clone)]
pub struct Callee {
    /// What happens to the ringing phone.
    pub answer: Answer,
    /// What is said and done once it was answered; after the last step the person stays on the line.
    pub script: Vec<Step>,
    /// `AnsweredBy` as machine detection reports it: `human`, `machine_end_beep`, `fax`…
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
    /// Presses one key of the phone.
    PressKey(char),
    /// Stays silent.
    Pause(Duration),
    /// Stays silent while the line swallows everything: these frames never reach the caller.
    BadLine(Duration),
    /// Hangs up.
    HangUp,
    /// Stays silent until the line is hung up.
    WaitForever,
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

    /// An answering machine: a greeting, a beep, then silence.
    pub fn machine() -> Self {
        Self {
            answered_by: "machine_end_beep".to_owned(),
            ..Self::person(vec![
                Step::say("You have reached the mailbox. Please leave a message after the tone."),
                Step::WaitForever,
            ])
        }
    }

    /// The callee behind a number that no script was given for: numbers ending in `0001` are busy,
    /// `0002` never answer, `0003` cannot be connected, `0004` hang up after the greeting, `0005`
    /// are answering machines; `None` for all others.
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

/// What a person does in one frame.
pub(crate) struct Moment {
    /// What the microphone picks up: exactly [`FRAME`] bytes.
    pub(crate) said: Vec<u8>,
    /// Characters understood from what was played.
    pub(crate) understood: String,
    /// What is said does not get through.
    pub(crate) lost: bool,
    /// A key pressed.
    pub(crate) key: Option<char>,
    /// The receiver is put down.
    pub(crate) hangs_up: bool,
}

/// A callee on the line.
pub(crate) struct Person {
    script: VecDeque<Step>,
    mouth: VecDeque<u8>,
    ear: Decoder,
    /// The current step has begun, so long ago, and since then this was heard.
    begun: bool,
    frames: u32,
    heard: usize,
    words: String,
    quiet: u32,
    has_spoken: bool,
}

impl Person {
    pub(crate) fn new(script: Vec<Step>) -> Self {
        Self {
            script: script.into(),
            mouth: VecDeque::new(),
            ear: Decoder::default(),
            begun: false,
            frames: 0,
            heard: 0,
            words: String::new(),
            quiet: 0,
            has_spoken: false,
        }
    }

    /// Said the first sentence to its end; an answering machine has beeped by then.
    pub(crate) fn has_spoken(&self) -> bool {
        self.has_spoken
    }

    /// Lives 20 ms, in which `played` comes out of the receiver (nothing is silence).
    pub(crate) fn live(&mut self, played: &[u8]) -> Moment {
        let understood = self.ear.feed(played);
        self.frames += 1;
        if speech::is_speech(played) {
            self.quiet = 0;
        } else {
            self.quiet += 1;
        }
        self.heard += understood.chars().count();
        self.words.push_str(&understood);
        let (key, hangs_up) = self.act();
        let lost = matches!(self.script.front(), Some(Step::BadLine(_)));
        let available = self.mouth.len().min(FRAME);
        let mut said: Vec<u8> = self.mouth.drain(..available).collect();
        said.resize(FRAME, SILENCE);
        Moment {
            said,
            understood,
            lost,
            key,
            hangs_up,
        }
    }

    fn act(&mut self) -> (Option<char>, bool) {
        let finished = self.heard >= SENTENCE && self.quiet >= FINISHED_AFTER;
        let Some(step) = self.script.front() else {
            return (None, false);
        };
        match step {
            Step::Say(text) if !self.begun => {
                self.mouth.extend(speech::encode(text));
                self.begun = true;
            }
            Step::Say(_) if self.mouth.is_empty() => {
                self.has_spoken = true;
                self.next();
            }
            Step::WaitForAgentToFinish if finished => self.next(),
            Step::WaitForWords(words)
                if self.quiet >= FINISHED_AFTER && self.words.contains(words.as_str()) =>
            {
                self.next();
            }
            Step::InterruptAfter { heard, say } if self.heard >= *heard || finished => {
                let say = Step::Say(say.clone());
                self.next();
                self.script.push_front(say);
                return self.act();
            }
            Step::PressKey(key) => {
                let key = *key;
                self.next();
                return (Some(key), false);
            }
            Step::Pause(time) | Step::BadLine(time) if FRAME_TIME * self.frames >= *time => {
                self.next();
            }
            Step::HangUp => return (None, true),
            _ => {}
        }
        (None, false)
    }

    fn next(&mut self) {
        self.script.pop_front();
        self.begun = false;
        self.frames = 0;
        self.heard = 0;
        self.words.clear();
        self.quiet = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `agent` to the person and returns what they said and whether they hung up.
    fn converse(person: &mut Person, agent: &str, frames: usize) -> (String, bool) {
        let audio = speech::encode(agent);
        let mut played = audio.chunks(FRAME);
        let mut other = Decoder::default();
        let mut said = String::new();
        for _ in 0..frames {
            let moment = person.live(played.next().unwrap_or_default());
            said.push_str(&other.feed(&moment.said));
            if moment.hangs_up {
                return (said, true);
            }
        }
        (said, false)
    }

    #[test]
    fn waits_for_the_end_of_a_sentence() {
        let mut person = Person::new(vec![
            Step::say("Hello?"),
            Step::WaitForAgentToFinish,
            Step::say("Yes."),
            Step::HangUp,
        ]);
        assert_eq!(converse(&mut person, "", 200), ("Hello?".to_owned(), false));
        assert_eq!(
            converse(&mut person, "Good morning to you.", 200),
            ("Yes.".to_owned(), true)
        );
    }

    #[test]
    fn waits_for_certain_words() {
        let script = || {
            vec![
                Step::WaitForWords("which day".to_owned()),
                Step::say("Yes."),
            ]
        };
        let said = |agent| converse(&mut Person::new(script()), agent, 200).0;
        assert_eq!(said("Something else, at length."), "");
        assert_eq!(said("I wonder which day it was."), "Yes.");
    }

    #[test]
    fn interrupts_in_the_middle() {
        let mut person = Person::new(vec![Step::InterruptAfter {
            heard: 10,
            say: "Stop".to_owned(),
        }]);
        let long = "a very long explanation of nothing at all";
        let (said, _) = converse(&mut person, long, 20);
        assert_eq!(said, "Stop");
    }

    #[test]
    fn a_bad_line_swallows_as_many_frames_as_it_lasts() {
        let mut person = Person::new(vec![
            Step::say("a"),
            Step::BadLine(Duration::from_millis(100)),
            Step::say("b"),
        ]);
        let lost: Vec<bool> = (0..10).map(|_| person.live(&[]).lost).collect();
        let begins = lost.iter().position(|lost| *lost).unwrap();
        assert_eq!(lost.iter().filter(|lost| **lost).count(), 5, "{lost:?}");
        assert!(lost[begins..begins + 5].iter().all(|lost| *lost));
    }

    #[test]
    fn numbers_without_a_script_go_by_their_ending() {
        assert!(Callee::by_ending("+390612345678").is_none());
        assert!(Callee::by_ending("1").is_none());
        let busy = Callee::by_ending("+14155550001").map(|c| c.answer);
        assert_eq!(busy, Some(Answer::Busy));
    }
}
