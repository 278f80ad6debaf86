//! Programs that are collected are killed with signal 9 at any moment, and so is whoever collects: all that a witness
//! in shared memory saw published is in the profile, once; what was open is there as crashed; each ledger is exact; no file
//! is left.
//!
//! `SPANDREL_TEST_KILLS` sets how many programs are killed, or collectors (default 25); scripts/crash_proof.sh kills 500, and 100.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use spandrel::collect::{CollectOptions, Collecting, collect};
use spandrel_tests::killing::{self, End, LIMIT, Tally, Witness, audit, program};
use spandrel_tests::prelude::*;
use tempfile::TempDir;

/// So many programs record at a time.
const LANES: usize = 2;
/// So many programs that are killed, or collectors, have a profile of their own.
const OF_ONE_PROFILE: u64 = 6;
const RINGS: &str = "SPANDREL_TEST_RINGS";

#[test]
fn what_was_published_before_a_kill_is_collected_once() {
    if is_another() {
        return;
    }
    campaign("collected", |scene, kills| {
        let collector = Collector::start(scene);
        let killed = scene.run_and_kill(|n| n < kills);
        let mut tally = collector.stop();
        tally.add(&scene.look(&killed));
        tally
    });
}

#[test]
fn what_was_published_is_collected_once_whichever_collectors_are_killed() {
    if is_another() {
        return;
    }
    campaign("collector", |scene, kills| {
        let is_enough = AtomicBool::new(false);
        let (killed, collector) = std::thread::scope(|scope| {
            let killer = named().spawn_scoped(scope, || {
                let mut collector = Collector::start(scene);
                for kill in 0..kills {
                    killing::pause(scene.first + kill, Duration::from_millis(500));
                    collector.kill();
                    collector = Collector::start(scene);
                }
                is_enough.store(true, Ordering::Relaxed);
                collector
            });
            let killed = scene.run_and_kill(|_| !is_enough.load(Ordering::Relaxed));
            (killed, killer.unwrap().join().unwrap())
        });
        let mut tally = collector.stop();
        tally.collectors = kills;
        tally.add(&scene.look(&killed));
        tally
    });
}

#[test]
fn a_file_of_which_a_dead_process_has_made_no_ring_goes() {
    let _limit = time_limit(60);
    let (scratch, rings) = (scratch(), killing::folder_in_memory());
    let file = |pid: u32| rings.path().join(format!("collected-{pid}-0123456789abcdef.ring"));
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    // Killed before it had any memory, and before there was a header; and one that makes it just now.
    let (empty, zeros, of_living) = (
        file(dead.id()),
        rings.path().join(format!("collected-{}-1.ring", dead.id())),
        file(std::process::id()),
    );
    for (path, bytes) in [(&empty, 0), (&zeros, 1 << 16), (&of_living, 1 << 16)] {
        std::fs::write(path, vec![0; bytes]).unwrap();
    }
    let mut options = CollectOptions::default();
    options.once = true;
    collect(rings.path(), scratch.db(), &options, || false, |_| ()).unwrap();
    assert!(!empty.exists() && !zeros.exists());
    assert!(of_living.exists(), "its process may still make a ring of it");
}

/// Whether this process is a program or a collector, and has been; or has had the test run in another one.
fn is_another() -> bool {
    match child::role().as_deref() {
        Some("collects") => collect_until_told(),
        Some(role @ ("records" | "builds" | "closes")) => {
            let builder = Profiler::builder().collected(program::path()).partitions(2);
            program::run(builder, End::of(role));
        }
        role => return !killing::is_in_own_folder(role),
    }
    true
}

/// In a child.
fn collect_until_told() {
    let rings = std::env::var_os(RINGS).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    std::thread::spawn(move || {
        child::listen();
        told.store(true, Ordering::Relaxed);
    });
    let tell = |what| {
        if let Collecting::Refused { path, why } = what {
            child::say(format!("{}: {why}", path.display()));
        }
    };
    let stop = || stop.load(Ordering::Relaxed);
    let options = CollectOptions::default();
    if let Err(error) = collect(Path::new(&rings), &program::path(), &options, stop, tell) {
        child::say(error);
    }
}

