//! A recording: what all front ends, their threads and the writer share.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

#[cfg(feature = "crash-proof")]
use spandrel_ring::file::CreateError;
use spandrel_ring::{Consumer, Owner, Ring, RingOptions, TooLarge};

use crate::mutex::Mutex;
use crate::recorder::account::Shown;
use crate::recorder::callsites::Callsites;
use crate::recorder::clock::Clock;
use crate::recorder::counters::Counters;
use crate::recorder::entry_rules::{Entries, EntryRules, TICKS_MIN};
#[cfg(feature = "gauges")]
use crate::recorder::gauges;
use crate::recorder::local::state::{NO_OWNER, OWNERS};
use crate::recorder::losses::{DropReason, Kind};
use crate::recorder::names::Names;
use crate::recorder::open_spans::{DIRECT, INLINE_WORDS, OpenSpans};
use crate::recorder::post_close_drain::PostCloseDrain;
use crate::recorder::record::{FIRST_ID_MAX, SLOT_WORDS, SPAN_WORDS, SPAN_WORDS_WIDE, Slot};
#[cfg(feature = "crash-proof")]
use crate::recorder::ring_file::own::{FilePlan, FileSizes, OwnFile};
use crate::recorder::rule::Rule;
use crate::recorder::scope_owner;
use crate::recorder::table_memory::HEAP;
#[cfg(feature = "crash-proof")]
use crate::recorder::table_memory::TableMemory;
use crate::recorder::tally::Tally;
use crate::recorder::threads::Threads;

/// A recording: everything that application threads and the writer share.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Tells the recordings of this process apart.
    pub(crate) id: u32,
    /// `id` while the fast paths of `front::fast` are open, else `NO_OWNER`.
    pub(super) fast_owner: AtomicU32,
    /// Whether this recording allows fast paths at all.
    pub(crate) is_fast: bool,
    pub(crate) clock: Clock,
    pub(crate) ring: Ring<Slot>,
    pub(crate) counters: Counters,
    pub(crate) open: OpenSpans,
    pub(crate) callsites: Callsites,
    pub(crate) threads: Threads,
    /// The first id that no thread has taken.
    pub(super) next_id: AtomicU64,
    /// The number of the next layer.
    pub(super) next_layer: AtomicU64,
    /// The rule of a front end that has no other.
    pub(crate) rule: Arc<Rule>,
    pub(crate) tally: Tally,
    /// Gauges that were asked for.
    #[cfg(feature = "gauges")]
    pub(crate) gauges: gauges::Gauges,
    /// Whether the time inside spans is measured.
    pub(crate) busy_time: bool,
    /// Whether fields with names of OpenTelemetry's conventions tell how spans have ended.
    pub(crate) status_rules: bool,
    /// The most that any span's entries are recorded.
    pub(super) entries: Entries,
    /// The age in ticks at which a span is long-lived: too small until the rate of the ticks is known.
    pub(super) long_age: AtomicU64,
    /// Most words of fields of one span or event.
    pub(crate) field_words_max: usize,
    /// Whether the database refuses: then a full ring is its fault.
    pub(crate) degraded: AtomicBool,
    /// Whether `tracing` knows a front end of ours.
    pub(super) has_dispatch: AtomicBool,
    /// Whether any front end closes spans before their children.
    has_subscriber: AtomicBool,
    /// What is left of the recording once its writer has ended.
    pub(crate) post_close: Mutex<Option<PostCloseDrain>>,
    /// The file in which the ring lies, if it does not lie on the heap.
    #[cfg(feature = "crash-proof")]
    pub(crate) file: Option<OwnFile>,
}

/// What a recording is made of that may lie in a file.
struct Parts {
    ring: Ring<Slot>,
    consumer: Consumer<Slot>,
    open: OpenSpans,
    counters: Counters,
    names: Names,
    clock: Clock,
    #[cfg(feature = "crash-proof")]
    file: Option<OwnFile>,
}

/// The sizes of a [`Recorder`].
#[derive(Debug, Clone)]
pub(crate) struct RecorderOptions {
    pub(crate) ring_capacity: usize,
    pub(crate) partitions: usize,
    pub(crate) open_spans_max: usize,
    pub(crate) field_bytes_max: usize,
    pub(crate) rule: Rule,
    pub(crate) busy_time: bool,
    pub(crate) status_rules: bool,
    pub(crate) entries: EntryRules,
    /// The first id that is free in the file.
    pub(crate) first_id: u64,
}

