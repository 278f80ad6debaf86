//! The profile gets another name while it is recorded into and somebody sits on a snapshot of it, so that
//! its write-ahead log cannot be merged. What the ledger calls stored is what is found in the file under
//! its new name and in the new one together, also after a kill.

use std::fs::{self, File};
use std::path::PathBuf;

use rusqlite::Connection;
use spandrel_tests::host::{Host, SPANS, found, is_somebody_else, sidecar, stored};
use spandrel_tests::prelude::*;
use spandrel_tests::sitter::Sitter;

#[test]
fn what_is_in_a_log_that_is_read_goes_with_the_file() {
    if is_somebody_else() {
        return;
    }
    let rounds = rounds(1);
    let _limit = time_limit(120 * rounds);
    // Where to; whether the rest of the recording comes before the close.
    let ways = [("other.db", true), ("other.db", false), ("kept/a b%c.db", true)];
    for (to, goes_on) in ways.repeat(rounds as usize) {
        let scratch = scratch();
        let to = scratch.path(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let mut host = Host::start("host", scratch.db());
        host.record();
        let reader = Sitter::start("reader", scratch.db());
        assert_eq!(reader.sees, Some(SPANS));
        host.record();
        fs::rename(scratch.db(), &to).unwrap();
        if goes_on {
            assert_eq!(host.record(), stored(3 * SPANS, 0));
        } else {
            assert_eq!(host.close(), stored(2 * SPANS, 0));
        }
        let error = host.error();
        for part in
            [to.to_str().unwrap(), "was renamed", "nothing is lost", "keep the two together"]
        {
            assert!(error.contains(part), "{error}");
        }
        host.kill();
        // Beside the reader, and after he has gone.
        assert_eq!(found(&to), 2 * SPANS);
        reader.leave();
        assert_eq!(found(&to), 2 * SPANS);
        if goes_on {
            assert_eq!(found(scratch.db()), SPANS);
        }
    }
}

/// What stands in the way of the log at the new name.
fn obstruct(obstacle: &str, to: &Path) -> PathBuf {
    let [log, index] = ["-wal", "-shm"].map(|suffix| sidecar(to, suffix));
    match obstacle {
        "a folder for the index" => fs::create_dir(&index).unwrap(),
        "a link for the log" => std::os::unix::fs::symlink("nowhere", &log).unwrap(),
        "a log" => {
            fs::write(&log, "somebody else's").unwrap();
        }
        obstacle => panic!("what is {obstacle}?"),
    }
    if obstacle == "a folder for the index" { index } else { log }
}

/// Copies of the log what readers do not keep.
fn checkpoint(db: &Path) {
    let other = Connection::open(db).unwrap();
    other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
    other.close().unwrap();
}

#[test]
fn what_is_in_a_log_that_cannot_go_with_the_file_is_counted_as_lost() {
    if is_somebody_else() {
        return;
    }
    let rounds = rounds(1);
    let _limit = time_limit(120 * rounds);
    let obstacles = ["a folder for the index", "a link for the log", "a log"];
    for obstacle in obstacles.repeat(rounds as usize) {
        for (merged, goes_on) in [(false, true), (true, true), (true, false)] {
            let scratch = scratch();
            let to = scratch.path("other.db");
            let mut host = Host::start("host", scratch.db());
            host.record();
            if merged {
                checkpoint(scratch.db());
            }
            let reader = Sitter::start("reader", scratch.db());
            host.record();
            let obstacle_path = obstruct(obstacle, &to);
            fs::rename(scratch.db(), &to).unwrap();
            let said = if goes_on { host.record() } else { host.close() };
            let kept = if merged { SPANS } else { 0 };
            let recorded = if goes_on { 3 * SPANS } else { 2 * SPANS };
            assert_eq!(said, stored(recorded, 2 * SPANS - kept), "{obstacle}");
            let error = host.error();
            let lost = format!("; {} spans and 0 events are lost with it", 2 * SPANS - kept);
            assert!(error.contains("was renamed") && error.contains(&lost), "{error}");
            host.kill();
            // As it is, whatever the reader does with his log when he goes.
            let copy = scratch.path("copy.db");
            fs::copy(&to, &copy).unwrap();
            assert_eq!(found(&copy), kept, "{obstacle}");
            if goes_on {
                assert_eq!(found(scratch.db()), SPANS, "{obstacle}");
            }
            assert!(obstacle_path.symlink_metadata().is_ok(), "what is somebody else's is left");
            drop(reader);
        }
    }
}

/// A checkpoint under a reader copies of each page only what is last in the log: without the log the file
/// is of no moment. What is called stored can be read all the same.
#[test]
fn what_a_checkpoint_has_copied_in_part_is_not_called_stored_if_it_cannot_be_read() {
    if is_somebody_else() {
        return;
    }
    let rounds = rounds(1);
    let _limit = time_limit(120 * rounds);
    for batches in (0..4).cycle().take(4 * rounds as usize) {
        let scratch = scratch();
        let to = scratch.path("other.db");
        let mut host = Host::start("host", scratch.db());
        (0..=batches).for_each(|_| _ = host.record());
        let reader = Sitter::start("reader", scratch.db());
        (0..=batches).for_each(|_| _ = host.record());
        checkpoint(scratch.db());
        obstruct("a folder for the index", &to);
        fs::rename(scratch.db(), &to).unwrap();
        let said = host.close();
        host.kill();
        let copy = scratch.path("copy.db");
        fs::copy(&to, &copy).unwrap();
        let db = Connection::open(&copy).unwrap();
        let sound = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
        let rows: i64 = match sound.as_deref() {
            Ok("ok") => db.query_row("SELECT count(*) FROM span", [], |row| row.get(0)).unwrap(),
            _ => 0,
        };
        let recorded = 2 * (batches + 1) * SPANS;
        assert_eq!(said, stored(recorded, recorded - rows as u64), "{sound:?}");
        drop(reader);
    }
}

/// `mv` of all three files, one after the other, and of their folder.
#[test]
fn files_that_are_renamed_together_stay_together() {
    if is_somebody_else() {
        return;
    }
    for (whole_folder, is_read) in
        repeated(&[(false, true), (false, false), (true, true), (true, false)], 1, 120)
    {
        let scratch = scratch();
        let folder = scratch.path("folder");
        fs::create_dir(&folder).unwrap();
        let (db, name) = (folder.join("profile.db"), "moved.db");
        let mut host = Host::start("host", &db);
        host.record();
        let reader = is_read.then(|| Sitter::start("reader", &db));
        host.record();
        let to = if whole_folder {
            fs::rename(&folder, scratch.path("moved")).unwrap();
            fs::create_dir(&folder).unwrap();
            scratch.path("moved").join("profile.db")
        } else {
            for suffix in ["", "-wal", "-shm"] {
                fs::rename(sidecar(&db, suffix), sidecar(&folder.join(name), suffix)).unwrap();
            }
            folder.join(name)
        };
        assert_eq!(host.record(), stored(3 * SPANS, 0));
        assert_eq!(host.close(), stored(3 * SPANS, 0));
        host.kill();
        assert_eq!((found(&to), found(&db)), (2 * SPANS, SPANS), "{whole_folder} {is_read}");
        if !is_read {
            assert!(!sidecar(&to, "-wal").exists(), "one plain file");
        }
        reader.into_iter().for_each(Sitter::leave);
        assert_eq!((found(&to), found(&db)), (2 * SPANS, SPANS), "{whole_folder} {is_read}");
    }
}

/// Who has opened the new name before the recorder has noticed, and so without the log, may stay.
#[test]
fn who_opens_the_new_name_first_takes_nothing_away() {
    if is_somebody_else() {
        return;
    }
    for stays in repeated(&[true, false], 2, 120) {
        let scratch = scratch();
        let to = scratch.path("other.db");
        let mut host = Host::start("host", scratch.db());
        host.record();
        let reader = Sitter::start("reader", scratch.db());
        host.record();
        fs::rename(scratch.db(), &to).unwrap();
        let mut third = Some(Sitter::start("third", &to));
        if !stays {
            third.take().into_iter().for_each(Sitter::leave);
        }
        let said = host.record();
        assert_eq!((said.recorded, said.dropped), (3 * SPANS, 0));
        host.kill();
        let kept = said.stored - found(scratch.db());
        let seen = Sitter::start("seen", &to);
        assert_eq!(seen.sees, Some(kept), "{said:?}, he stays: {stays}");
        drop((third, reader));
    }
}

/// To another disk a file is not renamed: it is copied and deleted.
#[test]
fn a_file_that_was_moved_to_another_disk_counts_as_deleted() {
    if is_somebody_else() {
        return;
    }
    let scratch = scratch_for(60);
    let mut host = Host::start("host", scratch.db());
    host.record();
    fs::copy(scratch.db(), scratch.path("copy.db")).unwrap();
    fs::remove_file(scratch.db()).unwrap();
    File::create(scratch.path("copy.db-wal")).unwrap();
    assert_eq!(host.record(), stored(2 * SPANS, SPANS));
    let error = host.error();
    assert!(error.contains("moved to another disk"), "{error}");
}
