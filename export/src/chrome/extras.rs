//! All but spans: events, marks, losses, and the state of the writer.

use super::super::error::ExportError;
use super::super::javascript::{self, ForJavaScript};
use super::super::out::Out;
use super::super::source::Source;
use super::super::text::{key, member};
use super::arguments;
use super::rows::Rows;
use super::{at, begin, category, position};
use spandrel_query::OrderRows as _;

/// Events as instants of their threads.
pub(super) fn events(
    source: &mut Source<'_>,
    rows: &mut Rows,
    out: &mut Out<'_>,
) -> Result<u64, ExportError> {
    source.events(|event| {
        let row = rows.thread(&event.thread, &mut out.buffer);
        let to = &mut out.buffer;
        begin(to, "i", &event.name());
        category(to, &event.callsite.target);
        position(to, rows.pid, row, event.at_ns);
        to.extend_from_slice(b",\"s\":\"t\"");
        arguments::of_event(to, event);
        to.push(b'}');
        Ok(out.flush_if_large()?)
    })
}

/// Slices in rows of their own; overlapping ones get further rows.
struct Regions<'a> {
    rows: &'a mut Rows,
    name: &'static str,
    /// Where each row ends.
    row_ends: Vec<(u64, i64)>,
}

impl Regions<'_> {
    /// A row that is free at `from_ns`; slices come by start.
    fn row(&mut self, from_ns: i64, to_ns: i64, out: &mut Vec<u8>) -> u64 {
        let free = self.row_ends.iter_mut().find(|(_, until)| *until <= from_ns);
        if let Some((row, until)) = free {
            *until = to_ns;
            return *row;
        }
        let row = self.rows.other(self.name, out);
        self.row_ends.push((row, to_ns));
        row
    }

    /// A slice from `from_ns` to `to_ns`, or an instant over all rows.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        name: &str,
        (from_ns, to_ns): (i64, Option<i64>),
        data: impl FnOnce(&mut Vec<u8>),
    ) {
        let end = to_ns.filter(|to| at(*to) > at(from_ns));
        let row = self.row(at(from_ns), at(end.unwrap_or(from_ns)), out);
        begin(out, if end.is_some() { "B" } else { "i" }, name);
        category(out, self.name);
        position(out, self.rows.pid, row, from_ns);
        if let Some(end) = end {
            out.push(b'}');
            begin(out, "E", name);
            category(out, self.name);
            position(out, self.rows.pid, row, end);
        } else {
            out.extend_from_slice(b",\"s\":\"g\"");
        }
        out.extend_from_slice(b",\"args\":{\"data\":{\"detail\":");
        javascript::string(out, self.name);
        data(out);
        out.extend_from_slice(b"}}}");
    }
}

pub(super) fn marks(
    source: &Source<'_>,
    rows: &mut Rows,
    out: &mut Out<'_>,
) -> Result<u64, ExportError> {
    let mut marks = source.marks()?;
    marks.order_by_key(|mark| mark.at_ns);
    let mut regions = Regions { rows, name: "marks", row_ends: Vec::new() };
    for mark in &marks {
        regions.write(&mut out.buffer, &mark.label, (mark.at_ns, mark.until_ns), |out| {
            if let Some(fields) = &mark.fields {
                key(out, "fields");
                javascript::object(out, fields);
            }
        });
        out.flush_if_large()?;
    }
    Ok(marks.len() as u64)
}

pub(super) fn losses(
    source: &Source<'_>,
    rows: &mut Rows,
    out: &mut Out<'_>,
) -> Result<(), ExportError> {
    let mut losses = source.losses()?;
    losses.order_by_key(|loss| loss.from_ns);
    let mut regions = Regions { rows, name: "losses", row_ends: Vec::new() };
    for loss in losses {
        let name = format!("lost: {}", loss.reason);
        regions.write(&mut out.buffer, &name, (loss.from_ns, Some(loss.to_ns)), |out| {
            let lost = [("spans", loss.spans), ("events", loss.events), ("entries", loss.entries)];
            for (name, count) in lost {
                member(out, name, ForJavaScript(count));
            }
        });
        out.flush_if_large()?;
    }
    Ok(())
}

pub(super) fn counters(
    source: &Source<'_>,
    rows: &Rows,
    out: &mut Out<'_>,
) -> Result<(), ExportError> {
    for sample in source.counters()? {
        for (name, value) in sample.values() {
            begin(&mut out.buffer, "C", name);
            category(&mut out.buffer, "writer");
            position(&mut out.buffer, rows.pid, 0, sample.at_ns);
            out.buffer.extend_from_slice(b",\"args\":{\"value\":");
            javascript::unsigned(&mut out.buffer, value);
            out.buffer.extend_from_slice(b"}}");
        }
        out.flush_if_large()?;
    }
    Ok(())
}
