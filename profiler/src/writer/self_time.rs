//! Self time: how much of a span its children do not cover.
//!
//! A span *works* from its start to its last exit. What comes after that is not work: a child or a
//! handle keeps the span open. A span that was never entered does not work at all.
//!
//! `self_ns` is the length of that, without the *union* of the same intervals of those children that
//! were done before the span, or with it: children that run side by side count once. So all of a
//! parent's children have to be known when its record is converted; they are, since the writer has
//! drained every partition once more by then (see [`Writer`](super::Writer)). This is certain under
//! `Registry`, where a child holds a reference to its parent. With our own subscriber, a child whose
//! handle is kept for longer may come when its parent is stored, which is then [corrected](Orphan).
//!
//! Nothing is subtracted for a child that works on after the parent's last exit, however long they
//! overlap: the parent has not waited for it. Except if a thread is inside the child at that exit, and
//! it is the parent's thread: then the child has replaced the parent since its start. As it is left
//! inside another span than its parent, its entry is known to that span.
//!
//! The time of an entry that is recorded by itself is subtracted from the span that its thread was in
//! around it, as if it were a child of that span, whichever its parent is.
//!
//! A long-lived span counts by its [entries](Long): its lifetime is not work, and is subtracted from
//! nothing. The self time of an entry is its length, without the time that its thread spent in other
//! spans meanwhile: in children that were entered once, in entries of other spans, and the busy time of
//! other children; while those wait, the entry itself works. Children that are kept for longer than the
//! entry come when it is a row already, which is then [corrected](late), too.

mod calls;
mod late;
mod memory;
mod spare_lists;
mod union;

use std::collections::{HashSet, VecDeque};

use spandrel_storage::{EarlierRow, LateEntryTime};

use super::id_table::IdTable;

pub(super) use calls::{Call, Sum as EntrySum, Whole};
use calls::{Calls, Past, Tally};
use late::{LastRows, Written};
use spare_lists::SpareLists;
use union::{Order, Union};

/// At most so many children whose parents are in the file are handed on at a time. There are more only
/// if parents were dropped.
const ORPHANS_MAX: usize = 16_384;
/// So many children of one span are kept as they came; beyond, the older half becomes a union.
const RECENT_MAX: usize = 64;

/// When a child, or an entry, was there, and on which thread.
#[derive(Debug, Clone, Copy, Default)]
struct Child {
    start: i64,
    end: i64,
    /// Since when a thread was inside without a pause, up to the end; `i64::MAX` if there was a pause.
    inside_since: i64,
    thread: u32,
}

/// Since when a thread was inside the child, if that is known; otherwise since when it existed.
#[inline]
fn inside_from(start: i64, end: i64, inside_since: i64) -> i64 {
    if inside_since <= end { inside_since.max(start) } else { start }
}

impl Child {
    fn inside_from(&self) -> i64 {
        inside_from(self.start, self.end, self.inside_since)
    }

    /// What it covers of a parent that works until then, on that thread.
    #[inline]
    fn within(&self, until: i64, thread: u32) -> Option<(i64, i64)> {
        if self.end <= until {
            return Some((self.start, self.end));
        }
        (self.inside_since < until && self.thread == thread).then_some((self.start, until))
    }
}

/// The children of a span whose own record has not come, so that it is not known which of them outlive
/// it.
#[derive(Debug, Default)]
struct Children {
    /// The first one; an empty interval if there is none.
    first: Child,
    /// Those after it, as they came: almost in the order of their ends.
    others: Vec<Child>,
    /// Older ones. If one of those works for longer than the span after all, up to [`RECENT_MAX`] / 2
    /// others do too, and it is counted up to the span's end.
    older: Union,
    /// The thread of all of those, if they have one in common.
    older_thread: Option<u32>,
    /// How long threads were in other spans while they were inside this one.
    busy_ns: i64,
}

/// Empty lists that keep their memory.
#[derive(Debug, Default)]
struct Spare {
    intervals: SpareLists<(i64, i64)>,
    children: SpareLists<Child>,
}

impl Children {
    /// Adds a child. Takes a list out of `spare` if it needs one.
    #[inline]
    fn add(&mut self, child: Child, spare: &mut Spare) {
        if child.start >= child.end {
            return;
        }
        if self.first.start == self.first.end {
            self.first = child;
            return;
        }
        if self.others.capacity() == 0
            && let Some(list) = spare.children.take()
        {
            self.others = list;
        }
        self.others.push(child);
        if self.others.len() >= RECENT_MAX {
            self.unite_older(spare);
        }
    }

    #[cold]
    fn unite_older(&mut self, spare: &mut Spare) {
        let first = std::mem::take(&mut self.first);
        let is_first = self.older.is_empty();
        if is_first {
            self.older_thread = self.others.first().map(|child| child.thread);
        }
        let all = [first].into_iter().chain(self.others.drain(..RECENT_MAX / 2));
        for child in all.filter(|child| child.start < child.end) {
            self.older_thread = self.older_thread.filter(|thread| *thread == child.thread);
            let order = Order::in_turn_if(self.older_thread.is_some());
            self.older.add(child.start, child.end, order, &mut spare.intervals);
        }
    }

