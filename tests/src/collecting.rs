//! Programs that record into ring files of a folder, a collector of them, and what has to be in its profile then.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc)] // a test fails by panicking, also in its helpers

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use spandrel::collect::{CollectOptions, Collected, Collecting, collect};
use spandrel::{Profiler, ProfilerBuilder};
use spandrel_query::Reader;
use tempfile::TempDir;
use tracing::{info, info_span};

use crate::{Database, dispatch, within};

/// For a flush that has to be answered.
pub const LONG: Duration = Duration::from_secs(60);

/// A folder in memory for ring files.
pub fn rings() -> TempDir {
    let ours = Permissions::from_mode(0o700);
    let mut builder = tempfile::Builder::new();
    builder.prefix("spandrel-collected-").permissions(ours).tempdir_in("/dev/shm").unwrap()
}

/// A small profiler that records into this folder.
pub fn small_in(rings: &Path) -> ProfilerBuilder {
    Profiler::builder().collected(rings).ring_capacity(1 << 14).partitions(2).max_open_spans(256)
}

/// A collector on a thread of this process.
#[derive(Debug)]
pub struct Collector {
    stop: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<Collecting>>>,
    thread: JoinHandle<Result<Collected, spandrel::Error>>,
}

impl Collector {
    /// Starts one.
    #[must_use]
    pub fn start(rings: &Path, database: &Path) -> Self {
        Self::start_with(rings, database, CollectOptions::default())
    }

    /// The same with these settings.
    #[must_use]
    pub fn start_with(rings: &Path, database: &Path, options: CollectOptions) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::new(Mutex::new(Vec::new()));
        let (rings, database) = (rings.to_owned(), database.to_owned());
        let thread = {
            let (stop, told) = (Arc::clone(&stop), Arc::clone(&told));
            std::thread::spawn(move || {
                let stop = || stop.load(Ordering::Relaxed);
                let tell = |what| told.lock().unwrap().push(what);
                collect(&rings, &database, &options, stop, tell)
            })
        };
        Self { stop, told, thread }
    }

    /// Waits until it has told so, or has ended.
    pub fn until(&self, is_it: impl Fn(&Collecting) -> bool) {
        while !self.told.lock().unwrap().iter().any(&is_it) && !self.thread.is_finished() {
            std::thread::yield_now();
        }
    }

    /// Whether it has ended by itself.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it.
    pub fn stop(self) -> (Collected, Vec<Collecting>) {
        self.stop.store(true, Ordering::Relaxed);
        let done = self.thread.join().unwrap().unwrap();
        (done, std::mem::take(&mut *self.told.lock().unwrap()))
    }

    /// Waits until it ends by itself.
    pub fn end(self) -> Result<Collected, spandrel::Error> {
        self.thread.join().unwrap()
    }
}

/// Collects what there is.
pub fn collect_once(rings: &Path, database: &Path) -> (Collected, Vec<Collecting>) {
    let mut told = Vec::new();
    let mut options = CollectOptions::default();
    options.once = true;
    let done = collect(rings, database, &options, || false, |what| told.push(what)).unwrap();
    (done, told)
}

/// A request with queries in it, each with an event.
pub fn request(n: u64) {
    info_span!("request", n).in_scope(|| {
        for part in 0..3 {
            info_span!("query", n, part).in_scope(|| info!(n, part, "row"));
        }
    });
}

/// Records these requests.
pub fn record(profiler: &Profiler, numbers: std::ops::Range<u64>) {
    within(&dispatch(profiler), || numbers.for_each(request));
}

/// That a run has these requests, each once, with all that belongs to them.
pub fn assert_has(database: &Path, run: i64, numbers: std::ops::Range<u64>) {
    let db = Database::open(database);
    let count =
        |sql: &str| db.count(&format!("SELECT count(*) FROM spans WHERE run_id = {run} AND {sql}"));
    let requests = numbers.end - numbers.start;
    assert_eq!(count("name = 'request' AND status = 'ok'"), requests);
    assert_eq!(count("name = 'query' AND status = 'ok'"), 3 * requests);
    let distinct = "SELECT count(DISTINCT fields ->> 'n') FROM spans WHERE name = 'request'";
    assert_eq!(db.count(&format!("{distinct} AND status = 'ok' AND run_id = {run}")), requests);
    let parents = format!(
        "SELECT count(*) FROM spans AS q JOIN spans AS r ON r.id = q.parent_id
         WHERE q.run_id = {run} AND r.run_id = {run} AND q.name = 'query' AND r.name = 'request'
           AND q.fields ->> 'n' = r.fields ->> 'n' AND q.root_id = r.id
           AND q.start_ns >= r.start_ns AND q.start_ns + q.duration_ns <= r.start_ns + r.duration_ns"
    );
    assert_eq!(db.count(&parents), 3 * requests, "parents enclose their children");
    // But for the drift between the timelines of two collectors, each of which has measured the rate of the ticks.
    let self_times = format!(
        "WITH inside AS (
           SELECT parent_id, sum(coalesce(last_exit_ns, first_entry_ns + busy_ns)) AS ns
           FROM span WHERE run_id = {run} AND parent_id IS NOT NULL GROUP BY parent_id
         )
         SELECT r.id || ': self ' || r.self_ns || ', to its last exit '
           || coalesce(r.last_exit_ns, r.first_entry_ns + r.busy_ns) || ', children ' || i.ns
           || ', batch ' || r.batch_id
         FROM inside AS i JOIN span AS r ON r.id = i.parent_id
         WHERE abs(r.self_ns - coalesce(r.last_exit_ns, r.first_entry_ns + r.busy_ns) + i.ns)
           > 1000 + r.duration_ns / 1000"
    );
    let wrong: Vec<String> = db.rows(&self_times, [], |row| row.get(0));
    assert!(wrong.is_empty(), "self time is without the children, whoever stored them: {wrong:?}");
    let events = format!(
        "SELECT count(*) FROM event AS e JOIN span AS q ON q.id = e.span_id AND q.run_id = e.run_id
         WHERE e.run_id = {run}"
    );
    assert_eq!(db.count(&events), 3 * requests);
    let found = Reader::open(database).unwrap().contradictions(run).unwrap();
    assert!(found.is_empty(), "{found:?}");
}

/// That no ring file is left.
pub fn assert_no_files(rings: &Path) {
    let left: Vec<PathBuf> =
        std::fs::read_dir(rings).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// When a collector has looked at a ring, as its file says: the second one of the drainer's words, which begin where word 41
/// of the header says. (Whoever closes such a file gives up the locks that this process has on it.)
#[must_use]
pub fn looked_at(file: &std::fs::File) -> u64 {
    use std::os::unix::fs::FileExt;
    let word = |at: u64| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at).unwrap();
        u64::from_ne_bytes(bytes)
    };
    word(word(8 * 41) + 8)
}
