//! Collects what programs record into ring files of a folder, and writes it to one profile: `spandrel collect`.
//!
//! ```text
//!   program A: ring file --+
//!   program B: ring file --+--> drain -> convert -> commit, a run each -> slots are given back
//!   (one that has died)  --+--> the same, and what was open: as `recover` does it
//! ```
//!
//! Each ring is a run of its own, with a [converter](super::convert) of its own; they are drained in turns, by one thread.
//! How far each is drained stands in the profile, in the transaction of the rows, and decides: whoever comes after a
//! collector that was killed goes on there. Slots are given back after the commit.
//!
//! Nobody wakes a collector. It looks 50 times a second while anything comes, and twice a second otherwise.

mod about;
mod begin;
mod drain;
mod folder;
mod ids;
mod lost;
mod refusals;
mod ring;
mod run;
#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use spandrel_storage::{ErrorKind as StorageErrorKind, Location, Store, StoreOptions};

use self::folder::make_folder;
use self::ids::FreeIds;
use self::refusals::{Answer, Refusals, may_pass};
use self::ring::{End, Ring, Round};
use crate::error::{Error, ErrorKind};
use crate::panics;
use crate::recorder::local;

/// The pause between two looks while anything comes.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The same at rest.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How often old rows are deleted, and for how long at most.
const PRUNE_PAUSE: Duration = Duration::from_secs(1);
const PRUNE_TIME: Duration = Duration::from_millis(50);
/// So many rounds at most at the end, if programs go on recording.
const LAST_ROUNDS: usize = 50;

/// Settings of [`collect`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CollectOptions {
    /// Those of the profile; its limits are kept as in a recording.
    pub store: StoreOptions,
    /// Ends when it has collected everything and no program is left that lives.
    pub once: bool,
}

/// Something that a collector tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Collecting {
    /// The folder was not there, and was made: nobody has recorded into it yet.
    FolderMade {
        /// The folder.
        path: PathBuf,
    },
    /// A program has begun to record, or is found to.
    Begun {
        /// The run in the profile.
        run_id: i64,
        /// The process.
        pid: u64,
        /// The program.
        program: String,
    },
    /// A program has ended, and everything of it is stored.
    Ended {
        /// The run in the profile.
        run_id: i64,
        /// The process.
        pid: u64,
        /// Whether it died, and was not closed.
        crashed: bool,
        /// Spans that were open then.
        open: u64,
        /// The spans of the run.
        spans: crate::Ledger,
    },
    /// Another process drains ring files of the folder, so that nothing comes from those here. It is told once.
    DrainedElsewhere {
        /// The folder.
        path: PathBuf,
        /// The process, where it can be seen.
        pid: Option<u32>,
    },
    /// A ring file is left alone, or could not be drained to its end; or the folder is not its user's alone any more, so
    /// that new files in it are.
    Refused {
        /// The file, or the folder.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// All that a ring file has is in the profile already: it was put back after it had been collected, or a collector was
    /// killed before it could remove it. It is removed now.
    StoredAlready {
        /// The file.
        path: PathBuf,
        /// The run in the profile.
        run_id: i64,
    },
    /// The profile takes nothing for some time now: its disk is full, or somebody else writes to it. That is tried again,
    /// and nothing is lost as long as the rings have room. Told once.
    ProfileRefuses {
        /// Why.
        why: String,
    },
    /// It takes rows again.
    ProfileTakes,
}

/// What was collected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// Runs that have ended, and are stored to their end.
    pub ended: u64,
    /// Runs that go on, and are stored up to here.
    pub going_on: u64,
    /// Records that were stored.
    pub records: u64,
    /// Ring files that were left alone, or could not be drained to their end, as was told.
    pub refused: u64,
    /// Ring files that another process drained at the last look, as was told: what is in those is not collected here.
    pub elsewhere: u64,
}

