//! The one writer of a profile database.

mod aside;
mod children;
mod leave;
mod recover;
mod resume;
mod several_runs;
mod unused;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use self::children::StoredChildren;
pub use self::leave::Left;
pub use self::recover::Recovered;
pub use self::resume::{Lost, Resumed};
use self::several_runs::Aside;
pub use self::several_runs::RunAside;

use crate::append::{self, Appended};
use crate::batches::Commit;
use crate::bulk_insert::BulkInsert;
use crate::checkpoint::{self, Wal};
use crate::error::{Context, Error, ErrorKind};
use crate::file_size;
use crate::ids::LastIds;
use crate::indexes;
use crate::intern::Interner;
use crate::location::{self, Location};
use crate::lock::{StoreLock, file_id};
use crate::memory::{MemoryUse, StoreMemory};
use crate::mend::{self, FreshIds, Mended, Moved, Trial};
use crate::open::{self, CACHE_KIB};
use crate::options::StoreOptions;
use crate::ownership;
use crate::record::{Batch, CallsiteInfo, LossRow, RunInfo};
use crate::retention::{self, InHand, Pace, Pruned};
use crate::rollup::{self, Rollups};
use crate::run_row::RunRow;
use crate::shield::Shield;
use crate::sqlite::SqliteVersion;
use crate::totals::Totals;
use crate::watch::Watch;

/// The one writer of a profile database.
///
/// After any error it stays usable: what was being written is rolled back, and the same call can
/// be made again. It starts no thread.
///
/// # Blocking
///
/// Every call that returns a `Result` writes to the disk, and waits for a lock of another
/// connection for [`StoreOptions::busy_timeout`] at most.
pub struct Store {
    // First, so that SQLite can take its own locks when the connection is closed ...
    shield: Shield,
    // ... and the connection before the lock.
    conn: Connection,
    lock: StoreLock,
    path: PathBuf,
    full: PathBuf,
    options: StoreOptions,
    run: Option<RunRow>,
    /// Whether other runs are recorded beside it.
    has_others: bool,
    /// Those that are set aside.
    aside: Vec<Aside>,
    /// The largest number of each kind when the file was opened.
    first: LastIds,
    last_id: u64,
    last_batch_id: i64,
    moved: Moved,
    interner: Interner,
    rollups: Rollups,
    /// For entries that are recorded one by one.
    entry_rollups: Rollups,
    wal: Wal,
    bulk_insert: BulkInsert,
    /// How much a batch takes lately, if the file has a limit.
    batch_bytes: u64,
    /// Whether old rows could not be deleted after the last batch.
    is_overdue: bool,
    /// What is known of rows that become too old.
    pruning: retention::Known,
    watch: Watch,
    /// SQLite's count of commits by other connections; see `PRAGMA data_version`.
    data_version: Option<i64>,
    /// Whether a recovery has closed the file and could not yet open it again.
    detached: bool,
    /// Whether the main file without its log was inconsistent when it was closed.
    is_torn: bool,
    /// Whether the last recovery was begun because the index was missing, and not the log.
    is_index_away: bool,
}

/// What is read and prepared before a store can write.
struct Opened {
    conn: Connection,
    data_version: i64,
    wal: Wal,
    bulk_insert: BulkInsert,
    interner: Interner,
    last: LastIds,
    watch: Watch,
    shield: Shield,
}

impl Store {
    /// Opens the database at `path`, or makes it, for recording.
    ///
    /// The file is made with mode 0600, and SQLite gives its sidecars the same mode. An empty file
    /// counts as a new one. Files up to 64 MiB are checked page by page; of larger ones the header,
    /// the size and the schema are checked. A file that is not ours is left as it is.
    ///
    /// # Errors
    ///
    /// Each has a kind of its own: the SQLite that is linked is too old; the folder is missing; the path names a folder or a symbolic
    /// link; no permission; somebody else's file; not a database; the database of another program, or of a newer spandrel;
    /// a damaged file; in use by another store; locked by another connection; the disk is full;
    /// options that make no sense.
    pub fn open(path: impl AsRef<Path>, options: &StoreOptions) -> Result<Self, Error> {
        Self::open_at(path.as_ref(), options)
    }

