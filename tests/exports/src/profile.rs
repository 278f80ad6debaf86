//! Profiles with known rows.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;
use spandrel_export::{
    Format, OtlpEncoding, OtlpRequest, Settings, Source, Written, copy, export, otlp_requests,
};
use spandrel_query::{Filter, quote};
use spandrel_query::{Reader, Run};
use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, EntryRow, EventRow, LinkRow, LossRow, RunInfo, SpanRow,
    Status, Store, StoreOptions, WriterStatRow,
};
use tempfile::TempDir;

pub const STARTED_UNIX_NS: i64 = 1_700_000_000_123_456_789;
pub const UUID: &str = "00112233445566778899aabbccddeeff";

/// What the writer said of itself after a second, by the names that viewers show.
pub const COUNTERS: [(&str, i64); 3] =
    [("spans stored per second", 9), ("ring slots in use, most so far", 42), ("open spans", 3)];

/// A span to be stored, with the index of its parent.
#[derive(Debug, Clone, Default)]
pub struct SpanSpec {
    pub parent: Option<usize>,
    /// The parent is not stored.
    pub orphan: bool,
    pub start_ns: i64,
    pub duration_ns: Option<i64>,
    pub name: usize,
    pub thread: usize,
    pub fields: Option<String>,
}

/// An entry to be stored.
#[derive(Debug, Clone, Default)]
pub struct EntrySpec {
    /// The index of the span; beyond them, of one that is not stored.
    pub span: usize,
    pub around: Option<usize>,
    pub thread: usize,
    pub start_ns: i64,
    pub duration_ns: i64,
    pub counts: bool,
}

/// The id of the entry with this index.
pub fn entry_id(index: usize) -> u64 {
    2_000_000 + index as u64
}

/// What a profile is to hold. Events and links are of spans by index.
#[derive(Debug, Clone, Default)]
pub struct Given {
    pub spans: Vec<SpanSpec>,
    pub events: Vec<(Option<usize>, i64, String)>,
    pub links: Vec<(usize, usize)>,
    pub marks: Vec<(i64, Option<i64>, String)>,
    pub losses: Vec<(i64, i64, u64)>,
    pub entries: Vec<EntrySpec>,
    pub names: Vec<String>,
    pub threads: Vec<Option<String>>,
}

/// A profile in a temporary folder.
#[derive(Debug)]
pub struct Made {
    pub folder: TempDir,
    pub path: PathBuf,
    pub given: Given,
    pub run: Run,
}

/// The id that the span with this index gets; ids leave gaps.
pub fn id(index: usize) -> u64 {
    index as u64 * 3 + 10
}

impl Given {
    pub fn parent_id(&self, at: usize) -> Option<u64> {
        let span = &self.spans[at];
        // Nothing has ids so small.
        if span.orphan { Some(3) } else { span.parent.map(id) }
    }

    pub fn root_id(&self, at: usize) -> u64 {
        match self.parent_id(at) {
            None => id(at),
            Some(3) => 3,
            Some(_) => self.root_id(self.spans[at].parent.unwrap()),
        }
    }

    pub fn status(&self, at: usize) -> Status {
        match (self.spans[at].duration_ns, at % 5) {
            (None, 0..3) => Status::Unfinished,
            (None, _) => Status::Crashed,
            (_, 3) => Status::Error,
            (_, 4) => Status::Panicked,
            _ => Status::Ok,
        }
    }

    /// The thread of the longest entry, which is another one for some that were entered more than once.
    pub fn worker(&self, at: usize) -> usize {
        let thread = self.spans[at].thread;
        if at % 4 > 1 { (thread + at) % self.threads.len() } else { thread }
    }

    /// First and longest entry, and last exit.
    pub fn times(&self, at: usize) -> [Option<i64>; 3] {
        let nanos = at as i64;
        let (longest, last) = match (at % 4, self.spans[at].duration_ns) {
            (0, _) | (1, None) => (None, None),
            (1, Some(ns)) => (Some(ns / 3), Some(nanos + ns / 3)),
            _ => (Some(7 + nanos), Some(1_000_001 + nanos)),
        };
        [(!at.is_multiple_of(4)).then_some(nanos), longest, last]
    }

    pub fn self_ns(&self, at: usize) -> Option<i64> {
        self.spans[at].duration_ns.map(|ns| ns / 2)
    }

