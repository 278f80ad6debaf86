//! The formats, and when to use colours.

use std::path::Path;
use std::sync::LazyLock;

use clap::ValueEnum;
use clap::builder::PossibleValue;

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
    /// What the ending of a file's name says, if it says anything.
    pub(crate) fn of_file_name(path: &Path) -> Option<Self> {
        Some(match ending(path)?.as_str() {
            "txt" => Self::Plain,
            "csv" => Self::Csv,
            "tsv" => Self::Tsv,
            "json" => Self::Json,
            "ndjson" | "jsonl" => Self::Ndjson,
            "md" | "markdown" => Self::Md,
            "xml" => Self::Junit,
            _ => return None,
        })
    }

    pub(crate) fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Ndjson)
    }

    /// Whether people read it.
    pub(crate) fn is_human_readable(self) -> bool {
        matches!(self, Self::Table | Self::Plain | Self::Md)
    }
}

/// The ending of a file's name, in small letters.
pub(crate) fn ending(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

/// What `--format` takes: how a view is written, or what `spandrel export` makes.
///
/// Options that all commands have are read in one way by all of them, so that both kinds are one. Help
/// lists those of views; the ones of exports are in the help of `export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnyFormat {
    /// How a view is written.
    View(Format),
    /// What an export is; CSV and NDJSON are views, too, and are [`View`](Self::View).
    Export(spandrel_export::Format),
}

impl ValueEnum for AnyFormat {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<AnyFormat>> = LazyLock::new(|| {
            let views = Format::value_variants().iter().map(|format| AnyFormat::View(*format));
            let is_view = |name: &str| Format::from_str(name, false).is_ok();
            let exports = spandrel_export::Format::ALL.into_iter();
            let others = exports.filter(|format| !is_view(format.name()));
            views.chain(others.map(AnyFormat::Export)).collect()
        });
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::View(format) => format.to_possible_value(),
            Self::Export(format) => Some(PossibleValue::new(format.name()).hide(true)),
        }
    }
}

impl AnyFormat {
    /// How a view is written, if this says it.
    pub(crate) fn of_view(self) -> Option<Format> {
        match self {
            Self::View(format) => Some(format),
            Self::Export(_) => None,
        }
    }

    /// What is exported, if this says it.
    pub(crate) fn of_export(self) -> Option<spandrel_export::Format> {
        match self {
            Self::Export(format) => Some(format),
            Self::View(Format::Csv) => Some(spandrel_export::Format::Csv),
            Self::View(Format::Ndjson) => Some(spandrel_export::Format::Ndjson),
            Self::View(_) => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_of_an_export_is_known() {
        for format in spandrel_export::Format::ALL {
            let any = AnyFormat::from_str(format.name(), false).unwrap();
            assert_eq!(any.of_export(), Some(format));
        }
    }
}
