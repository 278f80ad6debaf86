//! Every type of field comes back as it was: numbers digit by digit and bit by bit, texts with
//! whatever is in them, bytes in hexadecimal, errors with their causes.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;

use spandrel_tests::database::Fields;
use spandrel_tests::prelude::*;

/// Records what `body` does and returns the rows.
fn record(body: impl FnOnce()) -> Database {
    let (scratch, profiler) = recording();
    within(&dispatch(&profiler), body);
    let report = profiler.close().unwrap();
    assert_eq!(report.stats.cut, 0);
    ledger::check_complete(scratch.db(), &report)
}

/// The fields of the only span.
fn fields_of(open: impl FnOnce() -> Span) -> Fields {
    let spans = record(|| drop(open())).spans();
    assert_eq!(spans.len(), 1);
    spans[0].fields.clone()
}

#[test]
fn whole_numbers_keep_every_digit() {
    let _limit = time_limit(60);
    let fields = fields_of(|| {
        info_span!(
            "numbers",
            i64_min = i64::MIN,
            i64_max = i64::MAX,
            minus = -1_i64,
            zero = 0_u64,
            i8_min = i8::MIN,
            i16_min = i16::MIN,
            i32_min = i32::MIN,
            i32_max = i32::MAX,
            u8_max = u8::MAX,
            u16_max = u16::MAX,
            u32_max = u32::MAX,
            u64_max = u64::MAX,
            past_i32 = i64::from(i32::MAX) + 1,
            past_u32 = u64::from(u32::MAX) + 1,
            below_i32 = i64::from(i32::MIN) - 1,
            past_i64 = i64::MAX as u64 + 1,
            usize_max = usize::MAX,
            isize_min = isize::MIN,
            nonzero = NonZeroU32::MAX,
            i128_min = i128::MIN,
            i128_max = i128::MAX,
            u128_max = u128::MAX,
            small_i128 = -5_i128,
        )
    });
    let expected: &[(&str, String)] = &[
        ("i64_min", i64::MIN.to_string()),
        ("i64_max", i64::MAX.to_string()),
        ("minus", "-1".into()),
        ("zero", "0".into()),
        ("i8_min", i8::MIN.to_string()),
        ("i16_min", i16::MIN.to_string()),
        ("i32_min", i32::MIN.to_string()),
        ("i32_max", i32::MAX.to_string()),
        ("u8_max", u8::MAX.to_string()),
        ("u16_max", u16::MAX.to_string()),
        ("u32_max", u32::MAX.to_string()),
        ("u64_max", u64::MAX.to_string()),
        ("past_i32", "2147483648".into()),
        ("past_u32", "4294967296".into()),
        ("below_i32", "-2147483649".into()),
        ("past_i64", "9223372036854775808".into()),
        ("usize_max", usize::MAX.to_string()),
        ("isize_min", isize::MIN.to_string()),
        ("nonzero", u32::MAX.to_string()),
        ("i128_min", i128::MIN.to_string()),
        ("i128_max", i128::MAX.to_string()),
        ("u128_max", u128::MAX.to_string()),
        ("small_i128", "-5".into()),
    ];
    for (name, digits) in expected {
        assert_eq!(fields.raw(name), Some(digits.as_str()), "{name}");
    }
    assert_eq!(fields.names().len(), expected.len());
}

