//! Groups of a window of time, from the sums of zones where possible.
//!
//! Of the zones (`zones.rs`) that a window touches, those in the middle are inside of it completely: their sums by
//! callsite are used, and only the zones at either end are read span by span. Without zones all spans are read, with
//! the same result.

use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::Transaction;

use super::id_range::{Range, join};
use super::zone_lookup::{TouchedZone, touched_zones};
use super::{Filter, Groups, Scan, SpanRef};
use crate::fold_calls::Fold;
use crate::indexes::{self, SUMS};
use crate::order_rows::OrderRows as _;
use crate::reader::{Callsite, CountedBy, Names, Reader, Top};
use spandrel_storage::Error;
use spandrel_storage::internals::Context;
use spandrel_storage::internals::FastHashMap;

/// From the first start to the last end of some spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// Start of the first span, nanoseconds since the start of the run.
    pub from_ns: i64,
    /// End of the last one; of unfinished spans only the start counts.
    pub to_ns: i64,
}

impl Extent {
    const NOTHING: Self = Self { from_ns: i64::MAX, to_ns: i64::MIN };

    fn add(&mut self, from_ns: i64, to_ns: i64) {
        self.from_ns = self.from_ns.min(from_ns);
        self.to_ns = self.to_ns.max(to_ns);
    }

    fn add_call(&mut self, call: &SpanRef<'_>) {
        self.add(call.start_ns, call.end_ns().unwrap_or(call.start_ns));
    }

    /// How long it is; 0 without spans.
    pub fn length_ns(&self) -> i64 {
        self.to_ns.saturating_sub(self.from_ns).max(0)
    }
}

/// Groups, and the extent of their calls.
struct WindowGroups {
    groups: Groups,
    extent: Extent,
}

impl Fold for WindowGroups {
    fn add(&mut self, call: &SpanRef<'_>) {
        self.groups.add(call);
        self.extent.add_call(call);
    }

    fn join(parts: Vec<Self>) -> Option<Self> {
        let mut extent = Extent::NOTHING;
        parts.iter().for_each(|part| extent.add(part.extent.from_ns, part.extent.to_ns));
        let groups = Groups::join(parts.into_iter().map(|part| part.groups).collect())?;
        Some(Self { groups, extent })
    }

    fn is_full(&self) -> bool {
        self.groups.is_full()
    }
}

/// Sums of a callsite.
struct Sum {
    /// The closed spans that count by their lifetime.
    closed: Top,
    unfinished: u64,
    /// The closed spans whose entries count.
    long: Top,
}

/// The part of a window that sums cover, and the rest.
struct Sums {
    by_callsite: FastHashMap<i64, Sum>,
    extent: Extent,
    /// Ranges to be read span by span.
    rest: Vec<Range>,
}

impl Sum {
    fn new(callsite: &Arc<Callsite>) -> Self {
        let closed = Top::new(callsite.clone(), CountedBy::Lifetime);
        let mut long = Top::new(callsite.clone(), CountedBy::Entries);
        // It is not known whether the longest entry was in the window.
        long.max_ns = 0;
        Self { closed, unfinished: 0, long }
    }
}

impl Reader {
    /// Adds all calls of a scan to their groups, from sums where there are any. Gives the extent of the calls.
    ///
    /// # Blocking
    ///
    /// As [`scan`](Self::scan); of a window of a profile with indexes, some ten milliseconds, if
    /// [the groups can be made of sums](super::By::is_in_rollups).
    pub fn add_window(&self, scan: &Scan, groups: &mut Groups) -> Result<Extent, Error> {
        let has_sums = scan.has_window() && scan.ids.is_none() && groups.by().is_in_rollups();
        let Some(sums) = (if has_sums { self.window_sums(scan)? } else { None }) else {
            return self.add_calls(scan, &Filter::all(), groups);
        };
        let mut extent = Extent::NOTHING;
        let mut one = |groups: &mut Groups, span: &SpanRef<'_>| {
            groups.add(span);
            extent.add_call(span);
            ControlFlow::Continue(())
        };
        self.scan_ranges(scan, sums.rest, &mut (), |(), span| one(groups, span))?;
        let mut by_callsite: Vec<_> = sums.by_callsite.into_iter().collect();
        by_callsite.order_by_key(|(id, _)| *id);
        for (_, sum) in &by_callsite {
            groups.add_sums(&sum.closed, sum.unfinished);
            if sum.long.spans > 0 {
                groups.add_sums(&sum.long, 0);
            }
        }
        self.add_entries(scan, |call| one(groups, call))?;
        extent.add(sums.extent.from_ns, sums.extent.to_ns);
        Ok(extent)
    }

    /// Adds the calls that match a scan and a filter to their groups. Gives the extent of the calls.
    ///
    /// # Blocking
    ///
    /// As [`scan_calls`](Self::scan_calls) at most; of a file that nobody records into some 0.1 s for a million spans, by the
    /// number of processors.
    pub fn add_calls(
        &self,
        scan: &Scan,
        filter: &Filter,
        groups: &mut Groups,
    ) -> Result<Extent, Error> {
        if groups.groups().is_empty() {
            let begin = || WindowGroups { groups: groups.empty_like(), extent: Extent::NOTHING };
            let counted = self.fold_calls(scan, filter, begin)?;
            *groups = counted.groups;
            return Ok(counted.extent);
        }
        let mut extent = Extent::NOTHING;
        self.scan_calls(scan, filter, |span| {
            groups.add(span);
            extent.add_call(span);
            ControlFlow::Continue(())
        })?;
        Ok(extent)
    }

    /// `None` when the run has no zones.
    fn window_sums(&self, scan: &Scan) -> Result<Option<Sums>, Error> {
        let tx = self.begin()?;
        let read = || -> rusqlite::Result<Option<Sums>> {
            touched_zones(&tx, scan)?.map(|zones| sums(&tx, &zones)).transpose()
        };
        read().context(self.path(), "read the sums")
    }
}

fn sums(tx: &Transaction<'_>, zones: &[TouchedZone]) -> rusqlite::Result<Sums> {
    let mut sums =
        Sums { by_callsite: FastHashMap::default(), extent: Extent::NOTHING, rest: Vec::new() };
    let mut names = Names::new(tx)?;
    let since_3 = match indexes::knows_long_spans(tx)? {
        true => "self_busy_ns, long_spans, long_errors",
        false => "NULL, 0, 0",
    };
    let mut select = tx.prepare(&format!(
        "SELECT callsite_id, unfinished, calls, errors, sum_ns, busy_ns, self_ns, max_ns, histogram,
           calls, {since_3}
         FROM {SUMS} WHERE first_id = ?1"
    ))?;
    for zone in zones {
        if !zone.is_inside {
            join(&mut sums.rest, zone.range());
            continue;
        }
        sums.extent.add(zone.from_ns, zone.end_ns);
        let mut rows = select.query([zone.first_id])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let sum = match sums.by_callsite.get_mut(&id) {
                Some(sum) => sum,
                None => sums.by_callsite.entry(id).or_insert(Sum::new(&names.callsite(id)?)),
            };
            let number = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
            sum.unfinished = sum.unfinished.saturating_add(number(1)?);
            sum.closed.add_row(row, 2)?;
            sum.long.spans = sum.long.spans.saturating_add(number(11)?);
            sum.long.errors = sum.long.errors.saturating_add(number(12)?);
        }
    }
    Ok(sums)
}
