//! Children that a process has stored before it died.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use rusqlite::params;

use super::Store;
use crate::error::{Context, Error};
use crate::record::LateChild;

/// Ids grow with time, but a thread takes some at once: a child may have an id that is so much below its parent's.
const IDS_AHEAD: u64 = 1 << 20;

/// Children that a process has stored before it died.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct StoredChildren {
    /// Each as if it came late, those of one parent side by side.
    pub children: Vec<LateChild>,
    /// All of them are known of parents from this id on.
    pub complete_from: u64,
}

impl Store {
    /// The children of these spans that are stored, of the run that was begun or gone on with, each as if it came late:
    /// what a process that has died knew of them is gone. `own` are the ids of the run, in order; those between are
    /// of other runs.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    ///
    /// # Blocking
    ///
    /// Looks at spans of the run that are younger than the oldest of these, from the youngest one on: some 0.3 s for a
    /// million. At `rows_max` of them at most; of parents that are older all may not be known then.
    pub fn stored_children(
        &self,
        parents: &HashSet<u64>,
        own: &[RangeInclusive<u64>],
        rows_max: u64,
    ) -> Result<StoredChildren, Error> {
        let (Some(run), Some(first)) = (&self.run, parents.iter().min()) else {
            return Ok(StoredChildren::default());
        };
        let (from, last) = (behind(own, *first, IDS_AHEAD), run.sums.last_id());
        let read = || -> rusqlite::Result<StoredChildren> {
            let mut query = self.conn.prepare(
                "SELECT parent_id, start_ns, duration_ns, entries, first_entry_ns, busy_ns, last_exit_ns,
                   coalesce(longest_thread_id, thread_id), run_id = ?2 AND self_ns IS NOT NULL, id
                 FROM main.span WHERE id BETWEEN ?1 AND ?3 ORDER BY id DESC",
            )?;
            let (mut found, mut complete_from, mut looked_at) = (Vec::new(), 0, 0);
            'pieces: for piece in own.iter().rev() {
                let (low, high) = ((*piece.start()).max(from), (*piece.end()).min(last));
                if low > high {
                    continue;
                }
                let mut rows = query.query(params![low as i64, run.id, high as i64])?;
                while let Some(row) = rows.next()? {
                    if looked_at == rows_max {
                        // Everything above this one was looked at.
                        let id = row.get::<_, i64>(9)?.cast_unsigned();
                        complete_from = ahead(own, id, IDS_AHEAD + 1);
                        break 'pieces;
                    }
                    looked_at += 1;
                    let parent_id = row.get::<_, Option<i64>>(0)?.unwrap_or(0).cast_unsigned();
                    if !parents.contains(&parent_id) || !row.get::<_, bool>(8)? {
                        continue;
                    }
                    let (start_ns, duration_ns, entries): (i64, i64, i64) =
                        (row.get(1)?, row.get(2)?, row.get(3)?);
                    if entries == 0 {
                        continue;
                    }
                    let [first, busy, last]: [Option<i64>; 3] =
                        [row.get(4)?, row.get(5)?, row.get(6)?];
                    let once = first.zip(busy).map(|(first, busy)| first.saturating_add(busy));
                    let until = last.or(once).unwrap_or(duration_ns);
                    let since = first.filter(|_| entries == 1);
                    found.push(LateChild {
                        parent_id,
                        start_ns,
                        end_ns: start_ns.saturating_add(until),
                        inside_since_ns: since.map_or(i64::MAX, |ns| start_ns.saturating_add(ns)),
                        thread_id: row.get(7)?,
                        busy_ns: busy.unwrap_or(0),
                    });
                }
            }
            found.sort_by_key(|child| child.parent_id);
            Ok(StoredChildren { children: found, complete_from })
        };
        read().context(&self.path, "look for children")
    }
}

/// The id that is so many of the run's own ones before this one, or its first.
fn behind(own: &[RangeInclusive<u64>], id: u64, mut count: u64) -> u64 {
    for piece in own.iter().rev().filter(|piece| *piece.start() <= id) {
        let from = id.min(*piece.end());
        let left = from - piece.start();
        if count <= left {
            return from - count;
        }
        count -= left + 1;
    }
    own.first().map_or(0, |piece| *piece.start())
}

/// The id that is so many of the run's own ones after this one, or above all.
fn ahead(own: &[RangeInclusive<u64>], id: u64, mut count: u64) -> u64 {
    for piece in own.iter().filter(|piece| *piece.end() >= id) {
        let from = id.max(*piece.start());
        let left = piece.end() - from;
        if count <= left {
            return from + count;
        }
        count -= left + 1;
    }
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_others_do_not_count() {
        let own = [10..=19, 30..=39, 100..=u64::MAX];
        let steps = [(10, 0), (19, 9), (30, 10), (39, 19), (100, 20), (150, 70)];
        for (id, at) in steps {
            for (other, other_at) in steps.into_iter().filter(|(_, other)| *other <= at) {
                assert_eq!(behind(&own, id, at - other_at), other, "{other} {id}");
                assert_eq!(ahead(&own, other, at - other_at), id, "{other} {id}");
            }
        }
        assert_eq!((behind(&own, 35, 99), behind(&own, 0, 1)), (10, 10));
        assert_eq!((behind(&own, 25, 0), ahead(&own, 25, 0)), (19, 30), "one of another run");
        assert_eq!((ahead(&own[..2], 35, 5), ahead(&own, 100, u64::MAX)), (u64::MAX, u64::MAX));
        assert_eq!((behind(&[], 7, 1), ahead(&[], 7, 1)), (0, u64::MAX));
    }
}
