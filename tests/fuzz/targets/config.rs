//! Settings as `NAME=value` lines, and the owner's prices as TOML behind a line `---`.

use std::ffi::OsString;
use std::sync::LazyLock;

use clap::ArgMatches;
use openagent_messaging::config::{Config, SETTINGS, Setting, Values, command};
use openagent_messaging::cost::prices::Prices;

/// What no secret of an input may be a part of by chance.
const LONG_ENOUGH: usize = 10;

static NO_FLAGS: LazyLock<ArgMatches> =
    LazyLock::new(|| command().get_matches_from(["openagent-messaging"]));

pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (settings, prices) = text.split_once("\n---\n").unwrap_or((&text, ""));
    if let Err(why) = Prices::built_in().with(prices) {
        assert!(!why.is_empty());
    }
    let given = |name: &str| {
        let lines = settings.lines().filter_map(|line| line.split_once('='));
        lines
            .into_iter()
            .find_map(|(known, value)| (known == name).then_some(value))
    };
    let values = Values::new(|name| given(name).map(OsString::from), &NO_FLAGS);
    let shown = match Config::load(&values) {
        Ok(config) => {
            assert!(config.phone.max_duration.as_secs() <= 14_400);
            assert!((1..=1_000).contains(&config.phone.max_concurrent));
            assert!((0.0..=1.0).contains(&config.phone.vad_threshold));
            assert!(
                !config.phone.admit_unlisted,
                "an empty list admits everything"
            );
            let url = config.openai.realtime_url();
            assert!(
                url.scheme() == "wss" || url.host_str().is_some_and(is_here),
                "{url}"
            );
            format!("{config:?}")
        }
        Err(error) => {
            for problem in error.problems() {
                assert!(Setting::find(problem.name).is_some());
                assert!(problem.fault.chars().count() < 600, "{problem}");
            }
            error.to_string()
        }
    };
    for setting in SETTINGS.iter().filter(|setting| setting.secret) {
        let secret = given(setting.name).unwrap_or_default().trim();
        let elsewhere = settings.matches(secret).count() > 1 || prices.contains(secret);
        assert!(
            secret.len() < LONG_ENOUGH || elsewhere || !shown.contains(secret),
            "{} is shown: {shown}",
            setting.name
        );
    }
}

fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.starts_with("127.") || host == "[::1]"
}
