//! A pass over calls whose sums several threads make, each of a part of the spans.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::calls::{Pass, hand_out};
use super::id_range::Range;
use super::scanning::{LookUp, Predicate, Pushdown, SideBySide, Sums};
use super::{Columns, Filter, Matcher, Scan, SpanRef};
use crate::reader::{Reader, Span};
use spandrel_storage::Error;
use spandrel_storage::internals::lived_long_to_the_end;

/// Sums over calls.
pub(crate) trait Fold: Send + Sized {
    /// Counts a call. Of spans one is given some, in the order of ids.
    fn add(&mut self, call: &SpanRef<'_>);

    /// Puts sums together whose spans are none of the others, as if all had been counted in the order of ids. `None`:
    /// that cannot be told from them.
    fn join(parts: Vec<Self>) -> Option<Self>;

    /// Whether it is as large as one of several should be.
    fn is_full(&self) -> bool {
        false
    }
}

/// What one thread has.
struct Own<F> {
    fold: F,
    matcher: Matcher,
    /// Spans that were open at the end, and may live long.
    open: Vec<Span>,
}

impl<F: Fold> Own<F> {
    fn join(parts: Vec<Self>) -> Option<Self> {
        let (mut folds, mut open, mut matcher) = (Vec::new(), Vec::new(), None);
        for part in parts {
            folds.push(part.fold);
            open.extend(part.open);
            matcher.get_or_insert(part.matcher);
        }
        Some(Self { fold: F::join(folds)?, matcher: matcher?, open })
    }
}

/// How a span is counted.
struct Counting<'a, F, N> {
    pass: &'a Pass<'a>,
    has_entries: bool,
    begin: N,
    fold: PhantomData<fn() -> F>,
}

impl<F: Fold, N: Fn() -> F + Sync> Sums for Counting<'_, F, N> {
    type Own = Own<F>;

    fn begin(&self) -> Own<F> {
        Own { fold: (self.begin)(), matcher: self.pass.filter.matcher(), open: Vec::new() }
    }

    #[inline]
    fn add(&self, own: &mut Own<F>, span: &SpanRef<'_>, _: &mut LookUp<'_>) {
        self.count(own, span);
    }

    fn is_full(&self, own: &Own<F>) -> bool {
        own.fold.is_full()
    }
}

impl<F: Fold, N> Counting<'_, F, N> {
    #[inline]
    fn count(&self, own: &mut Own<F>, span: &SpanRef<'_>) {
        let Own { fold, matcher, open } = own;
        let filter = self.pass.filter;
        if !self.has_entries {
            if filter.is_empty() || matcher.matches(span) {
                fold.add(span);
            }
            return;
        }
        if self.pass.has_longest()
            && !span.status.has_closed()
            && lived_long_to_the_end(span.entries, span.last_exit_ns)
        {
            open.push(span.to_span());
        }
        let matches = |span: &SpanRef<'_>| filter.is_empty() || matcher.matches(span);
        let _goes_on = hand_out(self.pass, span, matches, &mut |span| {
            fold.add(span);
            ControlFlow::Continue(())
        });
    }
}

impl Reader {
    /// Sums up the calls that a scan and a filter mean, as [`scan_calls`](Self::scan_calls) hands them out: of a file
    /// that nobody records into, on all processors. `begin` makes sums of nothing.
    ///
    /// # Blocking
    ///
    /// As [`scan_calls`](Self::scan_calls) at most; of a file that nobody records into some 0.1 s for a million spans,
    /// by the number of processors.
    pub(crate) fn fold_calls<F: Fold>(
        &self,
        scan: &Scan,
        filter: &Filter,
        begin: impl Fn() -> F + Sync,
    ) -> Result<F, Error> {
        let has_entries = self.has_entries(scan.run_id)?;
        let pass = &Pass::new(scan, filter);
        let mut columns = scan.columns.max(filter.columns());
        let mut pushdown = if has_entries {
            columns = columns.max(Columns::Entries);
            self.pushdown_of(filter, Pushdown::of_calls)?
        } else {
            self.pushdown_of(filter, Pushdown::of_spans)?
        };
        let scan = &scan.columns(columns);
        let callsites = pushdown.callsites().map(<[_]>::to_vec);
        let counting = Counting { pass, has_entries, begin, fold: PhantomData };
        let mut pass_over = |ranges| -> Result<Own<F>, Error> {
            let mut own = counting.begin();
            self.scan_ranges(scan, ranges, &mut pushdown, |_, span| {
                counting.count(&mut own, span);
                ControlFlow::Continue(())
            })?;
            Ok(own)
        };
        let ranges = self.ranges(scan)?;
        let callsites = callsites.as_deref();
        let parts = match self.count_side_by_side(scan, &ranges, callsites, &counting)? {
            Some((mut parts, rest)) => {
                if !rest.is_empty() {
                    parts.push(pass_over(rest)?);
                }
                Own::join(parts)
            }
            None => None,
        };
        let own = match parts {
            Some(own) => own,
            None => pass_over(ranges)?,
        };
        let Own { mut fold, mut open, .. } = own;
        if has_entries {
            open.sort_by_key(|span| span.id);
            self.scan_entries(pass, open, &mut |entry| {
                fold.add(entry);
                ControlFlow::Continue(())
            })?;
        }
        Ok(fold)
    }

    /// Counts what several threads can, and says what is left.
    fn count_side_by_side<F: Fold, N: Fn() -> F + Sync>(
        &self,
        scan: &Scan,
        ranges: &[Range],
        callsites: Option<&[i64]>,
        counting: &Counting<'_, F, N>,
    ) -> Result<Option<SideBySide<Own<F>>>, Error> {
        // Who asks how other systems know a span has to ask SQLite.
        if counting.pass.filter.looks_at_contexts() {
            return Ok(None);
        }
        self.scan_side_by_side(scan, (ranges, self.ahead().leaves), callsites, counting)
    }
}
