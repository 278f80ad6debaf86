//! Single rings, looked at as a collector does it.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking, also in its helpers

use std::collections::HashMap;
use std::fs::Permissions;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use spandrel_ring::file::Reader;
use spandrel_storage::{Store, StoreOptions};
use tempfile::TempDir;
use tracing::info_span;

use super::begin::Opened;
use super::ids::{FreeIds, OwnIds};
use super::ring::{End, Ring, Round};
use super::{CollectOptions, Collecting, Collector};
use crate::recorder::record::{Ids, Record, read};
use crate::writer::recover::left::Left;
use crate::{Profiler, ProfilerBuilder};

/// A folder in memory, for ring files.
fn folder() -> TempDir {
    let ours = Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(ours).tempdir_in("/dev/shm").unwrap()
}

fn small_in(folder: &Path) -> ProfilerBuilder {
    Profiler::builder().collected(folder).partitions(2).ring_capacity(1 << 12).max_open_spans(1_024)
}

fn profile_in(folder: &Path) -> (PathBuf, Store) {
    let path = folder.join("p.db");
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    (path, store)
}

fn ring_files(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|it| it == "ring")).collect()
}

fn open(path: &Path, store: &Store) -> Box<Ring> {
    match Ring::open(path, store).unwrap() {
        Opened::Ring(ring) => ring,
        _ => panic!("{path:?}"),
    }
}

/// The only one of a folder, with a run of its own.
fn begun(folder: &Path, store: &mut Store) -> (Box<Ring>, FreeIds) {
    let files = ring_files(folder);
    let [file] = &files[..] else { panic!("{files:?}") };
    let (mut ring, mut free) = (open(file, store), FreeIds::new());
    ring.begin(store, &mut free, 0).unwrap();
    (ring, free)
}

#[test]
fn children_of_parents_that_are_stored_do_not_stay_for_good() {
    let (folder, database) = (folder(), tempfile::tempdir().unwrap());
    let profiler = small_in(folder.path()).build().unwrap();
    let (path, mut store) = profile_in(database.path());
    let (mut ring, mut free) = begun(folder.path(), &mut store);
    let mut parents = 0;
    tracing::subscriber::with_default(profiler.subscriber(), || {
        for _ in 0..40 {
            let mut rounds = || {
                for _ in 0..3 {
                    info_span!("other").in_scope(|| ());
                    ring.round((&mut store, &mut free), true, &mut |_| true).unwrap();
                }
            };
            let child = |_| {
                info_span!("parent").in_scope(|| {
                    let child = info_span!("child");
                    child.in_scope(std::thread::yield_now);
                    child
                })
            };
            let children: Vec<_> = (0..500).map(child).collect();
            parents += children.len() as i64;
            rounds();
            drop(children);
            rounds();
        }
    });
    let times = &ring.run.as_ref().unwrap().converter.self_times;
    assert!(!times.is_crowded(), "{:?}", times.memory());
    profiler.close().unwrap();
    ring.end((&mut store, &mut free), &mut |_| true).unwrap();
    store.close().unwrap();
    let mut spans = HashMap::new();
    let reader = spandrel_query::Reader::open(&path).unwrap();
    reader.spans(1, |span| _ = spans.insert(span.id, span)).unwrap();
    let mut found = 0;
    for child in spans.values() {
        let Some(parent) = child.parent_id else { continue };
        let parent = &spans[&parent];
        let (own, all) = (parent.self_ns.unwrap(), parent.last_exit_ns.unwrap());
        assert!(own + child.busy_ns.unwrap() <= all, "{parent:?} {child:?}");
        found += 1;
    }
    assert_eq!(found, parents);
}

#[test]
fn a_ring_that_is_closed_is_looked_at_again_before_it_ends() {
    let (folder, database) = (folder(), tempfile::tempdir().unwrap());
    let profiler = small_in(folder.path()).build().unwrap();
    let (_, mut store) = profile_in(database.path());
    let (mut ring, mut free) = begun(folder.path(), &mut store);
    tracing::subscriber::with_default(profiler.subscriber(), || info_span!("a").in_scope(|| ()));
    let mut stored = 0;
    while stored == 0 {
        if let Round::Stored(records) =
            ring.round((&mut store, &mut free), true, &mut |_| true).unwrap()
        {
            stored = records;
        }
    }
    // Nothing of it has moved since.
    profiler.close().unwrap();
    assert_ne!(ring.round((&mut store, &mut free), false, &mut |_| true).unwrap(), Round::Ended);
    let End { crashed, spans, .. } = ring.end((&mut store, &mut free), &mut |_| true).unwrap();
    assert_eq!((crashed, spans.recorded, spans.stored), (false, 1, 1));
}

