//! What the documentation says is what the code does: settings, tools, messages, bounds, links.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use openagent_messaging::app::App;
use openagent_messaging::config::{SETTINGS, Setting, Values, command};
use openagent_messaging::mcp::{Server, reference};
use openagent_messaging::sandbox::Options;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below `folder` whose name ends so.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// README, changelog and everything in `docs/`, as path and text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths = files("docs", ".md");
    paths.extend(["README.md", "CHANGELOG.md"].map(|name| root().join(name)));
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    paths.into_iter().map(text).collect()
}

/// The cells of every table row, without headings and rules.
fn rows(markdown: &str) -> impl Iterator<Item = Vec<&str>> {
    markdown.lines().filter_map(|line| {
        let cells = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        Some(cells.split('|').map(str::trim).collect())
    })
}

/// The text of a cell that is code and nothing else.
fn code(cell: &str) -> Option<&str> {
    let inner = cell.strip_prefix('`')?.strip_suffix('`')?;
    (!inner.contains('`')).then_some(inner)
}

/// Everything between single backquotes.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The part below a `## ` heading.
fn section<'a>(markdown: &'a str, heading: &str) -> &'a str {
    let start = format!("\n## {heading}\n");
    let at = markdown.find(&start).expect(heading) + start.len();
    let rest = &markdown[at..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

/// Upper-case names, such as settings have.
fn is_setting_like(word: &str) -> bool {
    let prefixes = [
        "OPENAGENT_",
        "OPENAI_",
        "TWILIO_",
        "TELEGRAM_",
        "DISCORD_",
        "GREEN_",
    ];
    prefixes.iter().any(|prefix| word.starts_with(prefix))
}

fn setting_like_words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .filter(|word| is_setting_like(word) && !word.ends_with('_'))
        .collect()
}

#[test]
fn every_setting_stands_in_the_readme_as_it_is() {
    let readme = read("README.md");
    let mut documented = BTreeMap::new();
    for row in rows(section(&readme, "Settings")) {
        let [name, default, meaning] = row[..] else {
            panic!("a row of settings has three cells: {row:?}");
        };
        if let Some(name) = code(name) {
            assert!(
                documented.insert(name, (default, meaning)).is_none(),
                "{name} stands there twice"
            );
        }
    }
    for setting in SETTINGS {
        let (default, meaning) = documented
            .remove(setting.name)
            .unwrap_or_else(|| panic!("{} is not in the README's tables", setting.name));
        let expected = match setting.default {
            "" => "–".to_owned(),
            default => format!("`{default}`"),
        };
        assert_eq!(default, expected, "default of {}", setting.name);
        assert_eq!(meaning, setting.meaning, "meaning of {}", setting.name);
    }
    assert!(documented.is_empty(), "no such settings: {documented:?}");
}

#[test]
fn no_page_names_a_setting_or_flag_that_does_not_exist() {
    let known = command();
    let mut flags: BTreeSet<String> = SETTINGS.iter().filter_map(Setting::flag).collect();
    flags.extend(known.get_arguments().filter_map(|arg| {
        let long = arg.get_long()?;
        Some(long.to_owned())
    }));
    flags.extend(["version".to_owned(), "help".to_owned()]);
    for (path, text) in pages() {
        for word in setting_like_words(&text) {
            assert!(Setting::find(word).is_some(), "{}: {word}", path.display());
        }
        for span in codes(&text) {
            // Flags of our program, not of cargo.
            let Some(flag) = span.strip_prefix("--") else {
                continue;
            };
            let flag = flag.split([' ', '=']).next().unwrap_or_default();
            assert!(flags.contains(flag), "{}: --{flag}", path.display());
        }
    }
}

