//! A process whose ring lies in a file is killed with signal 9 at any moment: while its profiler is built, while four
//! threads record at full speed, while it closes. Everything that a witness in shared memory saw published is in the
//! profile after the recovery, once; what was open is there as crashed; the ledger says that nothing was lost.
//!
//! `SPANDREL_TEST_KILLS` sets how many are killed (default 25); scripts/crash_proof.sh kills 500.

#![allow(unsafe_code)] // words that two processes share

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use spandrel::recover::{recover, waiting};
use spandrel_tests::prelude::*;

const THREADS: usize = 4;
/// Where the witness has what: how far the program has come, and of each thread how many numbers it has begun, has
/// published, and whether its outermost span is open (1), or has closed (2).
const STEP: usize = 0;
const BEGUN: usize = 1;
const PUBLISHED: usize = BEGUN + THREADS;
const OUTER: usize = PUBLISHED + THREADS;
const WORDS: usize = OUTER + THREADS;
/// Steps of the program.
const BUILDS: u64 = 1;
const RECORDS: u64 = 2;
const CLOSES: u64 = 3;
const IS_CLOSED: u64 = 4;
/// So many spans may be on their way: each takes two slots, and one in eight has an event.
const IN_FLIGHT_MAX: u64 = 20_000;
/// Each thread of a program that closes makes so many.
const BEFORE_CLOSE: u64 = 3_000;
/// One number in so many has an event.
const PER_EVENT: u64 = 8;

#[test]
fn what_was_published_before_a_kill_is_recovered_once() {
    if let Some(role) = child::role() {
        return record(role == "closes");
    }
    let kills = std::env::var("SPANDREL_TEST_KILLS").ok().and_then(|n| n.parse().ok());
    let kills: u64 = kills.unwrap_or(25);
    let _limit = time_limit(120 + 4 * kills);
    let mut tally = Tally::default();
    for kill in 0..kills {
        tally.add(&kill_one(kill));
    }
    println!("{kills} kills: {tally:?}");
    assert_eq!((tally.unsound_files, tally.missing, tally.twice, tally.rings_left), (0, 0, 0, 0));
    assert!(tally.stored > 0 && (tally.crashed > 0 || kills < 3), "nothing was ever recorded");
}

/// What the kills did.
#[derive(Debug, Default)]
struct Tally {
    /// Killed before there was a run.
    early: u64,
    unsound_files: u64,
    /// The witness saw it published.
    missing: u64,
    twice: u64,
    stored: u64,
    /// How many of them came out of the ring.
    recovered: u64,
    crashed: u64,
    rings_left: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.early += other.early;
        self.unsound_files += other.unsound_files;
        self.missing += other.missing;
        self.twice += other.twice;
        self.stored += other.stored;
        self.recovered += other.recovered;
        self.crashed += other.crashed;
        self.rings_left += other.rings_left;
    }
}

/// So many words of a file, which stay mapped for good.
fn witness(path: &Path) -> &'static [AtomicU64] {
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(false).open(path).unwrap();
    file.set_len((WORDS * 8) as u64).unwrap();
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let len = WORDS * 8;
    // SAFETY: a new mapping of a file that is long enough, and which nobody cuts.
    let first = unsafe {
        libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    assert_ne!(first, libc::MAP_FAILED);
    // SAFETY: it is never unmapped, and touched by atomic operations only.
    unsafe { std::slice::from_raw_parts(first.cast::<AtomicU64>(), WORDS) }
}

fn said(witness: &[AtomicU64], place: usize) -> u64 {
    witness[place].load(Ordering::Acquire)
}

