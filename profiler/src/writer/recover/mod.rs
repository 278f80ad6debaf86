//! Moves what a process that is gone has left in its ring file into its profile.
//!
//! ```text
//!   ring file --scan--> raw --convert--> batches --append--> profile
//!   open spans --------------------------> the last batch: crashed spans, ledger, "nothing more is needed"
//!                                                                  then the file is removed
//! ```
//!
//! Each batch says, in its own transaction, up to which position of each partition it reaches, as the batches of the dead
//! writer did; and the last one says that the ring is done with. So whoever is killed here, at any moment, leaves either
//! a batch or none of it; and the next one goes on there. What the ring file says of its own positions
//! decides only where the profile says nothing: after it was renamed, say, where the rest belongs to the next one.
//!
//! Nothing in the file is trusted, see [`scan`] and [`check`]: what makes no sense is counted as damaged. Memory is that of
//! the file, some times over.

pub(super) mod check;
mod ledger;
pub(super) mod scan;
mod times;
mod waiting;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use spandrel_ring::file::{Liveness, OpenError, Reader, State};
use spandrel_storage::{
    Batch, DrainedRow, ErrorKind as StorageErrorKind, LateChild, LossRow, Resumed, RingId, RunInfo,
    SpanRow, Status, Store,
};

use self::ledger::Told;
use self::scan::{Refused, Scan};
pub use self::waiting::{RingOwner, WaitingRing, waiting};
use super::convert::Converter;
use super::raw::RawBatch;
use tracing_core::LevelFilter;

use crate::error::{Error, ErrorKind};
use crate::panics;
use crate::recorder::entry_rules::EntryRules;
use crate::recorder::losses::{DropReason, KINDS, PerKind};
use crate::recorder::record::FIRST_ID_MAX;
use crate::recorder::ring_file::layout::drainer;
use crate::recorder::ring_file::place;
use crate::recorder::rule::Rule;
use crate::recorder::stats::Ledger;
use crate::recorder::threads::Threads;
use crate::recorder::{Recorder, RecorderOptions};

/// So many records become a batch.
const BATCH_RECORDS: usize = 16_384;
/// At so many stored spans a recovery looks to find children of those that it stores, some 0.5 s.
pub(super) const STORED_LOOKED_AT: u64 = 2_000_000;
/// How often refused rows are taken out of one batch.
const MENDS_MAX: u32 = 3;
/// Where ids of a run that the profile does not know may begin at the latest: most of them stay for other runs.
const FIRST_ID_LATEST: u64 = FIRST_ID_MAX / 2;
/// Of a ring that has so many damaged records and no sound one, more is wrong than some records.
const DAMAGED_MUCH: u64 = 16;
/// Spans that were open, to be told of.
const OPEN_TOLD: usize = 1_000;

/// A process may have died while it made its ring file: then nothing is in it, and it goes. (If that fails, the next one
/// tries again.)
fn remove_unmade(path: &Path) {
    let lives =
        |pid: u32| cfg!(target_os = "linux") && Path::new("/proc").join(pid.to_string()).exists();
    if place::pid_of(path).is_some_and(|pid| !lives(pid)) {
        _ = spandrel_ring::file::remove_unmade(path);
    }
}

/// The same for those of all databases: a profile that is never recorded into again would keep their memory.
pub(crate) fn remove_unmade_of_all() {
    for path in place::files_of_all() {
        // To open and close one of our own would give up its lock.
        if place::pid_of(&path) == Some(std::process::id()) {
            continue;
        }
        // One that cannot be looked at stays, and is told of with its own database.
        _ = panics::catch(|| match Reader::open_to_drain(&path) {
            Err(OpenError::NoRing) => remove_unmade(&path),
            Ok(mut reader) => {
                let is_unmade = reader.liveness().is_ok_and(|it| it == Liveness::Dead)
                    && reader.state().is_ok_and(|state| state == State::Building)
                    && reader.lock_to_drain().unwrap_or(false)
                    && is_still(&path, reader.source());
                if is_unmade {
                    _ = remove_file(&path);
                }
            }
            Err(_) => {}
        });
    }
}

