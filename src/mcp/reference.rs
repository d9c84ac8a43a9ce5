//! Every tool in full, whatever is configured: for people, and for tests.

use std::fmt::Write as _;

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::Tool;
use serde_json::{Map, Value, json};

use super::Server;
use super::listing::{self, LISTED};

/// Tools that appear together.
struct Family {
    heading: &'static str,
    appears: &'static str,
    tools: ToolRouter<Server>,
}

fn families() -> [Family; 6] {
    let calls = Server::call_tools() + Server::steering_tools() + Server::history_tools();
    let twilio = "`TWILIO_ACCOUNT_SID`, `TWILIO_AUTH_TOKEN` and `TWILIO_FROM_NUMBER` are set";
    [
        ("Always there", "", Server::status_tools()),
        ("SMS", twilio, Server::sms_tools()),
        ("Phone calls", twilio, calls),
        (
            "Telegram",
            "`TELEGRAM_BOT_TOKEN` is set",
            Server::telegram_tools(),
        ),
        (
            "Discord",
            "`DISCORD_BOT_TOKEN` is set",
            Server::discord_tools(),
        ),
        (
            "WhatsApp",
            "`GREEN_API_ID` and `GREEN_API_TOKEN` are set",
            Server::whatsapp_tools(),
        ),
    ]
    .map(|(heading, appears, tools)| Family {
        heading,
        appears,
        tools,
    })
}

/// Every tool as its types describe it, with all fields of its result.
pub fn in_full() -> Vec<Tool> {
    let families = families().into_iter();
    families
        .flat_map(|family| family.tools.list_all())
        .collect()
}

/// Every tool as hosts list it, by name.
pub fn listed() -> Vec<Tool> {
    let mut tools = in_full();
    tools.iter_mut().for_each(listing::shorten);
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    tools
}

/// The answer to `tools/list` with every tool there is, as indented JSON.
///
/// # Errors
///
/// None that is known: all of it is text and numbers.
pub fn json() -> serde_json::Result<String> {
    serde_json::to_string_pretty(&json!({"tools": listed()})).map(|text| text + "\n")
}

/// Every tool, its arguments and the fields of its result, as a page.
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut before: Vec<Tool> = Vec::new();
    for family in families() {
        let _ = writeln!(page, "\n## {}", family.heading);
        if !family.appears.is_empty() {
            let _ = writeln!(page, "\nThere when {}.", family.appears);
        }
        for tool in family.tools.list_all() {
            section(&mut page, &tool, &before);
            before.push(tool);
        }
    }
    page
}

const INTRODUCTION: &str = "\
# Tools

Printed by `openagent-messaging tools --markdown`; `openagent-messaging tools` prints the same as
JSON, as hosts list it. A `?` marks an argument that may be left out, and a field that may be missing.
Hosts list every argument, but of the results only the fields marked with •: those that a model acts
on. The others are in the result all the same. Arguments that are not listed here are refused.
";

fn section(page: &mut String, tool: &Tool, before: &[Tool]) {
    let title = tool.title.as_deref().unwrap_or_default();
    let description = tool.description.as_deref().unwrap_or_default();
    let _ = writeln!(page, "\n### `{}`\n\n{title}. {description}\n", tool.name);
    let mut arguments = rows(&tool.input_schema);
    arguments.sort_by_key(|row| row.name.ends_with('?'));
    if arguments.is_empty() {
        let _ = writeln!(page, "No arguments.");
    } else {
        let _ = writeln!(page, "| Argument | Type | Meaning |\n|---|---|---|");
        for row in arguments {
            let _ = writeln!(page, "| `{}` | {} | {} |", row.name, row.kind, row.meaning);
        }
    }
    let Some(output) = &tool.output_schema else {
        return;
    };
    let is_like_status = |tool: &Tool| listing::LIKE_STATUS.contains(&&*tool.name);
    let like = if is_like_status(tool) {
        Some(listing::STATUS)
    } else {
        let mut described = before.iter().filter(|other| !is_like_status(other));
        let same = described.find(|other| other.output_schema.as_ref() == Some(output));
        same.map(|other| other.name.as_ref())
    };
    if let Some(like) = like {
        let _ = writeln!(page, "\nReturns what [`{like}`](#{like}) returns.");
        return;
    }
    let _ = writeln!(page, "\n| Result | Type | Meaning |\n|---|---|---|");
    for row in rows(output) {
        let mark = if row.is_listed { " •" } else { "" };
        let Row {
            name,
            kind,
            meaning,
            ..
        } = row;
        let _ = writeln!(page, "| `{name}`{mark} | {kind} | {meaning} |");
    }
}

