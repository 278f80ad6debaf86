//! Sums of spans by path, status and thread.

use std::collections::HashMap;

use spandrel_query::OrderRows as _;
use spandrel_query::SpanRef;
use spandrel_query::{Entry, Thread};
use spandrel_storage::Status;
use spandrel_storage::internals::FastHashMap;

/// Groups at most; threads with further names are counted under [`OTHERS`].
const GROUPS_MAX: usize = 500_000;

/// The name of the thread that stands for further ones, and its number.
const OTHERS: (&str, usize) = ("(others)", 0);

/// What the spans of a group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    /// The path, a node of the tree.
    pub(super) node: usize,
    pub(super) status: &'static str,
    /// The name of the thread, by its number.
    pub(super) thread: usize,
}

/// The sums of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) spans: i64,
    pub(super) self_ns: i64,
    pub(super) busy_ns: i64,
}

/// All groups.
#[derive(Debug)]
pub(super) struct Groups {
    groups: HashMap<Key, Group>,
    groups_max: usize,
    /// The number of a thread's name, by the id of the thread.
    of_thread: FastHashMap<i64, usize>,
    of_name: HashMap<String, usize>,
}

impl Groups {
    pub(super) fn new() -> Self {
        Self {
            groups: HashMap::new(),
            groups_max: GROUPS_MAX,
            of_thread: FastHashMap::default(),
            of_name: HashMap::from([(OTHERS.0.to_owned(), OTHERS.1)]),
        }
    }

    /// Counts a span, if it is closed.
    pub(super) fn count(&mut self, node: usize, span: &SpanRef<'_>) {
        if span.duration_ns.is_none() {
            return;
        }
        let group = self.group(node, span.status.as_str(), span.longest_thread);
        group.spans += 1;
        group.self_ns = group.self_ns.saturating_add(span.self_ns.unwrap_or(0));
        group.busy_ns = group.busy_ns.saturating_add(span.busy_ns.unwrap_or(0));
    }

    /// Counts an entry, and those before it.
    pub(super) fn count_entry(&mut self, node: usize, thread: &Thread, entry: &Entry) {
        let group = self.group(node, Status::Ok.as_str(), thread);
        let calls = i64::try_from(entry.earlier_entries).unwrap_or(i64::MAX).saturating_add(1);
        group.spans = group.spans.saturating_add(calls);
        group.self_ns = group.self_ns.saturating_add(entry.self_ns.unwrap_or(0));
        let busy_ns = entry.duration_ns.saturating_add(entry.earlier_ns);
        group.busy_ns = group.busy_ns.saturating_add(busy_ns);
    }

    fn group(&mut self, node: usize, status: &'static str, thread: &Thread) -> &mut Group {
        let is_full = self.groups.len() >= self.groups_max;
        let mut key = Key { node, status, thread: self.thread(thread, is_full) };
        if is_full && !self.groups.contains_key(&key) {
            key.thread = OTHERS.1;
        }
        self.groups.entry(key).or_default()
    }

    fn thread(&mut self, thread: &Thread, is_full: bool) -> usize {
        if let Some(number) = self.of_thread.get(&thread.id) {
            return *number;
        }
        let name = match &thread.name {
            Some(name) => name.clone(),
            None => format!("thread {}", thread.os_id),
        };
        let next = self.of_name.len();
        let number = match self.of_name.get(&name) {
            Some(number) => *number,
            None if is_full => return OTHERS.1,
            None => *self.of_name.entry(name).or_insert(next),
        };
        self.of_thread.insert(thread.id, number);
        number
    }

    /// The groups in the order of their paths, and the names of threads.
    pub(super) fn finish(self) -> (Vec<(Key, Group)>, Vec<String>) {
        let mut names: Vec<_> = self.of_name.into_iter().collect();
        names.order_by_key(|(_, number)| *number);
        let mut groups: Vec<_> = self.groups.into_iter().collect();
        groups.order_by_key(|(key, _)| *key);
        (groups, names.into_iter().map(|(name, _)| name).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use spandrel_query::Span;

    fn groups(threads: &[Thread], groups_max: usize) -> Vec<(usize, String, i64)> {
        let mut groups = Groups { groups_max, ..Groups::new() };
        for (at, thread) in threads.iter().enumerate() {
            let mut span = Span::default();
            (span.id, span.duration_ns, span.longest_thread) =
                (at as u64 + 1, Some(1), Arc::new(thread.clone()));
            groups.count(7, &SpanRef::from(&span));
        }
        let (groups, names) = groups.finish();
        let text = |(key, group): (Key, Group)| (key.node, names[key.thread].clone(), group.spans);
        groups.into_iter().map(text).collect()
    }

    fn thread(id: i64, name: Option<&str>) -> Thread {
        let mut thread = Thread::default();
        (thread.id, thread.os_id, thread.name) = (id, 40 + id as u64, name.map(Into::into));
        thread
    }

    #[test]
    fn threads_are_told_apart_by_name() {
        let threads = [(1, Some("worker")), (2, Some("worker")), (3, None)];
        let threads = threads.map(|(id, name)| thread(id, name));
        let expected = [(7, "worker".to_owned(), 2), (7, "thread 43".to_owned(), 1)];
        assert_eq!(groups(&threads, 100), expected);
    }

    #[test]
    fn names_of_threads_without_end_are_counted_together() {
        let threads: Vec<_> = (0..100).map(|id| thread(id, Some(&format!("job {id}")))).collect();
        let groups = groups(&[&threads[..], &threads[..3]].concat(), 3);
        let counts: Vec<_> = groups.iter().map(|(_, name, spans)| (&name[..], *spans)).collect();
        assert_eq!(counts, [("(others)", 97), ("job 0", 2), ("job 1", 2), ("job 2", 2)]);
    }
}
