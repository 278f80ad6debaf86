//! Spans that are filtered out for us, whoever does it: what is opened or said inside belongs to their
//! nearest ancestor that we record. Not to none, and not to another span that the thread happens to be in.

use spandrel::ProfilerLayer;
use spandrel_tests::layers::SeesAll;
use spandrel_tests::prelude::*;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry, reload};

type Ours = ProfilerLayer<Registry>;
type Boxed = Box<dyn Layer<Registry> + Send + Sync>;
type Put = fn(Ours) -> Boxed;

/// What makes that no span beyond `INFO` is recorded.
const WAYS: [(&str, Put); 8] = [
    ("its own level", |ours| ours.boxed()),
    ("its own level, in a box, in a vector", |ours| vec![SeesAll.boxed(), ours.boxed()].boxed()),
    ("its own level, reloadable", |ours| reload::Layer::new(ours).0.boxed()),
    ("a filter", |ours| ours.with_filter(LevelFilter::INFO).boxed()),
    ("a filter around a box", |ours| ours.boxed().with_filter(LevelFilter::INFO).boxed()),
    ("two filters", |ours| {
        let half = ours.with_filter(filter_fn(|metadata| metadata.name() != "hidden"));
        half.with_filter(filter_fn(|metadata| !metadata.name().starts_with("hidden "))).boxed()
    }),
    ("a filter around several", |ours| {
        SeesAll.and_then(ours).and_then(SeesAll).with_filter(LevelFilter::INFO).boxed()
    }),
    ("a filter that can be changed", |ours| {
        // One without a level hint, which would silence everybody from in there.
        let filter = filter_fn(|metadata| *metadata.level() <= Level::INFO);
        reload::Layer::new(ours.with_filter(filter)).0.boxed()
    }),
];

