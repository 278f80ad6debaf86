//! Rings as the recorder leaves them, and as anybody might have changed them since.
//!
//! `SPANDREL_TEST_WORDS` sets how many times words are changed (default 600); as it was run with 100,000: SPANDREL_TEST_WORDS=100000 and --release, some 3 minutes.

use std::collections::HashMap;
use std::path::PathBuf;

use spandrel_ring::file::Reader;
use spandrel_storage::{SpanRow, Status, Store, StoreOptions};
use tempfile::TempDir;
use tracing::{Dispatch, dispatcher, info_span};

use super::left::{LONG, Left, UUID, places, profile, recovered};
use super::scan::Scan;
use super::*;
use crate::recorder::losses::KINDS;
use crate::recorder::ring_file::own::run_bytes;
use crate::writer::raw::RawBatch;

mod harmed;

/// How often each record is there, by its words.
fn records(scan: &Scan) -> HashMap<Vec<u64>, u64> {
    let mut all = HashMap::new();
    for words in scan.records.words_of(scan.records.piece(usize::MAX)) {
        *all.entry(words.to_vec()).or_default() += 1;
    }
    all
}

fn lost(recovery: &Recovery) -> u64 {
    recovery.ledger.dropped.total() + recovery.events_ledger.dropped.total()
}

