//! What all processes have said, and whether it adds up.

use std::str::FromStr;

use crate::arguments::Load;

/// A writer's own figures.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    pub tried: u64,
    pub written: u64,
    /// No room, as a reader holds.
    pub refused: u64,
    /// Passed over while the process stood still.
    pub overrun: u64,
    pub seconds: f64,
}

/// A reader's own figures.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    pub read: u64,
    pub missed: u64,
    pub without_value: u64,
    /// The sequence behind the last one that it looked at; the first one was 0.
    pub position: u64,
    pub crc_wrong: u64,
    pub out_of_order: u64,
    pub seconds: f64,
}

/// The value of a name, of `name=value` words.
fn of<T: FromStr>(said: &str, name: &str) -> Result<T, String> {
    let mut words = said.split_whitespace().filter_map(|word| word.split_once('='));
    let value = words.find(|(its, _)| *its == name).and_then(|(_, value)| value.parse().ok());
    value.ok_or_else(|| format!("a process does not say {name}: {said}"))
}

impl Writer {
    pub fn said(said: &str) -> Result<Self, String> {
        Ok(Self {
            tried: of(said, "tried")?,
            written: of(said, "written")?,
            refused: of(said, "refused")?,
            overrun: of(said, "overrun")?,
            seconds: of(said, "seconds")?,
        })
    }
}

impl Reader {
    pub fn said(said: &str) -> Result<Self, String> {
        Ok(Self {
            read: of(said, "read")?,
            missed: of(said, "missed")?,
            without_value: of(said, "without_value")?,
            position: of(said, "position")?,
            crc_wrong: of(said, "crc_wrong")?,
            out_of_order: of(said, "out_of_order")?,
            seconds: of(said, "seconds")?,
        })
    }
}

#[derive(Debug, Clone)]
pub struct Outcome {
    pub load: Load,
    pub writers: Vec<Writer>,
    pub readers: Vec<Reader>,
    /// Sequences, by the ring's own word.
    pub claimed: u64,
    /// Of those, the ones that may have no value: passed over, or of dead writers.
    pub lost_claims: u64,
}

impl Outcome {
    pub fn written(&self) -> u64 {
        self.writers.iter().map(|writer| writer.written).sum()
    }

    pub fn refused(&self) -> u64 {
        self.writers.iter().map(|writer| writer.refused).sum()
    }

    pub fn missed(&self) -> u64 {
        self.readers.iter().map(|reader| reader.missed).sum()
    }

    pub fn crc_wrong(&self) -> u64 {
        self.readers.iter().map(|reader| reader.crc_wrong).sum()
    }

    /// Of the rate, how much a writer has held. Without a rate it is its own.
    pub fn writer_percent(&self, writer: &Writer) -> f64 {
        let wanted = self.load.per_second.map_or(writer.written as f64, |it| it * writer.seconds);
        percent(writer.written as f64, wanted)
    }

    /// Of the rates of all writers, how much a reader has read.
    pub fn reader_percent(&self, reader: &Reader) -> f64 {
        let wanted = |writer: &Writer| match self.load.per_second {
            Some(rate) => rate * writer.seconds.max(reader.seconds),
            None => writer.written as f64,
        };
        percent(reader.read as f64, self.writers.iter().map(wanted).sum())
    }

    /// What the slowest writer and the slowest reader have held.
    pub fn percents(&self) -> (f64, f64) {
        let least = |all: &mut dyn Iterator<Item = f64>| all.fold(f64::INFINITY, f64::min);
        let writers = least(&mut self.writers.iter().map(|it| self.writer_percent(it)));
        let readers = least(&mut self.readers.iter().map(|it| self.reader_percent(it)));
        (writers, if self.readers.is_empty() { 100.0 } else { readers })
    }

