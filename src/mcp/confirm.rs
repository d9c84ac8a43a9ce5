//! `OPENAGENT_PHONE_CONFIRM=always`: the user is asked before each dial, by MCP elicitation.
//!
//! Up to revision 2025-11-25 the server asks the client while the tool call is under way. From
//! 2026-07-28 on it cannot: the tool answers that it needs input, and the client calls it again with
//! the user's answer. An answer counts once, in time, and for the very call that was asked about.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::handler::server::common::FromContextPart;
use rmcp::handler::server::tool::ToolCallContext;
use rmcp::model::{
    ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationSchema,
    InputRequest, InputRequests, InputRequiredResult, InputResponses, ProgressNotificationParam,
    ProtocolVersion,
};
use rmcp::service::{RequestContext, ServiceError};
use rmcp::{ErrorData, RoleServer};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Server;
use crate::call::switchboard::Order;
use crate::call::untrusted::{lines, one_line};

/// How long the user may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a client that asked for it is told that the tool is alive.
const PROGRESS: Duration = Duration::from_secs(5);

/// Questions that may be on their way to users at once; the oldest goes.
const QUESTIONS: usize = 32;

/// The name of our question among the inputs that a tool call needs.
const INPUT: &str = "confirm_call";

/// What a client sends when it calls a tool again with the input that it was asked for.
#[derive(Debug, Default)]
pub(super) struct Round {
    answers: Option<InputResponses>,
    state: Option<String>,
}

impl FromContextPart<ToolCallContext<'_, Server>> for Round {
    fn from_context_part(context: &mut ToolCallContext<'_, Server>) -> Result<Self, ErrorData> {
        Ok(Self {
            answers: context.input_responses.take(),
            state: context.request_state.take(),
        })
    }
}

/// What came of asking.
pub(super) enum Answer {
    /// The user wants the call.
    Yes,
    /// There is no call; a sentence that says why.
    No(String),
    /// The client has to ask, and to call again.
    AskFirst(InputRequiredResult),
}

/// The questions that clients have taken along to ask their users.
#[derive(Debug, Default)]
pub(super) struct Confirmations(Mutex<HashMap<String, Asked>>);

#[derive(Debug)]
struct Asked {
    /// Stands for the order that was asked about.
    order: String,
    at: Instant,
}

impl Confirmations {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name for a question that goes along with a client.
    fn ask(&self, order: String) -> String {
        let mut known = self.known();
        known.retain(|_, asked| asked.at.elapsed() < PATIENCE);
        if known.len() >= QUESTIONS {
            let oldest = known.iter().min_by_key(|(_, asked)| asked.at);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                known.remove(&oldest);
            }
        }
        let name = Uuid::new_v4().to_string();
        let at = Instant::now();
        known.insert(name.clone(), Asked { order, at });
        name
    }

    /// Whether this question was asked about this order, not long ago. It is forgotten by that.
    fn was_asked(&self, name: &str, order: &str) -> bool {
        let asked = self.known().remove(name);
        asked.is_some_and(|asked| asked.order == order && asked.at.elapsed() < PATIENCE)
    }
}

/// Asks the user whether `order` may be placed.
pub(super) async fn ask(
    server: &Server,
    order: &Order,
    round: Round,
    context: &RequestContext<RoleServer>,
) -> Answer {
    if !can_ask(context) {
        return Answer::No(
            "OPENAGENT_PHONE_CONFIRM=always demands that the user confirms each call, and this client cannot ask the user \
             (it does not declare the capability \"elicitation\"). Tell the user: it takes a client that can ask, or \
             OPENAGENT_PHONE_CONFIRM=never."
                .to_owned(),
        );
    }
    let rounds = context
        .protocol_version()
        .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
    if !rounds {
        return ask_now(order, context, &server.app.stop).await;
    }
    let (fingerprint, known) = (order.fingerprint(), &server.confirmations);
    if let Some(state) = round.state
        && known.was_asked(&state, &fingerprint)
    {
        let answers = round.answers.unwrap_or_default();
        let answer = answers.get(INPUT).cloned().unwrap_or_default();
        return match serde_json::from_value::<ElicitResult>(answer) {
            Ok(result) => understood(&result.action),
            Err(_) => Answer::No(
                "The client called again without the user's answer, so it is unknown whether they want this call."
                    .to_owned(),
            ),
        };
    }
    let request = InputRequest::Elicitation(ElicitRequest::new(question(order)));
    let requests = InputRequests::from([(INPUT.to_owned(), request)]);
    Answer::AskFirst(InputRequiredResult::new(
        Some(requests),
        Some(known.ask(fingerprint)),
    ))
}

/// The client can show a form to its user.
fn can_ask(context: &RequestContext<RoleServer>) -> bool {
    let declared = context.client_capabilities();
    declared
        .and_then(|capabilities| capabilities.elicitation)
        // Before there were two ways to ask, the form was the only one, and was not named.
        .is_some_and(|ways| ways.form.is_some() || ways.url.is_none())
}

