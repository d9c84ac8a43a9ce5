//! `phone_call_list`, `phone_call_delete`: calls that are over, also those of earlier runs.

use chrono::{DateTime, Utc};
use rmcp::handler::server::wrapper::Json;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Parameters, Server, call_id, number};
use crate::call::snapshot::Status;
use crate::cost::MicroUsd;
use crate::error::ToolError;
use crate::store::calls::{Filter, Listed};

/// Calls in a list, unless another number is asked for.
const LISTED: u32 = 20;

/// The longest list.
const MOST_LISTED: u32 = 100;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListArguments {
    /// 1-100 calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", extend("default" = 20))]
    limit: Option<u32>,
    /// Only later ones, RFC 3339, like 2026-11-22T17:30:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    after: Option<String>,
    /// Only these, like completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Status")]
    status: Option<Status>,
    /// Only to this one, E.164, like +390612345678.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    to: Option<String>,
}

/// Calls, newest first.
#[derive(Debug, Serialize, JsonSchema)]
struct List {
    /// `phone_call_status` shows one in full.
    #[schemars(extend("x-listed" = true))]
    calls: Vec<Listed>,
    /// What these calls cost together, in US dollars; those whose cost is not known are left out.
    /// Absent if none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "f64")]
    total_cost_usd: Option<f64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteArguments {
    /// UUID, like 5f0c….
    call_id: String,
}

/// A call that was erased.
#[derive(Debug, Serialize, JsonSchema)]
struct Deleted {
    /// Gone for good.
    #[schemars(extend("x-listed" = true))]
    deleted: bool,
}

#[tool_router(router = history_tools, vis = "pub(super)")]
impl Server {
    #[tool(
        name = "phone_call_list",
        title = "List phone calls",
        description = "Calls placed, newest first: to find a call_id or see who was called already.",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    async fn phone_call_list(
        &self,
        Parameters(args): Parameters<ListArguments>,
    ) -> Result<Json<List>, ToolError> {
        let limit = match args.limit {
            None => LISTED,
            Some(limit @ 1..=MOST_LISTED) => limit,
            Some(_) => return Err(ToolError::new("limit must be between 1 and 100.")),
        };
        let to = args.to.as_deref().map(number).transpose()?;
        let filter = Filter {
            limit,
            after: args.after.as_deref().map(moment).transpose()?,
            status: args.status,
            to: to.map(|to| to.as_str().to_owned()),
        };
        let calls = self.board()?.list(&filter).await;
        let calls = calls.map_err(ToolError::new)?;
        let known = calls.iter().filter_map(|call| call.cost_usd);
        let known: Vec<MicroUsd> = known.filter_map(MicroUsd::from_dollars).collect();
        let total = (!known.is_empty()).then(|| known.into_iter().sum::<MicroUsd>());
        Ok(Json(List {
            calls,
            total_cost_usd: total.map(MicroUsd::dollars),
        }))
    }

    #[tool(
        name = "phone_call_delete",
        title = "Delete a phone call",
        description = "Erase a finished call for good, only when the user asks.",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            open_world_hint = false
        )
    )]
    async fn phone_call_delete(
        &self,
        Parameters(args): Parameters<DeleteArguments>,
    ) -> Result<Json<Deleted>, ToolError> {
        let erased = self.board()?.erase(call_id(&args.call_id)?).await;
        erased.map_err(ToolError::new)?;
        Ok(Json(Deleted { deleted: true }))
    }
}

fn moment(text: &str) -> Result<DateTime<Utc>, ToolError> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|_| {
            ToolError::new(format_args!(
                "after: {text:?} is no moment in RFC 3339 form; write it such as 2026-11-22T17:30:00Z."
            ))
        })
}
