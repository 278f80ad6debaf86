//! Texts without the secrets of the URLs in them: passwords, and the values of secret names in queries.
//!
//! Such a text may be in any field and in any message, so everything that is not part of a URL stays as
//! it is, to the byte. Only if a field's name says that it holds an address, more is taken for one: a
//! path with a query, a query alone, or a connection string of a database driver.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::names::{REDACTED, Redaction, Secrecy, words};
use super::pairs::without_pairs;

/// How many names in queries are remembered, and how long they may be.
const NAMES_MAX: usize = 1_024;
const NAME_BYTES_MAX: usize = 64;

/// Names of signatures in queries; a signature is as good as a key.
const SIGNATURES: [&str; 2] = ["sig", "signature"];

/// What a field's name says about addresses in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Address {
    /// Nothing: only what looks like a URL is one.
    #[default]
    Any,
    /// It is a URL, perhaps without scheme and host.
    Url,
    /// It is the query of a URL.
    Query,
    /// It is a connection string: a URL, or pairs of names and values.
    Connection,
}

impl Address {
    /// For the field with this name.
    pub(crate) fn of(name: &str) -> Self {
        let words = words(name);
        let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
        if has(&["dsn", "connection", "connstr", "conn"]) {
            Self::Connection
        } else if words.last().is_some_and(|last| last == "query") {
            Self::Query
        } else if has(&[
            "url", "uri", "href", "endpoint", "address", "addr", "path", "target", "location",
            "referer", "referrer", "redirect",
        ]) {
            Self::Url
        } else {
            Self::Any
        }
    }
}

impl Default for Urls {
    fn default() -> Self {
        Self::new(Redaction::default())
    }
}

/// Removes secrets from texts.
#[derive(Debug)]
pub(crate) struct Urls {
    redaction: Redaction,
    /// Whether passwords are secret at all.
    passwords: bool,
    /// Names in queries, and whether they are secret. A program has few, and uses them often.
    names: HashMap<String, bool>,
}

impl Urls {
    pub(crate) fn new(redaction: Redaction) -> Self {
        let passwords = redaction.secrecy("password") != Secrecy::None;
        Self { redaction, passwords, names: HashMap::new() }
    }

    /// The text without its secrets; `None` if it has none. `is_cut`: its end is missing, so a password
    /// may have begun that has no end.
    pub(crate) fn redacted(&mut self, text: &str, at: Address, is_cut: bool) -> Option<String> {
        let is_url = text.contains("://");
        if !is_url && at == Address::Any {
            return None;
        }
        let mut kept = Cow::Borrowed(text);
        if self.passwords
            && let Some(without) = without_users(&kept, at == Address::Connection, is_cut)
        {
            kept = Cow::Owned(without);
        }
        if let Some(without) = self.without_queries(&kept, at) {
            kept = Cow::Owned(without);
        }
        if at == Address::Connection && !is_url {
            let without = without_pairs(&kept, &self.redaction);
            if without != *kept {
                kept = Cow::Owned(without);
            }
        }
        match kept {
            Cow::Borrowed(_) => None,
            Cow::Owned(kept) => Some(kept),
        }
    }

    /// The text without secret values in queries, and after `#`, where some services return tokens.
    fn without_queries(&mut self, text: &str, at: Address) -> Option<String> {
        let mut kept = Kept::new(text);
        let mut start = 0;
        while start < text.len() {
            let end = if at == Address::Query { text.len() } else { url_end(text, start) };
            let part = &text[start..end];
            let query = match at {
                Address::Query => Some(0),
                Address::Any if !part.contains("://") => None,
                _ => part.find(['?', '#']),
            };
            let mut pair = start + query.unwrap_or(part.len());
            while pair < end {
                let len = text[pair..end].find(['&', ';', '?', '#']).unwrap_or(end - pair);
                if let Some((name, _)) = text[pair..pair + len].split_once('=')
                    && self.is_secret(name)
                {
                    kept.hide(pair + name.len() + 1..pair + len);
                }
                pair += len + 1;
            }
            start = end + text[end..].chars().next().map_or(1, char::len_utf8);
        }
        kept.end()
    }

    /// Whether a name in a query is secret.
    fn is_secret(&mut self, name: &str) -> bool {
        if let Some(known) = self.names.get(name) {
            return *known;
        }
        let decoded = decoded(name);
        let is_signature = words(&decoded).last().is_some_and(|last| {
            SIGNATURES.contains(&last.as_str()) && self.redaction.may_hide(last)
        });
        let is_secret = is_signature || self.redaction.secrecy(&decoded) != Secrecy::None;
        if name.len() <= NAME_BYTES_MAX {
            if self.names.len() >= NAMES_MAX {
                self.names.clear();
            }
            self.names.insert(name.to_owned(), is_secret);
        }
        is_secret
    }
}

