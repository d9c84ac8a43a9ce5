//! Random interleavings of what both sides may and may not do, and what must hold in each.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::world::{Story, World};
use super::*;

prop_compose! {
    fn story(most: usize)(
        settings in any::<u16>(),
        random in prop::collection::vec(any::<u32>(), 10..most),
    ) -> Story {
        Story::of(settings, random)
    }
}

fn cases(at_least: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(at_least),
        failure_persistence: None,
        ..default
    }
}

/// Lives through a story; if something is wrong with it, once more, to tell all of it.
fn check(story: &Story) -> Result<(), TestCaseError> {
    live(story, None).map_err(|_| {
        let mut trace = String::new();
        let why = live(story, Some(&mut trace)).err().unwrap_or_default();
        TestCaseError::fail(format!("{why}, after:\n{trace}"))
    })
}

fn live(story: &Story, trace: Option<&mut String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| World::live(story, trace)))
        .unwrap_or_else(|_| Err("a panic".into()))
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn whatever_happens_the_promises_hold(story in story(80)) {
        check(&story)?;
    }
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn they_hold_in_long_calls_too(story in story(200)) {
        check(&story)?;
    }
}

/// Events that no peer should repeat without end, each told apart by its number.
fn flood(kind: u8, number: u32, feed: &mut impl FnMut(Input<'_>)) {
    let (new, audio) = (
        format!("x{number}"),
        sound(usize::try_from(number % 2).unwrap()),
    );
    match kind {
        0 => feed(words(&new, "word ").into()),
        1 => feed(words("a", "word ").into()),
        2 => feed(
            ModelEvent::WordsDone {
                item: &new,
                text: "word ".into(),
            }
            .into(),
        ),
        3 => feed(self::audio("r", &new, 1).into()),
        4 => feed(self::audio("r", "a", 1_600).into()),
        5 => feed(self::audio(&new, &new, 1_600).into()),
        6 => feed(ModelEvent::Committed { item: &new }.into()),
        7 => feed(CarrierEvent::Key('5').into()),
        8 => feed(ATTACHED.into()),
        9 => feed(CarrierEvent::Audio { at: ms(0), audio }.into()),
        10 => feed(ModelEvent::ResponseStarted { response: &new }.into()),
        11 => feed(
            CarrierEvent::Played(Mark {
                generation: 0,
                sequence: number,
            })
            .into(),
        ),
        12 => {
            feed(ModelEvent::SpeechStarted.into());
            feed(ModelEvent::SpeechStopped.into());
        }
        13 => {
            let (about, message) = (Some(Request::Respond), "no".into());
            feed(
                ModelEvent::Error {
                    about,
                    kind: ErrorKind::Busy,
                    message,
                }
                .into(),
            );
        }
        14 => {
            feed(ModelEvent::ResponseStarted { response: &new }.into());
            feed(tool(&new, "note", "{").into());
            feed(ended(&new).into());
        }
        _ => feed(tool("r", "note", "{").into()),
    }
}

#[test]
fn nothing_grows_without_end() {
    let speaking = |mut stage: Stage| {
        stage.at(2_290, ModelEvent::Configured);
        stage.at(2_300, ModelEvent::ResponseStarted { response: "r" });
        stage
    };
    let stages: [&dyn Fn() -> Stage; 5] = [
        &Stage::new,
        &|| speaking(Stage::new()),
        &Stage::ringing,
        &Stage::open,
        &|| speaking(Stage::open()),
    ];
    for (at, stage) in stages.iter().enumerate() {
        for kind in 0..16 {
            let mut stage = stage();
            let mut size_after = |numbers: std::ops::Range<u32>| {
                for number in numbers {
                    flood(kind, number, &mut |input| {
                        stage.at(2_400, input);
                    });
                }
                // All that it holds shows in it.
                format!("{:?}", stage.bridge).len()
            };
            // What is remembered of the conversation has a bound, too; keys come to it slowly.
            let enough = if kind == 7 { 40_000 } else { 5_000 };
            let (half, whole) = (size_after(0..enough), size_after(enough..2 * enough));
            assert!(
                whole < half + 1_500,
                "stage {at}, flood {kind}: {half}, then {whole}"
            );
        }
    }
}
