//! Fields: JSON that a file holds.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::profile::made_up_span;
use crate::fields_as_exported;
use spandrel_query::internals::{each_field, field_text};
use spandrel_query::{Filter, SpanRef};

/// A path in a line of its own, and JSON.
pub fn fields(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (path, json) = text.split_once('\n').unwrap_or(("a", text));
    let tree = serde_json::from_str::<Tree>(json).ok();
    let mut seen = Vec::new();
    each_field(json, |name, value| seen.push((name.to_owned(), value.clone())));
    if let Some(Tree::Object(members)) = &tree {
        let top = members.len();
        assert!(seen.len() >= top || members.iter().any(|(_, member)| member.is_object()));
    }
    if !matches!(json.trim_start().as_bytes().first(), Some(b'{')) {
        assert!(seen.is_empty(), "what is no object has no fields");
    }
    // A value that is said to be cut is shown with dots.
    let is_cut = json.contains("$truncated") || json.contains("$cut") || json.contains("\\u");
    for (name, _) in seen.iter().take(if is_cut { 0 } else { 8 }) {
        let last = seen.iter().rev().find(|(other, _)| other == name);
        let value = last.map(|(_, value)| value.as_str().map_or(value.to_string(), str::to_owned));
        if let Some(found) = field_text(json, name) {
            assert_eq!(Some(found), value, "{name:?}");
        } else {
            assert!(json.contains('\\'), "an escaped name is not looked for: {name:?}");
        }
    }
    exported(json, tree.as_ref());
    asked(path, json, tree.as_ref());
}

/// Whatever stands there, an export is JSON, and says the same.
fn exported(json: &str, tree: Option<&Tree>) {
    let (object, mut keys) = fields_as_exported(json);
    let object = std::str::from_utf8(&object).unwrap();
    assert!(!object.contains(['\n', '\r']));
    let read: Tree = match serde_json::from_str(object) {
        Ok(read) => read,
        Err(error) => {
            assert!(error.to_string().contains("number out of range"), "{error}: {object}");
            return;
        }
    };
    match tree {
        Some(Tree::Object(members)) if json.trim_start().starts_with('{') => {
            assert_eq!(Some(&read), tree);
            let mut names: Vec<_> = members.iter().map(|(name, _)| name.clone()).collect();
            names.sort_unstable();
            keys.sort_unstable();
            assert_eq!(keys, names);
        }
        // Deeper than we read, or with half a surrogate: all the same an object, or else text.
        _ => assert!(matches!(read, Tree::Object(_))),
    }
}

/// A filter finds a field where somebody who looks for it would.
fn asked(path: &str, json: &str, tree: Option<&Tree>) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '$' | '@');
    if path.is_empty() || !path.chars().all(plain) {
        return;
    }
    let names: Vec<&str> = path.split('.').collect();
    let filter = Filter::parse(&format!("has:field.{path}"));
    if names.iter().any(|name| name.is_empty()) {
        assert!(filter.is_err());
        return;
    }
    let span = made_up_span();
    let meant = filter.unwrap().matches(&SpanRef { fields: Some(json), ..SpanRef::from(&span) });
    if let Some(tree) = tree {
        assert_eq!(meant, tree.has(&names), "{path} {json}");
    }
    // None of these may fail, whatever is there; and not both can be true.
    let ask = |text: String| {
        let filter = Filter::parse(&text).unwrap();
        filter.matches(&SpanRef { fields: Some(json), ..SpanRef::from(&span) })
    };
    for value in ["7", "\"7\"", "true", "null", "1e300", "-0.0", "x*"] {
        let (is, not) =
            (ask(format!("field.{path}={value}")), ask(format!("field.{path}!={value}")));
        assert!(!(is && not));
        assert!(meant || !(is || not), "what is not there is neither");
        let (less, more) =
            (ask(format!("field.{path}<{value}")), ask(format!("field.{path}>={value}")));
        assert!(!(less && more));
    }
}

/// JSON as it stands, names that come twice included.
#[derive(Debug, PartialEq)]
enum Tree {
    Other(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Whether some way leads along the names: dots may be part of a name.
    fn has(&self, names: &[&str]) -> bool {
        if names.is_empty() {
            return true;
        }
        let leads = |key: &str| {
            (1..=names.len())
                .find(|taken| names[..*taken].join(".") == key)
                .map(|taken| &names[taken..])
        };
        match self {
            Self::Other(_) => false,
            Self::Array(items) => items
                .iter()
                .enumerate()
                .any(|(at, item)| leads(&at.to_string()).is_some_and(|rest| item.has(rest))),
            Self::Object(members) => {
                members.iter().any(|(key, member)| leads(key).is_some_and(|rest| member.has(rest)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Other("null".into()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Other(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Other(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Other(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Other(format!("{value:e}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Other(format!("{value:?}")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(members))
    }
}
