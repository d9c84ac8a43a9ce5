//! Counts the instructions of the micro benches, and compares them with the committed figures: a check
//! that does not depend on how fast or busy the machine is. Needs valgrind.
//!
//! ```sh
//! cargo bench --bench instructions              # compare; fails beyond the tolerance
//! cargo bench --bench instructions -- --accept  # write the figures as they are now
//! cargo bench --bench instructions -- --growth  # JSON: a status poll by the length of the call
//! ```
//!
//! Each case runs twice under callgrind, once for many rounds and once for few: the difference is
//! what the rounds cost, without start and set-up. The figures belong to the compiler and to the
//! versions in `Cargo.lock`: after an update, look at the differences and accept them. They are kept
//! with the compiler that they come from, and decide nothing about those of another.
//!
//! Of the processor little remains. It is valgrind's: one of a few that it imitates, the best that the
//! real one can bear, without AVX-512 whatever that has. libc and a few crates (memchr, sha1) still
//! choose by what it says, chiefly whether there is AVX2. So the processor is kept as well, and named if
//! the comparison fails on another.
#![allow(missing_docs, unreachable_pub)]

mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde::{Deserialize, Serialize};
use support::{Conversation, Told, Watched, Webhook};

/// Beyond this, per cent, a difference is a failure.
const TOLERANCE: f64 = 5.0;

const FIGURES: &str = "benches/instructions.json";

/// Features of a processor by which code for moving, searching and hashing bytes is chosen.
const FEATURES: [&str; 9] = [
    "ssse3", "sse4_2", "avx", "avx2", "bmi2", "erms", "fsrm", "sha_ni", "avx512f",
];

/// What is kept in [`FIGURES`].
#[derive(Deserialize, Serialize)]
struct Figures {
    /// As `rustc --version` names it, and the architecture it compiled for.
    compiler: String,
    /// The real processor: its model, and which of [`FEATURES`] it has.
    processor: String,
    /// Instructions of one round of each case.
    instructions: BTreeMap<String, u64>,
}

/// A case: what to run so many times.
type Case = (&'static str, u64, fn(u64));

const CASES: [Case; 6] = [
    ("frame_in_to_append_out", 2_000, |rounds| {
        let mut conversation = Conversation::new();
        (0..rounds).for_each(|_| conversation.frame_in());
        assert!(conversation.has_passed_all());
    }),
    ("delta_in_to_media_out", 2_000, |rounds| {
        let mut conversation = Conversation::new();
        (0..rounds).for_each(|_| conversation.delta_in());
        assert!(conversation.has_passed_all());
    }),
    ("signature_check", 500, |rounds| {
        let webhook = Webhook::new();
        (0..rounds).for_each(|_| assert!(webhook.is_valid()));
    }),
    ("snapshot_of_500_lines", 20, |rounds| {
        let told = Told::new(500);
        for _ in 0..rounds {
            std::hint::black_box(told.whole());
        }
    }),
    ("snapshot_of_the_newest_of_2000_lines", 200, |rounds| {
        let told = Told::new(2_000);
        for _ in 0..rounds {
            std::hint::black_box(told.newest());
        }
    }),
    ("publish_to_100_waiters", 50, |rounds| {
        let mut watched = Watched::new(100);
        (0..rounds).for_each(|_| watched.publish());
    }),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [run, name, rounds] = &words[..]
        && run == "run"
    {
        let Ok(rounds) = rounds.parse() else {
            return ExitCode::FAILURE;
        };
        if let Some((.., case)) = CASES.iter().find(|(known, ..)| known == name) {
            case(rounds);
        } else if let Some((which, Ok(lines))) = name
            .split_once(' ')
            .map(|(which, lines)| (which, lines.parse()))
        {
            let told = Told::new(lines);
            for _ in 0..rounds {
                std::hint::black_box(if which == "new" {
                    told.newest()
                } else {
                    told.whole()
                });
            }
        }
        return ExitCode::SUCCESS;
    }
    if words.iter().any(|word| word == "--growth") {
        return match growth() {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                say(&format!("instructions: {why}\n"));
                ExitCode::FAILURE
            }
        };
    }
    let accept = words.iter().any(|word| word == "--accept");
    match check(accept) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            say(&format!("instructions: {why}\n"));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Counts everything, and compares it or writes it down. Returns whether all is as it was, or cannot
/// be compared.
fn check(accept: bool) -> Result<bool, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIGURES);
    let known: Option<Figures> = match std::fs::read_to_string(&file) {
        Ok(text) => match serde_json::from_str(&text) {
            Ok(known) => Some(known),
            Err(_) if accept => None,
            Err(error) => return Err(format!("{FIGURES}: {error}")),
        },
        Err(_) if accept => None,
        Err(error) => return Err(format!("{FIGURES}: {error}")),
    };
    let (compiler, processor) = (compiler()?, processor());
    let comparable = known
        .as_ref()
        .is_some_and(|known| known.compiler == compiler);
    let (mut now, mut well) = (BTreeMap::new(), true);
    for (name, rounds, _) in CASES {
        let count = (count(name, 2 * rounds)? - count(name, rounds)?) / rounds;
        let before = known
            .as_ref()
            .and_then(|known| known.instructions.get(name).copied());
        let change = before.map_or(f64::INFINITY, |before| per_cent(before, count));
        let bad = !accept && comparable && change.abs() > TOLERANCE;
        well &= !bad;
        let before = before.map_or("–".to_owned(), |before| before.to_string());
        let verdict = if bad { "  FAILED" } else { "" };
        say(&format!(
            "{name:38} {count:>9} instructions, was {before:>9} ({change:+.2} %){verdict}\n"
        ));
        now.insert(name.to_owned(), count);
    }
    if accept {
        let figures = Figures {
            compiler,
            processor,
            instructions: now,
        };
        let text = serde_json::to_string_pretty(&figures).map_err(|error| error.to_string())?;
        std::fs::write(&file, text + "\n").map_err(|error| format!("{FIGURES}: {error}"))?;
        return Ok(true);
    }
    let Some(known) = known else { return Ok(well) };
    if !comparable {
        say(&format!(
            "Nothing is decided by this: {FIGURES} belongs to another compiler, {}; this is {compiler}.\n",
            known.compiler
        ));
    }
    if !well {
        say(&format!(
            "More than {TOLERANCE} % away from {FIGURES}. If that is meant: \
             cargo bench --bench instructions -- --accept\n"
        ));
        if known.processor != processor {
            say(&format!(
                "Those figures come from another processor, too: {}; this is {processor}.\n",
                known.processor
            ));
        }
    }
    Ok(well)
}

