//! Tasks that move between tokio's worker threads: one row a span, with all its entries; what it was
//! busy and what it was idle add up to what it lasted.

use std::sync::Arc;

use spandrel_tests::model::Model;
use spandrel_tests::prelude::*;
use tokio::sync::Barrier;

#[instrument(skip(barrier))]
async fn task(n: u64, barrier: Arc<Barrier>) -> u64 {
    for step in 0..5_u64 {
        inner(n, step).await;
        tokio::task::yield_now().await;
    }
    barrier.wait().await;
    info!(n, "done");
    tokio::time::sleep(Duration::from_millis(1)).instrument(info_span!("timer", n)).await;
    n
}

#[instrument]
async fn inner(n: u64, step: u64) {
    tokio::task::yield_now().await;
    info_span!("sync", n, step).in_scope(|| std::hint::black_box(n));
}

#[test]
fn tasks_that_move_between_workers() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).ring_capacity(65_536).partitions(4).build().unwrap();
    let model = Model::default();
    tracing_subscriber::registry().with(profiler.layer()).with(model.clone()).init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    const TASKS: u64 = 200;
    runtime.block_on(
        async {
            let barrier = Arc::new(Barrier::new(TASKS as usize));
            let tasks: Vec<_> = (0..TASKS)
                .map(|n| tokio::spawn(task(n, Arc::clone(&barrier)).in_current_span()))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
        .instrument(info_span!("all")),
    );
    drop(runtime);
    let (report, db) = ledger::closed(&scratch, &profiler);
    assert_eq!(report.recorded, 1 + TASKS * 12);
    let model = model.recording();
    let key = |name: &str, n: i64, step: Option<i64>| (name.to_owned(), n, step);
    let digits = |span: &spandrel_tests::model::ModelSpan, field| match span.fields.get(field) {
        Some(spandrel_tests::model::Value::Digits(digits)) => digits.parse().ok(),
        _ => None,
    };
    let entries: std::collections::HashMap<_, _> = (model.spans.iter())
        .filter(|span| span.name != "all")
        .map(|span| (key(span.name, span.n(), digits(span, "step")), span.entries))
        .collect();
    let all = db.span("all");
    let mut moved = 0;
    for span in db.spans() {
        if span.id == all.id {
            // Several workers are inside at once, so it is busier than it lasts.
            continue;
        }
        let duration = span.duration_ns.unwrap();
        assert!(span.busy_ns <= duration, "a task is polled by one worker at a time: {span:?}");
        let step = span.fields.raw("step").map(|raw| raw.parse().unwrap());
        assert_eq!(span.entries as u64, entries[&key(&span.name, span.n(), step)], "{span:?}");
        assert_eq!(span.root_id, all.id);
        moved += u64::from(span.name == "task" && span.entries >= 12);
    }
    assert_eq!(moved, TASKS, "each task was polled at least twelve times");
    let wrong_parents = db.count(
        "SELECT count(*) FROM spans AS s JOIN spans AS p ON p.id = s.parent_id
         WHERE s.fields ->> 'n' <> p.fields ->> 'n'
           OR (s.name, p.name) NOT IN (VALUES ('task', 'all'), ('inner', 'task'),
             ('sync', 'inner'), ('timer', 'task'))",
    );
    assert_eq!(wrong_parents, 0);
    let events = db.count(
        "SELECT count(*) FROM event AS e JOIN span AS s ON s.id = e.span_id
         WHERE e.message = 'done' AND e.fields ->> 'n' = s.fields ->> 'n'",
    );
    assert_eq!(events, TASKS);
    // A timer is idle for its millisecond, unless its worker was not to be had for so long.
    let idle_timers = db.count(
        "SELECT count(*) FROM spans WHERE name = 'timer' AND duration_ns - busy_ns > 500000",
    );
    assert!(idle_timers > TASKS / 4, "{idle_timers}");
}
