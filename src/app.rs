//! Puts the parts together, as the configuration wants them, once at start.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::call::switchboard::Switchboard;
use crate::channel::Channels;
use crate::config::{Config, ConfigError, Sandboxed, Twilio, Values};
use crate::cost::prices::{Prices, PricesError};
use crate::cost::{MicroUsd, check};
use crate::metrics::{self, Metrics};
use crate::safety::Rules;
use crate::safety::budget::Limits;
use crate::safety::destination::Destinations;
use crate::sandbox::{Options, Sandbox};
use crate::server;
use crate::sms::Messenger;
use crate::store::{Place, Store};
use crate::twilio::rest::{Account, Client};

/// Without a file, finished calls are remembered for this long.
const DAY: Duration = Duration::from_secs(86_400);

/// For telling other processes on the store that this one is gone.
const LEAVING: Duration = Duration::from_millis(300);

/// What the tools work with.
#[derive(Debug)]
pub struct App {
    /// The configuration.
    pub config: Arc<Config>,
    /// Text messages, if a Twilio account is set up.
    pub messenger: Option<Arc<Messenger>>,
    /// Phone calls, if a Twilio account is set up.
    pub board: Option<Arc<Switchboard>>,
    /// Telegram, Discord and WhatsApp, as far as they are set up.
    pub channels: Channels,
    /// The local port of the webhook server, once it is bound.
    pub local_port: Option<u16>,
    /// The port of the metrics, if they are served.
    pub metrics_port: Option<u16>,
    /// What the user should know, for `status`.
    pub warnings: Vec<String>,
    /// Cancelled when the program stops: whoever waits answers at once.
    pub stop: CancellationToken,
    /// What runs for as long as the program does.
    tasks: Mutex<JoinSet<()>>,
    /// One of them failed.
    broken: Arc<AtomicBool>,
    store: Option<Arc<Store>>,
    /// Cancelled when the last line is hung up: Twilio is listened to until then.
    serving: CancellationToken,
}

