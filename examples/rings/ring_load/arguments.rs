//! The command line, and the same words for the processes that this one begins.

use std::time::Duration;

use crate::options::Options;

pub const HELP: &str = "\
Writers and readers in processes of their own, over one ring: how much of a rate is held, what is missed.

Usage: cargo run --release --example ring_load -- [OPTIONS]

Options:
  --slot-bytes N        bytes of a slot, 16 or more [default: 1024]
  --slots N             slots of the ring; the next power of two is taken [default: 64]
  --duration-seconds S  how long writers write, fractions allowed [default: 5]
  --writes N            instead: how many writes each writer tries
  --writes-per-second N|max
                        the rate that each writer is to hold [default: 1000]
  --writers N           processes that write, 1 to 64 [default: 1]
  --readers N           processes that read, 0 to 1000 [default: 1]
  --reader-burn-cpu-milliseconds N
                        what each reader does behind each slot [default: 0]
  --hold                readers hold writers back; a write that finds no room is refused and counted.
                        Without it readers are overtaken, and told what they missed
  --in-place            slots are written and read where they lie, and not copied; readers hold
  --no-verify-writes    without the checksum at the end of each slot
  --find-knee           doubles the rate from --writes-per-second on until somebody holds less than 95 %
                        of it, and says where that begins
  -h, --help            this text

Each slot says whose it is and which one, is written anew in all of its bytes, and ends with the CRC-32 of all
before. Each reader looks at all of it. What it read, what it missed and what has no value must
be, together, all that was claimed; and the writes that were tried are those that were published or refused.

The last line is for machines:
  RESULT target_per_second= writers_percent= readers_percent= written= refused= missed= crc_wrong= verified=yes|no
         knee_per_second=
percent is of the rate, of the slowest one; knee_per_second is there with --find-knee.

Exit code: 0 verified, 1 a checksum is wrong, something came out of order or the counts do not add up,
2 wrong usage.";

/// Two would not do: a claim is passed over when others come round the ring.
const SLOTS_MIN: usize = 4;
pub const SLOT_BYTES_MIN: usize = 16;

/// When a writer ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    Behind(Duration),
    Writes(u64),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    pub slot_bytes: usize,
    pub slots: usize,
    pub end: End,
    /// Of each writer; none: as fast as it can.
    pub per_second: Option<f64>,
    pub writers: usize,
    pub readers: usize,
    pub burn: Duration,
    pub hold: bool,
    pub in_place: bool,
    pub verify: bool,
    pub find_knee: bool,
    /// The write whose slot is spoilt behind its checksum: in tests.
    pub spoilt: Option<u64>,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            slot_bytes: 1024,
            slots: 64,
            end: End::Behind(Duration::from_secs(5)),
            per_second: Some(1_000.0),
            writers: 1,
            readers: 1,
            burn: Duration::ZERO,
            hold: false,
            in_place: false,
            verify: true,
            find_knee: false,
            spoilt: None,
        }
    }
}

impl Load {
    /// The words that say it.
    pub fn words(&self) -> String {
        let mut words = format!(
            "--slot-bytes={} --slots={} --writers={} --readers={} --reader-burn-cpu-milliseconds={}",
            self.slot_bytes,
            self.slots,
            self.writers,
            self.readers,
            self.burn.as_millis()
        );
        match self.end {
            End::Behind(length) => {
                words += &format!(" --duration-seconds={}", length.as_secs_f64());
            }
            End::Writes(writes) => words += &format!(" --writes={writes}"),
        }
        match self.per_second {
            Some(rate) => words += &format!(" --writes-per-second={rate}"),
            None => words += " --writes-per-second=max",
        }
        for (is_said, word) in [
            (self.hold, "--hold"),
            (self.in_place, "--in-place"),
            (!self.verify, "--no-verify-writes"),
        ] {
            if is_said {
                words += " ";
                words += word;
            }
        }
        if let Some(write) = self.spoilt {
            words += &format!(" --spoilt={write}");
        }
        words
    }
}

