//! Tables of the world's numbering plans, as far as safety needs them. Sources: the ITU's list of
//! country codes and the national numbering plans; checked against the metadata of Google's
//! libphonenumber.

/// Beginnings that are always refused and are not a country's premium or shared cost.
pub(super) const NEVER: &[(&str, &str)] = &[
    // Codes that belong to no country.
    ("+808", "international shared cost"),
    ("+870", "Inmarsat satellite"),
    ("+871", "Inmarsat satellite"),
    ("+872", "Inmarsat satellite"),
    ("+873", "Inmarsat satellite"),
    ("+874", "Inmarsat satellite"),
    ("+878", "universal personal numbers"),
    ("+881", "satellite networks"),
    ("+882", "international and satellite networks"),
    ("+883", "international networks"),
    ("+888", "disaster relief"),
    ("+979", "international premium rate"),
    // Services within a country.
    (
        "+391",
        "service numbers in Italy, from emergency to shared cost",
    ),
    ("+4470", "personal numbers in the UK"),
    (
        "+4911",
        "emergency, service and directory numbers in Germany",
    ),
];

/// Where a call costs the caller extra: the country code, the country, and what national
/// numbers begin with if they are premium rate (televoting and dial-in services included)
/// or shared cost.
///
/// A beginning stands here only if no ordinary landline or mobile has it: Argentina's
/// mobiles begin with +549, Hong Kong's with +8529, Dublin's landlines with +35315.
pub(super) const COSTLY: &[(&str, &str, &str, &str)] = &[
    // Western Europe.
    ("+31", "the Netherlands", "900 906 909", ""),
    ("+32", "Belgium", "90 70", "7879"),
    ("+33", "France", "8", ""),
    ("+34", "Spain", "803 806 807 905 907", "901 902"),
    (
        "+351",
        "Portugal",
        "601 607 608 646 648 760 761 762",
        "707 708 808 809",
    ),
    ("+352", "Luxembourg", "900 901 905", "801"),
    ("+356", "Malta", "50 51 52", ""),
    ("+378", "San Marino", "71 77 78", ""),
    ("+39", "Italy", "89", "84"),
    ("+41", "Switzerland", "90", "84"),
    ("+423", "Liechtenstein", "90", ""),
    ("+43", "Austria", "900 901 930 931 939", "810 820 821 828"),
    ("+44", "the UK", "9", "84 87"),
    ("+49", "Germany", "900 190 137 138", "180"),
    // France overseas.
    ("+262", "Réunion", "89", "81 82 84"),
    ("+590", "Guadeloupe", "81 82 89", ""),
    ("+594", "French Guiana", "81 82 89", ""),
    ("+596", "Martinique", "81 82 89", ""),
    // Northern Europe.
    ("+298", "the Faroe Islands", "90", ""),
    ("+354", "Iceland", "90", ""),
    ("+358", "Finland", "600 700", ""),
    ("+370", "Lithuania", "900 902 903 909 910", "808"),
    ("+371", "Latvia", "90", "81"),
    ("+372", "Estonia", "900", ""),
    ("+45", "Denmark", "90", ""),
    ("+46", "Sweden", "900 939 944 99", "77"),
    ("+47", "Norway", "820 829", "810"),
    // Central, southern and eastern Europe.
    ("+30", "Greece", "901 909", "801 806 812 825 850 875"),
    ("+355", "Albania", "900", "808"),
    ("+357", "Cyprus", "900 909", ""),
    ("+359", "Bulgaria", "90", "700"),
    ("+36", "Hungary", "90 91", ""),
    ("+373", "Moldova", "900 905 906", "808"),
    ("+375", "Belarus", "902", ""),
    ("+380", "Ukraine", "900", ""),
    ("+381", "Serbia", "78 90", ""),
    ("+382", "Montenegro", "94 95", ""),
    ("+383", "Kosovo", "900", ""),
    ("+385", "Croatia", "60 61 64 65 69", ""),
    ("+386", "Slovenia", "89 90", ""),
    ("+387", "Bosnia and Herzegovina", "9", "81 82"),
    ("+389", "North Macedonia", "5", ""),
    ("+40", "Romania", "90", "801"),
    ("+420", "Czechia", "900 905 906 908 909 976", "81 83 84"),
    ("+421", "Slovakia", "900 97 98", "85"),
    ("+48", "Poland", "70", "801"),
    ("+7", "Russia and Kazakhstan", "803 809", ""),
    ("+90", "Turkey", "900 888 898", ""),
    // Middle East and Africa.
    ("+20", "Egypt", "900", ""),
    ("+212", "Morocco", "89", ""),
    ("+216", "Tunisia", "88", ""),
    ("+221", "Senegal", "884 886 888 889", ""),
    ("+230", "Mauritius", "30", ""),
    ("+240", "Equatorial Guinea", "90", ""),
    ("+248", "the Seychelles", "85", ""),
    ("+250", "Rwanda", "900", ""),
    ("+254", "Kenya", "900", ""),
    ("+255", "Tanzania", "90", "840 860 861"),
    ("+256", "Uganda", "901 902 903", ""),
    ("+264", "Namibia", "870", ""),
    ("+267", "Botswana", "90", ""),
    ("+268", "Eswatini", "900", ""),
    (
        "+27",
        "South Africa",
        "862 863 864 865 866 867 868 869 90",
        "860 861",
    ),
    ("+962", "Jordan", "900", "85"),
    ("+966", "Saudi Arabia", "925", "920"),
    ("+968", "Oman", "900", ""),
    ("+970", "Palestine", "", "1700"),
    ("+971", "the Emirates", "900", "700"),
    ("+972", "Israel", "12 19", "17"),
    ("+374", "Armenia", "900 901 906", ""),
    ("+994", "Azerbaijan", "900", ""),
    // Asia and the Pacific.
    ("+61", "Australia", "19", "13"),
    ("+62", "Indonesia", "809", "804"),
    ("+64", "New Zealand", "90", ""),
    ("+65", "Singapore", "1900", ""),
    ("+81", "Japan", "990", "570"),
    ("+82", "South Korea", "60", ""),
    ("+84", "Vietnam", "1900", ""),
    ("+92", "Pakistan", "900", ""),
    // Latin America.
    ("+297", "Aruba", "900", ""),
    ("+502", "Guatemala", "19", ""),
    ("+503", "El Salvador", "900", ""),
    ("+506", "Costa Rica", "900 905 909", ""),
    ("+51", "Peru", "805", "801"),
    ("+52", "Mexico", "900", "300"),
    ("+54", "Argentina", "60", ""),
    ("+55", "Brazil", "300 303 500 900", ""),
    ("+57", "Colombia", "19", ""),
    ("+58", "Venezuela", "900 901", ""),
    ("+598", "Uruguay", "90", ""),
];

