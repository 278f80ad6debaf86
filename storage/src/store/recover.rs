//! What a store does if somebody removes its files, or cuts them short.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{Opened, Store, begin};
use crate::append;
use crate::checkpoint::{self, Wal};
use crate::error::{Context, Error, ErrorKind};
use crate::location::Location;
use crate::retention;
use crate::rollup::{self, Rollups};
use crate::shield;
use crate::watch::{self, Found};

/// How much of the run a [recovery](Store::recover) has found in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// Whether everything that was committed is there.
    pub whole: bool,
    /// Spans of the run that are stored, unfinished ones and those that were pruned since included.
    pub spans: u64,
    /// How many of them are unfinished.
    pub unfinished: u64,
    /// Events of the run that are stored.
    pub events: u64,
    /// Links of the run that are stored.
    pub links: u64,
    /// Entries of the run that are stored, those that were pruned since included.
    pub entries: u64,
    /// Marks of the run that are stored.
    pub marks: u64,
    /// Samples of gauges of the run that are stored.
    pub gauges: u64,
}

impl Store {
    /// Whether the path still names the file that is being written, with the log that belongs to it,
    /// and both are as long as they were left.
    ///
    /// # Errors
    ///
    /// When the file system does not say.
    ///
    /// # Blocking
    ///
    /// For some eight system calls.
    pub fn location(&mut self) -> Result<Location, Error> {
        Ok(match self.look()? {
            Found::Whole => Location::InPlace,
            Found::Away(location) => location,
            Found::Spoiled => Location::Spoiled,
            Found::LogSpoiled if self.detached && self.is_index_away => Location::IndexLost,
            Found::LogSpoiled | Found::LogAway => Location::LogLost,
            Found::IndexAway => Location::IndexLost,
        })
    }

    pub(super) fn look(&mut self) -> Result<Found, Error> {
        if self.detached {
            return Ok(Found::LogSpoiled);
        }
        let found =
            self.watch.look(&self.lock, &self.full).context(&self.path, "look at the file")?;
        if found != Found::LogSpoiled {
            return Ok(found);
        }
        // The log may have started again after everything was in the main file; then its file was cut.
        let Ok(Some(bytes)) = self.wal.needed_bytes(&self.conn) else { return Ok(found) };
        self.watch.set_log_bytes(bytes);
        self.watch.look(&self.lock, &self.full).context(&self.path, "look at the file")
    }

    /// Returns an error if the file cannot be read any more. A file that cannot be found does no harm.
    pub(super) fn check_files(&mut self) -> Result<(), Error> {
        let what = match self.location()? {
            Location::InPlace | Location::Renamed | Location::Removed => return Ok(()),
            Location::Spoiled => "the file was cut short or overwritten",
            Location::LogLost => "its write-ahead log was removed or cut short",
            Location::IndexLost => {
                "the index of its write-ahead log (-shm) was removed or replaced"
            }
        };
        Err(Error::new(ErrorKind::Moved, &self.path, format!("{what} while it was recorded into")))
    }

    /// Gets the file right again after somebody has taken its log away, and goes on with its run. What
    /// the log had is copied into the main file while this connection still has it open, if that is
    /// sound; if not, what was only in the log is lost, and the answer tells what is left. The counts of
    /// losses in the file start anew then.
    ///
    /// Ids of callsites and threads stay as they are; threads have to be interned again if the answer is
    /// not `whole`.
    ///
    /// # Errors
    ///
    /// `Busy`, `Full` and `Io` may pass: try again; nothing can be appended meanwhile. `Corrupt` when
    /// what is left is no database any more.
    pub fn recover(&mut self) -> Result<Recovered, Error> {
        let run_id = self.require_run()?.id;
        let mut before = None;
        if !self.detached {
            let found = self.look()?;
            self.is_index_away = found == Found::IndexAway;
            let merge = found != Found::LogSpoiled
                && self.watch.may_merge().context(&self.path, "look at the write-ahead log")?;
            if merge {
                self.merge()?;
                let totals = run_totals(&self.conn, run_id, false);
                before = Some(totals.context(&self.path, "read the run")?);
            }
            self.check_readers()?;
            self.detach()?;
            if merge || found == Found::LogSpoiled {
                self.watch.remove_sidecars();
            }
        }
        self.attach()?;
        let totals = run_totals(&self.conn, run_id, self.is_torn);
        let found = totals.context(&self.path, "read the run")?;
        if before == Some(found) {
            return Ok(Recovered { whole: true, ..recovered(found) });
        }
        self.resume(found)?;
        Ok(recovered(found))
    }

