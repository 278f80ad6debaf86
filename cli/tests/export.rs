//! `spandrel export`: which format is meant, where it goes, and that nothing half-written stays.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "given/mod.rs"]
mod given;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use given::profile;
use spandrel_query::Reader;

fn spandrel(folder: &Path, words: &[&str]) -> Command {
    given::command(folder, &[&["--db", "given.db"], words].concat())
}

/// Exit code, standard output and standard error.
fn run(folder: &Path, words: &[&str]) -> (i32, Vec<u8>, String) {
    let Output { status, stdout, stderr } = spandrel(folder, words).output().unwrap();
    (status.code().unwrap(), stdout, String::from_utf8(stderr).unwrap())
}

/// The files in the folder.
fn files(folder: &Path) -> Vec<String> {
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut files: Vec<String> = fs::read_dir(folder).unwrap().map(|e| name(e.unwrap())).collect();
    files.sort();
    files
}

#[test]
fn the_ending_tells_the_format_and_the_file_is_said() {
    let folder = profile(3);
    for (name, starts) in [
        ("a.pftrace", &b"\x0a"[..]),
        ("a.json", b"{\"displayTimeUnit\""),
        ("a.speedscope.json", b"{\"$schema\""),
        ("a.folded", b"work 2700"),
        ("a.pb.gz", b"\x1f\x8b"),
        ("a.pprof", b"\x1f\x8b"),
        ("a.profile.json", b"{\"meta\""),
        ("a.otlp.jsonl", b"{\"resourceSpans\""),
        ("a.csv", b"id,parent_id"),
        ("a.ndjson", b"{\"id\":1,"),
        ("a.sqlite", b"SQLite format 3\0"),
    ] {
        let (code, out, said) = run(folder.path(), &["export", "-o", name]);
        assert_eq!((code, out.len()), (0, 0), "{said}");
        assert!(said.starts_with(&format!("wrote {name} (")) && said.contains("Open: "), "{said}");
        assert!(fs::read(folder.path().join(name)).unwrap().starts_with(starts), "{name}");
    }
    let copy = Reader::open(folder.path().join("a.sqlite")).unwrap();
    assert_eq!(copy.latest_run().unwrap().unwrap().spans, 3);
    assert_eq!(files(folder.path()).len(), 12, "{:?}", files(folder.path()));
}

#[test]
fn a_format_can_be_said_in_two_ways() {
    let folder = profile(3);
    let folded = b"work 2700\n".to_vec();
    for words in [
        &["export", "folded"][..],
        &["export", "--format", "folded"],
        &["export", "-f", "folded", "folded"],
        &["-f", "folded", "export"],
    ] {
        let (code, out, said) = run(folder.path(), words);
        assert_eq!((code, out, said.as_str()), (0, folded.clone(), ""), "{words:?}");
    }
    let (code, out, _) = run(folder.path(), &["export", "csv", "-w", "dur>1s"]);
    assert_eq!((code, out.split(|byte| *byte == b'\n').count()), (0, 2), "a header and no span");
    let (code, ..) = run(folder.path(), &["export", "csv", "-w", "dur>1s", "--fail-empty"]);
    assert_eq!(code, 4);
}

#[test]
fn what_makes_no_sense_is_said() {
    let folder = profile(3);
    for (words, code, says) in [
        (&["export", "-o", "a.txt"][..], 2, "does not say which format"),
        (&["export", "sqlite"], 2, "spandrel export sqlite -o profile.db"),
        (&["export", "chrome", "--weight", "busy"], 2, "--weight is for folded and pprof"),
        (&["export", "pprof", "--weight", "wall"], 2, "pprof has no time from open to close"),
        (&["export", "csv", "-f", "chrome"], 2, "two formats: csv and --format chrome"),
        (&["export", "-f", "table", "-o", "a.csv"], 2, "names no format of an export"),
        (&["top", "-f", "perfetto"], 2, "perfetto is a format of `spandrel export`"),
        (&["export", "csv", "-o", "given.db"], 3, "is a database and is not replaced"),
        (&["export", "sqlite", "-o", "given.db"], 3, "is a database and is not replaced"),
        (&["export", "csv", "-o", "missing/a.csv"], 3, "cannot write"),
        (&["export", "csv", "--db", "missing.db"], 3, "missing.db"),
    ] {
        let (exit, out, said) = run(folder.path(), words);
        assert_eq!((exit, out.len()), (code, 0), "{words:?} {said}");
        assert!(said.contains(says), "{words:?} {said}");
    }
    assert_eq!(files(folder.path()), ["given.db"]);
    assert_eq!(Reader::open(folder.path().join("given.db")).unwrap().runs().unwrap().len(), 1);
}

