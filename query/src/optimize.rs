//! Making the indexes of a profile whose recording has ended, and taking them away.
//!
//! It works in write-ahead mode, a transaction a step: others can read meanwhile, and a process that is
//! killed leaves a file as it was after the last step. What SQLite sorts beyond 16 MiB goes to the folder
//! for temporary files (`SQLITE_TMPDIR`, `TMPDIR`, `/var/tmp`).

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::indexes::{self, BY_SPAN, INDEXES, PATHS, ZONES};
use crate::reader::Reader;
use crate::stacks::path_sums;
use crate::zones;
use spandrel_storage::StoreOptions;
use spandrel_storage::internals::Context;
use spandrel_storage::internals::Ended;
use spandrel_storage::internals::Settled;
use spandrel_storage::internals::Steps;
use spandrel_storage::internals::checkpoint;
use spandrel_storage::{Error, ErrorKind};

/// Instructions of SQLite's machine between two calls of the progress.
const INSTRUCTIONS_A_CALL: u64 = 1 << 20;
/// Instructions for each row: to read and sort it, and to insert it into the index.
const INSTRUCTIONS_A_ROW: u64 = 11;

/// How far `optimize` is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct OptimizeProgress {
    /// What is being made.
    pub index: &'static str,
    /// How much of everything is done, from 0 to 1: an estimate.
    pub share: f64,
}

/// What `optimize` did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Optimized {
    /// The indexes that were made or taken away.
    pub changed: Vec<&'static str>,
    /// Bytes of the file before.
    pub bytes_before: u64,
    /// Bytes of the file afterwards. Pages that came free are used by the next recording.
    pub bytes_after: u64,
}

/// Makes the indexes that a profile lacks. A recording into the file takes them away again.
///
/// `progress` is called from time to time.
///
/// # Errors
///
/// `InUse` while somebody records into the file; `Full` when there is no room for the indexes, which
/// take about two fifths of what the spans take; otherwise as for [`Store::open`](spandrel_storage::Store::open). What
/// was made before an error stays.
///
/// # Blocking
///
/// Some 1.8 s for a million spans.
pub fn optimize(
    path: impl AsRef<Path>,
    progress: impl FnMut(OptimizeProgress) + Send + 'static,
) -> Result<Optimized, Error> {
    optimize_at(path.as_ref(), Arc::new(Mutex::new(progress)))
}

fn optimize_at(
    path: &Path,
    progress: Arc<Mutex<dyn FnMut(OptimizeProgress) + Send>>,
) -> Result<Optimized, Error> {
    change(path, |path, conn| {
        let steps = steps(conn).context(path, "look for indexes")?;
        // Sorting must not be done in memory alone, which all connections of ours ask for.
        conn.pragma_update(None, "temp_store", "DEFAULT").context(path, "set up the connection")?;
        let all: u64 = steps.iter().map(|step| step.rows).sum();
        let mut before = 0;
        for step in steps.iter().copied() {
            let progress = progress.clone();
            let say = move |rows: u64| {
                let share = (before + rows.min(step.rows)) as f64 / all.max(1) as f64;
                let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
                progress(OptimizeProgress { index: step.name, share });
            };
            make(path, conn, step, say.clone())?;
            merge(conn, path)?;
            say(step.rows);
            before += step.rows;
        }
        Ok(steps.iter().map(|step| step.name).collect())
    })
}

/// Takes the indexes of a profile away.
///
/// # Errors
///
/// As for [`optimize`].
///
/// # Blocking
///
/// Reads the indexes once.
pub fn drop_indexes(path: impl AsRef<Path>) -> Result<Optimized, Error> {
    drop_indexes_at(path.as_ref())
}

fn drop_indexes_at(path: &Path) -> Result<Optimized, Error> {
    change(path, |path, conn| {
        let doing = "take the indexes away";
        let present = indexes::present(conn).context(path, doing)?;
        let tx = begin(conn).context(path, doing)?;
        indexes::drop_all(&tx).context(path, doing)?;
        tx.commit().context(path, doing)?;
        Ok(present.names().collect())
    })
}

