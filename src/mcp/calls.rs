//! `phone_call_place`, `phone_call_status`, `phone_call_hangup`.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use rmcp::RoleServer;
use rmcp::handler::server::tool::{IntoCallToolResult as _, schema_for_output};
use rmcp::handler::server::wrapper::Json;
use rmcp::model::{CallToolResponse, ProgressNotificationParam};
use rmcp::service::RequestContext;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use super::confirm::{self, Answer, Round};
use super::{Parameters, Server, key, number, within};
use crate::call::language::Language;
use crate::call::record::{Call, FIRST_REVISION, Lines, Revisions, hint};
use crate::call::session::Session;
use crate::call::snapshot::{Snapshot, Status};
use crate::call::switchboard::{self, Order, Switchboard, Unconfirmed};
use crate::error::ToolError;
use crate::store::calls::StoredCall;

/// Characters of a mission.
const MAX_MISSION: usize = 4_000;

/// Characters of the other texts of an order.
const MAX_DETAIL: usize = 1_000;

/// A wait ends by itself after this, unless another time is asked for: many hosts give a tool 60 s.
const WAIT: Duration = Duration::from_secs(30);

/// The longest wait.
const LONGEST_WAIT: u64 = 50;

/// How often a waiting tool reports that it is alive: some hosts reset their own timer by it.
const PROGRESS: Duration = Duration::from_secs(5);

/// Hanging up is certain within this time.
const HANG_UP: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PlaceArguments {
    /// E.164, like +390612345678.
    to: String,
    /// Goal and every fact needed (names, dates, alternatives, limits): the agent knows nothing else.
    /// 1-4000 characters, like: Move Maria Rossi's appointment to Tuesday morning.
    mission: String,
    /// On whose behalf, like Maria Rossi; up to 1000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    caller_identity: Option<String>,
    /// BCP 47, like it-IT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("default" = "en-US"))]
    language: Option<String>,
    /// Up to 1000 characters, like: a new date is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    success_criteria: Option<String>,
    /// Seconds, like 300; up to the configured maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    max_duration_seconds: Option<u64>,
    /// Like a UUID; the same never dials twice in 24 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    idempotency_key: Option<String>,
}

/// A call that was placed.
#[derive(Debug, Serialize, JsonSchema)]
struct Placed {
    /// Names the call.
    #[schemars(extend("x-listed" = true))]
    call_id: String,
    /// Where it stands.
    status: Status,
    /// Twilio's id (CA…).
    twilio_sid: Option<String>,
    /// The cap on its duration, as granted.
    max_duration_seconds: u64,
    /// Pass it as since.
    #[schemars(extend("x-listed" = true))]
    revision: u64,
    /// What to do next.
    #[schemars(extend("x-listed" = true))]
    hint: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StatusArguments {
    /// UUID, like 5f0c….
    call_id: String,
    /// Wait for a change.
    #[serde(default)]
    wait: bool,
    /// Revision seen, like 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    since: Option<u64>,
    /// 1-50 s, like 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64", extend("default" = 30))]
    timeout_seconds: Option<u64>,
    /// What ends the wait; attention: a new status, question, error or end.
    #[serde(default)]
    wake_on: WakeOn,
    /// Which lines; new: those after since.
    #[serde(default)]
    transcript: Transcript,
}

/// What ends a wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum WakeOn {
    #[default]
    Any,
    Attention,
    Final,
}

/// Which lines to return.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Transcript {
    #[default]
    Full,
    New,
    None,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HangUpArguments {
    /// UUID, like 5f0c….
    call_id: String,
}

