//! The fields of a span, one value after the other.
//!
//! Objects inside of objects are walked into, with dots between the names; an array is one value. What
//! is not an object, as a damaged file may have it, has no fields.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// Calls `each` with the name and the value of each field.
pub fn each_field(json: &str, mut each: impl FnMut(&str, &Value)) {
    let mut reader = serde_json::Deserializer::from_str(json);
    // If the text is not valid JSON, the fields before the error are given.
    let _fields_before_a_fault = reader.deserialize_map(Fields(&mut each));
}

/// Under these prefixes a recording says which fields were cut or left out; the second one is that of earlier
/// versions.
const MARKS: [&str; 2] = ["$truncated.", "$cut."];

/// The value of one field as text. A value that was cut ends in `…`; for one that was left out, the text says so.
pub fn field_text(json: &str, name: &str) -> Option<String> {
    // A quick test that rejects most spans without the field. Escaped names are not found.
    let last = name.rsplit('.').next().unwrap_or(name);
    if !has_text(json, last) {
        return None;
    }
    let (mut found, mut is_cut) = (None, false);
    each_field(json, |key, value| {
        if key == name {
            found = Some(text(value).into_owned());
        }
        is_cut |= MARKS.iter().any(|mark| key.strip_prefix(mark) == Some(name));
    });
    match found {
        Some(text) if is_cut => Some(text + "\u{2026}"),
        None if is_cut => Some("(left out)".to_owned()),
        found => found,
    }
}

/// Whether a text is part of the JSON of fields, which mostly are a few tens of bytes: the standard library's search
/// compares such short ones with a call at each byte.
pub(crate) fn has_text(json: &str, part: &str) -> bool {
    const SHORT: usize = 256;
    let (json_bytes, Some((first, rest))) = (json.as_bytes(), part.as_bytes().split_first()) else {
        return true;
    };
    if json.len() > SHORT {
        return json.contains(part);
    }
    let Some(last) = json.len().checked_sub(part.len()) else { return false };
    let mut places = json_bytes.iter().take(last + 1).enumerate();
    places.any(|(at, byte)| {
        byte == first && json_bytes.get(at + 1..).is_some_and(|behind| behind.starts_with(rest))
    })
}

/// A value as text: a string without its quotes.
pub(crate) fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

/// How deep objects are walked into; serde_json itself refuses more than 128.
const DEPTH_MAX: usize = 8;

fn walk(name: &str, value: &Value, depth: usize, each: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(members) if depth < DEPTH_MAX && !members.is_empty() => {
            for (key, value) in members {
                walk(&format!("{name}.{key}"), value, depth + 1, each);
            }
        }
        value => each(name, value),
    }
}

struct Fields<'f, F>(&'f mut F);

impl<'de, F: FnMut(&str, &Value)> Visitor<'de> for Fields<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            let value: Value = map.next_value()?;
            walk(&name, &value, 0, self.0);
        }
        Ok(())
    }
}

/// A name that is borrowed where it has no escapes, which is nearly always.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Self::Value, E> {
        Err(E::custom("a name that is no text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(json: &str) -> Vec<String> {
        let mut all = Vec::new();
        each_field(json, |name, value| all.push(format!("{name}={}", text(value))));
        all
    }

    proptest::proptest! {
        #[test]
        fn a_part_is_found_wherever_it_is(json in "[ab\\u{e4}]{0,300}", part in "[ab\\u{e4}]{0,5}") {
            proptest::prop_assert_eq!(has_text(&json, &part), json.contains(&part));
            let end = json.len() - part.len().min(json.len());
            let cut = json.get(end..).unwrap_or_default();
            proptest::prop_assert!(has_text(&json, cut));
        }
    }

    #[test]
    fn objects_are_walked_into() {
        let json = r#"{"a":1,"b":{"c":"x","d":{"e":null}},"f":[1,2],"g.h":-1.5,"":true,"i\n":{}}"#;
        assert_eq!(
            all(json),
            ["a=1", "b.c=x", "b.d.e=null", "f=[1,2]", "g.h=-1.5", "=true", "i\n={}"]
        );
        assert_eq!(field_text(json, "b.c").as_deref(), Some("x"));
        assert_eq!(field_text(json, "g.h").as_deref(), Some("-1.5"));
        assert_eq!(field_text(json, "b"), None);
    }

    #[test]
    fn a_value_that_was_cut_is_told_from_one_that_is_whole() {
        let json = r#"{"a":"x","b.c":"y","d":1,"$truncated":{"a":90,"b.c":8,"e":null,"*":null}}"#;
        let text = |name| field_text(json, name);
        assert_eq!(text("a").as_deref(), Some("x\u{2026}"));
        assert_eq!(text("b.c").as_deref(), Some("y\u{2026}"));
        assert_eq!(text("d").as_deref(), Some("1"));
        assert_eq!(text("e").as_deref(), Some("(left out)"));
        assert_eq!(text("f"), None);
        let earlier = r#"{"a":"x","$cut":{"a":90}}"#;
        assert_eq!(field_text(earlier, "a").as_deref(), Some("x\u{2026}"));
    }

    #[test]
    fn a_float_is_the_one_that_was_recorded() {
        for float in
            [-3.017_366_900_112_586e304_f64, 0.1 + 0.2, 1.797_693_134_862_315_7e308, 5e-324]
        {
            let json = format!(r#"{{"a":{float:e}}}"#);
            let read = field_text(&json, "a").unwrap();
            assert_eq!(read.parse::<f64>().unwrap().to_bits(), float.to_bits(), "{read}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_fields() {
        for json in ["", "1", "[1]", "{", "nonsense", "\u{0}"] {
            assert_eq!(all(json), Vec::<String>::new(), "{json:?}");
        }
        assert_eq!(all(r#"{"a":1,"b":"#), ["a=1"]);
    }
}
