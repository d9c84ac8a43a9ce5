//! The callee's side: what they say and press, and what becomes of the agent's words when they
//! speak over them.

use std::time::Duration;

use super::event::{Change, Output, ToCarrier, ToModel};
use super::interruption::{AT_LEAST, Sound};
use super::ledger::{CutItem, Heard};
use super::opening::{Hello, Opening};
use super::{Bridge, Keys};
use crate::call::audio::{Audio, SAMPLES_PER_MS};
use crate::call::snapshot::Role;

/// A hole in the callee's audio is filled up to this length.
const LONGEST_GAP: Duration = Duration::from_secs(2);

/// Smaller holes are rounding: a frame is customarily this long.
const SHORTEST_GAP: Duration = Duration::from_millis(20);

/// Keys pressed within this time of each other are one entry.
const KEY_ENTRY: Duration = Duration::from_millis(1_500);

/// More keys than this are more than one entry.
const MOST_KEYS: usize = 64;

/// Turns of the callee whose words may still be on their way.
const TURNS_WITHOUT_WORDS: usize = 32;

impl Bridge {
    pub(super) fn callee_audio(&mut self, at: Duration, audio: Audio) {
        if self.carrier.attached.is_none() || audio.is_empty() {
            return;
        }
        let gap = at.saturating_sub(self.carrier.next_frame.unwrap_or(at));
        self.history.push(&audio);
        self.heard_by_nobody(&audio);
        if self.gate.callee_speaks() || self.awaiting_answer.is_some() || self.is_catching_up() {
            self.utterance.push(&audio);
        }
        if let Some(sound) = &mut self.sound {
            sound.hear(&audio);
        }
        self.carrier.next_frame =
            Some(at.saturating_add(Duration::from_millis(audio.samples() / SAMPLES_PER_MS)));
        if gap >= SHORTEST_GAP {
            let filled = gap.min(LONGEST_GAP);
            let samples = u64::try_from(filled.as_millis()).unwrap_or(0) * SAMPLES_PER_MS;
            self.publish(Change::GapFilled(filled));
            self.feed_model(Audio::silence(samples));
        }
        self.feed_model(audio);
    }

    fn feed_model(&mut self, audio: Audio) {
        if self.model_ready {
            self.send(ToModel::Audio(audio));
            return;
        }
        let lost = self.early.push(&audio);
        if !lost.is_zero() {
            self.publish(Change::EarlyAudioDropped(lost));
        }
    }

    pub(super) fn key(&mut self, key: char) {
        let mut complete_at = self.now + KEY_ENTRY;
        let (slot, at, mut pressed) = match self.keys.take() {
            Some(keys) => (keys.slot, keys.at, keys.pressed),
            None => (self.slot(), self.now, String::new()),
        };
        pressed.push(key);
        if pressed.chars().count() >= MOST_KEYS {
            complete_at = self.now;
        }
        let text = format!("Keys pressed: {pressed}");
        self.publish(Change::Line {
            slot,
            at,
            role: Role::System,
            text,
        });
        self.keys = Some(Keys {
            slot,
            at,
            pressed,
            complete_at,
        });
    }

    pub(super) fn keys_complete(&mut self) {
        let Some(keys) = self.keys.take() else { return };
        self.tell(&format!(
            "The callee pressed these keys on their phone: {}",
            keys.pressed
        ));
        let answer = self.gate.owe_answer();
        self.tell_model(answer);
    }

    pub(super) fn speech_started(&mut self) {
        self.first_words_begin();
        if self.agent_spoke_last && self.is_conversing() && self.is_agent_silent() {
            self.count_exchange();
        }
        if self.awaiting_answer.is_none() && !self.is_catching_up() {
            self.utterance = self.history.frames().collect();
        }
        self.speech_is_noticed();
        self.gate.speech_started();
        self.awaiting_answer = None;
        self.asked_if_there = false;
        if self.speech.is_none() {
            self.speech = Some((self.slot(), self.now));
        }
        match self.opening {
            Opening::Waiting | Opening::Preparing(_) | Opening::Held(_) => {
                self.hello_pending = true;
                let since = match self.hello {
                    Hello::Speaking { since } => since,
                    _ => self.now,
                };
                self.hello = Hello::Speaking { since };
            }
            Opening::Playing { .. } => self.hello_pending = false,
            Opening::Done if self.is_catching_up() => self.hello_pending = false,
            Opening::Done => self.speech_over_agent(),
        }
        if !self.callee_spoke {
            self.callee_spoke = true;
            self.publish(Change::CalleeSpoke);
        }
    }

    fn speech_over_agent(&mut self) {
        self.hello_pending = false;
        self.unanswerable = false;
        self.sound = Some(Sound::new(self.now, &self.history));
        self.interruption_on_time();
    }

    /// There is something to interrupt, and somebody who does.
    fn is_interruptible(&self) -> bool {
        self.gate.callee_speaks()
            && self.ending.is_none()
            && self.is_conversing()
            && !self.is_agent_silent()
    }

