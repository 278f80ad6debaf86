//! The ring files in a folder that is collected: whose they are, what waits in them, and whether a collector comes for
//! them.
//!
//! A collector holds the right to drain each ring that it collects, by a lock that ends with it: so whether one is there
//! is known at once, and whether it goes on, by when it looked last.

use std::fs::File;
use std::path::{Path, PathBuf};

use spandrel_ring::file::{Liveness, OpenError, Reader, State, monotonic_ns};

use super::scan::{self, said_of_kinds};
use super::whole::{NOT_WHOLE, is_whole_now};
use super::{Refused, RingOwner, about, is_over, left_alone, told_of_unmade, waits};
use crate::error::Error;
use crate::panics;
use crate::recorder::clock::Clock;
use crate::recorder::losses::Kind;
use crate::recorder::ring_file::dead_names::DeadRun;
use crate::recorder::ring_file::layout::drainer;
use crate::recorder::ring_file::place;

/// Why a collector does not take the ring of a process of which it cannot tell whether it lives.
pub(in crate::writer) const NOBODY_CAN_TELL: &str =
    "whether its process lives cannot be told from here: collect where it runs";
/// The same of one whose clock is another one.
pub(in crate::writer) const OTHER_CLOCK: &str =
    "its clock cannot be read here: collect on the machine where it runs";

/// A ring file in a folder that is collected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FolderRing {
    /// The file.
    pub path: PathBuf,
    /// Whose it is.
    pub owner: RingOwner,
    /// The process.
    pub pid: u64,
    /// Its program.
    pub program: String,
    /// The run's `uuid` in the profile.
    pub run: String,
    /// Whether it has closed the recording.
    pub was_closed: bool,
    /// How long ago a collector has looked at it, in nanoseconds; `None` if none ever has.
    pub looked_ago_ns: Option<u64>,
    /// Whether a process that lives has the right to drain it: a collector. `None` where the system does not tell.
    pub is_drained: Option<bool>,
    /// Why no collector takes it from here, if none does.
    pub refused: Option<String>,
    /// Why the last collector has left it alone, as it says itself, if it has.
    pub left_alone: Option<String>,
    /// For how long something has waited in it at least, in nanoseconds; `None` if nothing waits, its process has ended, or its
    /// clock cannot be read here.
    pub waits_ns: Option<u64>,
    /// Where it can be opened, if not by its path.
    open_at: Option<PathBuf>,
    /// Spans that were published; that were given back, as some profile has them, or tells of them; and that profiles
    /// have before the one into which it was collected last.
    published: u64,
    given_back: u64,
    in_earlier: u64,
}

impl FolderRing {
    /// How many spans that have closed are in the ring and in no profile. `stored` is how many of its run the profile at
    /// hand has: a collector that was killed may have stored more than the ring says.
    #[must_use]
    pub fn spans_waiting(&self, stored: u64) -> u64 {
        self.published.saturating_sub(self.given_back.max(self.in_earlier.saturating_add(stored)))
    }

    /// How many spans of its run profiles have, or tell of, into which it was collected, as far as it was given back.
    #[must_use]
    pub fn spans_collected(&self) -> u64 {
        self.given_back
    }

    /// How many of them profiles have before the one into which it was collected last.
    #[must_use]
    pub fn spans_in_earlier(&self) -> u64 {
        self.in_earlier
    }

    /// Whether any profile has anything of it.
    #[must_use]
    pub fn was_collected(&self) -> bool {
        self.looked_ago_ns.is_some()
    }

    /// The process that drains it, if it is seen from here. Looks through the descriptors of all processes of this user,
    /// some milliseconds.
    #[must_use]
    pub fn drained_by(&self) -> Option<u32> {
        match &self.open_at {
            Some(path) => Reader::new(File::open(path).ok()?).ok()?.drained_by(),
            None => drained_by(&self.path),
        }
    }
}

/// The process that drains a ring file.
pub(in crate::writer) fn drained_by(path: &Path) -> Option<u32> {
    Reader::open(path).ok()?.drained_by()
}

/// The rings in a folder that is collected, and what becomes of them.
///
/// # Errors
///
/// If the folder is there and cannot be read, or is not [its user's alone](crate::ProfilerBuilder::collected).
pub fn in_folder(folder: &Path) -> Result<Vec<FolderRing>, Error> {
    let paths = place::files_in_folder(folder)?;
    let found = paths.into_iter().filter_map(|path| match panics::catch(|| look_at(&path)) {
        Ok(Ok(ring)) => ring,
        Ok(Err(refused)) => refused_as(&path, refused),
        Err(_) => {
            Some(without_words(&path, about(&path, &"a look at it has panicked").to_string()))
        }
    });
    Ok(found.collect())
}

