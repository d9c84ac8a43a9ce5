//! The HTTP face of the carrier: credentials, calls.
//!
//! Source: <https://www.twilio.com/docs/voice/api/call-resource> and, for the numbers that fail on
//! purpose, <https://www.twilio.com/docs/iam/test-credentials>.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::Response;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::sync::mpsc;

use super::amd::Detection;
use super::call::{Call, CallHandle, CallStatus, Command, Source};
use super::form::{Form, RestError, answer, is_e164};
use super::line::{Line, MachineDetection, Order};
use super::{Carrier, CarrierFault, lock, messages};
use crate::sandbox::mishap::Mishap;
use crate::sandbox::{hex32, net};

/// Requests to a line that may wait for it.
const COMMANDS: usize = 8;

/// Parameters of call creation; those without a meaning here are known all the same.
const CREATE: &[&str] = &[
    "To",
    "From",
    "Url",
    "Twiml",
    "Method",
    "FallbackUrl",
    "FallbackMethod",
    "StatusCallback",
    "StatusCallbackMethod",
    "StatusCallbackEvent",
    "SendDigits",
    "Timeout",
    "TimeLimit",
    "Record",
    "RecordingChannels",
    "RecordingTrack",
    "RecordingStatusCallback",
    "RecordingStatusCallbackMethod",
    "RecordingStatusCallbackEvent",
    "Trim",
    "CallerId",
    "MachineDetection",
    "MachineDetectionTimeout",
    "MachineDetectionSpeechThreshold",
    "MachineDetectionSpeechEndThreshold",
    "MachineDetectionSilenceTimeout",
    "AsyncAmd",
    "AsyncAmdStatusCallback",
    "AsyncAmdStatusCallbackMethod",
    "CallReason",
    "CallToken",
];

/// Parameters of a call update.
const UPDATE: &[&str] = &[
    "Status",
    "Url",
    "Twiml",
    "Method",
    "FallbackUrl",
    "FallbackMethod",
    "StatusCallback",
    "StatusCallbackMethod",
    "TimeLimit",
];

/// Statuses that `StatusCallbackEvent` may name.
const EVENTS: &[&str] = &["initiated", "ringing", "answered", "completed"];

type Result<T> = std::result::Result<T, RestError>;

/// The routes.
pub(crate) fn router(carrier: Arc<Carrier>) -> Router {
    let account = "/2010-04-01/Accounts/{account}";
    Router::new()
        .route(&format!("{account}/{{resource}}"), get(one).post(one))
        .route(
            &format!("{account}/{{resource}}/{{sid}}"),
            get(two).post(two),
        )
        .fallback(async |uri: Uri| RestError::not_found(uri.path()).response())
        .with_state(carrier)
}

async fn one(
    State(carrier): State<Arc<Carrier>>,
    Path((account, resource)): Path<(String, String)>,
    request: (Method, Uri, HeaderMap, Bytes),
) -> Response {
    let creates = request.0 == Method::POST;
    let answer = || serve(&carrier, &account, &resource, None, &request);
    by_chance(&carrier, creates, answer).await
}

async fn two(
    State(carrier): State<Arc<Carrier>>,
    Path((account, resource, sid)): Path<(String, String, String)>,
    request: (Method, Uri, HeaderMap, Bytes),
) -> Response {
    let answer = || serve(&carrier, &account, &resource, Some(&sid), &request);
    by_chance(&carrier, false, answer).await
}

/// Serves a request, unless chance will have it otherwise.
async fn by_chance(carrier: &Carrier, creates: bool, serve: impl FnOnce() -> Response) -> Response {
    let mishaps = &carrier.mishaps;
    if mishaps.strikes(Mishap::RestSlow) {
        tokio::time::sleep(mishaps.between(500, 4_000)).await;
    }
    let fails = if creates {
        Mishap::CreateError
    } else {
        Mishap::RestError
    };
    if mishaps.strikes(fails) {
        return RestError::new(503, 20500, "Service Unavailable").response();
    }
    if mishaps.strikes(Mishap::RestThrottled) {
        return RestError::new(429, 20429, "Too Many Requests").response();
    }
    let answer = serve();
    if mishaps.strikes(Mishap::RestAnswerLost) {
        return net::unanswered();
    }
    if mishaps.strikes(Mishap::RestErrorAfter) {
        return RestError::new(500, 20500, "Internal Server Error").response();
    }
    answer
}

