//! The row of the run that is being recorded.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::record::RunInfo;
use crate::totals::Totals;

/// The run that is being recorded, as its row has it: enough to write the row again if somebody deletes
/// it during the run.
#[derive(Debug)]
pub(crate) struct RunRow {
    pub(crate) id: i64,
    first_id: i64,
    info: RunInfo,
    /// The report before the end of the run.
    pub(crate) report: Option<String>,
    /// The totals of all commits.
    pub(crate) sums: Totals,
}

impl RunRow {
    /// Inserts the row of a run that begins. Its number is at least `id`, and not in use.
    pub(crate) fn begin(
        conn: &Connection,
        id: i64,
        first_id: i64,
        info: &RunInfo,
    ) -> rusqlite::Result<Self> {
        let taken: i64 =
            conn.query_row("SELECT coalesce(max(id), 0) FROM main.run", [], |row| row.get(0))?;
        let last_id = u64::try_from(first_id.saturating_sub(1)).unwrap_or(0);
        let run = Self {
            id: id.max(taken.saturating_add(1)),
            first_id,
            info: info.clone(),
            report: None,
            sums: Totals { last_ns: 0, ..Totals::new(last_id) },
        };
        run.insert(conn)?;
        Ok(run)
    }

    /// The run with this `uuid`, to go on with it, if it is in the file and has no end.
    pub(crate) fn read(conn: &Connection, uuid: &str) -> rusqlite::Result<Option<Self>> {
        let sql =
            "SELECT id, first_id, uuid, label, started_unix_ns, pid, program, args, host, os, cpus,
              clock, settings, report, last_id, last_ns, spans, unfinished, events, links, entries,
              dropped_spans, dropped_events, dropped_entries, pruned_spans, pruned_events,
              pruned_entries, last_batch_id
            FROM main.run WHERE uuid = ?1 AND ended_unix_ns IS NULL ORDER BY id DESC LIMIT 1";
        let read = |row: &Row<'_>| {
            let number = |at: usize| row.get::<_, i64>(at);
            let info = RunInfo {
                uuid: row.get(2)?,
                label: row.get(3)?,
                started_unix_ns: row.get(4)?,
                pid: row.get(5)?,
                program: row.get(6)?,
                args: row.get(7)?,
                host: row.get(8)?,
                os: row.get(9)?,
                cpus: row.get(10)?,
                clock: row.get(11)?,
                settings: row.get(12)?,
            };
            let sums = Totals {
                last_ns: number(15)?,
                spans: number(16)?,
                unfinished: number(17)?,
                events: number(18)?,
                links: number(19)?,
                entries: number(20)?,
                dropped_spans: number(21)?,
                dropped_events: number(22)?,
                dropped_entries: number(23)?,
                pruned_spans: number(24)?,
                pruned_events: number(25)?,
                pruned_entries: number(26)?,
                last_batch_id: number(27)?,
                ..Totals::new(u64::try_from(number(14)?).unwrap_or(0))
            };
            Ok(Self { id: number(0)?, first_id: number(1)?, info, report: row.get(13)?, sums })
        };
        conn.query_row(sql, [uuid], read).optional()
    }

    pub(crate) fn info(&self) -> &RunInfo {
        &self.info
    }

    pub(crate) fn first_id(&self) -> u64 {
        u64::try_from(self.first_id).unwrap_or(0)
    }

    /// Adds the totals of a batch. Writes the row again if it was deleted.
    pub(crate) fn add(&self, conn: &Connection, totals: &Totals) -> rusqlite::Result<()> {
        if totals.add_to_run(conn, self.id)? == 0 {
            self.insert(conn)?;
            totals.add_to_run(conn, self.id)?;
        }
        Ok(())
    }

    /// Stores the report while the run has no end.
    pub(crate) fn tell(&self, conn: &Connection, report: &str) -> rusqlite::Result<()> {
        let sql = "UPDATE main.run SET report = ?2 WHERE id = ?1 AND ended_unix_ns IS NULL";
        conn.execute(sql, params![self.id, report]).map(drop)
    }

    /// Continues with what the file still has of the run; losses are written again. `counts` are spans,
    /// unfinished ones, events, links, entries, marks and samples of gauges; `others` the last moment, and what was pruned.
    pub(crate) fn resume(
        &mut self,
        conn: &Connection,
        counts: [i64; 7],
        others: [i64; 4],
    ) -> rusqlite::Result<()> {
        let [spans, unfinished, events, links, entries, ..] = counts;
        let [last_ns, pruned_spans, pruned_events, pruned_entries] = others;
        self.sums = Totals {
            spans,
            unfinished,
            events,
            links,
            entries,
            last_ns,
            pruned_spans,
            pruned_events,
            pruned_entries,
            last_batch_id: self.sums.last_batch_id,
            ..Totals::new(self.sums.last_id())
        };
        conn.execute("DELETE FROM main.run WHERE id = ?1", [self.id])?;
        self.insert(conn)
    }

    /// Stores when and how the run has ended. Writes the row again if it was deleted.
    pub(crate) fn end(
        &self,
        conn: &Connection,
        ended_unix_ns: i64,
        report: &str,
    ) -> rusqlite::Result<()> {
        let sql = "UPDATE main.run SET ended_unix_ns = ?2, report = ?3 WHERE id = ?1";
        let values = params![self.id, ended_unix_ns, report];
        if conn.execute(sql, values)? == 0 {
            self.insert(conn)?;
            conn.execute(sql, values)?;
        }
        Ok(())
    }

    fn insert(&self, conn: &Connection) -> rusqlite::Result<()> {
        let Self { id, first_id, info, report, sums } = self;
        conn.execute(
            "INSERT INTO main.run (id, uuid, label, started_unix_ns, pid, program, args, host, os,
               cpus, clock, settings, first_id, last_id, last_ns, spans, unfinished, events, links,
               dropped_spans, dropped_events, pruned_spans, pruned_events, report,
               last_batch_id, entries, dropped_entries, pruned_entries)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
               ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28)",
            params![
                id,
                info.uuid,
                info.label,
                info.started_unix_ns,
                info.pid,
                info.program,
                info.args,
                info.host,
                info.os,
                info.cpus,
                info.clock,
                info.settings,
                first_id,
                sums.last_id() as i64,
                sums.last_ns,
                sums.spans,
                sums.unfinished,
                sums.events,
                sums.links,
                sums.dropped_spans,
                sums.dropped_events,
                sums.pruned_spans,
                sums.pruned_events,
                report,
                sums.last_batch_id,
                sums.entries,
                sums.dropped_entries,
                sums.pruned_entries,
            ],
        )?;
        Ok(())
    }
}