    /// For a span that counts by its entries: forgets the children on threads whose entries know of
    /// them. Returns whether none is left.
    #[cold]
    fn forget(&mut self, is_known: impl Fn(u32) -> bool, spare: &mut Spare) -> bool {
        if self.older_thread.is_some_and(&is_known) {
            self.older.keep_list(&mut spare.intervals);
            self.older = Union::default();
            self.older_thread = None;
        }
        if is_known(self.first.thread) {
            self.first = Child::default();
        }
        self.others.retain(|child| !is_known(child.thread));
        let is_empty = self.others.is_empty() && self.first.end == 0 && self.older.is_empty();
        if is_empty {
            spare.children.keep(&mut self.others);
        }
        is_empty
    }

    /// Adds the children on a thread to a union, and older ones of any thread; also those that end
    /// before `from`, as entries may come in another order. Of those that end later and are known only
    /// by their sum, returns the sum.
    #[cold]
    fn add_to(&self, union: &mut Union, thread: u32, from: i64, spare: &mut Spare) -> i64 {
        for (start, end) in self.older.apart() {
            union.add(start, end, Order::Any, &mut spare.intervals);
        }
        for child in [self.first].iter().chain(&self.others) {
            if child.thread == thread {
                union.add(child.inside_from(), child.end, Order::InTurn, &mut spare.intervals);
            }
        }
        self.older.summed_after(from)
    }

    /// Hands on children that their parent, which is in the file already, does not know of.
    #[cold]
    fn tell(&self, parent: u64, orphans: &mut Vec<Orphan>) {
        // An interval of one thread may be several children, and some of them may end before the parent's
        // last exit.
        let older_thread = self.older_thread;
        let older = self.older.intervals().map(|(start, end)| Child {
            start,
            end,
            inside_since: older_thread.map_or(i64::MAX, |_| start),
            thread: older_thread.unwrap_or(0),
        });
        let all = older.chain([self.first]).chain(self.others.iter().copied());
        let first = orphans.len();
        orphans.extend(all.filter(|child| child.start < child.end).map(|child| {
            let Child { start, end, inside_since, thread } = child;
            Orphan { parent, start, end, inside_since, thread, busy_ns: 0 }
        }));
        match orphans.get_mut(first) {
            Some(orphan) => orphan.busy_ns = self.busy_ns,
            None => take_off_row(parent, self.busy_ns, orphans),
        }
    }

    /// Keeps the memory of its lists for others.
    #[inline]
    fn keep_lists(&mut self, spare: &mut Spare) {
        spare.children.keep(&mut self.others);
        self.older.keep_list(&mut spare.intervals);
    }

    /// How much the children cover of a span that works until then, on that thread.
    #[inline]
    fn covered(&mut self, until: i64, thread: u32, spare: &mut Spare) -> i64 {
        if self.others.is_empty() {
            return self.first.within(until, thread).map_or(0, |(start, end)| end - start);
        }
        for child in [self.first].iter().chain(&self.others) {
            if let Some((start, end)) = child.within(until, thread) {
                let order = Order::in_turn_if(self.older_thread == Some(child.thread));
                self.older.add(start, end, order, &mut spare.intervals);
            }
        }
        self.older.length_until(until)
    }
}

/// A span whose entries have records of their own. The span's own record has not come yet, or came
/// recently: records of other threads may still come.
#[derive(Debug, Default)]
struct Long {
    /// Whether it counts by its entries.
    counts: bool,
    /// Whether an entry of it has counted.
    has_counted: bool,
    /// The length of the entries that have come and are part of what the span says about the time inside
    /// its parent.
    recorded_ns: i64,
    threads: Vec<Inside>,
    tally: Tally,
    /// If it counts by its entries: how long its threads were in other spans while they were inside it
    /// ...
    others_ns: i64,
    /// ... and the sum of its rows' self times.
    rows_self_ns: i64,
    /// Once it has closed: how long it was busy, and what its row says about the rest.
    said: Option<(i64, i64)>,
}

/// What ran inside a span on one thread, since the last of the span's entries that has come.
#[derive(Debug)]
struct Inside {
    thread: u32,
    /// Whether an entry has come.
    has_entries: bool,
    /// The batch of the last entry.
    batch: u64,
    /// Up to when there were entries: now, when the batch before that one began, and when the one before
    /// began. A thread that changes from one partition to another has its records out of order in that
    /// batch, and in the next.
    reached: [i64; 3],
    spans: Union,
    /// The start of the first entry that has come; `i64::MAX` if there is none.
    from: i64,
    /// Time of children whose length is known, but not when they ran. What exceeds the length of an entry
    /// is subtracted from the next entry; if there is none, from the last ones.
    others_ns: i64,
    /// When the last one of those was left.
    others_end: i64,
    /// The number of the last entry that is a row.
    last: u64,
}

impl Inside {
    /// Notes an entry that ends there. Returns up to when no others will come.
    fn reach(&mut self, end: i64, batch: u64) -> i64 {
        if self.batch != batch {
            self.batch = batch;
            self.reached.copy_within(..2, 1);
        }
        self.reached[0] = self.reached[0].max(end);
        self.reached[2]
    }

    /// Adds something that has run inside the span on this thread.
    fn add(&mut self, part: Part, rows: &mut LastRows, spare: &mut Spare) {
        if let Some(busy) = part.busy {
            // What ended before is part of entries that are no rows.
            if part.end > self.from || self.from == i64::MAX {
                self.others_ns = self.others_ns.saturating_add(busy);
                self.others_end = self.others_end.max(part.end);
            }
            return;
        }
        self.spans.add(part.inside_from(), part.end, Order::InTurn, &mut spare.intervals);
        if part.start < self.reached[0] {
            self.others_ns = self.others_ns.saturating_add(self.take_off_rows(part, rows));
        }
    }

