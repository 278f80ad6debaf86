//! What must hold of every recording: the identity, and that the file agrees with it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use spandrel::{DropReason, Ledger, Profiler, Report, Stats};

use crate::database::Database;
use crate::scratch::Scratch;
use crate::self_times;

/// `recorded = stored + dropped + in_flight`, for spans, events, links and entries. Each side is counted by
/// itself, so this can fail; what the tables hold is compared in [`check`].
pub fn identity(stats: &Stats) {
    for (what, ledger) in [
        ("spans", &stats.spans()),
        ("events", &stats.events),
        ("links", &stats.links),
        ("entries", &stats.entries),
    ] {
        let Ledger { recorded, stored, dropped, in_flight, .. } = *ledger;
        assert_eq!(
            recorded,
            stored + dropped.total() + in_flight,
            "{what}: recorded {recorded}, stored {stored}, dropped {dropped}, \
             in flight {in_flight}"
        );
        assert!(ledger.balances());
    }
    assert!(stats.balances());
    assert!(stats.ring_high_water <= stats.ring_capacity, "{stats:?}");
}

/// The identity, with nothing in flight any longer.
pub fn settled(report: &Report) {
    identity(&report.stats);
    let stats = &report.stats;
    for ledger in [&stats.spans(), &stats.events, &stats.links, &stats.entries] {
        assert_eq!(ledger.in_flight, 0, "in flight after close: {report:?}");
    }
}

/// That a closed recording is the last one in the file, that its ledger balances, and that the file
/// says the same.
pub fn check(path: &Path, report: &Report) -> Database {
    let db = Database::open(path);
    let run = db.last_run();
    check_run(&db, run, report);
    db
}

/// Closes a profiler, for [`check_complete`].
pub fn closed(scratch: &Scratch, profiler: &Profiler) -> (Report, Database) {
    let report = profiler.close().expect("it was open");
    let db = check_complete(scratch.db(), &report);
    (report, db)
}

/// Like [`check`], for a recording that lost nothing at all: then the self times follow from the
/// rows, too.
pub fn check_complete(path: &Path, report: &Report) -> Database {
    for ledger in [&report.stats.spans(), &report.stats.events, &report.stats.links] {
        assert_eq!(ledger.dropped.total(), 0, "{report:?}");
    }
    let db = check(path, report);
    self_times::check(&db);
    let orphans = db.count(
        "SELECT count(*) FROM span AS s WHERE parent_id IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM span WHERE id = s.parent_id)",
    );
    assert_eq!(orphans, 0, "spans whose parent is not in the file");
    let strays = db.count(
        "SELECT count(*) FROM event AS e WHERE span_id IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM span WHERE id = e.span_id)",
    );
    assert_eq!(strays, 0, "events whose span is not in the file");
    db
}

/// Like [`check`], for a run of several in the file.
pub fn check_run(db: &Database, run: i64, report: &Report) {
    settled(report);
    let stats = &report.stats;
    let rows =
        |table: &str| db.count(&format!("SELECT count(*) FROM {table} WHERE run_id = {run}"));
    assert_eq!(rows("span"), stats.stored, "span rows of {report:?}");
    assert_eq!(rows("event"), stats.events.stored, "event rows of {report:?}");
    assert_eq!(rows("link"), stats.links.stored, "link rows of {report:?}");
    assert_eq!(rows("entry"), stats.entries.stored, "entry rows of {report:?}");
    let column = |name: &str| db.count(&format!("SELECT {name} FROM run WHERE id = {run}"));
    assert_eq!(column("spans"), stats.stored, "run.spans");
    assert_eq!(column("events"), stats.events.stored, "run.events");
    assert_eq!(column("links"), stats.links.stored, "run.links");
    assert_eq!(column("entries"), stats.entries.stored, "run.entries");
    assert_eq!(column("unfinished"), stats.unfinished, "run.unfinished");
    assert_eq!(rows("open_span"), 0, "open_span is empty once the run has ended");
    assert_eq!(column("ended_unix_ns >= started_unix_ns"), 1, "the run has ended");
    assert_eq!(column("coalesce(json_valid(report), 0)"), 1, "the run has a report");
    losses(db, run, report);
    whole(db, run);
}

