//! What several threads sum up is what one does.

use proptest::prelude::*;

use super::*;
use crate::{By, Extent, Groups};
use spandrel_storage::{OtelSpanId, TraceContext, TraceContextRow, TraceId};

const FILTERS: [&str; 6] =
    ["", "dur>100ns", "name=\"name 2\"", "field.field~ää", "status=ok entries>1000", "thread=main"];

fn all_groups() -> [By; 6] {
    [By::Name, By::Target, By::Level, By::Callsite, By::Thread, By::Field("field".into())]
}

/// A copy without a log, with small pages: few rows are many leaves.
fn in_small_pages(path: &std::path::Path, folder: &TempDir) -> Reader {
    let copy = folder.path().join("small.db");
    let conn = Connection::open(path).unwrap();
    conn.pragma_update(None, "page_size", 512).unwrap();
    conn.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    Reader::open(copy).unwrap()
}

type Named = Vec<(crate::compare::SpanName, crate::compare::Samples)>;

fn groups(reader: &Reader, scan: &Scan, filter: &Filter, by: &By) -> (String, Extent) {
    let mut groups = Groups::new(by.clone());
    let extent = reader.add_calls(scan, filter, &mut groups).unwrap();
    (format!("{:?}", groups.groups()), extent)
}

/// The samples of each name, and how many traces there are.
fn samples(reader: &Reader, scan: &Scan, filter: &Filter, by: &By) -> (Named, u64, bool) {
    let run = reader.runs().unwrap().into_iter().find(|run| run.id == scan.run_id).unwrap();
    let mut samples = crate::compare::SampleSet::by(by.clone());
    samples.add_run(reader, &run, scan, filter).unwrap();
    let named = samples.iter().map(|(name, samples)| (name.clone(), samples.clone()));
    (named.collect(), samples.traces(), samples.has_too_many())
}

/// Of all questions, the answers by one thread and by several.
fn agree(reader: &mut Reader, scan: &Scan, filter: &str) {
    let filter = &Filter::parse(filter).unwrap();
    for by in all_groups() {
        let scan = scan.columns(filter.columns().max(by.columns()));
        reader.read_ahead_by(by_threads(0));
        let alone = (groups(reader, &scan, filter, &by), samples(reader, &scan, filter, &by));
        // Whoever asks of threads that have nothing to do with each other asks SQLite, too.
        let mut by_sqlite = Groups::new(by.clone());
        let each = |span: &crate::SpanRef<'_>| {
            if filter.matches(span) {
                by_sqlite.add(span);
            }
            ControlFlow::Continue(())
        };
        let mut each = each;
        reader.scan_if(&scan, &mut BySqlite, |_, span| each(span)).unwrap();
        assert_eq!(format!("{:?}", by_sqlite.groups()), alone.0.0);
        for threads in [1, 4] {
            reader.read_ahead_by(by_threads(threads));
            let together =
                (groups(reader, &scan, filter, &by), samples(reader, &scan, filter, &by));
            assert_eq!(together, alone, "{by:?} {filter} {threads}");
        }
    }
}

proptest! {
    #![proptest_config(cases(6))]

    #[test]
    fn sums_of_several_threads_are_those_of_one(
        spans in vec(span(), 1..150),
        filter in proptest::sample::select(&FILTERS[..]),
        window in prop::option::of((0_i64..1_000, 0_i64..1 << 40)),
    ) {
        // Of those that are unfinished no length is known.
        let is_over = |row: &SpanRow| row.status.has_closed();
        let spans: Vec<_> = spans.into_iter().map(|(row, text)| {
            (SpanRow { duration_ns: row.duration_ns.filter(|_| is_over(&row)), ..row }, text)
        }).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = profile(&spans, &folder);
        let mut reader = in_small_pages(&path, &folder);
        prop_assert!(has_pages(&reader));
        for run in [1, 2] {
            let scan = Scan::new(run);
            let scan = match window {
                Some((from, length)) => scan.window(Some(from), Some(from + length)),
                None => scan,
            };
            agree(&mut reader, &scan, filter);
        }
    }
}