/// One of which nothing is known but what its name says.
fn without_words(path: &Path, why: String) -> FolderRing {
    FolderRing {
        path: path.to_owned(),
        owner: RingOwner::Unknown,
        pid: place::pid_of(path).map_or(0, u64::from),
        program: String::new(),
        run: place::run_of(path).unwrap_or_default().to_owned(),
        was_closed: false,
        looked_ago_ns: None,
        is_drained: None,
        refused: Some(why),
        left_alone: None,
        waits_ns: None,
        open_at: None,
        published: 0,
        given_back: 0,
        in_earlier: 0,
    }
}

/// `None` if it is being made, or gone meanwhile.
fn refused_as(path: &Path, refused: Refused) -> Option<FolderRing> {
    match refused {
        Refused::Io(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        refused => Some(without_words(path, refused.about(path).to_string())),
    }
}

fn look_at(path: &Path) -> Result<Option<FolderRing>, Refused> {
    match Reader::open(path) {
        Ok(reader) => look_with(path, reader),
        Err(OpenError::NoRing) => {
            Ok(told_of_unmade(path, None).map(|why| without_words(path, why.to_string())))
        }
        Err(OpenError::Io(error)) => Err(error.into()),
        Err(error) => Ok(Some(without_words(path, about(path, &error).to_string()))),
    }
}

/// One that can be opened there, whatever has become of its path.
pub(super) fn look_at_open(path: &Path, open_at: &Path) -> Result<Option<FolderRing>, Refused> {
    use std::os::unix::fs::MetadataExt;

    let file = File::open(open_at)?;
    if file.metadata()?.uid() != spandrel_ring::file::user_id() {
        return Ok(None);
    }
    let Ok(reader) = Reader::new(file) else { return Ok(None) };
    let ring = look_with(path, reader)?;
    Ok(ring.map(|ring| FolderRing { open_at: Some(open_at.to_owned()), ..ring }))
}

fn look_with(path: &Path, mut reader: Reader<File>) -> Result<Option<FolderRing>, Refused> {
    let (liveness, state) = (reader.liveness()?, reader.state()?);
    if state == State::Building {
        return Ok(None);
    }
    let owner = match liveness {
        _ if is_over(liveness, state) => RingOwner::Dead,
        Liveness::Alive => RingOwner::Alive,
        Liveness::Dead => RingOwner::Dead,
        Liveness::Unknown => RingOwner::Unknown,
    };
    let is_drained = reader.is_drained().ok();
    // Whoever drains one that is cut meanwhile ends its run.
    if is_drained != Some(true) && !is_whole_now(&mut reader) {
        let why = about(path, &NOT_WHOLE).to_string();
        return Ok(Some(FolderRing { owner, is_drained, ..without_words(path, why) }));
    }
    let names = scan::names(&mut reader, owner == RingOwner::Dead)?;
    let Some(DeadRun { pid, program, uuid, .. }) = names.run else { return Ok(None) };
    let (kind, anchors) = reader.clock();
    let is_its_clock =
        || reader.owner().is_of_this_boot() && Clock::of_another(kind, &anchors).is_some();
    let refused = match liveness {
        Liveness::Unknown => Some(NOBODY_CAN_TELL),
        Liveness::Alive if !is_its_clock() => Some(OTHER_CLOCK),
        _ => None,
    };
    let looked_at = reader.drainer()?.get(drainer::LOOKED_AT).copied().unwrap_or(0);
    let mut published = 0_u64;
    for partition in 0..reader.partitions() {
        let [spans, ..] = reader.partition(partition)?.published;
        published = published.saturating_add(spans);
    }
    let waits_ns = match owner {
        RingOwner::Alive => waits::longest_ns(&mut reader)?,
        _ => None,
    };
    let said = |reader: &mut Reader<_>, first| said_of_kinds(reader, first);
    let span = Kind::Span as usize;
    Ok(Some(FolderRing {
        path: path.to_owned(),
        owner,
        pid,
        program,
        run: uuid,
        was_closed: state == State::Closed,
        looked_ago_ns: (looked_at != 0).then(|| monotonic_ns().saturating_sub(looked_at)),
        is_drained,
        refused: refused.map(|why| about(path, &why).to_string()),
        left_alone: left_alone::said(&mut reader)?,
        waits_ns,
        open_at: None,
        published,
        given_back: said(&mut reader, drainer::GIVEN_BACK)?[span],
        in_earlier: said(&mut reader, drainer::IN_EARLIER)?[span],
    }))
}
