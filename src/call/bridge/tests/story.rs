//! Stories made of random numbers, for the property test and the fuzz target.

use super::world::{Step, Story};

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

impl Story {
    /// The call that these numbers stand for: one for what it is like, one for each step.
    pub(super) fn of(settings: u16, random: impl IntoIterator<Item = u32>) -> Self {
        let [low, high] = settings.to_le_bytes();
        let opening = &OPENING[..if low % 4 == 0 {
            usize::from(high) % 8
        } else {
            11
        }];
        Self {
            max_duration: [8_000, 30_000, 600_000][usize::from(low / 4) % 3],
            greeting_wait: [1_000, 0][usize::from(low / 16) % 2],
            interrupt_after: [0, 250][usize::from(low / 32) % 2],
            silence: [4_000, 10_000][usize::from(low / 64) % 2],
            detects_machines: low >= 128,
            one_moment: high >= 128,
            steps: opening
                .iter()
                .copied()
                .chain(random.into_iter().map(step))
                .collect(),
        }
    }
}