fn row(id: u64) -> SpanRow {
    let (duration_ns, self_ns) = (Some(1_000 + id as i64 % 777), Some(5));
    let row = SpanRow {
        id,
        root_id: id,
        callsite_id: 1 + id as i64 % 3,
        thread_id: 1,
        ..SpanRow::default()
    };
    SpanRow { duration_ns, self_ns, busy_ns: Some(7), start_ns: id as i64 * 10, ..row }
}

fn stored(
    spans: impl Iterator<Item = (SpanRow, String)>,
    more: impl FnOnce(&mut Store, &mut Batch),
) -> (TempDir, Reader) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    store.begin_run(&RunInfo { args: "[]".into(), ..RunInfo::default() }).unwrap();
    for n in 1..4 {
        store.intern_callsite(&callsite(&format!("name {n}")));
    }
    store.intern_thread(1, 11, Some("main"));
    let mut batch = Batch::default();
    for (row, fields) in spans {
        let from = batch.text.len();
        batch.text.push_str(&fields);
        batch.spans.push(SpanRow { fields: from..batch.text.len(), ..row });
    }
    more(&mut store, &mut batch);
    store.append(&mut batch).unwrap();
    store.close().unwrap();
    let reader = in_small_pages(&path, &folder);
    (folder, reader)
}

#[test]
fn of_very_many_values_the_same_ones_are_kept_apart() {
    // More than several threads have each, and more than there are groups.
    for values in [1_500, 11_000] {
        let spans = (1..12_000).map(|id| (row(id), format!("{{\"n\":{}}}", id * 7 % values)));
        let (_folder, mut reader) = stored(spans, |_, _| ());
        let by = By::Field("n".into());
        let scan = Scan::new(1).columns(Columns::All);
        let mut answers = Vec::new();
        for threads in [0, 1, 3] {
            reader.read_ahead_by(by_threads(threads));
            let groups = groups(&reader, &scan, &Filter::all(), &by);
            // Then nothing is compared.
            assert!(samples(&reader, &scan, &Filter::all(), &by).2);
            answers.push(groups);
        }
        assert!(answers.iter().all(|groups| *groups == answers[0]), "{values}");
    }
}

#[test]
fn names_that_are_not_there_or_too_many_are_looked_up_one_by_one() {
    let spans = || (1..900).map(|id| (row(id), String::new()));
    let (folder, reader) = stored(spans(), |_, _| ());
    drop(reader);
    let path = folder.path().join("small.db");
    let conn = Connection::open(&path).unwrap();
    for damage in [
        "UPDATE span SET callsite_id = 77 WHERE id IN (200, 201, 600)",
        "UPDATE span SET thread_id = -5 WHERE id = 300",
        "UPDATE span SET longest_thread_id = 9223372036854775807 WHERE id = 301",
        "DELETE FROM callsite WHERE id = 2",
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
         INSERT INTO thread (id, run_id, os_id, name) SELECT i, 1, i, 't' || i FROM n",
        "DELETE FROM thread",
    ] {
        conn.execute(damage, []).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        for filter in ["", "dur>1200ns", "thread=main"] {
            agree(&mut reader, &Scan::new(1), filter);
        }
    }
}

#[test]
fn a_filter_that_asks_for_trace_ids_has_them() {
    let spans = (1..900).map(|id| (row(id), String::new()));
    let (_folder, mut reader) = stored(spans, |_, batch| {
        let context = TraceContext {
            trace_id: TraceId::new(0xAB << 120 | 7).unwrap(),
            span_id: OtelSpanId::new(5).unwrap().into(),
            parent_id: None,
        };
        let contexts =
            (1..900).step_by(3).map(|id| TraceContextRow { root_id: id, span_id: id, context });
        batch.contexts.extend(contexts);
    });
    for (filter, found) in
        [("has:trace_id", 300), ("trace_id=ab000000000000000000000000000007 dur>0ns", 300)]
    {
        let filter = Filter::parse(filter).unwrap();
        for threads in [0, 2] {
            reader.read_ahead_by(by_threads(threads));
            let mut groups = Groups::new(By::Level);
            reader.add_calls(&Scan::new(1), &filter, &mut groups).unwrap();
            assert_eq!(groups.groups().iter().map(|group| group.calls).sum::<u64>(), found);
        }
    }
}
