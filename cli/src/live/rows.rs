//! From sums by callsite to the rows of the table, which are names.

use std::collections::HashMap;
use std::sync::Arc;

use spandrel_query::OrderRows as _;
use spandrel_query::{Callsite, Reader};
use spandrel_storage::Error;

use super::page::{Row, RowKey};
use super::sums::{ByCallsite, Sums, Trends};

#[derive(Debug, Default)]
pub(crate) struct Callsites(HashMap<i64, Arc<Callsite>>);

impl Callsites {
    fn get(&mut self, reader: &Reader, id: i64) -> Result<Arc<Callsite>, Error> {
        if let Some(known) = self.0.get(&id) {
            return Ok(known.clone());
        }
        let found = reader.callsite(id)?;
        self.0.insert(id, found.clone());
        Ok(found)
    }
}

/// The rows, by name. `length_ns` is what rates are of.
pub(crate) fn rows(
    reader: &Reader,
    known: &mut Callsites,
    sums: ByCallsite,
    trends: &Trends,
    length_ns: i64,
) -> Result<Vec<Row>, Error> {
    let mut by_key: HashMap<RowKey, (Vec<Arc<Callsite>>, Sums)> = HashMap::new();
    for ((id, counted), sums) in sums {
        let callsite = known.get(reader, id)?;
        let (name, target) = (callsite.name.clone(), callsite.target.to_string());
        let key = RowKey { name, target, counted };
        let (callsites, total) = by_key.entry(key).or_default();
        callsites.push(callsite);
        total.add(&sums);
    }
    let seconds = length_ns.max(1) as f64 / 1e9;
    let rows = by_key.into_iter().map(|(key, (callsites, sums))| {
        let percentile = |q| {
            let ns = sums.histogram.percentile_up_to(q, sums.max_ns).unwrap_or(0);
            i64::try_from(ns).unwrap_or(i64::MAX)
        };
        let ids: Vec<i64> = callsites.iter().map(|callsite| callsite.id).collect();
        Row {
            p50_ns: percentile(0.5),
            p95_ns: percentile(0.95),
            p99_ns: percentile(0.99),
            rate: sums.calls as f64 / seconds,
            trend: trends.of(&ids, key.counted),
            key,
            callsites,
            sums,
        }
    });
    // A span that lives long can close in a window without an entry of it.
    let has_calls = |row: &Row| row.sums.calls > 0 || row.sums.errors > 0;
    let mut rows: Vec<Row> = rows.filter(has_calls).collect();
    rows.order_by(|one, other| one.key.cmp(&other.key));
    Ok(rows)
}
