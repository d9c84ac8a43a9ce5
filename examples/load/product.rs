//! The program under load: started as a host does, on a core of its own, and spoken to over its pipes.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use crate::Failure;
use crate::carrier::{ACCOUNT, FROM, TOKEN, number};
use crate::model::MISSION;

/// An answer that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(60);

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

/// Where its peers are.
pub struct Peers {
    pub carrier: u16,
    pub model: String,
    /// The certificate of the model, if it has one.
    pub certificate: Option<std::path::PathBuf>,
}

/// The program.
pub struct Product {
    _child: Child,
    pub process: u32,
    stdin: AsyncMutex<ChildStdin>,
    waiting: Waiting,
    last_id: AtomicU64,
    /// Allocations so far, if it is the build that counts them.
    pub allocations: Arc<AtomicU64>,
    warnings: Arc<AtomicU64>,
}

/// `program` on the given core, if cores can be chosen here.
pub fn pinned(program: &Path, core: Option<usize>) -> Command {
    match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string()]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

impl Product {
    pub async fn start(
        program: &Path,
        core: Option<usize>,
        calls: usize,
        peers: &Peers,
    ) -> Result<Self, Failure> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        drop(listener);
        let mut command = pinned(program, core);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TWILIO_ACCOUNT_SID", ACCOUNT)
            .env("TWILIO_AUTH_TOKEN", TOKEN)
            .env("TWILIO_FROM_NUMBER", FROM)
            .env(
                "TWILIO_API_BASE_URL",
                format!("http://127.0.0.1:{}", peers.carrier),
            )
            .env("OPENAI_API_KEY", "sk-load")
            .env("OPENAI_BASE_URL", &peers.model)
            .env(
                "OPENAGENT_PHONE_PUBLIC_URL",
                format!("http://127.0.0.1:{port}"),
            )
            .env("OPENAGENT_PHONE_PORT", port.to_string())
            .env("OPENAGENT_PHONE_ALLOW_PREFIXES", "+1")
            .env("OPENAGENT_PHONE_MAX_DAILY_SECONDS", "80000000")
            .env("OPENAGENT_PHONE_MAX_CONCURRENT_CALLS", calls.to_string())
            .env("OPENAGENT_PHONE_MAX_DURATION_SECONDS", "3600")
            .env("OPENAGENT_PHONE_MACHINE_DETECTION", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(file) = &peers.certificate {
            command.env("SSL_CERT_FILE", file);
        }
        let mut child = command
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let process = child.id().ok_or("the program ended at once")?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("no pipes".into());
        };
        let waiting = Waiting::default();
        let answered = Arc::clone(&waiting);
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let message: Value = serde_json::from_str(&line).unwrap_or_default();
                let id = message["id"].as_u64().unwrap_or_default();
                if let Some(sender) = lock(&answered).remove(&id) {
                    let _ = sender.send(message);
                }
            }
            lock(&answered).clear();
        });
        let (allocations, warnings) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (counted, warned) = (Arc::clone(&allocations), Arc::clone(&warnings));
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                match line.strip_prefix("allocations ") {
                    Some(count) => counted.store(count.parse().unwrap_or(0), Ordering::Relaxed),
                    // Each call is noted; that is no complaint.
                    None if line.contains(" INFO ") => {}
                    None => {
                        if warned.fetch_add(1, Ordering::Relaxed) < 20 {
                            crate::complain(&line);
                        }
                    }
                }
            }
        });
        let product = Self {
            _child: child,
            process,
            stdin: AsyncMutex::new(stdin),
            waiting,
            last_id: AtomicU64::new(0),
            allocations,
            warnings,
        };
        let hello = json!({
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "load", "version": "1"},
        });
        product.ask("initialize", hello).await?;
        product
            .write(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await?;
        product.ask("tools/list", json!({})).await?;
        Ok(product)
    }

    /// Lines that it wrote to its log, which are warnings.
    pub fn warnings(&self) -> u64 {
        self.warnings.load(Ordering::Relaxed)
    }

    /// Places the call with this index; returns its id.
    pub async fn place(&self, index: usize) -> Result<String, Failure> {
        let arguments = json!({"to": number(index), "mission": format!("{MISSION}{index}.")});
        let params = json!({"name": "phone_call_place", "arguments": arguments});
        let answer = self.ask("tools/call", params).await?;
        let id = answer["result"]["structuredContent"]["call_id"].as_str();
        Ok(id
            .ok_or_else(|| format!("not placed: {answer}"))?
            .to_owned())
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value, Failure> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(id, sender);
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await?;
        let answer = tokio::time::timeout(PATIENCE, receiver).await;
        Ok(answer.map_err(|_| format!("no answer to {method}"))??)
    }

    async fn write(&self, message: &Value) -> Result<(), Failure> {
        let mut stdin = self.stdin.lock().await;
        stdin.write_all(format!("{message}\n").as_bytes()).await?;
        Ok(stdin.flush().await?)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
