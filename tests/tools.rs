//! The face: what hosts list, to the letter. A change of it is a visible change of a file.
//!
//! Accept a change with `ACCEPT=1 cargo test --test tools`, and read the difference before you commit.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use openagent_messaging::app::App;
use openagent_messaging::config::Values;
use openagent_messaging::mcp::{Server, reference};
use openagent_messaging::sandbox::Options;
use rmcp::model::Tool;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn accepting() -> bool {
    std::env::var_os("ACCEPT").is_some()
}

/// What the program prints.
fn printed(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_openagent-messaging"))
        .args(args)
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Compares a file with what it should be, or writes it.
fn compare(path: PathBuf, now: &str) {
    if accepting() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, now).unwrap();
        return;
    }
    let before = fs::read_to_string(&path).unwrap_or_default();
    let different = before.lines().zip(now.lines()).find(|(a, b)| a != b);
    assert!(
        before == now,
        "{} is not what the program says. If that is meant, run ACCEPT=1 cargo test --test tools. \
         The first difference: {different:?}",
        path.display()
    );
}

#[test]
fn every_tool_is_listed_as_its_snapshot_says() {
    let folder = root().join("tests/data/tools");
    let mut names = BTreeSet::new();
    for tool in reference::listed() {
        let name = format!("{}.json", tool.name);
        let text = serde_json::to_string_pretty(&tool).unwrap() + "\n";
        compare(folder.join(&name), &text);
        names.insert(name);
    }
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "{name} is a snapshot without a tool");
    }
}

#[test]
fn the_page_of_tools_is_what_the_program_prints() {
    let page = printed(&["tools", "--markdown"]);
    compare(root().join("docs/tools.md"), &page);
}

#[tokio::test]
async fn a_server_with_everything_set_up_lists_what_the_program_prints() {
    let stop = CancellationToken::new();
    let started = App::start_sandboxed(&Values::default(), Options::default(), stop).await;
    let (app, _sandbox) = started.unwrap();
    let served = json!({"tools": Server::new(app).tools()});
    let printed: Value = serde_json::from_str(&printed(&["tools"])).unwrap();
    assert_eq!(printed, served);
}

#[test]
fn printing_the_tools_needs_no_configuration() {
    let output = Command::new(env!("CARGO_BIN_EXE_openagent-messaging"))
        .args(["tools", "--markdown"])
        .env("OPENAGENT_PHONE_PORT", "no number")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// All tools as hosts give them to a model.
fn told() -> Vec<Value> {
    let told = |tool: Tool| {
        let Value::Object(mut tool) = json!(tool) else {
            panic!("a tool is an object")
        };
        tool.remove("title");
        Value::Object(tool)
    };
    reference::listed().into_iter().map(told).collect()
}

/// 3,500 tokens are the limit for all tools. Counted on 2026-11-23 with the encoding `o200k_base`
/// (npm: gpt-tokenizer) on the compact JSON of `tools`, they have 3,493 tokens in 14,539 bytes, titles
/// included (3,383 without): 4.16 bytes a token. Count again before you raise this bound.
#[test]
fn all_tools_together_cost_a_model_little() {
    const MOST_BYTES: usize = 14_560;
    let bytes = json!({"tools": reference::listed()}).to_string().len();
    assert!(bytes <= MOST_BYTES, "{bytes} bytes: shorten something");
}

/// Every schema in a schema, with its path.
fn schemas<'a>(path: &str, schema: &'a Value, found: &mut Vec<(String, &'a Map<String, Value>)>) {
    let Value::Object(rules) = schema else {
        panic!("{path}: {schema} is no schema in full");
    };
    found.push((path.to_owned(), rules));
    for (keyword, rule) in rules {
        let inner = format!("{path}.{keyword}");
        match (keyword.as_str(), rule) {
            ("properties" | "$defs", Value::Object(named)) => {
                for (name, rule) in named {
                    schemas(&format!("{inner}.{name}"), rule, found);
                }
            }
            ("anyOf" | "oneOf" | "allOf", Value::Array(several)) => {
                for rule in several {
                    schemas(&inner, rule, found);
                }
            }
            ("items", rule) => schemas(&inner, rule, found),
            _ => {}
        }
    }
}

#[test]
fn schemas_are_such_that_strict_hosts_take_them() {
    for tool in told() {
        let name = tool["name"].as_str().unwrap();
        for side in ["inputSchema", "outputSchema"] {
            let mut found = Vec::new();
            schemas(&format!("{name}.{side}"), &tool[side], &mut found);
            for (path, rules) in found {
                let kind = rules.get("type").or(rules.get("$ref"));
                let is_typed = kind.is_some_and(Value::is_string) || rules.contains_key("anyOf");
                assert!(is_typed, "{path}: one type, or a choice of schemas");
                for keyword in ["$schema", "format", "x-listed", "pattern", "oneOf", "title"] {
                    assert!(!rules.contains_key(keyword), "{path}: {keyword}");
                }
                if kind == Some(&json!("object")) {
                    assert!(rules["properties"].is_object(), "{path} has no fields");
                }
                if kind == Some(&json!("array")) {
                    assert!(rules["items"].is_object(), "{path} has no items");
                }
                // Arguments that are not known are refused; results may have more fields.
                let closed = (path == format!("{name}.inputSchema")).then_some(&json!(false));
                assert_eq!(rules.get("additionalProperties"), closed, "{path}");
                let is_field = path.rsplit('.').nth(1) == Some("properties");
                let is_described = ["description", "$ref"].map(|known| rules.contains_key(known));
                assert!(
                    !is_field || is_described.contains(&true),
                    "{path}: what is it?"
                );
            }
        }
    }
}

#[test]
fn every_argument_has_a_format_and_an_example() {
    for tool in told() {
        for (name, argument) in tool["inputSchema"]["properties"].as_object().unwrap() {
            let description = argument["description"].as_str().unwrap();
            let shown = description.to_lowercase().contains("like")
                || argument["enum"].is_array()
                || !argument["default"].is_null()
                || argument["type"] == "boolean";
            assert!(shown, "{}.{name}: {description}", tool["name"]);
        }
    }
}

/// The fields of a result, those of objects in it behind a dot.
fn fields(prefix: &str, schema: &Value, root: &Value, found: &mut BTreeSet<String>) {
    let target = |name: &Value| root.pointer(name.as_str()?.strip_prefix('#')?);
    let schema = target(&schema["$ref"]).unwrap_or(schema);
    for inner in schema["anyOf"].as_array().into_iter().flatten() {
        fields(prefix, inner, root, found);
    }
    if schema["items"].is_object() {
        fields(prefix, &schema["items"], root, found);
    }
    let required = schema["required"].as_array();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let is_required = required.is_some_and(|names| names.contains(&json!(name)));
        let may_lack = if is_required { "" } else { "?" };
        found.insert(format!("{prefix}{name}{may_lack}"));
        fields(&format!("{prefix}{name}."), field, root, found);
    }
}

