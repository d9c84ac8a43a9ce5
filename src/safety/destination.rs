//! Which numbers may be called or texted.
//!
//! Two layers. Some numbers are refused whatever the settings say: emergency services,
//! short codes, and ranges where a call costs the caller extra, which is what toll fraud
//! lives on. Everything else is refused unless the owner's allow-list names it.

pub(crate) use super::plans::AREA_ENTRY_LEN;
use super::plans::{BEYOND_US_AND_CANADA, COSTLY, COSTLY_WHEN_LONG, NEVER, NO_ZERO, SHORTEST};
use crate::phone::{E164, Prefix};

/// The rules for one account.
#[derive(Debug, Clone)]
pub struct Destinations {
    /// What calls and messages may go to. Empty: nothing.
    pub allow: Vec<Prefix>,
    /// What is refused even if allowed.
    pub deny: Vec<Prefix>,
    /// The account's own number.
    pub own: E164,
    /// Reads an empty allow-list as "everything that is not refused otherwise". For the
    /// sandbox, where no call leaves the machine.
    pub admit_unlisted: bool,
}

impl Destinations {
    /// Whether this number may be called or texted.
    ///
    /// # Errors
    ///
    /// The first rule that refuses it, in this order: what is always refused, the
    /// account's own number, the deny-list, the allow-list.
    pub fn check(&self, to: &E164) -> Result<(), Refusal> {
        check_range(to)?;
        check_shape(to)?;
        if *to == self.own {
            return Err(Refusal::OwnNumber);
        }
        if let Some(entry) = self.deny.iter().find(|entry| entry.covers(to)) {
            return Err(Refusal::Denied(entry.clone()));
        }
        if self.allow.is_empty() {
            return if self.admit_unlisted {
                Ok(())
            } else {
                Err(Refusal::NothingAllowed)
            };
        }
        let beyond = beyond_us_and_canada(to);
        let least = if beyond.is_some() { AREA_ENTRY_LEN } else { 0 };
        if self
            .allow
            .iter()
            .any(|entry| entry.as_str().len() >= least && entry.covers(to))
        {
            return Ok(());
        }
        Err(match beyond {
            Some(area) => Refusal::NeedsAreaCode(area),
            None => Refusal::NotAllowed,
        })
    }
}

/// Why a number may not be called or texted, in words for the agent: the rule, who can
/// change it, and what to do instead. The number itself is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Emergency, short-code, premium-rate, shared-cost or satellite.
    #[error(
        "This number is never called or texted ({0}), and no setting changes that. Tell the \
         user, and do not try variants of the number."
    )]
    Never(String),
    /// Not a whole number of its country.
    #[error(
        "This number cannot be right ({0}), and no setting changes that. Ask the user for the \
         whole number in international form; do not guess it or try variants of it."
    )]
    Malformed(String),
    /// The account would call itself.
    #[error(
        "This is the account's own number (TWILIO_FROM_NUMBER), which is never a destination. \
         Ask the user for the number of the person to reach."
    )]
    OwnNumber,
    /// The deny-list entry that covers it.
    #[error(
        "OPENAGENT_PHONE_DENY_PREFIXES refuses numbers that begin with {0:?}. Only the user can \
         change that: tell them, and do not try variants of the number."
    )]
    Denied(Prefix),
    /// No allow-list entry covers it.
    #[error(
        "No entry of OPENAGENT_PHONE_ALLOW_PREFIXES covers this number. Ask the user whether the \
         number is right; if it is, only they can add a prefix that covers it. Do not try \
         variants of the number."
    )]
    NotAllowed,
    /// The allow-list is empty.
    #[error(
        "No number may be called or texted yet: OPENAGENT_PHONE_ALLOW_PREFIXES is empty. Ask the \
         user to set it to the prefixes they want to allow, such as +39 or +1415; do not try \
         other numbers."
    )]
    NothingAllowed,
    /// The area code is that of a country which a bare `+1` does not cover.
    #[error(
        "Area code {0} behind +1 lies outside the United States and Canada, and a shorter entry \
         such as +1 does not cover it. Ask the user whether the number is right; if it is, only \
         they can add +1{0} to OPENAGENT_PHONE_ALLOW_PREFIXES. Do not try variants of the number."
    )]
    NeedsAreaCode(&'static str),
}

