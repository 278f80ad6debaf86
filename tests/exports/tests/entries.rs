//! Entries in exports: which are chosen, where they are drawn, and that none is lost or there twice.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;
use spandrel_export::{Format, Settings, Written};
use spandrel_query::Reader;
use spandrel_tests_exports::perfetto::import;
use spandrel_tests_exports::profile::{EntrySpec, entry_id, id, names, threads};
use spandrel_tests_exports::trace_events::{Slice, TraceEvents};
use spandrel_tests_exports::{Given, Made, SpanSpec, forests};

/// Formats that show entries.
const SHOWING: [Format; 4] =
    [Format::Chrome, Format::Perfetto, Format::Speedscope, Format::Firefox];

/// Any entries of any spans, also of ones that are not stored: on one thread, on several, at once, one in the
/// other or half-way.
fn with_entries() -> impl Strategy<Value = Given> {
    let entry = (0_usize..45, proptest::option::of(0_usize..30), 0_usize..3, -5_i64..60, 0_i64..9);
    let entries = proptest::collection::vec((entry, any::<bool>()), 1..60);
    (forests(), entries).prop_map(|(mut given, entries)| {
        given.entries = entries
            .into_iter()
            .map(|((span, around, thread, start_ns, duration_ns), counts)| EntrySpec {
                span,
                around,
                thread,
                start_ns,
                duration_ns,
                counts,
            })
            .collect();
        given.spans.iter_mut().for_each(|span| {
            span.fields.take_if(|fields| fields.contains("\\ud800"));
            span.start_ns = span.start_ns.clamp(-1_000_000, 1_000_000);
            span.duration_ns = span.duration_ns.map(|ns| ns.min(1_000_000));
        });
        given.events.iter_mut().for_each(|event| event.1 = event.1.clamp(0, 1_000_000));
        given
    })
}

/// Whether an entry belongs to what starts at a moment or later.
fn is_chosen(given: &Given, entry: &EntrySpec, from: Option<i64>) -> bool {
    let Some(from) = from else { return true };
    let span = given.spans.get(entry.span);
    entry.start_ns >= from || span.is_some_and(|span| span.start_ns >= from)
}

/// Spans that are there once, and entries by their span, of a file of the Trace Event Format.
fn drawn(read: &TraceEvents) -> (BTreeMap<u64, &Slice>, BTreeMap<u64, Vec<&Slice>>) {
    let (mut spans, mut entries) = (BTreeMap::new(), BTreeMap::<u64, Vec<&Slice>>::new());
    let number = |value: &Value| value.as_str()?.strip_prefix('s')?.parse::<u64>().ok();
    for slice in &read.slices {
        if let Some(span) = number(&slice.data["id"]) {
            assert!(spans.insert(span, slice).is_none(), "span {span} is there twice");
        } else if let Some(span) = number(&slice.data["entry_of"]) {
            entries.entry(span).or_default().push(slice);
        }
    }
    (spans, entries)
}

fn is_async(read: &TraceEvents, slice: &Slice) -> bool {
    read.rows[&slice.row].contains(", async")
}