    /// Subtracts it from rows of entries inside which it ran. Returns what is left for entries to come.
    #[cold]
    fn take_off_rows(&self, part: Part, rows: &mut LastRows) -> i64 {
        let (from, end) = (part.inside_from(), part.end);
        let rest = rows.take_off(self.last, (from, end));
        // The rows from before are forgotten: in that time it was inside one of their entries.
        let forgotten = rest.before.map_or(0, |before| {
            let end = end.min(before).min(self.reached[0]);
            end.saturating_sub(from).max(0)
        });
        rest.ns.saturating_add(forgotten)
    }
}

impl Long {
    /// No entry of it will come any more.
    fn end(&mut self, rows: &mut LastRows) {
        let before = rows.taken_ns();
        for inside in self.threads.iter_mut().filter(|inside| inside.others_ns > 0) {
            rows.take_sum_off(inside.last, std::mem::take(&mut inside.others_ns));
        }
        self.rows_self_ns = self.rows_self_ns.saturating_sub(rows.taken_ns() - before);
    }

    /// Adds something that has run inside it.
    fn add(&mut self, part: Part, rows: &mut LastRows, spare: &mut Spare) {
        let before = rows.taken_ns();
        self.inside(part.thread).add(part, rows, spare);
        if self.counts {
            self.others_ns = self.others_ns.saturating_add(part.inside_ns);
        }
        self.rows_self_ns = self.rows_self_ns.saturating_sub(rows.taken_ns() - before);
    }

    /// How much of the time inside was neither in other spans nor in rows of entries: it was in entries
    /// before the first one that counts, and in dropped ones.
    fn own_ns(&self, busy: i64) -> i64 {
        busy.saturating_sub(self.others_ns).saturating_sub(self.rows_self_ns).max(0)
    }

    /// If the span has closed: all of its entries have come. Returns how much its row says too much of
    /// that time.
    fn settle(&mut self, rows: &mut LastRows) -> i64 {
        let Some((busy, said)) = self.said else { return 0 };
        // How long others were inside is certain. In which rows that was is not always certain: with
        // several threads, one may have been taken for another.
        let mut excess = self.others_ns.saturating_add(self.rows_self_ns).saturating_sub(busy);
        for inside in &self.threads {
            excess = rows.take_sum_off(inside.last, excess);
        }
        let own = self.own_ns(busy).min(said);
        self.said = Some((busy, own));
        said - own
    }

    fn inside(&mut self, thread: u32) -> &mut Inside {
        let found = self.threads.iter().position(|inside| inside.thread == thread);
        let at = found.unwrap_or(self.threads.len());
        if found.is_none() {
            // Mostly one is enough.
            self.threads.reserve_exact(1);
            let spans = Union::default();
            self.threads.push(Inside {
                thread,
                has_entries: false,
                batch: 0,
                reached: [i64::MIN; 3],
                spans,
                from: i64::MAX,
                others_ns: 0,
                others_end: i64::MIN,
                last: 0,
            });
        }
        &mut self.threads[at]
    }
}

/// Something that ran inside a span, on one thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) thread: u32,
    pub(super) start: i64,
    /// Its last exit.
    pub(super) end: i64,
    /// Since when its thread was inside without a pause, up to `end`; `i64::MAX` if there was a pause.
    pub(super) inside_since: i64,
    /// How long a thread was inside, without what is recorded by itself; `None` if it was all of the
    /// time from `start` to `end`.
    pub(super) busy: Option<i64>,
    /// How long a thread was inside, without what is recorded by itself.
    pub(super) inside_ns: i64,
}

impl Part {
    fn inside_from(&self) -> i64 {
        inside_from(self.start, self.end, self.inside_since)
    }
}

/// An entry whose record has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived {
    /// The id of its row.
    pub(super) id: u64,
    pub(super) thread: u32,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) counts: bool,
    /// Whether it is part of what its span says about the time inside the parent.
    pub(super) is_inside: bool,
}

/// A child whose parent is in the file already, or never comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Orphan {
    pub(super) parent: u64,
    pub(super) start: i64,
    pub(super) end: i64,
    /// As in a [`Part`].
    pub(super) inside_since: i64,
    pub(super) thread: u32,
    /// How long threads were inside. The first orphan of a parent has the sum of all of them.
    pub(super) busy_ns: i64,
}

/// A span that counts by its entries is stored, and its row says so much too much about the time that is
/// in no row of an entry.
fn take_off_row(parent: u64, busy_ns: i64, orphans: &mut Vec<Orphan>) {
    if busy_ns > 0 && orphans.len() < ORPHANS_MAX {
        let (start, end, inside_since, thread) = (0, 0, i64::MAX, 0);
        orphans.push(Orphan { parent, start, end, inside_since, thread, busy_ns });
    }
}

/// What is known about a span when its record comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Own {
    /// `None` if it counts by its entries.
    pub(super) self_ns: Option<i64>,
    /// The length of its entries that are recorded by themselves, and are part of what it says about the
    /// time inside its parent.
    pub(super) recorded_ns: i64,
    /// How long its threads were in other spans while they were inside it.
    pub(super) others_ns: i64,
}

