//! A callee on the line: lives a script, 20 ms at a time.

use std::collections::VecDeque;
use std::time::Duration;

use super::callee::{FRAME, FRAME_TIME, Menu, Step};
use super::speech::{self, Decoder, SILENCE};

/// Frames of silence after which a person takes the other side to have finished (600 ms).
const FINISHED_AFTER: u32 = 30;

/// Characters that must be heard before silence counts as the end of a sentence. The agent may
/// still be audible for a moment after it was interrupted; that is no answer.
const SENTENCE: usize = 8;

/// A menu that gets no key for this long is read again.
const MENU_PATIENCE: Duration = Duration::from_secs(5);

/// How long a menu takes to react to keys.
const MENU_REACTS: Duration = Duration::from_secs(1);

/// What a menu says to a key that it does not have.
const WRONG_KEY: &str = "This is not a valid choice.";

/// What a person does in one frame.
#[derive(Debug, Default)]
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
    /// Something breaks off here.
    pub(crate) breaks: Option<Break>,
}

/// What breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// The media stream.
    Stream,
    /// The line, and the stream with it: nobody will connect another one.
    Line,
}

/// How far a callee was heard, as machine detection listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Impression {
    /// Call time in which somebody spoke.
    pub(crate) speech: Duration,
    /// Call time in which a tone sounded.
    pub(crate) tone: Duration,
    /// A tone has sounded and is over.
    pub(crate) beeped: bool,
    /// Call time since the last sound.
    pub(crate) quiet: Duration,
}

/// See the module.
pub(crate) struct Person {
    script: VecDeque<Step>,
    mouth: VecDeque<u8>,
    ear: Decoder,
    /// Keys that the agent has pressed and nobody has taken yet.
    keys: String,
    /// The current step has begun, so long ago, and since then this was heard.
    begun: bool,
    frames: u32,
    heard: usize,
    words: String,
    quiet: u32,
    impression: Impression,
}

impl Person {
    pub(crate) fn new(script: Vec<Step>) -> Self {
        Self {
            script: script.into(),
            mouth: VecDeque::new(),
            ear: Decoder::default(),
            keys: String::new(),
            begun: false,
            frames: 0,
            heard: 0,
            words: String::new(),
            quiet: 0,
            impression: Impression::default(),
        }
    }

    /// How far they were heard so far.
    pub(crate) fn impression(&self) -> Impression {
        self.impression
    }

    /// Hears a key that the other side presses.
    pub(crate) fn hear_key(&mut self, key: char) {
        self.keys.push(key);
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
        let mut moment = Moment {
            understood,
            ..Moment::default()
        };
        self.act(&mut moment);
        moment.lost = matches!(self.script.front(), Some(Step::BadLine(_)));
        let available = self.mouth.len().min(FRAME);
        moment.said = self.mouth.drain(..available).collect();
        moment.said.resize(FRAME, SILENCE);
        self.impress(&moment.said);
        moment
    }

    fn impress(&mut self, said: &[u8]) {
        let impression = &mut self.impression;
        if !speech::is_speech(said) {
            impression.quiet += FRAME_TIME;
            impression.beeped = impression.tone > Duration::ZERO;
            return;
        }
        impression.quiet = Duration::ZERO;
        if matches!(self.script.front(), Some(Step::Tone(_))) {
            impression.tone += FRAME_TIME;
        } else {
            impression.speech += FRAME_TIME;
        }
    }

