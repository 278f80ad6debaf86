//! Guards of scopes that end where one would not expect it: in another order, never, after the profiler, in a forked child,
//! with the thread's variables, in a value's own code, while the thread records for another profiler. Each scope is one row,
//! or counted.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

use spandrel::{Scope, scope};
use spandrel_tests::prelude::*;
use spandrel_tests::system;

#[test]
fn each_scope_is_one_row_or_counted() {
    alone!();
    let _limit = time_limit(120);
    let Some(role) = child::role() else {
        for front in ["subscriber", "layer"] {
            for case in ["order", "close", "fork", "thread", "threads", "code", "two", "carried"] {
                child::plan(&format!("{front} {case}")).start().succeed();
            }
        }
        return;
    };
    let scratch = scratch();
    let (front, case) = role.split_once(' ').unwrap();
    let profiler = small(scratch.db()).build().unwrap();
    match front {
        "subscriber" => profiler.subscriber().init().unwrap(),
        _ => tracing_subscriber::registry().with(profiler.layer()).init(),
    }
    let path = scratch.db().to_owned();
    match case {
        "order" => in_another_order(&profiler, path),
        "close" => after_the_profiler(&profiler, path),
        "fork" => in_a_forked_child(&profiler, path),
        "thread" => with_the_threads_variables(&profiler, path),
        "threads" => on_threads_that_come_and_go(&profiler, &path),
        "code" => in_a_values_own_code(&profiler, path),
        "carried" => under_another_subscriber(&profiler, path, scratch.path("other.db").as_path()),
        _ => while_it_records_for_another(&profiler, path, scratch.path("other.db").as_path()),
    }
}

fn close(profiler: &Profiler, path: &std::path::Path) -> (Database, spandrel::Report) {
    let report = profiler.close().unwrap();
    (ledger::check_complete(path, &report), report)
}

fn rows(db: &Database, sql: &str) -> Vec<(String, Option<String>, String)> {
    let sql = format!(
        "SELECT s.name, p.name, s.status FROM spans AS s LEFT JOIN spans AS p ON p.id = s.parent_id
         WHERE {sql} ORDER BY s.start_ns, s.id"
    );
    db.rows(&sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

fn row(name: &str, parent: &str, status: &str) -> (String, Option<String>, String) {
    let parent = Some(parent.to_owned()).filter(|parent| !parent.is_empty());
    (name.to_owned(), parent, status.to_owned())
}

/// Those of a struct end as its fields are declared, the outer one first; one is never dropped.
fn in_another_order(profiler: &Profiler, path: PathBuf) {
    struct Both {
        _outer: Scope,
        _span: tracing::span::EnteredSpan,
        _inner: Scope,
    }
    for _ in 0..50 {
        let outer = scope!("outer", n = 1);
        let span = info_span!("span").entered();
        let both = Both { _outer: outer, _span: span, _inner: scope!("inner") };
        drop(both);
        let after = scope!("after");
        assert!(after.is_recorded());
        after.end();
    }
    std::thread::scope(|threads| {
        threads.spawn(|| {
            std::mem::forget(scope!("forgotten"));
            drop(scope!("in forgotten"));
        });
    });
    let (db, report) = close(profiler, &path);
    let mut expected = Vec::new();
    for _ in 0..50 {
        expected.push(row("outer", "", "ok"));
        expected.push(row("span", "outer", "ok"));
        expected.push(row("inner", "span", "ok"));
        expected.push(row("after", "", "ok"));
    }
    expected.push(row("forgotten", "", "unfinished"));
    expected.push(row("in forgotten", "forgotten", "ok"));
    assert_eq!(rows(&db, "true"), expected);
    assert_eq!((report.recorded, report.stats.unfinished), (202, 1));
}

/// What is open then is stored as such, once; what begins later is counted.
fn after_the_profiler(profiler: &Profiler, path: PathBuf) {
    let (outer, inner) = (scope!("outer", n = 7), scope!("inner"));
    let (db, report) = close(profiler, &path);
    let expected = [row("outer", "", "unfinished"), row("inner", "outer", "unfinished")];
    assert_eq!(rows(&db, "true"), expected);
    assert_eq!(db.span("outer").fields.number("n"), 7);
    assert_eq!((report.recorded, report.stored), (2, 2));
    drop(inner);
    for _ in 0..3 {
        drop(scope!("late"));
        drop(scope!("late", n = 1));
    }
    drop(outer);
    let stats = profiler.stats();
    ledger::identity(&stats);
    assert_eq!(
        (stats.spans().recorded, stats.spans().dropped.already_shutdown),
        (8, 6),
        "{stats:?}"
    );
}

/// The parent's own are stored, once; nothing of the child is.
fn in_a_forked_child(profiler: &Profiler, path: PathBuf) {
    for round in 0..5_u64 {
        let mut outer = Some(scope!("outer", round));
        let inner = scope!("inner");
        let child = system::fork(|| {
            drop(scope!("child", round));
            drop(outer.take());
            std::mem::forget(scope!("child"));
            0
        });
        assert_eq!(system::wait(child.unwrap()).unwrap(), 0, "how the child ended");
        drop(inner);
        drop(outer);
    }
    let (db, report) = close(profiler, &path);
    let expected = [row("outer", "", "ok"), row("inner", "outer", "ok")];
    let expected: Vec<_> = (0..5).flat_map(|_| expected.clone()).collect();
    assert_eq!(rows(&db, "true"), expected);
    assert_eq!(report.recorded, 10);
}

thread_local! {
    static FIRST: RefCell<Option<Kept>> = const { RefCell::new(None) };
    static LAST: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// Ends a scope and makes another when the thread's variables are destroyed.
struct Kept(Option<Scope>);

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.0.take());
        let _late = scope!("late", text = "more than there is room for in a word");
        drop(scope!("in late"));
    }
}