    fn open_at(path: &Path, options: &StoreOptions) -> Result<Self, Error> {
        SqliteVersion::linked().check(path)?;
        options.check(path)?;
        let options = &options.within(file_size::limit());
        let full = open::full_path(path)?;
        let lock = StoreLock::acquire(path, &full)?;
        match Self::open_locked(path, &full, &lock, options) {
            Ok(Opened { conn, data_version, wal, bulk_insert, interner, last, watch, shield }) => {
                Ok(Self {
                    shield,
                    watch,
                    data_version: Some(data_version),
                    detached: false,
                    is_torn: false,
                    is_index_away: false,
                    wal,
                    bulk_insert,
                    conn,
                    lock,
                    path: path.to_path_buf(),
                    full,
                    options: options.clone(),
                    run: None,
                    has_others: false,
                    aside: Vec::new(),
                    first: last,
                    last_id: u64::try_from(last.id).unwrap_or(0),
                    last_batch_id: last.batch,
                    moved: Moved::default(),
                    interner,
                    rollups: Rollups::new(rollup::Table::Spans),
                    entry_rollups: Rollups::new(rollup::Table::Entries),
                    batch_bytes: 0,
                    is_overdue: false,
                    pruning: retention::Known::default(),
                })
            }
            Err(error) => {
                let ours = || lock.file().and_then(|file| location::locate(file, lock.id(), &full));
                if lock.created && matches!(ours(), Ok(Location::InPlace)) {
                    // Best effort: an empty file would do no harm.
                    let _ = std::fs::remove_file(&full);
                }
                Err(error)
            }
        }
    }

    fn open_locked(
        path: &Path,
        full: &Path,
        lock: &StoreLock,
        options: &StoreOptions,
    ) -> Result<Opened, Error> {
        let mut conn = open::connect(path, full, lock, options)?;
        let found = full.symlink_metadata().context(path, "look at the file")?;
        if file_id(full, &found) != *lock.id() {
            let message = "the path was replaced while it was being opened; try again";
            return Err(Error::new(ErrorKind::Moved, path, message));
        }
        drop_indexes(path, &mut conn)?;
        limit_pages(&conn, options.max_page_count).context(path, "limit the pages")?;
        // Before the callsites are read: so it is noticed if somebody deletes some from here on.
        let data_version = data_version(&conn).context(path, "ask whether others write")?;
        let last = LastIds::read(&conn).context(path, "read the largest ids")?;
        let interner = Interner::load(&conn, &last).context(path, "read the callsites")?;
        let bulk_insert = BulkInsert::new(&mut conn, options.transfer_rows_min)
            .context(path, "set up the connection")?;
        let wal = Wal::new(&conn, full).context(path, "read the page size")?;
        ownership::check_sidecars(path, full)?;
        let doing = "look at the write-ahead log";
        let watch = Watch::new(lock, full, options.live_readers).context(path, doing)?;
        let file = lock.shared_file().context(path, doing)?;
        let shield = Shield::new(file, watch.index());
        Ok(Opened { conn, data_version, wal, bulk_insert, interner, last, watch, shield })
    }

    /// The path, as it was given to [`open`](Self::open).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path without symbolic links among its folders.
    pub(crate) fn full_path(&self) -> &Path {
        &self.full
    }

    /// The run that has begun.
    pub fn run_id(&self) -> Option<i64> {
        self.run.as_ref().map(|run| run.id)
    }

    /// One more than the largest id of a span or event in the file, and than any that a row refers
    /// to; ids from here on are free, also after rows were pruned.
    pub fn next_id(&self) -> u64 {
        self.last_id.saturating_add(1)
    }