/// Refuses emergency, short-code, premium-rate, shared-cost and satellite numbers.
fn check_range(to: &E164) -> Result<(), Refusal> {
    if let Some(national) = to.nanp() {
        let area = national.get(..3).unwrap_or(national);
        let exchange = national.get(3..6).unwrap_or_default();
        if is_n11(area) || is_n11(exchange) {
            return never("N11 codes reach emergency and other service desks");
        }
        if area == "900" || exchange == "976" {
            return never("900 and 976 behind +1 are premium rate");
        }
        return Ok(());
    }
    for (start, what) in NEVER {
        if to.as_str().starts_with(start) {
            return never(&format!("{start}: {what}"));
        }
    }
    for (code, country, premium, shared) in COSTLY {
        let Some(national) = to.as_str().strip_prefix(code) else {
            continue;
        };
        for (starts, what) in [(premium, "premium rate"), (shared, "shared cost")] {
            if let Some(start) = starts.split_whitespace().find(|s| national.starts_with(s)) {
                return never(&format!("{code}{start}: {what} in {country}"));
            }
        }
    }
    for (start, digits, what) in COSTLY_WHEN_LONG {
        if to.as_str().starts_with(start) && to.as_str().len() > *digits {
            return never(&format!("{start}: {what}"));
        }
    }
    Ok(())
}

/// Refuses what cannot be a whole number of its country.
fn check_shape(to: &E164) -> Result<(), Refusal> {
    if let Some(national) = to.nanp() {
        let starts_low = |digits: &str| digits.starts_with(['0', '1']);
        if national.len() != 10 {
            return malformed("behind +1 there must be exactly ten digits");
        }
        if starts_low(national) || starts_low(&national[3..]) {
            return malformed("behind +1 neither area code nor exchange begins with 0 or 1");
        }
        return Ok(());
    }
    for country in NO_ZERO {
        if to
            .as_str()
            .strip_prefix(country)
            .is_some_and(|n| n.starts_with('0'))
        {
            return malformed(&format!("behind {country} there is no 0"));
        }
    }
    for (shortest, countries) in SHORTEST {
        let short = |national: &str| national.len() < *shortest;
        if let Some(country) = countries
            .iter()
            .find(|c| to.as_str().strip_prefix(**c).is_some_and(short))
        {
            return malformed(&format!(
                "behind {country} there are at least {shortest} digits"
            ));
        }
    }
    Ok(())
}

fn never(why: &str) -> Result<(), Refusal> {
    Err(Refusal::Never(why.to_owned()))
}

fn malformed(why: &str) -> Result<(), Refusal> {
    Err(Refusal::Malformed(why.to_owned()))
}

/// 211 to 911: the service codes of the North American plan, 911 among them.
fn is_n11(code: &str) -> bool {
    matches!(code.as_bytes(), [b'2'..=b'9', b'1', b'1'])
}