fn check_chrome(made: &Made, from: Option<i64>) {
    let (bytes, written) = made.export_part(Format::Chrome, (from, None), None);
    let read = TraceEvents::read(&bytes);
    let (spans, entries) = drawn(&read);
    let given = &made.given;
    let is_there = |at: &usize| from.is_none_or(|from| given.spans[*at].start_ns >= from);
    let expected: Vec<u64> = (0..given.spans.len()).filter(is_there).map(id).collect();
    assert!(spans.keys().eq(&expected));
    assert_eq!(written.spans as usize, expected.len());
    // What would be before the start of the run is put there.
    let at = |ns: i64| ns.max(0);
    let mut of_spans = BTreeMap::<u64, Vec<(i64, i64, usize)>>::new();
    for entry in given.entries.iter().filter(|entry| is_chosen(given, entry, from)) {
        let (start, end) = (entry.start_ns, entry.start_ns + entry.duration_ns);
        of_spans.entry(id(entry.span)).or_default().push((at(start), at(end), entry.thread));
    }
    assert_eq!(written.entries as usize, of_spans.values().map(Vec::len).sum::<usize>());
    for (span, slices) in &entries {
        let mut found: Vec<(i64, i64, usize)> = Vec::new();
        for slice in slices {
            assert!(!is_async(&read, slice), "an entry is of a thread");
            let row = read.rows[&slice.row].split(", overlapping").next().unwrap();
            let name = row.strip_suffix(" 4711").unwrap();
            let is_it = |thread: &Option<String>| thread.as_deref().unwrap_or("thread") == name;
            let thread = given.threads.iter().position(is_it).unwrap();
            found.push((slice.start_ns, slice.end_ns.unwrap(), thread));
        }
        let index = ((span - 10) / 3) as usize;
        match of_spans.remove(span) {
            // Its row says when that was, and on which thread.
            None => assert_eq!((found.len(), index % 4), (1, 1), "an entry that nobody made"),
            Some(mut expected) => {
                // What ends too late by rounding may change places with what ends a little earlier.
                let key = |(from, to, thread): &(i64, i64, usize)| (*from, *thread, *to);
                found.sort_unstable_by_key(key);
                expected.sort_unstable_by_key(key);
                assert_eq!(found.len(), expected.len());
                for ((from, to, thread), expected) in found.iter().zip(&expected) {
                    assert_eq!((*from, *thread), (expected.0, expected.2));
                    assert!((0..=3).contains(&(expected.1 - to)), "{to} {expected:?}");
                }
            }
        }
        if let Some(slice) = spans.get(span) {
            assert!(is_async(&read, slice), "what has entries is beside them");
        }
    }
    // What is left are calls: one slice with their entry.
    for (span, rows) in of_spans {
        assert_eq!(rows.len(), 1);
        assert!(!is_async(&read, spans[&span]));
    }
}

