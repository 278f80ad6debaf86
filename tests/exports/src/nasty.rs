//! A profile of all that formats stumble over, and its rows as SQLite has them.

use std::path::PathBuf;

use rusqlite::Connection;
use spandrel_export::{Settings, Source, Written, export};
use spandrel_query::{Reader, Run};
use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, EventRow, LinkRow, RunInfo, SpanRow, Status, Store,
    StoreOptions,
};
use tempfile::TempDir;

use crate::profile::{STARTED_UNIX_NS, UUID};

/// A profile in a temporary folder.
#[derive(Debug)]
pub struct Nasty {
    pub folder: TempDir,
    pub path: PathBuf,
    pub run: Run,
}

/// A span as the file has it, with its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub id: u64,
    pub parent_id: Option<u64>,
    pub root_id: u64,
    pub name: String,
    pub target: String,
    pub level: String,
    pub file: Option<String>,
    pub line: Option<i64>,
    /// Of the longest entry.
    pub thread_os_id: i64,
    pub thread_name: Option<String>,
    /// The thread that made it, if that is another one.
    pub made_on: Option<String>,
    pub first_entry_ns: Option<i64>,
    pub longest_entry_ns: Option<i64>,
    pub last_exit_ns: Option<i64>,
    pub start_ns: i64,
    pub duration_ns: Option<i64>,
    pub busy_ns: Option<i64>,
    pub self_ns: Option<i64>,
    pub entries: i64,
    pub status: String,
    pub fields: Option<String>,
}

/// An event of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: u64,
    pub span_id: u64,
    pub at_ns: i64,
    pub level: String,
    pub target: String,
    pub message: Option<String>,
    pub fields: Option<String>,
}

/// Fields that are named as what spandrel says of a span.
pub const LIKE_OURS: &str = r#"{"level":"low","target":"theirs","entries":-1,"thread.name":"t","thread.id":5,
    "busy_ns":"x","self_ns":null,"code.file.path":"theirs.rs","spandrel.entries":"theirs",
    "spandrel.level":7,"status":"s","name":"n","id":"i"}"#;

/// Numbers that many readers have no place for.
pub const HUGE: &str = r#"{"u64":18446744073709551615,"i64":-9223372036854775808,"max":9223372036854775807,
    "over":9223372036854775808,"u128":340282366920938463463374607431768211455,
    "i128":-170141183460469231731687303715884105728,"nan":"NaN","inf":"-inf","float":1e300,
    "tiny":5e-324,"minus_zero":-0.0}"#;

struct Making {
    store: Store,
    batch: Batch,
}

impl Making {
    fn callsite(&mut self, kind: CallsiteKind, name: &str, level: &'static str, line: u32) -> i64 {
        let named = |name: &str| CallsiteInfo {
            kind,
            name: name.into(),
            target: "shop\u{0}::cart".into(),
            level,
            module: Some("shop::cart".into()),
            file: Some("src/cart \"1\".rs".into()),
            line: Some(line),
        };
        self.store.intern_callsite(&named(name))
    }

    fn text(&mut self, text: &str) -> std::ops::Range<usize> {
        let from = self.batch.text.len();
        self.batch.text.push_str(text);
        from..self.batch.text.len()
    }

    fn event(&mut self, id: u64, span_id: u64, site: i64, thread: i64, said: [&str; 2]) {
        let [message, fields] = said.map(|text| self.text(text));
        let at_ns = id as i64;
        let row =
            EventRow { id, span_id, callsite_id: site, thread_id: thread, at_ns, message, fields };
        self.batch.events.push(row);
    }
}

/// Id, parent, callsite, thread, start, duration, busy, self, status, fields.
type Spec<'a> = (u64, u64, i64, i64, i64, Option<i64>, i64, i64, Status, &'a str);

