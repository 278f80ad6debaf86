//! Another process cuts the ring file short while it is recorded into: the program goes on, what is stored is as it was
//! recorded, and the ledger says what is lost, and why.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use spandrel::collect::{CollectOptions, collect};
use spandrel_query::Reader;
use spandrel_tests::prelude::*;

const THREADS: u64 = 4;
/// Spans of each thread after it is known.
const AFTER: u64 = 500;

/// Files in the folder of rings.
fn rings(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn one(thread: u64, n: u64) {
    let outer =
        info_span!("outer", thread, n, sum = thread + n, text = "longer than a word or two");
    outer.in_scope(|| {
        info_span!("inner", n).in_scope(|| info!(n, "within"));
    });
}

fn record() {
    let _limit = time_limit(60);
    let folder = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").unwrap());
    let builder = Profiler::builder().ring_capacity(1 << 14).partitions(2).max_open_spans(256);
    let is_collected = std::env::var_os("SPANDREL_TEST_COLLECTED").is_some();
    let builder = match is_collected {
        true => builder.collected(folder.join("spandrel")),
        false => builder
            .database(folder.join("p.db"))
            .crash_proof(true)
            .batch_size(500)
            .flush_interval(Duration::from_millis(5)),
    };
    let profiler = builder.build().unwrap();
    assert_eq!((profiler.stats().is_crash_proof, profiler.stats().crash_proof_error), (true, None));
    let dispatch = dispatch(&profiler);
    let (made, said) = (AtomicU64::new(0), AtomicBool::new(false));
    let is_known = || profiler.stats().crash_proof_error.is_some();
    std::thread::scope(|scope| {
        let (dispatch, made, said, is_known) = (&dispatch, &made, &said, &is_known);
        for thread in 0..THREADS {
            scope.spawn(move || {
                within(dispatch, || {
                    let mut n = 0;
                    while n % 64 != 0 || !is_known() {
                        one(thread, n);
                        n += 1;
                        if n == 2_000 && !said.swap(true, Ordering::Relaxed) {
                            child::say("records");
                        }
                    }
                    (n..n + AFTER).for_each(|n| one(thread, n));
                    made.fetch_add(n + AFTER, Ordering::Relaxed);
                });
            });
        }
    });
    let flushed = profiler.flush(Duration::from_secs(20)).unwrap_err().to_string();
    assert!(flushed.contains("the ring file was cut short"), "{flushed}");
    assert!(profiler.mark("too late").unwrap_err().to_string().contains("cut short"));
    let report = profiler.close().unwrap();
    let made = 2 * made.load(Ordering::Relaxed);
    assert_eq!(report.recorded, report.stored + report.dropped.total(), "{report}");
    assert_eq!(report.events.recorded, report.events.stored + report.events.dropped.total());
    assert!(report.recorded <= made && report.in_flight == 0, "{made} of {report}");
    // All of these are counted, and with this reason.
    assert!(report.dropped.file_removed >= 2 * THREADS * AFTER, "{report}");
    let error = report.crash_proof_error.as_deref().unwrap();
    assert!(
        error.contains(".ring: the ring file was cut short while it was recorded into"),
        "{error}"
    );
    assert!(!report.is_crash_proof);
    if !is_collected {
        assert_eq!(report.last_error.as_deref(), Some(error));
    }
    child::say(report.stored);
    child::say(report.events.stored);
}

/// Cuts the file of one that records to these lengths, one after the other. Returns the folder, and what it says to
/// have stored.
fn cut(is_collected: bool, lengths: impl FnOnce(u64) -> Vec<u64>) -> (tempfile::TempDir, [u64; 2]) {
    cut_with(is_collected, lengths, |_| ())
}

/// The same with something that begins when the file is there.
fn cut_with(
    is_collected: bool,
    lengths: impl FnOnce(u64) -> Vec<u64>,
    begin: impl FnOnce(&Path),
) -> (tempfile::TempDir, [u64; 2]) {
    let folder = tempfile::Builder::new().prefix("spandrel-cut-").tempdir_in("/dev/shm").unwrap();
    let plan = child::plan("record").env("XDG_RUNTIME_DIR", folder.path());
    let plan = if is_collected { plan.env("SPANDREL_TEST_COLLECTED", "1") } else { plan };
    let mut child = plan.start();
    child.expect("records");
    begin(&folder.path().join("spandrel"));
    let [ring] = &rings(&folder.path().join("spandrel"))[..] else { panic!("it has one ring") };
    let file = std::fs::File::options().write(true).open(ring).unwrap();
    let whole = file.metadata().unwrap().len();
    lengths(whole).into_iter().for_each(|length| file.set_len(length).unwrap());
    let stored = [child.hear(), child.hear()].map(|said| said.and_then(|said| said.parse().ok()));
    let status = child.finish();
    assert_eq!(status.code(), Some(0), "{status}");
    (folder, stored.map(|stored| stored.expect("it says what it has stored")))
}

/// What the profile has is as it was recorded.
fn assert_sound(path: &Path, case: usize) -> Reader {
    let db = Database::open(path);
    let wrong = "SELECT count(*) FROM spans WHERE name = 'outer' AND status = 'ok' AND NOT (
        (fields ->> 'sum') = (fields ->> 'n') + (fields ->> 'thread') AND parent_id IS NULL
        AND fields ->> 'text' = 'longer than a word or two')";
    assert_eq!(db.count(wrong), 0, "case {case}");
    let late = "SELECT count(*) FROM spans WHERE start_ns < 0 OR duration_ns < 0
        OR start_ns + duration_ns > (SELECT ended_unix_ns - started_unix_ns FROM run)";
    assert_eq!(db.count(late), 0, "case {case}");
    let twice = "SELECT count(*) - count(DISTINCT (fields ->> 'n') || ' ' || (fields ->> 'thread'))
        FROM spans WHERE name = 'outer' AND status = 'ok'";
    assert_eq!(db.count(twice), 0, "case {case}");
    let reader = Reader::open(path).unwrap();
    // Of a file without a header nobody has heard.
    if reader.run(1).unwrap().is_some() {
        let found = reader.contradictions(1).unwrap();
        assert!(found.is_empty(), "case {case}: {found:?}");
    }
    reader
}

