//! The folder of ring files: those that are new in it, and those that are left alone.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::begin::Opened;
use super::refusals::{Answer, Tries, may_pass, remove};
use super::ring::Ring;
use super::{Collecting, Collector, about_one, is_of_profile, say_looked};
use crate::error::{Error, ErrorKind};
use crate::recorder::ring_file::place;
use crate::writer::recover::{about, in_folder, left_alone};

/// How often the folder is looked at for new files.
const FOLDER_PAUSE: Duration = Duration::from_millis(200);
/// How many threads a run may have, if others begin meanwhile. (Of one that has more, some get ids above all.)
const THREADS_ROOM: i64 = 1 << 20;

/// Says whether it was not there, and has been made. One that is there has to be as programs demand it: no program of
/// ours records into another one, and whatever is in it may be made up.
pub(super) fn make_folder(folder: &Path, once: bool) -> Result<bool, Error> {
    let failed = |why: &dyn std::fmt::Display| {
        let message = format!("{}: {why}", folder.display());
        Err(Error::new(ErrorKind::RingFile, message).with_path(folder))
    };
    match folder.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        _ => return place::check_collected(folder).map(|()| false),
    }
    if once {
        return failed(&"there is no such folder, so no program records into it");
    }
    // The folder alone: those above it that are not there are no place that somebody has chosen, but a slip.
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Ok(()) => Ok(true),
        // A program has been faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            place::check_collected(folder).map(|()| false)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => failed(
            &"cannot be made, as the folder that it would be in is not there; make that first, or name another one",
        ),
        Err(error) => failed(&format!("cannot be made: {error}")),
    }
}

