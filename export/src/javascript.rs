//! JSON for viewers in JavaScript, or with its limits; and for data frames, which have 64 bits.
//!
//! JSON numbers have no bounds, but JavaScript reads them as doubles: an integer beyond 2^53 is silently rounded, and
//! trace processor shows one beyond 64 bits as -1. Such numbers are written as strings, and so is `null`, which trace
//! processor omits. It ends strings at NUL and takes the rest for the next string: `␀` replaces NUL.

use super::fields::{self, Value};
use super::text::{self, Quoted, ToJson};

/// The largest integer up to which a double has all integers.
const EXACT_MAX: u64 = (1 << 53) - 1;

/// Replaces NUL.
const NUL: &str = "\u{2400}";

/// Appends a JSON string.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    inner(out, text);
    out.push(b'"');
}

/// Appends the content of a JSON string, without quotes.
pub(super) fn inner(out: &mut Vec<u8>, text: &str) {
    if text.contains('\0') {
        text::json_inner(out, &text.replace('\0', NUL));
    } else {
        text::json_inner(out, text);
    }
}

/// A value for such readers: an integer becomes a string if JavaScript would round it.
pub(super) struct ForJavaScript<T>(pub(super) T);

impl ToJson for ForJavaScript<&str> {
    fn append(&self, out: &mut Vec<u8>) {
        string(out, self.0);
    }
}

impl ToJson for ForJavaScript<i64> {
    fn append(&self, out: &mut Vec<u8>) {
        integer(out, self.0);
    }
}

impl ToJson for ForJavaScript<u64> {
    fn append(&self, out: &mut Vec<u8>) {
        unsigned(out, self.0);
    }
}

/// Appends an integer; as a string if JavaScript would round it.
pub(super) fn integer(out: &mut Vec<u8>, value: i64) {
    match value.unsigned_abs() <= EXACT_MAX {
        true => value.append(out),
        false => Quoted("", value).append(out),
    }
}

/// Appends an unsigned integer; as a string if JavaScript would round it.
pub(super) fn unsigned(out: &mut Vec<u8>, value: u64) {
    match value <= EXACT_MAX {
        true => value.append(out),
        false => Quoted("", value).append(out),
    }
}

/// The reader of the JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    JavaScript,
    /// pandas and polars refuse a whole file for one integer of more than 64 bits.
    DataFrame,
}

/// Appends the fields of a span or event as a JSON object.
pub(super) fn object(out: &mut Vec<u8>, fields: &str) {
    // Nearly all fields need no change.
    let is_plain = !has_odd_numbers(fields, 15) && !fields.contains("null");
    if is_plain && !fields.contains("u0000") && !fields.contains('\0') {
        fields::object(out, fields);
        return;
    }
    let mut json = Vec::with_capacity(fields.len());
    fields::object(&mut json, fields);
    copy(out, &json, Reader::JavaScript);
}

/// The same for data frames: only integers of more than 64 bits become strings.
pub(super) fn object_for_data_frames(out: &mut Vec<u8>, fields: &str) {
    if !has_odd_numbers(fields, 18) {
        fields::object(out, fields);
        return;
    }
    let mut json = Vec::with_capacity(fields.len());
    fields::object(&mut json, fields);
    copy(out, &json, Reader::DataFrame);
}

/// Whether there may be a number with more than `digits_max` digits, or with an exponent.
fn has_odd_numbers(text: &str, digits_max: usize) -> bool {
    let mut digits = 0;
    text.bytes().any(|byte| {
        let ends_number = digits > 0 && matches!(byte, b'e' | b'E');
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        ends_number || digits > digits_max
    })
}

/// Copies JSON, adapted to the reader.
fn copy(out: &mut Vec<u8>, mut json: &[u8], reader: Reader) {
    while let Some(first) = json.first() {
        let length = match first {
            b'"' => copy_string(out, json, reader),
            b'-' | b'0'..=b'9' => copy_number(out, json, reader),
            b'n' if reader == Reader::JavaScript => {
                out.extend_from_slice(b"\"null\"");
                "null".len()
            }
            b't' | b'f' | b'n' => {
                let length = if *first == b'f' { "false".len() } else { "true".len() };
                out.extend_from_slice(json.get(..length).unwrap_or_default());
                length
            }
            other => {
                out.push(*other);
                1
            }
        };
        json = json.get(length..).unwrap_or_default();
    }
}

/// Copies the string at the start of `json`; returns its length.
fn copy_string(out: &mut Vec<u8>, json: &[u8], reader: Reader) -> usize {
    let mut at = 1;
    let mut from = 0;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => {
                at += 1;
                break;
            }
            b'\\' if reader == Reader::JavaScript && json.get(at + 1..at + 6) == Some(b"u0000") => {
                out.extend_from_slice(json.get(from..at).unwrap_or_default());
                out.extend_from_slice(NUL.as_bytes());
                at += 6;
                from = at;
            }
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    let at = at.min(json.len());
    out.extend_from_slice(json.get(from..at).unwrap_or_default());
    at
}

