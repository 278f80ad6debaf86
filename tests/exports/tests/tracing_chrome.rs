//! A program that is recorded by tracing-chrome and by spandrel at once: where threads ran, both draw the same
//! slices, with the same names, order, nesting and lengths.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use spandrel::{Entries, Profiler};
use spandrel_export::{Format, Settings, Source, Written, export};
use spandrel_query::Reader;
use spandrel_tests_exports::by_thread::{self, Did, Threads, moments};
use spandrel_tests_exports::firefox::{self, Loaded};
use spandrel_tests_exports::node;
use spandrel_tests_exports::perfetto::import;
use spandrel_tests_exports::trace_events::TraceEvents;
use tracing::{Instrument, Span, info_span};
use tracing_chrome::{ChromeLayerBuilder, TraceStyle};
use tracing_subscriber::prelude::*;

/// What a file is written to.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Takes a while, however fast the machine is.
fn work(rounds: u64) {
    let mut sum = 0_u64;
    for n in 0..rounds * 1_000 {
        sum = std::hint::black_box(sum.wrapping_mul(31) ^ n);
    }
    std::hint::black_box(sum);
}

fn calls(depth: u64) {
    info_span!("call", depth).in_scope(|| {
        work(depth);
        for _ in 0..depth {
            calls(depth - 1);
        }
        info_span!("leaf").in_scope(|| work(2));
    });
}

/// A span goes from thread to thread, and back.
fn moves() {
    let span = info_span!("moved", n = 7);
    span.in_scope(|| work(1));
    for n in 0..3 {
        let (span, dispatch) = (&span, tracing::dispatcher::get_default(Clone::clone));
        std::thread::scope(|scope| {
            let body = move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    span.in_scope(|| {
                        work(3);
                        info_span!("there").in_scope(|| work(1));
                    });
                });
            };
            let thread = std::thread::Builder::new().name(format!("helper-{n}"));
            thread.spawn_scoped(scope, body).unwrap();
        });
        span.in_scope(|| work(2));
    }
}

/// Spans that live long and are nobody's children are entered inside of frames.
fn frames() {
    let systems: Vec<Span> = (0..3).map(|n| info_span!(parent: None, "system", n)).collect();
    for n in 0..5 {
        info_span!("frame", n).in_scope(|| {
            for system in &systems {
                system.in_scope(|| work(1));
            }
        });
    }
}

/// Tasks that are polled in turns.
fn tasks() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let task = |n: u64| {
        async move {
            for _ in 0..n {
                info_span!("step").in_scope(|| work(n));
                tokio::task::yield_now().await;
            }
        }
        .instrument(info_span!("task", n))
    };
    runtime.block_on(async {
        let spawned: Vec<_> = (1..5).map(|n| tokio::spawn(task(n))).collect();
        for task in spawned {
            task.await.unwrap();
        }
    });
}

/// Runs it under both. Gives what tracing-chrome has written.
fn record(database: &Path) -> Vec<u8> {
    let written = Shared::default();
    let (chrome, guard) = ChromeLayerBuilder::new()
        .writer(written.clone())
        .include_args(true)
        .trace_style(TraceStyle::Threaded)
        .build();
    let profiler = Profiler::builder().database(database).entries(Entries::All).build().unwrap();
    let layers = tracing_subscriber::registry().with(chrome).with(profiler.layer());
    tracing::dispatcher::with_default(&tracing::Dispatch::new(layers), || {
        calls(3);
        moves();
        frames();
        tasks();
    });
    let report = profiler.close().unwrap();
    assert_eq!((report.dropped.total(), report.entries.dropped.total()), (0, 0));
    drop(guard);
    written.0.lock().unwrap().clone()
}

fn exported(database: &Path, format: Format) -> (Vec<u8>, Written) {
    let reader = Reader::open(database).unwrap();
    let run = reader.run(1).unwrap().unwrap();
    let mut out = Vec::new();
    let mut source = Source::new(&reader, &run);
    let written = export(&mut source, &Settings::new(format), &mut out).unwrap();
    (out, written)
}

/// Names and depths.
fn shapes(threads: &Threads) -> BTreeMap<&String, Vec<(&str, usize)>> {
    fn shape(slice: &Did) -> (&str, usize) {
        (&slice.name, slice.depth)
    }
    threads.iter().map(|(name, slices)| (name, slices.iter().map(shape).collect())).collect()
}

/// Both stamp each begin and end, tracing-chrome first. So however long a thread stood still in between: the
/// moments of one lie between those of the other, with one shift between the clocks for all of them.
fn check_lengths(ours: &Threads, theirs: &Threads) {
    let (mut shift_min, mut shift_max, mut length) = (i64::MIN, i64::MAX, 0);
    for (name, slices) in theirs {
        let (ours, theirs) = (moments(&ours[name]), moments(slices));
        assert_eq!(ours.len(), theirs.len());
        assert!(theirs.is_sorted() && ours.is_sorted());
        for (at, (our, their)) in ours.iter().zip(&theirs).enumerate() {
            shift_max = shift_max.min(our - their);
            if let Some(next) = theirs.get(at + 1) {
                shift_min = shift_min.max(our - next);
            }
        }
        length = length.max(theirs[theirs.len() - 1]);
    }
    // The clocks do not run quite alike.
    let drift = length / 1_000;
    assert!(shift_min <= shift_max + drift, "{shift_min} {shift_max} {drift}");
}

