//! Reads for whoever looks again and again: rollups and states of the writer in a window, ids near a
//! moment, spans by ids, and filters that ask callsites.

use std::ops::ControlFlow;

use spandrel_query::{Filter, Scan};
use spandrel_query::{Reader, WriterStat};
use spandrel_storage::StoreOptions;

use crate::common;

const SECOND_NS: i64 = 1_000_000_000;

/// 10,000 spans, one each millisecond, and a state of the writer each second.
fn ten_seconds() -> (tempfile::TempDir, Reader) {
    let (folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    for second in 0..10 {
        let mut batch = common::batch(&mut store, 1_000);
        batch.writer_stat = Some(WriterStat { at_ns: second * SECOND_NS, ..common_stat() });
        store.append(&mut batch).unwrap();
    }
    store.close().unwrap();
    let reader = Reader::open(path).unwrap();
    (folder, reader)
}

fn common_stat() -> WriterStat {
    WriterStat { dropped: "{}".into(), events_dropped: "{}".into(), ..WriterStat::default() }
}

#[test]
fn rollups_of_a_window_are_those_that_begin_in_it() {
    let (_folder, reader) = ten_seconds();
    let calls = |from, until, callsites: &[i64]| {
        let mut calls = Vec::new();
        let each = |rollup: spandrel_query::Rollup| {
            assert_eq!(rollup.histogram.count(), rollup.calls);
            calls.push((rollup.at_ns / SECOND_NS, rollup.calls));
        };
        reader.rollups(1, from, until, callsites, each).unwrap();
        calls
    };
    let all = calls(i64::MIN, i64::MAX, &[]);
    assert_eq!(all.iter().map(|(_, calls)| calls).sum::<u64>(), 10_000);
    let window = calls(2 * SECOND_NS, 4 * SECOND_NS, &[]);
    assert_eq!(window, [(2, 1_000), (3, 1_000)]);
    assert_eq!(calls(2 * SECOND_NS, 4 * SECOND_NS, &[1]), window);
    assert_eq!(calls(0, i64::MAX, &[77]), []);
    assert_eq!(calls(4 * SECOND_NS, 2 * SECOND_NS, &[]), []);
}

#[test]
fn an_id_near_a_moment_is_found_and_bounds_a_scan() {
    let (_folder, reader) = ten_seconds();
    // The span with the id n starts after n ms.
    assert_eq!(reader.id_near(1, i64::MIN).unwrap(), 1);
    assert_eq!(reader.id_near(1, 5_000_000_000).unwrap(), 5_000);
    assert_eq!(reader.id_near(1, 5_000_000_001).unwrap(), 5_001);
    assert_eq!(reader.id_near(1, i64::MAX).unwrap(), 10_001);
    assert_eq!(reader.id_near(9, 0).unwrap(), 0);
    let ids = |first, last| {
        let mut ids = Vec::new();
        reader
            .scan(&Scan::new(1).ids(first, last), |span| {
                ids.push(span.id);
                ControlFlow::Continue(())
            })
            .unwrap();
        ids
    };
    assert_eq!(ids(4_999, 5_001), [4_999, 5_000, 5_001]);
    assert_eq!(ids(9_999, u64::MAX), [9_999, 10_000]);
    assert_eq!(ids(7, 6), Vec::<u64>::new());
    assert_eq!(ids(0, 2), [1, 2]);
}

#[test]
fn states_of_the_writer_from_a_moment_on() {
    let (_folder, reader) = ten_seconds();
    let stats = reader.writer_stats_since(1, 8 * SECOND_NS).unwrap();
    let all = reader.writer_stats(1).unwrap();
    assert_eq!(all.len(), 10);
    assert_eq!(stats, all[8..]);
}

#[test]
fn a_filter_can_ask_a_callsite_or_says_which_term_cannot() {
    let (_folder, reader) = ten_seconds();
    let callsite = reader.callsite(1).unwrap();
    assert_eq!(callsite.name, "work");
    for (text, holds) in [("wor", true), ("name=x", false), ("not name=x level<=info", true)] {
        let filter = Filter::parse(text).unwrap();
        assert_eq!(filter.term_beyond_callsite(), None, "{text}");
        assert_eq!(filter.matches_callsite(&callsite), holds, "{text}");
    }
    for (text, term) in [
        ("name=x dur>10ms", "dur>10ms"),
        ("thread=main", "thread=main"),
        ("x or not has:error", "has:error"),
        ("field.a=1", "field.a=1"),
    ] {
        assert_eq!(Filter::parse(text).unwrap().term_beyond_callsite(), Some(term));
    }
}