/// The children so far of spans whose own records have not come.
#[derive(Debug)]
pub(super) struct SelfTimes {
    children: IdTable<Children>,
    /// Spans whose entries have records of their own.
    long: IdTable<Long>,
    /// Those of them whose own records have come, each with the number of the batch.
    closed: VecDeque<(u64, u64)>,
    calls: Calls,
    rows: LastRows,
    /// Which parts of an entry were in other spans, while its row is made.
    pieces: Vec<(i64, i64)>,
    orphans: Vec<Orphan>,
    /// Parents that did not seem to come any more, at the last look.
    gone: HashSet<u64>,
    spare: Spare,
    /// How many batches were begun.
    batch: u64,
    /// With so many parents it is time to look for those that will never come.
    purge_at: usize,
}

impl SelfTimes {
    /// For up to so many open spans.
    pub(super) fn new(open_spans_max: usize) -> Self {
        let purge_at = 4 * open_spans_max.max(1024);
        Self {
            children: IdTable::default(),
            long: IdTable::default(),
            closed: VecDeque::new(),
            calls: Calls::default(),
            rows: LastRows::default(),
            pieces: Vec::new(),
            orphans: Vec::new(),
            gone: HashSet::new(),
            spare: Spare::default(),
            batch: 0,
            purge_at,
        }
    }

    /// The records of another batch follow.
    pub(super) fn begin_batch(&mut self) {
        self.batch += 1;
        self.calls.begin_batch();
        // What was recorded before a span closed is in the batch of its record, or in the next one.
        while let Some((batch, id)) = self.closed.front()
            && batch + 1 < self.batch
        {
            if let Some(mut long) = self.long.remove(*id) {
                long.end(&mut self.rows);
                take_off_row(*id, long.settle(&mut self.rows), &mut self.orphans);
                self.calls.forget(*id, Past::of(&long));
                if long.counts {
                    self.take_children(*id);
                }
            }
            self.closed.pop_front();
        }
    }

    /// Nothing more will come. Children that are left belong to parents in the file.
    pub(super) fn end(&mut self, is_open: impl Fn(u64) -> bool) {
        let Self { long, rows, orphans, .. } = self;
        for (id, long) in long.iter_mut() {
            long.end(rows);
            take_off_row(id, long.settle(rows), orphans);
        }
        self.purge(is_open);
    }

    /// Another file is begun.
    pub(super) fn begin_file(&mut self) {
        self.rows.forget();
        self.orphans.clear();
        self.calls.begin_file(self.long.values_mut().map(|long| &mut long.tally));
    }

    /// The rows of the batch in hand are in the file, or lost.
    pub(super) fn settle(&mut self, are_stored: bool) {
        let Self { calls, long, .. } = self;
        if are_stored {
            calls.stored();
        } else {
            calls.lost(long);
        }
    }

    /// An entry seems to come after its span.
    ///
    /// Of its time, `inside_ns` is part of what the span says about the time inside its parent.
    pub(super) fn expect_late(&mut self, span: u64, counts: bool, entry: EntrySum, inside_ns: i64) {
        self.calls.expect(span, counts, entry, inside_ns);
    }

    /// How much of the time that a span says it was inside its parent is in entries that will come after
    /// it.
    #[inline(always)]
    pub(super) fn late_ns(&mut self, span: u64) -> i64 {
        self.calls.late_ns(span)
    }

    /// The record of a span will come: after all of its entries that were expected so far.
    #[inline(always)]
    pub(super) fn expect_span(&mut self, span: u64) {
        self.calls.is_next(span);
    }

    /// An entry that counts becomes a row. Returns what the row is to say about earlier entries: their
    /// number, and the time inside.
    pub(super) fn call(
        &mut self,
        span: u64,
        call: Call,
        length_ns: impl Fn(u64) -> i64,
    ) -> (u64, i64) {
        self.calls.add(span, &mut self.long.entry(span).tally, call, length_ns)
    }

    /// A span closes that counts by its entries, or it is open at the end. Returns its number of calls,
    /// and their time together. `None` if no entry of it has counted.
    #[cold]
    pub(super) fn close_calls(
        &mut self,
        span: u64,
        whole: Whole,
        length_ns: impl Fn(u64) -> i64,
    ) -> Option<(u64, i64)> {
        let long = self.long.get_mut(span).filter(|long| long.counts)?;
        let tally = (&mut long.tally, long.has_counted);
        Some(self.calls.close(span, tally, whole, length_ns))
    }

    /// For a span that has closed and counts by its entries: how much of its busy time was neither in
    /// other spans nor in rows of entries. If more time in other spans is known when all of its entries
    /// have come, its row is corrected.
    #[cold]
    pub(super) fn close_own(&mut self, span: u64, busy: i64) -> i64 {
        let Some(long) = self.long.get_mut(span) else { return 0 };
        // What rows have too much is subtracted from them when no more entries come.
        let owed = long.threads.iter().map(|inside| inside.others_ns).fold(0, i64::saturating_add);
        let own = long.own_ns(busy.saturating_add(owed));
        long.said = Some((busy, own));
        own
    }

    /// Hands on what rows of entries should say about earlier entries, if it has changed.
    pub(super) fn tell_earlier(
        &mut self,
        length_ns: impl Fn(u64) -> i64,
        rows: &mut Vec<EarlierRow>,
    ) {
        let Self { calls, long, .. } = self;
        calls.tell(long, length_ns, rows);
    }

    /// Hands on what rows of entries have too much, because what ran inside them has come late.
    pub(super) fn tell_late(&mut self, rows: &mut Vec<LateEntryTime>) {
        self.rows.tell(rows);
    }

    /// Takes the children that came when their parents were in the file; those of one parent are next to
    /// each other.
    pub(super) fn take_orphans(&mut self) -> Vec<Orphan> {
        std::mem::take(&mut self.orphans)
    }

