//! The Trace Event Format: every program that reads it finds the spans of the database, with the same names,
//! times, nesting and arguments: Catapult's rules (`src/trace_events.rs`), Perfetto's trace processor, the
//! Firefox profiler and speedscope.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use spandrel_export::Format;
use spandrel_storage::Status;
use spandrel_tests_exports::firefox::{self, Loaded};
use spandrel_tests_exports::profile::{COUNTERS, id};
use spandrel_tests_exports::trace_events::{Slice, TraceEvents};
use spandrel_tests_exports::{Given, Made, entangled, forests, node, shown, speedscope};

/// What would be before the start of the run is put there.
fn at(ns: i64) -> i64 {
    ns.max(0)
}

fn end(made: &Made, index: usize) -> Option<i64> {
    let span = &made.given.spans[index];
    span.duration_ns.map(|ns| at(span.start_ns.saturating_add(ns)))
}

/// Names of Chrome's own events are marked.
fn name(name: &str) -> String {
    match name {
        "CpuProfile" | "thread_name" => format!("{name} (name)"),
        name => shown::text(name),
    }
}

/// Whether a double has an integer.
fn is_exact(digits: &str) -> bool {
    digits.parse::<i64>().is_ok_and(|n| n.unsigned_abs() < 1 << 53)
}

/// Numbers that a double has not are texts.
fn number(value: i64) -> Value {
    if value.unsigned_abs() < 1 << 53 { value.into() } else { value.to_string().into() }
}

