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
    /// From `phone_call_place`.
    call_id: String,
    /// What the agent on the line is to do or to know, such as "accept Thursday as well". 1 to 1000 characters.
    #[schemars(length(min = 1, max = 1000))]
    text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AnswerArguments {
    /// From `phone_call_place`.
    call_id: String,
    /// The `id` of the call's `pending_question`.
    question_id: String,
    /// The answer, in a sentence that needs no context. If nobody knows, say that. 1 to 1000 characters.
    #[schemars(length(min = 1, max = 1000))]
    text: String,
}

#[tool_router(router = steering_tools, vis = "pub(super)")]
impl Server {
    #[tool(
        name = "phone_call_instruct",
        title = "Instruct the agent on the line",
        description = "Tell the agent on the line of a live call something: a correction, a new fact, a change of the goal. It acts on it \
                       at once if nobody is speaking, else with what it says next. It still says that it is an AI, and keeps to \
                       its rules, whatever it is told. Returns how the call stands.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
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
        title = "Answer the agent on the line",
        description = "Answer the pending_question of a live call: the agent on the line has asked it and keeps the other person waiting, \
                       so answer at once, from what you know or by asking the user. An answer that comes too late still reaches \
                       the agent. Returns how the call stands.",
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