/// Words of the header, as `docs/src/reference/ring-file.md` has them.
const STATE: usize = 3;
const PID: usize = 10;
const PARTITIONS: usize = 36;
const HEADER_WORDS: usize = 512;

fn word_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[8 * at..8 * at + 8].try_into().unwrap())
}

fn set(bytes: &mut [u8], at: usize, to: u64) {
    bytes[8 * at..8 * at + 8].copy_from_slice(&to.to_ne_bytes());
}

fn sign(bytes: &mut [u8]) {
    let words = (0..HEADER_WORDS - 1).filter(|at| *at != STATE);
    let sum = words.fold(u64::from_le_bytes(*b"SPANRING"), |sum, at| {
        let mixed = (sum ^ word_at(bytes, at)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ (mixed >> 32)
    });
    set(bytes, HEADER_WORDS - 1, sum);
}

/// The words of a span with a parent, and where they are in the file.
fn child_in(bytes: &[u8]) -> (usize, [u64; 7]) {
    let mut found = None;
    let mut reader = Reader::new(bytes).unwrap();
    for partition in 0..reader.partitions() {
        let each = |record: spandrel_ring::file::Record<'_>| {
            if let Some(Record::Span(head, _)) = read(record.words)
                && head.parent != 0
            {
                found = Some(record.words[..7].try_into().unwrap());
            }
        };
        reader.drain(partition, 0, true, u64::MAX, each).unwrap();
    }
    let words: [u64; 7] = found.unwrap();
    let is_here = |at: &usize| (0..7).all(|n| word_at(bytes, at + n) == words[n]);
    ((0..bytes.len() / 8 - 7).find(is_here).unwrap(), words)
}

#[test]
fn what_a_dead_program_has_left_names_no_span_of_another_run() {
    // It may say that it has published so many that this can be.
    for published in [None, Some(1 << 40)] {
        let (crossed, damaged) = left_with_a_parent_in_another_run(published);
        assert!(
            crossed.is_empty() && (damaged > 0) == published.is_none(),
            "{crossed:?} {damaged}"
        );
    }
}

/// Spans whose parents are another run's; and how many records are damaged.
fn left_with_a_parent_in_another_run(published: Option<u64>) -> (Vec<spandrel_query::Span>, u64) {
    let folder = folder();
    let (database, mut store) = profile_in(folder.path());
    // A program that lives.
    let profiler = small_in(folder.path()).build().unwrap();
    let living = ring_files(folder.path()).remove(0);
    tracing::subscriber::with_default(profiler.subscriber(), || {
        (0..100).for_each(|_| info_span!("of the other").in_scope(|| ()));
    });
    let mut free = FreeIds::new();
    free.count_run(1);
    let mut own = OwnIds::beginning_at(1);
    own.cover(1, &mut free).unwrap();
    let other_first = own.end();
    // One that has died, in whose file a span says that it is a child of one of those.
    let mut bytes = Left::of(&database, 1, 12).bytes;
    let mut ended = std::process::Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    set(&mut bytes, PID, ended.id().into());
    sign(&mut bytes);
    let (at, words) = child_in(&bytes);
    let parent = (other_first - 1) / 2 + 1 + 40;
    assert_eq!(Ids::beginning_at(1).of(parent), other_first + 80);
    set(&mut bytes, at + 2, words[2] >> 48 << 48 | parent);
    let first = word_at(&bytes, PARTITIONS) as usize / 8;
    if let Some(published) = published {
        set(&mut bytes, first + 1, published);
    }
    let path = folder.path().join("0-0.ring");
    let mut options = std::fs::File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&path).unwrap();
    std::io::Write::write_all(&mut file, &bytes).unwrap();
    let (mut dead, mut other) = (open(&path, &store), open(&living, &store));
    let mut free = FreeIds::new();
    dead.begin(&mut store, &mut free, 0).unwrap();
    other.begin(&mut store, &mut free, 1 << 20).unwrap();
    assert_eq!(other.run.as_ref().unwrap().ids.ids().first(), other_first);
    other.round((&mut store, &mut free), true, &mut |_| true).unwrap();
    let End { spans: ledger, .. } = dead.end((&mut store, &mut free), &mut |_| true).unwrap();
    profiler.close().unwrap();
    other.end((&mut store, &mut free), &mut |_| true).unwrap();
    store.close().unwrap();
    let reader = spandrel_query::Reader::open(&database).unwrap();
    let mut all = Vec::new();
    for run in 1..=2 {
        reader.spans(run, |span| all.push(span)).unwrap();
    }
    let run_of: HashMap<_, _> = all.iter().map(|it| (it.id, it.run_id)).collect();
    assert!(run_of.len() > 100, "{run_of:?}");
    let is_crossed = |it: &spandrel_query::Span| {
        let run = it.parent_id.and_then(|id| run_of.get(&id));
        run.is_some_and(|run| *run != it.run_id)
    };
    all.retain(is_crossed);
    (all, ledger.dropped.damaged)
}

