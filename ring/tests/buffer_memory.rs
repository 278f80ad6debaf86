//! How much memory a buffer takes, as the allocator sees it: no more than its bound, and what is said to come beside it.

#![cfg(feature = "buffer")]
#![allow(unsafe_code, clippy::panic, clippy::unwrap_used)] // an allocator that counts; a test fails by panicking

use std::alloc::{GlobalAlloc, Layout, System};
use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use spandrel_ring::buffer::{Batch, Map, Options, Queue, Update, Why};

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Relaxed: numbers.
        let bytes = BYTES.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(bytes, Ordering::Relaxed);
        // SAFETY: as of the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // Relaxed: as above.
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as of the caller.
        unsafe { System.dealloc(at, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// All threads count: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// The most that is allocated at once meanwhile, beside what is before.
fn most(run: impl FnOnce()) -> usize {
    // Relaxed: nothing else runs.
    let before = BYTES.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    run();
    MOST.load(Ordering::Relaxed) - before
}

const BOUND: u64 = if cfg!(miri) { 20_000 } else { 1_000_000 };
const PARTITIONS: usize = 2;
/// Two blocks of 4 KiB for each partition; the buffer itself, its threads' names, and a little more.
const BESIDE: usize = PARTITIONS * 2 * 4096 + 8_192;
const LONG: Duration = Duration::from_secs(1_000);

fn options() -> Options {
    let options = Options::new().partitions(PARTITIONS).interval(LONG).time_out(LONG);
    options.capacity(4_000_000).capacity_bytes(BOUND).tries(1).backoff(Duration::ZERO)
}

#[test]
fn a_queue_keeps_within_its_bound_in_bytes() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for batch_size in [10, 1_000, usize::MAX] {
        let most = most(|| {
            let queue = Queue::builder()
                .options(options().batch_size(batch_size))
                .weigh(String::capacity)
                .by_key(|text: &String| text.len())
                .start(|batch: &Batch<String>| {
                    if batch[0].len().is_multiple_of(2) {
                        Err("these stay as dead letters")
                    } else {
                        Ok(())
                    }
                })
                .unwrap();
            let mut refused = 0;
            for length in (0..200).cycle() {
                match queue.push("x".repeat(length)) {
                    Ok(()) => {}
                    Err(why) if why.why == Why::Full => {
                        refused += 1;
                        queue.flush(LONG).unwrap();
                        if refused == 2 || refused == 4 {
                            drop(queue.dead_letters());
                        }
                    }
                    Err(why) => panic!("{why}"),
                }
                if refused == 6 {
                    break;
                }
            }
            queue.close(LONG);
        });
        assert!(most <= BOUND as usize + BESIDE, "{most} in batches of {batch_size}");
        assert!(batch_size < 1_000 || most >= BOUND as usize / 2, "{most}: it was never full");
    }
}

#[test]
fn a_map_keeps_within_its_bound_in_bytes_with_the_versions_that_it_remembers() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    const VERSIONS: usize = if cfg!(miri) { 50 } else { 2_000 };
    // As large as an entry of such a map: what stands in the documentation of `versions_max`.
    const VERSION_BYTES: usize = 200;
    for batch_size in [10, usize::MAX] {
        let most = most(|| {
            let map = Map::builder()
                .options(options().batch_size(batch_size).versions_max(VERSIONS))
                .weigh(|_: &u64, text: &String| text.capacity())
                .start(|_: &Batch<Update<u64, String>>| Ok::<(), Infallible>(()))
                .unwrap();
            let mut refused = 0;
            for key in 0.. {
                let text = "x".repeat(key as usize % 100);
                match map.put_newer(key, text, 1) {
                    Ok(_) => {}
                    Err(why) if why.why == Why::Full => {
                        refused += 1;
                        map.flush(LONG).unwrap();
                    }
                    Err(why) => panic!("{why}"),
                }
                // Small batches are processed while it fills.
                if refused == 3 || key == BOUND / 20 {
                    break;
                }
            }
            map.flush(LONG).unwrap();
            let metrics = map.metrics();
            assert_eq!(metrics.versions, VERSIONS);
            assert!(metrics.versions_forgotten > 0);
            map.close(LONG);
        });
        let bound = BOUND as usize + VERSIONS * VERSION_BYTES + BESIDE;
        assert!(most <= bound, "{most} of {bound} in batches of {batch_size}");
    }
}

/// However long it goes on.
#[test]
fn memory_does_not_grow_with_what_has_passed() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let rounds = if cfg!(miri) { 10 } else { 2_000 };
    let mut after = Vec::new();
    let map = Map::builder()
        .options(options().capacity(100).batch_size(50).versions_max(20))
        .start(|_: &Batch<Update<u64, u64>>| Ok::<(), Infallible>(()))
        .unwrap();
    for round in 0..rounds {
        for key in 0..50 {
            map.put_newer(round * 50 + key, key, 1).unwrap();
            map.put(round * 50 + key, key).unwrap();
            map.delete(&(round * 50 + key - key % 7));
        }
        map.flush(LONG).unwrap();
        // Relaxed: the buffer's threads have nothing to do.
        after.push(BYTES.load(Ordering::Relaxed));
    }
    let (early, late) = (after[after.len() / 2], *after.last().unwrap());
    // What is left at the moment of a flush may differ by what a thread is about to give back.
    assert!(late <= early + 8_192, "{early}, then {late}");
    map.close(LONG);
}
