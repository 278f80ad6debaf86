//! What a receiver says: <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>. It is untrusted: any
//! bytes give a result.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde_json::Value;

/// How much of an answer is read.
pub(super) const BYTES_MAX: u64 = 64 * 1024;

/// Characters of a message that are shown.
const MESSAGE_MAX: usize = 300;

/// What a receiver says of a request that it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Spans that it did not keep.
    pub(super) rejected: u64,
    /// Why, or another warning.
    pub(super) message: Option<String>,
}

/// The answer to a request that was taken; `None` if no receiver of OTLP can have said this.
pub(super) fn taken(content_type: &str, body: &[u8]) -> Option<Taken> {
    match kind(content_type) {
        Kind::Protobuf => Some(of_protobuf(body)),
        Kind::Json => Some(of_json(body)),
        // Some say nothing, or `OK`.
        Kind::Text => Some(Taken::default()),
        Kind::Page => None,
    }
}

fn of_protobuf(body: &[u8]) -> Taken {
    let partial = bytes_of(body, 1).unwrap_or_default();
    let rejected = match member(partial, 1) {
        Some(Member::Number(number)) => u64::try_from(number as i64).unwrap_or(0),
        _ => 0,
    };
    Taken { rejected, message: bytes_of(partial, 2).and_then(text_of) }
}

fn of_json(body: &[u8]) -> Taken {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let partial = answer.get("partialSuccess").or_else(|| answer.get("partial_success"));
    let member = |names: [&str; 2]| names.iter().find_map(|name| partial?.get(name));
    let rejected = match member(["rejectedSpans", "rejected_spans"]) {
        // 64 bits are a text in the JSON of protocol buffers.
        Some(Value::String(digits)) => digits.parse().unwrap_or(0),
        Some(number) => number.as_u64().unwrap_or(0),
        None => 0,
    };
    let message = member(["errorMessage", "error_message"]).and_then(Value::as_str);
    Taken { rejected, message: message.and_then(shown) }
}

/// Why a request was refused, if that is said: a `google.rpc.Status`, JSON or a line of text.
pub(super) fn reason(content_type: &str, body: &[u8]) -> Option<String> {
    match kind(content_type) {
        Kind::Protobuf => bytes_of(body, 2).and_then(text_of),
        Kind::Json => {
            let answer: Value = serde_json::from_slice(body).ok()?;
            let said = ["message", "error", "detail"].iter().find_map(|key| answer.get(key));
            match said.unwrap_or(&answer) {
                Value::String(text) => shown(text),
                other => shown(&other.to_string()),
            }
        }
        Kind::Text => text_of(body),
        Kind::Page => None,
    }
}

/// When to come again: seconds, or a date.
pub(super) fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let when = rfc2822::DateTimeParser::new().parse_timestamp(header).ok()?;
    Some(Duration::try_from(when.duration_since(now)).unwrap_or_default())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Protobuf,
    Json,
    Text,
    /// HTML, for browsers.
    Page,
}

fn kind(content_type: &str) -> Kind {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/x-protobuf" | "application/protobuf" => Kind::Protobuf,
        "text/html" => Kind::Page,
        json if json.ends_with("json") => Kind::Json,
        _ => Kind::Text,
    }
}

fn text_of(bytes: &[u8]) -> Option<String> {
    shown(&String::from_utf8_lossy(bytes))
}

/// The text on one line, cut to [`MESSAGE_MAX`]; `None` if it is empty.
fn shown(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let short: String = line.chars().take(MESSAGE_MAX).collect();
    let end = if short.len() < line.len() { "\u{2026}" } else { "" };
    (!line.is_empty()).then(|| short + end)
}

/// A member of a message of protocol buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn bytes_of(message: &[u8], field: u64) -> Option<&[u8]> {
    match member(message, field)? {
        Member::Bytes(bytes) => Some(bytes),
        Member::Number(_) => None,
    }
}

/// The last member with this number, before anything that is not a message.
fn member(mut message: &[u8], field: u64) -> Option<Member<'_>> {
    let mut found = None;
    while let Some(tag) = varint(&mut message) {
        let member = match tag & 7 {
            0 => varint(&mut message).map(Member::Number),
            1 => take(&mut message, 8).map(Member::Bytes),
            2 => {
                let length = varint(&mut message).and_then(|length| usize::try_from(length).ok());
                length.and_then(|length| take(&mut message, length)).map(Member::Bytes)
            }
            5 => take(&mut message, 4).map(Member::Bytes),
            _ => None,
        };
        let Some(member) = member else { break };
        if tag >> 3 == field {
            found = Some(member);
        }
    }
    found
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let byte = take(bytes, 1)?.first().copied()?;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROTOBUF: &str = "application/x-protobuf";

    #[test]
    fn partial_success_is_understood_in_both_encodings() {
        let some = Some(Taken { rejected: 300, message: Some("too old".into()) });
        assert_eq!(taken(PROTOBUF, b"\x0a\x0c\x08\xac\x02\x12\x07too old"), some);
        let json = br#"{"partialSuccess":{"rejectedSpans":"300","errorMessage":"too\n old"}}"#;
        assert_eq!(taken("application/json; charset=utf-8", json), some);
        let number = br#"{"partialSuccess":{"rejectedSpans":300,"errorMessage":"too old"}}"#;
        assert_eq!(taken("application/json", number), some);
        for (kind, nothing) in [(PROTOBUF, ""), ("application/json", "{}"), ("", "OK")] {
            assert_eq!(taken(kind, nothing.as_bytes()), Some(Taken::default()), "{kind}");
        }
        assert_eq!(taken("text/html; charset=utf-8", b"<html>"), None, "a page is no answer");
    }

    #[test]
    fn why_a_request_was_refused_is_found() {
        let why = Some("bad span".to_owned());
        assert_eq!(reason(PROTOBUF, b"\x08\x03\x12\x08bad span"), why);
        assert_eq!(reason("application/json", br#"{"code":3,"message":"bad span"}"#), why);
        assert_eq!(reason("text/plain", b" bad\n span\n"), why);
        assert_eq!(reason("text/html", b"<h1>no</h1>"), None);
        assert_eq!(reason("text/plain", b""), None);
        let long = reason("", &[b'x'; 1000]).unwrap();
        assert_eq!(long.chars().count(), MESSAGE_MAX + 1);
    }

    #[test]
    fn a_moment_or_a_wait() {
        let now: Timestamp = "2026-11-20T08:49:30Z".parse().unwrap();
        let after = |header| retry_after(header, now);
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after("Fri, 20 Nov 2026 08:49:37 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(after("Fri, 20 Nov 2026 08:49:00 GMT"), Some(Duration::ZERO));
        assert_eq!((after("soon"), after("-1")), (None, None));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            kind in prop_oneof![Just(PROTOBUF), Just("application/json"), Just("text/plain")],
            header in any::<String>())
        {
            prop_assert!(taken(kind, &bytes).is_some());
            let _why = reason(kind, &bytes);
            let _when = retry_after(&header, Timestamp::UNIX_EPOCH);
        }
    }
}
