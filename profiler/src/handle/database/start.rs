//! From settings to a profiler that records: opens the database and starts the writer.

use std::sync::Arc;

#[cfg(feature = "crash-proof")]
use spandrel_ring::file::CreateError;
use spandrel_ring::{Consumer, fork};
use spandrel_storage::Store;

use super::path_pattern;
use super::run_row::{others, run_row};
use super::thread::{Closing, Database};
use crate::error::{Error, ErrorKind};
use crate::handle::builder::ProfilerBuilder;
use crate::handle::profiler::Profiler;
use crate::handle::run_info::{describe_run, uuid};
use crate::mutex::Mutex;
use crate::recorder::local;
use crate::recorder::record::{FIRST_ID_MAX, Slot};
#[cfg(feature = "crash-proof")]
use crate::recorder::ring_file::{
    own::{Drainer, FilePlan},
    place,
};
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
    if builder.database.crash_proof {
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
    let path = &builder.database.path;
    let database = place::canonical(path)
        .map_err(|error| refused(&format_args!("{}: {error}", path.display())))?;
    let redacted = builder.redaction.added().to_vec();
    // What a thread of a forked child knows of its parent's table is not so there.
    fork::call_in_child(local::forget_in_child);
    let plan = FilePlan {
        drainer: Drainer::Profile(database),
        run: uuid.to_owned(),
        redacted,
        has_signal_handler: builder.signal_handler,
    };
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

impl Profiler {
    /// Opens the database in a thread of its own.
    ///
    /// If a file reaches the limit on file sizes (`ulimit -f`), the system sends the writing thread a
    /// signal, which ends the program unless it is blocked. It is blocked in this thread only; the
    /// caller's signal mask and pending signals do not change.
    pub(in crate::handle) fn start_with_database(builder: ProfilerBuilder) -> Result<Self, Error> {
        builder.check_with_database()?;
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
        let pattern = std::mem::take(&mut builder.database.path);
        builder.database.path = path_pattern::expand(&pattern);
        let rule = builder.rule()?;
        let mut store =
            Store::open(&builder.database.path, &builder.database.store).map_err(|error| {
                let in_use = error.kind() == spandrel_storage::ErrorKind::InUse;
                let error = Error::from(error);
                match in_use && !path_pattern::tells_processes_apart(&pattern) {
                    true => {
                        error.or_else("or put %p, the process id, into it: then each has its own")
                    }
                    false => error,
                }
            })?;
        // Before ids are taken: those that processes have left behind come first.
        #[cfg(all(feature = "crash-proof", not(spandrel_loom)))]
        let unrecovered =
            crate::writer::recover::before_recording(&mut store, &builder.database.path).refused;
        #[cfg(all(feature = "crash-proof", not(spandrel_loom)))]
        crate::writer::recover::leave_ids_of_rings(&mut store, &builder.database.path);
        #[cfg(all(feature = "crash-proof", not(spandrel_loom)))]
        crate::writer::recover::remove_unmade_of_all();
        let first_id = store.next_id();
        if first_id >= FIRST_ID_MAX {
            return Err(Error::damaged_ids(&builder.database.path));
        }
        let uuid = uuid();
        let options = builder.recorder_options(rule, first_id);
        let state = Arc::new(WriterState::default());
        #[cfg(all(feature = "crash-proof", not(spandrel_loom)))]
        unrecovered.iter().for_each(|error| state.set_error(error.to_string()));
        let (recorder, consumer) = make_recorder(&builder, &options, &uuid, &state)?;
        #[cfg(feature = "crash-proof")]
        let unbuilt = Unbuilt(Some(Arc::clone(&recorder)));
        let run = run_row(describe_run(&builder, &recorder, uuid, others(&builder.database)));
        store.begin_run(&run)?;
        #[cfg(feature = "crash-proof")]
        let threads_above = store.thread_id(0);
        state.marks.ids_begin_at(store.next_mark_id()?);
        let requests = Requests::begin(builder.database.control, &store, &state);
        let (control, inbox) = crossbeam_channel::bounded(FLUSHES_MAX);
        let (pill, pills) = crossbeam_channel::bounded(1);
        let (ending, ended) = crossbeam_channel::bounded(0);
        // The path may be relative to a current folder that changes later.
        let settings = builder.database;
        let path = std::path::absolute(&settings.path).unwrap_or(settings.path);
        let copy_log_bytes_max = settings.store.wal_bytes_max / 2;
        let options = WriterOptions {
            batch_size: settings.batch_size,
            flush_interval: settings.flush_interval,
            open_spans_max: builder.max_open_spans,
            database: path.clone(),
            store: settings.store,
            first_id,
            run,
            redaction: builder.redaction,
            #[cfg(feature = "faults")]
            fault: settings.fault,
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
        let backend = Database {
            recorder: Arc::clone(&recorder),
            state: Arc::clone(&state),
            control,
            pill,
            waker,
            ended,
            closing: Mutex::new(Closing::Running(Some(thread))),
            close_timeout: settings.close_timeout,
            path,
            copy_log_bytes_max,
        };
        Ok(Self::with(recorder, Box::new(backend), state, builder.gauge_interval))
    }
}
