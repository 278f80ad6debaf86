//! Reads the finished database with SQL of its own and compares it with what was sent.
//!
//! With nothing dropped, sender and file must agree in every count and checksum. Where spans were
//! dropped, each row that is there must still be one that was sent, unchanged, once, and linked to
//! its own parent.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use spandrel::Report;

use crate::database;
use crate::entered;
use crate::faults::{Check, Faults};
use crate::nameless;
use crate::progress::Rows;
use crate::report::group;
use crate::sent::Sent;
use crate::settings::Load;
use crate::stored::{Met, Stored, fields, unit_of, values_of};
use crate::workload::{Unit, Values, mix};

/// What the comparison of the finished file with what was sent has found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verification {
    /// Everything that was looked at.
    pub checks: Vec<Check>,
    /// How long that took.
    pub took: Duration,
}

impl Verification {
    /// Whether nothing was wrong.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.checks.iter().all(Result::is_ok)
    }
}

/// What the load was, and what is said to have become of it.
struct Expected<'a> {
    load: &'a Load,
    sent: &'a Sent,
    report: &'a Report,
}

pub(crate) fn verify(
    path: &Path,
    load: &Load,
    sent: &Sent,
    report: &Report,
    looked: &mut Rows<'_>,
) -> rusqlite::Result<Verification> {
    let began = Instant::now();
    let conn = database::open(path)?;
    let run = conn.query_row("SELECT max(id) FROM run", [], |row| row.get(0))?;
    let expected = Expected { load, sent, report };
    let mut checks = vec![expected.counts(&conn, run)?];
    if load.long_lived > 0 {
        checks.extend(entered::check(&conn, run, load, sent, looked)?);
    } else if load.nameless() {
        checks.push(nameless::check(&conn, run, load, sent, looked)?);
    } else {
        let mut stored = Stored::default();
        let mut met = Met::new(&sent.trees, load.depth);
        checks.push(expected.spans(&conn, run, &mut stored, &mut met, looked)?);
        checks.push(expected.links(&conn, run, &stored, &mut met, looked)?);
        checks.push(expected.events(&conn, run, &stored, &mut met)?);
    }
    checks.push(integrity(&conn)?);
    Ok(Verification { checks, took: began.elapsed() })
}