    /// What a reader makes of the row: of what has no self time what the row says, as of what counts by its entries.
    pub fn self_busy_ns(&self, at: usize) -> Option<i64> {
        let busy = self.self_ns(at).and(self.spans[at].duration_ns.map(|ns| ns / 3));
        self.own_ns(at).or(busy)
    }

    /// What the row says of that.
    fn own_ns(&self, at: usize) -> Option<i64> {
        (at % 5 == 2).then_some(at as i64)
    }

    fn row(&self, at: usize, callsites: &[i64], threads: &[i64], batch: &mut Batch) {
        let span = &self.spans[at];
        let from = batch.text.len();
        batch.text.push_str(span.fields.as_deref().unwrap_or_default());
        let row = SpanRow {
            id: id(at),
            parent_id: self.parent_id(at).unwrap_or(0),
            root_id: self.root_id(at),
            callsite_id: callsites[span.name],
            thread_id: threads[span.thread],
            start_ns: span.start_ns,
            duration_ns: span.duration_ns,
            busy_ns: span.duration_ns.map(|ns| ns / 3),
            self_ns: self.self_ns(at),
            self_busy_ns: self.own_ns(at),
            entries: at as u64 % 4,
            longest_thread_id: threads[self.worker(at)],
            status: self.status(at),
            first_entry_ns: (!at.is_multiple_of(4)).then_some(at as i64),
            longest_entry_ns: (at % 4 > 1).then_some(7 + at as i64),
            last_exit_ns: (at % 4 > 1).then_some(1_000_001 + at as i64),
            fields: from..batch.text.len(),
        };
        batch.spans.push(row);
    }

    /// Stores it.
    pub fn make(self) -> Made {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("given.db");
        let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
        let info = RunInfo {
            uuid: UUID.into(),
            label: Some("a \"label\"\n<b>".into()),
            started_unix_ns: STARTED_UNIX_NS,
            pid: 77,
            program: "/bin/shop".into(),
            args: "[\"--port\"]".into(),
            host: "host".into(),
            os: "linux x86_64".into(),
            cpus: 2,
            clock: "monotonic".into(),
            settings: "{}".into(),
        };
        let run_id = store.begin_run(&info).unwrap();
        let callsite = |kind, name: &str| CallsiteInfo {
            kind,
            name: name.into(),
            target: format!("shop::{name}"),
            level: "INFO",
            module: Some("shop".into()),
            file: Some("src/\"shop\".rs".into()),
            line: Some(7),
        };
        let callsites: Vec<i64> = self
            .names
            .iter()
            .map(|name| store.intern_callsite(&callsite(CallsiteKind::Span, name)))
            .collect();
        let event_callsite = store.intern_callsite(&callsite(CallsiteKind::Event, "event e.rs:1"));
        let threads: Vec<i64> = (1_u32..)
            .zip(&self.threads)
            .map(|(number, name)| {
                // One number of the operating system for all: it gives them again.
                store.intern_thread(number, 4711, name.as_deref())
            })
            .collect();
        let mut batch = Batch::default();
        for at in 0..self.spans.len() {
            self.row(at, &callsites, &threads, &mut batch);
        }
        for (at, (span, at_ns, message)) in self.events.iter().enumerate() {
            let from = batch.text.len();
            batch.text.push_str(message);
            let middle = batch.text.len();
            batch.text.push_str("{\"event\":true}");
            batch.events.push(EventRow {
                id: 1_000_000 + at as u64,
                span_id: span.map_or(0, id),
                callsite_id: event_callsite,
                thread_id: threads[0],
                at_ns: *at_ns,
                message: from..middle,
                fields: middle..batch.text.len(),
            });
        }
        for (at, entry) in self.entries.iter().enumerate() {
            let name = self.spans.get(entry.span).map_or(0, |span| span.name);
            batch.entries.push(EntryRow {
                id: entry_id(at),
                span_id: id(entry.span),
                callsite_id: callsites[name],
                thread_id: threads[entry.thread],
                start_ns: entry.start_ns,
                duration_ns: entry.duration_ns,
                around_id: entry.around.map_or(0, id),
                self_ns: entry.counts.then_some(entry.duration_ns / 2),
                earlier_entries: 0,
                earlier_ns: 0,
            });
        }
        for (span, follows) in &self.links {
            batch.links.push(LinkRow { span_id: id(*span), follows_id: id(*follows) });
        }
        for (from_ns, to_ns, spans) in &self.losses {
            batch.losses.push(LossRow {
                reason: "ring_full",
                from_ns: *from_ns,
                to_ns: *to_ns,
                spans: *spans,
                events: 1,
                entries: 0,
                thread_id: threads.first().copied(),
            });
        }
        batch.writer_stat = Some(WriterStatRow {
            at_ns: 1_000_000_000,
            recorded: 10,
            stored: COUNTERS[0].1 as u64,
            dropped: "{}".into(),
            events_dropped: "{}".into(),
            entries_dropped: "{}".into(),
            ring_high_water: COUNTERS[1].1 as u64,
            open_spans: COUNTERS[2].1 as u64,
            ..WriterStatRow::default()
        });
        store.append(&mut batch).unwrap();
        store.end_run(STARTED_UNIX_NS + 1_000_000_000, "{}").unwrap();
        store.close().unwrap();
        let conn = rusqlite::Connection::open(&path).unwrap();
        for (at_ns, until_ns, label) in &self.marks {
            let sql = "INSERT INTO mark (run_id, at_ns, until_ns, label) VALUES (?1, ?2, ?3, ?4)";
            conn.execute(sql, (run_id, at_ns, until_ns, label)).unwrap();
        }
        drop(conn);
        let run = Reader::open(&path).unwrap().run(run_id).unwrap().unwrap();
        Made { folder, path, given: self, run }
    }
}