impl<T: FnMut(Collecting)> Collector<'_, T> {
    /// Opens ring files that are new in the folder.
    pub(super) fn look_for_rings(&mut self) -> Result<(), Error> {
        if self.last_folder.is_some_and(|last| last.elapsed() < FOLDER_PAUSE) {
            return Ok(());
        }
        self.last_folder = Some(Instant::now());
        let cannot = |error: std::io::Error| {
            let message = format!("{}: cannot be read: {error}", self.folder.display());
            Error::new(ErrorKind::RingFile, message).with_path(self.folder)
        };
        if !self.is_folder_safe() {
            return Ok(());
        }
        let entries = match std::fs::read_dir(self.folder) {
            Ok(entries) => entries,
            // The first program makes it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(cannot(error)),
        };
        let is_ring = |path: &PathBuf| {
            path.as_os_str().as_encoded_bytes().ends_with(place::SUFFIX.as_bytes())
        };
        let found: HashSet<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(is_ring).collect();
        self.left_alone.retain(|path| found.contains(path));
        let mut opened = Vec::new();
        let (mut elsewhere, mut are_elsewhere) = (None, 0);
        for path in &found {
            let is_known = self.rings.iter().any(|ring| ring.path() == path);
            if is_known || self.left_alone.contains(path) {
                continue;
            }
            let found = about_one(path, || match Ring::open(path, &self.store)? {
                Opened::Ring(ring) => Ok(Some(*ring)),
                Opened::NotYet => Ok(None),
                Opened::Elsewhere => {
                    elsewhere = Some(path);
                    are_elsewhere += 1;
                    Ok(None)
                }
                Opened::Empty(id) => remove(&mut self.store, path, &id).map(|()| None),
                Opened::Done(id, run_id) => {
                    remove(&mut self.store, path, &id)?;
                    (self.tell)(Collecting::StoredAlready { path: path.clone(), run_id });
                    Ok(None)
                }
            });
            match found {
                Ok(ring) => opened.extend(ring),
                Err(error) => self.refuse(path.clone(), error)?,
            }
        }
        self.collected.elsewhere = are_elsewhere;
        if let Some(path) = elsewhere
            && !self.has_told_elsewhere
        {
            self.has_told_elsewhere = true;
            let pid = in_folder::drained_by(path);
            (self.tell)(Collecting::DrainedElsewhere { path: self.folder.to_owned(), pid });
        }
        // Runs that are in the profile come first: those that begin get ids above theirs.
        opened.sort_by_key(|ring| (!ring.is_in_profile(), ring.started_unix_ns()));
        for ring in opened {
            self.begin(ring)?;
        }
        Ok(())
    }

    /// Whether new files may be taken from the folder; those that are being collected are known, and go on. One that is not
    /// there comes with the first program.
    fn is_folder_safe(&mut self) -> bool {
        let why = match place::check_collected(self.folder) {
            Err(why) if self.folder.symlink_metadata().is_ok() => why,
            _ => {
                self.has_told_folder = false;
                return true;
            }
        };
        if !self.has_told_folder {
            self.has_told_folder = true;
            let path = self.folder.to_owned();
            (self.tell)(Collecting::Refused { path, why: why.to_string() });
        }
        false
    }

    /// Leaves a ring file alone, for this error; or says that nothing can be collected any more.
    fn refuse(&mut self, path: PathBuf, error: Error) -> Result<(), Error> {
        // It may have been in the middle of it.
        _ = self.store.set_run_aside();
        if is_of_profile(&error) {
            return Err(error);
        }
        self.left_alone.insert(path.clone());
        self.collected.refused += 1;
        let why = error.to_string();
        left_alone::say(&path, &why);
        (self.tell)(Collecting::Refused { path, why });
        Ok(())
    }

    /// The same with one that was being collected.
    pub(super) fn refuse_at(&mut self, at: usize, error: Error) -> Result<(), Error> {
        let mut ring = self.rings.swap_remove(at);
        // That may be what is wrong with it, whatever the error says.
        if !is_of_profile(&error) && ring.check_whole().is_err() {
            return self.lose(ring);
        }
        self.leave_room_above(ring.threads_above());
        let path = ring.path().to_owned();
        // With its right to drain.
        drop(ring);
        self.refuse(path, error)
    }

    /// Ends the run of a ring that was cut short.
    pub(super) fn lose(&mut self, mut ring: Ring) -> Result<(), Error> {
        _ = self.store.set_run_aside();
        let path = ring.path().to_owned();
        let (ids_end, threads) = (ring.ids_end(), ring.threads_above());
        let why = match about_one(&path, || ring.end_of_cut(&mut self.store)) {
            Ok(Some((run_id, spans))) => {
                let lost = match spans.dropped.file_removed {
                    0 => "none is known to be lost".to_owned(),
                    lost => format!("at least {lost} lost"),
                };
                format!(
                    "it was cut short by somebody; run {run_id} ends here: of its spans {} are stored, and {lost}; the file is \
                     removed",
                    spans.stored
                )
            }
            Ok(None) => {
                let why =
                    "it was cut short by somebody, and its run is not in the profile; remove it";
                let error = about(&path, &why);
                drop(ring);
                return self.refuse(path, error);
            }
            // Somebody else writes to it, or it is full: it is tried again the next time, as with a batch.
            Err(error) if may_pass(&error) => {
                _ = self.store.set_run_aside();
                self.rings.push(ring);
                return Ok(());
            }
            Err(error) => {
                self.leave_room_above(threads);
                drop(ring);
                return self.refuse(path, error);
            }
        };
        _ = self.store.set_run_aside();
        self.leave_room_above(threads);
        // Nobody goes on with it. Else files that are cut again and again would use up all ids.
        self.give_back_ids(ids_end);
        (self.tell)(Collecting::Refused { path, why });
        Ok(())
    }

    /// A run has ended whose ids did so here: those that no row of it has are the next one's, if they were the last.
    pub(super) fn give_back_ids(&mut self, end: u64) {
        let taken = self.rings.iter().map(Ring::ids_end);
        self.free.give_back(end, self.store.next_id(), taken);
    }

    /// Keeps ids of threads for a run that is left alone, as for those that go on.
    pub(super) fn leave_room_above(&mut self, thread: i64) {
        self.threads_left_above = self.threads_left_above.max(thread.saturating_add(THREADS_ROOM));
    }

    pub(super) fn begin(&mut self, mut ring: Ring) -> Result<(), Error> {
        self.free.begin_above(self.store.next_id().max(self.store.next_mark_id()?));
        let others = self.rings.iter().map(|other| other.threads_above() + THREADS_ROOM);
        let above = others.fold(self.threads_left_above, i64::max);
        let above = above.max(self.store.last_thread_id()?);
        let path = ring.path().to_owned();
        let mut tries = Tries::default();
        let begun = loop {
            let begun = about_one(&path, || ring.begin(&mut self.store, &mut self.free, above));
            let mut goes_on = |answer: Answer<'_>| {
                say_looked(self.rings.iter_mut().chain([&mut ring]));
                self.refusals.hear(answer).into_iter().for_each(&mut self.tell);
                !(self.stop)()
            };
            match begun {
                Err(error) if tries.again(&error, &mut goes_on) => {}
                Err(error) => break Err(error),
                Ok(()) => {
                    tries.taken(&mut goes_on);
                    break Ok(());
                }
            }
        };
        if let Err(error) = begun {
            // It may be cut just now.
            if !is_of_profile(&error) && ring.check_whole().is_err() {
                return self.lose(ring);
            }
            if ring.run_id() > 0 {
                self.leave_room_above(ring.threads_above());
            }
            drop(ring);
            return self.refuse(path, error);
        }
        (self.tell)(Collecting::Begun {
            run_id: ring.run_id(),
            pid: ring.pid(),
            program: ring.program(),
        });
        self.rings.push(ring);
        Ok(())
    }
}
