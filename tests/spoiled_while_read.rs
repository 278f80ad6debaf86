//! Somebody cuts the profile short, or takes its log or the index of that away, while somebody else sits
//! on a snapshot of it and does not go. The recording does not wait for him: it goes on in a new file, and
//! what the ledger calls stored is what is found in the files, beside the reader and after him.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use rusqlite::Connection;
use spandrel_tests::host::{Host, SPANS, found, is_somebody_else, sidecar, stored, told_lost};
use spandrel_tests::prelude::*;
use spandrel_tests::sitter::Sitter;

const REMOVALS: [&str; 3] = ["remove the log", "remove the index", "remove both"];

fn act(deed: &str, db: &Path) {
    let [log, index] = ["-wal", "-shm"].map(|suffix| sidecar(db, suffix));
    match deed {
        "empty the file" => drop(File::create(db).unwrap()),
        "cut the file" => {
            let file = OpenOptions::new().write(true).open(db).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }
        "empty the log" => drop(File::create(log).unwrap()),
        "remove the log" => fs::remove_file(log).unwrap(),
        "remove the index" => fs::remove_file(index).unwrap(),
        "remove both" => [log, index].iter().for_each(|path| fs::remove_file(path).unwrap()),
        deed => panic!("what is {deed}?"),
    }
}

/// As it is, whatever the readers do with their logs.
fn found_alone(path: &Path, copy: PathBuf) -> u64 {
    fs::copy(path, &copy).unwrap();
    found(&copy)
}

#[test]
fn a_file_that_is_cut_short_beside_a_reader_is_lost_and_recording_goes_on() {
    if is_somebody_else() {
        return;
    }
    for deed in repeated(&["empty the file", "cut the file"], 1, 120) {
        for goes_on in [true, false] {
            let scratch = scratch();
            let mut host = Host::start("host", scratch.db());
            host.record();
            let reader = Sitter::start("reader", scratch.db());
            assert_eq!(reader.sees, Some(SPANS));
            host.record();
            act(deed, scratch.db());
            let recorded = if goes_on { 3 * SPANS } else { 2 * SPANS };
            if goes_on {
                assert_eq!(host.record(), stored(recorded, 2 * SPANS), "{deed}");
            }
            assert_eq!(host.close(), stored(recorded, 2 * SPANS), "{deed}");
            host.kill();
            let is_kept = sidecar(scratch.db(), "-spoiled-1").exists();
            assert_eq!(is_kept, deed == "cut the file");
            for _ in 0..2 {
                assert_eq!(found(scratch.db()), recorded - 2 * SPANS, "{deed}");
                assert_eq!(told_lost(scratch.db()), 2 * SPANS, "{deed}");
            }
            drop(reader);
            assert_eq!(found(scratch.db()), recorded - 2 * SPANS, "{deed}");
        }
    }
}

