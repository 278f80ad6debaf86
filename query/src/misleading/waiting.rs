//! Spans that were open for long and hardly ever entered: their self time is waiting.
//!
//! A span that is entered a few times counts by its lifetime, like a request that waits for a database. So does a
//! connection that hardly anything comes through: ten thousand of them, idle for four seconds, have eleven hours of
//! self time. Sums of the whole run tell which name may be of that kind, and samples of its spans tell whether it is.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::{ids, starting_points};
use crate::reader::{Callsite, CountedBy, Reader};
use spandrel_storage::Error;

/// How many rows are read from each starting point.
const ROWS: i64 = 1_024;
/// How long such a span was open, at least ...
const OPEN_NS_MIN: i64 = 1_000_000_000;
/// ... and at most one part in this many of that time was spent inside.
const OPEN_PER_BUSY: i64 = 100;
/// The share of the self time of all calls from which on it misleads.
const SELF_SHARE_MIN: f64 = 0.25;

/// A name whose self time is mostly waiting, and a large part of all self time.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MostlyWaiting {
    /// Their name.
    pub name: String,
    /// Their target.
    pub target: String,
    /// How many have closed, of those that count by their lifetime.
    pub spans: u64,
    /// How long they were open in sum, ...
    pub open_ns: i64,
    /// ... how long threads were inside, ...
    pub busy_ns: i64,
    /// ... and their self time.
    pub self_ns: i64,
    /// Its share of the self time of all calls.
    pub self_share: f64,
}

/// The closed spans of a name that count by their lifetime, in sum.
struct Name {
    callsites: Vec<Arc<Callsite>>,
    spans: u64,
    open_ns: i64,
    busy_ns: Option<i64>,
    self_ns: i64,
    max_ns: i64,
}

/// Self time of a name among the sampled rows.
#[derive(Default)]
struct SampledSelfTime {
    self_ns: i64,
    waiting_ns: i64,
}

impl Reader {
    /// The name with the most self time, if that is a quarter of all or more and most of it is in spans that were
    /// open for over a second, entered more than once, and inside for at most a hundredth of that.
    ///
    /// # Blocking
    ///
    /// As [`top`](Self::top); where the sums say that there may be such a name, some 70,000 rows more at most,
    /// whatever the length of the run.
    pub fn mostly_waiting(&self, run_id: i64) -> Result<Option<MostlyWaiting>, Error> {
        let (mut names, all_self_ns) = self.names_by_lifetime(run_id)?;
        let share = |name: &Name| name.self_ns as f64 / (all_self_ns as f64).max(1.0);
        names.retain(|name| {
            let is_long = name.max_ns >= OPEN_NS_MIN && name.busy_ns.is_some();
            is_long && share(name) >= SELF_SHARE_MIN
        });
        if names.is_empty() {
            return Ok(None);
        }
        let looked = self.query("look for spans that wait", |tx| look(tx, run_id, &names))?;
        let found = names.into_iter().zip(looked);
        let found = found.filter(|(_, looked)| looked.waiting_ns > looked.self_ns / 2);
        let most = found.map(|(name, _)| name).max_by_key(|name| name.self_ns);
        Ok(most.and_then(|name| {
            let callsite = name.callsites.first()?;
            Some(MostlyWaiting {
                name: callsite.name.clone(),
                target: callsite.target.to_string(),
                spans: name.spans,
                open_ns: name.open_ns,
                busy_ns: name.busy_ns?,
                self_ns: name.self_ns,
                self_share: share(&name),
            })
        }))
    }

    /// By name and target; and the self time of all calls.
    fn names_by_lifetime(&self, run_id: i64) -> Result<(Vec<Name>, i64), Error> {
        let mut all_self_ns = 0_i64;
        let mut names: HashMap<(String, Arc<str>), Name> = HashMap::new();
        for top in self.top(run_id, usize::MAX)? {
            all_self_ns = all_self_ns.saturating_add(top.self_ns);
            if top.counted != CountedBy::Lifetime {
                continue;
            }
            let key = (top.callsite.name.clone(), top.callsite.target.clone());
            let name = names.entry(key).or_insert_with(|| Name {
                callsites: Vec::new(),
                spans: 0,
                open_ns: 0,
                busy_ns: Some(0),
                self_ns: 0,
                max_ns: 0,
            });
            name.callsites.push(top.callsite);
            name.spans = name.spans.saturating_add(top.spans);
            name.open_ns = name.open_ns.saturating_add(top.sum_ns);
            name.busy_ns = name.busy_ns.zip(top.busy_ns).map(|(sum, ns)| sum.saturating_add(ns));
            name.self_ns = name.self_ns.saturating_add(top.self_ns);
            name.max_ns = name.max_ns.max(top.max_ns);
        }
        Ok((names.into_values().collect(), all_self_ns))
    }
}