fn serve(
    carrier: &Arc<Carrier>,
    account: &str,
    resource: &str,
    sid: Option<&str>,
    (method, uri, headers, body): &(Method, Uri, HeaderMap, Bytes),
) -> Response {
    let path = sid.map_or(resource.to_owned(), |sid| format!("{resource}/{sid}"));
    carrier.note_request(format!("{method} {path}"));
    if let Err(error) = authorise(carrier, account, headers, uri.path()) {
        return error.response();
    }
    let posted = method == Method::POST;
    let form = Form::parse(body);
    if posted {
        let kind = headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok());
        if !kind.is_some_and(|k| k.starts_with("application/x-www-form-urlencoded")) {
            carrier
                .complaints
                .add(format!("{path}: content type {kind:?}"));
        }
    }
    let sid = sid.and_then(|sid| sid.strip_suffix(".json"));
    let result = match (posted, resource, sid) {
        (true, "Calls.json", None) => return faulty(carrier, || create(carrier, form)),
        (true, "Messages.json", None) => {
            return faulty(carrier, || messages::create(carrier, &form));
        }
        (true, "Calls", Some(sid)) => update(carrier, sid, &form, uri.path()),
        (false, "Calls.json", None) => Ok(list(carrier)),
        (false, "Calls", Some(sid)) => show(carrier, sid, uri.path()),
        (false, "Messages", Some(sid)) => messages::show(carrier, sid, uri.path()),
        _ => Err(RestError::not_found(uri.path())),
    };
    result.unwrap_or_else(|error| error.response())
}

/// Basic credentials of the account or of its API key, and the account's own path.
fn authorise(carrier: &Carrier, account: &str, headers: &HeaderMap, path: &str) -> Result<()> {
    let known = &carrier.account;
    let sent = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|text| STANDARD.decode(text).ok());
    let pairs = [
        format!("{}:{}", known.sid, known.token),
        format!("{}:{}", known.api_key, known.api_secret),
    ];
    if !sent.is_some_and(|sent| pairs.iter().any(|pair| pair.as_bytes() == sent)) {
        return Err(RestError::new(401, 20003, "Authenticate"));
    }
    if account != known.sid {
        return Err(RestError::not_found(path));
    }
    Ok(())
}

/// Creates a call or a message, unless something is to go wrong.
fn faulty(carrier: &Carrier, create: impl FnOnce() -> Result<Response>) -> Response {
    let create = || create().unwrap_or_else(|error| error.response());
    match carrier.behaviour.fault {
        None
        | Some(
            CarrierFault::LosesStream(_)
            | CarrierFault::RefusesTwimlOnce
            | CarrierFault::DropsTwimlOnce,
        ) => create(),
        Some(CarrierFault::ServerError(status)) => {
            RestError::new(status, 20500, "Internal Server Error").response()
        }
        Some(CarrierFault::DropConnection) => net::unanswered(),
        Some(CarrierFault::LoseAnswer) => {
            create();
            net::unanswered()
        }
        Some(CarrierFault::RateLimitOnce) => {
            if carrier.strikes_once(CarrierFault::RateLimitOnce) {
                RestError::new(429, 20429, "Too Many Requests").response()
            } else {
                create()
            }
        }
    }
}

fn create(carrier: &Arc<Carrier>, form: Form) -> Result<Response> {
    form.complain(CREATE, &["StatusCallbackEvent"], &carrier.complaints);
    let (to, from) = parties(carrier, &form)?;
    let order = order(carrier, &form)?;
    let (commands, listening) = mpsc::channel(COMMANDS);
    let mut call = Call::new(format!("CA{}", hex32()), to.clone(), from);
    call.time_limit = order.time_limit;
    call.parameters = form.0;
    let body = call.json(&carrier.account.sid, false);
    let handle = Arc::new(CallHandle::new(
        call,
        commands,
        carrier.behaviour.keep_audio,
    ));
    lock(&carrier.calls).push(Arc::clone(&handle));
    carrier.placed.send_modify(|placed| *placed += 1);
    let line = Line::new(
        Arc::clone(carrier),
        handle,
        listening,
        order,
        carrier.callee(&to),
    );
    carrier.tasks.spawn(line.run());
    Ok(answer(201, &body))
}

