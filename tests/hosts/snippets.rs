//! Each block of docs/hosts.md is parsed, and the server is started as it says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use openagent_messaging::config::{Setting, command};
use yaml_rust2::{Yaml, YamlLoader};

use super::*;

/// A fenced block, with the heading above it.
struct Block {
    host: String,
    language: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let page = fs::read_to_string(root().join("docs/hosts.md")).unwrap();
    let mut blocks = Vec::new();
    let mut host = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ") {
            heading.clone_into(&mut host);
        }
        if let Some(language) = line.strip_prefix("```") {
            let inside = lines.by_ref().take_while(|line| *line != "```");
            let text = inside.collect::<Vec<_>>().join("\n");
            blocks.push(Block {
                host: host.clone(),
                language: language.to_owned(),
                text,
            });
        }
    }
    blocks
}

/// What a host makes of an entry.
#[derive(Debug, Default)]
struct Entry {
    args: Vec<String>,
    env: BTreeMap<String, String>,
    /// Variables that are passed on.
    passed: Vec<String>,
    /// The ids of questions to the user.
    inputs: BTreeSet<String>,
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn env(table: &Value) -> BTreeMap<String, String> {
    let table = table.as_object().into_iter().flatten();
    table
        .map(|(name, value)| {
            let value = value.as_str().expect("every setting is a text");
            (name.clone(), value.to_owned())
        })
        .collect()
}

/// `{command, args, env}`, as most hosts have it; other keys must be known.
fn entry(server: &Value) -> Entry {
    for key in server.as_object().unwrap().keys() {
        let known = ["type", "command", "args", "env", "env_vars"];
        assert!(known.contains(&key.as_str()), "{key}");
    }
    assert_eq!(server["command"], "openagent-messaging");
    Entry {
        args: texts(&server["args"]),
        env: env(&server["env"]),
        passed: texts(&server["env_vars"]),
        inputs: BTreeSet::new(),
    }
}

fn json_entry(text: &str) -> Entry {
    let file: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let (servers, is_code) = match &file["servers"] {
        Value::Null => (&file["mcpServers"], false),
        servers => (servers, true),
    };
    let mut entry = entry(&servers["messaging"]);
    assert_eq!(servers["messaging"]["type"] == "stdio", is_code);
    for input in file["inputs"].as_array().into_iter().flatten() {
        assert_eq!(input["type"], "promptString");
        assert_eq!(input["password"], json!(true));
        entry
            .inputs
            .insert(input["id"].as_str().unwrap().to_owned());
    }
    entry
}

fn toml_entry(text: &str) -> Entry {
    let file: Value = toml::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    entry(&file["mcp_servers"]["messaging"])
}

fn yaml_value(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::String(text) => json!(text),
        Yaml::Array(items) => items.iter().map(yaml_value).collect(),
        Yaml::Hash(pairs) => pairs
            .iter()
            .map(|(name, value)| (name.as_str().unwrap().to_owned(), yaml_value(value)))
            .collect(),
        other => panic!("{other:?} is neither text, list nor mapping"),
    }
}

fn yaml_entry(text: &str) -> Entry {
    let file = YamlLoader::load_from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let file = yaml_value(&file[0]);
    let [server] = file["mcp"].as_array().unwrap().as_slice() else {
        panic!("one server: {file}");
    };
    let mut words = texts(&server["command"]);
    if server["builtin"] == "messaging" {
        assert!(words.is_empty());
    } else {
        assert_eq!(server["name"], "messaging");
        assert_eq!(words.remove(0), "openagent-messaging");
    }
    Entry {
        args: words,
        env: env(&server["env"]),
        ..Entry::default()
    }
}

/// Something that a setting takes.
fn sample(name: &str) -> &'static str {
    match name {
        "TWILIO_ACCOUNT_SID" => "AC0123456789abcdef0123456789abcdef",
        "TWILIO_AUTH_TOKEN" => "sample-auth-token",
        "TELEGRAM_BOT_TOKEN" => "123456789:sample-token",
        other => panic!("no sample of {other}"),
    }
}