/// `args.data` of a span, but for the line for the eyes and the thread.
fn data(made: &Made, index: usize) -> Map<String, Value> {
    let (given, span) = (&made.given, &made.given.spans[index]);
    let busy_ns = span.duration_ns.map(|ns| ns / 3);
    let share = |(busy, ns): (i64, i64)| match i128::from(busy) * 1000 / i128::from(ns) {
        0 => Value::from(0),
        thousandths => (thousandths as f64 / 1e3).into(),
    };
    let lasting = busy_ns.zip(span.duration_ns).filter(|(_, ns)| *ns > 0);
    let status = given.status(index);
    let rows = [
        ("id", Some(format!("s{}", id(index)).into())),
        ("parent", given.parent_id(index).map(|id| format!("s{id}").into())),
        ("level", Some("INFO".into())),
        ("file", Some("src/\"shop\".rs:7".into())),
        ("made_on", (given.worker(index) != span.thread).then(|| named(made, span.thread).into())),
        ("status", (status != Status::Ok).then(|| status.as_str().into())),
        ("entries", Some((index as u64 % 4).into())),
        ("self_ns", given.self_ns(index).map(number)),
        ("busy_ns", busy_ns.map(number)),
        ("busy_share", lasting.map(share)),
        ("fields", span.fields.as_deref().map(|fields| shown::fields(fields, is_exact))),
    ];
    rows.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// The slices that are spans, by the index of the span.
fn spans(made: &Made, read: &TraceEvents) -> BTreeMap<usize, usize> {
    let indexes = made.indexes();
    let mut found = BTreeMap::new();
    for (number, slice) in read.slices.iter().enumerate() {
        let Some(id) = slice.data["id"].as_str() else { continue };
        let index = indexes[&id.strip_prefix('s').unwrap().parse().unwrap()];
        assert_eq!(found.insert(index, number), None, "one slice a span");
    }
    assert_eq!(found.len(), made.given.spans.len());
    found
}

fn thread(made: &Made, index: usize) -> String {
    named(made, made.given.worker(index))
}

fn named(made: &Made, thread: usize) -> String {
    format!("{} 4711", made.given.threads[thread].as_deref().unwrap_or("thread"))
}

fn check_span(made: &Made, read: &TraceEvents, index: usize, slice: &Slice) {
    let (given, span) = (&made.given, &made.given.spans[index]);
    assert_eq!(slice.name, name(made.name(index)));
    assert_eq!(slice.category, format!("shop::{}", shown::text(made.name(index))));
    assert_eq!((slice.start_ns, slice.end_ns), (at(span.start_ns), end(made, index)));
    let is_instant = end(made, index) == Some(at(span.start_ns));
    assert_eq!(slice.scope.as_deref(), is_instant.then_some("t"));
    let mut found = slice.data.as_object().unwrap().clone();
    let detail = found.remove("detail").unwrap();
    assert!(!detail.as_str().unwrap().is_empty(), "Firefox would take the name for a type");
    let row = &read.rows[&slice.row];
    let of_row = row.split(", overlapping").next().unwrap();
    let elsewhere = found.remove("thread");
    assert_eq!(elsewhere.unwrap_or(of_row.into()), thread(made, index));
    assert_eq!(found, data(made, index));
    if let Some(outer) = slice.inside {
        let outer = &read.slices[outer].data["id"];
        let parent = given.parent_id(index).map(|id| format!("s{id}"));
        assert_eq!(outer.as_str(), parent.as_deref(), "what lies in a slice is its child");
    }
}

/// Links that an arrow can show, from the earlier span: to one that begins later, both of some length.
fn arrows(made: &Made) -> Vec<(usize, usize)> {
    let start = |index: usize| at(made.given.spans[index].start_ns);
    let has_length = |index: usize| end(made, index).is_none_or(|end| end > start(index));
    let links = made.given.links.iter().map(|(later, earlier)| (*earlier, *later));
    let mut arrows: Vec<_> = links
        .filter(|(from, to)| start(*from) < start(*to) && has_length(*from) && has_length(*to))
        .collect();
    arrows.sort_unstable();
    arrows
}

fn check(made: &Made) -> TraceEvents {
    let (bytes, written) = made.export(Format::Chrome);
    let (read, given) = (TraceEvents::read(&bytes), &made.given);
    let spans = spans(made, &read);
    for (index, slice) in &spans {
        check_span(made, &read, *index, &read.slices[*slice]);
    }
    let index_of: HashMap<usize, usize> = spans.iter().map(|(index, at)| (*at, *index)).collect();
    let mut found: Vec<_> =
        read.arrows.iter().map(|(from, to)| (index_of[from], index_of[to])).collect();
    found.sort_unstable();
    assert_eq!(found, arrows(made));
    let counts = [spans.len(), given.events.len(), found.len(), given.marks.len()];
    let said = [written.spans, written.events, written.links, written.marks];
    assert_eq!(said, counts.map(|count| count as u64));
    check_others(made, &read);
    read
}

fn check_others(made: &Made, read: &TraceEvents) {
    let given = &made.given;
    let events = read.slices.iter().filter(|slice| slice.data["id"].is_u64());
    let mut found: Vec<_> = events
        .map(|event| {
            assert_eq!(
                (event.scope.as_deref(), event.start_ns),
                (Some("t"), event.end_ns.unwrap())
            );
            let at = (event.data["id"].as_u64().unwrap() - 1_000_000) as usize;
            (at, event.name.clone(), event.start_ns, event.data["span"].clone())
        })
        .collect();
    found.sort_by_key(|event| event.0);
    let events = given.events.iter().enumerate().map(|(index, (span, at_ns, message))| {
        let said = if message.is_empty() { "event=true" } else { message };
        let span = span.map_or(Value::Null, |span| format!("s{}", id(span)).into());
        (index, name(said), at(*at_ns), span)
    });
    assert_eq!(found, events.collect::<Vec<_>>());
    let regions = |of: &'static str| {
        let found = read.slices.iter().filter(move |slice| slice.category == of);
        let mut found: Vec<_> = found
            .map(|slice| {
                assert_eq!((slice.depth, read.rows[&slice.row].as_str()), (0, of));
                let is_moment = slice.scope.as_deref() == Some("g");
                assert_eq!(is_moment, slice.end_ns == Some(slice.start_ns));
                (slice.start_ns, slice.end_ns.unwrap(), slice.name.clone())
            })
            .collect();
        found.sort();
        found
    };
    let mut marks: Vec<_> = given
        .marks
        .iter()
        .map(|(from, until, label)| (*from, until.unwrap_or(*from), label.clone()))
        .collect();
    marks.sort();
    assert_eq!(regions("marks"), marks);
    let losses = given.losses.iter().map(|(from, to, _)| (*from, *to, "lost: ring_full".into()));
    assert_eq!(regions("losses"), losses.collect::<Vec<_>>());
    let counters =
        COUNTERS.map(|(name, value)| (name.to_owned(), 1_000_000_000, Value::from(value)));
    assert_eq!(read.counters, counters);
}

/// Times that a double can tell from their neighbours, in microseconds.
fn with_readable_times(mut given: Given) -> Given {
    const MAX: i64 = 1_000_000_000_000;
    for span in &mut given.spans {
        span.start_ns = span.start_ns.clamp(-MAX, MAX);
        span.duration_ns = span.duration_ns.map(|ns| ns.min(MAX));
    }
    given.events.iter_mut().for_each(|event| event.1 = event.1.clamp(-MAX, MAX));
    given
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn slices_are_the_spans(given in forests()) {
        check(&with_readable_times(given).make());
    }
}

