//! Somebody cuts or overwrites the profile while it is recorded into, as a log rotation that copies and
//! truncates does. What was stored in it is counted as lost, what comes goes into a fresh file, and
//! nothing of the old one is written into it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;

use spandrel_tests::host::{Host, SPANS, Said, serve, sidecar};
use spandrel_tests::prelude::*;

/// A deed, and whether anything is left that is worth keeping.
const DEEDS: [(&str, bool); 4] = [
    ("empty it", false),
    ("cut it", true),
    ("overwrite it by zeros", true),
    ("overwrite it by something short", true),
];

fn act(deed: &str, db: &Path) {
    let bytes = fs::metadata(db).unwrap().len();
    match deed {
        "empty it" => drop(File::create(db).unwrap()),
        "cut it" => OpenOptions::new().write(true).open(db).unwrap().set_len(bytes / 2).unwrap(),
        "overwrite it by zeros" => fs::write(db, vec![0; bytes as usize]).unwrap(),
        "overwrite it by something short" => fs::write(db, "somebody else's").unwrap(),
        deed => panic!("what is {deed}?"),
    }
}

#[test]
fn what_was_in_a_file_that_is_cut_is_counted_as_lost() {
    if child::role().is_some() {
        return serve(|builder| builder);
    }
    for (deed, is_kept) in repeated(&DEEDS, 1, 120) {
        for (close, more) in [(true, false), (true, true), (false, true)] {
            let scratch = scratch();
            let mut host = Host::start("host", scratch.db());
            host.record();
            act(deed, scratch.db());
            let mut stored = 0;
            if more {
                stored = SPANS;
                let (recorded, file_removed) = (2 * SPANS, SPANS);
                let expected = Said { recorded, stored, file_removed, dropped: 0 };
                assert_eq!(host.record(), expected, "{deed}");
                assert_eq!(host.record().stored, 2 * SPANS, "{deed}");
                stored = 2 * SPANS;
            }
            if close {
                let (recorded, file_removed) = (SPANS + stored, SPANS);
                let expected = Said { recorded, stored, file_removed, dropped: 0 };
                assert_eq!(host.close(), expected, "{deed}");
            }
            host.kill();
            assert_eq!(sidecar(scratch.db(), "-spoiled-1").exists(), is_kept, "{deed}");
            let db = Database::open(scratch.db());
            assert_eq!(db.value::<String>("PRAGMA integrity_check"), "ok", "{deed}");
            assert_eq!(db.count("SELECT count(*) FROM span"), stored, "{deed}");
            if close {
                let losses =
                    "SELECT coalesce(sum(spans), 0) FROM loss WHERE reason = 'file_removed'";
                assert_eq!(db.count(losses), SPANS, "{deed}");
            }
        }
    }
}

/// SQLite does not mind what comes behind its last page.
#[test]
fn a_file_that_somebody_has_added_to_goes_on() {
    if child::role().is_some() {
        return serve(|builder| builder);
    }
    let scratch = scratch_for(60);
    let mut host = Host::start("host", scratch.db());
    for turn in 1..=3 {
        let all =
            Said { recorded: turn * SPANS, stored: turn * SPANS, file_removed: 0, dropped: 0 };
        assert_eq!(host.record(), all);
        let mut file = OpenOptions::new().append(true).open(scratch.db()).unwrap();
        file.write_all(b"a line of a log\n").unwrap();
    }
    assert_eq!(host.close().stored, 3 * SPANS);
    let db = Database::open(scratch.db());
    assert_eq!(db.value::<String>("PRAGMA integrity_check"), "ok");
    assert_eq!(db.count("SELECT count(*) FROM span"), 3 * SPANS);
}
