//! `demo`: one situation on the phone, from the first ring to the outcome, through the sandbox, for
//! all to see.
//!
//! - [`scenario`]: the table of situations, and what is expected of each;
//! - `seen`: what was seen of a call on both sockets, and the checks on it.

pub mod scenario;
mod seen;

use std::convert::Infallible;
use std::io::Write;
use std::time::Duration;

use chrono::Utc;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::scenario::{Host, Scenario};
use self::seen::{Checks, Seen};
use crate::app::App;
use crate::call::language::Language;
use crate::call::record::{Call, Lines};
use crate::call::session::Session;
use crate::call::snapshot::{Line, Role, Snapshot};
use crate::call::switchboard::{Order, Switchboard};
use crate::config::Values;
use crate::phone::E164;
use crate::sandbox::{self, ModelSession, Sandbox};

/// How long the judgement of a call, and the end of its line, may come after its end.
const AFTERMATH: Duration = Duration::from_secs(6);

const CALLEE: &str = "+14155550142";

const MISSION: &str = "Move the dental appointment of Maria Rossi from Thursday to the week after. Any day from Tuesday on is \
                       fine, in the morning.";

/// Settings of the user's own account and host, which have no bearing on a call between two
/// stand-ins, or would keep it from being placed.
const SET_ASIDE: &[(&str, Option<&str>)] = &[
    ("OPENAGENT_PHONE_ALLOW_PREFIXES", None),
    ("OPENAGENT_PHONE_DENY_PREFIXES", None),
    ("OPENAGENT_PHONE_CONFIRM", None),
    ("OPENAGENT_PHONE_DB", None),
    ("OPENAGENT_PHONE_MAX_DAILY_USD", None),
    ("OPENAGENT_PHONE_METRICS", None),
];

/// What came of a scenario.
#[derive(Debug)]
pub struct Played {
    /// Whether all was as expected; a sentence, if the call could not even be placed.
    pub result: Result<bool, String>,
    /// What the model was sent, session by session.
    pub sessions: Vec<ModelSession>,
}

/// The arguments of `demo` itself.
pub fn arguments(demo: Command) -> Command {
    let names = scenario::all().map(|scenario| scenario.name);
    demo.arg(
        Arg::new("scenario")
            .long("scenario")
            .value_name("NAME")
            .value_parser(PossibleValuesParser::new(names))
            .default_value(scenario::DEFAULT)
            .hide_possible_values(true)
            .help("The situation to play"),
    )
    .arg(
        Arg::new("list")
            .long("list")
            .action(ArgAction::SetTrue)
            .help("Name the situations, with a line about each"),
    )
}

/// Does what was asked for on the command line; see [`play`].
///
/// # Errors
///
/// A sentence, if the call could not even be placed.
pub async fn run(
    asked: &ArgMatches,
    values: &Values,
    out: &mut impl Write,
    stop: CancellationToken,
) -> Result<bool, String> {
    if asked.get_flag("list") {
        let width = scenario::all().map(|scenario| scenario.name.len()).max();
        for scenario in scenario::all() {
            let Scenario { name, about, .. } = scenario;
            let width = width.unwrap_or_default();
            let takes = match scenario.minutes {
                1 => String::new(),
                minutes => format!(" (takes {minutes} minutes)"),
            };
            writeln!(out, "{name:width$}  {about}{takes}").map_err(|error| error.to_string())?;
        }
        return Ok(true);
    }
    let name = asked.get_one::<String>("scenario").map(String::as_str);
    let scenario = scenario::find(name.unwrap_or(scenario::DEFAULT)).ok_or("no such scenario")?;
    play(scenario, values, 1, out, stop).await?.result
}

