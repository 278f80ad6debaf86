//! A span counts by its entries once it is a second old and a hundred entries were made, whoever made them: two threads with
//! sixty each are as good as one with a hundred and twenty.

use spandrel_tests::prelude::*;

const EACH: u64 = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// One of the threads that enter it.
    OneOfThem,
    Another,
}

/// What the file has of an actor that two threads have entered.
fn recorded(dispatch: &Dispatch, maker: Maker) -> Span {
    within(dispatch, || {
        let actor = info_span!("actor", by = ?maker);
        // So that it is old: it may well be older.
        std::thread::sleep(Duration::from_millis(1_100));
        let enter = |times: u64| (0..times).for_each(|_| actor.in_scope(|| ()));
        std::thread::scope(|scope| {
            scope.spawn(|| within(dispatch, || enter(EACH))).join().unwrap();
            match maker {
                Maker::OneOfThem => enter(EACH),
                Maker::Another => scope.spawn(|| within(dispatch, || enter(EACH))).join().unwrap(),
            }
        });
        actor
    })
}

fn check(db: &Database) {
    assert_eq!(db.count("SELECT count(*) FROM span WHERE self_ns IS NULL"), 2);
    let calls = "SELECT coalesce(sum(calls), 0) FROM top WHERE counted_by = 'entries'";
    assert_eq!(db.count(calls), 2 * 2 * EACH);
    assert_eq!(db.count("SELECT coalesce(sum(calls), 0) FROM rollup"), 0);
}

#[test]
fn entries_of_all_threads_together_decide() {
    for front in ["layer", "subscriber"] {
        let (scratch, profiler) = recording_for(120);
        let dispatch = match front {
            "layer" => dispatch(&profiler),
            _ => Dispatch::new(profiler.subscriber()),
        };
        let actors = [Maker::OneOfThem, Maker::Another].map(|maker| recorded(&dispatch, maker));
        within(&dispatch, || drop(actors));
        drop(dispatch);
        let report = profiler.close().unwrap();
        check(&ledger::check_complete(scratch.db(), &report));
    }
}
