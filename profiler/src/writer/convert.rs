//! From raw records to rows: ticks to nanoseconds, numbers to database ids, fields to JSON.

mod memory;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, EntryRow, Error, EventRow, GaugeRow, LateChild, LinkRow,
    SpanRow, Status as RowStatus, Store, TraceContext, TraceContextRow,
};

use crate::recorder::Recorder;
use crate::recorder::clock::Timeline;
use crate::recorder::described::Described;
use crate::recorder::fields::Fields;
use crate::recorder::open_spans::Seen;
use crate::recorder::record::{
    self, Entries, Entry, EventHead, GaugeSample, ParentIds, ParentLink, Record, SpanHead, Status,
};
#[cfg(feature = "crash-proof")]
use crate::recorder::ring_file::dead_names::{DeadCallsite, DeadNames};
use crate::recorder::status_hints::{Role, StatusHints};
use crate::recorder::threads::Threads;
use crate::redact::{Redaction, Secrecy};

use super::closed_spans::ClosedSpans;
use super::id_table::IdTable;
use super::json::JsonWriter;
use super::keys::Keys;
use super::log_sites::{LogSites, Origin};
use super::raw::RawBatch;
use super::self_time::{Arrived, Call, EntrySum, Orphan, Part, SelfTimes, Whole};
use super::trace_contexts::IdFields;

/// A span that is older than this is long-lived.
const LONG_NS: i64 = 1_000_000_000;

/// After so many records the ring is looked at: that is a tenth of a millisecond.
const RELIEF_RECORDS: u32 = 256;

/// What the writer knows about a callsite.
#[derive(Debug)]
struct Callsite {
    id: i64,
    keys: Keys,
    /// The fields of a span that tell its status; nearly always none. Fields with larger indexes are in
    /// no record, but what they say may be.
    roles: Option<Box<[(u8, Role)]>>,
    /// The fields that tell how other systems know a span.
    ids: IdFields,
    /// Index of the field `message` of an event.
    message: Option<usize>,
    /// For an event that was a record of the `log` crate.
    origin: Option<Origin>,
    /// Whether any entry of its spans was a call.
    has_calls: bool,
}

impl Callsite {
    fn new(site: &Described<'_>, store: &mut Store, redaction: &Redaction) -> Self {
        let id = store.intern_callsite(&describe(site));
        let names = &site.fields;
        let message = site.field("message");
        let keys = Keys::new(names, |name| redaction.secrecy(name));
        let roles = names.iter().enumerate().filter_map(|(at, name)| Some((at, Role::of(name)?)));
        let has_roles = site.is_span && roles.clone().next().is_some();
        let roles = roles.filter_map(|(at, role)| Some((u8::try_from(at).ok()?, role)));
        let roles = has_roles.then(|| roles.collect());
        let ids = IdFields::of(site, redaction);
        Self { id, keys, roles, ids, message, origin: Origin::of(site), has_calls: false }
    }
}

/// What a row says about entries, except their number.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    busy_ns: Option<i64>,
    first_entry_ns: Option<i64>,
    longest_entry_ns: Option<i64>,
    last_exit_ns: Option<i64>,
    longest_thread_id: i64,
    /// Until when the span worked: its last exit, or its start.
    worked_until: i64,
    /// Since when threads were inside without a pause, up to then; `i64::MAX` if there was a pause, or
    /// nobody knows.
    inside_since: i64,
}

/// Converts records into rows.
#[derive(Debug)]
pub(super) struct Converter {
    recorder: Arc<Recorder>,
    /// Of another process, what its numbers mean.
    #[cfg(feature = "crash-proof")]
    names: Option<Arc<DeadNames>>,
    /// Of another process that lives: the id of the next entry, each second one of which is an entry's. (Those of its
    /// spans and events are the others.)
    #[cfg(feature = "crash-proof")]
    pub(super) entry_ids: Option<u64>,
    pub(super) timeline: Timeline,
    pub(super) self_times: SelfTimes,
    /// By number; known in this file. `None` for a callsite that has had no record yet.
    callsites: Vec<Option<Callsite>>,
    /// For a number without a callsite. No record should have one.
    unknown: Callsite,
    log_sites: LogSites,
    threads_before_rotation: ThreadsBeforeRotation,
    /// Which spans are in the batch that is being converted.
    closed: ClosedSpans,
    /// By span and thread: when the thread left the span last, according to the entries in the batch so far.
    left: IdTable<u64>,
    json: JsonWriter,
    redaction: Redaction,
    /// How other systems know converted spans; goes into the next batch.
    contexts: Vec<TraceContextRow>,
    /// The callsites of the spans that are converted, if somebody wants to know.
    noted_callsites: Option<Vec<u32>>,
    /// How many spans and events were cut, or have lost fields, since the last `take_cut`.
    cut: u64,
    /// How many records of the `log` crate had no callsite of their own, since the last `take_unplaced`.
    unplaced: u64,
}

