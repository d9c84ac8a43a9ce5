//! The command line; everything else is in the library.

use std::io::Write as _;
use std::process::ExitCode;

use clap::ArgMatches;
use openagent_messaging::app::App;
use openagent_messaging::config::{Config, Values, command};
use openagent_messaging::log::Log;
use openagent_messaging::mcp::reference;
use openagent_messaging::sandbox::Options;
use openagent_messaging::{demo, doctor, mcp, shutdown};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// The exit code for a wrong configuration or command line.
const USAGE: u8 = 2;

/// Calls are light; more threads would only cost memory.
const THREADS: usize = 4;

fn main() -> ExitCode {
    let matches = command()
        .mut_subcommand("demo", demo::arguments)
        .get_matches();
    let values = Values::new(|name| std::env::var_os(name), &matches);
    let Ok(log) = Log::start(std::io::stderr()) else {
        return ExitCode::FAILURE;
    };
    subscribe(&log, values.get("RUST_LOG").unwrap_or("info"));
    let code = match matches.subcommand() {
        Some(("tools", asked)) => print_tools(asked, &log),
        _ => start(&matches, &values, &log),
    };
    log.finish();
    code
}

fn start(matches: &ArgMatches, values: &Values, log: &Log) -> ExitCode {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(THREADS);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(log, 1, &error),
    };
    let stop = CancellationToken::new();
    let code = runtime.block_on(async {
        let signals = shutdown::signals(stop.clone());
        tokio::select! {
            code = run(matches, values, stop.clone(), log) => code,
            code = signals => ExitCode::from(code),
        }
    });
    // A read of stdin that blocks must not keep the process alive.
    runtime.shutdown_background();
    code
}

async fn run(
    matches: &ArgMatches,
    values: &Values,
    stop: CancellationToken,
    log: &Log,
) -> ExitCode {
    let command = matches.subcommand_name();
    let embedded =
        command == Some("demo") || command != Some("doctor") && matches.get_flag("sandbox");
    if command == Some("doctor") && matches.get_flag("sandbox") {
        let why = "doctor checks the real configuration, so it does not go with --sandbox";
        return fail(log, USAGE, &why);
    }
    // Real credentials of the environment are not even read then.
    if embedded && let Err(error) = App::check_sandboxed(values) {
        return fail(log, USAGE, &error);
    }
    let done = match matches.subcommand() {
        Some(("demo", asked)) => demo::run(asked, values, &mut std::io::stdout(), stop).await,
        _ if embedded => serve_sandboxed(values, stop).await,
        _ => match Config::load(values) {
            Ok(config) if command == Some("doctor") => {
                doctor::run(config, &mut std::io::stdout()).await
            }
            Ok(config) => match App::prices(&config) {
                Ok(_) => mcp::stdio::serve(App::start(config, stop).await)
                    .await
                    .map(|()| true),
                Err(error) => return fail(log, USAGE, &error),
            },
            Err(error) => return fail(log, USAGE, &error),
        },
    };
    match done {
        Ok(well) => ExitCode::from(u8::from(!well)),
        Err(error) => fail(log, 1, &error),
    }
}

fn print_tools(asked: &ArgMatches, log: &Log) -> ExitCode {
    let text = if asked.get_flag("markdown") {
        Ok(reference::markdown())
    } else {
        reference::json()
    };
    let printed = text
        .map_err(std::io::Error::from)
        .and_then(|text| std::io::stdout().write_all(text.as_bytes()));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(log, 1, &error),
    }
}

async fn serve_sandboxed(values: &Values, stop: CancellationToken) -> Result<bool, String> {
    // Nobody looks at the audio of a long run.
    let options = Options {
        keep_audio: false,
        ..Options::default()
    };
    let started = App::start_sandboxed(values, options, stop).await;
    let (app, _sandbox) = started.map_err(|error| error.to_string())?;
    mcp::stdio::serve(app).await?;
    Ok(true)
}

/// Logs to stderr: stdout carries MCP alone.
fn subscribe(log: &Log, filter: &str) {
    // The MCP library shows what a host says in full at info, phone numbers and texts included.
    let filter = format!("rmcp=warn,{filter}").parse::<Targets>();
    let filter = filter.unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(log.clone())
        .with_ansi(colours);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .init();
}

fn fail(log: &Log, code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    // At once, so that it is one line however it is written.
    let line = format!("openagent-messaging: {error}\n");
    let _ = log.clone().write_all(line.as_bytes());
    ExitCode::from(code)
}
