//! Calls as MCP resources: `call://{id}` is a snapshot, `call://{id}/transcript` plain text. A client
//! that subscribes to one of a live call is told when it has changed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use futures_util::future::join_all;
use rmcp::model::{
    ListResourceTemplatesResult, ListResourcesResult, ReadResourceResult, Resource,
    ResourceContents, ResourceTemplate, ResourceUpdatedNotificationParam,
};
use rmcp::service::{SubscriptionContext, SubscriptionSink};
use rmcp::{ErrorData, Peer, RoleServer};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Server;
use crate::call::record::{Lines, Revisions};
use crate::call::session::Session;
use crate::call::snapshot::{Role, Snapshot};
use crate::store::calls::Filter;

/// Calls in the list of resources; the template reaches all others.
const LISTED: u32 = 20;

/// Between two notifications about one resource: a transcript grows by the word.
const PACE: Duration = Duration::from_millis(250);

/// A call may still change for this long after its end: a last word, the model's verdict.
const AFTERMATH: Duration = Duration::from_secs(10);

/// Resources that one client may be subscribed to.
const SUBSCRIPTIONS: usize = 100;

/// What a URI stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Address {
    Call(Uuid),
    Transcript(Uuid),
}

impl Address {
    fn parse(uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix("call://")?;
        match rest.strip_suffix("/transcript") {
            Some(id) => Some(Self::Transcript(Uuid::try_parse(id).ok()?)),
            None => Some(Self::Call(Uuid::try_parse(rest).ok()?)),
        }
    }

    fn id(self) -> Uuid {
        match self {
            Self::Call(id) | Self::Transcript(id) => id,
        }
    }
}

/// The subscriptions of a client that speaks a protocol older than 2026-07-28, by their URI.
#[derive(Debug, Clone, Default)]
pub(super) struct Subscriptions(Arc<Mutex<HashMap<String, JoinHandle<()>>>>);

impl Subscriptions {
    /// Begins one, unless there are too many; one to the same URI is replaced.
    fn begin(&self, uri: String, telling: impl Future<Output = ()> + Send + 'static) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, told| !told.is_finished());
        if known.len() >= SUBSCRIPTIONS && !known.contains_key(&uri) {
            return false;
        }
        if let Some(before) = known.insert(uri, tokio::spawn(telling)) {
            before.abort();
        }
        true
    }

    fn end(&self, uri: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = known.remove(uri) {
            told.abort();
        }
    }
}

impl Server {
    pub(super) async fn resources(&self) -> Result<ListResourcesResult, ErrorData> {
        let Ok(board) = self.board() else {
            return Ok(ListResourcesResult::default());
        };
        let filter = Filter {
            limit: LISTED,
            ..Filter::default()
        };
        let calls = board.list(&filter).await;
        let calls = calls.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        let resources = calls.into_iter().flat_map(|call| {
            let (id, when) = (call.call_id, call.started_at.format("%Y-%m-%d %H:%M"));
            [
                Resource::new(format!("call://{id}"), format!("call {id}"))
                    .with_title(format!("Call to {} on {when} UTC", call.to))
                    .with_mime_type("application/json"),
                Resource::new(
                    format!("call://{id}/transcript"),
                    format!("transcript of call {id}"),
                )
                .with_title(format!(
                    "Transcript of the call to {} on {when} UTC",
                    call.to
                ))
                .with_mime_type("text/plain"),
            ]
        });
        Ok(ListResourcesResult::with_all_items(resources.collect()))
    }

    pub(super) fn resource_templates(&self) -> ListResourceTemplatesResult {
        if self.app.board.is_none() {
            return ListResourceTemplatesResult::default();
        }
        ListResourceTemplatesResult::with_all_items(vec![
            ResourceTemplate::new("call://{call_id}", "call")
                .with_title("A phone call")
                .with_description("How a call stands: what phone_call_status returns.")
                .with_mime_type("application/json"),
            ResourceTemplate::new("call://{call_id}/transcript", "transcript")
                .with_title("The transcript of a phone call")
                .with_description("What was said and heard, one line a turn.")
                .with_mime_type("text/plain"),
        ])
    }

    pub(super) async fn resource(&self, uri: &str) -> Result<ReadResourceResult, ErrorData> {
        let address = Address::parse(uri).ok_or_else(unknown)?;
        let board = self.board().map_err(|_| unknown())?;
        let snapshot = if let Some(here) = board.session(address.id()) {
            here.call.snapshot(Lines::All, Utc::now())
        } else {
            let earlier = board.earlier(address.id()).await;
            earlier.map_err(|_| unknown())?.snapshot
        };
        let contents = match address {
            Address::Call(_) => {
                let json = serde_json::to_string_pretty(&snapshot)
                    .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
                ResourceContents::text(json, uri).with_mime_type("application/json")
            }
            Address::Transcript(_) => ResourceContents::text(transcript(&snapshot), uri),
        };
        Ok(ReadResourceResult::new(vec![contents]))
    }

