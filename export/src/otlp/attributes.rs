//! Lists of attributes with unique keys and a bounded size.
//!
//! A receiver may keep any of two attributes with the same key, or refuse the request. So spandrel's own attributes
//! have the prefix [`OURS`], and a field of the program with that prefix gets [`THEIRS`] in front. An attribute with
//! a conventional name in OpenTelemetry, such as `thread.name`, has that name, unless the program has a field of that
//! name: then ours gets the prefix. Of fields with the same name the last one counts, as in queries.

use std::borrow::Cow;
use std::collections::HashSet;
use std::marker::PhantomData;

use super::super::fields::{self, Value};
use super::wire::WireFormat;
use spandrel_query::Callsite;

/// The prefix of our own attributes.
const OURS: &str = "spandrel.";

/// The prefix of the program's fields that begin with ours.
const THEIRS: &str = "field.";

/// Bytes of a name, or another required text, at most.
const NAME_BYTES_MAX: usize = 8192;

/// Under these names a recording says which fields were cut or left out; the second one is that of earlier versions.
const MARKS: [&str; 2] = ["$truncated", "$cut"];

/// Writes a list of attributes.
pub(super) struct Attributes<'a, W> {
    out: &'a mut Vec<u8>,
    list: u32,
    bytes_max: usize,
    /// Attributes that were dropped for lack of room.
    pub(super) dropped: u32,
    wire: PhantomData<W>,
}

impl<'a, W: WireFormat> Attributes<'a, W> {
    /// An empty list.
    pub(super) fn new(out: &'a mut Vec<u8>, list: u32, bytes_max: usize) -> Self {
        out.clear();
        Self { out, list, bytes_max, dropped: 0, wire: PhantomData }
    }

    pub(super) fn add(&mut self, name: &str, value: &Value<'_>) {
        let before = self.out.len();
        if before > 0 {
            self.out.extend_from_slice(W::SEPARATOR);
        }
        W::attribute(self.out, self.list, name, value);
        if self.out.len() > self.bytes_max {
            self.out.truncate(before);
            self.drop(1);
        }
    }

    /// A text that is not the program's; cut if it is too long.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.add(name, &Value::Text(shortened(text)));
    }

    pub(super) fn integer(&mut self, name: &str, value: i64) {
        self.add(name, &Value::Integer(value));
    }

    pub(super) fn drop(&mut self, count: u32) {
        self.dropped = self.dropped.saturating_add(count);
    }

    /// The fields of the program.
    pub(super) fn fields(&mut self, fields: &Fields<'_>) {
        self.drop(fields.missing);
        for (name, value) in &fields.members {
            if MARKS.contains(&name.as_ref()) {
                self.add("spandrel.truncated", value);
            } else if !name.starts_with(OURS) {
                self.add(name, value);
            } else if let name = format!("{THEIRS}{name}")
                && !fields.has(&name)
            {
                self.add(&name, value);
            } else {
                self.drop(1);
            }
        }
    }

    /// An attribute with a conventional name, unless the program has such a field.
    pub(super) fn conventional(&mut self, name: &str, value: &Value<'_>, beside: &Fields<'_>) {
        if beside.has(name) {
            self.add(&format!("{OURS}{name}"), value);
        } else {
            self.add(name, value);
        }
    }

    pub(super) fn of_callsite(&mut self, callsite: &Callsite, beside: &Fields<'_>) {
        self.text("spandrel.level", &callsite.level);
        self.text("spandrel.target", &callsite.target);
        if let Some(file) = &callsite.file {
            self.conventional("code.file.path", &Value::Text(shortened(file)), beside);
        }
        if let Some(line) = callsite.line {
            self.conventional("code.line.number", &Value::Integer(line.into()), beside);
        }
    }
}

/// The fields of a span or an event, each name once.
pub(super) struct Fields<'a> {
    pub(super) members: Vec<(Cow<'a, str>, Value<'a>)>,
    /// Fields that the program recorded but that are missing here.
    missing: u32,
}

impl<'a> Fields<'a> {
    pub(super) fn of(fields: Option<&'a str>) -> Self {
        let mut members = fields.map(fields::members).unwrap_or_default();
        let mut missing = keep_last(&mut members);
        for mark in MARKS {
            if let Some((_, Value::Json(listed))) = members.iter().find(|(name, _)| name == mark) {
                let names = fields::members(listed);
                let is_there = |name: &str| members.iter().any(|(there, _)| there == name);
                missing += names.iter().filter(|(name, _)| !is_there(name)).count() as u32;
            }
        }
        Self { members, missing }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(there, _)| there == name)
    }

    /// A text that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.members.iter().find(|(there, _)| there == name) {
            Some((_, Value::Text(text))) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

