//! Errors in a filter: what was not understood, where, and what to write instead.

use std::error;
use std::fmt;
use std::ops::Range;

/// Characters of a long text that are shown before the position, and after it.
const AROUND_CHARS: usize = 36;

/// A filter that was not understood.
///
/// Printed, it is one line; [`render`](Self::render) also shows the text and marks the position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    text: String,
    span: Range<usize>,
    message: String,
    hint: Option<String>,
}

/// What was wrong, without the text that it was in.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(super) fn of(self, text: &str) -> FilterError {
        let Self { mut span, message, hint } = self;
        // Whole characters, so that slicing does not panic.
        while span.end < text.len() && !text.is_char_boundary(span.end) {
            span.end += 1;
        }
        // Messages quote the text, which may contain anything; printed, each is one line.
        let one_line = |text: String| text.chars().map(visible).collect::<String>();
        let (message, hint) = (one_line(message), hint.map(one_line));
        FilterError { text: text.to_owned(), span, message, hint }
    }
}

impl FilterError {
    /// Where, in bytes of the text; at its end if something is missing there.
    pub fn position(&self) -> usize {
        self.span.start
    }

    /// The piece of the text that was not understood, in bytes.
    pub fn range(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What was wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead, if that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Several lines: the message, the text with a mark under the position, and the hint. Control characters are
    /// replaced; of a long text only the surroundings are shown.
    ///
    /// ```text
    /// unknown key `nmae`
    ///   nmae=db.* dur>10ms
    ///   ^^^^
    /// did you mean `name`?
    /// ```
    pub fn render(&self) -> String {
        let (before, rest) = split(&self.text, self.span.start);
        let (piece, after) = split(rest, self.span.end.saturating_sub(self.span.start));
        let (before, more_before) = last_chars(before);
        let (piece, more_piece) = first_chars(piece);
        let (after, more_after) =
            if more_piece { (String::new(), true) } else { first_chars(after) };
        let mut line = String::from(if more_before { "…" } else { "" });
        line.push_str(&before);
        let column = line.chars().count();
        line.push_str(&piece);
        line.push_str(&after);
        if more_after {
            line.push('…');
        }
        let carets = "^".repeat(piece.chars().count().max(1));
        let mut out = format!("{}\n  {line}\n  {}{carets}", self.message, " ".repeat(column));
        if let Some(hint) = &self.hint {
            out.push('\n');
            out.push_str(hint);
        }
        out
    }
}

/// Splits at a byte offset that may be inside of a character, or behind the end.
fn split(text: &str, mut at: usize) -> (&str, &str) {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    text.split_at(at)
}

fn first_chars(text: &str) -> (String, bool) {
    let more = text.chars().nth(AROUND_CHARS).is_some();
    (text.chars().take(AROUND_CHARS).map(visible).collect(), more)
}

fn last_chars(text: &str) -> (String, bool) {
    let skipped = text.chars().count().saturating_sub(AROUND_CHARS);
    (text.chars().skip(skipped).map(visible).collect(), skipped > 0)
}

/// Replaces a character that is not exactly one column wide.
fn visible(c: char) -> char {
    match c {
        '\t' | '\n' => ' ',
        // Marks that turn the direction of writing, or have no width.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in the filter at byte {}: {}", self.span.start, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl error::Error for FilterError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str, span: Range<usize>) -> FilterError {
        Fault::new(span, "wrong").hint("right").of(text)
    }

    #[test]
    fn the_place_is_whole_characters() {
        let text = "\"x y\"\u{5dd} or a";
        let error = super::super::Filter::parse(text).unwrap_err();
        assert_eq!(&text[error.range()], "\u{5dd}");
    }

    #[test]
    fn a_message_that_quotes_the_text_is_one_line() {
        for text in ["a\\\nb", "k\u{1b}[2Jy=1", "dur>1\u{202e}ms", "level=\"a\nb\""] {
            let error = super::super::Filter::parse(text).unwrap_err();
            let printed = error.to_string();
            assert!(!printed.contains(|c: char| c.is_control() || c == '\u{202e}'), "{printed:?}");
        }
    }

    #[test]
    fn points_to_the_place() {
        let error = fault("größe nmae=1", 8..12);
        assert_eq!(error.render(), "wrong\n  größe nmae=1\n        ^^^^\nright");
        assert_eq!(error.to_string(), "in the filter at byte 8: wrong; right");
    }

    #[test]
    fn points_behind_the_end() {
        assert_eq!(fault("a", 1..1).render(), "wrong\n  a\n   ^\nright");
    }

    #[test]
    fn shows_the_surroundings_of_a_long_text() {
        let text = format!("{}X{}", "a".repeat(1000), "b".repeat(1000));
        let error = fault(&text, 1000..1001).render();
        let a = "a".repeat(AROUND_CHARS);
        let b = "b".repeat(AROUND_CHARS);
        let space = " ".repeat(AROUND_CHARS + 3);
        assert_eq!(error, format!("wrong\n  …{a}X{b}…\n{space}^\nright"));
    }

    #[test]
    fn places_inside_a_character_are_no_panic() {
        for start in 0..10 {
            for end in 0..10 {
                assert!(fault("äöü€", start..end).render().contains('^'));
            }
        }
    }

    #[test]
    fn what_moves_the_cursor_is_not_shown() {
        let error = fault("a\u{1b}[2J\u{202e}\r\n", 0..1).render();
        assert_eq!(error, "wrong\n  a\u{fffd}[2J\u{fffd}\u{fffd} \n  ^\nright");
    }
}