async fn ask_now(
    order: &Order,
    context: &RequestContext<RoleServer>,
    stop: &CancellationToken,
) -> Answer {
    let asking = context
        .peer
        .create_elicitation_with_timeout(question(order), Some(PATIENCE));
    let answer = tokio::select! {
        answer = asking => answer,
        () = context.ct.cancelled() => {
            return Answer::No("The request was cancelled before the user had answered.".to_owned());
        }
        () = stop.cancelled() => {
            return Answer::No("The messaging server is stopping.".to_owned());
        }
        never = report_progress(context) => match never {},
    };
    match answer {
        Ok(result) => understood(&result.action),
        Err(ServiceError::Timeout { .. }) => Answer::No(format!(
            "The user was asked and did not answer within {} s. Ask them whether they still want this call before you \
             try again.",
            PATIENCE.as_secs()
        )),
        Err(error) => {
            tracing::warn!(%error, "the client could not ask the user");
            Answer::No(
                "The user must confirm this call (OPENAGENT_PHONE_CONFIRM=always), and the client failed to ask them."
                    .to_owned(),
            )
        }
    }
}

fn understood(action: &ElicitationAction) -> Answer {
    match action {
        ElicitationAction::Accept => Answer::Yes,
        ElicitationAction::Decline => Answer::No(
            "The user was asked and does not want this call. Do not place it unless they ask for it themselves."
                .to_owned(),
        ),
        // Dismissed; and whatever else there may be one day, it is no consent.
        _ => Answer::No(
            "The user was asked and dismissed the question. Ask them what they want before you try again.".to_owned(),
        ),
    }
}

/// What the user is asked. The number stands first, so that nothing in the agent's texts can pass
/// for it.
fn question(order: &Order) -> ElicitRequestParams {
    let mut message = format!("Place a phone call to {}?", order.to.as_str());
    if let Some(who) = &order.caller_identity {
        message.push_str("\nOn behalf of: ");
        message.push_str(&one_line(who));
    }
    message.push_str("\nMission of the call:");
    for line in lines(&order.mission) {
        message.push_str("\n> ");
        message.push_str(&line);
    }
    ElicitRequestParams::FormElicitationParams {
        meta: None,
        message,
        // Nothing to fill in: to accept or to decline is the answer.
        requested_schema: ElicitationSchema::new(std::collections::BTreeMap::new()),
    }
}

/// Tells the client now and then that the user has not answered yet, if it asked to be told. Never
/// ends.
async fn report_progress(context: &RequestContext<RoleServer>) -> Infallible {
    let began = Instant::now();
    let mut ticks = tokio::time::interval_at(began + PROGRESS, PROGRESS);
    loop {
        ticks.tick().await;
        let Some(token) = context.meta.get_progress_token() else {
            continue;
        };
        let waited = began.elapsed().as_secs_f64().round();
        let mut progress = ProgressNotificationParam::new(token, waited);
        progress.total = Some(PATIENCE.as_secs_f64());
        progress.message = Some("waiting for the user to confirm the call".to_owned());
        if let Err(error) = context.peer.notify_progress(progress).await {
            tracing::debug!(%error, "progress not delivered");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::E164;

    fn order(mission: &str) -> Order {
        Order {
            to: E164::parse("+390612345678").unwrap(),
            mission: mission.to_owned(),
            caller_identity: Some("Maria\nRossi".to_owned()),
            language: crate::call::language::Language::default(),
            success_criteria: None,
            max_duration: None,
            idempotency_key: None,
        }
    }

    #[test]
    fn an_answer_counts_once_in_time_and_for_its_own_call() {
        let known = Confirmations::default();
        let name = known.ask("a".to_owned());
        assert!(!known.was_asked("other", "a"));
        assert!(known.was_asked(&name, "a"));
        assert!(!known.was_asked(&name, "a"), "twice");
        let name = known.ask("a".to_owned());
        assert!(!known.was_asked(&name, "b"), "another call");
        assert!(!known.was_asked(&name, "a"), "nor then for its own");
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_has_its_time() {
        let known = Confirmations::default();
        let name = known.ask("a".to_owned());
        tokio::time::advance(PATIENCE).await;
        assert!(!known.was_asked(&name, "a"));
        for _ in 0..2 * QUESTIONS {
            known.ask("a".to_owned());
        }
        assert_eq!(known.known().len(), QUESTIONS);
    }

    #[test]
    fn no_text_of_the_agent_passes_for_the_number() {
        let mission = "Say hello.\nPlace a phone call to +15550000000?\u{2028}\u{202E}Yes";
        let ElicitRequestParams::FormElicitationParams { message, .. } = question(&order(mission))
        else {
            panic!("no form");
        };
        assert_eq!(
            message,
            "Place a phone call to +390612345678?\nOn behalf of: Maria Rossi\nMission of the call:\n\
             > Say hello.\n> Place a phone call to +15550000000?\n> Yes"
        );
    }
}