/// Keeps the last field of each name; returns how many were removed.
fn keep_last(members: &mut Vec<(Cow<'_, str>, Value<'_>)>) -> u32 {
    /// Up to this many names are compared pairwise.
    const PAIRWISE_MAX: usize = 16;
    let before = members.len();
    if before > PAIRWISE_MAX {
        let mut seen = HashSet::new();
        let mut kept: Vec<_> = members.drain(..).rev().collect();
        kept.retain(|(name, _)| seen.insert(name.to_string()));
        members.extend(kept.into_iter().rev());
    } else {
        let mut at = 0;
        while at < members.len() {
            let mut behind = members.iter().skip(at);
            let is_last =
                behind.next().is_none_or(|(name, _)| behind.all(|(later, _)| later != name));
            if is_last {
                at += 1;
            } else {
                members.remove(at);
            }
        }
    }
    (before - members.len()) as u32
}

/// A text of at most [`NAME_BYTES_MAX`].
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= NAME_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let end = (0..=NAME_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Cow::Owned(text.get(..end).unwrap_or_default().to_owned() + "\u{2026}")
}

#[cfg(test)]
mod tests {
    use super::super::json::Json;
    use super::*;

    fn written(fields: &str) -> (Vec<(String, String)>, u32) {
        let mut out = Vec::new();
        let mut attributes = Attributes::<Json>::new(&mut out, 1, 10_000);
        let fields = Fields::of(Some(fields));
        attributes.conventional("thread.name", &Value::Text("main".into()), &fields);
        attributes.text("spandrel.level", "INFO");
        attributes.fields(&fields);
        let dropped = attributes.dropped;
        let list = format!("[{}]", String::from_utf8(out).unwrap());
        let list: Vec<serde_json::Value> = serde_json::from_str(&list).unwrap();
        let text = |one: &serde_json::Value| one.as_str().unwrap().to_owned();
        let pair = |one: serde_json::Value| {
            let value = one["value"].as_object().unwrap().values().next().unwrap().clone();
            (text(&one["key"]), value.as_str().map_or(value.to_string(), str::to_owned))
        };
        (list.into_iter().map(pair).collect(), dropped)
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_field_named_like_one_of_ours_is_beside_it() {
        let fields = r#"{"thread.name":"theirs","spandrel.level":7,"level":"low"}"#;
        let expected = [
            ("spandrel.thread.name", "main"),
            ("spandrel.level", "INFO"),
            ("thread.name", "theirs"),
            ("field.spandrel.level", "7"),
            ("level", "low"),
        ];
        assert_eq!(written(fields), (pairs(&expected), 0));
    }

    #[test]
    fn of_fields_with_the_same_name_the_last_counts_and_the_others_are_counted() {
        let ours = [("thread.name", "main"), ("spandrel.level", "INFO")];
        let (list, dropped) = written(r#"{"a":1,"b":2,"a":3,"a":4}"#);
        assert_eq!((list, dropped), (pairs(&[&ours[..], &[("b", "2"), ("a", "4")]].concat()), 2));
        let many: Vec<String> = (0..40).map(|n| format!("\"k{}\":{n}", n % 30)).collect();
        let (list, dropped) = written(&format!("{{{}}}", many.join(",")));
        assert_eq!((list.len(), dropped), (2 + 30, 10));
        assert!(list.contains(&("k5".into(), "35".into())), "{list:?}");
        let (list, dropped) = written(r#"{"spandrel.x":1,"field.spandrel.x":2}"#);
        let expected = [&ours[..], &[("field.spandrel.x", "2")]].concat();
        assert_eq!((list, dropped), (pairs(&expected), 1));
    }

    #[test]
    fn what_the_recording_left_out_is_counted() {
        let (list, dropped) = written(r#"{"a":"cu","$truncated":{"a":9,"b":4,"*":null}}"#);
        assert_eq!(dropped, 2);
        let said = r#"{"a":9,"b":4,"*":null}"#;
        assert!(list.contains(&("spandrel.truncated".into(), said.into())), "{list:?}");
    }

    #[test]
    fn what_has_no_room_is_left_out_whole() {
        let fields = format!(r#"{{"a":"{}","b":"{}"}}"#, "x".repeat(9_000), "y".repeat(9_000));
        let (list, dropped) = written(&fields);
        assert_eq!((list.len(), dropped), (3, 1));
        assert_eq!(shortened(&"\u{1f980}".repeat(3_000)).len(), 8192 + 3);
    }
}