    /// What was missing when the recovery began.
    fn taken_away(&self) -> &'static str {
        if self.is_index_away {
            "the index of its write-ahead log (-shm)"
        } else {
            "its write-ahead log"
        }
    }

    /// SQLite shares an index among the connections of a process, even one that was removed.
    fn check_readers(&self) -> Result<(), Error> {
        if self.lock.readers() == 0 {
            return Ok(());
        }
        let message = format!(
            "{} was removed, and a reader of this process still has it open; close the reader",
            self.taken_away()
        );
        Err(Error::new(ErrorKind::Busy, &self.path, message))
    }

    fn is_shared(&self) -> Error {
        let message = format!(
            "{} was removed, and this process still has it open; close all connections to it",
            self.taken_away()
        );
        Error::new(ErrorKind::Busy, &self.path, message)
    }

    /// Copies all of the log into the main file, or nothing of it: so if the log is lost, the main file
    /// is consistent.
    pub(super) fn merge(&self) -> Result<(), Error> {
        let doing = "look at the write-ahead log";
        let (frames, _) = Wal::frames(&self.conn).context(&self.path, doing)?;
        if !self.watch.may_copy_all(frames).context(&self.path, doing)? {
            let message = "a reader keeps a part of the write-ahead log; end its transaction";
            return Err(Error::new(ErrorKind::Busy, &self.path, message));
        }
        checkpoint::run(&self.conn, &self.path, false)
    }

    /// Closes the file and leaves everything unchanged.
    pub(super) fn detach(&mut self) -> Result<(), Error> {
        let doing = "close the file";
        if !self.detached {
            let whole = |(frames, copied)| self.watch.is_main_whole(frames, copied);
            self.is_torn = !Wal::frames(&self.conn).is_ok_and(whole);
        }
        let nothing = Connection::open_in_memory().context(&self.path, doing)?;
        keep_log(&self.conn).context(&self.path, doing)?;
        self.shield.release();
        self.conn = nothing;
        self.detached = true;
        Ok(())
    }

    /// Opens the file again.
    fn attach(&mut self) -> Result<(), Error> {
        let opened = Self::open_locked(&self.path, &self.full, &self.lock, &self.options);
        // SQLite does not make an index if it shares one that was removed.
        let is_shared = |error: &Error| {
            error.kind() == ErrorKind::NotFound
                && self.options.live_readers
                && !watch::has_index(&self.full)
        };
        let told = |error| if is_shared(&error) { self.is_shared() } else { error };
        let opened = opened.map_err(told)?;
        let Opened { conn, wal, bulk_insert, watch, shield, .. } = opened;
        if let Some(index) = watch.index()
            && !shield::is_index_in_use(&index)
        {
            // There is another connection of this process, which is not known here.
            drop(shield);
            keep_log(&conn).context(&self.path, "close the file")?;
            return Err(self.is_shared());
        }
        self.wal = wal;
        self.bulk_insert = bulk_insert;
        self.watch = watch;
        self.conn = conn;
        // It is counted for each connection; what was deleted meanwhile is not counted at all.
        self.data_version = None;
        // With the log, deletions may be lost, too.
        self.pruning = retention::Known::default();
        self.shield = shield;
        self.detached = false;
        Ok(())
    }

    /// Continues with a run after only a part of it was found in the file.
    fn resume(&mut self, found: RunTotals) -> Result<(), Error> {
        let doing = "go on with the run";
        let Some(run) = &mut self.run else { return Ok(()) };
        let run_id = run.id;
        let resumed =
            |table| Rollups::resumed(table, &self.conn, run_id).context(&self.path, doing);
        self.rollups = resumed(rollup::Table::Spans)?;
        self.entry_rollups = resumed(rollup::Table::Entries)?;
        self.interner.insert_again();
        let tx = begin(&mut self.conn, &self.path)?;
        tx.execute("DELETE FROM main.loss WHERE run_id = ?1", [run_id])
            .and_then(|_| tx.execute("DELETE FROM main.open_span WHERE run_id = ?1", [run_id]))
            .and_then(|_| run.resume(&tx, found.counts, found.others))
            .context(&self.path, doing)?;
        append::commit(tx, &self.path)?;
        self.note_log();
        Ok(())
    }
}

