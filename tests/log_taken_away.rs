//! Somebody removes, renames or cuts the write-ahead log of a running recording, or its index. What was
//! acknowledged before or is afterwards is in the file when the program is killed, or it is counted as
//! lost, exactly.

use std::fs::{self, File, OpenOptions};

use rusqlite::Connection;
use spandrel_tests::host::{Host, SPANS, Said, serve, sidecar};
use spandrel_tests::prelude::*;

/// Deeds after which nothing is missing: the recorder still has the log open.
const HARMLESS: [&str; 9] = [
    "remove the log",
    "remove the index",
    "remove both",
    "rename the log",
    "replace both by empty files",
    "empty the index",
    "cut the index",
    "merge and remove both, as SQLite does",
    "lengthen all",
];

fn act(deed: &str, db: &Path) {
    let [log, index] = ["-wal", "-shm"].map(|suffix| sidecar(db, suffix));
    let cut = |path: &Path, bytes| {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(bytes).unwrap();
    };
    match deed {
        "remove the log" => fs::remove_file(log).unwrap(),
        "remove the index" => fs::remove_file(index).unwrap(),
        "remove both" => [log, index].iter().for_each(|path| fs::remove_file(path).unwrap()),
        "rename the log" => fs::rename(&log, sidecar(db, "-old")).unwrap(),
        "replace both by empty files" => {
            for path in [log, index] {
                fs::remove_file(&path).unwrap();
                File::create(path).unwrap();
            }
        }
        "replace the log by an empty file" => {
            fs::remove_file(&log).unwrap();
            File::create(log).unwrap();
        }
        "empty the index" => drop(File::create(index).unwrap()),
        "cut the index" => cut(&index, 4_096),
        "merge and remove both, as SQLite does" => {
            let other = Connection::open(db).unwrap();
            other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
            other.close().unwrap();
            [log, index].iter().for_each(|path| fs::remove_file(path).unwrap());
        }
        "lengthen all" => {
            for path in [db, &log, &index] {
                cut(path, fs::metadata(path).unwrap().len() + 100_000);
            }
        }
        "empty the log" => drop(File::create(log).unwrap()),
        "cut the log" => cut(&log, fs::metadata(&log).unwrap().len() / 2),
        "overwrite the log" => {
            let bytes = fs::metadata(&log).unwrap().len();
            fs::write(&log, vec![0; bytes as usize]).unwrap();
        }
        deed => panic!("what is {deed}?"),
    }
}

#[test]
fn what_is_acknowledged_is_there_though_the_log_was_taken_away() {
    if child::role().is_some() {
        return serve(|builder| builder);
    }
    for deed in repeated(&HARMLESS, 1, 180) {
        for close in [false, true] {
            let scratch = scratch();
            let mut host = Host::start("host", scratch.db());
            host.record();
            for turn in 2..=3 {
                act(deed, scratch.db());
                let all = turn * SPANS;
                let said = Said { recorded: all, stored: all, file_removed: 0, dropped: 0 };
                assert_eq!(host.record(), said, "{deed}");
            }
            if deed.contains("remove") || deed.contains("replace") {
                let index = deed == "remove the index";
                let (error, named) =
                    (host.error(), "the index of its write-ahead log (-shm) was removed");
                assert_eq!(error.contains(named), index, "{deed}: {error}");
                assert!(
                    index || error.contains(": its write-ahead log was removed"),
                    "{deed}: {error}"
                );
                assert!(error.ends_with("; nothing is lost"), "{deed}: {error}");
            }
            if close {
                assert_eq!(host.close().stored, 3 * SPANS, "{deed}");
            }
            host.kill();
            check(scratch.db(), 3 * SPANS, deed);
        }
    }
}

