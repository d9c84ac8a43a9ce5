//! Carrier, model and file, which outlive the program that uses them.
#![allow(unreachable_pub)]

use super::*;
use crate::file::File;
use crate::relay::Relay;

use openagent_messaging::sandbox::Sandbox;

pub struct Stage {
    pub sandbox: Sandbox,
    /// From the program to the carrier.
    pub carrier: Relay,
    /// From the program to the model.
    pub model: Relay,
    /// From the carrier to the program that runs now: the public address.
    pub tunnel: Relay,
    pub file: File,
}

impl Stage {
    pub async fn new(options: Options) -> Self {
        let sandbox = support_mcp::sandbox(options).await;
        let stage = Self {
            carrier: Relay::start().await,
            model: Relay::start().await,
            tunnel: Relay::start().await,
            file: File::new(),
            sandbox,
        };
        stage.carrier.to(port_of(&stage.sandbox.carrier_url()));
        stage.model.to(port_of(&stage.sandbox.model_url()));
        stage
    }

    /// Settings for a process on this stage, all but its public address. Nobody is asked whether
    /// they are still there, so that quiet calls stay quiet.
    pub fn setup(&self) -> Setup {
        Setup::voice(&self.sandbox)
            .env("TWILIO_API_BASE_URL", &self.carrier.url())
            .env("OPENAI_BASE_URL", &format!("{}/v1", self.model.url()))
            .env("OPENAGENT_PHONE_SILENCE_SECONDS", "120")
            .env("OPENAGENT_PHONE_DB", self.file.path().to_str().unwrap())
    }

    /// The one process, or the next, behind the public address.
    pub async fn server(&self) -> Server {
        self.server_with(|setup| setup).await
    }

    pub async fn server_with(&self, adapt: impl Fn(Setup) -> Setup) -> Server {
        serve(adapt(self.setup()), &self.tunnel).await
    }

    /// A process with a public address of its own.
    pub async fn another(&self, adapt: impl Fn(Setup) -> Setup) -> Server {
        let tunnel = Relay::start().await;
        serve(adapt(self.setup()), &tunnel).await
    }

    /// A signed request of the carrier to the process with this port.
    pub async fn post(&self, port: u16, path: &str, sid: &str, status: &str) -> (u16, String) {
        let params = [
            ("AccountSid", self.sandbox.account_sid()),
            ("CallSid", sid),
            ("CallStatus", status),
        ];
        let url = format!("{}{path}", self.tunnel.url());
        let signature = support::sign(self.sandbox.auth_token(), &url, &params);
        support::post_form(port, path, &params, Some(&signature)).await
    }
}

async fn serve(setup: Setup, tunnel: &Relay) -> Server {
    let setup = setup.env("OPENAGENT_PHONE_PUBLIC_URL", &tunnel.url());
    let mut server = Server::start(&setup).await;
    let phone = server.phone().await;
    assert_eq!(phone["voice_ready"], json!(true), "{phone}");
    tunnel.to(port(&phone));
    server
}

/// The local port of a process, from its status.
pub fn port(phone: &Value) -> u16 {
    phone["local_port"].as_u64().unwrap().try_into().unwrap()
}

fn port_of(url: &str) -> u16 {
    url::Url::parse(url).unwrap().port().unwrap()
}

/// A callee who says hello, listens, says these things, listening after each, and stays.
pub fn talking(says: &[&str]) -> Callee {
    let mut script = vec![Step::say("Hello?"), Step::WaitForAgentToFinish];
    for what in says {
        script.extend([Step::say(what), Step::WaitForAgentToFinish]);
    }
    script.push(Step::WaitForever);
    Callee::person(script)
}

pub fn order(to: &str) -> Value {
    json!({"to": to, "mission": "Ask whether the table for two on Tuesday is still free."})
}

pub fn order_with_key(to: &str, key: &str) -> Value {
    let mut order = order(to);
    order["idempotency_key"] = json!(key);
    order
}

/// Ends the process on the spot.
pub async fn kill(mut server: Server) {
    server.signal("KILL").await;
    server.exit().await;
}

/// What came of a request to a tool: its result, or what it says.
pub async fn attempt(server: &mut Server, request: u64) -> Result<Value, String> {
    let answer = server.answer(request).await;
    let result = &answer["result"];
    if result["isError"] == json!(true) {
        return Err(result["content"][0]["text"].as_str().unwrap().to_owned());
    }
    Ok(result["structuredContent"].clone())
}

/// Waits until a call is final, wherever it was placed.
pub async fn final_of(server: &mut Server, call_id: &str) -> Value {
    let began = Instant::now();
    loop {
        let asked =
            json!({"call_id": call_id, "wait": true, "wake_on": "final", "timeout_seconds": 5});
        let snapshot = server.call("phone_call_status", asked).await;
        if snapshot["ended_at"] != Value::Null {
            return snapshot;
        }
        assert!(
            began.elapsed() < support::PATIENCE,
            "not final: {snapshot:#}"
        );
    }
}

/// Waits until so many lines were said in a call, and returns it.
pub async fn said(server: &mut Server, call_id: &str, lines: usize) -> Value {
    let mut since = 0;
    loop {
        let asked =
            json!({"call_id": call_id, "wait": true, "since": since, "timeout_seconds": 15});
        let snapshot = server.call("phone_call_status", asked).await;
        if snapshot["transcript"].as_array().unwrap().len() >= lines {
            return snapshot;
        }
        assert_eq!(snapshot["ended_at"], Value::Null, "{snapshot:#}");
        since = snapshot["revision"].as_u64().unwrap();
    }
}

/// How often the carrier was asked to dial.
pub fn dials(stage: &Stage) -> usize {
    let requests = stage.sandbox.requests();
    let dials = requests.iter().filter(|line| *line == "POST Calls.json");
    dials.count()
}

/// The whole seconds that the carrier charges for.
pub fn seconds(stage: &Stage, sid: &str) -> u32 {
    let millis = stage.sandbox.call(sid).unwrap().duration.as_millis();
    u32::try_from(millis.div_ceil(1_000)).unwrap()
}
