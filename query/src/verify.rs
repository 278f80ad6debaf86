//! Checks a profile: totals of the run against its rows, sums of the rollups against those of the spans, and values
//! that no recorder writes.
//!
//! Rows can be missing without being counted: somebody deleted them, or the file was damaged and repaired. A recorder
//! writes totals, rollups and rows in one transaction, so they never differ.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Row};

use crate::reader::Reader;
use spandrel_storage::Error;
use spandrel_storage::internals::lived_long_to_the_end;

/// A contradiction between a total and the rows.
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

/// SQL: rows of `span` with values that no recorder writes.
const IMPOSSIBLE: &str =
    "start_ns < 0 OR duration_ns < 0 OR busy_ns < 0 OR self_ns < 0 OR entries < 0
    OR self_ns > duration_ns OR (duration_ns IS NULL) <> (status IN ('unfinished', 'crashed'))
    OR status NOT IN ('ok', 'error', 'panicked', 'unfinished', 'crashed')";

/// The rows of a run, of `span`, `event` or `entry`.
const ROWS: &str = "run_id = ?1 AND id >= (SELECT first_id FROM run WHERE id = ?1)";

/// Sums of a callsite: count, sums of durations and self times, and the longest.
type Sums = [i64; 5];

impl Reader {
    /// The contradictions between the rows of a run and its totals, losses and rollups. Empty: none.
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
            let rows = Rows::look(tx, run_id)?;
            compare("spans", run.spans.saturating_sub(run.pruned_spans), rows.spans);
            let events = count(&format!("SELECT count(*) FROM event WHERE {ROWS}"))?;
            compare("events", run.events.saturating_sub(run.pruned_events), events);
            for (what, column, said) in [
                ("lost spans", "spans", run.dropped_spans),
                ("lost events", "events", run.dropped_events),
                ("lost entries", "entries", run.dropped_entries),
            ] {
                let sum = format!("SELECT coalesce(sum({column}), 0) FROM loss WHERE run_id = ?1");
                compare(what, said, count(&sum)?);
            }
            let entries = count(&format!("SELECT count(*) FROM entry WHERE {ROWS}"))?;
            compare("entries", run.entries.saturating_sub(run.pruned_entries), entries);
            let wrong = count(&format!(
                "SELECT count(*) FROM entry WHERE {ROWS} AND (start_ns < 0 OR duration_ns < 0)"
            ))?;
            compare("entries with impossible values", 0, wrong);
            compare("negative totals", 0, run.negative());
            compare("spans with impossible values", 0, rows.impossible);
            compare("spans without a callsite or a thread", 0, rows.nameless);
            // Retention deletes rollups by the second, and links without counting them.
            if run.pruned_spans == 0 && run.pruned_events == 0 && run.pruned_entries == 0 {
                let links = count("SELECT count(*) FROM link WHERE run_id = ?1")?;
                compare("links", run.links, links);
                compare("unfinished spans", run.unfinished, rows.unfinished);
                let mut entries = rows.entries;
                sum_up(
                    tx,
                    "SELECT callsite_id, 1 + coalesce(earlier_entries, 0), 0,
                       duration_ns + coalesce(earlier_ns, 0), self_ns, duration_ns
                     FROM entry WHERE self_ns IS NOT NULL AND run_id = ?1",
                    run_id,
                    &mut entries,
                )?;
                for (callsite, longest) in &rows.open {
                    if let Some([.., max]) = entries.get_mut(callsite) {
                        *max = (*longest).max(*max);
                    }
                }
                let rolled = of_rollups(tx, "entries, errors", "entry_rollup", run_id)?;
                let differing_entries = differing(&rolled, &entries);
                compare("callsites with other sums than their entries", 0, differing_entries);
                let rollups = of_rollups(tx, "calls, errors", "rollup", run_id)?;
                compare(
                    "callsites with other sums than their spans",
                    0,
                    differing(&rollups, &rows.sums),
                );
            }
            Ok(found)
        })
    }
}

/// What the rows of the spans of a run say.
#[derive(Debug, Default)]
struct Rows {
    spans: i64,
    unfinished: i64,
    impossible: i64,
    nameless: i64,
    sums: HashMap<i64, Sums>,
    /// Of spans whose entries count.
    entries: HashMap<i64, Sums>,
    /// The longest entries of those that were open at the end.
    open: HashMap<i64, i64>,
}

