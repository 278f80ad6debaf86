//! Numbers in fields and in the terms that ask for them.

use std::cmp::Ordering;

/// A number; integers are kept as they are, since a float would not tell large ones apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    /// The number that a text is, all of it. Infinity and the like are none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let numeric = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        if !text.bytes().all(numeric) {
            return None;
        }
        if let Ok(integer) = text.parse() {
            return Some(Self::Integer(integer));
        }
        let float: f64 = text.parse().ok()?;
        float.is_finite().then_some(Self::Float(float))
    }

    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(&right)),
            (left, right) => left.as_float().partial_cmp(&right.as_float()),
        }
    }

    fn as_float(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }

    /// As JSON writes it: `7`, `7.0`, `1e+300`.
    pub(super) fn to_text(self) -> String {
        match self {
            Self::Integer(integer) => integer.to_string(),
            Self::Float(float) => serde_json::Number::from_f64(float)
                .map_or_else(|| float.to_string(), |number| number.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_numbers() {
        assert_eq!(Number::parse("7"), Some(Number::Integer(7)));
        assert_eq!(Number::parse("-7"), Some(Number::Integer(-7)));
        assert_eq!(Number::parse("7.5"), Some(Number::Float(7.5)));
        assert_eq!(Number::parse("1e3"), Some(Number::Float(1000.0)));
        for text in
            ["", "-", "e", "1e999", "inf", "NaN", "infinity", "0x10", "1_000", " 1", "1.2.3"]
        {
            assert_eq!(Number::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn large_integers_are_told_apart() {
        let number = |text| Number::parse(text).unwrap();
        let order = number("18446744073709551615").compare(number("18446744073709551614"));
        assert_eq!(order, Some(Ordering::Greater));
        assert_eq!(number("7").compare(number("7.0")), Some(Ordering::Equal));
        assert_eq!(number("7").to_text(), "7");
        assert_eq!(number("7.0").to_text(), "7.0");
    }
}
