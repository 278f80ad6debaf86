//! The events of the traces that are shown, the first of each.

use std::collections::HashMap;

use spandrel_query::{Reader, Run, event_name};
use spandrel_storage::Error;

use super::text;
use crate::report::bounds;
use crate::report::data::{EventFact, Trace};

/// Reads the events of spans; `of_span` says which trace a span is of. Does not look at the others.
pub(crate) fn read(
    reader: &Reader,
    run: &Run,
    of_span: &HashMap<u64, usize>,
    traces: &mut [Trace],
) -> Result<(), Error> {
    if run.events == 0 {
        return Ok(());
    }
    reader.events(run.id, |event| {
        let trace = event.span_id.and_then(|id| of_span.get(&id));
        let Some(trace) = trace.and_then(|at| traces.get_mut(*at)) else {
            return;
        };
        trace.events_of += 1;
        if trace.events.len() < bounds::TRACE_EVENTS {
            trace.events.push(EventFact {
                span: format!("s{}", event.span_id.unwrap_or(0)),
                at_ns: event.at_ns,
                level: text::cut(&event.callsite.level, 8),
                target: text::cut(&event.callsite.target, bounds::NAME_CHARS),
                name: text::cut(
                    event_name(&event.callsite.name).unwrap_or_default(),
                    bounds::NAME_CHARS,
                ),
                message: text::cut(event.message.as_deref().unwrap_or(""), bounds::VALUE_CHARS),
                fields: text::fields(event.fields.as_deref()),
            });
        }
    })
}
