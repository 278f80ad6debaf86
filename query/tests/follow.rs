//! Whoever follows a recording gets each span once, however late it is committed.

use std::ops::ControlFlow;

use proptest::prelude::*;
use spandrel_query::Reader;
use spandrel_query::follow::Follow;
use spandrel_storage::{Batch, OpenSpanRow, Store, StoreOptions};

use crate::common::{self, callsite, span, store};

/// Commits spans with these ids.
fn commit(store: &mut Store, ids: &[u64]) {
    let callsite_id = store.intern_callsite(&callsite("work"));
    let thread_id = store.thread_id(1);
    let spans = ids.iter().map(|id| span(*id, callsite_id, thread_id)).collect();
    store.append(&mut Batch { spans, ..Batch::default() }).unwrap();
}

/// Says which spans are open.
fn list_open(store: &mut Store, ids: &[u64]) {
    let callsite_id = store.intern_callsite(&callsite("work"));
    let thread_id = store.thread_id(1);
    let rows = ids.iter().map(|id| OpenSpanRow {
        span: span(*id, callsite_id, thread_id),
        seen_ns: *id as i64 * 1_000_000 + 1,
    });
    let open_spans = Some(rows.collect());
    store.append(&mut Batch { open_spans, ..Batch::default() }).unwrap();
}

fn poll(follow: &mut Follow, reader: &Reader) -> Vec<u64> {
    let mut ids = Vec::new();
    loop {
        let polled = follow.poll(reader).unwrap();
        ids.extend(polled.spans.iter().map(|span| span.id));
        if !polled.more {
            return ids;
        }
    }
}

fn new_store(path: &std::path::Path) -> Store {
    let mut store = store(path, &StoreOptions::default());
    store.intern_thread(1, 1, Some("main"));
    store
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Spans are committed in any order, some before the beginning; gaps are never filled.
    #[test]
    fn each_span_comes_once(
        order in Just((1_u64..300).collect::<Vec<_>>()).prop_shuffle(),
        near in any::<bool>(),
        commits in proptest::collection::vec((1_usize..40, any::<bool>()), 1..20),
        begin in 0_usize..6,
    ) {
        let mut order = order;
        if near {
            // As in a real recording: mostly in order.
            order.sort_unstable_by_key(|id| id / 16 + (id % 7) * 3);
        }
        let (_folder, path) = common::place();
        let mut store = new_store(&path);
        let mut following: Option<(Reader, Follow)> = None;
        let (mut before, mut expected, mut got) = (Vec::new(), Vec::new(), Vec::new());
        let mut rest = order.as_slice();
        for (step, (count, polls)) in commits.into_iter().enumerate() {
            if step == begin {
                let reader = Reader::open(&path).unwrap();
                let follow = Follow::new(&reader, 1, false).unwrap();
                following = Some((reader, follow));
            }
            let (now, later) = rest.split_at(count.min(rest.len()));
            rest = later;
            commit(&mut store, now);
            match &mut following {
                None => before.extend_from_slice(now),
                Some((reader, follow)) => {
                    expected.extend_from_slice(now);
                    if polls {
                        got.extend(poll(follow, reader));
                    }
                }
            }
        }
        if let Some((reader, follow)) = &mut following {
            got.extend(poll(follow, reader));
            let mut last = Vec::new();
            follow.before(reader, |span| { last.push(span.id); ControlFlow::Continue(()) }).unwrap();
            prop_assert!(last.is_sorted_by(|a, b| a > b));
            // What has come meanwhile is known by now, too.
            last.retain(|id| before.contains(id));
            last.sort_unstable();
            before.sort_unstable();
            prop_assert_eq!(last, before);
            prop_assert_eq!(follow.missed(), 0);
            prop_assert!(poll(follow, reader).is_empty());
        }
        got.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(got, expected);
    }
}

#[test]
fn a_span_that_took_very_long_is_found_whether_it_was_listed_or_not() {
    let (_folder, path) = common::place();
    let mut store = new_store(&path);
    commit(&mut store, &[1, 2, 5_000_000, 5_000_001]);
    list_open(&mut store, &[3]);
    let reader = Reader::open(&path).unwrap();
    let mut follow = Follow::new(&reader, 1, false).unwrap();
    assert!(follow.is_changed(&reader).unwrap());
    assert!(poll(&mut follow, &reader).is_empty());
    assert!(!follow.is_changed(&reader).unwrap());
    commit(&mut store, &[3, 4_999_999]);
    assert!(follow.is_changed(&reader).unwrap());
    assert_eq!(poll(&mut follow, &reader), [3, 4_999_999]);
    commit(&mut store, &[4, 5_000_002]);
    assert_eq!(poll(&mut follow, &reader), [4, 5_000_002]);
    list_open(&mut store, &[5_000_010]);
    assert!(poll(&mut follow, &reader).is_empty());
    commit(&mut store, &[900_000_000]);
    list_open(&mut store, &[]);
    assert_eq!(poll(&mut follow, &reader), [900_000_000]);
    commit(&mut store, &[5_000_010]);
    assert_eq!(poll(&mut follow, &reader), [5_000_010]);
    assert_eq!(follow.missed(), 0);
}

#[test]
fn a_run_is_followed_from_its_start_and_in_pieces() {
    let (_folder, path) = common::place();
    let mut store = new_store(&path);
    commit(&mut store, &[1, 2, 3]);
    drop(store);
    let mut store = new_store(&path); // a run of its own
    let ids: Vec<u64> = (4..45_004).collect();
    commit(&mut store, &ids);
    let reader = Reader::open(&path).unwrap();
    let mut follow = Follow::from_start(&reader, 2, true).unwrap();
    let first = follow.poll(&reader).unwrap();
    assert!(first.more && first.spans.len() < 45_000 && first.events.is_empty());
    let rest = poll(&mut follow, &reader);
    assert_eq!(first.spans.len() + rest.len(), 45_000);
    assert_eq!((follow.missed(), follow.run_id()), (0, 2));
    assert!(Follow::new(&reader, 9, false).is_err());
}

#[test]
fn what_retention_took_before_it_was_seen_is_counted() {
    let (_folder, path) = common::place();
    let mut store = new_store(&path);
    commit(&mut store, &[1, 2]);
    let reader = Reader::open(&path).unwrap();
    let mut follow = Follow::new(&reader, 1, false).unwrap();
    commit(&mut store, &[3, 4, 5]);
    store.prune_before(i64::MAX).unwrap();
    assert!(poll(&mut follow, &reader).is_empty());
    assert_eq!(follow.missed(), 3);
    commit(&mut store, &[6]);
    assert_eq!(poll(&mut follow, &reader), [6]);
}