impl Rows {
    /// Reads all rows once, unsorted: SQLite would keep them all to sort them by callsite.
    fn look(tx: &Connection, run_id: i64) -> rusqlite::Result<Self> {
        let ids = |table: &str| -> rusqlite::Result<HashSet<i64>> {
            let mut query = tx.prepare(&format!("SELECT id FROM {table}"))?;
            query.query_map([], |row| row.get(0))?.collect()
        };
        let (callsites, threads) = (ids("callsite")?, ids("thread")?);
        let mut query = tx.prepare(&Self::sql())?;
        let mut rows = query.query([run_id])?;
        let mut found = Self::default();
        while let Some(row) = rows.next()? {
            let number = |at: usize| row.get_ref(at).map(|value| value.as_i64().unwrap_or(0));
            let (callsite, thread) = (number(0)?, number(1)?);
            found.spans += 1;
            found.impossible += i64::from(number(5)? != 0);
            found.nameless +=
                i64::from(!callsites.contains(&callsite) || !threads.contains(&thread));
            let status = row.get_ref(4)?.as_bytes().unwrap_or_default();
            let is_open = status == b"unfinished" || status == b"crashed";
            found.unfinished += i64::from(is_open);
            let last_exit_ns = row.get_ref(8)?.as_i64_or_null().unwrap_or(None);
            if is_open && lived_long_to_the_end(number(7)?.max(0) as u64, last_exit_ns) {
                let longest = found.open.entry(callsite).or_insert(0);
                *longest = number(6)?.max(*longest);
            }
            let own = row.get_ref(3)?.as_i64_or_null().unwrap_or(None);
            if let Some(duration) = row.get_ref(2)?.as_i64_or_null().unwrap_or(None) {
                let Some(own_ns) = own else {
                    let [_, errors, _, _, longest] =
                        found.entries.entry(callsite).or_insert([0; 5]);
                    *errors += i64::from(status == b"error" || status == b"panicked");
                    *longest = number(6)?.max(*longest);
                    continue;
                };
                let [calls, errors, sum, own, longest] =
                    found.sums.entry(callsite).or_insert([0; 5]);
                *calls += 1;
                *errors += i64::from(status == b"error" || status == b"panicked");
                *sum = sum.saturating_add(duration);
                *own = own.saturating_add(own_ns);
                *longest = duration.max(*longest);
            }
        }
        Ok(found)
    }

    fn sql() -> String {
        format!(
            "SELECT callsite_id, thread_id, duration_ns, self_ns, status, {IMPOSSIBLE},
               CASE WHEN entries = 1 THEN coalesce(longest_entry_ns, busy_ns)
                 ELSE longest_entry_ns END, entries, last_exit_ns
             FROM span WHERE {ROWS}"
        )
    }
}

/// The number of callsites whose rollups differ from their spans.
fn differing(rollups: &HashMap<i64, Sums>, spans: &HashMap<i64, Sums>) -> i64 {
    let differ = spans.iter().filter(|(id, sums)| rollups.get(id) != Some(sums)).count();
    let gone = rollups.keys().filter(|id| !spans.contains_key(id)).count();
    (differ + gone) as i64
}

/// The sums of a table of rollups; `columns` are the first two.
fn of_rollups(
    tx: &Connection,
    counts: &str,
    table: &str,
    run_id: i64,
) -> rusqlite::Result<HashMap<i64, Sums>> {
    // In key order; there are at most as many as seconds times callsites.
    let sql = format!(
        "SELECT callsite_id, {counts}, sum_ns, self_ns, max_ns FROM {table} WHERE run_id = ?1"
    );
    let mut all = HashMap::new();
    sum_up(tx, &sql, run_id, &mut all)?;
    Ok(all)
}

/// Adds rows of a callsite and its sums.
fn sum_up(
    tx: &Connection,
    sql: &str,
    run_id: i64,
    all: &mut HashMap<i64, Sums>,
) -> rusqlite::Result<()> {
    let mut query = tx.prepare(sql)?;
    let mut rows = query.query([run_id])?;
    while let Some(row) = rows.next()? {
        let sums = all.entry(row.get(0)?).or_insert([0; 5]);
        for (at, sum) in sums.iter_mut().enumerate() {
            let value: i64 = row.get(at + 1)?;
            *sum = if at == 4 { value.max(*sum) } else { sum.saturating_add(value) };
        }
    }
    Ok(())
}

/// The totals in the row of a run, which may be negative in a damaged file.
struct Totals {
    spans: i64,
    unfinished: i64,
    events: i64,
    links: i64,
    dropped_spans: i64,
    dropped_events: i64,
    pruned_spans: i64,
    pruned_events: i64,
    entries: i64,
    dropped_entries: i64,
    pruned_entries: i64,
}

impl Totals {
    fn read(tx: &Connection, run_id: i64) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT spans, unfinished, events, links, dropped_spans, dropped_events,
            pruned_spans, pruned_events, entries, dropped_entries, pruned_entries
            FROM run WHERE id = ?1";
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
                entries: row.get(8)?,
                dropped_entries: row.get(9)?,
                pruned_entries: row.get(10)?,
            })
        };
        tx.query_row(sql, [run_id], read).optional()
    }

    fn negative(&self) -> i64 {
        let kept = [self.spans, self.unfinished, self.events, self.links];
        let gone = [self.dropped_spans, self.dropped_events, self.pruned_spans, self.pruned_events];
        let of_entries = [self.entries, self.dropped_entries, self.pruned_entries];
        kept.iter().chain(&gone).chain(&of_entries).filter(|total| **total < 0).count() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sort of all rows would keep them in memory: half a gigabyte of ten million.
    #[test]
    fn rows_are_looked_at_once_and_not_sorted() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(spandrel_storage::schema()).unwrap();
        let mut query = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", Rows::sql())).unwrap();
        let plan: Vec<String> = query
            .query_map([1], |row| row.get(3))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        let of_spans = plan.iter().filter(|step| step.contains(" span ")).count();
        assert_eq!(of_spans, 1, "{plan:?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
    }
}