/// To 0, half, half a page, half and half a page; again and again, and longer again; bit by bit.
const LENGTHS: [fn(u64) -> Vec<u64>; 6] = [
    |_| vec![0],
    |whole| vec![whole / 2],
    |_| vec![2_048],
    |whole| vec![whole / 2 + 2_048],
    |whole| (0..40).map(|turn| if turn % 2 == 0 { 0 } else { whole }).collect(),
    |whole| (0..64).rev().map(|part| whole / 64 * part + 8).collect(),
];

#[test]
fn a_program_whose_ring_file_is_cut_goes_on_and_stores_nothing_that_is_wrong() {
    alone!();
    if child::role().is_some() {
        return record();
    }
    let _limit = time_limit(120);
    for (case, lengths) in LENGTHS.into_iter().enumerate() {
        let (folder, [spans, events]) = cut(false, lengths);
        assert!(rings(&folder.path().join("spandrel")).is_empty(), "close() removes it");
        let path = folder.path().join("p.db");
        let db = Database::open(&path);
        assert_eq!(db.value::<String>("PRAGMA integrity_check"), "ok");
        assert_eq!(db.count("SELECT count(*) FROM span"), spans, "case {case}");
        assert_eq!(db.count("SELECT count(*) FROM event"), events, "case {case}");
        let reader = assert_sound(&path, case);
        let run = reader.run(1).unwrap().unwrap();
        assert!(run.ended_unix_ns.is_some() && run.dropped() > 0);
        assert!(run.report.as_deref().unwrap().contains("cut short"), "the profile says so");
    }
}

#[test]
fn so_does_one_that_is_collected() {
    alone!();
    if child::role().is_some() {
        return record();
    }
    let _limit = time_limit(120);
    for lengths in LENGTHS {
        let (_folder, [spans, events]) = cut(true, lengths);
        assert_eq!([spans, events], [0, 0], "nobody has collected anything");
    }
}

#[test]
fn whoever_collects_from_one_that_is_cut_stores_nothing_that_is_wrong() {
    alone!();
    if child::role().is_some() {
        return record();
    }
    let _limit = time_limit(120);
    for (case, lengths) in LENGTHS.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.db");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (path, stop) = (&path, &stop);
            let folder = cut_with(true, lengths, |rings| {
                let rings = rings.to_owned();
                scope.spawn(move || {
                    let stop = || stop.load(Ordering::Relaxed);
                    collect(&rings, path, &CollectOptions::default(), stop, |_| ()).unwrap();
                });
            });
            stop.store(true, Ordering::Relaxed);
            drop(folder);
        });
        // It was cut before the collector has seen it: then there is no run, and no profile.
        if !path.exists() {
            continue;
        }
        let reader = assert_sound(&path, case);
        if let Some(run) = reader.run(1).unwrap() {
            assert!(run.ended_unix_ns.is_some(), "case {case}");
            assert!(run.report.as_deref().unwrap().contains("cut short"), "case {case}");
        }
    }
}

