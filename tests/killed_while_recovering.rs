//! Whoever recovers what a process has left is killed over it, at any moment, once and twice; and at the moment that is left
//! when everything is committed and only the ring file is to be removed. The next one completes it, and nothing is there
//! twice.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use spandrel::collect::{CollectOptions, collect};
use spandrel::recover::recover;
use spandrel_tests::deadly_calls::die_of_removing;
use spandrel_tests::killing::{self, End, LIMIT, Tally, Witness, audit, program};
use spandrel_tests::prelude::*;

const RINGS: &str = "SPANDREL_TEST_RINGS";

/// In a child.
fn die_of_removing_or_say_so() {
    if let Err(error) = die_of_removing() {
        child::say(error);
        std::process::exit(0);
    }
}

/// What a process does of these tests. `true` if it was one of theirs, or has had the test run in another one.
fn is_another() -> bool {
    let Some(role) = child::role() else { return !killing::is_in_own_folder(None) };
    let crash_proof = || {
        let builder = Profiler::builder().database(program::path()).crash_proof(true).partitions(2);
        builder.flush_interval(Duration::from_millis(20))
    };
    let (role, is_deadly) = match role.strip_suffix(", and dies of removing") {
        Some(role) => (role, true),
        None => (&*role, false),
    };
    if is_deadly {
        die_of_removing_or_say_so();
    }
    match role {
        "records" => program::run(crash_proof(), End::Never),
        "closes" => {
            // What asks a recording for something has a file that goes before.
            let builder = crash_proof().control(false);
            program::run_and_close(builder, End::Closes, die_of_removing_or_say_so);
        }
        "records, collected" => {
            let builder = Profiler::builder().collected(program::path()).partitions(2);
            program::run(builder, End::Never);
        }
        "recovers" => {
            child::say("begun");
            recover(&program::path(), false).unwrap();
            child::say("done");
        }
        "builds" => {
            child::say("begun");
            let profiler = crash_proof().label("next").build().unwrap();
            child::say("done");
            child::listen();
            profiler.close().unwrap();
        }
        "collects" => {
            let mut options = CollectOptions::default();
            options.once = true;
            let rings = PathBuf::from(std::env::var_os(RINGS).unwrap());
            collect(&rings, &program::path(), &options, || false, |_| ()).unwrap();
        }
        role => return !killing::is_in_own_folder(Some(role)),
    }
    true
}

/// A program that was killed while it recorded, and what it has left.
struct Dead {
    scratch: Scratch,
    witness: Witness,
}

impl Dead {
    fn make(n: u64) -> Self {
        let scratch = scratch();
        let witness_path = scratch.path("witness");
        let witness = Witness::at(&witness_path);
        let mut program = program::plan("records", scratch.db(), &witness_path, n).start();
        assert!(killing::until(|| witness.published_by_all() >= 15_000));
        program.kill();
        Self { scratch, witness }
    }

    fn plan(&self, role: &str) -> child::Plan {
        child::plan(role).env(program::PATH, self.scratch.db())
    }

    /// Recovers what is left, and looks whether all is there, once.
    fn look(&self, n: u64) -> Tally {
        recover(self.scratch.db(), false).unwrap();
        assert_eq!(recover(self.scratch.db(), false).unwrap().rings, [], "nothing twice");
        let db = Database::open(self.scratch.db());
        let mut tally = audit::look(&db, &n.to_string(), self.witness);
        tally.faults.unsound_files += u64::from(!audit::is_sound(&db));
        tally.faults.rings_left += rings();
        tally.faults.ledger_wrong += db.count("SELECT count(*) FROM drained");
        tally
    }
}

/// Ring files that there are in our folder.
fn rings() -> u64 {
    std::fs::read_dir(our_folder()).map_or(0, |files| files.count() as u64)
}

fn kill_over(role: &str, times: u64) {
    let kills = killing::kills(8);
    let _limit = time_limit(120 + 10 * kills);
    let (mut tally, mut killed_over) = (Tally::default(), 0);
    for n in 0..kills {
        let dead = Dead::make(n);
        for time in 0..times {
            let mut child = dead.plan(role).start();
            child.expect("begun");
            killing::pause(n * times + time, Duration::from_millis(400));
            killed_over += u64::from(child.kill().is_empty());
        }
        tally.add(&dead.look(n));
    }
    child::say(format!(
        "{role}: killed {killed_over} of {} times before it was done; {tally}",
        kills * times
    ));
    tally.assert_sound();
    assert!(killed_over > 0, "nobody was killed over it");
}

#[test]
fn a_recovery_that_is_killed_twice_is_completed_by_the_third() {
    if !is_another() {
        kill_over("recovers", 2);
    }
}

#[test]
fn a_recording_that_is_killed_while_it_recovers_what_another_has_left() {
    if !is_another() {
        kill_over("builds", 2);
    }
}

