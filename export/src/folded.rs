//! Folded stacks: a line for each path of names, with the time that no path below it took.
//!
//! Read by `flamegraph.pl`, inferno, speedscope and others: names from the root, `;` between them, a space, a number
//! (nanoseconds; calls for [`Weight::Calls`]). `;` and line ends in names become `_`, those of Unicode included, at
//! which speedscope drops a line. Unfinished spans have no times and are left out. Long-lived spans are there by
//! their entries, below the span that the thread was in, with a mark (`⟳`) behind the name.

use super::Written;
use super::error::ExportError;
use super::out::Out;
use super::source::Source;
use super::text;
use super::timeline::{add, add_entries};
use spandrel_query::{Columns, Scan, StackTree, Stacks, Weight};

pub(super) fn write(
    source: &mut Source<'_>,
    weight: Weight,
    out: &mut Out<'_>,
) -> Result<Written, ExportError> {
    let (chosen, tree) = stacks(source)?;
    // Long-lived spans are in no sum themselves, but their entries are.
    let of_spans = tree.spans().saturating_sub(chosen.calls);
    let long = chosen.spans.saturating_sub(of_spans);
    let spans = tree.calls().saturating_sub(chosen.calls).saturating_add(long);
    for (at, own) in tree.own(weight).into_iter().enumerate() {
        if own <= 0 {
            continue;
        }
        for (depth, frame) in tree.path(at).into_iter().enumerate() {
            if depth > 0 {
                out.buffer.push(b';');
            }
            name(&mut out.buffer, frame.name());
        }
        out.buffer.push(b' ');
        text::integer(&mut out.buffer, own);
        out.buffer.push(b'\n');
        out.flush_if_large()?;
    }
    Ok(Written { spans, entries: chosen.entries, ..Written::default() })
}

/// How many spans and entries were selected, and how many calls they are.
struct Chosen {
    spans: u64,
    entries: u64,
    calls: u64,
}

fn stacks(source: &mut Source<'_>) -> Result<(Chosen, StackTree), ExportError> {
    let mut stacks = Stacks::new(source.reader, source.run.id)?;
    let chosen = chosen(source, &mut stacks);
    // A failed look-up stops the scan: it is the error to report.
    let tree = stacks.finish()?;
    Ok((chosen?, tree))
}

fn chosen(source: &mut Source<'_>, stacks: &mut Stacks<'_>) -> Result<Chosen, ExportError> {
    // For a part of a run, the spans in it must be known, for what belongs to them.
    let spans = if source.is_whole() && source.reader.has_path_sums(source.run.id)? {
        source.reader.add_stacks_of_spans(&Scan::new(source.run.id), stacks)?;
        let spans = source.run.spans.saturating_sub(source.run.pruned_spans);
        source.passed_by(spans);
        spans
    } else {
        source.spans(Columns::Numbers, |span| add(stacks, span))?
    };
    let (entries, calls) = add_entries(source, stacks)?;
    Ok(Chosen { spans, entries, calls })
}

fn name(out: &mut Vec<u8>, name: &str) {
    if name.is_empty() {
        out.extend_from_slice(b"(no name)");
    }
    let ends_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    for (at, piece) in name.split(|c| c == ';' || ends_line(c)).enumerate() {
        if at > 0 {
            out.push(b'_');
        }
        out.extend_from_slice(piece.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_a_frame_or_a_line() {
        let mut out = Vec::new();
        name(&mut out, "a;b\nc d 7\t\u{e9}\u{2028}x\u{2029}y\u{85};");
        assert_eq!(String::from_utf8(out).unwrap(), "a_b_c d 7_\u{e9}_x_y__");
    }
}
