//! Every value that a producer was let in with comes out once, whole and in its producer's order,
//! while producers outnumber cores, leases change hands and claims are dropped.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking, also in its helpers
#![allow(clippy::print_stdout)] // says how much was done

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use spandrel_ring::{ClaimError, Consumer, Ring, RingOptions, ThreadLease};

/// Three words, so that a torn slot shows: producer, number, and a mix of both.
type Value = [u64; 3];

fn value(producer: u64, number: u64) -> Value {
    [producer, number, producer.rotate_left(32) ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)]
}

#[derive(Default)]
struct Counts {
    published: AtomicU64,
    dropped_claims: AtomicU64,
    full: AtomicU64,
    /// Producers that published something; one may meet a full ring at each attempt.
    heard: AtomicU64,
}

/// Tries `attempts` claims of one to three slots; every 97th is dropped unpublished. Those of two go
/// the quick way where there is room beyond doubt.
fn produce(ring: &Ring<Value>, producer: u64, attempts: u64, counts: &Counts) {
    let here = ThreadLease::new();
    here.put(ring.lease());
    let mut number = 0;
    for attempt in 0..attempts {
        let slots = 1 + (attempt % 3) as usize;
        let is_dropped = attempt % 97 == 96;
        let fill = |index: usize, slot: &mut Value| *slot = value(producer, number + index as u64);
        if slots == 2 && !is_dropped && publish_quickly(&here, slots, fill) {
            number += 2;
            counts.published.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let mut lease = here.take();
        match lease.as_mut().map_or_else(|| ring.try_claim(slots), |lease| lease.try_claim(slots)) {
            Ok(mut claim) => {
                for index in 0..slots {
                    *claim.slot(index) = value(producer, number + index as u64);
                }
                if is_dropped {
                    drop(claim);
                    counts.dropped_claims.fetch_add(1, Ordering::Relaxed);
                } else {
                    claim.publish();
                    number += slots as u64;
                    counts.published.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(ClaimError::Full | ClaimError::Contended) => {
                counts.full.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
        here.put(lease);
    }
    drop(here.take());
    counts.heard.fetch_add(u64::from(number > 0), Ordering::Relaxed);
}

fn publish_quickly(
    here: &ThreadLease<Value>,
    slots: usize,
    fill: impl FnMut(usize, &mut Value),
) -> bool {
    let Some(mut borrowed) = here.borrow() else { return false };
    let published = borrowed.publish_if_roomy::<2>(0, slots, fill);
    here.give_back(borrowed);
    published
}

/// Sets a flag when it goes away, also by a panic: then nobody waits for ever.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A ring on the heap; and one in a mapped file, of which no more than the memory is left.
fn rings(options: RingOptions) -> Vec<(Ring<Value>, Consumer<Value>)> {
    #[cfg(all(feature = "mapped", target_os = "linux", not(miri)))]
    let mapped = {
        use spandrel_ring::file::{FileSettings, RingFile};
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = format!("/dev/shm/spandrel-stress-{}-{number}", std::process::id());
        let path = std::path::Path::new(&folder).join("run.ring");
        let settings = FileSettings { ring: options, ..FileSettings::default() };
        let file = RingFile::create::<Value>(&path, &settings).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        file.ring()
    };
    #[cfg(not(all(feature = "mapped", target_os = "linux", not(miri))))]
    let mapped = None;
    std::iter::once(Ring::new(options)).chain(mapped).collect()
}

/// Runs `rounds` generations of `threads` producers against one consumer and checks everything.
fn run(capacity: usize, threads: u64, rounds: u64, attempts: u64) {
    for (ring, consumer) in rings(RingOptions { capacity, partitions: 2 }) {
        run_on(&ring, consumer, threads, rounds, attempts);
    }
}

fn run_on(
    ring: &Ring<Value>,
    mut consumer: Consumer<Value>,
    threads: u64,
    rounds: u64,
    attempts: u64,
) {
    let counts = Counts::default();
    let done = AtomicBool::new(false);
    let (entries, tombstones, next) = std::thread::scope(|scope| {
        let consumer = scope.spawn(|| {
            let (mut entries, mut tombstones) = (0, 0);
            let mut next: HashMap<u64, u64> = HashMap::new();
            loop {
                let last_round = done.load(Ordering::Acquire);
                let mut drained = 0;
                for partition in 0..consumer.partitions() {
                    let result = consumer.drain(partition, 1_000, |entry| {
                        for slot in entry.slots() {
                            let [producer, number, _] = *slot;
                            assert_eq!(*slot, value(producer, number), "torn slot");
                            let wanted = next.entry(producer).or_default();
                            assert_eq!(number, *wanted, "producer {producer} out of order");
                            *wanted += 1;
                        }
                    });
                    entries += result.entries;
                    tombstones += result.tombstones;
                    drained += result.slots;
                }
                if drained == 0 {
                    if last_round {
                        return (entries, tombstones, next);
                    }
                    consumer.park(Duration::from_micros(200));
                }
            }
        });
        let producing = SetAtEnd(&done);
        for round in 0..rounds {
            let counts = &counts;
            std::thread::scope(|producers| {
                for thread in 0..threads {
                    producers
                        .spawn(move || produce(ring, round * threads + thread, attempts, counts));
                }
            });
        }
        drop(producing);
        consumer.join().unwrap()
    });
    assert_eq!(entries, counts.published.load(Ordering::Relaxed));
    assert_eq!(entries, ring.published()[0], "the ring's own count");
    assert_eq!(tombstones, counts.dropped_claims.load(Ordering::Relaxed));
    assert_eq!(
        entries + tombstones + counts.full.load(Ordering::Relaxed),
        rounds * threads * attempts
    );
    assert_eq!(next.len() as u64, counts.heard.load(Ordering::Relaxed));
    assert_eq!(ring.backlog(), 0);
}

const SCALE: u64 = if cfg!(miri) { 1 } else { 200 };

#[test]
fn nothing_is_lost_torn_or_reordered_in_a_tiny_ring() {
    run(16, 4, 2, 60 * SCALE);
}

#[test]
fn nothing_is_lost_torn_or_reordered_in_a_roomy_ring() {
    run(4096, 6, 2, 60 * SCALE);
}

/// Minutes of the same, for `scripts/ring_stress.sh`: `SPANDREL_STRESS_SECONDS=120`.
#[test]
fn nothing_is_lost_for_as_long_as_asked() {
    let seconds = std::env::var("SPANDREL_STRESS_SECONDS").ok();
    let seconds = Duration::from_secs(seconds.map_or(0, |it| it.parse().expect("a number")));
    let (began, mut rounds) = (Instant::now(), 0);
    while began.elapsed() < seconds {
        // The smallest one whose partitions take claims of three slots.
        for capacity in [16, 64, 1024, 65_536] {
            run(capacity, 8, 4, 50_000);
            rounds += 1;
        }
    }
    println!("partitions, leased and shared: {rounds} rounds");
}

#[test]
fn a_panic_in_the_reader_gives_back_what_it_was_handed() {
    let (ring, mut consumer) = Ring::<Value>::new(RingOptions { capacity: 8, partitions: 1 });
    for number in 0..3 {
        let mut claim = ring.try_claim(1).unwrap();
        *claim.slot(0) = value(0, number);
        claim.publish();
    }
    let shared = ring.shared_partition();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        consumer.drain(shared, usize::MAX, |entry| {
            assert_ne!(entry.slots().next().unwrap()[1], 1, "the second entry is poisonous");
        });
    }));
    assert!(panicked.is_err());
    let mut rest = Vec::new();
    consumer.drain(shared, usize::MAX, |entry| rest.extend(entry.slots().map(|slot| slot[1])));
    assert_eq!(rest, [2]);
}

#[test]
fn a_drain_up_to_a_position_leaves_what_begins_there() {
    let (ring, mut consumer) = Ring::<Value>::new(RingOptions { capacity: 16, partitions: 1 });
    let shared = ring.shared_partition();
    ring.try_claim(2).unwrap().publish();
    drop(ring.try_claim(1).unwrap());
    let end = consumer.tail(shared);
    ring.try_claim(1).unwrap().publish();
    let drained = consumer.drain_until(shared, end, |_| ());
    assert_eq!((drained.entries, drained.tombstones, drained.slots), (1, 1, 3));
    assert_eq!(consumer.position(shared), end);
    assert_eq!(consumer.drain_until(shared, end, |_| ()).slots, 0);
    assert_eq!(consumer.drain(shared, usize::MAX, |_| ()).entries, 1);
}

#[test]
fn what_is_kept_is_no_room_until_it_is_given_back() {
    let (ring, mut consumer) = Ring::<Value>::new(RingOptions { capacity: 8, partitions: 1 });
    let shared = ring.shared_partition();
    let capacity = ring.capacities()[shared] as u64;
    let fill =
        || (0..).take_while(|_| ring.try_claim(1).map(|claim| claim.publish()).is_ok()).count();
    consumer.keep_slots();
    assert_eq!(fill() as u64, capacity);
    assert_eq!(consumer.drain(shared, 3, |_| ()).entries, 3);
    assert_eq!((consumer.position(shared), fill()), (3, 0), "they are kept");
    consumer.give_back(shared, 2);
    consumer.give_back(shared, 1);
    assert_eq!((consumer.backlog(), fill()), (capacity - 2, 2));
    consumer.give_back(shared, u64::MAX);
    assert_eq!((consumer.position(shared), fill()), (3, 1), "no more than was handed out");
    assert_eq!(consumer.drain(shared, usize::MAX, |_| ()).entries, capacity);
    assert_eq!(consumer.position(shared), capacity + 3);
}

#[test]
fn a_closed_ring_refuses_claims_and_still_drains() {
    let (ring, mut consumer) = Ring::<Value>::new(RingOptions { capacity: 8, partitions: 1 });
    let mut lease = ring.lease().unwrap();
    lease.try_claim(1).unwrap().publish();
    ring.close();
    assert_eq!(lease.try_claim(1).err(), Some(ClaimError::Closed));
    assert_eq!(ring.try_claim(1).err(), Some(ClaimError::Closed));
    let leased = lease.partition();
    assert_eq!(consumer.drain(leased, usize::MAX, |_| ()).entries, 1);
}

#[test]
fn a_claim_that_can_never_succeed_says_so() {
    let (ring, _consumer) = Ring::<Value>::new(RingOptions { capacity: 8, partitions: 1 });
    let mut lease = ring.lease().unwrap();
    for slots in [0, ring.claim_max() + 1, usize::MAX] {
        assert_eq!(lease.try_claim(slots).err(), Some(ClaimError::BadLength));
        assert_eq!(ring.try_claim(slots).err(), Some(ClaimError::BadLength));
    }
}
