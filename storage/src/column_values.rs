//! Values of columns that may be NULL.

use std::ops::Range;

/// The text of a row; NULL for an empty one.
pub(crate) fn text_at<'a>(text: &'a str, range: &Range<usize>) -> Option<&'a str> {
    text.get(range.clone()).filter(|text| !text.is_empty())
}

pub(crate) fn nullable(id: u64) -> Option<i64> {
    (id != 0).then_some(id as i64)
}
