//! What the model makes of a text: a few rules that find what matters in it.

/// Announcements while on hold; none of them is a person.
const ANNOUNCEMENTS: &[&str] = &[
    "one moment",
    "hold on",
    "please hold",
    "hold the line",
    "your call is important",
    "lines are busy",
    "will be with you",
];

/// Whether nobody is there to talk to: music (no words), or a recording that asks for patience.
pub(super) fn is_announcement(text: &str) -> bool {
    let lower = text.to_lowercase();
    text.trim().is_empty() || ANNOUNCEMENTS.iter().any(|phrase| lower.contains(phrase))
}

/// The options of a menu, as the digits to press: first the one that has a word of `mission` in it,
/// then the others as they are read.
pub(super) fn menu_options(menu: &str, mission: &str) -> Vec<String> {
    let menu = menu.to_lowercase();
    let mission = mission.to_lowercase();
    let word = |word: &str| word.chars().count() > 4 && mission.contains(word);
    let mut options = Vec::new();
    let mut wanted = None;
    let mut rest = menu.as_str();
    while let Some((before, after)) = rest.split_once("press ") {
        let end = after
            .find(|c: char| !c.is_ascii_digit() && !"*#".contains(c))
            .unwrap_or(after.len());
        let (keys, after) = after.split_at(end);
        if !keys.is_empty() {
            let about = before
                .rsplit(['.', ';', '!', '?'])
                .next()
                .unwrap_or_default();
            if about.split(|c: char| !c.is_alphanumeric()).any(word) {
                wanted.get_or_insert(options.len());
            }
            options.push(keys.to_owned());
        }
        rest = after;
    }
    if let Some(wanted) = wanted {
        options[..=wanted].rotate_right(1);
    }
    options
}

/// What instructions say about a menu that comes back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MenuRules {
    /// Another option is to be tried.
    pub(super) another: bool,
    /// At this time it is to be given up.
    pub(super) given_up_at: Option<usize>,
}

const ORDINALS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

impl MenuRules {
    pub(super) fn of(instructions: &str) -> Self {
        let lower = instructions.to_lowercase();
        let about_menus = || lower.split('.').filter(|text| text.contains("menu"));
        let limit = |text: &str| {
            let gives_up = text.contains("goodbye") || text.contains("end the call");
            let is_named = |name: &&str| text.contains(&format!("at the {name} time"));
            let at = ORDINALS.iter().position(is_named)?;
            gives_up.then_some(at + 1)
        };
        Self {
            another: about_menus().any(|text| text.contains("another option")),
            given_up_at: about_menus().find_map(limit),
        }
    }
}

/// What stands between `<tag>` and `</tag>`.
pub(super) fn tagged<'a>(tag: &str, text: &'a str) -> Option<&'a str> {
    let (_, after) = text.split_once(&format!("<{tag}>"))?;
    let (inner, _) = after.split_once(&format!("</{tag}>"))?;
    Some(inner.trim())
}

/// What stands in quotation marks, without what follows them; all of it, if there are none.
pub(super) fn unquoted(text: &str) -> &str {
    let text = text.trim();
    for (open, close) in [('"', '"'), ('“', '”'), ('«', '»')] {
        let quoted = text.strip_prefix(open).and_then(|t| t.rsplit_once(close));
        if let Some((inner, _)) = quoted {
            return inner.trim();
        }
    }
    text
}

/// The first two sentences under the heading that announces the goal.
pub(super) fn mission(instructions: &str) -> String {
    let announces = |line: &&str| {
        let lower = line.to_lowercase();
        line.starts_with('#') && (lower.contains("goal") || lower.contains("mission"))
    };
    let mut lines = instructions.lines().skip_while(|line| !announces(line));
    lines.next();
    let section: Vec<&str> = lines
        .take_while(|line| !line.starts_with('#'))
        .map(str::trim)
        .collect();
    // What is set apart by a tag is the mission; what stands before it explains the tag.
    let from = section
        .iter()
        .position(|line| line.starts_with('<'))
        .unwrap_or(0);
    let text = section[from..]
        .iter()
        .copied()
        // Fences and tags that set the mission apart are not part of it.
        .filter(|line| !line.starts_with("```") && !line.starts_with('<'))
        .collect::<Vec<_>>()
        .join(" ");
    let mut ends = text.char_indices().filter(|(at, c)| {
        ".!?".contains(*c)
            && text[at + 1..]
                .chars()
                .next()
                .is_none_or(char::is_whitespace)
    });
    let end = match (ends.next(), ends.next()) {
        (_, Some((second, _))) => second + 1,
        _ => text.len(),
    };
    let text = text[..end].trim();
    let short: String = text.chars().take(300).collect();
    match short.chars().last() {
        None => "a short question.".to_owned(),
        Some('.' | '!' | '?') => short,
        Some(_) => short + ".",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_that_fits_the_mission_comes_first() {
        let menu = "Welcome. For invoices, press 1. For an appointment, press 2#. Press 9 to hear this again.";
        let keys = |mission| menu_options(menu, mission);
        assert_eq!(keys("Move my appointment."), ["2#", "1", "9"]);
        assert_eq!(keys("Order flowers."), ["1", "2#", "9"]);
        assert!(menu_options("Press any key.", "").is_empty());
    }

    #[test]
    fn what_instructions_say_about_menus() {
        let rules = |text| {
            let rules = MenuRules::of(text);
            (rules.another, rules.given_up_at)
        };
        let menus = "If the same menu comes back, try another option. At the fourth time, note that \
                     the menu leads nowhere, and say goodbye.";
        assert_eq!(rules(menus), (true, Some(4)));
        assert_eq!(rules("Hear the menu to its end."), (false, None));
        assert_eq!(
            rules("Ask for another option. At the second time, end the call."),
            (false, None),
            "not about menus"
        );
    }

    #[test]
    fn music_and_announcements_are_nobody() {
        for nobody in ["", " ", "Please hold.", "All lines are busy at the moment."] {
            assert!(is_announcement(nobody), "{nobody:?}");
        }
        assert!(!is_announcement("Hello, this is the reception."));
    }

    #[test]
    fn tags_and_quotation_marks() {
        assert_eq!(tagged("a", "x <a>\ny\n</a> z"), Some("y"));
        assert_eq!(tagged("a", "x <a> y"), None);
        assert_eq!(unquoted("\"Hello.\" And smile."), "Hello.");
        assert_eq!(unquoted("Hello."), "Hello.");
    }

    #[test]
    fn the_mission_without_a_heading_or_an_end() {
        assert_eq!(mission("Be nice."), "a short question.");
        assert_eq!(mission("## Mission\nask for Anna"), "ask for Anna.");
    }
}
