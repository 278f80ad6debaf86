//! A recording at default settings takes little memory: when it begins, and while spans are made as fast as
//! they can be.
#![cfg(target_os = "linux")]

use std::fs;

use spandrel_tests::prelude::*;

/// What nobody else has in memory, in KiB: without programs and libraries.
fn anonymous_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_recording_at_default_settings_takes_no_more_than_24_mib() {
    let scratch = scratch_for(120);
    let before = anonymous_kib();
    let profiler = Profiler::builder().database(scratch.db()).build().unwrap();
    let dispatch = dispatch(&profiler);
    let at_first = anonymous_kib() - before;
    // 4 MiB are the ring.
    assert!(at_first < 10 << 10, "{at_first} KiB before there is a span");
    let mut most = 0;
    within(&dispatch, || {
        for tree in 0..3_000_u64 {
            let root = info_span!("root", tree, ratio = 0.5, kind = "checkout").entered();
            for child in 0..100_u64 {
                drop(info_span!("child", child, ratio = 0.5, kind = "checkout").entered());
            }
            drop(root);
            if tree.is_multiple_of(10) {
                most = most.max(anonymous_kib() - before);
            }
        }
    });
    assert!(most < 24 << 10, "{most} KiB");
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, 303_000);
    ledger::check(scratch.db(), &report);
}
