//! Self time: how much of a span its children do not cover.
//!
//! A span *works* from its start to its last exit. What lies behind that is nobody's: a child keeps it open, or a
//! handle is kept. One that was never entered does not work at all.
//!
//! `self_ns` is the length of that less the *union* of the same of the children that were done before
//! it was, or with it: children that run side by side count once. So the parent's children are
//! complete when the parent arrives, provided that the writer has looked at every partition once
//! more since (see [`Writer`](super::Writer)). Under `Registry`, that is: a child holds a reference to its parent.
//! With our own subscriber one whose handle is kept for longer may come when its parent is stored, which then
//! [says less](Orphan).
//!
//! A child that works on when its parent has left takes nothing off, wherever it overlaps: the parent has not waited
//! for it. Unless it was inside just then, on the parent's thread: then it is in the parent's place from its start on,
//! and as it is left inside of another span than its parent, its entry is known to that one.
//!
//! An entry that is recorded by itself takes its time off the span that its thread was in around it, like
//! a child of that one, whichever its parent is.
//!
//! A span that lives long counts by its [entries](Long): its lifetime is nobody's work, and is taken off nobody's.
//! The self time of an entry is its length less what its thread spent in others meanwhile: in children that were entered
//! once, in entries of others, and what other children were busy; while these wait, it works itself. Children that are kept
//! for longer than the entry come when that is a row, which then [says less](late), too.

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

/// Children whose parents are in the file are told of at a time, until they are as many. Of parents that were dropped
/// there are more.
const ORPHANS_MAX: usize = 16_384;
/// Children of one span that are kept as they came; beyond, the older half becomes a union.
const RECENT_MAX: usize = 64;

/// What a child, or an entry, was there for, and on which thread.
#[derive(Debug, Clone, Copy, Default)]
struct Child {
    start: i64,
    end: i64,
    /// Since when it was inside, without a pause up to its end; `i64::MAX` if there was one.
    inside_since: i64,
    thread: u32,
}

/// Since when a child was inside, if that is known, and else since when it was there.
#[inline]
fn inside_from(start: i64, end: i64, inside_since: i64) -> i64 {
    if inside_since <= end { inside_since.max(start) } else { start }
}

impl Child {
    fn inside_from(&self) -> i64 {
        inside_from(self.start, self.end, self.inside_since)
    }

    /// What it takes off a parent that works until then, on that thread.
    #[inline]
    fn within(&self, until: i64, thread: u32) -> Option<(i64, i64)> {
        if self.end <= until {
            return Some((self.start, self.end));
        }
        (self.inside_since < until && self.thread == thread).then_some((self.start, until))
    }
}

/// The children of a span that has not arrived yet, so that nobody knows which of them outlive it.
#[derive(Debug, Default)]
struct Children {
    /// The first one; empty if there is none.
    first: Child,
    /// Those after it, as they came: nearly in the order of their ends.
    others: Vec<Child>,
    /// Older ones. Should one of those work for longer than the span after all, up to [`RECENT_MAX`] / 2 others
    /// do too, and it counts to the span's end.
    older: Union,
    /// On which thread all of those were, if it was one.
    older_thread: Option<u32>,
    /// How long threads were in others while they were inside the span.
    busy_ns: i64,
}

/// Empty lists, with their memory.
#[derive(Debug, Default)]
struct Spare {
    intervals: SpareLists<(i64, i64)>,
    children: SpareLists<Child>,
}

impl Children {
    /// Adds a child; takes a list out of `spare` if it needs one.
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

    /// Forgets those of threads of which that is known by entries of the span, which counts by them. Says whether
    /// none are left.
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

    /// Adds those of a thread to a union, and older ones of any thread: also those that end before `from`, as entries
    /// may come in another order. Returns how much is known of those that end later by its sum only.
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

