//! The program, with an allocator that counts: what it has allocated goes to stderr ten times a second.
//! For `load`, with its option for allocations.
#![allow(missing_docs)]

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use openagent_messaging::app::App;
use openagent_messaging::config::{Config, Values, command};
use openagent_messaging::mcp;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    let matches = command().get_matches();
    let values = Values::new(|name| std::env::var_os(name), &matches);
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let counted = ALLOCATOR.stats();
            let all = counted.allocations + counted.reallocations;
            let _ = writeln!(std::io::stderr(), "allocations {all}");
        }
    });
    let served = tokio::runtime::Runtime::new().map(|runtime| {
        runtime.block_on(async {
            let config = Config::load(&values).map_err(|error| error.to_string())?;
            mcp::stdio::serve(App::start(config, CancellationToken::new()).await).await
        })
    });
    match served {
        Ok(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