/// A profile that has a log already, as long as this connection is there: SQLite removes a journal where it begins one.
fn profile() -> (Scratch, rusqlite::Connection) {
    let scratch = scratch();
    small(scratch.db()).build().unwrap().close().unwrap();
    let connection = rusqlite::Connection::open(scratch.db()).unwrap();
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
    (scratch, connection)
}

/// Removes the file of whoever was killed at that, as if they had come so far.
fn remove_for(folder: &Path) {
    for file in std::fs::read_dir(folder).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
}

fn our_folder() -> PathBuf {
    PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").expect("a folder of our own"))
        .join("spandrel")
}

/// Waits for the end of who dies of removing. `false` if there is no such death here.
fn has_died_of_removing(mut child: child::Child) -> bool {
    let status = child.finish_within(LIMIT).expect("it ends");
    if status.success() {
        let said: Vec<String> = std::iter::from_fn(|| child.hear()).collect();
        skipped(format_args!("no call of the system can be made deadly: {said:?}"));
        return false;
    }
    assert_eq!(status.signal(), Some(libc::SIGSYS), "{status}");
    true
}

/// A number out of a profile that nobody has closed: whoever reads it first has to write to its index.
fn count(path: &Path, sql: &str) -> i64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Whether everything of a ring is committed.
fn is_committed(path: &Path) -> bool {
    count(path, "SELECT count(*) FROM drained WHERE partition = -1") == 1
}

#[test]
fn whoever_recovers_is_killed_between_the_last_commit_and_what_comes_after_the_removal() {
    if is_another() {
        return;
    }
    let _limit = time_limit(120);
    let moments = [("recovers", false), ("builds", false), ("recovers", true), ("builds", true)];
    for (n, (role, is_removed)) in moments.into_iter().enumerate() {
        let dead = Dead::make(n as u64);
        let child = dead.plan(&format!("{role}, and dies of removing")).start();
        if !has_died_of_removing(child) {
            return;
        }
        assert_eq!(rings(), 1, "its file is there");
        assert!(is_committed(dead.scratch.db()));
        if is_removed {
            remove_for(&our_folder());
        }
        dead.look(n as u64).assert_sound();
    }
}

#[test]
fn a_collector_is_killed_between_the_last_commit_and_what_comes_after_the_removal() {
    if is_another() {
        return;
    }
    let _limit = time_limit(120);
    for is_removed in [false, true] {
        kill_a_collector_that_removes(is_removed);
    }
}

fn kill_a_collector_that_removes(is_removed: bool) {
    let folder = killing::folder_in_memory();
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let (scratch, _connection) = profile();
    let witness_path = scratch.path("witness");
    let witness = Witness::at(&witness_path);
    let plan = program::plan("records, collected", folder.path(), &witness_path, 7);
    let mut program = plan.start();
    assert!(killing::until(|| witness.published_by_all() >= 15_000));
    program.kill();
    let collects = |role: &str| {
        let plan = child::plan(role).env(RINGS, folder.path());
        plan.env(program::PATH, scratch.db()).start()
    };
    if !has_died_of_removing(collects("collects, and dies of removing")) {
        return;
    }
    assert_eq!(files(), 1, "the file is there");
    assert!(is_committed(scratch.db()));
    if is_removed {
        remove_for(folder.path());
    }
    for _ in 0..2 {
        collects("collects").succeed();
        assert_eq!(files(), 0);
        let db = Database::open(scratch.db());
        assert_eq!(db.count("SELECT count(*) FROM drained"), 0);
        audit::look(&db, "7", witness).assert_sound();
    }
}

#[test]
fn a_recording_that_closes_is_killed_between_the_last_commit_and_what_comes_after_the_removal() {
    if is_another() {
        return;
    }
    let _limit = time_limit(120);
    for is_removed in [false, true] {
        kill_a_recording_that_closes(is_removed);
    }
}

fn kill_a_recording_that_closes(is_removed: bool) {
    let (scratch, _connection) = profile();
    let witness_path = scratch.path("witness");
    let witness = Witness::at(&witness_path);
    let plan = program::plan("closes", scratch.db(), &witness_path, 3);
    if !has_died_of_removing(plan.start()) {
        return;
    }
    assert_eq!(
        (witness.step(), rings()),
        (program::CLOSES, 1),
        "it was closing, its file is there"
    );
    assert_eq!(
        count(
            scratch.db(),
            "SELECT count(*) FROM run WHERE label = '3' AND ended_unix_ns IS NOT NULL"
        ),
        1
    );
    let dead = Dead { scratch, witness };
    if is_removed {
        remove_for(&our_folder());
    }
    let tally = dead.look(3);
    assert_eq!(tally.crashed, 0);
    tally.assert_sound();
}
