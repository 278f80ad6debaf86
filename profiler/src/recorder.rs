//! What every front end does with a span: the core between `tracing`'s callbacks and the ring.
//!
//! Nothing here takes a lock, allocates or calls the system after a thread's first span (and before
//! its locals are destroyed); every loop is bounded. A field's `Debug` runs before anything of the
//! ring is claimed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use spandrel_ring::{ClaimError, Consumer, Ring};
use spandrel_storage::Status;
use tracing_core::span::{Attributes, Record};
use tracing_core::{Event, Level, LevelFilter, Metadata};

use crate::callsites::Callsites;
use crate::clock::Clock;
use crate::counters::{Counters, Kind};
use crate::fields::FieldBuffer;
use crate::late::Late;
use crate::local::{self, Detailed, Entered, Hot, NO_OWNER, Unavailable};
use crate::mutex::Mutex;
use crate::open_spans::{DIRECT, INLINE_WORDS, NewSpan, OpenSpan, OpenSpans, Place};
use crate::record::{
    self, ClosingSpan, EVENT_WORDS, EventHead, Link, SLOT_WORDS, SPAN_WORDS_WIDE, Slot, slots,
};
use crate::stats::DropReason;
use crate::threads::Threads;

/// Finds the key of a span's nearest ancestor that was not filtered out for a front end.
pub(crate) type FindAncestor<'a> = &'a dyn Fn() -> Option<u64>;

/// A recording: everything that application threads and the writer share.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Tells the recordings of this process apart.
    pub(crate) id: u64,
    /// `id` while the quick paths of [`fast`](crate::fast) may be taken, else `NO_OWNER`.
    quick_owner: AtomicU64,
    pub(crate) clock: Clock,
    pub(crate) ring: Ring<Slot>,
    pub(crate) counters: Counters,
    pub(crate) open: OpenSpans,
    pub(crate) callsites: Callsites,
    pub(crate) threads: Threads,
    /// The first id that no thread has taken.
    next_id: AtomicU64,
    /// The number of the next layer.
    next_layer: AtomicU64,
    events: LevelFilter,
    /// Whether the time inside spans is measured.
    pub(crate) busy_time: bool,
    /// Most words of fields of one span or event.
    pub(crate) field_words_max: usize,
    /// Whether the database does not take what it is given: a full ring is then its fault.
    pub(crate) degraded: AtomicBool,
    /// What is left of the recording once its writer has ended.
    pub(crate) late: Mutex<Option<Late>>,
}

/// The sizes of a [`Recorder`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecorderOptions {
    pub(crate) ring_capacity: usize,
    pub(crate) partitions: usize,
    pub(crate) open_spans_max: usize,
    pub(crate) field_bytes_max: usize,
    pub(crate) events: LevelFilter,
    pub(crate) busy_time: bool,
    /// The first id that is free in the file.
    pub(crate) first_id: u64,
}

impl Recorder {
    pub(crate) fn new(options: &RecorderOptions) -> (Arc<Self>, Consumer<Slot>) {
        static RECORDERS: AtomicU64 = AtomicU64::new(1);
        let (ring, consumer) = Ring::new(spandrel_ring::RingOptions {
            capacity: options.ring_capacity,
            partitions: options.partitions,
        });
        // A record must fit half of the smallest partition, or it might never find room.
        let record_words = (ring.claim_max() / 2).max(1) * SLOT_WORDS;
        let field_words_max =
            (options.field_bytes_max / 8).min(record_words.saturating_sub(SPAN_WORDS_WIDE));
        let partitions = consumer.partitions();
        // Relaxed: only has to differ.
        let id = RECORDERS.fetch_add(1, Ordering::Relaxed);
        let clock = Clock::start();
        // The quick paths read the time-stamp counter, and use all words of a place, without asking.
        let is_quick = clock.is_tsc() && field_words_max >= INLINE_WORDS;
        let recorder = Self {
            id,
            quick_owner: AtomicU64::new(if is_quick { id } else { NO_OWNER }),
            clock,
            ring,
            counters: Counters::new(partitions),
            open: OpenSpans::new(options.open_spans_max, field_words_max),
            callsites: Callsites::new(),
            threads: Threads::default(),
            next_id: AtomicU64::new(options.first_id.max(1)),
            next_layer: AtomicU64::new(0),
            events: options.events,
            busy_time: options.busy_time,
            field_words_max,
            degraded: AtomicBool::new(false),
            late: Mutex::new(None),
        };
        (Arc::new(recorder), consumer)
    }

