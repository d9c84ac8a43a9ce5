//! An agent host for tests: starts the server as a host does, and speaks MCP with it over its pipes.
//!
//! Everything that a server writes is kept and looked at: a line on stdout that is not JSON-RPC fails
//! the test that reads it, and so does a tool result that its own output schema does not admit.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod schema;

use std::collections::HashMap;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use openagent_messaging::sandbox::{Callee, ModelOptions, Options, Sandbox};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// For everything that has to happen. It is waited for, so a fast machine does not notice.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The revision that most tests speak.
pub const REVISION: &str = "2025-06-18";

/// Rings for a minute, and nothing else happens: for tests that need a live and quiet call.
pub const NOBODY: &str = "+14155550002";

/// Says hello, listens to the greeting, hangs up.
pub const BRIEF: &str = "+14155550004";

pub const EVERY_TOOL: [&str; 17] = [
    "discord_send_file",
    "discord_send_message",
    "phone_call_answer",
    "phone_call_delete",
    "phone_call_hangup",
    "phone_call_instruct",
    "phone_call_list",
    "phone_call_place",
    "phone_call_status",
    "sms_send",
    "sms_send_file",
    "sms_status",
    "status",
    "telegram_send_file",
    "telegram_send_message",
    "whatsapp_send_file",
    "whatsapp_send_message",
];

/// Those of a Twilio account, and `status`.
pub const TWILIO_TOOLS: [&str; 11] = [
    "phone_call_answer",
    "phone_call_delete",
    "phone_call_hangup",
    "phone_call_instruct",
    "phone_call_list",
    "phone_call_place",
    "phone_call_status",
    "sms_send",
    "sms_send_file",
    "sms_status",
    "status",
];

/// The program under test.
pub const SERVER: &str = env!("CARGO_BIN_EXE_openagent-messaging");

/// How the server is started. Nothing of the test's own environment reaches it.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    args: Vec<String>,
    env: Vec<(String, String)>,
    shell: Option<String>,
    program: Option<String>,
}

impl Setup {
    /// No arguments, no settings.
    pub fn bare() -> Self {
        Self::default()
    }

    /// `--sandbox`.
    pub fn sandboxed() -> Self {
        Self::bare().arg("--sandbox")
    }

    /// The account of `sandbox`, enough for SMS to `+1` and `+39`.
    pub fn account(sandbox: &Sandbox) -> Self {
        Self::bare()
            .env("TWILIO_ACCOUNT_SID", sandbox.account_sid())
            .env("TWILIO_AUTH_TOKEN", sandbox.auth_token())
            .env("TWILIO_FROM_NUMBER", sandbox.from_number())
            .env("TWILIO_API_BASE_URL", &sandbox.carrier_url())
            .env("OPENAGENT_PHONE_ALLOW_PREFIXES", "+1,+39")
    }

    /// The same, with all that calls need but the webhook server's address.
    pub fn voice(sandbox: &Sandbox) -> Self {
        Self::account(sandbox)
            .env("OPENAI_API_KEY", sandbox.openai_key())
            .env("OPENAI_BASE_URL", &sandbox.model_url())
    }

    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self
    }

    pub fn port(self, port: u16) -> Self {
        self.env("OPENAGENT_PHONE_PORT", &port.to_string()).env(
            "OPENAGENT_PHONE_PUBLIC_URL",
            &format!("http://127.0.0.1:{port}"),
        )
    }

    /// Starts another program in its place, which starts the server in turn.
    pub fn through(mut self, program: &str) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Has a shell do this first, in the process that becomes the server.
    pub fn after(mut self, shell: &str) -> Self {
        self.shell = Some(shell.to_owned());
        self
    }

    fn command(&self) -> Command {
        let server = self.program.as_deref().unwrap_or(SERVER);
        let mut command = match &self.shell {
            None => Command::new(server),
            Some(first) => {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", &format!("{first}; exec \"$0\" \"$@\""), server]);
                command
            }
        };
        command
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .kill_on_drop(true);
        // Without it no socket can be opened on Windows.
        if let Some(root) = std::env::var_os("SystemRoot") {
            command.env("SystemRoot", root);
        }
        command
    }

    /// Runs to the end, with nothing on stdin.
    pub async fn run(&self) -> Output {
        let output = self.command().stdin(Stdio::null()).output();
        timeout(PATIENCE * 2, output).await.unwrap().unwrap()
    }
}

