//! Answering machine detection: when Twilio would have made up its mind, by what it has heard.
//!
//! Source: <https://www.twilio.com/docs/voice/answering-machine-detection>. What the callee is, the
//! script says; here is decided when that can be known.

use std::time::Duration;

use crate::sandbox::person::Impression;

/// Silence that ends an utterance (`MachineDetectionSpeechEndThreshold`).
const UTTERANCE_ENDS: Duration = Duration::from_millis(1_200);

/// An utterance longer than this is a machine's (`MachineDetectionSpeechThreshold`).
const LONG_UTTERANCE: Duration = Duration::from_millis(2_400);

/// Silence from the start after which nothing can be said (`MachineDetectionSilenceTimeout`).
const NOBODY: Duration = Duration::from_secs(5);

/// Silence after a greeting that has no beep.
const NO_BEEP: Duration = Duration::from_secs(2);

/// A tone longer than this is a fax.
const FAX: Duration = Duration::from_secs(1);

/// `MachineDetection` and `MachineDetectionTimeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Detection {
    /// `DetectMessageEnd`: a machine is reported when its greeting is over.
    pub(crate) to_the_end: bool,
    /// After this it is `unknown`.
    pub(crate) timeout: Duration,
}

impl Detection {
    /// `AnsweredBy`, if it can be known `at` this time since the answer.
    pub(crate) fn verdict<'a>(
        &self,
        is: &'a str,
        heard: Impression,
        at: Duration,
    ) -> Option<&'a str> {
        let spoken = heard.speech > Duration::ZERO;
        let silent = !spoken && heard.tone == Duration::ZERO;
        if at >= self.timeout || (silent && at >= NOBODY) {
            return Some("unknown");
        }
        let finished = spoken && heard.quiet >= UTTERANCE_ENDS;
        let machine = is.starts_with("machine");
        if machine && !self.to_the_end {
            let known = finished || heard.speech >= LONG_UTTERANCE;
            return known.then_some("machine_start");
        }
        let known = match is {
            "fax" => heard.tone >= FAX,
            "machine_end_beep" => heard.beeped,
            "machine_end_silence" => finished && heard.quiet >= NO_BEEP,
            "unknown" => false,
            _ => finished,
        };
        known.then_some(is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const END: Detection = Detection {
        to_the_end: true,
        timeout: ms(30_000),
    };

    /// Milliseconds of speech and tone, whether that is over, and of silence since.
    type Heard = (u64, u64, bool, u64);

    fn heard((speech, tone, beeped, quiet): Heard) -> Impression {
        Impression {
            speech: ms(speech),
            tone: ms(tone),
            beeped,
            quiet: ms(quiet),
        }
    }

    fn check(is: &str, cases: &[(Heard, u64, Option<&str>)]) {
        for (so_far, at, verdict) in cases {
            let is_verdict = END.verdict(is, heard(*so_far), ms(*at));
            assert_eq!(is_verdict, *verdict, "{is} {so_far:?} at {at}");
        }
    }

    #[test]
    fn each_verdict_at_its_moment() {
        let unknown = Some("unknown");
        check(
            "human",
            &[
                ((400, 0, false, 1_100), 2_000, None),
                ((400, 0, false, 1_200), 2_000, Some("human")),
                ((0, 0, false, 4_900), 4_900, None),
                ((0, 0, false, 5_000), 5_000, unknown),
            ],
        );
        let beep = "machine_end_beep";
        check(
            beep,
            &[
                ((9_000, 0, false, 3_000), 12_000, None),
                ((9_000, 400, false, 0), 12_000, None),
                ((9_000, 500, true, 20), 12_000, Some(beep)),
            ],
        );
        let silence = "machine_end_silence";
        check(
            silence,
            &[
                ((9_000, 0, false, 1_900), 12_000, None),
                ((9_000, 0, false, 2_000), 12_000, Some(silence)),
            ],
        );
        let other = "machine_end_other";
        check(
            other,
            &[
                ((9_000, 0, false, 1_200), 12_000, Some(other)),
                ((29_000, 0, false, 0), 30_000, unknown),
            ],
        );
        check(
            "fax",
            &[
                ((0, 900, false, 0), 1_000, None),
                ((0, 1_000, false, 0), 1_000, Some("fax")),
            ],
        );
        check(
            "unknown",
            &[
                ((400, 0, false, 9_000), 9_400, None),
                ((400, 0, false, 9_000), 30_000, unknown),
            ],
        );
    }

    #[test]
    fn without_waiting_for_the_end_a_machine_is_known_by_its_long_sentence() {
        let start = Detection {
            to_the_end: false,
            ..END
        };
        let verdict = |is, speech, quiet| {
            let heard = heard((speech, 0, false, quiet));
            start.verdict(is, heard, ms(3_000))
        };
        assert_eq!(verdict("machine_end_beep", 2_300, 0), None);
        let machine = Some("machine_start");
        assert_eq!(verdict("machine_end_beep", 2_400, 0), machine);
        assert_eq!(verdict("human", 400, 1_200), Some("human"));
    }
}
