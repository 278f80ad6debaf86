//! The filter language: which spans are selected.
//!
//! ```text
//! filter = and { "or" and }
//! and    = not { ["and"] not }
//! not    = ("not" | "-") not | "(" filter ")" | term
//! term   = KEY OP VALUE | "has:" WHAT | "is:" WHAT | TEXT
//! ```
//!
//! | term | spans |
//! |---|---|
//! | `checkout`, `"two words"` | whose name contains the text; `*` stands for any text |
//! | `name=db.*` | whose name is that; `*` stands for any text, `\*` for a star |
//! | `name~^db\.` | in whose name the regular expression is found; `(?i)` ignores case |
//! | `target` `module` `file` `thread` | as `name`; a thread without a name is `thread 1234` |
//! | `level<=info` | of level INFO and those more severe |
//! | `status=error` | that ended so: `ok`, `error`, `panicked`, `unfinished` or `crashed` |
//! | `dur>10ms` `self` `busy` `idle` | by duration, self time, busy time, duration less busy time |
//! | `self_busy`, as in `self_busy>10ms` | by the time in which a thread was inside, and in no other span meanwhile |
//! | `longest>10ms` | by the longest entry: the longest time that a thread was inside at a stretch |
//! | `wait>1ms` `exit<1s` | by the time from creation to the first entry, and to the last exit |
//! | `start>=+12s` | by the time since the start of the run |
//! | `entries>3` `id=s12` `trace=t12` `parent=s12` | by number |
//! | `trace_id=4bf92f35` | by the id of the trace that other systems know, or its first digits, four at least |
//! | `field.shard=7` `field.user.name~^a` | by a field; dots lead into objects and arrays |
//! | `has:error` | that failed: `error` or `panicked` |
//! | `has:fields` `has:parent` `has:trace_id` `has:field.NAME` | that have some |
//! | `is:root` `is:ok` `is:error` `is:panicked` `is:unfinished` `is:crashed` | that are so |
//!
//! `thread` is the thread of the longest entry, where the work was done; of a span that was never entered,
//! the one that created it.
//!
//! Operators are `=`, `!=`, `~` (found), `!~` (not found), and for what has an order `<`, `<=`, `>`
//! and `>=`. Terms side by side must all be true. Quotes keep spaces and parentheses together; in
//! text a backslash takes the meaning from the punctuation after it. A regular expression is taken
//! as it stands, quoted or not.
//!
//! What is not there (the duration of an unfinished span, the parent of a root, a field that the
//! span does not have) is neither equal nor unequal to anything, nor larger nor smaller: such a
//! comparison is false. `not` turns answers around, so that `not dur>1s` takes unfinished spans,
//! and `dur<=1s` does not.
//!
//! Fields are compared as numbers if both sides are numbers, and as text otherwise; `7` equals
//! `7.0`, and a quoted `"7"` is text. For `<` and its like text that reads as a number is one, as
//! much of what is recorded with `%` is text; a number and a text have no order. `true`, `false`
//! and `null` are written as in JSON. Objects and arrays can only be asked for with `has:`.
//!
//! Events, where they are asked for, have name, target, level, module, file, thread, start, parent and
//! fields, among which the message is `field.message`; `has:error` is level ERROR. All else they have
//! not: a comparison with it is false.

mod error;
mod event;
mod expression;
mod field;
mod field_path;
mod key;
mod lexer;
mod matcher;
mod number;
mod operator;
mod parser;
mod pattern;
mod pushdown;
mod search;
mod subjects;
mod term;
mod trace_ids;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use self::error::FilterError;
pub use self::event::EventMatcher;
pub use self::key::KEYS;
pub use self::matcher::Matcher;
pub(super) use self::pushdown::Pushdown;
pub use self::subjects::Subject;

use self::expression::Expression;
use super::{Columns, SpanRef};
use crate::reader::Callsite;

/// Longer texts are refused.
const BYTES_MAX: usize = 8 * 1024;

/// A filter: a parsed text of the filter language.
///
/// # Examples
///
/// ```
/// use spandrel_query::Filter;
///
/// let filter = Filter::parse("name=db.* dur>10ms (has:error or field.shard=7)")?;
/// assert!(filter.needs_fields());
///
/// let error = Filter::parse("nmae=db.*").unwrap_err();
/// assert_eq!(error.hint(), Some("did you mean `name`?"));
/// # Ok::<(), spandrel_query::FilterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Filter {
    expression: Expression,
}

