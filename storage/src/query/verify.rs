//! Whether what a profile says of itself is so: totals of the run beside its rows, sums of the rollups beside
//! those of the spans, and values that no recording makes.
//!
//! Rows can be missing for reasons that nobody counted: somebody deleted them, or the file was damaged and
//! mended. A recording writes totals, rollups and rows in one transaction, so that they never differ.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::Error;
use crate::reader::Reader;

/// Something that is not as the profile says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contradiction {
    /// What is counted, such as `spans`.
    pub what: &'static str,
    /// How many there should be.
    pub expected: i64,
    /// How many there are.
    pub found: i64,
}

/// Values that no recording makes, in the terms of a row of `span`.
const IMPOSSIBLE: &str =
    "start_ns < 0 OR duration_ns < 0 OR busy_ns < 0 OR self_ns < 0 OR polls < 0
    OR self_ns > duration_ns OR (duration_ns IS NULL) <> (status = 'unfinished')
    OR status NOT IN ('ok', 'error', 'panicked', 'unfinished')";

/// The rows of a run, of `span` or `event`.
const ROWS: &str = "run_id = ?1 AND id >= (SELECT first_id FROM run WHERE id = ?1)";

/// Counts, sums of durations and of self times, and the longest; of a callsite.
type Sums = [i64; 5];

impl Reader {
    /// What of a run is not as its row, its losses and its rollups say. Empty: nothing.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    ///
    /// # Blocking
    ///
    /// Looks at all rows of the run: some 0.3 s for a million spans.
    pub fn contradictions(&self, run_id: i64) -> Result<Vec<Contradiction>, Error> {
        self.query("compare the rows of a run with its totals", |tx| {
            let mut found = Vec::new();
            let Some(run) = Totals::read(tx, run_id)? else { return Ok(found) };
            let mut compare = |what, expected: i64, is: i64| {
                if expected != is {
                    found.push(Contradiction { what, expected, found: is });
                }
            };
            let count = |sql: &str| -> rusqlite::Result<i64> {
                tx.query_row(sql, [run_id], |row| row.get(0))
            };
            let spans = count(&format!("SELECT count(*) FROM span WHERE {ROWS}"))?;
            compare("spans", run.spans.saturating_sub(run.pruned_spans), spans);
            let events = count(&format!("SELECT count(*) FROM event WHERE {ROWS}"))?;
            compare("events", run.events.saturating_sub(run.pruned_events), events);
            for (at, what) in [(0, "lost spans"), (1, "lost events")] {
                let column = ["spans", "events"][at];
                let sum = format!("SELECT coalesce(sum({column}), 0) FROM loss WHERE run_id = ?1");
                compare(what, [run.dropped_spans, run.dropped_events][at], count(&sum)?);
            }
            compare("negative totals", 0, run.negative());
            let impossible = format!("SELECT count(*) FROM span WHERE {ROWS} AND ({IMPOSSIBLE})");
            compare("spans with impossible values", 0, count(&impossible)?);
            let nameless = format!(
                "SELECT count(*) FROM span WHERE {ROWS} AND (
                   callsite_id NOT IN (SELECT id FROM callsite)
                   OR thread_id NOT IN (SELECT id FROM thread))"
            );
            compare("spans without a callsite or a thread", 0, count(&nameless)?);
            // Retention deletes rollups by the second, and links without counting them.
            if run.pruned_spans == 0 && run.pruned_events == 0 {
                let links = count("SELECT count(*) FROM link WHERE run_id = ?1")?;
                compare("links", run.links, links);
                let unfinished =
                    format!("SELECT count(*) FROM span WHERE {ROWS} AND status = 'unfinished'");
                compare("unfinished spans", run.unfinished, count(&unfinished)?);
                compare("callsites with other sums than their spans", 0, differing(tx, run_id)?);
            }
            Ok(found)
        })
    }
}

/// Callsites whose rollups are not those of their spans.
fn differing(tx: &Connection, run_id: i64) -> rusqlite::Result<i64> {
    let of_rollups = "SELECT callsite_id, sum(calls), sum(errors), sum(sum_ns), sum(self_ns),
        max(max_ns) FROM rollup WHERE run_id = ?1 GROUP BY callsite_id";
    let of_spans = format!(
        "SELECT callsite_id, count(*), sum(status IN ('error', 'panicked')), sum(duration_ns),
         sum(coalesce(self_ns, 0)), max(duration_ns)
         FROM span WHERE {ROWS} AND duration_ns IS NOT NULL GROUP BY callsite_id"
    );
    let [rollups, spans] = [sums(tx, of_rollups, run_id)?, sums(tx, &of_spans, run_id)?];
    let differ = spans.iter().filter(|(id, sums)| rollups.get(id) != Some(sums)).count();
    let gone = rollups.keys().filter(|id| !spans.contains_key(id)).count();
    Ok((differ + gone) as i64)
}

fn sums(tx: &Connection, sql: &str, run_id: i64) -> rusqlite::Result<BTreeMap<i64, Sums>> {
    let mut query = tx.prepare(sql)?;
    let read = |row: &Row<'_>| -> rusqlite::Result<(i64, Sums)> {
        Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?]))
    };
    query.query_map([run_id], read)?.collect()
}

/// What the row of a run says, negative numbers and all.
struct Totals {
    spans: i64,
    unfinished: i64,
    events: i64,
    links: i64,
    dropped_spans: i64,
    dropped_events: i64,
    pruned_spans: i64,
    pruned_events: i64,
}

impl Totals {
    fn read(tx: &Connection, run_id: i64) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT spans, unfinished, events, links, dropped_spans, dropped_events,
            pruned_spans, pruned_events FROM run WHERE id = ?1";
        let read = |row: &Row<'_>| {
            Ok(Self {
                spans: row.get(0)?,
                unfinished: row.get(1)?,
                events: row.get(2)?,
                links: row.get(3)?,
                dropped_spans: row.get(4)?,
                dropped_events: row.get(5)?,
                pruned_spans: row.get(6)?,
                pruned_events: row.get(7)?,
            })
        };
        tx.query_row(sql, [run_id], read).optional()
    }

    fn negative(&self) -> i64 {
        let kept = [self.spans, self.unfinished, self.events, self.links];
        let gone = [self.dropped_spans, self.dropped_events, self.pruned_spans, self.pruned_events];
        kept.iter().chain(&gone).filter(|total| **total < 0).count() as i64
    }
}