    pub(crate) fn take_ids(&self, n: u64) -> u64 {
        // Relaxed: only has to be unique and to grow.
        self.next_id.fetch_add(n, Ordering::Relaxed)
    }

    /// What `OWNER` of a thread is for which the quick paths are open.
    #[inline(always)]
    pub(crate) fn quick_owner(&self) -> u64 {
        // Relaxed: as in `Ring::close`.
        self.quick_owner.load(Ordering::Relaxed)
    }

    /// The moment of an entry or exit: 0 where busy time is not measured.
    fn poll_ticks(&self) -> u64 {
        if self.busy_time { self.clock.ticks() } else { 0 }
    }

    /// Refuses all later records.
    pub(crate) fn close_ring(&self) {
        // Relaxed: who has not seen it yet still publishes, see `Ring::close` and `Late`.
        self.quick_owner.store(NO_OWNER, Ordering::Relaxed);
        self.ring.close();
    }

    /// A number for a front end, by which it knows its own spans. The first one has 0 and the quick
    /// paths. If it is `direct`, the keys of its spans are those that it got from
    /// [`new_span_slowly`](Self::new_span_slowly).
    pub(crate) fn next_layer(&self, direct: bool) -> u16 {
        // Relaxed: only has to differ. After 32,767 layers numbers from 1 on come round again; two
        // layers of one number are told apart by the keys of their spans, unless they sit on
        // different registries.
        match self.next_layer.fetch_add(1, Ordering::Relaxed) {
            0 => {
                if direct {
                    self.open.set_first_direct();
                }
                0
            }
            n => (((n - 1) % u64::from(DIRECT - 1)) as u16 + 1) | if direct { DIRECT } else { 0 },
        }
    }

    /// Counts something that is dropped before it was published.
    #[cold]
    pub(crate) fn drop_one(&self, kind: Kind, reason: DropReason) {
        self.counters.shared().drop_one(kind, reason);
    }

    /// Counts what is lost because a callback was called from inside another one.
    #[cold]
    #[inline(never)]
    fn drop_reentrant(&self, kind: Kind, why: Unavailable) {
        if why == Unavailable::Reentrant {
            self.drop_one(kind, DropReason::Reentrant);
        }
    }

    /// A span is created: the general case. Returns its key, if it is recorded: `key`, or one that
    /// is made up if the layer is a direct one.
    #[inline(never)]
    pub(crate) fn new_span_slowly(
        self: &Arc<Self>,
        layer: u16,
        key: u64,
        attributes: &Attributes<'_>,
        ancestor: FindAncestor<'_>,
    ) -> Option<u64> {
        match local::get(self) {
            Ok(hot) => self.new_span_in(hot, layer, key, attributes, ancestor),
            Err(why) => {
                self.drop_reentrant(Kind::Span, why);
                None
            }
        }
    }

