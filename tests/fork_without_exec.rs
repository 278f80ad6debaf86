//! After `fork` without `exec` the child is silent: it may go on making spans, but nothing of it
//! comes into the parent's file, nothing waits for a thread that it does not have, and it ends as
//! it would have without us.

use std::io::{Read, Write};
use std::sync::Barrier;
use std::time::Instant;

use spandrel_tests::prelude::*;
use spandrel_tests::system;

#[test]
fn a_forked_child_is_silent() {
    alone!();
    // In a process of its own, because a fork takes the test harness's threads with it.
    match child::role().as_deref() {
        None => {
            let rounds = rounds(1);
            let _limit = time_limit(120 * rounds);
            let plans = ["drop", "close", "leak", "exit", "drop threads", "exit threads"];
            for plan in plans.repeat(rounds as usize) {
                child::plan(plan).start().succeed();
            }
        }
        Some(plan) => match plan.strip_suffix(" threads") {
            Some(ending) => fork_while_recording(ending, true),
            None => fork_while_recording(plan, false),
        },
    }
}

/// `threads_begin_and_end` says whether threads do so all the time, and with them all that we know of
/// a thread.
fn fork_while_recording(ending: &str, threads_begin_and_end: bool) {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).ring_capacity(65_536).build().unwrap();
    // A `Registry` has a lock of its own for threads that begin and end.
    let dispatch = match threads_begin_and_end {
        true => Dispatch::new(profiler.subscriber()),
        false => dispatch(&profiler),
    };
    // The child's copy is the last clone there, so that its drop is the one that would close.
    let mut owner = Some(profiler);
    // `tracing` has a lock, too, for spans that are made for the first time: a child that needs it
    // must not find another thread in it.
    let all_known = Barrier::new(4);
    let recorded: u64 = std::thread::scope(|scope| {
        let (halt, threads): (Vec<_>, Vec<_>) = (0..3)
            .map(|thread| {
                let (halt, halted) = std::sync::mpsc::channel::<()>();
                let (dispatch, all_known) = (&dispatch, &all_known);
                let record = move || {
                    within(dispatch, || {
                        let mut n = 0_u64;
                        while halted.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                            let record = || drop(info_span!("parent", thread, n));
                            if n > 0 && threads_begin_and_end {
                                std::thread::scope(|scope| {
                                    scope.spawn(|| within(dispatch, record));
                                });
                            } else {
                                record();
                            }
                            n += 1;
                            if n == 1 {
                                all_known.wait();
                            }
                            std::thread::yield_now();
                        }
                        n
                    })
                };
                (halt, scope.spawn(record))
            })
            .unzip();
        all_known.wait();
        let mut recorded = 0;
        within(&dispatch, || {
            // Entered inside spans that are not its parent: each entry is recorded by itself.
            let system = info_span!("system");
            recorded += 1;
            for n in 0..10_u64 {
                let span = info_span!("around the fork", n).entered();
                system.in_scope(|| ());
                let mut section = Some(owner.as_ref().unwrap().section("of the parent"));
                let (mut reader, mut writer) = std::io::pipe().unwrap();
                let fork = system::fork(|| {
                    let held = owner.take().unwrap();
                    for n in 0..1_000 {
                        info_span!("child", n).in_scope(|| info!("child"));
                        system.in_scope(|| ());
                    }
                    let began = Instant::now();
                    let flushed = held.flush(Duration::from_secs(5)).unwrap_err().kind();
                    let quick = began.elapsed() < Duration::from_secs(2);
                    let marked = held.mark("child").unwrap_err().kind() == ErrorKind::Forked;
                    let refused = marked && !held.section("child").is_recorded();
                    // The child's copy of a section that the parent has begun.
                    drop(section.take());
                    let refused = refused && held.stats().recorded == 0;
                    let _ = writer.write_all(&[u8::from(flushed == ErrorKind::Forked)]);
                    let _ = writer.write_all(&[u8::from(quick && refused)]);
                    match ending {
                        "close" => {
                            // Silent: it has nothing to close, and says how far the copy was.
                            let balanced = held.close().is_ok_and(|report| report.balances());
                            let quick = began.elapsed() < Duration::from_secs(2);
                            let _ = writer.write_all(&[u8::from(balanced && quick)]);
                        }
                        // Exit handlers and all.
                        "exit" => std::process::exit(0),
                        "leak" => std::mem::forget(held),
                        _ => drop(held),
                    }
                    0
                });
                let pid = fork.unwrap();
                assert_eq!(system::wait(pid).unwrap(), 0, "how the child ended");
                let mut answers = Vec::new();
                drop(writer);
                reader.read_to_end(&mut answers).unwrap();
                let expected = if ending == "close" { &[1, 1, 1][..] } else { &[1, 1][..] };
                assert_eq!(answers, expected, "flush, mark and close refused, at once");
                // Until here no copy of it has ended it.
                let flushed = owner.as_ref().unwrap().flush(Duration::from_secs(20));
                flushed.unwrap();
                let db = spandrel_tests::Database::open(scratch.db());
                assert_eq!(db.count("SELECT count(*) FROM mark WHERE until_ns IS NULL"), 1);
                drop(section);
                drop(span);
                recorded += 1;
            }
        });
        drop(halt);
        recorded + threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
    });
    let report = owner.unwrap().close().unwrap();
    assert_eq!(report.recorded, recorded);
    let db = ledger::check(scratch.db(), &report);
    assert_eq!(report.dropped.total(), report.dropped.ring_full + report.dropped.contended);
    assert_eq!(db.count("SELECT count(*) FROM spans WHERE name = 'child'"), 0);
    assert_eq!(db.count("SELECT count(*) FROM events"), 0);
    assert_eq!(report.entries.recorded, 10, "those of the parent");
    assert_eq!(db.count("SELECT count(*) FROM mark WHERE label = 'child'"), 0);
    assert_eq!(db.count("SELECT count(*) FROM mark WHERE until_ns IS NOT NULL"), 10);
    // The other threads leave no room in the ring now and then.
    let around = db.count("SELECT count(*) FROM spans WHERE name = 'around the fork'");
    assert!((10_u64.saturating_sub(report.dropped.total())..=10).contains(&around), "{around}");
}
