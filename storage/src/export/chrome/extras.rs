//! What is not a span: links, marks, losses, and the state of the writer.

use super::super::error::ExportError;
use super::super::fields;
use super::super::out::Out;
use super::super::source::Source;
use super::super::text::{key, unsigned};
use super::{begin, id, place};

/// Arrows, for links whose two spans are both exported. An asynchronous slice has room for one arrow at
/// most, so that each arrow has two slices of its own, without length, in the rows of the threads.
pub(super) fn arrows(source: &mut Source<'_>, out: &mut Out<'_>) -> Result<u64, ExportError> {
    let pid = source.run.info.pid;
    let mut drawn = 0;
    source.links(|link| {
        let (Some(later), Some(earlier)) = (&link.later, &link.earlier) else { return Ok(()) };
        drawn += 1;
        // From the end of the earlier span, if that is before the later one begins.
        let from = earlier.end_ns.min(later.start_ns).max(earlier.start_ns);
        let to = later.start_ns.max(from);
        let ends = [
            ("followed by", "flow_out", from, earlier.thread_id),
            ("follows from", "flow_in", to, later.thread_id),
        ];
        for (name, way, at_ns, thread_id) in ends {
            begin(&mut out.buffer, "X", "link", name);
            place(&mut out.buffer, pid, thread_id, at_ns);
            out.buffer.extend_from_slice(b",\"dur\":0,\"bind_id\":\"");
            unsigned(&mut out.buffer, drawn);
            out.buffer.push(b'"');
            key(&mut out.buffer, way);
            out.buffer.extend_from_slice(b"true,\"args\":{\"from\":");
            id(&mut out.buffer, 's', link.follows_id);
            key(&mut out.buffer, "to");
            id(&mut out.buffer, 's', link.span_id);
            out.buffer.extend_from_slice(b"}}");
        }
        Ok(out.pass()?)
    })?;
    Ok(drawn)
}

/// A slice of its own, from `from_ns` to `to_ns`; and an instant over all rows.
fn region(
    out: &mut Vec<u8>,
    pid: u32,
    (category, number): (&str, usize),
    name: &str,
    (from_ns, to_ns): (i64, Option<i64>),
    arguments: impl FnOnce(&mut Vec<u8>),
) {
    begin(out, "i", category, name);
    place(out, pid, 0, from_ns);
    out.extend_from_slice(b",\"s\":\"g\",\"args\":{");
    arguments(out);
    out.extend_from_slice(b"}}");
    let Some(to_ns) = to_ns.filter(|to| *to >= from_ns) else { return };
    for (phase, at) in [("b", from_ns), ("e", to_ns)] {
        begin(out, phase, category, name);
        key(out, "id");
        unsigned(out, number as u64);
        place(out, pid, 0, at);
        out.push(b'}');
    }
}

pub(super) fn marks(source: &Source<'_>, out: &mut Out<'_>) -> Result<u64, ExportError> {
    let marks = source.marks()?;
    for (number, mark) in marks.iter().enumerate() {
        let times = (mark.at_ns, mark.until_ns);
        region(&mut out.buffer, source.run.info.pid, ("mark", number), &mark.label, times, |out| {
            if let Some(fields) = &mark.fields {
                out.extend_from_slice(b"\"fields\":");
                fields::object(out, fields);
            }
        });
        out.pass()?;
    }
    Ok(marks.len() as u64)
}

pub(super) fn losses(source: &Source<'_>, out: &mut Out<'_>) -> Result<(), ExportError> {
    for (number, loss) in source.losses()?.into_iter().enumerate() {
        let times = (loss.from_ns, Some(loss.to_ns));
        let name = format!("lost: {}", loss.reason);
        region(&mut out.buffer, source.run.info.pid, ("loss", number), &name, times, |out| {
            out.extend_from_slice(b"\"spans\":");
            unsigned(out, loss.spans);
            key(out, "events");
            unsigned(out, loss.events);
        });
        out.pass()?;
    }
    Ok(())
}

pub(super) fn counters(source: &Source<'_>, out: &mut Out<'_>) -> Result<(), ExportError> {
    for sample in source.counters()? {
        for (name, value) in sample.values() {
            begin(&mut out.buffer, "C", "writer", name);
            place(&mut out.buffer, source.run.info.pid, 0, sample.at_ns);
            out.buffer.extend_from_slice(b",\"args\":{\"value\":");
            unsigned(&mut out.buffer, value);
            out.buffer.extend_from_slice(b"}}");
        }
        out.pass()?;
    }
    Ok(())
}