struct Row {
    name: String,
    kind: String,
    meaning: String,
    is_listed: bool,
}

/// The fields of an object, and of the objects in it.
fn rows(schema: &Map<String, Value>) -> Vec<Row> {
    let mut rows = Vec::new();
    let root = Value::Object(schema.clone());
    collect(&mut rows, "", &root, &root);
    rows
}

fn collect(rows: &mut Vec<Row>, prefix: &str, object: &Value, root: &Value) {
    let required = object["required"].as_array();
    for (name, field) in object["properties"].as_object().into_iter().flatten() {
        let is_required = required.is_some_and(|names| names.contains(&json!(name)));
        let may_lack = if is_required { "" } else { "?" };
        let name = format!("{prefix}{name}");
        let (inner, is_nullable) = resolve(field, root);
        let (inner, list) = match inner["type"].as_str() {
            Some("array") => (resolve(&inner["items"], root).0, "[]"),
            _ => (inner, ""),
        };
        let mut kind = kind(inner);
        if !list.is_empty() {
            kind = format!("list of {kind}");
        }
        if is_nullable {
            kind.push_str(", or null");
        }
        let mut meaning = field["description"]
            .as_str()
            .unwrap_or_default()
            .replace('\n', " ");
        if let Some(default) = field.get("default") {
            let _ = write!(meaning, " Default: `{}`.", text(default));
        }
        rows.push(Row {
            name: format!("{name}{may_lack}"),
            kind,
            meaning,
            is_listed: field[LISTED] == json!(true),
        });
        collect(rows, &format!("{name}{list}."), inner, root);
    }
}

/// The schema that a field has, be it by reference, and whether it may be null.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> (&'a Value, bool) {
    if let Some(target) = schema["$ref"]
        .as_str()
        .and_then(|name| name.strip_prefix('#'))
    {
        return (root.pointer(target).unwrap_or(schema), false);
    }
    let null = json!({"type": "null"});
    match schema["anyOf"].as_array().map(Vec::as_slice) {
        Some([one, other]) if *other == null => (resolve(one, root).0, true),
        _ => {
            let types = schema["type"].as_array();
            (
                schema,
                types.is_some_and(|types| types.contains(&json!("null"))),
            )
        }
    }
}

/// What a value is, in a word.
fn kind(schema: &Value) -> String {
    let choices = schema["enum"].as_array().or(schema["oneOf"].as_array());
    if let Some(choices) = choices {
        let words = choices.iter().map(|one| one.get("const").unwrap_or(one));
        let quoted: Vec<String> = words.map(|word| format!("`{}`", text(word))).collect();
        return quoted.join(", ");
    }
    let types = schema["type"]
        .as_array()
        .map_or(&schema["type"], |types| &types[0]);
    match (types.as_str(), schema["format"].as_str()) {
        (Some("string"), Some("date-time")) => "time, RFC 3339".into(),
        (Some("string"), _) => "text".into(),
        (Some("integer"), _) => "whole number".into(),
        (Some("boolean"), _) => "true or false".into(),
        (Some(other), _) => other.into(),
        (None, _) => "any".into(),
    }
}

/// A value as it is written, a text without its quotes.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
