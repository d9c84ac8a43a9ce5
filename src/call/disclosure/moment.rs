//! "One moment, please.", in the languages of the disclosure.

/// What stands for a language that is not among them.
pub(super) const ENGLISH: &str = "One moment, please.";

/// By the name of its [row](super::sentences).
pub(super) fn sentence(language: &str) -> &'static str {
    match language {
        "ar" => "لحظة من فضلك.",
        "bg" => "Един момент, моля.",
        "ca" => "Un moment, si us plau.",
        "cs" | "sk" => "Moment, prosím.",
        "da" => "Et øjeblik.",
        "de" => "Einen Moment, bitte.",
        "el" => "Μια στιγμή, παρακαλώ.",
        "es" => "Un momento, por favor.",
        "et" => "Üks hetk, palun.",
        "fa" => "یک لحظه لطفاً.",
        "fi" => "Hetkinen, olkaa hyvä.",
        "fr" => "Un instant, s'il vous plaît.",
        "he" => "רגע אחד, בבקשה.",
        "hi" => "कृपया एक क्षण रुकिए।",
        "hr" => "Trenutak, molim.",
        "hu" => "Egy pillanat, kérem.",
        "id" => "Mohon tunggu sebentar.",
        "it" => "Un momento, per favore.",
        "ja" => "少々お待ちください。",
        "ko" => "잠시만 기다려 주세요.",
        "lt" => "Minutėlę, prašau.",
        "lv" => "Vienu mirkli, lūdzu.",
        "ms" => "Sila tunggu sebentar.",
        "nl" => "Een ogenblik, alstublieft.",
        "no" => "Et øyeblikk, vær så snill.",
        "pl" => "Chwileczkę, proszę.",
        "pt" => "Um momento, por favor.",
        "ro" => "Un moment, vă rog.",
        "ru" => "Одну минуту, пожалуйста.",
        "sl" => "Trenutek, prosim.",
        "sr" => "Тренутак, молим.",
        "sv" => "Ett ögonblick, tack.",
        "th" => "รอสักครู่นะคะ",
        "tr" => "Bir dakika lütfen.",
        "uk" => "Хвилинку, будь ласка.",
        "vi" => "Xin vui lòng chờ một chút.",
        "zh" => "请稍等。",
        "zh-Hant" => "請稍候。",
        _ => ENGLISH,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sentences::SENTENCES;
    use super::*;

    #[test]
    fn there_is_one_for_every_language_of_the_disclosure() {
        for row in SENTENCES {
            let sentence = sentence(row.language);
            assert_ne!(sentence, ENGLISH, "{}", row.language);
            assert!(
                sentence.len() <= 100 && !sentence.contains('"'),
                "{sentence}"
            );
        }
    }
}
