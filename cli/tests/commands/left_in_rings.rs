//! What is said of a run while a ring file has what its profile has not: how much that is, where, and what stores it.
#![cfg(all(target_os = "linux", feature = "collected"))]

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use spandrel::Profiler;
use spandrel::collect::{CollectOptions, collect};
use spandrel::recover::in_folder;
use spandrel_query::Reader;
use tempfile::TempDir;
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt;

use super::fixture::{bare, run};

/// A folder in memory for its user alone.
pub(super) fn memory() -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.permissions(Permissions::from_mode(0o700)).tempdir_in("/dev/shm").unwrap()
}

pub(super) fn within<R>(profiler: &Profiler, work: impl FnOnce() -> R) -> R {
    let layer = tracing_subscriber::registry().with(profiler.layer());
    tracing::subscriber::with_default(layer, work)
}

pub(super) fn requests(profiler: &Profiler, spans: u64) {
    within(profiler, || (0..spans).for_each(|n| drop(info_span!("request", n))));
}

/// Spans that a program stores, and those that it only records before it dies, in one more.
pub(super) const STORED: u64 = 3;
pub(super) const LEFT: u64 = 7;

/// In a process of its own: dies in the middle of something.
#[test]
fn a_program_that_dies() {
    let (db, rings) =
        (std::env::var_os("SPANDREL_TEST_DB"), std::env::var_os("SPANDREL_TEST_RINGS"));
    let builder = Profiler::builder().ring_capacity(1 << 12).partitions(2).max_open_spans(64);
    let profiler = match (db, rings) {
        (Some(db), _) => {
            // Nothing is committed but by a flush.
            let builder = builder.database(db).flush_interval(Duration::from_secs(3_600));
            builder.crash_proof(true).build().unwrap()
        }
        (None, Some(rings)) => builder.collected(rings).build().unwrap(),
        (None, None) => return,
    };
    requests(&profiler, STORED);
    profiler.flush(Duration::from_secs(60)).unwrap();
    println!("\nstored");
    // Until the collector is gone, say.
    _ = std::io::stdin().read_line(&mut String::new());
    within(&profiler, || {
        let _open = info_span!("charge", order = 4711).entered();
        (0..LEFT).for_each(|_| drop(info_span!("retry")));
        std::process::abort();
    });
}

/// Lets one die; `between` comes when it has stored some.
pub(super) fn dies(set: impl FnOnce(&mut Command), between: impl FnOnce()) {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "left_in_rings::a_program_that_dies", "--nocapture"]);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    set(&mut program);
    let mut program = program.spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "stored"), "it has ended before");
    between();
    drop(program.stdin.take());
    assert!(!program.wait().unwrap().success());
}

/// A profile whose program has died, and the folder where its ring file is.
struct Died {
    memory: TempDir,
    folder: TempDir,
}

impl Died {
    fn new() -> Self {
        let (memory, folder) = (memory(), tempfile::tempdir().unwrap());
        let died = Self { memory, folder };
        let set = |program: &mut Command| {
            let db = died.db();
            program.env("SPANDREL_TEST_DB", db).env("XDG_RUNTIME_DIR", died.memory.path());
        };
        dies(set, || ());
        died
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("p.db")
    }

    fn ring(&self) -> PathBuf {
        let files = std::fs::read_dir(self.memory.path().join("spandrel")).unwrap();
        files.map(|file| file.unwrap().path()).next().unwrap()
    }

    /// What a command says, on both ways.
    fn said(&self, words: &[&str]) -> String {
        let db = self.db();
        let mut command = bare(&[words, &["--db", db.to_str().unwrap()]].concat());
        said(command.env("XDG_RUNTIME_DIR", self.memory.path()))
    }
}

pub(super) fn said(command: &mut Command) -> String {
    let (out, err, _) = run(command.env("COLUMNS", "1000"));
    out + &err
}

/// Commands that tell of a run.
const SCREENS: [&[&str]; 5] = [
    &["doctor", "-f", "table"],
    &["info", "-f", "table"],
    &["top", "-f", "table"],
    &["open", "-f", "table"],
    &["tail"],
];

