//! What viewers show of texts and fields.

use serde_json::{Value, json};

/// A text: NUL ends one for trace processor, so that something stands for it.
pub fn text(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

/// A character in the format for flame graphs.
pub fn in_folded(c: char) -> char {
    if c == ';' || c.is_control() || ['\u{2028}', '\u{2029}'].contains(&c) { '_' } else { c }
}

/// Fields as they are shown: `null` is a text, and so are integers that are not read exactly, which is why they
/// have to be looked at as they are written.
pub fn fields(fields: &str, is_exact: impl Fn(&str) -> bool) -> Value {
    let Ok(Value::Object(_)) = serde_json::from_str(fields) else {
        return json!({ "fields": fields });
    };
    as_text(numbers(fields, is_exact))
}

/// JSON in which integers that are not read exactly are texts.
pub fn numbers(fields: &str, is_exact: impl Fn(&str) -> bool) -> Value {
    let (mut json, mut in_text, mut escaped) = (String::new(), false, false);
    let mut rest = fields;
    while let Some(next) = rest.chars().next() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
        let follows = rest[number..].chars().next();
        if !in_text && number > 0 && !matches!(follows, Some('.' | 'e')) {
            let digits = &rest[..number];
            json.push_str(&if is_exact(digits) {
                digits.to_owned()
            } else {
                format!("\"{digits}\"")
            });
            rest = &rest[number..];
            continue;
        }
        if !escaped && next == '"' {
            in_text = !in_text;
        }
        escaped = in_text && !escaped && next == '\\';
        json.push(next);
        rest = &rest[next.len_utf8()..];
    }
    serde_json::from_str(&json).unwrap()
}

fn as_text(value: Value) -> Value {
    match value {
        Value::Null => "null".into(),
        Value::String(text) => self::text(&text).into(),
        Value::Array(values) => values.into_iter().map(as_text).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(key, value)| (self::text(&key), as_text(value))).collect()
        }
        other => other,
    }
}

/// The leaves of JSON by their paths, as trace processor has them.
pub fn leaves(path: &str, value: &Value, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| leaves(&format!("{path}.{key}"), value, into));
        }
        Value::Array(values) => {
            let values = values.iter().enumerate();
            values.for_each(|(at, value)| leaves(&format!("{path}[{at}]"), value, into));
        }
        Value::String(text) => into.push((path.to_owned(), text.clone())),
        other => into.push((path.to_owned(), other.to_string())),
    }
}

/// The same rows in any order; says in which one they differ.
#[track_caller]
pub fn same<T: Ord + std::fmt::Debug>(mut found: Vec<T>, mut expected: Vec<T>) {
    found.sort();
    expected.sort();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}