/// Plays a scenario and writes what happens to `out`, as it happens; call time passes `haste` times
/// as fast as real time.
///
/// # Errors
///
/// A sentence, if the sandbox could not even be started.
pub async fn play(
    scenario: &Scenario,
    values: &Values,
    haste: u32,
    out: &mut impl Write,
    stop: CancellationToken,
) -> Result<Played, String> {
    let mut values = values.clone();
    for (name, value) in SET_ASIDE.iter().chain(scenario.settings) {
        values.replace(name, *value);
    }
    let mut options = (scenario.options)();
    options.frame_interval /= haste.max(1);
    let started = App::start_sandboxed(&values, options, stop).await;
    let (app, sandbox) = started.map_err(|error| error.to_string())?;
    let result = show_call(scenario, &app, &sandbox, out).await;
    app.shut_down(Duration::from_secs(3)).await;
    let sessions = sandbox.model_sessions();
    sandbox.shutdown().await;
    Ok(Played { result, sessions })
}

async fn show_call(
    scenario: &Scenario,
    app: &App,
    sandbox: &Sandbox,
    out: &mut impl Write,
) -> Result<bool, String> {
    let board = app.board.as_ref().ok_or("the sandbox has no account")?;
    let began = Instant::now();
    let mut show = |line: &str| {
        let _ = writeln!(out, "{:>5.1} s  {line}", began.elapsed().as_secs_f64());
        let _ = out.flush();
    };
    show(
        "An embedded carrier and an embedded model take the place of Twilio and OpenAI; nothing leaves this machine.",
    );
    show(&format!("scenario: {}: {}", scenario.name, scenario.about));
    show(&format!("mission: {MISSION}"));
    let session = board.place(order()?).await;
    let session = session.map_err(|error| error.to_string())?.here();
    let session = session.ok_or("the call is one of an earlier run")?;
    let playing = async {
        tokio::select! {
            snapshot = follow(&session.call, &mut show) => snapshot,
            never = act(scenario.host, board, &session, sandbox) => match never {},
        }
    };
    let patience = Duration::from_secs(60 * scenario.minutes);
    let ended = timeout(patience, playing)
        .await
        .map_err(|_| "the call did not end")?;
    let line = line_over(&session.call, sandbox).await;
    let snapshot = judged(&session.call, sandbox).await;
    let mut sessions = sandbox.model_sessions();
    let mut errors = sessions.iter().flat_map(|session| &session.errors);
    let seen = Seen {
        derived: ended.summary,
        snapshot,
        line,
        expired: errors.any(|error| error["code"] == "session_expired"),
        sessions: sessions.len(),
        model: sessions.pop().unwrap_or_default(),
        greeting_wait: app.config.phone.greeting_wait,
        complaints: sandbox.complaints(),
    };
    show_result(&seen, &mut show);
    let mut checks = Checks::default();
    scenario.check(&seen, &mut checks);
    show(&checks.to_string());
    Ok(checks.all_held())
}

fn order() -> Result<Order, String> {
    Ok(Order {
        to: E164::parse(CALLEE).map_err(|error| error.to_string())?,
        mission: MISSION.to_owned(),
        caller_identity: Some("Maria Rossi".to_owned()),
        language: Language::default(),
        success_criteria: Some("A new date and time are confirmed.".to_owned()),
        max_duration: None,
        idempotency_key: None,
    })
}

/// Does what the host does during the call, and then nothing any more.
async fn act(host: Host, board: &Switchboard, session: &Session, sandbox: &Sandbox) -> Infallible {
    match (host, session.call.twilio_sid()) {
        (Host::HangsUpAfter(words), Some(sid)) => {
            let heard = sandbox.wait_call(&sid, |call| call.heard.contains(words));
            if heard.await.is_some() {
                board.hang_up(session).await;
            }
        }
        (Host::AnswersAfter(words, text), _) => {
            let question = until(&session.call, |now| now.pending_question.clone()).await;
            said(&session.call, words).await;
            // A refusal is a call that has ended meanwhile; the checks tell.
            let _ = session.answer(&question.id, text);
        }
        (Host::InstructsAtOnce(text), _) => {
            let _ = session.instruct(text);
        }
        (Host::InstructsAfter(words, text), _) => {
            said(&session.call, words).await;
            let _ = session.instruct(text);
        }
        _ => {}
    }
    std::future::pending().await
}

/// Waits until the agent has said this, and the callee heard it.
async fn said(call: &Call, words: &str) {
    let is = |line: &Line| line.role == Role::Agent && line.text.contains(words);
    until(call, |now| now.transcript.iter().any(is).then_some(())).await;
}

