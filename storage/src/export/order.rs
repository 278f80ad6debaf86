//! Spans in the order of their starts.
//!
//! They are stored by id. Threads take ids in blocks that they give up after 10 ms, so that the order of
//! starts differs only among neighbours: a window over them, sorted as it moves, restores it. What
//! comes later than the window allows is handed on late, which [`Lanes`](super::lanes::Lanes) can
//! place.

use crate::query::SpanRef;
use crate::reader::Span;

/// Spans that are held back at most.
const SPANS_MAX: usize = 32_768;

/// Bytes of fields that are held back at most, about.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// The window.
pub(super) struct Order {
    held: Vec<Span>,
    bytes: usize,
    spans_max: usize,
    bytes_max: usize,
}

impl Order {
    pub(super) fn new() -> Self {
        Self { held: Vec::new(), bytes: 0, spans_max: SPANS_MAX, bytes_max: BYTES_MAX }
    }

    /// Takes a span; hands on the earliest half of the window when it is full.
    pub(super) fn push<E>(
        &mut self,
        span: &SpanRef<'_>,
        each: &mut impl FnMut(Span) -> Result<(), E>,
    ) -> Result<(), E> {
        self.bytes += span.fields.map_or(0, str::len);
        self.held.push(span.to_span());
        if self.held.len() >= self.spans_max || self.bytes >= self.bytes_max {
            self.hand_on(self.held.len().div_ceil(2), each)?;
        }
        Ok(())
    }

    /// Hands on the rest.
    pub(super) fn finish<E>(
        mut self,
        each: &mut impl FnMut(Span) -> Result<(), E>,
    ) -> Result<(), E> {
        self.hand_on(self.held.len(), each)
    }

    fn hand_on<E>(
        &mut self,
        count: usize,
        each: &mut impl FnMut(Span) -> Result<(), E>,
    ) -> Result<(), E> {
        // Stable, and quick for what is nearly sorted. Of those that start together, what lasts
        // longest encloses the others.
        self.held.sort_by_key(|span| {
            let end = span.duration_ns.map_or(i64::MAX, |ns| span.start_ns.saturating_add(ns));
            (span.start_ns, std::cmp::Reverse(end), span.id)
        });
        for span in self.held.drain(..count) {
            self.bytes -= span.fields.as_ref().map_or(0, String::len);
            each(span)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::record::Status;

    fn starts(starts: &[i64], spans_max: usize) -> Vec<i64> {
        let (callsite, thread) = (Arc::default(), Arc::default());
        let mut order = Order { spans_max, ..Order::new() };
        let mut got = Vec::new();
        let mut each = |span: Span| -> Result<(), Infallible> {
            got.push(span.start_ns);
            Ok(())
        };
        for (at, start_ns) in starts.iter().enumerate() {
            let span = SpanRef {
                id: at as u64 + 1,
                run_id: 1,
                parent_id: None,
                root_id: 1,
                callsite: &callsite,
                thread: &thread,
                start_ns: *start_ns,
                duration_ns: Some(1),
                busy_ns: None,
                self_ns: None,
                polls: 1,
                status: Status::Ok,
                fields: None,
            };
            order.push(&span, &mut each).unwrap();
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
