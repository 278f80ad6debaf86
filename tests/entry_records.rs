//! Entries that are recorded one by one, beside a list of what the program did.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use spandrel::Entries;
use spandrel_tests::prelude::*;
use tracing::span::EnteredSpan;

/// How a program is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Front {
    Layer,
    Subscriber,
    /// Two layers of the same profiler: each has spans, and entries, of its own.
    TwoLayers,
}

impl Front {
    fn dispatch(self, profiler: &Profiler) -> Dispatch {
        match self {
            Self::Layer => dispatch(profiler),
            Self::Subscriber => Dispatch::new(profiler.subscriber()),
            Self::TwoLayers => {
                let layers = tracing_subscriber::registry().with(profiler.layer());
                Dispatch::new(layers.with(profiler.layer()))
            }
        }
    }

    fn layers(self) -> u64 {
        if self == Self::TwoLayers { 2 } else { 1 }
    }
}

/// An entry: the number of the span, the name of the thread, and the number of the span around it.
type Entry = (i64, String, Option<i64>);

/// What a thread does: enters this span, or leaves one of those that it is in, the last one or another.
#[derive(Debug, Clone, Copy)]
enum Step {
    Enter(usize),
    Leave(usize),
    LeaveLast,
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_usize..64).prop_map(Step::Enter),
        1 => (0_usize..64).prop_map(Step::Leave),
        3 => Just(Step::LeaveLast),
    ];
    proptest::collection::vec(step, 1..most)
}

/// A span that a thread is in: its number, and the handles, one an enter.
struct Inside {
    n: usize,
    entered: Vec<EnteredSpan>,
}

/// Does the steps and leaves everything. Says which entries ended, in that order.
fn run(spans: &[Span], steps: &[Step], thread: &str) -> Vec<Entry> {
    let (mut inside, mut ended) = (Vec::<Inside>::new(), Vec::new());
    let mut leave = |inside: &mut Vec<Inside>, at: usize| {
        drop(inside[at].entered.pop());
        if inside[at].entered.is_empty() {
            let n = inside.remove(at).n as i64;
            let around = at.checked_sub(1).map(|below| inside[below].n as i64);
            ended.push((n, thread.to_owned(), around));
        }
    };
    for step in steps {
        match *step {
            Step::Enter(choice) => {
                let n = choice % spans.len();
                let entered = spans[n].clone().entered();
                match inside.iter_mut().find(|it| it.n == n) {
                    Some(again) => again.entered.push(entered),
                    None => inside.push(Inside { n, entered: vec![entered] }),
                }
            }
            Step::Leave(choice) if !inside.is_empty() => {
                let at = choice % inside.len();
                leave(&mut inside, at);
            }
            Step::LeaveLast if !inside.is_empty() => {
                let at = inside.len() - 1;
                leave(&mut inside, at);
            }
            _ => {}
        }
    }
    while let Some(at) = inside.len().checked_sub(1) {
        leave(&mut inside, at);
    }
    ended
}

/// The entries of the file by span, which has its number in a field; those of a span and thread in the order of
/// their ends.
fn stored(db: &Database) -> BTreeMap<i64, Vec<Entry>> {
    let numbers = "SELECT id, json_extract(fields, '$.n') AS n FROM span";
    let rows = db.rows(
        &format!(
            "WITH numbered AS ({numbers})
             SELECT e.span_id, s.n, t.name, a.n, e.around_id FROM entry AS e
             JOIN numbered AS s ON s.id = e.span_id JOIN thread AS t ON t.id = e.thread_id
             LEFT JOIN numbered AS a ON a.id = e.around_id
             ORDER BY e.span_id, t.name, e.start_ns + e.duration_ns, e.id"
        ),
        [],
        |row| {
            let (around, around_id): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
            assert_eq!(around.is_some(), around_id.is_some(), "a span that is in the file");
            Ok((row.get(0)?, (row.get(1)?, row.get(2)?, around)))
        },
    );
    let mut all = BTreeMap::<i64, Vec<Entry>>::new();
    for (span, entry) in rows {
        all.entry(span).or_default().push(entry);
    }
    all
}