fn parties(carrier: &Carrier, form: &Form) -> Result<(String, String)> {
    let to = form
        .get("To")
        .ok_or_else(|| RestError::bad(21201, "No 'To' number is specified"))?;
    let from = form
        .get("From")
        .ok_or_else(|| RestError::bad(21213, "No 'From' number is specified"))?;
    if !is_e164(to) {
        let message = format!("The phone number you are attempting to call, {to}, is not valid.");
        return Err(RestError::bad(21211, message));
    }
    if !is_e164(from) || from == "+15005550001" {
        let message = format!("The source phone number provided, {from}, is not valid.");
        return Err(RestError::bad(21212, message));
    }
    if from != carrier.account.number {
        let message = format!("The source phone number provided, {from}, is not yet verified.");
        return Err(RestError::bad(21210, message));
    }
    let refused = match to {
        "+15005550001" => Some((21217, "Phone number does not appear to be valid.")),
        "+15005550002" => Some((21214, "'To' phone number cannot be reached.")),
        "+15005550003" => Some((21215, "Account not authorized to make international call.")),
        "+15005550004" => Some((21216, "Call blocked by Twilio blocklist.")),
        _ => None,
    };
    match refused {
        Some((code, message)) => Err(RestError::bad(code, message)),
        None => Ok((to.to_owned(), from.to_owned())),
    }
}

/// New TwiML, from `Url` or `Twiml`, which exclude each other.
fn source(form: &Form) -> Result<Option<Source>> {
    let url = form.url("Url", 21205)?;
    match (url, form.get("Twiml")) {
        (Some(_), Some(_)) => Err(RestError::bad(20001, "Url and Twiml exclude each other")),
        (Some(url), None) => Ok(Some(Source::Fetch(url))),
        (None, Some(twiml)) if twiml.chars().count() > 4_000 => Err(RestError::bad(
            20001,
            "Twiml is longer than 4000 characters",
        )),
        (None, Some(twiml)) => Ok(Some(Source::Inline(twiml.to_owned()))),
        (None, None) => Ok(None),
    }
}

fn order(carrier: &Carrier, form: &Form) -> Result<Order> {
    for name in [
        "Method",
        "StatusCallbackMethod",
        "AsyncAmdStatusCallbackMethod",
    ] {
        // Twilio takes GET, too; the product's routes do not.
        if let Some(value) = form.get(name).filter(|value| *value != "POST") {
            carrier.complaints.add(format!("{name}={value}"));
        }
    }
    let mut events: Vec<String> = Vec::new();
    for event in form.all("StatusCallbackEvent") {
        if EVENTS.contains(&event) {
            events.push(event.to_owned());
        } else {
            // Several values in one field are a common mistake that Twilio answers with silence.
            carrier
                .complaints
                .add(format!("StatusCallbackEvent={event}"));
        }
    }
    if events.is_empty() {
        events.push("completed".to_owned());
    }
    let digits = form.get("SendDigits").unwrap_or_default();
    let key = |c: char| "0123456789ABCD#*wW".contains(c);
    if digits.len() > 32 || !digits.chars().all(key) {
        return Err(RestError::bad(
            20001,
            format!("SendDigits '{digits}' is invalid"),
        ));
    }
    let detection = machine_detection(carrier, form, digits.is_empty())?;
    Ok(Order {
        source: source(form)?.ok_or_else(|| RestError::bad(21205, "Url parameter is required."))?,
        status_callback: form.url("StatusCallback", 21609)?,
        events,
        ring_time: form.number("Timeout", 1..=600)?.unwrap_or(60),
        time_limit: form.number("TimeLimit", 1..=86_400)?,
        send_digits: digits.to_owned(),
        detection,
    })
}