impl Converter {
    pub(super) fn new(
        recorder: Arc<Recorder>,
        timeline: Timeline,
        open_spans_max: usize,
        redaction: Redaction,
    ) -> Self {
        Self {
            recorder,
            #[cfg(feature = "crash-proof")]
            names: None,
            #[cfg(feature = "crash-proof")]
            entry_ids: None,
            timeline,
            self_times: SelfTimes::new(open_spans_max),
            callsites: Vec::new(),
            unknown: Callsite {
                id: 0,
                keys: Keys::new(&[], |_| Secrecy::None),
                roles: None,
                ids: IdFields::default(),
                message: None,
                origin: None,
                has_calls: false,
            },
            log_sites: LogSites::default(),
            threads_before_rotation: ThreadsBeforeRotation::default(),
            closed: ClosedSpans::default(),
            left: IdTable::default(),
            json: JsonWriter::new(redaction.clone()),
            redaction,
            contexts: Vec::new(),
            noted_callsites: None,
            cut: 0,
            unplaced: 0,
        }
    }

    /// For the records of a process that is gone.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn with_names(self, names: Arc<DeadNames>) -> Self {
        Self { names: Some(names), ..self }
    }

    /// The same when there are more of them.
    #[cfg(feature = "collected")]
    pub(super) fn set_names(&mut self, names: Arc<DeadNames>) {
        self.names = Some(names);
    }

    /// Whether to note the callsites of the spans that will be converted.
    pub(super) fn note_callsites(&mut self, are_noted: bool) {
        self.noted_callsites = are_noted.then(|| {
            let mut noted = self.noted_callsites.take().unwrap_or_default();
            noted.clear();
            noted
        });
    }

    /// Their numbers, in the order of the rows.
    pub(super) fn noted_callsites(&self) -> &[u32] {
        self.noted_callsites.as_deref().unwrap_or_default()
    }

    /// How many spans and events have lost part of their fields since the last call.
    pub(super) fn take_cut(&mut self) -> u64 {
        std::mem::take(&mut self.cut)
    }

    /// How many records of the `log` crate had no callsite of their own since the last call.
    pub(super) fn take_unplaced(&mut self) -> u64 {
        std::mem::take(&mut self.unplaced)
    }

    /// Forgets the ids of all callsites, as some are others now: the file will be asked again.
    pub(super) fn forget_callsites(&mut self) {
        self.callsites.clear();
    }

    /// Moves what is known about ids of other systems into a batch.
    pub(super) fn put_contexts(&mut self, batch: &mut Batch) {
        batch.contexts.append(&mut self.contexts);
    }

    #[cold]
    fn knows(&mut self, span_id: u64, root_id: u64, context: TraceContext) {
        self.contexts.push(TraceContextRow { span_id, root_id, context });
    }

    /// Prepares for another file, which knows nothing of what the last one knew.
    pub(super) fn begin_file(&mut self, store: &mut Store) {
        self.callsites.clear();
        self.log_sites.clear();
        self.contexts.clear();
        self.learn_all_threads(store);
    }

    /// Tells the file about the threads that were registered since the last call. If somebody has a
    /// record of a thread, or its open span, the thread is in the file after this call.
    pub(super) fn learn_threads(&mut self, store: &mut Store) {
        let Some(new) = self.recorder.threads.take_new() else {
            return self.learn_all_threads(store);
        };
        for thread in new {
            store.intern_thread(thread.number, thread.os_id, thread.name.as_deref());
            if thread.number <= self.threads_before_rotation.before {
                self.threads_before_rotation.know(thread.number);
            }
        }
    }

    /// Another process has written to the file: if threads are missing there, tells it about all of them
    /// again.
    pub(super) fn learn_deleted_threads(&mut self, store: &mut Store) -> Result<(), Error> {
        self.learn_threads(store);
        if !store.has_threads(self.recorder.threads.live())? {
            self.learn_all_threads(store);
        }
        Ok(())
    }

    /// Tells the file about all threads that are remembered; about others when a record of theirs comes.
    fn learn_all_threads(&mut self, store: &mut Store) {
        // The number first: a thread that is registered later, and is not in the list, will be told
        // about later.
        self.threads_before_rotation =
            ThreadsBeforeRotation { before: Threads::last_number(), known: HashSet::new() };
        for thread in self.recorder.threads.take_all() {
            store.intern_thread(thread.number, thread.os_id, thread.name.as_deref());
            self.threads_before_rotation.know(thread.number);
        }
    }

    /// Finds the children that come after their parents, in `raw` or in `next`, and subtracts their time
    /// before the parents are converted. All other children are met in time; so a bit for each span is
    /// all that has to be remembered of a backlog, however large.
    ///
    /// In the same way, what ran inside an entry may come after it, if a thread's own partition was full
    /// for a while.
    ///
    /// `relieve` is called now and then, and may add to `next`.
    #[inline(never)] // so that `scripts/writer_cost.sh` finds it
    pub(super) fn count_late_children(
        &mut self,
        raw: &mut RawBatch,
        next: &mut RawBatch,
        mut relieve: impl FnMut(&mut RawBatch),
    ) {
        let Self { recorder, timeline, self_times, closed, left, .. } = self;
        closed.clear(raw.len());
        self_times.begin_batch();
        let counting = Vec::new();
        let pieces = Vec::new();
        let mut late =
            LateChildren { recorder, timeline, self_times, closed, left, counting, pieces };
        raw.for_each_mut(|words| late.meet(words), || relieve(next));
        next.for_each_mut(|words| late.meet_next(words), || {});
        let LateChildren { timeline, self_times, left, counting, pieces, .. } = late;
        if !pieces.is_empty() {
            take_pieces_off(&pieces, timeline, self_times, [raw, next]);
        }
        counting.into_iter().for_each(|span| self_times.expect_counting(span));
        if !left.is_empty() {
            *left = IdTable::default();
        }
    }

    /// Appends the rows of a piece. Late children of its spans have been counted before. `relieve` is
    /// called now and then.
    #[inline(never)] // so that `scripts/writer_cost.sh` finds it
    pub(super) fn convert(
        &mut self,
        raw: &RawBatch,
        piece: Range<usize>,
        store: &mut Store,
        batch: &mut Batch,
        mut relieve: impl FnMut(),
    ) {
        self.learn_threads(store);
        self.json.begin(std::mem::take(&mut batch.text));
        let mut left = RELIEF_RECORDS;
        // Read here, and not in an iterator: a record does not fit into registers.
        for words in raw.words_of(piece) {
            match record::read(words) {
                Some(Record::Span(head, fields)) => {
                    let row = self.span(&head, fields, store);
                    if let Some(noted) = &mut self.noted_callsites {
                        noted.push(head.callsite);
                    }
                    batch.spans.push(row);
                }
                Some(Record::Event(head, fields)) => {
                    let row = self.event(&head, fields, store);
                    batch.events.push(row);
                }
                Some(Record::Link(link)) => {
                    batch.links.push(LinkRow { span_id: link.span, follows_id: link.follows });
                }
                Some(Record::Entry(entry)) => {
                    let row = self.entry(&entry, store);
                    batch.entries.push(row);
                }
                Some(Record::Gauge(sample)) => {
                    let row = self.gauge(&sample);
                    batch.gauges.push(row);
                }
                None => {}
            }
            left -= 1;
            if left == 0 {
                left = RELIEF_RECORDS;
                relieve();
            }
        }
        batch.text = self.json.end();
        self.tell_late(store, batch);
    }

    #[cold]
    fn gauge(&self, sample: &GaugeSample) -> GaugeRow {
        let GaugeSample { number, at, value, version, updates } = *sample;
        #[cfg(feature = "crash-proof")]
        let of_another = self.names.as_ref().and_then(|names| names.gauge(number).cloned());
        #[cfg(not(feature = "crash-proof"))]
        let of_another = None;
        let name = of_another.or_else(|| self.recorder.gauge_name(number));
        // A number comes after its name; and if not, its values are still told apart from others.
        let name = name.unwrap_or_else(|| format!("gauge {number}").into());
        let (at_ns, value) = (self.timeline.ns(at), f64::from_bits(value));
        GaugeRow { name, at_ns, value, version, updates }
    }

    /// Corrects rows that may be in the file already.
    pub(super) fn tell_late(&mut self, store: &mut Store, batch: &mut Batch) {
        let Self { self_times, timeline, .. } = self;
        self_times.tell_earlier(|ticks| timeline.length_ns(ticks), &mut batch.earlier);
        self_times.tell_late(&mut batch.late_entry_times);
        for orphan in self_times.take_orphans() {
            let Orphan { parent, start, end, inside_since, thread, busy_ns } = orphan;
            batch.late_children.push(LateChild {
                parent_id: parent,
                start_ns: start,
                end_ns: end,
                inside_since_ns: inside_since,
                thread_id: self.thread_id(thread, store),
                busy_ns,
            });
        }
    }

    /// A span closes that counts by its entries: its busy time is that of all its calls. Returns how
    /// many calls it has, which is how often it was entered.
    #[cold]
    fn close_calls(&mut self, head: &SpanHead, duration: i64, times: &mut Times) -> u64 {
        let Entries { count, busy: ticks, .. } = head.entries;
        let Some(busy) = times.busy_ns else { return count };
        let whole = Whole { count, busy: ticks, busy_max: (busy <= duration).then_some(duration) };
        let Self { self_times, timeline, .. } = self;
        let calls = self_times.close_calls(head.id, whole, |ticks| timeline.length_ns(ticks));
        let Some((count, busy)) = calls else { return count };
        times.busy_ns = Some(busy);
        times.longest_entry_ns = times.longest_entry_ns.map(|longest| longest.min(busy));
        count
    }

    /// The same. Also returns the busy time that is neither in a row of an entry nor in other spans, if
    /// there is any.
    #[cold]
    fn close_long(
        &mut self,
        head: &SpanHead,
        duration: i64,
        times: &mut Times,
    ) -> (u64, Option<i64>) {
        let count = self.close_calls(head, duration, times);
        let own = times.busy_ns.map(|busy| self.self_times.close_own(head.id, busy));
        (count, own.filter(|own| *own > 0))
    }

    #[inline(always)]
    fn span(&mut self, head: &SpanHead, fields: &[u64], store: &mut Store) -> SpanRow {
        let (start, end, mut times) = self.span_times(head, store);
        let duration = end - start;
        let Times { worked_until, inside_since, .. } = times;
        let thread = head.entries.longest_thread;
        let own = self.self_times.take(head.id, (start, worked_until), thread);
        // The lifetime of a span that counts by its entries is not work, nor that of a span that was
        // never entered.
        let is_work = own.self_ns.is_some() && worked_until > start;
        if head.parent != 0 && !head.counted && worked_until > start {
            // Without what came, or will come, as entries of their own.
            let inside_ns = match head.inside {
                Some(ticks) => self.timeline.length_ns(ticks),
                None => times.busy_ns.unwrap_or(0),
            };
            let recorded_ns = own.recorded_ns.saturating_add(self.self_times.late_ns(head.id));
            let inside_ns = inside_ns.saturating_sub(recorded_ns).max(0);
            let is_one_piece = head.entries.count <= 1 && !head.is_stray;
            let busy = (!is_one_piece).then_some(inside_ns);
            if is_work {
                let end = worked_until;
                let part = Part { thread, start, end, inside_since, busy, inside_ns };
                self.self_times.add_child(head.parent, part);
            } else {
                self.self_times.add_busy(head.parent, inside_ns);
            }
        }
        let self_busy = match (own.self_ns, times.busy_ns) {
            (Some(_), Some(busy)) if own.others_ns > 0 => Some((busy - own.others_ns).max(0)),
            _ => None,
        };
        let (entries, self_busy) = match own.self_ns {
            Some(_) => (head.entries.count, self_busy),
            None => {
                // Copies, as in `span_times`.
                let (head, mut of_calls) = (*head, times);
                let closed = self.close_long(&head, duration, &mut of_calls);
                times = of_calls;
                closed
            }
        };
        let (rules, busy_time) = (self.recorder.status_rules, self.recorder.busy_time);
        #[cfg(feature = "crash-proof")]
        let is_dead = self.names.is_some();
        let site = self.callsite(head.callsite, store);
        let callsite_id = site.id;
        #[cfg(feature = "crash-proof")]
        let context = match is_dead {
            true => site.ids.context_of_dead(fields),
            false => site.ids.context(fields),
        };
        #[cfg(not(feature = "crash-proof"))]
        let context = site.ids.context(fields);
        let status = match &site.roles {
            Some(roles) if head.status != Status::Panicked => {
                let has_failed = StatusHints::in_words(roles, fields)
                    .has_failed(head.status == Status::Error, rules);
                if has_failed { Status::Error } else { Status::Ok }
            }
            _ => head.status,
        };
        let status = row_status(status);
        // A span without entries, whose name counts by entries, has no self time: for example a system's
        // commands. If it has a parent, though, it is what the parent waited for.
        let is_idle = head.entries.count == 0
            && head.parent == 0
            && site.has_calls
            && duration >= LONG_NS
            && busy_time;
        if let Some(context) = context {
            self.knows(head.id, head.root, context);
        }
        SpanRow {
            id: head.id,
            parent_id: head.parent,
            root_id: head.root,
            callsite_id,
            thread_id: self.thread_id(head.thread, store),
            start_ns: start,
            duration_ns: Some(duration),
            busy_ns: times.busy_ns,
            self_ns: own.self_ns.filter(|_| !is_idle),
            self_busy_ns: self_busy,
            entries,
            first_entry_ns: times.first_entry_ns,
            longest_entry_ns: times.longest_entry_ns,
            last_exit_ns: times.last_exit_ns,
            longest_thread_id: times.longest_thread_id,
            status,
            fields: self.fields(head.callsite, fields, head.left_out, None),
        }
    }

    /// When a span began, ended and was entered.
    #[inline(always)]
    fn span_times(&mut self, head: &SpanHead, store: &mut Store) -> (i64, i64, Times) {
        let Entries { count, first, last, longest_thread, .. } = head.entries;
        // Nearly all spans are like this.
        if count == 1
            && longest_thread == head.thread
            && self.recorder.busy_time
            && let Some(moments) = self.timeline.all_ns([head.start, first, last, head.end])
        {
            let [start, first, last, end] = moments;
            let times = Times {
                busy_ns: Some(last - first),
                first_entry_ns: Some(first - start),
                worked_until: last,
                inside_since: first,
                ..Times::default()
            };
            return (start, end, times);
        }
        let end = self.timeline.ns(head.end);
        let start = self.timeline.start_ns(head.start, end);
        // A copy, so that the original can stay in registers in the usual case.
        let head = *head;
        (start, end, self.times(&head, (start, end), store))
    }

    /// When a span that was there from `start` to `end` was entered.
    #[inline(never)]
    fn times(&mut self, head: &SpanHead, (start, end): (i64, i64), store: &mut Store) -> Times {
        let entries = &head.entries;
        let mut times = Times { worked_until: start, inside_since: i64::MAX, ..Times::default() };
        if !self.recorder.busy_time {
            // It is not known when it was left.
            times.worked_until = if entries.count == 0 { start } else { end };
            return times;
        }
        if entries.count == 0 {
            times.busy_ns = Some(0);
            return times;
        }
        // As moments, not as lengths: rounding must not change which of two exits was earlier.
        let last = self.timeline.start_ns(entries.last, end).max(start);
        let first = self.timeline.start_ns(entries.first, last).max(start);
        times.worked_until = last;
        times.first_entry_ns = Some(first - start);
        if entries.count == 1 {
            times.busy_ns = Some(last - first);
            times.inside_since = first;
        } else {
            self.times_again(head, end - start, &mut times);
            times.last_exit_ns = Some(last - start);
        }
        if entries.longest_thread != head.thread {
            times.longest_thread_id = self.thread_id(entries.longest_thread, store);
        }
        times
    }

    /// The same for a span that was entered more than once.
    fn times_again(&self, head: &SpanHead, duration: i64, times: &mut Times) {
        let entries = &head.entries;
        let busy = self.timeline.length_ns(entries.busy);
        // Neither rounding nor a jump of the counter must make a span busier than it lasted.
        let is_one_thread = entries.busy <= head.end.saturating_sub(head.start);
        let is_less = is_one_thread || self.timeline.has_jumped();
        let busy = if is_less { busy.clamp(0, duration) } else { busy };
        let longest = self.timeline.length_ns(entries.longest);
        times.busy_ns = Some(busy);
        times.longest_entry_ns = Some(longest.clamp(0, busy.min(duration)));
    }

    /// The rows of spans that are still open; their fields are appended to `text`. `is_end`: no more
    /// records will come.
    pub(super) fn unfinished<'a>(
        &mut self,
        open: impl IntoIterator<Item = &'a Seen>,
        is_end: bool,
        status: RowStatus,
        store: &mut Store,
        text: &mut String,
    ) -> Vec<SpanRow> {
        self.learn_threads(store);
        self.timeline.renew();
        self.json.begin(std::mem::take(text));
        let now_ns = self.timeline.now_ns();
        let rows = open.into_iter().map(|seen| {
            let head = seen.head();
            let start_ns = self.timeline.start_ns(seen.start, now_ns);
            let so_far = (start_ns, now_ns.max(start_ns));
            let mut times = self.times(&head, so_far, store);
            let entries = match is_end {
                true => self.close_calls(&head, so_far.1 - start_ns, &mut times),
                false => head.entries.count,
            };
            #[cfg(feature = "crash-proof")]
            let is_of_another = self.names.is_some();
            let ids = &self.callsite(seen.callsite, store).ids;
            #[cfg(feature = "crash-proof")]
            let context = match is_of_another {
                true => ids.context_of_dead(&seen.fields),
                false => ids.context(&seen.fields),
            };
            #[cfg(not(feature = "crash-proof"))]
            let context = ids.context(&seen.fields);
            if let Some(context) = context {
                self.knows(seen.id, seen.root, context);
            }
            SpanRow {
                id: seen.id,
                parent_id: seen.parent,
                root_id: seen.root,
                callsite_id: self.callsite(seen.callsite, store).id,
                thread_id: self.thread_id(seen.thread, store),
                start_ns,
                duration_ns: None,
                busy_ns: times.busy_ns,
                self_ns: None,
                self_busy_ns: None,
                entries,
                first_entry_ns: times.first_entry_ns,
                longest_entry_ns: times.longest_entry_ns,
                last_exit_ns: times.last_exit_ns,
                longest_thread_id: times.longest_thread_id,
                status,
                fields: self.fields(seen.callsite, &seen.fields, seen.left_out, None),
            }
        });
        let rows = rows.collect();
        *text = self.json.end();
        rows
    }

    fn take_entry_id(&mut self) -> u64 {
        #[cfg(feature = "crash-proof")]
        if let Some(next) = &mut self.entry_ids {
            *next += 2;
            return *next - 2;
        }
        self.recorder.take_ids(1)
    }

    fn entry(&mut self, entry: &Entry, store: &mut Store) -> EntryRow {
        let end = self.timeline.ns(entry.left);
        let start = self.timeline.start_ns(entry.entered, end);
        let Entry { thread, counts, earlier, .. } = *entry;
        let is_inside = !entry.is_apart && entry.around != 0;
        // Its id is from the same series as those of spans and events, so that old rows of all kinds are
        // deleted together. Nothing refers to it.
        let id = self.take_entry_id();
        let arrived = Arrived { id, thread, start, end, counts, is_inside };
        let self_ns = self.self_times.entry(entry.span, arrived);
        if entry.around != 0 && !entry.counted {
            let inside_ns = end - start;
            let part = Part { thread, start, end, inside_since: start, busy: None, inside_ns };
            self.self_times.add_child(entry.around, part);
        }
        let callsite_id = self.callsite(entry.callsite, store).id;
        if let Some(Some(site)) = self.callsites.get_mut(entry.callsite as usize) {
            site.has_calls |= self_ns.is_some();
        }
        let (mut earlier_entries, mut earlier_ns) = (0, 0);
        if self_ns.is_some() {
            let ticks = entry.left.saturating_sub(entry.entered);
            let known = (earlier.count.saturating_add(1), earlier.busy.saturating_add(ticks));
            let call = Call { id, ticks, ns: end - start, known };
            let Self { self_times, timeline, .. } = self;
            (earlier_entries, earlier_ns) =
                self_times.call(entry.span, call, |ticks| timeline.length_ns(ticks));
        }
        EntryRow {
            id,
            span_id: entry.span,
            callsite_id,
            thread_id: self.thread_id(thread, store),
            start_ns: start,
            duration_ns: end - start,
            around_id: entry.around,
            self_ns,
            earlier_entries,
            earlier_ns,
        }
    }

    fn event(&mut self, head: &EventHead, fields: &[u64], store: &mut Store) -> EventRow {
        let site = self.callsite(head.callsite, store);
        let (callsite_id, skip, origin) = (site.id, site.message, site.origin);
        if let Some(origin) = origin {
            return self.log_event(head, fields, origin, store);
        }
        self.event_from(callsite_id, skip, head, fields, store)
    }

    /// An event that was a record of the `log` crate gets the callsite of its origin.
    #[cold]
    fn log_event(
        &mut self,
        head: &EventHead,
        fields: &[u64],
        origin: Origin,
        store: &mut Store,
    ) -> EventRow {
        let site = known(&self.callsites, &self.unknown, head.callsite);
        let (callsite_id, skip) = (site.id, site.message);
        let mut sites = std::mem::take(&mut self.log_sites);
        let found = sites.find(origin, head.callsite, fields, store);
        self.unplaced += u64::from(found.is_none());
        let (callsite_id, fields) = found.unwrap_or((callsite_id, fields));
        let row = self.event_from(callsite_id, skip, head, fields, store);
        self.log_sites = sites;
        row
    }

    #[inline]
    fn event_from(
        &mut self,
        callsite_id: i64,
        skip: Option<usize>,
        head: &EventHead,
        fields: &[u64],
        store: &mut Store,
    ) -> EventRow {
        let start = self.json.position();
        if let Some(index) = skip
            && let Some(field) = Fields::new(fields).find(|field| field.index == index)
        {
            let secrecy = known(&self.callsites, &self.unknown, head.callsite).keys.secrecy(index);
            self.json.push_plain(field.value, secrecy, field.is_cut());
        }
        let message = start..self.json.position();
        EventRow {
            id: head.id,
            span_id: head.span,
            callsite_id,
            thread_id: self.thread_id(head.thread, store),
            at_ns: self.timeline.ns(head.at),
            message,
            fields: self.fields(head.callsite, fields, head.left_out, skip),
        }
    }

    /// Writes the JSON of fields, without the one at index `skip`.
    #[inline(always)]
    fn fields(
        &mut self,
        callsite: u32,
        words: &[u64],
        left_out: bool,
        skip: Option<usize>,
    ) -> Range<usize> {
        let start = self.json.position();
        if words.is_empty() && !left_out {
            return start..start;
        }
        self.some_fields(callsite, words, left_out, skip)
    }

    #[inline(never)] // so that `scripts/writer_cost.sh` finds it
    fn some_fields(
        &mut self,
        callsite: u32,
        words: &[u64],
        left_out: bool,
        skip: Option<usize>,
    ) -> Range<usize> {
        let start = self.json.position();
        let keys = &known(&self.callsites, &self.unknown, callsite).keys;
        self.cut += u64::from(self.json.push_object(keys, words, left_out, skip));
        start..self.json.position()
    }

    /// What is known of a callsite.
    #[inline(always)]
    fn callsite(&mut self, number: u32, store: &mut Store) -> &Callsite {
        if !matches!(self.callsites.get(number as usize), Some(Some(_))) {
            self.learn_callsites(number, store);
        }
        known(&self.callsites, &self.unknown, number)
    }

    /// Learns this callsite, and all others that were registered meanwhile.
    #[cold]
    fn learn_callsites(&mut self, number: u32, store: &mut Store) {
        let known = self.callsites.len();
        #[cfg(feature = "crash-proof")]
        if let Some(names) = &self.names {
            let site = names.callsites.get(&number).map(DeadCallsite::described);
            let site = site.map(|site| Callsite::new(&site, store, &self.redaction));
            self.callsites.resize_with(known.max(number as usize + 1), || None);
            self.callsites[number as usize] = site;
            return;
        }
        let all = self.recorder.callsites.len();
        self.callsites.resize_with(all.max(known), || None);
        for index in (known..all).chain([number as usize]) {
            // A callsite that is just being registered has no record yet, and is learned with its first
            // one.
            let metadata = u32::try_from(index).ok();
            let metadata = metadata.and_then(|number| self.recorder.callsites.metadata(number));
            if let (Some(metadata), Some(place)) = (metadata, self.callsites.get_mut(index)) {
                let site = Described::of(metadata);
                *place = Some(Callsite::new(&site, store, &self.redaction));
            }
        }
    }

    /// The database id of a thread.
    #[inline(always)]
    pub(super) fn thread_id(&mut self, number: u32, store: &mut Store) -> i64 {
        if number <= self.threads_before_rotation.before {
            self.threads_before_rotation.meet(number, store);
        }
        store.thread_id(number)
    }
}

