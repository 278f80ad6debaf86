//! Runs that were recorded beside each other, with ids of one on both sides of another one's: every command says of each run
//! what it says where they were recorded one after the other.

use std::collections::HashMap;
use std::path::PathBuf;

use spandrel_storage::{
    Batch, CallsiteKind, EntryRow, EventRow, LinkRow, LossRow, MarkRow, OpenSpanRow, RunAside,
    RunInfo, SpanRow, Status, Store, StoreOptions,
};
use tempfile::TempDir;

use super::fixture::{bare, callsite, info, push};

const RUNS: u64 = 3;
const REQUESTS: u64 = 360;
/// Ids that a request takes.
const IDS: u64 = 16;
const PIECES: u64 = 3;
/// Commits of each run; the last one ends within a piece.
const COMMITS: u64 = 5;
const MS: i64 = 1_000_000;
/// Nothing else that is said has as many digits.
const BASE: u64 = 5_000_000_000_000;

/// Where ids of runs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ids {
    InARow,
    /// In turns, piece by piece, without anything between them.
    Beside,
    /// The same, far apart.
    FarApart,
}

impl Ids {
    /// What an id of a run is in the profile.
    fn of(self, run: u64, id: u64) -> u64 {
        let all = IDS * (REQUESTS + 1);
        // A request is in two pieces.
        let length = all / PIECES + 2;
        let piece = id / length;
        let at = match self {
            Self::InARow => run * PIECES * length + id,
            Self::Beside => (piece * RUNS + run) * length + id % length,
            Self::FarApart => (piece * RUNS + run) * 70_000_000_000 + id % length,
        };
        BASE + at
    }

    /// What is said, with the numbers that ids have in their run.
    fn as_in_runs(self, text: &str) -> String {
        let all: HashMap<u64, String> = (0..RUNS)
            .flat_map(|run| (0..IDS * (REQUESTS + 1)).map(move |id| (run, id)))
            .map(|(run, id)| (self.of(run, id), format!("<{run}.{id}>")))
            .collect();
        let mut said = String::new();
        let mut digits = String::new();
        for c in text.chars().chain(['\n']) {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            let id = digits.parse().ok().filter(|_| digits.len() == 13);
            said.push_str(id.and_then(|id| all.get(&id)).unwrap_or(&digits));
            digits.clear();
            said.push(c);
        }
        said
    }
}

struct Written {
    _folder: TempDir,
    path: PathBuf,
    ids: Ids,
}

fn write(ids: Ids) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let options = StoreOptions { page_size: 4_096, ..StoreOptions::default() };
    let mut store = Store::open(&path, &options).unwrap();
    let mut runs: Vec<Option<RunAside>> = Vec::new();
    for run in 0..RUNS {
        // They began one second after the other.
        let started_unix_ns = info(1).started_unix_ns + run as i64 * 1_000 * MS;
        let info = RunInfo { started_unix_ns, ..info(run as u32 + 1) };
        store.begin_run_at(&info, ids.of(run, 0), run as i64 * 1_000).unwrap();
        runs.push(store.set_run_aside());
    }
    for commit in 0..COMMITS {
        for run in 0..RUNS {
            let aside = &mut runs[run as usize];
            store.take_run_up(aside.take().unwrap());
            let mut batch = batch(&mut store, run, commit, |id| ids.of(run, id));
            store.append(&mut batch).unwrap();
            *aside = store.set_run_aside();
        }
    }
    for run in 0..RUNS {
        store.take_run_up(runs[run as usize].take().unwrap());
        let ended = info(1).started_unix_ns + (run as i64 * 1_000 + 5_000) * MS;
        store.end_run(ended, r#"{"timed_out":false}"#).unwrap();
    }
    store.close().unwrap();
    Written { _folder: folder, path, ids }
}