/// Also those that outlive what the profiler knows of a thread.
fn with_the_threads_variables(profiler: &Profiler, path: PathBuf) {
    for _ in 0..20 {
        let ended = std::thread::spawn(|| {
            // What is used first is destroyed last.
            FIRST.with(|_| ());
            let kept = scope!("kept first", n = 1);
            FIRST.set(Some(Kept(Some(kept))));
            LAST.set(Some(Kept(Some(scope!("kept last")))));
        });
        ended.join().unwrap();
    }
    let (db, report) = close(profiler, &path);
    assert_eq!((report.recorded, report.stats.unfinished), (20 * 6, 0), "{report:?}");
    let number = |sql: &str| rows(&db, sql).len();
    assert_eq!(number("s.name LIKE 'kept%' AND s.status = 'ok'"), 40);
    assert_eq!(number("s.name = 'late' AND s.status = 'ok'"), 40);
    assert_eq!(number("s.name = 'in late' AND p.name = 'late'"), 40);
    assert_eq!(number("s.name = 'kept last' AND p.name = 'kept first'"), 20);
}

/// Its code may use scopes, end some, and panic.
fn in_a_values_own_code(profiler: &Profiler, path: PathBuf) {
    struct Ends(RefCell<Option<Scope>>);
    impl fmt::Debug for Ends {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            drop(scope!("in the middle"));
            drop(self.0.take());
            f.write_str("ended")
        }
    }
    struct Panics;
    impl fmt::Debug for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            std::panic::resume_unwind(Box::new(()))
        }
    }
    for _ in 0..10 {
        let ends = Ends(RefCell::new(Some(scope!("ended early"))));
        let shown = scope!("shown", n = 1, ends = ?ends);
        drop(scope!("in shown"));
        drop(shown);
        drop(scope!("panics", n = 2, why = ?Panics));
        // Evaluated before it is opened.
        let around = scope!(
            "around",
            n = {
                drop(scope!("before"));
                3
            }
        );
        drop(around);
        let early: Option<u8> = (|| {
            let _never = scope!("never", n = None::<u8>?);
            Some(1)
        })();
        assert!(early.is_none());
    }
    // The thread goes on as before.
    drop(scope!("last", n = 4));
    let report = profiler.close().unwrap();
    let db = ledger::check(&path, &report);
    assert_eq!(report.stats.spans().dropped.reentrant, 10, "{report:?}");
    assert_eq!(report.dropped.total(), 10, "{report:?}");
    assert_eq!((report.recorded, report.stats.unfinished), (10 * 7 + 1, 0), "{report:?}");
    let number = |sql: &str| rows(&db, sql).len();
    assert_eq!(number("s.name = 'in shown' AND p.name = 'shown'"), 10);
    // The scope around it ends while it begins.
    assert_eq!(number("s.name = 'shown' AND coalesce(p.name, 'ended early') = 'ended early'"), 10);
    assert_eq!(number("s.name = 'ended early' AND p.name IS NULL AND s.status = 'ok'"), 10);
    assert_eq!(number("s.name = 'before' AND p.name IS NULL"), 10);
    assert_eq!(number("s.name = 'panics' AND p.name IS NULL AND s.status = 'ok'"), 10);
    assert_eq!(db.span("last").fields.number("n"), 4);
}

