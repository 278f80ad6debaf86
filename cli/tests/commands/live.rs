//! A profile that is recorded into meanwhile: each span is followed once, marks arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::TryRecvError;
use std::thread;
use std::time::Duration;

use spandrel::Profiler;
use spandrel_query::Reader;
use tracing_subscriber::layer::SubscriberExt;

use super::fixture::{bare, run, spandrel};

/// Spans from several threads, some of which stay open for long, so that ids are committed in disorder.
fn work(profiler: &Profiler, done: &AtomicBool) {
    let subscriber = Arc::new(tracing_subscriber::registry().with(profiler.layer()));
    thread::scope(|scope| {
        for _ in 0..3 {
            let subscriber = subscriber.clone();
            scope.spawn(move || {
                let _default = tracing::subscriber::set_default(subscriber);
                let mut long = std::collections::VecDeque::new();
                let mut number = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    number += 1;
                    let _span = tracing::info_span!("short", number).entered();
                    if number.is_multiple_of(10) {
                        long.push_back(tracing::info_span!("long", number));
                    }
                    if long.len() > 200 {
                        long.pop_front();
                    }
                    if number.is_multiple_of(50) {
                        thread::yield_now();
                    }
                }
            });
        }
    });
}

/// The lines of `spandrel tail` on a recording that does `work` when the following has begun.
pub fn followed(path: &Path, words: &[&str], work: impl FnOnce()) -> Vec<String> {
    let profiler = Profiler::builder().database(path).build().unwrap();
    let marked = "a first span, to see that the following has begun";
    let subscriber = Arc::new(tracing_subscriber::registry().with(profiler.layer()));
    let _default = tracing::subscriber::set_default(subscriber);
    let db = path.to_str().unwrap();
    let mut command = bare(&[&["tail", "--db", db], words].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    let out = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        BufReader::new(out).lines().try_for_each(|line| sender.send(line.unwrap()))
    });
    // One of these is committed after the following has begun.
    let first = loop {
        drop(tracing::error_span!(target: "first", "first", marked));
        profiler.flush(Duration::from_secs(60)).unwrap();
        match lines.try_recv() {
            Ok(line) => break line,
            Err(TryRecvError::Empty) => thread::yield_now(),
            Err(TryRecvError::Disconnected) => panic!("tail has ended: {:?}", child.wait()),
        }
    };
    work();
    profiler.close().unwrap();
    reader.join().unwrap().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let all = std::iter::once(first).chain(lines);
    all.filter(|line| !line.contains(marked)).collect()
}

#[test]
fn no_span_is_missed_and_none_comes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.db");
    let profiler = Profiler::builder().database(&path).build().unwrap();
    let done = AtomicBool::new(false);
    let mut command = bare(&["tail", "-f", "csv", "--db", path.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The header comes when the following has begun; nothing is recorded before.
    assert!(lines.next().unwrap().unwrap().starts_with("kind,run,id,"));
    let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
    let mut note = |line: String| {
        *seen.entry(line.split(',').nth(2).unwrap().parse().unwrap()).or_default() += 1;
    };
    thread::scope(|scope| {
        scope.spawn(|| work(&profiler, &done));
        (&mut lines).take(20_000).for_each(|line| note(line.unwrap()));
        done.store(true, Ordering::Relaxed);
    });
    profiler.close().unwrap();
    lines.for_each(|line| note(line.unwrap()));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("run 1 has ended") && !said.contains("came too late"), "{said}");
    assert_eq!(seen.values().max(), Some(&1), "some came twice");
    let mut stored = BTreeSet::new();
    Reader::open(&path)
        .unwrap()
        .spans(1, |span| {
            stored.insert(span.id);
        })
        .unwrap();
    assert!(stored.len() > 20_000 && seen.keys().eq(&stored), "{} of {}", seen.len(), stored.len());
}

#[test]
fn events_are_asked_for_what_they_have() {
    let folder = tempfile::tempdir().unwrap();
    let said = |name: &str, filter: &str| -> Vec<String> {
        let filter = format!("target=first or {filter}");
        let words = ["-f", "csv", "--events", "-w", &filter];
        let lines = followed(&folder.path().join(name), &words, || {
            let _span = tracing::info_span!("around").entered();
            tracing::warn!(shard = 7, "no answer");
            tracing::info!(shard = 8, "an answer");
        });
        let of = |line: &String| line.split(',').next().unwrap().to_owned();
        let events = lines.iter().filter(|line| line.contains("answer"));
        let spans = lines.iter().filter(|line| line.contains(",around,"));
        events.chain(spans).map(of).collect()
    };
    assert_eq!(said("a.db", "field.shard=7"), ["event"]);
    assert_eq!(said("b.db", "level<=warn or dur>=0s"), ["event", "span"]);
    assert_eq!(said("c.db", "dur>=0s"), ["span"], "an event has no duration");
    assert_eq!(said("d.db", "field.message~answer"), ["event", "event"]);
    assert_eq!(said("e.db", "not dur>1h"), ["event", "event", "span"]);
}

