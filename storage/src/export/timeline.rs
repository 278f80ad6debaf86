//! The spans of a source as slices in lanes, in the order of time.

use super::error::ExportError;
use super::lanes::{Lanes, Slices};
use super::order::Order;
use super::source::Source;
use crate::query::Columns;
use crate::reader::Span;

/// Hands on the begins and ends of all chosen spans; gives their number.
pub(super) fn slices<S: Slices<Error = ExportError>>(
    source: &mut Source<'_>,
    columns: Columns,
    to: &mut S,
) -> Result<u64, ExportError> {
    let (mut order, mut lanes) = (Order::new(), Lanes::new());
    let mut each = |span: Span| lanes.place(&span, to);
    let count = source.spans(columns, |span| order.push(span, &mut each))?;
    order.finish(&mut each)?;
    lanes.finish(to)?;
    Ok(count)
}
