//! Making the sums, in one pass over the spans of each run.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use rusqlite::{Transaction, params};

use crate::indexes::{self, PATH_SUMS, PATHS, ZONES};
use crate::order_rows::OrderRows as _;
use crate::reader::Reader;
use crate::stacks::tree::{Frame, StackTree, Sums};
use crate::sum_tables::{PATH_SUMS_SQL, PATHS_SQL};
use crate::zone_lookup::touched_zones;
use crate::{Scan, SpanRef, Stacks};
use spandrel_storage::Error;
use spandrel_storage::internals::Context;
use spandrel_storage::internals::FastHashMap;

/// A run may have this many sums, and one more for each of so many spans.
const SUMS_MIN: u64 = 16_384;
const SPANS_A_SUM: u64 = 8;

/// Makes the tables of a profile that has zones; `say` is told how many spans were read.
pub(crate) fn make(
    reader: &Reader,
    tx: &Transaction<'_>,
    mut say: impl FnMut(u64),
) -> Result<(), Error> {
    let (path, doing) = (reader.path(), "add up the paths");
    indexes::drop_path_sums(tx).context(path, doing)?;
    tx.execute_batch(&format!("{PATHS_SQL}; {PATH_SUMS_SQL}")).context(path, doing)?;
    let mut read = 0;
    for run in reader.runs()? {
        let scan = Scan::new(run.id);
        let Some(zones) = touched_zones(tx, &scan).context(path, doing)? else { continue };
        let mut adding = PathSumsBuilder {
            tx,
            zones: zones.iter().map(|zone| (zone.first_id, zone.last_id)).collect(),
            sums: FastHashMap::default(),
            spans: 0,
            rows: 0,
        };
        let mut stacks = Stacks::new(reader, run.id)?;
        let mut added = Ok(());
        reader.scan(&scan, |span| {
            read += 1;
            if read % 65_536 == 0 {
                say(read);
            }
            added = adding.add(span, &mut stacks, reader);
            if adding.are_few() && added.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        added?;
        adding.insert_zone().context(path, doing)?;
        let tree = stacks.finish()?;
        let is_cut = tree.nodes().iter().any(|node| node.frame == Frame::Cut);
        let written = if adding.are_few() && !is_cut {
            insert_paths(tx, run.id, &tree)
        } else {
            delete_sums(tx, run.id)
        };
        written.context(path, doing)?;
    }
    Ok(())
}

/// The sums of a run while they are made.
struct PathSumsBuilder<'a> {
    tx: &'a Transaction<'a>,
    /// First and last ids of the zones that are not written yet; the current one first.
    zones: VecDeque<(i64, i64)>,
    /// The sums of the current zone, by path.
    sums: FastHashMap<u32, Sums>,
    spans: u64,
    rows: u64,
}

impl PathSumsBuilder<'_> {
    /// Whether there are few enough sums to be useful.
    fn are_few(&self) -> bool {
        self.rows <= SUMS_MIN + self.spans / SPANS_A_SUM
    }

    fn add(
        &mut self,
        span: &SpanRef<'_>,
        stacks: &mut Stacks<'_>,
        reader: &Reader,
    ) -> Result<(), Error> {
        while self.zones.front().is_some_and(|(_, last)| span.id > last.unsigned_abs()) {
            self.insert_zone().context(reader.path(), "write sums")?;
        }
        let path = stacks.assign(span)?;
        self.sums.entry(path).or_default().count(span);
        self.spans += 1;
        Ok(())
    }

    /// Writes the sums of the current zone.
    fn insert_zone(&mut self) -> rusqlite::Result<()> {
        let Some((first_id, _)) = self.zones.pop_front() else { return Ok(()) };
        let sql = format!("INSERT INTO {PATH_SUMS} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
        let mut insert = self.tx.prepare(&sql)?;
        let mut sums: Vec<_> = self.sums.drain().collect();
        sums.order_by_key(|(path, _)| *path);
        self.rows += sums.len() as u64;
        for (path, sums) in sums {
            insert.execute(params![
                first_id,
                path,
                sums.unfinished as i64,
                sums.calls as i64,
                sums.errors as i64,
                sums.wall_ns,
                sums.busy_ns,
                sums.self_ns,
            ])?;
        }
        Ok(())
    }
}

fn insert_paths(tx: &Transaction<'_>, run_id: i64, tree: &StackTree) -> rusqlite::Result<()> {
    let mut insert = tx.prepare(&format!("INSERT INTO {PATHS} VALUES (?1, ?2, ?3, ?4, ?5)"))?;
    for (id, node) in tree.nodes().iter().enumerate() {
        let callsite_id = node.frame.callsite().map(|callsite| callsite.id);
        let lives_long = matches!(node.frame, Frame::Entries { .. });
        let parent = node.parent.map(|parent| parent as i64);
        insert.execute(params![run_id, id as i64, parent, callsite_id, lives_long])?;
    }
    Ok(())
}

/// Deletes the sums of a run.
fn delete_sums(tx: &Transaction<'_>, run_id: i64) -> rusqlite::Result<()> {
    let of_run = format!("SELECT first_id FROM {ZONES} WHERE run_id = ?1");
    tx.execute(&format!("DELETE FROM {PATH_SUMS} WHERE first_id IN ({of_run})"), [run_id])?;
    Ok(())
}
