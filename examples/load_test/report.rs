//! What people read, and the last line, which programs read.

use std::time::Duration;

use hdrhistogram::Histogram;
use spandrel::Report;

use crate::args::{Args, Rate};
use crate::sent::Sent;
use crate::verify::Verification;

/// One load that was made: its sum, and how long it took.
pub type Made = (Sent, Duration);

pub fn load(args: &Args, replaced: bool) {
    let Args { threads, depth, fields, database, .. } = args;
    let rate = match args.rate {
        Rate::PerSecond(rate) => format!("{} spans/s", group(rate)),
        Rate::Max => "as many spans as possible".into(),
    };
    let makers = if args.tasks { "threads of tasks" } else { "threads" };
    println!("load       {rate} for {} s on {threads} {makers}", args.seconds);
    let event = if args.events { ", and one event" } else { "" };
    println!("           trees of {depth} spans with {fields} fields each{event}");
    let path = database.display();
    println!(
        "database   {path}{}",
        if replaced { ", instead of an earlier load test's" } else { "" }
    );
}

/// What a span costs, beside what it costs without us.
pub fn latency(args: &Args, plain: &Made, ours: &Made, clock: Duration) {
    println!("\nlatency in ns{}", columns(["p50", "p99", "p99.9", "p99.99", "max"]));
    let clock = clock.as_nanos();
    println!(
        "one span: create + enter + exit + close, and {clock} for the clock that is looked at"
    );
    rows(&plain.0.service, &ours.0.service);
    if args.rate != Rate::Max {
        println!("the same, counted from the moment when its tree was due");
        rows(&plain.0.response, &ours.0.response);
    }
    let (sent, took) = ours;
    println!("\ngenerator  {} spans/s over {:.2} s", group(rate(ours)), took.as_secs_f64());
    if args.tasks {
        let percent = percent(sent.moved, sent.trees_in_all());
        println!("           {percent} of the trees ended on another thread than they began");
    }
    if let Rate::PerSecond(wanted) = args.rate {
        let due = (wanted as f64 * args.seconds) as u64;
        if sent.spans + (args.depth as u64) < due {
            println!("           fell behind: {} of {} spans made", group(sent.spans), group(due));
        }
    }
}

fn rows(plain: &Histogram<u64>, ours: &Histogram<u64>) {
    let figures = |histogram: &Histogram<u64>| {
        let [p50, p99, p999, p9999] =
            [0.5, 0.99, 0.999, 0.9999].map(|q| histogram.value_at_quantile(q));
        [p50, p99, p999, p9999, histogram.max()]
    };
    for (name, histogram) in [("no-op layer", plain), ("spandrel", ours)] {
        let cells = columns(figures(histogram).map(group));
        println!("  {name:11}{cells}");
    }
    let (plain, ours) = (figures(plain), figures(ours));
    let ratio = |i: usize| format!("x {:.2}", ours[i] as f64 / plain[i].max(1) as f64);
    println!("  {:11}{}", "", columns(std::array::from_fn::<_, 5, _>(ratio)));
}

fn columns<T: std::fmt::Display>(cells: [T; 5]) -> String {
    cells.map(|cell| format!("{cell:>14}")).concat()
}

pub fn rate((sent, took): &Made) -> u64 {
    (sent.spans as f64 / took.as_secs_f64().max(1e-9)).round() as u64
}

/// The ledger, the writer, and the file.
pub fn recording(report: &Report, took: Duration, bytes: u64) {
    let cells = ["recorded", "= stored", "+ dropped", "+ in flight", "unfinished"];
    println!("\nledger       {}", columns(cells));
    let (spans, events) = (&report.spans, &report.events);
    for (name, ledger, unfinished) in
        [("spans", spans, group(report.unfinished)), ("events", events, "-".into())]
    {
        let dropped = group(ledger.dropped.total());
        let [recorded, stored, in_flight] =
            [ledger.recorded, ledger.stored, ledger.in_flight].map(group);
        println!("  {name:11}{}", columns([recorded, stored, dropped, in_flight, unfinished]));
    }
    for ((reason, spans), (_, events)) in spans.dropped.iter().zip(events.dropped.iter()) {
        if spans + events > 0 {
            let [spans, events] = [spans, events].map(group);
            println!("  dropped for {}: {spans} spans, {events} events", reason.as_str());
        }
    }

    println!("\nwriter");
    if let Some(cpu) = report.writer_cpu {
        let share = 100.0 * cpu.as_secs_f64() / took.as_secs_f64().max(1e-9);
        let each = writer_ns(report);
        let ms = cpu.as_secs_f64() * 1e3;
        println!("  CPU      {ms:.0} ms, {share:.1} % of one processor, {each} ns a span");
    }
    let (high, capacity) = (report.ring_high_water, report.ring_capacity);
    let percent = percent(high, capacity);
    println!("  ring     {} of {} slots at most, {percent}", group(high), group(capacity));
    let close = report.took.as_secs_f64() * 1e3;
    println!("  batches  {}; close took {close:.0} ms", group(report.batches));

    let mib = bytes as f64 / f64::from(1 << 20);
    let each = bytes_per_span(report, bytes);
    println!("  file     {mib:.1} MiB, {each:.1} bytes a span with its share of the events");
}

/// The writer's processor time for each stored span.
fn writer_ns(report: &Report) -> u64 {
    report.writer_cpu.map_or(0, |cpu| cpu.as_nanos() as u64 / report.stored.max(1))
}

pub fn bytes_per_span(report: &Report, bytes: u64) -> f64 {
    bytes as f64 / report.stored.max(1) as f64
}

pub fn verification(verification: &Verification) {
    println!("\nverification, {:.2} s", verification.took.as_secs_f64());
    for check in &verification.checks {
        match check {
            Ok(found) => println!("  ok       {found}"),
            Err(fault) => println!("  FAILED   {fault}"),
        }
    }
}

/// For machines.
pub fn result(report: &Report, plain: &Made, ours: &Made, verified: bool, bytes: u64) {
    println!(
        "RESULT rate={} recorded={} stored={} dropped={} unfinished={} in_flight={} verified={} \
         p99_ns={} bytes_per_span={:.1} writer_ns={} ring={} p9999_ns={} baseline_p9999_ns={}",
        rate(ours),
        report.recorded,
        report.stored,
        report.dropped.total(),
        report.unfinished,
        report.in_flight,
        if verified { "yes" } else { "no" },
        ours.0.service.value_at_quantile(0.99),
        bytes_per_span(report, bytes),
        writer_ns(report),
        100 * report.ring_high_water / report.ring_capacity.max(1),
        ours.0.service.value_at_quantile(0.9999),
        plain.0.service.value_at_quantile(0.9999),
    );
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

/// 12,345,678
pub fn group(n: u64) -> String {
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
