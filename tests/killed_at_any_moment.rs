//! A process whose ring lies in a file is killed with signal 9 at any moment: while its profiler is built, while four
//! threads record at full speed, while it closes. Everything that a witness in shared memory saw published is in the
//! profile after the recovery, once; what was open is there as crashed; the ledger says that nothing was lost.
//!
//! `SPANDREL_TEST_KILLS` sets how many are killed (default 25); scripts/crash_proof.sh kills 500.

use spandrel::recover::{recover, waiting};
use spandrel_tests::killing::{self, End, Tally, Witness, audit, program};
use spandrel_tests::prelude::*;

#[test]
fn what_was_published_before_a_kill_is_recovered_once() {
    match child::role().as_deref() {
        Some(role @ ("records" | "builds" | "closes")) => return record(End::of(role)),
        role if !killing::is_in_own_folder(role) => return,
        _ => {}
    }
    let kills = killing::kills(25);
    let _limit = time_limit(120 + 4 * kills);
    let mut tally = Tally::default();
    for kill in 0..kills {
        tally.add(&kill_one(kill));
    }
    child::say(format!("crash_proof: {tally}"));
    tally.assert_sound();
}

/// In the child.
fn record(end: End) {
    let builder = Profiler::builder().database(program::path()).crash_proof(true).partitions(2);
    program::run(builder.flush_interval(Duration::from_millis(20)), end);
}

/// Starts a program, kills it, recovers what it has left, and looks at it.
fn kill_one(kill: u64) -> Tally {
    let scratch = scratch();
    let witness_path = scratch.path("witness");
    let witness = Witness::at(&witness_path);
    let plan = program::plan(killing::role(kill), scratch.db(), &witness_path, kill);
    let mut program = plan.start();
    let pid = program.id();
    let came = killing::kill_at_a_moment(&mut program, &witness, kill);
    let path = scratch.db().to_owned();
    let mut tally = match killing::unless_it_hangs(move || look(&path, witness, kill, pid)) {
        Some(tally) => tally,
        None => Tally::hung(),
    };
    tally.faults.hangs += u64::from(!came);
    tally
}

fn look(path: &Path, witness: Witness, kill: u64, pid: u32) -> Tally {
    let mut tally = Tally { killed: 1, ..Tally::default() };
    if witness.step() < program::RECORDS && !path.exists() {
        tally.early = 1;
        return tally;
    }
    // By the next one that records there, or by somebody who wants to know.
    let mut recovered = 0;
    if kill.is_multiple_of(3) {
        let next =
            Profiler::builder().database(path).crash_proof(kill.is_multiple_of(2)).build().unwrap();
        assert_eq!(next.stats().last_error, None);
        next.close().unwrap();
    } else {
        let rings = recover(path, false).unwrap().rings;
        recovered = rings.iter().map(|ring| ring.spans).sum();
    }
    assert_eq!(waiting(path).unwrap(), [], "nothing is left to do");
    assert_eq!(recover(path, false).unwrap().rings, [], "nor to be done twice");
    let db = Database::open(path);
    if audit::is_sound(&db) {
        tally = audit::look(&db, &kill.to_string(), witness);
    } else {
        tally.faults.unsound_files = 1;
    }
    tally.recovered = recovered;
    tally.faults.rings_left = rings_of(pid);
    tally
}

/// Ring files of this process that are left.
fn rings_of(pid: u32) -> u64 {
    let folder = std::env::var("XDG_RUNTIME_DIR").expect("a folder of our own");
    let Ok(entries) = std::fs::read_dir(format!("{folder}/spandrel")) else { return 0 };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(&format!("-{pid}-"))).count() as u64
}