/// Two requests: one of async code on three threads, with all that is odd; one that is unfinished.
pub fn nasty() -> Nasty {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nasty.db");
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    let info = RunInfo {
        uuid: UUID.into(),
        label: Some("nasty".into()),
        started_unix_ns: STARTED_UNIX_NS,
        pid: 77,
        program: "/opt/shop \"1\"/shop".into(),
        args: "[]".into(),
        host: "host".into(),
        os: "linux x86_64".into(),
        cpus: 2,
        clock: "tsc".into(),
        settings: "{}".into(),
    };
    let run_id = store.begin_run(&info).unwrap();
    let main = store.intern_thread(1, 4711, Some("main"));
    let worker = store.intern_thread(2, 4712, Some("worker"));
    let again = store.intern_thread(3, 4713, Some("worker"));
    let nameless = store.intern_thread(4, 4714, None);
    let mut making = Making { store, batch: Batch::default() };
    let request = making.callsite(CallsiteKind::Span, "request", "INFO", 7);
    let query = making.callsite(CallsiteKind::Span, "query", "DEBUG", 9);
    let query_too = making.callsite(CallsiteKind::Span, "query", "DEBUG", 90);
    let nul = making.callsite(CallsiteKind::Span, "n\u{0}u;l\n\u{202e}", "TRACE", 11);
    let no_name = making.callsite(CallsiteKind::Span, "", "INFO", 13);
    let note = making.callsite(CallsiteKind::Event, "event src/cart.rs:9", "INFO", 9);
    let fault = making.callsite(CallsiteKind::Event, "event src/cart.rs:10", "ERROR", 10);
    let named = making.callsite(CallsiteKind::Event, "cart.lost", "ERROR", 11);
    let otel = r#"{"otel.name":"GET /cart/{id}","otel.kind":"server","otel.status_code":"ok",
        "http.route":"/cart/{id}"}"#;
    let why = r#"{"otel.status_description":"out of\u0000stock","otel.kind":"sideways"}"#;
    let twice = r#"{"a":1,"b":2,"a":"last"}"#;
    let rows: [Spec<'_>; 16] = [
        (10, 0, request, main, 0, Some(1000), 100, 350, Status::Ok, otel),
        // Siblings that overlap, on other threads than their parent, with one name of a thread.
        (11, 10, query, worker, 100, Some(500), 200, 500, Status::Ok, LIKE_OURS),
        (12, 10, query, again, 300, Some(400), 300, 300, Status::Error, HUGE),
        (13, 12, query_too, nameless, 350, Some(100), 100, 100, Status::Ok, ""),
        // No length, at the same moment as another one.
        (14, 10, nul, main, 700, Some(0), 0, 0, Status::Ok, r#"{"n\u0000":"a\u0000b"}"#),
        (15, 10, nul, main, 700, Some(0), 0, 0, Status::Panicked, ""),
        // Outlives its parent, and begins after it has ended.
        (16, 10, no_name, worker, 900, Some(5000), 10, 5000, Status::Error, why),
        (17, 10, query, worker, 2000, Some(5), 5, 5, Status::Ok, twice),
        // A parent that is not stored.
        (18, 5, query, main, 40, Some(7), 7, 7, Status::Ok, "no JSON"),
        // The same name inside of itself.
        (19, 11, query, worker, 110, Some(50), 50, 20, Status::Ok, "{}"),
        (20, 19, query, worker, 120, Some(30), 30, 30, Status::Ok, ""),
        (30, 0, request, main, 8000, None, 60, 0, Status::Unfinished, r#"{"open":true}"#),
        (31, 30, query, main, 8100, Some(90), 90, 90, Status::Error, ""),
        (32, 31, query, main, 8150, None, 1, 0, Status::Crashed, ""),
        (33, 30, query_too, nameless, 8200, Some(i64::MAX / 4), 1, 3, Status::Ok, ""),
        (34, 0, nul, nameless, -50, Some(20), 20, 20, Status::Ok, r#"{"x":"\ud83d\ude00\u202e"}"#),
    ];
    for row in rows {
        let (id, parent_id, callsite_id, thread_id, start_ns, duration_ns, busy, own, status, text) =
            row;
        let roots = [(5, 5), (18, 5), (34, 34)];
        let root = roots.iter().find(|(of, _)| *of == id).map(|(_, root)| *root);
        let root_id = root.unwrap_or(if id < 30 { 10 } else { 30 });
        let fields = making.text(text);
        making.batch.spans.push(SpanRow {
            id,
            parent_id,
            root_id,
            callsite_id,
            thread_id,
            start_ns,
            duration_ns,
            busy_ns: Some(busy),
            self_ns: duration_ns.map(|_| own),
            self_busy_ns: (id % 3 == 1).then_some(2),
            entries: id % 4,
            first_entry_ns: (id % 4 > 0).then_some(5),
            longest_entry_ns: (id % 4 > 1).then_some(3),
            last_exit_ns: (id % 4 > 1).then_some(9),
            longest_thread_id: if id % 4 == 3 { again } else { 0 },
            status,
            fields,
        });
    }
    making.event(100, 12, note, again, ["a\u{0}note", LIKE_OURS]);
    making.event(101, 12, fault, again, ["", r#"{"error":"no route: refused"}"#]);
    let told = r#"{"exception.type":"Timeout","exception.stacktrace":"at\nsrc"}"#;
    making.event(102, 31, fault, main, ["it took too long", told]);
    making.event(103, 16, named, worker, ["gone", r#"{"err":"lost","message":"theirs"}"#]);
    making.event(104, 16, fault, worker, ["no field says what", r#"{"error":true}"#]);
    making.event(105, 16, note, worker, ["not so bad", r#"{"error":"a warning"}"#]);
    making.event(106, 0, note, main, ["in no span", ""]);
    for (span_id, follows_id) in [(31, 12), (31, 10), (11, 13), (17, 5), (34, 34), (31, 12)] {
        making.batch.links.push(LinkRow { span_id, follows_id });
    }
    making.store.append(&mut making.batch).unwrap();
    making.store.end_run(STARTED_UNIX_NS + 10_000, "{}").unwrap();
    making.store.close().unwrap();
    let run = Reader::open(&path).unwrap().run(run_id).unwrap().unwrap();
    Nasty { folder, path, run }
}

impl Nasty {
    pub fn reader(&self) -> Reader {
        Reader::open(&self.path).unwrap()
    }

    /// Exports all of it.
    pub fn export(&self, settings: &Settings) -> (Vec<u8>, Written) {
        let reader = self.reader();
        let mut out = Vec::new();
        let mut source = Source::new(&reader, &self.run);
        let written = export(&mut source, settings, &mut out).unwrap();
        assert_eq!(written.bytes, out.len() as u64);
        (out, written)
    }

    /// The spans, asked of SQLite itself.
    pub fn rows(&self) -> Vec<Row> {
        rows(&self.path)
    }

    pub fn events(&self) -> Vec<Event> {
        let conn = Connection::open(&self.path).unwrap();
        let sql = "SELECT e.id, e.span_id, e.at_ns, c.level, c.target, e.message, e.fields
            FROM event AS e JOIN callsite AS c ON c.id = e.callsite_id
            WHERE e.span_id IS NOT NULL ORDER BY e.id";
        let mut query = conn.prepare(sql).unwrap();
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Event {
                id: row.get::<_, i64>(0)? as u64,
                span_id: row.get::<_, i64>(1)? as u64,
                at_ns: row.get(2)?,
                level: row.get(3)?,
                target: row.get(4)?,
                message: row.get(5)?,
                fields: row.get(6)?,
            })
        };
        query.query_map([], read).unwrap().map(Result::unwrap).collect()
    }

    /// The links, as `(span, follows)`.
    pub fn links(&self) -> Vec<(u64, u64)> {
        let conn = Connection::open(&self.path).unwrap();
        let mut query =
            conn.prepare("SELECT span_id, follows_id FROM link ORDER BY rowid").unwrap();
        let read = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64))
        };
        query.query_map([], read).unwrap().map(Result::unwrap).collect()
    }
}

/// The spans of a file, asked of SQLite itself.
pub fn rows(path: &std::path::Path) -> Vec<Row> {
    let conn = Connection::open(path).unwrap();
    let sql = "SELECT s.id, s.parent_id, s.root_id, c.name, c.target, c.level, c.file, c.line,
          t.os_id, t.name, s.start_ns, s.duration_ns, s.busy_ns, s.self_ns, s.entries, s.status, s.fields,
          CASE WHEN m.id <> t.id THEN coalesce(m.name, 'thread ' || m.os_id) END, s.first_entry_ns,
          CASE WHEN s.entries = 1 THEN s.busy_ns ELSE s.longest_entry_ns END,
          CASE WHEN s.entries = 1 THEN s.first_entry_ns + s.busy_ns ELSE s.last_exit_ns END
        FROM span AS s JOIN callsite AS c ON c.id = s.callsite_id
        JOIN thread AS t ON t.id = coalesce(s.longest_thread_id, s.thread_id)
        JOIN thread AS m ON m.id = s.thread_id ORDER BY s.id";
    let mut query = conn.prepare(sql).unwrap();
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Row {
            id: row.get::<_, i64>(0)? as u64,
            parent_id: row.get::<_, Option<i64>>(1)?.map(|id| id as u64),
            root_id: row.get::<_, i64>(2)? as u64,
            name: row.get(3)?,
            target: row.get(4)?,
            level: row.get(5)?,
            file: row.get(6)?,
            line: row.get(7)?,
            thread_os_id: row.get(8)?,
            thread_name: row.get(9)?,
            start_ns: row.get(10)?,
            duration_ns: row.get(11)?,
            busy_ns: row.get(12)?,
            self_ns: row.get(13)?,
            entries: row.get(14)?,
            status: row.get(15)?,
            fields: row.get(16)?,
            made_on: row.get(17)?,
            first_entry_ns: row.get(18)?,
            longest_entry_ns: row.get(19)?,
            last_exit_ns: row.get(20)?,
        })
    };
    query.query_map([], read).unwrap().map(Result::unwrap).collect()
}