    /// When a sound counts as speech, whatever it sounds like.
    pub(super) fn interruption_deadline(&self) -> Option<Duration> {
        let sound = self.sound.as_ref().filter(|_| self.is_interruptible())?;
        Some(sound.since + AT_LEAST)
    }

    /// Interrupts the agent once the callee was heard for long enough; also an agent who begins
    /// while they speak.
    pub(super) fn interruption_on_time(&mut self) {
        let Some(sound) = self.sound.as_ref().filter(|_| self.is_interruptible()) else {
            return;
        };
        let long_enough = sound.voiced() >= self.settings.interrupt_after;
        if long_enough || sound.since + AT_LEAST <= self.now {
            self.barge_in();
        }
    }

    fn is_agent_silent(&self) -> bool {
        self.ledger.is_silent() && !self.is_saying()
    }

    /// The callee speaks over the agent, who falls silent: what is queued is cleared, and the model
    /// learns how much of it was heard.
    pub(super) fn barge_in(&mut self) {
        if self.is_agent_silent() || self.ending.is_some() || self.carrier.attached.is_none() {
            return;
        }
        if !self.ledger.is_silent() {
            self.out.push_back(Output::Carrier(ToCarrier::Clear));
        }
        self.interruptions += 1;
        if self.gate.active().is_some()
            && !self.gate.is_aside()
            && !(self.settings.interrupt_after.is_zero() && self.gate.model_yields())
        {
            self.send(ToModel::Cancel);
        }
        self.gate.drop_queue();
        self.cut();
    }

    /// Ends the generation: the model and the transcript keep what was heard, and nothing else.
    pub(super) fn cut(&mut self) {
        // The model goes on with what nobody hears yet.
        let making = self.draft().is_some();
        let active = self.gate.active().filter(|_| !making);
        self.stale_response = active.map(str::to_owned);
        // A greeting that was cut off will be played again: the model keeps all of it.
        let tell = matches!(self.opening, Opening::Done);
        for cut in self.ledger.cut() {
            match cut.heard {
                _ if !tell => {}
                Heard::All => {}
                _ if cut.foreign => self.tell_of_cut(&cut),
                Heard::Part(heard_ms) => self.send(ToModel::Truncate {
                    item: cut.id,
                    heard_ms,
                }),
                Heard::Nothing => self.send(ToModel::Delete { item: cut.id }),
            }
            self.publish_spoken(cut.spoken);
        }
    }

    /// An item of an earlier session was cut off; if this session was told of it, then as a whole.
    fn tell_of_cut(&mut self, cut: &CutItem) {
        if self.model_is_lost() {
            return;
        }
        let heard = cut.spoken.as_ref().map_or("", |spoken| &spoken.text);
        self.tell(&format!(
            "You were cut off; of what you said last, this was heard: \"{heard}\""
        ));
    }

    pub(super) fn speech_stopped(&mut self) {
        self.gate.speech_stopped();
        self.first_words_end();
        if let Hello::Speaking { .. } = self.hello {
            self.hello = Hello::Said { until: self.now };
        }
        self.awaiting_answer = Some(self.now);
    }

    pub(super) fn callee_turn(&mut self, item: &str) {
        self.has_caught_up();
        let (slot, at) = match self.speech.take() {
            Some(begun) => begun,
            None => (self.slot(), self.now),
        };
        if self.callee_turns.len() == TURNS_WITHOUT_WORDS {
            self.callee_turns.pop_front();
        }
        self.callee_turns.push_back((item.to_owned(), slot, at));
        // An "mhm" that the agent is still talking through asks for no answer.
        let short = |sound: Sound| sound.voiced() < self.settings.interrupt_after;
        let talked_through = self.sound.take().is_some_and(short) && !self.ledger.is_silent();
        if talked_through {
            self.unanswerable = true;
            self.awaiting_answer = None;
            self.utterance.clear();
            return;
        }
        self.agent_spoke_last = false;
        if std::mem::take(&mut self.hello_pending) {
            return;
        }
        let answer = self.gate.callee_turn();
        self.tell_model(answer);
    }

    pub(super) fn callee_words(&mut self, item: &str, text: &str) {
        if let Some(line) = self.words_of(item, text) {
            if let Change::Line { slot, text, .. } = &line {
                self.memory.callee(*slot, text);
            }
            if self.callee_turns.is_empty() && self.awaiting_answer.is_none() {
                // Answered, and known in words: there is nothing in it that could be lost.
                self.utterance.clear();
            }
            self.publish(line);
        }
    }

    /// The line of a turn whose words have come.
    pub(super) fn words_of(&mut self, item: &str, text: &str) -> Option<Change> {
        let known = self.callee_turns.iter().position(|(id, ..)| id == item)?;
        let (_, slot, at) = self.callee_turns.remove(known)?;
        (!text.is_empty()).then(|| Change::Line {
            slot,
            at,
            role: Role::Caller,
            text: text.to_owned(),
        })
    }
}