/// What was recovered from a ring file, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The ring file.
    pub ring: PathBuf,
    /// The process that has died.
    pub pid: u64,
    /// Whether it had closed the recording, but could not store all in time.
    pub was_closed: bool,
    /// Its program.
    pub program: String,
    /// The run in the profile, if there was anything to store.
    pub run_id: Option<i64>,
    /// Spans that had closed, and were moved.
    pub spans: u64,
    /// Events that were moved.
    pub events: u64,
    /// Links that were moved.
    pub links: u64,
    /// Entries that were moved.
    pub entries: u64,
    /// Spans that were open, and are stored as crashed.
    pub crashed: u64,
    /// How many of these have lost fields that were just being changed.
    pub torn: u64,
    /// What was found and makes no sense.
    pub damaged: u64,
    /// The spans of the whole run; all zeros if nothing was stored.
    pub ledger: Ledger,
    /// The same of its events.
    pub events_ledger: Ledger,
    /// Spans that were open, the oldest first, a thousand at most.
    pub open: Vec<OpenAtDeath>,
}

/// A span that was open when its process died.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenAtDeath {
    /// Its id.
    pub id: u64,
    /// The id of the span that it is in; 0 if it is in none.
    pub parent_id: u64,
    /// Its name.
    pub name: String,
    /// Its target.
    pub target: String,
    /// The thread that made it.
    pub thread: String,
    /// For how long it had been open by the last moment that is known, in nanoseconds.
    pub age_ns: i64,
    /// Whether a thread was inside at that moment.
    pub entries: u64,
}

/// What a recovery has come to, file by file.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// What was recovered, or would be.
    pub rings: Vec<Recovery>,
    /// Why files were left where they are, each with its path. One that cannot be recovered holds up no other.
    pub refused: Vec<Error>,
}

/// Recovers all rings of a profile whose processes are gone, and removes their files; `dry_run` only looks. Those of
/// living processes are left alone. A file that cannot be recovered stays, and what was stored of it is not stored again.
///
/// # Errors
///
/// If the profile cannot be opened, or not be closed.
///
/// # Blocking
///
/// Some 0.5 s for a ring of the usual size that is full; and half a second more if spans in it were open for long, as then
/// up to two million stored spans are looked at for their children.
pub fn recover(database: &Path, dry_run: bool) -> Result<Recovered, Error> {
    if dry_run {
        return look(database);
    }
    let options = spandrel_storage::StoreOptions::default();
    let mut store = Store::open(database, &options)?;
    let recovered = before_recording(&mut store, database);
    store.close()?;
    Ok(recovered)
}

/// The same with a store that is open, in which no run has begun. What cannot be recovered stays for the next time.
pub(crate) fn before_recording(store: &mut Store, database: &Path) -> Recovered {
    let Recovered { mut rings, refused: mut errors } = Recovered::default();
    let Ok(canonical) = place::canonical(database) else { return Recovered::default() };
    let files = place::files_of(&canonical);
    errors.extend(files.refused.iter().map(|(path, why)| about(path, why)));
    for path in files.found {
        // A fault of ours must not end the program that only wants to record.
        let recovered = panics::catch(|| recover_one(store, &canonical, &path));
        match recovered {
            Ok(Ok(Some(recovery))) => rings.push(recovery),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => errors.push(error),
            Err(_) => errors.push(about(&path, &"its recovery has panicked; it stays where it is")),
        }
        if store.run_id().is_some()
            && let Err(error) = store.leave_run()
        {
            errors.push(error.into());
            break;
        }
    }
    Recovered { rings, refused: errors }
}