/// How much the file has of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunTotals {
    /// Spans, unfinished ones, events, links, entries, marks and samples of gauges.
    counts: [i64; 7],
    /// The last moment, and what was pruned: spans, events and entries.
    others: [i64; 4],
    /// The last id, and what was dropped: to see whether anything has changed.
    changes: [i64; 4],
}

/// From the row of the run. If the row cannot be trusted, because the file is inconsistent, or if
/// somebody has deleted it, the rows of the run are counted.
pub(super) fn run_totals(
    conn: &Connection,
    run_id: i64,
    count: bool,
) -> rusqlite::Result<RunTotals> {
    let said = "SELECT spans, unfinished, events, links, entries,
                  (SELECT count(*) FROM main.mark WHERE run_id = ?1),
                  (SELECT count(*) FROM main.gauge WHERE run_id = ?1),
                  last_ns, pruned_spans, pruned_events, pruned_entries, last_id, dropped_spans,
                  dropped_events, dropped_entries
                FROM main.run WHERE id = ?1";
    let counted = "SELECT (SELECT count(*) FROM main.span WHERE run_id = ?1) + pruned_spans,
                     (SELECT count(*) FROM main.span WHERE run_id = ?1 AND status IN ('unfinished', 'crashed')),
                     (SELECT count(*) FROM main.event WHERE run_id = ?1) + pruned_events,
                     (SELECT count(*) FROM main.link WHERE run_id = ?1),
                     (SELECT count(*) FROM main.entry WHERE run_id = ?1) + pruned_entries,
                     (SELECT count(*) FROM main.mark WHERE run_id = ?1),
                     (SELECT count(*) FROM main.gauge WHERE run_id = ?1),
                     0, pruned_spans, pruned_events, pruned_entries, 0, 0, 0, 0
                   FROM (SELECT coalesce(max(pruned_spans), 0) AS pruned_spans,
                           coalesce(max(pruned_events), 0) AS pruned_events,
                           coalesce(max(pruned_entries), 0) AS pruned_entries
                         FROM main.run WHERE id = ?1)";
    let read = |row: &Row<'_>| {
        let mut all = RunTotals { counts: [0; 7], others: [0; 4], changes: [0; 4] };
        let places = all.counts.iter_mut().chain(&mut all.others).chain(&mut all.changes);
        for (at, place) in places.enumerate() {
            *place = row.get(at)?;
        }
        Ok(all)
    };
    if !count && let Some(all) = conn.query_row(said, [run_id], read).optional()? {
        return Ok(all);
    }
    conn.query_row(counted, [run_id], read)
}

pub(super) fn recovered(found: RunTotals) -> Recovered {
    let [spans, unfinished, events, links, entries, marks, gauges] =
        found.counts.map(|n| u64::try_from(n).unwrap_or(0));
    Recovered { whole: false, spans, unfinished, events, links, entries, marks, gauges }
}

/// Makes the connection neither merge the log nor delete it when it is closed.
pub(super) fn keep_log(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}
