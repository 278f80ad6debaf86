//! The writer step by step, without a thread: so it is certain what happens between two steps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use spandrel_query::{Reader, Span};
use spandrel_storage::{RunInfo, Store, StoreOptions};
use tempfile::TempDir;
use tracing::{Dispatch, dispatcher, info_span};
use tracing_core::LevelFilter;

use super::chunks::tests::few_and_free;
use super::drain::{Relief, Room};
use super::{Requests, Writer, WriterOptions, WriterState};
use crate::ProfilerSubscriber;
use crate::memory_use::MemoryPart;
use crate::recorder::entry_rules::EntryRules;
use crate::recorder::losses::{DropReason, Kind};
use crate::recorder::record::SLOT_WORDS;
use crate::recorder::rule::Rule;
use crate::recorder::{Recorder, RecorderOptions};
use crate::redact::Redaction;

const SPAN: usize = Kind::Span as usize;
/// Slots of the ring, half of them of the one partition that can be leased.
const RING: usize = 4_096;
/// Spans that the leased partition holds.
const LOT: u64 = 1_500;

/// A recording whose writer does what it is told.
struct Rig {
    recorder: Arc<Recorder>,
    writer: Writer,
    dispatch: Dispatch,
    folder: TempDir,
    _asks: (Sender<super::Flush>, Sender<Instant>),
}

fn rig(ring_capacity: usize) -> Rig {
    let (recorder, consumer) = Recorder::new(&RecorderOptions {
        ring_capacity,
        partitions: 1,
        open_spans_max: 64,
        field_bytes_max: 256,
        rule: Rule::new(LevelFilter::TRACE, LevelFilter::TRACE),
        busy_time: true,
        entries: EntryRules::default(),
        status_rules: true,
        first_id: 1,
    });
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("p.db");
    let mut store = Store::open(&database, &StoreOptions::default()).unwrap();
    let run = RunInfo { args: "[]".into(), settings: "{}".into(), ..RunInfo::default() };
    store.begin_run(&run).unwrap();
    let state = Arc::new(WriterState::default());
    let requests = Requests::begin(false, &store, &state);
    let options = WriterOptions {
        batch_size: 1_000,
        flush_interval: Duration::from_secs(60),
        open_spans_max: 64,
        database,
        store: StoreOptions::default(),
        first_id: 1,
        run,
        redaction: Redaction::default(),
        #[cfg(feature = "faults")]
        fault: None,
    };
    let (asks, asked): ((Sender<_>, Sender<_>), (Receiver<_>, Receiver<_>)) = {
        let ((flushes, flushed), (pill, pills)) = (bounded(1), bounded(1));
        ((flushes, pill), (flushed, pills))
    };
    let dispatch = Dispatch::new(ProfilerSubscriber::new(Some(&recorder)));
    let of = Arc::clone(&recorder);
    let writer = Writer::new(of, state, consumer, asked, store, requests, options);
    Rig { recorder, writer, dispatch, folder, _asks: asks }
}

impl Rig {
    /// Records so many spans without children.
    fn record(&self, spans: u64) {
        dispatcher::with_default(&self.dispatch, || {
            (0..spans).for_each(|_| drop(info_span!("burst").entered()));
        });
    }

    /// Drains the ring. Returns how many records.
    fn drain(&mut self) -> u64 {
        let held = |writer: &Writer| (writer.raw.len() + writer.next.len()) as u64;
        let before = held(&self.writer);
        self.writer.drain();
        held(&self.writer) - before
    }

    /// Published, stored, and dropped because the ring was full.
    fn ledger(&self) -> [u64; 3] {
        let snapshot = self.recorder.counters.snapshot(&self.recorder.ring, false);
        let lost = |reason: DropReason| snapshot.dropped_early[reason as usize][SPAN];
        let others = DropReason::ALL.iter().filter(|reason| **reason != DropReason::RingFull);
        assert_eq!(others.map(|reason| lost(*reason)).sum::<u64>(), 0);
        assert_eq!(snapshot.account.taken[SPAN], {
            let held = self.writer.raw.len() + self.writer.next.len();
            held as u64 + self.writer.account.stored[SPAN]
        });
        let full = lost(DropReason::RingFull);
        [snapshot.published[SPAN], self.writer.account.stored[SPAN], full]
    }

    /// How much memory the records take, according to the statistics.
    fn drained(&mut self) -> (u64, u64) {
        self.writer.count_memory();
        let memory = self.writer.state.memory.get();
        (memory.by(MemoryPart::Drained).used, memory.peak_of(MemoryPart::Drained))
    }

    /// Ids of the spans that the writer holds, in their order.
    fn held(&self) -> impl Iterator<Item = u64> {
        let Writer { raw, next, .. } = &self.writer;
        raw.records().chain(next.records()).filter_map(|record| record.span_id())
    }