fn written(made: &Made) -> PathBuf {
    let file = made.folder.path().join("a.trace.json");
    std::fs::write(&file, made.export(Format::Chrome).0).unwrap();
    file
}

const ARROWS: &str =
    "SELECT extract_arg(o.arg_set_id, 'args.data.id'), extract_arg(i.arg_set_id, 'args.data.id')
    FROM flow JOIN slice AS o ON o.id = slice_out JOIN slice AS i ON i.id = slice_in";

/// To trace processor, an instant lies in one that is at the same moment.
const SLICES: &str = "SELECT s.id, extract_arg(s.arg_set_id, 'args.data.id'), s.name, s.category,
      s.ts, s.dur, (WITH RECURSIVE outer AS (
          SELECT p.* FROM slice AS p WHERE p.id = s.parent_id
          UNION ALL SELECT p.* FROM outer AS o JOIN slice AS p ON p.id = o.parent_id
          WHERE o.dur = 0)
        SELECT extract_arg(arg_set_id, 'args.data.id') FROM outer WHERE dur != 0 LIMIT 1), t.name
    FROM slice AS s
    LEFT JOIN thread_track AS tt ON tt.id = s.track_id LEFT JOIN thread AS t USING (utid)";

const ARGUMENTS: &str = "SELECT s.id, a.key, a.value_type, a.display_value
    FROM slice AS s JOIN args AS a USING (arg_set_id)";

/// What it did not understand.
const ERRORS: &str = "SELECT name, value FROM stats WHERE severity != 'info' AND value != 0";

fn check_with_trace_processor(made: &Made, read: &TraceEvents) {
    let queries = [ERRORS, SLICES, ARROWS, ARGUMENTS];
    let Some(found) = node::ask_trace_processor(&written(made), &queries) else { return };
    assert_eq!(found[0], Vec::<Vec<Option<String>>>::new());
    let text = |value: &dyn ToString| Some(value.to_string());
    let id_of = |slice: &Slice| slice.data["id"].as_str().map(str::to_owned);
    let slices: Vec<_> = found[1].iter().map(|row| row[1..].to_vec()).collect();
    let expected: Vec<Vec<Option<String>>> = read
        .slices
        .iter()
        .map(|slice| {
            let name = Some(slice.name.clone()).filter(|name| !name.is_empty());
            let dur = slice.end_ns.map_or(-1, |end| end - slice.start_ns);
            let inside = slice.inside.and_then(|outer| id_of(&read.slices[outer]));
            let event_or_span = slice.data["id"].as_u64().map(|id| id.to_string());
            vec![
                id_of(slice).or(event_or_span),
                name.or(Some("[No name]".into())),
                Some(slice.category.clone()),
                text(&slice.start_ns),
                text(&dur),
                inside,
                // What is over all rows is in none.
                Some(read.rows[&slice.row].clone()).filter(|_| slice.scope.as_deref() != Some("g")),
            ]
        })
        .collect();
    shown::same(slices, expected);
    let ids = |(from, to): &(usize, usize)| [from, to].map(|at| id_of(&read.slices[*at])).to_vec();
    shown::same(found[2].clone(), read.arrows.iter().map(ids).collect());
    check_arguments(read, &found[1], &found[3]);
}

/// Every argument of every span is the text of it.
fn check_arguments(
    read: &TraceEvents,
    slices: &[Vec<Option<String>>],
    rows: &[Vec<Option<String>>],
) {
    let mut of_slices: HashMap<&Option<String>, Vec<(String, String)>> = HashMap::new();
    for row in rows {
        let value = match row[2].as_deref() {
            Some("null") => "null".to_owned(),
            _ => row[3].clone().unwrap_or_default(),
        };
        of_slices.entry(&row[0]).or_default().push((row[1].clone().unwrap(), value));
    }
    let mut found: HashMap<String, Vec<(String, String)>> = HashMap::new();
    for slice in
        slices.iter().filter(|slice| slice[1].as_ref().is_some_and(|id| id.starts_with('s')))
    {
        found.insert(slice[1].clone().unwrap(), of_slices.remove(&slice[0]).unwrap());
    }
    for slice in read.slices.iter().filter(|slice| slice.data["id"].is_string()) {
        let mut expected = Vec::new();
        shown::leaves("args.data", &slice.data, &mut expected);
        shown::same(found.remove(slice.data["id"].as_str().unwrap()).unwrap(), expected);
    }
}

