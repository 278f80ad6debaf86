//! The spans of a source as slices in lanes, in the order of time; and what they sum up to by path.

use super::error::ExportError;
use super::lanes::{Lanes, Slices};
use super::order::Order;
use super::source::Source;
use crate::query::{Columns, SpanRef, StackTree, Stacks};
use crate::reader::Span;

/// Hands on the begins and ends of all chosen spans; gives their number.
pub(super) fn slices<S: Slices<Error = ExportError>>(
    source: &mut Source<'_>,
    columns: Columns,
    to: &mut S,
) -> Result<u64, ExportError> {
    slices_seen(source, columns, to, |_| Ok(()))
}

/// Hands on the begins and ends of all chosen spans; gives their number, and their paths of names.
pub(super) fn slices_and_stacks<S: Slices<Error = ExportError>>(
    source: &mut Source<'_>,
    columns: Columns,
    to: &mut S,
) -> Result<(u64, StackTree), ExportError> {
    stacks_beside(source, |source, stacks| {
        slices_seen(source, columns, to, |span| add(stacks, span))
    })
}

fn slices_seen<S: Slices<Error = ExportError>>(
    source: &mut Source<'_>,
    columns: Columns,
    to: &mut S,
    mut see: impl FnMut(&SpanRef<'_>) -> Result<(), ExportError>,
) -> Result<u64, ExportError> {
    let (mut order, mut lanes) = (Order::new(), Lanes::new());
    let mut each = |span: Span| lanes.place(&span, to);
    let count = source.spans(columns, |span| {
        see(span)?;
        order.push(span, &mut each)
    })?;
    order.finish(&mut each)?;
    lanes.finish(to)?;
    Ok(count)
}

/// Does what `pass` does, which adds the spans that it sees to the paths.
pub(super) fn stacks_beside<'a, T>(
    source: &mut Source<'a>,
    pass: impl FnOnce(&mut Source<'a>, &mut Stacks<'a>) -> Result<T, ExportError>,
) -> Result<(T, StackTree), ExportError> {
    let mut stacks = Stacks::new(source.reader, source.run.id)?;
    let passed = pass(source, &mut stacks);
    // If a look-up failed, it is the reason why the pass stopped.
    let tree = stacks.finish()?;
    Ok((passed?, tree))
}

/// Adds a span to its path.
pub(super) fn add(stacks: &mut Stacks<'_>, span: &SpanRef<'_>) -> Result<(), ExportError> {
    if stacks.add(span).is_break() { Err(ExportError::Stopped) } else { Ok(()) }
}
