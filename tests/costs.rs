//! What calls cost: the snapshot against a pocket calculator, Twilio's own price, the cap of the day,
//! and what is done where a price is not known.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
// Whole micro-dollars become the nearest double, always the same one.
#![allow(clippy::float_cmp)]

#[path = "support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use openagent_messaging::app::App;
use openagent_messaging::call::snapshot::{Cost, Status};
use openagent_messaging::call::switchboard::PlaceError;
use openagent_messaging::config::Config;
use openagent_messaging::cost::prices::Prices;
use openagent_messaging::cost::{MicroUsd, Unpriced};
use openagent_messaging::safety::budget::OverBudget;
use openagent_messaging::sandbox::{Callee, Options, Step};
use openagent_messaging::store::calls::Filter;
use openagent_messaging::store::limits::Refused;
use serde_json::{Value, json};
use support::{
    CALLEE, Carrier, FROM, Placed, Stage, ended, noise, order, snapshot, soon, until, values,
};
use tokio_util::sync::CancellationToken;

/// A file that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("openagent-costs-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder.join(name))
    }

    fn with(name: &str, text: &str) -> Self {
        let scratch = Self::new(name);
        std::fs::write(&scratch.0, text).unwrap();
        scratch
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

fn usage(text_in: u64, audio_in: u64, cached: (u64, u64), out: (u64, u64)) -> Value {
    json!({
        "total_tokens": text_in + audio_in + out.0 + out.1,
        "input_tokens": text_in + audio_in,
        "output_tokens": out.0 + out.1,
        "input_token_details": {
            "text_tokens": text_in, "audio_tokens": audio_in, "cached_tokens": cached.0 + cached.1,
            "cached_tokens_details": {"text_tokens": cached.0, "audio_tokens": cached.1},
        },
        "output_token_details": {"text_tokens": out.0, "audio_tokens": out.1},
    })
}

/// A response that ends in this status, and what it used.
fn respond(call: &Placed, id: &str, status: &str, usage: &Value) {
    call.model.begin(id);
    call.model.send(&json!({
        "type": "response.done",
        "response": {"id": id, "status": status, "usage": usage},
    }));
}

/// A call whose greeting was heard; it used 1000 tokens of text and spoke 200 of audio.
async fn talking(stage: &mut Stage) -> (Placed, Carrier) {
    let mut call = stage.place().await;
    let greeting = noise(2_000, 1);
    call.model.event("response.create").await;
    call.model.begin("resp_greeting");
    call.model
        .speak("resp_greeting", "item_greeting", &greeting);
    let ids = json!({"response_id": "resp_greeting", "item_id": "item_greeting"});
    for (kind, key, text) in [
        ("response.output_audio.done", "_", ""),
        (
            "response.output_audio_transcript.done",
            "transcript",
            support::GREETING,
        ),
    ] {
        let mut event = ids.clone();
        event["type"] = json!(kind);
        event[key] = json!(text);
        call.model.send(&event);
    }
    let used = usage(1_000, 0, (0, 0), (0, 200));
    call.model.send(&json!({
        "type": "response.done",
        "response": {"id": "resp_greeting", "status": "completed", "usage": used},
    }));
    let mut carrier = stage.connect(&call).await;
    carrier.hear(greeting.len()).await;
    call.model.update("turns").await;
    call.model.confirm();
    until(&call.session, "the disclosure", |now| {
        now.disclosed_at.is_some()
    })
    .await;
    (call, carrier)
}

/// Waits for a cost that does not raise the revision.
async fn cost_of(call: &Placed, what: &str, mut met: impl FnMut(&Cost) -> bool) -> Cost {
    soon(what, async {
        loop {
            if let Some(cost) = snapshot(&call.session).cost
                && met(&cost)
            {
                return cost;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn the_cost_of_a_call_is_live_and_twilios_price_replaces_the_estimate() {
    let mut stage = Stage::start().await;
    let (call, carrier) = talking(&mut stage).await;
    // 1000 x 4 + 200 x 64 = 16800 for the model; a started minute is 14000 + 4000, detection 7500.
    let first = snapshot(&call.session).cost.unwrap();
    let wanted = Cost {
        model_usd: 0.0168,
        carrier_usd: 0.0255,
        total_usd: 0.0423,
        estimated: true,
    };
    assert_eq!(first, wanted);
    // Interrupted: 100 x 4 + 1000 x 0.4 + 40 x 32 + 60 x 0.4 + 5 x 24 + 30 x 64 = 4144.
    let used = usage(1_100, 100, (1_000, 60), (5, 30));
    respond(&call, "resp_1", "cancelled", &used);
    // 2 s of the callee at 4500 a minute: 150.
    call.model.send(&json!({
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": "nobody", "content_index": 0, "transcript": "",
        "usage": {"type": "duration", "seconds": 2.0},
    }));
    // The model is asked nothing else: 16800 + 4144 + 150.
    let live = cost_of(&call, "the second turn", |cost| cost.model_usd > 0.021).await;
    assert_eq!(live.model_usd, 0.021_094);
    assert_eq!(live.total_usd, 0.046_594);
    let all = Filter {
        limit: 9,
        ..Filter::default()
    };
    let listed = stage.board().list(&all);
    assert_eq!(listed.await.unwrap()[0].cost_usd, Some(0.046_594));

    stage.rest.bill("-0.0220");
    carrier.stop();
    soon("the hang-up", stage.board().hang_up(&call.session)).await;
    let end = ended(&call.session).await;
    let refined = until(&call.session, "Twilio's price", |now| {
        now.cost.as_ref().is_some_and(|cost| !cost.estimated)
    })
    .await;
    assert_eq!(refined.cost.unwrap().carrier_usd, 0.022 + 0.004 + 0.0075);
    assert!(refined.revision > end.revision);
    stage.app.shut_down(support::PATIENCE).await;
    let last = snapshot(&call.session);
    assert_eq!(last.revision, refined.revision, "refined once");
    let stored = stage.board().earlier(call.session.call.id).await.unwrap();
    assert_eq!(stored.snapshot.cost, last.cost);
}

#[tokio::test]
async fn what_is_not_told_or_not_known_shows_no_cost() {
    let mut stage = Stage::start().await;
    let (call, _carrier) = talking(&mut stage).await;
    assert!(snapshot(&call.session).cost.is_some());
    respond(&call, "resp_1", "completed", &Value::Null);
    soon("a cost that nobody knows", async {
        while snapshot(&call.session).cost.is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(stage);

    let mut stage = Stage::with(&[("OPENAGENT_PHONE_MODEL", "somebody/else")]).await;
    let warned = stage.app.warnings.join(" ");
    assert!(
        warned.contains("somebody/else") && warned.contains("OPENAGENT_PHONE_PRICES"),
        "{warned}"
    );
    let (call, _carrier) = talking(&mut stage).await;
    assert_eq!(snapshot(&call.session).cost, None);
}

#[tokio::test]
async fn without_a_price_the_cap_is_a_no() {
    let cap = ("OPENAGENT_PHONE_MAX_DAILY_USD", "100");
    let refused = async |settings: &[(&str, &str)], to: &str| {
        let stage = Stage::with(settings).await;
        match stage.board().place(order(to)).await {
            Err(PlaceError::Limit(Refused::OverBudget(OverBudget::Unpriced(what)))) => what,
            other => panic!("{other:?}"),
        }
    };
    let unknown_model = [cap, ("OPENAGENT_PHONE_MODEL", "somebody/else")];
    assert_eq!(refused(&unknown_model, CALLEE).await, Unpriced::Model);
    let italy = [cap, ("OPENAGENT_PHONE_ALLOW_PREFIXES", "+39")];
    assert_eq!(refused(&italy, "+390612345678").await, Unpriced::Voice);
    // With a price, the same call is placed.
    let prices = Scratch::with(
        "prices.toml",
        "[carrier.voice_per_minute]\n\"+39\" = 0.02\n",
    );
    let mut stage = Stage::with(&[
        italy[0],
        italy[1],
        ("OPENAGENT_PHONE_PRICES", prices.path()),
    ])
    .await;
    stage.place_to("+390612345678").await;
    let warned = stage.app.warnings.join(" ");
    assert!(warned.contains("messages to +39"), "{warned}");
    assert!(!warned.contains("calls to"), "{warned}");
}

#[tokio::test]
async fn calls_that_may_exceed_the_day_are_refused_and_what_was_spent_survives() {
    let store = Scratch::new("phone.db");
    // Ten minutes may cost 2.52; one minute 0.53, which fits once beside the first.
    let settings = [
        ("OPENAGENT_PHONE_MAX_DAILY_USD", "3.10"),
        ("OPENAGENT_PHONE_DB", store.path()),
    ];
    let mut stage = Stage::with(&settings).await;
    let (call, carrier) = talking(&mut stage).await;
    let refused = stage.board().place(order(CALLEE)).await.unwrap_err();
    let said = refused.to_string();
    assert!(
        said.contains("$2.52155") && said.contains("$0.57845") && said.contains("$3.10"),
        "{said}"
    );
    let short = openagent_messaging::call::switchboard::Order {
        max_duration: Some(Duration::from_secs(30)),
        ..order(CALLEE)
    };
    let board = stage.board().clone();
    let placing = tokio::spawn(async move { board.place(short).await });
    let mut model = stage.model().await;
    model.configuration().await;
    model.confirm();
    let second = placing.await.unwrap().unwrap().here().unwrap();
    soon("the hang-up", stage.board().hang_up(&second)).await;
    carrier.stop();
    soon("the hang-up", stage.board().hang_up(&call.session)).await;
    stage.app.shut_down(support::PATIENCE).await;
    // 0.0168 for the model and a started minute with the carrier; nobody answered the second.
    let spent = MicroUsd::new(16_800 + 25_500);
    let used = stage.board().used(Utc::now()).await.unwrap();
    assert_eq!(used.cost, spent);
    drop(stage);

    let again = Stage::with(&settings).await;
    assert_eq!(again.board().used(Utc::now()).await.unwrap().cost, spent);
}

#[tokio::test]
async fn a_call_that_reaches_its_share_is_warned_and_ended() {
    let cap = [("OPENAGENT_PHONE_MAX_DAILY_USD", "100")];
    let mut stage = Stage::with(&cap).await;
    let (mut call, _carrier) = talking(&mut stage).await;
    // Ten minutes of the model: 2.147250 + 0.116800; the last 25 s of them are 0.085209.
    respond(
        &call,
        "resp_1",
        "completed",
        &usage(0, 0, (0, 0), (0, 34_300)),
    );
    let told = call.model.event("conversation.item.create").await;
    assert!(told.to_string().contains("20 seconds"), "{told}");
    assert!(!snapshot(&call.session).status.is_final());
    respond(
        &call,
        "resp_2",
        "completed",
        &usage(0, 0, (0, 0), (0, 1_000)),
    );
    let asked = call.model.event("response.create").await;
    assert!(
        asked.to_string().contains("time for this call is up"),
        "{asked}"
    );
    assert_eq!(ended(&call.session).await.status, Status::TimedOut);
    stage.app.shut_down(support::PATIENCE).await;
    let shown = snapshot(&call.session).cost.unwrap();
    let used = stage.board().used(Utc::now()).await.unwrap();
    assert_eq!(used.cost.dollars(), shown.total_usd);
}

#[tokio::test]
async fn without_a_cap_no_call_is_cut_short() {
    let mut stage = Stage::start().await;
    let (call, _carrier) = talking(&mut stage).await;
    respond(
        &call,
        "resp_1",
        "completed",
        &usage(0, 0, (0, 0), (0, 1_000_000)),
    );
    cost_of(&call, "a dear turn", |cost| cost.model_usd > 64.0).await;
    assert_eq!(snapshot(&call.session).status, Status::InProgress);
}

#[tokio::test]
async fn a_whole_call_in_the_sandbox_has_a_price_wherever_it_goes() {
    let callee = Callee::person(vec![Step::say("Hello?"), Step::WaitForever]);
    let options = Options {
        default_callee: callee,
        ..Options::default()
    };
    let cap = values(&[("OPENAGENT_PHONE_MAX_DAILY_USD", "100")]);
    let started = App::start_sandboxed(&cap, options, CancellationToken::new()).await;
    let (app, sandbox) = started.unwrap();
    let board = app.board.as_ref().unwrap();
    let placed = soon("the call", board.place(order("+390612345678"))).await;
    let session = placed.unwrap().here().unwrap();
    until(&session, "the disclosure", |now| now.disclosed_at.is_some()).await;
    let cost = snapshot(&session).cost.unwrap();
    assert!(cost.model_usd > 0.0 && cost.estimated, "{cost:?}");
    soon("the hang-up", board.hang_up(&session)).await;
    app.shut_down(support::PATIENCE).await;
    assert_eq!(sandbox.complaints(), Vec::<String>::new());
    let cost = snapshot(&session).cost.unwrap();
    assert_eq!(
        board.used(Utc::now()).await.unwrap().cost.dollars(),
        cost.total_usd
    );
}

#[tokio::test]
async fn a_price_file_that_cannot_be_used_is_said_before_the_start() {
    let prices = Scratch::with("prices.toml", "[carrier]\nmedia_stream_per_minute = -1\n");
    let settings = [
        ("OPENAGENT_PHONE_PRICES", prices.path()),
        ("TWILIO_ACCOUNT_SID", support::ACCOUNT),
        ("TWILIO_AUTH_TOKEN", support::AUTH_TOKEN),
        ("TWILIO_FROM_NUMBER", FROM),
    ];
    let config = Config::load(&values(&settings)).unwrap();
    let why = App::prices(&config).unwrap_err().to_string();
    for part in [
        "OPENAGENT_PHONE_PRICES",
        prices.path(),
        "media_stream_per_minute",
        "0 or more",
        "line 2",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
}

/// The example of the documentation is a file that works, and its table is the built-in one.
#[test]
fn the_documentation_has_the_prices_of_the_program() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/costs.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks: Vec<&str> = page
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() >= 2, "the built-in table and an example");
    let built_in = Prices::built_in();
    for block in &blocks {
        built_in.clone().with(block).unwrap();
    }
    // All of it, and nothing else.
    let documented = Prices::none().with(blocks[0]).unwrap();
    assert_eq!(documented, built_in);
    assert!(page.contains(openagent_messaging::cost::prices::AS_OF));
}
