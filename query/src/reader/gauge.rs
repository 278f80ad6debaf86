//! Gauges: values that the program has set, as they were sampled.

use std::collections::HashMap;

use rusqlite::params;
use spandrel_storage::{Error, GAUGE_NAME_BYTES_MAX};

use super::Reader;

/// So many gauges are told apart; a recorder has a quarter of it at most. Nobody vouches for a file.
const GAUGES_MAX: usize = 4_096;

/// What a gauge has been in a run, or in a window of it.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Gauge {
    /// What it is called.
    pub name: String,
    /// How often it was sampled.
    pub samples: u64,
    /// How often it was set, as far as there are samples.
    pub updates: u64,
    /// The value of the last sample; `None` if that is not a number.
    pub last: Option<f64>,
    /// When that was, nanoseconds since the start of the run.
    pub last_ns: i64,
    /// The smallest value; `None`: there is none that is a number.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// The mean of the samples that are numbers.
    pub mean: Option<f64>,
    /// The last value in each part of the window; `None` where there is none. As many parts as were asked for.
    pub trend: Vec<Option<f64>>,
}

/// While the rows are read.
#[derive(Debug, Default)]
struct Sums {
    gauge: Gauge,
    numbers: u64,
    sum: f64,
}

impl Sums {
    /// The newest sample comes first.
    fn add(&mut self, at_ns: i64, value: Option<f64>, updates: i64, part: Option<usize>) {
        let gauge = &mut self.gauge;
        gauge.samples += 1;
        gauge.updates = gauge.updates.saturating_add(u64::try_from(updates).unwrap_or(0));
        if gauge.samples == 1 || at_ns > gauge.last_ns {
            (gauge.last, gauge.last_ns) = (value, at_ns);
        }
        let Some(value) = value else { return };
        self.numbers += 1;
        self.sum += value;
        gauge.min = Some(gauge.min.map_or(value, |min| min.min(value)));
        gauge.max = Some(gauge.max.map_or(value, |max| max.max(value)));
        if let Some(place) = part.and_then(|part| gauge.trend.get_mut(part)) {
            place.get_or_insert(value);
        }
    }

    fn end(mut self) -> Gauge {
        if self.numbers > 0 {
            let mean = self.sum / self.numbers as f64;
            self.gauge.mean = Some(mean).filter(|mean| !mean.is_nan());
        }
        self.gauge
    }
}

impl Reader {
    /// The gauges of a run by name, from their samples in the window from `from_ns` to before `until_ns`, which is cut into
    /// so many `parts`. Of the newest samples in the file only so many are looked at, if `most` says so.
    pub fn gauges(
        &self,
        run_id: i64,
        from_ns: i64,
        until_ns: i64,
        parts: usize,
        most: Option<u32>,
    ) -> Result<Vec<Gauge>, Error> {
        let length = i128::from(until_ns) - i128::from(from_ns);
        let part = |at_ns: i64| {
            let into = i128::from(at_ns) - i128::from(from_ns);
            usize::try_from(into * parts as i128 / length.max(1)).ok()
        };
        self.query("read the gauges", |tx| {
            // The first bytes of a name, as a recorder cuts it: it may be anything in a file of somebody else's.
            let mut query = tx.prepare(
                "SELECT substr(name, 1, ?4), at_ns, value, updates FROM
                   (SELECT * FROM gauge ORDER BY id DESC LIMIT ?5)
                 WHERE run_id = ?1 AND at_ns >= ?2 AND at_ns < ?3",
            )?;
            let (name_max, most) = (GAUGE_NAME_BYTES_MAX as i64, most.map_or(-1, i64::from));
            let mut rows = query.query(params![run_id, from_ns, until_ns, name_max, most])?;
            let mut found: HashMap<String, Sums> = HashMap::new();
            while let Some(row) = rows.next()? {
                let name = row.get_ref(0)?.as_str()?;
                let (at_ns, value, updates) = (row.get(1)?, row.get(2)?, row.get(3)?);
                if !found.contains_key(name) {
                    if found.len() >= GAUGES_MAX {
                        continue;
                    }
                    let gauge =
                        Gauge { name: name.into(), trend: vec![None; parts], ..Gauge::default() };
                    found.insert(name.into(), Sums { gauge, ..Sums::default() });
                }
                if let Some(sums) = found.get_mut(name) {
                    sums.add(at_ns, value, updates, part(at_ns));
                }
            }
            let mut gauges: Vec<Gauge> = found.into_values().map(Sums::end).collect();
            gauges.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            Ok(gauges)
        })
    }

    /// How many samples of gauges a run has, and of how many gauges.
    pub fn gauge_counts(&self, run_id: i64) -> Result<(u64, u64), Error> {
        self.query("count the gauges", |tx| {
            let sql = "SELECT count(*), count(DISTINCT name) FROM gauge WHERE run_id = ?1";
            let count = |n: i64| u64::try_from(n).unwrap_or(0);
            tx.query_row(sql, [run_id], |row| Ok((count(row.get(0)?), count(row.get(1)?))))
        })
    }
}