/// Arrows of the file go from entry to entry of the same span.
fn check_arrows(database: &Path, read: &TraceEvents) {
    let reader = Reader::open(database).unwrap();
    let mut entries: BTreeMap<u64, Vec<(i64, i64)>> = BTreeMap::new();
    reader
        .entries(1, |entry| {
            let length = (entry.start_ns, entry.start_ns + entry.duration_ns);
            entries.entry(entry.span_id).or_default().push(length);
        })
        .unwrap();
    let mut expected = BTreeSet::new();
    for (span, mut entries) in entries {
        entries.sort_unstable();
        let has_length = |(from, to): (i64, i64)| from < to;
        for pair in entries.windows(2).filter(|it| has_length(it[0]) && has_length(it[1])) {
            expected.insert((format!("s{span}"), pair[0].0, pair[1].0));
        }
    }
    assert!(expected.len() > 20);
    let slice = |at: usize| {
        let slice = &read.slices[at];
        (slice.data["entry_of"].as_str().unwrap().to_owned(), slice.start_ns)
    };
    let mut found = BTreeSet::new();
    for (from, to) in &read.arrows {
        let ((span, from), (other, to)) = (slice(*from), slice(*to));
        assert_eq!(span, other);
        assert!(found.insert((span, from, to)));
    }
    assert_eq!(found, expected);
}

/// A span is one slice; one that is in the row of a thread has no entries beside it.
fn check_no_doubles(read: &TraceEvents) {
    let of = |key: &str| -> Vec<(String, &str)> {
        let slices = read.slices.iter().filter_map(|slice| {
            Some((slice.data[key].as_str()?.to_owned(), read.rows[&slice.row].as_str()))
        });
        slices.collect()
    };
    let (spans, entries) = (of("id"), of("entry_of"));
    let ids: BTreeSet<_> = spans.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), spans.len(), "a span is there once");
    let entered: BTreeSet<_> = entries.iter().map(|(id, _)| id).collect();
    assert!(ids.is_superset(&entered) && ids.len() > entered.len());
    for (id, row) in &spans {
        assert_eq!(row.contains("async"), entered.contains(id), "{id} in {row}");
    }
    assert!(entries.iter().all(|(_, row)| !row.contains(',')));
}

/// Trace processor has the same slices in the tracks of threads.
fn check_with_trace_processor(trace: &Path, expected: &Threads) {
    let query = "SELECT t.name, s.name, s.depth, s.ts, s.dur FROM slice AS s
        JOIN thread_track AS tt ON tt.id = s.track_id JOIN thread AS t USING (utid)
        WHERE tt.name IS NOT 'async' ORDER BY s.id";
    let errors = "SELECT name FROM stats WHERE severity != 'info' AND value != 0";
    let Some(found) = node::ask_trace_processor(trace, &[errors, query]) else { return };
    assert_eq!(found[0], Vec::<Vec<Option<String>>>::new(), "errors that it counted");
    let mut threads = Threads::new();
    for row in &found[1] {
        let text = |at: usize| row[at].as_deref().unwrap();
        let number = |at: usize| text(at).parse::<i64>().unwrap();
        let thread = text(0).rsplit_once(' ').unwrap().0;
        if text(0).contains(',') {
            continue; // a row beside
        }
        threads.entry(thread.to_owned()).or_default().push(Did {
            name: text(1).to_owned(),
            depth: number(2) as usize,
            from_ns: number(3),
            to_ns: number(3) + number(4),
        });
    }
    assert_eq!(&threads, expected);
}

fn check_in_firefox(folder: &Path, file: &Path, slices: usize) {
    let Some(program) = firefox::program() else { return };
    let loaded = Loaded::new(&program, file, folder);
    let markers = loaded.markers();
    drop(loaded);
    let is_there = |marker: &&Value| {
        let thread = marker["threadName"].as_str().unwrap();
        ["span", "entry"].contains(&marker["markerType"].as_str().unwrap())
            && thread != "async spans"
    };
    assert_eq!(markers.iter().filter(is_there).count(), slices);
}

#[test]
fn threads_did_what_tracing_chrome_says_they_did() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("a.db");
    let theirs = by_thread::of_tracing_chrome(&record(&database));
    let (bytes, written) = exported(&database, Format::Chrome);
    let read = TraceEvents::read(&bytes);
    let ours = by_thread::of_trace_events(&read);
    assert_eq!(shapes(&ours), shapes(&theirs));
    assert_eq!(written.entries as usize, ours.values().map(Vec::len).sum::<usize>());
    check_lengths(&ours, &theirs);
    check_no_doubles(&read);
    check_arrows(&database, &read);
    let trace = folder.path().join("a.trace.json");
    std::fs::write(&trace, bytes).unwrap();
    check_with_trace_processor(&trace, &ours);
    let (bytes, written) = exported(&database, Format::Perfetto);
    assert_eq!(written.entries as usize, ours.values().map(Vec::len).sum::<usize>());
    assert_eq!(by_thread::of_perfetto(&import(&bytes)), ours);
    let trace = folder.path().join("a.pftrace");
    std::fs::write(&trace, bytes).unwrap();
    check_with_trace_processor(&trace, &ours);
    let (bytes, written) = exported(&database, Format::Firefox);
    assert_eq!(written.entries as usize, ours.values().map(Vec::len).sum::<usize>());
    let mut of_firefox = by_thread::of_firefox(&serde_json::from_slice(&bytes).unwrap());
    let spans = of_firefox.remove("async spans").unwrap();
    let entered = read.slices.iter().filter_map(|it| it.data["entry_of"].as_str());
    assert_eq!(spans.len(), entered.collect::<BTreeSet<_>>().len());
    let mut flat = ours.clone();
    for slices in flat.values_mut() {
        slices.iter_mut().for_each(|slice| slice.depth = 0);
    }
    assert_eq!(of_firefox, flat);
    let file = folder.path().join("a.profile.json");
    std::fs::write(&file, bytes).unwrap();
    check_in_firefox(folder.path(), &file, flat.values().map(Vec::len).sum());
}
