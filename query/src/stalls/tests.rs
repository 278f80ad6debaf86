//! On a small profile: what counts as a stall, what does not, and what was inside.

use std::ops::ControlFlow;

use super::*;
use crate::test_profile::TestProfile;
use crate::{Columns, Filter, Scan};
use spandrel_storage::{EntryRow, SpanRow};

mod nested;
mod windows;

const MS: i64 = 1_000_000;
const WORKER: i64 = 2;

/// A run with a main thread around a runtime, a worker, and a thread of a blocking pool.
struct Program {
    profile: TestProfile,
    callsites: HashMap<&'static str, i64>,
    next: u64,
}

impl Program {
    fn new() -> Self {
        let mut profile = TestProfile::new();
        for (number, name) in [(1, "main"), (2, "tokio-rt-worker"), (3, "tokio-rt-worker")] {
            profile.thread(number, Some(name));
        }
        Self { profile, callsites: HashMap::new(), next: 1 }
    }

    /// A span with entries of these lengths, in milliseconds, one after the other; its id.
    fn span(&mut self, name: &'static str, thread_id: i64, start: i64, entries: &[i64]) -> u64 {
        self.child(0, name, thread_id, start, entries)
    }

    fn child(
        &mut self,
        parent_id: u64,
        name: &'static str,
        thread_id: i64,
        start: i64,
        entries: &[i64],
    ) -> u64 {
        let span = self.row(parent_id, name, thread_id, start, entries);
        let id = span.id;
        self.profile.add(span, "");
        id
    }

    fn row(
        &mut self,
        parent_id: u64,
        name: &'static str,
        thread_id: i64,
        start: i64,
        entries: &[i64],
    ) -> SpanRow {
        let id = self.next;
        self.next += 1;
        let callsite_id = match self.callsites.get(name) {
            Some(id) => *id,
            None => self.profile.callsite(name, "app", id as u32),
        };
        self.callsites.insert(name, callsite_id);
        let busy: i64 = entries.iter().sum();
        let several = entries.len() > 1;
        SpanRow {
            parent_id,
            root_id: if parent_id == 0 { id } else { parent_id },
            thread_id,
            busy_ns: Some(busy * MS),
            entries: entries.len() as u64,
            first_entry_ns: (!entries.is_empty()).then_some(0),
            longest_entry_ns: several.then(|| entries.iter().max().unwrap() * MS),
            last_exit_ns: several.then_some(busy * MS),
            ..TestProfile::span(id, callsite_id, start * MS, busy * MS)
        }
    }

