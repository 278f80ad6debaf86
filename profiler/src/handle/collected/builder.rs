//! Where to record to: a method of the builder.

use std::path::PathBuf;

use crate::handle::builder::ProfilerBuilder;

/// For a collector.
impl ProfilerBuilder {
    /// Records into a ring file in this folder, and leaves the database to `spandrel collect`, a process of its own:
    ///
    /// ```text
    /// spandrel collect DIR -o profile.db
    /// ```
    ///
    /// It may be started before the program or after it, and collects from all programs that record into the folder, each
    /// as a run of its own. The ring keeps what it has room for, and the rest is counted as dropped (`ring_full`). What is in it
    /// outlives the process, however that ends: what was published, and the spans that were open. (Feature
    /// `collected`; Linux and macOS.)
    ///
    /// The folder is made if it is not there, and has to be the user's alone (mode 0700), on tmpfs, ext4 or xfs:
    /// `/dev/shm/NAME`, say. The file takes some 50 MB; [`ring_capacity`](Self::ring_capacity) is four times as large by
    /// default as without a file.
    ///
    /// | here | means |
    /// |---|---|
    /// | [`flush`](crate::Profiler::flush) | waits until the collector has committed; without one it is a `Timeout` that says so |
    /// | [`close`](crate::Profiler::close) | nothing more comes; waits for nobody |
    /// | [`stats`](crate::Profiler::stats) | what is not known to be committed is `in_flight`; figures of the database are the collector's |
    /// | [`mark`](crate::Profiler::mark) | some ten thousand in a recording; then `MarksFull` |
    ///
    /// This takes the place of `database`. What else is said about that (its batches, limits and the like) is the
    /// collector's to know, and has no effect here; `max_bytes` and `max_age` are refused by
    /// [`build`](Self::build), as whoever sets them counts on them.
    pub fn collected(mut self, folder: impl Into<PathBuf>) -> Self {
        self.collected = Some(folder.into());
        self
    }
}
