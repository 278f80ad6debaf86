//! The way to a field.
//!
//! `tracing` has names with dots in them (`http.method`), which stand in the JSON object as they
//! are, while objects inside of objects are asked for with dots as well. So a path is tried as one
//! name first, and then as ever shorter names that lead into an object with the rest of the path.
//!
//! The object is walked through once and nothing of it is kept but the value found. Before, its
//! text is looked through for the last name of the path: in most spans that have no such field,
//! that is all.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::Fault;
use super::lexer::{Value, unescape};
use super::number::Number;
use crate::fields::has_text;

/// What is at the end of a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PathValue<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    /// An object or an array.
    Nested,
}

/// Names, separated by dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldPath {
    joined: String,
    /// Where in `joined` the names end, in order.
    ends: Vec<usize>,
    /// A text that every object with such a field contains; empty if none is known.
    needle: String,
}

impl FieldPath {
    /// Names as they stand after `field.`, single ones in quotes or not.
    pub(super) fn parse(value: &Value<'_>) -> Result<Self, Fault> {
        let mut names: Vec<String> = Vec::new();
        let mut rest = value.raw;
        loop {
            let end = end_of_name(rest);
            let (raw, after) = rest.split_at(end);
            let quoted = raw.len() >= 2 && raw.starts_with('"') && raw.ends_with('"');
            let raw = if quoted { &raw[1..raw.len() - 1] } else { raw };
            let mut name = String::new();
            let part = Value { raw, quoted, span: value.span.clone() };
            unescape(&part, |c| name.push(c.unwrap_or('*')))?;
            if name.is_empty() {
                let fault = Fault::new(value.span.clone(), "the name of a field is missing");
                return Err(fault.hint("write `field.NAME`, such as `field.shard=7`"));
            }
            names.push(name);
            match after.strip_prefix('.') {
                Some(after) => rest = after,
                None => break,
            }
        }
        Ok(Self::of(&names))
    }

    fn of(names: &[String]) -> Self {
        let mut joined = String::new();
        let mut ends = Vec::new();
        for name in names {
            if !joined.is_empty() {
                joined.push('.');
            }
            joined.push_str(name);
            ends.push(joined.len());
        }
        // An element of an array is not named in the text, and what has to be escaped is not in it
        // as it is.
        let needle = names.last().filter(|last| {
            last.parse::<usize>().is_err() && !last.chars().any(|c| c.is_control() || c == '"')
        });
        Self { needle: needle.cloned().unwrap_or_default(), joined, ends }
    }

    /// The value at the end of the path; `None` if there is none, or the text is no JSON object.
    pub(super) fn find<'a>(&self, fields: &'a str) -> Option<PathValue<'a>> {
        // A name may be written with escapes that it does not need.
        if !has_text(fields, &self.needle) && !fields.contains('\\') {
            return None;
        }
        let mut json = serde_json::Deserializer::from_str(fields);
        Walk { path: self, depth: 0 }.deserialize(&mut json).ok()?
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    /// The rest of the path after `depth` names.
    fn rest(&self, depth: usize) -> &str {
        let start = match depth.checked_sub(1).and_then(|last| self.ends.get(last)) {
            Some(end) => end + 1,
            None => 0,
        };
        self.joined.get(start..).unwrap_or_default()
    }

    /// How many names are behind us if `key` is what comes next, after `depth` of them.
    fn step(&self, depth: usize, key: &str) -> Option<usize> {
        let rest = self.rest(depth);
        let behind = rest.strip_prefix(key)?;
        if !(behind.is_empty() || behind.starts_with('.')) {
            return None;
        }
        let end = self.joined.len() - behind.len();
        self.ends.iter().position(|known| *known == end).map(|at| at + 1).filter(|at| *at > depth)
    }
}

