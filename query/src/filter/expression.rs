//! Terms, joined and turned around.
//!
//! How deep one is nested is limited when it is read, so that what walks through it may recurse.

use std::fmt;

use super::super::SpanRef;
use super::term::Term;

#[derive(Debug, Clone)]
pub(super) enum Expression {
    /// All are true; empty: always.
    All(Vec<Expression>),
    /// At least one is true.
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Term(Term),
}

impl Expression {
    /// All are true, flat: what is joined in the same way becomes a part itself.
    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        Self::one_or(flat, Self::All)
    }

    /// At least one is true, flat.
    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::Any(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        Self::one_or(flat, Self::Any)
    }

    fn one_or(mut parts: Vec<Self>, join: impl FnOnce(Vec<Self>) -> Self) -> Self {
        match (parts.len(), parts.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                parts.extend(last);
                join(parts)
            }
        }
    }

    pub(super) fn matches(&self, span: &SpanRef<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(span)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(span)),
            Self::Not(inner) => !inner.matches(span),
            Self::Term(term) => term.matches(span),
        }
    }

    pub(super) fn terms(&self) -> Box<dyn Iterator<Item = &Term> + '_> {
        match self {
            Self::All(parts) | Self::Any(parts) => Box::new(parts.iter().flat_map(Self::terms)),
            Self::Not(inner) => inner.terms(),
            Self::Term(term) => Box::new(std::iter::once(term)),
        }
    }

    fn write_part(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(_) | Self::Any(_) => write!(f, "({self})"),
            Self::Not(_) | Self::Term(_) => fmt::Display::fmt(self, f),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, between) = match self {
            Self::Term(term) => return f.write_str(&term.source),
            Self::Not(inner) => {
                f.write_str("not ")?;
                return inner.write_part(f);
            }
            Self::All(parts) => (parts, " "),
            Self::Any(parts) => (parts, " or "),
        };
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                f.write_str(between)?;
            }
            match (self, part) {
                // Side by side binds closer than `or`.
                (Self::Any(_), Self::All(_)) => fmt::Display::fmt(part, f)?,
                _ => part.write_part(f)?,
            }
        }
        Ok(())
    }
}