#[test]
fn what_is_counted_after_a_cut_stays_counted_when_the_file_is_cut_again() {
    alone!();
    const SPANS: u64 = 400;
    let (_limit, folder) = (time_limit(60), spandrel_tests::collecting::rings());
    let profiler = spandrel_tests::collecting::small_in(folder.path()).build().unwrap();
    let [ring] = &rings(folder.path())[..] else { panic!("it has one ring") };
    let file = std::fs::File::options().write(true).open(ring).unwrap();
    let whole = file.metadata().unwrap().len();
    let record = || {
        within(&dispatch(&profiler), || (0..SPANS / 2).for_each(|n| one(0, n)));
        let stats = profiler.stats();
        assert_eq!(stats.recorded, stats.stored + stats.dropped.total() + stats.in_flight);
        [stats.recorded, stats.dropped.file_removed, stats.events.recorded]
    };
    let mut counted = vec![record()];
    // Where nobody has counted anything, half of it, all of it.
    for len in [whole - 4_096, whole / 2, 0] {
        file.set_len(len).unwrap();
        assert!(profiler.stats().crash_proof_error.is_some(), "{len}");
        counted.push(record());
    }
    // What was in the ring is lost with the first one.
    let expected = [1, 2, 3, 4].map(|rounds| {
        let lost = if rounds == 1 { 0 } else { rounds * SPANS };
        [rounds * SPANS, lost, rounds * SPANS / 2]
    });
    assert_eq!(counted, expected);
    let report = profiler.close().unwrap();
    assert_eq!((report.recorded, report.dropped.file_removed), (4 * SPANS, 4 * SPANS));
}

/// The program has closed descriptors that are not its own, and has other files under their numbers.
fn record_under_a_taken_descriptor() {
    let folder = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").unwrap());
    for is_collected in [false, true] {
        let builder = Profiler::builder().ring_capacity(1 << 12).partitions(2).max_open_spans(256);
        let builder = match is_collected {
            true => builder.collected(folder.join("collected")),
            false => builder.database(folder.join("p.db")).crash_proof(true),
        };
        let profiler = builder.build().unwrap();
        assert_eq!(spandrel_tests::system::take_descriptors_of(".ring").unwrap(), 1);
        within(&dispatch(&profiler), || (0..100).for_each(|n| one(0, n)));
        assert_eq!(profiler.stats().crash_proof_error, None);
        if !is_collected {
            profiler.flush(Duration::from_secs(20)).unwrap();
        }
        let report = profiler.close().unwrap();
        assert_eq!((report.recorded, report.crash_proof_error.as_deref()), (200, None), "{report}");
    }
}

#[test]
fn a_descriptor_that_is_another_file_by_now_says_nothing_of_the_ring_file() {
    alone!();
    if child::role().is_some() {
        return record_under_a_taken_descriptor();
    }
    let folder = tempfile::Builder::new().prefix("spandrel-cut-").tempdir_in("/dev/shm").unwrap();
    child::plan("taken").env("XDG_RUNTIME_DIR", folder.path()).start().succeed();
    let db = Database::open(&folder.path().join("p.db"));
    assert_eq!(db.count("SELECT count(*) FROM span"), 200);
    let path = folder.path().join("c.db");
    spandrel_tests::collecting::collect_once(&folder.path().join("collected"), &path);
    let db = Database::open(&path);
    assert_eq!(db.count("SELECT count(*) FROM span"), 200);
}

/// To nothing, and as long again: what was on the first pages is gone. Half of it. The last page.
const CUTS: [fn(u64) -> Vec<u64>; 4] =
    [|_| vec![0], |whole| vec![0, whole], |whole| vec![whole / 2], |whole| vec![whole - 4_096]];

/// Nobody looks between the second half of them and the cut.
#[test]
fn each_span_of_a_program_whose_ring_file_is_cut_is_in_one_count() {
    alone!();
    const SPANS: u64 = 400;
    let _limit = time_limit(60);
    for is_collected in [false, true] {
        for (case, lengths) in CUTS.into_iter().enumerate() {
            let folder = spandrel_tests::collecting::rings();
            let database = folder.path().join("p.db");
            let folder_of_rings = folder.path().join("spandrel");
            // SAFETY: the process is this test's alone, and no other thread asks for it meanwhile.
            #[allow(unsafe_code)]
            unsafe {
                std::env::set_var("XDG_RUNTIME_DIR", folder.path());
            }
            let builder = Profiler::builder().ring_capacity(1 << 14).partitions(2);
            let builder = match is_collected {
                true => builder.collected(&folder_of_rings),
                false => builder.database(&database).crash_proof(true),
            };
            let profiler = builder.build().unwrap();
            let record = || within(&dispatch(&profiler), || (0..SPANS / 4).for_each(|n| one(0, n)));
            record();
            let before = profiler.stats();
            assert_eq!((before.recorded, before.is_crash_proof), (SPANS / 2, true));
            record();
            let [ring] = &rings(&folder_of_rings)[..] else { panic!("it has one ring") };
            let file = std::fs::File::options().write(true).open(ring).unwrap();
            let whole = file.metadata().unwrap().len();
            lengths(whole).into_iter().for_each(|length| file.set_len(length).unwrap());
            record();
            let report = profiler.close().unwrap();
            let counted = [report.recorded, report.events.recorded];
            assert_eq!(counted, [SPANS * 3 / 2, SPANS * 3 / 4], "{is_collected} {case}: {report}");
            let known = report.stored + report.dropped.file_removed;
            assert_eq!(known, report.recorded, "{is_collected} {case}: {report}");
        }
    }
}
