//! Filters as trees, with the plainest possible meaning.

use proptest::prelude::*;
use spandrel_query::SpanRef;
use spandrel_storage::Status;

/// A filter as a tree, with the plainest possible meaning.
#[derive(Debug, Clone)]
pub enum Tree {
    Text { key: &'static str, negative: bool, pattern: String },
    Search { key: &'static str, negative: bool, part: String },
    Level { operator: &'static str, level: &'static str },
    Number { key: &'static str, operator: &'static str, value: i64 },
    Field { path: &'static str, operator: &'static str, value: &'static str },
    Flag(&'static str),
    Bare(String),
    Not(Box<Tree>),
    All(Vec<Tree>),
    Any(Vec<Tree>),
}

const ORDERS: [&str; 6] = ["=", "!=", "<", "<=", ">", ">="];

pub fn tree() -> impl Strategy<Value = Tree> {
    let text_key = || prop::sample::select(vec!["name", "target", "module", "file", "thread"]);
    let number_key = prop::sample::select(vec![
        "dur", "self", "busy", "idle", "longest", "wait", "exit", "start", "entries", "id",
        "trace", "parent",
    ]);
    let order = || prop::sample::select(ORDERS.to_vec());
    let word = || {
        prop::sample::select(vec![
            "db.query",
            "db.*",
            "*",
            "",
            "*r*",
            "worker-1",
            "thread 1000",
            "(",
            "or",
        ])
    };
    let leaf = prop_oneof![
        (text_key(), any::<bool>(), word()).prop_map(|(key, negative, pattern)| Tree::Text {
            key,
            negative,
            pattern: pattern.to_owned()
        }),
        (text_key(), any::<bool>(), "[a-z1 ]{1,2}")
            .prop_map(|(key, negative, part)| Tree::Search { key, negative, part }),
        (order(), prop::sample::select(vec!["error", "WARN", "Info", "debug", "trace"]))
            .prop_map(|(operator, level)| Tree::Level { operator, level }),
        (number_key, order(), 0..4_i64).prop_map(|(key, operator, value)| Tree::Number {
            key,
            operator,
            value
        }),
        (
            prop::sample::select(vec!["a", "b", "user.name", "user.tags.0", "user.tags", "none"]),
            order(),
            prop::sample::select(vec![
                "7",
                "7.0",
                "\"7\"",
                "-1500",
                "seven",
                "a*",
                "null",
                "true",
                "ann",
                "18446744073709551614",
            ])
        )
            .prop_map(|(path, operator, value)| Tree::Field { path, operator, value }),
        prop::sample::select(vec![
            "is:root",
            "is:ok",
            "is:error",
            "is:panicked",
            "is:unfinished",
            "is:crashed",
            "status!=crashed",
            "has:error",
            "has:fields",
            "has:parent",
            "has:trace_id",
            "trace_id=0af7..",
            "trace_id!=0af7651916cd43dd8448eb211c80319c",
            "has:field.a",
            "has:field.user.name",
        ])
        .prop_map(Tree::Flag),
        word().prop_map(|word| Tree::Bare(word.to_owned())),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Tree::Not(Box::new(inner))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Tree::All),
            prop::collection::vec(inner, 1..4).prop_map(Tree::Any),
        ]
    })
}

impl Tree {
    pub fn text(&self) -> String {
        let list = |parts: &[Self], between: &str| {
            let parts: Vec<_> = parts.iter().map(|part| format!("({})", part.text())).collect();
            parts.join(between)
        };
        match self {
            Self::Text { key, negative, pattern } => {
                format!("{key}{}\"{pattern}\"", if *negative { "!=" } else { "=" })
            }
            Self::Search { key, negative, part } => {
                format!("{key} {} \"{part}\"", if *negative { "!~" } else { "~" })
            }
            Self::Level { operator, level } => format!("level{operator}{level}"),
            Self::Number { key, operator, value } => match *key {
                "entries" => format!("entries{operator}{value}"),
                "id" | "parent" => format!("{key} {operator} s{value}"),
                "trace" => format!("{key}{operator}t{value}"),
                "start" => format!("{key}{operator}+{value}ns"),
                _ => format!("{key}{operator}{value}ns"),
            },
            Self::Field { path, operator, value } => format!("field.{path}{operator}{value}"),
            Self::Flag(flag) => (*flag).to_owned(),
            Self::Bare(word) => format!("\"{word}\""),
            Self::Not(inner) => format!("-({})", inner.text()),
            Self::All(parts) => list(parts, " "),
            Self::Any(parts) => list(parts, " or "),
        }
    }

