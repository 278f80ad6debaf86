//! Litestream beside a recording: it empties the log that it holds, and what it restores is equal.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use spandrel_storage::{Error, ErrorKind, StoreOptions};
use spandrel_tests_exports::Desk;
use spandrel_tests_exports::shop::Live;

/// Longer than it takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long the log may get.
const LOG_MAX: u64 = 2 << 20;

/// Asks until it is so; how often is no part of what is tested.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Ends with the test, whatever comes of it.
struct Running(Child);

impl Running {
    /// Tells it to end as a service manager does, upon which it copies what is left.
    fn end(&mut self) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.0.wait().unwrap().success(), "{said}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already if all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rows(path: &Path) -> Vec<String> {
    let conn = Connection::open(path).unwrap();
    let tables = ["run", "callsite", "span", "event", "link", "batch", "batch_range", "rollup"];
    let sum = |table: &str| {
        let sql = format!("SELECT * FROM {table}");
        let mut statement = conn.prepare(&sql).unwrap();
        let columns = statement.column_count();
        let rows = statement
            .query_map([], |row| {
                (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at)).collect()
            })
            .unwrap();
        let rows: Vec<Vec<_>> = rows.collect::<Result<_, _>>().unwrap();
        assert!(!rows.is_empty(), "{table}");
        format!("{table} {rows:?}")
    };
    tables.map(sum).into()
}

/// Beside a recording whose log may have 2 MiB, and with those settings.
fn beside(desk: &Desk, settings: &str) -> (Live, Running) {
    let folder = desk.folder.path();
    let config = format!(
        "dbs:\n  - path: live.db\n{settings}    monitor-interval: 50ms\n    \
         replica:\n      path: backup\n"
    );
    std::fs::write(folder.join("litestream.yml"), config).unwrap();
    let options = StoreOptions { wal_bytes_max: LOG_MAX, ..StoreOptions::default() };
    let mut live = Live::begin(folder, &options);
    live.commit(10).unwrap();
    let words = ["replicate", "-config", "litestream.yml", "-log-level", "warn"];
    let child = desk
        .command("litestream")
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let running = Running(child);
    until("the first copy", || folder.join("backup/ltx/0").is_dir());
    (live, running)
}

fn installed() -> Option<Desk> {
    let desk = Desk::new()?;
    if desk.command("litestream").arg("version").output().is_err() {
        eprintln!("SKIPPED: litestream is not installed");
        return None;
    }
    Some(desk)
}

/// Why the page says that a smaller log needs a smaller number of pages.
#[test]
fn a_log_that_is_smaller_than_what_litestream_leaves_in_it_stays_full() {
    let Some(desk) = installed() else { return };
    // It empties it after a minute, too, which a slow machine may take for this.
    let (mut live, mut running) = beside(&desk, "    checkpoint-interval: 1h\n");
    let refused =
        |result| matches!(result, Err(error) if Error::kind(&error) == ErrorKind::WalFull);
    until("the log is full", || refused(live.commit(1_000)));
    // Litestream looks at it again and again meanwhile, and leaves it.
    for _ in 0..40 {
        std::thread::park_timeout(Duration::from_millis(50));
        assert!(refused(live.commit(1_000)), "the log has room again");
    }
    running.end();
}

#[test]
fn litestream_empties_the_log_and_restores_an_equal_profile() {
    let Some(desk) = installed() else { return };
    let folder = desk.folder.path();
    let (mut live, mut running) = beside(&desk, "    min-checkpoint-page-count: 20\n");

    // Several times what the log may hold, so that it is emptied again and again.
    let mut full = 0;
    for _ in 0..200 {
        until("a commit", || match live.commit(1_000) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::WalFull => {
                full += 1;
                false
            }
            Err(error) => panic!("{error}"),
        });
    }
    let path = folder.join("live.db");
    let stored = path.metadata().unwrap().len();
    assert!(stored > 4 * LOG_MAX, "{stored} bytes");
    running.end();
    let restored = folder.join("restored.db");
    let output = desk
        .command("litestream")
        .args(["restore", "-config", "litestream.yml", "-o", "restored.db", "live.db"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (is, wanted) = (rows(&restored), rows(&path));
    for (is, wanted) in is.iter().zip(&wanted) {
        assert!(is == wanted, "{} bytes, not {}: {wanted:.40}", is.len(), wanted.len());
    }
    eprintln!("litestream: {stored} bytes, the log was full {full} times");
}
