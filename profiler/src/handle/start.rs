//! From settings to a profiler that records: opens the database and starts the writer.

use std::sync::Arc;

#[cfg(feature = "crash-proof")]
use spandrel_ring::file::CreateError;
use spandrel_ring::{Consumer, fork};
use spandrel_storage::Store;

use super::builder::ProfilerBuilder;
use super::path_pattern;
use super::profiler::{Closing, Handle, Profiler};
use super::run_info::{describe_run, uuid};
use crate::error::{Error, ErrorKind};
use crate::mutex::Mutex;
use crate::recorder::local;
use crate::recorder::record::{FIRST_ID_MAX, Slot};
#[cfg(feature = "crash-proof")]
use crate::recorder::ring_file::{own::FilePlan, place};
use crate::recorder::{Recorder, RecorderOptions};
use crate::writer::control::FLUSHES_MAX;
use crate::writer::{Requests, Writer, WriterOptions, WriterState};

/// Allocates ring and tables, or makes a file for them.
fn make_recorder(
    builder: &ProfilerBuilder,
    options: &RecorderOptions,
    uuid: &str,
    state: &WriterState,
) -> Result<(Arc<Recorder>, Consumer<Slot>), Error> {
    #[cfg(feature = "crash-proof")]
    if builder.is_crash_proof() {
        match make_in_file(builder, options, uuid) {
            Ok(made) => return Ok(made),
            // No other machine of its kind can, so nobody should rely on it.
            Err(NoFile::Unsupported(error)) => return Err(error),
            Err(NoFile::Refused(why)) => state.set_crash_proof_error(why),
        }
    }
    _ = (uuid, state);
    Recorder::try_new(options).map_err(|refused| builder.too_large(refused))
}

/// Why the ring does not lie in a file.
#[cfg(feature = "crash-proof")]
enum NoFile {
    Unsupported(Error),
    Refused(String),
}

#[cfg(feature = "crash-proof")]
fn make_in_file(
    builder: &ProfilerBuilder,
    options: &RecorderOptions,
    uuid: &str,
) -> Result<(Arc<Recorder>, Consumer<Slot>), NoFile> {
    let refused = |why: &dyn std::fmt::Display| {
        NoFile::Refused(format!(
            "the recording does not outlive its process, what is not committed is lost if that is killed: {why}"
        ))
    };
    let database = place::canonical(&builder.database).map_err(|error| refused(&error))?;
    let redacted = builder.redaction.added().to_vec();
    // What a thread of a forked child knows of its parent's table is not so there.
    fork::call_in_child(local::forget_in_child);
    let plan = FilePlan { database, run: uuid.to_owned(), redacted };
    Recorder::try_new_in_file(options, &plan).map_err(|error| match error {
        CreateError::Unsupported => {
            let message = format!("crash_proof: {error}");
            NoFile::Unsupported(Error::new(ErrorKind::InvalidOption, message))
        }
        error => refused(&error),
    })
}

/// Removes the ring file of a profiler that is not built after all.
#[cfg(feature = "crash-proof")]
struct Unbuilt(Option<Arc<Recorder>>);

#[cfg(feature = "crash-proof")]
impl Unbuilt {
    fn begin(mut self, threads_above: i64) {
        if let Some(recorder) = self.0.take()
            && let Some(file) = &recorder.file
        {
            file.begin(threads_above);
        }
    }
}

#[cfg(feature = "crash-proof")]
impl Drop for Unbuilt {
    fn drop(&mut self) {
        if let Some(recorder) = self.0.take()
            && let Some(file) = &recorder.file
        {
            // The error that is being returned is the one that counts; a file without records is removed by the next one.
            _ = file.remove();
        }
    }
}

impl ProfilerBuilder {
    /// Opens the database, allocates ring and tables, and starts the writer thread.
    ///
    /// # Errors
    ///
    /// A setting out of range, or one that takes more memory than there is
    /// ([`ErrorKind::InvalidOption`]), a database that cannot be opened
    /// ([`ErrorKind::Storage`]; nothing on disk was changed), or a thread that cannot be started.
    /// The program can go on without a profiler.
    ///
    /// # Blocking
    ///
    /// For the time that it takes to open or make a database, usually some milliseconds. If a process that recorded into
    /// it with [`crash_proof`](Self::crash_proof) has died, what that had left is stored first: ids of this recording
    /// have to be above those, and half a second is what a full ring of the usual size takes.
    pub fn build(self) -> Result<Profiler, Error> {
        self.check()?;
        Profiler::start(self)
    }
}