/// Sees to it that no id of a ring of this profile that was left where it is, whatever the reason, becomes one of the run
/// that begins next: so it can be recovered later.
pub(crate) fn leave_ids_of_rings(store: &mut Store, database: &Path) {
    let Ok(canonical) = place::canonical(database) else { return };
    for path in place::files_of(&canonical).found {
        // If it cannot be read, nobody can recover it.
        let ids_end = panics::catch(|| {
            let mut reader = Reader::open(&path).ok()?;
            scan::ids_end(&mut reader).ok()
        });
        // Where that would leave the profile no ids, the ring will not be recovered into it either.
        if let Ok(Some(ids_end)) = ids_end
            && ids_end <= FIRST_ID_LATEST
        {
            store.leave_ids_below(ids_end);
        }
    }
}

/// What [`recover`] would do.
fn look(database: &Path) -> Result<Recovered, Error> {
    let canonical = place::canonical(database).map_err(|error| about(database, &error))?;
    let reader = spandrel_storage::ReadOnly::open(&canonical)?;
    let mut found = Recovered::default();
    let files = place::files_of(&canonical);
    found.refused.extend(files.refused.iter().map(|(path, why)| about(path, why)));
    for path in files.found {
        match panics::catch(|| look_at(&reader, &canonical, &path)) {
            Ok(Ok(would_be)) => found.rings.extend(would_be),
            Ok(Err(error)) => found.refused.push(error),
            Err(_) => {
                found.refused.push(about(&path, &"its recovery has panicked; it stays where it is"))
            }
        }
    }
    Ok(found)
}

fn look_at(
    reader: &spandrel_storage::ReadOnly,
    database: &Path,
    path: &Path,
) -> Result<Option<Recovery>, Error> {
    let Some(mut ring) = Ring::open(path, database, false)? else { return Ok(None) };
    let drained = spandrel_storage::drained_in(reader, &ring.id)?;
    let has_ended = spandrel_storage::has_ended_in(reader, &ring.uuid)?;
    let state = ring.reader.state().map_err(|error| about(path, &error))?;
    if has_nothing(state, &drained, has_ended) {
        return Ok(None);
    }
    let scan = ring.scan(path, &drained)?;
    if has_ended.is_none() && !scan.has_any() {
        return Ok(None);
    }
    let was_closed = scan.end(state) != End::Crashed;
    Ok(Some(Recovery { was_closed, ..scan.told(path) }))
}

pub(super) fn about(path: &Path, what: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::RingFile, format!("{}: {what}", path.display()))
}

pub(super) fn is_done(drained: &[DrainedRow]) -> bool {
    drained.iter().any(|row| row.partition.is_none())
}

/// Whether nothing of a ring is needed: its process had not begun, its writer had stored all, or somebody has since.
fn has_nothing(state: State, drained: &[DrainedRow], has_ended: Option<bool>) -> bool {
    state == State::Building || is_done(drained) || has_ended == Some(true)
}

/// Whether nobody records into it any more: its owner is dead, or has closed it and left what could not be stored.
fn is_over(liveness: Liveness, state: State) -> bool {
    liveness == Liveness::Dead || state == State::Closed
}

/// A ring file of a process that is gone, of this profile.
struct Ring {
    reader: Reader<File>,
    id: RingId,
    uuid: String,
    names: Option<crate::recorder::ring_file::dead_names::DeadNames>,
}

