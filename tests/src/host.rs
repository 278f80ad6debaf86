//! A program that records on command, in a process of its own, so that it can be killed and so that
//! what it does with its files is no doing of the test's.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use spandrel::{ProfilerBuilder, Stats};
use tracing::info_span;

use crate::child::{self, Child};
use crate::{Database, dispatch, ledger, sitter, small, time_limit, within};

const PATH: &str = "SPANDREL_TEST_PATH";
/// Spans that one command records.
pub const SPANS: u64 = 50;

/// The host, seen from the test.
#[derive(Debug)]
pub struct Host {
    child: Child,
    db: PathBuf,
}

/// What the host's ledger says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    pub recorded: u64,
    pub stored: u64,
    pub file_removed: u64,
    /// What was dropped for any other reason.
    pub dropped: u64,
}

impl Host {
    /// Starts the calling test as a host that records into `db`. In the child that test has to call [`serve`] if
    /// [`child::role`] is set.
    pub fn start(role: &str, db: &Path) -> Self {
        let mut child = child::plan(role).env(PATH, db).start();
        child.expect("ready");
        Self { child, db: db.to_owned() }
    }

    /// It records [`SPANS`] spans and flushes.
    pub fn record(&mut self) -> Said {
        self.child.tell("record");
        self.said()
    }

    /// It does with a file of its own what programs do.
    pub fn touch(&mut self, how: &str, suffix: &str) {
        self.child.tell(&format!("{how} {}", sidecar(&self.db, suffix).display()));
        self.child.expect("touched");
    }

    /// It closes the profiler.
    pub fn close(&mut self) -> Said {
        self.child.tell("close");
        self.said()
    }

    /// It is killed, as by `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// What its ledger says now.
    pub fn ask(&mut self) -> Said {
        self.child.tell("ask");
        self.said()
    }

    /// Why something went wrong last; empty if nothing has.
    pub fn error(&mut self) -> String {
        self.child.tell("error");
        self.child.hear().expect("the host lives")
    }

    fn said(&mut self) -> Said {
        let said = self.child.hear().expect("the host lives");
        let mut numbers = said.split(' ').map(|word| word.parse().expect("a number"));
        let mut next = || numbers.next().expect("four numbers");
        Said { recorded: next(), stored: next(), file_removed: next(), dropped: next() }
    }
}

/// A file beside the profile, or the profile itself.
pub fn sidecar(db: &Path, suffix: &str) -> PathBuf {
    let mut name = db.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// In the child: does what it is told until the test goes away.
pub fn serve(set: impl FnOnce(ProfilerBuilder) -> ProfilerBuilder) {
    let _limit = time_limit(120);
    let path = PathBuf::from(std::env::var(PATH).expect("set by the test"));
    let profiler = set(small(&path)).build().expect("a profiler");
    let dispatch = dispatch(&profiler);
    child::say("ready");
    let mut n = 0_u64;
    while let Some(command) = child::listen() {
        match command.split_once(' ').unwrap_or((&command, "")) {
            ("record", _) => {
                within(&dispatch, || {
                    for _ in 0..SPANS {
                        n += 1;
                        drop(info_span!("work", n));
                    }
                });
                profiler.flush(Duration::from_secs(20)).expect("a flush");
                tell(&profiler.stats());
            }
            ("close", _) => {
                let report = profiler.close().expect("a report");
                ledger::settled(&report);
                tell(&report.stats);
            }
            ("ask", _) => tell(&profiler.stats()),
            ("error", _) => child::say(profiler.stats().last_error.unwrap_or_default()),
            (how, file) => {
                touch(how, Path::new(file));
                child::say("touched");
            }
        }
    }
}

fn touch(how: &str, file: &Path) {
    match how {
        "read" => drop(std::fs::read(file).expect("it is there")),
        "copy" => {
            let copy = sidecar(file, ".copy");
            std::fs::copy(file, &copy).expect("it is there");
            std::fs::remove_file(copy).expect("it was made just now");
        }
        "open" => {
            let mut byte = [0];
            let read = File::open(file).expect("it is there").read(&mut byte);
            assert_eq!(read.expect("it can be read"), 1);
        }
        how => panic!("what is {how}?"),
    }
}

fn tell(stats: &Stats) {
    ledger::identity(stats);
    let (all, removed) = (stats.dropped.total(), stats.dropped.file_removed);
    let (recorded, stored) = (stats.recorded, stats.stored);
    child::say(format!("{recorded} {stored} {removed} {}", all - removed));
}

/// Runs this program as a host, or as somebody who reads, if it is to be that. Says whether it was.
pub fn is_somebody_else() -> bool {
    match child::role().as_deref() {
        Some("host") => serve(|builder| builder),
        Some(_) => sitter::sit(),
        None => return false,
    }
    true
}

/// How many spans are in a file, which is whole and counts them right.
pub fn found(path: &Path) -> u64 {
    let db = Database::open(path);
    assert_eq!(db.value::<String>("PRAGMA integrity_check"), "ok", "{}", path.display());
    let rows = db.count("SELECT count(*) FROM span");
    assert_eq!(db.count("SELECT coalesce(sum(spans), 0) FROM run"), rows, "{}", path.display());
    let nameless = "SELECT count(*) FROM span WHERE callsite_id NOT IN (SELECT id FROM callsite)";
    assert_eq!(db.count(nameless), 0, "{}", path.display());
    rows
}

/// How many spans a file says to have been lost with one that was removed.
pub fn told_lost(path: &Path) -> u64 {
    let losses = "SELECT coalesce(sum(spans), 0) FROM loss WHERE reason = 'file_removed'";
    Database::open(path).count(losses)
}

/// What is said of so many spans, of which some were lost with a file.
pub fn stored(recorded: u64, file_removed: u64) -> Said {
    Said { recorded, stored: recorded - file_removed, file_removed, dropped: 0 }
}