#[test]
fn a_ring_that_nobody_has_drained_is_stored_as_it_was_recorded() {
    let left = Left::by(100);
    let scan = left.scan().unwrap();
    assert_eq!(scan.sound, [400, 100, 100, 0, 0]);
    assert_eq!((scan.damaged, scan.abandoned, scan.open_damaged), ([0; 5], 0, 0));
    assert_eq!(scan.published, scan.sound);
    let names: Vec<_> = scan.open.iter().map(|left| left.seen.callsite).collect();
    assert_eq!(names.len(), 2);
    let (folder, done) = recovered(scan);
    let done = done.unwrap();
    assert_eq!((done.spans, done.events, done.crashed, done.damaged), (400, 100, 2, 0));
    assert_eq!((done.ledger.recorded, done.ledger.stored), (402, 402));
    let reader = spandrel_query::Reader::open(folder.path().join("p.db")).unwrap();
    assert!(reader.contradictions(1).unwrap().is_empty());
    let mut texts = Vec::new();
    reader
        .spans(1, |span| {
            texts.push((span.callsite.name.to_string(), span.status, span.fields.clone()));
        })
        .unwrap();
    let of = |name: &str| texts.iter().filter(|text| text.0 == name).collect::<Vec<_>>();
    assert_eq!(of("query")[0].2.as_deref(), Some(r#"{"n":0,"pin":"[redacted]"}"#));
    let open = of("open");
    assert_eq!((open.len(), open[0].1), (1, Status::Crashed));
    assert!(open[0].2.as_ref().unwrap().contains(&"x".repeat(LONG)));
}

#[test]
fn whoever_is_killed_between_two_batches_leaves_what_the_next_one_completes() {
    let left = Left::by(100);
    let (folder, mut store) = profile();
    let id = run_bytes(UUID);
    fn begin(store: &mut Store, scan: Scan) -> Result<Recover<'_>, Error> {
        Recover::begin(
            store,
            Path::new("ring"),
            (run_bytes(UUID), UUID),
            scan,
            Some(0),
            End::Crashed,
        )
    }
    for stop in [1, 2] {
        let drained = store.drained(&id).unwrap();
        let from = |partition| {
            let row = drained.iter().find(|row| row.partition == Some(partition));
            row.map_or(0, |row| row.position)
        };
        let mut reader = Reader::new(left.bytes.as_slice()).unwrap();
        let names = scan::names(&mut reader, true).unwrap();
        let scan = Scan::of(&mut reader, names, from, None).unwrap();
        if stop == 2 {
            begin(&mut store, scan).unwrap().run().unwrap();
            break;
        }
        // One batch, and no more.
        let mut first = begin(&mut store, scan).unwrap();
        let mut none = RawBatch::default();
        first.converter.count_late_children(&mut first.scan.records, &mut none, |_| ());
        let marks = std::mem::take(&mut first.scan.marks);
        first.store_piece(0..marks[0].records, &marks[..1]).unwrap();
        assert!(marks.len() > 1 || marks[0].records > 0);
        store.leave_run().unwrap();
    }
    assert!(is_done(&store.drained(&id).unwrap()));
    store.close().unwrap();
    let reader = spandrel_query::Reader::open(folder.path().join("p.db")).unwrap();
    let run = reader.run(1).unwrap().unwrap();
    assert_eq!((run.spans, run.unfinished, run.events, run.links), (402, 2, 100, 100));
    assert!(reader.contradictions(1).unwrap().is_empty());
}

#[test]
fn whatever_is_changed_is_found_or_is_one_value_and_nothing_worse_comes_of_it() {
    let times = std::env::var("SPANDREL_TEST_WORDS").ok().and_then(|n| n.parse().ok());
    let times: u64 = times.unwrap_or(600);
    let mut left = Left::by(60);
    let whole = left.scan().unwrap();
    let (known, published) = (records(&whole), whole.published.iter().sum::<u64>());
    let count = whole.sound.iter().sum::<u64>();
    let sections = places(&left.bytes);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (mut found_damaged, mut stored) = (0, 0);
    for time in 0..times {
        let mut before = Vec::new();
        let words = 1 + next() % 4;
        for _ in 0..words {
            let section = &sections[next() as usize % sections.len()];
            let at = 8 * (section.start + next() as usize % section.len());
            let was: [u8; 8] = left.bytes[at..at + 8].try_into().unwrap();
            before.push((at, was));
            let was = u64::from_ne_bytes(was);
            let now = match next() % 5 {
                0 => 0,
                1 => u64::MAX,
                2 => next(),
                3 => was.wrapping_add(next() % 5).wrapping_sub(2),
                _ => was ^ 1 << (next() % 64),
            };
            left.bytes[at..at + 8].copy_from_slice(&now.to_ne_bytes());
        }
        if let Ok(scan) = left.scan() {
            let mut changed = 0;
            let mut missing = count;
            for (words, n) in records(&scan) {
                let same = known.get(&words).copied().unwrap_or(0).min(n);
                changed += n - same;
                missing -= same;
            }
            assert!(changed <= words, "{changed} records of {words} words");
            let damaged = scan.damaged.iter().sum::<u64>();
            let sound = scan.sound.iter().sum::<u64>();
            let said = scan.published.iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
            // A count that is too small was changed itself.
            let rest = said.max(published.min(said.saturating_add(words))).saturating_sub(sound);
            assert!(
                missing <= damaged + changed + rest.max(scan.abandoned),
                "{missing} missing of {count}"
            );
            found_damaged += damaged + scan.open_damaged + scan.abandoned;
            if time % 20 == 0 {
                let sound: u64 = scan.sound.iter().sum();
                let (folder, done) = recovered(scan);
                let done = done.unwrap_or_else(|error| panic!("{error}"));
                assert!(done.ledger.balances() && done.events_ledger.balances());
                let path = folder.path().join("p.db");
                let reader = spandrel_query::Reader::open(&path).unwrap();
                let run = reader.run(1).unwrap().unwrap();
                assert!(run.spans + run.events + run.links + run.entries <= sound + done.crashed);
                let found = reader.contradictions(1).unwrap();
                assert!(found.is_empty(), "{found:?}");
                assert_eq!(done.ledger.stored, run.spans, "{done:?}");
                assert!(lost(&done) >= run.dropped_spans + run.dropped_events, "{done:?} {run:?}");
                stored += run.spans;
            }
        }
        for (at, was) in before.into_iter().rev() {
            left.bytes[at..at + 8].copy_from_slice(&was);
        }
    }
    assert!(found_damaged > 0 && stored > 0);
    assert_eq!(records(&left.scan().unwrap()), known, "all is as it was");
}

#[test]
fn a_file_that_is_cut_anywhere_is_read_as_far_as_it_goes() {
    let left = Left::by(30);
    let whole = left.scan().unwrap();
    // `SPANDREL_TEST_LENGTHS=1` for every length.
    let step = std::env::var("SPANDREL_TEST_LENGTHS").ok().and_then(|n| n.parse().ok());
    let step: usize = step.unwrap_or(left.bytes.len() / 97);
    let pages =
        (4_096..left.bytes.len()).step_by(4_096).flat_map(|page| [page - 8, page, page + 1]);
    for len in (0..left.bytes.len()).step_by(step).chain((0..4_096).step_by(8)).chain(pages) {
        let cut = Left { bytes: left.bytes[..len].to_vec() };
        if let Ok(scan) = cut.scan() {
            for kind in 0..KINDS {
                assert!(scan.sound[kind] <= whole.sound[kind], "{len}");
            }
        }
    }
}

#[test]
fn what_is_no_ring_or_another_builds_is_refused_and_nothing_is_stored() {
    let left = Left::by(1);
    let mut other = Left { bytes: left.bytes.clone() };
    // The hash of the recorder's numbers, in the header; and then the header's own sum does not fit.
    other.bytes[192] ^= 1;
    assert!(other.scan().unwrap_err().contains("damaged"));
    assert!(Left { bytes: vec![0; 1 << 16] }.scan().unwrap_err().contains("no ring file"));
    assert!(Left { bytes: Vec::new() }.scan().is_err());
}

#[test]
fn a_span_of_which_not_all_children_are_known_has_no_self_time() {
    let span = |id, self_ns| SpanRow { id, self_ns, busy_ns: Some(9), ..SpanRow::default() };
    let mut spans = [span(1, Some(7)), span(2, None), span(3, Some(7))];
    without_self_times(&mut spans, 3);
    let self_times = spans.map(|span| (span.self_ns, span.self_busy()));
    assert_eq!(self_times, [(Some(0), Some(0)), (None, None), (Some(7), Some(9))]);
}

#[test]
fn what_was_recorded_before_the_counter_began_anew_is_not_damaged() {
    let left = Left::by(100);
    let mut all = Vec::new();
    for words in left.scan().unwrap().records.words_of(0..600) {
        if let Some(crate::recorder::record::Record::Span(head, _)) =
            crate::recorder::record::read(words)
        {
            all.extend([head.start, head.end]);
        }
    }
    assert_eq!(all.len(), 800);
    let mut reader = Reader::new(left.bytes.as_slice()).unwrap();
    let monotonic_ns = spandrel_ring::file::monotonic_ns() + 60_000_000_000;
    let now = times::Now { ticks: 1_000_000, monotonic_ns };
    let moments = times::of_clock(&mut reader, Some(now), || 1 << 39).unwrap().ticks;
    assert!(all.iter().all(|at| moments.contains(at)), "{moments:?}");
}

/// A thread that opens a span now and then, more than 10 ms after the last one, begins a block of ids each time: the bound of
/// ids in what it leaves takes that into account.
#[test]
fn what_slow_threads_record_is_not_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let left = Left::recorded(&folder.path().join("p.db"), 1, |recorder, consumer, read| {
        let token = crate::recorder::local::get(recorder).unwrap();
        let mut drain = || {
            for partition in 0..consumer.partitions() {
                consumer.drain(partition, usize::MAX, |_| ());
            }
        };
        let start = recorder.clock.ticks();
        for n in 0..600_000_u64 {
            // As `Site::enter` does more than 10 ms after the last one.
            assert!(token.renew_ids(recorder, start + n * 30_000_000));
            drop(info_span!("one a block"));
            if n % 500 == 0 {
                drain();
            }
        }
        drain();
        for _ in 0..500 {
            drop(info_span!("last"));
        }
        let _open = info_span!("open").entered();
        read()
    });
    let scan = left.scan().unwrap();
    assert_eq!((scan.damaged, scan.open_damaged), ([0; 5], 0));
    assert_eq!((scan.open.len(), scan.sound[0]), (1, 500));
}
