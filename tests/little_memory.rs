//! A recording at default settings takes little memory: when it begins, while spans come no faster than they are stored,
//! and again when a burst is over, which takes up to 64 MiB more.
#![cfg(target_os = "linux")]

use std::fs;

use spandrel_tests::prelude::*;

/// What nobody else has in memory, in KiB: without programs and libraries.
fn anonymous_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Trees of a hundred spans with three fields; `after` each ten of them.
fn record(trees: u64, mut after: impl FnMut()) {
    for tree in 0..trees {
        let root = info_span!("root", tree, ratio = 0.5, kind = "checkout").entered();
        for child in 0..100_u64 {
            drop(info_span!("child", child, ratio = 0.5, kind = "checkout").entered());
        }
        drop(root);
        if tree % 10 == 9 {
            after();
        }
    }
}

#[test]
fn a_recording_at_default_settings_takes_no_more_than_24_mib_and_64_for_a_burst() {
    alone!();
    let scratch = scratch_for(120);
    let before = anonymous_kib();
    let taken = || anonymous_kib().saturating_sub(before);
    let profiler = Profiler::builder().database(scratch.db()).build().unwrap();
    let dispatch = dispatch(&profiler);
    // 4 MiB are the ring.
    assert!(taken() < 10 << 10, "{} KiB before there is a span", taken());
    let flush = || profiler.flush(Duration::from_secs(60)).unwrap();
    let mut most = 0;
    within(&dispatch, || {
        record(3_000, || {
            most = most.max(taken());
            flush();
        });
    });
    assert!(most < 24 << 10, "{most} KiB");
    // As fast as they can be made: in a debug build that may be no burst.
    within(&dispatch, || record(3_000, || most = most.max(taken())));
    assert!(most < (24 + 64) << 10, "{most} KiB in a burst");
    flush();
    assert!(taken() < 24 << 10, "{} KiB after a burst", taken());
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, 2 * 303_000);
    ledger::check(scratch.db(), &report);
}
