//! What a call costs: N concurrent calls through real sockets, 50 frames a second each way, and in the
//! same run the floor, which is a relay that only copies the text between the two sockets.
//!
//! ```sh
//! cargo build --release
//! cargo run --release --example load -- --calls 200 --seconds 20 --json load.json
//! ```
//!
//! Three processes: the program, as a host starts it; the floor; and this one, which is the carrier,
//! the model and the host. Program and floor have one core, this one has another. All calls of both
//! are set up first; then their conversations take turns, two seconds of one and two of the other,
//! so that whatever else the machine does hits both alike. `--seconds` is what each of them gets.
//! Latencies are those of a frame on its way through the process: from just before one stand-in writes
//! it to just after the other has read it, the kernel's share on both sides included. Linux only.
#![allow(missing_docs, unreachable_pub, clippy::cast_precision_loss)]

mod carrier;
mod floor;
mod model;
mod product;
mod report;
mod tls;
mod usage;
mod wire;
mod world;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

use product::{Peers, Product, pinned};
use report::{Figures, Run};
use tls::Tls;
use usage::Cpu;
use world::{Subject, World};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long one of the two goes on before it is the other's turn. A stream that is silent for five
/// seconds is lost to the program.
const SLICE: Duration = Duration::from_secs(2);

/// After a change of turns, before it counts.
const SETTLES: Duration = Duration::from_millis(200);

/// Calls that are being placed at once.
const DIALLING: usize = 8;

/// What is to be done.
#[derive(Debug)]
struct Task {
    calls: usize,
    seconds: u64,
    delta: Duration,
    json: Option<PathBuf>,
    program: Option<PathBuf>,
    tls: Option<Tls>,
    allocations: bool,
    /// In the end, every callee talks over the agent.
    barge_in: bool,
}

impl Task {
    fn read(words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut words = words.peekable();
        let mut task = Self {
            calls: 50,
            seconds: 10,
            delta: Duration::from_millis(20),
            json: None,
            program: None,
            tls: None,
            allocations: false,
            barge_in: true,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} takes a value"));
            match word.as_str() {
                "--calls" => task.calls = value()?.parse()?,
                "--seconds" => task.seconds = value()?.parse()?,
                "--delta-ms" => task.delta = Duration::from_millis(value()?.parse()?),
                "--json" => task.json = Some(value()?.into()),
                "--program" => task.program = Some(value()?.into()),
                "--tls" => drop(task.tls.get_or_insert_default()),
                "--cipher" => {
                    task.tls.get_or_insert_default().cipher = Some(tls::cipher(&value()?)?);
                }
                "--no-resumption" => task.tls.get_or_insert_default().no_resumption = true,
                "--record" => {
                    task.tls.get_or_insert_default().record = Some(value()?.parse()?);
                }
                "--allocations" => task.allocations = true,
                "--no-barge-in" => task.barge_in = false,
                _ => return Err(format!("{word} is not known; see docs/performance.md").into()),
            }
        }
        let delta = task.delta.as_millis();
        if task.calls == 0 || delta == 0 || delta > 200 || !delta.is_multiple_of(20) {
            return Err("--calls is at least 1, --delta-ms 20 to 200 in steps of 20".into());
        }
        Ok(task)
    }

    /// The program beside this one, unless another is named.
    fn program(&self) -> Result<PathBuf, Failure> {
        if let Some(program) = &self.program {
            return Ok(program.clone());
        }
        let here = std::env::current_exe()?;
        let examples = here.parent().ok_or("no folder")?;
        let program = if self.allocations {
            examples.join("counted")
        } else {
            examples.join("../openagent-messaging")
        };
        if program.exists() {
            return Ok(program);
        }
        Err(format!(
            "{} is not there: cargo build --release --bins --examples",
            program.display()
        )
        .into())
    }
}

/// Says something to whoever started this.
pub fn complain(what: &str) {
    let _ = writeln!(std::io::stderr(), "load: {what}");
}