    #[inline(always)]
    fn new_span_in(
        &self,
        hot: Hot,
        layer: u16,
        key: u64,
        attributes: &Attributes<'_>,
        ancestor: FindAncestor<'_>,
    ) -> Option<u64> {
        if self.ring.is_closed() {
            self.drop_one(Kind::Span, DropReason::AlreadyShutdown);
            return None;
        }
        let metadata = attributes.metadata();
        let Some(callsite) = self.callsites.number(metadata) else {
            self.drop_one(Kind::Span, DropReason::CallsitesFull);
            return None;
        };
        // Before the fields: what the thread owns holds a part of a very deep chain, too.
        let (parent, root) = if attributes.is_contextual() {
            self.parent(hot, layer)
        } else {
            self.explicit_parent(hot, layer, attributes, ancestor)
        };
        let origin = Origin { layer, origin: record::id_and(parent, callsite), root };
        if metadata.fields().is_empty() {
            return self.insert_span(hot, key, origin, &[], false);
        }
        let inserted = local::with_cold(|cold| {
            let fields = &mut cold.fields;
            fields.clear(self.field_words_max);
            hot.in_user_code(|| attributes.record(fields));
            let (words, left_out) = (fields.words(), fields.has_left_out());
            self.insert_span(hot, key, origin, words, left_out)
        });
        inserted.unwrap_or_else(|| self.insert_span_of_ending_thread(hot, key, origin, attributes))
    }

    #[cold]
    #[inline(never)]
    fn insert_span_of_ending_thread(
        &self,
        hot: Hot,
        key: u64,
        origin: Origin,
        attributes: &Attributes<'_>,
    ) -> Option<u64> {
        let mut fields = FieldBuffer::new(self.field_words_max);
        hot.in_user_code(|| attributes.record(&mut fields));
        let (words, left_out) = (fields.words(), fields.has_left_out());
        self.insert_span(hot, key, origin, words, left_out)
    }

    fn insert_span(
        &self,
        hot: Hot,
        key: u64,
        origin: Origin,
        fields: &[u64],
        left_out: bool,
    ) -> Option<u64> {
        let Origin { layer, origin, root } = origin;
        let start = self.clock.ticks();
        let id = hot.next_id(self, start);
        let root = if root == 0 { id } else { root };
        let new = NewSpan { thread: hot.thread(), id, root, start };
        let inserted = if self.open.is_direct(layer) {
            let kept = hot.take_place(&self.open).map(|(place, _)| place);
            let place = kept.or_else(|| self.open.take_place());
            place.map(|place| (place, self.open.insert_at(place, layer, origin, &new, fields)))
        } else {
            self.open.insert(layer, key, origin, &new, fields).map(|place| (place, key))
        };
        let Some((place, key)) = inserted else {
            self.drop_one(Kind::Span, DropReason::OpenSpansFull);
            return None;
        };
        if left_out {
            self.open.span(place).set_left_out();
        }
        hot.set_last_place(place);
        Some(key)
    }

    /// Ids of the contextual parent and its root, 0 for none.
    pub(crate) fn parent(&self, hot: Hot, layer: u16) -> (u64, u64) {
        hot.current(&self.open, layer).map_or((0, 0), |span| (span.id(), span.root()))
    }

    /// Ids of parent and root of a span that names its parent, or has none.
    #[inline(never)]
    fn explicit_parent(
        &self,
        hot: Hot,
        layer: u16,
        attributes: &Attributes<'_>,
        ancestor: FindAncestor<'_>,
    ) -> (u64, u64) {
        attributes
            .parent()
            .and_then(|parent| self.find_or_ancestor(hot, layer, parent.into_u64(), ancestor))
            .map_or((0, 0), |span| (span.id(), span.root()))
    }

    /// An open span, or the nearest recorded ancestor of one that was filtered out.
    fn find_or_ancestor(
        &self,
        hot: Hot,
        layer: u16,
        key: u64,
        ancestor: FindAncestor<'_>,
    ) -> Option<&OpenSpan> {
        let found = hot.find(&self.open, layer, key);
        found.or_else(|| hot.find(&self.open, layer, ancestor()?)).map(|(_, span)| span)
    }

