//! What is printed.

use crate::arguments::{End, Load};
use crate::outcome::Outcome;

fn rate(load: &Load) -> String {
    load.per_second
        .map_or("as many writes as it can".to_owned(), |it| format!("{it} writes a second"))
}

fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

pub fn head(load: &Load) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mebibytes = load.slots as f64 * load.slot_bytes as f64 / f64::from(1 << 20);
    println!(
        "{} of {} bytes ({mebibytes:.1} MiB); {cores} cores",
        many(load.slots, "slot"),
        load.slot_bytes
    );
    let until = match load.end {
        End::Behind(length) => format!("for {length:?}"),
        End::Writes(writes) => format!("{writes} of them"),
    };
    println!("{}, each {}, {until}", many(load.writers, "writer"), rate(load));
    let how = if load.hold { "hold writers back" } else { "may be overtaken" };
    let check = if load.verify { "a checksum of each slot" } else { "no checksum" };
    let place = if load.in_place { "; slots are not copied" } else { "" };
    println!("{} that {how}; {check}{place}", many(load.readers, "reader"));
    if !load.burn.is_zero() {
        println!("each reader burns {:?} of a processor behind each slot", load.burn);
    }
    println!();
}

pub fn outcome(outcome: &Outcome) {
    println!(
        "{:<12} {:>12} {:>10} {:>10} {:>9} {:>10} {:>12} {:>8}",
        "who", "slots", "refused", "missed", "seconds", "MB/s", "slots/s", "% held"
    );
    let bytes = outcome.load.slot_bytes as f64;
    let speed = |slots: u64, seconds: f64| {
        let rate = if seconds > 0.0 { slots as f64 / seconds } else { 0.0 };
        (rate * bytes / 1e6, rate)
    };
    for (number, writer) in outcome.writers.iter().enumerate() {
        let (megabytes, slots) = speed(writer.written, writer.seconds);
        let (who, none) = (format!("writer {number}"), "");
        println!(
            "{who:<12} {:>12} {:>10} {none:>10} {:>9.3} {megabytes:>10.1} {slots:>12.1} {:>8.1}",
            writer.written,
            writer.refused,
            writer.seconds,
            outcome.writer_percent(writer)
        );
    }
    for (number, reader) in outcome.readers.iter().enumerate() {
        let (megabytes, slots) = speed(reader.read, reader.seconds);
        let (who, none) = (format!("reader {number}"), "");
        println!(
            "{who:<12} {:>12} {none:>10} {:>10} {:>9.3} {megabytes:>10.1} {slots:>12.1} {:>8.1}",
            reader.read,
            reader.missed,
            reader.seconds,
            outcome.reader_percent(reader)
        );
    }
    println!();
}

pub fn step(outcome: &Outcome) {
    let (writers, readers) = outcome.percents();
    println!(
        "{:<32} writers hold {writers:>5.1} %, readers {readers:>5.1} %; {} missed, {} refused",
        rate(&outcome.load),
        outcome.missed(),
        outcome.refused()
    );
}

pub fn knee(load: &Load, knee: Option<f64>) {
    match knee {
        Some(knee) => println!("\nit knees above {knee:.0} writes a second of each writer\n"),
        None => println!("\nnot even {} are held: begin with fewer\n", rate(load)),
    }
}

pub fn result(outcome: &Outcome, knee: Option<Option<f64>>) {
    let (writers, readers) = outcome.percents();
    let target = outcome.load.per_second.map_or("max".to_owned(), |it| it.to_string());
    let verified = if outcome.faults().is_empty() { "yes" } else { "no" };
    print!(
        "RESULT target_per_second={target} writers_percent={writers:.1} readers_percent={readers:.1} written={} refused={} \
         missed={} crc_wrong={} verified={verified}",
        outcome.written(),
        outcome.refused(),
        outcome.missed(),
        outcome.crc_wrong()
    );
    match knee {
        Some(knee) => println!(" knee_per_second={:.0}", knee.unwrap_or(0.0)),
        None => println!(),
    }
}
