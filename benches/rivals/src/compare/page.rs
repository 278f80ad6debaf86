//! The page: how it was measured, what each recorder keeps, the table.

use std::fmt::Write;

use super::Plan;
use super::figures::{Figures, Key};
use super::headline::Headline;
use super::machine::Machine;
use super::table;
use super::text::{number, wrapped};
use crate::case::{Case, TREE_CHILDREN};
use crate::measure::CHUNK;
use crate::recorder::Entry;
use crate::recorders;

/// The versions that were built.
const LOCK: &str = include_str!("../../Cargo.lock");

/// The whole page in Markdown.
pub fn text(machine: &Machine, plan: &Plan, figures: &Figures, headline: &Headline) -> String {
    let mut page = String::from("# Beside others\n\n");
    page.push_str(&wrapped(
        "What a span costs with spandrel and with other recorders of spans. Printed by \
         `scripts/rivals.sh --write`, to be run again by anybody; nothing in it is written by hand.",
    ));
    let Machine { processor, processors, kernel, compiler, date, load } = machine;
    page.push('\n');
    page.push_str(&wrapped(&format!(
        "{date}; {processor}, {processors} processors, {kernel}; {compiler}, release, thin LTO, one \
         codegen unit; load average before the first measurement: {load}.",
    )));
    // The line stands by itself, so that it can be searched for.
    let _infallible = writeln!(page, "\n```text\n{headline}\n```\n");
    page.push_str(&table::markdown(figures));
    page.push('\n');
    for line in [legend(), remarks(figures)].concat() {
        page.push_str(&wrapped(&line));
    }
    page.push_str("\n## How it is measured\n\n");
    for line in method(plan, figures) {
        page.push_str(&indented(&line));
    }
    page.push_str("\n## What each is, and what it keeps\n\n");
    page.push_str("| recorder | version | setting | keeps |\n|---|---|---|---|\n");
    for entry in recorders::ALL {
        let Entry { name, setting, keeps, .. } = entry;
        let _infallible = writeln!(page, "| {name} | {} | {setting} | {keeps} |", versions(entry));
    }
    page
}

fn legend() -> Vec<String> {
    vec![
        "In brackets: times spandrel's layer / times `Registry` and a layer that does nothing. Of several \
         rounds the median, then the smallest and the largest; of losses the median, and the largest in \
         brackets. `-`: it cannot do that, or cannot be asked. \
         Keeping nothing, or only sums, is cheaper than keeping every span: see what each keeps, below."
            .to_owned(),
    ]
}

/// What a reader of the table must not overlook.
fn remarks(figures: &Figures) -> Vec<String> {
    let mut remarks = Vec::new();
    if figures.overall(Key::Instructions(Case::NoFields), "each").is_none() {
        remarks.push("Instructions: SKIPPED, valgrind is not installed.".to_owned());
    }
    if !cfg!(feature = "tracy") {
        remarks.push("Tracy: SKIPPED, it was built without (it needs a C++ compiler).".to_owned());
    }
    for entry in recorders::ALL {
        let lost = figures.lost_in_loops(entry);
        if lost > 0.0 {
            remarks.push(format!(
                "{} lost {} spans in the loops in spite of the rests; its figures there are partly \
                 those of losing.",
                entry.name,
                number(lost),
            ));
        }
    }
    remarks
}

fn method(plan: &Plan, figures: &Figures) -> Vec<String> {
    let clock = figures.overall(Key::Singly, "clock_ns");
    let clock = clock.map_or("unknown".to_owned(), |clock| number(clock.median));
    let Plan { rounds, counted: [few, many], in_a_loop, singly, burst } = plan;
    let [few, many, in_a_loop, singly, burst] =
        [few, many, in_a_loop, singly, burst].map(|n| number(*n as f64));
    let rate = number(crate::measure::RATE as f64);
    let chunk = number(CHUNK as f64);
    vec![
        format!(
            "A span is create, enter, exit and close. Three fields are `u64`, `f64` and a string of \
             eight bytes. A future is polled three times by hand. A tree is a root and \
             {TREE_CHILDREN} spans in it, one after the other, the root counted as well: the shape \
             that fastrace is best at."
        ),
        format!(
            "Each figure is taken in a process of its own, in turns over the recorders; rounds: {rounds}, \
             each beginning with another recorder. One thread makes the spans."
        ),
        format!(
            "Instructions: callgrind, on that thread only, the difference of {few} and {many} spans; \
             once, as they hardly vary."
        ),
        "Time in loops and in bursts is processor time of that thread, which is less troubled by other \
         work on the machine than wall time; nobody waits for anything there but for locks. That of \
         paced spans is wall time, interruptions included."
            .to_owned(),
        format!(
            "In a loop: the mean of {in_a_loop} spans in chunks of {chunk}. After each chunk everybody has \
             a rest off the clock, by its documented flush or until its queue is empty, so that nobody \
             is measured while losing spans. Queues have room for a chunk."
        ),
        format!(
            "Paced: {singly} spans at {rate} a second with default queues, each between two readings of \
             the clock, which adds {clock} ns to each (not subtracted)."
        ),
        format!(
            "Without rests: {burst} spans in trees at full speed, beside the recorder's own thread. The \
             mean is that with a queue that holds them all, where its size is documented; memory that \
             with the default queue."
        ),
        "Lost: what the output holds after the documented close, counted there, against what was made. \
         \"Of which it counts\" is what the recorder itself says."
            .to_owned(),
        "Memory: growth of the peak resident set (`VmHWM`) from before the recorder was started until \
         after its close; fixed tables included."
            .to_owned(),
    ]
}

fn indented(paragraph: &str) -> String {
    let text = wrapped(&format!("* {paragraph}"));
    text.trim_end().replace('\n', "\n  ") + "\n"
}

fn versions(entry: &Entry) -> String {
    let versions = entry.packages.iter().map(|package| match locked_version(package) {
        Some(version) if entry.packages.len() == 1 => version.to_owned(),
        Some(version) => format!("{version} ({package})"),
        None => format!("unknown ({package})"),
    });
    versions.collect::<Vec<_>>().join(", ")
}

/// What is no crate says its version itself.
fn locked_version(package: &'static str) -> Option<&'static str> {
    if let Some((_, version)) = package.split_once('=') {
        return Some(version);
    }
    let (_, after) = LOCK.split_once(&format!("\nname = \"{package}\"\nversion = \""))?;
    after.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recorder_has_its_versions() {
        for entry in recorders::ALL {
            assert!(!versions(entry).contains("unknown"), "{}", entry.name);
        }
    }
}
