//! A folder for a test's database, and a profiler small enough to build often.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use spandrel::{Profiler, ProfilerBuilder};
use tempfile::TempDir;
use tracing::Dispatch;
use tracing_subscriber::prelude::*;

use crate::limit::{TimeLimit, time_limit};

/// A folder that goes when the test ends.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    db: PathBuf,
    _limit: Option<TimeLimit>,
}

/// A new, empty folder.
pub fn scratch() -> Scratch {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let db = folder.path().join("profile.db");
    Scratch { folder, db, _limit: None }
}

/// The same, for a test that may take so many seconds: see [`time_limit`].
pub fn scratch_for(seconds: u64) -> Scratch {
    Scratch { _limit: Some(time_limit(seconds)), ..scratch() }
}

impl Scratch {
    /// The path of the test's database.
    pub fn db(&self) -> &Path {
        &self.db
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A profiler whose tables are quick to allocate: two partitions, 1,024 open spans. Its ring holds
/// all that a test records between two flushes, however late the writer comes.
pub fn small(db: &Path) -> ProfilerBuilder {
    Profiler::builder().database(db).ring_capacity(65_536).partitions(2).max_open_spans(1_024)
}

/// A `Registry` with the profiler's layer, for one thread or several, without the global default.
pub fn dispatch(profiler: &Profiler) -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(profiler.layer()))
}

/// Works for so long.
pub fn spin(length: Duration) {
    let began = Instant::now();
    while began.elapsed() < length {
        std::hint::spin_loop();
    }
}

/// Runs `body` with `dispatch` as this thread's subscriber.
pub fn within<T>(dispatch: &Dispatch, body: impl FnOnce() -> T) -> T {
    tracing::dispatcher::with_default(dispatch, body)
}
