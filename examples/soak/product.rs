//! The program under test: started as a host does, spoken to over its pipes, its log kept.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openagent_messaging::sandbox::Sandbox;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use crate::Failure;

/// An answer that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(90);

/// A host waits so long after it has closed the program's input.
const END: Duration = Duration::from_secs(4);

/// Where it is and what it is to keep to.
pub struct Settings {
    pub program: PathBuf,
    pub database: PathBuf,
    pub calls: usize,
}

/// The program.
pub struct Product {
    child: AsyncMutex<Child>,
    process_id: u32,
    metrics_port: u16,
    stdin: AsyncMutex<Option<ChildStdin>>,
    waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>,
    log: Arc<Mutex<Vec<String>>>,
    last_id: AtomicU64,
    /// How long each answer took that had nothing to wait for, and each dialling.
    answered: Mutex<Vec<Duration>>,
    placed: Mutex<Vec<Duration>>,
}

fn free_port() -> std::io::Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

/// What a tool said.
pub type ToolAnswer = Result<Value, String>;

impl Product {
    /// Starts it and shakes hands.
    pub async fn start(settings: &Settings, sandbox: &Sandbox) -> Result<Self, Failure> {
        let (port, metrics_port) = (free_port()?, free_port()?);
        let calls = settings.calls.to_string();
        let environment = [
            ("TWILIO_ACCOUNT_SID", sandbox.account_sid()),
            ("TWILIO_AUTH_TOKEN", sandbox.auth_token()),
            ("TWILIO_FROM_NUMBER", sandbox.from_number()),
            ("TWILIO_API_BASE_URL", &sandbox.carrier_url()),
            ("OPENAI_API_KEY", sandbox.openai_key()),
            ("OPENAI_BASE_URL", &sandbox.model_url()),
            (
                "OPENAGENT_PHONE_PUBLIC_URL",
                &format!("http://127.0.0.1:{port}"),
            ),
            ("OPENAGENT_PHONE_PORT", &port.to_string()),
            ("OPENAGENT_PHONE_ALLOW_PREFIXES", "+1"),
            ("OPENAGENT_PHONE_MAX_DAILY_SECONDS", "1000000"),
            ("OPENAGENT_PHONE_MAX_DAILY_CALLS_PER_NUMBER", "1000"),
            ("OPENAGENT_PHONE_MAX_DAILY_SMS", "100000"),
            ("OPENAGENT_PHONE_MAX_CONCURRENT_CALLS", &calls),
            ("RUST_LOG", "info"),
        ];
        let mut child = Command::new(&settings.program)
            .env_clear()
            .envs(environment)
            .env("OPENAGENT_PHONE_DB", &settings.database)
            .env(
                "OPENAGENT_PHONE_METRICS",
                format!("127.0.0.1:{metrics_port}"),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", settings.program.display()))?;
        let (waiting, log) = (Arc::default(), Arc::default());
        tokio::spawn(read_answers(child.stdout.take(), Arc::clone(&waiting)));
        tokio::spawn(read_log(child.stderr.take(), Arc::clone(&log)));
        let product = Self {
            metrics_port,
            process_id: child.id().ok_or("the program ended at once")?,
            stdin: AsyncMutex::new(child.stdin.take()),
            child: AsyncMutex::new(child),
            waiting,
            log,
            last_id: AtomicU64::new(0),
            answered: Mutex::default(),
            placed: Mutex::default(),
        };
        let hello = json!({
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "soak", "version": "1"},
        });
        product.ask("initialize", hello).await?;
        product
            .write(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await?;
        let status = product.tool("status", json!({})).await?;
        if status["phone"]["voice_ready"] != json!(true) {
            return Err(format!("calls are not possible: {status}").into());
        }
        Ok(product)
    }

    /// What Prometheus would be told now: each sample by its name, labels included.
    pub async fn scrape(&self) -> Result<BTreeMap<String, f64>, Failure> {
        let url = format!("http://127.0.0.1:{}/metrics", self.metrics_port);
        let text = reqwest::get(url).await?.error_for_status()?.text().await?;
        if !text.ends_with("# EOF\n") {
            return Err("the metrics do not end as they should".into());
        }
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| -> Result<(String, f64), Failure> {
            let (name, value) = line.rsplit_once(' ').ok_or("a sample without a value")?;
            Ok((name.to_owned(), value.parse()?))
        };
        samples.map(sample).collect()
    }

    pub fn process_id(&self) -> u32 {
        self.process_id
    }

    /// Calls a tool.
    pub async fn tool(&self, name: &str, arguments: Value) -> ToolAnswer {
        let waits = arguments["wait"] == json!(true) || name == "phone_call_hangup";
        let began = Instant::now();
        let params = json!({"name": name, "arguments": arguments});
        let answer = self.ask("tools/call", params).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let took = began.elapsed();
        match name {
            "phone_call_place" => lock(&self.placed).push(took),
            "phone_call_status" | "status" if !waits => lock(&self.answered).push(took),
            _ => {}
        }
        let result = &answer["result"];
        if result["isError"] == json!(true) {
            let text = result["content"][0]["text"].as_str();
            return Err(text.unwrap_or("an error without words").to_owned());
        }
        match &result["structuredContent"] {
            Value::Null => Err(format!("no result: {answer}")),
            content => Ok(content.clone()),
        }
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value, Failure> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(id, sender);
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await?;
        let answer = tokio::time::timeout(PATIENCE, receiver).await;
        let answer = answer.map_err(|_| format!("no answer to {method} {params}"))?;
        Ok(answer.map_err(|_| "the program has ended")?)
    }

    async fn write(&self, message: &Value) -> Result<(), Failure> {
        let mut stdin = self.stdin.lock().await;
        let stdin = stdin.as_mut().ok_or("its input is closed")?;
        stdin.write_all(format!("{message}\n").as_bytes()).await?;
        Ok(stdin.flush().await?)
    }

    /// Closes its input, as a host does that is done.
    pub async fn end(&self) -> Result<(), String> {
        self.stdin.lock().await.take();
        let began = Instant::now();
        let mut child = self.child.lock().await;
        let ended = tokio::time::timeout(END * 2, child.wait()).await;
        let status = ended
            .map_err(|_| "it does not exit".to_owned())?
            .map_err(|error| error.to_string())?;
        if !status.success() || began.elapsed() > END {
            return Err(format!(
                "it exited with {status} after {:?}",
                began.elapsed()
            ));
        }
        Ok(())
    }

    /// Lines of its log that are warnings or errors.
    pub fn complaints(&self) -> Vec<String> {
        let log = lock(&self.log);
        let bad = |line: &&String| {
            [" WARN ", " ERROR "]
                .iter()
                .any(|level| line.contains(level))
        };
        log.iter().filter(bad).cloned().collect()
    }

    /// How long answers took that had nothing to wait for, and diallings.
    pub fn latencies(&self) -> (Vec<Duration>, Vec<Duration>) {
        (lock(&self.answered).clone(), lock(&self.placed).clone())
    }
}

async fn read_answers(
    stdout: Option<impl AsyncRead + Unpin>,
    waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>,
) {
    let Some(stdout) = stdout else { return };
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let message: Value = serde_json::from_str(&line).unwrap_or_default();
        let id = message["id"].as_u64().unwrap_or_default();
        if let Some(sender) = lock(&waiting).remove(&id) {
            let _ = sender.send(message);
        }
    }
    // Nobody need wait any longer.
    lock(&waiting).clear();
}

async fn read_log(stderr: Option<impl AsyncRead + Unpin>, log: Arc<Mutex<Vec<String>>>) {
    let Some(stderr) = stderr else { return };
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // Information is not kept: there is a lot of it.
        if !line.contains(" INFO ") {
            lock(&log).push(line);
        }
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
