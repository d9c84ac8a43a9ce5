//! Which prices a configuration lacks: said at the start, not only when a call shows no cost.

use super::prices::Prices;
use crate::config::Config;
use crate::phone::Prefix;
use crate::realtime::setup::TRANSCRIPTION_MODEL;

/// What the user should know, one sentence for each gap.
pub fn gaps(config: &Config, prices: &Prices) -> Vec<String> {
    let capped = config.phone.max_daily_usd.is_some();
    let calls = if capped {
        "because of OPENAGENT_PHONE_MAX_DAILY_USD such calls are refused"
    } else {
        "the cost of such calls is shown as null"
    };
    let mut gaps = Vec::new();
    let model = &config.openai.model;
    if !prices.knows_models(model, TRANSCRIPTION_MODEL) {
        gaps.push(format!(
            "No price is known for calls with the model {model}: {calls}. Write it into a file that OPENAGENT_PHONE_PRICES names."
        ));
    }
    let unknown = |known: &dyn Fn(&Prefix) -> bool| {
        let allowed = config.phone.allow.iter();
        let without = allowed.filter(|prefix| !known(prefix)).map(Prefix::as_str);
        without.collect::<Vec<_>>().join(", ")
    };
    let to = unknown(&|prefix| prices.knows_calls_to(prefix));
    // Without a cap, it is only that the cost is not shown before Twilio names its price.
    if capped && !to.is_empty() {
        gaps.push(format!(
            "No price is known for calls to {to}: {calls}. Write it into a file that OPENAGENT_PHONE_PRICES names."
        ));
    }
    let to = unknown(&|prefix| prices.knows_messages_to(prefix));
    if capped && !to.is_empty() {
        gaps.push(format!(
            "No price is known for messages to {to}: because of OPENAGENT_PHONE_MAX_DAILY_USD they are refused. Write it into a file that \
             OPENAGENT_PHONE_PRICES names."
        ));
    }
    gaps
}