fn check_in_firefox(made: &Made, read: &TraceEvents) {
    let Some(program) = firefox::program() else { return };
    let file = written(made);
    let loaded = Loaded::new(&program, &file, made.folder.path());
    let markers = loaded.markers();
    drop(loaded);
    assert_eq!(markers.len(), read.slices.len());
    // It shows times from the first one on, which is that of a row whose first event that is.
    let first = read.slices.iter().map(|slice| slice.start_ns).min().unwrap_or(0);
    let mut found: HashMap<String, Vec<&Value>> = HashMap::new();
    for marker in &markers {
        let key = format!("{} {}", marker["data"]["id"], marker["name"]);
        found.entry(key).or_default().push(marker);
    }
    for slice in read.slices.iter().filter(|slice| slice.data["id"].is_string()) {
        let key = format!("{} {}", slice.data["id"], Value::from(slice.name.as_str()));
        let [marker] = found[&key][..] else { panic!("{key}") };
        let ns = |value: &Value| (value.as_f64().unwrap() * 1e6).round() as i64;
        assert_eq!(ns(&marker["start"]), slice.start_ns - first, "{marker}");
        match slice.end_ns {
            Some(end) if end > slice.start_ns => {
                assert_eq!(ns(&marker["duration"]), end - slice.start_ns, "{marker}");
            }
            Some(_) => assert!(marker["duration"].is_null(), "{marker}"),
            // It is drawn until the end of its row.
            None => assert!(ns(&marker["duration"]) >= 0, "{marker}"),
        }
        assert_eq!(marker["threadName"], read.rows[&slice.row].as_str());
        assert_eq!(marker["category"], slice.category.as_str());
        assert_eq!((&marker["label"], &marker["data"]), (&slice.data["detail"], &slice.data));
    }
}

fn check_in_speedscope(made: &Made, read: &TraceEvents) {
    let Some((profiles, _)) = speedscope::import(&written(made)) else { return };
    let mut rows: BTreeMap<u64, Vec<&Slice>> = BTreeMap::new();
    for slice in read.slices.iter().filter(|slice| slice.scope.is_none()) {
        rows.entry(slice.row).or_default().push(slice);
    }
    assert_eq!(profiles.len(), rows.len());
    // They are sorted by the number of the row.
    for (profile, (row, slices)) in profiles.iter().zip(rows) {
        let name = format!("{} (tid {row})", read.rows[&row]);
        assert!(profile.name.ends_with(&name), "{} {name}", profile.name);
        assert_eq!(profile.unit, "microseconds");
        // It shows a row from its first slice on.
        let first = slices.iter().map(|slice| slice.start_ns).min().unwrap();
        let last = slices.iter().map(|slice| slice.end_ns.unwrap_or(slice.start_ns)).max().unwrap();
        let ns = |micros: f64| first + (micros * 1000.0).round() as i64;
        let mut found: Vec<_> = profile
            .calls
            .iter()
            .map(|(name, depth, from, until)| (name.clone(), *depth, ns(*from), ns(*until)))
            .collect();
        let mut expected: Vec<_> = slices
            .iter()
            .map(|slice| {
                // One that never ends says there what it is.
                let of_name = if slice.name.is_empty() { "(unnamed)" } else { &slice.name };
                let name = match slice.end_ns {
                    Some(_) => of_name.to_owned(),
                    None => format!("{of_name} {}", json!({ "data": slice.data })),
                };
                (name, slice.depth, slice.start_ns, slice.end_ns.unwrap_or(last))
            })
            .filter(|(_, _, start, end)| start < end)
            .collect();
        let plain = |name: &mut String| {
            // The order of keys is nobody's business.
            name.truncate(name.find(" {\"data\"").unwrap_or(name.len()));
        };
        found.iter_mut().chain(&mut expected).for_each(|call| plain(&mut call.0));
        shown::same(found, expected);
    }
}

fn check_everywhere(given: Given) {
    let made = given.make();
    let read = check(&made);
    check_with_trace_processor(&made, &read);
    check_in_firefox(&made, &read);
    check_in_speedscope(&made, &read);
}

#[test]
fn perfetto_firefox_and_speedscope_find_the_same_spans() {
    check_everywhere(entangled::given());
}

proptest! {
    // Each one starts node three times.
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn whatever_was_recorded(given in forests()) {
        check_everywhere(with_readable_times(given));
    }
}
