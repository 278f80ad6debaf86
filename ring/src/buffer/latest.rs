//! What waits in a partition of a map: the latest value of each key, in the order in which the keys began to wait.
//!
//! A key has one entry, as long as a value of it waits or is in flight, or its version is remembered. An entry is in one of
//! two lists, or in none:
//!
//! ```text
//!    put --> waiting --collect--> in flight only --settle--> remembered, if it has a version --> forgotten
//!               ^                   |                           |
//!               +------- put -------+------------ put ----------+
//! ```

use std::collections::VecDeque;

use super::entries::{Entries, Linked, Links, List, NONE, UNLINKED};
use super::index::Index;
use super::pool::Pool;
use super::store::Store;
use super::sync::Time;

/// A value of a [`Map`](super::Map), as its processor gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update<K, V> {
    /// Its key.
    pub key: K,
    /// The last value that was put.
    pub value: V,
    /// The version with which it was, if it was by [`put_newer`](super::Map::put_newer).
    pub version: Option<u64>,
    /// So many values of the key it has replaced while it waited, none of which the processor gets.
    pub updates: u64,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    hash: u32,
    /// What the waiting value has taken of the pool.
    units: u32,
    waiting: Option<V>,
    /// The newest one that was put.
    version: Option<u64>,
    /// Whether it is that of the waiting value.
    is_versions: bool,
    updates: u64,
    since: Time,
    number: u64,
    /// Where it is in the batch in flight.
    in_flight: u32,
    links: Links,
}

impl<K, V> Linked for Entry<K, V> {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

impl<K, V> Entry<K, V> {
    /// Takes the waiting value out.
    fn update(&mut self, key: K) -> Option<Update<K, V>> {
        let version = self.version.filter(|_| self.is_versions);
        let updates = std::mem::take(&mut self.updates);
        self.waiting.take().map(|value| Update { key, value, version, updates })
    }
}

/// Why a value was not put.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotPut {
    Full,
    /// This version is there, or was.
    Older(u64),
}

/// What was put, and what no longer has a place: to be dropped where no lock is held.
#[derive(Debug)]
pub(crate) struct Put<K, V> {
    pub(crate) replaced: Option<V>,
    /// Whether there is more room now, as the new value is smaller.
    pub(crate) has_freed: bool,
    pub(crate) _key: Option<K>,
}

#[derive(Debug)]
pub(crate) struct Latest<K, V> {
    index: Index,
    entries: Entries<Entry<K, V>>,
    waiting: List,
    /// Neither waiting nor in flight; those first that were first settled.
    remembered: List,
    in_flight: VecDeque<u32>,
    next: u64,
    versions_max: usize,
    pub(crate) forgotten: u64,
}

impl<K, V> Latest<K, V> {
    /// What a value takes that waits or is in flight, at most.
    pub(crate) const ITEM_BYTES: usize =
        Self::VERSION_BYTES + size_of::<Update<K, V>>() + size_of::<u32>();

    /// What a version takes that is remembered.
    pub(crate) const VERSION_BYTES: usize =
        size_of::<Option<Entry<K, V>>>() + Index::ENTRY_BYTES + 2 * size_of::<u32>();

    pub(crate) fn new(versions_max: usize) -> Self {
        Self {
            index: Index::new(),
            entries: Entries::new(),
            waiting: List::new(),
            remembered: List::new(),
            in_flight: VecDeque::new(),
            next: 0,
            versions_max,
            forgotten: 0,
        }
    }

    pub(crate) fn remembered(&self) -> usize {
        self.remembered.len
    }

    #[inline]
    fn find(&self, hash: u32, is_key: impl Fn(&K) -> bool) -> Option<u32> {
        let entries = &self.entries;
        self.index.find(hash, |at| entries.get(at).is_some_and(|entry| is_key(&entry.key)))
    }

    /// The value that waits, or where the one in flight is in its batch.
    pub(crate) fn get(&self, hash: u32, is_key: impl Fn(&K) -> bool) -> Option<Result<&V, usize>> {
        let entry = self.entries.get(self.find(hash, is_key)?)?;
        let in_flight = (entry.in_flight != NONE).then_some(Err(entry.in_flight as usize));
        entry.waiting.as_ref().map(Ok).or(in_flight)
    }