/// Copies the number at the start of `json`; returns its length.
fn copy_number(out: &mut Vec<u8>, json: &[u8], reader: Reader) -> usize {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let length = json.iter().take_while(|byte| is_part(byte)).count();
    let number = json.get(..length).unwrap_or_default();
    if is_read_exactly(number, reader) {
        out.extend_from_slice(number);
    } else {
        out.push(b'"');
        out.extend_from_slice(number);
        out.push(b'"');
    }
    length
}

/// Whether the reader gets the number as it is written; a fraction may be rounded to its neighbour.
fn is_read_exactly(number: &[u8], reader: Reader) -> bool {
    let Ok(text) = std::str::from_utf8(number) else { return false };
    if text.contains(['.', 'e', 'E']) {
        return text.parse::<f64>().is_ok_and(f64::is_finite);
    }
    match reader {
        Reader::JavaScript => {
            text.parse::<i64>().is_ok_and(|value| value.unsigned_abs() <= EXACT_MAX)
        }
        Reader::DataFrame => text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok(),
    }
}

/// Appends fields as words, for viewers that show one line: `route=/cart shard=7`, cut at `bytes_max`.
pub(super) fn words(out: &mut String, fields: &str, bytes_max: usize) {
    let bytes_max = out.len() + bytes_max;
    let mut is_full = false;
    let mut push = |text: &str| {
        if is_full {
            return;
        }
        let mut end = text.len().min(bytes_max.saturating_sub(out.len()));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        out.push_str(text.get(..end).unwrap_or_default());
        is_full = end < text.len();
        if is_full {
            out.push('…');
        }
    };
    let mut is_first = true;
    fields::each(fields, &mut |key, value| {
        if !is_first {
            push(" ");
        }
        is_first = false;
        push(key);
        push("=");
        match value {
            Value::Bool(value) => push(if value { "true" } else { "false" }),
            Value::Integer(value) => push(&value.to_string()),
            Value::Unsigned(value) => push(&value.to_string()),
            Value::Float(value) => push(&value.to_string()),
            Value::Text(value) => push(&value),
            Value::Json(value) => push(value),
        }
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_double_has_not_is_text() {
        let fields = r#"{"a":9007199254740991,"b":-9007199254740992,"c":[18446744073709551615,
            {"d":340282366920938463463374607431768211455}, null,true ,false],"e":1.5e3,"f":1e999,"g 9007199254740993":"9007199254740993"}"#;
        let expected = r#"{"a":9007199254740991,"b":"-9007199254740992","c":["18446744073709551615",             {"d":"340282366920938463463374607431768211455"}, "null",true ,false],"e":1.5e3,"f":"1e999","g 9007199254740993":"9007199254740993"}"#;
        assert_eq!(text(|out| object(out, fields)), expected);
        for (value, expected) in [
            (0, "0"),
            (-9_007_199_254_740_991, "-9007199254740991"),
            (-9_007_199_254_740_992, "\"-9007199254740992\""),
            (9_007_199_254_740_992, "\"9007199254740992\""),
            (i64::MIN, "\"-9223372036854775808\""),
        ] {
            assert_eq!(text(|out| integer(out, value)), expected);
        }
    }

    #[test]
    fn what_has_more_than_64_bits_is_text_in_data_frames() {
        let fields = r#"{"a":18446744073709551615,"b":[-9223372036854775808,null],
            "c":18446744073709551616,"d":"\u0000 18446744073709551616","e":1e400}"#;
        let expected = r#"{"a":18446744073709551615,"b":[-9223372036854775808,null],             "c":"18446744073709551616","d":"\u0000 18446744073709551616","e":"1e400"}"#;
        assert_eq!(text(|out| object_for_data_frames(out, fields)), expected);
        assert_eq!(text(|out| object_for_data_frames(out, "{\"e\":1e400}")), "{\"e\":\"1e400\"}");
        let fields = r#"{"a":1,"b":null,"c":"\u0000"}"#;
        assert_eq!(text(|out| object_for_data_frames(out, fields)), fields);
    }

    #[test]
    fn nul_is_shown() {
        assert_eq!(text(|out| string(out, "\0a")), "\"\u{2400}a\"");
        let fields = r#"{"\u0000k":"\\u0000\u0000\"","u":"\u0001"}"#;
        let expected = "{\"\u{2400}k\":\"\\\\u0000\u{2400}\\\"\",\"u\":\"\\u0001\"}";
        assert_eq!(text(|out| object(out, fields)), expected);
    }

    #[test]
    fn words_are_cut_between_characters() {
        let mut out = String::from("ok ");
        words(&mut out, r#"{"a":1,"b":"two"}"#, 200);
        assert_eq!(out, "ok a=1 b=two");
        let mut out = String::new();
        words(&mut out, "{\"a\":\"\u{e9}\u{e9}\u{e9}\",\"b\":1}", 5);
        assert_eq!(out, "a=\u{e9}…");
    }

    proptest! {
        #[test]
        fn all_else_stays(pairs in proptest::collection::btree_map(
            "[^\0]*", ("[^\0]*", -9_007_199_254_740_991_i64..9_007_199_254_740_991, any::<bool>()), 0..6))
        {
            let fields = serde_json::to_string(&pairs).unwrap();
            prop_assert_eq!(text(|out| object(out, &fields)), fields);
        }
    }
}
