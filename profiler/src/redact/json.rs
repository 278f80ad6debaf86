//! A JSON object from another process, without the values of secrets.

use super::names::{REDACTED, Redaction, Secrecy};
use super::urls::{Address, Urls};

/// The object with `"[redacted]"` for each value with a secret name, at any depth, and without the
/// secrets of URLs. `None` for a text that is not JSON.
pub(crate) fn redacted(object: &str, redaction: &Redaction) -> Option<String> {
    let mut out = String::with_capacity(object.len());
    let mut rest = object;
    // The last string, if it may be a name.
    let mut name: Option<String> = None;
    let (mut urls, mut address) = (Urls::new(redaction.clone()), Address::Any);
    while let Some(first) = rest.chars().next() {
        let len = if first == '"' { string_len(rest)? } else { first.len_utf8() };
        let (token, after) = rest.split_at(len);
        rest = after;
        if first == '"' {
            push_without_secrets(&mut out, token, address, &mut urls);
        } else {
            out.push_str(token);
        }
        match first {
            '"' => name = Some(unescaped(token)),
            ':' => {
                address = name.as_deref().map_or(Address::Any, Address::of);
                let secrecy = name.take().map_or(Secrecy::None, |name| redaction.secrecy(&name));
                let value = rest.trim_start();
                let len = value_len(value)?;
                let is_text = value.starts_with(['"', '{', '[']);
                if secrecy == Secrecy::All || secrecy == Secrecy::Texts && is_text {
                    out.push_str(&format!("\"{REDACTED}\""));
                    rest = &value[len..];
                }
            }
            _ => {}
        }
    }
    Some(out)
}

/// Appends a string, still escaped. What is hidden begins and ends between escapes.
fn push_without_secrets(out: &mut String, string: &str, address: Address, urls: &mut Urls) {
    let inner = string.get(1..string.len() - 1).unwrap_or_default();
    // Some programs write slashes like this, which need no escape.
    let slashes = inner.contains("\\/") && !inner.contains("\\\\");
    let without_slashes = slashes.then(|| inner.replace("\\/", "/"));
    match urls.redacted(without_slashes.as_deref().unwrap_or(inner), address, false) {
        Some(kept) => out.push_str(&format!("\"{kept}\"")),
        None => out.push_str(string),
    }
}

/// The length of the string at the beginning of the text, in bytes, with its quotes.
fn string_len(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().enumerate().skip(1).find_map(|(at, byte)| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends.then_some(at + 1)
    })
}

/// The length of the value at the beginning of the text, in bytes.
fn value_len(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let first = rest.chars().next()?;
        match first {
            '"' => at += string_len(rest)?,
            '{' | '[' => {
                depth += 1;
                at += 1;
            }
            '}' | ']' | ',' if depth == 0 => return Some(at),
            '}' | ']' => {
                depth -= 1;
                at += 1;
            }
            _ => {
                at += first.len_utf8();
                continue;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// A name without its quotes and escapes. Escapes by number are decoded.
fn unescaped(string: &str) -> String {
    let mut name = String::new();
    let mut letters = string.trim_matches('"').chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            name.push(letter);
            continue;
        }
        match letters.next() {
            Some('u') => {
                let digits: String = letters.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                name.extend(code.and_then(char::from_u32));
            }
            other => name.extend(other),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secrets_are_replaced_wherever_they_are() {
        let object = r#"{"a":1,"password":"x\"y","token":12,"in":{"api_key": ["k",{"b":"}"}] ,"c":":"},
            "p\u0061ssword":null,"key":"k","text":"password: x","last":"}"}"#;
        let expected = r#"{"a":1,"password":"[redacted]","token":12,"in":{"api_key":"[redacted]" ,"c":":"},
            "p\u0061ssword":"[redacted]","key":"[redacted]","text":"password: x","last":"}"}"#;
        assert_eq!(redacted(object, &Redaction::default()).as_deref(), Some(expected));
        for (object, expected) in [
            (
                r#"{"a":"pg://me:x@h","b":["pg:\/\/me:x@h"]}"#,
                r#"{"a":"pg://me:[redacted]@h","b":["pg://me:[redacted]@h"]}"#,
            ),
            (
                r#"{"a":"to \"a:\/\/b?key=x\"","uri":"/?sig=x\"y&b"}"#,
                r#"{"a":"to \"a://b?key=[redacted]\"","uri":"/?sig=[redacted]\"y&b"}"#,
            ),
            (
                r#"{"a":"C:\\/a","url.query":"key=x\"y"}"#,
                r#"{"a":"C:\\/a","url.query":"key=[redacted]"}"#,
            ),
        ] {
            assert_eq!(redacted(object, &Redaction::default()).as_deref(), Some(expected));
        }
        for broken in [r#"{"password":"x"#, r#"{"password":"#, r#"{"password":{"#] {
            assert_eq!(redacted(broken, &Redaction::default()), None, "{broken}");
        }
        assert_eq!(redacted("{}", &Redaction::default()).as_deref(), Some("{}"));
    }
}
