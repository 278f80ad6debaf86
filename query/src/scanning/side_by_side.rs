//! A parallel scan: each thread reads parts of the range and sums them up by itself.
//!
//! ```text
//!  ranges of ids, cut where leaves end:  | 0 | 1 | 2 | 3 | ...
//!  the calling thread and others: the next free part --> rows, with names --> partial sums
//! ```
//!
//! No row is handed to another thread, which would cost more than to sum it up. All threads read pages in the one
//! transaction of the calling thread, which replaces it from time to time, as in `ahead.rs`. Names are read
//! beforehand (`preloaded_names.rs`). What cannot be read like this, from some row of a part on, is left for a scan
//! by one thread.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::{PIECE_ROWS, data_version};
use crate::id_range::{Range, join};
use crate::order_rows::OrderRows as _;
use crate::preloaded_names::PreloadedNames;
use crate::raw_span::RawSpan;
use crate::reader::Reader;
use crate::rows::Named;
use crate::span_pages::{Callsites, Ended, PageLookUp, PageQuery, Pause, SpanPages};
use crate::{Columns, Scan, SpanRef};
use spandrel_storage::Error;
use spandrel_storage::internals::Context;

/// With fewer parts, one thread reads all.
const PARTS_MIN: usize = 4;

/// Rows of one transaction: some 20 ms, for which a program that begins to record into the file has to wait. With
/// pauses every millisecond or two, all threads end up on one processor in turns.
const ROWS_OF_TRANSACTION: u64 = 16 * PIECE_ROWS as u64;

/// How rows are summed up.
pub(crate) trait Sums: Sync {
    /// The partial sums of one thread.
    type Partial: Send;

    /// Empty sums.
    fn begin(&self) -> Self::Partial;

    /// Counts a row. The rows of one thread come in order of id.
    fn add(&self, partial: &mut Self::Partial, span: &SpanRef<'_>, look_up: &mut LookUp<'_>);

    /// Whether partial sums are too large to have several of them; then one thread reads all.
    fn is_full(&self, partial: &Self::Partial) -> bool;
}

/// The partial sums of each thread, and the ranges that were not read.
pub(crate) type SideBySide<T> = (Vec<T>, Vec<Range>);

/// Looks up single rows during the scan.
pub(crate) struct LookUp<'a> {
    rows: PageLookUp<'a>,
    names: &'a PreloadedNames,
    run_id: i64,
}

/// The pages cannot be read: SQLite has to.
pub(crate) struct Fallback;

impl<'a> LookUp<'a> {
    /// A row of the run with its names, if there is one.
    pub(crate) fn get(&mut self, id: u64) -> Result<Option<(RawSpan, Named<'a>)>, Fallback> {
        let (run_id, columns) = (self.run_id, Columns::Entries);
        let wanted = PageQuery { run_id, columns, callsites: None, parents: None };
        let Some(raw) = self.rows.get(id as i64, &wanted).map_err(|_| Fallback)? else {
            return Ok(None);
        };
        Ok(Some((raw, self.names.of_row(&raw).ok_or(Fallback)?)))
    }
}

/// What the threads share.
struct Shared<'a, S> {
    table: &'a SpanPages<'a>,
    names: &'a PreloadedNames,
    scan: &'a Scan,
    query: PageQuery<'a>,
    sums: &'a S,
    rows_max: u32,
    parts: Mutex<std::vec::IntoIter<Range>>,
    /// Ranges that were not read.
    left: Mutex<Vec<Range>>,
    pause: Pause,
    /// Rows that were read since the transaction began.
    looked_at: AtomicU64,
    /// No more pages may be read.
    is_over: AtomicBool,
    is_full: AtomicBool,
}

