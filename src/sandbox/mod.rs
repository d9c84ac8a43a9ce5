//! An embedded carrier, an embedded model and embedded messengers on loopback sockets, for
//! `--sandbox`, `demo`, tests and benches: the product talks to them as it talks to the real ones, over
//! the same code.
//!
//! All follow the services' wire formats, not this project's clients, and refuse what the services
//! refuse. What a service would let pass although it cannot be meant is a complaint
//! ([`Sandbox::complaints`]). Nothing here ever talks to another machine.
//!
//! - `carrier`: REST, calls, media streams; `callee`: who answers the phone, and what they say,
//!   `person`: how they live it;
//! - `model`: realtime sessions; `speech`: how the two understand each other;
//! - `channels`: Telegram, Discord and Green API;
//! - `mishap`: what goes wrong by chance;
//! - `net`, `signing`, `complaints`: small things that they share.

mod callee;
mod carrier;
mod channels;
mod complaints;
mod mishap;
mod model;
mod net;
mod person;
mod signing;
pub mod speech;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use url::Url;

use crate::config;
use crate::secret::Secret;

pub use callee::{Answer, Callee, Menu, Step};
pub use carrier::CarrierFault;
pub use carrier::call::{Call, CallStatus};
pub use carrier::messages::Message;
pub use channels::{ChannelFile, ChannelMessage};
pub use mishap::{Chance, Odds};
pub use model::loss::{Loss, LossMoment, Parting, Reconnect};
pub use model::record::ModelSession;
pub use model::{ModelFault, ModelOptions};

use carrier::{Account, Behaviour, Carrier};
use channels::Messengers;
use complaints::Complaints;
use mishap::Mishaps;
use model::Model;
use net::Tasks;

/// How a sandbox behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who answers which number. A number that is not listed goes by its ending: `0001` is busy,
    /// `0002` never answers, `0003` cannot be connected, `0004` hangs up after the greeting, `0005`
    /// is an answering machine, `0006` a phone menu, `0007` puts the caller on hold, `0008` has a
    /// line that breaks, `0009` is a fax; all others reach the default callee.
    pub callees: HashMap<String, Callee>,
    /// Who answers all other numbers.
    pub default_callee: Callee,
    /// How long 20 ms of call time take: 20 ms in real time, less in tests. Ringing, pauses, time
    /// limits and durations of calls scale with it; the model's delays do not.
    pub frame_interval: Duration,
    /// Whether calls and sessions keep their audio, up to ten minutes in each direction.
    pub keep_audio: bool,
    /// What goes wrong at the carrier.
    pub carrier_fault: Option<CarrierFault>,
    /// How the model behaves.
    pub model: ModelOptions,
    /// What goes wrong by chance.
    pub odds: Odds,
    /// Another seed, another story.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            callees: HashMap::new(),
            default_callee: Callee::default(),
            frame_interval: callee::FRAME_TIME,
            keep_audio: true,
            carrier_fault: None,
            model: ModelOptions::default(),
            odds: Odds::default(),
            seed: 0,
        }
    }
}

/// A running carrier, model and messengers. Dropping it stops them.
pub struct Sandbox {
    tasks: Tasks,
    complaints: Complaints,
    mishaps: Mishaps,
    account: Account,
    openai_key: String,
    carrier: Arc<Carrier>,
    carrier_address: SocketAddr,
    model: Arc<Model>,
    model_address: SocketAddr,
    messengers: Arc<Messengers>,
    messengers_address: SocketAddr,
}

impl Sandbox {
    /// Starts them on free ports of 127.0.0.1, with credentials of their own.
    ///
    /// # Errors
    ///
    /// If no port can be bound or the HTTP client cannot be built.
    pub async fn start(mut options: Options) -> io::Result<Self> {
        // Faster than the timer can tick is not faster.
        options.frame_interval = options.frame_interval.max(Duration::from_millis(1));
        let tasks = Tasks::default();
        let complaints = Complaints::default();
        let mishaps = Mishaps::new(options.odds, options.seed);
        let account = Account {
            sid: format!("AC{}", hex32()),
            token: hex32(),
            api_key: format!("SK{}", hex32()),
            api_secret: hex32(),
            number: "+15005550006".to_owned(),
        };
        let openai_key = format!("sk-sandbox-{}", hex32());
        let behaviour = Behaviour {
            callees: options.callees,
            default_callee: options.default_callee,
            frame_interval: options.frame_interval,
            keep_audio: options.keep_audio,
            fault: options.carrier_fault,
        };
        let carrier = Carrier::new(
            account.clone(),
            behaviour,
            complaints.clone(),
            mishaps.clone(),
            tasks.clone(),
        )?;
        let model = Model::new(
            openai_key.clone(),
            options.model,
            options.keep_audio,
            complaints.clone(),
            mishaps.clone(),
            tasks.clone(),
        );
        let carrier_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let model_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let messengers = Messengers::new(complaints.clone());
        let messengers_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let sandbox = Self {
            carrier_address: carrier_listener.local_addr()?,
            model_address: model_listener.local_addr()?,
            tasks: tasks.clone(),
            complaints,
            mishaps,
            account,
            openai_key,
            carrier: Arc::clone(&carrier),
            model: Arc::clone(&model),
            messengers: Arc::clone(&messengers),
            messengers_address: messengers_listener.local_addr()?,
        };
        let app = carrier::router(carrier);
        tasks.spawn(net::serve(carrier_listener, app, tasks.clone()));
        let app = model::router(model);
        tasks.spawn(net::serve(model_listener, app, tasks.clone()));
        let app = channels::router(messengers);
        tasks.spawn(net::serve(messengers_listener, app, tasks.clone()));
        Ok(sandbox)
    }

