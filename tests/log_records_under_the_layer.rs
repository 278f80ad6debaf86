//! Records of the `log` crate that `tracing_subscriber` has taken say where they come from, too.

use spandrel_tests::prelude::*;

#[test]
fn records_under_the_layer_come_from_where_they_were_logged() {
    alone!();
    let (scratch, profiler) = recording_for(30);
    tracing_subscriber::registry().with(profiler.layer()).init();
    let line = i64::from(line!()) + 1;
    log::info!(target: "db::pool", "a record");
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let rows = db.rows("SELECT target, level, file, line, fields FROM events", [], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
    });
    let (target, level, file) = ("db::pool".into(), "INFO".into(), file!().into());
    let expected: (String, String, String, i64, Option<String>) = (target, level, file, line, None);
    assert_eq!(rows, [expected]);
}