    /// The span of a direct layer that the thread is in: its key and callsite.
    pub(crate) fn current(&self, layer: u16) -> Option<(u64, &'static Metadata<'static>)> {
        let span = local::look(self)?.current(&self.open, layer)?;
        let metadata = self.callsites.metadata(record::upper_of(span.origin()))?;
        Some((self.open.key(layer, span), metadata))
    }

    /// There is one more handle of a span of a direct layer.
    pub(crate) fn add_handle(&self, layer: u16, key: u64) {
        if let Some((place, _)) = self.open.find(layer, key) {
            self.open.add_handle(place);
        }
    }

    /// A handle of a span of a direct layer is dropped: the general case. Says whether it was the
    /// last one; the span is closed then.
    #[inline(never)]
    pub(crate) fn drop_handle_slowly(self: &Arc<Self>, layer: u16, key: u64) -> bool {
        let Some((place, span)) = self.open.find(layer, key) else { return false };
        if span.is_cloned() && !self.open.drop_handle(place) {
            return false;
        }
        self.close_slowly(layer, key);
        true
    }

    /// A thread enters a span: the general case.
    #[inline(never)]
    pub(crate) fn enter_slowly(self: &Arc<Self>, layer: u16, key: u64) {
        // A callback inside another one is ignored: its span goes on without this poll. There is
        // nothing to count, the span itself is not lost.
        let Ok(hot) = local::get(self) else { return };
        let Some((place, span)) = hot.find(&self.open, layer, key) else { return };
        if span.is_owned_by(hot.thread()) {
            if span.own_enter(|| self.poll_ticks()) {
                match layer {
                    0 => hot.push_own(place, span),
                    _ => hot.push_detailed(Detailed::new(layer, key, place, 0)),
                }
            }
        } else if let Some(Entered::Detailed(index, mut again)) =
            hot.entered(&self.open, layer, key)
        {
            again.depth = again.depth.saturating_add(1);
            hot.update(index, again);
        } else {
            span.begin_foreign_poll();
            hot.push_detailed(Detailed::new(layer, key, place, self.poll_ticks()));
        }
    }

    /// A thread leaves a span: the general case.
    #[inline(never)]
    pub(crate) fn exit_slowly(self: &Arc<Self>, layer: u16, key: u64) {
        // As in `enter`.
        let Ok(hot) = local::get(self) else { return };
        let Some(entered) = hot.entered(&self.open, layer, key) else {
            // The span may have been closed since, on another thread or inside another callback.
            if let Some((closed, place)) = hot.closed(&self.open) {
                hot.leave(&self.open, closed);
                self.open.remove(place);
            }
            return;
        };
        let place = match entered {
            Entered::Own(place) | Entered::Detailed(_, Detailed { place, .. }) => place,
        };
        let span = self.open.span(place);
        if !span.is(layer, key) {
            return hot.leave(&self.open, entered); // closed, as above
        }
        hot.set_last_place(place);
        if span.is_owned_by(hot.thread()) {
            if !span.own_exit(|| self.poll_ticks()) {
                return;
            }
        } else if let Entered::Detailed(index, mut detailed) = entered {
            if detailed.depth > 1 {
                detailed.depth -= 1;
                return hot.update(index, detailed);
            }
            span.end_foreign_poll(self.poll_ticks().saturating_sub(detailed.since));
        }
        hot.leave(&self.open, entered);
    }

    /// Fields are recorded into an open span.
    pub(crate) fn record(self: &Arc<Self>, layer: u16, key: u64, values: &Record<'_>) {
        let hot = match local::get(self) {
            Ok(hot) => hot,
            Err(why) => {
                if why == Unavailable::Reentrant
                    && let Some((_, span)) = self.open.find(layer, key)
                {
                    // From inside another callback: the span goes on, marked as incomplete.
                    span.set_left_out();
                }
                return;
            }
        };
        let Some((place, span)) = hot.find(&self.open, layer, key) else { return };
        let record = |fields: &mut FieldBuffer| {
            fields.clear(self.open.field_room(place));
            hot.in_user_code(|| values.record(fields));
            // The values' own code may have closed the span meanwhile.
            if !span.is(layer, key) {
                return;
            }
            self.open.record_fields(place, fields.words());
            if fields.has_left_out() {
                span.set_left_out();
            }
        };
        if local::with_cold(|cold| record(&mut cold.fields)).is_none() {
            record(&mut FieldBuffer::new(self.field_words_max));
        }
    }

