//! Spans in which nothing tells which one they are: what can be verified is the shape of their trees.
//!
//! Each span has the parent and the root that its place in a tree asks for; with nothing dropped there
//! are as many at each depth as there were trees. One pass in the order of the ids, and eight bytes
//! a span: a load of a minute at a million a second has sixty million.

use rusqlite::Connection;

use crate::faults::{Check, Faults};
use crate::progress::Rows;
use crate::report::group;
use crate::sent::Sent;
use crate::settings::Load;
use crate::workload::DEPTH_MAX;

/// What was found so far, by id: parents have smaller ids than their children.
struct Found {
    first: i64,
    /// The root's distance from the first id, and in the lower bits the level, counted from one; 0 for
    /// an id that no row has.
    positions: Vec<u64>,
}

const LEVEL_BITS: u32 = 8;

impl Found {
    /// Level and root of a span.
    fn get(&self, id: i64) -> Option<(usize, i64)> {
        let position = *self.positions.get(usize::try_from(id - self.first).ok()?)?;
        let level = (position & ((1 << LEVEL_BITS) - 1)) as usize;
        Some((level.checked_sub(1)?, self.first + (position.cast_signed() >> LEVEL_BITS)))
    }

    fn push(&mut self, id: i64, level: usize, root: i64) {
        self.positions.resize((id - self.first) as usize, 0);
        // A root that was dropped may lie before the first id; it is told from others all the same.
        let root = (root - self.first) as u64;
        self.positions.push(root << LEVEL_BITS | (level as u64 + 1));
    }
}

pub(crate) fn check(
    conn: &Connection,
    run: i64,
    load: &Load,
    sent: &Sent,
    looked: &mut Rows<'_>,
) -> rusqlite::Result<Check> {
    let mut faults = Faults::default();
    let mut found: Option<Found> = None;
    let mut levels = [0_u64; DEPTH_MAX];
    let (mut links, mut missing) = (0_u64, 0_u64);
    let mut select = conn.prepare(
        "SELECT id, parent_id, root_id, fields IS NULL FROM span WHERE run_id = ?1 ORDER BY id",
    )?;
    let mut rows = select.query([run])?;
    while let Some(row) = rows.next()? {
        let (id, parent, root) = (row.get(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?);
        let found = found.get_or_insert_with(|| Found { first: id, positions: Vec::new() });
        looked.add(2);
        if !row.get::<_, bool>(3)? {
            faults.add(format_args!("span {id} has fields, and none were sent"));
        }
        let level = match parent.map(|parent| (parent, found.get(parent))) {
            None if root == id => 0,
            None => {
                faults.add(format_args!("span {id} is a root, but {root} is said to be"));
                0
            }
            Some((_, Some((level, others)))) if root == others => {
                links += 1;
                level + 1
            }
            Some((parent, Some(_))) => {
                faults.add(format_args!("span {id} has another root than its parent {parent}"));
                0
            }
            // It was dropped; how deep this one lies, nobody knows.
            Some((_, None)) => {
                missing += 1;
                1
            }
        };
        match levels.get_mut(level) {
            Some(spans) if level < load.depth => *spans += 1,
            _ => faults.add(format_args!("span {id} lies deeper than any that was sent")),
        }
        found.push(id, level.min(DEPTH_MAX), root);
    }
    let stored: u64 = levels.iter().sum();
    let shape = format!("{} spans, each below the right parent, if it has one", group(stored));
    if stored < sent.spans {
        let links = group(links);
        return Ok(faults.check(format!("{shape}, {links} of them, and {missing} to dropped ones")));
    }
    let trees = sent.trees_in_all();
    if missing > 0 || levels[..load.depth].iter().any(|spans| *spans != trees) {
        faults
            .add(format_args!("of {trees} trees there are, by depth, {:?}", &levels[..load.depth]));
    }
    Ok(faults.check(shape))
}
