//! Somebody removes the write-ahead log while another one reads what is only in it, and a third one opens
//! the profile, which makes an empty log in its place. The log can then neither be merged nor, as long as
//! the third one stays, be put back: the report counts as stored what is found all the same, and no more.

use std::fs;

use rusqlite::Connection;
use spandrel_tests::host::{Host, SPANS, Said, serve, sidecar};
use spandrel_tests::prelude::*;
use spandrel_tests::sitter::{self, Sitter};

/// What is removed, whether it was merged in part before, and whether the third one stays.
const WAYS: [(&[&str], bool, bool); 5] = [
    (&["-wal", "-shm"], false, true),
    (&["-wal", "-shm"], true, true),
    (&["-wal", "-shm"], false, false),
    (&["-wal"], false, true),
    (&["-shm"], false, true),
];

fn act(suffixes: &[&str], db: &Path) {
    suffixes.iter().for_each(|suffix| fs::remove_file(sidecar(db, suffix)).unwrap());
}

#[test]
fn what_the_report_calls_stored_is_found_though_somebody_has_made_a_new_log() {
    match child::role().as_deref() {
        Some("host") => return serve(|builder| builder.close_timeout(Duration::from_secs(2))),
        Some(_) => return sitter::sit(),
        None => {}
    }
    for (suffixes, merged, stays) in repeated(&WAYS, 1, 120) {
        let scratch = scratch();
        let mut host = Host::start("host", scratch.db());
        host.record();
        if merged {
            let other = Connection::open(scratch.db()).unwrap();
            other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
            other.close().unwrap();
        }
        let reader = Sitter::start("reader", scratch.db());
        host.record();
        act(suffixes, scratch.db());
        let third = Sitter::start("third", scratch.db());
        let third = if stays {
            Some(third)
        } else {
            third.leave();
            None
        };
        let said = host.close();
        assert_eq!((said.recorded, said.dropped), (2 * SPANS, 0), "{suffixes:?}");
        assert_eq!(said.stored + said.file_removed, 2 * SPANS, "{suffixes:?}");
        if !stays || suffixes.len() == 1 {
            let all = Said { recorded: 2 * SPANS, stored: 2 * SPANS, file_removed: 0, dropped: 0 };
            assert_eq!(said, all, "{suffixes:?}: the log is put back, or was never away");
        } else {
            assert_eq!(said.stored, if merged { SPANS } else { 0 });
            let error = host.error();
            let lost = format!("; {} spans and 0 events are lost with it", said.file_removed);
            assert!(error.contains(&lost), "{error}");
        }
        host.kill();
        let seen = Sitter::start("seen", scratch.db());
        assert_eq!(
            seen.sees,
            Some(said.stored),
            "{suffixes:?}, merged: {merged}, he stays: {stays}"
        );
        drop((seen, third, reader));
        let db = Database::open(scratch.db());
        assert_eq!(db.value::<String>("PRAGMA integrity_check"), "ok", "{suffixes:?}");
        assert!(db.count("SELECT count(*) FROM span") >= said.stored, "{suffixes:?}");
    }
}