#[test]
fn floats_come_back_bit_by_bit() {
    let _limit = time_limit(60);
    let numbers = [
        0.0,
        -0.0,
        1.0,
        -1.5,
        0.1,
        1.0 / 3.0,
        f64::MIN_POSITIVE,
        f64::EPSILON,
        f64::MAX,
        f64::MIN,
        5e-324,
        1e21,
        1e-7,
        123_456_789.123_456_79,
        9_007_199_254_740_993.0,
        1e300,
    ];
    let db = record(|| {
        for (n, number) in numbers.into_iter().enumerate() {
            drop(info_span!("float", n, number));
        }
        drop(info_span!("single", number = 0.1_f32));
        let (nan, inf, minus_inf) = (f64::NAN, f64::INFINITY, f64::NEG_INFINITY);
        drop(info_span!("strange", nan, minus_nan = -nan, inf, minus_inf));
    });
    for span in db.spans().iter().filter(|span| span.name == "float") {
        let number = numbers[span.n() as usize];
        let raw = span.fields.raw("number").unwrap();
        assert_eq!(raw.parse::<f64>().unwrap().to_bits(), number.to_bits(), "{raw} for {number:e}");
    }
    let single = db.span("single").fields;
    assert_eq!(single.raw("number").unwrap().parse::<f64>().unwrap(), f64::from(0.1_f32));
    let strange = db.span("strange").fields;
    assert_eq!(strange.text("nan"), "NaN");
    assert_eq!(strange.text("minus_nan"), "NaN");
    assert_eq!(strange.text("inf"), "inf");
    assert_eq!(strange.text("minus_inf"), "-inf");
}

#[test]
fn texts_come_back_whatever_is_in_them() {
    let _limit = time_limit(60);
    let all_control: String = (0..0x20_u8).chain(0x7f..=0x7f).map(char::from).collect();
    let texts = [
        "",
        " ",
        "plain",
        "\"quoted\" and \\back\\slashed\\",
        "line\nline\r\n\ttab",
        "nul\0in the middle\0",
        "\0",
        "\u{1b}[31mred\u{1b}[0m",
        "bidi \u{202e}txt.exe",
        "\u{85}\u{2028}\u{2029}",
        "umlaut äöü ß",
        "日本語",
        "emoji 🦀👨‍👩‍👧",
        "\u{fffd}\u{10ffff}",
        "'); DROP TABLE span; --",
        "{\"json\": [1, null]}",
        "</script>",
        all_control.as_str(),
    ];
    let db = record(|| {
        for (n, text) in texts.into_iter().enumerate() {
            drop(info_span!("text", n, text, debug = ?text, owned = text.to_owned()));
            info!(n, "{text}");
        }
    });
    for span in db.spans() {
        let text = texts[span.n() as usize];
        assert_eq!(span.fields.text("text"), text);
        assert_eq!(span.fields.text("owned"), text);
        assert_eq!(span.fields.text("debug"), format!("{text:?}"));
    }
    for event in db.events() {
        let text = texts[event.fields.number("n") as usize];
        let message = event.message.unwrap_or_default();
        assert_eq!(message, text, "a message stands in its own column");
    }
    assert_eq!((db.spans().len(), db.events().len()), (texts.len(), texts.len()));
}