/// What was only in the log is gone, and the ledger says so.
#[test]
fn what_was_in_a_log_that_is_cut_is_counted_as_lost() {
    if child::role().is_some() {
        return serve(|builder| builder);
    }
    for deed in repeated(&["empty the log", "cut the log", "overwrite the log"], 1, 120) {
        for (close, merged) in [(false, false), (true, false), (false, true), (true, true)] {
            let scratch = scratch();
            let mut host = Host::start("host", scratch.db());
            host.record();
            if merged {
                let other = Connection::open(scratch.db()).unwrap();
                other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
            }
            act(deed, scratch.db());
            let lost = if merged { 0 } else { SPANS };
            let said = host.record();
            let (recorded, stored) = (2 * SPANS, 2 * SPANS - lost);
            let expected = Said { recorded, stored, file_removed: lost, dropped: 0 };
            assert_eq!(said, expected, "{deed}");
            if close {
                assert_eq!(host.close(), expected, "{deed}");
            }
            host.kill();
            let db = check(scratch.db(), stored, deed);
            if close {
                let losses =
                    "SELECT coalesce(sum(spans), 0) FROM loss WHERE reason = 'file_removed'";
                assert_eq!(db.count(losses), lost, "{deed}");
                assert_eq!(db.count("SELECT sum(dropped_spans) FROM run"), lost, "{deed}");
            }
        }
    }
}

/// A reader keeps a log that was removed from being merged: the close puts it back, for whoever comes next.
#[test]
fn what_was_in_a_removed_log_that_is_still_read_is_there_after_the_close() {
    if child::role().is_some() {
        return serve(|builder| builder.close_timeout(Duration::from_secs(2)));
    }
    for deed in
        repeated(&["remove the log", "remove both", "replace the log by an empty file"], 1, 60)
    {
        let scratch = scratch();
        let mut host = Host::start("host", scratch.db());
        host.record();
        let reader = Connection::open(scratch.db()).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM span").unwrap();
        host.record();
        act(deed, scratch.db());
        let said = host.close();
        let all = 2 * SPANS;
        assert_eq!(
            said,
            Said { recorded: all, stored: all, file_removed: 0, dropped: 0 },
            "{deed}"
        );
        host.kill();
        check(scratch.db(), all, deed);
        drop(reader);
    }
}

fn check(path: &Path, spans: u64, deed: &str) -> Database {
    let db = Database::open(path);
    assert_eq!(db.value::<String>("PRAGMA integrity_check"), "ok", "{deed}");
    assert_eq!(db.count("SELECT count(*) FROM span"), spans, "{deed}");
    assert_eq!(db.count("SELECT sum(spans) FROM run"), spans, "{deed}");
    assert_eq!(db.count("SELECT count(*) FROM run"), 1, "{deed}");
    let nameless = "SELECT count(*) FROM span WHERE callsite_id NOT IN (SELECT id FROM callsite)
                    OR thread_id NOT IN (SELECT id FROM thread)";
    assert_eq!(db.count(nameless), 0, "{deed}");
    db
}

/// Moved to another disk, with a link in its place: SQLite opens nothing through one.
#[test]
fn recording_goes_on_when_a_link_in_place_of_the_log_or_its_index_is_removed() {
    if child::role().is_some() {
        return serve(|builder| builder);
    }
    for suffix in repeated(&["-wal", "-shm"], 1, 60) {
        let scratch = scratch();
        let mut host = Host::start("host", scratch.db());
        host.record();
        let (file, elsewhere) = (sidecar(scratch.db(), suffix), scratch.path("elsewhere"));
        fs::rename(&file, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        let advice =
            format!("{}: a symbolic link, and SQLite opens no log or index", file.display());
        let mut error = host.error();
        while !error.contains(&advice) {
            std::thread::yield_now();
            error = host.error();
        }
        assert!(error.contains("; remove it"), "{error}");
        assert!(file.is_symlink(), "it is left for somebody to decide");
        fs::remove_file(&file).unwrap();
        let all = Said { recorded: 2 * SPANS, stored: 2 * SPANS, file_removed: 0, dropped: 0 };
        assert_eq!(host.record(), all, "{suffix}");
        host.kill();
        check(scratch.db(), 2 * SPANS, suffix);
    }
}
