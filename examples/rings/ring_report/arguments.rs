//! The command line.

use std::time::Duration;

use crate::options::Options;

pub const HELP: &str = "\
Measures rings of slots of 64 bytes on this machine, and checks all that goes through them.

Usage: cargo run --release --example ring_report -- [OPTIONS]

Options:
  --quick             20 s in all: shorter runs, without the ring of 33,554,432 slots
  --runs N            runs of each case, 2 to 100 [default: 3]
  --milliseconds N    how long each run publishes, 1 to 60000 [default: 1000; of --quick: 110]
  --only TEXT         the cases whose name has this in it, and no others
  --list              the names of all cases, and nothing else
  --csv               a table with a line for each case, and nothing else
  -h, --help          this text

Rings: `single` is the broadcast ring of one producer, `shared` that of several; `partitions` is a ring
with a partition for each producer. All consumers of a row see everything.

The last lines are for machines, one for each case:
  RESULT case= mops= p50_ns= p9999_ns=
  RESULT case= bytes_per_slot=
mops is what was published, million items a second, and seen by each consumer.

Exit code: 0 all is right, 1 an item was lost, torn, doubled or out of order, or a slot takes too much memory,
2 wrong usage.";

/// What is to be measured, and how.
#[derive(Debug, Clone)]
pub struct Arguments {
    pub quick: bool,
    pub csv: bool,
    pub list: bool,
    pub runs: usize,
    pub length: Duration,
    pub only: Option<String>,
}

/// `None` when help was asked for.
pub fn parse(words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let (mut quick, mut csv, mut list) = (false, false, false);
    let (mut runs, mut milliseconds, mut only) = (3, None, None);
    let mut options = Options::new(words);
    while let Some(name) = options.next() {
        match name.as_str() {
            "-h" | "--help" => return Ok(None),
            "--quick" => quick = options.flag()?,
            "--list" => list = options.flag()?,
            "--csv" => csv = options.flag()?,
            "--runs" => runs = options.number_within(2, 100)?,
            "--milliseconds" => milliseconds = Some(options.number_within(1, 60_000)?),
            "--only" => only = Some(options.value("a part of a name")?),
            _ => {
                return Err(format!(
                    "there is no option {name}; there are --quick, --runs, --milliseconds, --only, --list and --csv"
                ));
            }
        }
    }
    let length = Duration::from_millis(milliseconds.unwrap_or(if quick { 110 } else { 1_000 }));
    Ok(Some(Arguments { quick, csv, list, runs, length, only }))
}

#[test]
fn options_that_are_not_there_or_have_no_sense_are_refused() {
    let parse = |words: &str| parse(words.split_whitespace().map(str::to_owned));
    assert!(parse("--quick --csv --only=4p1c").unwrap().is_some_and(|it| it.quick && it.csv));
    assert!(parse("--help").unwrap().is_none());
    for (words, said) in [
        ("--quik", "there is no option --quik"),
        ("4p1c", "there is no option 4p1c"),
        ("--runs 1", "--runs 1: give a number from 2 to 100"),
        ("--milliseconds many", "give a number"),
        ("--csv=yes", "--csv takes no value"),
        ("--only", "--only needs a part of a name"),
    ] {
        let why = parse(words).unwrap_err();
        assert!(why.contains(said), "{words}: {why}");
    }
}