/// The losses in the file add up to those of the report, by reason, each in a plausible window.
fn losses(db: &Database, run: i64, report: &Report) {
    // Spans, events and entries.
    let mut by_reason = BTreeMap::<String, [u64; 3]>::new();
    for loss in db.losses_where(&format!("run_id = {run}")) {
        let lost = [loss.spans, loss.events, loss.entries];
        assert!(lost.iter().all(|lost| *lost >= 0) && lost != [0; 3], "{loss:?}");
        assert!(0 <= loss.from_ns && loss.from_ns <= loss.to_ns, "{loss:?}");
        let span =
            db.count(&format!("SELECT ended_unix_ns - started_unix_ns FROM run WHERE id = {run}"));
        // The wall clock may be set while the program runs, but hardly by more than this.
        assert!(
            loss.to_ns as u64 <= span + 2_000_000_000,
            "{loss:?} after the run's end at {span}"
        );
        let sums = by_reason.entry(loss.reason).or_default();
        sums.iter_mut().zip(lost).for_each(|(sum, lost)| *sum += lost as u64);
    }
    let stats = &report.stats;
    let late = DropReason::AlreadyShutdown.as_str();
    let late_rows = by_reason.get(late).copied().unwrap_or_default();
    let of_reason = |reason| {
        [&stats.spans(), &stats.events, &stats.entries].map(|kind| kind.dropped.by(reason))
    };
    let mut expected = BTreeMap::<String, [u64; 3]>::new();
    for (reason, _) in stats.dropped.iter() {
        let lost = of_reason(reason);
        if lost != [0; 3] && reason != DropReason::AlreadyShutdown {
            expected.insert(reason.as_str().to_owned(), lost);
        }
    }
    // What came while the file was being closed, or after, cannot stand in it.
    let after = of_reason(DropReason::AlreadyShutdown);
    assert!(late_rows.iter().zip(after).all(|(row, after)| *row <= after), "{by_reason:?}");
    by_reason.remove(late);
    assert_eq!(by_reason, expected, "lost spans, events and entries by reason: {report:?}");
    let columns = "dropped_spans, dropped_events, dropped_entries";
    let sums = db.rows(&format!("SELECT {columns} FROM run WHERE id = {run}"), [], |row| {
        Ok([0, 1, 2].map(|at| row.get::<_, i64>(at).unwrap() as u64))
    });
    let mut total = late_rows;
    for lost in expected.values() {
        total.iter_mut().zip(lost).for_each(|(sum, lost)| *sum += lost);
    }
    assert_eq!(sums, [total], "{columns}");
}

/// What holds of the rows of a run whether or not it was closed: each is whole, the tree is one,
/// the counts in `run` and the rollups agree with the rows.
pub fn whole(db: &Database, run: i64) {
    assert_eq!(db.value::<String>("PRAGMA integrity_check"), "ok");
    let none = |what: &str, sql: String| assert_eq!(db.count(&sql), 0, "{what}");
    none(
        "spans with impossible times or an unknown status",
        format!(
            "SELECT count(*) FROM span WHERE run_id = {run} AND NOT (
               start_ns >= 0 AND busy_ns >= 0 AND entries >= 0 AND (
                 status IN ('ok', 'error', 'panicked') AND duration_ns >= 0
                   AND (self_ns BETWEEN 0 AND duration_ns OR self_ns IS NULL AND id IN
                     (SELECT span_id FROM entry WHERE self_ns IS NOT NULL))
                 OR status = 'unfinished' AND duration_ns IS NULL AND self_ns IS NULL))"
        ),
    );
    none(
        "spans that were never entered and yet were busy",
        format!("SELECT count(*) FROM span WHERE run_id = {run} AND entries = 0 AND busy_ns > 0"),
    );
    none(
        "roots that are not their own root, or children that are",
        format!(
            "SELECT count(*) FROM span WHERE run_id = {run}
             AND (parent_id IS NULL) <> (root_id = id)"
        ),
    );
    none(
        "children with another root than their parent, or that began before it",
        format!(
            "SELECT count(*) FROM span AS s JOIN span AS p ON p.id = s.parent_id
             WHERE s.run_id = {run}
               AND (s.root_id <> p.root_id OR s.run_id <> p.run_id OR s.start_ns < p.start_ns)"
        ),
    );
    none(
        "rows without their callsite or thread",
        format!(
            "SELECT (SELECT count(*) FROM span WHERE run_id = {run} AND
                (callsite_id NOT IN (SELECT id FROM callsite WHERE kind = 'span')
                 OR thread_id NOT IN (SELECT id FROM thread WHERE run_id = {run})))
              + (SELECT count(*) FROM event WHERE run_id = {run} AND
                (callsite_id NOT IN (SELECT id FROM callsite WHERE kind = 'event')
                 OR thread_id NOT IN (SELECT id FROM thread WHERE run_id = {run})))"
        ),
    );
    for table in ["span", "event"] {
        none(
            "fields that are not a JSON object with members, each once",
            format!(
                "SELECT count(*) FROM {table} AS t WHERE run_id = {run} AND fields IS NOT NULL AND (
                   NOT json_valid(fields) OR json_type(fields) <> 'object' OR fields = '{{}}' OR
                   (SELECT count(*) - count(DISTINCT key) FROM json_each(t.fields)) <> 0)"
            ),
        );
        none(
            "ids outside the run's range, or moments after its last",
            format!(
                "SELECT count(*) FROM {table} AS t JOIN run AS r ON r.id = t.run_id
                 WHERE t.run_id = {run} AND (t.id NOT BETWEEN r.first_id AND r.last_id
                   OR {} > r.last_ns)",
                if table == "span" { "start_ns + coalesce(duration_ns, 0)" } else { "at_ns" }
            ),
        );
        none(
            "a count in run that differs from the rows",
            format!(
                "SELECT abs({table}s - (SELECT count(*) FROM {table} WHERE run_id = {run}))
                 FROM run WHERE id = {run}"
            ),
        );
    }
    rollups(db, run);
    writer_stats(db, run);
}