    /// What does not add up.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (number, writer) in self.writers.iter().enumerate() {
            let Writer { tried, written, refused, overrun, .. } = *writer;
            if tried != written + refused + overrun {
                faults.push(format!(
                    "writer {number} tried {tried} writes; {written} are published, {refused} refused and {overrun} \
                     passed over"
                ));
            }
            if refused > 0 && !self.load.hold && self.load.writers == 1 {
                faults.push(format!(
                    "writer {number} was refused {refused} times, and nobody holds it back"
                ));
            }
        }
        let (claimed, written) = (self.claimed, self.written());
        let overrun: u64 = self.writers.iter().map(|writer| writer.overrun).sum();
        if claimed < written || claimed > written + overrun + self.lost_claims {
            faults.push(format!("{claimed} slots were claimed, and {written} published"));
        }
        for (number, reader) in self.readers.iter().enumerate() {
            let Reader { read, missed, without_value, position, .. } = *reader;
            if position != claimed || read + missed + without_value != claimed {
                faults.push(format!(
                    "reader {number} read {read}, missed {missed} and found {without_value} without a value, up to \
                     {position}: of {claimed}"
                ));
            }
            if read > written || missed == 0 && read != written {
                faults.push(format!("reader {number} read {read}, and {written} were published"));
            }
            if missed > 0 && self.load.hold {
                faults.push(format!("reader {number} holds, and missed {missed}"));
            }
            for (what, count) in [
                ("with a wrong checksum", reader.crc_wrong),
                ("out of order or of nobody", reader.out_of_order),
            ] {
                if count > 0 {
                    faults.push(format!("reader {number} read {count} slots {what}"));
                }
            }
        }
        faults
    }
}

fn percent(part: f64, of: f64) -> f64 {
    if of > 0.0 { part * 100.0 / of } else { 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Outcome {
        let writer = "tried=10 written=8 refused=2 overrun=0 seconds=1";
        let reader =
            "read=8 missed=0 without_value=0 position=8 crc_wrong=0 out_of_order=0 seconds=1";
        Outcome {
            load: Load { per_second: Some(10.0), hold: true, ..Load::default() },
            writers: vec![Writer::said(writer).unwrap()],
            readers: vec![Reader::said(reader).unwrap()],
            claimed: 8,
            lost_claims: 0,
        }
    }

    #[test]
    fn what_adds_up_has_no_fault() {
        assert_eq!(good().faults(), [""; 0]);
        assert_eq!(good().percents(), (80.0, 80.0));
    }

    #[test]
    fn each_number_that_does_not_add_up_is_a_fault() {
        let spoil: [fn(&mut Outcome); 13] = [
            |it| it.writers[0].tried += 1,
            |it| it.writers[0].written += 1,
            |it| it.writers[0].refused += 1,
            |it| it.writers[0].overrun += 1,
            |it| it.claimed += 1,
            |it| it.claimed -= 1,
            |it| it.readers[0].read += 1,
            |it| it.readers[0].read -= 1,
            |it| it.readers[0].missed += 1,
            |it| it.readers[0].without_value += 1,
            |it| it.readers[0].position -= 1,
            |it| it.readers[0].crc_wrong += 1,
            |it| it.readers[0].out_of_order += 1,
        ];
        for (number, spoil) in spoil.into_iter().enumerate() {
            let mut outcome = good();
            spoil(&mut outcome);
            assert_ne!(outcome.faults(), [""; 0], "the {number}th");
        }
        let mut outcome = good();
        (outcome.readers[0].missed, outcome.readers[0].read) = (1, 7);
        assert_eq!(outcome.faults(), ["reader 0 holds, and missed 1"]);
        outcome.load.hold = false;
        outcome.writers[0].tried = 8;
        outcome.writers[0].refused = 0;
        assert_eq!(outcome.faults(), [""; 0]);
    }

    #[test]
    fn what_a_process_does_not_say_is_missed() {
        let why = Writer::said("tried=1 written=x").unwrap_err();
        assert!(why.contains("does not say written"), "{why}");
    }
}
