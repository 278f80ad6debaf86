//! Profiles for other programs: viewers, tracing back ends, spreadsheets.
//!
//! Each format has a file or folder. It streams from the reader into a [`Write`], with memory for what is open at one
//! moment and not for what is stored. A [`Source`] is what is exported: a run, or a part of it, from which formats
//! take spans, events, links, marks and losses.
//!
//! Formats with rows of nested slices get them from `lanes`; those that need all rows of a thread together collect
//! them in a temporary database (`spool`).
//!
//! Names and fields are untrusted: whatever they contain, the output can be parsed.

#![forbid(unsafe_code)]

mod callsite;
mod chrome;
mod error;
mod fields;
mod firefox;
mod flows;
mod folded;
mod format;
#[cfg(any(test, spandrel_fuzz))]
#[doc(hidden)]
pub mod fuzz;
mod id_set;
mod javascript;
mod lanes;
mod order;
mod otlp;
mod out;
mod perfetto;
mod pprof;
mod proto;
mod rows;
mod source;
mod speedscope;
mod spool;
mod sqlite;
mod text;
mod timeline;

use std::io::Write;

pub use self::error::ExportError;
pub use self::format::{Format, Settings};
pub use self::otlp::{OtlpEncoding, OtlpRequest, otlp_requests};
pub use self::rows::is_formula;
pub use self::source::Source;
pub use self::sqlite::copy;
/// The error in [`ExportError::Profile`].
pub use spandrel_storage::{Error, ErrorKind};

use self::out::Out;

/// Fields as they are exported: the object, and the keys of its members.
#[cfg(any(test, spandrel_fuzz))]
pub(crate) fn fields_as_exported(fields: &str) -> (Vec<u8>, Vec<String>) {
    let (mut object, mut keys) = (Vec::new(), Vec::new());
    fields::object(&mut object, fields);
    fields::each(fields, &mut |key, _| keys.push(key.to_owned()));
    (object, keys)
}

/// What an export holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Spans.
    pub spans: u64,
    /// Events.
    pub events: u64,
    /// Follows-from links.
    pub links: u64,
    /// Marks.
    pub marks: u64,
    /// Entries that were recorded one by one.
    pub entries: u64,
    /// Bytes.
    pub bytes: u64,
    /// `csv`: texts that a spreadsheet would take for formulas.
    pub formulas: u64,
    /// What was selected but is not in it.
    pub left_out: LeftOut,
}

/// What was selected, but cannot be expressed in the format. What is written and what is left out add up to the
/// selection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// Spans: unfinished ones, where only times count.
    pub spans: u64,
    /// Events.
    pub events: u64,
    /// Follows-from links.
    pub links: u64,
    /// Marks.
    pub marks: u64,
    /// Entries that were recorded one by one.
    pub entries: u64,
}

/// Writes the spans of `source`, and what belongs to them, as far as the format supports it.
///
/// # Errors
///
/// When the profile cannot be read, `out` cannot be written, or the export is stopped. `out` may then contain a part.
///
/// # Blocking
///
/// Reads all spans of the run, one to two seconds for a million.
pub fn export(
    source: &mut Source<'_>,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<Written, ExportError> {
    let mut out = Out::new(out);
    let mut written = match settings.format {
        Format::Perfetto => perfetto::write(source, &mut out),
        Format::Chrome => chrome::write(source, &mut out),
        Format::Speedscope => speedscope::write(source, &mut out),
        Format::Folded => folded::write(source, settings.weight, &mut out),
        Format::Pprof => pprof::write(source, settings.weight, &mut out),
        Format::Firefox => firefox::write(source, &mut out),
        Format::OtlpJson => otlp::write(source, settings, &mut out),
        Format::Otlp => Err(ExportError::IsSent),
        Format::Csv => rows::csv(source, settings, &mut out),
        Format::Ndjson => rows::ndjson(source, settings, &mut out),
        Format::Sqlite => Err(ExportError::NotAStream),
    }?;
    written.bytes = out.finish()?;
    // An export of entries alone leaves out nothing else.
    if !settings.has_entries_alone() {
        written.left_out = source.left_out(&written)?;
    }
    Ok(written)
}