#[test]
fn a_ring_that_was_cut_and_made_as_long_again_is_stored_no_further() {
    // Of less than a page no block of the file is gone.
    for missing in [1, 7, 100, 4_096, 4_097, 20_000] {
        for is_closed in [false, true] {
            let (folder, database) = (folder(), tempfile::tempdir().unwrap());
            let profiler = small_in(folder.path()).build().unwrap();
            let (path, mut store) = profile_in(database.path());
            let (mut ring, mut free) = begun(folder.path(), &mut store);
            tracing::subscriber::with_default(profiler.subscriber(), || {
                let record = |name: &'static str| {
                    (0..100).for_each(|_| info_span!("span", name).in_scope(|| ()));
                };
                record("before");
                ring.round((&mut store, &mut free), true, &mut |_| true).unwrap();
                record("behind");
            });
            if is_closed {
                profiler.close().unwrap();
            }
            let file = std::fs::File::options().write(true).open(ring.path()).unwrap();
            let len = file.metadata().unwrap().len();
            file.set_len(len - missing).unwrap();
            file.set_len(len).unwrap();
            if !is_closed {
                // The program is told as well.
                let flushed = profiler.flush(Duration::from_secs(60)).unwrap_err().to_string();
                assert!(flushed.contains("the ring file was cut short"), "{missing}: {flushed}");
            }
            let error = match is_closed {
                false => ring.round((&mut store, &mut free), true, &mut |_| true).unwrap_err(),
                true => ring.end((&mut store, &mut free), &mut |_| true).unwrap_err(),
            };
            assert!(error.to_string().contains("it was cut short"), "{missing}: {error}");
            store.close().unwrap();
            let reader = spandrel_query::Reader::open(&path).unwrap();
            let mut found = 0;
            reader
                .spans(1, |span| found += u64::from(span.fields.unwrap().contains("before")))
                .unwrap();
            let run = reader.run(1).unwrap().unwrap();
            assert_eq!((found, run.spans, run.dropped()), (100, 100, 0));
        }
    }
}

#[test]
fn a_panic_over_one_ring_is_an_error_about_its_file() {
    let path = Path::new("0-0.ring");
    let error = super::about_one(path, || -> Result<(), _> { panic!("a fault") }).unwrap_err();
    assert!(!super::is_of_profile(&error) && error.to_string().contains("0-0.ring"), "{error}");
}

/// A collector that nothing has come to yet, and what it tells.
fn with_collector<R>(
    folder: &Path,
    store: Store,
    act: impl FnOnce(&mut Collector<'_, &mut dyn FnMut(Collecting)>) -> R,
) -> (R, Vec<Collecting>) {
    let mut told = Vec::new();
    let mut tell = |what| told.push(what);
    let options = CollectOptions::default();
    let stop = || false;
    let mut collector =
        Collector::new(folder, &options, store, &mut tell as &mut dyn FnMut(_), &stop);
    let done = act(&mut collector);
    let Collector { mut store, .. } = collector;
    store.set_run_aside();
    store.close_or_remove().unwrap();
    (done, told)
}

/// It was opened, and found whole. What begins its run may fail over that, when the profile has a row of it, or not.
#[test]
fn a_ring_that_is_cut_as_its_run_begins_leaves_no_run_without_an_end() {
    let mut runs = 0;
    let lengths = [0, 4_096, 100_000, u64::MAX];
    for (length, fails) in lengths.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let (folder, database) = (folder(), tempfile::tempdir().unwrap());
        let profiler = small_in(folder.path()).build().unwrap();
        let (path, store) = profile_in(database.path());
        tracing::subscriber::with_default(profiler.subscriber(), || {
            (0..10).for_each(|_| info_span!("lost").in_scope(|| ()));
        });
        let file = ring_files(folder.path()).remove(0);
        let mut ring = open(&file, &store);
        if fails {
            // Nothing can be said in it.
            ring.reader = Reader::open(&file).unwrap();
        }
        let ((), told) = with_collector(folder.path(), store, |collector| {
            let file = std::fs::File::options().write(true).open(&file).unwrap();
            let length = length.min(file.metadata().unwrap().len() - 4_096);
            file.set_len(length).unwrap();
            collector.begin(*ring).unwrap();
            while collector.round(false).unwrap() {}
            assert!(collector.rings.is_empty(), "{length}");
        });
        let is_told = |it: &Collecting| match it {
            Collecting::Refused { why, .. } => why.contains("cut short by somebody"),
            _ => false,
        };
        assert!(told.iter().any(is_told), "{length}: {told:?}");
        if let Ok(reader) = spandrel_query::Reader::open(&path) {
            for run in reader.runs().unwrap() {
                runs += 1;
                assert!(run.ended_unix_ns.is_some() && !run.is_complete(), "{length}: {run:?}");
            }
        }
        profiler.close().unwrap();
    }
    assert!(runs >= lengths.len(), "{runs} had begun");
}

