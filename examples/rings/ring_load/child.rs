//! A process that writes or reads.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use spandrel_ring::between::{ReadError, Reader, Ring, Start, WriteError, Writer};

use crate::arguments::{End, Load};
use crate::slot::{self, Content};

/// Which process this is, the words of its load, and where its ring is.
pub const WHO: &str = "SPANDREL_RING_LOAD_WHO";
pub const LOAD: &str = "SPANDREL_RING_LOAD";
pub const RING: &str = "SPANDREL_RING_LOAD_RING";

/// What a child says when it has joined, and before its figures.
pub const READY: &str = "CHILD READY";
pub const SAYS: &str = "CHILD SAYS ";

/// Shorter pauses are no sleep: that would be longer.
const NO_SLEEP: Duration = Duration::from_micros(200);

/// Is what the environment says, if it says something; and says that it was.
pub fn was_child() -> Result<bool, String> {
    let Ok(who) = std::env::var(WHO) else { return Ok(false) };
    let load = std::env::var(LOAD).map_err(|error| format!("{LOAD}: {error}"))?;
    let load = crate::arguments::parse(load.split_whitespace().map(str::to_owned))?;
    let load = load.ok_or("a child is asked for help")?;
    let path = std::env::var_os(RING).ok_or("a child has no ring")?;
    let ring = Ring::open(Path::new(&path)).map_err(|error| error.to_string())?;
    let number = who.split_once(' ').and_then(|(role, number)| Some((role, number.parse().ok()?)));
    let said = match number {
        Some(("writer", number)) => write(&load, number, &ring),
        Some(("reader", number)) => read(&load, number, &ring),
        _ => Err(format!("{WHO}={who} is nobody")),
    };
    let said = said.map_err(|error| format!("{who}: {error}"))?;
    say(&format!("{SAYS}{said}"))?;
    Ok(true)
}

fn say(line: &str) -> Result<(), String> {
    let mut out = io::stdout();
    // A line of its own, whatever the harness of a test has written before.
    let done = writeln!(out, "\n{line}").and_then(|()| out.flush());
    done.map_err(|error| error.to_string())
}

/// Says that it has joined, and waits until all have.
fn wait_for_all() -> Result<(), String> {
    say(READY)?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
    if read == 0 { Err("whoever has begun this process is gone".to_owned()) } else { Ok(()) }
}

fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if left > NO_SLEEP { std::thread::sleep(left - NO_SLEEP) } else { std::thread::yield_now() }
    }
}

/// Where a writer makes a slot: in bytes of its own, which are copied, or where it lies.
enum Place {
    Own(Vec<u8>),
    Ring,
}

fn publish(
    writer: &mut Writer,
    place: &mut Place,
    fill: impl FnOnce(&mut [u8]),
) -> Result<u64, WriteError> {
    match place {
        Place::Own(bytes) => {
            fill(bytes);
            writer.try_send(bytes)
        }
        Place::Ring => {
            let mut claim = writer.try_claim()?;
            claim.as_mut_slice().map(fill);
            claim.publish()
        }
    }
}

fn write(load: &Load, number: usize, ring: &Ring) -> Result<String, String> {
    let mut writer = ring.writer().map_err(|error| error.to_string())?;
    let content = Content::new(load, number);
    let mut place = if load.in_place { Place::Ring } else { Place::Own(vec![0; load.slot_bytes]) };
    wait_for_all()?;
    let began = Instant::now();
    let due = |tried: u64| load.per_second.map(|rate| Duration::from_secs_f64(tried as f64 / rate));
    let (mut tried, mut written, mut refused, mut overrun) = (0_u64, 0_u64, 0_u64, 0_u64);
    loop {
        let at = due(tried).unwrap_or_default().max(began.elapsed());
        match load.end {
            End::Behind(length) if at >= length => break,
            End::Writes(writes) if tried >= writes => break,
            _ => {}
        }
        wait_until(began + at);
        tried += 1;
        match publish(&mut writer, &mut place, |bytes| content.fill(bytes, written)) {
            Ok(_) => written += 1,
            Err(WriteError::Full) => refused += 1,
            Err(WriteError::Overrun) => overrun += 1,
            Err(why) => return Err(why.to_string()),
        }
    }
    // The last one is due before its time is over.
    let took = due(tried).unwrap_or_default().max(began.elapsed()).as_secs_f64();
    Ok(format!(
        "tried={tried} written={written} refused={refused} overrun={overrun} seconds={took}"
    ))
}

