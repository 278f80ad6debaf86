//! A section is in the file while it lasts, and gets its end when its guard is dropped.

use spandrel_tests::prelude::*;

const LONG: Duration = Duration::from_secs(20);

fn sections(db: &Database) -> Vec<(String, i64, Option<i64>)> {
    db.rows("SELECT label, at_ns, until_ns FROM mark ORDER BY id", [], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })
}

#[test]
fn a_section_is_seen_while_it_lasts_and_encloses_what_ran_in_it() {
    let (scratch, profiler) = recording_for(60);
    let db = Database::open(scratch.db());
    let section = profiler.section("load test");
    assert!(section.is_recorded());
    within(&dispatch(&profiler), || drop(info_span!("inside")));
    profiler.flush(LONG).unwrap();
    let begun = sections(&db);
    assert!(matches!(&begun[..], [(label, _, None)] if label == "load test"), "{begun:?}");
    drop(section);
    within(&dispatch(&profiler), || drop(info_span!("after")));
    profiler.flush(LONG).unwrap();
    let ended = sections(&db);
    let [(_, at_ns, Some(until_ns))] = ended[..] else { panic!("{ended:?}") };
    assert_eq!(at_ns, begun[0].1);
    let (inside, after) = (db.span("inside"), db.span("after"));
    assert!(at_ns <= inside.start_ns && inside.end_ns() <= until_ns, "{inside:?} {ended:?}");
    assert!(until_ns <= after.start_ns, "{after:?} {ended:?}");
    let report = profiler.close().unwrap();
    assert_eq!((report.marks, report.marks_dropped), (1, 0), "a section is one mark");
    ledger::check_complete(scratch.db(), &report);
}

#[test]
fn sections_overlap_and_end_on_other_threads() {
    let (scratch, profiler) = recording_for(60);
    let sections_open: Vec<_> = (0..10).map(|_| profiler.section("same name")).collect();
    std::thread::scope(|scope| {
        for section in sections_open {
            scope.spawn(|| drop(section));
        }
    });
    let report = profiler.close().unwrap();
    assert_eq!(report.marks, 10);
    let db = Database::open(scratch.db());
    let found = sections(&db);
    assert_eq!(found.len(), 10);
    for (_, at_ns, until_ns) in found {
        assert!(until_ns.is_some_and(|until_ns| until_ns >= at_ns));
    }
}

#[test]
fn a_section_that_outlives_the_profiler_has_no_end() {
    let (scratch, profiler) = recording_for(60);
    let section = profiler.section("until the end");
    let report = profiler.close().unwrap();
    drop(section);
    assert_eq!((report.marks, report.marks_dropped), (1, 0));
    assert_eq!(profiler.stats().marks_dropped, 0);
    let found = sections(&Database::open(scratch.db()));
    assert!(matches!(&found[..], [(_, _, None)]), "{found:?}");
}

#[test]
fn a_section_does_not_keep_the_profiler_from_closing() {
    let (scratch, profiler) = recording_for(60);
    let section = profiler.section("open");
    drop(profiler);
    let db = Database::open(scratch.db());
    assert_eq!(db.count("SELECT ended_unix_ns IS NOT NULL FROM run"), 1);
    drop(section);
}
