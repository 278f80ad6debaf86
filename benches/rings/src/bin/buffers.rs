//! So many pushes into a buffer, or puts, on one thread, for scripts/buffers.sh: `buffers CASE ITEMS`. Without a case: the
//! names of all cases.
//!
//! Nothing is due meanwhile: what the buffer's threads do is counted apart from what producers do.

use std::convert::Infallible;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use spandrel_ring::buffer::{ALL, Batch, Map, Options, Queue, Update};

const CASES: [&str; 6] = [
    "push",
    "push_by_key",
    "push_string_weighed",
    "put_existing",
    "put_newer_existing",
    "put_first",
];

fn options() -> Options {
    let long = Duration::from_secs(1_000_000);
    Options::new().partitions(4).batch_size(ALL).interval(long).capacity(1 << 24)
}

fn run(case: &str, items: u64) -> Option<()> {
    let numbers = || Queue::builder().options(options());
    match case {
        "push" => {
            let queue = numbers().start(|_: &Batch<u64>| Ok::<(), Infallible>(())).ok()?;
            (0..items).try_for_each(|item| queue.push(black_box(item)).ok())?;
        }
        "push_by_key" => {
            let queue = numbers().by_key(|item: &u64| *item);
            let queue = queue.start(|_: &Batch<u64>| Ok::<(), Infallible>(())).ok()?;
            (0..items).try_for_each(|item| queue.push(black_box(item)).ok())?;
        }
        "push_string_weighed" => {
            let queue = Queue::builder().options(options()).weigh(String::capacity);
            let queue = queue.start(|_: &Batch<String>| Ok::<(), Infallible>(())).ok()?;
            (0..items).try_for_each(|_| queue.push(black_box(String::new())).ok())?;
        }
        _ => {
            let map = Map::builder().options(options());
            let map = map.start(|_: &Batch<Update<u64, u64>>| Ok::<(), Infallible>(())).ok()?;
            let keys = if case == "put_first" { u64::MAX } else { 1_000 };
            for key in 0..keys.min(1_000) {
                map.put(key, 0).ok()?;
            }
            for item in 0..items {
                let key = black_box(item % keys);
                match case {
                    "put_newer_existing" => map.put_newer(key, item, item).ok()?,
                    "put_existing" | "put_first" => map.put(key, item).ok()?,
                    _ => return None,
                };
            }
        }
    }
    Some(())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(case) = arguments.next() else {
        println!("{}", CASES.join("\n"));
        return ExitCode::SUCCESS;
    };
    let items = arguments.next().and_then(|items| items.parse().ok()).unwrap_or(1_000);
    run(&case, items).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}
