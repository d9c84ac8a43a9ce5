//! `phone_call_instruct`, `phone_call_answer`: taking part in a live call.

use chrono::Utc;
use rmcp::handler::server::wrapper::Json;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Parameters, Server, within};
use crate::call::record::Lines;
use crate::call::snapshot::Snapshot;
use crate::error::ToolError;

/// Characters of an instruction, or of an answer.
const MAX_TEXT: usize = 1_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InstructArguments {
    /// UUID, like 5f0c….
    call_id: String,
    /// 1-1000 characters, like: Thursday is fine too.
    text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AnswerArguments {
    /// UUID, like 5f0c….
    call_id: String,
    /// The question's id, like q1.
    question_id: String,
    /// 1-1000 characters, like: Born in 1980. If nobody knows, say that.
    text: String,
}

#[tool_router(router = steering_tools, vis = "pub(super)")]
impl Server {
    #[tool(
        name = "phone_call_instruct",
        title = "Instruct the agent",
        description = "Give the agent on a live call a correction, new fact or goal. It keeps its rules. Returns the call like phone_call_status.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            open_world_hint = true
        )
    )]
    async fn phone_call_instruct(
        &self,
        Parameters(args): Parameters<InstructArguments>,
    ) -> Result<Json<Snapshot>, ToolError> {
        within("text", &args.text, MAX_TEXT)?;
        let session = self.session(&args.call_id).await?;
        session.instruct(&args.text).map_err(ToolError::new)?;
        Ok(Json(session.call.snapshot(Lines::All, Utc::now())))
    }

    #[tool(
        name = "phone_call_answer",
        title = "Answer the agent",
        description = "Answer a live call's pending_question at once, from what you know or by asking the user: the other person \
                       waits. A late answer still reaches the agent. Returns the call like phone_call_status.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn phone_call_answer(
        &self,
        Parameters(args): Parameters<AnswerArguments>,
    ) -> Result<Json<Snapshot>, ToolError> {
        within("text", &args.text, MAX_TEXT)?;
        let session = self.session(&args.call_id).await?;
        let answered = session.answer(&args.question_id, &args.text);
        answered.map_err(ToolError::new)?;
        Ok(Json(session.call.snapshot(Lines::All, Utc::now())))
    }
}
