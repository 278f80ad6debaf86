//! Spans may outlive the profiler, and the layer too.

use spandrel_tests::prelude::*;

#[test]
fn spans_that_outlive_the_profiler_do_no_harm() {
    let (scratch, profiler) = recording_for(30);
    let dispatch = dispatch(&profiler);
    let (plain, entered, elsewhere) =
        within(&dispatch, || (info_span!("plain"), info_span!("entered"), info_span!("elsewhere")));
    within(&dispatch, || {
        let guard = entered.enter();
        drop(profiler);
        info!("the profiler is gone");
        drop(info_span!("below"));
        drop(guard);
        drop((plain, entered));
    });
    let other = dispatch.clone();
    std::thread::spawn(move || {
        within(&other, || {
            elsewhere.in_scope(|| drop(info_span!("below")));
            drop(elsewhere);
        });
    })
    .join()
    .unwrap();
    // The layer goes last of all.
    drop(dispatch);
    let db = Database::open(scratch.db());
    ledger::whole(&db, 1);
    let spans = db.spans();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["plain", "entered", "elsewhere"]);
    assert!(spans.iter().all(|span| span.status == "unfinished"));
    assert_eq!(db.count("SELECT count(*) FROM event"), 0);
}
