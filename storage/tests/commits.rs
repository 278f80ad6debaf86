//! Each row says which commit stored it, and each commit says where its rows are.

use std::path::Path;

use proptest::prelude::*;
use rusqlite::Connection;
use spandrel_storage::{Batch, EventRow, LinkRow, SpanRow, Store, StoreOptions};

use crate::common::{self, callsite, span, store};

/// Stores spans with these ids, an event and a link of each fourth, as one commit.
fn commit(store: &mut Store, ids: &[u64]) {
    let callsite_id = store.intern_callsite(&callsite("work"));
    let thread_id = store.intern_thread(1, 1, Some("main"));
    let mut batch = Batch::default();
    for id in ids {
        // Roots, children of young ones, of old ones, and of one that is open all the time.
        let root_id = match id % 5 {
            0 => *id,
            1 | 2 => (id / 64 * 64).max(1),
            3 => id / 2 + 1,
            _ => 7,
        };
        let parent_id = if root_id == *id { 0 } else { root_id };
        batch.spans.push(SpanRow { root_id, parent_id, ..span(*id, callsite_id, thread_id) });
        if id.is_multiple_of(4) {
            batch.links.push(LinkRow { span_id: *id, follows_id: 1 });
            batch.events.push(EventRow {
                id: id + 1_000_000_000,
                span_id: *id,
                callsite_id,
                thread_id,
                at_ns: *id as i64,
                message: 0..0,
                fields: 0..0,
            });
        }
    }
    store.append(&mut batch).unwrap();
}