    /// A span follows from another one.
    pub(crate) fn follows_from(self: &Arc<Self>, layer: u16, key: u64, follows: u64) {
        let both = self.open.find(layer, key).zip(self.open.find(layer, follows));
        let Some(((_, span), (_, follows))) = both else { return };
        if let Err(why) = local::get(self) {
            return self.drop_reentrant(Kind::Link, why);
        }
        let [header, span, follows] = Link { span: span.id(), follows: follows.id() }.words();
        self.publish(Kind::Link, 1, |_| [header, span, follows, 0, 0, 0, 0]);
    }

    /// Something happens.
    #[inline]
    pub(crate) fn event(
        self: &Arc<Self>,
        layer: u16,
        event: &Event<'_>,
        ancestor: FindAncestor<'_>,
    ) {
        let level = *event.metadata().level();
        let kept = level <= self.events;
        if !kept && level != Level::ERROR {
            return;
        }
        match local::get(self) {
            Ok(hot) => self.event_in(hot, layer, event, kept, ancestor),
            Err(why) if kept => self.drop_reentrant(Kind::Event, why),
            Err(_) => {}
        }
    }

    fn event_in(
        &self,
        hot: Hot,
        layer: u16,
        event: &Event<'_>,
        kept: bool,
        ancestor: FindAncestor<'_>,
    ) {
        let span = if event.is_contextual() {
            hot.current(&self.open, layer)
        } else {
            let parent = event.parent().map(|parent| parent.into_u64());
            parent.and_then(|key| self.find_or_ancestor(hot, layer, key, ancestor))
        };
        if *event.metadata().level() == Level::ERROR
            && let Some(span) = span
        {
            span.set_failed();
        }
        if !kept {
            return;
        }
        let span = span.map_or(0, OpenSpan::id);
        let published =
            local::with_cold(|cold| self.publish_event(hot, &mut cold.fields, span, event));
        if published.is_none() {
            let mut fields = FieldBuffer::new(self.field_words_max);
            self.publish_event(hot, &mut fields, span, event);
        }
    }

    fn publish_event(&self, hot: Hot, fields: &mut FieldBuffer, span: u64, event: &Event<'_>) {
        let metadata: &'static Metadata<'static> = event.metadata();
        let Some(callsite) = self.callsites.number(metadata) else {
            return self.drop_one(Kind::Event, DropReason::CallsitesFull);
        };
        let at = self.clock.ticks();
        fields.clear(self.field_words_max);
        hot.in_user_code(|| event.record(fields));
        let id = hot.next_id(self, at);
        let (thread, left_out) = (hot.thread(), fields.has_left_out());
        let head = EventHead { callsite, thread, left_out, id, span, at };
        let words = fields.words();
        let mut all = head.words(words.len()).into_iter().chain(words.iter().copied());
        self.publish(Kind::Event, slots(EVENT_WORDS + words.len()), |_| {
            std::array::from_fn(|_| all.next().unwrap_or(0))
        });
    }

    /// A span closes: the general case.
    #[inline(never)]
    pub(crate) fn close_slowly(self: &Arc<Self>, layer: u16, key: u64) {
        // Also from inside another callback: the span is over.
        let hot = local::get(self).ok();
        let found = match hot {
            Some(hot) => hot.find(&self.open, layer, key),
            None => self.open.find(layer, key),
        };
        let Some((place, span)) = found else { return };
        self.publish_closed(place, span, self.clock.ticks());
        if let Some(hot) = hot.filter(|hot| span.is_owned_by(hot.thread()))
            && let Some(entered) = hot.entered(&self.open, layer, key)
        {
            // Its own thread is inside.
            hot.leave(&self.open, entered);
        }
        self.open.close(place, hot.map_or(0, Hot::thread));
    }

