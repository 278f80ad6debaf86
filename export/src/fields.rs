//! The fields of spans and events, which are stored as a JSON object.
//!
//! The writer stores nothing else, but anybody can change a profile; text that is no JSON object is written as one
//! string.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::text;

/// The value of a field.
pub(super) enum Value<'a> {
    Bool(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Text(Cow<'a, str>),
    /// Anything else, as JSON: null, an array, an object, a number that is too large.
    Json(&'a str),
}

/// Appends the fields as a JSON object on one line.
pub(super) fn object(out: &mut Vec<u8>, fields: &str) {
    if is_object(fields) && is_read_by_all(fields) {
        // Line ends can only be between tokens.
        if fields.contains(['\n', '\r']) {
            let line = |byte: u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
            out.extend(fields.bytes().map(line));
        } else {
            out.extend_from_slice(fields.as_bytes());
        }
    } else {
        out.extend_from_slice(b"{\"fields\":");
        text::json(out, fields);
        out.push(b'}');
    }
}

/// Calls `each` for each field.
pub(super) fn each<'a>(fields: &'a str, each: &mut dyn FnMut(&str, Value<'a>)) {
    if !is_object(fields) {
        each("fields", Value::Text(Cow::Borrowed(fields)));
        return;
    }
    // It was found to be an object.
    let mut from = serde_json::Deserializer::from_str(fields);
    let _known = from.deserialize_map(Members(&mut |key, value| each(&key, value)));
}

/// All fields.
pub(super) fn members(fields: &str) -> Vec<(Cow<'_, str>, Value<'_>)> {
    if !is_object(fields) {
        return vec![(Cow::Borrowed("fields"), Value::Text(Cow::Borrowed(fields)))];
    }
    let mut members = Vec::new();
    let mut from = serde_json::Deserializer::from_str(fields);
    let _known = from.deserialize_map(Members(&mut |key, value| members.push((key, value))));
    members
}

/// Calls `each` for each item of a JSON array.
pub(super) fn each_item<'a>(array: &'a str, each: &mut dyn FnMut(Value<'a>)) {
    for item in serde_json::from_str::<Vec<&RawValue>>(array).unwrap_or_default() {
        each(value_of(item.get()));
    }
}

fn is_object(fields: &str) -> bool {
    fields.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(fields).is_ok()
}

/// Whether strict readers accept an object, too: half a surrogate is no character, and many refuse deep nesting.
fn is_read_by_all(object: &str) -> bool {
    const DEPTH_MAX: usize = 64;
    // Nearly all fields that a writer stores pass these quick tests.
    let may_be_deep = object.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count() > DEPTH_MAX;
    if !object.contains("\\u") && !may_be_deep {
        return true;
    }
    let mut depth = 0_usize;
    let mut in_text = false;
    let mut bytes = object.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_text = !in_text,
            b'\\' => drop(bytes.next()),
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return false;
        }
    }
    serde_json::from_str::<Texts>(object).is_ok()
}

/// Decodes all strings of a JSON value, and nothing else.
struct Texts;

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A number may be too large for any type; as raw text it is read all the same.
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let mut json = serde_json::Deserializer::from_str(raw);
        match raw.as_bytes().first() {
            Some(b'"') => String::deserialize(&mut json).map(drop),
            Some(b'{') => json.deserialize_map(TextsInside),
            Some(b'[') => json.deserialize_seq(TextsInside),
            _ => Ok(()),
        }
        .map_err(D::Error::custom)?;
        Ok(Self)
    }
}

struct TextsInside;

impl<'de> Visitor<'de> for TextsInside {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<String, Texts>()?.is_some() {}
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<Texts>()?.is_some() {}
        Ok(())
    }
}

struct Members<'a, 'f>(&'f mut dyn FnMut(Cow<'a, str>, Value<'a>));

impl<'a> Visitor<'a> for Members<'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&'a RawValue>()? {
            let value: &'a RawValue = map.next_value()?;
            (self.0)(unquoted(key.get()), value_of(value.get()));
        }
        Ok(())
    }
}

