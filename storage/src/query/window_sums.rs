//! The groups of a window of time, from sums as far as they reach.
//!
//! Of the zones (`zones.rs`) that a window touches, those in the middle lie in it as a whole: what is
//! asked of their spans by callsite stands in a row each. Only the zones at either end are read span by
//! span. Without zones all spans are, with the same result.

use std::ops::ControlFlow;

use rusqlite::{Transaction, params};

use super::scan::{Range, join};
use super::{Groups, Scan, SpanRef};
use crate::error::{Context, Error};
use crate::indexes::{self, SUMS, ZONES};
use crate::quick_map::QuickMap;
use crate::reader::{Names, Reader, Top};

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

    /// How long it is; 0 without spans.
    pub fn length_ns(&self) -> i64 {
        self.to_ns.saturating_sub(self.from_ns).max(0)
    }
}

/// What a window touches.
struct Touched {
    sums: QuickMap<i64, (Top, u64)>,
    extent: Extent,
    /// What has to be read span by span.
    rest: Vec<Range>,
}

impl Reader {
    /// Counts all spans of a scan in their groups, from sums where there are any. Gives the time that
    /// they span.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    ///
    /// # Blocking
    ///
    /// As [`scan`](Self::scan); of a window of a profile with indexes, some ten milliseconds, if
    /// [the groups can be made of sums](super::By::is_in_rollups).
    pub fn add_window(&self, scan: &Scan, groups: &mut Groups) -> Result<Extent, Error> {
        let mut extent = Extent::NOTHING;
        let mut one = |groups: &mut Groups, span: &SpanRef<'_>| {
            groups.add(span);
            extent.add(span.start_ns, span.end_ns().unwrap_or(span.start_ns));
            ControlFlow::Continue(())
        };
        let has_sums = scan.has_window() && scan.ids.is_none() && groups.by().is_in_rollups();
        let touched = if has_sums { self.touched(scan)? } else { None };
        let Some(touched) = touched else {
            self.scan(scan, |span| one(groups, span))?;
            return Ok(extent);
        };
        self.scan_ranges(scan, touched.rest, &mut (), |(), span| one(groups, span))?;
        let mut sums: Vec<_> = touched.sums.into_iter().collect();
        sums.sort_unstable_by_key(|(id, _)| *id);
        for (_, (top, unfinished)) in &sums {
            groups.add_sums(top, *unfinished);
        }
        extent.add(touched.extent.from_ns, touched.extent.to_ns);
        Ok(extent)
    }

    /// What a window touches; `None` when the run has no zones.
    fn touched(&self, scan: &Scan) -> Result<Option<Touched>, Error> {
        let tx = self.begin()?;
        let read = || -> rusqlite::Result<Option<Touched>> {
            let sql = format!("SELECT count(*) FROM {ZONES} WHERE run_id = ?1");
            let is_any = indexes::present(&tx)?.windows
                && tx.query_row(&sql, [scan.run_id], |row| Ok(row.get::<_, i64>(0)? > 0))?;
            if is_any { zones(&tx, scan).map(Some) } else { Ok(None) }
        };
        read().context(self.path(), "read the sums")
    }
}

fn zones(tx: &Transaction<'_>, scan: &Scan) -> rusqlite::Result<Touched> {
    let mut touched =
        Touched { sums: QuickMap::default(), extent: Extent::NOTHING, rest: Vec::new() };
    let mut names = Names::new(tx)?;
    let mut query = tx.prepare(&format!(
        "SELECT first_id, last_id, from_ns, end_ns,
           (?2 IS NULL OR from_ns >= ?2) AND (?3 IS NULL OR to_ns < ?3)
         FROM {ZONES}
         WHERE run_id = ?1 AND (?2 IS NULL OR to_ns >= ?2) AND (?3 IS NULL OR from_ns < ?3)
         ORDER BY first_id"
    ))?;
    let mut select = tx.prepare(&format!(
        "SELECT callsite_id, unfinished, calls, errors, sum_ns, busy_ns, self_ns, max_ns, histogram
         FROM {SUMS} WHERE first_id = ?1"
    ))?;
    let mut zones = query.query(params![scan.run_id, scan.from_ns, scan.until_ns])?;
    while let Some(zone) = zones.next()? {
        let first_id: i64 = zone.get(0)?;
        let is_inside: bool = zone.get(4)?;
        if !is_inside {
            let range = Range { after: first_id.saturating_sub(1), last: zone.get(1)? };
            join(&mut touched.rest, range);
            continue;
        }
        touched.extent.add(zone.get(2)?, zone.get(3)?);
        let mut rows = select.query([first_id])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let (top, unfinished) = match touched.sums.get_mut(&id) {
                Some(sums) => sums,
                None => touched.sums.entry(id).or_insert((Top::new(names.callsite(id)?), 0)),
            };
            *unfinished = unfinished.saturating_add(row.get::<_, i64>(1)?.unsigned_abs());
            top.add_row(row, 2)?;
        }
    }
    Ok(touched)
}
