//! A number to call, and the owner's lists: the number, what is allowed, what is denied, a line each.

use openagent_messaging::call::language::Language;
use openagent_messaging::cost::prices::Prices;
use openagent_messaging::phone::{E164, Prefix};
use openagent_messaging::safety::destination::{Destinations, Refusal};

pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (number, allow, deny, language) = (line(), line(), line(), line());
    if let Ok(language) = language.parse::<Language>() {
        assert_eq!(language.tag().parse::<Language>().as_ref(), Ok(&language));
        assert!(!language.name().is_empty() && !language.with_region().is_empty());
    }
    let (allow, deny) = (prefixes(allow), prefixes(deny));
    let to = match E164::parse(number) {
        Ok(to) => to,
        Err(error) => {
            let said = error.to_string();
            assert!(said.len() < 1_000 && !said.contains('\n'), "{said}");
            return;
        }
    };
    assert_eq!(to.as_str(), number);
    let digits = number.strip_prefix('+').expect("a number without +");
    assert!((7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()));
    let masked = to.masked();
    let shown = masked.chars().filter(char::is_ascii_digit).count();
    assert!(shown + 5 <= digits.len(), "{masked} shows too much");
    assert_eq!(format!("{to:?}"), masked);

    let own = E164::parse("+14155550100").expect("a number");
    let rules = |allow: &[Prefix], deny: &[Prefix], admit_unlisted| Destinations {
        allow: allow.to_vec(),
        deny: deny.to_vec(),
        own: own.clone(),
        admit_unlisted,
    };
    let verdict = rules(&allow, &deny, false).check(&to);
    match &verdict {
        Ok(()) => {
            assert!(
                allow.iter().any(|entry| entry.covers(&to)),
                "nothing allows it"
            );
            assert!(!deny.iter().any(|entry| entry.covers(&to)), "it is denied");
            assert_ne!(to, own);
        }
        Err(refusal) => assert!(!refusal.to_string().contains(number), "{refusal}"),
    }
    // What no setting admits, no setting admits.
    let open = rules(&[], &[], true).check(&to);
    if let Err(refusal @ (Refusal::Never(_) | Refusal::Malformed(_))) = open {
        let whole = Prefix::parse(number).expect("a number begins with itself");
        assert_eq!(rules(&[whole], &[], false).check(&to), Err(refusal.clone()));
        assert_eq!(verdict, Err(refusal));
    }
    let _ = Prices::built_in()
        .tariff("gpt-realtime-2.1", "gpt-transcribe", &to, true)
        .worst_case();
}

fn prefixes(list: &str) -> Vec<Prefix> {
    let prefixes = list
        .split(',')
        .filter_map(|entry| match Prefix::parse(entry) {
            Ok(prefix) => {
                assert_eq!(prefix.as_str(), entry);
                Some(prefix)
            }
            Err(error) => {
                assert!(error.to_string().len() < 1_000);
                None
            }
        });
    prefixes.collect()
}
