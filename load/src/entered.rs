//! The finished file of a load of long-lived spans beside what was sent.
//!
//! Which span a lane enters when is a function of a number ([`Rounds`]). So the rows of a lane, in the
//! order of their start, are exactly that sequence; where entries were dropped, some of its members are
//! missing, as many as the ledger says.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use crate::faults::{Check, Faults};
use crate::long_lived::Rounds;
use crate::progress::Rows;
use crate::report::group;
use crate::sent::Sent;
use crate::settings::Load;
use crate::stored::{fields, unit_of};

/// A stored span.
#[derive(Debug)]
struct Span {
    unit: u64,
    callsite_id: i64,
    busy_ns: i64,
    longest_ns: i64,
    /// Of its rows in `entry`.
    entries_ns: i64,
    longest_entry_ns: i64,
}

/// How many of a lane's entries have been met, and the open ones around the next: span, start and end.
#[derive(Debug, Default)]
struct Lane {
    met: u64,
    around: Vec<(i64, i64, i64)>,
}

/// Those that are stored, and the ids of those that were dropped, as far as they are met.
#[derive(Debug, Default)]
struct Spans {
    stored: HashMap<i64, Span>,
    dropped: HashSet<i64>,
    /// So many were.
    dropped_max: usize,
}

impl Spans {
    /// Whether a span that is not stored can have been dropped.
    fn is_dropped(&mut self, id: i64) -> bool {
        self.dropped.contains(&id)
            || self.dropped.len() < self.dropped_max && self.dropped.insert(id)
    }
}

/// Looks at the spans and then at their entries.
pub(crate) fn check(
    conn: &Connection,
    run: i64,
    load: &Load,
    sent: &Sent,
    looked: &mut Rows<'_>,
) -> rusqlite::Result<Vec<Check>> {
    let rounds = Rounds::of(load);
    let (mut spans, first) = spans(conn, run, rounds, sent)?;
    let second = entries(conn, run, rounds, sent, &mut spans, looked)?;
    Ok(vec![first, second, sums(conn, run, &spans)?])
}

/// Each span is there once, is a root, and knows how often it was entered.
fn spans(
    conn: &Connection,
    run: i64,
    rounds: Rounds,
    sent: &Sent,
) -> rusqlite::Result<(Spans, Check)> {
    let mut faults = Faults::default();
    let mut spans = Spans::default();
    let mut units = vec![false; rounds.spans as usize];
    let mut select = conn.prepare(
        "SELECT id, fields, callsite_id, parent_id, root_id, entries, busy_ns, longest_entry_ns
         FROM span WHERE run_id = ?1",
    )?;
    let mut rows = select.query([run])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let unit = unit_of(&fields(row.get(1)?)).filter(|unit| *unit < rounds.spans);
        let Some(unit) = unit else {
            faults.add(format_args!("span {id} was never sent"));
            continue;
        };
        if std::mem::replace(&mut units[unit as usize], true) {
            faults.add(format_args!("span {id}, unit {unit}, is stored twice"));
        }
        if row.get::<_, Option<i64>>(3)?.is_some() || row.get::<_, i64>(4)? != id {
            faults.add(format_args!("span {id}, unit {unit}, is a root and has a parent"));
        }
        let found = row.get::<_, i64>(5)? as u64;
        let lanes = sent.trees.iter().enumerate();
        let entered: u64 =
            lanes.map(|(lane, trees)| rounds.entries_of(unit, lane, trees * rounds.depth)).sum();
        if found != entered + 1 {
            faults.add(format_args!(
                "span {id}, unit {unit}, was entered {} times, and not {found}",
                entered + 1
            ));
        }
        let busy_ns = row.get::<_, Option<i64>>(6)?.unwrap_or(-1);
        // One that was entered once has no longest entry.
        let longest_ns = row.get::<_, Option<i64>>(7)?.unwrap_or(busy_ns);
        let callsite_id = row.get(2)?;
        let (entries_ns, longest_entry_ns) = (0, 0);
        let span = Span { unit, callsite_id, busy_ns, longest_ns, entries_ns, longest_entry_ns };
        spans.stored.insert(id, span);
    }
    let found = spans.stored.len() as u64;
    // That they are lost, and counted, is known by now.
    spans.dropped_max = sent.spans.saturating_sub(found) as usize;
    let all = format!("{} long-lived spans, each once and entered as often as sent", group(found));
    Ok((spans, faults.check(all)))
}

