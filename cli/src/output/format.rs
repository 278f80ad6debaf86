//! The formats, and when to use colours.

use clap::ValueEnum;

/// How a view is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people on a terminal
    Table,
    /// The same without colours and drawings of boxes; what a pipe gets by default
    Plain,
    /// Comma-separated, with a header line; raw nanoseconds
    Csv,
    /// Tab-separated, with a header line; raw nanoseconds
    Tsv,
    /// One JSON document; raw nanoseconds, says `complete`, `dropped` and `truncated`
    Json,
    /// One JSON object a row; raw nanoseconds
    Ndjson,
    /// A Markdown table, for a comment or a summary
    Md,
    /// Annotations of GitHub Actions (`check` only)
    Github,
    /// A JUnit report (`check` only)
    Junit,
}

impl Format {
    /// Whether people read it.
    pub(crate) fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Plain | Self::Md)
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal that can
    #[default]
    Auto,
    /// In a pipe, too
    Always,
    /// Not at all
    Never,
}

impl ColorChoice {
    /// Whether what goes to `stream` is coloured.
    pub(crate) fn is_on(self, stream: &impl anstream::stream::RawStream) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never,
        }
    }
}
