//! How a buffer and its threads begin.

use std::io;
use std::sync::Arc; // not loom's: it keeps memory, and hands nothing over

use crossbeam_utils::CachePadded;

use super::control::Control;
use super::core::{Core, Processor};
use super::error::StartError;
use super::letters::Letters;
use super::options::Options;
use super::partition::Partition;
use super::pool::Pool;
use super::store::Store;
use super::sync::{Clock, Condvar, Mutex, Thread, lock, spawn};
use super::{watch, worker};

impl<S: Store> Core<S> {
    /// Of options that are possible.
    pub(crate) fn start(
        options: Options,
        store: impl Fn() -> S,
        processor: Arc<Processor<S::Item>>,
    ) -> Result<Arc<Self>, StartError> {
        let partitions = (0..options.partitions)
            .map(|_| CachePadded::new(Mutex::new(Partition::new(store(), &options))));
        let core = Arc::new(Self {
            partitions: partitions.collect(),
            pool: Pool::new(options.capacity, options.capacity_bytes),
            letters: Mutex::new(Letters::new(options.dead_letters_max)),
            processor: Mutex::new(processor),
            work: Condvar::new(),
            watch: Condvar::new(),
            changed: Condvar::new(),
            clock: Clock::new(),
            control: Mutex::new(Control::new(options)),
        });
        let workers = core.options().workers;
        let started =
            core.spawn_watch().and_then(|()| (0..workers).try_for_each(|_| core.spawn_worker()));
        started.map_err(|why| {
            core.stop();
            StartError::Thread(why)
        })?;
        Ok(core)
    }

    fn spawn_watch(self: &Arc<Self>) -> io::Result<()> {
        let (id, name) = self.next_thread();
        let core = Arc::clone(self);
        lock(&self.control).has_watch = true;
        let spawned = spawn(format!("{name}-watch"), move || watch::run(&core, id));
        self.note_thread(id, spawned, |control| control.has_watch = false)
    }

    /// One more worker.
    pub(crate) fn spawn_worker(self: &Arc<Self>) -> io::Result<()> {
        let (id, name) = self.next_thread();
        let core = Arc::clone(self);
        lock(&self.control).workers += 1;
        let spawned = spawn(name, move || worker::run(&core, id));
        self.note_thread(id, spawned, |control| control.workers -= 1)
    }

    fn next_thread(&self) -> (u64, String) {
        let mut control = lock(&self.control);
        (control.id(), control.options.name.clone())
    }

    fn note_thread(
        &self,
        id: u64,
        spawned: io::Result<Thread>,
        undo: impl FnOnce(&mut Control<S::Item>),
    ) -> io::Result<()> {
        let mut control = lock(&self.control);
        match spawned {
            Ok(thread) => control.threads.push((id, thread)),
            Err(why) => {
                undo(&mut control);
                return Err(why);
            }
        }
        // Those that have ended since are done with: nobody joins them in a buffer that is never closed.
        let Control { threads, ended, .. } = &mut *control;
        threads.retain(|(id, _)| !ended.contains(id));
        ended.clear();
        Ok(())
    }
}