impl Profiler {
    /// Opens the database in a thread of its own.
    ///
    /// If a file reaches the limit on file sizes (`ulimit -f`), the system sends the writing thread a
    /// signal, which ends the program unless it is blocked. It is blocked in this thread only; the
    /// caller's signal mask and pending signals do not change.
    pub(crate) fn start(builder: ProfilerBuilder) -> Result<Self, Error> {
        let refused = |source: std::io::Error| {
            Error::new(ErrorKind::Thread, format!("cannot start the writer thread: {source}"))
                .with_source(source)
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("spandrel-build".into());
            let thread = thread
                .spawn_scoped(scope, || {
                    local::mute_current_thread();
                    spandrel_storage::survive_file_size_limit().map_err(refused)?;
                    Self::start_here(builder)
                })
                .map_err(refused)?;
            thread.join().unwrap_or_else(|payload| {
                // Its destructor may run code of others.
                std::mem::forget(payload);
                Err(Error::new(ErrorKind::Thread, "cannot open the database: its thread panicked"))
            })
        })
    }

    pub(crate) fn start_here(mut builder: ProfilerBuilder) -> Result<Self, Error> {
        // Otherwise a forked child would keep the file locked after the end of this process.
        spandrel_storage::tell_of_locks(fork::close_in_child, fork::keep_in_child);
        let pattern = std::mem::take(&mut builder.database);
        builder.database = path_pattern::expand(&pattern);
        let rule = builder.rule()?;
        let mut store = Store::open(&builder.database, &builder.store).map_err(|error| {
            let in_use = error.kind() == spandrel_storage::ErrorKind::InUse;
            let error = Error::from(error);
            match in_use && !path_pattern::tells_processes_apart(&pattern) {
                true => error.or_else("or put %p, the process id, into it: then each has its own"),
                false => error,
            }
        })?;
        // Before ids are taken: those that processes have left behind come first.
        #[cfg(all(feature = "crash-proof", not(spandrel_loom)))]
        let unrecovered = crate::writer::recover::before_recording(&mut store, &builder.database).1;
        let first_id = store.next_id();
        if first_id >= FIRST_ID_MAX {
            return Err(Error::damaged_ids(&builder.database));
        }
        let uuid = uuid();
        let options = RecorderOptions {
            ring_capacity: builder.ring_slots(),
            partitions: builder.partitions,
            open_spans_max: builder.max_open_spans,
            field_bytes_max: builder.max_field_bytes,
            rule,
            busy_time: builder.busy_time,
            status_rules: builder.status_rules,
            entries: builder.entries.clone(),
            first_id,
        };
        let state = Arc::new(WriterState::default());
        #[cfg(all(feature = "crash-proof", not(spandrel_loom)))]
        unrecovered.iter().for_each(|error| state.set_error(error.to_string()));
        let (recorder, consumer) = make_recorder(&builder, &options, &uuid, &state)?;
        #[cfg(feature = "crash-proof")]
        let unbuilt = Unbuilt(Some(Arc::clone(&recorder)));
        let run = describe_run(&builder, &recorder, uuid);
        store.begin_run(&run)?;
        #[cfg(feature = "crash-proof")]
        let threads_above = store.thread_id(0);
        state.marks.ids_begin_at(store.next_mark_id()?);
        let requests = Requests::begin(builder.control, &store, &state);
        let (control, inbox) = crossbeam_channel::bounded(FLUSHES_MAX);
        let (pill, pills) = crossbeam_channel::bounded(1);
        let (ending, ended) = crossbeam_channel::bounded(0);
        // The path may be relative to a current folder that changes later.
        let database = std::path::absolute(&builder.database).unwrap_or(builder.database);
        let copy_log_bytes_max = builder.store.wal_bytes_max / 2;
        let options = WriterOptions {
            batch_size: builder.batch_size,
            flush_interval: builder.flush_interval,
            open_spans_max: builder.max_open_spans,
            database: database.clone(),
            store: builder.store,
            first_id,
            run,
            redaction: builder.redaction,
            #[cfg(feature = "faults")]
            fault: builder.fault,
        };
        let waker = recorder.ring.waker();
        let thread = {
            let (recorder, state) = (Arc::clone(&recorder), Arc::clone(&state));
            std::thread::Builder::new().name("spandrel-writer".into()).spawn(move || {
                local::mute_current_thread();
                // Dropped when the thread ends; `ended` waits for that.
                let _ending = ending;
                // Normally it is blocked already: threads inherit the mask of the thread that starts
                // them.
                if let Err(error) = spandrel_storage::survive_file_size_limit() {
                    state.set_error(format!("the signal of file sizes is not blocked: {error}"));
                }
                let asked = (inbox, pills);
                Writer::new(recorder, state, consumer, asked, store, requests, options).run();
            })
        };
        let thread = thread.map_err(|error| {
            Error::new(ErrorKind::Thread, format!("cannot start the writer thread: {error}"))
                .with_source(error)
        })?;
        #[cfg(feature = "crash-proof")]
        unbuilt.begin(threads_above);
        Ok(Self {
            handle: Some(Arc::new(Handle {
                recorder,
                state,
                control,
                pill,
                waker,
                ended,
                closing: Mutex::new(Closing::Running(Some(thread))),
                close_timeout: builder.close_timeout,
                database,
                copy_log_bytes_max,
                pid: std::process::id(),
            })),
        })
    }
}