    /// Spans and events of the next run get ids from this one on, if they would get smaller ones: those may be of a run
    /// that is in no file yet.
    pub fn leave_ids_below(&mut self, first_id: u64) {
        self.last_id = self.last_id.max(first_id.saturating_sub(1));
    }

    /// One more than the largest id of a mark in the file, and than those that runs which are collected may set yet: they
    /// are read again by each collector, and each has the same id then.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn next_mark_id(&self) -> Result<u64, Error> {
        let largest = "SELECT max(coalesce((SELECT max(id) FROM mark), 0),
            coalesce((SELECT max(min(first_id, 1 << 61)) + (1 << 16) FROM run
              WHERE ended_unix_ns IS NULL AND settings LIKE '%\"collected_from\":%'), 0))";
        let largest: i64 = self
            .conn
            .query_row(largest, [], |row| row.get(0))
            .context(&self.path, "read the largest id of a mark")?;
        Ok(u64::try_from(largest).unwrap_or(0).saturating_add(1))
    }

    /// Begins a run: its row is committed, and what is appended from now on belongs to it.
    ///
    /// Runs without an end that other processes left behind are kept as they are.
    ///
    /// # Errors
    ///
    /// When the row cannot be written.
    pub fn begin_run(&mut self, run: &RunInfo) -> Result<i64, Error> {
        let doing = "begin a run";
        self.check_files()?;
        let tx = begin(&mut self.conn, &self.path)?;
        let first_id = self.last_id.saturating_add(1) as i64;
        let run = RunRow::begin(&tx, self.first.run.saturating_add(1), first_id, run)
            .context(&self.path, doing)?;
        append::commit(tx, &self.path)?;
        let run_id = run.id;
        self.run = Some(run);
        self.moved = Moved::default();
        self.rollups = Rollups::new(rollup::Table::Spans);
        self.entry_rollups = Rollups::new(rollup::Table::Entries);
        Ok(run_id)
    }

    /// The number of a callsite, the same in every run of the file. Its row is inserted by the next
    /// append.
    pub fn intern_callsite(&mut self, info: &CallsiteInfo) -> i64 {
        self.interner.callsite(info)
    }

    /// Says who the thread `number` of this run is, for each number from 1 on, and returns its id. Its row
    /// is inserted by the next append; what is said again of the same number changes nothing.
    pub fn intern_thread(&mut self, number: u32, os_id: u64, name: Option<&str>) -> i64 {
        self.interner.thread(self.run_id().unwrap_or(0), number, os_id, name);
        self.interner.thread_id(number)
    }

    /// The id of a thread of this run. Ids are the numbers counted on from the largest id of earlier
    /// runs, so that nobody needs a table of them.
    #[inline]
    pub fn thread_id(&self, number: u32) -> i64 {
        self.interner.thread_id(number)
    }

    /// Whether another connection has written to the file since the last call, or may have. If so, callsites
    /// that it has deleted are inserted again by the next append; threads are the caller's to tell, see
    /// [`has_threads`](Self::has_threads).
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    ///
    /// # Blocking
    ///
    /// Reads the table of callsites if somebody has written, and nearly nothing otherwise.
    pub fn look_for_deleted_names(&mut self) -> Result<bool, Error> {
        let doing = "look for callsites that were deleted";
        let version = data_version(&self.conn).context(&self.path, doing)?;
        if self.data_version.replace(version) == Some(version) {
            return Ok(false);
        }
        self.interner.insert_missing(&self.conn).context(&self.path, doing)?;
        Ok(true)
    }

    /// Whether all of these threads have a row of this run, or will have one with the next append.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn has_threads(&self, numbers: impl IntoIterator<Item = u32>) -> Result<bool, Error> {
        let find = || -> rusqlite::Result<bool> {
            let sql = "SELECT 1 FROM main.thread WHERE id = ?1 AND run_id = ?2";
            let mut find = self.conn.prepare(sql)?;
            let pending = self.interner.pending_threads();
            for number in numbers {
                let ids = [self.thread_id(number), self.run_id().unwrap_or(0)];
                if !pending.contains(&number) && !find.exists(ids)? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        find().context(&self.path, "look for threads")
    }

    /// Which of these spans have a row of this run.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn stored_spans(&self, ids: impl IntoIterator<Item = u64>) -> Result<Vec<u64>, Error> {
        let find = || -> rusqlite::Result<Vec<u64>> {
            let sql = "SELECT 1 FROM main.span WHERE id = ?1 AND run_id = ?2";
            let mut find = self.conn.prepare(sql)?;
            let mut stored = Vec::new();
            for id in ids {
                if find.exists([self.moved.span(id) as i64, self.run_id().unwrap_or(0)])? {
                    stored.push(id);
                }
            }
            Ok(stored)
        };
        find().context(&self.path, "look for spans")
    }

    /// Stores the batch in one transaction, wholly or not at all, with what was interned since the
    /// last one. Its rows may be sorted; it is left to the caller to clear.
    ///
    /// # Errors
    ///
    /// `Busy`, `Full`, `WalFull` and `Io` may pass: try the same batch again. `InvalidBatch` does
    /// not, but [`mend`](Self::mend) helps. `NoRun` when no run has begun.
    pub fn append(&mut self, batch: &mut Batch) -> Result<Appended, Error> {
        self.append_beside(batch, &mut || {})
    }

    /// The same for a caller that has other work to do in between: `meanwhile` is called between the steps
    /// of an append, every millisecond or two, once it is certain that the file can be written to. A
    /// checkpoint is one step, and takes longer.
    ///
    /// # Errors
    ///
    /// As of [`append`](Self::append).
    pub fn append_beside(
        &mut self,
        batch: &mut Batch,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Appended, Error> {
        let run_id = self.require_run()?.id;
        self.moved.apply(batch);
        append::check(batch, &self.path)?;
        self.check_files()?;
        let used = self.make_room()?;
        self.wal.make_room(&self.conn, &self.path, self.options.wal_bytes_max)?;
        let started = Instant::now();
        // Known in advance: only this store makes commits.
        let id = self.last_batch_id.saturating_add(1);
        let commit = Commit { id, run_id, at_unix_ns: unix_ns() };
        let loaded = self.bulk_insert.load(&mut self.conn, batch, (run_id, id), self.has_others);
        let Some(run) = &mut self.run else { return Ok(Appended::default()) };
        let last_id = run.sums.last_id();
        let tx = begin(&mut self.conn, &self.path)?;
        if self.interner.has_pending() {
            self.interner.insert(&tx).context(&self.path, "store callsites and threads")?;
        }
        let written = append::write(
            &tx,
            batch,
            run,
            commit,
            (&self.rollups, &self.entry_rollups),
            last_id,
            (loaded.as_ref(), meanwhile),
        );
        let (staged, staged_entries, totals) = match written.context(&self.path, "store a batch") {
            Ok(written) => written,
            // Trying again is useless.
            Err(error) if error.kind() == ErrorKind::TooLong => {
                return Err(error.with_kind(ErrorKind::InvalidBatch));
            }
            Err(error) => {
                let strange = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Sqlite);
                if loaded.is_some() && strange {
                    // Perhaps the image was the reason: the next try goes through statements.
                    drop(tx);
                    self.bulk_insert.give_up(&self.conn).context(&self.path, "give up a batch")?;
                }
                return Err(error);
            }
        };
        append::commit(tx, &self.path)?;
        meanwhile();
        self.interner.committed();
        self.pruning.places.add(run_id, batch);
        self.rollups.committed(staged);
        self.entry_rollups.committed(staged_entries);
        self.last_id = self.last_id.max(totals.last_id());
        self.last_batch_id = self.last_batch_id.max(totals.last_batch_id);
        run.sums.add(&totals);
        if let Some(report) = &batch.report {
            run.report = Some(report.clone());
        }
        let mut appended = Appended {
            batch_id: (totals.last_batch_id == id).then_some(id),
            commit_ns: append::elapsed_ns(started),
            ..Appended::default()
        };
        self.after_commit(&mut appended);
        meanwhile();
        if let Some(used) = used {
            let rows = (batch.spans.len() + batch.events.len() + batch.entries.len()) as u64;
            self.prune_after(used, rows, &mut appended);
        }
        appended.file_bytes = self.file_bytes();
        Ok(appended)
    }

    /// Before a batch goes into a limited file: deletes what could not be deleted after the batch
    /// before. Returns how many bytes of the file are in use.
    fn make_room(&mut self) -> Result<Option<u64>, Error> {
        if self.options.max_bytes.is_none() && self.options.max_age.is_none() {
            return Ok(None);
        }
        if self.is_overdue {
            match self.prune_at(unix_ns(), Pace::after_batch(1, self.batch_bytes)) {
                // If nothing can be deleted, the batch is stored anyway.
                Err(error) if error.may_pass() => return Err(error),
                _ => self.is_overdue = false,
            }
        }
        let used = retention::used_bytes(&self.conn).context(&self.path, "look at the pages")?;
        Ok(Some(used))
    }

    /// After a batch of so many rows: deletes as much in return.
    fn prune_after(&mut self, used_before: u64, rows: u64, appended: &mut Appended) {
        let started = Instant::now();
        let pruned = retention::used_bytes(&self.conn)
            .context(&self.path, "look at the pages")
            .and_then(|used| {
                let bytes = used.saturating_sub(used_before);
                self.batch_bytes = bytes.max(self.batch_bytes - self.batch_bytes / 8);
                self.prune_at(unix_ns(), Pace::after_batch(rows, bytes))
            });
        appended.prune_ns = append::elapsed_ns(started);
        self.is_overdue = pruned.is_err();
        appended.prune_error = pruned.err();
    }

    /// Takes out of a batch what the schema refuses, so that the rest can be appended; nothing is stored
    /// yet. A row whose id a row of another run has gets another one, from `fresh`, which is asked for
    /// an id above one, and may have none.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append), but `InvalidBatch`: the same batch can be tried again.
    pub fn mend(&mut self, batch: &mut Batch, fresh: FreshIds<'_>) -> Result<Mended, Error> {
        let doing = "look for the rows that are refused";
        let run_id = self.require_run()?.id;
        let tx = begin(&mut self.conn, &self.path)?;
        let mut trial = Trial { tx: &tx, run_id, moved: &mut self.moved, fresh };
        let mended = trial.mend(batch, &mut self.interner).context(&self.path, doing)?;
        tx.rollback().context(&self.path, doing)?;
        if mended.renumbered > 0 {
            let tx = begin(&mut self.conn, &self.path)?;
            mend::mend_references(&tx, run_id, &self.moved).context(&self.path, doing)?;
            append::commit(tx, &self.path)?;
            self.note_log();
        }
        Ok(mended)
    }

    /// Deletes some of what `max_bytes` and `max_age` no longer allow: a bounded number of the
    /// oldest rows. Call it again while [`Pruned::more`] says so, between batches.
    ///
    /// Callsites, the rows of runs and losses stay. What was deleted is counted in the run.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append); nothing is deleted then.
    pub fn prune(&mut self) -> Result<Pruned, Error> {
        self.prune_at(unix_ns(), Pace::step())
    }

    fn prune_at(&mut self, now_unix_ns: i64, pace: Pace) -> Result<Pruned, Error> {
        let limits = retention::Limits::new(&self.options, now_unix_ns, self.batch_bytes);
        limits.map_or_else(|| Ok(Pruned::default()), |limits| self.prune_to(&limits, pace))
    }

    /// Deletes some of what began before this moment, whatever the options say; as
    /// [`prune`](Self::prune) otherwise.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append); nothing is deleted then.
    pub fn prune_before(&mut self, cutoff_unix_ns: i64) -> Result<Pruned, Error> {
        self.prune_to(&retention::Limits::before(cutoff_unix_ns), Pace::step())
    }

    /// Deletes some rows of the runs before this one, whenever they began; as [`prune`](Self::prune) otherwise.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append); nothing is deleted then.
    pub fn prune_runs_before(&mut self, run_id: i64) -> Result<Pruned, Error> {
        self.prune_to(&retention::Limits::before_run(run_id), Pace::step())
    }

    fn prune_to(&mut self, limits: &retention::Limits, pace: Pace) -> Result<Pruned, Error> {
        self.check_files()?;
        self.wal.make_room(&self.conn, &self.path, self.options.wal_bytes_max)?;
        let tx = begin(&mut self.conn, &self.path)?;
        let run_id = self.run.as_ref().map(|run| run.id);
        let in_hand = InHand { run_id, aside: several_runs::ids(&self.aside) };
        // If they are not deleted after all, nothing is known.
        let mut known = std::mem::take(&mut self.pruning);
        let pruned = retention::prune(&tx, limits, pace, &in_hand, &mut known);
        let pruned = pruned.context(&self.path, "prune")?;
        append::commit(tx, &self.path)?;
        self.pruning = known;
        if let Some(run) = &mut self.run {
            run.sums.pruned_spans += pruned.live.spans;
            run.sums.pruned_events += pruned.live.events;
            run.sums.pruned_entries += pruned.live.entries;
        }
        if pruned.rollups > 0 {
            self.rollups.forget();
            self.entry_rollups.forget();
        }
        self.after_commit(&mut Appended::default());
        Ok(pruned)
    }

    /// The size that the file has once its write-ahead log is merged.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn bytes(&self) -> Result<u64, Error> {
        retention::bytes(&self.conn).context(&self.path, "look at the pages")
    }

    /// After a commit. If the log file is cut when the log starts again, that may just have happened.
    fn note_log(&mut self) {
        if let Some(bytes) = self.wal.bytes_after_cut() {
            self.watch.set_log_bytes(bytes);
        }
    }

    /// Makes a checkpoint if it is due, but not into a damaged file.
    fn after_commit(&mut self, appended: &mut Appended) {
        self.note_log();
        if let Err(error) = self.check_files() {
            appended.checkpoint_error = Some(error);
            return;
        }
        self.wal.after_commit(&self.conn, &self.path, &self.options, appended);
        self.watch.set_log_bytes(appended.wal_bytes);
    }

    /// Limits the file to so many pages, or takes the limit away. Never below its present size.
    ///
    /// # Errors
    ///
    /// When SQLite refuses.
    pub fn set_max_page_count(&mut self, pages: Option<u32>) -> Result<(), Error> {
        limit_pages(&self.conn, pages).context(&self.path, "limit the pages")?;
        self.options.max_page_count = pages;
        Ok(())
    }

    /// Copies the write-ahead log into the main file, as far as no reader is in the way; with
    /// `truncate` it waits for readers and leaves the log empty.
    ///
    /// # Errors
    ///
    /// `Busy` when readers keep a part of the log.
    pub fn checkpoint(&mut self, truncate: bool) -> Result<(), Error> {
        checkpoint::run(&self.conn, &self.path, truncate)
    }

    /// Ends the run: the moment and the report, a JSON object, are stored, and the table of open
    /// spans is emptied. Stores what is still interned.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    pub fn end_run(&mut self, ended_unix_ns: i64, report_json: &str) -> Result<(), Error> {
        self.end_run_with_losses(ended_unix_ns, report_json, &[])
    }

    /// As [`end_run`](Self::end_run), with losses that no batch has told of: a run that has an end says
    /// all that it has lost, or has no end.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append); nothing is stored then.
    pub fn end_run_with_losses(
        &mut self,
        ended_unix_ns: i64,
        report_json: &str,
        losses: &[LossRow],
    ) -> Result<(), Error> {
        self.require_run()?;
        let doing = "end the run";
        if self.detached {
            let message = format!("{doing}: the file is not open, as it is not right again yet");
            return Err(Error::new(ErrorKind::Moved, &self.path, message));
        }
        let Some(run) = &mut self.run else { return Ok(()) };
        let mut totals = Totals::new(run.sums.last_id());
        let tx = begin(&mut self.conn, &self.path)?;
        self.interner.insert(&tx).context(&self.path, doing)?;
        append::losses(&tx, losses, run.id, &mut totals)
            .and_then(|()| run.add(&tx, &totals))
            .and_then(|()| run.end(&tx, ended_unix_ns, report_json))
            .and_then(|()| tx.execute("DELETE FROM open_span WHERE run_id = ?1", [run.id]))
            .context(&self.path, doing)?;
        append::commit(tx, &self.path)?;
        self.interner.committed();
        run.sums.add(&totals);
        self.note_log();
        Ok(())
    }

    /// Memory that the store takes now, by part; walks through the sums that it keeps.
    pub fn memory(&self) -> StoreMemory {
        let pages = CACHE_KIB.unsigned_abs() << 10;
        let stored = self.file_bytes().saturating_add(self.wal.file_bytes());
        StoreMemory {
            names: self.interner.memory(),
            rollups: self.rollups.memory() + self.entry_rollups.memory(),
            image: self.bulk_insert.memory(),
            pages: MemoryUse { reserved: pages, used: pages.min(stored) },
        }
    }

    /// Does something in a transaction of its own.
    fn in_transaction(
        &mut self,
        doing: &str,
        act: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        self.check_files()?;
        let tx = begin(&mut self.conn, &self.path)?;
        act(&tx).context(&self.path, doing)?;
        append::commit(tx, &self.path)?;
        self.note_log();
        Ok(())
    }

    fn require_run(&self) -> Result<&RunRow, Error> {
        self.run.as_ref().ok_or_else(|| {
            let message = "no run has begun; call begin_run first";
            Error::new(ErrorKind::NoRun, &self.path, message)
        })
    }

    fn file_bytes(&self) -> u64 {
        self.lock.file().and_then(|file| file.metadata()).map_or(0, |metadata| metadata.len())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path)
            .field("run_id", &self.run_id())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Now, in nanoseconds since the Unix epoch.
