//! A name that is nested in itself again and again: a guard that is held over an `.await` catches the spans of other
//! tasks, and a task that starts its successor within its own span makes an endless chain.

use rusqlite::{OptionalExtension, Statement, params};

use super::{ids, named, starting_points};
use crate::reader::Reader;
use spandrel_storage::Error;

/// Ancestors that are read at most.
const CHAIN_MAX: u64 = 1_000;

/// A span with many ancestors of the same callsite.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NestedInItself {
    /// The name of all of them.
    pub name: String,
    /// Their target.
    pub target: String,
    /// The innermost one.
    pub span_id: u64,
    /// How many of its ancestors have the name; at most a thousand ancestors were read.
    pub depth: u64,
}

impl Reader {
    /// The deepest nesting of a callsite in itself among sampled spans of a run: a lower bound. `None` if there is
    /// none.
    ///
    /// # Blocking
    ///
    /// Some 70,000 look-ups at most, whatever the length of the run.
    pub fn nested_in_itself(&self, run_id: i64) -> Result<Option<NestedInItself>, Error> {
        self.query("look for names inside themselves", |tx| {
            let Some((first, last)) = ids(tx, run_id)? else { return Ok(None) };
            let mut next = tx.prepare(
                "SELECT id FROM span WHERE id BETWEEN ?1 AND ?2 AND run_id = ?3 ORDER BY id LIMIT 1",
            )?;
            // Open spans, too: a guard that is never dropped is the outermost of the chain.
            let mut ancestor = tx.prepare(
                "SELECT callsite_id, coalesce(parent_id, 0) FROM span WHERE id = ?1
                 UNION ALL SELECT callsite_id, coalesce(parent_id, 0) FROM open_span WHERE id = ?1
                 LIMIT 1",
            )?;
            let mut deepest: Option<(i64, i64, u64)> = None;
            let mut seen = first.saturating_sub(1);
            for start in starting_points(first, last) {
                // Where there is nothing for long, as of a run that was recorded beside others, those behind it.
                let from = start.max(seen.saturating_add(1));
                let id = next.query_row(params![from, last, run_id], |row| row.get(0)).optional()?;
                let Some(id) = id else { break };
                seen = id;
                let (callsite, depth) = depth(&mut ancestor, id)?;
                if deepest.is_none_or(|(_, _, most)| depth > most) {
                    deepest = Some((id, callsite, depth));
                }
            }
            let Some((id, callsite, depth)) = deepest.filter(|(_, _, depth)| *depth > 0) else {
                return Ok(None);
            };
            let (name, target) = named(tx, callsite)?;
            Ok(Some(NestedInItself { name, target, span_id: id.unsigned_abs(), depth }))
        })
    }
}

/// The most frequent callsite among a span and its ancestors, and how many of them beside the first.
fn depth(find: &mut Statement<'_>, id: i64) -> rusqlite::Result<(i64, u64)> {
    let mut times: Vec<(i64, u64)> = Vec::new();
    let mut at = id;
    for _ in 0..=CHAIN_MAX {
        let found = find.query_row([at], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((callsite, parent)): Option<(i64, i64)> = found else { break };
        match times.iter_mut().find(|(known, _)| *known == callsite) {
            Some((_, count)) => *count += 1,
            None => times.push((callsite, 1)),
        }
        at = parent;
    }
    let most = times.into_iter().max_by_key(|(_, count)| *count).unwrap_or_default();
    Ok((most.0, most.1.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use spandrel_storage::SpanRow;

    use crate::test_profile::TestProfile;

    #[test]
    fn where_ids_are_in_pieces_with_much_between_them_all_pieces_are_looked_at() {
        let mut profile = TestProfile::new();
        let callsite = profile.callsite("poll", "app", 1);
        // In each the first and the last span are in no other one.
        for begin in [1, 5 << 33, 7 << 33_u64] {
            for at in 0..40 {
                let id = begin + 2 * at;
                let span = TestProfile::span(id, callsite, id as i64, 1);
                let is_root = at == 0 || at == 39;
                let parent_id = if is_root { 0 } else { id - 2 };
                let root_id = if is_root { id } else { begin };
                profile.add(SpanRow { parent_id, root_id, ..span }, "");
            }
        }
        let found = profile.reader().nested_in_itself(1).unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.depth > 10), ("poll", true), "{found:?}");
    }
}