    /// Drains and commits until nothing is left. Returns how many commits it took.
    fn store_all(&mut self) -> u64 {
        let mut commits = 0;
        while self.writer.drain() > 0 || !self.writer.raw.is_empty() {
            let first = self.held().next();
            self.writer.commit();
            commits += 1;
            assert!(self.held().next() > first || self.held().next().is_none());
        }
        commits
    }

    fn stored(&self) -> Vec<Span> {
        let reader = Reader::open(self.folder.path().join("p.db")).unwrap();
        let run = reader.latest_run().unwrap().unwrap();
        let mut spans = Vec::new();
        reader.spans(run.id, |span| spans.push(span)).unwrap();
        spans
    }
}

#[test]
fn a_burst_is_taken_out_of_the_ring_as_it_comes_and_converted_later() {
    let mut rig = rig(RING);
    for _ in 0..20 {
        rig.record(LOT);
        assert_eq!(rig.drain(), LOT);
    }
    assert_eq!(rig.ledger(), [20 * LOT, 0, 0]);
    // While the pieces are committed, as much comes again.
    for n in 1..20 {
        rig.writer.commit();
        rig.record(LOT);
        assert_eq!(rig.drain(), LOT);
        assert_eq!(rig.ledger(), [(20 + n) * LOT, (n * 1_000).min(30_000), 0]);
    }
    let ids: Vec<_> = rig.held().collect();
    assert!(ids.is_sorted() && rig.writer.is_due(), "the oldest first");
    let commits = rig.store_all();
    assert!(commits > 10, "{commits}");
    assert_eq!(rig.ledger(), [39 * LOT, 39 * LOT, 0]);
    let stored = rig.stored();
    assert_eq!(stored.len() as u64, 39 * LOT);
    assert!(stored.iter().skip(stored.len() - ids.len()).map(|span| span.id).eq(ids));
    few_and_free(&rig.writer.chunks);
}

#[test]
fn what_overflows_is_counted_and_memory_has_a_bound_and_is_given_back() {
    let mut rig = rig(RING);
    let most = Room::backlog_max(RING) as u64;
    assert_eq!(most, 4 << 20);
    let (mut made, mut taken) = (0, 0);
    loop {
        rig.record(LOT);
        made += LOT;
        // As long as there is room, everything is taken before anything is committed.
        rig.writer.burst.drained(RING as u64, Instant::now());
        let is_postponed = rig.writer.is_postponed();
        let drained = rig.drain();
        taken += drained;
        assert!(drained == LOT || !rig.writer.is_postponed());
        if !is_postponed {
            break;
        }
    }
    let (used, _) = rig.drained();
    assert!(used <= most && taken * 64 <= used && used - taken * 64 < most / 2, "{used}, {taken}");
    // Nothing more is taken: the ring holds what it can.
    assert_eq!(rig.drain(), 0);
    rig.record(RING as u64);
    made += RING as u64;
    assert_eq!(rig.drain(), 0);
    // A span whose thread is suspended before it is entered may take two slots.
    assert!(rig.writer.consumer.backlog() >= RING as u64 - 1);
    let [published, stored, lost] = rig.ledger();
    assert_eq!((stored, published + lost), (0, made));
    assert!(lost > 0 && published > taken + RING as u64 * 9 / 10, "{published} {taken}");
    // The second drain takes the whole ring, too.
    rig.writer.commit();
    assert_eq!(rig.writer.consumer.backlog(), 0);
    let commits = 1 + rig.store_all();
    assert_eq!(rig.ledger(), [published, published, lost]);
    let (used, peak) = rig.drained();
    assert!(peak <= most && peak > most / 2 && used < 1 << 19, "{used} after {peak}");
    few_and_free(&rig.writer.chunks);
    assert!(commits >= published / 4_000, "{commits} commits");
    assert_eq!(rig.stored().len() as u64, published);
}

#[test]
fn at_default_settings_the_bound_is_64_mib() {
    const DEFAULT: usize = 65_536;
    let mut rig = rig(DEFAULT);
    // What is in the slots does not matter here.
    let ring = rig.recorder.ring.clone();
    let mut lease = ring.lease().unwrap();
    let mut fill = || {
        while lease.try_publish(SPAN, 1, |_| [0; SLOT_WORDS]).is_ok() {}
        while let Ok(claim) = ring.try_claim(1) {
            claim.publish();
        }
    };
    let mut taken = 0;
    loop {
        fill();
        match rig.writer.drain() {
            0 => break,
            drained => taken += drained,
        }
    }
    assert!(taken >= 940_000, "{taken}");
    let (used, _) = rig.drained();
    assert!(used <= 64 << 20, "{used}");
    // Including the second drain, which takes the whole ring.
    fill();
    rig.writer.drain_up_to_tails();
    assert_eq!(rig.writer.consumer.backlog(), 0);
    let (used, peak) = rig.drained();
    assert!(used <= 64 << 20 && peak == used && used > 60 << 20, "{used}");
    for raw in [&mut rig.writer.raw, &mut rig.writer.next] {
        raw.clear(&mut rig.writer.chunks);
    }
    few_and_free(&rig.writer.chunks);
}