    /// Takes a waiting value out: it and its units, and whether there is one in flight.
    pub(crate) fn delete(
        &mut self,
        hash: u32,
        is_key: impl Fn(&K) -> bool,
        garbage: &mut Vec<K>,
    ) -> (Option<(V, u32)>, bool) {
        let Some(at) = self.find(hash, is_key) else { return (None, false) };
        let Some(entry) = self.entries.get_mut(at) else { return (None, false) };
        let (units, in_flight) = (entry.units, entry.in_flight != NONE);
        let value = entry.waiting.take();
        entry.updates = 0;
        if value.is_some() {
            self.waiting.unlink(&mut self.entries, at);
            self.retire(at, garbage);
        }
        (value.map(|value| (value, units)), in_flight)
    }

    /// Only asks for the time where a value begins to wait.
    #[inline]
    pub(crate) fn put(
        &mut self,
        (hash, key): (u32, K),
        (value, units): (V, u32),
        version: Option<u64>,
        pool: &Pool,
        now: impl FnOnce() -> Time,
    ) -> Result<Put<K, V>, (NotPut, K, V)>
    where
        K: Eq,
    {
        let Some(at) = self.find(hash, |known| *known == key) else {
            return self.put_first((hash, key), (value, units), version, pool, now());
        };
        let Some(entry) = self.entries.get_mut(at) else { return Err((NotPut::Full, key, value)) };
        if let (Some(version), Some(known)) = (version, entry.version)
            && version <= known
        {
            return Err((NotPut::Older(known), key, value));
        }
        if entry.waiting.is_none() {
            return self.put_again(at, key, (value, units), version, pool, now());
        }
        let mut has_freed = false;
        if units != entry.units {
            if !pool.recharge(entry.units, units) {
                return Err((NotPut::Full, key, value));
            }
            has_freed = units < entry.units;
            entry.units = units;
        }
        entry.updates += 1;
        entry.is_versions = version.is_some();
        entry.version = version.or(entry.version);
        Ok(Put { replaced: entry.waiting.replace(value), has_freed, _key: Some(key) })
    }

    /// Of a key that has no entry.
    fn put_first(
        &mut self,
        (hash, key): (u32, K),
        (value, units): (V, u32),
        version: Option<u64>,
        pool: &Pool,
        since: Time,
    ) -> Result<Put<K, V>, (NotPut, K, V)> {
        if !pool.charge(units) {
            return Err((NotPut::Full, key, value));
        }
        let at = self.entries.insert(Entry {
            key,
            hash,
            units,
            waiting: Some(value),
            version,
            is_versions: version.is_some(),
            updates: 0,
            since,
            number: self.next,
            in_flight: NONE,
            links: UNLINKED,
        });
        self.index.insert(hash, at);
        self.waiting.push(&mut self.entries, at);
        self.next += 1;
        Ok(Put { replaced: None, has_freed: false, _key: None })
    }

    /// Of a key of which nothing waits.
    fn put_again(
        &mut self,
        at: u32,
        key: K,
        (value, units): (V, u32),
        version: Option<u64>,
        pool: &Pool,
        since: Time,
    ) -> Result<Put<K, V>, (NotPut, K, V)> {
        if !pool.charge(units) {
            return Err((NotPut::Full, key, value));
        }
        let is_remembered = self.entries.get(at).is_some_and(|entry| entry.in_flight == NONE);
        if is_remembered {
            self.remembered.unlink(&mut self.entries, at);
        }
        let Some(entry) = self.entries.get_mut(at) else { return Err((NotPut::Full, key, value)) };
        entry.waiting = Some(value);
        entry.units = units;
        entry.is_versions = version.is_some();
        entry.version = version.or(entry.version);
        entry.since = since;
        entry.number = self.next;
        self.waiting.push(&mut self.entries, at);
        self.next += 1;
        Ok(Put { replaced: None, has_freed: false, _key: Some(key) })
    }

    /// What becomes of an entry of which nothing waits any more.
    fn retire(&mut self, at: u32, garbage: &mut Vec<K>) {
        let Some(entry) = self.entries.get(at) else { return };
        if entry.waiting.is_some() || entry.in_flight != NONE {
            return;
        }
        if entry.version.is_none() {
            return self.remove(at, garbage);
        }
        self.remembered.push(&mut self.entries, at);
        if self.remembered.len > self.versions_max {
            let oldest = self.remembered.first;
            self.remembered.unlink(&mut self.entries, oldest);
            self.remove(oldest, garbage);
            self.forgotten += 1;
        }
    }

