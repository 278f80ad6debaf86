//! A child that was forked while other threads set gauges may go on setting them: nothing of it is recorded, it waits for no
//! lock of a thread that it does not have, and the parent loses nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use spandrel_tests::prelude::*;
use spandrel_tests::system;

#[test]
fn a_forked_child_sets_gauges_in_vain() {
    alone!();
    // With the parent's last clone, which closes when it is dropped; and beside threads that find and add gauges.
    fork_while_they_are_set(false);
    fork_while_they_are_set(true);
}

fn fork_while_they_are_set(threads_add: bool) {
    let _limit = time_limit(120);
    let scratch = scratch_for(120);
    // Threads that sample all the time, and so have locks of theirs at most forks.
    let builder = small(scratch.db()).gauge_interval(Duration::from_millis(1));
    let profiler = builder.build().unwrap();
    let mut owner = Some(profiler.clone());
    profiler.sample(|gauges| gauges.set("sampled", 1));
    drop(profiler);
    let halt = AtomicBool::new(false);
    let sets: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let halt = &halt;
                let profiler = owner.as_ref().unwrap();
                let adds = threads_add.then(|| profiler.clone());
                let shared = profiler.gauge("shared");
                let own = profiler.gauge(&format!("of {thread}"));
                scope.spawn(move || {
                    let mut n = 0_u64;
                    while !halt.load(Ordering::Relaxed) {
                        shared.set(n);
                        own.set(n);
                        if let Some(profiler) = &adds {
                            profiler.gauge(&format!("{thread} {}", n % 400)).set(n);
                        }
                        n += 1;
                    }
                    n
                })
            })
            .collect();
        for _ in 0..40 {
            let fork = system::fork(|| {
                let profiler = owner.take().unwrap();
                for n in 0..1_000 {
                    profiler.gauge("shared").set(n);
                    profiler.gauge("of the child").set(n);
                }
                profiler.sample(|gauges| gauges.set("sampled by the child", 1));
                let kept = profiler.gauge("shared");
                let is_refused = !profiler.gauge("of the child").is_recorded();
                drop(profiler);
                kept.set(1);
                i32::from(!is_refused)
            });
            assert_eq!(system::wait(fork.unwrap()).unwrap(), 0, "how the child ended");
        }
        halt.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let report = owner.take().unwrap().close().unwrap();
    assert!(report.balances(), "{report:?}");
    let db = Database::open(scratch.db());
    assert_eq!(db.count("SELECT max(version) FROM gauge WHERE name = 'shared'"), sets);
    assert_eq!(db.count("SELECT count(*) FROM gauge WHERE name LIKE '%child%'"), 0);
}

#[test]
fn a_program_without_gauges_has_no_thread_for_them() {
    alone!();
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).build().unwrap();
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.starts_with("spandrel-gauges")).count()
    };
    assert_eq!(threads(), 0);
    within(&dispatch(&profiler), || drop(info_span!("work")));
    profiler.flush(Duration::from_secs(20)).unwrap();
    assert_eq!(threads(), 0);
    profiler.gauge("first").set(1);
    // They name themselves soon after they have begun.
    while threads() < 2 {
        std::thread::yield_now();
    }
    profiler.close().unwrap();
    assert_eq!(threads(), 0, "they end with the recording");
}