impl Ring {
    /// `None` if it is another profile's, its process lives, or another process recovers it.
    fn open(path: &Path, database: &Path, to_drain: bool) -> Result<Option<Self>, Error> {
        let opened = match to_drain {
            true => Reader::open_to_drain(path),
            false => Reader::open(path),
        };
        let mut reader = match opened {
            Ok(reader) => reader,
            // It is being made, or its process has died over that; or it is gone meanwhile.
            Err(OpenError::NoRing) => {
                if to_drain {
                    remove_unmade(path);
                }
                return Ok(None);
            }
            Err(OpenError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(about(path, &error)),
        };
        let liveness = reader.liveness().map_err(|error| about(path, &error))?;
        if !is_over(liveness, reader.state().map_err(|error| about(path, &error))?) {
            return Ok(None);
        }
        if to_drain {
            let has_lock = reader.lock_to_drain().map_err(|error| about(path, &error))?;
            // Whoever had the lock before may have removed it.
            if !has_lock || !is_still(path, reader.source()) {
                return Ok(None);
            }
        }
        // Killed over it: there is nothing in it, perhaps not even a name.
        if reader.state().map_err(|error| about(path, &error))? == State::Building {
            return match to_drain {
                true => remove_file(path).map(|()| None),
                false => Ok(None),
            };
        }
        let names = scan::names(&mut reader, true).map_err(|refused| refused.about(path))?;
        let Some(run) = &names.run else { return Ok(None) };
        if run.database != database.to_string_lossy() {
            return Ok(None);
        }
        let uuid = run.uuid.clone();
        Ok(Some(Self { id: reader.run(), reader, uuid, names: Some(names) }))
    }

    fn scan(&mut self, path: &Path, drained: &[DrainedRow]) -> Result<Scan, Error> {
        let mut from = HashMap::new();
        // What was given back is in some file, which is perhaps not at this path any more; or it was lost with it.
        for partition in 0..self.reader.partitions() {
            let seen = self.reader.partition(partition).map_err(|error| about(path, &error))?;
            from.extend(seen.given_back.map(|position| (partition as u32, position)));
        }
        // This file knows better.
        from.extend(drained.iter().filter_map(|row| Some((row.partition?, row.position))));
        let names = self.names.take().unwrap_or_default();
        let from = |partition| from.get(&partition).copied().unwrap_or(0);
        Scan::of(&mut self.reader, names, from, None).map_err(|refused| refused.about(path))
    }
}

impl Refused {
    pub(super) fn about(self, path: &Path) -> Error {
        match self {
            Self::OtherBuild => about(
                path,
                &"it was written by another version of spandrel; recover it with that one, or remove it",
            ),
            Self::Nameless => about(path, &"it does not say whose it is; remove it"),
            Self::Io(error) => about(path, &error),
        }
    }
}

/// Whether the path still names this file.
pub(super) fn is_still(path: &Path, file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let id = |found: std::fs::Metadata| (found.dev(), found.ino());
        let (there, here) = (path.symlink_metadata().map(id), file.metadata().map(id));
        there.is_ok_and(|there| here.is_ok_and(|here| here == there))
    }
    #[cfg(not(unix))]
    {
        _ = file;
        path.exists()
    }
}

/// Recovers one ring. `None` if there was nothing to do.
fn recover_one(store: &mut Store, database: &Path, path: &Path) -> Result<Option<Recovery>, Error> {
    let Some(mut ring) = Ring::open(path, database, true)? else { return Ok(None) };
    let drained = store.drained(&ring.id)?;
    let state = ring.reader.state().map_err(|error| about(path, &error))?;
    let has_ended = store.has_ended(&ring.uuid)?;
    // Then only the file was left.
    if has_nothing(state, &drained, has_ended) {
        remove(store, path, &ring.id)?;
        return Ok(None);
    }
    let words = ring.reader.drainer().map_err(|error| about(path, &error))?;
    let threads_above = words.get(drainer::THREADS_ABOVE).filter(|word| **word != 0);
    let threads_above = threads_above.map(|word| word.wrapping_sub(1).cast_signed());
    let threads_above = match threads_above {
        // No thread in the file was above it when the run began, so none of its own is now.
        Some(above)
            if above <= store.thread_id(0)
                && store.threads_can_begin_above(&ring.uuid, above)? =>
        {
            Some(above)
        }
        _ => None,
    };
    let scan = ring.scan(path, &drained)?;
    if scan.makes_no_sense() {
        return Err(set_aside(path));
    }
    if has_ended.is_none() && !scan.has_any() {
        // The file that has the run, and all of it, has another name now.
        remove(store, path, &ring.id)?;
        return Ok(None);
    }
    let end = scan.end(state);
    let recovery =
        Recover::begin(store, path, (ring.id, &ring.uuid), scan, threads_above, end)?.run()?;
    remove(store, path, &ring.id)?;
    Ok(Some(recovery))
}