/// The rollups say what the rows say.
fn rollups(db: &Database, run: i64) {
    let read = |sql: String| {
        db.rows(&sql, [], |row| {
            (0..7).map(|column| row.get::<_, i64>(column)).collect::<Result<Vec<_>, _>>()
        })
    };
    let from_rows = read(format!(
        "SELECT callsite_id, count(*), sum(status IN ('error', 'panicked')), sum(duration_ns),
           sum(busy_ns), sum(self_ns), max(duration_ns)
         FROM span WHERE run_id = {run} AND self_ns IS NOT NULL GROUP BY 1 ORDER BY 1"
    ));
    let from_rollups = read(format!(
        "SELECT callsite_id, sum(calls), sum(errors), sum(sum_ns), sum(busy_ns), sum(self_ns),
           max(max_ns) FROM rollup WHERE run_id = {run} GROUP BY 1 ORDER BY 1"
    ));
    assert_eq!(from_rollups, from_rows, "rollups: callsite, calls, errors, sum, busy, self, max");
    assert_eq!(
        misplaced(db, run),
        0,
        "rollups that count other spans than those that ended in them"
    );
    entry_rollups(db, run);
    calls(db, run);
}

/// A span whose entries count has as many calls as it was entered, and they are as long as it was busy: whatever
/// was dropped, and whichever threads entered it.
fn calls(db: &Database, run: i64) {
    let wrong = db.rows(
        &format!(
            "SELECT s.entries, s.busy_ns, sum(1 + coalesce(e.earlier_entries, 0)),
               sum(e.duration_ns + coalesce(e.earlier_ns, 0)), count(e.earlier_entries)
             FROM span AS s JOIN entry AS e ON e.span_id = s.id AND e.self_ns IS NOT NULL
             WHERE s.run_id = {run} AND (s.self_ns IS NULL OR s.duration_ns IS NULL) GROUP BY s.id
             HAVING sum(1 + coalesce(e.earlier_entries, 0)) <> s.entries
               OR sum(e.duration_ns + coalesce(e.earlier_ns, 0)) <> s.busy_ns
               OR count(e.earlier_entries) > 1"
        ),
        [],
        |row| (0..5).map(|column| row.get::<_, i64>(column)).collect::<Result<Vec<_>, _>>(),
    );
    assert!(wrong.is_empty(), "entries, busy, calls, their sum, rows that say so: {wrong:?}");
}

