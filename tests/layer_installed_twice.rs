//! Two layers of one profiler, in one subscriber or in two: no crash, and the ledger holds.

use spandrel_tests::prelude::*;

#[test]
fn twice_in_one_subscriber() {
    let (scratch, profiler) = recording_for(30);
    let registry = tracing_subscriber::registry();
    let dispatch = Dispatch::new(registry.with(profiler.layer()).with(profiler.layer()));
    within(&dispatch, || {
        for n in 0..100 {
            info_span!("outer", n).in_scope(|| info_span!("inner", n).in_scope(|| info!(n)));
        }
    });
    let report = profiler.close().unwrap();
    let db = ledger::check(scratch.db(), &report);
    // Once or once a layer, but not something in between, and each inner below an outer.
    assert!(report.recorded == 200 || report.recorded == 400, "{report}");
    assert_eq!(report.dropped.total(), 0);
    let misplaced = db.count(
        "SELECT count(*) FROM span AS i JOIN span AS o ON o.id = i.parent_id
         WHERE i.fields <> o.fields",
    );
    assert_eq!(misplaced, 0);
    assert_eq!(db.count("SELECT count(*) FROM roots"), report.recorded / 2);
}

#[test]
fn once_in_each_of_two_subscribers() {
    let (scratch, profiler) = recording_for(30);
    // Each Registry hands out the same ids for spans of its own.
    let (one, two) = (dispatch(&profiler), dispatch(&profiler));
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    for n in 0..50 {
        within(&one, || ones.push(info_span!("one", n)));
        within(&two, || twos.push(info_span!("two", n)));
    }
    within(&one, || {
        let _entered = ones[7].enter();
        drop(info_span!("below one"));
        info!("in one");
        within(&two, || {
            // A thread in a span of one subscriber that uses another one for a while.
            twos[8].in_scope(|| drop(info_span!("below two")));
        });
        drop(info_span!("below one"));
    });
    within(&one, || ones.clear());
    within(&two, || twos.clear());
    let (report, db) = ledger::closed(&scratch, &profiler);
    assert_eq!((report.recorded, report.stats.open), (103, 0));
    assert_eq!(db.count("SELECT count(*) FROM spans WHERE name = 'one'"), 50);
    let parents = |below: &str| {
        db.rows(
            "SELECT p.name, p.fields ->> 'n' FROM spans AS s JOIN spans AS p ON p.id = s.parent_id
             WHERE s.name = ?1",
            [below],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)),
        )
    };
    assert_eq!(parents("below one"), [("one".to_owned(), 7), ("one".to_owned(), 7)]);
    assert_eq!(parents("below two"), [("two".to_owned(), 8)]);
}
