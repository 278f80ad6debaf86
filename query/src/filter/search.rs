//! Regular expressions.
//!
//! Most of what is searched for is plain text, which is found many times faster without an expression.

use regex_lite::{Regex, RegexBuilder};

use super::error::Fault;
use super::lexer::Value;

/// Memory that a regular expression may take when it has been prepared.
const BYTES_MAX: usize = 256 * 1024;

/// A regular expression that is looked for anywhere in a text.
#[derive(Debug, Clone)]
pub(super) enum Search {
    Plain(String),
    Regex(Regex),
}

impl Search {
    /// The text as it stands, with its escapes.
    pub(super) fn new(value: &Value<'_>) -> Result<Self, Fault> {
        if !value
            .raw
            .contains(['\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$'])
        {
            return Ok(Self::Plain(value.raw.to_owned()));
        }
        let built = RegexBuilder::new(value.raw).size_limit(BYTES_MAX).build();
        built.map(Self::Regex).map_err(|source| {
            let fault = Fault::new(value.span.clone(), format!("no regular expression: {source}"));
            fault.hint("write a backslash before what stands for itself, such as `\\(`")
        })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Plain(part) => text.contains(part.as_str()),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(raw: &str) -> Option<Search> {
        Search::new(&Value { raw, quoted: false, span: 0..raw.len() }).ok()
    }

    #[test]
    fn case_counts_unless_it_is_said_otherwise() {
        assert!(!search("ab").unwrap().is_match("xABx"));
        assert!(search("(?i)ab").unwrap().is_match("xABx"));
        assert!(search("^a.c$").unwrap().is_match("abc"));
        assert!(!search("^a.c$").unwrap().is_match("abcd"));
    }

    proptest! {
        #[test]
        fn plain_texts_are_as_expressions(
            raw in "[ab:_#&~<>/ -]{0,3}|[ab.*+?(|)$^\\\\{}\\[\\]]{0,4}",
            text in "[ab:_#&~<>/ .-]{0,8}",
        ) {
            let expected = Regex::new(&raw).ok().map(|regex| regex.is_match(&text));
            prop_assert_eq!(search(&raw).map(|search| search.is_match(&text)), expected);
        }
    }
}
