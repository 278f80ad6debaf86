//! Why the pages say that rows are to be fetched at once: a query that stays open keeps the write-ahead
//! log from being used again.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use spandrel_storage::StoreOptions;
use spandrel_tests_exports::Desk;
use spandrel_tests_exports::shop::Live;

/// How long the log gets while a program that has asked this goes on doing something else.
fn log_bytes(desk: &Desk, ask: &str) -> Option<u64> {
    let options = StoreOptions { checkpoint_bytes: 256 << 10, ..StoreOptions::default() };
    let mut live = Live::begin(desk.folder.path(), &options);
    live.commit(500).unwrap();
    let script = format!(
        "import sqlite3, sys\n\
         conn = sqlite3.connect('file:live.db?mode=ro', uri=True)\n\
         sql = 'SELECT * FROM span'\n\
         try:\n    {ask}\n\
         except ModuleNotFoundError as missing:\n    print(missing, flush=True); sys.exit()\n\
         print('asked', flush=True)\n\
         sys.stdin.read()"
    );
    let mut child = desk
        .command(&desk.python)
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let is_asked = said == "asked\n";
    if !is_asked {
        eprintln!("SKIPPED: {said}");
    }
    for _ in 0..60 {
        live.commit(500).unwrap();
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let log = desk.folder.path().join("live.db-wal");
    is_asked.then(|| log.metadata().unwrap().len())
}

#[test]
fn a_query_that_stays_open_makes_the_log_grow() {
    let Some(desk) = Desk::new() else { return };
    let Some(fetched) = log_bytes(&desk, "rows = conn.execute(sql).fetchall()") else { return };
    for open in [
        "cursor = conn.execute(sql); cursor.fetchone()",
        "import pandas; chunks = pandas.read_sql_query(sql, conn, chunksize=100); next(chunks)",
        "import polars; frames = polars.read_database(sql, conn, iter_batches=True, batch_size=100); \
         next(frames)",
    ] {
        if let Some(bytes) = log_bytes(&desk, open) {
            assert!(bytes > 3 * fetched, "{open}: {bytes}, beside {fetched}");
        }
    }
    for all in [
        "import pandas; rows = pandas.read_sql_query(sql, conn)",
        "import polars; rows = polars.read_database(sql, conn, infer_schema_length=None)",
    ] {
        // The log may be emptied late by chance: not each time.
        let tries: Vec<u64> = (0..5)
            .map_while(|_| log_bytes(&desk, all))
            .scan(false, |is_short, bytes| {
                (!std::mem::replace(is_short, bytes < 2 * fetched)).then_some(bytes)
            })
            .collect();
        let is_short = tries.is_empty() || tries.iter().any(|bytes| *bytes < 2 * fetched);
        assert!(is_short, "{all}: {tries:?}, beside {fetched}");
    }
}