/// Prints what was asked for.
pub fn print(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let done = if words.next_if_eq("relay").is_some() {
        let port = words.next().and_then(|port| port.parse().ok());
        port.ok_or_else(|| "relay takes a port".into())
            .and_then(floor::run)
    } else {
        Task::read(words).and_then(|task| {
            let pinned = pin_to_first_core();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let done = runtime.block_on(load(&task, pinned));
            runtime.shutdown_background();
            done
        })
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// This process on the first core; the other two get the second.
fn pin_to_first_core() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let own = std::process::id().to_string();
    let pinned = std::process::Command::new("taskset")
        .args(["-cp", "0", &own])
        .stdout(Stdio::null())
        .status();
    cores > 1 && pinned.is_ok_and(|status| status.success())
}

async fn load(task: &Task, pinned_here: bool) -> Result<(), Failure> {
    let core = pinned_here.then_some(1);
    let world = Arc::new(World::new(task.calls, task.delta));
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());

    let carrier = TcpListener::bind(("127.0.0.1", 0)).await?;
    let sessions = TcpListener::bind(("127.0.0.1", 0)).await?;
    let (tls, certificate) = match &task.tls {
        Some(settings) => {
            let (acceptor, file) = tls::server(settings)?;
            (Some(acceptor), Some(file))
        }
        None => (None, None),
    };
    let peers = Peers {
        carrier: port(&carrier)?,
        model: match &certificate {
            Some(_) => format!("https://localhost:{}/v1", port(&sessions)?),
            None => format!("http://127.0.0.1:{}/v1", port(&sessions)?),
        },
        certificate: certificate.clone(),
    };
    tokio::spawn(carrier::serve(carrier, Arc::clone(&world)));
    let product_model = model::serve(sessions, Arc::clone(&world), Subject::Product, tls);
    tokio::spawn(product_model);
    let sessions = TcpListener::bind(("127.0.0.1", 0)).await?;
    let floors_model = port(&sessions)?;
    tokio::spawn(model::serve(
        sessions,
        Arc::clone(&world),
        Subject::Floor,
        None,
    ));

    let mut ours = Figures::default();
    let mut floors = Figures::default();
    let product = Product::start(&task.program()?, core, task.calls, &peers).await?;
    let relay = Relay::start(core, floors_model).await?;
    sleep(Duration::from_millis(500)).await;
    ours.idle_kib = usage::resident(product.process);
    floors.idle_kib = usage::resident(relay.process);

    let (mut our_cpu, mut floors_cpu) = (Cpu::of(product.process), Cpu::of(relay.process));
    let before = (our_cpu.used(), floors_cpu.used());
    set_up(&world, &product, &relay).await?;
    ours.set_up_ns = our_cpu.used() - before.0;
    floors.set_up_ns = floors_cpu.used() - before.1;
    ours.begun_kib = usage::resident(product.process);
    floors.begun_kib = usage::resident(relay.process);
    let slices = task.seconds.div_ceil(SLICE.as_secs()).max(1);
    let mut own_cpu = Cpu::of(std::process::id());
    let (began, used) = (Instant::now(), own_cpu.used());
    let (mut allocated, mut frames) = (0, 0);
    for _ in 0..slices {
        let floor = slice(&world, Subject::Floor, &mut floors_cpu).await;
        add(&mut floors, &world, floor);
        let (before, seen) = (
            allocations(&product).await,
            world.samples(Subject::Product).frames,
        );
        let product_slice = slice(&world, Subject::Product, &mut our_cpu).await;
        add(&mut ours, &world, product_slice);
        allocated += allocations(&product).await - before;
        frames += world.samples(Subject::Product).frames - seen;
    }
    let stand_ins = (own_cpu.used() - used) as f64 / began.elapsed().as_nanos() as f64;
    ours.loaded_kib = usage::resident(product.process);
    floors.loaded_kib = usage::resident(relay.process);
    if task.barge_in {
        interrupt(&world).await;
    }

    if world.lost.load(Ordering::Relaxed) > 0 {
        return Err("sockets ended before the end".into());
    }
    ours.samples = std::mem::take(&mut *world.samples(Subject::Product));
    floors.samples = std::mem::take(&mut *world.samples(Subject::Floor));
    let run = Run {
        calls: task.calls,
        seconds: slices * SLICE.as_secs(),
        delta_ms: task.delta.as_millis(),
        settings: json!({"tls": task.tls.as_ref().map(|tls| format!("{tls:?}"))}),
        pinned: pinned_here,
        stand_ins,
        allocations_per_frame: task
            .allocations
            .then(|| allocated as f64 / frames.max(1) as f64),
        warnings: product.warnings(),
        handshakes: task.tls.map(|_| tls::handshakes()),
    };
    let all = report::json(&run, &mut ours, &mut floors);
    print(&report::table(&all));
    if let Some(file) = &task.json {
        std::fs::write(file, format!("{all:#}\n"))?;
    }
    if let Some(file) = certificate {
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}

/// The floor's process.
struct Relay {
    _child: tokio::process::Child,
    process: u32,
    port: u16,
}

impl Relay {
    async fn start(core: Option<usize>, model: u16) -> Result<Self, Failure> {
        let here = std::env::current_exe()?;
        let mut child = pinned(Path::new(&here), core)
            .args(["relay", &model.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let process = child.id().ok_or("the floor ended at once")?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no pipe")?).lines();
        let port = lines.next_line().await?.ok_or("the floor says no port")?;
        Ok(Self {
            _child: child,
            process,
            port: port.parse()?,
        })
    }
}

/// Places all calls, connects all lines of the floor, and waits until every greeting was heard.
async fn set_up(world: &Arc<World>, product: &Product, relay: &Relay) -> Result<(), Failure> {
    let mut next = 0;
    while next < world.calls {
        let batch = next..world.calls.min(next + DIALLING);
        next = batch.end;
        let placed = futures_util::future::join_all(batch.map(|index| product.place(index)));
        for placed in placed.await {
            placed?;
        }
    }
    let mut lines = JoinSet::new();
    for call in &world.floor {
        let (world, call, port) = (Arc::clone(world), Arc::clone(call), relay.port);
        lines.spawn(async move {
            if let Err(error) = carrier::plain(&world, &call, port).await {
                complain(&format!("floor: {error}"));
            }
            world.lost.fetch_add(1, Ordering::Relaxed);
        });
    }
    lines.detach_all();
    let began = Instant::now();
    let is_open = |call: &Arc<world::Call>| {
        call.is_open.load(Ordering::Relaxed) && call.is_connected.load(Ordering::Relaxed)
    };
    loop {
        let open = world
            .product
            .iter()
            .chain(&world.floor)
            .filter(|call| is_open(call))
            .count();
        if open == 2 * world.calls {
            return Ok(());
        }
        if began.elapsed() > Duration::from_secs(30) {
            return Err(format!("of {} conversations, {open} have begun", 2 * world.calls).into());
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// One turn of one of the two: nanoseconds of processor, and of time.
async fn slice(world: &World, subject: Subject, cpu: &mut Cpu) -> (Subject, u64, u64) {
    world.activate(Some(subject));
    sleep(SETTLES).await;
    world.record(true);
    let (began, used) = (Instant::now(), cpu.used());
    sleep(SLICE).await;
    let used = cpu.used() - used;
    let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    world.record(false);
    world.activate(None);
    // What is still under way belongs to nobody.
    sleep(SETTLES).await;
    (subject, used, took)
}

fn add(figures: &mut Figures, world: &World, (_, used, took): (Subject, u64, u64)) {
    figures.cpu_ns += used;
    figures.call_ns += took as f64 * world.calls as f64;
}

/// Allocations so far; the build that counts them says so ten times a second.
async fn allocations(product: &Product) -> u64 {
    sleep(Duration::from_millis(120)).await;
    product.allocations.load(Ordering::Relaxed)
}

/// Once, every callee talks over the agent.
async fn interrupt(world: &World) {
    world.interrupts.store(true, Ordering::Relaxed);
    world.activate(Some(Subject::Product));
    // A whole turn, so that everybody comes to it.
    sleep(Duration::from_secs(22)).await;
    world.activate(None);
}
