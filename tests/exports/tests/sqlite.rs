//! A copy of a part of a profile is a profile.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use rusqlite::Connection;
use spandrel_query::{Reader, Span};
use spandrel_storage::Histogram;
use spandrel_tests_exports::profile::id;
use spandrel_tests_exports::{Made, forests};

fn spans(path: &Path) -> Vec<Span> {
    let mut spans = Vec::new();
    Reader::open(path).unwrap().spans(1, |span| spans.push(span)).unwrap();
    spans
}

/// All but the numbers of callsite and thread, which are the copy's own.
fn plain(span: &Span) -> String {
    let Span { id, parent_id, root_id, start_ns, duration_ns, busy_ns, self_ns, .. } = span;
    let of_callsite = (&span.callsite.name, &span.callsite.target, &span.callsite.file);
    let of_thread = (&span.thread.name, span.thread.os_id, &span.longest_thread.name);
    let rest = (span.entries, span.status, &span.fields, of_callsite, of_thread);
    format!(
        "{id} {parent_id:?} {root_id} {start_ns} {duration_ns:?} {busy_ns:?} {self_ns:?} {rest:?}"
    )
}

fn check(made: &Made, path: &Path, chosen: &BTreeSet<u64>, is_whole: bool) {
    let copied: Vec<String> = spans(path).iter().map(plain).collect();
    let expected: Vec<String> =
        spans(&made.path).iter().filter(|span| chosen.contains(&span.id)).map(plain).collect();
    assert_eq!(copied, expected);
    let reader = Reader::open(path).unwrap();
    let (run, counts) = (reader.run(1).unwrap().unwrap(), reader.counts(1).unwrap());
    assert_eq!(run.spans - run.pruned_spans, counts.spans);
    assert_eq!(run.events - run.pruned_events, counts.events);
    assert_eq!((run.spans, run.events), (made.run.spans, made.run.events));
    assert_eq!(run.info, made.run.info);
    assert_eq!(run.ended_unix_ns, made.run.ended_unix_ns);
    assert_eq!((run.dropped_spans, run.pruned_spans == 0), (made.run.dropped_spans, is_whole));
    let reasons = |losses: Vec<spandrel_query::Loss>| -> Vec<_> {
        losses.into_iter().map(|loss| (loss.reason, loss.spans, loss.from_ns)).collect()
    };
    let of_all = made.reader().losses(1).unwrap();
    assert_eq!(reasons(reader.losses(1).unwrap()), reasons(of_all));
    assert_eq!(reader.marks(1).unwrap().len(), made.given.marks.len());
    assert_eq!(reader.writer_stats(1).unwrap(), made.reader().writer_stats(1).unwrap());
    let mut links: Vec<_> = made
        .given
        .links
        .iter()
        .map(|(span, follows)| (id(*span), id(*follows)))
        .filter(|(span, _)| chosen.contains(span))
        .collect();
    links.sort_unstable();
    let stored: Vec<_> =
        reader.links(1).unwrap().iter().map(|link| (link.span_id, link.follows_id)).collect();
    assert_eq!(stored, links);
    drop(reader);
    check_rollups(path);
}

/// SQLite finds nothing wrong, and the rollups are those of the rows.
fn check_rollups(path: &Path) {
    let conn = Connection::open(path).unwrap();
    let check: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(
        count("SELECT coalesce(sum(calls), 0) FROM rollup"),
        count("SELECT count(*) FROM span WHERE duration_ns IS NOT NULL")
    );
    let missing = "SELECT count(*) FROM span WHERE callsite_id NOT IN (SELECT id FROM callsite)
                     OR thread_id NOT IN (SELECT id FROM thread)";
    assert_eq!(count(missing), 0);
    let mut query = conn.prepare("SELECT calls, histogram FROM rollup").unwrap();
    let mut rows = query.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let histogram = Histogram::decode(row.get_ref(1).unwrap().as_blob().unwrap()).unwrap();
        assert_eq!(histogram.count(), row.get::<_, i64>(0).unwrap() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_whole_run(given in forests()) {
        let made = given.make();
        let (path, written) = made.copy_part((None, None), None);
        prop_assert_eq!(written.spans, made.given.spans.len() as u64);
        prop_assert_eq!(written.events, made.given.events.len() as u64);
        prop_assert_eq!(written.links, made.given.links.len() as u64);
        let all = (0..made.given.spans.len()).map(id).collect();
        check(&made, &path, &all, true);
    }

    #[test]
    fn a_part(given in forests(), from in 0_i64..60, named in any::<bool>()) {
        let made = given.make();
        let name = named.then_some("http.request");
        let (path, _) = made.copy_part((Some(from), None), name);
        let fits = |at: &usize| {
            made.given.spans[*at].start_ns >= from && name.is_none_or(|name| made.name(*at) == name)
        };
        let chosen: BTreeSet<u64> = (0..made.given.spans.len()).filter(fits).map(id).collect();
        let is_whole = chosen.len() == made.given.spans.len();
        check(&made, &path, &chosen, is_whole);
        // An event goes with its span; without a filter, by its time, too.
        let events = made.given.events.iter().filter(|(span, at_ns, _)| {
            span.is_some_and(|at| chosen.contains(&id(at))) || name.is_none() && *at_ns >= from
        });
        let reader = Reader::open(&path).unwrap();
        prop_assert_eq!(reader.counts(1).unwrap().events, events.count() as u64);
    }
}
