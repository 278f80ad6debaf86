//! Ranges of ids.

/// Ids after `after` up to `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) after: i64,
    pub(super) last: i64,
}

/// Appends a range, as one with the last if they are neighbours.
pub(super) fn join(ranges: &mut Vec<Range>, range: Range) {
    match ranges.last_mut().filter(|before| before.last == range.after) {
        Some(before) => before.last = range.last,
        None => ranges.push(range),
    }
}