/// Renames a ring of which nothing can be stored: what is wrong may be what we take it for. Nothing is said of it in the
/// profile, so that it can be recovered under its old name.
fn set_aside(path: &Path) -> Error {
    let mut name = path.as_os_str().to_owned();
    name.push(place::DAMAGED);
    let name = PathBuf::from(name);
    match std::fs::rename(path, &name) {
        Ok(()) => {
            let name = name.display();
            about(
                path,
                &format!(
                    "nothing in it makes sense; it was not recovered, and was renamed to {name}"
                ),
            )
        }
        Err(error) => about(
            path,
            &format!(
                "nothing in it makes sense; it was not recovered, and cannot be renamed: {error}"
            ),
        ),
    }
}

/// In this order: as long as the file is there, the profile says that nothing of it is needed.
pub(super) fn remove(store: &mut Store, path: &Path, ring: &RingId) -> Result<(), Error> {
    remove_file(path)?;
    Ok(store.forget_drained(ring)?)
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(about(path, &format!("cannot be removed: {error}")))
        }
        _ => Ok(()),
    }
}

/// How a recording has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its process has died.
    Crashed,
    /// It was closed, so many nanoseconds after it had begun.
    Closed { after_ns: i64, marks_dropped: u64, callsites: [u64; 2] },
}

/// A recovery that has begun.
pub(super) struct Recover<'a> {
    store: &'a mut Store,
    ring: RingId,
    scan: Scan,
    converter: Converter,
    recorder: Arc<Recorder>,
    resumed: Resumed,
    /// Children that the dead writer had stored, by their parents.
    stored_children: HashMap<u64, Vec<LateChild>>,
    /// Of spans with smaller ids they may not be all.
    complete_from: u64,
    batch: Batch,
    recovery: Recovery,
    /// Stored here.
    stored: PerKind,
    /// Refused by the profile, as their ids were there.
    refused: PerKind,
    /// Damaged ones of which a row of this recovery tells.
    damaged_told: PerKind,
    end: End,
}

impl<'a> Recover<'a> {
    pub(super) fn begin(
        store: &'a mut Store,
        path: &Path,
        (ring, uuid): (RingId, &str),
        mut scan: Scan,
        threads_above: Option<i64>,
        end: End,
    ) -> Result<Self, Error> {
        if scan.last_id.saturating_add(1) >= FIRST_ID_MAX {
            // Whoever records next would find no ids above.
            return Err(about(path, &"it has ids that no recording can reach; remove it"));
        }
        let mut recovery = scan.told(path);
        let above = threads_above.unwrap_or_else(|| store.thread_id(0));
        let resumed = match store.resume_run(uuid, above)? {
            Some(resumed) if scan.ids.is_none() && resumed.first_id != scan.first_id => {
                return Err(about(
                    path,
                    &"its ids do not begin where those of its run do; it was not recovered",
                ));
            }
            Some(resumed) => resumed,
            None if scan.ids.is_none() && scan.first_id > FIRST_ID_LATEST => {
                return Err(about(
                    path,
                    &"its ids leave no room for those of other runs; it was not recovered",
                ));
            }
            // Somebody has taken the profile away, or the row out of it.
            None => {
                store.begin_run(&scan.run_info(uuid))?;
                let resumed = store.resume_run(uuid, store.thread_id(0))?;
                resumed.ok_or_else(|| about(path, &"its run cannot be gone on with"))?
            }
        };
        recovery.run_id = Some(resumed.run_id);
        recovery.was_closed = end != End::Crashed;
        let above = scan.last_id.max(resumed.last_id).saturating_add(1);
        // Where ids of the ring are shifted, other runs may be above.
        let first_id = if scan.ids.is_some() { above } else { store.next_id().max(above) };
        if first_id >= FIRST_ID_MAX {
            return Err(Error::damaged_ids(store.path()));
        }
        let options = RecorderOptions {
            // Nothing is recorded here.
            ring_capacity: 64,
            partitions: 1,
            open_spans_max: 64,
            field_bytes_max: 1 << 10,
            rule: Rule::new(LevelFilter::OFF, LevelFilter::OFF),
            busy_time: scan.busy_time,
            status_rules: scan.status_rules,
            entries: EntryRules::default(),
            first_id,
        };
        let names = std::mem::take(&mut scan.names);
        let threads = Threads::of_dead(names.threads.values().cloned());
        let recorder = Recorder::of_dead(&options, names.known_callsites(), threads);
        let recorder = recorder.map_err(|refused| about(path, &refused.source))?;
        let timeline = std::mem::replace(&mut scan.timeline, scan::no_timeline());
        let redaction = names.redaction();
        let open_spans_max = scan.slots.min(1 << 20) as usize;
        let converter = Converter::new(Arc::clone(&recorder), timeline, open_spans_max, redaction)
            .with_names(Arc::new(names));
        let parents: HashSet<u64> = closed(&scan.records).collect();
        let mut stored_children: HashMap<u64, Vec<LateChild>> = HashMap::new();
        let found = store.stored_children(&parents, STORED_LOOKED_AT)?;
        let complete_from = found.complete_from;
        for child in found.children {
            stored_children.entry(child.parent_id).or_default().push(child);
        }
        Ok(Self {
            store,
            ring,
            scan,
            converter,
            recorder,
            resumed,
            stored_children,
            complete_from,
            batch: Batch::default(),
            recovery,
            stored: [0; KINDS],
            refused: [0; KINDS],
            damaged_told: [0; KINDS],
            end,
        })
    }