/// There is not enough memory for what this setting asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DoesNotFit {
    pub(crate) setting: &'static str,
    pub(crate) source: TooLarge,
}

impl RecorderOptions {
    /// For tests of single functions.
    #[cfg(all(test, not(spandrel_loom)))]
    pub(crate) fn small() -> Self {
        let all = tracing_core::LevelFilter::TRACE;
        Self {
            ring_capacity: 256,
            partitions: 1,
            open_spans_max: 64,
            field_bytes_max: 256,
            rule: Rule::new(all, all),
            busy_time: true,
            status_rules: true,
            entries: EntryRules::default(),
            first_id: 1,
        }
    }

    pub(crate) fn ring(&self) -> RingOptions {
        RingOptions { capacity: self.ring_capacity, partitions: self.partitions }
    }

    /// Most words of fields of one span or event.
    pub(crate) fn field_words_max(&self) -> usize {
        // A record must fit into half of the smallest partition, or it might never find room. Records of
        // spans that were entered again are longer; in rings that small, they take what room there is.
        // The last word is for what the fields do not tell about the status.
        let words = |slots: usize, words: usize| (slots * SLOT_WORDS).saturating_sub(words + 1);
        let most = self.ring().claim_max();
        let narrow = words((most / 2).max(1), SPAN_WORDS);
        (self.field_bytes_max / 8).min(narrow).min(words(most, SPAN_WORDS_WIDE))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        scope_owner::left(self.id);
    }
}

impl Recorder {
    /// Allocates and touches everything that it will need.
    pub(crate) fn try_new(
        options: &RecorderOptions,
    ) -> Result<(Arc<Self>, Consumer<Slot>), DoesNotFit> {
        let of = |setting| move |source| DoesNotFit { setting, source };
        let (ring, consumer) = Ring::try_new(options.ring()).map_err(of("ring_capacity"))?;
        let open = OpenSpans::try_new(options.open_spans_max, options.field_words_max());
        let counters = Counters::try_new(HEAP, consumer.partitions(), Shown::new());
        let parts = Parts {
            ring,
            consumer,
            open: open.map_err(of("max_open_spans"))?,
            counters: counters.map_err(of("partitions"))?,
            names: Names::default(),
            clock: Clock::start(),
            #[cfg(feature = "crash-proof")]
            file: None,
        };
        Ok(Self::with(options, parts))
    }