    /// An entry that counts will come. Its span may have closed.
    pub(super) fn expect_counting(&mut self, span: u64) {
        self.long.entry(span).counts = true;
    }

    /// Adds a child of `parent`, which is not 0, or an entry inside it.
    #[inline]
    pub(super) fn add_child(&mut self, parent: u64, part: Part) {
        if (!self.long.is_empty() || self.calls.has_past()) && self.add_to_long(parent, part) {
            return;
        }
        let Part { thread, start, end, inside_since, inside_ns, .. } = part;
        let child = Child { start, end, inside_since, thread };
        let children = self.children.entry(parent);
        children.busy_ns = children.busy_ns.saturating_add(inside_ns);
        children.add(child, &mut self.spare);
    }

    /// Adds time that threads were inside a child, or an entry, if nothing else about it matters.
    #[cold]
    pub(super) fn add_busy(&mut self, parent: u64, ns: i64) {
        if ns <= 0 {
            return;
        }
        if let Some(long) = self.long.get_mut(parent).filter(|long| long.counts) {
            long.others_ns = long.others_ns.saturating_add(ns);
        } else {
            let children = self.children.entry(parent);
            children.busy_ns = children.busy_ns.saturating_add(ns);
        }
    }

    /// The length of the entries of a span that have come so far, and are part of what it says about the
    /// time inside its parent.
    #[cold]
    pub(super) fn recorded_ns(&mut self, span: u64) -> i64 {
        self.long.get_mut(span).map_or(0, |long| long.recorded_ns)
    }

    /// Adds it if the parent is long-lived. Returns whether the parent counts by its entries.
    fn add_to_long(&mut self, parent: u64, part: Part) -> bool {
        let Some(long) = self.long.get_mut(parent) else {
            let before = self.rows.taken_ns();
            let is_past = self.calls.past(parent).is_some_and(|past| {
                past.take_off(part, &mut self.rows);
                true
            });
            if is_past {
                let rest = part.inside_ns - (self.rows.taken_ns() - before);
                take_off_row(parent, rest, &mut self.orphans);
            }
            return is_past;
        };
        long.add(part, &mut self.rows, &mut self.spare);
        long.counts
    }

    /// An entry of a span comes. Returns its self time if it counts.
    pub(super) fn entry(&mut self, span: u64, entry: Arrived) -> Option<i64> {
        let Arrived { id, thread, start, end, counts, is_inside } = entry;
        let length = end - start;
        let long = self.long.entry(span);
        if long.threads.is_empty()
            && let Some(past) = self.calls.remember(span)
        {
            *long = past.again();
            self.closed.push_back((self.batch, span));
        }
        long.recorded_ns = long.recorded_ns.saturating_add(if is_inside { length } else { 0 });
        let inside = long.inside(thread);
        let mut summed = 0;
        let is_first = !inside.has_entries;
        inside.from = inside.from.min(start);
        if is_first {
            inside.has_entries = true;
            if inside.others_end <= start {
                inside.others_ns = 0;
            }
            // What ran inside before it was known that this thread has entries.
            if let Some(children) = self.children.get_mut(span) {
                summed = children.add_to(&mut inside.spans, thread, start, &mut self.spare);
            }
        }
        let floor = inside.reach(end, self.batch);
        let is_whole = summed == 0 && !inside.spans.has_sums();
        self.pieces.clear();
        self.pieces.extend(inside.spans.pieces_between(start, end));
        let covered =
            inside.spans.take_between(start, end, floor).saturating_add(summed).min(length);
        let rest = length - covered - inside.others_ns;
        inside.others_ns = (-rest).max(0);
        let begins_to_count = counts && !long.has_counted;
        long.has_counted |= counts;
        long.counts |= counts;
        if (begins_to_count || long.has_counted && is_first)
            && let Some(children) = self.children.get_mut(span)
        {
            // They are known to its entries now; and its lifetime is not work.
            let threads = &long.threads;
            let is_known = |of: u32| threads.iter().any(|it| it.thread == of && it.has_entries);
            long.others_ns = long.others_ns.saturating_add(std::mem::take(&mut children.busy_ns));
            if children.forget(is_known, &mut self.spare) {
                self.children.remove(span);
            }
        }
        if !long.has_counted {
            return None;
        }
        let self_ns = rest.max(0);
        long.rows_self_ns = long.rows_self_ns.saturating_add(self_ns);
        let written = Written { id, start, end, self_ns, is_whole };
        let inside = long.inside(thread);
        inside.last = self.rows.add(inside.last, written, self.pieces.drain(..));
        Some(self_ns)
    }

    /// Whether a span whose record has not come counts by its entries.
    #[inline]
    pub(super) fn counts_by_entries(&mut self, id: u64) -> bool {
        !self.long.is_empty() && self.long.get_mut(id).is_some_and(|long| long.counts)
    }

    /// The self time of a span that worked from its start to its last exit, on that thread. After that,
    /// what ran inside it is forgotten.
    #[inline(always)]
    pub(super) fn take(&mut self, id: u64, work: (i64, i64), thread: u32) -> Own {
        if self.long.is_empty() {
            return self.take_lifetime(id, work, thread);
        }
        self.take_long(id, work, thread)
    }