    pub(super) fn run(mut self) -> Result<Recovery, Error> {
        let mut none = RawBatch::default();
        self.converter.count_late_children(&mut self.scan.records, &mut none, |_| ());
        let marks = std::mem::take(&mut self.scan.marks);
        let mut rest = marks.as_slice();
        while let Some(first) = rest.first() {
            let begun = self.scan.records.piece(0).start;
            // As many marks as make a batch, and at least one.
            let fits = |mark: &scan::Mark| mark.records - begun <= BATCH_RECORDS;
            let count = rest.iter().take_while(|mark| fits(mark)).count().max(1);
            let (these, behind) = rest.split_at(count);
            let end = these.last().unwrap_or(first).records;
            self.store_piece(begun..end, these)?;
            rest = behind;
        }
        self.store_the_end()?;
        Ok(self.recovery)
    }

    /// Records up to these marks, with the marks.
    fn store_piece(
        &mut self,
        piece: std::ops::Range<usize>,
        marks: &[scan::Mark],
    ) -> Result<(), Error> {
        let Self { converter, scan, store, batch, stored_children, .. } = self;
        converter.convert(&scan.records, piece.clone(), store, batch, || ());
        converter.put_contexts(batch);
        without_self_times(&mut batch.spans, self.complete_from);
        let is_complete = |span: &&SpanRow| span.self_ns.is_some() && span.id >= self.complete_from;
        for span in batch.spans.iter().filter(is_complete) {
            batch.late_children.extend(stored_children.remove(&span.id).into_iter().flatten());
        }
        // Those of one parent side by side.
        batch.late_children.sort_by_key(|child| child.parent_id);
        let counts = scan.records.take(piece, &mut scan.chunks);
        let mut damaged = PerKind::default();
        for mark in marks {
            crate::writer::raw::add(&mut damaged, mark.damaged);
            batch.drained.push(DrainedRow {
                ring: self.ring,
                partition: Some(mark.partition),
                position: mark.position,
            });
        }
        let to_ns = converter.timeline.now_ns();
        batch.losses.extend(loss(DropReason::Damaged, damaged, to_ns));
        crate::writer::raw::add(&mut self.damaged_told, damaged);
        self.append(counts)
    }