/// Looks through the records of a batch, and of the next one, for late children.
struct LateChildren<'a> {
    recorder: &'a Recorder,
    timeline: &'a Timeline,
    self_times: &'a mut SelfTimes,
    closed: &'a mut ClosedSpans,
    left: &'a mut IdTable<u64>,
    /// Spans of the batch that count by entries, which come after them from other threads.
    counting: Vec<u64>,
    pieces: Vec<Pieces>,
}

/// A child that comes after its parent, and was inside it in more than one piece, or has entries that
/// were recorded: the time of those entries has to be subtracted.
#[derive(Debug, Clone, Copy)]
struct Pieces {
    id: u64,
    parent: u64,
    /// The time inside that it says itself.
    ticks: u64,
}

/// Adds to the parents the time that such children were inside them, without the entries that have been
/// converted or are in `raw`.
#[cold]
fn take_pieces_off(
    pieces: &[Pieces],
    timeline: &Timeline,
    self_times: &mut SelfTimes,
    raw: [&mut RawBatch; 2],
) {
    let mut recorded: HashMap<u64, i64> =
        pieces.iter().map(|piece| (piece.id, self_times.recorded_ns(piece.id))).collect();
    for batch in raw {
        let take_off = |words: &mut [u64]| {
            if let Some((id, entered, left)) = record::entry_inside(words)
                && let Some(recorded) = recorded.get_mut(&id)
            {
                let end = timeline.ns(left);
                *recorded += end - timeline.start_ns(entered, end);
            }
        };
        // Nothing is drained meanwhile: new records would not have been looked at.
        batch.for_each_mut(take_off, || {});
    }
    for Pieces { id, parent, ticks } in pieces {
        self_times.add_busy(*parent, timeline.length_ns(*ticks) - recorded[id]);
    }
}