/// Changes a profile that nobody records into.
fn change(
    path: &Path,
    change: impl FnOnce(&Path, &mut Connection) -> Result<Vec<&'static str>, Error>,
) -> Result<Optimized, Error> {
    let profile = Ended::lock(path)?;
    let bytes_before = profile.bytes_before;
    let mut conn = profile.connect(&StoreOptions::default())?;
    let changed = change(path, &mut conn);
    // Also after an error, so that the file is as a recording leaves it.
    let finished = checkpoint::finish(&conn, path);
    let done = changed.and_then(|changed| finished.map(|()| changed));
    let (changed, bytes_after) = profile.close(conn, done)?;
    Ok(Optimized { changed, bytes_before, bytes_after })
}

/// Something to make.
#[derive(Debug, Clone, Copy)]
struct Step {
    name: &'static str,
    /// The statement that makes it; zones and paths take more than that.
    sql: &'static str,
    /// Rows to read.
    rows: u64,
}

fn steps(conn: &Connection) -> rusqlite::Result<Vec<Step>> {
    let rows = |table: &str| -> rusqlite::Result<u64> {
        let sql = format!("SELECT coalesce(sum({table}s - pruned_{table}s), 0) FROM run");
        let rows: i64 = conn.query_row(&sql, [], |row| row.get(0))?;
        Ok(u64::try_from(rows).unwrap_or(0))
    };
    let (spans, events) = (rows("span")?, rows("event")?);
    let present: Vec<_> = indexes::present(conn)?.names().collect();
    let has_zones = present.contains(&ZONES);
    let [zones, paths] = [ZONES, PATHS].map(|name| Step { name, sql: "", rows: spans });
    let rows = |name| if name == BY_SPAN { events } else { spans };
    let indexes = INDEXES.map(|(name, sql)| Step { name, sql, rows: rows(name) });
    let mut steps = vec![zones, paths];
    steps.extend(indexes);
    // New zones have no paths.
    let is_new = |name| name == PATHS && !has_zones;
    steps.retain(|step| is_new(step.name) || !present.contains(&step.name));
    Ok(steps)
}

/// Makes one of them in a transaction.
fn make(
    path: &Path,
    conn: &mut Connection,
    step: Step,
    say: impl FnMut(u64) + Send + 'static,
) -> Result<(), Error> {
    let doing = format!("make the index {}", step.name);
    match step.name {
        ZONES => {
            let tx = begin(conn).context(path, &doing)?;
            zones::make(&tx, say).context(path, &doing)?;
            tx.commit().context(path, &doing)
        }
        PATHS => {
            // The reader sees the committed rows; nobody sees what is written until it is committed.
            let reader = Reader::open(path)?;
            let tx = begin(conn).context(path, &doing)?;
            path_sums::make(&reader, &tx, say)?;
            tx.commit().context(path, &doing)
        }
        _ => make_index(conn, step, say).context(path, &doing),
    }
}

fn make_index(
    conn: &mut Connection,
    step: Step,
    say: impl FnMut(u64) + Send + 'static,
) -> rusqlite::Result<()> {
    let say = Arc::new(Mutex::new((0, say)));
    let call = move || {
        let mut state = say.lock().unwrap_or_else(PoisonError::into_inner);
        let (instructions, say) = &mut *state;
        *instructions += INSTRUCTIONS_A_CALL;
        say(*instructions / INSTRUCTIONS_A_ROW);
        false
    };
    conn.progress_handler(INSTRUCTIONS_A_CALL as i32, Some(call)).settled()?;
    let made = begin(conn).and_then(|tx| {
        // An index that only has the name.
        indexes::drop_index(&tx, step.name)?;
        tx.execute_batch(step.sql)?;
        tx.commit()
    });
    Steps::unlimited(conn)?;
    made
}

fn begin(conn: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    conn.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Checkpoints the log, so that it does not grow by all indexes together. Readers only postpone it.
fn merge(conn: &Connection, path: &Path) -> Result<(), Error> {
    match checkpoint::run(conn, path, false) {
        Err(error) if error.kind() != ErrorKind::Busy => Err(error),
        _ => Ok(()),
    }
}
