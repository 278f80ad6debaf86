//! Follows-from links: between open spans, from any thread; each link once.

use spandrel_tests::prelude::*;

#[test]
fn a_link_joins_two_open_spans() {
    let (scratch, profiler) = recording_for(30);
    let dispatch = dispatch(&profiler);
    within(&dispatch, || {
        let (first, second, third) =
            (info_span!("first"), info_span!("second"), info_span!("third"));
        second.follows_from(&first);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                within(&dispatch, || {
                    third.follows_from(&first);
                });
            });
        });
        third.follows_from(&second);
        // Closed already: nobody can tell it from a later span with the same id of `tracing`.
        let gone = info_span!("gone").id();
        third.follows_from(gone);
        third.follows_from(None);
    });
    let (report, db) = ledger::closed(&scratch, &profiler);
    let id = |name| db.span(name).id;
    let expected =
        [(id("second"), id("first")), (id("third"), id("first")), (id("third"), id("second"))];
    assert_eq!(db.links(), expected);
    assert_eq!(report.links.recorded, 3);
}

#[test]
fn a_link_made_twice_and_one_to_itself() {
    let _limit = time_limit(30);
    let db = recorded(dispatch, || {
        let (first, second) = (info_span!("first"), info_span!("second"));
        for _ in 0..3 {
            second.follows_from(&first);
        }
        second.follows_from(&second);
    });
    let (first, second) = (db.span("first").id, db.span("second").id);
    // A row each: what is recorded is stored, however often it is said.
    let again = (second, first);
    assert_eq!(db.links(), [again, again, again, (second, second)]);
}

#[test]
fn a_link_of_a_span_that_is_open_at_close() {
    let (scratch, profiler) = recording_for(30);
    within(&dispatch(&profiler), || {
        let (first, second) = (info_span!("first"), info_span!("second"));
        second.follows_from(&first);
        let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
        assert_eq!(db.links(), [(db.span("second").id, db.span("first").id)]);
        first.follows_from(&second);
        assert_eq!(profiler.stats().links.dropped.already_shutdown, 1);
    });
}