/// Waits until `look` finds something in the call.
async fn until<T>(call: &Call, look: impl Fn(&Snapshot) -> Option<T>) -> T {
    let mut watch = call.watch();
    loop {
        let seen = watch.borrow_and_update().latest;
        if let Some(found) = look(&call.snapshot(Lines::All, Utc::now())) {
            return found;
        }
        // The call outlives this loop, and so does the sender.
        let _ = watch.wait_for(|now| now.latest > seen).await;
    }
}

/// The call as the carrier saw it, once its line is closed.
async fn line_over(call: &Call, sandbox: &Sandbox) -> Option<sandbox::Call> {
    let sid = call.twilio_sid()?;
    let over = sandbox.wait_call_over(&sid);
    let over = timeout(2 * AFTERMATH, over).await.ok().flatten();
    over.or_else(|| sandbox.call(&sid))
}

/// The ended call, once the model has judged it, if it was going to.
async fn judged(call: &Call, sandbox: &Sandbox) -> Snapshot {
    let left_alone = sandbox.wait_model_session(0, |session| session.closed);
    let _ = timeout(AFTERMATH, left_alone).await;
    call.snapshot(Lines::All, Utc::now())
}

/// Shows every change until the call is final.
async fn follow(call: &Call, show: &mut impl FnMut(&str)) -> Snapshot {
    let mut watch = call.watch();
    let (mut status, mut notes, mut seen) = (None, 0, 0);
    loop {
        let snapshot = call.snapshot(Lines::After(seen), Utc::now());
        seen = snapshot.revision;
        if status != Some(snapshot.status) && !snapshot.status.is_final() {
            show(&format!("— {} —", word(&snapshot.status)));
        }
        for line in &snapshot.transcript {
            let who = match line.role {
                Role::Agent => "agent ",
                Role::Caller => "callee",
                Role::System => "      ",
            };
            show(&format!("{who} {}", line.text));
        }
        for note in &snapshot.notes[notes..] {
            show(&format!("note   {note}"));
        }
        notes = snapshot.notes.len();
        if snapshot.status.is_final() {
            show(&format!(
                "— {} after {} s —",
                word(&snapshot.status),
                snapshot.duration_s
            ));
            return snapshot;
        }
        status = Some(snapshot.status);
        // The call outlives this loop, and so does the sender.
        let _ = watch.wait_for(|revisions| revisions.latest > seen).await;
    }
}

/// Shows what came of the call.
fn show_result(seen: &Seen, show: &mut impl FnMut(&str)) {
    let snapshot = &seen.snapshot;
    if let Some(derived) = seen.derived.as_ref().filter(|_| seen.is_refined()) {
        show(&format!("summary: {derived}"));
        show("the model, asked afterwards, knows more:");
    }
    show(&format!("outcome: {}", word(&snapshot.outcome)));
    show(&format!(
        "summary: {}",
        snapshot.summary.as_deref().unwrap_or("none")
    ));
    if let Some(error) = &snapshot.error {
        show(&format!("error: {error}"));
    }
    if let Some(latency) = &snapshot.latency {
        let turns = latency.turn_p50_ms.map_or_else(String::new, |ms| {
            format!("; then answered in {ms} ms (median)")
        });
        show(&format!(
            "timing: first word {} ms after the answer, the callee's \"hello\" or the wait for it included{turns}",
            latency.first_word_ms
        ));
    }
    if let Some(late) = seen.greeting_lateness() {
        show(&format!(
            "timing: from the moment the greeting was due to its first audio on the carrier's socket: {:.1} ms",
            late.as_secs_f64() * 1_000.0
        ));
    }
    for complaint in &seen.complaints {
        show(&format!("the sandbox complains: {complaint}"));
    }
    let disclosed = if snapshot.disclosed_at.is_some() {
        "yes"
    } else {
        "no"
    };
    show(&format!("the AI disclosure was heard in full: {disclosed}"));
}

/// A word of the contract, such as `in_progress`.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word.replace('_', " "),
        _ => "none".to_owned(),
    }
}
