//! Ids of traces, as other systems write them: by their first digits.

use super::error::Fault;
use super::lexer::Value;
use spandrel_storage::{TraceContext, TraceId};

/// Fewer digits would be those of many traces.
const DIGITS_MIN: usize = 4;
/// Digits of an id.
const DIGITS: usize = 32;

/// The ids that begin with some digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TraceIds {
    /// Lower-case.
    digits: String,
    first: u128,
    last: u128,
}

impl TraceIds {
    /// From 4 to 32 digits, behind which there may be `*` or `..`; a UUID; or a header `traceparent`.
    pub(super) fn parse(value: &Value<'_>) -> Result<Self, Fault> {
        let raw = value.raw;
        let start = ["*", "..", "\u{2026}"].into_iter().find_map(|end| raw.strip_suffix(end));
        let id = TraceContext::from_traceparent(raw).map(|context| context.trace_id);
        let is_uuid = raw.len() == 36;
        let id = id.or_else(|| TraceId::from_field(raw).filter(|_| is_uuid));
        let digits = match id {
            Some(id) => id.to_string(),
            None => start.unwrap_or(raw).to_ascii_lowercase(),
        };
        let is_some = (DIGITS_MIN..=DIGITS).contains(&digits.len());
        let number = u128::from_str_radix(&digits, 16).ok();
        let number = number.filter(|_| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let (Some(number), true) = (number, is_some) else {
            let fault = Fault::new(value.span.clone(), format!("{raw:?} is no id of a trace"));
            return Err(
                fault.hint("it has 32 hexadecimal digits, of which the first 4 may be enough")
            );
        };
        let rest = 4 * (DIGITS - digits.len()) as u32;
        let below = u128::MAX.checked_shr(128 - rest).unwrap_or(0);
        let first = number.checked_shl(rest).unwrap_or(0);
        Ok(Self { digits, first, last: first | below })
    }

    pub(super) fn contains(&self, id: TraceId) -> bool {
        (self.first..=self.last).contains(&id.get())
    }

    /// What is so of spans of such traces, as SQL of columns and digits.
    pub(super) fn sql(&self) -> String {
        let digits = &self.digits;
        // `g` is behind all digits.
        format!(
            "root_id IN (SELECT root_id FROM trace_context
               WHERE trace_id >= '{digits}' AND trace_id < '{digits}g')"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::Filter;
    use super::*;

    fn ids(text: &str) -> Option<TraceIds> {
        TraceIds::parse(&Value { raw: text, quoted: false, span: 0..text.len() }).ok()
    }

    #[test]
    fn the_first_digits_are_enough_and_all_of_them_are_one_id() {
        let id = |text: &str| text.parse::<TraceId>().unwrap();
        let whole = "4bf92f3577b34da6a3ce929d0e0e4736";
        let uuid = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736";
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for text in ["4bf9", "4BF9..", "4bf92f3577b34da6a3ce929d0e0e473*", whole, uuid, header] {
            assert!(ids(text).unwrap().contains(id(whole)), "{text}");
            let other = id("4bf82f3577b34da6a3ce929d0e0e4736");
            assert!(!ids(text).unwrap().contains(other), "{text}");
        }
        let next = id("4bf92f3577b34da6a3ce929d0e0e4737");
        assert!(ids("4bf92f3577b34da6a3ce929d0e0e473").unwrap().contains(next));
        assert!(!ids(whole).unwrap().contains(next));
        assert!(ids(&"0".repeat(4)).unwrap().contains(id("00000000000000000000000000000001")));
        assert!(ids(&"f".repeat(4)).unwrap().contains(id(&"f".repeat(32))));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["4bf", "", "..", "4bg9", "+4bf9", "-4bf9", "'; DROP TABLE span; --"] {
            assert_eq!(ids(text), None, "{text}");
        }
        assert_eq!(ids(&"4".repeat(33)), None);
        let error = Filter::parse("trace_id=4bf").unwrap_err();
        assert_eq!(
            error.hint(),
            Some("it has 32 hexadecimal digits, of which the first 4 may be enough")
        );
        for text in ["trace_id>4bf9", "trace_id~4bf9"] {
            let error = Filter::parse(text).unwrap_err();
            let hint = "it can be compared with = !=; its first digits are enough";
            assert_eq!(error.hint(), Some(hint), "{text}");
        }
    }
}
