//! What every front end does with a span: the core between `tracing`'s callbacks and the ring.
//!
//! Nothing here takes a lock, allocates or calls the system after a thread's first span (and before
//! its locals are destroyed); every loop is bounded. A field's `Debug` runs before anything is claimed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use spandrel_ring::{Claim, ClaimError, Consumer, Lease, Ring};
use spandrel_storage::Status;
use tracing_core::span::{Attributes, Record};
use tracing_core::{Event, Level, LevelFilter, Metadata};

use crate::callsites::Callsites;
use crate::clock::Clock;
use crate::counters::{Counters, Kind};
use crate::late::Late;
use crate::local::{self, Entered, Local, Unavailable};
use crate::open_spans::{NewSpan, OpenSpans, Place};
use crate::record::{
    EVENT_WORDS, EventHead, Link, SLOT_WORDS, SPAN_WORDS, SPAN_WORDS_WIDE, Slot, SpanHead, slots,
};
use crate::stats::DropReason;
use crate::threads::Threads;

/// A recording: everything that application threads and the writer share.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Tells the recordings of this process apart.
    pub(crate) id: u64,
    pub(crate) clock: Clock,
    pub(crate) ring: Ring<Slot>,
    pub(crate) counters: Counters,
    pub(crate) open: OpenSpans,
    pub(crate) callsites: Callsites,
    pub(crate) threads: Threads,
    /// The first id that no thread has taken.
    next_id: AtomicU64,
    /// The number of the next layer, from 1.
    next_layer: AtomicU64,
    events: LevelFilter,
    /// Most words of fields of one span or event.
    pub(crate) field_words_max: usize,
    /// Whether the database does not take what it is given: a full ring is then its fault.
    pub(crate) degraded: AtomicBool,
    /// Threads that record although their locals are destroyed, by number, while they are inside a
    /// span.
    pub(crate) leaving: Mutex<HashMap<u32, Local>>,
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
        let recorder = Self {
            // Relaxed: only has to differ.
            id: RECORDERS.fetch_add(1, Ordering::Relaxed),
            clock: Clock::start(),
            ring,
            counters: Counters::new(partitions),
            open: OpenSpans::new(options.open_spans_max, field_words_max),
            callsites: Callsites::new(),
            threads: Threads::default(),
            next_id: AtomicU64::new(options.first_id.max(1)),
            next_layer: AtomicU64::new(1),
            events: options.events,
            field_words_max,
            degraded: AtomicBool::new(false),
            leaving: Mutex::default(),
            late: Mutex::new(None),
        };
        (Arc::new(recorder), consumer)
    }

    pub(crate) fn take_ids(&self, n: u64) -> u64 {
        // Relaxed: only has to be unique and to grow.
        self.next_id.fetch_add(n, Ordering::Relaxed)
    }

    /// A number for a front end, by which it knows its own spans.
    pub(crate) fn next_layer(&self) -> u16 {
        // Relaxed: only has to differ. After 65,534 layers numbers come round again; two layers of
        // one number are told apart by the keys of their spans, unless they sit on different
        // registries.
        (self.next_layer.fetch_add(1, Ordering::Relaxed) % 0xFFFF) as u16 + 1
    }

    /// Counts something that is dropped before it was published.
    #[cold]
    fn drop_one(&self, kind: Kind, reason: DropReason) {
        self.counters.shared().drop_one(kind, reason);
    }

    #[cold]
    fn drop_unavailable(&self, kind: Kind, why: Unavailable) {
        match why {
            Unavailable::Reentrant | Unavailable::Gone => {
                self.drop_one(kind, DropReason::Reentrant);
            }
            Unavailable::Muted => {}
        }
    }

    /// Runs `f` with the thread's state, or, on a thread that is ending, with one that outlives it.
    #[inline]
    fn with_local(self: &Arc<Self>, f: impl Fn(&mut Local)) -> Result<(), Unavailable> {
        match local::with(self, &f) {
            Err(Unavailable::Gone) => local::with_leaving(self, f),
            result => result,
        }
    }

    /// A span is created.
    #[inline]
    pub(crate) fn new_span(self: &Arc<Self>, layer: u16, key: u64, attributes: &Attributes<'_>) {
        let result = self.with_local(|local| self.new_span_in(local, layer, key, attributes));
        if let Err(why) = result {
            self.drop_unavailable(Kind::Span, why);
        }
    }

    #[inline]
    fn new_span_in(&self, local: &mut Local, layer: u16, key: u64, attributes: &Attributes<'_>) {
        if self.ring.is_closed() {
            return self.drop_one(Kind::Span, DropReason::AlreadyShutdown);
        }
        let metadata = attributes.metadata();
        let Some(callsite) = self.callsites.number(metadata) else {
            return self.drop_one(Kind::Span, DropReason::CallsitesFull);
        };
        local.fields.clear(self.field_words_max);
        if !metadata.fields().is_empty() {
            attributes.record(&mut local.fields);
        }
        let (parent, root) = if attributes.is_contextual() {
            local.current(&self.open, layer).map_or((0, 0), |entered| (entered.id, entered.root))
        } else {
            attributes
                .parent()
                .and_then(|parent| local.find(&self.open, layer, parent.into_u64()))
                .map_or((0, 0), |place| {
                    let span = self.open.span(place);
                    (span.id(), span.root())
                })
        };
        let start = self.clock.ticks();
        let id = local.next_id(self, start);
        let root = if root == 0 { id } else { root };
        let left_out = local.fields.has_left_out();
        let thread = local.thread;
        let new = NewSpan { layer, callsite, thread, id, parent, root, start, left_out };
        match self.open.insert(key, &new, local.fields.words()) {
            Some(place) => local.last_place = place,
            None => self.drop_one(Kind::Span, DropReason::OpenSpansFull),
        }
    }

    /// A thread enters a span.
    #[inline]
    pub(crate) fn enter(self: &Arc<Self>, layer: u16, key: u64) {
        // A callback inside another one finds the stack in use; its span goes on without this
        // poll. There is nothing to count: the span itself is not lost.
        let _uncounted = self.with_local(|local| {
            let Some(place) = local.find(&self.open, layer, key) else { return };
            let span = self.open.span(place);
            if span.thread() == local.thread {
                if !span.own_enter() {
                    return;
                }
            } else if let Some(position) = local.position(layer, key) {
                local.stack[position].foreign_depth += 1;
                return;
            }
            let (id, root) = (span.id(), span.root());
            let since = self.clock.ticks();
            local.stack.push(Entered { key, id, root, since, place, layer, foreign_depth: 1 });
        });
    }

    /// A thread leaves a span.
    #[inline]
    pub(crate) fn exit(self: &Arc<Self>, layer: u16, key: u64) {
        let _uncounted = self.with_local(|local| {
            let Some(position) = local.position(layer, key) else { return };
            let entered = local.stack[position];
            let span = self.open.span(entered.place);
            if span.id() != entered.id {
                // The span has been closed since, on another thread or inside another callback.
                local.stack.remove(position);
                return;
            }
            local.last_place = entered.place;
            if span.thread() == local.thread {
                if !span.own_exit() {
                    return;
                }
                let busy = self.clock.ticks().saturating_sub(entered.since);
                span.add_own_poll(busy);
            } else {
                let depth = &mut local.stack[position].foreign_depth;
                *depth -= 1;
                if *depth > 0 {
                    return;
                }
                let busy = self.clock.ticks().saturating_sub(entered.since);
                span.add_foreign_poll(busy);
            }
            local.stack.remove(position);
        });
    }

    /// Fields are recorded into an open span.
    pub(crate) fn record(self: &Arc<Self>, layer: u16, key: u64, values: &Record<'_>) {
        let result = self.with_local(|local| {
            let Some(place) = local.find(&self.open, layer, key) else { return };
            local.fields.clear(self.open.field_room(place));
            values.record(&mut local.fields);
            // The values' own code may have closed the span meanwhile.
            if !self.open.holds(place, layer, key) {
                return;
            }
            self.open.append_fields(place, local.fields.words());
            if local.fields.has_left_out() {
                self.open.span(place).set_left_out();
            }
        });
        if result.is_err()
            && let Some(place) = self.open.find(layer, key)
        {
            // Recorded from inside another callback: the span goes on, marked as incomplete.
            self.open.span(place).set_left_out();
        }
    }

    /// A span follows from another one.
    pub(crate) fn follows_from(self: &Arc<Self>, layer: u16, key: u64, follows: u64) {
        let ids = self.open.find(layer, key).zip(self.open.find(layer, follows));
        let Some((span, follows)) = ids else { return };
        let link = Link { span: self.open.span(span).id(), follows: self.open.span(follows).id() };
        let result = self.with_local(|local| {
            let [header, span, follows] = link.words();
            let write = |claim: &mut Claim<'_, Slot>| {
                *claim.slot(0) = [header, span, follows, 0, 0, 0, 0];
            };
            if let Err(lost) = self.publish(local.lease.as_mut(), Kind::Link, 1, write) {
                self.drop_refused(Kind::Link, lost);
            }
        });
        if let Err(why) = result {
            self.drop_unavailable(Kind::Link, why);
        }
    }

    /// Something happens.
    pub(crate) fn event(self: &Arc<Self>, layer: u16, event: &Event<'_>) {
        let level = *event.metadata().level();
        let kept = level <= self.events;
        if !kept && level != Level::ERROR {
            return;
        }
        let result = self.with_local(|local| {
            let place = if event.is_contextual() {
                local.current(&self.open, layer).map(|entered| entered.place)
            } else {
                event.parent().and_then(|parent| local.find(&self.open, layer, parent.into_u64()))
            };
            if level == Level::ERROR
                && let Some(place) = place
            {
                self.open.span(place).set_failed();
            }
            if kept {
                self.publish_event(local, place, event);
            }
        });
        if kept && let Err(why) = result {
            self.drop_unavailable(Kind::Event, why);
        }
    }

    fn publish_event(&self, local: &mut Local, place: Option<Place>, event: &Event<'_>) {
        let metadata: &'static Metadata<'static> = event.metadata();
        let Some(callsite) = self.callsites.number(metadata) else {
            return self.drop_one(Kind::Event, DropReason::CallsitesFull);
        };
        let span = place.map_or(0, |place| self.open.span(place).id());
        let at = self.clock.ticks();
        local.fields.clear(self.field_words_max);
        event.record(&mut local.fields);
        let id = local.next_id(self, at);
        let (thread, left_out) = (local.thread, local.fields.has_left_out());
        let head = EventHead { callsite, thread, left_out, id, span, at };
        let words = local.fields.words();
        let n = slots(EVENT_WORDS + words.len());
        let published = self.publish(local.lease.as_mut(), Kind::Event, n, |claim| {
            let mut all = head.words(words.len()).into_iter().chain(words.iter().copied());
            for index in 0..claim.len() {
                *claim.slot(index) = std::array::from_fn(|_| all.next().unwrap_or(0));
            }
        });
        if let Err(refused) = published {
            self.drop_refused(Kind::Event, refused);
        }
    }

    /// A span closes.
    #[inline]
    pub(crate) fn close_span(self: &Arc<Self>, layer: u16, key: u64) {
        let result = self.with_local(|local| {
            if let Some(place) = local.find(&self.open, layer, key) {
                self.close_place(local.lease.as_mut(), place);
            }
        });
        if result.is_err() {
            // Closed from inside another callback. The place must be freed all the same, and the
            // shared partition needs nothing of the thread.
            if let Some(place) = self.open.find(layer, key) {
                self.close_place(None, place);
            }
        }
    }

    #[inline]
    fn close_place(&self, lease: Option<&mut Lease<Slot>>, place: Place) {
        let end = self.clock.ticks();
        let span = self.open.span(place);
        let start = span.start();
        let status = if std::thread::panicking() {
            Status::Panicked
        } else if span.is_failed() {
            Status::Error
        } else {
            Status::Ok
        };
        let head = SpanHead {
            callsite: span.callsite(),
            thread: span.thread(),
            status,
            left_out: span.has_left_out(),
            id: span.id(),
            parent: span.parent(),
            root: span.root(),
            start,
            duration: end.saturating_sub(start),
            busy: span.busy(),
            polls: span.polls(),
        };
        let field_words = span.field_words();
        let published = if head.is_wide() {
            self.publish_wide(lease, place, &head, field_words)
        } else {
            let n = slots(SPAN_WORDS + field_words);
            self.publish(lease, Kind::Span, n, |claim| {
                *claim.slot(0) = head.narrow(field_words);
                if field_words > 0 {
                    self.put_fields(claim, place);
                }
            })
        };
        match published {
            Ok(()) => {}
            // The writer is closing and may have stored this span as unfinished already.
            Err(Refused { error: ClaimError::Closed, .. })
                if !self.open.decide_fate(place, head.id) => {}
            Err(refused) => self.drop_refused(Kind::Span, refused),
        }
        self.open.remove(place);
    }

    /// Writes the fields of a span into the slots behind the first.
    #[inline]
    fn put_fields(&self, claim: &mut Claim<'_, Slot>, place: Place) {
        let (mut index, mut at) = (1, 0);
        self.open.copy_fields(place, |word| {
            if at == SLOT_WORDS {
                (index, at) = (index + 1, 0);
            }
            if index < claim.len() {
                claim.slot(index)[at] = word;
            }
            at += 1;
        });
    }

    #[cold]
    fn publish_wide(
        &self,
        lease: Option<&mut Lease<Slot>>,
        place: Place,
        head: &SpanHead,
        field_words: usize,
    ) -> Result<(), Refused> {
        let n = slots(SPAN_WORDS_WIDE + field_words);
        self.publish(lease, Kind::Span, n, |claim| {
            for (at, word) in head.wide(field_words).into_iter().enumerate() {
                claim.slot(at / SLOT_WORDS)[at % SLOT_WORDS] = word;
            }
            let mut at = SPAN_WORDS_WIDE;
            self.open.copy_fields(place, |word| {
                if at / SLOT_WORDS < claim.len() {
                    claim.slot(at / SLOT_WORDS)[at % SLOT_WORDS] = word;
                }
                at += 1;
            });
        })
    }

    /// Claims, writes, counts and publishes one record.
    ///
    /// A thread whose own partition is full goes on in the shared one, so that the whole ring is
    /// there for whoever needs it.
    #[inline]
    fn publish(
        &self,
        lease: Option<&mut Lease<Slot>>,
        kind: Kind,
        slots: usize,
        write: impl FnOnce(&mut Claim<'_, Slot>),
    ) -> Result<(), Refused> {
        let Some(lease) = lease else { return self.publish_shared(kind, slots, write) };
        let partition = lease.partition();
        match lease.try_claim(slots) {
            Ok(mut claim) => {
                write(&mut claim);
                self.counters.partition(partition).publish_exclusive(kind);
                claim.publish();
                Ok(())
            }
            Err(ClaimError::Full) => self
                .publish_shared(kind, slots, write)
                .map_err(|Refused { error, .. }| Refused { partition, error }),
            Err(error) => Err(Refused { partition, error }),
        }
    }

    fn publish_shared(
        &self,
        kind: Kind,
        slots: usize,
        write: impl FnOnce(&mut Claim<'_, Slot>),
    ) -> Result<(), Refused> {
        let partition = self.ring.shared_partition();
        let mut claim = self.ring.try_claim(slots).map_err(|error| Refused { partition, error })?;
        write(&mut claim);
        self.counters.partition(partition).publish_shared(kind);
        claim.publish();
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

/// A record that a partition did not take.
#[derive(Debug, Clone, Copy)]
struct Refused {
    partition: usize,
    error: ClaimError,
}