/// Samples spans of these names.
fn look(tx: &Connection, run_id: i64, names: &[Name]) -> rusqlite::Result<Vec<SampledSelfTime>> {
    let mut looked: Vec<SampledSelfTime> =
        names.iter().map(|_| SampledSelfTime::default()).collect();
    let of_callsite: HashMap<i64, usize> = names
        .iter()
        .enumerate()
        .flat_map(|(at, name)| name.callsites.iter().map(move |callsite| (callsite.id, at)))
        .collect();
    let Some((first, last)) = ids(tx, run_id)? else { return Ok(looked) };
    let mut find = tx.prepare(
        "SELECT id, callsite_id, duration_ns, coalesce(busy_ns, 0), coalesce(self_ns, 0), entries
         FROM span WHERE id BETWEEN ?1 AND ?2 AND run_id = ?4 ORDER BY id LIMIT ?3",
    )?;
    let mut seen = first.saturating_sub(1);
    for start in starting_points(first, last) {
        let mut rows =
            find.query(params![start.max(seen.saturating_add(1)), last, ROWS, run_id])?;
        while let Some(row) = rows.next()? {
            seen = seen.max(row.get(0)?);
            let at = of_callsite.get(&row.get::<_, i64>(1)?);
            let Some(looked) = at.and_then(|at| looked.get_mut(*at)) else { continue };
            let open_ns = row.get::<_, Option<i64>>(2)?.unwrap_or(0);
            let (busy_ns, self_ns, entries): (i64, i64, i64) =
                (row.get(3)?, row.get(4)?, row.get(5)?);
            looked.self_ns = looked.self_ns.saturating_add(self_ns);
            let is_waiting = open_ns >= OPEN_NS_MIN
                && entries > 1
                && busy_ns.saturating_mul(OPEN_PER_BUSY) <= open_ns;
            if is_waiting {
                looked.waiting_ns = looked.waiting_ns.saturating_add(self_ns);
            }
        }
    }
    Ok(looked)
}

#[cfg(test)]
mod tests {
    use spandrel_storage::SpanRow;

    use super::*;
    use crate::test_profile::TestProfile;

    const MS: i64 = 1_000_000;

    /// Spans of one name, each open for so long, inside for so long and entered so often; and a second of work.
    fn found(spans: &[(u64, i64, i64, u64)]) -> Option<MostlyWaiting> {
        let mut profile = TestProfile::new();
        let [connection, work] =
            ["connection", "work"].map(|name| profile.callsite(name, "app", 1));
        profile.add(TestProfile::span(1, work, 0, 1_000 * MS), "");
        let mut id = 1;
        for (times, open_ns, busy_ns, entries) in spans {
            for _ in 0..*times {
                id += 1;
                let span = TestProfile::span(id, connection, 0, *open_ns);
                let last_exit_ns = (*entries > 1).then_some(*open_ns);
                profile.add(
                    SpanRow { busy_ns: Some(*busy_ns), entries: *entries, last_exit_ns, ..span },
                    "",
                );
            }
        }
        profile.reader().mostly_waiting(1).unwrap()
    }

    #[test]
    fn connections_that_hardly_anything_comes_through_are_found() {
        let found = found(&[(5_000, 4_000 * MS, 4 * MS, 40)]).unwrap();
        assert_eq!(
            (found.name.as_str(), found.target.as_str(), found.spans),
            ("connection", "app", 5_000)
        );
        assert_eq!((found.open_ns, found.busy_ns), (20_000_000 * MS, 20_000 * MS));
        assert!((0.9999..1.0).contains(&found.self_share));
    }

    #[test]
    fn what_works_or_is_short_or_is_entered_once_or_is_little_is_none() {
        assert_eq!(found(&[(100, 4_000 * MS, 41 * MS, 40)]), None, "inside for more than 1 %");
        assert_eq!(found(&[(9_000, 999 * MS, MS, 40)]), None, "open for less than a second");
        assert_eq!(found(&[(100, 4_000 * MS, MS, 1)]), None, "entered once");
        assert_eq!(
            found(&[(1, 1_000 * MS, MS, 5), (1, 4_000 * MS, 2_000 * MS, 5)]),
            None,
            "few of them"
        );
        assert_eq!(found(&[]), None);
    }
}
