//! A ring or a table that does not fit memory is refused: nothing is touched, the process lives, and the
//! message names the setting and what it would take.

use spandrel_tests::prelude::*;
use spandrel_tests::system;

fn refused(builder: ProfilerBuilder, setting: &str) {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption, "{error}");
    let message = error.to_string();
    for word in [setting, "memory", "choose a smaller value"] {
        assert!(message.contains(word), "{word}: {message}");
    }
}

#[test]
fn what_is_larger_than_memory_is_refused_by_name() {
    alone!();
    let _limit = time_limit(60);
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
    let kib: u64 = total.trim().trim_end_matches("kB").trim().parse().unwrap();
    if kib >= 128 << 20 {
        skipped(format_args!("this machine has memory for the largest ring"));
        return;
    }
    let scratch = scratch();
    refused(Profiler::builder().database(scratch.db()).ring_capacity(1 << 32), "ring_capacity");
    assert!(!scratch.db().exists(), "before the file is made");
    let profiler = small(scratch.db()).build().unwrap();
    within(&dispatch(&profiler), || drop(info_span!("after it")));
    assert_eq!(profiler.close().unwrap().stored, 1);
}

#[test]
fn an_allocation_that_fails_is_an_error_and_no_abort() {
    alone!();
    if child::role().is_some() {
        system::limit_address_space(3 << 30).unwrap();
        let scratch = scratch();
        let small = || small(scratch.db());
        refused(small().ring_capacity(1 << 26), "ring_capacity");
        refused(small().max_open_spans(1 << 23), "max_open_spans");
        let profiler = small().build().unwrap();
        within(&dispatch(&profiler), || drop(info_span!("after it")));
        assert_eq!(profiler.close().unwrap().stored, 1);
        return;
    }
    let _limit = time_limit(60);
    child::plan("limited").start().succeed();
}
