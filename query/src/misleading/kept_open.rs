//! Spans that outlive their own work: `Registry` keeps a span open while it has children, so a span that spawned a
//! task closes with that task.
//!
//! A row has the last exit of its span. If the span closes at the same moment as a child that ended later, it was
//! kept open by that child, with certainty.
//!
//! Rows before version 3 do not have the last exit. There, only a span that was entered at most twice is reported (a
//! future is entered once more when it is dropped): it cannot have waited for a child that was polled more often, or
//! was busy for longer, so that child ran elsewhere.

use std::collections::BTreeMap;

use rusqlite::{Row, params};

use super::{ids, named, starting_points};
use crate::reader::Reader;
use spandrel_storage::Error;

/// Rows that are read from each starting point.
const ROWS: i64 = 64;
/// Entries of such a span at most, where the last exit is not known.
const POLLS_MAX: i64 = 2;
/// A parent closes within this time after the child that kept it open, on a busy machine, too.
pub(crate) const SOON_NS: i64 = 100_000;
/// Shorter times mislead nobody.
pub(crate) const OUTLIVED_NS_MIN: i64 = 1_000_000;

/// The worst span of a callsite whose spans are kept open by children.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptOpen {
    /// Its name.
    pub name: String,
    /// Its target.
    pub target: String,
    /// The name of the child.
    pub child: String,
    /// The span.
    pub span_id: u64,
    /// When it was left for the last time, nanoseconds after its start, ...
    pub left_ns: i64,
    /// ... and when it closed.
    pub closed_ns: i64,
    /// How often this pair of names was found among the spans that were read.
    pub times: u64,
}

/// A child and its parent.
struct Pair {
    callsites: (i64, i64),
    parent_id: i64,
    left_ns: i64,
    closed_ns: i64,
}

impl Reader {
    /// Samples a run for spans that stayed open long after their own work because of a child that ran elsewhere: the
    /// worst one of the callsite with the most of them.
    ///
    /// # Blocking
    ///
    /// Some 8,000 look-ups at most, whatever the length of the run.
    pub fn kept_open(&self, run_id: i64) -> Result<Option<KeptOpen>, Error> {
        self.query("look for spans that were kept open", |tx| {
            let Some((first, last)) = ids(tx, run_id)? else { return Ok(None) };
            // Long-lived spans have no self time, and their work keeps nothing open.
            let mut find = tx.prepare(
                "SELECT k.id, k.callsite_id, p.callsite_id, p.id, p.busy_ns, p.duration_ns,
                   k.start_ns - p.start_ns,
                   p.start_ns + p.duration_ns - k.start_ns - k.duration_ns,
                   p.entries BETWEEN 1 AND ?3 AND (k.entries > p.entries OR k.busy_ns > p.busy_ns),
                   CASE WHEN p.entries = 1 THEN coalesce(p.last_exit_ns, p.first_entry_ns + p.busy_ns)
                     ELSE p.last_exit_ns END
                 FROM (SELECT * FROM span WHERE id BETWEEN ?1 AND ?2 AND run_id = ?5
                   ORDER BY id LIMIT ?4) AS k
                 LEFT JOIN span AS p ON p.id = k.parent_id AND k.duration_ns IS NOT NULL
                   AND p.self_ns IS NOT NULL",
            )?;
            let mut worst: BTreeMap<(i64, i64), (u64, Pair)> = BTreeMap::new();
            let mut seen = first - 1;
            for start in starting_points(first, last) {
                let from = start.max(seen + 1);
                let mut rows = find.query(params![from, last, POLLS_MAX, ROWS, run_id])?;
                while let Some(row) = rows.next()? {
                    seen = seen.max(row.get(0)?);
                    let Some(pair) = pair(row)? else { continue };
                    match worst.get_mut(&pair.callsites) {
                        None => {
                            worst.insert(pair.callsites, (1, pair));
                        }
                        Some((times, known)) => {
                            *times += 1;
                            if pair.closed_ns - pair.left_ns > known.closed_ns - known.left_ns {
                                *known = pair;
                            }
                        }
                    }
                }
            }
            let Some((times, pair)) = worst.into_values().max_by_key(|(times, _)| *times) else {
                return Ok(None);
            };
            let (child, _) = named(tx, pair.callsites.0)?;
            let (name, target) = named(tx, pair.callsites.1)?;
            Ok(Some(KeptOpen {
                name,
                target,
                child,
                span_id: pair.parent_id.unsigned_abs(),
                left_ns: pair.left_ns,
                closed_ns: pair.closed_ns,
                times,
            }))
        })
    }
}

/// Reads a pair, if the parent was kept open.
fn pair(row: &Row<'_>) -> rusqlite::Result<Option<Pair>> {
    let number = |column: usize| row.get::<_, Option<i64>>(column);
    let (Some(child), Some(parent), Some(parent_id), Some(busy_ns), Some(closed_ns)) =
        (number(1)?, number(2)?, number(3)?, number(4)?, number(5)?)
    else {
        return Ok(None);
    };
    let (Some(began_ns), Some(gap_ns)) = (number(6)?, number(7)?) else { return Ok(None) };
    let left_ns = match number(9)? {
        Some(left_ns) => left_ns,
        // A thread was inside when the child was created.
        None if number(8)? == Some(1) => busy_ns.max(began_ns),
        None => return Ok(None),
    };
    let is_kept = (0..=SOON_NS).contains(&gap_ns)
        && closed_ns.saturating_sub(left_ns) >= OUTLIVED_NS_MIN.max(left_ns);
    Ok(is_kept.then_some(Pair { callsites: (child, parent), parent_id, left_ns, closed_ns }))
}
