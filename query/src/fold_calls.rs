//! A fold over calls: several threads sum up parts of the spans, and the partial sums are joined.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::calls::{Pass, hand_out};
use super::id_range::Range;
use super::scanning::{LookUp, Predicate, Pushdown, SideBySide, Sums};
use super::{Columns, Filter, Matcher, Scan, SpanRef};
use crate::order_rows::OrderRows as _;
use crate::reader::{Reader, Span};
use spandrel_storage::Error;
use spandrel_storage::internals::lived_long_to_the_end;

/// Sums over calls, which can be joined.
pub(crate) trait Fold: Send + Sized {
    /// Counts a call. The spans that one fold is given come in order of id.
    fn add(&mut self, call: &SpanRef<'_>);

    /// Joins partial sums of disjoint sets of spans; the result is as if all had been counted in order of id. `None`
    /// if they do not tell that result.
    fn join(parts: Vec<Self>) -> Option<Self>;

    /// Whether it has reached the size that a partial sum may have.
    fn is_full(&self) -> bool {
        false
    }
}

/// The partial sums of one thread.
struct Partial<F> {
    fold: F,
    matcher: Matcher,
    /// Spans that were open at the end and may be long-lived.
    open: Vec<Span>,
}

impl<F: Fold> Partial<F> {
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
    type Partial = Partial<F>;

    fn begin(&self) -> Partial<F> {
        Partial { fold: (self.begin)(), matcher: self.pass.filter.matcher(), open: Vec::new() }
    }

    #[inline]
    fn add(&self, partial: &mut Partial<F>, span: &SpanRef<'_>, _: &mut LookUp<'_>) {
        self.count(partial, span);
    }

    fn is_full(&self, partial: &Partial<F>) -> bool {
        partial.fold.is_full()
    }
}

impl<F: Fold, N> Counting<'_, F, N> {
    #[inline]
    fn count(&self, partial: &mut Partial<F>, span: &SpanRef<'_>) {
        let Partial { fold, matcher, open } = partial;
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
    /// Sums up the calls that match a scan and a filter, in the sense of [`scan_calls`](Self::scan_calls); on all
    /// processors if nobody records into the file. `begin` makes empty sums.
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
        let mut pass_over = |ranges| -> Result<Partial<F>, Error> {
            let mut partial = counting.begin();
            self.scan_ranges(scan, ranges, &mut pushdown, |_, span| {
                counting.count(&mut partial, span);
                ControlFlow::Continue(())
            })?;
            Ok(partial)
        };
        let ranges = self.ranges(scan)?;
        let callsites = callsites.as_deref();
        let parts = match self.count_side_by_side(scan, &ranges, callsites, &counting)? {
            Some((mut parts, rest)) => {
                if !rest.is_empty() {
                    parts.push(pass_over(rest)?);
                }
                Partial::join(parts)
            }
            None => None,
        };
        let partial = match parts {
            Some(partial) => partial,
            None => pass_over(ranges)?,
        };
        let Partial { mut fold, mut open, .. } = partial;
        if has_entries {
            open.order_by_key(|span| span.id);
            self.scan_entries(pass, open, &mut |entry| {
                fold.add(entry);
                ControlFlow::Continue(())
            })?;
        }
        Ok(fold)
    }

    /// Counts on several threads what can be read there; the other ranges are given back.
    fn count_side_by_side<F: Fold, N: Fn() -> F + Sync>(
        &self,
        scan: &Scan,
        ranges: &[Range],
        callsites: Option<&[i64]>,
        counting: &Counting<'_, F, N>,
    ) -> Result<Option<SideBySide<Partial<F>>>, Error> {
        // Ids of other systems are read by SQLite only.
        if counting.pass.filter.looks_at_contexts() {
            return Ok(None);
        }
        self.scan_side_by_side(scan, (ranges, self.ahead().leaves), callsites, counting)
    }
}