impl Made {
    pub fn reader(&self) -> Reader {
        Reader::open(&self.path).unwrap()
    }

    /// Exports all of it.
    pub fn export(&self, format: Format) -> (Vec<u8>, Written) {
        self.export_as(&Settings::new(format))
    }

    pub fn export_as(&self, settings: &Settings) -> (Vec<u8>, Written) {
        let reader = self.reader();
        let mut out = Vec::new();
        let mut source = Source::new(&reader, &self.run);
        let written = export(&mut source, settings, &mut out).unwrap();
        assert_eq!(written.bytes, out.len() as u64);
        (out, written)
    }

    /// Exports a part of it.
    pub fn export_part(
        &self,
        format: Format,
        window: (Option<i64>, Option<i64>),
        filter: Option<&str>,
    ) -> (Vec<u8>, Written) {
        let reader = self.reader();
        let mut source = part(&reader, &self.run, window, filter);
        let (settings, mut out) = (Settings::new(format), Vec::new());
        if format == Format::Otlp {
            let mut each = |request: OtlpRequest| {
                out.extend(request.body);
                Ok(())
            };
            let encoding = OtlpEncoding::Protobuf;
            let written = otlp_requests(&mut source, &settings, encoding, &mut each).unwrap();
            return (out, written);
        }
        let written = export(&mut source, &settings, &mut out).unwrap();
        (out, written)
    }

    /// Copies a part of it.
    pub fn copy_part(
        &self,
        window: (Option<i64>, Option<i64>),
        filter: Option<&str>,
    ) -> (PathBuf, Written) {
        let reader = self.reader();
        let path = self.folder.path().join("copy.db");
        let written = copy(&mut part(&reader, &self.run, window, filter), &path).unwrap();
        (path, written)
    }

    pub fn name(&self, at: usize) -> &str {
        &self.given.names[self.given.spans[at].name]
    }

    /// Spans by their ids.
    pub fn indexes(&self) -> BTreeMap<u64, usize> {
        (0..self.given.spans.len()).map(|at| (id(at), at)).collect()
    }
}

/// A part of a run, by the name of spans.
fn part<'a>(
    reader: &'a Reader,
    run: &'a Run,
    (from_ns, until_ns): (Option<i64>, Option<i64>),
    name: Option<&str>,
) -> Source<'a> {
    let source = Source::new(reader, run).window(from_ns, until_ns);
    let Some(name) = name else { return source };
    source.filter(Filter::parse(&format!("name={}", quote(name))).unwrap())
}