/// `None` when help was asked for.
pub fn parse(words: impl Iterator<Item = String>) -> Result<Option<Load>, String> {
    let mut load = Load::default();
    let mut options = Options::new(words);
    while let Some(name) = options.next() {
        match name.as_str() {
            "-h" | "--help" => return Ok(None),
            "--slot-bytes" => load.slot_bytes = options.number_within(SLOT_BYTES_MIN, 1 << 32)?,
            "--slots" => load.slots = options.number_within(1, 1 << 30)?,
            "--duration-seconds" => {
                let seconds = options.number_within(0.01, 86_400.0)?;
                load.end = End::Behind(Duration::from_secs_f64(seconds));
            }
            "--writes" => load.end = End::Writes(options.number_within(1, u64::MAX)?),
            "--writes-per-second" => {
                load.per_second = rate(&options.value("writes a second, or max")?)?;
            }
            "--writers" => load.writers = options.number_within(1, 64)?,
            "--readers" => load.readers = options.number_within(0, 1_000)?,
            "--reader-burn-cpu-milliseconds" => {
                load.burn = Duration::from_millis(options.number_within(0, 60_000)?);
            }
            "--hold" => load.hold = options.flag()?,
            "--in-place" => {
                load.in_place = options.flag()?;
                load.hold = true;
            }
            "--no-verify-writes" => load.verify = !options.flag()?,
            "--find-knee" => load.find_knee = options.flag()?,
            "--spoilt" if cfg!(test) => load.spoilt = Some(options.number()?),
            _ => {
                return Err(format!(
                    "there is no option {name}; there are --slot-bytes, --slots, --duration-seconds, --writes, \
                     --writes-per-second, --writers, --readers, --reader-burn-cpu-milliseconds, --hold, \
                     --in-place, --no-verify-writes and --find-knee"
                ));
            }
        }
    }
    if load.find_knee && load.per_second.is_none() {
        return Err("--find-knee begins with a rate: give a number for --writes-per-second".into());
    }
    load.slots = load.slots.max(SLOTS_MIN).next_power_of_two();
    Ok(Some(load))
}

fn rate(text: &str) -> Result<Option<f64>, String> {
    match text.parse() {
        Ok(rate) if (0.01..=1e9).contains(&rate) => Ok(Some(rate)),
        Err(_) if text == "max" => Ok(None),
        _ => Err(format!("--writes-per-second {text}: give a number from 0.01 to 1e9, or max")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Option<Load>, String> {
        parse(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_load_is_what_its_words_say() {
        let load = Load {
            slots: 16,
            end: End::Writes(7),
            per_second: None,
            hold: true,
            in_place: true,
            verify: false,
            burn: Duration::from_millis(3),
            spoilt: Some(2),
            ..Load::default()
        };
        assert_eq!(parsed(&load.words()), Ok(Some(load)));
        assert_eq!(parsed(&Load::default().words()), Ok(Some(Load::default())));
    }

    #[test]
    fn a_ring_has_a_power_of_two() {
        for (asked, slots) in [("1", 4), ("3", 4), ("10", 16), ("50", 64), ("64", 64)] {
            let load = parsed(&format!("--slots {asked}"));
            assert_eq!(load.map(|it| it.map(|it| it.slots)), Ok(Some(slots)));
        }
    }

    #[test]
    fn options_that_are_not_there_or_have_no_sense_are_refused() {
        for (words, said) in [
            ("--verify_writes", "there is no option --verify_writes"),
            ("--slot-bytes 15", "--slot-bytes 15: give a number from 16"),
            ("--readers 1001", "give a number from 0 to 1000"),
            ("--writers 0", "give a number from 1 to 64"),
            ("--writes-per-second 0", "give a number from 0.01"),
            ("--writes-per-second NaN", "give a number from 0.01"),
            ("--duration-seconds", "--duration-seconds needs a number"),
            ("--hold=no", "--hold takes no value"),
            ("--find-knee --writes-per-second max", "--find-knee begins with a rate"),
        ] {
            let why = parsed(words).unwrap_err();
            assert!(why.contains(said), "{words}: {why}");
        }
    }
}