    fn act(&mut self, moment: &mut Moment) {
        let finished = self.heard >= SENTENCE && self.quiet >= FINISHED_AFTER;
        let Some(step) = self.script.front() else {
            return;
        };
        match step {
            Step::Say(text) if !self.begun => self.sound(speech::encode(text)),
            Step::Tone(time) if !self.begun => self.sound(speech::tone(samples(*time))),
            Step::Music(time) if !self.begun => self.sound(speech::music(samples(*time))),
            Step::Say(_) | Step::Tone(_) | Step::Music(_) if self.mouth.is_empty() => self.next(),
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
                self.act(moment);
            }
            Step::Hear(characters) if self.heard >= *characters => self.next(),
            Step::Menu(menu) => {
                let menu = menu.clone();
                self.read(&menu);
            }
            Step::PressKey(key) => {
                moment.key = Some(*key);
                self.next();
            }
            Step::LoseStream => {
                moment.breaks = Some(Break::Stream);
                self.next();
            }
            Step::LoseLine(time) => {
                let time = *time;
                moment.breaks = Some(Break::Line);
                self.next();
                self.script.push_front(Step::HangUp);
                self.script.push_front(Step::Pause(time));
            }
            Step::Pause(time) | Step::BadLine(time) if FRAME_TIME * self.frames >= *time => {
                self.next();
            }
            Step::HangUp => moment.hangs_up = true,
            _ => {}
        }
    }

    fn sound(&mut self, audio: Vec<u8>) {
        self.mouth.extend(audio);
        self.begun = true;
    }

    /// Reads a menu, and does what the keys pressed so far ask for.
    fn read(&mut self, menu: &Menu) {
        if !self.begun {
            self.sound(speech::encode(&menu.says));
        }
        if !self.mouth.is_empty() {
            self.frames = 0;
        }
        if FRAME_TIME * self.frames >= MENU_PATIENCE {
            self.sound(speech::encode(&menu.says));
        }
        if self.keys.is_empty() {
            return;
        }
        let pressed = self.keys.as_str();
        if let Some((_, then)) = menu.options.iter().find(|(keys, _)| keys == pressed) {
            self.keys.clear();
            self.mouth.clear();
            self.next();
            for step in then.iter().rev() {
                self.script.push_front(step.clone());
            }
            self.script.push_front(Step::Pause(MENU_REACTS));
        } else if !menu
            .options
            .iter()
            .any(|(keys, _)| keys.starts_with(pressed))
        {
            self.keys.clear();
            self.mouth.clear();
            let pause = std::iter::repeat_n(SILENCE, samples(MENU_REACTS));
            self.sound(pause.collect());
            self.sound(speech::encode(&format!("{WRONG_KEY} {}", menu.says)));
        }
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

fn samples(time: Duration) -> usize {
    usize::try_from(time.as_millis() * 8).unwrap_or(0)
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

    /// What is said in so many frames, to somebody who is silent.
    fn says(person: &mut Person, frames: usize) -> String {
        converse(person, "", frames).0
    }

    #[test]
    fn a_menu_is_read_again_until_a_key_of_it_is_pressed() {
        let menu = Menu {
            says: "Press 1.".to_owned(),
            options: vec![
                ("1".to_owned(), vec![Step::say("One.")]),
                ("23".to_owned(), vec![Step::say("Twenty-three.")]),
            ],
        };
        let mut person = Person::new(vec![Step::Menu(menu.clone()), Step::HangUp]);
        assert_eq!(says(&mut person, 100), "Press 1.");
        person.hear_key('9');
        assert_eq!(says(&mut person, 200), format!("{WRONG_KEY} Press 1."));
        assert_eq!(says(&mut person, 250), "Press 1.", "nobody presses");
        person.hear_key('2');
        assert_eq!(says(&mut person, 10), "", "there may be more to come");
        person.hear_key('3');
        assert_eq!(
            converse(&mut person, "", 100),
            ("Twenty-three.".to_owned(), true)
        );
        let mut impatient = Person::new(vec![Step::Menu(menu)]);
        impatient.live(&[]);
        impatient.hear_key('1');
        assert_eq!(says(&mut impatient, 50), "", "it takes a second");
        assert_eq!(says(&mut impatient, 100), "One.", "the rest is not read");
    }

    #[test]
    fn tones_and_music_have_no_words_and_are_told_apart() {
        let time = Duration::from_secs(4);
        let mut person = Person::new(vec![Step::Music(time), Step::Tone(time)]);
        assert_eq!(says(&mut person, 450), "");
        let heard = person.impression();
        assert_eq!(heard.tone, time);
        assert!(heard.beeped);
        let bars = heard.speech;
        assert!(
            Duration::from_millis(200) < bars && bars < time / 2,
            "{heard:?}"
        );
    }

    #[test]
    fn the_stream_breaks_in_the_middle_of_what_is_heard() {
        let mut person = Person::new(vec![Step::Hear(5), Step::LoseStream, Step::say("Hello?")]);
        let audio = speech::encode("a long sentence");
        let breaks: Vec<bool> = audio
            .chunks(FRAME)
            .map(|frame| person.live(frame).breaks.is_some())
            .collect();
        assert_eq!(breaks.iter().filter(|breaks| **breaks).count(), 1);
        assert!(breaks.iter().position(|breaks| *breaks) < Some(breaks.len() / 2));
    }
}
