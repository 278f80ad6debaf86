//! The rows of a viewer (`tid`), each named before its first event.
//!
//! They are numbered as they come. A thread has several rows where spans overlap, and further ones for spans that are
//! drawn apart from its entries. Numbers of the operating system, which are reused, are part of the row's name only;
//! except that viewers know the row of the main thread by the number of the process.

use super::super::javascript::{inner, string};
use super::super::lanes::Lane;
use super::super::text::{key, member, unsigned};
use spandrel_query::Thread;
use spandrel_storage::internals::FastHashMap;

/// Lanes of either kind that are sorted, for each thread.
const LANES_MAX: u32 = 4_999;

pub(super) struct Rows {
    pub(super) pid: u32,
    next: u64,
    has_main: bool,
    lanes: FastHashMap<Lane, u64>,
    /// For each group of lanes its order among the threads, and its name.
    threads: FastHashMap<u64, (u64, String)>,
}

impl Rows {
    pub(super) fn new(pid: u32) -> Self {
        let (lanes, threads) = (FastHashMap::default(), FastHashMap::default());
        Self { pid, next: 1, has_main: false, lanes, threads }
    }

    fn number(&mut self) -> u64 {
        if self.next == u64::from(self.pid) {
            self.next += 1;
        }
        self.next += 1;
        self.next - 1
    }

    /// The row of a lane in which a span of `thread` begins.
    pub(super) fn lane(&mut self, lane: Lane, thread: &Thread, out: &mut Vec<u8>) -> u64 {
        if let Some(row) = self.lanes.get(&lane) {
            return *row;
        }
        // The outermost span in the first lane of a group made the group.
        let order = self.threads.len() as u64;
        self.threads.entry(lane.group).or_insert_with(|| {
            (order, format!("{} {}", thread.name.as_deref().unwrap_or("thread"), thread.os_id))
        });
        let is_first = lane.number == 0 && !lane.is_async;
        let is_main = is_first && thread.os_id == u64::from(self.pid) && !self.has_main;
        self.has_main |= is_main;
        let row = if is_main { self.pid.into() } else { self.number() };
        self.lanes.insert(lane, row);
        if let Some((order, name)) = self.threads.get(&lane.group) {
            let beside = if lane.is_async { LANES_MAX + 1 } else { 0 };
            let order = order * 10_000 + u64::from(lane.number.min(LANES_MAX) + beside);
            let further = lane.name();
            let further = if further.is_empty() { further } else { format!(", {further}") };
            name_row(out, (self.pid, row), (name, &further), order);
        }
        row
    }

    /// The row of a lane in which something has begun.
    pub(super) fn existing(&self, lane: Lane) -> Option<u64> {
        self.lanes.get(&lane).copied()
    }

    /// The row of a thread's events.
    pub(super) fn thread(&mut self, thread: &Thread, out: &mut Vec<u8>) -> u64 {
        self.lane(Lane { group: thread.id as u64, is_async: false, number: 0 }, thread, out)
    }

    /// A row that is no thread; it is above those that are.
    pub(super) fn other(&mut self, name: &str, out: &mut Vec<u8>) -> u64 {
        let row = self.number();
        name_row(out, (self.pid, row), (name, ""), 0);
        row
    }
}

fn name_row(out: &mut Vec<u8>, (pid, row): (u32, u64), (name, further): (&str, &str), order: u64) {
    let mut metadata = |what: &str, write: &dyn Fn(&mut Vec<u8>)| {
        out.extend_from_slice(b",\n{\"ph\":\"M\",\"name\":");
        string(out, what);
        member(out, "pid", u64::from(pid));
        member(out, "tid", row);
        key(out, "args");
        out.push(b'{');
        write(out);
        out.extend_from_slice(b"}}");
    };
    metadata("thread_name", &|out| {
        out.extend_from_slice(b"\"name\":\"");
        inner(out, name);
        inner(out, further);
        out.push(b'"');
    });
    metadata("thread_sort_index", &|out| {
        out.extend_from_slice(b"\"sort_index\":");
        unsigned(out, order);
    });
}
