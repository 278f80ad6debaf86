//! The last value of each key.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc; // not loom's: it keeps memory, and hands nothing over
use std::time::Duration;

use super::batch::Batch;
use super::core::Core;
use super::ending::Shared;
use super::error::{Refused, StartError, Why};
use super::handle::{boxed, handle_methods};
use super::hash::Hashes;
use super::latest::{Latest, NotPut, Put, Update};
use super::metrics::Metrics;
use super::options::{Kind, Options};
use super::partition::{Body, Wake};
use super::pool::units;
use super::room::{Try, wait_for_room};
use super::route::of_hash;
use super::worker::dispose;

/// A map whose values a processor gets in batches: of each key the last one that was put. Clones of it are handles
/// of the same map.
///
/// A key that waits keeps its place when a new value replaces its value. A key of which a value is in flight waits anew:
/// the processor gets its newer value later, also if the older one fails and is tried again.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use spandrel_ring::buffer::{Batch, Map, Update};
///
/// let table = Arc::new(Mutex::new(HashMap::new()));
/// let store = Arc::clone(&table);
/// let balances = Map::builder().start(move |batch: &Batch<Update<&str, u64>>| {
///     let mut store = store.lock().map_err(|_| "poisoned")?;
///     store.extend(batch.iter().map(|update| (update.key, update.value)));
///     Ok::<(), &str>(())
/// })?;
/// balances.put("anne", 10)?;
/// assert_eq!(balances.put("anne", 20)?, Some(10)); // replaced, if it still waited
/// assert_eq!(balances.get("anne"), Some(20));
/// balances.flush(Duration::from_secs(10))?;
/// assert_eq!((balances.get("anne"), table.lock().unwrap()["anne"]), (None, 20));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `Hash` of keys is called before anything is locked; their `Eq` and `Clone`, and in [`get`](Self::get) the `Clone` of values,
/// run under the lock of a partition: they should neither block nor panic.
pub struct Map<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    inner: Arc<Inner<K, V>>,
}

struct Inner<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    shared: Shared<Latest<K, V>>,
    hashes: Hashes,
    weigh: Option<Weigh<K, V>>,
}

type Weigh<K, V> = Box<dyn Fn(&K, &V) -> usize + Send + Sync>;

/// How a map is made.
pub struct MapBuilder<K, V> {
    options: Options,
    weigh: Option<Weigh<K, V>>,
    has_hostile_keys: bool,
}

/// What has become of a value that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deleted<V> {
    /// The value that waited, and does no more: the processor never gets it.
    pub value: Option<V>,
    /// Whether an earlier value is in flight, which cannot be taken back.
    pub in_flight: bool,
}