impl LateChildren<'_> {
    /// Looks at a record of the batch.
    #[inline(always)]
    fn meet(&mut self, words: &mut [u64]) {
        match record::parent_ids(words) {
            Some(ParentIds { is_entry: false, id, parent }) => {
                self.closed.insert(id);
                self.self_times.expect_span(id);
                if self.may_be_late(parent) {
                    self.look(words);
                }
            }
            Some(_) => self.meet_entry(words),
            None => {}
        }
    }

    /// Looks at a record of the next batch.
    #[inline(always)]
    fn meet_next(&mut self, words: &mut [u64]) {
        let Some(ParentIds { is_entry, id, parent }) = record::parent_ids(words) else { return };
        if !is_entry {
            self.self_times.expect_span(id);
        }
        if is_entry || self.may_be_late(parent) {
            self.look(words);
        }
    }

    /// False for nearly all.
    #[inline(always)]
    fn may_be_late(&self, parent: u64) -> bool {
        parent != 0 && (self.closed.may_contain(parent) || !self.left.is_empty())
    }

    #[inline(never)]
    fn meet_entry(&mut self, words: &mut [u64]) {
        if let Some(parent_link) = record::parent_link(words) {
            let left = self.left.entry(by_thread(parent_link.id, parent_link.thread));
            *left = parent_link.end.max(*left);
        }
        self.look(words);
    }

    /// Subtracts the time of a record from its parent, if the parent comes before it.
    #[inline(never)]
    fn look(&mut self, words: &mut [u64]) {
        let Self { recorder, timeline, self_times, closed, left, counting, pieces } = self;
        let Some(parent_link) = record::parent_link(words) else { return };
        let ParentLink { id, parent, thread, start, end, .. } = parent_link;
        if parent_link.is_entry && closed.may_contain(id) {
            let counts = parent_link.counts();
            let left = timeline.ns(end);
            let ns = left - timeline.start_ns(start, left);
            let ticks = end.saturating_sub(start);
            let inside_ns = if parent_link.is_inside_parent() { ns } else { 0 };
            self_times.expect_late(id, counts, EntrySum { count: 1, ticks, ns }, inside_ns);
            counting.extend(counts.then_some(id));
        }
        if parent == 0 {
            return;
        }
        let is_one_piece = parent_link.is_one_piece();
        // What has to be known about a span that counts by its entries does not depend on its lifetime,
        // nor does the time of a child that was entered several times.
        let is_late =
            closed.may_contain(parent) && (is_one_piece || !self_times.counts_by_entries(parent));
        let mut was_left =
            || left.get_mut(by_thread(parent, thread)).is_some_and(|it| parent_link.left() <= *it);
        if !(is_late || is_one_piece && was_left()) {
            return;
        }
        let counts = !parent_link.is_entry && self_times.counts_by_entries(id);
        let is_plain = parent_link.is_entry
            || is_one_piece && !counts && !recorder.records_all(parent_link.callsite());
        if !is_plain {
            let ticks = parent_link.busy_inside();
            pieces.push(Pieces { id, parent, ticks });
        }
        if !counts {
            let closed = timeline.ns(end);
            let start = timeline.start_ns(start, closed);
            let end = timeline.start_ns(parent_link.left(), closed).max(start);
            let inside = parent_link.inside();
            let inside_since =
                inside.map_or(i64::MAX, |(since, _)| timeline.start_ns(since, end).max(start));
            let thread = inside.map_or(thread, |(_, thread)| thread);
            let inside_ns = if is_plain { (end - inside_since).max(0) } else { 0 };
            let busy = (!is_one_piece).then_some(0);
            let part = Part { thread, start, end, inside_since, busy, inside_ns };
            self_times.add_child(parent, part);
        }
        parent_link.set_counted();
    }
}

