//! Rollups equal what the span rows say, whatever the order in which spans arrive.

use proptest::collection::vec;
use proptest::prelude::*;
use rusqlite::Connection;
use spandrel_storage::{Batch, SpanRow, Status, StoreOptions};

use crate::common;

/// Callsite, end in 10 ms, duration, share of self time, and status.
type Made = (u8, i64, i64, u8, u8);

fn made() -> impl Strategy<Value = Vec<Vec<Made>>> {
    let span = (0_u8..4, 0_i64..1_000, 0_u32..34, any::<i64>(), 0_u8..=100, 0_u8..9).prop_map(
        |(callsite, end, bits, duration, share, status)| {
            (callsite, end, duration & ((1 << bits) - 1), share, status)
        },
    );
    vec(vec(span, 0..30), 1..8)
}

fn row((callsite, end, duration, share, status): Made, id: u64, sites: &[i64]) -> SpanRow {
    let self_ns = duration / 100 * i64::from(share);
    let unfinished = status >= 7;
    SpanRow {
        start_ns: end * 10_000_000 - duration,
        duration_ns: (!unfinished).then_some(duration),
        busy_ns: Some(duration / 2),
        self_ns: (!unfinished).then_some(self_ns),
        status: match status {
            7 => Status::Unfinished,
            8 => Status::Crashed,
            6 => Status::Panicked,
            5 => Status::Error,
            _ => Status::Ok,
        },
        ..common::span(id, sites[usize::from(callsite)], 1)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn equal_a_recomputation(batches in made()) {
        let (_folder, path) = common::place();
        let mut store = common::store(&path, &StoreOptions::default());
        let sites: Vec<i64> =
            (0..4).map(|n| store.intern_callsite(&common::callsite(&format!("site {n}")))).collect();
        store.intern_thread(1, 1, None);
        for spans in batches {
            let first = store.next_id();
            let rows = spans.into_iter().zip(first..).map(|(made, id)| row(made, id, &sites));
            let mut batch = Batch { spans: rows.collect(), ..Batch::default() };
            batch.spans.reverse();
            store.append(&mut batch).unwrap();
            let conn = Connection::open(&path).unwrap();
            prop_assert_eq!(common::stored(&conn, 1), common::recomputed(&conn, 1));
        }
        drop(store);
        common::assert_counted(&path, 1);
    }
}