/// The slots that threads keep for their scopes are others' when they have ended.
fn on_threads_that_come_and_go(profiler: &Profiler, path: &std::path::Path) {
    fn nest(deep: u64) {
        let _plain = scope!("plain");
        let _fields = scope!("fields", deep);
        if deep > 0 {
            nest(deep - 1);
        }
    }
    const THREADS: u64 = 600;
    for _ in 0..THREADS {
        // The second time they find what they have kept.
        std::thread::spawn(|| (0..2).for_each(|_| nest(9))).join().unwrap();
    }
    // As many at once as were asked for, on one.
    nest(500);
    let report = profiler.close().unwrap();
    ledger::check(path, &report);
    assert_eq!(report.dropped.open_spans_full, 0, "{}", report.dropped);
    assert_eq!(report.recorded, THREADS * 40 + 1_002);
}

/// The thread's number and place may be the same there.
fn while_it_records_for_another(profiler: &Profiler, path: PathBuf, other: &std::path::Path) {
    // Before there is another one, so that it is opened in the quickest way.
    for _ in 0..3 {
        drop(scope!("before"));
    }
    let outer = scope!("outer", n = 1);
    let inner = scope!("inner");
    let second = small(other).build().unwrap();
    within(&Dispatch::new(second.subscriber()), || {
        let theirs = scope!("theirs", n = 2);
        let deeper = scope!("deeper");
        drop(inner);
        drop(deeper);
        drop(outer);
        drop(theirs);
    });
    drop(scope!("after"));
    let report = second.close().unwrap();
    let db = ledger::check_complete(other, &report);
    assert_eq!(rows(&db, "true"), [row("theirs", "", "ok"), row("deeper", "theirs", "ok")]);
    profiler.flush(Duration::from_secs(20)).unwrap();
    let (db, report) = close(profiler, &path);
    let mut expected = vec![row("before", "", "ok"); 3];
    expected.push(row("outer", "", "ok"));
    expected.push(row("inner", "outer", "ok"));
    expected.push(row("after", "", "ok"));
    assert_eq!(rows(&db, "true"), expected);
    assert_eq!((report.recorded, report.stats.unfinished), (6, 0));
}

/// It ends for the subscriber that it was made under, and so does what it has kept open: a `Registry` would close
/// that for the subscriber that the thread has by then.
fn under_another_subscriber(profiler: &Profiler, path: PathBuf, other: &std::path::Path) {
    let second = small(other).build().unwrap();
    let registry = dispatch(&second);
    let ours = scope!("ours");
    let theirs = within(&registry, || {
        let outer = scope!("outer");
        let theirs = scope!("theirs");
        drop(outer);
        theirs
    });
    let inner = scope!("inner");
    drop(theirs);
    drop(inner);
    drop(ours);
    let report = second.close().unwrap();
    let db = ledger::check_complete(other, &report);
    assert_eq!(rows(&db, "true"), [row("outer", "", "ok"), row("theirs", "outer", "ok")]);
    let (db, _) = close(profiler, &path);
    assert_eq!(rows(&db, "true"), [row("ours", "", "ok"), row("inner", "ours", "ok")]);
}