/// The value that a host passes: references filled in, in the way of that host and no other.
fn filled(block: &Block, entry: &Entry, name: &str, value: &str) -> String {
    let reference = value
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    let Some(reference) = reference else {
        assert!(!value.contains('$'), "{}: {value}", block.host);
        return value.to_owned();
    };
    match block.host.as_str() {
        "OpenAgent" | "Claude Code" => assert_eq!(reference, name),
        "Cursor" => assert_eq!(reference, format!("env:{name}")),
        "VS Code" => {
            let id = reference.strip_prefix("input:").unwrap();
            assert!(entry.inputs.contains(id), "no input {id}");
            assert_eq!(id.to_uppercase().replace('-', "_"), name);
        }
        host => panic!("{host} expands nothing"),
    }
    sample(name).to_owned()
}

/// The tools that these settings register.
fn expected(entry: &Entry, env: &BTreeMap<String, String>) -> Vec<&'static str> {
    let twilio = [
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "TWILIO_FROM_NUMBER",
    ];
    let is_there = |tool: &&str| match tool.split('_').next().unwrap() {
        "status" => true,
        "sms" | "phone" => twilio.iter().all(|name| env.contains_key(*name)),
        "telegram" => env.contains_key("TELEGRAM_BOT_TOKEN"),
        _ => false,
    };
    let all = EVERY_TOOL.into_iter();
    all.filter(|tool| entry.args.contains(&"--sandbox".to_owned()) || is_there(tool))
        .collect()
}

async fn listed(args: &[String], env: &BTreeMap<String, String>) -> Vec<String> {
    let mut setup = Setup::bare();
    for arg in args {
        setup = setup.arg(arg);
    }
    for (name, value) in env {
        setup = setup.env(name, value);
    }
    // Starts, initializes and lists the tools.
    Server::start(&setup).await.list_tools().await
}

async fn check(block: &Block, entry: &Entry) {
    let mut env = BTreeMap::new();
    let mut unfilled = false;
    for (name, value) in &entry.env {
        let setting = Setting::find(name).unwrap_or_else(|| panic!("no such setting: {name}"));
        let filled = filled(block, entry, name, value);
        let is_reference = filled != *value;
        unfilled |= is_reference;
        let by_value = block.host == "Claude Desktop";
        assert!(
            is_reference != by_value || !setting.secret,
            "{}: the secret {name}",
            block.host
        );
        env.insert(name.clone(), filled);
    }
    for name in &entry.passed {
        assert!(Setting::find(name).is_some(), "no such setting: {name}");
        env.insert(name.clone(), sample(name).to_owned());
    }
    let tools = listed(&entry.args, &env).await;
    assert_eq!(tools, expected(entry, &env), "{}", block.host);
    // Where the host has nothing to fill in, its references count as unset.
    if unfilled {
        assert_eq!(
            listed(&entry.args, &entry.env).await,
            ["status"],
            "{}",
            block.host
        );
    }
}

/// A command line that ends with ours, or names a file of ours.
fn check_shell(text: &str) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let own = words.iter().position(|word| *word == "openagent-messaging");
    match own {
        Some(at) => {
            assert_eq!(words[at - 1], "--");
            command().try_get_matches_from(&words[at..]).unwrap();
        }
        None => assert!(text.contains("--server messaging"), "{text}"),
    }
}

#[tokio::test]
async fn every_block_can_be_read_and_starts_a_server_with_its_tools() {
    let mut hosts = BTreeSet::new();
    for block in blocks() {
        let entry = match block.language.as_str() {
            "json" => json_entry(&block.text),
            "toml" => toml_entry(&block.text),
            "yaml" => yaml_entry(&block.text),
            "sh" => {
                check_shell(&block.text);
                continue;
            }
            other => panic!("a block in {other:?}"),
        };
        check(&block, &entry).await;
        hosts.insert(block.host);
    }
    let all = [
        "Claude Code",
        "Claude Desktop",
        "Codex CLI",
        "Cursor",
        "MCP inspector",
        "OpenAgent",
        "VS Code",
    ];
    assert_eq!(hosts.into_iter().collect::<Vec<_>>(), all);
}
