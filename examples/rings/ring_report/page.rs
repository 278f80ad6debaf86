//! The report as text, or as a table with commas.

use std::io::{self, Write};

use crate::arguments::Arguments;
use crate::cases::Case;
use crate::clock::Clock;
use crate::figures::Figures;
use crate::memory::{self, PerSlot};
use crate::run::ONE_IN;

const CSV_HEAD: &str = "section,case,ring,producers,consumers,slots,more_threads_than_cores,million_per_second,\
    deviation_percent,mean_ns,p50_ns,p99_ns,p999_ns,p9999_ns,max_ns,timed,bytes_per_slot";

pub struct Page<W> {
    out: W,
    csv: bool,
    cores: usize,
    results: Vec<String>,
}

impl<W: Write> Page<W> {
    pub fn new(out: W, csv: bool, cores: usize) -> Self {
        Self { out, csv, cores, results: Vec::new() }
    }

    pub fn head(&mut self, arguments: &Arguments, clock: Clock) -> io::Result<()> {
        if self.csv {
            return writeln!(self.out, "{CSV_HEAD}");
        }
        let cores = self.cores;
        let (runs, length) = (arguments.runs, arguments.length);
        writeln!(
            self.out,
            "Rings of slots of 64 bytes; {cores} cores; {runs} runs of {length:?} each."
        )?;
        writeln!(
            self.out,
            "Rows with * have more threads than cores: their threads take turns.\n"
        )?;
        let reading = clock.reading_ns;
        writeln!(
            self.out,
            "A rate counts what was published and seen by each consumer, until the last one has seen all of it.\n\
             A latency is that of one publication, from the attempt until it is published: with the wait for\n\
             room, if there is none. One in {ONE_IN} is timed, so that the rest go at full speed. Reading the clock\n\
             takes {reading:.0} ns (the median), which is in each latency and not taken out. `max` is the longest that\n\
             was timed. All words of each item are compared, and the order of each producer."
        )
    }

    pub fn section(&mut self, name: &str) -> io::Result<()> {
        if self.csv {
            return Ok(());
        }
        writeln!(
            self.out,
            "\n{name}\n{:<26} {:<10} {:>10} {:>8} {:>6} {:>9} {:>8} {:>9} {:>9} {:>10} {:>11}",
            "case",
            "ring",
            "slots",
            "M/s",
            "sd %",
            "mean ns",
            "p50 ns",
            "p99 ns",
            "p99.9 ns",
            "p99.99 ns",
            "max ns"
        )
    }

    fn mark(&self, case: &Case) -> &'static str {
        if case.threads() > self.cores { " *" } else { "" }
    }

    pub fn case(&mut self, case: &Case, figures: &Figures) -> io::Result<()> {
        let Figures { mops, deviation, mean_ns, ns, samples } = figures;
        let [p50, p99, p999, p9999, max] = ns;
        let (name, ring, slots) = (&case.name, case.ring, case.shape.slots);
        if self.csv {
            let (producers, consumers) = (case.shape.producers, case.shape.consumers);
            let over = case.threads() > self.cores;
            return writeln!(
                self.out,
                "{},{name},{ring},{producers},{consumers},{slots},{over},{mops:.3},{deviation:.2},{mean_ns:.1},\
                 {p50:.0},{p99:.0},{p999:.0},{p9999:.0},{max:.0},{samples},",
                case.section
            );
        }
        self.results
            .push(format!("RESULT case={name} mops={mops:.2} p50_ns={p50:.0} p9999_ns={p9999:.0}"));
        let marked = format!("{name}{}", self.mark(case));
        writeln!(
            self.out,
            "{marked:<26} {ring:<10} {slots:>10} {mops:>8.2} {deviation:>6.2} {mean_ns:>9.1} {p50:>8.0} {p99:>9.0} \
             {p999:>9.0} {p9999:>10.0} {max:>11.0}"
        )?;
        self.out.flush()
    }

    /// Aloud, also where only the table is wanted.
    pub fn skipped(&mut self, case: &Case, why: &str) -> io::Result<()> {
        let line =
            format!("{:<26} {:<10} {:>10} LEFT OUT: {why}", case.name, case.ring, case.shape.slots);
        if self.csv {
            eprintln!("{line}");
            return Ok(());
        }
        writeln!(self.out, "{line}")
    }

    pub fn memory(&mut self, kinds: &[PerSlot]) -> io::Result<()> {
        if !self.csv {
            writeln!(
                self.out,
                "\nMEMORY, what the process has more when a ring was made and filled\n{:<26} {:<10} {:>10} {:>11} \
                 {:>13} {:>12}",
                "case", "ring", "slots", "value bytes", "bytes", "bytes a slot"
            )?;
        }
        for PerSlot { ring, value, slots, bytes, per_slot } in kinds {
            let name = memory::name(ring);
            if self.csv {
                writeln!(self.out, "MEMORY,{name},{ring},,,{slots},,,,,,,,,,,{per_slot:.2}")?;
                continue;
            }
            self.results.push(format!("RESULT case={name} bytes_per_slot={per_slot:.2}"));
            writeln!(
                self.out,
                "{name:<26} {ring:<10} {slots:>10} {value:>11} {bytes:>13} {per_slot:>12.2}"
            )?;
        }
        Ok(())
    }

    pub fn no_memory(&mut self) -> io::Result<()> {
        let line = "MEMORY SKIPPED: this system does not say what a process has in memory";
        if self.csv {
            eprintln!("{line}");
            return Ok(());
        }
        writeln!(self.out, "\n{line}")
    }

    pub fn end(&mut self) -> io::Result<()> {
        if !self.csv {
            writeln!(self.out)?;
        }
        for result in &self.results {
            writeln!(self.out, "{result}")?;
        }
        self.out.flush()
    }
}
