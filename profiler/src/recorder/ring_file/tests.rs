//! A process that is killed leaves a ring file that has, with the profile, everything that was published.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // a test fails by panicking, also in its helpers

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use spandrel_query::Reader as Profile;
use spandrel_ring::file::{Reader, State};
use spandrel_storage::{Store, StoreOptions};

use super::layout::{self, OPEN_SPANS, drainer, names, settings};
use super::{own, place};
use crate::Profiler;
use crate::recorder::account::Account;
use crate::recorder::clock::Timeline;
use crate::recorder::fields::{Fields, Value};
use crate::recorder::losses::Kind;
use crate::recorder::record::{self, Record};

const THREADS: u64 = 3;
const FOLDER: &str = "SPANDREL_TEST_RING_FOLDER";

/// A folder of its own in memory, gone at the end. The ring files of processes that are told of it lie there.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("spandrel-test-{}-{number}", std::process::id());
        let folder = Path::new("/dev/shm").join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
        Self(folder)
    }

    fn database(&self) -> PathBuf {
        self.0.join("p.db")
    }

    fn rings(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.0.join("spandrel")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn child(&self, test: &str, how: &str) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let test = format!("recorder::ring_file::tests::{test}");
        command.args(["--exact", &test, "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(FOLDER, &self.0).env("XDG_RUNTIME_DIR", &self.0).env("SPANDREL_TEST_HOW", how);
        command.stdout(std::process::Stdio::null());
        command.spawn().unwrap()
    }

    /// In a child.
    fn given() -> Option<PathBuf> {
        std::env::var_os(FOLDER).map(PathBuf::from)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Numbers that outlive the process that says them: each is written by a system call.
struct Witness(File);

impl Witness {
    fn open(folder: &Path) -> Self {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false);
        Self(file.open(folder.join("witness")).unwrap())
    }

    fn say(&self, place: u64, number: u64) {
        self.0.write_all_at(&number.to_ne_bytes(), place * 8).unwrap();
    }

    fn said(&self, place: u64) -> u64 {
        let mut bytes = [0; 8];
        match self.0.read_exact_at(&mut bytes, place * 8) {
            Ok(()) => u64::from_ne_bytes(bytes),
            Err(_nothing_yet) => 0,
        }
    }

    fn published(&self) -> u64 {
        (0..THREADS).map(|thread| self.said(THREADS + thread)).sum()
    }
}

#[test]
#[ignore = "run by the others in a process of its own"]
fn child() {
    let Some(folder) = Folder::given() else { return };
    let witness = Witness::open(&folder);
    let builder = Profiler::builder().database(folder.join("p.db")).crash_proof(true);
    let builder = match &*std::env::var("SPANDREL_TEST_HOW").unwrap() {
        // All of it stays in the ring, until that is half full.
        "late" => builder.batch_size(1_000_000).flush_interval(Duration::from_secs(3_600)),
        // Pieces of batches, commits all the time.
        _ => builder.batch_size(300).flush_interval(Duration::from_millis(1)),
    };
    let profiler = builder.partitions(1).ring_capacity(1 << 15).build().unwrap();
    assert_eq!((profiler.stats().is_crash_proof, profiler.stats().crash_proof_error), (true, None));
    let profiler = &profiler;
    let dispatch = &tracing::Dispatch::new(profiler.subscriber());
    let witness = &witness;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let work = move || {
                tracing::dispatcher::with_default(dispatch, || {
                    record_until_killed(profiler, witness, thread)
                })
            };
            std::thread::Builder::new()
                .name(format!("worker {thread}"))
                .spawn_scoped(scope, work)
                .unwrap();
        }
    });
}