/// Collects from all programs that record into ring files of this folder, until `stop` says so; then everything that has
/// been recorded up to that moment is stored. `tell` hears of programs that come and go.
///
/// A folder that is not there is made, for this user alone, as a program would make it; but not to collect
/// [once](CollectOptions::once), when nothing can come. A profile that was made for this does not stay if nothing has come.
///
/// # Errors
///
/// If the folder cannot be read or made, or is not its user's alone, as programs demand it; or the profile cannot be
/// opened or written, or is deleted or renamed meanwhile.
/// Nothing is lost then: what is not committed stays in the ring files.
///
/// # Blocking
///
/// Until `stop` returns `true`, and up to some seconds more. It is asked at least twice a second.
pub fn collect(
    folder: &Path,
    database: &Path,
    options: &CollectOptions,
    stop: impl Fn() -> bool,
    mut tell: impl FnMut(Collecting),
) -> Result<Collected, Error> {
    // The program that collects may be profiled itself.
    local::mute_current_thread();
    if make_folder(folder, options.once)? {
        tell(Collecting::FolderMade { path: folder.to_owned() });
    }
    let store = Store::open(database, &options.store)?;
    let mut collector = Collector::new(folder, options, store, tell, &stop);
    let done = collector.run();
    let Collector { mut store, rings, mut collected, .. } = collector;
    collected.going_on = rings.len() as u64;
    _ = store.set_run_aside();
    let closed = store.close_or_remove();
    done.map_err(|error| with_way_out(error, database))?;
    closed?;
    Ok(collected)
}

/// That what is stored can be found: a file that was deleted or renamed takes rows as before.
fn check_place(store: &mut Store) -> Result<(), Error> {
    match store.location()? {
        Location::InPlace => Ok(()),
        _ => {
            let moved = ErrorKind::Storage(StorageErrorKind::Moved);
            Err(Error::new(moved, "the file is not in its place"))
        }
    }
}

/// Says what to do where the profile is not at its place any more.
fn with_way_out(error: Error, database: &Path) -> Error {
    if error.kind() != ErrorKind::Storage(StorageErrorKind::Moved) {
        return error;
    }
    let message = format!(
        "{}: the profile was deleted or renamed while programs were collected into it. Start the collector again: what it \
         has not stored is in the ring files still, and goes into a new profile, a run each",
        database.display()
    );
    Error::new(error.kind(), message).with_path(database).with_source(error)
}

/// Whether it is about the profile, so that nothing can be collected into it. Everything else concerns one ring.
fn is_of_profile(error: &Error) -> bool {
    match error.kind() {
        // What this ring has does not fit: others may.
        ErrorKind::Storage(kind) => kind != StorageErrorKind::InvalidBatch,
        kind => kind != ErrorKind::RingFile,
    }
}

/// Does something with one ring. A fault of ours must not end the collector of all the others.
fn about_one<R>(path: &Path, act: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    panics::catch(act).unwrap_or_else(|_| {
        Err(super::recover::about(path, &"to collect it has panicked; it stays where it is"))
    })
}

/// Says in other rings, while one has to wait, that somebody collects.
fn say_looked<'a>(rings: impl Iterator<Item = &'a mut Ring>) {
    for ring in rings {
        // What is wrong with it is told when it is looked at.
        _ = ring.say_looked();
    }
}

struct Collector<'a, T> {
    folder: &'a Path,
    options: &'a CollectOptions,
    store: Store,
    rings: Vec<Ring>,
    /// Files that this collector cannot read, or others drain.
    left_alone: HashSet<PathBuf>,
    /// Whether it was told that another process drains some.
    has_told_elsewhere: bool,
    /// Whether it was told why nothing that is new in the folder is taken.
    has_told_folder: bool,
    /// Ids that no run has.
    free: FreeIds,
    /// Ids of threads of runs whose files are left alone are below this: a later collector may go on with them.
    threads_left_above: i64,
    tell: T,
    refusals: Refusals,
    collected: Collected,
    last_folder: Option<Instant>,
    last_prune: Instant,
    stop: &'a dyn Fn() -> bool,
}

impl<'a, T: FnMut(Collecting)> Collector<'a, T> {
    fn new(
        folder: &'a Path,
        options: &'a CollectOptions,
        store: Store,
        tell: T,
        stop: &'a dyn Fn() -> bool,
    ) -> Self {
        Self {
            folder,
            options,
            store,
            rings: Vec::new(),
            left_alone: HashSet::new(),
            has_told_elsewhere: false,
            has_told_folder: false,
            free: FreeIds::new(),
            threads_left_above: 0,
            tell,
            refusals: Refusals::default(),
            collected: Collected::default(),
            last_folder: None,
            last_prune: Instant::now(),
            stop,
        }
    }