fn unix_ns() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
}

/// Begins a transaction that has the write lock.
fn begin<'a>(conn: &'a mut Connection, path: &Path) -> Result<Transaction<'a>, Error> {
    let doing = "begin a transaction";
    let tx = conn.transaction_with_behavior(TransactionBehavior::Deferred).context(path, doing)?;
    // IMMEDIATE takes the locks of all attached databases, and images are read-only. A first statement
    // that writes takes the lock of the file as well.
    tx.execute("DELETE FROM main.run WHERE false", []).context(path, doing)?;
    Ok(tx)
}

fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA main.data_version", [], |row| row.get(0))
}

/// Removes what `optimize` has made: an index on spans costs more than the spans, and rows could not be
/// copied.
fn drop_indexes(path: &Path, conn: &mut Connection) -> Result<(), Error> {
    let doing = "take the indexes away";
    if !indexes::any(conn).context(path, doing)? {
        return Ok(());
    }
    let tx = begin(conn, path)?;
    indexes::drop_all(&tx).context(path, doing)?;
    append::commit(tx, path)
}

fn limit_pages(conn: &Connection, pages: Option<u32>) -> rusqlite::Result<()> {
    // SQLite's own limit: <https://sqlite.org/limits.html>.
    let pages = pages.map_or(4_294_967_294, i64::from);
    conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_has_the_lock_for_writing_from_its_first_moment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.db");
        let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
        let other = Connection::open(&path).unwrap();
        other.busy_timeout(std::time::Duration::ZERO).unwrap();
        let tx = begin(&mut store.conn, &path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap_err();
        drop(tx);
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(begin(&mut store.conn, &path).unwrap_err().kind(), ErrorKind::Busy);
    }
}
