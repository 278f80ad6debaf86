//! Field values as JSON text, straight into the batch.

use std::fmt::Write as _;

use crate::fields::{FieldValue, Value};

/// The reserved key under which an object says what was cut: the original length in bytes by field,
/// and `"*": null` if whole fields were left out.
const CUT_KEY: &str = "$cut";

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => push_display(out, format_args!("\\u{control:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// Appends anything that can be displayed.
fn push_display(out: &mut String, value: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _infallible = out.write_fmt(value);
}

/// Appends a decimal number; the digits of most numbers are few, and this is the writer's inner
/// loop.
fn push_u64(out: &mut String, mut n: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|digit| char::from(*digit)));
}

/// Reads texts out of their words, with memory of its own.
#[derive(Debug, Default)]
pub(super) struct JsonWriter {
    bytes: Vec<u8>,
}

impl JsonWriter {
    fn bytes(&mut self, words: &[u64], len: usize) -> &[u8] {
        self.bytes.clear();
        self.bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        self.bytes.truncate(len);
        &self.bytes
    }

    /// Appends the object of `fields`; nothing at all if there are none. `cut` says that whole
    /// fields were left out.
    pub(super) fn push_object<'a>(
        &mut self,
        out: &mut String,
        fields: impl Iterator<Item = (&'a str, FieldValue<'a>)> + Clone,
        cut: &[(&str, u64)],
        left_out: bool,
    ) {
        let mut separator = '{';
        for (name, field) in fields {
            out.push(separator);
            separator = ',';
            push_string(out, name);
            out.push(':');
            self.push_value(out, field.value);
        }
        if !cut.is_empty() || left_out {
            out.push(separator);
            push_string(out, CUT_KEY);
            out.push(':');
            separator = '{';
            for (name, original) in cut {
                out.push(separator);
                separator = ',';
                push_string(out, name);
                out.push(':');
                push_u64(out, *original);
            }
            if left_out {
                out.push(separator);
                out.push_str("\"*\":null");
            }
            out.push('}');
            separator = ',';
        }
        if separator == ',' {
            out.push('}');
        }
    }

    fn push_value(&mut self, out: &mut String, value: Value<'_>) {
        match value {
            Value::I64(n) => {
                if n < 0 {
                    out.push('-');
                }
                push_u64(out, n.unsigned_abs());
            }
            Value::U64(n) => push_u64(out, n),
            Value::I128(n) => push_display(out, format_args!("{n}")),
            Value::U128(n) => push_display(out, format_args!("{n}")),
            // `{:?}` keeps `1.0` a float and uses an exponent where digits would be many.
            Value::F64(x) if x.is_finite() => push_display(out, format_args!("{x:?}")),
            // JSON has no such numbers.
            Value::F64(x) => push_display(out, format_args!("\"{x}\"")),
            Value::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            Value::Str(words, len) => {
                let bytes = self.bytes(words, len);
                push_string(out, &String::from_utf8_lossy(bytes));
            }
            Value::Bytes(words, len) => {
                out.push('"');
                for byte in self.bytes(words, len) {
                    push_display(out, format_args!("{byte:02x}"));
                }
                out.push('"');
            }
        }
    }

    /// Appends a value as plain text: for messages.
    pub(super) fn push_plain(&mut self, out: &mut String, value: Value<'_>) {
        match value {
            Value::Str(words, len) => {
                let bytes = self.bytes(words, len);
                out.push_str(&String::from_utf8_lossy(bytes));
            }
            other => self.push_value(out, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(bytes: &[u8]) -> Vec<u64> {
        let word = |chunk: &[u8]| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        };
        bytes.chunks(8).map(word).collect()
    }

    fn object(value: Value<'_>, cut: &[(&str, u64)], left_out: bool) -> serde_json::Value {
        let mut out = String::new();
        let field = FieldValue { index: 0, value, original: None };
        let fields = std::iter::once(("f", field));
        JsonWriter::default().push_object(&mut out, fields, cut, left_out);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let words = words(text.as_bytes());
            let read = object(Value::Str(&words, text.len()), &[], false);
            prop_assert_eq!(read["f"].as_str(), Some(text.as_str()));
        }

        #[test]
        fn any_number_comes_back(i in any::<i64>(), u in any::<u64>(), x in any::<f64>()) {
            prop_assert_eq!(object(Value::I64(i), &[], false)["f"].as_i64(), Some(i));
            prop_assert_eq!(object(Value::U64(u), &[], false)["f"].as_u64(), Some(u));
            if x.is_finite() {
                let mut out = String::new();
                JsonWriter::default().push_value(&mut out, Value::F64(x));
                prop_assert_eq!(out.parse::<f64>().unwrap().to_bits(), x.to_bits());
            }
        }
    }

    #[test]
    fn what_json_has_no_number_for_is_text() {
        assert_eq!(object(Value::F64(f64::NAN), &[], false)["f"], "NaN");
        assert_eq!(object(Value::F64(f64::NEG_INFINITY), &[], false)["f"], "-inf");
        assert_eq!(object(Value::Bytes(&words(&[0, 255, 16]), 3), &[], false)["f"], "00ff10");
    }

    #[test]
    fn wide_numbers_keep_all_their_digits() {
        let mut out = String::new();
        JsonWriter::default().push_value(&mut out, Value::I128(i128::MIN));
        assert_eq!(out, i128::MIN.to_string());
    }

    #[test]
    fn what_was_cut_is_said() {
        let read = object(Value::Bool(true), &[("body", 67_108_864)], true);
        assert_eq!(read["$cut"]["body"], 67_108_864);
        assert!(read["$cut"]["*"].is_null() && read["$cut"].get("*").is_some());
        let mut nothing = String::new();
        JsonWriter::default().push_object(&mut nothing, std::iter::empty(), &[], false);
        assert_eq!(nothing, "");
        JsonWriter::default().push_object(&mut nothing, std::iter::empty(), &[], true);
        assert_eq!(nothing, r#"{"$cut":{"*":null}}"#);
    }
}