#[derive(Debug)]
struct Failure(&'static str, Option<Box<Failure>>);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

#[test]
fn bools_bytes_errors_and_debug() {
    let _limit = time_limit(60);
    let root = Failure("the disk is gone", None);
    let failure = Failure("save", Some(Box::new(Failure("write \"it\"", Some(Box::new(root))))));
    let all: Vec<u8> = (0..=255).collect();
    let fields = fields_of(|| {
        info_span!(
            "mixed", yes = true, no = false, none = field::Empty, bytes = &b"\x00\xffA"[..],
            empty = &b""[..], all = all.as_slice(), cause = &failure as &(dyn Error + 'static),
            debug = ?vec![Some(1), None], display = %failure, option = Some(3),
            missing = None::<u32>, unit = ?(),
        )
    });
    assert_eq!(fields.raw("yes"), Some("true"));
    assert_eq!(fields.raw("no"), Some("false"));
    assert_eq!(fields.raw("none"), None, "never given a value");
    assert_eq!(fields.text("bytes"), "00ff41");
    assert_eq!(fields.text("empty"), "");
    let hex: String = all.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(fields.text("all"), hex);
    assert_eq!(fields.text("cause"), "save: write \"it\": the disk is gone");
    assert_eq!(fields.text("debug"), "[Some(1), None]");
    assert_eq!(fields.text("display"), "save");
    assert_eq!(fields.raw("option"), Some("3"));
    assert_eq!(fields.raw("missing"), None);
    assert_eq!(fields.text("unit"), "()");
}

#[test]
fn names_are_data() {
    let _limit = time_limit(60);
    let fields = fields_of(|| {
        info_span!(
            "a \"name\" with \\ and \u{1f980}",
            "quoted \"name\"" = 1,
            r#type = 2,
            dotted.name = 3,
            "'; DROP TABLE span" = 4,
            "$truncated it" = 5,
            "*" = 6,
            message = "in a span",
            name = "n",
        )
    });
    let mut names = fields.names();
    names.sort_unstable();
    let expected = [
        "$truncated it",
        "'; DROP TABLE span",
        "*",
        "dotted.name",
        "message",
        "name",
        "quoted \"name\"",
        "type",
    ];
    assert_eq!(names, expected);
    assert_eq!(fields.text("message"), "in a span");
}

#[test]
fn a_field_recorded_later_wins_and_a_span_without_fields_has_none() {
    let _limit = time_limit(60);
    let db = record(|| {
        drop(info_span!("without"));
        drop(info_span!("declared", never = field::Empty));
        let span = info_span!("late", first = 1, second = field::Empty, third = "old");
        span.record("second", "in between");
        span.record("third", "new");
        span.record("second", 2);
        span.record("no such field", 1);
        span.record("first", false);
        drop(span);
    });
    let null =
        "SELECT count(*) FROM spans WHERE fields IS NULL AND name IN ('without', 'declared')";
    assert_eq!(db.count(null), 2);
    let late = db.span("late").fields;
    let raw: Vec<_> = ["first", "second", "third"].map(|name| late.raw(name)).to_vec();
    assert_eq!(raw, [Some("false"), Some("2"), Some("\"new\"")]);
}

#[test]
fn a_field_recorded_very_often_has_its_last_value() {
    let _limit = time_limit(60);
    // As a counter of progress is, in a span that lives long.
    let db = record(|| {
        let span = info_span!("often", n = 0, other = "kept");
        (1..=10_000).for_each(|n| {
            span.record("n", n);
        });
    });
    let often = db.span("often").fields;
    assert_eq!((often.number("n"), often.text("other").as_str()), (10_000, "kept"));
}

#[test]
fn many_fields() {
    let _limit = time_limit(60);
    let db = record(|| {
        // As many as a callsite can have in tracing's macros without nesting: 32.
        drop(debug_span!(
            "many",
            f00 = 0,
            f01 = 1,
            f02 = 2,
            f03 = 3,
            f04 = 4,
            f05 = 5,
            f06 = 6,
            f07 = 7,
            f08 = 8,
            f09 = 9,
            f10 = 10,
            f11 = 11,
            f12 = 12,
            f13 = 13,
            f14 = 14,
            f15 = 15,
            f16 = 16,
            f17 = 17,
            f18 = 18,
            f19 = 19,
            f20 = 20,
            f21 = 21,
            f22 = 22,
            f23 = 23,
            f24 = 24,
            f25 = 25,
            f26 = 26,
            f27 = 27,
            f28 = 28,
            f29 = 29,
            f30 = 30,
            f31 = 31,
        ));
    });
    let many = db.span("many").fields;
    for (n, name) in many.names().into_iter().enumerate() {
        assert_eq!(name, format!("f{n:02}"));
        assert_eq!(many.number(name), n as i64);
    }
    assert_eq!(many.names().len(), 32);
}

#[test]
fn a_name_twice_in_one_callsite() {
    let _limit = time_limit(60);
    // Allowed by tracing; a JSON object must not have it.
    let db = record(|| drop(info_span!("twice", same = 1, same = 2)));
    assert_eq!(db.span("twice").fields.names(), ["same"]);
}
