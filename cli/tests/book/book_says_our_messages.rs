//! The page of messages and the code agree: each heading is still said, and what is said has a heading.

use std::fs;

use crate::pages;

/// Stands for what differs in a message.
const ANY: char = '…';

/// The texts in the code outside of tests, as they are written in it, lines joined.
fn texts() -> Vec<String> {
    let mut texts = Vec::new();
    for folder in ["storage/src", "query/src", "export/src", "profiler/src", "cli/src"] {
        for file in pages::files(&pages::repository().join(folder), "rs") {
            let code = fs::read_to_string(&file).unwrap();
            let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            literals(code, &mut texts);
        }
    }
    assert!(texts.len() > 1_000, "{} texts", texts.len());
    texts
}

/// The string literals of code: enough of Rust's rules for finding them.
fn literals(code: &str, texts: &mut Vec<String>) {
    let code: Vec<&str> =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut rest = code.as_str();
    while let Some(start) = rest.find('"') {
        let is_char = rest[..start].ends_with('\'') && rest[start + 1..].starts_with('\'');
        rest = &rest[start + 1..];
        if is_char {
            continue;
        }
        let mut text = String::new();
        let mut chars = rest.char_indices();
        let mut end = rest.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => match chars.next() {
                    Some((_, '\n')) => {
                        let left = chars.as_str().trim_start();
                        let skip = chars.as_str().chars().count() - left.chars().count();
                        (0..skip).for_each(|_| {
                            chars.next();
                        });
                    }
                    Some((_, '"')) => text.push('"'),
                    Some((_, other)) => text.extend(['\\', other]),
                    None => break,
                },
                other => text.push(other),
            }
        }
        texts.push(text);
        rest = &rest[end..];
    }
}

/// A text with what is put in replaced by one mark.
fn generic(text: &str) -> String {
    let mut generic = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let Some(length) = rest[start..].find('}') else { break };
        generic.push_str(&rest[..start]);
        generic.push(ANY);
        rest = &rest[start + length + 1..];
    }
    generic.push_str(rest);
    generic
}

/// Whether the parts of a heading come in the text, in order, the first one at the start unless it
/// goes on from another text.
fn is_said(heading: &str, text: &str) -> bool {
    let mut rest = text;
    heading.split(ANY).filter(|part| !part.trim().is_empty()).all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

fn headings() -> Vec<String> {
    let page = fs::read_to_string(pages::source().join("reference/messages.md")).unwrap();
    let headings = page.lines().filter_map(|line| line.strip_prefix("### ").map(str::to_owned));
    headings.filter(|heading| heading != "Reasons for drops").collect()
}

/// Whether a text of the code is a message with a way out, as all of ours are that people meet.
fn is_message(text: &str) -> bool {
    let words = [
        "choose",
        "write ",
        "move it away",
        "try again",
        "end it",
        "name ",
        "free some",
        "leave out",
    ];
    let has_remedy = text.split_once("; ").is_some_and(|(wrong, remedy)| {
        wrong.contains(' ') && words.iter().any(|word| remedy.starts_with(word))
    });
    has_remedy || text.starts_with("there is no ") || text.starts_with("unknown ")
}

#[test]
fn book_messages_are_still_said() {
    let texts: Vec<String> = texts().iter().map(|text| generic(text)).collect();
    let gone: Vec<String> = headings()
        .into_iter()
        .filter(|heading| !texts.iter().any(|text| is_said(heading, text)))
        .collect();
    assert!(gone.is_empty(), "no code says any more:\n{}", gone.join("\n"));
}

#[test]
fn book_knows_the_messages() {
    let headings = headings();
    let messages: Vec<String> =
        texts().iter().filter(|text| is_message(text)).map(|text| generic(text)).collect();
    assert!(messages.len() > 50, "{} messages", messages.len());
    let missing: Vec<&String> = messages
        .iter()
        .filter(|text| !headings.iter().any(|heading| is_said(heading, text)))
        .collect();
    assert!(
        missing.is_empty(),
        "no heading in docs/src/reference/messages.md for:\n{}",
        missing.iter().map(|text| text.as_str()).collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn book_knows_the_reasons_for_drops() {
    let page = fs::read_to_string(pages::source().join("reference/messages.md")).unwrap();
    for reason in spandrel::DropReason::ALL {
        assert!(page.contains(&format!("| `{}` |", reason.as_str())), "{reason:?}");
    }
}

#[test]
fn book_finds_texts_in_code() {
    let mut texts = Vec::new();
    literals("// \"no\"\nlet c = '\"'; f(\"a {x} \\\n     b\\\"\", \"c\")", &mut texts);
    assert_eq!(texts, ["a {x} b\"", "c"]);
    assert_eq!(generic("a {x} b {}"), "a … b …");
    assert!(is_said("a … b", "a … b …") && !is_said("b … a", "a … b …"));
}