/// A program of several threads with all entries recorded: each is in the file, once a layer, with its thread
/// and the span around it, and their lengths are what the spans say of them.
fn check(front: Front, programs: &[Vec<Step>], spans: usize) {
    let scratch = scratch();
    let profiler = small(scratch.db()).entries(Entries::All).build().unwrap();
    let dispatch = front.dispatch(&profiler);
    let expected = Mutex::new(Vec::new());
    within(&dispatch, || {
        let spans: Vec<Span> = (0..spans).map(|n| info_span!(parent: None, "span", n)).collect();
        let spans = &*Arc::<[Span]>::from(spans);
        std::thread::scope(|scope| {
            for (at, steps) in programs.iter().enumerate().skip(1) {
                let (dispatch, expected) = (&dispatch, &expected);
                let name = format!("w{at}");
                let body = move || {
                    let name = format!("w{at}");
                    let ended = within(dispatch, || run(spans, steps, &name));
                    expected.lock().unwrap().extend(ended);
                };
                std::thread::Builder::new().name(name).spawn_scoped(scope, body).unwrap();
            }
            let name = std::thread::current().name().unwrap().to_owned();
            let ended = run(spans, &programs[0], &name);
            expected.lock().unwrap().extend(ended);
        });
    });
    let (report, db) = ledger::closed(&scratch, &profiler);
    let mut wanted = BTreeMap::<i64, Vec<Entry>>::new();
    for entry in expected.into_inner().unwrap() {
        wanted.entry(entry.0).or_default().push(entry);
    }
    // Threads by name, each in its order.
    wanted.values_mut().for_each(|entries| entries.sort_by(|a, b| a.1.cmp(&b.1)));
    let stored = stored(&db);
    for (n, entries) in &wanted {
        let found = stored.values().filter(|found| found[0].0 == *n).inspect(|found| {
            assert_eq!(*found, entries, "span {n}");
        });
        assert_eq!(found.count() as u64, front.layers(), "span {n}");
    }
    let all: usize = wanted.values().map(Vec::len).sum();
    assert_eq!(report.entries.recorded, all as u64 * front.layers());
    lengths(&db);
}

/// Numbers, sums and largest lengths of the entries are those that the spans have. A nanosecond may be lost to
/// rounding at each end of each.
fn lengths(db: &Database) {
    let wrong = db.rows(
        "SELECT s.id FROM (
           SELECT s.id, s.entries, s.busy_ns, s.start_ns, s.duration_ns, s.first_entry_ns,
             CASE WHEN s.entries = 1 THEN s.busy_ns ELSE s.longest_entry_ns END AS longest_ns,
             count(e.id) AS n, sum(e.duration_ns) AS sum_ns, max(e.duration_ns) AS max_ns,
             min(e.start_ns) AS first_ns, max(e.start_ns + e.duration_ns) AS last_ns
           FROM span AS s JOIN entry AS e ON e.span_id = s.id GROUP BY s.id
         ) AS s
         WHERE n <> entries OR abs(sum_ns - busy_ns) > 2 * n OR abs(max_ns - longest_ns) > 2
           OR abs(first_ns - start_ns - first_entry_ns) > 2 OR last_ns > start_ns + duration_ns + 2",
        [],
        |row| row.get::<_, i64>(0),
    );
    assert_eq!(wrong, [0_i64; 0], "spans that say something else than their entries");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_entry_is_in_the_file_with_its_thread_and_what_was_around_it(
        programs in proptest::collection::vec(steps(120), 1..4),
        spans in 1_usize..7,
    ) {
        let _limit = time_limit(120);
        for front in [Front::Layer, Front::Subscriber, Front::TwoLayers] {
            check(front, &programs, spans);
        }
    }
}

/// Enters a span so often inside another one, on the calling thread, with a flush now and then.
fn enter(profiler: &Profiler, span: &Span, times: u64) {
    for n in 0..times {
        info_span!("around", n).in_scope(|| span.in_scope(|| {}));
        if n % 4_000 == 3_999 {
            profiler.flush(Duration::from_secs(60)).unwrap();
        }
    }
    profiler.flush(Duration::from_secs(60)).unwrap();
}

/// A long-lived span, entered so often by the thread that made it, and by another one.
fn long_lived(
    front: Front,
    set: impl FnOnce(ProfilerBuilder) -> ProfilerBuilder,
    own: u64,
    others: u64,
) -> Report {
    let scratch = scratch();
    let profiler = set(small(scratch.db())).build().unwrap();
    let dispatch = front.dispatch(&profiler);
    within(&dispatch, || {
        let system = info_span!("system");
        enter(&profiler, &system, own);
        std::thread::scope(|scope| {
            scope.spawn(|| within(&dispatch, || enter(&profiler, &system, others)));
        });
        drop(system);
    });
    let (report, db) = ledger::closed(&scratch, &profiler);
    assert_eq!(report.entries.stored, report.entries.recorded);
    let said =
        "SELECT entries_recorded || ' ' || entries_stored || entries_dropped FROM writer_stat
         ORDER BY at_ns DESC LIMIT 1";
    let (recorded, stored) = (report.entries.recorded, report.entries.stored);
    assert_eq!(
        db.value::<String>(said),
        format!("{recorded} {stored}{{}}"),
        "of the writer itself"
    );
    let inside = "SELECT count(*) FROM entry AS e JOIN span AS a ON a.id = e.around_id
         JOIN callsite AS c ON c.id = a.callsite_id AND c.name = 'around'
         WHERE e.start_ns >= a.start_ns AND e.start_ns + e.duration_ns <= a.start_ns + a.duration_ns
           AND e.thread_id = a.thread_id";
    assert_eq!(db.count(inside), report.entries.stored, "each lies in the span around it");
    report
}