    #[cold]
    fn take_long(&mut self, id: u64, work: (i64, i64), thread: u32) -> Own {
        let Some(long) = self.long.get_mut(id) else {
            return self.take_lifetime(id, work, thread);
        };
        let recorded_ns = long.recorded_ns;
        self.closed.push_back((self.batch, id));
        if long.counts {
            if let Some(children) = self.children.get_mut(id) {
                let others_ns = std::mem::take(&mut children.busy_ns);
                long.others_ns = long.others_ns.saturating_add(others_ns);
            }
            // Kept for entries that come after it.
            return Own { self_ns: None, recorded_ns, others_ns: 0 };
        }
        Own { recorded_ns, ..self.take_lifetime(id, work, thread) }
    }

    #[inline(always)]
    fn take_lifetime(&mut self, id: u64, (start, end): (i64, i64), thread: u32) -> Own {
        let whole = Own { self_ns: Some(end - start), recorded_ns: 0, others_ns: 0 };
        if self.children.is_empty() {
            return whole;
        }
        self.take_off_children(id, (start, end), thread).unwrap_or(whole)
    }

    /// `None` if it has no children.
    #[inline(never)]
    fn take_off_children(&mut self, id: u64, (start, end): (i64, i64), thread: u32) -> Option<Own> {
        let Self { children, spare, .. } = self;
        children.remove_with(id, |children| {
            let own = (end - start - children.covered(end, thread, spare)).max(0);
            children.keep_lists(spare);
            Own { self_ns: Some(own), recorded_ns: 0, others_ns: children.busy_ns }
        })
    }

    /// Forgets the children of a span.
    pub(super) fn take_children(&mut self, id: u64) {
        let Self { children, spare, .. } = self;
        children.remove_with(id, |children| children.keep_lists(spare));
    }

    /// Whether so many parents are missing that some of them must have been dropped.
    pub(super) fn is_crowded(&self) -> bool {
        self.children.len() + self.long.len() >= self.purge_at
    }

    /// Whether there are so many that even those are forgotten that may still come.
    pub(super) fn is_overcrowded(&self) -> bool {
        self.children.len() + self.long.len() >= 2 * self.purge_at
    }

    /// Whether there are children whose parents may have been stored before they came.
    pub(super) fn has_children(&self) -> bool {
        !self.children.is_empty()
    }

    /// Parts children from parents that were missing at the last look, and still are.
    pub(super) fn find_orphans(&mut self, expected: impl Fn(u64) -> bool) {
        let gone: HashSet<u64> =
            self.children.iter().map(|(id, _)| id).filter(|id| !expected(*id)).collect();
        let before = std::mem::replace(&mut self.gone, gone);
        if self.gone.is_disjoint(&before) {
            return;
        }
        let is_gone: HashSet<u64> = self.gone.intersection(&before).copied().collect();
        let told = self.tell_children(|id| !is_gone.contains(&id));
        // The others wait for the next look.
        self.children.retain(|id| !told.contains(&id));
        self.gone.retain(|id| !told.contains(id));
    }

    /// Hands on the children of parents that will not come any more: they have been stored already, or
    /// dropped. Returns the parents: not all of them, if they are too many for one batch.
    fn tell_children(&mut self, expected: impl Fn(u64) -> bool) -> HashSet<u64> {
        let mut told = HashSet::new();
        for (parent, children) in self.children.iter().filter(|(id, _)| !expected(*id)) {
            if self.orphans.len() >= ORPHANS_MAX {
                break;
            }
            children.tell(parent, &mut self.orphans);
            told.insert(parent);
        }
        told
    }