#[test]
fn recording_goes_on_in_a_new_file_if_the_log_is_removed_beside_a_reader() {
    if is_somebody_else() {
        return;
    }
    for deed in repeated(&REMOVALS, 1, 120) {
        let scratch = scratch();
        let aside = sidecar(scratch.db(), "-aside-1");
        let mut host = Host::start("host", scratch.db());
        host.record();
        let reader = Sitter::start("reader", scratch.db());
        host.record();
        act(deed, scratch.db());
        assert_eq!(host.record(), stored(3 * SPANS, 0), "{deed}");
        let error = host.error();
        for part in [
            aside.to_str().unwrap(),
            "was removed",
            "somebody still reads",
            "nothing is lost",
            "keep the two together",
            "goes on in a new file",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(host.record(), stored(4 * SPANS, 0), "{deed}");
        host.kill();
        assert_eq!((found(&aside), found(scratch.db())), (2 * SPANS, 2 * SPANS), "{deed}");
        let ended = "SELECT count(*) FROM run WHERE ended_unix_ns >= started_unix_ns";
        assert_eq!(Database::open(&aside).count(ended), 1, "{deed}");
        reader.leave();
        assert_eq!((found(&aside), found(scratch.db())), (2 * SPANS, 2 * SPANS), "{deed}");
    }
}

/// The log would have had what makes up for that.
#[test]
fn a_file_that_is_damaged_without_its_log_is_put_aside_and_recording_goes_on() {
    if is_somebody_else() {
        return;
    }
    for is_read in repeated(&[true, false], 1, 120) {
        let scratch = scratch();
        let aside = sidecar(scratch.db(), "-spoiled-1");
        let mut host = Host::start("host", scratch.db());
        host.record();
        let other = Connection::open(scratch.db()).unwrap();
        other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        drop(other);
        let reader = is_read.then(|| Sitter::start("reader", scratch.db()));
        host.record();
        let mut bytes = fs::read(scratch.db()).unwrap();
        bytes[8_192..].fill(0xFF);
        OpenOptions::new().write(true).open(scratch.db()).unwrap().write_all(&bytes).unwrap();
        act("empty the log", scratch.db());
        assert_eq!(host.record(), stored(3 * SPANS, 2 * SPANS));
        let error = host.error();
        for part in ["was damaged", aside.to_str().unwrap(), "; 100 spans", "in a new file"] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(host.close(), stored(3 * SPANS, 2 * SPANS));
        host.kill();
        assert!(aside.exists());
        assert_eq!((found(scratch.db()), told_lost(scratch.db())), (SPANS, 2 * SPANS));
        drop(reader);
        assert_eq!(found(scratch.db()), SPANS);
    }
}

/// He has made an empty log of his own, which goes with the file, and must not meet the new one.
#[test]
fn what_a_newcomer_without_the_log_cannot_read_is_counted_as_lost() {
    if is_somebody_else() {
        return;
    }
    for merged in repeated(&[false, true], 1, 120) {
        let scratch = scratch();
        let aside = sidecar(scratch.db(), "-aside-1");
        let mut host = Host::start("host", scratch.db());
        host.record();
        if merged {
            let other = Connection::open(scratch.db()).unwrap();
            other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        }
        let reader = Sitter::start("reader", scratch.db());
        host.record();
        act("remove both", scratch.db());
        let newcomer = Sitter::start("reader", scratch.db());
        let kept = if merged { SPANS } else { 0 };
        assert_eq!(newcomer.sees, Some(kept));
        let lost = 2 * SPANS - kept;
        assert_eq!(host.record(), stored(3 * SPANS, lost));
        let error = host.error();
        assert!(error.contains(&format!("; {lost} spans and 0 events are lost")), "{error}");
        assert_eq!(host.close(), stored(3 * SPANS, lost));
        host.kill();
        assert_eq!(found_alone(&aside, scratch.path("copy.db")), kept);
        assert_eq!((found(scratch.db()), told_lost(scratch.db())), (SPANS, lost));
        drop((reader, newcomer));
        assert_eq!((found(&aside), found(scratch.db())), (kept, SPANS));
    }
}

/// What comes just before the close, and a span that is open then, is stored; whoever reads is in the same
/// program.
#[test]
fn what_is_in_hand_at_the_close_is_stored_though_the_log_was_removed_beside_a_reader() {
    let rounds = rounds(1);
    let _limit = time_limit(120 * rounds);
    let all = [(true, false), (false, true), (false, false)];
    let ways =
        [("remove the log", &all[..]), ("remove the index", &all[..1]), ("remove both", &all[..1])];
    for (deed, ways) in ways.repeat(rounds as usize) {
        for &(more, is_open) in ways {
            let scratch = scratch();
            let aside = sidecar(scratch.db(), "-aside-1");
            let profiler = small(scratch.db()).build().unwrap();
            let dispatch = dispatch(&profiler);
            let record =
                || within(&dispatch, || (0..SPANS).for_each(|n| drop(info_span!("work", n))));
            record();
            profiler.flush(Duration::from_secs(60)).unwrap();
            let reader = Connection::open(scratch.db()).unwrap();
            reader.execute_batch("BEGIN; SELECT count(*) FROM span").unwrap();
            record();
            profiler.flush(Duration::from_secs(60)).unwrap();
            let open = is_open.then(|| within(&dispatch, || info_span!("open")));
            act(deed, scratch.db());
            if more {
                record();
            }
            let report = profiler.close().unwrap();
            ledger::settled(&report);
            assert_eq!(report.dropped.total(), 0, "{deed}: {report:?}");
            let in_hand = if more { SPANS } else { u64::from(is_open) };
            assert_eq!(report.stored, 2 * SPANS + in_hand, "{deed}");
            let new = in_hand > 0;
            // Nothing is in the way of putting the log back if nothing else is to be stored.
            assert_eq!(aside.exists(), new, "{deed}");
            if new {
                assert_eq!(found(&aside), 2 * SPANS, "{deed}");
            }
            assert_eq!(found(scratch.db()), if new { in_hand } else { 2 * SPANS }, "{deed}");
            drop(reader);
            within(&dispatch, || drop(open));
        }
    }
}

/// SQLite shares an index among all connections of a program, also one that was removed; so no new one can
/// be made while there is another connection, even if that reads nothing.
#[test]
fn recording_goes_on_in_a_new_file_if_the_log_is_removed_beside_a_connection_of_the_program() {
    for deed in repeated(&["remove both", "remove the index"], 1, 120) {
        let scratch = scratch();
        let aside = sidecar(scratch.db(), "-aside-1");
        let profiler = small(scratch.db()).build().unwrap();
        let dispatch = dispatch(&profiler);
        let record = || {
            within(&dispatch, || (0..SPANS).for_each(|n| drop(info_span!("work", n))));
            profiler.flush(Duration::from_secs(20)).unwrap();
        };
        record();
        let other = Connection::open(scratch.db()).unwrap();
        other.query_row("SELECT count(*) FROM span", [], |_| Ok(())).unwrap();
        other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        record();
        act(deed, scratch.db());
        record();
        let report = profiler.close().unwrap();
        ledger::settled(&report);
        let lost = if deed == "empty the log" { SPANS } else { 0 };
        let (stored, removed) = (report.stored, report.dropped.file_removed);
        assert_eq!((stored, removed), (3 * SPANS - lost, lost), "{deed}: {report:?}");
        assert_eq!(report.dropped.total(), lost, "{deed}");
        assert_eq!(found_alone(&aside, scratch.path("copy.db")), 2 * SPANS - lost, "{deed}");
        assert_eq!((found(scratch.db()), told_lost(scratch.db())), (SPANS, lost), "{deed}");
        drop(other);
    }
}

/// A thousand names are taken: the file stays where it is, and the close tells what could not be stored.
#[test]
fn a_close_does_not_wait_for_a_file_that_cannot_be_put_aside() {
    let scratch = scratch_for(120);
    for number in 1..1_000 {
        File::create(sidecar(scratch.db(), &format!("-aside-{number}"))).unwrap();
    }
    // Longer than the test may take.
    let profiler = small(scratch.db()).close_timeout(Duration::from_secs(3_600)).build().unwrap();
    let dispatch = dispatch(&profiler);
    let record = || within(&dispatch, || (0..SPANS).for_each(|n| drop(info_span!("work", n))));
    record();
    profiler.flush(Duration::from_secs(60)).unwrap();
    let reader = Connection::open(scratch.db()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM span").unwrap();
    record();
    profiler.flush(Duration::from_secs(60)).unwrap();
    act("remove the log", scratch.db());
    record();
    let report = profiler.close().unwrap();
    ledger::settled(&report);
    let dropped = report.dropped;
    assert_eq!((report.stored, dropped.total(), dropped.store_error), (2 * SPANS, SPANS, SPANS));
    assert_eq!(found(scratch.db()), 2 * SPANS);
    drop(reader);
}
