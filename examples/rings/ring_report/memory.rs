//! What a slot takes, as the system says, and what is free.

use std::any::Any;
use std::process::Command;
use std::{env, fs};

use spandrel_ring::broadcast::{self, BuildError, Producer, Producers};
use spandrel_ring::{Ring, RingOptions};

use crate::ends::Item;

/// So many that what a ring takes by itself is nothing beside them.
const SLOTS: usize = 1 << 20;

/// Which kind a process of its own is to make: one that has given nothing back before, of which its ring could be made.
const KIND: &str = "SPANDREL_RING_REPORT_MEMORY";
const SINGLE: &str = "single";
const SHARED: &str = "shared";
const PARTITIONS: &str = "partitions";

/// Each kind, and bytes of its values. With its stamp, one of 56 bytes is a line: slots of partitions are one or several.
const KINDS: [(&str, usize); 3] = [(SINGLE, 64), (SHARED, 64), (PARTITIONS, 56)];

/// A slot of a broadcast ring may take this: its value of 64 bytes and a stamp of 8.
const BYTES_MAX: f64 = 72.0;
/// What else the process may take meanwhile, a slot.
const NOISE: f64 = 0.5;

/// Of a file like `/proc/meminfo`: the number behind a name, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok().map(|kib: u64| kib * 1024)
}

/// Memory that can be had without taking it from anybody. None where the system does not say.
pub fn free() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// What this process has in memory.
fn resident() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/smaps_rollup").ok()?, "Rss:")
}

/// One kind of ring.
#[derive(Debug)]
pub struct PerSlot {
    pub ring: &'static str,
    /// Bytes of a value.
    pub value: usize,
    pub slots: usize,
    pub bytes: u64,
    pub per_slot: f64,
}

/// If this process is there for one kind: says what its ring takes, and that it was.
pub fn was_for_one_kind() -> Result<bool, String> {
    let Some(kind) = env::var_os(KIND) else { return Ok(false) };
    let before = resident().ok_or("this system does not say what a process has in memory")?;
    let ring = make(&kind.to_string_lossy())?;
    let after = resident().ok_or("this system does not say what a process has in memory")?;
    drop(ring);
    println!("{}", after.saturating_sub(before));
    Ok(true)
}

fn make(kind: &str) -> Result<Box<dyn Any>, String> {
    match kind {
        SINGLE => lap(broadcast::ring::<Item>(SLOTS).single().build()),
        SHARED => lap(broadcast::ring::<Item>(SLOTS).build()),
        // Touched when it is made.
        _ => {
            let options = RingOptions { capacity: SLOTS, partitions: 1 };
            let ring = Ring::<[u64; 7]>::try_new(options).map_err(|why| why.to_string())?;
            Ok(Box::new(ring))
        }
    }
}

fn measured(ring: &'static str, value: usize) -> Result<PerSlot, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let done = Command::new(program).env(KIND, ring).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&done.stdout);
    let bytes: u64 = said.trim().parse().map_err(|_| {
        format!("the {ring} ring was not measured: {}", String::from_utf8_lossy(&done.stderr))
    })?;
    let per_slot = bytes as f64 / SLOTS as f64;
    within(PerSlot { ring, value, slots: SLOTS, bytes, per_slot })
}

type Built<P> = Result<(Producer<Item, P>, broadcast::Ring<Item, P>), BuildError>;

/// A lap is published, so that all of it was touched.
fn lap<P: Producers>(built: Built<P>) -> Result<Box<dyn Any>, String> {
    let (mut producer, ring) = built.map_err(|why| why.to_string())?;
    for number in 0..ring.capacity() as u64 {
        producer.try_send([number; 8]).map_err(|why| why.to_string())?;
    }
    Ok(Box::new((producer, ring)))
}

/// The case of a kind.
pub fn name(ring: &str) -> String {
    format!("memory_{ring}")
}

/// The cases of all kinds.
pub fn names() -> impl Iterator<Item = String> {
    KINDS.into_iter().map(|(ring, _)| name(ring))
}

/// Each kind; none where the system does not say what a process has in memory.
pub fn per_slot() -> Option<Result<Vec<PerSlot>, String>> {
    resident()?;
    Some(KINDS.into_iter().map(|(ring, value)| measured(ring, value)).collect())
}

fn within(kind: PerSlot) -> Result<PerSlot, String> {
    if kind.per_slot <= BYTES_MAX + NOISE {
        return Ok(kind);
    }
    Err(format!(
        "a slot of {} bytes of the {} ring takes {:.1} bytes, and {BYTES_MAX} are the most it should",
        kind.value, kind.ring, kind.per_slot
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read() {
        let text = "MemTotal:       24 kB\nMemAvailable:  1000 kB\n";
        assert_eq!(kibibytes(text, "MemAvailable:"), Some(1_024_000));
        assert_eq!(kibibytes(text, "Rss:"), None);
        assert_eq!(kibibytes("Rss: many kB", "Rss:"), None);
    }

    #[test]
    fn a_slot_that_takes_more_is_refused() {
        let kind = |per_slot| PerSlot { ring: "shared", value: 64, slots: 1, bytes: 1, per_slot };
        assert!(within(kind(72.1)).is_ok());
        assert!(within(kind(80.0)).is_err_and(|why| why.contains("80.0 bytes")));
    }
}
