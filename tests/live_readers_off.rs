//! A profile that nobody else may read while it is recorded: there is no index in a file, which
//! somebody could cut short under the program. What was flushed is there after a kill, also if the
//! program has read its own file.

use rusqlite::Connection;
use spandrel_tests::host::{Host, SPANS, Said, serve, sidecar};
use spandrel_tests::prelude::*;

#[test]
fn nobody_reads_it_meanwhile_and_all_is_there_afterwards() {
    if child::role().is_some() {
        return serve(|builder| builder.live_readers(false));
    }
    let _limit = time_limit(60);
    for close in [true, false] {
        for touches in [&[][..], &[("read", ""), ("read", "-wal")], &[("open", "")]] {
            let scratch = scratch();
            let mut host = Host::start("host", scratch.db());
            for turn in 1..=3 {
                let all = turn * SPANS;
                let expected = Said { recorded: all, stored: all, file_removed: 0, dropped: 0 };
                assert_eq!(host.record(), expected);
                assert!(!sidecar(scratch.db(), "-shm").exists());
                touches.iter().for_each(|(how, suffix)| host.touch(how, suffix));
                let other = Connection::open(scratch.db()).unwrap();
                other.busy_timeout(Duration::ZERO).unwrap();
                let tried = other.prepare("SELECT count(*) FROM span");
                let error = tried.expect_err(&format!("{touches:?}, turn {turn}"));
                let code = error.sqlite_error_code();
                // Without open-file-description locks it can be read after a touch.
                assert_eq!(code, Some(rusqlite::ErrorCode::DatabaseBusy), "{error}");
                other.close().unwrap();
            }
            if close {
                assert_eq!(host.close().stored, 3 * SPANS);
                assert!(!sidecar(scratch.db(), "-wal").exists());
            }
            host.kill();
            let db = Database::open(scratch.db());
            assert_eq!(db.value::<String>("PRAGMA integrity_check"), "ok");
            assert_eq!(db.count("SELECT count(*) FROM span"), 3 * SPANS);
        }
    }
}
