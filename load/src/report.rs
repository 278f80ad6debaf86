//! What people read, and a line for programs.

use std::fmt::Display;
use std::io::{self, Write};

use crate::latency::Latencies;
use crate::memory::Memory;
use crate::run::{Outcome, Prepared};
use crate::settings::{Load, Rate};

/// What is about to be made, and where.
///
/// # Errors
///
/// When `out` takes no more; the same holds for the other functions here.
pub fn load(out: &mut impl Write, prepared: &Prepared) -> io::Result<()> {
    let load = prepared.load();
    let Load { threads, depth, fields, database, .. } = load;
    let units = units(load);
    let rate = match load.rate {
        Rate::PerSecond(rate) => format!("{} {units}/s", group(rate)),
        Rate::Max => format!("as many {units} as possible"),
    };
    let makers = if load.tasks { "threads of tasks" } else { "threads" };
    let seconds = load.length.as_secs_f64();
    writeln!(out, "load       {rate} for {seconds} s on {threads} {makers}")?;
    if load.long_lived > 0 {
        let spans = group(load.long_lived as u64);
        writeln!(
            out,
            "           {depth} at a time inside each other, of {spans} long-lived spans"
        )?;
    } else {
        let event = if load.events { ", and one event" } else { "" };
        writeln!(out, "           trees of {depth} spans with {fields} fields each{event}")?;
    }
    let replaced = if prepared.replaced() { ", instead of an earlier load test's" } else { "" };
    writeln!(out, "database   {}{replaced}", database.display())
}

/// What a rate is of.
fn units(load: &Load) -> &'static str {
    if load.long_lived > 0 { "entries" } else { "spans" }
}

/// Everything about the outcome: latency, ledger, writer, file, verification.
///
/// # Errors
///
/// When `out` takes no more.
pub fn outcome(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    latency(out, outcome)?;
    generator(out, outcome)?;
    ledger(out, outcome)?;
    writer(out, outcome)?;
    verification(out, outcome)
}

/// What a span costs, beside what it costs without us.
fn latency(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    writeln!(out, "\nlatency in ns{}", columns(["p50", "p99", "p99.9", "p99.99", "max"]))?;
    let clock = outcome.clock.as_nanos();
    let what = match outcome.load.long_lived {
        0 => "span: create + enter + exit + close",
        _ => "entry: enter + exit",
    };
    writeln!(out, "one {what}, and {clock} for the clock that is looked at")?;
    let (plain, made) = (outcome.baseline.as_ref(), &outcome.made);
    rows(out, plain.map(|plain| plain.service()), made.service())?;
    if outcome.load.rate != Rate::Max {
        writeln!(out, "the same, counted from the moment when its tree was due")?;
        rows(out, plain.map(|plain| plain.response()), made.response())?;
    }
    Ok(())
}

fn rows(out: &mut impl Write, plain: Option<&Latencies>, ours: &Latencies) -> io::Result<()> {
    let figures = |latencies: &Latencies| {
        let [p50, p99, p999, p9999] = [0.5, 0.99, 0.999, 0.9999].map(|q| latencies.quantile_ns(q));
        [p50, p99, p999, p9999, latencies.max_ns()]
    };
    if let Some(plain) = plain {
        writeln!(out, "  {:11}{}", "no-op layer", columns(figures(plain).map(group)))?;
    }
    writeln!(out, "  {:11}{}", "spandrel", columns(figures(ours).map(group)))?;
    let Some(plain) = plain else { return Ok(()) };
    let (plain, ours) = (figures(plain), figures(ours));
    let ratio = |i: usize| format!("x {:.2}", ours[i] as f64 / plain[i].max(1) as f64);
    writeln!(out, "  {:11}{}", "", columns(std::array::from_fn::<_, 5, _>(ratio)))
}

fn generator(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    let made = &outcome.made;
    let seconds = made.took().as_secs_f64();
    let units = units(&outcome.load);
    writeln!(out, "\ngenerator  {} {units}/s over {seconds:.2} s", group(made.rate()))?;
    if outcome.load.tasks {
        let percent = percent(made.moved(), made.trees());
        writeln!(out, "           {percent} of the trees ended on another thread than they began")?;
    }
    if let Some(due) = outcome.fell_behind() {
        let (made, due) = (group(made.units()), group(due));
        writeln!(out, "           fell behind: {made} of {due} {units} made")?;
    }
    Ok(())
}

