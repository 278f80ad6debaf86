//! Spans that were open long after their work: their durations are not those of their work.

use spandrel_query::{SpanRef, Trace};

use crate::commands::prelude::*;
use crate::commands::tree::in_words;

/// Shorter times do not mislead.
const OUTLIVED_NS_MIN: i64 = 1_000_000;
/// How many spans of the worst one's trace are read.
const TRACE_SPANS: usize = 10_000;

/// How many there are, and the worst one.
#[derive(Debug, Default)]
pub(super) struct OutlivedSpans {
    spans: u64,
    outlived: u64,
    /// For how long after its work it was open; its trace; the span.
    worst: Option<(i64, u64, u64)>,
}

impl OutlivedSpans {
    pub(super) fn add(&mut self, span: &SpanRef<'_>) {
        let Some(closed_ns) = span.call_ns().filter(|_| span.entry.is_none()) else { return };
        self.spans += 1;
        let Some(left_ns) = span.last_exit_ns else { return };
        let longer_ns = closed_ns.saturating_sub(left_ns);
        if longer_ns < OUTLIVED_NS_MIN.max(left_ns) {
            return;
        }
        self.outlived += 1;
        if self.worst.is_none_or(|(worst_ns, ..)| longer_ns > worst_ns) {
            self.worst = Some((longer_ns, span.root_id, span.id));
        }
    }

    /// A note on them, with the worst as an example.
    pub(super) fn note(&self, profile: &Profile) -> Result<Option<String>, Failure> {
        let Some((_, root_id, span_id)) = self.worst else { return Ok(None) };
        let trace = Trace::read_around(&profile.reader, root_id, TRACE_SPANS, span_id)?;
        let example = trace.and_then(|trace| {
            let index = trace.spans.binary_search_by_key(&span_id, |span| span.id).ok()?;
            Some(in_words(&trace, index, &trace.outlived(index)?))
        });
        Ok(example.map(|example| {
            let (some, all) = (text::count(self.outlived), text::counted(self.spans, "span"));
            format!("{some} of {all} were open long after their work: {example}; `slow --by work` ranks by it")
        }))
    }
}