    fn remove(&mut self, at: u32, garbage: &mut Vec<K>) {
        if let Some(entry) = self.entries.remove(at) {
            self.index.remove(entry.hash, at);
            garbage.push(entry.key);
        }
    }
}

impl<K, V> Store for Latest<K, V>
where
    K: Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    type Item = Update<K, V>;
    type Garbage = K;

    fn waiting(&self) -> usize {
        self.waiting.len
    }

    fn next(&self) -> u64 {
        self.next
    }

    fn oldest(&self) -> Option<(u64, Time)> {
        self.entries.get(self.waiting.first).map(|entry| (entry.number, entry.since))
    }

    fn collect(&mut self, items: usize, batch: &mut Vec<Update<K, V>>, units: &mut u64) {
        for _ in 0..items {
            let at = self.waiting.first;
            let Some(entry) = self.entries.get_mut(at) else { break };
            // Before anything has changed: it is the user's, and may panic.
            let key = entry.key.clone();
            let Some(update) = entry.update(key) else { break };
            entry.in_flight = batch.len() as u32;
            *units += u64::from(entry.units);
            self.waiting.unlink(&mut self.entries, at);
            self.in_flight.push_back(at);
            batch.push(update);
        }
    }

    fn hand_over(
        &mut self,
        items: usize,
        taken: &mut Vec<Update<K, V>>,
        units: &mut u64,
        garbage: &mut Vec<K>,
    ) {
        for _ in 0..items {
            let at = self.waiting.first;
            let Some(entry) = self.entries.get_mut(at) else { break };
            let key = entry.key.clone();
            let Some(update) = entry.update(key) else { break };
            *units += u64::from(entry.units);
            self.waiting.unlink(&mut self.entries, at);
            self.retire(at, garbage);
            taken.push(update);
        }
    }

    fn settle(&mut self, items: usize, garbage: &mut Vec<K>) -> bool {
        for _ in 0..items {
            let Some(at) = self.in_flight.pop_front() else { break };
            if let Some(entry) = self.entries.get_mut(at) {
                entry.in_flight = NONE;
            }
            self.retire(at, garbage);
        }
        self.in_flight.is_empty()
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    type Numbers = Latest<u32, u64>;

    fn pool() -> Pool {
        Pool::new(1_000, 1 << 20)
    }

    fn put(map: &mut Numbers, pool: &Pool, key: u32, value: u64, version: Option<u64>) -> bool {
        map.put((key % 3, key), (value, 1), version, pool, || 0).is_ok()
    }

    fn collect(map: &mut Numbers) -> Vec<(u32, u64, Option<u64>, u64)> {
        let mut batch = Vec::new();
        map.collect(usize::MAX, &mut batch, &mut 0);
        batch
            .iter()
            .map(|update| (update.key, update.value, update.version, update.updates))
            .collect()
    }

    #[test]
    fn the_last_value_of_each_key_in_the_order_of_the_keys() {
        let (mut map, pool) = (Numbers::new(9), pool());
        for (key, value) in [(5, 1), (2, 2), (5, 3), (8, 4), (5, 5)] {
            assert!(put(&mut map, &pool, key, value, None));
        }
        assert_eq!(map.waiting(), 3);
        assert_eq!(collect(&mut map), [(5, 5, None, 2), (2, 2, None, 0), (8, 4, None, 0)]);
        assert_eq!(map.get(2, |key| *key == 5), Some(Err(0)));
        assert!(put(&mut map, &pool, 5, 6, None));
        assert_eq!(map.get(2, |key| *key == 5), Some(Ok(&6)));
        let mut garbage = Vec::new();
        assert!(!map.settle(1, &mut garbage));
        assert!(map.settle(2, &mut garbage));
        assert_eq!(garbage, [2, 8], "5 waits again");
        assert_eq!(collect(&mut map), [(5, 6, None, 0)]);
        assert_eq!(map.remembered(), 0);
    }

    #[test]
    fn versions_are_remembered_up_to_a_bound_and_the_oldest_are_forgotten() {
        let (mut map, pool) = (Numbers::new(2), pool());
        for key in 0..3 {
            assert!(put(&mut map, &pool, key, 0, Some(10)));
        }
        assert!(!put(&mut map, &pool, 0, 0, Some(10)), "as old");
        collect(&mut map);
        assert!(!put(&mut map, &pool, 0, 0, Some(9)), "in flight");
        let mut garbage = Vec::new();
        map.settle(3, &mut garbage);
        assert_eq!((garbage, map.remembered(), map.forgotten), (vec![0], 2, 1));
        assert!(!put(&mut map, &pool, 1, 0, Some(9)) && !put(&mut map, &pool, 2, 0, Some(10)));
        assert!(put(&mut map, &pool, 0, 0, Some(9)), "it is forgotten");
        assert!(put(&mut map, &pool, 1, 0, Some(11)));
        assert_eq!(map.remembered(), 1);
    }

    #[test]
    fn a_put_without_a_version_wins_and_leaves_the_version() {
        let (mut map, pool) = (Numbers::new(2), pool());
        put(&mut map, &pool, 1, 1, Some(5));
        put(&mut map, &pool, 1, 2, None);
        assert!(!put(&mut map, &pool, 1, 3, Some(5)));
        assert_eq!(collect(&mut map), [(1, 2, None, 1)]);
        put(&mut map, &pool, 1, 4, Some(6));
        assert_eq!(collect(&mut map), [(1, 4, Some(6), 0)]);
    }

    #[test]
    fn what_is_deleted_does_not_wait_and_its_version_is_remembered() {
        let (mut map, pool) = (Numbers::new(2), pool());
        let mut garbage = Vec::new();
        put(&mut map, &pool, 1, 1, None);
        put(&mut map, &pool, 2, 2, Some(5));
        put(&mut map, &pool, 2, 3, Some(6));
        assert_eq!(map.delete(1, |key| *key == 1, &mut garbage), (Some((1, 1)), false));
        assert_eq!(map.delete(2, |key| *key == 2, &mut garbage), (Some((3, 1)), false));
        assert_eq!(map.delete(2, |key| *key == 2, &mut garbage), (None, false));
        assert_eq!((garbage.as_slice(), map.waiting(), map.remembered()), (&[1][..], 0, 1));
        assert!(!put(&mut map, &pool, 2, 0, Some(6)));
        put(&mut map, &pool, 2, 4, Some(7));
        assert_eq!(collect(&mut map), [(2, 4, Some(7), 0)], "what it had replaced is gone with it");
        put(&mut map, &pool, 2, 5, Some(8));
        assert_eq!(map.delete(2, |key| *key == 2, &mut garbage), (Some((5, 1)), true));
        assert_eq!(map.get(2, |key| *key == 2), Some(Err(0)), "still in flight");
    }

    #[test]
    fn what_is_handed_over_leaves_its_version() {
        let (mut map, pool) = (Numbers::new(2), pool());
        put(&mut map, &pool, 1, 1, None);
        put(&mut map, &pool, 2, 2, Some(5));
        let (mut taken, mut units, mut garbage) = (Vec::new(), 0, Vec::new());
        map.hand_over(9, &mut taken, &mut units, &mut garbage);
        assert_eq!((taken.len(), units, garbage), (2, 2, vec![1]));
        assert_eq!((map.waiting(), map.remembered()), (0, 1));
        assert!(!put(&mut map, &pool, 2, 0, Some(5)));
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_and_changes_nothing() {
        let (mut map, pool) = (Numbers::new(2), Pool::new(1, 32));
        assert!(map.put((1, 1), (10, 1), Some(1), &pool, || 0).is_ok());
        let refused = map.put((2, 2), (20, 1), None, &pool, || 0).unwrap_err();
        assert_eq!(refused, (NotPut::Full, 2, 20));
        let refused = map.put((1, 1), (30, 3), Some(2), &pool, || 0).unwrap_err();
        assert_eq!(refused, (NotPut::Full, 1, 30), "three units of two");
        assert!(map.put((1, 1), (40, 2), Some(2), &pool, || 0).is_ok());
        assert_eq!(pool.held(), (1, 32));
        assert_eq!(collect(&mut map), [(1, 40, Some(2), 1)]);
        assert!(!put(&mut map, &pool, 1, 0, None), "what is in flight holds its room");
    }
}
