//! What a filter says of the rows that it can match, so that a scan need not look at the others.
//!
//! Only what all terms together ask for counts: what is under `or` or `not` says nothing.

use std::ops::RangeInclusive;

use super::Filter;
use super::expression::Expression;
use super::key::NumberKey;
use super::operator::Operator;
use super::term::Test;

impl Filter {
    /// The trace that all spans are of that can match, if the filter names one.
    pub fn trace_id(&self) -> Option<u64> {
        let mut found = None;
        self.each_number(&mut |key, operator, value| {
            if key == NumberKey::Trace && operator == Operator::Equal {
                found = u64::try_from(value).ok();
            }
        });
        found
    }

    /// The ids that spans can have that match; an empty range if none can.
    pub fn span_ids(&self) -> RangeInclusive<u64> {
        let (low, high) = self.bounds(NumberKey::Id, 0, i128::from(u64::MAX));
        match (u64::try_from(low), u64::try_from(high)) {
            (Ok(low), Ok(high)) => low..=high,
            _ => RangeInclusive::new(1, 0),
        }
    }

    /// The starts that spans can have that match, nanoseconds since the start of the run; an empty
    /// range if none can.
    pub fn starts_ns(&self) -> RangeInclusive<i64> {
        let (low, high) = self.bounds(NumberKey::Start, i128::from(i64::MIN), i128::from(i64::MAX));
        match (i64::try_from(low), i64::try_from(high)) {
            (Ok(low), Ok(high)) => low..=high,
            _ => RangeInclusive::new(1, 0),
        }
    }

    fn bounds(&self, wanted: NumberKey, mut low: i128, mut high: i128) -> (i128, i128) {
        self.each_number(&mut |key, operator, value| {
            if key != wanted {
                return;
            }
            match operator {
                Operator::Equal => (low, high) = (low.max(value), high.min(value)),
                Operator::Less => high = high.min(value - 1),
                Operator::LessOrEqual => high = high.min(value),
                Operator::Greater => low = low.max(value + 1),
                Operator::GreaterOrEqual => low = low.max(value),
                Operator::NotEqual | Operator::Found | Operator::NotFound => {}
            }
        });
        (low, high)
    }

    /// Calls `each` for each comparison with a number that must be true.
    fn each_number(&self, each: &mut impl FnMut(NumberKey, Operator, i128)) {
        let only = std::slice::from_ref(&self.expression);
        let parts = match &self.expression {
            Expression::All(parts) => parts.as_slice(),
            _ => only,
        };
        for part in parts {
            if let Expression::Term(term) = part
                && let Test::Number { key, operator, value } = term.test
            {
                each(key, operator, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::parse(text).unwrap()
    }

    #[test]
    fn of_traces() {
        assert_eq!(filter("trace=t12").trace_id(), Some(12));
        assert_eq!(filter("dur>1s (trace=12 is:root)").trace_id(), Some(12));
        for text in ["", "trace>t12", "trace=t1 or trace=t2", "not trace=t1", "id=s1"] {
            assert_eq!(filter(text).trace_id(), None, "{text:?}");
        }
    }

    #[test]
    fn of_ids() {
        assert_eq!(filter("").span_ids(), 0..=u64::MAX);
        assert_eq!(filter("id>s5 id<=9 name=a").span_ids(), 6..=9);
        assert_eq!(filter("id=s5").span_ids(), 5..=5);
        assert_eq!(filter("id<s5 or id>s9").span_ids(), 0..=u64::MAX);
        assert_eq!(filter("not id=s5").span_ids(), 0..=u64::MAX);
        assert!(filter("id<s0").span_ids().is_empty());
        assert!(filter("id=s5 id=s6").span_ids().is_empty());
        assert!(filter("id>s18446744073709551615").span_ids().is_empty());
    }

    #[test]
    fn of_starts() {
        assert_eq!(filter("start>=+1s start<2s").starts_ns(), 1_000_000_000..=1_999_999_999);
        assert_eq!(filter("dur>1s").starts_ns(), i64::MIN..=i64::MAX);
    }
}
