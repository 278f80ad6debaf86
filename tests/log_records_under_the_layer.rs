//! Records of the `log` crate that `tracing_subscriber` has taken say where they come from, too.

use spandrel_tests::{ledger, scratch, small, time_limit};
use tracing_subscriber::prelude::*;

#[test]
fn records_under_the_layer_come_from_where_they_were_logged() {
    let _limit = time_limit(30);
    let scratch = scratch();
    let profiler = small(scratch.db()).build().unwrap();
    tracing_subscriber::registry().with(profiler.layer()).init();
    log::info!(target: "db::pool", "a record");
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let rows = db.rows("SELECT target, level, file, line, fields FROM events", [], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
    });
    let (target, level, file) = ("db::pool".into(), "INFO".into(), file!().into());
    let expected: (String, String, String, i64, Option<String>) = (target, level, file, 12, None);
    assert_eq!(rows, [expected]);
}