/// Nothing that is said only of what is lost.
fn assert_no_loss(said: &str) {
    for lie in ["half second", "left no ring file", "no problems found", "close()", "was killed"] {
        assert!(!said.contains(lie), "{lie}: {said}");
    }
}

#[test]
fn each_screen_says_how_much_waits_where_and_what_moves_it() {
    let died = Died::new();
    let (ring, db) = (died.ring().display().to_string(), died.db().display().to_string());
    let waits = format!("{LEFT} spans and 1 span that was open wait in its ring file {ring}");
    for words in SCREENS {
        let said = died.said(words);
        assert!(said.contains(&waits), "{words:?}: {said}");
        assert!(said.contains(&format!("spandrel recover --db {db}")), "{words:?}: {said}");
        assert_no_loss(&said);
    }
    for words in [&["slow"][..], &["tree"], &["runs"]] {
        let said = died.said(words);
        assert!(!said.contains("killed"), "{words:?}: {said}");
    }
    died.said(&["recover"]);
    for words in SCREENS {
        let said = died.said(words);
        assert!(!said.contains("ring file") && !said.contains("was killed"), "{words:?}: {said}");
    }
    let tail = died.said(&["tail"]);
    assert!(
        tail.contains(
            "its process has died, and all that it had recorded is here; 1 span was open then"
        ),
        "{tail}"
    );
}

#[test]
fn record_says_so_of_the_program_that_it_has_run() {
    let (memory, folder) = (memory(), tempfile::tempdir().unwrap());
    let db = folder.path().join("p.db");
    let this = std::env::current_exe().unwrap();
    let mut command = bare(&["record", "-o", db.to_str().unwrap(), "--"]);
    command.arg(this).args(["--exact", "left_in_rings::a_program_that_dies", "--nocapture"]);
    let said = said(command.env("SPANDREL_TEST_DB", &db).env("XDG_RUNTIME_DIR", memory.path()));
    assert!(said.contains("7 spans and 1 span that was open wait in its ring file"), "{said}");
    assert!(!said.contains("what it held last is missing") && !said.contains("! killed"), "{said}");
}

#[test]
fn a_ring_file_that_is_refused_is_named_with_the_reason() {
    for (at, bytes, why) in [
        (8, 99_u64.to_ne_bytes(), "version 99 of the layout"),
        // The length of the file.
        (32, [0xFF; 8], "this ring file is damaged"),
    ] {
        let died = Died::new();
        let ring = died.ring();
        let mut words = std::fs::read(&ring).unwrap();
        words[at..][..8].copy_from_slice(&bytes);
        std::fs::write(&ring, words).unwrap();
        for words in SCREENS {
            let said = died.said(words);
            assert!(
                said.contains(ring.to_str().unwrap()) && said.contains(why),
                "{words:?}: {said}"
            );
            assert_no_loss(&said);
        }
    }
}

#[test]
fn where_somebody_has_removed_the_ring_file_that_is_said() {
    let died = Died::new();
    std::fs::remove_file(died.ring()).unwrap();
    let said = died.said(&["doctor", "-f", "table"]);
    assert!(said.contains("its process is gone, and so is its ring file"), "{said}");
    assert!(!said.contains("call close()"), "{said}");
}

