//! The program under which recording must not allocate.

use std::sync::Barrier;
use std::sync::mpsc::channel;

use spandrel::{Profiler, scope};
use tracing::level_filters::LevelFilter;
use tracing::{Span, debug, error, field, info, info_span};

use crate::allocations::during;
use crate::{ledger, scratch, small, time_limit};

#[derive(Debug)]
#[allow(dead_code)] // only for its Debug
struct Point {
    x: i32,
    y: f64,
    name: &'static str,
}

const ROUNDS: u64 = 1_000;

/// A case on a thread of its own, after one span: how many calls of the allocator it makes.
fn on_a_fresh_thread(case: impl Fn(u64) + Sync) -> u64 {
    std::thread::scope(|scope| {
        // `tracing` itself allocates when a callsite is first used, once in the program.
        scope.spawn(|| case(0)).join().unwrap();
        let thread = scope.spawn(|| {
            drop(info_span!("first"));
            during(|| (0..ROUNDS).for_each(&case))
        });
        thread.join().unwrap()
    })
}

/// Asserts that after a thread's first span recording allocates nothing and frees nothing on that
/// thread, with what `install` makes the program's subscriber. The allocator has to be
/// [`Counting`](crate::allocations::Counting).
pub fn check_all(install: impl FnOnce(&Profiler)) {
    let _limit = time_limit(60);
    let scratch = scratch();
    let profiler =
        small(scratch.db()).ring_capacity(1 << 18).events(LevelFilter::DEBUG).build().unwrap();
    install(&profiler);
    let text = "some text ".repeat(20);
    let cause = &std::fmt::Error as &(dyn std::error::Error + Send + Sync + 'static);
    let check = |name: &str, count: u64| {
        assert_eq!(count, 0, "{name}: {count} calls of the allocator in {ROUNDS} rounds");
    };

    check("no fields", on_a_fresh_thread(|_| info_span!("plain").in_scope(|| ())));
    check(
        "three fields",
        on_a_fresh_thread(|n| {
            info_span!("fields", n, text = "some text", flag = true).in_scope(|| ());
        }),
    );
    check(
        "long and rare fields",
        on_a_fresh_thread(|n| {
            drop(info_span!(
                "rare",
                text = text.as_str(),
                big = i128::from(n),
                bytes = text.as_bytes()
            ));
        }),
    );
    check("never entered", on_a_fresh_thread(|_| drop(info_span!("created"))));
    check(
        "nested",
        on_a_fresh_thread(|n| {
            info_span!("outer", n).in_scope(|| {
                info_span!("middle", n).in_scope(|| info_span!("inner", n).in_scope(|| ()));
            });
        }),
    );
    check(
        "explicit parents",
        on_a_fresh_thread(|n| {
            let parent = info_span!(parent: None, "parent");
            info_span!(parent: &parent, "child", n).in_scope(|| ());
        }),
    );
    check(
        "events",
        on_a_fresh_thread(|n| {
            info!("outside {n}");
            info_span!("with events").in_scope(|| {
                info!(n, "inside");
                error!(text = "some text", "inside");
                debug!("inside");
            });
        }),
    );
    check(
        "recorded later",
        on_a_fresh_thread(|n| {
            let span = info_span!("late", number = field::Empty, text = field::Empty);
            span.record("number", n);
            span.in_scope(|| {
                Span::current().record("text", "some text");
            });
        }),
    );
    check(
        "Debug and Display",
        on_a_fresh_thread(|n| {
            let point = Point { x: n as i32, y: 0.5, name: "a point" };
            drop(info_span!("formatted", ?point, shown = %point.y, cause));
            info!(?point, "formatted {:?}", point);
        }),
    );
    check(
        "scopes",
        on_a_fresh_thread(|n| {
            let point = Point { x: n as i32, y: 0.5, name: "a point" };
            let _outer = scope!("outer", n, text = text.as_str());
            let _inner = scope!("inner");
            drop(scope!("formatted", ?point, shown = %point.y));
        }),
    );
    check(
        "links",
        on_a_fresh_thread(|_| {
            let (one, two) = (info_span!("one"), info_span!("two"));
            two.follows_from(&one);
        }),
    );
    check(
        "entered again and again",
        on_a_fresh_thread(|_| {
            let span = info_span!("polled");
            (0..3).for_each(|_| span.in_scope(|| span.in_scope(|| ())));
        }),
    );
    check(
        "many open at once",
        on_a_fresh_thread(|n| {
            // Up to the 32 that fit the first page of Registry's slab.
            let spans: [Span; 20] = std::array::from_fn(|_| info_span!("one of many", n));
            drop(spans);
        }),
    );
    moved_between_threads(&check);
    while_threads_share_a_partition(&check);

    let report = profiler.close().unwrap();
    ledger::check(scratch.db(), &report);
    assert!(report.stored > report.recorded / 2, "most of it was really recorded: {report}");
    check(
        "after close",
        on_a_fresh_thread(|n| {
            info_span!("after", n).in_scope(|| info!(n, "after"));
        }),
    );
}

/// Spans that are opened on one thread and entered and closed on another.
fn moved_between_threads(check: &dyn Fn(&str, u64)) {
    std::thread::scope(|scope| {
        let (send, receive) = channel::<Vec<Span>>();
        let (give_back, returned) = channel();
        drop(info_span!("moved", n = 0));
        scope.spawn(move || {
            drop(info_span!("first"));
            for mut spans in receive {
                let count = during(|| {
                    for span in spans.drain(..) {
                        span.in_scope(|| ());
                        drop(span);
                    }
                });
                give_back.send((count, spans)).unwrap();
            }
        });
        drop(info_span!("first"));
        let mut spans = Vec::with_capacity(20);
        for _ in 0..100 {
            let count = during(|| {
                spans.extend((0..20).map(|n: u64| info_span!("moved", n)));
            });
            check("opened here", count);
            send.send(spans).unwrap();
            let (count, empty) = returned.recv().unwrap();
            check("closed there", count);
            spans = empty;
        }
        drop(send);
    });
}

/// More threads than partitions, at the same time.
fn while_threads_share_a_partition(check: &(dyn Fn(&str, u64) + Sync)) {
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let record = |n| info_span!("shared", n).in_scope(|| info!("in it"));
                record(0);
                start.wait();
                let count = during(|| (0..ROUNDS).for_each(record));
                check("shared partition", count);
            });
        }
    });
}
