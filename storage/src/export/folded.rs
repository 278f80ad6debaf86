//! Folded stacks: a line for each path of names, with the time that no path below it took.
//!
//! Read by `flamegraph.pl`, inferno, speedscope and others: names from the root, `;` between them, a
//! space, a number (nanoseconds; spans for [`Weight::Calls`]). Characters that mean something there are
//! replaced: `;` and line ends become `_`, those of Unicode as well, at which speedscope leaves out a line.
//! Unfinished spans have no times and are not in it.

use super::Written;
use super::error::ExportError;
use super::out::Out;
use super::source::Source;
use super::text;
use super::timeline::{add, stacks_beside};
use crate::query::{Columns, Scan, StackTree, Stacks, Weight};

pub(super) fn write(
    source: &mut Source<'_>,
    weight: Weight,
    out: &mut Out<'_>,
) -> Result<Written, ExportError> {
    let tree = stacks(source)?;
    let spans = tree.calls();
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
        out.pass()?;
    }
    Ok(Written { spans, ..Written::default() })
}

fn stacks(source: &mut Source<'_>) -> Result<StackTree, ExportError> {
    // Of a part it has to be known which spans are in it, for what belongs to them.
    if source.is_whole() && source.reader.has_path_sums(source.run.id)? {
        let mut stacks = Stacks::new(source.reader, source.run.id)?;
        source.reader.add_stacks(&Scan::new(source.run.id), &mut stacks)?;
        let tree = stacks.finish()?;
        source.passed_by(tree.spans());
        return Ok(tree);
    }
    let (_, tree) = stacks_beside(source, |source, stacks| {
        source.spans(Columns::Numbers, |span| add(stacks, span))
    })?;
    Ok(tree)
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
