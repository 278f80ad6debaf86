//! A recording that is killed leaves its file for requests: nobody answers there, and the next recording
//! answers what is asked of it, and not what was asked of the dead one.

use spandrel_storage::ErrorKind;
use spandrel_tests::asking::{mark, mark_within, sidecar};
use spandrel_tests::prelude::*;

#[test]
fn nobody_answers_for_a_killed_recording() {
    if child::role().is_some() {
        let path = std::env::var("SPANDREL_TEST_PATH").unwrap();
        let profiler = small(path.as_ref()).build().unwrap();
        child::say("recording");
        child::listen();
        drop(profiler);
        return;
    }
    let scratch = scratch_for(60);
    let path = sidecar(scratch.db());
    let mut recording = child::plan("record").env("SPANDREL_TEST_PATH", scratch.db()).start();
    recording.expect("recording");
    mark(scratch.db(), "alive");
    recording.kill();
    assert!(path.exists(), "nobody could tidy up");
    let error = mark_within(scratch.db(), Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAnswering, "{error}");
    // A request that nobody could withdraw.
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute(
        "INSERT INTO request (at_unix_ns, by, command, arguments, state)
         VALUES (?1, 'a test', 'mark', '{\"label\":\"for the dead\"}', 'asked')",
        [std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as i64],
    )
    .unwrap();
    let profiler = small(scratch.db()).build().unwrap();
    mark(scratch.db(), "next");
    // Whoever has the old file open changes nothing in the new one.
    raw.execute("UPDATE request SET command = 'flush'", []).unwrap_err();
    mark(scratch.db(), "last");
    profiler.close().unwrap();
    assert!(!path.exists());
    let db = Database::open(scratch.db());
    let labels = db.rows("SELECT run_id, label FROM mark ORDER BY id", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    });
    assert_eq!(labels, [(1, "alive".to_owned()), (2, "next".to_owned()), (2, "last".to_owned())]);
}