/// Costly ranges that begin like ordinary numbers and differ by their length: what a
/// number begins with, the fewest digits it then has, and what it is.
pub(super) const COSTLY_WHEN_LONG: &[(&str, usize, &str)] = &[
    // Dublin, +353 1 5xx xxxx, has eleven digits.
    ("+35315", 13, "premium rate in Ireland"),
    ("+353185", 13, "shared cost in Ireland"),
    ("+353189", 13, "shared cost in Ireland"),
    // Mobiles, +852 9xxx xxxx, have eleven digits.
    ("+852900", 14, "premium rate in Hong Kong"),
    // Ordinary numbers have at most eleven digits, in India twelve.
    ("+56600", 12, "shared cost in Chile"),
    ("+661900", 12, "premium rate in Thailand"),
    ("+91186", 13, "shared cost in India"),
];

/// Country codes whose national numbers never begin with 0. There a 0 is the trunk digit
/// of domestic dialling; some carriers drop it, and `+44 0 70` would become `+44 70`.
pub(super) const NO_ZERO: &[&str] = &[
    "+20", "+212", "+27", "+30", "+31", "+32", "+33", "+34", "+351", "+353", "+354", "+358",
    "+359", "+36", "+380", "+381", "+385", "+386", "+40", "+41", "+420", "+421", "+43", "+44",
    "+45", "+46", "+48", "+49", "+51", "+52", "+54", "+55", "+61", "+62", "+64", "+65", "+66",
    "+7", "+81", "+82", "+84", "+90", "+91", "+92", "+966", "+971", "+972",
];

/// The fewest digits after the country code, for plans regular enough to know. Anything
/// shorter is an emergency or short code behind a country code, or a typing slip.
pub(super) const SHORTEST: &[(usize, &[&str])] = &[
    (6, &["+39", "+40", "+421"]),
    (7, &["+31", "+353", "+354", "+372", "+48", "+61", "+90"]),
    (
        8,
        &[
            "+216", "+32", "+36", "+370", "+371", "+45", "+47", "+51", "+65", "+66", "+852", "+91",
        ],
    ),
    (
        9,
        &[
            "+212", "+27", "+33", "+34", "+351", "+380", "+41", "+420", "+44", "+55", "+56", "+81",
        ],
    ),
    (10, &["+30", "+52", "+54", "+58", "+7"]),
];

/// Area codes behind +1 outside the United States and Canada, a classic of toll fraud.
pub(super) const BEYOND_US_AND_CANADA: &[&str] = &[
    "242", "246", "264", "268", "284", "345", "441", "473", "649", "658", "664", "721", "758",
    "767", "784", "809", "829", "849", "868", "869", "876",
];

/// `+1` and an area code: the shortest allow-list entry that admits one of those.
pub(crate) const AREA_ENTRY_LEN: usize = "+1876".len();
