//! What a program sees of its own recording while it goes on: closed spans, and commits.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use spandrel::{Commit, ReadError, SpanStatus, Tap, TappedSpan};
use spandrel_tests::prelude::*;
use spandrel_tests::{Database, system};

const LONG: Duration = Duration::from_secs(20);

/// Everything that comes until the recording has ended, and how many spans were missed.
fn read_to_the_end(tap: &mut Tap) -> (Vec<TappedSpan>, u64) {
    let (mut spans, mut missed) = (Vec::new(), 0);
    loop {
        match tap.read(LONG) {
            Ok(span) => spans.push(span),
            Err(ReadError::Overtaken(some)) => missed += some,
            Err(why) => {
                assert_eq!(why, ReadError::Closed);
                return (spans, missed);
            }
        }
    }
}

#[test]
fn a_tap_sees_what_is_stored() {
    let (scratch, profiler) = recording_for(60);
    let mut tap = profiler.tap().unwrap();
    assert_eq!(tap.try_read().unwrap_err(), ReadError::Empty);
    let dispatch = dispatch(&profiler);
    std::thread::scope(|scope| {
        for thread in 0..4_i64 {
            let dispatch = &dispatch;
            scope.spawn(move || {
                within(dispatch, || {
                    for n in 0..500_i64 {
                        let outer = info_span!("outer", thread, n, text = "é \"quoted\"").entered();
                        info_span!("inner", n).in_scope(|| ());
                        if n % 7 == 0 {
                            tracing::error!("failed");
                        }
                        drop(outer);
                        drop(info_span!("without fields"));
                    }
                });
            });
        }
    });
    let panics = || {
        within(&dispatch, || {
            let _span = info_span!("panics").entered();
            std::panic::resume_unwind(Box::new("on purpose"));
        });
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
    profiler.flush(LONG).unwrap();
    let seen = tap.take();
    assert_eq!(tap.missed(), 0);
    assert_eq!(tap.try_read().unwrap_err(), ReadError::Empty);
    let report = profiler.close().unwrap();
    let db = ledger::check_complete(scratch.db(), &report);
    let rows = db.spans();
    assert_eq!(seen.len(), rows.len());
    let seen: BTreeMap<_, _> = seen.iter().map(|span| (span.id() as i64, span)).collect();
    assert_eq!(seen.len(), rows.len(), "each once");
    for row in &rows {
        let span = seen[&row.id];
        assert_eq!(span.name(), row.name);
        assert_eq!(span.metadata().unwrap().level().as_str(), "INFO");
        let parent = (span.parent_id() > 0).then_some(span.parent_id() as i64);
        assert_eq!((parent, span.root_id() as i64), (row.parent_id, row.root_id));
        assert_eq!((span.thread_id(), span.start_ns()), (row.thread_id, row.start_ns));
        assert_eq!(Some(span.duration_ns()), row.duration_ns);
        assert_eq!((span.busy_ns(), span.entries() as i64), (Some(row.busy_ns), row.entries));
        assert_eq!(span.status().as_str(), row.status);
        for name in ["thread", "n", "text"] {
            assert_eq!(span.field(name), row.fields.raw(name), "{name} of {}", span.fields());
        }
    }
    let of = |status| seen.values().filter(|span| span.status() == status).count();
    assert_eq!((of(SpanStatus::Panicked), of(SpanStatus::Error)), (1, 4 * 72));
    assert_eq!(tap.try_read().unwrap_err(), ReadError::Closed);
}

#[test]
fn who_is_too_slow_is_told_exactly_how_many_spans_it_has_missed() {
    let scratch = scratch_for(120);
    let profiler = small(scratch.db()).ring_capacity(1 << 18).build().unwrap();
    let mut slow = profiler.tap().unwrap();
    let mut slower = profiler.tap().unwrap();
    let dispatch = dispatch(&profiler);
    let total = 60_000_i64;
    let record = |numbers: std::ops::Range<i64>| {
        within(&dispatch, || numbers.for_each(|n| drop(info_span!("work", n))));
        profiler.flush(LONG).unwrap();
    };
    record(0..total / 2);
    let (mut seen, mut missed) = (0, 0);
    let mut last = -1;
    let mut read = |tap: &mut Tap| {
        match tap.try_read() {
            Ok(span) => {
                let n: i64 = span.field("n").unwrap().parse().unwrap();
                assert_eq!(n, last + 1, "one after the other");
                (last, seen) = (n, seen + 1);
            }
            Err(ReadError::Overtaken(some)) => (last, missed) = (last + some as i64, missed + some),
            Err(why) => return Err(why),
        }
        Ok(())
    };
    for _ in 0..100 {
        read(&mut slow).unwrap();
    }
    record(total / 2..total);
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, total as u64, "{report}");
    while read(&mut slow).is_ok() {}
    assert_eq!(last, total - 1);
    assert!(missed > 0 && seen > 1_000, "{seen} seen, {missed} missed");
    assert_eq!((seen + missed, slow.missed()), (total as u64, missed));
    let (rest, missed) = read_to_the_end(&mut slower);
    assert_eq!((rest.len() as u64 + missed, slower.missed()), (total as u64, missed));
}