    /// What a parent has not counted that is in the file already.
    #[cold]
    fn tell(&self, parent: u64, orphans: &mut Vec<Orphan>) {
        // What one thread did without a pause may be several children, some of which are over when the parent is left.
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

    /// Keeps the memory of its lists.
    #[inline]
    fn keep_lists(&mut self, spare: &mut Spare) {
        spare.children.keep(&mut self.others);
        self.older.keep_list(&mut spare.intervals);
    }

    /// How much of a span they cover that works until then, on that thread.
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

/// A span of which entries have arrived, and which has not itself, or not long ago: what other threads did may come
/// later.
#[derive(Debug, Default)]
struct Long {
    /// Whether it counts by its entries.
    counts: bool,
    /// Whether one of them has.
    has_counted: bool,
    /// The length of those that have arrived and are in what the span says of the time inside its parent.
    recorded_ns: i64,
    threads: Vec<Inside>,
    tally: Tally,
    /// If it counts by its entries, how long its threads were in others while they were inside ...
    others_ns: i64,
    /// ... and what its rows say of their own.
    rows_self_ns: i64,
    /// Once it has closed: how long it was busy, and what its row says of that.
    said: Option<(i64, i64)>,
}

/// What ran inside a span on one thread since the last entry that has arrived.
#[derive(Debug)]
struct Inside {
    thread: u32,
    /// Whether one has.
    has_entries: bool,
    /// In which batch the last one has.
    batch: u64,
    /// Up to when there were entries, and were when the batch before that began, and the one before that. A thread that
    /// changes from one partition to another has its records in another order in that batch, and in the next.
    reached: [i64; 3],
    spans: Union,
    /// When the first one began of those that have; `i64::MAX` for none.
    from: i64,
    /// What is known by its length only; more than an entry's length is taken off the next one, and if there is none,
    /// off the last ones.
    others_ns: i64,
    /// When the last one of those was left.
    others_end: i64,
    /// The last entry that is a row.
    last: u64,
}

impl Inside {
    /// An entry arrives that ends there. Returns up to when no others will come.
    fn reach(&mut self, end: i64, batch: u64) -> i64 {
        if self.batch != batch {
            self.batch = batch;
            self.reached.copy_within(..2, 1);
        }
        self.reached[0] = self.reached[0].max(end);
        self.reached[2]
    }

    /// Something has run inside it.
    fn add(&mut self, part: Part, rows: &mut LastRows, spare: &mut Spare) {
        if let Some(busy) = part.busy {
            // What was over before is in entries that are no rows.
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

    /// Some of it ran inside of entries that have arrived. Returns what is left for those to come.
    #[cold]
    fn take_off_rows(&self, part: Part, rows: &mut LastRows) -> i64 {
        let (from, end) = (part.inside_from(), part.end);
        let rest = rows.take_off(self.last, (from, end));
        // While it was inside, something else was around it.
        let forgotten = rest.before.map_or(0, |before| {
            let end = end.min(before).min(self.reached[0]);
            end.saturating_sub(from).max(0)
        });
        rest.ns.saturating_add(forgotten)
    }
}

impl Long {
    /// No entry of it comes any more.
    fn end(&mut self, rows: &mut LastRows) {
        let before = rows.taken_ns();
        for inside in self.threads.iter_mut().filter(|inside| inside.others_ns > 0) {
            rows.take_sum_off(inside.last, std::mem::take(&mut inside.others_ns));
        }
        self.rows_self_ns -= rows.taken_ns() - before;
    }

    /// Something has run inside it.
    fn add(&mut self, part: Part, rows: &mut LastRows, spare: &mut Spare) {
        let before = rows.taken_ns();
        self.inside(part.thread).add(part, rows, spare);
        if self.counts {
            self.others_ns = self.others_ns.saturating_add(part.inside_ns);
        }
        self.rows_self_ns -= rows.taken_ns() - before;
    }

    /// What of a time inside was in no other, and in no row of an entry: of entries before the first that counts, and of
    /// those that were dropped.
    fn own_ns(&self, busy: i64) -> i64 {
        busy.saturating_sub(self.others_ns).saturating_sub(self.rows_self_ns).max(0)
    }

    /// All of its entries have come, if it has closed. Returns how much more its row says of that than is known now.
    fn settle(&mut self, rows: &mut LastRows) -> i64 {
        let Some((busy, said)) = self.said else { return 0 };
        // What others were inside for is certain, and in which rows that was is not always: of several threads, one may have
        // been taken for another.
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
            // Mostly there is one.
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
    /// When it was left last.
    pub(super) end: i64,
    /// Since when it was inside, without a pause up to `end`; `i64::MAX` if there was one.
    pub(super) inside_since: i64,
    /// How long it was inside, if that is not all of the time from `start` to `end`, and not on its own account.
    pub(super) busy: Option<i64>,
    /// How long it was inside, but for what has come on its own account.
    pub(super) inside_ns: i64,
}

impl Part {
    fn inside_from(&self) -> i64 {
        inside_from(self.start, self.end, self.inside_since)
    }
}

/// An entry that arrives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived {
    /// Of its row.
    pub(super) id: u64,
    pub(super) thread: u32,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) counts: bool,
    /// Whether it is in what its span says of the time inside the parent.
    pub(super) is_inside: bool,
}

/// A child whose parent is in the file, or never comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Orphan {
    pub(super) parent: u64,
    pub(super) start: i64,
    pub(super) end: i64,
    /// As of a [`Part`].
    pub(super) inside_since: i64,
    pub(super) thread: u32,
    /// How long it was inside; of all children of one parent, what the first one says.
    pub(super) busy_ns: i64,
}

/// The row of a span that counts by its entries, and has closed, says so much too much of what was in no row of an entry.
fn take_off_row(parent: u64, busy_ns: i64, orphans: &mut Vec<Orphan>) {
    if busy_ns > 0 && orphans.len() < ORPHANS_MAX {
        let (start, end, inside_since, thread) = (0, 0, i64::MAX, 0);
        orphans.push(Orphan { parent, start, end, inside_since, thread, busy_ns });
    }
}

/// What becomes of a span that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Own {
    /// `None` if it counts by its entries.
    pub(super) self_ns: Option<i64>,
    /// The length of its entries that arrived by themselves, and are in what it says of the time inside its parent.
    pub(super) recorded_ns: i64,
    /// How long its threads were in others while they were inside.
    pub(super) others_ns: i64,
}

/// The children seen so far of spans that have not arrived yet.
#[derive(Debug)]
pub(super) struct SelfTimes {
    children: IdTable<Children>,
    /// Those of which entries have arrived.
    long: IdTable<Long>,
    /// Those that have arrived themselves, each with its batch.
    closed: VecDeque<(u64, u64)>,
    calls: Calls,
    rows: LastRows,
    /// What of an entry was in others, while it becomes a row.
    pieces: Vec<(i64, i64)>,
    orphans: Vec<Orphan>,
    /// Parents that did not seem to arrive any more.
    gone: HashSet<u64>,
    spare: Spare,
    /// How many batches were begun.
    batch: u64,
    /// At so many parents it is time to look for those that will never arrive.
    purge_at: usize,
}

impl SelfTimes {
    /// Expects up to so many open spans.
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