#[tool_router(router = call_tools, vis = "pub(super)")]
impl Server {
    #[tool(
        name = "phone_call_place",
        title = "Place a phone call",
        description = "Have an AI hold a phone call for the user. It says at once that it is an AI and for whom it calls. Returns \
                       while dialling; follow with phone_call_status. Only calls the user asked for, to allowed numbers.",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            open_world_hint = true
        ),
        output_schema = schema_for_output::<Placed>()
    )]
    async fn phone_call_place(
        &self,
        Parameters(args): Parameters<PlaceArguments>,
        round: Round,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ToolError> {
        within("mission", &args.mission, MAX_MISSION)?;
        for (name, text) in [
            ("caller_identity", &args.caller_identity),
            ("success_criteria", &args.success_criteria),
        ] {
            if let Some(text) = text {
                within(name, text, MAX_DETAIL)?;
            }
        }
        key(args.idempotency_key.as_deref())?;
        if args
            .max_duration_seconds
            .is_some_and(|seconds| seconds == 0)
        {
            return Err(ToolError::new(
                "max_duration_seconds must be at least 1; leave it out for the configured maximum.",
            ));
        }
        let order = Order {
            to: number(&args.to)?,
            mission: args.mission,
            caller_identity: args.caller_identity,
            language: match &args.language {
                Some(tag) => tag.parse().map_err(ToolError::new)?,
                None => Language::default(),
            },
            success_criteria: args.success_criteria,
            max_duration: args.max_duration_seconds.map(Duration::from_secs),
            idempotency_key: args.idempotency_key,
        };
        let mut ask_first = None;
        let confirmed = async {
            match confirm::ask(self, &order, round, &context).await {
                Answer::Yes => Ok(()),
                Answer::No(why) => Err(Unconfirmed(why)),
                Answer::AskFirst(question) => {
                    ask_first = Some(question);
                    Err(Unconfirmed(String::new()))
                }
            }
        };
        let placing = self.board()?.place_if(order.clone(), confirmed);
        let placed = Box::pin(placing).await;
        if let Some(question) = ask_first {
            return Ok(question.into());
        }
        let placed = placed.map_err(ToolError::new)?;
        let is_new = matches!(placed, switchboard::Placed::Now(_));
        let (snapshot, max_duration) = match placed {
            switchboard::Placed::Now(session) | switchboard::Placed::Before(session) => (
                session.call.snapshot(Lines::None, Utc::now()),
                session.call.brief.max_duration,
            ),
            switchboard::Placed::Elsewhere(call) => (call.snapshot, call.max_duration),
        };
        let placed = |status, revision, hint| Placed {
            call_id: snapshot.call_id,
            status,
            twilio_sid: snapshot.twilio_sid,
            max_duration_seconds: max_duration.as_secs(),
            revision,
            hint,
        };
        // What happened since the call was placed, the agent learns by following it from there. A
        // repeated request shows the first call as it stands by now.
        let placed = Json(if is_new {
            placed(
                Status::Initiated,
                FIRST_REVISION,
                hint(Status::Initiated, FIRST_REVISION),
            )
        } else {
            placed(snapshot.status, snapshot.revision, snapshot.hint)
        });
        placed.into_call_tool_result().map_err(ToolError::new)
    }

    #[tool(
        name = "phone_call_status",
        title = "Follow a phone call",
        description = "How a call stands. With wait: true and since: the last revision, returns on the next change, or unchanged after \
                       timeout_seconds; repeat until status is final.",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    async fn phone_call_status(
        &self,
        Parameters(args): Parameters<StatusArguments>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<Snapshot>, ToolError> {
        let timeout = match args.timeout_seconds {
            None => WAIT,
            Some(seconds @ 1..=LONGEST_WAIT) => Duration::from_secs(seconds),
            Some(_) => return Err(ToolError::new("timeout_seconds must be between 1 and 50.")),
        };
        let session = match self.find(&args.call_id)? {
            Found::Here(session) => session,
            Found::Elsewhere(id) => return self.earlier(id, &args, timeout, &context).await,
        };
        let call = &session.call;
        let lines = match (args.transcript, args.since) {
            (Transcript::None, _) => Lines::None,
            (Transcript::New, Some(since)) => Lines::After(since),
            // What is new depends on what was there when the wait began.
            (Transcript::New, None) if args.wait => Lines::After(call.watch().borrow().latest),
            (Transcript::New, None) | (Transcript::Full, _) => Lines::All,
        };
        if args.wait {
            self.wait(call, args.since, args.wake_on, timeout, &context)
                .await;
        }
        Ok(Json(call.snapshot(lines, Utc::now())))
    }

    #[tool(
        name = "phone_call_hangup",
        title = "Hang up a phone call",
        description = "End a call now, at any stage, without a goodbye. Returns the final call like phone_call_status.",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn phone_call_hangup(
        &self,
        Parameters(args): Parameters<HangUpArguments>,
    ) -> Result<Json<Snapshot>, ToolError> {
        let session = match self.find(&args.call_id)? {
            Found::Here(session) => session,
            Found::Elsewhere(id) => {
                let ended = self.board()?.hang_up_earlier(id, HANG_UP).await;
                return Ok(Json(ended.map_err(ToolError::new)?.snapshot));
            }
        };
        if tokio::time::timeout(HANG_UP, self.board()?.hang_up(&session))
            .await
            .is_err()
        {
            return Err(ToolError::new(
                "The call does not end as it should. Try once more; it ends by itself at its maximum duration.",
            ));
        }
        Ok(Json(session.call.snapshot(Lines::All, Utc::now())))
    }
}

/// Where a call is known.
enum Found {
    /// In this process.
    Here(Arc<Session>),
    /// In the store, perhaps.
    Elsewhere(Uuid),
}

impl Server {
    pub(super) fn board(&self) -> Result<&Arc<Switchboard>, ToolError> {
        self.app
            .board
            .as_ref()
            .ok_or_else(|| ToolError::new("Phone calls are not set up: see status."))
    }

    /// The call that the agent names, which must be one of this process.
    pub(super) async fn session(&self, call_id: &str) -> Result<Arc<Session>, ToolError> {
        match self.find(call_id)? {
            Found::Here(session) => Ok(session),
            Found::Elsewhere(id) => Err(match self.board()?.earlier(id).await {
                Ok(_) => ToolError::new(
                    "This call is over, or another run of the server holds it: phone_call_status shows how it stands.",
                ),
                Err(error) => ToolError::new(error),
            }),
        }
    }

    fn find(&self, call_id: &str) -> Result<Found, ToolError> {
        let id = super::call_id(call_id)?;
        let here = self.board()?.session(id);
        Ok(here.map_or(Found::Elsewhere(id), Found::Here))
    }

    /// The snapshot of a call that this process does not hold; one of another process may still be
    /// live, and is waited for as well.
    async fn earlier(
        &self,
        id: Uuid,
        args: &StatusArguments,
        timeout: Duration,
        context: &RequestContext<RoleServer>,
    ) -> Result<Json<Snapshot>, ToolError> {
        let board = self.board()?;
        let first = board.earlier(id).await.map_err(ToolError::new)?;
        let (seen, status) = (
            args.since.unwrap_or(first.snapshot.revision),
            first.snapshot.status,
        );
        let woken = |call: &StoredCall| match args.wake_on {
            WakeOn::Any => call.snapshot.revision > seen,
            WakeOn::Attention => call.snapshot.status != status,
            WakeOn::Final => false,
        };
        let patience = if args.wait { timeout } else { Duration::ZERO };
        let mut snapshot = tokio::select! {
            call = board.earlier_once(id, patience, woken) => call.map_err(ToolError::new)?.snapshot,
            () = context.ct.cancelled() => first.snapshot,
        };
        // Which of its lines are new is not written down, so they are all shown.
        if args.transcript == Transcript::None {
            snapshot.transcript = Vec::new();
        }
        Ok(Json(snapshot))
    }

    /// Waits until the call changes in the way that is asked for; also until the time is up, the
    /// request is cancelled, or the program stops.
    async fn wait(
        &self,
        call: &Call,
        since: Option<u64>,
        wake_on: WakeOn,
        timeout: Duration,
        context: &RequestContext<RoleServer>,
    ) {
        let mut watch = call.watch();
        let since = since.unwrap_or(watch.borrow().latest);
        let woken = |now: &Revisions| {
            now.is_final
                || match wake_on {
                    WakeOn::Any => now.latest > since,
                    WakeOn::Attention => now.attention > since,
                    WakeOn::Final => false,
                }
        };
        tokio::select! {
            () = async { drop(watch.wait_for(woken).await) } => {}
            () = tokio::time::sleep(timeout) => {}
            () = context.ct.cancelled() => {}
            () = self.app.stop.cancelled() => {}
            // A client that does not read its progress is waited for no longer than that.
            () = report_progress(call, timeout, context) => {}
        }
    }
}

/// Tells the client now and then that the wait goes on, if it asked to be told. Never ends.
async fn report_progress(call: &Call, timeout: Duration, context: &RequestContext<RoleServer>) {
    let started = Instant::now();
    let mut ticks = tokio::time::interval_at(started + PROGRESS, PROGRESS);
    loop {
        ticks.tick().await;
        report(call, started, timeout, context).await;
    }
}

async fn report(
    call: &Call,
    started: Instant,
    timeout: Duration,
    context: &RequestContext<RoleServer>,
) {
    let Some(token) = context.meta.get_progress_token() else {
        return;
    };
    let mut progress =
        ProgressNotificationParam::new(token, started.elapsed().as_secs_f64().round());
    progress.total = Some(timeout.as_secs_f64());
    let seconds = call.duration(Utc::now()).as_secs();
    progress.message = Some(match call.status() {
        Status::InProgress => format!("in conversation for {seconds} s"),
        _ => "calling".to_owned(),
    });
    if let Err(error) = context.peer.notify_progress(progress).await {
        tracing::debug!(%error, "progress not delivered");
    }
}