fn burn(length: Duration) {
    let began = Instant::now();
    while began.elapsed() < length {
        std::hint::spin_loop();
    }
}

/// What a reader has found out.
struct Found {
    /// Of each writer, what comes next at least.
    next: Vec<u64>,
    read: u64,
    crc_wrong: u64,
    out_of_order: u64,
}

impl Found {
    fn look(&mut self, bytes: &[u8], verify: bool) {
        self.read += 1;
        if verify && !slot::is_whole(bytes) {
            self.crc_wrong += 1;
            // What it says is anybody's guess.
            return;
        }
        let head = slot::head(bytes);
        let next = head.and_then(|(writer, number)| Some((self.next.get_mut(writer)?, number)));
        match next {
            Some((next, number)) if number >= *next => *next = number + 1,
            _ => self.out_of_order += 1,
        }
    }
}

fn join(load: &Load, ring: &Ring) -> Result<Reader, String> {
    let reader = if load.hold { ring.holding_reader() } else { ring.reader(Start::Next) };
    reader.map_err(|error| error.to_string())
}

/// Looks at the next slot, for a second at most.
fn read_one(
    reader: &mut Reader,
    place: &mut Place,
    look: impl FnOnce(&[u8]),
) -> Result<u64, ReadError> {
    const SECOND: Duration = Duration::from_secs(1);
    match place {
        Place::Own(bytes) => {
            let sequence = reader.read(bytes, SECOND)?;
            look(bytes);
            Ok(sequence)
        }
        Place::Ring => {
            let held = reader.peek(SECOND)?;
            look(&held);
            Ok(held.sequence())
        }
    }
}

fn read(load: &Load, number: usize, ring: &Ring) -> Result<String, String> {
    let mut reader = join(load, ring)?;
    let mut place = if load.in_place { Place::Ring } else { Place::Own(vec![0; load.slot_bytes]) };
    let mut found = Found { next: vec![0; load.writers], read: 0, crc_wrong: 0, out_of_order: 0 };
    wait_for_all()?;
    let began = Instant::now();
    let mut took = Duration::ZERO;
    let mut missed = 0;
    loop {
        let wrong = found.crc_wrong + found.out_of_order;
        let look = |bytes: &[u8]| found.look(bytes, load.verify);
        match read_one(&mut reader, &mut place, look) {
            Ok(sequence) => {
                if wrong == 0 && found.crc_wrong + found.out_of_order > 0 {
                    eprintln!("reader {number}: sequence {sequence} is not what was written");
                }
                took = began.elapsed();
                burn(load.burn);
            }
            Err(ReadError::Overtaken(slots)) => missed += slots,
            // The ring ends when whoever has begun this process says so, or is dead.
            Err(ReadError::TimedOut) => {}
            Err(ReadError::Ended) => break,
            Err(why) => return Err(why.to_string()),
        }
    }
    if missed != reader.missed() {
        return Err(format!("it was told of {missed} missed, and {} are counted", reader.missed()));
    }
    let (without_value, position) = (reader.without_value(), reader.position());
    let Found { read, crc_wrong, out_of_order, .. } = found;
    let took = took.as_secs_f64();
    Ok(format!(
        "read={read} missed={missed} without_value={without_value} position={position} crc_wrong={crc_wrong} \
         out_of_order={out_of_order} seconds={took}"
    ))
}
