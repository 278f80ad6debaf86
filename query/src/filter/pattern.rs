//! Texts with stars.

use super::error::Fault;
use super::lexer::{Value, unescape};

/// A text in which a star stands for any text, the empty one too.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// What stands between the stars, at least one piece.
    pieces: Vec<String>,
}

impl Pattern {
    /// The whole of a text.
    pub(super) fn whole(value: &Value<'_>) -> Result<Self, Fault> {
        let mut pieces = Vec::new();
        let mut piece = String::new();
        unescape(value, |c| match c {
            Some(c) => piece.push(c),
            None => pieces.push(std::mem::take(&mut piece)),
        })?;
        pieces.push(piece);
        Ok(Self { pieces })
    }

    /// Some part of a text.
    pub(super) fn part(value: &Value<'_>) -> Result<Self, Fault> {
        let mut pattern = Self::whole(value)?;
        pattern.pieces.insert(0, String::new());
        pattern.pieces.push(String::new());
        Ok(pattern)
    }

    /// Greedy from the left: the leftmost place of a piece leaves the most for those behind it, so
    /// that nothing is tried twice.
    pub(super) fn matches(&self, text: &str) -> bool {
        let [first, between @ .., last] = self.pieces.as_slice() else {
            return self.pieces.first().is_some_and(|only| only == text);
        };
        let Some(rest) = text.strip_prefix(first.as_str()) else {
            return false;
        };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else {
            return false;
        };
        for piece in between {
            let Some(at) = rest.find(piece.as_str()) else {
                return false;
            };
            rest = &rest[at + piece.len()..];
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(raw: &str) -> Value<'_> {
        Value { raw, quoted: false, span: 0..raw.len() }
    }

    fn matches(raw: &str, text: &str) -> bool {
        Pattern::whole(&value(raw)).unwrap().matches(text)
    }

    #[test]
    fn stars_stand_for_any_text() {
        assert!(matches("db.*", "db."));
        assert!(matches("db.*", "db.query"));
        assert!(!matches("db.*", "a db.query"));
        assert!(matches("*a*b*", "xaybz"));
        assert!(!matches("*a*b*", "xbyaz"));
        assert!(matches("**", ""));
        assert!(matches("", ""));
        assert!(!matches("", "a"));
    }

    #[test]
    fn the_ends_do_not_overlap() {
        assert!(!matches("aba*ba", "aba"));
        assert!(matches("aba*ba", "ababa"));
        assert!(!matches("a*a", "a"));
    }

    #[test]
    fn escapes() {
        assert!(matches(r"a\*b", "a*b"));
        assert!(!matches(r"a\*b", "axb"));
        assert!(matches(r#"\"\\\ "#, "\"\\ "));
        assert!(Pattern::whole(&value(r"a\d")).is_err());
        assert!(Pattern::whole(&value(r"a\")).is_err());
    }

    /// Tries everything.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            Some((c, rest)) => text.first() == Some(c) && naive(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn as_trying_everything(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = naive(&letters(&pattern), &letters(&text));
            prop_assert_eq!(matches(&pattern, &text), expected);
            let part = Pattern::part(&value(&pattern)).unwrap().matches(&text);
            let expected = naive(&letters(&format!("*{pattern}*")), &letters(&text));
            prop_assert_eq!(part, expected);
        }
    }
}