fn record_until_killed(profiler: &Profiler, witness: &Witness, thread: u64) {
    let stays = tracing::info_span!("stays", thread, said = "until the end").entered();
    witness.say(2 * THREADS + thread, 1);
    for n in 0.. {
        // What is dropped cannot be missing. More than half of a partition may be in use, and less than all: a span takes
        // two slots.
        if n % 64 == 0 && profiler.stats().in_flight > 7_000 {
            profiler.flush(Duration::from_secs(60)).unwrap();
        }
        witness.say(thread, n + 1);
        drop(tracing::info_span!("work", thread, n).entered());
        witness.say(THREADS + thread, n + 1);
    }
    drop(stays);
}

/// What a reader has found of the names in a ring.
#[derive(Debug, Default)]
struct Names {
    callsites: Vec<(u64, String, Vec<String>)>,
    threads: Vec<(u64, String)>,
    runs: Vec<Vec<String>>,
}

impl Names {
    fn read(reader: &mut Reader) -> Self {
        let mut found = Self::default();
        let read = reader.names(true, |name| match name.kind {
            names::CALLSITE => {
                let fields = name.texts[4..].iter().map(|field| (*field).to_owned()).collect();
                found.callsites.push((name.numbers[0], name.texts[0].to_owned(), fields));
            }
            names::THREAD => found.threads.push((name.numbers[0], name.texts[0].to_owned())),
            names::RUN => {
                assert_eq!(name.numbers[0], layout::HASH);
                found.runs.push(name.texts.iter().map(|text| (*text).to_owned()).collect());
            }
            other => panic!("a name of kind {other}"),
        });
        assert_eq!(read.unwrap().damaged, 0);
        found
    }

    fn callsite(&self, number: u32) -> &str {
        let known = self.callsites.iter().find(|(known, ..)| *known == u64::from(number));
        let (_, name, fields) = known.expect("a callsite has its name before its number is used");
        let expected: &[&str] = if name == "work" { &["thread", "n"] } else { &["thread", "said"] };
        assert_eq!(fields, expected);
        name
    }

    fn thread(&self, number: u32) -> u64 {
        let known = self.threads.iter().find(|(known, _)| *known == u64::from(number));
        let (_, name) = known.expect("a thread has its name before its number is used");
        name.strip_prefix("worker ").unwrap().parse().unwrap()
    }
}