impl<K, V> MapBuilder<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// How it works.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// How many bytes a key and a value have behind them, on the heap: those of the key twice, as there are two of it
    /// while it is in flight. They count for [`capacity_bytes`](Options::capacity_bytes) beside what the map itself
    /// needs. It is called before anything is locked.
    pub fn weigh(mut self, heap_bytes: impl Fn(&K, &V) -> usize + Send + Sync + 'static) -> Self {
        self.weigh = Some(Box::new(heap_bytes));
        self
    }

    /// Keys come from strangers, who might choose such that collide and make the map slow: so they are hashed as those of a
    /// `HashMap` are, which takes some hundred instructions more. (Without it each map has a random number of its own,
    /// too, which strangers may guess in time.)
    pub fn hostile_keys(mut self) -> Self {
        self.has_hostile_keys = true;
        self
    }

    /// Makes the map, with its threads: [`workers`](Options::workers), and one that watches the time.
    ///
    /// # Errors
    ///
    /// If the options are not possible, or there are no threads to be had.
    pub fn start<E: fmt::Display>(
        self,
        processor: impl Fn(&Batch<Update<K, V>>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Result<Map<K, V>, StartError> {
        let Self { options, weigh, has_hostile_keys } = self;
        options.check(Kind::Map)?;
        let versions = options.versions_max.unwrap_or(options.capacity);
        let versions = versions / options.partitions;
        let core = Core::start(options, || Latest::new(versions), boxed(processor))?;
        let hashes = if has_hostile_keys { Hashes::sip() } else { Hashes::fast() };
        Ok(Map { inner: Arc::new(Inner { shared: Shared(core), hashes, weigh }) })
    }
}

impl<K, V> Map<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    const KIND: Kind = Kind::Map;

    /// Begins a map.
    pub fn builder() -> MapBuilder<K, V> {
        MapBuilder { options: Options::new(), weigh: None, has_hostile_keys: false }
    }

    fn core(&self) -> &Core<Latest<K, V>> {
        &self.inner.shared.0
    }

    /// Puts a value, whatever its key had before: that comes back, if it still waited. A version of the key stays what
    /// it was.
    ///
    /// # Errors
    ///
    /// If there is no room, or the map is closed: then key and value come back.
    ///
    /// # Blocking
    ///
    /// For a short lock of a partition, whatever the processor does.
    #[inline]
    pub fn put(&self, key: K, value: V) -> Result<Option<V>, Refused<(K, V)>> {
        self.try_put((key, value), None, Try::Once)
    }

    /// The same, but waits for room.
    ///
    /// # Errors
    ///
    /// If there was none for so long, or the map is closed, also meanwhile: then key and value come back.
    ///
    /// # Blocking
    ///
    /// For the time-out, at most. Other threads may take the room first, for as long as this one waits.
    pub fn put_within(
        &self,
        key: K,
        value: V,
        timeout: Duration,
    ) -> Result<Option<V>, Refused<(K, V)>> {
        let pair = (key, value);
        wait_for_room(self.core(), timeout, pair, |pair| self.try_put(pair, None, Try::Again))
    }

    /// Puts a value if its version is larger than that of all before, of its key: also of those that were processed, given up,
    /// deleted or taken, as long as their version is [remembered](Options::versions_max).
    ///
    /// ```
    /// # use std::{convert::Infallible, time::Duration};
    /// # use spandrel_ring::buffer::{Map, Why};
    /// let map = Map::builder().start(|_batch| Ok::<(), Infallible>(()))?;
    /// map.put_newer("anne", "2nd", 2)?;
    /// map.flush(Duration::from_secs(10))?;
    /// let refused = map.put_newer("anne", "1st", 1).unwrap_err();
    /// assert_eq!((refused.why, refused.value), (Why::Older(2), ("anne", "1st")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If it is not newer, there is no room, or the map is closed: then key and value come back.
    ///
    /// # Blocking
    ///
    /// For a short lock of a partition, whatever the processor does.
    pub fn put_newer(&self, key: K, value: V, version: u64) -> Result<Option<V>, Refused<(K, V)>> {
        self.try_put((key, value), Some(version), Try::Once)
    }

    /// The same, but waits for room.
    ///
    /// # Errors
    ///
    /// If it is not newer, there was no room for so long, or the map is closed, also meanwhile: then key and value come back.
    ///
    /// # Blocking
    ///
    /// For the time-out, at most.
    pub fn put_newer_within(
        &self,
        key: K,
        value: V,
        version: u64,
        timeout: Duration,
    ) -> Result<Option<V>, Refused<(K, V)>> {
        let pair = (key, value);
        wait_for_room(self.core(), timeout, pair, |pair| {
            self.try_put(pair, Some(version), Try::Again)
        })
    }

    #[inline]
    fn try_put(
        &self,
        (key, value): (K, V),
        version: Option<u64>,
        how: Try,
    ) -> Result<Option<V>, Refused<(K, V)>> {
        let core = self.core();
        let hash = self.inner.hashes.of(&key);
        let at = of_hash(hash, core.partitions.len());
        let units = match &self.inner.weigh {
            None => const { units(Latest::<K, V>::ITEM_BYTES) },
            Some(weigh) => units(Latest::<K, V>::ITEM_BYTES.saturating_add(weigh(&key, &value))),
        };
        let mut partition = core.partition(at);
        if partition.is_closed {
            partition.counts.refused_closed += 1;
            drop(partition);
            return Err(Refused { why: Why::Closed, value: (key, value) });
        }
        let put =
            partition
                .store
                .put((hash as u32, key), (value, units), version, &core.pool, || core.clock.now());
        match put {
            Ok(Put { replaced, has_freed, _key }) => {
                partition.counts.accepted += 1;
                let wake = if replaced.is_some() {
                    partition.counts.updates += 1;
                    Wake::Nobody
                } else {
                    partition.has_more()
                };
                drop(partition);
                core.wake(at, wake);
                if has_freed {
                    core.has_changed();
                }
                Ok(replaced)
            }
            Err((why, key, value)) => {
                let counts = &mut partition.counts;
                let why = match why {
                    NotPut::Older(known) => {
                        counts.refused_older += 1;
                        Why::Older(known)
                    }
                    NotPut::Full if !core.pool.could_take(units) => {
                        counts.refused_too_large += 1;
                        Why::TooLarge
                    }
                    NotPut::Full => {
                        counts.refused_full += u64::from(how == Try::Once);
                        Why::Full
                    }
                };
                drop(partition);
                Err(Refused { why, value: (key, value) })
            }
        }
    }

    /// The last value of a key that waits or is in flight.
    ///
    /// # Blocking
    ///
    /// For a short lock of a partition, in which it is cloned.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        let hash = self.inner.hashes.of(key);
        let partition = self.core().partition(of_hash(hash, self.core().partitions.len()));
        match partition.store.get(hash as u32, |known| known.borrow() == key)? {
            Ok(waiting) => Some(waiting.clone()),
            Err(place) => {
                let updates = match &partition.flight.as_ref()?.body {
                    Body::Collecting { list, .. } => list,
                    Body::Whole(items) => &items.list,
                    Body::Gone => return None,
                };
                updates.get(place).map(|update| update.value.clone())
            }
        }
    }

    /// Takes out a value that waits, so that the processor does not get it. Its version is remembered.
    ///
    /// ```
    /// # use std::{convert::Infallible, time::Duration};
    /// # use spandrel_ring::buffer::{Map, Options};
    /// let options = Options::new().interval(Duration::from_secs(60));
    /// let map = Map::builder().options(options).start(|_batch| Ok::<(), Infallible>(()))?;
    /// map.put("anne", 1)?;
    /// let deleted = map.delete("anne");
    /// assert_eq!((deleted.value, deleted.in_flight), (Some(1), false));
    /// assert_eq!(map.close(Duration::from_secs(10)).processed, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Blocking
    ///
    /// For two short locks.
    pub fn delete<Q>(&self, key: &Q) -> Deleted<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let core = self.core();
        let hash = self.inner.hashes.of(key);
        let mut garbage = Vec::new();
        let (waiting, in_flight) = {
            let mut partition = core.partition(of_hash(hash, core.partitions.len()));
            let gone =
                partition.store.delete(hash as u32, |known| known.borrow() == key, &mut garbage);
            partition.counts.deleted += u64::from(gone.0.is_some());
            gone
        };
        dispose(garbage);
        let value = waiting.map(|(value, units)| {
            core.pool.release(1, units.into());
            core.has_changed();
            value
        });
        Deleted { value, in_flight }
    }

    /// Numbers of it.
    ///
    /// # Blocking
    ///
    /// For a short lock of each partition.
    pub fn metrics(&self) -> Metrics {
        self.core().metrics(|store| (store.remembered(), store.forgotten))
    }

    handle_methods!(Update<K, V>);
}

impl<K, V> Clone for Map<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K, V> fmt::Debug for Map<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("size", &self.size()).finish_non_exhaustive()
    }
}

impl<K, V> fmt::Debug for MapBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}