/// A thread whose children run the calling test.
fn named() -> std::thread::Builder {
    std::thread::Builder::new().name(child::this_test())
}

/// A profile, and a folder of rings that are collected into it.
struct Scene {
    scratch: Scratch,
    rings: TempDir,
    /// The number of its first kill among all, and of the next program.
    first: u64,
    next: AtomicU64,
}

/// A program that was killed.
struct Killed {
    n: u64,
    witness: Witness,
    came: bool,
}

/// Kills so many as are wanted, in scenes of some each.
fn campaign(mode: &str, play: impl Fn(&Scene, u64) -> Tally) {
    let kills = killing::kills(25);
    let _limit = time_limit(120 + 6 * kills);
    let mut tally = Tally::default();
    for first in (0..kills).step_by(OF_ONE_PROFILE as usize) {
        let rings = killing::folder_in_memory();
        let scene = Scene { scratch: scratch(), rings, first, next: AtomicU64::new(first) };
        tally.add(&play(&scene, OF_ONE_PROFILE.min(kills - first)));
    }
    child::say(format!("{mode}: {tally}"));
    tally.assert_sound();
}

impl Scene {
    /// Starts programs and kills them, some at a time, as long as one more may begin, by its number in this scene.
    fn run_and_kill(&self, may_begin: impl Fn(u64) -> bool + Sync) -> Vec<Killed> {
        let lane = || {
            let mut killed = Vec::new();
            loop {
                let n = self.next.fetch_add(1, Ordering::Relaxed);
                if !may_begin(n - self.first) {
                    return killed;
                }
                let witness_path = self.scratch.path(&format!("witness {n}"));
                let witness = Witness::at(&witness_path);
                let plan = program::plan(killing::role(n), self.rings.path(), &witness_path, n);
                let came = killing::kill_at_a_moment(&mut plan.start(), &witness, n);
                killed.push(Killed { n, witness, came });
            }
        };
        std::thread::scope(|scope| {
            let lanes = [(); LANES].map(|()| named().spawn_scoped(scope, lane).unwrap());
            lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
        })
    }

    /// When the last collector has ended.
    fn look(&self, killed: &[Killed]) -> Tally {
        let mut tally = Tally::default();
        let left = std::fs::read_dir(self.rings.path()).unwrap();
        for file in left {
            eprintln!("left: {}", file.unwrap().path().display());
            tally.faults.rings_left += 1;
        }
        let db = Database::open(self.scratch.db());
        if !audit::is_sound(&db) {
            tally.faults.unsound_files += 1;
            return tally;
        }
        for Killed { n, witness, came } in killed {
            tally.add(&audit::look(&db, &n.to_string(), *witness));
            tally.faults.hangs += u64::from(!came);
        }
        // It says of no ring any more how far it is drained, nor what is open.
        let rest =
            db.count("SELECT (SELECT count(*) FROM drained) + (SELECT count(*) FROM open_span)");
        tally.faults.ledger_wrong += rest;
        tally
    }
}

/// Whether a collector tells of a file in which nothing is: its program was killed in the moment in which it was made.
fn is_of_early(said: &str) -> bool {
    said.contains(
        "nothing is in it: somebody has emptied it, or its process was killed as it made it",
    )
}

/// A process that collects.
struct Collector(child::Child);

impl Collector {
    fn start(scene: &Scene) -> Self {
        let plan = child::plan("collects").env(RINGS, scene.rings.path());
        Self(plan.env(program::PATH, scene.scratch.db()).start())
    }

    /// As `kill -9` does.
    fn kill(&mut self) {
        let said: Vec<_> = self.0.kill().into_iter().filter(|said| !is_of_early(said)).collect();
        assert!(said.is_empty(), "a collector has complained: {said:?}");
    }

    /// Lets it store everything, and waits for its end.
    fn stop(mut self) -> Tally {
        let mut tally = Tally::default();
        match self.0.finish_within(LIMIT) {
            None => tally.faults.hangs += 1,
            Some(status) => {
                assert!(status.success(), "the collector ended with {status}");
                while let Some(said) = self.0.hear() {
                    if is_of_early(&said) {
                        continue;
                    }
                    eprintln!("the collector: {said}");
                    tally.faults.unsound_files += 1;
                }
            }
        }
        tally
    }
}
