//! Random interleavings of what both sides may and may not do, and what must hold in each.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::world::{Step, Story, World};
use super::*;

/// Ready at the model, answered, greeted, heard.
const OPENING: [Step; 11] = [
    Step::Settle,
    Step::Begin,
    Step::Finish(0),
    // And "one moment, please", if it is asked for.
    Step::Begin,
    Step::Word,
    Step::Say(0),
    Step::Finish(0),
    Step::Attaches(3),
    Step::Wait(1_000),
    Step::Plays(8),
    Step::Settle,
];

/// Four bytes make a step: they are cheap to make and shrink well.
fn step(random: u32) -> Step {
    let [kind, arg, more, _] = random.to_le_bytes();
    match kind {
        0..=44 => Step::Model(arg),
        45..=69 => Step::Say(arg),
        70..=72 => Step::Word,
        73 => Step::Instructs,
        74 => Step::HostAnswers(arg),
        83 => Step::Flaps,
        84 => Step::NextItem,
        86..=90 => Step::AudioDone,
        91..=95 => Step::WordsDone,
        96..=103 => Step::Finish(arg),
        104..=109 => Step::CallTool(arg),
        110..=117 => Step::Settle,
        118..=119 => Step::RefuseTurns,
        120..=123 => Step::RefuseResponse(arg),
        124..=129 => Step::Begin,
        130..=153 => Step::Plays(arg % 4),
        154..=164 => Step::Speaks,
        165..=169 => Step::Stops,
        170..=174 | 206 => Step::Commits,
        75..=79 | 175..=184 | 226..=230 => Step::TakesTurn,
        185..=187 => Step::Understood(arg),
        188..=197 => Step::Frame(arg % 8),
        85 => Step::Answered(arg),
        198 => Step::Key,
        80 => Step::LosesModel(arg),
        81..=82 => Step::OpensModel(arg),
        199..=200 => Step::AnswersKeys(arg),
        201..=203 => Step::Attaches(arg),
        204..=205 => Step::Detaches,
        207..=222 => Step::Wait(u64::from(arg) * 4),
        223..=225 => Step::Due,
        231..=232 => Step::Stall(u64::from(arg) * 20),
        233..=254 => Step::Junk(arg, more),
        255 => Step::Ends(arg),
    }
}

prop_compose! {
    fn story(most: usize)(
        settings in any::<u16>(),
        random in prop::collection::vec(any::<u32>(), 10..most),
    ) -> Story {
        let [low, high] = settings.to_le_bytes();
        let opening = &OPENING[..if low % 4 == 0 { usize::from(high) % 8 } else { 11 }];
        Story {
            max_duration: [8_000, 30_000, 600_000][usize::from(low / 4) % 3],
            greeting_wait: [1_000, 0][usize::from(low / 16) % 2],
            interrupt_after: [0, 250][usize::from(low / 32) % 2],
            silence: [4_000, 10_000][usize::from(low / 64) % 2],
            detects_machines: low >= 128,
            one_moment: high >= 128,
            steps: opening.iter().copied().chain(random.into_iter().map(step)).collect(),
        }
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
