//! The language of a call.

use std::fmt;
use std::str::FromStr;

/// A BCP 47 language tag, such as `en-US` or `zh-Hant-TW`, in its usual spelling.
///
/// Only its form is checked: which languages a model speaks is not for us to say, and a tag that
/// is not in our table costs no more than its English name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Language(String);

/// Not a language tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "language {0:?} is not a BCP 47 tag: use a language code, with a region if it matters, such \
     as en-US, it-IT, pt-BR or zh-Hant-TW"
)]
pub struct BadLanguage(String);

/// Longer tags exist, but nobody speaks them (RFC 5646, 4.4.1 asks for room for 35).
const MAX_TAG: usize = 35;

impl Default for Language {
    /// `en-US`, as the contract has it.
    fn default() -> Self {
        Self("en-US".to_owned())
    }
}

impl FromStr for Language {
    type Err = BadLanguage;

    fn from_str(text: &str) -> Result<Self, BadLanguage> {
        let bad = || BadLanguage(text.chars().take(MAX_TAG).collect());
        let trimmed = text.trim();
        if trimmed.len() > MAX_TAG {
            return Err(bad());
        }
        let mut tag = String::with_capacity(trimmed.len());
        let mut in_extension = false;
        // "en_US" is how operating systems spell it.
        for (place, subtag) in trimmed.split(['-', '_']).enumerate() {
            let alphabetic = subtag.bytes().all(|b| b.is_ascii_alphabetic());
            if place == 0 {
                if !alphabetic || !(2..=3).contains(&subtag.len()) {
                    return Err(bad());
                }
                tag.push_str(current(&subtag.to_ascii_lowercase()));
                continue;
            }
            if !(1..=8).contains(&subtag.len())
                || !subtag.bytes().all(|b| b.is_ascii_alphanumeric())
            {
                return Err(bad());
            }
            tag.push('-');
            let lower = subtag.to_ascii_lowercase();
            match subtag.len() {
                2 if alphabetic && !in_extension => tag.push_str(&subtag.to_ascii_uppercase()),
                4 if alphabetic && !in_extension => {
                    tag.push_str(&lower[..1].to_ascii_uppercase());
                    tag.push_str(&lower[1..]);
                }
                length => {
                    // A single character opens an extension, which is all lower case.
                    in_extension |= length == 1;
                    tag.push_str(&lower);
                }
            }
        }
        Ok(Self(tag))
    }
}