    pub fn holds(&self, span: &SpanRef<'_>) -> bool {
        match self {
            Self::Text { key, negative, pattern } => {
                column(key, span).is_some_and(|text| like(pattern, &text) != *negative)
            }
            Self::Search { key, negative, part } => {
                column(key, span).is_some_and(|text| text.contains(part) != *negative)
            }
            Self::Level { operator, level } => {
                let levels = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];
                let rank = |level: &str| levels.iter().position(|known| *known == level);
                let wanted = rank(&level.to_uppercase()).unwrap();
                rank(&span.callsite.level).is_some_and(|level| compare(operator, level, wanted))
            }
            Self::Number { key, operator, value } => {
                let id = |id: u64| Some(id as i64);
                let number = match *key {
                    "dur" => span.duration_ns,
                    "self" => span.self_ns,
                    "busy" => span.busy_ns,
                    "idle" => match (span.duration_ns, span.busy_ns) {
                        (Some(duration), Some(busy)) => Some((duration - busy).max(0)),
                        _ => None,
                    },
                    "longest" => span.longest_entry_ns,
                    "wait" => span.first_entry_ns,
                    "exit" => span.last_exit_ns,
                    "start" => Some(span.start_ns),
                    "entries" => id(span.entries),
                    "id" => id(span.id),
                    "trace" => id(span.root_id),
                    _ => span.parent_id.map(|id| id as i64),
                };
                number.is_some_and(|number| compare(operator, number, *value))
            }
            Self::Field { path, operator, value } => {
                field(path, span).is_some_and(|field| field_holds(&field, operator, value))
            }
            Self::Flag(flag) => match *flag {
                "is:root" => span.parent_id.is_none(),
                "status!=crashed" => span.status.as_str() != "crashed",
                "has:parent" => span.parent_id.is_some(),
                "has:trace_id" => span.context.is_some(),
                "trace_id=0af7.." => trace_id(span).is_some_and(|id| id.starts_with("0af7")),
                "trace_id!=0af7651916cd43dd8448eb211c80319c" => {
                    trace_id(span).is_some_and(|id| id != "0af7651916cd43dd8448eb211c80319c")
                }
                "has:error" => span.status == Status::Error || span.status == Status::Panicked,
                "has:fields" => span.fields.is_some_and(|fields| fields != "{}"),
                "has:field.a" => field("a", span).is_some(),
                "has:field.user.name" => field("user.name", span).is_some(),
                other => other == format!("is:{}", span.status.as_str()),
            },
            Self::Bare(word) => like(&format!("*{word}*"), &span.callsite.name),
            Self::Not(inner) => !inner.holds(span),
            Self::All(parts) => parts.iter().all(|part| part.holds(span)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(span)),
        }
    }
}

fn trace_id(span: &SpanRef<'_>) -> Option<String> {
    span.context.map(|context| context.trace_id.to_string())
}

fn compare<T: PartialOrd>(operator: &str, left: T, right: T) -> bool {
    match operator {
        "=" => left == right,
        "!=" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    }
}

fn column(key: &str, span: &SpanRef<'_>) -> Option<String> {
    match key {
        "name" => Some(span.callsite.name.clone()),
        "target" => Some(span.callsite.target.to_string()),
        "module" => span.callsite.module.as_deref().map(str::to_owned),
        "file" => span.callsite.file.as_deref().map(str::to_owned),
        _ => {
            let thread = span.longest_thread;
            Some(thread.name.clone().unwrap_or_else(|| format!("thread {}", thread.os_id)))
        }
    }
}

fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && like(after, &rest[at..]))
        }),
    }
}

fn field(path: &str, span: &SpanRef<'_>) -> Option<serde_json::Value> {
    let fields: serde_json::Value = serde_json::from_str(span.fields?).ok()?;
    let whole = fields.get(path).cloned();
    let steps = || fields.pointer(&format!("/{}", path.replace('.', "/"))).cloned();
    whole.or_else(steps)
}

fn field_holds(field: &serde_json::Value, operator: &str, value: &str) -> bool {
    let quoted = value.starts_with('"');
    let text = value.trim_matches('"');
    let wanted: Option<f64> = if quoted { None } else { text.parse().ok() };
    // Only one pair of the numbers here is too large for floats.
    if field.as_u64() == Some(u64::MAX) && wanted == Some(u64::MAX as f64) {
        return compare(operator, u64::MAX, u64::MAX - 1);
    }
    let as_text = match field {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => return false,
        other => other.to_string(),
    };
    if operator == "=" || operator == "!=" {
        let same = match (field.as_f64(), wanted) {
            (Some(left), Some(right)) => left == right,
            _ => like(text, &as_text),
        };
        return same == (operator == "=");
    }
    let number = match (field.as_str(), quoted) {
        (_, true) => None,
        (Some(text), false) => text.parse::<f64>().ok(),
        (None, false) => field.as_f64(),
    };
    match (number, wanted) {
        (Some(left), Some(right)) => compare(operator, left, right),
        (None, None) if field.is_string() => compare(operator, as_text.as_str(), text),
        _ => false,
    }
}