/// The arguments of each tool, with a `?` behind those that may be left out.
fn arguments(schema: &Value) -> BTreeSet<String> {
    let required: Vec<&str> = match &schema["required"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let Some(properties) = schema["properties"].as_object() else {
        return BTreeSet::new();
    };
    properties
        .keys()
        .map(|name| {
            if required.contains(&name.as_str()) {
                name.clone()
            } else {
                format!("{name}?")
            }
        })
        .collect()
}

/// What the server registers in the sandbox.
async fn tools() -> Vec<rmcp::model::Tool> {
    let stop = CancellationToken::new();
    let started = App::start_sandboxed(&Values::default(), Options::default(), stop).await;
    let (app, _sandbox) = started.unwrap();
    Server::new(app).tools()
}

#[tokio::test]
async fn every_tool_stands_in_the_readme_with_its_arguments() {
    let registered: BTreeMap<String, BTreeSet<String>> = tools()
        .await
        .into_iter()
        .map(|tool| {
            let schema = Value::Object((*tool.input_schema).clone());
            (tool.name.into_owned(), arguments(&schema))
        })
        .collect();
    let readme = read("README.md");
    let documented: BTreeMap<String, BTreeSet<String>> = rows(section(&readme, "Tools"))
        .filter_map(|row| {
            let name = code(row[0])?.to_owned();
            Some((name, codes(row[1]).map(str::to_owned).collect()))
        })
        .collect();
    assert_eq!(documented, registered);
}

#[test]
fn messages_in_the_troubleshooting_table_are_real() {
    let mut sources = String::new();
    for path in files("src", ".rs") {
        let text = fs::read_to_string(path).unwrap();
        // As the compiler reads a literal that goes on in the next line.
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let mut line = line.to_owned();
            while line.ends_with('\\') {
                line.pop();
                line.push_str(lines.next().unwrap_or_default().trim_start());
            }
            sources.push_str(&line.replace("\\\"", "\""));
            sources.push('\n');
        }
    }
    let readme = read("README.md");
    let messages: Vec<&str> = rows(section(&readme, "Troubleshooting"))
        .filter_map(|row| code(row[0]))
        .collect();
    assert!(messages.len() >= 12);
    for message in messages {
        for part in message.split('…').map(str::trim).filter(|p| p.len() > 3) {
            assert!(
                sources.contains(part),
                "{part:?} of {message:?} is in no source"
            );
        }
    }
}

#[test]
fn bounds_in_the_architecture_are_those_of_the_code() {
    let page = read("docs/architecture.md");
    let mut checked = 0;
    for row in rows(section(&page, "Bounds")) {
        let [file, name, value, _] = row[..] else {
            panic!("a row of bounds has four cells: {row:?}");
        };
        let (Some(file), Some(name), Some(value)) = (code(file), code(name), code(value)) else {
            continue;
        };
        let source = read(&format!("src/{file}"));
        let found = source.lines().find_map(|line| {
            let constant = line.trim().split_once("const ")?.1;
            let (known, rest) = constant.split_once(':')?;
            let value = rest.split_once(" = ")?.1.strip_suffix(';')?;
            (known == name).then_some(value)
        });
        assert_eq!(found, Some(value), "{name} in src/{file}");
        checked += 1;
    }
    assert!(checked > 20, "{checked} bounds checked");
}

/// `[text](target)` of a page, code left out.
fn links(markdown: &str) -> Vec<String> {
    let mut fenced = false;
    let mut links = Vec::new();
    for line in markdown.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect();
        for rest in prose.split("](").skip(1) {
            links.push(rest.split(')').next().unwrap_or_default().to_owned());
        }
    }
    links
}

/// As hosting sites make an anchor of a heading.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    for (path, text) in pages() {
        for link in links(&text) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", path.display());
            if !anchor.is_empty() {
                let there = anchors(&fs::read_to_string(&target).unwrap());
                assert!(there.contains(anchor), "{}: {link}", path.display());
            }
        }
    }
}

#[test]
fn files_named_in_the_pages_exist() {
    for (path, text) in pages() {
        for span in codes(&text) {
            let is_path = ["src/", "tests/", "docs/", "examples/", "benches/", ".ci/"]
                .iter()
                .any(|folder| span.starts_with(folder));
            if is_path && !span.contains(['*', ' ', '<', '{']) {
                assert!(root().join(span).exists(), "{}: {span}", path.display());
            }
        }
    }
}