    fn publish_closed(&self, place: Place, span: &OpenSpan, end: u64) {
        let field_words = span.field_words();
        let (words, n) = closing(span, end).words(field_words);
        let fields = (0..field_words)
            .step_by(SLOT_WORDS)
            .flat_map(|index| self.open.fields_at(span, index))
            .take(field_words);
        let mut words = words[..n].iter().copied().chain(fields);
        let published = self.try_publish(Kind::Span, slots(n + field_words), |_| {
            std::array::from_fn(|_| words.next().unwrap_or(0))
        });
        if let Err(refused) = published
            // A writer that is closing may have stored this span as unfinished already.
            && (refused.error != ClaimError::Closed
                || self.open.decide_fate(place, span.id()))
        {
            self.drop_refused(Kind::Span, refused);
        }
    }

    /// Publishes one record and counts it, or counts it as dropped.
    fn publish(&self, kind: Kind, slots: usize, value: impl FnMut(usize) -> Slot) {
        if let Err(refused) = self.try_publish(kind, slots, value) {
            self.drop_refused(kind, refused);
        }
    }

    /// Publishes one record and counts it.
    ///
    /// A thread whose own partition is full goes on in the shared one, so that the whole ring is
    /// there for whoever needs it.
    fn try_publish(
        &self,
        kind: Kind,
        slots: usize,
        mut value: impl FnMut(usize) -> Slot,
    ) -> Result<(), Refused> {
        let class = kind as usize;
        let own = local::with_lease(|lease| {
            (lease.partition(), lease.try_publish(class, slots, &mut value))
        });
        let shared = self.ring.shared_partition();
        // What is lost is counted where the thread is known.
        let partition = match own {
            Some((_, Ok(()))) => return Ok(()),
            Some((partition, Err(ClaimError::Full))) => partition,
            Some((partition, Err(error))) => return Err(Refused { partition, error }),
            None => shared,
        };
        let mut claim = self.ring.try_claim(slots).map_err(|error| Refused { partition, error })?;
        for index in 0..slots {
            *claim.slot(index) = value(index);
        }
        claim.publish_as(class);
        Ok(())
    }

    #[cold]
    fn drop_refused(&self, kind: Kind, refused: Refused) {
        let reason = match refused.error {
            ClaimError::Closed => DropReason::AlreadyShutdown,
            ClaimError::Contended => DropReason::Contended,
            // Relaxed: a hint to the reason; the writer sets it long before the ring is full.
            _ if self.degraded.load(Ordering::Relaxed) => DropReason::StoreError,
            _ => DropReason::RingFull,
        };
        self.counters.partition(refused.partition).drop_one(kind, reason);
    }
}

/// What is written of a span that closes.
fn closing(span: &OpenSpan, end: u64) -> ClosingSpan {
    let status = if std::thread::panicking() {
        Status::Panicked
    } else if span.is_failed() {
        Status::Error
    } else {
        Status::Ok
    };
    ClosingSpan {
        thread: span.owner(),
        origin: span.origin(),
        status,
        left_out: span.has_left_out(),
        id: span.id(),
        root: span.root(),
        start: span.start(),
        end,
        busy: span.busy(end),
        polls: span.polls(),
    }
}

/// Where a new span comes from.
#[derive(Debug, Clone, Copy)]
struct Origin {
    layer: u16,
    /// Callsite and parent, as in the [`record`].
    origin: u64,
    /// An id, 0 for the span's own.
    root: u64,
}

/// A record that a partition did not take.
#[derive(Debug, Clone, Copy)]
struct Refused {
    partition: usize,
    error: ClaimError,
}