/// From the 1,001st on, of its own thread and of others; also where the count no longer fits the place of the
/// span. The age is far away unless the machine stands still: so there may be more of them.
#[test]
fn after_a_thousand_entries_each_further_one_is_recorded() {
    let _limit = time_limit(300);
    for front in [Front::Layer, Front::Subscriber, Front::TwoLayers] {
        let report = long_lived(front, |builder| builder, 1_500, 1_200);
        assert!(report.entries.recorded >= 700 * front.layers(), "{:?}", report.entries);
    }
    for front in [Front::Layer, Front::Subscriber] {
        let report = long_lived(front, |builder| builder, 40_000, 0);
        assert!(report.entries.recorded >= 39_000, "{:?}", report.entries);
    }
}

/// Few entries, but of a span that has been open for a second.
#[test]
fn each_further_entry_of_a_span_that_is_a_second_old_is_recorded() {
    for front in [Front::Layer, Front::Subscriber] {
        let (scratch, profiler) = recording_for(60);
        within(&front.dispatch(&profiler), || {
            let entered = info_span!("entered", n = 0);
            let fresh = info_span!("fresh", n = 1);
            entered.in_scope(|| {});
            // So that they are as old as that: nobody is waited for.
            std::thread::sleep(Duration::from_millis(1_050));
            for _ in 0..5 {
                entered.in_scope(|| {});
                fresh.in_scope(|| {});
            }
        });
        let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
        let counts: Vec<_> = stored(&db).into_values().map(|entries| entries.len()).collect();
        assert_eq!(counts, [5, 4], "{front:?}: the first entry of all is told by the span itself");
    }
}

#[test]
fn nothing_is_recorded_where_it_is_off_or_times_are_not_measured() {
    let _limit = time_limit(60);
    for front in [Front::Layer, Front::Subscriber] {
        let off = long_lived(front, |builder| builder.entries(Entries::Off), 1_500, 1_200);
        let other = long_lived(front, |it| it.entries_of("system", Entries::Off), 1_500, 1_200);
        assert_eq!([off, other].map(|report| report.entries.recorded), [0; 2]);
        let scratch = scratch();
        let untimed = small(scratch.db()).busy_time(false).entries(Entries::All);
        let profiler = untimed.build().unwrap();
        within(&front.dispatch(&profiler), || enter(&profiler, &info_span!("system"), 1_500));
        let report = profiler.close().unwrap();
        ledger::settled(&report);
        assert_eq!((report.recorded, report.entries.recorded), (1_501, 0));
    }
}

#[test]
fn a_rule_chooses_single_spans() {
    let _limit = time_limit(60);
    for front in [Front::Layer, Front::Subscriber] {
        let rule = |builder: ProfilerBuilder| {
            builder.entries(Entries::Off).entries_of("system", Entries::All)
        };
        assert_eq!(long_lived(front, rule, 30, 20).entries.recorded, 50);
        let by_target = |builder: ProfilerBuilder| {
            builder.entries_of(module_path!(), Entries::Off).entries_of("sys*", Entries::LongLived)
        };
        // The longer pattern is the target's.
        assert_eq!(long_lived(front, by_target, 1_500, 0).entries.recorded, 0);
    }
}

/// An entry that goes on when the profiler closes is not in the file, and counts as dropped when it ends.
#[test]
fn an_entry_that_outlasts_the_profiler_counts_as_dropped() {
    for front in [Front::Layer, Front::Subscriber] {
        let scratch = scratch_for(60);
        let profiler = small(scratch.db()).entries(Entries::All).build().unwrap();
        within(&front.dispatch(&profiler), || {
            let span = info_span!("span", n = 0);
            span.in_scope(|| {});
            let entered = span.clone().entered();
            let report = profiler.close().unwrap();
            let db = ledger::check(scratch.db(), &report);
            assert_eq!((report.entries.recorded, report.entries.stored), (1, 1));
            assert_eq!(db.count("SELECT count(*) FROM entry"), 1);
            drop(entered);
            let stats = profiler.stats();
            ledger::identity(&stats);
            assert_eq!((stats.entries.recorded, stats.entries.dropped.already_shutdown), (2, 1));
        });
    }
}