/// The fenced blocks of one language.
fn blocks<'a>(markdown: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    markdown
        .split(&fence)
        .skip(1)
        .map(|rest| &rest[..rest.find("\n```").unwrap_or(rest.len())])
        .collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn json_in_the_readme_has_the_arguments_and_fields_of_the_tools() {
    let tools: BTreeMap<String, rmcp::model::Tool> = tools()
        .await
        .into_iter()
        .map(|tool| (tool.name.to_string(), tool))
        .collect();
    // Hosts list a part of them.
    let full = reference::in_full();
    let fields = |name: &str| {
        let tool = full.iter().find(|tool| tool.name == name).unwrap();
        keys(&tool.output_schema.as_ref().unwrap()["properties"])
    };
    let readme = read("README.md");
    let examples = blocks(&readme, "json");
    assert!(!examples.is_empty());
    for example in examples {
        let example: Value =
            serde_json::from_str(example).unwrap_or_else(|error| panic!("{error}: {example}"));
        let Some(name) = example["tool"].as_str() else {
            // A result that stands alone is a snapshot.
            assert_eq!(keys(&example), fields("phone_call_status"));
            continue;
        };
        let schema = Value::Object((*tools[name].input_schema).clone());
        let known = keys(&schema["properties"]);
        assert!(keys(&example["arguments"]).is_subset(&known), "{name}");
        if example["result"].is_object() {
            assert_eq!(keys(&example["result"]), fields(name), "{name}");
        }
    }
}

/// As much of YAML as our examples use: mappings, lists, scalars and flow lists, by indentation.
/// Returns keys and values; a list item's first key counts like the others.
fn yaml(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut depths = vec![0];
    let mut opens = true;
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or_default().trim_end();
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        assert!(!line.contains('\t'), "a tab: {line:?}");
        let mut depth = line.len() - content.len();
        let item = content.strip_prefix("- ");
        if item.is_some() {
            depth += 2;
        }
        while depths.last().is_some_and(|open| *open > depth) {
            depths.pop();
            opens = false;
        }
        if depths.last() != Some(&depth) {
            assert!(opens, "unexpected indentation: {line:?}");
            depths.push(depth);
        }
        let pair = item.unwrap_or(content);
        let (key, value) = pair
            .split_once(':')
            .unwrap_or_else(|| panic!("neither key nor item: {line:?}"));
        let value = value.trim();
        opens = value.is_empty();
        if value.starts_with(['"', '[']) {
            serde_json::from_str::<Value>(value).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        }
        pairs.push((key.to_owned(), value.to_owned()));
    }
    pairs
}

fn check_host_configuration(text: &str) -> usize {
    let flags = command();
    let pairs = yaml(text);
    let mut commands = 0;
    for (key, value) in &pairs {
        match key.as_str() {
            "mcp" | "env" => assert_eq!(value, "", "{key}"),
            "name" => assert_eq!(value, "messaging"),
            "command" => {
                let words: Vec<String> = serde_json::from_str(value).unwrap();
                assert_eq!(words[0], "openagent-messaging");
                flags.clone().try_get_matches_from(&words).unwrap();
                commands += 1;
            }
            name => {
                assert!(Setting::find(name).is_some(), "no such setting: {name}");
                assert!(value.starts_with('"'), "{name} must be a quoted text");
            }
        }
    }
    commands
}

#[test]
fn the_example_configuration_works_as_it_stands_and_with_its_comments_taken_away() {
    let example = read("openagent.example.yaml");
    assert_eq!(check_host_configuration(&example), 1);
    assert!(example.contains("\"--sandbox\""));
    // The commented entry: indented lines that begin with # and are no sentence.
    let real: String = example
        .lines()
        .filter_map(|line| line.strip_prefix("  # "))
        .filter(|line| line.starts_with([' ', '-', '#']))
        .flat_map(|line| ["  ", line, "\n"])
        .collect();
    assert_eq!(check_host_configuration(&format!("mcp:\n{real}")), 1);
    // Limits are shown with their defaults.
    for (name, value) in yaml(&real) {
        if let Some(setting) = Setting::find(&name).filter(|_| name.contains("_MAX_")) {
            assert_eq!(value, format!("\"{}\"", setting.default), "{name}");
        }
    }
    for block in blocks(&read("README.md"), "yaml") {
        assert_eq!(check_host_configuration(block), 1);
    }
}

#[test]
fn the_readme_has_one_test_command() {
    let readme = read("README.md");
    let (_, rest) = readme.split_once("<!-- test-command -->").unwrap();
    let command = blocks(rest, "sh")[0];
    assert!(command.starts_with("cargo test"), "{command}");
    assert_eq!(readme.matches("<!-- test-command -->").count(), 1);
}