/// Requests with a query and an event each; and what only one of the runs has.
fn batch(store: &mut Store, run: u64, commit: u64, id: impl Fn(u64) -> u64) -> Batch {
    let names = ["request", "query", "socket", "spawner", "task", "nested", "idle"];
    let [request, query, socket, spawner, task, nested, idle] =
        names.map(|name| callsite(store, name, CallsiteKind::Span));
    let event = callsite(store, "event src/main.rs:9", CallsiteKind::Event);
    let thread_id = store.intern_thread(1, 77, Some("worker"));
    let other = store.intern_thread(2, 78, Some("other"));
    let mut batch = Batch::default();
    let first = |commit: u64| REQUESTS * commit / COMMITS;
    let row = |at: u64, parent: Option<u64>, callsite_id, start_ns, duration_ns| SpanRow {
        id: id(at),
        parent_id: parent.map_or(0, &id),
        root_id: parent.map_or(id(at), &id),
        callsite_id,
        thread_id,
        start_ns,
        duration_ns: Some(duration_ns),
        busy_ns: Some(duration_ns),
        self_ns: Some(duration_ns),
        entries: 1,
        ..SpanRow::default()
    };
    for n in first(commit)..first(commit + 1) {
        let at = n * IDS;
        let start_ns = n as i64 * 10 * MS;
        let query_ns = (n as i64 % 7 + 1 + run as i64) * MS / 2;
        let status = if n % 9 == 8 { Status::Error } else { Status::Ok };
        let fields = format!(r#"{{"shard":{},"route":"/{}"}}"#, n % 5, n % 3);
        let fields = push(&mut batch.text, &fields);
        let busy_ns = query_ns + MS / 4;
        batch.spans.push(SpanRow {
            self_ns: Some(MS / 4),
            self_busy_ns: Some(MS / 4),
            status,
            fields,
            ..row(at, None, request, start_ns, busy_ns)
        });
        batch.spans.push(row(at + 1, Some(at), query, start_ns + MS / 8, query_ns));
        let message = push(&mut batch.text, "no answer");
        let fields = push(&mut batch.text, &format!(r#"{{"n":{n}}}"#));
        if n % 3 == 2 {
            batch.events.push(EventRow {
                id: id(at + 2),
                span_id: id(at + n % 2),
                callsite_id: event,
                thread_id,
                at_ns: start_ns + MS / 4,
                message,
                fields,
            });
        }
        if n > 0 && n % 4 == 3 {
            batch.links.push(LinkRow { span_id: id(at), follows_id: id(at - IDS * 3) });
        }
        // A socket lives through it all; each request is an entry of it.
        batch.entries.push(EntryRow {
            id: id(at + 3),
            span_id: id(4),
            callsite_id: socket,
            thread_id: other,
            start_ns: start_ns + MS,
            duration_ns: if n % 50 == 49 { 8 * MS } else { MS },
            around_id: 0,
            self_ns: Some(MS),
            earlier_entries: 0,
            earlier_ns: 0,
        });
        match run {
            // Its work ends at once, and the task in it later.
            1 => {
                let of_spawner = row(at + 5, None, spawner, start_ns, 6 * MS);
                batch.spans.push(SpanRow {
                    busy_ns: Some(MS),
                    self_ns: Some(MS),
                    first_entry_ns: Some(0),
                    ..of_spawner
                });
                batch.spans.push(row(at + 6, Some(at + 5), task, start_ns + MS / 2, 11 * MS / 2));
            }
            // In itself again and again.
            2 => {
                for depth in 0..6 {
                    let parent = (depth > 0).then(|| at + 6 + depth);
                    let nested = row(at + 7 + depth, parent, nested, start_ns + depth as i64, MS);
                    batch.spans.push(SpanRow { root_id: id(at + 7), ..nested });
                }
                if n % 10 == 0 {
                    let idle = row(at + 14, None, idle, start_ns, 2_000 * MS);
                    batch.spans.push(SpanRow {
                        busy_ns: Some(MS),
                        self_busy_ns: Some(MS),
                        self_ns: Some(2_000 * MS),
                        entries: 5,
                        first_entry_ns: Some(0),
                        longest_entry_ns: Some(MS / 2),
                        last_exit_ns: Some(2_000 * MS),
                        ..idle
                    });
                }
            }
            _ => {}
        }
    }
    let label = format!("part {commit} of {run}");
    let at_ns = first(commit) as i64 * 10 * MS;
    batch.marks.push(MarkRow {
        id: 1 + run * 1_000 + commit,
        at_ns,
        until_ns: (commit % 2 == 1).then_some(at_ns + 100 * MS),
        label,
        fields: None,
    });
    if commit == 2 {
        batch.losses.push(LossRow {
            reason: "ring_full",
            from_ns: 1_000 * MS,
            to_ns: 1_200 * MS,
            spans: 5 + run,
            events: 1,
            entries: 0,
            thread_id: None,
        });
    }
    if commit + 1 == COMMITS {
        let length_ns = REQUESTS as i64 * 10 * MS;
        batch.spans.push(SpanRow {
            thread_id: other,
            busy_ns: Some(REQUESTS as i64 * MS),
            self_ns: None,
            entries: REQUESTS,
            first_entry_ns: Some(MS),
            longest_entry_ns: Some(8 * MS),
            last_exit_ns: Some(length_ns - MS),
            ..row(4, None, socket, 0, length_ns)
        });
        let open = |at, start_ns| SpanRow {
            duration_ns: None,
            self_ns: None,
            status: if run == 0 { Status::Crashed } else { Status::Unfinished },
            ..row(at, None, request, start_ns, 0)
        };
        let end = REQUESTS * IDS;
        if run + 1 < RUNS {
            batch.spans.extend([open(end, length_ns), open(end / 2 + 15, length_ns / 2)]);
        } else {
            let seen_ns = length_ns + 5 * MS;
            let listed = [(end / 2 + 15, length_ns / 2), (end, length_ns)];
            let listed = listed.map(|(at, ns)| OpenSpanRow { span: open(at, ns), seen_ns });
            batch.open_spans = Some(listed.into());
        }
    }
    batch
}

/// What commands say of one run.
const OF_RUN: &[&str] = &[
    "top -v",
    "top --by callsite",
    "top --by thread",
    "top --by field.shard",
    "top --exact --sort p99",
    "top --since +1200ms --until +2500ms",
    "top -w dur>2ms",
    "slow -n 40 -v",
    "slow request --by self",
    "slow -w has:error -n 0",
    "slow --since +1200ms",
    "stalls --blocking 1us",
    "stalls --blocking 1us --all-threads --since +1s",
    "tree",
    "tree --events -w name=query",
    "tree --since +2s",
    "open",
    "explain request --sel p90..",
    "explain query --sel p50.. --against all",
    "flame",
    "flame --weight calls --since +1s --until +3s",
    "flame -w shard=1",
    "hist request",
    "hist query --since +1500ms",
    "info",
    "doctor",
    "tail -n 30 --events",
    "sql --recipe top",
    "sql --recipe percentiles",
    "sql --recipe timeline",
    "sql --recipe waiting",
    "sql --recipe children",
    "sql --recipe fields",
    "sql --recipe errors",
    "sql --recipe unfinished",
    "sql --recipe events",
    "sql --recipe threads",
    "sql --recipe concurrency",
    "sql --recipe callsites",
    "sql --recipe losses",
    "sql --recipe errors --since +2s",
    "export perfetto",
    "export chrome",
    "export speedscope",
    "export folded --weight calls",
    "export folded --since +1s --until +2s",
    "export pprof",
    "export firefox",
    "export otlp-json",
    "export csv",
    "export csv --entries",
    "export ndjson",
    "export ndjson --entries --since +2s",
    "export ndjson -w has:error",
];

/// What differs without a difference: where the file is, how large, and how long something took.
fn without_the_file(said: &str, folder: &str) -> String {
    let lines = said.lines().map(|line| match line {
        _ if line.contains("/p.db ") || line.ends_with("everything included") => "",
        _ => line.split_once(" matched of ").map_or(line, |(before, _)| before),
    });
    lines.collect::<Vec<_>>().join("\n").replace(folder, "")
}

/// Ids of another kind, by when they come first.
fn by_their_order(said: &str) -> String {
    let mut numbers = HashMap::new();
    let parts = said.split('"').map(|part| {
        let is_id = [16, 32].contains(&part.len()) && part.chars().all(|c| c.is_ascii_hexdigit());
        let next = numbers.len();
        if is_id { format!("<{}>", numbers.entry(part).or_insert(next)) } else { part.to_owned() }
    });
    parts.collect::<Vec<_>>().join("\"")
}

fn said(written: &Written, words: &[&str]) -> String {
    let folder = written.path.parent().unwrap();
    let mut command = bare(words);
    command.arg("--db").arg(&written.path).current_dir(folder);
    let out = command.output().unwrap();
    if words.contains(&"perfetto") {
        // Its ids are numbers of so many bytes.
        return format!("{} bytes, {:?}", out.stdout.len(), out.status.code());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let aside = format!("\n--- aside\n{}--- {:?}", text(&out.stderr), out.status.code());
    let said = without_the_file(&(text(&out.stdout) + &aside), folder.to_str().unwrap());
    let said = if words.contains(&"otlp-json") { by_their_order(&said) } else { said };
    written.ids.as_in_runs(&said)
}

/// The document of a page.
fn report(written: &Written, run: &str) -> String {
    let page = written.path.with_file_name(format!("{run}.html"));
    let mut command = bare(&["report", "-q", "--run", run, "-o", page.to_str().unwrap()]);
    assert!(command.arg("--db").arg(&written.path).status().unwrap().success());
    let document = super::fixture::document(&std::fs::read_to_string(page).unwrap());
    let folder = written.path.parent().unwrap().to_str().unwrap();
    let lines = document.to_string().replace(",", ",\n");
    written.ids.as_in_runs(&without_the_file(&lines, folder))
}

/// Compares what is said of a run.
fn differing_of(one: &Written, other: &Written, run: &str) -> Vec<String> {
    let of_command = OF_RUN.iter().map(|command| {
        let mut words: Vec<&str> = command.split(' ').collect();
        words.extend(["--run", run]);
        (*command, [one, other].map(|written| said(written, &words)))
    });
    let reports = [one, other].map(|written| report(written, run));
    let mut differing = Vec::new();
    for (command, both) in of_command.chain([("report", reports)]) {
        if both[0] == both[1] {
            continue;
        }
        let cut = |line: &str| line.chars().take(300).collect::<String>();
        let lines = both[0].lines().zip(both[1].lines()).filter(|(one, other)| one != other);
        let lines =
            lines.take(2).map(|(one, other)| format!("\n    {}\n    {}", cut(one), cut(other)));
        differing.push(format!(
            "{:?}: {command} --run {run}{}",
            other.ids,
            lines.collect::<String>()
        ));
    }
    differing
}

fn assert_same(one: &Written, other: &Written) {
    let found: Vec<String> = std::thread::scope(|scope| {
        let runs = ["1", "2", "3"].map(|run| scope.spawn(move || differing_of(one, other, run)));
        runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn commands_say_of_runs_beside_each_other_what_they_say_of_runs_in_a_row() {
    assert_same(&write(Ids::InARow), &write(Ids::Beside));
}

#[test]
fn the_same_with_indexes() {
    let both = [Ids::InARow, Ids::FarApart].map(write);
    for written in &both {
        let mut command = bare(&["optimize", "-q"]);
        assert!(command.arg("--db").arg(&written.path).status().unwrap().success());
    }
    assert_same(&both[0], &both[1]);
}

#[test]
fn the_same_when_what_was_too_old_is_gone() {
    let both = [Ids::InARow, Ids::FarApart].map(write);
    for written in &both {
        let mut store = Store::open(&written.path, &StoreOptions::default()).unwrap();
        // In the middle of a commit, and in each run at another moment.
        let cutoff = info(1).started_unix_ns + 2_530 * MS;
        while store.prune_before(cutoff).unwrap().more {}
        store.close().unwrap();
    }
    assert_same(&both[0], &both[1]);
}

#[test]
fn of_runs_that_are_to_go_nothing_stays() {
    for ids in [Ids::InARow, Ids::Beside] {
        let written = write(ids);
        let conn = rusqlite::Connection::open(&written.path).unwrap();
        let count = |sql: &str| -> i64 { conn.query_row(sql, [], |row| row.get(0)).unwrap() };
        let of_last = count("SELECT count(*) FROM span WHERE run_id = 3");
        let would = super::fixture::json(&written.path, &["prune", "--runs", "1", "--dry-run"]);
        let did = super::fixture::json(&written.path, &["prune", "--runs", "1"]);
        assert_eq!(would["rows"][0]["spans"], did["rows"][0]["spans"], "{ids:?}");
        for table in ["span", "event", "entry", "rollup", "mark"] {
            let of_others = count(&format!("SELECT count(*) FROM {table} WHERE run_id < 3"));
            assert_eq!(of_others, 0, "{table}, {ids:?}");
        }
        assert_eq!(count("SELECT count(*) FROM span"), of_last, "{ids:?}");
    }
}