    /// Forgets all spans that will not come any more.
    pub(super) fn purge(&mut self, expected: impl Fn(u64) -> bool) {
        // Entries of spans that have closed may still come.
        let closed: HashSet<u64> = self.closed.iter().map(|(_, id)| *id).collect();
        let closed_long: HashSet<u64> =
            closed.iter().copied().filter(|id| self.counts_by_entries(*id)).collect();
        let is_kept = |id| expected(id) || closed_long.contains(&id);
        self.tell_children(is_kept);
        self.children.retain(is_kept);
        self.gone = HashSet::new();
        self.long.retain(|id| expected(id) || closed.contains(&id));
        self.purge_at = self.purge_at.max(2 * (self.children.len() + self.long.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::union::{INTERVALS_MAX, SUMS_MAX};
    use super::*;

    #[test]
    fn what_is_told_late_is_all_of_it() {
        for many in [1, 60, 900, 5_000] {
            let mut times = SelfTimes::new(0);
            for n in 0..many {
                times.add_child(1, part(10 * n, 10 * n + 5));
            }
            times.end(|_| false);
            let mut told = times.take_orphans();
            told.sort_by_key(|orphan| orphan.start);
            assert!(told.len() <= INTERVALS_MAX + SUMS_MAX + RECENT_MAX);
            let length: i64 = told.iter().map(|orphan| orphan.end - orphan.start).sum();
            assert_eq!(length, 5 * many);
            assert_eq!(told.iter().map(|orphan| orphan.busy_ns).sum::<i64>(), 5 * many);
            assert!(told.is_sorted_by(|a, b| a.end <= b.start));
        }
    }

    #[test]
    fn of_more_than_are_told_at_a_time_the_others_are_told_next_time() {
        let mut times = SelfTimes::new(0);
        let parents = ORPHANS_MAX as u64 + 100;
        (1..=parents).for_each(|parent| times.add_child(parent, part(0, 5)));
        let mut told = Vec::new();
        for _ in 0..4 {
            times.find_orphans(|_| false);
            told.push(times.take_orphans().len());
        }
        assert_eq!(told, [0, ORPHANS_MAX, 100, 0]);
        assert!(!times.has_children());
    }

    fn part(start: i64, end: i64) -> Part {
        Part { thread: 1, start, end, inside_since: i64::MAX, busy: None, inside_ns: end - start }
    }

    fn lifetime(times: &mut SelfTimes, id: u64, start: i64, end: i64) -> i64 {
        times.take(id, (start, end), 1).self_ns.unwrap()
    }

    #[test]
    fn parents_that_never_come_are_forgotten() {
        let mut times = SelfTimes::new(0);
        for parent in 1..5001 {
            times.add_child(parent, part(0, 1));
        }
        assert!(times.is_crowded());
        times.purge(|id| id % 1000 == 0);
        assert!(!times.is_crowded());
        assert_eq!(lifetime(&mut times, 1000, 0, 10), 9);
        assert_eq!(lifetime(&mut times, 1001, 0, 10), 10);
    }

    #[test]
    fn children_that_outlive_their_parent_take_nothing_off() {
        for others in [0, 10, 1_000] {
            let mut times = SelfTimes::new(0);
            for outliving in 0..30 {
                times.add_child(1, part(50, 101 + outliving));
            }
            for n in 0..others {
                times.add_child(1, part(20 + n % 5, 30));
            }
            times.add_child(1, part(10, 12));
            times.add_child(1, part(90, 100));
            let expected = 100 - 12 - if others == 0 { 0 } else { 10 };
            // With more children than a list holds, those that came first are taken to last to the end.
            let found = lifetime(&mut times, 1, 0, 100);
            assert!(found == expected || others == 1_000 && found == expected - 40, "{found}");
        }
    }

    #[test]
    fn what_is_inside_when_its_parent_leaves_takes_off_what_was_before() {
        for others in [0, 10] {
            let mut times = SelfTimes::new(0);
            (0..others).for_each(|_| times.add_child(1, part(10, 12)));
            times.add_child(1, Part { inside_since: 60, ..part(50, 150) });
            // On another thread, and not inside yet.
            times.add_child(1, Part { thread: 2, inside_since: 20, ..part(20, 150) });
            times.add_child(1, Part { inside_since: 100, ..part(30, 150) });
            times.add_child(1, Part { inside_since: 110, ..part(105, 150) });
            let expected = 50 - if others == 0 { 0 } else { 2 };
            assert_eq!(lifetime(&mut times, 1, 0, 100), expected);
        }
    }

    #[test]
    fn children_of_what_counts_are_kept_for_threads_of_which_no_entry_is_known_only() {
        let mut times = SelfTimes::new(16);
        for n in 0..200 {
            times.add_child(1, part(10 * n, 10 * n + 5));
        }
        times.add_child(1, Part { thread: 2, ..part(0, 700) });
        let is_inside = true;
        let arrived =
            |thread, start, end| Arrived { id: 9, thread, start, end, counts: true, is_inside };
        let thread = part(0, 1).thread;
        assert_eq!(times.entry(1, arrived(thread, 1990, 2000)), Some(5));
        assert!(times.has_children(), "those of the other one");
        assert_eq!(times.entry(1, arrived(2, 0, 1000)), Some(300));
        assert!(!times.has_children());
    }

    #[test]
    fn children_behind_the_last_exit_are_none_of_it_however_many() {
        let mut times = SelfTimes::new(0);
        times.add_child(1, part(2, 7));
        for n in 0..1_000_000 {
            times.add_child(1, part(100 + 10 * n, 107 + 10 * n));
        }
        assert_eq!(lifetime(&mut times, 1, 0, 10), 5);
    }

    fn arrived(thread: u32, start: i64, end: i64, counts: bool) -> Arrived {
        Arrived { id: start.cast_unsigned(), thread, start, end, counts, is_inside: true }
    }

    #[test]
    fn an_entry_less_what_ran_inside_it_on_its_thread() {
        let mut times = SelfTimes::new(0);
        // It is not known yet that the span is long-lived.
        times.add_child(1, part(10, 12));
        times.add_child(1, part(105, 110));
        assert_eq!(times.entry(1, arrived(1, 100, 120, true)), Some(15));
        assert!(times.counts_by_entries(1) && !times.counts_by_entries(2));
        for n in 0..2_000 {
            times.add_child(1, part(200 + 10 * n, 207 + 10 * n));
            times.add_child(1, Part { thread: 2, ..part(205, 300) });
        }
        assert_eq!(times.entry(1, arrived(1, 190, 30_000, false)), Some(29_810 - 14_000));
        assert_eq!(times.entry(1, arrived(2, 190, 310, false)), Some(25));
        assert_eq!(times.entry(1, arrived(1, 31_000, 31_010, false)), Some(10));
        assert_eq!(
            times.take(1, (0, 40_000), 1),
            Own { self_ns: None, recorded_ns: 29_960, others_ns: 0 }
        );
        // Of another thread, so it comes later.
        assert_eq!(times.entry(1, arrived(2, 400, 410, true)), Some(10));
        times.begin_batch();
        assert!(times.counts_by_entries(1));
        times.begin_batch();
        assert_eq!(times.take(1, (0, 40_000), 1).self_ns, Some(40_000), "nothing is left of it");
    }

    #[test]
    fn sums_of_times_that_no_clock_shows_end_at_the_end_of_time() {
        let mut times = SelfTimes::new(0);
        // Long-lived, so that what runs inside is known to it and to its lifetime.
        times.entry(1, arrived(2, 0, 10, false));
        let each = i64::MAX / 3_000;
        for n in 0..2_500 {
            times.add_child(1, part(each * n, each * n + each - 1));
        }
        assert_eq!(times.entry(1, arrived(1, 0, i64::MAX, true)), Some(0));
    }

    #[test]
    fn what_is_known_by_its_length_is_taken_off_the_next_entries() {
        let mut times = SelfTimes::new(0);
        times.entry(1, arrived(1, 0, 10, true));
        times.add_child(1, Part { busy: Some(25), ..part(0, 15) });
        assert_eq!(times.entry(1, arrived(1, 20, 40, true)), Some(0));
        assert_eq!(times.entry(1, arrived(1, 50, 70, true)), Some(15));
        assert_eq!(times.entry(1, arrived(1, 80, 90, true)), Some(10));
    }

    #[test]
    fn what_was_over_before_the_first_entry_that_is_known_is_in_none() {
        let mut times = SelfTimes::new(0);
        let again = |start, end| Part { busy: Some(4), ..part(start, end) };
        times.add_child(1, again(20, 38));
        times.entry(2, arrived(1, 0, 1, true));
        times.entry(1, arrived(2, 0, 1, true));
        times.add_child(1, again(2, 40));
        assert_eq!(times.entry(1, arrived(1, 50, 70, true)), Some(20));
        // Its handle was kept, so it is known only now.
        times.add_child(1, again(21, 39));
        times.add_child(1, again(72, 79));
        assert_eq!(times.entry(1, arrived(1, 70, 80, true)), Some(6));
        // While a child waits, the entry works.
        times.add_child(1, Part { inside_since: 93, ..part(82, 95) });
        assert_eq!(times.entry(1, arrived(1, 80, 100, true)), Some(18));
        times.add_child(1, Part { inside_since: 99, ..part(81, 100) });
        let mut late = Vec::new();
        times.tell_late(&mut late);
        let late: Vec<_> = late.iter().map(|late| (late.id, late.ns)).collect();
        assert_eq!(late, [(80, 1)]);
    }

    #[test]
    fn what_ran_inside_entries_that_come_after_their_span_is_known() {
        let mut times = SelfTimes::new(0);
        times.begin_batch();
        times.add_child(1, part(105, 110));
        times.add_child(1, part(32, 35));
        times.expect_counting(1);
        assert_eq!(times.take(1, (0, 200), 1).self_ns, None);
        // In another order, too.
        assert_eq!(times.entry(1, arrived(1, 100, 120, true)), Some(15));
        assert_eq!(times.entry(1, arrived(1, 30, 40, true)), Some(7));
        times.begin_batch();
        times.begin_batch();
        assert!(!times.has_children());
    }

    /// A span that was busy for 60. Two entries of 10 are rows; one of them comes after the span.
    #[test]
    fn what_is_in_no_row_of_an_entry_is_said_by_the_span_that_has_closed() {
        for is_late in [false, true] {
            let mut times = SelfTimes::new(0);
            times.begin_batch();
            // Before the first entry that counts, in that entry, or in the one to come.
            times.add_child(1, part(2, 7));
            assert_eq!(times.entry(1, arrived(1, 100, 110, true)), Some(10));
            times.add_child(1, Part { busy: Some(4), inside_ns: 4, ..part(101, 112) });
            assert_eq!(times.take(1, (0, 200), 1).self_ns, None);
            assert_eq!(times.close_own(1, 60), 60 - 10 - 5);
            if is_late {
                assert_eq!(times.entry(1, arrived(1, 120, 130, true)), Some(6));
            }
            times.begin_batch();
            times.begin_batch();
            let orphans = times.take_orphans();
            let told: Vec<_> = orphans.iter().map(|it| (it.parent, it.busy_ns)).collect();
            assert_eq!(told, if is_late { vec![(1, 10)] } else { vec![] });
            let mut late = Vec::new();
            times.tell_late(&mut late);
            let late: Vec<_> = late.iter().map(|late| (late.id, late.ns)).collect();
            assert_eq!(late, if is_late { vec![] } else { vec![(100, 4)] });
        }
    }

    /// A child that two threads entered. Its time is subtracted from entries of one of them first.
    #[test]
    fn what_others_did_is_taken_off_entries_of_any_thread() {
        let mut times = SelfTimes::new(0);
        times.begin_batch();
        times.entry(1, arrived(1, 100, 110, true));
        times.entry(1, arrived(2, 200, 290, true));
        times.add_child(1, Part { busy: Some(30), inside_ns: 30, ..part(100, 280) });
        times.take(1, (0, 300), 1);
        assert_eq!(times.close_own(1, 100), 0);
        times.begin_batch();
        times.begin_batch();
        let mut late = Vec::new();
        times.tell_late(&mut late);
        let late: Vec<_> = late.iter().map(|late| (late.id, late.ns)).collect();
        assert_eq!(late, [(100, 10), (200, 20)]);
    }

    #[test]
    fn entries_that_do_not_count_leave_the_span_its_lifetime() {
        let mut times = SelfTimes::new(0);
        assert_eq!(times.entry(1, arrived(1, 10, 20, false)), None);
        times.add_child(1, part(30, 40));
        assert_eq!(times.entry(1, arrived(1, 30, 45, false)), None);
        assert_eq!(
            times.take(1, (0, 100), 1),
            Own { self_ns: Some(90), recorded_ns: 25, others_ns: 10 }
        );
    }
}
