//! A pass over calls whose sums several threads make, each of a part of the spans.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::calls::{Pass, hand_out};
use super::id_range::Range;
use super::scanning::{LookUp, Predicate, Pushdown, Sums};
use super::{Columns, Filter, Matcher, Scan, SpanRef};
use crate::reader::{Reader, Span};
use spandrel_storage::internals::lived_long_to_the_end;
use spandrel_storage::{Error, Status};

/// Sums over calls.
pub trait Fold: Send + Sized {
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
            && span.status == Status::Unfinished
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
    pub fn fold_calls<F: Fold>(
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
        let counting = Counting { pass, has_entries, begin, fold: PhantomData };
        let (mut own, rest) = self.count_spans(scan, &pushdown, &counting)?;
        self.scan_ranges(scan, rest, &mut pushdown, |_, span| {
            counting.count(&mut own, span);
            ControlFlow::Continue(())
        })?;
        let Own { mut fold, mut open, .. } = own;
        if has_entries {
            open.sort_by_key(|span| span.id);
            self.scan_entries(pass, open, |entry| {
                fold.add(entry);
                ControlFlow::Continue(())
            })?;
        }
        Ok(fold)
    }

    /// Counts what several threads can, and says what is left.
    fn count_spans<F: Fold, N: Fn() -> F + Sync>(
        &self,
        scan: &Scan,
        pushdown: &Pushdown,
        counting: &Counting<'_, F, N>,
    ) -> Result<(Own<F>, Vec<Range>), Error> {
        let ranges = self.ranges(scan)?;
        // Who asks how other systems know a span has to ask SQLite.
        let counted = match counting.pass.filter.looks_at_contexts() {
            true => None,
            false => {
                let parts = (ranges.as_slice(), self.ahead().leaves);
                self.scan_side_by_side(scan, parts, pushdown.callsites(), counting)?
            }
        };
        let joined = counted.and_then(|(parts, rest)| {
            let mut own = counting.begin();
            let mut folds = Vec::new();
            for part in parts {
                folds.push(part.fold);
                own.open.extend(part.open);
            }
            own.fold = F::join(folds)?;
            Some((own, rest))
        });
        Ok(joined.unwrap_or_else(|| (counting.begin(), ranges)))
    }
}