/// Up to a dot that is not in quotes.
fn end_of_name(text: &str) -> usize {
    let mut quoted = false;
    let mut letters = text.char_indices();
    while let Some((at, c)) = letters.next() {
        match c {
            '\\' => {
                letters.next();
            }
            '"' => quoted = !quoted,
            '.' if !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

/// Walks into a value, after the first names of the path.
struct Walk<'p> {
    path: &'p FieldPath,
    depth: usize,
}

impl Walk<'_> {
    /// A value that nothing leads into.
    fn end<'de, E>(&self, found: PathValue<'de>) -> Result<Option<PathValue<'de>>, E> {
        Ok((self.depth == self.path.len()).then_some(found))
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<PathValue<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<PathValue<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        self.end(PathValue::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        self.end(PathValue::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        self.end(PathValue::Number(Number::Integer(value.into())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        self.end(PathValue::Number(Number::Integer(value.into())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        self.end(PathValue::Number(Number::Float(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        self.end(PathValue::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        self.end(PathValue::Text(Cow::Borrowed(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let mut at = 0_usize;
        loop {
            let step = match self.depth < self.path.len() {
                true => self.path.step(self.depth, &at.to_string()),
                false => None,
            };
            let more = match step {
                Some(depth) => match seq.next_element_seed(Walk { path: self.path, depth })? {
                    Some(value) => {
                        found = value;
                        true
                    }
                    None => false,
                },
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
            at += 1;
        }
        if self.depth == self.path.len() { Ok(Some(PathValue::Nested)) } else { Ok(found) }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let mut best = 0;
        while let Some(step) = map.next_key_seed(KeyStep(&self))? {
            match step {
                Some(depth) => {
                    let value = map.next_value_seed(Walk { path: self.path, depth })?;
                    if value.is_some() && depth >= best {
                        found = value;
                        best = depth;
                    }
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if self.depth == self.path.len() { Ok(Some(PathValue::Nested)) } else { Ok(found) }
    }
}

/// Compares a key with the path where it stands, so that no key is copied.
struct KeyStep<'w, 'p>(&'w Walk<'p>);

impl<'de> DeserializeSeed<'de> for KeyStep<'_, '_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyStep<'_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let Walk { path, depth } = self.0;
        Ok(if *depth < path.len() { path.step(*depth, key) } else { None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str) -> FieldPath {
        FieldPath::parse(&Value { raw, quoted: false, span: 0..raw.len() }).unwrap()
    }

    fn integer(value: i128) -> Option<PathValue<'static>> {
        Some(PathValue::Number(Number::Integer(value)))
    }

    #[test]
    fn leads_into_objects_and_arrays() {
        let fields = r#"{"a":{"b":{"c":1},"d":[5,{"e":2}]},"x":null,"y":true,"z":1.5}"#;
        assert_eq!(path("a.b.c").find(fields), integer(1));
        assert_eq!(path("a.d.0").find(fields), integer(5));
        assert_eq!(path("a.d.1.e").find(fields), integer(2));
        assert_eq!(path("a.d.2").find(fields), None);
        assert_eq!(path("a.b").find(fields), Some(PathValue::Nested));
        assert_eq!(path("a.d").find(fields), Some(PathValue::Nested));
        assert_eq!(path("x").find(fields), Some(PathValue::Null));
        assert_eq!(path("y").find(fields), Some(PathValue::Bool(true)));
        assert_eq!(path("z").find(fields), Some(PathValue::Number(Number::Float(1.5))));
        assert_eq!(path("b").find(fields), None);
        assert_eq!(path("x.a").find(fields), None);
    }

    #[test]
    fn a_name_with_dots_comes_before_objects() {
        let fields = r#"{"http":{"method":1,"a.b":4},"http.method":2,"http.x":{"y":3}}"#;
        assert_eq!(path("http.method").find(fields), integer(2));
        assert_eq!(path("http.x.y").find(fields), integer(3));
        assert_eq!(path("http.a.b").find(fields), integer(4));
        let turned = r#"{"http.method":2,"http":{"method":1}}"#;
        assert_eq!(path("http.method").find(turned), integer(2));
    }

    #[test]
    fn names_that_begin_alike_are_others() {
        let fields = r#"{"ab":1,"a":{"b":2},"abc":3,"":4}"#;
        assert_eq!(path("ab").find(fields), integer(1));
        assert_eq!(path("a.b").find(fields), integer(2));
        assert_eq!(path("abcd").find(fields), None);
        assert_eq!(path("a.bc").find(fields), None);
    }

    #[test]
    fn odd_names() {
        let fields = r#"{"user id":1,"a\"b":2,"gr\u00f6\u00dfe":3,"a*":4}"#;
        assert_eq!(path(r#""user id""#).find(fields), integer(1));
        assert_eq!(path(r#""a\"b""#).find(fields), integer(2));
        assert_eq!(path("größe").find(fields), integer(3));
        assert_eq!(path("a*").find(fields), integer(4));
        for raw in ["", ".", "a.", ".a", "a..b", "\"\""] {
            let value = Value { raw, quoted: false, span: 0..raw.len() };
            assert!(FieldPath::parse(&value).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_fields() {
        for fields in ["", "{", "7", "\"a\"", "[", "{\"a\":", "{\"a\":1", "null", "{\"a\" 1}"] {
            assert_eq!(path("a").find(fields), None, "{fields:?}");
        }
        let deep = format!("{}{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        assert_eq!(path("b").find(&deep), None);
    }
}
