use super::prices::Prices;
use super::*;
use crate::phone::E164;
use crate::realtime::event::{transcribed, usage};

fn tariff(model: &str) -> Tariff {
    let to = E164::parse("+14155550142").unwrap();
    Prices::built_in().tariff(model, "gpt-transcribe", &to, true)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The events of a call, as the service sends them.
fn meter(events: &[&str]) -> Meter {
    let mut meter = Meter::default();
    for event in events {
        if let Some(used) = usage(event.as_bytes()) {
            meter.tokens += used;
        }
        if let Some(heard) = transcribed(event.as_bytes()) {
            meter.transcribed += heard;
        }
    }
    meter
}

/// Two turns, the second of which was interrupted, with the context cached.
const FIRST: &str = r#"{"type":"response.done","response":{"id":"r1","status":"completed","usage":{"total_tokens":1253,"input_tokens":1132,"output_tokens":121,"input_token_details":{"text_tokens":1119,"audio_tokens":13,"cached_tokens":0},"output_token_details":{"text_tokens":30,"audio_tokens":91}}}}"#;
const CANCELLED: &str = r#"{"type":"response.done","response":{"id":"r2","status":"cancelled","status_details":{"type":"cancelled","reason":"turn_detected"},"usage":{"total_tokens":1399,"input_tokens":1332,"output_tokens":67,"input_token_details":{"text_tokens":1199,"audio_tokens":133,"cached_tokens":1216,"cached_tokens_details":{"text_tokens":1088,"audio_tokens":128}},"output_token_details":{"text_tokens":17,"audio_tokens":50}}}}"#;
const HEARD: &str = r#"{"type":"conversation.item.input_audio_transcription.completed","item_id":"i","content_index":0,"transcript":"Hey","usage":{"type":"tokens","total_tokens":22,"input_tokens":13,"input_token_details":{"text_tokens":0,"audio_tokens":13},"output_tokens":9}}"#;
const HEARD_BY_TIME: &str = r#"{"type":"conversation.item.input_audio_transcription.completed","item_id":"j","content_index":0,"transcript":"Hey","usage":{"type":"duration","seconds":1.6}}"#;

#[test]
fn a_call_costs_what_a_pocket_calculator_says() {
    // gpt-realtime-2.1, micro-dollars a token: text 4 / cached 0.4 / out 24, audio 32 / 0.4 / 64.
    //
    // First:      1119 text x 4             = 4476
    //               13 audio x 32           =  416
    //               30 text out x 24        =  720
    //               91 audio out x 64       = 5824      11436
    // Cancelled:  1199 - 1088 = 111 x 4     =  444
    //             1088 cached x 0.4         =  435.2
    //             133 - 128 = 5 x 32        =  160
    //              128 cached audio x 0.4   =   51.2
    //               17 x 24                 =  408
    //               50 x 64                 = 3200       4698.4
    // Heard:        13 tokens = 1.3 s, at 4500 a minute =  97.5
    //               1.6 s                               = 120
    //                                              sum  16351.9, hence 16352
    let meter = meter(&[FIRST, HEARD, CANCELLED, HEARD_BY_TIME]);
    // 61 s are two started minutes: 2 x 14000 voice + 2 x 4000 stream + 7500 machine detection.
    let bill = tariff("gpt-realtime-2.1").bill(&meter, Some(secs(61)));
    assert_eq!(
        bill,
        Some(Bill {
            model: MicroUsd::new(16_352),
            carrier: MicroUsd::new(43_500),
            estimated: true,
        })
    );
    assert_eq!(bill.unwrap().total(), MicroUsd::new(59_852));
    // The mini, 0.6 / 0.06 / 2.4 and 10 / 0.3 / 20:
    // 671.4 + 130 + 72 + 1820 = 2693.4; 66.6 + 65.28 + 50 + 38.4 + 40.8 + 1000 = 1261.08; 217.5
    // sum 4171.98, hence 4172
    let mini = tariff("gpt-realtime-2.1-mini");
    assert_eq!(mini.model(&meter), Some(MicroUsd::new(4_172)));
    // 1.5 writes at 16: (30 + 17) x 8 less than 2.1: 16351.9 - 376 = 15975.9
    let older = tariff("gpt-realtime-1.5");
    assert_eq!(older.model(&meter), Some(MicroUsd::new(15_976)));
}

#[test]
fn twilios_own_price_replaces_the_voice_minutes_alone() {
    let meter = Meter {
        carrier: Some(MicroUsd::new(26_000)),
        ..meter(&[FIRST])
    };
    let bill = tariff("gpt-realtime-2.1").bill(&meter, Some(secs(61)));
    let bill = bill.unwrap();
    assert_eq!(bill.carrier, MicroUsd::new(26_000 + 2 * 4_000 + 7_500));
    assert!(!bill.estimated);
}

#[test]
fn minutes_are_started_ones_and_ringing_is_free() {
    let carrier = |answered| {
        let bill = tariff("gpt-realtime-2.1").bill(&Meter::default(), answered);
        bill.unwrap().carrier.micros()
    };
    assert_eq!(carrier(None), 0);
    assert_eq!(carrier(Some(Duration::ZERO)), 25_500);
    assert_eq!(carrier(Some(secs(60))), 25_500);
    assert_eq!(carrier(Some(Duration::from_millis(60_001))), 43_500);
    let to = E164::parse("+14155550142").unwrap();
    let undetected = Prices::built_in().tariff("gpt-realtime-2.1", "gpt-transcribe", &to, false);
    let bill = undetected.bill(&Meter::default(), Some(secs(1)));
    assert_eq!(bill.unwrap().carrier.micros(), 18_000);
}

#[test]
fn what_is_not_known_gives_no_cost() {
    let prices = Prices::built_in();
    let (us, italy) = (
        E164::parse("+14155550142").unwrap(),
        E164::parse("+390612345678").unwrap(),
    );
    let model = "gpt-realtime-2.1";
    for (tariff, missing) in [
        (tariff("somebody-elses"), Unpriced::Model),
        (
            prices.tariff(model, "whisper-9", &us, true),
            Unpriced::Transcription,
        ),
        (
            prices.tariff(model, "gpt-transcribe", &italy, true),
            Unpriced::Voice,
        ),
    ] {
        assert_eq!(tariff.bill(&meter(&[FIRST]), Some(secs(1))), None);
        assert_eq!(tariff.worst_case(), Err(missing));
    }
    // Twilio's price is known for every country, once it is known.
    let italian = prices.tariff(model, "gpt-transcribe", &italy, true);
    let billed = Meter {
        carrier: Some(MicroUsd::new(20_000)),
        ..Meter::default()
    };
    assert!(italian.bill(&billed, Some(secs(1))).is_some());
    let untold = Meter {
        untold: true,
        ..Meter::default()
    };
    assert_eq!(tariff(model).bill(&untold, Some(secs(1))), None);
}

#[test]
fn a_transcription_by_tokens_is_priced_by_tokens() {
    let prices = Prices::built_in()
        .with("[transcription.mine]\ntext_in = 1\naudio_in = 6\ntext_out = 10")
        .unwrap();
    let to = E164::parse("+14155550142").unwrap();
    let tariff = prices.tariff("gpt-realtime-2.1", "mine", &to, true);
    // 13 x 6 + 9 x 10
    assert_eq!(tariff.model(&meter(&[HEARD])), Some(MicroUsd::new(168)));
    assert_eq!(tariff.model(&meter(&[HEARD_BY_TIME])), None);
}

#[test]
fn the_worst_case_is_the_documented_one() {
    // A minute of gpt-realtime-2.1: 600 x 32 + 1200 x 64 + 1000 x 24 + 200000 x 0.4 = 200000, and
    // 4500 for the transcription. Once: 10000 x 4 + 1200 x 64 = 116800, and for the judgement
    // 1500 x 24 + 40000 x 0.4 = 52000.
    let worst = tariff("gpt-realtime-2.1").worst_case().unwrap();
    assert_eq!(worst.judgement(), MicroUsd::new(52_000));
    // 10 min and 30 s: 10.5 x 204500 + 168800; 11 x 18000 + 7500.
    assert_eq!(
        worst.of(secs(600)),
        MicroUsd::new(2_147_250 + 168_800 + 198_000 + 7_500)
    );
}

#[test]
fn a_share_that_runs_out_is_noticed_before_it_has() {
    let worst = tariff("gpt-realtime-2.1").worst_case().unwrap();
    let left = |spent| worst.time_left(secs(60), MicroUsd::new(spent));
    // 1.5 x 204500 + 116800 = 423550 for the conversation; 25 s of it are 85209.
    assert_eq!(left(0), None);
    assert_eq!(left(423_550 - 85_210), None);
    assert_eq!(left(423_550 - 85_209), Some(secs(20)));
    assert_eq!(left(423_549), Some(secs(20)));
    assert_eq!(left(423_550), Some(Duration::ZERO));
    assert_eq!(left(1_000_000), Some(Duration::ZERO));
}

#[test]
fn texts_are_counted_in_segments() {
    for (text, wanted) in [
        (String::new(), 1),
        ("a".repeat(160), 1),
        ("a".repeat(161), 2),
        ("a".repeat(306), 2),
        ("a".repeat(307), 3),
        ("€".repeat(80), 1),
        ("€".repeat(81), 2),
        ("ж".repeat(70), 1),
        ("ж".repeat(71), 2),
        ("😀".repeat(35), 1),
        ("😀".repeat(36), 2),
    ] {
        assert_eq!(segments(&text), wanted, "{text}");
    }
    let price = MicroUsd::new(8_000);
    let of = |price| message(price, Some(&"a".repeat(161)));
    assert_eq!(of(MessagePrice::PerSegment(price)), MicroUsd::new(16_000));
    assert_eq!(of(MessagePrice::PerMessage(price)), price);
}
