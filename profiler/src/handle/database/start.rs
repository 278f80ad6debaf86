//! From settings to a profiler that records: opens the database and starts the writer.

use std::sync::Arc;

use spandrel_ring::fork;
use spandrel_storage::Store;

use super::path_pattern;
use super::run_row::{others, run_row};
use super::thread::{Closing, Database};
use crate::error::{Error, ErrorKind};
use crate::handle::builder::ProfilerBuilder;
use crate::handle::profiler::Profiler;
use crate::handle::run_info::describe_run;
use crate::mutex::Mutex;
use crate::recorder::local;
use crate::recorder::record::FIRST_ID_MAX;
use crate::recorder::{Recorder, RecorderOptions};
use crate::writer::control::FLUSHES_MAX;
use crate::writer::{Requests, Writer, WriterOptions, WriterState};

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
        let first_id = store.next_id();
        if first_id >= FIRST_ID_MAX {
            return Err(Error::damaged_ids(&builder.database.path));
        }
        let options = RecorderOptions {
            ring_capacity: builder.ring_capacity,
            partitions: builder.partitions,
            open_spans_max: builder.max_open_spans,
            field_bytes_max: builder.max_field_bytes,
            rule,
            busy_time: builder.busy_time,
            status_rules: builder.status_rules,
            entries: builder.entries.clone(),
            first_id,
        };
        let made = Recorder::try_new(&options).map_err(|refused| builder.too_large(refused));
        let (recorder, consumer) = made?;
        let run = run_row(describe_run(&builder, &recorder, others(&builder.database)));
        store.begin_run(&run)?;
        let state = Arc::new(WriterState::default());
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
        Ok(Self::with(recorder, Box::new(backend), state))
    }
}