/// Each row is an entry that was made, by that thread, at its place in the order and inside the right span.
fn entries(
    conn: &Connection,
    run: i64,
    rounds: Rounds,
    sent: &Sent,
    spans: &mut Spans,
    looked: &mut Rows<'_>,
) -> rusqlite::Result<Check> {
    let mut faults = Faults::default();
    let mut found = 0_u64;
    let mut lanes: Vec<_> = sent.trees.iter().map(|_| Lane::default()).collect();
    let mut select = conn.prepare(
        "SELECT e.id, e.span_id, e.callsite_id, e.start_ns, e.duration_ns, e.around_id, t.name
         FROM entry AS e LEFT JOIN thread AS t ON t.id = e.thread_id
         WHERE e.run_id = ?1 ORDER BY e.thread_id, e.start_ns, e.duration_ns DESC",
    )?;
    let mut rows = select.query([run])?;
    while let Some(row) = rows.next()? {
        let (id, span_id): (i64, i64) = (row.get(0)?, row.get(1)?);
        found += 1;
        looked.add(1);
        let Some(span) = spans.stored.get_mut(&span_id) else {
            if !spans.is_dropped(span_id) {
                faults.add(format_args!("entry {id} is of span {span_id}, which is not there"));
            }
            continue;
        };
        if row.get::<_, i64>(2)? != span.callsite_id {
            faults.add(format_args!("entry {id} has another callsite than span {span_id}"));
        }
        let thread: Option<String> = row.get(6)?;
        let lane = thread.as_deref().and_then(|name| name.strip_prefix("load-")?.parse().ok());
        let Some((at, lane)) = lane.and_then(|at: usize| Some((at, lanes.get_mut(at)?))) else {
            faults.add(format_args!("entry {id} was made by {thread:?}, which makes none"));
            continue;
        };
        let (start, duration): (i64, i64) = (row.get(3)?, row.get(4)?);
        span.entries_ns += duration;
        span.longest_entry_ns = span.longest_entry_ns.max(duration);
        let around: Option<i64> = row.get(5)?;
        let number = rounds.next(span.unit, at, lane.met, around.is_none());
        let sent = sent.trees[at] * rounds.depth;
        let Some(number) = number.filter(|number| *number < sent) else {
            faults.add(format_args!(
                "entry {id} of unit {} is more than thread {at} has made",
                span.unit
            ));
            continue;
        };
        lane.met = number + 1;
        if let Err(fault) = lane.nest(rounds, at, number, (around, spans), (start, duration)) {
            faults.add(format_args!("entry {id} of span {span_id} {fault}"));
        }
        lane.around.push((span_id, start, start.saturating_add(duration)));
    }
    let all =
        format!("{} entries, each by its thread, in its order and in its place", group(found));
    if found < sent.entries {
        return Ok(faults.check(format!("{all}, of {}", group(sent.entries))));
    }
    if found != sent.entries {
        faults.add(format_args!("sent {} entries, found {found}", sent.entries));
    }
    Ok(faults.check(all))
}

impl Lane {
    /// Whether an entry is inside the one that it was made in. Leaves those that it is in.
    fn nest(
        &mut self,
        rounds: Rounds,
        lane: usize,
        number: u64,
        (around, spans): (Option<i64>, &mut Spans),
        (start, duration): (i64, i64),
    ) -> Result<(), String> {
        let end = start.saturating_add(duration);
        while self.around.pop_if(|(_, _, until)| *until <= start && *until < end).is_some() {}
        if number.is_multiple_of(rounds.depth) {
            let is_alone = self.around.is_empty();
            self.around.clear();
            return if is_alone { Ok(()) } else { Err("overlaps the one before".into()) };
        }
        let wanted = rounds.span(lane, number - 1);
        match around.and_then(|id| spans.stored.get(&id)).map(|span| span.unit) {
            Some(unit) if unit == wanted => {}
            Some(unit) => return Err(format!("is inside unit {unit}, and not {wanted}")),
            None if around.is_some_and(|id| spans.is_dropped(id)) => {}
            None => return Err(format!("is inside {around:?}, which is not there")),
        }
        match self.around.last() {
            // The entry around it may have been dropped.
            Some((id, from, until)) if Some(*id) == around && (start < *from || end > *until) => {
                Err("is not within the one around it".into())
            }
            _ => Ok(()),
        }
    }
}

/// Sums of spans and seconds agree with the rows.
fn sums(conn: &Connection, run: i64, spans: &Spans) -> rusqlite::Result<Check> {
    let mut faults = Faults::default();
    for (id, span) in &spans.stored {
        // Each length is rounded by itself.
        let rounding = 1_000 + span.busy_ns / 1_000;
        if span.entries_ns > span.busy_ns + rounding {
            let Span { entries_ns, busy_ns, .. } = span;
            faults.add(format_args!("span {id} was busy {busy_ns} ns, its entries {entries_ns}"));
        }
        if span.longest_entry_ns > span.longest_ns + rounding {
            faults.add(format_args!("span {id} has a longer entry than its longest one"));
        }
    }
    for (what, sql) in [
        (
            "calls in rollup",
            "SELECT (SELECT coalesce(sum(calls), 0) FROM rollup WHERE run_id = ?1),
               (SELECT count(*) FROM span WHERE run_id = ?1 AND self_ns IS NOT NULL)",
        ),
        (
            "entries in entry_rollup",
            "SELECT (SELECT coalesce(sum(entries), 0) FROM entry_rollup WHERE run_id = ?1),
               (SELECT count(*) + coalesce(sum(earlier_entries), 0) FROM entry
                WHERE run_id = ?1 AND self_ns IS NOT NULL)",
        ),
        (
            "closed spans with other calls than entries",
            "SELECT count(*), 0 FROM (
               SELECT s.id FROM span AS s JOIN entry AS e ON e.span_id = s.id
               WHERE s.run_id = ?1 AND s.self_ns IS NULL AND s.duration_ns IS NOT NULL
                 AND e.self_ns IS NOT NULL
                 AND (SELECT pruned_entries FROM run WHERE id = ?1) = 0
               GROUP BY s.id
               HAVING sum(1 + coalesce(e.earlier_entries, 0)) <> s.entries
                 OR sum(e.duration_ns + coalesce(e.earlier_ns, 0)) <> s.busy_ns)",
        ),
    ] {
        let (sums, rows): (i64, i64) =
            conn.query_row(sql, [run], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if sums != rows {
            faults.add(format_args!("{what}: {sums}, but the rows say {rows}"));
        }
    }
    Ok(faults.check("times and sums of spans and seconds agree with the entries".into()))
}
