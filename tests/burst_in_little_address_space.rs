//! A program whose address space has a limit: a burst does not take the last of it for records that are no rows
//! yet, so that neither the program nor SQLite finds none.
#![cfg(target_os = "linux")]

use std::sync::Barrier;

use spandrel::MemoryPart;
use spandrel_tests::prelude::*;
use spandrel_tests::system;

const THREADS: u64 = 4;
const SPANS: u64 = 40_000;

fn address_space() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn a_burst_leaves_the_program_what_address_space_there_is() {
    alone!();
    match child::role().as_deref() {
        None => {
            let _limit = time_limit(240);
            // In MiB: no region for a backlog.
            ["32", "8"].iter().for_each(|left| child::plan(left).start().succeed());
        }
        Some(left) => burst(left.parse::<u64>().unwrap() << 20),
    }
}

fn burst(left: u64) {
    let scratch = scratch_for(120);
    let profiler = Profiler::builder().database(scratch.db()).build().unwrap();
    let dispatch = subscriber(&profiler);
    let text = "x".repeat(240);
    let text = text.as_str();
    let (all_known, go) = (Barrier::new(THREADS as usize + 1), Barrier::new(THREADS as usize + 1));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                within(&dispatch, || {
                    drop(info_span!("before").entered());
                    all_known.wait();
                    go.wait();
                    (0..SPANS).for_each(|n| drop(info_span!("burst", n, text).entered()));
                });
            });
        }
        all_known.wait();
        profiler.flush(Duration::from_secs(60)).unwrap();
        system::limit_address_space(address_space() + left).unwrap();
        go.wait();
    });
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, THREADS * (1 + SPANS), "{report}");
    assert_eq!(report.dropped.total(), report.dropped.ring_full, "{report}");
    // The ring and a batch in each hand, and not the 64 MiB that there would be else.
    let peak = report.stats.memory.peak_of(MemoryPart::Drained);
    assert!(peak < 24 << 20, "{peak} bytes with {left} bytes left: {report}");
    ledger::check(scratch.db(), &report);
}
