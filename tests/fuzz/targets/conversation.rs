//! A whole call: peers that mostly behave, and an observer that knows what must hold. They are those of
//! the bridge's property test.
//!
//! Two bytes say what the call is like, and each three after them are a step.

use std::collections::VecDeque;
use std::time::Duration;

use openagent_messaging::call::audio::Audio;
use openagent_messaging::call::bridge::event::{
    AnsweredBy, CarrierEvent, Change, Command, End, ErrorKind, Input, KeysAnswer, Mark, ModelEvent,
    Output, Recall, Request, Respond, ResponseEnding, Stream, ToCarrier, ToModel, Turns,
};
use openagent_messaging::call::bridge::{Bridge, OneMoment, Settings};
use openagent_messaging::call::disclosure::Disclosure;
use openagent_messaging::call::language::Language;
use openagent_messaging::call::snapshot::{Outcome, Role};

use self::shorthand::{END_CALL, GREETING, ended, ms, tool, words};
use self::world::{Story, World};

#[path = "../../../src/call/bridge/tests/observer.rs"]
mod observer;
#[path = "../../../src/call/bridge/tests/questions.rs"]
mod questions;
#[path = "../../../src/call/bridge/tests/shorthand.rs"]
mod shorthand;
#[path = "../../../src/call/bridge/tests/story.rs"]
mod story;
#[path = "../../../src/call/bridge/tests/world.rs"]
mod world;

/// More, and the world would run out of names.
const STEPS: usize = 200;

pub fn check(data: &[u8]) {
    let Some((settings, steps)) = data.split_first_chunk() else {
        return;
    };
    let steps = steps.as_chunks().0.iter().take(STEPS);
    let steps = steps.map(|[kind, arg, more]| u32::from_le_bytes([*kind, *arg, *more, 0]));
    let story = Story::of(u16::from_le_bytes(*settings), steps);
    if let Err(why) = World::live(&story, None) {
        let mut trace = String::new();
        let _ = World::live(&story, Some(&mut trace));
        panic!("{why}, after:\n{trace}");
    }
}