/// Asynchronous machine detection, if it was asked for; `SendDigits` disables it.
fn machine_detection(
    carrier: &Carrier,
    form: &Form,
    possible: bool,
) -> Result<Option<MachineDetection>> {
    for (name, allowed) in [
        ("MachineDetection", ["Enable", "DetectMessageEnd"]),
        ("AsyncAmd", ["true", "false"]),
    ] {
        if let Some(value) = form.get(name).filter(|value| !allowed.contains(value)) {
            let message = format!("{name} '{value}' is invalid");
            return Err(RestError::bad(20001, message));
        }
    }
    let timeout = form.number("MachineDetectionTimeout", 3..=59)?;
    let mode = form.get("MachineDetection").filter(|_| possible);
    let asynchronous = mode.is_some() && form.get("AsyncAmd") == Some("true");
    let callback = form.url("AsyncAmdStatusCallback", 21609)?;
    match (asynchronous, callback) {
        (true, Some(callback)) => Ok(Some(MachineDetection {
            callback,
            detection: Detection {
                to_the_end: mode == Some("DetectMessageEnd"),
                timeout: Duration::from_secs(timeout.unwrap_or(30)),
            },
        })),
        (false, None) if mode.is_none() && timeout.is_none() => Ok(None),
        _ => {
            carrier
                .complaints
                .add("machine detection is not fully asynchronous");
            Ok(None)
        }
    }
}

fn find(carrier: &Carrier, sid: &str, path: &str) -> Result<Arc<CallHandle>> {
    carrier.call(sid).ok_or_else(|| RestError::not_found(path))
}

fn show(carrier: &Carrier, sid: &str, path: &str) -> Result<Response> {
    let call = find(carrier, sid, path)?;
    // "May not be immediately available": the first look at an ended call shows no price.
    let billed = call.looked_at_the_end();
    Ok(answer(
        200,
        &call.read(|call| call.json(&carrier.account.sid, billed)),
    ))
}

/// The latest call, if there is one: a page of one, whatever size was asked for.
fn list(carrier: &Carrier) -> Response {
    let calls = carrier.calls();
    let latest = calls
        .last()
        .map(|call| call.read(|call| call.json(&carrier.account.sid, false)));
    answer(
        200,
        &json!({"calls": Vec::from_iter(latest), "page": 0, "page_size": 1}),
    )
}

fn update(carrier: &Carrier, sid: &str, form: &Form, path: &str) -> Result<Response> {
    form.complain(UPDATE, &[], &carrier.complaints);
    let call = find(carrier, sid, path)?;
    let status = call.read(|call| call.status);
    let mut commands = Vec::new();
    match form.get("Status") {
        None => {}
        Some(_) if status.is_final() => {
            return Err(RestError::bad(
                21220,
                "Call is not in-progress. Cannot redirect.",
            ));
        }
        Some("completed") => commands.push(Command::HangUp),
        Some("canceled") if status == CallStatus::InProgress => {
            return Err(RestError::bad(21220, "Call is in-progress. Cannot cancel."));
        }
        Some("canceled") => commands.push(Command::Cancel),
        Some(other) => {
            return Err(RestError::bad(
                20001,
                format!("Status '{other}' is invalid"),
            ));
        }
    }
    if let Some(source) = source(form)? {
        if status != CallStatus::InProgress || carrier.strikes_once(CarrierFault::RefusesTwimlOnce)
        {
            return Err(RestError::bad(
                21220,
                "Call is not in-progress. Cannot redirect.",
            ));
        }
        if carrier.strikes_once(CarrierFault::DropsTwimlOnce) {
            return Ok(net::unanswered());
        }
        commands.push(Command::Redirect(source));
    }
    if let Some(seconds) = form.number("TimeLimit", 1..=86_400)? {
        commands.push(Command::TimeLimit(seconds));
    }
    if commands.is_empty() {
        carrier
            .complaints
            .add(format!("{path}: an update that changes nothing"));
    }
    for command in commands {
        if !call.command(command) && !call.read(|call| call.status.is_final()) {
            return Err(RestError::new(429, 20429, "Too Many Requests"));
        }
    }
    Ok(answer(
        200,
        &call.read(|call| call.json(&carrier.account.sid, false)),
    ))
}