/// A sandbox in this process, with `callee` behind every number that has no meaning of its own.
pub async fn sandbox(options: Options) -> Sandbox {
    Sandbox::start(options).await.unwrap()
}

/// Calls that take a quarter of their time.
pub fn hurried() -> Options {
    Options {
        frame_interval: Duration::from_millis(5),
        model: ModelOptions {
            first_byte: Duration::from_millis(60),
            delta: Duration::from_millis(4),
            transcription: Duration::from_millis(50),
            ..ModelOptions::default()
        },
        ..Options::default()
    }
}

/// `callee` at `number`, and otherwise as usual.
pub fn with_callee(number: &str, callee: Callee) -> Options {
    Options {
        callees: HashMap::from([(number.to_owned(), callee)]),
        ..Options::default()
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A server that can place calls through `sandbox`.
pub async fn calling(sandbox: &Sandbox, adapt: impl Fn(Setup) -> Setup) -> Server {
    // Somebody else may take the free port meanwhile; then there is another.
    for _ in 0..5 {
        let setup = adapt(Setup::voice(sandbox).port(free_port()));
        let mut server = Server::start(&setup).await;
        if server.phone().await["voice_ready"] == json!(true) {
            return server;
        }
    }
    panic!("no server could open its port");
}

/// What a server has written so far.
#[derive(Debug, Default)]
pub struct Seen {
    /// Every JSON-RPC message.
    pub messages: Vec<Value>,
    /// Lines on stdout that are none.
    pub strays: Vec<String>,
    /// Stdout has ended.
    pub ended: bool,
    pub stderr: String,
}

impl Seen {
    /// The answer to a request, result or error.
    pub fn answer(&self, id: u64) -> Option<&Value> {
        let is_answer = |m: &&Value| m["id"] == json!(id) && m.get("method").is_none();
        self.messages.iter().find(is_answer)
    }

    /// The parameters of all notifications of this kind.
    pub fn notifications(&self, method: &str) -> Vec<Value> {
        let of_kind = self.messages.iter().filter(|m| m["method"] == method);
        of_kind.map(|m| m["params"].clone()).collect()
    }
}

/// All that the result of a tool has; hosts list a part of it.
pub fn full_schema(tool: &str) -> &'static Value {
    static SCHEMAS: OnceLock<HashMap<String, Value>> = OnceLock::new();
    let schemas = SCHEMAS.get_or_init(|| {
        let tools = openagent_messaging::mcp::reference::in_full().into_iter();
        let schema = |schema: Option<_>| json!(schema.unwrap());
        tools
            .map(|tool| (tool.name.to_string(), schema(tool.output_schema)))
            .collect()
    });
    &schemas[tool]
}

/// A server under test.
pub struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    seen: watch::Receiver<Seen>,
    stdout: JoinHandle<()>,
    reading: Arc<Mutex<()>>,
    last_id: u64,
    /// The tools that it listed, by name.
    pub tools: HashMap<String, Value>,
}

impl Server {
    /// Starts the program and says nothing.
    pub fn spawn(setup: &Setup) -> Self {
        Self::spawn_as(setup, true)
    }

    /// The same, as a host does that never reads what it logs.
    pub fn spawn_with_unread_log(setup: &Setup) -> Self {
        Self::spawn_as(setup, false)
    }