/// The compiler that built this.
fn compiler() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("--version")
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    let version = String::from_utf8_lossy(&output.stdout);
    Ok(format!("{}, {}", version.trim(), std::env::consts::ARCH))
}

/// What Linux says of the processor, as far as it matters here.
fn processor() -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        told.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim() == key)
            .map_or("", |(_, value)| value.trim())
    };
    let model = value("model name");
    let flags: Vec<&str> = value("flags").split(' ').collect();
    let has: Vec<&str> = FEATURES
        .into_iter()
        .filter(|feature| flags.contains(feature))
        .collect();
    format!(
        "{} ({})",
        if model.is_empty() { "unknown" } else { model },
        has.join(" ")
    )
}

/// What a poll costs that gets the one new line, and one that gets all, by the lines before it.
fn growth() -> Result<(), String> {
    let mut points = Vec::new();
    for lines in [10, 50, 100, 200, 400, 700, 1_000, 1_500, 2_000] {
        let each = |which: &str, rounds| {
            let name = format!("{which} {lines}");
            Ok::<u64, String>((count(&name, 2 * rounds)? - count(&name, rounds)?) / rounds)
        };
        let (new, full) = (each("new", 200)?, each("full", 10)?);
        points.push(serde_json::json!({"lines": lines, "new": new, "full": full}));
    }
    say(&format!("{:#}\n", serde_json::Value::from(points)));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn per_cent(before: u64, now: u64) -> f64 {
    (now as f64 / before as f64 - 1.0) * 100.0
}

/// Instructions of a whole run.
fn count(name: &str, rounds: u64) -> Result<u64, String> {
    let here: PathBuf = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(here)
        .args(["run", name, &rounds.to_string()])
        // Nothing of the environment is to have a say in it.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let log = String::from_utf8_lossy(&output.stderr);
    let collected = log.lines().find_map(|line| line.split_once("Collected : "));
    collected
        .and_then(|(_, number)| number.trim().parse().ok())
        .filter(|_| output.status.success())
        .ok_or_else(|| format!("no count of {name}: {log}"))
}