impl Filter {
    /// Parses a text; an empty one selects all spans.
    ///
    /// # Errors
    ///
    /// The position of what was not understood, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Ok(Self { expression: parser::parse(text)? })
    }

    /// The filter that all spans pass.
    pub fn all() -> Self {
        Self { expression: Expression::All(Vec::new()) }
    }

    /// The filter that spans pass with an entry of `ns` or longer.
    pub fn longest_from(ns: i64) -> Self {
        Self { expression: Expression::Term(term::Term::longest_from(ns)) }
    }

    /// Whether all spans pass, as nothing is asked.
    pub fn is_empty(&self) -> bool {
        matches!(&self.expression, Expression::All(parts) if parts.is_empty())
    }

    /// Whether a span matches. For many spans, a [`matcher`](Self::matcher) is faster.
    pub fn matches(&self, span: &SpanRef<'_>) -> bool {
        self.expression.matches(span)
    }

    /// A matcher for many spans of one profile.
    pub fn matcher(&self) -> Matcher {
        Matcher::new(&self.expression)
    }

    /// The filter whose spans match both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { expression: Expression::all([self.expression, other.expression]) }
    }

    /// The first term that tests more than the callsite: name, target, module, file, level. If there is none,
    /// [`matches_callsite`](Self::matches_callsite) decides.
    pub fn term_beyond_callsite(&self) -> Option<&str> {
        let beyond = self.expression.terms().find(|term| !term.is_of_callsite());
        beyond.map(|term| term.source.as_str())
    }

    /// Whether the spans of a callsite match; meaningless if a term tests [more](Self::term_beyond_callsite) than
    /// that.
    pub fn matches_callsite(&self, callsite: &Arc<Callsite>) -> bool {
        pushdown::holds(&self.expression, callsite)
    }

    /// The first term that needs measured busy times: busy and idle time, first and longest entry, last exit.
    pub fn term_of_busy_times(&self) -> Option<&str> {
        let of_times = self.expression.terms().find(|term| term.needs_busy_times());
        of_times.map(|term| term.source.as_str())
    }

    /// What SQLite can decide of it, in a profile whose callsites are shown to it.
    pub(super) fn pushdown(&self) -> pushdown::Pushdown<'_> {
        pushdown::Pushdown::new(&self.expression)
    }

    /// Whether a term tests what entries have of their own.
    pub(super) fn looks_at_calls(&self) -> bool {
        self.expression.terms().any(term::Term::is_of_call)
    }

    /// Whether a term tests what an entry has from its span, beyond the callsite.
    pub(super) fn looks_at_owners(&self) -> bool {
        self.expression.terms().any(term::Term::is_of_owner)
    }

    /// Whether a term tests fields; if not, they need not be read.
    pub fn needs_fields(&self) -> bool {
        self.expression.terms().any(term::Term::needs_fields)
    }

    /// Whether a term tests the ids of other systems.
    pub(crate) fn looks_at_contexts(&self) -> bool {
        self.expression.terms().any(term::Term::is_of_context)
    }

    /// What a scan has to read of spans, so that [`matches`](Self::matches) can tell.
    pub fn columns(&self) -> Columns {
        if self.needs_fields() {
            Columns::All
        } else if self.expression.terms().any(term::Term::needs_entries) {
            Columns::Entries
        } else {
            Columns::Numbers
        }
    }

    /// Whether a term tests the thread.
    pub fn needs_thread(&self) -> bool {
        self.expression.terms().any(term::Term::needs_thread)
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::all()
    }
}

/// The text of the filter, which is understood as the same filter.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expression.fmt(f)
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

/// Filters are equal if their texts are.
impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Filter {}

/// Quotes a name, so that `name=` and the result match exactly that name, and the result alone the names that contain
/// it.
///
/// # Examples
///
/// ```
/// use spandrel_query::quote;
///
/// assert_eq!(quote("db.query"), "db.query");
/// assert_eq!(quote("GET /cart (v2)"), r#""GET /cart (v2)""#);
/// ```
pub fn quote(text: &str) -> String {
    let mut value = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        if matches!(c, '*' | '\\' | '"') {
            value.push('\\');
        }
        value.push(c);
    }
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '/' | ':' | ',');
    let property = text.starts_with("has:") || text.starts_with("is:");
    if !text.is_empty() && text.chars().all(plain) && !property && !lexer::is_keyword(text) {
        return value;
    }
    format!("\"{value}\"")
}