#[test]
fn what_comes_while_a_batch_is_converted_is_taken_in_between() {
    let mut rig = rig(RING);
    rig.record(LOT);
    rig.writer.drain();
    let Rig { writer, dispatch, .. } = &mut rig;
    let Writer { converter, raw, next, consumer, chunks, room, store, batch, .. } = writer;
    let mut relief = Relief { consumer, chunks, room };
    let mut times = 0;
    // Plays another thread.
    let mut come = |relief: &mut Relief<'_>, next: &mut _| {
        times += 1;
        dispatcher::with_default(dispatch, || {
            (0..LOT).for_each(|_| drop(info_span!("meanwhile").entered()));
        });
        relief.relieve(next);
    };
    converter.count_late_children(raw, next, |next| come(&mut relief, next));
    assert_eq!(next.len() as u64, LOT);
    let piece = raw.piece(usize::MAX);
    converter.convert(raw, piece, store.as_mut().unwrap(), batch, || come(&mut relief, next));
    assert_eq!((batch.spans.len() as u64, times), (LOT, 1 + LOT / 256));
    assert_eq!(next.len() as u64, times * LOT);
    let snapshot = rig.recorder.counters.snapshot(&rig.recorder.ring, false);
    assert_eq!(snapshot.published[SPAN], (times + 1) * LOT);
    assert_eq!(snapshot.dropped_early[DropReason::RingFull as usize][SPAN], 0);
}

#[test]
fn what_comes_while_a_batch_is_appended_is_taken_in_between() {
    let mut rig = rig(RING);
    rig.record(200);
    rig.drain();
    // First all that was taken, then a piece of it.
    for is_sealed in [false, true] {
        rig.writer.prepare();
        assert_eq!(rig.writer.sealed, is_sealed);
        rig.record(LOT);
        rig.writer.append();
        assert_eq!(rig.writer.consumer.backlog(), 0);
        let into = if is_sealed { &rig.writer.next } else { &rig.writer.raw };
        assert_eq!(into.len() as u64, LOT);
    }
    rig.store_all();
    assert_eq!(rig.ledger(), [200 + 2 * LOT, 200 + 2 * LOT, 0]);
}

/// A full disk refuses again and again, each time after the transaction has begun.
#[test]
fn while_the_store_refuses_nothing_is_taken_out_of_the_ring() {
    let mut rig = rig(RING);
    // More than there is room for in the pages of an empty file.
    rig.record(LOT);
    rig.drain();
    rig.writer.prepare();
    // No more than there are.
    rig.writer.store.as_mut().unwrap().set_max_page_count(Some(1)).unwrap();
    rig.record(LOT);
    rig.writer.append();
    assert!(rig.writer.pending.is_some() && rig.writer.backoff.is_disk_full());
    rig.record(LOT);
    let there = rig.writer.consumer.backlog();
    assert!(there >= LOT);
    for _ in 0..3 {
        rig.writer.append();
        assert_eq!(rig.writer.consumer.backlog(), there);
    }
    rig.writer.store.as_mut().unwrap().set_max_page_count(None).unwrap();
    rig.writer.append();
    rig.store_all();
    assert_eq!(rig.ledger(), [3 * LOT, 3 * LOT, 0]);
}

/// In a trace without parallel children all self times together are as long as the root worked.
#[test]
fn self_times_add_up_over_a_backlog_of_many_pieces() {
    let mut rig = rig(RING);
    let dispatch = rig.dispatch.clone();
    let work = |depth: u64| {
        fn nest(depth: u64) {
            if depth > 0 {
                info_span!("inside", depth).in_scope(|| {
                    nest(depth - 1);
                    nest(depth / 2);
                });
            }
        }
        nest(depth);
    };
    dispatcher::with_default(&dispatch, || {
        let root = info_span!("root");
        root.in_scope(|| {
            for round in 0..200 {
                info_span!("round").in_scope(|| {
                    work(5);
                    // Its children are before it, in another piece or in another batch.
                    if round % 3 == 0 {
                        rig.writer.drain();
                    }
                    if round % 50 == 49 {
                        rig.writer.drain();
                        rig.writer.commit();
                    }
                    work(6);
                });
                rig.writer.drain();
            }
        });
    });
    rig.store_all();
    let spans = rig.stored();
    let [published, stored, lost] = rig.ledger();
    assert_eq!((stored, lost, spans.len() as u64), (published, 0, published));
    assert!(published > 6_000, "{published}");
    let root = spans.iter().find(|span| span.parent_id.is_none()).unwrap();
    assert!(spans.iter().all(|span| span.root_id == root.id));
    let own: i64 = spans.iter().map(|span| span.self_ns.unwrap()).sum();
    assert_eq!(Some(own), root.last_exit_ns);
}