/// The same for entries that count.
fn entry_rollups(db: &Database, run: i64) {
    let read = |sql: String| {
        db.rows(&sql, [], |row| {
            (0..7).map(|column| row.get::<_, i64>(column)).collect::<Result<Vec<_>, _>>()
        })
    };
    let from_rows = read(format!(
        "SELECT callsite_id, sum(n), sum(sum_ns), sum(self_ns), max(max_ns), sum(spans), sum(errors)
         FROM (
           SELECT callsite_id, 1 + coalesce(earlier_entries, 0) AS n,
             duration_ns + coalesce(earlier_ns, 0) AS sum_ns, self_ns, duration_ns AS max_ns,
             0 AS spans, 0 AS errors
           FROM entry WHERE run_id = {run} AND self_ns IS NOT NULL
           UNION ALL
           SELECT callsite_id, 0, 0, 0,
             CASE WHEN entries = 1 THEN busy_ns ELSE longest_entry_ns END, 1,
             status IN ('error', 'panicked')
           FROM span WHERE run_id = {run} AND self_ns IS NULL AND duration_ns IS NOT NULL
           UNION ALL
           SELECT callsite_id, 0, 0, 0, longest_entry_ns, 0, 0 FROM span s
           WHERE run_id = {run} AND duration_ns IS NULL
             AND (entries > 1000 OR entries >= 100 AND last_exit_ns >= 1000000000)
             AND EXISTS (SELECT 1 FROM entry_rollup u
               WHERE u.run_id = {run} AND u.callsite_id = s.callsite_id)
         ) GROUP BY 1 ORDER BY 1"
    ));
    let from_rollups = read(format!(
        "SELECT callsite_id, sum(entries), sum(sum_ns), sum(self_ns), max(max_ns), sum(spans),
           sum(errors) FROM entry_rollup WHERE run_id = {run} GROUP BY 1 ORDER BY 1"
    ));
    assert_eq!(from_rollups, from_rows, "callsite, entries, sum, self, max, spans, errors");
}

/// How many rollups count other spans than those that ended in their interval.
///
/// Not a query: SQLite would look at all spans of the run for each of its rollups.
fn misplaced(db: &Database, run: i64) -> usize {
    let mut ends = HashMap::<i64, Vec<i64>>::new();
    let spans = format!(
        "SELECT callsite_id, start_ns + duration_ns FROM span
         WHERE run_id = {run} AND self_ns IS NOT NULL ORDER BY 2"
    );
    for (callsite, end) in db.rows(&spans, [], |row| Ok((row.get(0)?, row.get(1)?))) {
        ends.entry(callsite).or_default().push(end);
    }
    let rollups = format!(
        "SELECT callsite_id, at_ns, at_ns + interval_ns, calls FROM rollup WHERE run_id = {run}"
    );
    let rollups = db.rows(&rollups, [], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, i64>(2)?,
            row.get::<_, i64>(3)?,
        ))
    });
    let is_misplaced = |&(callsite, from, to, calls): &(i64, i64, i64, i64)| {
        let ends = ends.get(&callsite).map_or(&[][..], Vec::as_slice);
        let before = |moment| ends.partition_point(|end| *end < moment);
        // One that ends before it begins would count less than nothing.
        calls != before(to) as i64 - before(from) as i64
    };
    rollups.into_iter().filter(is_misplaced).count()
}

/// The writer's own figures only ever grow, and never claim more than was recorded.
fn writer_stats(db: &Database, run: i64) {
    let wrong = db.count(&format!(
        "WITH s AS (
           SELECT *, lag(at_ns, 1, -1) OVER w AS at0, lag(recorded, 1, 0) OVER w AS recorded0,
             lag(stored, 1, 0) OVER w AS stored0, lag(batches, 1, 0) OVER w AS batches0,
             lag(entries_recorded, 1, 0) OVER w AS entries_recorded0,
             lag(entries_stored, 1, 0) OVER w AS entries_stored0
           FROM writer_stat WHERE run_id = {run} WINDOW w AS (ORDER BY at_ns))
         SELECT count(*) FROM s WHERE at_ns <= at0 OR recorded < recorded0 OR stored < stored0
           OR batches < batches0 OR stored > recorded OR NOT json_valid(dropped)
           OR NOT json_valid(events_dropped) OR NOT json_valid(entries_dropped)
           OR entries_recorded < entries_recorded0 OR entries_stored < entries_stored0
           OR entries_stored > entries_recorded"
    ));
    assert_eq!(wrong, 0, "rows of writer_stat that contradict each other");
}
