//! Zones: a few thousand consecutive rows of spans each, with the range of their starts, and their sums.
//!
//! Ids grow with time, except that threads may be out of order by some milliseconds. So a window of time needs no
//! index: only the zones that it touches are read. For a zone that is completely inside the window, many queries need
//! only its sums, and none of its rows.
//!
//! Each zone belongs to one run, and a run has either all of its zones or none: `optimize` makes them
//! (`optimize.rs`), and a program that opens the file for writing drops them, so they never
//! contradict the rows.
//!
//! Measured on 10 million spans of 40 names (740 MiB): zones take 0.01 bytes a span, and their sums 1.0.

use rusqlite::{Row, Statement, Transaction, params};

use crate::indexes::{self, SUMS, ZONES};
use crate::reader::{read_status, self_busy};
use crate::sum_tables::{SUMS_SQL, ZONES_SQL};
use spandrel_storage::Status;
use spandrel_storage::internals::FastHashMap;
use spandrel_storage::internals::Hints;
use spandrel_storage::internals::{Rollup, Summand};

/// Spans in a zone. A window reads up to two zones more than it needs.
const ZONE_SPANS: u32 = 4_096;

/// Makes the tables of a profile; `say` is told how many rows were read.
pub(crate) fn make(tx: &Transaction<'_>, mut say: impl FnMut(u64)) -> rusqlite::Result<()> {
    indexes::drop_zones(tx)?;
    tx.execute_batch(&format!("{ZONES_SQL}; {SUMS_SQL}"))?;
    let mut tables = Tables {
        zones: tx.prepare(&format!("INSERT INTO {ZONES} VALUES (?1, ?2, ?3, ?4, ?5, ?6)"))?,
        sums: tx.prepare(&format!(
            "INSERT INTO {SUMS} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
        ))?,
        blob: Vec::new(),
    };
    let mut query = tx.prepare(
        "SELECT id, run_id, start_ns, callsite_id, duration_ns, busy_ns, self_ns, status,
           entries, first_entry_ns, self_busy_ns
         FROM main.span ORDER BY id",
    )?;
    let mut rows = query.query([])?;
    let mut zone: Option<Zone> = None;
    let mut read = 0;
    while let Some(row) = rows.next()? {
        let (id, run_id): (i64, i64) = (row.get(0)?, row.get(1)?);
        if let Some(zone) = zone.as_mut()
            && zone.run_id == run_id
            && zone.spans < ZONE_SPANS
        {
            zone.add(id, row)?;
            continue;
        }
        // Zones of a run are contiguous, so that neighbours can be read as one.
        let mut first_id = id;
        if let Some(full) = zone.take() {
            tables.insert(&full)?;
            read += u64::from(full.spans);
            say(read);
            first_id = if full.run_id == run_id { full.last_id.saturating_add(1) } else { id };
        }
        zone.insert(Zone::new(first_id, run_id)).add(id, row)?;
    }
    zone.iter().try_for_each(|last| tables.insert(last))
}

struct Zone {
    first_id: i64,
    last_id: i64,
    run_id: i64,
    from_ns: i64,
    to_ns: i64,
    end_ns: i64,
    spans: u32,
    sums: FastHashMap<i64, Sum>,
}

/// Sums of a callsite.
struct Sum {
    unfinished: i64,
    closed: Rollup,
    hints: Hints,
    long_spans: i64,
    long_errors: i64,
}

impl Zone {
    fn new(first_id: i64, run_id: i64) -> Self {
        Self {
            first_id,
            last_id: first_id,
            run_id,
            from_ns: i64::MAX,
            to_ns: i64::MIN,
            end_ns: i64::MIN,
            spans: 0,
            sums: FastHashMap::default(),
        }
    }

    fn add(&mut self, id: i64, row: &Row<'_>) -> rusqlite::Result<()> {
        let (start_ns, callsite_id): (i64, i64) = (row.get(2)?, row.get(3)?);
        let duration_ns: Option<i64> = row.get(4)?;
        self.last_id = id;
        self.from_ns = self.from_ns.min(start_ns);
        self.to_ns = self.to_ns.max(start_ns);
        self.end_ns = self.end_ns.max(start_ns.saturating_add(duration_ns.unwrap_or(0)));
        self.spans += 1;
        let sum = self.sums.entry(callsite_id).or_insert_with(|| Sum {
            unfinished: 0,
            closed: Rollup::default(),
            hints: Hints::default(),
            long_spans: 0,
            long_errors: 0,
        });
        let Some(duration_ns) = duration_ns else {
            sum.unfinished += 1;
            return Ok(());
        };
        let is_error = matches!(read_status(row, 7)?, Status::Error | Status::Panicked);
        let self_ns: Option<i64> = row.get(6)?;
        if self_ns.is_none() {
            sum.long_spans += 1;
            sum.long_errors += i64::from(is_error);
            return Ok(());
        }
        let (entries, busy_ns): (i64, _) = (row.get(8)?, row.get(5)?);
        let seen = (entries.cast_unsigned(), row.get(9)?);
        let self_busy_ns = self_busy(seen, busy_ns, self_ns, row.get(10)?);
        let summand = Summand { duration_ns, busy_ns, self_ns, self_busy_ns, is_error };
        sum.closed.add(summand, &mut sum.hints);
        Ok(())
    }
}

struct Tables<'a> {
    zones: Statement<'a>,
    sums: Statement<'a>,
    blob: Vec<u8>,
}

impl Tables<'_> {
    fn insert(&mut self, zone: &Zone) -> rusqlite::Result<()> {
        let Zone { first_id, last_id, run_id, from_ns, to_ns, end_ns, .. } = *zone;
        self.zones.execute(params![first_id, last_id, run_id, from_ns, to_ns, end_ns])?;
        for (callsite_id, sum) in &zone.sums {
            let closed = &sum.closed;
            closed.histogram.encode_into(&mut self.blob);
            self.sums.execute(params![
                first_id,
                callsite_id,
                sum.unfinished,
                closed.calls,
                closed.errors,
                closed.sum_ns,
                closed.busy_ns,
                closed.self_ns,
                closed.max_ns,
                self.blob,
                sum.long_spans,
                sum.long_errors,
                closed.self_busy_ns,
            ])?;
        }
        Ok(())
    }
}