/// Why the embedded providers could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No port, most likely.
    #[error("The sandbox could not be started: {0}")]
    Io(#[from] std::io::Error),
    /// The price file is wrong.
    #[error(transparent)]
    Prices(#[from] PricesError),
}

impl App {
    /// Starts everything but the face: binds the webhook port if calls are configured. A port that
    /// is taken leaves the rest working, and so does a price file that cannot be used, which
    /// [`prices`](Self::prices) finds before.
    pub async fn start(config: Config, stop: CancellationToken) -> Arc<Self> {
        let calls = config.twilio.is_some() && config.voice_missing_settings().is_empty();
        let address = SocketAddr::new(config.phone.bind, config.phone.port);
        let listener = if calls {
            Some(server::bind(address).await)
        } else {
            None
        };
        let prices = Self::prices(&config);
        Self::on(config, prices, listener, stop)
    }

    /// The prices that a start with `config` would use.
    ///
    /// # Errors
    ///
    /// [`PricesError`]: the user's file is wrong.
    pub fn prices(config: &Config) -> Result<Prices, PricesError> {
        Prices::built_in().with_file(config.phone.prices.as_deref())
    }

    /// Checks the settings that a sandboxed start would use, without starting anything.
    ///
    /// # Errors
    ///
    /// Those of [`Config::load`].
    pub fn check_sandboxed(values: &Values) -> Result<(), ConfigError> {
        let nothing = Sandboxed {
            account_sid: "AC0",
            auth_token: "0",
            from: "+15005550006",
            openai_key: "0",
            twilio_base_url: "http://127.0.0.1",
            openai_base_url: "http://127.0.0.1",
            public_url: None,
        };
        Config::for_sandbox(values, &nothing).map(|_| ())
    }

    /// The same, with the embedded providers of `options` in place of the real ones. They run until
    /// the returned sandbox is dropped.
    ///
    /// # Errors
    ///
    /// [`SandboxError`].
    pub async fn start_sandboxed(
        values: &Values,
        options: Options,
        stop: CancellationToken,
    ) -> Result<(Arc<Self>, Sandbox), SandboxError> {
        let sandbox = Sandbox::start(options).await?;
        let loopback = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let public_url = format!("http://{}", loopback.local_addr()?);
        let mut config = Config::for_sandbox(
            values,
            &Sandboxed {
                account_sid: sandbox.account_sid(),
                auth_token: sandbox.auth_token(),
                from: sandbox.from_number(),
                openai_key: sandbox.openai_key(),
                twilio_base_url: &sandbox.carrier_url(),
                openai_base_url: &sandbox.model_url(),
                public_url: Some(&public_url),
            },
        )?;
        config.channels = sandbox.channels()?;
        let prices = Prices::of_sandbox().with_file(config.phone.prices.as_deref())?;
        let app = Self::on(config, Ok(prices), Some(Ok(loopback)), stop);
        Ok((app, sandbox))
    }

    fn on(
        config: Config,
        prices: Result<Prices, PricesError>,
        listener: Option<Result<TcpListener, String>>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let config = Arc::new(config);
        let mut warnings = warnings(&config);
        let prices = usable(prices, &config, &mut warnings);
        let prices = Arc::new(prices);
        let mut app = Self {
            messenger: None,
            board: None,
            channels: Channels::new(&config.channels, &stop),
            local_port: None,
            metrics_port: None,
            warnings,
            stop: stop.clone(),
            tasks: Mutex::default(),
            broken: Arc::default(),
            store: None,
            serving: CancellationToken::new(),
            config: Arc::clone(&config),
        };
        let Some(twilio) = &config.twilio else {
            return Arc::new(app);
        };
        let client = client(twilio);
        let phone = &config.phone;
        let destinations = Destinations {
            allow: phone.allow.clone(),
            deny: phone.deny.clone(),
            own: twilio.from.clone(),
            admit_unlisted: phone.admit_unlisted,
        };
        let limits = Limits {
            daily: phone.max_daily,
            daily_calls_per_number: phone.max_daily_calls_per_number,
            daily_sms: phone.max_daily_sms,
            concurrent: phone.max_concurrent,
            daily_cost: phone.max_daily_usd.map(MicroUsd::new),
        };
        let rules = Arc::new(Rules {
            destinations,
            limits,
        });
        let place = phone.db.clone().map_or(Place::Memory, Place::File);
        let store = Arc::new(Store::new(place));
        let (listener, missing) = match listener {
            Some(Ok(listener)) => (Some(listener), Vec::new()),
            Some(Err(why)) => (None, vec![why]),
            None => (None, Vec::new()),
        };
        let board = Switchboard::new(
            Arc::clone(&config),
            twilio.from.clone(),
            client.clone(),
            Arc::clone(&rules),
            Arc::clone(&store),
            missing,
            stop,
        );
        let metrics = Arc::new(Metrics::default());
        client.measured(Arc::clone(&metrics));
        let board = board
            .with_prices(Arc::clone(&prices))
            .with_metrics(Arc::clone(&metrics));
        let board = Arc::new(board);
        if let Some(address) = phone.metrics {
            app.serve_metrics(address, &board);
        }
        if let (Some(listener), Some(public_url)) = (listener, &phone.public_url) {
            app.local_port = listener.local_addr().ok().map(|address| address.port());
            tracing::info!(port = app.local_port, "webhook server is listening");
            let serving = server::serve(
                listener,
                Arc::clone(&board),
                twilio.auth_token.clone(),
                public_url.clone(),
                app.serving.clone(),
            );
            app.keep_up("webhook server", serving);
        }
        let keeper = Arc::clone(&board);
        app.keep_up("journal", async move { keeper.keep_journal().await });
        let keep_for = if store.is_shared() {
            DAY * phone.retention_days
        } else {
            DAY
        };
        app.keep_up("watch", Arc::clone(&board).keep_watch(keep_for));
        app.store = Some(Arc::clone(&store));
        let messenger = Messenger::new(
            client,
            twilio.from.clone(),
            rules,
            Arc::clone(&store),
            prices,
        );
        app.messenger = Some(Arc::new(messenger.with_metrics(metrics)));
        app.board = Some(board);
        Arc::new(app)
    }

    /// An address that is taken leaves everything else working.
    fn serve_metrics(&mut self, address: SocketAddr, board: &Arc<Switchboard>) {
        match metrics::bind(address) {
            Ok(listener) => {
                self.metrics_port = listener.local_addr().ok().map(|address| address.port());
                let (board, serving) = (Arc::clone(board), self.serving.clone());
                self.keep_up("metrics", metrics::serve(listener, board, serving));
            }
            Err(why) => self.warnings.push(why),
        }
    }

    /// Runs `work` until the program ends. Should it fail, the program stops in good order: without
    /// it, calls would be neither heard nor written down.
    pub(crate) fn keep_up(
        &self,
        what: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let (stop, broken) = (self.stop.clone(), Arc::clone(&self.broken));
        let guarded = async move {
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                tracing::error!(what, "an internal error; stopping");
                broken.store(true, Ordering::Relaxed);
                stop.cancel();
            }
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(guarded);
    }

    /// Something failed without which the program cannot go on.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Hangs up whatever is live, lets messages under way arrive, writes everything down, and stops
    /// the server, all in no more than `patience`.
    pub async fn shut_down(&self, patience: Duration) {
        self.stop.cancel();
        let patience = patience.saturating_sub(LEAVING);
        let calls = async {
            if let Some(board) = &self.board {
                board.shut_down(patience).await;
            }
        };
        let messages = async {
            if let Some(messenger) = &self.messenger {
                messenger.shut_down(patience).await;
            }
        };
        let channels = self.channels.shut_down(patience);
        tokio::join!(calls, messages, channels);
        // The server was up meanwhile: Twilio's callbacks tell that a line is over.
        self.serving.cancel();
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .abort_all();
        if let Some(store) = &self.store {
            let _ = tokio::time::timeout(LEAVING, Box::pin(store.leave())).await;
        }
    }
}

/// A client of the configured account.
pub(crate) fn client(twilio: &Twilio) -> Client {
    Client::new(Account {
        account_sid: twilio.account_sid.clone(),
        auth_token: twilio.auth_token.clone(),
        api_key: twilio.api_key.clone(),
        base_url: twilio.base_url.clone(),
    })
}

/// What the user should know about the configuration.
fn warnings(config: &Config) -> Vec<String> {
    let placeholders = config.placeholders.iter().map(|name| {
        format!(
            "{name} arrived as an unexpanded placeholder and counts as unset: define it where the \
             host is started."
        )
    });
    let phone = &config.phone;
    let nobody = config.twilio.is_some() && phone.allow.is_empty() && !phone.admit_unlisted;
    let nobody = nobody.then(|| {
        "OPENAGENT_PHONE_ALLOW_PREFIXES is empty, so no number may be called or written to.".into()
    });
    placeholders.chain(nobody).collect()
}

/// The prices, and what the user should know about them: those of a file that cannot be used are
/// none, because nobody knows what they replace.
fn usable(
    prices: Result<Prices, PricesError>,
    config: &Config,
    warnings: &mut Vec<String>,
) -> Prices {
    let prices = prices.unwrap_or_else(|error| {
        warnings.push(format!("{error} Until then no price is known."));
        Prices::none()
    });
    if config.twilio.is_some() {
        warnings.extend(check::gaps(config, &prices));
    }
    prices
}
