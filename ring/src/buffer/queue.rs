//! First in, first out, within a partition.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc; // not loom's: it keeps memory, and hands nothing over
use std::time::Duration;

use super::batch::Batch;
use super::core::Core;
use super::ending::Shared;
use super::error::{Refused, StartError, Why};
use super::fifo::Fifo;
use super::handle::{boxed, handle_methods};
use super::metrics::Metrics;
use super::options::{Kind, Options};
use super::pool::units;
use super::room::{Try, wait_for_room};
use super::route::Route;

/// A queue of items, which a processor gets in batches. Clones of it are handles of the same queue.
///
/// The items of a partition are processed in the order in which they came, also through failures: the next batch of a
/// partition comes when the one before is processed, given up or taken. (One that has run out of time and is set aside may
/// succeed later than those behind it: [`AfterTimeOut`](super::AfterTimeOut).) There is no order between partitions.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use spandrel_ring::buffer::{Batch, Options, Queue};
///
/// let written = Arc::new(Mutex::new(Vec::new()));
/// let file = Arc::clone(&written);
/// let queue = Queue::builder()
///     .options(Options::new().batch_size(2).interval(Duration::from_millis(200)))
///     .by_key(|&(user, _): &(u32, &str)| user) // what one user does stays in order
///     .start(move |batch: &Batch<(u32, &str)>| {
///         file.lock().map_err(|_| "poisoned")?.extend_from_slice(batch);
///         Ok::<(), &str>(())
///     })?;
/// queue.push((7, "opens"))?;
/// queue.push((7, "reads"))?;
/// queue.push((7, "closes"))?;
/// queue.close(Duration::from_secs(10));
/// assert_eq!(*written.lock().unwrap(), [(7, "opens"), (7, "reads"), (7, "closes")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Queue<T: Send + Sync + 'static> {
    inner: Arc<Inner<T>>,
}

struct Inner<T: Send + Sync + 'static> {
    shared: Shared<Fifo<T>>,
    route: Route<T>,
    weigh: Option<Weigh<T>>,
}

type Weigh<T> = Box<dyn Fn(&T) -> usize + Send + Sync>;

/// How a queue is made.
pub struct QueueBuilder<T> {
    options: Options,
    route: Route<T>,
    weigh: Option<Weigh<T>>,
}

impl<T: Send + Sync + 'static> QueueBuilder<T> {
    /// How it works.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Each thread has a partition, which it may share with others: so the items of a thread stay in order. That is so
    /// unless something else is said.
    pub fn by_thread(mut self) -> Self {
        self.route = Route::Thread;
        self
    }

    /// Items with the same key have the same partition. It is called before anything is locked.
    pub fn by_key<K: Hash>(mut self, key: impl Fn(&T) -> K + Send + Sync + 'static) -> Self {
        let hasher = RandomState::new();
        self.route = Route::Hash(Arc::new(move |item| hasher.hash_one(key(item))));
        self
    }

    /// The partition is this number, modulo how many there are. It is called before anything is locked.
    pub fn by_function(mut self, number: impl Fn(&T) -> usize + Send + Sync + 'static) -> Self {
        self.route = Route::Function(Arc::new(number));
        self
    }

    /// How many bytes an item has behind it, on the heap: they count for
    /// [`capacity_bytes`](Options::capacity_bytes) beside what the queue itself needs. It is called before anything is locked.
    pub fn weigh(mut self, heap_bytes: impl Fn(&T) -> usize + Send + Sync + 'static) -> Self {
        self.weigh = Some(Box::new(heap_bytes));
        self
    }

    /// Makes the queue, with its threads: [`workers`](Options::workers), and one that watches the time.
    ///
    /// # Errors
    ///
    /// If the options are not possible, or there are no threads to be had.
    pub fn start<E: fmt::Display>(
        self,
        processor: impl Fn(&Batch<T>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Result<Queue<T>, StartError> {
        let Self { options, route, weigh } = self;
        options.check(Kind::Queue)?;
        let core = Core::start(options, Fifo::new, boxed(processor))?;
        Ok(Queue { inner: Arc::new(Inner { shared: Shared(core), route, weigh }) })
    }
}

impl<T: Send + Sync + 'static> Queue<T> {
    const KIND: Kind = Kind::Queue;

    /// Begins a queue.
    pub fn builder() -> QueueBuilder<T> {
        QueueBuilder { options: Options::new(), route: Route::Thread, weigh: None }
    }

    pub(crate) fn core(&self) -> &Core<Fifo<T>> {
        &self.inner.shared.0
    }

    /// Puts an item behind the others of its partition.
    ///
    /// # Errors
    ///
    /// If there is no room, or the queue is closed: then it comes back.
    ///
    /// # Blocking
    ///
    /// For a short lock of a partition, whatever the processor does.
    #[inline]
    pub fn push(&self, item: T) -> Result<(), Refused<T>> {
        self.try_push(item, Try::Once)
    }

    /// The same, but waits for room.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use spandrel_ring::buffer::{Options, Queue, Why};
    /// let options = Options::new().capacity(1).batch_size(1);
    /// let queue = Queue::builder().options(options).start(|_batch| Err("down"))?;
    /// queue.push(1)?;
    /// assert_eq!(queue.push(2).unwrap_err().why, Why::Full);
    /// let refused = queue.push_within(2, Duration::from_millis(10)).unwrap_err();
    /// assert_eq!((refused.why, refused.value), (Why::TimedOut, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If there was none for so long, or the queue is closed, also meanwhile: then the item comes back.
    ///
    /// # Blocking
    ///
    /// For the time-out, at most. Other threads may take the room first, for as long as this one waits.
    pub fn push_within(&self, item: T, timeout: Duration) -> Result<(), Refused<T>> {
        wait_for_room(self.core(), timeout, item, |item| self.try_push(item, Try::Again))
    }

    #[inline]
    fn try_push(&self, item: T, how: Try) -> Result<(), Refused<T>> {
        let core = self.core();
        let at = self.inner.route.of(&item, core.partitions.len());
        let units = match &self.inner.weigh {
            None => const { units(Fifo::<T>::ITEM_BYTES) },
            Some(weigh) => units(Fifo::<T>::ITEM_BYTES.saturating_add(weigh(&item))),
        };
        let mut partition = core.partition(at);
        let why = if partition.is_closed {
            partition.counts.refused_closed += 1;
            Why::Closed
        } else if core.pool.charge(units) {
            partition.store.push(item, units, || core.clock.now());
            partition.counts.accepted += 1;
            let wake = partition.has_more();
            drop(partition);
            core.wake(at, wake);
            return Ok(());
        } else if !core.pool.could_take(units) {
            partition.counts.refused_too_large += 1;
            Why::TooLarge
        } else {
            partition.counts.refused_full += u64::from(how == Try::Once);
            Why::Full
        };
        drop(partition);
        Err(Refused { why, value: item })
    }

    /// Numbers of it.
    ///
    /// # Blocking
    ///
    /// For a short lock of each partition.
    pub fn metrics(&self) -> Metrics {
        self.core().metrics(|_| (0, 0))
    }

    handle_methods!(T);
}

impl<T: Send + Sync + 'static> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("route", &self.inner.route)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for QueueBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueBuilder")
            .field("options", &self.options)
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}
