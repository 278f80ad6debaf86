//! Comparisons.

use std::cmp::Ordering;

/// How a value of the span is compared with the one of the term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Found,
    NotFound,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Longer ones before those that they begin with.
const ALL: [Operator; 8] = [
    Operator::NotEqual,
    Operator::NotFound,
    Operator::LessOrEqual,
    Operator::GreaterOrEqual,
    Operator::Equal,
    Operator::Found,
    Operator::Less,
    Operator::Greater,
];

impl Operator {
    /// The operator that the text begins with.
    pub(super) fn at_start_of(text: &str) -> Option<Self> {
        ALL.into_iter().find(|operator| text.starts_with(operator.as_str()))
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Found => "~",
            Self::NotFound => "!~",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether it needs a regular expression.
    pub(super) const fn is_search(self) -> bool {
        matches!(self, Self::Found | Self::NotFound)
    }

    /// Whether it needs an order.
    pub(super) const fn is_order(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual)
    }

    /// Whether it is true if the two are not the same, or the text is not found.
    pub(super) const fn is_negative(self) -> bool {
        matches!(self, Self::NotEqual | Self::NotFound)
    }

    /// Whether it holds of two values in this order; a search never does.
    pub(super) fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Found | Self::NotFound => false,
        }
    }
}
