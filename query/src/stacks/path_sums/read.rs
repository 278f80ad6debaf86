//! Stacks from sums by path, where there are any.

use rusqlite::types::Type;
use rusqlite::{Row, Transaction, params};

use crate::id_range::{Range, join};
use crate::indexes::{self, PATH_SUMS, PATHS};
use crate::reader::{Names, Reader};
use crate::stacks::builder::TOP;
use crate::stacks::tree::{Frame, Sums};
use crate::zone_lookup::touched_zones;
use crate::{Scan, Stacks};
use spandrel_storage::Error;
use spandrel_storage::internals::Context;

/// The part of a scan that sums cover, and the rest.
struct PathSums {
    /// By number; some paths have no span in the scan.
    paths: Vec<Path>,
    /// Ranges to be read span by span.
    rest: Vec<Range>,
}

struct Path {
    parent: Option<usize>,
    frame: Frame,
    sums: Option<Sums>,
}

impl Reader {
    /// Counts all calls of a scan by path: spans, from sums where there are any, and the entries of long-lived spans.
    ///
    /// # Blocking
    ///
    /// As [`scan_calls`](Self::scan_calls); of a profile with indexes, some ten milliseconds for a million
    /// spans.
    pub fn add_stacks(&self, scan: &Scan, stacks: &mut Stacks<'_>) -> Result<(), Error> {
        self.add_stacks_of_spans(scan, stacks)?;
        self.add_entries(scan, |entry| stacks.add(entry))
    }

    /// Counts the spans of a scan, without entries.
    #[doc(hidden)]
    pub fn add_stacks_of_spans(&self, scan: &Scan, stacks: &mut Stacks<'_>) -> Result<(), Error> {
        let found = if scan.ids.is_none() { self.path_sums(scan)? } else { None };
        let Some(PathSums { mut paths, rest }) = found else {
            if self.add_stacks_side_by_side(scan, stacks)? {
                return Ok(());
            }
            return self.scan(scan, |span| stacks.add(span));
        };
        self.scan_ranges(scan, rest, &mut (), |(), span| stacks.add(span))?;
        // The paths above a wanted path are needed, too.
        for at in (0..paths.len()).rev() {
            let Some(Path { parent: Some(parent), sums: Some(_), .. }) = paths.get(at) else {
                continue;
            };
            let parent = *parent;
            if let Some(above) = paths.get_mut(parent) {
                above.sums.get_or_insert_default();
            }
        }
        let mut nodes = Vec::with_capacity(paths.len());
        for Path { parent, frame, sums } in &paths {
            let above = parent.and_then(|parent| nodes.get(parent).copied()).unwrap_or(TOP);
            let node = match sums {
                Some(sums) => stacks.assigner.tree.merge_child(above, frame, sums),
                None => TOP,
            };
            nodes.push(node);
        }
        Ok(())
    }

    /// Whether [`add_stacks`](Self::add_stacks) need not read every span of a run.
    #[doc(hidden)]
    pub fn has_path_sums(&self, run_id: i64) -> Result<bool, Error> {
        let tx = self.begin()?;
        let read = || -> rusqlite::Result<bool> {
            let sql = format!("SELECT EXISTS (SELECT 1 FROM {PATHS} WHERE run_id = ?1)");
            Ok(indexes::present(&tx)?.paths && tx.query_row(&sql, [run_id], |row| row.get(0))?)
        };
        read().context(self.path(), "look for sums by path")
    }

    /// `None` when the run has no sums by path.
    fn path_sums(&self, scan: &Scan) -> Result<Option<PathSums>, Error> {
        let tx = self.begin()?;
        let read = || -> rusqlite::Result<Option<PathSums>> {
            if !indexes::present(&tx)?.paths {
                return Ok(None);
            }
            let (mut paths, mut rest, mut inside) = (paths(&tx, scan.run_id)?, vec![], vec![]);
            if paths.is_empty() {
                return Ok(None);
            }
            for zone in touched_zones(&tx, scan)?.unwrap_or_default() {
                join(if zone.is_inside { &mut inside } else { &mut rest }, zone.range());
            }
            for zones in inside {
                add_zones(&tx, zones, &mut paths)?;
            }
            Ok(Some(PathSums { paths, rest }))
        };
        read().context(self.path(), "read the sums by path")
    }
}

/// The paths of a run by number, each behind its parent.
fn paths(tx: &Transaction<'_>, run_id: i64) -> rusqlite::Result<Vec<Path>> {
    let mut names = Names::new(tx)?;
    let lives_long = if indexes::knows_long_paths(tx)? { "lives_long" } else { "0" };
    let mut query = tx.prepare(&format!(
        "SELECT id, parent_id, callsite_id, {lives_long} FROM {PATHS} WHERE run_id = ?1 ORDER BY id"
    ))?;
    let mut rows = query.query([run_id])?;
    let mut paths: Vec<Path> = Vec::new();
    while let Some(row) = rows.next()? {
        let number = |at: usize| -> rusqlite::Result<Option<usize>> {
            Ok(row.get::<_, Option<i64>>(at)?.and_then(|id| usize::try_from(id).ok()))
        };
        let (id, parent) = (number(0)?, number(1)?);
        if id != Some(paths.len()) || parent.is_some_and(|parent| parent >= paths.len()) {
            return Err(damaged("a path that is not behind its parent"));
        }
        let frame = match row.get::<_, Option<i64>>(2)? {
            Some(callsite_id) => {
                let callsite = names.callsite(callsite_id)?;
                if row.get(3)? { Frame::of_entries(&callsite) } else { Frame::Span(callsite) }
            }
            None => Frame::MissingParent,
        };
        paths.push(Path { parent, frame, sums: None });
    }
    Ok(paths)
}

/// Adds up the zones of a range.
fn add_zones(tx: &Transaction<'_>, zones: Range, paths: &mut [Path]) -> rusqlite::Result<()> {
    let mut query = tx.prepare(&format!(
        "SELECT path_id, unfinished, calls, errors, sum_ns, busy_ns, self_ns
         FROM {PATH_SUMS} WHERE first_id > ?1 AND first_id <= ?2"
    ))?;
    let mut rows = query.query(params![zones.after, zones.last])?;
    while let Some(row) = rows.next()? {
        let path: i64 = row.get(0)?;
        let path = usize::try_from(path).ok().and_then(|path| paths.get_mut(path));
        let path = path.ok_or_else(|| damaged("a sum of a path that is not there"))?;
        path.sums.get_or_insert_default().merge(&sums(row)?, false);
    }
    Ok(())
}

fn damaged(how: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Integer, how.into())
}

fn sums(row: &Row<'_>) -> rusqlite::Result<Sums> {
    let count = |at: usize| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.unsigned_abs());
    Ok(Sums {
        unfinished: count(1)?,
        calls: count(2)?,
        errors: count(3)?,
        wall_ns: row.get(4)?,
        busy_ns: row.get(5)?,
        self_ns: row.get(6)?,
    })
}
