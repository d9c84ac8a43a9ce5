//! Leaves the program alone with a hundred callers and everything that can go wrong, and looks at
//! what is left afterwards.
//!
//! The program itself runs as a process of its own, as an agent host starts it, with a database in a
//! temporary folder; what is measured is that process alone. Carrier and model are the sandbox, with
//! its odds set against the program; the hosts place calls, follow them, hang up, send messages.
//!
//! ```sh
//! cargo build --release
//! cargo run --release --example soak -- --seconds 600 --calls 100
//! ```
//!
//! The exit code is 1 if anything is not as it must be; the report says what.
#![allow(missing_docs, unreachable_pub)]

mod callees;
mod hosts;
mod memory;
mod product;
mod verdict;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use openagent_messaging::sandbox::{Odds, Options, Sandbox};
use tokio::time::Instant;

use hosts::Day;
use memory::Memory;
use product::{Product, Settings};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is to be done.
#[derive(Debug)]
struct Task {
    seconds: u64,
    calls: usize,
    seed: u64,
    program: Option<PathBuf>,
}

impl Task {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut task = Self {
            seconds: 60,
            calls: 100,
            seed: 1,
            program: None,
        };
        while let Some(word) = words.next() {
            let value = words.next().ok_or("each option has a value")?;
            match word.as_str() {
                "--seconds" => task.seconds = value.parse()?,
                "--calls" => task.calls = value.parse()?,
                "--seed" => task.seed = value.parse()?,
                "--program" => task.program = Some(value.into()),
                _ => return Err("known are --seconds, --calls, --seed and --program".into()),
            }
        }
        Ok(task)
    }

    /// The program beside this one, unless another is named.
    fn program(&self) -> Result<PathBuf, Failure> {
        if let Some(program) = &self.program {
            return Ok(program.clone());
        }
        let here = std::env::current_exe()?;
        let folder = here.ancestors().nth(2).ok_or("no folder")?;
        Ok(folder.join(format!(
            "openagent-messaging{}",
            std::env::consts::EXE_SUFFIX
        )))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut out = std::io::stdout();
    let soaked = match Task::read(std::env::args().skip(1)) {
        Ok(task) => soak(&task).await,
        Err(error) => Err(error),
    };
    let (report, code) = match soaked {
        Ok(verdict) if verdict.is_good() => (verdict.to_string(), ExitCode::SUCCESS),
        Ok(verdict) => (verdict.to_string(), ExitCode::FAILURE),
        Err(error) => (format!("soak: {error}\n"), ExitCode::FAILURE),
    };
    let _ = out.write_all(report.as_bytes());
    code
}

async fn soak(task: &Task) -> Result<verdict::Verdict, Failure> {
    let folder = Folder::new()?;
    let options = Options {
        callees: callees::all(task.seed),
        keep_audio: false,
        odds: odds(task.seconds),
        seed: task.seed,
        ..Options::default()
    };
    let sandbox = Arc::new(Sandbox::start(options).await?);
    let settings = Settings {
        program: task.program()?,
        database: folder.0.join("calls.db"),
        calls: task.calls,
    };
    let product = Arc::new(Product::start(&settings, &sandbox).await?);
    let memory = Memory::watch(product.process_id());
    let began = Instant::now();
    let day = Day {
        product: Arc::clone(&product),
        until: began + Duration::from_secs(task.seconds),
        seed: task.seed,
    };
    let calmer = calm_down(Arc::clone(&sandbox), task.seconds);
    let mut seen = hosts::live(&day, task.calls).await;
    calmer.abort();
    let memory = memory.stop().await;

    // Nothing goes wrong any more: everything must come to its end by itself.
    sandbox.set_odds(Odds::default());
    verdict::reach(task, &settings, &sandbox, product, &mut seen, memory).await
}

/// Failures after which nobody can tell whether a phone rings. What such a call holds is given back
/// when Twilio has certainly ended it, which is minutes later: so they are for the long run, and not
/// for its last minutes.
fn calm_down(sandbox: Arc<Sandbox>, seconds: u64) -> tokio::task::JoinHandle<()> {
    let (first, rest) = (odds(seconds), odds(0));
    tokio::spawn(async move {
        if first != rest {
            tokio::time::sleep(Duration::from_secs(seconds - verdict::LONGEST_HELD)).await;
            sandbox.set_odds(rest);
        }
    })
}

/// Of everything about one in thirty, so that most calls meet one thing or another.
fn odds(seconds: u64) -> Odds {
    let long = seconds > verdict::LONGEST_HELD;
    Odds {
        rest_error: 0.03,
        create_error: if long { 0.003 } else { 0.0 },
        rest_throttled: 0.03,
        rest_slow: 0.05,
        rest_error_after: 0.02,
        rest_answer_lost: 0.02,
        stream_lost: 0.15,
        model_lost: 0.15,
        webhook_slow: 0.05,
        callback_twice: 0.1,
        callback_overtaken: 0.1,
    }
}

/// A folder that goes when this does.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let name = format!("openagent-messaging-soak-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