fn row_status(status: Status) -> RowStatus {
    match status {
        Status::Ok => RowStatus::Ok,
        Status::Error => RowStatus::Error,
        Status::Panicked => RowStatus::Panicked,
        Status::Unfinished => RowStatus::Unfinished,
    }
}

/// A span and a thread as one key. With more than 65,536 threads some share their keys.
fn by_thread(id: u64, thread: u32) -> u64 {
    record::id_and(id, thread as u16)
}

#[inline(always)]
fn known<'a>(all: &'a [Option<Callsite>], unknown: &'a Callsite, number: u32) -> &'a Callsite {
    match all.get(number as usize) {
        Some(Some(callsite)) => callsite,
        _ => unknown,
    }
}

/// Threads that the present file may not know: they ended before it was begun, or so many were made
/// while the store refused that not all were remembered.
#[derive(Debug, Default)]
struct ThreadsBeforeRotation {
    /// Threads with larger numbers were registered later.
    before: u32,
    /// Those that the file was told about lately. Telling it again changes nothing.
    known: HashSet<u32>,
}

/// How many of them are remembered.
const KNOWN_MAX: usize = 65_536;

impl ThreadsBeforeRotation {
    /// Remembers it; returns whether it is new.
    fn know(&mut self, number: u32) -> bool {
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(number)
    }

    /// A span of such a thread is stored: it has closed only now.
    #[cold]
    fn meet(&mut self, number: u32, store: &mut Store) {
        if !self.known.contains(&number) && self.know(number) {
            store.intern_thread(number, 0, None);
        }
    }
}

fn describe(site: &Described<'_>) -> CallsiteInfo {
    CallsiteInfo {
        kind: if site.is_span { CallsiteKind::Span } else { CallsiteKind::Event },
        name: site.name.to_owned(),
        target: site.target.to_owned(),
        level: site.level,
        module: site.module.map(str::to_owned),
        file: site.file.map(str::to_owned),
        line: site.line,
    }
}