    fn run(&mut self) -> Result<(), Error> {
        let mut pause = PAUSE_MIN;
        self.look_for_rings()?;
        if self.left_alone.is_empty() {
            // Of rings whose files an earlier collector has removed, before it was killed.
            match self.store.forget_drained_of_ended().map_err(Error::from) {
                // The next one does.
                Err(error) if may_pass(&error) => {}
                done => done?,
            }
        }
        while !(self.stop)() {
            self.look_for_rings()?;
            let any = self.round(false)?;
            self.look_after_profile()?;
            if self.options.once && self.rings.is_empty() {
                return Ok(());
            }
            pause = if any { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
            std::thread::sleep(pause);
        }
        self.last_folder = None;
        self.look_for_rings()?;
        for _ in 0..LAST_ROUNDS {
            let records = self.collected.records;
            if !self.round(true)? {
                break;
            }
            if self.collected.records == records {
                // One was closed, and threads of it may still publish.
                std::thread::sleep(PAUSE_MIN);
            }
        }
        Ok(())
    }

    /// Stores what is new in each ring. Says whether anything was.
    fn round(&mut self, is_last: bool) -> Result<bool, Error> {
        let mut any = false;
        let mut at = 0;
        while at < self.rings.len() {
            let (before, rest) = self.rings.split_at_mut(at);
            let Some((ring, after)) = rest.split_first_mut() else { break };
            let mut goes_on = |answer: Answer<'_>| {
                say_looked(before.iter_mut().chain(after.iter_mut()));
                self.refusals.hear(answer).into_iter().for_each(&mut self.tell);
                !(self.stop)()
            };
            let path = ring.path().to_owned();
            let store_and_ids = (&mut self.store, &mut self.free);
            match about_one(&path, || ring.round(store_and_ids, is_last, &mut goes_on)) {
                Ok(Round::Nothing) => at += 1,
                Ok(Round::Waiting) => {
                    any = true;
                    at += 1;
                }
                Ok(Round::Stored(records)) => {
                    self.collected.records += records;
                    any = true;
                    at += 1;
                }
                Ok(Round::Ended) => {
                    any = true;
                    self.end(at)?;
                }
                Err(error) => self.refuse_at(at, error)?,
            }
        }
        Ok(any)
    }

    /// Stores a ring to its end.
    fn end(&mut self, at: usize) -> Result<(), Error> {
        let mut ring = self.rings.swap_remove(at);
        let (path, run_id, pid) = (ring.path().to_owned(), ring.run_id(), ring.pid());
        let (ids_end, threads) = (ring.ids_end(), ring.threads_above());
        let mut goes_on = |answer: Answer<'_>| {
            say_looked(self.rings.iter_mut());
            self.refusals.hear(answer).into_iter().for_each(&mut self.tell);
            !(self.stop)()
        };
        let store_and_ids = (&mut self.store, &mut self.free);
        let said = match about_one(&path, || ring.end(store_and_ids, &mut goes_on)) {
            Ok(End { crashed, open, spans, records }) => {
                self.collected.ended += 1;
                self.collected.records += records;
                Collecting::Ended { run_id, pid, crashed, open, spans }
            }
            Err(error) if error.kind() == ErrorKind::Storage(StorageErrorKind::Moved) => {
                return Err(error);
            }
            Err(_) if ring.check_whole().is_err() => return self.lose(ring),
            Err(error) => {
                // The file stays, for the next collector.
                self.leave_room_above(threads);
                self.left_alone.insert(path.clone());
                self.collected.refused += 1;
                Collecting::Refused { path, why: error.to_string() }
            }
        };
        drop(ring);
        if let Collecting::Refused { path, why } = &said {
            super::recover::left_alone::say(path, why);
        }
        _ = self.store.set_run_aside();
        self.give_back_ids(ids_end);
        (self.tell)(said);
        Ok(())
    }

    /// Once a second: is the profile there? What is too old in it is deleted.
    fn look_after_profile(&mut self) -> Result<(), Error> {
        if self.last_prune.elapsed() < PRUNE_PAUSE {
            return Ok(());
        }
        self.last_prune = Instant::now();
        check_place(&mut self.store)?;
        let StoreOptions { max_bytes, max_age, .. } = self.options.store;
        if max_bytes.is_none() && max_age.is_none() {
            return Ok(());
        }
        loop {
            match self.store.prune().map_err(Error::from) {
                Ok(pruned) if pruned.more && self.last_prune.elapsed() < PRUNE_TIME => {}
                // What is stored next is refused likewise, and that is told.
                Err(error) if !may_pass(&error) => return Err(error),
                _ => return Ok(()),
            }
        }
    }
}
