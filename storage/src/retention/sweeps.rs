//! Tables that are ordered by ids of their own, so that nobody knows where the rows of a run are: marks, gauges, threads,
//! open spans and commits. They are looked through in turn, some rows at each call, and from the front again: rows that stay are
//! in nobody's way, however many.

use rusqlite::{ToSql, Transaction, named_params};

use super::commits::{self, Looked};
use super::places::Places;
use super::whole_runs::{InHand, is_gone};
use super::{CALL_ROWS, Moment, Pruned, WITH_ROWS};

/// The tables.
const TABLES: [&str; 4] = ["mark", "gauge", "thread", "open_span"];

/// How far they were looked through.
#[derive(Debug, Default)]
pub(crate) struct Sweeps {
    tables: [Sweep; 4],
    /// The same of commits.
    commits: Sweep,
    /// For which rule.
    rule: Option<Rule>,
}

/// What may be too old, whatever the time is: by age, before a run, by size.
pub(super) type Rule = (bool, Option<i64>, bool);

#[derive(Debug, Clone, Copy)]
struct Sweep {
    /// Rows with larger ids come next.
    above: i64,
    /// Whether all rows were looked at since the beginning.
    is_done: bool,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { above: i64::MIN, is_done: false }
    }
}

impl Sweep {
    /// Rows up to `last` were looked at, or all to the end.
    fn go_on(&mut self, last: Option<i64>, deleted: usize, in_hand: &InHand, pruned: &mut Pruned) {
        self.is_done |= last.is_none();
        self.above = last.unwrap_or(i64::MIN);
        let is_owed = in_hand.is_empty() && !self.is_done;
        pruned.more |= last.is_some() && (deleted > 0 || is_owed);
    }
}

/// What is old.
#[derive(Debug, Clone, Copy)]
pub(super) struct Old {
    /// Rows from before this moment, but nothing of earlier runs that have spans, events or entries left.
    pub(super) before: Moment,
    /// And those of any run from before this time.
    pub(super) cutoff_unix_ns: Option<i64>,
}

impl Sweeps {
    /// Begins a call. With another rule, rows that have stayed may go.
    pub(super) fn begin(&mut self, rule: Rule) {
        if self.rule != Some(rule) {
            *self = Self { rule: Some(rule), ..Self::default() };
        }
    }

    /// Whether one was begun and is not done.
    pub(super) fn are_begun(&self) -> bool {
        let mut all = self.tables.iter().chain([&self.commits]);
        all.any(|sweep| sweep.above > i64::MIN && !sweep.is_done)
    }

    /// Deletes old rows among the next ones. If nobody records, there is more to do until all were looked at.
    pub(super) fn delete(
        &mut self,
        tx: &Transaction<'_>,
        old: Old,
        (in_hand, places): (&InHand, &Places),
        pruned: &mut Pruned,
    ) -> rusqlite::Result<()> {
        if in_hand.is_empty() && pruned.rows() > 0 {
            // What belonged to them may go as well.
            (self.tables, self.commits) = Default::default();
        }
        let Looked { last, deleted } =
            commits::delete_next(tx, (in_hand, places), self.commits.above)?;
        self.commits.go_on(last, deleted, in_hand, pruned);
        let Moment { run_id, at_ns } = old.before;
        let is_old = format!(
            "(at_ns < :cutoff - (SELECT started_unix_ns FROM main.run WHERE id = run_id)
               OR (run_id, at_ns) < (:run, :at)
                 AND (run_id = :run OR run_id NOT IN ({WITH_ROWS})))"
        );
        let is_gone = is_gone(in_hand);
        let common: [(&str, &dyn ToSql); 2] = [(":run", &run_id), (":cutoff", &old.cutoff_unix_ns)];
        for (name, sweep) in TABLES.iter().zip(&mut self.tables) {
            let next = format!(
                "SELECT count(*), max(id) FROM (
                   SELECT id FROM main.{name} WHERE id > ?1 ORDER BY id LIMIT {CALL_ROWS})"
            );
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let (count, last): (i64, Option<i64>) = tx.query_row(&next, [sweep.above], read)?;
            let mut deleted = 0;
            if let Some(last) = last {
                let has_moment = matches!(*name, "mark" | "gauge");
                let which = if has_moment { &is_old } else { &is_gone };
                let sql = format!(
                    "DELETE FROM main.{name} WHERE id > :above AND id <= :last AND {which}"
                );
                let own = named_params! { ":above": sweep.above, ":last": last, ":at": at_ns };
                let values = common.iter().chain(own);
                let values: Vec<_> =
                    values.filter(|(name, _)| has_moment || *name != ":at").copied().collect();
                deleted = tx.execute(&sql, values.as_slice())?;
            }
            let is_end = (count as u64) < CALL_ROWS;
            sweep.go_on(last.filter(|_| !is_end), deleted, in_hand, pruned);
        }
        Ok(())
    }
}