/// A name with `%5B` and the like decoded; only ASCII letters matter.
fn decoded(name: &str) -> Cow<'_, str> {
    if !name.contains('%') {
        return Cow::Borrowed(name);
    }
    let mut decoded = String::new();
    let mut parts = name.split('%');
    decoded.extend(parts.next());
    for part in parts {
        let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                decoded.push(code.into());
                decoded.push_str(&part[2..]);
            }
            None => decoded.push_str(part),
        }
    }
    Cow::Owned(decoded)
}

/// Where a URL ends that is somewhere in a text, perhaps quoted, even more than once.
fn url_end(text: &str, start: usize) -> usize {
    let rest = &text[start..];
    let is_end = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '`');
    let len = rest.find(is_end).unwrap_or(rest.len());
    start + rest[..len].trim_end_matches('\\').len()
}

/// `scheme://user:password@host` without the password; and without the user if there is no password: it
/// may be a key. `begins`: the text begins as if a scheme stood before it.
pub(super) fn without_users(text: &str, begins: bool, is_cut: bool) -> Option<String> {
    let mut kept = Kept::new(text);
    let scheme = |from: usize| text[from..].find("://").map(|at| from + at + 3);
    // The end of the URL, and its last `@`: searched once, however many URLs are inside of it.
    let (mut end, mut last_at) = (0, None);
    let mut next = if begins && scheme(0).is_none() { Some(0) } else { scheme(0) };
    while let Some(start) = next {
        if start >= end {
            end = url_end(text, start);
            last_at = text[start..end].rfind('@').map(|at| start + at);
        }
        let is_open = is_cut && end == text.len();
        let url = &text[start..end];
        let user = user_len(url, last_at.filter(|at| *at >= start).map(|at| at - start), is_open);
        let user = user.unwrap_or(0);
        match url[..user].split_once(':') {
            Some((name, _)) => kept.hide(start + name.len() + 1..start + user),
            None => kept.hide(start..start + user),
        }
        next = scheme(start + user);
    }
    kept.end()
}

/// The length of user and password at the beginning of the rest of a URL; `last_at` is its last `@`.
/// `is_open`: its end may have been cut off.
fn user_len(url: &str, last_at: Option<usize>, is_open: bool) -> Option<usize> {
    let host_end = url.find(['/', '?', '#']).unwrap_or(url.len());
    let authority = &url[..host_end];
    if let Some(at) = authority.rfind('@') {
        return Some(at);
    }
    if is_open && host_end == url.len() {
        return Some(host_end);
    }
    // The password should have been escaped, and was not. A host may be an address in brackets.
    let host = authority.strip_prefix('[').and_then(|host| host.split_once(']'));
    let has_password = host
        .map_or(authority, |(_, port)| port)
        .split_once(':')
        .is_some_and(|(_, port)| !port.bytes().all(|byte| byte.is_ascii_digit()));
    if has_password { last_at.or(is_open.then_some(url.len())) } else { None }
}

/// A text while parts of it are left out.
struct Kept<'a> {
    text: &'a str,
    kept: String,
    /// Up to here the text is in `kept`.
    done: usize,
}