fn number(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// What must never be found: a row that is in no range of its commit or in two, a commit or range that
/// counts other rows, or says other times.
const FAULTS: &str = "
    WITH stored (kind, id, batch_id, at_ns, end_ns, duration_ns) AS (
      SELECT 'span', id, batch_id, start_ns, start_ns + duration_ns, duration_ns FROM span
      UNION ALL SELECT 'event', id, batch_id, at_ns, at_ns, NULL FROM event
      UNION ALL SELECT 'link', span_id, batch_id, NULL, NULL, NULL FROM link
      UNION ALL SELECT 'root', root_id, batch_id, NULL, NULL, NULL FROM span WHERE root_id <> id),
    faults (what) AS (
      SELECT 'ranges of ' || kind || id FROM stored AS s WHERE 1 <> (
        SELECT count(*) FROM batch_range AS r WHERE r.batch_id = s.batch_id AND r.kind = s.kind
          AND s.id BETWEEN r.first_id AND r.last_id)
      UNION ALL
      SELECT 'range of ' || r.batch_id || r.kind FROM batch_range AS r
      LEFT JOIN stored AS s ON s.batch_id = r.batch_id AND s.kind = r.kind
        AND s.id BETWEEN r.first_id AND r.last_id
      GROUP BY r.batch_id, r.kind, r.first_id
      HAVING (count(s.id), min(s.id), max(s.id)) <> (r.row_count, r.first_id, r.last_id)
        OR min(s.at_ns) IS NOT r.from_ns
      UNION ALL
      SELECT 'commit ' || b.id FROM batch AS b LEFT JOIN stored AS s ON s.batch_id = b.id
      GROUP BY b.id
      HAVING (b.spans, b.events, b.links) <>
          (sum(s.kind = 'span'), sum(s.kind = 'event'), sum(s.kind = 'link'))
        OR max(s.end_ns) IS NOT b.to_ns OR max(s.duration_ns) IS NOT b.longest_ns
      UNION ALL
      SELECT 'ranges ' || batch_id FROM batch_range GROUP BY batch_id, kind HAVING count(*) > 8)
    SELECT coalesce(group_concat(what), '') FROM faults";

fn faults(path: &Path) -> String {
    Connection::open(path).unwrap().query_row(FAULTS, [], |row| row.get(0)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// In any order, near each other or far apart, through statements or as an image.
    #[test]
    fn rows_and_commits_agree(
        gaps in proptest::collection::vec(prop_oneof![6 => 1_u64..9, 1 => 1_u64..60_000], 10..400),
        seed in any::<u64>(),
        commits in 1_u64..6,
        as_image in any::<bool>(),
    ) {
        let (_folder, path) = common::place();
        let transfer_rows_min = if as_image { 1 } else { usize::MAX };
        let mut store = store(&path, &StoreOptions { transfer_rows_min, ..StoreOptions::default() });
        let mut id = 0;
        let ids: Vec<u64> = gaps.iter().map(|gap| { id += gap; id }).collect();
        for commit_of in 0..commits {
            let mut of_this: Vec<u64> =
                ids.iter().copied().filter(|id| (id ^ seed) % commits == commit_of).collect();
            of_this.sort_unstable_by_key(|id| id.wrapping_mul(seed | 1));
            commit(&mut store, &of_this);
        }
        store.close().unwrap();
        prop_assert_eq!(faults(&path), "");
        prop_assert_eq!(number(&path, "SELECT count(*) FROM span WHERE batch_id IS NULL"), 0);
        let ok: String = Connection::open(&path).unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        prop_assert_eq!(ok, "ok");
    }
}

#[test]
fn numbers_of_commits_never_come_again_whatever_was_deleted() {
    let (_folder, path) = common::place();
    let mut last = 0;
    let mut first_id = 1;
    for delete in ["", "all", "DELETE FROM batch; DELETE FROM run", "DELETE FROM batch_range", ""] {
        let mut store = store(&path, &StoreOptions::default());
        for _ in 0..3 {
            commit(&mut store, &[first_id, first_id + 1]);
            first_id += 2;
        }
        // Nothing that anybody follows.
        store.append(&mut Batch::default()).unwrap();
        store.end_run(1_700_000_009_000_000_000, "{}").unwrap();
        let sql = format!("SELECT min(batch_id) FROM span WHERE id >= {}", first_id - 6);
        assert_eq!(number(&path, &sql), last + 1, "before {delete:?}");
        last = number(&path, "SELECT max(id) FROM batch");
        assert_eq!(number(&path, "SELECT max(last_batch_id) FROM run"), last);
        if delete == "all" {
            while store.prune_before(i64::MAX).unwrap().more {}
        }
        store.close().unwrap();
        if delete == "all" {
            assert_eq!(number(&path, "SELECT count(*) FROM batch"), 0);
            assert_eq!(number(&path, "SELECT count(*) FROM batch_range"), 0);
        } else {
            Connection::open(&path).unwrap().execute_batch(delete).unwrap();
        }
    }
}

#[test]
fn retention_deletes_commits_whose_rows_are_gone_and_no_others() {
    let (_folder, path) = common::place();
    let mut store = store(&path, &StoreOptions::default());
    // Each commit has a straggler of a while ago: spans of a millisecond, one each millisecond.
    for n in 1..=300_u64 {
        let newest = 1_000 + n * 10;
        let ids: Vec<u64> = (newest - 8..newest).chain([n * 3]).collect();
        commit(&mut store, &ids);
    }
    let at_ms = 1_700_000_000_123_456_789 + 2_500 * 1_000_000;
    while store.prune_before(at_ms).unwrap().more {}
    store.close().unwrap();
    assert_eq!(number(&path, "SELECT min(id) >= 2500 FROM span"), 1);
    let of_rows = "SELECT count(*) FROM (SELECT batch_id FROM span UNION SELECT batch_id FROM event
                     UNION SELECT batch_id FROM link)";
    assert_eq!(number(&path, "SELECT count(*) FROM batch"), number(&path, of_rows));
    let lost = "SELECT count(*) FROM span AS s WHERE NOT EXISTS (SELECT 1 FROM batch_range AS r
                  WHERE r.batch_id = s.batch_id AND s.id BETWEEN r.first_id AND r.last_id)";
    assert_eq!(number(&path, lost), 0);
    assert_eq!(
        number(&path, "SELECT count(*) FROM batch_range WHERE last_id < 2000 AND kind <> 'root'"),
        0
    );
}