    /// What was open, the ledger, and that nothing more is needed: together, or not at all.
    fn store_the_end(&mut self) -> Result<(), Error> {
        let ids = self.scan.open.iter().map(|left| left.seen.id);
        let stored: HashSet<u64> = self.store.stored_spans(ids)?.into_iter().collect();
        self.scan.open.retain(|left| !stored.contains(&left.seen.id));
        let open: Vec<_> = self.scan.open.iter().map(|left| &left.seen).collect();
        let open_ids: HashSet<u64> = open.iter().map(|seen| seen.id).collect();
        let crashed = open.len() as u64;
        let Self { converter, store, batch, .. } = self;
        let status = match self.end {
            End::Crashed => Status::Crashed,
            End::Closed { .. } => Status::Unfinished,
        };
        let rows = converter.unfinished(open, true, status, store, &mut batch.text);
        batch.spans.extend(rows);
        converter.self_times.end(|id| open_ids.contains(&id));
        converter.tell_late(store, batch);
        converter.put_contexts(batch);
        batch.open_spans = Some(Vec::new());
        // A run that was closed has an end in the profile, which says the same.
        if self.end == End::Crashed {
            batch.drained.push(DrainedRow { ring: self.ring, partition: None, position: 1 });
        }
        self.recovery.crashed = crashed;
        self.recovery.torn = self.scan.open.iter().filter(|left| left.is_torn).count() as u64;
        let told = Told::of(&self.resumed, &self.scan, self.stored, self.refused, crashed);
        let to_ns = self.converter.timeline.now_ns();
        let losses = told.losses_untold(&self.resumed, (self.damaged_told, self.refused), to_ns);
        self.recovery.damaged = told.damaged() + self.scan.clock_damaged;
        (self.recovery.ledger, self.recovery.events_ledger) = (told.spans(), told.events());
        match self.end {
            End::Crashed => {
                self.batch.losses.extend(losses);
                self.batch.report = Some(told.report(unix_ns()));
                self.append([0; KINDS])
            }
            End::Closed { after_ns, marks_dropped, callsites } => {
                self.append([0; KINDS])?;
                let ended = self.resumed.info.started_unix_ns.saturating_add(after_ns.max(to_ns));
                let report = told.closed_report(marks_dropped, callsites);
                Ok(self.store.end_run_with_losses(ended, &report, &losses)?)
            }
        }
    }