/// The fields of a result as the contract has them, `?` behind those that may be missing.
fn promised() -> BTreeMap<&'static str, &'static str> {
    let call = "call_id twilio_sid direction to from mission language status \
                transcript transcript.t transcript.role transcript.text notes summary outcome error \
                started_at answered_at ended_at \
                pending_question pending_question.id pending_question.text pending_question.asked_at \
                cost cost.model_usd cost.carrier_usd cost.total_usd cost.estimated \
                latency latency.first_word_ms latency.turn_p50_ms latency.turn_p95_ms latency.turns \
                disclosed_at duration_s revision hint";
    let status = "telegram telegram.enabled telegram.tools? telegram.how_to_enable? \
                  discord discord.enabled discord.tools? discord.how_to_enable? \
                  whatsapp whatsapp.enabled whatsapp.tools? whatsapp.how_to_enable? \
                  phone phone.enabled phone.tools? phone.how_to_enable? phone.from_number? \
                  phone.voice_ready? phone.voice_missing? phone.public_url? phone.local_port? \
                  phone.allow_prefixes? phone.max_call_duration_seconds? \
                  phone.max_concurrent_calls? phone.active_calls? phone.daily_seconds_used? \
                  phone.daily_seconds_cap? phone.daily_usd_used? phone.daily_usd_cap? \
                  phone.realtime_model? phone.realtime_voice? phone.warnings?";
    let list = "calls calls.call_id calls.to calls.status calls.outcome calls.summary \
                calls.started_at calls.ended_at calls.duration_s calls.cost_usd total_cost_usd?";
    BTreeMap::from([
        ("status", status),
        ("sms_send", "sid status to from segments?"),
        ("sms_send_file", "sid status to from segments?"),
        (
            "sms_status",
            "sid status to from error_code error_message segments? updated_at",
        ),
        (
            "phone_call_place",
            "call_id status twilio_sid max_duration_seconds revision hint",
        ),
        ("phone_call_status", call),
        ("phone_call_hangup", call),
        ("phone_call_instruct", call),
        ("phone_call_answer", call),
        ("phone_call_list", list),
        ("phone_call_delete", "deleted"),
    ])
}

#[test]
fn results_have_the_fields_that_were_promised() {
    let promised = promised();
    for tool in reference::in_full() {
        let Some(promised) = promised.get(&*tool.name) else {
            // The message as the provider has it.
            assert!(tool.name.contains("_send_"), "{}", tool.name);
            continue;
        };
        let output = json!(tool.output_schema.unwrap());
        let mut found = BTreeSet::new();
        fields("", &output, &output, &mut found);
        let promised: BTreeSet<String> = promised.split_whitespace().map(str::to_owned).collect();
        assert_eq!(found, promised, "{}", tool.name);
    }
}

/// The fields of a tool's result, by the tool's name.
fn fields_by_tool(tools: Vec<Tool>) -> BTreeMap<String, BTreeSet<String>> {
    let by_name = tools.into_iter().map(|tool| {
        let output = json!(tool.output_schema.unwrap());
        let mut found = BTreeSet::new();
        fields("", &output, &output, &mut found);
        let names = found.iter().map(|field| field.trim_end_matches('?'));
        (tool.name.to_string(), names.map(str::to_owned).collect())
    });
    by_name.collect()
}

#[test]
fn what_is_listed_of_a_result_is_a_part_of_it() {
    let full = fields_by_tool(reference::in_full());
    for (tool, listed) in fields_by_tool(reference::listed()) {
        // Those that return what `phone_call_status` returns say so in words.
        let in_words = ["answer", "hangup", "instruct"].map(|name| format!("phone_call_{name}"));
        assert_eq!(listed.is_empty(), in_words.contains(&tool), "{tool}");
        assert!(listed.is_subset(&full[&tool]), "{tool}: {listed:?}");
    }
}
