//! Our own subscriber and layers of one profiler, used in turns on one thread: each knows its own
//! spans, and the ledger holds.

use spandrel_tests::prelude::*;

/// Spans of one front end inside those of another, entered and left in odd orders.
fn in_turns(first: &Dispatch, second: &Dispatch) {
    within(first, || {
        let ones: Vec<_> = (0..50).map(|n| info_span!("one", n)).collect();
        let _in_one = ones[7].enter();
        within(second, || {
            assert!(Span::current().is_none(), "the other front end's");
            let twos: Vec<_> = (0..50).map(|n| info_span!("two", n)).collect();
            let _in_two = twos[8].enter();
            within(first, || {
                drop(info_span!("below one"));
                info!("in one");
            });
            drop(info_span!("below two", n = 1));
            info!("in two");
        });
        drop(info_span!("below one"));
    });
}

#[test]
fn each_knows_its_own() {
    for order in 0..3 {
        let (scratch, profiler) = recording_for(60);
        let own = || Dispatch::new(profiler.subscriber());
        let (first, second) = match order {
            0 => (own(), dispatch(&profiler)),
            1 => (dispatch(&profiler), own()),
            _ => (own(), own()),
        };
        in_turns(&first, &second);
        in_turns(&second, &first);
        let (report, db) = ledger::closed(&scratch, &profiler);
        assert_eq!((report.recorded, report.stats.open), (206, 0), "order {order}");
        let parents = |below: &str| {
            db.rows(
                "SELECT p.name || (p.fields ->> 'n') FROM spans AS s
                 JOIN spans AS p ON p.id = s.parent_id WHERE s.name = ?1",
                [below],
                |row| row.get::<_, String>(0),
            )
        };
        assert_eq!(parents("below one"), ["one7"; 4], "order {order}");
        assert_eq!(parents("below two"), ["two8"; 2], "order {order}");
        let of_events = db.count(
            "SELECT count(*) FROM event AS e JOIN spans AS s ON s.id = e.span_id
             WHERE e.message = 'in ' || s.name",
        );
        assert_eq!(of_events, 4, "order {order}");
    }
}

/// Places of the table that a layer's spans have are left alone.
#[test]
fn they_share_the_table() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).max_open_spans(256).build().unwrap();
    let (layer, own) = (dispatch(&profiler), Dispatch::new(profiler.subscriber()));
    for _ in 0..3 {
        let open = |dispatch: &Dispatch, name: &'static str| {
            let mut spans = Vec::new();
            within(dispatch, || spans.extend((0..200_u64).map(|n| info_span!("shared", name, n))));
            spans
        };
        let (ones, twos) = (open(&layer, "layer"), open(&own, "own"));
        within(&layer, || drop(ones));
        within(&own, || drop(twos));
    }
    let report = profiler.close().unwrap();
    ledger::check(scratch.db(), &report);
    assert_eq!((report.recorded, report.stats.open), (1_200, 0));
    // The layer's are spread by their ids, and a set may be full.
    assert!(report.stored >= 1_100, "{report:?}");
}

/// Places that a thread has kept are of one profiler's table, and stay there when it turns to another.
#[test]
fn two_profilers_keep_their_places_apart() {
    let _limit = time_limit(60);
    let (one, two) = (scratch(), scratch());
    let profilers =
        [&one, &two].map(|scratch| small(scratch.db()).max_open_spans(64).build().unwrap());
    let dispatches = [&profilers[0], &profilers[1]].map(|it| Dispatch::new(it.subscriber()));
    for round in 0..100 {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Nests of other depths, so that places would be missing or in two hands.
                for turn in 0..6 {
                    within(&dispatches[turn % 2], || {
                        let spans: Vec<_> =
                            (0..1 + (turn + round) % 20).map(|n| info_span!("one", n)).collect();
                        spans.iter().for_each(|span| span.in_scope(|| ()));
                    });
                }
            });
        });
    }
    for (profiler, scratch) in profilers.iter().zip([&one, &two]) {
        let (report, _) = ledger::closed(scratch, profiler);
        assert_eq!(report.stats.open, 0);
    }
}
