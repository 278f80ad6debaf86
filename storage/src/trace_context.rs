//! The ids by which other systems know a span: as OpenTelemetry and W3C Trace Context write them.
//!
//! A trace has 128 bits, a span 64; zero is no id. Where they come from as text, they are hexadecimal digits of
//! either case. See <https://www.w3.org/TR/trace-context/>.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;

/// The id of a trace. Written as 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(NonZeroU128);

impl TraceId {
    /// `None` for zero, which is no id.
    #[must_use]
    pub const fn new(id: u128) -> Option<Self> {
        match NonZeroU128::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0.get()
    }

    /// From a field called `trace_id`: 32 digits, with or without the hyphens of a UUID, or 16, which
    /// some systems use. With or without quotes. `None` for anything else.
    #[must_use]
    pub fn from_field(text: &str) -> Option<Self> {
        let text = unquoted(text);
        if text.len() == 36 {
            let hyphens = [8, 13, 18, 23];
            let mut bytes = text.bytes().enumerate();
            let is_uuid = bytes.all(|(at, byte)| (byte == b'-') == hyphens.contains(&at));
            return text.replace('-', "").parse().ok().filter(|_| is_uuid);
        }
        let is_long_enough = matches!(text.len(), 16 | 32);
        digits(text).filter(|_| is_long_enough).and_then(Self::new)
    }
}

/// 32 hexadecimal digits, not all of them zero.
impl FromStr for TraceId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let id = digits(text).filter(|_| text.len() == 32).and_then(Self::new);
        id.ok_or(NoId)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The id of a span in such a trace. Written as 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OtelSpanId(NonZeroU64);

impl OtelSpanId {
    /// `None` for zero, which is no id.
    #[must_use]
    pub const fn new(id: u64) -> Option<Self> {
        match NonZeroU64::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// From a field called `span_id`: 16 digits, with or without quotes. `None` for anything else.
    #[must_use]
    pub fn from_field(text: &str) -> Option<Self> {
        unquoted(text).parse().ok()
    }
}

/// 16 hexadecimal digits, not all of them zero.
impl FromStr for OtelSpanId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let id = digits(text).filter(|_| text.len() == 16).and_then(|id| u64::try_from(id).ok());
        id.and_then(Self::new).ok_or(NoId)
    }
}

impl fmt::Display for OtelSpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A text that is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoId;

impl fmt::Display for NoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id of a trace or span: 32 or 16 hexadecimal digits, not all of them 0")
    }
}

impl std::error::Error for NoId {}

/// How other systems know a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span itself, if its own id is known, and not only its trace.
    pub span_id: Option<OtelSpanId>,
    /// The span of another program in which it is, if that is known.
    pub parent_id: Option<OtelSpanId>,
}

impl TraceContext {
    /// From a header `traceparent`, for the span that handles the request: its trace, and the caller's
    /// span. `None` if it is not well-formed.
    #[must_use]
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let text = unquoted(text).trim_ascii();
        let mut parts = text.split('-');
        let (version, trace_id) = (parts.next()?, parts.next()?);
        let (parent_id, flags) = (parts.next()?, parts.next()?);
        let is_byte = |text: &str| text.len() == 2 && digits(text).is_some();
        let is_version = is_byte(version) && !version.eq_ignore_ascii_case("ff");
        // Later versions may have more parts.
        let is_all = version != "00" || parts.next().is_none();
        let trace_id = trace_id.parse().ok()?;
        let parent_id = Some(parent_id.parse().ok()?);
        let is_valid = is_version && is_byte(flags) && is_all;
        is_valid.then_some(Self { trace_id, span_id: None, parent_id })
    }
}

/// A number of hexadecimal digits and nothing else.
fn digits(text: &str) -> Option<u128> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(text, 16).ok().filter(|_| is_digits)
}

/// A text without the quotes that `Debug` puts around it.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn ids_are_read_as_other_systems_write_them() {
        let id = TraceId::new(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        for text in [
            TRACE,
            "4BF92F3577B34DA6A3CE929D0E0E4736",
            "\"4bf92f3577b34da6a3ce929d0e0e4736\"",
            "4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
        ] {
            assert_eq!(TraceId::from_field(text), id, "{text}");
        }
        assert_eq!(TraceId::from_field("a3ce929d0e0e4736"), TraceId::new(0xa3ce_929d_0e0e_4736));
        assert_eq!(id.unwrap().to_string(), TRACE);
        assert_eq!(
            OtelSpanId::from_field("00f067aa0ba902b7").map(OtelSpanId::get),
            Some(0xf067aa0ba902b7)
        );
        assert_eq!(OtelSpanId::new(10).unwrap().to_string(), "000000000000000a");
    }

    #[test]
    fn what_is_no_id_is_none() {
        let zeros = "0".repeat(32);
        for text in [
            "",
            "17",
            "request 12",
            &zeros,
            "+bf92f3577b34da6a3ce929d0e0e4736",
            "4bf92f35-77b34da6-a3ce-929d-0e0e47360",
            "4bf92f3577b34da6a3ce929d0e0e473\u{e9}",
            "4bf92f3577b34da6a3ce929d0e0e47361",
        ] {
            assert_eq!(TraceId::from_field(text), None, "{text}");
            assert_eq!(OtelSpanId::from_field(text), None, "{text}");
        }
        assert_eq!(OtelSpanId::from_field("0000000000000000"), None);
    }

    #[test]
    fn a_header_is_read_as_w3c_has_it() {
        let context = TraceContext::from_traceparent;
        let expected = TraceContext {
            trace_id: TRACE.parse().unwrap(),
            span_id: None,
            parent_id: "00f067aa0ba902b7".parse().ok(),
        };
        let rest = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(context(&format!("00-{rest}")), Some(expected));
        assert_eq!(context(&format!("\"00-{rest}\"")), Some(expected), "as Debug shows it");
        assert_eq!(context(&format!("cc-{rest}-what-will-be")), Some(expected), "a later version");
        for wrong in [
            format!("00-{rest}-more"),
            format!("ff-{rest}"),
            format!("0-{rest}"),
            rest.to_owned(),
            format!("00-{}", rest.replace("4bf9", "4bg9")),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-00f067aa0ba902b7"),
            String::new(),
        ] {
            assert_eq!(context(&wrong), None, "{wrong}");
        }
    }
}