impl Expected<'_> {
    /// The tables agree with the report and with each other.
    fn counts(&self, conn: &Connection, run: i64) -> rusqlite::Result<Check> {
        let count = |sql: &str| conn.query_row(sql, [run], |row| row.get::<_, i64>(0));
        let report = self.report;
        let mut faults = Faults::default();
        for (what, sql, reported) in [
            ("rows in span", "SELECT count(*) FROM span WHERE run_id = ?1", report.stored),
            ("spans in run", "SELECT spans FROM run WHERE id = ?1", report.stored),
            ("rows in event", "SELECT count(*) FROM event WHERE run_id = ?1", report.events.stored),
            (
                "unfinished spans",
                "SELECT count(*) FROM span WHERE run_id = ?1 AND duration_ns IS NULL",
                report.unfinished,
            ),
            (
                "spans in loss",
                "SELECT coalesce(sum(spans), 0) FROM loss WHERE run_id = ?1",
                report.dropped.total(),
            ),
            (
                "events in loss",
                "SELECT coalesce(sum(events), 0) FROM loss WHERE run_id = ?1",
                report.events.dropped.total(),
            ),
            (
                "rows in entry",
                "SELECT count(*) FROM entry WHERE run_id = ?1",
                report.entries.stored,
            ),
            ("entries in run", "SELECT entries FROM run WHERE id = ?1", report.entries.stored),
            (
                "entries in loss",
                "SELECT coalesce(sum(entries), 0) FROM loss WHERE run_id = ?1",
                report.entries.dropped.total(),
            ),
            (
                "calls in rollup, and closed spans whose entries count",
                "SELECT (SELECT coalesce(sum(calls), 0) FROM rollup WHERE run_id = ?1)
                   + (SELECT coalesce(sum(spans), 0) FROM entry_rollup WHERE run_id = ?1)",
                report.stored - report.unfinished,
            ),
            (
                "runs with an end",
                "SELECT count(*) FROM run WHERE id = ?1 AND ended_unix_ns > started_unix_ns",
                1,
            ),
        ] {
            let counted = count(sql)?;
            if counted as u64 != reported {
                faults.add(format_args!("{what}: {counted}, but reported {reported}"));
            }
        }
        // Others are recorded of spans that happened to be open for a second.
        let entries = match self.load.long_lived {
            0 => report.entries.recorded,
            _ => self.sent.entries,
        };
        // From the tables alone, whatever the report says: what was sent is there, or counted as lost.
        for (what, sent, rows, lost) in [
            (
                "spans",
                self.sent.spans,
                "SELECT count(*) FROM span WHERE run_id = ?1",
                "SELECT coalesce(sum(spans), 0) FROM loss WHERE run_id = ?1",
            ),
            (
                "events",
                self.sent.events,
                "SELECT count(*) FROM event WHERE run_id = ?1",
                "SELECT coalesce(sum(events), 0) FROM loss WHERE run_id = ?1",
            ),
            (
                "entries",
                entries,
                "SELECT count(*) FROM entry WHERE run_id = ?1",
                "SELECT coalesce(sum(entries), 0) FROM loss WHERE run_id = ?1",
            ),
        ] {
            let (rows, lost) = (count(rows)? as u64, count(lost)? as u64);
            if rows.saturating_add(lost) != sent {
                faults.add(format_args!(
                    "{what}: sent {sent}, but the tables have {rows} and {lost} that are lost"
                ));
            }
        }
        Ok(faults.check(
            "the tables agree with the report: spans, events, entries, losses, rollups".into(),
        ))
    }

    /// Each row is a span that was sent, unchanged, and there once.
    fn spans(
        &self,
        conn: &Connection,
        run: i64,
        stored: &mut Stored,
        met: &mut Met,
        looked: &mut Rows<'_>,
    ) -> rusqlite::Result<Check> {
        let count = self.load.fields;
        let mut faults = Faults::default();
        let mut checksum = 0_u64;
        let mut select =
            conn.prepare("SELECT id, fields FROM span WHERE run_id = ?1 ORDER BY id")?;
        let mut rows = select.query([run])?;
        while let Some(row) = rows.next()? {
            let (id, fields) = (row.get(0)?, fields(row.get(1)?));
            let values = values_of(&fields, count);
            match values {
                Some(values) if count > 0 => {
                    checksum = checksum.wrapping_add(values.checksum(count));
                    if values.checksum(count) != Values::of(values.unit).checksum(count) {
                        faults.add(format_args!("the fields of span {id} are not as sent"));
                    }
                }
                Some(_) => {}
                None => faults.add(format_args!("span {id} has other fields than were sent")),
            }
            stored.push(id, values.map(|values| values.unit).filter(|_| count > 0));
            looked.add(1);
        }
        if count == 0 {
            stored.name_by_events(conn, run)?;
        }
        for (id, unit) in stored.units() {
            if let Err(fault) = met.meet(unit) {
                faults.add(format_args!("span {id}, unit {unit}, {fault}"));
            }
        }
        let (found, sent) = (stored.len() as u64, self.sent.spans);
        let all = format!("{} spans, each as it was sent and there once", group(found));
        if found < sent {
            return Ok(faults.check(format!("{all}, of {}", group(sent))));
        }
        if found != sent || (count > 0 && checksum != self.sent.span_checksum) {
            faults.add(format_args!(
                "sent {sent} spans with checksum {:016x}, found {found} with {checksum:016x}",
                self.sent.span_checksum,
            ));
        } else if count == 0 && stored.units().count() as u64 != sent {
            faults.add("some spans belong to no tree");
        }
        Ok(faults.check(match count {
            0 => all,
            _ => format!("{all}, checksum {checksum:016x}"),
        }))
    }

    /// Each parent is the span that was the parent, and each root the root.
    fn links(
        &self,
        conn: &Connection,
        run: i64,
        stored: &Stored,
        met: &mut Met,
        looked: &mut Rows<'_>,
    ) -> rusqlite::Result<Check> {
        let mut faults = Faults::default();
        let (mut links, mut missing) = (0_u64, 0_u64);
        let mut select =
            conn.prepare("SELECT id, parent_id, root_id FROM span WHERE run_id = ?1 ORDER BY id")?;
        let mut rows = select.query([run])?;
        while let Some(row) = rows.next()? {
            let (id, parent, root) = (row.get(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?);
            looked.add(1);
            let Some(Some(code)) = stored.unit(id) else { continue };
            let unit = Unit::from_code(code);
            if unit.level == 0 {
                if parent.is_some() || root != id {
                    faults.add(format_args!("span {id}, unit {code}, is a root and has a parent"));
                }
                continue;
            }
            for (what, other, level) in
                [("parent", parent, unit.level - 1), ("root", Some(root), 0)]
            {
                let wanted = Unit { level, ..unit }.code();
                match other.map(|other| stored.unit(other)) {
                    Some(Some(Some(found))) if found == wanted => links += 1,
                    // It was dropped: no row has its id, or one that cannot be told from others.
                    Some(None | Some(None)) if !met.has(wanted) => missing += 1,
                    _ => faults.add(format_args!(
                        "span {id}, unit {code}: {what} {other:?} is not unit {wanted}"
                    )),
                }
            }
        }
        let found = format!("{} links, each to the right parent or root", group(links));
        Ok(faults.check(match missing {
            0 => found,
            _ => format!("{found}, and {} to dropped spans", group(missing)),
        }))
    }

    /// Each event was sent, is there once, and stands in the innermost span of its tree.
    fn events(
        &self,
        conn: &Connection,
        run: i64,
        stored: &Stored,
        met: &mut Met,
    ) -> rusqlite::Result<Check> {
        let mut faults = Faults::default();
        let (mut checksum, mut found) = (0_u64, 0);
        let mut events = Met::new(&self.sent.trees, self.load.depth);
        let mut select =
            conn.prepare("SELECT id, span_id, message, fields FROM event WHERE run_id = ?1")?;
        let mut rows = select.query([run])?;
        while let Some(row) = rows.next()? {
            let (id, span): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
            let (message, fields): (Option<String>, _) = (row.get(2)?, fields(row.get(3)?));
            found += 1;
            let unit = unit_of(&fields).filter(|_| fields.len() == 1);
            let Some(unit) = unit.filter(|_| message.as_deref() == Some("done")) else {
                faults.add(format_args!("event {id} is not as it was sent"));
                continue;
            };
            checksum = checksum.wrapping_add(mix(unit));
            if let Err(fault) = events.meet(unit) {
                faults.add(format_args!("event {id}, unit {unit}, {fault}"));
            }
            let innermost = Unit::from_code(unit).level + 1 == self.load.depth;
            let right = match span.map(|span| stored.unit(span)) {
                Some(Some(Some(stored))) => stored == unit,
                Some(_) => !met.has(unit),
                None => false,
            };
            if !innermost || !right {
                faults.add(format_args!("event {id}, unit {unit}, is not in its span"));
            }
        }
        let sent = self.sent.events;
        let all = format!("{} events, each once and in its span", group(found));
        if found < sent {
            return Ok(faults.check(format!("{all}, of {}", group(sent))));
        }
        if found != sent || checksum != self.sent.event_checksum {
            faults.add(format_args!(
                "sent {sent} events with checksum {:016x}, found {found} with {checksum:016x}",
                self.sent.event_checksum,
            ));
        }
        Ok(faults.check(format!("{all}, checksum {checksum:016x}")))
    }
}

/// What SQLite itself thinks of the file.
fn integrity(conn: &Connection) -> rusqlite::Result<Check> {
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok(match verdict.as_str() {
        "ok" => Ok("the file is whole, says SQLite".into()),
        _ => Err(format!("the file is damaged: {verdict}")),
    })
}
