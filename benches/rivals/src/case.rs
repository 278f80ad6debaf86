//! What is recorded. A span is create, enter, exit and close.

use std::fmt;

/// Spans under the root of a tree.
pub const TREE_CHILDREN: u64 = 100;

/// A way to make spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// One span without fields after the other.
    NoFields,
    /// The same with three fields: `u64`, `f64` and a string of eight bytes.
    ThreeFields,
    /// Three spans without fields inside each other; counted singly.
    Nested,
    /// A future that is ready at its third poll, in a span without fields, polled by hand.
    Async,
    /// A root, and in it [`TREE_CHILDREN`] spans without fields one after the other; the root counts
    /// as one more span.
    Tree,
}

impl Case {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 5] =
        [Self::NoFields, Self::ThreeFields, Self::Nested, Self::Async, Self::Tree];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoFields => "no_fields",
            Self::ThreeFields => "3_fields",
            Self::Nested => "nested",
            Self::Async => "async",
            Self::Tree => "tree",
        }
    }

    /// The heading of a column.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::NoFields => "no fields",
            Self::ThreeFields => "3 fields",
            Self::Nested => "nested 3 deep",
            Self::Async => "async, 3 polls",
            Self::Tree => "trees of 100",
        }
    }

    /// The case of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|case| case.name() == name)
    }

    /// Spans of the smallest whole piece.
    pub const fn piece(self) -> u64 {
        match self {
            Self::Nested => 3,
            Self::Tree => TREE_CHILDREN + 1,
            Self::NoFields | Self::ThreeFields | Self::Async => 1,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