#[test]
fn without_a_format_and_a_file_the_formats_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = run(folder.path(), &["export"]);
    let out = String::from_utf8(out).unwrap();
    assert_eq!(code, 0);
    for format in spandrel_export::Format::ALL {
        let ending = format.endings().first().unwrap_or(&"(--to URL)");
        assert!(out.contains(format.name()) && out.contains(ending), "{out}");
    }
}

#[test]
fn what_a_format_has_no_place_for_is_counted_and_said() {
    let folder = profile(3);
    // The file is as good as one from a recorder for whoever reads it.
    let conn = rusqlite::Connection::open(folder.path().join("given.db")).unwrap();
    conn.execute_batch(
        "UPDATE span SET duration_ns = NULL, busy_ns = NULL, self_ns = NULL, status = 'unfinished'
           WHERE id = 3;
         INSERT INTO event (id, run_id, span_id, callsite_id, thread_id, at_ns)
           VALUES (4, 1, 1, 1, 1, 1500), (5, 1, NULL, 1, 1, 1600);
         INSERT INTO link (span_id, follows_id, run_id) VALUES (2, 1, 1);
         INSERT INTO mark (run_id, at_ns, label) VALUES (1, 0, 'deploy');
         UPDATE run SET events = 2, links = 1, last_id = 5;",
    )
    .unwrap();
    drop(conn);
    let note = |format: &str, listed: &str| {
        format!("note: {format} has no place for {listed}: left out here\n")
    };
    for (format, listed) in [
        ("perfetto", None),
        ("chrome", None),
        ("firefox", None),
        ("sqlite", None),
        ("otlp-json", Some("1 event and 1 mark")),
        ("speedscope", Some("2 events, 1 link and 1 mark")),
        ("csv", Some("2 events, 1 link and 1 mark")),
        ("ndjson", Some("2 events, 1 link and 1 mark")),
        ("folded", Some("1 unfinished span, 2 events, 1 link and 1 mark")),
        ("pprof", Some("1 unfinished span, 2 events, 1 link and 1 mark")),
    ] {
        let (code, _, said) = run(folder.path(), &["export", format, "-o", "out"]);
        let expected = listed.map(|listed| note(format, listed)).unwrap_or_default();
        let (first, rest) = said.split_once('\n').unwrap();
        assert!(first.starts_with("wrote out ("), "{said}");
        assert_eq!((code, rest), (0, expected.as_str()), "{format}");
        fs::remove_file(folder.path().join("out")).unwrap();
    }
    let (_, _, said) = run(folder.path(), &["export", "folded", "-w", "id=s3"]);
    assert_eq!(said, note("folded", "1 unfinished span and 1 mark"), "on the standard output, too");
    let (_, _, said) = run(folder.path(), &["export", "folded", "--quiet"]);
    assert_eq!(said, "");
}

#[test]
fn the_service_has_the_name_that_was_asked_for() {
    let folder = profile(1);
    let named = |words: &[&str], variable: Option<&str>| {
        let mut command = spandrel(folder.path(), words);
        command.env_remove("OTEL_SERVICE_NAME");
        variable.map(|name| command.env("OTEL_SERVICE_NAME", name));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let attributes = &line["resourceSpans"][0]["resource"]["attributes"];
        assert_eq!(attributes[0]["key"], "service.name");
        attributes[0]["value"]["stringValue"].as_str().unwrap().to_owned()
    };
    let words = ["export", "otlp-json", "--service-name", "cart"];
    assert_eq!(named(&words, Some("other")), "cart");
    assert_eq!(named(&words[..2], Some("other")), "other");
    assert_eq!(named(&words[..2], Some("")), "unknown_service", "the run does not say its program");
    let (code, _, said) = run(folder.path(), &["export", "csv", "--service-name", "cart"]);
    assert_eq!(code, 2);
    assert!(said.contains("--service-name is for otlp and otlp-json, not for csv"), "{said}");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let folder = profile(20_000);
    let mut child = spandrel(folder.path(), &["export", "csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_no_half_written_file() {
    use std::os::unix::process::ExitStatusExt;

    let folder = profile(200_000);
    for name in ["a.pftrace", "a.sqlite"] {
        let mut child = spandrel(folder.path(), &["export", "-o", name])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // What it writes into is there before it writes; whether it is done by the time the signal
        // arrives, nobody can say.
        while files(folder.path()).iter().all(|file| !file.starts_with('.')) {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::yield_now();
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        let left = files(folder.path());
        if output.status.success() {
            assert_eq!(left, [name, "given.db"], "complete");
            fs::remove_file(folder.path().join(name)).unwrap();
        } else {
            assert_eq!(output.status.signal(), Some(2), "{output:?}");
            assert_eq!(left, ["given.db"]);
        }
    }
}