/// Runs `body` once for each way, and has what was recorded looked at.
fn in_each_way(body: impl Fn(&Dispatch), check: impl Fn(&Database)) {
    for (way, put) in WAYS {
        let scratch = scratch();
        let is_own = way.starts_with("its own");
        let level = if is_own { LevelFilter::INFO } else { LevelFilter::TRACE };
        let profiler = small(scratch.db()).spans(level).events(LevelFilter::TRACE).build().unwrap();
        // The one above ours in one program, and below it in the other.
        let dispatch = Dispatch::new(
            tracing_subscriber::registry().with(put(profiler.layer())).with(SeesAll.boxed()),
        );
        println!("filtered by {way}");
        body(&dispatch);
        let report = profiler.close().unwrap();
        check(&ledger::check_complete(scratch.db(), &report));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

#[test]
fn a_spawned_future_under_a_span_that_is_filtered_out_is_no_root() {
    let _limit = time_limit(60);
    let body = |dispatch: &Dispatch| {
        let task = |n: u64| async move {
            drop(info_span!("child"));
            drop(info_span!("child with a field", n));
            info!("event");
            tokio::task::yield_now().await;
            info_span!("later child", n).in_scope(|| drop(info_span!("grandchild")));
        };
        let request = within(dispatch, || info_span!("request"));
        let hidden = within(dispatch, || request.in_scope(|| debug_span!("hidden")));
        let within_it = hidden.in_scope(|| within(dispatch, || trace_span!("hidden too")));
        use tracing::instrument::WithSubscriber;
        let task = task(1).instrument(within_it).with_subscriber(dispatch.clone());
        runtime().block_on(async { tokio::spawn(task).await.unwrap() });
    };
    in_each_way(body, |db| {
        for child in ["child", "child with a field", "later child"] {
            assert_eq!(db.parent_of(child).as_deref(), Some("request"), "parent of {child}");
        }
        assert_eq!(db.parent_of("grandchild").as_deref(), Some("later child"));
        assert_eq!(db.place_of("event").as_deref(), Some("request"));
    });
}

/// With `tokio_unstable`, which console-subscriber needs, tokio puts a span of its own around what it
/// spawns: at `TRACE`, and for a blocking one inside the span that it is spawned in.
#[test]
fn what_is_spawned_to_block_is_no_root_under_the_span_of_the_runtime() {
    let _limit = time_limit(60);
    let body = |dispatch: &Dispatch| {
        let runtime = runtime();
        within(dispatch, || {
            info_span!("request").in_scope(|| {
                let spawned = trace_span!(
                    target: "tokio::task::blocking", "runtime.spawn", kind = "blocking"
                );
                let dispatch = dispatch.clone();
                let task = runtime.spawn_blocking(move || {
                    within(&dispatch, || {
                        spawned.in_scope(|| {
                            info_span!("work", n = 1).in_scope(|| drop(info_span!("part")));
                            error!("failed");
                        });
                        drop(spawned);
                    });
                });
                runtime.block_on(task).unwrap();
            });
        });
    };
    for (way, put) in [
        ("nobody", (|ours| ours.boxed()) as Put),
        ("its own level", |ours| ours.boxed()),
        ("a filter", |ours| {
            ours.with_filter(filter_fn(|metadata| !metadata.target().starts_with("tokio"))).boxed()
        }),
    ] {
        let scratch = scratch();
        let level = if way == "its own level" { LevelFilter::INFO } else { LevelFilter::TRACE };
        let profiler = small(scratch.db()).spans(level).build().unwrap();
        // What console-subscriber adds: a layer with a filter for the spans of the runtime.
        let console = SeesAll.with_filter(filter_fn(|metadata| {
            metadata.name().starts_with("runtime.") || metadata.target().starts_with("tokio")
        }));
        let registry = tracing_subscriber::registry().with(put(profiler.layer())).with(console);
        println!("filtered by {way}");
        body(&Dispatch::new(registry));
        let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
        let inside = if way == "nobody" { "runtime.spawn" } else { "request" };
        assert_eq!(db.parent_of("work").as_deref(), Some(inside));
        assert_eq!(db.parent_of("part").as_deref(), Some("work"));
        assert_eq!(db.place_of("failed").as_deref(), Some(inside));
        assert_eq!(db.span(inside).status, "error");
        assert_eq!(db.span("request").parent_id, None);
    }
}

#[test]
fn another_span_that_the_thread_is_in_is_not_the_parent() {
    let _limit = time_limit(60);
    let body = |dispatch: &Dispatch| {
        within(dispatch, || {
            let request = info_span!("request");
            let hidden = request.in_scope(|| debug_span!("hidden"));
            let lonely = debug_span!("hidden root");
            let _elsewhere = info_span!("elsewhere").entered();
            hidden.in_scope(|| {
                drop(info_span!("child"));
                drop(info_span!("child with a field", n = 1));
                info!("event");
                info_span!("entered child").in_scope(|| {
                    drop(info_span!("grandchild"));
                    drop(info_span!("grandchild with a field", n = 1));
                    info!("deeper event");
                    // Again, and it is the child that counts.
                    hidden.in_scope(|| drop(info_span!("great-grandchild", n = 1)));
                });
                drop(info_span!("second child"));
            });
            // Its ancestors are all filtered out: it belongs to none, and so does what is inside.
            lonely.in_scope(|| {
                drop(info_span!("root"));
                drop(info_span!("root with a field", n = 1));
                info!("event in none");
            });
            drop(info_span!("inside elsewhere", n = 1));
        });
    };
    in_each_way(body, |db| {
        for child in ["child", "child with a field", "entered child", "second child"] {
            assert_eq!(db.parent_of(child).as_deref(), Some("request"), "parent of {child}");
        }
        for child in ["grandchild", "grandchild with a field", "great-grandchild"] {
            assert_eq!(db.parent_of(child).as_deref(), Some("entered child"), "parent of {child}");
        }
        assert_eq!(db.parent_of("root"), None);
        assert_eq!(db.parent_of("root with a field"), None);
        assert_eq!(db.parent_of("inside elsewhere").as_deref(), Some("elsewhere"));
        assert_eq!(db.place_of("event").as_deref(), Some("request"));
        assert_eq!(db.place_of("deeper event").as_deref(), Some("entered child"));
        assert_eq!(db.place_of("event in none"), None);
    });
}

#[test]
fn spans_that_are_left_in_another_order() {
    let _limit = time_limit(60);
    let body = |dispatch: &Dispatch| {
        within(dispatch, || {
            let request = info_span!("request");
            let hidden = request.in_scope(|| debug_span!("hidden"));
            let other = info_span!("other").entered();
            let first = hidden.clone().entered();
            let inner = info_span!("inner").entered();
            let deeper = inner.in_scope(|| debug_span!("hidden deeper")).entered();
            drop(first);
            drop(info_span!("in the deeper one", n = 1));
            drop(inner);
            drop(info_span!("still there"));
            drop(deeper);
            drop(info_span!("in the other", n = 1));
            drop(other);
            drop(info_span!("in none"));
        });
    };
    in_each_way(body, |db| {
        assert_eq!(db.parent_of("in the deeper one").as_deref(), Some("inner"));
        assert_eq!(db.parent_of("still there").as_deref(), Some("inner"));
        assert_eq!(db.parent_of("in the other").as_deref(), Some("other"));
        assert_eq!(db.parent_of("in none"), None);
    });
}

#[test]
fn parents_that_are_named() {
    let _limit = time_limit(60);
    let body = |dispatch: &Dispatch| {
        within(dispatch, || {
            let request = info_span!("request");
            let hidden = debug_span!(parent: &request, "hidden");
            let again = debug_span!(parent: &hidden, "hidden again");
            let lonely = debug_span!("hidden root");
            let _elsewhere = info_span!("elsewhere").entered();
            // None of the first three is entered.
            drop(info_span!(parent: &again, "child", n = 1));
            info!(parent: &again, "event");
            drop(info_span!(parent: &lonely, "root"));
            info!(parent: &lonely, "event in none");
            again.in_scope(|| {
                drop(info_span!(parent: None, "of its own", n = 1));
                info!(parent: None, "event of its own");
                drop(info_span!(parent: &lonely, "root too"));
            });
        });
    };
    in_each_way(body, |db| {
        assert_eq!(db.parent_of("child").as_deref(), Some("request"));
        assert_eq!(db.place_of("event").as_deref(), Some("request"));
        for root in ["root", "of its own", "root too"] {
            assert_eq!(db.parent_of(root), None, "parent of {root}");
        }
        for none in ["event in none", "event of its own"] {
            assert_eq!(db.place_of(none), None, "span of {none}");
        }
    });
}

/// More of them than a thread keeps room for.
#[test]
fn a_thousand_spans_inside_each_other_that_are_filtered_out() {
    fn descend(depth: u32) {
        if depth == 0 {
            drop(info_span!("innermost", n = 1));
            return info!("event");
        }
        debug_span!("hidden", depth).in_scope(|| descend(depth - 1));
    }
    let _limit = time_limit(60);
    let body = |dispatch: &Dispatch| {
        within(dispatch, || {
            let outer = info_span!("outer");
            let hidden = outer.in_scope(|| debug_span!("hidden"));
            hidden.in_scope(|| descend(1_000));
            drop(info_span!("after"));
        });
    };
    in_each_way(body, |db| {
        assert_eq!(db.parent_of("innermost").as_deref(), Some("outer"));
        assert_eq!(db.place_of("event").as_deref(), Some("outer"));
        assert_eq!(db.parent_of("after"), None);
    });
}

/// Each layer has the parents that are right for what it keeps, whichever comes first.
#[test]
fn two_layers_that_keep_different_spans() {
    for only_info_first in [true, false] {
        let scratch = scratch_for(60);
        let profiler = small(scratch.db()).spans(LevelFilter::TRACE).build().unwrap();
        let (first, second) = (profiler.layer(), profiler.layer());
        let sparing = if only_info_first { first.filter_handle() } else { second.filter_handle() };
        sparing.set_max_level(Level::INFO);
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(first).with(second));
        std::thread::scope(|scope| {
            let request = within(&dispatch, || info_span!("request"));
            let hidden = within(&dispatch, || request.in_scope(|| debug_span!("hidden")));
            let dispatch = &dispatch;
            scope.spawn(move || {
                within(dispatch, || {
                    let elsewhere = info_span!("elsewhere").entered();
                    let hidden = hidden.entered();
                    drop(info_span!("child", n = 1));
                    let inner = info_span!("inner").entered();
                    drop(hidden);
                    drop(info_span!("grandchild", n = 1));
                    drop((inner, elsewhere));
                    drop(request);
                });
            });
        });
        let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
        let parents = |name: &str| {
            let mut parents = db.rows(
                "SELECT p.name FROM spans AS s JOIN spans AS p ON p.id = s.parent_id
                 WHERE s.name = ?1",
                [name],
                |row| row.get::<_, String>(0),
            );
            parents.sort();
            parents
        };
        assert_eq!(parents("child"), ["hidden", "request"]);
        assert_eq!(parents("inner"), ["hidden", "request"]);
        assert_eq!(parents("grandchild"), ["inner", "inner"]);
        assert_eq!(parents("hidden"), ["request"]);
        assert_eq!(parents("elsewhere"), [""; 0]);
    }
}