fn number(value: Value<'_>) -> u64 {
    match value {
        Value::I64(number) => number as u64,
        Value::U64(number) => number,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_published_before_a_kill_is_in_the_ring_or_in_the_profile_and_once() {
    let kills = std::env::var("SPANDREL_TEST_KILLS").ok().and_then(|kills| kills.parse().ok());
    let kills: u64 = kills.unwrap_or(6);
    let mut in_ring = 0;
    for kill in 0..kills {
        let folder = Folder::new();
        let witness = Witness::open(&folder.0);
        let how = if kill % 2 == 0 { "late" } else { "soon" };
        let mut child = folder.child("child", how);
        let wanted = 1 + (kill * 7_919 + 13) % 40_000;
        while witness.published() < wanted {
            assert!(child.try_wait().unwrap().is_none(), "the child has ended");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        in_ring += check(&folder, &witness);
    }
    assert!(in_ring > 0, "all was in the profile");
}

#[test]
fn a_file_whose_maker_died_over_it_goes_and_one_that_is_being_made_stays() {
    // Where all recordings of a user have their files, each one that begins removes those.
    let folder = Folder::new();
    assert!(folder.child("unmade", "").wait().unwrap().success());
}

#[test]
#[ignore = "run by the others in a process of its own"]
fn unmade() {
    let Some(folder) = Folder::given() else { return };
    let database = folder.join("p.db");
    drop(Store::open(&database, &StoreOptions::default()).unwrap());
    let canonical = place::canonical(&database).unwrap();
    let rings = place::folders().remove(0);
    assert!(rings.starts_with(&folder), "nobody else looks there: {}", rings.display());
    std::fs::DirBuilder::new().mode(0o700).create(&rings).unwrap();
    let mut ended = Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let make = |pid: u32, bytes: u64| {
        let path = rings.join(place::file_name(&canonical, pid, "00"));
        File::create(&path).unwrap().set_len(bytes).unwrap();
        path
    };
    let living = make(std::process::id(), 1 << 16);
    for bytes in [0, 4, 4_096, 1 << 16] {
        let dead = make(ended.id(), bytes);
        assert_eq!(crate::recover::recover(&database, true).unwrap().rings, [], "only looks");
        assert!(dead.exists());
        assert_eq!(crate::recover::recover(&database, false).unwrap().rings, []);
        assert!(!dead.exists() && living.exists(), "{bytes} bytes");
    }
}

/// Checks what a kill has left. Returns how many spans were in the ring only.
fn check(folder: &Folder, witness: &Witness) -> u64 {
    let mut numbers = vec![BTreeSet::new(); THREADS as usize];
    let mut meet = |thread: u64, n: u64| {
        assert!(numbers[thread as usize].insert(n), "{n} of thread {thread} twice");
    };
    let profile = Profile::open(folder.database()).unwrap();
    let run = profile.latest_run().unwrap().unwrap();
    let mut stored = 0;
    profile
        .spans(run.id, |span| {
            let fields: serde_json::Value = serde_json::from_str(&span.fields.unwrap()).unwrap();
            meet(fields["thread"].as_u64().unwrap(), fields["n"].as_u64().unwrap());
            stored += 1;
        })
        .unwrap();
    let [ring] = folder.rings().try_into().unwrap();
    let database = place::canonical(&folder.database()).unwrap();
    let name = ring.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with(&format!("{:016x}-", place::hash_of(&database))), "{name}");
    let mut reader = Reader::open(&ring).unwrap();
    assert!(reader.liveness().unwrap().is_dead());
    assert_eq!(u64::from(place::pid_of(&ring).unwrap()), reader.owner().pid);
    assert_eq!(reader.state().unwrap(), State::Recording);
    assert_eq!(reader.run(), own::run_bytes(&run.info.uuid));
    assert_eq!(reader.settings()[settings::HASH], layout::HASH);
    let names = Names::read(&mut reader);
    assert_eq!(names.runs.len(), 1);
    assert_eq!(names.runs[0][..2], [database.to_str().unwrap().to_owned(), run.info.uuid.clone()]);
    let store = Store::open(folder.database(), &StoreOptions::default()).unwrap();
    let drained = store.drained(&reader.run()).unwrap();
    let timeline = timeline(&mut reader);
    let mut in_ring = 0;
    for partition in 0..reader.partitions() {
        let from = drained.iter().find(|row| row.partition == Some(partition as u32));
        let from = from.map_or(0, |row| row.position);
        let drained = reader.drain(partition, from, true, u64::MAX, |found| {
            let Some(Record::Span(head, fields)) = record::read(found.words) else {
                panic!("{:x?} is no span", found.words);
            };
            assert_eq!(names.callsite(head.callsite), "work");
            let values: Vec<_> = Fields::new(fields).map(|field| number(field.value)).collect();
            let [thread, n] = values[..] else { panic!("{values:?}") };
            assert_eq!(names.thread(head.thread), thread);
            let (start, end) = (timeline.ns(head.start), timeline.ns(head.end));
            assert!(0 <= start && start <= end, "{start} to {end}");
            meet(thread, n);
            in_ring += 1;
        });
        let drained = drained.unwrap();
        assert_eq!((drained.damaged, drained.missed), (0, 0), "{drained:?}");
    }
    for (thread, numbers) in numbers.iter().enumerate() {
        let (begun, published) =
            (witness.said(thread as u64), witness.said(THREADS + thread as u64));
        let found = numbers.len() as u64;
        assert!(numbers.iter().copied().eq(0..found), "thread {thread}: a gap");
        assert!((published..=begun).contains(&found), "{found} of {published} to {begun}");
    }
    check_open_spans(&mut reader, &names, witness);
    check_ledger(&mut reader, stored, in_ring);
    // Whoever goes on with the run gives threads the same ids.
    let above = reader.drainer().unwrap()[drainer::THREADS_ABOVE];
    assert!(above > 0 && store.thread_id(0) >= above.cast_signed() - 1);
    in_ring
}

fn timeline(reader: &mut Reader) -> Timeline {
    let (kind, anchors) = reader.clock();
    let mut cells = Vec::new();
    let each = |_: usize, cell: Option<&[u64]>| cells.push(cell.unwrap().to_vec());
    reader.cells(layout::CLOCK_PIECES, 0..usize::MAX, each).unwrap();
    let pieces = super::pieces::read(cells.iter().map(Vec::as_slice));
    let has_counter = kind != layout::clock::MONOTONIC;
    let origin = anchors[layout::anchors::ORIGIN_TICKS];
    assert!(anchors[layout::anchors::ORIGIN_UNIX_NS] > 1_700_000_000_000_000_000);
    let since = spandrel_ring::file::monotonic_ns() - anchors[layout::anchors::ORIGIN_MONOTONIC_NS];
    assert!(since < 3_600_000_000_000, "it began {since} ns ago");
    Timeline::of_dead(has_counter, origin, &pieces, || 1.0)
}

/// Those that each thread is in: the one that stays, and perhaps the one that it works in.
fn check_open_spans(reader: &mut Reader, names: &Names, witness: &Witness) {
    let mut staying = BTreeSet::new();
    let mut working = 0;
    let each = |_: usize, cell: Option<&[u64]>| {
        let cell = cell.unwrap();
        let (id, origin, head) = (cell[1], cell[2], cell[5]);
        if id == 0 {
            return;
        }
        match names.callsite(record::callsite(origin, head)) {
            "stays" => assert!(staying.insert(names.thread(record::thread(head)))),
            _ => working += 1,
        }
    };
    reader.cells(OPEN_SPANS, 0..usize::MAX, each).unwrap();
    // A thread that has not said it may have been about to.
    let has_said = |thread: &u64| witness.said(2 * THREADS + thread) == 1;
    assert!((0..THREADS).filter(has_said).all(|thread| staying.contains(&thread)), "{staying:?}");
    assert!(working <= THREADS, "{working}");
}

/// What was published is stored or in the ring; nothing was dropped.
fn check_ledger(reader: &mut Reader, stored: u64, in_ring: u64) {
    let account = Account::of_words(&reader.counters().unwrap()).unwrap();
    // The account is told after the commit.
    assert!(account.stored[Kind::Span as usize] <= stored);
    let published: u64 = (0..reader.partitions())
        .map(|partition| reader.partition(partition).unwrap().published[Kind::Span as usize])
        .sum();
    // Counted before it is published.
    assert!((stored + in_ring..=stored + in_ring + THREADS).contains(&published));
    let dropped = |_: usize, cell: Option<&[u64]>| {
        assert!(cell.unwrap()[..layout::drops::WORDS].iter().all(|n| *n == 0));
    };
    reader.cells(layout::DROPS, 0..usize::MAX, dropped).unwrap();
}

#[test]
fn where_no_folder_takes_a_ring_file_the_reason_is_said_and_not_that_the_system_has_none() {
    let folder = Folder::new();
    let options = crate::recorder::RecorderOptions::small();
    let sizes = own::FileSizes {
        ring: options.ring(),
        open_spans_max: 64,
        field_words_max: options.field_words_max(),
        first_id: 1,
        busy_time: true,
        status_rules: true,
    };
    let plan = own::FilePlan {
        drainer: own::Drainer::Profile(folder.database()),
        run: "00ff".into(),
        redacted: Vec::new(),
        has_signal_handler: false,
    };
    let nowhere = folder.0.join("gone/spandrel");
    let clock = crate::recorder::clock::Clock::start();
    let error =
        plan.make_in_first(std::slice::from_ref(&nowhere), &sizes, &clock).unwrap_err().to_string();
    let says =
        format!("{}: cannot make this folder of ring files, nor another one", nowhere.display());
    assert!(error.starts_with(&says) && error.contains("XDG_RUNTIME_DIR"), "{error}");
}