    /// Stops everything and waits until it has stopped.
    pub async fn shutdown(self) {
        self.tasks.shutdown().await;
    }

    /// For `TWILIO_API_BASE_URL`.
    pub fn carrier_url(&self) -> String {
        format!("http://{}", self.carrier_address)
    }

    /// For `OPENAI_BASE_URL`.
    pub fn model_url(&self) -> String {
        format!("http://{}/v1", self.model_address)
    }

    /// For `TWILIO_ACCOUNT_SID`.
    pub fn account_sid(&self) -> &str {
        &self.account.sid
    }

    /// For `TWILIO_AUTH_TOKEN`: REST password, and the key of all signatures.
    pub fn auth_token(&self) -> &str {
        &self.account.token
    }

    /// For `TWILIO_API_KEY`.
    pub fn api_key(&self) -> &str {
        &self.account.api_key
    }

    /// For `TWILIO_API_SECRET`.
    pub fn api_secret(&self) -> &str {
        &self.account.api_secret
    }

    /// For `TWILIO_FROM_NUMBER`.
    pub fn from_number(&self) -> &str {
        &self.account.number
    }

    /// For `OPENAI_API_KEY`.
    pub fn openai_key(&self) -> &str {
        &self.openai_key
    }

    /// The channels' credentials, and where their stand-ins are.
    ///
    /// # Errors
    ///
    /// None in practice: that an address makes no URL.
    pub fn channels(&self) -> io::Result<config::Channels> {
        let root = format!("http://{}", self.messengers_address);
        let url = |path: &str| {
            let url = format!("{root}{path}");
            Url::parse(&url).map_err(io::Error::other)
        };
        let own = &self.messengers;
        Ok(config::Channels {
            telegram: Some(Secret::new(&own.telegram_token)),
            discord: Some(Secret::new(&own.discord_token)),
            green: Some((own.green_id.clone(), Secret::new(&own.green_token))),
            telegram_base_url: url("")?,
            discord_base_url: url("/api/v10")?,
            green_base_url: url("")?,
            web: Some(url("/web")?),
        })
    }

    /// All messages that the channels took, oldest first.
    pub fn channel_messages(&self) -> Vec<ChannelMessage> {
        self.messengers.messages()
    }

    /// Every request to the channels so far, such as `telegram sendMessage`.
    pub fn channel_requests(&self) -> Vec<String> {
        self.messengers.requests()
    }

    /// Everything wrong in what was sent so far, although it was let pass.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.all()
    }

    /// From now on, this goes wrong by chance.
    pub fn set_odds(&self, odds: Odds) {
        self.mishaps.set(odds);
    }

    /// What has gone wrong by chance so far, and how often; the names are the fields of [`Odds`].
    pub fn mishaps(&self) -> Vec<(&'static str, u64)> {
        self.mishaps.counts()
    }

    /// Every REST request so far, as `POST Calls.json`: to see that nothing was sent twice.
    pub fn requests(&self) -> Vec<String> {
        self.carrier.requests()
    }

    /// All calls so far, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        let calls = self.carrier.calls();
        calls.iter().map(|call| call.read(Clone::clone)).collect()
    }

    /// One call.
    pub fn call(&self, sid: &str) -> Option<Call> {
        Some(self.carrier.call(sid)?.read(Clone::clone))
    }

    /// All messages so far, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        self.carrier.messages()
    }

    /// All model sessions so far, oldest first.
    pub fn model_sessions(&self) -> Vec<ModelSession> {
        let sessions = self.model.sessions();
        sessions.iter().map(|session| session.snapshot()).collect()
    }

    /// Connections that the model refused at the handshake, after a loss.
    pub fn refused_connections(&self) -> usize {
        self.model.refused()
    }

    /// Waits until `count` calls were placed, and returns the latest of them.
    pub async fn wait_calls(&self, count: usize) -> Option<Call> {
        reached(self.carrier.placed(), count).await?;
        self.calls().into_iter().nth(count.checked_sub(1)?)
    }

    /// Waits until `met` is true of a call, and returns the call as it was then; `None` for an
    /// unknown call.
    pub async fn wait_call(&self, sid: &str, met: impl FnMut(&Call) -> bool) -> Option<Call> {
        let mut call = self.carrier.call(sid)?.subscribe();
        call.wait_for(met).await.ok().map(|call| call.clone())
    }

    /// Waits until a call is over.
    pub async fn wait_call_over(&self, sid: &str) -> Option<Call> {
        self.wait_call(sid, |call| call.status.is_final()).await
    }

    /// Waits until `met` is true of the model session with this index (0 is the first; it need not
    /// exist yet), and returns it as it was then.
    pub async fn wait_model_session(
        &self,
        index: usize,
        met: impl FnMut(&ModelSession) -> bool,
    ) -> Option<ModelSession> {
        reached(self.model.opened(), index + 1).await?;
        let mut session = self.model.sessions().get(index)?.subscribe();
        session
            .wait_for(met)
            .await
            .ok()
            .map(|session| session.clone())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

async fn reached(mut counter: watch::Receiver<usize>, count: usize) -> Option<()> {
    counter.wait_for(|so_far| *so_far >= count).await.ok()?;
    Some(())
}

/// 32 random hexadecimal digits, as in Twilio's identifiers.
fn hex32() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
