//! Long-lived spans that count by their lifetime, since their entries were not recorded.

use rusqlite::params;

use super::named;
use crate::reader::Reader;
use spandrel_storage::Error;

/// Long-lived spans of a callsite; they would count by their entries if those were recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LongByLifetime {
    /// Their name.
    pub name: String,
    /// Their target.
    pub target: String,
    /// How many there are: closed ones, and those that are open.
    pub spans: u64,
    /// How often they were entered.
    pub entries: u64,
    /// Self time of the closed ones.
    pub self_ns: i64,
}

impl Reader {
    /// The spans of a run that count by their lifetime although they were entered over a thousand times, or a hundred
    /// times until they were a second old; by callsite, most self time first.
    ///
    /// # Blocking
    ///
    /// Reads the rows of the run: some 0.1 s for a million.
    pub fn long_by_lifetime(&self, run_id: i64) -> Result<Vec<LongByLifetime>, Error> {
        // Without busy times the last exit is not known.
        let sql =
            "WITH counted AS (SELECT DISTINCT callsite_id FROM entry_rollup WHERE run_id = ?1),
             long(callsite_id, entries, self_ns, age_ns) AS (
               SELECT callsite_id, entries, self_ns, coalesce(last_exit_ns, duration_ns) FROM span
               WHERE id BETWEEN (SELECT first_id FROM run WHERE id = ?1)
                 AND (SELECT last_id FROM run WHERE id = ?1) AND run_id = ?1 AND entries >= 100
                 AND duration_ns IS NOT NULL AND self_ns IS NOT NULL
               UNION ALL
               SELECT callsite_id, entries, 0, seen_ns - start_ns FROM open_span
               WHERE run_id = ?1 AND entries >= 100 AND id NOT IN (SELECT id FROM span))
             SELECT callsite_id, count(*), sum(entries), sum(self_ns) FROM long
             WHERE (age_ns >= ?2 OR entries > 1000) AND callsite_id NOT IN (SELECT * FROM counted)
             GROUP BY callsite_id ORDER BY 4 DESC, 1";
        self.query("look for what lives long", |tx| {
            let mut query = tx.prepare(sql)?;
            let mut rows = query.query(params![run_id, 1_000_000_000_i64])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                let (name, target) = named(tx, row.get(0)?)?;
                let (spans, entries): (i64, i64) = (row.get(1)?, row.get(2)?);
                let (spans, entries) = (spans.unsigned_abs(), entries.unsigned_abs());
                all.push(LongByLifetime { name, target, spans, entries, self_ns: row.get(3)? });
            }
            Ok(all)
        })
    }
}

#[cfg(test)]
mod tests {
    use spandrel_storage::SpanRow;

    use crate::test_profile::TestProfile;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn spans_that_would_count_by_their_entries_are_found() {
        let mut profile = TestProfile::new();
        let [actor, frame, request, connection] = ["actor", "frame", "request", "connection"]
            .map(|name| profile.callsite(name, "app", 1));
        let mut id = 0;
        let mut add = |callsite, open_ns, entries, last_exit_ns, self_ns| {
            id += 1;
            let row = TestProfile::span(id, callsite, 0, open_ns);
            profile.add(SpanRow { entries, last_exit_ns, self_ns, ..row }, "");
        };
        add(actor, 9 * SECOND, 100, Some(SECOND), Some(SECOND));
        add(actor, 9 * SECOND, 100, None, Some(9 * SECOND));
        add(frame, SECOND / 2, 1_001, Some(SECOND / 2), Some(SECOND / 2));
        // Of those some count by their entries, so it is for another reason that others do not.
        add(connection, 9 * SECOND, 900, Some(9 * SECOND), None);
        add(connection, 9 * SECOND, 900, Some(9 * SECOND), Some(9 * SECOND));
        // Too few entries, or too early.
        add(request, 9 * SECOND, 99, Some(9 * SECOND), Some(9 * SECOND));
        add(request, SECOND / 2, 1_000, Some(SECOND / 2), Some(SECOND / 2));
        add(request, 9 * SECOND, 1_000, Some(SECOND - 1), Some(SECOND - 1));
        let found = profile.reader().long_by_lifetime(1).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.name.as_str(), one.spans, one.entries, one.self_ns))
            .collect();
        assert_eq!(found, [("actor", 2, 200, 10 * SECOND), ("frame", 1, 1_001, SECOND / 2)]);
    }
}