impl<'a> Kept<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, kept: String::new(), done: 0 }
    }

    /// Leaves a part out, unless it is empty or left out already. Each call is for a part after the last
    /// one.
    fn hide(&mut self, secret: Range<usize>) {
        let hidden = &self.text[secret.clone()];
        if !hidden.is_empty() && hidden != REDACTED {
            self.kept.push_str(&self.text[self.done..secret.start]);
            self.kept.push_str(REDACTED);
            self.done = secret.end;
        }
    }

    /// `None` if nothing was left out.
    fn end(mut self) -> Option<String> {
        if self.done == 0 {
            return None;
        }
        self.kept.push_str(&self.text[self.done..]);
        Some(self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, at: Address, is_cut: bool) -> String {
        let mut urls = Urls::default();
        let redacted = urls.redacted(text, at, is_cut);
        assert_ne!(redacted.as_deref(), Some(text), "nothing to change is none");
        redacted.unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn no_secret_of_a_url_is_left() {
        for (at, text, wanted) in [
            (Address::Any, "pg://me:hunter2@db/x", "pg://me:[redacted]@db/x"),
            (
                Address::Any,
                "no: \"pg://me:hunter2@db\", it said",
                "no: \"pg://me:[redacted]@db\", it said",
            ),
            (
                Address::Any,
                "a://u:hu/hunter2@h b://:hunter2@h",
                "a://u:[redacted]@h b://:[redacted]@h",
            ),
            (
                Address::Any,
                "redis://:hunter2@a,redis://:hunter2@b",
                "redis://:[redacted]@a,redis://:[redacted]@b",
            ),
            (Address::Any, "https://hunter2@h/x.git", "https://[redacted]@h/x.git"),
            (
                Address::Any,
                "https://h/p?a=1&token=hunter2&b=2",
                "https://h/p?a=1&token=[redacted]&b=2",
            ),
            (Address::Any, "https://h?password=hunter2#x", "https://h?password=[redacted]#x"),
            (Address::Any, "https://h/#access_token=hunter2", "https://h/#access_token=[redacted]"),
            (
                Address::Any,
                "https://h/?user%5Bsecret%5D=hunter2",
                "https://h/?user%5Bsecret%5D=[redacted]",
            ),
            (
                Address::Any,
                "https://h/?X-Amz-Signature=hunter2",
                "https://h/?X-Amz-Signature=[redacted]",
            ),
            (
                Address::Any,
                "https://h/?to=https://u:hunter2@g/?sig=hunter2",
                "https://h/?to=https://u:[redacted]@g/?sig=[redacted]",
            ),
            (Address::Url, "/login?token=hunter2", "/login?token=[redacted]"),
            (Address::Query, "a=b c&token=hunter 2", "a=b c&token=[redacted]"),
            (Address::Connection, "host=db password=hunter2", "host=db password=[redacted]"),
            (Address::Connection, "me:hunter2@tcp(db)/x", "me:[redacted]@tcp(db)/x"),
            (Address::Connection, "pg://key:hunter2@db/x", "pg://key:[redacted]@db/x"),
        ] {
            assert_eq!(of(text, at, false), wanted);
            assert_eq!(of(wanted, at, false), wanted, "once is enough");
        }
    }

    #[test]
    fn a_password_that_was_cut_is_no_host() {
        for (text, wanted) in [
            ("to pg://me:hunt", "to pg://me:[redacted]"),
            ("to pg://me:12", "to pg://me:[redacted]"),
            ("to https://hunt", "to https://[redacted]"),
            ("to pg://me:hu/hunt", "to pg://me:[redacted]"),
            ("to pg://db:5432/hunt", "to pg://db:5432/hunt"),
            ("to pg://me@db, and", "to pg://[redacted]@db, and"),
        ] {
            assert_eq!(of(text, Address::Any, true), wanted);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "",
            "://",
            "://@",
            "a://:@",
            "https://host:8080/a/b?c=d@e&page=2",
            "http://[::1]:8080/a@b",
            "at 12:30:00, std::mem::take, a:b@c",
            "/login?token=x",
            "password=x",
            "see https://h/a, or mail x@y",
            "https://h/?token=",
            "https://h/?token",
            "caf\u{e9}://\u{1f980}",
        ] {
            assert_eq!(of(text, Address::Any, false), text);
        }
        assert_eq!(of("/a?page=2&q=token", Address::Url, false), "/a?page=2&q=token");
    }

    #[test]
    fn names_of_fields_say_what_is_an_address() {
        for (name, at) in [
            ("http.url", Address::Url),
            ("databaseUrl", Address::Url),
            ("uri", Address::Url),
            ("url.query", Address::Query),
            ("http.query", Address::Query),
            ("connection_string", Address::Connection),
            ("db.dsn", Address::Connection),
            ("name", Address::Any),
            ("query_count", Address::Any),
        ] {
            assert_eq!(Address::of(name), at, "{name}");
        }
    }

    #[test]
    fn the_list_of_names_holds_for_urls_too() {
        let text = "pg://me:x@h/?sig=x&token=x&session=x";
        for (names, wanted) in [
            (&[][..], "pg://me:[redacted]@h/?sig=[redacted]&token=[redacted]&session=x"),
            (
                &["!password", "!sig", "session"],
                "pg://me:x@h/?sig=x&token=[redacted]&session=[redacted]",
            ),
            (&["!*"], text),
        ] {
            let mut redaction = Redaction::default();
            names.iter().for_each(|name| redaction.add(name));
            let redacted = Urls::new(redaction).redacted(text, Address::Any, false);
            assert_eq!(redacted.as_deref().unwrap_or(text), wanted);
        }
    }

    #[test]
    fn names_without_end_take_no_memory_without_end() {
        let mut urls = Urls::default();
        for n in 0..3 * NAMES_MAX {
            let text = format!("a://b/?{n}=1&{}=2", "x".repeat(1_000));
            assert_eq!(urls.redacted(&text, Address::Any, false), None);
        }
        assert!(urls.names.len() <= NAMES_MAX);
    }

    #[test]
    fn many_urls_are_no_depth() {
        let text = "a://b:c@".repeat(100_000);
        let redacted = of(&text, Address::Any, false);
        assert_eq!(redacted, "a://b:[redacted]@".repeat(100_000));
    }
}