#[test]
fn conditions_that_no_event_meets_are_named() {
    let tail = |filter: &str| run(&mut spandrel(&["tail", "--events", "-w", filter])).1;
    let err = tail("level=warn or dur>1s status=ok");
    assert!(err.starts_with("false for each event: dur>1s, status=ok\n"), "{err}");
    assert!(!tail("level=warn field.a=1").contains("false for"), "all can be asked of events");
}

#[test]
fn a_mark_arrives_and_a_wrong_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.db");
    let profiler = Profiler::builder().database(&path).build().unwrap();
    let mark = |words: &[&str]| run(bare(&["mark"]).args(words).arg("--db").arg(&path));
    let (out, err, code) = mark(&["deploy", "--field", "commit=e4f5a6b", "--field", "canary=true"]);
    assert_eq!((out.as_str(), code), ("deploy set\n", 0), "{err}");
    assert_eq!(mark(&["warm up", "--begin"]).2, 0);
    assert_eq!(mark(&["warm up", "--end"]).2, 0);
    let (_, err, code) = mark(&["never begun", "--end"]);
    assert_eq!(code, 6, "{err}");
    assert!(err.contains("no section of this name"), "{err}");
    profiler.close().unwrap();
    assert_eq!(mark(&["too late"]).2, 6);
    let marks = Reader::open(&path).unwrap().marks(1).unwrap();
    let labels: Vec<_> =
        marks.iter().map(|mark| (mark.label.as_str(), mark.until_ns.is_some())).collect();
    assert_eq!(labels, [("deploy", false), ("warm up", true)]);
    assert_eq!(marks[0].fields.as_deref(), Some(r#"{"commit":"e4f5a6b","canary":true}"#));
}

#[test]
fn a_program_that_records_is_never_said_not_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.db");
    let requests = folder.path().join("live.db-ctl");
    let profiler = Profiler::builder().database(&path).build().unwrap();
    let ask = |words: &[&str]| {
        let (out, err, code) = run(bare(words).arg("--db").arg(&path));
        (out + &err, code)
    };
    // What somebody does who takes it for a log: the file is begun anew meanwhile.
    std::fs::write(&requests, "").unwrap();
    let (said, code) = ask(&["mark", "after", "--timeout", "60s"]);
    assert_eq!(code, 0, "{said}");
    // And what nobody but him can mend.
    std::fs::remove_file(&requests).unwrap();
    std::fs::create_dir(&requests).unwrap();
    while !profiler.stats().control_error.is_some_and(|error| error.contains("move it away")) {
        thread::yield_now();
    }
    drop(tracing::subscriber::with_default(
        tracing_subscriber::registry().with(profiler.layer()),
        || tracing::info_span!("work"),
    ));
    profiler.flush(Duration::from_secs(60)).unwrap();
    let pid = std::process::id().to_string();
    let (said, code) = ask(&["mark", "x", "--timeout", "10ms"]);
    assert!(said.contains(&format!("process {pid} records into it and cannot be asked")), "{said}");
    assert!(said.contains("live.db-ctl") && said.contains("move it away"), "{said}");
    assert_eq!(code, 6);
    for command in ["doctor", "info"] {
        let (said, _) = ask(&[command]);
        assert!(said.contains("requests") && said.contains("live.db-ctl"), "{command}: {said}");
        assert!(!said.contains("no program"), "{command}: {said}");
    }
    profiler.close().unwrap();
    let (said, code) = ask(&["mark", "x"]);
    assert!(said.contains("no program is recording into this profile"), "{said}");
    assert_eq!(code, 6);
    assert!(ask(&["info"]).0.contains("no program is recording"));
    assert!(!ask(&["doctor"]).0.contains("requests"));
}

#[test]
fn a_recording_that_takes_no_requests_is_told_apart_from_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.db");
    let profiler = Profiler::builder().database(&path).control(false).build().unwrap();
    let (_, err, code) = run(bare(&["mark", "x"]).arg("--db").arg(&path));
    assert!(err.contains("takes no requests") && err.contains("SPANDREL_CONTROL=0"), "{err}");
    assert_eq!(code, 6);
    drop(profiler);
}