fn ledger(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    let cells = ["recorded", "= stored", "+ dropped", "+ in flight", "unfinished"];
    writeln!(out, "\nledger       {}", columns(cells))?;
    let report = &outcome.report;
    let (spans, events, entries) = (&report.spans(), &report.events, &report.entries);
    for (name, ledger, unfinished) in [
        ("spans", spans, group(report.unfinished)),
        ("events", events, "-".into()),
        ("entries", entries, "-".into()),
    ] {
        if name == "entries" && ledger.recorded == 0 {
            continue;
        }
        let dropped = group(ledger.dropped.total());
        let [recorded, stored, in_flight] =
            [ledger.recorded, ledger.stored, ledger.in_flight].map(group);
        let cells = columns([recorded, stored, dropped, in_flight, unfinished]);
        writeln!(out, "  {name:11}{cells}")?;
    }
    let reasons = spans.dropped.iter().zip(events.dropped.iter()).zip(entries.dropped.iter());
    for (((reason, spans), (_, events)), (_, entries)) in reasons {
        if spans + events + entries > 0 {
            let [spans, events, entries] = [spans, events, entries].map(group);
            let reason = reason.as_str();
            writeln!(
                out,
                "  dropped for {reason}: {spans} spans, {events} events, {entries} entries"
            )?;
        }
    }
    Ok(())
}

/// The writer, and the file.
fn writer(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    let report = &outcome.report;
    let unit = if outcome.load.long_lived > 0 { "an entry" } else { "a span" };
    writeln!(out, "\nwriter")?;
    if let Some(cpu) = report.writer_cpu {
        let share = 100.0 * cpu.as_secs_f64() / outcome.made.took().as_secs_f64().max(1e-9);
        let each = outcome.writer_ns();
        let ms = cpu.as_secs_f64() * 1e3;
        writeln!(out, "  CPU      {ms:.0} ms, {share:.1} % of one processor, {each} ns {unit}")?;
    }
    let (high, capacity) = (report.ring_high_water, report.ring_capacity);
    let percent = percent(high, capacity);
    let (high, capacity) = (group(high), group(capacity));
    writeln!(out, "  ring     {high} of {capacity} slots at most, {percent}")?;
    let close = report.took.as_secs_f64() * 1e3;
    writeln!(out, "  batches  {}; close took {close:.0} ms", group(report.batches))?;
    let mib = outcome.bytes as f64 / f64::from(1 << 20);
    let each = outcome.bytes_per_span();
    writeln!(out, "  file     {mib:.1} MiB, {each:.1} bytes {unit} with its share of the events")?;
    memory(out, outcome)
}

/// What the process had in memory, where the system tells.
fn memory(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    let Memory { begin, half, end, peak } = outcome.memory;
    if peak == 0 {
        return Ok(());
    }
    let [begin, half, end, peak] =
        [begin, half, end, peak].map(|kib| format!("{:.1}", kib as f64 / 1024.0));
    writeln!(
        out,
        "  memory   {begin} MiB at first, {half} half-way, {end} at the end; {peak} at most"
    )
}

fn verification(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    let verification = &outcome.verification;
    writeln!(out, "\nverification, {:.2} s", verification.took.as_secs_f64())?;
    for check in &verification.checks {
        match check {
            Ok(found) => writeln!(out, "  ok       {found}")?,
            Err(fault) => writeln!(out, "  FAILED   {fault}")?,
        }
    }
    Ok(())
}

/// One line for programs: `RESULT rate= recorded= stored= ...`. Without a baseline its figure is 0.
///
/// # Errors
///
/// When `out` takes no more.
pub fn result(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    let report = &outcome.report;
    writeln!(
        out,
        "RESULT rate={} recorded={} stored={} dropped={} unfinished={} in_flight={} verified={} \
         p99_ns={} bytes_per_span={:.1} writer_ns={} ring={} p9999_ns={} baseline_p9999_ns={} \
         entries={} entries_stored={} entries_dropped={} memory_half_kib={} memory_end_kib={}",
        outcome.made.rate(),
        report.recorded,
        report.stored,
        report.dropped.total(),
        report.unfinished,
        report.in_flight,
        if outcome.verified() { "yes" } else { "no" },
        outcome.made.service().quantile_ns(0.99),
        outcome.bytes_per_span(),
        outcome.writer_ns(),
        100 * report.ring_high_water / report.ring_capacity.max(1),
        outcome.made.service().quantile_ns(0.9999),
        outcome.baseline.as_ref().map_or(0, |plain| plain.service().quantile_ns(0.9999)),
        report.entries.recorded,
        report.entries.stored,
        report.entries.dropped.total(),
        outcome.memory.half,
        outcome.memory.end,
    )
}

fn columns<T: Display>(cells: [T; 5]) -> String {
    cells.map(|cell| format!("{cell:>14}")).concat()
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

/// 12,345,678
pub(crate) fn group(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.char_indices() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