/// In the child.
fn record(closes: bool) {
    let path = std::env::var("SPANDREL_TEST_PATH").unwrap();
    let witness = witness(Path::new(&std::env::var("SPANDREL_TEST_WITNESS").unwrap()));
    let say = |place: usize, number: u64| witness[place].store(number, Ordering::Release);
    say(STEP, BUILDS);
    let builder = Profiler::builder().database(&path).crash_proof(true).partitions(2);
    let profiler = builder.flush_interval(Duration::from_millis(20)).build().unwrap();
    assert_eq!(profiler.stats().crash_proof_error, None);
    say(STEP, RECORDS);
    let dispatch = dispatch(&profiler);
    let (dispatch, profiler) = (&dispatch, &profiler);
    let work = |thread: usize| {
        within(dispatch, || {
            let outer = info_span!("outer", thread).entered();
            say(OUTER + thread, 1);
            for n in 0..if closes { BEFORE_CLOSE } else { u64::MAX } {
                // What is dropped cannot be missing.
                while n % 64 == 0 && profiler.stats().in_flight > IN_FLIGHT_MAX {
                    std::thread::yield_now();
                }
                say(BEGUN + thread, n + 1);
                info_span!("work", thread, n).in_scope(|| {
                    if n % PER_EVENT == 0 {
                        info!(thread, n, "inside");
                    }
                });
                say(PUBLISHED + thread, n + 1);
            }
            say(OUTER + thread, 2);
            drop(outer);
        });
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || work(thread));
        }
    });
    say(STEP, CLOSES);
    profiler.close().unwrap();
    say(STEP, IS_CLOSED);
    // Until it is killed.
    child::listen();
}

/// Starts a child, kills it, recovers what it has left, and looks at it.
fn kill_one(kill: u64) -> Tally {
    let scratch = scratch();
    let (path, witness_path) = (scratch.db(), scratch.path("witness"));
    let witness = witness(&witness_path);
    let (builds, closes) = (kill.is_multiple_of(10), kill % 10 == 5);
    let plan = child::plan(if closes { "closes" } else { "records" });
    let plan = plan.env("SPANDREL_TEST_PATH", path).env("SPANDREL_TEST_WITNESS", &witness_path);
    let mut child = plan.start();
    let published = || (0..THREADS).map(|thread| said(witness, PUBLISHED + thread)).sum::<u64>();
    let random = kill.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    // Not to wait for something, but so that the kill comes at any moment.
    let pause = |most_us: u64| std::thread::sleep(Duration::from_micros(random % most_us));
    if builds || closes {
        while said(witness, STEP) < if builds { BUILDS } else { CLOSES } {
            std::thread::yield_now();
        }
        pause(if builds { 60_000 } else { 30_000 });
    } else {
        while published() < random % 25_000 {
            std::thread::yield_now();
        }
    }
    let pid = child.id();
    child.kill();
    look(path, witness, kill, pid)
}

fn look(path: &Path, witness: &[AtomicU64], kill: u64, pid: u32) -> Tally {
    let mut tally = Tally::default();
    if said(witness, STEP) < RECORDS && !path.exists() {
        tally.early += 1;
        return tally;
    }
    // By the next one that records there, or by somebody who wants to know.
    if kill.is_multiple_of(3) {
        let next =
            Profiler::builder().database(path).crash_proof(kill.is_multiple_of(2)).build().unwrap();
        assert_eq!(next.stats().last_error, None);
        next.close().unwrap();
    } else {
        let recovered = recover(path, false).unwrap().rings;
        tally.recovered += recovered.iter().map(|ring| ring.spans).sum::<u64>();
    }
    assert_eq!(waiting(path).unwrap(), [], "nothing is left to do");
    assert_eq!(recover(path, false).unwrap().rings, [], "nor to be done twice");
    tally.rings_left += rings_of(pid);
    let db = Database::open(path);
    if db.value::<String>("PRAGMA integrity_check") != "ok" {
        tally.unsound_files += 1;
        return tally;
    }
    if db.count("SELECT count(*) FROM run WHERE id = 1") == 0 {
        tally.early += 1;
        return tally;
    }
    let found = spandrel_query::Reader::open(path).unwrap().contradictions(1).unwrap();
    assert!(found.is_empty(), "{found:?}");
    for (name, table, each) in [("work", "spans", 1), ("inside", "events", PER_EVENT)] {
        let sql = match table {
            "spans" => format!(
                "SELECT fields ->> 'thread', fields ->> 'n', count(*) FROM spans
                 WHERE run_id = 1 AND name = '{name}' AND duration_ns IS NOT NULL GROUP BY 1, 2"
            ),
            _ => "SELECT fields ->> 'thread', fields ->> 'n', count(*) FROM event WHERE run_id = 1
                  GROUP BY 1, 2"
                .to_owned(),
        };
        let rows: Vec<(i64, i64, i64)> =
            db.rows(&sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let mut numbers: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (thread, n, times) in rows {
            tally.twice += u64::from(times > 1);
            numbers.entry(thread as usize).or_default().push(n as u64 / each);
        }
        for thread in 0..THREADS {
            let (begun, published) =
                (said(witness, BEGUN + thread), said(witness, PUBLISHED + thread));
            let mut of = numbers.remove(&thread).unwrap_or_default();
            of.sort_unstable();
            let found = of.len() as u64;
            assert!(of.into_iter().eq(0..found), "{name}s of thread {thread}: a gap");
            assert!(found <= begun.div_ceil(each), "{found} {name}s, {begun} begun");
            tally.missing += published.div_ceil(each).saturating_sub(found);
            tally.stored += found;
        }
    }
    look_at_open_spans(&db, witness, &mut tally);
    look_at_ledger(&db);
    tally
}

/// Ring files of this process that are left anywhere.
fn rings_of(pid: u32) -> u64 {
    // SAFETY: a number out.
    let user = unsafe { libc::geteuid() };
    let mut folders =
        vec![format!("/dev/shm/spandrel-{user}"), format!("/run/user/{user}/spandrel")];
    folders.extend(std::env::var("XDG_RUNTIME_DIR").map(|folder| format!("{folder}/spandrel")));
    folders.dedup();
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(&format!("-{pid}-"))).count() as u64
}