/// A collector on a thread of this process.
pub(super) struct Collector {
    rings: PathBuf,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Collector {
    pub(super) fn start(rings: &Path, db: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (rings, db, is_over) = (rings.to_owned(), db.to_owned(), Arc::clone(&stop));
        let folder = rings.clone();
        let thread = std::thread::spawn(move || {
            let is_over = || is_over.load(Ordering::Relaxed);
            collect(&folder, &db, &CollectOptions::default(), is_over, |_| ()).unwrap();
        });
        Self { rings, stop, thread }
    }

    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        // Another test may be about to start a program: until that is executed, it has our descriptors, and the locks.
        let is_drained =
            || in_folder(&self.rings).unwrap().iter().any(|ring| ring.is_drained == Some(true));
        while is_drained() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

pub(super) fn program(rings: &Path) -> Profiler {
    let builder = Profiler::builder().collected(rings).ring_capacity(1 << 12);
    builder.partitions(2).max_open_spans(64).build().unwrap()
}

/// Waits for what a collector commits.
pub(super) fn until_stored(db: &Path, spans: u64) {
    let is_stored = || {
        let runs = Reader::open(db).and_then(|reader| reader.runs());
        runs.is_ok_and(|runs| runs.iter().map(|run| run.spans).sum::<u64>() >= spans)
    };
    while !is_stored() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(super) fn of(db: &Path, words: &[&str]) -> String {
    said(&mut bare(&[words, &["--db", db.to_str().unwrap()]].concat()))
}

pub(super) fn ring_in(rings: &Path) -> String {
    let file = std::fs::read_dir(rings).unwrap().next().unwrap();
    file.unwrap().path().display().to_string()
}

#[test]
fn that_no_collector_runs_is_said_at_once_and_nothing_while_one_does() {
    let (rings, folder) = (memory(), tempfile::tempdir().unwrap());
    let db = folder.path().join("p.db");
    let collector = Collector::start(rings.path(), &db);
    let profiler = program(rings.path());
    requests(&profiler, STORED);
    until_stored(&db, STORED);
    for words in &SCREENS[..4] {
        let said = of(&db, words);
        assert!(!said.contains("no collector"), "{words:?}: {said}");
    }
    collector.stop();
    requests(&profiler, LEFT);
    let command = format!("spandrel collect {} -o {}", rings.path().display(), db.display());
    for words in &SCREENS[..4] {
        let said = of(&db, words);
        assert!(said.contains("1 program records into ring files in"), "{words:?}: {said}");
        assert!(said.contains("and no collector runs, and 7 spans wait in"), "{words:?}: {said}");
        assert!(said.contains(&command), "{words:?}: {said}");
        assert_no_loss(&said);
    }
    let folder_said = said(&mut bare(&["open", rings.path().to_str().unwrap(), "-f", "table"]));
    assert!(
        folder_said.contains("no collector runs: 7 spans wait in 1 ring file"),
        "{folder_said}"
    );
    // It closes, and nobody is there.
    profiler.close().unwrap();
    let doctor = of(&db, &["doctor", "-f", "table"]);
    let ring = ring_in(rings.path());
    assert!(
        doctor.contains(&format!("has ended: 7 spans wait in its ring file {ring}")),
        "{doctor}"
    );
}

#[test]
fn of_a_program_that_died_without_a_collector_each_screen_says_so() {
    let (rings, folder) = (memory(), tempfile::tempdir().unwrap());
    let db = folder.path().join("p.db");
    let collector = Collector::start(rings.path(), &db);
    let set = |program: &mut Command| {
        program.env("SPANDREL_TEST_RINGS", rings.path());
    };
    dies(set, || collector.stop());
    let ring = ring_in(rings.path());
    for words in SCREENS {
        let said = of(&db, words);
        let waits =
            format!("has died: 7 spans wait in its ring file {ring}, and no collector runs");
        assert!(said.contains(&waits), "{words:?}: {said}");
        assert_no_loss(&said);
    }
}

#[test]
fn a_second_collector_says_once_who_has_the_rings() {
    let (rings, folder) = (memory(), tempfile::tempdir().unwrap());
    let (db, other) = (folder.path().join("p.db"), folder.path().join("other.db"));
    let collector = Collector::start(rings.path(), &db);
    let programs = [program(rings.path()), program(rings.path())];
    programs.iter().for_each(|profiler| requests(profiler, STORED));
    until_stored(&db, 2 * STORED);
    let words =
        ["collect", rings.path().to_str().unwrap(), "--once", "-o", other.to_str().unwrap()];
    let told = said(&mut bare(&words));
    let who = format!("process {} drains ring files there", std::process::id());
    assert_eq!(told.matches(&who).count(), 1, "{told}");
    collector.stop();
}

#[test]
fn a_folder_that_programs_refuse_is_refused_with_the_same_remedy() {
    let (rings, folder) = (memory(), tempfile::tempdir().unwrap());
    let profiler = program(rings.path());
    let db = folder.path().join("p.db");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(rings.path(), &link).unwrap();
    let remedy =
        "give the ring file a folder of its own, which is yours and nobody else's (mode 0700)";
    let check = |folder: &Path, why: &str| {
        let folder = folder.to_str().unwrap();
        for words in
            [&["open", folder][..], &["collect", folder, "--once", "-o", db.to_str().unwrap()]]
        {
            let (out, err, code) = run(bare(words).env("COLUMNS", "1000"));
            assert!(
                code == 3 && err.contains(why) && err.contains(remedy),
                "{words:?}: {out}{err}"
            );
        }
        assert!(!db.exists());
    };
    check(&link, "is a link");
    check(&folder.path().join("link/"), "is a link");
    std::fs::set_permissions(rings.path(), Permissions::from_mode(0o777)).unwrap();
    check(rings.path(), "can be entered by others");
    let refused = Profiler::builder().collected(rings.path()).build().unwrap_err().to_string();
    assert!(refused.contains(remedy), "{refused}");
    profiler.close().unwrap();
}

#[test]
fn a_run_that_two_collectors_have_says_in_both_profiles_that_it_is_in_another() {
    let (rings, folder) = (memory(), tempfile::tempdir().unwrap());
    let (first, second) = (folder.path().join("first.db"), folder.path().join("second.db"));
    let profiler = program(rings.path());
    requests(&profiler, LEFT);
    let collector = Collector::start(rings.path(), &first);
    until_stored(&first, LEFT);
    collector.stop();
    requests(&profiler, STORED);
    let collector = Collector::start(rings.path(), &second);
    until_stored(&second, STORED);
    let said = of(&first, &["doctor", "-f", "table"]);
    let now = format!("into another profile now, by a collector (process {})", std::process::id());
    assert!(said.contains(&now) && said.contains("3 spans of it that are not here"), "{said}");
    profiler.close().unwrap();
    let ended = || Reader::open(&second).unwrap().runs().unwrap()[0].ended_unix_ns.is_some();
    while !ended() {
        std::thread::sleep(Duration::from_millis(10));
    }
    collector.stop();
    for words in [&["doctor", "-f", "table"][..], &["info", "-f", "table"]] {
        let said = of(&second, words);
        assert!(said.contains("7 spans of the run are in another profile"), "{words:?}: {said}");
        assert!(!said.contains('✓'), "{words:?}: {said}");
    }
    let (_, _, code) = run(&mut bare(&["info", "--strict", "--db", second.to_str().unwrap()]));
    assert_eq!(code, 5, "a part is not complete");
}

#[test]
fn a_profile_that_was_renamed_while_it_was_recorded_into_is_a_part_and_so_is_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (db, old) = (folder.path().join("p.db"), folder.path().join("old.db"));
    let profiler = Profiler::builder().database(&db).ring_capacity(1 << 12).build().unwrap();
    requests(&profiler, LEFT);
    profiler.flush(Duration::from_secs(60)).unwrap();
    std::fs::rename(&db, &old).unwrap();
    requests(&profiler, STORED);
    profiler.close().unwrap();
    for (db, part) in [
        (&old, "the run goes on in another file, which has what came later"),
        (&db, "7 spans of the run are in another profile"),
    ] {
        let said = of(db, &["doctor", "-f", "table"]);
        assert!(said.contains(part), "{said}");
        let said = of(db, &["info", "-f", "table"]);
        assert!(said.contains(part) && said.contains("✗ elsewhere"), "{said}");
        let said = of(db, &["top", "-f", "table"]);
        assert!(said.contains("! a part of the run") && !said.contains("complete ✓"), "{said}");
    }
}

#[test]
fn help_says_what_the_file_is_and_how_strict_ends() {
    for (command, said) in [
        (
            "collect",
            "Profile to write: made if it is not there; in one that is, each program becomes another run",
        ),
        ("record", "Profile to write: made if it is not there; one that is gets another run"),
        (
            "doctor",
            "Exit with code 1 if there is a problem, else with code 5 if the profile is incomplete",
        ),
    ] {
        for help in ["-h", "--help"] {
            let (out, _, _) = run(&mut bare(&[command, help]));
            let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(out.contains(said), "{out}");
        }
        let (out, _, _) = run(&mut bare(&[command, "--help"]));
        assert!(command == "doctor" || !out.contains("once the output is complete"), "{out}");
    }
}