fn check_counts(made: &Made, from: Option<i64>) {
    let given = &made.given;
    let chosen = given.entries.iter().filter(|entry| is_chosen(given, entry, from)).count() as u64;
    for format in Format::ALL {
        let written = match format {
            Format::Sqlite => {
                let (path, written) = made.copy_part((from, None), None);
                let mut copied = 0;
                Reader::open(&path).unwrap().entries(1, |_| copied += 1).unwrap();
                assert_eq!(copied, written.entries);
                std::fs::remove_file(path).unwrap();
                written
            }
            format => made.export_part(format, (from, None), None).1,
        };
        let Written { entries, left_out, .. } = written;
        let expected = match format {
            Format::Otlp | Format::OtlpJson | Format::Csv | Format::Ndjson => (0, chosen),
            _ => (chosen, 0),
        };
        assert_eq!((entries, left_out.entries), expected, "{}", format.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn each_entry_is_there_once_whatever_it_overlaps(
        given in with_entries(), from in proptest::option::of(0_i64..60),
    ) {
        let made = given.make();
        check_chrome(&made, from);
        check_counts(&made, from);
        check_others(&made, from);
    }
}

/// The other formats have as many slices and markers, and their own rules hold.
fn check_others(made: &Made, from: Option<i64>) {
    let export = |format| made.export_part(format, (from, None), None).0;
    let chrome = TraceEvents::read(&export(Format::Chrome));
    let (spans, entries) = drawn(&chrome);
    let counts = (spans.len(), entries.values().map(Vec::len).sum::<usize>());
    let perfetto = import(&export(Format::Perfetto));
    let count = |key: &str| {
        let ours = perfetto.slices.iter().filter_map(|it| it.begin.annotations.first());
        ours.filter(|(name, value)| name == "spandrel" && !value[key].is_null()).count()
    };
    // A call that a link leads to, or from, is one with its entry or beside it.
    let linked = made.given.links.iter().flat_map(|(later, earlier)| [*later, *earlier]);
    let linked = linked.collect::<BTreeSet<_>>().len();
    let entries = count("entry_of");
    assert!(
        count("id") == counts.0 && entries.abs_diff(counts.1) <= linked,
        "{entries} {counts:?}"
    );
    let file: Value = serde_json::from_slice(&export(Format::Speedscope)).unwrap();
    let mut opened = 0;
    for profile in &file["profiles"].as_array().unwrap()[1..] {
        let (mut stack, mut last) = (Vec::new(), 0);
        for event in profile["events"].as_array().unwrap() {
            let at = event["at"].as_i64().unwrap();
            assert!(at >= last, "time goes back from {last} to {at}");
            last = at;
            if event["type"] == "O" {
                stack.push(&event["frame"]);
                opened += 1;
            } else {
                assert_eq!(stack.pop(), Some(&event["frame"]), "the innermost closes first");
            }
        }
        assert!(stack.is_empty());
    }
    // Without links, each call is one with its entry.
    let all = counts.0 + counts.1;
    assert!((all.saturating_sub(linked)..=all).contains(&opened), "{opened} {all}");
    let file: Value = serde_json::from_slice(&export(Format::Firefox)).unwrap();
    let threads = file["threads"].as_array().unwrap().iter();
    let data = threads.flat_map(|it| it["markers"]["data"].as_array().unwrap());
    let kinds: Vec<&str> = data.map(|data| data["type"].as_str().unwrap()).collect();
    let count = |kind: &str| kinds.iter().filter(|it| **it == kind).count();
    // It does not show what a row tells of an entry that was not recorded.
    let written = made.export_part(Format::Firefox, (from, None), None).1;
    assert_eq!((count("span"), written.entries as usize >= count("entry")), (counts.0, true));
    assert!(count("entry") <= counts.1);
}

/// A span from start to start and duration, of some parent.
fn span(parent: Option<usize>, start_ns: i64, duration_ns: i64) -> SpanSpec {
    SpanSpec { parent, start_ns, duration_ns: Some(duration_ns), ..SpanSpec::default() }
}

fn entry(span: usize, start_ns: i64, duration_ns: i64) -> EntrySpec {
    EntrySpec { span, start_ns, duration_ns, counts: true, ..EntrySpec::default() }
}

/// A program that began long ago: one span of it is entered again and again, and some hundred times in the
/// last second; another one, of another name, as often.
fn long_ago() -> Made {
    let other = SpanSpec { name: 3, ..span(None, 0, 10_000_000_000) };
    let spans = vec![span(None, 0, 10_000_000_000), other, span(Some(0), 9_500_000_000, 400)];
    let entries = (0..400)
        .flat_map(|n| (0..2).map(move |of| entry(of, n * 25_000_000 + of as i64 * 900, 800)));
    let (entries, names, threads) = (entries.collect(), names(), threads());
    Given { spans, entries, names, threads, ..Given::default() }.make()
}

#[test]
fn entries_of_a_window_are_there_though_their_span_began_long_before() {
    let made = long_ago();
    for format in SHOWING {
        let window = (Some(9_000_000_000), Some(9_900_000_000));
        let (_, written) = made.export_part(format, window, None);
        assert_eq!((written.spans, written.entries), (1, 2 * 36), "{}", format.name());
        // Only those of spans that are meant.
        let (bytes, written) = made.export_part(format, window, Some("http.request"));
        assert_eq!((written.spans, written.entries), (1, 36), "{}", format.name());
        if format == Format::Chrome {
            let read = TraceEvents::read(&bytes);
            let (_, entries) = drawn(&read);
            assert_eq!(entries.into_keys().collect::<Vec<_>>(), [id(0)]);
        }
        let (_, written) = made.export_part(format, window, Some("no such name"));
        assert_eq!((written.spans, written.entries), (0, 0), "{}", format.name());
    }
    // As are those of spans that are still open, which have no row of their own.
    let conn = rusqlite::Connection::open(&made.path).unwrap();
    conn.execute_batch(
        "INSERT INTO open_span SELECT id, run_id, parent_id, root_id, callsite_id, thread_id, start_ns,
           busy_ns, entries, fields, 9950000000, first_entry_ns, longest_entry_ns, last_exit_ns,
           longest_thread_id FROM span WHERE start_ns = 0;
         DELETE FROM span WHERE start_ns = 0;",
    )
    .unwrap();
    let window = (Some(9_000_000_000), Some(9_900_000_000));
    let (_, written) = made.export_part(Format::Chrome, window, Some("http.request"));
    assert_eq!((written.spans, written.entries), (1, 36));
}

#[test]
fn arrows_of_a_span_end_after_a_hundred() {
    let made = long_ago();
    let read = TraceEvents::read(&made.export(Format::Chrome).0);
    assert_eq!(read.arrows.len(), 2 * 100);
    for (from, to) in &read.arrows {
        let [from, to] = [from, to].map(|at| &read.slices[*at]);
        assert_eq!(from.data["entry_of"], to.data["entry_of"]);
        assert_eq!(to.start_ns - from.start_ns, 25_000_000, "to the next one");
    }
    let flows = |slices: &[spandrel_tests_exports::perfetto::Slice]| {
        let begins: BTreeSet<u64> = slices.iter().flat_map(|it| it.begin.flows.clone()).collect();
        let ends: BTreeSet<_> =
            slices.iter().flat_map(|it| it.begin.ending_flows.clone()).collect();
        assert_eq!(begins, ends);
        begins.len()
    };
    assert_eq!(flows(&import(&made.export(Format::Perfetto).0).slices), 2 * 100);
}

/// Rows of entries, as they are stored.
#[test]
fn rows_of_entries_say_which_span_and_what_was_around_it() {
    let mut entries = vec![entry(0, 5, 20), entry(1, 7, 3)];
    entries[1].around = Some(0);
    (entries[1].thread, entries[1].counts) = (2, false);
    let spans = vec![span(None, 0, 100), SpanSpec { name: 3, ..span(None, 1, 50) }];
    let (names, threads) = (names(), threads());
    let made = Given { spans, entries, names, threads, ..Given::default() }.make();
    let settings = |format| Settings::new(format).entries(true);
    let (bytes, written) = made.export_as(&settings(Format::Ndjson));
    assert_eq!((written.spans, written.entries, written.left_out), (0, 2, Default::default()));
    let text = String::from_utf8(bytes).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let member = |key: &str| rows.iter().map(|row| row[key].clone()).collect::<Vec<_>>();
    for (key, expected) in [
        ("id", [Value::from(entry_id(0)), entry_id(1).into()]),
        ("span_id", [id(0).into(), id(1).into()]),
        ("around_id", [Value::Null, id(0).into()]),
        ("name", [names_at(&made, 0), names_at(&made, 3)]),
        ("thread", [made.given.threads[0].clone().into(), made.given.threads[2].clone().into()]),
        ("start_ns", [5.into(), 7.into()]),
        ("duration_ns", [20.into(), 3.into()]),
        ("self_ns", [10.into(), Value::Null]),
        ("counts", [true.into(), false.into()]),
        ("earlier_entries", [0.into(), 0.into()]),
    ] {
        assert_eq!(member(key), expected, "{key}");
    }
    let (bytes, written) = made.export_as(&settings(Format::Csv));
    assert_eq!((written.entries, written.bytes as usize), (2, bytes.len()));
    let mut csv = csv::Reader::from_reader(&bytes[..]);
    let header = csv.headers().unwrap().clone();
    let found: Vec<csv::StringRecord> = csv.records().collect::<Result<_, _>>().unwrap();
    for (row, expected) in found.iter().zip(&rows) {
        for (name, cell) in header.iter().zip(row) {
            let expected = match &expected[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(cell, expected, "{name}");
        }
    }
    assert_eq!(found.len(), 2);
}

fn names_at(made: &Made, name: usize) -> Value {
    made.given.names[name].as_str().into()
}

/// Entered twice without a record of it, and once on another thread: what is known of it is shown.
#[test]
fn an_entry_that_a_row_of_its_span_tells_is_drawn_though_it_was_not_recorded() {
    // By their places: never entered, once, twice, three times.
    let spans = vec![
        span(None, 0, 900),
        span(Some(0), 100, 300_000_000),
        span(Some(0), 200, 100),
        span(None, 500, 100),
        span(None, 600, 90),
        span(None, 610, 30),
    ];
    let (names, threads) = (names(), threads());
    let entries = vec![entry(3, 510, 20), entry(3, 540, 20)];
    let made = Given { spans, entries, names, threads, ..Given::default() }.make();
    let read = TraceEvents::read(&made.export(Format::Chrome).0);
    let (spans, entries) = drawn(&read);
    // Entered once for a third of its time, so that it has waited: the entry beside the span.
    let [only] = entries[&id(1)][..] else { panic!("{entries:?}") };
    assert_eq!((only.start_ns, only.end_ns), (101, Some(101 + 100_000_000)));
    assert!(is_async(&read, spans[&id(1)]) && !is_async(&read, only));
    // Entered twice, nobody knows when.
    assert!(is_async(&read, spans[&id(2)]) && !entries.contains_key(&id(2)));
    assert_eq!(entries[&id(3)].len(), 2);
    // Entered once and hardly open for longer: one slice.
    assert!(!is_async(&read, spans[&id(5)]) && !entries.contains_key(&id(5)));
}
