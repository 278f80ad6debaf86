//! A span that is open for long after it was left, for a child or for a handle, has no self time there, and takes none
//! off its parent; and one that was never entered has none at all. So the self times of a thread are no more than the
//! time that passed.

use spandrel_query::{CriticalPath, Reader, Trace};
use spandrel_tests::prelude::*;

const MS: i64 = 1_000_000;

fn spin(ms: i64) {
    spandrel_tests::spin(Duration::from_millis(ms.unsigned_abs()));
}

/// How long a span worked.
fn work(db: &Database, name: &str) -> i64 {
    self_times::works(db)[&db.span(name).id].length_ns()
}

fn sum_of_self_times(db: &Database) -> i64 {
    db.value("SELECT sum(self_ns) FROM span")
}

#[test]
fn a_span_whose_handle_is_kept_worked_until_it_was_left() {
    let _limit = time_limit(60);
    for front in [dispatch, subscriber] {
        let db = recorded(front, || {
            info_span!("parent").in_scope(|| {
                let child = info_span!("child");
                child.in_scope(|| spin(5));
                spin(20);
                drop(child);
            });
        });
        let child = db.span("child");
        assert!(child.duration_ns >= Some(25 * MS));
        assert_eq!(child.self_ns, Some(work(&db, "child")));
        assert!(child.self_ns.unwrap() <= child.duration_ns.unwrap() - 20 * MS);
        let parent = db.span("parent").self_ns.unwrap();
        assert!(parent >= 20 * MS && parent == work(&db, "parent") - work(&db, "child"));
        assert_eq!(sum_of_self_times(&db), work(&db, "parent"));
    }
}

#[test]
fn a_span_that_a_child_keeps_open_worked_until_it_was_left() {
    let _limit = time_limit(60);
    let db = recorded(dispatch, || {
        info_span!("server").in_scope(|| {
            let audit = info_span!("request").in_scope(|| {
                spin(5);
                info_span!("audit")
            });
            spin(20);
            audit.in_scope(|| spin(5));
        });
    });
    let request = db.span("request");
    assert!(request.duration_ns >= Some(30 * MS), "its child has kept it open");
    assert_eq!(request.self_ns, Some(work(&db, "request")));
    assert!(request.self_ns.unwrap() <= request.duration_ns.unwrap() - 25 * MS);
    // `audit` waited in what the server did.
    assert!(db.span("server").self_ns >= Some(20 * MS));
}

#[test]
fn a_span_that_nobody_enters_has_no_self_time_and_takes_none() {
    let _limit = time_limit(60);
    for front in [dispatch, subscriber] {
        let db = recorded(front, || {
            info_span!("parent").in_scope(|| {
                let region = info_span!("region");
                spin(20);
                info_span!(parent: &region, "step").in_scope(|| spin(5));
                drop(region);
            });
        });
        let region = db.span("region");
        assert!(region.duration_ns >= Some(25 * MS));
        assert_eq!(region.self_ns, Some(0));
        let parent = db.span("parent").self_ns.unwrap();
        assert!(parent >= 20 * MS && parent <= work(&db, "parent") - 5 * MS);
        assert!(sum_of_self_times(&db) <= db.span("parent").end_ns());
    }
}

#[test]
fn self_times_of_spans_that_are_all_kept_are_no_more_than_the_time_that_passed() {
    let _limit = time_limit(60);
    for front in [dispatch, subscriber] {
        let db = recorded(front, || {
            let all = info_span!("all");
            all.in_scope(|| {
                let mut kept = Vec::new();
                for _ in 0..100 {
                    let span = info_span!("kept");
                    span.in_scope(|| info_span!("inside").in_scope(|| ()));
                    kept.push((span, info_span!("never")));
                }
                spin(20);
            });
        });
        let lifetimes: i64 = db.value("SELECT sum(duration_ns) FROM span");
        assert!(lifetimes >= 200 * 20 * MS);
        assert_eq!(sum_of_self_times(&db), work(&db, "all"));
    }
}

/// By span, the time on the critical path that it is to blame for itself, beside its self time.
fn path_and_self(path: &std::path::Path, root_id: u64) -> Vec<(i64, i64)> {
    let reader = Reader::open(path).unwrap();
    let trace = Trace::read(&reader, root_id, usize::MAX).unwrap().unwrap();
    let mut own = vec![0; trace.nodes()];
    for section in CriticalPath::of(&trace).sections() {
        own[section.span.unwrap()] += section.length_ns();
    }
    own.into_iter().zip(trace.spans.iter().map(|span| span.self_ns.unwrap())).collect()
}

#[test]
fn the_critical_path_of_a_thread_is_the_self_time_of_each_span_that_was_kept() {
    for front in [dispatch, subscriber] {
        let (scratch, profiler) = recording_for(60);
        within(&front(&profiler), || {
            let all = info_span!("all");
            let mut kept = Vec::new();
            all.in_scope(|| {
                for _ in 0..20 {
                    let span = info_span!("kept");
                    span.in_scope(|| {
                        let inside = info_span!("inside");
                        inside.in_scope(|| spin(1));
                        kept.push((inside, info_span!("never")));
                    });
                    kept.push((span, info_span!("never")));
                }
            });
            spin(20);
            drop((kept, all));
        });
        let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
        let all = db.span("all");
        let spans = path_and_self(scratch.db(), all.id.unsigned_abs());
        assert_eq!(spans.len(), 1 + 80);
        assert!(spans.iter().all(|(path_ns, self_ns)| path_ns == self_ns), "{spans:?}");
        let on_path: i64 = spans.iter().map(|(path_ns, _)| path_ns).sum();
        assert_eq!(on_path, work(&db, "all"));
        assert!(on_path <= all.duration_ns.unwrap() - 20 * MS, "what kept it open is on no path");
    }
}