/// A span that is made, and entered once.
fn work() {
    info_span!("work").in_scope(|| ());
}

impl Rig {
    /// The self time that `outer` says, and the expected one: how long it worked, minus its children.
    fn own_time(&self) -> (i64, i64) {
        let spans = self.stored();
        let worked = |span: &Span| span.first_entry_ns.unwrap() + span.busy_ns.unwrap();
        let outer = spans.iter().find(|span| span.callsite.name == "outer").unwrap();
        let children = spans.iter().filter(|span| span.parent_id == Some(outer.id));
        (outer.self_ns.unwrap(), worked(outer) - children.map(worked).sum::<i64>())
    }

    /// Stores everything, and looks twice for children that came after their parents were stored.
    fn look_for_orphans(&mut self) {
        for _ in 0..3 {
            dispatcher::with_default(&self.dispatch, || drop(info_span!(parent: None, "other")));
            self.writer.last_orphans = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
            while self.writer.drain() > 0 || !self.writer.raw.is_empty() {
                self.writer.commit();
            }
        }
    }
}

/// A thread is suspended while it publishes in the shared partition, and records of other threads there
/// come after thousands of newer ones.
#[test]
fn what_comes_after_thousands_of_newer_siblings_is_taken_off_their_parent() {
    let mut rig = rig(RING);
    let (ring, dispatch) = (rig.recorder.ring.clone(), rig.dispatch.clone());
    let claim = ring.try_claim(1).unwrap();
    dispatcher::with_default(&dispatch, || {
        info_span!("outer").in_scope(|| {
            (0..RING / 2 + 500).for_each(|_| work());
            for _ in 0..4 {
                rig.drain();
                (0..LOT).for_each(|_| work());
            }
            rig.store_all();
            drop(claim);
            rig.drain();
        });
    });
    rig.store_all();
    let [published, stored, lost] = rig.ledger();
    assert_eq!((stored, lost), (published, 0));
    let (found, expected) = rig.own_time();
    assert_eq!(found, expected);
}

/// The children are stored, and their parent cannot be seen.
#[test]
fn a_parent_that_may_come_is_not_parted_from_its_children() {
    let mut rig = rig(RING);
    let (ring, dispatch) = (rig.recorder.ring.clone(), rig.dispatch.clone());
    let claim = ring.try_claim(1).unwrap();
    dispatcher::with_default(&dispatch, || {
        info_span!("outer").in_scope(|| (0..RING / 2 + 10).for_each(|_| work()));
    });
    rig.look_for_orphans();
    assert!(rig.stored().iter().all(|span| span.callsite.name != "outer"));
    drop(claim);
    rig.look_for_orphans();
    let (found, expected) = rig.own_time();
    assert_eq!(found, expected);
}

/// The parent is stored before most of its children can be seen.
#[test]
fn however_many_children_come_late_the_row_of_their_parent_says_less() {
    let mut rig = rig(RING);
    let (ring, dispatch) = (rig.recorder.ring.clone(), rig.dispatch.clone());
    let claim = ring.try_claim(1).unwrap();
    dispatcher::with_default(&dispatch, || {
        info_span!("outer").in_scope(|| {
            (0..RING - 100).for_each(|_| work());
            rig.drain();
        });
    });
    rig.store_all();
    assert!(rig.own_time().0 > 0);
    drop(claim);
    rig.look_for_orphans();
    let [published, stored, lost] = rig.ledger();
    assert_eq!((stored, lost), (published, 0));
    let (found, expected) = rig.own_time();
    assert_eq!(found, expected);
}

/// A thread that has claimed a slot when the recording ends may publish it while the last batch is made.
#[test]
fn what_comes_beside_the_last_batch_stays_in_the_ring() {
    let mut rig = rig(RING);
    rig.record(LOT);
    rig.drain();
    rig.record(700);
    // A piece of what was taken first. The rest, and what came then, is left for the last batch.
    rig.writer.commit();
    assert_eq!((rig.writer.raw.len(), rig.writer.next.len()), (500, 700));
    rig.record(LOT);
    // In slots: a span whose thread is suspended before it is entered may take two.
    let there = rig.writer.consumer.backlog();
    assert!(there >= LOT);
    rig.writer.prepare_last();
    assert_eq!(rig.writer.consumer.backlog(), there);
    rig.writer.append();
    assert_eq!(rig.writer.consumer.backlog(), there);
    assert_eq!(rig.stored().len() as u64, LOT + 700);
    assert_eq!(rig.writer.account.stored[SPAN], LOT + 700);
}
