//! The page of what `doctor` finds and the code agree: each topic has a row, and each row is a topic.

use std::collections::BTreeSet;
use std::fs;

use crate::pages;

/// The topics in the code: the literal after each severity.
fn in_code() -> BTreeSet<String> {
    let mut topics = BTreeSet::new();
    for file in pages::files(&pages::repository().join("cli/src/commands/doctor"), "rs") {
        let code = fs::read_to_string(file).unwrap();
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for rest in code.split("Severity::").skip(1) {
            let Some((before, rest)) = rest.split_once('"') else { continue };
            // The next argument, and not a text further down.
            let is_next = before.chars().all(|c| c.is_alphanumeric() || " ,}\n:_.(".contains(c));
            let topic = rest.split('"').next().unwrap_or_default();
            if is_next && !topic.contains('{') {
                topics.insert(topic.to_owned());
            }
        }
    }
    topics
}

#[test]
fn book_has_each_topic_of_doctor() {
    let page = fs::read_to_string(pages::source().join("reference/doctor.md")).unwrap();
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let said: BTreeSet<String> = cells
        .flat_map(|cell| cell.split(", "))
        .map(|topic| topic.trim_matches('`').to_owned())
        .collect();
    let topics = in_code();
    assert!(topics.len() > 15, "{topics:?}");
    assert_eq!(said, topics);
}