/// The area code, if it is one behind +1 that lies outside the US and Canada.
pub(crate) fn beyond_us_and_canada(to: &E164) -> Option<&'static str> {
    let national = to.nanp()?;
    BEYOND_US_AND_CANADA
        .iter()
        .copied()
        .find(|area| national.starts_with(area))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> Destinations {
        let parse = |list: &[&str]| list.iter().map(|p| Prefix::parse(p).unwrap()).collect();
        Destinations {
            allow: parse(allow),
            deny: parse(deny),
            own: E164::parse("+14155550100").unwrap(),
            admit_unlisted: false,
        }
    }

    /// As open as settings can make it.
    fn everything() -> Destinations {
        Destinations {
            admit_unlisted: true,
            ..rules(&[], &[])
        }
    }

    /// The numbers of a list of lines.
    fn numbers<'a>(lines: &[&'a str]) -> Vec<&'a str> {
        lines
            .iter()
            .flat_map(|line| line.split_whitespace())
            .collect()
    }

    fn check(rules: &Destinations, number: &str) -> Result<(), Refusal> {
        rules.check(&E164::parse(number).unwrap())
    }

    #[test]
    fn some_numbers_no_setting_admits() {
        for number in numbers(&[
            // North America: N11 as area code and as exchange, 900, 976.
            "+19115550123 +14115550123 +12115550123 +19110000 +14159115555 +14154115555 \
             +19005550123 +14159765555 +18769765555",
            // The ranges named for the United Kingdom, Italy, France and Germany.
            "+449012345678 +449812345678 +447012345678 +448451234567 +448712345678 \
             +39892424 +398991234567 +39199123456 +391661234567 +39848123456 \
             +33892123456 +33800123456 +33810123456 +499001234567 +491371234567 \
             +491801234567 +4911833 +49116117",
            // No country's.
            "+80812345678 +870773123456 +878101234567890 +881612345678 +882161234567 \
             +883510012345 +888123456789 +979123456789",
            // Elsewhere.
            "+34803123456 +34902123456 +351760123456 +351707123456 +41900123456 \
             +41848123456 +43900123456 +43820123456 +3290012345 +3270123456 +319001234 \
             +31906123456 +469001234567 +46771234567 +4590123456 +4782912345 \
             +35860012345 +48700123456 +48801123456 +420906123456 +421900123456 \
             +3690123456 +3531550123456 +3531850123456 +309011234567 +908881234567 \
             +909001234567 +9721900123456 +972190012345 +611902123456 +611300123456 \
             +6490012345 +81990123456 +81570123456 +27862123456 +27860123456 \
             +78091234567 +85290012345678 +566001234567 +546001234567 +5590012345678 \
             +9118601234567",
        ]) {
            let refusal = check(&everything(), number).unwrap_err();
            assert!(matches!(refusal, Refusal::Never(_)), "{number}: {refusal}");
            let text = refusal.to_string();
            assert!(text.contains("no setting changes that"), "{text}");
            assert!(text.contains("do not try variants"), "{text}");
            // An allow-list entry for the very number changes nothing.
            assert_eq!(check(&rules(&[number], &[]), number), Err(refusal));
        }
    }

    #[test]
    fn ordinary_numbers_beside_them_pass() {
        for number in numbers(&[
            "+14155550123 +18005550123 +12125550123 +16135550123 +18765550123 \
             +442071234567 +447912345678 +441189123456 +443001234567 +393331234567 \
             +390612345678 +33612345678 +33123456789 +4915112345678 +493012345678 \
             +4969910 +41791234567 +436641234567 +34612345678 +34912345678 \
             +351912345678 +32470123456 +3292345678 +31612345678 +46701234567 \
             +4520123456 +4790123456 +358401234567 +48721234567 +420601123456 \
             +421905123456 +36201234567 +35315201234 +35318501234 +353861234567 \
             +306912345678 +905321234567 +904441444 +972501234567 +61412345678 \
             +64211234567 +6491234567 +819012345678 +81601234567 +27821234567 \
             +79161234567 +85290012345 +5491123456789 +5511912345678 +919812345678 \
             +8613912345678 +6834000",
        ]) {
            assert_eq!(check(&everything(), number), Ok(()), "{number}");
        }
    }

    #[test]
    fn what_is_not_a_whole_number_is_refused() {
        for number in numbers(&[
            "+1415555012 +141555501234 +10155550123 +11155550123 +14150550123 \
             +14151550123 +12024567 +44118118 +3399999 +33118712 +3411811 \
             +3948123 +4407012345678 +4909001234567 +33012345678 +7495123456 +3114020",
        ]) {
            let refusal = check(&everything(), number).unwrap_err();
            assert!(
                matches!(refusal, Refusal::Malformed(_)),
                "{number}: {refusal}"
            );
            assert!(refusal.to_string().contains("do not guess"), "{refusal}");
        }
        // Emergency numbers behind a country code do not even count as numbers.
        for number in [
            "+1911", "+44999", "+49110", "+39112", "+358112", "+911", "112",
        ] {
            assert!(E164::parse(number).is_err(), "{number}");
        }
    }

    #[test]
    fn the_allow_list_decides_and_an_empty_one_admits_nothing() {
        let number = "+393331234567";
        assert_eq!(check(&rules(&["+44", "+39"], &[]), number), Ok(()));
        assert_eq!(check(&rules(&[number], &[]), number), Ok(()));
        assert_eq!(
            check(&rules(&["+44", "+394"], &[]), number),
            Err(Refusal::NotAllowed)
        );
        assert_eq!(
            check(&rules(&[], &[]), number),
            Err(Refusal::NothingAllowed)
        );
        for refusal in [Refusal::NotAllowed, Refusal::NothingAllowed] {
            assert!(
                refusal
                    .to_string()
                    .contains("OPENAGENT_PHONE_ALLOW_PREFIXES"),
                "{refusal}"
            );
        }
        // What admits the unlisted counts for an empty list only.
        let listed = Destinations {
            admit_unlisted: true,
            ..rules(&["+44"], &[])
        };
        assert_eq!(check(&listed, number), Err(Refusal::NotAllowed));
    }

    #[test]
    fn the_deny_list_wins() {
        for allow in ["+39", "+393331234567"] {
            let refusal = check(&rules(&[allow], &["+44", "+39333"]), "+393331234567").unwrap_err();
            assert_eq!(refusal, Refusal::Denied(Prefix::parse("+39333").unwrap()));
            let text = refusal.to_string();
            assert!(text.contains("OPENAGENT_PHONE_DENY_PREFIXES"), "{text}");
            assert!(
                text.contains("+39333") && !text.contains("+393331"),
                "{text}"
            );
        }
        let open = Destinations {
            admit_unlisted: true,
            ..rules(&[], &["+39333"])
        };
        assert!(check(&open, "+393331234567").is_err());
        assert!(check(&rules(&["+1876"], &["+1"]), "+18765550123").is_err());
    }

    #[test]
    fn the_accounts_own_number_is_never_a_destination() {
        let own = "+14155550100";
        for rules in [rules(&["+1", own], &[]), rules(&[], &["+1"]), everything()] {
            assert_eq!(check(&rules, own), Err(Refusal::OwnNumber));
        }
    }

    #[test]
    fn what_is_always_refused_comes_first() {
        let rules = rules(&[], &["+44"]);
        assert!(matches!(
            check(&rules, "+447012345678"),
            Err(Refusal::Never(_))
        ));
        assert!(matches!(
            check(&rules, "+447912345678"),
            Err(Refusal::Denied(_))
        ));
    }

    #[test]
    fn a_bare_one_covers_the_us_and_canada_only() {
        for area in BEYOND_US_AND_CANADA {
            let number = format!("+1{area}5550123");
            let whole = format!("+1{area}");
            for partial in ["+1", &whole[..3], &whole[..4]] {
                let refusal = check(&rules(&[partial], &[]), &number).unwrap_err();
                assert_eq!(refusal, Refusal::NeedsAreaCode(area), "{partial}");
                let text = refusal.to_string();
                assert!(text.contains(&whole), "{text}");
                assert!(text.contains("OPENAGENT_PHONE_ALLOW_PREFIXES"), "{text}");
            }
            for entry in [whole.as_str(), &format!("{whole}555"), &number] {
                assert_eq!(
                    check(&rules(&["+1", entry], &[]), &number),
                    Ok(()),
                    "{entry}"
                );
            }
        }
        for number in [
            "+14165550123",
            "+12125550123",
            "+17875550123",
            "+18125550123",
        ] {
            assert_eq!(check(&rules(&["+1"], &[]), number), Ok(()), "{number}");
        }
        assert_eq!(check(&rules(&["+18"], &[]), "+18125550123"), Ok(()));
    }

    #[test]
    fn every_beginning_in_the_tables_is_refused() {
        let mut starts: Vec<_> = NEVER.iter().map(|(start, _)| (*start).to_owned()).collect();
        for (code, _, premium, shared) in COSTLY {
            let national = premium.split_whitespace().chain(shared.split_whitespace());
            starts.extend(national.map(|start| format!("{code}{start}")));
        }
        for start in starts {
            for digits in [7, 10, 15] {
                let number = format!("{start:2<width$}", width = digits + 1);
                let refusal = check(&everything(), &number).unwrap_err();
                assert!(matches!(refusal, Refusal::Never(_)), "{number}: {refusal}");
            }
        }
        for (start, digits, _) in COSTLY_WHEN_LONG {
            let number = format!("{start:2<width$}", width = digits + 1);
            let refusal = check(&everything(), &number).unwrap_err();
            assert!(matches!(refusal, Refusal::Never(_)), "{number}: {refusal}");
        }
    }
}