fn value_of(json: &str) -> Value<'_> {
    match json.as_bytes().first() {
        Some(b'"') => Value::Text(unquoted(json)),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'-' | b'0'..=b'9') => {
            if let Ok(value) = json.parse() {
                Value::Integer(value)
            } else if let Ok(value) = json.parse() {
                Value::Unsigned(value)
            } else if json.contains(['.', 'e', 'E'])
                && let Ok(value) = json.parse::<f64>()
                && value.is_finite()
            {
                Value::Float(value)
            } else {
                Value::Json(json)
            }
        }
        _ => Value::Json(json),
    }
}

/// A JSON string without quotes and escapes; unchanged if an escape is no character.
fn unquoted(json: &str) -> Cow<'_, str> {
    let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    if inner.contains('\\') {
        serde_json::from_str::<String>(json).map_or(Cow::Borrowed(inner), Cow::Owned)
    } else {
        Cow::Borrowed(inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn listed(fields: &str) -> Vec<(String, String)> {
        let mut list = Vec::new();
        each(fields, &mut |key, value| {
            let value = match value {
                Value::Bool(value) => format!("bool {value}"),
                Value::Integer(value) => format!("int {value}"),
                Value::Unsigned(value) => format!("uint {value}"),
                Value::Float(value) => format!("float {value}"),
                Value::Text(value) => format!("text {value}"),
                Value::Json(value) => format!("json {value}"),
            };
            list.push((key.to_owned(), value));
        });
        list
    }

    #[test]
    fn each_kind_of_value() {
        let fields = r#"{"a\"":"x\ny", "b" : -9223372036854775808,"c":18446744073709551615,
            "d":1.5e3,"e":true,"f":null,"g":[1,{}],"h":1e999,"i":123456789012345678901234567890,
            "j":"\ud800"}"#;
        let pairs = [
            ("a\"", "text x\ny"),
            ("b", "int -9223372036854775808"),
            ("c", "uint 18446744073709551615"),
            ("d", "float 1500"),
            ("e", "bool true"),
            ("f", "json null"),
            ("g", "json [1,{}]"),
            ("h", "json 1e999"),
            ("i", "json 123456789012345678901234567890"),
            ("j", "text \\ud800"),
        ];
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(listed(fields), pairs);
    }

    #[test]
    fn what_strict_readers_refuse_is_text() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(80), "}".repeat(80));
        for odd in [r#"{"a":["\ud800"]}"#, r#"{"\udc00":1}"#, &deep] {
            let mut out = Vec::new();
            object(&mut out, odd);
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(value["fields"], odd);
        }
        for fine in [r#"{"a":"\u0001\ud83d\ude00","b":1e999}"#, r#"{"a":"[[[[\u0041"}"#] {
            let mut out = Vec::new();
            object(&mut out, fine);
            assert_eq!(out, fine.as_bytes());
        }
    }

    #[test]
    fn what_is_no_object_is_text() {
        for odd in ["", "[1]", "{", "{}}", "nonsense \"quoted\"", &"{\"a\":".repeat(1000)] {
            assert_eq!(listed(odd), [("fields".to_owned(), format!("text {odd}"))]);
            let mut out = Vec::new();
            object(&mut out, odd);
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(value["fields"], odd);
        }
        let mut out = Vec::new();
        object(&mut out, "{\n\"a\":\r\n1}");
        assert_eq!(out, b"{ \"a\":  1}");
    }

    proptest! {
        #[test]
        fn objects_stay_what_they_are(pairs in proptest::collection::btree_map(
            any::<String>(), any::<String>(), 0..6))
        {
            let fields = serde_json::to_string(&pairs).unwrap();
            let expected: Vec<_> =
                pairs.into_iter().map(|(key, value)| (key, format!("text {value}"))).collect();
            prop_assert_eq!(listed(&fields), expected);
            let mut out = Vec::new();
            object(&mut out, &fields);
            prop_assert_eq!(String::from_utf8(out).unwrap(), fields);
        }
    }
}