/// The code in use today for one that was given up in 1989 or has a shorter form.
fn current(primary: &str) -> &str {
    match primary {
        "iw" => "he",
        "in" => "id",
        "ji" => "yi",
        "cmn" => "zh",
        "arb" => "ar",
        "tl" => "fil",
        other => other,
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Language {
    /// The tag.
    pub fn tag(&self) -> &str {
        &self.0
    }

    /// The language without script and region: `en`, `zh`.
    pub fn primary(&self) -> &str {
        self.0.split('-').next().unwrap_or(&self.0)
    }

    /// The tag with a region, as a carrier's voices want it: the usual one if the tag has none.
    pub fn with_region(&self) -> String {
        let tag = self.tag();
        let region = match self.primary() {
            _ if tag.contains('-') => return tag.to_owned(),
            "en" => "US",
            "ja" => "JP",
            "ko" => "KR",
            "zh" => "CN",
            "cs" => "CZ",
            "da" => "DK",
            "sv" => "SE",
            "el" => "GR",
            "uk" => "UA",
            "he" => "IL",
            "hi" => "IN",
            "ar" => "XA",
            "vi" => "VN",
            "no" => return "nb-NO".to_owned(),
            "nb" => "NO",
            "ca" => "ES",
            primary => return format!("{primary}-{}", primary.to_uppercase()),
        };
        format!("{tag}-{region}")
    }

    /// Chinese in the characters of Taiwan, Hong Kong and Macau.
    pub(super) fn is_traditional_chinese(&self) -> bool {
        let written = |wanted| self.0.split('-').skip(1).any(|subtag| subtag == wanted);
        match self.primary() {
            "yue" => true,
            "zh" => {
                let region = ["TW", "HK", "MO"].into_iter().any(written);
                written("Hant") || (region && !written("Hans"))
            }
            _ => false,
        }
    }

    /// For a prompt: "Italian (it-IT)"; for a language not in the table, "the language it-IT".
    pub fn name(&self) -> String {
        match self.row() {
            Some((_, name)) => format!("{name} ({self})"),
            None => format!("the language {self}"),
        }
    }

    /// The two-letter code a transcriber knows, if there is one.
    ///
    /// Only for languages in the table: a code that the service does not know would make it
    /// refuse the whole session, while without one it finds out by itself.
    pub fn iso_639_1(&self) -> Option<&'static str> {
        match self.row()?.0 {
            // Speech services know Norwegian by its common code.
            "nb" => Some("no"),
            code => (code.len() == 2).then_some(code),
        }
    }

    fn row(&self) -> Option<(&'static str, &'static str)> {
        let primary = self.primary();
        NAMES.iter().copied().find(|(code, _)| *code == primary)
    }
}

/// Languages that speech models are known to speak, with their English names.
const NAMES: &[(&str, &str)] = &[
    ("af", "Afrikaans"),
    ("am", "Amharic"),
    ("ar", "Arabic"),
    ("az", "Azerbaijani"),
    ("be", "Belarusian"),
    ("bg", "Bulgarian"),
    ("bn", "Bengali"),
    ("bs", "Bosnian"),
    ("ca", "Catalan"),
    ("cs", "Czech"),
    ("cy", "Welsh"),
    ("da", "Danish"),
    ("de", "German"),
    ("el", "Greek"),
    ("en", "English"),
    ("es", "Spanish"),
    ("et", "Estonian"),
    ("eu", "Basque"),
    ("fa", "Persian"),
    ("fi", "Finnish"),
    ("fil", "Filipino"),
    ("fr", "French"),
    ("gl", "Galician"),
    ("gu", "Gujarati"),
    ("he", "Hebrew"),
    ("hi", "Hindi"),
    ("hr", "Croatian"),
    ("hu", "Hungarian"),
    ("hy", "Armenian"),
    ("id", "Indonesian"),
    ("is", "Icelandic"),
    ("it", "Italian"),
    ("ja", "Japanese"),
    ("ka", "Georgian"),
    ("kk", "Kazakh"),
    ("kn", "Kannada"),
    ("ko", "Korean"),
    ("lt", "Lithuanian"),
    ("lv", "Latvian"),
    ("mi", "Maori"),
    ("mk", "Macedonian"),
    ("ml", "Malayalam"),
    ("mn", "Mongolian"),
    ("mr", "Marathi"),
    ("ms", "Malay"),
    ("my", "Burmese"),
    ("nb", "Norwegian Bokmål"),
    ("ne", "Nepali"),
    ("nl", "Dutch"),
    ("nn", "Norwegian Nynorsk"),
    ("no", "Norwegian"),
    ("pa", "Punjabi"),
    ("pl", "Polish"),
    ("pt", "Portuguese"),
    ("ro", "Romanian"),
    ("ru", "Russian"),
    ("si", "Sinhala"),
    ("sk", "Slovak"),
    ("sl", "Slovenian"),
    ("so", "Somali"),
    ("sq", "Albanian"),
    ("sr", "Serbian"),
    ("sv", "Swedish"),
    ("sw", "Swahili"),
    ("ta", "Tamil"),
    ("te", "Telugu"),
    ("th", "Thai"),
    ("tr", "Turkish"),
    ("uk", "Ukrainian"),
    ("ur", "Urdu"),
    ("uz", "Uzbek"),
    ("vi", "Vietnamese"),
    ("yi", "Yiddish"),
    ("yue", "Cantonese"),
    ("zh", "Chinese"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_get_their_usual_spelling() {
        for (given, tag, primary) in [
            ("en", "en", "en"),
            ("EN-us", "en-US", "en"),
            (" en_gb ", "en-GB", "en"),
            ("zh-hant-tw", "zh-Hant-TW", "zh"),
            ("es-419", "es-419", "es"),
            ("fil", "fil", "fil"),
            ("iw-IL", "he-IL", "he"),
            ("cmn-Hans-CN", "zh-Hans-CN", "zh"),
            ("DE-ch-1996", "de-CH-1996", "de"),
            ("en-U-CA-Gregory", "en-u-ca-gregory", "en"),
        ] {
            let language: Language = given.parse().unwrap();
            assert_eq!(language.tag(), tag);
            assert_eq!(language.primary(), primary);
            // Its own spelling is a fixed point.
            assert_eq!(tag.parse::<Language>().as_ref(), Ok(&language));
        }
    }

    #[test]
    fn everything_else_is_refused_with_an_example() {
        for bad in [
            "",
            " ",
            "e",
            "english",
            "Italian",
            "en-",
            "-US",
            "en--US",
            "en US",
            "e1",
            "日本語",
            "en-ünited",
            "en\nUS",
            "en-US.UTF-8",
            "en-toolongsubtag",
            "en-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa",
        ] {
            let told = bad.parse::<Language>().unwrap_err().to_string();
            assert!(told.contains("en-US") && told.len() < 250, "{told}");
            assert!(!told.contains('\n'));
        }
    }

    #[test]
    fn names_are_english() {
        for (tag, name) in [
            ("it-IT", "Italian (it-IT)"),
            ("zh-Hant-TW", "Chinese (zh-Hant-TW)"),
            ("sw", "Swahili (sw)"),
            ("tlh", "the language tlh"),
        ] {
            assert_eq!(tag.parse::<Language>().unwrap().name(), name);
        }
        assert_eq!(Language::default().name(), "English (en-US)");
        assert!(NAMES.len() >= 60);
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn transcribers_get_a_code_they_know() {
        for (tag, code) in [
            ("en-US", Some("en")),
            ("nb", Some("no")),
            ("nn-NO", Some("nn")),
            ("tl-PH", None),
            ("yue", None),
            ("qq", None),
        ] {
            assert_eq!(tag.parse::<Language>().unwrap().iso_639_1(), code, "{tag}");
        }
    }

    #[test]
    fn traditional_chinese_is_told_apart() {
        for (tag, traditional) in [
            ("zh", false),
            ("zh-CN", false),
            ("zh-TW", true),
            ("zh-HK", true),
            ("zh-Hant", true),
            ("zh-Hans-HK", false),
            ("yue-HK", true),
            ("ja-JP", false),
        ] {
            let language: Language = tag.parse().unwrap();
            assert_eq!(language.is_traditional_chinese(), traditional, "{tag}");
        }
    }
}
