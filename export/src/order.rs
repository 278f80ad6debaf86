//! Puts slices of spans in order of start.
//!
//! Spans are stored by id. Threads take ids in blocks that they give up after 10 ms, so only neighbours are out of
//! order: sorting within a moving window restores the order. Slices that come later than the window allows are handed
//! on late, which [`Lanes`](super::lanes::Lanes) can handle.

use std::cmp::Reverse;

use super::lanes::{Entry, Placement, Slice, What};
use spandrel_query::Span;

/// A slice of a span.
pub(super) struct Drawn {
    pub(super) span: Span,
    pub(super) from_ns: i64,
    /// `None`: unfinished.
    pub(super) to_ns: Option<i64>,
    pub(super) placement: Placement,
    /// Whether it is the only entry of the span, and not the span.
    pub(super) is_entry: bool,
}

impl Drawn {
    /// A span from creation to close.
    pub(super) fn open(span: Span, placement: Placement) -> Self {
        let Slice { from_ns, to_ns, .. } = Slice::of_span(&span);
        Self { from_ns, to_ns, span, placement, is_entry: false }
    }

    /// Calls `each` with the slice.
    pub(super) fn slice<T>(&self, each: impl FnOnce(&Slice<'_>) -> T) -> T {
        let entry = Entry { span_id: self.span.id, ..Entry::default() };
        let what = if self.is_entry { What::Entry(&entry) } else { What::Span(&self.span) };
        let (from_ns, to_ns) = (self.from_ns, self.to_ns);
        each(&Slice { from_ns, to_ns, what, ..Slice::of_span(&self.span) })
    }

    pub(super) fn end_ns(&self) -> i64 {
        self.to_ns.unwrap_or(i64::MAX)
    }
}

/// Slices in the window at most.
const SLICES_MAX: usize = 32_768;

/// Bytes of fields in the window at most, about.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// The window. Slices stay where they are; only their keys, a fifth of the size, are sorted and moved.
pub(super) struct Order {
    keys: Vec<Key>,
    slices: Vec<Option<Drawn>>,
    free: Vec<u32>,
    bytes: usize,
    slices_max: usize,
    bytes_max: usize,
}

/// The sort key of a slice, and its index in the window. Of slices that start together, the longest comes first, as
/// it encloses the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    start_ns: i64,
    end_ns: Reverse<i64>,
    id: u64,
    at: u32,
}

impl Order {
    pub(super) fn new() -> Self {
        Self {
            keys: Vec::new(),
            slices: Vec::new(),
            free: Vec::new(),
            bytes: 0,
            slices_max: SLICES_MAX,
            bytes_max: BYTES_MAX,
        }
    }

    /// Adds a slice; hands on the earlier half of the window when it is full.
    pub(super) fn push<E>(
        &mut self,
        drawn: Drawn,
        each: &mut impl FnMut(Drawn) -> Result<(), E>,
    ) -> Result<(), E> {
        self.bytes += drawn.span.fields.as_ref().map_or(0, String::len);
        let (start_ns, end_ns, id) = (drawn.from_ns, Reverse(drawn.end_ns()), drawn.span.id);
        let at = self.keep(drawn);
        self.keys.push(Key { start_ns, end_ns, id, at });
        if self.keys.len() >= self.slices_max || self.bytes >= self.bytes_max {
            self.flush(self.keys.len().div_ceil(2), each)?;
        }
        Ok(())
    }

    /// Hands on the rest.
    pub(super) fn finish<E>(
        mut self,
        each: &mut impl FnMut(Drawn) -> Result<(), E>,
    ) -> Result<(), E> {
        self.flush(self.keys.len(), each)
    }

    fn keep(&mut self, drawn: Drawn) -> u32 {
        if let Some(at) = self.free.pop()
            && let Some(placement) = self.slices.get_mut(at as usize)
        {
            *placement = Some(drawn);
            return at;
        }
        self.slices.push(Some(drawn));
        (self.slices.len() - 1) as u32
    }

    fn flush<E>(
        &mut self,
        count: usize,
        each: &mut impl FnMut(Drawn) -> Result<(), E>,
    ) -> Result<(), E> {
        // Stable sorts are fast for nearly sorted input.
        self.keys.sort();
        for key in self.keys.drain(..count) {
            let Some(drawn) = self.slices.get_mut(key.at as usize).and_then(Option::take) else {
                continue;
            };
            self.free.push(key.at);
            self.bytes -= drawn.span.fields.as_ref().map_or(0, String::len);
            each(drawn)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::convert::Infallible;

    use super::*;

    fn starts(starts: &[i64], slices_max: usize) -> Vec<i64> {
        let mut order = Order { slices_max, ..Order::new() };
        let mut got = Vec::new();
        let mut each = |drawn: Drawn| -> Result<(), Infallible> {
            got.push(drawn.from_ns);
            Ok(())
        };
        for (at, start_ns) in starts.iter().enumerate() {
            let mut span = Span::default();
            (span.id, span.start_ns, span.duration_ns) = (at as u64 + 1, *start_ns, Some(1));
            order.push(Drawn::open(span, Placement::WithParent), &mut each).unwrap();
        }
        order.finish(&mut each).unwrap();
        got
    }

    proptest! {
        #[test]
        fn what_is_out_of_order_by_less_than_half_a_window_comes_in_order(
            mut displaced in proptest::collection::vec(0_i64..8, 0..300))
        {
            for (at, start) in displaced.iter_mut().enumerate() {
                *start += at as i64;
            }
            let mut sorted = displaced.clone();
            sorted.sort_unstable();
            prop_assert_eq!(starts(&displaced, 32), sorted);
        }

        #[test]
        fn none_is_lost(any in proptest::collection::vec(any::<i64>(), 0..100)) {
            let (mut got, mut sent) = (starts(&any, 8), any);
            got.sort_unstable();
            sent.sort_unstable();
            prop_assert_eq!(got, sent);
        }
    }
}