/// What was open is there without an end, and nothing else is.
fn look_at_open_spans(db: &Database, witness: &[AtomicU64], tally: &mut Tally) {
    let is_closing = said(witness, STEP) >= CLOSES;
    for thread in 0..THREADS {
        let of = |name: &str, what: &str| {
            db.count(&format!(
                "SELECT count(*) FROM spans WHERE run_id = 1 AND name = '{name}' AND {what}
                 AND fields ->> 'thread' = {thread}"
            ))
        };
        let crashed = of("outer", "status = 'crashed' AND duration_ns IS NULL");
        let ended = of("outer", "duration_ns IS NOT NULL");
        match said(witness, OUTER + thread) {
            0 => assert!(crashed <= 1 && ended == 0),
            1 => assert_eq!((crashed, ended), (1, 0), "thread {thread}"),
            _ if is_closing => assert_eq!((crashed, ended), (0, 1), "thread {thread}"),
            _ => assert_eq!(crashed + ended, 1, "thread {thread}"),
        }
        let working = of("work", "status = 'crashed'");
        let numbers = (said(witness, BEGUN + thread), said(witness, PUBLISHED + thread));
        assert!(working <= numbers.0 - numbers.1, "{working} of thread {thread} are open");
        tally.crashed += crashed + working;
    }
}

/// Nothing was lost, and the run says so.
fn look_at_ledger(db: &Database) {
    let report: Option<String> = db.value("SELECT report FROM run WHERE id = 1");
    let report: serde_json::Value = serde_json::from_str(&report.unwrap_or("{}".into())).unwrap();
    let stored = db.count("SELECT count(*) FROM span WHERE run_id = 1");
    assert_eq!(db.count("SELECT spans FROM run WHERE id = 1"), stored);
    // A thread that was killed between its claim and its publication has lost what the witness did not see published.
    let lost: Vec<(String, i64, i64)> =
        db.rows("SELECT reason, spans, events FROM loss WHERE run_id = 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        });
    let abandoned = lost.iter().map(|(_, spans, events)| spans + events).sum::<i64>();
    assert!(lost.iter().all(|(reason, ..)| reason == "abandoned"), "{lost:?}");
    assert!(abandoned <= THREADS as i64, "{lost:?}");
    let lost = lost.iter().map(|(_, spans, _)| *spans as u64).sum::<u64>();
    // A run that was killed before anything was recorded has no report.
    if stored > 0 {
        assert_eq!(report["spans"]["stored"], stored, "{report}");
        assert_eq!(report["spans"]["recorded"], stored + lost, "{report}");
        assert_eq!(report["spans"]["dropped"], lost, "{report}");
    }
}
