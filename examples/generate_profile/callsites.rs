//! The places in the made-up source.

use spandrel_storage::{CallsiteInfo, CallsiteKind};

/// Indices of the span callsites that traces are made of; from [`OTHERS`] on they are alike.
pub const REQUEST: usize = 0;
pub const VERIFY: usize = 1;
pub const QUERY: usize = 2;
pub const RENDER: usize = 3;
pub const BATCH: usize = 4;
pub const PART: usize = 5;
pub const NODE: usize = 6;
pub const OTHERS: usize = 7;

const KNOWN: [(&str, &str, &str, &str); OTHERS] = [
    ("http.request", "shop::http", "INFO", "src/http.rs"),
    ("auth.verify", "shop::auth", "INFO", "src/auth.rs"),
    ("db.query", "shop::db", "DEBUG", "src/db.rs"),
    ("render", "shop::render", "INFO", "src/render.rs"),
    ("batch.run", "shop::batch", "INFO", "src/batch.rs"),
    ("batch.part", "shop::batch", "DEBUG", "src/batch.rs"),
    ("parse.node", "shop::parse", "TRACE", "src/parse.rs"),
];

const THINGS: [&str; 18] = [
    "cache", "cart", "dns", "file", "image", "json", "kafka", "lock", "mail", "pay", "price",
    "queue", "search", "session", "stock", "tls", "token", "user",
];
const ACTIONS: [&str; 12] = [
    "get", "put", "send", "load", "find", "encode", "decode", "flush", "wait", "check", "update",
    "delete",
];

/// Indices of the event callsites.
pub const FAILED: usize = 0;
pub const RETRIED: usize = 1;
pub const ANSWERED: usize = 2;

const EVENTS: [(&str, &str, &str, u32); 3] = [
    ("shop::db", "ERROR", "src/db.rs", 87),
    ("shop::db", "WARN", "src/db.rs", 91),
    ("shop::http", "INFO", "src/http.rs", 54),
];

/// So many span callsites, each with a name of its own.
pub fn spans(count: usize) -> Vec<CallsiteInfo> {
    (0..count).map(span).collect()
}

fn span(index: usize) -> CallsiteInfo {
    let (name, target, level, file) = match KNOWN.get(index) {
        Some((name, target, level, file)) => {
            (name.to_string(), target.to_string(), *level, file.to_string())
        }
        None => {
            let index = index - OTHERS;
            // Thing by thing, so that a few names are of many things.
            let (thing, action) = (THINGS[index % 18], ACTIONS[index / 18 % 12]);
            let name = match index / (18 * 12) {
                0 => format!("{thing}.{action}"),
                more => format!("{thing}.{action}.{more}"),
            };
            (name, format!("shop::{thing}"), "DEBUG", format!("src/{thing}.rs"))
        }
    };
    CallsiteInfo {
        kind: CallsiteKind::Span,
        name,
        module: Some(target.clone()),
        target,
        level,
        file: Some(file),
        line: Some(10 + 7 * index as u32),
    }
}

pub fn events() -> Vec<CallsiteInfo> {
    let event = |(target, level, file, line): (&str, &'static str, &str, u32)| CallsiteInfo {
        kind: CallsiteKind::Event,
        name: format!("event {file}:{line}"),
        target: target.to_owned(),
        level,
        module: Some(target.to_owned()),
        file: Some(file.to_owned()),
        line: Some(line),
    };
    EVENTS.into_iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_different() {
        let names: HashSet<_> = spans(10_000).into_iter().map(|callsite| callsite.name).collect();
        assert_eq!(names.len(), 10_000);
    }
}
