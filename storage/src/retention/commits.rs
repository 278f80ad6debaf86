//! Rows that describe commits: each goes with the last row of its commit.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Statement, Transaction, params_from_iter};

use super::places::Places;
use super::whole_runs::InHand;

/// How many commits are checked at a time for having lost all of their rows.
const COMMITS: usize = 64;

/// Deletes ranges of commits whose rows are all gone, and commits without any rows left. Their numbers
/// are never used again: the row of the run knows the last one.
pub(super) fn delete_oldest(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let oldest = format!("SELECT id FROM main.batch ORDER BY id LIMIT {COMMITS}");
    let mut ranges = tx.prepare(&format!(
        "DELETE FROM main.batch_range WHERE batch_id IN ({oldest}) AND kind <> 'root'
           AND last_id < CASE kind
             WHEN 'event' THEN coalesce((SELECT min(id) FROM main.event), last_id + 1)
             WHEN 'entry' THEN coalesce((SELECT min(id) FROM main.entry), last_id + 1)
             ELSE coalesce((SELECT min(id) FROM main.span), last_id + 1) END"
    ))?;
    let mut rest = Rest::of(tx, &oldest)?;
    loop {
        ranges.execute([])?;
        if rest.delete(&[])? < COMMITS {
            return Ok(());
        }
    }
}

/// What some commits need no more, when ranges of their rows are deleted.
struct Rest<'a> {
    roots: Statement<'a>,
    commits: Statement<'a>,
}

impl<'a> Rest<'a> {
    fn of(tx: &'a Transaction<'_>, which: &str) -> rusqlite::Result<Self> {
        // Ranges of roots are needed as long as there are spans.
        let roots = tx.prepare(&format!(
            "DELETE FROM main.batch_range WHERE batch_id IN ({which}) AND kind = 'root'
               AND NOT EXISTS (SELECT 1 FROM main.batch_range AS r
                 WHERE r.batch_id = batch_range.batch_id AND r.kind = 'span')"
        ))?;
        let commits = tx.prepare(&format!(
            "DELETE FROM main.batch WHERE id IN ({which})
               AND NOT EXISTS (SELECT 1 FROM main.batch_range WHERE batch_id = batch.id)"
        ))?;
        Ok(Self { roots, commits })
    }

    /// How many commits were deleted.
    fn delete(&mut self, values: &[i64]) -> rusqlite::Result<usize> {
        self.roots.execute(params_from_iter(values))?;
        self.commits.execute(params_from_iter(values))
    }
}

/// The next commits that were looked at.
pub(super) struct Looked {
    /// The last one, unless it is the last of all.
    pub(super) last: Option<i64>,
    /// How many were deleted.
    pub(super) deleted: usize,
}

/// The same for the next commits above this one, each by where the rows of its run begin: those of another run may have
/// smaller ids for as long as it goes on.
pub(super) fn delete_next(
    tx: &Transaction<'_>,
    (in_hand, places): (&InHand, &Places),
    above: i64,
) -> rusqlite::Result<Looked> {
    let next =
        format!("SELECT id, run_id FROM main.batch WHERE id > ?1 ORDER BY id LIMIT {COMMITS}");
    let mut next = tx.prepare(&next)?;
    let next = next.query_map([above], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let commits = next.collect::<rusqlite::Result<Vec<(i64, i64)>>>()?;
    let Some((last, _)) = commits.last() else { return Ok(Looked { last: None, deleted: 0 }) };
    let mut ranges = tx.prepare(
        "DELETE FROM main.batch_range WHERE batch_id = ?1 AND kind <> 'root'
           AND last_id < CASE kind
             WHEN 'span' THEN ?2 WHEN 'event' THEN ?3 WHEN 'entry' THEN ?4 ELSE ?5 END",
    )?;
    let mut firsts: HashMap<i64, [i64; 4]> = HashMap::new();
    for (id, run_id) in &commits {
        let [spans, events, entries, links] = match firsts.get(run_id) {
            Some(first) => *first,
            None => *firsts.entry(*run_id).or_insert(first_ids(tx, (in_hand, places), *run_id)?),
        };
        ranges.execute([*id, spans, events, entries, links])?;
    }
    // One that never had a range tells of something else.
    let which = "SELECT id FROM main.batch WHERE id > ?1 AND id <= ?2
                   AND (spans > 0 OR events > 0 OR entries > 0 OR links > 0)";
    let deleted = Rest::of(tx, which)?.delete(&[above, *last])?;
    let is_end = commits.len() < COMMITS;
    Ok(Looked { last: (!is_end).then_some(*last), deleted })
}

/// Where the spans, events, entries and links of a run begin, as far as that is known.
fn first_ids(
    tx: &Transaction<'_>,
    (in_hand, places): (&InHand, &Places),
    run_id: i64,
) -> rusqlite::Result<[i64; 4]> {
    let is_empty = "SELECT spans <= pruned_spans AND events <= pruned_events
                      AND entries <= pruned_entries
                    FROM main.run WHERE id = ?1";
    let is_empty = tx.query_row(is_empty, [run_id], |row| row.get::<_, bool>(0)).optional()?;
    let known = places.first_ids(run_id);
    Ok(match (is_empty, known) {
        (Some(true), [.., links]) if in_hand.has(run_id) => [i64::MAX, i64::MAX, i64::MAX, links],
        (Some(true), _) => [i64::MAX; 4],
        _ => known,
    })
}
