//! The parts of the memory that a recording says it takes are what the process has grown by.
#![cfg(target_os = "linux")]

use std::fs;

use spandrel::{Memory, MemoryPart, MemoryUse};
use spandrel_tests::prelude::*;

/// Of the process, in bytes.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

/// What nobody else has in memory: without programs and libraries, and with a ring file, which lies in memory.
fn anonymous() -> u64 {
    status("RssAnon:") + status("RssShmem:")
}

const MIB: u64 = 1 << 20;
/// What is not in the list: statements of SQLite, stacks, what lies between pieces of memory in use.
const BESIDE: u64 = 6 * MIB;

/// Compares what is in the list with what the process has grown by.
fn compare(memory: &Memory, grown: u64, when: &str) {
    let (total, parts) = (memory.total(), memory.iter().map(|(_, part)| part.used));
    assert_eq!(total.used, parts.sum::<u64>());
    assert!(memory.iter().all(|(_, part)| part.used <= part.reserved), "{when}: {memory:?}");
    assert!(memory.peak() >= total.used, "{when}: {memory:?}");
    assert!(total.used <= grown + MIB, "{when}: {grown} bytes more, and listed: {memory}");
    // Of tables it is known what was touched. All else has been, some time, and what was given back since is
    // kept by the allocator.
    let touched: u64 = memory
        .iter()
        .map(|(part, bytes)| match part {
            MemoryPart::OpenSpans => bytes.used,
            _ => bytes.reserved.max(memory.peak_of(part)),
        })
        .sum();
    assert!(touched + BESIDE >= grown, "{when}: {grown} bytes more, and listed: {memory:?}");
}

fn tree() {
    let root = info_span!("root", ratio = 0.5, kind = "checkout").entered();
    for child in 0..50_u64 {
        drop(info_span!("child", child, ratio = 0.5, kind = "checkout").entered());
    }
    drop(root);
}

#[test]
fn memory_is_listed_as_the_process_has_it() {
    alone!();
    let scratch = scratch_for(120);
    let (before, peak_before) = (anonymous(), status("VmHWM:"));
    let builder = Profiler::builder().database(scratch.db()).max_open_spans(40_000);
    // All that is recorded below fits; and nobody makes rows of all open spans meanwhile.
    let builder = builder.ring_capacity(262_144).partitions(1);
    let profiler = builder.flush_interval(Duration::from_secs(600)).build().unwrap();
    // `Registry` has memory of its own.
    let dispatch = Dispatch::new(profiler.subscriber());
    let memory = || {
        drop(info_span!("and another").entered());
        profiler.flush(Duration::from_secs(60)).unwrap();
        profiler.stats().memory
    };
    within(&dispatch, || {
        tree();
        let first = memory();
        compare(&first, anonymous() - before, "at first");
        assert_eq!(first.by(MemoryPart::Ring), MemoryUse::whole(16 << 20));
        // More than are open otherwise; some with fields that do not fit beside their span.
        let text = "x".repeat(400);
        let long = |n| (n < 2_000).then_some(&*text);
        let open: Vec<_> = (0..30_000).map(|n| info_span!("waits", n, text = long(n))).collect();
        drop(open);
        for _ in 0..20 {
            tree();
            profiler.flush(Duration::from_secs(60)).unwrap();
        }
        let then = memory();
        compare(&then, anonymous() - before, "then");
        let [few, many] = [first, then].map(|memory| memory.by(MemoryPart::OpenSpans));
        assert_eq!(many.reserved, few.reserved);
        let (places, texts) = (30_000 * 256, 2_000 * 400);
        // What lies in a file is touched when that is made.
        let grows = !profiler.stats().is_crash_proof;
        assert!(many.used >= places + texts, "{few:?}, {many:?}");
        assert!(many.used >= 2 * few.used || !grows, "{few:?}, {many:?}");
    });
    let report = profiler.close().unwrap();
    let memory = report.memory;
    // A batch of them is in hand before a commit.
    assert!(memory.peak_of(MemoryPart::Drained) >= 51 * 64, "{memory:?}");
    assert!(memory.peak_of(MemoryPart::Rows) > memory.by(MemoryPart::Rows).used, "{memory:?}");
    assert!(memory.peak() <= status("VmHWM:") - peak_before + MIB, "{memory:?}");
    let db = Database::open(scratch.db());
    let in_file = |path: &str| db.count(&format!("SELECT report ->> '$.memory.{path}' FROM run"));
    assert_eq!(in_file("parts[0].used_bytes"), 16 * MIB);
    assert_eq!(
        (in_file("used_bytes"), in_file("peak_bytes")),
        (memory.total().used, memory.peak())
    );
}