    /// An entry of a span that was recorded by itself.
    fn entry(&mut self, span: (u64, &'static str), start_ms: i64, ns: i64, around_id: u64) {
        let id = 1_000 + self.next;
        self.next += 1;
        self.profile.entry(EntryRow {
            id,
            span_id: span.0,
            callsite_id: self.callsites[span.1],
            thread_id: WORKER,
            start_ns: start_ms * MS,
            duration_ns: ns,
            around_id,
            self_ns: Some(ns),
            earlier_entries: 0,
            earlier_ns: 0,
        });
    }

    fn found(&mut self, scan: &Scan) -> Vec<Stall> {
        let reader = self.profile.reader();
        reader.stalls(scan, &Filter::all(), 10 * MS, StallsOn::Runtimes).unwrap().0
    }

    fn stalls(&mut self, limit_ms: i64, on: StallsOn) -> Vec<(String, i64, u64)> {
        let reader = self.profile.reader();
        let found = reader.stalls(&Scan::new(1), &Filter::all(), limit_ms * MS, on).unwrap().0;
        let row = |stall: &Stall| {
            (stall.worst.callsite.name.clone(), stall.longest_ns() / MS, stall.spans)
        };
        found.iter().map(row).collect()
    }
}

fn row(name: &str, ms: i64, spans: u64) -> (String, i64, u64) {
    (name.into(), ms, spans)
}

#[test]
fn one_long_poll_is_worse_than_many_short_ones() {
    let mut program = Program::new();
    program.span("harmless", WORKER, 0, &[1; 300]);
    program.span("blocking", WORKER, 10, &[100, 0]);
    program.span("blocking", WORKER, 500, &[20, 30, 0]);
    program.span("blocking", WORKER, 600, &[9, 9, 9]);
    assert_eq!(program.stalls(10, StallsOn::Runtimes), [row("blocking", 100, 2)]);
    let all = program.stalls(1, StallsOn::Runtimes);
    assert_eq!(all, [row("blocking", 100, 3), row("harmless", 1, 1)]);
    assert!(program.stalls(101, StallsOn::Runtimes).is_empty());
    assert_eq!(program.stalls(100, StallsOn::Runtimes), [row("blocking", 100, 1)]);
}

#[test]
fn only_threads_that_run_futures_count_and_only_while_they_do() {
    let mut program = Program::new();
    // The main thread waits for the runtime; a thread of the blocking pool does blocking work, as it should.
    program.span("before", 1, 0, &[50]);
    program.span("task", WORKER, 100, &[1, 1]);
    program.span("spawn_blocking", 3, 100, &[500]);
    program.span("hash", WORKER, 101, &[40]);
    program.span("task", WORKER, 300, &[2, 2]);
    program.span("after", WORKER, 400, &[60]);
    assert_eq!(program.stalls(10, StallsOn::Runtimes), [row("hash", 40, 1)]);
    let all = program.stalls(10, StallsOn::AllThreads);
    let names: Vec<&str> = all.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(names, ["spawn_blocking", "after", "before", "hash"]);
}

#[test]
fn block_on_in_a_span_blocks_nobody_unless_a_future_does_that() {
    let mut program = Program::new();
    for at in [0, 1_000] {
        // A runtime on the main thread, twice, each in a span; the second began after the first future.
        let main = program.span("main", 1, at, &[200]);
        let future = program.child(main, "future", 1, at + 10, &[5, 5]);
        // Blocking on another future within a future blocks the first.
        let nested = program.child(future, "block_on", 1, at + 11, &[30]);
        program.child(nested, "inner", 1, at + 12, &[1, 1]);
    }
    assert_eq!(program.stalls(10, StallsOn::Runtimes), [row("block_on", 30, 2)]);
}

#[test]
fn what_several_threads_are_inside_of_at_once_is_no_future() {
    let mut program = Program::new();
    // Three threads, for 90 ms in all: 180 over them.
    let job = program.row(0, "job", 1, 0, &[30, 60, 90]);
    let last = Some(95 * MS);
    program.profile.add(SpanRow { last_exit_ns: last, longest_thread_id: 3, ..job }, "");
    program.span("hash", 3, 20, &[40]);
    assert!(program.stalls(10, StallsOn::Runtimes).is_empty());
    assert_eq!(program.stalls(10, StallsOn::AllThreads)[0], row("job", 90, 1));
    // On a thread that runs futures it holds them up as well.
    program.span("task", 3, 0, &[1, 1]);
    program.span("task", 3, 200, &[1, 1]);
    assert_eq!(program.stalls(50, StallsOn::Runtimes), [row("job", 90, 1)]);
}

#[test]
fn without_futures_there_is_no_runtime() {
    let mut program = Program::new();
    program.span("work", 1, 0, &[500]);
    let reader = program.profile.reader();
    let (found, threads) =
        reader.stalls(&Scan::new(1), &Filter::all(), MS, StallsOn::Runtimes).unwrap();
    assert!(found.is_empty() && threads.unwrap().is_empty());
}

#[test]
fn what_was_inside_is_what_fits_into_no_other_entry() {
    let mut program = Program::new();
    // Entries of 100 and 4 ms: of the children, those of 5 ms and more were in the first.
    let future = program.span("future", WORKER, 0, &[100, 4, 0]);
    program.child(future, "parse", WORKER, 1, &[60]);
    program.child(future, "parse", WORKER, 62, &[20]);
    program.child(future, "short", WORKER, 83, &[3]);
    program.child(future, "sent", 3, 83, &[50]);
    program.child(future, "later", WORKER, 500, &[50]);
    // Entered once, so everything on its thread was in that entry.
    let other = program.span("other", WORKER, 50, &[1, 1]);
    let once = program.child(other, "once", WORKER, 50, &[50]);
    program.child(once, "short", WORKER, 51, &[3]);
    program.child(once, "short", WORKER, 55, &[1, 2]);
    let reader = program.profile.reader();
    let found =
        reader.stalls(&Scan::new(1), &Filter::all(), 10 * MS, StallsOn::Runtimes).unwrap().0;
    let inside = |id| -> Vec<(String, u64, i64)> {
        let stall = found.iter().find(|stall| stall.worst.id == id).unwrap();
        stall.inside.iter().map(|one| (one.name.clone(), one.spans, one.ns / MS)).collect()
    };
    assert_eq!(inside(future), [("parse".to_owned(), 2, 80)]);
    assert_eq!(inside(once), [("short".to_owned(), 2, 6)]);
}

#[test]
fn when_an_entry_began_is_between_what_is_known() {
    let mut program = Program::new();
    let once = program.span("once", WORKER, 7, &[20]);
    let several = program.span("several", WORKER, 7, &[5, 20, 1]);
    let reader = program.profile.reader();
    let found =
        reader.stalls(&Scan::new(1), &Filter::all(), 10 * MS, StallsOn::Runtimes).unwrap().0;
    let began = |id| {
        let stall = found.iter().find(|stall| stall.worst.id == id).unwrap();
        longest_entry_began(&SpanRef::from(&stall.worst))
    };
    assert_eq!(began(once), (7 * MS, 7 * MS));
    assert_eq!(began(several), (7 * MS, 13 * MS), "at 12");
}

#[test]
fn a_future_that_blocks_now_is_found_while_it_is_open() {
    let mut program = Program::new();
    program.span("task", WORKER, 0, &[1, 1]);
    let open = program.row(0, "now", WORKER, 5, &[1, 400]);
    program.profile.open(open, 406 * MS);
    assert_eq!(program.stalls(10, StallsOn::Runtimes), [row("now", 400, 1)]);
    // And if it is the only one that was entered more than once.
    let mut program = Program::new();
    let open = program.row(0, "now", WORKER, 5, &[1, 400]);
    program.profile.open(open, 406 * MS);
    assert_eq!(program.stalls(10, StallsOn::Runtimes), [row("now", 400, 1)]);
    let reader = program.profile.reader();
    let filter = Filter::parse("name!=now").unwrap();
    let found = reader.stalls(&Scan::new(1), &filter, MS, StallsOn::Runtimes).unwrap().0;
    assert!(found.is_empty());
    let later = Scan::new(1).window(Some(6 * MS), None);
    let found = reader.stalls(&later, &Filter::all(), MS, StallsOn::Runtimes).unwrap().0;
    assert!(found.is_empty());
}

#[test]
fn entries_that_were_not_measured_are_counted() {
    let mut program = Program::new();
    program.span("task", WORKER, 0, &[1, 1]);
    let row = program.row(0, "task", WORKER, 5, &[1, 400]);
    let unknown = SpanRow { busy_ns: None, longest_entry_ns: None, last_exit_ns: None, ..row };
    program.profile.add(unknown, "");
    let reader = program.profile.reader();
    let (found, threads) =
        reader.stalls(&Scan::new(1), &Filter::all(), 10 * MS, StallsOn::Runtimes).unwrap();
    assert!(found.is_empty());
    assert_eq!(threads.unwrap().unmeasured(), 1);
}

#[test]
fn the_thread_of_a_span_is_that_of_its_longest_entry() {
    let mut program = Program::new();
    let moved = program.row(0, "task", 1, 0, &[1, 1]);
    program.profile.add(SpanRow { longest_thread_id: WORKER, ..moved }, "");
    program.span("stayed", 1, 10, &[1, 1]);
    let reader = program.profile.reader();
    let named = |filter: &str| {
        let mut names = Vec::new();
        let filter = Filter::parse(filter).unwrap();
        // What the filter looks at is read, though the scan did not ask for it.
        let each = |span: &SpanRef<'_>| {
            names.push(span.callsite.name.clone());
            ControlFlow::Continue(())
        };
        reader.scan_filtered(&Scan::new(1), &filter, each).unwrap();
        names
    };
    assert_eq!(named("thread=main"), ["stayed"]);
    assert_eq!(named("thread=tokio-rt-worker"), ["task"]);
    assert_eq!(named("longest=1ms exit>1ms wait=0ns").len(), 2);
    let of_views = "SELECT thread, made_on FROM spans ORDER BY id";
    let rows: Vec<(String, String)> = reader
        .query("ask the view", |tx| {
            let mut query = tx.prepare(of_views)?;
            query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
        .unwrap();
    let row = |thread: &str, made_on: &str| (thread.to_owned(), made_on.to_owned());
    assert_eq!(rows, [row("tokio-rt-worker", "main"), row("main", "main")]);
}

#[test]
fn a_span_that_comes_with_its_entries_is_one_span() {
    let mut program = Program::new();
    let conn = program.span("conn", WORKER, 0, &[15, 12, 1]);
    program.span("conn", WORKER, 100, &[11, 0]);
    for (at, ms) in [(0, 15), (15, 12)] {
        program.profile.entry(EntryRow {
            id: 1_000 + at,
            span_id: conn,
            callsite_id: program.callsites["conn"],
            thread_id: WORKER,
            start_ns: at as i64 * MS,
            duration_ns: ms * MS,
            around_id: 0,
            self_ns: Some(ms * MS),
            earlier_entries: 0,
            earlier_ns: 0,
        });
    }
    let reader = program.profile.reader();
    let scan = Scan::new(1).columns(Columns::Entries);
    let mut entries = 0;
    let found = reader.stalls_among(10 * MS, |each| {
        let mut one = |span: &SpanRef<'_>| {
            entries += u64::from(span.entry.is_some());
            each(span);
            ControlFlow::Continue(())
        };
        reader.scan(&scan, &mut one)?;
        reader.scan_entries_between(&scan, 0, 2_000, one)
    });
    let found = found.unwrap();
    assert!(entries >= 2, "no entry was handed out");
    assert_eq!((found.len(), found[0].spans, found[0].longest_ns()), (1, 2, 15 * MS));
}

/// A system is entered in each frame, which is made later and entered once: a loop called it.
#[test]
fn systems_in_frames_of_a_loop_are_no_futures() {
    let mut program = Program::new();
    let system = program.span("system", 1, 0, &[15, 12, 20]);
    for (at, ms) in [(0, 15), (1, 12), (2, 20)] {
        let frame = program.span("frame", 1, 10 + at * 50, &[30]);
        program.profile.entry(EntryRow {
            id: 1_000 + at as u64,
            span_id: system,
            callsite_id: program.callsites["system"],
            thread_id: 1,
            start_ns: (11 + at * 50) * MS,
            duration_ns: ms * MS,
            around_id: frame,
            self_ns: Some(ms * MS),
            earlier_entries: 0,
            earlier_ns: 0,
        });
    }
    let among = |reader: &Reader| {
        let scan = Scan::new(1).columns(Columns::Entries);
        let found = reader.stalls_among(10 * MS, |each| {
            let mut one = |span: &SpanRef<'_>| {
                each(span);
                ControlFlow::Continue(())
            };
            reader.scan(&scan, &mut one)?;
            reader.scan_entries_between(&scan, 0, 2_000, one)
        });
        let found = found.unwrap();
        found.iter().map(|stall| stall.worst.callsite.name.clone()).collect::<Vec<_>>()
    };
    assert!(program.stalls(10, StallsOn::Runtimes).is_empty());
    let reader = program.profile.reader();
    assert!(among(&reader).is_empty());
    let threads = reader.stalls(&Scan::new(1), &Filter::all(), MS, StallsOn::Runtimes).unwrap().1;
    assert!(threads.unwrap().has_loops());
    assert_eq!(program.stalls(10, StallsOn::AllThreads).len(), 2);
    // On a thread that runs futures it holds these up.
    program.span("task", 1, 0, &[1, 1]);
    program.span("task", 1, 400, &[1, 1]);
    let names: Vec<String> =
        program.stalls(10, StallsOn::Runtimes).into_iter().map(|row| row.0).collect();
    // Most of the worst frame was spent in its system.
    assert_eq!(names, ["system", "frame"]);
    assert_eq!(among(&program.profile.reader()), names);
}