    /// The same in a file, which is made for it.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn try_new_in_file(
        options: &RecorderOptions,
        plan: &FilePlan,
    ) -> Result<(Arc<Self>, Consumer<Slot>), CreateError> {
        let clock = Clock::start();
        let sizes = FileSizes {
            ring: options.ring(),
            open_spans_max: options.open_spans_max,
            field_words_max: options.field_words_max(),
            first_id: options.first_id,
            busy_time: options.busy_time,
            status_rules: options.status_rules,
        };
        let own = plan.make(&sizes, &clock)?;
        let made = Self::parts_in(options, &own, clock);
        match made {
            Ok(parts) => Ok(Self::with(options, Parts { file: Some(own), ..parts })),
            Err(error) => {
                // Nobody will find anything in it. The error that is being returned is the one that counts.
                _ = own.remove();
                Err(error.into())
            }
        }
    }

    /// That of a process that is gone, whose records are to be converted here: nothing is recorded into it.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn of_dead(
        options: &RecorderOptions,
        callsites: Callsites,
        threads: Threads,
    ) -> Result<Arc<Self>, DoesNotFit> {
        let (mut recorder, _consumer) = Self::try_new(options)?;
        // Nobody else has it yet.
        if let Some(recorder) = Arc::get_mut(&mut recorder) {
            (recorder.callsites, recorder.threads) = (callsites, threads);
        }
        Ok(recorder)
    }

    /// What lies in this file, which was made for these sizes.
    #[cfg(feature = "crash-proof")]
    fn parts_in(options: &RecorderOptions, own: &OwnFile, clock: Clock) -> Result<Parts, TooLarge> {
        let memory = TableMemory::File(own.file());
        let (ring, consumer) = own.ring().ok_or(TooLarge { bytes: None })?;
        let (spans_max, words) = (options.open_spans_max, options.field_words_max());
        let account = Shown::in_file(Arc::clone(own.file()));
        Ok(Parts {
            open: OpenSpans::try_new_in(memory, spans_max, words)?,
            counters: Counters::try_new(memory, consumer.partitions(), account)?,
            names: Names::in_file(own.file()),
            clock,
            ring,
            consumer,
            file: None,
        })
    }

    /// The same for sizes that are known to be sensible.
    #[allow(clippy::expect_used, reason = "as an allocation that fails")]
    pub(crate) fn new(options: &RecorderOptions) -> (Arc<Self>, Consumer<Slot>) {
        Self::try_new(options).expect("a recording of a sensible size")
    }

    fn with(options: &RecorderOptions, parts: Parts) -> (Arc<Self>, Consumer<Slot>) {
        static RECORDERS: AtomicU32 = AtomicU32::new(0);
        let Parts { ring, consumer, open, counters, names, clock, .. } = parts;
        let field_words_max = options.field_words_max();
        // Relaxed: the numbers only have to differ.
        let id = RECORDERS.fetch_add(1, Ordering::Relaxed) % OWNERS + 1;
        // Fast paths read the processor's counter, and use all words of a slot, without checks. If a
        // slot has so few words that they have to be shared out among the fields, the general path has
        // to do it.
        let entries = if options.busy_time { options.entries.most() } else { Entries::Off };
        let is_fast = clock.is_counter() && field_words_max >= 4 * INLINE_WORDS;
        let recorder = Self {
            id,
            fast_owner: AtomicU32::new(if is_fast { id } else { NO_OWNER }),
            is_fast: clock.is_counter(),
            clock,
            ring,
            counters,
            open,
            callsites: Callsites::new(options.entries.clone(), names.clone()),
            #[cfg(feature = "gauges")]
            gauges: gauges::Gauges::new(names.clone()),
            threads: Threads::new(names),
            next_id: AtomicU64::new(options.first_id.max(1)),
            next_layer: AtomicU64::new(0),
            rule: Arc::new(options.rule.clone()),
            tally: Tally::default(),
            busy_time: options.busy_time,
            status_rules: options.status_rules,
            entries,
            long_age: AtomicU64::new(TICKS_MIN),
            field_words_max,
            degraded: AtomicBool::new(false),
            has_dispatch: AtomicBool::new(false),
            has_subscriber: AtomicBool::new(false),
            post_close: Mutex::new(None),
            #[cfg(feature = "crash-proof")]
            file: parts.file,
        };
        (Arc::new(recorder), consumer)
    }

    pub(crate) fn take_ids(&self, n: u64) -> u64 {
        // Relaxed: ids only have to be unique and to grow.
        self.next_id.fetch_add(n, Ordering::Relaxed)
    }

    /// A new id above this one, which another process has put into the file; all later ids are above it,
    /// too. `None` if no recording could go on from there.
    pub(crate) fn id_above(&self, above: u64) -> Option<u64> {
        if above >= FIRST_ID_MAX {
            return None;
        }
        // Relaxed: as in `take_ids`.
        self.next_id.fetch_max(above + 1, Ordering::Relaxed);
        Some(self.take_ids(1))
    }

    /// The name of a gauge with this number.
    #[cfg(feature = "database")]
    pub(crate) fn gauge_name(&self, number: u32) -> Option<Arc<str>> {
        #[cfg(feature = "gauges")]
        return self.gauges.name(number);
        #[cfg(not(feature = "gauges"))]
        {
            _ = number;
            None
        }
    }

    /// How often a gauge was asked for that could not be had.
    pub(crate) fn gauges_refused(&self) -> u64 {
        #[cfg(feature = "gauges")]
        return self.gauges.refused();
        #[cfg(not(feature = "gauges"))]
        0
    }

    /// Whether the ring lies in a file, which outlives the process.
    pub(crate) fn is_in_file(&self) -> bool {
        #[cfg(feature = "crash-proof")]
        return self.file.is_some();
        #[cfg(not(feature = "crash-proof"))]
        false
    }

    /// Whether the ring lies in a file that somebody has cut short, as far as is known.
    pub(crate) fn is_cut(&self) -> bool {
        #[cfg(feature = "crash-proof")]
        return self.file.as_ref().is_some_and(OwnFile::was_cut);
        #[cfg(not(feature = "crash-proof"))]
        false
    }

    /// Says that it is so, and what that means.
    pub(crate) fn tell_cut(&self) -> String {
        #[cfg(feature = "crash-proof")]
        let path = self
            .file
            .as_ref()
            .map_or_else(Default::default, |file| file.path().display().to_string());
        #[cfg(not(feature = "crash-proof"))]
        let path = "";
        #[cfg(feature = "collected")]
        if self.file.as_ref().is_some_and(OwnFile::is_out_of_reach) {
            return format!(
                "{path}: the ring file was removed while it was recorded into, and no collector has it open; nothing is \
                 recorded any more, and what was in it and not stored is lost, as are the spans that were open"
            );
        }
        format!(
            "{path}: the ring file was cut short while it was recorded into; nothing is recorded any more, and what was in it \
             and not stored is lost, as are the spans that were open"
        )
    }

    /// Why a record is dropped when the ring is closed.
    #[cold]
    pub(super) fn closed_reason(&self) -> DropReason {
        if self.is_cut() || self.is_closed_by_zeros() {
            DropReason::FileRemoved
        } else {
            DropReason::AlreadyShutdown
        }
    }

    /// Whether the ring is closed because somebody has cut its file and made it longer again, so that no thread has met the
    /// end of it: zeros are a ring that is closed. Then the file is looked at, once.
    fn is_closed_by_zeros(&self) -> bool {
        #[cfg(feature = "crash-proof")]
        return !self.ring.is_closed() && self.file.as_ref().is_some_and(OwnFile::look_whether_cut);
        #[cfg(not(feature = "crash-proof"))]
        false
    }

    /// The `id` of this recording if its fast paths are open.
    #[inline(always)]
    pub(crate) fn fast_owner(&self) -> u32 {
        // Relaxed: as in `Ring::close`.
        self.fast_owner.load(Ordering::Relaxed)
    }

    /// Whose a thread's share of the table of open spans is, if it is this recording's.
    pub(crate) fn table_owner(&self) -> Option<Owner> {
        NonZeroU32::new(self.id).map(Owner::new)
    }

    /// From now on `tracing` knows a front end of ours.
    pub(crate) fn set_has_dispatch(&self) {
        // Relaxed: the subscriber is installed after it was made, which publishes both.
        self.has_dispatch.store(true, Ordering::Relaxed);
    }

    pub(crate) fn set_has_subscriber(&self) {
        // Relaxed: read by the writer, for which a moment later is soon enough.
        self.has_subscriber.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_subscriber(&self) -> bool {
        // Relaxed: see above.
        self.has_subscriber.load(Ordering::Relaxed)
    }

    pub(crate) fn has_dispatch(&self) -> bool {
        // Relaxed: asked again and again.
        self.has_dispatch.load(Ordering::Relaxed)
    }

    /// The moment of an entry or exit; 0 if busy time is not measured.
    pub(super) fn poll_ticks(&self) -> u64 {
        if self.busy_time { self.clock.ticks() } else { 0 }
    }

    /// Refuses all later records.
    pub(crate) fn close_ring(&self) {
        // Relaxed: a thread that has not seen it yet still publishes, see `Ring::close` and
        // `PostCloseDrain`.
        self.fast_owner.store(NO_OWNER, Ordering::Relaxed);
        self.ring.close();
        scope_owner::changed();
    }

    /// A number for a front end, which its spans carry. The first one has 0 and the fast paths. If it is
    /// `direct`, the keys of its spans come from [`new_span_slow`](Self::new_span_slow).
    pub(crate) fn next_layer(&self, direct: bool) -> u16 {
        // Relaxed: the numbers only have to differ. After 32,767 layers they start again from 1; two
        // layers with the same number are told apart by the keys of their spans, unless they are on
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

    /// Counts something that is dropped instead of published.
    #[cold]
    pub(crate) fn drop_one(&self, kind: Kind, reason: DropReason) {
        self.counters.drop_shared(kind, reason);
    }
}