impl Reader {
    /// Sums up the rows of some ranges, in parts of `leaves` leaves. Gives the partial sums, and the ranges that were
    /// not read, in order. `None`: one thread has to read all of them.
    pub(crate) fn scan_side_by_side<S: Sums>(
        &self,
        scan: &Scan,
        (ranges, leaves): (&[Range], usize),
        callsites: Option<&[i64]>,
        sums: &S,
    ) -> Result<Option<SideBySide<S::Partial>>, Error> {
        let ahead = self.ahead();
        if ahead.folding == 0 {
            return Ok(None);
        }
        let doing = "read the spans";
        let tx = self.begin()?;
        let table = SpanPages::of(&tx, || self.pages(&tx)).context(self.path(), doing)?;
        let Some(table) = table else { return Ok(None) };
        let cut = |range: &Range| table.rows().parts(*range, leaves);
        let parts: Option<Vec<_>> = ranges.iter().map(cut).collect();
        let parts: Vec<Range> = parts.unwrap_or_default().concat();
        if parts.len() < PARTS_MIN {
            return Ok(None);
        }
        let names = PreloadedNames::of(&tx, scan.run_id).context(self.path(), doing)?;
        let Some(names) = names else { return Ok(None) };
        let mut version = data_version(&tx).context(self.path(), doing)?;
        let callsites = callsites.map(Callsites::new);
        let query = PageQuery {
            run_id: scan.run_id,
            columns: scan.columns,
            callsites: callsites.as_ref(),
            parents: None,
        };
        let shared = Shared {
            table: &table,
            names: &names,
            scan,
            query,
            sums,
            rows_max: ahead.rows,
            parts: Mutex::new(parts.into_iter()),
            left: Mutex::new(Vec::new()),
            pause: Pause::new(),
            looked_at: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
        };
        let mut error = None;
        let mut tx = Some(tx);
        let mut all = thread::scope(|scope| {
            let threads: Vec<_> = (0..ahead.folding)
                .map_while(|_| {
                    let work = || shared.work(|| ());
                    thread::Builder::new().spawn_scoped(scope, work).ok()
                })
                .collect();
            let partial = shared.work(|| {
                if shared.looked_at.load(Ordering::Relaxed) < ROWS_OF_TRANSACTION {
                    return;
                }
                // No thread reads during the pause, so none counts.
                let _paused = shared.pause.begin();
                shared.looked_at.store(0, Ordering::Relaxed);
                tx = None;
                let is_same = self.begin().and_then(|next| {
                    let tx = tx.insert(next);
                    let now = data_version(tx).context(self.path(), doing)?;
                    let is_same = now == version && self.pages(tx).is_some();
                    version = now;
                    Ok(is_same)
                });
                if !matches!(is_same, Ok(true)) {
                    shared.is_over.store(true, Ordering::Relaxed);
                    error = error.take().or(is_same.err());
                }
            });
            let mut all = vec![partial];
            for thread in threads {
                match thread.join() {
                    Ok(partial) => all.push(partial),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all
        });
        if let Some(error) = error {
            return Err(error);
        }
        if shared.is_full.into_inner() {
            return Ok(None);
        }
        let mut left = shared.left.into_inner().unwrap_or_else(PoisonError::into_inner);
        left.extend(shared.parts.into_inner().unwrap_or_else(PoisonError::into_inner));
        left.order_by_key(|range| range.after);
        let mut rest = Vec::new();
        left.into_iter().for_each(|range| join(&mut rest, range));
        all.shrink_to_fit();
        Ok(Some((all, rest)))
    }
}

impl<S: Sums> Shared<'_, S> {
    fn next_part(&self) -> Option<Range> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    fn leave(&self, range: Range) {
        if range.after < range.last {
            self.left.lock().unwrap_or_else(PoisonError::into_inner).push(range);
        }
    }

    /// Sums up part after part. `between` is called when this thread reads no page.
    fn work(&self, mut between: impl FnMut()) -> S::Partial {
        let mut partial = self.sums.begin();
        let mut rows = self.table.rows();
        let mut look_up =
            LookUp { rows: self.table.look_up(), names: self.names, run_id: self.query.run_id };
        while let Some(mut part) = self.next_part() {
            loop {
                between();
                let reading = self.pause.reading();
                // Read while no other transaction can begin.
                if self.is_over.load(Ordering::Relaxed) {
                    self.leave(part);
                    return partial;
                }
                let read = rows.read(&mut part, self.rows_max, &self.query, |raw, fields| {
                    // The row was removed from the range already, so its id is given back.
                    let Some(named) = self.names.of_row(raw) else { return Err(raw.id) };
                    let span =
                        named.span(raw, (self.query.run_id, self.query.columns), fields, None);
                    if self.scan.has(&span) {
                        self.sums.add(&mut partial, &span, &mut look_up);
                    }
                    Ok(ControlFlow::Continue(()))
                });
                self.looked_at.fetch_add(rows.looked_at(), Ordering::Relaxed);
                drop(reading);
                if self.sums.is_full(&partial) {
                    self.is_full.store(true, Ordering::Relaxed);
                    self.is_over.store(true, Ordering::Relaxed);
                }
                match read {
                    Ok(Ended::Full) => {}
                    Ok(Ended::Fallback) => {
                        self.leave(part);
                        break;
                    }
                    Ok(Ended::All | Ended::Stopped) => break,
                    Err(id) => {
                        self.leave(Range { after: id.saturating_sub(1), ..part });
                        break;
                    }
                }
            }
        }
        partial
    }
}