    fn spawn_as(setup: &Setup, log_is_read: bool) -> Self {
        let mut child = setup
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (seen, watched) = watch::channel(Seen::default());
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        let log = seen.clone();
        let reading = Arc::new(Mutex::new(()));
        let may_read = Arc::clone(&reading);
        let stdout = tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                drop(may_read.lock().await);
                let message = serde_json::from_str::<Value>(&line)
                    .ok()
                    .filter(|message| message["jsonrpc"] == "2.0");
                seen.send_modify(|seen| match message {
                    Some(message) => seen.messages.push(message),
                    None => seen.strays.push(line),
                });
            }
            seen.send_modify(|seen| seen.ended = true);
        });
        tokio::spawn(async move {
            let mut stderr = BufReader::new(stderr);
            let mut line = Vec::new();
            if !log_is_read {
                std::future::pending::<()>().await;
            }
            while let Ok(1..) = stderr.read_until(b'\n', &mut line).await {
                log.send_modify(|seen| seen.stderr.push_str(&String::from_utf8_lossy(&line)));
                line.clear();
            }
        });
        Self {
            child,
            stdin,
            seen: watched,
            stdout,
            reading,
            last_id: 0,
            tools: HashMap::new(),
        }
    }

    /// Starts it, shakes hands and lists its tools.
    pub async fn start(setup: &Setup) -> Self {
        let mut server = Self::spawn(setup);
        server.initialize(REVISION).await;
        server
    }

    /// Shakes hands; returns what the server said of itself.
    pub async fn initialize(&mut self, revision: &str) -> Value {
        let params = json!({
            "protocolVersion": revision,
            "capabilities": {},
            "clientInfo": {"name": "test host", "version": "1"},
        });
        let result = self.ask("initialize", params).await;
        self.notify("notifications/initialized", Value::Null).await;
        self.list_tools().await;
        result
    }

    pub async fn list_tools(&mut self) -> Vec<String> {
        let listed = self.ask("tools/list", json!({})).await;
        self.learn_tools(&listed)
    }

    /// Remembers listed tools; returns their names, sorted.
    pub fn learn_tools(&mut self, listed: &Value) -> Vec<String> {
        let tools = listed["tools"].as_array().unwrap();
        let by_name = |tool: &Value| (tool["name"].as_str().unwrap().to_owned(), tool.clone());
        self.tools = tools.iter().map(by_name).collect();
        let mut names: Vec<String> = self.tools.keys().cloned().collect();
        names.sort();
        names
    }

    /// Writes a line as it stands.
    pub async fn write(&mut self, line: &str) {
        self.write_bytes(format!("{line}\n").as_bytes()).await;
    }

    pub async fn write_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(bytes).await.unwrap();
        stdin.flush().await.unwrap();
    }

    pub async fn notify(&mut self, method: &str, params: Value) {
        let mut message = json!({"jsonrpc": "2.0", "method": method});
        if !params.is_null() {
            message["params"] = params;
        }
        self.write(&message.to_string()).await;
    }

    /// Sends a request and does not wait.
    pub async fn send(&mut self, method: &str, params: Value) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.write(&message.to_string()).await;
        id
    }

    /// Sends a request; returns its result.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        let answer = self.answer(id).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Waits for the answer to a request.
    pub async fn answer(&mut self, id: u64) -> Value {
        self.wait(&format!("the answer to request {id}"), |seen| {
            seen.answer(id).cloned()
        })
        .await
    }

    /// Waits until `look` finds something in what the server has written.
    pub async fn wait<T>(&mut self, what: &str, look: impl Fn(&Seen) -> Option<T>) -> T {
        let there = self.seen.wait_for(|seen| look(seen).is_some());
        let waited = timeout(PATIENCE, there).await.map(|there| there.is_ok());
        let seen = self.seen.borrow();
        assert!(seen.strays.is_empty(), "not MCP: {:?}", seen.strays);
        match (waited, look(&seen)) {
            (Ok(_), Some(found)) => found,
            _ => panic!("{what} did not come; {seen:#?}"),
        }
    }

    /// What was written so far.
    pub fn seen(&self) -> watch::Ref<'_, Seen> {
        self.seen.borrow()
    }

    /// Calls a tool and does not wait.
    pub async fn begin(&mut self, tool: &str, arguments: Value) -> u64 {
        let params = json!({"name": tool, "arguments": arguments});
        self.send("tools/call", params).await
    }

    /// Waits for the result of a tool that works.
    pub async fn result(&mut self, tool: &str, id: u64) -> Value {
        let answer = self.answer(id).await;
        self.check(tool, &answer["result"])
            .unwrap_or_else(|why| panic!("{tool}: {why}; {answer}"))
    }

    /// Calls a tool that works; returns its structured result.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let id = self.begin(tool, arguments).await;
        self.result(tool, id).await
    }

    /// Calls a tool that fails; returns what it says.
    pub async fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let id = self.begin(tool, arguments.clone()).await;
        let answer = self.answer(id).await;
        match self.check(tool, &answer["result"]) {
            Err(why) if answer["result"]["isError"] == json!(true) => why,
            _ => panic!("{tool} did not refuse {arguments}: {answer}"),
        }
    }

    /// A result must be what the contract says: structured, the same as text, and of its schema; or
    /// an error in words.
    fn check(&self, tool: &str, result: &Value) -> Result<Value, String> {
        let content = result["content"].as_array().ok_or("no content")?;
        let text = match &content[..] {
            [block] if block["type"] == "text" => block["text"].as_str().ok_or("no text")?,
            _ => return Err("not one block of text".into()),
        };
        if result["isError"] == json!(true) {
            assert!(!text.trim().is_empty(), "{tool} fails without a word");
            return Err(text.to_owned());
        }
        let structured = result["structuredContent"].clone();
        let same: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        assert_eq!(structured, same, "{tool}: the text says something else");
        for schema in [&self.tools[tool]["outputSchema"], full_schema(tool)] {
            schema::check(&structured, schema)
                .map_err(|why| format!("not of its schema: {why}"))?;
        }
        Ok(structured)
    }

    /// `status`, the part about the phone.
    pub async fn phone(&mut self) -> Value {
        self.call("status", json!({})).await["phone"].clone()
    }

    /// Places a call and returns its id.
    pub async fn place(&mut self, to: &str) -> String {
        let mission = "Ask whether the table for two on Tuesday is still free.";
        let order = json!({"to": to, "mission": mission});
        let placed = self.call("phone_call_place", order).await;
        placed["call_id"].as_str().unwrap().to_owned()
    }

    /// Waits until a call has this status.
    pub async fn reach(&mut self, call_id: &str, status: &str) -> Value {
        let mut since = 0;
        loop {
            let asked =
                json!({"call_id": call_id, "wait": true, "since": since, "timeout_seconds": 50});
            let snapshot = self.call("phone_call_status", asked).await;
            if snapshot["status"] == status {
                return snapshot;
            }
            assert_eq!(snapshot["ended_at"], Value::Null, "{snapshot:#}");
            since = snapshot["revision"].as_u64().unwrap();
        }
    }

    /// Waits until a call rings that nobody answers; from then on it does not change.
    pub async fn ring(&mut self) -> (String, u64) {
        let call_id = self.place(NOBODY).await;
        let snapshot = self.reach(&call_id, "ringing").await;
        (call_id, snapshot["revision"].as_u64().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends a signal, such as `TERM`. The shell does it: a minimal system has no program `kill`.
    #[cfg(unix)]
    pub async fn signal(&self, name: &str) {
        let sent = tokio::process::Command::new("sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name])
            .arg(self.pid().to_string())
            .status();
        assert!(sent.await.unwrap().success());
    }

    /// Closes the server's stdin, as a host does that stops.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Closes the other end of the server's stdout.
    pub async fn close_stdout(&mut self) {
        self.stdout.abort();
        // Once the task is gone, so is its pipe.
        let _ = (&mut self.stdout).await;
    }

    /// Lets the server's stdout fill up, until the guard is dropped.
    pub async fn stop_reading(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.reading).lock_owned().await
    }

    /// Waits for the end of the program; how long that took.
    pub async fn exit(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        let exited = timeout(PATIENCE, self.child.wait()).await;
        let took = began.elapsed();
        let status = exited.expect("it does not end").unwrap();
        (status, took)
    }

    /// Everything it wrote to stderr, once it has ended.
    pub async fn end(mut self) -> Seen {
        self.close_stdin();
        self.exit().await;
        let all = self.seen.wait_for(|_| false);
        // The channel closes when both pipes are read to their ends.
        let closed = timeout(PATIENCE, all).await.map(|all| all.is_err());
        assert_eq!(closed, Ok(true), "a pipe stays open");
        let seen = self.seen.borrow();
        assert!(seen.strays.is_empty(), "not MCP: {:?}", seen.strays);
        Seen {
            messages: seen.messages.clone(),
            strays: Vec::new(),
            ended: seen.ended,
            stderr: seen.stderr.clone(),
        }
    }
}