/// One cut after another, of which each had some millions of ids.
#[test]
fn a_run_that_ends_by_a_cut_leaves_its_ids_to_the_next_one() {
    let (folder, database) = (folder(), tempfile::tempdir().unwrap());
    let (path, store) = profile_in(database.path());
    let (firsts, told) = with_collector(folder.path(), store, |collector| {
        let mut firsts = Vec::new();
        for _ in 0..4 {
            let profiler = small_in(folder.path()).build().unwrap();
            let file = ring_files(folder.path()).remove(0);
            collector.begin(*open(&file, &collector.store)).unwrap();
            let Some(run) = &collector.rings[0].run else { panic!("it has begun") };
            firsts.push(run.ids.ids().first());
            tracing::subscriber::with_default(profiler.subscriber(), || {
                (0..10).for_each(|_| info_span!("stored").in_scope(|| ()));
            });
            while collector.collected.records < 10 * firsts.len() as u64 {
                collector.round(true).unwrap();
            }
            std::fs::File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
            while !collector.rings.is_empty() {
                collector.round(true).unwrap();
            }
            profiler.close().unwrap();
        }
        firsts
    });
    assert!(firsts.windows(2).all(|pair| pair[0] + 18 < pair[1]), "{firsts:?}");
    assert!(firsts.windows(2).all(|pair| pair[1] - pair[0] < 1 << 10), "{firsts:?} {told:?}");
    let reader = spandrel_query::Reader::open(&path).unwrap();
    assert_eq!(reader.runs().unwrap().iter().map(|run| run.spans).collect::<Vec<_>>(), [10; 4]);
}

/// Its claim was before the close, and its record comes when the collector has read all that it will. The profile refuses
/// for a moment, so that the collector asks whether to go on.
#[test]
fn what_a_thread_publishes_after_the_end_is_not_taken_for_stored() {
    let (folder, database) = (folder(), tempfile::tempdir().unwrap());
    let profiler = small_in(folder.path()).build().unwrap();
    let (path, mut store) = profile_in(database.path());
    let (mut ring, mut free) = begun(folder.path(), &mut store);
    tracing::subscriber::with_default(profiler.subscriber(), || {
        (0..10).for_each(|_| info_span!("stored").in_scope(|| ()));
    });
    while ring.round((&mut store, &mut free), true, &mut |_| true).unwrap() != Round::Stored(10) {}
    let recorder = profiler.recorder().unwrap();
    let mut straggler = Some(recorder.ring.try_claim(1).unwrap());
    profiler.close().unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut goes_on = |_: super::refusals::Answer<'_>| {
        if let Some(claim) = straggler.take() {
            claim.publish_as(crate::recorder::losses::Kind::Span as usize);
            other.execute_batch("ROLLBACK").unwrap();
        }
        true
    };
    let End { spans, .. } = ring.end((&mut store, &mut free), &mut goes_on).unwrap();
    assert!(straggler.is_none(), "the profile has refused");
    assert_eq!((spans.stored, ring_files(folder.path()).len()), (10, 0));
    let stats = profiler.stats();
    assert_eq!((stats.recorded, stats.stored, stats.in_flight), (11, 10, 0), "{stats}");
    assert_eq!(stats.dropped.already_shutdown, 1, "{stats}");
    assert_eq!(stats.crash_proof_error, None);
    store.close().unwrap();
}
