//! Names with values in a text, such as a command line: `name=value`.

use super::names::{REDACTED, Redaction, Secrecy};

/// Options of well-known commands whose value is a secret, in addition to the names of the list.
const OPTIONS: [&str; 4] = ["pass", "auth", "p", "P"];

/// Whether a letter may be part of a name.
pub(super) fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.')
}

/// Whether values under this name are secrets.
pub(super) fn is_secret(name: &str, redaction: &Redaction) -> bool {
    OPTIONS.contains(&name) || redaction.secrecy(name) != Secrecy::None
}

/// The text with `name=value`, `name: value` and `"name": "value"`, anywhere in it, without secret
/// values.
pub(super) fn without_pairs(text: &str, redaction: &Redaction) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(at);
        let name = before.trim_end_matches(['"', '\'', ' ']);
        let name = &name[name.trim_end_matches(is_of_name).len()..];
        let separator = if after.starts_with("://") { 3 } else { 1 };
        kept.push_str(before);
        kept.push_str(&after[..separator]);
        rest = &after[separator..];
        let is_redacted = rest.trim_start().starts_with(REDACTED);
        if separator > 1 || is_redacted || name.is_empty() || !is_secret(name, redaction) {
            continue;
        }
        let value = rest.trim_start();
        kept.push_str(&rest[..rest.len() - value.len()]);
        let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
        let is_header = after.starts_with(": ") && quote.is_none();
        let start = usize::from(quote.is_some());
        let end = match quote {
            Some(quote) => value[1..].find(quote).map_or(value.len(), |end| end + 1),
            None if is_header => value.len(),
            None => value
                .find(|letter: char| letter.is_whitespace() || "&;,|\"'})]".contains(letter))
                .unwrap_or(value.len()),
        };
        kept.push_str(&value[..start]);
        if end > start {
            kept.push_str(REDACTED);
        }
        rest = &value[end..];
    }
    kept.push_str(rest);
    kept
}
