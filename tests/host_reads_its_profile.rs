//! The program reads, copies or opens the files of its own profile, as for an upload. POSIX drops
//! SQLite's locks with that. What was flushed is in the file all the same, also if another process
//! opens and closes the profile in between, and the program is killed right after a flush.

use rusqlite::Connection;
use spandrel_tests::host::{Host, SPANS, Said, serve};
use spandrel_tests::prelude::*;

/// How it touches which of its files.
const TOUCHES: [&[(&str, &str)]; 6] = [
    &[("read", "")],
    &[("copy", ""), ("copy", "-wal"), ("copy", "-shm")],
    &[("open", "-shm")],
    &[("read", ""), ("open", "-shm")],
    &[("open", "-shm"), ("read", "-wal"), ("read", "")],
    &[("read", "-shm"), ("copy", "")],
];

#[test]
fn what_was_flushed_is_there_though_the_host_has_read_its_files() {
    if child::role().is_some() {
        return serve(|builder| builder);
    }
    for touches in repeated(&TOUCHES, 1, 120) {
        for close in [true, false] {
            let scratch = scratch();
            let mut host = Host::start("host", scratch.db());
            host.record();
            for turn in 2..=3 {
                for (how, suffix) in touches {
                    host.touch(how, suffix);
                }
                // Somebody looks at it, who might write, and takes himself for the last one.
                let other = Connection::open(scratch.db()).unwrap();
                let count = "SELECT count(*) FROM span";
                let seen: i64 = other.query_row(count, [], |row| row.get(0)).unwrap();
                assert_eq!(seen as u64, (turn - 1) * SPANS, "{touches:?}");
                other.close().unwrap();
                let all = Said {
                    recorded: turn * SPANS,
                    stored: turn * SPANS,
                    file_removed: 0,
                    dropped: 0,
                };
                assert_eq!(host.record(), all, "{touches:?}");
            }
            if close {
                host.close();
            }
            host.kill();
            let db = Database::open(scratch.db());
            assert_eq!(db.value::<String>("PRAGMA integrity_check"), "ok", "{touches:?}");
            assert_eq!(db.count("SELECT count(*) FROM span"), 3 * SPANS, "{touches:?}");
            assert_eq!(db.count("SELECT count(*) FROM run"), 1, "{touches:?}");
        }
    }
}
