//! Which span of the load each stored row is.

use rusqlite::Connection;
use serde_json::{Map, Value};

use crate::workload::{Unit, Values};

/// A row whose unit nobody knows: it has no fields, and the event of its tree was dropped.
const UNKNOWN: u64 = u64::MAX;

/// The stored rows by id, each with the unit it holds.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    rows: Vec<(i64, u64)>,
}

impl Stored {
    /// Rows must come in the order of their ids.
    pub(crate) fn push(&mut self, id: i64, unit: Option<u64>) {
        self.rows.push((id, unit.unwrap_or(UNKNOWN)));
    }

    /// The outer `None`: no row with this id. The inner: its unit is not known.
    pub(crate) fn unit(&self, id: i64) -> Option<Option<u64>> {
        let unit = self.rows[self.position(id)?].1;
        Some((unit != UNKNOWN).then_some(unit))
    }

    fn position(&self, id: i64) -> Option<usize> {
        self.rows.binary_search_by_key(&id, |row| row.0).ok()
    }

    /// Spans without fields are known by the event of their tree: its span is the innermost, and
    /// the others follow from parent to parent. A wrong parent shows when all links are compared.
    pub(crate) fn name_by_events(&mut self, conn: &Connection, run: i64) -> rusqlite::Result<()> {
        // In the order of `rows`.
        let parents = conn
            .prepare("SELECT parent_id FROM span WHERE run_id = ?1 ORDER BY id")?
            .query_map([run], |row| row.get(0))?
            .collect::<Result<Vec<Option<i64>>, _>>()?;
        let mut events = conn.prepare("SELECT span_id, fields FROM event WHERE run_id = ?1")?;
        let mut rows = events.query([run])?;
        while let Some(row) = rows.next()? {
            let mut span: Option<i64> = row.get(0)?;
            let Some(innermost) = unit_of(&fields(row.get(1)?)) else { continue };
            for level in (0..=Unit::from_code(innermost).level).rev() {
                let Some(at) = span.and_then(|id| self.position(id)) else { break };
                self.rows[at].1 = Unit { level, ..Unit::from_code(innermost) }.code();
                span = parents[at];
            }
        }
        Ok(())
    }

    /// The units of all rows, as far as they are known.
    pub(crate) fn units(&self) -> impl Iterator<Item = (i64, u64)> + '_ {
        self.rows.iter().copied().filter(|(_, unit)| *unit != UNKNOWN)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

/// The JSON object in a column `fields`; what is none counts as empty.
pub(crate) fn fields(text: Option<String>) -> Map<String, Value> {
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

pub(crate) fn unit_of(fields: &Map<String, Value>) -> Option<u64> {
    fields.get("unit")?.as_u64()
}

/// The first `count` fields as they stand in the row; `None` if one is missing, has another type,
/// or if there are more.
pub(crate) fn values_of(fields: &Map<String, Value>, count: usize) -> Option<Values<'_>> {
    let names = ["unit", "amount", "item", "ratio", "hit", "size"];
    let exact =
        fields.len() == count && names[..count].iter().all(|name| fields.contains_key(*name));
    if !exact {
        return None;
    }
    let mut values = Values::default();
    for (name, value) in fields {
        match name.as_str() {
            "unit" => values.unit = value.as_u64()?,
            "amount" => values.amount = value.as_i64()?,
            "item" => values.item = value.as_str()?,
            "ratio" => values.ratio = value.as_f64()?,
            "hit" => values.hit = value.as_bool()?,
            _ => values.size = value.as_u64()?,
        }
    }
    Some(values)
}

/// The units that have been met, a bit each.
#[derive(Debug)]
pub(crate) struct Met {
    /// By lane.
    bits: Vec<Vec<u64>>,
    trees: Vec<u64>,
    /// Levels of a tree.
    depth: usize,
}

impl Met {
    /// For what was sent: so many trees on each lane.
    pub(crate) fn new(trees: &[u64], depth: usize) -> Self {
        let words = |trees: &u64| vec![0; (*trees as usize * depth).div_ceil(64)];
        Self { bits: trees.iter().map(words).collect(), trees: trees.to_vec(), depth }
    }

    /// Whether it was sent and is met for the first time; otherwise says what is wrong.
    pub(crate) fn meet(&mut self, code: u64) -> Result<(), &'static str> {
        let (word, bit) = self.bit_of(code).ok_or("was never sent")?;
        if *word & bit != 0 {
            return Err("is stored twice");
        }
        *word |= bit;
        Ok(())
    }

    pub(crate) fn has(&mut self, code: u64) -> bool {
        self.bit_of(code).is_some_and(|(word, bit)| *word & bit != 0)
    }

    fn bit_of(&mut self, code: u64) -> Option<(&mut u64, u64)> {
        let Unit { lane, sequence, level } = Unit::from_code(code);
        if level >= self.depth || sequence >= *self.trees.get(lane)? {
            return None;
        }
        let at = sequence as usize * self.depth + level;
        Some((&mut self.bits[lane][at / 64], 1 << (at % 64)))
    }
}