    /// The records of another batch come.
    pub(super) fn begin_batch(&mut self) {
        self.batch += 1;
        self.calls.begin_batch();
        // All that was recorded before a span closed is in the batch that has it, or in the next.
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

    /// Nothing more comes. What is left of children is such as parents in the file have not counted.
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

    /// An entry will arrive after its span, or so it seems.
    ///
    /// In what the span says of the time inside its parent it is for `inside_ns`.
    pub(super) fn expect_late(&mut self, span: u64, counts: bool, entry: EntrySum, inside_ns: i64) {
        self.calls.expect(span, counts, entry, inside_ns);
    }

    /// What of the time that a span says it was inside its parent is in entries that will arrive after it.
    #[inline(always)]
    pub(super) fn late_ns(&mut self, span: u64) -> i64 {
        self.calls.late_ns(span)
    }

    /// A span will arrive: after all of its entries that are expected so far.
    #[inline(always)]
    pub(super) fn expect_span(&mut self, span: u64) {
        self.calls.is_next(span);
    }

    /// An entry that counts becomes a row. Returns what that says of earlier entries: how many there were, and the
    /// time inside.
    pub(super) fn call(
        &mut self,
        span: u64,
        call: Call,
        length_ns: impl Fn(u64) -> i64,
    ) -> (u64, i64) {
        self.calls.add(span, &mut self.long.entry(span).tally, call, length_ns)
    }

    /// A span arrives that counts by its entries, or is open at the end. Returns how many calls it has, and how
    /// long they are together: its entries and busy time. `None` if no entry of it has counted.
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

    /// How long a span that has closed was inside itself, and in no entry that is a row, if it counts by its entries:
    /// it was busy for so long. Should more be known of others when all of its entries have come, its row says less then.
    #[cold]
    pub(super) fn close_own(&mut self, span: u64, busy: i64) -> i64 {
        let Some(long) = self.long.get_mut(span) else { return 0 };
        // What rows have too much yet is taken off them when no more come.
        let owed: i64 = long.threads.iter().map(|inside| inside.others_ns).sum();
        let own = long.own_ns(busy.saturating_add(owed));
        long.said = Some((busy, own));
        own
    }

    /// What rows of entries have to say of earlier ones, and do not yet.
    pub(super) fn tell_earlier(
        &mut self,
        length_ns: impl Fn(u64) -> i64,
        rows: &mut Vec<EarlierRow>,
    ) {
        let Self { calls, long, .. } = self;
        calls.tell(long, length_ns, rows);
    }

    /// What rows of entries have too much, as what ran inside them has come late.
    pub(super) fn tell_late(&mut self, rows: &mut Vec<LateEntryTime>) {
        self.rows.tell(rows);
    }

    /// Children that came when their parents were in the file, those of one parent side by side.
    pub(super) fn take_orphans(&mut self) -> Vec<Orphan> {
        std::mem::take(&mut self.orphans)
    }

    /// An entry will arrive that counts, of a span that may have closed.
    pub(super) fn expect_counting(&mut self, span: u64) {
        self.long.entry(span).counts = true;
    }

    /// A child of `parent`, which is not 0, or an entry inside it.
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

    /// So long were threads inside a child, or an entry inside it, of which nothing else is to be said.
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

    /// The length of the entries of a span that have arrived so far and are in what it says of the time inside its parent.
    #[cold]
    pub(super) fn recorded_ns(&mut self, span: u64) -> i64 {
        self.long.get_mut(span).map_or(0, |long| long.recorded_ns)
    }

    /// Says whether the parent counts by its entries.
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

    /// The self time of an entry of a span if it counts.
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
            // What ran inside while nobody knew of the thread's entries.
            if let Some(children) = self.children.get_mut(span) {
                summed = children.add_to(&mut inside.spans, thread, start, &mut self.spare);
            }
        }
        let floor = inside.reach(end, self.batch);
        let is_whole = summed == 0 && !inside.spans.has_sums();
        self.pieces.clear();
        self.pieces.extend(inside.spans.pieces_between(start, end));
        let covered = (inside.spans.take_between(start, end, floor) + summed).min(length);
        let rest = length - covered - inside.others_ns;
        inside.others_ns = (-rest).max(0);
        let begins_to_count = counts && !long.has_counted;
        long.has_counted |= counts;
        long.counts |= counts;
        if (begins_to_count || long.has_counted && is_first)
            && let Some(children) = self.children.get_mut(span)
        {
            // For its entries they are known; and its lifetime is nobody's work.
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

    /// Whether a span that has not arrived counts by its entries.
    #[inline]
    pub(super) fn counts_by_entries(&mut self, id: u64) -> bool {
        !self.long.is_empty() && self.long.get_mut(id).is_some_and(|long| long.counts)
    }

    /// The self time of a span that worked, on that thread, from its start to its last exit; what ran inside is not
    /// needed any more.
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
            // Entries that come after it want to know what ran inside them.
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

    /// `None` if it has none.
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
    fn take_children(&mut self, id: u64) {
        let Self { children, spare, .. } = self;
        children.remove_with(id, |children| children.keep_lists(spare));
    }

    /// Whether so many parents are awaited that some of them must have been dropped.
    pub(super) fn is_crowded(&self) -> bool {
        self.children.len() + self.long.len() >= self.purge_at
    }

    /// Whether there are so many that those are forgotten, too, that may be on their way.
    pub(super) fn is_overcrowded(&self) -> bool {
        self.children.len() + self.long.len() >= 2 * self.purge_at
    }

    /// Whether there are children whose parents may have been stored before they came.
    pub(super) fn has_children(&self) -> bool {
        !self.children.is_empty()
    }

    /// Parts children from parents that were not expected at the last look, and are not now.
    pub(super) fn find_orphans(&mut self, expected: impl Fn(u64) -> bool) {
        let gone: HashSet<u64> =
            self.children.iter().map(|(id, _)| id).filter(|id| !expected(*id)).collect();
        let before = std::mem::replace(&mut self.gone, gone);
        if self.gone.is_disjoint(&before) {
            return;
        }
        let is_gone: HashSet<u64> = self.gone.intersection(&before).copied().collect();
        let told = self.tell_children(|id| !is_gone.contains(&id));
        // The others at the next look.
        self.children.retain(|id| !told.contains(&id));
        self.gone.retain(|id| !told.contains(id));
    }

    /// Tells what parents have not counted that will not arrive any more: they have been stored already, or dropped.
    /// Returns which are told of: not all, if they are too many for one batch.
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

    /// Forgets all spans that will not arrive any more.
    pub(super) fn purge(&mut self, expected: impl Fn(u64) -> bool) {
        // Entries of those that have closed may be on their way.
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
            // With more than a list's worth, those that came first are taken to be there to the end.
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
        // Nobody knows yet that the span lives long.
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
        // Of another thread, and so later.
        assert_eq!(times.entry(1, arrived(2, 400, 410, true)), Some(10));
        times.begin_batch();
        assert!(times.counts_by_entries(1));
        times.begin_batch();
        assert_eq!(times.take(1, (0, 40_000), 1).self_ns, Some(40_000), "nothing is left of it");
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
        // Its handle was kept, so that it is known only now.
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

    /// A span that was busy for 60, of which two entries of 10 are rows, and one of them comes after it.
    #[test]
    fn what_is_in_no_row_of_an_entry_is_said_by_the_span_that_has_closed() {
        for is_late in [false, true] {
            let mut times = SelfTimes::new(0);
            times.begin_batch();
            // Before it counts, and in the entry that does, or in that which comes yet.
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

    /// A child that two threads entered, and whose time is taken off entries of one of them first.
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