    /// Gives the batch to the store, without rows that it refuses.
    fn append(&mut self, counts: PerKind) -> Result<(), Error> {
        let mut mends = 0;
        let mut lost = PerKind::default();
        loop {
            match self.store.append(&mut self.batch) {
                Ok(_) => break,
                Err(error)
                    if error.kind() == StorageErrorKind::InvalidBatch && mends < MENDS_MAX =>
                {
                    mends += 1;
                    let recorder = &self.recorder;
                    let mended =
                        self.store.mend(&mut self.batch, &mut |above| recorder.id_above(above))?;
                    if mended.is_unchanged() {
                        return Err(error.into());
                    }
                    let refused = [mended.spans, mended.events, mended.links, mended.entries];
                    let to_ns = self.converter.timeline.now_ns();
                    self.batch.losses.extend(loss(DropReason::RowRefused, refused, to_ns));
                    crate::writer::raw::add(&mut lost, refused);
                    if mended.renumbered > 0 {
                        self.converter.forget_callsites();
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.converter.self_times.settle(true);
        self.batch.clear();
        for (kind, n) in counts.into_iter().enumerate() {
            self.stored[kind] += n.saturating_sub(lost[kind]);
            self.refused[kind] += lost[kind];
        }
        Ok(())
    }
}

/// Spans of which not all children are known get no self time: rather that than the time of a child twice.
pub(super) fn without_self_times(spans: &mut [SpanRow], complete_from: u64) {
    for span in spans.iter_mut().filter(|span| span.id < complete_from && span.self_ns.is_some()) {
        span.self_ns = Some(0);
        span.self_busy_ns = span.busy_ns.map(|_| 0);
    }
}

/// Spans that have closed.
fn closed(records: &RawBatch) -> impl Iterator<Item = u64> + '_ {
    records.records().filter_map(|record| record.span_id())
}

/// A row for what was lost, if anything was.
pub(super) fn loss(reason: DropReason, lost: PerKind, to_ns: i64) -> Option<LossRow> {
    let [spans, events, _, entries] = lost;
    (spans + events + entries > 0).then(|| LossRow {
        reason: reason.as_str(),
        from_ns: 0,
        to_ns: to_ns.max(0),
        spans,
        events,
        entries,
        thread_id: None,
    })
}

fn unix_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

impl Scan {
    /// Whether much is damaged, and nothing sound. (A link says too little to make no sense.)
    fn makes_no_sense(&self) -> bool {
        let damaged = self.damaged.iter().fold(self.open_damaged, |sum, n| sum.saturating_add(*n));
        let [spans, events, _, entries] = self.sound;
        damaged >= DAMAGED_MUCH && spans + events + entries == 0 && self.open.is_empty()
    }

    /// What is in it, as far as it is known before anything is stored.
    fn told(&self, path: &Path) -> Recovery {
        let run = self.names.run.as_ref();
        let [spans, events, links, entries] = self.sound;
        let now_ns = self.timeline.now_ns();
        let open = self.open.iter().take(OPEN_TOLD).map(|left| {
            let seen = &left.seen;
            let site = self.names.callsites.get(&seen.callsite);
            let thread = self.names.threads.get(&seen.thread);
            let name = thread.and_then(|thread| thread.name.clone());
            OpenAtDeath {
                id: seen.id,
                parent_id: seen.parent,
                name: site.map(|site| site.name().to_owned()).unwrap_or_default(),
                target: site.map(|site| site.target().to_owned()).unwrap_or_default(),
                thread: name.unwrap_or_else(|| {
                    format!("thread {}", thread.map_or(0, |thread| thread.os_id))
                }),
                age_ns: (now_ns - self.timeline.start_ns(seen.start, now_ns)).max(0),
                entries: seen.entries.count,
            }
        });
        Recovery {
            ring: path.to_owned(),
            pid: run.map_or(0, |run| run.pid),
            was_closed: false,
            program: run.map(|run| run.program.clone()).unwrap_or_default(),
            run_id: None,
            spans,
            events,
            links,
            entries,
            crashed: self.open.len() as u64,
            torn: self.open.iter().filter(|left| left.is_torn).count() as u64,
            damaged: self.damaged.iter().sum::<u64>() + self.open_damaged + self.clock_damaged,
            ledger: Ledger::default(),
            events_ledger: Ledger::default(),
            open: open.collect(),
        }
    }

    /// Whether there is anything that can be stored, or that was lost.
    fn has_any(&self) -> bool {
        let found = [self.sound, self.damaged].as_flattened().iter().any(|n| *n > 0);
        found || !self.open.is_empty() || self.abandoned + self.open_damaged > 0
    }

    /// How its recording has ended, where the state of the file is this.
    fn end(&self, state: State) -> End {
        let Some([at, marks_dropped, kept, below]) =
            self.names.ended.filter(|_| state == State::Closed)
        else {
            return End::Crashed;
        };
        let after_ns = self.timeline.ns(at).max(0);
        End::Closed { after_ns, marks_dropped, callsites: [kept, below] }
    }

    /// The row of a run that the profile does not have any more.
    fn run_info(&self, uuid: &str) -> RunInfo {
        let run = self.names.run.as_ref();
        RunInfo {
            uuid: uuid.to_owned(),
            started_unix_ns: self.origin_unix_ns,
            pid: run.and_then(|run| u32::try_from(run.pid).ok()).unwrap_or(0),
            program: run.map(|run| run.program.clone()).unwrap_or_default(),
            args: "[]".into(),
            clock: self.clock.into(),
            settings: "{}".into(),
            ..RunInfo::default()
        }
    }
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod forged;
#[cfg(test)]
mod tests;