#[test]
fn who_was_overtaken_and_reads_no_more_before_the_end_is_told_of_the_rest() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).ring_capacity(1 << 18).build().unwrap();
    let mut tap = profiler.tap().unwrap();
    within(&dispatch(&profiler), || {
        // Each takes a whole ring but for a few.
        (0..3).for_each(|n| drop(info_span!("large", n, text = "x".repeat(4_000))));
        (0..40_000).for_each(|n| drop(info_span!("work", n)));
    });
    profiler.flush(LONG).unwrap();
    let seen = tap.take();
    profiler.close().unwrap();
    assert_eq!(seen.len() as u64 + tap.missed(), 40_003);
    assert_eq!(tap.try_read().unwrap_err(), ReadError::Closed);
    assert_eq!(seen.len() as u64 + tap.missed(), 40_003);
}

#[test]
fn taps_come_and_go_while_spans_are_recorded() {
    let (_scratch, profiler) = recording_for(120);
    let dispatch = dispatch(&profiler);
    let has_ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            within(&dispatch, || {
                let mut n = 0_u64;
                while !has_ended.load(Ordering::Relaxed) {
                    drop(info_span!("work", n));
                    n += 1;
                    std::thread::yield_now();
                }
            });
        });
        let follow = || {
            for _ in 0..rounds(20) {
                let mut tap = profiler.tap().unwrap();
                let mut next = None;
                for _ in 0..50 {
                    match tap.read(LONG) {
                        Ok(span) => {
                            let n: u64 = span.field("n").unwrap().parse().unwrap();
                            assert_eq!(n, next.unwrap_or(n), "one after the other");
                            next = Some(n + 1);
                        }
                        Err(ReadError::Overtaken(missed)) => next = next.map(|n| n + missed),
                        Err(why) => panic!("{why}"),
                    }
                }
            }
        };
        let followers = [scope.spawn(follow), scope.spawn(follow)];
        followers.into_iter().for_each(|follower| follower.join().unwrap());
        has_ended.store(true, Ordering::Relaxed);
    });
    assert!(profiler.close().unwrap().recorded > 0);
}

#[test]
fn a_commit_is_seen_when_its_rows_can_be_read() {
    let (scratch, profiler) = recording_for(120);
    let mut commits = profiler.commits().unwrap();
    assert_eq!(commits.try_read().unwrap_err(), ReadError::Empty);
    let dispatch = dispatch(&profiler);
    let db = Database::open(scratch.db());
    let (mut spans, mut events, mut last) = (0, 0, 0);
    let mut look = |commit: Commit| {
        let rows = |table: &str| {
            let id = commit.batch_id;
            db.count(&format!("SELECT count(*) FROM {table} WHERE batch_id = {id}"))
        };
        assert_eq!((rows("span"), rows("event")), (commit.spans, commit.events), "{commit:?}");
        assert!(commit.batch_id > last);
        (spans, events, last) = (spans + commit.spans, events + commit.events, commit.batch_id);
    };
    for n in 0..10_u64 {
        within(&dispatch, || info_span!("work", n).in_scope(|| info!("event")));
        look(commits.read(LONG).unwrap());
    }
    within(&dispatch, || (0..5_000_u64).for_each(|n| drop(info_span!("work", n))));
    let report = profiler.close().unwrap();
    let why = loop {
        match commits.try_read() {
            Ok(commit) => look(commit),
            Err(why) => break why,
        }
    };
    assert_eq!(why, ReadError::Closed);
    assert_eq!(commits.missed(), 0);
    assert_eq!((spans, events), (report.stored, report.events.stored));
}

#[test]
fn nobody_watches_what_is_not_recorded_here() {
    let off = spandrel::Profiler::disabled();
    assert_eq!(off.tap().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(off.commits().unwrap_err().kind(), ErrorKind::Closed);
    let (_scratch, profiler) = recording();
    profiler.close().unwrap();
    assert_eq!(profiler.tap().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(profiler.commits().unwrap_err().kind(), ErrorKind::Closed);
}

#[cfg(feature = "collected")]
#[test]
fn a_collected_program_is_told_who_sees_its_spans() {
    let rings = spandrel_tests::collecting::rings();
    let profiler = spandrel_tests::collecting::small_in(rings.path()).build().unwrap();
    let error = profiler.tap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert!(error.to_string().contains("spandrel collect"), "{error}");
}

#[test]
fn a_forked_child_is_told_that_spans_are_its_parents() {
    alone!();
    let (_scratch, profiler) = recording();
    let mut tap = profiler.tap().unwrap();
    let mut commits = profiler.commits().unwrap();
    within(&dispatch(&profiler), || drop(info_span!("work")));
    profiler.flush(LONG).unwrap();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let pid = system::fork(|| {
        let is_refused = tap.read(LONG) == Err(ReadError::Forked)
            && tap.take().is_empty()
            && commits.read(LONG) == Err(ReadError::Forked)
            && profiler.tap().unwrap_err().kind() == ErrorKind::Forked;
        _ = writer.write_all(&[u8::from(is_refused)]);
        0
    })
    .unwrap();
    assert_eq!(system::wait(pid).unwrap(), 0);
    drop(writer);
    let mut answer = Vec::new();
    reader.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, [1]);
    assert_eq!(tap.take().len(), 1);
}