/// Names that are not nice.
pub fn names() -> Vec<String> {
    [
        "http.request",
        "quote\" back\\slash",
        "line\nend\r\ttab;semicolon",
        "<script>alert(1)</script>&amp;",
        "\u{0}\u{1b}[31m\u{7f}",
        "\u{202e}\u{feff}\u{1f980}\u{10ffff}",
        "",
        "=1+1",
        // Something else to some viewer.
        "CpuProfile",
        "thread_name",
        "Network",
        "spandrel.id",
        "line\u{2028}of\u{2029}Unicode\u{85}",
    ]
    .map(str::to_owned)
    .to_vec()
}

pub fn threads() -> Vec<Option<String>> {
    vec![Some("main".into()), None, Some("worker \"1\"\n</script>".into())]
}

/// Integers beyond what viewers have, names that mean something to them or to us, and NUL.
pub const NASTY_FIELDS: &str = r#"{"u64":18446744073709551615,"i64":-9223372036854775808,
    "past_53_bits":9007199254740993,"u128":340282366920938463463374607431768211455,
    "list":[18446744073709551615,{"n":-170141183460469231731687303715884105728}],
    "id":"mine","parent":"mine","level":"mine","status":"mine","entries":-1,"type":"Network",
    "name":"mine","detail":"mine","category":"mine","span":"mine","span.id":"mine",
    "spandrel":"mine","spandrel.id":"mine","fields":"mine","fields.id":"mine","self_ns":"mine",
    "a.b":1,"a_b":2,"a[0]":3,"a_0_":4,".":5,"..":6,"x.":7,".x":8,"_":9,"__":10,"":11,
    "nul\u0000key":"\u0000nul\u0000","http.method":"GET","cause":{"stack":1,"time":2}}"#;

/// Fields that are not nice.
fn fields() -> impl Strategy<Value = Option<String>> {
    let nice = any::<(i64, bool, String)>().prop_map(|(number, flag, text)| {
        let value = serde_json::json!({
            "number": number, "flag": flag, "text": text, "float": 0.5, "none": null,
            "list": [1, "two", {"three": 3}], "large": u64::MAX, "k\"e\ny": "v",
        });
        Some(value.to_string())
    });
    prop_oneof![
        4 => Just(None),
        4 => nice,
        1 => Just(Some(NASTY_FIELDS.to_owned())),
        1 => Just(Some("{\"lone\":\"\\ud800\"}".to_owned())),
        1 => Just(Some("no JSON".to_owned())),
        1 => Just(Some(format!("{{\"huge\":\"{}\"}}", "x".repeat(100_000)))),
    ]
}

/// Any forest: parents of later or earlier start, missing ones, unfinished spans, children that outlive
/// parents, spans without length, equal times, times at the ends of what can be stored.
pub fn forests() -> impl Strategy<Value = Given> {
    let time = prop_oneof![
        12 => 0_i64..60,
        4 => 0_i64..2_000_000_000,
        1 => Just(i64::MAX),
        1 => Just(i64::MIN),
    ];
    let length = prop_oneof![8 => 0_i64..30, 2 => Just(i64::MAX)];
    let span = (
        proptest::option::of(0_usize..30),
        proptest::bool::weighted(0.05),
        time.clone(),
        proptest::option::weighted(0.9, length),
        0_usize..names().len(),
        0_usize..3,
        fields(),
    );
    let event = (proptest::option::of(0_usize..30), time, any::<String>());
    (
        proptest::collection::vec(span, 0..40),
        proptest::collection::vec(event, 0..10),
        proptest::collection::vec((0_usize..30, 0_usize..30), 0..8),
    )
        .prop_map(|(spans, events, links)| {
            let spans: Vec<SpanSpec> = spans
                .into_iter()
                .enumerate()
                .map(|(at, (parent, orphan, start_ns, duration_ns, name, thread, fields))| {
                    let parent = parent.filter(|parent| *parent < at);
                    SpanSpec { parent, orphan, start_ns, duration_ns, name, thread, fields }
                })
                .collect();
            let count = spans.len();
            Given {
                events: events
                    .into_iter()
                    .map(|(span, at_ns, text)| (span.filter(|at| *at < count), at_ns, text))
                    .collect(),
                links: links
                    .into_iter()
                    .filter(|(span, follows)| *span < count && *follows < count)
                    .collect(),
                marks: vec![(5, None, "deploy \"1\"".into()), (7, Some(20), "section\n".into())],
                losses: vec![(3, 9, 12)],
                entries: Vec::new(),
                spans,
                names: names(),
                threads: threads(),
            }
        })
}