    /// The call behind `uri`, if it is one that can still change.
    fn changing(&self, uri: &str) -> Option<Arc<Session>> {
        let id = Address::parse(uri)?.id();
        self.app.board.as_ref()?.session(id)
    }

    /// Begins to tell the client of changes of one resource.
    pub(super) async fn subscribe_to(
        &self,
        uri: String,
        peer: Peer<RoleServer>,
    ) -> Result<(), ErrorData> {
        let Some(session) = self.changing(&uri) else {
            let address = Address::parse(&uri).ok_or_else(unknown)?;
            let board = self.board().map_err(|_| unknown())?;
            let call = board.earlier(address.id()).await.map_err(|_| unknown())?;
            // What is over does not change any more: there is nothing to be told of.
            return if call.snapshot.status.is_final() {
                Ok(())
            } else {
                let why =
                    "Another run of the server holds this call: follow it with phone_call_status.";
                Err(ErrorData::invalid_request(why, None))
            };
        };
        let telling = tell_changes(session, Listener::Peer(peer, uri.clone()));
        if self.subscriptions.begin(uri, telling) {
            Ok(())
        } else {
            let why = "There are too many subscriptions: end one first.";
            Err(ErrorData::invalid_request(why, None))
        }
    }

    pub(super) fn unsubscribe_from(&self, uri: &str) {
        self.subscriptions.end(uri);
    }

    /// Tells the client of changes of the resources that it listens to, until it has enough.
    pub(super) async fn listen_to(&self, context: &SubscriptionContext) {
        let uris = context.accepted().resource_subscriptions.iter().flatten();
        let telling = uris.take(SUBSCRIPTIONS).filter_map(|uri| {
            let listener = Listener::Sink(context.sink().clone(), uri.clone());
            Some(tell_changes(self.changing(uri)?, listener))
        });
        let telling = join_all(telling);
        tokio::select! {
            () = async {
                telling.await;
                std::future::pending::<()>().await;
            } => {}
            () = context.cancelled() => {}
            () = self.app.stop.cancelled() => {}
        }
    }
}

/// Without the URI: the library logs the errors of requests.
fn unknown() -> ErrorData {
    let why =
        "There is no such resource: resources/list names the latest calls, phone_call_list others.";
    ErrorData::resource_not_found(why, None)
}

/// Who is told of changes of the resource that goes with it.
enum Listener {
    /// A client that speaks a protocol older than 2026-07-28.
    Peer(Peer<RoleServer>, String),
    /// One that listens.
    Sink(SubscriptionSink, String),
}

impl Listener {
    /// Returns whether it goes on listening.
    async fn tell(&self) -> bool {
        match self {
            Self::Peer(peer, uri) => {
                let what = ResourceUpdatedNotificationParam::new(uri);
                peer.notify_resource_updated(what).await.is_ok()
            }
            Self::Sink(sink, uri) => sink.notify_resource_updated(uri).await.is_ok(),
        }
    }
}

/// Tells of each change of the call, until nobody listens or the call is over.
async fn tell_changes(session: Arc<Session>, listener: Listener) {
    let mut watch = session.call.watch();
    let Revisions {
        latest: mut told, ..
    } = *watch.borrow();
    loop {
        let is_final = watch.borrow().is_final;
        let change = async {
            let changed = watch.wait_for(|now| now.latest > told).await;
            changed.map(|now| now.latest)
        };
        let news = if is_final {
            tokio::time::timeout(AFTERMATH, change).await
        } else {
            Ok(change.await)
        };
        match news {
            Ok(Ok(latest)) => told = latest,
            _ => return,
        }
        if !listener.tell().await {
            return;
        }
        tokio::time::sleep(PACE).await;
    }
}

/// One line a turn: when, who, what.
fn transcript(call: &Snapshot) -> String {
    let mut text = String::new();
    for line in &call.transcript {
        let who = match line.role {
            Role::Agent => "Agent",
            Role::Caller => "Callee",
            Role::System => "System",
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "[{}] {who}: {}", line.t.format("%H:%M:%S"), line.text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_call_or_its_transcript() {
        let id = Uuid::new_v4();
        let read = |uri: String| Address::parse(&uri);
        assert_eq!(read(format!("call://{id}")), Some(Address::Call(id)));
        assert_eq!(
            read(format!("call://{id}/transcript")),
            Some(Address::Transcript(id))
        );
        for odd in [
            format!("call://{id}/"),
            format!("call://{id}/notes"),
            format!("file://{id}"),
            "call://".to_owned(),
            "call:///transcript".to_owned(),
        ] {
            assert_eq!(read(odd.clone()), None, "{odd}");
        }
    }
}
